//! Carries one plan out at the target: match, create, update, delete. Knows no rows and no time.

use super::{
    carrier::Job,
    links::Claims,
    mapping::Mapping,
    plan::Work,
    target::{Document, Fault, Kept, Key, Page, Remote, Resource, Stopped, Target},
};
use crate::directory::Snapshot;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Which objects of the target may become ours though someone else made them (`match`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// Those of the same name that carry no other externalId.
    #[default]
    Verified,
    /// None: a name that is taken is an error.
    Never,
    /// All of the same name.
    Always,
}

#[derive(Clone, Debug)]
pub struct Manner {
    pub matching: Match,
    pub mapping: Arc<Mapping>,
}

/// The object as the target now has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Linked {
    pub id: String,
    pub etag: Option<String>,
    pub sent: Document,
    /// Attributes that it took and did not keep.
    pub dropped: Vec<String>,
}

impl Linked {
    fn new(id: String, sent: Document, kept: Kept) -> Self {
        Linked { id, etag: kept.etag, sent, dropped: kept.dropped }
    }

    /// As far as an update came that ended early.
    fn partly(id: String, sent: Document) -> Self {
        Linked { id, etag: None, sent, dropped: Vec::new() }
    }
}

/// Where a push has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Nothing is known that was not known before.
    AsBefore,
    Linked(Linked),
    /// The target does not have it.
    Gone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// One word for logs and metrics.
    pub action: &'static str,
    pub place: Place,
    pub fault: Option<Fault>,
}

impl Done {
    /// Nothing is known that was not known before, but why.
    pub fn failed(action: &'static str, fault: Fault) -> Self {
        Done { action, place: Place::AsBefore, fault: Some(fault) }
    }

    /// What a delivery came to: what was answered, or for each object why nothing was.
    pub fn of_delivery(jobs: &[Job], sent: Result<Vec<(Uuid, Done)>, Fault>) -> Vec<(Uuid, Done)> {
        let each =
            |fault: Fault| jobs.iter().map(|job| (job.object, Done::failed(job.work.name(), fault.clone()))).collect();
        sent.unwrap_or_else(each)
    }
}

pub async fn carry_out<T: Target>(target: &T, job: Job, manner: &Manner) -> Done {
    let Job { object, resource, work, claims, snapshot, aside, .. } = job;
    let push = Push { target, resource, object, external_id: object.to_string(), claims, snapshot, manner };
    match work {
        Work::Create(document) => push.create(document, "create").await,
        Work::Update { id, before, after } if aside => push.step_aside(id, before, after).await,
        Work::Update { id, before, after } => push.update(id, before, after).await,
        Work::Delete { id } => match target.delete(resource, &id).await {
            Ok(()) | Err(Fault::NotFound) => Done { action: "delete", place: Place::Gone, fault: None },
            Err(fault) => Done::failed("delete", fault),
        },
        Work::Sweep(resources) => push.sweep(&resources).await,
        Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
            Done { action: "none", place: Place::AsBefore, fault: None }
        }
    }
}

/// What [`carry_out`] would do, for people to read; nothing is changed at the target.
pub async fn preview<T: Target>(target: &T, job: Job, manner: &Manner) -> Result<Value, Fault> {
    let Job { object, resource, work, claims, snapshot, .. } = job;
    let push = Push { target, resource, object, external_id: object.to_string(), claims, snapshot, manner };
    let shown = |action: &str, id: Option<&str>, before: &Document, after: &Document| {
        json!({
            "action": action,
            "resource": resource.name(),
            "remoteId": id,
            "before": before,
            "after": after,
            "requests": target.requests(resource, id, before, after),
        })
    };
    Ok(match work {
        Work::Create(mut document) => match push.look_up(&document).await? {
            None => shown("create", None, &Document::new(), &document),
            Some(remote) => {
                let before = push.ours(&remote);
                keep_active(&before, &mut document);
                shown("adopt", Some(&remote.id), &before, &document)
            }
        },
        Work::Update { id, before, after } => {
            let before = match before {
                Some(before) => before,
                None => push.ours(&target.read(resource, &id).await?),
            };
            shown("update", Some(&id), &before, &after)
        }
        Work::Delete { id } => json!({ "action": "delete", "resource": resource.name(), "remoteId": id }),
        Work::Sweep(_) => json!({ "action": "sweep", "resource": resource.name() }),
        Work::Leave | Work::Skip | Work::Unchanged | Work::StillRefused | Work::Impossible(_) => {
            json!({ "action": "none", "resource": resource.name() })
        }
    })
}

struct Push<'a, T> {
    target: &'a T,
    resource: Resource,
    object: Uuid,
    external_id: String,
    claims: Claims,
    snapshot: Arc<Snapshot>,
    manner: &'a Manner,
}

impl<T: Target> Push<'_, T> {
    /// Takes a name that is nobody's before it asks for its own: whoever wants its present one, and holds
    /// the one that it wants, can then go on.
    async fn step_aside(&self, id: String, before: Option<Document>, after: Document) -> Done {
        let before = match before {
            Some(before) => Ok(before),
            None => self.target.read(self.resource, &id).await.map(|remote| self.ours(&remote)),
        };
        let Ok(before) = before else { return self.update(id, None, after).await };
        let mut aside = before.clone();
        aside.insert(self.resource.name_attribute().to_owned(), Value::from(self.external_id.as_str()));
        match self.target.update(self.resource, &id, &before, &aside).await {
            Ok(kept) => match self.update(id.clone(), Some(aside.clone()), after).await {
                Done { action, place: Place::AsBefore, fault } => {
                    Done { action, place: Place::Linked(Linked::new(id, aside, kept)), fault }
                }
                done => done,
            },
            Err(Stopped { fault, .. }) => Done::failed("update", fault),
        }
    }

    async fn update(&self, id: String, before: Option<Document>, mut after: Document) -> Done {
        let before = match before {
            Some(before) => Ok(before),
            None => self.target.read(self.resource, &id).await.map(|remote| self.ours(&remote)),
        };
        let before = match before {
            Ok(before) => before,
            Err(Fault::NotFound) => return self.recreate(after).await,
            Err(fault) => return Done::failed("update", fault),
        };
        keep_active(&before, &mut after);
        match self.target.update(self.resource, &id, &before, &after).await {
            Ok(kept) => Done { action: "update", place: Place::Linked(Linked::new(id, after, kept)), fault: None },
            Err(Stopped { fault: Fault::NotFound, .. }) => self.recreate(after).await,
            Err(Stopped { fault, reached }) => {
                let place = match reached {
                    Some(sent) => Place::Linked(Linked::partly(id, sent)),
                    None => Place::AsBefore,
                };
                let fault = match fault {
                    Fault::Conflict(_) => self.explain(fault, &after).await,
                    other => other,
                };
                Done { action: "update", place, fault: Some(fault) }
            }
        }
    }

    /// Someone has removed it there: match or create as for a new one.
    async fn recreate(&self, document: Document) -> Done {
        let again = self.create(document, "recreate").await;
        match again.place {
            Place::AsBefore => Done { place: Place::Gone, ..again },
            _ => again,
        }
    }

    /// The part of an object of the target that is ours.
    fn ours(&self, remote: &Remote) -> Document {
        let mapped = || self.manner.mapping.project(self.resource, &remote.document);
        self.target.ours(remote).unwrap_or_else(mapped)
    }

    /// Looks first: an earlier create may have arrived without our knowing.
    async fn create(&self, document: Document, action: &'static str) -> Done {
        match self.look_up(&document).await {
            Err(fault) => Done::failed(action, fault),
            Ok(Some(remote)) => self.adopt(remote, document).await,
            Ok(None) => match self.target.create(self.resource, &document).await {
                Ok(remote) => self.complete(remote, document, action).await,
                Err(conflict @ Fault::Conflict(_)) => match self.look_again(&document).await {
                    Ok(Some(remote)) => self.adopt(remote, document).await,
                    Ok(None) => Done::failed(action, conflict),
                    Err(fault) => Done::failed(action, fault),
                },
                Err(fault) => Done::failed(action, fault),
            },
        }
    }

    /// A target that takes large lists in parts has only the first of them yet.
    async fn complete(&self, remote: Remote, document: Document, action: &'static str) -> Done {
        if remote.document == document {
            let kept = Kept { etag: remote.etag, dropped: remote.dropped };
            let linked = Linked::new(remote.id, document, kept);
            return Done { action, place: Place::Linked(linked), fault: None };
        }
        self.bring_on(remote.id, remote.document, document, action).await
    }

    async fn adopt(&self, remote: Remote, mut document: Document) -> Done {
        let before = self.ours(&remote);
        keep_active(&before, &mut document);
        self.bring_on(remote.id, before, document, "adopt").await
    }

    /// As an update, but the id is news even if nothing else succeeds.
    async fn bring_on(&self, id: String, before: Document, after: Document, action: &'static str) -> Done {
        match self.target.update(self.resource, &id, &before, &after).await {
            Ok(kept) => Done { action, place: Place::Linked(Linked::new(id, after, kept)), fault: None },
            Err(Stopped { fault, reached }) => {
                let linked = Linked::partly(id, reached.unwrap_or(before));
                Done { action, place: Place::Linked(linked), fault: Some(fault) }
            }
        }
    }

    /// The one object of the target that is, or may become, this one.
    async fn look_up(&self, document: &Document) -> Result<Option<Remote>, Fault> {
        let ours = self.target.find(self.resource, Key::ExternalId(&self.external_id)).await?;
        if let Some(remote) = only(ours, "externalId")? {
            return Ok(Some(remote));
        }
        let attribute = self.resource.name_attribute();
        let named = self.target.find(self.resource, Key::Name(name_in(self.resource, document))).await?;
        // Not every target that keeps an externalId finds by it: a create whose answer was lost is ours.
        if let [remote] = named.as_slice()
            && carried(remote) == Some(self.object)
        {
            return Ok(Some(remote.clone()));
        }
        if self.manner.matching == Match::Never {
            return Ok(None);
        }
        self.judge(only(named, attribute)?)
    }

    /// After a conflict: something is in the way, though a look-up may not show it. There are targets
    /// whose filters know case where their names know none, and some whose filters know few attributes;
    /// so all are looked through, if they are not too many.
    async fn look_again(&self, document: &Document) -> Result<Option<Remote>, Fault> {
        if let Some(remote) = self.look_up(document).await? {
            return Ok(Some(remote));
        }
        let name = name_in(self.resource, document).to_lowercase();
        let (mut ours, mut named) = (Vec::new(), Vec::new());
        let mut next = Some(Page::default());
        for _ in 0..MOST_PAGES {
            let Some(page) = next.take() else { break };
            let listed = match self.target.list(self.resource, &page).await {
                Err(Fault::Refused(_)) => return Ok(None),
                other => other?,
            };
            for remote in listed.objects {
                if carried(&remote) == Some(self.object) {
                    ours.push(remote);
                } else if name_in(self.resource, &remote.document).to_lowercase() == name {
                    named.push(remote);
                }
            }
            next = listed.next;
        }
        match only(ours, "externalId")? {
            Some(remote) => Ok(Some(remote)),
            None if self.manner.matching == Match::Never => Ok(None),
            None => self.judge(only(named, self.resource.name_attribute())?),
        }
    }

    /// Whether an object of our name may become ours.
    fn judge(&self, named: Option<Remote>) -> Result<Option<Remote>, Fault> {
        let Some(remote) = named else { return Ok(None) };
        if let Some(by) = self.other_owner(&remote) {
            return Err(Fault::Taken { by });
        }
        match carried(&remote) {
            // Not every target finds by externalId.
            Some(by) if by == self.object => return Ok(Some(remote)),
            // Perhaps an entry that has just gone, and whose object is about to.
            Some(by) if self.manner.matching == Match::Verified => return Err(Fault::Taken { by }),
            _ => {}
        }
        let carries = remote.document.get("externalId").and_then(Value::as_str).unwrap_or_default();
        if self.manner.matching == Match::Verified && !carries.is_empty() {
            let attribute = self.resource.name_attribute();
            return Err(Fault::Refused(format!(
                "the target has an object of this {attribute} with another externalId"
            )));
        }
        Ok(Some(remote))
    }

    /// The entry, not this one, that an object is known to be linked with, or will be: a create
    /// may have arrived of which we do not know yet.
    fn other_owner(&self, remote: &Remote) -> Option<Uuid> {
        let linked = self.claims.owner(self.resource, &remote.id);
        let exists = |uuid: &Uuid| self.snapshot.by_uuid(*uuid).is_some();
        linked.or_else(|| carried(remote).filter(exists)).filter(|owner| *owner != self.object)
    }

    /// Whether a conflict is one among our own objects.
    async fn explain(&self, conflict: Fault, document: &Document) -> Fault {
        let name = document.get(self.resource.name_attribute()).and_then(Value::as_str).unwrap_or_default();
        match self.target.find(self.resource, Key::Name(name)).await {
            Ok(named) => match named.iter().find_map(|r| self.other_owner(r).or_else(|| carried(r))) {
                Some(by) => Fault::Taken { by },
                // Free by now: it was ours a moment ago.
                None if named.is_empty() => Fault::Taken { by: self.object },
                None => conflict,
            },
            Err(fault) => fault,
        }
    }

    /// Removes what carries our externalId.
    async fn sweep(&self, resources: &[Resource]) -> Done {
        for resource in resources {
            let found = match self.target.find(*resource, Key::ExternalId(&self.external_id)).await {
                Ok(found) => found,
                // No such collection, no such object.
                Err(Fault::Refused(_)) => Vec::new(),
                Err(fault) => return Done::failed("sweep", fault),
            };
            for remote in found {
                match self.target.delete(*resource, &remote.id).await {
                    Ok(()) | Err(Fault::NotFound) => {}
                    Err(fault) => return Done::failed("sweep", fault),
                }
            }
        }
        Done { action: "sweep", place: Place::Gone, fault: None }
    }
}

/// The externalId, if it is one that we could have given.
fn carried(remote: &Remote) -> Option<Uuid> {
    remote.document.get("externalId").and_then(Value::as_str)?.parse().ok()
}

fn name_in(resource: Resource, document: &Document) -> &str {
    document.get(resource.name_attribute()).and_then(Value::as_str).unwrap_or_default()
}

/// Pages of a target that are looked through for what is in the way of a create.
const MOST_PAGES: usize = 20;

/// An `active` that is not ours to say stays as it is.
fn keep_active(before: &Document, after: &mut Document) {
    if let (None, Some(active)) = (after.get("active"), before.get("active")) {
        after.insert("active".to_owned(), active.clone());
    }
}

/// More than one is an ambiguity that only a human can resolve.
fn only(found: Vec<Remote>, attribute: &str) -> Result<Option<Remote>, Fault> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Fault::Refused(format!("the target has several objects of this {attribute}"))),
    }
}
