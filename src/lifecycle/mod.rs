//! The life of an identity: what Sesame's four axes mean, the one table of moves between states,
//! and the careers that the lifecycle files declare. Decisions only; who applies and stores them is
//! `directory`.

mod career;
mod condition;
mod date_key;
mod files;
mod machine;
mod meaning;
mod mutation;
mod path;
mod resource;
mod rule;
mod states;
mod template;
#[cfg(test)]
mod tests;
mod transitions;

pub use career::{Career, NotPermitted};
pub use condition::{Condition, ldap_filter};
pub use date_key::DateKey;
pub use files::{Faults, Sources};
pub use machine::{Event, Past, Refused, Release, allowed, next};
pub use meaning::{Account, Export, Fault, parse_axis};
pub use mutation::{Mutation, Set};
pub use path::check_paths;
pub use resource::Resources;
pub use rule::{Rule, Trigger};
pub use states::{OFFICIAL, Stage, Stages};
pub use transitions::Transitions;

use crate::entry::Axes;

/// Sesame's `IdentityState`: where an identity stands in the synchronisation workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum State {
    DontSync = -99,
    OnError = -3,
    ToComplete = -2,
    ToCreate = -1,
    Unknown = 0,
    ToValidate = 1,
    ToSync = 2,
    Processing = 50,
    Synced = 99,
}

impl State {
    pub const ALL: [State; 9] = [
        State::DontSync,
        State::OnError,
        State::ToComplete,
        State::ToCreate,
        State::Unknown,
        State::ToValidate,
        State::ToSync,
        State::Processing,
        State::Synced,
    ];

    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|s| *s as i32 == number)
    }

    pub fn number(self) -> i32 {
        self as i32
    }

    /// Sesame's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            State::DontSync => "DONT_SYNC",
            State::OnError => "ON_ERROR",
            State::ToComplete => "TO_COMPLETE",
            State::ToCreate => "TO_CREATE",
            State::Unknown => "UNKNOWN",
            State::ToValidate => "TO_VALIDATE",
            State::ToSync => "TO_SYNC",
            State::Processing => "PROCESSING",
            State::Synced => "SYNCED",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number(), self.name())
    }
}

/// The dataStatus of an account that is in use.
pub const ACTIVE: i32 = 1;

/// The axes of a new identity, before its first move: official, not initialised, not invited.
pub fn fresh(state: State) -> Axes {
    Axes { state: state.number(), lifecycle: OFFICIAL, data_status: 0, init_state: 0 }
}

/// The state of stored axes; a number that this release does not know counts as UNKNOWN.
pub fn state(axes: &Axes) -> State {
    State::from_number(axes.state).unwrap_or(State::Unknown)
}
