//! Structures (supannEntite) form a tree by their codes, wherever they stand in the DIT: a parent
//! named must be there, no structure lies below itself, and none is deleted under those that belong
//! to it. Decided by the writer on the indexes.

use super::{Check, Directory, EntryId, Error, Node, Snapshot, plan::Context};
use crate::schema::{AttrId, ClassId, Fault, Schema, Violation, Violations};
use serde::Deserialize;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashSet};

/// As the configuration writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StructureOptions {
    /// Parents that are not there, and deletes of structures that something belongs to. A cycle is
    /// always refused.
    pub check: Check,
    /// Affectations of people to structures that are not there.
    pub affectations: Check,
    /// Further abbreviations in names, each with what it stands for.
    pub abbreviations: BTreeMap<SmolStr, Vec<String>>,
}

impl Default for StructureOptions {
    fn default() -> Self {
        // Imports bring children before their parents, and people before both.
        StructureOptions { check: Check::Warn, affectations: Check::Off, abbreviations: BTreeMap::new() }
    }
}

/// [`StructureOptions`] bound to the schema. The default checks nothing.
#[derive(Clone, Debug, Default)]
pub struct Structures {
    pub(super) known: Option<Known>,
    check: Check,
    affectations: Check,
    pub abbreviations: BTreeMap<SmolStr, Vec<String>>,
}

/// The attribute types that the tree is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub class: ClassId,
    pub code: AttrId,
    pub parent: AttrId,
    pub affectation: AttrId,
    pub principal: AttrId,
    pub active: AttrId,
    pub deactivated_by: AttrId,
}

const CLASS: &str = "supannEntite";
const RULE: &str = "STRUCTURES";

impl Structures {
    /// Without supann and our own class in the schema there are no structures.
    pub fn bind(options: &StructureOptions, schema: &Schema) -> Self {
        let known = || {
            Some(Known {
                class: schema.class_id(CLASS)?,
                code: schema.attr_id("supannCodeEntite")?,
                parent: schema.attr_id("supannCodeEntiteParent")?,
                affectation: schema.attr_id("supannEntiteAffectation")?,
                principal: schema.attr_id("supannEntiteAffectationPrincipale")?,
                active: schema.attr_id("vestibuleActive")?,
                deactivated_by: schema.attr_id("vestibuleDeactivatedBy")?,
            })
        };
        Structures {
            known: known(),
            check: options.check,
            affectations: options.affectations,
            abbreviations: options.abbreviations.clone(),
        }
    }

    /// Attributes that are asked by value.
    pub(super) fn looked_up(&self) -> impl Iterator<Item = AttrId> {
        self.known.into_iter().flat_map(|k| [k.code, k.parent, k.affectation, k.principal])
    }

    /// Looks at what a write brings in. `Ok(Some)` is for the client's eyes.
    pub(super) fn check(&self, context: &Context<'_>, node: &Node) -> Result<Option<String>, Error> {
        let Some(known) = &self.known else { return Ok(None) };
        let before = context.base.by_uuid(node.entry.uuid);
        let same = |attr: AttrId| before.is_some_and(|old| old.entry.values(attr).eq(node.entry.values(attr)));
        let mut notes = Vec::new();
        if node.entry.has(known.parent) && !(same(known.parent) && same(known.code)) {
            self.check_parents(context.base, node, known, &mut notes)?;
        }
        for attr in [known.affectation, known.principal] {
            if self.affectations != Check::Off && node.entry.has(attr) && !same(attr) {
                let lost = unknown_codes(context.base, node, attr, known, before.map(AsRef::as_ref));
                tell(self.affectations, fault(context.base, attr, lost_text(lost)).filter(|_| lost > 0), &mut notes)?;
            }
        }
        if let Some(old) = before.filter(|old| old.entry.has(known.code) && !same(known.code)) {
            tell(self.check, self.bereaved(context.base, old, known), &mut notes)?;
        }
        Ok(notes.into_iter().reduce(|all, note| format!("{all}; {note}")))
    }

    /// The same of a structure that is to go.
    pub(super) fn check_gone(&self, context: &Context<'_>, node: &Node) -> Result<Option<String>, Error> {
        let Some(known) = self.known.as_ref().filter(|known| node.entry.has(known.code)) else { return Ok(None) };
        let mut notes = Vec::new();
        tell(self.check, self.bereaved(context.base, node, known), &mut notes)?;
        Ok(notes.pop())
    }

    fn check_parents(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        known: &Known,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        if let Some(chain) = cycle(snapshot, node, known) {
            let text = format!("a structure cannot lie below itself: {}", chain.join(" < "));
            return Err(refusal(fault(snapshot, known.parent, text)));
        }
        let before = snapshot.by_uuid(node.entry.uuid).map(AsRef::as_ref);
        let lost = unknown_codes(snapshot, node, known.parent, known, before);
        tell(self.check, fault(snapshot, known.parent, lost_text(lost)).filter(|_| lost > 0), notes)
    }

    /// What would belong to a code that is going away.
    fn bereaved(&self, snapshot: &Snapshot, node: &Node, known: &Known) -> Option<Violation> {
        let code = node.entry.values(known.code).next()?;
        let own = |id: &EntryId| *id != node.id;
        let children = with_value(snapshot, known.parent, code).into_iter().filter(own).count();
        let people = people_of(snapshot, known, code).len();
        let text = format!("{children} structures and {people} people belong to it");
        fault(snapshot, known.code, text).filter(|_| children + people > 0)
    }
}

impl Directory {
    /// How structures are kept here.
    pub fn structures(&self) -> &Structures {
        &self.options.relations.structures
    }
}

/// The entries with this value, in no order.
pub(super) fn with_value(snapshot: &Snapshot, attr: AttrId, value: &[u8]) -> Vec<EntryId> {
    let mut found = Vec::new();
    if let Some(key) = snapshot.schema.normalize(attr, value) {
        snapshot.index.equal(attr, &key, &mut found);
    }
    found
}

/// The entries that name this code as an affectation, principal or not.
pub(super) fn people_of(snapshot: &Snapshot, known: &Known, code: &[u8]) -> HashSet<EntryId> {
    let of = |attr| with_value(snapshot, attr, code);
    of(known.affectation).into_iter().chain(of(known.principal)).collect()
}

/// How many codes that are new in the entry name no structure.
fn unknown_codes(snapshot: &Snapshot, node: &Node, attr: AttrId, known: &Known, before: Option<&Node>) -> usize {
    let schema = &snapshot.schema;
    let held: HashSet<_> =
        before.into_iter().flat_map(|n| n.entry.values(attr)).map(|v| schema.identity(attr, v)).collect();
    let new = node.entry.values(attr).filter(|v| !held.contains(&schema.identity(attr, v)));
    new.filter(|v| with_value(snapshot, known.code, v).is_empty()).count()
}

/// The codes from the structure up to itself, if that is where its parents lead.
fn cycle(snapshot: &Snapshot, node: &Node, known: &Known) -> Option<Vec<String>> {
    let schema = &snapshot.schema;
    let key = |value: &[u8]| schema.identity(known.code, value).into_owned();
    let own = key(node.entry.values(known.code).next()?);
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let start: Vec<String> = node.entry.values(known.code).take(1).map(text).collect();
    let mut seen = HashSet::new();
    let mut open: Vec<(Vec<u8>, Vec<String>)> =
        node.entry.values(known.parent).map(|parent| (parent.to_vec(), start.clone())).collect();
    while let Some((code, mut chain)) = open.pop() {
        chain.push(text(&code));
        if key(&code) == own {
            return Some(chain);
        }
        if !seen.insert(key(&code)) {
            continue;
        }
        let above = with_value(snapshot, known.code, &code).into_iter().filter_map(|id| snapshot.node(id));
        for parent in above.filter(|above| above.id != node.id).flat_map(|above| above.entry.values(known.parent)) {
            open.push((parent.to_vec(), chain.clone()));
        }
    }
    None
}

fn lost_text(lost: usize) -> String {
    format!("{lost} of its values name no structure")
}

fn fault(snapshot: &Snapshot, attr: AttrId, text: String) -> Option<Violation> {
    Some(Violation::new(Fault::ClassRule, CLASS, &snapshot.schema.attribute(attr).name, RULE, text))
}

/// A constraint on values, hence constraintViolation.
fn refusal(fault: Option<Violation>) -> Error {
    Error::Violations(Violations::new(fault.into_iter().collect()))
}

fn tell(check: Check, fault: Option<Violation>, notes: &mut Vec<String>) -> Result<(), Error> {
    match (check, fault) {
        (Check::Refuse, Some(fault)) => Err(refusal(Some(fault))),
        (Check::Warn, Some(fault)) => {
            notes.push(fault.to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}
