//! Sockets: accepts connections on ldap and ldaps, does TLS, and hands each to a session.

use super::{
    Options, Shared,
    external::External,
    monitor::Monitor,
    proxy_header,
    session::{Ended, Session},
};
use crate::{auth, names};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bound sockets, not yet served.
pub struct Listeners {
    pub ldap: Option<TcpListener>,
    pub ldaps: Option<TcpListener>,
    pub ldapi: Option<UnixListener>,
}

/// Serves until `stop`; then sessions get `limits.shutdown_secs` to end what they do.
pub async fn run(listeners: Listeners, options: Options, stop: CancellationToken) {
    let decoy = tokio::task::spawn_blocking(|| auth::hash(b"decoy").unwrap_or_default()).await.unwrap_or_default();
    let limits = Arc::clone(&options.limits);
    let shared = Arc::new(Shared {
        hashing: Arc::new(Semaphore::new(limits.hashing)),
        connections: Arc::new(Semaphore::new(limits.connections)),
        transactions: Arc::new(Semaphore::new(limits.transactions_bytes.min(Semaphore::MAX_PERMITS))),
        monitor: Monitor::new(Arc::clone(&options.clock)),
        options,
        decoy,
    });
    let tasks = TaskTracker::new();
    if let Some(listener) = listeners.ldap {
        tasks.spawn(accept(listener, Arc::clone(&shared), Transport::Clear, tasks.clone(), stop.clone()));
    }
    if let Some(listener) = listeners.ldaps {
        tasks.spawn(accept(listener, Arc::clone(&shared), Transport::Tls, tasks.clone(), stop.clone()));
    }
    if let Some(listener) = listeners.ldapi {
        tasks.spawn(accept(listener, Arc::clone(&shared), Transport::Local, tasks.clone(), stop.clone()));
    }
    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(Duration::from_secs(limits.shutdown_secs), tasks.wait()).await.is_err() {
        tracing::warn!("some connections were still busy and were cut off");
    }
}

#[derive(Clone, Copy)]
enum Transport {
    Clear,
    Tls,
    /// A socket of this machine: as good as encrypted.
    Local,
}

/// Accepts until `stop`, and has each socket served in a task of its own.
async fn accept<L: Accept>(
    listener: L,
    shared: Arc<Shared>,
    transport: Transport,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, caller)) => {
                // Beyond the limit this one waits, and those behind it in the listen queue.
                let Some(permit) = permit(&shared, &stop).await else { return };
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tasks.spawn(async move {
                    let _permit = permit;
                    connection(socket, caller, shared, transport, stop).await;
                });
            }
            Err(error) => back_off(&error).await,
        }
    }
}

/// What a listener does for the loop above: sockets of the network and of this machine.
trait Accept: Send + 'static {
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn next(&self) -> impl Future<Output = std::io::Result<(Self::Socket, Caller)>> + Send;
}

/// Who is at the other end of a socket.
struct Caller {
    /// For the log and the monitor.
    name: String,
    /// `None` for a local socket.
    address: Option<SocketAddr>,
    external: Option<External>,
}

impl Accept for TcpListener {
    type Socket = TcpStream;
    async fn next(&self) -> std::io::Result<(TcpStream, Caller)> {
        let (socket, peer) = self.accept().await?;
        // Answers are coalesced by the session; waiting for more would only delay them.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        Ok((socket, Caller { name: peer.to_string(), address: Some(peer), external: None }))
    }
}

impl Accept for UnixListener {
    type Socket = UnixStream;
    async fn next(&self) -> std::io::Result<(UnixStream, Caller)> {
        let (socket, _) = self.accept().await?;
        let external = External::of_process(&socket);
        Ok((socket, Caller { name: "ldapi".to_owned(), address: None, external }))
    }
}

async fn permit(shared: &Shared, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        permit = Arc::clone(&shared.connections).acquire_owned() => permit.ok(),
        () = stop.cancelled() => None,
    }
}

/// Out of file descriptors, most likely: accepting again at once would only spin.
async fn back_off(error: &std::io::Error) {
    tracing::warn!(%error, "accept failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn connection<S>(
    mut socket: S,
    mut caller: Caller,
    shared: Arc<Shared>,
    transport: Transport,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // In front of TLS: the balancer does not end it.
    if caller.address.is_some_and(|address| shared.options.proxies.contain(address.ip())) {
        let limit = Duration::from_secs(shared.options.limits.tls_handshake_secs);
        match proxy_header::read(&mut socket, limit).await {
            Ok(Some(client)) => {
                tracing::debug!(%client, proxy = caller.name, "connected through a load balancer");
                caller.name = client.to_string();
            }
            Ok(None) => {}
            Err(fault) => return tracing::info!(peer = caller.name, reason = %fault, "load balancer refused"),
        }
    }
    match transport {
        Transport::Clear => serve(socket, caller, false, shared, stop).await,
        Transport::Local => serve(socket, caller, true, shared, stop).await,
        Transport::Tls => match handshake(socket, &shared).await {
            Ok(stream) => {
                let caller = Caller { external: External::of_tls(stream.get_ref().1), ..caller };
                serve(stream, caller, true, shared, stop).await;
            }
            Err(reason) => tracing::info!(peer = caller.name, reason, "TLS handshake failed"),
        },
    }
}

async fn handshake<S>(stream: S, shared: &Shared) -> Result<tokio_rustls::server::TlsStream<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = shared.options.tls.as_ref().ok_or("no certificate is configured")?.current();
    let limit = Duration::from_secs(shared.options.limits.tls_handshake_secs);
    match tokio::time::timeout(limit, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it took too long".to_owned()),
    }
}

/// One connection, before and after a StartTLS.
async fn serve<S>(stream: S, caller: Caller, secure: bool, shared: Arc<Shared>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    metrics::gauge!(names::CONNECTIONS).increment(1.0);
    let mut session = Session::new(Arc::clone(&shared), caller.name, secure, caller.external);
    if let Ended::StartTls(stream) = session.run(stream, &stop).await {
        match handshake(stream, &shared).await {
            Ok(stream) => {
                session.became_secure(External::of_tls(stream.get_ref().1));
                // A second StartTLS is refused, so this run ends in a close.
                session.run(stream, &stop).await;
            }
            Err(reason) => tracing::info!(reason, "StartTLS handshake failed"),
        }
    }
    metrics::gauge!(names::CONNECTIONS).decrement(1.0);
}
