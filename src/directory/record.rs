//! Entries as records of the store: a version byte, then parent, name, operational data, secrets
//! and the attribute list in its wire form.

use super::snapshot::Node;
use crate::{
    clock::Timestamp,
    entry::{Axes, Entry, Operational},
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

pub const VERSION: u8 = 2;
/// The form before identities had facts.
const FIRST: u8 = 1;

#[derive(Serialize)]
struct Written<'a> {
    parent: Option<Uuid>,
    name: &'a str,
    operational: &'a Operational,
    secrets: Vec<(SmolStr, &'a [Vec<u8>])>,
    body: &'a [u8],
}

/// A record read back, not yet an entry: its parent must be there first.
#[derive(Deserialize)]
pub(super) struct Read {
    pub parent: Option<Uuid>,
    /// The RDN; the whole suffix for the topmost entry.
    pub name: String,
    pub operational: Operational,
    pub secrets: Vec<(SmolStr, Vec<Vec<u8>>)>,
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
struct FirstRead {
    parent: Option<Uuid>,
    name: String,
    operational: FirstOperational,
    secrets: Vec<(SmolStr, Vec<Vec<u8>>)>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct FirstOperational {
    created: Timestamp,
    modified: Timestamp,
    creator: SmolStr,
    modifier: SmolStr,
    structural: SmolStr,
    changed: u64,
    axes: Option<Axes>,
    missing: Vec<String>,
    synced: Option<Timestamp>,
}

impl From<FirstRead> for Read {
    fn from(first: FirstRead) -> Self {
        let FirstRead { parent, name, operational, secrets, body } = first;
        let FirstOperational { created, modified, creator, modifier, structural, changed, axes, missing, synced } =
            operational;
        let facts = axes.map(|_| Box::default());
        let operational =
            Operational { created, modified, creator, modifier, structural, changed, axes, missing, synced, facts };
        Read { parent, name, operational, secrets, body }
    }
}

pub(super) fn encode(node: &Node, parent: Option<Uuid>, name: &str, schema: &crate::schema::Schema) -> Vec<u8> {
    let entry: &Entry = &node.entry;
    let written = Written {
        parent,
        name,
        operational: &entry.operational,
        secrets: entry.secrets().iter().map(|s| (schema.spell(&s.desc), s.values.as_slice())).collect(),
        body: entry.body(),
    };
    let mut out = vec![VERSION];
    if let Ok(bytes) = postcard::to_stdvec(&written) {
        out.extend(bytes);
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Read, String> {
    match bytes {
        [VERSION, rest @ ..] => postcard::from_bytes(rest).map_err(|e| e.to_string()),
        [FIRST, rest @ ..] => postcard::from_bytes(rest).map(FirstRead::into).map_err(|e| e.to_string()),
        [version, ..] => Err(format!("record version {version} was written by a later release")),
        [] => Err("empty record".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of the first release, byte by byte; never to be made anew.
    #[test]
    fn records_without_facts_are_read() {
        let mut bytes = vec![FIRST];
        // No parent, then the name.
        bytes.extend(b"\x00\x07dc=test");
        // Created 1, modified 2, creator, modifier, structural class, changed 5.
        bytes.extend(b"\x02\x04\x01c\x01m\x06person\x05");
        // Axes: state 2, letter O, dataStatus 1, initState 0; one thing missing; synced at 4.
        bytes.extend(b"\x01\x04\x01O\x02\x00\x01\x03cn \x01\x08");
        // No secrets; a body of two bytes.
        bytes.extend(b"\x00\x02\x30\x00");
        let read = decode(&bytes).unwrap();
        let operational = read.operational;
        assert_eq!((read.name.as_str(), read.body.as_slice()), ("dc=test", &b"\x30\x00"[..]));
        assert_eq!(operational.axes, Some(Axes { state: 2, lifecycle: 'O', data_status: 1, init_state: 0 }));
        assert_eq!((operational.synced, operational.changed), (Some(Timestamp(4)), 5));
        assert_eq!(operational.facts, Some(Box::default()), "an identity has facts, be they empty");
    }
}
