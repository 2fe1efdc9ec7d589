//! Search (RFC 4511 section 4.5): entries of one snapshot, within limits, stopped by abandon and
//! cancel; as they are found, sorted, in pages, or a window of a list.

mod deliver;
mod deref;
pub(super) mod log;
mod made_up;
mod pages;
mod sort;
mod window;

pub use pages::Pages;

use super::{Call, Done};
use crate::{
    directory::{Error, Scope, Search, Snapshot, Subentries, View, Visit},
    dn::Dn,
    filter::{Ast, Filter},
    ldap::{
        accounts,
        controls::Controls,
        convert,
        message::{Control, Kind, SearchRequest},
        result::{self, Code, LdapResult},
    },
};
use deliver::{Delivery, Source};
pub use deliver::{End, Limits, Turn};
use std::sync::Arc;

/// How a search ended, for the client.
struct Ended {
    result: LdapResult,
    controls: Vec<Control>,
}

impl From<LdapResult> for Ended {
    fn from(result: LdapResult) -> Self {
        Ended { result, controls: Vec::new() }
    }
}

pub async fn search(call: &Call, request: SearchRequest) -> Done {
    let name = request.base.clone();
    let mut sent = 0;
    let ended = match run(call, &request, &mut sent).await {
        Ok(Some(ended)) => ended,
        // Abandoned: no answer (RFC 4511 section 4.11).
        Ok(None) => return call.done(Kind::Abandon, Code::Success, sent, name),
        Err(error) => result::of(&error).into(),
    };
    Done { entries: sent, ..call.answer_with(Kind::Search, ended.result, ended.controls, name) }
}

async fn run(call: &Call, request: &SearchRequest, sent: &mut usize) -> Result<Option<Ended>, Error> {
    let refuse = |code, text: &str| Ok(Some(Ended::from(result::result(code, text))));
    let Some(scope) = convert::scope(request.scope) else {
        return refuse(Code::ProtocolError, "the scope is not one of base, one, subtree, subordinates");
    };
    let Some(visit) = visit(call, request) else {
        return refuse(Code::ProtocolError, "derefAliases is not one of never, searching, finding, always");
    };
    let controls = &call.controls;
    if let Some(refused) = contradiction(controls) {
        return Ok(Some(refused.into()));
    }
    let snapshot = call.shared.options.directory.read();
    let base = Dn::parse(&request.base)?;
    let limits = Limits::new(call, request);
    let delivery = Delivery::new(call, request, &snapshot, limits);
    if let Some(paged) = &controls.paged
        && !paged.cookie.is_empty()
    {
        return pages::go_on(call, request, paged, delivery, sent).await;
    }
    let filter = Filter::bind(&request.filter, &snapshot.schema);
    if made_up::is_asked(&snapshot, &base, scope) {
        let found = made_up::found(call, &snapshot, &Search { base, scope, filter: Arc::new(filter), visit })?;
        return present(call, request, Source::list(snapshot, found), delivery, sent).await;
    }
    let search = Search { base, scope, filter: Arc::new(filter), visit };
    if let Some(found) = accounts::found(call, &snapshot, &search) {
        return present(call, request, Source::list(snapshot, found?), delivery, sent).await;
    }
    let source = match log::asked(call, request, &snapshot, (&search.base, scope), &search.filter).await? {
        Some(log) if controls.paged.is_none() && controls.sort.is_none() => {
            return log.send(call, &delivery, sent).await;
        }
        Some(log) => log.collect(call).await?,
        None => supply(call, &snapshot, &request.filter, search)?,
    };
    present(call, request, source, delivery, sent).await
}

/// What cannot be had together.
fn contradiction(controls: &Controls) -> Option<LdapResult> {
    let (code, text) = match (&controls.paged, &controls.vlv, &controls.sort) {
        (Some(_), Some(_), _) => (Code::UnwillingToPerform, "pages and a list view of one search exclude each other"),
        (None, Some(_), None) => (Code::SortControlMissing, "a list view needs a sorted list"),
        _ => return None,
    };
    Some(result::result(code, text))
}

/// Sends what is supplied in the order and the portion that the controls ask for.
async fn present(
    call: &Call,
    request: &SearchRequest,
    mut source: Source,
    delivery: Delivery,
    sent: &mut usize,
) -> Result<Option<Ended>, Error> {
    let controls = &call.controls;
    let snapshot = Arc::clone(source.snapshot());
    let mut answers = Vec::new();
    let order = match controls.sort.as_ref().map(|keys| sort::Order::new(keys, &snapshot.schema)) {
        None => None,
        Some(Ok(order)) => {
            answers.push(sort::response(Code::Success, None));
            Some(order)
        }
        Some(Err((code, attribute))) if controls.sort_critical || controls.vlv.is_some() => {
            let text = format!("{attribute}: the list cannot be sorted by it");
            let result = result::result(Code::UnavailableCriticalExtension, text);
            return Ok(Some(Ended { result, controls: vec![sort::response(code, Some(&attribute))] }));
        }
        Some(Err((code, attribute))) => {
            answers.push(sort::response(code, Some(&attribute)));
            None
        }
    };
    if let Some(order) = &order {
        let list = match window::kept(call, request, &snapshot) {
            Some(list) => list,
            None => match sort::collect(call, source, order, delivery.limits()).await? {
                sort::Collected::List(list) => list.into(),
                sort::Collected::Stopped(end) => return Ok(end.map(Ended::from)),
            },
        };
        if let Some(vlv) = &controls.vlv {
            window::keep(call, request, &snapshot, &list);
            return window::send(call, vlv, order, (snapshot, list), delivery, answers, sent).await;
        }
        source = Source::list(Arc::clone(&snapshot), list.to_vec());
    }
    if let Some(paged) = &controls.paged {
        return pages::begin(call, request, paged, source, delivery, answers, sent).await;
    }
    Ok(match delivery.send(call, &mut source, None, sent).await {
        End::Abandoned => None,
        End::Full => Some(result::success().into()),
        End::Over(result) => Some(Ended { result, controls: answers }),
    })
}

/// The entries of the tree that a search finds.
fn supply(call: &Call, snapshot: &Arc<Snapshot>, filter: &Ast, search: Search) -> Result<Source, Error> {
    let (base, scope) = below_root(search.base, search.scope, snapshot);
    assert_base(call, snapshot, &base)?;
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let wanted = accounts::are_wanted(call, scope, filter, &snapshot.schema);
    let walk = if wanted { accounts::Walk::begin(call, snapshot, &base, scope, &search.filter) } else { None };
    let hits = Search { base, scope, ..search }.begin(Arc::clone(snapshot), &grants)?;
    Ok(Source::hits(hits).with_accounts(walk))
}

/// A search below the root goes to the one naming context.
pub(super) fn below_root(base: Dn, scope: Scope, snapshot: &Snapshot) -> (Dn, Scope) {
    match (base.is_root(), scope) {
        (false, scope) => (base, scope),
        (true, Scope::One) => (snapshot.suffix.clone(), Scope::Base),
        (true, _) => (snapshot.suffix.clone(), Scope::Subtree),
    }
}

/// How aliases, referral objects and subentries are taken.
fn visit(call: &Call, request: &SearchRequest) -> Option<Visit> {
    let (deref_below, deref_base) = match request.deref {
        0 => (false, false),
        1 => (true, false),
        2 => (false, true),
        3 => (true, true),
        _ => return None,
    };
    let subentries = match call.controls.subentries {
        Some(true) => Subentries::Only,
        Some(false) | None => Subentries::Never,
    };
    Some(Visit { deref_base, deref_below, refer: !call.controls.manage_dsa_it, subentries })
}

/// The assertion of a search is about its base (RFC 4528 section 3).
pub(super) fn assert_base(call: &Call, snapshot: &Snapshot, base: &Dn) -> Result<(), Error> {
    let Some(ast) = &call.controls.assertion else { return Ok(()) };
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let key = snapshot.schema.dn_key(base);
    let node = snapshot.find(&key).ok_or_else(|| snapshot.no_such_object(&key, &grants))?;
    let open = View::unrestricted(snapshot, node);
    let place = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
    if place.is_blind() {
        return Err(Error::NoSuchObject { matched: None });
    }
    let holds = Filter::bind(ast, &snapshot.schema).matches(&View::new(snapshot, node, &place), &snapshot.schema);
    if holds { Ok(()) } else { Err(Error::AssertionFailed) }
}
