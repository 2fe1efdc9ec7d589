//! Composite values: `[key=value][key=value]`, nothing between or around. The known keys stand in
//! their order, since searches on them are substrings; unknown ones are met in the field and kept.

use super::form::Inner;
use crate::schema::{Reason, Said};
use smol_str::SmolStr;

#[derive(Debug, Default)]
pub(super) struct Composite {
    /// In the order that they stand in; empty: any keys in any order.
    pub keys: Vec<SmolStr>,
    pub mandatory: Vec<SmolStr>,
    /// What stands under some keys.
    pub values: Vec<(SmolStr, Inner)>,
}

impl Composite {
    pub(super) fn check(&self, value: &str) -> Result<(), Reason> {
        let fields = fields(value)?;
        let place = |key: &str| self.keys.iter().position(|k| k == key);
        let mut last: Option<(usize, &str)> = None;
        for (key, _) in &fields {
            let Some(at) = place(key) else { continue };
            match last {
                Some((before, _)) if before == at => return Err(Reason::new(Said::CompositeTwice).with(key)),
                Some((before, other)) if at < before => {
                    let twice = fields.iter().filter(|(k, _)| k == key).count() > 1;
                    let said = if twice { Said::CompositeTwice } else { Said::CompositeOrder };
                    return Err(Reason::new(said).with(key).with(other));
                }
                _ => last = Some((at, key)),
            }
        }
        if let Some(missing) = self.mandatory.iter().find(|m| !fields.iter().any(|(k, _)| k == m)) {
            return Err(Reason::new(Said::CompositeMissing).with(missing));
        }
        for (key, held) in &fields {
            if let Some((named, inner)) = self.values.iter().find(|(k, _)| k == key) {
                inner.check(held).map_err(|why| Reason::new(Said::CompositeField).with(named).because(why))?;
            }
        }
        Ok(())
    }
}

/// The fields of a composite value, or the character at which it stops to be one. A key ends at the
/// first `=`, a value at the next `]`.
pub(in crate::schema) fn fields(value: &str) -> Result<Vec<(&str, &str)>, Reason> {
    let breaks_off = |rest: &str| {
        let at = value.chars().count() - rest.chars().count() + 1;
        Reason::new(Said::CompositeForm).with(at)
    };
    let mut found = Vec::new();
    let mut rest = value;
    while !rest.is_empty() || found.is_empty() {
        let field = rest.strip_prefix('[').ok_or_else(|| breaks_off(rest))?;
        let key = field.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let after = field.get(key.len()..).unwrap_or_default();
        let held = after.strip_prefix('=').filter(|_| !key.is_empty()).ok_or_else(|| breaks_off(after))?;
        let (inner, next) = held.split_once(']').ok_or_else(|| breaks_off(""))?;
        // What has no value is left out, not empty.
        if inner.is_empty() {
            return Err(breaks_off(held));
        }
        found.push((key, inner));
        rest = next;
    }
    Ok(found)
}
