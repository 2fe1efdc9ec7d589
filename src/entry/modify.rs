//! The changes of one Modify (RFC 4511 4.6), applied to a draft one after the other. The schema
//! is checked by the caller, once, at the end.

use super::Draft;
use crate::schema::{Attr, AttrDesc, Schema, Syntax};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModKind {
    Add,
    Delete,
    Replace,
    /// RFC 4525.
    Increment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modification {
    pub kind: ModKind,
    pub attr: AttrDesc,
    pub values: Vec<Vec<u8>>,
}

/// Why one change cannot be applied; the attribute is named in each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModError {
    #[error("{0}: the value to add is there already")]
    ValueExists(String),
    #[error("{0}: the same value is given twice")]
    ValueTwice(String),
    #[error("{0}: the entry has no such attribute")]
    NoAttribute(String),
    #[error("{0}: the entry has no such value")]
    NoValue(String),
    #[error("{0}: an add needs at least one value")]
    NoValueGiven(String),
    #[error("{0}: it has no equality rule, so that single values cannot be compared; delete or replace it as a whole")]
    NoEquality(String),
    #[error("{0}: increment needs exactly one value")]
    NotOneValue(String),
    #[error("{0}: increment needs an integer as its value and integers to add it to")]
    NotInteger(String),
}

impl Draft {
    /// The change without what it need not do: values to add that are there already, values to
    /// delete that are not. For clients that only care for the result.
    pub fn still_to_do(&self, mut change: Modification, schema: &Schema) -> Option<Modification> {
        let id = change.attr.id;
        let has_rule = schema.attribute(id).equality.is_some();
        let held: HashSet<Vec<u8>> = match self.get(&change.attr) {
            Some(held) if has_rule => held.values.iter().map(|v| schema.identity(id, v).into_owned()).collect(),
            _ => HashSet::new(),
        };
        match change.kind {
            ModKind::Add if !change.values.is_empty() => {
                change.values.retain(|v| !held.contains(schema.identity(id, v).as_ref()));
                (!change.values.is_empty()).then_some(change)
            }
            ModKind::Delete if change.values.is_empty() => self.get(&change.attr).is_some().then_some(change),
            ModKind::Delete if has_rule => {
                change.values.retain(|v| held.contains(schema.identity(id, v).as_ref()));
                (!change.values.is_empty()).then_some(change)
            }
            _ => Some(change),
        }
    }

    pub fn apply(&mut self, change: &Modification, schema: &Schema) -> Result<(), ModError> {
        let name = || schema.spell(&change.attr).to_string();
        match change.kind {
            ModKind::Add => self.add_values(change, schema, &name),
            ModKind::Delete if change.values.is_empty() => match self.remove(&change.attr) {
                true => Ok(()),
                false => Err(ModError::NoAttribute(name())),
            },
            ModKind::Delete => self.delete_values(change, schema, &name),
            ModKind::Replace => {
                no_twins(&change.attr, &change.values, schema, &name)?;
                match self.get_mut(&change.attr) {
                    _ if change.values.is_empty() => drop(self.remove(&change.attr)),
                    Some(held) => held.values.clone_from(&change.values),
                    None => self.attrs.push(Attr { desc: change.attr.clone(), values: change.values.clone() }),
                }
                Ok(())
            }
            ModKind::Increment => self.increment(change, schema, &name),
        }
    }

    fn remove(&mut self, desc: &AttrDesc) -> bool {
        let before = self.attrs.len();
        self.attrs.retain(|a| a.desc != *desc);
        self.attrs.len() < before
    }

    fn add_values(
        &mut self,
        change: &Modification,
        schema: &Schema,
        name: &dyn Fn() -> String,
    ) -> Result<(), ModError> {
        if change.values.is_empty() {
            return Err(ModError::NoValueGiven(name()));
        }
        no_twins(&change.attr, &change.values, schema, name)?;
        let id = change.attr.id;
        let Some(held) = self.get_mut(&change.attr) else {
            self.attrs.push(Attr { desc: change.attr.clone(), values: change.values.clone() });
            return Ok(());
        };
        if schema.attribute(id).equality.is_none() {
            return Err(ModError::NoEquality(name()));
        }
        let known: HashSet<Vec<u8>> = held.values.iter().map(|v| schema.identity(id, v).into_owned()).collect();
        if change.values.iter().any(|v| known.contains(schema.identity(id, v).as_ref())) {
            return Err(ModError::ValueExists(name()));
        }
        held.values.extend(change.values.iter().cloned());
        Ok(())
    }

    fn delete_values(
        &mut self,
        change: &Modification,
        schema: &Schema,
        name: &dyn Fn() -> String,
    ) -> Result<(), ModError> {
        let id = change.attr.id;
        let held = self.get_mut(&change.attr).ok_or_else(|| ModError::NoAttribute(name()))?;
        if schema.attribute(id).equality.is_none() {
            return Err(ModError::NoEquality(name()));
        }
        let mut gone: HashSet<Vec<u8>> = change.values.iter().map(|v| schema.identity(id, v).into_owned()).collect();
        if gone.len() < change.values.len() {
            return Err(ModError::NoValue(name()));
        }
        held.values.retain(|v| !gone.remove(schema.identity(id, v).as_ref()));
        if !gone.is_empty() {
            return Err(ModError::NoValue(name()));
        }
        if held.values.is_empty() {
            self.remove(&change.attr);
        }
        Ok(())
    }

    fn increment(&mut self, change: &Modification, schema: &Schema, name: &dyn Fn() -> String) -> Result<(), ModError> {
        let wrong = || ModError::NotInteger(name());
        let number = |v: &Vec<u8>| std::str::from_utf8(v).ok()?.parse::<i64>().ok();
        // RFC 4525 section 3: one value, and an attribute of numbers.
        let [by] = change.values.as_slice() else { return Err(ModError::NotOneValue(name())) };
        if schema.attribute(change.attr.id).syntax != Syntax::Integer {
            return Err(wrong());
        }
        let by = number(by).ok_or_else(wrong)?;
        let held = self.get_mut(&change.attr).ok_or_else(|| ModError::NoAttribute(name()))?;
        for value in &mut held.values {
            let sum = number(value).and_then(|n| n.checked_add(by)).ok_or_else(wrong)?;
            *value = sum.to_string().into_bytes();
        }
        Ok(())
    }
}

/// No two given values may be equal (RFC 4511 4.1.7).
pub(super) fn no_twins(
    attr: &AttrDesc,
    values: &[Vec<u8>],
    schema: &Schema,
    name: &dyn Fn() -> String,
) -> Result<(), ModError> {
    let mut seen = HashSet::with_capacity(values.len());
    if values.len() > 1 && !values.iter().all(|v| seen.insert(schema.identity(attr.id, v))) {
        return Err(ModError::ValueTwice(name()));
    }
    Ok(())
}

impl Draft {
    /// Refuses attributes that hold one value twice.
    pub fn check_twins(&self, schema: &Schema) -> Result<(), ModError> {
        self.attrs.iter().try_for_each(|a| no_twins(&a.desc, &a.values, schema, &|| schema.spell(&a.desc).to_string()))
    }
}
