//! A development CA and server certificate, for machines that have none yet.

use crate::config::{self, write_private};
use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// Makes the files where neither is there and the configuration allows it.
pub fn ensure(tls: &config::Tls) -> anyhow::Result<()> {
    match (tls.certificate.exists(), tls.key.exists()) {
        (true, true) => Ok(()),
        (false, false) if tls.development => {
            make(&tls.certificate, &tls.key)?;
            tracing::info!(certificate = %tls.certificate.display(), "made a development CA and certificate");
            Ok(())
        }
        (false, false) => bail!(
            "{} and {}: neither is there; `vestibule certs dev` makes them",
            tls.certificate.display(),
            tls.key.display()
        ),
        (true, false) => bail!("{}: the key of {} is missing", tls.key.display(), tls.certificate.display()),
        (false, true) => bail!("{}: the certificate of {} is missing", tls.certificate.display(), tls.key.display()),
    }
}

/// Writes `ca.pem`, `ca.key`, the certificate and its key. Nothing that exists is overwritten.
pub fn make(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let folder = certificate.parent().unwrap_or(Path::new("."));
    let (ca_path, ca_key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
    for path in [certificate, key, &ca_path, &ca_key_path] {
        if path.exists() {
            bail!("{}: it exists; move it away to make new ones", path.display());
        }
    }
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name = name("Vestibule development CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, &ca_key);

    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::default();
    server.distinguished_name = name("localhost");
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    // OpenLDAP's library compares the name of the machine where it is told "localhost".
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if let Ok(machine) = machine.try_into() {
        server.subject_alt_names.push(SanType::DnsName(machine));
    }
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let server_cert = server.signed_by(&server_key, &issuer)?;

    write_private(&ca_key_path, ca_key.serialize_pem().as_bytes())?;
    write_private(key, server_key.serialize_pem().as_bytes())?;
    for (path, pem) in [(ca_path.as_path(), ca_cert.pem()), (certificate, server_cert.pem())] {
        std::fs::write(path, pem).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
