//! When a whole target is left in peace.

use super::backoff::Backoff;
use crate::clock::Timestamp;
use std::time::Duration;

#[derive(Debug, Default)]
pub struct Pause {
    until: Option<(Timestamp, String)>,
    /// Pauses in a row without one object getting through.
    strikes: u32,
    /// The target must be opened again, with fresh credentials, before anything is sent.
    pub closed: bool,
    /// Somebody answered since the last failure, so that an object may be risked.
    alive: bool,
}

impl Pause {
    /// Of a target that was not yet opened.
    pub fn before_opening() -> Self {
        Pause { closed: true, ..Pause::default() }
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.as_ref().is_none_or(|(until, _)| *until <= now)
    }

    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.as_ref().map(|(until, _)| *until).filter(|until| *until > now)
    }

    /// What it waits for.
    pub fn reason(&self, now: Timestamp) -> Option<String> {
        let (until, why) = self.until.as_ref().filter(|(until, _)| *until > now || self.strikes > 0)?;
        Some(format!("{why}; next attempt at {until}"))
    }

    /// While nothing has got through, one object at a time is enough to find out.
    pub fn is_probing(&self) -> bool {
        self.strikes > 0
    }

    /// Whether the target should be asked for a sign of life before an object is sent.
    pub fn wants_probe(&self) -> bool {
        self.is_probing() && !self.alive
    }

    /// The target has been opened, or has answered a probe.
    pub fn answered(&mut self) {
        self.closed = false;
        self.alive = true;
    }

    /// Begins a pause. Requests that were sent together and fail together count once.
    pub fn strike(&mut self, now: Timestamp, why: String, backoff: Backoff, asked: Option<Duration>, chance: u64) {
        if self.is_over(now) {
            self.strikes = self.strikes.saturating_add(1);
        }
        self.alive = false;
        let wait = backoff.wait(self.strikes, asked, chance);
        let until = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let later = self.until.as_ref().map_or(until, |(old, _)| until.max(*old));
        self.until = Some((later, why));
    }

    /// An object got through.
    pub fn clear(&mut self) {
        *self = Pause::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_moment_count_once_and_one_success_ends_it() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_millis(800) };
        let now = Timestamp::from_secs(1);
        let mut pause = Pause::default();
        let strike = |pause: &mut Pause, now| pause.strike(now, "why".to_owned(), backoff, None, 0);
        strike(&mut pause, now);
        strike(&mut pause, now);
        assert_eq!(pause.until(now), Some(now.plus_ms(50)));
        let later = now.plus_ms(50);
        assert_eq!((pause.is_over(later), pause.is_probing()), (true, true));
        assert!(pause.wants_probe());
        pause.answered();
        assert!(!pause.wants_probe());
        strike(&mut pause, later);
        assert!(pause.wants_probe());
        assert_eq!(pause.until(later), Some(later.plus_ms(100)));
        pause.clear();
        assert_eq!((pause.is_over(later), pause.is_probing()), (true, false));
    }
}
