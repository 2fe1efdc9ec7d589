//! Where a worker writes what an operator sees of its target.

use crate::provisioning::{State, TargetStatus};
use std::sync::{Arc, Mutex, PoisonError};

/// What is shown before the target has been looked at.
pub fn at_start(name: &str, kind: &'static str, enabled: bool) -> TargetStatus {
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
        quarantined: 0,
        staged: 0,
        linked: 0,
        last_success: None,
        last_error: None,
        state,
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
