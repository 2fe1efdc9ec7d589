//! Filters on single values: which values of an attribute an answer is to carry (RFC 3876).

use super::{Filter, Target};
use crate::schema::{AttrDesc, Rule, Schema};

impl Filter {
    /// True if this simple filter speaks of the attribute, and the value satisfies it.
    pub fn selects_value(&self, desc: &AttrDesc, value: &[u8], schema: &Schema) -> bool {
        let speaks = |target: &Target| {
            let asked = AttrDesc { id: desc.id, options: target.options.clone() };
            target.attrs.contains(&desc.id) && asked.options_cover(&desc.options)
        };
        let test = |target: &Target, test: &dyn Fn(&[u8]) -> bool| {
            speaks(target) && target.rule.and_then(|r: &Rule| r.normalize(value, schema)).is_some_and(|n| test(&n))
        };
        match self {
            Filter::Present(target) => speaks(target),
            Filter::Equal(target, key) => test(target, &|n| n == key.as_slice()),
            Filter::GreaterOrEqual(target, key) => test(target, &|n| n >= key.as_slice()),
            Filter::LessOrEqual(target, key) => test(target, &|n| n <= key.as_slice()),
            Filter::Substring(target, parts) => test(target, &|n| parts.matches(n)),
            Filter::Extensible { target: Some(target), key, .. } => test(target, &|n| n == key.as_slice()),
            Filter::Extensible { target: None, rule, key, .. } => {
                schema.attribute(desc.id).equality == Some(*rule)
                    && rule.normalize(value, schema).is_some_and(|n| *n == **key)
            }
            _ => false,
        }
    }
}
