//! The battery on memory, and the faults that only memory can play.

use super::*;
use crate::store::RecordKey;
use crate::store::battery::{self, Rig, battery, entry, logging, put, state};

struct Memory(Platter);

impl Rig for Memory {
    type Disk = MemDisk;
    type Copy = (Pairs, Pairs);

    fn new() -> Self {
        Self(Platter::new())
    }

    fn open(&self) -> Result<MemDisk, Error> {
        MemDisk::open(&self.0, Uuid::nil())
    }

    fn edit(&self, change: impl FnOnce(&mut Pairs)) {
        let mut media = self.0.media();
        assert!(!media.open);
        change(&mut media.view);
        media.durable = media.view.clone();
    }

    fn copy(&self) -> Self::Copy {
        let media = self.0.media();
        (media.durable.clone(), media.view.clone())
    }

    fn put_back(&self, copy: &Self::Copy) {
        let mut media = self.0.media();
        (media.durable, media.view) = copy.clone();
    }
}

battery!(Memory);

fn disk() -> MemDisk {
    MemDisk::new(Uuid::nil()).unwrap()
}

#[test]
fn a_sync_stands_between_the_last_write_and_the_answer() {
    let mut disk = disk();
    disk.platter().take_ops();
    disk.commit(0, &logging(2)).unwrap();
    assert_eq!(disk.platter().take_ops(), [Op::Write, Op::Flush, Op::Sync, Op::Answer]);
    disk.trim(1, 9).unwrap();
    assert_eq!(disk.platter().take_ops(), [Op::Write]);
}

#[test]
fn a_power_cut_keeps_what_was_answered() {
    let mut disk = disk();
    put(&mut disk, entry(1), b"one");
    disk.commit(0, &logging(2)).unwrap();
    disk.trim(1, 9).unwrap();
    assert_eq!(disk.platter().pending(), 1);
    let mut after = disk.power_cut().unwrap();
    assert_eq!(state(&mut after), state(&mut disk));
    assert_eq!((after.info().first_log, after.info().head), (1, 2), "the trim was not durable");
    assert_eq!(disk.info().first_log, 2);
}

#[test]
fn a_failed_step_stops_writes_for_good_and_its_group_is_whole_or_absent() {
    for (op, pending) in [(Op::Write, 0), (Op::Flush, 1), (Op::Sync, 1)] {
        let mut disk = disk();
        put(&mut disk, entry(1), b"one");
        disk.platter().fail(op, 1);
        let mut group = logging(1);
        group.put(entry(1), b"changed".to_vec());
        group.put(entry(2), vec![2; 9000]);
        let error = disk.commit(0, &group).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{op:?}: {error}");
        disk.platter().take_ops();
        for _ in 0..2 {
            let error = disk.commit(0, &logging(1)).unwrap_err();
            assert!(matches!(error, Error::Poisoned), "{op:?}: {error}");
            assert!(matches!(disk.trim(1, 1), Err(Error::Poisoned)));
        }
        assert_eq!(disk.platter().take_ops(), [], "nothing may be tried again");
        assert_eq!(disk.info().head, 0);
        assert_eq!(disk.read_log(0, 9).unwrap(), []);
        assert_eq!(disk.platter().pending(), pending, "{op:?}");
        for kept in 0..=pending {
            let platter = disk.platter().power_cut_keeping(kept);
            let mut after = MemDisk::open(&platter, Uuid::nil()).unwrap();
            let found = state(&mut after);
            let (entries, head) = if kept == 0 { (1, 0) } else { (2, 1) };
            assert_eq!((found.len(), after.info().head), (entries, head), "{op:?} {kept}");
        }
    }
}

#[test]
fn the_nth_operation_fails() {
    let mut disk = disk();
    disk.platter().fail(Op::Sync, 3);
    disk.commit(0, &logging(1)).unwrap();
    disk.commit(1, &logging(1)).unwrap();
    assert!(matches!(disk.commit(2, &logging(1)), Err(Error::Io { .. })));
}

#[test]
fn a_kill_keeps_the_cache_and_a_power_cut_does_not() {
    let mut disk = disk();
    disk.commit(0, &logging(3)).unwrap();
    disk.trim(2, 9).unwrap();
    let platter = disk.platter();
    drop(disk);
    let after = |platter: Platter| MemDisk::open(&platter, Uuid::nil()).unwrap().info().first_log;
    assert_eq!(after(platter.kill()), 3);
    assert_eq!(after(platter.power_cut()), 1);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let mut disk = disk();
    disk.platter().set_free(Some(10));
    let error = disk.commit(0, &logging(1)).unwrap_err();
    assert!(matches!(error, Error::NoSpace { free: 10, .. }) && error.refused(), "{error}");
    disk.platter().set_free(None);
    assert_eq!(disk.commit(0, &logging(1)).unwrap(), 1);
}

#[test]
fn what_the_visitor_says_is_answered() {
    let mut disk = disk();
    put(&mut disk, RecordKey::Cursor("a".into()), b"x");
    let error = disk.load(&mut |key, _| Err(Error::Corrupt { what: key.to_string() })).unwrap_err();
    assert!(error.to_string().contains("cursor a"), "{error}");
    assert_eq!(battery::state(&mut disk).len(), 1);
}
