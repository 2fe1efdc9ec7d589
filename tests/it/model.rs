//! Random operations against a plain map, and random filters with and without the indexes: the
//! directory and its model must agree, before and after a restart.

use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{
        self, Directory, Error, Identities, Op, Relations, Scope, Search, Step, Visit, Writer, default_indexes,
    },
    dn::{Dn, Rdn},
    entry::ModKind,
    filter::{self, Filter},
    lifecycle::{Career, Release},
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

const SUFFIX: &str = "dc=example,dc=org";

/// What the model knows of an entry: its mails and description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Person {
    mails: BTreeSet<String>,
    description: Option<String>,
}

#[derive(Clone, Debug)]
enum Step1 {
    Add(u8, Vec<u8>),
    Delete(u8),
    AddMail(u8, u8),
    DropMail(u8, u8),
    Describe(u8, Option<u8>),
    Rename(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step1>> {
    let name = 0..12u8;
    let mail = 0..6u8;
    prop::collection::vec(
        prop_oneof![
            3 => (name.clone(), prop::collection::vec(mail.clone(), 0..3)).prop_map(|(n, m)| Step1::Add(n, m)),
            1 => name.clone().prop_map(Step1::Delete),
            2 => (name.clone(), mail.clone()).prop_map(|(n, m)| Step1::AddMail(n, m)),
            2 => (name.clone(), mail).prop_map(|(n, m)| Step1::DropMail(n, m)),
            2 => (name.clone(), prop::option::of(0..4u8)).prop_map(|(n, d)| Step1::Describe(n, d)),
            1 => (name.clone(), name).prop_map(|(a, b)| Step1::Rename(a, b)),
        ],
        1..40,
    )
}

fn options() -> directory::Options {
    let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [anyone], rights: all}").unwrap();
    let access = Access::bind(&[rule], SUFFIX, &schema).unwrap();
    directory::Options {
        suffix: Dn::parse(SUFFIX).unwrap(),
        career: Arc::new(Career::shipped(&schema).unwrap()),
        identities: Identities {
            bases: vec![schema.dn_value_key(&format!("ou=people,{SUFFIX}")).unwrap()],
            release: Release::Automatic,
            ..Identities::default()
        },
        access: Arc::new(access),
        relations: Relations::default(),
        indexes: default_indexes(),
        targets: Vec::new(),
        limits: Arc::new(Limits::default()),
        clock: clock::system(),
        schema,
    }
}

fn start(platter: &Platter) -> (Arc<Directory>, Writer) {
    let disk = MemDisk::open(platter, uuid::Uuid::from_u128(7)).unwrap();
    Directory::start(disk, options()).unwrap()
}

fn dn(n: u8) -> Dn {
    Dn::parse(&format!("uid=u{n},ou=people,{SUFFIX}")).unwrap()
}

fn mail(n: u8) -> String {
    format!("m{n}@example.org")
}

async fn submit(directory: &Directory, op: Op) -> Result<(), Error> {
    directory.submit(&Identity::Server, op).await.map(drop)
}

fn attrs(list: &[(&str, Vec<String>)]) -> Vec<(smol_str::SmolStr, Vec<Vec<u8>>)> {
    list.iter().map(|(n, v)| ((*n).into(), v.iter().map(|v| v.clone().into_bytes()).collect())).collect()
}

async fn base(directory: &Directory) {
    for (name, values) in [
        (SUFFIX.to_owned(), vec![("objectClass", vec!["organization", "dcObject"]), ("o", vec!["x"])]),
        (format!("ou=people,{SUFFIX}"), vec![("objectClass", vec!["organizationalUnit"])]),
    ] {
        let attrs = attrs(
            &values.into_iter().map(|(n, v)| (n, v.into_iter().map(str::to_owned).collect())).collect::<Vec<_>>(),
        );
        submit(directory, Op::Add { dn: Dn::parse(&name).unwrap(), attrs }).await.unwrap();
    }
}

/// Applies one step to both and checks that they agree on whether it is possible.
async fn apply(directory: &Directory, model: &mut BTreeMap<u8, Person>, step: &Step1) {
    let modify = |n: u8, kind, name: &str, values: Vec<String>| Op::Modify {
        dn: dn(n),
        changes: vec![(kind, name.into(), values.into_iter().map(String::into_bytes).collect())],
    };
    match step {
        Step1::Add(n, mails) => {
            let mails: BTreeSet<String> = mails.iter().map(|m| mail(*m)).collect();
            let mut list = vec![
                ("objectClass", vec!["inetOrgPerson".to_owned()]),
                ("cn", vec![format!("Person {n}")]),
                ("sn", vec![format!("S{}", n % 3)]),
            ];
            if !mails.is_empty() {
                list.push(("mail", mails.iter().cloned().collect()));
            }
            let result = submit(directory, Op::Add { dn: dn(*n), attrs: attrs(&list) }).await;
            assert_eq!(result.is_ok(), !model.contains_key(n), "{step:?}: {result:?}");
            model.entry(*n).or_insert(Person { mails, description: None });
        }
        Step1::Delete(n) => {
            let result = submit(directory, Op::Delete { dn: dn(*n) }).await;
            assert_eq!(result.is_ok(), model.remove(n).is_some(), "{step:?}: {result:?}");
        }
        Step1::AddMail(n, m) => {
            // In capitals: equal all the same.
            let result = submit(directory, modify(*n, ModKind::Add, "mail", vec![mail(*m).to_uppercase()])).await;
            let possible = model.get_mut(n).is_some_and(|p| p.mails.insert(mail(*m)));
            assert_eq!(result.is_ok(), possible, "{step:?}: {result:?}");
        }
        Step1::DropMail(n, m) => {
            let result = submit(directory, modify(*n, ModKind::Delete, "mail", vec![mail(*m)])).await;
            let possible = model.get_mut(n).is_some_and(|p| p.mails.remove(&mail(*m)));
            assert_eq!(result.is_ok(), possible, "{step:?}: {result:?}");
        }
        Step1::Describe(n, text) => {
            let values: Vec<String> = text.iter().map(|t| format!("d{t}")).collect();
            let result = submit(directory, modify(*n, ModKind::Replace, "description", values.clone())).await;
            assert_eq!(result.is_ok(), model.contains_key(n), "{step:?}: {result:?}");
            if let Some(person) = model.get_mut(n) {
                person.description = values.into_iter().next();
            }
        }
        Step1::Rename(a, b) => {
            let op = Op::Rename {
                dn: dn(*a),
                new_rdn: Rdn::parse(&format!("uid=u{b}")).unwrap(),
                delete_old: true,
                new_superior: None,
            };
            let result = submit(directory, op).await;
            let possible = model.contains_key(a) && (a == b || !model.contains_key(b));
            assert_eq!(result.is_ok(), possible, "{step:?}: {result:?}");
            if possible && let Some(person) = model.remove(a) {
                model.insert(*b, person);
            }
        }
    }
}

/// The people of the directory, as the model would hold them.
fn people(directory: &Directory) -> BTreeMap<u8, Person> {
    let snapshot = directory.read();
    let id = |name: &str| snapshot.schema.attr_id(name).unwrap();
    let found = snapshot.walk().filter_map(|node| {
        let uid = node.entry.text(id("uid"))?;
        assert_eq!(snapshot.dn_text(node), format!("uid={uid},ou=people,{SUFFIX}"));
        let mails = node.entry.values(id("mail")).map(|v| String::from_utf8_lossy(v).to_lowercase()).collect();
        let description = node.entry.text(id("description")).map(str::to_owned);
        Some((uid.strip_prefix('u')?.parse().ok()?, Person { mails, description }))
    });
    found.collect()
}

const FILTERS: &[&str] = &[
    "(uid=u1)",
    "(mail=M2@example.org)",
    "(mail=m*@example.org)",
    "(mail=*2@*)",
    "(&(sn=s1)(objectClass=person))",
    "(|(sn=s1)(mail=m1@example.org)(uid=u3))",
    "(&(objectClass=inetOrgPerson)(!(description=*)))",
    "(!(mail=m1@example.org))",
    "(|(unknownAttribute=x)(sn=S2))",
    "(&(unknownAttribute=x)(sn=S2))",
    "(!(unknownAttribute=x))",
    "(description=d1)",
    "(&)",
    "(|)",
    "(name=person 1)",
    "(entryDN=uid=u2,ou=people,dc=example,dc=org)",
    "(&(uid=*)(modifyTimestamp>=20200101000000Z))",
    "(ou:dn:=people)",
    "(uid:caseExactMatch:=u4)",
    "(hasSubordinates=TRUE)",
];

/// Every search by plan finds what a look at every entry finds.
fn searches_agree(directory: &Directory) {
    let snapshot = directory.read();
    let grants = directory.access.grants(&Identity::Anonymous);
    for text in FILTERS {
        let filter = Filter::bind(&filter::parse(text).unwrap(), &snapshot.schema);
        let by_scan: BTreeSet<String> = snapshot
            .walk()
            .filter(|node| filter.matches(&directory::View::unrestricted(&snapshot, node), &snapshot.schema))
            .map(|node| snapshot.dn_text(node))
            .collect();
        let search = Search {
            base: Dn::parse(SUFFIX).unwrap(),
            scope: Scope::Subtree,
            filter: filter.into(),
            visit: Visit::default(),
        };
        let mut hits = search.begin(Arc::clone(&snapshot), &grants).unwrap();
        let mut by_plan = BTreeSet::new();
        loop {
            match hits.step(&grants) {
                Step::Found(node) => assert!(by_plan.insert(snapshot.dn_text(&node)), "{text}: found twice"),
                Step::Passed | Step::Reference(_) => {}
                Step::End => break,
            }
        }
        assert_eq!(by_plan, by_scan, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_directory_is_its_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let platter = Platter::new();
            let (directory, writer) = start(&platter);
            base(&directory).await;
            let mut model = BTreeMap::new();
            for step in &steps {
                apply(&directory, &mut model, step).await;
            }
            assert_eq!(people(&directory), model);
            searches_agree(&directory);
            let count = directory.read().len();
            drop(directory);
            writer.join();

            let (directory, writer) = start(&platter);
            assert_eq!(people(&directory), model, "after a restart");
            assert_eq!(directory.read().len(), count);
            searches_agree(&directory);
            drop(directory);
            writer.join();
        });
    }
}

#[test]
fn a_name_printed_and_parsed_again_is_the_same() {
    proptest!(|(parts in prop::collection::vec(("[a-z]{1,5}", prop::collection::vec(any::<u8>(), 0..12)), 1..4))| {
        let rdns = parts.iter().rev().map(|(attr, value)| Rdn::single(attr, value));
        let dn = rdns.fold(Dn::ROOT, |dn, rdn| dn.child(rdn));
        let again = Dn::parse(&dn.to_string()).unwrap();
        prop_assert_eq!(&again, &dn);
        for (rdn, (_, value)) in again.rdns().iter().zip(&parts) {
            prop_assert_eq!(&*rdn.avas()[0].value, value.as_slice());
        }
    });
}

#[test]
fn a_failed_commit_refuses_writes_and_goes_on_reading() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let platter = Platter::new();
        let (directory, writer) = start(&platter);
        base(&directory).await;
        platter.fail(vestibule::store::mem_disk::Op::Sync, 1);
        let op = || Op::Add {
            dn: dn(1),
            attrs: attrs(&[
                ("objectClass", vec!["inetOrgPerson".into()]),
                ("cn", vec!["x".into()]),
                ("sn", vec!["x".into()]),
            ]),
        };
        assert!(matches!(submit(&directory, op()).await, Err(Error::Unavailable)));
        assert!(!directory.is_healthy());
        assert!(matches!(submit(&directory, op()).await, Err(Error::Unavailable)));
        assert_eq!(directory.read().len(), 2, "the last durable state is read on");
        drop(directory);
        writer.join();
    });
}
