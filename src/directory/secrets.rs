//! Passwords on their way in: hashed before the writer sees them, because hashing takes tens of
//! milliseconds and the writer is one thread.

use super::{Error, Op, Snapshot, View, add};
use crate::{
    access::{Grants, Right},
    auth,
    entry::{Draft, ModKind, Operational},
    filter::Plain,
    limits::Limits,
    schema::{Attr, Schema},
};
use uuid::Uuid;

impl Op {
    /// Secret values in this change; [`Op::hash_secrets`] has work to do if there are some.
    pub fn secrets(&self, schema: &Schema) -> usize {
        let secret = |name: &str| schema.describe(name).is_some_and(|d| schema.is_secret(d.id));
        match self {
            Op::Add { attrs, .. } => attrs.iter().filter(|(name, _)| secret(name)).map(|(_, v)| v.len()).sum(),
            Op::Modify { changes, .. } => {
                changes.iter().filter(|(_, name, _)| secret(name)).map(|(_, _, v)| v.len()).sum()
            }
            Op::Delete { .. }
            | Op::Rename { .. }
            | Op::Report { .. }
            | Op::Undelete { .. }
            | Op::Purge { .. }
            | Op::Advance { .. }
            | Op::Touch { .. } => 0,
        }
    }

    /// Refuses a change with secrets that the writer would refuse for want of a right anyway:
    /// hashing is dear, and only who may write shall make us do it.
    pub fn may_be_tried(&self, snapshot: &Snapshot, grants: &Grants<'_>, limits: &Limits) -> Result<(), Error> {
        let schema = &snapshot.schema;
        match self {
            Op::Add { dn, attrs } => {
                let rdn = dn.leaf().ok_or(Error::AlreadyExists)?;
                let (draft, _) = add::draft(attrs.clone(), rdn, limits.entry_attributes, schema)?;
                add::may_add_draft(grants, &draft, &schema.dn_key(dn), schema)
            }
            Op::Modify { dn, .. } => {
                let key = schema.dn_key(dn);
                let password = Some(schema.known.user_password);
                let Some(node) = snapshot.find(&key) else {
                    // It may be on its way to the writer. Who could not write it there is answered as
                    // fast as for a name that is there: the time must not tell the two apart.
                    let nobody = Draft::default().seal(Uuid::nil(), Operational::unwritten(), schema);
                    let may = grants.at(&key, Uuid::nil(), &Plain(&nobody), schema).allows(password, Right::Write);
                    return if may { Ok(()) } else { Err(snapshot.no_such_object(&key, grants)) };
                };
                let view = View::unrestricted(snapshot, node);
                let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &view, schema);
                match place.allows(password, Right::Write) {
                    true => Ok(()),
                    false => Err(place.denial("write userPassword".to_owned())),
                }
            }
            Op::Delete { .. }
            | Op::Rename { .. }
            | Op::Report { .. }
            | Op::Undelete { .. }
            | Op::Purge { .. }
            | Op::Advance { .. }
            | Op::Touch { .. } => Ok(()),
        }
    }

    /// Replaces clear passwords by their hashes. A clear password to be deleted is replaced by
    /// the stored hash that it verifies against. Computes for long: not on an async thread.
    pub fn hash_secrets(&mut self, snapshot: &Snapshot, limits: &Limits) -> Result<(), Error> {
        let schema = &snapshot.schema;
        if self.secrets(schema) > limits.passwords {
            return Err(Error::TooLarge { what: "userPassword values" });
        }
        let secret = |name: &str| schema.describe(name).filter(|d| schema.is_secret(d.id));
        match self {
            Op::Add { attrs, .. } => {
                for (_, values) in attrs.iter_mut().filter(|(name, _)| secret(name).is_some()) {
                    hash_all(values)?;
                }
            }
            Op::Modify { dn, changes } => {
                for (kind, name, values) in changes {
                    let Some(desc) = secret(name) else { continue };
                    if *kind != ModKind::Delete {
                        hash_all(values)?;
                        continue;
                    }
                    let Some(node) = snapshot.find_dn(dn) else { continue };
                    for value in values.iter_mut() {
                        let mut stored = node.entry.secret_values(desc.id);
                        if let Some(hash) = stored.find(|h| *h == value.as_slice() || auth::verify(value, h)) {
                            *value = hash.to_vec();
                        }
                    }
                }
            }
            Op::Delete { .. }
            | Op::Rename { .. }
            | Op::Report { .. }
            | Op::Undelete { .. }
            | Op::Purge { .. }
            | Op::Advance { .. }
            | Op::Touch { .. } => {}
        }
        Ok(())
    }
}

fn hash_all(values: &mut [Vec<u8>]) -> Result<(), Error> {
    for value in values {
        if !auth::is_hashed(value)? {
            *value = auth::hash(value)?;
        }
    }
    Ok(())
}

/// The last line: nothing in clear is ever stored.
pub(super) fn require_hashed(attrs: &[Attr], limit: usize, schema: &Schema) -> Result<(), Error> {
    let secret = attrs.iter().filter(|a| schema.is_secret(a.desc.id)).flat_map(|a| &a.values);
    if secret.clone().count() > limit {
        return Err(Error::TooLarge { what: "userPassword values" });
    }
    for value in secret {
        if !auth::is_hashed(value)? {
            return Err(Error::Internal("a password reached the writer in clear".to_owned()));
        }
    }
    Ok(())
}
