//! Rules as the configuration writes them, bound to the schema and the suffix.

use super::{Identity, Right};
use crate::{
    dn::{Dn, DnKey},
    filter::{self, Filter},
    schema::{AttrId, Schema},
};
use serde::Deserialize;

/// One rule of `access.yml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDef {
    /// A word for error messages.
    pub name: String,
    pub who: Vec<String>,
    /// A DN, in which `{suffix}` stands for the suffix. Absent: everywhere.
    pub base: Option<String>,
    #[serde(default)]
    pub scope: Scope,
    /// Only entries that match this filter (RFC 4515).
    pub filter: Option<String>,
    /// Only these attributes, subtypes included. Absent: the entry and all of them.
    pub attributes: Option<Vec<String>>,
    /// Empty denies.
    pub rights: Rights,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    #[default]
    Subtree,
    Base,
    Children,
}

/// `all`, `none`, or a list. To act as someone else is not among all: it must be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Rights {
    pub const ALL: Rights = Rights(0x7f);

    pub fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Rights;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("'all', 'none', or a list of search, compare, read, write, add, delete, rename, proxy")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Rights, E> {
                match word {
                    "all" => Ok(Rights::ALL),
                    "none" => Ok(Rights::default()),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Rights, A::Error> {
                let mut rights = Rights::default();
                while let Some(right) = seq.next_element::<Right>()? {
                    rights.0 |= 1 << right as u8;
                }
                Ok(rights)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Anyone,
    Anonymous,
    Authenticated,
    Admin,
    /// The identity whose own entry it is.
    Myself,
    Dn(DnKey),
    Subtree(DnKey),
}

impl Who {
    pub fn speaks_of(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Who::Anyone, _) => true,
            (Who::Anonymous, Identity::Anonymous) => true,
            (Who::Authenticated, Identity::Admin { .. } | Identity::Entry { .. }) => true,
            (Who::Admin, Identity::Admin { .. }) => true,
            (Who::Myself, Identity::Entry { .. }) => true,
            (Who::Dn(dn), Identity::Entry { key, .. }) => key == dn,
            (Who::Subtree(dn), Identity::Entry { key, .. }) => key.is_within(dn),
            _ => false,
        }
    }
}

impl Who {
    /// One word of a `who` list; `{suffix}` in a DN stands for the suffix.
    pub fn parse(word: &str, suffix: &str, schema: &Schema) -> Result<Who, String> {
        let name = |text: &str| {
            let text = text.replace("{suffix}", suffix);
            schema.dn_value_key(&text).ok_or_else(|| format!("'{text}': not a DN"))
        };
        match word {
            "anyone" => Ok(Who::Anyone),
            "anonymous" => Ok(Who::Anonymous),
            "authenticated" => Ok(Who::Authenticated),
            "admin" => Ok(Who::Admin),
            "self" => Ok(Who::Myself),
            other => match other.split_once(':') {
                Some(("dn", dn)) => name(dn).map(Who::Dn),
                Some(("subtree", dn)) => name(dn).map(Who::Subtree),
                _ => Err(format!(
                    "'{other}': expected anyone, anonymous, authenticated, admin, self, dn:<dn> or subtree:<dn>"
                )),
            },
        }
    }
}

/// A rule bound to the schema.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub who: Vec<Who>,
    pub base: Option<DnKey>,
    pub scope: Scope,
    pub filter: Option<Filter>,
    pub attributes: Option<Vec<AttrId>>,
    pub rights: Rights,
    /// Whether it gives rights in the change log and among the deleted. What is there shows values
    /// of any entry, so who does not have all rights everywhere reads it only by a rule that names
    /// it.
    pub reaches_apart: bool,
}

/// All rules, in order.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub(super) rules: Vec<Rule>,
    pub(super) apart: Vec<DnKey>,
}

#[derive(Debug, thiserror::Error)]
#[error("rule '{rule}', {key}: {reason}")]
pub struct Error {
    pub rule: String,
    pub key: &'static str,
    pub reason: String,
}

/// Where the journal is shown.
pub const CHANGE_LOG: &str = "cn=changelog";
/// Where deleted identities are shown.
pub const DELETED: &str = "cn=deleted";

/// The trees that show values of every entry, so that rules without a base do not speak of them.
fn apart(schema: &Schema) -> Vec<DnKey> {
    [CHANGE_LOG, DELETED].iter().filter_map(|name| schema.dn_value_key(name)).collect()
}

impl Access {
    pub fn bind(defs: &[RuleDef], suffix: &str, schema: &Schema) -> Result<Self, Vec<Error>> {
        let mut errors = Vec::new();
        let mut rules = Vec::new();
        for def in defs {
            match bind(def, suffix, schema) {
                Ok(rule) => rules.push(rule),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() { Ok(Access { rules, apart: apart(schema) }) } else { Err(errors) }
    }
}

fn bind(def: &RuleDef, suffix: &str, schema: &Schema) -> Result<Rule, Vec<Error>> {
    let mut errors = Vec::new();
    let mut fail = |key, reason: String| errors.push(Error { rule: def.name.clone(), key, reason });
    let name = |text: &str| {
        let text = text.replace("{suffix}", suffix);
        Dn::parse(&text).map(|dn| schema.dn_key(&dn)).map_err(|e| format!("'{text}': {e}"))
    };
    let mut who = Vec::new();
    for word in &def.who {
        let parsed = Who::parse(word, suffix, schema);
        match parsed {
            Ok(w) => who.push(w),
            Err(reason) => fail("who", reason),
        }
    }
    let base = match def.base.as_deref().map(name) {
        Some(Err(reason)) => {
            fail("base", reason);
            None
        }
        Some(Ok(key)) => Some(key),
        None => None,
    };
    let filter = match def.filter.as_deref().map(filter::parse) {
        Some(Err(e)) => {
            fail("filter", e.to_string());
            None
        }
        Some(Ok(ast)) => Some(Filter::bind(&ast, schema)),
        None => None,
    };
    let attributes = def.attributes.as_ref().map(|list| {
        let mut ids = Vec::new();
        for attr in list {
            match schema.attr_id(attr) {
                Some(id) => ids.extend(schema.with_subtypes(id)),
                None => fail("attributes", format!("'{attr}' is not an attribute type of the schema")),
            }
        }
        ids
    });
    if errors.is_empty() {
        let names_one = base.as_ref().is_some_and(|base| apart(schema).iter().any(|tree| base.is_within(tree)));
        let all = def.rights == Rights::ALL && base.is_none() && filter.is_none() && attributes.is_none();
        let reaches_apart = names_one || all || def.rights == Rights::default();
        Ok(Rule { who, base, scope: def.scope, filter, attributes, rights: def.rights, reaches_apart })
    } else {
        Err(errors)
    }
}
