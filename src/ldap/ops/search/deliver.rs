//! The way of found entries to the client: one by one, within the limits, with turns for the other
//! requests of the connection.

use super::deref;
use crate::{
    access::Grants,
    directory::{Hits, Node, Snapshot, Step, View},
    ldap::{
        accounts::Walk,
        encode::{self, Selection},
        message::SearchRequest,
        ops::Call,
        reply::Reply,
        result::{self, Code, LdapResult},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Candidates looked at before the clock is.
pub const CLOCK_STRIDE: usize = 8;
/// How long a search goes on before the other requests get their turn.
const TURN: Duration = Duration::from_millis(2);
/// Bytes gathered before they go to the outbox.
const CHUNK: usize = 32 << 10;

/// Where entries come from.
pub struct Source {
    /// Found already, and not sent yet.
    ahead: Option<Arc<Node>>,
    supply: Supply,
    /// What comes after all that.
    accounts: Option<Walk>,
}

enum Supply {
    /// As they are found.
    Hits(Box<Hits>),
    /// A list that is known whole.
    List { snapshot: Arc<Snapshot>, nodes: std::vec::IntoIter<Arc<Node>> },
}

impl Source {
    pub fn hits(hits: Hits) -> Self {
        Source { ahead: None, supply: Supply::Hits(Box::new(hits)), accounts: None }
    }

    pub fn list(snapshot: Arc<Snapshot>, nodes: Vec<Arc<Node>>) -> Self {
        Source { ahead: None, supply: Supply::List { snapshot, nodes: nodes.into_iter() }, accounts: None }
    }

    /// With the accounts of those whom the search may find.
    pub fn with_accounts(self, accounts: Option<Walk>) -> Self {
        Source { accounts, ..self }
    }

    pub fn step(&mut self, grants: &Grants<'_>) -> Step {
        if let Some(node) = self.ahead.take() {
            return Step::Found(node);
        }
        let step = match &mut self.supply {
            Supply::Hits(hits) => hits.step(grants),
            Supply::List { nodes, .. } => nodes.next().map_or(Step::End, Step::Found),
        };
        match (step, &mut self.accounts) {
            (Step::End, Some(accounts)) => accounts.step(grants),
            (step, _) => step,
        }
    }

    /// Puts an entry back; it comes first again.
    pub fn put_back(&mut self, node: Arc<Node>) {
        self.ahead = Some(node);
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        match &self.supply {
            Supply::Hits(hits) => hits.snapshot(),
            Supply::List { snapshot, .. } => snapshot,
        }
    }
}

/// The smaller of what the client asks for and what the server allows.
#[derive(Clone, Copy)]
pub struct Limits {
    pub entries: Option<usize>,
    pub until: Option<Instant>,
    /// Candidates that one search may look at.
    pub candidates: Option<usize>,
}

impl Limits {
    pub fn new(call: &Call, request: &SearchRequest) -> Self {
        let bounds = &call.bounds;
        let smaller = |asked: i64, allowed: u64| match (u64::try_from(asked).unwrap_or(0), allowed) {
            (0, 0) => None,
            (0, n) | (n, 0) => Some(n),
            (a, b) => Some(a.min(b)),
        };
        let secs = smaller(request.time_limit, bounds.search_secs);
        Limits {
            entries: smaller(request.size_limit, bounds.search_entries as u64).map(|n| n as usize),
            until: secs.and_then(|s| call.started.checked_add(Duration::from_secs(s))),
            candidates: (bounds.search_candidates > 0).then_some(bounds.search_candidates),
        }
    }

    /// True if this is one candidate too many.
    pub fn is_beyond(&self, seen: usize) -> bool {
        self.candidates.is_some_and(|max| seen > max)
    }

    /// Looks whether the search has to end after this many candidates; takes turns with others.
    pub async fn check(&self, call: &Call, seen: usize, turn: &mut Turn) -> Option<End> {
        if self.is_beyond(seen) {
            let text = "the search looks at more entries than the limit allows; use a filter on indexed attributes";
            return Some(End::Over(result::result(Code::AdminLimitExceeded, text)));
        }
        if !seen.is_multiple_of(CLOCK_STRIDE) {
            return None;
        }
        let now = Instant::now();
        if self.until.is_some_and(|t| now > t) {
            let text = "the search took longer than the limit allows";
            return Some(End::Over(result::result(Code::TimeLimitExceeded, text)));
        }
        // By the clock: with a long filter some candidates take as long as many others.
        if now.duration_since(turn.0) >= TURN {
            tokio::task::yield_now().await;
            turn.0 = Instant::now();
        }
        if call.interrupt.is_set() {
            let canceled = result::result(Code::Canceled, "cancelled by the client");
            return Some(if call.interrupt.wants_answer() { End::Over(canceled) } else { End::Abandoned });
        }
        None
    }
}

/// Since when a search has kept its thread to itself.
pub struct Turn(Instant);

impl Turn {
    pub fn begin() -> Self {
        Turn(Instant::now())
    }
}

/// Sends a search continuation reference (RFC 4511 section 4.5.3).
pub fn tell_reference(call: &Call, uris: &[String]) {
    if !uris.is_empty() {
        call.outbox.send(call.id, &Reply::reference(uris.iter().map(String::as_str)));
    }
}

/// Why the delivery ended.
pub enum End {
    /// Nobody waits for an answer.
    Abandoned,
    /// The page has as many entries as were asked for.
    Full,
    Over(LdapResult),
}

/// What is sent of each entry, and how much.
pub struct Delivery {
    selection: Selection,
    derefs: Vec<deref::Asked>,
    limits: Limits,
}

impl Delivery {
    pub fn new(call: &Call, request: &SearchRequest, snapshot: &Snapshot, limits: Limits) -> Self {
        let schema = &snapshot.schema;
        let mut selection = Selection::new(&request.attrs, request.types_only, schema);
        if let Some(values) = &call.controls.matched_values {
            selection.keep_values(values, schema);
        }
        let derefs = deref::bind(call.controls.deref.as_deref().unwrap_or_default(), schema);
        Delivery { selection, derefs, limits }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sends entries until there are no more, a limit is met, or `page` of them have gone out.
    pub async fn send(&self, call: &Call, source: &mut Source, page: Option<usize>, sent: &mut usize) -> End {
        let snapshot = Arc::clone(source.snapshot());
        let grants = call.shared.options.directory.access.grants(&call.identity);
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        let (mut seen, mut on_page, mut turn) = (0usize, 0usize, Turn::begin());
        let end = loop {
            if page.is_some_and(|size| on_page >= size) {
                break End::Full;
            }
            let step = source.step(&grants);
            seen += 1;
            match step {
                Step::End => break End::Over(result::success()),
                Step::Found(_) if self.limits.is_beyond(seen) => {}
                Step::Passed => {}
                Step::Reference(uris) => tell_reference(call, &uris),
                Step::Found(_) if self.limits.entries.is_some_and(|max| *sent >= max) => {
                    let text = "there are more entries than the limit allows";
                    break End::Over(result::result(Code::SizeLimitExceeded, text));
                }
                Step::Found(node) => {
                    if self.entry(call, (&mut out, &mut scratch), &snapshot, &node, &grants).is_err() {
                        let text = "what an entry names is more than one answer may carry";
                        break End::Over(result::result(Code::AdminLimitExceeded, text));
                    }
                    // The entries that it names are looked at, too.
                    if !self.derefs.is_empty() {
                        tokio::task::yield_now().await;
                    }
                    *sent += 1;
                    on_page += 1;
                }
            }
            if out.len() >= CHUNK {
                call.outbox.push(&out);
                out.clear();
                call.outbox.room().await;
            }
            if let Some(end) = self.limits.check(call, seen, &mut turn).await {
                break end;
            }
        };
        if !out.is_empty() && !matches!(end, End::Abandoned) {
            call.outbox.push(&out);
        }
        end
    }

    /// Appends the answer with one entry, as this identity may see it.
    fn entry(
        &self,
        call: &Call,
        (out, scratch): (&mut Vec<u8>, &mut Vec<u8>),
        snapshot: &Snapshot,
        node: &Node,
        grants: &Grants<'_>,
    ) -> Result<(), deref::TooLarge> {
        let most = call.shared.options.limits.dereference_bytes;
        let open = View::unrestricted(snapshot, node);
        if grants.everything() {
            let controls = deref::response(&self.derefs, &open, grants, most)?;
            encode::entry(out, scratch, call.id, &open, &self.selection, &controls);
            return Ok(());
        }
        let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
        let view = View::new(snapshot, node, &place);
        let controls = deref::response(&self.derefs, &view, grants, most)?;
        encode::entry(out, scratch, call.id, &view, &self.selection, &controls);
        Ok(())
    }
}
