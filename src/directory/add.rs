//! Add (RFC 4511 section 4.7).

use super::{
    ChangeKind, Error, Node, UriScope,
    advance::{Moved, Step, advance},
    identity,
    marks::Mark,
    plan::{Context, Plan},
    relax, secrets,
};
use crate::{
    access::{Grants, Right},
    dn::{Dn, DnKey, Rdn},
    entry::{Draft, Entry, ModError, Operational},
    filter::Plain,
    schema::{Attr, AttrDesc, AttrId, Fault, Schema, Scope, Violation},
};
use smol_str::SmolStr;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

pub(super) fn plan(context: &Context<'_>, dn: &Dn, attrs: Vec<(SmolStr, Vec<Vec<u8>>)>) -> Result<Plan, Error> {
    let base = context.base;
    let schema = &base.schema;
    let key = schema.dn_key(dn);
    let Some(rdn) = dn.leaf() else { return Err(Error::AlreadyExists) };
    let (mut draft, mut faults) = draft(attrs, rdn, context.options.limits.entry_attributes, schema)?;
    may_add_draft(&context.grants(), &draft, &key, schema)?;
    if !context.terms.manage_dsa_it {
        base.require_here(dn, &key, UriScope::None, &context.grants())?;
    }
    let parent = parent(context, &key)?;
    if base.find(&key).is_some() {
        return Err(Error::AlreadyExists);
    }

    draft.check_twins(schema)?;
    let given = relax::take(context, &mut draft)?;
    let sent: Vec<AttrId> = draft.attrs.iter().map(|a| a.desc.id).collect();
    let asked = identity::take_axes(&mut draft, |attr| sent.contains(&attr), base)?;
    if asked.deleted == Some(true) {
        return Err(Error::Unwilling("vestibuleDeleted: an identity is added first, and then deleted"));
    }
    faults.extend(identity::server_kept(draft.attrs.iter().map(|a| (a.desc.id, a.values.as_slice())), base));
    draft.attrs.retain(|a| !schema.is_kept_by_server(a.desc.id));
    secrets::require_hashed(&draft.attrs, context.options.limits.passwords, schema)?;

    let scope = identity::scope(context.options, &key, &draft.attrs, None, schema);
    if scope == Scope::Identity {
        schema.derive(&mut draft.attrs);
    }
    let checked = schema.validate(&draft.attrs, scope, faults)?;
    let step = Step { scope, before: None, asked, checked: &checked, changed: &sent };
    let Moved { axes, facts, missing, diagnostic } = advance(context, step)?;
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
        facts,
    };
    let uuid = given.uuid.unwrap_or_else(Uuid::new_v4);
    let entry = draft.seal(uuid, given.over(operational), schema);
    let node = Node {
        id: base.next_id(),
        parent: parent.map(|p| p.id),
        rdn: rdn.clone(),
        key: schema.rdn_key(rdn),
        apart: None,
        entry: Arc::new(entry),
    };
    let change = context.change(node.entry.uuid, dn.to_string(), ChangeKind::Add);
    Ok(Plan::put(node, change, diagnostic))
}

/// The superior, which must exist; none for the suffix itself.
pub(super) fn parent<'a>(context: &Context<'a>, key: &DnKey) -> Result<Option<&'a Arc<Node>>, Error> {
    let base = context.base;
    if identity::is_suffix(base, key) {
        return Ok(None);
    }
    if !key.is_below(&base.suffix_key) {
        return Err(Error::OutsideSuffix { suffix: base.suffix.to_string() });
    }
    let above = key.parent().and_then(|p| base.find(&p)).ok_or_else(|| context.no_such_object(key))?;
    // RFC 4512 section 2.6: an alias is a leaf.
    if base.is_marked(above.id, Mark::Alias) {
        return Err(Error::Alias { reason: "an alias has no subordinates", matched: None });
    }
    Ok(Some(above))
}

/// The values of the RDN are put in where they are missing; each must be an attribute type with
/// an equality rule (RFC 4512 section 2.3.1). A value that is not of the type's syntax makes it no
/// name (RFC 4511 appendix A.2, invalidDNSyntax).
pub(super) fn put_rdn_values(draft: &mut Draft, rdn: &Rdn, schema: &Schema) -> Result<Vec<Violation>, Error> {
    let mut faults = Vec::new();
    for ava in rdn.avas() {
        let Some(id) = schema.attr_id(&ava.attr) else {
            faults.push(Violation::unknown_attribute(&ava.attr));
            continue;
        };
        let attribute = schema.attribute(id);
        if !attribute.syntax.accepts(&ava.value, schema) {
            return Err(Error::NameSyntax { attr: attribute.name.to_string(), syntax: attribute.syntax.desc() });
        }
        if attribute.equality.is_none() || attribute.is_operational() || schema.is_secret(id) {
            faults.push(Violation::new(Fault::NotAllowed, "", &attribute.name, "naming", "cannot be part of a name"));
        } else if !draft.holds(id, &ava.value, schema) {
            match draft.get_mut(&AttrDesc::plain(id)) {
                Some(held) => held.values.push(ava.value.to_vec()),
                None => draft.put(id, &ava.value),
            }
        }
    }
    Ok(faults)
}

/// The attributes of a request with those of its name and the superclasses, and what is wrong
/// with them so far.
pub(super) fn draft(
    attrs: Vec<(SmolStr, Vec<Vec<u8>>)>,
    rdn: &Rdn,
    limit: usize,
    schema: &Schema,
) -> Result<(Draft, Vec<Violation>), Error> {
    let mut faults = Vec::new();
    let mut places: HashMap<AttrDesc, usize> = HashMap::new();
    let mut draft = Draft::default();
    for (name, values) in attrs {
        if values.is_empty() {
            return Err(ModError::NoValueGiven(name.to_string()).into());
        }
        let Some(desc) = schema.describe(&name) else {
            faults.push(Violation::unknown_attribute(&name));
            continue;
        };
        let place = *places.entry(desc.clone()).or_insert(draft.attrs.len());
        match draft.attrs.get_mut(place) {
            Some(held) => held.values.extend(values),
            None => draft.attrs.push(Attr { desc, values }),
        }
        if draft.attrs.len() + faults.len() > limit {
            return Err(Error::TooLarge { what: "attributes" });
        }
    }
    faults.extend(put_rdn_values(&mut draft, rdn, schema)?);
    draft.complete_classes(schema);
    Ok((draft, faults))
}

/// Refuses unless the identity may have this entry stand under this name.
pub(super) fn may_add(grants: &Grants<'_>, entry: &Entry, key: &DnKey, schema: &Schema) -> Result<(), Error> {
    let place = grants.at(key, entry.uuid, &Plain(entry), schema);
    if place.allows(None, Right::Add) { Ok(()) } else { Err(place.denial("add this entry".to_owned())) }
}

/// The same for an entry that is not made yet. Who may do everything costs no copy of it.
pub(super) fn may_add_draft(grants: &Grants<'_>, draft: &Draft, key: &DnKey, schema: &Schema) -> Result<(), Error> {
    if grants.everything() {
        return Ok(());
    }
    let proposed = draft.clone().seal(Uuid::nil(), Operational::unwritten(), schema);
    may_add(grants, &proposed, key, schema)
}
