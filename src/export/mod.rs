//! Export: every change of the directory reaches every target, outside of the path of LDAP
//! operations. One task for each target reads the journal behind a durable cursor and pushes
//! objects; what a target is known to hold is kept in one row for each object.
//!
//! ```text
//! journal -> feed -> queue -> plan (row, snapshot) -> guard -> carrier -> settle -> save -> verdicts
//! ```
//!
//! A [`carrier::Carrier`] takes what is planned to the system: object by object
//! ([`carrier::OneByOne`] around a [`target::Target`], by `push`), or many in one delivery. What an
//! operator orders (`orders`) is done by the worker between two deliveries; what it shows is on the
//! `status` board, in the table of `links`, and in the `ledger`.
//!
//! Nothing but targets speaks HTTP or LDAP.

mod backoff;
pub mod carrier;
mod circles;
pub mod drop;
mod earlier;
mod feed;
pub mod four_me;
mod guard;
mod health;
pub mod http;
pub mod ldap;
mod leavers;
pub mod ledger;
mod links;
pub mod mapping;
mod memory;
mod notes;
mod orders;
mod pause;
mod plan;
mod push;
pub mod qmplus;
mod queue;
mod reconcile;
mod row;
mod save;
pub mod scim;
mod scope;
mod settle;
mod status;
pub mod target;
mod throttle;
mod verdicts;
mod wakes;
mod window;
mod worker;

pub use backoff::Backoff;
pub use guard::GuardLimits;
pub use health::Quarantine;
pub use http::{ClientCertificate, Connection};
pub use leavers::{Action, Anticipated, Leavers};
pub use mapping::Mapping;
pub use memory::Memory;
pub use push::Match;
pub use scope::{Scope, Scopes};
pub use throttle::Throttle;

use crate::{
    clock::Clock,
    directory::{Directory, Snapshot},
    lifecycle,
    provisioning::{Account, AccountStatus, Command, Provisioning, Refusal, State, TargetStatus, Wish},
    store::RecordKey,
};
use carrier::{Carrier, OneByOne};
use futures_util::future::BoxFuture;
use ledger::Ledger;
use links::{Links, Table};
use notes::Notes;
use orders::Order;
use push::Manner;
use save::Report;
use serde_json::{Value, json};
use smol_str::SmolStr;
use status::Board;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use target::{Fault, Resource};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
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
    pub mapping: Arc<Mapping>,
    pub matching: Match,
    pub backoff: Backoff,
    /// Deliveries under way at one time.
    pub concurrency: usize,
    /// Requests in one second, at most.
    pub rate_per_second: Option<f64>,
    pub leavers: Leavers,
    pub guard: GuardLimits,
    pub quarantine: Quarantine,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Scim(Box<scim::Options>),
    QmPlus(qmplus::Options),
    FourMe(four_me::Options),
    Drop(Box<drop::Options>),
    Ldap(Box<ldap::Options>),
    Memory(Memory),
}

impl Kind {
    /// The form of its documents and the map that it is built with; `None` where entries stay entries.
    pub fn map(&self) -> Option<(mapping::Form, mapping::Map)> {
        use mapping::{Form, MAP, built_in};
        Some(match self {
            Kind::Scim(_) | Kind::Memory(_) => (Form::Scim, built_in(MAP)),
            Kind::QmPlus(_) => (Form::Structured, built_in(qmplus::MAP)),
            Kind::FourMe(_) => (Form::Flat, built_in(four_me::MAP)),
            Kind::Drop(drop) => match drop.form {
                drop::Form::Csv => (Form::Flat, built_in(drop::MAP)),
                drop::Form::Jsonl => (Form::Structured, built_in(drop::MAP)),
                drop::Form::Ldif => return None,
            },
            Kind::Ldap(_) => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Kind::Scim(_) => "scim",
            Kind::QmPlus(_) => "qmplus",
            Kind::FourMe(_) => "4me",
            Kind::Drop(drop) => drop.form.name(),
            Kind::Ldap(_) => "ldap",
            Kind::Memory(_) => "memory",
        }
    }

    /// How entries are written, where it is not a mapping that says so.
    fn form(&self) -> Option<&ldap::Form> {
        match self {
            Kind::Ldap(ldap) => Some(&ldap.form),
            Kind::Drop(drop) => drop.entries.as_ref(),
            _ => None,
        }
    }

    /// What tells the system behind the target from another one.
    fn address(&self) -> &str {
        match self {
            Kind::Scim(scim) => scim.connection.base_url.as_str(),
            Kind::QmPlus(qmplus) => qmplus.connection.base_url.as_str(),
            Kind::FourMe(four_me) => four_me.connection.base_url.as_str(),
            Kind::Drop(drop) => drop.folder.to_str().unwrap_or_default(),
            Kind::Ldap(ldap) => ldap.access.url.as_str(),
            Kind::Memory(_) => "",
        }
    }
}

/// What a carrier is made with, beside its own options.
#[derive(Clone)]
pub struct Tools {
    pub clock: Clock,
    pub ledger: Ledger,
    pub throttle: Arc<Throttle>,
    pub notes: Notes,
}

/// The running targets.
pub struct Exporters {
    desks: Vec<Desk>,
    directory: Arc<Directory>,
    head: watch::Receiver<u64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Where one target is asked for.
struct Desk {
    name: SmolStr,
    board: Board,
    line: Line,
}

enum Line {
    Open(Box<Open>),
    /// The target does not run in this process, and why.
    Shut(&'static str),
    /// Nothing but its rows is left.
    Orphan(Vec<RecordKey>),
}

struct Open {
    orders: mpsc::Sender<Order>,
    table: Table,
    scopes: Scopes,
}

impl Exporters {
    /// No new pushes; those under way get `limits.shutdown_secs`, then what was reached is saved.
    /// To be called before the directory is closed.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Provisioning for Exporters {
    fn status(&self) -> Vec<TargetStatus> {
        let head = *self.head.borrow();
        let read = |desk: &Desk| {
            let mut status = desk.board.read();
            status.head = head;
            status.lag = if status.enabled { head.saturating_sub(status.cursor) } else { 0 };
            status
        };
        self.desks.iter().map(read).collect()
    }

    fn accounts(&self, object: Uuid) -> Vec<Account> {
        let snapshot = self.directory.read();
        let of_desk = |desk: &Desk| {
            let Line::Open(line) = &desk.line else { return None };
            let row = line.table.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&object).cloned();
            match row {
                Some(row) => Some(row.account(&desk.name)),
                // Nothing is on its way to a target that is not followed.
                None if !desk.board.read().enabled => None,
                None => {
                    let wanted = line.scopes.resource(&snapshot, snapshot.by_uuid(object)?)?;
                    Some(Account {
                        target: desk.name.to_string(),
                        resource: wanted.name(),
                        status: AccountStatus::Pending,
                        mechanism: None,
                        since: None,
                        updated: None,
                        remote_id: None,
                        why: None,
                        next_attempt: None,
                    })
                }
            }
        };
        self.desks.iter().filter_map(of_desk).collect()
    }

    fn ask(&self, target: &str, command: Command) -> BoxFuture<'static, Result<Value, Refusal>> {
        let desk = self.desks.iter().find(|desk| desk.name == target);
        let orders = match desk.map(|desk| &desk.line) {
            None => Err(Refusal::NoSuchTarget),
            Some(Line::Shut(why)) => Err(Refusal::NotNow((*why).to_owned())),
            Some(Line::Orphan(rows)) => match command {
                Command::Wish { wish: Wish::Retire, .. } => return forget(Arc::clone(&self.directory), rows.clone()),
                _ => Err(Refusal::NotNow(ORPHAN.to_owned())),
            },
            Some(Line::Open(line)) => Ok(line.orders.clone()),
        };
        Box::pin(async move {
            let (answer, heard) = oneshot::channel();
            let gone = || Refusal::NotNow("the target has stopped".to_owned());
            orders?.send(Order { command, answer }).await.map_err(|_| gone())?;
            heard.await.map_err(|_| gone())?
        })
    }
}

/// Starts a task for each enabled target. In `folder` the provisioning logs are kept, and what
/// reconciliations found; without one they are in memory.
pub fn start(
    directory: Arc<Directory>,
    targets: Vec<TargetOptions>,
    folder: Option<PathBuf>,
    clock: Clock,
    stop: CancellationToken,
) -> Exporters {
    let stop = stop.child_token();
    let tracker = TaskTracker::new();
    let (mut desks, mut enabled) = (Vec::with_capacity(targets.len()), Vec::new());
    for options in targets {
        let board = Board::new(status::at_start(&options.name, options.kind.name(), options.enabled));
        let mut desk = Desk {
            name: options.name.clone(),
            board: board.clone(),
            line: Line::Shut("the target is disabled in its file"),
        };
        if options.enabled {
            let links = Links::load(&options.name, directory.take_rows(&options.name));
            board.change(|status| status::note_links(status, &links));
            let (orders, received) = mpsc::channel(ORDERS);
            desk.line = Line::Open(Box::new(Open { orders, table: links.table(), scopes: options.scopes.clone() }));
            enabled.push(Start { options, board, links, orders: received });
        }
        desks.push(desk);
    }
    desks.extend(orphans(&directory, &desks));
    let verdicts = Arc::new(Verdicts::new(enabled.len()));
    let resting = |start: &Start| matches!(start.links.own.wish, Wish::Disable | Wish::Retire);
    for (index, start) in enabled.iter().enumerate().filter(|(_, start)| resting(start)) {
        tracing::info!(export = %start.options.name, wish = ?start.links.own.wish, "the target stays as an operator left it");
        verdicts.seat(index, false);
    }
    let mut reports = unreported(&directory.read(), &enabled, &verdicts);
    for (index, start) in enabled.into_iter().enumerate() {
        let spawner = Spawner {
            index,
            directory: &directory,
            folder: folder.as_ref(),
            clock: &clock,
            stop: &stop,
            verdicts: &verdicts,
            tracker: &tracker,
        };
        // Reports left over from the last run are nobody's in particular.
        spawner.spawn(start, std::mem::take(&mut reports));
    }
    Exporters { desks, head: directory.head(), directory, tracker, stop }
}

/// What the store has of targets that are not configured any more.
fn orphans(directory: &Directory, configured: &[Desk]) -> Vec<Desk> {
    let mut found: Vec<Desk> = Vec::new();
    for (name, rows) in directory.take_other_rows() {
        if configured.iter().any(|desk| desk.name == name) {
            continue;
        }
        tracing::warn!(export = %name, rows = rows.len(), "{ORPHAN}");
        let mut status = status::at_start(&name, "none", false);
        status.state = State::Stopped(ORPHAN.to_owned());
        let keys = rows.into_iter().map(|(key, _)| key).collect();
        found.push(Desk { name, board: Board::new(status), line: Line::Orphan(keys) });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

const ORPHAN: &str = "the target has no file any more: put the file back, or retire the target to forget its links";

fn forget(directory: Arc<Directory>, rows: Vec<RecordKey>) -> BoxFuture<'static, Result<Value, Refusal>> {
    Box::pin(async move {
        let removed = rows.into_iter().map(|key| (key, None)).collect();
        let saved = directory.save_rows(removed).await;
        saved.map_err(|error| Refusal::NotNow(format!("the directory cannot write: {error}")))?;
        Ok(json!({ "wish": Wish::Retire }))
    })
}

/// Orders of one target that may wait.
const ORDERS: usize = 64;

/// What is there before a worker is.
struct Start {
    options: TargetOptions,
    board: Board,
    links: Links,
    orders: mpsc::Receiver<Order>,
}

/// What the rows say of identities whose state does not show it yet: the last process ended
/// between the answer of the last target and the report.
fn unreported(snapshot: &Snapshot, targets: &[Start], verdicts: &Verdicts) -> Vec<Report> {
    let mut reports = Vec::new();
    for node in snapshot.walk() {
        let operational = &node.entry.operational;
        let Some(state) = operational.axes.as_ref().map(lifecycle::state) else { continue };
        if !matches!(state, lifecycle::State::ToSync | lifecycle::State::Processing | lifecycle::State::OnError) {
            continue;
        }
        let (uuid, as_of) = (node.entry.uuid, operational.changed);
        for (index, Start { options, links, .. }) in targets.iter().enumerate() {
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
    folder: Option<&'a PathBuf>,
    clock: &'a Clock,
    stop: &'a CancellationToken,
    verdicts: &'a Arc<Verdicts>,
    tracker: &'a TaskTracker,
}

impl Spawner<'_> {
    fn spawn(&self, mut start: Start, reports: Vec<Report>) {
        let options = start.options.clone();
        let log = self.folder.map(|folder| folder.join("provisioning"));
        let tools = Tools {
            clock: Arc::clone(self.clock),
            ledger: Ledger::open(&options.name, log.as_deref(), Arc::clone(self.clock)),
            throttle: Arc::new(Throttle::new(options.rate_per_second)),
            notes: Notes::new(Arc::clone(self.directory), options.name.clone(), start.links.note.take()),
        };
        let manner = Manner { matching: options.matching, mapping: Arc::clone(&options.mapping) };
        let mapping = Arc::clone(&options.mapping);
        let columns = |resource| mapping.columns(resource).map(str::to_owned).collect::<Vec<String>>();
        let tables = [Resource::Department, Resource::User, Resource::Group]
            .into_iter()
            .map(|resource| (resource, columns(resource)))
            .collect();
        match options.kind {
            Kind::Scim(scim) => match scim::Scim::new(&scim, &tools) {
                Ok(target) => self.run(OneByOne::new(target, manner), start, tools, reports),
                Err(fault) => refuse(&start, &fault),
            },
            Kind::QmPlus(qmplus) => match qmplus::QmPlus::new(&qmplus, &tools) {
                Ok(carrier) => self.run(carrier, start, tools, reports),
                Err(fault) => refuse(&start, &fault),
            },
            Kind::FourMe(four_me) => match four_me::FourMe::new(&four_me, columns(Resource::User), &tools) {
                Ok(carrier) => self.run(carrier, start, tools, reports),
                Err(fault) => refuse(&start, &fault),
            },
            Kind::Drop(drop) => self.run(drop::Drop::new(&drop, tables, &tools), start, tools, reports),
            Kind::Ldap(ldap) => self.run(OneByOne::new(ldap::Ldap::new(&ldap, &tools), manner), start, tools, reports),
            Kind::Memory(memory) => self.run(OneByOne::new(memory, manner), start, tools, reports),
        }
    }

    fn run<C: Carrier>(&self, carrier: C, start: Start, tools: Tools, reports: Vec<Report>) {
        let Start { options, board, links, orders } = start;
        let worker = Worker::new(Parts {
            name: options.name.clone(),
            index: self.index,
            carrier,
            settings: options.settings(self.folder.map(PathBuf::as_path)),
            directory: Arc::clone(self.directory),
            clock: Arc::clone(self.clock),
            stop: self.stop.clone(),
            board,
            verdicts: Arc::clone(self.verdicts),
            links,
            ledger: tools.ledger,
            orders,
            reports,
        });
        self.tracker.spawn(worker.run());
    }
}

/// A target that cannot even begin holds the others' verdicts open: nothing is accepted by all.
fn refuse(start: &Start, fault: &Fault) {
    tracing::error!(export = %start.options.name, why = %fault, "export target not started");
    start.board.change(|status| {
        status.last_error = Some(fault.to_string());
        status.state = State::Stopped(fault.to_string());
    });
}

impl TargetOptions {
    fn settings(&self, folder: Option<&Path>) -> Settings {
        Settings {
            scopes: self.scopes.clone(),
            matching: self.matching,
            reconciliations: folder.map(|folder| reconcile::Folder::new(folder, &self.name)),
            form: self.kind.form().cloned().map(Arc::new),
            mapping: Arc::clone(&self.mapping),
            backoff: self.backoff,
            concurrency: self.concurrency,
            leavers: self.leavers,
            guard: self.guard,
            quarantine: self.quarantine,
            fingerprint: self.fingerprint(),
        }
    }

    /// A checksum of all that decides what is sent of an entry that does not change.
    fn fingerprint(&self) -> u32 {
        let address = self.kind.address();
        let (scopes, mapping, leavers, form) = (&self.scopes, &self.mapping, &self.leavers, self.kind.form());
        crc32fast::hash(format!("{MAPPING} {address} {scopes:?} {mapping:?} {leavers:?} {form:?}").as_bytes())
    }
}

/// Raised when a release maps entries in another way, so that all are looked at once.
const MAPPING: u32 = 2;
