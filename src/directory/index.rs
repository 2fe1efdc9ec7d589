//! Indexes in memory: for each indexed attribute type a sorted map from normal form to entries.
//! Being sorted it serves equality, initial substrings and ordering alike, and names lie beside
//! those below them. Which of it a filter uses is decided in `candidates`.

use super::EntryId;
use crate::{
    entry::Entry,
    filter::Target,
    schema::{AttrId, Schema},
};
use smol_str::SmolStr;
use std::{
    collections::{BTreeSet, HashSet},
    ops::Bound,
    sync::Arc,
};

type Key = Arc<[u8]>;
pub(super) type Postings = imbl::OrdMap<Key, Posting>;

/// The entries under one key. Most keys have one.
#[derive(Clone)]
pub(super) enum Posting {
    One(EntryId),
    Many(imbl::OrdSet<EntryId>),
}

/// All indexes; cheap to copy.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// By attribute index; `None` where there is no index.
    maps: imbl::Vector<Option<Postings>>,
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

/// What the key of a unique identifier begins with, behind the name; further RDNs begin with the
/// high byte of their length.
const UID_START: u8 = b'\'';

impl Index {
    /// `needed` are indexed whatever `names` says. `Err` names an attribute that cannot have an
    /// index; see [`can_index`].
    pub fn new(names: &[SmolStr], needed: Vec<AttrId>, schema: &Schema) -> Result<Self, SmolStr> {
        let mut maps: imbl::Vector<Option<Postings>> = schema.attributes().map(|_| None).collect();
        for name in names {
            let id = schema.attr_id(name).filter(|id| can_index(*id, schema)).ok_or_else(|| name.clone())?;
            maps.set(id.index(), Some(Postings::new()));
        }
        for id in needed {
            maps.set(id.index(), Some(Postings::new()));
        }
        Ok(Index { maps })
    }

    fn map(&self, attr: AttrId) -> Option<&Postings> {
        self.maps.get(attr.index())?.as_ref()
    }

    /// Moves an entry from its old values to its new ones.
    pub fn update(&mut self, old: Option<&Entry>, new: Option<&Entry>, id: EntryId, schema: &Schema) {
        let slots = [old, new].into_iter().flatten().flat_map(|entry| entry.slots());
        let attrs: BTreeSet<AttrId> = slots.map(|s| s.desc.id).filter(|attr| self.has(*attr)).collect();
        for attr in attrs {
            let (before, after) = differing(attr, old, new);
            let keys = |values: Vec<&[u8]>| -> BTreeSet<Key> {
                let normal = values.into_iter().filter_map(|v| schema.normalize(attr, v));
                normal.map(|key| Key::from(key.as_ref())).collect()
            };
            let (before, after) = (keys(before), keys(after));
            if let Some(Some(map)) = self.maps.get_mut(attr.index()) {
                before.difference(&after).for_each(|key| take(map, key, id));
                after.difference(&before).for_each(|key| put(map, key, id));
            }
        }
    }

    /// True if the attribute has an index.
    pub fn has(&self, attr: AttrId) -> bool {
        self.map(attr).is_some()
    }

    /// The entries that hold a value of this normal form.
    pub fn equal(&self, attr: AttrId, key: &[u8], out: &mut Vec<EntryId>) {
        if let Some(posting) = self.map(attr).and_then(|map| map.get(key)) {
            posting.ids().for_each(|id| out.push(id));
        }
    }

    /// True if this entry holds a value of this normal form.
    pub fn holds(&self, attr: AttrId, key: &[u8], id: EntryId) -> bool {
        self.map(attr).and_then(|map| map.get(key)).is_some_and(|posting| posting.has(id))
    }

    /// The entries with a value that names this entry, with a unique identifier or without.
    pub fn names(&self, attr: AttrId, name: &[u8], out: &mut Vec<EntryId>) {
        self.equal(attr, name, out);
        let Some(map) = self.map(attr) else { return };
        let prefix = [name, &[UID_START]].concat();
        let with_uid = map.range::<_, [u8]>((Bound::Included(prefix.as_slice()), Bound::Unbounded));
        with_uid.take_while(|(key, _)| key.starts_with(&prefix)).for_each(|(_, posting)| out.extend(posting.ids()));
    }

    /// The entries with a value that names this entry or one below it.
    pub fn within(&self, attr: AttrId, name: &[u8], out: &mut BTreeSet<EntryId>) {
        let Some(map) = self.map(attr) else { return };
        let from = map.range::<_, [u8]>((Bound::Included(name), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(name)).for_each(|(_, posting)| posting.add_to(out));
    }

    /// The maps of all attribute types of the target; `None` if one has no index, or one whose
    /// keys are in another form than the assertion.
    pub fn maps_of(&self, target: &Target, schema: &Schema) -> Option<Vec<&Postings>> {
        let map = |attr: &AttrId| {
            let indexed_by = schema.attribute(*attr).equality?;
            self.map(*attr).filter(|_| target.rule.is_some_and(|r| r.form == indexed_by.form))
        };
        target.attrs.iter().map(map).collect()
    }
}

impl Posting {
    pub fn len(&self) -> usize {
        match self {
            Posting::One(_) => 1,
            Posting::Many(set) => set.len(),
        }
    }

    fn has(&self, id: EntryId) -> bool {
        match self {
            Posting::One(only) => *only == id,
            Posting::Many(set) => set.contains(&id),
        }
    }

    fn ids(&self) -> impl Iterator<Item = EntryId> {
        let (one, many) = match self {
            Posting::One(id) => (Some(*id), None),
            Posting::Many(set) => (None, Some(set)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }

    pub fn add_to(&self, out: &mut BTreeSet<EntryId>) {
        match self {
            Posting::One(id) => drop(out.insert(*id)),
            Posting::Many(set) => out.extend(set.iter().copied()),
        }
    }
}

/// The values of an attribute before and after, without those that stayed byte for byte: one of
/// 50,000 members costs no look at the others. Two descriptions of one type may hold the same
/// value, so that it is still there when one of them loses it: those are taken whole.
fn differing<'e>(attr: AttrId, old: Option<&'e Entry>, new: Option<&'e Entry>) -> (Vec<&'e [u8]>, Vec<&'e [u8]>) {
    let values = |entry: Option<&'e Entry>| entry.map(|e| e.values(attr).collect::<Vec<_>>()).unwrap_or_default();
    let slots = |entry: Option<&Entry>| entry.map_or(0, |e| e.slots().iter().filter(|s| s.desc.id == attr).count());
    let (mut before, mut after) = (values(old), values(new));
    if slots(old) == 1 && slots(new) == 1 {
        let (was, is): (HashSet<&[u8]>, HashSet<&[u8]>) =
            (before.iter().copied().collect(), after.iter().copied().collect());
        before.retain(|v| !is.contains(v));
        after.retain(|v| !was.contains(v));
    }
    (before, after)
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
