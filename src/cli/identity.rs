//! `vestibule identity`: the identities of a running server, and which of them are one person, over
//! its HTTP administration.

use super::connect::{There, aligned, escaped, say, show, text};
use crate::{config::Settings, lifecycle::State, limits::HTTP_PAGE};
use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Groups of identities that may be one person
    Duplicates {
        /// Also those that are marked as not the same person
        #[arg(long)]
        ignored: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make one of two: the first absorbs the second, which goes to the targets no more
    Fuse(Pair),
    /// Take a fusion back: the first gives up what it took from the second
    Unfuse(Pair),
    /// Mark two identities as not the same person
    Ignore(Pair),
    /// Take that mark away
    Unignore(Pair),
    /// Identities that all filters find; frozen ones are hidden unless a filter names the state
    List {
        /// PATH=VALUE, such as inetOrgPerson.sn=Noir, '#state=1' or '^inetOrgPerson.uid=/^x/i'; an operator
        /// may stand in front: : # !: !# > >| < <| ^ @
        #[arg(value_name = "FILTER")]
        filters: Vec<String>,
        /// Not more than this many
        #[arg(long, value_name = "NUMBER", default_value_t = HTTP_PAGE)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All of an identity, by the paths that filters take
    Show {
        /// Its uid, uuid or DN
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Deleted identities that can be brought back
    Deleted {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Each a uid, a uuid or a DN.
#[derive(clap::Args)]
pub struct Pair {
    /// Its uid, uuid or DN
    id1: String,
    /// That of another one
    id2: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

const ROUTES: &str = "/management/identities";

pub async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let there = There { settings };
    match command {
        Command::Duplicates { ignored, json } => {
            let path = format!("{ROUTES}/duplicates?includeIgnored={ignored}");
            show(&there.ask(Method::GET, &path, Value::Null).await?, json, groups)
        }
        Command::Fuse(pair) => there.of_two(&pair, "fusion", |[id1, id2]| json!({"id1": id1, "id2": id2})).await,
        Command::Unfuse(pair) => there.of_two(&pair, "unfusion", |[id1, id2]| json!({"id1": id1, "id2": id2})).await,
        Command::Ignore(pair) => there.of_two(&pair, "ignore-fusion", |ids| json!({"ids": ids})).await,
        Command::Unignore(pair) => there.of_two(&pair, "unignore-fusion", |ids| json!({"ids": ids})).await,
        Command::List { filters, limit, json } => show(&there.found(&filters, limit).await?, json, table),
        Command::Show { id, json } => {
            let path = format!("{ROUTES}/{}", there.uuid(&id).await?);
            let answer = there.ask(Method::GET, &path, Value::Null).await?;
            let document = answer.get("data").context("the answer has no data")?;
            show(document, json, |document| {
                let mut lines = Vec::new();
                members("", document, &mut lines);
                lines.join("\n")
            })
        }
        Command::Deleted { json } => {
            show(&there.ask(Method::GET, &format!("{ROUTES}/getdeleted"), Value::Null).await?, json, table)
        }
    }
}

impl There<'_> {
    async fn of_two(&self, pair: &Pair, route: &str, body: impl Fn([String; 2]) -> Value) -> anyhow::Result<()> {
        let ids = [self.uuid(&pair.id1).await?, self.uuid(&pair.id2).await?];
        let answer = self.ask(Method::POST, &format!("{ROUTES}/{route}"), body(ids)).await?;
        if !pair.json {
            say(&text(Some(&answer), "message"))?;
        }
        show(answer.get("data").unwrap_or(&answer), pair.json, |both| {
            aligned(&both.as_array().into_iter().flatten().map(row).collect::<Vec<_>>())
        })
    }

    /// Page by page: the server bounds how long one may be.
    async fn found(&self, filters: &[String], limit: usize) -> anyhow::Result<Value> {
        let filters = query(filters)?;
        let mut found: Vec<Value> = Vec::new();
        loop {
            let (skip, left) = (found.len(), limit.saturating_sub(found.len()));
            let path = format!("{ROUTES}?sort[inetOrgPerson.uid]=asc&skip={skip}&limit={left}{filters}");
            let mut answer = self.ask(Method::GET, &path, Value::Null).await?;
            let page = answer.get_mut("data").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
            let was_last = page.is_empty();
            found.extend(page);
            if was_last || found.len() >= limit {
                return Ok(json!({"total": answer.get("total"), "data": found}));
            }
        }
    }
}

/// `PATH=VALUE` as the parameters of a list.
fn query(filters: &[String]) -> anyhow::Result<String> {
    let parameter = |filter: &String| {
        let (path, value) = filter.split_once('=').with_context(|| format!("{filter}: expected PATH=VALUE"))?;
        Ok(format!("&{}={}", escaped(&format!("filters[{path}]")), escaped(value)))
    };
    filters.iter().map(parameter).collect()
}

const COLUMNS: [&str; 6] = ["uid", "cn", "state", "lifecycle", "dn", "_id"];

fn row(document: &Value) -> Vec<String> {
    let person = document.get("inetOrgPerson");
    let number = document.get("state").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
    let state = match number.and_then(State::from_number) {
        Some(state) => format!("{} {}", state.number(), state.name()),
        None => text(Some(document), "state"),
    };
    let cells = COLUMNS.map(|column| match column {
        "uid" | "cn" => text(person, column),
        "state" => state.clone(),
        _ => text(Some(document), column),
    });
    cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect()
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn table(answer: &Value) -> String {
    let head = COLUMNS.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(list(answer, "data").map(row)).collect();
    format!("{}\n{} of {}", aligned(&rows), rows.len().saturating_sub(1), text(Some(answer), "total"))
}

fn groups(answer: &Value) -> String {
    let mut out = String::new();
    for group in list(answer, "data") {
        let key: Vec<&str> = list(group, "key").filter_map(Value::as_str).collect();
        let mark = if group.get("ignored") == Some(&Value::Bool(true)) { "  [not the same person]" } else { "" };
        out.push_str(&format!("the same {}{mark}\n", key.join(", ")));
        let rows: Vec<Vec<String>> = list(group, "identities").map(row).collect();
        aligned(&rows).lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    }
    format!("{out}{} groups", text(Some(answer), "total"))
}

/// A line for each path that has a value.
fn members(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(inner) => inner.iter().for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            members(&path, value, lines);
        }),
        Value::Array(items) => items.iter().for_each(|item| members(path, item, lines)),
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => lines.push(format!("{path}: {text}")),
        other => lines.push(format!("{path}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parameters() {
        let one = |text: &str| query(&[text.to_owned()]);
        assert_eq!(one("#state=1").unwrap(), "&filters%5B%23state%5D=1");
        assert_eq!(one("inetOrgPerson.cn=A = B").unwrap(), "&filters%5BinetOrgPerson.cn%5D=A%20%3D%20B");
        assert!(one("state").is_err());
    }

    #[test]
    fn documents_are_lines() {
        let document = json!({"state": 1, "x": {"a": ["b", "c"], "d": "", "e": null, "f": {"g": true}}});
        let mut lines = Vec::new();
        members("", &document, &mut lines);
        assert_eq!(lines, ["state: 1", "x.a: b", "x.a: c", "x.f.g: true"]);
    }
}
