//! From the journal to items of the queue: every change names an object to look at, and those
//! whose documents speak of it.

use super::{carrier::Carrier, leavers, queue::Cause, target::Resource, worker::Worker};
use crate::{
    clock::Timestamp,
    directory::{Change, ChangeKind, Error, Snapshot},
    dn::Dn,
    lifecycle::State,
    store,
};
use uuid::Uuid;

impl<C: Carrier> Worker<C> {
    /// What a start finds: the cursor or none, failures that wait, objects that are gone.
    pub(super) async fn begin(&mut self) {
        let snapshot = self.directory.read();
        let known = self.links.cursor.filter(|cursor| *cursor <= snapshot.head);
        match known {
            Some(cursor) if self.links.own.settings == Some(self.settings.fingerprint) => {
                self.read = cursor;
                self.saved_cursor = Some(cursor);
                self.first_head = snapshot.head;
                self.resume(&snapshot);
                self.feed().await;
            }
            _ => self.full_pass(false).await,
        }
    }

    /// Of a target that an operator has put to rest: the journal is not kept for it.
    pub(super) async fn rest(&mut self) {
        self.read = self.links.cursor.unwrap_or(0);
        self.saved_cursor = Some(self.read);
        if let Err(error) = self.directory.hold_journal(&self.name, false).await {
            tracing::warn!(export = %self.name, %error, "the journal is kept for a target that rests");
        }
    }

    /// What is to be done is in the queue, one item for each object; the journal behind it serves a restart
    /// only. For a target that lags far it is let go: a restart then looks at everything, as a full pass.
    pub(super) async fn mind_journal(&mut self) {
        let hold = self.directory.limits.journal_hold;
        let lag = (*self.directory.head().borrow()).saturating_sub(self.saved_cursor.unwrap_or(0));
        let far = if self.left_behind { lag > hold / 2 } else { lag > hold };
        if far == self.left_behind || !self.reads() {
            return;
        }
        match self.directory.hold_journal(&self.name, !far).await {
            Ok(()) => {
                tracing::info!(export = %self.name, lag, kept = !far, "the journal is kept for this target, or is not");
                self.left_behind = far;
            }
            Err(error) => tracing::debug!(export = %self.name, %error, "the journal stays as it is"),
        }
    }

    /// Rows that ask for work without any change.
    fn resume(&mut self, snapshot: &Snapshot) {
        let now = (self.clock)();
        let found: Vec<(Uuid, Resource, Timestamp)> = self.links.collect(|object, row| {
            let retries = row.last_error.is_some() && !row.is_refused();
            let approved = row.staged.is_some_and(|staged| staged.approved);
            let gone = snapshot.by_uuid(object).is_none();
            let asks = (gone && row.leaving.is_none()) || row.dangling || retries || approved || row.unsure;
            asks.then(|| (object, row.resource, row.next_attempt.unwrap_or(now)))
        });
        // The last process may have done it and not written it down.
        let cause = Cause { doubt: true, ..Cause::default() };
        for (object, resource, due) in found {
            self.queue.add(object, resource, due, cause);
        }
        // What time alone changes comes to no change.
        for object in self.links.collect(|object, row| row.leaving.map(|_| object)) {
            self.ask(snapshot, object, Cause::default());
        }
        for node in snapshot.walk().filter(|node| leavers::is_timed(snapshot, node)) {
            self.ask(snapshot, node.entry.uuid, Cause::default());
        }
    }

    /// Looks at every entry in scope and at every object that is linked. What the target holds
    /// already as it should be costs no request, unless what is known of the target is in `doubt`.
    pub(super) async fn full_pass(&mut self, doubt: bool) {
        let snapshot = self.directory.read();
        // The head first: whatever changes during the pass is read from the journal after it.
        self.read = snapshot.head;
        self.first_head = snapshot.head;
        self.pass_open = true;
        let now = (self.clock)();
        let cause = Cause { number: Some(0), force: doubt, doubt };
        for (looked_at, node) in snapshot.walk().enumerate() {
            // Others have work, too.
            if looked_at % LOOKS_A_TURN == LOOKS_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(resource) = self.settings.scopes.resource(&snapshot, node) {
                self.queue.add(node.entry.uuid, resource, now, cause);
            }
        }
        let rows: Vec<(Uuid, Resource)> = self.links.collect(|uuid, row| Some((uuid, row.resource)));
        for (object, resource) in rows {
            self.queue.add(object, resource, now, cause);
        }
        tracing::info!(export = %self.name, objects = self.queue.len(), head = self.read, "full pass");
    }

    /// Reads the journal to its end.
    pub(super) async fn feed(&mut self) {
        loop {
            let page = self.directory.limits.journal_page;
            match self.directory.read_log(self.read, page).await {
                Ok(changes) if changes.is_empty() => return,
                Ok(changes) => {
                    let snapshot = self.directory.read();
                    let mut touched = false;
                    for (number, change) in changes {
                        touched |= self.note(&snapshot, number, &change);
                        self.read = number;
                    }
                    if touched {
                        self.ask_dynamic_groups(&snapshot, self.read);
                    }
                }
                Err(Error::Store(store::Error::Trimmed { .. })) => return self.full_pass(false).await,
                Err(error) => return self.halt(format!("the journal cannot be read: {error}")),
            }
        }
    }

    /// False if the change asks for nothing.
    fn note(&mut self, snapshot: &Snapshot, number: u64, change: &Change) -> bool {
        // Our own reports move states too; only a release by someone asks for work.
        if matches!(change.kind, ChangeKind::State { to, .. } if to != State::ToSync.number()) {
            return false;
        }
        let cause = Cause { number: Some(number), force: true, doubt: number <= self.first_head };
        let resource = self.ask(snapshot, change.uuid, cause);
        let moved = matches!(change.kind, ChangeKind::Rename { .. });
        let shows = self.settings.mapping.reads_others();
        if moved || change.kind == ChangeKind::Delete || resource == Resource::Group || shows {
            // What was refused for want of something else may be taken now.
            self.ask_referrers(snapshot, change.uuid, cause);
        }
        if change.kind == ChangeKind::Delete {
            self.verdicts.forget(change.uuid);
        }
        if (moved || change.kind == ChangeKind::Add)
            && let Ok(dn) = Dn::parse(&change.dn)
        {
            for object in self.links.waiting_for(&snapshot.schema.dn_key(&dn), moved) {
                self.ask(snapshot, object, cause);
            }
        }
        if moved {
            self.ask_below(snapshot, change.uuid, cause);
        }
        true
    }

    /// Whom a search finds may be others after any change.
    fn ask_dynamic_groups(&mut self, snapshot: &Snapshot, number: u64) {
        let cause = Cause { number: Some(number), ..Cause::default() };
        for node in snapshot.dynamic_groups() {
            let uuid = node.entry.uuid;
            if self.links.contains(uuid) || self.settings.scopes.resource(snapshot, node).is_some() {
                self.ask(snapshot, uuid, cause);
            }
            self.ask_referrers(snapshot, uuid, Cause::default());
        }
    }

    /// A rename moves everything below, in one journal record.
    fn ask_below(&mut self, snapshot: &Snapshot, top: Uuid, cause: Cause) {
        let Some(node) = snapshot.by_uuid(top) else { return };
        let mut open: Vec<_> = snapshot.children(node.id).collect();
        while let Some(id) = open.pop() {
            open.extend(snapshot.children(id));
            if let Some(node) = snapshot.node(id) {
                self.ask(snapshot, node.entry.uuid, cause);
                self.ask_referrers(snapshot, node.entry.uuid, cause);
            }
        }
    }

    pub(super) fn ask_referrers(&mut self, snapshot: &Snapshot, object: Uuid, cause: Cause) {
        for referrer in self.links.referrers(object) {
            self.ask(snapshot, referrer, cause);
        }
    }

    pub(super) fn ask(&mut self, snapshot: &Snapshot, object: Uuid, cause: Cause) -> Resource {
        let of_entry = || self.settings.scopes.resource(snapshot, snapshot.by_uuid(object)?);
        let of_row = self.links.resource(object);
        let resource = of_row.or_else(of_entry).unwrap_or(Resource::User);
        let now = (self.clock)();
        self.queue.add(object, resource, now, cause);
        resource
    }
}

/// Entries that a full pass looks at between two looks at the rest of the program.
const LOOKS_A_TURN: usize = 1024;
