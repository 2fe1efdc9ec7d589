//! The way back: a document that a client sends becomes the attributes of an entry, and what stands
//! beside it.

use super::{
    ADDITIONAL, ATTRIBUTES, CLASSES, PERSON,
    blocks::{FUSED, HELD, Held, beside_blocks, block_name},
    value::{self, Shape},
};
use crate::{
    entry::{Entry, ModKind},
    schema::{AttrId, ClassId, Fault, Kind, Schema, Violation},
};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Whose answers: those that Sesame documents, or those of its later releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Contract {
    #[default]
    #[serde(rename = "2024")]
    Documented,
    #[serde(rename = "2025")]
    Later,
}

/// A field of inetOrgPerson that every identity has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement(pub &'static str);

const REQUIRED: [Requirement; 3] = [Requirement("cn"), Requirement("sn"), Requirement("uid")];

/// Keys of one class block that the later contract takes.
const BLOCK_KEYS: usize = 500;

/// What a client's document says.
#[derive(Debug, Default)]
pub struct Body {
    /// Auxiliary classes in the order sent.
    pub classes: Vec<SmolStr>,
    pub attrs: Vec<(SmolStr, Vec<Vec<u8>>)>,
    pub beside: Option<String>,
    /// Faults of the classes and blocks themselves, by class. Nothing is stored with one of them.
    pub config: BTreeMap<SmolStr, String>,
    /// Values that LDAP cannot hold; they break the schema as a broken rule does.
    pub unfit: Vec<Violation>,
    pub missing: Vec<Requirement>,
    /// Where the document has each attribute: block, key and value.
    places: Vec<(SmolStr, String, String, Value)>,
}

/// Reads a document. `held` is the entry as it stands, for an identity that is there already.
pub fn read(document: &Value, held: Option<&Entry>, contract: Contract, schema: &Schema) -> Body {
    let facts = held.and_then(|entry| entry.operational.facts.as_deref());
    let mut beside = Map::new();
    if let Some(fused) = beside_blocks(facts.and_then(|f| f.beside.as_deref())).remove(FUSED) {
        beside.insert(FUSED.to_owned(), fused);
    }
    let mut reading = Reading {
        schema,
        contract,
        held: held.map(|entry| Held::of(entry, schema)),
        body: Body::default(),
        places: Vec::new(),
        beside,
    };
    reading.classes(document);
    reading.blocks(document);
    reading.finish()
}

/// A member that ought to be an object; what is something else is a fault of that part.
fn object(value: Option<&Value>) -> Result<Option<&Map<String, Value>>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(()),
    }
}

/// One attribute where the document has it.
struct Placed<'d> {
    class: ClassId,
    attr: AttrId,
    key: &'d str,
    json: &'d Value,
}

struct Reading<'s, 'd> {
    schema: &'s Schema,
    contract: Contract,
    held: Option<Held>,
    body: Body,
    places: Vec<Placed<'d>>,
    beside: Map<String, Value>,
}

impl<'d> Reading<'_, 'd> {
    fn fault(&mut self, class: &str, text: &str) {
        self.body.config.entry(SmolStr::new(class)).or_insert_with(|| text.to_owned());
    }

    fn classes(&mut self, document: &'d Value) {
        let additional = document.get(ADDITIONAL);
        if object(additional).is_err() {
            return self.fault(ADDITIONAL, "must be an object");
        }
        let listed = match additional.and_then(|a| a.get(CLASSES)) {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return self.fault(CLASSES, "must be a list of class names"),
        };
        for item in listed {
            let Some(name) = item.as_str() else {
                self.fault(CLASSES, "must be a list of class names");
                continue;
            };
            self.class(name);
        }
        if let Some(held) = &self.held {
            let stored: Vec<&SmolStr> = held.classes.iter().map(|(name, _)| name).collect();
            let differs = stored != self.body.classes.iter().collect::<Vec<_>>();
            if differs && super::blocks::same_names(&stored, &self.body.classes) {
                self.beside.insert(CLASSES.to_owned(), json!(self.body.classes));
            }
        }
    }

    fn class(&mut self, name: &str) {
        let schema = self.schema;
        let Some(id) = schema.class_id(name) else {
            return self.fault(name, "has no rules: there is no file of this name for it");
        };
        let person = schema.known.inet_org_person;
        if id == person || schema.class(person).superclasses.contains(&id) {
            return;
        }
        if schema.class(id).kind != Kind::Auxiliary {
            return self.fault(name, "is not an auxiliary class");
        }
        let is_held = self.held.as_ref().is_some_and(|held| held.classes.iter().any(|(_, c)| *c == id));
        if !is_held && schema.rules().of(id).is_none() {
            return self.fault(name, "has no rules: there is no file of this name for it");
        }
        if !self.body.classes.iter().any(|c| schema.class_id(c) == Some(id)) {
            self.body.classes.push(SmolStr::new(name));
        }
    }

    fn blocks(&mut self, document: &'d Value) {
        let schema = self.schema;
        match object(document.get(PERSON)) {
            Ok(Some(person)) => self.block(schema.known.inet_org_person, person),
            Ok(None) => {}
            Err(()) => self.fault(PERSON, "must be an object"),
        }
        let Ok(attributes) = object(document.get(ADDITIONAL).and_then(|a| a.get(ATTRIBUTES))) else {
            return self.fault(ATTRIBUTES, "must be an object with a block for each class");
        };
        let mut found = Vec::new();
        for (name, block) in attributes.into_iter().flatten() {
            let id = schema.class_id(name);
            let listed = self.body.classes.iter().any(|c| schema.class_id(c) == id && id.is_some());
            match (id, object(Some(block))) {
                (Some(id), Ok(block)) if listed => {
                    found.push(id);
                    self.block(id, block.unwrap_or(&EMPTY));
                }
                (_, Err(())) => self.fault(name, "its block must be an object"),
                // What is wrong with the class itself has been said.
                _ if self.body.config.contains_key(name.as_str()) => {}
                _ if self.contract == Contract::Later => self.body.unfit.push(unlisted(name)),
                _ => self.fault(name, "has a block but is not listed in objectClasses"),
            }
        }
        if self.contract == Contract::Documented {
            for name in self.body.classes.clone() {
                if !schema.class_id(&name).is_some_and(|id| found.contains(&id)) {
                    self.fault(&name, "is listed in objectClasses but has no block in attributes");
                }
            }
        }
    }

    fn block(&mut self, class: ClassId, block: &'d Map<String, Value>) {
        let schema = self.schema;
        let name = block_name(class, schema);
        if self.contract == Contract::Later && block.len() > BLOCK_KEYS {
            return self.fault(&name, "has more keys than one block may have");
        }
        for (key, json) in block {
            match schema.attr_id(key) {
                Some(attr) if schema.is_secret(attr) => {
                    self.fault(&name, "passwords are not set here");
                }
                Some(attr)
                    if schema.class(class).allows(attr)
                        && !schema.is_kept_by_server(attr)
                        && attr != schema.known.object_class =>
                {
                    self.places.push(Placed { class, attr, key, json });
                }
                // Undeclared attributes are accepted (Sesame) but no part of the entry.
                _ => self.keep_beside(&name, key, json),
            }
        }
    }

    fn keep_beside(&mut self, block: &str, key: &str, json: &Value) {
        let members = self.beside.entry(block.to_owned()).or_insert_with(|| json!({}));
        if let Some(members) = members.as_object_mut() {
            members.insert(key.to_owned(), json.clone());
        }
    }

    fn finish(mut self) -> Body {
        let schema = self.schema;
        let places = std::mem::take(&mut self.places);
        // The home of an attribute depends on the classes that the entry will have.
        let future = Held {
            classes: self.body.classes.iter().filter_map(|c| Some((c.clone(), schema.class_id(c)?))).collect(),
            values: Vec::new(),
        };
        let mut first: Vec<(AttrId, Vec<Vec<u8>>)> = Vec::new();
        for place in &places {
            let written = value::write(schema, place.attr, place.json);
            let syntax = schema.attribute(place.attr).syntax;
            let shape = Shape::of(schema, place.class, place.attr);
            if written.unfit {
                let class = &schema.class(place.class).name;
                let text = format!("expected {}", syntax.desc());
                self.body.unfit.push(Violation::new(Fault::InvalidSyntax, class, &shape.key, "syntax", text));
            }
            // The documented contract coerces nothing; the later one has done so before.
            let mistyped = shape.mistyped(place.json).filter(|_| self.contract == Contract::Documented);
            if let Some(kind) = mistyped.filter(|_| !written.unfit) {
                let class = &schema.class(place.class).name;
                let text = format!("expected the type {kind}");
                self.body.unfit.push(Violation::new(Fault::ClassRule, class, &shape.key, "type", text));
            }
            let stored = self.held.as_ref().map(|h| h.get(place.attr));
            let stored = stored.filter(|s| !s.is_empty() && written.is_held(schema, place.attr, s));
            let kept = stored.map_or_else(|| written.values.clone(), <[Vec<u8>]>::to_vec);
            let twice = places.iter().filter(|p| p.attr == place.attr).count() > 1;
            let at_home = future.home(place.attr, schema) == Some(place.class) && !twice;
            let own = value::own(schema, place.attr, kept.iter().map(Vec::as_slice));
            let told = !own.is_empty() && shape.read(&own, syntax) == *place.json;
            if !(at_home && told && shape.key == place.key) {
                let block = block_name(place.class, schema);
                self.keep_beside(&block, place.key, place.json);
            }
            if !kept.is_empty() && !first.iter().any(|(attr, _)| *attr == place.attr) {
                first.push((place.attr, kept));
            }
        }
        let has = |name: &str| {
            let id = schema.attr_id(name);
            let is_text =
                |json: &Value| json.is_string() || json.as_array().is_some_and(|l| l.iter().all(Value::is_string));
            first.iter().any(|(attr, _)| Some(*attr) == id)
                && places.iter().filter(|p| Some(p.attr) == id).all(|p| is_text(p.json))
        };
        self.body.missing = REQUIRED.into_iter().filter(|r| !has(r.0)).collect();
        let placed = |p: &Placed<'_>| {
            let name = schema.attribute(p.attr).name.clone();
            (name, block_name(p.class, schema), p.key.to_owned(), p.json.clone())
        };
        self.body.places = places.iter().map(placed).collect();
        self.body.attrs = first.into_iter().map(|(attr, values)| (spelled(attr, schema), values)).collect();
        self.body.beside = (!self.beside.is_empty()).then(|| Value::Object(self.beside).to_string());
        self.body
    }
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

fn unlisted(class: &str) -> Violation {
    Violation::new(Fault::ClassRule, class, "", "objectClasses", "has a block but is not listed in objectClasses")
}

/// Values that are BER go by the binary option (RFC 4522).
fn spelled(attr: AttrId, schema: &Schema) -> SmolStr {
    let attribute = schema.attribute(attr);
    match attribute.syntax.is_ber() {
        true => SmolStr::new(format!("{};binary", attribute.name)),
        false => attribute.name.clone(),
    }
}

/// The values that a fusion has put into an identity, by block and attribute.
pub fn fused(entry: &Entry) -> Map<String, Value> {
    let facts = entry.operational.facts.as_deref();
    let values = beside_blocks(facts.and_then(|f| f.beside.as_deref())).remove(FUSED);
    values.and_then(|v| v.as_object().cloned()).unwrap_or_default()
}

type Attributes = Vec<(SmolStr, Vec<Vec<u8>>)>;
type Changes = Vec<(ModKind, SmolStr, Vec<Vec<u8>>)>;

impl Body {
    /// The first value of an attribute.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.attrs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, v)| v.first()).map(Vec::as_slice)
    }

    /// Keeps an attribute out of the entry: another one has its value, which must be unique.
    pub fn hold_back(&mut self, name: &str) {
        self.attrs.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        let mut beside = beside_blocks(self.beside.as_deref());
        for (_, block, key, json) in self.places.iter().filter(|(n, ..)| n.eq_ignore_ascii_case(name)) {
            let members = beside.entry(block.clone()).or_insert_with(|| json!({}));
            if let Some(members) = members.as_object_mut() {
                members.insert(key.clone(), json.clone());
            }
        }
        let held = beside.entry(HELD).or_insert_with(|| json!([]));
        if let Some(held) = held.as_array_mut() {
            held.push(json!(name));
        }
        self.beside = Some(Value::Object(beside).to_string());
        self.unfit.push(Violation::new(Fault::ClassRule, PERSON, name, "unique", "another identity has this value"));
    }

    /// Notes the values that a fusion has put in, so that it can be taken back; nothing ends that.
    pub fn note_fused(&mut self, values: Option<Value>) {
        let mut beside = beside_blocks(self.beside.as_deref());
        match values {
            Some(values) => drop(beside.insert(FUSED.to_owned(), values)),
            None => drop(beside.remove(FUSED)),
        }
        self.beside = (!beside.is_empty()).then(|| Value::Object(beside).to_string());
    }

    /// The attributes of a new entry.
    pub fn addition(&self, schema: &Schema) -> Attributes {
        let person = schema.class(schema.known.inet_org_person);
        let mut classes: Vec<Vec<u8>> = vec![person.name.as_bytes().to_vec()];
        classes.extend(self.classes.iter().map(|c| c.as_bytes().to_vec()));
        let mut attrs = vec![(SmolStr::new_static("objectClass"), classes)];
        attrs.extend(self.attrs.iter().cloned());
        attrs
    }

    /// What makes an entry say the same as the document. Attributes that no document shows stay.
    pub fn changes(&self, entry: &Entry, schema: &Schema) -> Changes {
        let held = Held::of(entry, schema);
        let mut changes = Vec::new();
        let stored: Vec<&SmolStr> = held.classes.iter().map(|(name, _)| name).collect();
        if !super::blocks::same_names(&stored, &self.classes) {
            let auxiliary = |value: &[u8]| {
                let id = std::str::from_utf8(value).ok().and_then(|name| schema.class_id(name));
                id.is_some_and(|id| schema.class(id).kind == Kind::Auxiliary)
            };
            let mut classes: Vec<Vec<u8>> =
                entry.values(schema.known.object_class).filter(|value| !auxiliary(value)).map(<[u8]>::to_vec).collect();
            classes.extend(self.classes.iter().map(|c| c.as_bytes().to_vec()));
            changes.push((ModKind::Replace, SmolStr::new_static("objectClass"), classes));
        }
        let sent = |attr: AttrId| self.attrs.iter().find(|(name, _)| *name == spelled(attr, schema));
        for (attr, _) in held.values.iter().filter(|(attr, _)| held.home(*attr, schema).is_some()) {
            if sent(*attr).is_none() {
                changes.push((ModKind::Replace, spelled(*attr, schema), Vec::new()));
            }
        }
        // What the server has made goes with the class that allows it.
        let future: Vec<ClassId> = self.classes.iter().filter_map(|c| schema.class_id(c)).collect();
        for attr in entry.slots().iter().map(|slot| slot.desc.id).filter(|attr| value::is_made(schema, *attr)) {
            let allowed = future.iter().any(|class| schema.class(*class).allows(attr));
            if !allowed && held.get(attr).is_empty() {
                changes.push((ModKind::Replace, spelled(attr, schema), Vec::new()));
            }
        }
        for (name, values) in &self.attrs {
            let before = schema.describe(name).map(|desc| held.get(desc.id).to_vec()).unwrap_or_default();
            let own = |attr| value::own(schema, attr, values.iter().map(Vec::as_slice));
            let after = schema.attr_id(name.split(';').next().unwrap_or_default()).map(own).unwrap_or_default();
            if !value::same_set(&before, &after) {
                changes.push((ModKind::Replace, name.clone(), values.clone()));
            }
        }
        changes
    }
}
