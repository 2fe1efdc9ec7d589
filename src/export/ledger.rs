//! The provisioning log: one line of JSON for each request to a target, with both ids and the names of
//! the attributes that changed, and never a value. The newest lines are in memory as well.

use super::target::Resource;
use crate::clock::Clock;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    future::Future,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// One request, as it was answered or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Line {
    /// RFC 3339.
    pub time: String,
    pub request: Uuid,
    /// The entryUUID.
    pub object: Option<Uuid>,
    pub resource: Option<Resource>,
    pub remote_id: Option<String>,
    /// In the words of the protocol: `POST`, `modify`, `commit`.
    pub action: String,
    /// Without the query, which holds values.
    pub path: String,
    /// A status or a result code; `None` if no answer came.
    pub status: Option<u16>,
    /// Names of the attributes that were sent.
    pub attributes: Vec<String>,
    pub elapsed_us: u64,
    pub error: Option<String>,
}

tokio::task_local! {
    static SUBJECT: (Uuid, Resource);
}

/// What `work` asks of the target is asked for this object.
pub async fn on_behalf_of<F: Future>(object: Uuid, resource: Resource, work: F) -> F::Output {
    SUBJECT.scope((object, resource), work).await
}

/// Clones write to the same log.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    target: SmolStr,
    clock: Clock,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    newest: VecDeque<Line>,
    file: Option<Pages>,
}

/// The file that is written to, and how long it is.
struct Pages {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Ledger {
    /// In `folder`, which is made if it is not there; without one, in memory only.
    pub fn open(target: &SmolStr, folder: Option<&Path>, clock: Clock) -> Self {
        let file = folder.and_then(|folder| {
            let pages = Pages::open(folder.join(format!("{target}.jsonl")));
            pages.map_err(|error| tracing::error!(export = %target, %error, "the provisioning log cannot be kept")).ok()
        });
        let newest = file.as_ref().map(|pages| tail(&pages.path)).unwrap_or_default();
        Ledger(Arc::new(Inner { target: target.clone(), clock, book: Mutex::new(Book { newest, file }) }))
    }

    /// Writes a line; time, request id and, if it is not said, the object are filled in.
    pub fn note(&self, mut line: Line) {
        line.time = (self.0.clock)().rfc3339();
        line.request = Uuid::new_v4();
        if line.object.is_none()
            && let Ok((object, resource)) = SUBJECT.try_with(|subject| *subject)
        {
            line.object = Some(object);
            line.resource = Some(resource);
        }
        let mut book = self.book();
        if let Some(pages) = &mut book.file
            && let Err(error) = pages.write(&line)
        {
            tracing::error!(export = %self.0.target, %error, "the provisioning log cannot be written any more");
            book.file = None;
        }
        if book.newest.len() >= NEWEST {
            book.newest.pop_front();
        }
        book.newest.push_back(line);
    }

    /// The newest lines, the newest last; of one object (by its own id or the target's) if one is named.
    pub fn newest(&self, object: Option<Uuid>, most: usize) -> Vec<Line> {
        let book = self.book();
        let wanted = book.newest.iter().rev().filter(|line| object.is_none() || line.object == object);
        let mut lines: Vec<Line> = wanted.take(most).cloned().collect();
        lines.reverse();
        lines
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Names of people may be in ids and errors: it is for the owner.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Pages { path, file, bytes })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        if self.bytes >= FILE_BYTES {
            self.turn_over()?;
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// `x.jsonl` becomes `x.jsonl.1`, and so on up to the oldest that is kept.
    fn turn_over(&mut self) -> io::Result<()> {
        let aged = |age: u32| self.path.with_extension(format!("jsonl.{age}"));
        for age in (1..OLD_FILES).rev() {
            if aged(age).exists() {
                fs::rename(aged(age), aged(age + 1))?;
            }
        }
        fs::rename(&self.path, aged(1))?;
        *self = Pages::open(std::mem::take(&mut self.path))?;
        Ok(())
    }
}

/// The last lines of a file of an earlier process.
fn tail(path: &Path) -> VecDeque<Line> {
    let mut newest = VecDeque::new();
    let Ok(file) = File::open(path) else { return newest };
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str(&line) else { continue };
        if newest.len() >= NEWEST {
            newest.pop_front();
        }
        newest.push_back(line);
    }
    newest
}

/// Lines in memory.
const NEWEST: usize = 2_000;
const FILE_BYTES: u64 = 32 << 20;
const OLD_FILES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn clock() -> Clock {
        Arc::new(|| Timestamp::from_secs(1_000_000_000))
    }

    #[tokio::test]
    async fn lines_name_their_object_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let object = Uuid::from_u128(7);
        let ledger = Ledger::open(&"t".into(), Some(folder.path()), clock());
        ledger.note(Line { action: "GET".into(), ..Line::default() });
        on_behalf_of(object, Resource::User, async {
            ledger.note(Line { action: "POST".into(), status: Some(201), ..Line::default() });
        })
        .await;
        let again = Ledger::open(&"t".into(), Some(folder.path()), clock());
        for ledger in [ledger, again] {
            assert_eq!(ledger.newest(None, 9).len(), 2);
            let lines = ledger.newest(Some(object), 9);
            let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
            assert_eq!((line.action.as_str(), line.status), ("POST", Some(201)));
            assert_eq!(line.time, "2001-09-09T01:46:40.000Z");
        }
    }

    #[test]
    fn a_full_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut pages = Pages::open(folder.path().join("t.jsonl")).unwrap();
        for _ in 0..6 {
            pages.bytes = FILE_BYTES;
            pages.write(&Line::default()).unwrap();
        }
        let mut names: Vec<String> =
            fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["t.jsonl", "t.jsonl.1", "t.jsonl.2", "t.jsonl.3", "t.jsonl.4"]);
    }
}
