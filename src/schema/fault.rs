//! Why schema files cannot be used. All faults are found before the first is reported.

use super::load::LoadError;
use std::path::PathBuf;

/// Why a schema cannot be used: every fault with its file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
}

/// One fault of a schema file: where, and what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    pub place: String,
    pub reason: String,
}

fn list(faults: &[Fault]) -> String {
    let lines = faults.iter().map(|f| format!("{}: at {}: {}", f.file.display(), f.place, f.reason));
    lines.collect::<Vec<_>>().join("\n")
}
