//! The part of a target's own object that we answer for: what an adopted object is compared by.
//! All else in it belongs to the target and is left alone.

use super::{
    mapping::ENTERPRISE,
    target::{Document, Resource},
};
use serde_json::Value;

/// The attributes of a remote object that [`super::mapping`] can write, in its form.
pub fn project(resource: Resource, remote: &Document, enterprise: bool) -> Document {
    let (plain, lists): (&[&str], &[(&str, &[&str])]) = match resource {
        Resource::User => (&USER_PLAIN, &USER_LISTS),
        Resource::Group => (&["externalId", "displayName"], &[("members", &["value"])]),
        // What is written of a structure is all that is known of it.
        Resource::Department => return remote.clone(),
    };
    let mut out = Document::new();
    for name in plain {
        copy(remote, name, &mut out);
    }
    for (name, parts) in lists {
        let Some(Value::Array(list)) = remote.get(*name) else { continue };
        let list: Vec<Value> = list.iter().filter_map(|v| element(v, parts)).collect();
        if !list.is_empty() {
            out.insert((*name).to_owned(), Value::Array(list));
        }
    }
    if resource == Resource::User {
        part(remote, "name", &NAME, &mut out);
        if enterprise {
            part(remote, ENTERPRISE, &EXTENSION, &mut out);
        }
    }
    out
}

fn copy(from: &Document, name: &str, to: &mut Document) {
    match from.get(name) {
        None | Some(Value::Null) => {}
        Some(value) => drop(to.insert(name.to_owned(), value.clone())),
    }
}

fn part(remote: &Document, name: &str, parts: &[&str], out: &mut Document) {
    let Some(Value::Object(map)) = remote.get(name) else { return };
    let mut kept = Document::new();
    for sub in parts {
        copy(map, sub, &mut kept);
    }
    if let Some(Value::Object(manager)) = map.get("manager").filter(|_| name == ENTERPRISE)
        && let Some(id) = manager.get("value").filter(|v| v.is_string())
    {
        kept.insert("manager".to_owned(), serde_json::json!({ "value": id }));
    }
    if !kept.is_empty() {
        out.insert(name.to_owned(), Value::Object(kept));
    }
}

fn element(value: &Value, parts: &[&str]) -> Option<Value> {
    let Value::Object(map) = value else { return None };
    let mut kept = Document::new();
    for sub in parts {
        // A server may spell out what is not primary.
        if map.get(*sub) != Some(&Value::Bool(false)) {
            copy(map, sub, &mut kept);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

const USER_PLAIN: [&str; 9] = [
    "externalId",
    "userName",
    "displayName",
    "nickName",
    "title",
    "userType",
    "preferredLanguage",
    "profileUrl",
    "active",
];
const NAME: [&str; 4] = ["formatted", "familyName", "givenName", "honorificPrefix"];
const EXTENSION: [&str; 4] = ["employeeNumber", "organization", "department", "division"];
const USER_LISTS: [(&str, &[&str]); 6] = [
    ("emails", &["value", "type", "primary"]),
    ("phoneNumbers", &["value", "type"]),
    ("addresses", &["formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"]),
    ("entitlements", &["value"]),
    ("roles", &["value"]),
    ("x509Certificates", &["value"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_the_target_adds_is_not_ours() {
        let remote = doc(json!({
            "id": "1", "meta": {}, "userName": "a", "active": true, "title": null, "locale": "fr",
            "name": {"familyName": "A", "middleName": "m"},
            "emails": [{"value": "a@x", "type": "work", "primary": false, "display": "a"}],
            ENTERPRISE: {"division": "d", "costCenter": "c", "manager": {"value": "7", "displayName": "Boss"}},
        }));
        let mut expected = doc(json!({
            "userName": "a", "active": true, "name": {"familyName": "A"},
            "emails": [{"value": "a@x", "type": "work"}],
            ENTERPRISE: {"division": "d", "manager": {"value": "7"}},
        }));
        assert_eq!(project(Resource::User, &remote, true), expected);
        expected.remove(ENTERPRISE);
        assert_eq!(project(Resource::User, &remote, false), expected);
    }

    #[test]
    fn members_are_known_by_their_ids() {
        let remote = doc(json!({"displayName": "g", "members": [{"value": "1", "$ref": "x", "type": "User"}]}));
        let expected = doc(json!({"displayName": "g", "members": [{"value": "1"}]}));
        assert_eq!(project(Resource::Group, &remote, true), expected);
    }
}
