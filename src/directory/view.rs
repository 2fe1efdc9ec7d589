//! An entry as some identity may see it: stored attributes and those that the server computes,
//! under access rules. The one place that knows the values of operational attributes.

use super::{
    Csn, Node, Snapshot, facts,
    groups::{Depth, Membership},
};
use crate::{
    access::{Place, Right},
    dn::DnKey,
    filter::Subject,
    schema::{AttrDesc, AttrId, Form, Rule},
};
use std::collections::HashSet;
use std::sync::Arc;

pub struct View<'s> {
    pub snapshot: &'s Snapshot,
    pub node: &'s Node,
    place: Option<&'s Place<'s, 's>>,
    /// Whether dynamic groups are groups here.
    dynamic: bool,
}

/// Bytes of an attribute above which its index is asked for a value, and not each of its values.
const MANY_VALUES: usize = 1024;

/// The name of the subschema entry (RFC 4512 section 4.2).
pub const SUBSCHEMA: &str = "cn=Subschema";

impl<'s> View<'s> {
    pub fn new(snapshot: &'s Snapshot, node: &'s Node, place: &'s Place<'s, 's>) -> Self {
        View { snapshot, node, place: Some(place), dynamic: true }
    }

    /// Without access rules, for the rules themselves.
    pub fn unrestricted(snapshot: &'s Snapshot, node: &'s Node) -> Self {
        View { snapshot, node, place: None, dynamic: true }
    }

    /// As the filter of a dynamic group sees an entry: for it, only static groups are groups.
    pub(super) fn without_dynamic(snapshot: &'s Snapshot, node: &'s Node) -> Self {
        View { snapshot, node, place: None, dynamic: false }
    }

    /// The same under access rules.
    pub(super) fn for_asker<'p>(&self, place: &'p Place<'p, 'p>) -> View<'p>
    where
        's: 'p,
    {
        View { snapshot: self.snapshot, node: self.node, place: Some(place), dynamic: self.dynamic }
    }

    fn membership(&self) -> Membership<'_> {
        let grants = self.place.map(|place| place.grants());
        Membership { snapshot: self.snapshot, grants, dynamic: self.dynamic }
    }

    /// True if the attribute shows the members of this dynamic group, beside those that it holds.
    pub fn gathers(&self, attr: AttrId) -> bool {
        self.dynamic && self.snapshot.groups.shown() == Some(attr) && self.gathers_members()
    }

    /// True for a dynamic group.
    pub fn gathers_members(&self) -> bool {
        !self.snapshot.dynamic.is_empty() && self.snapshot.dynamic.contains_key(&self.node.id)
    }

    /// The members of a dynamic group: those that it holds, and those that its URLs find.
    fn gathered(&self, attr: AttrId) -> Vec<Vec<u8>> {
        let snapshot = self.snapshot;
        let mut values: Vec<Vec<u8>> = self.node.entry.values(attr).map(<[u8]>::to_vec).collect();
        let held: HashSet<DnKey> = values.iter().filter_map(|v| snapshot.schema.named_by(attr, v)).collect();
        let found = self.membership().dynamic_members(self.node).into_iter().filter_map(|id| snapshot.node(id));
        let new = found.filter(|node| held.is_empty() || !held.contains(&snapshot.dn_key_of(node)));
        let mut names: Vec<Vec<u8>> = new.map(|node| snapshot.dn_text(node).into_bytes()).collect();
        names.sort_unstable();
        values.extend(names);
        values
    }

    pub fn may(&self, attr: Option<AttrId>, right: Right) -> bool {
        self.place.is_none_or(|p| p.allows(attr, right))
    }

    /// The values of an attribute that the server computes; empty for all others.
    pub fn computed(&self, attr: AttrId) -> Vec<Vec<u8>> {
        let known = &self.snapshot.schema.known;
        if self.node.is_synthetic() && !self.computed_attributes().contains(&attr) {
            return Vec::new();
        }
        let operational = &self.node.entry.operational;
        let one = |text: String| vec![text.into_bytes()];
        let named = |dn: &str| if dn.is_empty() { Vec::new() } else { one(dn.to_owned()) };
        let boolean = |value: bool| one(if value { "TRUE" } else { "FALSE" }.to_owned());
        if attr == known.entry_uuid {
            one(self.node.entry.uuid.to_string())
        } else if attr == known.entry_dn {
            one(self.snapshot.dn_text(self.node))
        } else if attr == known.create_timestamp {
            one(operational.created.generalized_time())
        } else if attr == known.modify_timestamp {
            one(operational.modified.generalized_time())
        } else if attr == known.creators_name {
            named(&operational.creator)
        } else if attr == known.modifiers_name {
            named(&operational.modifier)
        } else if attr == known.structural_object_class {
            one(operational.structural.to_string())
        } else if attr == known.subschema_subentry {
            one(SUBSCHEMA.to_owned())
        } else if attr == known.entry_csn {
            // A report of a target shows in the time of the sync alone.
            let time = operational.modified.max(operational.synced.unwrap_or_default());
            one(Csn { number: operational.changed, time }.text(self.snapshot.store_id))
        } else if attr == known.context_csn && self.node.parent.is_none() && !self.node.is_synthetic() {
            one(self.snapshot.csn().text(self.snapshot.store_id))
        } else if attr == known.has_subordinates {
            boolean(self.snapshot.has_children(self.node.id))
        } else if attr == known.num_subordinates {
            one(self.snapshot.count_children(self.node.id).to_string())
        } else if attr == known.member_of {
            self.membership().names(self.node)
        } else if self.gathers(attr) {
            self.gathered(attr)
        } else if attr == known.missing {
            operational.missing.iter().map(|m| m.clone().into_bytes()).collect()
        } else if operational.axes.is_some() {
            facts::values(operational, attr, known)
        } else {
            Vec::new()
        }
    }

    /// The attributes that [`View::computed`] may have values for.
    pub fn computed_attributes(&self) -> Vec<AttrId> {
        let k = &self.snapshot.schema.known;
        if self.node.is_synthetic() && self.node.entry.operational.axes.is_none() {
            return vec![k.entry_dn, k.structural_object_class, k.subschema_subentry];
        }
        let mut list = vec![
            k.entry_uuid,
            k.entry_dn,
            k.create_timestamp,
            k.modify_timestamp,
            k.creators_name,
            k.modifiers_name,
            k.structural_object_class,
            k.subschema_subentry,
            k.entry_csn,
            k.context_csn,
            k.has_subordinates,
            k.num_subordinates,
            k.member_of,
        ];
        list.extend(self.snapshot.groups.shown().filter(|attr| self.gathers(*attr)));
        if self.node.entry.operational.axes.is_some() {
            list.extend(facts::attributes(k));
        }
        list
    }

    /// True if the attribute has so many values that its index is the faster way to one of them.
    fn is_indexed(&self, attr: AttrId, rule: &Rule) -> bool {
        let Snapshot { schema, index, .. } = self.snapshot;
        let entry = &self.node.entry;
        let large = || entry.slots().iter().any(|s| s.desc.id == attr && entry.element(s).len() > MANY_VALUES);
        let same_form = || schema.attribute(attr).equality.is_some_and(|own| own.form == rule.form);
        // Only of the entry that the index knows.
        let known = || self.snapshot.node(self.node.id).is_some_and(|n| Arc::ptr_eq(&n.entry, entry));
        index.has(attr) && large() && same_form() && known()
    }

    fn stored(&self, attr: AttrId, options: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let asked = AttrDesc { id: attr, options: options.into() };
        let entry = &self.node.entry;
        let mut slots = entry.slots().iter().filter(|s| s.desc.id == attr && asked.options_cover(&s.desc.options));
        slots.any(|s| entry.slot_values(s).any(&mut *test))
    }
}

impl Subject for View<'_> {
    fn any_value(&self, attr: AttrId, options: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        if self.stored(attr, options, test) {
            return true;
        }
        options.is_empty()
            && (self.snapshot.schema.attribute(attr).is_operational() || self.gathers(attr))
            && self.computed(attr).iter().any(|v| test(v))
    }

    fn holds(&self, attr: AttrId, options: &str, rule: &Rule, key: &[u8]) -> Option<bool> {
        let names = matches!(rule.form, Form::Name | Form::NameAndUid);
        if !options.is_empty() || self.node.is_synthetic() {
            return None;
        }
        if attr == self.snapshot.schema.known.member_of && names {
            let membership = self.membership();
            return Some(DnKey::from_bytes(key).is_some_and(|g| membership.is_in(self.node, &g, membership.depth())));
        }
        if self.gathers(attr) && names {
            let found = DnKey::from_bytes(key).is_some_and(|name| self.membership().admits(self.node, &name));
            return Some(found || self.stored(attr, "", &mut |v| rule.matches(v, key, &self.snapshot.schema)));
        }
        self.is_indexed(attr, rule).then(|| self.snapshot.index.holds(attr, key, self.node.id))
    }

    fn reaches(&self, attrs: &[AttrId], key: &[u8]) -> bool {
        let member_of = self.snapshot.schema.known.member_of;
        let (groups, values): (Vec<AttrId>, Vec<AttrId>) = attrs.iter().partition(|attr| **attr == member_of);
        let is_in =
            || DnKey::from_bytes(key).is_some_and(|group| self.membership().is_in(self.node, &group, Depth::Any));
        let is_reached = || self.membership().reaching(&values, key).contains(&self.node.id);
        (!groups.is_empty() && is_in()) || (!values.is_empty() && is_reached())
    }

    fn is_present(&self, attr: AttrId, options: &str) -> bool {
        self.any_value(attr, options, &mut |_| true) || self.node.entry.secret_values(attr).next().is_some()
    }

    fn may_search(&self, attr: AttrId) -> bool {
        self.may(Some(attr), Right::Search)
    }

    fn any_name_part(&self, test: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool {
        self.snapshot.name_parts(self.node).any(|rdn| rdn.avas().iter().any(|ava| test(&ava.attr, &ava.value)))
    }

    fn held(&self) -> Vec<AttrId> {
        let stored = self.node.entry.slots().iter().map(|s| s.desc.id);
        stored.chain(self.computed_attributes()).collect()
    }
}
