//! `vestibule target status`: what the running server says of its targets.

use super::connect::{admin_get, aligned, say};
use crate::config::Settings;
use serde_json::Value;

pub async fn status(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let targets = admin_get(settings, "/targets").await?;
    if json {
        return say(&serde_json::to_string_pretty(&targets)?);
    }
    let rows = targets.as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        return say("no targets; put one as NAME.yml into the targets folder");
    }
    let columns =
        ["name", "kind", "state", "cursor", "lag", "pending", "failed", "linked", "last_success", "last_error"];
    let cell = |row: &Value, key: &str| match row.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        // {"stopped": why}: the reason is the last error, which has a column of its own.
        Some(Value::Object(named)) => named.keys().cloned().collect(),
        Some(other) => other.to_string(),
    };
    let mut table: Vec<Vec<String>> = vec![columns.iter().map(ToString::to_string).collect()];
    table.extend(rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()));
    say(&aligned(&table))
}
