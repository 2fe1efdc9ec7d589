//! Against a server that fails: whatever happens on the way, in the end the target holds what the
//! directory holds, and nothing twice.

use super::{
    fake::{Fake, Script},
    world::{World, dn, person, scim_target},
};
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use vestibule::{
    entry::ModKind,
    export::{
        Kind, Match, TargetOptions,
        scim::{Profile, ProfileName, Update},
    },
    provisioning::State,
};

const SYNCED: i32 = 99;

async fn fake() -> (Fake, Vec<TargetOptions>) {
    let fake = Fake::start().await;
    let target = scim_target(&fake.base_url, fake.token_file());
    (fake, vec![target])
}

/// The target holds what the directory holds.
async fn equal(world: &World, fake: &Fake) {
    world
        .until("people and groups are equal", || fake.people() == world.people() && fake.groups() == world.groups())
        .await;
    world.settled().await;
    assert_eq!((fake.people(), fake.groups()), (world.people(), world.groups()));
    let status = world.status();
    assert_eq!((status.failed, status.state), (0, State::Running));
}

async fn fill(world: &World) {
    for (uid, sn) in [("a", "Arc"), ("b", "Bois"), ("c", "Cerf"), ("d", "Dune"), ("e", "Eau")] {
        world.add_person(uid, sn).await;
    }
    world.add_group("g", &["a", "b", "c", "d", "e"]).await;
}

async fn change(world: &World) {
    world.replace(person("a"), "sn", &["Arche"]).await;
    world.rename(person("b"), "uid=bb", None).await;
    world.replace(dn("cn=g,ou=groups"), "member", &[&person("c").to_string(), &person("bb").to_string()]).await;
    world.delete(person("d")).await;
}

#[tokio::test]
async fn changes_arrive_by_patch_and_by_put() {
    for update in [Update::Patch, Update::Put] {
        let (fake, mut targets) = fake().await;
        let Kind::Scim(scim) = &mut targets[0].kind else { panic!("a SCIM target") };
        if update == Update::Put {
            scim.profile = Profile::of(ProfileName::PutOnly);
        }
        let world = World::new(targets).await;
        fill(&world).await;
        equal(&world, &fake).await;
        change(&world).await;
        equal(&world, &fake).await;
        let requests = fake.take_requests();
        let count = |method: &str| requests.iter().filter(|r| r.starts_with(method)).count();
        assert_eq!(count("PUT ") > 0, update == Update::Put, "{requests:?}");
        assert_eq!(count("PATCH ") > 0, update == Update::Patch, "{requests:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn each_fault_on_each_method_ends_in_equality() {
    let faults = [
        Script::Status(429, Some("0".to_owned())),
        Script::Status(429, Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned())),
        Script::Status(503, None),
        Script::Status(500, None),
        Script::Status(408, None),
        Script::ResetBefore,
        Script::ResetAfter,
    ];
    for fault in faults {
        let (fake, targets) = fake().await;
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            for _ in 0..2 {
                fake.script(method.clone(), fault.clone());
            }
        }
        let world = World::new(targets.clone()).await;
        fill(&world).await;
        equal(&world, &fake).await;
        // The rest of the faults meets the changes, a restart between.
        let world = world.restart(targets).await;
        change(&world).await;
        equal(&world, &fake).await;
        assert_eq!(fake.scripts_left(), 0, "{fault:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_create_that_nobody_wrote_down_is_found_again() {
    let (fake, targets) = fake().await;
    fake.script(Method::POST, Script::StallAfter);
    let world = World::new(targets.clone()).await;
    let a = world.add_person("a", "Arc").await;
    world.until("the target has made it", || fake.people().len() == 1).await;
    // The process dies here: what is on the platter is all that is left.
    let platter = world.platter.kill();
    let reborn = World::open(platter, targets);
    reborn.until("a is synced", || reborn.state_of(a) == Some(SYNCED)).await;
    equal(&reborn, &fake).await;
    let posts = fake.take_requests().iter().filter(|r| r.starts_with("POST")).count();
    assert_eq!(posts, 1);
    reborn.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_create_that_nobody_wrote_down_is_removed_with_its_entry() {
    let (fake, targets) = fake().await;
    fake.script(Method::POST, Script::StallAfter);
    let world = World::new(targets.clone()).await;
    // A cursor must be there, or the restart looks at what exists only.
    world.settled().await;
    world.add_person("a", "Arc").await;
    world.until("the target has made it", || fake.people().len() == 1).await;
    let platter = world.platter.kill();
    let mut off = targets.clone();
    off[0].enabled = false;
    let between = World::open(platter, off);
    between.delete(person("a")).await;
    let reborn = between.restart(targets).await;
    reborn.until("the orphan is gone", || fake.people().is_empty()).await;
    reborn.settled().await;
    reborn.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn an_entry_deleted_while_its_create_runs_does_not_stay() {
    let (fake, mut targets) = fake().await;
    let Kind::Scim(scim) = &mut targets[0].kind else { panic!("a SCIM target") };
    scim.connection.timeout = Duration::from_millis(300);
    fake.script(Method::POST, Script::StallAfter);
    let world = World::new(targets).await;
    world.add_person("a", "Arc").await;
    world.until("the target has made it", || fake.people().len() == 1).await;
    world.delete(person("a")).await;
    world.until("the target has lost it", || fake.people().is_empty()).await;
    world.settled().await;
    assert_eq!((world.status().linked, world.status().failed), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn an_entry_changed_while_its_push_runs_is_pushed_again() {
    let (fake, mut targets) = fake().await;
    let Kind::Scim(scim) = &mut targets[0].kind else { panic!("a SCIM target") };
    scim.connection.timeout = Duration::from_millis(300);
    fake.script(Method::POST, Script::StallAfter);
    let world = World::new(targets).await;
    world.add_person("a", "Arc").await;
    world.until("the target has made it", || fake.people().len() == 1).await;
    world.replace(person("a"), "sn", &["Arche"]).await;
    equal(&world, &fake).await;
    world.stop().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_adopted_or_an_error() {
    let (fake, targets) = fake().await;
    fake.put("Users/7", json!({"id": "7", "userName": "A", "title": "old", "locale": "fr"}));
    fake.put("Users/8", json!({"id": "8", "userName": "b", "externalId": "someone-else"}));
    let world = World::new(targets).await;
    let (a, b) = (world.add_person("a", "Arc").await, world.add_person("b", "Bois").await);
    world.until("both are decided", || (world.state_of(a), world.state_of(b)) == (Some(99), Some(-3))).await;
    let users = fake.all("Users");
    assert_eq!(users.len(), 2);
    let adopted = users.iter().find(|u| u["id"] == "7").unwrap();
    assert_eq!((adopted.get("title"), &adopted["locale"], &adopted["userName"]), (None, &json!("fr"), &json!("a")));
    assert_eq!(adopted["externalId"], json!(a.to_string()));
    // A conflict that no look-up explains stays one.
    fake.script(Method::POST, Script::Error(409, "uniqueness"));
    let c = world.add_person("c", "Cerf").await;
    world.until("c is on error", || world.state_of(c) == Some(-3)).await;
    assert!(world.status().last_error.unwrap().contains("409 uniqueness"));
    world.replace(person("c"), "sn", &["Cerfs"]).await;
    world.until("c is synced", || world.state_of(c) == Some(SYNCED)).await;
    world.stop().await;
}

#[tokio::test]
async fn entries_that_exchange_their_names_do_so_at_the_target() {
    let (fake, targets) = fake().await;
    let world = World::new(targets.clone()).await;
    fill(&world).await;
    equal(&world, &fake).await;
    // Nobody looks while a and b change places, and c, d and e in a ring.
    let mut off = targets.clone();
    off[0].enabled = false;
    let world = world.restart(off).await;
    for (from, to) in [("a", "x"), ("b", "a"), ("x", "b"), ("c", "y"), ("d", "c"), ("e", "d"), ("y", "e")] {
        world.rename(person(from), &format!("uid={to}"), None).await;
    }
    let world = world.restart(targets).await;
    equal(&world, &fake).await;
    assert!(fake.deleted().is_empty(), "each account stayed the account of its entry");
    world.stop().await;
}

#[tokio::test]
async fn a_create_without_an_answer_is_found_by_its_name_where_external_ids_cannot_be_searched() {
    for matching in [Match::Verified, Match::Never] {
        let (fake, mut targets) = fake().await;
        targets[0].matching = matching;
        fake.hide_external_id();
        fake.script(Method::POST, Script::ResetAfter);
        let world = World::new(targets).await;
        world.add_person("a", "Arc").await;
        equal(&world, &fake).await;
        assert_eq!(fake.duplicates(), 0);
        world.stop().await;
    }
}

#[tokio::test]
async fn where_a_patch_is_not_known_the_whole_is_put() {
    for (status, kind) in [(501, ""), (400, "noTarget"), (400, "invalidPath"), (405, "")] {
        let (fake, targets) = fake().await;
        let world = World::new(targets).await;
        fill(&world).await;
        equal(&world, &fake).await;
        // Something of the target's own, which a PUT must not take away.
        let object = fake.all("Groups").remove(0);
        let path = format!("Groups/{}", object["id"].as_str().unwrap());
        let mut object = Value::Object(object);
        object["own"] = json!("kept");
        fake.put(&path, object);
        fake.script(Method::PATCH, Script::Error(status, kind));
        world.modify(dn("cn=g,ou=groups"), ModKind::Delete, "member", &[&person("a").to_string()]).await;
        equal(&world, &fake).await;
        assert_eq!(fake.all("Groups")[0]["own"], json!("kept"), "{status}");
        // A member that is not there says nothing of the form: that is read, and asked for again.
        let is_put = fake.take_requests().iter().any(|r| r.starts_with("PUT"));
        assert_eq!(is_put, kind != "noTarget", "{status} {kind}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_refused_token_pauses_the_target_until_there_is_a_new_one() {
    let (fake, targets) = fake().await;
    let world = World::new(targets).await;
    world.add_person("a", "Arc").await;
    equal(&world, &fake).await;
    fake.set_token("other");
    world.add_person("b", "Bois").await;
    world
        .until("the target is paused", || matches!(world.status().state, State::Stopped(why) if why.contains("401")))
        .await;
    assert_eq!(world.status().failed, 0);
    std::fs::write(fake.token_file(), "other").unwrap();
    equal(&world, &fake).await;
    world.stop().await;
}

#[tokio::test]
async fn an_object_removed_there_is_made_again() {
    let (fake, targets) = fake().await;
    let world = World::new(targets).await;
    fill(&world).await;
    equal(&world, &fake).await;
    let id = fake.all("Users").into_iter().find(|u| u["userName"] == "a").unwrap()["id"].clone();
    fake.drop_object(&format!("Users/{}", id.as_str().unwrap()));
    world.replace(person("a"), "sn", &["Arche"]).await;
    equal(&world, &fake).await;
    world.stop().await;
}

#[tokio::test]
async fn a_dead_target_is_left_in_peace() {
    let (fake, mut targets) = fake().await;
    // Nobody listens there.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let live = targets.clone();
    let Kind::Scim(scim) = &mut targets[0].kind else { panic!("a SCIM target") };
    scim.connection.base_url = format!("http://{gone}/scim/v2").parse().unwrap();
    let world = World::new(targets).await;
    fill(&world).await;
    world.until("the target is paused", || matches!(world.status().state, State::Stopped(_))).await;
    let status = world.status();
    assert!(status.cursor < status.head, "unsettled records hold the cursor");
    let world = world.restart(live).await;
    equal(&world, &fake).await;
    world.stop().await;
}

#[tokio::test]
async fn an_update_that_nobody_wrote_down_is_not_done_twice() {
    let (fake, targets) = fake().await;
    let world = World::new(targets.clone()).await;
    fill(&world).await;
    equal(&world, &fake).await;
    world.add_person("f", "Feu").await;
    equal(&world, &fake).await;
    fake.script(Method::PATCH, Script::StallAfter);
    world.modify(dn("cn=g,ou=groups"), ModKind::Add, "member", &[&person("f").to_string()]).await;
    world.until("the target has the member", || fake.groups().values().all(|(_, members)| members.len() == 6)).await;
    let platter = world.platter.kill();
    let reborn = World::open(platter, targets);
    equal(&reborn, &fake).await;
    reborn.stop().await;
    world.stop().await;
}
