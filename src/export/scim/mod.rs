//! A SCIM 2.0 service provider as a target (RFC 7644). Knows the protocol and its peers' habits;
//! does not know entries, rows or when to try again.
//!
//! What a request looks like is said by the [`profile`], narrowed by what the server announces
//! ([`discovery`]) and by what it was found to refuse ([`update`]).

pub mod answer;
pub mod credentials;
pub mod diff;
pub mod discovery;
mod find;
mod http;
mod listing;
pub mod profile;
mod shape;
mod update;

pub use self::{
    credentials::{ClientCredentials, Credentials},
    profile::{PatchForm, Profile, ProfileName, Removal, Remove, Update},
};

use self::{answer::Answer, discovery::Announced, find::collection_fault, http::Http, update::Habits};
use super::{
    Tools,
    http::Connection,
    target::{Document, Fault, Kept, Key, Listed, Page, Remote, Resource, Stopped, Target},
};
use crate::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `Users` and `Groups` are below its address.
    pub connection: Connection,
    pub credentials: Credentials,
    pub profile: Profile,
}

pub struct Scim {
    http: Http,
    clock: Clock,
    profile: Profile,
    /// `None` until the server was asked.
    announced: tokio::sync::Mutex<Option<Arc<Announced>>>,
    habits: Mutex<Habits>,
}

impl Scim {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        let profile = options.profile.clone();
        Ok(Scim {
            http: Http::new(options, tools)?,
            clock: Arc::clone(&tools.clock),
            habits: Mutex::new(Habits::new(&profile)),
            announced: tokio::sync::Mutex::new(None),
            profile,
        })
    }

    fn fault(&self, answer: &Answer) -> Fault {
        answer.fault((self.clock)())
    }

    /// What the server says of itself, asked for once. Some want the token for it, some refuse it there.
    async fn announced(&self) -> Result<Arc<Announced>, Fault> {
        let mut held = self.announced.lock().await;
        if let Some(announced) = held.as_ref() {
            return Ok(Arc::clone(announced));
        }
        let config = self.described("ServiceProviderConfig").await?;
        let types = self.described("ResourceTypes").await?;
        let announced = Arc::new(Announced::read(config.as_ref(), types.as_ref()));
        tracing::debug!(?announced, "what the target announces");
        if announced.patch == Some(false) {
            self.learn(Habits::only_put);
        }
        *held = Some(Arc::clone(&announced));
        Ok(announced)
    }

    /// A document of discovery, if there is one.
    async fn described(&self, what: &str) -> Result<Option<Document>, Fault> {
        let mut answer = self.http.send(Method::GET, &[what], &[], None).await?;
        if matches!(answer.status, 401 | 403) {
            answer = self.http.send_bare(&[what]).await?;
        }
        match self.fault(&answer) {
            _ if answer.is_success() => Ok(answer.body),
            fault @ (Fault::Busy { .. } | Fault::Unreachable(_)) => Err(fault),
            _ => Ok(None),
        }
    }

    fn uses_etags(&self, announced: &Announced) -> bool {
        self.profile.etag && announced.etag == Some(true)
    }

    fn habits(&self) -> Habits {
        *self.held_habits()
    }

    fn learn(&self, change: impl FnOnce(&mut Habits)) {
        let mut habits = self.held_habits();
        let before = *habits;
        change(&mut habits);
        if *habits != before {
            tracing::info!(habits = ?*habits, "the target takes other forms than its profile says");
        }
    }

    fn held_habits(&self) -> MutexGuard<'_, Habits> {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filters_external_id(&self) -> bool {
        self.habits().external_id
    }

    fn forgo_external_id(&self) {
        self.learn(|habits| habits.external_id = false);
    }

    /// Makes 404 of a 400 that means it, where the profile says that it may.
    async fn no_such_id(&self, resource: Resource, id: &str, answer: Answer) -> Result<Answer, Fault> {
        if answer.status != 400 || !self.profile.unknown_id_is_400 {
            return Ok(answer);
        }
        let read = self.http.send(Method::GET, &[plural(resource), id], &[], None).await?;
        Ok(if matches!(read.status, 400 | 404) { Answer { status: 404, ..answer } } else { answer })
    }

    async fn deactivate(&self, id: &str) -> Result<(), Fault> {
        let active = |value: bool| Document::from_iter([("active".to_owned(), Value::Bool(value))]);
        self.bring(Resource::User, id, &active(true), &active(false)).await.map(drop).map_err(|stopped| stopped.fault)
    }

    /// The members that a group has after a create: some servers take the group and leave them out.
    async fn members_of(&self, remote: &Remote, wanted: &Document) -> Result<Document, Fault> {
        let mut held = wanted.clone();
        let sent = diff::members(wanted);
        if sent.is_empty() || !self.profile.members_readable {
            return Ok(held);
        }
        let shown = match remote.document.get("members") {
            Some(_) => remote.document.clone(),
            None => self.read(Resource::Group, &remote.id).await?.document,
        };
        let taken = diff::members(&shown).intersection(&sent).cloned().collect();
        diff::set_members(&mut held, taken);
        Ok(held)
    }
}

impl Target for Scim {
    async fn find(&self, resource: Resource, key: Key<'_>) -> Result<Vec<Remote>, Fault> {
        self.matching(resource, key).await
    }

    async fn create(&self, resource: Resource, document: &Document) -> Result<Remote, Fault> {
        let announced = self.announced().await?;
        let first = diff::first_members(document, self.profile.chunk);
        let (sent, mut dropped) = shape::outgoing(resource, &first, &self.profile, &announced);
        let answer = self.http.send(Method::POST, &[plural(resource)], &[], Some(&sent)).await?;
        if !answer.is_success() {
            return Err(collection_fault(self.fault(&answer), resource));
        }
        let mut remote = match answer.remote() {
            Some(remote) => remote,
            // Created, but not told under which id.
            None => {
                let id = document.get("externalId").and_then(Value::as_str).unwrap_or_default();
                let found = self.matching(resource, Key::ExternalId(id)).await?;
                found.into_iter().next().ok_or_else(|| Fault::Refused("the answer to a create has no id".to_owned()))?
            }
        };
        let mut held = if resource == Resource::Group { self.members_of(&remote, &first).await? } else { first };
        // What is told of members and of `active` is told to the caller as what is still to be done.
        if shape::is_whole(resource, &remote.document) {
            dropped.extend(shape::dropped(&Document::new(), &sent, &remote.document, false));
        }
        if update::is_active(&sent) == Some(false) && update::is_active(&remote.document) == Some(true) {
            held.insert("active".to_owned(), Value::Bool(true));
            dropped.retain(|name| name != "active");
        }
        remote.document = held;
        remote.dropped = dropped;
        Ok(remote)
    }

    async fn read(&self, resource: Resource, id: &str) -> Result<Remote, Fault> {
        let answer = self.http.send(Method::GET, &[plural(resource), id], &[], None).await?;
        let answer = self.no_such_id(resource, id, answer).await?;
        if !answer.is_success() {
            return Err(self.fault(&answer));
        }
        answer.remote().ok_or_else(|| Fault::Refused("the answer to a read has no id".to_owned()))
    }

    async fn update(&self, resource: Resource, id: &str, before: &Document, after: &Document) -> Result<Kept, Stopped> {
        self.bring(resource, id, before, after).await
    }

    async fn delete(&self, resource: Resource, id: &str) -> Result<(), Fault> {
        if resource == Resource::User && self.profile.remove == Remove::Deactivate {
            return self.deactivate(id).await;
        }
        let answer = self.http.send(Method::DELETE, &[plural(resource), id], &[], None).await?;
        let answer = self.no_such_id(resource, id, answer).await?;
        match answer.status {
            200..=299 => Ok(()),
            // Nobody is deleted there.
            405 | 501 if resource == Resource::User => self.deactivate(id).await,
            _ => Err(self.fault(&answer)),
        }
    }

    async fn open(&self) -> Result<(), Fault> {
        *self.announced.lock().await = None;
        self.http.renew().await
    }

    /// As Entra tests a connection: a look-up of nobody.
    async fn probe(&self) -> Result<(), Fault> {
        let nobody = format!("userName eq \"{}\"", Uuid::new_v4());
        let answer = self.http.send(Method::GET, &["Users"], &[("filter", &nobody)], None).await?;
        match collection_fault(self.fault(&answer), Resource::User) {
            _ if answer.is_success() => Ok(()),
            fault @ (Fault::Busy { .. } | Fault::Unreachable(_) | Fault::Closed(_)) => Err(fault),
            _ => Ok(()),
        }
    }

    async fn list(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        self.page(resource, page).await
    }

    fn requests(&self, resource: Resource, id: Option<&str>, before: &Document, after: &Document) -> Vec<Value> {
        let habits = self.habits();
        let form = diff::Form { patch: self.profile.patch, members: habits.members, chunk: self.profile.chunk };
        let request = |method: &str, id: &str, body: Value| {
            let path = if id.is_empty() { plural(resource).to_owned() } else { format!("{}/{id}", plural(resource)) };
            json!({ "method": method, "path": path, "body": body })
        };
        match id {
            None => {
                let first = diff::first_members(after, self.profile.chunk);
                vec![request("POST", "", Value::Object(first))]
            }
            Some(id) if habits.attributes(resource) == Update::Put => {
                vec![request("PUT", id, Value::Object(after.clone()))]
            }
            Some(id) => {
                let steps = diff::steps(before, after, form);
                let body = |step: &diff::Step| Value::Object(update::patch_body(&step.operations));
                steps.iter().map(|step| request("PATCH", id, body(step))).collect()
            }
        }
    }
}

fn etag(answer: &Answer) -> Option<String> {
    answer.remote().and_then(|r| r.etag).or_else(|| answer.etag.clone())
}

fn plural(resource: Resource) -> &'static str {
    match resource {
        Resource::User => "Users",
        Resource::Group => "Groups",
        // No such resource is in RFC 7643; a target may have it as an extension.
        Resource::Department => "Departments",
    }
}
