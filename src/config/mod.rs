//! The configuration file: its form, its defaults, and how it becomes the options of the modules
//! below. Read strictly: an unknown key is an error that names file and path.

mod build;
mod load;
pub mod target;

pub use build::{Built, Token, secret_file, write_private};
pub use load::{Overrides, Settings, load};

use crate::{
    directory::{DeleteMode, GroupOptions, ReferenceOptions, StructureOptions, UniqueDef},
    ldap::SaslDef,
    lifecycle::Release,
    limits::Limits,
    schema::{Language, Mode},
    sesame::Contract,
    telemetry::LogFormat,
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// The text that the program was built with, used where there is no file.
pub const SHIPPED: &str = include_str!("../../config/vestibule.yml");
pub const SHIPPED_ACCESS: &str = include_str!("../../config/access.yml");
pub const SHIPPED_DEMO: &str = include_str!("../../config/demo.ldif");

/// `vestibule.yml`. Relative paths start at its folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub suffix: String,
    /// Folder of the store.
    pub data: PathBuf,
    #[serde(default)]
    pub listen: Listen,
    pub tls: Tls,
    #[serde(default)]
    pub admin: Admin,
    /// Folder with `ldap/` and `classes/`; absent: those that the program was built with.
    pub schemas: Option<PathBuf>,
    /// Access rules; absent: those that the program was built with.
    pub access: Option<PathBuf>,
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Folder of export targets, one file each.
    pub targets: PathBuf,
    #[serde(default)]
    pub identities: Identities,
    /// Identities over HTTP.
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub groups: GroupOptions,
    #[serde(default)]
    pub references: ReferenceOptions,
    /// Changes to the rules of uniqueness, and further ones.
    #[serde(default)]
    pub unique: Vec<UniqueDef>,
    #[serde(default)]
    pub structures: StructureOptions,
    /// Attributes with an index, in place of the default list.
    pub indexes: Option<Vec<SmolStr>>,
    /// Whether an empty store is filled with the demonstration university.
    #[serde(default)]
    pub demo: bool,
    #[serde(default)]
    pub ldap: Ldap,
    #[serde(default)]
    pub limits: Limits,
    /// Limits that differ for some identities; the first that speaks of one counts.
    #[serde(default)]
    pub limits_for: Vec<LimitsFor>,
    #[serde(default)]
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    pub ldap: SocketAddr,
    pub ldaps: SocketAddr,
    pub ldapi: Option<PathBuf>,
    /// Who may connect to it, in octal as for chmod; absent: as the umask says.
    #[serde(deserialize_with = "octal")]
    pub ldapi_mode: Option<u32>,
    /// Load balancers, by address or network, that begin each LDAP connection with a PROXY header.
    pub proxy_from: Vec<String>,
    pub http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Listen {
            ldap: local(3389),
            ldaps: local(3636),
            ldapi: None,
            ldapi_mode: None,
            proxy_from: Vec::new(),
            http: local(8389),
        }
    }
}

/// Text, since YAML's own numbers are octal in one version and decimal in the next.
fn octal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.map(Some).ok_or_else(|| serde::de::Error::custom(format!("'{text}' is no mode such as \"0660\"")))
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Make a development CA and certificate if neither file is there.
    #[serde(default)]
    pub development: bool,
    /// Authorities of client certificates, PEM; absent: clients are not asked for any.
    pub client_ca: Option<PathBuf>,
    /// Refuse clients without a certificate.
    #[serde(default)]
    pub client_required: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub password_file: Option<PathBuf>,
    /// Bearer token of the HTTP administration.
    pub token_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identities {
    /// An inetOrgPerson below one of these names is an identity; `{suffix}` stands for the suffix.
    pub bases: Vec<String>,
    pub release: Release,
    pub delete: DeleteMode,
    /// Lists of attributes: identities with the same values of all of one list may be one person.
    pub duplicates: Vec<Vec<SmolStr>>,
    /// Of messages about class rules, for clients that name no language.
    pub language: Language,
    /// Modes of rules between attributes, in place of those in `cross.yml`.
    pub cross: BTreeMap<SmolStr, Mode>,
}

impl Default for Identities {
    fn default() -> Self {
        Identities {
            bases: vec!["ou=people,{suffix}".to_owned()],
            release: Release::default(),
            delete: DeleteMode::default(),
            duplicates: vec![["supannOIDCDateDeNaissance", "givenName"].map(SmolStr::new_static).to_vec()],
            language: Language::default(),
            cross: BTreeMap::new(),
        }
    }
}

/// How careers are kept up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// Folder with states.yml, rules.yml or rules/, transitions.yml and resource-states.yml; absent:
    /// those that the program was built with.
    pub folder: Option<PathBuf>,
    /// Seconds between two looks at the timed rules when none is due before.
    pub tick_secs: u64,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Lifecycle { folder: None, tick_secs: 300 }
    }
}

/// How Sesame's HTTP contract is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub contract: Contract,
    /// Where a valid write over HTTP leaves an identity.
    pub release: Release,
    /// The name of a new identity; absent: by its uid, below the first of the bases.
    pub dn: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Http { contract: Contract::default(), release: Release::Manual, dn: None }
    }
}

/// Limits of some identities, in place of those for all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsFor {
    /// As in access rules.
    pub who: Vec<String>,
    pub identity_connections: Option<usize>,
    pub search_entries: Option<usize>,
    pub search_secs: Option<u64>,
    pub search_candidates: Option<usize>,
    pub page_entries: Option<usize>,
    pub in_flight: Option<usize>,
    pub idle_secs: Option<u64>,
}

/// What is offered over LDAP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ldap {
    /// Take LDAPv2 binds.
    pub version_2: bool,
    /// Controls that are not offered, by OID or name.
    pub controls_off: Vec<String>,
    /// Show the journal below `cn=changelog` to those whom the access rules let read it.
    pub change_log: bool,
    /// Answer clients that have not bound.
    pub anonymous: bool,
    /// Refuse passwords on connections without TLS.
    pub require_tls_for_bind: bool,
    pub sasl: SaslDef,
}

impl Default for Ldap {
    fn default() -> Self {
        Ldap {
            version_2: false,
            controls_off: Vec::new(),
            change_log: true,
            anonymous: true,
            require_tls_for_bind: false,
            sasl: SaslDef::default(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// error, warn, info, debug, trace, or a filter such as `vestibule::ldap=debug,info`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Text, level: "info".to_owned() }
    }
}
