//! `vestibule target reconcile` and `reconciliations`: asks for one, follows it, shows what it found.

use super::{At, POLL, bar, path, shown};
use crate::cli::connect::{aligned, escaped, say, text};
use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {
    name: String,
    /// Write down what differs and change nothing, whatever else is said
    #[arg(long)]
    dry_run: bool,
    /// Only entries that match this LDAP filter
    #[arg(long, value_name = "FILTER")]
    scope: Option<String>,
    /// Repair what differs, in the direction that the mapping says
    #[arg(long)]
    repair: bool,
    /// Remove from the target what nobody here has any more, through the guard of removals
    #[arg(long)]
    repair_orphans: bool,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// List the objects without a change as well
    #[arg(long)]
    all: bool,
}

impl At<'_> {
    pub(super) async fn reconcile(&self, args: Args) -> anyhow::Result<()> {
        let body = json!({
            "dryRun": args.dry_run,
            "scope": args.scope,
            "repair": args.repair,
            "repairOrphans": args.repair_orphans,
        });
        let begun = self.ask(Method::POST, &format!("{}/reconcile", path(&args.name)), body).await?;
        let id = text(Some(&begun), "id");
        if args.no_wait {
            return match self.json {
                true => say(&serde_json::to_string_pretty(&begun)?),
                false => say(&format!("reconciliation {id} of {} has begun", args.name)),
            };
        }
        let status = self.until_over(&args.name, &id).await?;
        self.reconciliations(&args.name, Some(&id), args.all).await?;
        if status != "Completed" {
            bail!("reconciliation {id} of {}: {status}", args.name);
        }
        Ok(())
    }

    /// Follows one to its end, and says which.
    async fn until_over(&self, name: &str, id: &str) -> anyhow::Result<String> {
        let at = format!("{}/reconcile/{}?limit=0", path(name), escaped(id));
        let bar = bar(None);
        loop {
            let data = self.ask(Method::GET, &at, Value::Null).await?;
            let batch = data.get("batch").unwrap_or(&Value::Null);
            let cursor = batch.get("cursor");
            let rows = cursor.and_then(|cursor| cursor.get("rowNumber")).and_then(Value::as_u64).unwrap_or(0);
            if let Some(expected) = batch.get("expected").and_then(Value::as_u64) {
                bar.set_length(expected.max(rows));
            }
            bar.set_position(rows);
            bar.set_message(text(cursor, "step"));
            let status = text(Some(batch), "status");
            if status == "Completed" || status == "Failed" {
                bar.finish_and_clear();
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn reconciliations(&self, name: &str, batch: Option<&str>, all: bool) -> anyhow::Result<()> {
        let Some(batch) = batch else {
            let at = format!("{}/reconcile", path(name));
            return self.say(Method::GET, &at, Value::Null, headers).await;
        };
        let mut events: Vec<Value> = Vec::new();
        loop {
            let at = format!("{}/reconcile/{}?skip={}&limit={PAGE}", path(name), escaped(batch), events.len());
            let data = self.ask(Method::GET, &at, Value::Null).await?;
            let page = data.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
            let more = !page.is_empty();
            events.extend(page);
            if !more {
                let header = data.get("batch").cloned().unwrap_or_default();
                return match self.json {
                    true => say(&serde_json::to_string_pretty(&json!({ "batch": header, "events": events }))?),
                    false => say(&whole(&header, &events, all)),
                };
            }
        }
    }
}

/// The headers of all, one a line.
fn headers(batches: &Value) -> String {
    let rows = batches.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "no reconciliations".to_owned();
    }
    shown::table(batches, &["id", "status", "startDate", "endDate", "why"])
}

/// One with its counts and its events; a difference is shown by attribute, with both values.
fn whole(batch: &Value, events: &[Value], all: bool) -> String {
    let said = |name: &str| text(Some(batch), name);
    let mut lines = vec![format!("{}  {}  {}  {}", said("id"), said("status"), said("startDate"), said("why"))];
    let counts = batch.get("counts").and_then(Value::as_object).cloned().unwrap_or_default();
    lines.extend(counts.iter().map(|(status, count)| format!("  {count}  {status}")));
    for (count, what) in [("repairs", "asked to be repaired"), ("refused", "refused by the directory")] {
        if batch.get(count).and_then(Value::as_u64).unwrap_or(0) > 0 {
            lines.push(format!("  {}  {what}", said(count)));
        }
    }
    let is_news = |event: &&Value| all || !text(Some(event), "status").ends_with("_NO_CHANGE");
    let rows: Vec<Vec<String>> = events.iter().filter(is_news).map(event).collect();
    if !rows.is_empty() {
        lines.push(aligned(&rows));
    }
    lines.join("\n")
}

fn event(one: &Value) -> Vec<String> {
    let said = |name: &str| match text(Some(one), name) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let changed: Vec<&str> =
        one.get("changed").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut cells =
        ["rowNumber", "status", "resourceType", "resourceDisplayName", "object", "resourceId"].map(said).to_vec();
    cells.extend([changed.join(","), text(Some(one), "why")]);
    cells
}

/// Events in one answer.
const PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_counted_and_not_listed() {
        let batch = json!({"id": "b", "status": "Completed", "startDate": "t", "counts": {"ORPHAN": 1}});
        let same = json!({"rowNumber": 1, "status": "EXISTING_USER_ACCOUNT_RECONCILED_NO_CHANGE"});
        let orphan = json!({"rowNumber": 2, "status": "ORPHAN", "resourceDisplayName": "x", "changed": [], "why": "w"});
        let events = [same, orphan];
        assert_eq!(whole(&batch, &events, false), "b  Completed  t  \n  1  ORPHAN\n2  ORPHAN  -  x  -  -    w");
        assert_eq!(whole(&batch, &events, true).lines().count(), 4);
    }
}
