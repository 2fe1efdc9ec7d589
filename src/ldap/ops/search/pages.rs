//! Paged results (RFC 2696). The rest of a search is kept with the connection, on the snapshot that
//! it began with: pages neither repeat nor lose an entry, whatever is written between them.

use super::{
    Ended,
    deliver::{Delivery, End, Source, Turn, tell_reference},
};
use crate::{
    directory::{Error, Node, Step},
    entry::ber,
    ldap::{
        controls::{PAGED, Paged},
        message::{Control, SearchRequest},
        ops::Call,
        reply,
        result::{self, Code},
    },
};
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Searches of one connection whose next page may be asked for.
#[derive(Default)]
pub struct Pages {
    open: BTreeMap<u64, Rest>,
    last: u64,
    /// The list that windows were last shown of.
    list: Option<List>,
}

/// A sorted list, good for as long as nothing is written.
struct List {
    request: u64,
    head: u64,
    nodes: Arc<[Arc<Node>]>,
}

/// What is left of a search.
struct Rest {
    source: Source,
    /// Response controls that go with every page.
    answers: Vec<Control>,
    sent: usize,
    request: u64,
}

impl Pages {
    pub fn clear(&mut self) {
        self.open.clear();
        self.list = None;
    }

    /// The list of an earlier request of the same search on the same state of the directory.
    pub(super) fn list(&self, request: u64, head: u64) -> Option<Arc<[Arc<Node>]>> {
        self.list.as_ref().filter(|l| (l.request, l.head) == (request, head)).map(|l| Arc::clone(&l.nodes))
    }

    pub(super) fn keep_list(&mut self, request: u64, head: u64, nodes: Arc<[Arc<Node>]>) {
        self.list = Some(List { request, head, nodes });
    }

    /// Keeps the rest of a search; the oldest one goes if there are too many. Answers the cookie.
    fn keep(&mut self, rest: Rest, most: usize) -> Vec<u8> {
        while self.open.len() >= most.max(1) {
            self.open.pop_first();
        }
        self.last += 1;
        self.open.insert(self.last, rest);
        self.last.to_be_bytes().to_vec()
    }

    fn take(&mut self, cookie: &[u8], request: u64) -> Option<Rest> {
        let number = u64::from_be_bytes(cookie.try_into().ok()?);
        if self.open.get(&number)?.request != request {
            return None;
        }
        self.open.remove(&number)
    }
}

/// The first page.
pub(super) async fn begin(
    call: &Call,
    request: &SearchRequest,
    paged: &Paged,
    source: Source,
    delivery: Delivery,
    answers: Vec<Control>,
    sent: &mut usize,
) -> Result<Option<Ended>, Error> {
    if paged.size == 0 {
        let controls = answers.into_iter().chain([response(Vec::new())]).collect();
        return Ok(Some(Ended { result: result::success(), controls }));
    }
    page(call, request, paged, source, &delivery, answers, sent).await
}

/// A further page, of whatever size; with size 0 the client wants no more.
pub(super) async fn go_on(
    call: &Call,
    request: &SearchRequest,
    paged: &Paged,
    delivery: Delivery,
    sent: &mut usize,
) -> Result<Option<Ended>, Error> {
    let Some(rest) = call.state.pages().take(&paged.cookie, fingerprint(call, request)) else {
        let text = "the cookie is not one of this search on this connection";
        return Ok(Some(result::result(Code::UnwillingToPerform, text).into()));
    };
    if paged.size == 0 {
        return Ok(Some(Ended { result: result::success(), controls: vec![response(Vec::new())] }));
    }
    let before = rest.sent;
    *sent = before;
    let ended = page(call, request, paged, rest.source, &delivery, rest.answers, sent).await;
    // The log counts the entries of this page.
    *sent -= before;
    ended
}

async fn page(
    call: &Call,
    request: &SearchRequest,
    paged: &Paged,
    mut source: Source,
    delivery: &Delivery,
    mut answers: Vec<Control>,
    sent: &mut usize,
) -> Result<Option<Ended>, Error> {
    let asked = usize::try_from(paged.size).unwrap_or(usize::MAX);
    let size = match call.bounds.page_entries {
        0 => asked,
        most => asked.min(most),
    };
    let mut result = match delivery.send(call, &mut source, Some(size), sent).await {
        End::Abandoned => return Ok(None),
        End::Over(result) => {
            answers.push(response(Vec::new()));
            return Ok(Some(Ended { result, controls: answers }));
        }
        End::Full => result::success(),
    };
    let cookie = match look_ahead(call, &mut source, delivery).await {
        Ahead::Node(ahead) => {
            source.put_back(ahead);
            let rest = Rest { source, answers: answers.clone(), sent: *sent, request: fingerprint(call, request) };
            call.state.pages().keep(rest, call.shared.options.limits.pages)
        }
        Ahead::Nothing(end) => {
            match end {
                End::Abandoned => return Ok(None),
                End::Full => {}
                End::Over(over) => result = over,
            }
            Vec::new()
        }
    };
    answers.push(response(cookie));
    Ok(Some(Ended { result, controls: answers }))
}

enum Ahead {
    Node(Arc<Node>),
    Nothing(End),
}

/// The first entry of the next page; an empty page at the end would be one request too many.
async fn look_ahead(call: &Call, source: &mut Source, delivery: &Delivery) -> Ahead {
    let directory = &call.shared.options.directory;
    let grants = directory.access.grants(&call.identity);
    let (mut seen, mut turn) = (0usize, Turn::begin());
    loop {
        match source.step(&grants) {
            Step::Found(node) => return Ahead::Node(node),
            Step::End => return Ahead::Nothing(End::Over(result::success())),
            Step::Reference(uris) => tell_reference(call, &uris),
            Step::Passed => {}
        }
        seen += 1;
        if let Some(end) = delivery.limits().check(call, seen, &mut turn).await {
            return Ahead::Nothing(end);
        }
    }
}

/// Requests of one search have the same; page size and attributes may differ.
pub(super) fn fingerprint(call: &Call, request: &SearchRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&request.base, request.scope, request.deref, request.size_limit, call.identity.dn()).hash(&mut hasher);
    (&request.filter, &call.controls.sort).hash(&mut hasher);
    hasher.finish()
}

/// realSearchControlValue; how many there are is not known before all are found.
fn response(cookie: Vec<u8>) -> Control {
    let mut inner = Vec::new();
    reply::push_number(&mut inner, ber::INTEGER, 0);
    ber::push_element(&mut inner, ber::OCTET_STRING, &cookie);
    let mut value = Vec::new();
    ber::push_element(&mut value, ber::SEQUENCE, &inner);
    Control { oid: PAGED.to_owned(), critical: false, value: Some(value) }
}
