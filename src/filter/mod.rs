//! Search filters (RFC 4511 section 4.5.1.7): as read, and bound to a schema for evaluation.
//!
//! An [`Ast`] holds names and raw assertion values, from the wire or from text. [`Filter::bind`]
//! resolves names and normalises assertions once; what cannot be resolved is Undefined, never an
//! error.

mod bind;
mod eval;
mod parse;
mod plain;
pub mod query;
mod value;

pub use eval::{Subject, Truth};
pub use parse::{ParseError, parse};
pub use plain::Plain;

use crate::schema::{AttrId, SubParts, rule};
use smol_str::SmolStr;

/// A filter as it was sent or written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ast {
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    Present(SmolStr),
    Equal(SmolStr, Vec<u8>),
    GreaterOrEqual(SmolStr, Vec<u8>),
    LessOrEqual(SmolStr, Vec<u8>),
    Approx(SmolStr, Vec<u8>),
    Substring { attr: SmolStr, initial: Option<Vec<u8>>, any: Vec<Vec<u8>>, last: Option<Vec<u8>> },
    Extensible { rule: Option<SmolStr>, attr: Option<SmolStr>, value: Vec<u8>, dn: bool },
}

/// What a filter costs, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Assertions.
    pub terms: usize,
    /// Of them those that follow references from entry to entry.
    pub chains: usize,
}

impl Ast {
    /// The attribute descriptions that it names.
    pub fn attributes(&self) -> Vec<&SmolStr> {
        match self {
            Ast::And(parts) | Ast::Or(parts) => parts.iter().flat_map(Ast::attributes).collect(),
            Ast::Not(inner) => inner.attributes(),
            Ast::Present(attr)
            | Ast::Equal(attr, _)
            | Ast::GreaterOrEqual(attr, _)
            | Ast::LessOrEqual(attr, _)
            | Ast::Approx(attr, _)
            | Ast::Substring { attr, .. } => vec![attr],
            Ast::Extensible { attr, .. } => attr.iter().collect(),
        }
    }

    pub fn size(&self) -> Size {
        match self {
            Ast::And(parts) | Ast::Or(parts) => parts
                .iter()
                .map(Ast::size)
                .fold(Size::default(), |a, b| Size { terms: a.terms + b.terms, chains: a.chains + b.chains }),
            Ast::Not(inner) => inner.size(),
            Ast::Extensible { rule: Some(name), .. } => {
                let is_chain = rule(name).is_some_and(|r| r.is_chain());
                Size { terms: 1, chains: usize::from(is_chain) }
            }
            Ast::Substring { any, .. } => Size { terms: 1 + any.len(), chains: 0 },
            _ => Size { terms: 1, chains: 0 },
        }
    }
}

/// A filter bound to a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Undefined,
    Present(Target),
    Equal(Target, Vec<u8>),
    GreaterOrEqual(Target, Vec<u8>),
    LessOrEqual(Target, Vec<u8>),
    Substring(Target, SubParts),
    /// The entry of this name is reached from the attribute's values, at any distance.
    InChain(Target, Vec<u8>),
    Extensible {
        target: Option<Target>,
        rule: &'static crate::schema::Rule,
        key: Vec<u8>,
        dn: bool,
    },
}

/// The attributes that an assertion speaks of: a type with its subtypes, and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub attrs: Vec<AttrId>,
    pub options: SmolStr,
    /// The rule by which stored values are brought to normal form.
    pub rule: Option<&'static crate::schema::Rule>,
}

impl Filter {
    /// The filter that every entry satisfies (RFC 4526).
    pub fn everything() -> Self {
        Filter::And(Vec::new())
    }
}
