//! Searches of the entries that describe the server itself.

use crate::{
    access::Right,
    directory::{Error, Node, Scope, Search, Snapshot, View},
    dn::Dn,
    filter::Filter,
    ldap::{ops::Call, rootdse},
};
use std::sync::Arc;

/// True if the search begins at such an entry.
pub fn is_asked(snapshot: &Snapshot, base: &Dn, scope: Scope) -> bool {
    // All but the base search of the root goes to the tree.
    (!base.is_root() || scope == Scope::Base) && rootdse::is_made_up(snapshot, &snapshot.schema.dn_key(base))
}

/// The entries that it finds.
pub fn found(call: &Call, snapshot: &Snapshot, search: &Search) -> Result<Vec<Arc<Node>>, Error> {
    let schema = &snapshot.schema;
    let base = schema.dn_key(&search.base);
    let grants = call.shared.options.directory.access.grants(&call.identity);
    // Before anything is made up: there may be an entry for each connection.
    let tree = if grants.reach(&base) { rootdse::tree(call, snapshot, &base).unwrap_or_default() } else { Vec::new() };
    if !tree.iter().any(|node| snapshot.dn_key_of(node) == base) {
        return Err(Error::NoSuchObject { matched: None });
    }
    let mut found = Vec::new();
    for node in tree {
        let key = snapshot.dn_key_of(&node);
        let open = View::unrestricted(snapshot, &node);
        let place = grants.at(&key, node.entry.uuid, &open, schema);
        let view = View::new(snapshot, &node, &place);
        if let Some(ast) = &call.controls.assertion
            && key == base
            && !Filter::bind(ast, schema).matches(&view, schema)
        {
            return Err(Error::AssertionFailed);
        }
        let in_scope = match search.scope {
            Scope::Base => key == base,
            Scope::One => key.parent().is_some_and(|parent| parent == base),
            Scope::Subtree => key.is_within(&base),
            Scope::Subordinates => key.is_below(&base),
        };
        if in_scope && place.allows(None, Right::Read) && search.filter.matches(&view, schema) {
            found.push(Arc::new(node));
        }
    }
    Ok(found)
}
