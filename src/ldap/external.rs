//! Who a client is by what lies below LDAP: the process at the other end of a local socket, or the
//! certificate that it showed to TLS. SASL EXTERNAL (RFC 4422 appendix A) binds as that.

use rustls_pki_types::CertificateDer;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum External {
    /// What the system says of the process behind a local socket.
    Process { uid: u32, gid: u32 },
    /// A certificate that TLS has verified.
    Certificate(CertificateDer<'static>),
}

impl External {
    /// The credentials at the other end of a local socket; `None` if the system does not tell.
    pub fn of_process(socket: &tokio::net::UnixStream) -> Option<Self> {
        match socket.peer_cred() {
            Ok(cred) => Some(External::Process { uid: cred.uid(), gid: cred.gid() }),
            Err(error) => {
                tracing::warn!(%error, "the system does not say who is at the other end of a local socket");
                None
            }
        }
    }

    /// The certificate that the client has shown, if it has one.
    pub fn of_tls(tls: &rustls::ServerConnection) -> Option<Self> {
        let certificate = tls.peer_certificates()?.first()?;
        Some(External::Certificate(certificate.clone().into_owned()))
    }

    /// The name of a process, as OpenLDAP has it.
    pub fn process_name(uid: u32, gid: u32) -> String {
        format!("gidNumber={gid}+uidNumber={uid},cn=peercred,cn=external,cn=auth")
    }
}
