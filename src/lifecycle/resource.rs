//! What a letter means to the account: whether it may log in, how targets see it, and the supann
//! value that says so (supannRessourceEtat). One declared table, `resource-states.yml`.

use super::{
    Export,
    files::{Faults, Text, read},
    states::Stages,
};
use crate::{
    clock::Timestamp,
    entry::{Axes, Draft},
    schema::{AttrDesc, AttrId, ClassId, Schema},
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// The table, bound to the schema.
#[derive(Debug, Default)]
pub struct Resources {
    letters: BTreeMap<char, Meaning>,
    data_status: BTreeMap<i32, Override>,
    derive: Option<Derive>,
}

#[derive(Clone, Debug)]
struct Meaning {
    state: SmolStr,
    login: bool,
    export: Export,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    state: Option<SmolStr>,
    login: Option<bool>,
    export: Option<Export>,
}

/// How the values of an entry are made.
#[derive(Debug)]
struct Derive {
    /// In braces, as the values begin.
    resource: String,
    with_substate: WithSubstate,
    ends: Vec<AttrId>,
    class: ClassId,
    state: AttrId,
    state_date: Option<AttrId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WithSubstate {
    /// Two values, so that equality finds `{COMPTE}A` as well.
    #[default]
    Both,
    Only,
    Never,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "resource")]
    resource: String,
    #[serde(default = "yes")]
    derive: bool,
    #[serde(default)]
    with_substate: WithSubstate,
    #[serde(default)]
    end_date: Vec<String>,
    #[serde(default)]
    letters: BTreeMap<String, Row>,
    #[serde(default)]
    data_status: BTreeMap<i32, Override>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    state: SmolStr,
    login: bool,
    export: Export,
}

fn resource() -> String {
    "COMPTE".to_owned()
}

fn yes() -> bool {
    true
}

/// The states of a resource and their substates (SupAnn 2020, supannRessourceEtat).
const STATES: [(&str, &[&str]); 3] = [
    ("A", &["SupannAnticipe", "SupannActif", "SupannSursis"]),
    ("I", &["SupannPrecree", "SupannCree", "SupannExpire", "SupannInactif", "SupannSupprDonnees", "SupannSupprCompte"]),
    ("S", &["SupannVerrouille", "SupannVerrouAdministratif", "SupannVerrouTechnique"]),
];

impl Resources {
    pub(super) fn compile(source: Option<&Text>, stages: &Stages, schema: &Schema, faults: &mut Faults) -> Self {
        let Some(source) = source else { return Resources::default() };
        let Some(file): Option<File> = read(source, faults) else { return Resources::default() };
        let check = |place: String, state: &str, faults: &mut Faults| {
            if let Err(reason) = is_state(state) {
                faults.note(source, &place, reason);
            }
        };
        let mut letters = BTreeMap::new();
        for (key, row) in file.letters {
            check(format!("letters.{key}.state"), &row.state, faults);
            match stages.named(&key) {
                Ok(letter) => {
                    letters.insert(letter, Meaning { state: row.state, login: row.login, export: row.export });
                }
                Err(reason) => faults.note(source, &format!("letters.{key}"), reason),
            }
        }
        for (status, row) in &file.data_status {
            if let Some(state) = &row.state {
                check(format!("data_status.{status}.state"), state, faults);
            }
            if !(-3..=1).contains(status) {
                faults.note(source, &format!("data_status.{status}"), "expected 1, 0, -1, -2 or -3");
            }
        }
        for stage in stages.all().iter().filter(|s| !letters.contains_key(&s.letter())) {
            let reason = format!(
                "letter {0} ({1}) has no row; write one such as {0}: {{state: \"A:SupannActif\", login: true, export: active}}",
                stage.key, stage.label
            );
            faults.note(source, "letters", reason);
        }
        let mut ends = Vec::new();
        for (number, name) in file.end_date.iter().enumerate() {
            match schema.attr_id(name) {
                Some(id) => ends.push(id),
                None => faults.note(source, &format!("end_date.{number}"), "is no attribute that the schema knows"),
            }
        }
        let known = |name: &str| schema.attr_id(name).filter(|_| file.derive);
        let derive = known("supannRessourceEtat").zip(schema.class_id("supannPerson")).map(|(state, class)| Derive {
            resource: format!("{{{}}}", file.resource),
            with_substate: file.with_substate,
            ends,
            class,
            state,
            state_date: known("supannRessourceEtatDate"),
        });
        Resources { letters, data_status: file.data_status, derive }
    }

    /// Whether the table lets the account log in; `None` for a letter that it does not have.
    pub(super) fn login(&self, axes: &Axes) -> Option<bool> {
        let row = self.letters.get(&axes.lifecycle)?;
        let status = self.data_status.get(&axes.data_status).and_then(|o| o.login);
        Some(row.login && status.unwrap_or(true))
    }

    pub(super) fn export(&self, axes: &Axes) -> Option<Export> {
        let row = self.letters.get(&axes.lifecycle)?;
        Some(match (row.export, self.data_status.get(&axes.data_status).and_then(|o| o.export)) {
            // An account that is not to be sent yet is not sent because it is closed.
            (Export::Wait, _) => Export::Wait,
            (_, Some(export)) => export,
            (export, None) => export,
        })
    }

    /// What the table says of a letter: state, login, export.
    pub fn row(&self, letter: char) -> Option<(&str, bool, Export)> {
        self.letters.get(&letter).map(|m| (m.state.as_str(), m.login, m.export))
    }

    /// `A:SupannActif`, or the like.
    pub fn state_of(&self, axes: &Axes) -> Option<&str> {
        let status = self.data_status.get(&axes.data_status).and_then(|o| o.state.as_deref());
        status.or_else(|| self.letters.get(&axes.lifecycle).map(|m| m.state.as_str()))
    }

    /// True for the attributes that are derived.
    pub fn makes(&self, attr: AttrId) -> bool {
        self.derive.as_ref().is_some_and(|d| d.state == attr || d.state_date == Some(attr))
    }

    /// True for the values that are derived: those of the one resource.
    pub fn makes_value(&self, attr: AttrId, value: &[u8]) -> bool {
        self.makes(attr) && self.derive.as_ref().is_some_and(|d| d.is_own(value))
    }

    /// Puts the values of the derived resource into a supannPerson, in the place of what was there
    /// of it; other resources stay as they are. `since` is when the letter last changed.
    pub fn derive(&self, draft: &mut Draft, axes: &Axes, since: Timestamp, schema: &Schema) {
        let Some(derive) = &self.derive else { return };
        let Some(state) = self.state_of(axes).filter(|_| derive.is_for(draft, schema)) else { return };
        let (main, sub) = state.split_once(':').map_or((state, ""), |(main, sub)| (main, sub));
        let resource = &derive.resource;
        let short = format!("{resource}{main}");
        let long = format!("{resource}{state}");
        let values = match derive.with_substate {
            WithSubstate::Both if !sub.is_empty() => vec![short, long],
            WithSubstate::Only => vec![long],
            WithSubstate::Both | WithSubstate::Never => vec![short],
        };
        derive.replace(draft, derive.state, values);
        if let Some(attr) = derive.state_date {
            let start = day(since);
            // A tie that ended before this state began is not what will end it.
            let end = derive.end(draft).map(day).filter(|end| *end >= start).unwrap_or_default();
            derive.replace(draft, attr, vec![format!("{resource}{main}:{sub}:{start}:{end}")]);
        }
    }
}

impl Derive {
    fn is_for(&self, draft: &Draft, schema: &Schema) -> bool {
        let classes = draft.get(&AttrDesc::plain(schema.known.object_class));
        let mut names = classes.into_iter().flat_map(|a| &a.values).filter_map(|v| std::str::from_utf8(v).ok());
        names.any(|name| schema.class_id(name) == Some(self.class))
    }

    /// The latest end of all ties.
    fn end(&self, draft: &Draft) -> Option<Timestamp> {
        let values = self.ends.iter().filter_map(|id| draft.get(&AttrDesc::plain(*id))).flat_map(|a| &a.values);
        values.filter_map(|v| Timestamp::parse_generalized_time(std::str::from_utf8(v).ok()?)).max()
    }

    fn is_own(&self, value: &[u8]) -> bool {
        value.get(..self.resource.len()).is_some_and(|head| head.eq_ignore_ascii_case(self.resource.as_bytes()))
    }

    /// Touches nothing if the values are there already.
    fn replace(&self, draft: &mut Draft, attr: AttrId, values: Vec<String>) {
        if let Some(held) = draft.get_mut(&AttrDesc::plain(attr)) {
            let own: Vec<&[u8]> = held.values.iter().map(Vec::as_slice).filter(|v| self.is_own(v)).collect();
            if own.iter().copied().eq(values.iter().map(String::as_bytes)) {
                return;
            }
            held.values.retain(|v| !self.is_own(v));
        }
        values.iter().for_each(|value| draft.put(attr, value.as_bytes()));
    }
}

fn day(time: Timestamp) -> String {
    time.generalized_time().chars().take("YYYYMMDD".len()).collect()
}

fn is_state(text: &str) -> Result<(), String> {
    let (state, sub) = text.split_once(':').map_or((text, None), |(state, sub)| (state, Some(sub)));
    let found = STATES.iter().find(|(name, _)| *name == state);
    let (_, subs) = found.ok_or_else(|| "expected A, I or S, and a substate such as A:SupannActif".to_owned())?;
    match sub {
        Some(sub) if !subs.contains(&sub) => {
            Err(format!("expected as the substate of {state} one of {}", subs.join(", ")))
        }
        _ => Ok(()),
    }
}
