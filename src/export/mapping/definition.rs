//! Maps as files write them: for each kind of object, lines of `path: expression`. Read strictly, in
//! the order of the file.

use crate::expression::Step;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use smol_str::SmolStr;
use std::fmt;

/// A map, or a part of one that is laid over another.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Map {
    pub users: Lines,
    pub groups: Lines,
    pub departments: Lines,
}

impl Map {
    pub fn is_empty(&self) -> bool {
        [&self.users, &self.groups, &self.departments].iter().all(|lines| lines.0.is_empty())
    }
}

/// What stands at each path; `None` takes away what a map below has there.
#[derive(Clone, Debug, Default)]
pub struct Lines(pub Vec<(SmolStr, Option<Part>)>);

/// An expression, and what is said beside it. A bare name stands for the first value of the attribute.
#[derive(Clone, Debug, Default)]
pub struct Part(pub Box<Def>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Def {
    /// The first value; beside `reference` and `members`: of the entries named.
    pub attribute: Option<SmolStr>,
    /// All values, as a list.
    pub all: Option<SmolStr>,
    /// All but the first.
    pub rest: Option<SmolStr>,
    /// The value in the entry's own name, if it is named by this attribute; else the first.
    pub named: Option<SmolStr>,
    pub constant: Option<Value>,
    /// The first of them that has a value.
    pub first_of: Option<Vec<Part>>,
    /// One value of all of them; none if one of them has none.
    pub concat: Option<Vec<Part>>,
    /// The values of all of them, as a list.
    pub all_of: Option<Vec<Part>>,
    /// What the target calls the entry that this attribute names.
    pub reference: Option<SmolStr>,
    /// The same of all that it names, as a list.
    pub references: Option<SmolStr>,
    /// What the target calls the members of a group.
    pub members: Option<Depth>,
    pub lifecycle: Option<Axis>,
    #[serde(deserialize_with = "serde_yaml::with::singleton_map_recursive::deserialize")]
    pub then: Vec<Step>,
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// Sent though it is personal.
    pub private: bool,
    /// Sent also of people who asked not to be published (supannListeRouge).
    pub unlisted: bool,
    /// An object without a value is an error of that object.
    pub required: bool,
    pub on: On,
    pub direction: Direction,
    /// Objects of the target are recognised by it.
    pub recon_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// People only, those of groups in the group too.
    Flattened,
    /// People and groups that the group names itself.
    Nested,
    /// People only, and only those that the group names itself.
    Direct,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Whether the account is to be usable at the target.
    Active,
    /// The letter of the lifecycle.
    Letter,
}

/// The type of a value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Text,
    Number,
    Boolean,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Written with a new object, and never again.
    Create,
    #[default]
    Always,
}

/// Which side a value goes to (IDHub: syncDirection).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    #[default]
    Push,
    /// From the target to the directory, at a reconciliation that repairs.
    Pull,
    /// To the target at once; from it at a reconciliation, where the directory has no value.
    Both,
    /// To neither; reconciliations look at it.
    NoSync,
}

impl Direction {
    pub fn pushes(self) -> bool {
        matches!(self, Direction::Push | Direction::Both)
    }

    pub fn pulls(self) -> bool {
        matches!(self, Direction::Pull | Direction::Both)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Part;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an attribute, or an expression such as {first_of: [displayName, cn]}")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Part, E> {
                Ok(Part(Box::new(Def { attribute: Some(SmolStr::new(name)), ..Def::default() })))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                Def::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(Part)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Lines;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lines of path: expression")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
                let mut lines: Vec<(SmolStr, Option<Part>)> = Vec::new();
                while let Some(path) = map.next_key::<SmolStr>()? {
                    if lines.iter().any(|(known, _)| *known == path) {
                        return Err(A::Error::custom(format!("'{path}' stands here twice")));
                    }
                    lines.push((path, map.next_value()?));
                }
                Ok(Lines(lines))
            }
        }
        deserializer.deserialize_map(Seen)
    }
}
