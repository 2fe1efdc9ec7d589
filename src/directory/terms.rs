//! Updates as a client asks for them: who, what, and on which terms; and what came of each.

use super::{Error, Node, Op, Snapshot};
use crate::{
    access::Identity,
    entry::FactsChange,
    filter::Filter,
    lifecycle::{Event, Release},
    schema::Violation,
};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// One change, asked for by someone.
#[derive(Clone, Debug)]
pub struct Update {
    pub identity: Identity,
    pub op: Op,
    pub terms: Terms,
}

/// Under which conditions a change is wanted, and in what manner.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Must be true of the entry, or nothing is done (RFC 4528).
    pub assertion: Option<Filter>,
    /// Values to add that are there, and values to delete that are not, are no error.
    pub permissive: bool,
    /// A delete takes all that lies below with it.
    pub tree: bool,
    /// Everything is checked, nothing is done.
    pub no_op: bool,
    /// An administrator may set what the server keeps, and change the structural class.
    pub relax: bool,
    /// Referral objects are taken for ordinary entries (RFC 3296).
    pub manage_dsa_it: bool,
    /// Which states of the entry the client wants to see (RFC 4527).
    pub sights: Sights,
    /// Why, for the history of an identity.
    pub why: SmolStr,
    pub on_fault: OnFault,
    /// In place of `identities.release`.
    pub release: Option<Release>,
    /// What this change is in the life of an identity, where it is not just a write.
    pub event: Option<Event>,
    /// Facts that only fronts of the server's own set.
    pub facts: Option<Box<FactsChange>>,
    /// Faults that the front itself has found. Present, they take the place of all that were found
    /// so earlier; absent, those of attributes that this change does not touch stay.
    pub faults: Option<Vec<Violation>>,
    /// The journal number that the entry must still have as its last ([`crate::entry::Operational`]).
    pub as_of: Option<u64>,
}

impl Terms {
    /// The terms for what follows elsewhere in the tree: what was said of the one entry is not said
    /// of others.
    pub(super) fn for_others(&self) -> Terms {
        let why = self.why.clone();
        Terms { tree: self.tree, relax: self.relax, manage_dsa_it: self.manage_dsa_it, why, ..Terms::default() }
    }
}

/// What to do with an identity that breaks class rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    #[default]
    Refuse,
    /// It is kept as TO_COMPLETE.
    Hold,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    pub before: bool,
    pub after: bool,
}

/// An entry as it stood in one state of the directory.
#[derive(Clone)]
pub struct Sight {
    pub snapshot: Arc<Snapshot>,
    pub node: Arc<Node>,
}

impl std::fmt::Debug for Sight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sight({})", self.node.entry.uuid)
    }
}

/// What came of an accepted change.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub uuid: Uuid,
    /// For the client, beside success: what an identity that was kept still lacks.
    pub diagnostic: Option<String>,
    /// False if the entry was as asked before: nothing was written.
    pub changed: bool,
    pub before: Option<Sight>,
    pub after: Option<Sight>,
}

impl Outcome {
    pub(super) fn changed(uuid: Uuid, diagnostic: Option<String>) -> Self {
        Outcome { uuid, diagnostic, changed: true, before: None, after: None }
    }

    pub(super) fn unchanged(uuid: Uuid) -> Self {
        Outcome { changed: false, ..Outcome::changed(uuid, None) }
    }
}

/// Why nothing was done, and which of several updates was the reason, counted from 0.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    pub at: usize,
    pub error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused { at: 0, error }
    }
}
