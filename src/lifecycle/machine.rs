//! The moves between states, all in one place.

use super::State;

/// Who lets a valid identity go to the targets (`identities.release`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// A valid write is released at once: TO_SYNC.
    #[default]
    Automatic,
    /// A valid write waits for a human: TO_VALIDATE.
    Manual,
}

/// What happens to an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A write left it valid.
    Valid(Release),
    /// A write left it incomplete, and the writer asked to keep it so (state -1 sent, or an upsert).
    Incomplete,
    /// Someone with the right asks for this state.
    Asked(State),
    /// The same by Sesame's route for one identity, which starts from TO_VALIDATE or TO_CREATE only.
    Patched(State),
    /// Let go to the targets, alone or with many others.
    Released,
    /// Every target has accepted its present version.
    Accepted,
    /// A target has refused its present version for good.
    RefusedByTarget,
    /// A lifecycle rule has changed more than the letter.
    Mutated,
    /// Soft delete.
    Deleted,
    /// A soft delete is taken back.
    Undeleted(Past),
    /// Taken up into another identity.
    Absorbed,
    /// Has taken up another identity, or is free again after one.
    Fused,
}

/// How a deleted identity was: whether the targets ever held it, or it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    Synced,
    NeverSynced,
    Incomplete,
    /// Absorbed by another identity, which it still is.
    Absorbed,
}

impl Event {
    /// Whether it may happen to an identity that breaks class rules.
    pub fn is_for_incomplete(self) -> bool {
        matches!(
            self,
            Event::Incomplete
                | Event::Asked(State::DontSync)
                | Event::Deleted
                | Event::Undeleted(Past::Incomplete | Past::Absorbed)
                | Event::Absorbed
                | Event::Accepted
                | Event::RefusedByTarget
        )
    }
}

/// A move that the table does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state {from} cannot become {to} here; allowed: {}", allowed_text(*.from))]
pub struct Refused {
    pub from: State,
    pub to: State,
}

/// The state after an event. `from` is `None` for a new identity.
pub fn next(from: Option<State>, event: Event) -> Result<State, Refused> {
    use State::*;
    match (from, event) {
        // Frozen from the beginning is what comes over from another directory.
        (None, Event::Asked(to @ (ToValidate | ToSync | DontSync))) => Ok(to),
        // TO_CREATE is what a client sends; it is kept only by an identity that came back.
        (None, Event::Asked(to) | Event::Patched(to)) => Err(Refused { from: ToCreate, to }),
        (Some(from), Event::Asked(to)) => asked(from, to),
        (Some(from @ (ToValidate | ToCreate)), Event::Patched(to)) => asked(from, to),
        (Some(from), Event::Patched(to)) => Err(Refused { from, to }),
        (Some(ToValidate | ToCreate | Synced | Processing | OnError | Unknown | ToSync), Event::Released) => Ok(ToSync),
        (from, Event::Released) => Err(Refused { from: from.unwrap_or(ToCreate), to: ToSync }),

        (_, Event::Deleted | Event::Absorbed | Event::Undeleted(Past::Absorbed)) => Ok(DontSync),
        (_, Event::Undeleted(Past::Synced)) => Ok(ToSync),
        (_, Event::Undeleted(Past::NeverSynced)) => Ok(ToCreate),
        (_, Event::Undeleted(Past::Incomplete)) => Ok(ToComplete),
        (_, Event::Fused) => Ok(ToValidate),

        // A frozen identity stays frozen whatever else is done to it.
        (
            Some(DontSync),
            Event::Valid(_) | Event::Incomplete | Event::Mutated | Event::Accepted | Event::RefusedByTarget,
        ) => Ok(DontSync),
        // What waits for a human goes on waiting, whoever writes to it.
        (Some(ToValidate), Event::Valid(Release::Automatic)) => Ok(ToValidate),
        (_, Event::Valid(Release::Automatic)) => Ok(ToSync),
        (_, Event::Valid(Release::Manual)) => Ok(ToValidate),
        (_, Event::Incomplete) => Ok(ToComplete),
        // What a rule does cannot make up for what is missing.
        (Some(ToComplete), Event::Mutated) => Ok(ToComplete),
        (_, Event::Mutated) => Ok(ToSync),

        // An answer that comes after the next change says nothing about the present version.
        (Some(ToSync | Processing | OnError), Event::Accepted) => Ok(Synced),
        (Some(ToSync | Processing | Synced), Event::RefusedByTarget) => Ok(OnError),
        (Some(from), Event::Accepted | Event::RefusedByTarget) => Ok(from),
        (None, Event::Accepted | Event::RefusedByTarget) => Ok(Unknown),
    }
}

/// What a human may ask for.
fn asked(from: State, to: State) -> Result<State, Refused> {
    use State::*;
    match (from, to) {
        (from, to) if from == to => Ok(to),
        // Whoever freezes an identity may thaw it again; what was missing is missing still.
        (_, DontSync) => Ok(to),
        (ToValidate | ToCreate | Synced | Processing | OnError | Unknown | DontSync, ToSync) => Ok(to),
        (ToSync | ToCreate | Synced | OnError | Unknown | DontSync, ToValidate) => Ok(to),
        (from, to) => Err(Refused { from, to }),
    }
}

/// The states that someone may ask for.
pub fn allowed(from: State) -> impl Iterator<Item = State> {
    State::ALL.into_iter().filter(move |to| *to != from && asked(from, *to).is_ok())
}

fn allowed_text(from: State) -> String {
    let to: Vec<String> = match from {
        // Said of one that is not there yet: TO_CREATE is what its client sends.
        State::ToCreate => [State::DontSync, State::ToValidate, State::ToSync].map(|to| to.to_string()).to_vec(),
        from => allowed(from).map(|to| to.to_string()).collect(),
    };
    if to.is_empty() { "none".to_owned() } else { to.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{State::*, *};

    #[test]
    fn the_first_moves() {
        for (from, event, expected) in [
            (None, Event::Valid(Release::Automatic), Ok(ToSync)),
            (None, Event::Valid(Release::Manual), Ok(ToValidate)),
            (None, Event::Incomplete, Ok(ToComplete)),
            (None, Event::Asked(ToValidate), Ok(ToValidate)),
            (None, Event::Asked(Synced), Err(Refused { from: ToCreate, to: Synced })),
            (Some(ToComplete), Event::Valid(Release::Automatic), Ok(ToSync)),
            (Some(ToComplete), Event::Asked(ToSync), Err(Refused { from: ToComplete, to: ToSync })),
            (Some(ToValidate), Event::Asked(ToSync), Ok(ToSync)),
            (Some(ToSync), Event::Accepted, Ok(Synced)),
            (Some(ToValidate), Event::Accepted, Ok(ToValidate)),
            (Some(ToSync), Event::RefusedByTarget, Ok(OnError)),
            (Some(OnError), Event::Asked(ToSync), Ok(ToSync)),
            (Some(OnError), Event::Valid(Release::Automatic), Ok(ToSync)),
            (Some(Synced), Event::Valid(Release::Manual), Ok(ToValidate)),
            (Some(DontSync), Event::Valid(Release::Automatic), Ok(DontSync)),
            (Some(Synced), Event::Asked(DontSync), Ok(DontSync)),
            (Some(DontSync), Event::Asked(ToSync), Ok(ToSync)),
            (Some(ToCreate), Event::Patched(ToSync), Ok(ToSync)),
            (Some(Synced), Event::Patched(ToSync), Err(Refused { from: Synced, to: ToSync })),
            (Some(Synced), Event::Released, Ok(ToSync)),
            (Some(ToComplete), Event::Released, Err(Refused { from: ToComplete, to: ToSync })),
            (Some(Synced), Event::Mutated, Ok(ToSync)),
            (Some(ToComplete), Event::Mutated, Ok(ToComplete)),
            (Some(Synced), Event::Deleted, Ok(DontSync)),
            (Some(DontSync), Event::Undeleted(Past::Synced), Ok(ToSync)),
            (Some(DontSync), Event::Undeleted(Past::NeverSynced), Ok(ToCreate)),
            (Some(Synced), Event::Absorbed, Ok(DontSync)),
            (Some(Synced), Event::Fused, Ok(ToValidate)),
        ] {
            assert_eq!(next(from, event), expected, "{from:?} {event:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_allowed_moves() {
        let refused = next(Some(ToValidate), Event::Asked(Synced)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "state 1 TO_VALIDATE cannot become 99 SYNCED here; allowed: -99 DONT_SYNC, 2 TO_SYNC"
        );
    }
}
