//! What all targets together say of a version of an identity. The one place where targets know
//! of each other.

use crate::lifecycle::Event;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};
use uuid::Uuid;

/// What one target says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds this version, or it does not want the identity at all.
    Accepted,
    /// It will never take this version.
    Refused,
}

/// One target's word on one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    pub uuid: Uuid,
    pub as_of: u64,
    pub verdict: Verdict,
}

#[derive(Default)]
struct Voices {
    as_of: u64,
    accepted: BTreeSet<usize>,
}

/// Collects the votes of all enabled targets.
pub struct Verdicts {
    targets: usize,
    voices: Mutex<HashMap<Uuid, Voices>>,
}

impl Verdicts {
    /// For this many enabled targets.
    pub fn new(targets: usize) -> Self {
        Verdicts { targets, voices: Mutex::default() }
    }

    /// Takes the vote of target number `from`; answers what the directory should be told.
    pub fn hear(&self, from: usize, vote: Vote) -> Option<Event> {
        let mut all = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        let voices = all.entry(vote.uuid).or_default();
        if vote.as_of < voices.as_of {
            return None;
        }
        if vote.as_of > voices.as_of {
            *voices = Voices { as_of: vote.as_of, accepted: BTreeSet::new() };
        }
        match vote.verdict {
            Verdict::Refused => {
                voices.accepted.remove(&from);
                Some(Event::RefusedByTarget)
            }
            Verdict::Accepted => {
                voices.accepted.insert(from);
                if voices.accepted.len() < self.targets {
                    return None;
                }
                Some(Event::Accepted)
            }
        }
    }

    /// Forgets an entry that is gone.
    pub fn forget(&self, uuid: Uuid) {
        self.voices.lock().unwrap_or_else(PoisonError::into_inner).remove(&uuid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_targets_must_accept_the_same_version() {
        let verdicts = Verdicts::new(2);
        let uuid = Uuid::from_u128(1);
        let hear = |from, as_of, verdict| verdicts.hear(from, Vote { uuid, as_of, verdict });
        use Verdict::*;
        for (from, as_of, verdict, expected) in [
            (0, 5, Accepted, None),
            (0, 5, Accepted, None),
            (1, 4, Accepted, None),
            (1, 5, Accepted, Some(Event::Accepted)),
            (0, 6, Accepted, None),
            (1, 6, Refused, Some(Event::RefusedByTarget)),
            (1, 6, Accepted, Some(Event::Accepted)),
            (1, 5, Accepted, None),
        ] {
            assert_eq!(hear(from, as_of, verdict), expected, "{from} {as_of} {verdict:?}");
        }
    }

    #[test]
    fn with_one_target_its_word_counts() {
        let verdicts = Verdicts::new(1);
        let vote = Vote { uuid: Uuid::from_u128(1), as_of: 1, verdict: Verdict::Accepted };
        assert_eq!(verdicts.hear(0, vote), Some(Event::Accepted));
    }
}
