//! Deleted identities: the list of them, and the way there and back.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{self, Id},
    },
    answer, live, shown,
};
use crate::{
    directory::{Error, Op, Terms},
    dn::Dn,
};
use axum::{
    Json,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

pub async fn list(Shared(options): Shared<Arc<Options>>) -> Response {
    let snapshot = options.directory.read();
    let documents: Vec<Value> = snapshot.deleted().map(|node| shown(&snapshot, node)).collect();
    Json(json!({"statusCode": StatusCode::OK.as_u16(), "total": documents.len(), "data": documents})).into_response()
}

pub async fn delete(Shared(options): Shared<Arc<Options>>, Id(id): Id) -> Result<Response, Problem> {
    let gone = options.delete(&[id]).await?;
    Ok(answer(StatusCode::OK, "the identity is deleted", gone.get(&id.to_string()).cloned().unwrap_or_default()))
}

pub async fn undelete(Shared(options): Shared<Arc<Options>>, Id(id): Id) -> Result<Response, Problem> {
    let back = options.undelete(&[id]).await?;
    Ok(answer(StatusCode::OK, "the identity is back", back.get(&id.to_string()).cloned().unwrap_or_default()))
}

/// `POST /core/backends/delete {payload: [ids]}`.
pub async fn delete_many(
    Shared(options): Shared<Arc<Options>>,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    Ok(accepted(options.delete(&sent::uuids(&sent, "payload")?).await?))
}

/// `POST /core/backends/undelete {payload: [ids]}`.
pub async fn undelete_many(
    Shared(options): Shared<Arc<Options>>,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    Ok(accepted(options.undelete(&sent::uuids(&sent, "payload")?).await?))
}

/// The answer of Sesame's routes to the backends; the targets follow on their own.
fn accepted(data: Map<String, Value>) -> Response {
    let status = StatusCode::ACCEPTED;
    (status, Json(json!({"statusCode": status.as_u16(), "async": true, "data": data}))).into_response()
}

impl Options {
    async fn delete(&self, ids: &[Uuid]) -> Result<Map<String, Value>, Problem> {
        let bury = async || {
            let snapshot = self.directory.read();
            let mut updates = Vec::with_capacity(ids.len());
            for id in ids {
                let node = live(&snapshot, *id)?;
                let dn = Dn::parse(&snapshot.dn_text(&node)).map_err(Error::from)?;
                // Another one may have come by this name meanwhile.
                let as_of = Some(node.entry.operational.changed);
                updates.push(self.update(Op::Delete { dn }, Terms { as_of, ..Terms::default() }));
            }
            self.submit_some(updates).await
        };
        self.settled(bury).await?;
        Ok(self.shown_by_id(ids))
    }

    async fn undelete(&self, ids: &[Uuid]) -> Result<Map<String, Value>, Problem> {
        let updates = ids.iter().map(|uuid| self.update(Op::Undelete { uuid: *uuid }, Terms::default())).collect();
        self.submit_some(updates).await?;
        Ok(self.shown_by_id(ids))
    }

    async fn submit_some(&self, updates: Vec<crate::directory::Update>) -> Result<(), Problem> {
        if !updates.is_empty() {
            self.directory.submit_all(updates).await?;
        }
        Ok(())
    }

    fn shown_by_id(&self, ids: &[Uuid]) -> Map<String, Value> {
        let snapshot = self.directory.read();
        let node = |id: &Uuid| snapshot.by_uuid(*id).or_else(|| snapshot.deleted_by_uuid(*id));
        ids.iter().filter_map(|id| Some((id.to_string(), shown(&snapshot, node(id)?)))).collect()
    }
}
