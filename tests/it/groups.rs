//! Random groups, nested, in circles and dynamic: memberOf as value, filters on it by plan and by
//! a look at every entry, and chains must all be what a search by brute force over the plain
//! relation gives.

use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{
        self, Directory, GroupOptions, Identities, Op, Relations, Scope, Search, Snapshot, Step, View, Visit, Writer,
        default_indexes,
    },
    dn::Dn,
    entry::ModKind,
    filter::{self, Filter},
    lifecycle::Career,
    limits::Limits,
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

const SUFFIX: &str = "dc=example,dc=org";
const PEOPLE: u8 = 5;
const ALL: u8 = 12;

/// Entries below `PEOPLE` are people, the others groups.
#[derive(Clone, Debug)]
struct World {
    /// The type of each person.
    types: Vec<u8>,
    /// Whom each group names, with `member` or (true) with `uniqueMember`.
    groups: Vec<(BTreeSet<u8>, bool)>,
    /// The type whose people the group takes, too.
    urls: Vec<Option<u8>>,
}

fn worlds() -> impl Strategy<Value = World> {
    let groups = usize::from(ALL - PEOPLE);
    let group = (prop::collection::btree_set(0..ALL, 0..4), any::<bool>());
    (
        prop::collection::vec(0..3u8, usize::from(PEOPLE)),
        prop::collection::vec(group, groups),
        prop::collection::vec(prop::option::weighted(0.25, 0..3u8), groups),
    )
        .prop_map(|(types, groups, urls)| World { types, groups, urls })
}

fn name(n: u8) -> String {
    if n < PEOPLE { format!("uid=p{n},{SUFFIX}") } else { format!("cn=g{n},{SUFFIX}") }
}

fn start(nested: bool) -> (Arc<Directory>, Writer) {
    let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [anyone], rights: all}").unwrap();
    let options = directory::Options {
        suffix: Dn::parse(SUFFIX).unwrap(),
        career: Arc::new(Career::shipped(&schema).unwrap()),
        identities: Identities::default(),
        relations: Relations { groups: GroupOptions { nested, ..GroupOptions::default() }, ..Relations::default() },
        access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
        indexes: default_indexes(),
        targets: Vec::new(),
        limits: Arc::new(Limits::default()),
        clock: clock::system(),
        schema,
    };
    Directory::start(MemDisk::open(&Platter::new(), uuid::Uuid::from_u128(7)).unwrap(), options).unwrap()
}

async fn add(directory: &Directory, dn: &str, attrs: &[(&str, Vec<String>)]) {
    let filled = attrs.iter().filter(|(_, values)| !values.is_empty());
    let attrs = filled.map(|(n, v)| ((*n).into(), v.iter().map(|v| v.clone().into_bytes()).collect())).collect();
    directory.submit(&Identity::Server, Op::Add { dn: Dn::parse(dn).unwrap(), attrs }).await.unwrap();
}

/// People and empty groups first, members afterwards, so that every name is there.
async fn fill(directory: &Directory, world: &World) {
    let one = |text: &str| vec![text.to_owned()];
    add(directory, SUFFIX, &[("objectClass", vec!["organization".into(), "dcObject".into()]), ("o", one("x"))]).await;
    for (n, kind) in (0..PEOPLE).zip(&world.types) {
        let attrs = [("objectClass", one("inetOrgPerson")), ("cn", one("x")), ("sn", one("x"))];
        let kind = ("employeeType", vec![format!("t{kind}")]);
        add(directory, &name(n), &[attrs[0].clone(), attrs[1].clone(), attrs[2].clone(), kind]).await;
    }
    for (n, url) in (PEOPLE..ALL).zip(&world.urls) {
        let classes = vec!["groupOfURLs".to_owned(), "extensibleObject".to_owned()];
        let url = url.iter().map(|t| format!("ldap:///{SUFFIX}??sub?(employeeType=t{t})")).collect();
        add(directory, &name(n), &[("objectClass", classes), ("memberURL", url)]).await;
    }
    for (n, (members, unique)) in (PEOPLE..ALL).zip(&world.groups) {
        let attr = if *unique { "uniqueMember" } else { "member" };
        let values: Vec<Vec<u8>> = members.iter().map(|m| name(*m).to_uppercase().into_bytes()).collect();
        if !values.is_empty() {
            let changes = vec![(ModKind::Add, attr.into(), values)];
            let op = Op::Modify { dn: Dn::parse(&name(n)).unwrap(), changes };
            directory.submit(&Identity::Server, op).await.unwrap();
        }
    }
}

/// Who names whom: group to members. With `chain`, as the attribute `member` has it alone.
fn edges(world: &World, chain: bool) -> BTreeSet<(u8, u8)> {
    let mut edges = BTreeSet::new();
    for ((n, (members, unique)), url) in (PEOPLE..ALL).zip(&world.groups).zip(&world.urls) {
        if !chain || !unique {
            edges.extend(members.iter().map(|m| (n, *m)));
        }
        let typed = (0..PEOPLE).zip(&world.types).filter(|(_, t)| Some(**t) == *url);
        edges.extend(typed.map(|(m, _)| (n, m)));
    }
    edges
}

fn closed(edges: &BTreeSet<(u8, u8)>) -> BTreeSet<(u8, u8)> {
    let mut all = edges.clone();
    loop {
        let more: BTreeSet<_> = all
            .iter()
            .flat_map(|(a, b)| edges.iter().filter(move |(c, _)| c == b).map(move |(_, d)| (*a, *d)))
            .collect();
        let before = all.len();
        all.extend(more);
        if all.len() == before {
            return all;
        }
    }
}

fn number(dn: &str) -> Option<u8> {
    dn.split(',').next()?.trim_start_matches("uid=p").trim_start_matches("cn=g").parse().ok()
}

fn by_plan(snapshot: &Arc<Snapshot>, directory: &Directory, text: &str) -> BTreeSet<u8> {
    let filter = Filter::bind(&filter::parse(text).unwrap(), &snapshot.schema);
    let grants = directory.access.grants(&Identity::Anonymous);
    let search = Search {
        base: Dn::parse(SUFFIX).unwrap(),
        scope: Scope::Subordinates,
        filter: filter.into(),
        visit: Visit::default(),
    };
    let mut hits = search.begin(Arc::clone(snapshot), &grants).unwrap();
    let mut found = BTreeSet::new();
    loop {
        match hits.step(&grants) {
            Step::Found(node) => assert!(found.insert(number(&snapshot.dn_text(&node)).unwrap())),
            Step::Passed | Step::Reference(_) => {}
            Step::End => return found,
        }
    }
}

fn by_scan(snapshot: &Snapshot, text: &str) -> BTreeSet<u8> {
    let filter = Filter::bind(&filter::parse(text).unwrap(), &snapshot.schema);
    let matching = snapshot.walk().filter(|n| filter.matches(&View::unrestricted(snapshot, n), &snapshot.schema));
    matching.filter_map(|node| number(&snapshot.dn_text(node))).collect()
}

fn check(directory: &Directory, world: &World, nested: bool) {
    let snapshot = directory.read();
    let direct = edges(world, false);
    let shown = if nested { closed(&direct) } else { direct.clone() };
    let shown: BTreeSet<_> = shown.into_iter().filter(|(group, member)| group != member).collect();
    let mut values: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
    for node in snapshot.walk() {
        let named = View::unrestricted(&snapshot, node).computed(snapshot.schema.known.member_of);
        if let Some(n) = number(&snapshot.dn_text(node)) {
            values.insert(n, named.iter().map(|v| number(&String::from_utf8_lossy(v)).unwrap()).collect());
        }
    }
    let groups_of = |n: u8| shown.iter().filter(|(_, member)| *member == n).map(|(group, _)| *group).collect();
    assert_eq!(values, (0..ALL).map(|n| (n, groups_of(n))).collect());

    let agree = |text: &str, expected: BTreeSet<u8>| {
        assert_eq!(by_plan(&snapshot, directory, text), expected, "by plan: {text}");
        assert_eq!(by_scan(&snapshot, text), expected, "by scan: {text}");
    };
    let without = |set: &BTreeSet<u8>| (0..ALL).filter(|n| !set.contains(n)).collect::<BTreeSet<u8>>();
    let everywhere: BTreeSet<_> = closed(&direct).into_iter().filter(|(group, member)| group != member).collect();
    let chain = closed(&edges(world, true));
    for n in 0..ALL {
        let members: BTreeSet<u8> = shown.iter().filter(|(group, _)| *group == n).map(|(_, m)| *m).collect();
        agree(&format!("(memberOf={})", name(n)), members.clone());
        agree(&format!("(!(memberOf={}))", name(n)), without(&members));
        agree(&format!("(|(uid=p0)(memberOf={}))", name(n)), members.iter().copied().chain([0]).collect());
        let all = everywhere.iter().filter(|(group, _)| *group == n).map(|(_, m)| *m).collect();
        agree(&format!("(memberOf:1.2.840.113556.1.4.1941:={})", name(n)), all);
        let holding: BTreeSet<u8> = chain.iter().filter(|(_, member)| *member == n).map(|(group, _)| *group).collect();
        agree(&format!("(member:1.2.840.113556.1.4.1941:={})", name(n)), holding.clone());
        agree(&format!("(!(member:1.2.840.113556.1.4.1941:={}))", name(n)), without(&holding));
        let naming =
            edges(world, true).into_iter().filter(|(_, member)| *member == n).map(|(group, _)| group).collect();
        agree(&format!("(member={})", name(n)), naming);
    }
    agree("(memberOf=*)", (0..ALL).filter(|n| !groups_of(*n).is_empty()).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn membership_is_its_model(world in worlds(), nested in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (directory, writer) = start(nested);
            fill(&directory, &world).await;
            check(&directory, &world, nested);
            drop(directory);
            writer.join();
        });
    }
}
