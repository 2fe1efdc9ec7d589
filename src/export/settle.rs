//! What an attempt comes to: the row, the next attempt, the word to the directory.

use super::{
    backoff,
    carrier::Carrier,
    guard::Pass,
    plan::{Planned, Work},
    push::{Done, Place},
    row::{LinkRow, Staged},
    target::{Fault, Remedy, canonical},
    verdicts::{Verdict, Vote},
    worker::Worker,
};
use crate::{
    clock::Timestamp,
    names,
    provisioning::{Mechanism, Wish},
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

impl<C: Carrier> Worker<C> {
    /// Settles what needed no request.
    pub(super) fn settle_quietly(&mut self, object: Uuid, planned: Planned) {
        let now = (self.clock)();
        match &planned.work {
            Work::Skip => self.vote(object, &planned, Verdict::Accepted),
            Work::Unchanged => {
                let old = self.links.get(object);
                let row = old.clone().unwrap_or_else(|| LinkRow::new(planned.resource));
                self.store(object, old.as_ref(), succeeded(row, &planned));
                self.vote(object, &planned, Verdict::Accepted);
            }
            Work::Impossible(lacking) => {
                let fault = Fault::Refused(lacking.to_string());
                let old = self.links.get(object);
                let row = old.clone().unwrap_or_else(|| LinkRow::new(planned.resource));
                self.store(object, old.as_ref(), refused(row, &planned, &fault));
                self.log(object, "create", Err(&fault), 1, Duration::ZERO);
                self.vote(object, &planned, Verdict::Refused);
            }
            // Nothing has been said of this version, or it has been said before.
            _ => {}
        }
        self.done(object, now);
        self.tell(object, &json!({ "action": "none", "outcome": quiet(&planned.work) }));
    }

    /// A removal asks the guard; one that was approved goes.
    pub(super) fn guarded(&mut self, object: Uuid, planned: &Planned) -> Pass {
        let row = self.links.get(object);
        if row.as_ref().is_some_and(|row| row.staged.is_some_and(|staged| staged.approved)) {
            return Pass::Go;
        }
        if row.as_ref().is_some_and(|row| row.rejected == Some(planned.checksum)) {
            return Pass::Wait;
        }
        let (now, linked, limits) = ((self.clock)(), self.links.counts().linked, self.settings.guard);
        let was = self.links.own.guard;
        let pass = self.links.own.guard.ask(&limits, linked, now);
        self.own_dirty |= was != self.links.own.guard;
        if let (Pass::Go, Some(row)) = (pass, &row) {
            // Counted once, however often it is tried.
            let granted = Some(Staged { since: now, approved: true });
            self.store(object, Some(row), LinkRow { staged: granted, ..row.clone() });
        }
        if self.links.own.guard.tripped && !was.tripped {
            tracing::warn!(export = %self.name, removals = was.removals, "too many removals: the next ones wait for target approve or reject");
        }
        pass
    }

    /// Writes down that a removal waits; the row remembers it, so nothing is held back.
    pub(super) fn stage(&mut self, object: Uuid, planned: &Planned) {
        let now = (self.clock)();
        let old = self.links.get(object);
        if let Some(row) = old.clone().filter(|row| row.staged.is_none() && row.rejected != Some(planned.checksum)) {
            self.store(object, old.as_ref(), LinkRow { staged: Some(Staged { since: now, approved: false }), ..row });
        }
        self.done(object, now);
        self.tell(object, &json!({ "action": "none", "outcome": "staged: the removal waits for an approval" }));
    }

    /// Answers those who wait for what comes of a push.
    fn tell(&mut self, object: Uuid, what: &Value) {
        for waiter in self.waiters.remove(&object).unwrap_or_default() {
            // Whoever asked may have gone.
            let _ = waiter.send(Ok(what.clone()));
        }
    }

    /// Settles one object of a delivery.
    pub(super) fn settle(&mut self, object: Uuid, planned: Planned, done: Done, elapsed: Duration) {
        if self.links.own.wish == Wish::Retire {
            return;
        }
        let now = (self.clock)();
        let old = self.links.get(object);
        let attempt = old.as_ref().map_or(0, |row| row.attempt) + 1;
        self.log(object, done.action, done.fault.as_ref().map_or(Ok(()), Err), attempt, elapsed);
        let before = old.as_ref().and_then(|row| row.remote_id.clone());

        let row = placed(old.clone(), &planned, &done, now);
        if matches!(done.place, Place::Linked(_) | Place::Gone) {
            // Perhaps it has given its name away.
            self.circles.waiting_for(object).into_iter().for_each(|waiting| self.queue.hasten(waiting, now));
        }
        match &done.fault {
            None => {
                self.circles.forget(object);
                self.pause.clear();
                self.health.success(&self.settings.quarantine, now);
                self.board.change(|status| status.last_success = Some(now.to_string()));
                match row {
                    Some(row) => self.store(object, old.as_ref(), succeeded(row, &planned)),
                    None => self.drop_row(object),
                }
                self.vote(object, &planned, Verdict::Accepted);
                self.done(object, now);
            }
            Some(fault) => self.failed(object, old.as_ref(), row, &planned, fault),
        }
        let outcome = done.fault.as_ref().map_or("ok".to_owned(), ToString::to_string);
        self.tell(object, &json!({ "action": done.action, "outcome": outcome }));
        if self.links.remote_id(object) != before {
            let snapshot = self.directory.read();
            self.ask_referrers(&snapshot, object, super::queue::Cause::default());
            self.links.referrers(object).into_iter().for_each(|referrer| self.leave_open(referrer));
        }
    }

    /// No journal record asks for what is to be done only because of another object. The row does, from
    /// the same write on that has the other object's.
    fn leave_open(&mut self, object: Uuid) {
        if self.links.leave_open(object) {
            self.dirty.insert(object);
        }
    }

    /// The object is settled, unless something has asked for it meanwhile.
    fn done(&mut self, object: Uuid, now: Timestamp) {
        self.queue.done(object, now);
        if self.queue.contains(object) {
            self.leave_open(object);
        }
    }

    fn failed(&mut self, object: Uuid, old: Option<&LinkRow>, row: Option<LinkRow>, planned: &Planned, fault: &Fault) {
        let now = (self.clock)();
        let row = row.unwrap_or_else(|| LinkRow::new(planned.resource));
        let remedy = match fault {
            Fault::Taken { by } if row.attempt > 0 && !self.is_known(*by) => Remedy::Never,
            Fault::Taken { by } if self.wait_for_name(object, *by) >= TAKEN_ATTEMPTS => Remedy::Never,
            other => other.remedy(),
        };
        self.board.change(|status| status.last_error = Some(fault.to_string()));
        self.links.set_refs(object, helpers(planned, fault));
        if !matches!(fault, Fault::Taken { .. }) || remedy == Remedy::Never {
            self.circles.forget(object);
        }
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
                self.count_failure(now, planned);
                self.store(object, old, refused(row, planned, fault));
                self.vote(object, planned, Verdict::Refused);
                return self.done(object, now);
            }
            Remedy::Pause => self.strike(now, fault),
            // Whoever waits for another one's name waits for us, not for the target.
            Remedy::Later if matches!(fault, Fault::Taken { .. }) => self.pause.clear(),
            Remedy::Later => {
                self.pause.clear();
                self.count_failure(now, planned);
            }
        }
        let attempt = row.attempt.saturating_add(1);
        // A target that is away says nothing of the object.
        let limits = self.settings.quarantine;
        let its_own = remedy == Remedy::Later && !matches!(fault, Fault::Taken { .. });
        let quarantined = row.quarantined || (its_own && attempt >= limits.object_attempts);
        let wait = self.settings.backoff.wait(attempt, fault.retry_after(), backoff::chance());
        let wait = if quarantined { wait.max(limits.object_wait) } else { wait };
        let due = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let row = LinkRow {
            unsure: row.remote_id.is_some() && (row.unsure || fault.leaves_doubt()),
            attempt,
            next_attempt: Some(due),
            last_error: Some(fault.to_string()),
            refused: None,
            refs: helpers(planned, fault),
            dangling: !planned.absent.is_empty(),
            quarantined,
            ..row
        };
        self.store(object, old, row);
        self.queue.retry(object, due);
    }

    /// Too many failures put the whole target in quarantine. Those of objects that only wait for others
    /// are not the target's.
    fn count_failure(&mut self, now: Timestamp, planned: &Planned) {
        let limits = self.settings.quarantine;
        if !planned.absent.is_empty() {
            return;
        }
        if let Some(why) = self.health.failure(&limits, now) {
            tracing::warn!(export = %self.name, why, "export paused");
            let wait = backoff::Backoff { min: limits.target_wait, max: limits.target_wait };
            self.pause.strike(now, why, wait, None, backoff::chance());
        }
    }

    fn wait_for_name(&mut self, object: Uuid, by: Uuid) -> u32 {
        let busy = self.queue.contains(by);
        self.circles.wait(object, by, busy)
    }

    /// Whether this could be the entry of an object that we have made.
    fn is_known(&self, object: Uuid) -> bool {
        self.queue.contains(object) || self.links.contains(object) || self.directory.read().by_uuid(object).is_some()
    }

    pub(super) fn store(&mut self, object: Uuid, old: Option<&LinkRow>, row: LinkRow) {
        if old != Some(&row) {
            self.links.put(object, row);
            self.dirty.insert(object);
        }
    }

    pub(super) fn drop_row(&mut self, object: Uuid) {
        if self.links.contains(object) {
            self.dirty.insert(object);
        }
        let wanted_as_other = self.directory.read();
        self.links.remove(object);
        // What is no user any more may be a group now.
        if let Some(node) = wanted_as_other.by_uuid(object)
            && let Some(resource) = self.settings.scopes.resource(&wanted_as_other, node)
        {
            let now = (self.clock)();
            // Asked for by the same journal record, which would else be passed.
            let number = self.queue.number(object);
            self.queue.add(object, resource, now, super::queue::Cause { number, ..Default::default() });
        }
    }

    fn vote(&mut self, object: Uuid, planned: &Planned, verdict: Verdict) {
        if planned.is_identity {
            self.votes.push(Vote { uuid: object, as_of: planned.as_of, verdict });
        }
    }

    /// One line for each push; names and reasons, no values.
    fn log(&self, object: Uuid, action: &'static str, result: Result<(), &Fault>, attempt: u32, elapsed: Duration) {
        let status = result.map_or_else(Fault::label, |()| "ok");
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(export = %self.name, %object, action, status, attempt, elapsed_us, "push");
        metrics::counter!(
            names::EXPORT_PUSHES,
            "target" => self.name.to_string(), "action" => action, "status" => status
        )
        .increment(1);
        metrics::histogram!(names::EXPORT_SECONDS, "target" => self.name.to_string()).record(elapsed.as_secs_f64());
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

/// What came of a plan that needed no request.
fn quiet(work: &Work) -> String {
    match work {
        Work::Skip => "out of scope".to_owned(),
        Work::Unchanged => "the target has it as it is".to_owned(),
        Work::StillRefused => "the target has refused exactly this before".to_owned(),
        Work::Impossible(lacking) => lacking.to_string(),
        _ => "not to be sent now".to_owned(),
    }
}

/// The row with what is known of the target's side; `None` if the target does not have it and no
/// entry wants it.
fn placed(old: Option<LinkRow>, planned: &Planned, done: &Done, now: Timestamp) -> Option<LinkRow> {
    match &done.place {
        Place::AsBefore => old,
        Place::Linked(linked) => {
            let row = old.unwrap_or_else(|| LinkRow::new(planned.resource));
            let active = linked.sent.get("active").and_then(Value::as_bool);
            let is_new = row.remote_id.as_ref() != Some(&linked.id);
            let made = if done.action == "adopt" { Mechanism::Adoption } else { Mechanism::Provisioning };
            Some(LinkRow {
                resource: planned.resource,
                remote_id: Some(linked.id.clone()),
                sent: Some(canonical(&linked.sent)),
                etag: linked.etag.clone(),
                active: active.or(row.active),
                since: if is_new { Some(now) } else { row.since },
                updated: Some(now),
                mechanism: if is_new { Some(made) } else { row.mechanism },
                dropped: linked.dropped.clone(),
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
        quarantined: false,
        staged: None,
        rejected: None,
        leaving: planned.leaving,
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
