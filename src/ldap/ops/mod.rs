//! The operations: each takes a request, asks the directory, and sends the answer.

pub mod bind;
mod compare;
mod extended;
mod feed;
mod sasl;
mod search;
pub mod transaction;
mod write;

pub use extended::{cancelled_id, respond};
pub use feed::{PersistentSearch, Standing, SyncRequest};
pub use search::Pages;
pub use transaction::Transactions;

use super::{
    Shared,
    bounds::Bounds,
    controls::Controls,
    external::External,
    message::{Control, Kind, Request},
    outbox::Outbox,
    reply::Reply,
    result::{self, Code, LdapResult},
    sasl::PLAIN,
    state::State,
};
use crate::{access::Identity, filter::Ast};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// One operation under way.
pub struct Call {
    pub shared: Arc<Shared>,
    pub outbox: Arc<Outbox>,
    pub state: Arc<State>,
    /// Who asks; another than who is bound under proxied authorization.
    pub identity: Arc<Identity>,
    pub bounds: Arc<Bounds>,
    /// TLS, or a local socket.
    pub secure: bool,
    /// Who the client is by what lies below LDAP.
    pub external: Option<Arc<External>>,
    pub id: i32,
    pub controls: Controls,
    pub interrupt: Arc<Interrupt>,
    pub started: Instant,
}

/// The wish that an operation end early.
#[derive(Default)]
pub struct Interrupt {
    token: CancellationToken,
    /// The client wants an answer all the same (RFC 3909).
    cancelled: AtomicBool,
}

impl Interrupt {
    /// Without an answer (RFC 4511 section 4.11).
    pub fn abandon(&self) {
        self.token.cancel();
    }

    /// With one.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub fn is_set(&self) -> bool {
        self.token.is_cancelled()
    }

    pub fn wants_answer(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Waits for it.
    pub async fn set(&self) {
        self.token.cancelled().await;
    }
}

/// How an operation ended, for the log.
pub struct Done {
    pub id: i32,
    pub kind: Kind,
    pub code: Code,
    pub entries: usize,
    pub started: Instant,
    /// What it was about: a DN. Never values.
    pub detail: String,
}

impl Call {
    /// True if the root DSE should name StartTLS.
    pub fn offers_tls(&self) -> bool {
        self.shared.options.tls.is_some() && !self.secure
    }

    /// True if a password must not come on this connection.
    pub fn must_be_secure(&self) -> bool {
        self.shared.options.require_tls_for_bind && !self.secure
    }

    /// The SASL mechanisms that can be used on this connection.
    pub fn mechanisms(&self) -> Vec<&'static str> {
        let sasl = &self.shared.options.sasl;
        let mut offered = sasl.offered(self.secure, self.external.as_deref());
        offered.retain(|mechanism| *mechanism != PLAIN || !self.must_be_secure());
        offered
    }

    /// Sends the result as the response to `kind` and closes the operation.
    pub fn answer(&self, kind: Kind, result: LdapResult, detail: String) -> Done {
        self.answer_with(kind, result, Vec::new(), detail)
    }

    /// The same with response controls.
    pub fn answer_with(&self, kind: Kind, result: LdapResult, controls: Vec<Control>, detail: String) -> Done {
        if let Some(reply) = Reply::to(kind, &result) {
            self.outbox.send(self.id, &reply.with(controls));
        }
        self.done(kind, result.code, 0, detail)
    }

    pub fn done(&self, kind: Kind, code: Code, entries: usize, mut detail: String) -> Done {
        if let Some(session) = &self.controls.session_tracking {
            detail = format!("{detail} (for {session})");
        }
        Done { id: self.id, kind, code, entries, started: self.started, detail }
    }
}

/// Refuses what would take more of the server than the limits allow.
pub fn require_bounded(call: &Call, request: &Request) -> Result<(), LdapResult> {
    let limits = &call.shared.options.limits;
    let refuse = |text: &str| Err(result::result(Code::AdminLimitExceeded, text));
    if let Request::Search(search) = request {
        let size = search.filter.size();
        if size.terms > limits.filter_terms || size.chains > limits.filter_chains {
            return refuse("the filter has more assertions than the server takes");
        }
    }
    if call.controls.sort.as_ref().is_some_and(|keys| keys.len() > limits.sort_keys) {
        return refuse("more sort keys than the server takes");
    }
    if call.controls.deref.as_ref().is_some_and(|list| list.len() > limits.dereferences) {
        return refuse("more attributes to dereference than the server takes");
    }
    let shown = [&call.controls.pre_read, &call.controls.post_read].into_iter().flatten().map(Vec::len);
    let dereferenced = call.controls.deref.iter().flatten().map(|d| d.wanted.len());
    let searched = match request {
        Request::Search(search) => search.attrs.len(),
        _ => 0,
    };
    if shown.chain(dereferenced).chain([searched]).any(|count| count > limits.search_attributes) {
        return refuse("more attributes are asked for than the server takes");
    }
    let asserted = call.controls.assertion.as_ref().map(Ast::size).unwrap_or_default();
    if asserted.terms > limits.assertion_terms || asserted.chains > 0 {
        return refuse("the assertion control has more assertions than the server takes");
    }
    if call.controls.matched_values.as_ref().is_some_and(|items| items.len() > limits.assertion_terms) {
        return refuse("the matched values control has more items than the server takes");
    }
    Ok(())
}

/// Everything but bind, unbind, abandon, cancel and StartTLS, which the session itself handles.
pub async fn run(call: Call, request: Request) -> Done {
    let kind = request.kind();
    match request {
        Request::Search(request) if feed::is_asked(&call) => feed::search(&call, *request).await,
        Request::Search(request) => search::search(&call, *request).await,
        Request::Add(_) | Request::Modify(_) | Request::Delete(_) | Request::ModifyDn(_) => {
            write::write(&call, request).await
        }
        Request::Compare(request) => compare::compare(&call, request).await,
        Request::Extended { name, value } => extended::extended(&call, &name, value).await,
        Request::Bind { .. } | Request::Unbind | Request::Abandon(_) => {
            call.done(kind, Code::Other, 0, "handled by the session".to_owned())
        }
    }
}
