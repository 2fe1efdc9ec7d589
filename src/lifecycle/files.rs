//! The files of the lifecycle, as texts, and how they are read: strictly, each fault with file and
//! place.

use crate::schema::{FileFault, line_of};
use serde::de::DeserializeOwned;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// One file: where it came from, and its text.
pub type Text = (PathBuf, String);

/// The texts of all files of a lifecycle folder.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub states: Option<Text>,
    /// In the order in which their rules run.
    pub rules: Vec<Text>,
    pub transitions: Option<Text>,
    pub resource_states: Option<Text>,
}

macro_rules! shipped {
    ($file:literal) => {
        (
            PathBuf::from(concat!("config/lifecycle/", $file)),
            include_str!(concat!("../../config/lifecycle/", $file)).to_owned(),
        )
    };
}

impl Sources {
    /// The files that this program was built with.
    pub fn shipped() -> Self {
        Sources {
            states: Some(shipped!("states.yml")),
            rules: vec![shipped!("rules.yml")],
            transitions: Some(shipped!("transitions.yml")),
            resource_states: Some(shipped!("resource-states.yml")),
        }
    }

    /// The files of a folder, Sesame's names among them; those that are not there are empty, but
    /// for the resource states, which are the shipped ones then.
    pub fn folder(folder: &Path) -> Result<Self, Faults> {
        let transitions = ["transitions.yml", "manual-transitions.yml"];
        let several = transitions.iter().filter(|name| folder.join(name).exists()).count() > 1;
        if several {
            return Err(Faults::one(folder, "transitions.yml and manual-transitions.yml are both there; keep one"));
        }
        if !folder.is_dir() {
            return Err(Faults::one(
                folder,
                "expected a folder with states.yml, rules.yml or rules/*.yml, transitions.yml",
            ));
        }
        Ok(Sources {
            states: first(folder, &["states.yml"])?,
            rules: rules(folder)?,
            transitions: first(folder, &transitions)?,
            resource_states: first(folder, &["resource-states.yml"])?.or(Sources::shipped().resource_states),
        })
    }
}

/// `rules.yml`, then the files of `rules/` by their names.
fn rules(folder: &Path) -> Result<Vec<Text>, Faults> {
    let mut found: Vec<Text> = first(folder, &["rules.yml"])?.into_iter().collect();
    let below = folder.join("rules");
    if !below.is_dir() {
        return Ok(found);
    }
    let mut paths = Vec::new();
    for item in std::fs::read_dir(&below).map_err(|e| Faults::io(&below, &e))? {
        let path = item.map_err(|e| Faults::io(&below, &e))?.path();
        if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| Faults::io(&path, &e))?;
        found.push((path, text));
    }
    Ok(found)
}

fn first(folder: &Path, names: &[&str]) -> Result<Option<Text>, Faults> {
    let Some(path) = names.iter().map(|name| folder.join(name)).find(|path| path.exists()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|e| Faults::io(&path, &e))?;
    Ok(Some((path, text)))
}

/// Everything that is wrong with the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<FileFault>);

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            match fault.place.is_empty() {
                true => write!(f, "{}: {}", fault.file.display(), fault.reason)?,
                false => write!(f, "{fault}")?,
            }
        }
        Ok(())
    }
}

impl Faults {
    fn one(file: &Path, reason: &str) -> Self {
        Faults(vec![FileFault { file: file.to_owned(), line: None, place: String::new(), reason: reason.to_owned() }])
    }

    fn io(file: &Path, error: &io::Error) -> Self {
        Faults::one(file, &error.to_string())
    }

    /// Notes a fault at a place such as `identities.0.trigger`.
    pub(super) fn note(&mut self, (file, text): &Text, place: &str, reason: impl Into<String>) {
        let keys: Vec<&str> = place.split('.').collect();
        let line = line_of(text, &keys);
        self.0.push(FileFault { file: file.clone(), line, place: place.to_owned(), reason: reason.into() });
    }
}

/// Reads a file into `T`. An empty file, or one with comments only, is the default.
pub(super) fn read<T: DeserializeOwned + Default>(source: &Text, faults: &mut Faults) -> Option<T> {
    let (path, text) = source;
    if matches!(serde_yaml::from_str(text), Ok(serde_yaml::Value::Null)) {
        return Some(T::default());
    }
    let read = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text));
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            let place = match error.path().to_string() {
                place if place == "." => String::new(),
                place => place,
            };
            let line = error.inner().location().map(|l| l.line());
            let reason = error.inner().to_string();
            faults.0.push(FileFault { file: path.clone(), line, place, reason });
            None
        }
    }
}
