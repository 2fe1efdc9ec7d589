//! A document on the way: what the lines of a map give is put in place one after the other.

use super::path::{Inner, Path};
use crate::export::target::{Document, canonical};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::HashSet;

/// What one line gives.
pub enum Given {
    /// One value, the same in each element of a list.
    One(Option<Value>),
    /// One for each element.
    Many(Vec<Value>),
    /// Says nothing of the entry: alone it makes no element beside other lines.
    Constant(Value),
}

#[derive(Default)]
pub struct Sheet {
    document: Document,
    lists: Vec<List>,
}

/// The elements of a list that share what stands in brackets.
struct List {
    extension: Option<SmolStr>,
    name: SmolStr,
    of: Option<(SmolStr, SmolStr)>,
    columns: Vec<(SmolStr, Given)>,
}

impl Sheet {
    /// One that is filled already.
    pub fn of(document: Document) -> Self {
        Sheet { document, lists: Vec::new() }
    }

    pub fn put(&mut self, path: &Path, given: Given) {
        match &path.inner {
            Inner::Whole => {
                let Some(value) = given.whole() else { return };
                self.write(path, |top| drop(top.insert(path.name.to_string(), value)));
            }
            Inner::Part(sub) => {
                let Some(value) = given.whole() else { return };
                self.write(path, |top| {
                    let place = top.entry(path.name.to_string());
                    if let Value::Object(map) = place.or_insert_with(|| Value::Object(Document::new())) {
                        map.insert(sub.to_string(), value);
                    }
                });
            }
            Inner::Element { of, sub } => {
                let is_here = |l: &&mut List| l.extension == path.extension && l.name == path.name && l.of == *of;
                match self.lists.iter_mut().find(is_here) {
                    Some(list) => list.columns.push((sub.clone(), given)),
                    None => self.lists.push(List {
                        extension: path.extension.clone(),
                        name: path.name.clone(),
                        of: of.clone(),
                        columns: vec![(sub.clone(), given)],
                    }),
                }
            }
        }
    }

    fn write(&mut self, path: &Path, write: impl FnOnce(&mut Document)) {
        in_top(&mut self.document, path.extension.as_ref(), write);
    }

    pub fn finish(self) -> Document {
        let Sheet { mut document, lists } = self;
        for list in lists {
            let elements = list.elements();
            if elements.is_empty() {
                continue;
            }
            in_top(&mut document, list.extension.as_ref(), |top| {
                let place = top.entry(list.name.to_string());
                if let Value::Array(held) = place.or_insert_with(|| Value::Array(Vec::new())) {
                    add(held, elements);
                }
            });
        }
        document
    }
}

/// Runs with the part of the document that a path without its extension speaks of.
fn in_top(document: &mut Document, extension: Option<&SmolStr>, write: impl FnOnce(&mut Document)) {
    let Some(urn) = extension else { return write(document) };
    if let Value::Object(map) = document.entry(urn.to_string()).or_insert_with(|| Value::Object(Document::new())) {
        write(map);
    }
}

/// An element is not repeated, and at most one is primary (RFC 7643 section 2.4).
fn add(held: &mut Vec<Value>, elements: Vec<Document>) {
    let is_primary = |element: &Value| element.get(PRIMARY) == Some(&Value::Bool(true));
    let mut has_primary = held.iter().any(is_primary);
    let mut known: HashSet<String> = held.iter().filter_map(Value::as_object).map(identity).collect();
    for mut element in elements {
        if element.get(PRIMARY) == Some(&Value::Bool(true)) && std::mem::replace(&mut has_primary, true) {
            element.remove(PRIMARY);
        }
        if known.insert(identity(&element)) {
            held.push(Value::Object(element));
        }
    }
}

/// All of an element but whether it is the primary one.
fn identity(element: &Document) -> String {
    let mut bare = element.clone();
    bare.remove(PRIMARY);
    canonical(&bare)
}

const PRIMARY: &str = "primary";

impl Given {
    /// An empty list is the same as none (RFC 7643 section 2.5).
    fn whole(self) -> Option<Value> {
        match self {
            Given::One(value) => value,
            Given::Constant(value) => Some(value),
            Given::Many(values) => (!values.is_empty()).then_some(Value::Array(values)),
        }
    }

    fn at(&self, index: usize) -> Option<&Value> {
        match self {
            Given::One(value) => value.as_ref(),
            Given::Constant(value) => Some(value),
            Given::Many(values) => values.get(index),
        }
    }
}

impl List {
    /// As many as the longest of the lists in it; without a list one, if there is anything to say.
    fn elements(&self) -> Vec<Document> {
        let mut many = None;
        let mut one = None;
        for (_, given) in &self.columns {
            match given {
                Given::Many(values) => many = many.max(Some(values.len())),
                Given::One(value) => one = one.max(Some(usize::from(value.is_some()))),
                Given::Constant(_) => {}
            }
        }
        let count = many.or(one).unwrap_or(1);
        (0..count).map(|index| self.element(index)).collect()
    }

    fn element(&self, index: usize) -> Document {
        let mut element = Document::new();
        for (sub, given) in &self.columns {
            if let Some(value) = given.at(index) {
                element.insert(sub.to_string(), value.clone());
            }
        }
        if let Some((key, value)) = &self.of {
            element.insert(key.to_string(), Value::from(value.as_str()));
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(lines: Vec<(&str, Given)>, expected: Value) {
        let mut sheet = Sheet::default();
        for (path, given) in lines {
            sheet.put(&Path::parse(path).unwrap(), given);
        }
        assert_eq!(Value::Object(sheet.finish()), expected);
    }

    fn one(text: &str) -> Given {
        Given::One(Some(json!(text)))
    }

    #[test]
    fn values_find_their_places() {
        check(
            vec![
                ("title", one("t")),
                ("name.givenName", one("g")),
                ("name.familyName", one("f")),
                ("urn:x:2.0:User:manager.value", one("7")),
                ("tags", Given::Many(vec![json!("a"), json!("b")])),
                ("none", Given::Many(vec![])),
                ("gone.at", Given::One(None)),
            ],
            json!({"title": "t", "name": {"givenName": "g", "familyName": "f"},
                "urn:x:2.0:User": {"manager": {"value": "7"}}, "tags": ["a", "b"]}),
        );
    }

    #[test]
    fn elements_share_what_is_in_brackets() {
        check(
            vec![
                ("emails[type eq \"work\"].value", one("a@x")),
                ("emails[type eq \"work\"].primary", Given::Constant(json!(true))),
                ("emails[type eq \"other\"].value", Given::Many(vec![json!("b@x"), json!("b@x"), json!("c@x")])),
                ("roles[].value", Given::Many(vec![json!("r")])),
                ("units[].code", Given::Many(vec![json!("1"), json!("2")])),
                ("units[].kind", one("k")),
            ],
            json!({
                "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "other"},
                    {"value": "c@x", "type": "other"}],
                "roles": [{"value": "r"}],
                "units": [{"code": "1", "kind": "k"}, {"code": "2", "kind": "k"}],
            }),
        );
    }

    #[test]
    fn constants_make_no_element_beside_what_is_absent() {
        check(
            vec![
                ("emails[type eq \"work\"].value", Given::One(None)),
                ("emails[type eq \"work\"].primary", Given::Constant(json!(true))),
                ("roles[].value", Given::Constant(json!("member"))),
            ],
            json!({"roles": [{"value": "member"}]}),
        );
    }

    #[test]
    fn one_element_is_primary() {
        check(
            vec![
                ("emails[].value", Given::Many(vec![json!("a"), json!("b")])),
                ("emails[].primary", Given::Constant(json!(true))),
            ],
            json!({"emails": [{"value": "a", "primary": true}, {"value": "b"}]}),
        );
    }
}
