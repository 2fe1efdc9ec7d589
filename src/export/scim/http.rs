//! Requests to one SCIM server: address, token, time limit, bounded answers. The token goes to
//! the configured host only.

use super::{Options, answer::Answer};
use crate::export::target::{Document, Fault};
use reqwest::{
    Client, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::{Attempt, Policy},
};
use secrecy::{ExposeSecret, SecretString};
use std::{error::Error, path::PathBuf, sync::RwLock, time::Duration};
use url::Url;

pub struct Http {
    client: Client,
    base: Url,
    token_file: PathBuf,
    token: RwLock<Option<SecretString>>,
}

impl Http {
    pub fn new(options: &Options) -> Result<Self, Fault> {
        // Whoever came first has installed the same provider: the program has only this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout.min(LONGEST_CONNECT))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(same_place));
        if let Some(file) = &options.ca_file {
            let pem =
                std::fs::read(file).map_err(|e| Fault::Closed(format!("ca_file cannot be read: {}", e.kind())))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| Fault::Closed("ca_file holds no PEM certificates".to_owned()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|e| Fault::Closed(format!("no HTTP client: {}", reason(&e))))?;
        Ok(Http {
            client,
            base: options.base_url.clone(),
            token_file: options.token_file.clone(),
            token: RwLock::new(None),
        })
    }

    pub async fn read_token(&self) -> Result<(), Fault> {
        let text = tokio::fs::read_to_string(&self.token_file)
            .await
            .map_err(|e| Fault::Closed(format!("token_file cannot be read: {}", e.kind())))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Fault::Closed("token_file is empty".to_owned()));
        }
        if let Ok(mut token) = self.token.write() {
            *token = Some(SecretString::from(text));
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
        let mut request = self.client.request(method, address(&self.base, path, query)?);
        request = request.header(AUTHORIZATION, self.bearer()?).header(ACCEPT, MEDIA_TYPE_OR_JSON);
        if let Some(document) = body {
            let bytes = serde_json::to_vec(document).map_err(|e| Fault::Refused(e.to_string()))?;
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
        }
        let mut response = request.send().await.map_err(|e| Fault::Unreachable(reason(&e)))?;
        let status = response.status().as_u16();
        let etag = header(response.headers(), &ETAG);
        let retry_after = header(response.headers(), &RETRY_AFTER);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Fault::Unreachable(reason(&e)))? {
            if bytes.len() + chunk.len() > MOST_BYTES {
                return Err(Fault::Refused(format!("an answer of more than {MOST_BYTES} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, etag, retry_after, body: serde_json::from_slice(&bytes).ok() })
    }

    fn bearer(&self) -> Result<HeaderValue, Fault> {
        let token = self.token.read().map_err(|_| Fault::Closed("internal: the token is lost".to_owned()))?;
        let token = token.as_ref().ok_or_else(|| Fault::Closed("token_file was not read".to_owned()))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Fault::Closed("token_file holds characters that no header takes".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
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

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
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

const MEDIA_TYPE: &str = "application/scim+json";
const MEDIA_TYPE_OR_JSON: &str = "application/scim+json, application/json";
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
}
