//! Entries: their values in the very bytes that a search answer carries, and drafts of changes.
//!
//! An [`Entry`] keeps its user attributes as a concatenation of BER `PartialAttribute`s
//! (RFC 4511 4.1.7). Those bytes are on disk, in memory and on the wire; a small table finds an
//! attribute in them. Secret values stand apart, so that no answer can carry them by mistake.

pub mod ber;
mod draft;
mod facts;
mod history;
pub mod ldif;
mod modify;
mod operational;

pub use draft::Draft;
pub use facts::{Deleted, Facts, FactsChange, Held};
pub use history::{Axis, History, Move};
pub use modify::{ModError, ModKind, Modification};
pub use operational::{Axes, Operational};

use crate::schema::{AttrDesc, AttrId, Schema};
use smol_str::SmolStr;
use uuid::Uuid;

/// One attribute in the body of an entry.
#[derive(Clone, Debug)]
pub struct Slot {
    pub desc: AttrDesc,
    /// The whole `PartialAttribute` element.
    element: (u32, u32),
    /// Its type and the SET header: what precedes the first value, within the body.
    values: (u32, u32),
}

/// An immutable entry. Its place in the tree is not part of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub uuid: Uuid,
    body: Box<[u8]>,
    slots: Box<[Slot]>,
    secrets: Box<[Secret]>,
    pub operational: Operational,
}

/// Values that are never sent: hashes of passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub desc: AttrDesc,
    pub values: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} values)", self.values.len())
    }
}

/// Stored bytes that cannot be taken for an entry.
#[derive(Debug, thiserror::Error)]
pub enum BadEntry {
    #[error("the attribute list is broken")]
    Broken,
    /// Unseen it would go out past the access rules, and be lost at the next change.
    #[error("it has attribute '{0}', which the schema does not define any more; put the definition back")]
    Unknown(String),
}

impl Entry {
    /// From stored parts.
    pub fn from_parts(
        uuid: Uuid,
        body: Box<[u8]>,
        secrets: Vec<(SmolStr, Vec<Vec<u8>>)>,
        operational: Operational,
        schema: &Schema,
    ) -> Result<Self, BadEntry> {
        let mut slots = Vec::new();
        let mut reader = ber::Reader::new(&body);
        while let Some(element) = reader.next_element() {
            let element = element.ok_or(BadEntry::Broken)?;
            let mut inner = ber::Reader::at(&body, element.content.clone());
            let name = inner.next_element().flatten().ok_or(BadEntry::Broken)?;
            let set = inner.next_element().flatten().ok_or(BadEntry::Broken)?;
            let text = body.get(name.content).and_then(|b| std::str::from_utf8(b).ok()).ok_or(BadEntry::Broken)?;
            slots.push(Slot {
                desc: schema.describe(text).ok_or_else(|| BadEntry::Unknown(text.to_owned()))?,
                element: (element.whole.start as u32, element.whole.end as u32),
                values: (set.content.start as u32, set.content.end as u32),
            });
        }
        let secret = |(name, values): (SmolStr, Vec<Vec<u8>>)| match schema.describe(&name) {
            Some(desc) => Ok(Secret { desc, values }),
            None => Err(BadEntry::Unknown(name.to_string())),
        };
        let secrets = secrets.into_iter().map(secret).collect::<Result<_, _>>()?;
        Ok(Entry { uuid, body, slots: slots.into(), secrets, operational })
    }

    /// All user attributes but the secret ones, as they go on the wire.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The encoded `PartialAttribute` of a slot of this entry.
    pub fn element(&self, slot: &Slot) -> &[u8] {
        self.body.get(slot.element.0 as usize..slot.element.1 as usize).unwrap_or_default()
    }

    /// The values of a slot of this entry, in place.
    pub fn slot_values(&self, slot: &Slot) -> impl Iterator<Item = &[u8]> {
        ber::values(self.body.get(slot.values.0 as usize..slot.values.1 as usize).unwrap_or_default())
    }

    /// All values of exactly this attribute type, whatever its options; secrets left out.
    pub fn values(&self, attr: AttrId) -> impl Iterator<Item = &[u8]> {
        self.slots.iter().filter(move |s| s.desc.id == attr).flat_map(|s| self.slot_values(s))
    }

    /// The first value as text.
    pub fn text(&self, attr: AttrId) -> Option<&str> {
        self.values(attr).next().and_then(|v| std::str::from_utf8(v).ok())
    }

    pub fn has(&self, attr: AttrId) -> bool {
        self.slots.iter().any(|s| s.desc.id == attr) || self.secrets.iter().any(|s| s.desc.id == attr)
    }

    pub fn secret_values(&self, attr: AttrId) -> impl Iterator<Item = &[u8]> {
        self.secrets.iter().filter(move |s| s.desc.id == attr).flat_map(|s| s.values.iter().map(Vec::as_slice))
    }

    /// True if the entry has this object class or a subclass of it.
    pub fn has_class(&self, class: crate::schema::ClassId, schema: &Schema) -> bool {
        self.values(schema.known.object_class)
            .filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?))
            .any(|c| c == class || schema.class(c).superclasses.contains(&class))
    }

    /// A copy with other operational attributes; the body is shared by copying its bytes only.
    pub fn with_operational(&self, operational: Operational) -> Self {
        Entry { operational, ..self.clone() }
    }
}
