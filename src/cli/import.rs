//! `vestibule import`: LDIF into a running server over LDAP, or into a stopped store. What is
//! refused goes to a reject file with the reason, and the rest goes on.

use super::connect::{Server, say};
use crate::{
    access::Identity,
    config::Settings,
    directory::{self, Directory, Op},
    dn::{Dn, Rdn},
    entry::ldif::{self, Record, RecordKind},
    ldap::client::{Client, Reply},
    server,
};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinHandle;

#[derive(clap::Args)]
pub struct Args {
    /// LDIF file: entries, or change records
    file: PathBuf,
    /// Where refused records go, each under its reason [default: FILE.rej.ldif]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// What became of the records.
#[derive(Default)]
struct Counts {
    written: u64,
    unchanged: u64,
    held: u64,
    refused: u64,
}

pub async fn run(settings: &Settings, args: Args) -> anyhow::Result<()> {
    let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let bar = progress(file.metadata().map(|m| m.len()).unwrap_or(0))?;
    let reader = ldif::Reader::new(BufReader::new(bar.wrap_read(file)));
    let rejects = Rejects::new(args.rejects.unwrap_or_else(|| args.file.with_extension("rej.ldif")));
    let counts = match &args.server.server {
        Some(url) => over_ldap(reader, args.server.connect(settings, url).await?, rejects, &bar).await?,
        None => into_store(reader, settings, rejects, &bar).await?,
    };
    bar.finish_and_clear();
    let Counts { written, unchanged, held, refused } = counts;
    say(&format!("{written} written, {unchanged} unchanged, {held} kept incomplete, {refused} refused"))?;
    if refused > 0 {
        bail!("{refused} records were refused; they stand with their reasons in the reject file");
    }
    Ok(())
}

fn progress(bytes: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {percent}%  {msg}  {elapsed} of {duration}")?;
    // Hidden by itself where stderr is no terminal.
    Ok(ProgressBar::new(bytes).with_style(style))
}

/// Records under way at one time; the writer commits them in groups.
const WINDOW: usize = 256;

async fn into_store(
    mut reader: ldif::Reader<impl BufRead>,
    settings: &Settings,
    mut rejects: Rejects,
    bar: &ProgressBar,
) -> anyhow::Result<Counts> {
    let built = settings.build()?;
    let (directory, writer) = server::open_directory(settings, &built).map_err(|error| match error.downcast_ref() {
        Some(crate::store::Error::Locked { .. }) => {
            error.context("a server runs on this store; import with --server ldap://...")
        }
        _ => error,
    })?;
    let mut counts = Counts::default();
    let mut pending: VecDeque<Submitted> = VecDeque::new();
    while let Some(record) = reader.next_record() {
        let Some(record) = rejects.readable(record, &mut counts)? else { continue };
        if pending.len() >= WINDOW {
            settle(&mut pending, &mut counts, &mut rejects).await?;
        }
        match operation(record.clone()) {
            Ok(op) => {
                if must_wait(&record, pending.iter().map(|(r, _)| r)) {
                    while !pending.is_empty() {
                        settle(&mut pending, &mut counts, &mut rejects).await?;
                    }
                }
                pending.push_back((record, tokio::spawn(submit(Arc::clone(&directory), op))));
            }
            Err(error) => rejects.add(&record.text, &error.to_string(), &mut counts)?,
        }
        bar.set_message(format!("{} written", counts.written));
    }
    while !pending.is_empty() {
        settle(&mut pending, &mut counts, &mut rejects).await?;
    }
    drop(directory);
    tokio::task::spawn_blocking(move || writer.join()).await?;
    rejects.finish()?;
    Ok(counts)
}

/// A record under way, with the task that waits for its answer.
type Submitted = (Record, JoinHandle<Result<directory::Outcome, directory::Error>>);

/// Adds of different entries may go together, unless one is the superior of the other; any other
/// change waits for all that came before it.
fn must_wait<'a>(record: &Record, mut pending: impl Iterator<Item = &'a Record>) -> bool {
    let is_add = |r: &Record| matches!(r.kind, RecordKind::Add(_));
    if !is_add(record) {
        return pending.next().is_some();
    }
    pending.any(|p| !is_add(p) || is_within(&record.dn, &p.dn))
}

async fn submit(directory: Arc<Directory>, mut op: Op) -> Result<directory::Outcome, directory::Error> {
    let snapshot = directory.read();
    if op.secrets(&snapshot.schema) > 0 {
        let limits = Arc::clone(&directory.limits);
        let hashed = tokio::task::spawn_blocking(move || op.hash_secrets(&snapshot, &limits).map(|()| op)).await;
        op = hashed.map_err(|e| directory::Error::Internal(e.to_string()))??;
    }
    directory.submit(&Identity::Server, op).await
}

async fn settle(pending: &mut VecDeque<Submitted>, counts: &mut Counts, rejects: &mut Rejects) -> anyhow::Result<()> {
    let Some((record, task)) = pending.pop_front() else { return Ok(()) };
    match task.await? {
        Ok(outcome) if !outcome.changed => counts.unchanged += 1,
        Ok(outcome) if outcome.diagnostic.is_some() => counts.held += 1,
        Ok(_) => counts.written += 1,
        Err(error @ (directory::Error::Unavailable | directory::Error::NoSpace)) => return Err(error.into()),
        Err(error) => rejects.add(&record.text, &error.to_string(), counts)?,
    }
    Ok(())
}

async fn over_ldap(
    mut reader: ldif::Reader<impl BufRead>,
    mut client: Client,
    mut rejects: Rejects,
    bar: &ProgressBar,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut pending: VecDeque<Record> = VecDeque::new();
    while let Some(record) = reader.next_record() {
        let Some(record) = rejects.readable(record, &mut counts)? else { continue };
        let limit = if must_wait(&record, pending.iter()) { 1 } else { client.window() };
        while pending.len() >= limit {
            answered(client.next_reply().await?, &mut pending, &mut counts, &mut rejects)?;
        }
        client.send(&record).await?;
        pending.push_back(record);
        bar.set_message(format!("{} written", counts.written));
    }
    while !pending.is_empty() {
        answered(client.next_reply().await?, &mut pending, &mut counts, &mut rejects)?;
    }
    client.unbind().await?;
    rejects.finish()?;
    Ok(counts)
}

/// By text alone, which is right for names that one file spells alike; a server refuses the rest.
fn is_within(dn: &str, base: &str) -> bool {
    let cut = dn.len().checked_sub(base.len());
    cut.and_then(|at| dn.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(base))
}

fn answered(
    reply: Reply,
    pending: &mut VecDeque<Record>,
    counts: &mut Counts,
    rejects: &mut Rejects,
) -> anyhow::Result<()> {
    let at = reply.order.min(pending.len().saturating_sub(1));
    let Some(record) = pending.remove(at) else { bail!("an answer to nothing that was asked") };
    match reply.code {
        0 if reply.message.is_empty() => counts.written += 1,
        0 => counts.held += 1,
        code => rejects.add(&record.text, &format!("result {code}: {}", reply.message), counts)?,
    }
    Ok(())
}

fn operation(record: Record) -> Result<Op, directory::Error> {
    let dn = Dn::parse(&record.dn)?;
    Ok(match record.kind {
        RecordKind::Add(attrs) => Op::Add { dn, attrs },
        RecordKind::Delete => Op::Delete { dn },
        RecordKind::Modify(changes) => Op::Modify { dn, changes },
        RecordKind::Rename { new_rdn, delete_old, new_superior } => Op::Rename {
            dn,
            new_rdn: Rdn::parse(&new_rdn)?,
            delete_old,
            new_superior: new_superior.as_deref().map(Dn::parse).transpose()?,
        },
    })
}

/// The reject file, made when the first record is refused.
struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Rejects {
    fn new(path: PathBuf) -> Self {
        Rejects { path, file: None }
    }

    /// Passes a record that could be read; puts aside one that could not.
    fn readable(&mut self, record: Result<Record, ldif::Error>, counts: &mut Counts) -> anyhow::Result<Option<Record>> {
        match record {
            Ok(record) => Ok(Some(record)),
            Err(ldif::Error::Syntax { line, reason, text }) => {
                self.add(&text, &format!("line {line}: {reason}"), counts)?;
                Ok(None)
            }
            Err(ldif::Error::Io(error)) => Err(error.into()),
        }
    }

    fn add(&mut self, text: &str, reason: &str, counts: &mut Counts) -> anyhow::Result<()> {
        counts.refused += 1;
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.path)?),
        };
        let reason = reason.replace('\n', " ");
        write!(file, "# {reason}\n{text}\n").with_context(|| self.path.display().to_string())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self.file {
            Some(mut file) => file.flush().with_context(|| self.path.display().to_string()),
            None => Ok(()),
        }
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).with_context(|| path.display().to_string())
}
