//! Objects that wait for each other's names: two entries that have exchanged theirs, or more in a ring,
//! while the target lets no two objects have one name. One of them steps aside, to a name that nobody
//! else wants, and the others can follow. Kept in memory only: after a restart they fail once more.

use std::collections::{HashMap, HashSet};
use uuid::Uuid;

struct Wait {
    by: Uuid,
    /// Attempts in a row while nothing was to be done for the other one.
    idle: u32,
}

#[derive(Default)]
pub struct Circles {
    /// Who wants a name -> whose object has it.
    waits_for: HashMap<Uuid, Wait>,
    aside: HashSet<Uuid>,
}

impl Circles {
    /// `object` wants a name that the object of `by` has. If that one waits, in the end, for this one,
    /// this one steps aside the next time it is tried. Answers how often in a row it has waited for one
    /// who is not `busy`, and so will hardly give the name away.
    pub fn wait(&mut self, object: Uuid, by: Uuid, busy: bool) -> u32 {
        let before = self.waits_for.get(&object).filter(|wait| wait.by == by && !busy).map_or(0, |wait| wait.idle);
        let idle = before.saturating_add(u32::from(!busy));
        self.waits_for.insert(object, Wait { by, idle });
        self.close(object, by);
        idle
    }

    /// Looks whether the last wait has closed a circle.
    fn close(&mut self, object: Uuid, by: Uuid) {
        let (mut next, mut steps) = (by, 0usize);
        // Another circle further on would never end.
        while next != object && steps < self.waits_for.len() {
            let Some(then) = self.waits_for.get(&next) else { return };
            next = then.by;
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
        self.waits_for.iter().filter(|(_, wait)| wait.by == object).map(|(waiting, _)| *waiting).collect()
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
            circles.wait(object, by, true);
            assert_eq!(circles.steps_aside(object), aside, "{object}");
        }
        let mut waiting = circles.waiting_for(b);
        waiting.sort();
        assert_eq!(waiting, [a, d]);
        circles.forget(a);
        circles.wait(c, a, true);
        assert!(!circles.steps_aside(c), "a waits no more");
        circles.wait(a, a, true);
        assert!(!circles.steps_aside(a), "its own name is no circle");
        let idle = [false, false, true, false].map(|busy| circles.wait(d, b, busy));
        assert_eq!(idle, [1, 2, 0, 1], "whoever is at work may give the name away");
    }
}
