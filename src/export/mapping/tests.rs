//! Maps on entries of a real directory: each file of `tests/golden/mapping` holds entries, what a
//! target's map says, and the document that comes of it.

use super::{Asked, ENTERPRISE, Form, Found, Layer, MAP, Map, Mapping, SUPANN, SUPANN_GROUP, built_in};
use crate::{
    access::{Access, Identity, RuleDef},
    clock::{self, Timestamp},
    directory::{Directory, Identities, Op, Options, Relations, Snapshot, default_indexes},
    dn::Dn,
    entry::ldif::{Reader, RecordKind},
    export::{drop, four_me, qmplus, target::Resource},
    lifecycle::Career,
    limits::Limits,
    schema::{Schema, Sources},
    store::MemDisk,
};
use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    entries: String,
    /// The entry that is mapped, and as what.
    of: String,
    #[serde(default = "user")]
    resource: Resource,
    #[serde(default = "scim")]
    form: String,
    #[serde(default)]
    map: Map,
    #[serde(default)]
    private: Vec<SmolStr>,
    #[serde(default)]
    supann: bool,
    #[serde(default = "yes")]
    enterprise: bool,
    active: Option<bool>,
    #[serde(default = "now")]
    now: String,
    /// What the target calls entries that it has.
    #[serde(default)]
    linked: BTreeMap<String, String>,
    document: Option<Value>,
    fault: Option<String>,
}

fn user() -> Resource {
    Resource::User
}

fn scim() -> String {
    "scim".to_owned()
}

fn yes() -> bool {
    true
}

fn now() -> String {
    "20260101000000Z".to_owned()
}

const SUFFIX: &str = "dc=example,dc=org";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::compile(&Sources::shipped()).unwrap())
}

/// A tree with places for people and groups, and these entries.
async fn tree(entries: &str) -> Arc<Snapshot> {
    let schema = schema();
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [admin], rights: all}").unwrap();
    let options = Options {
        suffix: Dn::parse(SUFFIX).unwrap(),
        access: Arc::new(Access::bind(&[rule], "", &schema).unwrap()),
        career: Arc::new(Career::shipped(&schema).unwrap()),
        identities: Identities::default(),
        relations: Relations::default(),
        schema,
        indexes: default_indexes(),
        targets: Vec::new(),
        limits: Arc::new(Limits::default()),
        clock: clock::system(),
    };
    let (directory, _writer) = Directory::start(MemDisk::new(Uuid::nil()).unwrap(), options).unwrap();
    let admin = Identity::Admin { dn: "cn=admin".into() };
    let places = format!(
        "dn: {SUFFIX}\nobjectClass: organization\nobjectClass: dcObject\ndc: example\no: Example\n\n\
         dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=groups,{SUFFIX}\nobjectClass: organizationalUnit\nou: groups\n\n"
    );
    let text = format!("{places}{entries}");
    let mut reader = Reader::new(text.as_bytes());
    while let Some(record) = reader.next_record() {
        let record = record.unwrap();
        let RecordKind::Add(attrs) = record.kind else { panic!("{}: expected content", record.dn) };
        let op = Op::Add { dn: Dn::parse(&record.dn).unwrap(), attrs };
        directory.submit(&admin, op).await.unwrap_or_else(|e| panic!("{}: {e}", record.dn));
    }
    directory.read()
}

fn mapping(case: &Case) -> Mapping {
    let over = Layer { map: &case.map, own: true };
    let mapping = match case.form.as_str() {
        "scim" => Mapping::scim(&[over]),
        "structured" => Mapping::layered(Form::Structured, std::iter::once(&over)),
        "flat" => Mapping::layered(Form::Flat, std::iter::once(&over)),
        other => panic!("form {other}"),
    };
    let mapping = mapping.unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    let mapping = mapping
        .with_private(&case.private)
        .with_extension(ENTERPRISE, case.enterprise)
        .with_extension(SUPANN, case.supann)
        .with_extension(SUPANN_GROUP, case.supann);
    assert_eq!(mapping.faults(&schema()), Vec::<String>::new());
    mapping
}

async fn check(name: &str, case: Case) {
    let snapshot = tree(&case.entries).await;
    let find = |name: &str| snapshot.find_dn(&Dn::parse(name).unwrap()).unwrap_or_else(|| panic!("no {name}"));
    let ids: BTreeMap<Uuid, (Resource, String)> = case
        .linked
        .iter()
        .map(|(dn, id)| {
            let resource = if dn.contains("ou=groups") { Resource::Group } else { Resource::User };
            (find(dn).entry.uuid, (resource, id.clone()))
        })
        .collect();
    let linked = |uuid: Uuid| ids.get(&uuid).cloned();
    let node = find(&case.of);
    let now = Timestamp::parse_generalized_time(&case.now).unwrap();
    let asked = Asked { snapshot: &snapshot, node, active: case.active, now, linked: &linked };
    let made = mapping(&case).document(case.resource, &asked, &mut Found::default());
    match (made, case.document, case.fault) {
        (Ok(document), Some(expected), None) => {
            let text = Value::Object(document).to_string().replace(&node.entry.uuid.to_string(), "UUID");
            let made: Value = serde_json::from_str(&text).unwrap();
            let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
            assert_eq!(pretty(&made), pretty(&expected), "{name}");
        }
        (Err(lacking), None, Some(expected)) => assert_eq!(lacking.to_string(), expected, "{name}"),
        (made, _, _) => panic!("{name}: {made:?}"),
    }
}

#[tokio::test]
async fn every_case_makes_its_document() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mapping");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the cases were not found");
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        check(&name, case).await;
    }
}

#[test]
fn the_built_in_maps_are_whole_and_name_what_the_schema_has() {
    for (form, map, users) in [
        (Form::Scim, built_in(MAP), 30),
        (Form::Structured, built_in(qmplus::MAP), 5),
        (Form::Flat, built_in(four_me::MAP), 10),
        (Form::Flat, built_in(drop::MAP), 10),
        (Form::Structured, built_in(drop::MAP), 10),
    ] {
        let layer = Layer { map: &map, own: true };
        let mapping = Mapping::layered(form, std::iter::once(&layer)).unwrap();
        assert!(mapping.lines(Resource::User).count() > users);
        let faults = mapping.faults(&schema());
        assert!(faults.iter().all(|fault| fault.contains("is private")), "{faults:#?}");
    }
}

#[test]
fn every_fault_of_a_map_is_named() {
    for (map, expected) in [
        ("{usrs: {}}", "unknown field `usrs`"),
        ("{users: {title: {atribute: x}}}", "unknown field `atribute`"),
        ("{users: {title: [a]}}", "the name of an attribute"),
        ("{users: {title: a, title: b}}", "'title' stands here twice"),
        ("{users: {'a b': cn}}", "users.a b: expected a path"),
        ("{users: {title: {}}}", "users.title: expected one of attribute, all"),
        ("{users: {title: {all: cn, constant: x}}}", "users.title: expected one of attribute, all"),
        ("{users: {title: {constant: [x]}}}", "users.title: constant: expected a text"),
        ("{users: {title: {first_of: []}}}", "users.title: expected at least one"),
        ("{users: {title: {first_of: [{all: cn, private: true}]}}}", "stand beside the whole expression"),
        ("{users: {title: {attribute: cn, then: [{capture: '('}]}}}", "users.title: capture:"),
        ("{users: {title: {attribute: cn, then: [wash]}}}", "unknown variant `wash`"),
        ("{users: {timezone: null}}", "users.timezone: expected an expression; there is nothing to remove"),
        ("{users: {title: nosuch}}", "users.title: 'nosuch' is not an attribute type"),
        ("{users: {title: userPassword}}", "users.title: 'userPassword' is secret"),
        ("{users: {title: memberOf}}", "users.title: 'memberOf' is kept by the server"),
        ("{users: {title: supannCodeINE}}", "users.title: 'supannCodeINE' is private: expected private: true"),
        ("{users: {title: {reference: manager, attribute: homePhone}}}", "'homePhone' is private"),
        ("{users: {title: {first_of: [title, cn], direction: both}}}", "users.title: direction:"),
        ("{users: {title: {attribute: title, direction: up}}}", "unknown variant `up`"),
        ("{users: {'a[].b': {attribute: cn, on: create}}}", "users.a[].b: on: create"),
    ] {
        let faults = match serde_yaml::from_str::<Map>(map) {
            Err(error) => vec![error.to_string()],
            Ok(map) => match Mapping::scim(&[Layer { map: &map, own: true }]) {
                Err(faults) => faults,
                Ok(mapping) => mapping.faults(&schema()),
            },
        };
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{map}: {faults:?}");
    }
}

#[test]
fn reconciliation_learns_what_the_lines_say() {
    let map: Map = serde_yaml::from_str(
        "{users: {title: {attribute: title, direction: pull}, nickName: {attribute: uid, direction: no-sync, recon_key: true}}}",
    )
    .unwrap();
    let mapping = Mapping::scim(&[Layer { map: &map, own: true }]).unwrap();
    let keys: Vec<&str> = mapping.lines(Resource::User).filter(|l| l.recon_key).map(|l| l.text.as_str()).collect();
    assert_eq!(keys, ["externalId", "userName", "nickName"]);
    let pulled: Vec<_> = mapping.lines(Resource::User).filter(|l| l.direction.pulls()).map(|l| l.attribute()).collect();
    assert_eq!(pulled, [Some(&SmolStr::new("title"))]);
    assert!(!mapping.columns(Resource::User).any(|column| column == "title" || column == "nickName"));
}
