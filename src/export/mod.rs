//! Export: every change of the directory reaches every target, outside of the path of LDAP
//! operations. One task for each target reads the journal behind a durable cursor and pushes
//! objects; what a target is known to hold is kept in one row for each object.
//!
//! ```text
//! journal -> feed -> queue -> plan (row, snapshot) -> push (target) -> settle -> save -> verdicts
//! ```
//!
//! Nothing here speaks LDAP, and nothing but targets speaks HTTP.

mod backoff;
mod feed;
pub mod http;
mod links;
mod managed;
mod mapping;
mod memory;
mod pause;
mod plan;
mod push;
mod queue;
pub mod reconcile;
mod save;
pub mod scim;
mod scope;
mod settle;
mod status;
pub mod target;
mod verdicts;
mod worker;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use mapping::{PRIVATE, Rules};
pub use memory::Memory;
pub use push::Match;
pub use scope::{Scope, Scopes};
pub use status::{State, TargetStatus};

use crate::{
    clock::Clock,
    directory::{Directory, Snapshot},
    lifecycle,
};
use links::Links;
use push::Manner;
use save::Report;
use smol_str::SmolStr;
use status::Board;
use std::sync::Arc;
use target::{Fault, Target};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use verdicts::{Verdict, Verdicts, Vote};
use worker::{Parts, Settings, Worker};

/// One target, as configured.
#[derive(Clone, Debug)]
pub struct TargetOptions {
    /// Names its rows and its cursor: another name is another target.
    pub name: SmolStr,
    pub enabled: bool,
    pub kind: Kind,
    pub scopes: Scopes,
    pub rules: Rules,
    pub matching: Match,
    pub backoff: Backoff,
    /// Objects pushed at one time.
    pub concurrency: usize,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Scim(scim::Options),
    Memory(Memory),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Scim(_) => "scim",
            Kind::Memory(_) => "memory",
        }
    }
}

/// The running targets.
pub struct Exporters {
    boards: Vec<Board>,
    head: watch::Receiver<u64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Exporters {
    pub fn status(&self) -> Vec<TargetStatus> {
        let head = *self.head.borrow();
        let read = |board: &Board| {
            let mut status = board.read();
            status.head = head;
            status.lag = if status.enabled { head.saturating_sub(status.cursor) } else { 0 };
            status
        };
        self.boards.iter().map(read).collect()
    }

    /// No new pushes; those under way get `limits.shutdown_secs`, then what was reached is saved.
    /// To be called before the directory is closed.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Starts a task for each enabled target.
pub fn start(
    directory: Arc<Directory>,
    targets: Vec<TargetOptions>,
    clock: Clock,
    stop: CancellationToken,
) -> Exporters {
    let stop = stop.child_token();
    let tracker = TaskTracker::new();
    let mut boards = Vec::with_capacity(targets.len());
    let mut enabled = Vec::new();
    for options in targets {
        let board = Board::new(TargetStatus::new(&options.name, options.kind.name(), options.enabled));
        boards.push(board.clone());
        if options.enabled {
            let links = Links::load(&options.name, directory.take_rows(&options.name));
            enabled.push((options, board, links));
        }
    }
    let verdicts = Arc::new(Verdicts::new(enabled.len()));
    let mut reports = unreported(&directory.read(), &enabled, &verdicts);
    for (index, (options, board, links)) in enabled.into_iter().enumerate() {
        let spawner = Spawner {
            index,
            directory: &directory,
            clock: &clock,
            stop: &stop,
            verdicts: &verdicts,
            tracker: &tracker,
        };
        // Reports left over from the last run are nobody's in particular.
        spawner.spawn(options, board, links, std::mem::take(&mut reports));
    }
    Exporters { boards, head: directory.head(), tracker, stop }
}

/// What the rows say of identities whose state does not show it yet: the last process ended
/// between the answer of the last target and the report.
fn unreported(snapshot: &Snapshot, targets: &[(TargetOptions, Board, Links)], verdicts: &Verdicts) -> Vec<Report> {
    let mut reports = Vec::new();
    for node in snapshot.walk() {
        let operational = &node.entry.operational;
        let Some(state) = operational.axes.as_ref().map(lifecycle::state) else { continue };
        if !matches!(state, lifecycle::State::ToSync | lifecycle::State::Processing | lifecycle::State::OnError) {
            continue;
        }
        let (uuid, as_of) = (node.entry.uuid, operational.changed);
        for (index, (options, _, links)) in targets.iter().enumerate() {
            let verdict = match links.get(uuid) {
                None if options.scopes.resource(snapshot, node).is_none() => Verdict::Accepted,
                Some(row) if row.as_of == as_of && row.is_refused() => Verdict::Refused,
                Some(row) if row.as_of == as_of && row.last_error.is_none() => Verdict::Accepted,
                _ => continue,
            };
            if let Some(event) = verdicts.hear(index, Vote { uuid, as_of, verdict }) {
                reports.push(Report { uuid, as_of, event });
            }
        }
    }
    reports
}

struct Spawner<'a> {
    index: usize,
    directory: &'a Arc<Directory>,
    clock: &'a Clock,
    stop: &'a CancellationToken,
    verdicts: &'a Arc<Verdicts>,
    tracker: &'a TaskTracker,
}

impl Spawner<'_> {
    fn spawn(&self, options: TargetOptions, board: Board, links: Links, reports: Vec<Report>) {
        match options.kind.clone() {
            Kind::Scim(scim) => match scim::Scim::new(&scim, Arc::clone(self.clock)) {
                Ok(target) => self.run(target, &options, board, links, reports),
                Err(fault) => refuse(&options, &board, &fault),
            },
            Kind::Memory(memory) => self.run(memory, &options, board, links, reports),
        }
    }

    fn run<T: Target>(&self, target: T, options: &TargetOptions, board: Board, links: Links, reports: Vec<Report>) {
        let worker = Worker::new(Parts {
            name: options.name.clone(),
            index: self.index,
            target,
            settings: options.settings(),
            directory: Arc::clone(self.directory),
            clock: Arc::clone(self.clock),
            stop: self.stop.clone(),
            board,
            verdicts: Arc::clone(self.verdicts),
            links,
            reports,
        });
        self.tracker.spawn(worker.run());
    }
}

/// A target that cannot even begin holds the others' verdicts open: nothing is accepted by all.
fn refuse(options: &TargetOptions, board: &Board, fault: &Fault) {
    tracing::error!(export = %options.name, why = %fault, "export target not started");
    board.change(|status| {
        status.last_error = Some(fault.to_string());
        status.state = State::Stopped(fault.to_string());
    });
}

impl TargetOptions {
    fn settings(&self) -> Settings {
        Settings {
            scopes: self.scopes.clone(),
            rules: self.rules.clone(),
            manner: Manner { matching: self.matching, enterprise: self.rules.enterprise },
            backoff: self.backoff,
            concurrency: self.concurrency,
            fingerprint: self.fingerprint(),
        }
    }

    /// A checksum of all that decides what is sent of an entry that does not change.
    fn fingerprint(&self) -> u32 {
        let address = match &self.kind {
            Kind::Scim(scim) => scim.base_url.as_str(),
            Kind::Memory(_) => "",
        };
        crc32fast::hash(format!("{MAPPING} {address} {:?} {:?}", self.scopes, self.rules).as_bytes())
    }
}

/// Raised when a release maps entries in another way, so that all are looked at once.
const MAPPING: u32 = 1;
