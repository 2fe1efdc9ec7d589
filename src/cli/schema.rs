//! `vestibule schema`: the class rules and what they would say, before they go live.

use super::connect::{admin, say};
use crate::{
    config::Settings,
    directory::Trial,
    entry::ldif,
    schema::{Attr, Class, Error, FileFault, Property, Schema, Scope, Sources, ValueType, Violation},
    server,
};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Every fault of the schema and rule files, and a note on what they define
    Lint {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A class: what it requires and allows, and the rules of its values
    Show {
        class: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What the entries of an LDIF file break; exit code 1 if any breaks something
    Test { file: PathBuf },
    /// What the whole store would break under the rule files of a folder, and what they mend
    Diff {
        /// Folder with one <class>.yml each, and perhaps cross.yml
        #[arg(long, value_name = "FOLDER")]
        rules: PathBuf,
        /// Read a stopped store instead of asking the running server
        #[arg(long)]
        store: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Lint { json } => lint(settings, json),
        Command::Show { class, json } => show(&Schema::compile(&settings.sources()?)?, &class, json),
        Command::Test { file } => test(&Schema::compile(&settings.sources()?)?, &file),
        Command::Diff { rules, store, json } => diff(settings, &rules, store, json).await,
    }
}

fn lint(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let (faults, notes) = match settings.sources().map_err(Error::from).and_then(|s| Schema::compile(&s)) {
        Ok(schema) => (Vec::new(), schema.rules().notes.clone()),
        Err(Error::Faults(faults)) => (faults, Vec::new()),
        Err(other) => return Err(other.into()),
    };
    if json {
        say(&serde_json::to_string_pretty(&json!({"faults": faults, "notes": notes}))?)?;
    } else {
        let told = |word: &str, list: &[FileFault]| list.iter().try_for_each(|f| say(&format!("{word}: {f}")));
        told("fault", &faults)?;
        told("note", &notes)?;
    }
    match faults.len() {
        0 if json => Ok(()),
        0 => say(&format!("no faults, {} notes", notes.len())),
        many => bail!("{many} faults"),
    }
}

fn show(schema: &Schema, name: &str, json: bool) -> anyhow::Result<()> {
    let id = schema.class_id(name).with_context(|| format!("'{name}' is not an object class of the schema"))?;
    let (class, rules) = (schema.class(id), schema.rules());
    let properties = rules.of(id).map(|r| r.properties.as_slice()).unwrap_or_default();
    if json {
        let forms: serde_json::Map<String, Value> = properties
            .iter()
            .map(|p| {
                (p.name.to_string(), json!({"required": p.required, "description": p.description, "form": p.form}))
            })
            .collect();
        let names = |list: &[crate::schema::AttrId]| {
            list.iter().map(|a| schema.attribute(*a).name.clone()).collect::<Vec<SmolStr>>()
        };
        let shown = json!({"name": class.name, "oid": class.oid, "kind": format!("{:?}", class.kind).to_lowercase(),
            "must": names(&class.all_must), "may": names(&class.all_allowed), "rules": forms});
        return say(&serde_json::to_string_pretty(&shown)?);
    }
    say(&format!("{} ({:?}, {})", class.name, class.kind, class.oid))?;
    if let Some(rule) = rules.of(id) {
        say(&format!("rules: {}", rule.file.display()))?;
    }
    let mut table = vec![["attribute", "presence", "values", "form"].map(str::to_owned)];
    table.extend(rows(schema, class, properties));
    let widths: Vec<usize> =
        (0..3).map(|i| table.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0)).collect();
    for row in &table {
        let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:0$}", widths.get(i).copied().unwrap_or(0)));
        say(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn rows(schema: &Schema, class: &Class, properties: &[Property]) -> Vec<[String; 4]> {
    let row = |id: &crate::schema::AttrId| {
        let attribute = schema.attribute(*id);
        let property = properties.iter().find(|p| p.attr == *id);
        let presence = match (class.all_must.contains(id), property.is_some_and(|p| p.required)) {
            (true, _) => "must",
            (false, true) => "required",
            (false, false) => "may",
        };
        let count = if attribute.single_value { "one " } else { "many " };
        let values = format!("{count}{}", attribute.syntax.desc());
        [attribute.name.to_string(), presence.to_owned(), values, property.map(form).unwrap_or_default()]
    };
    class.all_allowed.iter().map(row).collect()
}

fn form(property: &Property) -> String {
    let kind = match property.kind {
        ValueType::Array => format!("list of {}", property.items.word()),
        other => other.word().to_owned(),
    };
    let words = [kind.as_str(), property.description.as_str()];
    words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ")
}

fn test(schema: &Schema, path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let bar = progress(0);
    let mut reader = ldif::Reader::new(BufReader::new(file));
    let mut broken = 0u64;
    while let Some(record) = reader.next_record() {
        let record = record.with_context(|| path.display().to_string())?;
        let ldif::RecordKind::Add(attrs) = record.kind else {
            bail!("{}: line {}: only entries can be tested, not changes", path.display(), record.line);
        };
        bar.inc(1);
        let violations = judge(schema, attrs);
        broken += u64::from(!violations.is_empty());
        bar.suspend(|| match violations.is_empty() {
            true => say(&format!("{}: ok", record.dn)),
            false => violations.iter().try_for_each(|v| say(&format!("{}: {v}", record.dn))),
        })?;
    }
    bar.finish_and_clear();
    match broken {
        0 => Ok(()),
        many => bail!("{many} entries break a rule"),
    }
}

/// What an entry breaks; a person is taken for an identity.
fn judge(schema: &Schema, attrs: Vec<(SmolStr, Vec<Vec<u8>>)>) -> Vec<Violation> {
    let mut unknown = Vec::new();
    let mut known: Vec<Attr> = Vec::new();
    for (name, values) in attrs {
        match schema.describe(&name) {
            Some(desc) if schema.is_kept_by_server(desc.id) => {}
            Some(desc) => match known.iter_mut().find(|a| a.desc == desc) {
                Some(attr) => attr.values.extend(values),
                None => known.push(Attr { desc, values }),
            },
            None => unknown.push(Violation::unknown_attribute(&name)),
        }
    }
    let person = schema.known.inet_org_person;
    let classes = known.iter().filter(|a| a.desc.id == schema.known.object_class).flat_map(|a| &a.values);
    let is_person = classes
        .filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?))
        .any(|c| c == person || schema.class(c).superclasses.contains(&person));
    let scope = if is_person { Scope::Identity } else { Scope::Plain };
    match schema.validate(&known, scope, unknown) {
        Ok(checked) => checked.class_faults,
        Err(violations) => violations.0,
    }
}

async fn diff(settings: &Settings, folder: &Path, store: bool, json: bool) -> anyhow::Result<()> {
    let (classes, cross) = Sources::rules(folder)?;
    let trial = if store {
        let built = settings.build()?;
        let (directory, writer) = server::open_directory(settings, &built)?;
        let base = settings.sources()?;
        let other = Schema::compile(&Sources { classes, cross: cross.or(base.cross.clone()), ..base })?;
        let snapshot = directory.read();
        let bar = progress(snapshot.len() as u64);
        let keep = directory.limits.schema_diff_entries;
        let trial = Trial::of(&snapshot, &other, keep, || bar.inc(1)).json(built.schema.language());
        bar.finish_and_clear();
        drop(snapshot);
        drop(directory);
        writer.join();
        trial
    } else {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files: serde_json::Map<String, Value> =
            classes.iter().map(|(path, text)| (name(path), json!(text))).collect();
        let mut body = json!({"classes": files});
        if let (Some(body), Some((_, text))) = (body.as_object_mut(), cross) {
            body.insert("cross".to_owned(), json!(text));
        }
        let bar = progress(0);
        let answer = admin(settings, Method::POST, "/schema/diff", Some(&body)).await;
        bar.finish_and_clear();
        answer?
    };
    if json {
        return say(&serde_json::to_string_pretty(&trial)?);
    }
    for (word, key) in [("breaks", "broken"), ("mended", "mended")] {
        for entry in trial.pointer(&format!("/{key}/first")).and_then(Value::as_array).into_iter().flatten() {
            let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            for v in entry.get("violations").and_then(Value::as_array).into_iter().flatten() {
                let (class, attr) = (text(v, "class"), text(v, "attr"));
                let rule = text(v, "rule");
                say(&format!("{word}: {}: {class}.{attr} ({rule}): {}", text(entry, "dn"), text(v, "message")))?;
            }
        }
    }
    let count = |pointer: &str| trial.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let (all, broken, mended) = (count("/entries"), count("/broken/entries"), count("/mended/entries"));
    say(&format!("{all} entries: {broken} would break a rule, {mended} would be mended"))
}

/// Shown once the work has taken a second, and to a terminal only.
fn progress(length: u64) -> ProgressBar {
    let style = match length {
        0 => ProgressStyle::with_template("{spinner} {pos} {elapsed}"),
        _ => ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}"),
    };
    let bar = if length == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(length) };
    bar.enable_steady_tick(Duration::from_secs(1));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
