//! Reconciliations as a worker starts, shows and repairs them.

use super::{
    batch::{Asked, Batch},
    files::Folder,
    run::{Ground, Mend, Run},
};
use crate::{
    export::{
        carrier::Carrier,
        orders::Answer,
        queue::Cause,
        row::LinkRow,
        target::Resource,
        worker::{Event, Worker},
    },
    provisioning::{Mechanism, Reconcile, Refusal, Wish},
};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

impl<C: Carrier> Worker<C> {
    /// Goes on with what an earlier process has begun.
    pub(in crate::export) fn resume_reconciliation(&mut self) {
        let Some(folder) = self.settings.reconciliations.clone() else { return };
        match folder.unfinished().into_iter().next() {
            Some(batch) if self.reads() => self.spawn_reconciliation(folder, batch),
            _ => {
                if let Err(error) = folder.interrupt() {
                    tracing::warn!(export = %self.name, %error, "reconciliations cannot be marked as interrupted");
                }
            }
        }
    }

    pub(in crate::export) fn reconcile(&mut self, asked: Reconcile) -> Result<Value, Refusal> {
        let Some(folder) = self.settings.reconciliations.clone() else {
            return Err(Refusal::NotNow("without a data folder there are no reconciliations".to_owned()));
        };
        if matches!(self.links.own.wish, Wish::Disable | Wish::Retire) {
            return Err(Refusal::NotNow("the target is not enabled".to_owned()));
        }
        if let Some(running) = self.reconciling {
            return Err(Refusal::NotNow(format!("reconciliation {running} is not over")));
        }
        let asked = Asked {
            dry_run: asked.dry_run,
            scope: asked.scope,
            repair: asked.repair,
            repair_orphans: asked.repair_orphans,
        };
        let resources = self.settings.scopes.resources().collect();
        let batch = Batch::new(Uuid::new_v4(), &self.name, resources, asked, (self.clock)());
        let broken =
            |error: std::io::Error| Refusal::Internal(format!("the reconciliation cannot be written down: {error}"));
        folder.save(&batch).map_err(broken)?;
        folder.tidy(KEPT).map_err(broken)?;
        let shown = json!(batch);
        self.spawn_reconciliation(folder, batch);
        Ok(shown)
    }

    fn spawn_reconciliation(&mut self, folder: Folder, batch: Batch) {
        let keys = |resource: Resource| (resource, self.settings.mapping.recon_keys(resource));
        let ground = Ground {
            name: self.name.clone(),
            directory: Arc::clone(&self.directory),
            links: self.links.view(),
            scopes: self.settings.scopes.clone(),
            form: self.settings.form.clone(),
            mapping: Arc::clone(&self.settings.mapping),
            leavers: self.settings.leavers,
            matching: self.settings.matching,
            keys: HashMap::from([Resource::Department, Resource::User, Resource::Group].map(keys)),
            backoff: self.settings.backoff,
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
            folder,
            mends: self.mends.0.clone(),
        };
        self.reconciling = Some(batch.id);
        let run = Run::new(Arc::clone(&self.carrier), ground, batch);
        self.tasks.spawn(async move {
            run.run().await;
            Event::Reconciled
        });
    }

    /// Shows all headers, or one with some of its events. The disk may take its time; the worker does not.
    pub(in crate::export) fn show_reconciliation(
        &mut self,
        batch: Option<Uuid>,
        skip: usize,
        most: usize,
        answer: Answer,
    ) {
        let folder = self.settings.reconciliations.clone();
        self.tasks.spawn_blocking(move || {
            // Whoever asked may have gone.
            let _ = answer.send(shown(folder, batch, skip, most));
            Event::Quiet
        });
    }

    /// Has one object put right: linked if it is not, looked up at the target, and sent as it should be.
    /// The row remembers it, should the server stop before.
    pub(in crate::export) fn mend(&mut self, mend: Mend) {
        let Mend { object, resource, remote_id } = mend;
        if !self.reads() {
            return;
        }
        let now = (self.clock)();
        let old = self.links.get(object);
        let is_linked = old.as_ref().is_some_and(|row| row.remote_id.is_some());
        let is_free = |id: &String| self.links.claims.owner(resource, id).is_none();
        match (remote_id.filter(|id| !is_linked && is_free(id)), old) {
            (Some(id), old) => {
                let row = old.clone().unwrap_or_else(|| LinkRow::new(resource));
                let mechanism = Some(Mechanism::Reconciliation);
                let linked = LinkRow { remote_id: Some(id), unsure: true, since: Some(now), mechanism, ..row };
                self.store(object, old.as_ref(), LinkRow { resource, ..linked });
                let snapshot = self.directory.read();
                self.ask_referrers(&snapshot, object, Cause::default());
            }
            (None, Some(row)) => self.store(object, Some(&row), LinkRow { unsure: true, ..row.clone() }),
            (None, None) => {}
        }
        self.queue.add(object, resource, now, Cause { number: None, force: true, doubt: true });
        self.queue.hasten(object, now);
    }
}

fn shown(folder: Option<Folder>, batch: Option<Uuid>, skip: usize, most: usize) -> Result<Value, Refusal> {
    let Some(folder) = folder else { return Ok(json!([])) };
    let Some(id) = batch else { return Ok(json!(folder.batches())) };
    let batch = folder.batch(id).ok_or(Refusal::NoSuchBatch)?;
    let events = folder.events(&batch, skip, most);
    let events = events.map_err(|error| Refusal::Internal(format!("events cannot be read: {error}")))?;
    Ok(json!({ "batch": batch, "events": events }))
}

/// Reconciliations of a target that are kept.
const KEPT: usize = 50;
