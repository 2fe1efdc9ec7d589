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
