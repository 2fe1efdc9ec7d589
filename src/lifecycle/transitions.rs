//! Which letters a human may move an identity to (Sesame's manual transitions). Permissive: what no
//! rule speaks of is allowed.

use super::{
    condition::{Condition, ConditionDef},
    files::{Faults, Text, read},
    states::Stages,
};
use crate::{clock::Timestamp, entry::Entry, schema::Schema};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Default)]
pub struct Transitions(Vec<Transition>);

#[derive(Debug)]
struct Transition {
    source: char,
    targets: Vec<char>,
    /// Without one it is for those whom no filtered one of this source is for.
    filter: Option<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "manualTransitions")]
    manual: Vec<TransitionDef>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransitionDef {
    source: String,
    targets: Vec<String>,
    #[serde(default)]
    filter: Option<Map<String, Value>>,
    /// An LDAP filter; beyond Sesame.
    #[serde(default)]
    ldap: Option<String>,
}

impl Transitions {
    pub(super) fn compile(source: Option<&Text>, stages: &Stages, schema: &Schema, faults: &mut Faults) -> Self {
        let Some(text) = source else { return Transitions::default() };
        let file: File = read(text, faults).unwrap_or_default();
        let mut pairs: Vec<(String, Map<String, Value>, Option<String>)> = Vec::new();
        let mut all = Vec::new();
        for (number, def) in file.manual.into_iter().enumerate() {
            let at = |key: &str| format!("manualTransitions.{number}.{key}");
            let letter = |text_of: &str, place: String, faults: &mut Faults| {
                stages.named(text_of).map_err(|reason| faults.note(text, &place, reason)).ok()
            };
            let source = letter(&def.source, at("source"), faults);
            let targets = def.targets.iter().enumerate();
            let targets =
                targets.filter_map(|(n, t)| letter(t, at(&format!("targets.{n}")), faults)).collect::<Vec<_>>();
            let rules = def.filter.unwrap_or_default();
            let pair = (def.source, rules.clone(), def.ldap.clone());
            if pairs.contains(&pair) {
                faults.note(text, &at("source"), "an earlier entry has the same source and filter");
            }
            pairs.push(pair);
            let filtered = !rules.is_empty() || def.ldap.is_some();
            let filter = match Condition::compile(ConditionDef { rules, ldap: def.ldap }, schema) {
                Ok(condition) => Some(condition).filter(|_| filtered),
                Err((place, reason)) => {
                    faults.note(text, &at(&place.replacen("rules", "filter", 1)), reason);
                    None
                }
            };
            all.extend(source.map(|source| Transition { source, targets, filter }));
        }
        Transitions(all)
    }

    /// The letters that a human may move an identity with this letter to; `None`: any.
    pub fn targets<'d>(
        &self,
        from: char,
        entry: &Entry,
        document: impl Fn() -> &'d Value,
        schema: &Schema,
        now: Timestamp,
    ) -> Option<&[char]> {
        let mut of_source = self.0.iter().filter(|t| t.source == from);
        let fits = |t: &&Transition| t.filter.as_ref().is_some_and(|c| c.holds(entry, &document, schema, now));
        let found = of_source.clone().find(fits).or_else(|| of_source.find(|t| t.filter.is_none()));
        found.map(|t| t.targets.as_slice())
    }
}
