//! Search over one snapshot (RFC 4511 section 4.5): candidates from the indexes or from the tree,
//! scope, filter and access decided entry by entry, in steps that the caller can interrupt.

use super::{EntryId, Error, Node, Snapshot, UriScope, View, candidates::Candidates, marks::Mark};
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
    pub filter: Arc<Filter>,
    pub visit: Visit,
}

/// How a search takes the entries that stand for something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The base may be named through an alias (RFC 4511 section 4.5.1.3).
    pub deref_base: bool,
    /// Aliases below the base are followed.
    pub deref_below: bool,
    /// Referral objects are told as such (RFC 3296); else they are entries like others.
    pub refer: bool,
    pub subentries: Subentries,
}

/// Which entries a search sees below its base (RFC 3672 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subentries {
    #[default]
    Also,
    Never,
    Only,
}

/// The candidates that are still to be looked at.
pub struct Hits {
    snapshot: Arc<Snapshot>,
    base: EntryId,
    /// Where hits may stand: the base, and what aliases below it lead to.
    areas: Vec<(EntryId, Scope)>,
    filter: Arc<Filter>,
    visit: Visit,
    source: Source,
    /// Referral objects that are still to be told.
    references: Vec<EntryId>,
    reference_scope: UriScope,
}

enum Source {
    List(std::vec::IntoIter<EntryId>),
    /// Entries whose subordinates have to be visited, too.
    Walk(Vec<EntryId>),
}

/// One step of a search.
pub enum Step {
    Found(Arc<Node>),
    /// A part of the tree that another server keeps.
    Reference(Vec<String>),
    /// A candidate that did not match, or may not be seen.
    Passed,
    End,
}

impl Search {
    /// Finds the base and chooses the candidates. The error names the nearest superior only if
    /// `grants` let it be read.
    pub fn begin(self, snapshot: Arc<Snapshot>, grants: &Grants<'_>) -> Result<Hits, Error> {
        let mut key = snapshot.schema.dn_key(&self.base);
        if !grants.reach(&key) {
            // The same answer whether it is there or not.
            return Err(Error::NoSuchObject { matched: None });
        }
        if self.visit.deref_base {
            key = snapshot.dereference(&key, grants)?;
            if !grants.reach(&key) {
                return Err(Error::NoSuchObject { matched: None });
            }
        }
        let reference_scope = match self.scope {
            Scope::Base | Scope::One => UriScope::Base,
            Scope::Subtree | Scope::Subordinates => UriScope::Subtree,
        };
        if self.visit.refer {
            let scope = if self.scope == Scope::One { UriScope::One } else { reference_scope };
            snapshot.require_here(&self.base, &key, scope, grants)?;
        }
        let Some(base) = snapshot.find(&key).map(|n| n.id) else {
            return Err(snapshot.no_such_object(&key, grants));
        };
        let areas = self.areas(&snapshot, base, grants);
        let source = self.source(&snapshot, &areas);
        let mut hits = Hits {
            base,
            areas,
            filter: self.filter,
            visit: self.visit,
            source,
            references: Vec::new(),
            reference_scope,
            snapshot,
        };
        if hits.visit.refer && hits.visit.subentries != Subentries::Only {
            let marked = hits.snapshot.marked(Mark::Referral);
            hits.references = marked.filter(|id| hits.snapshot.node(*id).is_some_and(|n| hits.in_scope(n))).collect();
        }
        Ok(hits)
    }

    /// The base, and what the aliases in scope lead to.
    fn areas(&self, snapshot: &Snapshot, base: EntryId, grants: &Grants<'_>) -> Vec<(EntryId, Scope)> {
        let mut areas = vec![(base, self.scope)];
        if !self.visit.deref_below || self.scope == Scope::Base {
            return areas;
        }
        let aliases: Vec<&Arc<Node>> =
            snapshot.marked(Mark::Alias).filter_map(|id| snapshot.node(id)).filter(|n| n.id != base).collect();
        let mut at = 0;
        while let Some((area, scope)) = areas.get(at).copied() {
            for alias in aliases.iter().filter(|n| stands_in(snapshot, n, area, scope)) {
                // An alias that leads nowhere is no reason to fail the whole search.
                let Some(target) = snapshot.alias_target(alias).and_then(|k| snapshot.dereference(&k, grants).ok())
                else {
                    continue;
                };
                let Some(node) = snapshot.find(&target) else { continue };
                let scope = if self.scope == Scope::One { Scope::Base } else { Scope::Subtree };
                if !areas.iter().any(|(area, scope)| stands_in(snapshot, node, *area, *scope)) {
                    areas.push((node.id, scope));
                }
            }
            at += 1;
        }
        areas
    }

    fn source(&self, snapshot: &Snapshot, areas: &[(EntryId, Scope)]) -> Source {
        let bases = || areas.iter().map(|(id, _)| *id);
        if self.scope == Scope::Base {
            return Source::List(bases().collect::<Vec<_>>().into_iter());
        }
        match (snapshot.candidates(&self.filter), self.scope) {
            (Candidates::These(ids), _) => Source::List(ids.into_iter().collect::<Vec<_>>().into_iter()),
            (Candidates::All, Scope::One) => {
                let below = bases().take(1).flat_map(|base| snapshot.children(base));
                Source::List(below.chain(bases().skip(1)).collect::<Vec<_>>().into_iter())
            }
            (Candidates::All, _) => {
                // An area inside of another one is walked with it.
                let outer = |(at, id): &(usize, EntryId)| {
                    let others = areas.iter().enumerate().filter(|(other, _)| other != at);
                    let node = snapshot.node(*id);
                    !others.into_iter().any(|(_, (a, _))| a != id && node.is_some_and(|n| snapshot.is_within(n, *a)))
                };
                Source::Walk(bases().enumerate().filter(outer).map(|(_, id)| id).collect())
            }
        }
    }
}

impl Hits {
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The name of the base, where an alias led to it or not.
    pub fn base(&self) -> Option<String> {
        self.snapshot.node(self.base).map(|node| self.snapshot.dn_text(node))
    }

    /// Whether an alias stands where the search looks.
    pub fn meets_aliases(&self) -> bool {
        let mut aliases = self.snapshot.marked(Mark::Alias).filter(|id| *id != self.base);
        aliases.any(|id| self.snapshot.node(id).is_some_and(|node| self.in_scope(node)))
    }

    /// Looks at one candidate.
    pub fn step(&mut self, grants: &Grants<'_>) -> Step {
        let Some(id) = self.next_candidate() else { return self.reference(grants) };
        let Some(node) = self.snapshot.node(id) else { return Step::Passed };
        if !self.in_scope(node) || self.is_hidden(node) {
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
        self.areas.iter().any(|(area, scope)| stands_in(&self.snapshot, node, *area, *scope))
    }

    /// True for entries that the search is to see as something else, or not at all.
    fn is_hidden(&self, node: &Node) -> bool {
        let snapshot = &self.snapshot;
        if snapshot.marks.is_empty() {
            return self.visit.subentries == Subentries::Only;
        }
        let is_base_search = matches!(self.areas.as_slice(), [(_, Scope::Base)]);
        let subentry = snapshot.is_marked(node.id, Mark::Subentry);
        let wrong_kind = match self.visit.subentries {
            Subentries::Also => false,
            Subentries::Never => subentry && !is_base_search,
            Subentries::Only => !subentry && !is_base_search,
        };
        wrong_kind
            || self.visit.refer && snapshot.is_marked(node.id, Mark::Referral)
            || self.visit.deref_below && node.id != self.base && snapshot.is_marked(node.id, Mark::Alias)
    }

    /// After the entries, the referral objects in scope.
    fn reference(&mut self, grants: &Grants<'_>) -> Step {
        let Some(id) = self.references.pop() else { return Step::End };
        let Some(node) = self.snapshot.node(id) else { return Step::Passed };
        let view = View::unrestricted(&self.snapshot, node);
        let key = self.snapshot.dn_key_of(node);
        if !grants.at(&key, node.entry.uuid, &view, &self.snapshot.schema).allows(None, Right::Read) {
            return Step::Passed;
        }
        Step::Reference(self.snapshot.uris(node, &[], self.reference_scope))
    }
}

fn stands_in(snapshot: &Snapshot, node: &Node, area: EntryId, scope: Scope) -> bool {
    match scope {
        Scope::Base => node.id == area,
        Scope::One => node.parent == Some(area),
        Scope::Subtree => snapshot.is_within(node, area),
        Scope::Subordinates => node.id != area && snapshot.is_within(node, area),
    }
}
