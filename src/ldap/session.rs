//! One connection: reads requests, runs several at a time, writes answers as they come. Bind and
//! StartTLS wait for the others and let none pass.

use super::{
    Shared,
    bounds::{self, Bounds},
    codec::{Broken, Codec, Frame},
    controls::{self, Controls},
    external::External,
    message::{Control, Kind, Message, Request},
    monitor::Connection,
    ops::{self, Call, Done, Interrupt},
    outbox::Outbox,
    pipe::{Event, Pipe},
    reply::Reply,
    result::{self, Code, LdapResult},
    rootdse,
    state::State,
};
use crate::{access::Identity, names};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{codec::Decoder, sync::CancellationToken};

pub struct Session {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    peer: String,
    secure: bool,
    external: Option<Arc<External>>,
    identity: Arc<Identity>,
    bounds: Arc<Bounds>,
    state: Arc<State>,
    operations: u64,
}

/// Why a run over one stream ended.
pub enum Ended<S> {
    Closed,
    /// The success was sent; the stream now speaks TLS.
    StartTls(S),
}

/// What a received message means for the loop.
enum Next {
    Go,
    /// Nothing more is read; what is under way ends and is answered.
    LastWords,
    /// The rest is of no use to anyone.
    Close,
    StartTls,
}

/// What is under way on one stream.
struct Work {
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    interrupts: HashMap<i32, (Kind, Arc<Interrupt>)>,
    /// Cancel requests, by the operation whose end they wait for.
    cancels: Vec<(i32, Call)>,
    outbox: Arc<Outbox>,
    /// A bind or StartTLS that waits for the others to end; nothing is taken in behind it.
    barrier: Option<(Call, Request)>,
}

impl Work {
    /// True if another request may be taken in.
    fn has_room(&self, in_flight: usize, standing: usize) -> bool {
        self.barrier.is_none() && self.running.len() < in_flight + standing && !self.outbox.is_full()
    }
}

impl Session {
    pub fn new(shared: Arc<Shared>, peer: String, secure: bool, external: Option<External>) -> Self {
        let connection = shared.monitor.connected(peer.clone());
        tracing::debug!(conn = connection.number(), peer, secure, "connected");
        let (identity, state) = (Arc::new(Identity::Anonymous), Arc::default());
        let bounds = bounds::of(&identity, &shared.options.limits, &shared.options.bounds);
        let external = external.map(Arc::new);
        Session { shared, connection, peer, secure, external, identity, bounds, state, operations: 0 }
    }

    /// After StartTLS the client starts anew (RFC 4513 section 3.1.5).
    pub fn became_secure(&mut self, external: Option<External>) {
        self.secure = true;
        self.external = external.map(Arc::new);
        self.become_identity(Identity::Anonymous);
    }

    fn become_identity(&mut self, identity: Identity) {
        let options = &self.shared.options;
        self.bounds = bounds::of(&identity, &options.limits, &options.bounds);
        self.connection.bound_as(identity.dn());
        self.identity = Arc::new(identity);
    }

    pub async fn run<S>(&mut self, stream: S, stop: &CancellationToken) -> Ended<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut pipe = Pipe::new(stream, Duration::from_secs(self.shared.options.limits.write_secs));
        let mut work = Work {
            running: FuturesUnordered::new(),
            interrupts: HashMap::new(),
            cancels: Vec::new(),
            outbox: Arc::new(Outbox::default()),
            barrier: None,
        };
        let next = self.serve(&mut pipe, &mut work, stop).await;
        let heard = pipe.drain(&work.outbox).await;
        // What was asked for before the client left is still done, though nobody hears of it.
        work.outbox.discard();
        work.interrupts.values().for_each(|(_, i)| i.abandon());
        while let Some(done) = work.running.next().await {
            self.log(&done);
        }
        if matches!(next, Next::StartTls) && heard {
            return Ended::StartTls(pipe.into_stream());
        }
        pipe.shutdown().await;
        tracing::debug!(conn = self.connection.number(), operations = self.operations, "closed");
        Ended::Closed
    }

    async fn serve<S>(&mut self, pipe: &mut Pipe<S>, work: &mut Work, stop: &CancellationToken) -> Next
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let limits = Arc::clone(&self.shared.options.limits);
        let mut codec = Codec { limit: limits.message_bytes_anonymous, filter_depth: limits.filter_depth };
        let mut reading = true;
        loop {
            if let Some((call, request)) = work.barrier.take_if(|_| work.running.is_empty()) {
                match self.alone(call, request).await {
                    Next::Go => {}
                    end => return end,
                }
            }
            // Requests that have come already are taken before more is read.
            while reading && work.has_room(self.bounds.in_flight, self.state.standing().len()) {
                codec.limit = match *self.identity {
                    Identity::Anonymous => limits.message_bytes_anonymous,
                    _ => limits.message_bytes,
                };
                let frame = match codec.decode(&mut pipe.incoming) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(broken) => {
                        self.disconnect(&broken, &work.outbox);
                        return Next::Close;
                    }
                };
                match self.receive(frame, work) {
                    Next::Go => {}
                    Next::LastWords => reading = false,
                    end => return end,
                }
            }
            // What waits for changes would keep the others waiting for ever; RFC 4511 section 4.2.1
            // lets a bind abandon it.
            if !reading || work.barrier.is_some() {
                self.state.standing().abandon();
            }
            if work.barrier.is_some() && work.running.is_empty() {
                continue;
            }
            pipe.load(&work.outbox);
            let at_rest = work.running.is_empty() && pipe.is_drained();
            if !reading && at_rest {
                if stop.is_cancelled() {
                    notice(&work.outbox, Code::Unavailable, "the server is stopping");
                }
                return Next::Close;
            }
            let may_read = reading && work.has_room(self.bounds.in_flight, self.state.standing().len());
            tokio::select! {
                biased;
                event = pipe.next(may_read) => match event {
                    Event::Moved => {}
                    Event::Ended => reading = false,
                    Event::Lost => return Next::Close,
                },
                Some(done) = work.running.next(), if !work.running.is_empty() => {
                    self.ended(&done, work);
                }
                () = work.outbox.filled(), if pipe.is_drained() => {}
                () = tokio::time::sleep(Duration::from_secs(self.bounds.idle_secs)), if self.bounds.idle_secs > 0 && at_rest => {
                    notice(&work.outbox, Code::Unavailable, "the connection was idle for too long");
                    return Next::Close;
                }
                () = stop.cancelled(), if reading => reading = false,
            }
        }
    }

    /// Takes one message in: starts it, or keeps it until it can run alone.
    fn receive(&mut self, frame: Frame, work: &mut Work) -> Next {
        self.operations += 1;
        let message = match frame {
            Frame::Good(message) => *message,
            Frame::Bad { id, kind, reason } => return self.malformed(id, kind, reason, &work.outbox),
        };
        let Message { id, request, controls: asked, size } = message;
        let mut call = Call {
            shared: Arc::clone(&self.shared),
            outbox: Arc::clone(&work.outbox),
            state: Arc::clone(&self.state),
            identity: Arc::clone(&self.identity),
            bounds: Arc::clone(&self.bounds),
            secure: self.secure,
            external: self.external.clone(),
            id,
            controls: Controls::default(),
            interrupt: Arc::default(),
            started: Instant::now(),
        };
        let kind = request.kind();
        self.shared.monitor.received(&self.connection, kind);
        // Unbind and abandon have no response that could refuse a control.
        if !matches!(kind, Kind::Unbind | Kind::Abandon)
            && let Err(refused) =
                self.understand(&mut call, &asked, kind).and_then(|()| ops::require_bounded(&call, &request))
        {
            let text = refused.message.clone();
            self.log(&call.answer(kind, refused, text));
            return Next::Go;
        }
        // An abandon or a cancel could not tell the two apart (RFC 4511 section 4.1.1.1).
        if work.interrupts.contains_key(&id) {
            let text = "a request with this message id is under way";
            self.log(&call.answer(kind, result::result(Code::ProtocolError, text), text.to_owned()));
            return Next::Go;
        }
        if *self.identity == Identity::Anonymous && !self.shared.options.anonymous && needs_bind(&request) {
            let refused =
                result::result(Code::StrongerAuthRequired, "bind first: nothing is answered to the anonymous");
            self.log(&call.answer(kind, refused, String::new()));
            return Next::Go;
        }
        if let Some(transaction) = call.controls.transaction.take() {
            self.log(&ops::transaction::keep(call, &transaction, request, size));
            return Next::Go;
        }
        match request {
            Request::Unbind => {
                work.interrupts.values().for_each(|(_, i)| i.abandon());
                Next::LastWords
            }
            Request::Abandon(target) => {
                if let Some((_, interrupt)) = work.interrupts.get(&target) {
                    interrupt.abandon();
                }
                Next::Go
            }
            Request::Extended { name, value } if name == rootdse::CANCEL => {
                self.cancel(call, value.as_deref(), work);
                Next::Go
            }
            request if runs_alone(&request) => {
                work.barrier = Some((call, request));
                Next::Go
            }
            request => {
                work.interrupts.insert(id, (kind, Arc::clone(&call.interrupt)));
                work.running.push(Box::pin(ops::run(call, request)));
                Next::Go
            }
        }
    }

    /// Reads the controls, and takes on the identity that they name.
    fn understand(&self, call: &mut Call, asked: &[Control], kind: Kind) -> Result<(), LdapResult> {
        let options = &self.shared.options;
        call.controls = options.controls.read(asked, kind, options.limits.filter_depth)?;
        if let Some(authzid) = &call.controls.proxied {
            call.identity = controls::effective(authzid, &self.identity, &options.directory, &options.admin)?;
        }
        Ok(())
    }

    /// Cancel (RFC 3909): the answer waits for the end of the operation that it names.
    fn cancel(&self, call: Call, value: Option<&[u8]>, work: &mut Work) {
        const DETAIL: &str = "cancel";
        let refuse = |code, text| self.log(&ops::respond(&call, &result::result(code, text), None, DETAIL));
        let Some(target) = value.and_then(ops::cancelled_id) else {
            return refuse(Code::ProtocolError, "malformed cancel request");
        };
        match work.interrupts.get(&target) {
            Some((Kind::Search, interrupt)) => {
                interrupt.cancel();
                work.cancels.push((target, call));
            }
            Some((Kind::Compare | Kind::Extended, _)) => {
                refuse(Code::CannotCancel, "this operation cannot be cancelled")
            }
            // The writer has it already.
            Some(_) => refuse(Code::TooLate, "the update is on its way to the disk"),
            None => refuse(Code::NoSuchOperation, "no operation with this message id is under way"),
        }
    }

    /// An operation has ended; whoever wanted it cancelled hears of it.
    fn ended(&self, done: &Done, work: &mut Work) {
        work.interrupts.remove(&done.id);
        self.log(done);
        for (_, call) in work.cancels.extract_if(.., |(target, _)| *target == done.id) {
            let (code, text) = match done.code {
                Code::Canceled => (Code::Success, ""),
                _ => (Code::TooLate, "the operation had ended"),
            };
            self.log(&ops::respond(&call, &result::result(code, text), None, "cancel"));
        }
    }

    /// Transactions do not outlive the identity that began them (RFC 5805 section 4).
    fn abort_transactions(&self, outbox: &Outbox) {
        for id in self.state.transactions().abort() {
            outbox.send(0, &ops::transaction::aborted(&id, "the authorization state of the connection has changed"));
        }
    }

    /// Bind and StartTLS, with nothing else under way (RFC 4511 sections 4.2.1 and 4.14.1).
    async fn alone(&mut self, call: Call, request: Request) -> Next {
        self.abort_transactions(&call.outbox);
        self.state.standing().reopen();
        self.state.pages().clear();
        if let Request::Bind { version, name, auth } = request {
            // Whatever comes of it, the old identity is gone.
            self.become_identity(Identity::Anonymous);
            let (identity, done) = ops::bind::bind(&call, version, &name, auth).await;
            self.become_identity(identity);
            self.log(&done);
            return Next::Go;
        }
        let refusal = if self.secure {
            Some((Code::OperationsError, "TLS is established already"))
        } else if self.shared.options.tls.is_none() {
            Some((Code::ProtocolError, "no certificate is configured"))
        } else {
            None
        };
        let accepted = refusal.is_none();
        let (code, text) = refusal.unwrap_or((Code::Success, ""));
        call.outbox.send(call.id, &Reply::extended(&result::result(code, text), Some(rootdse::START_TLS), None));
        self.log(&call.done(Kind::Extended, code, 0, "StartTLS".to_owned()));
        if accepted { Next::StartTls } else { Next::Go }
    }

    fn malformed(&self, id: i32, kind: Option<Kind>, reason: &'static str, outbox: &Outbox) -> Next {
        tracing::info!({ names::CONN } = self.connection.number(), { names::MSGID } = id, reason, "malformed request");
        let answer = result::result(Code::ProtocolError, reason);
        match kind.and_then(|kind| Reply::to(kind, &answer)) {
            Some(reply) => {
                outbox.send(id, &reply);
                Next::Go
            }
            None => {
                notice(outbox, Code::ProtocolError, reason);
                Next::Close
            }
        }
    }

    fn disconnect(&self, broken: &Broken, outbox: &Outbox) {
        tracing::info!({ names::CONN } = self.connection.number(), peer = self.peer, reason = %broken, "broken frame");
        notice(outbox, Code::ProtocolError, &broken.to_string());
    }

    /// The one line that closes each operation.
    fn log(&self, done: &Done) {
        let elapsed = done.started.elapsed();
        let code = done.code.number();
        self.shared.monitor.completed(&self.connection, done.kind, done.entries);
        metrics::counter!(names::OPERATIONS, "op" => done.kind.name(), "code" => code.to_string()).increment(1);
        metrics::histogram!(names::OPERATION_SECONDS, "op" => done.kind.name()).record(elapsed.as_secs_f64());
        let elapsed_us = elapsed.as_micros() as u64;
        let refused_login = done.kind == Kind::Bind && done.code == Code::InvalidCredentials;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    { names::CONN } = self.connection.number(),
                    { names::MSGID } = done.id,
                    { names::OP } = done.kind.name(),
                    { names::BIND_DN } = self.identity.dn(),
                    { names::CODE } = code,
                    { names::ENTRIES_SENT } = done.entries,
                    { names::ELAPSED_US } = elapsed_us,
                    detail = done.detail,
                    "operation"
                )
            };
        }
        if refused_login || done.code == Code::InsufficientAccessRights {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.state.transactions().abort();
        self.shared.monitor.disconnected(&self.connection);
    }
}

fn runs_alone(request: &Request) -> bool {
    match request {
        Request::Bind { .. } => true,
        Request::Extended { name, .. } => name == rootdse::START_TLS,
        _ => false,
    }
}

/// False for what a client may do before it binds where nobody stays anonymous: say goodbye, begin
/// TLS, ask who it is, and read what the server can do.
fn needs_bind(request: &Request) -> bool {
    match request {
        Request::Bind { .. } | Request::Unbind | Request::Abandon(_) => false,
        Request::Extended { name, .. } => ![rootdse::START_TLS, rootdse::WHO_AM_I, rootdse::CANCEL].contains(&&**name),
        Request::Search(search) => !search.base.is_empty() || search.scope != BASE_OBJECT,
        _ => true,
    }
}

/// RFC 4511 section 4.5.1.2.
const BASE_OBJECT: i64 = 0;

/// Notice of disconnection (RFC 4511 section 4.4.1).
fn notice(outbox: &Outbox, code: Code, text: &str) {
    outbox.send(0, &Reply::extended(&result::result(code, text), Some(NOTICE_OF_DISCONNECTION), None));
}

const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
