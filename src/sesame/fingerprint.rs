//! The fingerprint by which Sesame tells an unchanged identity: SHA-256 over canonical JSON.

use super::{ADDITIONAL, ATTRIBUTES, Body, CLASSES, PERSON, VALIDATIONS};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Absent ones count as null, but for the two lists.
const FILLED: [&str; 16] = [
    "cn",
    "sn",
    "uid",
    "displayName",
    "employeeType",
    "facsimileTelephoneNumber",
    "givenName",
    "labeledURI",
    "mail",
    "mobile",
    "postalAddress",
    "preferredLanguage",
    "telephoneNumber",
    "title",
    "userCertificate",
    "jpegPhoto",
];

/// SHA-256 in lower hex over `{inetOrgPerson, additionalFields minus validations}`, object keys
/// sorted at every level, no blanks. Absent fields of inetOrgPerson count as null; empty lists and
/// objects vanish.
pub fn fingerprint(document: &Value) -> String {
    let part = |name: &str| document.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut person = part(PERSON);
    for name in FILLED {
        person.entry(name).or_insert(Value::Null);
    }
    let mut additional = part(ADDITIONAL);
    additional.remove(VALIDATIONS);
    let mut whole = Map::new();
    whole.insert(PERSON.to_owned(), Value::Object(person));
    whole.insert(ADDITIONAL.to_owned(), Value::Object(additional));
    let mut text = String::new();
    if let Some(kept) = without_empty(&Value::Object(whole)) {
        write(&kept, &mut text);
    }
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True if a document that was read as `body` says what the stored one does: classes that every person
/// has, and the case of the names of classes, make no difference, nor does a block that is null.
pub fn is_same(document: &Value, body: &Body, stored: &Value) -> bool {
    let mut document = document.clone();
    if let Some(additional) = document.get_mut(ADDITIONAL).and_then(Value::as_object_mut) {
        additional.insert(CLASSES.to_owned(), json!(body.classes));
        if let Some(blocks) = additional.get_mut(ATTRIBUTES).and_then(Value::as_object_mut) {
            let known = stored.get(ADDITIONAL).and_then(|a| a.get(ATTRIBUTES)).and_then(Value::as_object);
            let spelled = |name: String| {
                let held = known.into_iter().flat_map(Map::keys).find(|held| held.eq_ignore_ascii_case(&name));
                held.cloned().unwrap_or(name)
            };
            let sent = std::mem::take(blocks).into_iter();
            *blocks = sent.filter(|(_, block)| !block.is_null()).map(|(name, block)| (spelled(name), block)).collect();
        }
    }
    fingerprint(&document) == fingerprint(stored)
}

fn without_empty(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(without_empty).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.iter().filter_map(|(k, v)| Some((k.clone(), without_empty(v)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (at, (key, member)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        // JavaScript knows no difference between 1 and 1.0.
        Value::Number(number) => match number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0) {
            Some(whole) => out.push_str(&format!("{whole:.0}")),
            None => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}
