//! The moves of an identity along its axes that humans ask for.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{self, Id},
    },
    answer, live, shown,
};
use crate::{
    directory::{Error, Node, Op, Snapshot, Terms, Update},
    dn::Dn,
    entry::ModKind,
    lifecycle::{self, Event, Release, State},
};
use axum::{extract::State as Shared, http::StatusCode, response::Response};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// Account may be used, and may not (Sesame's dataStatus).
const ACTIVE: i64 = 1;
const INACTIVE: i64 = -3;
const DELETED: i32 = -1;

const DATA_STATUS: &str = "vestibuleDataStatus";

/// `PATCH {id}/state`: from TO_VALIDATE or TO_CREATE only.
pub async fn state(
    Shared(options): Shared<Arc<Options>>,
    Id(id): Id,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    let to = wanted_state(&sent, &["state"])?;
    let (options, sent) = (&options, &sent);
    let moved = async || {
        let snapshot = options.directory.read();
        let node = live(&snapshot, id)?;
        let update = options.moved(&snapshot, &node, Event::Patched(to), sent)?;
        options.apply(vec![update], id).await
    };
    let document = options.settled(moved).await?;
    Ok(answer(StatusCode::OK, "the state is changed", document))
}

/// `PATCH state {ids, state}`: all or none.
pub async fn states(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    let ids = sent::uuids(&sent, "ids")?;
    let to = wanted_state(&sent, &["state", "targetState"])?;
    sent::why(&sent)?;
    let event = if to == State::ToSync { Event::Released } else { Event::Asked(to) };
    options.settled(|| options.move_all(&ids, event, &sent)).await?;
    let snapshot = options.directory.read();
    let documents = ids.iter().filter_map(|id| snapshot.by_uuid(*id)).map(|node| shown(&snapshot, node)).collect();
    Ok(answer(StatusCode::OK, "the states are changed", Value::Array(documents)))
}

/// `PATCH {id}/lifecycle`: the writer holds it against the manual transitions.
pub async fn lifecycle(
    Shared(options): Shared<Arc<Options>>,
    Id(id): Id,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    let letter = sent.get("lifecycle").and_then(Value::as_str);
    let letter = letter.ok_or_else(|| Problem::bad_request("lifecycle: expected one letter"))?;
    let document = options.settled(|| options.set_axis(id, "vestibuleLifecycle", letter, &sent)).await?;
    Ok(answer(StatusCode::OK, "the lifecycle is changed", document))
}

/// `PATCH {id}/activation`.
pub async fn activation(
    Shared(options): Shared<Arc<Options>>,
    Id(id): Id,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    let given = ["status", "active"].into_iter().find_map(|name| sent.get(name)).and_then(Value::as_bool);
    let active = given.ok_or_else(|| Problem::bad_request("status: expected true or false"))?;
    let status = if active { ACTIVE } else { INACTIVE }.to_string();
    let document = options.settled(|| options.set_axis(id, DATA_STATUS, &status, &sent)).await?;
    let message = if active { "the identity is activated" } else { "the identity is deactivated" };
    Ok(answer(StatusCode::OK, message, document))
}

fn wanted_state(sent: &Map<String, Value>, names: &[&str]) -> Result<State, Problem> {
    let number = names.iter().find_map(|name| sent.get(*name)).and_then(Value::as_i64);
    let state = number.and_then(|n| i32::try_from(n).ok()).and_then(State::from_number);
    state.ok_or_else(|| Problem::bad_request("state: expected one of the states of an identity"))
}

/// The route for one identity allows less than the table of moves.
fn told(refused: lifecycle::Refused, event: Event) -> Problem {
    match (event, refused.from) {
        (Event::Patched(to), from) if !matches!(from, State::ToValidate | State::ToCreate) => {
            Problem::bad_request(format!(
                "vestibuleState: state {from} cannot become {to} here, where identities move from {} and {}; allowed: none",
                State::ToValidate,
                State::ToCreate,
            ))
        }
        _ => Error::from(refused).into(),
    }
}

impl Options {
    /// The update that is a move of the state and nothing else. A move that the table does not have is
    /// refused with those that it has, whatever the identity lacks.
    fn moved(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        event: Event,
        sent: &Map<String, Value>,
    ) -> Result<Update, Problem> {
        let from = node.entry.operational.axes.as_ref().map(lifecycle::state);
        lifecycle::next(from, event).map_err(|refused| told(refused, event))?;
        let dn = Dn::parse(&snapshot.dn_text(node)).map_err(Error::from)?;
        let as_of = Some(node.entry.operational.changed);
        let terms = Terms { event: Some(event), why: sent::why(sent)?, as_of, ..Terms::default() };
        Ok(self.update(Op::Modify { dn, changes: Vec::new() }, terms))
    }

    async fn move_all(&self, ids: &[Uuid], event: Event, sent: &Map<String, Value>) -> Result<(), Problem> {
        let snapshot = self.directory.read();
        let moved = |id: &Uuid| self.moved(&snapshot, &*live(&snapshot, *id)?, event, sent);
        let updates: Vec<Update> = ids.iter().map(moved).collect::<Result<_, _>>()?;
        if !updates.is_empty() {
            self.directory.submit_all(updates).await?;
        }
        Ok(())
    }

    /// Writes one axis that the targets see. Who was let go to them before need not be let go again.
    async fn set_axis(
        &self,
        id: Uuid,
        attr: &'static str,
        value: &str,
        sent: &Map<String, Value>,
    ) -> Result<Value, Problem> {
        let snapshot = self.directory.read();
        let node = live(&snapshot, id)?;
        let operational = &node.entry.operational;
        if attr == DATA_STATUS && operational.synced.is_none() {
            return Err(Problem::bad_request("the identity was never synchronised; there is nothing to activate"));
        }
        if attr == DATA_STATUS && operational.axes.is_some_and(|axes| axes.data_status == DELETED) {
            return Err(Problem::bad_request("the identity is deleted"));
        }
        let state = operational.axes.as_ref().map(lifecycle::state);
        let released = matches!(state, Some(State::ToSync | State::Processing | State::Synced | State::OnError));
        let release = if released { Release::Automatic } else { Release::Manual };
        let dn = Dn::parse(&snapshot.dn_text(&node)).map_err(Error::from)?;
        let change = (ModKind::Replace, SmolStr::new_static(attr), vec![value.as_bytes().to_vec()]);
        let as_of = Some(operational.changed);
        let terms = Terms { release: Some(release), why: sent::why(sent)?, as_of, ..Terms::default() };
        self.apply(vec![self.update(Op::Modify { dn, changes: vec![change] }, terms)], id).await
    }
}
