//! The value rules of classes (`schemas/classes/<class>.yml`): JSON Schema written in
//! YAML, in Sesame's form. A file outside that form is a config fault, never ignored.
//!
//! `read` takes a file apart by the table in `key`, `form` and `check` say what is wrong with a
//! value, and the formats of SupAnn have a file each.

mod check;
mod code;
mod composite;
mod cross;
mod etat;
mod form;
mod key;
mod read;
mod tagged;

use super::{
    AttrId, ClassId, Schema,
    fault::{Error, Fault},
    load::Sources,
    message::{Reason, Said},
};
pub use cross::{CrossRule, Mode};

use check::Check;
use form::Form;
use read::Reader;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// All class rules in use, and what is to be said of their files.
#[derive(Debug, Default)]
pub struct Rules {
    classes: HashMap<ClassId, ClassRule>,
    pub cross: Vec<CrossRule>,
    pub notes: Vec<Fault>,
}

/// The compiled rules of one class.
#[derive(Debug)]
pub struct ClassRule {
    pub class: ClassId,
    pub file: PathBuf,
    pub properties: Vec<Property>,
    validator: jsonschema::Validator,
}

/// One attribute that the rules speak of.
#[derive(Debug)]
pub struct Property {
    /// As the file spells it; the key in the JSON document.
    pub name: SmolStr,
    pub attr: AttrId,
    pub kind: ValueType,
    pub required: bool,
    /// What a value must be, in words, for diagnostics.
    pub description: String,
    /// The type of the members of an array.
    pub items: ValueType,
    /// The form in JSON Schema's words, for whoever shows it.
    pub form: Value,
    checks: Vec<Check>,
    item_checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Date,
}

/// One rule that a document breaks.
pub(super) struct Broken {
    /// As the document spells it.
    pub property: SmolStr,
    pub attr: Option<AttrId>,
    pub keyword: String,
    pub reason: Reason,
}

impl Rules {
    pub(super) fn load(schema: &Schema, sources: &Sources, notes: Vec<Fault>) -> Result<Self, Error> {
        let mut rules = Rules { notes, ..Rules::default() };
        let mut faults = Vec::new();
        for (path, text) in &sources.classes {
            let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(class) = schema.class_id(&stem) else {
                // A file that can be read defines its class.
                let mut reader = Reader::new(path, text);
                reader.file();
                faults.extend(reader.faults);
                continue;
            };
            match compile(schema, class, path, text, &mut rules.notes) {
                Ok(rule) => {
                    if rules.classes.insert(class, rule).is_some() {
                        faults.push(Fault::whole(path, "file name", format!("a second file for class '{stem}'")));
                    }
                }
                Err(found) => faults.extend(found),
            }
        }
        match cross::load(schema, sources, &mut rules.notes) {
            Ok(cross) => rules.cross = cross,
            Err(Error::Faults(found)) => faults.extend(found),
            Err(other) if faults.is_empty() => return Err(other),
            Err(_) => {}
        }
        if faults.is_empty() { Ok(rules) } else { Err(Error::Faults(faults)) }
    }

    pub fn of(&self, class: ClassId) -> Option<&ClassRule> {
        self.classes.get(&class)
    }

    pub fn classes(&self) -> impl ExactSizeIterator<Item = &ClassRule> {
        self.classes.values()
    }
}

impl ClassRule {
    /// Everything that a document of this class breaks.
    pub(super) fn broken(&self, document: &Value) -> Vec<Broken> {
        let mut found = Vec::new();
        if !self.validator.is_valid(document) {
            found.extend(self.validator.iter_errors(document).map(|error| {
                let keyword = form::keyword(&error);
                let name = match error.kind() {
                    jsonschema::error::ValidationErrorKind::Required { property } => {
                        property.as_str().unwrap_or_default().to_owned()
                    }
                    _ => error.instance_path().as_str().split('/').nth(1).unwrap_or_default().to_owned(),
                };
                let property = self.properties.iter().find(|p| p.name == name);
                Broken {
                    property: SmolStr::new(&name),
                    attr: property.map(|p| p.attr),
                    keyword: keyword.to_owned(),
                    reason: in_author_words(property, form::reason(&error)),
                }
            }));
        }
        for property in &self.properties {
            let Some(value) = document.get(property.name.as_str()) else { continue };
            property.check(value, &mut found);
        }
        found
    }
}

impl Property {
    fn check(&self, value: &Value, found: &mut Vec<Broken>) {
        let members = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let own = std::iter::once(value).chain(members).flat_map(|v| self.checks.iter().map(move |c| (c, v)));
        let of_items = members.iter().flat_map(|v| self.item_checks.iter().map(move |c| (c, v)));
        for (check, value) in own.chain(of_items) {
            let Err(reason) = check.check(value) else { continue };
            let reason = reason.in_words(&self.description);
            // Two checks may find the same, such as that a value is no date.
            if !found.iter().any(|b| b.attr == Some(self.attr) && b.reason == reason) {
                let (property, keyword) = (self.name.clone(), check.keyword().to_owned());
                found.push(Broken { property, attr: Some(self.attr), keyword, reason });
            }
        }
    }
}

/// The author's words stand in place of JSON Schema's, but for what is said of presence and type.
fn in_author_words(property: Option<&Property>, reason: Reason) -> Reason {
    use Said::*;
    let of_presence_or_type = matches!(
        reason.said,
        Required | OneValue | TypeString | TypeNumber | TypeInteger | TypeBoolean | TypeArray | TypeObject
    );
    match property {
        Some(p) if !p.description.is_empty() && !of_presence_or_type => Reason::new(Described).with(&p.description),
        _ => reason,
    }
}

fn compile(
    schema: &Schema,
    class: ClassId,
    path: &Path,
    text: &str,
    notes: &mut Vec<Fault>,
) -> Result<ClassRule, Vec<Fault>> {
    let mut reader = Reader::new(path, text);
    let file = reader.file();
    let mut properties: Vec<Property> = Vec::new();
    for (name, form) in file.properties {
        reader.under("properties", |r| {
            r.under(&name, |r| match schema.attr_id(&name) {
                None => r.refuse("is not an attribute type of the LDAP schema"),
                Some(attr) if schema.is_secret(attr) => {
                    r.refuse("is a secret: its values are hashed before any rule could look at them");
                }
                Some(attr) if properties.iter().any(|p| p.attr == attr) => {
                    r.refuse("is declared a second time, under another spelling");
                }
                Some(attr) => {
                    let required = file.required.iter().any(|n| schema.attr_id(n) == Some(attr));
                    properties.push(Property::new(name.clone(), attr, required, form));
                }
            });
        });
    }
    for (at, name) in file.required.iter().enumerate() {
        let attr = schema.attr_id(name);
        if attr.is_none_or(|attr| !properties.iter().any(|p| p.attr == attr)) {
            let known = if attr.is_some() { " (the LDAP schema knows it: say there what form it has)" } else { "" };
            let reason = format!("'{name}' must be declared under properties{known}");
            reader.under("required", |r| r.under(at, |r| r.refuse(reason)));
        }
    }
    let forms: serde_json::Map<String, Value> =
        properties.iter().map(|p| (p.name.to_string(), p.form.clone())).collect();
    let required: Vec<&SmolStr> = properties.iter().filter(|p| p.required).map(|p| &p.name).collect();
    let document = json!({"type": "object", "properties": forms, "required": required});
    let validator = form::validator(&document);
    match validator {
        Ok(validator) if reader.faults.is_empty() => {
            notes.append(&mut reader.notes);
            Ok(ClassRule { class, file: path.to_owned(), properties, validator })
        }
        Ok(_) => Err(reader.faults),
        Err(error) => {
            let pointer = error.instance_path().to_string();
            let keys: Vec<&str> = pointer.trim_start_matches('/').split('/').collect();
            reader.faults.push(Fault::within(path, text, &keys, error.to_string()));
            Err(reader.faults)
        }
    }
}

impl Property {
    fn new(name: SmolStr, attr: AttrId, required: bool, mut form: Form) -> Self {
        let kind = form.kind.unwrap_or(ValueType::String);
        // A required value must not be empty (Sesame's rule).
        let least = match kind {
            ValueType::String | ValueType::Date => Some("minLength"),
            ValueType::Array => Some("minItems"),
            _ => None,
        };
        if let Some(word) = least.filter(|_| required) {
            form.json.entry(word).or_insert(json!(1));
        }
        let items = form.items.map(|items| *items).unwrap_or_default();
        Property {
            name,
            attr,
            kind,
            required,
            description: form.description,
            items: items.kind.unwrap_or(ValueType::String),
            form: Value::Object(form.json),
            checks: form.checks,
            item_checks: items.checks,
        }
    }
}

impl ValueType {
    const WORDS: [(&str, ValueType); 7] = [
        ("string", ValueType::String),
        ("integer", ValueType::Integer),
        ("number", ValueType::Number),
        ("boolean", ValueType::Boolean),
        ("array", ValueType::Array),
        ("object", ValueType::Object),
        ("date", ValueType::Date),
    ];
    const EXPECTED: &str = "expected string, integer, number, boolean, array, object or date";

    fn by_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(w, _)| *w == word).map(|(_, kind)| *kind)
    }

    /// As rule files spell it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("string", |(word, _)| word)
    }

    /// As JSON Schema spells it, which has no dates.
    fn json(self) -> &'static str {
        if self == ValueType::Date { "string" } else { self.word() }
    }

    /// Whether a value of a rule file is of this type.
    fn holds(self, value: &serde_yaml::Value) -> bool {
        match self {
            ValueType::String | ValueType::Date => value.is_string(),
            ValueType::Integer => value.is_i64() || value.is_u64(),
            ValueType::Number => value.is_number(),
            ValueType::Boolean => value.is_bool(),
            ValueType::Array => value.is_sequence(),
            ValueType::Object => value.is_mapping(),
        }
    }
}

#[cfg(test)]
mod tests;
