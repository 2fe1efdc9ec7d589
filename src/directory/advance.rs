//! How a write moves an identity along its axes, and what it does to the facts that are kept of it.

use super::{Error, identity::Asked, plan::Context};
use crate::{
    clock::Timestamp,
    entry::{Axes, Axis, Facts, FactsChange, Held, Move, Operational},
    lifecycle::{self, Event, State},
    schema::{AttrId, Checked, Fault, Schema, Scope, Violation, Violations},
};
use smol_str::SmolStr;

/// A checked write, as far as it concerns the axes.
pub(super) struct Step<'a> {
    pub scope: Scope,
    pub before: Option<&'a Operational>,
    pub asked: Asked,
    pub checked: &'a Checked,
    /// The attributes whose values differ; the axes are none of them.
    pub changed: &'a [AttrId],
}

/// The axes after a write, and what the identity still lacks.
pub(super) struct Moved {
    pub axes: Option<Axes>,
    pub facts: Option<Box<Facts>>,
    pub missing: Vec<String>,
    pub diagnostic: Option<String>,
}

impl Moved {
    /// Of an entry that is no identity.
    pub fn plain() -> Self {
        Moved { axes: None, facts: None, missing: Vec::new(), diagnostic: None }
    }

    /// As it was.
    pub fn none(before: &Operational) -> Self {
        let Operational { axes, facts, missing, .. } = before.clone();
        Moved { axes, facts, missing, diagnostic: None }
    }
}

/// Decides where a checked write leaves the identity.
pub(super) fn advance(context: &Context<'_>, step: Step<'_>) -> Result<Moved, Error> {
    let Step { scope, before, asked, checked, changed } = step;
    if scope == Scope::Plain {
        if asked.any() {
            return Err(Error::NotAnIdentity {
                attr: "vestibuleState".to_owned(),
                reason: "only identities have it: inetOrgPerson entries under the identities base",
            });
        }
        return Ok(Moved::plain());
    }
    let old = before.and_then(|o| o.axes);
    let mut facts = before.and_then(|o| o.facts.clone()).unwrap_or_default();
    facts.held = held(context, &facts, changed);
    let mut faults = checked.class_faults.clone();
    faults.extend(facts.held.iter().map(Violation::from));

    let from = old.as_ref().map(lifecycle::state);
    if from.is_some() && asked.state == Some(State::ToCreate) && changed.is_empty() {
        // With other changes it asks to hold what they break; alone it can only mean the state.
        lifecycle::next(from, Event::Asked(State::ToCreate))?;
    }
    let is_content = changed.iter().any(|attr| !context.base.schema.is_secret(*attr));
    let is_axis_alone = before.is_some() && !is_content && asked.state.is_none() && context.terms.event.is_none();
    if is_axis_alone && from != Some(State::ToComplete) && context.terms.faults.is_none() {
        // Rules may have become stricter since it was written: it must be possible to lock it still.
        faults.clear();
    }
    let event = event(context, from, &asked, &faults)?;
    if facts.fused_into.is_some() && matches!(event, Event::Asked(State::ToSync | State::ToValidate) | Event::Released)
    {
        return Err(Error::Unwilling("the identity is absorbed by another one; take the fusion back first"));
    }
    let moved = |asked: Option<i32>, old: Option<i32>| asked.is_some() && asked != old;
    let letter_moved = asked.lifecycle.is_some() && asked.lifecycle != old.map(|a| a.lifecycle);
    let status_moved = moved(asked.data_status, old.map(|a| a.data_status));
    let state = match (from, event) {
        // Only axes that no target sees were written: the state stays, unless the front knows better.
        (Some(from), Event::Valid(_))
            if changed.is_empty() && !letter_moved && !status_moved && context.terms.event.is_none() =>
        {
            from
        }
        _ => lifecycle::next(from, event)?,
    };
    let base = old.unwrap_or_else(|| lifecycle::fresh(state));
    let invited = moved(asked.init_state, Some(base.init_state));
    let axes = Axes {
        state: state.number(),
        lifecycle: asked.lifecycle.unwrap_or(base.lifecycle),
        // Who is invited can use the account from then on (Sesame).
        data_status: asked.data_status.unwrap_or(if invited && asked.init_state > Some(0) {
            lifecycle::ACTIVE
        } else {
            base.data_status
        }),
        init_state: asked.init_state.unwrap_or(base.init_state),
    };
    keep_facts(context, &mut facts, &asked, changed);
    let why = asked.reason.clone().unwrap_or_else(|| context.terms.why.clone());
    let record = Record { time: context.now, actor: context.actor(), why, most: context.options.limits.history_moves };
    record.moves(old.as_ref(), &axes, &mut facts);

    let missing: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let diagnostic = (!faults.is_empty()).then(|| {
        let list = Violations::new(faults);
        format!("kept as {state}, neither exported nor able to bind, until completed: {list}")
    });
    Ok(Moved { axes: Some(axes), facts: Some(facts), missing, diagnostic })
}

/// What this write is in the life of the identity.
fn event(context: &Context<'_>, from: Option<State>, asked: &Asked, faults: &[Violation]) -> Result<Event, Error> {
    let terms = context.terms;
    let release = Event::Valid(terms.release.unwrap_or(context.options.identities.release));
    let wanted = match (terms.event, asked.state) {
        (Some(event), _) => Some(event),
        (None, Some(State::ToCreate) | None) => None,
        (None, Some(to)) => Some(Event::Asked(to)),
    };
    let hold = terms.on_fault == super::OnFault::Hold || asked.state == Some(State::ToCreate);
    match (wanted, faults.is_empty()) {
        (Some(event), complete) if complete || event.is_for_incomplete() => Ok(event),
        // A fusion completes nobody.
        (Some(Event::Fused), false) if from == Some(State::ToComplete) => Ok(Event::Incomplete),
        (None, true) => Ok(release),
        // Work on an identity that is incomplete already may leave it incomplete.
        (None, false) if hold || from == Some(State::ToComplete) => Ok(Event::Incomplete),
        _ => Err(Error::Violations(Violations::new(faults.to_vec()))),
    }
}

/// The faults of what is kept beside the entry: those that the front names, or else the ones of
/// before whose attributes this write does not touch.
fn held(context: &Context<'_>, facts: &Facts, changed: &[AttrId]) -> Vec<Held> {
    match &context.terms.faults {
        Some(faults) => faults.iter().map(Held::from).collect(),
        None => {
            let schema = &context.base.schema;
            let touched = |held: &&Held| schema.attr_id(&held.attr).is_some_and(|id| changed.contains(&id));
            facts.held.iter().filter(|h| !touched(h)).cloned().collect()
        }
    }
}

fn keep_facts(context: &Context<'_>, facts: &mut Facts, asked: &Asked, changed: &[AttrId]) {
    facts.ignore_lifecycle = asked.ignore_lifecycle.unwrap_or(facts.ignore_lifecycle);
    match asked.init_state {
        Some(1) => (facts.init_date, facts.sent_date) = (Some(context.now), None),
        Some(2) => facts.sent_date = Some(context.now),
        _ => {}
    }
    facts.beside = facts.beside.take().and_then(|text| without(&text, changed, &context.base.schema));
    if let Some(change) = &context.terms.facts {
        FactsChange::clone(change).apply(facts);
    }
}

/// What is beside the entry, less the attributes that were written since.
fn without(beside: &str, changed: &[AttrId], schema: &Schema) -> Option<String> {
    let mut blocks: serde_json::Map<String, serde_json::Value> = serde_json::from_str(beside).ok()?;
    for block in blocks.values_mut().filter_map(|block| block.as_object_mut()) {
        block.retain(|name, _| schema.attr_id(name).is_none_or(|id| !changed.contains(&id)));
    }
    blocks.retain(|_, block| block.as_object().is_none_or(|block| !block.is_empty()));
    if blocks.is_empty() { None } else { serde_json::to_string(&blocks).ok() }
}

/// The way moves get into the history.
pub(super) struct Record {
    pub time: Timestamp,
    pub actor: SmolStr,
    pub why: SmolStr,
    pub most: usize,
}

impl Record {
    /// Notes each axis that differs. Of a new identity the state is noted, and what is not usual.
    pub fn moves(&self, old: Option<&Axes>, new: &Axes, facts: &mut Facts) {
        let fresh = lifecycle::fresh(State::Unknown);
        let base = old.unwrap_or(&fresh);
        let axes = [
            (Axis::State, base.state, new.state),
            (Axis::Lifecycle, base.lifecycle as i32, new.lifecycle as i32),
            (Axis::DataStatus, base.data_status, new.data_status),
            (Axis::InitState, base.init_state, new.init_state),
        ];
        let differs = |(axis, from, to): &(Axis, i32, i32)| from != to || (old.is_none() && *axis == Axis::State);
        let moves = axes.into_iter().filter(differs).map(|(axis, from, to)| Move {
            time: self.time,
            axis,
            from: old.map(|_| from),
            to,
            actor: self.actor.clone(),
            why: self.why.clone(),
        });
        if base.lifecycle != new.lifecycle {
            facts.lifecycle_changed = Some(self.time);
        }
        let mut history = std::mem::take(&mut facts.history);
        history.extend(moves.collect::<Vec<_>>(), self.most);
        facts.history = history;
    }
}

impl From<&Violation> for Held {
    fn from(v: &Violation) -> Self {
        Held { class: v.class.clone(), attr: v.attr.clone(), rule: v.rule.clone(), message: v.message.clone() }
    }
}

impl From<&Held> for Violation {
    fn from(held: &Held) -> Self {
        Violation::new(Fault::ClassRule, &held.class, &held.attr, &held.rule, held.message.clone())
    }
}
