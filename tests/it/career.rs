//! Careers over a year of days: the engine with its index against a model that looks at everyone
//! each day, written without it; and what a preview says against what then happens.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock::Timestamp,
    directory::{self, Advanced, Directory, Identities, Op, Relations, Terms, Update, Writer, default_indexes},
    dn::Dn,
    entry::{FactsChange, ModKind},
    lifecycle::{self, Career, Release},
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

const SUFFIX: &str = "dc=example,dc=org";
const DAY: i64 = 86_400;

/// Students leave by their end date or for want of imports; then the account goes step by step.
const RULES: &str = r#"
identities:
  - sources: [O]
    target: P
    trigger: 90d
    rules: {inetOrgPerson.employeeType: {$in: [student, guest]}}
  - sources: [O, P]
    target: I
    trigger: 1d
    dateKey: additionalFields.attributes.supannPerson.supannEtuDateFin
    mutation: {dataStatus: -3}
  - sources: [P]
    target: I
    trigger: 30
    dateKey: lastLifecycleUpdate
    mutation:
      dataStatus: -3
      inetOrgPerson.title: "left on {{ date.today }}"
  - sources: [I]
    target: D
    trigger: 5184000
    dateKey: lastLifecycleUpdate
    ldap: "(!(description=keep))"
  - sources: [V]
    target: D
    trigger: 45s
    dateKey: metadata.createdAt
    rules: {lastLifecycleUpdate: {$lt: "{{ date.yesterday }}"}}
  - sources: [O, P]
    target: V
    rules: {inetOrgPerson.employeeType: gone}
"#;

struct World {
    directory: Arc<Directory>,
    writer: Writer,
    /// Seconds since 1970.
    time: Arc<AtomicI64>,
}

impl World {
    async fn new(start: i64) -> Self {
        let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
        let rule: RuleDef = serde_yaml::from_str("{name: all, who: [anyone], rights: all}").unwrap();
        let files = lifecycle::Sources {
            rules: vec![(PathBuf::from("rules.yml"), RULES.to_owned())],
            ..lifecycle::Sources::shipped()
        };
        let time = Arc::new(AtomicI64::new(start));
        let now = Arc::clone(&time);
        let options = directory::Options {
            suffix: Dn::parse(SUFFIX).unwrap(),
            career: Arc::new(Career::compile(&files, &schema).unwrap()),
            identities: Identities {
                bases: vec![schema.dn_value_key(&format!("ou=people,{SUFFIX}")).unwrap()],
                release: Release::Automatic,
                ..Identities::default()
            },
            access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
            relations: Relations::default(),
            indexes: default_indexes(),
            targets: Vec::new(),
            limits: Arc::new(Limits::default()),
            clock: Arc::new(move || Timestamp::from_secs(now.load(Ordering::Relaxed))),
            schema,
        };
        let disk = MemDisk::open(&Platter::default(), uuid::Uuid::from_u128(7)).unwrap();
        let (directory, writer) = Directory::start(disk, options).unwrap();
        let world = World { directory, writer, time };
        world.add(SUFFIX, &[("objectClass", "organization"), ("objectClass", "dcObject"), ("o", "x")], None).await;
        world.add(&format!("ou=people,{SUFFIX}"), &[("objectClass", "organizationalUnit")], None).await;
        world
    }

    fn set(&self, time: i64) {
        self.time.store(time, Ordering::Relaxed);
    }

    fn submit(&self, op: Op, seen: Option<i64>) -> impl Future<Output = ()> {
        let facts = FactsChange { seen: seen.map(Timestamp::from_secs), ..FactsChange::default() };
        let terms = Terms { facts: Some(Box::new(facts)), ..Terms::default() };
        let submitted = self.directory.submit_update(Update { identity: Identity::Server, op, terms });
        async { drop(submitted.await.unwrap()) }
    }

    async fn add(&self, dn: &str, attrs: &[(&str, &str)], seen: Option<i64>) {
        let attrs = attrs.iter().map(|(n, v)| ((*n).into(), vec![v.as_bytes().to_vec()])).collect();
        self.submit(Op::Add { dn: Dn::parse(dn).unwrap(), attrs }, seen).await;
    }

    async fn add_all(&self, people: &[Person]) {
        for batch in people.chunks(500) {
            let added = batch.iter().map(|person| async move {
                let attrs = person.attrs();
                let attrs: Vec<(&str, &str)> = attrs.iter().map(|(n, v)| (*n, v.as_str())).collect();
                self.add(&person.dn(), &attrs, Some(person.seen)).await;
            });
            futures_util::future::join_all(added).await;
        }
    }

    async fn stop(self) {
        self.directory.close().await;
        drop(self.directory);
        tokio::task::spawn_blocking(|| self.writer.join()).await.unwrap();
    }
}

/// What the model knows of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Person {
    number: usize,
    letter: char,
    kind: &'static str,
    seen: i64,
    created: i64,
    changed: Option<i64>,
    end: Option<i64>,
    keep: bool,
    ignores: bool,
    status: i32,
    title: Option<String>,
}

impl Person {
    fn new(number: usize, start: i64, random: &mut Random) -> Self {
        Person {
            number,
            letter: ['O', 'O', 'O', 'O', 'P', 'I', 'V', 'M'][random.below(8)],
            kind: ["student", "student", "staff", "guest"][random.below(4)],
            seen: start - random.below(80) as i64 * DAY - random.below(86_400) as i64,
            created: start,
            changed: None,
            end: (random.below(3) == 0).then(|| start + random.below(400) as i64 * DAY),
            keep: random.below(10) == 0,
            ignores: random.below(20) == 0,
            status: 0,
            title: None,
        }
    }

    fn dn(&self) -> String {
        format!("uid=p{},ou=people,{SUFFIX}", self.number)
    }

    fn attrs(&self) -> Vec<(&'static str, String)> {
        let mut attrs = vec![
            ("objectClass", "inetOrgPerson".to_owned()),
            ("cn", format!("Person {}", self.number)),
            ("sn", "Person".to_owned()),
            ("employeeType", self.kind.to_owned()),
            ("vestibuleLifecycle", self.letter.to_string()),
        ];
        attrs.extend(self.end.map(|end| ("supannEtuDateFin", Timestamp::from_secs(end).generalized_time())));
        attrs.extend(self.end.map(|_| ("objectClass", "supannPerson".to_owned())));
        attrs.extend(self.keep.then(|| ("description", "keep".to_owned())));
        attrs.extend(self.ignores.then(|| ("vestibuleIgnoreLifecycle", "TRUE".to_owned())));
        attrs
    }

    /// What is so at once when the entry is made: a letter other than O is a change of letter.
    fn made(&mut self) {
        if self.letter != 'O' {
            self.changed = Some(self.created);
        }
    }

    fn to(&mut self, letter: char, now: i64) {
        self.letter = letter;
        self.changed = Some(now);
    }
}

/// One day of the model: each rule in its order, over everyone.
fn day(people: &mut [Person], now: i64) -> usize {
    let mut moves = 0;
    let days = |n: i64| n * DAY;
    let yesterday = now.div_euclid(DAY) * DAY - DAY;
    let date = Timestamp::from_secs(now).to_string().chars().take(10).collect::<String>();
    let mut each = |test: &dyn Fn(&Person) -> bool, act: &dyn Fn(&mut Person)| {
        for person in people.iter_mut().filter(|p| !p.ignores) {
            if test(person) {
                act(person);
                moves += 1;
            }
        }
    };
    each(&|p| p.letter == 'O' && p.kind != "staff" && p.kind != "gone" && p.seen <= now - days(90), &|p| {
        p.to('P', now)
    });
    each(&|p| matches!(p.letter, 'O' | 'P') && p.end.is_some_and(|end| end <= now - days(1)), &|p| {
        p.to('I', now);
        p.status = -3;
    });
    each(&|p| p.letter == 'P' && p.changed.is_some_and(|c| c <= now - days(30)), &|p| {
        p.to('I', now);
        p.status = -3;
        p.title = Some(format!("left on {date}"));
    });
    each(&|p| p.letter == 'I' && !p.keep && p.changed.is_some_and(|c| c <= now - days(60)), &|p| p.to('D', now));
    each(&|p| p.letter == 'V' && p.created <= now - 45 && p.changed.is_some_and(|c| c < yesterday), &|p| {
        p.to('D', now)
    });
    moves
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn compare(world: &World, people: &[Person], when: &str) {
    let snapshot = world.directory.read();
    let schema = &snapshot.schema;
    let title = schema.attr_id("title").unwrap();
    for person in people {
        let node = snapshot.find_dn(&Dn::parse(&person.dn()).unwrap()).unwrap();
        let axes = node.entry.operational.axes.unwrap();
        let facts = node.entry.operational.facts.as_ref().unwrap();
        let found = (
            axes.lifecycle,
            axes.data_status,
            facts.lifecycle_changed.map(Timestamp::secs),
            node.entry.text(title).map(str::to_owned),
        );
        assert_eq!(found, (person.letter, person.status, person.changed, person.title.clone()), "{when}: {person:?}");
    }
}

/// 2026-09-01, a little before noon.
const START: i64 = 1_788_264_000 - 61;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_of_ten_thousand_careers_is_as_the_model_says() {
    let began = Instant::now();
    let world = World::new(START).await;
    let mut random = Random(4);
    let mut people: Vec<Person> = (0..10_000).map(|n| Person::new(n, START, &mut random)).collect();
    world.add_all(&people).await;
    people.iter_mut().for_each(Person::made);
    let (mut expected, mut found) = (0, 0);
    for number in 1..=365 {
        let now = START + number * DAY;
        world.set(now);
        // An import sees some, and some change.
        let mut work = Vec::new();
        for _ in 0..8 {
            let person = &mut people[random.below(10_000)];
            person.seen = now;
            let uuid = world.directory.read().find_dn(&Dn::parse(&person.dn()).unwrap()).unwrap().entry.uuid;
            work.push(world.submit(Op::Touch { uuid }, None));
        }
        for _ in 0..2 {
            let person = &mut people[random.below(10_000)];
            if person.kind == "gone" {
                continue;
            }
            person.kind = "gone";
            if matches!(person.letter, 'O' | 'P') && !person.ignores {
                person.to('V', now);
            }
            let changes = vec![(ModKind::Replace, "employeeType".into(), vec![b"gone".to_vec()])];
            let dn = Dn::parse(&person.dn()).unwrap();
            work.push(world.submit(Op::Modify { dn, changes }, None));
        }
        futures_util::future::join_all(work).await;
        found += world.directory.run_lifecycle().await.unwrap().len();
        expected += day(&mut people, now);
        assert_eq!(found, expected, "moves until day {number}");
        if number % 73 == 0 {
            compare(&world, &people, &format!("day {number}"));
        }
    }
    compare(&world, &people, "the end");
    assert!(found > 8_000, "{found} moves only");
    world.stop().await;
    crate::support::report(
        "careers",
        &format!("10,000 careers, a year, {found} moves: {:.1} s", began.elapsed().as_secs_f32()),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_says_what_then_happens_and_moves_nothing() {
    let world = World::new(START).await;
    let mut random = Random(9);
    let people: Vec<Person> = (0..300).map(|n| Person::new(n, START, &mut random)).collect();
    world.add_all(&people).await;
    let until = START + 400 * DAY;
    let before = world.directory.read().head;
    let foretold = world.directory.preview(Timestamp::from_secs(until), || false).unwrap();
    assert_eq!(world.directory.read().head, before);
    let stopped = world.directory.preview(Timestamp::from_secs(until), || true);
    assert!(matches!(stopped, Err(directory::Error::Unavailable)));
    assert!(foretold.len() > 200, "{}", foretold.len());

    // What the timer does: it sleeps until the next one is due, and looks at midnight as well.
    let mut happened: Vec<Advanced> = world.directory.run_lifecycle().await.unwrap();
    loop {
        let now = world.time.load(Ordering::Relaxed);
        let midnight = (now.div_euclid(DAY) + 1) * DAY;
        let due = world
            .directory
            .next_due(Timestamp::from_secs(now))
            .map_or(i64::MAX, |due| (due.0 + 999_999).div_euclid(1_000_000));
        let next = midnight.min(due);
        if next > until {
            break;
        }
        world.set(next);
        happened.extend(world.directory.run_lifecycle().await.unwrap());
    }
    assert_eq!(foretold.len(), happened.len());
    for (foretold, happened) in foretold.iter().zip(&happened) {
        assert_eq!(foretold, happened);
    }
    world.stop().await;
}
