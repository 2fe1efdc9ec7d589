//! Searches that do not end with what is there now: content synchronisation (RFC 4533) and
//! persistent search. Both follow the journal from the state that the client has seen, and send
//! what its changes come to.

mod cookie;
mod persistent;
mod standing;
mod sync;
mod wire;

pub use persistent::PersistentSearch;
pub use standing::Standing;
pub use sync::SyncRequest;

use super::{
    Call, Done,
    search::{End, Limits, Turn, assert_base, below_root},
};
use crate::{
    access::Identity,
    directory::{Change, Error, Hits, Interest, Node, Scope, Search, Snapshot, Step, View, Visit},
    dn::Dn,
    entry::ber,
    filter::Filter,
    ldap::{
        convert,
        encode::{self, Selection},
        message::{Control, Kind, SearchRequest},
        reply,
        result::{self, Code, LdapResult},
    },
    lifecycle::Account,
};
use std::sync::Arc;

/// Candidates looked at before abandon, time and the other requests get their turn.
const STRIDE: usize = 256;
/// Bytes gathered before they go to the outbox.
const CHUNK: usize = 32 << 10;

/// Whether a search is a feed.
pub fn is_asked(call: &Call) -> bool {
    call.controls.sync.is_some() || call.controls.persistent.is_some()
}

pub async fn search(call: &Call, request: SearchRequest) -> Done {
    let name = request.base.clone();
    let mut feed = Feed { call, selection: Selection::default(), out: Vec::new(), scratch: Vec::new(), sent: 0 };
    let ended = match (&call.controls.sync, &call.controls.persistent) {
        (Some(_), Some(_)) => Err(Stop::With(result::result(Code::UnwillingToPerform, "one feed at a time"))),
        (Some(asked), None) => sync::run(&mut feed, asked, request).await,
        (None, Some(asked)) => persistent::run(&mut feed, *asked, request).await,
        (None, None) => Err(Stop::With(result::success())),
    };
    feed.flush();
    let (result, controls) = match ended {
        Ok(controls) => (result::success(), controls),
        Err(Stop::With(result)) => (result, Vec::new()),
        Err(Stop::Silently) => return call.done(Kind::Abandon, Code::Success, feed.sent, name),
    };
    Done { entries: feed.sent, ..call.answer_with(Kind::Search, result, controls, name) }
}

/// Bits of derefAliases (RFC 4511 section 4.5.1.3).
const DEREF_BELOW: i64 = 1;
const DEREF_BASE: i64 = 2;

/// Why a feed ends before its time.
enum Stop {
    With(LdapResult),
    /// Abandoned: no answer (RFC 4511 section 4.11).
    Silently,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::With(result::of(&error))
    }
}

fn refused(text: &str) -> Stop {
    Stop::With(result::result(Code::UnwillingToPerform, text))
}

/// What goes to the client of one feed.
struct Feed<'c> {
    call: &'c Call,
    selection: Selection,
    out: Vec<u8>,
    scratch: Vec<u8>,
    sent: usize,
}

/// The search behind a feed.
struct Wanted {
    hits: Hits,
    interest: Arc<Interest>,
    limits: Limits,
}

impl Feed<'_> {
    /// Reads the request as a search of the tree.
    fn begin(&mut self, request: &SearchRequest, snapshot: &Arc<Snapshot>) -> Result<Wanted, Stop> {
        let call = self.call;
        self.require_plain(request)?;
        let schema = &snapshot.schema;
        self.select(request, snapshot);
        let Some(scope) = convert::scope(request.scope) else {
            return Err(Stop::With(result::result(Code::ProtocolError, "there is no such scope")));
        };
        let base = Dn::parse(&request.base).map_err(Error::from)?;
        if base.is_root() && scope == Scope::Base {
            return Err(refused("the root DSE has no feed"));
        }
        let (base, scope) = below_root(base, scope, snapshot);
        assert_base(call, snapshot, &base)?;
        let filter = Arc::new(Filter::bind(&request.filter, schema));
        let grants = call.shared.options.directory.access.grants(&call.identity);
        let visit = Visit { deref_base: request.deref & DEREF_BASE != 0, ..Visit::default() };
        let search = Search { base: base.clone(), scope, filter: Arc::clone(&filter), visit };
        let hits = search.begin(Arc::clone(snapshot), &grants)?;
        // A persistent search below which there are none may ask for it: JNDI does so by default.
        if request.deref & DEREF_BELOW != 0 && hits.meets_aliases() {
            return Err(refused("a feed does not follow the aliases below its base"));
        }
        let base = match hits.base().filter(|_| visit.deref_base) {
            Some(name) => Dn::parse(&name).map_err(Error::from)?,
            None => base,
        };
        let interest = Arc::new(Interest::new(&base, scope, filter, schema));
        Ok(Wanted { hits, interest, limits: Limits::new(call, request) })
    }

    /// Refuses what a feed cannot keep to for as long as it lasts.
    fn require_plain(&self, request: &SearchRequest) -> Result<(), Stop> {
        let controls = &self.call.controls;
        if controls.paged.is_some() || controls.sort.is_some() || controls.vlv.is_some() {
            return Err(refused("a feed is neither sorted nor sent in pages"));
        }
        if controls.deref.is_some() {
            return Err(refused("a feed does not follow the entries that others name"));
        }
        if controls.subentries.is_some() {
            return Err(refused("a feed tells of all entries, subentries or not"));
        }
        let is_sync = controls.sync.is_some();
        match request.deref {
            0 | DEREF_BASE => Ok(()),
            // slapd answers the same.
            DEREF_BELOW | 3 if is_sync => Err(Stop::With(result::result(
                Code::ProtocolError,
                "content synchronisation does not follow aliases: derefAliases is never or finding",
            ))),
            DEREF_BELOW | 3 => Ok(()),
            _ => Err(Stop::With(result::result(
                Code::ProtocolError,
                "derefAliases is not one of never, searching, finding, always",
            ))),
        }
    }

    fn select(&mut self, request: &SearchRequest, snapshot: &Snapshot) {
        self.selection = Selection::new(&request.attrs, request.types_only, &snapshot.schema).of_own_content();
        if let Some(values) = &self.call.controls.matched_values {
            self.selection.keep_values(values, &snapshot.schema);
        }
    }

    /// Sends what is there now; `mark` makes the controls of each entry.
    async fn send_all(&mut self, wanted: Wanted, mark: impl Fn(&Node) -> Vec<Control>) -> Result<(), Stop> {
        let Wanted { mut hits, limits, .. } = wanted;
        let call = self.call;
        let snapshot = Arc::clone(hits.snapshot());
        let grants = call.shared.options.directory.access.grants(&call.identity);
        let (mut seen, mut turn) = (0usize, Turn::begin());
        loop {
            match hits.step(&grants) {
                Step::End => return Ok(()),
                Step::Passed | Step::Reference(_) => {}
                Step::Found(_) if limits.entries.is_some_and(|max| self.sent >= max) => {
                    return Err(Stop::With(result::result(
                        Code::SizeLimitExceeded,
                        "there are more entries than the limit allows",
                    )));
                }
                Step::Found(node) => {
                    let controls = mark(&node);
                    self.entry(&snapshot, &node, &controls);
                }
            }
            seen += 1;
            self.pause(seen).await?;
            match limits.check(call, seen, &mut turn).await {
                None | Some(End::Full) => {}
                Some(End::Abandoned) => return Err(Stop::Silently),
                Some(End::Over(result)) => return Err(Stop::With(result)),
            }
        }
    }

    fn entry(&mut self, snapshot: &Snapshot, node: &Node, controls: &[Control]) {
        let call = self.call;
        let grants = call.shared.options.directory.access.grants(&call.identity);
        let open = View::unrestricted(snapshot, node);
        let (out, scratch, selection) = (&mut self.out, &mut self.scratch, &self.selection);
        if grants.everything() {
            encode::entry(out, scratch, call.id, &open, selection, controls);
        } else {
            let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
            encode::entry(out, scratch, call.id, &View::new(snapshot, node, &place), selection, controls);
        }
        self.sent += 1;
    }

    /// An entry of which nothing but the name is left.
    fn bare_entry(&mut self, dn: &str, controls: &[Control]) {
        let mut content = Vec::new();
        ber::push_element(&mut content, ber::OCTET_STRING, dn.as_bytes());
        ber::push_element(&mut content, ber::SEQUENCE, &[]);
        reply::message(&mut self.out, self.call.id, reply::SEARCH_RESULT_ENTRY, &[&content], controls);
        self.sent += 1;
    }

    fn reply(&mut self, reply: &reply::Reply) {
        reply.encode(&mut self.out, self.call.id);
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.call.outbox.push(&self.out);
            self.out.clear();
        }
    }

    /// Lets others have their turn, and waits for a client that is slow to read.
    async fn pause(&mut self, step: usize) -> Result<(), Stop> {
        if self.out.len() >= CHUNK {
            self.flush();
            self.call.outbox.room().await;
        }
        if step.is_multiple_of(STRIDE) {
            tokio::task::yield_now().await;
            self.interrupted()?;
        }
        Ok(())
    }

    fn interrupted(&self) -> Result<(), Stop> {
        let interrupt = &self.call.interrupt;
        match (interrupt.is_set(), interrupt.wants_answer()) {
            (false, _) => Ok(()),
            (true, true) => Err(Stop::With(result::result(Code::Canceled, "cancelled by the client"))),
            (true, false) => Err(Stop::Silently),
        }
    }

    /// From here on the search waits for changes, and takes nobody's place.
    fn stand(&self) -> Result<standing::Guard, Stop> {
        self.require_account(&self.call.shared.options.directory.read())?;
        let limit = self.call.shared.options.limits.standing_searches;
        standing::enter(self.call, limit).ok_or_else(|| {
            Stop::With(result::result(
                Code::AdminLimitExceeded,
                "too many searches wait for changes on this connection",
            ))
        })
    }

    /// Waits for a state after `seen`, and reads the changes that led to it.
    async fn next_state(&mut self, seen: &Snapshot) -> Result<(Arc<Snapshot>, Vec<(u64, Change)>), Stop> {
        let now = self.later_than(seen.head).await?;
        let directory = &self.call.shared.options.directory;
        let changes = directory.changes(seen.head, now.head).await.map_err(left_behind)?;
        Ok((now, changes))
    }

    /// Nothing more is told to someone who could not log in any more.
    fn require_account(&self, now: &Snapshot) -> Result<(), Stop> {
        let Identity::Entry { uuid, .. } = &*self.call.identity else { return Ok(()) };
        let axes = match now.by_uuid(*uuid) {
            Some(node) => node.entry.operational.axes.as_ref(),
            None => return Err(shut("the entry of the identity that follows is deleted")),
        };
        match axes.map(|axes| now.career.account(axes)) {
            Some(Account::Closed(_)) => Err(shut("the account of the identity that follows is closed")),
            Some(Account::Usable) | None => Ok(()),
        }
    }

    /// Waits for a state after this one.
    async fn later_than(&mut self, head_seen: u64) -> Result<Arc<Snapshot>, Stop> {
        self.flush();
        let directory = &self.call.shared.options.directory;
        let mut head = directory.head();
        loop {
            // A client that does not read gets no more, and nothing is kept for it.
            self.call.outbox.room().await;
            self.interrupted()?;
            let now = directory.read();
            if now.head > head_seen {
                self.require_account(&now)?;
                return Ok(now);
            }
            tokio::select! {
                () = self.call.interrupt.set() => {}
                changed = head.changed() => if changed.is_err() {
                    return Err(Stop::With(result::result(Code::Unavailable, "the server is stopping")));
                },
            }
        }
    }
}

fn shut(text: &str) -> Stop {
    Stop::With(result::result(Code::InsufficientAccessRights, text))
}

/// The journal does not reach back to what the client has seen.
fn left_behind(error: Error) -> Stop {
    match error {
        Error::Store(crate::store::Error::Trimmed { .. }) => Stop::With(result::result(
            Code::SyncRefreshRequired,
            "the changes since then are not kept any more: start anew",
        )),
        other => other.into(),
    }
}
