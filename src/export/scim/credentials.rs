//! How a request shows who sends it: a bearer token from a file, or one that an authorisation server
//! gives for client credentials (RFC 6749 section 4.4). Secrets are read, kept and sent, never shown.

use crate::{
    clock::{Clock, Timestamp},
    export::{
        http::{Http, read_secret, secret_header},
        ledger::Line,
        target::Fault,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

/// Where the token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The file holds the token itself, and is read again when it changes.
    Token { file: PathBuf },
    /// OAuth 2.0 client credentials.
    Client(ClientCredentials),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    pub token_url: Url,
    pub client_id: String,
    pub secret_file: PathBuf,
    pub scope: Option<String>,
}

/// The token of the moment.
pub struct Bearer {
    credentials: Credentials,
    clock: Clock,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: SecretString,
    /// Of the file, when it was read.
    changed: Option<SystemTime>,
    /// From when on another one is asked for.
    renew: Option<Timestamp>,
}

impl Bearer {
    pub fn new(credentials: &Credentials, clock: Clock) -> Self {
        Bearer { credentials: credentials.clone(), clock, held: Mutex::new(None) }
    }

    /// The header for a request.
    pub async fn header(&self, http: &Http) -> Result<HeaderValue, Fault> {
        let mut held = self.held.lock().await;
        let fresh = match held.take().filter(|held| self.is_good(held)) {
            Some(good) => good,
            None => self.fetch(http).await?,
        };
        let header = secret_header("Bearer ", &fresh.token, "the token");
        *held = Some(fresh);
        header
    }

    fn is_good(&self, held: &Held) -> bool {
        match &self.credentials {
            Credentials::Token { file } => changed(file) == held.changed,
            Credentials::Client(_) => held.renew.is_none_or(|renew| (self.clock)() < renew),
        }
    }

    /// After a 401: whether there is another token now than the one that was refused.
    pub async fn renewed(&self, refused: &HeaderValue, http: &Http) -> Result<bool, Fault> {
        {
            let mut held = self.held.lock().await;
            let same = held.as_ref().is_some_and(|h| is_bearer(refused, h.token.expose_secret()));
            if same {
                *held = None;
            }
        }
        Ok(self.header(http).await? != *refused)
    }

    /// Forgets the token, so that the next request reads it again.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }

    async fn fetch(&self, http: &Http) -> Result<Held, Fault> {
        match &self.credentials {
            Credentials::Token { file } => {
                let changed = changed(file);
                Ok(Held { token: read_secret(file, "token_file").await?, changed, renew: None })
            }
            Credentials::Client(credentials) => self.ask(credentials, http).await,
        }
    }

    async fn ask(&self, credentials: &ClientCredentials, http: &Http) -> Result<Held, Fault> {
        let secret = read_secret(&credentials.secret_file, "client_secret_file").await?;
        let basic = secret_header("Basic ", &credentials.pair(&secret), "client_secret_file")?;
        let request = http
            .request_elsewhere(Method::POST, credentials.token_url.clone())
            .header(AUTHORIZATION, basic)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(credentials.form());
        let reply = http.send(request, Line::default()).await?;
        let status = reply.status;
        match status {
            200..=299 => self.granted(serde_json::from_slice(&reply.body).ok()),
            408 | 425 | 429 | 500..=599 => Err(Fault::Busy { status, retry_after: None }),
            _ => Err(Fault::Closed(format!("token_url refuses our client ({status})"))),
        }
    }

    /// RFC 6749 section 5.1.
    fn granted(&self, answer: Option<Value>) -> Result<Held, Fault> {
        let token = answer.as_ref().and_then(|a| a.get("access_token")?.as_str()).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Fault::Closed("token_url answers without an access_token".to_owned()))?;
        let seconds = answer.as_ref().and_then(|a| a.get("expires_in")?.as_u64());
        // Early enough for a request that waits, and never later than half of the time.
        let use_for = seconds.map(|s| s.saturating_sub(EARLY_SECS).max(s / 2));
        let renew = use_for.map(|s| (self.clock)().plus_ms(s.saturating_mul(1000)));
        Ok(Held { token: SecretString::from(token), changed: None, renew })
    }
}

impl ClientCredentials {
    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    /// RFC 6749 section 2.3.1: both halves are encoded as in a form.
    fn pair(&self, secret: &SecretString) -> SecretString {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose_secret()));
        SecretString::from(STANDARD.encode(pair))
    }
}

fn is_bearer(header: &HeaderValue, token: &str) -> bool {
    header.as_bytes().strip_prefix(b"Bearer ") == Some(token.as_bytes())
}

/// When a file was written last, as far as the system knows.
fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|about| about.modified()).ok()
}

/// How long before its end a token is not used any more.
const EARLY_SECS: u64 = 60;
