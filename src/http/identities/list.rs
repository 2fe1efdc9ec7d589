//! Lists of identities, one of them, and the history of one.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{Id, Parameters},
    },
    answer, aside, find, live, query, shown, signed,
};
use crate::{filter::query::values, lifecycle::State, limits::HTTP_PAGE};
use axum::{
    Json,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{cmp::Ordering, sync::Arc};

/// `GET /management/identities?filters[..]&sort[path]=asc&limit=&skip=&page=`.
pub async fn list(Shared(options): Shared<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    aside(move || page(&options, &parameters)).await
}

fn page(options: &Options, parameters: &Parameters) -> Result<Response, Problem> {
    let limit = parameters.number("limit", HTTP_PAGE)?.min(options.directory.limits.http_page);
    let skip = match parameters.get("page") {
        Some(_) => match parameters.number("page", 1)?.checked_sub(1) {
            Some(before) => before.saturating_mul(limit),
            None => return Err(Problem::bad_request("page: the first is 1")),
        },
        None => parameters.number("skip", 0)?,
    };
    let sort = order(parameters)?;
    let mut documents = options.found(parameters)?;
    documents.sort_by(|a, b| {
        let by = |(path, reverse): &(String, bool)| {
            let order = compare(values(a, path).first().copied(), values(b, path).first().copied());
            if *reverse { order.reverse() } else { order }
        };
        sort.iter().map(by).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    });
    let total = documents.len();
    let page: Vec<Value> = documents.into_iter().skip(skip).take(limit).map(signed).collect();
    let status = StatusCode::OK.as_u16();
    Ok(Json(json!({"statusCode": status, "total": total, "data": page})).into_response())
}

pub async fn count(Shared(options): Shared<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    let count = aside(move || options.found(&parameters)).await?.len();
    Ok(Json(json!({"statusCode": StatusCode::OK.as_u16(), "data": count})).into_response())
}

pub async fn one(Shared(options): Shared<Arc<Options>>, Id(id): Id) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let node = snapshot.by_uuid(id).or_else(|| snapshot.deleted_by_uuid(id));
    let node = node.filter(|n| n.entry.operational.axes.is_some()).ok_or_else(Problem::not_found)?;
    Ok(answer(StatusCode::OK, "found", shown(&snapshot, node)))
}

pub async fn history(Shared(options): Shared<Arc<Options>>, Id(id): Id) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let node = match snapshot.deleted_by_uuid(id) {
        Some(node) => Arc::clone(node),
        None => live(&snapshot, id)?,
    };
    let facts = node.entry.operational.facts.clone().unwrap_or_default();
    let moves = facts.history.iter().map(|m| {
        json!({
            "time": m.time.rfc3339(),
            "axis": m.axis.name(),
            "from": m.from.map(|from| m.axis.text(from)),
            "to": m.axis.text(m.to),
            "actor": m.actor,
            "why": m.why,
        })
    });
    Ok(answer(StatusCode::OK, "oldest first", moves.collect()))
}

impl Options {
    /// What the filters find. Frozen identities, and deleted ones among them, are seen by who asks
    /// for a state.
    fn found(&self, parameters: &Parameters) -> Result<Vec<Value>, Problem> {
        let snapshot = self.directory.read();
        let wanted = query::wanted(&parameters.0, &snapshot.schema)?;
        let grants = self.directory.access.grants(&self.actor);
        let mut found = find::live(&snapshot, &wanted, &grants)?;
        match wanted.names_state {
            true => found.extend(find::deleted(&snapshot, &wanted)),
            false => found.retain(|(node, _)| {
                node.entry.operational.axes.is_some_and(|axes| axes.state != State::DontSync.number())
            }),
        }
        Ok(found.into_iter().map(|(_, document)| document).collect())
    }
}

/// `sort[path]=asc|desc|1|-1`, in the order given.
fn order(parameters: &Parameters) -> Result<Vec<(String, bool)>, Problem> {
    let mut sort = Vec::new();
    for (name, value) in &parameters.0 {
        let Some(path) = name.strip_prefix("sort[").and_then(|rest| rest.strip_suffix(']')) else { continue };
        let reverse = match value.as_str() {
            "asc" | "1" | "" => false,
            "desc" | "-1" => true,
            _ => return Err(Problem::bad_request(format!("{name}: expected asc or desc"))),
        };
        sort.push((path.to_owned(), reverse));
    }
    Ok(sort)
}

/// What is absent comes first, then numbers, then texts.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (a, b) => {
            let rank = |v: Option<&Value>| match v {
                None | Some(Value::Null) => 0,
                Some(Value::Bool(_)) => 1,
                Some(Value::Number(_)) => 2,
                Some(Value::String(_)) => 3,
                Some(_) => 4,
            };
            rank(a).cmp(&rank(b))
        }
    }
}
