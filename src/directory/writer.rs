//! The one writer: takes the jobs that wait, plans each on the state that the ones before left,
//! makes them durable together, then publishes, then answers. In that order, always.

use super::{Change, Error, Job, Options, Outcome, Refused, Snapshot, carry::Work};
use crate::{
    names,
    store::{Disk, RecordKey},
};
use arc_swap::ArcSwap;
use smol_str::SmolStr;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{
    mpsc::{self, error::TryRecvError},
    oneshot, watch,
};

pub(super) struct Writer<D> {
    pub disk: D,
    /// The targets that the journal is kept for.
    pub holders: Vec<SmolStr>,
    pub current: Arc<ArcSwap<Snapshot>>,
    pub queue: mpsc::Receiver<Job>,
    pub announce: watch::Sender<u64>,
    pub healthy: Arc<AtomicBool>,
    pub options: Options,
    pub cursors: HashMap<SmolStr, u64>,
    pub journal_start: Arc<AtomicU64>,
}

#[derive(PartialEq, Eq)]
enum Turn {
    GoOn,
    Last,
}

/// Answers that wait for the commit; refusals too, since they may rest on a neighbour's change.
enum Answer {
    Write(oneshot::Sender<Result<Vec<Outcome>, Refused>>, Result<Vec<Outcome>, Refused>),
    Rows(oneshot::Sender<Result<(), Error>>),
}

impl<D: Disk> Writer<D> {
    pub fn run(mut self) {
        let _guard = OnPanic(Arc::clone(&self.healthy));
        let mut jobs = VecDeque::new();
        loop {
            if jobs.is_empty() {
                match self.next_job() {
                    Some(job) => jobs.push_back(job),
                    None => return,
                }
            }
            while jobs.len() < self.options.limits.commit_batch {
                match self.queue.try_recv() {
                    Ok(job) => jobs.push_back(job),
                    Err(_) => break,
                }
            }
            if self.turn(&mut jobs) == Turn::Last {
                return;
            }
        }
    }

    /// The next job. While none comes the journal is trimmed: a job waits for one step at the most.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            match self.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.trim() > 0 => {}
                Err(TryRecvError::Empty) => return self.queue.blocking_recv(),
            }
        }
    }

    /// One commit, of as many jobs as it takes in.
    fn turn(&mut self, jobs: &mut VecDeque<Job>) -> Turn {
        let snapshot = Snapshot::clone(&self.current.load());
        let before = snapshot.head;
        let mut work = Work::new(&self.options, snapshot);
        let mut answers = Vec::with_capacity(jobs.len());
        let mut turn = Turn::GoOn;
        let mut cursors = Vec::new();
        let mut other_career = false;
        while work.group.bytes() < self.options.limits.commit_bytes
            && let Some(job) = jobs.pop_front()
        {
            match job {
                Job::Write { updates, reply } => {
                    let result = work.carry_out(updates);
                    answers.push(Answer::Write(reply, result));
                }
                Job::Career { career, reply } => {
                    work.snapshot.follow_career(career);
                    other_career = true;
                    answers.push(Answer::Rows(reply));
                }
                Job::Rows { rows, reply } => {
                    for (key, value) in rows {
                        cursors.extend(cursor(&key, value.as_deref()));
                        match value {
                            Some(bytes) => work.group.put(key, bytes),
                            None => work.group.delete(key),
                        }
                    }
                    answers.push(Answer::Rows(reply));
                }
                Job::Hold { target, holds, reply } => {
                    self.holders.retain(|held| *held != target);
                    self.holders.extend(holds.then_some(target));
                    answers.push(Answer::Rows(reply));
                }
                Job::ReadLog { after, max, reply } => {
                    // The reader may be gone: then nobody wants the answer.
                    let _ = reply.send(self.read_log(after, max));
                }
                Job::Stop => turn = Turn::Last,
            }
        }
        let Work { snapshot: work, group, .. } = work;
        if group.is_empty() {
            if other_career {
                self.current.store(Arc::new(work));
                self.announce.send_replace(before);
            }
            answer_all(answers, &Ok(()));
            return turn;
        }
        let jobs = group.puts.len() + group.deletes.len();
        match self.disk.commit(before, &group) {
            Ok(head) => {
                debug_assert_eq!(head, work.head);
                metrics::counter!(names::COMMITS).increment(1);
                metrics::counter!(names::COMMITTED_JOBS).increment(jobs as u64);
                metrics::gauge!(names::ENTRIES).set(work.len() as f64);
                self.current.store(Arc::new(work));
                self.announce.send_replace(head);
                self.cursors.extend(cursors);
                answer_all(answers, &Ok(()));
                // Under load too, so that the journal does not outgrow the trim.
                self.trim();
            }
            Err(error) => {
                tracing::error!(%error, "commit failed");
                let refused = error.refused();
                if !refused {
                    // What became of the group is unknown until the restart.
                    self.healthy.store(false, Ordering::Release);
                }
                let full = matches!(error, crate::store::Error::NoSpace { .. });
                answer_all(answers, &Err(if full { Failure::Full } else { Failure::Broken }));
            }
        }
        turn
    }

    /// At least one record, if there is any, and no more than fit into the bytes of a page.
    fn read_log(&self, after: u64, max: usize) -> Result<Vec<(u64, Change)>, Error> {
        let limits = &self.options.limits;
        // As many at a time as a page has room for if all of them are large.
        let stride = (limits.journal_page_bytes / limits.journal_record_bytes.max(1)).max(1);
        let (mut changes, mut bytes, mut read) = (Vec::new(), 0usize, after);
        while changes.len() < max && bytes < limits.journal_page_bytes.max(1) {
            let records = self.disk.read_log(read, stride.min(max - changes.len()))?;
            let Some((last, _)) = records.last() else { break };
            read = *last;
            for (number, record) in records {
                bytes += record.len();
                let change = Change::decode(&record).ok_or_else(|| {
                    Error::Internal(format!("journal record {number} was written by a later release"))
                })?;
                changes.push((number, change));
            }
        }
        Ok(changes)
    }

    /// Removes journal records that every target has passed, a few at a time; answers how many.
    fn trim(&mut self) -> usize {
        let limits = &self.options.limits;
        let head = self.current.load().head;
        let passed = self.holders.iter().map(|t| self.cursors.get(t).copied().unwrap_or(0)).min();
        // The last record stays: it tells the time of the head after a restart.
        let upto = passed.unwrap_or(head).min(head.saturating_sub(limits.journal_keep.max(1)));
        let first = self.journal_start.load(Ordering::Acquire);
        if upto < first || !self.healthy.load(Ordering::Acquire) {
            return 0;
        }
        match self.disk.trim(upto, limits.commit_batch) {
            Ok(trimmed) => {
                self.journal_start.store(first.saturating_add(trimmed as u64), Ordering::Release);
                trimmed
            }
            Err(error) => {
                tracing::error!(%error, "the journal could not be trimmed");
                if !error.refused() {
                    self.healthy.store(false, Ordering::Release);
                }
                0
            }
        }
    }
}

/// How far a target has come, if the row is a cursor.
fn cursor(key: &RecordKey, value: Option<&[u8]>) -> Option<(SmolStr, u64)> {
    let RecordKey::Cursor(target) = key else { return None };
    Some((target.clone(), u64::from_be_bytes(value?.try_into().ok()?)))
}

/// A writer that panicked takes no more writes; health must say so.
struct OnPanic(Arc<AtomicBool>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(false, Ordering::Release);
        }
    }
}

#[derive(Clone, Copy)]
enum Failure {
    Full,
    Broken,
}

/// A caller that has gone away does not want its answer.
fn answer_all(answers: Vec<Answer>, commit: &Result<(), Failure>) {
    let failed = |failure: Failure| match failure {
        Failure::Full => Error::NoSpace,
        Failure::Broken => Error::Unavailable,
    };
    for answer in answers {
        match (answer, *commit) {
            (Answer::Write(reply, result), Ok(())) => drop(reply.send(result)),
            (Answer::Write(reply, _), Err(failure)) => drop(reply.send(Err(failed(failure).into()))),
            (Answer::Rows(reply), Ok(())) => drop(reply.send(Ok(()))),
            (Answer::Rows(reply), Err(failure)) => drop(reply.send(Err(failed(failure)))),
        }
    }
}
