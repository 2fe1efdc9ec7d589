//! A reverse proxy that does to requests and answers what networks and busy servers do to them:
//! scripted by a seed and a rate, counted by kind. It speaks plain TCP and reads just enough of
//! HTTP/1.1 (RFC 9112) to tell one message from the next.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What one request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 (RFC 6585 section 4), with each form of Retry-After and without.
    TooManySeconds,
    TooManyDate,
    TooMany,
    /// 503, to be asked again at once.
    Unavailable,
    /// 500 with a page for people.
    ErrorPage,
    RequestTimeout,
    TooEarly,
    /// Never forwarded and never answered.
    StallBefore,
    /// Forwarded once the client has given up.
    StallLate,
    /// Forwarded at once, and never answered.
    StallAfter,
    ResetBefore,
    ResetAfter,
    /// Carried out; the answer breaks off.
    Truncated,
    /// Carried out and answered, late but in time.
    Slow,
    /// 401, to everyone for a while.
    Unauthorized,
    /// Every connection is cut, and none is taken for a while.
    Refused,
}

use Fault::*;

/// How often each comes among a hundred.
const WEIGHTS: [(Fault, u64); 16] = [
    (TooManySeconds, 1),
    (TooManyDate, 3),
    (TooMany, 5),
    (Unavailable, 10),
    (ErrorPage, 9),
    (RequestTimeout, 6),
    (TooEarly, 5),
    (StallBefore, 3),
    (StallLate, 4),
    (StallAfter, 4),
    (ResetBefore, 14),
    (ResetAfter, 18),
    (Truncated, 10),
    (Slow, 5),
    (Unauthorized, 2),
    (Refused, 1),
];

const AWAY: Duration = Duration::from_millis(200);
const LONGEST_STALL: Duration = Duration::from_secs(10);

/// The same numbers on every run (a linear congruential generator).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct State {
    dice: Dice,
    /// Faults among a thousand requests.
    per_mille: u64,
    counts: BTreeMap<String, u64>,
    requests: u64,
    reached: Vec<String>,
    unauthorized_until: Option<Instant>,
    refused_until: Option<Instant>,
}

#[derive(Clone)]
pub struct FaultProxy {
    state: Arc<Mutex<State>>,
    upstream: SocketAddr,
    pub address: SocketAddr,
}

impl FaultProxy {
    /// Passes everything on until [`FaultProxy::storm`].
    pub async fn start(upstream: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            dice: Dice(seed),
            per_mille: 0,
            counts: BTreeMap::new(),
            requests: 0,
            reached: Vec::new(),
            unauthorized_until: None,
            refused_until: None,
        };
        let address = listener.local_addr().unwrap();
        let proxy = FaultProxy { state: Arc::new(Mutex::new(state)), upstream, address };
        tokio::spawn(proxy.clone().listen(listener));
        proxy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// From now on so many of a thousand requests meet a fault; 0 is fair weather.
    pub fn storm(&self, per_mille: u64) {
        self.state().per_mille = per_mille;
    }

    /// Requests that came, and faults by kind.
    pub fn counts(&self) -> (u64, BTreeMap<String, u64>) {
        let state = self.state();
        (state.requests, state.counts.clone())
    }

    /// Method, path and status of every request that reached the upstream.
    pub fn reached(&self) -> Vec<String> {
        self.state().reached.clone()
    }

    async fn listen(self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            if let Some(until) = self.refused_until() {
                // Who connects now is refused by the system.
                listener = None;
                tokio::time::sleep_until(until.into()).await;
                continue;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => TcpListener::bind(self.address).await.unwrap(),
            };
            tokio::select! {
                accepted = open.accept() => {
                    if let Ok((client, _)) = accepted {
                        tokio::spawn(self.clone().serve(client));
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
            listener = Some(open);
        }
    }

    fn refused_until(&self) -> Option<Instant> {
        self.state().refused_until.filter(|until| *until > Instant::now())
    }

    async fn serve(self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let mut upstream = None;
        // Whatever breaks ends the connection, which is all that a peer would see of it.
        while let Ok(Some(request)) = read_message(&mut client).await {
            if self.refused_until().is_some() {
                return reset(client);
            }
            let fault = self.decide();
            match self.carry_out(&mut client, &mut upstream, &request, fault).await {
                Ok(Then::GoOn) => {}
                Ok(Then::Close) | Err(_) => return,
                Ok(Then::Reset) => return reset(client),
            }
        }
    }

    fn decide(&self) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        let now = Instant::now();
        let fault = if state.unauthorized_until.is_some_and(|until| until > now) {
            Some(Unauthorized)
        } else if state.per_mille > 0 && state.dice.below(1000) < state.per_mille {
            let mut left = state.dice.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
            WEIGHTS.iter().find_map(|(fault, weight)| match left.checked_sub(*weight) {
                Some(rest) => {
                    left = rest;
                    None
                }
                None => Some(*fault),
            })
        } else {
            None
        };
        if let Some(fault) = fault {
            *state.counts.entry(format!("{fault:?}")).or_default() += 1;
        }
        match fault {
            Some(Unauthorized) if state.unauthorized_until.is_none_or(|until| until <= now) => {
                state.unauthorized_until = Some(now + AWAY);
            }
            Some(Refused) => state.refused_until = Some(now + AWAY),
            _ => {}
        }
        fault
    }

    async fn carry_out(
        &self,
        client: &mut TcpStream,
        upstream: &mut Option<TcpStream>,
        request: &[u8],
        fault: Option<Fault>,
    ) -> io::Result<Then> {
        let refused = |status: &str, header: String| {
            let body = "<html><body>not now</body></html>";
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n{header}\r\n{body}",
                body.len()
            )
        };
        let page = match fault {
            Some(TooManySeconds) => refused("429 Too Many Requests", "Retry-After: 1\r\n".to_owned()),
            Some(TooManyDate) => refused("429 Too Many Requests", format!("Retry-After: {}\r\n", in_a_moment())),
            Some(TooMany) => refused("429 Too Many Requests", String::new()),
            Some(Unavailable) => refused("503 Service Unavailable", "Retry-After: 0\r\n".to_owned()),
            Some(ErrorPage) => refused("500 Internal Server Error", String::new()),
            Some(RequestTimeout) => refused("408 Request Timeout", String::new()),
            Some(TooEarly) => refused("425 Too Early", String::new()),
            Some(Unauthorized) => refused("401 Unauthorized", String::new()),
            Some(StallBefore) => {
                given_up(client).await;
                return Ok(Then::Close);
            }
            Some(StallLate) => {
                given_up(client).await;
                self.forward(upstream, request).await?;
                return Ok(Then::Close);
            }
            Some(StallAfter) => {
                self.forward(upstream, request).await?;
                given_up(client).await;
                return Ok(Then::Close);
            }
            Some(ResetBefore | Refused) => return Ok(Then::Reset),
            Some(ResetAfter) => {
                self.forward(upstream, request).await?;
                return Ok(Then::Reset);
            }
            Some(Truncated) => {
                let answer = self.forward(upstream, request).await?;
                client.write_all(answer.split_at(answer.len() / 2).0).await?;
                return Ok(Then::Close);
            }
            Some(Slow) => {
                let answer = self.forward(upstream, request).await?;
                tokio::time::sleep(AWAY / 2).await;
                client.write_all(&answer).await?;
                return Ok(Then::GoOn);
            }
            None => {
                let answer = self.forward(upstream, request).await?;
                client.write_all(&answer).await?;
                return Ok(Then::GoOn);
            }
        };
        client.write_all(page.as_bytes()).await?;
        Ok(Then::GoOn)
    }

    async fn forward(&self, kept: &mut Option<TcpStream>, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.upstream).await?,
        };
        let _ = stream.set_nodelay(true);
        stream.write_all(request).await?;
        let answer = read_message(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        *kept = Some(stream);
        let line = |message: &[u8]| {
            let text = String::from_utf8_lossy(message.split(|byte| *byte == b'\r').next().unwrap_or_default());
            text.replace("HTTP/1.1", "").trim().to_owned()
        };
        self.state().reached.push(format!("{} {}", line(request), line(&answer)));
        Ok(answer)
    }
}

enum Then {
    GoOn,
    Close,
    Reset,
}

/// The system sends RST rather than FIN.
fn reset(client: TcpStream) {
    let _ = client.set_zero_linger();
}

/// Waits until the client closes.
async fn given_up(client: &mut TcpStream) {
    let _ = tokio::time::timeout(LONGEST_STALL, client.read(&mut [0u8; 1])).await;
}

/// An HTTP-date (RFC 9110 section 5.6.7) of this second or the next.
fn in_a_moment() -> String {
    let now = jiff::Timestamp::from_second(vestibule::clock::system()().secs()).unwrap();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap()
}

/// One message to its end; `None` if the peer has closed before the first byte.
async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    let head = loop {
        if let Some(at) = message.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut message).await? == 0 {
            return if message.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    };
    let text = String::from_utf8_lossy(&message[..head]).to_ascii_lowercase();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(field("transfer-encoding:"), None, "neither side sends chunks");
    let length: usize = field("content-length:").map_or(0, |length| length.parse().unwrap());
    while message.len() < head + length {
        if stream.read_buf(&mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(message))
}
