//! Indexes in memory: for each indexed attribute type a sorted map from normal form to entries.
//! Being sorted it serves equality, initial substrings and ordering alike; other substrings are
//! tried on its keys, which are fewer than the entries' values.

use super::EntryId;
use crate::{
    entry::Entry,
    filter::{Filter, Target},
    schema::{AttrId, Schema, SubParts},
};
use smol_str::SmolStr;
use std::{collections::BTreeSet, ops::Bound, sync::Arc};

type Key = Arc<[u8]>;
type Postings = imbl::OrdMap<Key, Posting>;

/// The entries under one key. Most keys have one.
#[derive(Clone)]
enum Posting {
    One(EntryId),
    Many(imbl::OrdSet<EntryId>),
}

/// All indexes; cheap to copy.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// By attribute index; `None` where there is no index.
    maps: imbl::Vector<Option<Postings>>,
}

/// What an index can say about a filter.
pub(super) enum Candidates {
    /// Nothing: every entry in scope has to be looked at.
    All,
    /// No entry but these can match.
    These(BTreeSet<EntryId>),
}

/// The attribute types that are indexed unless the configuration says otherwise.
pub fn default_indexes() -> Vec<SmolStr> {
    [
        "objectClass",
        "uid",
        "cn",
        "sn",
        "givenName",
        "displayName",
        "mail",
        "ou",
        "member",
        "uniqueMember",
        "owner",
        "manager",
        "employeeNumber",
        "employeeType",
        "departmentNumber",
        "telephoneNumber",
        "eduPersonPrincipalName",
        "eduPersonAffiliation",
        "eduPersonPrimaryAffiliation",
        "supannAliasLogin",
        "supannAutreMail",
        "supannEmpId",
        "supannEtuId",
        "supannCodeINE",
        "supannRefId",
        "supannCodeEntite",
        "supannCodeEntiteParent",
        "supannEntiteAffectation",
        "supannEntiteAffectationPrincipale",
        "supannGroupeAdminDN",
        "uidNumber",
        "gidNumber",
        "memberUid",
        "memberNisNetgroup",
        "nisNetgroupTriple",
        "nisMapName",
        "ipHostNumber",
        "macAddress",
        "automountMapName",
        "automountKey",
        "sudoUser",
        "sudoHost",
        "mailLocalAddress",
        "mailacceptinggeneralid",
        "maildrop",
        "rfc822MailMember",
    ]
    .into_iter()
    .map(SmolStr::new_static)
    .collect()
}

/// An index needs values that are stored and an equality rule to sort them by. Operational
/// attributes are computed for each answer.
pub fn can_index(attr: AttrId, schema: &Schema) -> bool {
    let attribute = schema.attribute(attr);
    let stored = !attribute.is_operational() || attr == schema.known.object_class;
    stored && attribute.equality.is_some() && !schema.is_secret(attr)
}

/// Keys that one search may look at in the indexes. Beyond that the entries are visited one by
/// one, which can be interrupted.
const MAX_KEYS: usize = 1_000_000;

impl Index {
    /// `Err` names an attribute that cannot have an index; see [`can_index`].
    pub fn new(names: &[SmolStr], schema: &Schema) -> Result<Self, SmolStr> {
        let mut maps: imbl::Vector<Option<Postings>> = schema.attributes().map(|_| None).collect();
        for name in names {
            let id = schema.attr_id(name).filter(|id| can_index(*id, schema)).ok_or_else(|| name.clone())?;
            maps.set(id.index(), Some(Postings::new()));
        }
        Ok(Index { maps })
    }

    fn map(&self, attr: AttrId) -> Option<&Postings> {
        self.maps.get(attr.index())?.as_ref()
    }

    /// Moves an entry from its old values to its new ones.
    pub fn update(&mut self, old: Option<&Entry>, new: Option<&Entry>, id: EntryId, schema: &Schema) {
        let keys = |entry: Option<&Entry>| -> BTreeSet<(AttrId, Key)> {
            let slots = entry.into_iter().flat_map(|e| e.slots().iter().map(move |s| (e, s)));
            slots
                .filter(|(_, s)| self.map(s.desc.id).is_some())
                .flat_map(|(e, s)| e.slot_values(s).map(move |v| (s.desc.id, v)))
                .filter_map(|(attr, value)| Some((attr, Key::from(schema.normalize(attr, value)?.as_ref()))))
                .collect()
        };
        let (before, after) = (keys(old), keys(new));
        for (attr, key) in before.difference(&after) {
            if let Some(Some(map)) = self.maps.get_mut(attr.index()) {
                take(map, key, id);
            }
        }
        for (attr, key) in after.difference(&before) {
            if let Some(Some(map)) = self.maps.get_mut(attr.index()) {
                put(map, key, id);
            }
        }
    }

    /// What can match, at the most. The filter is evaluated on each candidate afterwards.
    pub fn candidates(&self, filter: &Filter, schema: &Schema) -> Candidates {
        match filter {
            Filter::And(parts) => self.best(parts, schema).map_or(Candidates::All, |p| self.candidates(p, schema)),
            Filter::Or(_) if self.cost(filter, schema) > MAX_KEYS => Candidates::All,
            Filter::Or(parts) => {
                let mut all = BTreeSet::new();
                for part in parts {
                    match self.candidates(part, schema) {
                        Candidates::All => return Candidates::All,
                        Candidates::These(some) => all.extend(some),
                    }
                }
                Candidates::These(all)
            }
            // Undefined is never True, at no depth of And and Or.
            Filter::Undefined => Candidates::These(BTreeSet::new()),
            Filter::Equal(target, key) => self.collect(target, schema, |map, out| {
                if let Some(posting) = map.get(key.as_slice()) {
                    posting.add_to(out);
                }
            }),
            Filter::Substring(target, parts) => self.collect(target, schema, |map, out| substring(map, parts, out)),
            Filter::GreaterOrEqual(target, key) => self.collect(target, schema, |map, out| {
                map.range::<_, [u8]>((Bound::Included(key.as_slice()), Bound::Unbounded))
                    .for_each(|(_, p)| p.add_to(out));
            }),
            Filter::LessOrEqual(target, key) => self.collect(target, schema, |map, out| {
                map.range::<_, [u8]>((Bound::Unbounded, Bound::Included(key.as_slice())))
                    .for_each(|(_, p)| p.add_to(out));
            }),
            Filter::Not(_) | Filter::Present(_) | Filter::InChain(..) | Filter::Extensible { .. } => Candidates::All,
        }
    }

    /// The part of a conjunction with the fewest candidates; sizes are known before sets are made.
    fn best<'f>(&self, parts: &'f [Filter], schema: &Schema) -> Option<&'f Filter> {
        let sized = parts.iter().filter_map(|p| Some((self.estimate(p, schema)?, p)));
        sized.min_by_key(|(size, _)| *size).map(|(_, part)| part)
    }

    /// How many keys and postings would be looked at, roughly.
    fn cost(&self, filter: &Filter, schema: &Schema) -> usize {
        match filter {
            Filter::And(parts) => self.best(parts, schema).map_or(0, |p| self.cost(p, schema)),
            Filter::Or(parts) => parts.iter().fold(0, |sum, p| sum.saturating_add(self.cost(p, schema))),
            Filter::Substring(target, _) | Filter::GreaterOrEqual(target, _) | Filter::LessOrEqual(target, _) => {
                self.maps_of(target, schema).map_or(0, |maps| maps.iter().map(|m| m.len()).sum())
            }
            _ => self.estimate(filter, schema).unwrap_or(0),
        }
    }

    /// An upper bound of the number of candidates, or `None` if the index cannot help.
    fn estimate(&self, filter: &Filter, schema: &Schema) -> Option<usize> {
        match filter {
            Filter::And(parts) => parts.iter().filter_map(|p| self.estimate(p, schema)).min(),
            Filter::Or(parts) => {
                parts.iter().try_fold(0usize, |sum, p| Some(sum.saturating_add(self.estimate(p, schema)?)))
            }
            Filter::Undefined => Some(0),
            Filter::Equal(target, key) => self
                .maps_of(target, schema)?
                .iter()
                .map(|m| m.get(key.as_slice()).map_or(0, Posting::len))
                .sum::<usize>()
                .into(),
            // Not counted: taken only where no equality helps.
            Filter::Substring(target, _) => self.maps_of(target, schema).map(|_| usize::MAX / 4),
            Filter::GreaterOrEqual(target, _) | Filter::LessOrEqual(target, _) => {
                self.maps_of(target, schema).map(|_| usize::MAX / 2)
            }
            Filter::Not(_) | Filter::Present(_) | Filter::InChain(..) | Filter::Extensible { .. } => None,
        }
    }

    /// The maps of all attribute types of the target; `None` if one has no index, or one whose
    /// keys are in another form than the assertion.
    fn maps_of(&self, target: &Target, schema: &Schema) -> Option<Vec<&Postings>> {
        let map = |attr: &AttrId| {
            let indexed_by = schema.attribute(*attr).equality?;
            self.map(*attr).filter(|_| target.rule.is_some_and(|r| r.form == indexed_by.form))
        };
        target.attrs.iter().map(map).collect()
    }

    fn collect(
        &self,
        target: &Target,
        schema: &Schema,
        each: impl Fn(&Postings, &mut BTreeSet<EntryId>),
    ) -> Candidates {
        let Some(maps) = self.maps_of(target, schema) else { return Candidates::All };
        let mut out = BTreeSet::new();
        maps.into_iter().for_each(|map| each(map, &mut out));
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

impl Posting {
    fn len(&self) -> usize {
        match self {
            Posting::One(_) => 1,
            Posting::Many(set) => set.len(),
        }
    }

    fn add_to(&self, out: &mut BTreeSet<EntryId>) {
        match self {
            Posting::One(id) => drop(out.insert(*id)),
            Posting::Many(set) => out.extend(set.iter().copied()),
        }
    }
}

fn put(map: &mut Postings, key: &Key, id: EntryId) {
    match map.get_mut(key) {
        None => drop(map.insert(Arc::clone(key), Posting::One(id))),
        Some(Posting::Many(set)) => drop(set.insert(id)),
        Some(posting) => {
            if let Posting::One(first) = posting
                && *first != id
            {
                *posting = Posting::Many([*first, id].into_iter().collect());
            }
        }
    }
}

fn take(map: &mut Postings, key: &Key, id: EntryId) {
    let gone = match map.get_mut(key) {
        Some(Posting::One(only)) => *only == id,
        Some(Posting::Many(set)) => {
            set.remove(&id);
            set.is_empty()
        }
        None => false,
    };
    if gone {
        map.remove(key);
    }
}
