//! What the targets said of an identity: the state moves, nothing else changes.

use super::{
    ChangeKind, Error, Node, Outcome,
    advance::Record,
    plan::{Context, Effect, Plan},
};
use crate::{
    entry::{Axes, Operational},
    lifecycle::{self, Event, State},
};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn plan(context: &Context<'_>, uuid: Uuid, as_of: u64, event: Event) -> Result<Plan, Error> {
    let unchanged = Plan::unchanged(uuid);
    let Some(node) = context.base.by_uuid(uuid) else { return Ok(unchanged) };
    let operational = &node.entry.operational;
    let Some(axes) = operational.axes else { return Ok(unchanged) };
    // The entry has changed since; another report will speak of the present version.
    if operational.changed != as_of {
        return Ok(unchanged);
    }
    let from = lifecycle::state(&axes);
    let to = lifecycle::next(Some(from), event)?;
    if to == from {
        return Ok(unchanged);
    }
    let new = Axes { state: to.number(), ..axes };
    let mut facts = operational.facts.clone().unwrap_or_default();
    let most = context.options.limits.history_moves;
    let record = Record { time: context.now, actor: context.actor(), why: context.terms.why.clone(), most };
    record.moves(Some(&axes), &new, &mut facts);
    let operational = Operational {
        axes: Some(new),
        facts: Some(facts),
        synced: if to == State::Synced { Some(context.now) } else { operational.synced },
        ..operational.clone()
    };
    let kind = ChangeKind::State { from: from.number(), to: to.number() };
    let change = context.change(uuid, context.base.dn_text(node), kind);
    let node = Node {
        id: node.id,
        parent: node.parent,
        rdn: node.rdn.clone(),
        key: node.key.clone(),
        apart: None,
        entry: Arc::new(node.entry.with_operational(operational)),
    };
    let outcome = Outcome::changed(uuid, None);
    Ok(Plan { effect: Effect::Put { node: Arc::new(node), change }, outcome })
}
