//! What is to be done for one object at one target: a decision from the newest snapshot and the
//! object's row. Sends nothing.

use super::{
    ldap::{Form, Known},
    links::Links,
    managed,
    mapping::{self, Lacking, Rules},
    queue::Cause,
    row::LinkRow,
    scope::Scopes,
    target::{Document, Remote, Resource, canonical, read_document},
};
use crate::{
    directory::{Node, Snapshot},
    dn::{Dn, DnKey},
    lifecycle::Export,
};
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// All that a plan looks at.
pub struct Context<'a> {
    pub snapshot: &'a Snapshot,
    pub scopes: &'a Scopes,
    pub rules: &'a Rules,
    /// Takes the place of the rules where entries stay entries.
    pub form: Option<&'a Form>,
    pub links: &'a Links,
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
    let document = match (context.form, resource) {
        (Some(form), _) => entry(context, form, node, active, &mut planned),
        (None, Resource::User) => user(context, node, active, &mut planned),
        (None, Resource::Group) => group(context, node, &mut planned),
        (None, Resource::Department) => department(context, node, &mut planned),
    };
    let document = match document {
        Ok(document) => document,
        Err(lacking) => return Planned { work: Work::Impossible(lacking), ..planned },
    };
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
    let formed = formed.map_err(|lacks| Lacking(lacks.what(), "entry"))?;
    (planned.refs, planned.absent) = (formed.refs, formed.absent);
    Ok(formed.document)
}

impl Context<'_> {
    /// The part of an object of the target that is ours.
    pub fn ours(&self, resource: Resource, remote: &Remote) -> Document {
        match self.form {
            // Read as ours already.
            Some(_) => remote.document.clone(),
            None => managed::project(resource, &remote.document, self.rules.enterprise),
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

fn user(context: &Context<'_>, node: &Node, active: Option<bool>, planned: &mut Planned) -> Result<Document, Lacking> {
    let mut found = Found::default();
    if context.rules.enterprise {
        follow(context.snapshot, node, &["manager"], 1, &mut found);
    }
    let manager = found.refs.iter().find_map(|uuid| linked_user(context.links, *uuid));
    let document = mapping::user(node, &context.snapshot.schema, context.rules, active, manager.as_deref());
    found.move_into(planned);
    document
}

fn group(context: &Context<'_>, node: &Node, planned: &mut Planned) -> Result<Document, Lacking> {
    let mut found = Found::default();
    follow(context.snapshot, node, &MEMBERS, usize::MAX, &mut found);
    // Groups in the group are flattened: most targets read direct users only.
    let mut open = found.refs.clone();
    let mut seen: HashSet<Uuid> = HashSet::from([node.entry.uuid]);
    while let Some(uuid) = open.pop() {
        let Some(inner) = context.snapshot.by_uuid(uuid).filter(|_| seen.insert(uuid)) else { continue };
        let before = found.refs.len();
        follow(context.snapshot, inner, &MEMBERS, usize::MAX, &mut found);
        open.extend(found.refs.iter().skip(before));
    }
    let members: BTreeSet<String> = found.refs.iter().filter_map(|uuid| linked_user(context.links, *uuid)).collect();
    let document = mapping::group(node, &context.snapshot.schema, &members);
    found.move_into(planned);
    document
}

fn department(_: &Context<'_>, _: &Node, _: &mut Planned) -> Result<Document, Lacking> {
    Err(Lacking("mapping".into(), "a structure"))
}

fn linked_user(links: &Links, uuid: Uuid) -> Option<String> {
    links.linked(Resource::User, uuid)
}

#[derive(Default)]
struct Found {
    refs: Vec<Uuid>,
    known: HashSet<Uuid>,
    absent: Vec<DnKey>,
}

impl Found {
    fn move_into(self, planned: &mut Planned) {
        planned.refs = self.refs;
        planned.absent = self.absent;
    }
}

/// Notes the entries that attributes name, at most `most` of them.
fn follow(snapshot: &Snapshot, node: &Node, attrs: &[&str], most: usize, found: &mut Found) {
    let ids = attrs.iter().filter_map(|name| snapshot.schema.attr_id(name));
    for value in ids.flat_map(|id| node.entry.values(id)).take(most) {
        let Some(dn) = std::str::from_utf8(value).ok().and_then(name_of) else { continue };
        let key = snapshot.schema.dn_key(&dn);
        match snapshot.find(&key) {
            Some(other) if found.known.insert(other.entry.uuid) => found.refs.push(other.entry.uuid),
            Some(_) => {}
            None => found.absent.push(key),
        }
    }
}

/// The name in a value, which a bit string may follow (RFC 4517 section 3.3.21).
fn name_of(value: &str) -> Option<Dn> {
    let name = match value.rsplit_once('#') {
        Some((name, bits)) if bits.starts_with('\'') && bits.ends_with("'B") => name,
        _ => value,
    };
    Dn::parse(name).ok()
}

const MEMBERS: [&str; 2] = ["member", "uniqueMember"];
