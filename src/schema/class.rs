//! Object classes and their closure of allowed and required attributes (RFC 4512 section 2.4).

use super::AttrId;
use smol_str::SmolStr;

/// Index of an object class in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(u16);

impl ClassId {
    pub(super) fn new(index: usize) -> Self {
        ClassId(index as u16)
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Abstract,
    Structural,
    Auxiliary,
}

#[derive(Debug)]
pub struct Class {
    pub name: SmolStr,
    pub aliases: Vec<SmolStr>,
    pub oid: SmolStr,
    pub desc: String,
    pub obsolete: bool,
    pub kind: Kind,
    pub sup: Vec<ClassId>,
    /// Every superclass at any distance, nearest first, without the class itself.
    pub superclasses: Vec<ClassId>,
    pub must: Vec<AttrId>,
    pub may: Vec<AttrId>,
    /// Required here or in any superclass.
    pub all_must: Vec<AttrId>,
    /// Allowed here or in any superclass, the required ones included; sorted.
    pub all_allowed: Vec<AttrId>,
}

impl Class {
    pub fn allows(&self, attr: AttrId) -> bool {
        self.all_allowed.binary_search(&attr).is_ok()
    }
}
