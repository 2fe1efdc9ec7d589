//! What one object of the target comes to: the event that says so. Asks the plan what the target should
//! hold, so that leavers, waiting and absorbed identities are what they are to an ordinary push.

use super::{
    compare::{Known, Owner, changed, display_name},
    event::{Event, EventStatus},
    pull::{Pull, pulled},
};
use crate::export::{
    plan::{self, Work},
    push::Match,
    queue::Cause,
    row::LinkRow,
    target::{Document, Remote, Resource},
};
use std::collections::HashMap;
use uuid::Uuid;

/// What the target should hold of an entry.
enum Expected {
    Document(Document),
    /// Nothing, and it is said why.
    Nothing(&'static str),
    /// What it holds: nobody has decided otherwise yet.
    AsIs,
    Impossible(String),
}

pub struct Judge<'a> {
    pub context: plan::Context<'a>,
    pub resource: Resource,
    pub known: &'a Known,
    pub matching: Match,
    /// What was on a page so far: a second object for one entry is one too many.
    pub seen: &'a mut HashMap<Uuid, String>,
}

impl Judge<'_> {
    /// The event of an object on a page; it has no number yet.
    pub fn remote(&mut self, remote: &Remote) -> Event {
        let owner = self.known.owner(remote, self.matching);
        let event = Event {
            row_number: 0,
            status: EventStatus::ResourceValidationFailed,
            resource_type: self.resource,
            object: owner.object(),
            resource_id: Some(remote.id.clone()),
            resource_display_name: display_name(self.resource, &remote.document),
            matched_by: None,
            changed: Vec::new(),
            before: None,
            after: None,
            why: None,
            pulled: Pull::new(),
            as_of: 0,
        };
        let before = self.context.ours(self.resource, remote);
        match owner {
            Owner::Linked(object) => {
                self.seen.insert(object, remote.id.clone());
                let event = self.with_pulled(object, remote, event);
                self.linked(object, before, event)
            }
            Owner::Found { object, by } => {
                let event = Event { matched_by: Some(by), ..event };
                match self.seen.insert(object, remote.id.clone()) {
                    Some(other) if other != remote.id => Event {
                        status: EventStatus::Ambiguous,
                        why: Some("the target has several objects for this entry".to_owned()),
                        ..event
                    },
                    _ => {
                        let event = self.with_pulled(object, remote, event);
                        self.found(object, before, event)
                    }
                }
            }
            Owner::Orphan(_) => Event {
                status: EventStatus::Orphan,
                before: Some(before),
                why: Some("it carries an externalId of ours, but no entry wants it".to_owned()),
                ..event
            },
            Owner::Nobody(why) => Event { why: Some(why), ..event },
            Owner::Ambiguous { why, .. } => Event { status: EventStatus::Ambiguous, why: Some(why), ..event },
        }
    }

    fn with_pulled(&self, object: Uuid, remote: &Remote, event: Event) -> Event {
        let snapshot = self.context.snapshot;
        let Some(node) = snapshot.by_uuid(object) else { return event };
        let pulled = pulled(self.context.mapping, self.resource, node, &snapshot.schema, &remote.document);
        Event { pulled, as_of: node.entry.operational.changed, ..event }
    }

    fn linked(&self, object: Uuid, before: Document, event: Event) -> Event {
        let row = self.context.links.get(object);
        let event = Event { matched_by: Some("id".into()), why: row.as_ref().and_then(waits), ..event };
        let dropped = row.as_ref().map(|row| row.dropped.clone()).unwrap_or_default();
        let reconciled = |differs| EventStatus::reconciled(self.resource, differs);
        match self.expected(object) {
            Expected::AsIs => Event { status: reconciled(false), ..event },
            Expected::Document(after) => {
                let names = changed(&before, &after, &dropped);
                if names.is_empty() && event.pulled.is_empty() {
                    return Event { status: reconciled(false), ..event };
                }
                let (before, after) = (Some(before), Some(after));
                Event { status: reconciled(true), changed: names, before, after, ..event }
            }
            Expected::Nothing(why) => {
                let why = event.why.clone().or_else(|| Some(why.to_owned()));
                Event { status: reconciled(true), before: Some(before), why, ..event }
            }
            Expected::Impossible(why) => {
                Event { status: EventStatus::ResourceValidationFailed, why: Some(why), ..event }
            }
        }
    }

    fn found(&self, object: Uuid, before: Document, event: Event) -> Event {
        let event = Event { status: EventStatus::newly_linked(self.resource), ..event };
        match self.expected(object) {
            Expected::Document(after) => {
                let names = changed(&before, &after, &[]);
                Event { changed: names, before: Some(before), after: Some(after), ..event }
            }
            Expected::AsIs => {
                let why = "its entry waits for a human".to_owned();
                Event { status: EventStatus::ResourceValidationFailed, why: Some(why), ..event }
            }
            Expected::Nothing(why) => Event { status: EventStatus::Orphan, why: Some(why.to_owned()), ..event },
            Expected::Impossible(why) => {
                Event { status: EventStatus::ResourceValidationFailed, why: Some(why), ..event }
            }
        }
    }

    /// The event of a link whose object the target does not have.
    pub fn stale(&self, object: Uuid, id: &str) -> Event {
        let after = match self.expected(object) {
            Expected::Document(after) => Some(after),
            _ => None,
        };
        Event {
            row_number: 0,
            status: EventStatus::Stale,
            resource_type: self.resource,
            object: Some(object),
            resource_id: Some(id.to_owned()),
            resource_display_name: after.as_ref().and_then(|after| display_name(self.resource, after)),
            matched_by: None,
            changed: Vec::new(),
            before: None,
            after,
            why: Some("it is linked, but the target does not have it".to_owned()),
            pulled: Pull::new(),
            as_of: 0,
        }
    }

    fn expected(&self, object: Uuid) -> Expected {
        document(&self.context, object, self.resource)
    }
}

/// A push in doubt says what the target should hold, whatever it was sent last.
fn document(context: &plan::Context<'_>, object: Uuid, resource: Resource) -> Expected {
    let planned = plan::plan(context, object, Cause { number: None, force: true, doubt: true });
    if planned.resource != resource {
        return Expected::Nothing("its entry is of another kind now");
    }
    match planned.work {
        Work::Create(document) | Work::Update { after: document, .. } => Expected::Document(document),
        Work::Delete { .. } | Work::Sweep(_) | Work::Skip => Expected::Nothing("no entry wants it any more"),
        Work::Leave | Work::Unchanged | Work::StillRefused => Expected::AsIs,
        Work::Impossible(lacking) => Expected::Impossible(lacking.to_string()),
    }
}

/// The document by which an entry is found, if one can be made.
pub fn wanted(context: &plan::Context<'_>, object: Uuid, resource: Resource) -> Option<Document> {
    match document(context, object, resource) {
        Expected::Document(document) => Some(document),
        _ => None,
    }
}

/// What the gateway itself is about to do, or could not do.
fn waits(row: &LinkRow) -> Option<String> {
    match (&row.staged, row.rejected, &row.last_error) {
        (Some(staged), ..) if !staged.approved => Some("its removal waits for an approval".to_owned()),
        (_, Some(_), _) => Some("its removal was rejected".to_owned()),
        (.., Some(error)) => Some(format!("the last attempt failed: {error}")),
        _ => None,
    }
}
