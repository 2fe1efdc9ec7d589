//! What a place that receives identities can do, and how it can fail. One method is one request or
//! a few that belong together; what to ask for and when to ask again is decided elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// A SCIM resource as JSON. Kept in one spelling: see [`canonical`].
pub type Document = serde_json::Map<String, Value>;

/// The kinds of objects that targets know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resource {
    User,
    Group,
    /// A structure (supannEntite, organizationalUnit).
    Department,
}

impl Resource {
    pub fn name(self) -> &'static str {
        match self {
            Resource::User => "User",
            Resource::Group => "Group",
            Resource::Department => "Department",
        }
    }

    /// Departments come before the users in them, users before groups with them as members.
    pub fn rank(self) -> u8 {
        match self {
            Resource::Department => 0,
            Resource::User => 1,
            Resource::Group => 2,
        }
    }

    /// The attribute, beside externalId, by which a target tells two of them apart.
    pub fn name_attribute(self) -> &'static str {
        match self {
            Resource::User => "userName",
            Resource::Group => "displayName",
            Resource::Department => "departmentName",
        }
    }
}

/// By what an object is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The entryUUID: what carries it is ours (RFC 7643 section 3.1).
    ExternalId(&'a str),
    /// userName or displayName: what carries it may be someone else's.
    Name(&'a str),
}

/// An object as the target holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remote {
    /// Made by the target; always read from the body, never from a Location header.
    pub id: String,
    pub etag: Option<String>,
    pub document: Document,
    /// After a create: what the target took and did not keep.
    pub dropped: Vec<String>,
}

/// What is known of an object after an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub etag: Option<String>,
    /// Attributes that the target took and did not keep.
    pub dropped: Vec<String>,
}

/// Why a target did not do it. Texts are for the operator and carry no values of entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the target has no such object")]
    NotFound,
    #[error("the target answered 409: {0}")]
    Conflict(String),
    /// The name belongs to the object that carries another of our entries.
    #[error("the target has this name for entry {by}")]
    Taken { by: Uuid },
    /// An answer that may be another one later.
    #[error("the target answered {status}{}", wait_text(.retry_after))]
    Busy { status: u16, retry_after: Option<Duration> },
    /// No answer: whether the request was carried out is unknown.
    #[error("no answer from the target: {0}")]
    Unreachable(String),
    /// The target could not do it for this object, and may later.
    #[error("failed at the target: {0}")]
    Failed(String),
    /// No request can succeed before someone repairs something: the token, the address.
    #[error("{0}")]
    Closed(String),
    /// The target will not take this version of this object.
    #[error("refused: {0}")]
    Refused(String),
}

fn wait_text(retry_after: &Option<Duration>) -> String {
    retry_after.map(|d| format!(" and asks to wait {} s", d.as_secs())).unwrap_or_default()
}

/// What a fault asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try this object again; others may go on.
    Later,
    /// Nothing is sent to the target for a while.
    Pause,
    /// As `Pause`, for the longest wait, and no object is to blame.
    Repair,
    /// Not before the object changes.
    Never,
}

impl Fault {
    pub fn remedy(&self) -> Remedy {
        match self {
            // 429 counts requests of the whole client (RFC 6585 section 4); the others say that
            // nobody is behind the door.
            Fault::Busy { status: 429 | 502 | 503 | 504, .. } | Fault::Unreachable(_) => Remedy::Pause,
            // Names move between entries: the other one may be about to give it up.
            Fault::Busy { .. } | Fault::Failed(_) | Fault::NotFound | Fault::Taken { .. } => Remedy::Later,
            Fault::Closed(_) => Remedy::Repair,
            Fault::Conflict(_) | Fault::Refused(_) => Remedy::Never,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Fault::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the request may have been carried out all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Fault::Unreachable(_) | Fault::Busy { status: 500.., .. })
    }

    /// One word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Fault::NotFound => "not_found",
            Fault::Conflict(_) => "conflict",
            Fault::Taken { .. } => "taken",
            Fault::Busy { .. } => "busy",
            Fault::Unreachable(_) => "unreachable",
            Fault::Failed(_) => "failed",
            Fault::Closed(_) => "closed",
            Fault::Refused(_) => "refused",
        }
    }
}

/// An update that ended early. `reached` is the last document that the target has taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    pub fault: Fault,
    pub reached: Option<Document>,
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Stopped { fault, reached: None }
    }
}

/// A receiver of objects.
pub trait Target: Send + Sync + 'static {
    /// Every object with exactly this key; whatever else the target returns is dropped.
    fn find(&self, resource: Resource, key: Key<'_>) -> impl Future<Output = Result<Vec<Remote>, Fault>> + Send;

    fn create(&self, resource: Resource, document: &Document) -> impl Future<Output = Result<Remote, Fault>> + Send;

    /// The object as it is now.
    fn read(&self, resource: Resource, id: &str) -> impl Future<Output = Result<Remote, Fault>> + Send;

    /// Turns what the target holds, `before` as far as it is known, into `after`.
    fn update(
        &self,
        resource: Resource,
        id: &str,
        before: &Document,
        after: &Document,
    ) -> impl Future<Output = Result<Kept, Stopped>> + Send;

    fn delete(&self, resource: Resource, id: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Called before the first request and after a [`Fault::Closed`]: reads credentials again.
    fn open(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Called after failures of the whole target, before any object is risked: is somebody there?
    fn probe(&self) -> impl Future<Output = Result<(), Fault>> + Send {
        std::future::ready(Ok(()))
    }

    /// One page of all that the target has.
    fn list(&self, resource: Resource, page: &Page) -> impl Future<Output = Result<Listed, Fault>> + Send {
        let (_, _) = (resource, page);
        std::future::ready(Err(Fault::Refused("this kind of target cannot be listed".to_owned())))
    }

    /// The part of an object that is ours, where the target itself knows it; `None`: as mapped.
    fn ours(&self, remote: &Remote) -> Option<Document> {
        let _ = remote;
        None
    }

    /// The requests that would turn `before` into `after`, for people to read: method, path, body.
    fn requests(&self, resource: Resource, id: Option<&str>, before: &Document, after: &Document) -> Vec<Value> {
        let (_, _, _, _) = (resource, id, before, after);
        Vec::new()
    }
}

/// Where a listing goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// How many objects came before.
    pub skip: usize,
    /// What the target gave with the page before, if it pages by cursors.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    pub objects: Vec<Remote>,
    /// `None` on the last page.
    pub next: Option<Page>,
    /// How many there are in all, if the target says so.
    pub total: Option<usize>,
}

/// The one text of a document: keys sorted, so that equal documents have equal texts.
pub fn canonical(document: &Document) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                out.push('{');
                for (i, key) in keys.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    if let Some(value) = map.get(key) {
                        write(value, out);
                    }
                }
                out.push('}');
            }
            Value::Array(list) => {
                out.push('[');
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write(value, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(&Value::Object(document.clone()), &mut out);
    out
}

/// Reads what [`canonical`] wrote; an unreadable text counts as nothing sent.
pub fn read_document(text: &str) -> Document {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_have_one_text() {
        let a: Document = serde_json::from_str(r#"{"b":[{"y":1,"x":"é\""}],"a":null}"#).unwrap();
        let b: Document = serde_json::from_str(r#"{"a":null,"b":[{"x":"é\"","y":1}]}"#).unwrap();
        assert_eq!(canonical(&a), canonical(&b));
        assert_eq!(read_document(&canonical(&a)), b);
    }

    #[test]
    fn each_fault_has_its_remedy() {
        let busy = |status| Fault::Busy { status, retry_after: None };
        for (fault, remedy) in [
            (busy(429), Remedy::Pause),
            (busy(503), Remedy::Pause),
            (busy(500), Remedy::Later),
            (busy(408), Remedy::Later),
            (Fault::Unreachable(String::new()), Remedy::Pause),
            (Fault::Closed(String::new()), Remedy::Repair),
            (Fault::Conflict(String::new()), Remedy::Never),
            (Fault::Refused(String::new()), Remedy::Never),
        ] {
            assert_eq!(fault.remedy(), remedy, "{fault:?}");
        }
    }
}
