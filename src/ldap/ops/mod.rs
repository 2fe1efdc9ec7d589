//! The operations: each takes a request, asks the directory, and sends the answer.

pub mod bind;
mod compare;
mod extended;
mod search;
mod write;

use super::{
    Shared, convert,
    message::{Kind, Request},
    outbox::Outbox,
    result,
};
use crate::access::Identity;
use ldap3_proto::proto::{LdapResult, LdapResultCode as Code};
use std::{sync::Arc, time::Instant};
use tokio_util::sync::CancellationToken;

/// One operation under way.
pub struct Call {
    pub shared: Arc<Shared>,
    pub outbox: Arc<Outbox>,
    pub identity: Arc<Identity>,
    /// TLS, or a local socket.
    pub secure: bool,
    pub id: i32,
    pub abandoned: CancellationToken,
    pub started: Instant,
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

    /// Sends the result as the response to `kind` and closes the operation.
    pub fn answer(&self, kind: Kind, result: LdapResult, detail: String) -> Done {
        let code = result.code.clone();
        if let Some(response) = result::response(kind, result) {
            self.outbox.send(self.id, response);
        }
        self.done(kind, code, 0, detail)
    }

    pub fn done(&self, kind: Kind, code: Code, entries: usize, detail: String) -> Done {
        Done { id: self.id, kind, code, entries, started: self.started, detail }
    }
}

/// Everything but bind, unbind, abandon and StartTLS, which the session itself handles.
pub async fn run(call: Call, request: Request) -> Done {
    let kind = request.kind();
    match request {
        Request::Search(request) => search::search(&call, *request).await,
        Request::Add(request) => {
            let name = request.dn.clone();
            write::write(&call, kind, convert::add(request), name).await
        }
        Request::Modify(request) => {
            let name = request.dn.clone();
            write::write(&call, kind, convert::modify(request), name).await
        }
        Request::Delete(dn) => {
            let op = crate::dn::Dn::parse(&dn).map(|dn| crate::directory::Op::Delete { dn });
            write::write(&call, kind, op.map_err(Into::into), dn).await
        }
        Request::ModifyDn(request) => {
            let name = request.dn.clone();
            write::write(&call, kind, convert::rename(request), name).await
        }
        Request::Compare(request) => compare::compare(&call, request).await,
        Request::Extended { name, value } => extended::extended(&call, &name, value).await,
        Request::Bind { .. } | Request::Unbind | Request::Abandon(_) => {
            call.done(kind, Code::Other, 0, "handled by the session".to_owned())
        }
    }
}
