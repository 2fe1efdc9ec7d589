//! The timer of careers: has rules run when they are due.

use crate::{
    clock::{Clock, Timestamp},
    directory::Directory,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Looks at the timed rules when the next one is due, and after `tick_secs` at the latest: what a
/// rule says of dates may become true without anyone being due anew.
pub async fn run(directory: Arc<Directory>, tick_secs: u64, clock: Clock, stop: CancellationToken) {
    let tick = Duration::from_secs(tick_secs.max(1));
    let mut head = directory.head();
    loop {
        let looked = clock();
        match directory.run_lifecycle().await {
            Ok(moves) if moves.is_empty() => {}
            Ok(moves) => tracing::info!(moves = moves.len(), "lifecycle rules were due"),
            Err(error) => tracing::error!(%error, "lifecycle rules were not run"),
        }
        let end = tokio::time::Instant::now() + tick;
        head.mark_unchanged();
        // Whoever was written meanwhile may be due sooner.
        loop {
            let until =
                until(&directory, looked, &clock).map_or(end, |wait| end.min(tokio::time::Instant::now() + wait));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => break,
                changed = head.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// How long it is until a rule is due that was not at the last look.
fn until(directory: &Directory, looked: Timestamp, clock: &Clock) -> Option<Duration> {
    let due = directory.next_due(looked)?;
    let Timestamp(now) = clock();
    Some(Duration::from_micros(u64::try_from(due.0.saturating_sub(now)).unwrap_or(0)))
}
