//! Health and metrics.

use super::Options;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use std::sync::Arc;

pub(super) fn open_routes() -> Router<Arc<Options>> {
    Router::new().route("/health", get(health))
}

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new().route("/metrics", get(metrics))
}

async fn health(State(options): State<Arc<Options>>) -> Response {
    let snapshot = options.directory.read();
    let (status, word) = match options.directory.is_healthy() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "failing: writes are refused until a restart"),
    };
    (status, Json(json!({"status": word, "entries": snapshot.len(), "head": snapshot.head}))).into_response()
}

async fn metrics(State(options): State<Arc<Options>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (options.render_metrics)()).into_response()
}
