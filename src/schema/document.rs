//! An entry as the JSON document that class rules are applied to. The rule's type decides
//! between one value and a list; what is absent stays absent.

use super::{Attr, ClassRule, rules::ValueType};
use serde_json::{Map, Value};

/// The part of the entry that one class's rules speak of.
pub(super) fn document(rule: &ClassRule, attrs: &[Attr]) -> Value {
    let mut document = Map::new();
    for property in &rule.properties {
        let held = attrs.iter().find(|a| a.desc.id == property.attr && a.desc.options.is_empty());
        let Some(held) = held.filter(|a| !a.values.is_empty()) else { continue };
        let value = match (property.kind, held.values.as_slice()) {
            (ValueType::Array, values) => Value::Array(values.iter().map(|v| scalar(property.items, v)).collect()),
            (kind, [one]) => scalar(kind, one),
            // Several values where the rule wants one: a list, which the rule's type refuses.
            (kind, many) => Value::Array(many.iter().map(|v| scalar(kind, v)).collect()),
        };
        document.insert(property.name.to_string(), value);
    }
    Value::Object(document)
}

fn scalar(kind: ValueType, value: &[u8]) -> Value {
    let text = String::from_utf8_lossy(value);
    let parsed = match kind {
        ValueType::Integer => text.parse::<i64>().ok().map(Value::from),
        ValueType::Number => text.parse::<f64>().ok().map(Value::from),
        ValueType::Boolean => match text.as_ref() {
            "TRUE" => Some(Value::Bool(true)),
            "FALSE" => Some(Value::Bool(false)),
            _ => None,
        },
        ValueType::Object => serde_json::from_str(&text).ok(),
        ValueType::String | ValueType::Date | ValueType::Array => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.into_owned()))
}
