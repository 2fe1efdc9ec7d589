//! Answers about targets as people read them.

use crate::cli::connect::{aligned, text};
use serde_json::Value;

pub const STATUS: [&str; 12] = [
    "name",
    "kind",
    "state",
    "cursor",
    "lag",
    "pending",
    "failed",
    "quarantined",
    "staged",
    "linked",
    "last_success",
    "last_error",
];

/// One row a target.
pub fn table(targets: &Value, columns: &[&str]) -> String {
    let rows = list(Some(targets));
    if rows.is_empty() {
        return "no targets; put one as NAME.yml into the targets folder".to_owned();
    }
    let mut table: Vec<Vec<String>> = vec![columns.iter().map(ToString::to_string).collect()];
    table.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    aligned(&table)
}

fn cell(row: &Value, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        // {"stopped": why}: the reason has a line of its own in the status of one target.
        Some(Value::Object(named)) => named.keys().cloned().collect(),
        Some(_) => text(Some(row), key),
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// All that is said of one target.
pub fn status(one: &Value) -> String {
    let mut rows: Vec<Vec<String>> = STATUS.iter().map(|key| vec![(*key).to_owned(), cell(one, key)]).collect();
    if let Some(why) = one.get("state").and_then(|state| state.get("stopped")) {
        rows.push(vec!["why".to_owned(), why.as_str().unwrap_or_default().to_owned()]);
    }
    aligned(&rows)
}

/// The link of one object.
pub fn object(one: &Value) -> String {
    let link = one.get("link").filter(|link| !link.is_null());
    let waits = if one.get("pending") == Some(&Value::Bool(true)) { ", waits to be sent" } else { "" };
    let mut lines = vec![format!("{}{waits}", text(Some(one), "object"))];
    match link.and_then(Value::as_object) {
        None => lines.push("  not linked".to_owned()),
        Some(link) => lines.extend(
            link.iter()
                .filter(|(_, v)| is_said(v))
                .map(|(name, _)| format!("  {name}: {}", text(one.get("link"), name))),
        ),
    }
    lines.join("\n")
}

fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Number(number) => number.as_u64() != Some(0),
        _ => true,
    }
}

/// What a push has come to.
pub fn pushed(one: &Value) -> String {
    format!("{}: {}", text(Some(one), "action"), text(Some(one), "outcome"))
}

/// What a push would do: scope, match, difference, requests.
pub fn rehearsal(one: &Value) -> String {
    let said = |name: &str| text(Some(one), name);
    let scope = if said("scope").is_empty() { "out of scope".to_owned() } else { said("scope") };
    let mut lines = vec![
        format!("scope: {scope}"),
        format!("plan: {}", said("plan")),
        format!("match: {}", if said("remoteId").is_empty() { "none".to_owned() } else { said("remoteId") }),
        format!("action: {}", said("action")),
    ];
    lines.extend(difference(one.get("before"), one.get("after")));
    for request in list(one.get("requests")) {
        let [method, path] = ["method", "path"].map(|name| text(Some(request), name));
        lines.push(format!("{method} {path}"));
        if let Some(body) = request.get("body").filter(|body| !body.is_null()) {
            lines.push(serde_json::to_string_pretty(body).unwrap_or_default());
        }
    }
    lines.join("\n")
}

/// One line a value that goes, one a value that comes.
pub fn difference(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (members(before), members(after));
    let mut lines = Vec::new();
    for (name, old) in &before {
        if after.get(name) != Some(old) {
            lines.push(format!("- {name}: {old}"));
        }
    }
    for (name, new) in &after {
        if before.get(name) != Some(new) {
            lines.push(format!("+ {name}: {new}"));
        }
    }
    lines
}

pub fn log(lines: &Value) -> String {
    let rows: Vec<Vec<String>> = list(Some(lines)).iter().map(log_line).collect();
    aligned(&rows)
}

pub fn log_line(line: &Value) -> Vec<String> {
    let said = |name: &str| match text(Some(line), name) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let names: Vec<&str> = list(line.get("attributes")).iter().filter_map(Value::as_str).collect();
    let elapsed = line.get("elapsedUs").and_then(Value::as_u64).unwrap_or(0) / 1000;
    let mut cells: Vec<String> = ["time", "action", "path", "status"].map(said).to_vec();
    cells.extend([format!("{elapsed} ms"), said("object"), said("remoteId"), names.join(",")]);
    let error = text(Some(line), "error");
    if !error.is_empty() {
        cells.push(error);
    }
    cells
}

/// The accounts of one entry.
pub fn accounts(one: &Value) -> String {
    let title = match text(Some(one), "dn") {
        dn if dn.is_empty() => text(Some(one), "object"),
        dn => format!("{dn} ({})", text(Some(one), "object")),
    };
    let accounts = list(one.get("accounts"));
    if accounts.is_empty() {
        return format!("{title}\nno accounts");
    }
    let columns = ["target", "resource", "status", "mechanism", "since", "updated", "remote_id", "next_attempt", "why"];
    format!("{title}\n{}", table(&Value::Array(accounts.to_vec()), &columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stopped_target_says_why_in_its_own_status_only() {
        let one = json!({"name": "hr", "kind": "scim", "state": {"stopped": "paused: tests"}, "lag": 3});
        assert_eq!(table(&json!([one]), &["name", "state", "lag"]), "name  state    lag\nhr    stopped  3");
        assert!(status(&one).ends_with("why           paused: tests"), "{}", status(&one));
        assert!(table(&json!([]), &STATUS).starts_with("no targets"));
    }

    #[test]
    fn a_rehearsal_shows_scope_match_difference_and_requests() {
        let one = json!({
            "scope": "User", "plan": "update", "action": "update", "remoteId": "7",
            "before": {"title": "a", "userName": "u"}, "after": {"title": "b", "userName": "u"},
            "requests": [{"method": "PATCH", "path": "Users/7", "body": {"x": 1}}],
        });
        let expected = "scope: User\nplan: update\nmatch: 7\naction: update\n- title: \"a\"\n+ title: \"b\"\nPATCH Users/7\n{\n  \"x\": 1\n}";
        assert_eq!(rehearsal(&one), expected);
        assert!(
            rehearsal(&json!({"plan": "skip", "action": "none"}))
                .starts_with("scope: out of scope\nplan: skip\nmatch: none")
        );
    }

    #[test]
    fn an_entry_without_accounts_says_so() {
        assert_eq!(accounts(&json!({"object": "u", "dn": "uid=a", "accounts": []})), "uid=a (u)\nno accounts");
    }
}
