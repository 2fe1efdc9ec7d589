//! Search (RFC 4511 section 4.5): entries of one snapshot, within limits, stopped by abandon.

use super::{Call, Done};
use crate::{
    access::Right,
    directory::{Error, Hits, Node, Scope, Search, Snapshot, Step, View},
    dn::{Dn, DnKey},
    filter::Filter,
    ldap::{
        convert,
        encode::{self, Selection},
        message::{Kind, SearchRequest},
        result::{self, Code, LdapResult},
        rootdse,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Candidates looked at before abandon, time and the other requests get their turn.
const STRIDE: usize = 256;
/// Bytes gathered before they go to the outbox.
const CHUNK: usize = 32 << 10;

/// Searches that the client reads page by page.
#[derive(Default)]
pub struct Pages;

impl Pages {
    pub fn clear(&mut self) {}
}

pub async fn search(call: &Call, request: SearchRequest) -> Done {
    let name = request.base.clone();
    let mut sent = 0;
    let result = match run(call, request, &mut sent).await {
        Ok(Some(result)) => result,
        // Abandoned: no answer (RFC 4511 section 4.11).
        Ok(None) => return call.done(Kind::Abandon, Code::Success, sent, name),
        Err(error) => result::of(&error),
    };
    Done { entries: sent, ..call.answer(Kind::Search, result, name) }
}

async fn run(call: &Call, request: SearchRequest, sent: &mut usize) -> Result<Option<LdapResult>, Error> {
    let directory = &call.shared.options.directory;
    let snapshot = directory.read();
    let schema = &snapshot.schema;
    let Some(scope) = convert::scope(request.scope) else {
        return Ok(Some(result::result(
            Code::ProtocolError,
            "the scope is not one of base, one, subtree, subordinates",
        )));
    };
    let base = Dn::parse(&request.base)?;
    let filter = Filter::bind(&request.filter, schema);
    let selection = Selection::new(&request.attrs, request.types_only, schema);
    let limits = Limits::new(call, &request);
    if let Some(node) = synthetic(call, &snapshot, &base, scope) {
        // Nothing stands below either of them.
        if matches!(scope, Scope::One | Scope::Subordinates) {
            return Ok(Some(result::success()));
        }
        return Ok(Some(send_synthetic(call, &snapshot, &node, &base, &filter, &selection, sent)));
    }
    let (base, scope) = below_root(base, scope, &snapshot);
    let grants = directory.access.grants(&call.identity);
    let hits = Search { base, scope, filter }.begin(Arc::clone(&snapshot), &grants)?;
    send_hits(call, hits, &selection, &limits, sent).await
}

/// A search below the root goes to the one naming context.
pub(super) fn below_root(base: Dn, scope: Scope, snapshot: &Snapshot) -> (Dn, Scope) {
    match (base.is_root(), scope) {
        (false, scope) => (base, scope),
        (true, Scope::One) => (snapshot.suffix.clone(), Scope::Base),
        (true, _) => (snapshot.suffix.clone(), Scope::Subtree),
    }
}

async fn send_hits(
    call: &Call,
    mut hits: Hits,
    selection: &Selection,
    limits: &Limits,
    sent: &mut usize,
) -> Result<Option<LdapResult>, Error> {
    let directory = &call.shared.options.directory;
    let snapshot = Arc::clone(hits.snapshot());
    let grants = directory.access.grants(&call.identity);
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    let mut seen = 0usize;
    let end = loop {
        match hits.step(&grants) {
            Step::End => break result::success(),
            Step::Passed => {}
            Step::Found(_) if limits.entries.is_some_and(|max| *sent >= max) => {
                break result::result(Code::SizeLimitExceeded, "there are more entries than the limit allows");
            }
            Step::Found(node) => {
                let open = View::unrestricted(&snapshot, &node);
                if grants.everything() {
                    encode::entry(&mut out, &mut scratch, call.id, &open, selection, &[]);
                } else {
                    let place = grants.at(&snapshot.dn_key_of(&node), node.entry.uuid, &open, &snapshot.schema);
                    encode::entry(
                        &mut out,
                        &mut scratch,
                        call.id,
                        &View::new(&snapshot, &node, &place),
                        selection,
                        &[],
                    );
                }
                *sent += 1;
            }
        }
        seen += 1;
        if out.len() >= CHUNK {
            call.outbox.push(&out);
            out.clear();
            call.outbox.room().await;
        }
        if seen.is_multiple_of(STRIDE) {
            tokio::task::yield_now().await;
            if call.interrupt.is_set() {
                let canceled = result::result(Code::Canceled, "cancelled by the client");
                return Ok(call.interrupt.wants_answer().then_some(canceled));
            }
            if limits.until.is_some_and(|t| Instant::now() > t) {
                break result::result(Code::TimeLimitExceeded, "the search took longer than the limit allows");
            }
        }
    };
    if !out.is_empty() {
        call.outbox.push(&out);
    }
    Ok(Some(end))
}

/// The smaller of what the client asks for and what the server allows.
pub(super) struct Limits {
    pub entries: Option<usize>,
    pub until: Option<Instant>,
}

impl Limits {
    pub fn new(call: &Call, request: &SearchRequest) -> Self {
        let limits = &call.shared.options.limits;
        let smaller = |asked: i64, allowed: u64| match (u64::try_from(asked).unwrap_or(0), allowed) {
            (0, 0) => None,
            (0, n) | (n, 0) => Some(n),
            (a, b) => Some(a.min(b)),
        };
        let secs = smaller(request.time_limit, limits.search_secs);
        Limits {
            entries: smaller(request.size_limit, limits.search_entries as u64).map(|n| n as usize),
            until: secs.and_then(|s| call.started.checked_add(Duration::from_secs(s))),
        }
    }
}

/// The root DSE or the subschema entry, if the search begins there.
fn synthetic(call: &Call, snapshot: &Snapshot, base: &Dn, scope: Scope) -> Option<Node> {
    if base.is_root() && scope != Scope::Base {
        return None;
    }
    rootdse::at(call, snapshot, &snapshot.schema.dn_key(base))
}

fn send_synthetic(
    call: &Call,
    snapshot: &Snapshot,
    node: &Node,
    base: &Dn,
    filter: &Filter,
    selection: &Selection,
    sent: &mut usize,
) -> LdapResult {
    let directory = &call.shared.options.directory;
    let grants = directory.access.grants(&call.identity);
    let key: DnKey = snapshot.schema.dn_key(base);
    let open = View::unrestricted(snapshot, node);
    let place = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
    let view = View::new(snapshot, node, &place);
    if place.allows(None, Right::Read) && filter.matches(&view, &snapshot.schema) {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        encode::entry(&mut out, &mut scratch, call.id, &view, selection, &[]);
        call.outbox.push(&out);
        *sent += 1;
    }
    result::success()
}
