//! The value rules of one identity class (`schemas/classes/<class>.yml`): JSON Schema written in
//! YAML, in Sesame's form. A file outside that form is a config fault, never ignored.

use super::{
    AttrId, ClassId, Schema,
    fault::{Error, Fault},
    load::{Sources, yaml},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// All class rules in use, and what is to be said of their files.
#[derive(Debug, Default)]
pub struct Rules {
    classes: HashMap<ClassId, ClassRule>,
    pub notes: Vec<Fault>,
}

impl Rules {
    pub(in crate::schema) fn load(schema: &Schema, sources: &Sources, notes: Vec<Fault>) -> Result<Self, Error> {
        Ok(Rules { classes: load(schema, &sources.classes)?, notes })
    }

    pub fn of(&self, class: ClassId) -> Option<&ClassRule> {
        self.classes.get(&class)
    }

    pub fn classes(&self) -> impl ExactSizeIterator<Item = &ClassRule> {
        self.classes.values()
    }
}

/// The compiled rules of one class.
#[derive(Debug)]
pub struct ClassRule {
    pub class: ClassId,
    pub file: PathBuf,
    pub properties: Vec<Property>,
    pub(in crate::schema) validator: jsonschema::Validator,
}

/// One attribute that the rules speak of.
#[derive(Debug)]
pub struct Property {
    /// As the file spells it; the key in the JSON document.
    pub name: SmolStr,
    pub attr: AttrId,
    pub kind: ValueType,
    /// What a value must be, in words, for diagnostics.
    pub description: String,
    /// The type of the members of an array.
    pub items: ValueType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

/// The root of a rule file. These four keys and no other (Sesame's meta-schema).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    #[serde(rename = "type")]
    kind: RootType,
    #[serde(default)]
    properties: BTreeMap<SmolStr, PropertyDef>,
    #[serde(default)]
    required: Vec<SmolStr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RootType {
    Object,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PropertyDef {
    #[serde(rename = "type")]
    kind: ValueType,
    #[serde(default, skip_serializing)]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_items: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_minimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_maximum: Option<f64>,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Value>>,
    #[serde(rename = "const", skip_serializing_if = "Option::is_none")]
    constant: Option<Value>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Date,
    Time,
    DateTime,
    Duration,
    Email,
    Uri,
    UriReference,
    Hostname,
    Ipv4,
    Ipv6,
    Regex,
    Uuid,
    Number,
}

/// Compiles all rule files. The file's name is the class's name, without regard to case.
fn load(schema: &Schema, files: &[(PathBuf, String)]) -> Result<HashMap<ClassId, ClassRule>, Error> {
    let mut rules = HashMap::new();
    let mut faults = Vec::new();
    for (path, text) in files {
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(class) = schema.class_id(&stem) else {
            faults.push(fault(path, "file name", format!("'{stem}' is not an object class of the schema")));
            continue;
        };
        let file: RuleFile = yaml(path, text)?;
        match compile(schema, class, path, file) {
            Ok(rule) => {
                if rules.insert(class, rule).is_some() {
                    faults.push(fault(path, "file name", format!("a second file for class '{stem}'")));
                }
            }
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(Error::Faults(faults)) }
}

fn compile(schema: &Schema, class: ClassId, path: &Path, file: RuleFile) -> Result<ClassRule, Vec<Fault>> {
    let RootType::Object = file.kind;
    let mut faults = Vec::new();
    let mut properties = Vec::new();
    let mut definitions = serde_json::Map::new();
    for (name, mut def) in file.properties {
        let required = file.required.iter().any(|r| r == &name);
        let place = format!("properties.{name}");
        match schema.attr_id(&name) {
            Some(attr) => properties.push(Property {
                name: name.clone(),
                attr,
                kind: def.kind,
                items: item_type(&def),
                description: std::mem::take(&mut def.description),
            }),
            None => faults.push(fault(path, &place, "is not an attribute type of the LDAP schema")),
        }
        // A required value must not be empty (Sesame's rule).
        if required && def.kind == ValueType::String {
            def.min_length.get_or_insert(1);
        }
        if required && def.kind == ValueType::Array {
            def.min_items.get_or_insert(1);
        }
        match serde_json::to_value(&def) {
            Ok(value) => drop(definitions.insert(name.to_string(), value)),
            Err(e) => faults.push(fault(path, &place, e.to_string())),
        }
    }
    for name in &file.required {
        if !definitions.contains_key(name.as_str()) {
            faults.push(fault(path, &format!("required.{name}"), "must be declared under properties"));
        }
    }
    let document = json!({"type": "object", "properties": definitions, "required": file.required});
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .should_validate_formats(true)
        .with_format("number", |text: &str| text.bytes().all(|b| b.is_ascii_digit()))
        .build(&document);
    match validator {
        Ok(validator) if faults.is_empty() => Ok(ClassRule { class, file: path.to_owned(), properties, validator }),
        Ok(_) => Err(faults),
        Err(e) => {
            let place = e.instance_path().to_string().trim_start_matches('/').replace('/', ".");
            faults.push(fault(path, &place, e.to_string()));
            Err(faults)
        }
    }
}

fn item_type(def: &PropertyDef) -> ValueType {
    let named = def.items.as_ref().and_then(|i| i.get("type")).cloned();
    named.and_then(|t| serde_json::from_value(t).ok()).unwrap_or(ValueType::String)
}

fn fault(path: &Path, place: &str, reason: impl Into<String>) -> Fault {
    Fault::whole(path, place, reason)
}
