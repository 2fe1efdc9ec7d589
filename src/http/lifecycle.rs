//! Careers over HTTP: what an identity's is, what rules would do, and the work of an operator. The
//! routes below `/management/lifecycle` are Sesame's.

use super::{
    Options,
    named::named,
    problem::Problem,
    sent::{Nothing, Parameters, Strict},
};
use crate::{
    clock::Timestamp,
    directory::{Advanced, Node, Snapshot},
    entry::{Axis, Move},
    filter::query::instant,
    lifecycle::{self, State},
    sesame,
};
use axum::{
    Json, Router,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new()
        .route("/lifecycle/identities/{id}", get(show))
        .route("/lifecycle/states", get(states))
        .route("/lifecycle/stats", get(stats))
        .route("/lifecycle/preview", get(preview))
        .route("/lifecycle/run", post(run))
        .route("/lifecycle/execute", post(execute))
        .route("/lifecycle/reload", post(reload))
        .route("/management/lifecycle/states", get(all_stages))
        .route("/management/lifecycle/states/custom", get(custom_stages))
        .route("/management/lifecycle/stats", get(letters))
        .route("/management/lifecycle/recent", get(recent))
        .route("/management/lifecycle/identity/{id}", get(letters_of))
}

fn data(data: Value) -> Response {
    Json(json!({"statusCode": StatusCode::OK.as_u16(), "data": data})).into_response()
}

fn listed(data: Vec<Value>, total: usize) -> Response {
    Json(json!({"statusCode": StatusCode::OK.as_u16(), "total": total, "data": data})).into_response()
}

/// Axes, facts, history and the moves that are possible; by uuid, uid or DN, deleted ones as well.
async fn show(Shared(options): Shared<Arc<Options>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let node = identity(&snapshot, &id)?;
    let operational = &node.entry.operational;
    let axes = operational.axes.ok_or_else(Problem::not_found)?;
    let career = &snapshot.career;
    let schema = &snapshot.schema;
    let document = sesame::document(&node.entry, schema);
    let now = (options.clock)();
    let letters: Vec<&str> = career
        .stages
        .all()
        .iter()
        .filter(|s| s.letter() != axes.lifecycle)
        .filter(|s| career.permitted(&node.entry, (axes.lifecycle, s.letter()), || &document, schema, now).is_ok())
        .map(|s| s.key.as_str())
        .collect();
    let state = lifecycle::state(&axes);
    let account = match career.account(&axes) {
        lifecycle::Account::Usable => json!({"usable": true}),
        lifecycle::Account::Closed(why) => json!({"usable": false, "why": why}),
    };
    let facts = operational.facts.as_deref();
    let history: Vec<Value> = facts.map(|f| f.history.iter().map(|m| moved(&m)).collect()).unwrap_or_default();
    let kept = [
        "_id",
        "state",
        "lifecycle",
        "dataStatus",
        "initState",
        "lastSync",
        "lastBackendSync",
        "lastLifecycleUpdate",
        "ignoreLifecycle",
        "deletedFlag",
        "initInfo",
    ];
    let mut shown: Map<String, Value> =
        kept.iter().filter_map(|name| Some(((*name).to_owned(), document.get(*name)?.clone()))).collect();
    let due: Vec<Value> = career
        .timed()
        .filter(|(_, rule)| rule.takes(&node.entry))
        .filter_map(|(_, rule)| {
            Some(json!({"rule": rule.name, "to": rule.target, "due": rule.due(&node.entry)?.rfc3339()}))
        })
        .collect();
    let deleted = facts.is_some_and(|f| f.deleted.is_some());
    let allowed: Vec<i32> = if deleted { Vec::new() } else { lifecycle::allowed(state).map(State::number).collect() };
    for (name, value) in [
        ("dn", json!(snapshot.dn_text(&node))),
        ("stateName", json!(state.name())),
        ("account", account),
        ("resourceState", json!(career.resources.state_of(&axes))),
        ("missing", json!(operational.missing)),
        ("allowedStates", json!(allowed)),
        ("allowedLifecycles", json!(letters)),
        ("waitsFor", json!(due)),
        ("history", json!(history)),
    ] {
        shown.insert(name.to_owned(), value);
    }
    Ok(data(Value::Object(shown)))
}

/// An identity by its uuid, its uid or its name.
fn identity(snapshot: &Snapshot, id: &str) -> Result<Arc<Node>, Problem> {
    named(snapshot, id, |node| node.entry.operational.axes.is_some())
}

fn moved(one: &Move) -> Value {
    json!({
        "time": one.time.rfc3339(),
        "axis": one.axis.name(),
        "from": one.from.map(|from| one.axis.text(from)),
        "to": one.axis.text(one.to),
        "actor": one.actor,
        "why": one.why,
    })
}

/// The letters, what each means, and how many identities have it.
async fn states(Shared(options): Shared<Arc<Options>>) -> Response {
    let snapshot = options.directory.read();
    let counts = count(&snapshot, |axes| axes.lifecycle.to_string());
    let row = |stage: &lifecycle::Stage| {
        let row = snapshot.career.resources.row(stage.letter());
        let (state, login, export) = row.map(|(s, l, e)| (Some(s), Some(l), Some(e))).unwrap_or_default();
        json!({
            "key": stage.key,
            "label": stage.label,
            "description": stage.description,
            "state": state,
            "login": login,
            "export": export,
            "identities": counts.get(&stage.key).copied().unwrap_or(0),
        })
    };
    data(snapshot.career.stages.all().iter().map(row).collect())
}

fn count(snapshot: &Snapshot, key: impl Fn(&crate::entry::Axes) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for axes in snapshot.walk().filter_map(|node| node.entry.operational.axes.as_ref()) {
        *counts.entry(key(axes)).or_insert(0) += 1;
    }
    counts
}

async fn stats(Shared(options): Shared<Arc<Options>>) -> Response {
    let snapshot = options.directory.read();
    let rules = &snapshot.career.rules;
    data(json!({
        "identities": count(&snapshot, |_| "all".to_owned()).remove("all").unwrap_or(0),
        "deleted": snapshot.deleted().count(),
        "lifecycle": count(&snapshot, |axes| axes.lifecycle.to_string()),
        "state": count(&snapshot, |axes| axes.state.to_string()),
        "dataStatus": count(&snapshot, |axes| axes.data_status.to_string()),
        "initState": count(&snapshot, |axes| axes.init_state.to_string()),
        "rules": rules.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
        "nextDue": options.directory.next_due((options.clock)()).map(|time| time.rfc3339()),
    }))
}

/// Who would move until `at`, when, and by which rule.
async fn preview(Shared(options): Shared<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    let until = time(&parameters, "at")?;
    if until < (options.clock)() {
        return Err(Problem::bad_request("at: expected a time to come"));
    }
    let directory = Arc::clone(&options.directory);
    // Nobody waits for it any more once the client is gone, which drops this future, or at a stop.
    let stop = options.stop.child_token();
    let _gone = stop.clone().drop_guard();
    let moves = tokio::task::spawn_blocking(move || directory.preview(until, || stop.is_cancelled())).await;
    let moves = moves.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the preview ended early"))?;
    Ok(moves_made(&moves?))
}

fn moves_made(moves: &[Advanced]) -> Response {
    listed(moves.iter().map(|m| json!(m)).collect(), moves.len())
}

fn time(parameters: &Parameters, name: &str) -> Result<Timestamp, Problem> {
    let text = parameters.get(name).ok_or_else(|| Problem::bad_request(format!("{name}: it is missing")))?;
    instant(text).ok_or_else(|| Problem::bad_request(format!("{name}: expected a time such as 2027-09-01")))
}

/// Timed rules that are due, without waiting for the timer.
async fn run(Shared(options): Shared<Arc<Options>>, _: Strict<Nothing>) -> Result<Response, Problem> {
    Ok(moves_made(&options.directory.run_lifecycle().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute {
    source: Option<String>,
}

/// Rules for tasks, of one file or of all.
async fn execute(Shared(options): Shared<Arc<Options>>, Strict(sent): Strict<Execute>) -> Result<Response, Problem> {
    let source = sent.source.as_deref();
    let career = Arc::clone(&options.directory.read().career);
    if source.is_some_and(|source| !career.sources.iter().any(|s| s == source)) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no rule file of this name"));
    }
    if source.is_some() && career.tasks(source).next().is_none() {
        return Err(Problem::new(StatusCode::CONFLICT, "the file has no rule for tasks (trigger: -1)"));
    }
    Ok(moves_made(&options.directory.run_tasks(source).await?))
}

/// The lifecycle files, read again; bad ones leave the running ones in force.
async fn reload(Shared(options): Shared<Arc<Options>>, _: Strict<Nothing>) -> Result<Response, Problem> {
    match (options.reload_lifecycle)().await {
        Ok(said) => Ok(data(json!({"reloaded": said}))),
        Err(why) => Err(Problem::bad_request(why)),
    }
}

async fn all_stages(Shared(options): Shared<Arc<Options>>) -> Response {
    data(json!(options.directory.read().career.stages.all()))
}

async fn custom_stages(Shared(options): Shared<Arc<Options>>) -> Response {
    data(json!(options.directory.read().career.stages.custom()))
}

async fn letters(Shared(options): Shared<Arc<Options>>) -> Response {
    let counts = count(&options.directory.read(), |axes| axes.lifecycle.to_string());
    data(counts.into_iter().map(|(letter, count)| json!({"_id": letter, "count": count})).collect())
}

/// The latest changes of letter of all identities.
async fn recent(Shared(options): Shared<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    let (skip, limit) = (parameters.number("skip", 0)?, parameters.number("limit", crate::limits::HTTP_PAGE)?);
    let snapshot = options.directory.read();
    let mut all: Vec<(Timestamp, Value)> = snapshot.walk().flat_map(|node| changes(node)).collect();
    all.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    let total = all.len();
    Ok(listed(all.into_iter().skip(skip).take(limit).map(|(_, change)| change).collect(), total))
}

/// The changes of letter of one identity, the latest first.
async fn letters_of(Shared(options): Shared<Arc<Options>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let node = identity(&snapshot, &id)?;
    let mut all = changes(&node);
    all.reverse();
    let total = all.len();
    Ok(listed(all.into_iter().map(|(_, change)| change).collect(), total))
}

/// Sesame's form of a change of letter.
fn changes(node: &Node) -> Vec<(Timestamp, Value)> {
    let moves = node.entry.operational.facts.iter().flat_map(|facts| facts.history.iter());
    let letters = moves.filter(|m| m.axis == Axis::Lifecycle);
    letters
        .map(|m| {
            let change = json!({"refId": node.entry.uuid, "lifecycle": m.axis.text(m.to), "date": m.time.rfc3339()});
            (m.time, change)
        })
        .collect()
}
