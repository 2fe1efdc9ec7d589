//! The header of one reconciliation (IDHub: ReconciliationBatch): what was asked, how far it has
//! come, and what it has found so far.

use super::event::EventStatus;
use crate::{clock::Timestamp, export::target::Resource};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    pub id: Uuid,
    pub target_system_name: SmolStr,
    pub resource_types: Vec<Resource>,
    pub asked: Asked,
    /// RFC 3339, as all times that are shown.
    pub start_date: String,
    pub end_date: Option<String>,
    pub status: BatchStatus,
    /// Why it has failed, or cannot go on now.
    pub why: Option<String>,
    /// How many objects the target says it has, as far as it was asked.
    pub expected: Option<u64>,
    /// How many events of each status there are.
    pub counts: BTreeMap<EventStatus, u64>,
    /// Events that a repair was asked for.
    pub repairs: u64,
    /// Repairs of entries that the directory has refused.
    #[serde(default)]
    pub refused: u64,
    pub cursor: Cursor,
}

/// What a reconciliation was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub dry_run: bool,
    pub scope: Option<String>,
    pub repair: bool,
    pub repair_orphans: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchStatus {
    /// Asked for, not begun.
    Initiated,
    Running,
    Completed,
    /// The target, or this machine's disk, has refused; what was found stays.
    Failed,
    /// The server has stopped meanwhile; the next one goes on with it.
    Interrupted,
}

impl BatchStatus {
    pub fn is_over(self) -> bool {
        matches!(self, BatchStatus::Completed | BatchStatus::Failed)
    }
}

/// Where a reconciliation goes on. Written once all events up to here are on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    pub step: Step,
    /// Which of the resource types is being listed.
    pub resource: usize,
    /// How many objects came on the pages before.
    pub skip: usize,
    /// What the target gave with the page before, if it pages by cursors (RFC 9865).
    pub page: Option<String>,
    /// The next event's number.
    pub row_number: u64,
    /// How long the file of events is: what a crash has left behind it is cut off.
    pub event_bytes: u64,
    /// How many events were looked at for repair.
    pub repaired_rows: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Pages through the target.
    #[default]
    List,
    /// Looks for what is linked and was on no page.
    Stale,
    /// Asks for what differs to be put right.
    Repair,
    Done,
}

impl Batch {
    pub fn new(id: Uuid, target: &SmolStr, resource_types: Vec<Resource>, asked: Asked, now: Timestamp) -> Self {
        Batch {
            id,
            target_system_name: target.clone(),
            resource_types,
            asked,
            start_date: now.rfc3339(),
            end_date: None,
            status: BatchStatus::Initiated,
            why: None,
            expected: None,
            counts: BTreeMap::new(),
            repairs: 0,
            refused: 0,
            cursor: Cursor::default(),
        }
    }

    /// The types are listed one after the other.
    pub fn listing(&self) -> Option<Resource> {
        self.resource_types.get(self.cursor.resource).copied().filter(|_| self.cursor.step == Step::List)
    }

    /// The step after this one, given whether anything is to be repaired.
    pub fn advance(&mut self) {
        let repairs = !self.asked.dry_run && (self.asked.repair || self.asked.repair_orphans);
        self.cursor.step = match self.cursor.step {
            Step::List => Step::Stale,
            Step::Stale if repairs => Step::Repair,
            Step::Stale | Step::Repair | Step::Done => Step::Done,
        };
    }

    pub fn end(&mut self, status: BatchStatus, why: Option<String>, now: Timestamp) {
        self.status = status;
        self.why = why;
        self.end_date = status.is_over().then(|| now.rfc3339());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(asked: Asked) -> Batch {
        Batch::new(Uuid::from_u128(1), &SmolStr::new("hr"), vec![Resource::User, Resource::Group], asked, Timestamp(0))
    }

    fn steps(asked: Asked) -> Vec<Step> {
        let mut batch = batch(asked);
        let mut steps = Vec::new();
        while batch.cursor.step != Step::Done {
            steps.push(batch.cursor.step);
            batch.advance();
        }
        steps
    }

    #[test]
    fn only_a_told_repair_repairs() {
        let repair = Asked { repair: true, ..Asked::default() };
        let dry = Asked { dry_run: true, ..repair.clone() };
        assert_eq!(steps(Asked::default()), [Step::List, Step::Stale]);
        assert_eq!(steps(dry), [Step::List, Step::Stale]);
        assert_eq!(steps(repair), [Step::List, Step::Stale, Step::Repair]);
        assert_eq!(steps(Asked { repair_orphans: true, ..Asked::default() }), [Step::List, Step::Stale, Step::Repair]);
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let mut batch = batch(Asked { scope: Some("(uid=a*)".into()), ..Asked::default() });
        batch.counts.insert(EventStatus::Orphan, 3);
        batch.cursor = Cursor { resource: 1, skip: 200, page: Some("c".into()), row_number: 201, ..Cursor::default() };
        let text = serde_json::to_string(&batch).unwrap();
        assert!(text.contains(r#""targetSystemName":"hr""#) && text.contains(r#""ORPHAN":3"#), "{text}");
        assert_eq!(serde_json::from_str::<Batch>(&text).unwrap(), batch);
    }

    #[test]
    fn what_is_over_has_an_end() {
        let mut batch = batch(Asked::default());
        batch.end(BatchStatus::Interrupted, None, Timestamp(0));
        assert_eq!(batch.end_date, None);
        batch.end(BatchStatus::Failed, Some("no answer".into()), Timestamp(0));
        assert_eq!(batch.end_date.as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }
}
