//! Lifecycle rules as Sesame writes them: who moves from which letters to which, when, and what
//! else is set with it.

use super::{
    condition::{Condition, ConditionDef},
    date_key::DateKey,
    files::{Faults, Text, read},
    mutation::Mutation,
    states::Stages,
};
use crate::schema::Schema;
use serde::Deserialize;
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::{path::Path, sync::Arc};

/// One rule, read and checked.
#[derive(Debug)]
pub struct Rule {
    /// Its file and its place in it, such as `10-students #2`.
    pub name: SmolStr,
    /// The file without folder and ending: what tasks name.
    pub source: SmolStr,
    pub from: Vec<char>,
    pub target: char,
    pub when: Trigger,
    pub condition: Condition,
    pub date_key: DateKey,
    pub mutation: Mutation,
}

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// With each write of an identity.
    Immediate,
    /// So many seconds after the time of the rule's date key.
    After(i64),
    /// When a task asks for it.
    Task,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    identities: Vec<RuleDef>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleDef {
    sources: Vec<String>,
    target: String,
    #[serde(default)]
    rules: Option<Map<String, Value>>,
    /// An LDAP filter that must be true as well; beyond Sesame.
    #[serde(default)]
    ldap: Option<String>,
    #[serde(default)]
    trigger: Option<Value>,
    #[serde(default, rename = "dateKey")]
    date_key: Option<String>,
    #[serde(default)]
    mutation: Option<Map<String, Value>>,
    /// For people; beyond Sesame.
    #[serde(default)]
    #[expect(dead_code, reason = "read so that it is allowed")]
    description: Option<String>,
}

pub(super) fn compile(files: &[Text], stages: &Stages, schema: &Schema, faults: &mut Faults) -> Vec<Arc<Rule>> {
    let mut rules = Vec::new();
    for source in files {
        let file: File = read(source, faults).unwrap_or_default();
        for (number, def) in file.identities.into_iter().enumerate() {
            let reader = Reader { source, number, stages, schema, faults };
            rules.extend(reader.rule(def).map(Arc::new));
        }
    }
    rules
}

struct Reader<'a> {
    source: &'a Text,
    number: usize,
    stages: &'a Stages,
    schema: &'a Schema,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    /// `None` if anything is wrong; all of it is noted.
    fn rule(mut self, def: RuleDef) -> Option<Rule> {
        let before = self.faults.0.len();
        let from: Vec<char> =
            def.sources.iter().enumerate().filter_map(|(n, s)| self.letter(&format!("sources.{n}"), s)).collect();
        if def.sources.is_empty() {
            let _: Option<()> = self.note("sources", "expected at least one letter");
        }
        let target = self.letter("target", &def.target);
        let when = match def.trigger.as_ref().map(trigger) {
            None => Some(Trigger::Immediate),
            Some(Ok(when)) => Some(when),
            Some(Err(reason)) => self.note("trigger", reason),
        };
        let rules = def.rules.unwrap_or_default();
        if rules.is_empty() && def.ldap.is_none() && def.trigger.is_none() {
            let _: Option<()> =
                self.note("sources", "the rule has neither rules nor a trigger; expected at least one of them");
        }
        let date_key = match (&def.date_key, when) {
            (Some(_), Some(Trigger::Immediate | Trigger::Task)) => {
                self.note("dateKey", "only a rule with a delay as its trigger counts from a date")
            }
            (Some(key), _) => match DateKey::parse(key, self.schema) {
                Ok(key) => Some(key),
                Err(reason) => self.note("dateKey", reason),
            },
            (None, _) => Some(DateKey::LastSync),
        };
        let condition = match Condition::compile(ConditionDef { rules, ldap: def.ldap }, self.schema) {
            Ok(condition) => Some(condition),
            Err((place, reason)) => self.note(&place, reason),
        };
        let mutation = match Mutation::compile(def.mutation.unwrap_or_default(), self.schema) {
            Ok(mutation) => Some(mutation),
            Err((place, reason)) => self.note(&place, reason),
        };
        if self.faults.0.len() > before {
            return None;
        }
        let source = stem(&self.source.0);
        Some(Rule {
            name: SmolStr::new(format!("{source} #{}", self.number + 1)),
            source,
            from,
            target: target?,
            when: when?,
            condition: condition?,
            date_key: date_key?,
            mutation: mutation?,
        })
    }

    fn letter(&mut self, place: &str, text: &str) -> Option<char> {
        match self.stages.named(text) {
            Ok(letter) => Some(letter),
            Err(reason) => self.note(place, reason),
        }
    }

    fn note<T>(&mut self, place: &str, reason: impl Into<String>) -> Option<T> {
        self.faults.note(self.source, &format!("identities.{}.{place}", self.number), reason);
        None
    }
}

/// What tasks call a file: its name without the ending.
pub(super) fn stem(path: &Path) -> SmolStr {
    path.file_stem().map(|s| SmolStr::new(s.to_string_lossy())).unwrap_or_default()
}

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// `90d`, `10m` (minutes), `45s`; a bare number is of days below 86400 and of seconds from there
/// on; -1 is for tasks (Sesame).
fn trigger(value: &Value) -> Result<Trigger, String> {
    const EXPECTED: &str = "expected a delay such as 90d, 10m (minutes) or 45s, a number of days, or -1 for tasks only";
    let fault = || EXPECTED.to_owned();
    let seconds = match value {
        Value::Number(number) => match number.as_i64().ok_or_else(fault)? {
            -1 => return Ok(Trigger::Task),
            days if days < DAY => days.checked_mul(DAY).ok_or_else(fault)?,
            seconds => seconds,
        },
        Value::String(text) => {
            let unit = match text.chars().last() {
                Some('d') => DAY,
                Some('m') => MINUTE,
                Some('s') => 1,
                _ => return Err(fault()),
            };
            let digits = text.get(..text.len() - 1).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let count: i64 = digits.and_then(|d| d.parse().ok()).ok_or_else(fault)?;
            count.checked_mul(unit).ok_or_else(fault)?
        }
        _ => return Err(fault()),
    };
    if seconds > 0 { Ok(Trigger::After(seconds)) } else { Err(fault()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_a_trigger() {
        for (value, expected) in [
            (json!("90d"), Ok(Trigger::After(90 * DAY))),
            (json!("10m"), Ok(Trigger::After(600))),
            (json!("45s"), Ok(Trigger::After(45))),
            (json!(90), Ok(Trigger::After(90 * DAY))),
            (json!(86_399), Ok(Trigger::After(86_399 * DAY))),
            (json!(86_400), Ok(Trigger::After(86_400))),
            (json!(2_592_000), Ok(Trigger::After(2_592_000))),
            (json!(-1), Ok(Trigger::Task)),
        ] {
            assert_eq!(trigger(&value), expected, "{value}");
        }
        for bad in [
            json!(0),
            json!(-2),
            json!("0d"),
            json!("90"),
            json!("1h"),
            json!("-1d"),
            json!(1.5),
            json!(""),
            json!("d"),
            json!(true),
            json!("9999999999999999d"),
        ] {
            assert!(trigger(&bad).is_err(), "{bad}");
        }
    }
}
