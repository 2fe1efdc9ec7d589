//! An entry alone as the subject of a filter, without access rules and without its place in the
//! tree: for filters in configuration files.

use super::Subject;
use crate::{
    entry::Entry,
    schema::{AttrDesc, AttrId},
};

pub struct Plain<'a>(pub &'a Entry);

impl Subject for Plain<'_> {
    fn any_value(&self, attr: AttrId, options: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let asked = AttrDesc { id: attr, options: options.into() };
        self.0
            .slots()
            .iter()
            .filter(|s| s.desc.id == attr && asked.options_cover(&s.desc.options))
            .any(|s| self.0.slot_values(s).any(&mut *test))
    }

    fn is_present(&self, attr: AttrId, options: &str) -> bool {
        self.any_value(attr, options, &mut |_| true) || self.0.secret_values(attr).next().is_some()
    }

    fn may_search(&self, _attr: AttrId) -> bool {
        true
    }

    fn any_name_part(&self, _test: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool {
        false
    }

    fn held(&self) -> Vec<AttrId> {
        self.0.slots().iter().map(|s| s.desc.id).collect()
    }
}
