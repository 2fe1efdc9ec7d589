//! An entry as some identity may see it: stored attributes and those that the server computes,
//! under access rules. The one place that knows the values of operational attributes.

use super::{Node, Snapshot, identity};
use crate::{
    access::{Place, Right},
    filter::Subject,
    schema::{AttrDesc, AttrId},
};

pub struct View<'s> {
    pub snapshot: &'s Snapshot,
    pub node: &'s Node,
    place: Option<&'s Place<'s, 's>>,
}

/// The name of the subschema entry (RFC 4512 section 4.2).
pub const SUBSCHEMA: &str = "cn=Subschema";

impl<'s> View<'s> {
    pub fn new(snapshot: &'s Snapshot, node: &'s Node, place: &'s Place<'s, 's>) -> Self {
        View { snapshot, node, place: Some(place) }
    }

    /// Without access rules, for the rules themselves.
    pub fn unrestricted(snapshot: &'s Snapshot, node: &'s Node) -> Self {
        View { snapshot, node, place: None }
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
        } else if attr == known.has_subordinates {
            boolean(self.snapshot.has_children(self.node.id))
        } else if attr == known.num_subordinates {
            one(self.snapshot.children(self.node.id).count().to_string())
        } else if attr == known.missing {
            operational.missing.iter().map(|m| m.clone().into_bytes()).collect()
        } else if attr == known.last_sync {
            operational.synced.map(|t| one(t.generalized_time())).unwrap_or_default()
        } else if let Some(axes) = &operational.axes {
            let values = identity::axis_values(axes, &self.snapshot.schema);
            values.into_iter().find(|(id, _)| *id == attr).map(|(_, v)| one(v)).unwrap_or_default()
        } else {
            Vec::new()
        }
    }

    /// The operational attributes that [`View::computed`] may have values for.
    pub fn computed_attributes(&self) -> Vec<AttrId> {
        let k = &self.snapshot.schema.known;
        if self.node.is_synthetic() {
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
            k.has_subordinates,
            k.num_subordinates,
        ];
        if self.node.entry.operational.axes.is_some() {
            list.extend([k.state, k.lifecycle, k.data_status, k.init_state, k.missing, k.last_sync]);
        }
        list
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
            && self.snapshot.schema.attribute(attr).is_operational()
            && self.computed(attr).iter().any(|v| test(v))
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
