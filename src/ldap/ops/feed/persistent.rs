//! Persistent search (draft-ietf-ldapext-psearch-03): each change that leaves an entry matching is
//! told as it is committed, a delete with the entry as it was.

use super::{Feed, Stop, wire};
use crate::{
    directory::{Error, Notice, notice},
    dn::Dn,
    filter::Filter,
    ldap::{
        convert,
        message::{Control, SearchRequest},
        ops::search::log,
    },
};
use std::sync::Arc;

/// The control of the request (section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersistentSearch {
    /// Kinds of changes: 1 add, 2 delete, 4 modify, 8 rename; any of them together.
    pub change_types: i64,
    /// Without what is there already.
    pub changes_only: bool,
    /// With the entry change notification control on each entry.
    pub return_controls: bool,
}

pub(super) async fn run(
    feed: &mut Feed<'_>,
    asked: PersistentSearch,
    request: SearchRequest,
) -> Result<Vec<Control>, Stop> {
    let directory = &feed.call.shared.options.directory;
    let mut seen = directory.read();
    if let Some(scope) = convert::scope(request.scope) {
        let base = Dn::parse(&request.base).map_err(Error::from)?;
        let filter = Filter::bind(&request.filter, &seen.schema);
        if let Some(log) = log::asked(feed.call, &request, &seen, (&base, scope), &filter).await? {
            feed.require_plain(&request)?;
            return follow_log(feed, asked, &request, log).await;
        }
    }
    let wanted = feed.begin(&request, &seen)?;
    drop(request);
    let interest = Arc::clone(&wanted.interest);
    let _guard = feed.stand()?;
    match asked.changes_only {
        true => drop(wanted),
        false => feed.send_all(wanted, |_| Vec::new()).await?,
    }
    loop {
        let (now, changes) = feed.next_state(&seen).await?;
        let grants = directory.access.grants(&feed.call.identity);
        for (step, (number, change)) in changes.iter().enumerate() {
            let kind = change_type(change);
            if asked.change_types & kind != 0
                && let Some(Notice { node, deleted }) = notice(change, &seen, &now, &interest, &grants)
            {
                let previous = match &change.kind {
                    crate::directory::ChangeKind::Rename { old_dn } => Some(old_dn.as_str()),
                    _ => None,
                };
                let controls = match asked.return_controls {
                    true => vec![wire::entry_change(kind, previous, *number)],
                    false => Vec::new(),
                };
                feed.entry(if deleted { &seen } else { &now }, &node, &controls);
            }
            feed.pause(step + 1).await?;
        }
        drop(grants);
        seen = now;
    }
}

/// The change log as it grows; every record of it is an entry that is added.
async fn follow_log(
    feed: &mut Feed<'_>,
    asked: PersistentSearch,
    request: &SearchRequest,
    mut log: log::Asked<'_>,
) -> Result<Vec<Control>, Stop> {
    const ADD: i64 = 1;
    let snapshot = Arc::clone(log.snapshot);
    feed.select(request, &snapshot);
    let _guard = feed.stand()?;
    if asked.changes_only {
        log.skip();
    }
    let (mut told, mut head) = (!asked.changes_only, snapshot.head);
    loop {
        let mut step = 0;
        while let Some(nodes) = log.next(feed.call).await? {
            for node in nodes {
                let number = node.rdn.avas().first().and_then(|ava| std::str::from_utf8(&ava.value).ok()?.parse().ok());
                let controls = match number.filter(|_| asked.return_controls && !told) {
                    Some(number) => vec![wire::entry_change(ADD, None, number)],
                    None => Vec::new(),
                };
                if told || asked.change_types & ADD != 0 {
                    feed.entry(&snapshot, &node, &controls);
                }
                step += 1;
                feed.pause(step).await?;
            }
        }
        told = false;
        head = feed.later_than(head).await?.head;
        log.go_on(head);
    }
}

fn change_type(change: &crate::directory::Change) -> i64 {
    use crate::directory::ChangeKind::{Add, Delete, Modify, Rename, State};
    match change.kind {
        Add => 1,
        Delete => 2,
        Modify(_) | State { .. } => 4,
        Rename { .. } => 8,
    }
}
