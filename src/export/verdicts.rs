//! What all targets together say of a version of an identity. The one place where targets know
//! of each other.

use super::save::Report;
use crate::lifecycle::Event;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
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

/// Collects the votes of all targets that are asked.
pub struct Verdicts(Mutex<House>);

struct House {
    /// The targets whose word is waited for.
    seats: BTreeSet<usize>,
    voices: HashMap<Uuid, Voices>,
}

impl Verdicts {
    /// For this many targets, numbered from 0.
    pub fn new(targets: usize) -> Self {
        Verdicts(Mutex::new(House { seats: (0..targets).collect(), voices: HashMap::new() }))
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the vote of target number `from`; answers what the directory should be told.
    pub fn hear(&self, from: usize, vote: Vote) -> Option<Event> {
        let mut house = self.house();
        let House { seats, voices } = &mut *house;
        let voices = voices.entry(vote.uuid).or_default();
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
                voices.accepted.is_superset(seats).then_some(Event::Accepted)
            }
        }
    }

    /// From now on the word of this target is waited for, or not; answers what is settled by that.
    pub fn seat(&self, target: usize, is_asked: bool) -> Vec<Report> {
        let mut house = self.house();
        if is_asked {
            house.seats.insert(target);
            return Vec::new();
        }
        if !house.seats.remove(&target) {
            return Vec::new();
        }
        let House { seats, voices } = &*house;
        let settled = voices.iter().filter(|(_, v)| !v.accepted.is_empty() && v.accepted.is_superset(seats));
        settled.map(|(uuid, v)| Report { uuid: *uuid, as_of: v.as_of, event: Event::Accepted }).collect()
    }

    /// Forgets an entry that is gone.
    pub fn forget(&self, uuid: Uuid) {
        self.house().voices.remove(&uuid);
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
    fn who_is_not_asked_any_more_is_not_waited_for() {
        let verdicts = Verdicts::new(2);
        let (uuid, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(verdicts.hear(0, Vote { uuid, as_of: 5, verdict: Verdict::Accepted }), None);
        assert_eq!(verdicts.hear(1, Vote { uuid: other, as_of: 6, verdict: Verdict::Accepted }), None);
        assert_eq!(verdicts.seat(1, false), [Report { uuid, as_of: 5, event: Event::Accepted }]);
        assert_eq!(verdicts.seat(1, false), []);
        let vote = Vote { uuid: other, as_of: 6, verdict: Verdict::Accepted };
        assert_eq!(verdicts.hear(0, vote), Some(Event::Accepted));
        assert_eq!(verdicts.seat(1, true), []);
        assert_eq!(verdicts.hear(0, Vote { as_of: 7, ..vote }), None);
    }

    #[test]
    fn with_one_target_its_word_counts() {
        let verdicts = Verdicts::new(1);
        let vote = Vote { uuid: Uuid::from_u128(1), as_of: 1, verdict: Verdict::Accepted };
        assert_eq!(verdicts.hear(0, vote), Some(Event::Accepted));
    }
}
