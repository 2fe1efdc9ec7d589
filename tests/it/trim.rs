//! The journal is trimmed behind the slowest target, in the background and without waiting for
//! writes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{Directory, Identities, Op, Options, Relations, Row, Writer, default_indexes},
    dn::Dn,
    entry::ModKind,
    lifecycle::Career,
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter, RecordKey},
};

const SUFFIX: &str = "dc=example,dc=org";
const KEPT: u64 = 10;
const STEP: usize = 4;
const CHANGES: u64 = 500;

fn open(platter: &Platter, targets: &[&str]) -> (Arc<Directory>, Writer) {
    let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [admin], rights: all}").unwrap();
    let options = Options {
        suffix: Dn::parse(SUFFIX).unwrap(),
        access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
        career: Arc::new(Career::shipped(&schema).unwrap()),
        identities: Identities::default(),
        relations: Relations::default(),
        schema,
        indexes: default_indexes(),
        targets: targets.iter().map(|name| (*name).into()).collect(),
        limits: Arc::new(Limits { journal_keep: KEPT, commit_batch: STEP, ..Limits::default() }),
        clock: clock::system(),
    };
    Directory::start(MemDisk::open(platter, Uuid::from_u128(7)).unwrap(), options).unwrap()
}

async fn submit(directory: &Directory, op: Op) {
    directory.submit(&Identity::Admin { dn: "cn=admin".into() }, op).await.unwrap();
}

async fn fill(directory: &Directory) {
    let dn = Dn::parse(SUFFIX).unwrap();
    let attr = |name: &str, values: &[&str]| (name.into(), values.iter().map(|v| v.as_bytes().to_vec()).collect());
    let attrs =
        vec![attr("objectClass", &["organization", "dcObject"]), attr("dc", &["example"]), attr("o", &["Example"])];
    submit(directory, Op::Add { dn: dn.clone(), attrs }).await;
    for n in 1..CHANGES {
        let changes = vec![(ModKind::Replace, "description".into(), vec![n.to_string().into_bytes()])];
        submit(directory, Op::Modify { dn: dn.clone(), changes }).await;
    }
}

fn cursor(target: &str, number: u64) -> Row {
    (RecordKey::Cursor(target.into()), Some(number.to_be_bytes().to_vec()))
}

async fn until_start(directory: &Directory, expected: u64) {
    let limit = Instant::now() + Duration::from_secs(20);
    while directory.journal_start() != expected {
        assert!(Instant::now() < limit, "the journal begins at {}, not at {expected}", directory.journal_start());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn once_every_target_has_passed_the_journal_goes_though_nobody_writes() {
    let platter = Platter::new();
    let (directory, writer) = open(&platter, &["a", "b"]);
    fill(&directory).await;
    assert_eq!((*directory.head().borrow(), directory.journal_start()), (CHANGES, 1));
    directory.save_rows(vec![cursor("a", CHANGES)]).await.unwrap();
    assert_eq!(directory.journal_start(), 1, "b has passed nothing");
    directory.save_rows(vec![cursor("b", 100)]).await.unwrap();
    until_start(&directory, 101).await;
    // What b has not passed is there for it.
    assert_eq!(directory.read_log(100, 1).await.unwrap()[0].0, 101);

    // A target that is off holds nothing, from the start on.
    directory.close().await;
    drop(directory);
    tokio::task::spawn_blocking(|| writer.join()).await.unwrap();
    let (directory, writer) = open(&platter, &["a"]);
    until_start(&directory, CHANGES - KEPT + 1).await;
    assert!(directory.is_healthy());
    directory.close().await;
    drop(directory);
    tokio::task::spawn_blocking(|| writer.join()).await.unwrap();
}
