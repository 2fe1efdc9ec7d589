//! Delete of a leaf (RFC 4511 section 4.8).

use super::{
    ChangeKind, Error, Outcome,
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
    let uuid = node.entry.uuid;
    let change = context.change(uuid, context.base.dn_text(node), ChangeKind::Delete);
    let outcome = Outcome { uuid, diagnostic: None, changed: true };
    Ok(Plan { effect: Effect::Remove { node: Arc::clone(node), change }, outcome })
}
