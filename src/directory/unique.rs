//! Uniqueness: within an area, no two entries hold the same value of the attributes of a rule.
//! Decided by the writer on the indexes, so that of two writes in one commit the second sees the
//! first. A rule of several attributes together forbids only that another entry holds a value of
//! each of them.

use super::{EntryId, Error, Node, Snapshot, View, plan::Context};
use crate::{
    access::Right,
    dn::{Dn, DnKey},
    entry::Entry,
    filter::{self, Filter, Plain},
    schema::{AttrId, Schema},
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::collections::HashSet;

/// A rule as the configuration writes it. One of the name of a rule that the program has changes
/// that rule, and what it leaves out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniqueDef {
    pub name: SmolStr,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// No value of one of them may be a value of any of them in another entry.
    pub attributes: Option<Vec<SmolStr>>,
    /// No other entry may hold a value of each of them; one alone may be held by many.
    pub together: Option<bool>,
    /// Names in which `{suffix}` stands for the suffix. Absent: where identities are.
    pub bases: Option<Vec<String>>,
    /// Only entries that match it count. Absent: people (inetOrgPerson).
    pub filter: Option<String>,
}

fn yes() -> bool {
    true
}

const PEOPLE: &str = "(objectClass=inetOrgPerson)";

/// What a person is known by to the systems behind the directory. A login alias is a login, and a
/// further mail address an address.
const RULES: &[(&str, &[&str])] = &[
    ("uid", &["uid", "supannAliasLogin"]),
    ("mail", &["mail", "supannAutreMail"]),
    ("supannEmpId", &["supannEmpId"]),
    ("supannEtuId", &["supannEtuId"]),
    ("eduPersonPrincipalName", &["eduPersonPrincipalName"]),
];

/// What Sesame's importers know a person by.
const KEY: [&str; 2] = ["employeeNumber", "employeeType"];

/// A rule bound to the schema.
#[derive(Clone, Debug)]
pub struct Unique {
    pub name: SmolStr,
    pub attributes: Vec<AttrId>,
    together: bool,
    bases: Vec<DnKey>,
    filter: Filter,
}

impl Unique {
    /// The program's rules as `defs` change them, and those of `defs` itself.
    pub fn bind(defs: &[UniqueDef], identities: &[DnKey], suffix: &str, schema: &Schema) -> Result<Vec<Self>, String> {
        let is_known = |name: &&&str| schema.attr_id(name).is_some();
        let own = RULES.iter().map(|(name, attributes)| UniqueDef {
            name: SmolStr::new_static(name),
            enabled: true,
            attributes: Some(attributes.iter().filter(is_known).map(|a| SmolStr::new_static(a)).collect()),
            ..UniqueDef::default()
        });
        let code = schema.attr_id("supannCodeEntite").map(|_| UniqueDef {
            name: SmolStr::new_static("supannCodeEntite"),
            enabled: true,
            attributes: Some(vec![SmolStr::new_static("supannCodeEntite")]),
            // The tree of structures is by code, wherever they stand.
            bases: Some(vec!["{suffix}".to_owned()]),
            filter: Some("(objectClass=supannEntite)".to_owned()),
            together: None,
        });
        let known_key = KEY.iter().all(|name| schema.attr_id(name).is_some());
        let key = known_key.then(|| UniqueDef {
            name: SmolStr::new_static("employeeNumber"),
            enabled: true,
            attributes: Some(KEY.iter().map(|name| SmolStr::new_static(name)).collect()),
            together: Some(true),
            ..UniqueDef::default()
        });
        let mut rules: Vec<UniqueDef> = own.chain(code).chain(key).collect();
        for def in defs {
            match rules.iter_mut().find(|rule| rule.name == def.name) {
                None => rules.push(def.clone()),
                Some(rule) => {
                    rule.enabled = def.enabled;
                    rule.attributes = def.attributes.clone().or(rule.attributes.take());
                    rule.together = def.together.or(rule.together);
                    rule.bases = def.bases.clone().or(rule.bases.take());
                    rule.filter = def.filter.clone().or(rule.filter.take());
                }
            }
        }
        let bound = rules.iter().filter(|rule| rule.enabled).map(|rule| {
            bind(rule, identities, suffix, schema).map_err(|reason| format!("rule '{}': {reason}", rule.name))
        });
        bound.filter(|rule| rule.as_ref().map_or(true, |r| !r.attributes.is_empty())).collect()
    }

    fn in_area(&self, key: &DnKey) -> bool {
        self.bases.iter().any(|base| key.is_within(base))
    }

    /// Refuses if another entry holds a value of `node`, which stands, or is to stand, at `key`.
    /// What the entry held before, under the same rule, is not held against it.
    fn check(&self, context: &Context<'_>, node: &Node, key: &DnKey, before: Option<&Entry>) -> Result<(), Error> {
        let snapshot = context.base;
        let schema = &snapshot.schema;
        if !self.in_area(key) || !self.filter.matches(&Plain(&node.entry), schema) {
            return Ok(());
        }
        if self.together {
            return self.check_together(context, node, before);
        }
        for attr in &self.attributes {
            if before.is_some_and(|entry| entry.values(*attr).eq(node.entry.values(*attr))) {
                continue;
            }
            let held: HashSet<_> =
                before.into_iter().flat_map(|e| e.values(*attr)).map(|v| schema.identity(*attr, v)).collect();
            for value in node.entry.values(*attr) {
                if held.contains(&schema.identity(*attr, value)) {
                    continue;
                }
                if let Some(holder) = self.holder(snapshot, value, node.id) {
                    return Err(self.refusal(context, *attr, holder));
                }
            }
        }
        Ok(())
    }

    fn check_together(&self, context: &Context<'_>, node: &Node, before: Option<&Entry>) -> Result<(), Error> {
        let snapshot = context.base;
        let schema = &snapshot.schema;
        let Some(first) = self.attributes.first() else { return Ok(()) };
        let same = |attr: &AttrId, one: &Entry, other: &Entry| {
            let held: HashSet<_> = one.values(*attr).map(|v| schema.identity(*attr, v)).collect();
            other.values(*attr).any(|v| held.contains(&schema.identity(*attr, v)))
        };
        let share = |one: &Entry, other: &Entry| self.attributes.iter().all(|attr| same(attr, one, other));
        if before.is_some_and(|old| self.attributes.iter().all(|attr| old.values(*attr).eq(node.entry.values(*attr)))) {
            return Ok(());
        }
        for value in node.entry.values(*first) {
            let mut holders = self.holders(snapshot, std::slice::from_ref(first), value, node.id);
            let is_new = |holder: &&Node| {
                share(&node.entry, &holder.entry) && !before.is_some_and(|old| share(old, &holder.entry))
            };
            if let Some(holder) = holders.find(is_new) {
                return Err(self.refusal(context, *first, holder));
            }
        }
        Ok(())
    }

    fn holder<'s>(&self, snapshot: &'s Snapshot, value: &[u8], own: EntryId) -> Option<&'s Node> {
        self.holders(snapshot, &self.attributes, value, own).next()
    }

    /// Other entries under the rule that hold a value in one of some attributes.
    fn holders<'s>(
        &self,
        snapshot: &'s Snapshot,
        attributes: &[AttrId],
        value: &[u8],
        own: EntryId,
    ) -> impl Iterator<Item = &'s Node> {
        let mut holders = Vec::new();
        for attr in attributes {
            if let Some(key) = snapshot.schema.normalize(*attr, value) {
                snapshot.index.equal(*attr, &key, &mut holders);
            }
        }
        let others = holders.into_iter().filter(move |id| *id != own).filter_map(|id| snapshot.node(id));
        let bound = others.filter(|node| {
            self.in_area(&snapshot.dn_key_of(node))
                && self.filter.matches(&View::unrestricted(snapshot, node), &snapshot.schema)
        });
        bound.map(AsRef::as_ref)
    }

    /// Who holds the value is told only to those who could find it by a search.
    fn refusal(&self, context: &Context<'_>, attr: AttrId, holder: &Node) -> Error {
        let grants = context.grants();
        let place = context.place(&grants, holder);
        let sees = place.allows(None, Right::Read)
            && self.attributes.iter().all(|attr| place.allows(Some(*attr), Right::Read));
        Error::NotUnique {
            attr: context.base.schema.attribute(attr).name.to_string(),
            rule: self.name.to_string(),
            holder: sees.then(|| context.base.dn_text(holder)),
        }
    }
}

/// Refuses a node that is to be put if a rule forbids its values. `context` is of the state before.
pub(super) fn check(context: &Context<'_>, node: &Node) -> Result<(), Error> {
    let snapshot = context.base;
    let old = snapshot.by_uuid(node.entry.uuid);
    let key = snapshot.dn_key_of(node);
    for rule in &context.options.relations.unique {
        let was_bound = |old: &&std::sync::Arc<Node>| {
            rule.in_area(&snapshot.dn_key_of(old)) && rule.filter.matches(&Plain(&old.entry), &snapshot.schema)
        };
        rule.check(context, node, &key, old.filter(was_bound).map(|n| n.entry.as_ref()))?;
    }
    Ok(())
}

/// The same for all that came into another area with an entry that was moved from `from`.
/// `context` is of the state after.
pub(super) fn check_moved(context: &Context<'_>, node: &Node, from: &DnKey) -> Result<(), Error> {
    let snapshot = context.base;
    let to = snapshot.dn_key_of(node);
    for rule in &context.options.relations.unique {
        // An area below the moved entry went with its name; one above it was left or entered.
        if rule.in_area(from) == rule.in_area(&to) {
            continue;
        }
        for below in snapshot.walk_from(Some(node.id)) {
            rule.check(context, below, &snapshot.dn_key_of(below), None)?;
        }
    }
    Ok(())
}

fn bind(def: &UniqueDef, identities: &[DnKey], suffix: &str, schema: &Schema) -> Result<Unique, String> {
    let attribute = |name: &SmolStr| {
        let id = schema.attr_id(name).filter(|id| super::can_index(*id, schema));
        id.ok_or_else(|| format!("'{name}' is not a stored attribute type with an equality rule"))
    };
    let base = |text: &String| {
        let text = text.replace("{suffix}", suffix);
        Dn::parse(&text).map(|dn| schema.dn_key(&dn)).map_err(|e| format!("bases: '{text}': {e}"))
    };
    let filter = filter::parse(def.filter.as_deref().unwrap_or(PEOPLE)).map_err(|e| format!("filter: {e}"))?;
    let attributes = def.attributes.as_ref().ok_or("attributes: which ones?")?;
    Ok(Unique {
        name: def.name.clone(),
        attributes: attributes.iter().map(attribute).collect::<Result<_, _>>()?,
        together: def.together.unwrap_or(false),
        bases: match &def.bases {
            Some(bases) => bases.iter().map(base).collect::<Result<_, _>>()?,
            None => identities.to_vec(),
        },
        filter: Filter::bind(&filter, schema),
    })
}
