//! Identities over HTTP, as Sesame's contract has them.

mod axes;
mod create;
mod deleted;
mod duplicates;
mod faults;
mod find;
mod fusion;
mod later;
mod list;
mod query;
mod update;
mod upsert;
mod validation;

pub use duplicates::Duplicates;

use super::{
    Options,
    problem::{self, Problem},
};
use crate::{
    directory::{Node, Op, Snapshot, Terms, Update},
    limits::HTTP_ATTEMPTS,
    sesame,
};
use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn routes() -> Router<Arc<Options>> {
    let management = Router::new()
        .route("/", get(list::list).post(create::create))
        .route("/count", get(list::count))
        .route("/getdeleted", get(deleted::list))
        .route("/upsert", post(upsert::upsert))
        .route("/state", patch(axes::states))
        .route("/validation", get(validation::classes).post(validation::check))
        .route("/validation/{class}", get(validation::class))
        .route("/duplicates", get(duplicates::list))
        .route("/ignore-fusion", post(duplicates::ignore))
        .route("/unignore-fusion", post(duplicates::unignore))
        .route("/fusion", post(fusion::fuse))
        .route("/unfusion", post(fusion::unfuse))
        .route("/{id}", get(list::one).patch(update::update).delete(deleted::delete))
        .route("/{id}/state", patch(axes::state))
        .route("/{id}/lifecycle", patch(axes::lifecycle))
        .route("/{id}/activation", patch(axes::activation))
        .route("/{id}/undelete", post(deleted::undelete))
        .route("/{id}/history", get(list::history));
    Router::new()
        .nest("/management/identities", management)
        // The path of the documentation's own example.
        .route("/identities", post(create::create))
        .route("/core/backends/delete", post(deleted::delete_many))
        .route("/core/backends/undelete", post(deleted::undelete_many))
}

/// `{statusCode, data, message}`.
fn answer(status: StatusCode, message: &str, data: Value) -> Response {
    (status, Json(json!({"statusCode": status.as_u16(), "message": message, "data": data}))).into_response()
}

/// An identity as clients see it.
fn shown(snapshot: &Snapshot, node: &Node) -> Value {
    signed(unsigned(snapshot, node))
}

/// The same without its fingerprint, which takes longer than all the rest.
fn unsigned(snapshot: &Snapshot, node: &Node) -> Value {
    let mut document = sesame::unsigned(&node.entry, &snapshot.schema);
    if let Some(members) = document.as_object_mut() {
        members.insert("dn".to_owned(), Value::String(snapshot.dn_text(node)));
    }
    document
}

fn signed(mut document: Value) -> Value {
    let fingerprint = sesame::fingerprint(&document);
    if let Some(members) = document.as_object_mut() {
        members.insert("fingerprint".to_owned(), Value::String(fingerprint));
    }
    document
}

/// Looks through many identities beside the threads that other clients wait for.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| problem::internal(&error))?
}

/// An identity that is not deleted.
fn live(snapshot: &Snapshot, uuid: Uuid) -> Result<Arc<Node>, Problem> {
    let node = snapshot.by_uuid(uuid).filter(|node| node.entry.operational.axes.is_some());
    node.cloned().ok_or_else(Problem::not_found)
}

impl Options {
    fn update(&self, op: Op, terms: Terms) -> Update {
        Update { identity: self.actor.clone(), op, terms }
    }

    /// Works a request out again when somebody else was faster, a few times: a conflict with what came
    /// only after the look at the directory may be none at a second look.
    async fn settled<T, A: Future<Output = Result<T, Problem>>>(&self, attempt: impl Fn() -> A) -> Result<T, Problem> {
        for _ in 1..HTTP_ATTEMPTS {
            let head = self.directory.read().head;
            match attempt().await {
                Err(problem) if problem.status == StatusCode::CONFLICT && self.directory.read().head != head => {}
                done => return done,
            }
        }
        attempt().await
    }

    /// Applies all of the updates or none, and shows one identity as it stands then.
    async fn apply(&self, updates: Vec<Update>, uuid: Uuid) -> Result<Value, Problem> {
        self.directory.submit_all(updates).await?;
        let snapshot = self.directory.read();
        // It may have been deleted by someone else in between.
        let node = snapshot.by_uuid(uuid).or_else(|| snapshot.deleted_by_uuid(uuid)).ok_or_else(Problem::not_found)?;
        Ok(shown(&snapshot, node))
    }
}

/// A member that is an object.
fn object(body: &Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    body.get(name).and_then(Value::as_object).cloned()
}
