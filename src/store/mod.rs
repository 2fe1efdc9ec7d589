//! The durable state: records under keys and a numbered log, changed by whole groups or not at all.
//!
//! This module knows bytes and keys. It must not know what an entry, a link or a log record means,
//! and it must not be driven by more than one thread: the single writer owns the disk.
//!
//! The interface is a versioned state with a log rather than a key-value store. `expected_head` is
//! the whole contract on concurrency: trivial for one process, a compare-and-set for a disk that
//! several processes share.

mod folder;
mod key;
pub mod mem_disk;
mod meta;
mod plan;
mod record;
pub mod sled_disk;

#[cfg(test)]
mod battery;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use smol_str::SmolStr;
use uuid::Uuid;

pub use mem_disk::{MemDisk, Platter};
pub use sled_disk::{Options, SledDisk};

/// The format that this release writes, and the highest that it reads.
pub const FORMAT: u16 = 1;

/// The name of one stored record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// An entry, by its entryUUID.
    Entry(Uuid),
    /// What an export target knows of one object.
    Link { target: SmolStr, object: Uuid },
    /// How far a reader of the log has come.
    Cursor(SmolStr),
    /// A value of the server itself.
    Setting(SmolStr),
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(id) => write!(f, "entry {id}"),
            Self::Link { target, object } => write!(f, "link {target}/{object}"),
            Self::Cursor(name) => write!(f, "cursor {name}"),
            Self::Setting(name) => write!(f, "setting {name}"),
        }
    }
}

/// One merged commit: all of it or nothing.
///
/// Deletes come before puts, and of several puts of one key the last one counts. The methods keep
/// that order true to the order of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub puts: BTreeMap<RecordKey, Vec<u8>>,
    pub deletes: Vec<RecordKey>,
    /// Log records, which are numbered by the commit in this order.
    pub log: Vec<Vec<u8>>,
    bytes: usize,
}

impl Group {
    pub fn put(&mut self, key: RecordKey, value: Vec<u8>) {
        self.bytes += value.len();
        if let Some(older) = self.puts.insert(key, value) {
            self.bytes -= older.len();
        }
    }

    /// Deletes a record, and takes back what this group has put under its key before.
    pub fn delete(&mut self, key: RecordKey) {
        if let Some(older) = self.puts.remove(&key) {
            self.bytes -= older.len();
        }
        self.deletes.push(key);
    }

    /// Puts another group behind this one.
    pub fn append(&mut self, next: Group) {
        next.deletes.into_iter().for_each(|key| self.delete(key));
        next.puts.into_iter().for_each(|(key, value)| self.put(key, value));
        next.log.into_iter().for_each(|record| self.log(record));
    }

    /// Bytes of all that is to be written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn log(&mut self, record: Vec<u8>) {
        self.bytes += record.len();
        self.log.push(record);
    }

    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.log.is_empty()
    }
}

/// The state of a disk after its last durable commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The number of the last log record; 0 if there never was one.
    pub head: u64,
    /// The lowest log record that is kept; `head + 1` if none is.
    pub first_log: u64,
    pub entries: u64,
    pub store_id: Uuid,
    pub format: u16,
    pub bytes_on_disk: u64,
}

/// Takes each record of a load.
pub type Visit<'a> = &'a mut dyn FnMut(RecordKey, &[u8]) -> Result<(), Error>;

/// A place that keeps the state. Both kinds, sled and memory, pass the same tests.
pub trait Disk: Send {
    /// Visits every record but the log, in no order, each value whole and its checksum verified.
    ///
    /// The log is verified too, and at the end the count and the sum of all checksums are compared
    /// with what the last commit has noted. What was visited counts only if this answers `Ok`.
    fn load(&mut self, visit: Visit<'_>) -> Result<Info, Error>;

    /// Makes one group durable as a whole and answers the new head.
    ///
    /// Log records get the numbers from `expected_head + 1` on. [`Error::refused`] errors have
    /// written nothing and the disk goes on. After any other error it is unknown until the next
    /// start whether the group is there, and all later commits answer [`Error::Poisoned`].
    fn commit(&mut self, expected_head: u64, group: &Group) -> Result<u64, Error>;

    /// At most `max` log records with numbers above `after`, lowest first, without gaps.
    ///
    /// Only durable records are seen. Answers [`Error::Trimmed`] if records between `after` and
    /// the first one kept are gone, so that no reader steps over a hole.
    fn read_log(&self, after: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, Error>;

    /// Removes at most `max` log records, lowest first, up to and including `upto`; answers how
    /// many. Atomic; durable with the next commit.
    fn trim(&mut self, upto: u64, max: usize) -> Result<usize, Error>;

    fn info(&self) -> Info;
}

/// Why the store did not do it. The messages are for the operator, not for clients.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another process has this data folder open ({}): {}", holder(*.pid), folder.display())]
    Locked { folder: PathBuf, pid: Option<u32> },
    #[error("the store is damaged: {what}. Restore the newest backup")]
    Corrupt { what: String },
    #[error(
        "the store has lost its newest commits: it is at commit {commits} (log {head}), but commit \
         {expected_commits} (log {expected_head}) was answered. Restore the newest backup"
    )]
    LostTail { commits: u64, head: u64, expected_commits: u64, expected_head: u64 },
    #[error("the log is at {head}, not at {expected}: another writer came first")]
    Conflict { expected: u64, head: u64 },
    #[error(
        "{free} bytes are free on the disk of the data folder, {floor} are needed: writes stop here \
         because a full disk cannot be opened again"
    )]
    NoSpace { free: u64, floor: u64 },
    #[error("an earlier write failed: writes stop until a restart")]
    Poisoned,
    #[error("opening the data folder took longer than {} ms", limit.as_millis())]
    Timeout { limit: Duration },
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("the storage engine failed while {doing}: {why}")]
    Engine { doing: &'static str, why: String },
    #[error("the store has format {found}, this release knows formats up to {supported}")]
    FutureFormat { found: u16, supported: u16 },
    #[error("the log after {after} was asked for, but it begins at {first_log}")]
    Trimmed { after: u64, first_log: u64 },
    #[error("{what} is too large to be stored: {bytes} bytes")]
    TooLarge { what: String, bytes: usize },
    #[error("{what} has an empty name, a name over {} bytes, or a NUL byte in it", key::MAX_NAME)]
    BadName { what: String },
}

impl Error {
    /// Whether the request was refused before anything was written, so that the disk goes on.
    pub fn refused(&self) -> bool {
        match self {
            Self::Conflict { .. }
            | Self::NoSpace { .. }
            | Self::Trimmed { .. }
            | Self::TooLarge { .. }
            | Self::BadName { .. } => true,
            Self::Locked { .. }
            | Self::Corrupt { .. }
            | Self::LostTail { .. }
            | Self::Poisoned
            | Self::Timeout { .. }
            | Self::Io { .. }
            | Self::Engine { .. }
            | Self::FutureFormat { .. } => false,
        }
    }

    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("pid {pid}"),
        None => "pid unknown".to_owned(),
    }
}
