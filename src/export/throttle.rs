//! No more requests in a second than a target allows.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Gives each request its turn; turns are evenly spaced, so that no burst begins a second.
#[derive(Debug)]
pub struct Throttle {
    space: Duration,
    next: Mutex<Option<Instant>>,
}

impl Throttle {
    /// `None`: as many as there are.
    pub fn new(per_second: Option<f64>) -> Self {
        let space = per_second.filter(|rate| *rate > 0.0).map(|rate| Duration::from_secs_f64(1.0 / rate));
        Throttle { space: space.unwrap_or_default(), next: Mutex::new(None) }
    }

    /// Waits for the next turn.
    pub async fn turn(&self) {
        if self.space.is_zero() {
            return;
        }
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.space);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_spaced() {
        let throttle = Throttle::new(Some(200.0));
        let began = Instant::now();
        for _ in 0..5 {
            throttle.turn().await;
        }
        assert!(began.elapsed() >= Duration::from_millis(20), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn without_a_rate_nobody_waits() {
        let throttle = Throttle::new(None);
        for _ in 0..5 {
            throttle.turn().await;
        }
        assert!(throttle.next.lock().unwrap().is_none());
    }
}
