//! The keys that a property of a rule file may have, and what each means: every one works, or is
//! refused with the reason. Sesame's meta-schema allows more words than its engine knows; those of
//! its older engine that only check are checks here, those that would change a value are refused.

use super::ValueType::{self, *};

/// What a key stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// Read on its own, before the others.
    Own,
    /// A word of JSON Schema with a value of this shape.
    Standard(Shape),
    /// True asks for a check of this name.
    Flag,
    /// A day or a time.
    Date,
    /// The least or the most of what the type counts.
    Bound,
    /// What an object holds.
    Object,
    /// Says more of the format of this name.
    Parameter(&'static str),
    Refused(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Count,
    Number,
    Text,
    Flag,
    /// Of the declared type.
    Value,
    Values,
    /// The form of a member.
    Form,
}

pub(super) struct Key {
    pub name: &'static str,
    pub meaning: Meaning,
    /// The types of which it says something.
    pub types: &'static [ValueType],
}

const ALL: &[ValueType] = &[String, Integer, Number, Boolean, Array, Object, Date];
const TEXTS: &[ValueType] = &[String, Date];
const NUMBERS: &[ValueType] = &[Integer, Number];

pub(super) fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

const fn entry(name: &'static str, meaning: Meaning, types: &'static [ValueType]) -> Key {
    Key { name, meaning, types }
}

pub(super) const KEYS: &[Key] = &[
    entry("type", Meaning::Own, ALL),
    entry("description", Meaning::Own, ALL),
    // Formats of arrays are those of their members.
    entry("format", Meaning::Own, &[String, Date, Array]),
    entry("minLength", Meaning::Standard(Shape::Count), TEXTS),
    entry("maxLength", Meaning::Standard(Shape::Count), TEXTS),
    entry("pattern", Meaning::Standard(Shape::Text), TEXTS),
    entry("items", Meaning::Standard(Shape::Form), &[Array]),
    entry("contains", Meaning::Standard(Shape::Form), &[Array]),
    entry("minItems", Meaning::Standard(Shape::Count), &[Array]),
    entry("maxItems", Meaning::Standard(Shape::Count), &[Array]),
    entry("uniqueItems", Meaning::Standard(Shape::Flag), &[Array]),
    entry("minimum", Meaning::Standard(Shape::Number), NUMBERS),
    entry("maximum", Meaning::Standard(Shape::Number), NUMBERS),
    entry("exclusiveMinimum", Meaning::Standard(Shape::Number), NUMBERS),
    entry("exclusiveMaximum", Meaning::Standard(Shape::Number), NUMBERS),
    entry("multipleOf", Meaning::Standard(Shape::Number), NUMBERS),
    entry("enum", Meaning::Standard(Shape::Values), ALL),
    entry("const", Meaning::Standard(Shape::Value), ALL),
    // Inside of objects, which Sesame's meta-schema does not look into.
    entry("properties", Meaning::Object, &[Object]),
    entry("required", Meaning::Object, &[Object]),
    entry("additionalProperties", Meaning::Object, &[Object]),
    // The older engine's words that check.
    entry("min", Meaning::Bound, &[String, Integer, Number, Array, Date]),
    entry("max", Meaning::Bound, &[String, Integer, Number, Array, Date]),
    entry("minDate", Meaning::Date, TEXTS),
    entry("maxDate", Meaning::Date, TEXTS),
    entry("positive", Meaning::Flag, NUMBERS),
    entry("negative", Meaning::Flag, NUMBERS),
    entry("trim", Meaning::Flag, TEXTS),
    entry("lowercase", Meaning::Flag, &[String]),
    entry("uppercase", Meaning::Flag, &[String]),
    entry("camelCase", Meaning::Flag, &[String]),
    entry("constantCase", Meaning::Flag, &[String]),
    // Formats of our own.
    entry("keys", Meaning::Parameter("supann-composite"), &[String, Array]),
    entry("mandatory", Meaning::Parameter("supann-composite"), &[String, Array]),
    entry("tags", Meaning::Parameter("supann-tagged"), &[String, Array]),
    entry("closed", Meaning::Parameter("supann-tagged"), &[String, Array]),
    entry("bare", Meaning::Parameter("supann-tagged"), &[String, Array]),
    entry("values", Meaning::Parameter("supann-"), &[String, Array]),
    // What has no place in a check.
    entry("round", Meaning::Refused("it would change the value; a rule only checks it"), ALL),
    entry("truncate", Meaning::Refused("it would change the value; a rule only checks it (write type: integer)"), ALL),
    entry("ensure", Meaning::Refused("it would change the value; a rule only checks it"), ALL),
    entry("compact", Meaning::Refused("it would change the value; a rule only checks it"), ALL),
    entry("default", Meaning::Refused("nothing is filled in: an attribute that is absent stays absent"), ALL),
    entry("noUnknown", Meaning::Refused("attributes that a rule file does not declare are always accepted"), ALL),
    entry("integer", Meaning::Refused("write type: integer"), ALL),
    entry("moreThan", Meaning::Refused("write exclusiveMinimum"), ALL),
    entry("lessThan", Meaning::Refused("write exclusiveMaximum"), ALL),
];

/// Formats that JSON Schema has, and Sesame's `number` (digits, or nothing).
pub(super) const STANDARD_FORMATS: &[&str] = &[
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "uri",
    "uri-reference",
    "hostname",
    "ipv4",
    "ipv6",
    "regex",
    "uuid",
    "number",
];

pub(super) const OWN_FORMATS: &[&str] =
    &["supann-composite", "supann-tagged", "supann-etat", "supann-etat-date", "uai", "siret", "ine", "e164"];
