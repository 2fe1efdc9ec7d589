//! One connection: reads requests, runs several at a time, writes answers as they come. Bind and
//! StartTLS wait for the others and let none pass.

use super::{
    Shared,
    codec::{Broken, Codec, Frame},
    controls,
    message::{Kind, Message, Request},
    ops::{self, Call, Done},
    outbox::Outbox,
    pipe::{Event, Pipe},
    result, rootdse,
};
use crate::{access::Identity, names};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use ldap3_proto::proto::{LdapExtendedResponse, LdapOp, LdapResultCode as Code};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{codec::Decoder, sync::CancellationToken};

pub struct Session {
    shared: Arc<Shared>,
    connection: u64,
    peer: String,
    secure: bool,
    identity: Arc<Identity>,
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
    abandon: HashMap<i32, CancellationToken>,
    outbox: Arc<Outbox>,
    /// A bind or StartTLS that waits for the others to end; nothing is taken in behind it.
    barrier: Option<(Call, Request)>,
}

impl Work {
    /// True if another request may be taken in.
    fn has_room(&self, in_flight: usize) -> bool {
        self.barrier.is_none() && self.running.len() < in_flight && !self.outbox.is_full()
    }
}

impl Session {
    pub fn new(shared: Arc<Shared>, peer: String, secure: bool) -> Self {
        let connection = shared.next_connection.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(conn = connection, peer, secure, "connected");
        Session { shared, connection, peer, secure, identity: Arc::new(Identity::Anonymous), operations: 0 }
    }

    /// After StartTLS the client starts anew (RFC 4513 section 3.1.5).
    pub fn became_secure(&mut self) {
        self.secure = true;
        self.identity = Arc::new(Identity::Anonymous);
    }

    pub async fn run<S>(&mut self, stream: S, stop: &CancellationToken) -> Ended<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut pipe = Pipe::new(stream, Duration::from_secs(self.shared.options.limits.write_secs));
        let mut work = Work {
            running: FuturesUnordered::new(),
            abandon: HashMap::new(),
            outbox: Arc::new(Outbox::default()),
            barrier: None,
        };
        let next = self.serve(&mut pipe, &mut work, stop).await;
        let heard = pipe.drain(&work.outbox).await;
        // What was asked for before the client left is still done, though nobody hears of it.
        work.outbox.discard();
        work.abandon.values().for_each(CancellationToken::cancel);
        while let Some(done) = work.running.next().await {
            self.log(&done);
        }
        if matches!(next, Next::StartTls) && heard {
            return Ended::StartTls(pipe.into_stream());
        }
        pipe.shutdown().await;
        tracing::debug!(conn = self.connection, operations = self.operations, "closed");
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
            while reading && work.has_room(limits.in_flight) {
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
            let may_read = reading && work.has_room(limits.in_flight);
            tokio::select! {
                biased;
                event = pipe.next(may_read) => match event {
                    Event::Moved => {}
                    Event::Ended => reading = false,
                    Event::Lost => return Next::Close,
                },
                Some(done) = work.running.next(), if !work.running.is_empty() => {
                    work.abandon.remove(&done.id);
                    self.log(&done);
                }
                () = work.outbox.filled(), if pipe.is_drained() => {}
                () = tokio::time::sleep(Duration::from_secs(limits.idle_secs)), if limits.idle_secs > 0 && at_rest => {
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
        let Message { id, request, controls } = message;
        let call = Call {
            shared: Arc::clone(&self.shared),
            outbox: Arc::clone(&work.outbox),
            identity: Arc::clone(&self.identity),
            secure: self.secure,
            id,
            abandoned: CancellationToken::new(),
            started: Instant::now(),
        };
        let kind = request.kind();
        // Unbind and abandon have no response that could refuse a control.
        let refusable = !matches!(kind, Kind::Unbind | Kind::Abandon);
        if let Some(oid) = controls::unsupported(&controls).filter(|_| refusable) {
            let text = format!("critical control {oid} is not supported");
            let refused = result::result(Code::UnavailableCriticalExtension, text.clone());
            self.log(&call.answer(kind, refused, text));
            return Next::Go;
        }
        match request {
            Request::Unbind => {
                work.abandon.values().for_each(CancellationToken::cancel);
                Next::LastWords
            }
            Request::Abandon(target) => {
                if let Some(token) = work.abandon.get(&target) {
                    token.cancel();
                }
                Next::Go
            }
            request if runs_alone(&request) => {
                work.barrier = Some((call, request));
                Next::Go
            }
            request => {
                work.abandon.insert(id, call.abandoned.clone());
                work.running.push(Box::pin(ops::run(call, request)));
                Next::Go
            }
        }
    }

    /// Bind and StartTLS, with nothing else under way (RFC 4511 sections 4.2.1 and 4.14.1).
    async fn alone(&mut self, call: Call, request: Request) -> Next {
        if let Request::Bind { version, name, auth } = request {
            // Whatever comes of it, the old identity is gone.
            self.identity = Arc::new(Identity::Anonymous);
            let (identity, done) = ops::bind::bind(&call, version, &name, auth).await;
            self.identity = Arc::new(identity);
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
        call.outbox.send(
            call.id,
            LdapOp::ExtendedResponse(LdapExtendedResponse {
                res: result::result(code.clone(), text),
                name: Some(rootdse::START_TLS.to_owned()),
                value: None,
            }),
        );
        self.log(&call.done(Kind::Extended, code, 0, "StartTLS".to_owned()));
        if accepted { Next::StartTls } else { Next::Go }
    }

    fn malformed(&self, id: i32, kind: Option<Kind>, reason: &'static str, outbox: &Outbox) -> Next {
        tracing::info!({ names::CONN } = self.connection, { names::MSGID } = id, reason, "malformed request");
        let answer = result::result(Code::ProtocolError, reason);
        match kind.and_then(|kind| result::response(kind, answer)) {
            Some(response) => {
                outbox.send(id, response);
                Next::Go
            }
            None => {
                notice(outbox, Code::ProtocolError, reason);
                Next::Close
            }
        }
    }

    fn disconnect(&self, broken: &Broken, outbox: &Outbox) {
        tracing::info!({ names::CONN } = self.connection, peer = self.peer, reason = %broken, "broken frame");
        notice(outbox, Code::ProtocolError, &broken.to_string());
    }

    /// The one line that closes each operation.
    fn log(&self, done: &Done) {
        let elapsed = done.started.elapsed();
        let code = done.code.clone() as i64;
        metrics::counter!(names::OPERATIONS, "op" => done.kind.name(), "code" => code.to_string()).increment(1);
        metrics::histogram!(names::OPERATION_SECONDS, "op" => done.kind.name()).record(elapsed.as_secs_f64());
        let elapsed_us = elapsed.as_micros() as u64;
        let refused_login = done.kind == Kind::Bind && done.code == Code::InvalidCredentials;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    { names::CONN } = self.connection,
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
        if refused_login || done.code == Code::InsufficentAccessRights {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

fn runs_alone(request: &Request) -> bool {
    match request {
        Request::Bind { .. } => true,
        Request::Extended { name, .. } => name == rootdse::START_TLS,
        _ => false,
    }
}

/// Notice of disconnection (RFC 4511 section 4.4.1).
fn notice(outbox: &Outbox, code: Code, text: &str) {
    let response = LdapExtendedResponse {
        res: result::result(code, text),
        name: Some(NOTICE_OF_DISCONNECTION.to_owned()),
        value: None,
    };
    outbox.send(0, LdapOp::ExtendedResponse(response));
}

const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
