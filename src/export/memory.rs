//! A target in memory: what the exporter needs of one, and nothing else. For tests and as the
//! plainest example of [`Target`]; no configuration offers it.

use super::target::{Document, Fault, Kept, Key, Listed, Page, Remote, Resource, Stopped, Target};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// Clones share their objects.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<(Resource, String), Document>,
    requests: Vec<String>,
    faults: VecDeque<Fault>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything it holds, by id.
    pub fn objects(&self, resource: Resource) -> BTreeMap<String, Document> {
        let state = self.state();
        let of_kind = state.objects.iter().filter(|((r, _), _)| *r == resource);
        of_kind.map(|((_, id), document)| (id.clone(), document.clone())).collect()
    }

    /// What was asked of it since the last call, such as `create User`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// The next request fails so, before anything is done.
    pub fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// As if someone had changed the target behind our back.
    pub fn put(&self, resource: Resource, id: &str, document: Document) {
        self.state().objects.insert((resource, id.to_owned()), document);
    }

    pub fn drop_object(&self, resource: Resource, id: &str) {
        self.state().objects.remove(&(resource, id.to_owned()));
    }

    fn begin(&self, what: &str, resource: Resource) -> Result<MutexGuard<'_, State>, Fault> {
        let mut state = self.state();
        state.requests.push(format!("{what} {}", resource.name()));
        match state.faults.pop_front() {
            Some(fault) => Err(fault),
            None => Ok(state),
        }
    }
}

fn text<'a>(document: &'a Document, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_taken(state: &State, resource: Resource, id: &str, document: &Document) -> bool {
    let name = text(document, resource.name_attribute()).to_lowercase();
    let mut same_kind = state.objects.iter().filter(|((r, other), _)| *r == resource && other != id);
    same_kind.any(|(_, held)| text(held, resource.name_attribute()).to_lowercase() == name)
}

impl Target for Memory {
    async fn find(&self, resource: Resource, key: Key<'_>) -> Result<Vec<Remote>, Fault> {
        let state = self.begin("find", resource)?;
        let of_kind = state.objects.iter().filter(|((r, _), _)| *r == resource);
        let hits = of_kind.filter(|(_, held)| match key {
            Key::ExternalId(wanted) => text(held, "externalId") == wanted,
            Key::Name(wanted) => text(held, resource.name_attribute()).eq_ignore_ascii_case(wanted),
        });
        Ok(hits.map(|((_, id), d)| Remote { id: id.clone(), document: d.clone(), ..Remote::default() }).collect())
    }

    async fn create(&self, resource: Resource, document: &Document) -> Result<Remote, Fault> {
        let mut state = self.begin("create", resource)?;
        if is_taken(&state, resource, "", document) {
            return Err(Fault::Conflict("409 uniqueness".to_owned()));
        }
        let id = Uuid::new_v4().to_string();
        state.objects.insert((resource, id.clone()), document.clone());
        Ok(Remote { id, document: document.clone(), ..Remote::default() })
    }

    async fn read(&self, resource: Resource, id: &str) -> Result<Remote, Fault> {
        let state = self.begin("read", resource)?;
        let document = state.objects.get(&(resource, id.to_owned())).ok_or(Fault::NotFound)?;
        Ok(Remote { id: id.to_owned(), document: document.clone(), ..Remote::default() })
    }

    async fn update(
        &self,
        resource: Resource,
        id: &str,
        _before: &Document,
        after: &Document,
    ) -> Result<Kept, Stopped> {
        let mut state = self.begin("update", resource)?;
        if is_taken(&state, resource, id, after) {
            return Err(Fault::Conflict("409 uniqueness".to_owned()).into());
        }
        match state.objects.get_mut(&(resource, id.to_owned())) {
            Some(held) => *held = after.clone(),
            None => return Err(Fault::NotFound.into()),
        }
        Ok(Kept::default())
    }

    async fn delete(&self, resource: Resource, id: &str) -> Result<(), Fault> {
        let mut state = self.begin("delete", resource)?;
        state.objects.remove(&(resource, id.to_owned())).map(drop).ok_or(Fault::NotFound)
    }

    async fn list(&self, resource: Resource, _page: &Page) -> Result<Listed, Fault> {
        let state = self.begin("list", resource)?;
        let of_kind = state.objects.iter().filter(|((r, _), _)| *r == resource);
        let objects = of_kind.map(|((_, id), d)| Remote { id: id.clone(), document: d.clone(), ..Remote::default() });
        Ok(Listed { objects: objects.collect(), next: None, total: None })
    }

    async fn open(&self) -> Result<(), Fault> {
        Ok(())
    }
}
