//! Deleted identities below `cn=deleted`, one entry each under its entryUUID, for those whom the
//! access rules let see them. There `vestibuleDeleted: FALSE` brings one back, and a delete purges it.

use super::rootdse::MadeUp;
use crate::{
    access::DELETED,
    directory::{Error, Node, Op, Snapshot},
    dn::{Dn, DnKey},
    entry::{Entry, ModKind},
    lifecycle::parse_axis,
    schema::Schema,
};
use smol_str::SmolStr;
use uuid::Uuid;

/// True if the name is `cn=deleted` or below it.
pub fn is_asked(snapshot: &Snapshot, key: &DnKey) -> bool {
    snapshot.schema.dn_value_key(DELETED).is_some_and(|tree| key.is_within(&tree))
}

/// The container, and the entry that is named or else all of them.
pub fn tree(snapshot: &Snapshot, key: &DnKey) -> Vec<Node> {
    let attributes = vec![
        ("objectClass", "organizationalRole".to_owned()),
        ("cn", "deleted".to_owned()),
        ("description", "Deleted identities; vestibuleDeleted: FALSE brings one back, a delete purges it".to_owned()),
    ];
    let container = MadeUp { dn: DELETED.to_owned(), class: "organizationalRole", attributes };
    // Of one that is named only that one is made.
    let wanted = |dn: &Dn| key.rdns().len() == 1 || snapshot.schema.dn_key(dn) == *key;
    let shown = snapshot.deleted().filter_map(|tomb| {
        let dn = Dn::parse(&format!("entryUUID={},{DELETED}", tomb.entry.uuid)).ok().filter(wanted)?;
        Some(Node::synthetic(&dn, Entry::clone(&tomb.entry)))
    });
    container.into_node(&snapshot.schema).into_iter().chain(shown).collect()
}

/// Which deleted identity a name means.
fn uuid(dn: &Dn) -> Option<Uuid> {
    let [ava] = dn.leaf()?.avas() else { return None };
    let named = ava.attr.eq_ignore_ascii_case("entryUUID");
    std::str::from_utf8(&ava.value).ok().filter(|_| named).and_then(|text| Uuid::try_parse(text).ok())
}

/// What a write to a name below `cn=deleted` comes to; any other is left as it is.
pub fn redirect(snapshot: &Snapshot, op: Op) -> Result<Op, Error> {
    let (Op::Add { dn, .. } | Op::Modify { dn, .. } | Op::Delete { dn } | Op::Rename { dn, .. }) = &op else {
        return Ok(op);
    };
    let key = snapshot.schema.dn_key(dn);
    if snapshot.covers(&key) || !is_asked(snapshot, &key) {
        return Ok(op);
    }
    // Who may not see a deleted identity is refused by the writer as if it were not there.
    let uuid = uuid(dn).ok_or(Error::NoSuchObject { matched: None });
    match op {
        Op::Delete { .. } => Ok(Op::Purge { uuid: uuid? }),
        Op::Modify { changes, .. } if is_undelete(&changes, &snapshot.schema) => Ok(Op::Undelete { uuid: uuid? }),
        _ => Err(Error::Unwilling(
            "a deleted identity takes vestibuleDeleted: FALSE, with vestibuleReason if wanted, or a delete",
        )),
    }
}

fn is_undelete(changes: &[(ModKind, SmolStr, Vec<Vec<u8>>)], schema: &Schema) -> bool {
    let known = &schema.known;
    let is_reason = |value: &Vec<u8>| parse_axis::reason(value).is_ok();
    let asks = |(kind, name, values): &(ModKind, SmolStr, Vec<Vec<u8>>)| {
        schema.attr_id(name) == Some(known.deleted)
            && *kind == ModKind::Replace
            && values.iter().any(|v| v.as_slice() == b"FALSE")
    };
    let fits = |change: &(ModKind, SmolStr, Vec<Vec<u8>>)| {
        asks(change) || (schema.attr_id(&change.1) == Some(known.reason) && change.2.iter().all(is_reason))
    };
    changes.iter().any(asks) && changes.iter().all(fits)
}

/// The reason that comes with a change, if there is one.
pub fn reason(op: &Op, schema: &Schema) -> SmolStr {
    let Op::Modify { changes, .. } = op else { return SmolStr::default() };
    let given = changes.iter().find(|(_, name, _)| schema.attr_id(name) == Some(schema.known.reason));
    let value = given.and_then(|(.., values)| values.first());
    value.and_then(|v| std::str::from_utf8(v).ok()).map(SmolStr::new).unwrap_or_default()
}
