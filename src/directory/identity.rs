//! Identities among the entries: which they are, and what clients ask of their axes.

use super::{Error, Options, Snapshot};
use crate::{
    dn::DnKey,
    entry::{Axes, Draft, Operational},
    lifecycle::{self, State, parse_axis},
    schema::{Attr, AttrId, Schema, Scope, Violation},
};
use smol_str::SmolStr;

/// What a client asks of the axes in one write.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub state: Option<State>,
    pub lifecycle: Option<char>,
    pub data_status: Option<i32>,
    pub init_state: Option<i32>,
    pub ignore_lifecycle: Option<bool>,
    pub deleted: Option<bool>,
    pub reason: Option<SmolStr>,
}

impl Asked {
    pub fn any(&self) -> bool {
        let Asked { state, lifecycle, data_status, init_state, ignore_lifecycle, deleted, reason } = self;
        let axes = state.is_some() || lifecycle.is_some() || data_status.is_some() || init_state.is_some();
        axes || ignore_lifecycle.is_some() || deleted.is_some() || reason.is_some()
    }
}

/// Whether the rules of identities hold for an entry of this name and these attributes.
pub(super) fn scope(
    options: &Options,
    key: &DnKey,
    attrs: &[Attr],
    before: Option<&Operational>,
    schema: &Schema,
) -> Scope {
    let object_class = schema.known.object_class;
    let is_person = attrs
        .iter()
        .filter(|a| a.desc.id == object_class)
        .flat_map(|a| &a.values)
        .filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?))
        .any(|c| {
            c == schema.known.inet_org_person || schema.class(c).superclasses.contains(&schema.known.inet_org_person)
        });
    // Once an identity, it stays one wherever it goes: its locks and its history go with it.
    let known = before.is_some_and(|o| o.axes.is_some());
    let below = known || options.identities.bases.iter().any(|base| key.is_below(base));
    if is_person && below { Scope::Identity } else { Scope::Plain }
}

/// The four axes and what else clients may write, as attributes of a draft, so that they are modified
/// like any other.
pub(super) fn show_axes(draft: &mut Draft, operational: &Operational, schema: &Schema) {
    let Some(axes) = &operational.axes else { return };
    for (attr, value) in axis_values(axes, schema) {
        draft.put(attr, value.as_bytes());
    }
    let ignores = operational.facts.as_ref().is_some_and(|facts| facts.ignore_lifecycle);
    draft.put(schema.known.ignore_lifecycle, if ignores { b"TRUE" } else { b"FALSE" });
    draft.put(schema.known.deleted, b"FALSE");
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

/// True for those operational attributes by which clients ask something of an identity.
pub(super) fn is_asked(attr: AttrId, schema: &Schema) -> bool {
    let known = &schema.known;
    let axes = [known.state, known.lifecycle, known.data_status, known.init_state];
    axes.contains(&attr) || [known.ignore_lifecycle, known.deleted, known.reason].contains(&attr)
}

/// Takes the axes out of a draft again. What was sent is asked for; what was only there before is
/// not.
pub(super) fn take_axes(draft: &mut Draft, sent: impl Fn(AttrId) -> bool, snapshot: &Snapshot) -> Result<Asked, Error> {
    let schema = &snapshot.schema;
    let stages = &snapshot.career.stages;
    let known = &schema.known;
    Ok(Asked {
        state: one(draft, known.state, &sent, schema, parse_axis::state)?,
        lifecycle: one(draft, known.lifecycle, &sent, schema, |value| parse_axis::lifecycle(value, stages))?,
        data_status: one(draft, known.data_status, &sent, schema, parse_axis::data_status)?,
        init_state: one(draft, known.init_state, &sent, schema, parse_axis::init_state)?,
        ignore_lifecycle: one(draft, known.ignore_lifecycle, &sent, schema, parse_axis::boolean)?,
        deleted: one(draft, known.deleted, &sent, schema, parse_axis::boolean)?,
        reason: one(draft, known.reason, &sent, schema, parse_axis::reason)?,
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
    let held = draft.take(attr);
    match held.filter(|_| sent(attr)).as_deref() {
        // An axis always has a value: there is nothing that its removal could mean.
        None | Some([]) if sent(attr) => {
            Err(Error::NotAnIdentity { attr: name(), reason: "it is replaced, and not removed" })
        }
        None | Some([]) => Ok(None),
        Some([value]) => parse(value).map(Some).map_err(|fault| Error::Axis { attr: name(), fault }),
        Some(_) => Err(Error::NotAnIdentity { attr: name(), reason: "it has one value" }),
    }
}

/// Violations of attributes that only the server may write.
pub(super) fn server_kept<'a>(
    attrs: impl Iterator<Item = (AttrId, &'a [Vec<u8>])>,
    snapshot: &Snapshot,
) -> Vec<Violation> {
    let schema = &snapshot.schema;
    attrs
        .filter(|(id, _)| schema.is_kept_by_server(*id) && !is_asked(*id, schema))
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
