//! What commands share: printing, and the way to a running server.

use crate::{
    config::{Settings, secret_file},
    ldap::client::Client,
};
use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{io::Write, path::PathBuf};

/// Prints an answer.
pub fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("stdout")
}

/// An answer as JSON, or as people read it.
pub fn show(answer: &Value, json: bool, text: impl Fn(&Value) -> String) -> anyhow::Result<()> {
    match json {
        true => say(&serde_json::to_string_pretty(answer)?),
        false => say(text(answer).trim_end()),
    }
}

/// Rows with their columns one below the other.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A member as people read it.
pub fn text(of: Option<&Value>, name: &str) -> String {
    match of.and_then(|of| of.get(name)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// As one segment of a path, or one value of a query.
pub fn escaped(part: &str) -> String {
    url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20")
}

/// How to reach a running server over LDAP.
#[derive(Args, Clone)]
pub struct Server {
    /// A running server, such as ldap://127.0.0.1:3389 or ldaps://host:636
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Who to bind as [default: cn=admin,<suffix>]
    #[arg(long, value_name = "DN", requires = "server")]
    pub bind_dn: Option<String>,
    /// File with the password [default: VESTIBULE_ADMIN_PASSWORD, --admin-password-file]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub password_file: Option<PathBuf>,
    /// CA certificates (PEM) for ldaps [default: ca.pem beside the configured certificate]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,
}

impl Server {
    pub async fn connect(&self, settings: &Settings, url: &str) -> anyhow::Result<Client> {
        let file = &settings.file;
        let password = match (&self.password_file, std::env::var("VESTIBULE_ADMIN_PASSWORD"), &file.admin.password_file)
        {
            (Some(path), ..) => secret_file(path)?,
            (None, Ok(password), _) if !password.is_empty() => SecretString::from(password),
            (None, _, Some(path)) => secret_file(path)?,
            _ => bail!("--server needs a password: --password-file, or VESTIBULE_ADMIN_PASSWORD"),
        };
        let dn = self.bind_dn.clone().unwrap_or_else(|| format!("cn=admin,{}", file.suffix));
        let ca = self.ca.clone().or_else(|| file.tls.certificate.parent().map(|p| p.join("ca.pem")));
        let mut client = Client::connect(url, ca.as_deref()).await.with_context(|| url.to_owned())?;
        client.bind(&dn, password.expose_secret()).await.with_context(|| format!("bind as {dn}"))?;
        Ok(client)
    }
}

/// GET from the administration of the server that these settings describe.
pub async fn admin_get(settings: &Settings, path: &str) -> anyhow::Result<Value> {
    admin(settings, Method::GET, path, None).await
}

/// A request to the same; the answer's body, or an error with the message that it gave.
pub async fn admin(settings: &Settings, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let token = settings.token()?;
    let url = format!("http://{}{path}", settings.file.listen.http);
    // A whole branch of departments takes its time.
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(600)).build()?;
    let request = client.request(method, &url).bearer_auth(token.0.expose_secret());
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await;
    let response = response.with_context(|| format!("{url}: is the server running?"))?;
    let status = response.status();
    let body: Value = response.json().await.with_context(|| url.clone())?;
    if !status.is_success() {
        bail!("{url}: {status}: {}", body.get("message").and_then(Value::as_str).unwrap_or("refused"));
    }
    Ok(body)
}

/// The identities of the running server.
pub struct There<'a> {
    pub settings: &'a Settings,
}

impl There<'_> {
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        admin(self.settings, method, path, (!body.is_null()).then_some(&body)).await
    }

    /// What is said of the career of an identity, by its uid, uuid or DN.
    pub async fn identity(&self, id: &str) -> anyhow::Result<Value> {
        let answer = self.ask(Method::GET, &format!("/lifecycle/identities/{}", escaped(id)), Value::Null).await?;
        answer.get("data").cloned().context("the answer has no data")
    }

    pub async fn uuid(&self, id: &str) -> anyhow::Result<String> {
        let shown = self.identity(id).await.with_context(|| id.to_owned())?;
        shown.get("_id").and_then(Value::as_str).map(str::to_owned).context("the answer has no _id")
    }
}
