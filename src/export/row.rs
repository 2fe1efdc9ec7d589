//! What a target holds of one object, and what became of the last attempt, as kept in the store.

use super::{
    links::Own,
    target::{Resource, read_document},
};
use crate::{
    clock::Timestamp,
    provisioning::{Account, AccountStatus, Mechanism},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    pub resource: Resource,
    /// `None` until the target has answered a create.
    pub remote_id: Option<String>,
    /// The canonical text of the document that the target has taken.
    pub sent: Option<String>,
    pub etag: Option<String>,
    /// The `active` that was sent last.
    pub active: Option<bool>,
    /// The version of the entry that this row speaks of: its `operational.changed`.
    pub as_of: u64,
    /// The last update may have been carried out, in part or whole: look before the next.
    pub unsure: bool,
    /// Failed attempts in a row.
    pub attempt: u32,
    pub next_attempt: Option<Timestamp>,
    pub last_error: Option<String>,
    /// The target has refused the document with this checksum for good.
    pub refused: Option<u32>,
    /// Entries that the document refers to, linked or not.
    pub refs: Vec<Uuid>,
    /// To be looked at after a restart: the entry names objects that do not exist and may come, or one
    /// that it refers to was linked or unlinked since.
    pub dangling: bool,
    /// Since when it is linked.
    pub since: Option<Timestamp>,
    /// When the target has taken something last.
    pub updated: Option<Timestamp>,
    pub mechanism: Option<Mechanism>,
    /// Has failed so often that it is tried seldom.
    pub quarantined: bool,
    /// Its removal is under way, or waits for somebody to approve it.
    pub staged: Option<Staged>,
    /// Somebody has rejected the removal with this checksum.
    pub rejected: Option<u32>,
    /// Attributes that the target did not keep though it took them.
    pub dropped: Vec<String>,
    /// Since when it should not be there; it goes when its grace is over.
    pub leaving: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    pub since: Timestamp,
    /// By somebody, or by the guard that let it go: it is not counted again.
    pub approved: bool,
}

/// As releases before wrote it.
#[derive(Serialize, Deserialize)]
struct Row1 {
    resource: Resource,
    remote_id: Option<String>,
    sent: Option<String>,
    etag: Option<String>,
    active: Option<bool>,
    as_of: u64,
    unsure: bool,
    attempt: u32,
    next_attempt: Option<Timestamp>,
    last_error: Option<String>,
    refused: Option<u32>,
    refs: Vec<Uuid>,
    dangling: bool,
}

const VERSION: u8 = 2;

impl LinkRow {
    pub fn new(resource: Resource) -> Self {
        LinkRow {
            resource,
            remote_id: None,
            sent: None,
            etag: None,
            active: None,
            as_of: 0,
            unsure: false,
            attempt: 0,
            next_attempt: None,
            last_error: None,
            refused: None,
            refs: Vec::new(),
            dangling: false,
            since: None,
            updated: None,
            mechanism: None,
            quarantined: false,
            staged: None,
            rejected: None,
            dropped: Vec::new(),
            leaving: None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        versioned(self)
    }

    /// `None` if a later release wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [VERSION, rest @ ..] => postcard::from_bytes(rest).ok(),
            [1, rest @ ..] => postcard::from_bytes(rest).ok().map(Row1::now),
            _ => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// As people read it.
    pub fn shown(&self) -> Value {
        let time = |time: Option<Timestamp>| time.map(Timestamp::rfc3339);
        json!({
            "resource": self.resource.name(),
            "remoteId": self.remote_id,
            "status": self.status(),
            "mechanism": self.mechanism,
            "since": time(self.since),
            "updated": time(self.updated),
            "active": self.active,
            "etag": self.etag,
            "sent": self.sent.as_deref().map(read_document),
            "dropped": self.dropped,
            "attempt": self.attempt,
            "nextAttempt": time(self.next_attempt),
            "lastError": self.last_error,
            "refused": self.is_refused(),
            "quarantined": self.quarantined,
            "staged": self.staged.filter(|staged| !staged.approved).map(|staged| staged.since.rfc3339()),
            "rejected": self.rejected.is_some(),
            "leavingSince": time(self.leaving),
        })
    }

    fn status(&self) -> AccountStatus {
        match (&self.remote_id, &self.last_error) {
            (_, Some(_)) => AccountStatus::Failed,
            (None, None) => AccountStatus::Pending,
            (Some(_), None) if self.active == Some(false) => AccountStatus::Suspended,
            (Some(_), None) => AccountStatus::Provisioned,
        }
    }

    pub fn account(&self, target: &str) -> Account {
        let staged = self.staged.filter(|staged| !staged.approved);
        let why = self.last_error.clone().or_else(|| staged.map(|_| "its removal waits for an approval".to_owned()));
        Account {
            target: target.to_owned(),
            resource: self.resource.name(),
            status: self.status(),
            mechanism: self.mechanism,
            since: self.since,
            updated: self.updated,
            remote_id: self.remote_id.clone(),
            why,
            next_attempt: self.next_attempt,
        }
    }
}

impl Row1 {
    fn now(self) -> LinkRow {
        LinkRow {
            remote_id: self.remote_id,
            sent: self.sent,
            etag: self.etag,
            active: self.active,
            as_of: self.as_of,
            unsure: self.unsure,
            attempt: self.attempt,
            next_attempt: self.next_attempt,
            last_error: self.last_error,
            refused: self.refused,
            refs: self.refs,
            dangling: self.dangling,
            ..LinkRow::new(self.resource)
        }
    }
}

pub(super) fn encode_own(own: &Own) -> Vec<u8> {
    versioned(own)
}

/// What cannot be read is as if nothing had been decided: every object is looked at again.
pub(super) fn decode_own(bytes: &[u8]) -> Own {
    match bytes {
        [VERSION, rest @ ..] => postcard::from_bytes(rest).unwrap_or_default(),
        [1, rest @ ..] => Own { settings: postcard::from_bytes(rest).ok(), ..Own::default() },
        _ => Own::default(),
    }
}

fn versioned(value: &impl Serialize) -> Vec<u8> {
    let mut out = vec![VERSION];
    if let Ok(bytes) = postcard::to_stdvec(value) {
        out.extend(bytes);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> LinkRow {
        LinkRow {
            remote_id: Some("r1".into()),
            sent: Some("{}".into()),
            etag: Some("W/\"1\"".into()),
            active: Some(true),
            as_of: 7,
            unsure: true,
            attempt: 2,
            next_attempt: Some(Timestamp::from_secs(9)),
            last_error: Some("busy".into()),
            refused: Some(5),
            refs: vec![Uuid::from_u128(2)],
            dangling: true,
            ..LinkRow::new(Resource::Group)
        }
    }

    #[test]
    fn a_row_comes_back_and_a_later_version_does_not() {
        let whole = LinkRow {
            since: Some(Timestamp::from_secs(3)),
            mechanism: Some(Mechanism::Adoption),
            staged: Some(Staged { since: Timestamp::from_secs(4), approved: true }),
            dropped: vec!["title".into()],
            ..full()
        };
        let mut bytes = whole.encode();
        assert_eq!(LinkRow::decode(&bytes), Some(whole));
        bytes[0] = 3;
        assert_eq!(LinkRow::decode(&bytes), None);
        assert_eq!(LinkRow::decode(&[]), None);
    }

    #[test]
    fn rows_of_the_first_version_are_read() {
        let row = full();
        let old = Row1 {
            resource: row.resource,
            remote_id: row.remote_id.clone(),
            sent: row.sent.clone(),
            etag: row.etag.clone(),
            active: row.active,
            as_of: row.as_of,
            unsure: row.unsure,
            attempt: row.attempt,
            next_attempt: row.next_attempt,
            last_error: row.last_error.clone(),
            refused: row.refused,
            refs: row.refs.clone(),
            dangling: row.dangling,
        };
        let bytes = [vec![1], postcard::to_stdvec(&old).unwrap()].concat();
        assert_eq!(LinkRow::decode(&bytes), Some(row));
        assert_eq!(decode_own(&[1, 77]).settings, Some(77));
    }
}
