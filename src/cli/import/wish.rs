//! What a record asks for, held against the entry that is there: nothing, an add, or the smallest
//! modify.

use super::mapping::Absent;
use crate::{
    dn::{Dn, DnKey, Rdn},
    entry::{
        Draft, ModKind,
        ldif::{Record, RecordKind},
    },
    lifecycle::Resources,
    schema::{Attr, AttrDesc, AttrId, Schema, Scope},
};
use smol_str::SmolStr;
use std::collections::HashSet;

pub enum Wish {
    /// To be done as it stands.
    Change(Record),
    Upsert(Upsert),
}

/// An entry as it should be, as far as the record speaks of it.
pub struct Upsert {
    /// Its name if it is new; none if the record lacks a part of it.
    pub dn: Option<String>,
    /// Where it is looked for by the keys.
    pub base: SmolStr,
    /// Sets of attributes and values that tell it, tried in order; none: the name tells it.
    pub keys: Vec<Vec<(SmolStr, String)>>,
    pub wanted: Vec<Wanted>,
    pub rename: bool,
}

pub struct Wanted {
    pub name: SmolStr,
    pub values: Vec<Vec<u8>>,
    pub on_create: bool,
    pub absent: Absent,
}

/// An entry as it is.
#[derive(Clone, Debug)]
pub struct Present {
    pub dn: String,
    pub attrs: Vec<(SmolStr, Vec<Vec<u8>>)>,
}

/// What is to be done, in this order; empty: the entry is as it should be.
#[derive(Default)]
pub struct Plan {
    pub steps: Vec<Record>,
}

type Change = (ModKind, SmolStr, Vec<Vec<u8>>);

/// What the comparison needs to know of the directory.
pub struct Terms<'a> {
    pub schema: &'a Schema,
    /// Names below which people are identities.
    pub identities: &'a [DnKey],
    /// A new identity that breaks class rules is kept as incomplete.
    pub hold: bool,
    /// What the server derives from the axes.
    pub resources: &'a Resources,
    pub suffix: &'a str,
}

impl Wish {
    /// By what two records may speak of one entry, in a form to be compared as text.
    pub fn tokens(&self) -> Vec<String> {
        match self {
            Wish::Change(record) => vec![record.dn.to_lowercase()],
            Wish::Upsert(upsert) => upsert.tokens(),
        }
    }

    pub fn dn(&self) -> Option<&str> {
        match self {
            Wish::Change(record) => Some(&record.dn),
            Wish::Upsert(upsert) => upsert.dn.as_deref(),
        }
    }

    /// True if it must be the only one under way.
    pub fn is_alone(&self) -> bool {
        matches!(self, Wish::Change(record) if !matches!(record.kind, RecordKind::Add(_)))
    }
}

impl Upsert {
    /// A content record of LDIF. `keys` are the attributes that tell the entry.
    pub fn of_record(record: &Record, keys: &[Vec<SmolStr>], base: &SmolStr) -> Option<Self> {
        let RecordKind::Add(attrs) = &record.kind else { return None };
        let first = |name: &SmolStr| {
            let (_, values) = attrs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
            String::from_utf8(values.first()?.clone()).ok()
        };
        let with_values =
            |set: &Vec<SmolStr>| set.iter().map(|name| Some((name.clone(), first(name)?))).collect::<Option<Vec<_>>>();
        let wanted = attrs.iter().map(|(name, values)| Wanted {
            name: name.clone(),
            values: values.clone(),
            on_create: false,
            absent: Absent::Keep,
        });
        Some(Upsert {
            dn: Some(record.dn.clone()),
            base: base.clone(),
            keys: keys.iter().filter_map(with_values).collect(),
            wanted: wanted.collect(),
            rename: false,
        })
    }

    pub fn tokens(&self) -> Vec<String> {
        let set = |pairs: &Vec<(SmolStr, String)>| {
            let parts: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("?{}", parts.join("&")).to_lowercase()
        };
        self.keys.iter().map(set).chain(self.dn.iter().map(|dn| dn.to_lowercase())).collect()
    }

    /// Attributes that the entry has and the record does not name go, too.
    pub fn and_nothing_else(&mut self, present: &Present, terms: &Terms<'_>) {
        let schema = terms.schema;
        // What is derived would come back at once.
        let by_server = |id| schema.is_kept_by_server(id) || schema.is_secret(id) || terms.resources.makes(id);
        for (name, _) in &present.attrs {
            let is_kept = schema.attr_id(name).is_none_or(by_server);
            if !is_kept && !self.wanted.iter().any(|w| same(&w.name, name, schema)) {
                self.wanted.push(Wanted {
                    name: name.clone(),
                    values: Vec::new(),
                    on_create: false,
                    absent: Absent::Delete,
                });
            }
        }
    }

    pub fn plan(&self, present: Option<&Present>, terms: &Terms<'_>) -> Result<Plan, String> {
        match present {
            None => self.create(terms),
            Some(present) => self.change(present, terms),
        }
    }

    fn create(&self, terms: &Terms<'_>) -> Result<Plan, String> {
        let dn = self.dn.clone().ok_or("dn: the row lacks a value that the name needs")?;
        let filled = self.wanted.iter().filter(|w| !w.values.is_empty());
        let mut attrs: Vec<_> = filled.map(|w| (w.name.clone(), w.values.clone())).collect();
        if terms.hold {
            terms.hold(&dn, &mut attrs);
        }
        Ok(Plan { steps: vec![record(dn, RecordKind::Add(attrs))] })
    }

    fn change(&self, present: &Present, terms: &Terms<'_>) -> Result<Plan, String> {
        let schema = terms.schema;
        let mut plan = Plan::default();
        let mut present = present.clone();
        if self.rename
            && let Some(step) = self.renaming(&present, schema)?
        {
            present.follow(&step);
            plan.steps.push(step);
        }
        let rdn = Dn::parse(&present.dn).map_err(|e| e.to_string())?.leaf().cloned().unwrap_or_default();
        let mut changes = Vec::new();
        for wanted in &self.wanted {
            let desc = schema.describe(&wanted.name);
            let id = desc.as_ref().map(|d| d.id);
            let is_secret = id.is_some_and(|id| schema.is_secret(id) || id == schema.known.state);
            let names_it = rdn.avas().iter().any(|ava| same(&ava.attr, &wanted.name, schema));
            // Hashes cannot be compared, and where a state leads is not for imports to say twice.
            if wanted.on_create || is_secret || names_it && !present.keeps_name(wanted, &rdn) {
                continue;
            }
            match id {
                Some(id) if id == schema.known.object_class => add_classes(wanted, &present, schema, &mut changes),
                Some(id) if terms.resources.makes(id) => {
                    let wanted = terms.as_derived(wanted, &present, id);
                    compare(&wanted, desc.as_ref(), &present, schema, &mut changes);
                }
                _ => compare(wanted, desc.as_ref(), &present, schema, &mut changes),
            }
        }
        if !changes.is_empty() {
            plan.steps.push(record(present.dn, RecordKind::Modify(changes)));
        }
        Ok(plan)
    }

    fn renaming(&self, present: &Present, schema: &Schema) -> Result<Option<Record>, String> {
        let parse = |text: &str| Dn::parse(text).map_err(|e| e.to_string());
        let Some(wanted) = &self.dn else { return Ok(None) };
        let (from, to) = (parse(&present.dn)?, parse(wanted)?);
        if schema.dn_key(&from) == schema.dn_key(&to) {
            return Ok(None);
        }
        let parent = |dn: &Dn| dn.parent().unwrap_or_default();
        let moved = schema.dn_key(&parent(&from)) != schema.dn_key(&parent(&to));
        let new_rdn = to.leaf().map(|rdn| rdn.text().to_owned()).unwrap_or_default();
        let new_superior = moved.then(|| parent(&to).to_string());
        Ok(Some(record(present.dn.clone(), RecordKind::Rename { new_rdn, delete_old: true, new_superior })))
    }
}

impl Present {
    fn values(&self, name: &str, schema: &Schema) -> &[Vec<u8>] {
        self.attrs.iter().find(|(n, _)| same(n, name, schema)).map(|(_, v)| v.as_slice()).unwrap_or_default()
    }

    /// Whether the record leaves the entry the value that its name has.
    fn keeps_name(&self, wanted: &Wanted, rdn: &Rdn) -> bool {
        let held = rdn.avas().iter().filter(|ava| ava.attr.eq_ignore_ascii_case(&wanted.name));
        held.into_iter().all(|ava| wanted.values.iter().any(|v| v.as_slice() == &*ava.value))
    }

    /// The entry after a step of a plan.
    pub fn follow(&mut self, step: &Record) {
        match &step.kind {
            RecordKind::Add(attrs) => self.attrs.clone_from(attrs),
            RecordKind::Delete => self.attrs.clear(),
            RecordKind::Modify(changes) => changes.iter().for_each(|change| self.apply(change)),
            RecordKind::Rename { new_rdn, new_superior, .. } => self.renamed(new_rdn, new_superior.as_deref()),
        }
    }

    fn apply(&mut self, (kind, name, values): &Change) {
        let at = self.attrs.iter().position(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut held = at.map(|at| self.attrs.remove(at).1).unwrap_or_default();
        match kind {
            ModKind::Add => held.extend(values.iter().cloned()),
            ModKind::Delete if values.is_empty() => held.clear(),
            ModKind::Delete => held.retain(|v| !values.contains(v)),
            ModKind::Replace => held.clone_from(values),
            ModKind::Increment => {}
        }
        if !held.is_empty() {
            self.attrs.push((name.clone(), held));
        }
    }

    fn renamed(&mut self, new_rdn: &str, new_superior: Option<&str>) {
        let (Ok(old), Ok(new)) = (Dn::parse(&self.dn), Rdn::parse(new_rdn)) else { return };
        for ava in old.leaf().map(Rdn::avas).unwrap_or_default() {
            self.apply(&(ModKind::Delete, ava.attr.clone(), vec![ava.value.to_vec()]));
        }
        for ava in new.avas() {
            self.apply(&(ModKind::Delete, ava.attr.clone(), vec![ava.value.to_vec()]));
            self.apply(&(ModKind::Add, ava.attr.clone(), vec![ava.value.to_vec()]));
        }
        let parent = new_superior.map(str::to_owned).or_else(|| old.parent().map(|p| p.to_string()));
        self.dn = format!("{new_rdn},{}", parent.unwrap_or_default());
    }
}

impl Terms<'_> {
    /// Asks that a new identity is kept if it breaks class rules.
    pub fn hold(&self, dn: &str, attrs: &mut Vec<(SmolStr, Vec<Vec<u8>>)>) {
        let state = self.schema.known.state;
        let is_sent = attrs.iter().any(|(name, _)| self.schema.attr_id(name) == Some(state));
        if !is_sent && self.scope(dn, attrs) == Scope::Identity {
            attrs.push((self.schema.attribute(state).name.clone(), vec![b"-1".to_vec()]));
        }
    }

    /// What the source says of the resource whose state is derived gives way to what was derived:
    /// written it would be replaced at once.
    fn as_derived(&self, wanted: &Wanted, present: &Present, id: AttrId) -> Wanted {
        let is_derived = |value: &&Vec<u8>| self.resources.makes_value(id, value);
        let held = present.values(&wanted.name, self.schema).iter().filter(is_derived);
        let mut values: Vec<_> = wanted.values.iter().filter(|v| !is_derived(v)).chain(held).cloned().collect();
        if values.len() == wanted.values.iter().filter(|v| !is_derived(v)).count() {
            values.clone_from(&wanted.values);
        }
        Wanted { name: wanted.name.clone(), values, ..*wanted }
    }

    fn scope(&self, dn: &str, attrs: &[(SmolStr, Vec<Vec<u8>>)]) -> Scope {
        let person = self.schema.known.inet_org_person;
        let object_class = self.schema.known.object_class;
        let classes = attrs.iter().filter(|(n, _)| self.schema.attr_id(n) == Some(object_class)).flat_map(|(_, v)| v);
        let is_person = classes
            .filter_map(|v| self.schema.class_id(std::str::from_utf8(v).ok()?))
            .any(|c| c == person || self.schema.class(c).superclasses.contains(&person));
        let key = Dn::parse(dn).map(|dn| self.schema.dn_key(&dn));
        let is_below = key.is_ok_and(|key| self.identities.iter().any(|base| key.is_below(base)));
        if is_person && is_below { Scope::Identity } else { Scope::Plain }
    }

    /// Holds an entry as it would be against the schema and the class rules, for a dry run: `true` if
    /// it would be kept as incomplete, as who asks for TO_CREATE wants of a new one, and as one
    /// that is incomplete already may stay.
    pub fn check(&self, entry: &Present, is_new: bool) -> Result<bool, String> {
        let mut draft = Draft::default();
        for (name, values) in &entry.attrs {
            let desc = self.schema.describe(name).ok_or_else(|| format!("{name}: no such attribute type"))?;
            if !self.schema.attribute(desc.id).is_operational() || desc.id == self.schema.known.object_class {
                draft.attrs.push(Attr { desc, values: values.clone() });
            }
        }
        if let Some(rdn) = Dn::parse(&entry.dn).map_err(|e| e.to_string())?.leaf() {
            for ava in rdn.avas() {
                match self.schema.attr_id(&ava.attr) {
                    Some(id) if !draft.holds(id, &ava.value, self.schema) => draft.put(id, &ava.value),
                    _ => {}
                }
            }
        }
        draft.complete_classes(self.schema);
        let scope = self.scope(&entry.dn, &entry.attrs);
        let checked = self.schema.validate(&draft.attrs, scope, Vec::new()).map_err(|e| e.to_string())?;
        let state = entry.values(&self.schema.attribute(self.schema.known.state).name, self.schema);
        let kept_in: &[u8] = if is_new { b"-1" } else { b"-2" };
        if checked.class_faults.is_empty() || state.iter().any(|v| v.as_slice() == kept_in) {
            return Ok(!checked.class_faults.is_empty());
        }
        Err(crate::schema::Violations::new(checked.class_faults).to_string())
    }
}

pub fn record(dn: String, kind: RecordKind) -> Record {
    Record { line: 0, dn, kind, text: String::new() }
}

fn same(one: &str, other: &str, schema: &Schema) -> bool {
    one.eq_ignore_ascii_case(other) || schema.describe(one).is_some_and(|desc| schema.describe(other) == Some(desc))
}

/// Classes are only ever added: another source may have given the entry others.
fn add_classes(wanted: &Wanted, present: &Present, schema: &Schema, changes: &mut Vec<Change>) {
    let class = |v: &Vec<u8>| std::str::from_utf8(v).ok().and_then(|name| schema.class_id(name));
    let held: HashSet<_> = present.values(&wanted.name, schema).iter().filter_map(class).collect();
    let new: Vec<_> =
        wanted.values.iter().filter(|v| class(v).is_none_or(|class| !held.contains(&class))).cloned().collect();
    if !new.is_empty() {
        changes.push((ModKind::Add, wanted.name.clone(), new));
    }
}

/// Values are compared as they are spelt, so that what the source corrects is corrected here.
fn compare(wanted: &Wanted, desc: Option<&AttrDesc>, present: &Present, schema: &Schema, changes: &mut Vec<Change>) {
    let held = present.values(&wanted.name, schema);
    let new: Vec<Vec<u8>> = wanted.values.iter().filter(|v| !held.contains(v)).cloned().collect();
    let gone: Vec<Vec<u8>> = held.iter().filter(|v| !wanted.values.contains(v)).cloned().collect();
    let name = wanted.name.clone();
    if new.is_empty() && gone.is_empty() || wanted.values.is_empty() && wanted.absent == Absent::Keep {
        return;
    }
    if wanted.values.is_empty() {
        return changes.push((ModKind::Delete, name, Vec::new()));
    }
    if held.is_empty() {
        return changes.push((ModKind::Add, name, new));
    }
    let is_one_of = |value: &Vec<u8>, list: &[Vec<u8>]| {
        desc.is_some_and(|d| {
            let identity = schema.identity(d.id, value);
            list.iter().any(|other| schema.identity(d.id, other) == identity)
        })
    };
    let by_value = desc.is_some_and(|d| schema.attribute(d.id).equality.is_some());
    if !by_value || new.iter().any(|v| is_one_of(v, &gone)) || new.len() + gone.len() >= wanted.values.len() {
        return changes.push((ModKind::Replace, name, wanted.values.clone()));
    }
    if !gone.is_empty() {
        changes.push((ModKind::Delete, name.clone(), gone));
    }
    if !new.is_empty() {
        changes.push((ModKind::Add, name, new));
    }
}
