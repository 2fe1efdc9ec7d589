//! Search over one snapshot (RFC 4511 section 4.5): candidates from the indexes or from the tree,
//! scope, filter and access decided entry by entry, in steps that the caller can interrupt.

use super::{EntryId, Error, Node, Snapshot, View, candidates::Candidates};
use crate::{
    access::{Grants, Right},
    dn::Dn,
    filter::Filter,
};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Base,
    One,
    Subtree,
    /// All below the base, without it.
    Subordinates,
}

pub struct Search {
    pub base: Dn,
    pub scope: Scope,
    pub filter: Filter,
}

/// The candidates that are still to be looked at.
pub struct Hits {
    snapshot: Arc<Snapshot>,
    base: EntryId,
    scope: Scope,
    filter: Filter,
    source: Source,
}

enum Source {
    List(std::vec::IntoIter<EntryId>),
    /// Entries whose subordinates have to be visited, too.
    Walk(Vec<EntryId>),
}

/// One step of a search.
pub enum Step {
    Found(Arc<Node>),
    /// A candidate that did not match, or may not be seen.
    Passed,
    End,
}

impl Search {
    /// Finds the base and chooses the candidates. The error names the nearest superior only if
    /// `grants` let it be read.
    pub fn begin(self, snapshot: Arc<Snapshot>, grants: &Grants<'_>) -> Result<Hits, Error> {
        let key = snapshot.schema.dn_key(&self.base);
        if !grants.reach(&key) {
            // The same answer whether it is there or not.
            return Err(Error::NoSuchObject { matched: None });
        }
        let Some(base) = snapshot.find(&key).map(|n| n.id) else {
            return Err(snapshot.no_such_object(&key, grants));
        };
        let source = self.source(&snapshot, base);
        Ok(Hits { snapshot, base, scope: self.scope, filter: self.filter, source })
    }

    fn source(&self, snapshot: &Snapshot, base: EntryId) -> Source {
        if self.scope == Scope::Base {
            return Source::List(vec![base].into_iter());
        }
        match (snapshot.candidates(&self.filter), self.scope) {
            (Candidates::These(ids), _) => Source::List(ids.into_iter().collect::<Vec<_>>().into_iter()),
            (Candidates::All, Scope::One) => Source::List(snapshot.children(base).collect::<Vec<_>>().into_iter()),
            (Candidates::All, _) => Source::Walk(vec![base]),
        }
    }
}

impl Hits {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Looks at one candidate.
    pub fn step(&mut self, grants: &Grants<'_>) -> Step {
        let Some(id) = self.next_candidate() else { return Step::End };
        let Some(node) = self.snapshot.node(id) else { return Step::Passed };
        if !self.in_scope(node) {
            return Step::Passed;
        }
        let snapshot = &self.snapshot;
        let matches = if grants.everything() {
            self.filter.matches(&View::unrestricted(snapshot, node), &snapshot.schema)
        } else {
            let open = View::unrestricted(snapshot, node);
            let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
            place.allows(None, Right::Read) && self.filter.matches(&View::new(snapshot, node, &place), &snapshot.schema)
        };
        if matches { Step::Found(Arc::clone(node)) } else { Step::Passed }
    }

    fn next_candidate(&mut self) -> Option<EntryId> {
        match &mut self.source {
            Source::List(list) => list.next(),
            Source::Walk(stack) => {
                let id = stack.pop()?;
                let from = stack.len();
                stack.extend(self.snapshot.children(id));
                if let Some(fresh) = stack.get_mut(from..) {
                    fresh.reverse();
                }
                Some(id)
            }
        }
    }

    fn in_scope(&self, node: &Node) -> bool {
        match self.scope {
            Scope::Base => node.id == self.base,
            Scope::One => node.parent == Some(self.base),
            Scope::Subtree => self.snapshot.is_within(node, self.base),
            Scope::Subordinates => node.id != self.base && self.snapshot.is_within(node, self.base),
        }
    }
}
