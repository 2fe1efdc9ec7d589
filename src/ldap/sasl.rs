//! Which SASL mechanisms there are (RFC 4513 section 5.2), and the rules by which a process, a
//! certificate or a login name becomes an identity, as the configuration gives them.

use super::{certificate::Certificate, external::External, template::Template};
use crate::{
    dn::{Dn, DnKey},
    schema::Schema,
};
use serde::Deserialize;

pub const EXTERNAL: &str = "EXTERNAL";
pub const PLAIN: &str = "PLAIN";

/// `ldap.sasl` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaslDef {
    /// Take PLAIN on connections that anyone on the way can read.
    pub plain_without_tls: bool,
    /// Finds the entry of a login name, `{user}`.
    pub users: String,
    /// Where filters search; absent: the suffix.
    pub base: Option<String>,
    /// Processes of this machine; absent: root and the user that runs the server are the
    /// administrator.
    pub peers: Option<Vec<PeerDef>>,
    /// Finds the entry of another process, by `{uid}` or `{gid}`.
    pub peer_filter: Option<String>,
    /// How a client certificate finds its entry, tried in this order: `subject`, or a filter.
    pub certificates: Vec<String>,
    /// The entry must hold the certificate itself in userCertificate.
    pub certificate_stored: bool,
}

impl Default for SaslDef {
    fn default() -> Self {
        SaslDef {
            plain_without_tls: false,
            users: "(uid={user})".to_owned(),
            base: None,
            peers: None,
            peer_filter: None,
            certificates: vec![SUBJECT.to_owned()],
            certificate_stored: false,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerDef {
    pub uid: u32,
    pub dn: String,
}

/// The same, bound to the schema.
pub struct Sasl {
    pub plain_without_tls: bool,
    pub users: Template,
    pub base: Dn,
    pub peers: Vec<(u32, DnKey)>,
    pub peer_filter: Option<Template>,
    pub certificates: Vec<CertificateRule>,
    pub certificate_stored: bool,
}

/// One way from a certificate to an entry.
pub enum CertificateRule {
    /// The entry has the name of the certificate's subject.
    Subject,
    Filter(Template),
}

const SUBJECT: &str = "subject";

impl Sasl {
    /// `Err` names the key and what is wrong with it. `admin` is the DN of the administrator.
    pub fn bind(def: &SaslDef, suffix: &str, admin: &str, schema: &Schema) -> Result<Self, String> {
        let full = |text: &str| text.replace("{suffix}", suffix);
        let named = |key: &str, text: &str| {
            let text = full(text);
            Dn::parse(&text).map_err(|e| format!("{key}: '{text}': {e}"))
        };
        let template = |key: &str, text: &str, is_known: &dyn Fn(&str) -> bool| {
            Template::parse(text, schema, is_known).map_err(|e| format!("{key}: {e}"))
        };
        let own = rustix::process::geteuid().as_raw();
        let peers: Result<_, String> = match &def.peers {
            Some(list) => list.iter().map(|p| Ok((p.uid, schema.dn_key(&named("peers", &p.dn)?)))).collect(),
            None => [ROOT, own].iter().map(|uid| Ok((*uid, schema.dn_key(&named("peers", admin)?)))).collect(),
        };
        let rule = |text: &String| match text.as_str() {
            SUBJECT => Ok(CertificateRule::Subject),
            text => {
                template("certificates", text, &|name| Certificate::may_have(name, schema)).map(CertificateRule::Filter)
            }
        };
        let peer_filter = def.peer_filter.as_ref();
        Ok(Sasl {
            plain_without_tls: def.plain_without_tls,
            users: template("users", &def.users, &|name| name == "user")?,
            base: named("base", def.base.as_deref().unwrap_or(suffix))?,
            peers: peers?,
            peer_filter: peer_filter
                .map(|text| template("peer_filter", text, &|name| ["uid", "gid"].contains(&name)))
                .transpose()?,
            certificates: def.certificates.iter().map(rule).collect::<Result<_, _>>()?,
            certificate_stored: def.certificate_stored,
        })
    }

    /// The mechanisms that can be used on a connection, for the root DSE (RFC 4513 section 5.2.2).
    pub fn offered(&self, secure: bool, external: Option<&External>) -> Vec<&'static str> {
        let mut offered = Vec::new();
        if external.is_some() {
            offered.push(EXTERNAL);
        }
        if self.takes_plain(secure) {
            offered.push(PLAIN);
        }
        offered
    }

    /// A password in clear is for the eyes of the server only (RFC 4616 section 5).
    pub fn takes_plain(&self, secure: bool) -> bool {
        secure || self.plain_without_tls
    }
}

const ROOT: u32 = 0;
