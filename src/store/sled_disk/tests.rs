//! The battery on sled, and what only a real folder shows.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::store::battery::{Rig, battery, entry, logging, put, state};

struct Folder(TempDir);

impl Folder {
    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn raw(&self) -> sled::Db {
        let config = sled::Config::new().path(self.path()).flush_every_ms(None);
        open_patiently(&config, Duration::from_secs(20), &self.path()).unwrap()
    }

    /// Waits until the threads of an earlier `Db` have let go of the file.
    fn quiet(&self) -> File {
        let file = File::open(self.file("db")).unwrap();
        file.lock().unwrap();
        file
    }
}

impl Rig for Folder {
    type Disk = SledDisk;
    type Copy = TempDir;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Result<SledDisk, Error> {
        SledDisk::open(&self.path(), &options())
    }

    fn edit(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        let db = self.raw();
        let before: BTreeMap<_, _> =
            db.iter().map(|item| item.unwrap()).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        let mut after = before.clone();
        change(&mut after);
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            db.remove(key).unwrap();
        }
        for (key, value) in after {
            db.insert(key, value).unwrap();
        }
        db.flush().unwrap();
    }

    fn copy(&self) -> TempDir {
        let _quiet = self.quiet();
        let copy = tempfile::tempdir().unwrap();
        copy_files(&self.path(), copy.path());
        copy
    }

    fn put_back(&self, copy: &TempDir) {
        let _quiet = self.quiet();
        for item in fs::read_dir(self.path()).unwrap() {
            let item = item.unwrap();
            let name = item.file_name().into_string().unwrap();
            if item.file_type().unwrap().is_file() && !name.starts_with("vestibule.") {
                fs::remove_file(item.path()).unwrap();
            }
        }
        copy_files(copy.path(), &self.path());
    }
}

battery!(Folder);

fn copy_files(from: &Path, to: &Path) {
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let name = item.file_name().into_string().unwrap();
        if item.file_type().unwrap().is_file() && !name.starts_with("vestibule.") {
            fs::copy(item.path(), to.join(name)).unwrap();
        }
    }
}

fn options() -> Options {
    Options { cache_bytes: 8 << 20, free_space_floor: 0, ..Options::new(Uuid::from_u128(1)) }
}

/// A layer that notes each step and lets chosen ones fail.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    steps: Vec<&'static str>,
    fails: Option<&'static str>,
    free: Option<u64>,
}

impl Script {
    fn step(&self, name: &'static str) -> bool {
        let mut notes = self.0.lock().unwrap();
        notes.steps.push(name);
        notes.fails == Some(name)
    }

    fn io(&self, name: &'static str) -> io::Result<()> {
        if self.step(name) { Err(io::Error::other("scripted fault")) } else { Ok(()) }
    }

    fn fail(&self, name: Option<&'static str>) {
        self.0.lock().unwrap().fails = name;
    }

    fn steps(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().steps)
    }

    fn open(&self, folder: &Folder) -> SledDisk {
        SledDisk::open_on(&folder.path(), &options(), Box::new(self.clone())).unwrap()
    }
}

impl FileLayer for Script {
    fn apply(&self, db: &sled::Db, batch: sled::Batch) -> sled::Result<()> {
        self.io("apply")?;
        db.apply_batch(batch)
    }

    fn flush(&self, db: &sled::Db) -> sled::Result<()> {
        assert!(!self.step("panic"), "scripted panic");
        self.io("flush")?;
        db.flush().map(|_| ())
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.io("fdatasync")?;
        file.sync_data()
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.io("fsync")?;
        file.sync_all()
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        match self.0.lock().unwrap().free {
            Some(free) => Ok(free),
            None => folder::free_bytes(folder),
        }
    }
}

const COMMIT: [&str; 4] = ["apply", "panic", "flush", "fdatasync"];

#[test]
fn a_sync_stands_between_the_last_write_and_the_answer() {
    let folder = Folder::new();
    let script = Script::default();
    let mut disk = script.open(&folder);
    script.steps();
    for head in 0..3 {
        disk.commit(head, &logging(1)).unwrap();
        assert_eq!(script.steps(), COMMIT);
    }
    disk.trim(2, 9).unwrap();
    assert_eq!(script.steps(), ["apply"]);
}

#[test]
fn the_first_opening_syncs_files_and_folders_and_the_next_one_the_data() {
    let folder = Folder::new();
    let script = Script::default();
    drop(script.open(&folder));
    let first = ["fdatasync", "apply", "panic", "flush", "fdatasync"];
    // db, conf, the folder, its parent; then the mark, and the folder once more for its name.
    assert_eq!(script.steps(), [&first[..], &["fsync"; 6]].concat());
    drop(script.open(&folder));
    assert_eq!(script.steps(), ["fdatasync", "fdatasync"]);
}

#[test]
fn a_failed_step_stops_writes_for_good_and_is_not_tried_again() {
    for name in ["apply", "flush", "fdatasync", "panic"] {
        let folder = Folder::new();
        let script = Script::default();
        let mut disk = script.open(&folder);
        disk.commit(0, &logging(1)).unwrap();
        script.fail(Some(name));
        let error = disk.commit(1, &logging(1)).unwrap_err();
        assert!(!error.refused() && error.to_string().contains("scripted"), "{name}: {error}");
        script.fail(None);
        script.steps();
        for _ in 0..2 {
            let error = disk.commit(1, &logging(1)).unwrap_err();
            assert!(matches!(error, Error::Poisoned), "{name}: {error}");
            assert!(matches!(disk.trim(1, 1), Err(Error::Poisoned)), "{name}");
        }
        assert!(script.steps().is_empty(), "{name}: nothing may be tried again");
        // Reads go on, and show nothing that was not answered.
        assert_eq!(disk.read_log(0, 9).unwrap().len(), 1, "{name}");
        assert_eq!(disk.info().head, 1, "{name}");
        drop(disk);
        // A restart decides: the group is there as a whole or not at all.
        let mut disk = folder.open().unwrap();
        let head = disk.info().head;
        assert!(head == 1 || head == 2, "{name}: {head}");
        state(&mut disk);
        assert_eq!(disk.commit(head, &logging(1)).unwrap(), head + 1);
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let folder = Folder::new();
    let script = Script::default();
    let mut disk = script.open(&folder);
    disk.free_space_floor = 1000;
    script.0.lock().unwrap().free = Some(1100);
    script.steps();
    match disk.commit(0, &logging(1)) {
        Err(Error::NoSpace { free: 1100, floor }) => assert!(floor > 1100),
        other => panic!("{other:?}"),
    }
    assert!(script.steps().is_empty());
    script.0.lock().unwrap().free = None;
    assert_eq!(disk.commit(0, &logging(1)).unwrap(), 1);
}

#[test]
fn an_existing_store_keeps_its_id() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    let other = Options { new_store_id: Uuid::from_u128(2), ..options() };
    let disk = SledDisk::open(&folder.path(), &other).unwrap();
    assert_eq!(disk.info().store_id, Uuid::from_u128(1));
    assert!(disk.info().bytes_on_disk > 0);
}

#[test]
fn the_data_is_for_our_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    drop(folder.open().unwrap());
    for (name, want) in [("", 0o700), ("db", 0o600), ("vestibule.mark", 0o600), ("vestibule.lock", 0o600)] {
        let mode = fs::metadata(folder.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, want, "{name}");
    }
}

#[test]
fn a_half_written_snapshot_does_not_keep_the_store_closed() {
    let folder = Folder::new();
    let mut disk = folder.open().unwrap();
    put(&mut disk, entry(1), b"one");
    drop(disk);
    drop(folder.quiet());
    fs::write(folder.file("snap.0000000000000FFF.generating"), b"half").unwrap();
    let mut disk = folder.open().unwrap();
    assert_eq!(state(&mut disk).len(), 1);
}

#[test]
fn an_emptied_or_removed_database_is_not_taken_for_a_new_one() {
    for remove in [false, true] {
        let folder = Folder::new();
        let mut disk = folder.open().unwrap();
        put(&mut disk, entry(1), b"one");
        drop(disk);
        drop(folder.quiet());
        for item in fs::read_dir(folder.path()).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
        if remove {
            fs::remove_file(folder.file("db")).unwrap();
        } else {
            fs::write(folder.file("db"), b"").unwrap();
        }
        let error = folder.open().err().unwrap();
        assert!(matches!(error, Error::LostTail { commits: 0, expected_commits: 1, .. }), "{remove}: {error}");
    }
}

#[test]
fn a_cut_file_never_opens_as_if_nothing_were_missing() {
    let folder = Folder::new();
    let mut disk = folder.open().unwrap();
    for n in 0..200 {
        put(&mut disk, entry(n), &[n as u8; 3000]);
    }
    let before = state(&mut disk);
    drop(disk);
    let copy = folder.copy();
    let whole = fs::metadata(folder.file("db")).unwrap().len();
    for eighth in 1..8 {
        folder.put_back(&copy);
        let db = OpenOptions::new().write(true).open(folder.file("db")).unwrap();
        db.set_len(whole / 8 * eighth).unwrap();
        drop(db);
        let mut found = BTreeMap::new();
        let result = folder.open().and_then(|mut disk| {
            disk.load(&mut |key, value| {
                found.insert(key, value.to_vec());
                Ok(())
            })
        });
        match result {
            Ok(_) => assert_eq!(found, before, "{eighth}"),
            Err(Error::Corrupt { .. } | Error::LostTail { .. } | Error::Io { .. }) => {}
            Err(other) => panic!("{eighth}: {other}"),
        }
    }
}

#[test]
fn opening_has_a_limit() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    // The lock of sled, held by another than a process of ours, keeps the helper thread waiting.
    let _held = folder.quiet();
    let limit = Duration::from_millis(40);
    let error = SledDisk::open(&folder.path(), &Options { open_timeout: limit, ..options() }).err().unwrap();
    assert!(matches!(error, Error::Locked { pid: None, .. } | Error::Timeout { .. }), "{error}");
}
