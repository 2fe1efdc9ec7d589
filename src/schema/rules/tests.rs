//! Each key of a rule file works or is refused; each format takes what it should.

use crate::schema::{Attr, Fault, Language, Schema, Scope, Sources};
use std::path::{Path, PathBuf};

/// The shipped LDAP schema with one rule file for a class of its own.
fn compile(rules: &str) -> Result<Schema, String> {
    let classes = vec![(PathBuf::from("x/probe.yml"), rules.to_owned())];
    Schema::compile(&Sources { classes, ..Sources::shipped() }).map_err(|e| e.to_string())
}

fn attr(schema: &Schema, name: &str, values: &[&str]) -> Attr {
    Attr { desc: schema.describe(name).unwrap(), values: values.iter().map(|v| v.as_bytes().to_vec()).collect() }
}

fn person(schema: &Schema, classes: &[&str], extra: &[(&str, &[&str])]) -> Vec<Attr> {
    let base: [(&str, &[&str]); 4] =
        [("objectClass", &[&["inetOrgPerson"], classes].concat()), ("cn", &["A"]), ("sn", &["A"]), ("uid", &["a"])];
    let mut attrs: Vec<Attr> = base
        .iter()
        .filter(|(n, _)| !extra.iter().any(|(e, _)| e == n))
        .chain(extra)
        .map(|(name, values)| attr(schema, name, values))
        .collect();
    let classes = ["top", "person", "organizationalPerson"].map(|c| c.as_bytes().to_vec());
    attrs.iter_mut().filter(|a| a.desc.id == schema.known.object_class).for_each(|a| a.values.extend(classes.clone()));
    attrs
}

/// What the rules say of an entry, in English.
fn faults(schema: &Schema, attrs: &[Attr]) -> Vec<String> {
    let checked = match schema.validate(attrs, Scope::Identity, vec![]) {
        Ok(checked) => checked.class_faults,
        Err(violations) => violations.0,
    };
    checked.iter().map(|v| format!("{}/{}: {}", v.attr, v.rule, v.text(Language::En))).collect()
}

/// The form of the attribute `probe`, on a line of its own.
fn probe(form: &str) -> Result<Schema, String> {
    compile(&format!("type: object\nproperties:\n  probe:\n    {{{form}}}\n"))
}

#[test]
fn each_key_works() {
    for (form, good, bad, rule) in [
        ("type: string, description: a word, minLength: 2", &["ab"][..], &["a"][..], "minLength"),
        ("type: string, maxLength: 2", &["ab"], &["abc"], "maxLength"),
        ("type: string, pattern: '^a+$'", &["aa"], &["b"], "pattern"),
        ("type: string, format: date", &["2024-02-29"], &["2023-02-29"], "format"),
        ("type: string, format: time", &["10:00:00Z"], &["25:00:00Z"], "format"),
        ("type: string, format: date-time", &["2024-02-29T10:00:00Z"], &["2024-02-29"], "format"),
        ("type: string, format: duration", &["P1D"], &["1 day"], "format"),
        ("type: string, format: email", &["a@b.fr"], &["a"], "format"),
        ("type: string, format: uri", &["urn:x:y"], &["x y"], "format"),
        ("type: string, format: uri-reference", &["/a"], &["a b"], "format"),
        ("type: string, format: hostname", &["a.fr"], &["a_b!"], "format"),
        ("type: string, format: ipv4", &["10.0.0.1"], &["10.0.0"], "format"),
        ("type: string, format: ipv6", &["::1"], &["1"], "format"),
        ("type: string, format: regex", &["^a$"], &["("], "format"),
        ("type: string, format: uuid", &["cf3ce18c-f9b5-4b74-873b-987115526166"], &["cf3ce18c"], "format"),
        ("type: string, format: number", &["007"], &["7a"], "format"),
        ("type: array, items: {type: string, minLength: 2}", &["ab", "cd"], &["ab", "c"], "minLength"),
        ("type: array, items: {type: integer, minimum: 2}", &["2", "3"], &["1"], "minimum"),
        ("type: array, contains: {type: string, const: a}", &["a", "b"], &["b"], "contains"),
        ("type: array, minItems: 2", &["a", "b"], &["a"], "minItems"),
        ("type: array, maxItems: 1", &["a"], &["a", "b"], "maxItems"),
        ("type: array, uniqueItems: true, items: {type: number}", &["1", "2"], &["1", "1.0"], "uniqueItems"),
        ("type: integer, minimum: 2", &["2"], &["1"], "minimum"),
        ("type: integer, maximum: 2", &["2"], &["3"], "maximum"),
        ("type: number, exclusiveMinimum: 2", &["2.5"], &["2"], "exclusiveMinimum"),
        ("type: number, exclusiveMaximum: 2", &["1.5"], &["2"], "exclusiveMaximum"),
        ("type: integer, multipleOf: 3", &["6"], &["7"], "multipleOf"),
        ("type: string, enum: [a, b]", &["b"], &["c"], "enum"),
        ("type: string, const: a", &["a"], &["b"], "const"),
        ("type: boolean, const: true", &["TRUE"], &["FALSE"], "const"),
        ("type: string, min: 2, max: 3", &["abc"], &["abcd"], "maxLength"),
        ("type: number, min: 2", &["2"], &["1.5"], "minimum"),
        ("type: array, min: 2", &["a", "b"], &["a"], "minItems"),
        ("type: date, max: '2024-12-31'", &["2024-12-31"], &["2025-01-01"], "maxDate"),
        ("type: date", &["2024-02-29"], &["29/02/2024"], "type"),
        ("type: date", &["20240229100000Z"], &["2024"], "type"),
        ("type: date, minDate: '2024-01-01'", &["2024-01-01T00:00:00Z"], &["2023-12-31T23:59:59Z"], "minDate"),
        ("type: string, maxDate: '2024-01-01'", &["2024-01-01"], &["2024-01-02"], "maxDate"),
        ("type: number, positive: true", &["0.5"], &["0"], "positive"),
        ("type: number, negative: true", &["-0.5"], &["0"], "negative"),
        ("type: string, trim: true", &["a b"], &["a "], "trim"),
        ("type: string, lowercase: true", &["é1"], &["É"], "lowercase"),
        ("type: string, uppercase: true", &["É1"], &["é"], "uppercase"),
        ("type: string, camelCase: true", &["oneWord2"], &["OneWord"], "camelCase"),
        ("type: string, constantCase: true", &["ONE_WORD2"], &["ONE__WORD"], "constantCase"),
        ("type: array, items: {type: string, trim: true}", &["a"], &["a", " b"], "trim"),
        ("type: object, required: [a], properties: {a: {type: integer}}", &[r#"{"a":1}"#], &[r#"{"a":"x"}"#], "type"),
        ("type: object, additionalProperties: false", &["{}"], &[r#"{"a":1}"#], "additionalProperties"),
        ("type: number", &["1.5"], &["x"], "type"),
        ("type: array, format: uai", &["0751717J"], &["0751717J", "0751717K"], "format"),
    ] {
        let schema = probe(form).unwrap_or_else(|e| panic!("{form}: {e}"));
        let said = |values: &[&str]| faults(&schema, &person(&schema, &["probe"], &[("probe", values)]));
        assert_eq!(said(good), Vec::<String>::new(), "{form}");
        let found = said(bad);
        assert_eq!(found.len(), 1, "{form}: {found:?}");
        assert!(found[0].starts_with(&format!("probe/{rule}: ")), "{form}: {found:?}");
        assert_eq!(
            faults(&schema, &person(&schema, &["probe"], &[])),
            Vec::<String>::new(),
            "{form}: absent is absent"
        );
        assert!(!schema.rules().notes.iter().any(|n| n.reason.contains("no effect")), "{form}");
    }
}

#[test]
fn what_does_not_work_is_refused_with_its_line() {
    for (form, reason) in [
        ("type: string, round: true", "round: it would change the value"),
        ("type: number, truncate: true", "truncate: it would change the value"),
        ("type: array, ensure: true", "ensure: it would change"),
        ("type: array, compact: true", "compact: it would change"),
        ("type: string, default: a", "default: nothing is filled in"),
        ("type: object, noUnknown: true", "noUnknown: attributes that a rule file does not declare"),
        ("type: number, integer: true", "integer: write type: integer"),
        ("type: number, moreThan: 1", "moreThan: write exclusiveMinimum"),
        ("type: number, lessThan: 1", "lessThan: write exclusiveMaximum"),
        ("type: colour", "properties.probe.type: expected string, integer"),
        ("type: [string]", "properties.probe.type: expected string"),
        ("type: string, minLength: a", "minLength: expected a whole number"),
        ("type: string, minLength: -1", "minLength: expected a whole number"),
        ("type: number, minimum: a", "minimum: expected a number"),
        ("type: number, multipleOf: 0", "multipleOf: expected a number above 0"),
        ("type: string, pattern: 1", "pattern: expected text"),
        ("type: string, pattern: '('", "pattern"),
        ("type: string, format: colour", "format: is not a known format; expected one of date"),
        ("type: string, enum: []", "enum: expected a list of values of type string"),
        ("type: string, enum: [1]", "enum: expected a list of values of type string"),
        ("type: integer, const: a", "const: expected a value of type integer"),
        ("type: string, trim: 1", "trim: expected true or false"),
        ("type: date, minDate: soon", "minDate: expected a date"),
        ("type: string, min: 1, minLength: 2", "minLength is given a second time"),
        ("type: array, items: string", "items: expected the form of a member"),
        ("type: array, items: {type: array}", "items.type: an attribute has no lists of lists"),
        ("type: array, items: {colour: red}", "items.colour: is not a key"),
        ("type: array, contains: {type: string, trim: true}", "contains.trim: works on a value and on items"),
        ("type: string, $ref: a", "$ref: is not a key"),
        ("type: string, allOf: []", "allOf: is not a key"),
        ("type: string, keys: [a]", "keys: belongs to format: supann-composite"),
        ("type: string, format: uai, tags: [a]", "tags: belongs to format: supann-tagged"),
        ("type: string, format: supann-tagged, closed: true", "closed: true needs tags"),
        ("type: string, format: supann-composite, keys: [a], mandatory: [b]", "'b' must be one of its keys"),
        ("type: string, format: supann-composite, keys: [a], values: {a: {pattern: '('}}", "values.a"),
    ] {
        let error = probe(form).err().unwrap_or_else(|| panic!("{form} was taken"));
        assert!(error.contains(reason), "{form}: {error}");
        assert!(error.starts_with("x/probe.yml:4: at properties.probe"), "{form}: {error}");
    }
    for (text, expected) in [
        ("type: object\nallOf: []", "x/probe.yml:2: at allOf: is none of the keys"),
        ("type: object\nadditionalProperties: false", "x/probe.yml:2: at additionalProperties"),
        ("type: array", "x/probe.yml:1: at type: expected 'object'"),
        ("properties: {}", "x/probe.yml: at type: missing"),
        ("type: object\nproperties:\n  probe: {minLength: 1}", "x/probe.yml:3: at properties.probe: type is missing"),
        ("type: object\n$schema: 7", "x/probe.yml:2: at $schema: expected text"),
        ("type: object\nrequired: x", "x/probe.yml:2: at required: expected a list"),
        (
            "type: object\nrequired:\n- sn\n- shoe",
            "x/probe.yml:3: at required.0: 'sn' must be declared under properties (the LDAP",
        ),
        (
            "type: object\nrequired:\n- sn\n- shoe",
            "x/probe.yml:4: at required.1: 'shoe' must be declared under properties",
        ),
        (
            "type: object\nproperties:\n  sn: {type: string}\n  surname: {type: string}",
            "x/probe.yml:4: at properties.surname: is declared a second time",
        ),
        ("type: object\nproperties: [", "x/probe.yml:"),
        ("- a", "expected the keys $schema"),
    ] {
        let error = compile(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_key_of_another_type_is_noted() {
    for form in [
        "type: array, minLength: 1",
        "type: string, minimum: 1",
        "type: number, format: date",
        "type: array, format: date",
    ] {
        let schema = probe(form).unwrap();
        assert!(schema.rules().notes.iter().any(|n| n.reason.starts_with("says nothing of")), "{form}");
    }
}

#[test]
fn formats_take_what_they_should() {
    const COMPOSITE: &str = "format: supann-composite, keys: [a, b, c], mandatory: [a, b], values: {a: {format: supann-tagged, tags: [T]}, b: {pattern: '^[0-9]+$'}}";
    const TAGGED: &str = "format: supann-tagged, tags: [PERSO, PRO], bare: [INCONNU], values: {PRO: {minLength: 3}}";
    const CLOSED: &str = "format: supann-tagged, tags: [PERSO], closed: true";
    for (form, value, reason) in [
        (COMPOSITE, "[a={T}x][b=1]", ""),
        (COMPOSITE, "[a={T}x][b=1][c=y]", ""),
        (COMPOSITE, "[a={T}x][libelle=é = à][b=1]", ""),
        (COMPOSITE, "[a={T}x]", "the key b is missing"),
        (COMPOSITE, "[b=1][a={T}x]", "the key a must stand before b"),
        (COMPOSITE, "[a={T}x][a={T}y][b=1]", "the key a occurs twice"),
        (COMPOSITE, "[a={T}x][b=1][a={T}y]", "the key a occurs twice"),
        (COMPOSITE, "[a={T}x] [b=1]", "breaks off at character 9"),
        (COMPOSITE, "a=x", "breaks off at character 1"),
        (COMPOSITE, "[a={T}x][b=1", "breaks off at character 13"),
        (COMPOSITE, "[a={T}x][b=]", "breaks off at character 12"),
        (COMPOSITE, "[a={T}x][=1]", "breaks off at character 10"),
        (COMPOSITE, "[a={T}x][b-b=1]", "breaks off at character 11"),
        (COMPOSITE, "[a={X}x][b=1]", "under the key a: the tag must be one of T, or a local one"),
        (COMPOSITE, "[a={T}x][b=z]", "under the key b: does not match the pattern ^[0-9]+$"),
        (TAGGED, "{PERSO}x y", ""),
        (TAGGED, "{INCONNU}", ""),
        (TAGGED, "{UAI:0123456X}y", ""),
        (TAGGED, "{UAI:0123456X:SCOL}y", ""),
        (TAGGED, "{SIRET:12345678901234:A B}y", ""),
        (TAGGED, "{UAI:012345X}y", "a local tag is {UAI:code}"),
        (TAGGED, "{SIREN:123456789}y", "a local tag is {UAI:code}"),
        (TAGGED, "{TEMP}x", "the tag must be one of PERSO, PRO, INCONNU, or a local one"),
        (TAGGED, "{PRO}xy", "behind the tag PRO: expected at least 3 characters"),
        (TAGGED, "{PERSO}", "breaks off at character 8"),
        (TAGGED, "{PERSO} x", "breaks off at character 8"),
        (TAGGED, "{PERSO}a{b", "breaks off at character 9"),
        (TAGGED, "PERSO", "breaks off at character 1"),
        (TAGGED, "{PERSO", "breaks off at character 7"),
        (TAGGED, "{perso}x", "the tag must be one of"),
        (CLOSED, "{PERSO}x", ""),
        (CLOSED, "{UAI:0123456X}y", "the tag must be one of PERSO"),
        ("format: supann-tagged", "{ANY}y", ""),
        ("format: supann-etat", "{COMPTE}A", ""),
        ("format: supann-etat", "{MAIL}I:SupannExpire", ""),
        ("format: supann-etat", "{UAI:0123456X:BU}S:SupannVerrouille", ""),
        ("format: supann-etat", "{COMPTE}A:SupannInactif", "the substate of A is one of SupannAnticipe"),
        ("format: supann-etat", "{COMPTE}O", "the state is A, I or S"),
        ("format: supann-etat", "COMPTE", "expected {RESOURCE}STATE"),
        ("format: supann-etat", "{COMPTE} A", "the state is A, I or S"),
        ("format: supann-etat-date", "{COMPTE}A:SupannSursis:20260901:20261231", ""),
        ("format: supann-etat-date", "{COMPTE}A:::", ""),
        ("format: supann-etat-date", "{COMPTE}A::20260901:", ""),
        ("format: supann-etat-date", "{COMPTE}A::20260901", "always with 3 colons"),
        ("format: supann-etat-date", "{COMPTE}A::20260231:", "the start is a day"),
        ("format: supann-etat-date", "{COMPTE}A:::2026", "the end is a day"),
        ("format: uai", "0751717J", ""),
        ("format: uai", "0751717j", ""),
        ("format: uai", "0751717K", "the check letter"),
        ("format: uai", "075171J", "7 digits and a letter"),
        ("format: uai", "07517170", "7 digits and a letter"),
        ("format: siret", "73282932000074", ""),
        ("format: siret", "35600000000048", ""),
        ("format: siret", "73282932000075", "the check digit"),
        ("format: siret", "7328293200007", "14 digits"),
        ("format: ine", "1234567890A", ""),
        ("format: ine", "123456789AB", ""),
        ("format: ine", "0DA1B2C3D45", ""),
        ("format: ine", "12345678ABC", "11 characters"),
        ("format: ine", "123456789", "11 characters"),
        ("format: e164", "+33123456789", ""),
        ("format: e164", "+33 1 23", "2 to 15 digits"),
        ("format: e164", "0123456789", "2 to 15 digits"),
        ("format: e164", "+0123", "2 to 15 digits"),
        ("format: e164", "+1234567890123456", "2 to 15 digits"),
    ] {
        for (kind, items) in
            [(format!("type: string, {form}"), false), (format!("type: array, items: {{type: string, {form}}}"), true)]
        {
            let schema = probe(&kind).unwrap_or_else(|e| panic!("{kind}: {e}"));
            let found = faults(&schema, &person(&schema, &["probe"], &[("probe", &[value])]));
            match reason {
                "" => assert_eq!(found, Vec::<String>::new(), "{kind} {value} {items}"),
                _ => assert!(found.len() == 1 && found[0].contains(reason), "{kind} {value}: {found:?}"),
            }
            assert!(!found.iter().any(|f| f.contains("é = à")), "{found:?}");
        }
    }
}

/// The files under tests/fixtures, written after the facts on Sesame.
fn sesame() -> Schema {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sesame-rules");
    let classes = ["inetorgperson.yml", "sesameLocal.yml", "supannPerson.yml"];
    let classes = classes.map(|n| (folder.join(n), std::fs::read_to_string(folder.join(n)).unwrap()));
    Schema::compile(&Sources { classes: classes.to_vec(), ..Sources::shipped() }).unwrap()
}

#[test]
fn sesame_files_load_unchanged() {
    let schema = sesame();
    let classes = &["sesameLocal", "supannPerson"][..];
    let whole: &[(&str, &[&str])] = &[
        ("sn", &["MARTIN"]),
        ("uid", &["zmartin"]),
        ("employeeNumber", &["12"]),
        ("employeeType", &["LOCAL"]),
        ("departmentNumber", &["DSI"]),
        ("supannTypeEntiteAffectation", &["{SUPANN}S230"]),
        ("supannRefId", &["{HARPEGE}12"]),
        ("localBirthName", &["Martin"]),
    ];
    assert_eq!(faults(&schema, &person(&schema, classes, whole)), Vec::<String>::new());
    let broken: Vec<(&str, &[&str])> = [
        whole,
        &[
            ("localBirthDate", &["1/2/1980"][..]),
            ("supannScores", &["20", "21"]),
            ("supannCivilite", &["Dr"]),
            ("supannCodeINE", &["1"]),
            ("supannEmpId", &["0"]),
            ("mail", &["nobody"]),
            ("supannPrefs", &["{"]),
        ],
    ]
    .concat();
    let found = faults(&schema, &person(&schema, classes, &broken));
    let rules: Vec<&str> = found.iter().filter_map(|f| f.split(':').next()).collect();
    assert_eq!(
        rules,
        [
            "mail/format",
            "localBirthDate/type",
            "supannPrefs/type",
            "supannScores/exclusiveMaximum",
            "supannCivilite/pattern",
            "supannCodeINE/pattern",
            "supannEmpId/positive"
        ],
        "{found:#?}"
    );
    let bare = faults(&schema, &person(&schema, classes, &[]));
    assert_eq!(bare.iter().filter(|f| f.ends_with("/required: is required")).count(), 6, "{bare:?}");
    let notes = schema.rules().notes.len();
    assert_eq!(notes, 5, "{:#?}", schema.rules().notes);
}

#[test]
fn violations_are_told_in_the_language_of_whoever_asks() {
    let classes = vec![(
        PathBuf::from("probe.yml"),
        "type: object\nproperties: {probe: {type: string, minLength: 3}}".to_owned(),
    )];
    let schema = Schema::compile(&Sources { classes, language: Language::Fr, ..Sources::shipped() }).unwrap();
    let checked = schema.validate(&person(&schema, &["probe"], &[("probe", &["a"])]), Scope::Identity, vec![]).unwrap();
    let [violation] = checked.class_faults.as_slice() else { panic!("{:?}", checked.class_faults) };
    assert_eq!(violation.fault, Fault::ClassRule);
    assert_eq!(violation.to_string(), "probe.probe (minLength): au moins 3 caractères sont attendus");
    assert_eq!(violation.text(Language::En), "expected at least 3 characters");
}
