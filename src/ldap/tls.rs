//! TLS for ldaps and StartTLS: certificates and key from PEM files, which can be read again while
//! the server runs.

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Where the certificates are.
#[derive(Clone, Debug)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities of client certificates; without them no client is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Refuse a client that shows none.
    pub client_required: bool,
}

/// What new connections are served with.
pub struct Tls {
    files: Files,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    pub fn load(files: Files) -> Result<Self, Error> {
        let current = ArcSwap::new(server_config(&files)?);
        Ok(Tls { files, current })
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads the files again, for connections from now on. What is wrong with them changes nothing.
    pub fn reload(&self) -> Result<(), Error> {
        self.current.store(server_config(&self.files)?);
        Ok(())
    }
}

/// TLS 1.2 and 1.3 with this chain and key.
fn server_config(files: &Files) -> Result<Arc<ServerConfig>, Error> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| fault(&files.key, e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(path) => config.with_client_cert_verifier(verifier(path, files.client_required, provider)?),
    };
    let config = config.with_single_cert(chain, key).map_err(|e| {
        let both = format!("{} with {}", files.certificate.display(), files.key.display());
        Error::File { file: both, reason: e.to_string() }
    })?;
    Ok(Arc::new(config))
}

fn verifier(
    authorities: &Path,
    required: bool,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|e| fault(authorities, e))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|e| fault(authorities, e))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|e| fault(path, e))?;
    if found.is_empty() {
        return Err(fault(path, "no certificate in this file"));
    }
    Ok(found)
}

fn fault(file: &Path, reason: impl ToString) -> Error {
    Error::File { file: file.display().to_string(), reason: reason.to_string() }
}
