//! Files in a folder, for everything that speaks no protocol: LDIF change records, lines of JSON, or
//! tables. Each delivery has a number, which is in the names of its files; what it held is noted before
//! its files appear, so that no object is told of twice though the process was cut off.

pub mod ldif;
pub mod record;
pub mod spool;

use super::{
    Tools,
    carrier::{self, Carrier, Job},
    earlier::Earlier,
    ldap,
    ledger::Ledger,
    notes::Notes,
    plan::Work,
    push::{Done, Linked, Place},
    target::{Fault, Listed, Page, Resource},
};
use record::{Record, Rows};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spool::{Ready, Spool};
use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};
use tokio::sync::Mutex;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Ldif,
    Jsonl,
    Csv,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Ldif => "ldif",
            Form::Jsonl => "jsonl",
            Form::Csv => "csv",
        }
    }
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// What has changed.
    #[default]
    Changes,
    /// Everything.
    Full,
}

/// What is sent, unless the target has a map of its own.
pub const MAP: &str = include_str!("../../../config/maps/table.map.yml");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// With which the names of all files begin.
    pub name: String,
    pub folder: PathBuf,
    pub form: Form,
    /// How entries are written where they stay entries: in LDIF.
    pub entries: Option<ldap::Form>,
    pub content: Content,
    /// Between several values in one cell.
    pub separator: String,
    /// How long changes are gathered for one file, and how many it holds at most.
    pub gather: Duration,
    pub rows: usize,
    /// Deliveries whose files are kept; `None`: all, for the reader to remove.
    pub keep: Option<usize>,
    pub mode: u32,
}

/// The columns of tables, in the order of the map.
pub type Columns = BTreeMap<Resource, Vec<String>>;

pub struct Drop {
    options: Options,
    columns: Columns,
    spool: Spool,
    notes: Notes,
    ledger: Ledger,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    /// The noted files may not have their names yet.
    unsettled: bool,
    earlier: Earlier,
    sequence: u64,
}

/// The delivery that was made last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    sequence: u64,
    files: Vec<String>,
    /// Objects, and the checksum of what was said of them; none for a removal.
    items: Vec<(Uuid, Option<u32>)>,
}

impl Drop {
    pub fn new(options: &Options, columns: Columns, tools: &Tools) -> Self {
        let spool = Spool { folder: options.folder.clone(), name: options.name.clone(), mode: options.mode };
        let under_way = Mutex::new(UnderWay { unsettled: true, ..UnderWay::default() });
        Drop {
            options: options.clone(),
            columns,
            spool,
            notes: tools.notes.clone(),
            ledger: tools.ledger.clone(),
            under_way,
        }
    }

    /// Finishes the delivery that was noted last.
    async fn settle(&self, under_way: &mut UnderWay) -> Result<(), Fault> {
        if !under_way.unsettled {
            return Ok(());
        }
        let note: Note = self.notes.load().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let files = note.files;
        self.work(move |spool| {
            spool.open()?;
            spool.publish(&files)?;
            spool.sweep()
        })
        .await?;
        under_way.sequence = under_way.sequence.max(note.sequence);
        for (object, checksum) in note.items {
            under_way.earlier.keep(object, checksum, Ok(()));
        }
        under_way.unsettled = false;
        Ok(())
    }

    async fn send(&self, under_way: &mut UnderWay, jobs: &[Job]) -> Result<Vec<(Uuid, Done)>, Fault> {
        self.settle(under_way).await?;
        let (mut done, mut records, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            let Some(record) = record_of(job) else {
                done.push((job.object, Done { action: "none", place: Place::AsBefore, fault: None }));
                continue;
            };
            let checksum = record.after.is_some().then_some(job.checksum);
            done.push((job.object, answer(&record, job.work.name(), self.options.form)));
            // Said already, by a delivery that could not say so.
            if under_way.earlier.take(job.object, checksum).is_none() {
                items.push((job.object, checksum));
                records.push(record);
            }
        }
        under_way.earlier.close();
        if !records.is_empty() {
            self.drop_files(under_way, records, items).await?;
        }
        Ok(done)
    }

    async fn drop_files(
        &self,
        under_way: &mut UnderWay,
        records: Vec<Record>,
        items: Vec<(Uuid, Option<u32>)>,
    ) -> Result<(), Fault> {
        let sequence = under_way.sequence + 1;
        let (options, columns) = (self.options.clone(), self.columns.clone());
        let files = self
            .work(move |spool| {
                let files = files(spool, &options, &columns, sequence, &records)?;
                spool.write(&files)?;
                Ok(files.into_iter().map(|ready| ready.name).collect::<Vec<String>>())
            })
            .await?;
        let note = Note { sequence, files, items };
        let text = serde_json::to_vec(&note).map_err(|e| Fault::Refused(e.to_string()))?;
        self.notes.save(Some(text)).await?;
        // From here on the delivery counts, whatever becomes of the process.
        (under_way.unsettled, under_way.sequence) = (true, sequence);
        let keep = self.options.keep;
        self.work(move |spool| {
            spool.publish(&note.files)?;
            keep.map_or(Ok(()), |keep| spool.retain(keep))
        })
        .await?;
        under_way.unsettled = false;
        Ok(())
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let spool = self.spool.clone();
        let worked = tokio::task::spawn_blocking(move || work(&spool)).await;
        let worked = worked.map_err(|_| Fault::Failed("internal: a write ended by a panic".to_owned()))?;
        worked.map_err(|error| Fault::Unreachable(format!("the folder cannot be used: {}", error.kind())))
    }
}

impl Carrier for Drop {
    fn most(&self) -> usize {
        self.options.rows
    }

    fn gather(&self) -> Duration {
        self.options.gather
    }

    async fn deliver(&self, jobs: Vec<Job>) -> Vec<(Uuid, Done)> {
        let mut under_way = self.under_way.lock().await;
        let done = Done::of_delivery(&jobs, self.send(&mut under_way, &jobs).await);
        let place = self.spool.file_name(under_way.sequence, "");
        carrier::note_outcomes(&self.ledger, &place, &jobs, &done);
        done
    }

    async fn preview(&self, job: Job) -> Result<Value, Fault> {
        let record = record_of(&job);
        Ok(json!({
            "action": job.work.name(),
            "resource": job.resource.name(),
            "before": job.sent,
            "requests": record.map(|record| match self.options.form {
                Form::Ldif => Value::from(ldif::changes(&record)),
                Form::Jsonl | Form::Csv => json!({ "id": record.object, "document": record.after }),
            }).into_iter().collect::<Vec<_>>(),
        }))
    }

    async fn open(&self) -> Result<(), Fault> {
        self.settle(&mut *self.under_way.lock().await).await
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.work(Spool::open).await
    }

    async fn list(&self, _: Resource, _: &Page) -> Result<Listed, Fault> {
        Err(Fault::Refused("files are one-way: nothing can be read back".to_owned()))
    }
}

/// What is to be said of an object; `None` for what nobody was ever told of.
fn record_of(job: &Job) -> Option<Record> {
    let (before, after) = match &job.work {
        Work::Create(document) => (job.sent.clone(), Some(document.clone())),
        Work::Update { before, after, .. } => (before.clone().or_else(|| job.sent.clone()), Some(after.clone())),
        Work::Delete { .. } | Work::Sweep(_) => (job.sent.clone(), None),
        Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => return None,
    };
    Some(Record { object: job.object, resource: job.resource, as_of: job.as_of, before, after })
}

fn answer(record: &Record, action: &'static str, form: Form) -> Done {
    let place = match &record.after {
        None => Place::Gone,
        Some(document) => {
            Place::Linked(Linked { id: record.id(form), etag: None, sent: document.clone(), dropped: Vec::new() })
        }
    };
    Done { action, place, fault: None }
}

/// The files of one delivery.
fn files(
    spool: &Spool,
    options: &Options,
    columns: &Columns,
    sequence: u64,
    records: &[Record],
) -> io::Result<Vec<Ready>> {
    let text = match options.form {
        Form::Ldif => "version: 1\n\n".to_owned() + &records.iter().map(ldif::changes).collect::<String>(),
        Form::Jsonl => records.iter().map(|record| record.jsonl(sequence)).collect(),
        Form::Csv => return tables(spool, options, columns, sequence, records),
    };
    let ending = format!(".{}", options.form.name());
    Ok(vec![Ready { name: spool.file_name(sequence, &ending), bytes: text.into_bytes() }])
}

/// One table for each kind of objects: they have columns of their own.
fn tables(
    spool: &Spool,
    options: &Options,
    columns: &Columns,
    sequence: u64,
    records: &[Record],
) -> io::Result<Vec<Ready>> {
    let mut files = Vec::new();
    for resource in [Resource::Department, Resource::User, Resource::Group] {
        let own: Vec<&Record> = records.iter().filter(|record| record.resource == resource).collect();
        if own.is_empty() {
            continue;
        }
        let columns = columns.get(&resource).map(Vec::as_slice).unwrap_or_default();
        let kind = plural(resource);
        let name = spool.file_name(sequence, &format!("-{kind}.csv"));
        let bytes = match options.content {
            Content::Changes => record::changes(&own, columns, &options.separator)?,
            Content::Full => {
                let state = spool.state(kind);
                let mut rows = match spool.read(&state)? {
                    Some(text) => record::read_whole(&text)?,
                    None => Rows::new(),
                };
                record::apply(&mut rows, &own, columns, &options.separator);
                let bytes = record::whole(&rows, columns)?;
                files.push(Ready { name: state, bytes: bytes.clone() });
                bytes
            }
        };
        files.push(Ready { name, bytes });
    }
    Ok(files)
}

fn plural(resource: Resource) -> &'static str {
    match resource {
        Resource::User => "users",
        Resource::Group => "groups",
        Resource::Department => "departments",
    }
}
