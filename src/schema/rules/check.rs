//! Checks that JSON Schema has no word for: Sesame's older words, dates, and the formats of SupAnn.

use super::{code, composite::Composite, etat, tagged::Tagged};
use crate::{
    clock,
    schema::{Reason, Said},
};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value;

#[derive(Debug)]
pub(super) enum Check {
    Trim,
    Lowercase,
    Uppercase,
    CamelCase,
    ConstantCase,
    Positive,
    Negative,
    Date,
    MinDate(Timestamp, String),
    MaxDate(Timestamp, String),
    Composite(Composite),
    Tagged(Tagged),
    Etat,
    EtatDate,
    Uai,
    Siret,
    Ine,
    E164,
}

impl Check {
    /// The key of the rule file that asks for it.
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Check::Trim => "trim",
            Check::Lowercase => "lowercase",
            Check::Uppercase => "uppercase",
            Check::CamelCase => "camelCase",
            Check::ConstantCase => "constantCase",
            Check::Positive => "positive",
            Check::Negative => "negative",
            Check::Date => "type",
            Check::MinDate(..) => "minDate",
            Check::MaxDate(..) => "maxDate",
            Check::Composite(_)
            | Check::Tagged(_)
            | Check::Etat
            | Check::EtatDate
            | Check::Uai
            | Check::Siret
            | Check::Ine
            | Check::E164 => "format",
        }
    }

    /// Values of another type are not its business: the type is checked on its own.
    pub(super) fn check(&self, value: &Value) -> Result<(), Reason> {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => self.number(number.as_f64().unwrap_or_default()),
            _ => Ok(()),
        }
    }

    pub(super) fn text(&self, text: &str) -> Result<(), Reason> {
        match self {
            Check::Trim => require(text.trim() == text, Said::Trim),
            Check::Lowercase => require(!text.chars().any(char::is_uppercase), Said::Lowercase),
            Check::Uppercase => require(!text.chars().any(char::is_lowercase), Said::Uppercase),
            Check::CamelCase => require(is_camel_case(text), Said::CamelCase),
            Check::ConstantCase => require(is_constant_case(text), Said::ConstantCase),
            Check::Positive | Check::Negative => Ok(()),
            Check::Date => require(instant(text).is_some(), Said::TypeDate),
            Check::MinDate(bound, shown) => dated(text, |at| at >= *bound, Said::MinDate, shown),
            Check::MaxDate(bound, shown) => dated(text, |at| at <= *bound, Said::MaxDate, shown),
            Check::Composite(composite) => composite.check(text),
            Check::Tagged(tagged) => tagged.check(text),
            Check::Etat => etat::etat(text),
            Check::EtatDate => etat::etat_date(text),
            Check::Uai => code::uai(text),
            Check::Siret => code::siret(text),
            Check::Ine => code::ine(text),
            Check::E164 => code::e164(text),
        }
    }

    fn number(&self, number: f64) -> Result<(), Reason> {
        match self {
            Check::Positive => require(number > 0.0, Said::Positive),
            Check::Negative => require(number < 0.0, Said::Negative),
            _ => Ok(()),
        }
    }
}

fn require(holds: bool, said: Said) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(Reason::new(said)) }
}

fn dated(text: &str, holds: impl Fn(Timestamp) -> bool, said: Said, bound: &str) -> Result<(), Reason> {
    match instant(text) {
        None => Err(Reason::new(Said::TypeDate)),
        Some(at) if holds(at) => Ok(()),
        Some(_) => Err(Reason::new(said).with(bound)),
    }
}

/// A day or a time, as JSON has them (RFC 3339) or as LDAP does. A day begins at midnight UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if text.len() == "YYYY-MM-DD".len()
        && let Ok(day) = text.parse::<civil::Date>()
    {
        return day.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
    }
    let time = clock::Timestamp::parse_generalized_time(text)?;
    Timestamp::from_second(time.secs()).ok()
}

fn is_camel_case(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_constant_case(text: &str) -> bool {
    let is_word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.split('_').all(is_word)
}
