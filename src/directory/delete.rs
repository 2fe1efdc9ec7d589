//! Delete of a leaf (RFC 4511 section 4.8), or of an entry with all that lies below.

use super::{
    ChangeKind, Error, Outcome, bury,
    plan::{Context, Effect, Plan},
};
use crate::{access::Right, dn::Dn};
use std::sync::Arc;

pub(super) fn plan(context: &Context<'_>, dn: &Dn) -> Result<Plan, Error> {
    let node = context.target(dn)?;
    context.require(node, Right::Delete)?;
    if context.base.has_children(node.id) {
        return Err(Error::NotLeaf);
    }
    if let Some(plan) = bury::plan(context, node)? {
        return Ok(plan);
    }
    let uuid = node.entry.uuid;
    let change = context.change(uuid, context.base.dn_text(node), ChangeKind::Delete);
    let outcome = Outcome::changed(uuid, None);
    Ok(Plan { effect: Effect::Remove { node: Arc::clone(node), change }, outcome })
}

/// The names of an entry and of all below it, subordinates before their superiors.
pub(super) fn with_subordinates(context: &Context<'_>, dn: &Dn) -> Result<Vec<Dn>, Error> {
    let base = context.base;
    let top = context.target(dn)?;
    // Names below are not told to those who may not delete the entry itself.
    context.require(top, Right::Delete)?;
    let mut order = vec![top.id];
    let mut at = 0;
    while let Some(id) = order.get(at).copied() {
        order.extend(base.children(id));
        if order.len() > context.options.limits.tree_delete {
            return Err(Error::TooLarge { what: "entries below the one to delete" });
        }
        at += 1;
    }
    let names = order.iter().rev().filter_map(|id| base.node(*id));
    names.map(|node| Dn::parse(&base.dn_text(node)).map_err(Error::from)).collect()
}
