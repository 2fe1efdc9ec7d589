//! `vestibule export`: all entries as LDIF, superiors first, from a running server or from a
//! stopped store.

use super::connect::Server;
use crate::{config::Settings, entry::ldif, server};
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
                .search_all(&settings.file.suffix, |dn, attrs| {
                    let mut text = String::new();
                    ldif::push_line(&mut text, "dn", dn.as_bytes());
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
