//! The load: connections that add, modify and delete, and what they know of each entry.

use crate::support::{SUFFIX, Server};
use ldap3::{Ldap, LdapError, Mod, Scope, SearchEntry};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

const CONNECTIONS: usize = 8;
/// Entries of one connection; small enough that most writes meet an entry that is there.
const ENTRIES: u64 = 12;

/// A version of an entry; 0 stands for no entry.
type Version = u64;

/// What happened to one entry: each attempt in its order, and how many of them were answered.
#[derive(Clone, Debug, Default)]
struct History {
    attempts: Vec<Version>,
    answered: usize,
}

type Book = Arc<Mutex<BTreeMap<String, History>>>;

pub struct Load {
    book: Book,
    chance: Chance,
    acknowledged: Arc<Mutex<(u64, u64)>>,
}

/// Connections under way.
pub struct Running(Vec<JoinHandle<()>>);

/// How many attempts of each entry had been made and answered at one time.
pub type Marks = HashMap<String, Mark>;

#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    made: usize,
    answered: usize,
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub compared: usize,
    pub lost: Vec<String>,
    pub half: Vec<String>,
}

impl Verdict {
    pub fn add(&mut self, other: &Verdict) {
        self.compared += other.compared;
        self.lost.extend(other.lost.iter().cloned());
        self.half.extend(other.half.iter().cloned());
    }

    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.half.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} comparisons, lost {}, half {}", self.compared, self.lost.len(), self.half.len())
    }
}

/// Small random numbers, another sequence in each run.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn base() -> String {
    format!("ou=people,{SUFFIX}")
}

fn dn(key: &str) -> String {
    format!("uid={key},{}", base())
}

/// Every attribute says the version; the long one takes several chunks of the store.
fn attributes(key: &str, version: Version) -> Vec<(String, HashSet<String>)> {
    let one = |name: &str, value: String| (name.to_owned(), HashSet::from([value]));
    let long = format!("{version} {}", "x".repeat(usize::try_from(version % 9).unwrap() * 1500));
    vec![
        one("objectClass", "inetOrgPerson".to_owned()),
        one("uid", key.to_owned()),
        one("cn", version.to_string()),
        one("sn", version.to_string()),
        one("employeeNumber", version.to_string()),
        one("description", long),
    ]
}

impl Load {
    pub fn new() -> Self {
        let seed = uuid::Uuid::new_v4().as_u128() as u64 | 1;
        Load { book: Book::default(), chance: Chance(seed), acknowledged: Arc::default() }
    }

    /// The place for the entries.
    pub async fn prepare(&self, server: &Server) {
        let mut ldap = server.admin().await;
        let attrs = vec![("objectClass", HashSet::from(["organizationalUnit"])), ("ou", HashSet::from(["people"]))];
        ldap.add(&base(), attrs).await.unwrap().success().unwrap();
    }

    pub async fn start(&mut self, server: &Server) -> Running {
        let mut tasks = Vec::new();
        for connection in 0..CONNECTIONS {
            let worker = Worker {
                ldap: server.admin().await,
                connection,
                book: Arc::clone(&self.book),
                acknowledged: Arc::clone(&self.acknowledged),
                chance: Chance(self.chance.below(u64::MAX) | 1),
            };
            tasks.push(tokio::spawn(worker.run()));
        }
        Running(tasks)
    }

    /// A random while of load: the one place where a test of this crate has to let time pass, for
    /// the moment of the cut must not depend on anything the server does.
    pub async fn pause(&mut self, from: Duration, to: Duration) {
        let spread = u64::try_from((to - from).as_micros()).unwrap();
        tokio::time::sleep(from + Duration::from_micros(self.chance.below(spread))).await;
    }

    pub fn marks(&self) -> Marks {
        let mark = |history: &History| Mark { made: history.attempts.len(), answered: history.answered };
        self.book.lock().unwrap().iter().map(|(key, history)| (key.clone(), mark(history))).collect()
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.lock().unwrap().0
    }

    pub fn counts(&self) -> String {
        let (answered, refused) = *self.acknowledged.lock().unwrap();
        assert_eq!(refused, 0, "a write was refused: the load and the server disagree about an entry");
        format!("{answered} acknowledged writes")
    }

    /// After a cut with nobody writing: what is there now is where the entries go on from.
    pub async fn compare(&mut self, server: &Server) -> Verdict {
        let marks = self.marks();
        let (verdict, found) = self.judge(server, &marks, &marks).await;
        for (key, history) in self.book.lock().unwrap().iter_mut() {
            let now = found.get(key).copied().unwrap_or(0);
            *history = History { attempts: vec![now], answered: 1 };
        }
        verdict
    }

    /// After a cut between two moments, while the writers go on elsewhere.
    pub async fn compare_between(&self, server: &Server, before: &Marks, after: &Marks) -> Verdict {
        self.judge(server, before, after).await.0
    }

    async fn judge(&self, server: &Server, before: &Marks, after: &Marks) -> (Verdict, HashMap<String, Version>) {
        let mut verdict = Verdict::default();
        let found = read(server, &mut verdict).await;
        let book = self.book.lock().unwrap();
        for (key, history) in book.iter() {
            verdict.compared += 1;
            let at = |marks: &Marks| marks.get(key).copied().unwrap_or_default();
            let (answered, made) = (at(before).answered, at(after).made);
            let there = found.get(key).copied().unwrap_or(0);
            let from = answered.checked_sub(1).map(|last| history.attempts[last]).unwrap_or(0);
            let allowed = there == from || history.attempts[answered..made].contains(&there);
            if !allowed {
                verdict.lost.push(format!("{key}: holds {there}, was answered {from}"));
            }
        }
        let unknown = found.keys().filter(|key| !book.contains_key(*key));
        verdict.lost.extend(unknown.map(|key| format!("{key}: nobody wrote it")));
        (verdict, found)
    }
}

/// The version of each entry; an entry of two versions, or with a part missing, is half.
async fn read(server: &Server, verdict: &mut Verdict) -> HashMap<String, Version> {
    let mut ldap = server.admin().await;
    let result = ldap.search(&base(), Scope::OneLevel, "(uid=*)", vec!["*"]).await.unwrap();
    let (entries, _) = result.success().unwrap();
    let mut found = HashMap::new();
    for entry in entries {
        let entry = SearchEntry::construct(entry);
        let value = |name: &str| entry.attrs.get(name).and_then(|v| v.first()).cloned().unwrap_or_default();
        let key = value("uid");
        let version: Version = value("cn").parse().unwrap_or(0);
        let whole = attributes(&key, version).iter().all(|(name, values)| {
            *name == "objectClass"
                || (entry.attrs.get(name.as_str()).map(|v| v.len()) == Some(1) && values.contains(&value(name)))
        });
        if version == 0 || !whole {
            verdict.half.push(format!("{}: cn {:?} sn {:?}", entry.dn, value("cn"), value("sn")));
        }
        found.insert(key, version);
    }
    found
}

impl Running {
    /// The connections end when the server is gone.
    pub async fn ended(self) {
        for task in self.0 {
            tokio::time::timeout(Duration::from_secs(30), task).await.expect("a writer hangs").unwrap();
        }
    }
}

struct Worker {
    ldap: Ldap,
    connection: usize,
    book: Book,
    acknowledged: Arc<Mutex<(u64, u64)>>,
    chance: Chance,
}

impl Worker {
    async fn run(mut self) {
        while self.step().await.is_ok() {}
    }

    /// One write, noted before and after. An error is the end of the connection.
    async fn step(&mut self) -> Result<(), LdapError> {
        let key = format!("c{}e{}", self.connection, self.chance.below(ENTRIES));
        let delete = self.chance.below(8) == 0;
        let (before, next) = self.attempt(&key, delete);
        let dn = dn(&key);
        let answer = match (before, next) {
            (0, version) => self.ldap.add(&dn, attributes(&key, version)).await?,
            (_, 0) => self.ldap.delete(&dn).await?,
            (_, version) => {
                let changes = attributes(&key, version).into_iter().skip(2);
                self.ldap.modify(&dn, changes.map(|(name, values)| Mod::Replace(name, values)).collect()).await?
            }
        };
        if answer.rc == 0 {
            let mut book = self.book.lock().unwrap();
            let history = book.get_mut(&key).unwrap();
            history.answered = history.attempts.len();
            self.acknowledged.lock().unwrap().0 += 1;
        } else {
            self.acknowledged.lock().unwrap().1 += 1;
        }
        Ok(())
    }

    /// Notes what is about to be tried: the version there is, and the one that follows.
    fn attempt(&mut self, key: &str, delete: bool) -> (Version, Version) {
        let mut book = self.book.lock().unwrap();
        let history = book.entry(key.to_owned()).or_default();
        let before = history.attempts.last().copied().unwrap_or(0);
        // Versions are never used again, so that an old one cannot pass for a new one.
        let next = if delete && before != 0 { 0 } else { 1 + self.chance.below(u64::MAX >> 2) };
        history.attempts.push(next);
        (before, next)
    }
}
