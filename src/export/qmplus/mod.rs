//! QMPlus' directory integration (Identum) as a target: what has changed goes in one transaction of
//! departments and users, which the target carries out behind our back and reports on. A transaction
//! is noted before it can have an effect, and its outcome is read before the next is begun, by this
//! process or a later one: so nothing is sent twice though a commit was never answered.

pub mod api;
pub mod operations;
mod transaction;

use super::{
    Tools,
    carrier::{self, Carrier, Job},
    earlier::Earlier,
    http::Connection,
    ledger::Ledger,
    notes::Notes,
    plan::Work,
    push::{Done, Linked, Place},
    target::{Document, Fault, Listed, Page, Remote, Resource},
};
use api::{Api, PAGE};
use operations::{Entity, Form, Operation, operation};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::Duration,
};
use tokio::sync::Mutex;
use transaction::Item;
use uuid::Uuid;

/// What is sent, unless the target has a map of its own.
pub const MAP: &str = include_str!("../../../config/maps/qmplus.map.yml");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub connection: Connection,
    /// The header that names the customer.
    pub tenant: String,
    pub token_file: PathBuf,
    pub form: Form,
    /// As whom the token works there: transactions of this user are looked for at the start.
    pub created_by: Option<String>,
    /// How long changes are gathered for one transaction.
    pub gather: Duration,
    /// Operations in one transaction.
    pub operations: usize,
    /// Operations in one call.
    pub page: usize,
    pub checkpoints_per_minute: usize,
    pub calls_per_minute: usize,
    pub lists_per_minute: usize,
    /// How often the state of a transaction is asked for, and for how long.
    pub poll: Duration,
    pub patience: Duration,
}

pub struct QmPlus {
    api: Api,
    notes: Notes,
    ledger: Ledger,
    options: Options,
    /// One transaction at a time: a later one must not overtake what an earlier one says.
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    /// The noted transaction may have effects that nobody has looked at.
    unsettled: bool,
    earlier: Earlier,
}

/// An object that is to be sent, and as what it then stands in its row.
struct Sending {
    object: Uuid,
    checksum: Option<u32>,
    action: &'static str,
    place: Place,
    operations: Vec<Operation>,
}

impl QmPlus {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        let api = Api::new(options, tools)?;
        let unsettled = tools.notes.load().is_some();
        let under_way = Mutex::new(UnderWay { unsettled, earlier: Earlier::default() });
        Ok(QmPlus {
            api,
            notes: tools.notes.clone(),
            ledger: tools.ledger.clone(),
            options: options.clone(),
            under_way,
        })
    }

    /// What one job comes to before anything is asked: operations, or an answer.
    fn prepare(&self, job: &Job, held: &HashMap<String, Document>) -> Result<Sending, Box<Done>> {
        let Some(entity) = Entity::of(job.resource) else {
            return Err(Box::new(Done::failed("none", Fault::Refused("the target has no groups".to_owned()))));
        };
        let form = &self.options.form;
        let refused = |action, rule| Box::new(Done::failed(action, Fault::Refused(rule)));
        let (action, checksum, place, operations) = match &job.work {
            Work::Create(document) => {
                let made = operation(entity, document, form, true).map_err(|rule| refused("create", rule))?;
                ("create", Some(job.checksum), linked(&made, document), vec![made])
            }
            Work::Update { id, after, .. } => {
                let made = operation(entity, after, form, false).map_err(|rule| refused("update", rule))?;
                let mut operations = vec![made.clone()];
                // Known by another name from now on: what had the old one is closed.
                if *id != made.external_id {
                    let mut old = operations::closed(after);
                    old.insert("externalId".to_owned(), id.as_str().into());
                    operations.push(operation(entity, &old, form, false).map_err(|rule| refused("update", rule))?);
                }
                ("update", Some(job.checksum), linked(&made, after), operations)
            }
            Work::Delete { .. } | Work::Sweep(_) => {
                let id = leaver(job);
                let Some(document) = held.get(&id).or(job.sent.as_ref()) else {
                    return Err(Box::new(Done { action: "delete", place: Place::Gone, fault: None }));
                };
                let closed = operations::closed(document);
                let made = operation(entity, &closed, form, false).map_err(|rule| refused("deactivate", rule))?;
                ("deactivate", None, Place::Gone, vec![made])
            }
            Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
                return Err(Box::new(Done { action: "none", place: Place::AsBefore, fault: None }));
            }
        };
        Ok(Sending { object: job.object, checksum, action, place, operations })
    }

    /// Those leavers of whom we do not know what the target holds, as it says itself.
    async fn read_leavers(&self, jobs: &[Job]) -> Result<HashMap<String, Document>, Fault> {
        let wanted: HashSet<String> = jobs
            .iter()
            .filter(|job| job.sent.is_none() && matches!(job.work, Work::Delete { .. } | Work::Sweep(_)))
            .map(leaver)
            .collect();
        let mut held = HashMap::new();
        if wanted.is_empty() {
            return Ok(held);
        }
        for resource in [Resource::Department, Resource::User] {
            let mut page = Page::default();
            loop {
                let listed = self.page(resource, &page).await?;
                held.extend(listed.objects.into_iter().filter(|r| wanted.contains(&r.id)).map(|r| (r.id, r.document)));
                match listed.next {
                    Some(next) => page = next,
                    None => break,
                }
            }
        }
        Ok(held)
    }

    async fn send(&self, under_way: &mut UnderWay, jobs: &[Job]) -> Result<Vec<(Uuid, Done)>, Fault> {
        if under_way.unsettled {
            self.settle(under_way).await?;
        }
        let held = self.read_leavers(jobs).await?;
        let (mut done, mut sending) = (Vec::new(), Vec::new());
        for job in jobs {
            match self.prepare(job, &held) {
                Err(answer) => done.push((job.object, *answer)),
                Ok(ready) => match under_way.earlier.take(job.object, ready.checksum) {
                    Some(outcome) => done.push((job.object, answer(&ready, outcome))),
                    None => sending.push(ready),
                },
            }
        }
        under_way.earlier.close();
        let mut rest = sending.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest));
            let items = now.iter().flat_map(|ready| ready.operations.iter().map(|op| Item::new(ready, op.clone())));
            let outcomes = self.transact(under_way, items.collect()).await;
            match outcomes {
                Ok(outcomes) => done.extend(now.iter().map(|ready| {
                    let fault = outcomes.get(&ready.object).cloned();
                    (ready.object, answer(ready, fault.map_or(Ok(()), Err)))
                })),
                // What came before in this delivery has been done all the same.
                Err(fault) => {
                    done.extend(rest.iter().map(|ready| (ready.object, Done::failed(ready.action, fault.clone()))));
                    break;
                }
            }
            rest = later;
        }
        Ok(done)
    }

    /// How many of these one transaction takes.
    fn fitting(&self, sending: &[Sending]) -> usize {
        let mut sum = 0;
        let fits = |ready: &&Sending| {
            sum += ready.operations.len();
            sum <= self.options.operations
        };
        sending.iter().take_while(fits).count().max(1)
    }

    async fn page(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        let entity = Entity::of(resource).ok_or_else(|| Fault::Refused("the target has no groups".to_owned()))?;
        let departments = match entity {
            Entity::User => self.department_ids().await?,
            Entity::Department => HashMap::new(),
        };
        let read = self.api.read_back(entity, page.skip).await?;
        let seen = page.skip + read.entries.len();
        let is_last = read.entries.len() < PAGE && read.total.is_none_or(|total| total <= seen);
        let objects = read.entries.into_iter().filter_map(|entry| as_written(entity, entry, &departments)).collect();
        let next = (!is_last).then_some(Page { skip: seen, cursor: None });
        Ok(Listed { objects, next, total: read.total })
    }

    /// The target's own ids of departments to ours: users are read back with the former.
    async fn department_ids(&self) -> Result<HashMap<String, String>, Fault> {
        let mut ids = HashMap::new();
        let mut skip = 0;
        loop {
            let read = self.api.read_back(Entity::Department, skip).await?;
            skip += read.entries.len();
            let last = read.entries.len() < PAGE;
            ids.extend(read.entries.iter().filter_map(|e| Some((text(e, "id")?, text(e, OUR_ID)?))));
            if last {
                return Ok(ids);
            }
        }
    }
}

impl Carrier for QmPlus {
    fn most(&self) -> usize {
        self.options.operations
    }

    fn gather(&self) -> Duration {
        self.options.gather
    }

    async fn deliver(&self, jobs: Vec<Job>) -> Vec<(Uuid, Done)> {
        let mut under_way = self.under_way.lock().await;
        let done = Done::of_delivery(&jobs, self.send(&mut under_way, &jobs).await);
        carrier::note_outcomes(&self.ledger, "provisioning/iam", &jobs, &done);
        done
    }

    async fn preview(&self, job: Job) -> Result<Value, Fault> {
        let held = self.read_leavers(std::slice::from_ref(&job)).await?;
        let shown = match self.prepare(&job, &held) {
            Ok(ready) => json!({
                "action": ready.action,
                "resource": job.resource.name(),
                "before": job.sent,
                "requests": ready.operations.iter().map(|op| json!({
                    "method": "POST",
                    "path": format!("provisioning/iam/{{transaction}}/{}", op.entity.name()),
                    "body": [op.body],
                })).collect::<Vec<_>>(),
            }),
            Err(done) => json!({
                "action": done.action,
                "resource": job.resource.name(),
                "fault": done.fault.map(|fault| fault.to_string()),
            }),
        };
        Ok(shown)
    }

    async fn open(&self) -> Result<(), Fault> {
        self.api.read_token().await?;
        let mut under_way = self.under_way.lock().await;
        self.settle(&mut under_way).await?;
        self.await_others().await
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.api.past(self.options.created_by.as_deref().unwrap_or_default(), "OPEN").await.map(drop)
    }

    async fn list(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        self.page(resource, page).await
    }
}

fn linked(made: &Operation, document: &Document) -> Place {
    Place::Linked(Linked { id: made.external_id.clone(), etag: None, sent: document.clone(), dropped: Vec::new() })
}

fn answer(ready: &Sending, outcome: Result<(), Fault>) -> Done {
    match outcome {
        Ok(()) => Done { action: ready.action, place: ready.place.clone(), fault: None },
        Err(fault) => Done::failed(ready.action, fault),
    }
}

/// By what the target knows an object that is to go. A map that has not said otherwise uses the entryUUID.
fn leaver(job: &Job) -> String {
    match &job.work {
        Work::Delete { id } => id.clone(),
        _ => job.object.to_string(),
    }
}

/// What is read back has other names than what is written.
fn as_written(entity: Entity, mut entry: Document, departments: &HashMap<String, String>) -> Option<Remote> {
    let id = text(&entry, OUR_ID)?;
    entry.insert("externalId".to_owned(), id.as_str().into());
    for own in ["id", OUR_ID, "parentDepartmentId"] {
        entry.remove(own);
    }
    match entity {
        Entity::Department => {
            if let Some(parent) = entry.remove("parentDirectoryUniqueIdentifier").filter(Value::is_string) {
                entry.insert("parentExternalId".to_owned(), parent);
            }
        }
        Entity::User => {
            let kinds = entry.remove("userTypes").and_then(|kinds| kinds.as_array().cloned()).unwrap_or_default();
            let kinds = kinds.iter().filter_map(Value::as_object);
            let (mut ours, mut names) = (Vec::new(), Vec::new());
            for kind in kinds {
                let department = text(kind, "departmentId").and_then(|id| departments.get(&id).cloned());
                ours.extend(department);
                names.extend(text(kind, "userTypeName").filter(|name| !names.contains(name)));
            }
            entry.insert("departments".to_owned(), ours.into());
            let names = if names.len() == 1 { names.into_iter().next().into() } else { Value::from(names) };
            entry.insert("userTypeName".to_owned(), names);
        }
    }
    entry.retain(|_, value| !value.is_null());
    Some(Remote { id, etag: None, document: entry, dropped: Vec::new() })
}

fn text(document: &Document, key: &str) -> Option<String> {
    document.get(key).and_then(Value::as_str).map(str::to_owned)
}

const OUR_ID: &str = "directoryUniqueIdentifier";
