//! The creation of an identity: `POST /management/identities`, and what every write has in common.

use super::{
    super::{Options, problem::Problem, sent},
    answer,
    faults::Faults,
    later, object, shown,
};
use crate::{
    directory::{OnFault, Op, Terms},
    dn::{Dn, escape_value},
    entry::{Entry, FactsChange},
    lifecycle::{Event, State},
    sesame::{self, Body, Contract},
};
use axum::{extract::State as Shared, http::StatusCode, response::Response};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::MutexGuard;

pub async fn create(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    let mut sent = Value::Object(sent);
    let _turn = options.turn(first_text(&sent, "employeeNumber").is_some()).await;
    let snapshot = options.directory.read();
    let schema = &snapshot.schema;
    if options.sesame.contract == Contract::Later {
        later::complete(&mut sent, &snapshot);
    }
    let state = asked_state(&sent);
    let body = sesame::read(&sent, None, options.sesame.contract, schema);
    let mut faults = Faults::of(&body, schema);
    if state.is_none() {
        faults.unknown_state();
    }
    let state = state.unwrap_or(State::ToCreate);
    // Documented: TO_CREATE is sent, and kept as TO_COMPLETE if need be. Later: whoever wants an
    // incomplete identity kept says so.
    let holds = match options.sesame.contract {
        Contract::Documented => State::ToCreate,
        Contract::Later => State::ToComplete,
    };
    faults.refuse(state == holds)?;
    let terms = Terms {
        on_fault: if state == holds { OnFault::Hold } else { OnFault::Refuse },
        event: (state != State::ToCreate && state != holds).then_some(Event::Asked(state)),
        ..options.terms(&body, &sent)
    };
    let op = Op::Add { dn: options.name(&body)?, attrs: body.addition(schema) };
    let added = options.directory.submit_update(options.update(op, terms)).await;
    let outcome = added.map_err(|error| in_use(error.into(), options.sesame.contract))?;
    let snapshot = options.directory.read();
    let node = snapshot.by_uuid(outcome.uuid).ok_or_else(Problem::not_found)?;
    let document = shown(&snapshot, node);
    Ok(match is_incomplete(&node.entry) {
        true => answer(StatusCode::ACCEPTED, "the identity is kept and has to be completed", document),
        false => answer(StatusCode::CREATED, "the identity is created", document),
    })
}

/// The state that a document asks for; `None` if it is none of the enumeration.
pub fn asked_state(sent: &Value) -> Option<State> {
    match sent.get("state") {
        None | Some(Value::Null) => Some(State::ToCreate),
        Some(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()).and_then(State::from_number),
    }
}

pub fn is_incomplete(entry: &Entry) -> bool {
    entry.operational.axes.is_some_and(|axes| axes.state == State::ToComplete.number())
}

/// The later contract says of a name or address in use what it says of every fault.
fn in_use(problem: Problem, contract: Contract) -> Problem {
    match (problem.status, contract) {
        (StatusCode::CONFLICT, Contract::Later) => Problem { status: StatusCode::BAD_REQUEST, ..problem },
        _ => problem,
    }
}

impl Options {
    /// Waits until nobody else is giving numbers, where one may have to be given.
    pub(super) async fn turn(&self, is_numbered: bool) -> Option<MutexGuard<'_, ()>> {
        match self.sesame.contract {
            Contract::Later if !is_numbered => Some(self.numbering.lock().await),
            _ => None,
        }
    }

    /// The terms on which a document is written, valid or not.
    pub(super) fn terms(&self, body: &Body, sent: &Value) -> Terms {
        let empty = serde_json::Map::new();
        let custom = object(sent.as_object().unwrap_or(&empty), "customFields");
        Terms {
            release: Some(self.sesame.release),
            faults: Some(body.unfit.clone()),
            facts: Some(Box::new(FactsChange {
                beside: Some(body.beside.clone()),
                custom_fields: custom.map(|fields| (!fields.is_empty()).then(|| Value::Object(fields).to_string())),
                ignore_lifecycle: sent.get("ignoreLifecycle").and_then(Value::as_bool),
                ..FactsChange::default()
            })),
            ..Terms::default()
        }
    }

    /// The name of a new identity.
    pub(super) fn name(&self, body: &Body) -> Result<Dn, Problem> {
        let uid = body.first("uid").map(escape_value).unwrap_or_default();
        Ok(Dn::parse(&self.sesame.dn.replace("{uid}", &uid)).map_err(crate::directory::Error::from)?)
    }
}

/// The value of an attribute by which Sesame tells identities apart.
pub fn first_text(document: &Value, name: &str) -> Option<String> {
    let value = document.get(sesame::PERSON)?.get(name)?;
    let one = value.as_array().map_or(Some(value), |list| list.first())?;
    match one {
        Value::String(text) => Some(text.clone()).filter(|t| !t.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
