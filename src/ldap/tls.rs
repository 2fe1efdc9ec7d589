//! TLS for ldaps and StartTLS: certificate and key from PEM files.

use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{path::Path, sync::Arc};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: {reason}")]
    Pem { file: String, reason: String },
    #[error("certificate and key: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A server configuration for TLS 1.2 and 1.3 with this chain and key.
pub fn server_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, Error> {
    let broken = |file: &Path, reason: String| Error::Pem { file: file.display().to_string(), reason };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(|e| broken(chain, e.to_string()))?;
    if certificates.is_empty() {
        return Err(broken(chain, "no certificate in this file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| broken(key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}
