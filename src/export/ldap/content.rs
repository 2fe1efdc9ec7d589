//! What an entry of a downstream directory holds, and its form as a document: `dn`, `attributes`,
//! and for matching `externalId` and a name. Names of attributes are compared without case.

use crate::{
    dn::{Dn, Rdn},
    export::target::Document,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Name and attributes. Values are sets (RFC 4512 section 2.2): their order says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub dn: String,
    /// By the name in small letters.
    attributes: BTreeMap<String, Attribute>,
    /// What an account that is closed has beside its attributes is put there by the target's rules.
    pub active: Option<bool>,
    /// The superior is an object of ours that comes by itself.
    pub awaits_superior: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// As it was spelt first.
    pub name: String,
    pub values: BTreeSet<Vec<u8>>,
}

impl Content {
    pub fn new(dn: String) -> Self {
        Content { dn, ..Content::default() }
    }

    pub fn put(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.slot(name).values.insert(value.into());
    }

    /// Takes all values away; an attribute without values is none.
    pub fn remove(&mut self, name: &str) {
        self.attributes.remove(&name.to_lowercase());
    }

    /// Takes one value away.
    pub fn take(&mut self, name: &str, value: &[u8]) {
        let key = name.to_lowercase();
        if let Some(held) = self.attributes.get_mut(&key) {
            held.values.remove(value);
            if held.values.is_empty() {
                self.attributes.remove(&key);
            }
        }
    }

    pub fn set(&mut self, name: &str, values: BTreeSet<Vec<u8>>) {
        match values.is_empty() {
            true => self.remove(name),
            false => self.slot(name).values = values,
        }
    }

    fn slot(&mut self, name: &str) -> &mut Attribute {
        self.attributes
            .entry(name.to_lowercase())
            .or_insert_with(|| Attribute { name: name.to_owned(), values: BTreeSet::new() })
    }

    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.values()
    }

    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(&name.to_lowercase())
    }

    /// The only value of an attribute, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.get(name)?.values.iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(first).ok() }
    }

    /// Keeps what the caller answers for.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.attributes.retain(|_, attribute| keep(&attribute.name));
    }

    /// The name and the attributes of a document; anything else in it is for matching.
    pub fn of(document: &Document) -> Self {
        let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut content = Content::new(text("dn"));
        content.active = document.get("active").and_then(Value::as_bool);
        content.awaits_superior = document.get(AWAITS_SUPERIOR).and_then(Value::as_bool).unwrap_or_default();
        let Some(Value::Object(attributes)) = document.get("attributes") else { return content };
        for (name, values) in attributes {
            for value in values.as_array().into_iter().flatten() {
                match value {
                    Value::String(text) => content.put(name, text.as_bytes()),
                    Value::Object(map) => {
                        let coded = map.get("base64").and_then(Value::as_str).unwrap_or_default();
                        content.put(name, STANDARD.decode(coded).unwrap_or_default());
                    }
                    _ => {}
                }
            }
        }
        content
    }

    /// As a document. Octets that are no text stand there in base64.
    pub fn document(&self) -> Document {
        let mut attributes = Map::new();
        for attribute in self.attributes() {
            let values: Vec<Value> = attribute.values.iter().map(|value| written(value)).collect();
            attributes.insert(attribute.name.clone(), Value::Array(values));
        }
        let mut document = Document::new();
        document.insert("dn".to_owned(), self.dn.clone().into());
        document.insert("attributes".to_owned(), Value::Object(attributes));
        if let Some(active) = self.active {
            document.insert("active".to_owned(), active.into());
        }
        if self.awaits_superior {
            document.insert(AWAITS_SUPERIOR.to_owned(), true.into());
        }
        document
    }
}

/// The place of [`Content::awaits_superior`] in a document.
pub const AWAITS_SUPERIOR: &str = "awaitsSuperior";

fn written(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => text.into(),
        _ => json!({ "base64": STANDARD.encode(value) }),
    }
}

/// A name in a form in which two spellings of one name are equal, as far as that can be told
/// without the schema of the other side: no case, no escapes.
pub fn plain(dn: &str) -> Vec<Vec<(String, Vec<u8>)>> {
    let Ok(dn) = Dn::parse(dn) else { return vec![vec![(dn.to_lowercase(), Vec::new())]] };
    dn.rdns().iter().map(plain_rdn).collect()
}

fn plain_rdn(rdn: &Rdn) -> Vec<(String, Vec<u8>)> {
    let mut avas: Vec<_> = rdn
        .avas()
        .iter()
        .map(|ava| {
            let value = match std::str::from_utf8(&ava.value) {
                Ok(text) => text.to_lowercase().into_bytes(),
                Err(_) => ava.value.to_vec(),
            };
            (ava.attr.to_lowercase(), value)
        })
        .collect();
    avas.sort();
    avas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back() {
        let mut content = Content::new("uid=a,dc=down".to_owned());
        content.put("cn", "Zoé");
        content.put("CN", "Z");
        content.put("jpegPhoto", vec![0xff, 0xd8, 0]);
        content.active = Some(false);
        let document = content.document();
        assert_eq!(
            serde_json::to_value(&document).unwrap(),
            json!({
                "dn": "uid=a,dc=down", "active": false,
                "attributes": {"cn": ["Z", "Zoé"], "jpegPhoto": [{"base64": "/9gA"}]},
            })
        );
        assert_eq!(Content::of(&document), content);
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        for (a, b, equal) in [
            ("uid=A,ou=People,dc=x", "UID=a, OU=people,DC=X", true),
            (r"cn=Martin\, Anne,dc=x", r"cn=martin\2C anne,dc=x", true),
            ("cn=a+sn=b,dc=x", "sn=B+cn=A,dc=x", true),
            ("cn=a,dc=x", "cn=a,dc=y", false),
            ("cn=a,dc=x", "cn=a,ou=o,dc=x", false),
        ] {
            assert_eq!(plain(a) == plain(b), equal, "{a} and {b}");
        }
    }
}
