//! What operators ask of a target, and what keeps them from harm: removals that wait, quarantines,
//! pauses, replays; and that all of it outlives a restart.

use super::{
    engine::{memory, names, set},
    world::{World, person},
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;
use vestibule::{
    export::{
        GuardLimits, Quarantine, TargetOptions,
        target::{Document, Fault, Resource},
    },
    limits::Limits,
    provisioning::{AccountStatus, Command, Mechanism, Provisioning, Refusal, State, Wish},
};

async fn ask(world: &World, command: Command) -> Result<Value, Refusal> {
    world.exporters.ask("m", command).await
}

async fn wish(world: &World, wish: Wish) -> Value {
    ask(world, Command::Wish { wish, why: "a test".to_owned() }).await.unwrap()
}

fn is_stopped(world: &World, word: &str) -> bool {
    matches!(&world.status().state, State::Stopped(why) if why.contains(word))
}

fn busy() -> Fault {
    Fault::Busy { status: 500, retry_after: None }
}

/// A target that lets two removals go in a window.
fn guarded(mut targets: Vec<TargetOptions>) -> Vec<TargetOptions> {
    targets[0].guard = GuardLimits { removals: Some(2), percent: 100, window_secs: 3600 };
    targets
}

async fn five_people(world: &World) -> Vec<Uuid> {
    let mut people = Vec::new();
    for uid in ["a", "b", "c", "d", "e"] {
        people.push(world.add_person(uid, "Arc").await);
    }
    world.settled().await;
    people
}

#[tokio::test]
async fn too_many_removals_wait_for_an_approval_over_a_restart() {
    let (memory, targets) = memory();
    let targets = guarded(targets);
    let world = World::new(targets.clone()).await;
    five_people(&world).await;
    for uid in ["a", "b", "c", "d"] {
        world.delete(person(uid)).await;
    }
    world.until("two wait", || world.status().staged == 2).await;
    world.settled().await;
    assert_eq!(memory.objects(Resource::User).len(), 3);
    // Other changes go on, and nothing is held back.
    world.replace(person("e"), "title", &["Dr"]).await;
    world.settled().await;
    let world = world.restart(targets.clone()).await;
    world.settled().await;
    assert_eq!((world.status().staged, memory.objects(Resource::User).len()), (2, 3));
    // The guard stays tripped: a restart is nobody's decision.
    world.delete(person("e")).await;
    world.until("three wait", || world.status().staged == 3).await;

    assert_eq!(ask(&world, Command::Approve).await, Ok(json!({"approved": 3})));
    world.until("all are gone", || memory.objects(Resource::User).is_empty()).await;
    world.settled().await;
    assert_eq!((world.status().staged, world.status().linked), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn a_removal_counts_once_however_often_it_is_tried() {
    let (memory, targets) = memory();
    let world = World::new(guarded(targets)).await;
    five_people(&world).await;
    for _ in 0..5 {
        memory.fail_next(busy());
    }
    world.delete(person("a")).await;
    world.until("it is gone", || memory.objects(Resource::User).len() == 4).await;
    world.delete(person("b")).await;
    world.until("the second goes, too", || memory.objects(Resource::User).len() == 3).await;
    world.delete(person("c")).await;
    world.until("the third waits", || world.status().staged == 1).await;
    world.stop().await;
}

#[tokio::test]
async fn what_was_approved_goes_though_the_process_ends_before() {
    let (memory, targets) = memory();
    let mut targets = guarded(targets);
    targets[0].guard.removals = Some(0);
    let world = World::new(targets.clone()).await;
    five_people(&world).await;
    world.delete(person("a")).await;
    world.until("one waits", || world.status().staged == 1).await;
    wish(&world, Wish::Pause).await;
    ask(&world, Command::Approve).await.unwrap();
    let world = world.restart(targets).await;
    assert!(is_stopped(&world, "paused"));
    wish(&world, Wish::Run).await;
    world.until("it is gone", || memory.objects(Resource::User).len() == 4).await;
    world.stop().await;
}

#[tokio::test]
async fn a_rejected_removal_leaves_the_object_until_it_changes_again() {
    let (memory, targets) = memory();
    let mut targets = guarded(targets);
    targets[0].guard.removals = Some(0);
    let world = World::new(targets.clone()).await;
    let people = five_people(&world).await;
    // Closing an account counts as a removal, too.
    world.replace(person("a"), "vestibuleLifecycle", &["I"]).await;
    world.until("it waits", || world.status().staged == 1).await;
    let account = world.exporters.accounts(people[0]).remove(0);
    assert_eq!(account.why.as_deref(), Some("its removal waits for an approval"));
    assert_eq!(ask(&world, Command::Reject).await, Ok(json!({"rejected": 1})));
    let world = world.restart(targets).await;
    world.settled().await;
    assert_eq!(world.status().staged, 0);
    let active = |uid: &str| {
        let users = memory.objects(Resource::User);
        users.into_values().find(|u| u.get("userName") == Some(&json!(uid))).unwrap().get("active").cloned()
    };
    assert_eq!(active("a"), Some(json!(true)));
    world.replace(person("a"), "title", &["Dr"]).await;
    world.until("it waits again", || world.status().staged == 1).await;
    ask(&world, Command::Approve).await.unwrap();
    world.until("it is closed", || active("a") == Some(json!(false))).await;
    world.settled().await;
    assert_eq!(world.exporters.accounts(people[0]).remove(0).status, AccountStatus::Suspended);
    world.stop().await;
}

#[tokio::test]
async fn an_object_that_keeps_failing_is_tried_seldom_and_on_request() {
    let (memory, mut targets) = memory();
    targets[0].quarantine = Quarantine { object_attempts: 3, ..Quarantine::default() };
    let world = World::new(targets.clone()).await;
    for _ in 0..3 {
        memory.fail_next(busy());
    }
    let a = world.add_person("a", "Arc").await;
    world.until("it is in quarantine", || world.status().quarantined == 1).await;
    let account = world.exporters.accounts(a).remove(0);
    assert_eq!((account.status, account.why.is_some()), (AccountStatus::Failed, true));
    // Others are not held up, and a restart does not forget it.
    world.add_person("b", "Bel").await;
    world.until("b is there", || names(&memory, Resource::User) == set(&["b"])).await;
    let world = world.restart(targets).await;
    assert_eq!(world.status().quarantined, 1);
    let shown = ask(&world, Command::Show { object: a }).await.unwrap();
    assert_eq!((&shown["link"]["attempt"], &shown["link"]["quarantined"]), (&json!(3), &json!(true)));

    assert_eq!(ask(&world, Command::Retry { object: Some(a) }).await, Ok(json!({"retried": 1})));
    world.until("a is there", || names(&memory, Resource::User) == set(&["a", "b"])).await;
    world.settled().await;
    let status = world.status();
    assert_eq!((status.failed, status.quarantined), (0, 0));
    let nobody = Command::Retry { object: Some(Uuid::from_u128(9)) };
    assert_eq!(ask(&world, nobody).await, Err(Refusal::NoSuchObject));
    world.stop().await;
}

#[tokio::test]
async fn a_target_that_fails_too_much_is_in_quarantine_until_something_gets_through() {
    let (memory, mut targets) = memory();
    targets[0].quarantine = Quarantine {
        failures: 4,
        percent: 50,
        target_wait: Duration::from_secs(3600),
        object_attempts: 100,
        ..Quarantine::default()
    };
    let world = World::new(targets).await;
    for _ in 0..4 {
        memory.fail_next(busy());
    }
    for uid in ["a", "b", "c", "d"] {
        world.add_person(uid, "Arc").await;
    }
    world.until("the target rests", || is_stopped(&world, "in quarantine: 4 of 4 attempts failed")).await;
    ask(&world, Command::Retry { object: None }).await.unwrap();
    world.until("all are there", || memory.objects(Resource::User).len() == 4).await;
    world.settled().await;
    assert_eq!(world.status().state, State::Running);
    world.stop().await;
}

#[tokio::test]
async fn a_pause_gathers_a_disabled_target_is_not_waited_for_and_a_retired_one_is_forgotten() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    wish(&world, Wish::Pause).await;
    let a = world.add_person("a", "Arc").await;
    world.until("it waits", || world.status().pending == 1).await;
    assert!(is_stopped(&world, "paused: a test"));
    let world = world.restart(targets.clone()).await;
    assert_eq!((memory.objects(Resource::User).len(), world.state_of(a)), (0, Some(2)));
    wish(&world, Wish::Run).await;
    world.until("it arrives", || names(&memory, Resource::User) == set(&["a"])).await;
    world.until("a is synced", || world.state_of(a) == Some(99)).await;

    wish(&world, Wish::Disable).await;
    let b = world.add_person("b", "Bel").await;
    assert_eq!((world.status().pending, world.status().enabled), (0, false));
    let world = world.restart(targets.clone()).await;
    assert_eq!((memory.objects(Resource::User).len(), world.status().enabled), (1, false));
    wish(&world, Wish::Run).await;
    world.until("what came meanwhile arrives", || names(&memory, Resource::User) == set(&["a", "b"])).await;
    world.until("b is synced", || world.state_of(b) == Some(99)).await;
    world.settled().await;

    wish(&world, Wish::Retire).await;
    world.until("all is forgotten", || world.status().linked == 0).await;
    world.delete(person("b")).await;
    let world = world.restart(targets).await;
    assert_eq!((world.status().linked, memory.objects(Resource::User).len()), (0, 2));
    // Back in service it finds its own again, and makes nothing twice.
    wish(&world, Wish::Run).await;
    world.until("a is linked", || world.status().linked == 1).await;
    world.settled().await;
    assert_eq!(memory.objects(Resource::User).len(), 2);
    assert_eq!(world.exporters.accounts(a).remove(0).mechanism, Some(Mechanism::Adoption));
    world.stop().await;
}

#[tokio::test]
async fn a_replay_finds_what_was_changed_behind_our_back() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    five_people(&world).await;
    let before = world.directory.read().head;
    let (id, user) = memory.objects(Resource::User).into_iter().next().unwrap();
    let drifted: Document = user.clone().into_iter().chain([("title".to_owned(), json!("changed"))]).collect();
    memory.put(Resource::User, &id, drifted);
    memory.take_requests();
    // What has not changed here is not looked at by a replay of the journal.
    let answer = ask(&world, Command::Replay { since: Some(before) }).await.unwrap();
    assert_eq!(answer["records"], json!(0));
    ask(&world, Command::Replay { since: Some(0) }).await.unwrap();
    world.settled().await;
    assert_eq!(memory.take_requests(), Vec::<String>::new());
    ask(&world, Command::Replay { since: None }).await.unwrap();
    world.until("it is as it was", || memory.objects(Resource::User)[&id] == user).await;
    world.stop().await;
}

#[tokio::test]
async fn one_object_is_previewed_and_pushed_on_demand() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    wish(&world, Wish::Pause).await;
    let a = world.add_person("a", "Arc").await;
    let preview = ask(&world, Command::Push { object: a, dry_run: true }).await.unwrap();
    assert_eq!(
        (&preview["scope"], &preview["plan"], &preview["action"]),
        (&json!("User"), &json!("create"), &json!("create"))
    );
    assert_eq!(preview["after"]["userName"], json!("a"));
    assert!(memory.objects(Resource::User).is_empty());
    let refused = ask(&world, Command::Push { object: a, dry_run: false }).await;
    assert!(matches!(refused, Err(Refusal::NotNow(_))), "{refused:?}");
    wish(&world, Wish::Run).await;
    world.settled().await;
    let pushed = ask(&world, Command::Push { object: a, dry_run: false }).await.unwrap();
    assert_eq!(pushed, json!({"action": "none", "outcome": "the target has it as it is"}));
    assert_eq!(
        ask(&world, Command::Push { object: Uuid::from_u128(9), dry_run: false }).await,
        Err(Refusal::NoSuchObject)
    );
    assert_eq!(world.exporters.ask("x", Command::Approve).await, Err(Refusal::NoSuchTarget));
    world.stop().await;
}

#[tokio::test]
async fn a_target_without_its_file_is_shown_and_can_be_forgotten() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    five_people(&world).await;
    let world = world.restart(Vec::new()).await;
    assert!(is_stopped(&world, "has no file any more"));
    assert!(matches!(ask(&world, Command::Approve).await, Err(Refusal::NotNow(_))));
    assert_eq!(ask(&world, Command::Wish { wish: Wish::Retire, why: String::new() }).await.unwrap()["wish"], "retire");
    let world = world.restart(Vec::new()).await;
    assert!(world.exporters.status().is_empty());
    // Were it back, it would find its own there.
    let world = world.restart(targets).await;
    world.until("all are linked again", || world.status().linked == 5).await;
    assert_eq!(memory.objects(Resource::User).len(), 5);
    world.stop().await;
}

#[tokio::test]
async fn a_target_that_stays_away_does_not_keep_the_journal_and_gets_everything_in_the_end() {
    let (memory, targets) = memory();
    let limits = Limits { journal_keep: 5, journal_hold: 40, ..Limits::default() };
    let world = World::with_limits(targets.clone(), limits).await;
    five_people(&world).await;
    wish(&world, Wish::Pause).await;
    for round in 0..40 {
        for uid in ["a", "b", "c"] {
            world.replace(person(uid), "title", &[&format!("t{round}")]).await;
        }
    }
    world.delete(person("d")).await;
    let head = world.directory.read().head;
    world.until("the journal is let go", || world.directory.journal_start() > head - 10).await;
    world.until("each object waits once", || world.status().pending == 4).await;
    let world = world.restart(targets).await;
    wish(&world, Wish::Run).await;
    world.until("d is gone", || names(&memory, Resource::User) == set(&["a", "b", "c", "e"])).await;
    world.settled().await;
    let titles = |uid: &str| {
        let users = memory.objects(Resource::User);
        users.into_values().find(|u| u.get("userName") == Some(&json!(uid))).unwrap().get("title").cloned()
    };
    assert_eq!((titles("a"), titles("c"), titles("e")), (Some(json!("t39")), Some(json!("t39")), None));
    world.stop().await;
}
