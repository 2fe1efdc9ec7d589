//! From one document to the next as PATCH operations (RFC 7644 section 3.5.2), or merged into
//! what the target holds for a PUT. Operations are in small letters and of the plainest forms.

use crate::export::{
    mapping::ENTERPRISE,
    target::{Document, canonical},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One PATCH request, and the document that the target holds after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub operations: Vec<Value>,
    pub reached: Document,
}

/// The requests that turn `before` into `after`, none if they are equal. Members are sent at most
/// `chunk` at a time: large lists are where targets break.
pub fn steps(before: &Document, after: &Document, chunk: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut reached = after.clone();
    set_members(&mut reached, members(before));
    let operations = attributes(before, after);
    if !operations.is_empty() {
        steps.push(Step { operations, reached: reached.clone() });
    }
    let (old, new) = (members(before), members(after));
    let mut now = old.clone();
    let gone: Vec<&String> = old.difference(&new).collect();
    for part in gone.chunks(chunk.max(1)) {
        now.retain(|id| !part.contains(&id));
        set_members(&mut reached, now.clone());
        steps.push(Step { operations: part.iter().map(|id| remove_member(id)).collect(), reached: reached.clone() });
    }
    let come: Vec<&String> = new.difference(&old).collect();
    for part in come.chunks(chunk.max(1)) {
        now.extend(part.iter().map(|id| (*id).clone()));
        set_members(&mut reached, now.clone());
        let value: Vec<Value> = part.iter().map(|id| json!({ "value": id })).collect();
        let operations = vec![json!({ "op": "add", "path": "members", "value": value })];
        steps.push(Step { operations, reached: reached.clone() });
    }
    steps
}

/// A bare `members` path would remove all of them (RFC 7644 section 3.5.2.2).
fn remove_member(id: &str) -> Value {
    json!({ "op": "remove", "path": format!("members[value eq {}]", Value::from(id)) })
}

fn attributes(before: &Document, after: &Document) -> Vec<Value> {
    let mut operations = Vec::new();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            _ if matches!(name.as_str(), "schemas" | "members") => {}
            (old, new) if same(old, new) => {}
            (Some(Value::Object(old)), Some(Value::Object(new))) => parts(name, old, new, &mut operations),
            // The extension is no attribute: what is in it has paths, it has none.
            (None, Some(Value::Object(new))) if name == ENTERPRISE => {
                parts(name, &Document::new(), new, &mut operations);
            }
            (Some(Value::Object(old)), None) if name == ENTERPRISE => {
                parts(name, old, &Document::new(), &mut operations);
            }
            (_, Some(new)) => operations.push(json!({ "op": "replace", "path": name, "value": new })),
            (_, None) => operations.push(json!({ "op": "remove", "path": name })),
        }
    }
    operations
}

/// The sub-attributes of `name` one by one: a replace of the whole would leave those that it does
/// not mention (RFC 7644 section 3.5.2.3).
fn parts(name: &str, old: &Document, new: &Document, operations: &mut Vec<Value>) {
    let separator = if name == ENTERPRISE { ':' } else { '.' };
    let subs: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for sub in subs {
        let path = format!("{name}{separator}{sub}");
        match (old.get(sub), new.get(sub)) {
            (old, new) if same(old, new) => {}
            (_, Some(value)) => operations.push(json!({ "op": "replace", "path": path, "value": value })),
            (_, None) => operations.push(json!({ "op": "remove", "path": path })),
        }
    }
}

/// Lists are sets: a target may give them back in any order (RFC 7643 section 2.4).
fn same(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(Value::Array(old)), Some(Value::Array(new))) => sorted(old) == sorted(new),
        (old, new) => old == new,
    }
}

fn sorted(list: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Object(map) => canonical(map),
        other => other.to_string(),
    };
    let mut texts: Vec<String> = list.iter().map(text).collect();
    texts.sort();
    texts
}

fn members(document: &Document) -> BTreeSet<String> {
    let list = document.get("members").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|m| m.get("value")?.as_str()).map(str::to_owned).collect()
}

fn set_members(document: &mut Document, members: BTreeSet<String>) {
    if members.is_empty() {
        document.remove("members");
    } else {
        let list = members.into_iter().map(|id| json!({ "value": id })).collect();
        document.insert("members".to_owned(), Value::Array(list));
    }
}

/// A group with its first members only, for a create; the others are added afterwards.
pub fn first_members(document: &Document, chunk: usize) -> Document {
    let mut first = document.clone();
    set_members(&mut first, members(document).into_iter().take(chunk.max(1)).collect());
    first
}

/// What the target holds, with all that is ours replaced: a PUT clears what it leaves out
/// (RFC 7644 section 3.5.1), so the target's own attributes are sent back to it.
pub fn merge(remote: &Document, before: &Document, after: &Document) -> Document {
    let mut out = remote.clone();
    for name in ["meta", "groups"] {
        out.remove(name);
    }
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names.into_iter().filter(|name| *name != "schemas") {
        match (out.get_mut(name), after.get(name)) {
            (Some(Value::Object(held)), new) if matches!(name.as_str(), "name" | ENTERPRISE) => {
                let empty = Document::new();
                let new = new.and_then(Value::as_object).unwrap_or(&empty);
                let old = before.get(name).and_then(Value::as_object).unwrap_or(&empty);
                old.keys().for_each(|sub| drop(held.remove(sub)));
                new.iter().for_each(|(sub, value)| drop(held.insert(sub.clone(), value.clone())));
                if held.is_empty() {
                    out.remove(name);
                }
            }
            (_, Some(new)) => drop(out.insert(name.clone(), new.clone())),
            (_, None) => drop(out.remove(name)),
        }
    }
    let mut schemas: Vec<Value> = Vec::new();
    for list in [remote, after].map(|d| d.get("schemas").and_then(Value::as_array)) {
        for schema in list.into_iter().flatten() {
            if !schemas.contains(schema) {
                schemas.push(schema.clone());
            }
        }
    }
    out.insert("schemas".to_owned(), Value::Array(schemas));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn check(before: Value, after: Value, expected: Value) {
        let (before, after) = (doc(before), doc(after));
        let steps = steps(&before, &after, 2);
        let operations: Vec<&Vec<Value>> = steps.iter().map(|s| &s.operations).collect();
        assert_eq!(json!(operations), expected);
        if let Some(last) = steps.last() {
            assert_eq!(last.reached, after);
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        check(json!({"a": 1, "schemas": ["x"]}), json!({"a": 1, "schemas": ["x"]}), json!([]));
        check(
            json!({"title": "t", "userName": "a", "name": {"familyName": "A", "honorificPrefix": "M."}}),
            json!({"userName": "b", "name": {"familyName": "B"}, "emails": [{"value": "e"}]}),
            json!([[
                {"op": "replace", "path": "emails", "value": [{"value": "e"}]},
                {"op": "replace", "path": "name.familyName", "value": "B"},
                {"op": "remove", "path": "name.honorificPrefix"},
                {"op": "remove", "path": "title"},
                {"op": "replace", "path": "userName", "value": "b"},
            ]]),
        );
        check(
            json!({"emails": [{"value": "1"}, {"value": "2"}]}),
            json!({"emails": [{"value": "2"}, {"value": "1"}]}),
            json!([]),
        );
    }

    #[test]
    fn the_extension_goes_by_its_parts() {
        check(
            json!({}),
            json!({ENTERPRISE: {"division": "d", "manager": {"value": "7"}}}),
            json!([[
                {"op": "replace", "path": format!("{ENTERPRISE}:division"), "value": "d"},
                {"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "7"}},
            ]]),
        );
        check(
            json!({ENTERPRISE: {"division": "d"}}),
            json!({}),
            json!([[{"op": "remove", "path": format!("{ENTERPRISE}:division")}]]),
        );
    }

    #[test]
    fn members_come_and_go_in_chunks() {
        let m = |ids: &[&str]| ids.iter().map(|i| json!({"value": i})).collect::<Vec<_>>();
        check(
            json!({"displayName": "g", "members": m(&["1", "2", "3", "4"])}),
            json!({"displayName": "h", "members": m(&["4", "5", "6", "7"])}),
            json!([
                [{"op": "replace", "path": "displayName", "value": "h"}],
                [{"op": "remove", "path": "members[value eq \"1\"]"}, {"op": "remove", "path": "members[value eq \"2\"]"}],
                [{"op": "remove", "path": "members[value eq \"3\"]"}],
                [{"op": "add", "path": "members", "value": m(&["5", "6"])}],
                [{"op": "add", "path": "members", "value": m(&["7"])}],
            ]),
        );
        check(
            json!({"members": m(&["a\"b"])}),
            json!({}),
            json!([[{"op": "remove", "path": "members[value eq \"a\\\"b\"]"}]]),
        );
    }

    #[test]
    fn a_merge_keeps_what_is_not_ours() {
        let merged = merge(
            &doc(json!({"id": "1", "meta": {}, "locale": "fr", "title": "t", "schemas": ["u", "x"],
                "name": {"familyName": "A", "middleName": "m", "givenName": "g"}})),
            &doc(json!({"title": "t", "name": {"familyName": "A", "givenName": "g"}})),
            &doc(json!({"schemas": ["u", "y"], "userName": "a", "name": {"familyName": "B"}})),
        );
        let expected = doc(json!({"id": "1", "locale": "fr", "schemas": ["u", "x", "y"], "userName": "a",
            "name": {"familyName": "B", "middleName": "m"}}));
        assert_eq!(merged, expected);
    }
}
