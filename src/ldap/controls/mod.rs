//! Request controls (RFC 4511 section 4.1.11): one table says which there are, for which
//! operations, and how their values are read. What it lists is advertised; what is not listed, or
//! switched off, is refused if it is critical and ignored if it is not.

mod proxied;
mod read;

pub use proxied::effective;
pub use read::{Deref, Paged, Place, SortKey, Vlv};

use super::ops::{PersistentSearch, SyncRequest};
use super::{
    message::{Control, Kind},
    result::{self, Code, LdapResult},
};
use crate::filter::Ast;

/// What the controls of one request ask for.
#[derive(Debug, Default)]
pub struct Controls {
    pub manage_dsa_it: bool,
    /// The identity to act as.
    pub proxied: Option<String>,
    pub assertion: Option<Ast>,
    /// Attributes to show of the entry before the change.
    pub pre_read: Option<Vec<String>>,
    /// And after it.
    pub post_read: Option<Vec<String>>,
    pub permissive: bool,
    pub tree_delete: bool,
    pub no_op: bool,
    pub relax: bool,
    pub transaction: Option<Vec<u8>>,
    pub authorization_identity: bool,
    /// Who stands behind the client, for the log.
    pub session_tracking: Option<String>,
    pub paged: Option<Paged>,
    pub sort: Option<Vec<SortKey>>,
    /// A list that cannot be sorted as asked is an error.
    pub sort_critical: bool,
    pub vlv: Option<Vlv>,
    pub matched_values: Option<Vec<Ast>>,
    pub deref: Option<Vec<Deref>>,
    /// Only subentries, or everything but them (RFC 3672).
    pub subentries: Option<bool>,
    pub sync: Option<SyncRequest>,
    pub persistent: Option<PersistentSearch>,
}

/// A control that works.
pub struct Spec {
    pub oid: &'static str,
    pub name: &'static str,
    on: &'static [Kind],
    read: fn(&mut Controls, Asked<'_>) -> Option<()>,
}

/// A control as it came.
struct Asked<'a> {
    critical: bool,
    value: Option<&'a [u8]>,
    filter_depth: usize,
}

/// The controls that this server offers: all that work but those switched off.
pub struct Offered(Vec<&'static Spec>);

impl Offered {
    /// `off` names controls by name or OID; `Err` is one that there is not.
    pub fn without(off: &[String]) -> Result<Self, String> {
        let is = |spec: &Spec, word: &str| spec.oid == word || spec.name == word;
        if let Some(unknown) = off.iter().find(|word| !SUPPORTED.iter().any(|spec| is(spec, word))) {
            return Err(unknown.clone());
        }
        Ok(Offered(SUPPORTED.iter().filter(|spec| !off.iter().any(|word| is(spec, word))).collect()))
    }

    pub fn oids(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|spec| spec.oid)
    }

    /// True if the control of this OID is offered.
    pub fn has(&self, oid: &str) -> bool {
        self.0.iter().any(|spec| spec.oid == oid)
    }

    /// Reads the controls of a request of this kind.
    pub fn read(&self, list: &[Control], kind: Kind, filter_depth: usize) -> Result<Controls, LdapResult> {
        let mut controls = Controls::default();
        for (at, control) in list.iter().enumerate() {
            let oid = &control.oid;
            let Some(spec) = self.0.iter().find(|spec| spec.oid == oid && spec.on.contains(&kind)) else {
                if !control.critical {
                    continue;
                }
                let text = format!("critical control {oid} is not supported for {}", kind.name());
                return Err(result::result(Code::UnavailableCriticalExtension, text));
            };
            if list.iter().take(at).any(|earlier| earlier.oid == *oid) {
                let text = format!("control {oid} is given twice");
                return Err(result::result(Code::ProtocolError, text));
            }
            let asked = Asked { critical: control.critical, value: control.value.as_deref(), filter_depth };
            if (spec.read)(&mut controls, asked).is_none() {
                let text = format!("the value of control {oid} ({}) is malformed", spec.name);
                return Err(result::result(Code::ProtocolError, text));
            }
        }
        Ok(controls)
    }
}

pub const PRE_READ: &str = "1.3.6.1.1.13.1";
pub const POST_READ: &str = "1.3.6.1.1.13.2";
pub const AUTHORIZATION_IDENTITY_RESPONSE: &str = "2.16.840.1.113730.3.4.15";
pub const PAGED: &str = "1.2.840.113556.1.4.319";
pub const SORT_RESPONSE: &str = "1.2.840.113556.1.4.474";
pub const VLV_RESPONSE: &str = "2.16.840.1.113730.3.4.10";
pub const DEREF: &str = "1.3.6.1.4.1.4203.666.5.16";

const WRITES: &[Kind] = &[Kind::Add, Kind::Modify, Kind::Delete, Kind::ModifyDn];
const READS_AND_WRITES: &[Kind] = &[Kind::Search, Kind::Compare, Kind::Add, Kind::Modify, Kind::Delete, Kind::ModifyDn];
const SEARCH: &[Kind] = &[Kind::Search];

/// All that work.
static SUPPORTED: &[Spec] = &[
    // RFC 3296.
    Spec { oid: "2.16.840.1.113730.3.4.2", name: "manage-dsa-it", on: READS_AND_WRITES, read: read::manage_dsa_it },
    // RFC 4370.
    Spec {
        oid: "2.16.840.1.113730.3.4.18",
        name: "proxied-authorization",
        on: &[Kind::Search, Kind::Compare, Kind::Add, Kind::Modify, Kind::Delete, Kind::ModifyDn, Kind::Extended],
        read: read::proxied,
    },
    // RFC 4528.
    Spec { oid: "1.3.6.1.1.12", name: "assertion", on: READS_AND_WRITES, read: read::assertion },
    // RFC 4527.
    Spec { oid: PRE_READ, name: "pre-read", on: &[Kind::Modify, Kind::Delete, Kind::ModifyDn], read: read::pre_read },
    Spec { oid: POST_READ, name: "post-read", on: &[Kind::Add, Kind::Modify, Kind::ModifyDn], read: read::post_read },
    // RFC 3829.
    Spec {
        oid: "2.16.840.1.113730.3.4.16",
        name: "authorization-identity",
        on: &[Kind::Bind],
        read: read::authorization_identity,
    },
    // Known from Active Directory.
    Spec { oid: "1.2.840.113556.1.4.1413", name: "permissive-modify", on: &[Kind::Modify], read: read::permissive },
    Spec { oid: "1.2.840.113556.1.4.805", name: "tree-delete", on: &[Kind::Delete], read: read::tree_delete },
    // draft-zeilenga-ldap-noop, draft-zeilenga-ldap-relax.
    Spec { oid: "1.3.6.1.4.1.4203.666.5.2", name: "no-op", on: WRITES, read: read::no_op },
    Spec { oid: "1.3.6.1.4.1.4203.666.5.12", name: "relax", on: WRITES, read: read::relax },
    // RFC 6171: this server holds no copies, so every answer comes from the original.
    Spec { oid: "1.3.6.1.1.22", name: "dont-use-copy", on: &[Kind::Search, Kind::Compare], read: read::without_effect },
    // draft-wahl-ldap-session.
    Spec {
        oid: "1.3.6.1.4.1.21008.108.63.1",
        name: "session-tracking",
        on: &[
            Kind::Bind,
            Kind::Search,
            Kind::Compare,
            Kind::Add,
            Kind::Modify,
            Kind::Delete,
            Kind::ModifyDn,
            Kind::Extended,
        ],
        read: read::session_tracking,
    },
    // RFC 4533.
    Spec { oid: "1.3.6.1.4.1.4203.1.9.1.1", name: "sync", on: SEARCH, read: read::sync },
    // draft-ietf-ldapext-psearch-03.
    Spec { oid: "2.16.840.1.113730.3.4.3", name: "persistent-search", on: SEARCH, read: read::persistent },
    // RFC 5805.
    Spec { oid: "1.3.6.1.1.21.2", name: "transaction", on: WRITES, read: read::transaction },
    // RFC 3672.
    Spec { oid: "1.3.6.1.4.1.4203.1.10.1", name: "subentries", on: SEARCH, read: read::subentries },
    // RFC 2696.
    Spec { oid: PAGED, name: "paged-results", on: SEARCH, read: read::paged },
    // RFC 2891.
    Spec { oid: "1.2.840.113556.1.4.473", name: "sort", on: SEARCH, read: read::sort },
    // draft-ietf-ldapext-ldapv3-vlv-09.
    Spec { oid: "2.16.840.1.113730.3.4.9", name: "virtual-list-view", on: SEARCH, read: read::vlv },
    // RFC 3876.
    Spec { oid: "1.2.826.0.1.3344810.2.3", name: "matched-values", on: SEARCH, read: read::matched_values },
    // draft-masarati-ldap-deref.
    Spec { oid: DEREF, name: "dereference", on: SEARCH, read: read::deref },
];
