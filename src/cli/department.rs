//! `vestibule department`: the tree of structures of a running server, through its HTTP
//! administration.

use super::connect::{admin, admin_get, escaped, show};
use crate::config::Settings;
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub enum Command {
    /// The tree, or the branch of one structure
    Tree {
        code: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One structure: what is above and below it, and how many people belong to it
    Show {
        code: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a branch out of use, and the people who have no active structure besides
    Deactivate(Cascade),
    /// Take back what `deactivate` did, and nothing else
    Activate(Cascade),
    /// Put a branch under another structure
    Move {
        code: String,
        /// Code of the new parent
        #[arg(long, value_name = "CODE")]
        under: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Names of organisations and structures that are nearly the same
    NearDuplicates {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub struct Cascade {
    code: String,
    /// The reason, for the history of each person
    #[arg(long, default_value = "")]
    why: String,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Tree { code, json } => {
            let query = code.map(|code| format!("?under={}", escaped(&code))).unwrap_or_default();
            let answer = admin_get(settings, &format!("/departments{query}")).await?;
            show(&answer, json, tree)
        }
        Command::Show { code, json } => {
            let answer = admin_get(settings, &format!("/departments/{}", escaped(&code))).await?;
            show(&answer, json, one)
        }
        Command::Deactivate(asked) => cascade(settings, &asked, "deactivate").await,
        Command::Activate(asked) => cascade(settings, &asked, "activate").await,
        Command::Move { code, under, dry_run, json } => {
            let body = json!({"under": under, "dryRun": dry_run});
            let path = format!("/departments/{}/move", escaped(&code));
            let answer = admin(settings, Method::POST, &path, Some(&body)).await?;
            show(&answer, json, outcome)
        }
        Command::NearDuplicates { json } => {
            let answer = admin_get(settings, "/departments/near-duplicates").await?;
            show(&answer, json, groups)
        }
    }
}

async fn cascade(settings: &Settings, asked: &Cascade, verb: &str) -> anyhow::Result<()> {
    let body = json!({"why": asked.why, "dryRun": asked.dry_run});
    let path = format!("/departments/{}/{verb}", escaped(&asked.code));
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::new_spinner().with_message(format!("{verb} {}", asked.code));
    bar.enable_steady_tick(Duration::from_millis(100));
    let answer = admin(settings, Method::POST, &path, Some(&body)).await;
    bar.finish_and_clear();
    show(&answer?, asked.json, outcome)
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn title(department: &Value) -> String {
    let active = department.get("active").and_then(Value::as_bool).unwrap_or(true);
    let state = match (active, word(department, "deactivatedBy")) {
        (true, _) => String::new(),
        (false, "") => "  [out of use]".to_owned(),
        (false, by) => format!("  [out of use with {by}]"),
    };
    format!("{}  {}{state}", word(department, "code"), word(department, "name"))
}

fn tree(answer: &Value) -> String {
    let line = |one: &Value| {
        let indent = "  ".repeat(number(one, "depth") as usize);
        format!(
            "{indent}{}  ({} people, {} of them first here)\n",
            title(one),
            number(one, "people"),
            number(one, "principal")
        )
    };
    list(answer, "departments").map(line).collect()
}

fn one(answer: &Value) -> String {
    let department = answer.get("department").unwrap_or(&Value::Null);
    let mut out = format!("{}\n  {}\n", title(department), word(department, "dn"));
    list(answer, "parents").for_each(|parent| out.push_str(&format!("  below {}\n", title(parent))));
    list(answer, "children").for_each(|child| out.push_str(&format!("  above {}\n", title(child))));
    let (people, principal) = (number(answer, "people"), number(answer, "principal"));
    out.push_str(&format!("  {people} people, {principal} of them first here\n"));
    out.push_str(&format!("  {} structures in the branch\n", number(answer, "branch")));
    out
}

fn outcome(answer: &Value) -> String {
    let would = if answer.get("dryRun").and_then(Value::as_bool) == Some(true) { "would change: " } else { "" };
    let count = |name| list(answer, name).count();
    let mut out = format!("{would}{} structures, {} people\n", count("departments"), count("people"));
    for (name, head) in [("kept", "stays as it is"), ("refused", "refused")] {
        for one in list(answer, name) {
            out.push_str(&format!("{head}: {}: {}\n", word(one, "dn"), word(one, "reason")));
        }
    }
    out
}

fn groups(answer: &Value) -> String {
    let mut out = String::new();
    for group in list(answer, "groups") {
        out.push_str(&format!("{} {}\n", number(group, "score"), word(group, "reason")));
        for name in list(group, "names") {
            let bearer = name.get("bearer").unwrap_or(&Value::Null);
            let whose = match bearer.get("people").and_then(Value::as_u64) {
                Some(people) => format!("{people} people"),
                None => word(bearer, "structure").to_owned(),
            };
            out.push_str(&format!("  {}  ({} of {whose})\n", word(name, "text"), word(name, "attribute")));
        }
    }
    if out.is_empty() { "no names are alike".to_owned() } else { out }
}
