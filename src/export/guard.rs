//! The guard against accidental removals: too many in one window wait until somebody has looked.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// When removals begin to wait. A removal is a delete, or an `active: false` where it was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// In one window; `None`: no guard.
    pub removals: Option<usize>,
    /// Of what the target holds, in percent. Not before [`GuardLimits::LEAST`] removals.
    pub percent: usize,
    pub window_secs: u64,
}

impl Default for GuardLimits {
    fn default() -> Self {
        GuardLimits { removals: Some(500), percent: 30, window_secs: 3600 }
    }
}

impl GuardLimits {
    /// A share of a few objects says nothing.
    pub const LEAST: usize = 20;
}

/// What has been removed in the present window; kept in the target's own row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    pub began: Timestamp,
    pub removals: usize,
    /// Removals wait, from the first that was too many until somebody decides.
    pub tripped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Go,
    Wait,
}

impl Guard {
    /// Asks for one more removal from a target that holds `linked` objects.
    pub fn ask(&mut self, limits: &GuardLimits, linked: usize, now: Timestamp) -> Pass {
        let Some(most) = limits.removals else { return Pass::Go };
        if self.tripped {
            return Pass::Wait;
        }
        if now >= self.began.plus_ms(limits.window_secs.saturating_mul(1000)) {
            *self = Guard { began: now, ..Guard::default() };
        }
        let share = (linked + self.removals).saturating_mul(limits.percent) / 100;
        if self.removals >= most || self.removals >= share.max(GuardLimits::LEAST) {
            self.tripped = true;
            return Pass::Wait;
        }
        self.removals += 1;
        Pass::Go
    }

    /// Somebody has decided, either way: counting begins anew.
    pub fn reset(&mut self, now: Timestamp) {
        *self = Guard { began: now, ..Guard::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_and_the_share_trip_it_until_someone_decides() {
        let limits = GuardLimits { removals: Some(50), percent: 10, window_secs: 60 };
        let now = Timestamp::from_secs(1_000);
        let passes = |guard: &mut Guard, linked: usize, at: Timestamp| {
            let mut left = linked;
            while left > 0 && guard.ask(&limits, left, at) == Pass::Go {
                left -= 1;
            }
            linked - left
        };
        for (linked, expected) in [(10_000, 50), (300, 30), (40, 20), (5, 5)] {
            assert_eq!(passes(&mut Guard::default(), linked, now), expected, "{linked}");
        }
        let mut guard = Guard::default();
        passes(&mut guard, 10_000, now);
        let later = Timestamp::from_secs(5_000);
        assert_eq!(guard.ask(&limits, 10_000, later), Pass::Wait, "time alone decides nothing");
        guard.reset(later);
        assert_eq!(passes(&mut guard, 10_000, later), 50);
        let none = GuardLimits { removals: None, ..limits };
        assert_eq!(guard.ask(&none, 1, later), Pass::Go);
    }

    #[test]
    fn a_new_window_counts_anew() {
        let limits = GuardLimits { removals: Some(2), percent: 100, window_secs: 60 };
        let mut guard = Guard::default();
        for (at, expected) in [(100, Pass::Go), (110, Pass::Go), (160, Pass::Go), (161, Pass::Go), (162, Pass::Wait)] {
            assert_eq!(guard.ask(&limits, 1_000, Timestamp::from_secs(at)), expected, "{at}");
        }
    }
}
