//! Membership: which groups an entry is in and who is in a group, at any depth. The one source for
//! the values of memberOf, for filters on it, and for the members of dynamic groups.
//!
//! Who asks sees no group whose entry they may not read, and no dynamic member but by attributes
//! that they may search. Static members are what the group's entry says.

use super::{EntryId, Node, Snapshot, View, candidates::Candidates, member_url::MemberUrl};
use crate::{
    access::{Grants, Right},
    dn::DnKey,
    schema::{AttrId, Form, Schema},
};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// What makes an entry a group, and what memberOf shows.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupOptions {
    /// Attributes that name members. The first also shows the members of dynamic groups.
    pub attributes: Vec<SmolStr>,
    /// Whether the members of a group's member groups are its own.
    pub nested: bool,
    /// Whether `memberURL` makes members.
    pub dynamic: bool,
    /// Whether `memberUid` names members by their uid.
    pub posix: bool,
}

impl Default for GroupOptions {
    fn default() -> Self {
        let attributes = ["member", "uniqueMember"].map(SmolStr::new_static).to_vec();
        GroupOptions { attributes, nested: true, dynamic: true, posix: false }
    }
}

/// [`GroupOptions`] bound to the schema.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    attributes: Vec<AttrId>,
    nested: bool,
    url: Option<AttrId>,
    member_uid: Option<AttrId>,
}

impl Groups {
    /// `Err` names an attribute that cannot name members.
    pub fn bind(options: &GroupOptions, schema: &Schema) -> Result<Self, SmolStr> {
        let names_entries = |id: &AttrId| {
            let attribute = schema.attribute(*id);
            let form = attribute.equality.map(|rule| rule.form);
            matches!(form, Some(Form::Name | Form::NameAndUid)) && !attribute.is_operational()
        };
        let bind = |name: &SmolStr| schema.attr_id(name).filter(names_entries).ok_or_else(|| name.clone());
        let member_uid = schema.attr_id("memberUid").filter(|id| schema.attribute(*id).equality.is_some());
        if options.posix && member_uid.is_none() {
            return Err(SmolStr::new_static("memberUid"));
        }
        Ok(Groups {
            attributes: options.attributes.iter().map(bind).collect::<Result<_, _>>()?,
            nested: options.nested,
            url: schema.attr_id("memberURL").filter(|_| options.dynamic),
            member_uid: member_uid.filter(|_| options.posix),
        })
    }

    /// Attributes that membership is looked up by, so that they need an index.
    pub(super) fn looked_up(&self, schema: &Schema) -> Vec<AttrId> {
        let posix = self.member_uid.into_iter().flat_map(|id| [id, schema.known.uid]);
        self.attributes.iter().copied().chain(posix).collect()
    }

    /// The attribute under which a dynamic group shows its members.
    pub(super) fn shown(&self) -> Option<AttrId> {
        self.attributes.first().copied()
    }

    /// What to write in place of memberOf with these values, for the client that tried.
    pub(super) fn where_to_write(&self, values: &[Vec<u8>], snapshot: &Snapshot) -> String {
        let schema = &snapshot.schema;
        let name = |id: AttrId| schema.attribute(id).name.as_str();
        let usual = self.shown().map_or("member", name);
        let mut places = Vec::new();
        for value in values {
            let text = String::from_utf8_lossy(value);
            let group = schema.dn_value_key(&text).and_then(|key| snapshot.find(&key));
            let held = group.and_then(|group| self.attributes.iter().find(|attr| group.entry.has(**attr)));
            places.push(format!("'{}' of {text}", held.map_or(usual, |attr| name(*attr))));
        }
        match places.as_slice() {
            [] => format!("change '{usual}' of the groups instead"),
            _ => format!("change {} instead", places.join(" and ")),
        }
    }

    /// What the entry says of its dynamic members.
    pub(super) fn urls(&self, entry: &crate::entry::Entry, schema: &Schema) -> Vec<MemberUrl> {
        let values = self.url.into_iter().flat_map(|id| entry.values(id));
        values.filter_map(|v| MemberUrl::parse(std::str::from_utf8(v).ok()?, schema)).collect()
    }
}

/// Membership as one asker sees it.
#[derive(Clone, Copy)]
pub(super) struct Membership<'s> {
    pub snapshot: &'s Snapshot,
    /// `None`: without access rules.
    pub grants: Option<&'s Grants<'s>>,
    /// Off inside of a memberURL, whose filter may name groups, but not make them.
    pub dynamic: bool,
}

/// How far membership reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Direct,
    Any,
}

impl<'s> Membership<'s> {
    /// As far as the configuration lets memberOf reach.
    pub fn depth(&self) -> Depth {
        if self.snapshot.groups.nested { Depth::Any } else { Depth::Direct }
    }

    /// The names of the groups that the entry is in.
    pub fn names(&self, node: &Node) -> Vec<Vec<u8>> {
        let mut seen = BTreeSet::new();
        self.search_up(node, self.depth(), &mut |id| {
            seen.insert(id);
            false
        });
        let groups = seen.into_iter().filter_map(|id| self.snapshot.node(id)).filter(|group| self.sees(group));
        let mut names: Vec<Vec<u8>> = groups.map(|group| self.snapshot.dn_text(group).into_bytes()).collect();
        // Places in memory are others after a restart.
        names.sort_unstable();
        names
    }

    /// True if the entry is in the group of this name, and the group may be seen.
    pub fn is_in(&self, node: &Node, group: &DnKey, depth: Depth) -> bool {
        let Some(group) = self.snapshot.find(group).filter(|g| g.id != node.id) else { return false };
        self.sees(group) && self.search_up(node, depth, &mut |id| id == group.id)
    }

    fn sees(&self, node: &Node) -> bool {
        let Some(grants) = self.grants.filter(|g| !g.everything()) else { return true };
        let open = View::unrestricted(self.snapshot, node);
        let key = self.snapshot.dn_key_of(node);
        grants.at(&key, node.entry.uuid, &open, &self.snapshot.schema).allows(None, Right::Read)
    }

    /// Goes through the groups of an entry, nearest first, until `found` says so. An entry is in
    /// no group by itself, whatever circles there are.
    fn search_up(&self, node: &Node, depth: Depth, found: &mut dyn FnMut(EntryId) -> bool) -> bool {
        let mut seen = BTreeSet::from([node.id]);
        let mut next = self.direct(node);
        let mut at = 0;
        while let Some(id) = next.get(at).copied() {
            at += 1;
            if !seen.insert(id) {
                continue;
            }
            if found(id) {
                return true;
            }
            if depth == Depth::Any
                && let Some(group) = self.snapshot.node(id)
            {
                next.extend(self.direct(group));
            }
        }
        false
    }

    /// The groups that name the entry themselves.
    fn direct(&self, node: &Node) -> Vec<EntryId> {
        let Snapshot { groups, index, schema, .. } = self.snapshot;
        let mut out = Vec::new();
        let key = self.snapshot.dn_key_of(node);
        let bytes = key.to_bytes();
        groups.attributes.iter().for_each(|attr| index.names(*attr, &bytes, &mut out));
        if let Some(member_uid) = groups.member_uid {
            let uids = node.entry.values(schema.known.uid).filter_map(|v| schema.normalize(member_uid, v));
            uids.for_each(|uid| index.equal(member_uid, &uid, &mut out));
        }
        if self.dynamic {
            let admitting = self.snapshot.dynamic.iter().filter(|(_, urls)| self.admit(urls, node, &key));
            out.extend(admitting.map(|(id, _)| *id));
        }
        out
    }

    /// True if one of the URLs makes the entry a member.
    fn admit(&self, urls: &[MemberUrl], node: &Node, key: &DnKey) -> bool {
        let snapshot = self.snapshot;
        let schema = &snapshot.schema;
        let mut near = urls.iter().filter(|url| url.in_scope(key)).peekable();
        if near.peek().is_none() {
            return false;
        }
        let open = View::without_dynamic(snapshot, node);
        match self.grants.filter(|g| !g.everything()) {
            None => near.any(|url| url.filter.matches(&open, schema)),
            Some(grants) => {
                let place = grants.at(key, node.entry.uuid, &open, schema);
                let view = open.for_asker(&place);
                place.allows(None, Right::Read) && near.any(|url| url.filter.matches(&view, schema))
            }
        }
    }

    /// True if the dynamic group has the entry of this name among its members by URL.
    pub fn admits(&self, group: &Node, name: &DnKey) -> bool {
        let Some(urls) = self.snapshot.dynamic.get(&group.id).filter(|_| self.dynamic) else { return false };
        self.snapshot.find(name).is_some_and(|node| self.admit(urls, node, name))
    }

    /// The members of a dynamic group by its URLs.
    pub fn dynamic_members(&self, group: &Node) -> BTreeSet<EntryId> {
        let mut out = BTreeSet::new();
        let Some(urls) = self.snapshot.dynamic.get(&group.id).filter(|_| self.dynamic) else { return out };
        for url in urls.iter() {
            let Some(base) = self.snapshot.find(&url.base) else { continue };
            let candidates = match self.snapshot.candidates_without_dynamic(&url.filter) {
                Candidates::These(ids) => ids.into_iter().collect(),
                Candidates::All => self.snapshot.walk_from(Some(base.id)).map(|n| n.id).collect::<Vec<_>>(),
            };
            let nodes = candidates.into_iter().filter_map(|id| self.snapshot.node(id));
            let admitted = nodes.filter(|n| self.admit(std::slice::from_ref(url), n, &self.snapshot.dn_key_of(n)));
            out.extend(admitted.map(|n| n.id));
        }
        out
    }

    /// Everyone in the group, itself included if a circle leads back to it.
    pub fn members(&self, group: &Node, depth: Depth) -> BTreeSet<EntryId> {
        let mut members = BTreeSet::new();
        let mut next = vec![group.id];
        while let Some(id) = next.pop() {
            let Some(group) = self.snapshot.node(id) else { continue };
            for member in self.direct_members(group) {
                let new = members.insert(member);
                if new && depth == Depth::Any && self.snapshot.node(member).is_some_and(|n| self.is_group(n)) {
                    next.push(member);
                }
            }
        }
        members
    }

    fn is_group(&self, node: &Node) -> bool {
        let groups = &self.snapshot.groups;
        let names = |attr: &AttrId| groups.attributes.contains(attr) || groups.member_uid == Some(*attr);
        node.entry.slots().iter().any(|slot| names(&slot.desc.id)) || self.snapshot.dynamic.contains_key(&node.id)
    }

    fn direct_members(&self, group: &Node) -> BTreeSet<EntryId> {
        let Snapshot { groups, index, schema, .. } = self.snapshot;
        let mut out = self.dynamic_members(group);
        for attr in &groups.attributes {
            let named = group.entry.values(*attr).filter_map(|v| schema.named_by(*attr, v));
            out.extend(named.filter_map(|key| self.snapshot.find(&key)).map(|n| n.id));
        }
        if let Some(member_uid) = groups.member_uid {
            let mut by_uid = Vec::new();
            let uids = group.entry.values(member_uid).filter_map(|v| schema.normalize(schema.known.uid, v));
            uids.for_each(|uid| index.equal(schema.known.uid, &uid, &mut by_uid));
            out.extend(by_uid);
        }
        out
    }
}
