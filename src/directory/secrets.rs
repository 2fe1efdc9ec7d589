//! Passwords on their way in: hashed before the writer sees them, because hashing takes tens of
//! milliseconds and the writer is one thread.

use super::{Error, Op, Snapshot};
use crate::{
    auth,
    entry::ModKind,
    schema::{Attr, Schema},
};

impl Op {
    /// True if [`Op::hash_secrets`] has work to do.
    pub fn has_secrets(&self, schema: &Schema) -> bool {
        let secret = |name: &str| schema.describe(name).is_some_and(|d| schema.is_secret(d.id));
        match self {
            Op::Add { attrs, .. } => attrs.iter().any(|(name, _)| secret(name)),
            Op::Modify { changes, .. } => changes.iter().any(|(_, name, _)| secret(name)),
            Op::Delete { .. } | Op::Rename { .. } | Op::Report { .. } => false,
        }
    }

    /// Replaces clear passwords by their hashes. A clear password to be deleted is replaced by
    /// the stored hash that it verifies against. Computes for long: not on an async thread.
    pub fn hash_secrets(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let schema = &snapshot.schema;
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
            Op::Delete { .. } | Op::Rename { .. } | Op::Report { .. } => {}
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
pub(super) fn require_hashed(attrs: &[Attr], schema: &Schema) -> Result<(), Error> {
    let secret = attrs.iter().filter(|a| schema.is_secret(a.desc.id)).flat_map(|a| &a.values);
    for value in secret {
        if !auth::is_hashed(value)? {
            return Err(Error::Internal("a password reached the writer in clear".to_owned()));
        }
    }
    Ok(())
}
