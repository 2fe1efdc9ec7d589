//! The data folder around the database: its lock, its leftovers, and the mark of the last commit.
//!
//! Nothing here reads or writes the database itself.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Error;
use super::meta::Meta;

/// Makes the folder if it is missing, for our eyes only: it will hold password hashes.
pub(super) fn create(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(Error::io(format!("creating the data folder {}", folder.display())))
}

/// Holds the folder for this process, as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, and leaves our process id in the file for the error of whoever comes second.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        let doing = || format!("locking {}", path.display());
        let mut file = private().read(true).truncate(false).open(&path).map_err(Error::io(doing()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may not have written it yet: then the pid stays unknown.
                let _ = file.take(32).read_to_string(&mut text);
                return Err(Error::Locked { folder: folder.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(doing())(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(Error::io(doing()))?;
        Ok(Self { _file: file })
    }
}

/// Sets half-written snapshots of sled aside, which it would stumble over.
///
/// They hold nothing that the log does not hold. One is kept for whoever looks into it, under a
/// name that does not begin with `snap.`, because sled reads every such file.
pub(super) fn set_leftovers_aside(folder: &Path) -> Result<usize, Error> {
    let doing = || format!("looking for leftovers in {}", folder.display());
    let mut found = 0_usize;
    for item in fs::read_dir(folder).map_err(Error::io(doing()))? {
        let item = item.map_err(Error::io(doing()))?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::rename(item.path(), folder.join(ASIDE)).map_err(Error::io(doing()))?;
            tracing::warn!(file = %name, "a half-written snapshot of the store was set aside");
            found = found.saturating_add(1);
        }
    }
    Ok(found)
}

/// The paths whose directory entries must be durable before a new store counts as created.
pub(super) fn parents(folder: &Path) -> [PathBuf; 2] {
    let parent = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => folder.to_owned(),
    };
    [folder.to_owned(), parent]
}

/// The space that the files of the folder take, holes not counted.
pub(super) fn bytes_on_disk(folder: &Path) -> u64 {
    let Ok(list) = fs::read_dir(folder) else {
        return 0;
    };
    // A file may vanish while we look: it then takes no space.
    list.filter_map(|item| item.ok()?.metadata().ok())
        .map(|meta| meta.blocks().saturating_mul(512))
        .fold(0, u64::saturating_add)
}

/// The space that an ordinary process may still fill.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A file beside the database that says how far answered commits have come.
///
/// It is what finds a tail that was cut off, or an older database file that was put in the place of
/// the newer one: the database alone cannot know. It is written after the sync of each commit and
/// never synced itself, so it costs nothing and can lag behind after a power cut, but never lead.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    seen: Option<Seen>,
    existed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    store_id: Uuid,
    commits: u64,
    head: u64,
}

impl Mark {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(MARK);
        let doing = || format!("reading {}", path.display());
        let file = private().read(true).truncate(false).open(&path).map_err(Error::io(doing()))?;
        let mut bytes = Vec::with_capacity(MARK_LEN);
        (&file).take(MARK_LEN as u64).read_to_end(&mut bytes).map_err(Error::io(doing()))?;
        let existed = !bytes.is_empty();
        let seen = decode(&bytes);
        if existed && seen.is_none() {
            tracing::warn!(file = %path.display(), "the mark of the last commit is unreadable and starts anew");
        }
        Ok(Self { file, seen, existed })
    }

    /// Refuses a database that is older than what was answered.
    pub(super) fn check(&self, meta: Option<&Meta>) -> Result<(), Error> {
        match (self.seen, meta) {
            (Some(seen), Some(meta)) if seen.store_id != meta.store_id => Err(Error::Corrupt {
                what: format!(
                    "the database is of store {}, the file {MARK} beside it of store {}",
                    meta.store_id, seen.store_id
                ),
            }),
            (Some(seen), _) => {
                let commits = meta.map_or(0, |meta| meta.commits);
                if commits >= seen.commits && meta.is_some() {
                    return Ok(());
                }
                Err(Error::LostTail {
                    commits,
                    head: meta.map_or(0, |meta| meta.head),
                    expected_commits: seen.commits,
                    expected_head: seen.head,
                })
            }
            (None, None) if self.existed => {
                Err(Error::Corrupt { what: format!("the database is empty, and the file {MARK} says that it was not") })
            }
            (None, _) => Ok(()),
        }
    }

    pub(super) fn write(&self, meta: &Meta) -> io::Result<()> {
        self.file.write_all_at(&encode(meta), 0)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

fn encode(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(MARK_LEN);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(meta.store_id.as_bytes());
    out.extend_from_slice(&meta.commits.to_be_bytes());
    out.extend_from_slice(&meta.head.to_be_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Seen> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (commits, rest) = rest.split_first_chunk::<8>()?;
    Some(Seen {
        store_id: Uuid::from_bytes(*id),
        commits: u64::from_be_bytes(*commits),
        head: u64::from_be_bytes(rest.try_into().ok()?),
    })
}

/// How we make files: readable for nobody else, for they hold password hashes.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

const LOCK: &str = "vestibule.lock";
const MARK: &str = "vestibule.mark";
const ASIDE: &str = "set-aside.snapshot";
const MAGIC: &[u8; 8] = b"VESTMRK1";
const MARK_LEN: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(commits: u64) -> Meta {
        Meta { commits, head: 7, ..Meta::new(Uuid::from_u128(5)) }
    }

    #[test]
    fn the_second_one_learns_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        let pid = std::process::id();
        let text = error.to_string();
        assert!(
            text.contains("another process has this data folder open") && text.contains(&format!("pid {pid}")),
            "{text}"
        );
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn half_written_snapshots_go_aside_and_whole_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["snap.00A1.generating", "snap.00A1", "db"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(set_leftovers_aside(folder.path()).unwrap(), 1);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["db", ASIDE, "snap.00A1"]);
    }

    #[test]
    fn a_mark_finds_an_older_database() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::open(folder.path()).unwrap();
        mark.check(None).unwrap();
        mark.check(Some(&meta(1))).unwrap();
        mark.write(&meta(10)).unwrap();
        let mark = Mark::open(folder.path()).unwrap();
        mark.check(Some(&meta(10))).unwrap();
        mark.check(Some(&meta(11))).unwrap();
        for (what, found) in [("older", Some(meta(9))), ("empty", None)] {
            let error = mark.check(found.as_ref()).unwrap_err();
            assert!(matches!(error, Error::LostTail { expected_commits: 10, expected_head: 7, .. }), "{what}: {error}");
        }
        let error = mark.check(Some(&Meta::new(Uuid::nil()))).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn an_unreadable_mark_is_no_proof_but_an_empty_database_beside_it_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARK), "rubbish").unwrap();
        let mark = Mark::open(folder.path()).unwrap();
        mark.check(Some(&meta(1))).unwrap();
        let error = mark.check(None).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn parents_of_a_bare_name_are_here() {
        let [folder, parent] = parents(Path::new("data"));
        assert_eq!((folder, parent), ("data".into(), ".".into()));
    }

    #[test]
    fn sizes_are_known() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        fs::write(folder.path().join("db"), vec![1; 100_000]).unwrap();
        assert!(bytes_on_disk(folder.path()) >= 100_000);
    }
}
