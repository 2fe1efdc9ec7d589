//! What a reconciliation has found for one object (IDHub: ReconciliationEvent).

use super::pull::Pull;
use crate::export::target::{Document, Resource};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// From 1, in the order in which objects were looked at.
    pub row_number: u64,
    pub status: EventStatus,
    pub resource_type: Resource,
    /// The entry, if there is exactly one.
    pub object: Option<Uuid>,
    /// By what the target knows it.
    pub resource_id: Option<String>,
    pub resource_display_name: Option<String>,
    /// The key that led from the one to the other.
    pub matched_by: Option<SmolStr>,
    /// What differs, by attribute.
    pub changed: Vec<String>,
    /// The part of the target's object that we answer for.
    pub before: Option<Document>,
    /// The same as the directory has it; absent where it should not be there.
    pub after: Option<Document>,
    pub why: Option<String>,
    /// What a repair takes from the target, by attribute of the entry, and the version of the entry that it
    /// is for.
    #[serde(default, skip_serializing_if = "Pull::is_empty")]
    pub pulled: Pull,
    #[serde(default)]
    pub as_of: u64,
}

/// IDHub's words, and three for what it has none: orphan, stale, ambiguous. Accounts are users; all
/// else that a target holds is a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventStatus {
    /// There, matched, and not linked so far.
    NewUserAccountCreated,
    NewResourceCreated,
    /// Linked, and other than it should be.
    ExistingUserAccountReconciled,
    ExistingResourceReconciled,
    /// Linked, and as it should be.
    ExistingUserAccountReconciledNoChange,
    ExistingResourceReconciledNoChange,
    /// No entry matches, or none that can be compared; left alone.
    ResourceValidationFailed,
    /// It carries an externalId of ours, of which no entry is left that wants it.
    Orphan,
    /// Linked, but the target does not have it.
    Stale,
    /// More than one fits; only a human can tell.
    Ambiguous,
}

impl EventStatus {
    pub fn newly_linked(resource: Resource) -> Self {
        match resource {
            Resource::User => EventStatus::NewUserAccountCreated,
            _ => EventStatus::NewResourceCreated,
        }
    }

    pub fn reconciled(resource: Resource, differs: bool) -> Self {
        match (resource, differs) {
            (Resource::User, true) => EventStatus::ExistingUserAccountReconciled,
            (Resource::User, false) => EventStatus::ExistingUserAccountReconciledNoChange,
            (_, true) => EventStatus::ExistingResourceReconciled,
            (_, false) => EventStatus::ExistingResourceReconciledNoChange,
        }
    }

    /// What `--repair` does something about.
    pub fn is_repairable(self) -> bool {
        match self {
            EventStatus::NewUserAccountCreated
            | EventStatus::NewResourceCreated
            | EventStatus::ExistingUserAccountReconciled
            | EventStatus::ExistingResourceReconciled
            | EventStatus::Stale => true,
            EventStatus::ExistingUserAccountReconciledNoChange
            | EventStatus::ExistingResourceReconciledNoChange
            | EventStatus::ResourceValidationFailed
            | EventStatus::Orphan
            | EventStatus::Ambiguous => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_idhub() {
        for (status, word) in [
            (EventStatus::newly_linked(Resource::User), "NEW_USER_ACCOUNT_CREATED"),
            (EventStatus::newly_linked(Resource::Group), "NEW_RESOURCE_CREATED"),
            (EventStatus::reconciled(Resource::User, true), "EXISTING_USER_ACCOUNT_RECONCILED"),
            (EventStatus::reconciled(Resource::User, false), "EXISTING_USER_ACCOUNT_RECONCILED_NO_CHANGE"),
            (EventStatus::reconciled(Resource::Group, true), "EXISTING_RESOURCE_RECONCILED"),
            (EventStatus::reconciled(Resource::Group, false), "EXISTING_RESOURCE_RECONCILED_NO_CHANGE"),
            (EventStatus::ResourceValidationFailed, "RESOURCE_VALIDATION_FAILED"),
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), word);
        }
    }
}
