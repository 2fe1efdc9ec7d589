//! What is read again while the server runs: on SIGHUP all of it, over HTTP part by part. Bad files
//! leave in force what is.

use crate::{config::Settings, directory::Directory, ldap::tls::Tls, schema};
use std::{collections::BTreeSet, sync::Arc};

pub struct Reload {
    pub settings: Settings,
    pub directory: Arc<Directory>,
    pub tls: Arc<Tls>,
}

impl Reload {
    pub async fn all(&self) {
        self.certificates().await;
        self.class_rules().await;
        match self.lifecycle().await {
            Ok(said) => tracing::info!("the lifecycle files were read again: {said}"),
            Err(why) => tracing::error!("the lifecycle files were not read again; those in force stay: {why}"),
        }
    }

    /// New certificates for new connections; those there are go on.
    async fn certificates(&self) {
        let again = Arc::clone(&self.tls);
        match tokio::task::spawn_blocking(move || again.reload()).await {
            Ok(Ok(())) => tracing::info!("the certificates were read again"),
            Ok(Err(error)) => tracing::error!(%error, "the certificates were not read again; those in use stay"),
            Err(error) => tracing::error!(%error, "the certificates were not read again; those in use stay"),
        }
    }

    /// Class rules as their files are now. Before the lifecycle files, which may speak of them.
    async fn class_rules(&self) {
        let schema = Arc::clone(&self.directory.read().schema);
        let settings = self.settings.clone();
        let work = move || settings.sources().map_err(schema::Error::from).and_then(|s| schema.reload_rules(&s));
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(rules)) => tracing::info!(classes = rules.classes().len(), "the class rules were read again"),
            Ok(Err(error)) => tracing::error!(%error, "the class rules were not taken; those in use stay"),
            Err(error) => tracing::error!(%error, "the class rules were not taken; those in use stay"),
        }
    }

    /// Letters, rules, transitions and resource states, all or none.
    pub async fn lifecycle(&self) -> Result<String, String> {
        let settings = self.settings.clone();
        let schema = Arc::clone(&self.directory.read().schema);
        let read = tokio::task::spawn_blocking(move || settings.career(&schema)).await;
        let career = Arc::new(read.map_err(|e| e.to_string())?.map_err(|e| format!("{e:#}"))?);
        self.directory.follow_career(Arc::clone(&career)).await.map_err(|e| e.to_string())?;
        let snapshot = self.directory.read();
        let held = snapshot.walk().filter_map(|node| node.entry.operational.axes.map(|axes| axes.lifecycle));
        let orphans: BTreeSet<char> = held.filter(|letter| career.stages.get(*letter).is_none()).collect();
        if !orphans.is_empty() {
            tracing::warn!(letters = ?orphans, "identities have letters that are not declared any more; they can neither log in nor are they exported");
        }
        Ok(format!("{} letters, {} rules", career.stages.all().len(), career.rules.len()))
    }
}
