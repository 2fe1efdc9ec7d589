//! What every disk must do: one set of tests, run on sled and on memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::key;
use super::meta::Meta;
use super::record::CHUNK;
use super::{Disk, Error, Group, Info, RecordKey};

/// A disk that can be closed, opened again and damaged in between.
pub(super) trait Rig {
    type Disk: Disk;
    type Copy;

    fn new() -> Self;
    fn open(&self) -> Result<Self::Disk, Error>;
    /// Changes the raw pairs behind the back of the closed disk.
    fn edit(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>));
    /// Copies the database, but not the mark beside it.
    fn copy(&self) -> Self::Copy;
    fn put_back(&self, copy: &Self::Copy);
}

/// Makes one test of each function of the battery.
macro_rules! battery {
    ($rig:ty: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            $crate::store::battery::$name::<$rig>();
        })*
    };
    ($rig:ty) => {
        $crate::store::battery::battery! { $rig:
            values_come_back short_replaces_long deletes conflicts_write_nothing
            groups_are_whole log_is_numbered_without_gaps log_is_read_in_pages log_is_trimmed
            reopening_gives_the_same the_second_opener_is_refused damage_is_named
            missing_pieces_are_found older_meta_is_found a_lost_tail_is_found random_operations
        }
    };
}
pub(super) use battery;

type State = BTreeMap<RecordKey, Vec<u8>>;

pub(super) fn values_come_back<R: Rig>() {
    let rig = R::new();
    let mut want = State::new();
    let mut disk = rig.open().unwrap();
    for (n, len) in [0, 1, CHUNK, CHUNK + 1, 300 * 1024].into_iter().enumerate() {
        let mut group = Group::default();
        for key in [
            entry(n as u128),
            RecordKey::Link { target: "scim".into(), object: id(n as u128) },
            RecordKey::Cursor(format!("c{n}").into()),
            RecordKey::Setting(format!("s{n}").into()),
        ] {
            group.put(key.clone(), bytes(len));
            want.insert(key, bytes(len));
        }
        disk.commit(0, &group).unwrap();
    }
    assert_eq!(state(&mut disk), want);
    assert_eq!(disk.info().entries, 5);
    drop(disk);
    assert_eq!(state(&mut rig.open().unwrap()), want);
}

pub(super) fn short_replaces_long<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    for len in [60_000, 5_000, 10, 9_000, 0] {
        put(&mut disk, entry(1), &bytes(len));
        assert_eq!(state(&mut disk), State::from([(entry(1), bytes(len))]), "{len}");
    }
    drop(disk);
    // The meta record and one chunk.
    rig.edit(|pairs| assert_eq!(pairs.len(), 2));
}

pub(super) fn deletes<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    put(&mut disk, entry(1), &bytes(20_000));
    put(&mut disk, entry(2), b"two");
    let mut group = Group::default();
    group.delete(entry(1));
    group.delete(entry(99));
    disk.commit(0, &group).unwrap();
    assert_eq!(state(&mut disk), State::from([(entry(2), b"two".to_vec())]));
    assert_eq!(disk.info().entries, 1);
    let mut group = Group::default();
    group.delete(entry(2));
    group.put(entry(2), b"again".to_vec());
    group.put(entry(3), b"gone".to_vec());
    group.delete(entry(3));
    disk.commit(0, &group).unwrap();
    assert_eq!(state(&mut disk), State::from([(entry(2), b"again".to_vec())]));
    drop(disk);
    rig.edit(|pairs| assert_eq!(pairs.len(), 2));
}

pub(super) fn conflicts_write_nothing<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    let group = logging(1);
    assert_eq!(disk.commit(0, &group).unwrap(), 1);
    let before = state(&mut disk);
    for wrong in [0, 2, u64::MAX] {
        let mut group = logging(7);
        group.put(entry(7), vec![7]);
        match disk.commit(wrong, &group) {
            Err(Error::Conflict { expected, head }) => assert_eq!((expected, head), (wrong, 1)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(state(&mut disk), before);
    assert_eq!(disk.commit(1, &group).unwrap(), 2);
}

pub(super) fn groups_are_whole<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    put(&mut disk, entry(1), b"one");
    let before = (state(&mut disk), still(&disk));
    for (what, bad) in [
        ("empty name", RecordKey::Cursor("".into())),
        ("NUL", RecordKey::Setting("a\0".into())),
        ("long", RecordKey::Setting("x".repeat(256).into())),
    ] {
        let mut group = logging(1);
        group.put(entry(1), b"changed".to_vec());
        group.put(entry(2), b"new".to_vec());
        group.put(bad, Vec::new());
        let error = disk.commit(0, &group).unwrap_err();
        assert!(matches!(error, Error::BadName { .. }) && error.refused(), "{what}: {error}");
        assert_eq!((state(&mut disk), still(&disk)), before, "{what}");
    }
    let mut group = logging(2);
    group.put(entry(1), b"changed".to_vec());
    group.put(entry(2), b"new".to_vec());
    group.delete(entry(3));
    assert_eq!(disk.commit(0, &group).unwrap(), 2);
    let want = State::from([(entry(1), b"changed".to_vec()), (entry(2), b"new".to_vec())]);
    assert_eq!(state(&mut disk), want);
}

pub(super) fn log_is_numbered_without_gaps<R: Rig>() {
    let rig = R::new();
    let mut want = Vec::new();
    let mut head = 0;
    for round in 0..3 {
        let mut disk = rig.open().unwrap();
        for many in [1, 0, 3, 17] {
            let group = logging(many);
            want.extend(group.log.iter().cloned());
            head = disk.commit(head, &group).unwrap();
            assert_eq!(head as usize, want.len(), "{round}");
        }
    }
    let log = rig.open().unwrap().read_log(0, 1000).unwrap();
    assert_eq!(log, (1..).zip(want).collect::<Vec<_>>());
}

pub(super) fn log_is_read_in_pages<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    assert_eq!(disk.read_log(0, 10).unwrap(), []);
    let mut group = logging(9);
    group.log(bytes(10_000));
    disk.commit(0, &group).unwrap();
    let numbers =
        |after, max| -> Vec<u64> { disk.read_log(after, max).unwrap().into_iter().map(|(number, _)| number).collect() };
    assert_eq!(numbers(0, 4), [1, 2, 3, 4]);
    assert_eq!(numbers(4, 4), [5, 6, 7, 8]);
    assert_eq!(numbers(8, 4), [9, 10]);
    assert_eq!(numbers(8, usize::MAX), [9, 10]);
    assert!(numbers(10, 4).is_empty() && numbers(99, 4).is_empty() && numbers(0, 0).is_empty());
    assert_eq!(disk.read_log(9, 1).unwrap(), [(10, bytes(10_000))]);
}

pub(super) fn log_is_trimmed<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    put(&mut disk, entry(1), b"stays");
    let mut group = logging(9);
    group.log(bytes(10_000));
    disk.commit(0, &group).unwrap();
    assert_eq!(disk.trim(0, 5).unwrap(), 0);
    assert_eq!(disk.trim(8, 5).unwrap(), 5);
    assert_eq!(disk.trim(8, 5).unwrap(), 3);
    assert_eq!(disk.trim(8, 5).unwrap(), 0);
    match disk.read_log(7, 5) {
        Err(Error::Trimmed { after, first_log }) => assert_eq!((after, first_log), (7, 9)),
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.read_log(8, 5).unwrap().len(), 2);
    disk.commit(10, &Group::default()).unwrap();
    drop(disk);
    let mut disk = rig.open().unwrap();
    assert_eq!((disk.info().first_log, disk.info().head), (9, 10));
    assert_eq!(disk.trim(u64::MAX, usize::MAX).unwrap(), 2);
    assert_eq!((disk.info().first_log, disk.info().head), (11, 10));
    assert_eq!(disk.read_log(10, 5).unwrap(), []);
    assert_eq!(disk.commit(10, &logging(1)).unwrap(), 11);
    assert_eq!(disk.trim(11, 5).unwrap(), 1);
    disk.commit(11, &Group::default()).unwrap();
    assert_eq!(state(&mut disk), State::from([(entry(1), b"stays".to_vec())]));
    drop(disk);
    // The meta record and the entry: every chunk of the log is gone.
    rig.edit(|pairs| assert_eq!(pairs.len(), 2));
    assert_eq!(rig.open().unwrap().info().first_log, 12);
}

pub(super) fn reopening_gives_the_same<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    let mut head = 0;
    for n in 0..20 {
        let mut group = logging(n % 3);
        group.put(entry(n as u128), bytes(n * 700));
        head = disk.commit(head, &group).unwrap();
    }
    let before = (state(&mut disk), still(&disk), disk.read_log(0, 100).unwrap());
    for _ in 0..3 {
        drop(disk);
        disk = rig.open().unwrap();
        assert_eq!((state(&mut disk), still(&disk), disk.read_log(0, 100).unwrap()), before);
    }
}

pub(super) fn the_second_opener_is_refused<R: Rig>() {
    let rig = R::new();
    let first = rig.open().unwrap();
    match rig.open().err() {
        Some(Error::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    rig.open().unwrap();
}

pub(super) fn damage_is_named<R: Rig>() {
    let long = entry(0xabc);
    let link = RecordKey::Link { target: "scim".into(), object: id(5) };
    for (what, name, raw) in [
        ("header", long.to_string(), key::chunk(&key::base(&long).unwrap(), 0)),
        ("last chunk", long.to_string(), key::chunk(&key::base(&long).unwrap(), 2)),
        ("link", link.to_string(), key::chunk(&key::base(&link).unwrap(), 0)),
        ("log", "log record 2".to_owned(), key::chunk(&key::log_base(2), 0)),
        ("meta", "meta record".to_owned(), Meta::key()),
    ] {
        for flip_last in [false, true] {
            let rig = R::new();
            let mut disk = rig.open().unwrap();
            let mut group = logging(3);
            group.put(long.clone(), bytes(10_000));
            group.put(link.clone(), b"linked".to_vec());
            disk.commit(0, &group).unwrap();
            drop(disk);
            rig.edit(|pairs| {
                let value = pairs.get_mut(&raw).unwrap();
                let at = if flip_last { value.len() - 1 } else { 0 };
                value[at] ^= 1;
            });
            let text = refusal(&rig);
            assert!(text.contains(&name), "{what} {flip_last}: {text}");
        }
    }
}

pub(super) fn missing_pieces_are_found<R: Rig>() {
    let entry_key = |n, chunk| key::chunk(&key::base(&entry(n)).unwrap(), chunk);
    for (what, raw, want) in [
        ("an entry", entry_key(1, 0), "entries 2, found were 1"),
        ("a first chunk", entry_key(2, 0), "no beginning"),
        ("a last chunk", entry_key(2, 1), "end is missing"),
        ("a middle log record", key::chunk(&key::log_base(2), 0), "log record 2"),
        ("the last log record", key::chunk(&key::log_base(3), 0), "log records up to 3"),
        ("the meta record", Meta::key(), "meta record is missing"),
    ] {
        let rig = R::new();
        let mut disk = rig.open().unwrap();
        let mut group = logging(3);
        group.put(entry(1), b"one".to_vec());
        group.put(entry(2), bytes(5_000));
        disk.commit(0, &group).unwrap();
        drop(disk);
        rig.edit(|pairs| {
            pairs.remove(&raw).unwrap();
        });
        let text = refusal(&rig);
        assert!(text.contains(want), "{what}: {text}");
        rig.edit(|pairs| {
            pairs.insert(raw.clone(), Vec::new());
        });
        refusal(&rig);
    }
}

pub(super) fn older_meta_is_found<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    disk.commit(0, &logging(1)).unwrap();
    drop(disk);
    let mut older = Vec::new();
    rig.edit(|pairs| older = pairs[&Meta::key()].clone());
    let mut disk = rig.open().unwrap();
    disk.commit(1, &logging(1)).unwrap();
    drop(disk);
    rig.edit(|pairs| {
        pairs.insert(Meta::key(), older);
    });
    match rig.open().err() {
        Some(Error::LostTail { head, expected_head, .. }) => {
            assert_eq!((head, expected_head), (1, 2));
        }
        other => panic!("{other:?}"),
    }
    // And one whose numbers are right, but not its sum: the record under it is an older one.
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    put(&mut disk, entry(1), b"older");
    let mut stale = Vec::new();
    drop(disk);
    rig.edit(|pairs| stale = pairs[&key::chunk(&key::base(&entry(1)).unwrap(), 0)].clone());
    let mut disk = rig.open().unwrap();
    put(&mut disk, entry(1), b"newer");
    drop(disk);
    rig.edit(|pairs| {
        pairs.insert(key::chunk(&key::base(&entry(1)).unwrap(), 0), stale);
    });
    let text = refusal(&rig);
    assert!(text.contains("sum of checksums"), "{text}");
}

pub(super) fn a_lost_tail_is_found<R: Rig>() {
    let rig = R::new();
    let mut disk = rig.open().unwrap();
    disk.commit(0, &logging(2)).unwrap();
    drop(disk);
    let copy = rig.copy();
    let mut disk = rig.open().unwrap();
    // No log record: the head alone would not find it.
    let mut group = Group::default();
    group.put(RecordKey::Cursor("scim".into()), vec![1]);
    disk.commit(2, &group).unwrap();
    drop(disk);
    rig.put_back(&copy);
    match rig.open().err() {
        Some(Error::LostTail { commits, expected_commits, head, expected_head }) => {
            assert_eq!((commits, expected_commits, head, expected_head), (1, 2, 2, 2));
        }
        other => panic!("{other:?}"),
    }
}

/// One step of the random test.
#[derive(Clone, Debug)]
enum Step {
    Commit { puts: Vec<(u8, u16)>, deletes: Vec<u8>, log: u8 },
    Trim { upto: u8, max: u8 },
    Reopen,
}

pub(super) fn random_operations<R: Rig>() {
    let step = prop_oneof![
        8 => (
            prop::collection::vec((0..12_u8, prop_oneof![0..50_u16, 4000..14_000_u16]), 0..6),
            prop::collection::vec(0..12_u8, 0..4),
            0..4_u8,
        )
            .prop_map(|(puts, deletes, log)| Step::Commit { puts, deletes, log }),
        2 => (0..40_u8, 0..8_u8).prop_map(|(upto, max)| Step::Trim { upto, max }),
        1 => Just(Step::Reopen),
    ];
    let steps = prop::collection::vec(step, 1..30);
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps, |steps| {
            follow::<R>(steps);
            Ok(())
        })
        .unwrap();
}

fn follow<R: Rig>(steps: Vec<Step>) {
    let rig = R::new();
    let mut disk = Some(rig.open().unwrap());
    let mut model = State::new();
    let mut log: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut head = 0;
    for (round, step) in steps.into_iter().enumerate() {
        let open = disk.as_mut().unwrap();
        match step {
            Step::Commit { puts, deletes, log: many } => {
                let mut group = Group::default();
                for n in deletes {
                    model.remove(&name(n));
                    group.delete(name(n));
                }
                for (n, len) in puts {
                    let value = vec![round as u8; len.into()];
                    model.insert(name(n), value.clone());
                    group.put(name(n), value);
                }
                for n in 0..many {
                    let record = vec![n; usize::from(n) * 3000 + round];
                    log.insert(head + u64::from(n) + 1, record.clone());
                    group.log(record);
                }
                head = open.commit(head, &group).unwrap();
            }
            Step::Trim { upto, max } => {
                let gone: Vec<u64> = log.range(..=u64::from(upto)).map(|(n, _)| *n).take(max.into()).collect();
                assert_eq!(open.trim(upto.into(), max.into()).unwrap(), gone.len());
                log.retain(|n, _| !gone.contains(n));
            }
            Step::Reopen => {
                drop(disk.take());
                disk = Some(rig.open().unwrap());
            }
        }
        let open = disk.as_mut().unwrap();
        assert_eq!(state(open), model);
        let info = open.info();
        assert_eq!(info.head, head);
        assert_eq!(info.first_log, log.keys().next().copied().unwrap_or(head + 1));
        assert_eq!(info.entries as usize, model.keys().filter(|k| matches!(k, RecordKey::Entry(_))).count());
        let read = open.read_log(info.first_log - 1, 1000).unwrap();
        assert_eq!(read, log.clone().into_iter().collect::<Vec<_>>());
    }
}

pub(super) fn state(disk: &mut impl Disk) -> State {
    let mut state = State::new();
    disk.load(&mut |key, value| {
        assert!(state.insert(key, value.to_vec()).is_none());
        Ok(())
    })
    .unwrap();
    state
}

pub(super) fn put(disk: &mut impl Disk, key: RecordKey, value: &[u8]) {
    let mut group = Group::default();
    group.put(key, value.to_vec());
    disk.commit(disk.info().head, &group).unwrap();
}

/// A group of nothing but log records.
pub(super) fn logging(many: usize) -> Group {
    Group { log: (0..many).map(|n| format!("record {n}").into_bytes()).collect(), ..Group::default() }
}

pub(super) fn entry(n: u128) -> RecordKey {
    RecordKey::Entry(id(n))
}

/// The info without its size on disk, which moves by itself.
fn still(disk: &impl Disk) -> Info {
    Info { bytes_on_disk: 0, ..disk.info() }
}

/// How a damaged store is refused: at the latest by the end of the load.
fn refusal<R: Rig>(rig: &R) -> String {
    let result = rig.open().and_then(|mut disk| disk.load(&mut |_, _| Ok(())));
    match result {
        Err(error @ Error::Corrupt { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn name(n: u8) -> RecordKey {
    match n % 4 {
        0 | 1 => entry(n.into()),
        2 => RecordKey::Link { target: "t".into(), object: id(n.into()) },
        _ => RecordKey::Cursor(format!("c{n}").into()),
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}
