//! The one task of a target: takes what is due, lets it be pushed, and writes down what came of
//! it. Everything that the target is known to hold belongs to this task alone.

use super::{
    backoff::{self, Backoff},
    links::Links,
    mapping::Rules,
    pause::Pause,
    plan::{self, Planned, Work},
    push::{self, Done, Manner, Subject},
    queue::{Cause, Queue},
    save::Report,
    scope::Scopes,
    status::{Board, State},
    target::Target,
    verdicts::{Verdicts, Vote},
};
use crate::{
    clock::{Clock, Timestamp},
    directory::{Directory, Row},
    names,
};
use smol_str::SmolStr;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    pub scopes: Scopes,
    pub rules: Rules,
    pub manner: Manner,
    pub backoff: Backoff,
    pub concurrency: usize,
    /// Changes with everything that changes what is sent of an unchanged entry.
    pub fingerprint: u32,
}

pub struct Worker<T> {
    pub(super) name: SmolStr,
    /// Its number among the enabled targets.
    pub(super) index: usize,
    pub(super) target: Arc<T>,
    pub(super) settings: Settings,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) board: Board,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) links: Links,
    pub(super) queue: Queue,
    pub(super) pause: Pause,
    /// The last journal record that was read.
    pub(super) read: u64,
    /// The head at start: what came before may have been pushed by an earlier process.
    pub(super) first_head: u64,
    /// A full pass is not yet settled and written down.
    pub(super) pass_open: bool,
    pub(super) saved_cursor: Option<u64>,
    pub(super) tasks: JoinSet<Event>,
    pub(super) running: HashMap<Id, Uuid>,
    /// Rows to be written.
    pub(super) dirty: HashSet<Uuid>,
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
    Pushed(Box<Pushed>),
    Saved(Box<super::save::Saved>),
    Reported(Vec<Report>),
}

pub(super) struct Pushed {
    pub object: Uuid,
    pub planned: Planned,
    pub done: Done,
    pub elapsed: Duration,
}

/// What [`super::start`] hands to a worker.
pub struct Parts<T> {
    pub name: SmolStr,
    pub index: usize,
    pub target: T,
    pub settings: Settings,
    pub directory: Arc<Directory>,
    pub clock: Clock,
    pub stop: CancellationToken,
    pub board: Board,
    pub verdicts: Arc<Verdicts>,
    pub links: Links,
    pub reports: Vec<Report>,
}

impl<T: Target> Worker<T> {
    pub fn new(parts: Parts<T>) -> Self {
        let Parts { name, index, target, settings, directory, clock, stop, board, verdicts, links, reports } = parts;
        Worker {
            name,
            index,
            target: Arc::new(target),
            settings,
            directory,
            clock,
            stop,
            board,
            verdicts,
            links,
            reports,
            queue: Queue::default(),
            pause: Pause::before_opening(),
            read: 0,
            first_head: 0,
            pass_open: false,
            saved_cursor: None,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            dirty: HashSet::new(),
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
        self.begin().await;
        while !self.stop.is_cancelled() {
            self.fill().await;
            self.save();
            self.report();
            self.show();
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
            changed = head.changed(), if self.halted.is_none() => match changed {
                Ok(()) => {
                    head.mark_unchanged();
                    self.feed().await;
                }
                Err(_) => self.halt("the directory has stopped".to_owned()),
            },
            Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.ended(ended),
            () = tokio::time::sleep(sleep.unwrap_or_default().max(SHORTEST_SLEEP)), if sleep.is_some() => {}
        }
    }

    /// When there is something to do though nothing happens.
    fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        if self.halted.is_some() {
            return None;
        }
        let hold = self.hold.filter(|until| *until > now);
        let full = self.running.len() >= self.allowed() || self.is_behind();
        let due = match self.pause.until(now) {
            Some(until) => Some(until),
            None if full => None,
            None => self.queue.next_due(),
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
        if self.halted.is_some() || !self.pause.is_over(now) || !self.opened(now).await {
            return;
        }
        let mut looked_at = 0usize;
        while self.running.len() < self.allowed() && !self.is_behind() && !self.stop.is_cancelled() {
            let Some((object, cause)) = self.queue.take((self.clock)()) else { return };
            self.begin_one(object, cause);
            looked_at += 1;
            // A full pass in which nothing has changed awaits nothing else.
            if looked_at.is_multiple_of(PLANS_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Opens the target at first, and again once it has been closed to us.
    async fn opened(&mut self, now: Timestamp) -> bool {
        if !self.pause.closed {
            return true;
        }
        match self.target.open().await {
            Ok(()) => {
                self.pause.closed = false;
                true
            }
            Err(fault) => {
                self.repair(now, fault.to_string());
                false
            }
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

    fn begin_one(&mut self, object: Uuid, cause: Cause) {
        let snapshot = self.directory.read();
        let context = plan::Context {
            snapshot: &snapshot,
            scopes: &self.settings.scopes,
            rules: &self.settings.rules,
            links: &self.links,
        };
        let mut planned = plan::plan(&context, object, cause);
        self.links.set_refs(object, planned.refs.clone());
        self.links.set_absent(object, planned.absent.clone());
        match planned.work {
            Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
                self.settle_quietly(object, planned);
            }
            Work::Create(_) | Work::Update { .. } | Work::Delete { .. } | Work::Sweep(_) => {
                let work = std::mem::replace(&mut planned.work, Work::Leave);
                let (target, manner) = (Arc::clone(&self.target), self.settings.manner);
                let subject =
                    Subject { object, resource: planned.resource, claims: self.links.claims.clone(), snapshot };
                let task = async move {
                    let began = Instant::now();
                    let done = push::carry_out(target.as_ref(), subject, work, manner).await;
                    Event::Pushed(Box::new(Pushed { object, planned, done, elapsed: began.elapsed() }))
                };
                let handle = self.tasks.spawn(task);
                self.running.insert(handle.id(), object);
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Event), JoinError>) {
        match ended {
            Ok((id, Event::Pushed(pushed))) => {
                self.running.remove(&id);
                self.settle(*pushed);
            }
            Ok((_, Event::Saved(saved))) => self.saved(*saved),
            Ok((_, Event::Reported(failed))) => self.reported(failed),
            Err(error) => match self.running.remove(&error.id()) {
                // A fault of this program; the object must not be lost for it.
                Some(object) => {
                    tracing::error!(export = %self.name, %object, "a push ended by a panic");
                    let due = (self.clock)().plus_ms(u64::try_from(self.settings.backoff.max.as_millis()).unwrap_or(0));
                    self.queue.give_back(object, true, Some(due));
                }
                None => self.halt("internal: a task ended by a panic; see the log".to_owned()),
            },
        }
    }

    fn show(&self) {
        let now = (self.clock)();
        let (linked, failed) = self.links.counts();
        let cursor = self.cursor().unwrap_or(0);
        let why = self.halted.clone().or_else(|| self.pause.reason(now));
        let hold = || self.hold.map(|until| format!("the directory cannot write; next attempt at {until}"));
        let state = why.or_else(hold).map_or(State::Running, State::Stopped);
        self.board.change(|status| {
            status.cursor = cursor;
            status.pending = self.queue.len();
            status.failed = failed;
            status.linked = linked;
            status.state = state;
        });
        let lag = (*self.directory.head().borrow()).saturating_sub(cursor);
        metrics::gauge!(names::EXPORT_LAG, "target" => self.name.to_string()).set(lag as f64);
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

/// Plans between two looks at the rest of the program.
const PLANS_A_TURN: usize = 64;

const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
