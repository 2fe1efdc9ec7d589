//! The one task of a target: takes what is due, lets it be pushed, and writes down what came of
//! it. Everything that the target is known to hold belongs to this task alone.

use super::{
    backoff::{self, Backoff},
    carrier::{Carrier, Job},
    circles::Circles,
    guard::{GuardLimits, Pass},
    health::{Health, Quarantine},
    ldap::Form,
    leavers::Leavers,
    ledger::Ledger,
    links::Links,
    mapping::Mapping,
    orders::Order,
    pause::Pause,
    plan::{self, Planned, Work},
    push::{Done, Match},
    queue::{Cause, Queue},
    reconcile::{self, Mend},
    save::Report,
    scope::Scopes,
    status::{self, Board},
    target::{Fault, Remedy, Resource},
    verdicts::{Verdicts, Vote},
    wakes::Wakes,
};
use crate::{
    clock::{Clock, Timestamp},
    directory::{Directory, Row},
    names,
    provisioning::{Refusal, State, Wish},
};
use serde_json::Value;
use smol_str::SmolStr;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    pub scopes: Scopes,
    pub matching: Match,
    /// Of a target that gets entries as entries.
    pub form: Option<Arc<Form>>,
    pub mapping: Arc<Mapping>,
    pub backoff: Backoff,
    /// Deliveries under way at one time.
    pub concurrency: usize,
    pub leavers: Leavers,
    pub guard: GuardLimits,
    pub quarantine: Quarantine,
    /// Where reconciliations are written down.
    pub reconciliations: Option<reconcile::Folder>,
    /// Changes with everything that changes what is sent of an unchanged entry.
    pub fingerprint: u32,
}

pub struct Worker<C> {
    pub(super) name: SmolStr,
    /// Its number among the enabled targets.
    pub(super) index: usize,
    pub(super) carrier: Arc<C>,
    pub(super) settings: Settings,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) board: Board,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) links: Links,
    pub(super) queue: Queue,
    pub(super) circles: Circles,
    pub(super) wakes: Wakes,
    pub(super) pause: Pause,
    pub(super) health: Health,
    pub(super) ledger: Ledger,
    pub(super) orders: mpsc::Receiver<Order>,
    /// The reconciliation that is under way, and what it has found to be put right.
    pub(super) reconciling: Option<Uuid>,
    pub(super) mends: (mpsc::Sender<Mend>, mpsc::Receiver<Mend>),
    /// Who waits for the outcome of a push.
    pub(super) waiters: HashMap<Uuid, Vec<oneshot::Sender<Result<Value, Refusal>>>>,
    /// The last journal record that was read.
    pub(super) read: u64,
    /// The head at start: what came before may have been pushed by an earlier process.
    pub(super) first_head: u64,
    /// A full pass is not yet settled and written down.
    pub(super) pass_open: bool,
    /// The journal is not kept for it: it lags too far.
    pub(super) left_behind: bool,
    pub(super) saved_cursor: Option<u64>,
    pub(super) tasks: JoinSet<Event>,
    /// The objects of each delivery under way.
    running: HashMap<Id, HashMap<Uuid, Planned>>,
    /// The target is being opened or probed.
    opening: bool,
    /// Until when changes are gathered for one delivery.
    gathering: Option<Timestamp>,
    /// Rows to be written.
    pub(super) dirty: HashSet<Uuid>,
    /// The target's own row is to be written.
    pub(super) own_dirty: bool,
    pub(super) votes: Vec<Vote>,
    pub(super) reports: Vec<Report>,
    pub(super) saving: bool,
    pub(super) reporting: bool,
    /// Until when nothing is written, after the directory refused.
    pub(super) hold: Option<Timestamp>,
    /// Why nothing more will be done before a restart.
    pub(super) halted: Option<String>,
}

/// What a task of the worker ends with.
pub(super) enum Event {
    Delivered {
        done: Vec<(Uuid, Done)>,
        elapsed: Duration,
    },
    Opened(Result<(), Fault>),
    Saved(Box<super::save::Saved>),
    Reported(Vec<Report>),
    /// A reconciliation has come to its end.
    Reconciled,
    /// It has told whom it concerned by itself.
    Quiet,
}

/// What [`super::start`] hands to a worker.
pub struct Parts<C> {
    pub name: SmolStr,
    pub index: usize,
    pub carrier: C,
    pub settings: Settings,
    pub directory: Arc<Directory>,
    pub clock: Clock,
    pub stop: CancellationToken,
    pub board: Board,
    pub verdicts: Arc<Verdicts>,
    pub links: Links,
    pub ledger: Ledger,
    pub orders: mpsc::Receiver<Order>,
    pub reports: Vec<Report>,
}

impl<C: Carrier> Worker<C> {
    pub fn new(parts: Parts<C>) -> Self {
        let Parts { name, index, carrier, settings, directory, clock, stop, board, verdicts, links, .. } = parts;
        Worker {
            name,
            index,
            carrier: Arc::new(carrier),
            settings,
            directory,
            clock,
            stop,
            board,
            verdicts,
            links,
            ledger: parts.ledger,
            orders: parts.orders,
            reconciling: None,
            mends: mpsc::channel(MENDS),
            reports: parts.reports,
            waiters: HashMap::new(),
            queue: Queue::default(),
            circles: Circles::default(),
            wakes: Wakes::default(),
            pause: Pause::before_opening(),
            health: Health::default(),
            read: 0,
            first_head: 0,
            pass_open: false,
            left_behind: false,
            saved_cursor: None,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            opening: false,
            gathering: None,
            dirty: HashSet::new(),
            own_dirty: false,
            votes: Vec::new(),
            saving: false,
            reporting: false,
            hold: None,
            halted: None,
        }
    }

    pub async fn run(mut self) {
        let mut head = self.directory.head();
        head.mark_unchanged();
        match self.reads() {
            true => self.begin().await,
            false => self.rest().await,
        }
        self.resume_reconciliation();
        while !self.stop.is_cancelled() {
            self.fill().await;
            self.save();
            self.report();
            self.show();
            self.mind_journal().await;
            self.wait(&mut head).await;
        }
        self.end().await;
    }

    /// Nothing more can be done before a restart.
    pub(super) fn halt(&mut self, why: String) {
        tracing::error!(export = %self.name, why, "export stopped");
        self.halted = Some(why);
    }

    async fn wait(&mut self, head: &mut watch::Receiver<u64>) {
        let now = (self.clock)();
        let sleep = self.wake(now).map(|at| Duration::from_micros(u64::try_from(at.0 - now.0).unwrap_or(0)));
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            changed = head.changed(), if self.halted.is_none() && self.reads() => match changed {
                Ok(()) => {
                    head.mark_unchanged();
                    self.feed().await;
                }
                Err(_) => self.halt("the directory has stopped".to_owned()),
            },
            Some(order) = self.orders.recv() => self.obey(order).await,
            Some(mend) = self.mends.1.recv() => self.mend(mend),
            Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.ended(ended),
            () = tokio::time::sleep(sleep.unwrap_or_default().max(SHORTEST_SLEEP)), if sleep.is_some() => {}
        }
    }

    /// Whether the journal is followed: a disabled target would only gather what a full pass finds
    /// again when it is enabled.
    pub(super) fn reads(&self) -> bool {
        matches!(self.links.own.wish, Wish::Run | Wish::Pause)
    }

    /// When there is something to do though nothing happens.
    fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        if self.halted.is_some() {
            return None;
        }
        let hold = self.hold.filter(|until| *until > now);
        let busy = self.running.len() >= self.allowed() || self.is_behind() || self.opening;
        let due = match self.pause.until(now) {
            _ if self.links.own.wish != Wish::Run => None,
            Some(until) => Some(until),
            None if busy => None,
            None => {
                let due = self.queue.next_due().map(|due| self.gathering.map_or(due, |until| until.max(due)));
                due.into_iter().chain(self.wakes.next()).min()
            }
        };
        hold.into_iter().chain(due).min()
    }

    fn allowed(&self) -> usize {
        if self.pause.is_probing() { 1 } else { self.settings.concurrency.max(1) }
    }

    /// More results than one write should carry wait to be written down.
    fn is_behind(&self) -> bool {
        self.hold.is_some() || self.dirty.len() >= self.directory.limits.journal_page
    }

    /// Starts what is due, as far as the target may be asked.
    async fn fill(&mut self) {
        let now = (self.clock)();
        if self.hold.is_some_and(|until| until <= now) {
            self.hold = None;
        }
        let may_send = self.halted.is_none() && self.links.own.wish == Wish::Run && self.pause.is_over(now);
        if !may_send || !self.opened() {
            return;
        }
        self.wake_up(now);
        let mut looked_at = 0usize;
        while self.running.len() < self.allowed() && !self.is_behind() && !self.stop.is_cancelled() {
            if self.gathers((self.clock)()) {
                return;
            }
            let mut delivery = HashMap::new();
            let mut jobs = Vec::new();
            let most = if self.pause.is_probing() { 1 } else { self.carrier.most().max(1) };
            while jobs.len() < most {
                let Some((object, cause)) = self.queue.take((self.clock)()) else { break };
                if let Some((job, planned)) = self.begin_one(object, cause) {
                    delivery.insert(object, planned);
                    jobs.push(job);
                }
                looked_at += 1;
                // A full pass in which nothing has changed awaits nothing else.
                if looked_at.is_multiple_of(PLANS_A_TURN) {
                    tokio::task::yield_now().await;
                }
            }
            self.gathering = None;
            if jobs.is_empty() {
                return;
            }
            self.deliver(jobs, delivery);
        }
    }

    /// Has those looked at whose time has come.
    fn wake_up(&mut self, now: Timestamp) {
        let snapshot = self.directory.read();
        while let Some(object) = self.wakes.take(now) {
            if self.ask(&snapshot, object, Cause::default()) == Resource::Group {
                self.ask_referrers(&snapshot, object, Cause::default());
            }
        }
    }

    /// Whether more changes are waited for before a delivery is worth it.
    fn gathers(&mut self, now: Timestamp) -> bool {
        let wait = self.carrier.gather();
        if wait.is_zero() || self.queue.next_due().is_none_or(|due| due > now) {
            return false;
        }
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        *self.gathering.get_or_insert(now.plus_ms(wait)) > now
    }

    fn deliver(&mut self, jobs: Vec<Job>, delivery: HashMap<Uuid, Planned>) {
        let carrier = Arc::clone(&self.carrier);
        let handle = self.tasks.spawn(async move {
            let began = Instant::now();
            let done = carrier.deliver(jobs).await;
            Event::Delivered { done, elapsed: began.elapsed() }
        });
        self.running.insert(handle.id(), delivery);
    }

    /// Opens the target at first and once it has been closed to us, and looks whether somebody is there
    /// after failures; true if neither is needed.
    fn opened(&mut self) -> bool {
        if self.opening {
            return false;
        }
        let (closed, probing) = (self.pause.closed, self.pause.wants_probe());
        if !closed && !probing {
            return true;
        }
        let carrier = Arc::clone(&self.carrier);
        self.opening = true;
        self.tasks
            .spawn(async move { Event::Opened(if closed { carrier.open().await } else { carrier.probe().await }) });
        false
    }

    fn heard(&mut self, opened: Result<(), Fault>) {
        self.opening = false;
        let now = (self.clock)();
        match opened {
            Ok(()) => self.pause.answered(),
            Err(fault) if fault.remedy() == Remedy::Repair => self.repair(now, fault.to_string()),
            // Nobody is there: that passes by itself.
            Err(fault) => self.strike(now, &fault),
        }
    }

    /// A pause that only someone's work can end: the longest.
    pub(super) fn repair(&mut self, now: Timestamp, why: String) {
        tracing::warn!(export = %self.name, why, "export paused");
        let longest = Backoff { min: self.settings.backoff.max, max: self.settings.backoff.max };
        self.board.change(|s| s.last_error = Some(why.clone()));
        self.pause.strike(now, why, longest, None, backoff::chance());
        self.pause.closed = true;
    }

    /// The whole target is left in peace for a while.
    pub(super) fn strike(&mut self, now: Timestamp, fault: &Fault) {
        let (limits, asked) = (self.settings.backoff, fault.retry_after());
        self.pause.strike(now, fault.to_string(), limits, asked, backoff::chance());
    }

    /// Plans one object; what needs no request is settled at once.
    fn begin_one(&mut self, object: Uuid, cause: Cause) -> Option<(Job, Planned)> {
        let snapshot = self.directory.read();
        let mut planned = plan::plan(&self.context(&snapshot), object, cause);
        self.links.set_refs(object, planned.refs.clone());
        self.links.set_absent(object, planned.absent.clone());
        self.wakes.set(object, planned.wake);
        match planned.work {
            Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
                self.settle_quietly(object, planned);
                return None;
            }
            Work::Create(_) | Work::Update { .. } | Work::Delete { .. } | Work::Sweep(_) => {}
        }
        if planned.removal && self.guarded(object, &planned) == Pass::Wait {
            self.stage(object, &planned);
            return None;
        }
        let work = std::mem::replace(&mut planned.work, Work::Leave);
        let job = Job {
            object,
            resource: planned.resource,
            work,
            sent: self.links.sent(object),
            checksum: planned.checksum,
            as_of: planned.as_of,
            claims: self.links.claims.clone(),
            snapshot,
            aside: self.circles.steps_aside(object),
        };
        Some((job, planned))
    }

    pub(super) fn context<'a>(&'a self, snapshot: &'a crate::directory::Snapshot) -> plan::Context<'a> {
        let Settings { scopes, mapping, leavers, form, .. } = &self.settings;
        let (links, now) = (&self.links, (self.clock)());
        plan::Context { snapshot, scopes, mapping, leavers, form: form.as_deref(), links, now }
    }

    fn ended(&mut self, ended: Result<(Id, Event), JoinError>) {
        match ended {
            Ok((id, Event::Delivered { done, elapsed })) => {
                let mut delivery = self.running.remove(&id).unwrap_or_default();
                for (object, done) in done {
                    if let Some(planned) = delivery.remove(&object) {
                        self.settle(object, planned, done, elapsed);
                    }
                }
                self.unanswered(delivery.into_keys());
            }
            Ok((_, Event::Opened(opened))) => self.heard(opened),
            Ok((_, Event::Saved(saved))) => self.saved(*saved),
            Ok((_, Event::Reported(failed))) => self.reported(failed),
            Ok((_, Event::Reconciled)) => self.reconciling = None,
            Ok((_, Event::Quiet)) => {}
            Err(error) => match self.running.remove(&error.id()) {
                // A fault of this program; the objects must not be lost for it.
                Some(delivery) => {
                    tracing::error!(export = %self.name, "a delivery ended by a panic");
                    self.unanswered(delivery.into_keys());
                }
                None => self.halt("internal: a task ended by a panic; see the log".to_owned()),
            },
        }
    }

    /// Nobody knows what became of these.
    fn unanswered(&mut self, objects: impl Iterator<Item = Uuid>) {
        let due = (self.clock)().plus_ms(u64::try_from(self.settings.backoff.max.as_millis()).unwrap_or(0));
        for object in objects {
            self.queue.give_back(object, true, Some(due));
        }
    }

    fn show(&self) {
        let now = (self.clock)();
        let counts = self.links.counts();
        let cursor = self.cursor().unwrap_or(0);
        let why = self.halted.clone().or_else(|| self.pause.reason(now));
        let hold = || self.hold.map(|until| format!("the directory cannot write; next attempt at {until}"));
        let why = why.or_else(hold);
        self.board.change(|status| {
            status.cursor = cursor;
            status.pending = self.queue.len();
            status::note_links(status, &self.links);
            if let (State::Running, Some(why)) = (&status.state, why) {
                status.state = State::Stopped(why);
            }
        });
        let lag = (*self.directory.head().borrow()).saturating_sub(cursor);
        let gauges = [
            (names::EXPORT_LAG, lag as f64),
            (names::EXPORT_QUEUE, self.queue.len() as f64),
            (names::EXPORT_FAILED, counts.failed as f64),
            (names::EXPORT_QUARANTINED, counts.quarantined as f64),
            (names::EXPORT_STAGED, counts.staged as f64),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name, "target" => self.name.to_string()).set(value);
        }
    }

    /// Lets what is under way come to its end, then writes down what is known.
    async fn end(mut self) {
        let limit = Duration::from_secs(self.directory.limits.shutdown_secs);
        let finish = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended);
            }
        };
        if tokio::time::timeout(limit, finish).await.is_err() {
            tracing::warn!(export = %self.name, running = self.running.len(), "pushes were cut off at the stop");
        }
        let cut_off = !self.tasks.is_empty();
        self.tasks.abort_all();
        let mut rows: Vec<Row> = self.rows();
        // A save that was cut off may hold rows that the cursor would pass.
        rows.retain(|(key, _)| !cut_off || !matches!(key, crate::store::RecordKey::Cursor(_)));
        if !rows.is_empty() && self.halted.is_none() {
            match tokio::time::timeout(limit, self.directory.save_rows(rows)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(export = %self.name, %error, "the last results were not written down"),
                Err(_) => tracing::warn!(export = %self.name, "the last results were not written down in time"),
            }
        }
        self.board.change(|status| status.state = State::Stopped("the server stops".to_owned()));
    }
}

/// Objects that wait to be put right.
const MENDS: usize = 64;

/// Plans between two looks at the rest of the program.
const PLANS_A_TURN: usize = 64;

const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
