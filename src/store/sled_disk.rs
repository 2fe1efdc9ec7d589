//! The disk on sled 0.34: the one file that knows it.
//!
//! sled's `flush` is not durable on Linux, so that each commit is batch, flush, and an `fdatasync`
//! of our own, in this order, before it answers. A failed step is never repeated: after a failed
//! sync the kernel takes the pages for clean, and a second one would succeed without writing them.
//! sled panics on damaged files, so that every call into it is caught.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::folder::{self, Lock, Mark};
use super::key::{self, Place};
use super::meta::{Meta, Tally};
use super::plan::{self, RawBatch};
use super::record::{Header, Joiner};
use super::{Disk, Error, Group, Info, Visit};

/// How a data folder is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The page cache of sled. Its memory reaches twice this size.
    pub cache_bytes: u64,
    /// How long sled may take to open; a million entries take it some four seconds.
    pub open_timeout: Duration,
    /// Writes stop when less than this, and twice the group, is free.
    pub free_space_floor: u64,
    /// The id that a new store gets. An existing one keeps its own.
    pub new_store_id: Uuid,
}

impl Options {
    pub fn new(new_store_id: Uuid) -> Self {
        Self {
            cache_bytes: 64 << 20,
            open_timeout: Duration::from_secs(120),
            free_space_floor: 256 << 20,
            new_store_id,
        }
    }
}

/// The steps that decide on durability, apart so that tests see their order and let them fail.
pub(super) trait FileLayer: Send {
    fn apply(&self, db: &sled::Db, batch: sled::Batch) -> sled::Result<()> {
        db.apply_batch(batch)
    }
    fn flush(&self, db: &sled::Db) -> sled::Result<()> {
        db.flush().map(|_| ())
    }
    /// The `fdatasync` of the database file.
    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
    /// The `fsync` of other files and of folders.
    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        folder::free_bytes(folder)
    }
}

struct RealFiles;

impl FileLayer for RealFiles {}

/// A data folder, open and locked.
pub struct SledDisk {
    /// `None` only while this is dropped.
    db: Option<sled::Db>,
    /// Our own handle of sled's file: an `fdatasync` on it covers what sled wrote through its own.
    data: File,
    mark: Mark,
    layer: Box<dyn FileLayer>,
    folder: PathBuf,
    free_space_floor: u64,
    meta: Meta,
    poisoned: bool,
    /// Let go last, when sled has closed its files.
    _lock: Lock,
}

impl SledDisk {
    /// Opens the folder, and creates it if there is none.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, Error> {
        Self::open_on(folder, options, Box::new(RealFiles))
    }

    fn open_on(folder: &Path, options: &Options, layer: Box<dyn FileLayer>) -> Result<Self, Error> {
        folder::create(folder)?;
        let lock = Lock::take(folder)?;
        let aside = folder::set_leftovers_aside(folder)?;
        let data = open_data(folder)?;
        if aside > 0 {
            sync_path(&*layer, folder)?;
        }
        // A killed process leaves writes that only the cache of the kernel holds. sled will build
        // a synced snapshot on them, which after a power cut would point to nothing.
        sync_data(&*layer, &data)?;
        let (db, lock) =
            open_with_limit(folder, options, lock).map_err(|error| blame_full_disk(error, &*layer, folder, options))?;
        let mut disk = Self {
            db: Some(db),
            data,
            mark: Mark::open(folder)?,
            layer,
            folder: folder.to_owned(),
            free_space_floor: options.free_space_floor,
            meta: Meta::new(options.new_store_id),
            poisoned: false,
            _lock: lock,
        };
        let stored = stored_meta(disk.db()?)?;
        disk.mark.check(stored.as_ref())?;
        match stored {
            Some(meta) => {
                disk.meta = meta;
                sync_data(&*disk.layer, &disk.data)?;
            }
            None => disk.create()?,
        }
        Ok(disk)
    }

    /// Writes the first meta record, and makes the files and their names durable.
    fn create(&mut self) -> Result<(), Error> {
        let meta = self.meta;
        self.make_durable(RawBatch { puts: vec![meta.pair()?], removes: Vec::new() })?;
        for path in [self.folder.join("db"), self.folder.join("conf")] {
            sync_path(&*self.layer, &path)?;
        }
        for path in folder::parents(&self.folder) {
            sync_path(&*self.layer, &path)?;
        }
        // The mark says that there was a store, so it comes when that is sure.
        self.mark
            .write(&meta)
            .and_then(|()| self.layer.sync_all(self.mark.file()))
            .map_err(Error::io("writing the mark of the first commit"))?;
        sync_path(&*self.layer, &self.folder)
    }

    fn db(&self) -> Result<&sled::Db, Error> {
        self.db.as_ref().ok_or(Error::Poisoned)
    }

    fn healthy(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn try_commit(&self, expected_head: u64, group: &Group) -> Result<Meta, Error> {
        let db = self.db()?;
        let (batch, next) = plan::commit(&self.meta, expected_head, group, &mut |base, key| {
            caught("reading a record", || db.get(key::chunk(base, 0)))?
                .map(|chunk| Ok(Header::parse(&Place::Record(key.clone()), &chunk)?.0))
                .transpose()
        })?;
        self.check_space(&batch)?;
        self.make_durable(batch)?;
        Ok(next)
    }

    fn try_trim(&self, from: u64, last: u64) -> Result<Meta, Error> {
        let (start, end) = plan::log_bounds(from, last);
        let mut keys = Vec::new();
        let mut list = self.db()?.range(start..=end).keys();
        while let Some(key) = caught("listing the log", || list.next().transpose())? {
            keys.push(key.to_vec());
        }
        let (batch, next) = plan::trim(&self.meta, last, keys)?;
        self.check_space(&batch)?;
        self.apply(batch)?;
        Ok(next)
    }

    fn check_space(&self, batch: &RawBatch) -> Result<(), Error> {
        let floor = batch.bytes().saturating_mul(2).saturating_add(self.free_space_floor);
        let free =
            self.layer.free_bytes(&self.folder).map_err(Error::io("asking for the free space of the data folder"))?;
        if free < floor {
            return Err(Error::NoSpace { free, floor });
        }
        Ok(())
    }

    fn apply(&self, raw: RawBatch) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for key in raw.removes {
            batch.remove(key);
        }
        for (key, value) in raw.puts {
            batch.insert(key, value);
        }
        let db = self.db()?;
        caught("applying a batch", || self.layer.apply(db, batch))
    }

    fn make_durable(&self, batch: RawBatch) -> Result<(), Error> {
        self.apply(batch)?;
        let db = self.db()?;
        caught("flushing", || self.layer.flush(db))?;
        sync_data(&*self.layer, &self.data)
    }

    /// Takes the new state over, or stops for good.
    fn noted(&mut self, result: Result<Meta, Error>) -> Result<(), Error> {
        match result {
            Ok(next) => {
                self.meta = next;
                Ok(())
            }
            Err(error) => {
                self.poisoned |= !error.refused();
                Err(error)
            }
        }
    }
}

impl Disk for SledDisk {
    fn load(&mut self, visit: Visit<'_>) -> Result<Info, Error> {
        self.healthy()?;
        let mut tally = Tally::new(&self.meta);
        let mut joiner = Joiner::default();
        let mut all = self.db()?.iter();
        while let Some((key, chunk)) = caught("loading", || all.next().transpose())? {
            joiner.feed(&key, &chunk, &mut |place, crc, value| tally.take(place, crc, value, visit))?;
        }
        joiner.finish()?;
        tally.check(&self.meta)?;
        Ok(self.info())
    }

    fn commit(&mut self, expected_head: u64, group: &Group) -> Result<u64, Error> {
        self.healthy()?;
        let result = self.try_commit(expected_head, group);
        self.noted(result)?;
        if let Err(error) = self.mark.write(&self.meta) {
            // The commit is durable. An old mark only finds less, so nobody is refused for it.
            tracing::warn!(%error, "the mark of the last commit could not be written");
        }
        Ok(self.meta.head)
    }

    fn read_log(&self, after: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let Some((from, last)) = plan::read_range(&self.meta, after, max)? else {
            return Ok(Vec::new());
        };
        let (start, end) = plan::log_bounds(from, last);
        let mut reader = plan::LogReader::new(from);
        let mut range = self.db()?.range(start..=end);
        while let Some((key, chunk)) = caught("reading the log", || range.next().transpose())? {
            reader.feed(&key, &chunk)?;
        }
        reader.finish(last)
    }

    fn trim(&mut self, upto: u64, max: usize) -> Result<usize, Error> {
        self.healthy()?;
        let Some((from, last)) = plan::trim_range(&self.meta, upto, max) else {
            return Ok(0);
        };
        let result = self.try_trim(from, last);
        self.noted(result)?;
        Ok(plan::count(from, last))
    }

    fn info(&self) -> Info {
        self.meta.info(folder::bytes_on_disk(&self.folder))
    }
}

impl Drop for SledDisk {
    fn drop(&mut self) {
        let db = self.db.take();
        // sled panics when the sync of its own at the end fails. The state is then no worse than
        // unknown, which the next start resolves.
        if catch_unwind(AssertUnwindSafe(move || drop(db))).is_err() {
            tracing::error!("the storage engine could not close its files in good order");
        }
    }
}

/// Opens sled on a thread of its own, because on damaged files it can panic and can hang.
///
/// The lock goes along: a thread that hangs must keep the folder closed to others.
fn open_with_limit(folder: &Path, options: &Options, lock: Lock) -> Result<(sled::Db, Lock), Error> {
    let limit = options.open_timeout;
    let (sender, receiver) = sync_channel(1);
    let config = sled::Config::new().path(folder).cache_capacity(options.cache_bytes).flush_every_ms(None);
    let held = folder.to_owned();
    thread::Builder::new()
        .name("store-open".to_owned())
        .spawn(move || {
            let result = open_patiently(&config, limit, &held).map(|db| (db, lock));
            // Nobody listens any more if the limit has passed; what was opened closes here.
            let _ = sender.send(result);
        })
        .map_err(Error::io("starting the thread that opens the store"))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(Error::Timeout { limit }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::Engine { doing: "opening the store", why: "the thread ended without an answer".to_owned() })
        }
    }
}

/// Opens sled, and waits for its lock: threads of an earlier `Db` of this process can hold it for
/// a moment after the drop. Other processes are kept out by our own lock, which we have.
fn open_patiently(config: &sled::Config, limit: Duration, folder: &Path) -> Result<sled::Db, Error> {
    let tries = limit.as_millis() / PAUSE.as_millis() / 2;
    for _ in 0..tries.max(1) {
        match caught("opening the store", || config.open()) {
            Err(Error::Io { source, .. }) if source.to_string().starts_with(SLED_LOCKED) => {
                thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
    Err(Error::Locked { folder: folder.to_owned(), pid: None })
}

/// sled cannot be opened on a full disk, and says so in many ways.
fn blame_full_disk(error: Error, layer: &dyn FileLayer, folder: &Path, options: &Options) -> Error {
    match layer.free_bytes(folder) {
        Ok(free) if free < OPEN_NEEDS && !matches!(error, Error::Locked { .. }) => {
            tracing::error!(%error, "the store could not be opened, and the disk is full");
            Error::NoSpace { free, floor: options.free_space_floor.max(OPEN_NEEDS) }
        }
        _ => error,
    }
}

fn stored_meta(db: &sled::Db) -> Result<Option<Meta>, Error> {
    if let Some(chunk) = caught("reading the meta record", || db.get(Meta::key()))? {
        return Meta::parse(&chunk).map(Some);
    }
    match caught("looking for records", || db.iter().next().transpose())? {
        None => Ok(None),
        Some(_) => Err(Meta::missing()),
    }
}

/// Calls sled, and turns its panics into errors.
fn caught<T>(doing: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(source))) => Err(Error::io(doing)(source)),
        Ok(Err(error @ sled::Error::Corruption { .. })) => Err(Error::Corrupt { what: format!("{doing}: {error}") }),
        Ok(Err(error)) => Err(Error::Engine { doing, why: error.to_string() }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Error::Corrupt { what: format!("{doing}: {}", text.unwrap_or("the storage engine panicked")) })
        }
    }
}

/// Opens our handle before sled opens its own, so that no write error is reported past us, and so
/// that the file gets our mode even in a folder that was there before.
fn open_data(folder: &Path) -> Result<File, Error> {
    folder::private().truncate(false).open(folder.join("db")).map_err(Error::io("opening the database file"))
}

fn sync_data(layer: &dyn FileLayer, data: &File) -> Result<(), Error> {
    layer.sync_data(data).map_err(Error::io("syncing the database file"))
}

fn sync_path(layer: &dyn FileLayer, path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| layer.sync_all(&file)).map_err(Error::io(format!("syncing {}", path.display())))
}

const PAUSE: Duration = Duration::from_millis(10);
const SLED_LOCKED: &str = "could not acquire lock";
/// Two segments of sled: with less it does not open.
const OPEN_NEEDS: u64 = 16 << 20;

#[cfg(test)]
mod tests;
