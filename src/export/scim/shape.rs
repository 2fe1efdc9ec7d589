//! A document cut to what one server takes, and what it has kept of it (RFC 7644 section 3.5.2: an
//! answer of success does not say that every value was taken).

use super::{discovery::Announced, profile::Profile};
use crate::export::target::{Document, Resource};
use serde_json::Value;

/// A document as it is sent, and the names of what is left out of it.
pub fn outgoing(
    resource: Resource,
    document: &Document,
    profile: &Profile,
    announced: &Announced,
) -> (Document, Vec<String>) {
    let mut out = document.clone();
    let mut left_out = Vec::new();
    let unknown: Vec<String> =
        document.keys().filter(|name| is_extension(name) && !announced.takes(resource, name)).cloned().collect();
    for urn in unknown {
        out.remove(&urn);
        if let Some(Value::Array(schemas)) = out.get_mut("schemas") {
            schemas.retain(|schema| schema.as_str() != Some(&urn));
        }
        left_out.push(urn);
    }
    if profile.one_of_each {
        for name in ["emails", "phoneNumbers", "addresses"] {
            if let Some(Value::Array(list)) = out.get_mut(name)
                && list.len() > 1
            {
                let primary = list.iter().position(is_primary).unwrap_or(0);
                list.swap(0, primary);
                list.truncate(1);
                left_out.push(name.to_owned());
            }
        }
    }
    (out, left_out)
}

/// Extensions are keys that are URNs (RFC 7643 section 3.3).
pub fn is_extension(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

fn is_primary(value: &Value) -> bool {
    value.get("primary").and_then(Value::as_bool) == Some(true)
}

/// Whether an answer shows the object, and not just its id.
pub fn is_whole(resource: Resource, shown: &Document) -> bool {
    shown.contains_key(resource.name_attribute())
}

/// The attributes of `sent` that are not, or not so, in what the server shows; then those that it shows
/// though `before` had them and `sent` has not.
pub fn dropped(before: &Document, sent: &Document, shown: &Document, members_readable: bool) -> Vec<String> {
    let mut names = Vec::new();
    let judged = |name: &str| name != "schemas" && (name != "members" || members_readable);
    for (name, value) in sent.iter().filter(|(name, _)| judged(name)) {
        match (value, shown.get(name)) {
            (Value::Object(parts), shown) if parts.get("value").is_none() => {
                let lost = parts.iter().filter(|(sub, value)| !holds(shown.and_then(|s| s.get(*sub)), value));
                let separator = if is_extension(name) { ':' } else { '.' };
                names.extend(lost.map(|(sub, _)| format!("{name}{separator}{sub}")));
            }
            (value, shown) if !holds(shown, value) => names.push(name.clone()),
            _ => {}
        }
    }
    let cleared = before.keys().filter(|name| judged(name) && !sent.contains_key(*name));
    names.extend(cleared.filter(|name| shown.get(*name).is_some_and(|value| !is_empty(value))).cloned());
    if let (Some(Value::Array(wanted)), Some(Value::Array(held)), true) =
        (sent.get("members"), shown.get("members"), members_readable)
        && held.len() > wanted.len()
    {
        names.push("members".to_owned());
    }
    names.dedup();
    names
}

/// Whether a value is there, whatever the server has added to it.
fn holds(shown: Option<&Value>, sent: &Value) -> bool {
    match (sent, shown) {
        (_, None) => is_empty(sent),
        (Value::Object(sent), Some(Value::Object(shown))) => {
            sent.iter().all(|(name, value)| is_false(value) || holds(shown.get(name), value))
        }
        (Value::Array(sent), Some(Value::Array(shown))) => {
            sent.iter().all(|value| shown.iter().any(|other| holds(Some(other), value)))
        }
        // Some give manager as a plain id.
        (Value::Object(sent), Some(plain @ Value::String(_))) => sent.get("value") == Some(plain),
        (sent, Some(shown)) => sent == shown,
    }
}

/// `primary: false` is what an absent `primary` means (RFC 7643 section 2.4).
fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
}

/// Null, an empty list and no value at all are one state (RFC 7643 section 2.5); so is, to many, an
/// empty text.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().all(is_empty),
        Value::Object(map) => {
            map.iter().all(|(name, value)| matches!(name.as_str(), "primary" | "type") || is_empty(value))
        }
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What the server shows of the attributes that `ours` speak of: the ground of an update that is begun
/// again.
pub fn known(shown: &Document, ours: [&Document; 2]) -> Document {
    let mut known = Document::new();
    for (name, mine) in ours.into_iter().flatten() {
        let Some(value) = shown.get(name).filter(|value| !is_empty(value)) else { continue };
        match (value, mine) {
            (Value::Object(held), Value::Object(parts)) => {
                let entry = known.entry(name.clone()).or_insert_with(|| Value::Object(Document::new()));
                if let Value::Object(kept) = entry {
                    let of_ours = held.iter().filter(|(sub, _)| parts.contains_key(*sub));
                    kept.extend(of_ours.map(|(sub, value)| (sub.clone(), value.clone())));
                }
            }
            _ => drop(known.insert(name.clone(), value.clone())),
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{mapping::ENTERPRISE, scim::profile::ProfileName};
    use serde_json::json;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_the_server_takes_is_sent() {
        let document = doc(json!({
            "schemas": ["core", ENTERPRISE], "userName": "a", ENTERPRISE: {"division": "d"},
            "emails": [{"value": "1"}, {"value": "2", "primary": true}],
        }));
        let announced = Announced { user_extensions: Some(vec![]), ..Announced::default() };
        let (out, left) = outgoing(Resource::User, &document, &Profile::of(ProfileName::Aws), &announced);
        let expected = json!({"schemas": ["core"], "userName": "a", "emails": [{"value": "2", "primary": true}]});
        assert_eq!((Value::Object(out), left), (expected, vec![ENTERPRISE.to_owned(), "emails".to_owned()]));
        let (out, left) = outgoing(Resource::User, &document, &Profile::of(ProfileName::Rfc), &Announced::default());
        assert_eq!((out, left), (document, vec![]));
    }

    #[test]
    fn what_was_not_kept_is_named() {
        let before = doc(json!({"nickName": "n", "title": "t"}));
        let sent = doc(json!({
            "schemas": ["x"], "userName": "a", "displayName": "A", "active": false,
            "name": {"familyName": "F", "honorificPrefix": "M."},
            "emails": [{"value": "e", "type": "work", "primary": true}, {"value": "f", "type": "other"}],
            "members": [{"value": "1"}],
            ENTERPRISE: {"manager": {"value": "7"}, "division": "d"},
        }));
        let shown = doc(json!({
            "userName": "a", "displayName": "B", "active": true, "title": "t", "nickName": "",
            "name": {"familyName": "F", "formatted": "F"},
            "emails": [{"value": "e", "type": "work", "primary": true, "display": "e"}],
            "members": [{"value": "1", "type": "User"}, {"value": "2"}],
            ENTERPRISE: {"manager": "7"},
        }));
        let names = dropped(&before, &sent, &shown, true);
        let expected = [
            "active",
            "displayName",
            "emails",
            "name.honorificPrefix",
            &format!("{ENTERPRISE}:division"),
            "title",
            "members",
        ];
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut expected = expected.to_vec();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
        assert!(!dropped(&before, &sent, &shown, false).contains(&"members".to_owned()));
    }

    #[test]
    fn an_update_begins_again_from_what_is_shown() {
        let shown =
            doc(json!({"id": "1", "title": "x", "locale": "fr", "name": {"familyName": "F", "middleName": "m"}}));
        let before = doc(json!({"title": "t"}));
        let after = doc(json!({"name": {"familyName": "G"}, "nickName": "n"}));
        assert_eq!(known(&shown, [&before, &after]), doc(json!({"title": "x", "name": {"familyName": "F"}})));
    }
}
