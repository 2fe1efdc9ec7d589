//! What the server itself keeps about an entry, beside its user attributes.

use super::Facts;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Operational data of one entry; stored with it, shown as operational attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operational {
    pub created: Timestamp,
    pub modified: Timestamp,
    pub creator: SmolStr,
    pub modifier: SmolStr,
    /// Name of the structural object class (RFC 4512 section 2.4.2).
    pub structural: SmolStr,
    /// Journal number of the last change that targets have to hear of: to the user attributes, the
    /// name, or the axes by a writer. Reports of the targets themselves leave it as it is.
    pub changed: u64,
    /// Only identities have them.
    pub axes: Option<Axes>,
    /// What a TO_COMPLETE identity lacks, one violation each.
    pub missing: Vec<String>,
    /// When all targets last accepted it (`lastBackendSync`).
    pub synced: Option<Timestamp>,
    /// Only identities have them.
    pub facts: Option<Box<Facts>>,
}

impl Operational {
    /// Of an entry that is not written yet, or never will be.
    pub fn unwritten() -> Self {
        Operational {
            created: Timestamp::default(),
            modified: Timestamp::default(),
            creator: SmolStr::default(),
            modifier: SmolStr::default(),
            structural: SmolStr::default(),
            changed: 0,
            axes: None,
            missing: Vec::new(),
            synced: None,
            facts: None,
        }
    }
}

/// Sesame's four independent axes of an identity. What the numbers mean and how they move is
/// the business of `lifecycle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axes {
    /// Synchronisation workflow.
    pub state: i32,
    /// The person's career, one letter.
    pub lifecycle: char,
    /// Whether the account may be used.
    pub data_status: i32,
    /// Progress of the invitation.
    pub init_state: i32,
}
