//! Searches of the entries that describe the server itself.

use super::Ended;
use crate::{
    access::Right,
    directory::{Error, Node, Scope, Snapshot, View},
    dn::Dn,
    filter::Filter,
    ldap::{
        encode::{self, Selection},
        ops::Call,
        result, rootdse,
    },
};

/// The entry, if the search begins at one.
pub fn at(call: &Call, snapshot: &Snapshot, base: &Dn, scope: Scope) -> Option<Node> {
    if base.is_root() && scope != Scope::Base {
        return None;
    }
    rootdse::at(call, snapshot, &snapshot.schema.dn_key(base))
}

#[expect(clippy::too_many_arguments, reason = "all that a search consists of")]
pub fn search(
    call: &Call,
    snapshot: &Snapshot,
    node: &Node,
    base: &Dn,
    scope: Scope,
    filter: &Filter,
    selection: &Selection,
    sent: &mut usize,
) -> Result<Ended, Error> {
    // Nothing stands below.
    if matches!(scope, Scope::One | Scope::Subordinates) {
        return Ok(result::success().into());
    }
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let key = snapshot.schema.dn_key(base);
    let open = View::unrestricted(snapshot, node);
    let place = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
    let view = View::new(snapshot, node, &place);
    if let Some(ast) = &call.controls.assertion
        && !Filter::bind(ast, &snapshot.schema).matches(&view, &snapshot.schema)
    {
        return Err(Error::AssertionFailed);
    }
    if place.allows(None, Right::Read) && filter.matches(&view, &snapshot.schema) {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        encode::entry(&mut out, &mut scratch, call.id, &view, selection, &[]);
        call.outbox.push(&out);
        *sent += 1;
    }
    Ok(result::success().into())
}
