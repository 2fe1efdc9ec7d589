//! What clients send: JSON objects in bodies, identifiers in paths, parameters in queries.

use super::problem::Problem;
use crate::lifecycle::parse_axis;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, RawQuery, Request},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use url::form_urlencoded;
use uuid::Uuid;

/// A JSON object. Whatever type the body is said to be of: curl calls it a form.
pub struct Body(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        object(&bytes).map(Body)
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Problem::bad_request("the body must be a JSON object")),
        Err(error) => {
            Err(Problem::bad_request(format!("the body is not JSON: line {}, column {}", error.line(), error.column())))
        }
    }
}

/// A JSON object of which every member is known and of its type; an empty body has none.
pub struct Strict<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Strict<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        let members = match bytes.is_empty() {
            true => Map::new(),
            false => object(&bytes)?,
        };
        serde_path_to_error::deserialize(Value::Object(members)).map(Strict).map_err(|error| {
            Problem::bad_request(match error.path().iter().next() {
                Some(_) => format!("{}: {}", error.path(), error.inner()),
                None => format!("the body: {}", error.inner()),
            })
        })
    }
}

/// A body that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The reason of a move, for the history, as vestibuleReason takes it.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "Option<String>")]
pub struct Why(pub SmolStr);

impl TryFrom<Option<String>> for Why {
    type Error = crate::lifecycle::Fault;

    fn try_from(text: Option<String>) -> Result<Self, Self::Error> {
        parse_axis::reason(text.unwrap_or_default().as_bytes()).map(Why)
    }
}

/// The member `why`.
pub fn why(body: &Map<String, Value>) -> Result<SmolStr, Problem> {
    let text = match body.get("why") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(Problem::bad_request("why: expected a text")),
    };
    Why::try_from(text).map(|why| why.0).map_err(|fault| Problem::bad_request(format!("why: {fault}")))
}

/// The identity that the path names.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        text.parse().map(Id).map_err(|_| Problem::not_found())
    }
}

/// The parameters in their order.
pub struct Parameters(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(RawQuery(raw)) = RawQuery::from_request_parts(parts, state).await;
        Ok(Parameters(form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect()))
    }
}

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Sesame's booleans.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Ok(default),
            Some("true" | "on" | "yes" | "1") => Ok(true),
            Some("false" | "off" | "no" | "0") => Ok(false),
            Some(_) => Err(Problem::bad_request(format!("{name}: expected true or false"))),
        }
    }

    pub fn number(&self, name: &str, default: usize) -> Result<usize, Problem> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Problem::bad_request(format!("{name}: expected a whole number"))),
        }
    }
}

/// Identifiers in a list of the body.
pub fn uuids(body: &Map<String, Value>, name: &str) -> Result<Vec<Uuid>, Problem> {
    let wrong = || Problem::bad_request(format!("{name}: expected a list of identifiers"));
    let list = body.get(name).and_then(Value::as_array).ok_or_else(wrong)?;
    list.iter().map(|item| uuid(Some(item)).ok_or_else(wrong)).collect()
}

/// An identifier in the body.
pub fn uuid(value: Option<&Value>) -> Option<Uuid> {
    value?.as_str()?.parse().ok()
}
