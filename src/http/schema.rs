//! Class rules over HTTP: taking changed files into use, and what the store would break under others.

use super::{
    Options,
    problem::{self, Problem},
    sent,
};
use crate::{
    directory::Trial,
    schema::{Error, Language, Schema, Sources},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use serde_json::{Map, Value, json};
use std::{path::PathBuf, sync::Arc};

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new().route("/schema/reload", post(reload)).route("/schema/diff", post(diff))
}

/// Reads the files of the configuration again. What is refused leaves the rules in use as they are.
async fn reload(State(options): State<Arc<Options>>) -> Result<Json<Value>, Problem> {
    let work = move || {
        let schema = Arc::clone(&options.directory.read().schema);
        let sources = (options.sources)().map_err(Error::from)?;
        schema.reload_rules(&sources)
    };
    let rules = tokio::task::spawn_blocking(work).await.map_err(|e| problem::internal(&e))?.map_err(refused)?;
    tracing::info!(classes = rules.classes().len(), "the class rules were read again");
    Ok(Json(json!({
        "statusCode": StatusCode::OK.as_u16(),
        "message": "the class rules were read again",
        "classes": rules.classes().len(),
        "notes": rules.notes,
    })))
}

/// `{"classes": {"<class>.yml": text}, "cross": text}`: the rule files in place of those in use;
/// without `cross` that table stays.
async fn diff(
    State(options): State<Arc<Options>>,
    headers: HeaderMap,
    sent::Body(sent): sent::Body,
) -> Result<Json<Value>, Problem> {
    let language = headers.get(header::ACCEPT_LANGUAGE).and_then(|h| Language::accepted(h.to_str().ok()?));
    let language = language.unwrap_or(options.directory.read().schema.language());
    let work = move || {
        let sources = (options.sources)().map_err(|e| refused(Error::from(e)))?;
        let other = Schema::compile(&with_texts(sources, sent)?).map_err(refused)?;
        let keep = options.directory.limits.schema_diff_entries;
        Ok(Trial::of(&options.directory.read(), &other, keep, || ()).json(language))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| problem::internal(&e))?.map(Json)
}

fn with_texts(sources: Sources, sent: Map<String, Value>) -> Result<Sources, Problem> {
    let mut sources = sources;
    for (key, value) in sent {
        match (key.as_str(), value) {
            ("classes", Value::Object(files)) => {
                let file = |(name, text): (String, Value)| match text {
                    Value::String(text) => Ok((PathBuf::from(name), text)),
                    _ => Err(Problem::bad_request(format!("classes.{name}: expected the text of a rule file"))),
                };
                sources.classes = files.into_iter().map(file).collect::<Result<_, _>>()?;
            }
            ("cross", Value::String(text)) => sources.cross = Some((PathBuf::from("cross.yml"), text)),
            (other, _) => {
                let expected = "expected classes, an object of file names and texts, and cross, a text";
                return Err(Problem::bad_request(format!("{other}: {expected}")));
            }
        }
    }
    Ok(sources)
}

/// The operator, who alone has the token, is told files and lines.
fn refused(error: Error) -> Problem {
    tracing::warn!(%error, "the class rules sent or read are not taken; those in use stay");
    let status = match &error {
        Error::NeedsRestart(_) => StatusCode::CONFLICT,
        Error::Load(_) | Error::Faults(_) => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, error.to_string())
}
