//! What an operator orders of a running target, carried out by its worker between two deliveries.

use super::{
    carrier::{Carrier, Job},
    plan,
    queue::Cause,
    row::{LinkRow, Staged},
    worker::{Event, Worker},
};
use crate::{
    clock::Timestamp,
    provisioning::{Command, Refusal, Wish},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;
use uuid::Uuid;

pub type Answer = oneshot::Sender<Result<Value, Refusal>>;

/// A command, and where its answer goes.
pub struct Order {
    pub command: Command,
    pub answer: Answer,
}

impl<C: Carrier> Worker<C> {
    pub(super) async fn obey(&mut self, order: Order) {
        let Order { command, answer } = order;
        let answered = match command {
            Command::Wish { wish, why } => Ok(self.wish(wish, why).await),
            Command::Approve => Ok(self.decide(true)),
            Command::Reject => Ok(self.decide(false)),
            Command::Retry { object } => self.retry(object),
            Command::Replay { since } => Ok(self.replay(since).await),
            Command::Show { object } => self.show_object(object),
            Command::Push { object, dry_run: true } => return self.preview(object, answer),
            Command::Push { object, dry_run: false } => return self.push_now(object, answer),
            Command::Log { object, most } => Ok(json!(self.ledger.newest(object, most))),
            Command::Reconcile(asked) => self.reconcile(asked),
            Command::Reconciliation { batch, skip, most } => {
                return self.show_reconciliation(batch, skip, most, answer);
            }
        };
        // Whoever asked may have gone.
        let _ = answer.send(answered);
    }

    async fn wish(&mut self, wish: Wish, why: String) -> Value {
        let was = std::mem::replace(&mut self.links.own.wish, wish);
        self.links.own.why = why;
        self.own_dirty = true;
        tracing::info!(export = %self.name, ?wish, ?was, "an operator has decided");
        self.verdicts.seat(self.index, matches!(wish, Wish::Run | Wish::Pause)).into_iter().for_each(|report| {
            self.reports.push(report);
        });
        match (was, wish) {
            (Wish::Run | Wish::Pause, Wish::Run | Wish::Pause) => {}
            // What changed meanwhile was not followed.
            (_, Wish::Run | Wish::Pause) => self.full_pass(false).await,
            (_, Wish::Disable) => self.queue.clear(),
            (_, Wish::Retire) => self.forget_all(),
        }
        if wish == Wish::Run {
            self.pause.answered();
            self.pause.clear();
        }
        self.left_behind = false;
        let holders = self.directory.hold_journal(&self.name, self.reads()).await;
        holders.map_or_else(|error| json!({ "wish": wish, "warning": error.to_string() }), |()| json!({ "wish": wish }))
    }

    /// A retired target leaves nothing behind but the word that it is retired.
    fn forget_all(&mut self) {
        self.queue.clear();
        self.links.own.guard = Default::default();
        self.links.own.settings = None;
        for object in self.links.collect(|object, _| Some(object)) {
            self.links.remove(object);
            self.dirty.insert(object);
        }
    }

    fn decide(&mut self, approved: bool) -> Value {
        let now = (self.clock)();
        let staged = self
            .links
            .collect(|object, row| row.staged.filter(|staged| !staged.approved).map(|_| (object, row.clone())));
        for (object, row) in &staged {
            let snapshot = self.directory.read();
            let decided = match approved {
                true => LinkRow { staged: Some(Staged { since: now, approved: true }), rejected: None, ..row.clone() },
                false => {
                    let planned = plan::plan(&self.context(&snapshot), *object, Cause::default());
                    LinkRow { staged: None, rejected: Some(planned.checksum), ..row.clone() }
                }
            };
            self.store(*object, Some(row), decided);
            if approved {
                self.ask(&snapshot, *object, Cause::default());
            }
        }
        self.links.own.guard.reset(now);
        self.own_dirty = true;
        let word = if approved { "approved" } else { "rejected" };
        tracing::info!(export = %self.name, removals = staged.len(), word, "an operator has decided");
        json!({ word: staged.len() })
    }

    fn retry(&mut self, object: Option<Uuid>) -> Result<Value, Refusal> {
        let now = (self.clock)();
        let failed = self.links.collect(|uuid, row| {
            let asked = object.is_none_or(|object| object == uuid);
            (asked && row.last_error.is_some()).then(|| (uuid, row.clone()))
        });
        if let (Some(object), true) = (object, failed.is_empty()) {
            return match self.links.contains(object) || self.queue.contains(object) {
                true => Ok(json!({ "retried": self.look(object, now) })),
                false => Err(Refusal::NoSuchObject),
            };
        }
        for (uuid, row) in &failed {
            let again = LinkRow { attempt: 0, next_attempt: Some(now), quarantined: false, ..row.clone() };
            self.store(*uuid, Some(row), again);
            self.look(*uuid, now);
        }
        if self.links.own.wish == Wish::Run {
            self.pause.answered();
            self.pause.clear();
        }
        Ok(json!({ "retried": failed.len() }))
    }

    /// Has one object looked at now, whatever was said of it before.
    fn look(&mut self, object: Uuid, now: Timestamp) -> usize {
        let snapshot = self.directory.read();
        self.ask(&snapshot, object, Cause { number: None, force: true, doubt: false });
        self.queue.hasten(object, now);
        1
    }

    async fn replay(&mut self, since: Option<u64>) -> Value {
        match since {
            Some(since) if since < self.read => {
                let upto = std::mem::replace(&mut self.read, since);
                self.feed().await;
                json!({ "since": since, "records": upto.saturating_sub(since), "pending": self.queue.len() })
            }
            Some(since) => json!({ "since": since, "records": 0, "pending": self.queue.len() }),
            None => {
                self.full_pass(true).await;
                json!({ "pending": self.queue.len() })
            }
        }
    }

    fn show_object(&self, object: Uuid) -> Result<Value, Refusal> {
        let row = self.links.get(object);
        let pending = self.queue.contains(object);
        if row.is_none() && !pending {
            return Err(Refusal::NoSuchObject);
        }
        Ok(json!({ "object": object, "pending": pending, "link": row.map(|row| row.shown()) }))
    }

    fn preview(&mut self, object: Uuid, answer: Answer) {
        let snapshot = self.directory.read();
        let planned = plan::plan(&self.context(&snapshot), object, Cause { force: true, ..Cause::default() });
        let in_scope = snapshot.by_uuid(object).and_then(|node| self.settings.scopes.resource(&snapshot, node));
        let facts = json!({
            "object": object,
            "scope": in_scope.map(|resource| resource.name()),
            "plan": planned.work.name(),
            "refersTo": planned.refs.len(),
            "absent": planned.absent.len(),
        });
        let job = Job {
            object,
            resource: planned.resource,
            work: planned.work,
            sent: self.links.sent(object),
            checksum: planned.checksum,
            as_of: planned.as_of,
            claims: self.links.claims.clone(),
            snapshot,
            aside: false,
        };
        let carrier = Arc::clone(&self.carrier);
        self.tasks.spawn(async move {
            let shown = carrier.preview(job).await.map_err(|fault| Refusal::NotNow(fault.to_string()));
            let whole = shown.map(|mut shown| {
                if let (Some(map), Value::Object(facts)) = (shown.as_object_mut(), facts) {
                    map.extend(facts);
                }
                shown
            });
            let _ = answer.send(whole);
            Event::Quiet
        });
    }

    fn push_now(&mut self, object: Uuid, answer: Answer) {
        let now = (self.clock)();
        let snapshot = self.directory.read();
        if snapshot.by_uuid(object).is_none() && !self.links.contains(object) {
            let _ = answer.send(Err(Refusal::NoSuchObject));
            return;
        }
        if let Some(why) = self.stands_still(now) {
            let _ = answer.send(Err(Refusal::NotNow(why)));
            return;
        }
        self.waiters.entry(object).or_default().push(answer);
        self.look(object, now);
    }

    /// Why nothing is sent at present.
    fn stands_still(&self, now: Timestamp) -> Option<String> {
        match self.links.own.wish {
            Wish::Run => self.halted.clone().or_else(|| self.pause.reason(now)),
            wish => Some(format!("the target does not run: {wish:?}")),
        }
    }
}
