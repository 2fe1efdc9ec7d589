//! One immutable state of the directory. Parts are persistent collections: the writer changes a
//! copy that shares all but the touched nodes, readers keep what they hold.

use super::{
    Change, Content, Csn, EntryId, Error, SUBSCHEMA, View, chain::Chains, due::Due, groups::Groups, index::Index,
    marks::Mark, member_url::MemberUrl,
};
use crate::{
    access::{Grants, Right},
    clock::Timestamp,
    dn::{Dn, DnKey, Rdn, RdnKey},
    entry::Entry,
    lifecycle::Career,
    schema::Schema,
};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// An entry in the tree.
#[derive(Debug)]
pub struct Node {
    pub id: EntryId,
    pub parent: Option<EntryId>,
    pub rdn: Rdn,
    pub key: RdnKey,
    /// The whole name, of an entry that is made up and stands in no tree.
    pub apart: Option<Box<Dn>>,
    pub entry: Arc<Entry>,
}

#[derive(Clone)]
pub struct Snapshot {
    pub schema: Arc<Schema>,
    pub suffix: Dn,
    pub(super) suffix_key: DnKey,
    suffix_text: SmolStr,
    /// Number of the last journal record that is in this state.
    pub head: u64,
    /// Time of that record.
    pub head_time: Timestamp,
    /// Made with the store, and kept by it.
    pub store_id: Uuid,
    nodes: imbl::Vector<Option<Arc<Node>>>,
    by_uuid: imbl::HashMap<Uuid, EntryId>,
    children: imbl::OrdMap<(EntryId, RdnKey), EntryId>,
    /// How many direct subordinates each entry has that has some.
    counts: imbl::OrdMap<EntryId, usize>,
    pub(super) index: Index,
    /// The changes up to `head`, without what they did to values.
    recent: imbl::Vector<Arc<Change>>,
    pub(super) groups: Arc<Groups>,
    /// What the dynamic groups say of their members.
    pub(super) dynamic: imbl::OrdMap<EntryId, Arc<[MemberUrl]>>,
    pub(super) chains: Chains,
    /// Entries that need to be looked for before others.
    pub(super) marks: imbl::OrdSet<(Mark, EntryId)>,
    root: Option<EntryId>,
    /// What the lifecycle files declare, as it is in force in this state.
    pub career: Arc<Career>,
    pub(super) due: Due,
    /// Identities that are deleted softly: in no tree and in no index.
    deleted: imbl::OrdMap<Uuid, Arc<Node>>,
}

impl Node {
    /// A node outside of the tree.
    pub fn synthetic(dn: &Dn, entry: Entry) -> Self {
        Node {
            id: EntryId::SYNTHETIC,
            parent: None,
            rdn: dn.leaf().cloned().unwrap_or_default(),
            key: RdnKey::lowest(),
            apart: Some(Box::new(dn.clone())),
            entry: Arc::new(entry),
        }
    }

    pub fn is_synthetic(&self) -> bool {
        self.id == EntryId::SYNTHETIC
    }
}

impl Snapshot {
    pub(super) fn empty(
        (schema, career): (Arc<Schema>, Arc<Career>),
        suffix: Dn,
        groups: Groups,
        index: Index,
        head: u64,
    ) -> Self {
        Snapshot {
            suffix_key: schema.dn_key(&suffix),
            suffix_text: SmolStr::new(suffix.to_string()),
            schema,
            suffix,
            head,
            head_time: Timestamp::default(),
            store_id: Uuid::nil(),
            nodes: imbl::Vector::new(),
            by_uuid: imbl::HashMap::new(),
            children: imbl::OrdMap::new(),
            counts: imbl::OrdMap::new(),
            index,
            recent: imbl::Vector::new(),
            groups: Arc::new(groups),
            dynamic: imbl::OrdMap::new(),
            chains: Chains::default(),
            marks: imbl::OrdSet::new(),
            root: None,
            career,
            due: Due::default(),
            deleted: imbl::OrdMap::new(),
        }
    }

    /// The last journal record that is in this state.
    pub fn csn(&self) -> Csn {
        Csn { number: self.head, time: self.head_time }
    }

    /// Keeps a change that has just become the last one, and forgets those before the last `most`.
    pub(super) fn remember(&mut self, change: Change, most: usize) {
        self.recent.push_back(Arc::new(Change { content: Content::Unrecorded, ..change }));
        while self.recent.len() > most {
            self.recent.pop_front();
        }
    }

    /// The changes after `after`, if all of them are in memory.
    pub(super) fn recent(&self, after: u64) -> Option<impl Iterator<Item = (u64, &Arc<Change>)>> {
        let before = self.head.checked_sub(self.recent.len() as u64)?;
        let skip = usize::try_from(after.checked_sub(before)?).ok()?;
        Some((before + 1..).zip(&self.recent).skip(skip))
    }

    /// Identities that are deleted softly, under the names that they had.
    pub fn deleted(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.deleted.values()
    }

    pub fn deleted_by_uuid(&self, uuid: Uuid) -> Option<&Arc<Node>> {
        self.deleted.get(&uuid)
    }

    pub(super) fn bury(&mut self, tomb: Arc<Node>) {
        self.deleted.insert(tomb.entry.uuid, tomb);
    }

    pub(super) fn forget(&mut self, uuid: Uuid) {
        self.deleted.remove(&uuid);
    }

    pub fn len(&self) -> usize {
        self.by_uuid.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_uuid.is_empty()
    }

    pub fn root(&self) -> Option<&Arc<Node>> {
        self.root.and_then(|id| self.node(id))
    }

    pub fn node(&self, id: EntryId) -> Option<&Arc<Node>> {
        self.nodes.get(id.0 as usize)?.as_ref()
    }

    pub fn by_uuid(&self, uuid: Uuid) -> Option<&Arc<Node>> {
        self.node(*self.by_uuid.get(&uuid)?)
    }

    /// True if the name is in the naming context, whether there is such an entry or not.
    pub fn covers(&self, key: &DnKey) -> bool {
        key.is_within(&self.suffix_key)
    }

    /// The entry of this name.
    pub fn find(&self, key: &DnKey) -> Option<&Arc<Node>> {
        let (at, whole) = self.descend(key)?;
        if whole { self.node(at) } else { None }
    }

    pub fn find_dn(&self, dn: &Dn) -> Option<&Arc<Node>> {
        self.find(&self.schema.dn_key(dn))
    }

    /// The nearest existing superior of a name that is not there, for matchedDN.
    pub fn nearest(&self, key: &DnKey) -> Option<&Arc<Node>> {
        let (at, _) = self.descend(key)?;
        self.node(at)
    }

    /// How far down from the suffix a name leads, and whether that is the whole of it.
    fn descend(&self, key: &DnKey) -> Option<(EntryId, bool)> {
        if !key.is_within(&self.suffix_key) {
            return None;
        }
        let mut at = self.root?;
        for rdn in key.rdns().iter().rev().skip(self.suffix_key.rdns().len()) {
            match self.child(at, rdn) {
                Some(child) => at = child,
                None => return Some((at, false)),
            }
        }
        Some((at, true))
    }

    /// True if the entry as such may be read.
    pub(super) fn may_read(&self, node: &Node, grants: &Grants<'_>) -> bool {
        let view = View::unrestricted(self, node);
        grants.at(&self.dn_key_of(node), node.entry.uuid, &view, &self.schema).allows(None, Right::Read)
    }

    /// The error for a name that is not there. The nearest superior is named only to those who
    /// may read it (RFC 4511 section 4.1.9).
    pub fn no_such_object(&self, key: &DnKey, grants: &Grants<'_>) -> Error {
        // The root DSE and the schema are there, and not to be written (RFC 4512 5.1 and 4.2).
        if key.is_root() || self.schema.dn_value_key(SUBSCHEMA).as_ref() == Some(key) {
            return Error::Unwilling("the server itself keeps this entry");
        }
        Error::NoSuchObject { matched: self.nearest(key).filter(|n| self.may_read(n, grants)).map(|n| self.dn_text(n)) }
    }

    pub(super) fn child(&self, parent: EntryId, key: &RdnKey) -> Option<EntryId> {
        self.children.get(&(parent, key.clone())).copied()
    }

    /// Direct subordinates, in the order of their keys.
    pub fn children(&self, id: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        self.children
            .range((id, RdnKey::lowest())..)
            .take_while(move |((parent, _), _)| *parent == id)
            .map(|(_, id)| *id)
    }

    pub fn has_children(&self, id: EntryId) -> bool {
        self.counts.contains_key(&id)
    }

    pub fn count_children(&self, id: EntryId) -> usize {
        self.counts.get(&id).copied().unwrap_or(0)
    }

    /// Every entry that has subordinates.
    pub fn superiors(&self) -> impl ExactSizeIterator<Item = EntryId> {
        self.counts.keys().copied()
    }

    /// The name of an entry as text.
    pub fn dn_text(&self, node: &Node) -> String {
        if let Some(dn) = &node.apart {
            return dn.to_string();
        }
        let mut out = String::with_capacity(64);
        let mut at = Some(node);
        while let Some(node) = at {
            match node.parent {
                None => out.push_str(&self.suffix_text),
                Some(_) => {
                    out.push_str(node.rdn.text());
                    out.push(',');
                }
            }
            at = node.parent.and_then(|p| self.node(p)).map(Arc::as_ref);
        }
        out
    }

    pub fn dn_key_of(&self, node: &Node) -> DnKey {
        if let Some(dn) = &node.apart {
            return self.schema.dn_key(dn);
        }
        let mut rdns = Vec::with_capacity(6);
        let mut at = Some(node);
        while let Some(node) = at {
            match node.parent {
                None => rdns.extend_from_slice(self.suffix_key.rdns()),
                Some(_) => rdns.push(node.key.clone()),
            }
            at = node.parent.and_then(|p| self.node(p)).map(Arc::as_ref);
        }
        DnKey::new(rdns)
    }

    /// Groups whose members a search finds.
    pub fn dynamic_groups(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.dynamic.keys().filter_map(|id| self.node(*id))
    }

    /// True if `node` is `base` or below it.
    pub fn is_within(&self, node: &Node, base: EntryId) -> bool {
        let mut at = node.id;
        loop {
            if at == base {
                return true;
            }
            match self.node(at).and_then(|n| n.parent) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// The parts of the name of an entry, leaf first; the suffix included.
    pub fn name_parts<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Rdn> {
        let mut at = Some(node);
        let own = std::iter::from_fn(move || {
            let node = at?;
            let parent = node.parent?;
            at = self.node(parent).map(Arc::as_ref);
            Some(&node.rdn)
        });
        own.chain(self.suffix.rdns())
    }

    /// Every entry, superiors before their subordinates.
    pub fn walk(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.walk_from(self.root)
    }

    /// An entry and all below it, superiors before their subordinates.
    pub fn walk_from(&self, base: Option<EntryId>) -> impl Iterator<Item = &Arc<Node>> {
        let mut stack: Vec<EntryId> = base.into_iter().collect();
        std::iter::from_fn(move || {
            let id = stack.pop()?;
            let mut below: Vec<EntryId> = self.children(id).collect();
            below.reverse();
            stack.extend(below);
            self.node(id)
        })
    }

    pub(super) fn next_id(&self) -> EntryId {
        EntryId(self.nodes.len() as u32)
    }

    /// Puts a node in, new or in the place of the older one with its id.
    pub(super) fn put(&mut self, node: Arc<Node>) {
        let old = self.nodes.get(node.id.0 as usize).cloned().flatten();
        self.index.update(old.as_ref().map(|n| n.entry.as_ref()), Some(&node.entry), node.id, &self.schema);
        if let Some(old) = &old
            && let Some(parent) = old.parent
            && (old.parent, &old.key) != (node.parent, &node.key)
        {
            self.take_child(parent, &old.key);
        }
        match node.parent {
            Some(parent) => {
                if self.children.insert((parent, node.key.clone()), node.id).is_none() {
                    let count = self.count_children(parent) + 1;
                    self.counts.insert(parent, count);
                }
            }
            None => self.root = Some(node.id),
        }
        self.deleted.remove(&node.entry.uuid);
        self.note_group(old.as_ref().map(|n| n.entry.as_ref()), &node);
        self.by_uuid.insert(node.entry.uuid, node.id);
        self.note_due(node.id, Some(&node.entry));
        self.mark(old.as_deref(), Some(&node));
        let at = node.id.0 as usize;
        if at < self.nodes.len() {
            self.nodes.set(at, Some(node));
        } else {
            self.nodes.push_back(Some(node));
        }
    }

    fn note_due(&mut self, id: EntryId, entry: Option<&Entry>) {
        self.due.note(id, entry, &self.career, &self.schema);
    }

    /// Puts other lifecycle files in force, as of this state.
    pub(super) fn follow_career(&mut self, career: Arc<Career>) {
        self.career = career;
        self.due = Due::default();
        let nodes: Vec<Arc<Node>> = self.nodes.iter().flatten().cloned().collect();
        nodes.iter().for_each(|node| self.note_due(node.id, Some(&node.entry)));
    }

    fn take_child(&mut self, parent: EntryId, key: &RdnKey) {
        if self.children.remove(&(parent, key.clone())).is_some() {
            match self.count_children(parent) {
                0 | 1 => drop(self.counts.remove(&parent)),
                count => drop(self.counts.insert(parent, count - 1)),
            }
        }
    }

    fn note_group(&mut self, old: Option<&Entry>, node: &Node) {
        self.chains = Chains::default();
        let urls = self.groups.urls(&node.entry, &self.schema);
        if !urls.is_empty() {
            self.dynamic.insert(node.id, urls.into());
        } else if old.is_some() {
            self.dynamic.remove(&node.id);
        }
    }

    fn mark(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let mark = |node: Option<&Node>| node.and_then(|n| Some((Mark::of(&n.entry, &self.schema)?, n.id)));
        let (before, after) = (mark(old), mark(new));
        if before != after {
            before.map(|m| self.marks.remove(&m));
            after.map(|m| self.marks.insert(m));
        }
    }

    pub(super) fn remove(&mut self, node: &Node) {
        self.mark(Some(node), None);
        self.index.update(Some(&node.entry), None, node.id, &self.schema);
        self.chains = Chains::default();
        self.dynamic.remove(&node.id);
        match node.parent {
            Some(parent) => self.take_child(parent, &node.key),
            None => self.root = None,
        }
        self.by_uuid.remove(&node.entry.uuid);
        self.note_due(node.id, None);
        if (node.id.0 as usize) < self.nodes.len() {
            self.nodes.set(node.id.0 as usize, None);
        }
    }
}
