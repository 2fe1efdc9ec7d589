//! From one document to the next as PATCH operations (RFC 7644 section 3.5.2), or merged into
//! what the target holds for a PUT. Operations are in small letters and of the plainest forms.

use super::{
    profile::{PatchForm, Removal},
    shape::is_extension,
};
use crate::export::target::{Document, canonical};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// In which form a server takes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub patch: PatchForm,
    pub members: Removal,
    /// Members in one request: large lists are where targets break.
    pub chunk: usize,
}

/// What a request is about: a server may take one kind and refuse the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Attributes,
    MembersGone,
    MembersCome,
}

/// One PATCH request, and the document that the target holds after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub part: Part,
    pub operations: Vec<Value>,
    pub reached: Document,
}

/// The requests that turn `before` into `after`, none if they are equal.
pub fn steps(before: &Document, after: &Document, form: Form) -> Vec<Step> {
    let mut steps = attributes(before, after, form.patch);
    let mut reached = but_members(before, after);
    if let Some(last) = steps.last_mut() {
        last.reached = reached.clone();
    }
    let (old, new) = (members(before), members(after));
    let mut now = old.clone();
    let gone: Vec<&String> = old.difference(&new).collect();
    for part in gone.chunks(form.chunk.max(1)) {
        now.retain(|id| !part.contains(&id));
        set_members(&mut reached, now.clone());
        let operations = remove_members(part, form.members);
        steps.push(Step { part: Part::MembersGone, operations, reached: reached.clone() });
    }
    let come: Vec<&String> = new.difference(&old).collect();
    for part in come.chunks(form.chunk.max(1)) {
        now.extend(part.iter().map(|id| (*id).clone()));
        set_members(&mut reached, now.clone());
        let operations = vec![json!({ "op": "add", "path": "members", "value": values(part) })];
        steps.push(Step { part: Part::MembersCome, operations, reached: reached.clone() });
    }
    steps
}

/// All of `after` with the members of `before`.
pub fn but_members(before: &Document, after: &Document) -> Document {
    let mut document = after.clone();
    set_members(&mut document, members(before));
    document
}

/// A bare `members` path without values would remove all of them (RFC 7644 section 3.5.2.2).
fn remove_members(ids: &[&String], form: Removal) -> Vec<Value> {
    match form {
        Removal::Entra => vec![json!({ "op": "remove", "path": "members", "value": values(ids) })],
        Removal::Rfc | Removal::Put => {
            let path = |id: &String| format!("members[value eq {}]", Value::from(id.as_str()));
            ids.iter().map(|id| json!({ "op": "remove", "path": path(id) })).collect()
        }
    }
}

fn values(ids: &[&String]) -> Vec<Value> {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

/// A value that comes, changes or, without a new one, goes.
struct Change<'a> {
    name: &'a str,
    sub: Option<&'a str>,
    value: Option<&'a Value>,
}

impl Change<'_> {
    fn path(&self) -> String {
        match self.sub {
            None => self.name.to_owned(),
            Some(sub) if is_extension(self.name) => format!("{}:{sub}", self.name),
            Some(sub) => format!("{}.{sub}", self.name),
        }
    }

    fn operation(&self) -> Value {
        match self.value {
            Some(value) => json!({ "op": "replace", "path": self.path(), "value": value }),
            None => json!({ "op": "remove", "path": self.path() }),
        }
    }

    fn apply(&self, document: &mut Document) {
        let Some(sub) = self.sub else {
            match self.value {
                Some(value) => document.insert(self.name.to_owned(), value.clone()),
                None => document.remove(self.name),
            };
            return;
        };
        let holder = document.entry(self.name).or_insert_with(|| Value::Object(Document::new()));
        if let Value::Object(parts) = holder {
            match self.value {
                Some(value) => parts.insert(sub.to_owned(), value.clone()),
                None => parts.remove(sub),
            };
        }
    }
}

fn attributes(before: &Document, after: &Document, form: PatchForm) -> Vec<Step> {
    let changes = changes(before, after);
    if changes.is_empty() {
        return Vec::new();
    }
    let mut reached = before.clone();
    let step = |operations: Vec<Value>, reached: &Document| Step {
        part: Part::Attributes,
        operations,
        reached: reached.clone(),
    };
    if form == PatchForm::Single {
        let one = |change: &Change<'_>| {
            change.apply(&mut reached);
            step(vec![change.operation()], &reached)
        };
        return changes.iter().map(one).collect();
    }
    changes.iter().for_each(|change| change.apply(&mut reached));
    let (come, go): (Vec<&Change<'_>>, Vec<&Change<'_>>) = changes.iter().partition(|c| c.value.is_some());
    let operations = match form {
        PatchForm::Pathless if !come.is_empty() => {
            let mut values = Document::new();
            come.iter().for_each(|change| change.apply(&mut values));
            let come = json!({ "op": "replace", "value": values });
            go.into_iter().map(Change::operation).chain([come]).collect()
        }
        _ => changes.iter().map(Change::operation).collect(),
    };
    vec![step(operations, &reached)]
}

fn changes<'a>(before: &'a Document, after: &'a Document) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let names: BTreeSet<&'a String> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            _ if matches!(name.as_str(), "schemas" | "members") => {}
            (old, new) if same(old, new) => {}
            (Some(Value::Object(old)), Some(Value::Object(new))) => parts(name, Some(old), Some(new), &mut changes),
            // An extension is no attribute: what is in it has paths, it has none.
            (None, Some(Value::Object(new))) if is_extension(name) => parts(name, None, Some(new), &mut changes),
            (Some(Value::Object(old)), None) if is_extension(name) => parts(name, Some(old), None, &mut changes),
            (_, new) => changes.push(Change { name, sub: None, value: new }),
        }
    }
    changes
}

/// The sub-attributes of `name` one by one: a replace of the whole would leave those that it does
/// not mention (RFC 7644 section 3.5.2.3).
fn parts<'a>(name: &'a str, old: Option<&'a Document>, new: Option<&'a Document>, changes: &mut Vec<Change<'a>>) {
    let subs: BTreeSet<&'a String> = old.into_iter().chain(new).flat_map(Document::keys).collect();
    for sub in subs {
        let value = new.and_then(|new| new.get(sub));
        if !same(old.and_then(|old| old.get(sub)), value) {
            changes.push(Change { name, sub: Some(sub), value });
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

pub fn members(document: &Document) -> BTreeSet<String> {
    let list = document.get("members").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|m| m.get("value")?.as_str()).map(str::to_owned).collect()
}

pub fn set_members(document: &mut Document, members: BTreeSet<String>) {
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
            (Some(Value::Object(held)), new) if name == "name" || is_extension(name) => {
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
    use crate::export::mapping::ENTERPRISE;

    const RFC: Form = Form { patch: PatchForm::Whole, members: Removal::Rfc, chunk: 2 };

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn check(before: Value, after: Value, expected: Value) {
        check_as(RFC, before, after, expected);
    }

    fn check_as(form: Form, before: Value, after: Value, expected: Value) {
        let (before, after) = (doc(before), doc(after));
        let steps = steps(&before, &after, form);
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
    fn each_form_has_its_operations() {
        let m = |ids: &[&str]| ids.iter().map(|i| json!({"value": i})).collect::<Vec<_>>();
        let before = json!({"title": "t", "userName": "a", "name": {"familyName": "A"}, "members": m(&["1", "2"])});
        let after = json!({"userName": "b", "name": {"familyName": "B"}, ENTERPRISE: {"division": "d"}});
        check_as(
            Form { patch: PatchForm::Single, members: Removal::Entra, chunk: 9 },
            before.clone(),
            after.clone(),
            json!([
                [{"op": "replace", "path": "name.familyName", "value": "B"}],
                [{"op": "remove", "path": "title"}],
                [{"op": "replace", "path": format!("{ENTERPRISE}:division"), "value": "d"}],
                [{"op": "replace", "path": "userName", "value": "b"}],
                [{"op": "remove", "path": "members", "value": m(&["1", "2"])}],
            ]),
        );
        let value = json!({"userName": "b", "name": {"familyName": "B"}, ENTERPRISE: {"division": "d"}});
        check_as(
            Form { patch: PatchForm::Pathless, ..RFC },
            before,
            after,
            json!([
                [{"op": "remove", "path": "title"}, {"op": "replace", "value": value}],
                [{"op": "remove", "path": "members[value eq \"1\"]"}, {"op": "remove", "path": "members[value eq \"2\"]"}],
            ]),
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
