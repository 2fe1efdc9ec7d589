//! An entry while it is being changed: attributes as lists of values, sealed into an [`Entry`]
//! at the end.

use super::{Entry, Operational, Secret, Slot, ber};
use crate::schema::{Attr, AttrDesc, AttrId, Schema};
use uuid::Uuid;

/// User attributes of an entry under change, secrets among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub attrs: Vec<Attr>,
}

impl Draft {
    pub fn of(entry: &Entry) -> Self {
        let open = entry.slots().iter().map(|slot| Attr {
            desc: slot.desc.clone(),
            values: entry.slot_values(slot).map(<[u8]>::to_vec).collect(),
        });
        let secret = entry.secrets().iter().map(|s| Attr { desc: s.desc.clone(), values: s.values.clone() });
        Draft { attrs: open.chain(secret).collect() }
    }

    pub fn get(&self, desc: &AttrDesc) -> Option<&Attr> {
        self.attrs.iter().find(|a| a.desc == *desc)
    }

    pub fn get_mut(&mut self, desc: &AttrDesc) -> Option<&mut Attr> {
        self.attrs.iter_mut().find(|a| a.desc == *desc)
    }

    /// True if the plain attribute holds a value equal to this one.
    pub fn holds(&self, attr: AttrId, value: &[u8], schema: &Schema) -> bool {
        let wanted = schema.identity(attr, value);
        self.get(&AttrDesc::plain(attr)).is_some_and(|a| a.values.iter().any(|v| schema.identity(attr, v) == wanted))
    }

    /// Adds a value that is not there yet.
    pub fn put(&mut self, attr: AttrId, value: &[u8]) {
        let desc = AttrDesc::plain(attr);
        match self.get_mut(&desc) {
            Some(held) => held.values.push(value.to_vec()),
            None => self.attrs.push(Attr { desc, values: vec![value.to_vec()] }),
        }
    }

    /// Adds the superclasses that the entry's classes imply (RFC 4512 section 3.3).
    pub fn complete_classes(&mut self, schema: &Schema) {
        let object_class = schema.known.object_class;
        let Some(held) = self.get_mut(&AttrDesc::plain(object_class)) else { return };
        let classes: Vec<_> =
            held.values.iter().filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?)).collect();
        let mut implied = Vec::new();
        for class in &classes {
            for sup in &schema.class(*class).superclasses {
                if !classes.contains(sup) && !implied.contains(sup) {
                    implied.push(*sup);
                }
            }
        }
        held.values.extend(implied.into_iter().map(|c| schema.class(c).name.as_bytes().to_vec()));
    }

    /// Takes out every value of an attribute, whatever its options.
    pub fn take(&mut self, attr: AttrId) -> Option<Vec<Vec<u8>>> {
        let at = self.attrs.iter().position(|a| a.desc.id == attr)?;
        Some(self.attrs.remove(at).values)
    }

    /// Encodes the attributes; empty ones vanish.
    pub fn seal(self, uuid: Uuid, operational: Operational, schema: &Schema) -> Entry {
        let mut body = Vec::new();
        let mut slots = Vec::new();
        let mut secrets = Vec::new();
        for attr in self.attrs.into_iter().filter(|a| !a.values.is_empty()) {
            if schema.is_secret(attr.desc.id) {
                secrets.push(Secret { desc: attr.desc, values: attr.values });
                continue;
            }
            let start = body.len();
            ber::push_attribute(&mut body, &schema.spell(&attr.desc), attr.values.iter().map(Vec::as_slice));
            let set: usize = attr.values.iter().map(|v| ber::element_len(v.len())).sum();
            slots.push(Slot {
                desc: attr.desc,
                element: (start as u32, body.len() as u32),
                values: ((body.len() - set) as u32, body.len() as u32),
            });
        }
        Entry { uuid, body: body.into(), slots: slots.into(), secrets: secrets.into(), operational }
    }
}
