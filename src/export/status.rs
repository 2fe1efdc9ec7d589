//! Where a worker writes what an operator sees of its target.

use super::links::Links;
use crate::provisioning::{State, TargetStatus, Wish};
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

/// Notes what the rows say, and whether an operator lets the target run.
pub fn note_links(status: &mut TargetStatus, links: &Links) {
    let counts = links.counts();
    status.failed = counts.failed;
    status.linked = counts.linked;
    status.quarantined = counts.quarantined;
    status.staged = counts.staged;
    status.enabled = matches!(links.own.wish, Wish::Run | Wish::Pause);
    let word = match links.own.wish {
        Wish::Run => None,
        Wish::Pause => Some("paused"),
        Wish::Disable => Some("disabled"),
        Wish::Retire => Some("retired"),
    };
    let why = &links.own.why;
    let stopped = word.map(|word| if why.is_empty() { word.to_owned() } else { format!("{word}: {why}") });
    status.state = stopped.map_or(State::Running, State::Stopped);
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
