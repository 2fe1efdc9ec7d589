//! The calls of QMPlus' directory integration: transactions, queues, reading back. Knows their form,
//! their limits and what their answers mean; not when to make them.

use super::{
    Options,
    operations::{Entity, Operation},
};
use crate::{
    clock::Clock,
    export::{
        Tools,
        http::{Http, Reply, read_secret, secret_header},
        ledger::Line,
        target::{Document, Fault},
        window::Window,
    },
};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use std::{path::PathBuf, sync::RwLock, time::Duration};

pub struct Api {
    http: Http,
    clock: Clock,
    tenant: String,
    token_file: PathBuf,
    token: RwLock<Option<SecretString>>,
    checkpoints: Window,
    syncs: Window,
    lists: Window,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Phase {
    Open,
    Committed,
    Processing,
    Completed,
    #[serde(alias = "ROLLED_BACK")]
    Failed,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub transaction_status: Phase,
    #[serde(default)]
    pub failed_operations: usize,
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// One operation that did not succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failure {
    pub operation_type: Option<String>,
    pub entity_type: Option<String>,
    pub external_id: Option<String>,
    pub error_type: Option<String>,
    pub error_message: Option<String>,
}

/// What became of a queue call.
#[derive(Debug, PartialEq, Eq)]
pub enum Queued {
    All,
    /// The call was refused as a whole, in these words.
    Refused(String),
    /// The transaction takes no more: it has ended.
    NotOpen,
}

/// Objects that were read back, and how many there are.
#[derive(Debug, Default, Deserialize)]
pub struct Entries {
    #[serde(default)]
    pub entries: Vec<Document>,
    pub total: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
struct History {
    #[serde(default)]
    transactions: Vec<Past>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Past {
    transaction_id: String,
}

impl Api {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        let window = |most| Window::new(most, A_MINUTE);
        Ok(Api {
            http: Http::new(&options.connection, tools)?,
            clock: tools.clock.clone(),
            tenant: options.tenant.clone(),
            token_file: options.token_file.clone(),
            token: RwLock::new(None),
            checkpoints: window(options.checkpoints_per_minute),
            syncs: window(options.calls_per_minute),
            lists: window(options.lists_per_minute),
        })
    }

    pub async fn read_token(&self) -> Result<(), Fault> {
        let read = read_secret(&self.token_file, "token_file").await?;
        if let Ok(mut token) = self.token.write() {
            *token = Some(read);
        }
        Ok(())
    }

    /// Opens a transaction and answers its id.
    pub async fn checkpoint(&self) -> Result<String, Fault> {
        self.checkpoints.turn().await;
        let reply = self.ask(Method::POST, &["checkpoint"], &[], None).await?;
        let id = self.success(&reply)?.get("transactionId").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| Fault::Refused("the answer to a checkpoint has no transactionId".to_owned()))
    }

    pub async fn queue(&self, transaction: &str, entity: Entity, page: &[Operation]) -> Result<Queued, Fault> {
        self.syncs.turn().await;
        let body: Vec<&Document> = page.iter().map(|operation| &operation.body).collect();
        let body = serde_json::to_value(body).map_err(|e| Fault::Refused(e.to_string()))?;
        let reply = self.ask(Method::POST, &[transaction, entity.name()], &[], Some(&body)).await?;
        match reply.status {
            400 if keys(&reply).iter().any(|key| ENDED.contains(&key.as_str())) => Ok(Queued::NotOpen),
            // Not found is said of a transaction that has been forgotten.
            404 => Ok(Queued::NotOpen),
            400 | 413 | 422 => Ok(Queued::Refused(detail(&reply))),
            _ => self.success(&reply).map(|_| Queued::All),
        }
    }

    /// Has the transaction carried out. One that was committed before stays so.
    pub async fn commit(&self, transaction: &str) -> Result<Queued, Fault> {
        self.syncs.turn().await;
        let reply = self.ask(Method::POST, &[transaction, "commit"], &[], None).await?;
        match reply.status {
            400 | 404 | 409 => Ok(Queued::NotOpen),
            _ => self.success(&reply).map(|_| Queued::All),
        }
    }

    /// `None` if the target does not know the transaction.
    pub async fn status(&self, transaction: &str) -> Result<Option<Status>, Fault> {
        self.lists.turn().await;
        let reply = self.ask(Method::GET, &["transaction", transaction, "status"], &[], None).await?;
        if matches!(reply.status, 400 | 404) {
            return Ok(None);
        }
        self.success(&reply)?;
        read(&reply, "a transaction status").map(Some)
    }

    /// The operations of a transaction that failed, page by page: a status may name but some of them.
    pub async fn failures(&self, transaction: &str) -> Result<Vec<Failure>, Fault> {
        let mut found: Vec<Failure> = Vec::new();
        loop {
            self.lists.turn().await;
            let skip = found.len().to_string();
            let query = [("status", "FAILED"), ("skip", skip.as_str()), ("limit", PAGE_TEXT)];
            let reply = self.ask(Method::GET, &["transaction", transaction, "operations"], &query, None).await?;
            self.success(&reply)?;
            let page: Operations = read(&reply, "a list of operations")?;
            let last = page.operations.len() < PAGE;
            found.extend(page.operations);
            if last {
                return Ok(found);
            }
        }
    }

    /// Transactions in this phase that this user made.
    pub async fn past(&self, created_by: &str, phase: &str) -> Result<Vec<String>, Fault> {
        self.lists.turn().await;
        let query = [("createdBy", created_by), ("status", phase), ("limit", PAGE_TEXT)];
        let reply = self.ask(Method::GET, &["transactions"], &query, None).await?;
        self.success(&reply)?;
        let history: History = read(&reply, "a list of transactions")?;
        Ok(history.transactions.into_iter().map(|past| past.transaction_id).collect())
    }

    pub async fn read_back(&self, entity: Entity, skip: usize) -> Result<Entries, Fault> {
        self.lists.turn().await;
        let skip = skip.to_string();
        let query = [("skip", skip.as_str()), ("limit", PAGE_TEXT)];
        let reply = self.ask(Method::GET, &[entity.name()], &query, None).await?;
        self.success(&reply)?;
        read(&reply, "a list")
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Fault> {
        let path: Vec<&str> = ROOT.into_iter().chain(path.iter().copied()).collect();
        let mut request = self.http.request(method, &path, query)?;
        request = request.header("auth-tenant-id", &self.tenant).header("auth-token", self.header()?);
        request = match body {
            Some(body) => request.json(body),
            None => request.header(reqwest::header::CONTENT_TYPE, "application/json"),
        };
        let attributes = body.and_then(Value::as_array).and_then(|list| list.first()).and_then(Value::as_object);
        let attributes = attributes.map(|first| first.keys().cloned().collect()).unwrap_or_default();
        self.http.send(request, Line { attributes, ..Line::default() }).await
    }

    fn header(&self) -> Result<reqwest::header::HeaderValue, Fault> {
        let token = self.token.read().map_err(|_| Fault::Closed("internal: the token is lost".to_owned()))?;
        let token = token.as_ref().ok_or_else(|| Fault::Closed("token_file was not read".to_owned()))?;
        secret_header("", token, "token_file")
    }

    /// The body of a success, or the fault that the answer stands for.
    fn success(&self, reply: &Reply) -> Result<Document, Fault> {
        match reply.status {
            200..=299 => read(reply, "an answer"),
            401 | 403 => Err(Fault::Closed(format!("the target refuses our token ({})", reply.status))),
            300..=399 => {
                Err(Fault::Closed(format!("the target redirects elsewhere ({}): check base_url", reply.status)))
            }
            404 => Err(Fault::Closed("the target has no provisioning there (404): check base_url".to_owned())),
            // No wait is documented; a minute is what its limits count.
            429 => Err(Fault::Busy {
                status: 429,
                retry_after: Some(reply.retry_after((self.clock)()).unwrap_or(A_MINUTE)),
            }),
            408 | 425 | 500..=599 => {
                Err(Fault::Busy { status: reply.status, retry_after: reply.retry_after((self.clock)()) })
            }
            _ => Err(Fault::Refused(detail(reply))),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Operations {
    #[serde(default)]
    operations: Vec<Failure>,
}

fn read<T: for<'de> Deserialize<'de>>(reply: &Reply, what: &str) -> Result<T, Fault> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| Fault::Refused(format!("{} to {what}, in a form of its own", reply.status)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
    errors: Vec<Broken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broken {
    code: String,
    messages: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    key: String,
}

fn keys(reply: &Reply) -> Vec<String> {
    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
    refusal.errors.into_iter().flat_map(|error| error.messages).map(|message| message.key).collect()
}

/// Status, codes and keys of a refusal, and its message: its texts may hold values.
fn detail(reply: &Reply) -> String {
    let refusal: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
    let codes = refusal.errors.iter().flat_map(|error| {
        let keys = error.messages.iter().map(|message| message.key.as_str());
        std::iter::once(error.code.as_str()).chain(keys)
    });
    let parts = [reply.status.to_string()].into_iter().chain(codes.map(str::to_owned)).chain([refusal.message]);
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS).collect()
}

const ROOT: [&str; 2] = ["provisioning", "iam"];
const ENDED: [&str; 2] = ["iam.transaction.not_open", "iam.transaction.not_found"];
const A_MINUTE: Duration = Duration::from_secs(60);
/// The longest page that the target gives.
pub const PAGE: usize = 1000;
const PAGE_TEXT: &str = "1000";
const DETAIL_CHARS: usize = 200;
