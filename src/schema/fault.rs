//! Why schema files cannot be used. All faults are found before the first is reported.

use super::load::LoadError;
use std::{fmt, path::PathBuf};

/// Why a schema cannot be used: every fault with its file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    /// The files are good, but what they define cannot change while the server runs.
    #[error("{0}: restart the server to have this; the rules in use stay")]
    NeedsRestart(String),
}

/// One fault of a schema file, or a note on it: where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    pub file: PathBuf,
    /// Where the file is known to speak of it.
    pub line: Option<usize>,
    pub place: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": at {}: {}", self.place, self.reason)
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}
