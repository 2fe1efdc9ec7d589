//! Sesame's form of an identity: the JSON document that its HTTP contract, its lifecycle rules and
//! its importers speak of, made from an entry, and the way back.
//!
//! What a document says and an LDAP entry cannot hold or cannot tell apart (a list of employee
//! numbers, an empty string, an undeclared attribute, a key in another case) stands beside the
//! entry, in [`crate::entry::Facts::beside`], and is put in again as long as the entry itself still
//! says the same.

mod blocks;
mod body;
mod fingerprint;
mod value;

pub use blocks::says_more;
pub use body::{Body, Contract, Requirement, fused, read};
pub use fingerprint::{fingerprint, is_same};

use crate::{
    clock::Timestamp,
    entry::{Entry, Facts, Operational},
    schema::Schema,
};
use blocks::Held;
use serde_json::{Map, Value, json};

pub const PERSON: &str = "inetOrgPerson";
pub const ADDITIONAL: &str = "additionalFields";
pub const CLASSES: &str = "objectClasses";
pub const ATTRIBUTES: &str = "attributes";
pub const VALIDATIONS: &str = "validations";

/// The whole identity. What is absent is absent, but for the axes, the marks and the two blocks.
pub fn document(entry: &Entry, schema: &Schema) -> Value {
    let mut document = unsigned(entry, schema);
    let fingerprint = fingerprint(&document);
    if let Some(members) = document.as_object_mut() {
        members.insert("fingerprint".to_owned(), Value::String(fingerprint));
    }
    document
}

/// The same but for the fingerprint.
pub fn unsigned(entry: &Entry, schema: &Schema) -> Value {
    let operational = &entry.operational;
    let none = Facts::default();
    let facts = operational.facts.as_deref().unwrap_or(&none);
    let held = Held::of(entry, schema);
    let (person, classes) = held.blocks(facts.beside.as_deref(), schema);
    let mut additional = Map::new();
    additional.insert(CLASSES.to_owned(), held.class_names(facts.beside.as_deref()));
    additional.insert(ATTRIBUTES.to_owned(), Value::Object(classes));
    if !operational.missing.is_empty() {
        additional.insert(VALIDATIONS.to_owned(), validations(&operational.missing));
    }
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    put("_id", json!(entry.uuid));
    if let Some(axes) = operational.axes {
        put("state", json!(axes.state));
        put("lifecycle", json!(axes.lifecycle));
        put("dataStatus", json!(axes.data_status));
        put("initState", json!(axes.init_state));
    }
    put(PERSON, Value::Object(person));
    put(ADDITIONAL, Value::Object(additional));
    put("deletedFlag", json!(facts.deleted.is_some()));
    put("ignoreLifecycle", json!(facts.ignore_lifecycle));
    put("ignoreFusion", json!(facts.ignore_fusion));
    let mut time = |name: &str, at: Option<Timestamp>| at.map(|at| put(name, json!(at.rfc3339())));
    time("lastSync", facts.seen);
    time("lastBackendSync", operational.synced);
    time("lastLifecycleUpdate", facts.lifecycle_changed);
    rest(&mut document, operational, facts);
    Value::Object(document)
}

fn rest(document: &mut Map<String, Value>, operational: &Operational, facts: &Facts) {
    let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    let init: Map<String, Value> = [("initDate", facts.init_date), ("sentDate", facts.sent_date)]
        .into_iter()
        .filter_map(|(name, at)| Some((name.to_owned(), json!(at?.rfc3339()))))
        .collect();
    put("initInfo", Value::Object(init));
    if let Some(number) = &facts.primary_employee_number {
        put("primaryEmployeeNumber", json!(number));
    }
    if let Some(uuid) = facts.fused_from {
        put("srcFusionId", json!(uuid));
    }
    if let Some(uuid) = facts.fused_into {
        put("destFusionId", json!(uuid));
    }
    let custom = facts.custom_fields.as_deref().and_then(|text| serde_json::from_str(text).ok());
    put("customFields", custom.unwrap_or_else(|| json!({})));
    put(
        "metadata",
        json!({
            "createdBy": operational.creator,
            "createdAt": operational.created.rfc3339(),
            "lastUpdatedBy": operational.modifier,
            "lastUpdatedAt": operational.modified.rfc3339(),
        }),
    );
}

/// `{class: {attribute: text}}` of violations that are kept as text.
fn validations(missing: &[String]) -> Value {
    let mut classes: Map<String, Value> = Map::new();
    for line in missing {
        let (place, text) = line.split_once("): ").unwrap_or(("", line));
        let place = place.rsplit_once(" (").map_or(place, |(place, _)| place);
        let (class, attr) = place.split_once('.').unwrap_or((place, ""));
        let attributes = classes.entry(class.to_owned()).or_insert_with(|| json!({}));
        if let Some(attributes) = attributes.as_object_mut() {
            attributes.entry(attr.to_owned()).or_insert_with(|| json!(text));
        }
    }
    Value::Object(classes)
}

#[cfg(test)]
mod tests;
