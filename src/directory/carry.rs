//! From an update to its effects on the working copy and on the group that is to be committed.
//! What a change brings about elsewhere in the tree is carried out here, in the same commit.

use super::{
    Change, Content, Error, Node, Op, Options, Outcome, Refused, Sight, Snapshot, Update, add, bury, career, delete,
    modify,
    plan::{Context, Effect, Plan},
    record, references, rename, report,
    terms::Terms,
    unique,
};
use crate::{
    access::Identity,
    dn::{Dn, DnKey},
    entry::ModKind,
    filter::Plain,
    schema::Schema,
    store::{Group, RecordKey},
};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// The state that the updates of one commit leave behind, and what is to be written for it.
pub(super) struct Work<'a> {
    pub options: &'a Options,
    pub snapshot: Snapshot,
    pub group: Group,
    /// Bytes of records made for one request, those that later ones replace included.
    made: usize,
}

impl<'a> Work<'a> {
    pub fn new(options: &'a Options, snapshot: Snapshot) -> Self {
        Work { options, snapshot, group: Group::default(), made: 0 }
    }
    /// All updates or none.
    pub fn carry_out(&mut self, updates: Vec<Update>) -> Result<Vec<Outcome>, Refused> {
        self.made = 0;
        // A single change with a single effect cannot stop halfway: it needs no way back.
        let simple = matches!(updates.as_slice(), [only] if self.has_one_effect(only));
        if simple {
            return updates.into_iter().map(|u| self.update(u).map_err(Refused::from)).collect();
        }
        let before = (self.snapshot.clone(), std::mem::take(&mut self.group));
        let rehearsal = updates.iter().any(|u| u.terms.no_op);
        let each = updates.into_iter().enumerate();
        let result: Result<Vec<_>, _> =
            each.map(|(at, u)| self.update(u).map_err(|error| Refused { at, error })).collect();
        let done = std::mem::replace(&mut self.group, before.1);
        if result.is_ok() && !rehearsal {
            self.group.append(done);
        } else {
            self.snapshot = before.0;
        }
        result
    }

    fn update(&mut self, update: Update) -> Result<Outcome, Error> {
        let Update { identity, op, terms } = update;
        let before = self.look_before(&identity, &op, &terms)?;
        let from = match &op {
            Op::Delete { dn } | Op::Rename { dn, .. } => Some(self.snapshot.schema.dn_key(dn)),
            Op::Modify { dn, changes } if asks_for_delete(changes, &self.snapshot.schema) => {
                Some(self.snapshot.schema.dn_key(dn))
            }
            _ => None,
        };
        let mut outcome = match op {
            Op::Delete { dn } if terms.tree => {
                let context = self.context(&identity, &terms);
                let doomed = delete::with_subordinates(&context, &dn)?;
                let mut last = Err(Error::NoSuchObject { matched: None });
                for name in doomed {
                    last = Ok(self.step(&identity, &terms, Op::Delete { dn: name })?);
                }
                last?
            }
            op => self.step(&identity, &terms, op)?,
        };
        if let Some(from) = from {
            self.follow(&identity, &terms.for_others(), outcome.uuid, &from)?;
        }
        outcome.before = before;
        if terms.sights.after {
            let node = self.snapshot.by_uuid(outcome.uuid).cloned();
            let snapshot = || Arc::new(self.snapshot.clone());
            outcome.after = node.map(|node| Sight { snapshot: snapshot(), node });
        }
        Ok(outcome)
    }

    /// What refers to the old name of a deleted or renamed entry, or to one below it, follows.
    fn follow(&mut self, identity: &Identity, terms: &Terms, uuid: Uuid, from: &DnKey) -> Result<(), Error> {
        let now = self.snapshot.by_uuid(uuid).cloned();
        let to = now.as_ref().map(|node| Dn::parse(&self.snapshot.dn_text(node))).transpose()?;
        if to.as_ref().is_some_and(|to| self.snapshot.schema.dn_key(to) == *from) {
            return Ok(());
        }
        if let Some(node) = &now {
            unique::check_moved(&self.context(identity, terms), node, from)?;
        }
        for id in self.options.relations.references.referring(&self.snapshot, from) {
            let plan = references::plan(&self.context(identity, terms), id, from, to.as_ref())?;
            self.apply(plan.effect)?;
        }
        Ok(())
    }

    fn has_one_effect(&self, update: &Update) -> bool {
        let schema = &self.snapshot.schema;
        let refers =
            |dn: &Dn| !self.options.relations.references.referring(&self.snapshot, &schema.dn_key(dn)).is_empty();
        let single = match &update.op {
            Op::Advance { .. }
            | Op::Add { .. }
            | Op::Report { .. }
            | Op::Undelete { .. }
            | Op::Purge { .. }
            | Op::Touch { .. } => true,
            // By its attribute, an identity is deleted, and what refers to it follows.
            Op::Modify { dn, changes } => !asks_for_delete(changes, schema) || !refers(dn),
            Op::Delete { dn } => !update.terms.tree && !refers(dn),
            Op::Rename { .. } => false,
        };
        single && !update.terms.no_op
    }

    /// The entry as it is before the change, if the client wants to see it or asserts something
    /// of it. Whoever may not see it gets the same answer as for one that is not there.
    fn look_before(&self, identity: &Identity, op: &Op, terms: &Terms) -> Result<Option<Sight>, Error> {
        if let Op::Undelete { uuid } | Op::Purge { uuid } = op {
            bury::look_before(&self.context(identity, terms), *uuid)?;
        }
        let (Op::Modify { dn, .. } | Op::Delete { dn } | Op::Rename { dn, .. }) = op else { return Ok(None) };
        if terms.assertion.is_none() && !terms.sights.before && terms.as_of.is_none() {
            return Ok(None);
        }
        let context = self.context(identity, terms);
        // Renamed or deleted since it was read.
        let gone = |error| match error {
            Error::NoSuchObject { .. } if terms.as_of.is_some() => Error::Stale,
            error => error,
        };
        let node = context.target(dn).map_err(gone)?;
        context.require_sight(node)?;
        if let Some(filter) = &terms.assertion {
            context.require_assertion(node, filter)?;
        }
        if terms.as_of.is_some_and(|number| number != node.entry.operational.changed) {
            return Err(Error::Stale);
        }
        let sight = || Sight { snapshot: Arc::new(self.snapshot.clone()), node: Arc::clone(node) };
        Ok(terms.sights.before.then(sight))
    }

    fn step(&mut self, identity: &Identity, terms: &Terms, op: Op) -> Result<Outcome, Error> {
        let context = self.context(identity, terms);
        let is_report = matches!(op, Op::Report { .. });
        let is_rule = matches!(op, Op::Advance { .. });
        let Plan { mut effect, mut outcome } = match op {
            Op::Add { dn, attrs } => {
                let plan = add::plan(&context, &dn, attrs)?;
                if let (Some(filter), Effect::Put { node, .. }) = (&terms.assertion, &plan.effect)
                    && !filter.matches(&Plain(&node.entry), &context.base.schema)
                {
                    return Err(Error::AssertionFailed);
                }
                plan
            }
            Op::Modify { dn, changes } => modify::plan(&context, &dn, changes)?,
            Op::Delete { dn } => delete::plan(&context, &dn)?,
            Op::Rename { dn, new_rdn, delete_old, new_superior } => {
                rename::plan(&context, &dn, &new_rdn, delete_old, new_superior.as_ref())?
            }
            Op::Report { uuid, as_of, event } => report::plan(&context, uuid, as_of, event)?,
            Op::Undelete { uuid } => bury::undelete(&context, uuid)?,
            Op::Purge { uuid } => bury::purge(&context, uuid)?,
            Op::Touch { uuid } => bury::touch(&context, uuid)?,
            Op::Advance { uuid, rule } => career::plan(&context, uuid, &rule)?,
        };
        if let Effect::Put { node, .. } = &effect
            && !is_report
        {
            unique::check(&context, node)?;
            let notes = outcome
                .diagnostic
                .take()
                .into_iter()
                .chain(context.options.relations.references.check(&context, node)?)
                .chain(context.options.relations.structures.check(&context, node)?);
            outcome.diagnostic = notes.reduce(|all, note| format!("{all}; {note}"));
        }
        if let Effect::Remove { node, .. } = &effect {
            outcome.diagnostic = context.options.relations.structures.check_gone(&context, node)?;
        }
        if let Effect::Put { node, change } = effect {
            effect = match is_report || is_rule {
                true => Effect::Put { node, change },
                false => {
                    let (node, kind) = career::attend(&context, node, change.kind);
                    Effect::Put { node, change: Change { kind, ..change } }
                }
            };
        }
        self.apply(effect)?;
        Ok(outcome)
    }

    fn context<'c>(&'c self, identity: &'c Identity, terms: &'c Terms) -> Context<'c> {
        Context {
            base: &self.snapshot,
            identity,
            terms,
            options: self.options,
            // Never back: readers of the journal rely on times that rise with the numbers.
            now: (self.options.clock)().max(self.snapshot.head_time),
            number: self.snapshot.head + 1,
        }
    }

    /// Refuses before it changes anything, or not at all.
    fn apply(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Nothing => {}
            Effect::Put { node, change } => {
                let record = stored(&node, &self.snapshot);
                // A group fails as a whole, so one entry must not be able to make it fail.
                if record.len() > self.options.limits.entry_bytes {
                    return Err(Error::TooLarge { what: "bytes in one entry" });
                }
                // Other writers wait meanwhile.
                self.made += record.len();
                if self.made > self.options.limits.update_bytes {
                    return Err(Error::TooLarge { what: "bytes to be written for one request" });
                }
                self.group.put(RecordKey::Entry(node.entry.uuid), record);
                let before = self.snapshot.by_uuid(node.entry.uuid).map(Arc::as_ref);
                let content = Content::of_put(before, &node, &self.snapshot.schema);
                self.log(Change { content: content.within(self.options.limits.journal_record_bytes), ..change });
                self.snapshot.put(node);
            }
            Effect::Bury { node, tomb, change } => {
                let name = tomb.apart.as_deref().map(Dn::to_string).unwrap_or_default();
                let record = record::encode(&tomb, None, &name, &self.snapshot.schema);
                self.group.put(RecordKey::Entry(node.entry.uuid), record);
                self.log(Change { content: Content::Delete, ..change });
                self.snapshot.remove(&node);
                self.snapshot.bury(tomb);
            }
            Effect::Forget { uuid } => {
                self.group.delete(RecordKey::Entry(uuid));
                self.snapshot.forget(uuid);
            }
            Effect::Note { node } => {
                self.group.put(RecordKey::Entry(node.entry.uuid), stored(&node, &self.snapshot));
                self.snapshot.put(node);
            }
            Effect::Remove { node, change } => {
                self.group.delete(RecordKey::Entry(node.entry.uuid));
                self.log(Change { content: Content::Delete, ..change });
                self.snapshot.remove(&node);
            }
        }
        Ok(())
    }

    fn log(&mut self, change: Change) {
        self.group.log(change.encode());
        self.snapshot.head += 1;
        self.snapshot.head_time = change.time;
        self.snapshot.remember(change, self.options.limits.recent_changes);
    }
}

/// Whether a modification is a soft delete by its attribute.
fn asks_for_delete(changes: &[(ModKind, SmolStr, Vec<Vec<u8>>)], schema: &Schema) -> bool {
    let deleted = schema.known.deleted;
    changes.iter().any(|(_, name, values)| {
        schema.attr_id(name) == Some(deleted) && values.iter().any(|value| value.as_slice() == b"TRUE")
    })
}

fn stored(node: &Node, work: &Snapshot) -> Vec<u8> {
    let parent = node.parent.and_then(|p| work.node(p));
    let name = match parent {
        Some(_) => node.rdn.text().to_owned(),
        None => work.suffix.to_string(),
    };
    record::encode(node, parent.map(|p| p.entry.uuid), &name, &work.schema)
}
