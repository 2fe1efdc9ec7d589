//! Nothing that was answered is lost, and nothing is there by half: the real program is killed
//! under load, and its disk is cut off under load.
//!
//! Every write of an entry carries its version in several attributes. A client notes each attempt
//! before it sends it and each answer when it has come, so that after the cut an entry must hold
//! one of the versions from the last answered one on.

mod load;
mod power;

use crate::support::{Home, report};
use load::{Load, Verdict};
use std::time::Duration;
use tempfile::TempDir;

const ROUNDS: usize = 30;
const CLONES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let mut total = Verdict::default();
    let mut load = Load::new();
    load.prepare(&home.start(&["--no-demo"])).await;
    for round in 0..ROUNDS {
        let server = home.start(&["--no-demo"]);
        // The last round's cut is judged by the store it left behind.
        total.add(&load.compare(&server).await);
        let running = load.start(&server).await;
        load.pause(Duration::from_millis(100), Duration::from_millis(900)).await;
        server.kill();
        running.ended().await;
        assert!(total.is_clean(), "round {round}: {total:?}\n{}", home.log());
    }
    let server = home.start(&["--no-demo"]);
    total.add(&load.compare(&server).await);
    report("kill-test", &format!("kill test: {ROUNDS} rounds, {}, {total}", load.counts()));
    assert!(total.is_clean(), "{total:?}\n{}", home.log());
    assert!(load.acknowledged() > 1000, "too little load to show anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing() {
    let place = match power::Place::new() {
        Ok(place) => place,
        Err(why) => {
            let stand = "the tests of the injected file layer in src/store stand for it";
            return report("power-cut", &format!("power-cut clone: not possible here: {why}; {stand}"));
        }
    };
    let home = Home { data: place.data(), ..Home::new(place.folder()) };
    let mut load = Load::new();
    let mut total = Verdict::default();
    let server = home.start(&["--no-demo"]);
    load.prepare(&server).await;
    let running = load.start(&server).await;
    for clone in 0..CLONES {
        load.pause(Duration::from_millis(300), Duration::from_millis(1500)).await;
        // What is answered before the clone begins must be in it.
        let before = load.marks();
        let copy = place.cut().unwrap();
        let after = load.marks();
        let twin = Home { data: copy.data(), ..Home::new(copy.folder()) };
        let survivor = twin.start(&["--no-demo"]);
        total.add(&load.compare_between(&survivor, &before, &after).await);
        assert!(total.is_clean(), "clone {clone}: {total:?}\n{}", twin.log());
    }
    server.kill();
    running.ended().await;
    report("power-cut", &format!("power-cut clone: {CLONES} clones, {}, {total}", load.counts()));
    assert!(load.acknowledged() > 1000, "too little load to show anything");
}
