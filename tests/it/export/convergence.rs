//! Tens of thousands of changes by several writers at once, to a target behind a proxy that fails
//! in every way, with restarts and crashes of the directory among them: in the end the target holds
//! what the directory holds, attribute by attribute and member by member, and never held anything
//! twice.

use super::{
    fake::Fake,
    fault_proxy::{Dice, FaultProxy},
    objects::{Object, text},
    world::{SUFFIX, World, dn, person, scim_target},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;
use vestibule::{
    access::Identity,
    directory::{Directory, Error, Op, Outcome},
    dn::{Dn, Rdn},
    entry::ModKind,
    export::{Backoff, Kind, Quarantine, TargetOptions},
    provisioning::{Provisioning, State},
    store::Platter,
};

const CHANGES: u64 = 24_000;
const PEOPLE: u64 = 2_000;
const GROUPS: u64 = 40;
const WRITERS: u64 = 6;
/// Lives of the directory; the last one sees the end.
const LIVES: u64 = 7;
/// Of a thousand requests.
const FAULTS: u64 = 30;
/// Objects that wait for the target before the writers wait for it too.
const BEHIND: usize = 500;
const LIMIT: Duration = Duration::from_secs(120);
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What outlives the directory.
#[derive(Default)]
struct Ledger {
    changes: AtomicU64,
    /// Entries of which a delete or a move out of the scope was tried.
    left: Mutex<BTreeSet<String>>,
    /// Objects that wait for the target.
    behind: AtomicUsize,
}

#[test]
fn whatever_happens_on_the_way_nothing_is_lost_and_nothing_is_there_twice() {
    let outside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (fake, proxy) = outside.block_on(async {
        let fake = Fake::start().await;
        let upstream = fake.base_url.trim_start_matches("http://").trim_end_matches("/scim/v2").parse().unwrap();
        let proxy = FaultProxy::start(upstream, 11).await;
        (fake, proxy)
    });
    let targets = vec![targeted(&fake, &proxy)];
    let ledger = Arc::new(Ledger::default());
    let mut platter = None;
    proxy.storm(FAULTS);
    for life in 0..LIVES - 1 {
        platter = Some(one_life(life, platter, &targets, &ledger));
    }
    proxy.storm(0);
    let inside = inside();
    let report = inside.block_on(async {
        let world = World::open(platter.unwrap(), targets);
        let report = judge(&world, &fake, &proxy, &ledger).await;
        world.stop().await;
        report
    });
    crate::support::report("convergence", &report.to_string());
}

fn targeted(fake: &Fake, proxy: &FaultProxy) -> TargetOptions {
    let base_url = format!("http://{}/scim/v2", proxy.address);
    let mut target = scim_target(&base_url, fake.token_file());
    let Kind::Scim(scim) = &mut target.kind else { panic!("a SCIM target") };
    scim.connection.timeout = Duration::from_millis(400);
    scim.profile.chunk = 10;
    target.backoff = Backoff { min: Duration::from_millis(10), max: Duration::from_millis(40) };
    target.concurrency = 8;
    // Faults come thick here, and none of them may stand in the way of the end.
    target.quarantine = Quarantine { object_attempts: u32::MAX, failures: u32::MAX, ..Quarantine::default() };
    target
}

fn inside() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A directory from its start to a stop in good order, a kill, or a failing disk and a power cut,
/// each with work under way.
fn one_life(life: u64, platter: Option<Platter>, targets: &[TargetOptions], ledger: &Arc<Ledger>) -> Platter {
    let inside = inside();
    let mut dice = Dice(1000 + life);
    let world = inside.block_on(async {
        let world = match platter {
            Some(platter) => World::open(platter, targets.to_vec()),
            None => founded(targets).await,
        };
        let share = CHANGES * (life + 1) / (LIVES - 1);
        if life % 3 == 2 {
            // The disk fails at some commit of the second half; whether that one is kept is open.
            let half = CHANGES / (LIVES - 1) / 2;
            world.platter.fail(vestibule::store::mem_disk::Op::Sync, half / 4 + dice.below(half / 4));
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (directory, ledger) = (Arc::clone(&world.directory), Arc::clone(ledger));
                tokio::spawn(write(directory, ledger, Dice(life * 100 + n), share))
            })
            .collect();
        let limit = Instant::now() + LIMIT;
        for writer in &writers {
            while !writer.is_finished() {
                let made = ledger.changes.load(Ordering::Relaxed);
                assert!(Instant::now() < limit, "life {life}, {made} changes: too long: {:#?}", world.status());
                ledger.behind.store(world.status().pending, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        world
    });
    match life % 3 {
        0 => inside.block_on(world.stop()),
        1 => {
            inside.shutdown_timeout(Duration::from_secs(5));
            world.platter.kill()
        }
        _ => {
            // The pushes go on for a moment though nothing can be written down any more.
            inside.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
            inside.shutdown_timeout(Duration::from_secs(5));
            let kept = usize::try_from(dice.below(2)).unwrap();
            world.platter.power_cut_keeping(kept)
        }
    }
}

async fn founded(targets: &[TargetOptions]) -> World {
    let world = World::new(targets.to_vec()).await;
    for n in 0..GROUPS / 2 {
        world.add_group(&format!("g{n}"), &["p1", "p2"]).await;
    }
    world
}

fn attrs(list: &[(&str, &[&str])]) -> Vec<(smol_str::SmolStr, Vec<Vec<u8>>)> {
    list.iter().map(|(name, values)| ((*name).into(), values.iter().map(|v| v.as_bytes().to_vec()).collect())).collect()
}

/// One writer, until all together have made `share` changes or the directory takes none.
async fn write(directory: Arc<Directory>, ledger: Arc<Ledger>, dice: Dice, share: u64) {
    let mut writer = Writer { directory, ledger, dice };
    while writer.ledger.changes.load(Ordering::Relaxed) < share && writer.directory.is_healthy() {
        writer.change().await;
        // Otherwise most changes of an object would come to one request.
        while writer.ledger.behind.load(Ordering::Relaxed) > BEHIND && writer.directory.is_healthy() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

struct Writer {
    directory: Arc<Directory>,
    ledger: Arc<Ledger>,
    dice: Dice,
}

impl Writer {
    fn uid(&mut self) -> String {
        format!("p{}", self.dice.below(PEOPLE))
    }

    fn group(&mut self) -> Dn {
        dn(&format!("cn=g{},ou=groups", self.dice.below(GROUPS)))
    }

    async fn change(&mut self) {
        match self.dice.below(20) {
            0..=5 => self.add().await,
            6 => {
                let dn = person(&self.uid());
                self.leave(Op::Delete { dn }).await;
            }
            7..=12 => self.modify().await,
            13 => self.rename().await,
            14 => self.swap().await,
            15 => self.go_and_come().await,
            16 => self.regroup().await,
            17 => self.whole_group().await,
            _ => self.member().await,
        }
    }

    async fn submit(&self, op: Op) -> Result<Outcome, Error> {
        let admin = Identity::Admin { dn: "cn=admin".into() };
        let result = self.directory.submit(&admin, op).await;
        self.ledger.changes.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
        result
    }

    async fn add(&mut self) {
        let uid = self.uid();
        let text = format!("Name {}", self.dice.below(10_000));
        let mail = format!("{uid}@x.example");
        let list: &[(&str, &[&str])] = &[
            ("objectClass", &["inetOrgPerson"]),
            ("uid", &[&uid]),
            ("cn", &[&text]),
            ("sn", &[&text]),
            ("displayName", &[&text]),
            ("mail", &[&mail]),
        ];
        // Most names are taken: whoever loses has made no change.
        let _ = self.submit(Op::Add { dn: person(&uid), attrs: attrs(list) }).await;
    }

    /// What takes an entry out of the scope of the target.
    async fn leave(&self, op: Op) {
        let (Op::Delete { dn } | Op::Rename { dn, .. }) = &op else { return };
        let before = self.directory.read().find_dn(dn).map(|node| node.entry.uuid);
        let after = self.submit(op).await.ok().map(|outcome| outcome.uuid);
        let uuids = before.into_iter().chain(after).map(|uuid: Uuid| uuid.to_string());
        self.ledger.left.lock().unwrap().extend(uuids);
    }

    async fn modify(&mut self) {
        let dn = person(&self.uid());
        let number = self.dice.below(10_000);
        let (attr, values) = match self.dice.below(5) {
            0 => ("sn", vec![format!("Sn {number}")]),
            1 => ("title", vec![format!("Title {number}")]),
            2 => ("title", vec![]),
            3 => ("mail", (0..=number % 3).map(|n| format!("m{n}.{number}@x.example")).collect()),
            _ => ("manager", vec![person(&self.uid()).to_string()]),
        };
        let values = values.into_iter().map(String::into_bytes).collect();
        let _ = self.submit(Op::Modify { dn, changes: vec![(ModKind::Replace, attr.into(), values)] }).await;
    }

    async fn move_to(&self, dn: Dn, uid: &str, new_superior: Option<Dn>) -> Result<Outcome, Error> {
        let new_rdn = Rdn::parse(&format!("uid={uid}")).unwrap();
        self.submit(Op::Rename { dn, new_rdn, delete_old: true, new_superior }).await
    }

    async fn rename(&mut self) {
        let (from, to) = (self.uid(), self.uid());
        let _ = self.move_to(person(&from), &to, None).await;
    }

    /// Two entries exchange their names.
    async fn swap(&mut self) {
        let (one, two) = (self.uid(), self.uid());
        let aside = format!("aside{}", self.dice.below(1_000_000));
        if one == two || self.move_to(person(&one), &aside, None).await.is_err() {
            return;
        }
        let _ = self.move_to(person(&two), &one, None).await;
        let _ = self.move_to(person(&aside), &two, None).await;
    }

    async fn go_and_come(&mut self) {
        let uid = self.uid();
        let (new_rdn, away) = (Rdn::parse(&format!("uid={uid}")).unwrap(), dn("ou=elsewhere"));
        let there = dn(&format!("uid={uid},ou=elsewhere"));
        if self.dice.below(2) == 0 {
            let op = Op::Rename { dn: person(&uid), new_rdn, delete_old: true, new_superior: Some(away) };
            return self.leave(op).await;
        }
        let _ = self.move_to(there, &uid, Some(dn("ou=people"))).await;
    }

    async fn regroup(&mut self) {
        let group = self.group();
        let members: BTreeSet<String> = (0..=self.dice.below(30)).map(|_| person(&self.uid()).to_string()).collect();
        let values = members.into_iter().map(String::into_bytes).collect();
        let changes = vec![(ModKind::Replace, "member".into(), values)];
        let _ = self.submit(Op::Modify { dn: group, changes }).await;
    }

    async fn whole_group(&mut self) {
        let dn = self.group();
        if self.dice.below(3) == 0 {
            return self.leave(Op::Delete { dn }).await;
        }
        let cn = dn.to_string().split([',', '=']).nth(1).unwrap_or_default().to_owned();
        let member = person(&self.uid()).to_string();
        let list: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("cn", &[&cn]), ("member", &[&member])];
        let _ = self.submit(Op::Add { dn, attrs: attrs(list) }).await;
    }

    async fn member(&mut self) {
        let dn = self.group();
        let kind = if self.dice.below(3) == 0 { ModKind::Delete } else { ModKind::Add };
        let values = vec![person(&self.uid()).to_string().into_bytes()];
        let _ = self.submit(Op::Modify { dn, changes: vec![(kind, "member".into(), values)] }).await;
    }
}

/// Waits for the target in fair weather, then compares.
async fn judge(world: &World, fake: &Fake, proxy: &FaultProxy, ledger: &Ledger) -> String {
    let limit = Instant::now() + LIMIT;
    while !world.exporters.status().iter().all(|s| s.pending == 0 && s.lag == 0) {
        assert!(Instant::now() < limit, "not settled within {LIMIT:?}: {:#?}", world.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = world.status();
    let (expected, held) = (expected(world), held(fake));
    let differ: Vec<&String> = expected.iter().filter(|(id, o)| held.get(*id) != Some(o)).map(|(id, _)| id).collect();
    let surplus: Vec<&String> = held.keys().filter(|id| !expected.contains_key(*id)).collect();
    let left = ledger.left.lock().unwrap();
    let wrongly: Vec<String> = fake.deleted().into_iter().filter(|id| !left.contains(id)).collect();
    let (requests, counts) = proxy.counts();
    let reached = proxy.reached();
    let by_kind: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let report = format!(
        "{} changes, {requests} requests, {} of them carried out, {} faults injected ({}), {} objects, lost {}, duplicated {}",
        ledger.changes.load(Ordering::Relaxed),
        reached.len(),
        counts.values().sum::<u64>(),
        by_kind.join(", "),
        expected.len(),
        differ.len() + wrongly.len(),
        usize::try_from(fake.duplicates()).unwrap() + surplus.len(),
    );
    for id in differ.iter().take(3) {
        let shown = |o: Option<&Value>| o.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let (wanted, there) = (shown(expected.get(*id)), shown(held.get(*id)));
        println!("{id}\n  wanted {wanted}\n  there  {there}\n  {:#?}", history(fake, &reached, id));
    }
    assert!(differ.is_empty() && surplus.is_empty(), "{report}\n{differ:?} {surplus:?}\n{status:#?}");
    assert!(wrongly.is_empty(), "{report}\ndeleted though they never left: {wrongly:?}");
    assert_eq!(fake.duplicates(), 0, "{report}");
    assert_eq!((status.failed, &status.state), (0, &State::Running), "{report}\n{status:#?}");
    report
}

/// What was asked of an object of the target, for whoever has to find out.
fn history<'a>(fake: &Fake, reached: &'a [String], external_id: &str) -> Vec<&'a String> {
    let object =
        ["Users", "Groups"].iter().flat_map(|all| fake.all(all)).find(|o| text(o, "externalId") == external_id);
    let id = object.map_or_else(|| external_id.to_owned(), |object| text(&object, "id").to_owned());
    reached.iter().filter(|line| line.contains(&id) || line.contains(external_id)).collect()
}

/// What the target should hold, by externalId: made from the entries without the exporter's help.
fn expected(world: &World) -> BTreeMap<String, Value> {
    let snapshot = world.directory.read();
    let schema = &snapshot.schema;
    let id = |name: &str| schema.attr_id(name).unwrap();
    let below = |dn: Dn| snapshot.find_dn(&dn).unwrap().id;
    let (people, groups) = (below(dn("ou=people")), below(dn("ou=groups")));
    let uuid_of = |value: &[u8]| {
        let node = snapshot.find_dn(&Dn::parse(std::str::from_utf8(value).unwrap()).unwrap())?;
        (node.parent == Some(people)).then(|| node.entry.uuid.to_string())
    };
    let mut all = BTreeMap::new();
    for node in snapshot.walk() {
        let text = |name: &str| node.entry.text(id(name)).map(str::to_owned);
        let uuid = node.entry.uuid.to_string();
        if node.parent == Some(people) {
            let mails: Vec<String> =
                node.entry.values(id("mail")).map(|v| String::from_utf8(v.to_vec()).unwrap()).collect();
            let emails: Vec<Value> = mails
                .iter()
                .enumerate()
                .map(|(i, value)| match i {
                    0 => json!({"value": value, "type": "work", "primary": true}),
                    _ => json!({"value": value, "type": "other"}),
                })
                .collect();
            let manager = node.entry.values(id("manager")).next().and_then(uuid_of);
            let user = json!({
                "externalId": &uuid, "userName": text("uid"), "displayName": text("displayName"), "active": true,
                "name": {"formatted": text("cn"), "familyName": text("sn")}, "title": text("title"),
                "emails": emails, ENTERPRISE: {"manager": {"value": manager}},
            });
            all.insert(uuid, plain(user));
        } else if node.parent == Some(groups) {
            let members: BTreeSet<String> = node.entry.values(id("member")).filter_map(uuid_of).collect();
            let members: Vec<Value> = members.into_iter().map(|uuid| json!({ "value": uuid })).collect();
            let group = json!({"externalId": &uuid, "displayName": text("cn"), "members": members});
            all.insert(uuid, plain(group));
        }
    }
    assert!(all.len() > 100, "too little of {SUFFIX} is left to show anything");
    all
}

/// What the target holds, by externalId, with its ids put back into those of the entries.
fn held(fake: &Fake) -> BTreeMap<String, Value> {
    let (users, groups) = (fake.all("Users"), fake.all("Groups"));
    let ids: BTreeMap<String, String> =
        users.iter().map(|u| (text(u, "id").to_owned(), text(u, "externalId").to_owned())).collect();
    let mut all = BTreeMap::new();
    for object in users.into_iter().chain(groups) {
        let external_id = text(&object, "externalId").to_owned();
        let old = all.insert(external_id.clone(), plain(translated(object, &ids)));
        assert_eq!(old, None, "two live objects of {external_id}");
    }
    all
}

fn translated(mut object: Object, ids: &BTreeMap<String, String>) -> Value {
    object.remove("id");
    object.remove("schemas");
    let known = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        Value::from(ids.get(id).cloned().unwrap_or_else(|| format!("unknown {id}")))
    };
    if let Some(Value::Array(members)) = object.get_mut("members") {
        let mut translated: Vec<Value> = members.iter().map(|m| json!({ "value": known(&m["value"]) })).collect();
        translated.sort_by_key(Value::to_string);
        *members = translated;
    }
    if let Some(value) = object.get_mut(ENTERPRISE).and_then(|e| e.get_mut("manager")).and_then(|m| m.get_mut("value"))
    {
        *value = known(value);
    }
    Value::Object(object)
}

/// Null, an empty list and an absent attribute are one state (RFC 7643 section 2.5).
fn plain(value: Value) -> Value {
    let is_empty = |v: &Value| match v {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => {
            let kept: Map<String, Value> =
                map.into_iter().map(|(k, v)| (k, plain(v))).filter(|(_, v)| !is_empty(v)).collect();
            Value::Object(kept)
        }
        other => other,
    }
}
