//! A SCIM server in this process that keeps objects, and fails where a test tells it to.

use super::objects::{Object, Objects, text};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri, header},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};
use tempfile::TempDir;
use uuid::Uuid;

/// What the next request of a method meets.
#[derive(Clone, Debug)]
pub enum Script {
    /// This status, with Retry-After if there is one, and nothing done.
    Status(u16, Option<String>),
    /// A SCIM error.
    Error(u16, &'static str),
    /// The connection breaks before anything is done.
    ResetBefore,
    /// The connection breaks after it was done.
    ResetAfter,
    /// It is done, and no answer ever comes.
    StallAfter,
}

#[derive(Default)]
struct Held {
    objects: Objects,
    scripts: VecDeque<(Method, Script)>,
    requests: Vec<String>,
    token: String,
}

#[derive(Clone)]
pub struct Fake {
    held: Arc<Mutex<Held>>,
    pub base_url: String,
    folder: Arc<TempDir>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/scim/v2", listener.local_addr().unwrap());
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let held = Arc::new(Mutex::new(Held { token: "secret".to_owned(), ..Held::default() }));
        let fake = Fake { held, base_url, folder };
        std::fs::write(fake.token_file(), "secret\n").unwrap();
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn script(&self, method: Method, script: Script) {
        self.held().scripts.push_back((method, script));
    }

    pub fn set_token(&self, token: &str) {
        self.held().token = token.to_owned();
    }

    /// Method and path of every request since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.held().requests)
    }

    pub fn scripts_left(&self) -> usize {
        self.held().scripts.len()
    }

    pub fn put(&self, path: &str, document: Value) {
        let document = document.as_object().unwrap().clone();
        self.held().objects.put(path, document);
    }

    pub fn drop_object(&self, path: &str) {
        self.held().objects.remove(path);
    }

    pub fn all(&self, collection: &str) -> Vec<Object> {
        let held = self.held();
        held.objects.all(collection).map(|(_, o)| o.clone()).collect()
    }

    /// From now on a filter on externalId finds nothing.
    pub fn hide_external_id(&self) {
        self.held().objects.hides_external_id = true;
    }

    /// How often an object came to live beside another one of the same externalId.
    pub fn duplicates(&self) -> u64 {
        self.held().objects.duplicates
    }

    /// The externalIds of all that was deleted.
    pub fn deleted(&self) -> BTreeSet<String> {
        self.held().objects.deleted.clone()
    }

    /// (userName, familyName) by externalId; a second object of one externalId is a failure.
    pub fn people(&self) -> BTreeMap<String, (String, String)> {
        people_of(&self.all("Users"))
    }

    pub fn groups(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        groups_of(&self.all("Groups"), &self.all("Users"))
    }
}

pub fn people_of(users: &[Object]) -> BTreeMap<String, (String, String)> {
    let mut people = BTreeMap::new();
    for user in users {
        let family = user.get("name").and_then(|n| n.get("familyName")).and_then(Value::as_str).unwrap_or_default();
        let old =
            people.insert(text(user, "externalId").to_owned(), (text(user, "userName").to_owned(), family.to_owned()));
        assert_eq!(old, None, "two users of one externalId");
    }
    people
}

pub fn groups_of(groups: &[Object], users: &[Object]) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let ids: BTreeMap<String, String> =
        users.iter().map(|u| (text(u, "id").to_owned(), text(u, "externalId").to_owned())).collect();
    let mut out = BTreeMap::new();
    for group in groups {
        let list = group.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        let name = |m: &Value| {
            let id = m.get("value").and_then(Value::as_str).unwrap_or_default();
            ids.get(id).cloned().unwrap_or_else(|| format!("unknown member {id}"))
        };
        let members: BTreeSet<String> = list.iter().map(name).collect();
        assert_eq!(members.len(), list.len(), "a member twice");
        let old = out.insert(text(group, "externalId").to_owned(), (text(group, "displayName").to_owned(), members));
        assert_eq!(old, None, "two groups of one externalId");
    }
    out
}

async fn answer(State(fake): State<Fake>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    // It says nothing of itself, and is asked too rarely to be counted.
    if ["/ServiceProviderConfig", "/ResourceTypes"].iter().any(|path| uri.path().ends_with(path)) {
        return error(404, "");
    }
    let script = {
        let mut held = fake.held();
        held.requests.push(format!("{method} {}", uri.path()));
        let at = held.scripts.iter().position(|(m, _)| *m == method);
        at.and_then(|at| held.scripts.remove(at)).map(|(_, script)| script)
    };
    match script {
        None => fake.held().serve(&method, &uri, &headers, &body),
        Some(Script::Status(status, retry_after)) => {
            let mut response = Response::builder().status(status);
            if let Some(text) = retry_after {
                response = response.header(header::RETRY_AFTER, text);
            }
            response.body(Body::from("<html>not now</html>")).unwrap()
        }
        Some(Script::Error(status, scim_type)) => error(status, scim_type),
        Some(Script::ResetBefore) => reset(),
        Some(Script::ResetAfter) => {
            fake.held().serve(&method, &uri, &headers, &body);
            reset()
        }
        Some(Script::StallAfter) => {
            fake.held().serve(&method, &uri, &headers, &body);
            std::future::pending().await
        }
    }
}

/// Ends the task of the connection without a word.
fn reset() -> ! {
    std::panic::resume_unwind(Box::new("reset"))
}

fn error(status: u16, scim_type: &str) -> Response<Body> {
    json_answer(
        status,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.to_string(), "scimType": scim_type, "detail": "as told",
        }),
    )
}

fn json_answer(status: u16, body: &Value) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/scim+json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

impl Held {
    fn serve(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if bearer != format!("Bearer {}", self.token) {
            return error(401, "");
        }
        let Some(path) = uri.path().strip_prefix("/scim/v2/") else { return error(404, "") };
        if !body.is_empty() {
            assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), "application/scim+json");
        }
        let document: Object = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), path.contains('/')) {
            ("GET", false) => self.list(path, uri.query().unwrap_or_default()),
            ("POST", false) => self.create(path, document),
            ("GET", true) => self.with(path, |held, path| json_answer(200, &held.object(path).into())),
            ("PUT", true) => self.with(path, |held, path| held.replace(path, document)),
            ("PATCH", true) => self.with(path, |held, path| held.patch(path, &document)),
            ("DELETE", true) => self.with(path, |held, path| {
                held.objects.remove(path);
                Response::builder().status(204).body(Body::empty()).unwrap()
            }),
            _ => error(405, ""),
        }
    }

    fn object(&self, path: &str) -> Object {
        self.objects.get(path).cloned().unwrap_or_default()
    }

    fn with(&mut self, path: &str, then: impl FnOnce(&mut Self, &str) -> Response<Body>) -> Response<Body> {
        if self.objects.get(path).is_some() { then(self, path) } else { error(404, "") }
    }

    fn list(&self, collection: &str, query: &str) -> Response<Body> {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let filter = pairs.into_iter().find(|(k, _)| k == "filter").map(|(_, v)| v.into_owned());
        let hits: Vec<&Object> = match filter.as_deref().map(|filter| filter.split_once(" eq ").unwrap()) {
            Some((attribute, value)) => {
                let wanted: String = serde_json::from_str(value).unwrap();
                let paths = self.objects.named(collection, attribute, &wanted);
                paths.into_iter().filter_map(|path| self.objects.get(path)).collect()
            }
            None => self.objects.all(collection).map(|(_, object)| object).collect(),
        };
        json_answer(200, &json!({ "totalResults": hits.len(), "Resources": hits }))
    }

    fn create(&mut self, collection: &str, mut document: Object) -> Response<Body> {
        if self.is_taken(collection, "", &document) {
            return error(409, "uniqueness");
        }
        let id = Uuid::new_v4().to_string();
        document.insert("id".to_owned(), id.clone().into());
        self.objects.put(&format!("{collection}/{id}"), document.clone());
        json_answer(201, &document.into())
    }

    fn is_taken(&self, collection: &str, path: &str, document: &Object) -> bool {
        let same = self.objects.named(collection, "userName", text(document, "userName"));
        collection == "Users" && same.into_iter().any(|other| *other != path)
    }

    fn replace(&mut self, path: &str, mut document: Object) -> Response<Body> {
        if self.is_taken(path.split('/').next().unwrap(), path, &document) {
            return error(409, "uniqueness");
        }
        document.insert("id".to_owned(), path.split('/').next_back().unwrap().into());
        self.objects.put(path, document.clone());
        json_answer(200, &document.into())
    }

    /// The forms that the exporter sends; any other is a failure of the test.
    fn patch(&mut self, path: &str, body: &Object) -> Response<Body> {
        let mut object = self.object(path);
        for operation in body["Operations"].as_array().unwrap() {
            let (op, at) = (operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap());
            match (op, at) {
                ("add", "members") => {
                    let members = object.entry("members").or_insert_with(|| json!([])).as_array_mut().unwrap();
                    members.extend(operation["value"].as_array().unwrap().iter().cloned());
                }
                ("remove", at) if at.starts_with("members[") => {
                    let id = at.trim_start_matches("members[value eq ").trim_end_matches(']');
                    let id: String = serde_json::from_str(id).unwrap();
                    let Some(members) = object.get_mut("members").and_then(Value::as_array_mut) else {
                        return error(400, "noTarget");
                    };
                    let before = members.len();
                    members.retain(|m| m["value"] != id.as_str());
                    if members.len() == before {
                        return error(400, "noTarget");
                    }
                }
                (op, at) => {
                    let (holder, name) = place(&mut object, at);
                    match op {
                        "replace" => drop(holder.insert(name, operation["value"].clone())),
                        "remove" => drop(holder.remove(&name)),
                        other => panic!("op {other}"),
                    }
                }
            }
        }
        self.replace(path, object)
    }
}

/// Where a path leads: `a`, `a.b` or `urn:...:b`.
fn place<'a>(object: &'a mut Object, path: &str) -> (&'a mut Object, String) {
    let split = if path.starts_with("urn:") { path.rsplit_once(':') } else { path.split_once('.') };
    match split {
        None => (object, path.to_owned()),
        Some((outer, inner)) => {
            let holder = object.entry(outer).or_insert_with(|| json!({}));
            (holder.as_object_mut().unwrap(), inner.to_owned())
        }
    }
}
