//! Searches that wait for changes. They do not count against the requests that a connection may
//! have under way, and they end when the connection takes on another identity or closes.

use crate::ldap::{
    ops::{Call, Interrupt},
    state::State,
};
use std::{collections::HashMap, sync::Arc};

/// Those of one connection, by message id.
#[derive(Default)]
pub struct Standing(HashMap<i32, Arc<Interrupt>>);

impl Standing {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Ends them all, without an answer.
    pub fn abandon(&self) {
        self.0.values().for_each(|interrupt| interrupt.abandon());
    }
}

/// As long as it lives the search is among those that wait.
pub struct Guard {
    state: Arc<State>,
    id: i32,
}

/// `None` if there are too many already.
pub fn enter(call: &Call, limit: usize) -> Option<Guard> {
    let mut standing = call.state.standing();
    if standing.len() >= limit {
        return None;
    }
    standing.0.insert(call.id, Arc::clone(&call.interrupt));
    Some(Guard { state: Arc::clone(&call.state), id: call.id })
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.standing().0.remove(&self.id);
    }
}
