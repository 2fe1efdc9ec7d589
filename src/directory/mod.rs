//! The directory: operations on a tree of entries, one writer, immutable snapshots. Knows no
//! protocol. Readers take [`Directory::read`]; writers [`Directory::submit`] an [`Op`] and wait
//! until it is durable.

mod add;
mod advance;
mod bury;
mod candidates;
mod career;
mod carry;
mod chain;
mod change;
mod content;
mod csn;
mod delete;
mod departments;
mod due;
mod error;
mod facts;
mod follow;
mod groups;
mod identity;
mod index;
mod marks;
mod member_url;
mod modify;
mod open;
mod past;
mod plan;
mod record;
mod references;
mod relax;
mod rename;
mod report;
mod run;
mod search;
mod secrets;
mod snapshot;
mod structures;
mod terms;
mod trial;
mod unique;
mod view;
mod writer;

pub use change::{Change, ChangeKind};
pub use content::Content;
pub use csn::Csn;
pub use departments::{Cascade, Department, Departments, Kept};
pub use error::Error;
pub use follow::{Interest, News, Notice, news, notice};
pub use groups::{GroupOptions, Groups};
pub use index::{can_index, default_indexes};
pub use marks::UriScope;
pub use record::VERSION as RECORD_VERSION;
pub use references::{Check, ReferenceOptions, References};
pub use run::Advanced;
pub use search::{Hits, Scope, Search, Step, Subentries, Visit};
pub use snapshot::{Node, Snapshot};
pub use structures::{StructureOptions, Structures};
pub use terms::{OnFault, Outcome, Refused, Sight, Sights, Terms, Update};
pub use trial::{Told, Trial};
pub use unique::{Unique, UniqueDef};
pub use view::{SUBSCHEMA, View};

use crate::{
    access::{Access, Identity},
    clock::Clock,
    dn::{Dn, DnKey, Rdn},
    entry::{ModKind, Modification},
    lifecycle::{Career, Event, Release, Rule},
    limits::Limits,
    schema::Schema,
    store::{Disk, RecordKey},
};
use arc_swap::ArcSwap;
use smol_str::SmolStr;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

/// The place of an entry in this process's memory; not stored, not stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

impl EntryId {
    /// Of entries that are made up for one answer: the root DSE, the subschema entry.
    const SYNTHETIC: EntryId = EntryId(u32::MAX);
    const LOWEST: EntryId = EntryId(0);
}

/// What the directory must know to run.
#[derive(Clone)]
pub struct Options {
    pub suffix: Dn,
    pub schema: Arc<Schema>,
    pub access: Arc<Access>,
    pub identities: Identities,
    /// What the lifecycle files declare at start; later the snapshots have it.
    pub career: Arc<Career>,
    pub relations: Relations,
    /// Attributes with an index; see [`default_indexes`].
    pub indexes: Vec<SmolStr>,
    /// Targets whose cursors hold the journal back.
    pub targets: Vec<SmolStr>,
    pub limits: Arc<Limits>,
    pub clock: Clock,
}

/// How entries stand to each other.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    pub groups: GroupOptions,
    pub references: References,
    pub unique: Vec<Unique>,
    pub structures: Structures,
}

/// Which entries are identities, and how they are released.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// An inetOrgPerson below one of these is an identity.
    pub bases: Vec<DnKey>,
    pub release: Release,
    pub delete: DeleteMode,
}

/// What becomes of an identity that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteMode {
    /// Its record stays, out of everyone's sight, until it is brought back or purged.
    #[default]
    Soft,
    /// It is gone.
    Hard,
}

/// A change that someone asks for.
#[derive(Clone, Debug)]
pub enum Op {
    Add {
        dn: Dn,
        attrs: Vec<(SmolStr, Vec<Vec<u8>>)>,
    },
    Modify {
        dn: Dn,
        changes: Vec<(ModKind, SmolStr, Vec<Vec<u8>>)>,
    },
    Delete {
        dn: Dn,
    },
    Rename {
        dn: Dn,
        new_rdn: Rdn,
        delete_old: bool,
        new_superior: Option<Dn>,
    },
    /// What the targets said of the version that the change `as_of` made.
    Report {
        uuid: Uuid,
        as_of: u64,
        event: Event,
    },
    /// Brings a deleted identity back.
    Undelete {
        uuid: Uuid,
    },
    /// Forgets a deleted identity for good.
    Purge {
        uuid: Uuid,
    },
    /// What a lifecycle rule makes of an identity, if it is for it at that time.
    Advance {
        uuid: Uuid,
        rule: Arc<Rule>,
    },
    /// An import has seen the identity as it is: neither a change nor something to export.
    Touch {
        uuid: Uuid,
    },
}

/// Rows that exporters keep in the store: links and cursors.
pub type Row = (RecordKey, Option<Vec<u8>>);

enum Job {
    /// All of the updates or none.
    Write {
        updates: Vec<Update>,
        reply: oneshot::Sender<Result<Vec<Outcome>, Refused>>,
    },
    /// Other lifecycle files.
    Career {
        career: Arc<Career>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Rows {
        rows: Vec<Row>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Whether the journal is kept for a target until it has passed.
    Hold {
        target: SmolStr,
        holds: bool,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    ReadLog {
        after: u64,
        max: usize,
        reply: oneshot::Sender<Result<Vec<(u64, Change)>, Error>>,
    },
    Stop,
}

/// The handle that everything above holds.
pub struct Directory {
    current: Arc<ArcSwap<Snapshot>>,
    jobs: mpsc::Sender<Job>,
    head: watch::Receiver<u64>,
    journal_start: Arc<AtomicU64>,
    healthy: Arc<AtomicBool>,
    rows: Mutex<HashMap<SmolStr, Vec<Row>>>,
    /// As at start.
    options: Options,
    pub access: Arc<Access>,
    pub limits: Arc<Limits>,
}

/// The writer's thread. It ends after [`Directory::close`], or when the last handle is dropped.
pub struct Writer(std::thread::JoinHandle<()>);

impl Writer {
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Directory {
    /// Loads the store and starts the writer thread, which owns `disk` from now on.
    pub fn start(disk: impl Disk + 'static, options: Options) -> Result<(Arc<Self>, Writer), Error> {
        let mut disk = disk;
        let opened = open::open(&mut disk, &options)?;
        let current = Arc::new(ArcSwap::from_pointee(opened.snapshot));
        let (jobs, queue) = mpsc::channel(options.limits.writer_queue);
        let (announce, head) = watch::channel(current.load().head);
        let healthy = Arc::new(AtomicBool::new(true));
        let journal_start = Arc::new(AtomicU64::new(opened.journal_start));
        let directory = Directory {
            current: Arc::clone(&current),
            jobs,
            head,
            journal_start: Arc::clone(&journal_start),
            healthy: Arc::clone(&healthy),
            rows: Mutex::new(opened.rows),
            access: Arc::clone(&options.access),
            limits: Arc::clone(&options.limits),
            options: options.clone(),
        };
        let cursors = opened.cursors;
        let holders = options.targets.clone();
        let writer =
            writer::Writer { disk, holders, current, queue, announce, healthy, options, cursors, journal_start };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| Error::Internal(format!("the writer thread did not start: {e}")))?;
        Ok((Arc::new(directory), Writer(thread)))
    }

    /// The present state; stays as it is for as long as it is held.
    pub fn read(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Asks for a change and waits until it is durable or refused. Secrets in `op` must be
    /// hashed before: [`Op::hash_secrets`].
    pub async fn submit(&self, identity: &Identity, op: Op) -> Result<Outcome, Error> {
        self.submit_update(Update { identity: identity.clone(), op, terms: Terms::default() }).await
    }

    /// The same on the client's own terms.
    pub async fn submit_update(&self, update: Update) -> Result<Outcome, Error> {
        let outcomes = self.submit_all(vec![update]).await.map_err(|refused| refused.error)?;
        outcomes.into_iter().next().ok_or_else(|| Error::Internal("an update without an outcome".to_owned()))
    }

    /// Asks for several changes at once: they become durable and visible together, or none of
    /// them does, and the first that was refused is named. Each sees what those before it did.
    pub async fn submit_all(&self, updates: Vec<Update>) -> Result<Vec<Outcome>, Refused> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Write { updates, reply }).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// Writes or (with `None`) removes rows of exporters, durably.
    pub async fn save_rows(&self, rows: Vec<Row>) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Rows { rows, reply }).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// From now on the journal is kept until this target has passed it, or goes without it: one that
    /// comes back later looks at everything.
    pub async fn hold_journal(&self, target: &SmolStr, holds: bool) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Hold { target: target.clone(), holds, reply }).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// Journal records with numbers above `after`, at most `max`, in order; fewer than there are if
    /// they are large.
    pub async fn read_log(&self, after: u64, max: usize) -> Result<Vec<(u64, Change)>, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::ReadLog { after, max, reply }).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// The number of the last durable journal record, to wait on.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }

    /// The lowest journal number that is kept; one above the head if none is.
    pub fn journal_start(&self) -> u64 {
        self.journal_start.load(Ordering::Acquire)
    }

    /// The rows of one target as they were at start; a second call finds none.
    pub fn take_rows(&self, target: &str) -> Vec<Row> {
        self.rows.lock().map(|mut rows| rows.remove(target).unwrap_or_default()).unwrap_or_default()
    }

    /// The rows of targets that nobody has asked for, by target; a second call finds none.
    pub fn take_other_rows(&self) -> HashMap<SmolStr, Vec<Row>> {
        self.rows.lock().map(|mut rows| std::mem::take(&mut *rows)).unwrap_or_default()
    }

    /// Lets the writer end after all that was submitted before; later submissions are refused.
    pub async fn close(&self) {
        // A writer that has ended already needs no stop.
        let _ = self.jobs.send(Job::Stop).await;
    }

    /// False once a commit failed: reads go on, writes are refused until a restart.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// Puts other lifecycle files in force, for all changes that are asked for from now on.
    pub async fn follow_career(&self, career: Arc<Career>) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Career { career, reply }).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }

    async fn send(&self, job: Job) -> Result<(), Error> {
        if !self.is_healthy() {
            return Err(Error::Unavailable);
        }
        self.jobs.send(job).await.map_err(|_| Error::Unavailable)
    }
}

/// Modifications bound to the schema, with the names it does not know.
fn bind_changes(
    changes: Vec<(ModKind, SmolStr, Vec<Vec<u8>>)>,
    schema: &Schema,
) -> (Vec<Modification>, Vec<crate::schema::Violation>) {
    let mut bound = Vec::with_capacity(changes.len());
    let mut unknown = Vec::new();
    for (kind, name, values) in changes {
        match schema.describe(&name) {
            Some(attr) => bound.push(Modification { kind, attr, values }),
            None => unknown.push(crate::schema::Violation::unknown_attribute(&name)),
        }
    }
    (bound, unknown)
}
