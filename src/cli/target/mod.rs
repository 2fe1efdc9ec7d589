//! `vestibule target`: the systems that changes are exported to, as the running server sees them, over
//! its HTTP administration.

mod reconcile;
mod shown;

use super::connect::{There, escaped, say, show, text};
use crate::config::Settings;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::HashSet, io::IsTerminal, time::Duration};

#[derive(Args)]
pub struct Target {
    #[command(subcommand)]
    command: Command,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The targets, and whether they run
    List,
    /// Cursor, lag, pending, failed and last error of each target, or of one
    Status { name: Option<String> },
    /// What a target holds of an entry: link, last error, next attempt, what was sent
    Show { name: String, object: String },
    /// Send one entry now
    Push {
        name: String,
        /// Its uid, uuid or DN
        object: String,
        /// Say what would be sent (scope, match, difference, requests), and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Try failed objects now
    Retry {
        name: String,
        /// Only this one, by uid, uuid or DN
        #[arg(required_unless_present = "all")]
        object: Option<String>,
        /// All that have failed
        #[arg(long, conflicts_with = "object")]
        all: bool,
    },
    /// Send nothing; what changes is gathered
    Pause(Because),
    /// Go on, at once
    Resume(Because),
    /// Follow changes again, from a full pass
    Enable(Because),
    /// Send nothing, and do not wait for the target's word on identities
    Disable(Because),
    /// Send nothing any more and forget all links; the target keeps what it has
    Retire(Because),
    /// Let the removals go that the guard has staged
    Approve { name: String },
    /// Keep what the staged removals would have taken away
    Reject { name: String },
    /// Look again at what has changed, or at everything
    Replay {
        name: String,
        /// A change sequence number, a time such as 2027-01-31T08:00:00Z, or a journal number
        #[arg(long)]
        since: Option<String>,
        /// Until nothing is pending
        #[arg(long)]
        wait: bool,
    },
    /// The newest requests to a target
    Log {
        name: String,
        /// Only those for this entry, by uid, uuid or DN
        #[arg(long)]
        object: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Go on with what comes
        #[arg(long, short)]
        follow: bool,
    },
    /// Hold everything that a target has against the directory
    Reconcile(reconcile::Args),
    /// The reconciliations of a target, or the events of one
    Reconciliations {
        name: String,
        batch: Option<String>,
        /// Those without a change as well
        #[arg(long)]
        all: bool,
    },
    /// Which accounts an entry has at the targets, since when, and why they are as they are
    Accounts {
        /// Its uid, uuid or DN
        object: String,
    },
}

#[derive(Args)]
struct Because {
    name: String,
    /// Shown in the status
    #[arg(long)]
    why: Option<String>,
}

pub async fn run(settings: &Settings, target: Target) -> anyhow::Result<()> {
    let at = At { there: There { settings }, json: target.json };
    match target.command {
        Command::List => at.list().await,
        Command::Status { name } => at.status(name).await,
        Command::Show { name, object } => {
            let path = format!("{}/objects/{}", path(&name), escaped(&object));
            at.say(Method::GET, &path, Value::Null, shown::object).await
        }
        Command::Push { name, object, dry_run } => at.push(&name, &object, dry_run).await,
        Command::Retry { name, object, .. } => {
            let body = object.map_or_else(|| json!({}), |object| json!({ "object": object }));
            let line = |data: &Value| format!("{} to be tried again", text(Some(data), "retried"));
            at.say(Method::POST, &format!("{}/retry", path(&name)), body, line).await
        }
        Command::Pause(because) => at.wish("pause", because).await,
        Command::Resume(because) => at.wish("resume", because).await,
        Command::Enable(because) => at.wish("enable", because).await,
        Command::Disable(because) => at.wish("disable", because).await,
        Command::Retire(because) => at.wish("retire", because).await,
        Command::Approve { name } => at.decide(&name, "approve", "approved").await,
        Command::Reject { name } => at.decide(&name, "reject", "rejected").await,
        Command::Replay { name, since, wait } => at.replay(&name, since, wait).await,
        Command::Log { name, object, limit, follow } => at.log(&name, object.as_deref(), limit, follow).await,
        Command::Reconcile(args) => at.reconcile(args).await,
        Command::Reconciliations { name, batch, all } => at.reconciliations(&name, batch.as_deref(), all).await,
        Command::Accounts { object } => {
            at.say(Method::GET, &format!("/accounts/{}", escaped(&object)), Value::Null, shown::accounts).await
        }
    }
}

fn path(name: &str) -> String {
    format!("/targets/{}", escaped(name))
}

/// The targets of the running server, and how answers are printed.
struct At<'a> {
    there: There<'a>,
    json: bool,
}

impl At<'_> {
    async fn ask(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.there.ask(method, path, body).await?;
        answer.get("data").cloned().context("the answer has no data")
    }

    async fn say(
        &self,
        method: Method,
        path: &str,
        body: Value,
        line: impl Fn(&Value) -> String,
    ) -> anyhow::Result<()> {
        show(&self.ask(method, path, body).await?, self.json, line)
    }

    async fn all(&self) -> anyhow::Result<Value> {
        self.there.ask(Method::GET, "/targets", Value::Null).await
    }

    async fn list(&self) -> anyhow::Result<()> {
        show(&self.all().await?, self.json, |all| shown::table(all, &["name", "kind", "state"]))
    }

    async fn status(&self, name: Option<String>) -> anyhow::Result<()> {
        match name {
            None => show(&self.all().await?, self.json, |all| shown::table(all, &shown::STATUS)),
            Some(name) => self.say(Method::GET, &path(&name), Value::Null, shown::status).await,
        }
    }

    async fn push(&self, name: &str, object: &str, dry_run: bool) -> anyhow::Result<()> {
        let path = format!("{}/objects/{}/push", path(name), escaped(object));
        let data = self.ask(Method::POST, &path, json!({ "dryRun": dry_run })).await?;
        show(&data, self.json, if dry_run { shown::rehearsal } else { shown::pushed })?;
        let outcome = text(Some(&data), "outcome");
        // What needed no request has arrived as well.
        if !dry_run && data.get("action") != Some(&json!("none")) && outcome != "ok" {
            bail!("{name} has not taken it: {outcome}");
        }
        Ok(())
    }

    async fn wish(&self, word: &str, because: Because) -> anyhow::Result<()> {
        let body = because.why.map_or_else(|| json!({}), |why| json!({ "why": why }));
        let name = because.name;
        let line = |data: &Value| {
            let warning = text(Some(data), "warning");
            match warning.is_empty() {
                true => format!("{name}: {word}: done"),
                false => format!("{name}: {word}: done, but {warning}"),
            }
        };
        self.say(Method::POST, &format!("{}/{word}", path(&name)), body, line).await
    }

    async fn decide(&self, name: &str, word: &str, done: &str) -> anyhow::Result<()> {
        let line = |data: &Value| format!("{} removals {done}", text(Some(data), done));
        self.say(Method::POST, &format!("{}/{word}", path(name)), json!({}), line).await
    }

    async fn replay(&self, name: &str, since: Option<String>, wait: bool) -> anyhow::Result<()> {
        let body = since.map_or_else(|| json!({}), |since| json!({ "since": since }));
        let data = self.ask(Method::POST, &format!("{}/replay", path(name)), body).await?;
        let total = data.get("pending").and_then(Value::as_u64).unwrap_or(0);
        if wait || (std::io::stderr().is_terminal() && !self.json) {
            self.drain(name, total).await?;
        }
        show(&data, self.json, |data| format!("{} objects looked at again", text(Some(data), "pending")))
    }

    /// Until nothing is pending, or the target stands still.
    async fn drain(&self, name: &str, total: u64) -> anyhow::Result<()> {
        let bar = bar(Some(total));
        loop {
            let status = self.ask(Method::GET, &path(name), Value::Null).await?;
            let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or(0);
            let pending = number("pending");
            bar.set_position(total.saturating_sub(pending));
            // What waits after a failure stays pending until it is tried again.
            if pending <= number("failed") {
                bar.finish_and_clear();
                return Ok(());
            }
            if let Some(why) = status.get("state").and_then(|state| state.get("stopped")) {
                bar.finish_and_clear();
                bail!("{name} stands still with {pending} pending: {}", why.as_str().unwrap_or_default());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn log(&self, name: &str, object: Option<&str>, limit: usize, follow: bool) -> anyhow::Result<()> {
        let of = object.map(|object| format!("&object={}", escaped(object))).unwrap_or_default();
        let path = format!("{}/log?limit={limit}{of}", path(name));
        let mut known: HashSet<String> = HashSet::new();
        if !follow {
            return self.say(Method::GET, &path, Value::Null, shown::log).await;
        }
        loop {
            let data = self.ask(Method::GET, &path, Value::Null).await?;
            let lines = data.as_array().map(Vec::as_slice).unwrap_or_default();
            let now: HashSet<String> = lines.iter().map(|line| text(Some(line), "request")).collect();
            for line in lines.iter().filter(|line| !known.contains(&text(Some(line), "request"))) {
                say(&if self.json { line.to_string() } else { shown::log_line(line).join("  ") })?;
            }
            known = now;
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
fn bar(total: Option<u64>) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} {per_sec} {msg}";
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

const POLL: Duration = Duration::from_millis(200);
