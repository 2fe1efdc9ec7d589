//! Tagged values: `{TAG}value`, without a blank between. Vocabularies of tags are closed, half-open
//! (local tags beside known ones) or open.

use super::{
    code::{looks_like_siret, looks_like_uai},
    form::Inner,
};
use crate::schema::{Reason, Said};
use smol_str::SmolStr;

#[derive(Debug, Default)]
pub(super) struct Tagged {
    /// Empty: any tag.
    pub tags: Vec<SmolStr>,
    /// No local tags beside the known ones.
    pub closed: bool,
    /// Tags that may stand without a value, such as `{INCONNU}`.
    pub bare: Vec<SmolStr>,
    /// What stands behind some tags.
    pub values: Vec<(SmolStr, Inner)>,
}

impl Tagged {
    pub(super) fn check(&self, value: &str) -> Result<(), Reason> {
        let (tag, rest) = split(value)?;
        let is_local = tag.contains(':');
        if is_local && !is_local_tag(tag) {
            return Err(Reason::new(Said::TaggedLocal));
        }
        let known = |list: &[SmolStr]| list.iter().any(|t| t == tag);
        if rest.is_empty() && known(&self.bare) {
            return Ok(());
        }
        let is_open = self.tags.is_empty();
        let allowed =
            if is_local { is_open || !self.closed } else { is_open || known(&self.tags) || known(&self.bare) };
        if !allowed {
            let said = if self.closed { Said::TaggedClosed } else { Said::TaggedTag };
            let names = self.tags.iter().chain(self.bare.iter().filter(|b| !self.tags.contains(b)));
            return Err(Reason::new(said).with(names.map(SmolStr::as_str).collect::<Vec<_>>().join(", ")));
        }
        check_rest(value, rest)?;
        match self.values.iter().find(|(t, _)| t == tag) {
            Some((named, inner)) => {
                inner.check(rest).map_err(|why| Reason::new(Said::TaggedValue).with(named).because(why))
            }
            None => Ok(()),
        }
    }
}

/// The tag and what stands behind it.
fn split(value: &str) -> Result<(&str, &str), Reason> {
    let breaks_off = |at: usize| Reason::new(Said::TaggedForm).with(at);
    let inner = value.strip_prefix('{').ok_or_else(|| breaks_off(1))?;
    let (tag, rest) = inner.split_once('}').ok_or_else(|| breaks_off(value.chars().count() + 1))?;
    if is_tag(tag) {
        return Ok((tag, rest));
    }
    // A local tag carries a free name, so that only what no tag can hold is out of place.
    let bad = tag.chars().position(|c| c == '{' || c.is_whitespace()).unwrap_or(0);
    if tag.contains(':') { Err(Reason::new(Said::TaggedLocal)) } else { Err(breaks_off(bad + 2)) }
}

fn check_rest(value: &str, rest: &str) -> Result<(), Reason> {
    let before = value.chars().count() - rest.chars().count();
    let bad = match rest.chars().next() {
        None | Some(' ') => Some(0),
        Some(_) => rest.chars().position(|c| c == '{' || c == '}'),
    };
    bad.map_or(Ok(()), |at| Err(Reason::new(Said::TaggedForm).with(before + at + 1)))
}

/// A name, or a local tag.
pub(super) fn is_tag(tag: &str) -> bool {
    is_name(tag) || is_local_tag(tag)
}

fn is_name(tag: &str) -> bool {
    tag.starts_with(|c: char| c.is_ascii_alphabetic())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// `UAI:<code>` or `SIRET:<14 digits>`, alone or with the name of one of its nomenclatures.
fn is_local_tag(tag: &str) -> bool {
    let mut parts = tag.splitn(3, ':');
    let establishment = match (parts.next(), parts.next()) {
        (Some("UAI"), Some(code)) => looks_like_uai(code),
        (Some("SIRET"), Some(code)) => looks_like_siret(code),
        _ => false,
    };
    let is_free_name = |n: &str| !n.is_empty() && !n.contains(['{', '}', '[', ']']);
    establishment && parts.next().is_none_or(is_free_name)
}
