//! What the server in this process holds: objects by path, found by their names without looking at
//! all of them, and what was never to happen to them.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub type Object = Map<String, Value>;

/// By these objects are looked for; all but externalId are compared without case.
const NAMES: [&str; 3] = ["externalId", "userName", "displayName"];

#[derive(Default)]
pub struct Objects {
    by_path: BTreeMap<String, Object>,
    /// Collection, attribute and value in small letters to paths.
    by_name: HashMap<(String, &'static str, String), BTreeSet<String>>,
    /// Filters on externalId find nothing, as on some servers that keep it.
    pub hides_external_id: bool,
    /// How often an object came to live beside another one of the same externalId.
    pub duplicates: u64,
    /// The externalIds of all that was deleted.
    pub deleted: BTreeSet<String>,
}

pub fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn collection(path: &str) -> String {
    path.split('/').next().unwrap_or_default().to_owned()
}

fn keys(path: &str, object: &Object) -> Vec<(String, &'static str, String)> {
    let named = NAMES.iter().filter(|name| !text(object, name).is_empty());
    named.map(|name| (collection(path), *name, text(object, name).to_lowercase())).collect()
}

impl Objects {
    pub fn get(&self, path: &str) -> Option<&Object> {
        self.by_path.get(path)
    }

    pub fn put(&mut self, path: &str, object: Object) {
        self.forget(path);
        for key in keys(path, &object) {
            let is_id = key.1 == "externalId";
            let same = self.by_name.entry(key).or_default();
            self.duplicates += u64::from(is_id && !same.is_empty());
            same.insert(path.to_owned());
        }
        self.by_path.insert(path.to_owned(), object);
    }

    pub fn remove(&mut self, path: &str) {
        if let Some(object) = self.forget(path) {
            self.deleted.insert(text(&object, "externalId").to_owned());
        }
    }

    fn forget(&mut self, path: &str) -> Option<Object> {
        let object = self.by_path.remove(path)?;
        for key in keys(path, &object) {
            if let Some(same) = self.by_name.get_mut(&key) {
                same.remove(path);
            }
        }
        Some(object)
    }

    pub fn all(&self, collection: &str) -> impl Iterator<Item = (&String, &Object)> {
        let prefix = format!("{collection}/");
        let from = self.by_path.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// Those of which an attribute has this value, whatever its case.
    pub fn named(&self, collection: &str, attribute: &str, value: &str) -> Vec<&String> {
        if self.hides_external_id && attribute == "externalId" {
            return Vec::new();
        }
        match NAMES.iter().find(|name| **name == attribute) {
            Some(name) => {
                let key = (collection.to_owned(), *name, value.to_lowercase());
                self.by_name.get(&key).into_iter().flatten().collect()
            }
            None => {
                let all = self.all(collection);
                all.filter(|(_, o)| text(o, attribute).eq_ignore_ascii_case(value)).map(|(path, _)| path).collect()
            }
        }
    }
}
