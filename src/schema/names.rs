//! Case-insensitive look-up of names and OIDs without an allocation for each look-up.

use smol_str::SmolStr;
use std::collections::HashMap;

pub(super) fn look_up<T: Copy>(names: &HashMap<SmolStr, T>, name: &str) -> Option<T> {
    let mut lower = [0u8; MAX_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    names.get(std::str::from_utf8(lower).ok()?).copied()
}

pub(super) fn key(name: &str) -> SmolStr {
    SmolStr::new(name.to_ascii_lowercase())
}

/// A longer name cannot be in the schema: `compile` refuses it.
pub(super) const MAX_NAME: usize = 128;
