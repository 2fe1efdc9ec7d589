//! A copy that follows the journal ends up equal to the directory, whatever happens to the tree in
//! between, and every single step that it is told can be applied.

use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use uuid::Uuid;
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{self, Directory, Identities, Interest, News, Op, Relations, Scope, Snapshot, default_indexes, news},
    dn::{Dn, Rdn},
    entry::ModKind,
    filter::{self, Filter},
    lifecycle::Career,
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

const SUFFIX: &str = "dc=example,dc=org";

/// Units by their path of letters below the suffix.
type Path = Vec<u8>;

#[derive(Clone, Debug)]
enum Act {
    Add(Path, u8),
    Delete(Path),
    Describe(Path, u8),
    Move(Path, u8, Option<Path>),
    /// Those before it become one commit, as far as the writer takes them together.
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let path = || prop::collection::vec(0..3u8, 1..4);
    prop::collection::vec(
        prop_oneof![
            5 => (path(), 0..3u8).prop_map(|(p, d)| Act::Add(p, d)),
            2 => path().prop_map(Act::Delete),
            2 => (path(), 0..3u8).prop_map(|(p, d)| Act::Describe(p, d)),
            3 => (path(), 0..3u8, prop::option::of(prop::collection::vec(0..3u8, 0..3)))
                .prop_map(|(p, n, s)| Act::Move(p, n, s)),
            2 => Just(Act::Look),
        ],
        1..60,
    )
}

fn dn(path: &[u8]) -> Dn {
    let mut text = String::new();
    path.iter().rev().for_each(|n| text.push_str(&format!("ou=u{n},")));
    Dn::parse(&format!("{text}{SUFFIX}")).unwrap()
}

fn start() -> Arc<Directory> {
    let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [anyone], rights: all}").unwrap();
    let access = Access::bind(&[rule], SUFFIX, &schema).unwrap();
    let options = directory::Options {
        suffix: Dn::parse(SUFFIX).unwrap(),
        career: Arc::new(Career::shipped(&schema).unwrap()),
        identities: Identities::default(),
        access: Arc::new(access),
        relations: Relations::default(),
        indexes: default_indexes(),
        targets: Vec::new(),
        limits: Arc::new(Limits::default()),
        clock: clock::system(),
        schema,
    };
    let disk = MemDisk::open(&Platter::default(), Uuid::from_u128(7)).unwrap();
    Directory::start(disk, options).unwrap().0
}

fn values(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|v| v.as_bytes().to_vec()).collect()
}

fn op(act: &Act) -> Option<Op> {
    Some(match act {
        Act::Add(path, d) => Op::Add {
            dn: dn(path),
            attrs: vec![
                ("objectClass".into(), values(&["organizationalUnit"])),
                ("description".into(), values(&[&d.to_string()])),
            ],
        },
        Act::Delete(path) => Op::Delete { dn: dn(path) },
        Act::Describe(path, d) => Op::Modify {
            dn: dn(path),
            changes: vec![(ModKind::Replace, "description".into(), values(&[&d.to_string()]))],
        },
        Act::Move(path, name, superior) => Op::Rename {
            dn: dn(path),
            new_rdn: Rdn::parse(&format!("ou=u{name}")).unwrap(),
            delete_old: true,
            new_superior: superior.as_ref().map(|s| dn(s)),
        },
        Act::Look => return None,
    })
}

struct Copy {
    interest: Interest,
    /// Where all entries are in it, the base: below it a superior must be there first.
    whole: Option<String>,
    entries: HashMap<Uuid, (String, Vec<u8>)>,
    /// All that it has ever held.
    ever: HashMap<Uuid, (String, Vec<u8>)>,
    seen: Arc<Snapshot>,
}

impl Copy {
    fn new(directory: &Directory, base: &str, filter: &str) -> Self {
        let seen = directory.read();
        let bound = Filter::bind(&filter::parse(filter).unwrap(), &seen.schema);
        let interest = Interest::new(&Dn::parse(base).unwrap(), Scope::Subtree, Arc::new(bound), &seen.schema);
        let mut copy = Copy {
            interest,
            whole: (filter == "(objectClass=*)").then(|| base.to_owned()),
            entries: HashMap::new(),
            ever: HashMap::new(),
            seen,
        };
        copy.entries = copy.truth(directory, &copy.seen);
        copy.ever = copy.entries.clone();
        copy
    }

    fn truth(&self, directory: &Directory, snapshot: &Snapshot) -> HashMap<Uuid, (String, Vec<u8>)> {
        let grants = directory.access.grants(&Identity::Anonymous);
        let seen = snapshot.walk().filter(|n| self.interest.sees(snapshot, n, &grants));
        seen.map(|n| (n.entry.uuid, (snapshot.dn_text(n), n.entry.body().to_vec()))).collect()
    }

    async fn follow(&mut self, directory: &Directory) {
        let now = directory.read();
        let changes = directory.changes(self.seen.head, now.head).await.unwrap();
        let grants = directory.access.grants(&Identity::Anonymous);
        for one in news(&changes, Some(&self.seen), &now, &self.interest, &grants) {
            match one {
                News::Gone { uuid, dn } => {
                    let (held, _) = self.entries.remove(&uuid).expect("what goes was there");
                    assert_eq!(Some(held), dn, "the name that the client knows");
                }
                News::Put { node, is_new } => {
                    let dn = now.dn_text(&node);
                    let uuid = node.entry.uuid;
                    assert_eq!(self.entries.contains_key(&uuid), !is_new, "{dn}");
                    let other = self.entries.iter().find(|(u, (name, _))| **u != uuid && *name == dn);
                    assert_eq!(other, None, "the name is free");
                    let superior = dn.split_once(',').unwrap().1;
                    if self.whole.as_ref().is_some_and(|base| *base != dn) {
                        assert!(self.entries.values().any(|(name, _)| name == superior), "{dn} has its superior");
                    }
                    self.entries.insert(uuid, (dn, node.entry.body().to_vec()));
                }
            }
        }
        self.seen = now;
        assert_eq!(self.entries, self.truth(directory, &self.seen));
        self.ever.extend(self.entries.clone());
    }
}

/// What a client gets that comes back with a cookie: no state from before, only the journal. It may
/// have been told of later states in part before it was cut off.
async fn resume(
    directory: &Directory,
    from: &Copy,
    held: &HashMap<Uuid, (String, Vec<u8>)>,
    (base, filter): (&str, &str),
) {
    let now = directory.read();
    let changes = directory.changes(from.seen.head, now.head).await.unwrap();
    let grants = directory.access.grants(&Identity::Anonymous);
    let mut entries: BTreeMap<Uuid, (String, Vec<u8>)> = held.clone().into_iter().collect();
    for one in news(&changes, None, &now, &from.interest, &grants) {
        match one {
            News::Gone { uuid, .. } => drop(entries.remove(&uuid)),
            News::Put { node, .. } => {
                drop(entries.insert(node.entry.uuid, (now.dn_text(&node), node.entry.body().to_vec())));
            }
        }
    }
    let fresh = Copy::new(directory, base, filter);
    assert_eq!(entries, fresh.entries.into_iter().collect(), "resumed: {base} {filter}");
}

const KINDS: [(&str, &str); 5] = [
    (SUFFIX, "(objectClass=*)"),
    (SUFFIX, "(description=1)"),
    ("ou=u0,dc=example,dc=org", "(objectClass=*)"),
    ("ou=u1,ou=u0,dc=example,dc=org", "(!(description=2))"),
    (SUFFIX, "(hasSubordinates=TRUE)"),
];

async fn run(acts: Vec<Act>) {
    let directory = start();
    let suffix = Op::Add {
        dn: Dn::parse(SUFFIX).unwrap(),
        attrs: vec![("objectClass".into(), values(&["organization", "dcObject"])), ("o".into(), values(&["x"]))],
    };
    directory.submit(&Identity::Server, suffix).await.unwrap();
    let fresh = || KINDS.map(|(base, filter)| Copy::new(&directory, base, filter));
    let (mut copies, origin) = (fresh(), fresh());
    let mut burst = Vec::new();
    for act in acts.iter().chain([&Act::Look]) {
        match op(act) {
            // Many of them are refused; what counts is what the others leave.
            Some(op) => burst.push(directory.submit(&Identity::Server, op)),
            None => {
                futures_util::future::join_all(burst.drain(..)).await;
                for copy in &mut copies {
                    copy.follow(&directory).await;
                }
            }
        }
    }
    // Whoever looks around gets everything anew.
    for ((copy, later), kind) in origin.iter().zip(&copies).zip(KINDS) {
        if !copy.interest.looks_around(&copy.seen) {
            resume(&directory, copy, &copy.entries, kind).await;
            resume(&directory, copy, &later.ever, kind).await;
        }
    }
}

#[tokio::test]
async fn what_left_with_its_superior_and_is_deleted_or_renamed_elsewhere_is_gone() {
    let (directory, base) = (start(), dn(&[0]).to_string());
    let submit = async |act: Act| directory.submit(&Identity::Server, op(&act).unwrap()).await.unwrap();
    let suffix = vec![("objectClass".into(), values(&["domain"])), ("dc".into(), values(&["example"]))];
    let suffix = Op::Add { dn: Dn::parse(SUFFIX).unwrap(), attrs: suffix };
    directory.submit(&Identity::Server, suffix).await.unwrap();
    for path in [&[0][..], &[1], &[0, 2], &[0, 2, 0], &[0, 2, 1], &[0, 2, 1, 0], &[0, 2, 2]] {
        submit(Act::Add(path.to_vec(), 0)).await;
    }
    let copy = Copy::new(&directory, &base, "(objectClass=*)");
    submit(Act::Move(vec![0, 2], 2, Some(vec![1]))).await;
    submit(Act::Delete(vec![1, 2, 0])).await;
    submit(Act::Move(vec![1, 2, 1], 0, Some(vec![1]))).await;
    resume(&directory, &copy, &copy.entries, (&base, "(objectClass=*)")).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_that_follows_is_equal(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(acts));
    }
}
