//! HTTP administration: health, metrics, targets. Everything but health needs the bearer token.

use crate::{auth, directory::Directory};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the routes need to know. Functions stand for modules of the same floor.
pub struct Options {
    pub directory: Arc<Directory>,
    pub token: SecretString,
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub target_status: Arc<dyn Fn() -> Value + Send + Sync>,
}

/// Serves until `stop`.
pub async fn run(listener: TcpListener, options: Options, stop: CancellationToken) {
    let options = Arc::new(options);
    let closed = Router::new()
        .route("/metrics", get(metrics))
        .route("/targets", get(targets))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&options), require_token));
    let app = Router::new().route("/health", get(health)).merge(closed).fallback(unknown).with_state(options);
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP listener ended");
    }
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

async fn targets(State(options): State<Arc<Options>>) -> Json<Value> {
    Json((options.target_status)())
}

async fn unknown() -> Response {
    problem(StatusCode::NOT_FOUND, "no such resource")
}

async fn require_token(State(options): State<Arc<Options>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(token) if auth::same_secret(token.as_bytes(), &options.token) => next.run(request).await,
        Some(_) => problem(StatusCode::UNAUTHORIZED, "the bearer token is not right"),
        None => problem(StatusCode::UNAUTHORIZED, "a bearer token is required"),
    }
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"statusCode": status.as_u16(), "message": message}))).into_response()
}
