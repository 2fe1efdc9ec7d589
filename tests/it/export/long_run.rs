//! Hundreds of changes in no order that anyone chose, faults between them and restarts among
//! them: the end is the same.

use super::{
    fake::{Fake, Script},
    world::{World, dn, person, scim_target},
};
use axum::http::Method;
use std::collections::BTreeSet;

/// The same numbers on every run (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

fn fault(dice: &mut Dice) -> (Method, Script) {
    let method = [Method::GET, Method::POST, Method::PATCH, Method::DELETE][dice.below(4)].clone();
    let script = match dice.below(4) {
        0 => Script::Status(429, Some("0".to_owned())),
        1 => Script::Status(503, None),
        2 => Script::ResetBefore,
        _ => Script::ResetAfter,
    };
    (method, script)
}

async fn one_change(world: &World, dice: &mut Dice, people: &mut BTreeSet<usize>) {
    let n = dice.below(40);
    let name = format!("p{n}");
    let uid = name.as_str();
    match (people.contains(&n), dice.below(5)) {
        (false, _) => {
            world.add_person(uid, "New").await;
            people.insert(n);
        }
        (true, 0) => {
            world.delete(person(uid)).await;
            people.remove(&n);
        }
        (true, 1) => {
            let free = (0..40).find(|m| !people.contains(m));
            if let Some(m) = free {
                world.rename(person(uid), &format!("uid=p{m}"), None).await;
                people.remove(&n);
                people.insert(m);
            }
        }
        (true, 2) => {
            let members: Vec<String> =
                (0..=dice.below(6)).map(|_| person(&format!("p{}", dice.below(40))).to_string()).collect();
            let members: BTreeSet<&str> = members.iter().map(String::as_str).collect();
            let members: Vec<&str> = members.into_iter().collect();
            world.replace(dn(&format!("cn=g{},ou=groups", dice.below(3))), "member", &members).await;
        }
        (true, _) => drop(world.replace(person(uid), "sn", &[&format!("S{}", dice.below(1000))]).await),
    }
}

#[tokio::test]
async fn everything_at_once_ends_in_equality() {
    for seed in 1..=3 {
        let fake = Fake::start().await;
        let targets = vec![scim_target(&fake.base_url, fake.token_file())];
        let mut dice = Dice(seed);
        let mut people = BTreeSet::new();
        let mut world = World::new(targets.clone()).await;
        for n in 0..3 {
            world.add_group(&format!("g{n}"), &["p1", "p2"]).await;
        }
        for i in 0..300 {
            if dice.below(8) == 0 {
                let (method, script) = fault(&mut dice);
                fake.script(method, script);
            }
            if i % 100 == 50 {
                world = world.restart(targets.clone()).await;
            }
            one_change(&world, &mut dice, &mut people).await;
        }
        world
            .until(&format!("seed {seed}: all is equal"), || {
                fake.people() == world.people() && fake.groups() == world.groups()
            })
            .await;
        world.settled().await;
        assert_eq!((fake.people(), fake.groups()), (world.people(), world.groups()), "seed {seed}");
        assert_eq!(world.status().failed, 0, "{:?}", world.status());
        world.stop().await;
    }
}
