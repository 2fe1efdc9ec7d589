//! Writing down what was reached, many results at a time, and telling the directory what the
//! targets together say. A result counts only once it is durable.

use super::{
    carrier::Carrier,
    links,
    verdicts::Vote,
    worker::{Event, Worker},
};
use crate::{
    access::Identity,
    directory::{Directory, Error, Op, Row},
    lifecycle,
};
use std::sync::Arc;
use tokio::task::JoinSet;
use uuid::Uuid;

/// What the directory is told of one version of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub uuid: Uuid,
    pub as_of: u64,
    pub event: lifecycle::Event,
}

/// How a write ended, and what it was to hold.
pub(super) struct Saved {
    result: Result<(), Error>,
    objects: Vec<Uuid>,
    votes: Vec<Vote>,
    cursor: Option<u64>,
    pass: bool,
    own: bool,
}

impl<C: Carrier> Worker<C> {
    /// All journal records up to this one are settled.
    pub(super) fn cursor(&self) -> Option<u64> {
        match self.queue.floor() {
            None => Some(self.read),
            Some(0) => self.saved_cursor,
            Some(lowest) => Some(lowest - 1),
        }
    }

    fn is_pass_settled(&self) -> bool {
        self.pass_open && self.queue.floor() != Some(0)
    }

    /// The rows that a write now would hold.
    pub(super) fn rows(&self) -> Vec<Row> {
        let dirty = self.dirty.iter().map(|object| {
            let row = self.links.get(*object);
            links::link_row(&self.name, *object, row.as_ref())
        });
        let mut rows: Vec<Row> = dirty.collect();
        if let Some(cursor) = self.cursor().filter(|cursor| Some(*cursor) != self.saved_cursor) {
            rows.push(links::cursor_row(&self.name, cursor));
        }
        if self.own_dirty || self.is_pass_settled() {
            let settings =
                if self.is_pass_settled() { Some(self.settings.fingerprint) } else { self.links.own.settings };
            rows.push(links::own_row(&self.name, &links::Own { settings, ..self.links.own.clone() }));
        }
        rows
    }

    /// Writes if there is enough to write; one write at a time, so that results gather meanwhile.
    pub(super) fn save(&mut self) {
        if self.saving || self.hold.is_some() || self.halted.is_some() {
            return;
        }
        let moved = self.cursor().unwrap_or(0).saturating_sub(self.saved_cursor.unwrap_or(0));
        // A cursor that moved a little is not worth a write: reading a few records again is free.
        let far = moved >= self.directory.limits.journal_page as u64;
        if self.dirty.is_empty() && !self.own_dirty && !self.is_pass_settled() && !far {
            let votes = std::mem::take(&mut self.votes);
            return self.hear(votes);
        }
        let rows = self.rows();
        let mut saved = Saved {
            result: Ok(()),
            objects: self.dirty.drain().collect(),
            votes: std::mem::take(&mut self.votes),
            cursor: self.cursor(),
            pass: self.is_pass_settled(),
            own: std::mem::take(&mut self.own_dirty),
        };
        let directory = Arc::clone(&self.directory);
        self.saving = true;
        self.tasks.spawn(async move {
            saved.result = directory.save_rows(rows).await;
            Event::Saved(Box::new(saved))
        });
    }

    pub(super) fn saved(&mut self, saved: Saved) {
        self.saving = false;
        match saved.result {
            Ok(()) => {
                self.saved_cursor = saved.cursor;
                if saved.pass {
                    self.pass_open = false;
                    self.links.own.settings = Some(self.settings.fingerprint);
                }
                self.hear(saved.votes);
            }
            Err(error) => {
                tracing::warn!(export = %self.name, %error, "results could not be written down");
                self.dirty.extend(saved.objects);
                self.votes.splice(0..0, saved.votes);
                self.own_dirty |= saved.own;
                self.hold_writes();
            }
        }
    }

    pub(super) fn hear(&mut self, votes: Vec<Vote>) {
        let events = votes.into_iter().filter_map(|vote| {
            let event = self.verdicts.hear(self.index, vote)?;
            Some(Report { uuid: vote.uuid, as_of: vote.as_of, event })
        });
        self.reports.extend(events);
    }

    /// Tells the directory; many at once, so that they share its commits.
    pub(super) fn report(&mut self) {
        if self.reporting || self.reports.is_empty() || self.hold.is_some() || self.halted.is_some() {
            return;
        }
        let reports = std::mem::take(&mut self.reports);
        let directory = Arc::clone(&self.directory);
        self.reporting = true;
        self.tasks.spawn(async move { Event::Reported(tell(&directory, reports).await) });
    }

    pub(super) fn reported(&mut self, failed: Vec<Report>) {
        self.reporting = false;
        if !failed.is_empty() {
            self.reports.splice(0..0, failed);
            self.hold_writes();
        }
    }

    fn hold_writes(&mut self) {
        let wait = u64::try_from(self.settings.backoff.max.as_millis()).unwrap_or(u64::MAX);
        self.hold = Some((self.clock)().plus_ms(wait));
    }
}

/// Answers the reports that the directory could not take.
async fn tell(directory: &Arc<Directory>, reports: Vec<Report>) -> Vec<Report> {
    let mut failed = Vec::new();
    for batch in reports.chunks(directory.limits.commit_batch.max(1)) {
        let mut under_way = JoinSet::new();
        for report in batch.iter().copied() {
            let directory = Arc::clone(directory);
            under_way.spawn(async move {
                let op = Op::Report { uuid: report.uuid, as_of: report.as_of, event: report.event };
                (report, directory.submit(&Identity::Server, op).await)
            });
        }
        while let Some(ended) = under_way.join_next().await {
            match ended {
                Ok((report, Err(Error::Unavailable | Error::NoSpace))) => failed.push(report),
                Ok((report, Err(error))) => {
                    tracing::warn!(object = %report.uuid, %error, "the directory did not take a report");
                }
                Ok((_, Ok(_))) | Err(_) => {}
            }
        }
    }
    failed
}
