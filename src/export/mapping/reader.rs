//! Values of entries for one target: what is personal stays out unless the target's map says
//! otherwise, and secrets stay out always.

use crate::{
    directory::{Node, Snapshot, View},
    schema::{AttrId, Schema, Syntax},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// Attributes that say where a person lives, how to reach them in private, and who they were born
/// as: left out unless a target names them.
pub const PRIVATE: [&str; 20] = [
    "supannMailPerso",
    "supannMailPrive",
    "homePhone",
    "supannTelephonePrive",
    "homePostalAddress",
    "supannAdressePostalePrivee",
    "supannCodeINE",
    "supannBirthName",
    "supannBirthDate",
    "supannNomDeNaissance",
    "supannPrenomsEtatCivil",
    "supannOIDCDateDeNaissance",
    "supannOIDCGenre",
    "supannCodeINSEEVilleDeNaissance",
    "supannCodeINSEEPaysDeNaissance",
    "supannFCSub",
    "schacDateOfBirth",
    "schacPlaceOfBirth",
    "schacCountryOfCitizenship",
    "schacGender",
];

/// What is not told of people who asked not to be published (SupAnn: supannListeRouge).
const UNLISTED: [&str; 19] = [
    "telephoneNumber",
    "mobile",
    "facsimileTelephoneNumber",
    "pager",
    "homePhone",
    "supannTelephonePrive",
    "supannAutreTelephone",
    "postalAddress",
    "street",
    "l",
    "st",
    "postalCode",
    "c",
    "homePostalAddress",
    "supannAdressePostalePrivee",
    "physicalDeliveryOfficeName",
    "roomNumber",
    "jpegPhoto",
    "photo",
];

/// Operational attributes that change with the entry itself, so that a map may name them.
const OPERATIONAL: [&str; 4] = ["entryUUID", "entryDN", "createTimestamp", "modifyTimestamp"];

pub fn is_private(attr: &str) -> bool {
    PRIVATE.iter().any(|known| known.eq_ignore_ascii_case(attr))
}

/// What is wrong with naming this attribute in a map.
pub fn fault(attr: &str, schema: &Schema) -> Option<String> {
    let Some(id) = schema.attr_id(attr) else {
        return Some(format!("'{attr}' is not an attribute type of the schema"));
    };
    if schema.is_secret(id) {
        return Some(format!("'{attr}' is secret and never sent"));
    }
    let known = OPERATIONAL.iter().any(|name| schema.attr_id(name) == Some(id));
    let kept = schema.is_kept_by_server(id) && !known;
    kept.then(|| format!("'{attr}' is kept by the server; of those a map may name {}", OPERATIONAL.join(", ")))
}

/// How one line of a map may look at entries.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub snapshot: &'a Snapshot,
    /// Private attributes that the target may have, in small letters.
    pub allowed: &'a BTreeSet<SmolStr>,
    /// All private ones, for this line.
    pub private: bool,
    /// Though the person asked not to be published.
    pub unlisted: bool,
}

impl Reader<'_> {
    /// Text values; octets as base64. Values for one language only are not among them.
    pub fn values(&self, node: &Node, attr: &str) -> Vec<String> {
        let schema = &self.snapshot.schema;
        let Some(id) = schema.attr_id(attr).filter(|id| self.may_have(node, *id)) else { return Vec::new() };
        let definition = schema.attribute(id);
        if definition.is_operational() && schema.is_kept_by_server(id) {
            let computed = View::unrestricted(self.snapshot, node).computed(id);
            return computed.into_iter().filter_map(|v| String::from_utf8(v).ok()).collect();
        }
        if is_octets(definition.syntax) {
            // Whatever the transfer option (RFC 4523 section 2.1 wants `;binary`).
            return node.entry.values(id).map(|v| STANDARD.encode(v)).collect();
        }
        let slots = node.entry.slots().iter().filter(|s| s.desc.id == id && s.desc.options.is_empty());
        let texts = slots.flat_map(|s| node.entry.slot_values(s)).filter_map(|v| std::str::from_utf8(v).ok());
        texts.filter(|v| !v.trim().is_empty()).map(str::to_owned).collect()
    }

    /// The same with the value first that a rename chose: the one in the entry's own name.
    pub fn named(&self, node: &Node, attr: &str) -> Vec<String> {
        let schema = &self.snapshot.schema;
        let mut values = self.values(node, attr);
        let Some(id) = schema.attr_id(attr).filter(|id| self.may_have(node, *id)) else { return values };
        let in_name = node.rdn.avas().iter().find(|ava| schema.attr_id(&ava.attr) == Some(id));
        if let Some(text) = in_name.and_then(|ava| std::str::from_utf8(&ava.value).ok()) {
            values.retain(|v| v != text);
            values.insert(0, text.to_owned());
        }
        values
    }

    fn may_have(&self, node: &Node, id: AttrId) -> bool {
        let schema = &self.snapshot.schema;
        let name = schema.attribute(id).name.as_str();
        let is_listed = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
        let private = || !self.private && is_listed(&PRIVATE) && !self.allowed.contains(&*name.to_ascii_lowercase());
        let unlisted = || !self.unlisted && is_listed(&UNLISTED) && is_unlisted(node, schema);
        !schema.is_secret(id) && !private() && !unlisted()
    }
}

fn is_unlisted(node: &Node, schema: &Schema) -> bool {
    let value = schema.attr_id("supannListeRouge").and_then(|id| node.entry.text(id));
    value.is_some_and(|v| v.eq_ignore_ascii_case("TRUE"))
}

fn is_octets(syntax: Syntax) -> bool {
    syntax.is_ber() || matches!(syntax, Syntax::Jpeg | Syntax::Audio | Syntax::FaxImage)
}
