//! SASL binds (RFC 4513 section 5.2): EXTERNAL (RFC 4422 appendix A) and PLAIN (RFC 4616).

use super::{Call, bind};
use crate::{
    access::Identity,
    directory::{Node, Snapshot},
    dn::{Dn, DnKey},
    filter::Ast,
    ldap::{
        certificate::Certificate,
        controls,
        external::External,
        lookup,
        result::{self, Code, LdapResult},
        sasl::{self, CertificateRule},
    },
};
use std::sync::Arc;

/// Who is bound now, and what the log should say of it.
pub async fn bind(
    call: &Call,
    mechanism: &str,
    credentials: Option<Vec<u8>>,
) -> (Result<Identity, LdapResult>, String) {
    if mechanism.eq_ignore_ascii_case(sasl::EXTERNAL) {
        external(call, credentials.unwrap_or_default()).await
    } else if mechanism.eq_ignore_ascii_case(sasl::PLAIN) {
        plain(call, credentials).await
    } else {
        let text = format!("SASL mechanism {mechanism} is not supported");
        (Err(result::result(Code::AuthMethodNotSupported, text)), String::new())
    }
}

/// Credentials are absent, empty, or the identity to act as.
async fn external(call: &Call, authzid: Vec<u8>) -> (Result<Identity, LdapResult>, String) {
    let detail = match &call.external {
        None => sasl::EXTERNAL.to_owned(),
        Some(external) => format!("{} {}", sasl::EXTERNAL, name_of(call, external)),
    };
    let outcome = async {
        let Some(external) = call.external.clone() else {
            let text = "neither a client certificate nor a local process stands behind this connection";
            return Err(result::result(Code::InappropriateAuthentication, text));
        };
        let authzid = text(authzid)?;
        let identity = off_thread(call, move |call| known_by(call, &external)).await.ok_or_else(|| {
            tracing::warn!(who = detail, "bind refused: this is nobody's identity here");
            bind::refusal()
        })?;
        authorize(call, identity, &authzid)
    };
    (outcome.await, detail)
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2).
async fn plain(call: &Call, credentials: Option<Vec<u8>>) -> (Result<Identity, LdapResult>, String) {
    let mut detail = sasl::PLAIN.to_owned();
    let outcome = async {
        if !call.shared.options.sasl.takes_plain(call.secure) || call.must_be_secure() {
            let text = "SASL PLAIN needs TLS: its password could be read on the way";
            return Err(result::result(Code::ConfidentialityRequired, text));
        }
        let Some(credentials) = credentials else {
            // The client speaks first (RFC 4422 section 5); it is asked to.
            return Err(result::result(Code::SaslBindInProgress, ""));
        };
        let parts: Vec<&[u8]> = credentials.split(|byte| *byte == 0).collect();
        let Ok([authzid, authcid, password]) = <[&[u8]; 3]>::try_from(parts) else {
            return Err(result::result(Code::ProtocolError, "malformed SASL PLAIN credentials"));
        };
        let (authzid, user, password) = (text(authzid.to_vec())?, text(authcid.to_vec())?, password.to_vec());
        if user.is_empty() || password.is_empty() {
            return Err(bind::refusal());
        }
        detail = format!("{} {}", sasl::PLAIN, user.escape_debug());
        let dn = off_thread(call, move |call| named(call, &user)).await;
        let identity = bind::authenticate(call, dn.as_ref(), password).await.ok_or_else(bind::refusal)?;
        authorize(call, identity, &authzid)
    }
    .await;
    (outcome, detail)
}

fn text(bytes: Vec<u8>) -> Result<String, LdapResult> {
    String::from_utf8(bytes).map_err(|_| result::result(Code::ProtocolError, "SASL credentials are not UTF-8"))
}

/// Searches may look at many entries: they are kept off the async threads.
async fn off_thread<T: Send + 'static>(
    call: &Call,
    ask: impl FnOnce(&crate::ldap::Options) -> Option<T> + Send + 'static,
) -> Option<T> {
    let shared = Arc::clone(&call.shared);
    tokio::task::spawn_blocking(move || ask(&shared.options)).await.ok().flatten()
}

/// The identity that the client asks to act as (RFC 4513 section 5.2.1.8), by the rule of proxied
/// authorization.
fn authorize(call: &Call, identity: Identity, authzid: &str) -> Result<Identity, LdapResult> {
    if authzid.is_empty() || authzid == identity.authzid() {
        return Ok(identity);
    }
    let options = &call.shared.options;
    match controls::effective(authzid, &Arc::new(identity), &options.directory, &options.admin) {
        Ok(identity) => Ok(Arc::unwrap_or_clone(identity)),
        // That code is for the control alone (RFC 4370 section 5).
        Err(refused) if refused.code == Code::AuthorizationDenied => {
            Err(result::result(Code::InsufficientAccessRights, refused.message))
        }
        Err(refused) => Err(refused),
    }
}

/// The name that a login name of PLAIN stands for: a DN, or one that finds one entry.
fn named(options: &crate::ldap::Options, user: &str) -> Option<Dn> {
    let (user, may_be_dn) = match user.split_once(':') {
        Some(("dn", dn)) => return Dn::parse(dn).ok(),
        Some(("u", user)) => (user, false),
        _ => (user, true),
    };
    if may_be_dn && user.contains('=') {
        return Dn::parse(user).ok();
    }
    let snapshot = options.directory.read();
    let filter = options.sasl.users.fill(&|_| vec![user.to_owned()])?;
    let node = lookup::sole(&options.directory, &snapshot, &options.sasl.base, &filter)?;
    Dn::parse(&snapshot.dn_text(&node)).ok()
}

/// Who a process or a certificate is, by the rules of the configuration.
fn known_by(options: &crate::ldap::Options, external: &External) -> Option<Identity> {
    let (rules, snapshot) = (&options.sasl, options.directory.read());
    let sole = |filter: &Ast| lookup::sole(&options.directory, &snapshot, &rules.base, filter);
    match external {
        External::Process { uid, gid } => {
            if let Some((_, key)) = rules.peers.iter().find(|(known, _)| known == uid) {
                return identity_at(options, &snapshot, key);
            }
            let number = |name: &str| vec![if name == "uid" { uid } else { gid }.to_string()];
            bind::usable(&snapshot, &*sole(&rules.peer_filter.as_ref()?.fill(&number)?)?)
        }
        External::Certificate(der) => {
            let certificate = Certificate::parse(der)?;
            let schema = &snapshot.schema;
            let by_rule = |rule: &CertificateRule| match rule {
                CertificateRule::Subject => {
                    let key = schema.dn_value_key(&certificate.subject(schema)?)?;
                    snapshot.find(&key).filter(|_| !key.is_root()).cloned()
                }
                CertificateRule::Filter(template) => sole(&template.fill(&|name| certificate.values(name, schema))?),
            };
            let node = rules.certificates.iter().find_map(by_rule)?;
            if rules.certificate_stored && !holds(&snapshot, &node, der) {
                tracing::warn!(dn = snapshot.dn_text(&node), "the entry does not hold the certificate that was shown");
                return None;
            }
            bind::usable(&snapshot, &node)
        }
    }
}

/// The administrator, or the entry of this name.
fn identity_at(options: &crate::ldap::Options, snapshot: &Snapshot, key: &DnKey) -> Option<Identity> {
    if *key == options.admin.key {
        return Some(Identity::Admin { dn: options.admin.dn.clone() });
    }
    bind::usable(snapshot, snapshot.find(key)?)
}

/// True if userCertificate has this certificate among its values.
fn holds(snapshot: &Snapshot, node: &Node, der: &[u8]) -> bool {
    let attr = snapshot.schema.attr_id("userCertificate");
    attr.is_some_and(|attr| node.entry.values(attr).any(|value| value == der))
}

/// For the log.
fn name_of(call: &Call, external: &External) -> String {
    match external {
        External::Process { uid, gid } => External::process_name(*uid, *gid),
        External::Certificate(der) => {
            let schema = &call.shared.options.directory.read().schema;
            let subject = Certificate::parse(der).and_then(|certificate| certificate.subject(schema));
            subject.unwrap_or_else(|| "a certificate without a name".to_owned())
        }
    }
}
