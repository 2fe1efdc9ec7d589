//! 4me (now Xurrent) as a target: people and then their contact details are uploaded as tables, which
//! the target imports behind our back. A token is noted before its import is asked after. An import of
//! which nothing can be learnt any more is made again: rows say what is, not what changes, so that a
//! second import of them changes nothing.

mod api;
mod import;
mod log;
pub mod table;

use super::{
    Tools,
    carrier::{self, Carrier, Job},
    http::Connection,
    ledger::Ledger,
    notes::Notes,
    plan::Work,
    push::{Done, Linked, Place},
    target::{Document, Fault, Listed, Page, Resource},
};
use api::{Api, Table};
use import::Unit;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};
use table::{Person, Rules};
use tokio::sync::Mutex;
use uuid::Uuid;

/// What is sent, unless the target has a map of its own.
pub const MAP: &str = include_str!("../../../config/maps/4me.map.yml");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub connection: Connection,
    pub account: String,
    pub token_file: PathBuf,
    /// The Source of all people whom we send.
    pub source: String,
    /// Organizations that 4me has; a person of another one is not sent. Both lists count; without any,
    /// the import itself tells.
    pub organizations: Option<BTreeSet<String>>,
    pub organizations_file: Option<PathBuf>,
    pub gather: Duration,
    /// People in one file.
    pub rows: usize,
    /// How often the state of an import is asked for, and for how long.
    pub poll: Duration,
    pub patience: Duration,
}

pub struct FourMe {
    api: Api,
    notes: Notes,
    ledger: Ledger,
    options: Options,
    /// Columns that the map fills, in its order. They are always there, so that what an entry has lost
    /// is cleared.
    columns: Vec<String>,
    /// One import at a time: the rows of a later one must not be overtaken.
    under_way: Mutex<UnderWay>,
}

struct UnderWay {
    /// The noted import may still run.
    unsettled: bool,
}

/// Someone who is to be sent.
struct Sending {
    object: Uuid,
    action: &'static str,
    document: Document,
    person: Person,
    /// Whether contact details have changed, or may have.
    with_contacts: bool,
    /// Contact details were sent before, and there is no way to say that there are none.
    lost_contacts: bool,
}

/// Someone who is to be closed, as far as we know how the target knows them.
struct Leaving {
    object: Uuid,
    cells: HashMap<String, String>,
    /// Perhaps nobody is there.
    is_guess: bool,
}

enum Ready {
    Sending(Box<Sending>),
    Leaving(Leaving),
}

impl FourMe {
    pub fn new(options: &Options, columns: Vec<String>, tools: &Tools) -> Result<Self, Fault> {
        let api = Api::new(options, tools)?;
        let unsettled = tools.notes.load().is_some();
        let under_way = Mutex::new(UnderWay { unsettled });
        Ok(FourMe {
            api,
            notes: tools.notes.clone(),
            ledger: tools.ledger.clone(),
            options: options.clone(),
            columns,
            under_way,
        })
    }

    async fn organizations(&self) -> Result<Option<BTreeSet<String>>, Fault> {
        let mut known = self.options.organizations.clone();
        if let Some(file) = &self.options.organizations_file {
            let text = tokio::fs::read_to_string(file)
                .await
                .map_err(|e| Fault::Closed(format!("organizations_file cannot be read: {}", e.kind())))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
            known.get_or_insert_default().extend(lines);
        }
        Ok(known)
    }

    fn prepare(&self, job: &Job, organizations: Option<&BTreeSet<String>>) -> Result<Ready, Box<Done>> {
        if job.resource != Resource::User {
            return Err(Box::new(Done::failed("none", Fault::Refused("the target takes people only".to_owned()))));
        }
        let rules = Rules { source: &self.options.source, organizations };
        let (action, document, before) = match &job.work {
            Work::Create(document) => ("create", document, None),
            Work::Update { before, after, .. } => ("update", after, before.as_ref()),
            Work::Delete { id } => return Ok(Ready::Leaving(self.leaving(job, id, false))),
            Work::Sweep(_) => return Ok(Ready::Leaving(self.leaving(job, &job.object.to_string(), true))),
            Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
                return Err(Box::new(Done { action: "none", place: Place::AsBefore, fault: None }));
            }
        };
        let person =
            table::person(document, rules).map_err(|rule| Box::new(Done::failed(action, Fault::Refused(rule))))?;
        let (now, then) = (contacts(document), before.map(contacts));
        Ok(Ready::Sending(Box::new(Sending {
            object: job.object,
            action,
            with_contacts: !person.contacts.is_empty() && then.as_ref() != Some(&now),
            lost_contacts: now.is_empty() && then.is_some_and(|then| !then.is_empty()),
            document: document.clone(),
            person,
        })))
    }

    fn leaving(&self, job: &Job, id: &str, is_guess: bool) -> Leaving {
        let sent = |column: &str| job.sent.as_ref().and_then(|sent| sent.get(column)).and_then(Value::as_str);
        let address = sent("Primary Email").or(Some(id).filter(|id| id.contains('@')));
        let source_id = sent("Source ID").or(Some(id).filter(|id| !id.contains('@')));
        Leaving { object: job.object, cells: table::leaver(&self.options.source, source_id, address), is_guess }
    }

    async fn send(&self, under_way: &mut UnderWay, jobs: &[Job]) -> Result<Vec<(Uuid, Done)>, Fault> {
        self.settle(under_way).await?;
        let organizations = self.organizations().await?;
        let (mut done, mut sending, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match self.prepare(job, organizations.as_ref()) {
                Err(answer) => done.push((job.object, *answer)),
                Ok(Ready::Sending(ready)) => sending.push(*ready),
                Ok(Ready::Leaving(ready)) => leaving.push(ready),
            }
        }
        match self.send_leavers(under_way, &leaving).await {
            Ok(answers) => done.extend(answers),
            Err(fault) => {
                done.extend(leaving.iter().map(|ready| (ready.object, Done::failed("deactivate", fault.clone()))))
            }
        }
        let sent = self.send_people(under_way, sending, &mut done).await;
        let contacts = self.send_contacts(under_way, &sent).await;
        done.extend(sent.into_iter().map(|ready| {
            let fault = match &contacts {
                Ok(faults) => faults.get(&ready.object).cloned(),
                Err(fault) => ready.with_contacts.then(|| fault.clone()),
            };
            (ready.object, reached(ready, fault))
        }));
        Ok(done)
    }

    /// People by the columns that they fill: an empty cell would clear what nobody has spoken of.
    async fn send_people(
        &self,
        under_way: &mut UnderWay,
        sending: Vec<Sending>,
        done: &mut Vec<(Uuid, Done)>,
    ) -> Vec<Sending> {
        let mut groups: HashMap<Vec<String>, Vec<Sending>> = HashMap::new();
        for ready in sending {
            groups.entry(self.columns(&ready.person)).or_default().push(ready);
        }
        let mut sent = Vec::new();
        for (columns, group) in groups {
            let group = table::managers_first(group, |ready| &ready.person.cells);
            let units: Vec<Unit> = group.iter().map(|ready| Unit::person(&ready.person.cells)).collect();
            let outcome = self.import(under_way, Table::People, &columns, &units).await;
            for (at, ready) in group.into_iter().enumerate() {
                let fault = match &outcome {
                    Ok(failed) => failed.get(&at).map(|why| row_fault(why, &ready.person.cells)),
                    Err(fault) => Some(fault.clone()),
                };
                match fault {
                    None => sent.push(ready),
                    Some(fault) => done.push((ready.object, Done::failed(ready.action, fault))),
                }
            }
        }
        sent
    }

    /// The map's columns; those that have a meaning by being there, only for those who have them.
    fn columns(&self, person: &Person) -> Vec<String> {
        let has = |column: &str| person.cells.contains_key(column);
        let named = self.columns.iter().map(String::as_str);
        let mut columns: Vec<String> = Vec::new();
        for column in ["Primary Email", "Source", "Source ID", "Disabled"].into_iter().chain(named) {
            let is_optional = matches!(column, "Source" | "Source ID" | "Disabled" | "ID");
            let is_column = table::PEOPLE.contains(&column);
            if is_column && !columns.iter().any(|known| known == column) && (!is_optional || has(column)) {
                columns.push(column.to_owned());
            }
        }
        let mut others: Vec<String> = person.cells.keys().filter(|column| !columns.contains(column)).cloned().collect();
        others.sort();
        columns.extend(others);
        columns
    }

    async fn send_leavers(&self, under_way: &mut UnderWay, leaving: &[Leaving]) -> Result<Vec<(Uuid, Done)>, Fault> {
        let mut groups: HashMap<Vec<String>, Vec<&Leaving>> = HashMap::new();
        for ready in leaving {
            let mut columns: Vec<String> = ready.cells.keys().cloned().collect();
            columns.sort();
            groups.entry(columns).or_default().push(ready);
        }
        let mut done = Vec::new();
        for (columns, group) in groups {
            let units: Vec<Unit> = group.iter().map(|ready| Unit::person(&ready.cells)).collect();
            let failures = self.import(under_way, Table::People, &columns, &units).await?;
            for (at, ready) in group.into_iter().enumerate() {
                let fault = failures.get(&at).filter(|_| !ready.is_guess).map(|why| Fault::Failed(why.clone()));
                let answer = match fault {
                    Some(fault) => Done::failed("deactivate", fault),
                    None => Done { action: "deactivate", place: Place::Gone, fault: None },
                };
                done.push((ready.object, answer));
            }
        }
        Ok(done)
    }

    /// The rows of one person stand together: a second group of them would replace the first.
    async fn send_contacts(&self, under_way: &mut UnderWay, sent: &[Sending]) -> Result<HashMap<Uuid, Fault>, Fault> {
        let with: Vec<&Sending> = sent.iter().filter(|ready| ready.with_contacts).collect();
        if with.is_empty() {
            return Ok(HashMap::new());
        }
        let units: Vec<Unit> = with.iter().map(|ready| Unit::contacts(&ready.person)).collect();
        let columns = table::CONTACTS.map(str::to_owned);
        let failures = self.import(under_way, Table::Contacts, &columns, &units).await?;
        let fault = |(at, why): (usize, String)| Some((with.get(at)?.object, Fault::Refused(why)));
        Ok(failures.into_iter().filter_map(fault).collect())
    }
}

impl Carrier for FourMe {
    fn most(&self) -> usize {
        self.options.rows
    }

    fn gather(&self) -> Duration {
        self.options.gather
    }

    async fn deliver(&self, jobs: Vec<Job>) -> Vec<(Uuid, Done)> {
        let mut under_way = self.under_way.lock().await;
        let done = Done::of_delivery(&jobs, self.send(&mut under_way, &jobs).await);
        carrier::note_outcomes(&self.ledger, "v1/import", &jobs, &done);
        done
    }

    async fn preview(&self, job: Job) -> Result<Value, Fault> {
        let organizations = self.organizations().await?;
        Ok(match self.prepare(&job, organizations.as_ref()) {
            Ok(Ready::Sending(ready)) => json!({
                "action": ready.action,
                "resource": job.resource.name(),
                "before": job.sent,
                "after": ready.document,
                "requests": [
                    {"method": "POST", "path": "v1/import", "type": "people", "rows": [ready.person.cells]},
                    {"method": "POST", "path": "v1/import", "type": "people_contact_details",
                        "rows": if ready.with_contacts { ready.person.contacts } else { Vec::new() }},
                ],
            }),
            Ok(Ready::Leaving(ready)) => json!({
                "action": "deactivate",
                "resource": job.resource.name(),
                "before": job.sent,
                "requests": [{"method": "POST", "path": "v1/import", "type": "people", "rows": [ready.cells]}],
            }),
            Err(done) => json!({
                "action": done.action,
                "resource": job.resource.name(),
                "fault": done.fault.map(|fault| fault.to_string()),
            }),
        })
    }

    async fn open(&self) -> Result<(), Fault> {
        self.api.read_token().await?;
        self.settle(&mut *self.under_way.lock().await).await
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.api.me().await
    }

    async fn list(&self, _: Resource, _: &Page) -> Result<Listed, Fault> {
        Err(Fault::Refused("imports are one-way: people cannot be read back".to_owned()))
    }
}

/// The part of a document that becomes contact details.
fn contacts(document: &Document) -> Document {
    let is_contact = |key: &str| key.starts_with("contact ") || key.starts_with("address ");
    document.iter().filter(|(key, _)| is_contact(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What has come of someone whose row of people was taken.
fn reached(ready: Sending, fault: Option<Fault>) -> Done {
    let Sending { action, mut document, person, lost_contacts, .. } = ready;
    if fault.is_some() {
        document.retain(|key, _| !key.starts_with("contact ") && !key.starts_with("address "));
    }
    let id = ["Source ID", "Primary Email"].iter().find_map(|column| person.cells.get(*column)).cloned();
    let dropped = if lost_contacts { vec!["contact details".to_owned()] } else { Vec::new() };
    let linked = Linked { id: id.unwrap_or_default(), etag: None, sent: document, dropped };
    Done { action, place: Place::Linked(linked), fault }
}

/// Whose manager may still come is tried again; all else waits for a change.
fn row_fault(why: &str, cells: &HashMap<String, String>) -> Fault {
    let has_manager = cells.get("Manager").is_some_and(|manager| !manager.is_empty());
    match has_manager && (why.is_empty() || why.contains("Manager")) {
        true => Fault::Failed(why.to_owned()),
        false => Fault::Refused(why.to_owned()),
    }
}
