//! The attributes of an entry in the blocks of Sesame's document: inetOrgPerson, and one for each
//! auxiliary class.

use super::{
    CLASSES, PERSON,
    value::{self, Shape},
};
use crate::{
    entry::Entry,
    schema::{AttrDesc, AttrId, ClassId, Kind, Schema},
};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

/// What an entry holds that the document shows.
pub(super) struct Held {
    /// Auxiliary classes, as the entry spells them and in its order.
    pub classes: Vec<(SmolStr, ClassId)>,
    pub values: Vec<(AttrId, Vec<Vec<u8>>)>,
}

impl Held {
    pub fn of(entry: &Entry, schema: &Schema) -> Self {
        let class = |value: &[u8]| {
            let name = std::str::from_utf8(value).ok()?;
            let id = schema.class_id(name).filter(|id| schema.class(*id).kind == Kind::Auxiliary)?;
            Some((SmolStr::new(name), id))
        };
        let shown = |desc: &AttrDesc| {
            desc.options.is_empty() || schema.attribute(desc.id).syntax.is_ber() && desc.options == "binary"
        };
        let is_shown = |desc: &AttrDesc| shown(desc) && desc.id != schema.known.object_class;
        Held {
            classes: entry.values(schema.known.object_class).filter_map(class).collect(),
            values: entry
                .slots()
                .iter()
                .filter(|slot| is_shown(&slot.desc) && !schema.is_kept_by_server(slot.desc.id))
                .map(|slot| (slot.desc.id, value::own(schema, slot.desc.id, entry.slot_values(slot))))
                .filter(|(_, values)| !values.is_empty())
                .collect(),
        }
    }

    pub fn get(&self, attr: AttrId) -> &[Vec<u8>] {
        self.values.iter().find(|(id, _)| *id == attr).map_or(&[], |(_, values)| values)
    }

    /// The block where an attribute stands unless it was sent in another: inetOrgPerson if that
    /// class has it, else the first class that does.
    pub fn home(&self, attr: AttrId, schema: &Schema) -> Option<ClassId> {
        let person = schema.known.inet_org_person;
        let all = std::iter::once(person).chain(self.classes.iter().map(|(_, id)| *id));
        all.into_iter().find(|id| schema.class(*id).allows(attr))
    }

    /// The classes as a list, in the order and case in which they were sent last.
    pub fn class_names(&self, beside: Option<&str>) -> Value {
        let stored: Vec<&SmolStr> = self.classes.iter().map(|(name, _)| name).collect();
        let sent: Option<Vec<SmolStr>> =
            beside_blocks(beside).remove(CLASSES).and_then(|list| serde_json::from_value(list).ok());
        match sent {
            Some(sent) if same_names(&stored, &sent) => json!(sent),
            _ => json!(stored),
        }
    }

    /// inetOrgPerson, and the blocks of the classes by their names.
    pub fn blocks(&self, beside: Option<&str>, schema: &Schema) -> (Map<String, Value>, Map<String, Value>) {
        let mut person = Map::new();
        let mut classes: Vec<(SmolStr, ClassId, Map<String, Value>)> =
            self.classes.iter().map(|(name, id)| (name.clone(), *id, Map::new())).collect();
        for (attr, values) in &self.values {
            let Some(home) = self.home(*attr, schema) else { continue };
            let shape = Shape::of(schema, home, *attr);
            let json = shape.read(values, schema.attribute(*attr).syntax);
            match classes.iter_mut().find(|(_, id, _)| *id == home) {
                Some((.., block)) => drop(block.insert(shape.key.to_string(), json)),
                None => drop(person.insert(shape.key.to_string(), json)),
            }
        }
        self.put_beside(&beside_blocks(beside), &mut person, &mut classes, schema);
        let classes = classes.into_iter().map(|(name, _, block)| (name.to_string(), Value::Object(block))).collect();
        (person, classes)
    }

    /// Puts in what stands beside the entry, as far as the entry still says the same: whoever wrote
    /// an attribute over LDAP since has had the last word.
    fn put_beside(
        &self,
        beside: &Map<String, Value>,
        person: &mut Map<String, Value>,
        classes: &mut [(SmolStr, ClassId, Map<String, Value>)],
        schema: &Schema,
    ) {
        let attributes = |block: &str| beside.get(block).and_then(Value::as_object).into_iter().flatten();
        let mut valid = Vec::new();
        for (block, (key, json)) in beside.keys().flat_map(|b| attributes(b).map(move |member| (b, member))) {
            let class = schema.class_id(block);
            // What the class does not have was never a part of the entry.
            let attr = schema.attr_id(key).filter(|attr| class.is_some_and(|c| schema.class(c).allows(*attr)));
            let as_written = |a| value::write(schema, a, json).is_held(schema, a, self.get(a));
            let is_held = |a| self.get(a).is_empty() && held_back(beside).any(|name| schema.attr_id(name) == Some(a));
            let current = attr.is_none_or(|a| as_written(a) || is_held(a));
            if current {
                valid.push((class, attr, key, json));
            }
        }
        // The plain form goes first: the attribute may have been sent in another block.
        for (_, attr, ..) in &valid {
            let Some(attr) = attr else { continue };
            if let Some(home) = self.home(*attr, schema) {
                let key = Shape::of(schema, home, *attr).key;
                match classes.iter_mut().find(|(_, id, _)| *id == home) {
                    Some((.., block)) => drop(block.remove(key.as_str())),
                    None => drop(person.remove(key.as_str())),
                }
            }
        }
        for (class, _, key, json) in valid {
            let block = match class {
                Some(id) if id == schema.known.inet_org_person => Some(&mut *person),
                class => classes.iter_mut().find(|(_, id, _)| Some(*id) == class).map(|(.., block)| block),
            };
            if let Some(block) = block {
                block.insert(key.clone(), json.clone());
            }
        }
    }
}

/// What stands beside an entry, by block.
pub(super) fn beside_blocks(beside: Option<&str>) -> Map<String, Value> {
    beside.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Attributes whose values another entry has: the whole of them stands beside.
pub(super) fn held_back(beside: &Map<String, Value>) -> impl Iterator<Item = &str> {
    beside.get(HELD).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Members of what stands beside that are no blocks: attributes that are held back, and what a
/// fusion has put in.
pub(super) const HELD: &str = "$held";
pub(super) const FUSED: &str = "$fused";

/// True if the document has values that an index on the entry does not know.
pub fn says_more(entry: &Entry, schema: &Schema) -> bool {
    let Some(facts) = entry.operational.facts.as_deref().filter(|f| f.beside.is_some()) else { return false };
    let beside = beside_blocks(facts.beside.as_deref());
    let held = Held::of(entry, schema);
    beside.iter().filter_map(|(block, members)| Some((schema.class_id(block)?, members.as_object()?))).any(
        |(class, members)| {
            members.iter().any(|(key, json)| {
                let attr = schema.attr_id(key).filter(|attr| schema.class(class).allows(*attr));
                attr.is_some_and(|attr| {
                    schema.attribute(attr).equality.is_some() && value::says_more(schema, attr, json, held.get(attr))
                })
            })
        },
    )
}

/// The name of a class's block in what stands beside.
pub(super) fn block_name(class: ClassId, schema: &Schema) -> String {
    if class == schema.known.inet_org_person { PERSON.to_owned() } else { schema.class(class).name.to_string() }
}

/// True if both name the same classes, in whatever order and case.
pub(super) fn same_names(one: &[&SmolStr], other: &[SmolStr]) -> bool {
    let sorted = |names: Vec<&SmolStr>| {
        let mut names: Vec<String> = names.into_iter().map(|n| n.to_ascii_lowercase()).collect();
        names.sort();
        names
    };
    sorted(one.to_vec()) == sorted(other.iter().collect())
}
