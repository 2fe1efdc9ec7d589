//! The one entry that a filter finds, where a name or a certificate stands for an identity.

use crate::{
    access::Identity,
    directory::{Directory, Node, Scope, Search, Snapshot, Step, Visit},
    dn::Dn,
    filter::{Ast, Filter},
};
use std::sync::Arc;

/// `None` as well if there are several: then nobody is named.
pub fn sole(directory: &Directory, snapshot: &Arc<Snapshot>, base: &Dn, filter: &Ast) -> Option<Arc<Node>> {
    let filter = Filter::bind(filter, &snapshot.schema);
    let grants = directory.access.grants(&Identity::Server);
    let search =
        Search { base: base.clone(), scope: Scope::Subtree, filter: Arc::new(filter), visit: Visit::default() };
    let mut hits = search.begin(Arc::clone(snapshot), &grants).ok()?;
    let mut only = None;
    loop {
        match hits.step(&grants) {
            Step::Found(_) if only.is_some() => return None,
            Step::Found(node) => only = Some(node),
            Step::Passed | Step::Reference(_) => {}
            Step::End => return only,
        }
    }
}
