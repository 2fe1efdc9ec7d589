//! The calls of 4me's import API: upload, state, log. Knows their form and what answers mean; not
//! when to make them.

use super::Options;
use crate::{
    clock::Clock,
    export::{
        Tools,
        http::{Http, Reply, read_secret, secret_header},
        ledger::Line,
        target::Fault,
    },
};
use reqwest::{
    Method, RequestBuilder,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::SecretString;
use serde::Deserialize;
use std::{path::PathBuf, sync::RwLock, time::Duration};
use url::Url;
use uuid::Uuid;

pub struct Api {
    http: Http,
    clock: Clock,
    account: String,
    source: String,
    token_file: PathBuf,
    token: RwLock<Option<SecretString>>,
}

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    People,
    Contacts,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::People => "people",
            Table::Contacts => "people_contact_details",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Queued,
    Processing,
    Done,
    Error,
}

#[derive(Clone, Debug, Deserialize)]
pub struct State {
    pub state: Phase,
    #[serde(default)]
    pub results: Results,
    pub message: Option<String>,
    pub logfile: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Results {
    pub failures: usize,
    pub errors: usize,
}

#[derive(Deserialize)]
struct Accepted {
    token: String,
}

impl Api {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        Ok(Api {
            http: Http::new(&options.connection, tools)?,
            clock: tools.clock.clone(),
            account: options.account.clone(),
            source: options.source.clone(),
            token_file: options.token_file.clone(),
            token: RwLock::new(None),
        })
    }

    pub async fn read_token(&self) -> Result<(), Fault> {
        let read = read_secret(&self.token_file, "token_file").await?;
        if let Ok(mut token) = self.token.write() {
            *token = Some(read);
        }
        Ok(())
    }

    /// Uploads a file and answers the token of its import.
    pub async fn upload(&self, table: Table, file: &[u8], columns: &[String]) -> Result<String, Fault> {
        // A boundary that nobody can foresee is in no file.
        let boundary = Uuid::new_v4().simple().to_string();
        let body = form(&boundary, table.name(), file);
        let request = self.signed(self.http.request(Method::POST, &["v1", "import"], &[])?)?;
        let request = request.header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}")).body(body);
        let line = Line { attributes: columns.to_vec(), ..Line::default() };
        let reply = self.http.send(request, line).await?;
        if !reply.is_success() {
            return Err(self.fault(&reply));
        }
        let accepted: Accepted = serde_json::from_slice(&reply.body)
            .map_err(|_| Fault::Failed(format!("{} to an upload, without a token", reply.status)))?;
        Ok(accepted.token)
    }

    /// `None`: the target has forgotten the import, which it does five minutes after its end.
    pub async fn state(&self, token: &str) -> Result<Option<State>, Fault> {
        let request = self.signed(self.http.request(Method::GET, &["v1", "import", token], &[])?)?;
        let reply = self.http.send(request, Line::default()).await?;
        match reply.status {
            404 => Ok(None),
            200..=299 => serde_json::from_slice(&reply.body)
                .map(Some)
                .map_err(|_| Fault::Failed("the state of an import, in a form of its own".to_owned())),
            _ => Err(self.fault(&reply)),
        }
    }

    /// The log of an import. Its address is signed and may be another host's: our token stays here.
    pub async fn log(&self, address: &str) -> Result<String, Fault> {
        let url = Url::parse(address).map_err(|_| Fault::Failed("the address of the log is none".to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::Failed("the address of the log is not http or https".to_owned()));
        }
        let reply = self.http.send(self.http.read_elsewhere(url), Line::default()).await?;
        match reply.is_success() {
            true => Ok(String::from_utf8_lossy(&reply.body).into_owned()),
            false => Err(Fault::Failed(format!("{} to a read of the log", reply.status))),
        }
    }

    /// Whether the token is good.
    pub async fn me(&self) -> Result<(), Fault> {
        let request = self.signed(self.http.request(Method::GET, &["v1", "me"], &[])?)?;
        let reply = self.http.send(request, Line::default()).await?;
        if reply.is_success() { Ok(()) } else { Err(self.fault(&reply)) }
    }

    fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, Fault> {
        let token = self.token.read().map_err(|_| Fault::Closed("internal: the token is lost".to_owned()))?;
        let token = token.as_ref().ok_or_else(|| Fault::Closed("token_file was not read".to_owned()))?;
        let account = HeaderValue::from_str(&self.account)
            .map_err(|_| Fault::Closed("account holds characters that no header takes".to_owned()))?;
        Ok(request
            .header(AUTHORIZATION, secret_header("Bearer ", token, "token_file")?)
            // The header had the older name before the service did.
            .header("X-4me-Account", account.clone())
            .header("X-Xurrent-Account", account)
            .header("X-4me-Source", self.source.as_str()))
    }

    fn fault(&self, reply: &Reply) -> Fault {
        let asked = reply.retry_after((self.clock)());
        match reply.status {
            401 | 403 => Fault::Closed(format!("the target refuses our token ({})", reply.status)),
            300..=399 => Fault::Closed(format!("the target redirects elsewhere ({}): check base_url", reply.status)),
            404 => Fault::Closed("the target has no imports there (404): check base_url".to_owned()),
            429 => Fault::Busy { status: 429, retry_after: Some(asked.unwrap_or(WITHOUT_RETRY_AFTER)) },
            408 | 425 | 500..=599 => Fault::Busy { status: reply.status, retry_after: asked },
            status => Fault::Refused(format!("{status} to an import")),
        }
    }
}

/// RFC 7578: one text and one file.
fn form(boundary: &str, kind: &str, file: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\n{kind}\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{kind}.csv\"\r\nContent-Type: text/csv\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// What the maker's own client waits after a 429 that does not say how long.
const WITHOUT_RETRY_AFTER: Duration = Duration::from_secs(300);
