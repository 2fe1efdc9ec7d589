//! From one document to the next at a server that may not know the form of a request, may hold
//! something else than we think, and may say yes and not do it.

use super::{
    Scim,
    answer::Answer,
    diff::{self, Form, Part, Step},
    etag, plural,
    profile::{Profile, Removal, Update},
    shape,
};
use crate::export::target::{Document, Fault, Kept, Resource, Stopped};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The forms that a server was found to take, for as long as this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    pub users: Update,
    pub groups: Update,
    pub members: Removal,
    /// Whether it answers filters on externalId.
    pub external_id: bool,
}

impl Habits {
    pub fn new(profile: &Profile) -> Self {
        Habits { users: profile.update, groups: profile.update, members: profile.members, external_id: true }
    }

    pub fn only_put(&mut self) {
        *self = Habits { users: Update::Put, groups: Update::Put, members: Removal::Put, ..*self };
    }

    fn only_put_groups(&mut self) {
        *self = Habits { groups: Update::Put, members: Removal::Put, ..*self };
    }

    pub fn attributes(&self, resource: Resource) -> Update {
        if resource == Resource::Group { self.groups } else { self.users }
    }

    fn put_attributes(&mut self, resource: Resource) {
        if resource == Resource::Group {
            self.groups = Update::Put;
        } else {
            self.users = Update::Put;
        }
    }
}

/// One object on its way.
struct Walk<'a> {
    scim: &'a Scim,
    resource: Resource,
    id: &'a str,
    etag: Option<String>,
    habits: Habits,
    /// What the server holds, as far as we know.
    held: Document,
    /// The last document that it has taken.
    reached: Option<Document>,
    /// What it has shown after the last request.
    shown: Option<Document>,
    /// Whether it was read again because it holds something else than we thought.
    read_again: bool,
    /// Forms of removal that it refused on this way.
    refused: Vec<Removal>,
}

/// What became of a request.
enum Sent {
    Taken,
    /// Go on from what is held now, in the forms that are known now.
    Again,
}

impl Scim {
    pub(super) async fn bring(
        &self,
        resource: Resource,
        id: &str,
        before: &Document,
        after: &Document,
    ) -> Result<Kept, Stopped> {
        let announced = self.announced().await?;
        let (held, _) = shape::outgoing(resource, before, &self.profile, &announced);
        let (goal, mut dropped) = shape::outgoing(resource, after, &self.profile, &announced);
        let mut walk = Walk {
            scim: self,
            resource,
            id,
            etag: None,
            habits: self.habits(),
            held: held.clone(),
            reached: None,
            shown: None,
            read_again: false,
            refused: Vec::new(),
        };
        let arrived = match walk.go(&goal).await {
            Ok(()) => walk.check(&held, &goal).await,
            Err(fault) => Err(fault),
        };
        let Walk { reached, shown, etag, .. } = walk;
        if let Err(fault) = arrived {
            return Err(Stopped { fault, reached });
        }
        if let Some(shown) = shown.filter(|shown| shape::is_whole(resource, shown)) {
            dropped.extend(shape::dropped(&held, &goal, &shown, self.profile.members_readable));
        }
        Ok(Kept { etag, dropped })
    }
}

impl Walk<'_> {
    async fn go(&mut self, goal: &Document) -> Result<(), Fault> {
        'again: loop {
            let by_put = self.habits.attributes(self.resource) == Update::Put;
            if by_put && (self.resource != Resource::Group || self.habits.members == Removal::Put) {
                return if diff::steps(&self.held, goal, self.form()).is_empty() {
                    Ok(())
                } else {
                    self.replace(goal).await
                };
            }
            for step in diff::steps(&self.held, goal, self.form()) {
                match step.part {
                    Part::Attributes if by_put => {
                        let attributes = diff::but_members(&self.held, goal);
                        self.replace(&attributes).await?;
                        continue 'again;
                    }
                    Part::MembersGone if self.habits.members == Removal::Put => {
                        let before = diff::members(&self.held);
                        self.replace(goal).await?;
                        self.keep_form(&before, goal).await?;
                        continue 'again;
                    }
                    _ => match self.patch(step, goal).await? {
                        Sent::Taken => {}
                        Sent::Again => continue 'again,
                    },
                }
            }
            return Ok(());
        }
    }

    fn form(&self) -> Form {
        let profile = &self.scim.profile;
        Form { patch: profile.patch, members: self.habits.members, chunk: profile.chunk }
    }

    async fn patch(&mut self, step: Step, goal: &Document) -> Result<Sent, Fault> {
        let body = patch_body(&step.operations);
        let answer = self.send(Method::PATCH, Some(&body)).await?;
        if answer.is_success() {
            let before = diff::members(&self.held);
            self.take(step.reached.clone(), &answer);
            return match step.part {
                Part::MembersGone => self.keep_form(&before, &step.reached).await,
                _ => Ok(Sent::Taken),
            };
        }
        let fault = self.scim.fault(&answer);
        if answer.status == PRECONDITION_FAILED && !self.read_again {
            return self.read(goal).await.map(|()| Sent::Again);
        }
        match step.part {
            Part::Attributes if answer.refuses_patch() => self.put_instead(&answer).ok_or(fault),
            // A member that is not there cannot be removed; what is there, only reading tells.
            Part::MembersGone if answer.status == BAD_REQUEST && !answer.is_invalid_path() && !self.read_again => {
                self.read(goal).await.map(|()| Sent::Again)
            }
            Part::MembersGone if matches!(answer.status, BAD_REQUEST | 405 | 501) => self.next_removal(fault),
            Part::MembersCome if answer.refuses_patch() && self.scim.profile.put => {
                self.replace(goal).await?;
                if answer.status != BAD_REQUEST {
                    self.habits.only_put_groups();
                    self.scim.learn(Habits::only_put_groups);
                }
                Ok(Sent::Again)
            }
            _ => Err(fault),
        }
    }

    /// PUT for what PATCH cannot do here; from now on at once, if the server knows no such PATCH at all.
    fn put_instead(&mut self, refusal: &Answer) -> Option<Sent> {
        if !self.scim.profile.put {
            return None;
        }
        self.habits.put_attributes(self.resource);
        if matches!(refusal.status, 405 | 501) {
            let resource = self.resource;
            self.scim.learn(|habits| habits.put_attributes(resource));
        }
        Some(Sent::Again)
    }

    /// Another form of removal than those that were refused. A list of values comes last: who does not
    /// look at it empties the group (RFC 7644 section 3.5.2.2).
    fn next_removal(&mut self, fault: Fault) -> Result<Sent, Fault> {
        self.refused.push(self.habits.members);
        let known = [Removal::Rfc, Removal::Put, Removal::Entra];
        let put = self.scim.profile.put;
        let next = known.into_iter().find(|form| !self.refused.contains(form) && (*form != Removal::Put || put));
        self.habits.members = next.ok_or(fault)?;
        Ok(Sent::Again)
    }

    /// After a removal in a form that nobody has promised: looks whether it did what it should and no more.
    /// If so it is used from now on.
    async fn keep_form(&mut self, before: &BTreeSet<String>, goal: &Document) -> Result<Sent, Fault> {
        let profile = &self.scim.profile;
        if self.habits.members == profile.members || !profile.members_readable {
            return Ok(Sent::Taken);
        }
        if !self.shown.as_ref().is_some_and(|shown| shown.contains_key("members")) {
            self.show().await?;
        }
        let held = self.shown.as_ref().map(diff::members).unwrap_or_default();
        let wanted = diff::members(goal);
        let is_right = before.iter().all(|id| held.contains(id) == wanted.contains(id));
        diff::set_members(&mut self.held, held);
        if is_right {
            self.scim.learn(|habits| habits.members = self.habits.members);
            return Ok(Sent::Taken);
        }
        let fault = "the target took the removal of a member and has other members than it should";
        self.next_removal(Fault::Refused(fault.to_owned()))
    }

    /// Reads, merges, replaces: a PUT may clear what it leaves out (RFC 7644 section 3.5.1). Once more if
    /// someone else was faster.
    async fn replace(&mut self, goal: &Document) -> Result<(), Fault> {
        let tagged = self.scim.uses_etags(&*self.scim.announced().await?);
        for last in [false, true] {
            let read = self.send_plain(Method::GET, None).await?;
            let document = match (&read.body, read.status) {
                (Some(remote), 200..=299) => diff::merge(remote, &self.held, goal),
                // A target that cannot be read takes what we have.
                (_, 200..=299 | 405 | 501) => goal.clone(),
                _ => return Err(self.scim.fault(&read)),
            };
            self.etag = etag(&read).filter(|_| tagged);
            let answer = self.send(Method::PUT, Some(&document)).await?;
            if answer.is_success() {
                self.take(goal.clone(), &answer);
                return Ok(());
            }
            if answer.status != PRECONDITION_FAILED || last {
                return Err(self.scim.fault(&answer));
            }
        }
        Ok(())
    }

    /// What the server holds now becomes the ground of what is left to do.
    async fn read(&mut self, goal: &Document) -> Result<(), Fault> {
        self.read_again = true;
        let answer = self.send_plain(Method::GET, None).await?;
        let Some(body) = answer.body.as_ref().filter(|_| answer.is_success()) else {
            return Err(self.scim.fault(&answer));
        };
        self.held = shape::known(body, [&self.held, goal]);
        self.etag = etag(&answer).filter(|_| self.etag.is_some());
        Ok(())
    }

    fn take(&mut self, reached: Document, answer: &Answer) {
        self.held = reached.clone();
        self.reached = Some(reached);
        self.shown = answer.remote().map(|remote| remote.document);
        self.etag = etag(answer);
    }

    /// An account that should be closed must be closed: a yes is not enough.
    async fn check(&mut self, before: &Document, goal: &Document) -> Result<(), Fault> {
        let closes = is_active(goal) == Some(false) && is_active(before) != Some(false) && self.reached.is_some();
        if self.shown.is_none() && self.reached.is_some() && (closes || self.scim.profile.verify) {
            self.show().await?;
        }
        let is_open = |shown: &Option<Document>| shown.as_ref().and_then(is_active) == Some(true);
        if !closes || !is_open(&self.shown) {
            return Ok(());
        }
        if self.scim.profile.put {
            self.replace(goal).await?;
            if self.shown.is_none() {
                self.show().await?;
            }
        }
        if is_open(&self.shown) {
            self.reached = Some(before.clone());
            return Err(Fault::Refused("the target took active: false and left the account active".to_owned()));
        }
        Ok(())
    }

    async fn show(&mut self) -> Result<(), Fault> {
        let answer = self.send_plain(Method::GET, None).await?;
        match answer.remote().filter(|_| answer.is_success()) {
            Some(remote) => {
                self.etag = remote.etag.or(self.etag.take());
                self.shown = Some(remote.document);
                Ok(())
            }
            None if answer.is_success() => Ok(()),
            None => Err(self.scim.fault(&answer)),
        }
    }

    /// With If-Match, if there is something to match.
    async fn send(&self, method: Method, body: Option<&Document>) -> Result<Answer, Fault> {
        let path = [plural(self.resource), self.id];
        let answer = self.scim.http.send_if(method, &path, body, self.etag.as_deref()).await?;
        self.scim.no_such_id(self.resource, self.id, answer).await
    }

    async fn send_plain(&self, method: Method, body: Option<&Document>) -> Result<Answer, Fault> {
        let path = [plural(self.resource), self.id];
        let answer = self.scim.http.send(method, &path, &[], body).await?;
        self.scim.no_such_id(self.resource, self.id, answer).await
    }
}

/// `active` as a boolean, also where a server gives it as a text.
pub fn is_active(document: &Document) -> Option<bool> {
    match document.get("active")? {
        Value::Bool(active) => Some(*active),
        Value::String(text) => text.to_lowercase().parse().ok(),
        _ => None,
    }
}

pub fn patch_body(operations: &[Value]) -> Document {
    let mut body = Document::new();
    body.insert("schemas".to_owned(), json!([PATCH_OP]));
    body.insert("Operations".to_owned(), Value::Array(operations.to_vec()));
    body
}

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BAD_REQUEST: u16 = 400;
const PRECONDITION_FAILED: u16 = 412;
