//! Searches that wait for changes. They do not count against the requests that a connection may
//! have under way, and they end when the connection takes on another identity or closes.

use crate::ldap::{
    ops::{Call, Interrupt},
    state::State,
};
use std::{collections::HashMap, sync::Arc};

/// Those of one connection, by message id.
#[derive(Default)]
pub struct Standing {
    open: HashMap<i32, Arc<Interrupt>>,
    /// None may wait any more: the connection ends, or something waits for all of them to end.
    over: bool,
}

impl Standing {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Ends them all, without an answer, and those that come to this point later.
    pub fn abandon(&mut self) {
        self.over = true;
        self.open.values().for_each(|interrupt| interrupt.abandon());
    }

    /// Lets searches wait again.
    pub fn reopen(&mut self) {
        self.over = false;
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
    if standing.over {
        call.interrupt.abandon();
    }
    standing.open.insert(call.id, Arc::clone(&call.interrupt));
    Some(Guard { state: Arc::clone(&call.state), id: call.id })
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.standing().open.remove(&self.id);
    }
}
