//! What is sent to QMPlus for one object: an operation that makes or changes a department or a user
//! as a whole. There is no delete: who leaves is sent with `active` false.

use crate::export::target::{Document, Resource};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub entity: Entity,
    /// Whose it is: operations and failures are matched by it.
    pub external_id: String,
    pub body: Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    Department,
    User,
}

impl Entity {
    /// The last part of the address.
    pub fn name(self) -> &'static str {
        match self {
            Entity::Department => "department",
            Entity::User => "user",
        }
    }

    pub fn of(resource: Resource) -> Option<Self> {
        match resource {
            Resource::Department => Some(Entity::Department),
            Resource::User => Some(Entity::User),
            Resource::Group => None,
        }
    }
}

/// How documents become operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether a department passes its `active` on to those below it.
    pub cascade: bool,
    /// By what QMPlus looks for a user that is new to us.
    pub match_on: MatchOn,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOn {
    #[default]
    ExternalId,
    Email,
    Username,
}

impl MatchOn {
    fn name(self) -> &'static str {
        match self {
            MatchOn::ExternalId => "EXTERNAL_ID",
            MatchOn::Email => "EMAIL",
            MatchOn::Username => "USERNAME",
        }
    }
}

/// The operation for a document, or which rule of the target it breaks. `is_new`: QMPlus may know the
/// user under another externalId.
pub fn operation(entity: Entity, document: &Document, form: &Form, is_new: bool) -> Result<Operation, String> {
    let mut body = document.clone();
    // Nobody has said otherwise: an account that is made is open.
    body.entry("active").or_insert(Value::Bool(true));
    let needed: &[&str] = match entity {
        Entity::Department => {
            body.entry("parentExternalId").or_insert(Value::Null);
            body.insert("cascadeToChildren".to_owned(), Value::Bool(form.cascade));
            &["externalId", "departmentName"]
        }
        Entity::User => {
            place_user_types(&mut body)?;
            if is_new && form.match_on != MatchOn::ExternalId {
                body.insert("matchOnField".to_owned(), form.match_on.name().into());
            }
            &["externalId", "email", "firstName", "lastName"]
        }
    };
    for key in needed {
        if body.get(*key).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            return Err(format!("{key} is required"));
        }
    }
    let external_id = external_id(&body).unwrap_or_default().to_owned();
    Ok(Operation { entity, external_id, body })
}

/// The same object, closed.
pub fn closed(document: &Document) -> Document {
    let mut closed = document.clone();
    closed.insert("active".to_owned(), Value::Bool(false));
    closed
}

pub fn external_id(document: &Document) -> Option<&str> {
    document.get("externalId").and_then(Value::as_str).filter(|id| !id.is_empty())
}

/// `departments` and `userTypeName` (or `userTypeId`) of the map become `userTypes`: as many types as
/// departments go in pairs; else the first type is that of each department.
fn place_user_types(body: &mut Document) -> Result<(), String> {
    let departments = texts(body.remove("departments"));
    let by_name = texts(body.remove("userTypeName"));
    let by_id = texts(body.remove("userTypeId"));
    let (key, kinds) = if by_id.is_empty() { ("userTypeName", by_name) } else { ("userTypeId", by_id) };
    if body.get("userTypes").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Ok(());
    }
    let paired = kinds.len() == departments.len();
    let kind = |at: usize| if paired { kinds.get(at) } else { kinds.first() };
    let pairs: Vec<Value> = departments
        .iter()
        .enumerate()
        .filter_map(|(at, department)| Some(json!({ "departmentExternalId": department, key: kind(at)? })))
        .collect();
    if pairs.is_empty() {
        return Err("userTypes: at least one department with a type is required".to_owned());
    }
    body.insert("userTypes".to_owned(), Value::Array(pairs));
    Ok(())
}

fn texts(value: Option<Value>) -> Vec<String> {
    let list = match value {
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let mut seen = HashSet::new();
    let texts = list.into_iter().filter_map(|v| v.as_str().map(str::to_owned));
    texts.filter(|text| seen.insert(text.clone())).collect()
}

/// Departments before users, parents before their children. Those that are above each other keep
/// their place: the target says what is wrong with them.
pub fn sort<T>(items: &mut [T], of: impl Fn(&T) -> &Operation) {
    let parents: HashMap<String, String> = items
        .iter()
        .map(&of)
        .filter(|op| op.entity == Entity::Department)
        .filter_map(|op| Some((op.external_id.clone(), op.body.get("parentExternalId")?.as_str()?.to_owned())))
        .collect();
    let depth = |op: &Operation| {
        let (mut depth, mut at) = (0usize, &op.external_id);
        while let Some(parent) = parents.get(at).filter(|_| depth < parents.len()) {
            depth += 1;
            at = parent;
        }
        depth
    };
    items.sort_by_cached_key(|item| {
        let op = of(item);
        (op.entity, if op.entity == Entity::Department { depth(op) } else { 0 })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn form() -> Form {
        Form { cascade: false, match_on: MatchOn::Email }
    }

    fn user(more: Value) -> Document {
        let mut user = doc(json!({"externalId": "u", "email": "u@x", "firstName": "U", "lastName": "V"}));
        user.extend(doc(more));
        user
    }

    #[test]
    fn types_go_in_pairs_with_departments_or_to_all_of_them() {
        for (more, expected) in [
            (
                json!({"departments": ["a", "b"], "userTypeName": "T"}),
                json!([
                    {"departmentExternalId": "a", "userTypeName": "T"},
                    {"departmentExternalId": "b", "userTypeName": "T"},
                ]),
            ),
            (
                json!({"departments": ["a", "b"], "userTypeId": ["1", "2"]}),
                json!([{"departmentExternalId": "a", "userTypeId": "1"}, {"departmentExternalId": "b", "userTypeId": "2"}]),
            ),
            (
                json!({"userTypes": [{"departmentName": "A", "userTypeId": "1"}]}),
                json!([{"departmentName": "A", "userTypeId": "1"}]),
            ),
        ] {
            let made = operation(Entity::User, &user(more), &form(), true).unwrap();
            assert_eq!(made.body["userTypes"], expected);
            assert_eq!((made.body["active"].clone(), made.body["matchOnField"].clone()), (json!(true), json!("EMAIL")));
            assert!(!made.body.contains_key("departments"));
        }
    }

    #[test]
    fn what_the_target_needs_is_looked_at_before() {
        let lone = user(json!({}));
        assert!(operation(Entity::User, &lone, &form(), false).unwrap_err().contains("userTypes"));
        let mut nameless = user(json!({"departments": ["a"], "userTypeName": "T"}));
        nameless.remove("lastName");
        assert_eq!(operation(Entity::User, &nameless, &form(), false).unwrap_err(), "lastName is required");
        let department = doc(json!({"externalId": "d"}));
        assert_eq!(
            operation(Entity::Department, &department, &form(), false).unwrap_err(),
            "departmentName is required"
        );
    }

    #[test]
    fn parents_come_before_children_and_departments_before_users() {
        let department = |id: &str, parent: Option<&str>| Operation {
            entity: Entity::Department,
            external_id: id.to_owned(),
            body: doc(json!({"externalId": id, "parentExternalId": parent})),
        };
        let person = Operation { entity: Entity::User, external_id: "u".into(), body: Document::new() };
        let mut sorted = vec![
            person,
            department("c", Some("b")),
            department("b", Some("a")),
            department("x", Some("y")),
            department("y", Some("x")),
            department("a", None),
        ];
        sort(&mut sorted, |op| op);
        let ids: Vec<&str> = sorted.iter().map(|op| op.external_id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "x", "y", "u"]);
    }
}
