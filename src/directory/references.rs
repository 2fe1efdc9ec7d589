//! Referential integrity: attributes that name entries follow when an entry, or all below it, gets
//! another name, and forget it when it is deleted. In the same commit, as changes of their own.
//!
//! The change is that of whoever deletes or renames, without need of a right to the entries that
//! refer; modifiersName says who it was. A required attribute that would lose its last value gets
//! the placeholder instead, so that a delete never fails for a group's sake.

use super::{
    ChangeKind, EntryId, Error, Node, Snapshot,
    advance::{Moved, Step, advance},
    identity,
    plan::{Context, Plan},
};
use crate::{
    dn::{Dn, DnKey},
    entry::{Draft, Operational},
    schema::{Attr, AttrId, Form, Schema, Scope},
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// What to do about a reference to an entry that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    #[default]
    Off,
    /// Keep it, and tell the client.
    Warn,
    Refuse,
}

/// As the configuration writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReferenceOptions {
    /// Attributes that name entries; absent: [`ATTRIBUTES`].
    pub attributes: Option<Vec<SmolStr>>,
    /// Whether they follow deletes and renames.
    pub follow: bool,
    /// The name in the place of the last value of a required attribute.
    pub placeholder: String,
    /// Whether the entries that a client names must exist.
    pub check: Check,
    /// Names that need not exist; the placeholder is one of them.
    pub tolerated: Vec<String>,
}

impl Default for ReferenceOptions {
    fn default() -> Self {
        ReferenceOptions {
            attributes: None,
            follow: true,
            placeholder: PLACEHOLDER.to_owned(),
            check: Check::Off,
            tolerated: Vec::new(),
        }
    }
}

/// The placeholder that Keycloak uses, so that it is known to one more program.
const PLACEHOLDER: &str = "cn=empty-membership-placeholder";

/// Attributes that follow unless the configuration says otherwise.
const ATTRIBUTES: &[&str] = &[
    "member",
    "uniqueMember",
    "owner",
    "seeAlso",
    "manager",
    "secretary",
    "roleOccupant",
    "documentAuthor",
    "associatedName",
    "aliasedObjectName",
    "eduPersonOrgDN",
    "eduPersonOrgUnitDN",
    "eduPersonPrimaryOrgUnitDN",
    "supannParrainDN",
    "supannGroupeAdminDN",
    "supannGroupeLecteurDN",
];

/// [`ReferenceOptions`] bound to the schema. The default has no attributes.
#[derive(Clone, Debug, Default)]
pub struct References {
    pub attributes: Vec<AttrId>,
    follow: bool,
    placeholder: SmolStr,
    check: Check,
    tolerated: Vec<DnKey>,
}

impl References {
    /// `Err` tells the key and what is wrong with it.
    pub fn bind(options: &ReferenceOptions, suffix: &str, schema: &Schema) -> Result<Self, String> {
        let names_entries = |id: &AttrId| {
            let attribute = schema.attribute(*id);
            let form = attribute.equality.map(|rule| rule.form);
            matches!(form, Some(Form::Name | Form::NameAndUid)) && !attribute.is_operational()
        };
        let find = |name: &str| schema.attr_id(name).filter(names_entries);
        let attributes = match &options.attributes {
            None => ATTRIBUTES.iter().filter_map(|name| find(name)).collect(),
            Some(names) => names
                .iter()
                .map(|name| find(name).ok_or_else(|| format!("attributes: '{name}' does not name entries")))
                .collect::<Result<_, _>>()?,
        };
        let placeholder = options.placeholder.replace("{suffix}", suffix);
        let key = |text: &String| {
            let text = text.replace("{suffix}", suffix);
            schema.dn_value_key(&text).ok_or_else(|| format!("'{text}' is not a DN"))
        };
        let tolerated = options.tolerated.iter().chain([&placeholder]).map(key).collect::<Result<_, _>>()?;
        Ok(References {
            attributes,
            follow: options.follow,
            placeholder: SmolStr::new(placeholder),
            check: options.check,
            tolerated,
        })
    }

    /// The entries with a value that names `from` or an entry below it.
    pub(super) fn referring(&self, snapshot: &Snapshot, from: &DnKey) -> BTreeSet<EntryId> {
        let mut found = BTreeSet::new();
        if self.follow {
            let prefix = from.to_bytes();
            self.attributes.iter().for_each(|attr| snapshot.index.within(*attr, &prefix, &mut found));
        }
        found
    }

    /// Looks at the names that a write brings in. `Ok(Some)` is for the client's eyes.
    pub(super) fn check(&self, context: &Context<'_>, node: &Node) -> Result<Option<String>, Error> {
        if self.check == Check::Off {
            return Ok(None);
        }
        let Snapshot { schema, suffix_key, .. } = context.base;
        let own = context.base.dn_key_of(node);
        let before = context.base.by_uuid(node.entry.uuid).map(|n| &n.entry);
        for attr in &self.attributes {
            let known: HashSet<DnKey> =
                before.iter().flat_map(|e| e.values(*attr)).filter_map(|v| schema.named_by(*attr, v)).collect();
            let is_there = |name: &DnKey| {
                known.contains(name)
                    || *name == own
                    || !name.is_within(suffix_key)
                    || self.tolerated.contains(name)
                    || context.base.find(name).is_some()
            };
            let names = node.entry.values(*attr).filter_map(|v| schema.named_by(*attr, v));
            let lost = names.filter(|name| !is_there(name)).count();
            if lost > 0 {
                let attr = schema.attribute(*attr).name.to_string();
                return match self.check {
                    Check::Refuse => Err(Error::NoReferent { attr, lost }),
                    _ => Ok(Some(Error::NoReferent { attr, lost }.to_string())),
                };
            }
        }
        Ok(None)
    }
}

/// The change of one entry that refers to `from` or below it, which is now `to`, or gone.
pub(super) fn plan(context: &Context<'_>, id: EntryId, from: &DnKey, to: Option<&Dn>) -> Result<Plan, Error> {
    let snapshot = context.base;
    let schema = &snapshot.schema;
    let Some(node) = snapshot.node(id) else { return Err(Error::Internal("a referring entry is gone".to_owned())) };
    let references = &context.options.relations.references;
    let before = &node.entry;
    let mut draft = Draft::of(before);
    let mut touched = BTreeSet::new();
    for attr in &mut draft.attrs {
        if references.attributes.contains(&attr.desc.id) && rewrite(attr, node, from, to, schema) {
            touched.insert(attr.desc.id);
        }
    }
    keep_required(&mut draft, before, references, schema);
    draft.attrs.retain(|a| !a.values.is_empty());
    if touched.is_empty() {
        return Ok(Plan::unchanged(before.uuid));
    }
    let changed: Vec<SmolStr> = touched.iter().map(|id| schema.attribute(*id).name.clone()).collect();
    let touched: Vec<AttrId> = touched.into_iter().collect();
    let operational = context.written(&before.operational, advanced(context, node, &draft, &touched));
    let entry = Arc::new(draft.seal(before.uuid, operational, schema));
    let change = context.change(before.uuid, snapshot.dn_text(node), ChangeKind::Modify(changed));
    let node = Node { id, parent: node.parent, rdn: node.rdn.clone(), key: node.key.clone(), apart: None, entry };
    Ok(Plan::put(node, change, None))
}

/// An identity that is changed goes to the targets again. One whose state or content does not
/// let it stays where it is: no delete or rename fails for that.
fn advanced(context: &Context<'_>, node: &Node, draft: &Draft, changed: &[AttrId]) -> Moved {
    let schema = &context.base.schema;
    let before: &Operational = &node.entry.operational;
    let scope = identity::scope(context.options, &context.base.dn_key_of(node), &draft.attrs, Some(before), schema);
    if scope == Scope::Plain {
        // A large group is not worth a look at each value, of which none is new in form.
        return Moved::plain();
    }
    let checked = schema.validate(&draft.attrs, scope, Vec::new()).ok();
    let asked = identity::Asked::default();
    let moved = checked.and_then(|checked| {
        advance(context, Step { scope, before: Some(before), asked, checked: &checked, changed }).ok()
    });
    moved.unwrap_or_else(|| Moved::none(before))
}

/// Values that name the entry or one below it get the new name, or go. A value that is part of
/// the referring entry's own name stays. Tells whether there was one.
fn rewrite(attr: &mut Attr, node: &Node, from: &DnKey, to: Option<&Dn>, schema: &Schema) -> bool {
    let id = attr.desc.id;
    let of_name: Vec<_> = node
        .rdn
        .avas()
        .iter()
        .filter(|ava| schema.attr_id(&ava.attr) == Some(id))
        .map(|ava| schema.identity(id, &ava.value))
        .collect();
    let mut touched = false;
    let mut values = Vec::with_capacity(attr.values.len());
    for value in std::mem::take(&mut attr.values) {
        let refers = schema.named_by(id, &value).is_some_and(|name| name.is_within(from))
            && !of_name.contains(&schema.identity(id, &value));
        if !refers {
            values.push(value);
            continue;
        }
        touched = true;
        values.extend(to.and_then(|to| renamed(&value, from, to, id, schema)));
    }
    if touched && to.is_some() {
        // The new name may have been there before.
        let mut seen = HashSet::with_capacity(values.len());
        values.retain(|v| seen.insert(schema.identity(id, v).into_owned()));
    }
    attr.values = values;
    touched
}

/// The value with the name of the superior in the place of the old one.
fn renamed(value: &[u8], from: &DnKey, to: &Dn, attr: AttrId, schema: &Schema) -> Option<Vec<u8>> {
    let (name, uid) = schema.split_name(attr, value)?;
    let old = Dn::parse(name).ok()?;
    let below = old.rdns().get(..old.rdns().len().checked_sub(from.rdns().len())?)?;
    let new = below.iter().rev().fold(to.clone(), |dn, rdn| dn.child(rdn.clone()));
    Some(match uid {
        Some(uid) => format!("{new}#{uid}").into_bytes(),
        None => new.to_string().into_bytes(),
    })
}

fn keep_required(draft: &mut Draft, before: &crate::entry::Entry, references: &References, schema: &Schema) {
    let classes: Vec<_> = before
        .values(schema.known.object_class)
        .filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?))
        .collect();
    let is_required = |id: AttrId| classes.iter().any(|class| schema.class(*class).all_must.contains(&id));
    let emptied: Vec<AttrId> = draft.attrs.iter().filter(|a| a.values.is_empty()).map(|a| a.desc.id).collect();
    for id in emptied {
        let is_left = draft.attrs.iter().any(|a| a.desc.id == id && !a.values.is_empty());
        if is_required(id) && !is_left {
            draft.put(id, references.placeholder.as_bytes());
        }
    }
}
