//! Objects that wait for each other's names: two entries that have exchanged theirs, or more in a ring,
//! while the target lets no two objects have one name. One of them steps aside, to a name that nobody
//! else wants, and the others can follow. Kept in memory only: after a restart they fail once more.

use std::collections::{HashMap, HashSet};
use uuid::Uuid;

#[derive(Default)]
pub struct Circles {
    /// Who wants a name -> whose object has it.
    waits_for: HashMap<Uuid, Uuid>,
    aside: HashSet<Uuid>,
}

impl Circles {
    /// `object` wants a name that the object of `by` has. If that one waits, in the end, for this one,
    /// this one steps aside the next time it is tried.
    pub fn wait(&mut self, object: Uuid, by: Uuid) {
        self.waits_for.insert(object, by);
        let (mut next, mut steps) = (by, 0usize);
        // Another circle further on would never end.
        while next != object && steps < self.waits_for.len() {
            let Some(then) = self.waits_for.get(&next) else { return };
            next = *then;
            steps += 1;
        }
        if next == object && by != object {
            self.aside.insert(object);
        }
    }

    /// `object` waits for no name.
    pub fn forget(&mut self, object: Uuid) {
        self.waits_for.remove(&object);
        self.aside.remove(&object);
    }

    /// Whether it steps aside now.
    pub fn steps_aside(&mut self, object: Uuid) -> bool {
        self.aside.remove(&object)
    }

    /// Those that want a name that `object` had.
    pub fn waiting_for(&self, object: Uuid) -> Vec<Uuid> {
        self.waits_for.iter().filter(|(_, by)| **by == object).map(|(waiting, _)| *waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_closes_a_circle_steps_aside() {
        let [a, b, c, d] = [1, 2, 3, 4].map(Uuid::from_u128);
        let mut circles = Circles::default();
        for (object, by, aside) in [(a, b, false), (b, c, false), (d, a, false), (c, a, true), (d, b, false)] {
            circles.wait(object, by);
            assert_eq!(circles.steps_aside(object), aside, "{object}");
        }
        let mut waiting = circles.waiting_for(b);
        waiting.sort();
        assert_eq!(waiting, [a, d]);
        circles.forget(a);
        circles.wait(c, a);
        assert!(!circles.steps_aside(c), "a waits no more");
        circles.wait(a, a);
        assert!(!circles.steps_aside(a), "its own name is no circle");
    }
}
