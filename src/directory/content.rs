//! What a change did to an entry, worked out from the entry before and after it, whichever
//! operation caused it: enough to do the same elsewhere, and never the value of a secret.

use super::{Node, identity};
use crate::{
    entry::{Axes, Entry, ModKind, ber},
    lifecycle,
    schema::Schema,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::HashSet;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The record is of a release that kept no values, or the values are more than a record keeps.
    #[default]
    Unrecorded,
    /// A new entry: its attribute list in wire form.
    Entry {
        /// Not part of the serialised head: these bytes stand behind it.
        #[serde(skip)]
        attributes: Vec<u8>,
    },
    /// Modifications that turn the old entry into the new one.
    Modifications(Vec<(ModKind, SmolStr, Vec<Vec<u8>>)>),
    /// Both names are in the change.
    Rename {
        delete_old: bool,
    },
    Delete,
}

impl Content {
    /// Of a put: `before` is the node whose place `after` takes.
    pub(super) fn of_put(before: Option<&Node>, after: &Node, schema: &Schema) -> Self {
        match before {
            None => Content::Entry { attributes: new_entry(&after.entry, schema) },
            Some(before) if before.parent != after.parent || before.rdn != after.rdn => {
                Content::Rename { delete_old: lost_old_name(before, after, schema) }
            }
            Some(before) => Content::Modifications(modifications(&before.entry, &after.entry, schema)),
        }
    }

    /// Without the values if there are more bytes of them: all or none, since part of a change would
    /// be another change.
    pub(super) fn within(self, most: usize) -> Self {
        let bytes = match &self {
            Content::Entry { attributes } => attributes.len(),
            Content::Modifications(list) => list.iter().flat_map(|(.., values)| values).map(Vec::len).sum(),
            Content::Rename { .. } | Content::Delete | Content::Unrecorded => 0,
        };
        if bytes > most { Content::Unrecorded } else { self }
    }
}

/// The attributes as they are, and those axes that a new identity does not have by itself.
fn new_entry(entry: &Entry, schema: &Schema) -> Vec<u8> {
    let mut attributes = entry.body().to_vec();
    if let Some(axes) = entry.operational.axes {
        let fresh = lifecycle::fresh(lifecycle::state(&axes));
        for (_, name, value) in moved_axes(&fresh, &axes, schema) {
            ber::push_attribute(&mut attributes, &name, value.iter().map(Vec::as_slice));
        }
    }
    attributes
}

/// Whether a value of the old name is gone from the entry.
fn lost_old_name(before: &Node, after: &Node, schema: &Schema) -> bool {
    before.rdn.avas().iter().any(|ava| {
        let Some(id) = schema.attr_id(&ava.attr) else { return false };
        let old = schema.identity(id, &ava.value);
        !after.entry.values(id).any(|v| schema.identity(id, v) == old)
    })
}

type Modified = (ModKind, SmolStr, Vec<Vec<u8>>);

fn modifications(before: &Entry, after: &Entry, schema: &Schema) -> Vec<Modified> {
    let mut list = Vec::new();
    for old in before.slots() {
        let Some(new) = after.slots().iter().find(|s| s.desc == old.desc) else {
            list.push((ModKind::Delete, schema.spell(&old.desc), Vec::new()));
            continue;
        };
        if before.element(old) != after.element(new) {
            let has_equality = schema.attribute(old.desc.id).equality.is_some();
            let name = schema.spell(&old.desc);
            let (old, new) = (before.slot_values(old).collect(), after.slot_values(new).collect());
            push_difference(&mut list, &name, old, new, has_equality);
        }
    }
    for new in after.slots() {
        if !before.slots().iter().any(|s| s.desc == new.desc) {
            list.push((ModKind::Add, schema.spell(&new.desc), after.slot_values(new).map(<[u8]>::to_vec).collect()));
        }
    }
    if let (Some(old), Some(new)) = (before.operational.axes, after.operational.axes) {
        list.extend(moved_axes(&old, &new, schema));
        // The state follows from other changes; alone it is a change of its own.
        if list.is_empty() && old.state != new.state {
            list.extend(state(&new, schema));
        }
    }
    list
}

/// Single values where that is shorter than all of them; without an equality rule they cannot be
/// told apart (RFC 4511 section 4.6). The order of values does not count.
fn push_difference(list: &mut Vec<Modified>, name: &SmolStr, old: Vec<&[u8]>, new: Vec<&[u8]>, has_equality: bool) {
    // One value more or less in a large group leaves all others as they stand.
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, rest) = (old.get(front..).unwrap_or_default(), new.get(front..).unwrap_or_default());
    let back = old.iter().rev().zip(rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, rest) =
        (old.get(..old.len() - back).unwrap_or_default(), rest.get(..rest.len() - back).unwrap_or_default());
    let (before, after): (HashSet<&[u8]>, HashSet<&[u8]>) =
        (old.iter().copied().collect(), rest.iter().copied().collect());
    let missing_in = |set: &HashSet<&[u8]>, values: &[&[u8]]| -> Vec<Vec<u8>> {
        values.iter().filter(|v| !set.contains(*v)).map(|v| v.to_vec()).collect()
    };
    let (gone, come) = (missing_in(&after, old), missing_in(&before, rest));
    if gone.is_empty() && come.is_empty() {
        return;
    }
    if !has_equality || gone.len() + come.len() >= new.len() {
        list.push((ModKind::Replace, name.clone(), new.into_iter().map(<[u8]>::to_vec).collect()));
        return;
    }
    if !gone.is_empty() {
        list.push((ModKind::Delete, name.clone(), gone));
    }
    if !come.is_empty() {
        list.push((ModKind::Add, name.clone(), come));
    }
}

fn moved_axes(before: &Axes, after: &Axes, schema: &Schema) -> Vec<Modified> {
    let old = identity::axis_values(before, schema);
    let new = identity::axis_values(after, schema);
    let moved = new.into_iter().zip(old).filter(|((attr, new), (_, old))| new != old && *attr != schema.known.state);
    moved.map(|((attr, value), _)| replaced(attr, value, schema)).collect()
}

fn state(axes: &Axes, schema: &Schema) -> Option<Modified> {
    let mut values = identity::axis_values(axes, schema).into_iter();
    values.find(|(attr, _)| *attr == schema.known.state).map(|(attr, value)| replaced(attr, value, schema))
}

fn replaced(attr: crate::schema::AttrId, value: String, schema: &Schema) -> Modified {
    (ModKind::Replace, schema.attribute(attr).name.clone(), vec![value.into_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(old: &[&str], new: &[&str], has_equality: bool) -> Vec<(ModKind, usize)> {
        let mut list = Vec::new();
        let bytes = |values: &[&str]| values.iter().map(|v| v.as_bytes().to_vec()).collect::<Vec<_>>();
        let (old, new) = (bytes(old), bytes(new));
        let slices = |values: &'static [Vec<u8>]| values.iter().map(Vec::as_slice).collect::<Vec<_>>();
        push_difference(&mut list, &"member".into(), slices(Vec::leak(old)), slices(Vec::leak(new)), has_equality);
        list.into_iter().map(|(kind, _, values)| (kind, values.len())).collect()
    }

    #[test]
    fn the_shorter_way_is_taken() {
        assert_eq!(difference(&["a", "b", "c"], &["c", "b", "a"], true), []);
        assert_eq!(difference(&["a", "b", "c"], &["a", "b", "c", "d"], true), [(ModKind::Add, 1)]);
        assert_eq!(difference(&["a", "b", "c", "d"], &["a", "b", "c"], true), [(ModKind::Delete, 1)]);
        assert_eq!(
            difference(&["a", "b", "c", "d"], &["a", "b", "c", "e"], true),
            [(ModKind::Delete, 1), (ModKind::Add, 1)]
        );
        assert_eq!(difference(&["a", "b", "c", "d"], &["a", "d", "c", "b", "e"], true), [(ModKind::Add, 1)]);
        assert_eq!(difference(&["a", "b", "c", "d", "e"], &["a", "b", "d", "e"], true), [(ModKind::Delete, 1)]);
        assert_eq!(difference(&["a"], &["b"], true), [(ModKind::Replace, 1)]);
        assert_eq!(difference(&["a", "b", "c"], &["a", "b", "c", "d"], false), [(ModKind::Replace, 4)]);
    }
}
