//! The shipped schema, and schemas that must be refused.

use super::*;
use std::path::PathBuf;

fn shipped() -> Schema {
    Schema::compile(&Sources::shipped()).unwrap()
}

#[test]
fn supann_is_whole() {
    let schema = shipped();
    let arc = "1.3.6.1.4.1.7135.1.2.";
    let attributes = schema.attributes().filter(|(_, a)| a.oid.starts_with(&format!("{arc}1."))).count();
    let classes = schema.classes().filter(|c| c.oid.starts_with(&format!("{arc}2."))).count();
    assert_eq!((attributes, classes), (65, 6));
    let single: Vec<&str> = schema
        .attributes()
        .filter(|(_, a)| a.oid.starts_with(arc) && a.single_value)
        .map(|(_, a)| a.oid.rsplit('.').next().unwrap())
        .collect();
    assert_eq!(single, ["1", "3", "4", "6", "13", "18", "20", "38", "39", "40", "41", "42", "43"]);
}

#[test]
fn names_aliases_and_oids_mean_the_same() {
    let schema = shipped();
    for (one, other) in
        [("sn", "SURNAME"), ("cn", "2.5.4.3"), ("uid", "userid"), ("supannemail", "x"), ("mail", "RFC822Mailbox")]
    {
        if one == "supannemail" {
            assert_eq!(schema.attr_id(one), None);
        } else {
            assert_eq!(schema.attr_id(one), schema.attr_id(other), "{one} {other}");
            assert!(schema.attr_id(one).is_some());
        }
    }
    let subtypes = |name: &str| schema.with_subtypes(schema.attr_id(name).unwrap()).len();
    assert!(subtypes("name") > 5 && subtypes("mail") == 2 && subtypes("telephoneNumber") > 1 && subtypes("uid") == 1);
}

#[test]
fn values_match_by_the_rule_of_their_attribute() {
    let schema = shipped();
    let same = |attr: &str, a: &str, b: &str| {
        let id = schema.attr_id(attr).unwrap();
        match (schema.normalize(id, a.as_bytes()), schema.normalize(id, b.as_bytes())) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    };
    for (attr, a, b, expected) in [
        ("cn", "Zoé  MARTIN ", "zoé martin", true),
        ("cn", "Zoe", "Zoé", false),
        ("supannAliasLogin", "Martin", "martin", false),
        ("supannEmpId", "a", "A", false),
        ("mail", "A@b.FR", "a@B.fr", true),
        ("telephoneNumber", "+33 1-23", "+33123", true),
        ("supannEtuAnneeInscription", "20 24", "2024", true),
        ("supannEtuAnneeInscription", "02024", "2024", false),
        ("schacGender", "1", "01", true),
        ("supannListeRouge", "TRUE", "true", true),
        ("supannGroupeDateFin", "20240229123000Z", "202402291430+0200", true),
        ("member", "uid=A, ou=People,dc=x", "UID=a,ou=people,DC=X", true),
        ("member", "uid=a,ou=people,dc=x", "uid=b,ou=people,dc=x", false),
        ("member", r"cn=a\2Cb,dc=x", r"cn=a\,b,dc=x", true),
        ("member", "cn=a+sn=b,dc=x", "sn=B+cn=A,dc=x", true),
        ("objectClass", "person", "2.5.6.6", true),
        ("entryUUID", "CF3CE18C-F9B5-4B74-873B-987115526166", "cf3ce18c-f9b5-4b74-873b-987115526166", true),
        ("postalAddress", "1 rue X$75000  PARIS", "1 Rue x$75000 paris", true),
        ("labeledURI", "http://a A", "http://a a", false),
        ("userPassword", "a", "A", false),
    ] {
        assert_eq!(same(attr, a, b), expected, "{attr}: {a} {b}");
    }
}

#[test]
fn syntaxes_accept_and_refuse() {
    let schema = shipped();
    for (attr, value, expected) in [
        ("cn", "x", true),
        ("cn", "", false),
        ("mail", "é@x", false),
        ("supannListeRouge", "TRUE", true),
        ("supannListeRouge", "true", false),
        ("schacGender", "1", true),
        ("schacGender", "01", false),
        ("supannEtuAnneeInscription", "20 24", true),
        ("supannEtuAnneeInscription", "2024a", false),
        ("supannGroupeDateFin", "20240229123000Z", true),
        ("supannGroupeDateFin", "31/12/1999", false),
        ("member", "uid=a,dc=x", true),
        ("member", "nobody", false),
        ("telephoneNumber", "+33 1 23", true),
        ("telephoneNumber", "", false),
        ("c", "FR", true),
        ("c", "FRA", false),
        ("supannCivilite", "Mme", true),
        ("supannCivilite", "Mlle_", false),
        ("supannEtuInscription", "[etab={UAI}0123456X][anneeinsc=2024]", true),
    ] {
        let attribute = schema.attribute(schema.attr_id(attr).unwrap());
        assert_eq!(attribute.syntax.accepts(value.as_bytes(), &schema), expected, "{attr}: {value}");
    }
}

fn person(schema: &Schema, extra: &[(&str, &[&str])]) -> Vec<Attr> {
    let base: [(&str, &[&str]); 4] = [
        ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson", "supannPerson"]),
        ("cn", &["A B"]),
        ("sn", &["B"]),
        ("uid", &["ab"]),
    ];
    base.iter()
        .chain(extra)
        .map(|(name, values)| Attr {
            desc: schema.describe(name).unwrap(),
            values: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
        })
        .collect()
}

#[test]
fn all_violations_come_together() {
    let schema = shipped();
    let attrs = person(
        &schema,
        &[
            ("supannEtablissement", &["0123456X"]),
            ("displayName", &["One", "Two"]),
            ("supannOIDCDateDeNaissance", &["31/12/1999"]),
            ("member", &["uid=x"]),
            ("supannListeRouge", &["oui"]),
        ],
    );
    let violations = schema.validate(&attrs, Scope::Identity, vec![Violation::unknown_attribute("nope")]).unwrap_err();
    let text = violations.to_string();
    for needle in [
        "6 violations: nope (attribute type)",
        "member (may)",
        "supannPerson.supannListeRouge (syntax)",
        "inetOrgPerson.displayName (SINGLE-VALUE)",
        "supannPerson.supannEtablissement (format)",
        "supannPerson.supannOIDCDateDeNaissance (format)",
    ] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    assert!(!text.contains("31/12"), "a value in the message: {text}");
    assert_eq!(violations.gravest(), Some(Fault::UnknownAttribute));
}

#[test]
fn class_rules_hold_back_identities_and_refuse_others() {
    let schema = shipped();
    let attrs = person(&schema, &[("supannEtablissement", &["0123456X"])]);
    let refused = schema.validate(&attrs, Scope::Plain, vec![]).unwrap_err();
    assert_eq!(refused.gravest(), Some(Fault::ClassRule));
    assert_eq!(refused.0.len(), 1, "{refused}");
    let checked = schema.validate(&attrs, Scope::Identity, vec![]).unwrap();
    assert_eq!(checked.class_faults.len(), 1);
    assert_eq!(schema.class(checked.structural).name, "inetOrgPerson");
    let ordinary = person(&schema, &[]);
    for scope in [Scope::Plain, Scope::Identity] {
        assert!(schema.validate(&ordinary, scope, vec![]).unwrap().class_faults.is_empty());
    }
}

#[test]
fn structural_classes_must_be_one_chain() {
    let schema = shipped();
    let classes = |list: &[&str]| {
        let values = list.iter().map(|v| v.as_bytes().to_vec()).collect();
        let attrs = vec![Attr { desc: schema.describe("objectClass").unwrap(), values }];
        match schema.validate(&attrs, Scope::Plain, vec![]) {
            Ok(_) => None,
            Err(v) => v.gravest(),
        }
    };
    assert_eq!(classes(&["supannPerson"]), Some(Fault::StructuralClass));
    assert_eq!(classes(&["inetOrgPerson", "organizationalUnit"]), Some(Fault::StructuralClass));
    assert_eq!(classes(&["nope"]), Some(Fault::UnknownClass));
    assert_eq!(classes(&["organizationalUnit"]), Some(Fault::MissingAttribute));
}

fn refused(ldap: &str, class: Option<(&str, &str)>) -> String {
    let mut sources = Sources::shipped();
    sources.ldap.push((PathBuf::from("x/99-own.yml"), ldap.to_owned()));
    if let Some((name, text)) = class {
        sources.classes.retain(|(p, _)| p.file_name().is_none_or(|f| f != name));
        sources.classes.push((PathBuf::from("x").join(name), text.to_owned()));
    }
    match Schema::compile(&sources) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn broken_files_name_file_path_and_reason() {
    for (ldap, class, needles) in [
        ("attributes: [{name: cn, oid: 1.2.3, sup: name}]", None, &["x/99-own.yml", "'cn' is defined twice"][..]),
        ("attributes: [{name: a, oid: 1.2.3, sup: nope}]", None, &["at a", "superior 'nope'"]),
        ("attributes: [{name: a, oid: 1.2.3}]", None, &["names a syntax"]),
        ("attributes: [{name: a, oid: 1.2.3, colour: red}]", None, &["attributes[0]", "unknown field `colour`"]),
        ("attributes: [{name: a, oid: 1.2.3, sup: a}]", None, &["circle"]),
        ("classes: [{name: a, oid: 1.2.3, kind: auxiliary, may: [nope]}]", None, &["at a.may", "'nope'"]),
        (
            "classes: []",
            Some(("supannPerson.yml", "type: object\nallOf: []")),
            &["x/supannPerson.yml", "at allOf: is none of the keys"],
        ),
        ("classes: []", Some(("supannPerson.yml", "type: array")), &["x/supannPerson.yml", "type"]),
        ("classes: []", Some(("supannPerson.yml", "properties: {}")), &["at type: missing"]),
        (
            "classes: []",
            Some(("supannPerson.yml", "type: object\nproperties: {supannCivilite: {type: day}}")),
            &["properties.supannCivilite.type", "date"],
        ),
        (
            "classes: []",
            Some(("supannPerson.yml", "type: object\nproperties: {supannCivilite: {type: string, pattern: '('}}")),
            &["x/supannPerson.yml", "pattern"],
        ),
        (
            "classes: []",
            Some(("supannPerson.yml", "type: object\nrequired: [supannCivilite]")),
            &["at required.0: 'supannCivilite' must be declared"],
        ),
    ] {
        let text = refused(ldap, class);
        for needle in needles {
            assert!(text.contains(needle), "{needle:?} in {text:?} for {ldap} {class:?}");
        }
    }
}

#[test]
fn sesame_rules_on_presence_and_case() {
    // Property names differ from the LDAP names in case, as in Sesame's own files.
    let rules = "type: object\nproperties:\n  supanncivilite: {type: string, pattern: '^(M\\.|Mme)$'}\n  supannEmpId: {type: string, minLength: 3}\n  supannEtablissement: {type: array, items: {type: string}}\nrequired: [supanncivilite, supannEtablissement]";
    let mut sources = Sources::shipped();
    sources.classes = vec![(PathBuf::from("SUPANNperson.yml"), rules.to_owned())];
    let schema = Schema::compile(&sources).unwrap();
    let faults = |extra: &[(&str, &[&str])]| {
        let checked = schema.validate(&person(&schema, extra), Scope::Identity, vec![]).unwrap();
        checked.class_faults.iter().map(|v| format!("{}/{}", v.attr, v.rule)).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[]), ["supannCivilite/required", "supannEtablissement/required"]);
    assert_eq!(
        faults(&[("supannCivilite", &["Mme"]), ("supannEtablissement", &["{UAI}0123456X"])]),
        Vec::<String>::new()
    );
    assert_eq!(
        faults(&[("supannCivilite", &["Dr"]), ("supannEtablissement", &["x"]), ("supannEmpId", &["1", "2"])]),
        ["supannCivilite/pattern", "supannEmpId/type"]
    );
}

#[test]
fn rule_files_define_what_the_schema_lacks() {
    let mut sources = Sources::shipped();
    let rules = "type: object\nproperties:\n  localName: {type: string}\n  cousins: {type: array}\n  age: {type: integer}\n  extra: {type: object}\n  sn: {type: string}\n";
    sources.classes.push((PathBuf::from("x/local.yml"), rules.to_owned()));
    let groupe = sources.classes.iter_mut().find(|(p, _)| p.ends_with("supannGroupe.yml")).unwrap();
    groupe.1 =
        "type: object\nproperties:\n  supannGroupeColour: {type: string}\n  supannEmpId: {type: array}\n".to_owned();
    let schema = Schema::compile(&sources).unwrap();
    let class = schema.class(schema.class_id("LOCAL").unwrap());
    assert_eq!(class.kind, Kind::Auxiliary);
    for (name, single, syntax) in [
        ("localname", true, Syntax::DirectoryString),
        ("cousins", false, Syntax::DirectoryString),
        ("age", true, Syntax::Integer),
        ("extra", true, Syntax::DirectoryString),
    ] {
        let id = schema.attr_id(name).unwrap();
        let attribute = schema.attribute(id);
        assert_eq!((attribute.single_value, attribute.syntax), (single, syntax), "{name}");
        assert!(class.allows(id) && attribute.oid.starts_with("2.25."), "{name}");
    }
    let groupe = schema.class(schema.class_id("supannGroupe").unwrap());
    for name in ["supannGroupeColour", "supannEmpId"] {
        assert!(groupe.allows(schema.attr_id(name).unwrap()), "{name}");
    }
    let notes: Vec<String> = schema.rules().notes.iter().map(ToString::to_string).collect();
    let noted = |needle: &str| notes.iter().any(|n| n.contains(needle));
    for needle in [
        "schemas/classes/supannGroupe.yml:3: at properties.supannGroupeColour",
        "schemas/classes/supannGroupe.yml:4: at properties.supannEmpId: the LDAP class supannGroupe does not name",
        "x/local.yml: at file name",
        "x/local.yml:3: at properties.localName",
        "x/local.yml:5: at properties.age: the LDAP schema has no attribute 'age': it is defined here, INTEGER, one",
    ] {
        assert!(noted(needle), "{needle}: {notes:#?}");
    }
    // Its own OIDs are the same at every start.
    let again = Schema::compile(&sources).unwrap();
    assert_eq!(again.class(again.class_id("local").unwrap()).oid, class.oid);
    assert!(Schema::compile(&Sources::shipped()).unwrap().rules().notes.is_empty());
}

#[test]
fn rules_are_exchanged_whole_or_not_at_all() {
    let schema = shipped();
    let with = |name: &str, text: &str| {
        let mut sources = Sources::shipped();
        sources.classes.retain(|(p, _)| p.file_name().is_none_or(|f| f != name));
        sources.classes.push((PathBuf::from("x").join(name), text.to_owned()));
        sources
    };
    let faults = || {
        let attrs = person(&schema, &[("supannEmpId", &["1"])]);
        schema.validate(&attrs, Scope::Identity, vec![]).unwrap().class_faults.len()
    };
    assert_eq!(faults(), 0);
    let strict = "type: object\nproperties: {supannEmpId: {type: array, items: {type: string, minLength: 3}}}";
    schema.reload_rules(&with("supannPerson.yml", strict)).unwrap();
    assert_eq!(faults(), 1);
    for (sources, needle) in [
        (with("supannPerson.yml", "type: object\nproperties: {supannEmpId: {type: colour}}"), "supannPerson.yml:2: at"),
        (with("cousin.yml", "type: object"), "a new class 'cousin': restart"),
        (with("supannPerson.yml", "type: object\nproperties: {shoeSize: {type: number}}"), "'shoesize' anew: restart"),
        (with("supannPerson.yml", "type: object\nproperties: {member: {type: array}}"), "allow 'member': restart"),
        (
            Sources { ldap: Sources::shipped().ldap.into_iter().skip(1).collect(), ..Sources::shipped() },
            "must be defined",
        ),
    ] {
        let error = schema.reload_rules(&sources).unwrap_err().to_string();
        assert!(error.contains(needle), "{needle}: {error}");
        assert_eq!(faults(), 1, "{needle}");
    }
    let mut more = Sources::shipped();
    more.ldap.push((PathBuf::from("x/99.yml"), "attributes: [{name: shoeSize, oid: 1.2.3, sup: name}]".to_owned()));
    assert!(schema.reload_rules(&more).unwrap_err().to_string().contains("(ldap/*.yml) has changed"));
    schema.reload_rules(&Sources::shipped()).unwrap();
    assert_eq!(faults(), 0);
}
