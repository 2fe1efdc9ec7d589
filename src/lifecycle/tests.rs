//! The lifecycle files, row by row: what they may say, what is refused, and what follows.

use super::*;
use crate::{
    clock::Timestamp,
    entry::{Draft, Entry, Facts, Operational},
    schema,
};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::LazyLock};
use uuid::Uuid;

fn schema() -> &'static schema::Schema {
    static SCHEMA: LazyLock<schema::Schema> =
        LazyLock::new(|| schema::Schema::compile(&schema::Sources::shipped()).unwrap());
    &SCHEMA
}

fn sources(rules: &str) -> Sources {
    Sources { rules: vec![(PathBuf::from("rules/10-test.yml"), rules.to_owned())], ..Sources::shipped() }
}

fn compile(rules: &str) -> Result<Career, String> {
    Career::compile(&sources(rules), schema()).map_err(|faults| faults.to_string())
}

fn at(text: &str) -> Timestamp {
    crate::filter::query::instant(text).unwrap()
}

fn entry(letter: char, facts: Facts, attrs: &[(&str, &str)]) -> Entry {
    let schema = schema();
    let mut draft = Draft::default();
    for (name, value) in attrs {
        draft.put(schema.attr_id(name).unwrap(), value.as_bytes());
    }
    let axes = crate::entry::Axes { lifecycle: letter, ..fresh(State::ToSync) };
    let operational = Operational {
        axes: Some(axes),
        facts: Some(Box::new(facts)),
        created: at("2026-01-01"),
        ..Operational::unwritten()
    };
    draft.seal(Uuid::from_u128(1), operational, schema)
}

const NOW: &str = "2026-06-01T12:00:00Z";

#[test]
fn the_shipped_files_are_good() {
    let career = Career::shipped(schema()).unwrap();
    assert_eq!(career.stages.letters(), "O, I, M, A, P, D, V");
    assert_eq!(
        career.stages.custom().iter().map(|s| s.label.as_str()).collect::<Vec<_>>(),
        ["En attente", "Provisoire", "À détruire", "Verrouillé"]
    );
    assert!(career.rules.is_empty());
}

#[test]
fn a_rule_is_read_as_sesame_writes_it() {
    let career = compile(
        "identities:\n  - sources: [O, A]\n    target: P\n    trigger: 90d\n    dateKey: lastSync\n    rules:\n      inetOrgPerson.employeeType: {$in: [student]}\n    mutation:\n      dataStatus: -3\n  - {sources: [P], target: I, rules: {state: 99}}\n  - {sources: [I], target: D, trigger: -1}\n",
    )
    .unwrap();
    let [timed, immediate, task] = career.rules.as_slice() else { panic!("{:?}", career.rules) };
    assert_eq!((timed.name.as_str(), timed.source.as_str()), ("10-test #1", "10-test"));
    assert_eq!((timed.from.as_slice(), timed.target), (&['O', 'A'][..], 'P'));
    assert_eq!(timed.when, Trigger::After(90 * 86_400));
    assert_eq!(timed.date_key, DateKey::LastSync);
    assert_eq!(timed.mutation.resolve(at(NOW), schema()), Ok(vec![Set::DataStatus(-3)]));
    assert_eq!(immediate.when, Trigger::Immediate);
    assert!(immediate.mutation.is_empty());
    assert_eq!(task.when, Trigger::Task);
    assert_eq!(career.immediate('P').count(), 1);
    assert_eq!(career.immediate('O').count(), 0);
    assert_eq!(career.timed().map(|(at, _)| at).collect::<Vec<_>>(), [0]);
    assert_eq!(career.tasks(Some("10-test")).count(), 1);
    assert_eq!(career.tasks(Some("other")).count(), 0);
    assert_eq!(career.tasks(None).count(), 1);
}

#[test]
fn faults_of_rules_name_file_line_and_reason() {
    for (rules, expected) in [
        (
            "identities:\n  - {sources: [X], target: P, trigger: 1d}",
            "rules/10-test.yml:2: at identities.0.sources.0: 'X' is none of the letters O, I, M, A, P, D, V; states.yml declares them",
        ),
        (
            "identities:\n  - {sources: [O], target: PP, trigger: 1d}",
            ":2: at identities.0.target: 'PP' is none of the letters",
        ),
        (
            "identities:\n  - {sources: [], target: P, trigger: 1d}",
            "identities.0.sources: expected at least one letter",
        ),
        ("identities:\n  - {sources: [O], target: P}", "neither rules nor a trigger"),
        ("identities:\n  - {sources: [O], target: P, rules: {}}", "neither rules nor a trigger"),
        (
            "identities:\n  - sources: [O]\n    target: P\n    trigger: 0",
            ":4: at identities.0.trigger: expected a delay such as 90d",
        ),
        ("identities:\n  - {sources: [O], target: P, trigger: 1h}", "identities.0.trigger: expected a delay"),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, dateKey: birthday}",
            "identities.0.dateKey: expected lastSync",
        ),
        (
            "identities:\n  - {sources: [O], target: P, rules: {state: 1}, dateKey: lastSync}",
            "only a rule with a delay",
        ),
        (
            "identities:\n  - {sources: [O], target: P, rules: {a: {$near: 1}}}",
            "at identities.0.rules.a.$near: is no operator that is known here",
        ),
        (
            "identities:\n  - {sources: [O], target: P, rules: {a: '{{ date.week }}'}}",
            "at identities.0.rules: has 'date.week'",
        ),
        (
            "identities:\n  - {sources: [O], target: P, ldap: '(nope=1)'}",
            "at identities.0.ldap: 'nope' is an attribute",
        ),
        (
            "identities:\n  - {sources: [O], target: P, ldap: '(vestibuleState=2)'}",
            "at identities.0.ldap: vestibuleState is kept by the server",
        ),
        (
            "identities:\n  - {sources: [O], target: P, rules: {inetOrgPersn.uid: x}}",
            "at identities.0.rules.inetOrgPersn.uid: identities have no such field",
        ),
        (
            "identities:\n  - {sources: [O], target: P, rules: {inetOrgPerson.nope: {$ne: x}}}",
            "at identities.0.rules.inetOrgPerson.nope: 'nope' is an attribute",
        ),
        ("identities:\n  - {sources: [O], target: P, ldap: '(uid=1'}", "at identities.0.ldap: at character"),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, mutation: {status: x}}",
            "at identities.0.mutation.status: is no field that a rule can set",
        ),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, mutation: {lifecycle: I}}",
            "the target of the rule says it",
        ),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, mutation: {dataStatus: 7}}",
            "expected 1, 0, -2 or -3",
        ),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, mutation: {inetOrgPerson.userPassword: x}}",
            "cannot set",
        ),
        (
            "identities:\n  - {sources: [O], target: P, trigger: 1d, mutation: {inetOrgPerson.nope: x}}",
            "the schema does not know",
        ),
        ("identities:\n  - {sources: [O], target: P, when: 1d}", "unknown field `when`"),
        ("identities:\n  - {sources: [O]}", "missing field `target`"),
        ("rules: []", "unknown field `rules`"),
    ] {
        let text = compile(rules).unwrap_err();
        assert!(text.contains(expected), "{rules}\n  gives {text}\n  expected {expected}");
    }
    // All of them at once.
    let text = compile("identities:\n  - {sources: [X], target: Y, trigger: 0}").unwrap_err();
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn faults_of_states_and_their_table() {
    let check = |states: &str, table: &str, expected: &str| {
        let file = |name: &str, text: &str| Some((PathBuf::from(name), text.to_owned()));
        let sources = Sources {
            states: file("states.yml", states),
            resource_states: file("resource-states.yml", table),
            ..Sources::default()
        };
        let text = Career::compile(&sources, schema()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}\n  expected {expected}");
    };
    let fixed = "letters:\n  O: {state: A, login: true, export: active}\n  I: {state: I, login: false, export: inactive}\n  M: {state: A, login: true, export: keep}\n";
    for (states, expected) in [
        ("states: [{key: AB, label: x}]", "states.yml:1: at states.0.key: expected one character"),
        ("states: [{key: '', label: x}]", "expected one character"),
        ("states: [{key: O, label: x}]", "O is always there and cannot be declared"),
        ("states: [{key: Q, label: x}, {key: Q, label: y}]", "at states.1.key: Q is declared twice"),
        ("states: [{key: Q}]", "missing field `label`"),
        ("states: [{key: Q, label: x, name: y}]", "unknown field `name`"),
        (
            "states: [{key: Q, label: Neuf}]",
            "resource-states.yml:1: at letters: letter Q (Neuf) has no row; write one such as Q: {state: \"A:SupannActif\", login: true, export: active}",
        ),
    ] {
        check(states, fixed, expected);
    }
    for (table, expected) in [
        ("letters: {Z: {state: A, login: true, export: active}}", "at letters.Z: 'Z' is none of the letters"),
        ("letters: {O: {state: B, login: true, export: active}}", "at letters.O.state: expected A, I or S"),
        (
            "letters: {O: {state: 'A:SupannInactif', login: true, export: active}}",
            "expected as the substate of A one of SupannAnticipe, SupannActif, SupannSursis",
        ),
        ("letters: {O: {state: A, login: true, export: sometimes}}", "unknown variant `sometimes`"),
        ("data_status: {5: {login: false}}", "at data_status.5: expected 1, 0, -1, -2 or -3"),
        ("end_date: [nope]", "at end_date.0: is no attribute"),
    ] {
        check("", table, expected);
    }
}

#[test]
fn conditions_see_the_document_and_the_entry() {
    let schema = schema();
    let entry = entry('O', Facts::default(), &[("uid", "ada"), ("employeeType", "student")]);
    let document = json!({"lifecycle": "O", "lastSync": "2026-05-31T23:00:00Z", "inetOrgPerson": {"uid": "ada"}});
    for (rules, expected, by_time) in [
        ("rules: {inetOrgPerson.uid: ada}", true, false),
        ("rules: {inetOrgPerson.uid: bob}", false, false),
        ("ldap: '(employeeType=STUDENT)'", true, false),
        ("ldap: '(employeeType=staff)'", false, false),
        ("rules: {inetOrgPerson.uid: ada}\n    ldap: '(employeeType=staff)'", false, false),
        ("rules: {lastSync: {$lt: '{{ date.today }}'}}", true, true),
        ("rules: {lastSync: {$lt: '{{ date.yesterday }}'}}", false, true),
    ] {
        let career = compile(&format!("identities:\n  - sources: [O]\n    target: P\n    {rules}\n")).unwrap();
        let condition = &career.rules[0].condition;
        assert_eq!(condition.holds(&entry, || &document, schema, at(NOW)), expected, "{rules}");
        assert_eq!(condition.depends_on_time(), by_time, "{rules}");
    }
}

#[test]
fn every_date_key() {
    let schema = schema();
    let facts = Facts {
        seen: Some(at("2026-02-01")),
        lifecycle_changed: Some(at("2026-02-02")),
        init_date: Some(at("2026-02-03")),
        sent_date: Some(at("2026-02-04")),
        custom_fields: Some(
            json!({"contract": {"end": "2026-02-05", "all": ["x", "2026-02-09", "2026-02-08"]}}).to_string(),
        ),
        ..Facts::default()
    };
    let attrs = [
        ("supannEtuDateFin", "20260207000000Z"),
        ("supannEtuDateFin", "20260206000000Z"),
        ("supannOIDCDateDeNaissance", "20000101"),
        ("title", "2026-03-01"),
    ];
    let entry = entry('O', facts, &attrs);
    for (key, expected) in [
        ("lastSync", Some("2026-02-01")),
        ("lastLifecycleUpdate", Some("2026-02-02")),
        ("initInfo.initDate", Some("2026-02-03")),
        ("initInfo.sentDate", Some("2026-02-04")),
        ("metadata.createdAt", Some("2026-01-01")),
        ("lastBackendSync", None),
        ("customFields.contract.end", Some("2026-02-05")),
        ("customFields.contract.all", Some("2026-02-08")),
        ("customFields.none", None),
        ("additionalFields.attributes.supannPerson.supannEtuDateFin", Some("2026-02-06")),
        ("inetOrgPerson.title", Some("2026-03-01")),
        ("inetOrgPerson.mail", None),
    ] {
        let rules = format!("identities:\n  - {{sources: [O], target: P, trigger: 2d, dateKey: {key}}}");
        let career = compile(&rules).unwrap();
        let rule = &career.rules[0];
        let due = expected.map(|day| Timestamp(at(day).0 + 2 * 86_400 * 1_000_000));
        assert!(rule.takes(&entry));
        assert_eq!(rule.due(&entry), due, "{key}");
    }
    let ignoring = Facts { ignore_lifecycle: true, ..Facts::default() };
    let career = compile("identities:\n  - {sources: [O], target: P, trigger: 2d}").unwrap();
    assert!(!career.rules[0].takes(&self::entry('O', ignoring, &[])));
    assert!(!career.rules[0].takes(&self::entry('I', Facts::default(), &[])));
    assert!(DateKey::parse("additionalFields.attributes.nope.supannEtuDateFin", schema).is_err());
}

#[test]
fn manual_transitions_are_permissive() {
    let text = "manualTransitions:\n  - {source: O, targets: [P]}\n  - {source: O, targets: [I, D], filter: {inetOrgPerson.employeeType: staff}}\n  - {source: D, targets: []}\n";
    let sources = Sources { transitions: Some((PathBuf::from("t.yml"), text.to_owned())), ..Sources::shipped() };
    let schema = schema();
    let career = Career::compile(&sources, schema).unwrap();
    let entry = entry('O', Facts::default(), &[]);
    let staff = json!({"inetOrgPerson": {"employeeType": "staff"}});
    let other = json!({"inetOrgPerson": {}});
    for (document, from, to, allowed) in [
        // The first whose filter matches wins, else the unfiltered one of the source, else all.
        (&staff, 'O', 'I', None),
        (&staff, 'O', 'P', Some("I, D")),
        (&other, 'O', 'P', None),
        (&other, 'O', 'I', Some("P")),
        (&other, 'P', 'I', None),
        (&other, 'O', 'O', None),
        (&other, 'D', 'D', None),
        (&other, 'D', 'O', Some("none")),
    ] {
        let found = career.permitted(&entry, (from, to), || document, schema, at(NOW));
        let expected = match allowed {
            None => Ok(()),
            Some(list) => Err(format!("lifecycle {from} cannot become {to} by hand; allowed: {list}")),
        };
        assert_eq!(found.map_err(|e| e.to_string()), expected, "{from} {to} {document}");
    }
    let twice = "manualTransitions:\n  - {source: O, targets: [P], filter: {state: 1}}\n  - {source: O, targets: [I], filter: {state: 1}}\n";
    let sources = Sources { transitions: Some((PathBuf::from("t.yml"), twice.to_owned())), ..Sources::shipped() };
    let text = Career::compile(&sources, schema).unwrap_err().to_string();
    assert_eq!(text, "t.yml:3: at manualTransitions.1.source: an earlier entry has the same source and filter");
}

#[test]
fn mutations_take_paths_documents_and_templates() {
    let schema = schema();
    let career = compile(
        "identities:\n  - sources: [O]\n    target: P\n    trigger: 1d\n    mutation:\n      initState: 1\n      ignoreLifecycle: true\n      state: 1\n      customFields.left: '{{ date.today }}'\n      inetOrgPerson: {title: [a, b], description: null}\n      additionalFields.attributes.supannPerson.supannEtuDateFin: '{{ date.tomorrow }}'\n",
    )
    .unwrap();
    let id = |name: &str| schema.attr_id(name).unwrap();
    let mut found = career.rules[0].mutation.resolve(at(NOW), schema).unwrap();
    found.sort_by_key(|set| format!("{set:?}"));
    let mut expected = vec![
        Set::InitState(1),
        Set::IgnoreLifecycle(true),
        Set::State(State::ToValidate),
        Set::Custom("left".to_owned(), Value::from("2026-06-01")),
        Set::Attribute(id("title"), vec![b"a".to_vec(), b"b".to_vec()]),
        Set::Attribute(id("description"), vec![]),
        Set::Attribute(id("supannEtuDateFin"), vec![b"20260602000000Z".to_vec()]),
    ];
    expected.sort_by_key(|set| format!("{set:?}"));
    assert_eq!(found, expected);
}

#[test]
fn letters_and_statuses_decide_login_export_and_resource() {
    let career = Career::shipped(schema()).unwrap();
    for (letter, status, login, export, state) in [
        ('O', 1, true, Export::Active, "A:SupannActif"),
        ('O', 0, true, Export::Active, "A:SupannActif"),
        ('O', -1, false, Export::Inactive, "I:SupannSupprCompte"),
        ('O', -2, true, Export::Inactive, "A:SupannActif"),
        ('O', -3, false, Export::Inactive, "S:SupannVerrouAdministratif"),
        ('I', 1, false, Export::Inactive, "I:SupannInactif"),
        ('M', 1, true, Export::KeepActive, "A:SupannActif"),
        ('A', 1, true, Export::Wait, "A:SupannAnticipe"),
        ('A', -3, false, Export::Wait, "S:SupannVerrouAdministratif"),
        ('P', 1, true, Export::Active, "A:SupannSursis"),
        ('D', 1, false, Export::Inactive, "I:SupannSupprCompte"),
        ('V', 1, false, Export::Inactive, "S:SupannVerrouille"),
    ] {
        let axes = crate::entry::Axes { lifecycle: letter, data_status: status, ..fresh(State::Synced) };
        let what = format!("{letter} {status}");
        assert_eq!(career.account(&axes) == Account::Usable, login, "{what}");
        assert_eq!(career.export(&axes), export, "{what}");
        assert_eq!(career.resources.state_of(&axes), Some(state), "{what}");
    }
    let of = |state| crate::entry::Axes { ..fresh(state) };
    assert_eq!(career.account(&of(State::ToComplete)), Account::Closed("state TO_COMPLETE".into()));
    assert_eq!(career.account(&of(State::DontSync)), Account::Closed("state DONT_SYNC".into()));
    assert_eq!(career.export(&of(State::ToValidate)), Export::Wait);
    let unknown = crate::entry::Axes { lifecycle: 'Z', ..fresh(State::Synced) };
    assert_eq!(career.account(&unknown), Account::Closed("lifecycle Z is not declared".into()));
    assert_eq!(career.export(&unknown), Export::Wait);
}

/// The shipped table, with deriving on.
fn deriving() -> String {
    Sources::shipped().resource_states.unwrap().1.replace("derive: false", "derive: true")
}

#[test]
fn the_resource_state_is_derived_and_others_stay() {
    let schema = schema();
    let id = |name: &str| schema.attr_id(name).unwrap();
    let shipped = deriving();
    let check = |table: &str, class: &str, expected: (&[&str], &[&str])| {
        let file = Some((PathBuf::from("resource-states.yml"), table.to_owned()));
        let career = Career::compile(&Sources { resource_states: file, ..Sources::shipped() }, schema).unwrap();
        let mut draft = Draft::default();
        draft.put(schema.known.object_class, class.as_bytes());
        draft.put(id("supannRessourceEtat"), b"{MAIL}A");
        draft.put(id("supannRessourceEtat"), b"{compte}I");
        draft.put(id("supannEtuDateFin"), b"20270630220000Z");
        draft.put(id("supannEmpDateFin"), b"20260630220000Z");
        let axes = crate::entry::Axes { ..fresh(State::Synced) };
        career.resources.derive(&mut draft, &axes, at("2026-03-04T23:59:59Z"), schema);
        let again = draft.clone();
        career.resources.derive(&mut draft, &axes, at("2026-03-04T23:59:59Z"), schema);
        assert_eq!(draft, again);
        let values = |name: &str| {
            let held = draft.get(&schema::AttrDesc::plain(id(name)));
            held.map(|a| a.values.iter().map(|v| String::from_utf8(v.clone()).unwrap()).collect()).unwrap_or_default()
        };
        let found: (Vec<String>, Vec<String>) = (values("supannRessourceEtat"), values("supannRessourceEtatDate"));
        assert_eq!(
            (found.0.as_slice(), found.1.as_slice()),
            (
                &expected.0.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..],
                &expected.1.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]
            )
        );
    };
    let date: &[&str] = &["{COMPTE}A:SupannActif:20260304:20270630"];
    check(&shipped, "supannPerson", (&["{MAIL}A", "{COMPTE}A", "{COMPTE}A:SupannActif"], date));
    check(
        &shipped.replace("with_substate: both", "with_substate: only"),
        "supannPerson",
        (&["{MAIL}A", "{COMPTE}A:SupannActif"], date),
    );
    check(
        &shipped.replace("with_substate: both", "with_substate: never"),
        "supannPerson",
        (&["{MAIL}A", "{COMPTE}A"], date),
    );
    check(&shipped.replace("derive: true", "derive: false"), "supannPerson", (&["{MAIL}A", "{compte}I"], &[]));
    check(&shipped, "inetOrgPerson", (&["{MAIL}A", "{compte}I"], &[]));
}

#[test]
fn an_end_before_the_state_began_is_left_out() {
    let schema = schema();
    let file = Some((PathBuf::from("resource-states.yml"), deriving()));
    let career = Career::compile(&Sources { resource_states: file, ..Sources::shipped() }, schema).unwrap();
    for (since, expected) in [
        ("2027-06-30T23:00:00Z", "{COMPTE}I:SupannInactif:20270630:20270630"),
        ("2027-07-01", "{COMPTE}I:SupannInactif:20270701:"),
    ] {
        let mut draft = Draft::default();
        draft.put(schema.known.object_class, b"supannPerson");
        draft.put(schema.attr_id("supannEtuDateFin").unwrap(), b"20270630220000Z");
        let axes = crate::entry::Axes { lifecycle: 'I', ..fresh(State::Synced) };
        career.resources.derive(&mut draft, &axes, at(since), schema);
        let attr = schema::AttrDesc::plain(schema.attr_id("supannRessourceEtatDate").unwrap());
        assert_eq!(draft.get(&attr).unwrap().values, [expected.as_bytes().to_vec()]);
    }
}
