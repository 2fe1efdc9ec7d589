//! Entries as SCIM resources (RFC 7643): person to User with the enterprise extension, group to
//! Group. Pure: who is linked and who is active was found out before.

use super::target::Document;
use crate::{
    directory::Node,
    entry::Entry,
    schema::{AttrId, Schema},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::BTreeSet;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes that say where a person lives or how to reach them in private: left out unless a
/// target names them.
pub const PRIVATE: [&str; 6] = [
    "supannMailPerso",
    "supannMailPrive",
    "homePhone",
    "supannTelephonePrive",
    "homePostalAddress",
    "supannAdressePostalePrivee",
];

/// What a target wants to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The attribute that becomes userName.
    pub user_name: SmolStr,
    /// Whether the enterprise extension is sent.
    pub enterprise: bool,
    /// Those of [`PRIVATE`] that are sent, in small letters.
    pub private: BTreeSet<SmolStr>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { user_name: SmolStr::new_static("uid"), enterprise: true, private: BTreeSet::new() }
    }
}

/// An entry that lacks what every resource must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry has no {0}, which the target needs as {1}")]
pub struct Lacking(pub SmolStr, pub &'static str);

/// A person. `active` is left out if it is `None`; `manager` is the id that the target gave.
pub fn user(
    node: &Node,
    schema: &Schema,
    rules: &Rules,
    active: Option<bool>,
    manager: Option<&str>,
) -> Result<Document, Lacking> {
    let from = Source { node, entry: &node.entry, schema };
    let user_name = from.named(&rules.user_name).ok_or(Lacking(rules.user_name.clone(), "userName"))?;
    let mut doc = Document::new();
    put(&mut doc, "externalId", Some(node.entry.uuid.to_string()));
    put(&mut doc, "userName", Some(user_name));
    let mut name = Document::new();
    put(&mut name, "formatted", from.one("cn"));
    put(&mut name, "familyName", from.one("sn"));
    put(&mut name, "givenName", from.one("givenName"));
    put(&mut name, "honorificPrefix", from.one("supannCivilite"));
    put_map(&mut doc, "name", name);
    put(&mut doc, "displayName", from.display_name());
    put(&mut doc, "nickName", from.one("eduPersonNickname"));
    put(&mut doc, "title", from.one("title"));
    put(&mut doc, "userType", from.first(&["employeeType", "eduPersonPrimaryAffiliation"]));
    put(&mut doc, "preferredLanguage", from.one("preferredLanguage"));
    let page = from.one("labeledURI").and_then(|v| v.split(' ').next().map(str::to_owned));
    put(&mut doc, "profileUrl", page);
    put_list(&mut doc, "emails", emails(&from, rules));
    if !from.one("supannListeRouge").is_some_and(|v| v.eq_ignore_ascii_case("TRUE")) {
        put_list(&mut doc, "phoneNumbers", phones(&from, rules));
        put_list(&mut doc, "addresses", addresses(&from, rules));
    }
    put_list(&mut doc, "entitlements", plain(from.all("eduPersonEntitlement")));
    put_list(&mut doc, "roles", plain(from.all("supannRoleGenerique")));
    put_list(&mut doc, "x509Certificates", plain(from.binary("userCertificate")));
    if let Some(active) = active {
        doc.insert("active".to_owned(), Value::Bool(active));
    }
    let mut schemas = vec![USER];
    if rules.enterprise {
        let extension = enterprise(&from, manager);
        if !extension.is_empty() {
            schemas.push(ENTERPRISE);
        }
        put_map(&mut doc, ENTERPRISE, extension);
    }
    doc.insert("schemas".to_owned(), json!(schemas));
    Ok(doc)
}

/// A group with the ids that the target gave to its members.
pub fn group(node: &Node, schema: &Schema, members: &BTreeSet<String>) -> Result<Document, Lacking> {
    let from = Source { node, entry: &node.entry, schema };
    let name = from.named("cn").ok_or(Lacking(SmolStr::new_static("cn"), "displayName"))?;
    let mut doc = Document::new();
    doc.insert("schemas".to_owned(), json!([GROUP]));
    put(&mut doc, "externalId", Some(node.entry.uuid.to_string()));
    put(&mut doc, "displayName", Some(name));
    // Only the value: the one form of a member that every server takes.
    put_list(&mut doc, "members", members.iter().map(|id| json!({ "value": id })).collect());
    Ok(doc)
}

fn enterprise(from: &Source<'_>, manager: Option<&str>) -> Document {
    let mut doc = Document::new();
    put(&mut doc, "employeeNumber", from.first(&["employeeNumber", "supannEmpId"]));
    put(&mut doc, "organization", from.first(&["o", "supannEtablissement"]));
    put(&mut doc, "department", from.first(&["departmentNumber", "supannEntiteAffectationPrincipale"]));
    put(&mut doc, "division", from.one("ou"));
    if let Some(id) = manager {
        doc.insert("manager".to_owned(), json!({ "value": id }));
    }
    doc
}

fn emails(from: &Source<'_>, rules: &Rules) -> Vec<Value> {
    let mut list = Typed::default();
    for (i, value) in from.all("mail").into_iter().enumerate() {
        list.push(value, if i == 0 { "work" } else { "other" });
    }
    list.extend(from.all("supannAutreMail"), "other");
    for attr in ["supannMailPerso", "supannMailPrive"] {
        list.extend(from.private(attr, rules), "home");
    }
    // At most one is primary (RFC 7643 section 2.4).
    let first_is_work = list.pairs.first().is_some_and(|(_, kind)| *kind == "work");
    let mut values = list.values();
    if let Some(Value::Object(first)) = values.first_mut().filter(|_| first_is_work) {
        first.insert("primary".to_owned(), Value::Bool(true));
    }
    values
}

fn phones(from: &Source<'_>, rules: &Rules) -> Vec<Value> {
    let mut list = Typed::default();
    for (attr, kind) in
        [("telephoneNumber", "work"), ("mobile", "mobile"), ("facsimileTelephoneNumber", "fax"), ("pager", "pager")]
    {
        list.extend(from.all(attr), kind);
    }
    for attr in ["homePhone", "supannTelephonePrive"] {
        list.extend(from.private(attr, rules), "home");
    }
    list.extend(from.all("supannAutreTelephone"), "other");
    list.values()
}

fn addresses(from: &Source<'_>, rules: &Rules) -> Vec<Value> {
    let mut list = Vec::new();
    let mut work = Document::new();
    put(&mut work, "formatted", from.one("postalAddress").map(|v| postal_lines(&v)));
    put(&mut work, "streetAddress", from.one("street"));
    put(&mut work, "locality", from.one("l"));
    put(&mut work, "region", from.one("st"));
    put(&mut work, "postalCode", from.one("postalCode"));
    put(&mut work, "country", from.one("c"));
    if !work.is_empty() {
        work.insert("type".to_owned(), "work".into());
        list.push(Value::Object(work));
    }
    let home = ["homePostalAddress", "supannAdressePostalePrivee"].map(|attr| from.private(attr, rules));
    if let Some(value) = home.iter().flatten().next() {
        list.push(json!({ "formatted": postal_lines(value), "type": "home" }));
    }
    if let Some(value) = from.first(&["physicalDeliveryOfficeName", "roomNumber"]) {
        list.push(json!({ "formatted": value, "type": "other" }));
    }
    list
}

/// Lines are separated by `$`; `\24` and `\5C` stand for themselves (RFC 4517 section 3.3.28).
fn postal_lines(value: &str) -> String {
    value.replace('$', "\n").replace("\\24", "$").replace("\\5C", "\\").replace("\\5c", "\\")
}

/// Values with a type; a pair of both is not repeated (RFC 7643 section 2.4).
#[derive(Default)]
struct Typed {
    pairs: Vec<(String, &'static str)>,
}

impl Typed {
    fn push(&mut self, value: String, kind: &'static str) {
        let pair = (value, kind);
        if !self.pairs.contains(&pair) {
            self.pairs.push(pair);
        }
    }

    fn extend(&mut self, values: Vec<String>, kind: &'static str) {
        values.into_iter().for_each(|value| self.push(value, kind));
    }

    fn values(self) -> Vec<Value> {
        self.pairs.into_iter().map(|(value, kind)| json!({ "value": value, "type": kind })).collect()
    }
}

fn plain(values: Vec<String>) -> Vec<Value> {
    values.into_iter().map(|value| json!({ "value": value })).collect()
}

fn put(doc: &mut Document, key: &str, value: Option<String>) {
    if let Some(value) = value {
        doc.insert(key.to_owned(), Value::String(value));
    }
}

/// An empty map or list is the same as none (RFC 7643 section 2.5).
fn put_map(doc: &mut Document, key: &str, map: Document) {
    if !map.is_empty() {
        doc.insert(key.to_owned(), Value::Object(map));
    }
}

fn put_list(doc: &mut Document, key: &str, list: Vec<Value>) {
    if !list.is_empty() {
        doc.insert(key.to_owned(), Value::Array(list));
    }
}

/// Values of one entry by attribute name. What the schema does not know is absent, and so is
/// what is no text or is written for one language only.
struct Source<'a> {
    node: &'a Node,
    entry: &'a Entry,
    schema: &'a Schema,
}

impl Source<'_> {
    fn id(&self, attr: &str) -> Option<AttrId> {
        self.schema.attr_id(attr).filter(|id| !self.schema.is_secret(*id))
    }

    fn all(&self, attr: &str) -> Vec<String> {
        let Some(id) = self.id(attr) else { return Vec::new() };
        let slots = self.entry.slots().iter().filter(|s| s.desc.id == id && s.desc.options.is_empty());
        slots
            .flat_map(|s| self.entry.slot_values(s))
            .filter_map(|v| std::str::from_utf8(v).ok())
            .filter(|v| !v.trim().is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn one(&self, attr: &str) -> Option<String> {
        self.all(attr).into_iter().next()
    }

    fn first(&self, attrs: &[&str]) -> Option<String> {
        attrs.iter().find_map(|attr| self.one(attr))
    }

    /// The value in the entry's own name, if the name has this attribute: of several, it is the
    /// one that a rename chose.
    fn named(&self, attr: &str) -> Option<String> {
        let id = self.id(attr)?;
        let in_name = self.node.rdn.avas().iter().find(|ava| self.schema.attr_id(&ava.attr) == Some(id));
        let value = in_name.and_then(|ava| std::str::from_utf8(&ava.value).ok()).map(str::to_owned);
        value.or_else(|| self.one(attr))
    }

    fn private(&self, attr: &str, rules: &Rules) -> Vec<String> {
        if rules.private.contains(attr.to_ascii_lowercase().as_str()) { self.all(attr) } else { Vec::new() }
    }

    /// Octets as base64, whatever the transfer option (RFC 4523 section 2.1 wants `;binary`).
    fn binary(&self, attr: &str) -> Vec<String> {
        let Some(id) = self.id(attr) else { return Vec::new() };
        self.entry.values(id).map(|v| STANDARD.encode(v)).collect()
    }

    fn display_name(&self) -> Option<String> {
        self.one("displayName")
            .or_else(|| Some(format!("{} {}", self.one("givenName")?, self.one("sn")?)))
            .or_else(|| self.one("cn"))
    }
}
