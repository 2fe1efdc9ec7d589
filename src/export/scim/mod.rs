//! A SCIM 2.0 service provider as a target (RFC 7644). Knows the protocol and its peers' habits;
//! does not know entries, rows or when to try again.

pub mod answer;
pub mod diff;
mod http;
mod listing;

use self::http::Http;
use super::{
    Tools,
    target::{Document, Fault, Kept, Key, Listed, Page, Remote, Resource, Stopped, Target},
};
use crate::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc, time::Duration};
use url::Url;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The address below which `Users` and `Groups` are.
    pub base_url: Url,
    /// Holds the bearer token; read at start and again when the target refuses it.
    pub token_file: PathBuf,
    /// Certificates of the authority that signed the target's, if it is none that the system knows.
    pub ca_file: Option<PathBuf>,
    /// For one request.
    pub timeout: Duration,
    pub update: Update,
    /// Members in one request.
    pub chunk: usize,
}

/// How changes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// PATCH, and PUT where the target does not know the form of a PATCH.
    #[default]
    Patch,
    Put,
}

pub struct Scim {
    http: Http,
    clock: Clock,
    update: Update,
    chunk: usize,
}

impl Scim {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        let clock = Arc::clone(&tools.clock);
        Ok(Scim { http: Http::new(options, tools)?, clock, update: options.update, chunk: options.chunk })
    }

    fn fault(&self, answer: &answer::Answer) -> Fault {
        answer.fault((self.clock)())
    }

    /// Reads, merges, replaces.
    async fn replace(&self, resource: Resource, id: &str, before: &Document, after: &Document) -> Result<Kept, Fault> {
        let held = self.http.send(Method::GET, &[plural(resource), id], &[], None).await?;
        let document = match (&held.body, held.status) {
            (Some(remote), 200..=299) => diff::merge(remote, before, after),
            // A target that cannot be read takes what we have.
            (_, 200..=299 | 405 | 501) => after.clone(),
            _ => return Err(self.fault(&held)),
        };
        let answer = self.http.send(Method::PUT, &[plural(resource), id], &[], Some(&document)).await?;
        if answer.is_success() { Ok(kept(&answer)) } else { Err(self.fault(&answer)) }
    }
}

impl Target for Scim {
    async fn find(&self, resource: Resource, key: Key<'_>) -> Result<Vec<Remote>, Fault> {
        let (attribute, wanted) = match key {
            Key::ExternalId(value) => ("externalId", value),
            Key::Name(value) => (resource.name_attribute(), value),
        };
        // A filter value is a JSON string (RFC 7644 section 3.4.2.2).
        let filter = format!("{attribute} eq {}", Value::from(wanted));
        let mut hits: Vec<Remote> = Vec::new();
        let mut seen = 0usize;
        for _ in 0..MOST_PAGES {
            let start = (seen + 1).to_string();
            let mut query = vec![("filter", filter.as_str())];
            if seen > 0 {
                query.push(("startIndex", &start));
            }
            let answer = self.http.send(Method::GET, &[plural(resource)], &query, None).await?;
            if !answer.is_success() {
                return Err(collection_fault(self.fault(&answer), resource));
            }
            let Some(body) = &answer.body else {
                return Err(Fault::Refused(format!("{} to a look-up, without a list", answer.status)));
            };
            let list = body.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let objects = list.iter().filter_map(Value::as_object);
            let found = objects.filter(|o| is_hit(o, key, resource)).filter_map(|o| answer::remote(o, None));
            for remote in found {
                if !hits.iter().any(|h| h.id == remote.id) {
                    hits.push(remote);
                }
            }
            seen += list.len();
            let total = body.get("totalResults").and_then(Value::as_u64).unwrap_or(0);
            if list.is_empty() || total <= seen as u64 {
                return Ok(hits);
            }
        }
        Err(Fault::Refused("the target ignores filters: an existing account cannot be told".to_owned()))
    }

    async fn create(&self, resource: Resource, document: &Document) -> Result<Remote, Fault> {
        let first = diff::first_members(document, self.chunk);
        let answer = self.http.send(Method::POST, &[plural(resource)], &[], Some(&first)).await?;
        if !answer.is_success() {
            return Err(collection_fault(self.fault(&answer), resource));
        }
        let mut remote = match answer.remote() {
            Some(remote) => remote,
            // Created, but not told under which id.
            None => {
                let id = document.get("externalId").and_then(Value::as_str).unwrap_or_default();
                let found = self.find(resource, Key::ExternalId(id)).await?;
                found.into_iter().next().ok_or_else(|| Fault::Refused("the answer to a create has no id".to_owned()))?
            }
        };
        remote.document = first;
        Ok(remote)
    }

    async fn read(&self, resource: Resource, id: &str) -> Result<Remote, Fault> {
        let answer = self.http.send(Method::GET, &[plural(resource), id], &[], None).await?;
        if !answer.is_success() {
            return Err(self.fault(&answer));
        }
        answer.remote().ok_or_else(|| Fault::Refused("the answer to a read has no id".to_owned()))
    }

    async fn update(&self, resource: Resource, id: &str, before: &Document, after: &Document) -> Result<Kept, Stopped> {
        if self.update == Update::Put {
            return Ok(self.replace(resource, id, before, after).await?);
        }
        let mut tag = Kept::default();
        let mut reached: Option<Document> = None;
        for step in diff::steps(before, after, self.chunk) {
            let body = json!({ "schemas": [PATCH_OP], "Operations": step.operations });
            let sent = match &body {
                Value::Object(map) => self.http.send(Method::PATCH, &[plural(resource), id], &[], Some(map)).await,
                _ => Err(Fault::Refused("internal: a patch is an object".to_owned())),
            };
            match sent {
                Ok(answer) if answer.is_success() => {
                    tag = kept(&answer);
                    reached = Some(step.reached);
                }
                Ok(answer) if answer.refuses_patch() => {
                    let base = reached.as_ref().unwrap_or(before);
                    let replaced = self.replace(resource, id, base, after).await;
                    return replaced.map_err(|fault| Stopped { fault, reached });
                }
                Ok(answer) => return Err(Stopped { fault: self.fault(&answer), reached }),
                Err(fault) => return Err(Stopped { fault, reached }),
            }
        }
        Ok(tag)
    }

    async fn delete(&self, resource: Resource, id: &str) -> Result<(), Fault> {
        let answer = self.http.send(Method::DELETE, &[plural(resource), id], &[], None).await?;
        if answer.is_success() { Ok(()) } else { Err(self.fault(&answer)) }
    }

    async fn list(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        let query = listing::query(page);
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.http.send(Method::GET, &[plural(resource)], &query, None).await?;
        if !answer.is_success() {
            return Err(collection_fault(self.fault(&answer), resource));
        }
        let no_list = || Fault::Refused(format!("{} to a listing, without a list", answer.status));
        Ok(listing::listed(answer.body.as_ref().ok_or_else(no_list)?, page))
    }

    fn requests(&self, resource: Resource, id: Option<&str>, before: &Document, after: &Document) -> Vec<Value> {
        let collection = plural(resource);
        let Some(id) = id else {
            let first = diff::first_members(after, self.chunk);
            return vec![json!({ "method": "POST", "path": collection, "body": first })];
        };
        let path = format!("{collection}/{id}");
        if self.update == Update::Put {
            return vec![json!({ "method": "PUT", "path": path, "body": after })];
        }
        let patch = |step: diff::Step| {
            let body = json!({ "schemas": [PATCH_OP], "Operations": step.operations });
            json!({ "method": "PATCH", "path": path, "body": body })
        };
        diff::steps(before, after, self.chunk).into_iter().map(patch).collect()
    }

    async fn open(&self) -> Result<(), Fault> {
        self.http.read_token().await
    }
}

/// Servers ignore filters, or answer them in their own way: only what really has the value counts.
/// Names are compared without case (RFC 7643 section 4.1.1), externalId with it.
fn is_hit(object: &Document, key: Key<'_>, resource: Resource) -> bool {
    let value = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match key {
        Key::ExternalId(wanted) => value("externalId") == wanted,
        Key::Name(wanted) => value(resource.name_attribute()).to_lowercase() == wanted.to_lowercase(),
    }
}

/// A whole collection that is not there: for users, the address is wrong; groups some targets
/// simply do not have.
fn collection_fault(fault: Fault, resource: Resource) -> Fault {
    match (fault, resource) {
        (Fault::NotFound, Resource::User) => Fault::Closed("the target has no Users (404): check base_url".to_owned()),
        (Fault::NotFound, Resource::Group) => Fault::Refused("the target has no Groups (404)".to_owned()),
        (Fault::NotFound, Resource::Department) => Fault::Refused("the target has no Departments (404)".to_owned()),
        (other, _) => other,
    }
}

fn kept(answer: &answer::Answer) -> Kept {
    let etag = answer.remote().and_then(|r| r.etag).or_else(|| answer.etag.clone());
    Kept { etag, dropped: Vec::new() }
}

fn plural(resource: Resource) -> &'static str {
    match resource {
        Resource::User => "Users",
        Resource::Group => "Groups",
        // No such resource is in RFC 7643; a target may have it as an extension.
        Resource::Department => "Departments",
    }
}

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Pages of a look-up whose filter the target seems to ignore.
const MOST_PAGES: usize = 10;
