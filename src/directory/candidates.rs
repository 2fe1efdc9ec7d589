//! Which entries a filter can match at the most: from the indexes, from the names in it, and from
//! the members of groups. The filter is evaluated on each of them afterwards.

use super::{
    EntryId, Snapshot,
    groups::{Depth, Membership},
    index::{Posting, Postings},
};
use crate::{
    dn::DnKey,
    filter::{Filter, Target},
    schema::SubParts,
};
use std::{collections::BTreeSet, ops::Bound};

/// What is known of a filter before any entry is looked at.
pub(super) enum Candidates {
    /// Nothing: every entry in scope has to be looked at.
    All,
    /// No entry but these can match.
    These(BTreeSet<EntryId>),
}

/// Keys that one search may look at in the indexes. Beyond that the entries are visited one by
/// one, which can be interrupted.
const MAX_KEYS: usize = 1_000_000;

/// About how many bytes of a group's entry name one member.
const MEMBER_BYTES: usize = 64;

/// Estimates of what is not counted: taken only where no equality helps, in this order.
const SOME: usize = usize::MAX / 8;
const MANY: usize = usize::MAX / 4;
const MOST: usize = usize::MAX / 2;

impl Snapshot {
    pub(super) fn candidates(&self, filter: &Filter) -> Candidates {
        Plan { snapshot: self, dynamic: true }.candidates(filter)
    }

    /// For filters of dynamic groups, in which dynamic groups do not count.
    pub(super) fn candidates_without_dynamic(&self, filter: &Filter) -> Candidates {
        Plan { snapshot: self, dynamic: false }.candidates(filter)
    }
}

struct Plan<'s> {
    snapshot: &'s Snapshot,
    dynamic: bool,
}

/// An assertion that something else than an index of values answers.
enum Beyond<'f> {
    Uuid(&'f [u8]),
    Name(&'f [u8]),
    /// Every entry with subordinates.
    Superiors,
    MemberOf(&'f [u8]),
    InChain(&'f Target, &'f [u8]),
}

impl Plan<'_> {
    fn candidates(&self, filter: &Filter) -> Candidates {
        if let Some(beyond) = self.beyond(filter) {
            return Candidates::These(self.find(&beyond));
        }
        match filter {
            Filter::And(parts) => self.best(parts).map_or(Candidates::All, |p| self.candidates(p)),
            Filter::Or(_) if self.cost(filter) > MAX_KEYS => Candidates::All,
            Filter::Or(parts) => {
                let mut all = BTreeSet::new();
                for part in parts {
                    match self.candidates(part) {
                        Candidates::All => return Candidates::All,
                        Candidates::These(some) => all.extend(some),
                    }
                }
                Candidates::These(all)
            }
            // Undefined is never True, at no depth of And and Or.
            Filter::Undefined => Candidates::These(BTreeSet::new()),
            Filter::Equal(target, key) => self.collect(target, |map, out| {
                if let Some(posting) = map.get(key.as_slice()) {
                    posting.add_to(out);
                }
            }),
            Filter::Substring(target, parts) => self.collect(target, |map, out| substring(map, parts, out)),
            Filter::GreaterOrEqual(target, key) => self.collect(target, |map, out| {
                map.range::<_, [u8]>((Bound::Included(key.as_slice()), Bound::Unbounded))
                    .for_each(|(_, p)| p.add_to(out));
            }),
            Filter::LessOrEqual(target, key) => self.collect(target, |map, out| {
                map.range::<_, [u8]>((Bound::Unbounded, Bound::Included(key.as_slice())))
                    .for_each(|(_, p)| p.add_to(out));
            }),
            Filter::Not(_) | Filter::Present(_) | Filter::InChain(..) | Filter::Extensible { .. } => Candidates::All,
        }
    }

    fn beyond<'f>(&self, filter: &'f Filter) -> Option<Beyond<'f>> {
        let known = &self.snapshot.schema.known;
        // Without subordinates the number is 0.
        let counts_some = |target: &Target, key: &[u8]| {
            let zero = target.rule.and_then(|rule| rule.normalize(b"0", &self.snapshot.schema));
            zero.is_some_and(|zero| key > zero.as_ref())
        };
        match filter {
            Filter::InChain(target, key) => Some(Beyond::InChain(target, key)),
            Filter::GreaterOrEqual(target, key) => {
                let counted = target.attrs.first() == Some(&known.num_subordinates) && counts_some(target, key);
                counted.then_some(Beyond::Superiors)
            }
            Filter::Equal(target, key) => match *target.attrs.first()? {
                attr if attr == known.entry_uuid => Some(Beyond::Uuid(key)),
                attr if attr == known.entry_dn => Some(Beyond::Name(key)),
                attr if attr == known.member_of => Some(Beyond::MemberOf(key)),
                attr if attr == known.has_subordinates && key == b"TRUE" => Some(Beyond::Superiors),
                attr if attr == known.num_subordinates && counts_some(target, key) => Some(Beyond::Superiors),
                _ => None,
            },
            _ => None,
        }
    }

    fn find(&self, beyond: &Beyond<'_>) -> BTreeSet<EntryId> {
        let snapshot = self.snapshot;
        let named = |key: &[u8]| snapshot.find(&DnKey::from_bytes(key)?);
        match beyond {
            Beyond::Uuid(key) => {
                let uuid = uuid::Uuid::from_slice(key).ok();
                uuid.and_then(|uuid| snapshot.by_uuid(uuid)).map(|n| n.id).into_iter().collect()
            }
            Beyond::Name(key) => named(key).map(|n| n.id).into_iter().collect(),
            Beyond::Superiors => snapshot.superiors().collect(),
            Beyond::MemberOf(key) => {
                let membership = self.membership();
                named(key).map(|group| membership.members(group, membership.depth())).unwrap_or_default()
            }
            Beyond::InChain(target, key) => {
                let member_of = snapshot.schema.known.member_of;
                let (groups, values): (Vec<_>, Vec<_>) = target.attrs.iter().partition(|attr| **attr == member_of);
                let mut found = match values.as_slice() {
                    [] => BTreeSet::new(),
                    values => BTreeSet::clone(&self.membership().reaching(values, key)),
                };
                if let Some(group) = named(key).filter(|_| !groups.is_empty()) {
                    found.extend(self.membership().members(group, Depth::Any));
                }
                found
            }
        }
    }

    /// All members, whoever asks: the filter is evaluated as the asker sees it.
    fn membership(&self) -> Membership<'_> {
        Membership { snapshot: self.snapshot, grants: None, dynamic: self.dynamic }
    }

    /// The part of a conjunction with the fewest candidates; sizes are known before sets are made.
    fn best<'f>(&self, parts: &'f [Filter]) -> Option<&'f Filter> {
        let sized = parts.iter().filter_map(|p| Some((self.estimate(p)?, p)));
        sized.min_by_key(|(size, _)| *size).map(|(_, part)| part)
    }

    /// How many keys and postings would be looked at, roughly.
    fn cost(&self, filter: &Filter) -> usize {
        match filter {
            Filter::And(parts) => self.best(parts).map_or(0, |p| self.cost(p)),
            Filter::Or(parts) => parts.iter().fold(0, |sum, p| sum.saturating_add(self.cost(p))),
            Filter::Substring(target, _) | Filter::GreaterOrEqual(target, _) | Filter::LessOrEqual(target, _)
                if self.beyond(filter).is_none() =>
            {
                self.maps(target).map_or(0, |maps| maps.iter().map(|m| m.len()).sum())
            }
            _ => self.estimate(filter).map_or(0, |size| if size >= SOME { self.snapshot.len() } else { size }),
        }
    }

    /// An upper bound of the number of candidates as far as it is known, or `None` if nothing can
    /// help.
    fn estimate(&self, filter: &Filter) -> Option<usize> {
        match (self.beyond(filter), filter) {
            (Some(Beyond::Uuid(_) | Beyond::Name(_)), _) => Some(1),
            (Some(Beyond::Superiors), _) => Some(self.snapshot.superiors().len()),
            (Some(Beyond::MemberOf(key)), _) => {
                let group = DnKey::from_bytes(key).and_then(|key| self.snapshot.find(&key));
                Some(group.map_or(0, |group| match self.snapshot.dynamic.contains_key(&group.id) {
                    true => SOME,
                    false => group.entry.body().len() / MEMBER_BYTES + 1,
                }))
            }
            (Some(Beyond::InChain(..)), _) => Some(SOME),
            (None, Filter::And(parts)) => parts.iter().filter_map(|p| self.estimate(p)).min(),
            (None, Filter::Or(parts)) => {
                parts.iter().try_fold(0usize, |sum, p| Some(sum.saturating_add(self.estimate(p)?)))
            }
            (None, Filter::Undefined) => Some(0),
            (None, Filter::Equal(target, key)) => {
                let maps = self.maps(target)?;
                Some(maps.iter().map(|m| m.get(key.as_slice()).map_or(0, Posting::len)).sum())
            }
            (None, Filter::Substring(target, _)) => self.maps(target).map(|_| MANY),
            (None, Filter::GreaterOrEqual(target, _) | Filter::LessOrEqual(target, _)) => {
                self.maps(target).map(|_| MOST)
            }
            (None, Filter::Not(_) | Filter::Present(_) | Filter::InChain(..) | Filter::Extensible { .. }) => None,
        }
    }

    fn maps(&self, target: &Target) -> Option<Vec<&Postings>> {
        self.snapshot.index.maps_of(target, &self.snapshot.schema)
    }

    fn collect(&self, target: &Target, each: impl Fn(&Postings, &mut BTreeSet<EntryId>)) -> Candidates {
        let Some(maps) = self.maps(target) else { return Candidates::All };
        let mut out = BTreeSet::new();
        maps.into_iter().for_each(|map| each(map, &mut out));
        // Their members are in no index.
        if self.snapshot.groups.shown().is_some_and(|attr| target.attrs.contains(&attr)) {
            out.extend(self.snapshot.dynamic.keys());
        }
        Candidates::These(out)
    }
}

fn substring(map: &Postings, parts: &SubParts, out: &mut BTreeSet<EntryId>) {
    match &parts.initial {
        Some(initial) => {
            let from = (Bound::Included(initial.as_slice()), Bound::Unbounded);
            let prefixed = map.range::<_, [u8]>(from).take_while(|(key, _)| key.starts_with(initial));
            prefixed.filter(|(key, _)| parts.matches(key)).for_each(|(_, p)| p.add_to(out));
        }
        None => map.iter().filter(|(key, _)| parts.matches(key)).for_each(|(_, p)| p.add_to(out)),
    }
}
