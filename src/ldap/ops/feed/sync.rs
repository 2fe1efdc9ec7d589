//! Content synchronisation (RFC 4533): refreshOnly and refreshAndPersist.

use super::{
    Feed, Stop,
    cookie::Cookie,
    left_behind,
    wire::{self, State},
};
use crate::{
    directory::{Change, Csn, Error, Interest, News, Snapshot, news},
    ldap::{
        message::{Control, SearchRequest},
        result::{self, Code},
    },
};
use std::sync::Arc;
use uuid::Uuid;

/// The Sync Request Control (RFC 4533 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    pub persist: bool,
    pub cookie: Option<Vec<u8>>,
    /// A client whose cookie is of no use wants everything instead of an error.
    pub reload_hint: bool,
}

/// Deletes that one message tells.
const DELETES: usize = 512;

pub(super) async fn run(
    feed: &mut Feed<'_>,
    asked: &SyncRequest,
    request: SearchRequest,
) -> Result<Vec<Control>, Stop> {
    let directory = &feed.call.shared.options.directory;
    let snapshot = directory.read();
    let store = snapshot.store_id;
    let held = asked.cookie.as_ref().map(|bytes| Cookie::parse(bytes, store));
    let client = Client { cookie: held.unwrap_or_default(), store };
    let wanted = feed.begin(&request, &snapshot)?;
    // It may wait for long from here, and needs no more of it.
    drop(request);
    let interest = Arc::clone(&wanted.interest);
    let since = match &asked.cookie {
        None => None,
        Some(_) => match changes_since(feed, client.cookie.point, &snapshot).await? {
            // What came and went by a change to another entry is not in the journal.
            Some(changes) if !changes.is_empty() && interest.looks_around(&snapshot) => None,
            Some(changes) => Some(changes),
            None if asked.reload_hint => None,
            None => {
                return Err(Stop::With(result::result(
                    Code::SyncRefreshRequired,
                    "the cookie is of another store, or older than the changes that are kept: start anew",
                )));
            }
        },
    };
    let deletes_told = since.is_some();
    match since {
        Some(changes) => {
            drop(wanted);
            send_changes(feed, &interest, changes, &snapshot).await?;
        }
        None => {
            feed.send_all(wanted, |node| vec![wire::sync_state(State::Add, node.entry.uuid, None)]).await?;
        }
    }
    let cookie = client.cookie(&snapshot);
    if !asked.persist {
        return Ok(vec![wire::sync_done(cookie.as_deref(), deletes_told)]);
    }
    // Before the client is told that the refresh is done: it may be refused.
    let _guard = feed.stand()?;
    feed.reply(&wire::refreshed(cookie.as_deref(), deletes_told));
    persist(feed, &client, &interest, snapshot).await
}

/// The client of a feed, as its cookies name it.
struct Client {
    cookie: Cookie,
    store: Uuid,
}

impl Client {
    /// The cookie of a state; an empty journal has none.
    fn cookie(&self, snapshot: &Snapshot) -> Option<Vec<u8>> {
        let point = snapshot.csn();
        (point.number > 0).then(|| self.cookie.at(point, self.store))
    }
}

/// The changes after a point, or `None` if it is not a point of this journal, or is too old.
async fn changes_since(
    feed: &Feed<'_>,
    point: Option<Csn>,
    now: &Snapshot,
) -> Result<Option<Vec<(u64, Change)>>, Stop> {
    let directory = &feed.call.shared.options.directory;
    let Some(point) = point.filter(|p| p.number <= now.head) else { return Ok(None) };
    if point.number == now.head {
        return Ok((point.time == now.head_time).then(Vec::new));
    }
    // The record of the point itself must be the one that the client has seen, before more is read.
    let seen = match directory.changes(point.number.saturating_sub(1), point.number).await {
        Err(Error::Store(crate::store::Error::Trimmed { .. })) => return Ok(None),
        read => read.map_err(left_behind)?,
    };
    if !seen.first().is_some_and(|(n, change)| *n == point.number && change.time == point.time) {
        return Ok(None);
    }
    match directory.changes(point.number, now.head).await {
        Err(Error::Store(crate::store::Error::Trimmed { .. })) => Ok(None),
        read => read.map(Some).map_err(left_behind),
    }
}

/// The refresh of a client that holds an earlier state.
async fn send_changes(
    feed: &mut Feed<'_>,
    interest: &Arc<Interest>,
    changes: Vec<(u64, Change)>,
    now: &Arc<Snapshot>,
) -> Result<(), Stop> {
    let mut gone = Vec::new();
    for (step, one) in digest(feed, interest, changes, None, now).await?.into_iter().enumerate() {
        match one {
            News::Gone { uuid, .. } => gone.push(uuid),
            News::Put { node, .. } => {
                // In order: a name must be free before it is taken.
                tell_deletes(feed, &mut gone);
                feed.entry(now, &node, &[wire::sync_state(State::Add, node.entry.uuid, None)]);
            }
        }
        if gone.len() >= DELETES {
            tell_deletes(feed, &mut gone);
        }
        feed.pause(step + 1).await?;
    }
    tell_deletes(feed, &mut gone);
    Ok(())
}

fn tell_deletes(feed: &mut Feed<'_>, gone: &mut Vec<Uuid>) {
    if !gone.is_empty() {
        feed.reply(&wire::deleted(gone));
        gone.clear();
    }
}

/// Sends changes as they are committed, until the client or the server ends it.
async fn persist(
    feed: &mut Feed<'_>,
    client: &Client,
    interest: &Arc<Interest>,
    mut seen: Arc<Snapshot>,
) -> Result<Vec<Control>, Stop> {
    loop {
        let (now, changes) = feed.next_state(&seen).await?;
        let list = digest(feed, interest, changes, Some(&seen), &now).await?;
        let cookie = client.cookie(&now);
        let count = list.len();
        for (step, one) in list.into_iter().enumerate() {
            // With the last one the client has all of this state: only then may its cookie say so.
            let cookie = cookie.as_deref().filter(|_| step + 1 == count);
            match one {
                News::Put { node, is_new } => {
                    let state = if is_new { State::Add } else { State::Modify };
                    feed.entry(&now, &node, &[wire::sync_state(state, node.entry.uuid, cookie)]);
                }
                News::Gone { uuid, dn } => {
                    let control = wire::sync_state(State::Delete, uuid, cookie);
                    feed.bare_entry(dn.as_deref().unwrap_or_default(), &[control]);
                }
            }
            feed.pause(step + 1).await?;
        }
        // Nothing for this client; its cookie must not be left behind by the trimming.
        if count == 0
            && let Some(cookie) = &cookie
        {
            feed.reply(&wire::new_cookie(cookie));
        }
        seen = now;
    }
}

/// Works out what the changes come to, off the async threads: a renamed subtree can be large.
async fn digest(
    feed: &Feed<'_>,
    interest: &Arc<Interest>,
    changes: Vec<(u64, Change)>,
    before: Option<&Arc<Snapshot>>,
    now: &Arc<Snapshot>,
) -> Result<Vec<News>, Stop> {
    let (shared, identity) = (Arc::clone(&feed.call.shared), Arc::clone(&feed.call.identity));
    let (interest, before, now) = (Arc::clone(interest), before.cloned(), Arc::clone(now));
    let work = move || {
        let grants = shared.options.directory.access.grants(&identity);
        news(&changes, before.as_ref(), &now, &interest, &grants)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Stop::With(result::result(Code::Other, "the changes could not be worked out")))
}
