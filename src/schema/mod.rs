//! The directory schema: attribute types, object classes, syntaxes, matching (RFC 4512, RFC 4517)
//! and the value rules of the identity classes. Knows nothing of entries or of their storage.
//!
//! `load` reads the YAML files, `compile` resolves superiors and conflicts into one immutable
//! [`Schema`]; after that every look-up is by [`AttrId`] or [`ClassId`].

mod attribute;
mod class;
mod compile;
mod define;
mod document;
mod fault;
mod load;
mod matching;
mod message;
mod names;
mod position;
mod prepare;
mod publish;
mod rules;
mod syntax;
mod validate;

pub use attribute::{Attr, AttrDesc, AttrId, Attribute, Usage};
pub use class::{Class, ClassId, Kind};
pub use fault::{Error, Fault as FileFault};
pub use load::{LoadError, Sources};
pub use matching::{Form, Normal, Rule, SubParts, rule};
pub use message::{Language, Reason, Said};
pub use position::line_of;
pub use rules::{ClassRule, CrossRule, Mode, Property, Rules, ValueType};
pub use syntax::Syntax;
pub use validate::{Checked, Fault, Scope, Violation, Violations};

use arc_swap::ArcSwap;
use define::Definition;
use smol_str::SmolStr;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// The compiled schema. Immutable but for the class rules.
pub struct Schema {
    attributes: Vec<Attribute>,
    attribute_names: HashMap<SmolStr, AttrId>,
    classes: Vec<Class>,
    class_names: HashMap<SmolStr, ClassId>,
    /// The one part that is exchanged while the server runs.
    rules: ArcSwap<Rules>,
    /// The texts of the LDAP files, and what the rule files defined beyond them: a reload of the
    /// rules may change neither.
    ldap: Vec<String>,
    /// The language of messages where the client has none.
    language: Language,
    defined: BTreeSet<Definition>,
    /// The attributes that the code itself speaks of.
    pub known: Known,
}

/// Attribute types and classes that the code itself speaks of; `compile` refuses a schema
/// without them.
pub struct Known {
    pub object_class: AttrId,
    pub user_password: AttrId,
    pub entry_uuid: AttrId,
    pub entry_dn: AttrId,
    pub create_timestamp: AttrId,
    pub modify_timestamp: AttrId,
    pub creators_name: AttrId,
    pub modifiers_name: AttrId,
    pub structural_object_class: AttrId,
    pub subschema_subentry: AttrId,
    pub has_subordinates: AttrId,
    pub num_subordinates: AttrId,
    pub member_of: AttrId,
    pub state: AttrId,
    pub lifecycle: AttrId,
    pub data_status: AttrId,
    pub init_state: AttrId,
    pub missing: AttrId,
    pub last_sync: AttrId,
    pub last_backend_sync: AttrId,
    pub last_lifecycle_update: AttrId,
    pub ignore_lifecycle: AttrId,
    pub deleted: AttrId,
    pub former_name: AttrId,
    pub deleted_time: AttrId,
    pub init_date: AttrId,
    pub sent_date: AttrId,
    pub primary_employee_number: AttrId,
    pub fused_from: AttrId,
    pub fused_into: AttrId,
    pub ignore_fusion: AttrId,
    pub history: AttrId,
    pub reason: AttrId,
    pub custom_fields: AttrId,
    pub entry_csn: AttrId,
    pub context_csn: AttrId,
    pub cn: AttrId,
    pub sn: AttrId,
    pub uid: AttrId,
    pub reference: AttrId,
    pub subtree_specification: AttrId,
    pub aliased_object_name: AttrId,
    pub top: ClassId,
    pub extensible_object: ClassId,
    pub alias: ClassId,
    pub referral: ClassId,
    pub subentry: ClassId,
    pub inet_org_person: ClassId,
}

impl Schema {
    #[expect(clippy::indexing_slicing, reason = "ids are made by the schema that they index")]
    pub fn attribute(&self, id: AttrId) -> &Attribute {
        &self.attributes[id.index()]
    }

    pub fn attributes(&self) -> impl Iterator<Item = (AttrId, &Attribute)> {
        self.attributes.iter().enumerate().map(|(i, a)| (AttrId::new(i), a))
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by the schema that they index")]
    pub fn class(&self, id: ClassId) -> &Class {
        &self.classes[id.index()]
    }

    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter()
    }

    /// The class rules as they stand; a reload does not touch those that somebody holds.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The language of messages where the client has none.
    pub fn language(&self) -> Language {
        self.language
    }

    /// An attribute type by short name or OID, without options.
    pub fn attr_id(&self, name: &str) -> Option<AttrId> {
        names::look_up(&self.attribute_names, name)
    }

    pub fn class_id(&self, name: &str) -> Option<ClassId> {
        names::look_up(&self.class_names, name)
    }

    /// Reads an attribute description with its options (RFC 4512 section 2.5).
    pub fn describe(&self, description: &str) -> Option<AttrDesc> {
        match description.split_once(';') {
            None => self.attr_id(description).map(AttrDesc::plain),
            // An empty option is malformed.
            Some((_, "")) => None,
            Some((name, options)) => self.describe_with(self.attr_id(name)?, options),
        }
    }

    /// The description of an attribute type with options, which may be none at all.
    pub fn describe_with(&self, id: AttrId, options: &str) -> Option<AttrDesc> {
        if options.is_empty() {
            return Some(AttrDesc::plain(id));
        }
        // A secret under an option would be a second one that nobody sees.
        let plain_only = self.is_secret(id) || self.attribute(id).is_operational() || id == self.known.object_class;
        let desc = if plain_only { None } else { AttrDesc::with_options(id, options) }?;
        // The binary option is for values that are BER in themselves (RFC 4522 section 3).
        let is_binary = desc.options.split(';').any(|o| o == "binary");
        (!is_binary || self.attribute(id).syntax.is_ber()).then_some(desc)
    }

    /// The description as answers spell it: canonical name, then options.
    pub fn spell(&self, desc: &AttrDesc) -> SmolStr {
        let name = &self.attribute(desc.id).name;
        if desc.options.is_empty() { name.clone() } else { SmolStr::new(format!("{name};{}", desc.options)) }
    }

    /// True for attributes whose values the server makes itself. Two operational ones are stored
    /// as clients write them (RFC 3296 section 2.2, RFC 3672 section 2.3).
    pub fn is_kept_by_server(&self, id: AttrId) -> bool {
        let k = &self.known;
        let written = [k.object_class, k.reference, k.subtree_specification];
        self.attribute(id).is_operational() && !written.contains(&id)
    }

    /// True for attributes whose values are hashed at rest and never returned.
    pub fn is_secret(&self, id: AttrId) -> bool {
        id == self.known.user_password
    }

    /// `id` itself and every subtype of it.
    pub fn with_subtypes(&self, id: AttrId) -> &[AttrId] {
        &self.attribute(id).with_subtypes
    }

    /// True if `sub` is `sup` or inherits from it.
    pub fn is_subtype(&self, sub: AttrId, sup: AttrId) -> bool {
        sub == sup || self.attribute(sup).with_subtypes.contains(&sub)
    }
}

#[cfg(test)]
mod tests;
