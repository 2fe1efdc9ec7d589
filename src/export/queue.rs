//! What is to be done for one target: one item for each object, however often it changed. Knows
//! order and time, not what an item comes to.

use super::target::Resource;
use crate::clock::Timestamp;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Why an object is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The journal record that asks for it; the cursor stays below. 0 stands for a full pass,
    /// which no cursor may pass. `None` holds nothing back.
    pub number: Option<u64>,
    /// A version that was refused for good is tried again.
    pub force: bool,
    /// What the row says of the target may be wrong: look there first.
    pub doubt: bool,
}

impl Cause {
    fn merge(&mut self, other: Cause) {
        self.number = match (self.number, other.number) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.force |= other.force;
        self.doubt |= other.doubt;
    }
}

#[derive(Debug)]
struct Item {
    resource: Resource,
    cause: Cause,
    due: Timestamp,
    order: u64,
    /// Under way; holds what has come since it began.
    running: Option<Option<Cause>>,
}

/// The items of one target.
#[derive(Debug, Default)]
pub struct Queue {
    items: HashMap<Uuid, Item>,
    /// By the rank of the resource, then the earliest.
    waiting: BTreeSet<(u8, Timestamp, u64, Uuid)>,
    numbers: BTreeSet<(u64, Uuid)>,
    orders: u64,
    takes: u64,
}

impl Queue {
    /// Asks for an object at `due`. One that waits already keeps its own time, so that changes
    /// do not shorten the wait after a failure.
    pub fn add(&mut self, object: Uuid, resource: Resource, due: Timestamp, cause: Cause) {
        match self.items.get_mut(&object) {
            None => {
                self.orders += 1;
                let item = Item { resource, cause, due, order: self.orders, running: None };
                self.note(object, cause.number);
                self.waiting.insert((resource.rank(), due, item.order, object));
                self.items.insert(object, item);
            }
            Some(item) => {
                let old = item.cause.number;
                match &mut item.running {
                    None => item.cause.merge(cause),
                    Some(again) => {
                        again.get_or_insert_default().merge(cause);
                        // The run under way answers for the older records, the next for these.
                        if item.cause.number.is_none() {
                            item.cause.number = cause.number;
                        }
                    }
                }
                let new = item.cause.number;
                self.renumber(object, old, new);
            }
        }
    }

    /// The next object that is due; it is under way until [`Queue::done`] or its kin. What others
    /// refer to comes first, but so that groups are not starved by users who change all the time:
    /// whoever refers to an object that is linked later is asked for again anyway.
    pub fn take(&mut self, now: Timestamp) -> Option<(Uuid, Cause)> {
        let first_due = |rank: &u8| self.first(*rank).filter(|waiting| waiting.1 <= now);
        let mut ranks = RANKS;
        if self.takes % TURN_OF_THE_LAST == TURN_OF_THE_LAST - 1 {
            ranks.reverse();
        }
        let key = ranks.iter().find_map(first_due)?;
        self.takes += 1;
        self.waiting.remove(&key);
        let item = self.items.get_mut(&key.3)?;
        item.running = Some(None);
        Some((key.3, item.cause))
    }

    fn first(&self, rank: u8) -> Option<(u8, Timestamp, u64, Uuid)> {
        let from = (rank, Timestamp(i64::MIN), 0, Uuid::nil());
        self.waiting.range(from..).next().filter(|waiting| waiting.0 == rank).copied()
    }

    /// Has an object that waits tried at once, however long it was to wait.
    pub fn hasten(&mut self, object: Uuid, now: Timestamp) {
        let Some(item) = self.items.get_mut(&object).filter(|item| item.running.is_none()) else { return };
        if item.due > now {
            self.waiting.remove(&(item.resource.rank(), item.due, item.order, object));
            item.due = now;
            self.waiting.insert((item.resource.rank(), item.due, item.order, object));
        }
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        *self = Queue { orders: self.orders, ..Queue::default() };
    }

    /// The object is settled; if it was asked for again meanwhile, it waits anew.
    pub fn done(&mut self, object: Uuid, now: Timestamp) {
        let Some(item) = self.items.remove(&object) else { return };
        self.renumber(object, item.cause.number, None);
        if let Some(Some(again)) = item.running {
            self.add(object, item.resource, now, again);
        }
    }

    /// The object has failed and its row says so: it comes back at `due`, holding nothing back.
    pub fn retry(&mut self, object: Uuid, due: Timestamp) {
        let Some(item) = self.items.remove(&object) else { return };
        self.renumber(object, item.cause.number, None);
        let mut cause = Cause { number: None, ..item.cause };
        if let Some(Some(again)) = item.running {
            cause.merge(again);
        }
        self.add(object, item.resource, due, cause);
    }

    /// The object could not be tried: everything about it stays as it was.
    /// `not_before` keeps a fault that comes at once from being met again at once.
    pub fn give_back(&mut self, object: Uuid, doubt: bool, not_before: Option<Timestamp>) {
        let Some(item) = self.items.remove(&object) else { return };
        self.renumber(object, item.cause.number, None);
        let mut cause = Cause { doubt: item.cause.doubt || doubt, ..item.cause };
        if let Some(Some(again)) = item.running {
            cause.merge(again);
        }
        self.add(object, item.resource, not_before.map_or(item.due, |at| at.max(item.due)), cause);
    }

    /// The lowest journal record that is not settled.
    pub fn floor(&self) -> Option<u64> {
        self.numbers.first().map(|(number, _)| *number)
    }

    /// When the next object that waits is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        RANKS.iter().filter_map(|rank| self.first(*rank)).map(|waiting| waiting.1).min()
    }

    /// The journal record that asks for an object.
    pub fn number(&self, object: Uuid) -> Option<u64> {
        self.items.get(&object)?.cause.number
    }

    pub fn contains(&self, object: Uuid) -> bool {
        self.items.contains_key(&object)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    fn note(&mut self, object: Uuid, number: Option<u64>) {
        if let Some(number) = number {
            self.numbers.insert((number, object));
        }
    }

    fn renumber(&mut self, object: Uuid, old: Option<u64>, new: Option<u64>) {
        if old != new {
            if let Some(old) = old {
                self.numbers.remove(&(old, object));
            }
            self.note(object, new);
        }
    }
}

const RANKS: [u8; 3] = [0, 1, 2];

/// Each so many takes the last rank goes first.
const TURN_OF_THE_LAST: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const NOW: Timestamp = Timestamp(10);

    fn number(number: u64) -> Cause {
        Cause { number: Some(number), ..Cause::default() }
    }

    fn take(queue: &mut Queue) -> Option<(Uuid, Option<u64>)> {
        queue.take(NOW).map(|(uuid, cause)| (uuid, cause.number))
    }

    #[test]
    fn users_come_first_and_changes_of_one_object_are_one_item() {
        let mut queue = Queue::default();
        queue.add(A, Resource::Group, NOW, number(3));
        queue.add(B, Resource::User, NOW, number(5));
        queue.add(B, Resource::User, NOW, number(4));
        assert_eq!((queue.len(), queue.floor()), (2, Some(3)));
        assert_eq!(take(&mut queue), Some((B, Some(4))));
        assert_eq!(take(&mut queue), Some((A, Some(3))));
        assert_eq!(take(&mut queue), None);
        queue.done(A, NOW);
        assert_eq!(queue.floor(), Some(4));
        queue.done(B, NOW);
        assert_eq!((queue.len(), queue.floor()), (0, None));
    }

    #[test]
    fn a_change_during_the_run_asks_again() {
        let mut queue = Queue::default();
        queue.add(A, Resource::User, NOW, number(3));
        take(&mut queue);
        queue.add(A, Resource::User, NOW, number(7));
        assert_eq!((take(&mut queue), queue.floor()), (None, Some(3)));
        queue.done(A, NOW);
        assert_eq!((queue.floor(), take(&mut queue)), (Some(7), Some((A, Some(7)))));
    }

    #[test]
    fn a_run_that_held_nothing_back_does_for_a_record_that_comes_meanwhile() {
        let mut queue = Queue::default();
        queue.add(A, Resource::User, NOW, Cause::default());
        take(&mut queue);
        queue.add(A, Resource::User, NOW, number(7));
        assert_eq!(queue.floor(), Some(7));
        queue.retry(A, Timestamp(20));
        assert_eq!((queue.floor(), take(&mut queue), queue.next_due()), (Some(7), None, Some(Timestamp(20))));
    }

    #[test]
    fn a_failure_waits_and_holds_nothing_back() {
        let mut queue = Queue::default();
        queue.add(A, Resource::User, NOW, number(3));
        take(&mut queue);
        queue.retry(A, Timestamp(20));
        assert_eq!((queue.floor(), take(&mut queue)), (None, None));
        queue.add(A, Resource::User, NOW, number(9));
        assert_eq!((queue.floor(), take(&mut queue)), (Some(9), None));
        assert_eq!(queue.take(Timestamp(20)).map(|(u, _)| u), Some(A));
    }

    #[test]
    fn groups_get_their_turn_while_users_keep_coming_and_haste_is_possible() {
        let mut queue = Queue::default();
        queue.add(A, Resource::Group, NOW, number(1));
        let mut turns = 0;
        loop {
            queue.add(Uuid::from_u128(100 + turns), Resource::User, NOW, number(2));
            turns += 1;
            if take(&mut queue).is_some_and(|(object, _)| object == A) {
                break;
            }
        }
        assert_eq!(turns, 16);
        queue.add(B, Resource::Department, Timestamp(50), number(3));
        assert_eq!(queue.take(NOW).map(|(object, _)| object), Some(Uuid::from_u128(115)));
        queue.hasten(B, NOW);
        assert_eq!(take(&mut queue), Some((B, Some(3))));
    }

    #[test]
    fn what_could_not_be_tried_still_holds_the_cursor() {
        let mut queue = Queue::default();
        queue.add(A, Resource::User, NOW, number(3));
        take(&mut queue);
        queue.give_back(A, true, None);
        assert_eq!(queue.floor(), Some(3));
        assert_eq!(queue.take(NOW), Some((A, Cause { number: Some(3), force: false, doubt: true })));
    }
}
