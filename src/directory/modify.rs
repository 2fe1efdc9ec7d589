//! Modify (RFC 4511 section 4.6): all changes or none, the schema checked at the end.

use super::{
    ChangeKind, Error, Node, Terms,
    advance::{Step, advance},
    bind_changes, bury, career, identity,
    plan::{Context, Plan},
    secrets,
};
use crate::{
    access::Right,
    dn::Dn,
    entry::{Axes, Draft, Facts, ModKind, Modification, Operational},
    schema::{Attr, AttrId, Schema, Scope, Violations},
};
use smol_str::SmolStr;
use std::{collections::BTreeSet, sync::Arc};

pub(super) fn plan(
    context: &Context<'_>,
    dn: &Dn,
    changes: Vec<(ModKind, SmolStr, Vec<Vec<u8>>)>,
) -> Result<Plan, Error> {
    let schema = &context.base.schema;
    let node = context.target(dn)?;
    let before = &node.entry;
    context.require_sight(node)?;
    let (changes, mut faults) = bind_changes(changes, schema);
    context.require_write(node, changes.iter().map(|c| c.attr.id))?;
    faults.extend(identity::server_kept(changes.iter().map(|c| (c.attr.id, c.values.as_slice())), context.base));
    if !faults.is_empty() {
        return Err(Error::Violations(Violations::new(faults)));
    }

    let mut draft = Draft::of(before);
    let original = draft.clone();
    identity::show_axes(&mut draft, &before.operational, schema);
    for change in &changes {
        let rest = if context.terms.permissive { draft.still_to_do(change.clone(), schema) } else { None };
        match (context.terms.permissive, &rest) {
            (false, _) => draft.apply(change, schema)?,
            (true, Some(rest)) => draft.apply(rest, schema)?,
            (true, None) => {}
        }
    }
    let asked = identity::take_axes(&mut draft, |attr| changes.iter().any(|c| c.attr.id == attr), context.base)?;
    career::check_by_hand(context, before, &asked)?;
    let explains = asked.reason.is_some();
    if asked.deleted == Some(true) {
        return delete(context, node, &changes, schema);
    }
    draft.attrs.retain(|a| !a.values.is_empty());
    let sent: Vec<AttrId> = changes.iter().map(|c| c.attr.id).collect();
    if career::touches(context, &sent) {
        career::settle(context, &mut draft, &before.operational);
    }
    draft.complete_classes(schema);
    keep_rdn_values(&draft, node, schema)?;
    secrets::require_hashed(&draft.attrs, context.options.limits.passwords, schema)?;
    if draft.attrs.len() > context.options.limits.entry_attributes {
        return Err(Error::TooLarge { what: "attributes" });
    }

    let key = context.base.dn_key_of(node);
    let scope = identity::scope(context.options, &key, &draft.attrs, Some(&before.operational), schema);
    if scope == Scope::Identity {
        schema.derive(&mut draft.attrs);
    }
    let checked = schema.validate(&draft.attrs, scope, Vec::new())?;
    let structural = &schema.class(checked.structural).name;
    let may_relax = context.terms.relax && context.grants().everything();
    if *structural != before.operational.structural && !may_relax {
        return Err(Error::StructuralClassChange {
            from: before.operational.structural.to_string(),
            to: structural.to_string(),
        });
    }
    let changed: Vec<AttrId> = changed_attributes(&original, &draft).into_iter().collect();
    let step = Step { scope, before: Some(&before.operational), asked, checked: &checked, changed: &changed };
    let moved = advance(context, step)?;
    let axes = moved.axes;
    if explains && axes == before.operational.axes && changed.is_empty() {
        return Err(Error::Unwilling("vestibuleReason goes with a move, and nothing moves here"));
    }
    if changed.is_empty() && axes == before.operational.axes && moved.facts == before.operational.facts {
        return Ok(Plan::unchanged(before.uuid));
    }
    let changed: Vec<SmolStr> = changed.into_iter().map(|id| schema.attribute(id).name.clone()).collect();
    let absorber = |facts: &Option<Box<Facts>>| facts.as_ref().and_then(|facts| facts.fused_into);
    // Targets hear of a fusion, though the state alone says that they need not.
    let fused = absorber(&moved.facts) != absorber(&before.operational.facts);
    let kind = match (changed.is_empty(), before.operational.axes, axes) {
        (true, Some(old), Some(new)) if !fused && old.state != new.state && Axes { state: new.state, ..old } == new => {
            ChangeKind::State { from: old.state, to: new.state }
        }
        (true, ..) => ChangeKind::Modify(vec![SmolStr::new_static("vestibuleLifecycle")]),
        (false, ..) => ChangeKind::Modify(changed),
    };
    let diagnostic = moved.diagnostic.clone();
    let operational = Operational { structural: structural.clone(), ..context.written(&before.operational, moved) };
    let entry = draft.seal(before.uuid, operational, schema);
    let change = context.change(before.uuid, context.base.dn_text(node), kind);
    let node = Node {
        id: node.id,
        parent: node.parent,
        rdn: node.rdn.clone(),
        key: node.key.clone(),
        apart: None,
        entry: Arc::new(entry),
    };
    Ok(Plan::put(node, change, diagnostic))
}

/// A soft delete that was asked for by its attribute. It leaves nothing to write to.
fn delete(context: &Context<'_>, node: &Arc<Node>, changes: &[Modification], schema: &Schema) -> Result<Plan, Error> {
    let known = &schema.known;
    if changes.iter().any(|change| ![known.deleted, known.reason].contains(&change.attr.id)) {
        return Err(Error::Unwilling("vestibuleDeleted is written alone, or with vestibuleReason"));
    }
    let reason = changes.iter().find(|change| change.attr.id == known.reason).and_then(|c| c.values.first());
    let why = reason.map(|text| SmolStr::new(String::from_utf8_lossy(text))).unwrap_or_default();
    let terms = Terms { why, ..context.terms.clone() };
    let context = Context { terms: &terms, ..*context };
    context.require(node, Right::Delete)?;
    bury::plan(&context, node)?
        .ok_or(Error::Unwilling("deletes are final here (identities.delete); delete the entry instead"))
}

/// A Modify may not take a value that the name holds (RFC 4511 4.6, notAllowedOnRDN).
fn keep_rdn_values(draft: &Draft, node: &Node, schema: &Schema) -> Result<(), Error> {
    for ava in node.rdn.avas() {
        if let Some(id) = schema.attr_id(&ava.attr)
            && !draft.holds(id, &ava.value, schema)
        {
            return Err(Error::NotAllowedOnRdn { attr: schema.attribute(id).name.to_string() });
        }
    }
    Ok(())
}

/// The attribute types whose values differ; their order does not count.
pub(super) fn changed_attributes(before: &Draft, after: &Draft) -> BTreeSet<AttrId> {
    let sorted = |attr: Option<&Attr>| {
        let mut values: Vec<Vec<u8>> = attr.map(|a| a.values.clone()).unwrap_or_default();
        values.sort();
        values
    };
    let all = before.attrs.iter().chain(&after.attrs);
    all.filter(|a| sorted(before.get(&a.desc)) != sorted(after.get(&a.desc))).map(|a| a.desc.id).collect()
}
