//! Filters written as documents, in the manner of MongoDB, on JSON documents: what Sesame's
//! lifecycle rules and lists of identities are written in.
//!
//! A path is searched as MongoDB does: an array on the way is looked into, an array at the end
//! matches by itself and by each of its items. Values of different types are never equal, and in
//! no order. Two times, in RFC 3339 or in generalizedTime, compare as instants.

mod matches;
mod parse;
#[cfg(test)]
mod tests;

pub use matches::{instant, values};

use regex::Regex;
use serde_json::Value;
use smol_str::SmolStr;

/// A filter document that was read.
#[derive(Clone, Debug)]
pub struct Query(Vec<Clause>);

/// What is wrong with a filter document, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: {reason}")]
pub struct Fault {
    pub path: String,
    pub reason: String,
}

/// All clauses of a document must hold.
#[derive(Clone, Debug)]
enum Clause {
    And(Vec<Query>),
    Or(Vec<Query>),
    Nor(Vec<Query>),
    Path(Path, Vec<Test>),
}

/// A dotted path in its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path(Vec<SmolStr>);

#[derive(Clone, Debug)]
enum Test {
    Equal(Value),
    NotEqual(Value),
    Order(Order, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exists(bool),
    Regex(Regex),
    All(Vec<Value>),
    Size(usize),
    /// One item satisfies all of the tests.
    ItemTests(Vec<Test>),
    /// One item, a document, satisfies the query.
    Item(Query),
    Type(Type),
    Not(Vec<Test>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    String,
    Number,
    Bool,
    Object,
    Array,
    Null,
    Date,
}

impl Query {
    /// Reads a filter document; an operator that is not known is a fault.
    pub fn parse(document: &Value) -> Result<Self, Fault> {
        parse::query(document, "", 0)
    }

    /// The query that every document satisfies.
    pub fn everything() -> Self {
        Query(Vec::new())
    }

    /// True if it asks for nothing.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths that it looks at, as they were written.
    pub fn paths(&self) -> Vec<String> {
        let of_clause = |clause: &Clause| match clause {
            Clause::And(queries) | Clause::Or(queries) | Clause::Nor(queries) => {
                queries.iter().flat_map(Query::paths).collect()
            }
            Clause::Path(path, _) => vec![path.0.join(".")],
        };
        self.0.iter().flat_map(of_clause).collect()
    }

    /// True if the document satisfies the query.
    pub fn matches(&self, document: &Value) -> bool {
        matches::query(self, document)
    }
}
