//! What importers use: `POST /management/identities/upsert?filters[<path>]=v`, which finds an
//! identity, merges, and writes only what differs.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{self, Parameters},
    },
    answer,
    create::{first_text, is_incomplete},
    faults::Faults,
    find,
    fusion::{add_values, union},
    later,
    query::{self, Wanted},
    shown,
};
use crate::{
    directory::{Error, Node, OnFault, Op, Snapshot, Terms, Update},
    lifecycle::Event,
    sesame::{self, ADDITIONAL, Body, CLASSES, Contract, PERSON},
};
use axum::{
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// One request, as far as it does not depend on what is stored.
struct Request<'a> {
    options: &'a Options,
    incoming: Value,
    on_insert: Value,
    parameters: &'a Parameters,
    force: bool,
    insert: bool,
}

pub async fn upsert(
    Shared(options): Shared<Arc<Options>>,
    parameters: Parameters,
    sent::Body(mut sent): sent::Body,
) -> Result<Response, Problem> {
    let on_insert = sent.remove("$setOnInsert").filter(Value::is_object).unwrap_or_else(|| json!({}));
    let request = Request {
        options: &options,
        incoming: Value::Object(sent),
        on_insert,
        force: parameters.flag("force", false)?,
        insert: parameters.flag("upsert", true)? && !parameters.flag("errorOnNotFound", false)?,
        parameters: &parameters,
    };
    options.settled(|| request.attempt()).await
}

impl Request<'_> {
    async fn attempt(&self) -> Result<Response, Problem> {
        let options = self.options;
        let _turn = options.turn(self.number().is_some()).await;
        let snapshot = options.directory.read();
        let wanted = query::wanted(&self.parameters.0, &snapshot.schema)?;
        if wanted.is_empty {
            return Err(Problem::bad_request("an upsert needs filters that find the identity"));
        }
        let found = find::live(&snapshot, &wanted, &options.directory.access.grants(&options.actor))?;
        match found.as_slice() {
            [] => self.insert(&snapshot, &wanted).await,
            [(node, stored)] => self.write_over(&snapshot, node, stored).await,
            _ => Err(Problem::new(StatusCode::CONFLICT, "the filters find several identities")),
        }
    }

    async fn insert(&self, snapshot: &Arc<Snapshot>, wanted: &Wanted) -> Result<Response, Problem> {
        if !find::deleted(snapshot, wanted).is_empty() {
            return Err(Problem::new(StatusCode::SEE_OTHER, "deleted: the identity is a deleted one"));
        }
        if !self.insert {
            return Err(Problem::not_found());
        }
        let mut merged = self.on_insert.clone();
        merge(&mut merged, &self.incoming);
        let (mut body, complete) = self.judge(&mut merged, snapshot, None)?;
        loop {
            let op = Op::Add { dn: self.options.name(&body)?, attrs: body.addition(&snapshot.schema) };
            let update = self.options.update(op, self.terms(&body, &merged, complete));
            match self.options.directory.submit_update(update).await {
                Ok(outcome) => return self.written(outcome.uuid, StatusCode::CREATED),
                Err(error) => make_room(&mut body, error)?,
            }
        }
    }

    async fn write_over(&self, snapshot: &Arc<Snapshot>, node: &Node, stored: &Value) -> Result<Response, Problem> {
        let uuid = node.entry.uuid;
        let facts = node.entry.operational.facts.as_deref();
        let primary = facts.and_then(|f| f.primary_employee_number.as_deref()).filter(|n| !n.is_empty());
        if let (Some(primary), Some(number)) = (primary, self.number())
            && primary != number
        {
            return Err(Problem::new(
                StatusCode::SEE_OTHER,
                "secondary: the number is not the primary one of a fusion",
            ));
        }
        let mut merged = self.on_insert.clone();
        let kept = [PERSON, ADDITIONAL, "customFields"].map(|name| (name.to_owned(), stored.get(name).cloned()));
        let kept: Map<String, Value> = kept.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        merge(&mut merged, &Value::Object(kept));
        if let Some(additional) = merged.get_mut(ADDITIONAL).and_then(Value::as_object_mut) {
            additional.remove(sesame::VALIDATIONS);
        }
        merge(&mut merged, &self.incoming);
        add_values(&mut merged, &sesame::fused(&node.entry));
        let (mut body, complete) = self.judge(&mut merged, snapshot, Some(node))?;
        if sesame::is_same(&merged, &body, stored) && !self.force {
            let touch = self.options.update(Op::Touch { uuid }, Terms::default());
            self.options.directory.submit_update(touch).await?;
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        loop {
            let terms = self.terms(&body, &merged, complete && body.unfit.is_empty());
            let updates: Vec<Update> = self.options.updates(snapshot, node, &body, terms)?;
            match self.options.directory.submit_all(updates).await {
                Ok(_) => return self.written(uuid, StatusCode::OK),
                Err(refused) => make_room(&mut body, refused.error)?,
            }
        }
    }

    /// Reads the merged document, and refuses what cannot be kept even as incomplete. The second value
    /// tells whether it is valid.
    fn judge(&self, merged: &mut Value, snapshot: &Snapshot, node: Option<&Node>) -> Result<(Body, bool), Problem> {
        let contract = self.options.sesame.contract;
        if contract == Contract::Later {
            later::complete(merged, snapshot);
        }
        for name in ["employeeNumber", "employeeType"] {
            if first_text(merged, name).is_none() {
                return Err(Problem::bad_request(format!("{name} is required of an upsert")));
            }
        }
        let body = sesame::read(merged, node.map(|n| n.entry.as_ref()), contract, &snapshot.schema);
        let faults = Faults::of(&body, &snapshot.schema);
        faults.refuse(true)?;
        Ok((body, faults.values.is_empty()))
    }

    fn terms(&self, body: &Body, merged: &Value, complete: bool) -> Terms {
        let mut terms = self.options.terms(body, merged);
        if let Some(facts) = &mut terms.facts {
            facts.seen = Some((self.options.clock)());
        }
        let event = (complete && body.unfit.is_empty()).then_some(Event::Valid(self.options.sesame.release));
        Terms { on_fault: OnFault::Hold, event, ..terms }
    }

    /// The employee number that the importer speaks of.
    fn number(&self) -> Option<String> {
        let filter =
            |(name, value): &(String, String)| name.ends_with("inetOrgPerson.employeeNumber]").then(|| value.clone());
        first_text(&self.incoming, "employeeNumber")
            .or_else(|| first_text(&self.on_insert, "employeeNumber"))
            .or_else(|| self.parameters.0.iter().find_map(filter))
    }

    fn written(&self, uuid: Uuid, whole: StatusCode) -> Result<Response, Problem> {
        let snapshot = self.options.directory.read();
        let node = snapshot.by_uuid(uuid).ok_or_else(Problem::not_found)?;
        let document = shown(&snapshot, node);
        Ok(match is_incomplete(&node.entry) {
            true => answer(StatusCode::ACCEPTED, "the identity is kept and has to be completed", document),
            false => answer(whole, "the identity is written", document),
        })
    }
}

/// What an identity is known by.
const KEYS: [&str; 3] = ["uid", "employeeNumber", "employeeType"];

/// An address or the like that another identity has is held back, and the identity with it. What it is
/// known by cannot be.
fn make_room(body: &mut Body, error: Error) -> Result<(), Problem> {
    let is_key = |attr: &str| KEYS.iter().any(|key| key.eq_ignore_ascii_case(attr));
    match &error {
        Error::NotUnique { attr, .. } if !is_key(attr) && body.first(attr).is_some() => {
            body.hold_back(&attr.clone());
            Ok(())
        }
        _ => Err(error.into()),
    }
}

/// Puts one document over another: objects member by member, without regard to the case of names,
/// classes as a union, all else as a whole.
fn merge(base: &mut Value, over: &Value) {
    let (Value::Object(base), Value::Object(over)) = (&mut *base, over) else {
        *base = over.clone();
        return;
    };
    for (name, value) in over {
        let held =
            base.keys().find(|key| *key == name).or_else(|| base.keys().find(|key| key.eq_ignore_ascii_case(name)));
        let held = held.cloned().and_then(|key| base.remove(&key));
        let merged = match (held, value) {
            (Some(mut held @ Value::Object(_)), Value::Object(_)) => {
                merge(&mut held, value);
                held
            }
            (Some(Value::Array(held)), Value::Array(sent)) if name == CLASSES => Value::Array(union(&held, sent)),
            (_, value) => value.clone(),
        };
        base.insert(name.clone(), merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_documents() {
        for (base, over, expected) in [
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 3}}), json!({"a": {"b": 1, "c": 3}})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (
                json!({"objectClasses": ["x"]}),
                json!({"objectClasses": ["X", "y"]}),
                json!({"objectClasses": ["x", "y"]}),
            ),
            (
                json!({"supannPerson": {"a": 1}}),
                json!({"supannperson": {"B": 2}}),
                json!({"supannperson": {"a": 1, "B": 2}}),
            ),
            (json!({"a": 1}), json!({"a": null}), json!({"a": null})),
        ] {
            let mut merged = base.clone();
            merge(&mut merged, &over);
            assert_eq!(merged, expected, "{base} {over}");
        }
    }
}
