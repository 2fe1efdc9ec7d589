//! Who may do what to which entries and attributes: ordered rules, the first that speaks of the
//! case decides, and what no rule speaks of is denied. Decisions only.

mod decide;
mod rule;

pub use decide::{Grants, Place};
pub use rule::{Access, CHANGE_LOG, DELETED, Error, RuleDef, Who};

use crate::dn::DnKey;
use smol_str::SmolStr;
use uuid::Uuid;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Anonymous,
    /// The administrator of the configuration; has no entry.
    Admin {
        dn: SmolStr,
    },
    /// Someone whose entry was bound.
    Entry {
        uuid: Uuid,
        dn: SmolStr,
        key: DnKey,
    },
    /// The server itself, such as an exporter that records what a target accepted.
    Server,
}

impl Identity {
    /// The authorization identity (RFC 4513 section 5.2.1.8); empty for anonymous.
    pub fn authzid(&self) -> String {
        match self.dn() {
            "" => String::new(),
            dn => format!("dn:{dn}"),
        }
    }

    /// The name for creatorsName and logs; empty for anonymous.
    pub fn dn(&self) -> &str {
        match self {
            Identity::Anonymous => "",
            Identity::Admin { dn } | Identity::Entry { dn, .. } => dn,
            Identity::Server => "cn=vestibule",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Use in a filter.
    Search,
    /// Compare an assertion with it.
    Compare,
    /// See its values.
    Read,
    /// Change its values.
    Write,
    /// Create the entry.
    Add,
    Delete,
    Rename,
    /// Act as the identity of the entry (RFC 4370).
    Proxy,
}
