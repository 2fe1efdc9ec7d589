//! Entries that an entry names: the manager of a person, the members of a group.

use super::definition::Depth;
use crate::{
    clock::Timestamp,
    directory::{Node, Snapshot, View},
    dn::{Dn, DnKey},
    schema::AttrId,
};
use std::collections::HashSet;
use uuid::Uuid;

/// What a document was found to speak of.
#[derive(Debug, Default)]
pub struct Found {
    pub refs: Vec<Uuid>,
    known: HashSet<Uuid>,
    /// Names that nobody has.
    pub absent: Vec<DnKey>,
}

impl Found {
    fn note(&mut self, uuid: Uuid) {
        if self.known.insert(uuid) {
            self.refs.push(uuid);
        }
    }
}

/// The entries that an attribute names, and what nobody has of these names.
pub fn named<'s>(snapshot: &'s Snapshot, node: &Node, attr: &str, found: &mut Found) -> Vec<&'s Node> {
    let Some(id) = snapshot.schema.attr_id(attr) else { return Vec::new() };
    let values = node.entry.values(id).map(<[u8]>::to_vec).collect();
    entries(snapshot, values, found)
}

fn entries<'s>(snapshot: &'s Snapshot, values: Vec<Vec<u8>>, found: &mut Found) -> Vec<&'s Node> {
    let mut nodes = Vec::with_capacity(values.len());
    for value in values {
        let Some(dn) = std::str::from_utf8(&value).ok().and_then(name_of) else { continue };
        let key = snapshot.schema.dn_key(&dn);
        match snapshot.find(&key) {
            Some(other) => {
                found.note(other.entry.uuid);
                nodes.push(other.as_ref());
            }
            None => found.absent.push(key),
        }
    }
    nodes
}

/// The name in a value, which a bit string may follow (RFC 4517 section 3.3.21).
fn name_of(value: &str) -> Option<Dn> {
    let name = match value.rsplit_once('#') {
        Some((name, bits)) if bits.starts_with('\'') && bits.ends_with("'B") => name,
        _ => value,
    };
    Dn::parse(name).ok()
}

/// The members of a group, each once; none of one that has ended.
pub fn members<'s>(
    snapshot: &'s Snapshot,
    group: &'s Node,
    depth: Depth,
    now: Timestamp,
    found: &mut Found,
) -> Vec<&'s Node> {
    let attrs: Vec<AttrId> = MEMBERS.iter().filter_map(|name| snapshot.schema.attr_id(name)).collect();
    let mut seen = HashSet::from([group.entry.uuid]);
    let mut open = vec![group];
    let mut out = Vec::new();
    while let Some(node) = open.pop() {
        if end(snapshot, node).is_some_and(|end| end <= now) {
            continue;
        }
        for member in entries(snapshot, member_names(snapshot, node, &attrs), found) {
            if !seen.insert(member.entry.uuid) {
                continue;
            }
            let is_group = attrs.iter().any(|attr| member.entry.has(*attr))
                || View::unrestricted(snapshot, member).gathers_members();
            match depth {
                Depth::Flattened if is_group => open.push(member),
                Depth::Direct if is_group => {}
                Depth::Flattened | Depth::Nested | Depth::Direct => out.push(member),
            }
        }
    }
    out
}

/// Those that the entry holds, and those that its memberURL finds.
fn member_names(snapshot: &Snapshot, node: &Node, attrs: &[AttrId]) -> Vec<Vec<u8>> {
    let view = View::unrestricted(snapshot, node);
    let values = |attr: &AttrId| match view.gathers(*attr) {
        true => view.computed(*attr),
        false => node.entry.values(*attr).map(<[u8]>::to_vec).collect(),
    };
    attrs.iter().flat_map(values).collect()
}

/// When a group ends (SupAnn: supannGroupeDateFin).
pub fn end(snapshot: &Snapshot, node: &Node) -> Option<Timestamp> {
    let id = snapshot.schema.attr_id("supannGroupeDateFin")?;
    node.entry.text(id).and_then(Timestamp::parse_generalized_time)
}

const MEMBERS: [&str; 2] = ["member", "uniqueMember"];
