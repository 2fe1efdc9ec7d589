//! What is to be done for one object at one target: a decision from the newest snapshot and the
//! object's row. Sends nothing.

use super::{
    ldap::{Form, Known},
    links::Links,
    mapping::{Asked, Found, Lacking, Mapping},
    queue::Cause,
    row::LinkRow,
    scope::Scopes,
    target::{Document, Remote, Resource, canonical, read_document},
};
use crate::{
    clock::Timestamp,
    directory::{Node, Snapshot},
    dn::DnKey,
    lifecycle::Export,
};
use uuid::Uuid;

/// All that a plan looks at.
pub struct Context<'a> {
    pub snapshot: &'a Snapshot,
    pub scopes: &'a Scopes,
    pub mapping: &'a Mapping,
    /// Takes the place of the mapping where entries stay entries.
    pub form: Option<&'a Form>,
    pub links: &'a Links,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Not to be sent now; what the target holds stays.
    Leave,
    /// The target neither wants it nor has it.
    Skip,
    /// The target has it as it is.
    Unchanged,
    /// The target has refused exactly this before.
    StillRefused,
    /// No document can be made.
    Impossible(Lacking),
    Create(Document),
    Update {
        id: String,
        /// What the target holds, unless that is in doubt and must be read from it.
        before: Option<Document>,
        after: Document,
    },
    Delete {
        id: String,
    },
    /// Perhaps the target has it, under an id that we do not know.
    Sweep(Vec<Resource>),
}

impl Work {
    /// One word for people.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Leave => "wait",
            Work::Skip => "skip",
            Work::Unchanged => "unchanged",
            Work::StillRefused => "refused",
            Work::Impossible(_) => "impossible",
            Work::Create(_) => "create",
            Work::Update { .. } => "update",
            Work::Delete { .. } => "delete",
            Work::Sweep(_) => "sweep",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub resource: Resource,
    /// The version of the entry; 0 if it is gone.
    pub as_of: u64,
    /// Whether the directory wants to hear what comes of it.
    pub is_identity: bool,
    pub checksum: u32,
    /// Entries that the document speaks of, linked or not.
    pub refs: Vec<Uuid>,
    /// Names in the entry that nobody has.
    pub absent: Vec<DnKey>,
    /// Takes something away from the target: a delete of what is linked, or `active` from true to false.
    pub removal: bool,
    pub work: Work,
}

impl Planned {
    fn new(resource: Resource, node: Option<&Node>, work: Work) -> Self {
        Planned {
            resource,
            as_of: node.map_or(0, |n| n.entry.operational.changed),
            is_identity: node.is_some_and(|n| n.entry.operational.axes.is_some()),
            checksum: 0,
            refs: Vec::new(),
            absent: Vec::new(),
            removal: false,
            work,
        }
    }
}

pub fn plan(context: &Context<'_>, object: Uuid, cause: Cause) -> Planned {
    let mut planned = decide(context, object, cause);
    planned.removal = match &planned.work {
        Work::Delete { .. } => true,
        Work::Update { after, .. } => {
            let was_active = context.links.get(object).is_some_and(|row| row.active == Some(true));
            was_active && after.get("active") == Some(&serde_json::Value::Bool(false))
        }
        _ => false,
    };
    planned
}

fn decide(context: &Context<'_>, object: Uuid, cause: Cause) -> Planned {
    let node = context.snapshot.by_uuid(object).map(AsRef::as_ref);
    let wanted =
        node.filter(|n| !is_absorbed(n)).and_then(|n| Some((n, context.scopes.resource(context.snapshot, n)?)));
    let row = context.links.get(object);
    match (wanted, row.as_ref()) {
        (Some((node, resource)), None) => present(context, object, node, resource, cause),
        (Some((node, resource)), Some(row)) if row.resource == resource => {
            present(context, object, node, resource, cause)
        }
        (_, Some(row)) => {
            let work = match &row.remote_id {
                Some(id) => Work::Delete { id: id.clone() },
                None => Work::Sweep(vec![row.resource]),
            };
            Planned::new(row.resource, node, work)
        }
        (None, None) if node.is_none() && cause.doubt => {
            Planned::new(Resource::User, None, Work::Sweep(context.scopes.resources().collect()))
        }
        (None, None) => Planned::new(Resource::User, node, Work::Skip),
    }
}

/// What waits for a human is not sent; but an account that is closed meanwhile is closed at a target
/// that has it, and all else there stays as it was sent last.
fn waiting(context: &Context<'_>, node: &Node, resource: Resource, row: Option<&LinkRow>) -> Planned {
    let mut planned = Planned::new(resource, Some(node), Work::Leave);
    let closed = node.entry.operational.axes.as_ref().is_some_and(|axes| context.snapshot.career.is_closed(axes));
    let held = row.filter(|row| closed && resource == Resource::User && row.active != Some(false));
    if let Some(row) = held
        && let (Some(id), Some(sent)) = (&row.remote_id, row.sent.as_deref())
    {
        let before = read_document(sent);
        let mut after = before.clone();
        after.insert("active".into(), serde_json::Value::Bool(false));
        planned.checksum = crc32fast::hash(canonical(&after).as_bytes());
        planned.work = Work::Update { id: id.clone(), before: Some(before), after };
    }
    planned
}

/// Whoever was absorbed by another identity goes from the targets as if deleted (Sesame: fusion).
fn is_absorbed(node: &Node) -> bool {
    node.entry.operational.facts.as_ref().is_some_and(|facts| facts.fused_into.is_some())
}

fn present(context: &Context<'_>, object: Uuid, node: &Node, resource: Resource, cause: Cause) -> Planned {
    let row = context.links.get(object);
    let row = row.as_ref();
    let active = match node.entry.operational.axes.as_ref().map(|axes| context.snapshot.career.export(axes)) {
        Some(Export::Wait) => return waiting(context, node, resource, row),
        None | Some(Export::Active) => Some(true),
        Some(Export::Inactive) => Some(false),
        Some(Export::KeepActive) => row.and_then(|r| r.active),
    };
    let mut planned = Planned::new(resource, Some(node), Work::Leave);
    let document = match context.form {
        Some(form) => entry(context, form, node, active, &mut planned),
        None => mapped(context, node, resource, active, &mut planned),
    };
    let mut document = match document {
        Ok(document) => document,
        Err(lacking) => return Planned { work: Work::Impossible(lacking), ..planned },
    };
    if let Some(sent) = row.and_then(|row| row.sent.as_deref()).filter(|_| context.form.is_none()) {
        context.mapping.keep_created(resource, &mut document, sent);
    }
    let text = canonical(&document);
    planned.checksum = crc32fast::hash(text.as_bytes());
    // A process that was cut off may have sent more than it wrote down.
    let unsure = cause.doubt || row.is_some_and(|row| row.unsure);
    planned.work = match row {
        Some(row) if !cause.force && row.refused == Some(planned.checksum) && row.as_of == planned.as_of => {
            Work::StillRefused
        }
        Some(row) => match &row.remote_id {
            None => Work::Create(document),
            Some(_) if row.sent.as_ref() == Some(&text) && !unsure => Work::Unchanged,
            Some(id) => Work::Update {
                id: id.clone(),
                before: row.sent.as_deref().filter(|_| !unsure).map(read_document),
                after: document,
            },
        },
        None => Work::Create(document),
    };
    planned
}

/// An entry as an entry.
fn entry(
    context: &Context<'_>,
    form: &Form,
    node: &Node,
    active: Option<bool>,
    planned: &mut Planned,
) -> Result<Document, Lacking> {
    let formed = form.document(context.snapshot, node, planned.resource, active, context);
    let formed =
        formed.map_err(|lacks| Lacking::Missing { attributes: lacks.what().to_string(), path: "entry".into() })?;
    (planned.refs, planned.absent) = (formed.refs, formed.absent);
    Ok(formed.document)
}

impl Context<'_> {
    /// The part of an object of the target that is ours.
    pub fn ours(&self, resource: Resource, remote: &Remote) -> Document {
        match self.form {
            // Read as ours already.
            Some(_) => remote.document.clone(),
            None => self.mapping.project(resource, &remote.document),
        }
    }
}

impl Known for Context<'_> {
    fn is_linked(&self, object: Uuid) -> bool {
        self.links.get(object).is_some_and(|row| row.remote_id.is_some())
    }

    fn is_exported(&self, snapshot: &Snapshot, node: &Node) -> bool {
        self.scopes.resource(snapshot, node).is_some()
    }
}

/// The document of an entry, and whom it speaks of.
fn mapped(
    context: &Context<'_>,
    node: &Node,
    resource: Resource,
    active: Option<bool>,
    planned: &mut Planned,
) -> Result<Document, Lacking> {
    let linked = |uuid| context.links.at_target(uuid);
    let asked = Asked { snapshot: context.snapshot, node, active, now: context.now, linked: &linked };
    let mut found = Found::default();
    let document = context.mapping.document(resource, &asked, &mut found);
    (planned.refs, planned.absent) = (found.refs, found.absent);
    document
}
