//! What is answered when something is refused: `{statusCode, message, validations?}`, and the one
//! place where an error of the directory becomes a status.

use crate::{
    directory::{Error, Refused},
    schema::{Language, Violation},
};
use axum::{
    Json,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// A refusal.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub message: String,
    /// By class, then by attribute.
    pub validations: Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Problem { status, message: message.into(), validations: Map::new() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "no such identity")
    }

    pub fn because(self, validations: Map<String, Value>) -> Self {
        Problem { validations, ..self }
    }
}

/// What must not happen; the cause goes to the log.
pub fn internal(cause: &dyn std::error::Error) -> Problem {
    tracing::error!(%cause, "an HTTP request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the server's log says why")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({"statusCode": self.status.as_u16(), "message": self.message});
        if let (Some(body), false) = (body.as_object_mut(), self.validations.is_empty()) {
            body.insert("validations".to_owned(), Value::Object(self.validations));
        }
        (self.status, Json(body)).into_response()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if let Error::Internal(cause) = &error {
            tracing::error!(%cause, "an HTTP request failed");
        }
        let validations = match &error {
            Error::Violations(violations) => by_class(&violations.0),
            _ => Map::new(),
        };
        let message = match &error {
            Error::Violations(violations) => match LANGUAGE.try_with(|language| violations.told(*language)) {
                Ok(told) => told.to_string(),
                Err(_) => error.to_string(),
            },
            _ => error.to_string(),
        };
        Problem::new(status(&error), message).because(validations)
    }
}

tokio::task_local! {
    /// What the client of this request likes to be told in.
    static LANGUAGE: Language;
}

/// Has what is wrong with values told in the client's language, where it asks for one there is
/// (RFC 9110 section 12.5.4).
pub async fn speak(request: Request, next: Next) -> Response {
    let header = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|h| h.to_str().ok());
    match header.and_then(Language::accepted) {
        Some(language) => LANGUAGE.scope(language, next.run(request)).await,
        None => next.run(request).await,
    }
}

fn told(violation: &Violation) -> String {
    LANGUAGE.try_with(|language| violation.text(*language)).unwrap_or_else(|_| violation.message.clone())
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        refused.error.into()
    }
}

/// The status of an error of the directory.
pub fn status(error: &Error) -> StatusCode {
    match error {
        Error::NoSuchObject { .. } | Error::OutsideSuffix { .. } => StatusCode::NOT_FOUND,
        Error::AlreadyExists | Error::NotLeaf | Error::NotUnique { .. } | Error::AssertionFailed | Error::Stale => {
            StatusCode::CONFLICT
        }
        Error::InvalidDn(_)
        | Error::NameSyntax { .. }
        | Error::Naming { .. }
        | Error::NotAllowedOnRdn { .. }
        | Error::StructuralClassChange { .. }
        | Error::Violations(_)
        | Error::Modification(_)
        | Error::NoReferent { .. }
        | Error::Axis { .. }
        | Error::Refused(_)
        | Error::NotPermitted(_)
        | Error::NotAnIdentity { .. }
        | Error::Password(_)
        | Error::Referral { .. }
        | Error::SeveralServers
        | Error::Alias { .. }
        | Error::Unwilling(_) => StatusCode::BAD_REQUEST,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Access { .. } => StatusCode::FORBIDDEN,
        Error::Unavailable | Error::NoSpace => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) | Error::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{class: {attribute: text}}`; what a superclass of inetOrgPerson asks for counts as its own, as
/// in Sesame.
pub fn by_class(violations: &[Violation]) -> Map<String, Value> {
    let mut classes: Map<String, Value> = Map::new();
    for violation in violations {
        let class = match violation.class.as_str() {
            "" | "top" | "person" | "organizationalPerson" => "inetOrgPerson",
            class => class,
        };
        let attributes = classes.entry(class.to_owned()).or_insert_with(|| json!({}));
        if let Some(attributes) = attributes.as_object_mut() {
            attributes.entry(violation.attr.to_string()).or_insert_with(|| json!(told(violation)));
        }
    }
    classes
}
