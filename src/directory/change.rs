//! What the journal keeps of a change: enough for exporters and change feeds to know which entry
//! to look at, without values.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

/// One journal record; its number is its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub time: Timestamp,
    pub actor: SmolStr,
    pub uuid: Uuid,
    /// The name after the change; before it for a delete.
    pub dn: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    Add,
    /// The attributes that changed.
    Modify(Vec<SmolStr>),
    Delete,
    Rename {
        old_dn: String,
    },
    /// Only the state moved.
    State {
        from: i32,
        to: i32,
    },
}

const VERSION: u8 = 1;

impl Change {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        if let Ok(bytes) = postcard::to_stdvec(self) {
            out.extend(bytes);
        }
        out
    }

    /// `None` if a later release wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [VERSION, rest @ ..] => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }
}
