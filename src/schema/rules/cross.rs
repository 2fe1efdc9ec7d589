//! Rules between the attributes of one identity (`schemas/cross.yml`): one value among others,
//! values that exclude each other, attributes that repeat what composite values hold.

use super::composite;
use crate::schema::{
    Attr, AttrDesc, AttrId, ClassId, Fault as Kind, Schema, Violation,
    fault::{Error, Fault},
    load::{SHIPPED_CROSS, Sources, yaml},
    message::{Reason, Said},
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Whether a rule holds, and who sees to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Check,
    Off,
    /// The server adds what is missing.
    Derive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Def>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Def {
    name: SmolStr,
    #[serde(default)]
    mode: Mode,
    /// Told with each violation.
    #[serde(default)]
    description: String,
    one_of: Option<OneOfDef>,
    excludes: Option<ExcludesDef>,
    repeats: Option<RepeatsDef>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneOfDef {
    value: SmolStr,
    among: SmolStr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExcludesDef {
    attribute: SmolStr,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatsDef {
    composite: SmolStr,
    keys: BTreeMap<SmolStr, SmolStr>,
}

#[derive(Debug)]
pub struct CrossRule {
    pub name: SmolStr,
    pub mode: Mode,
    description: String,
    relation: Relation,
}

#[derive(Debug)]
enum Relation {
    OneOf { value: AttrId, among: AttrId },
    Excludes { attribute: AttrId, values: Vec<String> },
    Repeats { composite: AttrId, keys: Vec<(SmolStr, AttrId)> },
}

/// Reads the table. The shipped one leaves out, with a note, what the LDAP schema does not know.
pub(super) fn load(schema: &Schema, sources: &Sources, notes: &mut Vec<Fault>) -> Result<Vec<CrossRule>, Error> {
    let shipped = (PathBuf::from("schemas/cross.yml"), SHIPPED_CROSS.to_owned());
    let (path, text) = sources.cross.as_ref().unwrap_or(&shipped);
    let file: File = yaml(path, text)?;
    let mut rules: Vec<CrossRule> = Vec::new();
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (at, def) in file.rules.into_iter().enumerate() {
        let keys = ["rules", &at.to_string()];
        let name = def.name.clone();
        if !names.insert(name.clone()) {
            faults.push(Fault::within(path, text, &keys, format!("a second rule '{name}'")));
        }
        let wanted = sources.cross_modes.get(&name).copied();
        match bind(schema, def, wanted) {
            Ok(rule) => rules.push(rule),
            Err(Unbound::UnknownAttribute(reason)) if sources.cross.is_none() => {
                notes.push(Fault::within(path, text, &keys, format!("'{name}' is left out: {reason}")));
            }
            Err(Unbound::UnknownAttribute(reason) | Unbound::Malformed(reason)) => {
                faults.push(Fault::within(path, text, &keys, reason));
            }
        }
    }
    for name in sources.cross_modes.keys().filter(|name| !names.contains(*name)) {
        let known = names.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(", ");
        let reason = format!("the configuration switches '{name}', which is none of its rules: {known}");
        faults.push(Fault::whole(Path::new(path), "identities.cross", reason));
    }
    if faults.is_empty() { Ok(rules) } else { Err(Error::Faults(faults)) }
}

enum Unbound {
    UnknownAttribute(String),
    Malformed(String),
}

fn bind(schema: &Schema, def: Def, wanted: Option<Mode>) -> Result<CrossRule, Unbound> {
    let attr = |name: &SmolStr| {
        let unknown = || Unbound::UnknownAttribute(format!("'{name}' is not an attribute type of the LDAP schema"));
        schema.attr_id(name).ok_or_else(unknown)
    };
    let relation = match (def.one_of, def.excludes, def.repeats) {
        (Some(d), None, None) => Relation::OneOf { value: attr(&d.value)?, among: attr(&d.among)? },
        (None, Some(d), None) => Relation::Excludes { attribute: attr(&d.attribute)?, values: d.values },
        (None, None, Some(d)) => Relation::Repeats {
            composite: attr(&d.composite)?,
            keys: d.keys.iter().map(|(key, name)| Ok((key.clone(), attr(name)?))).collect::<Result<_, _>>()?,
        },
        _ => return Err(Unbound::Malformed("expected one of one_of, excludes and repeats".to_owned())),
    };
    let mode = wanted.unwrap_or(def.mode);
    if mode == Mode::Derive && !matches!(relation, Relation::Repeats { .. }) {
        return Err(Unbound::Malformed(format!("'{}': only a rule of kind repeats can derive", def.name)));
    }
    Ok(CrossRule { name: def.name, mode, description: def.description, relation })
}

/// The values of an attribute without options.
fn held(attrs: &[Attr], id: AttrId) -> &[Vec<u8>] {
    let attr = attrs.iter().find(|a| a.desc.id == id && a.desc.options.is_empty());
    attr.map(|a| a.values.as_slice()).unwrap_or_default()
}

impl Schema {
    /// What an identity breaks of the rules between attributes.
    pub(in crate::schema) fn cross_faults(
        &self,
        rules: &[CrossRule],
        attrs: &[Attr],
        classes: &BTreeSet<ClassId>,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        for rule in rules.iter().filter(|r| r.mode == Mode::Check) {
            let mut broken = |attr: AttrId, reason: Reason| {
                let class = self.allowing(attr, classes).map_or("", SmolStr::as_str);
                let reason = reason.in_words(&rule.description);
                found.push(self.because(Kind::ClassRule, class, &self.attribute(attr).name, &rule.name, reason));
            };
            match &rule.relation {
                Relation::OneOf { value, among } => {
                    let name = &self.attribute(*among).name;
                    if !held(attrs, *value).iter().all(|v| self.holds(attrs, *among, v)) {
                        broken(*value, Reason::new(Said::NotAmong).with(name));
                    }
                }
                Relation::Excludes { attribute, values } => {
                    if values.iter().filter(|v| self.holds(attrs, *attribute, v.as_bytes())).count() > 1 {
                        broken(*attribute, Reason::new(Said::Excludes).with(values.join(", ")));
                    }
                }
                Relation::Repeats { composite, keys } => {
                    let missing = self.not_repeated(attrs, *composite, keys);
                    let name = &self.attribute(*composite).name;
                    let mut told = BTreeSet::new();
                    for (key, attr, _) in missing {
                        if told.insert((key.clone(), attr)) {
                            broken(attr, Reason::new(Said::Repeats).with(name).with(&key));
                        }
                    }
                }
            }
        }
        found
    }

    /// Adds the elementary values that composite ones imply, where the configuration asks for it.
    /// What no class of the entry allows, or what a single value stands in the way of, is left out.
    pub fn derive(&self, attrs: &mut Vec<Attr>) {
        let rules = self.rules();
        if !rules.cross.iter().any(|r| r.mode == Mode::Derive) {
            return;
        }
        let classes = self.entry_classes(attrs, &mut Vec::new());
        for rule in rules.cross.iter().filter(|r| r.mode == Mode::Derive) {
            let Relation::Repeats { composite, keys } = &rule.relation else { continue };
            for (_, id, value) in self.not_repeated(attrs, *composite, keys) {
                let attribute = self.attribute(id);
                let is_full = attribute.single_value && !held(attrs, id).is_empty();
                let is_there = self.holds(attrs, id, &value);
                if is_full
                    || is_there
                    || self.allowing(id, &classes).is_none()
                    || !attribute.syntax.accepts(&value, self)
                {
                    continue;
                }
                match attrs.iter_mut().find(|a| a.desc.id == id && a.desc.options.is_empty()) {
                    Some(attr) => attr.values.push(value),
                    None => attrs.push(Attr { desc: AttrDesc::plain(id), values: vec![value] }),
                }
            }
        }
    }

    /// What stands under the keys of composite values and not in the attributes that repeat it.
    fn not_repeated(
        &self,
        attrs: &[Attr],
        composite: AttrId,
        keys: &[(SmolStr, AttrId)],
    ) -> Vec<(SmolStr, AttrId, Vec<u8>)> {
        let texts = held(attrs, composite).iter().filter_map(|v| std::str::from_utf8(v).ok());
        // What is no composite value breaks a rule of its own.
        let fields = texts.filter_map(|text| composite::fields(text).ok()).flatten();
        let named = fields.filter_map(|(key, value)| {
            let (key, attr) = keys.iter().find(|(k, _)| k == key)?;
            Some((key.clone(), *attr, value.as_bytes().to_vec()))
        });
        named.filter(|(_, attr, value)| !self.holds(attrs, *attr, value)).collect()
    }

    fn holds(&self, attrs: &[Attr], id: AttrId, value: &[u8]) -> bool {
        let wanted = self.normalize(id, value);
        held(attrs, id).iter().any(|v| v == value || wanted.is_some() && self.normalize(id, v) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Scope;

    fn schema(modes: &[(&str, Mode)]) -> Schema {
        let cross_modes = modes.iter().map(|(name, mode)| (SmolStr::new(name), *mode)).collect();
        Schema::compile(&Sources { cross_modes, ..Sources::shipped() }).unwrap()
    }

    fn person(schema: &Schema, extra: &[(&str, &[&str])]) -> Vec<Attr> {
        let classes = ["top", "person", "organizationalPerson", "inetOrgPerson", "supannPerson", "eduPerson"];
        let base: [(&str, &[&str]); 4] = [("objectClass", &classes), ("cn", &["A"]), ("sn", &["A"]), ("uid", &["a"])];
        base.iter()
            .chain(extra)
            .map(|(name, values)| Attr {
                desc: schema.describe(name).unwrap(),
                values: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
            })
            .collect()
    }

    fn faults(schema: &Schema, attrs: &[Attr]) -> Vec<String> {
        let checked = schema.validate(attrs, Scope::Identity, vec![]).unwrap();
        checked.class_faults.iter().map(ToString::to_string).collect()
    }

    const ROLE: &str = "[role={SUPANN}D30][type={SUPANN}S231][code=DSI]";

    #[test]
    fn values_stand_in_relation_to_each_other() {
        let schema = schema(&[("role-codes", Mode::Check)]);
        for (extra, expected) in [
            (
                &[("supannEntiteAffectationPrincipale", &["dsi"][..]), ("supannEntiteAffectation", &["DSI", "UFR"])][..],
                &[][..],
            ),
            (
                &[("supannEntiteAffectationPrincipale", &["X"]), ("supannEntiteAffectation", &["DSI"])],
                &[
                    "supannPerson.supannEntiteAffectationPrincipale (principal-affectation): must be one of the values of supannEntiteAffectation",
                ],
            ),
            (
                &[("eduPersonPrimaryAffiliation", &["staff"])],
                &[
                    "eduPerson.eduPersonPrimaryAffiliation (primary-affiliation): must be one of the values of eduPersonAffiliation",
                ],
            ),
            (
                &[("eduPersonAffiliation", &["member", "affiliate", "staff"])],
                &[
                    "eduPerson.eduPersonAffiliation (member-or-affiliate): the values member, affiliate exclude each other",
                ],
            ),
            (
                &[
                    ("supannRoleEntite", &[ROLE]),
                    ("supannRoleGenerique", &["{SUPANN}D30"]),
                    ("supannEntiteAffectation", &["DSI"]),
                ],
                &[
                    "supannPerson.supannTypeEntiteAffectation (role-codes): must repeat what supannRoleEntite holds under the key type",
                ],
            ),
        ] {
            assert_eq!(faults(&schema, &person(&schema, extra)), expected, "{extra:?}");
        }
    }

    #[test]
    fn elementary_values_are_derived_on_request() {
        let schema = schema(&[("role-codes", Mode::Derive), ("employment-codes", Mode::Derive)]);
        let extra: &[(&str, &[&str])] = &[
            ("supannRoleEntite", &[ROLE]),
            ("supannEntiteAffectation", &["UFR"]),
            ("supannEmpProfil", &["[etab={UAI}0123456X][affil=staff]"]),
        ];
        let mut attrs = person(&schema, extra);
        schema.derive(&mut attrs);
        let values = |name: &str| {
            let id = schema.attr_id(name).unwrap();
            held(&attrs, id).iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values("supannEntiteAffectation"), ["UFR", "DSI"]);
        assert_eq!(values("supannRoleGenerique"), ["{SUPANN}D30"]);
        assert_eq!(values("supannTypeEntiteAffectation"), ["{SUPANN}S231"]);
        assert_eq!(values("eduPersonAffiliation"), ["staff"]);
        assert_eq!(faults(&schema, &attrs), Vec::<String>::new());
        let again = attrs.clone();
        schema.derive(&mut attrs);
        assert_eq!(attrs, again);
        // Without eduPerson there is no place for an affiliation.
        let mut attrs = person(&schema, extra);
        attrs.iter_mut().for_each(|a| a.values.retain(|v| v != b"eduPerson"));
        schema.derive(&mut attrs);
        assert!(held(&attrs, schema.attr_id("eduPersonAffiliation").unwrap()).is_empty());
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        let with = |cross: Option<&str>, modes: &[(&str, Mode)]| {
            let cross = cross.map(|text| (PathBuf::from("x/cross.yml"), text.to_owned()));
            let cross_modes = modes.iter().map(|(name, mode)| (SmolStr::new(name), *mode)).collect();
            Schema::compile(&Sources { cross, cross_modes, ..Sources::shipped() }).err().map(|e| e.to_string())
        };
        assert_eq!(with(None, &[("member-or-affiliate", Mode::Off)]), None);
        for (text, modes, reason) in [
            (
                Some("rules:\n- {name: a}"),
                &[][..],
                "x/cross.yml:2: at rules.0: expected one of one_of, excludes and repeats",
            ),
            (
                Some("rules:\n- {name: a, one_of: {value: sn, among: nope}}"),
                &[],
                "x/cross.yml:2: at rules.0: 'nope' is not an attribute",
            ),
            (
                Some("rules:\n- {name: a, mode: derive, one_of: {value: sn, among: cn}}"),
                &[],
                "only a rule of kind repeats can derive",
            ),
            (
                Some(
                    "rules:\n- {name: a, one_of: {value: sn, among: cn}}\n- {name: a, one_of: {value: sn, among: cn}}",
                ),
                &[],
                "x/cross.yml:3: at rules.1: a second rule 'a'",
            ),
            (Some("rules:\n- {name: a, colour: red}"), &[], "unknown field `colour`"),
            (None, &[("nope", Mode::Off)], "at identities.cross: the configuration switches 'nope'"),
            (None, &[("member-or-affiliate", Mode::Derive)], "only a rule of kind repeats can derive"),
        ] {
            let error = with(text, modes).unwrap_or_default();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
