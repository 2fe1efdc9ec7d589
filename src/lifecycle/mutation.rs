//! What a rule sets together with the letter: attributes, axes and facts of the identity.

use super::{State, template};
use crate::{
    clock::Timestamp,
    filter::query::instant,
    schema::{AttrId, Schema, Syntax},
};
use serde_json::{Map, Value};

/// Fields and what they become; templates unresolved.
#[derive(Debug, Default)]
pub struct Mutation(Vec<(Field, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Attribute(AttrId),
    State,
    DataStatus,
    InitState,
    IgnoreLifecycle,
    Custom(String),
}

/// One field as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// No values: the attribute goes.
    Attribute(AttrId, Vec<Vec<u8>>),
    State(State),
    DataStatus(i32),
    InitState(i32),
    IgnoreLifecycle(bool),
    /// A dotted path below customFields; null takes the field away.
    Custom(String, Value),
}

impl Mutation {
    /// On failure the place within the rule, and the reason.
    pub(super) fn compile(fields: Map<String, Value>, schema: &Schema) -> Result<Self, (String, String)> {
        let mut found = Vec::new();
        for (path, value) in flat(fields) {
            let place = |reason: String| (format!("mutation.{path}"), reason);
            let field = field(&path, schema).map_err(place)?;
            // The same check as when it runs, with another time.
            let sample = template::resolve(&value, Timestamp::default()).map_err(place)?;
            set(&field, &sample, schema).map_err(place)?;
            found.push((field, value));
        }
        Ok(Mutation(found))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be set at this time.
    pub fn resolve(&self, now: Timestamp, schema: &Schema) -> Result<Vec<Set>, String> {
        self.0.iter().map(|(field, value)| set(field, &template::resolve(value, now)?, schema)).collect()
    }
}

/// Dotted paths and nested documents mean the same.
fn flat(fields: Map<String, Value>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (key, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.extend(flat(inner).into_iter().map(|(path, value)| (format!("{key}.{path}"), value)));
            }
            value => out.push((key, value)),
        }
    }
    out
}

fn field(path: &str, schema: &Schema) -> Result<Field, String> {
    match path {
        "state" => return Ok(Field::State),
        "dataStatus" => return Ok(Field::DataStatus),
        "initState" => return Ok(Field::InitState),
        "ignoreLifecycle" => return Ok(Field::IgnoreLifecycle),
        "lifecycle" => return Err("the target of the rule says it".to_owned()),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("customFields.") {
        return Ok(Field::Custom(rest.to_owned()));
    }
    let name = match path.strip_prefix("additionalFields.attributes.") {
        Some(rest) => rest.split_once('.').filter(|(class, _)| schema.class_id(class).is_some()).map(|(_, attr)| attr),
        None => path.strip_prefix("inetOrgPerson."),
    };
    let name = name.ok_or(
        "is no field that a rule can set; expected state, dataStatus, initState, ignoreLifecycle, customFields.<name>, inetOrgPerson.<attribute> or additionalFields.attributes.<class>.<attribute>",
    )?;
    let id = schema.attr_id(name).ok_or("is an attribute that the schema does not know")?;
    if schema.attribute(id).is_operational() || schema.is_secret(id) || id == schema.known.object_class {
        return Err("is an attribute that a rule cannot set".to_owned());
    }
    Ok(Field::Attribute(id))
}

fn set(field: &Field, value: &Value, schema: &Schema) -> Result<Set, String> {
    let number = || value.as_i64().and_then(|n| i32::try_from(n).ok());
    match field {
        Field::State => match number().and_then(State::from_number) {
            Some(state @ (State::ToValidate | State::ToSync)) => Ok(Set::State(state)),
            _ => Err("expected 1 TO_VALIDATE or 2 TO_SYNC".to_owned()),
        },
        Field::DataStatus => number()
            .filter(|n| matches!(n, -3 | -2 | 0 | 1))
            .map(Set::DataStatus)
            .ok_or_else(|| "expected 1, 0, -2 or -3".to_owned()),
        Field::InitState => {
            number().filter(|n| (0..=2).contains(n)).map(Set::InitState).ok_or_else(|| "expected 0, 1 or 2".to_owned())
        }
        Field::IgnoreLifecycle => {
            value.as_bool().map(Set::IgnoreLifecycle).ok_or_else(|| "expected true or false".to_owned())
        }
        Field::Custom(path) => Ok(Set::Custom(path.clone(), value.clone())),
        Field::Attribute(attr) => {
            let values = match value {
                Value::Array(items) => items.iter().map(|v| bytes(*attr, v, schema)).collect::<Result<Vec<_>, _>>()?,
                one => vec![bytes(*attr, one, schema)?],
            };
            Ok(Set::Attribute(*attr, values.into_iter().flatten().collect()))
        }
    }
}

/// A value as the entry holds it; an empty one is none.
fn bytes(attr: AttrId, value: &Value, schema: &Schema) -> Result<Option<Vec<u8>>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => match (schema.attribute(attr).syntax, instant(text)) {
            (Syntax::GeneralizedTime, Some(time)) => time.generalized_time(),
            _ => text.clone(),
        },
        Value::Bool(true) => "TRUE".to_owned(),
        Value::Bool(false) => "FALSE".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => return Err("expected a text, a number, true, false or a list".to_owned()),
    };
    if !schema.attribute(attr).syntax.accepts(text.as_bytes(), schema) {
        return Err(format!("expected {}", schema.attribute(attr).syntax.desc()));
    }
    Ok(Some(text.into_bytes()))
}
