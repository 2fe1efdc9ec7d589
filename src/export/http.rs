//! Requests as every target needs them that is reached by HTTP: address, certificates, time limit,
//! bounded answers. Knows no protocol above HTTP; credentials are put on by those who know theirs.

use super::{
    Throttle, Tools,
    ledger::{Ledger, Line},
    target::Fault,
};
use crate::clock::Timestamp;
use reqwest::{
    Client, Identity, Method, Proxy, Request, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::{Attempt, Policy},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use url::Url;

/// How a target is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub base_url: Url,
    /// Certificates of the authority that signed the target's, if it is none that the system knows.
    pub ca_file: Option<PathBuf>,
    /// What we show a target that asks who connects.
    pub client_certificate: Option<ClientCertificate>,
    /// All requests go through it. The environment's is never used: it is not the gateway's.
    pub proxy: Option<Url>,
    /// For one request.
    pub timeout: Duration,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Connection {
    /// With nothing out of the ordinary.
    pub fn new(base_url: Url, timeout: Duration) -> Self {
        Connection { base_url, ca_file: None, client_certificate: None, proxy: None, timeout }
    }
}

pub struct Http {
    client: Client,
    base: Url,
    throttle: Arc<Throttle>,
    ledger: Ledger,
}

/// An answer of any status, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Http {
    pub fn new(connection: &Connection, tools: &Tools) -> Result<Self, Fault> {
        // Whoever came first has installed the same provider: the program has only this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .timeout(connection.timeout)
            .connect_timeout(connection.timeout.min(LONGEST_CONNECT))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(same_place));
        builder = match &connection.proxy {
            Some(proxy) => {
                builder.proxy(Proxy::all(proxy.clone()).map_err(|e| Fault::Closed(format!("proxy: {}", reason(&e))))?)
            }
            None => builder.no_proxy(),
        };
        if let Some(certificate) = &connection.client_certificate {
            builder = builder.identity(certificate.read()?);
        }
        if let Some(file) = &connection.ca_file {
            let pem = read_pem(file, "ca_file")?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| Fault::Closed("ca_file holds no PEM certificates".to_owned()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|e| Fault::Closed(format!("no HTTP client: {}", reason(&e))))?;
        Ok(Http {
            client,
            base: connection.base_url.clone(),
            throttle: Arc::clone(&tools.throttle),
            ledger: tools.ledger.clone(),
        })
    }

    /// A request below the base.
    pub fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder, Fault> {
        Ok(self.client.request(method, address(&self.base, path, query)?))
    }

    /// A request to an address of its own, such as that of an authorisation server.
    pub fn request_elsewhere(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// A read of an address that the target gave, which may be another host: no credentials go there.
    pub fn read_elsewhere(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// One request in its turn. `line` says of the log's line what only the caller knows.
    pub async fn send(&self, request: RequestBuilder, line: Line) -> Result<Reply, Fault> {
        let request = request.build().map_err(|e| Fault::Refused(reason(&e)))?;
        self.throttle.turn().await;
        let (action, path) = (request.method().to_string(), request.url().path().to_owned());
        let began = Instant::now();
        let replied = self.exchange(request).await;
        self.ledger.note(Line {
            action,
            path,
            status: replied.as_ref().ok().map(|reply| reply.status),
            elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            error: replied.as_ref().err().map(ToString::to_string),
            ..line
        });
        replied
    }

    async fn exchange(&self, request: Request) -> Result<Reply, Fault> {
        let mut response = self.client.execute(request).await.map_err(|e| Fault::Unreachable(reason(&e)))?;
        let mut reply =
            Reply { status: response.status().as_u16(), headers: response.headers().clone(), body: Vec::new() };
        while let Some(chunk) = response.chunk().await.map_err(|e| Fault::Unreachable(reason(&e)))? {
            if reply.body.len() + chunk.len() > MOST_BYTES {
                return Err(Fault::Refused(format!("an answer of more than {MOST_BYTES} bytes")));
            }
            reply.body.extend_from_slice(&chunk);
        }
        Ok(reply)
    }
}

impl ClientCertificate {
    fn read(&self) -> Result<Identity, Fault> {
        let mut pem = read_pem(&self.key_file, "key_file")?;
        pem.push(b'\n');
        pem.extend(read_pem(&self.cert_file, "cert_file")?);
        Identity::from_pem(&pem)
            .map_err(|_| Fault::Closed("cert_file and key_file hold no PEM certificate with its key".to_owned()))
    }
}

fn read_pem(file: &Path, key: &str) -> Result<Vec<u8>, Fault> {
    std::fs::read(file).map_err(|e| Fault::Closed(format!("{key} cannot be read: {}", e.kind())))
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &HeaderName) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }

    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(&self.header(&RETRY_AFTER)?, now)
    }
}

/// The text of a file that holds nothing but a secret. `key` is what the configuration calls it.
pub async fn read_secret(file: &Path, key: &str) -> Result<SecretString, Fault> {
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|e| Fault::Closed(format!("{key} cannot be read: {}", e.kind())))?;
    match text.trim() {
        "" => Err(Fault::Closed(format!("{key} is empty"))),
        text => Ok(SecretString::from(text)),
    }
}

/// A header that no log shows. `prefix` is the scheme with its space, or nothing.
pub fn secret_header(prefix: &str, secret: &SecretString, key: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", secret.expose_secret()))
        .map_err(|_| Fault::Closed(format!("{key} holds characters that no header takes")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Seconds or an HTTP date (RFC 9110 section 10.2.3).
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?.as_second();
    Some(Duration::from_secs(u64::try_from(at.saturating_sub(now.secs())).unwrap_or(0)))
}

/// Follows a redirect only if method and host stay what they are (RFC 7644 section 3.12).
fn same_place(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
    let same_host = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if keeps_method && same_host && attempt.previous().len() <= MOST_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The base with a path below it. Spaces become %20: a plus is a plus to some servers.
fn address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Fault> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| Fault::Closed("base_url cannot have a path".to_owned()))?
        .pop_if_empty()
        .extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
        let spaced = url.query().map(|q| q.replace('+', "%20"));
        url.set_query(spaced.as_deref());
    }
    Ok(url)
}

/// The innermost cause, without the address that reqwest would print: it may hold a user name.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::addr_eq(cause, error) { "the connection failed".to_owned() } else { cause.to_string() }
}

const LONGEST_CONNECT: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 3;
const MOST_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded() {
        for (base, path, query, expected) in [
            ("http://h/v2", vec!["Users"], vec![], "http://h/v2/Users"),
            ("http://h/v2/", vec!["Users", "a/b c"], vec![], "http://h/v2/Users/a%2Fb%20c"),
            (
                "http://h",
                vec!["Users"],
                vec![("filter", "userName eq \"a+b&c\"")],
                "http://h/Users?filter=userName%20eq%20%22a%2Bb%26c%22",
            ),
        ] {
            let url = address(&Url::parse(base).unwrap(), &path, &query).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_secs(784_111_700);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77)),
            ("Tue, 06 Nov 1984 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
        ] {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
