//! A directory downstream, kept equal by add, modify, delete and rename (RFC 4511). Whoever is there
//! is known by the entryUUID that the other server gave (RFC 4530), so that a rename over there is
//! seen as one.

mod answer;
mod connection;
mod content;
mod diff;
mod form;
mod listing;
mod suffix;

pub use connection::{Access, Login};
pub use content::AWAITS_SUPERIOR;
pub use form::{BY_DN, Choice, Filters, Form, Formed, Known, Names, NoForm, References};
pub use suffix::Suffix;

use super::{
    Tools,
    ledger::{Ledger, Line},
    target::{Document, Fault, Kept, Key, Listed, Page, Remote, Resource, Stopped, Target},
};
use crate::dn::Dn;
use answer::{
    ASSERTION_FAILED, ATTRIBUTE_OR_VALUE_EXISTS, ENTRY_ALREADY_EXISTS, NO_SUCH_ATTRIBUTE, NO_SUCH_OBJECT,
    NOT_ALLOWED_ON_NON_LEAF, SIZE_LIMIT_EXCEEDED, SUCCESS,
};
use connection::Connection;
use content::{Content, plain};
use diff::{Change, Kind, Request, Step, steps};
use ldap3::{
    LdapResult, Mod, Scope, SearchEntry,
    controls::{Assertion, Control, ControlType, MakeCritical, PostRead, RawControl},
    ldap_escape,
};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{sync::Arc, time::Instant};

/// How one directory is written to.
#[derive(Clone, Debug)]
pub struct Options {
    pub access: Access,
    pub form: Form,
    /// The operational attribute that tells an entry from all others, whatever its name.
    pub id_attribute: SmolStr,
    /// Whether superiors that are missing there, and are no objects of ours, are made.
    pub create_parents: bool,
    /// Values in one modification.
    pub chunk: usize,
    /// Entries in one page of a listing.
    pub page: usize,
}

pub struct Ldap {
    options: Options,
    connection: Connection,
    ledger: Ledger,
}

/// An entry there, at the name that it has now.
struct Place {
    dn: String,
    content: Content,
}

impl Ldap {
    pub fn new(options: &Options, tools: &Tools) -> Self {
        Ldap {
            options: options.clone(),
            connection: Connection::new(options.access.clone(), Arc::clone(&tools.throttle)),
            ledger: tools.ledger.clone(),
        }
    }

    fn base(&self) -> String {
        self.options.form.suffix.base.to_string()
    }

    /// What is read of an entry.
    fn wanted(&self) -> Vec<&str> {
        vec!["*", self.options.id_attribute.as_str()]
    }

    /// Every entry below the base that matches.
    async fn look(&self, resource: Resource, filter: &str, most: i32) -> Result<Vec<Remote>, Fault> {
        let base = self.base();
        let found = self.look_at((&base, Scope::Subtree), resource, filter, most).await?;
        found.ok_or_else(|| Fault::Closed(format!("the target has no entry {base}; check base")))
    }

    /// `None` if there is no such base.
    async fn look_at(
        &self,
        (base, scope): (&str, Scope),
        resource: Resource,
        filter: &str,
        most: i32,
    ) -> Result<Option<Vec<Remote>>, Fault> {
        let began = Instant::now();
        let searched = self.connection.search((base, scope, filter), self.wanted(), most, Vec::new()).await;
        self.note("search", base, &searched.as_ref().map(|(_, result)| result), Vec::new(), began);
        let (entries, result) = searched?;
        match result.rc {
            SUCCESS | SIZE_LIMIT_EXCEEDED => {
                entries.into_iter().map(|entry| self.remote(entry, resource)).collect::<Result<_, _>>().map(Some)
            }
            NO_SUCH_OBJECT => Ok(None),
            _ => Err(answer::fault(&result, &Content::default())),
        }
    }

    /// Whether there is an entry of this name.
    async fn has(&self, dn: &str) -> Result<bool, Fault> {
        let found = self.look_at((dn, Scope::Base), Resource::Department, ANY, TWO).await?;
        Ok(found.is_some_and(|found| !found.is_empty()))
    }

    /// An entry as the engine knows objects: the part that is ours, and by what it is known.
    fn remote(&self, entry: SearchEntry, resource: Resource) -> Result<Remote, Fault> {
        let form = &self.options.form;
        let mut content = read(entry);
        let id = content.text(&self.options.id_attribute).map(str::to_owned).ok_or_else(|| {
            Fault::Closed(format!("the target shows no {}; check id_attribute and rights", self.options.id_attribute))
        })?;
        // Asked for to know the entry by, and nothing that could be changed.
        content.remove(&self.options.id_attribute);
        content.retain(|name| form.answers_for(name) || form.inactive.contains_key(name));
        let content = form.reduce(content);
        let mut document = content.document();
        form.identify(&mut document, &content, resource);
        Ok(Remote { id, document, ..Remote::default() })
    }

    /// The entry with this id, wherever it is.
    async fn by_id(&self, id: &str) -> Result<Place, Fault> {
        let filter = equal(&self.options.id_attribute, id);
        let found = self.look(Resource::User, &filter, TWO).await?.into_iter().find(|remote| remote.id == id);
        let content = self.options.form.complete(Content::of(&found.ok_or(Fault::NotFound)?.document));
        Ok(Place { dn: content.dn.clone(), content })
    }

    /// Lets a request go through only for the entry with this id: the name may be another's by now
    /// (RFC 4528).
    fn only_for(&self, id: &str) -> RawControl {
        Assertion { filter: equal(&self.options.id_attribute, id) }.critical().into()
    }

    /// Carries out the steps on the entry called `dn`; tells how far it came.
    async fn take(&self, id: &str, dn: &str, steps: Vec<Step>) -> Result<(), (Wrong, Option<Content>)> {
        let mut dn = dn.to_owned();
        let mut reached: Option<Content> = None;
        for step in steps {
            if let Err(wrong) = self.step(id, &dn, &step).await {
                return Err((wrong, reached));
            }
            dn.clone_from(&step.reached.dn);
            reached = Some(step.reached);
        }
        Ok(())
    }

    async fn step(&self, id: &str, dn: &str, step: &Step) -> Result<(), Wrong> {
        let guard = match self.connection.features().await?.assertion {
            true => vec![self.only_for(id)],
            false => Vec::new(),
        };
        let began = Instant::now();
        let result = match &step.request {
            Request::Rename { rdn, delete_old, superior } => {
                let named = ["dn".to_owned()].to_vec();
                let name = (rdn.as_str(), *delete_old, superior.as_deref());
                let result = self.connection.rename(dn, name, guard).await;
                self.note("modrdn", dn, &result.as_ref(), named, began);
                result?
            }
            Request::Modify(changes) => {
                let named = changes.iter().map(|change| change.name.clone()).collect();
                let result = self.connection.modify(dn, changes.iter().map(modification).collect(), guard).await;
                self.note("modify", dn, &result.as_ref(), named, began);
                result?
            }
        };
        match result.rc {
            SUCCESS => Ok(()),
            NO_SUCH_OBJECT | ASSERTION_FAILED => Err(Wrong::Elsewhere),
            NO_SUCH_ATTRIBUTE | ATTRIBUTE_OR_VALUE_EXISTS => {
                Err(Wrong::Different(answer::fault(&result, &step.reached)))
            }
            _ => Err(Wrong::Fault(answer::fault(&result, &step.reached))),
        }
    }

    /// The entry is not where or what it was thought to be: looks, and goes on from there.
    async fn update_from_there(&self, id: &str, after: &Content) -> Result<(), Stopped> {
        let place = self.by_id(id).await?;
        let steps = steps(&place.content, after, self.options.chunk);
        if let Some(Request::Rename { superior: Some(superior), .. }) = steps.first().map(|step| &step.request) {
            self.require_above(superior, after).await?;
        }
        self.take(id, &place.dn, steps).await.map_err(|(wrong, reached)| self.stopped(wrong, reached))
    }

    fn stopped(&self, wrong: Wrong, reached: Option<Content>) -> Stopped {
        let fault = match wrong {
            Wrong::Fault(fault) | Wrong::Different(fault) => fault,
            // It moved twice while we looked, or its new superior has gone again.
            Wrong::Elsewhere => Fault::Busy { status: ELSEWHERE, retry_after: None },
        };
        Stopped { fault, reached: reached.map(|content| self.options.form.reduce(content).document()) }
    }

    /// Sees to it that an entry is there to put another below.
    async fn require_above(&self, superior: &str, below: &Content) -> Result<(), Fault> {
        let mut missing: Vec<String> = Vec::new();
        let mut next = superior.to_owned();
        let base = plain(&self.base());
        while !self.has(&next).await? {
            if plain(&next) == base || next.is_empty() {
                return Err(Fault::Closed(format!("the target has no entry {}; check base", self.base())));
            }
            let above = Dn::parse(&next).ok().and_then(|dn| dn.parent());
            missing.push(std::mem::take(&mut next));
            next = above.map(|dn| dn.to_string()).unwrap_or_default();
        }
        // What is an object of ours comes by itself; a container in its place would be in its way.
        if missing.is_empty() || !self.options.create_parents || below.awaits_superior {
            return if missing.is_empty() { Ok(()) } else { Err(Fault::Failed(NO_SUPERIOR.to_owned())) };
        }
        for name in missing.into_iter().rev() {
            let container = container(&name)?;
            let began = Instant::now();
            let result = self.connection.add(&container, Vec::new()).await;
            self.note("add", &name, &result.as_ref(), vec!["objectClass".to_owned()], began);
            let result = result?;
            if !matches!(result.rc, SUCCESS | ENTRY_ALREADY_EXISTS) {
                return Err(answer::fault(&result, &container));
            }
        }
        Ok(())
    }

    async fn add(&self, content: &Content) -> Result<LdapResult, Fault> {
        let controls = match self.connection.features().await?.post_read {
            true => vec![PostRead::new(vec![self.options.id_attribute.as_str()])],
            false => Vec::new(),
        };
        let began = Instant::now();
        let result = self.connection.add(content, controls).await;
        let named = content.attributes().map(|attribute| attribute.name.clone()).collect();
        self.note("add", &content.dn, &result.as_ref(), named, began);
        result
    }

    /// The id of an entry that was just added.
    async fn id_of(&self, added: &LdapResult, dn: &str) -> Result<String, Fault> {
        let shown = added.ctrls.iter().find_map(|Control(kind, raw)| match kind {
            Some(ControlType::PostReadResp) => Some(raw.parse::<ldap3::controls::PostReadResp>()),
            _ => None,
        });
        let told = shown.and_then(|entry| {
            let held = entry.attrs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.options.id_attribute));
            held.and_then(|(_, values)| values.into_iter().next())
        });
        if let Some(id) = told {
            return Ok(id);
        }
        let found = self.look_at((dn, Scope::Base), Resource::User, ANY, TWO).await?;
        let gone = || Fault::Refused("an entry that was added is not there".to_owned());
        found.into_iter().flatten().next().map(|remote| remote.id).ok_or_else(gone)
    }

    /// A line of the provisioning log.
    fn note(
        &self,
        action: &str,
        dn: &str,
        result: &Result<&LdapResult, &Fault>,
        attributes: Vec<String>,
        began: Instant,
    ) {
        let (status, error) = match result {
            Ok(result) => (u16::try_from(result.rc).ok(), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        self.ledger.note(Line {
            action: action.to_owned(),
            path: dn.to_owned(),
            status,
            attributes,
            elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            error,
            ..Line::default()
        });
    }
}

/// What a step met.
enum Wrong {
    /// No entry of this name, or another one.
    Elsewhere,
    /// It does not hold what it was thought to hold.
    Different(Fault),
    Fault(Fault),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Wrong::Fault(fault)
    }
}

impl Target for Ldap {
    async fn find(&self, resource: Resource, key: Key<'_>) -> Result<Vec<Remote>, Fault> {
        let form = &self.options.form;
        let (attribute, wanted) = match (key, &form.key) {
            (Key::ExternalId(id), Some(key)) => (key, id),
            // No attribute carries it there.
            (Key::ExternalId(_), None) => return Ok(Vec::new()),
            (Key::Name(name), _) => (form.names.of(resource), name),
        };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if attribute == BY_DN {
            return Ok(self.look_at((wanted, Scope::Base), resource, ANY, TWO).await?.unwrap_or_default());
        }
        // A person may be called what a group is called.
        let filter = format!("(&{}{})", form.filters.of(resource), equal(attribute, wanted));
        let found = self.look(resource, &filter, MOST_HITS).await?;
        let is_wanted = |value: &Vec<u8>| {
            std::str::from_utf8(value).is_ok_and(|value| value.to_lowercase() == wanted.to_lowercase())
        };
        let is_hit = |remote: &Remote| {
            Content::of(&remote.document).get(attribute).is_some_and(|held| held.values.iter().any(is_wanted))
        };
        Ok(found.into_iter().filter(is_hit).collect())
    }

    async fn create(&self, _: Resource, document: &Document) -> Result<Remote, Fault> {
        let form = &self.options.form;
        let wanted = form.complete(Content::of(document));
        let first = diff::first_portion(&wanted, self.options.chunk);
        let mut added = self.add(&first).await?;
        if added.rc == NO_SUCH_OBJECT {
            let superior = Dn::parse(&wanted.dn).ok().and_then(|dn| dn.parent());
            self.require_above(&superior.map(|dn| dn.to_string()).unwrap_or_default(), &wanted).await?;
            added = self.add(&first).await?;
        }
        match added.rc {
            SUCCESS => {}
            // The superior went away again.
            NO_SUCH_OBJECT => return Err(Fault::Failed(NO_SUPERIOR.to_owned())),
            _ => return Err(answer::fault(&added, &first)),
        }
        let id = self.id_of(&added, &first.dn).await?;
        // What is not sent as an attribute stays as it was asked for.
        let kept = if first == wanted { document.clone() } else { form.reduce(first).document() };
        Ok(Remote { id, document: kept, ..Remote::default() })
    }

    async fn read(&self, resource: Resource, id: &str) -> Result<Remote, Fault> {
        let found = self.look(resource, &equal(&self.options.id_attribute, id), TWO).await?;
        found.into_iter().find(|remote| remote.id == id).ok_or(Fault::NotFound)
    }

    async fn update(&self, _: Resource, id: &str, before: &Document, after: &Document) -> Result<Kept, Stopped> {
        let form = &self.options.form;
        let (before, after) = (form.complete(Content::of(before)), form.complete(Content::of(after)));
        let steps = steps(&before, &after, self.options.chunk);
        if steps.is_empty() {
            return Ok(Kept::default());
        }
        let moves = matches!(steps.first().map(|s| &s.request), Some(Request::Rename { superior: Some(_), .. }));
        // A new superior has to be there first, and without assertions nobody tells whose the name is.
        if moves || !self.connection.features().await?.assertion {
            self.update_from_there(id, &after).await?;
            return Ok(Kept::default());
        }
        match self.take(id, &before.dn, steps).await {
            Ok(()) => {}
            Err((Wrong::Fault(fault), reached)) => return Err(self.stopped(Wrong::Fault(fault), reached)),
            // An earlier answer was lost, or somebody else was here.
            Err((Wrong::Elsewhere | Wrong::Different(_), _)) => self.update_from_there(id, &after).await?,
        }
        Ok(Kept::default())
    }

    async fn delete(&self, _: Resource, id: &str) -> Result<(), Fault> {
        let place = self.by_id(id).await?;
        let guard = match self.connection.features().await?.assertion {
            true => vec![self.only_for(id)],
            false => Vec::new(),
        };
        let began = Instant::now();
        let result = self.connection.delete(&place.dn, guard).await;
        self.note("delete", &place.dn, &result.as_ref(), Vec::new(), began);
        let result = result?;
        match result.rc {
            SUCCESS => Ok(()),
            NOT_ALLOWED_ON_NON_LEAF => Err(Fault::Failed("the target still has entries below this one".to_owned())),
            ASSERTION_FAILED => Err(Fault::Busy { status: ELSEWHERE, retry_after: None }),
            _ => Err(answer::fault(&result, &place.content)),
        }
    }

    async fn open(&self) -> Result<(), Fault> {
        self.connection.reset().await;
        let base = self.base();
        if !self.has(&base).await? {
            return Err(Fault::Closed(format!("the target has no entry {base}, or does not show it; check base")));
        }
        Ok(())
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.has(&self.base()).await.map(drop)
    }

    async fn list(&self, resource: Resource, page: &Page) -> Result<Listed, Fault> {
        listing::page(self, resource, page).await
    }

    fn ours(&self, remote: &Remote) -> Option<Document> {
        // Read as ours already.
        Some(remote.document.clone())
    }

    fn requests(&self, _: Resource, _: Option<&str>, before: &Document, after: &Document) -> Vec<Value> {
        let form = &self.options.form;
        let (before, after) = (form.complete(Content::of(before)), form.complete(Content::of(after)));
        if before.dn.is_empty() {
            return vec![json!({ "method": "add", "path": after.dn, "body": after.document().get("attributes") })];
        }
        let steps = steps(&before, &after, self.options.chunk);
        steps.iter().map(|step| shown(&before.dn, step)).collect()
    }
}

/// `(attribute=value)` (RFC 4515).
fn equal(attribute: &str, value: &str) -> String {
    format!("({attribute}={})", ldap_escape(value))
}

fn read(entry: SearchEntry) -> Content {
    let mut content = Content::new(entry.dn);
    for (name, values) in entry.attrs {
        values.into_iter().for_each(|value| content.put(&name, value));
    }
    for (name, values) in entry.bin_attrs {
        values.into_iter().for_each(|value| content.put(&name, value));
    }
    content
}

fn modification(change: &Change) -> Mod<Vec<u8>> {
    let (name, values) = (change.name.clone().into_bytes(), change.values.iter().cloned().collect());
    match change.kind {
        Kind::Add => Mod::Add(name, values),
        Kind::Delete => Mod::Delete(name, values),
        Kind::Replace => Mod::Replace(name, values),
    }
}

/// A step for people to read.
fn shown(dn: &str, step: &Step) -> Value {
    match &step.request {
        Request::Rename { rdn, delete_old, superior } => json!({
            "method": "modrdn",
            "path": dn,
            "body": { "newrdn": rdn, "deleteoldrdn": delete_old, "newSuperior": superior },
        }),
        Request::Modify(changes) => {
            let changes: Vec<Value> = changes
                .iter()
                .map(|change| {
                    let mut values = Content::default();
                    values.set(&change.name, change.values.clone());
                    let values = values.document().remove("attributes").unwrap_or_default();
                    json!({ "op": format!("{:?}", change.kind).to_lowercase(), "attribute": change.name,
                            "values": values.get(&change.name) })
                })
                .collect();
            json!({ "method": "modify", "path": step.reached.dn, "body": changes })
        }
    }
}

/// A plain container of this name.
fn container(name: &str) -> Result<Content, Fault> {
    let leaf = Dn::parse(name).ok().and_then(|dn| dn.leaf().cloned());
    let ava = leaf.as_ref().and_then(|rdn| rdn.avas().first());
    let ava = ava.ok_or_else(|| Fault::Refused("a superior has no name".to_owned()))?;
    let class = CONTAINERS.iter().find(|(attribute, _)| ava.attr.eq_ignore_ascii_case(attribute));
    let (_, classes) = class.ok_or_else(|| {
        Fault::Refused(format!("a superior named by {} is missing, and nobody knows of which class it is", ava.attr))
    })?;
    let mut content = Content::new(name.to_owned());
    classes.iter().for_each(|class| content.put("objectClass", *class));
    content.put(&ava.attr, ava.value.to_vec());
    Ok(content)
}

/// What a container is, by the attribute that names it (RFC 4519 section 3).
const CONTAINERS: [(&str, &[&str]); 4] =
    [("ou", &["organizationalUnit"]), ("o", &["organization"]), ("l", &["locality"]), ("dc", &["domain"])];

const NO_SUPERIOR: &str = "the superior of the entry is not at the target yet";

/// Every entry (RFC 4512 section 2.4.1).
const ANY: &str = "(objectClass=*)";
/// Enough to tell one from several.
const TWO: i32 = 2;
const MOST_HITS: i32 = 10;
/// Stands for an entry that is somewhere else each time it is asked for.
const ELSEWHERE: u16 = 32;
