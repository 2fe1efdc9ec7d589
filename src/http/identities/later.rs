//! What the later contract (2025) makes of a document before it is judged: names that are computed,
//! the type LOCAL with its numbers, values brought to the type that the rules ask for.

use crate::{
    directory::Snapshot,
    schema::{ClassId, Schema, ValueType},
    sesame::{ADDITIONAL, ATTRIBUTES, CLASSES, PERSON},
};
use serde_json::{Map, Number, Value, json};

const LOCAL: &str = "LOCAL";

pub fn complete(document: &mut Value, snapshot: &Snapshot) {
    without_null(document);
    let schema = &snapshot.schema;
    if let Some(person) = document.get_mut(PERSON).and_then(Value::as_object_mut) {
        complete_person(person, snapshot);
        coerce(person, schema.known.inet_org_person, schema);
    }
    let Some(additional) = document.get_mut(ADDITIONAL).and_then(Value::as_object_mut) else { return };
    let classes: Vec<String> = match additional.get(CLASSES) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let blocks = additional.entry(ATTRIBUTES).or_insert_with(|| json!({}));
    let Some(blocks) = blocks.as_object_mut() else { return };
    for name in classes {
        let id = schema.class_id(&name);
        let present = blocks.keys().any(|key| schema.class_id(key) == id && id.is_some());
        if !present && id.is_some() {
            blocks.insert(name, json!({}));
        }
    }
    for (name, block) in blocks.iter_mut() {
        if let (Some(id), Some(block)) = (schema.class_id(name), block.as_object_mut()) {
            coerce(block, id, schema);
        }
    }
}

/// null anywhere is an empty string.
fn without_null(value: &mut Value) {
    match value {
        Value::Null => *value = json!(""),
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(members) => members.values_mut().for_each(without_null),
        _ => {}
    }
}

fn complete_person(person: &mut Map<String, Value>, snapshot: &Snapshot) {
    let text = |person: &Map<String, Value>, name: &str| {
        person.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    if text(person, "employeeType").is_none() {
        person.insert("employeeType".to_owned(), json!(LOCAL));
    }
    let numbered = person.get("employeeNumber").is_some_and(|n| match n {
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
    if !numbered && text(person, "employeeType").as_deref() == Some(LOCAL) {
        person.insert("employeeNumber".to_owned(), json!([next_number(snapshot).to_string()]));
    }
    let (sn, given) = (text(person, "sn"), text(person, "givenName"));
    if let Some(sn) = sn.map(|sn| sn.to_uppercase()) {
        let join = |parts: [Option<&str>; 2]| parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if text(person, "cn").is_none() {
            person.insert("cn".to_owned(), json!(join([Some(&sn), given.as_deref()])));
        }
        if text(person, "displayName").is_none() {
            person.insert("displayName".to_owned(), json!(join([given.as_deref(), Some(&sn)])));
        }
    }
}

/// One more than the highest number of a LOCAL identity, deleted ones included.
fn next_number(snapshot: &Snapshot) -> u64 {
    let schema = &snapshot.schema;
    let (Some(kind), Some(number)) = (schema.attr_id("employeeType"), schema.attr_id("employeeNumber")) else {
        return 1;
    };
    let local = snapshot
        .walk()
        .chain(snapshot.deleted())
        .filter(|node| node.entry.text(kind).is_some_and(|held| held.eq_ignore_ascii_case(LOCAL)));
    local.filter_map(|node| node.entry.text(number)?.parse::<u64>().ok()).max().unwrap_or(0).saturating_add(1)
}

/// Brings values to the type of the rules as far as that is possible.
fn coerce(block: &mut Map<String, Value>, class: ClassId, schema: &Schema) {
    let rules = schema.rules();
    let Some(rule) = rules.of(class) else { return };
    for (key, value) in block.iter_mut() {
        let Some(attr) = schema.attr_id(key) else { continue };
        let Some(property) = rule.properties.iter().find(|p| p.attr == attr) else { continue };
        if property.kind == ValueType::Array {
            if !value.is_array() {
                let one = value.take();
                *value = if one == json!("") { json!([]) } else { json!([one]) };
            }
            value.as_array_mut().into_iter().flatten().for_each(|item| scalar(item, property.items));
        } else {
            scalar(value, property.kind);
        }
    }
}

fn scalar(value: &mut Value, kind: ValueType) {
    match (kind, &*value) {
        (ValueType::Integer | ValueType::Number, Value::String(text)) if !text.is_empty() => {
            *value = Value::Number(leading_number(text));
        }
        (ValueType::String, Value::Number(number)) => *value = json!(number.to_string()),
        (ValueType::String, Value::Bool(flag)) => *value = json!(flag.to_string()),
        _ => {}
    }
}

/// As JavaScript's parseFloat, with 0 for what is no number.
fn leading_number(text: &str) -> Number {
    let text = text.trim();
    let longest = (1..=text.len()).rev().filter_map(|end| text.get(..end)).find_map(|head| {
        let whole = head.parse::<i64>().ok().map(Number::from);
        whole.or_else(|| head.parse::<f64>().ok().filter(|n| n.is_finite()).and_then(Number::from_f64))
    });
    longest.unwrap_or_else(|| Number::from(0))
}
