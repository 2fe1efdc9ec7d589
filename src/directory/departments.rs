//! Departments: the tree of structures as it stands, and what it means to take a branch of it out of
//! use or back into it. Plans only; the caller submits them.
//!
//! A branch that is deactivated takes along those people who have no active structure left. What
//! belongs to one such command is told by its mark: the code it was given, kept with each structure
//! and as the reason in the history of each person. To activate that code takes back these, and
//! nothing that was inactive before.

use super::{
    EntryId, Node, Op, Snapshot, Update,
    structures::{Known, Structures, people_of},
    terms::Terms,
};
use crate::{
    access::Identity,
    dn::Dn,
    entry::{Axis, ModKind},
    lifecycle::{self, Release, State},
};
use serde::Serialize;
use smol_str::SmolStr;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// dataStatus of an account that is out of use (Sesame: INACTIVE).
const INACTIVE: i32 = -3;

/// One structure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Department {
    pub code: String,
    pub name: String,
    pub dn: String,
    pub parents: Vec<String>,
    pub active: bool,
    /// The code that was given to the command that deactivated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivated_by: Option<String>,
    #[serde(skip)]
    id: EntryId,
}

/// All of them, found by code.
pub struct Departments<'s> {
    snapshot: &'s Snapshot,
    known: Known,
    list: Vec<Department>,
    by_code: HashMap<Vec<u8>, usize>,
    children: HashMap<Vec<u8>, Vec<usize>>,
}

/// What a command comes to.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cascade {
    pub departments: Vec<String>,
    /// DNs of the people whose account changes.
    pub people: Vec<String>,
    /// Those that stay as they are, each with the reason.
    pub kept: Vec<Kept>,
    #[serde(skip)]
    pub updates: Vec<Update>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    pub dn: String,
    pub reason: String,
}

impl<'s> Departments<'s> {
    /// `None` where the schema has no structures.
    pub fn of(snapshot: &'s Snapshot, structures: &Structures) -> Option<Self> {
        let known = structures.known?;
        let class = snapshot.schema.class(known.class).name.clone();
        let holders = super::structures::with_value(snapshot, snapshot.schema.known.object_class, class.as_bytes());
        let nodes = holders.into_iter().filter_map(|id| snapshot.node(id));
        let mut list: Vec<Department> = nodes.filter_map(|node| department(snapshot, node, &known)).collect();
        list.sort_by(|a, b| a.code.cmp(&b.code));
        let mut departments = Departments { snapshot, known, list, by_code: HashMap::new(), children: HashMap::new() };
        for (at, one) in departments.list.iter().enumerate() {
            departments.by_code.insert(departments.key(&one.code), at);
            for parent in &one.parents {
                departments.children.entry(departments.key(parent)).or_default().push(at);
            }
        }
        Some(departments)
    }

    fn key(&self, code: &str) -> Vec<u8> {
        self.snapshot.schema.identity(self.known.code, code.as_bytes()).into_owned()
    }

    pub fn find(&self, code: &str) -> Option<&Department> {
        self.list.get(*self.by_code.get(&self.key(code))?)
    }

    /// Those without a parent that is there.
    pub fn roots(&self) -> impl Iterator<Item = &Department> {
        self.list.iter().filter(|one| one.parents.iter().all(|parent| self.find(parent).is_none()))
    }

    pub fn children(&self, code: &str) -> impl Iterator<Item = &Department> {
        self.children.get(&self.key(code)).into_iter().flatten().filter_map(|at| self.list.get(*at))
    }

    /// The structure itself and all below it, superiors first.
    pub fn branch(&self, code: &str) -> Vec<&Department> {
        let mut seen = HashSet::new();
        let mut order: Vec<&Department> = self.find(code).into_iter().collect();
        let mut at = 0;
        while let Some(one) = order.get(at).copied() {
            seen.insert(one.id);
            for child in self.children(&one.code) {
                if seen.insert(child.id) {
                    order.push(child);
                }
            }
            at += 1;
        }
        order
    }

    /// How many people name the code, and how many as their principal structure.
    pub fn people(&self, code: &str) -> (usize, usize) {
        let principal = super::structures::with_value(self.snapshot, self.known.principal, code.as_bytes());
        (people_of(self.snapshot, &self.known, code.as_bytes()).len(), principal.len())
    }

    /// The other active structures of a person.
    fn other_active(&self, node: &Node, without: &HashSet<Vec<u8>>) -> Vec<&Department> {
        let codes = [self.known.affectation, self.known.principal].into_iter().flat_map(|a| node.entry.values(a));
        let own: BTreeSet<&str> = codes.filter_map(|v| std::str::from_utf8(v).ok()).collect();
        let others = own.into_iter().filter(|code| !without.contains(&self.key(code)));
        others.filter_map(|code| self.find(code)).filter(|one| one.active).collect()
    }

    /// The people of a branch, by name.
    fn people_of(&self, branch: &[&Department]) -> Vec<&'s Arc<Node>> {
        let mut ids: HashSet<EntryId> = HashSet::new();
        for one in branch {
            ids.extend(people_of(self.snapshot, &self.known, one.code.as_bytes()));
        }
        let mut nodes: Vec<_> = ids.into_iter().filter_map(|id| self.snapshot.node(id)).collect();
        nodes.sort_by_cached_key(|node| self.snapshot.dn_text(node));
        nodes
    }

    /// Takes the branch out of use, and with it the people who have no active structure besides.
    /// What is out of use already stays as it is, so that a command that was cut off can be repeated.
    pub fn deactivate(&self, code: &str, why: &str, by: &Identity) -> Option<Cascade> {
        let top = self.find(code)?;
        let branch = self.branch(&top.code);
        let codes: HashSet<_> = branch.iter().map(|one| self.key(&one.code)).collect();
        let mut cascade = Cascade::default();
        for one in branch.iter().filter(|one| one.active) {
            cascade.departments.push(one.code.clone());
            cascade.updates.extend(self.update(one.id, self.out_of_use(&top.code), Terms::default(), by));
        }
        for node in self.people_of(&branch) {
            let others = self.other_active(node, &codes);
            match (node.entry.operational.axes, others.first()) {
                (None, _) => cascade.keep(self.snapshot, node, "it is no identity".to_owned()),
                (Some(axes), _) if axes.data_status == INACTIVE => {}
                (Some(_), Some(other)) => {
                    cascade.keep(self.snapshot, node, self.other_text(node, other, &codes));
                }
                (Some(_), None) => {
                    cascade.people.push(self.snapshot.dn_text(node));
                    let terms = status_terms(node, reason(&mark(&top.code), why));
                    cascade.updates.extend(self.update(node.id, status(INACTIVE), terms, by));
                }
            }
        }
        Some(cascade)
    }

    fn other_text(&self, node: &Node, other: &Department, codes: &HashSet<Vec<u8>>) -> String {
        let principal = node.entry.text(self.known.principal);
        match principal.is_some_and(|code| codes.contains(&self.key(code))) {
            true => format!("{} is active, too; the principal one is not any more", other.code),
            false => format!("{} is active, too", other.code),
        }
    }

    /// Takes back what one command took out of use, as far as it lies in this branch.
    pub fn activate(&self, code: &str, why: &str, by: &Identity) -> Option<Cascade> {
        let top = self.find(code)?;
        let marked_by = top.deactivated_by.clone().unwrap_or_else(|| top.code.clone());
        let mark = mark(&marked_by);
        let branch = self.branch(&top.code);
        let mut cascade = Cascade::default();
        // People first: the structures keep the mark until the last of them is back.
        for node in self.people_of(&branch) {
            let Some(axes) = node.entry.operational.axes.filter(|axes| axes.data_status == INACTIVE) else { continue };
            match before_cascade(node, &mark) {
                Some(from) => {
                    cascade.people.push(self.snapshot.dn_text(node));
                    let terms = status_terms(node, reason(&format!("department {} activated", top.code), why));
                    cascade.updates.extend(self.update(node.id, status(from), terms, by));
                }
                None if axes.data_status == INACTIVE => {
                    cascade.keep(self.snapshot, node, format!("not deactivated with {marked_by}"));
                }
                None => {}
            }
        }
        for one in branch.iter().filter(|one| !one.active) {
            let is_same = one.deactivated_by.as_ref().is_some_and(|by| self.key(by) == self.key(&marked_by));
            if is_same || one.id == top.id {
                cascade.departments.push(one.code.clone());
                cascade.updates.extend(self.update(one.id, self.in_use(), Terms::default(), by));
            } else {
                cascade.kept.push(Kept { dn: one.dn.clone(), reason: format!("not deactivated with {marked_by}") });
            }
        }
        Some(cascade)
    }

    /// The codes of the parents of a structure.
    pub fn parents(&self, code: &str) -> &[String] {
        self.find(code).map_or(&[], |one| one.parents.as_slice())
    }

    /// Puts a branch under another structure. Where the names of entries follow the tree, they are
    /// renamed. `None` if one of the codes is not there.
    pub fn put_under(&self, code: &str, parent: &str, by: &Identity) -> Option<Cascade> {
        let (moved, parent) = (self.find(code)?, self.find(parent)?);
        let name = self.snapshot.schema.attribute(self.known.parent).name.clone();
        let changes = vec![(ModKind::Replace, name, vec![parent.code.clone().into_bytes()])];
        let mut cascade = Cascade { departments: vec![moved.code.clone()], ..Cascade::default() };
        cascade.updates.extend(self.update(moved.id, changes, Terms::default(), by));
        let above = self.snapshot.node(moved.id).and_then(|node| node.parent);
        let mirrors = moved.parents.iter().filter_map(|p| self.find(p)).any(|p| Some(p.id) == above);
        if mirrors
            && let (Ok(dn), Ok(superior)) = (Dn::parse(&moved.dn), Dn::parse(&parent.dn))
            && let Some(rdn) = dn.leaf().cloned()
        {
            let op = Op::Rename { dn, new_rdn: rdn, delete_old: false, new_superior: Some(superior) };
            cascade.updates.push(Update { identity: by.clone(), op, terms: Terms::default() });
        }
        Some(cascade)
    }

    fn update(&self, id: EntryId, changes: Vec<Change>, terms: Terms, by: &Identity) -> Option<Update> {
        let node = self.snapshot.node(id)?;
        let dn = Dn::parse(&self.snapshot.dn_text(node)).ok()?;
        let terms = Terms { as_of: Some(node.entry.operational.changed), permissive: true, ..terms };
        Some(Update { identity: by.clone(), op: Op::Modify { dn, changes }, terms })
    }

    fn out_of_use(&self, code: &str) -> Vec<Change> {
        let name = |attr| self.snapshot.schema.attribute(attr).name.clone();
        vec![
            (ModKind::Add, SmolStr::new_static("objectClass"), vec![MARK_CLASS.to_vec()]),
            (ModKind::Replace, name(self.known.active), vec![b"FALSE".to_vec()]),
            (ModKind::Replace, name(self.known.deactivated_by), vec![code.as_bytes().to_vec()]),
        ]
    }

    fn in_use(&self) -> Vec<Change> {
        let name = |attr| self.snapshot.schema.attribute(attr).name.clone();
        vec![
            (ModKind::Replace, name(self.known.active), Vec::new()),
            (ModKind::Replace, name(self.known.deactivated_by), Vec::new()),
            (ModKind::Delete, SmolStr::new_static("objectClass"), vec![MARK_CLASS.to_vec()]),
        ]
    }
}

type Change = (ModKind, SmolStr, Vec<Vec<u8>>);

const MARK_CLASS: &[u8] = b"vestibuleStructure";

impl Cascade {
    fn keep(&mut self, snapshot: &Snapshot, node: &Node, reason: String) {
        self.kept.push(Kept { dn: snapshot.dn_text(node), reason });
    }
}

fn department(snapshot: &Snapshot, node: &Node, known: &Known) -> Option<Department> {
    let entry = &node.entry;
    let of = |name: &str| snapshot.schema.attr_id(name).and_then(|attr| entry.text(attr));
    let code = entry.text(known.code)?.to_owned();
    let parents = entry.values(known.parent).filter_map(|v| std::str::from_utf8(v).ok());
    Some(Department {
        name: of("ou").or_else(|| of("o")).or_else(|| of("description")).unwrap_or(&code).to_owned(),
        dn: snapshot.dn_text(node),
        parents: parents.map(str::to_owned).collect(),
        active: entry.text(known.active) != Some("FALSE"),
        deactivated_by: entry.text(known.deactivated_by).map(str::to_owned),
        id: node.id,
        code,
    })
}

/// What begins the reason of every move that came of deactivating a code.
fn mark(code: &str) -> String {
    format!("department {code} deactivated")
}

fn reason(mark: &str, why: &str) -> SmolStr {
    SmolStr::new(if why.is_empty() { mark.to_owned() } else { format!("{mark}: {why}") })
}

/// The dataStatus that a person had before the command of this mark, if nothing has moved it since.
fn before_cascade(node: &Node, mark: &str) -> Option<i32> {
    let facts = node.entry.operational.facts.as_ref()?;
    let last = facts.history.iter().filter(|one| one.axis == Axis::DataStatus).last()?;
    let rest = last.why.strip_prefix(mark)?;
    let is_it = last.to == INACTIVE && (rest.is_empty() || rest.starts_with(':'));
    last.from.filter(|_| is_it)
}

fn status(value: i32) -> Vec<Change> {
    vec![(ModKind::Replace, SmolStr::new_static("vestibuleDataStatus"), vec![value.to_string().into_bytes()])]
}

/// What the targets hold goes out again at once; what nobody has released yet is not released by this.
fn status_terms(node: &Node, why: SmolStr) -> Terms {
    let state = node.entry.operational.axes.as_ref().map(lifecycle::state);
    let is_out = matches!(state, Some(State::ToSync | State::Processing | State::Synced | State::OnError));
    let release = if is_out { Release::Automatic } else { Release::Manual };
    Terms { why, release: Some(release), ..Terms::default() }
}
