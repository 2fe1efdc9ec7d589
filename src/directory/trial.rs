//! What the whole store would break under other rules, before they go live. Nothing is changed.

use super::Snapshot;
use crate::{
    entry::Draft,
    schema::{Attr, Language, Schema, Scope, Violation},
};
use serde_json::{Value, json};

/// What differs between the rules in use and others.
#[derive(Debug, Default)]
pub struct Trial {
    pub entries: u64,
    /// Entries that break what they do not break now.
    pub broken: Told,
    /// Entries that no longer break what they break now.
    pub mended: Told,
}

/// How many entries there are of a kind, and the first of them.
#[derive(Debug, Default)]
pub struct Told {
    pub entries: u64,
    pub first: Vec<(String, Vec<Violation>)>,
}

impl Trial {
    /// Judges every entry by both; `keep` bounds how many are named of each kind.
    pub fn of(snapshot: &Snapshot, other: &Schema, keep: usize, mut seen: impl FnMut()) -> Self {
        let mut trial = Trial::default();
        for node in snapshot.walk() {
            trial.entries += 1;
            seen();
            let attrs = Draft::of(&node.entry).attrs;
            let scope = if node.entry.operational.axes.is_some() { Scope::Identity } else { Scope::Plain };
            let now = faults(&snapshot.schema, &attrs, scope, Vec::new());
            let (attrs, unknown) = translate(&snapshot.schema, other, attrs);
            let then = faults(other, &attrs, scope, unknown);
            let new = missing_from(&now, &then);
            let gone = missing_from(&then, &now);
            let dn = || snapshot.dn_text(node).to_string();
            trial.broken.add(new, keep, dn);
            trial.mended.add(gone, keep, dn);
        }
        trial
    }

    pub fn json(&self, language: Language) -> Value {
        json!({
            "entries": self.entries,
            "broken": self.broken.json(language),
            "mended": self.mended.json(language),
        })
    }
}

impl Told {
    fn add(&mut self, violations: Vec<Violation>, keep: usize, dn: impl Fn() -> String) {
        if violations.is_empty() {
            return;
        }
        self.entries += 1;
        if self.first.len() < keep {
            self.first.push((dn(), violations));
        }
    }

    fn json(&self, language: Language) -> Value {
        let told =
            |v: &Violation| json!({"class": v.class, "attr": v.attr, "rule": v.rule, "message": v.text(language)});
        let entry = |(dn, violations): &(String, Vec<Violation>)| json!({"dn": dn, "violations": violations.iter().map(told).collect::<Vec<_>>()});
        json!({"entries": self.entries, "first": self.first.iter().map(entry).collect::<Vec<_>>()})
    }
}

fn faults(schema: &Schema, attrs: &[Attr], scope: Scope, found: Vec<Violation>) -> Vec<Violation> {
    match schema.validate(attrs, scope, found) {
        Ok(checked) => checked.class_faults,
        Err(violations) => violations.0,
    }
}

/// The same attributes by the ids of another schema, and those that it does not know.
fn translate(from: &Schema, to: &Schema, attrs: Vec<Attr>) -> (Vec<Attr>, Vec<Violation>) {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for attr in attrs {
        let name = from.spell(&attr.desc);
        match to.describe(&name) {
            Some(desc) => known.push(Attr { desc, values: attr.values }),
            None => unknown.push(Violation::unknown_attribute(&name)),
        }
    }
    (known, unknown)
}

/// What is in `list` and, by class, attribute and rule, not in `other`.
fn missing_from(other: &[Violation], list: &[Violation]) -> Vec<Violation> {
    let same = |a: &Violation, b: &Violation| (&a.class, &a.attr, &a.rule) == (&b.class, &b.attr, &b.rule);
    list.iter().filter(|v| !other.iter().any(|o| same(o, v))).cloned().collect()
}
