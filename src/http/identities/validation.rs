//! The dry run of validation, and the rules that it goes by.

use super::{
    super::{Options, problem::Problem, sent},
    answer,
    faults::Faults,
};
use crate::{
    schema::{ClassRule, Schema},
    sesame::{self, ADDITIONAL, CLASSES, PERSON},
};
use axum::{
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// `POST validation`: 201 or 400; nothing is written. The body is an identity or its
/// additionalFields alone.
pub async fn check(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let alone = sent.contains_key(CLASSES) && !sent.contains_key(ADDITIONAL);
    let is_person = sent.contains_key(PERSON);
    let document = if alone { json!({ADDITIONAL: sent}) } else { Value::Object(sent) };
    let mut body = sesame::read(&document, None, options.sesame.contract, &snapshot.schema);
    if !is_person {
        body.missing.clear();
    }
    let mut faults = Faults::of(&body, &snapshot.schema);
    if !is_person {
        let of_person = |class: &str| matches!(class, "" | "top" | "person" | "inetOrgPerson");
        faults.values.retain(|v| !of_person(&v.class));
    }
    match faults.refuse(false) {
        Ok(()) => Ok(answer(StatusCode::CREATED, "the additional fields are valid", Value::Null)),
        Err(problem) => Err(Problem { status: StatusCode::BAD_REQUEST, ..problem }),
    }
}

pub async fn classes(Shared(options): Shared<Arc<Options>>) -> Response {
    let snapshot = options.directory.read();
    let rules = snapshot.schema.rules();
    let mut names: Vec<&str> = rules.classes().map(|rule| snapshot.schema.class(rule.class).name.as_str()).collect();
    names.sort_unstable();
    answer(StatusCode::OK, "classes with rules", json!(names))
}

pub async fn class(Shared(options): Shared<Arc<Options>>, Path(name): Path<String>) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let rules = snapshot.schema.rules();
    let rule = snapshot.schema.class_id(&name).and_then(|id| rules.of(id));
    let rule = rule.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there are no rules for such a class"))?;
    Ok(answer(StatusCode::OK, "found", described(rule, &snapshot.schema)))
}

fn described(rule: &ClassRule, schema: &Schema) -> Value {
    let properties = rule
        .properties
        .iter()
        .map(|p| json!({"name": p.name, "type": p.kind, "items": p.items, "description": p.description}));
    json!({"class": schema.class(rule.class).name, "properties": properties.collect::<Vec<_>>()})
}
