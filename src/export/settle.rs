//! What an attempt comes to: the row, the next attempt, the word to the directory.

use super::{
    backoff,
    links::LinkRow,
    plan::{Planned, Work},
    push::Place,
    target::{Fault, Remedy, Target, canonical},
    verdicts::{Verdict, Vote},
    worker::{Pushed, Worker},
};
use crate::names;
use serde_json::Value;
use uuid::Uuid;

impl<T: Target> Worker<T> {
    /// Settles what needed no request.
    pub(super) fn settle_quietly(&mut self, object: Uuid, planned: Planned) {
        let now = (self.clock)();
        match &planned.work {
            Work::Skip => self.vote(object, &planned, Verdict::Accepted),
            Work::Unchanged => {
                let old = self.links.get(object).cloned();
                let row = old.clone().unwrap_or_else(|| LinkRow::new(planned.resource));
                self.store(object, old.as_ref(), succeeded(row, &planned));
                self.vote(object, &planned, Verdict::Accepted);
            }
            Work::Impossible(lacking) => {
                let fault = Fault::Refused(lacking.to_string());
                let old = self.links.get(object).cloned();
                let row = old.clone().unwrap_or_else(|| LinkRow::new(planned.resource));
                self.store(object, old.as_ref(), refused(row, &planned, &fault));
                self.log(object, "create", Err(&fault), 1, std::time::Duration::ZERO);
                self.vote(object, &planned, Verdict::Refused);
            }
            // Nothing has been said of this version, or it has been said before.
            _ => {}
        }
        self.queue.done(object, now);
    }

    /// Settles a push.
    pub(super) fn settle(&mut self, pushed: Pushed) {
        let Pushed { object, planned, done, elapsed } = pushed;
        let now = (self.clock)();
        let old = self.links.get(object).cloned();
        let attempt = old.as_ref().map_or(0, |row| row.attempt) + 1;
        self.log(object, done.action, done.fault.as_ref().map_or(Ok(()), Err), attempt, elapsed);
        let before = old.as_ref().and_then(|row| row.remote_id.clone());

        let row = placed(old.clone(), &planned, &done.place);
        match &done.fault {
            None => {
                self.pause.clear();
                self.board.change(|status| status.last_success = Some(now.to_string()));
                match row {
                    Some(row) => self.store(object, old.as_ref(), succeeded(row, &planned)),
                    None => self.drop_row(object),
                }
                self.vote(object, &planned, Verdict::Accepted);
                self.queue.done(object, now);
            }
            Some(fault) => self.failed(object, old.as_ref(), row, &planned, fault),
        }
        if self.links.remote_id(object).map(str::to_owned) != before {
            let snapshot = self.directory.read();
            self.ask_referrers(&snapshot, object, super::queue::Cause::default());
        }
    }

    fn failed(&mut self, object: Uuid, old: Option<&LinkRow>, row: Option<LinkRow>, planned: &Planned, fault: &Fault) {
        let now = (self.clock)();
        let row = row.unwrap_or_else(|| LinkRow::new(planned.resource));
        let remedy = match fault {
            Fault::Taken { by } if !self.queue.contains(*by) && row.attempt >= TAKEN_ATTEMPTS => Remedy::Never,
            Fault::Taken { by } if row.attempt > 0 && !self.is_known(*by) => Remedy::Never,
            other => other.remedy(),
        };
        self.board.change(|status| status.last_error = Some(fault.to_string()));
        self.links.set_refs(object, helpers(planned, fault));
        match remedy {
            Remedy::Repair => {
                // Nothing is the object's fault; but what was reached is kept.
                if row.remote_id.is_some() {
                    self.store(object, old, row);
                }
                self.queue.give_back(object, false, None);
                return self.repair(now, fault.to_string());
            }
            Remedy::Never => {
                self.pause.clear();
                self.store(object, old, refused(row, planned, fault));
                self.vote(object, planned, Verdict::Refused);
                return self.queue.done(object, now);
            }
            Remedy::Pause => {
                let (limits, asked) = (self.settings.backoff, fault.retry_after());
                self.pause.strike(now, fault.to_string(), limits, asked, backoff::chance());
            }
            Remedy::Later => self.pause.clear(),
        }
        let attempt = row.attempt.saturating_add(1);
        let wait = self.settings.backoff.wait(attempt, fault.retry_after(), backoff::chance());
        let due = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let row = LinkRow {
            unsure: row.remote_id.is_some() && (row.unsure || fault.leaves_doubt()),
            attempt,
            next_attempt: Some(due),
            last_error: Some(fault.to_string()),
            refused: None,
            refs: helpers(planned, fault),
            dangling: !planned.absent.is_empty(),
            ..row
        };
        self.store(object, old, row);
        self.queue.retry(object, due);
    }

    /// Whether this could be the entry of an object that we have made.
    fn is_known(&self, object: Uuid) -> bool {
        self.queue.contains(object)
            || self.links.get(object).is_some()
            || self.directory.read().by_uuid(object).is_some()
    }

    fn store(&mut self, object: Uuid, old: Option<&LinkRow>, row: LinkRow) {
        if old != Some(&row) {
            self.links.put(object, row);
            self.dirty.insert(object);
        }
    }

    fn drop_row(&mut self, object: Uuid) {
        if self.links.get(object).is_some() {
            self.dirty.insert(object);
        }
        let wanted_as_other = self.directory.read();
        self.links.remove(object);
        // What is no user any more may be a group now.
        if let Some(node) = wanted_as_other.by_uuid(object)
            && let Some(resource) = self.settings.scopes.resource(&wanted_as_other, node)
        {
            let now = (self.clock)();
            self.queue.add(object, resource, now, super::queue::Cause::default());
        }
    }

    fn vote(&mut self, object: Uuid, planned: &Planned, verdict: Verdict) {
        if planned.is_identity {
            self.votes.push(Vote { uuid: object, as_of: planned.as_of, verdict });
        }
    }

    /// One line for each push; names and reasons, no values.
    fn log(
        &self,
        object: Uuid,
        action: &'static str,
        result: Result<(), &Fault>,
        attempt: u32,
        elapsed: std::time::Duration,
    ) {
        let status = result.map_or_else(Fault::label, |()| "ok");
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(export = %self.name, %object, action, status, attempt, elapsed_us, "push");
        metrics::counter!(
            names::EXPORT_PUSHES,
            "target" => self.name.to_string(), "action" => action, "status" => status
        )
        .increment(1);
    }
}

/// How often a name that another of our objects holds is asked for, once that one has settled.
const TAKEN_ATTEMPTS: u32 = 4;

/// Entries whose changes may help: those in the document, and who holds the name.
fn helpers(planned: &Planned, fault: &Fault) -> Vec<Uuid> {
    let holder = match fault {
        Fault::Taken { by } => Some(*by),
        _ => None,
    };
    planned.refs.iter().copied().chain(holder).collect()
}

/// The row with what is known of the target's side; `None` if the target does not have it and no
/// entry wants it.
fn placed(old: Option<LinkRow>, planned: &Planned, place: &Place) -> Option<LinkRow> {
    match place {
        Place::AsBefore => old,
        Place::Linked(linked) => {
            let row = old.unwrap_or_else(|| LinkRow::new(planned.resource));
            let active = linked.sent.get("active").and_then(Value::as_bool);
            Some(LinkRow {
                resource: planned.resource,
                remote_id: Some(linked.id.clone()),
                sent: Some(canonical(&linked.sent)),
                etag: linked.etag.clone(),
                active: active.or(row.active),
                ..row
            })
        }
        Place::Gone => None,
    }
}

fn succeeded(row: LinkRow, planned: &Planned) -> LinkRow {
    LinkRow {
        as_of: planned.as_of,
        unsure: false,
        attempt: 0,
        next_attempt: None,
        last_error: None,
        refused: None,
        refs: planned.refs.clone(),
        dangling: !planned.absent.is_empty(),
        ..row
    }
}

fn refused(row: LinkRow, planned: &Planned, fault: &Fault) -> LinkRow {
    LinkRow {
        as_of: planned.as_of,
        attempt: row.attempt.saturating_add(1),
        next_attempt: None,
        last_error: Some(fault.to_string()),
        refused: Some(planned.checksum),
        refs: helpers(planned, fault),
        dangling: !planned.absent.is_empty(),
        ..row
    }
}
