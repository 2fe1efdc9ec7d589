//! No more calls within a span of time than a target documents; as many at once as it allows.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

#[derive(Debug)]
pub struct Window {
    most: usize,
    span: Duration,
    /// When the newest calls are, or will be, made.
    calls: Mutex<VecDeque<Instant>>,
}

impl Window {
    pub fn new(most: usize, span: Duration) -> Self {
        Window { most: most.max(1), span, calls: Mutex::default() }
    }

    /// Waits until one more call is allowed.
    pub async fn turn(&self) {
        let turn = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = match calls.len() >= self.most {
                true => calls.pop_front().map_or(now, |oldest| (oldest + self.span).max(now)),
                false => now,
            };
            calls.push_back(turn);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_allowed_and_the_next_call_waits_for_the_oldest() {
        let span = Duration::from_millis(40);
        let window = Window::new(3, span);
        let began = Instant::now();
        let mut turns = Vec::new();
        for _ in 0..7 {
            window.turn().await;
            turns.push(began.elapsed().as_nanos() / span.as_nanos());
        }
        let at_least = [0, 0, 0, 1, 1, 1, 2];
        assert!(turns.iter().zip(at_least).all(|(turn, least)| *turn >= least), "{turns:?}");
    }
}
