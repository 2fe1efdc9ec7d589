//! Which objects a server has: by a key, or page by page. A filter's answer is never trusted.

use super::{Scim, answer, listing, plural};
use crate::export::target::{Document, Fault, Key, Listed, Page, Remote, Resource};
use reqwest::Method;
use serde_json::Value;

impl Scim {
    /// All that really have the key. Servers ignore filters or answer them in their own way.
    pub(super) async fn matching(&self, resource: Resource, key: Key<'_>) -> Result<Vec<Remote>, Fault> {
        if matches!(key, Key::ExternalId(_)) && !self.filters_external_id() {
            return Ok(Vec::new());
        }
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
            // Some refuse a first index, and some any count.
            if seen > 0 {
                query.push(("startIndex", &start));
            }
            let answer = self.http.send(Method::GET, &[plural(resource)], &query, None).await?;
            // The name is asked for next, and tells as much: what has it carries the externalId, or not.
            if matches!(key, Key::ExternalId(_)) && matches!(answer.status, 400 | 501) {
                tracing::debug!(status = answer.status, "the target takes no filter on externalId");
                self.forgo_external_id();
                return Ok(Vec::new());
            }
            if !answer.is_success() {
                return Err(collection_fault(self.fault(&answer), resource));
            }
            let Some(body) = &answer.body else {
                return Err(Fault::Refused(format!("{} to a look-up, without a list", answer.status)));
            };
            let list = resources(body);
            let objects = list.iter().filter_map(Value::as_object);
            let found = objects.filter(|o| is_hit(o, key, resource)).filter_map(|o| answer::remote(o, None));
            for remote in found {
                if !hits.iter().any(|h| h.id == remote.id) {
                    hits.push(remote);
                }
            }
            seen += list.len();
            if list.is_empty() || total(body).unwrap_or(0) <= seen {
                return Ok(hits);
            }
        }
        Err(Fault::Refused("the target ignores filters: an existing account cannot be told".to_owned()))
    }

    pub(super) async fn page(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        let query = listing::query(page);
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut answer = self.http.send(Method::GET, &[plural(resource)], &query, None).await?;
        // There are servers that fail at any count.
        if *page == Page::default() && matches!(answer.status, 400 | 500 | 501) {
            answer = self.http.send(Method::GET, &[plural(resource)], &[], None).await?;
        }
        if !answer.is_success() {
            return Err(collection_fault(self.fault(&answer), resource));
        }
        let Some(body) = &answer.body else {
            return Err(Fault::Refused(format!("{} to a listing, without a list", answer.status)));
        };
        Ok(listing::listed(body, page))
    }
}

fn resources(body: &Document) -> &[Value] {
    body.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn total(body: &Document) -> Option<usize> {
    usize::try_from(body.get("totalResults")?.as_u64()?).ok()
}

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
pub(super) fn collection_fault(fault: Fault, resource: Resource) -> Fault {
    match (fault, resource) {
        (Fault::NotFound, Resource::User) => Fault::Closed("the target has no Users (404): check base_url".to_owned()),
        (Fault::NotFound, Resource::Group) => Fault::Refused("the target has no Groups (404)".to_owned()),
        (Fault::NotFound, Resource::Department) => Fault::Refused("the target has no Departments (404)".to_owned()),
        (other, _) => other,
    }
}

/// Pages of a look-up whose filter the target seems to ignore.
const MOST_PAGES: usize = 10;
