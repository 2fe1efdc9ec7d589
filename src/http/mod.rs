//! HTTP: administration and Sesame's contract. Everything but health and the description of the
//! interface needs the bearer token.

mod departments;
mod identities;
mod lifecycle;
mod named;
mod openapi;
mod ops;
mod problem;
mod release;
mod schema;
mod sent;
mod targets;

pub use identities::Duplicates;

use crate::{
    access::Identity,
    auth,
    clock::Clock,
    directory::Directory,
    lifecycle::Release,
    provisioning::Provisioning,
    schema::{LoadError, Sources},
    sesame::Contract,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use problem::Problem;
use secrecy::SecretString;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;

/// What the routes need to know. Functions stand for modules of the same floor.
pub struct Options {
    pub directory: Arc<Directory>,
    /// Says that the server stops, also to those who compute.
    pub stop: CancellationToken,
    pub clock: Clock,
    pub token: SecretString,
    /// In whose name the holder of the token acts.
    pub actor: Identity,
    pub sesame: Sesame,
    /// The texts of the schema and of the class rules, as they stand now.
    pub sources: Arc<dyn Fn() -> Result<Sources, LoadError> + Send + Sync>,
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub reload_lifecycle: Reload,
    /// Held by who gives a number that the next one must not get, too.
    pub numbering: Mutex<()>,
    pub provisioning: Arc<dyn Provisioning>,
}

/// Reads files again and says what it found; or why the ones in force stay.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// How Sesame's contract is kept.
#[derive(Clone, Debug)]
pub struct Sesame {
    pub contract: Contract,
    /// Where a valid write leaves an identity.
    pub release: Release,
    /// The name of a new identity; `{uid}` stands for its uid.
    pub dn: String,
    pub duplicates: Duplicates,
}

/// Serves until the stop.
pub async fn run(listener: TcpListener, options: Options) {
    let stop = options.stop.clone();
    let options = Arc::new(options);
    let closed = Router::new()
        .merge(ops::routes())
        .merge(identities::routes())
        .merge(departments::routes())
        .merge(lifecycle::routes())
        .merge(release::routes())
        .merge(schema::routes())
        .merge(targets::routes())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&options), require_token));
    let app = Router::new()
        .merge(ops::open_routes())
        .merge(openapi::routes())
        .merge(closed)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(problem::speak))
        .layer(DefaultBodyLimit::max(options.directory.limits.http_body_bytes))
        .with_state(options);
    let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP listener ended");
    }
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such resource")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this resource does not take this method")
}

async fn require_token(State(options): State<Arc<Options>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    let message = match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(token) if auth::same_secret(token.as_bytes(), &options.token) => return next.run(request).await,
        Some(_) => "the bearer token is not right",
        None => "a bearer token is required",
    };
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (challenge, Problem::new(StatusCode::UNAUTHORIZED, message)).into_response()
}
