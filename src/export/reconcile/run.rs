//! One reconciliation as a task beside the worker: lists, judges, writes down, and asks the worker to
//! repair. It sends nothing that changes the target.

use super::{
    batch::{Batch, BatchStatus, Step},
    compare::Known,
    event::{Event, EventStatus},
    files::Folder,
    judge::{self, Judge},
    pull,
};
use crate::{
    clock::Clock,
    directory::{Directory, Error, Node, Snapshot, View},
    dn::Dn,
    export::{
        backoff::{self, Backoff},
        carrier::Carrier,
        ldap::Form,
        leavers::Leavers,
        links::Links,
        mapping::Mapping,
        plan::Context,
        push::Match,
        scope::Scopes,
        target::{Fault, Listed, Page, Remedy, Remote, Resource},
    },
    filter::{self, Filter},
};
use smol_str::SmolStr;
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::Arc,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An object that the worker should put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    pub object: Uuid,
    pub resource: Resource,
    /// The target's id, for what is not linked yet.
    pub remote_id: Option<String>,
}

/// All that a run looks at.
pub struct Ground {
    pub name: SmolStr,
    pub directory: Arc<Directory>,
    /// A look at the worker's rows.
    pub links: Links,
    pub scopes: Scopes,
    pub form: Option<Arc<Form>>,
    pub mapping: Arc<Mapping>,
    pub leavers: Leavers,
    pub matching: Match,
    /// By which entries are found, beside link and externalId.
    pub keys: HashMap<Resource, Vec<SmolStr>>,
    pub backoff: Backoff,
    pub clock: Clock,
    pub stop: CancellationToken,
    pub folder: Folder,
    pub mends: mpsc::Sender<Mend>,
}

pub struct Run<C> {
    carrier: Arc<C>,
    ground: Ground,
    batch: Batch,
    /// Which object of the target was on a page, by entry.
    seen: HashMap<Uuid, String>,
    /// All that was on a page.
    ids: HashSet<(Resource, String)>,
}

/// Why a run ends early.
enum End {
    /// The server stops: the next one goes on.
    Stopped,
    Failed(String),
}

impl<C: Carrier> Run<C> {
    pub fn new(carrier: Arc<C>, ground: Ground, batch: Batch) -> Self {
        Run { carrier, ground, batch, seen: HashMap::new(), ids: HashSet::new() }
    }

    pub async fn run(mut self) {
        tracing::info!(export = %self.ground.name, batch = %self.batch.id, dry_run = self.batch.asked.dry_run, "reconciliation");
        let ended = self.work().await;
        let (status, why) = match ended {
            Ok(()) => (BatchStatus::Completed, None),
            Err(End::Stopped) => (BatchStatus::Interrupted, None),
            Err(End::Failed(why)) => (BatchStatus::Failed, Some(why)),
        };
        self.batch.end(status, why, (self.ground.clock)());
        if let Err(error) = self.ground.folder.save(&self.batch) {
            tracing::error!(export = %self.ground.name, %error, "the end of a reconciliation cannot be written down");
        }
        let events = self.batch.cursor.row_number;
        tracing::info!(export = %self.ground.name, batch = %self.batch.id, ?status, events, "reconciliation ended");
    }

    async fn work(&mut self) -> Result<(), End> {
        self.take_up()?;
        let asked = self.filter()?;
        loop {
            match self.batch.cursor.step {
                Step::List => match self.batch.listing() {
                    Some(resource) => self.list(resource, asked.as_ref()).await?,
                    None => self.batch.advance(),
                },
                Step::Stale => self.stale(asked.as_ref()).await?,
                Step::Repair => self.repair().await?,
                Step::Done => return Ok(()),
            }
        }
    }

    /// From where an earlier process stopped, if one did: what its last header does not speak of is cut
    /// off, and what was seen is read back.
    fn take_up(&mut self) -> Result<(), End> {
        self.batch.status = BatchStatus::Running;
        // Asking twice for a repair costs a look; not asking would lose it.
        self.batch.cursor.repaired_rows = 0;
        self.batch.repairs = 0;
        self.batch.refused = 0;
        self.ground.folder.save(&self.batch).map_err(disk)?;
        self.ground.folder.cut(&self.batch).map_err(disk)?;
        for event in self.ground.folder.each(&self.batch).map_err(disk)? {
            let event = event.map_err(disk)?;
            let Some(id) = event.resource_id else { continue };
            self.ids.insert((event.resource_type, id.clone()));
            if let (Some(object), true) =
                (event.object, event.matched_by.is_some() && event.status != EventStatus::Ambiguous)
            {
                self.seen.insert(object, id);
            }
        }
        Ok(())
    }

    fn filter(&self) -> Result<Option<Filter>, End> {
        let Some(text) = &self.batch.asked.scope else { return Ok(None) };
        let ast = filter::parse(text).map_err(|error| End::Failed(format!("scope: {error}")))?;
        Ok(Some(Filter::bind(&ast, &self.ground.directory.read().schema)))
    }

    /// All pages of one kind of resource.
    async fn list(&mut self, resource: Resource, asked: Option<&Filter>) -> Result<(), End> {
        let known = self.know(resource).await?;
        loop {
            let page = Page { skip: self.batch.cursor.skip, cursor: self.batch.cursor.page.clone() };
            let carrier = Arc::clone(&self.carrier);
            let Listed { mut objects, next, total } = self.patiently(|| carrier.list(resource, &page)).await?;
            if let Some(total) = total.filter(|_| page == Page::default()) {
                self.batch.expected = Some(self.batch.expected.unwrap_or(0) + total as u64);
            }
            let on_page = objects.len();
            // Pages shift while others write.
            objects.retain(|remote| self.ids.insert((resource, remote.id.clone())));
            if objects.is_empty() && on_page > 0 && next.is_some() {
                return Err(End::Failed("the target shows the same page again: it cannot be listed".to_owned()));
            }
            let events = self.judge(resource, &known, &objects, asked).await;
            match next {
                Some(next) => {
                    self.batch.cursor.skip = next.skip;
                    self.batch.cursor.page = next.cursor;
                    self.write(events).await?;
                }
                None => {
                    self.batch.cursor.resource += 1;
                    self.batch.cursor.skip = 0;
                    self.batch.cursor.page = None;
                    return self.write(events).await;
                }
            }
        }
    }

    /// What the directory and the rows say of all entries that the target may have.
    async fn know(&self, resource: Resource) -> Result<Known, End> {
        let snapshot = self.ground.directory.read();
        let context = self.context(&snapshot);
        let mut known = Known::new(self.ground.keys.get(&resource).cloned().unwrap_or_default());
        for (object, id) in self.linked(resource) {
            known.link(object, &id);
        }
        for (looked_at, node) in snapshot.walk().enumerate() {
            if looked_at % LOOKS_A_TURN == LOOKS_A_TURN - 1 {
                tokio::task::yield_now().await;
                self.go_on()?;
            }
            if self.ground.scopes.resource(&snapshot, node) == Some(resource) {
                let object = node.entry.uuid;
                known.entry(object, judge::wanted(&context, object, resource).as_ref());
            }
        }
        Ok(known)
    }

    fn linked(&self, resource: Resource) -> Vec<(Uuid, String)> {
        let mut linked = self
            .ground
            .links
            .collect(|object, row| Some((object, row.remote_id.clone()?)).filter(|_| row.resource == resource));
        linked.sort_unstable();
        linked
    }

    async fn judge(
        &mut self,
        resource: Resource,
        known: &Known,
        objects: &[Remote],
        asked: Option<&Filter>,
    ) -> Vec<Event> {
        let snapshot = self.ground.directory.read();
        let mut seen = std::mem::take(&mut self.seen);
        let mut judge = self.judging(&snapshot, resource, known, &mut seen);
        let mut events = Vec::with_capacity(objects.len());
        for objects in objects.chunks(LOOKS_A_TURN) {
            events.extend(objects.iter().map(|remote| judge.remote(remote)));
            tokio::task::yield_now().await;
        }
        self.seen = seen;
        // What matches no entry matches no filter on entries.
        events.retain(|event| asked.is_none_or(|filter| is_asked(&snapshot, event.object, filter)));
        events
    }

    fn judging<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        resource: Resource,
        known: &'a Known,
        seen: &'a mut HashMap<Uuid, String>,
    ) -> Judge<'a> {
        Judge { context: self.context(snapshot), resource, known, matching: self.ground.matching, seen }
    }

    fn context<'a>(&'a self, snapshot: &'a Snapshot) -> Context<'a> {
        let Ground { scopes, mapping, leavers, form, links, clock, .. } = &self.ground;
        Context { snapshot, scopes, mapping, leavers, form: form.as_deref(), links, now: clock() }
    }

    /// Links whose object was on no page. Pages shift while others write, so each is looked at once more.
    async fn stale(&mut self, asked: Option<&Filter>) -> Result<(), End> {
        let mut events = Vec::new();
        for resource in self.batch.resource_types.clone() {
            for (object, id) in self.linked(resource) {
                self.go_on()?;
                let is_wanted = asked.is_none_or(|f| is_asked(&self.ground.directory.read(), Some(object), f));
                if self.seen.get(&object) == Some(&id) || !is_wanted {
                    continue;
                }
                let carrier = Arc::clone(&self.carrier);
                let held = match self.patiently_or(|| carrier.read(resource, &id)).await? {
                    Ok(remote) => Some(remote),
                    // A target that cannot be asked for one object has shown all that it has.
                    Err(Fault::NotFound | Fault::Refused(_)) => None,
                    Err(fault) => return Err(End::Failed(fault.to_string())),
                };
                // Meanwhile the worker may have linked it anew, or removed it.
                if self.ground.links.remote_id(object).as_deref() != Some(id.as_str()) {
                    continue;
                }
                let snapshot = self.ground.directory.read();
                let mut known = Known::default();
                known.link(object, &id);
                let mut seen = HashMap::new();
                let mut judge = self.judging(&snapshot, resource, &known, &mut seen);
                events.push(match held {
                    Some(remote) => judge.remote(&remote),
                    None => judge.stale(object, &id),
                });
            }
        }
        self.batch.advance();
        self.write(events).await
    }

    /// Has the worker look at what differs; what is ambiguous is left to a human.
    async fn repair(&mut self) -> Result<(), End> {
        let mut ambiguous: HashSet<Uuid> = HashSet::new();
        for event in self.ground.folder.each(&self.batch).map_err(disk)? {
            let event = event.map_err(disk)?;
            ambiguous.extend(event.object.filter(|_| event.status == EventStatus::Ambiguous));
        }
        for event in self.ground.folder.each(&self.batch).map_err(disk)? {
            self.go_on()?;
            let event = event.map_err(disk)?;
            self.batch.cursor.repaired_rows = event.row_number;
            let Some(mend) = mend(&self.batch, &event, &ambiguous) else { continue };
            // Before the worker looks: what the entry has by then is what it sends.
            self.pull(&event).await?;
            let sent = tokio::select! {
                () = self.ground.stop.cancelled() => return Err(End::Stopped),
                sent = self.ground.mends.send(mend) => sent,
            };
            sent.map_err(|_| End::Stopped)?;
            self.batch.repairs += 1;
        }
        self.batch.advance();
        self.ground.folder.save(&self.batch).map_err(disk)
    }

    /// Writes into the directory what its direction lets come from the target.
    async fn pull(&mut self, event: &Event) -> Result<(), End> {
        let snapshot = self.ground.directory.read();
        let node = event.object.and_then(|object| snapshot.by_uuid(object));
        let Some(node) = node.filter(|_| !event.pulled.is_empty()) else { return Ok(()) };
        let Ok(dn) = Dn::parse(&snapshot.dn_text(node)) else { return Ok(()) };
        let update = pull::update(&self.ground.name, dn, &event.pulled, event.as_of);
        match self.ground.directory.submit_update(update).await {
            Ok(_) => Ok(()),
            Err(error @ (Error::Unavailable | Error::NoSpace)) => Err(End::Failed(error.to_string())),
            Err(error) => {
                let object = node.entry.uuid;
                tracing::warn!(export = %self.ground.name, %object, %error, "the directory did not take what the target has");
                self.batch.refused += 1;
                Ok(())
            }
        }
    }

    /// Events first, then the header that speaks of them.
    async fn write(&mut self, mut events: Vec<Event>) -> Result<(), End> {
        for event in &mut events {
            self.batch.cursor.row_number += 1;
            event.row_number = self.batch.cursor.row_number;
            *self.batch.counts.entry(event.status).or_default() += 1;
        }
        let (folder, mut batch) = (self.ground.folder.clone(), self.batch.clone());
        // The disk may take its time.
        let written = tokio::task::spawn_blocking(move || {
            if !events.is_empty() {
                batch.cursor.event_bytes = folder.append(&batch, &events)?;
            }
            folder.save(&batch)?;
            std::io::Result::Ok(batch)
        });
        let written = written.await.map_err(|error| End::Failed(format!("internal: {error}")))?;
        self.batch = written.map_err(disk)?;
        self.go_on()
    }

    fn go_on(&self) -> Result<(), End> {
        if self.ground.stop.is_cancelled() { Err(End::Stopped) } else { Ok(()) }
    }

    /// Asks again while the target is busy or away.
    async fn patiently<T, F: Future<Output = Result<T, Fault>>>(&self, ask: impl Fn() -> F) -> Result<T, End> {
        self.patiently_or(ask).await?.map_err(|fault| End::Failed(fault.to_string()))
    }

    /// As [`Run::patiently`]; what will not change by waiting is the answer.
    async fn patiently_or<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<Result<T, Fault>, End> {
        let mut attempt = 0;
        loop {
            let fault = match ask().await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(fault) => fault,
            };
            attempt += 1;
            let may_change = matches!(fault, Fault::Busy { .. }) || fault.remedy() == Remedy::Pause;
            if !may_change || attempt > ATTEMPTS {
                return Ok(Err(fault));
            }
            let wait = self.ground.backoff.wait(attempt, fault.retry_after(), backoff::chance());
            tokio::select! {
                () = self.ground.stop.cancelled() => return Err(End::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn is_asked(snapshot: &Snapshot, object: Option<Uuid>, filter: &Filter) -> bool {
    let holds = |node: &Node| filter.matches(&View::unrestricted(snapshot, node), &snapshot.schema);
    object.and_then(|object| snapshot.by_uuid(object)).is_some_and(|node| holds(node))
}

/// What the worker is asked for an event, if anything.
fn mend(batch: &Batch, event: &Event, ambiguous: &HashSet<Uuid>) -> Option<Mend> {
    let object = event.object?;
    let is_new = matches!(event.status, EventStatus::NewUserAccountCreated | EventStatus::NewResourceCreated);
    let wanted = match event.status {
        EventStatus::Orphan => batch.asked.repair_orphans && !ambiguous.contains(&object),
        status => batch.asked.repair && status.is_repairable() && !(is_new && ambiguous.contains(&object)),
    };
    let links = is_new || event.status == EventStatus::Orphan;
    let remote_id = event.resource_id.clone().filter(|_| links);
    wanted.then_some(Mend { object, resource: event.resource_type, remote_id })
}

fn disk(error: std::io::Error) -> End {
    End::Failed(format!("the reconciliation cannot be written down: {error}"))
}

/// Entries or objects that are looked at between two looks at the rest of the program.
const LOOKS_A_TURN: usize = 64;

/// How often a target that is busy or away is asked again for one page.
const ATTEMPTS: u32 = 20;
