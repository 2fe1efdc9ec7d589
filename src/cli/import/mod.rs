//! `vestibule import`: LDIF, or a CSV table by a mapping, into a running server over LDAP or into
//! a stopped store. Records are held against what is there, so that only differences are written;
//! what is refused goes to a reject file with the reason, and the rest goes on.
//!
//! Records go in batches. Those of one batch speak of different entries and are under way together;
//! how far the import has come is written down after each batch, once all its answers are there.

mod expression;
mod mapping;
mod place;
mod rehearsal;
mod rejects;
mod resume;
mod run;
mod table;
mod wish;

use super::connect::{Server, say};
use crate::{
    config::Settings,
    entry::ldif::{self, Record},
    schema::Schema,
};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use mapping::{Absent, MappingFile};
use rehearsal::Rehearsal;
use rejects::{Form, Raw, Rejects};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};
use table::{Reading, Table};
use wish::{Upsert, Wish};

#[derive(clap::Args)]
pub struct Args {
    /// LDIF (entries, or change records), or with --mapping a CSV or TSV table
    file: PathBuf,
    /// How the columns of a table become attributes (YAML)
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// What an LDIF record of an entry that is there already does
    #[arg(long, value_enum, default_value_t = Mode::Add, conflicts_with = "mapping")]
    mode: Mode,
    /// With --mode upsert: attributes that tell the entry, such as employeeNumber,employeeType; may
    /// be given again for further ones to try [default: the name tells it]
    #[arg(long = "match", value_name = "ATTRIBUTES", conflicts_with = "mapping")]
    keys: Vec<String>,
    /// With --mode upsert: what becomes of attributes that the record does not name
    #[arg(long, value_enum, default_value_t = Absent::Keep, conflicts_with = "mapping")]
    absent: Absent,
    /// Keep new identities that break class rules as incomplete, in place of refusing them
    #[arg(long)]
    hold: bool,
    /// Write nothing; print what would be written as LDIF change records, and what would be refused as
    /// comments. Class rules, names and superiors are looked at; of unique values, references and
    /// rights only the writing itself can tell, so that it may refuse more
    #[arg(long)]
    dry_run: bool,
    /// Where the change records of a dry run go [default: stdout]
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    diff: Option<PathBuf>,
    /// Go on where the last import of this file was cut off
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Note every identity that the file speaks of as seen now (lastSync), not only those that are
    /// written. Needs a stopped store, since over LDAP lastSync is not written at all
    #[arg(long, conflicts_with_all = ["dry_run", "server"])]
    touch: bool,
    /// Where refused records go, each with its reason [default: FILE.rej.ldif, .rej.csv or .rej.tsv]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// It is refused
    Add,
    /// It changes the entry where they differ
    Upsert,
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    created: u64,
    updated: u64,
    deleted: u64,
    unchanged: u64,
    /// Written, though something lacks.
    held: u64,
    refused: u64,
}

/// A record of the input, and what it asks for or why it cannot.
pub struct Item {
    raw: Raw,
    wish: Result<Wish, String>,
}

/// The input, record by record.
enum Input<R: Read> {
    Ldif { reader: ldif::Reader<BufReader<R>>, upsert: Option<Vec<Vec<SmolStr>>>, base: SmolStr },
    Table(Box<Table<R>>),
}

pub async fn run(settings: &Settings, args: Args) -> anyhow::Result<()> {
    let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let built = settings.build()?;
    let mut log = resume::Log::open(&args.file, args.resume)?;
    let bar = progress(file.metadata().map(|m| m.len()).unwrap_or(0))?;
    let (input, form) = input(bar.wrap_read(file), &args, &settings.file.suffix, &built.schema)?;
    let rejects = args.rejects.clone().unwrap_or_else(|| {
        args.file.with_extension(match &form {
            Form::Ldif => "rej.ldif",
            // By which its delimiter is told when it comes back.
            Form::Table { delimiter: b'\t', .. } => "rej.tsv",
            Form::Table { .. } => "rej.csv",
        })
    });
    let diff = match (args.dry_run, &args.diff) {
        (false, _) => None,
        (true, None) => Some(Box::new(std::io::stdout()) as Box<dyn Write>),
        (true, Some(path)) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Some(Box::new(BufWriter::new(file)) as Box<dyn Write>)
        }
    };
    let place = place::Place::open(settings, &built, &args.server).await?;
    let terms = wish::Terms {
        schema: &built.schema,
        identities: &built.identities.bases,
        hold: args.hold,
        resources: &built.career.resources,
        suffix: &settings.file.suffix,
    };
    let rejects = match args.dry_run {
        true => Rejects::new(rejects, form),
        false => Rejects::open(rejects, form, log.progress.rejects)?,
    };
    let mut import = run::Import::new(terms, place, rejects, &mut log, diff.map(Rehearsal::new));
    import.touch = args.touch;
    import.whole = args.absent == Absent::Delete;
    let ended = import.all(input, &bar).await;
    bar.finish_and_clear();
    ended?;
    let counts = log.progress.counts;
    if !args.dry_run {
        log.close()?;
    }
    report(&counts, args.json, args.dry_run && args.diff.is_none())?;
    if counts.refused > 0 && args.dry_run {
        bail!("{} records would be refused; the differences name them with their reasons", counts.refused);
    }
    if counts.refused > 0 {
        bail!("{} records were refused; they stand with their reasons in the reject file", counts.refused);
    }
    Ok(())
}

/// Beside a diff on stdout the counts are a comment.
fn report(counts: &Counts, json: bool, comment: bool) -> anyhow::Result<()> {
    let Counts { created, updated, deleted, unchanged, held, refused } = counts;
    let mark = if comment { "# " } else { "" };
    if json {
        return say(&format!("{mark}{}", serde_json::to_string(counts)?));
    }
    say(&format!(
        "{mark}{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged, \
         {held} kept incomplete, {refused} refused"
    ))
}

fn progress(bytes: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {percent}%  {msg}  {elapsed} of {duration}")?;
    // Hidden by itself where stderr is no terminal.
    Ok(ProgressBar::new(bytes).with_style(style))
}

fn input<R: Read>(reader: R, args: &Args, suffix: &str, schema: &Schema) -> anyhow::Result<(Input<R>, Form)> {
    if let Some(path) = &args.mapping {
        let mapping = MappingFile::load(path)?;
        let reading = Reading { mapping: &mapping, path, table: &args.file, suffix, schema };
        let mut table = Table::open(reader, &reading)?;
        let form = table.take_form();
        return Ok((Input::Table(Box::new(table)), form));
    }
    looks_like_ldif(&args.file)?;
    if args.mode == Mode::Add && (!args.keys.is_empty() || args.absent == Absent::Delete) {
        bail!("--match and --absent need --mode upsert");
    }
    let set = |text: &String| text.split(',').map(|name| SmolStr::new(name.trim())).collect::<Vec<_>>();
    let keys: Vec<Vec<SmolStr>> = args.keys.iter().map(set).collect();
    if let Some(name) = keys.iter().flatten().find(|name| schema.attr_id(name).is_none()) {
        bail!("--match: the schema has no attribute type '{name}'");
    }
    let upsert = (args.mode == Mode::Upsert).then_some(keys);
    let reader = ldif::Reader::new(BufReader::new(reader));
    Ok((Input::Ldif { reader, upsert, base: SmolStr::new(suffix) }, Form::Ldif))
}

fn looks_like_ldif(path: &Path) -> anyhow::Result<()> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("csv" | "tsv" | "CSV" | "TSV") => bail!("{}: a table needs --mapping", path.display()),
        _ => Ok(()),
    }
}

impl<R: Read> Input<R> {
    fn next(&mut self) -> anyhow::Result<Option<Item>> {
        match self {
            Input::Table(table) => table.next_item(),
            Input::Ldif { reader, upsert, base } => match reader.next_record() {
                None => Ok(None),
                Some(Ok(record)) => Ok(Some(of_record(record, upsert.as_deref(), base))),
                Some(Err(ldif::Error::Syntax { line, reason, text })) => {
                    Ok(Some(Item { raw: Raw::Ldif(text), wish: Err(format!("line {line}: {reason}")) }))
                }
                Some(Err(ldif::Error::Io(error))) => Err(error.into()),
            },
        }
    }
}

fn of_record(record: Record, upsert: Option<&[Vec<SmolStr>]>, base: &SmolStr) -> Item {
    let raw = Raw::Ldif(record.text.clone());
    let wish = match upsert.and_then(|keys| Upsert::of_record(&record, keys, base)) {
        Some(upsert) => Wish::Upsert(upsert),
        None => Wish::Change(record),
    };
    Item { raw, wish: Ok(wish) }
}
