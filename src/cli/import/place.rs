//! Where an import goes to: a running server over LDAP, or a stopped store.

use super::wish::{Present, record};
use crate::{
    access::Identity,
    config::{Built, Settings},
    directory::{self, Directory, Op, Scope, Search, Step, Terms, Update, View, Visit, Writer},
    dn::{Dn, Rdn},
    entry::{
        ModError,
        ldif::{Record, RecordKind},
    },
    filter::{self, Filter},
    ldap::client::{Client, Found, Question},
    server,
};
use anyhow::Context;
use futures_util::future::join_all;
use smol_str::SmolStr;
use std::sync::Arc;

pub enum Place {
    Server(Box<Client>),
    Store { directory: Arc<Directory>, writer: Writer },
}

/// What became of a record.
pub enum Verdict {
    Written,
    /// Kept, though it lacks something.
    Held,
    Unchanged,
    Refused {
        reason: String,
        cause: Cause,
    },
}

/// Refusals that may mean that the record was carried out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An entry of this name is there.
    Exists,
    /// There is no entry of this name.
    Gone,
    /// The values are as the change would leave them.
    ValuesAsAsked,
    Other,
}

/// Attributes that a comparison needs: those of users, and the axes.
const READ: &[&str] = &["*", "vestibuleState", "vestibuleLifecycle", "vestibuleDataStatus", "vestibuleInitState"];

impl Place {
    pub async fn open(
        settings: &Settings,
        built: &Built,
        server: &crate::cli::connect::Server,
    ) -> anyhow::Result<Self> {
        if let Some(url) = &server.server {
            return Ok(Place::Server(Box::new(server.connect(settings, url).await?)));
        }
        let (directory, writer) = server::open_directory(settings, built).map_err(|e| match e.downcast_ref() {
            Some(crate::store::Error::Locked { .. }) => {
                e.context("a server runs on this store; import with --server ldap://...")
            }
            _ => e,
        })?;
        Ok(Place::Store { directory, writer })
    }

    pub async fn close(self) -> anyhow::Result<()> {
        match self {
            Place::Server(client) => client.unbind().await,
            Place::Store { directory, writer } => {
                drop(directory);
                tokio::task::spawn_blocking(move || writer.join()).await.context("the writer")
            }
        }
    }

    /// The entries that answer each question; three at the most of each.
    pub async fn find(&mut self, questions: &[Question]) -> anyhow::Result<Vec<Vec<Present>>> {
        match self {
            Place::Server(client) => {
                let found = client.find(questions, READ).await?;
                let present = |(dn, attrs): Found| Present {
                    dn,
                    attrs: attrs.into_iter().map(|(name, values)| (SmolStr::new(name), values)).collect(),
                };
                Ok(found.into_iter().map(|entries| entries.into_iter().map(present).collect()).collect())
            }
            Place::Store { directory, .. } => questions.iter().map(|q| found(directory, q)).collect(),
        }
    }

    /// Notes that the identities of these names were seen now, which is no change of theirs. Only in
    /// a stopped store: LDAP has no operation for it.
    pub async fn note_seen(&self, names: impl Iterator<Item = &str>) -> anyhow::Result<()> {
        let Place::Store { directory, .. } = self else { return Ok(()) };
        let snapshot = directory.read();
        let key = |name: &str| Dn::parse(name).ok().map(|dn| snapshot.schema.dn_key(&dn));
        let nodes = names.filter_map(|name| snapshot.find(&key(name)?));
        let identities = nodes.filter(|node| node.entry.operational.axes.is_some());
        let touch = |uuid| Update { identity: Identity::Server, op: Op::Touch { uuid }, terms: Terms::default() };
        let updates: Vec<Update> = identities.map(|node| touch(node.entry.uuid)).collect();
        if !updates.is_empty() {
            directory.submit_all(updates).await.map_err(|refused| refused.error)?;
        }
        Ok(())
    }

    /// Carries out records that do not depend on each other, in this order.
    pub async fn carry_out(&mut self, records: &[Record]) -> anyhow::Result<Vec<Verdict>> {
        match self {
            Place::Server(client) => over_ldap(client, records).await,
            Place::Store { directory, .. } => {
                let submitted = records.iter().map(|record| submit(directory, record.clone()));
                join_all(submitted).await.into_iter().map(verdict).collect()
            }
        }
    }
}

async fn over_ldap(client: &mut Client, records: &[Record]) -> anyhow::Result<Vec<Verdict>> {
    let mut verdicts: Vec<Option<Verdict>> = records.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = Vec::new();
    let mut next = records.iter().enumerate();
    loop {
        while waiting.len() < client.window() {
            let Some((at, record)) = next.next() else { break };
            client.send(record).await?;
            waiting.push(at);
        }
        if waiting.is_empty() {
            return Ok(verdicts.into_iter().flatten().collect());
        }
        let reply = client.next_reply().await?;
        let at = waiting.remove(reply.order.min(waiting.len().saturating_sub(1)));
        let verdict = match reply.code {
            0 if is_held(&reply.message) => Verdict::Held,
            0 => Verdict::Written,
            code => {
                let cause = match code {
                    68 => Cause::Exists,
                    32 => Cause::Gone,
                    16 | 20 => Cause::ValuesAsAsked,
                    _ => Cause::Other,
                };
                Verdict::Refused { reason: format!("result {code}: {}", reply.message), cause }
            }
        };
        if let Some(place) = verdicts.get_mut(at) {
            *place = Some(verdict);
        }
    }
}

/// Other remarks on a success are no concern of an import: what refers to what comes later.
fn is_held(remark: &str) -> bool {
    remark.starts_with("kept as ")
}

async fn submit(directory: &Arc<Directory>, record: Record) -> Result<directory::Outcome, directory::Error> {
    let mut op = operation(record)?;
    let snapshot = directory.read();
    if op.secrets(&snapshot.schema) > 0 {
        let limits = Arc::clone(&directory.limits);
        let hashed = tokio::task::spawn_blocking(move || op.hash_secrets(&snapshot, &limits).map(|()| op)).await;
        op = hashed.map_err(|e| directory::Error::Internal(e.to_string()))??;
    }
    directory.submit(&Identity::Server, op).await
}

fn verdict(result: Result<directory::Outcome, directory::Error>) -> anyhow::Result<Verdict> {
    use directory::Error;
    let cause = match result {
        Ok(outcome) if !outcome.changed => return Ok(Verdict::Unchanged),
        Ok(outcome) if outcome.diagnostic.as_deref().is_some_and(is_held) => return Ok(Verdict::Held),
        Ok(_) => return Ok(Verdict::Written),
        Err(error @ (Error::Unavailable | Error::NoSpace)) => return Err(error.into()),
        Err(Error::AlreadyExists) => Cause::Exists,
        Err(Error::NoSuchObject { .. }) => Cause::Gone,
        Err(Error::Modification(ModError::ValueExists(_) | ModError::NoAttribute(_) | ModError::NoValue(_))) => {
            Cause::ValuesAsAsked
        }
        Err(_) => Cause::Other,
    };
    let reason = result.err().map(|e| e.to_string()).unwrap_or_default();
    Ok(Verdict::Refused { reason, cause })
}

fn operation(record: Record) -> Result<Op, directory::Error> {
    let dn = Dn::parse(&record.dn)?;
    Ok(match record.kind {
        RecordKind::Add(attrs) => Op::Add { dn, attrs },
        RecordKind::Delete => Op::Delete { dn },
        RecordKind::Modify(changes) => Op::Modify { dn, changes },
        RecordKind::Rename { new_rdn, delete_old, new_superior } => Op::Rename {
            dn,
            new_rdn: Rdn::parse(&new_rdn)?,
            delete_old,
            new_superior: new_superior.as_deref().map(Dn::parse).transpose()?,
        },
    })
}

fn found(directory: &Arc<Directory>, question: &Question) -> anyhow::Result<Vec<Present>> {
    let snapshot = directory.read();
    let Ok(base) = Dn::parse(&question.base) else { return Ok(Vec::new()) };
    let scope = if question.keys.is_empty() { Scope::Base } else { Scope::Subtree };
    let filter = filter::parse(&question.filter()).map_err(|e| anyhow::anyhow!("the match filter: {e}"))?;
    let filter = Arc::new(Filter::bind(&filter, &snapshot.schema));
    let grants = directory.access.grants(&Identity::Server);
    let search = Search { base, scope, filter, visit: Visit::default() };
    let mut hits = match search.begin(Arc::clone(&snapshot), &grants) {
        Ok(hits) => hits,
        Err(directory::Error::NoSuchObject { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    while entries.len() < Question::MOST {
        match hits.step(&grants) {
            Step::Found(node) => entries.push(node),
            Step::Reference(_) | Step::Passed => {}
            Step::End => break,
        }
    }
    let schema = &snapshot.schema;
    let axes = [schema.known.state, schema.known.lifecycle, schema.known.data_status, schema.known.init_state];
    let present = |node: Arc<directory::Node>| {
        let slots = node.entry.slots().iter();
        let stored = slots.map(|s| (schema.spell(&s.desc), node.entry.slot_values(s).map(<[u8]>::to_vec).collect()));
        let view = View::unrestricted(&snapshot, &node);
        let shown = axes.iter().map(|id| (schema.attribute(*id).name.clone(), view.computed(*id)));
        Present { dn: snapshot.dn_text(&node), attrs: stored.chain(shown).collect() }
    };
    Ok(entries.into_iter().map(present).collect())
}

/// Whether a refused record that may have been carried out before was.
pub fn is_repeated(kind: &RecordKind, cause: Cause) -> bool {
    match kind {
        RecordKind::Add(_) => cause == Cause::Exists,
        RecordKind::Delete | RecordKind::Rename { .. } => cause == Cause::Gone,
        RecordKind::Modify(_) => cause == Cause::ValuesAsAsked,
    }
}

/// A copy without the text that it came from.
pub fn bare(original: &Record) -> Record {
    record(original.dn.clone(), original.kind.clone())
}
