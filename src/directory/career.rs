//! Careers: what lifecycle rules make of an identity that was written, and the moves that a rule
//! makes when its time has come. Both go through the one writer like every other change.

use super::{
    ChangeKind, Error, Node, Outcome,
    advance::Record,
    identity::Asked,
    modify::changed_attributes,
    plan::{Context, Effect, Plan},
    unique,
};
use crate::{
    clock::Timestamp,
    entry::{Axes, Draft, Entry, Facts, Operational},
    lifecycle::{self, Event, Rule, Set, State, Trigger},
    schema::{Attr, AttrDesc, Scope, Violations},
    sesame,
};
use smol_str::SmolStr;
use std::{cell::OnceCell, sync::Arc};
use uuid::Uuid;

/// Refuses a letter that a human may not move the identity to.
pub(super) fn check_by_hand(context: &Context<'_>, before: &Entry, asked: &Asked) -> Result<(), Error> {
    let (Some(axes), Some(to)) = (before.operational.axes, asked.lifecycle) else { return Ok(()) };
    let schema = &context.base.schema;
    let document = OnceCell::new();
    let document = || document.get_or_init(|| sesame::document(before, schema));
    Ok(context.base.career.permitted(before, (axes.lifecycle, to), document, schema, context.now)?)
}

/// What follows for an identity from having been written: the first immediate rule that is for it,
/// and the state of its resource.
pub(super) fn attend(context: &Context<'_>, node: Arc<Node>, kind: ChangeKind) -> (Arc<Node>, ChangeKind) {
    let Some(axes) = node.entry.operational.axes else { return (node, kind) };
    let before = context.base.by_uuid(node.entry.uuid).map(|n| n.entry.as_ref());
    let moved = match before.is_some_and(|before| only_state_differs(before, &node.entry)) {
        true => None,
        false => immediate(context, &node, &axes),
    };
    let derived = match moved {
        Some(moved) => Some(moved),
        None => derived(context, &node.entry),
    };
    let Some(entry) = derived else { return (node, kind) };
    let kind = kind_of(context, &node.entry, &entry, kind);
    (Arc::new(replaced(&node, entry)), kind)
}

/// Sesame's rules look at updates of everything but the state alone.
fn only_state_differs(before: &Entry, after: &Entry) -> bool {
    let bare = |entry: &Entry| {
        let facts = entry.operational.facts.as_deref().cloned().unwrap_or_default();
        let axes = entry.operational.axes.map(|axes| Axes { state: 0, ..axes });
        (axes, Facts { history: Default::default(), ..facts })
    };
    before.body() == after.body() && before.secrets() == after.secrets() && bare(before) == bare(after)
}

/// The identity after the first immediate rule that is for it. Without a match, or if what the rule
/// sets is not valid, it stays as it was written.
fn immediate(context: &Context<'_>, node: &Node, axes: &Axes) -> Option<Entry> {
    let base = context.base;
    let document = OnceCell::new();
    let document = || document.get_or_init(|| sesame::document(&node.entry, &base.schema));
    let holds = |rule: &&Arc<Rule>| {
        rule.takes(&node.entry) && rule.condition.holds(&node.entry, document, &base.schema, context.now)
    };
    let rule = base.career.immediate(axes.lifecycle).find(holds)?;
    match carry_out(context, node, rule, context.actor()) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::warn!(rule = %rule.name, identity = %node.entry.uuid, %error, "a lifecycle rule was not carried out");
            None
        }
    }
}

/// The plan of a rule whose time has come, or that a task asked for. What no longer holds is no
/// failure: nothing is done.
pub(super) fn plan(context: &Context<'_>, uuid: Uuid, rule: &Rule) -> Result<Plan, Error> {
    let base = context.base;
    let unchanged = Plan::unchanged(uuid);
    let Some(node) = base.by_uuid(uuid) else { return Ok(unchanged) };
    if !is_for(rule, &node.entry, context.now, base) {
        return Ok(unchanged);
    }
    let entry = carry_out(context, node, rule, context.actor())?;
    let kind = kind_of(context, &node.entry, &entry, ChangeKind::Modify(Vec::new()));
    let change = context.change(uuid, base.dn_text(node), kind);
    let node = Arc::new(replaced(node, entry));
    Ok(Plan { effect: Effect::Put { node, change }, outcome: Outcome::changed(uuid, None) })
}

/// Whether a timed rule or one for tasks is for an identity at this time.
pub(super) fn is_for(rule: &Rule, entry: &Entry, now: Timestamp, snapshot: &super::Snapshot) -> bool {
    let in_time = match rule.when {
        Trigger::After(_) => rule.due(entry).is_some_and(|due| due <= now),
        Trigger::Task => true,
        Trigger::Immediate => false,
    };
    let schema = &snapshot.schema;
    let document = OnceCell::new();
    let document = || document.get_or_init(|| sesame::document(entry, schema));
    in_time && rule.takes(entry) && rule.condition.holds(entry, document, schema, now)
}

/// The identity as a rule leaves it.
fn carry_out(context: &Context<'_>, node: &Node, rule: &Rule, actor: SmolStr) -> Result<Entry, Error> {
    let base = context.base;
    let schema = &base.schema;
    let before = &node.entry.operational;
    let axes = before.axes.ok_or(Error::Unwilling("it is not an identity"))?;
    let sets =
        rule.mutation.resolve(context.now, schema).map_err(|why| Error::Internal(format!("{}: {why}", rule.name)))?;
    let mut draft = Draft::of(&node.entry);
    let mut new = Axes { lifecycle: rule.target, ..axes };
    let mut facts = before.facts.clone().unwrap_or_default();
    let mut state = None;
    for set in sets {
        match set {
            Set::Attribute(attr, values) => {
                draft.attrs.retain(|held| held.desc != AttrDesc::plain(attr));
                if !values.is_empty() {
                    draft.attrs.push(Attr { desc: AttrDesc::plain(attr), values });
                }
            }
            Set::State(to) => state = Some(to),
            Set::DataStatus(to) => new.data_status = to,
            Set::InitState(to) => set_init_state(&mut new, &mut facts, to, context.now),
            Set::IgnoreLifecycle(to) => facts.ignore_lifecycle = to,
            Set::Custom(path, value) => set_custom(&mut facts, &path, value),
        }
    }
    if !rule.mutation.is_empty() {
        let to = lifecycle::next(Some(lifecycle::state(&axes)), Event::Mutated)?;
        new.state = state.filter(|_| to == State::ToSync).unwrap_or(to).number();
    }
    base.career.resources.derive(&mut draft, &new, changed_at(&facts, &axes, &new, before, context.now), schema);
    let missing = match rule.mutation.is_empty() {
        true => before.missing.clone(),
        false => validated(context, node, &draft)?,
    };
    let most = context.options.limits.history_moves;
    let why = SmolStr::new(format!("rule {}", rule.name));
    Record { time: context.now, actor: actor.clone(), why, most }.moves(Some(&axes), &new, &mut facts);
    let operational = Operational {
        modified: context.now,
        modifier: actor,
        changed: context.number,
        axes: Some(new),
        facts: Some(facts),
        missing,
        ..before.clone()
    };
    let entry = draft.seal(node.entry.uuid, operational, schema);
    unique::check(context, &replaced(node, entry.clone()))?;
    Ok(entry)
}

/// What the identity lacks with the values that a rule has set; more than before is refused.
fn validated(context: &Context<'_>, node: &Node, draft: &Draft) -> Result<Vec<String>, Error> {
    let schema = &context.base.schema;
    let before = &node.entry.operational;
    let checked = schema.validate(&draft.attrs, Scope::Identity, Vec::new())?;
    if schema.class(checked.structural).name != before.structural {
        return Err(Error::Unwilling("a rule cannot change the structural class"));
    }
    let missing: Vec<String> = checked.class_faults.iter().map(ToString::to_string).collect();
    match missing.iter().all(|fault| before.missing.contains(fault)) {
        // What a front found beside the entry is there still.
        true => Ok(before.missing.clone()),
        false => Err(Error::Violations(Violations::new(checked.class_faults))),
    }
}

/// The invitation as Sesame keeps its times: who is invited can use the account from then on.
fn set_init_state(axes: &mut Axes, facts: &mut Facts, to: i32, now: Timestamp) {
    match to {
        1 => (facts.init_date, facts.sent_date) = (Some(now), None),
        2 => facts.sent_date = Some(now),
        _ => {}
    }
    if to > 0 && to != axes.init_state {
        axes.data_status = lifecycle::ACTIVE;
    }
    axes.init_state = to;
}

fn set_custom(facts: &mut Facts, path: &str, value: serde_json::Value) {
    use serde_json::{Map, Value};
    fn put(fields: &mut Map<String, Value>, path: &str, value: Value) {
        match path.split_once('.') {
            None if value.is_null() => drop(fields.remove(path)),
            None => drop(fields.insert(path.to_owned(), value)),
            Some((first, rest)) => {
                let inner = fields.entry(first).or_insert_with(|| Value::Object(Map::new()));
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Some(inner) = inner.as_object_mut() {
                    put(inner, rest, value);
                }
            }
        }
    }
    let held = facts.custom_fields.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut fields: Map<String, Value> = held.unwrap_or_default();
    put(&mut fields, path, value);
    facts.custom_fields = if fields.is_empty() { None } else { serde_json::to_string(&fields).ok() };
}

/// Since when the letter is as it is.
fn changed_at(facts: &Facts, old: &Axes, new: &Axes, before: &Operational, now: Timestamp) -> Timestamp {
    if old.lifecycle != new.lifecycle { now } else { facts.lifecycle_changed.unwrap_or(before.created) }
}

/// The entry with the state of its resource as the axes have it; `None` if it says so already.
fn derived(context: &Context<'_>, entry: &Entry) -> Option<Entry> {
    let operational = &entry.operational;
    let axes = operational.axes?;
    let since = operational.facts.as_ref().and_then(|f| f.lifecycle_changed).unwrap_or(operational.created);
    let before = Draft::of(entry);
    let mut draft = before.clone();
    context.base.career.resources.derive(&mut draft, &axes, since, &context.base.schema);
    (draft != before).then(|| draft.seal(entry.uuid, operational.clone(), &context.base.schema))
}

/// A draft in which a client wrote to the state of the derived resource, put right again, so that
/// the same write twice is none the second time.
pub(super) fn settle(context: &Context<'_>, draft: &mut Draft, before: &Operational) {
    let Some(axes) = before.axes else { return };
    let since = before.facts.as_ref().and_then(|f| f.lifecycle_changed).unwrap_or(before.created);
    context.base.career.resources.derive(draft, &axes, since, &context.base.schema);
}

fn kind_of(context: &Context<'_>, planned: &Entry, entry: &Entry, kind: ChangeKind) -> ChangeKind {
    let schema = &context.base.schema;
    let changed = changed_attributes(&Draft::of(planned), &Draft::of(entry));
    let names = changed.into_iter().map(|id| schema.attribute(id).name.clone());
    let moved = planned.operational.axes != entry.operational.axes;
    match kind {
        ChangeKind::Modify(mut list) => {
            list.extend(names.filter(|name| !list.contains(name)).collect::<Vec<_>>());
            if moved && list.is_empty() {
                list.push(SmolStr::new_static("vestibuleLifecycle"));
            }
            ChangeKind::Modify(list)
        }
        ChangeKind::State { .. } => {
            ChangeKind::Modify(names.chain([SmolStr::new_static("vestibuleLifecycle")]).collect())
        }
        other => other,
    }
}

fn replaced(node: &Node, entry: Entry) -> Node {
    Node {
        id: node.id,
        parent: node.parent,
        rdn: node.rdn.clone(),
        key: node.key.clone(),
        apart: None,
        entry: Arc::new(entry),
    }
}

/// True if a client's change touches what is derived.
pub(super) fn touches(context: &Context<'_>, changed: &[crate::schema::AttrId]) -> bool {
    changed.iter().any(|id| context.base.career.resources.makes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn custom_fields_are_set_by_path() {
        let mut facts = Facts::default();
        set_custom(&mut facts, "a.b", json!(1));
        set_custom(&mut facts, "c", json!("x"));
        assert_eq!(facts.custom_fields.as_deref(), Some(r#"{"a":{"b":1},"c":"x"}"#));
        set_custom(&mut facts, "c", json!(null));
        set_custom(&mut facts, "a", json!(null));
        assert_eq!(facts.custom_fields, None);
    }
}
