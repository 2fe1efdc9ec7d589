//! Every row of the state table in `tests/golden/states.yml`, on a real directory.

use serde::Deserialize;
use std::{collections::BTreeSet, path::Path, sync::Arc};
use uuid::Uuid;
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{self, Directory, Error, Identities, OnFault, Op, Relations, Terms, Update, Writer, default_indexes},
    dn::Dn,
    entry::{Axis, FactsChange, ModKind},
    lifecycle::{Career, Event, Release, State},
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

const SUFFIX: &str = "dc=example,dc=org";
const WHO: &str = "uid=who,dc=example,dc=org";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What the row is about, for the reader and for messages.
    #[allow(dead_code, reason = "shown by Debug")]
    row: String,
    from: serde_yaml::Value,
    r#do: String,
    to: serde_yaml::Value,
    #[serde(default)]
    release: Release,
    #[serde(default)]
    allowed: BTreeSet<i32>,
}

struct World {
    directory: Arc<Directory>,
    _writer: Writer,
}

impl World {
    fn new(release: Release) -> Self {
        let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
        let rule: RuleDef = serde_yaml::from_str("{name: all, who: [anyone], rights: all}").unwrap();
        let base = schema.dn_value_key(SUFFIX).unwrap();
        let options = directory::Options {
            suffix: Dn::parse(SUFFIX).unwrap(),
            identities: Identities { bases: vec![base], release, ..Identities::default() },
            relations: Relations::default(),
            access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
            indexes: default_indexes(),
            targets: Vec::new(),
            limits: Arc::new(Limits::default()),
            clock: clock::system(),
            career: Arc::new(Career::shipped(&schema).unwrap()),
            schema,
        };
        let disk = MemDisk::open(&Platter::new(), Uuid::from_u128(7)).unwrap();
        let (directory, _writer) = Directory::start(disk, options).unwrap();
        World { directory, _writer }
    }

    async fn run(&self, op: Op, terms: Terms) -> Result<(), Error> {
        self.directory.submit_update(Update { identity: Identity::Server, op, terms }).await.map(drop)
    }

    /// The state, of a deleted identity too.
    fn state(&self) -> Option<i32> {
        let now = self.directory.read();
        let node = now.find_dn(&name()).or_else(|| now.deleted().next())?;
        node.entry.operational.axes.map(|axes| axes.state)
    }

    fn uuid(&self) -> (Uuid, u64) {
        let now = self.directory.read();
        let node = now.find_dn(&name()).unwrap();
        (node.entry.uuid, node.entry.operational.changed)
    }

    async fn write(&self, civility: &str, state: Option<&str>, terms: Terms) -> Result<(), Error> {
        let there = self.directory.read().find_dn(&name()).is_some();
        let value = |text: &str| vec![text.as_bytes().to_vec()];
        let title = Uuid::new_v4().to_string();
        let mut attrs = vec![("supannCivilite", value(civility)), ("title", value(&title))];
        attrs.extend(state.map(|state| ("vestibuleState", value(state))));
        let dn = name();
        if there {
            let changes = attrs.into_iter().map(|(n, v)| (ModKind::Replace, n.into(), v)).collect();
            return self.run(Op::Modify { dn, changes }, terms).await;
        }
        let classes = vec![b"inetOrgPerson".to_vec(), b"supannPerson".to_vec()];
        attrs.extend([("objectClass", classes), ("cn", value("Who")), ("sn", value("Who"))]);
        let attrs = attrs.into_iter().map(|(n, v)| (n.into(), v)).collect();
        self.run(Op::Add { dn, attrs }, terms).await
    }

    async fn report(&self, event: Event) -> Result<(), Error> {
        let (uuid, as_of) = self.uuid();
        self.run(Op::Report { uuid, as_of, event }, Terms::default()).await
    }

    async fn event(&self, event: Event) -> Result<(), Error> {
        let op = Op::Modify { dn: name(), changes: Vec::new() };
        self.run(op, Terms { event: Some(event), ..Terms::default() }).await
    }

    async fn delete(&self) -> Result<(), Error> {
        self.run(Op::Delete { dn: name() }, Terms::default()).await
    }

    async fn undelete(&self) -> Result<(), Error> {
        let uuid = self.directory.read().deleted().next().unwrap().entry.uuid;
        self.run(Op::Undelete { uuid }, Terms::default()).await
    }

    /// Takes an identity to a state by things that really happen.
    async fn bring_to(&self, state: i32) {
        let state_of = State::from_number(state).unwrap();
        let manual = Terms { release: Some(Release::Manual), ..Terms::default() };
        match state_of {
            State::ToValidate => self.write("Mme", None, manual).await.unwrap(),
            State::ToSync => self.write("Mme", Some("2"), manual).await.unwrap(),
            State::ToComplete => self.write("Dr", Some("-1"), manual).await.unwrap(),
            State::Synced | State::OnError => {
                self.write("Mme", Some("2"), manual).await.unwrap();
                let event = if state_of == State::Synced { Event::Accepted } else { Event::RefusedByTarget };
                self.report(event).await.unwrap();
            }
            State::ToCreate => {
                self.write("Mme", None, manual).await.unwrap();
                self.delete().await.unwrap();
                self.undelete().await.unwrap();
            }
            State::DontSync => {
                self.write("Mme", None, manual).await.unwrap();
                self.event(Event::Asked(State::DontSync)).await.unwrap();
            }
            State::Unknown | State::Processing => panic!("nothing leads there"),
        }
        assert_eq!(self.state(), Some(state), "on the way to {state}");
    }

    async fn act(&self, what: &str, release: Release) -> Result<(), Error> {
        let own = Terms { release: Some(release), ..Terms::default() };
        let upsert = Terms { release: Some(Release::Manual), on_fault: OnFault::Hold, ..Terms::default() };
        let words: Vec<&str> = what.split(' ').collect();
        let state = |text: &str| State::from_number(text.parse().unwrap()).unwrap();
        match words.as_slice() {
            ["write"] => self.write("Mme", None, own).await,
            ["write", "with", state] => self.write("Mme", Some(state), own).await,
            ["break"] => self.write("Dr", None, own).await,
            ["break", "with", state] => self.write("Dr", Some(state), own).await,
            ["upsert"] => self.write("Mme", None, upsert).await,
            ["break", "by", "upsert"] => self.write("Dr", None, upsert).await,
            ["patch", to] => self.event(Event::Patched(state(to))).await,
            ["release"] => self.event(Event::Released).await,
            ["ask", to] => {
                let changes = vec![(ModKind::Replace, "vestibuleState".into(), vec![to.as_bytes().to_vec()])];
                self.run(Op::Modify { dn: name(), changes }, own).await
            }
            ["accept"] => self.report(Event::Accepted).await,
            ["reject"] => self.report(Event::RefusedByTarget).await,
            ["mutate"] => self.event(Event::Mutated).await,
            ["delete"] => self.delete().await,
            ["delete", "and", "undelete"] => {
                self.delete().await?;
                self.undelete().await
            }
            ["absorb"] => self.event(Event::Absorbed).await,
            ["fuse"] => self.event(Event::Fused).await,
            other => panic!("no such act: {other:?}"),
        }
    }

    /// The history ends where the identity is, and each move begins where the one before ended.
    fn check_history(&self, what: &Row) {
        let now = self.directory.read();
        let Some(node) = now.find_dn(&name()).or_else(|| now.deleted().next()) else { return };
        let facts = node.entry.operational.facts.as_ref().unwrap();
        let moves: Vec<_> = facts.history.iter().filter(|m| m.axis == Axis::State).collect();
        assert_eq!(moves.last().map(|m| m.to), self.state(), "{what:?}");
        for pair in moves.windows(2) {
            assert_eq!(pair[1].from, Some(pair[0].to), "{what:?}");
        }
    }
}

fn name() -> Dn {
    Dn::parse(WHO).unwrap()
}

#[tokio::test]
async fn every_row_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/states.yml");
    let rows: Vec<Row> = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(rows.len() > 50, "the table is there");
    for row in &rows {
        let world = World::new(row.release);
        let root = vec![
            ("objectClass".into(), vec![b"organization".to_vec(), b"dcObject".to_vec()]),
            ("o".into(), vec![b"x".to_vec()]),
        ];
        world.run(Op::Add { dn: Dn::parse(SUFFIX).unwrap(), attrs: root }, Terms::default()).await.unwrap();
        let from = row.from.as_i64().map(|n| i32::try_from(n).unwrap());
        if let Some(from) = from {
            world.bring_to(from).await;
        }
        let found = world.act(&row.r#do, row.release).await;
        match (row.to.as_str(), &found) {
            (Some("refused"), Err(Error::Refused(refused))) => {
                let text = refused.to_string();
                let allowed: BTreeSet<i32> = text
                    .split_once("allowed: ")
                    .map(|(_, list)| list.split(", ").map(|s| s.split(' ').next().unwrap().parse().unwrap()).collect())
                    .unwrap();
                assert_eq!(allowed, row.allowed, "{row:?}: {text}");
                assert_eq!(world.state(), from, "{row:?}: a refusal changes nothing");
            }
            (Some("violations"), Err(Error::Violations(list))) => {
                assert!(list.to_string().contains("supannCivilite"), "{row:?}: {list}");
                assert_eq!(world.state(), from, "{row:?}: a refusal changes nothing");
            }
            (None, Ok(())) => {
                assert_eq!(world.state().map(i64::from), row.to.as_i64(), "{row:?}");
                world.check_history(row);
            }
            _ => panic!("{row:?}: {found:?}"),
        }
    }
}

/// Deleted and brought back, an absorbed identity is as closed as it was.
#[tokio::test]
async fn an_absorbed_identity_comes_back_absorbed() {
    let world = World::new(Release::Automatic);
    let root = vec![
        ("objectClass".into(), vec![b"organization".to_vec(), b"dcObject".to_vec()]),
        ("o".into(), vec![b"x".to_vec()]),
    ];
    world.run(Op::Add { dn: Dn::parse(SUFFIX).unwrap(), attrs: root }, Terms::default()).await.unwrap();
    world.bring_to(99).await;
    let facts = FactsChange { fused_into: Some(Some(Uuid::from_u128(1))), ..FactsChange::default() };
    let terms = Terms { event: Some(Event::Absorbed), facts: Some(Box::new(facts)), ..Terms::default() };
    world.run(Op::Modify { dn: name(), changes: Vec::new() }, terms).await.unwrap();
    world.delete().await.unwrap();
    world.undelete().await.unwrap();
    assert_eq!(world.state(), Some(-99));
    world.write("Mme", None, Terms::default()).await.unwrap();
    assert_eq!(world.state(), Some(-99), "no write thaws it");
    world.event(Event::Asked(State::ToSync)).await.unwrap_err();
}
