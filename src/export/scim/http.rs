//! Requests to one SCIM server: token and media types (RFC 7644 sections 3.1 and 8.1). The token goes
//! to the configured host only.

use super::{Options, answer::Answer};
use crate::export::{
    Tools,
    http::{self, Connection, read_secret, secret_header},
    ledger::Line,
    target::{Document, Fault},
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER},
};
use secrecy::SecretString;
use std::{path::PathBuf, sync::RwLock};

pub struct Http {
    http: http::Http,
    token_file: PathBuf,
    token: RwLock<Option<SecretString>>,
}

impl Http {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        let connection = Connection {
            base_url: options.base_url.clone(),
            ca_file: options.ca_file.clone(),
            timeout: options.timeout,
        };
        let http = http::Http::new(&connection, tools)?;
        Ok(Http { http, token_file: options.token_file.clone(), token: RwLock::new(None) })
    }

    pub async fn read_token(&self) -> Result<(), Fault> {
        let read = read_secret(&self.token_file, "token_file").await?;
        if let Ok(mut token) = self.token.write() {
            *token = Some(read);
        }
        Ok(())
    }

    /// One request; an answer of any status is an answer.
    pub async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Document>,
    ) -> Result<Answer, Fault> {
        let mut request = self.http.request(method, path, query)?;
        request = request.header(AUTHORIZATION, self.bearer()?).header(ACCEPT, MEDIA_TYPE_OR_JSON);
        if let Some(document) = body {
            let bytes = serde_json::to_vec(document).map_err(|e| Fault::Refused(e.to_string()))?;
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
        }
        let line = Line {
            remote_id: path.get(1).map(|id| (*id).to_owned()),
            attributes: body.map(names).unwrap_or_default(),
            ..Line::default()
        };
        let reply = self.http.send(request, line).await?;
        Ok(Answer {
            status: reply.status,
            etag: reply.header(&ETAG),
            retry_after: reply.header(&RETRY_AFTER),
            body: serde_json::from_slice(&reply.body).ok(),
        })
    }

    fn bearer(&self) -> Result<HeaderValue, Fault> {
        let token = self.token.read().map_err(|_| Fault::Closed("internal: the token is lost".to_owned()))?;
        let token = token.as_ref().ok_or_else(|| Fault::Closed("token_file was not read".to_owned()))?;
        secret_header("Bearer ", token, "token_file")
    }
}

/// The attributes that a body speaks of: its keys, or the paths of a PATCH.
fn names(body: &Document) -> Vec<String> {
    let operations = body.get("Operations").and_then(serde_json::Value::as_array);
    let mut names: Vec<String> = match operations {
        Some(operations) => {
            let paths = operations.iter().filter_map(|op| op.get("path")?.as_str());
            // What stands in brackets is a value.
            paths.map(|path| path.split('[').next().unwrap_or_default().to_owned()).collect()
        }
        None => body.keys().filter(|key| *key != "schemas").cloned().collect(),
    };
    names.sort();
    names.dedup();
    names
}

const MEDIA_TYPE: &str = "application/scim+json";
const MEDIA_TYPE_OR_JSON: &str = "application/scim+json, application/json";
