//! Identities among the entries: which they are, and how a write moves them through their states.

use super::{Error, Options, Snapshot, plan::Context};
use crate::{
    dn::DnKey,
    entry::{Axes, Draft, Operational},
    lifecycle::{self, Event, State, parse_axis},
    schema::{Attr, AttrId, Checked, Schema, Scope, Violation, Violations},
};

/// What a client asks of the axes in one write.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub state: Option<State>,
    pub lifecycle: Option<char>,
    pub data_status: Option<i32>,
    pub init_state: Option<i32>,
}

impl Asked {
    fn any(&self) -> bool {
        self.state.is_some() || self.lifecycle.is_some() || self.data_status.is_some() || self.init_state.is_some()
    }
}

/// Whether the rules of identities hold for an entry of this name and these attributes.
pub(super) fn scope(options: &Options, key: &DnKey, attrs: &[Attr], schema: &Schema) -> Scope {
    let object_class = schema.known.object_class;
    let is_person = attrs
        .iter()
        .filter(|a| a.desc.id == object_class)
        .flat_map(|a| &a.values)
        .filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?))
        .any(|c| {
            c == schema.known.inet_org_person || schema.class(c).superclasses.contains(&schema.known.inet_org_person)
        });
    let below = options.identities.bases.iter().any(|base| key.is_below(base));
    if is_person && below { Scope::Identity } else { Scope::Plain }
}

/// The four axes as attributes of a draft, so that they are modified like any other.
pub(super) fn show_axes(draft: &mut Draft, axes: Option<Axes>, schema: &Schema) {
    let Some(axes) = axes else { return };
    for (attr, value) in axis_values(&axes, schema) {
        draft.put(attr, value.as_bytes());
    }
}

pub(super) fn axis_values(axes: &Axes, schema: &Schema) -> [(AttrId, String); 4] {
    let known = &schema.known;
    [
        (known.state, axes.state.to_string()),
        (known.lifecycle, axes.lifecycle.to_string()),
        (known.data_status, axes.data_status.to_string()),
        (known.init_state, axes.init_state.to_string()),
    ]
}

pub(super) fn is_axis(attr: AttrId, schema: &Schema) -> bool {
    let known = &schema.known;
    [known.state, known.lifecycle, known.data_status, known.init_state].contains(&attr)
}

/// Takes the axes out of a draft again. What was sent is asked for; what was only there before is
/// not.
pub(super) fn take_axes(draft: &mut Draft, sent: impl Fn(AttrId) -> bool, schema: &Schema) -> Result<Asked, Error> {
    let known = &schema.known;
    Ok(Asked {
        state: one(draft, known.state, &sent, schema, parse_axis::state)?,
        lifecycle: one(draft, known.lifecycle, &sent, schema, parse_axis::lifecycle)?,
        data_status: one(draft, known.data_status, &sent, schema, parse_axis::data_status)?,
        init_state: one(draft, known.init_state, &sent, schema, parse_axis::init_state)?,
    })
}

fn one<T>(
    draft: &mut Draft,
    attr: AttrId,
    sent: impl Fn(AttrId) -> bool,
    schema: &Schema,
    parse: impl Fn(&[u8]) -> Result<T, lifecycle::Fault>,
) -> Result<Option<T>, Error> {
    let name = || schema.attribute(attr).name.to_string();
    match draft.take(attr).filter(|_| sent(attr)).as_deref() {
        None | Some([]) => Ok(None),
        Some([value]) => parse(value).map(Some).map_err(|fault| Error::Axis { attr: name(), fault }),
        Some(_) => Err(Error::NotAnIdentity { attr: name(), reason: "it has one value" }),
    }
}

/// The axes after a write, and what the identity still lacks.
pub(super) struct Moved {
    pub axes: Option<Axes>,
    pub missing: Vec<String>,
    pub diagnostic: Option<String>,
}

/// Decides where a checked write leaves the identity. `content` tells whether anything but the
/// axes changed.
pub(super) fn advance(
    context: &Context<'_>,
    scope: Scope,
    before: Option<&Operational>,
    asked: Asked,
    checked: &Checked,
    content: bool,
) -> Result<Moved, Error> {
    if scope == Scope::Plain {
        if asked.any() {
            return Err(Error::NotAnIdentity {
                attr: "vestibuleState".to_owned(),
                reason: "only identities have it: inetOrgPerson entries under the identities base",
            });
        }
        return Ok(Moved { axes: None, missing: Vec::new(), diagnostic: None });
    }
    let old = before.and_then(|o| o.axes);
    let from = old.as_ref().map(lifecycle::state);
    let release = Event::Valid(context.options.identities.release);
    let incomplete = !checked.class_faults.is_empty();
    let event = match (asked.state, incomplete) {
        (Some(State::ToCreate), true) => Event::Incomplete,
        // Work on an identity that is incomplete already may leave it incomplete.
        (None, true) if from == Some(State::ToComplete) => Event::Incomplete,
        (_, true) => return Err(Error::Violations(Violations::new(checked.class_faults.clone()))),
        (Some(State::ToCreate), false) => release,
        (Some(to), false) => Event::Asked(to),
        (None, false) => release,
    };
    let lifecycle_moved = asked.lifecycle.is_some() && asked.lifecycle != old.map(|a| a.lifecycle);
    let status_moved = asked.data_status.is_some() && asked.data_status != old.map(|a| a.data_status);
    let state = match (from, event) {
        // Only axes that no target sees were written: the state stays.
        (Some(from), Event::Valid(_)) if !content && !lifecycle_moved && !status_moved => from,
        _ => lifecycle::next(from, event)?,
    };
    let base = old.unwrap_or_else(|| lifecycle::fresh(state));
    let axes = Axes {
        state: state.number(),
        lifecycle: asked.lifecycle.unwrap_or(base.lifecycle),
        data_status: asked.data_status.unwrap_or(base.data_status),
        init_state: asked.init_state.unwrap_or(base.init_state),
    };
    let missing: Vec<String> = checked.class_faults.iter().map(ToString::to_string).collect();
    let diagnostic = incomplete.then(|| {
        let list = Violations::new(checked.class_faults.clone());
        format!("kept as {state}, neither exported nor able to bind, until completed: {list}")
    });
    Ok(Moved { axes: Some(axes), missing, diagnostic })
}

/// Violations of attributes that only the server may write.
pub(super) fn server_kept<'a>(
    attrs: impl Iterator<Item = (AttrId, &'a [Vec<u8>])>,
    snapshot: &Snapshot,
) -> Vec<Violation> {
    let schema = &snapshot.schema;
    attrs
        .filter(|(id, _)| schema.is_kept_by_server(*id) && !is_axis(*id, schema))
        .map(|(id, values)| {
            let name = &schema.attribute(id).name;
            let message = match id == schema.known.member_of {
                true => format!("is kept by the server; {}", snapshot.groups.where_to_write(values, snapshot)),
                false => "is kept by the server".to_owned(),
            };
            Violation::new(crate::schema::Fault::NoUserModification, "", name, "NO-USER-MODIFICATION", message)
        })
        .collect()
}

/// True if a name lies where identities are.
pub(super) fn in_area(options: &Options, key: &DnKey) -> bool {
    options.identities.bases.iter().any(|base| key.is_within(base))
}

/// The root of an empty tree has no parent to ask.
pub(super) fn is_suffix(snapshot: &Snapshot, key: &DnKey) -> bool {
    *key == snapshot.suffix_key
}
