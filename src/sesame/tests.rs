//! Documents to entries and back, by tables of bodies.

use super::*;
use crate::{
    entry::{Draft, ModKind},
    schema::{Attr, Sources},
};
use uuid::Uuid;

fn schema() -> Schema {
    Schema::compile(&Sources::shipped()).unwrap()
}

fn entry(body: &Body, schema: &Schema) -> Entry {
    let attrs = body.addition(schema);
    let attr =
        |(name, values): (smol_str::SmolStr, Vec<Vec<u8>>)| Attr { desc: schema.describe(&name).unwrap(), values };
    let mut draft = Draft { attrs: attrs.into_iter().map(attr).collect() };
    draft.complete_classes(schema);
    let facts = Facts { beside: body.beside.clone(), ..Facts::default() };
    let operational = Operational { facts: Some(Box::new(facts)), ..Operational::unwritten() };
    draft.seal(Uuid::nil(), operational, schema)
}

fn person(attrs: Value, additional: Value) -> Value {
    json!({PERSON: attrs, ADDITIONAL: additional})
}

fn supann(attrs: Value) -> Value {
    let who = json!({"cn": "Claire Noir", "sn": "Noir", "uid": "cnoir"});
    person(who, json!({CLASSES: ["supannPerson"], ATTRIBUTES: {"supannPerson": attrs}}))
}

#[test]
fn fingerprints_are_those_of_an_independent_computation() {
    // Made with Python: json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False).
    for (text, expected) in [
        ("{}", "c4851807e554b17b4bf83fb642500ebe4e1ecf7350fdafaf472a0d8a0975e1e1"),
        (
            r#"{"inetOrgPerson":{"cn":"É \"x\"","uid":"","employeeNumber":["2","1"],"extra":[]},
               "additionalFields":{"objectClasses":["supannPerson"],
               "attributes":{"supannPerson":{"n":1.0,"b":true,"l":[],"o":{}}},"validations":{"a":{"b":"c"}}},"state":2}"#,
            "88f755f44d741a62085170d64bedfe1c1e8053374d5341328165a0d1b6e263d0",
        ),
    ] {
        assert_eq!(fingerprint(&serde_json::from_str(text).unwrap()), expected, "{text}");
    }
}

/// Bodies that LDAP cannot hold to the letter, and plain ones.
fn bodies() -> Vec<Value> {
    let who = |more: Value| {
        let mut attrs = json!({"cn": "Claire Noir", "sn": "Noir", "uid": "cnoir"});
        attrs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        person(attrs, json!({CLASSES: [], ATTRIBUTES: {}}))
    };
    vec![
        who(json!({})),
        who(json!({"employeeNumber": ["12", "34"], "employeeType": "TAIGA", "departmentNumber": ["a"]})),
        who(json!({"employeeNumber": "12", "departmentNumber": [], "mobile": "", "title": null})),
        who(json!({"mail": "cnoir@valmont.example", "givenname": "Claire", "unknownThing": {"a": [1, 2.5]}})),
        who(json!({"mail": ["b@valmont.example", "a@valmont.example"], "jpegPhoto": "local:/photos/cnoir.jpg"})),
        who(json!({"mail": "née@valmont.example", "labeledURI": ["http://a", "HTTP://A", "http://a"]})),
        supann(json!({"supannCivilite": "Mme", "supannEtuId": ["1"], "supannCodeINE": "1", "supannListeRouge": true})),
        supann(json!({"supannCivilite": 3, "supannEmpId": 12, "supannListeRouge": "true", "supannEtuId": "1"})),
        supann(json!({"SUPANNCIVILITE": "M.", "supannRefId": ["{A}1", "{A}2", "{A}1"], "labeledURI": "http://a"})),
        person(
            json!({"cn": "C", "sn": "N", "uid": "c", "labeledURI": "http://a"}),
            json!({CLASSES: ["supannEntite", "eduPerson"], ATTRIBUTES: {
                "supannEntite": {"supannCodeEntite": "X", "labeledURI": "http://a"},
                "eduPerson": {"eduPersonAffiliation": ["staff", "member"]},
            }}),
        ),
        person(
            json!({"cn": "C", "sn": "N", "uid": "c"}),
            json!({CLASSES: ["supannEntite"], ATTRIBUTES: {
                "supannEntite": {"supannCodeEntite": "X", "labeledURI": "http://a"},
            }}),
        ),
    ]
}

#[test]
fn a_document_comes_back_with_the_same_fingerprint() {
    let schema = schema();
    for sent in bodies() {
        let body = read(&sent, None, Contract::Documented, &schema);
        assert_eq!(body.config, Default::default(), "{sent}");
        let entry = entry(&body, &schema);
        let document = document(&entry, &schema);
        assert_eq!(document["fingerprint"], fingerprint(&sent), "{sent}\n{document}");
        // The same document once more changes nothing.
        for again in [&sent, &document] {
            let body = read(again, Some(&entry), Contract::Documented, &schema);
            assert_eq!(body.changes(&entry, &schema), Vec::new(), "{sent}");
            assert_eq!(body.beside, entry.operational.facts.as_ref().unwrap().beside, "{sent}");
        }
    }
}

#[test]
fn lists_in_another_order_are_another_document() {
    let schema = schema();
    let sent = |mails: Value, classes: Value| {
        let who = json!({"cn": "C", "sn": "N", "uid": "c", "mail": mails});
        person(who, json!({CLASSES: classes, ATTRIBUTES: {"supannPerson": {}, "eduPerson": {}}}))
    };
    let first = sent(json!(["a@x.example", "b@x.example"]), json!(["supannPerson", "eduPerson"]));
    let second = sent(json!(["b@x.example", "a@x.example"]), json!(["eduPerson", "supannPerson"]));
    let mut entry = entry(&read(&first, None, Contract::Documented, &schema), &schema);
    let body = read(&second, Some(&entry), Contract::Documented, &schema);
    assert_eq!(body.changes(&entry, &schema), Vec::new());
    entry.operational.facts.as_mut().unwrap().beside = body.beside;
    assert_eq!(document(&entry, &schema)["fingerprint"], fingerprint(&second));
}

#[test]
fn what_ldap_says_since_counts() {
    let schema = schema();
    let sent = person(json!({"cn": "C", "sn": "N", "uid": "c", "employeeNumber": ["12", "34"]}), json!({}));
    let before = entry(&read(&sent, None, Contract::Documented, &schema), &schema);
    assert_eq!(document(&before, &schema)[PERSON]["employeeNumber"], json!(["12", "34"]));
    let mut draft = Draft::of(&before);
    let number = schema.describe("employeeNumber").unwrap();
    draft.get_mut(&number).unwrap().values = vec![b"56".to_vec()];
    let after = draft.seal(before.uuid, before.operational.clone(), &schema);
    assert_eq!(document(&after, &schema)[PERSON]["employeeNumber"], json!(["56"]));
}

#[test]
fn a_full_update_takes_away_what_it_does_not_say() {
    let schema = schema();
    let before = supann(json!({"supannCivilite": "Mme"}));
    let entry = entry(&read(&before, None, Contract::Documented, &schema), &schema);
    let after = person(json!({"cn": "Claire Noir", "sn": "Noire", "uid": "cnoir"}), json!({}));
    let body = read(&after, Some(&entry), Contract::Documented, &schema);
    let changed: Vec<(ModKind, String, usize)> = body
        .changes(&entry, &schema)
        .into_iter()
        .map(|(kind, name, values)| (kind, name.to_string(), values.len()))
        .collect();
    let expected = [("objectClass", 4), ("supannCivilite", 0), ("sn", 1)];
    assert_eq!(changed, expected.map(|(name, count)| (ModKind::Replace, name.to_owned(), count)));
}

#[test]
fn faults_of_classes_and_blocks() {
    let schema = schema();
    let who = || json!({"cn": "C", "sn": "N", "uid": "c"});
    for (additional, documented, later) in [
        (json!({CLASSES: ["supannPerson"], ATTRIBUTES: {}}), vec!["supannPerson"], vec![]),
        (json!({CLASSES: [], ATTRIBUTES: {"supannPerson": {}}}), vec!["supannPerson"], vec![]),
        (json!({CLASSES: ["nothing"], ATTRIBUTES: {"nothing": {}}}), vec!["nothing"], vec!["nothing"]),
        (json!({CLASSES: ["device"], ATTRIBUTES: {"device": {}}}), vec!["device"], vec!["device"]),
        (
            json!({CLASSES: ["posixAccount"], ATTRIBUTES: {"posixAccount": {}}}),
            vec!["posixAccount"],
            vec!["posixAccount"],
        ),
        (json!({CLASSES: "supannPerson"}), vec!["objectClasses"], vec!["objectClasses"]),
        (json!({CLASSES: ["a", "b"], ATTRIBUTES: {"c": 1}}), vec!["a", "b", "c"], vec!["a", "b", "c"]),
        (json!([]), vec!["additionalFields"], vec!["additionalFields"]),
        (json!({CLASSES: ["SUPANNPERSON", "inetOrgPerson"], ATTRIBUTES: {"supannperson": {}}}), vec![], vec![]),
    ] {
        for (contract, expected) in [(Contract::Documented, documented), (Contract::Later, later)] {
            let body = read(&person(who(), additional.clone()), None, contract, &schema);
            assert_eq!(body.config.keys().collect::<Vec<_>>(), expected, "{contract:?} {additional}");
        }
    }
    let body = read(&person(json!({"cn": "", "sn": []}), json!({})), None, Contract::Documented, &schema);
    assert_eq!(body.missing.iter().map(|r| r.0).collect::<Vec<_>>(), ["cn", "sn", "uid"]);
    let secret = person(json!({"cn": "C", "sn": "N", "uid": "c", "userPassword": "x"}), json!({}));
    assert_eq!(read(&secret, None, Contract::Documented, &schema).config.len(), 1);
}
