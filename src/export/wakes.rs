//! Objects that are to be looked at again at some time though nothing changes: when a grace is over,
//! a group ends, a reprieve runs out. Apart from the queue, whose items are work at hand.

use crate::clock::Timestamp;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct Wakes {
    times: BTreeSet<(Timestamp, Uuid)>,
    of: HashMap<Uuid, Timestamp>,
}

impl Wakes {
    /// The next time for an object, in the place of the one it had.
    pub fn set(&mut self, object: Uuid, at: Option<Timestamp>) {
        if let Some(old) = self.of.remove(&object) {
            self.times.remove(&(old, object));
        }
        if let Some(at) = at {
            self.of.insert(object, at);
            self.times.insert((at, object));
        }
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.times.first().map(|(at, _)| *at)
    }

    /// One whose time has come; it has no time any more.
    pub fn take(&mut self, now: Timestamp) -> Option<Uuid> {
        let (_, object) = self.times.first().filter(|(at, _)| *at <= now).copied()?;
        self.set(object, None);
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_one_time() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut wakes = Wakes::default();
        wakes.set(a, Some(Timestamp(30)));
        wakes.set(b, Some(Timestamp(20)));
        wakes.set(a, Some(Timestamp(10)));
        assert_eq!(wakes.next(), Some(Timestamp(10)));
        assert_eq!(
            (wakes.take(Timestamp(9)), wakes.take(Timestamp(10)), wakes.take(Timestamp(10))),
            (None, Some(a), None)
        );
        wakes.set(b, None);
        assert_eq!(wakes.next(), None);
    }
}
