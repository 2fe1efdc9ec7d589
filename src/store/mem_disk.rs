//! A disk in memory that can fail and lose power, for tests of everything above the store.
//!
//! A batch passes three layers as it does on a real one: the buffers of the engine, the cache of
//! the operating system, the platter. It must not be used to keep anything.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::key::{self, Place};
use super::meta::{Meta, Tally};
use super::plan::{self, RawBatch};
use super::record::{Header, Joiner};
use super::{Disk, Error, Group, Info, Visit};

/// One operation on the file, in the order in which they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A batch went into the buffers of the engine.
    Write,
    /// The buffers went to the operating system.
    Flush,
    /// The operating system put everything on the platter.
    Sync,
    /// A commit answered that it is durable.
    Answer,
}

/// What outlives a process: the platter and the caches above it. Clones share it.
#[derive(Clone, Default)]
pub struct Platter(Arc<Mutex<Media>>);

#[derive(Clone, Default)]
struct Media {
    durable: Pairs,
    /// Batches of a failed sync: readable, perhaps on the platter, and no later sync fetches them.
    limbo: Vec<RawBatch>,
    /// Flushed, not synced: a killed process leaves it, a power cut takes it.
    cached: Vec<RawBatch>,
    /// Written, not flushed: even a killed process takes it.
    buffered: Vec<RawBatch>,
    /// All three together, as the running process reads them.
    view: Pairs,
    /// The newest answered meta, for what [`super::folder::Mark`] does beside a real database.
    mark: Option<Meta>,
    ops: VecDeque<Op>,
    faults: Vec<(Op, u64)>,
    free: Option<u64>,
    open: bool,
}

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

impl Platter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `nth` operation of this kind from now on fail, 1 for the next one.
    pub fn fail(&self, op: Op, nth: u64) {
        self.media().faults.push((op, nth));
    }

    /// Sets the free space that commits see; `None` is without end.
    pub fn set_free(&self, bytes: Option<u64>) {
        self.media().free = bytes;
    }

    /// The operations since the last call, the newest 65,536 at most.
    pub fn take_ops(&self) -> Vec<Op> {
        self.media().ops.drain(..).collect()
    }

    /// A platter with what is there after the power went now.
    pub fn power_cut(&self) -> Self {
        self.power_cut_keeping(0)
    }

    /// As [`Self::power_cut`], but the first few of the batches under way made it to the platter.
    pub fn power_cut_keeping(&self, batches: usize) -> Self {
        let mut media = self.media().clone();
        let mut pending = std::mem::take(&mut media.limbo);
        pending.append(&mut media.cached);
        pending.append(&mut media.buffered);
        for batch in pending.iter().take(batches) {
            apply(&mut media.durable, batch);
        }
        Self::resting(media)
    }

    /// A platter with what is there after the process was killed now.
    pub fn kill(&self) -> Self {
        let mut media = self.media().clone();
        media.buffered.clear();
        Self::resting(media)
    }

    /// How many batches a power cut now would take.
    pub fn pending(&self) -> usize {
        let media = self.media();
        [&media.limbo, &media.cached, &media.buffered].map(Vec::len).iter().sum()
    }

    fn resting(mut media: Media) -> Self {
        media.view = media.durable.clone();
        for batch in media.limbo.iter().chain(&media.cached) {
            apply(&mut media.view, batch);
        }
        media.ops.clear();
        media.faults.clear();
        media.open = false;
        Self(Arc::new(Mutex::new(media)))
    }

    fn media(&self) -> MutexGuard<'_, Media> {
        // Media is changed in steps that cannot panic half way, so a poisoned lock guards no ruin.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Media {
    /// Notes the operation, and says whether it is scripted to fail.
    fn step(&mut self, op: Op) -> Result<(), Error> {
        if self.ops.len() >= MOST_OPS {
            self.ops.pop_front();
        }
        self.ops.push_back(op);
        let mut hit = false;
        for (_, left) in self.faults.iter_mut().filter(|(kind, _)| *kind == op) {
            *left = left.saturating_sub(1);
            hit |= *left == 0;
        }
        self.faults.retain(|(_, left)| *left > 0);
        if hit {
            return Err(Error::Io {
                doing: format!("{op:?} on the disk in memory"),
                source: std::io::Error::other("scripted fault"),
            });
        }
        Ok(())
    }

    fn write(&mut self, batch: RawBatch) -> Result<(), Error> {
        self.step(Op::Write)?;
        apply(&mut self.view, &batch);
        self.buffered.push(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.step(Op::Flush)?;
        self.cached.append(&mut self.buffered);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.cached);
        if let Err(error) = self.step(Op::Sync) {
            // After a failed sync Linux takes the pages for clean, so that a second sync succeeds
            // and writes nothing. Whoever retries one here must see the loss.
            self.limbo.extend(pending);
            return Err(error);
        }
        for batch in &pending {
            apply(&mut self.durable, batch);
        }
        Ok(())
    }
}

/// The disk of one running process.
pub struct MemDisk {
    platter: Platter,
    meta: Meta,
    poisoned: bool,
}

impl MemDisk {
    /// A disk on a platter of its own.
    pub fn new(store_id: Uuid) -> Result<Self, Error> {
        Self::open(&Platter::new(), store_id)
    }

    /// Opens what is on the platter; the id counts for a new one only.
    pub fn open(platter: &Platter, store_id: Uuid) -> Result<Self, Error> {
        let platter = platter.clone();
        let mut media = platter.media();
        if media.open {
            return Err(Error::Locked { folder: "memory".into(), pid: Some(std::process::id()) });
        }
        let meta = match media.view.get(&Meta::key()) {
            Some(chunk) => Meta::parse(chunk)?,
            None if !media.view.is_empty() => return Err(Meta::missing()),
            None => {
                let meta = Meta::new(store_id);
                media.write(RawBatch { puts: vec![meta.pair()?], removes: Vec::new() })?;
                media.flush()?;
                media.sync()?;
                meta
            }
        };
        if let Some(mark) = media.mark.filter(|mark| mark.commits > meta.commits) {
            return Err(Error::LostTail {
                commits: meta.commits,
                head: meta.head,
                expected_commits: mark.commits,
                expected_head: mark.head,
            });
        }
        media.open = true;
        drop(media);
        Ok(Self { platter, meta, poisoned: false })
    }

    /// A handle on the platter, which stays with the test when the disk goes to the writer.
    pub fn platter(&self) -> Platter {
        self.platter.clone()
    }

    /// A new disk with what was durable.
    pub fn power_cut(&self) -> Result<Self, Error> {
        Self::open(&self.platter.power_cut(), self.meta.store_id)
    }

    fn try_commit(&mut self, expected_head: u64, group: &Group) -> Result<Meta, Error> {
        let mut media = self.platter.media();
        let view = &media.view;
        let (batch, next) = plan::commit(&self.meta, expected_head, group, &mut |base, key| {
            view.get(&key::chunk(base, 0))
                .map(|chunk| Ok(Header::parse(&Place::Record(key.clone()), chunk)?.0))
                .transpose()
        })?;
        let floor = batch.bytes().saturating_mul(2);
        match media.free {
            Some(free) if free < floor => return Err(Error::NoSpace { free, floor }),
            _ => {}
        }
        media.write(batch)?;
        media.flush()?;
        media.sync()?;
        media.mark = Some(next);
        media.step(Op::Answer)?;
        Ok(next)
    }

    fn try_trim(&mut self, from: u64, last: u64) -> Result<Meta, Error> {
        let mut media = self.platter.media();
        let keys = media.view.range(log_range(from, last)).map(|(key, _)| key.clone());
        let (batch, next) = plan::trim(&self.meta, last, keys.collect())?;
        media.write(batch)?;
        Ok(next)
    }

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

    fn healthy(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }
}

impl Disk for MemDisk {
    fn load(&mut self, visit: Visit<'_>) -> Result<Info, Error> {
        self.healthy()?;
        let media = self.platter.media();
        let mut tally = Tally::new(&self.meta);
        let mut joiner = Joiner::default();
        for (key, chunk) in &media.view {
            joiner.feed(key, chunk, &mut |place, crc, value| tally.take(place, crc, value, visit))?;
        }
        joiner.finish()?;
        tally.check(&self.meta)?;
        drop(media);
        Ok(self.info())
    }

    fn commit(&mut self, expected_head: u64, group: &Group) -> Result<u64, Error> {
        self.healthy()?;
        let result = self.try_commit(expected_head, group);
        self.noted(result)?;
        Ok(self.meta.head)
    }

    fn read_log(&self, after: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let Some((from, last)) = plan::read_range(&self.meta, after, max)? else {
            return Ok(Vec::new());
        };
        let media = self.platter.media();
        let mut reader = plan::LogReader::new(from);
        for (key, chunk) in media.view.range(log_range(from, last)) {
            reader.feed(key, chunk)?;
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
        let media = self.platter.media();
        let bytes = media.durable.iter().map(|(key, value)| key.len().saturating_add(value.len()));
        self.meta.info(bytes.sum::<usize>() as u64)
    }
}

impl Drop for MemDisk {
    fn drop(&mut self) {
        let mut media = self.platter.media();
        media.open = false;
        // As sled, which writes its buffers out when it is closed in good order.
        if !self.poisoned {
            let buffered = std::mem::take(&mut media.buffered);
            media.cached.extend(buffered);
        }
    }
}

fn apply(pairs: &mut Pairs, batch: &RawBatch) {
    for key in &batch.removes {
        pairs.remove(key);
    }
    for (key, value) in &batch.puts {
        pairs.insert(key.clone(), value.clone());
    }
}

fn log_range(from: u64, last: u64) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let (start, end) = plan::log_bounds(from, last);
    (Bound::Included(start), Bound::Included(end))
}

const MOST_OPS: usize = 65_536;

#[cfg(test)]
mod tests;
