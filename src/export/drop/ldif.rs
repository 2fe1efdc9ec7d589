//! An object as change records of LDIF (RFC 2849). A document has the name in `dn` and the values in
//! `attributes`; values that are no text stand there as `{"base64": ..}`.

use super::record::Record;
use crate::{dn::Dn, entry::ldif::push_line, export::target::Document};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::collections::BTreeMap;

pub fn dn(document: &Document) -> Option<&str> {
    document.get("dn").and_then(Value::as_str)
}

/// The change records that bring a reader from what was said before to what is now; none if the
/// document names no entry.
pub fn changes(record: &Record) -> String {
    let mut out = String::new();
    match (&record.before, &record.after) {
        (None, Some(after)) => added(&mut out, after),
        (Some(before), Some(after)) => changed(&mut out, before, after),
        (Some(before), None) => {
            if let Some(name) = dn(before) {
                begin(&mut out, name, "delete");
                out.push('\n');
            }
        }
        (None, None) => {}
    }
    out
}

fn begin(out: &mut String, name: &str, kind: &str) {
    push_line(out, "dn", name.as_bytes());
    push_line(out, "changetype", kind.as_bytes());
}

fn added(out: &mut String, after: &Document) {
    let Some(name) = dn(after) else { return };
    begin(out, name, "add");
    for (attribute, values) in attributes(after) {
        values.iter().for_each(|value| push_line(out, &attribute, value));
    }
    out.push('\n');
}

fn changed(out: &mut String, before: &Document, after: &Document) {
    let (Some(old), Some(new)) = (dn(before), dn(after)) else { return };
    if old != new {
        renamed(out, old, new);
    }
    let (mut held, wanted) = (attributes(before), attributes(after));
    let mut changes = String::new();
    for (attribute, values) in &wanted {
        if held.remove(attribute).as_ref() != Some(values) {
            push_line(&mut changes, "replace", attribute.as_bytes());
            values.iter().for_each(|value| push_line(&mut changes, attribute, value));
            changes.push_str("-\n");
        }
    }
    for attribute in held.keys() {
        // A replace without values: no fault where the attribute is not there.
        push_line(&mut changes, "replace", attribute.as_bytes());
        changes.push_str("-\n");
    }
    if !changes.is_empty() {
        begin(out, new, "modify");
        out.push_str(&changes);
        out.push('\n');
    }
}

fn renamed(out: &mut String, old: &str, new: &str) {
    let (Ok(old_name), Ok(new_name)) = (Dn::parse(old), Dn::parse(new)) else { return };
    let (whole, superior) =
        (new_name.to_string(), new_name.parent().map(|parent| parent.to_string()).unwrap_or_default());
    let rdn = whole.strip_suffix(&superior).map_or(whole.as_str(), |rdn| rdn.trim_end_matches(','));
    begin(out, old, "modrdn");
    push_line(out, "newrdn", rdn.as_bytes());
    push_line(out, "deleteoldrdn", b"1");
    if old_name.parent().is_none_or(|before| before.to_string() != superior) {
        push_line(out, "newsuperior", superior.as_bytes());
    }
    out.push('\n');
}

fn attributes(document: &Document) -> BTreeMap<String, Vec<Vec<u8>>> {
    let map = document.get("attributes").and_then(Value::as_object);
    let pairs = map.into_iter().flatten().map(|(name, values)| {
        let list: Vec<&Value> = values.as_array().map_or_else(|| vec![values], |list| list.iter().collect());
        (name.clone(), list.into_iter().filter_map(octets).collect::<Vec<_>>())
    });
    pairs.filter(|(_, values)| !values.is_empty()).collect()
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Object(map) => STANDARD.decode(map.get("base64")?.as_str()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::target::Resource;
    use serde_json::json;
    use uuid::Uuid;

    fn check(before: Value, after: Value, expected: &str) {
        let read = |value| serde_json::from_value(value).unwrap();
        let record = Record {
            object: Uuid::nil(),
            resource: Resource::User,
            as_of: 1,
            before: read(before),
            after: read(after),
        };
        assert_eq!(changes(&record), expected);
    }

    #[test]
    fn changes_are_those_that_lead_from_one_to_the_other() {
        let a = json!({"dn": "uid=a,dc=x", "attributes": {"cn": ["A"], "mail": ["a@x", "b@x"], "photo": [{"base64": "AAE="}]}});
        let b = json!({"dn": "uid=b,ou=p,dc=x", "attributes": {"cn": ["B"], "mail": ["a@x", "b@x"]}});
        let added = "dn: uid=a,dc=x\nchangetype: add\ncn: A\nmail: a@x\nmail: b@x\nphoto:: AAE=\n\n";
        check(json!(null), a.clone(), added);
        check(
            a.clone(),
            b,
            "dn: uid=a,dc=x\nchangetype: modrdn\nnewrdn: uid=b\ndeleteoldrdn: 1\nnewsuperior: ou=p,dc=x\n\n\
             dn: uid=b,ou=p,dc=x\nchangetype: modify\nreplace: cn\ncn: B\n-\nreplace: photo\n-\n\n",
        );
        check(a.clone(), a.clone(), "");
        check(a, json!(null), "dn: uid=a,dc=x\nchangetype: delete\n\n");
    }
}
