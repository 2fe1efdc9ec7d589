//! What a repair takes from the target into the directory: the attributes whose direction says so
//! (IDHub: syncDirection). Values of the target become values of the entry by an ordinary update.

use crate::{
    access::Identity,
    directory::{Node, Op, Terms, Update},
    dn::Dn,
    entry::ModKind,
    export::{
        mapping::{Direction, Inner, Mapping, Path},
        target::{Document, Resource},
    },
    schema::Schema,
};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes, and the values that the target has for them.
pub type Pull = BTreeMap<SmolStr, Vec<String>>;

/// What of the target's object the entry should have and has not. A place without a value says nothing:
/// many targets leave out what they do not show.
pub fn pulled(mapping: &Mapping, resource: Resource, node: &Node, schema: &Schema, remote: &Document) -> Pull {
    let mut pull = Pull::new();
    for line in mapping.lines(resource).filter(|line| line.direction.pulls()) {
        let wanted = values(remote, &line.path);
        let Some(attribute) = line.attribute().filter(|_| !wanted.is_empty()) else { continue };
        let Some(id) = schema.attr_id(attribute).filter(|id| !schema.is_secret(*id)) else { continue };
        let held: BTreeSet<&[u8]> = node.entry.values(id).collect();
        let kept = line.direction == Direction::Both && !held.is_empty();
        if !kept && held != wanted.iter().map(String::as_bytes).collect() {
            pull.insert(attribute.clone(), wanted);
        }
    }
    pull
}

/// The values at a place of a document, in its order.
fn values(document: &Document, path: &Path) -> Vec<String> {
    let from = match &path.extension {
        None => Some(document),
        Some(urn) => document.get(urn.as_str()).and_then(Value::as_object),
    };
    let Some(held) = from.and_then(|from| from.get(path.name.as_str())) else { return Vec::new() };
    let found: Vec<&Value> = match &path.inner {
        Inner::Whole => match held {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        },
        Inner::Part(sub) => held.get(sub.as_str()).into_iter().collect(),
        Inner::Element { of, sub } => {
            let fits = |element: &&Value| {
                let is =
                    |key: &SmolStr, value: &SmolStr| element.get(key.as_str()).and_then(Value::as_str) == Some(value);
                of.as_ref().is_none_or(|(key, value)| is(key, value))
            };
            let elements = held.as_array().into_iter().flatten().filter(fits);
            elements.filter_map(|element| element.get(sub.as_str())).collect()
        }
    };
    found.into_iter().filter_map(text).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("TRUE".to_owned()),
        Value::Bool(false) => Some("FALSE".to_owned()),
        _ => None,
    }
}

/// The update that writes it, if the entry is still as it was when it was looked at.
pub fn update(target: &str, dn: Dn, pull: &Pull, as_of: u64) -> Update {
    let change = |(attribute, values): (&SmolStr, &Vec<String>)| {
        (ModKind::Replace, attribute.clone(), values.iter().map(|value| value.clone().into_bytes()).collect())
    };
    Update {
        identity: Identity::Server,
        op: Op::Modify { dn, changes: pull.iter().map(change).collect() },
        terms: Terms { why: format!("reconciliation of {target}").into(), as_of: Some(as_of), ..Terms::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_by_their_place() {
        let document: Document = serde_json::from_value(json!({
            "title": "t", "nickName": " ", "active": false, "name": {"givenName": "g"}, "tags": ["a", "b"],
            "emails": [{"type": "home", "value": "h"}, {"type": "work", "value": "w"}],
            "urn:x:2.0:User": {"division": "d", "floor": 3},
        }))
        .unwrap();
        for (path, expected) in [
            ("title", vec!["t"]),
            ("nickName", vec![]),
            ("active", vec!["FALSE"]),
            ("name.givenName", vec!["g"]),
            ("name.familyName", vec![]),
            ("tags", vec!["a", "b"]),
            ("emails[type eq \"work\"].value", vec!["w"]),
            ("emails[].value", vec!["h", "w"]),
            ("urn:x:2.0:User:division", vec!["d"]),
            ("urn:x:2.0:User:floor", vec!["3"]),
            ("urn:y:2.0:User:floor", vec![]),
        ] {
            assert_eq!(values(&document, &Path::parse(path).unwrap()), expected, "{path}");
        }
    }
}
