//! The form that a rule file gives to one value: what JSON Schema checks, and what it has no word
//! for.

use super::{ValueType, check::Check};
use crate::schema::{Reason, Said};
use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::{Map, Value};

#[derive(Debug, Default)]
pub(super) struct Form {
    pub kind: Option<ValueType>,
    pub description: String,
    /// In JSON Schema's words.
    pub json: Map<String, Value>,
    pub checks: Vec<Check>,
    /// Of the members of an array.
    pub items: Option<Box<Form>>,
}

/// The form of a text that is part of a value.
#[derive(Debug)]
pub(super) struct Inner {
    validator: jsonschema::Validator,
    checks: Vec<Check>,
}

impl Inner {
    pub(super) fn new(form: Form) -> Result<Self, String> {
        let validator = validator(&Value::Object(form.json)).map_err(|e| e.to_string())?;
        Ok(Inner { validator, checks: form.checks })
    }

    pub(super) fn check(&self, text: &str) -> Result<(), Reason> {
        let value = Value::String(text.to_owned());
        if let Err(error) = self.validator.validate(&value) {
            return Err(reason(&error));
        }
        self.checks.iter().try_for_each(|check| check.text(text))
    }
}

/// Formats are those of JSON Schema 2020-12, which has `uuid` and `duration`; what else differs from
/// draft-07 is not among the keys that a rule file may hold.
pub(super) fn validator(document: &Value) -> Result<jsonschema::Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .with_format("number", |text: &str| text.bytes().all(|b| b.is_ascii_digit()))
        .build(document)
}

/// What JSON Schema found, in our words.
pub(super) fn reason(error: &ValidationError<'_>) -> Reason {
    use ValidationErrorKind as Kind;
    let said = |said| Reason::new(said);
    match error.kind() {
        Kind::Required { .. } => said(Said::Required),
        Kind::Type { kind } => said(type_said(kind, error.instance())),
        Kind::MinLength { limit } => said(Said::MinLength).with(limit),
        Kind::MaxLength { limit } => said(Said::MaxLength).with(limit),
        Kind::Pattern { pattern } => said(Said::Pattern).with(pattern),
        Kind::Format { format } => said(Said::Format).with(format),
        Kind::MinItems { limit } => said(Said::MinItems).with(limit),
        Kind::MaxItems { limit } => said(Said::MaxItems).with(limit),
        Kind::UniqueItems => said(Said::UniqueItems),
        Kind::Contains => said(Said::Contains),
        Kind::Minimum { limit } => said(Said::Minimum).with(limit),
        Kind::Maximum { limit } => said(Said::Maximum).with(limit),
        Kind::ExclusiveMinimum { limit } => said(Said::ExclusiveMinimum).with(limit),
        Kind::ExclusiveMaximum { limit } => said(Said::ExclusiveMaximum).with(limit),
        Kind::MultipleOf { multiple_of } => said(Said::MultipleOf).with(multiple_of),
        Kind::Enum { options } => said(Said::Enum).with(listed(options)),
        Kind::Constant { expected_value } => said(Said::Const).with(shown(expected_value)),
        _ => said(Said::Other).with(keyword(error)),
    }
}

/// The key of the rule file that the value breaks.
pub(super) fn keyword<'a>(error: &'a ValidationError<'_>) -> &'a str {
    match error.kind() {
        ValidationErrorKind::FalseSchema => "additionalProperties",
        other => other.keyword(),
    }
}

fn type_said(kind: &jsonschema::error::TypeKind, instance: &Value) -> Said {
    let jsonschema::error::TypeKind::Single(kind) = kind else { return Said::Other };
    match (kind.as_str(), instance) {
        ("array", _) => Said::TypeArray,
        (_, Value::Array(_)) => Said::OneValue,
        ("number", _) => Said::TypeNumber,
        ("integer", _) => Said::TypeInteger,
        ("boolean", _) => Said::TypeBoolean,
        ("object", _) => Said::TypeObject,
        _ => Said::TypeString,
    }
}

fn listed(options: &Value) -> String {
    options.as_array().map(|list| list.iter().map(shown).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
