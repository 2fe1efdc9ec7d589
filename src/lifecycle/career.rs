//! Everything that the lifecycle files declare, compiled, and the decisions that follow from it.
//! Who applies them is `directory`.

use super::{
    Account, Export, State,
    files::{Faults, Sources},
    resource::Resources,
    rule::{self, Rule, Trigger},
    state,
    states::Stages,
    transitions::Transitions,
};
use crate::{
    clock::Timestamp,
    entry::{Axes, Entry},
    schema::Schema,
};
use serde_json::Value;
use smol_str::SmolStr;
use std::{borrow::Cow, sync::Arc};

/// The careers that identities can have here: letters, rules, what humans may do, and what each
/// letter means.
#[derive(Debug)]
pub struct Career {
    pub stages: Stages,
    /// In the order in which they run.
    pub rules: Vec<Arc<Rule>>,
    pub transitions: Transitions,
    pub resources: Resources,
    /// The names of the rule files.
    pub sources: Vec<SmolStr>,
}

/// A letter that a human may not move the identity to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lifecycle {from} cannot become {to} by hand; allowed: {}", list(.allowed))]
pub struct NotPermitted {
    pub from: char,
    pub to: char,
    pub allowed: Vec<char>,
}

fn list(letters: &[char]) -> String {
    let texts: Vec<String> = letters.iter().map(char::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

impl Career {
    /// Every fault of every file, or the whole.
    pub fn compile(sources: &Sources, schema: &Schema) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let stages = Stages::compile(sources.states.as_ref(), &mut faults);
        let career = Career {
            rules: rule::compile(&sources.rules, &stages, schema, &mut faults),
            transitions: Transitions::compile(sources.transitions.as_ref(), &stages, schema, &mut faults),
            resources: Resources::compile(sources.resource_states.as_ref(), &stages, schema, &mut faults),
            sources: sources.rules.iter().map(|(path, _)| rule::stem(path)).collect(),
            stages,
        };
        if faults.0.is_empty() { Ok(career) } else { Err(faults) }
    }

    /// That of the shipped files; the empty one only if those were broken, which a test excludes.
    pub fn shipped(schema: &Schema) -> Result<Self, Faults> {
        Career::compile(&Sources::shipped(), schema)
    }

    /// The rules that run with each write of an identity of this letter.
    pub fn immediate(&self, letter: char) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter().filter(move |r| r.when == Trigger::Immediate && r.from.contains(&letter))
    }

    /// The rules with a delay, with their numbers in the order of all rules.
    pub fn timed(&self) -> impl Iterator<Item = (usize, &Arc<Rule>)> {
        self.rules.iter().enumerate().filter(|(_, r)| matches!(r.when, Trigger::After(_)))
    }

    /// The rules of one file that run when a task asks for them, or of all files.
    pub fn tasks<'a>(&'a self, source: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.rules.iter().filter(move |r| r.when == Trigger::Task && source.is_none_or(|s| r.source == s))
    }

    /// Whether a human may move the identity to this letter. The same letter is always allowed.
    pub fn permitted<'d>(
        &self,
        entry: &Entry,
        (from, to): (char, char),
        document: impl Fn() -> &'d Value,
        schema: &Schema,
        now: Timestamp,
    ) -> Result<(), NotPermitted> {
        match self.transitions.targets(from, entry, document, schema, now) {
            Some(allowed) if from != to && !allowed.contains(&to) => {
                Err(NotPermitted { from, to, allowed: allowed.to_vec() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a bind may succeed.
    pub fn account(&self, axes: &Axes) -> Account {
        match state(axes) {
            State::ToComplete => return Account::Closed("state TO_COMPLETE".into()),
            State::DontSync => return Account::Closed("state DONT_SYNC".into()),
            _ => {}
        }
        match self.resources.login(axes) {
            Some(true) => Account::Usable,
            Some(false) => {
                let label = self.stages.get(axes.lifecycle).map_or("", |s| s.label.as_str());
                let why = format!("lifecycle {} {label}, dataStatus {}", axes.lifecycle, axes.data_status);
                Account::Closed(Cow::Owned(why))
            }
            None => Account::Closed(Cow::Owned(format!("lifecycle {} is not declared", axes.lifecycle))),
        }
    }

    /// Whether the account is to be closed at the targets that have it, whatever its state: nobody
    /// should wait for a release to lock somebody out.
    pub fn is_closed(&self, axes: &Axes) -> bool {
        self.resources.export(axes) == Some(Export::Inactive)
    }

    /// Whether the account is there ahead of the person's arrival, and waits for nothing else.
    pub fn is_anticipated(&self, axes: &Axes) -> bool {
        let state = self.resources.state_of(axes);
        is_released(axes) && self.resources.export(axes) == Some(Export::Wait) && state == Some("A:SupannAnticipe")
    }

    /// Whether the account is about to be deleted.
    pub fn is_to_destroy(&self, axes: &Axes) -> bool {
        self.resources.state_of(axes) == Some("I:SupannSupprCompte")
    }

    pub fn export(&self, axes: &Axes) -> Export {
        if is_released(axes) { self.resources.export(axes).unwrap_or(Export::Wait) } else { Export::Wait }
    }
}

/// Whether the state lets it go to the targets.
fn is_released(axes: &Axes) -> bool {
    match state(axes) {
        State::ToSync | State::Processing | State::Synced | State::OnError => true,
        State::DontSync | State::ToComplete | State::ToCreate | State::Unknown | State::ToValidate => false,
    }
}

impl Rule {
    /// Whether it is for identities of this letter that leave themselves to rules.
    pub fn takes(&self, entry: &Entry) -> bool {
        let operational = &entry.operational;
        let ignored = operational.facts.as_deref().is_some_and(|f| f.ignore_lifecycle);
        !ignored && operational.axes.is_some_and(|axes| self.from.contains(&axes.lifecycle))
    }

    /// When the delay of a timed rule ends for an identity; `None` where its date is missing.
    pub fn due(&self, entry: &Entry) -> Option<Timestamp> {
        let Trigger::After(seconds) = self.when else { return None };
        let delay = seconds.saturating_mul(Timestamp::from_secs(1).0);
        self.date_key.of(entry).map(|start| Timestamp(start.0.saturating_add(delay)))
    }
}
