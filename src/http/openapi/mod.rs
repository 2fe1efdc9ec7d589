//! The description of the HTTP interface (OpenAPI 3.1): written by hand beside the routes, one file
//! a part, compiled in and put together here. The tests hold the running server to it.

use super::Options;
use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};

/// `base` first: the other parts add their paths and components to it.
const PARTS: [&str; 6] = [
    include_str!("base.yml"),
    include_str!("identities.yml"),
    include_str!("departments.yml"),
    include_str!("lifecycle.yml"),
    include_str!("schema.yml"),
    include_str!("targets.yml"),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut whole = Value::Object(Map::new());
    for part in PARTS {
        merge(&mut whole, serde_yaml::from_str(part).unwrap_or_default());
    }
    whole
});

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new().route("/openapi.json", get(document))
}

async fn document(State(_): State<Arc<Options>>) -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn merge(into: &mut Value, part: Value) {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (name, value) in part {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(part)) => into.extend(part),
        (into, part) => *into = part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_every_reference_leads_somewhere() {
        for part in PARTS {
            serde_yaml::from_str::<Value>(part).unwrap();
        }
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|v| references(v, found));
                }
                Value::Array(items) => items.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&DOCUMENT, &mut found);
        for reference in found {
            assert!(DOCUMENT.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
