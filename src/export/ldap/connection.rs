//! The connection to the other directory: address, TLS, bind, time limits, and a new one when it
//! breaks. Several requests are under way on one connection (RFC 4511 section 3.1).

use super::{answer, content::Content};
use crate::export::{Throttle, target::Fault};
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchEntry, SearchOptions,
    controls::RawControl,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    collections::HashSet,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;

/// Where the directory is and who we are there.
#[derive(Clone, Debug)]
pub struct Access {
    /// `ldap://host:port` or `ldaps://host:port`.
    pub url: String,
    pub start_tls: bool,
    pub login: Login,
    /// Who signed the certificate of the server, if the system does not know.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// For one request.
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub enum Login {
    /// Name and password (RFC 4513 section 5.1.3). The file is read at each bind.
    Simple { dn: String, password_file: PathBuf },
    /// As the client certificate says (RFC 4422 appendix A).
    External,
}

pub struct Connection {
    access: Access,
    open: Mutex<Option<Open>>,
    /// Connections made so far.
    made: AtomicU64,
    throttle: Arc<Throttle>,
}

#[derive(Clone)]
struct Open {
    ldap: Ldap,
    features: Features,
    /// Tells one connection from the next.
    number: u64,
}

/// What the server says it can (RFC 4512 section 5.1), as far as we ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// RFC 4528.
    pub assertion: bool,
    /// RFC 4527.
    pub post_read: bool,
    /// RFC 2696.
    pub paged: bool,
}

impl Connection {
    pub fn new(access: Access, throttle: Arc<Throttle>) -> Self {
        Connection { access, open: Mutex::new(None), made: AtomicU64::new(0), throttle }
    }

    /// Forgets the connection, so that the next request binds anew.
    pub async fn reset(&self) {
        *self.open.lock().await = None;
    }

    pub async fn features(&self) -> Result<Features, Fault> {
        Ok(self.session().await?.features)
    }

    /// The features, and the number of the connection.
    pub async fn standing(&self) -> Result<(Features, u64), Fault> {
        let open = self.session().await?;
        Ok((open.features, open.number))
    }

    pub async fn add(&self, content: &Content, controls: Vec<RawControl>) -> Result<LdapResult, Fault> {
        let attributes: Vec<(Vec<u8>, HashSet<Vec<u8>>)> = content
            .attributes()
            .map(|attribute| (attribute.name.clone().into_bytes(), attribute.values.iter().cloned().collect()))
            .collect();
        self.ask(async |ldap| ldap.with_controls(controls).add(&content.dn, attributes).await).await
    }

    pub async fn modify(
        &self,
        dn: &str,
        changes: Vec<Mod<Vec<u8>>>,
        controls: Vec<RawControl>,
    ) -> Result<LdapResult, Fault> {
        self.ask(async |ldap| ldap.with_controls(controls).modify(dn, changes).await).await
    }

    pub async fn rename(
        &self,
        dn: &str,
        (rdn, delete_old, superior): (&str, bool, Option<&str>),
        controls: Vec<RawControl>,
    ) -> Result<LdapResult, Fault> {
        self.ask(async |ldap| ldap.with_controls(controls).modifydn(dn, rdn, delete_old, superior).await).await
    }

    pub async fn delete(&self, dn: &str, controls: Vec<RawControl>) -> Result<LdapResult, Fault> {
        self.ask(async |ldap| ldap.with_controls(controls).delete(dn).await).await
    }

    /// The entries that match, and how the search ended.
    pub async fn search(
        &self,
        (base, scope, filter): (&str, Scope, &str),
        attributes: Vec<&str>,
        most: i32,
        controls: Vec<RawControl>,
    ) -> Result<(Vec<SearchEntry>, LdapResult), Fault> {
        let found = self
            .ask(async |ldap| {
                ldap.with_search_options(SearchOptions::new().sizelimit(most));
                ldap.with_controls(controls).search(base, scope, filter, attributes).await
            })
            .await?;
        let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok((entries.map(SearchEntry::construct).collect(), found.1))
    }

    /// One request on the open connection. A request that brings no answer ends the connection: what
    /// comes later would be an answer to something else, or nothing comes at all.
    async fn ask<T>(&self, request: impl AsyncFnOnce(&mut Ldap) -> Result<T, LdapError>) -> Result<T, Fault> {
        self.throttle.turn().await;
        let Open { mut ldap, number, .. } = self.session().await?;
        ldap.with_timeout(self.access.timeout);
        match request(&mut ldap).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let mut open = self.open.lock().await;
                if open.as_ref().is_some_and(|open| open.number == number) {
                    *open = None;
                }
                Err(Fault::Unreachable(reason(&error)))
            }
        }
    }

    async fn session(&self) -> Result<Open, Fault> {
        let mut open = self.open.lock().await;
        if let Some(session) = open.as_mut()
            && !session.ldap.is_closed()
        {
            return Ok(session.clone());
        }
        *open = None;
        let session = self.connect(self.made.fetch_add(1, Ordering::Relaxed)).await?;
        *open = Some(session.clone());
        Ok(session)
    }

    async fn connect(&self, number: u64) -> Result<Open, Fault> {
        let access = &self.access;
        let mut settings = LdapConnSettings::new().set_conn_timeout(access.timeout).set_starttls(access.start_tls);
        if let Some(config) = tls(access)? {
            settings = settings.set_config(Arc::new(config));
        }
        let within = |what: Duration| what.min(access.timeout);
        let begun = LdapConnAsync::with_settings(settings, &access.url);
        let (connection, mut ldap) = limited(within(LONGEST_CONNECT), begun).await?;
        // It ends with the last handle.
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(why = %reason(&error), "the connection of an export ended");
            }
        });
        let bound = match &access.login {
            Login::Simple { dn, password_file } => {
                let password = password(password_file).await?;
                limited(access.timeout, ldap.simple_bind(dn, &password)).await?
            }
            Login::External => limited(access.timeout, ldap.sasl_external_bind()).await?,
        };
        if bound.rc != 0 {
            return Err(answer::bind_fault(&bound));
        }
        let features = limited(access.timeout, features(&mut ldap)).await?;
        Ok(Open { ldap, features, number })
    }
}

async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, LdapError>>) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Fault::Unreachable(reason(&error))),
        Err(_) => Err(Fault::Unreachable("no answer in time".to_owned())),
    }
}

async fn password(file: &Path) -> Result<String, Fault> {
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|e| Fault::Closed(format!("password_file cannot be read: {}", e.kind())))?;
    let text = text.trim_end_matches(['\r', '\n']);
    // A bind with a name and no password succeeds as anonymous (RFC 4513 section 5.1.2).
    if text.is_empty() {
        return Err(Fault::Closed("password_file is empty".to_owned()));
    }
    Ok(text.to_owned())
}

async fn features(ldap: &mut Ldap) -> Result<Features, LdapError> {
    let found = ldap.search("", Scope::Base, "(objectClass=*)", vec!["supportedControl"]).await?;
    let controls = found.0.into_iter().map(SearchEntry::construct).find_map(|root| {
        let held = root.attrs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("supportedControl"));
        held.map(|(_, values)| values)
    });
    let has = |oid: &str| controls.iter().flatten().any(|held| held == oid);
    Ok(Features { assertion: has(ASSERTION), post_read: has(POST_READ), paged: has(PAGED_RESULTS) })
}

/// `None`: as the system trusts, without a certificate of ours.
fn tls(access: &Access) -> Result<Option<rustls::ClientConfig>, Fault> {
    let Some(ca_file) = &access.ca_file else { return Ok(None) };
    let unreadable = |key: &str| Fault::Closed(format!("{key} cannot be read or holds no PEM"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|_| unreadable("ca_file"))? {
        let certificate = certificate.map_err(|_| unreadable("ca_file"))?;
        roots.add(certificate).map_err(|_| Fault::Closed("ca_file holds a certificate that is none".to_owned()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Fault::Closed(format!("internal: no TLS: {e}")))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &access.client else { return Ok(Some(builder.with_no_client_auth())) };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|_| unreadable("client_certificate"))?.collect();
    let chain = chain.map_err(|_| unreadable("client_certificate"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| unreadable("client_key"))?;
    let config = builder.with_client_auth_cert(chain, key);
    config.map(Some).map_err(|_| Fault::Closed("client_certificate and client_key do not fit".to_owned()))
}

/// Why there is no answer; never what was asked.
fn reason(error: &LdapError) -> String {
    match error {
        LdapError::Io { source } => match source.kind() {
            // What TLS found wrong is told in words only.
            std::io::ErrorKind::InvalidData => source.to_string(),
            kind => kind.to_string(),
        },
        LdapError::Timeout { .. } => "no answer in time".to_owned(),
        LdapError::LdapResult { result } => format!("result {}", result.rc),
        LdapError::Rustls { source } => source.to_string(),
        LdapError::OpSend { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream => {
            "the connection ended".to_owned()
        }
        _ => "the request could not be sent".to_owned(),
    }
}

const ASSERTION: &str = "1.3.6.1.1.12";
const POST_READ: &str = "1.3.6.1.1.13.2";
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

const LONGEST_CONNECT: Duration = Duration::from_secs(10);
