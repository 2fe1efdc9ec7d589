//! Targets over HTTP: how they are, what they hold of an entry and why, and the orders of an operator.

use super::{
    Options,
    named::named,
    problem::Problem,
    sent::{Nothing, Parameters, Strict, Why},
};
use crate::{
    clock::Timestamp,
    directory::{Csn, Directory},
    filter::{self, query::instant},
    provisioning::{Command, Reconcile, Refusal, TargetStatus, Wish},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new()
        .route("/targets", get(all))
        .route("/targets/{name}", get(one))
        .route("/targets/{name}/resume", post(|o, n, b| wish(o, n, b, Wish::Run)))
        .route("/targets/{name}/pause", post(|o, n, b| wish(o, n, b, Wish::Pause)))
        .route("/targets/{name}/enable", post(|o, n, b| wish(o, n, b, Wish::Run)))
        .route("/targets/{name}/disable", post(|o, n, b| wish(o, n, b, Wish::Disable)))
        .route("/targets/{name}/retire", post(|o, n, b| wish(o, n, b, Wish::Retire)))
        .route("/targets/{name}/approve", post(|o, n, _: Strict<Nothing>| order(o, n, Command::Approve)))
        .route("/targets/{name}/reject", post(|o, n, _: Strict<Nothing>| order(o, n, Command::Reject)))
        .route("/targets/{name}/retry", post(retry))
        .route("/targets/{name}/replay", post(replay))
        .route("/targets/{name}/log", get(log))
        .route("/targets/{name}/objects/{id}", get(show))
        .route("/targets/{name}/objects/{id}/push", post(push))
        .route("/targets/{name}/reconcile", get(batches).post(reconcile))
        .route("/targets/{name}/reconcile/{batch}", get(batch))
        .route("/accounts/{id}", get(accounts))
}

type Shared = State<Arc<Options>>;
type Name = Path<String>;

fn data(data: &Value) -> Response {
    Json(json!({"statusCode": StatusCode::OK.as_u16(), "data": data})).into_response()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NoSuchTarget | Refusal::NoSuchObject | Refusal::NoSuchBatch => StatusCode::NOT_FOUND,
            Refusal::NotNow(_) => StatusCode::CONFLICT,
            Refusal::Bad(_) => StatusCode::BAD_REQUEST,
            Refusal::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, refusal.to_string())
    }
}

async fn ask(options: &Options, target: &str, command: Command) -> Result<Value, Problem> {
    Ok(options.provisioning.ask(target, command).await?)
}

async fn order(State(options): Shared, Path(name): Name, command: Command) -> Result<Response, Problem> {
    Ok(data(&ask(&options, &name, command).await?))
}

async fn all(State(options): Shared) -> Json<Vec<TargetStatus>> {
    Json(options.provisioning.status())
}

async fn one(State(options): Shared, Path(name): Name) -> Result<Response, Problem> {
    let status = options.provisioning.status().into_iter().find(|status| status.name == name);
    Ok(data(&json!(status.ok_or(Refusal::NoSuchTarget)?)))
}

/// Why something is done, in the operator's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Because {
    #[serde(default)]
    why: Why,
}

async fn wish(options: Shared, name: Name, Strict(sent): Strict<Because>, wish: Wish) -> Result<Response, Problem> {
    order(options, name, Command::Wish { wish, why: sent.why.0.to_string() }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Absent: all that have failed.
    object: Option<String>,
}

async fn retry(options: Shared, name: Name, Strict(sent): Strict<Which>) -> Result<Response, Problem> {
    let object = sent.object.map(|id| object(&options, &id)).transpose()?;
    order(options, name, Command::Retry { object }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// A change sequence number, a time, or the number of a journal record. Absent: from the beginning.
    since: Option<String>,
}

async fn replay(options: Shared, name: Name, Strict(sent): Strict<Since>) -> Result<Response, Problem> {
    known(&options, &name)?;
    let since = match &sent.since {
        Some(text) => Some(record_before(&options.directory, text).await?),
        None => None,
    };
    order(options, name, Command::Replay { since }).await
}

/// The last journal record that is not to be looked at again.
async fn record_before(directory: &Directory, text: &str) -> Result<u64, Problem> {
    let wrong = || Problem::bad_request("since: expected a change sequence number, a time or a number");
    let (start, head, store) = {
        let snapshot = directory.read();
        (directory.journal_start(), snapshot.head, snapshot.store_id)
    };
    let before = if let Ok(number) = text.parse::<u64>() {
        number
    } else if let Some(csn) = Csn::parse(text, store) {
        csn.number
    } else {
        first_since(directory, instant(text).ok_or_else(wrong)?, start, head).await?.saturating_sub(1)
    };
    // What is no longer kept cannot be told from what never was.
    if before.saturating_add(1) < start {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "since: the journal does not reach back so far; replay everything instead",
        ));
    }
    Ok(before.min(head))
}

/// The first record of this time or later; times in the journal never go back.
async fn first_since(directory: &Directory, time: Timestamp, start: u64, head: u64) -> Result<u64, Problem> {
    let (mut low, mut high) = (start, head.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let records = directory.read_log(middle.saturating_sub(1), 1).await?;
        match records.first() {
            Some((_, change)) if change.time < time => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low)
}

async fn log(options: Shared, name: Name, parameters: Parameters) -> Result<Response, Problem> {
    let most = parameters.number("limit", LINES)?;
    let object = parameters.get("object").map(|id| object(&options, id)).transpose()?;
    order(options, name, Command::Log { object, most }).await
}

async fn show(options: Shared, Path((name, id)): Path<(String, String)>) -> Result<Response, Problem> {
    let object = object(&options, &id)?;
    order(options, Path(name), Command::Show { object }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Push {
    #[serde(default)]
    dry_run: bool,
}

async fn push(
    options: Shared,
    Path((name, id)): Path<(String, String)>,
    Strict(sent): Strict<Push>,
) -> Result<Response, Problem> {
    let object = object(&options, &id)?;
    order(options, Path(name), Command::Push { object, dry_run: sent.dry_run }).await
}

async fn reconcile(options: Shared, name: Name, Strict(sent): Strict<Reconcile>) -> Result<Response, Problem> {
    if let Some(text) = &sent.scope {
        filter::parse(text).map_err(|fault| Problem::bad_request(format!("scope: {fault}")))?;
    }
    order(options, name, Command::Reconcile(sent)).await
}

async fn batches(options: Shared, name: Name) -> Result<Response, Problem> {
    order(options, name, Command::Reconciliation { batch: None, skip: 0, most: 0 }).await
}

async fn batch(
    options: Shared,
    Path((name, batch)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let skip = parameters.number("skip", 0)?;
    let most = parameters.number("limit", LINES)?.min(MOST_LINES);
    known(&options, &name)?;
    let batch: Uuid = batch.parse().map_err(|_| Refusal::NoSuchBatch)?;
    order(options, Path(name), Command::Reconciliation { batch: Some(batch), skip, most }).await
}

/// Which accounts an entry has, since when, and why they are as they are.
async fn accounts(State(options): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let object = object(&options, &id)?;
    let snapshot = options.directory.read();
    let node = snapshot.by_uuid(object).or_else(|| snapshot.deleted_by_uuid(object));
    let accounts = options.provisioning.accounts(object);
    if node.is_none() && accounts.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such entry"));
    }
    Ok(data(&json!({
        "object": object,
        "dn": node.map(|node| snapshot.dn_text(node)),
        "accounts": accounts,
    })))
}

/// An entry by what people call it. A uuid stands for itself: what is gone may still have an account.
fn object(options: &Options, id: &str) -> Result<Uuid, Problem> {
    match id.parse() {
        Ok(uuid) => Ok(uuid),
        Err(_) => {
            named(&options.directory.read(), id, |_| true).map(|node| node.entry.uuid).map_err(|problem| match problem
                .status
            {
                StatusCode::NOT_FOUND => Problem::new(StatusCode::NOT_FOUND, "no such entry"),
                _ => problem,
            })
        }
    }
}

fn known(options: &Options, name: &str) -> Result<(), Refusal> {
    let status = options.provisioning.status();
    status.iter().any(|status| status.name == name).then_some(()).ok_or(Refusal::NoSuchTarget)
}

/// Lines of a log, or events, that one answer has.
const LINES: usize = 100;
const MOST_LINES: usize = 10_000;
