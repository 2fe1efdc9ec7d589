//! How long to wait before the next attempt. Pure arithmetic; chance is a parameter.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub min: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after the failed attempt number `attempt`, 1 for the first: doubled each time,
    /// then spread over its upper half so that many objects do not come back at once. What the
    /// target itself asks for is kept to, up to [`LONGEST_ASKED`].
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, chance: u64) -> Duration {
        let doubled = self.min.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = doubled.clamp(self.min, self.max.max(self.min));
        let half = whole / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        let wait = half + Duration::from_micros(chance % spread.saturating_add(1));
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// A number nobody can foresee.
pub fn chance() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

/// A target that asks for more is asked again after this.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_stay_in_their_upper_half() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let ms = Duration::from_millis;
        for (attempt, asked, chance, expected) in [
            (1, None, 0, ms(50)),
            (1, None, 50_000, ms(100)),
            (2, None, 0, ms(100)),
            (4, None, 0, ms(400)),
            (5, None, 0, ms(500)),
            (64, None, 500_000, ms(1000)),
            (u32::MAX, None, 0, ms(500)),
            (1, Some(ms(3000)), 0, ms(3000)),
            (1, Some(Duration::from_secs(86_400)), 0, Duration::from_secs(3600)),
        ] {
            assert_eq!(backoff.wait(attempt, asked, chance), expected, "{attempt} {asked:?} {chance}");
        }
    }
}
