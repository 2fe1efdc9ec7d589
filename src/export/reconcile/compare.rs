//! Whose an object of the target is, and in what it differs from the entry. Pure: what the target
//! has and what the directory wants was found out before.

use crate::export::{
    ldap::AWAITS_SUPERIOR,
    push::Match,
    target::{Document, Remote, Resource, canonical},
};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// What is known of the entries that the target may hold as one kind of resource.
#[derive(Debug, Default)]
pub struct Known {
    /// Objects of the target that are linked, by their ids.
    linked: HashMap<String, Uuid>,
    /// The same the other way.
    links: HashMap<Uuid, String>,
    /// Entries that the target wants.
    entries: BTreeSet<Uuid>,
    /// Entries by the values of their recon keys.
    keyed: HashMap<(SmolStr, String), Vec<Uuid>>,
    /// The recon keys in the order in which they are tried.
    keys: Vec<SmolStr>,
}

/// Whose an object of the target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A link row says so.
    Linked(Uuid),
    /// A recon key says so, and nothing speaks against it.
    Found {
        object: Uuid,
        by: SmolStr,
    },
    /// It carries the externalId of an entry that is not there, or that the target does not want.
    Orphan(Uuid),
    Nobody(String),
    /// It could be this entry's, or another's.
    Ambiguous {
        object: Option<Uuid>,
        why: String,
    },
}

impl Owner {
    fn ambiguous(object: Option<Uuid>, why: impl Into<String>) -> Self {
        Owner::Ambiguous { object, why: why.into() }
    }

    /// The entry that it is about.
    pub fn object(&self) -> Option<Uuid> {
        match self {
            Owner::Linked(object) | Owner::Found { object, .. } | Owner::Orphan(object) => Some(*object),
            Owner::Ambiguous { object, .. } => *object,
            Owner::Nobody(_) => None,
        }
    }
}

impl Known {
    /// With these recon keys, beside the id of a link and externalId.
    pub fn new(keys: Vec<SmolStr>) -> Self {
        Known { keys, ..Known::default() }
    }

    pub fn link(&mut self, object: Uuid, id: &str) {
        self.linked.insert(id.to_owned(), object);
        self.links.insert(object, id.to_owned());
    }

    /// An entry that the target wants, with the document that it should hold, if one can be made.
    pub fn entry(&mut self, object: Uuid, document: Option<&Document>) {
        self.entries.insert(object);
        for key in &self.keys {
            let Some(value) = document.and_then(|document| value_at(document, key)) else { continue };
            self.keyed.entry((key.clone(), value)).or_default().push(object);
        }
    }

    pub fn owner(&self, remote: &Remote, matching: Match) -> Owner {
        let carried = remote.document.get("externalId").and_then(Value::as_str).unwrap_or_default();
        let ours: Option<Uuid> = carried.parse().ok();
        if let Some(object) = self.linked.get(&remote.id) {
            return match ours.filter(|other| other != object && self.entries.contains(other)) {
                Some(_) => {
                    let why = "it is linked with one entry and carries the externalId of another";
                    Owner::ambiguous(Some(*object), why)
                }
                None => Owner::Linked(*object),
            };
        }
        if let Some(object) = ours {
            return match self.links.contains_key(&object) {
                true => {
                    let why = "its externalId is that of an entry that is linked with another object";
                    Owner::ambiguous(Some(object), why)
                }
                false if self.entries.contains(&object) => Owner::Found { object, by: EXTERNAL_ID },
                false => Owner::Orphan(object),
            };
        }
        match self.keys.iter().find_map(|key| self.by_key(remote, key)) {
            None => Owner::Nobody("no entry matches it".into()),
            Some(Owner::Found { by, .. }) if matching == Match::Never => {
                Owner::Nobody(format!("an entry has its {by}, but match is never"))
            }
            Some(Owner::Found { by, .. }) if matching == Match::Verified && !carried.is_empty() => {
                Owner::Nobody(format!("an entry has its {by}, but it carries an externalId that is not ours"))
            }
            Some(owner) => owner,
        }
    }

    fn by_key(&self, remote: &Remote, key: &SmolStr) -> Option<Owner> {
        let value = value_at(&remote.document, key)?;
        match self.keyed.get(&(key.clone(), value))?.as_slice() {
            [object] if self.links.contains_key(object) => {
                let why = format!("an entry has its {key}, and is linked with another object");
                Some(Owner::ambiguous(Some(*object), why))
            }
            [object] => Some(Owner::Found { object: *object, by: key.clone() }),
            [] => None,
            _ => Some(Owner::ambiguous(None, format!("several entries have its {key}"))),
        }
    }
}

/// A value by its path: `userName`, `name.familyName`, `emails.value` (the first). Compared without
/// case, as names and addresses are (RFC 7643 section 4.1.1).
fn value_at(document: &Document, path: &str) -> Option<String> {
    let mut parts = path.split('.');
    let mut value = document.get(parts.next()?)?;
    for part in parts {
        if let Value::Array(list) = value {
            value = list.first()?;
        }
        value = value.get(part)?;
    }
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_lowercase())
}

/// The attributes, and sub-attributes, in which two documents differ. `leave` names those that are
/// not compared: what the target is known to drop, or what is not ours to say.
pub fn changed(before: &Document, after: &Document, leave: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in all.into_iter().filter(|name| !SAID_TO_US.contains(&name.as_str())) {
        match (before.get(name), after.get(name)) {
            (old, new) if same(old, new) => {}
            // An `active` that is not ours to say stays as it is.
            (Some(_), None) if name == "active" => {}
            (old, new) if is_map(old) && is_map(new) => parts(name, old, new, &mut names),
            _ => names.push(name.clone()),
        }
    }
    names.retain(|name| !leave.iter().any(|left| name == left || is_below(name, left)));
    names
}

/// What stands in a document for those who send it, and is not held by every target.
const SAID_TO_US: [&str; 2] = ["schemas", AWAITS_SUPERIOR];

fn is_map(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_object)
}

fn is_below(name: &str, upper: &str) -> bool {
    name.strip_prefix(upper).is_some_and(|rest| rest.starts_with(['.', ':']))
}

fn parts(name: &str, old: Option<&Value>, new: Option<&Value>, names: &mut Vec<String>) {
    let empty = Document::new();
    let map = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_else(|| empty.clone());
    let (old, new) = (map(old), map(new));
    // The attributes of an extension follow its URN after a colon (RFC 7644 section 3.10).
    let separator = if name.starts_with("urn:") { ':' } else { '.' };
    let subs: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.extend(subs.into_iter().filter(|s| !same(old.get(*s), new.get(*s))).map(|s| format!("{name}{separator}{s}")));
}

/// Null, an empty list and absence are one state (RFC 7643 section 2.5); lists are sets.
fn same(old: Option<&Value>, new: Option<&Value>) -> bool {
    text(old) == text(new)
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(list)) => {
            let mut texts: Vec<String> = list.iter().map(|item| text(Some(item))).collect();
            texts.sort();
            texts.dedup();
            texts.join("\n")
        }
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(Value::Object(map)) => canonical(map),
        Some(other) => other.to_string(),
    }
}

/// How people know an object.
pub fn display_name(resource: Resource, document: &Document) -> Option<String> {
    let names = [resource.name_attribute(), "displayName", "name", "externalId"];
    names.iter().find_map(|name| document.get(*name)?.as_str()).map(str::to_owned)
}

const EXTERNAL_ID: SmolStr = SmolStr::new_static("externalId");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const GONE: Uuid = Uuid::from_u128(9);

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn remote(id: &str, document: Value) -> Remote {
        Remote { id: id.into(), document: doc(document), ..Remote::default() }
    }

    /// A is linked with r1, B is not linked.
    fn known() -> Known {
        let mut known = Known::new(vec!["userName".into(), "emails.value".into()]);
        known.link(A, "r1");
        known.entry(A, Some(&doc(json!({"userName": "anne", "emails": [{"value": "a@x"}]}))));
        known.entry(B, Some(&doc(json!({"userName": "Bruno", "emails": [{"value": "b@x"}]}))));
        known
    }

    #[test]
    fn an_owner_is_found_by_link_then_external_id_then_keys() {
        let found = |by: &str| Owner::Found { object: B, by: by.into() };
        for (object, expected) in [
            (remote("r1", json!({"userName": "changed by hand"})), Owner::Linked(A)),
            (remote("r2", json!({"externalId": B.to_string(), "userName": "x"})), found("externalId")),
            (remote("r3", json!({"userName": "bruno"})), found("userName")),
            (remote("r4", json!({"userName": "x", "emails": [{"value": "B@x"}]})), found("emails.value")),
            (remote("r5", json!({"externalId": GONE.to_string(), "userName": "bruno"})), Owner::Orphan(GONE)),
            (remote("r6", json!({"userName": "nobody"})), Owner::Nobody("no entry matches it".into())),
        ] {
            assert_eq!(known().owner(&object, Match::Verified), expected, "{}", object.id);
        }
    }

    #[test]
    fn what_could_be_two_is_nobodys() {
        let mut known = known();
        known.entry(GONE, Some(&doc(json!({"userName": "BRUNO"}))));
        for (object, expected) in [
            (remote("r1", json!({"externalId": B.to_string()})), "carries the externalId of another"),
            (remote("r2", json!({"externalId": A.to_string()})), "linked with another object"),
            (remote("r3", json!({"userName": "anne"})), "linked with another object"),
            (remote("r4", json!({"userName": "bruno"})), "several entries have its userName"),
        ] {
            let Owner::Ambiguous { why, .. } = known.owner(&object, Match::Always) else { panic!("{}", object.id) };
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn the_match_policy_holds_for_names() {
        let named = remote("r3", json!({"userName": "bruno", "externalId": "theirs"}));
        for (matching, is_found) in [(Match::Never, false), (Match::Verified, false), (Match::Always, true)] {
            assert_eq!(matches!(known().owner(&named, matching), Owner::Found { .. }), is_found, "{matching:?}");
        }
        let bare = remote("r3", json!({"userName": "bruno"}));
        assert!(matches!(known().owner(&bare, Match::Verified), Owner::Found { .. }));
        assert!(matches!(known().owner(&bare, Match::Never), Owner::Nobody(_)));
        let ours = remote("r3", json!({"externalId": B.to_string()}));
        assert!(matches!(known().owner(&ours, Match::Never), Owner::Found { .. }));
    }

    #[test]
    fn differences_are_named_by_attribute() {
        let ext = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let before = doc(json!({
            "userName": "a", "title": "x", "active": true, "nickName": null, "roles": [],
            "name": {"familyName": "A", "givenName": "B"},
            "emails": [{"value": "1", "type": "work"}, {"type": "other", "value": "2"}],
            ext: {"division": "d"},
        }));
        let mut after = doc(json!({
            "userName": "a", "name": {"familyName": "A", "givenName": "C"},
            "emails": [{"value": "2", "type": "other"}, {"value": "1", "type": "work"}],
            ext: {"division": "e", "department": "p"}, "schemas": ["x"],
        }));
        let all = changed(&before, &after, &[]);
        assert_eq!(all, ["name.givenName", "title", &format!("{ext}:department"), &format!("{ext}:division")]);
        assert_eq!(changed(&before, &after, &[ext.to_owned(), "title".to_owned()]), ["name.givenName"]);
        after.insert("active".to_owned(), json!(false));
        assert!(changed(&before, &after, &[]).contains(&"active".to_owned()));
    }
}
