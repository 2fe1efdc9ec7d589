//! The letters of the lifecycle axis: Sesame's three that are always there, and those of
//! `states.yml`.

use super::files::{Faults, Text, read};
use serde::{Deserialize, Serialize};

/// A stage of a career.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// One letter.
    pub key: String,
    pub label: String,
    #[serde(default)]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

impl Stage {
    pub fn letter(&self) -> char {
        self.key.chars().next().unwrap_or(OFFICIAL)
    }
}

/// The letter of a new identity.
pub const OFFICIAL: char = 'O';

/// Letters that `states.yml` may not declare, with Sesame's labels.
const FIXED: [(&str, &str, &str); 3] = [
    ("O", "Officiel", "The person is a member of the establishment"),
    ("I", "Inactif", "The person has left"),
    ("M", "Manuel", "Kept by hand; rules need not apply"),
];

/// All letters, the fixed ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    all: Vec<Stage>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    states: Vec<Stage>,
}

impl Stages {
    pub(super) fn compile(source: Option<&Text>, faults: &mut Faults) -> Self {
        let fixed = FIXED.map(|(key, label, description)| Stage {
            key: key.to_owned(),
            label: label.to_owned(),
            description: description.to_owned(),
            icon: None,
            color: None,
        });
        let mut all = fixed.to_vec();
        let Some(source) = source else { return Stages { all } };
        let file: File = read(source, faults).unwrap_or_default();
        for (number, stage) in file.states.into_iter().enumerate() {
            let place = format!("states.{number}.key");
            let fault = match single(&stage.key) {
                None => Some("expected one character".to_owned()),
                Some(_) if FIXED.iter().any(|(key, ..)| *key == stage.key) => {
                    Some(format!("{} is always there and cannot be declared", stage.key))
                }
                Some(_) if all.iter().any(|s| s.key == stage.key) => Some(format!("{} is declared twice", stage.key)),
                Some(_) => None,
            };
            match fault {
                Some(reason) => faults.note(source, &place, reason),
                None => all.push(stage),
            }
        }
        Stages { all }
    }

    pub fn all(&self) -> &[Stage] {
        &self.all
    }

    /// Those of `states.yml`.
    pub fn custom(&self) -> &[Stage] {
        self.all.get(FIXED.len()..).unwrap_or_default()
    }

    pub fn get(&self, letter: char) -> Option<&Stage> {
        self.all.iter().find(|s| s.letter() == letter)
    }

    /// The letters in words, for diagnostics.
    pub fn letters(&self) -> String {
        self.all.iter().map(|s| s.key.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The letter that a file names, or what is wrong with it.
    pub(super) fn named(&self, text: &str) -> Result<char, String> {
        let letter = single(text).filter(|letter| self.get(*letter).is_some());
        letter.ok_or_else(|| format!("'{text}' is none of the letters {}; states.yml declares them", self.letters()))
    }
}

/// The one character of a text.
fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let first = chars.next().filter(|c| !c.is_whitespace() && !c.is_control())?;
    chars.next().is_none().then_some(first)
}
