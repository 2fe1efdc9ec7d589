//! An entry of ours as an entry of the other directory: its name, its attributes and what it refers
//! to in terms of that directory. Pure.

use super::{content::Content, suffix::Suffix};
use crate::{
    directory::{Node, Snapshot},
    dn::{Dn, DnKey},
    export::target::{Document, Resource},
    schema::{AttrId, Schema, Syntax},
};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use uuid::Uuid;

/// What is sent of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub suffix: Suffix,
    pub attributes: Choice,
    pub classes: Choice,
    /// Class names, in small letters, that are called otherwise there.
    pub renamed_classes: BTreeMap<SmolStr, SmolStr>,
    pub names: Names,
    /// Which entries there can be objects of a kind.
    pub filters: Filters,
    /// An attribute there that gets the entryUUID, to know our entries again by.
    pub key: Option<SmolStr>,
    /// Who is in a group that would have no member: groupOfNames must have one (RFC 4519 section 3.5).
    pub placeholder: Dn,
    pub references: References,
    /// What an account has in addition while it is closed.
    pub inactive: BTreeMap<SmolStr, BTreeSet<String>>,
}

/// The attribute by which an entry that is there already is known, for each kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub users: SmolStr,
    pub groups: SmolStr,
    pub departments: SmolStr,
}

impl Names {
    pub fn of(&self, resource: Resource) -> &SmolStr {
        match resource {
            Resource::User => &self.users,
            Resource::Group => &self.groups,
            Resource::Department => &self.departments,
        }
    }
}

/// In place of an attribute: the whole name.
pub const BY_DN: &str = "dn";

/// Filters in text form (RFC 4515), for each kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    pub users: SmolStr,
    pub groups: SmolStr,
    pub departments: SmolStr,
}

impl Filters {
    pub fn of(&self, resource: Resource) -> &str {
        match resource {
            Resource::User => &self.users,
            Resource::Group => &self.groups,
            Resource::Department => &self.departments,
        }
    }
}

/// Names to be taken or left out, in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `None`: all.
    pub include: Option<BTreeSet<SmolStr>>,
    pub exclude: BTreeSet<SmolStr>,
}

impl Choice {
    pub fn takes(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        // Options belong to their attribute.
        let plain = name.split(';').next().unwrap_or_default();
        let in_list = |list: &BTreeSet<SmolStr>| list.contains(plain) || list.contains(name.as_str());
        !in_list(&self.exclude) && self.include.as_ref().is_none_or(in_list)
    }
}

/// Values that name entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum References {
    /// Those that the target has.
    #[default]
    Linked,
    /// All, whether anybody there has the name or not.
    All,
}

/// What is known of other entries.
pub trait Known {
    /// Whether the target has it.
    fn is_linked(&self, object: Uuid) -> bool;

    /// Whether it is, or will be, an object of its own at the target.
    fn is_exported(&self, snapshot: &Snapshot, node: &Node) -> bool;
}

/// A document, and what it speaks of.
#[derive(Debug, Default)]
pub struct Formed {
    pub document: Document,
    /// Entries that are named, linked or not.
    pub refs: Vec<Uuid>,
    /// Names that nobody has.
    pub absent: Vec<DnKey>,
}

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoForm {
    Outside,
    NoClass,
}

impl NoForm {
    /// What the entry does not have.
    pub fn what(&self) -> SmolStr {
        SmolStr::new_static(match self {
            NoForm::Outside => "name below the suffix that is exported",
            NoForm::NoClass => "object class that is sent",
        })
    }
}

impl Form {
    /// The entry as the target should hold it. `known` tells what else it gets.
    pub fn document(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        resource: Resource,
        active: Option<bool>,
        known: &dyn Known,
    ) -> Result<Formed, NoForm> {
        let schema = &snapshot.schema;
        let name = Dn::parse(&snapshot.dn_text(node)).ok().and_then(|dn| self.suffix.there(&dn, schema));
        let name = name.ok_or(NoForm::Outside)?;
        let mut content = Content::new(name.to_string());
        let mut found = Found { formed: Formed::default(), seen: HashSet::new(), own: node.entry.uuid, known };
        for slot in node.entry.slots() {
            let id = slot.desc.id;
            let spelt = schema.spell(&slot.desc);
            if id == schema.known.object_class {
                let classes = node.entry.slot_values(slot).filter_map(|v| std::str::from_utf8(v).ok());
                classes.filter_map(|class| self.class(class)).for_each(|class| content.put(&spelt, class.as_str()));
            } else if self.sends(&spelt, id, schema) {
                for value in node.entry.slot_values(slot) {
                    if let Some(value) = self.value(snapshot, id, value, &mut found) {
                        content.put(&spelt, value);
                    }
                }
            }
        }
        if content.get("objectClass").is_none() {
            return Err(NoForm::NoClass);
        }
        // The name must be in the entry, whatever is left out (RFC 4512 section 2.3).
        for ava in name.leaf().into_iter().flat_map(|rdn| rdn.avas()) {
            content.put(&ava.attr, ava.value.to_vec());
        }
        self.fill_group(&mut content);
        if let Some(key) = &self.key {
            content.put(key, node.entry.uuid.to_string());
        }
        // Of what is not sent nothing is said.
        content.active = active.filter(|_| resource == Resource::User && !self.inactive.is_empty());
        if let Some(superior) = node.parent.and_then(|id| snapshot.node(id)).filter(|n| known.is_exported(snapshot, n))
        {
            content.awaits_superior = true;
            // Whoever waits for it is asked again once it is there.
            found.formed.refs.push(superior.entry.uuid);
        }
        let mut document = content.document();
        self.identify(&mut document, &content, resource);
        Ok(Formed { document, ..found.formed })
    }

    fn class(&self, class: &str) -> Option<SmolStr> {
        let lower = SmolStr::new(class.to_lowercase());
        let taken = self.classes.takes(class) && !lower.starts_with(OWN);
        taken.then(|| self.renamed_classes.get(&lower).cloned().unwrap_or_else(|| SmolStr::new(class)))
    }

    /// User attributes only: what a server keeps itself it would not take from us.
    fn sends(&self, spelt: &str, id: AttrId, schema: &Schema) -> bool {
        let own = spelt.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN));
        !own && !schema.is_secret(id) && !schema.attribute(id).is_operational() && self.attributes.takes(spelt)
    }

    /// A value as the target should have it.
    fn value(&self, snapshot: &Snapshot, id: AttrId, value: &[u8], found: &mut Found<'_>) -> Option<Vec<u8>> {
        let schema = &snapshot.schema;
        let syntax = schema.attribute(id).syntax;
        if !matches!(syntax, Syntax::Dn | Syntax::NameAndOptionalUid) {
            return Some(value.to_vec());
        }
        let text = std::str::from_utf8(value).ok()?;
        let (name, bits) = match syntax {
            Syntax::NameAndOptionalUid => split_bits(text),
            _ => (text, ""),
        };
        let dn = Dn::parse(name).ok()?;
        // Names of other trees are not ours to exchange.
        let Some(there) = self.suffix.there(&dn, schema) else { return Some(value.to_vec()) };
        let is_there = found.note(snapshot, &dn);
        (is_there || self.references == References::All).then(|| format!("{there}{bits}").into_bytes())
    }

    fn fill_group(&self, content: &mut Content) {
        for (class, attribute) in [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember")] {
            let is_group = content
                .get("objectClass")
                .is_some_and(|held| held.values.iter().any(|value| value.eq_ignore_ascii_case(class.as_bytes())));
            if is_group && content.get(attribute).is_none() {
                content.put(attribute, self.placeholder.to_string());
            }
        }
    }

    /// Says in a document by what its entry is known, here and there.
    pub fn identify(&self, document: &mut Document, content: &Content, resource: Resource) {
        if let Some(id) = self.key.as_ref().and_then(|key| content.text(key)) {
            document.insert("externalId".to_owned(), id.into());
        }
        let name = Dn::parse(&content.dn).unwrap_or_default();
        if let Some(value) = self.name_value(&name, content, resource) {
            document.insert(resource.name_attribute().to_owned(), value.into());
        }
    }

    /// By what the entry is looked for: the value in its name, or else the only one.
    fn name_value(&self, name: &Dn, content: &Content, resource: Resource) -> Option<String> {
        let attribute = self.names.of(resource);
        if attribute == BY_DN {
            return Some(name.to_string());
        }
        let in_name = name.leaf()?.avas().iter().find(|ava| ava.attr.eq_ignore_ascii_case(attribute));
        match in_name {
            Some(ava) => String::from_utf8(ava.value.to_vec()).ok(),
            None => content.text(attribute).map(str::to_owned),
        }
    }

    /// Whether an attribute that is found at the target is ours to keep equal.
    pub fn answers_for(&self, name: &str) -> bool {
        let lower = name.to_lowercase();
        let ours = self.key.as_ref().is_some_and(|key| key.eq_ignore_ascii_case(&lower));
        ours || (lower != "userpassword" && (lower == "objectclass" || self.attributes.takes(&lower)))
    }

    /// With what a closed account has in addition, as it goes on the wire.
    pub fn complete(&self, mut content: Content) -> Content {
        if content.active.take() == Some(false) {
            for (name, values) in &self.inactive {
                content.set(name, values.iter().map(|value| value.clone().into_bytes()).collect());
            }
        }
        content
    }

    /// The reverse of [`Form::complete`], for what comes from the wire.
    pub fn reduce(&self, mut content: Content) -> Content {
        if self.inactive.is_empty() {
            return content;
        }
        let holds = |(name, values): (&SmolStr, &BTreeSet<String>)| {
            let held = content.get(name);
            values.iter().all(|value| held.is_some_and(|held| held.values.contains(value.as_bytes())))
        };
        let closed = self.inactive.iter().all(holds);
        content.active = Some(!closed);
        if closed {
            self.inactive.keys().for_each(|name| content.remove(name));
        }
        content
    }
}

struct Found<'a> {
    formed: Formed,
    seen: HashSet<Uuid>,
    own: Uuid,
    known: &'a dyn Known,
}

impl Found<'_> {
    /// Notes an entry that is named; true if the target has it.
    fn note(&mut self, snapshot: &Snapshot, dn: &Dn) -> bool {
        let key = snapshot.schema.dn_key(dn);
        let Some(node) = snapshot.find(&key) else {
            self.formed.absent.push(key);
            return false;
        };
        let uuid = node.entry.uuid;
        if uuid == self.own {
            return true;
        }
        if self.seen.insert(uuid) {
            self.formed.refs.push(uuid);
        }
        self.known.is_linked(uuid)
    }
}

/// A name, and the bit string that may follow it (RFC 4517 section 3.3.21).
fn split_bits(value: &str) -> (&str, &str) {
    match value.rfind("#'").filter(|_| value.ends_with("'B")) {
        Some(at) => value.split_at(at),
        None => (value, ""),
    }
}

/// How our own attributes and classes begin: no other server knows them.
const OWN: &str = "vestibule";
