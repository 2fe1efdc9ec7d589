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
    /// A write left it incomplete, and the writer asked to keep it (state -1 sent).
    Incomplete,
    /// Someone with the right asks for this state.
    Asked(State),
    /// Every target has accepted its present version.
    Accepted,
    /// A target has refused its present version for good.
    RefusedByTarget,
}

/// A move that the table does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state {from} cannot become {to} here; allowed: {}", allowed(*.from))]
pub struct Refused {
    pub from: State,
    pub to: State,
}

/// The state after an event. `from` is `None` for a new identity.
pub fn next(from: Option<State>, event: Event) -> Result<State, Refused> {
    use State::*;
    match (from, event) {
        // A frozen identity stays frozen whatever is written to it.
        (Some(DontSync), Event::Valid(_) | Event::Incomplete | Event::Accepted | Event::RefusedByTarget) => {
            Ok(DontSync)
        }
        (_, Event::Valid(Release::Automatic)) => Ok(ToSync),
        (_, Event::Valid(Release::Manual)) => Ok(ToValidate),
        (_, Event::Incomplete) => Ok(ToComplete),

        // TO_CREATE is what a client sends; it is never kept.
        (None, Event::Asked(to @ (ToValidate | ToSync))) => Ok(to),
        (None, Event::Asked(to)) => Err(Refused { from: ToCreate, to }),
        (Some(from), Event::Asked(to)) if from == to => Ok(to),
        (Some(ToValidate | Synced | Processing | OnError | Unknown), Event::Asked(ToSync)) => Ok(ToSync),
        (Some(ToSync | Synced | OnError | Unknown), Event::Asked(ToValidate)) => Ok(ToValidate),
        (Some(from), Event::Asked(to)) => Err(Refused { from, to }),

        // An answer that comes after the next change says nothing about the present version.
        (Some(ToSync | Processing | OnError), Event::Accepted) => Ok(Synced),
        (Some(ToSync | Processing | Synced), Event::RefusedByTarget) => Ok(OnError),
        (Some(from), Event::Accepted | Event::RefusedByTarget) => Ok(from),
        (None, Event::Accepted | Event::RefusedByTarget) => Ok(Unknown),
    }
}

/// The states that someone may ask for, in words.
fn allowed(from: State) -> String {
    let start = (from != State::ToCreate).then_some(from);
    let to: Vec<String> = State::ALL
        .into_iter()
        .filter(|to| start != Some(*to) && next(start, Event::Asked(*to)).is_ok())
        .map(|to| to.to_string())
        .collect();
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
        ] {
            assert_eq!(next(from, event), expected, "{from:?} {event:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_allowed_moves() {
        let refused = next(Some(ToValidate), Event::Asked(Synced)).unwrap_err();
        assert_eq!(refused.to_string(), "state 1 TO_VALIDATE cannot become 99 SYNCED here; allowed: 2 TO_SYNC");
    }
}
