//! Expressions of a map, checked: from an entry to the text values of one place in its document.

use super::{
    Asked,
    definition::{Axis, Def, Depth, Direction, On, Part},
    reader::{self, Reader},
    reference::{self, Found},
};
use crate::{
    export::target::Resource,
    expression::{Steps, filled},
    schema::Schema,
};
use serde_json::Value;
use smol_str::SmolStr;

#[derive(Clone, Debug)]
pub struct Expression {
    origin: Origin,
    steps: Steps,
}

#[derive(Clone, Debug)]
enum Origin {
    Attribute { name: SmolStr, which: Which },
    Constant(String),
    FirstOf(Vec<Expression>),
    Concat(Vec<Expression>),
    AllOf(Vec<Expression>),
    Reference { name: SmolStr, shown: Option<SmolStr>, list: bool },
    Members { depth: Depth, shown: Option<SmolStr> },
    Lifecycle(Axis),
}

/// Which of an attribute's values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Named,
    All,
    Rest,
}

/// What evaluation needs beside the expression.
pub struct Look<'a, 'f> {
    pub asked: &'a Asked<'a>,
    pub reader: Reader<'a>,
    pub found: &'f mut Found,
}

impl Expression {
    /// `Err` says what was expected.
    pub fn bind(def: &Def) -> Result<Self, String> {
        Ok(Expression { origin: origin(def)?, steps: Steps::bind(&def.then)? })
    }

    /// Whether it stands for a list, though there be one value in it.
    pub fn is_list(&self) -> bool {
        match &self.origin {
            Origin::Attribute { which, .. } => matches!(which, Which::All | Which::Rest),
            Origin::AllOf(_) | Origin::Members { .. } => true,
            Origin::Reference { list, .. } => *list,
            Origin::FirstOf(parts) => parts.iter().any(Expression::is_list),
            Origin::Constant(_) | Origin::Concat(_) | Origin::Lifecycle(_) => false,
        }
    }

    /// Whether it says nothing of the entry.
    pub fn is_constant(&self) -> bool {
        matches!(self.origin, Origin::Constant(_))
    }

    /// Whether it is active or not, and nothing is done to that.
    pub fn is_active(&self) -> bool {
        self.tells_activity() && self.steps.is_empty()
    }

    /// Whether it says if the account is usable.
    pub fn tells_activity(&self) -> bool {
        matches!(self.origin, Origin::Lifecycle(Axis::Active))
    }

    /// What it says of an account that is not.
    pub fn closed(&self) -> Option<String> {
        let said = self.tells_activity().then(|| self.steps.apply(vec![false.to_string()]).ok())?;
        said?.into_iter().next()
    }

    /// The attribute whose values it gives as they are.
    pub fn plain_attribute(&self) -> Option<&SmolStr> {
        match &self.origin {
            Origin::Attribute { name, .. } if self.steps.is_empty() => Some(name),
            _ => None,
        }
    }

    /// Whether values of other entries are in it: it changes when they do.
    pub fn reads_others(&self) -> bool {
        match &self.origin {
            Origin::FirstOf(parts) | Origin::Concat(parts) | Origin::AllOf(parts) => {
                parts.iter().any(Expression::reads_others)
            }
            Origin::Reference { shown, .. } | Origin::Members { shown, .. } => shown.is_some(),
            Origin::Attribute { .. } | Origin::Constant(_) | Origin::Lifecycle(_) => false,
        }
    }

    /// The attributes that it names, its own and those of entries that it follows to.
    pub fn attributes(&self) -> Vec<&SmolStr> {
        match &self.origin {
            Origin::Attribute { name, .. } => vec![name],
            Origin::FirstOf(parts) | Origin::Concat(parts) | Origin::AllOf(parts) => {
                parts.iter().flat_map(Expression::attributes).collect()
            }
            Origin::Reference { name, shown, .. } => std::iter::once(name).chain(shown).collect(),
            Origin::Members { shown, .. } => shown.iter().collect(),
            Origin::Constant(_) | Origin::Lifecycle(_) => Vec::new(),
        }
    }

    /// What is wrong with the attributes that it names.
    pub fn faults(&self, schema: &Schema) -> Vec<String> {
        self.attributes().into_iter().filter_map(|attr| reader::fault(attr, schema)).collect()
    }

    /// `Err` says which rule a value breaks.
    pub fn values(&self, look: &mut Look<'_, '_>) -> Result<Vec<String>, String> {
        let node = look.asked.node;
        let values = match &self.origin {
            Origin::Attribute { name, which: Which::Named } => look.reader.named(node, name),
            Origin::Attribute { name, which } => {
                let skipped = usize::from(*which == Which::Rest);
                look.reader.values(node, name).into_iter().skip(skipped).collect()
            }
            Origin::Constant(text) => vec![text.clone()],
            Origin::FirstOf(parts) => {
                let mut found = Vec::new();
                for part in parts {
                    found = part.values(look)?;
                    if !found.is_empty() {
                        break;
                    }
                }
                found
            }
            Origin::Concat(parts) => concatenated(parts, look)?,
            Origin::AllOf(parts) => {
                let lists = parts.iter().map(|part| part.values(look)).collect::<Result<Vec<_>, _>>()?;
                lists.concat()
            }
            Origin::Reference { name, shown, .. } => referred(name, shown.as_deref(), look),
            Origin::Members { depth, shown } => members(*depth, shown.as_deref(), look),
            Origin::Lifecycle(Axis::Active) => look.asked.active.map(|a| a.to_string()).into_iter().collect(),
            Origin::Lifecycle(Axis::Letter) => {
                node.entry.operational.axes.map(|axes| axes.lifecycle.to_string()).into_iter().collect()
            }
        };
        let mut values = self.steps.apply(values)?;
        // The first that the steps leave: a tag may be that of the second.
        if !self.is_list() {
            values.truncate(1);
        }
        Ok(values)
    }
}

fn origin(def: &Def) -> Result<Origin, String> {
    let attribute = |name: &SmolStr, which| Origin::Attribute { name: name.clone(), which };
    let shown = def.attribute.clone();
    let mut origins: Vec<Origin> = Vec::new();
    origins.extend(def.all.iter().map(|name| attribute(name, Which::All)));
    origins.extend(def.rest.iter().map(|name| attribute(name, Which::Rest)));
    origins.extend(def.named.iter().map(|name| attribute(name, Which::Named)));
    if let Some(constant) = &def.constant {
        origins.push(Origin::Constant(scalar(constant)?));
    }
    for (list, make) in [
        (&def.first_of, Origin::FirstOf as fn(Vec<Expression>) -> Origin),
        (&def.concat, Origin::Concat),
        (&def.all_of, Origin::AllOf),
    ] {
        if let Some(list) = list {
            origins.push(make(parts(list)?));
        }
    }
    origins.extend(def.lifecycle.map(Origin::Lifecycle));
    let follows = def.reference.is_some() || def.references.is_some() || def.members.is_some();
    for (name, list) in [(&def.reference, false), (&def.references, true)] {
        origins.extend(name.iter().map(|name| Origin::Reference { name: name.clone(), shown: shown.clone(), list }));
    }
    origins.extend(def.members.map(|depth| Origin::Members { depth, shown: shown.clone() }));
    if !follows {
        origins.extend(def.attribute.iter().map(|name| attribute(name, Which::First)));
    }
    let mut origins = origins.into_iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => Ok(origin),
        _ => Err("expected one of attribute, all, rest, named, constant, first_of, concat, all_of, reference, references, members, lifecycle".to_owned()),
    }
}

fn parts(list: &[Part]) -> Result<Vec<Expression>, String> {
    if list.is_empty() {
        return Err("expected at least one expression in the list".to_owned());
    }
    list.iter().map(|Part(def)| nested(def)).collect()
}

/// What is said of a whole line is out of place further in.
fn nested(def: &Def) -> Result<Expression, String> {
    let is_line = def.kind.is_some()
        || def.private
        || def.unlisted
        || def.required
        || def.recon_key
        || def.on != On::Always
        || def.direction != Direction::Push;
    if is_line {
        return Err("type, private, unlisted, required, on, direction and recon_key stand beside the whole expression"
            .to_owned());
    }
    Expression::bind(def)
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err("constant: expected a text, a number, true or false".to_owned())
        }
    }
}

/// All parts or nothing: half a name would be taken for a whole one.
fn concatenated(parts: &[Expression], look: &mut Look<'_, '_>) -> Result<Vec<String>, String> {
    let mut text = String::new();
    for part in parts {
        match part.values(look)?.into_iter().next() {
            Some(value) => text.push_str(&value),
            None => return Ok(Vec::new()),
        }
    }
    Ok(filled(&text))
}

fn referred(name: &str, shown: Option<&str>, look: &mut Look<'_, '_>) -> Vec<String> {
    let others = reference::named(look.asked.snapshot, look.asked.node, name, look.found);
    match shown {
        Some(attr) => others.into_iter().flat_map(|other| look.reader.values(other, attr)).collect(),
        None => others.into_iter().filter_map(|other| Some((look.asked.linked)(other.entry.uuid)?.1)).collect(),
    }
}

fn members(depth: Depth, shown: Option<&str>, look: &mut Look<'_, '_>) -> Vec<String> {
    let Asked { snapshot, node, now, linked, .. } = look.asked;
    let members = reference::members(snapshot, node, depth, *now, look.found);
    let mut values: Vec<String> = match shown {
        Some(attr) => members.into_iter().flat_map(|m| look.reader.values(m, attr).into_iter().next()).collect(),
        None => {
            let wanted = |resource| depth == Depth::Nested || resource == Resource::User;
            let ids = members.into_iter().filter_map(|m| linked(m.entry.uuid));
            ids.filter(|(resource, _)| wanted(*resource)).map(|(_, id)| id).collect()
        }
    };
    // Sets have no order; a stable one keeps documents equal.
    values.sort_unstable();
    values.dedup();
    values
}
