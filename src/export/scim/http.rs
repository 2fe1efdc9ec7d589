//! Requests to one SCIM server: credentials and media types (RFC 7644 sections 3.1 and 8.1). The token
//! goes to the configured host only.

use super::{Options, answer::Answer, credentials::Bearer};
use crate::export::{
    Tools, http,
    ledger::Line,
    target::{Document, Fault},
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, RETRY_AFTER},
};
use std::sync::Arc;

pub struct Http {
    http: http::Http,
    bearer: Bearer,
    accept_on_delete: bool,
}

/// One request, but for who sends it.
struct Asked<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Document>,
    if_match: Option<&'a str>,
}

impl Http {
    pub fn new(options: &Options, tools: &Tools) -> Result<Self, Fault> {
        Ok(Http {
            http: http::Http::new(&options.connection, tools)?,
            bearer: Bearer::new(&options.credentials, Arc::clone(&tools.clock)),
            accept_on_delete: options.profile.accept_on_delete,
        })
    }

    /// Reads the credentials again.
    pub async fn renew(&self) -> Result<(), Fault> {
        self.bearer.forget().await;
        self.bearer.header(&self.http).await.map(drop)
    }

    /// One request; an answer of any status is an answer.
    pub async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Document>,
    ) -> Result<Answer, Fault> {
        self.ask(&Asked { method, path, query, body, if_match: None }).await
    }

    /// A request that is to be carried out only if the object is still the one with this tag.
    pub async fn send_if(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Document>,
        tag: Option<&str>,
    ) -> Result<Answer, Fault> {
        self.ask(&Asked { method, path, query: &[], body, if_match: tag }).await
    }

    /// A read without credentials.
    pub async fn send_bare(&self, path: &[&str]) -> Result<Answer, Fault> {
        self.exchange(&Asked { method: Method::GET, path, query: &[], body: None, if_match: None }, None).await
    }

    /// Asks once more if the token was refused and there is another one by now.
    async fn ask(&self, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let bearer = self.bearer.header(&self.http).await?;
        let answer = self.exchange(asked, Some(&bearer)).await?;
        if answer.status == UNAUTHORIZED && self.bearer.renewed(&bearer, &self.http).await? {
            let bearer = self.bearer.header(&self.http).await?;
            return self.exchange(asked, Some(&bearer)).await;
        }
        Ok(answer)
    }

    async fn exchange(&self, asked: &Asked<'_>, bearer: Option<&HeaderValue>) -> Result<Answer, Fault> {
        let mut request = self.http.request(asked.method.clone(), asked.path, asked.query)?;
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        if self.accept_on_delete || asked.method != Method::DELETE {
            request = request.header(ACCEPT, MEDIA_TYPE_OR_JSON);
        }
        if let Some(tag) = asked.if_match {
            request = request.header(IF_MATCH, tag);
        }
        if let Some(document) = asked.body {
            let bytes = serde_json::to_vec(document).map_err(|e| Fault::Refused(e.to_string()))?;
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
        }
        let line = Line {
            remote_id: asked.path.get(1).map(|id| (*id).to_owned()),
            attributes: asked.body.map(names).unwrap_or_default(),
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
}

/// The attributes that a body speaks of: its keys, or the paths of a PATCH.
fn names(body: &Document) -> Vec<String> {
    let operations = body.get("Operations").and_then(serde_json::Value::as_array);
    let mut names: Vec<String> = match operations {
        Some(operations) => {
            let paths = operations.iter().filter_map(|op| op.get("path")?.as_str());
            // What stands in brackets is a value.
            let paths = paths.map(|path| path.split('[').next().unwrap_or_default().to_owned());
            let whole = operations.iter().filter(|op| op.get("path").is_none());
            paths.chain(whole.filter_map(|op| op.get("value")?.as_object()).flat_map(Document::keys).cloned()).collect()
        }
        None => body.keys().filter(|key| *key != "schemas").cloned().collect(),
    };
    names.sort();
    names.dedup();
    names
}

const MEDIA_TYPE: &str = "application/scim+json";
const MEDIA_TYPE_OR_JSON: &str = "application/scim+json, application/json";
const UNAUTHORIZED: u16 = 401;
