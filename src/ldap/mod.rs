//! LDAPv3 on the wire (RFC 4511): listeners, sessions, operations. Turns messages into questions
//! to the directory and its answers into messages; decides nothing about entries.

mod accounts;
mod bounds;
mod certificate;
mod change_log;
pub mod client;
mod codec;
mod controls;
mod convert;
mod decode;
mod deleted;
mod encode;
mod external;
mod filter;
mod listener;
mod lookup;
mod message;
mod monitor;
mod ops;
mod outbox;
mod pipe;
mod proxy_header;
mod reply;
mod result;
mod rootdse;
mod sasl;
mod session;
mod state;
mod template;
pub mod tls;

pub use bounds::BoundsRule;
pub use controls::Offered;
pub use listener::{Listeners, run};
pub use proxy_header::Proxies;
pub use sasl::{Sasl, SaslDef};

use crate::{clock::Clock, directory::Directory, dn::DnKey, limits::Limits, provisioning::Provisioning};
use secrecy::SecretString;
use smol_str::SmolStr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What sessions need to know.
pub struct Options {
    pub directory: Arc<Directory>,
    pub admin: Admin,
    pub tls: Option<Arc<tls::Tls>>,
    pub limits: Arc<Limits>,
    /// Other limits for some; the first that speaks of an identity counts.
    pub bounds: Vec<BoundsRule>,
    pub clock: Clock,
    /// What is known of the export targets and of the accounts there.
    pub provisioning: Arc<dyn Provisioning>,
    /// The controls that clients may use.
    pub controls: Offered,
    /// Whether LDAPv2 binds are taken, for clients that know nothing newer.
    pub version_2: bool,
    /// Whether clients may ask for anything without a bind.
    pub anonymous: bool,
    /// Whether passwords are taken on connections with TLS only.
    pub require_tls_for_bind: bool,
    pub sasl: Sasl,
    /// Who may say that a connection is another's.
    pub proxies: Proxies,
    /// Whether the journal is shown below `cn=changelog`.
    pub change_log: bool,
}

/// The administrator of the configuration.
pub struct Admin {
    pub dn: SmolStr,
    pub key: DnKey,
    pub password: AdminPassword,
}

/// How the administrator's password is known.
pub enum AdminPassword {
    /// Given by environment or file.
    Given(SecretString),
    /// The hash of one that the first start made.
    Made(Vec<u8>),
}

/// What all connections share.
struct Shared {
    options: Options,
    /// Password hashes under computation.
    hashing: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    /// Bytes that open transactions may hold.
    transactions: Arc<Semaphore>,
    monitor: monitor::Monitor,
    /// Verified against where no user is found, so that a refusal takes as long as any other.
    decoy: Vec<u8>,
}
