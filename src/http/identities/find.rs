//! Identities that a filter finds, by index where one helps.

use super::{query::Wanted, shown, unsigned};
use crate::{
    access::Grants,
    directory::{Error, Node, Scope, Search, Snapshot, Step, Visit},
    filter::{Ast, Filter},
};
use serde_json::Value;
use std::sync::Arc;

/// Those that are not deleted, with their documents.
pub fn live(snapshot: &Arc<Snapshot>, wanted: &Wanted, grants: &Grants<'_>) -> Result<Vec<(Arc<Node>, Value)>, Error> {
    let candidates: Vec<Arc<Node>> = match wanted.narrow.as_slice() {
        [] => snapshot.walk().cloned().collect(),
        narrow => by_index(snapshot, narrow, grants)?,
    };
    Ok(matching(snapshot, candidates, wanted))
}

/// Deleted ones.
pub fn deleted(snapshot: &Arc<Snapshot>, wanted: &Wanted) -> Vec<(Arc<Node>, Value)> {
    let filters: Vec<Filter> = wanted.narrow.iter().map(|ast| Filter::bind(ast, &snapshot.schema)).collect();
    let may_match = |node: &Arc<Node>| {
        let plain = crate::filter::Plain(&node.entry);
        filters.iter().all(|f| f.matches(&plain, &snapshot.schema))
            || crate::sesame::says_more(&node.entry, &snapshot.schema)
    };
    matching(snapshot, snapshot.deleted().filter(|n| may_match(n)).cloned().collect(), wanted)
}

fn matching(snapshot: &Snapshot, candidates: Vec<Arc<Node>>, wanted: &Wanted) -> Vec<(Arc<Node>, Value)> {
    candidates
        .into_iter()
        .filter(|node| node.entry.operational.axes.is_some())
        .map(|node| {
            let document = if wanted.names_fingerprint { shown } else { unsigned }(snapshot, &node);
            (node, document)
        })
        .filter(|(_, document)| wanted.query.matches(document))
        .collect()
}

/// What the indexes find, and those whose document says more than their entry.
fn by_index(snapshot: &Arc<Snapshot>, narrow: &[Ast], grants: &Grants<'_>) -> Result<Vec<Arc<Node>>, Error> {
    let search = Search {
        base: snapshot.suffix.clone(),
        scope: Scope::Subtree,
        filter: Arc::new(Filter::bind(&Ast::And(narrow.to_vec()), &snapshot.schema)),
        visit: Visit::default(),
    };
    let mut hits = search.begin(Arc::clone(snapshot), grants)?;
    let mut found: Vec<Arc<Node>> = Vec::new();
    loop {
        match hits.step(grants) {
            Step::Found(node) => found.push(node),
            Step::Passed | Step::Reference(_) => {}
            Step::End => break,
        }
    }
    for node in snapshot.saying_more() {
        if !found.iter().any(|n| n.entry.uuid == node.entry.uuid) {
            found.push(Arc::clone(node));
        }
    }
    Ok(found)
}
