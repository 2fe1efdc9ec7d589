//! What is to be done for one object at one target: a decision from the newest snapshot and the
//! object's row. Sends nothing.

use super::{
    ldap::{Form, Known},
    leavers::{self, Action, Anticipated, Grace, Leavers},
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
    pub leavers: &'a Leavers,
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
    /// Since when it should not be there.
    pub leaving: Option<Timestamp>,
    /// When to look again though nothing changes.
    pub wake: Option<Timestamp>,
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
            leaving: None,
            wake: None,
            work,
        }
    }
}

pub fn plan(context: &Context<'_>, object: Uuid, cause: Cause) -> Planned {
    let mut planned = decide(context, object, cause);
    planned.removal = match &planned.work {
        Work::Delete { .. } => true,
        Work::Update { after, .. } => closes(context, object, planned.resource, after),
        _ => false,
    };
    planned
}

/// Whether an update takes a usable account away.
fn closes(context: &Context<'_>, object: Uuid, resource: Resource, after: &Document) -> bool {
    let is_closed = |document: &Document| context.mapping.is_closed(resource, document);
    let was_closed = || context.links.get(object).and_then(|row| row.sent).map(|sent| is_closed(&read_document(&sent)));
    context.form.is_none() && is_closed(after) && was_closed() == Some(false)
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
        // What is wanted as another kind goes as this one first.
        (Some((node, _)), Some(row)) => remove(Some(node), row),
        (None, Some(row)) => leave(context, node, row, cause),
        (None, None) if node.is_none() && cause.doubt => {
            Planned::new(Resource::User, None, Work::Sweep(context.scopes.resources().collect()))
        }
        (None, None) => Planned::new(Resource::User, node, Work::Skip),
    }
}

fn remove(node: Option<&Node>, row: &LinkRow) -> Planned {
    let work = match &row.remote_id {
        Some(id) => Work::Delete { id: id.clone() },
        None => Work::Sweep(vec![row.resource]),
    };
    Planned { leaving: row.leaving, ..Planned::new(row.resource, node, work) }
}

/// Out of scope, or gone: as the target's `leavers` say.
fn leave(context: &Context<'_>, node: Option<&Node>, row: &LinkRow, cause: Cause) -> Planned {
    let Some(id) = &row.remote_id else { return remove(node, row) };
    let sent = row.sent.as_deref().map(read_document).unwrap_or_default();
    // An entry is there or it is not.
    let closed = context.mapping.closed(row.resource, &sent).filter(|_| context.form.is_none());
    let (after, since) = match (context.leavers.action, closed) {
        (Action::Delete, _) | (_, None) => return remove(node, row),
        (Action::Keep, Some(_)) => return Planned::new(row.resource, node, Work::Unchanged),
        (Action::Deactivate, Some(after)) => (after, row.leaving.unwrap_or(context.now)),
    };
    let Grace::Until(wake) = context.leavers.grace(since, context.now) else { return remove(node, row) };
    let checksum = crc32fast::hash(canonical(&after).as_bytes());
    let unsure = row.unsure || cause.doubt;
    let work = if after == sent && !unsure {
        Work::Unchanged
    } else if row.refused == Some(checksum) && !cause.force {
        Work::StillRefused
    } else {
        Work::Update { id: id.clone(), before: (!unsure).then_some(sent), after }
    };
    Planned { leaving: Some(since), wake, checksum, ..Planned::new(row.resource, node, work) }
}

/// What waits for a human is not sent; but an account that is closed meanwhile is closed at a target
/// that has it, and all else there stays as it was sent last.
fn waiting(context: &Context<'_>, node: &Node, resource: Resource, row: Option<&LinkRow>) -> Planned {
    let mut planned = Planned::new(resource, Some(node), Work::Leave);
    let closed = node.entry.operational.axes.as_ref().is_some_and(|axes| context.snapshot.career.is_closed(axes));
    if let Some(row) = row.filter(|_| closed && resource == Resource::User && context.form.is_none())
        && let (Some(id), Some(sent)) = (&row.remote_id, row.sent.as_deref())
        && let before = read_document(sent)
        && let Some(after) = context.mapping.closed(resource, &before).filter(|after| *after != before)
    {
        planned.checksum = crc32fast::hash(canonical(&after).as_bytes());
        planned.work = Work::Update { id: id.clone(), before: Some(before), after };
    }
    planned
}

/// What is known of an entry in scope before its document is made.
struct Standing {
    /// Whether the account is to be usable; `None`: as it was.
    active: Option<bool>,
    leaving: Option<Timestamp>,
    wake: Option<Timestamp>,
}

/// `Err` is a plan that needs no document.
fn standing(
    context: &Context<'_>,
    node: &Node,
    resource: Resource,
    row: Option<&LinkRow>,
) -> Result<Standing, Box<Planned>> {
    let Context { snapshot, leavers, now, .. } = context;
    let mut standing = Standing { active: Some(true), leaving: None, wake: None };
    let ended =
        || Box::new(row.map_or_else(|| Planned::new(resource, Some(node), Work::Skip), |row| remove(Some(node), row)));
    if resource == Resource::Group {
        match leavers.grace_of_group(snapshot, node, *now) {
            Some(Grace::Over) => return Err(ended()),
            Some(Grace::Until(at)) => standing.wake = at,
            None => {}
        }
    }
    let Some(axes) = node.entry.operational.axes.as_ref() else { return Ok(standing) };
    let ahead = leavers.anticipated == Anticipated::Inactive && snapshot.career.is_anticipated(axes);
    match snapshot.career.export(axes) {
        Export::Wait if ahead => standing.active = Some(false),
        Export::Wait => return Err(Box::new(waiting(context, node, resource, row))),
        Export::Active => {
            let ends = leavers::reprieve_ends(snapshot, node);
            standing.active = Some(ends.is_none_or(|end| end > *now));
            standing.wake = ends.filter(|end| *end > *now);
        }
        Export::Inactive => standing.active = Some(false),
        Export::KeepActive => standing.active = row.and_then(|row| row.active),
    }
    if snapshot.career.is_to_destroy(axes) && leavers.delete_after_secs.is_some() {
        // Nobody makes an account to destroy it.
        let held = row.filter(|row| row.remote_id.is_some()).ok_or_else(ended)?;
        let since = held.leaving.unwrap_or(*now);
        match leavers.grace(since, *now) {
            Grace::Over => return Err(ended()),
            Grace::Until(at) => (standing.leaving, standing.wake) = (Some(since), at),
        }
    }
    Ok(standing)
}

/// Whoever was absorbed by another identity goes from the targets as if deleted (Sesame: fusion).
fn is_absorbed(node: &Node) -> bool {
    node.entry.operational.facts.as_ref().is_some_and(|facts| facts.fused_into.is_some())
}

fn present(context: &Context<'_>, object: Uuid, node: &Node, resource: Resource, cause: Cause) -> Planned {
    let row = context.links.get(object);
    let row = row.as_ref();
    let Standing { active, leaving, wake } = match standing(context, node, resource, row) {
        Ok(standing) => standing,
        Err(planned) => return *planned,
    };
    let mut planned = Planned { leaving, wake, ..Planned::new(resource, Some(node), Work::Leave) };
    let mut document = match document(context, node, resource, active, &mut planned) {
        Ok(document) => document,
        Err(lacking) => return Planned { work: Work::Impossible(lacking), ..planned },
    };
    if let Some(sent) = row.and_then(|row| row.sent.as_deref()).filter(|_| context.form.is_none()) {
        context.mapping.keep(resource, &mut document, sent, active);
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

/// What the target is to hold of an entry.
fn document(
    context: &Context<'_>,
    node: &Node,
    resource: Resource,
    active: Option<bool>,
    planned: &mut Planned,
) -> Result<Document, Lacking> {
    match context.form {
        Some(form) => entry(context, form, node, active, planned),
        None => mapped(context, node, resource, active, planned),
    }
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
