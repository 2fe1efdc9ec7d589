//! One connection: reads requests, runs several at a time, writes answers as they come. Bind and
//! StartTLS wait for the others and let none pass.

use super::{
    Shared,
    codec::{Broken, Codec, Frame},
    controls,
    message::{Kind, Message, Request},
    ops::{self, Call, Done},
    outbox::Outbox,
    result, rootdse,
};
use crate::{access::Identity, names};
use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use ldap3_proto::proto::{LdapExtendedResponse, LdapOp, LdapResultCode as Code};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
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
    Close,
    StartTls,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, Done>>;

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
        let (mut reader, mut writer) = tokio::io::split(stream);
        let outbox = Arc::new(Outbox::default());
        let next = self.serve(&mut reader, &mut writer, &outbox, stop).await;
        let flushed = self.flush(&mut writer, outbox.take()).await;
        match next {
            Next::StartTls if flushed => Ended::StartTls(reader.unsplit(writer)),
            _ => {
                // The peer may have closed already; then there is nothing to shut down.
                let _ = writer.shutdown().await;
                tracing::debug!(conn = self.connection, operations = self.operations, "closed");
                Ended::Closed
            }
        }
    }

    async fn serve<S>(
        &mut self,
        reader: &mut ReadHalf<S>,
        writer: &mut WriteHalf<S>,
        outbox: &Arc<Outbox>,
        stop: &CancellationToken,
    ) -> Next
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let limits = Arc::clone(&self.shared.options.limits);
        let mut codec = Codec { limit: limits.message_bytes_anonymous, filter_depth: limits.filter_depth };
        let mut incoming = BytesMut::with_capacity(READ_BUFFER);
        let mut outgoing = BytesMut::new();
        let mut running: Running<'static> = FuturesUnordered::new();
        let mut abandon: HashMap<i32, CancellationToken> = HashMap::new();
        let idle = match limits.idle_secs {
            0 => Duration::MAX,
            secs => Duration::from_secs(secs),
        };
        let write_limit = Duration::from_secs(limits.write_secs);
        let (mut unflushed, mut progress) = (false, Instant::now());
        let mut stopping = false;
        loop {
            // Requests that have come already are taken before more is read.
            let mut quiet = true;
            while !stopping && running.len() < limits.in_flight {
                codec.limit = match *self.identity {
                    Identity::Anonymous => limits.message_bytes_anonymous,
                    _ => limits.message_bytes,
                };
                let frame = match codec.decode(&mut incoming) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(broken) => return self.disconnect(&broken, outbox),
                };
                quiet = false;
                match self.receive(frame, outbox, &mut running, &mut abandon).await {
                    Next::Go => {}
                    end => return end,
                }
            }
            if outgoing.is_empty() {
                outgoing = outbox.take();
                if !outgoing.is_empty() && !unflushed {
                    progress = Instant::now();
                }
            }
            if stopping && running.is_empty() && outgoing.is_empty() && !unflushed {
                notice(outbox, Code::Unavailable, "the server is stopping");
                return Next::Close;
            }
            let may_read = !stopping && running.len() < limits.in_flight;
            tokio::select! {
                biased;
                sent = send(writer, &outgoing), if unflushed || !outgoing.is_empty() => match sent {
                    Ok(Sent::Bytes(n)) if n > 0 => {
                        outgoing.advance(n);
                        // A TLS stream may hold some of it back until it is flushed.
                        unflushed = true;
                        progress = Instant::now();
                    }
                    Ok(Sent::Flushed) => unflushed = false,
                    _ => return Next::Close,
                },
                () = tokio::time::sleep_until((progress + write_limit).into()), if unflushed || !outgoing.is_empty() => {
                    tracing::info!({ names::CONN } = self.connection, peer = self.peer, "the client does not read its answers");
                    return Next::Close;
                }
                Some(done) = running.next(), if !running.is_empty() => {
                    abandon.remove(&done.id);
                    self.log(&done);
                }
                () = outbox.filled(), if outgoing.is_empty() => {}
                read = reader.read_buf(&mut incoming), if may_read => match read {
                    Ok(n) if n > 0 => {}
                    _ => {
                        // The client is gone; what it asked for still runs to its end.
                        while running.next().await.is_some() {}
                        return Next::Close;
                    }
                },
                () = tokio::time::sleep(idle), if quiet && running.is_empty() && idle != Duration::MAX => {
                    notice(outbox, Code::Unavailable, "the connection was idle for too long");
                    return Next::Close;
                }
                () = stop.cancelled(), if !stopping => stopping = true,
            }
        }
    }

    async fn receive(
        &mut self,
        frame: Frame,
        outbox: &Arc<Outbox>,
        running: &mut Running<'static>,
        abandon: &mut HashMap<i32, CancellationToken>,
    ) -> Next {
        self.operations += 1;
        let message = match frame {
            Frame::Good(message) => *message,
            Frame::Bad { id, kind, reason } => {
                tracing::info!({ names::CONN } = self.connection, { names::MSGID } = id, reason, "malformed request");
                let answer = result::result(Code::ProtocolError, reason);
                match kind.and_then(|kind| result::response(kind, answer)) {
                    Some(response) => outbox.send(id, response),
                    None => {
                        notice(outbox, Code::ProtocolError, reason);
                        return Next::Close;
                    }
                }
                return Next::Go;
            }
        };
        let Message { id, request, controls } = message;
        let kind = request.kind();
        // Neither has a response that could refuse it.
        let refusable = !matches!(kind, Kind::Unbind | Kind::Abandon);
        if let Some(oid) = controls::unsupported(&controls).filter(|_| refusable) {
            let text = format!("critical control {oid} is not supported");
            let done = Done {
                id,
                kind,
                code: Code::UnavailableCriticalExtension,
                entries: 0,
                started: Instant::now(),
                detail: text.clone(),
            };
            if let Some(response) = result::response(kind, result::result(Code::UnavailableCriticalExtension, text)) {
                outbox.send(id, response);
            }
            self.log(&done);
            return Next::Go;
        }
        let call = Call {
            shared: Arc::clone(&self.shared),
            outbox: Arc::clone(outbox),
            identity: Arc::clone(&self.identity),
            secure: self.secure,
            id,
            abandoned: CancellationToken::new(),
            started: Instant::now(),
        };
        match request {
            Request::Unbind => Next::Close,
            Request::Abandon(target) => {
                if let Some(token) = abandon.get(&target) {
                    token.cancel();
                }
                Next::Go
            }
            Request::Bind { version, name, auth } => {
                self.finish(running, abandon).await;
                // Whatever comes of it, the old identity is gone (RFC 4511 section 4.2.1).
                self.identity = Arc::new(Identity::Anonymous);
                let (identity, done) = ops::bind::bind(&call, version, &name, auth).await;
                self.identity = Arc::new(identity);
                self.log(&done);
                Next::Go
            }
            Request::Extended { name, .. } if name == rootdse::START_TLS => {
                self.finish(running, abandon).await;
                let refusal = if self.secure {
                    Some((Code::OperationsError, "TLS is established already"))
                } else if self.shared.options.tls.is_none() {
                    Some((Code::Unavailable, "no certificate is configured"))
                } else {
                    None
                };
                let accepted = refusal.is_none();
                let (code, text) = refusal.unwrap_or((Code::Success, ""));
                outbox.send(
                    id,
                    LdapOp::ExtendedResponse(LdapExtendedResponse {
                        res: result::result(code.clone(), text),
                        name: Some(rootdse::START_TLS.to_owned()),
                        value: None,
                    }),
                );
                self.log(&Done {
                    id,
                    kind: Kind::Extended,
                    code,
                    entries: 0,
                    started: call.started,
                    detail: "StartTLS".to_owned(),
                });
                if accepted { Next::StartTls } else { Next::Go }
            }
            request => {
                abandon.insert(id, call.abandoned.clone());
                running.push(Box::pin(ops::run(call, request)));
                Next::Go
            }
        }
    }

    /// Lets everything under way end.
    async fn finish(&self, running: &mut Running<'static>, abandon: &mut HashMap<i32, CancellationToken>) {
        while let Some(done) = running.next().await {
            abandon.remove(&done.id);
            self.log(&done);
        }
    }

    fn disconnect(&self, broken: &Broken, outbox: &Outbox) -> Next {
        tracing::info!({ names::CONN } = self.connection, peer = self.peer, reason = %broken, "broken frame");
        notice(outbox, Code::ProtocolError, &broken.to_string());
        Next::Close
    }

    async fn flush<S: AsyncWrite + Unpin>(&self, writer: &mut S, bytes: BytesMut) -> bool {
        let limit = Duration::from_secs(self.shared.options.limits.write_secs);
        let written = async { writer.write_all(&bytes).await.is_ok() && writer.flush().await.is_ok() };
        tokio::time::timeout(limit, written).await.unwrap_or(false)
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

enum Sent {
    Bytes(usize),
    Flushed,
}

/// Writes some of what waits or, if nothing does, flushes. Nothing is lost if it is dropped
/// before it ends.
async fn send<S: AsyncWrite + Unpin>(writer: &mut S, bytes: &[u8]) -> std::io::Result<Sent> {
    if bytes.is_empty() {
        writer.flush().await.map(|()| Sent::Flushed)
    } else {
        writer.write(bytes).await.map(Sent::Bytes)
    }
}

const READ_BUFFER: usize = 8 << 10;

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
