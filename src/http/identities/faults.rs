//! What is wrong with a document, all of it at once, and the answer that Sesame gives to it.

use super::super::problem::{Problem, by_class};
use crate::{
    entry::Draft,
    lifecycle::State,
    schema::{Attr, Fault, Schema, Scope, Violation},
    sesame::{Body, PERSON},
};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// The faults of one document.
pub struct Faults {
    config: Map<String, Value>,
    /// Values that break the schema of a class.
    pub values: Vec<Violation>,
    /// Required fields that are absent, and a state that is none.
    required: Map<String, Value>,
}

impl Faults {
    pub fn of(body: &Body, schema: &Schema) -> Self {
        let config = body.config.iter().map(|(class, text)| (class.to_string(), json!(text))).collect();
        let mut required = Map::new();
        if !body.missing.is_empty() {
            let fields: Map<String, Value> =
                body.missing.iter().map(|r| (r.0.to_owned(), json!("is required of an identity"))).collect();
            required.insert(PERSON.to_owned(), Value::Object(fields));
        }
        Faults { config, values: broken(body, schema), required }
    }

    /// Adds a state that is not in the enumeration.
    pub fn unknown_state(&mut self) {
        let known: Vec<String> = State::ALL.iter().map(|s| s.number().to_string()).collect();
        self.required.insert("state".to_owned(), json!(format!("expected one of {}", known.join(", "))));
    }

    /// Refuses what cannot be stored: first faults of the classes themselves, then broken values
    /// unless they are to be held, then what is missing.
    pub fn refuse(&self, hold: bool) -> Result<(), Problem> {
        let refused = |status, message: &str| Err(Problem::new(status, message).because(self.all()));
        if !self.config.is_empty() {
            return refused(StatusCode::BAD_REQUEST, "the classes of the identity are not in order");
        }
        if !self.values.is_empty() && !hold {
            return refused(StatusCode::BAD_REQUEST, "values of the identity are not valid");
        }
        if !self.required.is_empty() {
            return refused(StatusCode::NOT_ACCEPTABLE, "required fields are missing or not valid");
        }
        Ok(())
    }

    /// All that was found, whatever the refusal is for.
    fn all(&self) -> Map<String, Value> {
        let mut all = by_class(&self.values);
        for (name, fields) in &self.required {
            match (all.get_mut(name).and_then(Value::as_object_mut), fields) {
                (Some(held), Value::Object(fields)) => held.extend(fields.clone()),
                _ => drop(all.insert(name.clone(), fields.clone())),
            }
        }
        all.extend(self.config.clone());
        all
    }
}

/// What the schema says of the attributes, and what LDAP could not hold.
fn broken(body: &Body, schema: &Schema) -> Vec<Violation> {
    let attr = |(name, values)| Some(Attr { desc: schema.describe(&name as &smol_str::SmolStr)?, values });
    let mut draft = Draft { attrs: body.addition(schema).into_iter().filter_map(attr).collect() };
    draft.complete_classes(schema);
    let mut found = match schema.validate(&draft.attrs, Scope::Identity, Vec::new()) {
        Ok(checked) => checked.class_faults,
        Err(violations) => violations.0,
    };
    let missing = |v: &Violation| v.fault == Fault::MissingAttribute && body.missing.iter().any(|r| v.attr == r.0);
    found.retain(|v| !missing(v));
    for unfit in &body.unfit {
        // A value that is there but unfit is not missing as well.
        found.retain(|v| v.attr != unfit.attr);
        found.push(unfit.clone());
    }
    found
}
