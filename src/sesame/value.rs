//! One attribute between its two forms: LDAP values, and a JSON value of Sesame's document.

use crate::schema::{AttrId, ClassId, Schema, Syntax, ValueType};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Number, Value};
use smol_str::SmolStr;

/// Lists in Sesame whatever LDAP says of them.
const LISTS: [&str; 2] = ["employeeNumber", "departmentNumber"];

/// Of these the server makes the values of the account from the axes (supannRessourceEtat). They are
/// no part of what importers send and compare.
const MADE: [&str; 2] = ["supannRessourceEtat", "supannRessourceEtatDate"];
const ACCOUNT: &[u8] = b"{COMPTE}";

/// The values that are somebody's own.
pub(super) fn own<'v>(schema: &Schema, attr: AttrId, values: impl IntoIterator<Item = &'v [u8]>) -> Vec<Vec<u8>> {
    let made = is_made(schema, attr);
    let is_account = |v: &[u8]| v.get(..ACCOUNT.len()).is_some_and(|head| head.eq_ignore_ascii_case(ACCOUNT));
    values.into_iter().filter(|v| !(made && is_account(v))).map(<[u8]>::to_vec).collect()
}

/// True for attributes some of whose values the server makes.
pub(super) fn is_made(schema: &Schema, attr: AttrId) -> bool {
    MADE.contains(&schema.attribute(attr).name.as_str())
}

/// How the document writes an attribute of one block.
pub(super) struct Shape {
    /// The key, as the rule file spells it or else the schema.
    pub key: SmolStr,
    kind: Option<ValueType>,
    items: ValueType,
    /// Whether a rule file says so.
    is_declared: bool,
}

impl Shape {
    /// The type that the class's rules declare, if the value is of another one.
    pub fn mistyped(&self, json: &Value) -> Option<&'static str> {
        let (fits, name) = match self.kind.filter(|_| self.is_declared)? {
            ValueType::String => (json.is_string(), "string"),
            ValueType::Date => (json.is_string(), "date"),
            ValueType::Integer => (json.is_i64() || json.is_u64(), "integer"),
            ValueType::Number => (json.is_number(), "number"),
            ValueType::Boolean => (json.is_boolean(), "boolean"),
            // LDAP knows no difference between one value and a list of one, and importers do not either.
            ValueType::Array => (!json.is_object(), "array"),
            ValueType::Object => (json.is_object(), "object"),
        };
        (!fits && !json.is_null()).then_some(name)
    }

    pub fn of(schema: &Schema, class: ClassId, attr: AttrId) -> Self {
        let name = schema.attribute(attr).name.clone();
        let rules = schema.rules();
        let property = rules.of(class).and_then(|rule| rule.properties.iter().find(|p| p.attr == attr));
        match property {
            Some(property) => {
                let kind = Some(property.kind);
                Shape { key: property.name.clone(), kind, items: property.items, is_declared: true }
            }
            None if class == schema.known.inet_org_person && LISTS.contains(&name.as_str()) => {
                Shape { key: name, kind: Some(ValueType::Array), items: ValueType::String, is_declared: false }
            }
            None => Shape { key: name, kind: None, items: ValueType::String, is_declared: false },
        }
    }

    /// The JSON of stored values. Without a type by the rules several values make a list, one does
    /// not.
    pub fn read(&self, values: &[Vec<u8>], syntax: Syntax) -> Value {
        match (self.kind, values) {
            (Some(ValueType::Array), values) => values.iter().map(|v| scalar(self.items, v, syntax)).collect(),
            (kind, [one]) => scalar(kind.unwrap_or(ValueType::String), one, syntax),
            (kind, many) => many.iter().map(|v| scalar(kind.unwrap_or(ValueType::String), v, syntax)).collect(),
        }
    }
}

fn scalar(kind: ValueType, value: &[u8], syntax: Syntax) -> Value {
    if is_binary(syntax) {
        return Value::String(BASE64.encode(value));
    }
    let text = String::from_utf8_lossy(value);
    let typed = match kind {
        ValueType::Integer | ValueType::Number => text
            .parse::<i64>()
            .ok()
            .map(Value::from)
            .or_else(|| text.parse().ok().and_then(Number::from_f64).map(Value::Number)),
        ValueType::Boolean => match text.as_ref() {
            "TRUE" => Some(Value::Bool(true)),
            "FALSE" => Some(Value::Bool(false)),
            _ => None,
        },
        ValueType::Object => serde_json::from_str(&text).ok().filter(Value::is_object),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::String(text.into_owned()))
}

/// What LDAP can hold of a JSON value.
pub(super) struct Written {
    pub values: Vec<Vec<u8>>,
    /// A value is there that is none of the attribute's syntax.
    pub unfit: bool,
}

impl Written {
    /// True if the entry has what was written, in whatever order.
    pub fn is_held(&self, schema: &Schema, attr: AttrId, held: &[Vec<u8>]) -> bool {
        same_set(&own(schema, attr, self.values.iter().map(Vec::as_slice)), held)
    }
}

/// The LDAP values of a JSON value: what is empty is none, a second one of a single-valued
/// attribute stays out, and so does what breaks the syntax.
pub(super) fn write(schema: &Schema, attr: AttrId, value: &Value) -> Written {
    let attribute = schema.attribute(attr);
    let mut written = Written { values: Vec::new(), unfit: false };
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    for item in items {
        let Some(text) = text(item) else { continue };
        // Sesame keeps photographs elsewhere, and here the name of the place.
        let bytes = match is_binary(attribute.syntax) {
            true => match BASE64.decode(&text) {
                Ok(bytes) => bytes,
                Err(_) => continue,
            },
            false => text.into_bytes(),
        };
        if !attribute.syntax.accepts(&bytes, schema) {
            written.unfit = true;
            continue;
        }
        let form = schema.identity(attr, &bytes);
        let twin = written.values.iter().any(|held| schema.identity(attr, held) == form);
        drop(form);
        let full = attribute.single_value && !written.values.is_empty();
        if !twin && !full {
            written.values.push(bytes);
        }
    }
    written
}

/// True if a text of the JSON value is none of the stored values.
pub(super) fn says_more(schema: &Schema, attr: AttrId, value: &Value, held: &[Vec<u8>]) -> bool {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let is_held = |text: &str| {
        let form = schema.identity(attr, text.as_bytes());
        held.iter().any(|value| schema.identity(attr, value) == form)
    };
    !is_binary(schema.attribute(attr).syntax) && items.iter().filter_map(text).any(|text| !is_held(&text))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Array(_) => None,
        Value::String(text) => Some(text.clone()).filter(|t| !t.is_empty()),
        Value::Bool(true) => Some("TRUE".to_owned()),
        Value::Bool(false) => Some("FALSE".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(members) if members.is_empty() => None,
        Value::Object(_) => Some(value.to_string()),
    }
}

fn is_binary(syntax: Syntax) -> bool {
    use Syntax::*;
    matches!(
        syntax,
        Audio
            | Binary
            | Certificate
            | CertificateList
            | CertificatePair
            | FaxImage
            | Jpeg
            | OctetString
            | SupportedAlgorithm
    )
}

/// True if both lists hold the same values in whatever order.
pub(super) fn same_set(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    let sorted = |list: &[Vec<u8>]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}
