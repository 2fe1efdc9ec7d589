//! What a worker hands its plans to: one object at a time for targets that have requests for it, or
//! many in one delivery for those that take transactions and files.

use super::{
    ledger::{self, Ledger, Line},
    links::Claims,
    plan::Work,
    push::{self, Done, Manner, Place},
    target::{Document, Fault, Listed, Page, Remote, Resource, Target},
};
use crate::directory::Snapshot;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// One object of a delivery.
pub struct Job {
    pub object: Uuid,
    pub resource: Resource,
    pub work: Work,
    /// What the target is known to have taken last.
    pub sent: Option<Document>,
    /// Of the document that is to be sent: equal checksums are equal documents.
    pub checksum: u32,
    /// The version of the entry; 0 if it is gone.
    pub as_of: u64,
    /// Whose the objects of the target are.
    pub claims: Claims,
    pub snapshot: Arc<Snapshot>,
    /// Others wait for its present name, and it for theirs: it takes another one first, which is nobody's.
    pub aside: bool,
}

/// The way to one target.
pub trait Carrier: Send + Sync + 'static {
    /// How many objects one delivery takes at most.
    fn most(&self) -> usize {
        1
    }

    /// How long changes are gathered before a delivery begins.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Delivers; answers for each object what became of it, in any order. An object without an
    /// answer is delivered again, in doubt.
    fn deliver(&self, jobs: Vec<Job>) -> impl Future<Output = Vec<(Uuid, Done)>> + Send;

    /// What delivering would do, for people to read: the match, the difference, the requests.
    fn preview(&self, job: Job) -> impl Future<Output = Result<Value, Fault>> + Send;

    /// Before the first delivery and after a [`Fault::Closed`]: reads credentials again, and settles
    /// what an earlier process left unfinished at the target.
    fn open(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// After failures of the whole target, before any object is risked: is somebody there?
    fn probe(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// One object as it is at the target now, if it can be asked for alone.
    fn read(&self, resource: Resource, id: &str) -> impl Future<Output = Result<Remote, Fault>> + Send {
        let (_, _) = (resource, id);
        std::future::ready(Err(Fault::Refused("objects cannot be read one by one".to_owned())))
    }

    /// One page of all that the target has.
    fn list(&self, resource: Resource, page: &Page) -> impl Future<Output = Result<Listed, Fault>> + Send;
}

/// A target that takes objects one by one.
pub struct OneByOne<T> {
    target: T,
    manner: Manner,
}

impl<T: Target> OneByOne<T> {
    pub fn new(target: T, manner: Manner) -> Self {
        OneByOne { target, manner }
    }
}

impl<T: Target> Carrier for OneByOne<T> {
    async fn deliver(&self, jobs: Vec<Job>) -> Vec<(Uuid, Done)> {
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (object, resource) = (job.object, job.resource);
            let pushed = ledger::on_behalf_of(object, resource, push::carry_out(&self.target, job, &self.manner)).await;
            done.push((object, pushed));
        }
        done
    }

    async fn preview(&self, job: Job) -> Result<Value, Fault> {
        push::preview(&self.target, job, &self.manner).await
    }

    async fn open(&self) -> Result<(), Fault> {
        self.target.open().await
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.target.probe().await
    }

    async fn read(&self, resource: Resource, id: &str) -> Result<Remote, Fault> {
        self.target.read(resource, id).await
    }

    async fn list(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        self.target.list(resource, page).await
    }
}

/// One line of the log for each object of a delivery: `place` is the transaction or file that it was in.
pub fn note_outcomes(ledger: &Ledger, place: &str, jobs: &[Job], done: &[(Uuid, Done)]) {
    let by_object: HashMap<Uuid, &Job> = jobs.iter().map(|job| (job.object, job)).collect();
    for (object, done) in done {
        let Some(job) = by_object.get(object) else { continue };
        let remote_id = match (&done.place, &job.work) {
            (Place::Linked(linked), _) => Some(linked.id.clone()),
            (_, Work::Update { id, .. } | Work::Delete { id }) => Some(id.clone()),
            _ => None,
        };
        ledger.note(Line {
            object: Some(*object),
            resource: Some(job.resource),
            remote_id,
            action: done.action.to_owned(),
            path: place.to_owned(),
            attributes: changed(job),
            error: done.fault.as_ref().map(ToString::to_string),
            ..Line::default()
        });
    }
}

/// Names of the attributes in which a job differs from what the target has taken.
fn changed(job: &Job) -> Vec<String> {
    let after = match &job.work {
        Work::Create(after) | Work::Update { after, .. } => after,
        _ => return Vec::new(),
    };
    let none = Document::new();
    let before = job.sent.as_ref().unwrap_or(&none);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}
