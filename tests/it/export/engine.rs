//! The engine against a target in memory: every kind of change, restarts, and what the directory
//! is told.

use super::world::{World, dn, person, target};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vestibule::{
    access::Identity,
    directory::{Op, Terms, Update},
    entry::{FactsChange, ModKind},
    export::{
        Kind, Match, Memory, TargetOptions,
        target::{Document, Fault, Resource},
    },
    lifecycle::{Event, Release},
    provisioning::{Provisioning, State},
};

const SYNCED: i32 = 99;
const ON_ERROR: i32 = -3;
const TO_SYNC: i32 = 2;

pub fn memory() -> (Memory, Vec<TargetOptions>) {
    let memory = Memory::default();
    (memory.clone(), vec![target("m", Kind::Memory(memory))])
}

pub fn names(memory: &Memory, resource: Resource) -> BTreeSet<String> {
    let key = resource.name_attribute();
    memory.objects(resource).values().map(|d| d.get(key).unwrap().as_str().unwrap().to_owned()).collect()
}

fn user(memory: &Memory, name: &str) -> Document {
    let users = memory.objects(Resource::User);
    users.into_values().find(|d| d.get("userName") == Some(&json!(name))).unwrap_or_else(|| panic!("no user {name}"))
}

/// The userNames of a group's members.
fn members(memory: &Memory, group: &str) -> BTreeSet<String> {
    let groups = memory.objects(Resource::Group);
    let group = groups.values().find(|d| d.get("displayName") == Some(&json!(group))).expect("the group");
    let users = memory.objects(Resource::User);
    let list = group.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |m: &Value| match users.get(m.get("value").unwrap().as_str().unwrap()) {
        Some(user) => user.get("userName").unwrap().as_str().unwrap().to_owned(),
        None => "dangling".to_owned(),
    };
    list.iter().map(name).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test]
async fn every_change_arrives_and_the_identity_is_synced() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    let a = world.add_person("a", "Arc").await;
    world.add_group("g", &["a", "late"]).await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    world.settled().await;
    assert_eq!(members(&memory, "g"), set(&["a"]));

    // A member that comes later is added when it is linked.
    world.add_person("late", "Lys").await;
    world.until("late is a member", || members(&memory, "g") == set(&["a", "late"])).await;

    world.replace(person("a"), "title", &["Dr"]).await;
    world.replace(person("a"), "manager", &[&person("late").to_string()]).await;
    world.settled().await;
    assert_eq!(user(&memory, "a").get("title"), Some(&json!("Dr")));
    let enterprise = vestibule_enterprise(&user(&memory, "a"));
    assert!(enterprise.get("manager").and_then(|m| m.get("value")).is_some(), "{enterprise}");

    world.rename(person("a"), "uid=b", None).await;
    world.settled().await;
    assert_eq!(names(&memory, Resource::User), set(&["b", "late"]));
    // The group names a, whom nobody is any more.
    assert_eq!(members(&memory, "g"), set(&["late"]));

    world.rename(person("b"), "uid=a", None).await;
    world.settled().await;
    assert_eq!(members(&memory, "g"), set(&["a", "late"]));

    world.delete(person("a")).await;
    world.settled().await;
    assert_eq!((names(&memory, Resource::User), members(&memory, "g")), (set(&["late"]), set(&["late"])));
    world.stop().await;
}

fn vestibule_enterprise(user: &Document) -> Value {
    user.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User").cloned().unwrap_or_default()
}

#[tokio::test]
async fn an_unchanged_document_costs_no_request() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    let a = world.add_person("a", "Arc").await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    world.settled().await;
    assert_eq!(memory.take_requests(), ["find User", "find User", "create User"]);

    // An attribute that no target sees.
    world.replace(person("a"), "description", &["x"]).await;
    world.until("a is synced again", || world.state_of(a) == Some(SYNCED)).await;
    world.settled().await;
    // Neither does a restart cost one.
    let world = world.restart(targets).await;
    world.settled().await;
    let status = world.status();
    assert_eq!((memory.take_requests(), status.linked, status.failed), (vec![], 1, 0));
    // And nothing goes round in circles: the reports themselves ask for nothing.
    assert_eq!((status.lag, status.state), (0, State::Running));
    world.stop().await;
}

#[tokio::test]
async fn what_leaves_the_scope_is_deleted_and_what_is_gone_before_is_never_sent() {
    let (memory, mut targets) = memory();
    targets[0].enabled = false;
    let world = World::new(targets.clone()).await;
    world.add_person("a", "Arc").await;
    world.add_person("gone", "Gone").await;
    world.delete(person("gone")).await;
    assert_eq!(world.status().state, State::Stopped("disabled in the configuration".to_owned()));
    targets[0].enabled = true;
    let world = world.restart(targets).await;
    world.until("a is there", || names(&memory, Resource::User) == set(&["a"])).await;
    world.settled().await;
    memory.take_requests();
    world.rename(person("a"), "uid=a", Some(dn("ou=elsewhere"))).await;
    world.until("a is deleted", || memory.objects(Resource::User).is_empty()).await;
    world.settled().await;
    assert_eq!(memory.take_requests(), ["delete User"]);
    assert_eq!(world.status().linked, 0);
    world.stop().await;
}

#[tokio::test]
async fn changes_made_while_nobody_looks_are_caught_up_with() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    for uid in ["a", "b", "c"] {
        world.add_person(uid, "Arc").await;
    }
    world.until("three are there", || memory.objects(Resource::User).len() == 3).await;
    world.settled().await;
    let mut off = targets.clone();
    off[0].enabled = false;
    let world = world.restart(off).await;
    world.replace(person("a"), "sn", &["Changed"]).await;
    world.delete(person("b")).await;
    world.add_person("d", "New").await;
    let world = world.restart(targets).await;
    world.until("d is there", || names(&memory, Resource::User) == set(&["a", "c", "d"])).await;
    world.settled().await;
    assert_eq!(user(&memory, "a").get("name").unwrap().get("familyName"), Some(&json!("Changed")));
    world.stop().await;
}

#[tokio::test]
async fn lifecycle_and_states_decide_what_is_sent() {
    let (memory, targets) = memory();
    let world = World::with_release(targets, Release::Manual).await;
    let a = world.add_person("a", "Arc").await;
    world.settled().await;
    assert_eq!((memory.take_requests(), world.state_of(a)), (vec![], Some(1)));

    world.replace(person("a"), "vestibuleState", &["2"]).await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    assert_eq!(user(&memory, "a").get("active"), Some(&json!(true)));
    world.stop().await;
}

#[tokio::test]
async fn a_closed_account_is_inactive_and_a_manual_one_stays_as_it_was() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    let a = world.add_person("a", "Arc").await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    for (letter, active) in [("I", false), ("M", false), ("O", true), ("M", true), ("V", false)] {
        world.replace(person("a"), "vestibuleLifecycle", &[letter]).await;
        world.replace(person("a"), "title", &[letter]).await;
        let arrived = || user(&memory, "a").get("title") == Some(&json!(letter));
        world.until("the title is there", arrived).await;
        assert_eq!(user(&memory, "a").get("active"), Some(&json!(active)), "{letter}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_is_an_error_of_that_object_until_it_changes() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    memory.fail_next(Fault::Refused("400 invalidValue".to_owned()));
    let a = world.add_person("a", "Arc").await;
    world.until("a is on error", || world.state_of(a) == Some(ON_ERROR)).await;
    world.settled().await;
    let status = world.status();
    assert_eq!((status.failed, status.linked, status.state), (1, 0, State::Running));
    assert_eq!(status.last_error.as_deref(), Some("refused: 400 invalidValue"));
    memory.take_requests();

    let world = world.restart(targets).await;
    world.settled().await;
    assert_eq!(memory.take_requests(), Vec::<String>::new());

    // Released by a human, it is tried again though nothing else changed.
    world.replace(person("a"), "vestibuleState", &["2"]).await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    assert_eq!(world.status().failed, 0);
    world.stop().await;
}

#[tokio::test]
async fn transient_faults_are_tried_again_and_the_token_pauses_the_target() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    for fault in [
        Fault::Busy { status: 500, retry_after: None },
        Fault::Busy { status: 503, retry_after: None },
        Fault::Unreachable("reset".to_owned()),
        Fault::Closed("the target refuses our token (401)".to_owned()),
    ] {
        memory.fail_next(fault);
    }
    let a = world.add_person("a", "Arc").await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    world.settled().await;
    assert_eq!((names(&memory, Resource::User), world.status().state), (set(&["a"]), State::Running));
    world.stop().await;
}

#[tokio::test]
async fn all_targets_must_accept_before_the_identity_is_synced() {
    let (one, two) = (Memory::default(), Memory::default());
    let targets = vec![target("one", Kind::Memory(one.clone())), target("two", Kind::Memory(two.clone()))];
    let mut slow = targets.clone();
    slow[1].backoff.max = std::time::Duration::from_secs(3600);
    two.fail_next(Fault::Closed("the target refuses our token (401)".to_owned()));
    let world = World::new(slow).await;
    let a = world.add_person("a", "Arc").await;
    world.until("one has a", || names(&one, Resource::User) == set(&["a"])).await;
    world
        .until(
            "two is paused",
            || matches!(&world.exporters.status()[1].state, State::Stopped(why) if why.contains("401")),
        )
        .await;
    assert_eq!(world.state_of(a), Some(TO_SYNC));
    // The first one's word outlives the process.
    let world = world.restart(targets).await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    assert_eq!(one.objects(Resource::User).len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn accounts_that_exist_are_adopted_under_policy() {
    let foreign: Document =
        serde_json::from_value(json!({"userName": "A", "externalId": "hr-7", "title": "old"})).unwrap();
    let free: Document = serde_json::from_value(json!({"userName": "A", "title": "old", "locale": "fr"})).unwrap();
    for (matching, held, adopted) in [
        (Match::Verified, &free, true),
        (Match::Verified, &foreign, false),
        (Match::Always, &foreign, true),
        (Match::Never, &free, false),
    ] {
        let (memory, mut targets) = memory();
        targets[0].matching = matching;
        memory.put(Resource::User, "r1", held.clone());
        let world = World::new(targets).await;
        let a = world.add_person("a", "Arc").await;
        let state = if adopted { SYNCED } else { ON_ERROR };
        world.until("a is decided", || world.state_of(a) == Some(state)).await;
        let users = memory.objects(Resource::User);
        assert_eq!(users.len(), 1, "{matching:?}");
        let external_id = users["r1"].get("externalId").and_then(Value::as_str);
        assert_eq!(external_id == Some(a.to_string().as_str()), adopted, "{matching:?} {held:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn an_object_lost_there_is_made_again_and_its_groups_follow() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    world.add_person("a", "Arc").await;
    world.add_group("g", &["a"]).await;
    world
        .until("both are there", || !memory.objects(Resource::Group).is_empty() && members(&memory, "g") == set(&["a"]))
        .await;
    let id = memory.objects(Resource::User).into_keys().next().unwrap();
    memory.drop_object(Resource::User, &id);
    world.replace(person("a"), "title", &["Dr"]).await;
    world.until("a is back in its group", || members(&memory, "g") == set(&["a"])).await;
    assert_eq!(memory.objects(Resource::User).len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn groups_in_groups_are_flattened_and_follow_each_other() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    world.add_person("a", "Arc").await;
    world.add_person("b", "Bois").await;
    world.add_group("inner", &["a"]).await;
    let inner = dn("cn=inner,ou=groups").to_string();
    let class: &[&str] = &["groupOfNames"];
    world.add(dn("cn=outer,ou=groups"), &[("objectClass", class), ("cn", &["outer"]), ("member", &[&inner])]).await;
    world.until("outer is there", || names(&memory, Resource::Group).contains("outer")).await;
    world.until("a is in outer", || members(&memory, "outer") == set(&["a"])).await;
    world.modify(dn("cn=inner,ou=groups"), ModKind::Add, "member", &[&person("b").to_string()]).await;
    world.until("b is in outer", || members(&memory, "outer") == set(&["a", "b"])).await;
    world.stop().await;
}

/// What is deleted softly is deleted at the target, and comes back with the identity.
#[tokio::test]
async fn a_deleted_identity_goes_and_comes_back() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    let a = world.add_person("a", "Arc").await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    world.delete(person("a")).await;
    world.until("a is gone", || names(&memory, Resource::User).is_empty()).await;
    assert_eq!(world.state_of(a), None);
    world.directory.submit(&Identity::Server, Op::Undelete { uuid: a }).await.unwrap();
    world.until("a is synced again", || world.state_of(a) == Some(SYNCED)).await;
    assert_eq!(names(&memory, Resource::User), set(&["a"]));
}

/// One that was never released was never at a target: nothing is to be done there.
#[tokio::test]
async fn one_that_comes_back_unsynced_waits() {
    let (memory, targets) = memory();
    let world = World::with_release(targets, Release::Manual).await;
    let a = world.add_person("a", "Arc").await;
    world.delete(person("a")).await;
    world.directory.submit(&Identity::Server, Op::Undelete { uuid: a }).await.unwrap();
    let b = world.add_person("b", "Bow").await;
    for name in ["a", "b"] {
        assert_eq!(world.state_of(if name == "a" { a } else { b }), Some(if name == "a" { -1 } else { 1 }));
    }
    world.replace(person("b"), "vestibuleState", &["2"]).await;
    world.until("b is synced", || world.state_of(b) == Some(SYNCED)).await;
    assert_eq!(names(&memory, Resource::User), set(&["b"]));
    world.replace(person("a"), "vestibuleState", &["2"]).await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
}

/// An absorbed identity goes from the target; freed again and released, it returns.
#[tokio::test]
async fn an_absorbed_identity_goes_from_the_target() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    let a = world.add_person("a", "Arc").await;
    let b = world.add_person("b", "Bow").await;
    for one in [a, b] {
        world.until("both are synced", || world.state_of(one) == Some(SYNCED)).await;
    }
    let fusion = |event, into| {
        let facts = FactsChange { fused_into: Some(into), ..FactsChange::default() };
        let terms = Terms { event: Some(event), facts: Some(Box::new(facts)), ..Terms::default() };
        Update { identity: Identity::Server, op: Op::Modify { dn: person("b"), changes: Vec::new() }, terms }
    };
    world.directory.submit_update(fusion(Event::Absorbed, Some(a))).await.unwrap();
    world.until("b is gone", || names(&memory, Resource::User) == set(&["a"])).await;
    assert_eq!(world.state_of(b), Some(-99));
    world.directory.submit_update(fusion(Event::Fused, None)).await.unwrap();
    assert_eq!(world.state_of(b), Some(1));
    world.replace(person("b"), "vestibuleState", &["2"]).await;
    world.until("b is synced again", || world.state_of(b) == Some(SYNCED)).await;
    assert_eq!(names(&memory, Resource::User), set(&["a", "b"]));
}

/// Nobody waits for a release to lock somebody out: only the lock goes to the target.
#[tokio::test]
async fn an_account_that_is_closed_while_it_waits_is_closed_at_the_target() {
    let (memory, targets) = memory();
    let world = World::new(targets).await;
    let a = world.add_person("a", "Arc").await;
    world.until("a is synced", || world.state_of(a) == Some(SYNCED)).await;
    assert_eq!(user(&memory, "a").get("active"), Some(&json!(true)));
    world.replace(person("a"), "vestibuleState", &["1"]).await;
    world.replace(person("a"), "sn", &["Waiting"]).await;
    world.replace(person("a"), "vestibuleDataStatus", &["-3"]).await;
    world.until("a is closed", || user(&memory, "a").get("active") == Some(&json!(false))).await;
    assert_eq!(world.state_of(a), Some(1));
    assert!(!format!("{:?}", user(&memory, "a")).contains("Waiting"), "what waits is not sent");
    world.settled().await;
    memory.take_requests();
    world.replace(person("a"), "title", &["Doctor"]).await;
    world.settled().await;
    assert_eq!(memory.take_requests(), Vec::<String>::new(), "it is closed there already");
}
