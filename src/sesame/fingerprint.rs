//! The fingerprint by which Sesame tells an unchanged identity: SHA-256 over canonical JSON.

use super::{ADDITIONAL, PERSON, VALIDATIONS};
use serde_json::{Map, Value};
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
