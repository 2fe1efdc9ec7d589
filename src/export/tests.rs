//! The mapping, on entries of a real directory.

use super::{
    mapping::{self, ENTERPRISE, Rules},
    target::Document,
};
use crate::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{Directory, Identities, Op, Options, Relations, Snapshot, default_indexes},
    dn::Dn,
    lifecycle::Career,
    limits::Limits,
    schema::{Schema, Sources},
    store::MemDisk,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

/// One entry at the top of a directory of its own.
async fn entry(suffix: &str, attrs: &[(&str, &[&[u8]])]) -> Arc<Snapshot> {
    let schema = Arc::new(Schema::compile(&Sources::shipped()).unwrap());
    let rule: RuleDef = serde_yaml::from_str("{name: all, who: [admin], rights: all}").unwrap();
    let suffix = Dn::parse(suffix).unwrap();
    let options = Options {
        suffix: suffix.clone(),
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
    let values = |list: &[&[u8]]| list.iter().map(|v| v.to_vec()).collect();
    let attrs = attrs.iter().map(|(name, list)| ((*name).into(), values(list))).collect();
    let admin = Identity::Admin { dn: "cn=admin".into() };
    directory.submit(&admin, Op::Add { dn: suffix, attrs }).await.unwrap();
    directory.read()
}

fn user(snapshot: &Snapshot, rules: &Rules, active: Option<bool>, manager: Option<&str>) -> Document {
    let node = snapshot.root().unwrap();
    let mut doc = mapping::user(node, &snapshot.schema, rules, active, manager).unwrap();
    assert_eq!(doc.remove("externalId"), Some(Value::String(node.entry.uuid.to_string())));
    doc
}

fn doc(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

const CLASSES: &[&[u8]] = &[b"inetOrgPerson", b"eduPerson", b"supannPerson"];

#[tokio::test]
async fn a_full_person() {
    let snapshot = entry(
        "uid=amartin",
        &[
            ("objectClass", CLASSES),
            ("uid", &[b"other", b"amartin"]),
            ("cn", &["Zoé Martin".as_bytes()]),
            ("sn", &[b"Martin"]),
            ("givenName", &["Zoé".as_bytes()]),
            ("supannCivilite", &[b"Mme"]),
            ("eduPersonPrimaryAffiliation", &[b"staff"]),
            ("mail", &[b"z@x.example", b"zoe@x.example"]),
            ("supannAutreMail", &[b"zoe@x.example"]),
            ("homePhone", &[b"+33 1"]),
            ("telephoneNumber", &[b"+33 2"]),
            ("mobile", &[b"+33 3"]),
            ("postalAddress", &[b"1 rue A$99000 B \\24 c"]),
            ("l", &[b"Valmont"]),
            ("labeledURI", &[b"https://x.example/ Page"]),
            ("supannEmpId", &[b"42"]),
            ("o", &[b"UVAL"]),
            ("ou", &[b"DSI"]),
            ("userCertificate;binary", &[&[1, 2, 3]]),
        ],
    )
    .await;
    let expected = json!({
        "schemas": [mapping::USER, ENTERPRISE],
        "userName": "amartin",
        "name": {"formatted": "Zoé Martin", "familyName": "Martin", "givenName": "Zoé", "honorificPrefix": "Mme"},
        "displayName": "Zoé Martin",
        "userType": "staff",
        "profileUrl": "https://x.example/",
        "active": false,
        "emails": [
            {"value": "z@x.example", "type": "work", "primary": true},
            {"value": "zoe@x.example", "type": "other"},
        ],
        "phoneNumbers": [{"value": "+33 2", "type": "work"}, {"value": "+33 3", "type": "mobile"}],
        "addresses": [{"type": "work", "formatted": "1 rue A\n99000 B $ c", "locality": "Valmont"}],
        "x509Certificates": [{"value": "AQID"}],
        ENTERPRISE: {"employeeNumber": "42", "organization": "UVAL", "division": "DSI", "manager": {"value": "m1"}},
    });
    assert_eq!(user(&snapshot, &Rules::default(), Some(false), Some("m1")), doc(expected));
}

#[tokio::test]
async fn private_attributes_and_the_extension_are_by_choice() {
    let snapshot = entry(
        "uid=a",
        &[
            ("objectClass", CLASSES),
            ("uid", &[b"a"]),
            ("cn", &[b"A B"]),
            ("sn", &[b"B"]),
            ("mail", &[b"a@x.example"]),
            ("homePhone", &[b"+33 1"]),
            ("o", &[b"UVAL"]),
        ],
    )
    .await;
    let rules = Rules { user_name: "mail".into(), enterprise: false, private: BTreeSet::from(["homephone".into()]) };
    let expected = json!({
        "schemas": [mapping::USER],
        "userName": "a@x.example",
        "name": {"formatted": "A B", "familyName": "B"},
        "displayName": "A B",
        "emails": [{"value": "a@x.example", "type": "work", "primary": true}],
        "phoneNumbers": [{"value": "+33 1", "type": "home"}],
    });
    assert_eq!(user(&snapshot, &rules, None, Some("m1")), doc(expected));
}

#[tokio::test]
async fn who_is_not_to_be_published_keeps_phones_and_addresses() {
    let snapshot = entry(
        "uid=a",
        &[
            ("objectClass", CLASSES),
            ("uid", &[b"a"]),
            ("cn", &[b"A B"]),
            ("sn", &[b"B"]),
            ("telephoneNumber", &[b"+33 2"]),
            ("l", &[b"Valmont"]),
            ("supannListeRouge", &[b"TRUE"]),
        ],
    )
    .await;
    let doc = user(&snapshot, &Rules::default(), Some(true), None);
    assert_eq!((doc.get("phoneNumbers"), doc.get("addresses")), (None, None));
}

#[tokio::test]
async fn without_a_name_there_is_no_user() {
    let snapshot = entry("cn=A B", &[("objectClass", CLASSES), ("cn", &[b"A B"]), ("sn", &[b"B"])]).await;
    let lacking = mapping::user(snapshot.root().unwrap(), &snapshot.schema, &Rules::default(), None, None).unwrap_err();
    assert_eq!(lacking.to_string(), "the entry has no uid, which the target needs as userName");
}

#[tokio::test]
async fn a_group_holds_the_ids_of_its_members() {
    let class: &[&[u8]] = &[b"groupOfNames"];
    let snapshot = entry("cn=g", &[("objectClass", class), ("cn", &[b"g"]), ("member", &[b"uid=a"])]).await;
    let node = snapshot.root().unwrap();
    let ids = BTreeSet::from(["2".to_owned(), "1".to_owned()]);
    let expected = json!({
        "schemas": [mapping::GROUP],
        "externalId": node.entry.uuid.to_string(),
        "displayName": "g",
        "members": [{"value": "1"}, {"value": "2"}],
    });
    assert_eq!(mapping::group(node, &snapshot.schema, &ids).unwrap(), doc(expected));
}
