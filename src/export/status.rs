//! What an operator sees of a target.

use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    pub name: String,
    pub kind: &'static str,
    pub enabled: bool,
    /// All journal records up to this one are settled.
    pub cursor: u64,
    /// The newest journal record.
    pub head: u64,
    pub lag: u64,
    /// Objects that wait or are under way, those that wait after a failure included.
    pub pending: usize,
    /// Objects whose last attempt failed.
    pub failed: usize,
    /// Objects that the target is known to hold.
    pub linked: usize,
    pub last_success: Option<String>,
    pub last_error: Option<String>,
    pub state: State,
}

/// Whether requests are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    /// Why not, and when it goes on if it does so by itself.
    Stopped(String),
}

impl TargetStatus {
    pub fn new(name: &str, kind: &'static str, enabled: bool) -> Self {
        let state = if enabled { State::Running } else { State::Stopped("disabled in the configuration".to_owned()) };
        TargetStatus {
            name: name.to_owned(),
            kind,
            enabled,
            cursor: 0,
            head: 0,
            lag: 0,
            pending: 0,
            failed: 0,
            linked: 0,
            last_success: None,
            last_error: None,
            state,
        }
    }
}

/// Where a worker writes and everyone reads.
#[derive(Clone)]
pub struct Board(Arc<Mutex<TargetStatus>>);

impl Board {
    pub fn new(status: TargetStatus) -> Self {
        Board(Arc::new(Mutex::new(status)))
    }

    pub fn read(&self) -> TargetStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut TargetStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
