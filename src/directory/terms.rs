//! Updates as a client asks for them: who, what, and on which terms; and what came of each.

use super::{Error, Node, Op, Snapshot};
use crate::{access::Identity, filter::Filter};
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
