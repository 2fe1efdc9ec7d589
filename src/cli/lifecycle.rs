//! `vestibule lifecycle`: the careers of identities in a running server, over its HTTP administration.

use super::connect::{There, escaped, say, text};
use crate::config::Settings;
use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub enum Command {
    /// Axes, facts, history and possible moves of an identity
    Show {
        /// Its uid, uuid or DN
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The moves that an identity has made, oldest first
    History { id: String },
    /// Move an identity to a state, such as 2 (TO_SYNC)
    State {
        id: String,
        #[arg(allow_negative_numbers = true)]
        state: i32,
        /// Kept in the history
        #[arg(long)]
        why: Option<String>,
    },
    /// Move an identity to a letter, as transitions.yml allows it
    Set {
        id: String,
        letter: String,
        #[arg(long)]
        why: Option<String>,
    },
    /// Let identities in state 1 (TO_VALIDATE) go to the targets
    Release {
        /// Only these: an LDAP filter, or a filter document as JSON
        #[arg(long)]
        filter: Option<String>,
        #[arg(long)]
        why: Option<String>,
    },
    /// Open the account of an identity that was synchronised
    Activate { id: String },
    /// Close it
    Deactivate { id: String },
    /// Delete an identity; it can be brought back
    Delete { id: String },
    /// Bring a deleted identity back
    Undelete { id: String },
    /// Who would move until a day, when, and by which rule; moves nobody
    Preview {
        /// Such as 2027-09-01
        #[arg(long, value_name = "TIME")]
        at: String,
        #[arg(long)]
        json: bool,
    },
    /// Run the rules for tasks (trigger: -1)
    Execute {
        /// Those of one rule file, by its name without ending
        #[arg(long, value_name = "FILE")]
        source: Option<String>,
    },
    /// Run the timed rules that are due, without waiting for the timer
    Run,
    /// The letters, what each means, and how many identities have it
    States,
    /// How many identities there are by axis, and when a rule is due next
    Stats,
    /// Read the lifecycle files again; bad ones leave those in force
    Reload,
}

pub async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let there = There { settings };
    match command {
        Command::Show { id, json } => there.show(&id, json).await,
        Command::History { id } => {
            let shown = there.identity(&id).await?;
            lines(shown.get("history"), history_line)
        }
        Command::State { id, state, why } => {
            let uuid = there.uuid(&id).await?;
            let body = with(json!({"ids": [uuid], "state": state}), "why", why);
            there.told(Method::PATCH, "/management/identities/state", body).await
        }
        Command::Set { id, letter, why } => {
            let body = with(json!({"lifecycle": letter}), "why", why);
            there.of(Method::PATCH, &id, "/lifecycle", body).await
        }
        Command::Release { filter, why } => there.release(filter, why).await,
        Command::Activate { id } => there.of(Method::PATCH, &id, "/activation", json!({"status": true})).await,
        Command::Deactivate { id } => there.of(Method::PATCH, &id, "/activation", json!({"status": false})).await,
        Command::Delete { id } => there.of(Method::DELETE, &id, "", Value::Null).await,
        Command::Undelete { id } => there.of(Method::POST, &id, "/undelete", Value::Null).await,
        Command::Preview { at, json } => {
            there.moves(Method::GET, &format!("/lifecycle/preview?at={}", escaped(&at)), Value::Null, json).await
        }
        Command::Execute { source } => {
            there.moves(Method::POST, "/lifecycle/execute", with(json!({}), "source", source), false).await
        }
        Command::Run => there.moves(Method::POST, "/lifecycle/run", json!({}), false).await,
        Command::States => {
            let answer = there.ask(Method::GET, "/lifecycle/states", Value::Null).await?;
            lines(answer.get("data"), state_line)
        }
        Command::Stats => {
            let answer = there.ask(Method::GET, "/lifecycle/stats", Value::Null).await?;
            say(&serde_json::to_string_pretty(answer.get("data").unwrap_or(&answer))?)
        }
        Command::Reload => {
            let answer = there.ask(Method::POST, "/lifecycle/reload", json!({})).await?;
            say(&format!("read again: {}", text(answer.get("data"), "reloaded")))
        }
    }
}

impl There<'_> {
    /// One of Sesame's routes for an identity.
    async fn of(&self, method: Method, id: &str, what: &str, body: Value) -> anyhow::Result<()> {
        let uuid = self.uuid(id).await?;
        self.told(method, &format!("/management/identities/{uuid}{what}"), body).await
    }

    async fn told(&self, method: Method, path: &str, body: Value) -> anyhow::Result<()> {
        let answer = self.ask(method, path, body).await?;
        say(answer.get("message").and_then(Value::as_str).unwrap_or("done"))
    }

    async fn release(&self, filter: Option<String>, why: Option<String>) -> anyhow::Result<()> {
        let body = match filter {
            None => json!({"all": true}),
            Some(text) if text.starts_with('(') => json!({"ldap": text}),
            Some(text) => {
                let filter: Value = serde_json::from_str(&text).context("--filter: expected an LDAP filter or JSON")?;
                json!({"filter": filter})
            }
        };
        let answer = self.ask(Method::POST, "/lifecycle/release", with(body, "why", why)).await?;
        let data = answer.get("data");
        say(&format!("{} released", text(data, "released")))?;
        lines(data.and_then(|data| data.get("refused")), |one| {
            format!("refused: {}: {}", text(Some(one), "dn"), text(Some(one), "reason"))
        })
    }

    async fn moves(&self, method: Method, path: &str, body: Value, json: bool) -> anyhow::Result<()> {
        let answer = self.ask(method, path, body).await?;
        if json {
            return say(&serde_json::to_string_pretty(answer.get("data").unwrap_or(&answer))?);
        }
        lines(answer.get("data"), |one| {
            let with = if one.get("mutation") == Some(&Value::Bool(true)) { ", with its mutation" } else { "" };
            let [at, dn, from, to, rule] = ["at", "dn", "from", "to", "rule"].map(|name| text(Some(one), name));
            format!("{at}  {from} -> {to}  {dn}  (rule {rule}{with})")
        })?;
        say(&format!("{} moves", text(Some(&answer), "total")))
    }

    async fn show(&self, id: &str, json: bool) -> anyhow::Result<()> {
        let shown = self.identity(id).await?;
        if json {
            return say(&serde_json::to_string_pretty(&shown)?);
        }
        say(&format!("{} ({})", text(Some(&shown), "dn"), text(Some(&shown), "_id")))?;
        for name in [
            "state",
            "stateName",
            "lifecycle",
            "dataStatus",
            "initState",
            "resourceState",
            "lastSync",
            "lastBackendSync",
            "lastLifecycleUpdate",
            "ignoreLifecycle",
            "deletedFlag",
            "account",
            "missing",
            "allowedStates",
            "allowedLifecycles",
            "waitsFor",
        ] {
            if shown.get(name).is_some_and(|value| !value.is_null()) {
                say(&format!("  {name}: {}", text(Some(&shown), name)))?;
            }
        }
        say("  history:")?;
        lines(shown.get("history"), |one| format!("    {}", history_line(one)))
    }
}

fn with(mut body: Value, name: &str, value: Option<String>) -> Value {
    if let (Some(members), Some(value)) = (body.as_object_mut(), value) {
        members.insert(name.to_owned(), Value::String(value));
    }
    body
}

fn lines(list: Option<&Value>, line: impl Fn(&Value) -> String) -> anyhow::Result<()> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().try_for_each(|item| say(&line(item)))
}

fn history_line(one: &Value) -> String {
    let [time, axis, from, to, actor, why] =
        ["time", "axis", "from", "to", "actor", "why"].map(|name| text(Some(one), name));
    let by = if actor.is_empty() { "the server".to_owned() } else { actor };
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{time}  {axis} {from} -> {to}  by {by}{why}")
}

fn state_line(one: &Value) -> String {
    let [key, label, state, export, count] =
        ["key", "label", "state", "export", "identities"].map(|name| text(Some(one), name));
    let login = if one.get("login") == Some(&Value::Bool(true)) { "may log in" } else { "may not log in" };
    format!("{key}  {label}  {state}  {login}, exported: {export}  {count} identities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_people() {
        let one = json!({"time": "t", "axis": "state", "from": null, "to": "2", "actor": "", "why": "rule a #1"});
        assert_eq!(history_line(&one), "t  state  -> 2  by the server: rule a #1");
        assert_eq!(with(json!({}), "why", Some("x".to_owned())), json!({"why": "x"}));
        assert_eq!(with(json!({}), "why", None), json!({}));
    }
}
