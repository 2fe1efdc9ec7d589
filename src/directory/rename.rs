//! ModifyDN (RFC 4511 section 4.9). Since the tree is kept by parent and RDN, one record changes
//! whatever lies below the entry.

use super::{
    ChangeKind, Error, Node,
    add::{may_add, put_rdn_values},
    advance::{Step, advance},
    identity,
    marks::Mark,
    plan::{Context, Plan},
};
use crate::{
    access::Right,
    dn::{Dn, DnKey, Rdn},
    entry::Draft,
    schema::{AttrDesc, Schema, Violations},
};
use std::sync::Arc;

pub(super) fn plan(
    context: &Context<'_>,
    dn: &Dn,
    new_rdn: &Rdn,
    delete_old: bool,
    new_superior: Option<&Dn>,
) -> Result<Plan, Error> {
    let base = context.base;
    let schema = &base.schema;
    let node = context.target(dn)?;
    context.require(node, Right::Rename)?;
    let Some(old_parent) = node.parent else {
        return Err(Error::Unwilling("the topmost entry cannot be renamed"));
    };
    let parent = match new_superior {
        None => old_parent,
        Some(superior) => {
            // RFC 3296 section 5.6.2.
            let parent = context.target(superior).map_err(|error| match error {
                Error::Referral { .. } => Error::SeveralServers,
                other => other,
            })?;
            if base.is_within(parent, node.id) {
                return Err(Error::Unwilling("an entry cannot be moved below itself"));
            }
            parent.id
        }
    };
    let named = new_rdn.avas().iter().chain(node.rdn.avas().iter().filter(|_| delete_old));
    context.require_write(node, named.filter_map(|ava| schema.attr_id(&ava.attr)))?;
    let key = schema.rdn_key(new_rdn);
    if let Some(id) = base.child(parent, &key).filter(|id| *id != node.id) {
        let elsewhere = base.is_marked(id, Mark::Referral) && !context.terms.manage_dsa_it;
        return Err(if elsewhere { Error::SeveralServers } else { Error::AlreadyExists });
    }

    let before = &node.entry;
    let mut draft = Draft::of(before);
    if delete_old {
        remove_old_values(&mut draft, node, new_rdn, schema);
    }
    let faults = put_rdn_values(&mut draft, new_rdn, schema)?;
    if !faults.is_empty() {
        return Err(Error::Violations(Violations::new(faults)));
    }
    let parent_key = base.node(parent).map(|p| base.dn_key_of(p)).unwrap_or_default();
    let new_key = parent_key.child(key.clone());
    if parent != old_parent {
        // What may be added there may be moved there.
        may_add(&context.grants(), before, &new_key, schema)?;
        stay_in_area(context, node, &new_key)?;
    }
    let scope = identity::scope(context.options, &new_key, &draft.attrs, Some(&before.operational), schema);
    let checked = schema.validate(&draft.attrs, scope, Vec::new())?;
    let named: Vec<_> = new_rdn.avas().iter().chain(node.rdn.avas()).filter_map(|a| schema.attr_id(&a.attr)).collect();
    let asked = identity::Asked::default();
    let step = Step { scope, before: Some(&before.operational), asked, checked: &checked, changed: &named };
    let moved = advance(context, step)?;

    if parent == old_parent && *new_rdn == node.rdn && draft == Draft::of(before) {
        return Ok(Plan::unchanged(before.uuid));
    }
    let diagnostic = moved.diagnostic.clone();
    let operational = context.written(&before.operational, moved);
    let entry = draft.seal(before.uuid, operational, schema);
    let old_dn = base.dn_text(node);
    let node =
        Node { id: node.id, parent: Some(parent), rdn: new_rdn.clone(), key, apart: None, entry: Arc::new(entry) };
    let change = context.change(node.entry.uuid, base.dn_text(&node), ChangeKind::Rename { old_dn });
    Ok(Plan::put(node, change, diagnostic))
}

/// What lies below a container would become identities, or cease to be, without a look at them.
fn stay_in_area(context: &Context<'_>, node: &Node, new_key: &DnKey) -> Result<(), Error> {
    let old_key = context.base.dn_key_of(node);
    let is_container = context.base.has_children(node.id);
    let names_base = context.options.identities.bases.iter().any(|base| base.is_within(&old_key));
    let crosses = identity::in_area(context.options, &old_key) != identity::in_area(context.options, new_key);
    if is_container && (names_base || crosses) {
        return Err(Error::Unwilling(
            "a container cannot be moved into or out of the identities base; move its entries",
        ));
    }
    Ok(())
}

/// Takes the values of the old RDN out, but those that the new one names again.
fn remove_old_values(draft: &mut Draft, node: &Node, new_rdn: &Rdn, schema: &Schema) {
    for ava in node.rdn.avas() {
        let Some(id) = schema.attr_id(&ava.attr) else { continue };
        let old = schema.identity(id, &ava.value);
        let again =
            |new: &crate::dn::Ava| schema.attr_id(&new.attr) == Some(id) && schema.identity(id, &new.value) == old;
        // A new spelling of the same value takes the place of the old one.
        let respelled = new_rdn.avas().iter().find(|new| again(new));
        if let Some(held) = draft.get_mut(&AttrDesc::plain(id)) {
            match respelled {
                Some(new) => {
                    held.values
                        .iter_mut()
                        .filter(|v| schema.identity(id, v) == old)
                        .for_each(|v| *v = new.value.to_vec());
                }
                None => held.values.retain(|v| schema.identity(id, v) != old),
            }
        }
        draft.attrs.retain(|a| !a.values.is_empty());
    }
}
