//! Add (RFC 4511 section 4.7).

use super::{
    ChangeKind, Error, Node,
    identity::{self, Moved},
    plan::{Context, Plan},
    secrets,
};
use crate::{
    access::Right,
    dn::{Dn, DnKey, Rdn},
    entry::{Draft, Operational},
    schema::{Attr, AttrDesc, Fault, Violation},
};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn plan(context: &Context<'_>, dn: &Dn, attrs: Vec<(SmolStr, Vec<Vec<u8>>)>) -> Result<Plan, Error> {
    let base = context.base;
    let schema = &base.schema;
    let key = schema.dn_key(dn);
    let Some(rdn) = dn.leaf() else { return Err(Error::AlreadyExists) };
    let parent = parent(context, &key)?;
    if base.find(&key).is_some() {
        return Err(Error::AlreadyExists);
    }

    let mut unknown = Vec::new();
    let mut draft = Draft::default();
    for (name, values) in attrs {
        let Some(desc) = schema.describe(&name) else {
            unknown.push(Violation::unknown_attribute(&name));
            continue;
        };
        match draft.get_mut(&desc) {
            Some(held) => held.values.extend(values),
            None => draft.attrs.push(Attr { desc, values }),
        }
    }
    draft.check_twins(schema)?;
    let state_sent = draft.has(schema.known.state);
    let asked = identity::take_axes(&mut draft, state_sent, schema)?;
    unknown.extend(identity::server_kept(draft.attrs.iter().map(|a| a.desc.id), schema));
    draft.attrs.retain(|a| !schema.attribute(a.desc.id).is_operational() || a.desc.id == schema.known.object_class);
    draft.complete_classes(schema);
    unknown.extend(put_rdn_values(&mut draft, rdn, schema));
    secrets::require_hashed(&draft.attrs, schema)?;

    let scope = identity::scope(context.options, &key, &draft.attrs, schema);
    let checked = schema.validate(&draft.attrs, scope, unknown)?;
    let Moved { axes, missing, diagnostic } = identity::advance(context, scope, None, asked, &checked, true)?;
    let operational = Operational {
        created: context.now,
        modified: context.now,
        creator: context.actor(),
        modifier: context.actor(),
        structural: schema.class(checked.structural).name.clone(),
        changed: context.number,
        axes,
        missing,
        synced: None,
    };
    let entry = draft.seal(Uuid::new_v4(), operational, schema);
    let node = Node {
        id: base.next_id(),
        parent: parent.map(|p| p.id),
        rdn: rdn.clone(),
        key: schema.rdn_key(rdn),
        entry: Arc::new(entry),
    };
    require_add(context, &node, &key)?;
    let change = context.change(node.entry.uuid, dn.to_string(), ChangeKind::Add);
    Ok(Plan::put(node, change, diagnostic))
}

/// The superior, which must exist; none for the suffix itself.
fn parent<'a>(context: &Context<'a>, key: &DnKey) -> Result<Option<&'a Arc<Node>>, Error> {
    let base = context.base;
    if identity::is_suffix(base, key) {
        return Ok(None);
    }
    if !key.is_below(&base.suffix_key) {
        return Err(Error::OutsideSuffix { suffix: base.suffix.to_string() });
    }
    let above = key.parent().and_then(|p| base.find(&p));
    above.map(Some).ok_or_else(|| context.no_such_object(key))
}

/// The values of the RDN are put in where they are missing; each must be an attribute type with
/// an equality rule (RFC 4512 section 2.3.1).
pub(super) fn put_rdn_values(draft: &mut Draft, rdn: &Rdn, schema: &crate::schema::Schema) -> Vec<Violation> {
    let mut faults = Vec::new();
    for ava in rdn.avas() {
        let Some(id) = schema.attr_id(&ava.attr) else {
            faults.push(Violation::unknown_attribute(&ava.attr));
            continue;
        };
        let attribute = schema.attribute(id);
        if attribute.equality.is_none() || attribute.is_operational() || schema.is_secret(id) {
            faults.push(Violation::new(Fault::NotAllowed, "", &attribute.name, "naming", "cannot be part of a name"));
        } else if !draft.holds(id, &ava.value, schema) {
            match draft.get_mut(&AttrDesc::plain(id)) {
                Some(held) => held.values.push(ava.value.to_vec()),
                None => draft.put(id, &ava.value),
            }
        }
    }
    faults
}

fn require_add(context: &Context<'_>, node: &Node, key: &DnKey) -> Result<(), Error> {
    let grants = context.grants();
    let subject = crate::filter::Plain(&node.entry);
    if grants.at(key, node.entry.uuid, &subject, &context.base.schema).allows(None, Right::Add) {
        return Ok(());
    }
    Err(Error::Access { what: "add this entry".to_owned() })
}
