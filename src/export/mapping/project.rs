//! The part of a target's own object that a map answers for: what an adopted object is compared by.
//! All else in it belongs to the target and is left alone.

use super::{
    path::{Inner, Path},
    sheet::{Given, Sheet},
};
use crate::export::target::Document;
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What of one name is ours.
#[derive(Default)]
struct Ours<'p> {
    whole: bool,
    parts: Vec<&'p SmolStr>,
    elements: Vec<&'p SmolStr>,
}

/// What stands at these paths, in the form that a map gives it.
pub fn project<'p>(remote: &Document, paths: impl Iterator<Item = &'p Path>) -> Document {
    let mut ours: BTreeMap<(Option<&str>, &str), Ours<'p>> = BTreeMap::new();
    for path in paths {
        let place = ours.entry((path.extension.as_deref(), path.name.as_str())).or_default();
        match &path.inner {
            Inner::Whole => place.whole = true,
            Inner::Part(sub) => place.parts.push(sub),
            Inner::Element { of, sub } => {
                place.elements.push(sub);
                place.elements.extend(of.iter().map(|(key, _)| key));
            }
        }
    }
    let mut out = Document::new();
    for ((extension, name), ours) in ours {
        let from = match extension {
            None => Some(remote),
            Some(urn) => remote.get(urn).and_then(Value::as_object),
        };
        let Some(value) = from.and_then(|from| from.get(name)).and_then(|held| ours.of(held)) else { continue };
        match extension {
            None => drop(out.insert(name.to_owned(), value)),
            Some(urn) => {
                let place = out.entry(urn).or_insert_with(|| Value::Object(Document::new()));
                if let Value::Object(map) = place {
                    map.insert(name.to_owned(), value);
                }
            }
        }
    }
    out
}

impl Ours<'_> {
    fn of(&self, held: &Value) -> Option<Value> {
        match held {
            Value::Null => None,
            value if self.whole => Some(value.clone()),
            Value::Object(map) => kept(map, &self.parts),
            Value::Array(list) => {
                let list: Vec<Value> = list.iter().filter_map(|e| kept(e.as_object()?, &self.elements)).collect();
                (!list.is_empty()).then_some(Value::Array(list))
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
}

fn kept(held: &Document, names: &[&SmolStr]) -> Option<Value> {
    let mut out = Document::new();
    for name in names {
        match held.get(name.as_str()) {
            None | Some(Value::Null) => {}
            // A server may spell out what is not primary.
            Some(Value::Bool(false)) if *name == "primary" => {}
            Some(value) => drop(out.insert(name.to_string(), value.clone())),
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// Puts a value at one path, but into no list.
pub fn put(document: &mut Document, path: &Path, value: Value) {
    let mut sheet = Sheet::of(std::mem::take(document));
    sheet.put(path, Given::One(Some(value)));
    *document = sheet.finish();
}

/// Puts at one path what another document has there, or nothing.
pub fn replace(document: &mut Document, from: &Document, path: &Path) {
    let (place, from) = match &path.extension {
        None => (Some(document), Some(from)),
        Some(urn) => (
            document.get_mut(urn.as_str()).and_then(Value::as_object_mut),
            from.get(urn.as_str()).and_then(Value::as_object),
        ),
    };
    let (place, from, name) = match &path.inner {
        Inner::Whole => (place, from, &path.name),
        Inner::Part(sub) | Inner::Element { sub, .. } => (
            place.and_then(|p| p.get_mut(path.name.as_str())).and_then(Value::as_object_mut),
            from.and_then(|f| f.get(path.name.as_str())).and_then(Value::as_object),
            sub,
        ),
    };
    let Some(place) = place else { return };
    match from.and_then(|from| from.get(name.as_str())) {
        Some(value) => drop(place.insert(name.to_string(), value.clone())),
        None => drop(place.remove(name.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn paths(texts: &[&str]) -> Vec<Path> {
        texts.iter().map(|text| Path::parse(text).unwrap()).collect()
    }

    #[test]
    fn what_the_target_adds_is_not_ours() {
        let ours = paths(&[
            "userName",
            "active",
            "title",
            "name.familyName",
            "emails[type eq \"work\"].value",
            "emails[type eq \"work\"].primary",
            "members[].value",
            "urn:x:2.0:User:division",
            "urn:x:2.0:User:manager.value",
        ]);
        let remote = doc(json!({
            "id": "1", "meta": {}, "userName": "a", "active": true, "title": null, "locale": "fr",
            "name": {"familyName": "A", "middleName": "m"},
            "emails": [{"value": "a@x", "type": "work", "primary": false, "display": "a"}],
            "members": [{"value": "1", "$ref": "x", "type": "User"}],
            "urn:x:2.0:User": {"division": "d", "costCenter": "c", "manager": {"value": "7", "displayName": "Boss"}},
        }));
        let expected = doc(json!({
            "userName": "a", "active": true, "name": {"familyName": "A"},
            "emails": [{"value": "a@x", "type": "work"}],
            "members": [{"value": "1"}],
            "urn:x:2.0:User": {"division": "d", "manager": {"value": "7"}},
        }));
        assert_eq!(project(&remote, ours.iter()), expected);
    }

    #[test]
    fn what_was_sent_once_stays() {
        let mut document = doc(json!({"title": "new", "name": {"givenName": "new"}, "urn:x:U": {"code": "new"}}));
        let sent = doc(json!({"title": "old", "name": {}, "urn:x:U": {"code": "old"}}));
        for path in paths(&["title", "name.givenName", "urn:x:U:code", "urn:y:U:code"]) {
            replace(&mut document, &sent, &path);
        }
        assert_eq!(document, doc(json!({"title": "old", "name": {}, "urn:x:U": {"code": "old"}})));
    }
}
