//! When a target is in quarantine: so much of what it was sent fails that it is asked seldom until
//! something gets through. Failures of references do not count: what they wait for may come.

use crate::clock::Timestamp;
use std::time::Duration;

/// Thresholds, in the manner of Entra's scaled down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Failed attempts in a row after which an object is tried every `object_wait` only.
    pub object_attempts: u32,
    pub object_wait: Duration,
    /// The least number of failures in a window that puts the target in quarantine,
    pub failures: u32,
    /// and the least share of all attempts, in percent.
    pub percent: u32,
    pub window: Duration,
    /// How long a target in quarantine is left in peace.
    pub target_wait: Duration,
}

impl Default for Quarantine {
    fn default() -> Self {
        Quarantine {
            object_attempts: 10,
            object_wait: Duration::from_secs(6 * 3600),
            failures: 500,
            percent: 40,
            window: Duration::from_secs(600),
            target_wait: Duration::from_secs(3600),
        }
    }
}

/// What came of the attempts of the present window.
#[derive(Debug, Default)]
pub struct Health {
    began: Timestamp,
    attempts: u32,
    failures: u32,
}

impl Health {
    pub fn success(&mut self, limits: &Quarantine, now: Timestamp) {
        self.turn(limits, now);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Notes a failure; answers why the target is in quarantine from now on, if it is.
    pub fn failure(&mut self, limits: &Quarantine, now: Timestamp) -> Option<String> {
        self.success(limits, now);
        self.failures = self.failures.saturating_add(1);
        let share = u64::from(self.failures) * 100 / u64::from(self.attempts.max(1));
        if self.failures < limits.failures || share < u64::from(limits.percent) {
            return None;
        }
        let why = format!("in quarantine: {} of {} attempts failed", self.failures, self.attempts);
        *self = Health { began: now, ..Health::default() };
        Some(why)
    }

    fn turn(&mut self, limits: &Quarantine, now: Timestamp) {
        if now >= self.began.plus_ms(u64::try_from(limits.window.as_millis()).unwrap_or(u64::MAX)) {
            *self = Health { began: now, ..Health::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_share_must_both_be_reached_within_a_window() {
        let limits = Quarantine { failures: 4, percent: 50, window: Duration::from_secs(60), ..Quarantine::default() };
        let run = |text: &str, at: i64, health: &mut Health| {
            let now = Timestamp::from_secs(at);
            let mut why = None;
            for outcome in text.chars() {
                match outcome {
                    '+' => health.success(&limits, now),
                    _ => why = health.failure(&limits, now),
                }
            }
            why
        };
        for (outcomes, expected) in [
            ("---", None),
            ("----", Some("in quarantine: 4 of 4 attempts failed")),
            ("+++++----", None),
            ("++++----", Some("in quarantine: 4 of 8 attempts failed")),
        ] {
            let mut health = Health::default();
            assert_eq!(run(outcomes, 1_000, &mut health).as_deref(), expected, "{outcomes}");
        }
        let mut health = Health::default();
        assert_eq!(run("---", 1_000, &mut health), None);
        assert_eq!(run("-", 1_060, &mut health), None, "the window has passed");
    }
}
