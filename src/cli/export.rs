//! `vestibule export`: all entries as LDIF, superiors first, from a running server or from a
//! stopped store. Of the axes of an identity that is written which is not as a new one has it, so that an
//! import elsewhere leaves closed accounts closed; history and deleted identities stay behind.

use super::connect::Server;
use crate::{
    config::Settings,
    entry::{Axes, ldif},
    server,
};
use anyhow::Context;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

#[derive(clap::Args)]
pub struct Args {
    /// Where to write [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write password hashes, too; only from a stopped store
    #[arg(long, conflicts_with = "server")]
    with_passwords: bool,
    #[command(flatten)]
    server: Server,
}

pub async fn run(settings: &Settings, args: Args) -> anyhow::Result<()> {
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?)),
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
    };
    match &args.server.server {
        Some(url) => {
            let mut client = args.server.connect(settings, url).await?;
            client
                .search_all(&settings.file.suffix, &AXES, |dn, attrs| {
                    let mut text = String::new();
                    ldif::push_line(&mut text, "dn", dn.as_bytes());
                    let attrs = attrs.iter().filter_map(|(name, values)| told(name, values));
                    for (name, values) in attrs {
                        values.iter().for_each(|v| ldif::push_line(&mut text, name, v));
                    }
                    writeln!(out, "{text}").context("output")
                })
                .await?;
        }
        None => from_store(settings, args.with_passwords, &mut *out)?,
    }
    out.flush().context("output")
}

/// The axes that a new identity would not have by itself, as an import asks for them.
fn axes(axes: &Axes) -> Vec<(&'static str, String)> {
    let all = [
        ("vestibuleState", axes.state.to_string()),
        ("vestibuleLifecycle", axes.lifecycle.to_string()),
        ("vestibuleDataStatus", axes.data_status.to_string()),
        ("vestibuleInitState", axes.init_state.to_string()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, asked(name, &value)?.to_owned()))).collect()
}

/// What an import asks for to come to this value of an axis; nothing for what is so by itself.
fn asked<'v>(axis: &str, value: &'v str) -> Option<&'v str> {
    match (axis, value) {
        // Released, on its way or there: the importing server sends it to its own targets.
        ("vestibuleState", "2" | "99" | "50" | "-3" | "0") => None,
        ("vestibuleState", "-2") => Some("-1"),
        ("vestibuleState", "-1") => Some("1"),
        ("vestibuleLifecycle", "O") | ("vestibuleDataStatus" | "vestibuleInitState", "0") => None,
        _ => Some(value),
    }
}

/// The same for an attribute that a server has sent; all but the axes go as they are.
fn told<'a>(name: &'a str, values: &'a [Vec<u8>]) -> Option<(&'a str, Vec<Vec<u8>>)> {
    if !AXES.contains(&name) {
        return Some((name, values.to_vec()));
    }
    let value = values.first().and_then(|v| std::str::from_utf8(v).ok())?;
    asked(name, value).map(|value| (name, vec![value.as_bytes().to_vec()]))
}

const AXES: [&str; 4] = ["vestibuleState", "vestibuleLifecycle", "vestibuleDataStatus", "vestibuleInitState"];

fn from_store(settings: &Settings, with_passwords: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let built = settings.build()?;
    let (directory, writer) = server::open_directory(settings, &built)?;
    let snapshot = directory.read();
    for node in snapshot.walk() {
        let mut text = String::new();
        ldif::push_line(&mut text, "dn", snapshot.dn_text(node).as_bytes());
        let entry = &node.entry;
        for slot in entry.slots() {
            let name = snapshot.schema.spell(&slot.desc);
            entry.slot_values(slot).for_each(|v| ldif::push_line(&mut text, &name, v));
        }
        for (name, value) in entry.operational.axes.iter().flat_map(axes) {
            ldif::push_line(&mut text, name, value.as_bytes());
        }
        for secret in entry.secrets().iter().filter(|_| with_passwords) {
            let name = snapshot.schema.spell(&secret.desc);
            secret.values.iter().for_each(|v| ldif::push_line(&mut text, &name, v));
        }
        writeln!(out, "{text}").context("output")?;
    }
    drop(snapshot);
    drop(directory);
    writer.join();
    Ok(())
}
