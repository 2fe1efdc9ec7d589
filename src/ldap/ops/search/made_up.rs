//! Searches of the entries that describe the server itself.

use super::{Ended, deliver::Delivery};
use crate::{
    access::Right,
    directory::{Error, Node, Scope, Snapshot, View},
    dn::{Dn, DnKey},
    filter::Filter,
    ldap::{
        encode,
        ops::Call,
        result::{self, Code},
        rootdse,
    },
};

/// What is asked of a tree of made-up entries.
pub struct Asked<'a> {
    pub snapshot: &'a Snapshot,
    pub base: DnKey,
    pub scope: Scope,
    pub filter: &'a Filter,
    pub delivery: &'a Delivery,
}

/// The tree, if the search begins in one.
pub fn tree(call: &Call, snapshot: &Snapshot, base: &Dn, scope: Scope) -> Option<Vec<Node>> {
    if base.is_root() && scope != Scope::Base {
        return None;
    }
    rootdse::tree(call, snapshot, &snapshot.schema.dn_key(base))
}

pub fn search(call: &Call, asked: &Asked<'_>, tree: &[Node], sent: &mut usize) -> Result<Ended, Error> {
    let Asked { snapshot, base, scope, filter, delivery } = asked;
    let schema = &snapshot.schema;
    let grants = call.shared.options.directory.access.grants(&call.identity);
    if !grants.reach(base) || !tree.iter().any(|node| snapshot.dn_key_of(node) == *base) {
        return Err(Error::NoSuchObject { matched: None });
    }
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    for node in tree {
        let key = snapshot.dn_key_of(node);
        let open = View::unrestricted(snapshot, node);
        let place = grants.at(&key, node.entry.uuid, &open, schema);
        let view = View::new(snapshot, node, &place);
        if let Some(ast) = &call.controls.assertion
            && key == *base
            && !Filter::bind(ast, schema).matches(&view, schema)
        {
            return Err(Error::AssertionFailed);
        }
        let in_scope = match scope {
            Scope::Base => key == *base,
            Scope::One => key.parent().is_some_and(|parent| parent == *base),
            Scope::Subtree => key.is_within(base),
            Scope::Subordinates => key.is_below(base),
        };
        if !in_scope || !place.allows(None, Right::Read) || !filter.matches(&view, schema) {
            continue;
        }
        if delivery.limits().entries.is_some_and(|max| *sent >= max) {
            call.outbox.push(&out);
            let text = "there are more entries than the limit allows";
            return Ok(result::result(Code::SizeLimitExceeded, text).into());
        }
        encode::entry(&mut out, &mut scratch, call.id, &view, delivery.selection(), &[]);
        *sent += 1;
    }
    call.outbox.push(&out);
    Ok(result::success().into())
}
