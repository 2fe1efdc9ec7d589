//! What becomes at a target of those who leave, of those who are not there yet, of groups that end or
//! are found by a search, and of what is shown of others.

use super::{
    engine::{memory, set},
    world::{SUFFIX, World, dn, person, schema},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use vestibule::{
    clock::{self, Timestamp},
    entry::ModKind,
    export::{
        Action, Anticipated, Leavers, Mapping, Memory, TargetOptions,
        mapping::{Layer, Map},
        target::Resource,
    },
    filter::{self, Filter},
};

fn with(mut targets: Vec<TargetOptions>, leavers: Leavers) -> Vec<TargetOptions> {
    targets[0].leavers = leavers;
    targets
}

fn deactivate(after: Option<u64>) -> Leavers {
    Leavers { action: Action::Deactivate, delete_after_secs: after, ..Leavers::default() }
}

/// `active` of all users, by id.
fn active(memory: &Memory) -> Vec<(String, Value)> {
    memory
        .objects(Resource::User)
        .into_iter()
        .map(|(id, d)| (id, d.get("active").cloned().unwrap_or_default()))
        .collect()
}

fn writes(memory: &Memory) -> Vec<String> {
    memory.take_requests().into_iter().filter(|r| !r.starts_with("find") && !r.starts_with("read")).collect()
}

#[tokio::test]
async fn a_leaver_is_deactivated_and_goes_when_the_grace_is_over() {
    let (memory, targets) = memory();
    let world = World::new(with(targets, deactivate(Some(1)))).await;
    world.add_person("a", "Arc").await;
    world.settled().await;
    memory.take_requests();
    world.delete(person("a")).await;
    world.until("the account is gone", || memory.objects(Resource::User).is_empty()).await;
    assert_eq!(writes(&memory), ["update User", "delete User"]);
}

#[tokio::test]
async fn the_grace_outlives_a_restart_and_memberships_stay() {
    let (memory, targets) = memory();
    let world = World::new(with(targets.clone(), deactivate(None))).await;
    world.add_person("a", "Arc").await;
    let b = world.add_person("b", "Bois").await;
    world.add_group("g", &["a", "b"]).await;
    world.settled().await;
    let id = active(&memory)[0].0.clone();
    world.rename(person("a"), "uid=a", Some(dn("ou=elsewhere"))).await;
    world.settled().await;
    let closed = |memory: &Memory| active(memory).into_iter().filter(|(_, a)| *a == json!(false)).count();
    assert_eq!((active(&memory).len(), closed(&memory)), (2, 1));
    world.until("b is synced", || world.state_of(b) == Some(99)).await;
    // Back in scope: the same account.
    world.rename(dn("uid=a,ou=elsewhere"), "uid=a", Some(dn("ou=people"))).await;
    world.settled().await;
    assert_eq!((closed(&memory), active(&memory)[0].0.clone()), (0, id));
    let groups = memory.objects(Resource::Group);
    let members = groups.values().next().and_then(|g| g.get("members")).and_then(Value::as_array).map(Vec::len);
    assert_eq!(members, Some(2));
    world.rename(person("a"), "uid=a", Some(dn("ou=elsewhere"))).await;
    world.settled().await;
    memory.take_requests();
    // The time of leaving is in the row: under a grace of no length it is over at once.
    let world = world.restart(with(targets, deactivate(Some(0)))).await;
    world.until("one account is left", || active(&memory).len() == 1).await;
    world.settled().await;
    assert!(writes(&memory).contains(&"delete User".to_owned()));
}

#[tokio::test]
async fn who_is_to_be_kept_stays_as_is() {
    let (memory, targets) = memory();
    let world = World::new(with(targets, Leavers { action: Action::Keep, ..Leavers::default() })).await;
    world.add_person("a", "Arc").await;
    world.settled().await;
    memory.take_requests();
    world.delete(person("a")).await;
    world.settled().await;
    assert_eq!((active(&memory)[0].1.clone(), writes(&memory)), (json!(true), vec![]));
}

#[tokio::test]
async fn the_letters_of_a_career_decide() {
    let (memory, targets) = memory();
    let leavers = Leavers { delete_after_secs: Some(1), anticipated: Anticipated::Inactive, ..Leavers::default() };
    let world = World::new(with(targets, leavers)).await;
    let a = world.add_person("a", "Arc").await;
    world.settled().await;
    let id = active(&memory)[0].0.clone();
    for (letter, expected) in [("A", false), ("O", true), ("V", false), ("M", false), ("P", true), ("M", true)] {
        world.replace(person("a"), "vestibuleLifecycle", &[letter]).await;
        world.settled().await;
        assert_eq!(active(&memory), [(id.clone(), json!(expected))], "{letter}");
    }
    memory.take_requests();
    world.replace(person("a"), "vestibuleLifecycle", &["D"]).await;
    world.until("the account is destroyed", || active(&memory).is_empty()).await;
    world.settled().await;
    assert_eq!(
        (writes(&memory), world.state_of(a)),
        (vec!["update User".to_owned(), "delete User".to_owned()], Some(99))
    );
    // Nothing is made to be destroyed; but who is reactivated is there again.
    world.replace(person("a"), "title", &["Dr"]).await;
    world.settled().await;
    assert_eq!(active(&memory), []);
    world.replace(person("a"), "vestibuleLifecycle", &["O"]).await;
    world.settled().await;
    assert_eq!(active(&memory).into_iter().map(|(_, a)| a).collect::<Vec<_>>(), [json!(true)]);
}

#[tokio::test]
async fn a_group_that_ends_is_emptied_then_and_deleted_by_policy() {
    let (memory, targets) = memory();
    let world = World::new(targets.clone()).await;
    world.add_person("a", "Arc").await;
    let end = Timestamp::from_secs(clock::system()().secs() + 2).generalized_time();
    let name = person("a").to_string();
    let class: &[&str] = &["groupOfNames", "supannGroupe"];
    let attrs: &[(&str, &[&str])] =
        &[("objectClass", class), ("cn", &["g"]), ("member", &[&name]), ("supannGroupeDateFin", &[&end])];
    world.add(dn("cn=g,ou=groups"), attrs).await;
    let members =
        |memory: &Memory| memory.objects(Resource::Group).values().filter(|g| g.contains_key("members")).count();
    world.until("the group is full", || members(&memory) == 1).await;
    world.until("the group is empty", || members(&memory) == 0).await;
    world.settled().await;
    assert_eq!(memory.objects(Resource::Group).len(), 1);
    let leavers = Leavers { delete_after_secs: Some(0), ..Leavers::default() };
    let world = world.restart(with(targets, leavers)).await;
    world.until("the group is gone", || memory.objects(Resource::Group).is_empty()).await;
    world.settled().await;
}

#[tokio::test]
async fn members_found_by_a_search_follow_what_it_finds() {
    let (memory, mut targets) = memory();
    if let Some(groups) = &mut targets[0].scopes.groups {
        let ast = filter::parse("(|(objectClass=groupOfNames)(objectClass=groupOfURLs))").unwrap();
        groups.filter = Filter::bind(&ast, &schema());
    }
    let world = World::new(targets).await;
    let url = format!("ldap:///ou=people,{SUFFIX}??sub?(title=Dr)");
    let class: &[&str] = &["groupOfURLs"];
    world
        .add(dn("cn=doctors,ou=groups"), &[("objectClass", class), ("cn", &["doctors"]), ("memberURL", &[&url])])
        .await;
    for uid in ["a", "b"] {
        world.add_person(uid, "Arc").await;
    }
    let found = |memory: &Memory| -> BTreeSet<String> {
        let users = memory.objects(Resource::User);
        let groups = memory.objects(Resource::Group);
        let lists = groups.values().filter_map(|g| g.get("members").and_then(Value::as_array)).flatten();
        let ids = lists.filter_map(|m| m.get("value").and_then(Value::as_str));
        ids.filter_map(|id| Some(users.get(id)?.get("userName")?.as_str()?.to_owned())).collect()
    };
    world.replace(person("a"), "title", &["Dr"]).await;
    world.until("a is found", || found(&memory) == set(&["a"])).await;
    world.replace(person("b"), "title", &["Dr"]).await;
    world.modify(person("a"), ModKind::Delete, "title", &[]).await;
    world.until("b is found", || found(&memory) == set(&["b"])).await;
    world.settled().await;
}

#[tokio::test]
async fn what_is_shown_of_others_follows_them() {
    let (memory, mut targets) = memory();
    let map: Map = serde_yaml::from_str(
        "{users: {nickName: {reference: manager, attribute: mail}, title: {attribute: title, on: create}}}",
    )
    .unwrap();
    targets[0].mapping = Arc::new(Mapping::scim(&[Layer { map: &map, own: true }]).unwrap());
    let world = World::new(targets).await;
    world.add_person("boss", "Boss").await;
    world.add_person("a", "Arc").await;
    world.replace(person("a"), "manager", &[&person("boss").to_string()]).await;
    world.replace(person("boss"), "mail", &["one@x.example"]).await;
    let shown = |memory: &Memory| memory.objects(Resource::User).into_values().find_map(|u| u.get("nickName").cloned());
    world.until("the mail is shown", || shown(&memory) == Some(json!("one@x.example"))).await;
    world.replace(person("boss"), "mail", &["two@x.example"]).await;
    world.until("the new mail is shown", || shown(&memory) == Some(json!("two@x.example"))).await;
    // What is written with a new object only: it had no title then.
    world.replace(person("a"), "title", &["Dr"]).await;
    world.settled().await;
    assert!(memory.objects(Resource::User).values().all(|u| !u.contains_key("title")));
}
