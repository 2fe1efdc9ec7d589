//! Soft delete of identities (Sesame: `deletedFlag`, state -99). A deleted identity leaves the tree
//! and the indexes like any deleted entry, so that its name and its unique values are free; its
//! record stays apart, with the name it had, until it is brought back or purged.

use super::{
    ChangeKind, DeleteMode, Error, Node, Outcome, Terms,
    add::{may_add, parent},
    advance::{Moved, Record, Step, advance},
    identity::{self, Asked},
    plan::{Context, Effect, Plan},
};
use crate::{
    access::{DELETED, Right},
    dn::Dn,
    entry::{Axes, Deleted, Draft, Entry, Operational},
    filter::Plain,
    lifecycle::{self, Event, Past},
};
use std::sync::Arc;
use uuid::Uuid;

/// The delete of an identity, if it is one that stays.
pub(super) fn plan(context: &Context<'_>, node: &Arc<Node>) -> Result<Option<Plan>, Error> {
    let before = &node.entry.operational;
    let Some(axes) = before.axes.filter(|_| context.options.identities.delete == DeleteMode::Soft) else {
        return Ok(None);
    };
    if context.base.has_children(node.id) {
        return Err(Error::NotLeaf);
    }
    let dn = context.base.dn_text(node);
    let state = lifecycle::next(Some(lifecycle::state(&axes)), Event::Deleted)?;
    let new = Axes { state: state.number(), ..axes };
    let mut facts = before.facts.clone().unwrap_or_default();
    record(context, "deleted").moves(Some(&axes), &new, &mut facts);
    facts.deleted = Some(Deleted { at: context.now, dn: dn.clone() });
    let operational = Operational {
        modified: context.now,
        modifier: context.actor(),
        changed: context.number,
        axes: Some(new),
        facts: Some(facts),
        ..before.clone()
    };
    let tomb = Node::synthetic(&Dn::parse(&dn)?, node.entry.with_operational(operational));
    let uuid = node.entry.uuid;
    let change = context.change(uuid, dn, ChangeKind::Delete);
    let effect = Effect::Bury { node: Arc::clone(node), tomb: Arc::new(tomb), change };
    Ok(Some(Plan { effect, outcome: Outcome::changed(uuid, None) }))
}

/// The way back: an ordinary new entry for all who look, with the uuid and the facts it had.
pub(super) fn undelete(context: &Context<'_>, uuid: Uuid) -> Result<Plan, Error> {
    let base = context.base;
    let schema = &base.schema;
    let (tomb, dn) = buried(context, uuid)?;
    let key = schema.dn_key(&dn);
    let before = &tomb.entry.operational;
    may_add(&context.grants(), &tomb.entry, &key, schema)?;
    let parent = parent(context, &key)?;
    if base.find(&key).is_some() {
        return Err(Error::AlreadyExists);
    }
    let rdn = dn.leaf().ok_or(Error::AlreadyExists)?;
    let draft = Draft::of(&tomb.entry);
    let scope = identity::scope(context.options, &key, &draft.attrs, Some(before), schema);
    let checked = schema.validate(&draft.attrs, scope, Vec::new())?;
    let whole = checked.class_faults.is_empty() && before.facts.as_ref().is_none_or(|f| f.held.is_empty());
    let absorbed = before.facts.as_ref().is_some_and(|f| f.fused_into.is_some());
    let past = match (whole, before.synced) {
        _ if absorbed => Past::Absorbed,
        (false, _) => Past::Incomplete,
        (true, Some(_)) => Past::Synced,
        (true, None) => Past::NeverSynced,
    };
    let terms = Terms { event: Some(Event::Undeleted(past)), why: why(context, "undeleted"), ..context.terms.clone() };
    let context = Context { terms: &terms, ..*context };
    let asked = Asked { data_status: Some(0), ..Asked::default() };
    let step = Step { scope, before: Some(before), asked, checked: &checked, changed: &[] };
    let mut moved: Moved = advance(&context, step)?;
    if let Some(facts) = &mut moved.facts {
        facts.deleted = None;
    }
    let diagnostic = moved.diagnostic.clone();
    let operational = context.written(before, moved);
    let entry = draft.seal(uuid, operational, schema);
    let node = Node {
        id: base.next_id(),
        parent: parent.map(|p| p.id),
        rdn: rdn.clone(),
        key: schema.rdn_key(rdn),
        apart: None,
        entry: Arc::new(entry),
    };
    let change = context.change(uuid, dn.to_string(), ChangeKind::Add);
    Ok(Plan::put(node, change, diagnostic))
}

/// The end of a deleted identity. Nobody saw it any more, so nobody is told.
pub(super) fn purge(context: &Context<'_>, uuid: Uuid) -> Result<Plan, Error> {
    let (tomb, dn) = buried(context, uuid)?;
    let key = context.base.schema.dn_key(&dn);
    let grants = context.grants();
    let place = grants.at(&key, uuid, &Plain(&tomb.entry), &context.base.schema);
    if !place.allows(None, Right::Delete) {
        return Err(place.denial("delete this entry".to_owned()));
    }
    Ok(Plan { effect: Effect::Forget { uuid }, outcome: Outcome::changed(uuid, None) })
}

/// What the client asserts of a deleted identity (RFC 4528).
pub(super) fn look_before(context: &Context<'_>, uuid: Uuid) -> Result<(), Error> {
    let (tomb, _) = buried(context, uuid)?;
    match &context.terms.assertion {
        Some(filter) if !filter.matches(&Plain(&tomb.entry), &context.base.schema) => Err(Error::AssertionFailed),
        _ => Ok(()),
    }
}

/// An import has seen the identity; only the time of that is kept.
pub(super) fn touch(context: &Context<'_>, uuid: Uuid) -> Result<Plan, Error> {
    let base = context.base;
    let node = base.by_uuid(uuid).ok_or(Error::NoSuchObject { matched: None })?;
    context.require(node, Right::Write)?;
    let mut facts = node.entry.operational.facts.clone().unwrap_or_default();
    facts.seen = Some(context.now);
    let operational = Operational { facts: Some(facts), ..node.entry.operational.clone() };
    let node = Node {
        id: node.id,
        parent: node.parent,
        rdn: node.rdn.clone(),
        key: node.key.clone(),
        apart: None,
        entry: Arc::new(node.entry.with_operational(operational)),
    };
    Ok(Plan { effect: Effect::Note { node: Arc::new(node) }, outcome: Outcome::unchanged(uuid) })
}

fn buried<'a>(context: &Context<'a>, uuid: Uuid) -> Result<(&'a Arc<Node>, Dn), Error> {
    let missing = || Error::NoSuchObject { matched: None };
    let tomb = context.base.deleted_by_uuid(uuid).ok_or_else(missing)?;
    let grants = context.grants();
    let shown_at = context.base.schema.dn_value_key(&format!("entryUUID={uuid},{DELETED}")).ok_or_else(missing)?;
    // To who may not see it, it is not there.
    if grants.at(&shown_at, uuid, &Plain(&tomb.entry), &context.base.schema).is_blind() {
        return Err(missing());
    }
    let dn = tomb.apart.as_deref().cloned().ok_or_else(missing)?;
    Ok((tomb, dn))
}

fn why(context: &Context<'_>, default: &'static str) -> smol_str::SmolStr {
    if context.terms.why.is_empty() { smol_str::SmolStr::new_static(default) } else { context.terms.why.clone() }
}

fn record(context: &Context<'_>, default: &'static str) -> Record {
    let most = context.options.limits.history_moves;
    Record { time: context.now, actor: context.actor(), why: why(context, default), most }
}

/// The stored form of a deleted identity, read back.
pub(super) fn tomb(dn: &str, entry: Entry) -> Result<Node, Error> {
    Ok(Node::synthetic(&Dn::parse(dn)?, entry))
}
