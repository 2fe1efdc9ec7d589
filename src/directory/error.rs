//! The one error of the domain. Its texts are written for the client: they name attribute and
//! rule, and never a path, a stored value or an internal form.

use crate::{access::Place, auth, entry::ModError, lifecycle, schema::Violations, store};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", no_such_object(.matched))]
    NoSuchObject { matched: Option<String> },
    #[error("an entry of this name exists")]
    AlreadyExists,
    #[error("the entry has subordinates; delete or move them first")]
    NotLeaf,
    #[error("invalid DN: {0}")]
    InvalidDn(#[from] crate::dn::ParseError),
    #[error("invalid DN: {attr} (syntax): expected {syntax}")]
    NameSyntax { attr: String, syntax: &'static str },
    #[error("the name is outside of the suffix {suffix}")]
    OutsideSuffix { suffix: String },
    #[error("{attr} (naming): {reason}")]
    Naming { attr: String, reason: &'static str },
    #[error("{attr} (naming): its value is part of the entry's name; rename the entry instead")]
    NotAllowedOnRdn { attr: String },
    #[error("objectClass (structural class): cannot change from {from} to {to}")]
    StructuralClassChange { from: String, to: String },
    #[error("{0}")]
    Violations(#[from] Violations),
    #[error("{0}")]
    Modification(#[from] ModError),
    #[error("{attr} (unique, rule '{rule}'): {}", held_by(.holder))]
    NotUnique { attr: String, rule: String, holder: Option<String> },
    #[error("{attr} (references): {lost} of its values name no entry")]
    NoReferent { attr: String, lost: usize },
    #[error("{attr}: {fault}")]
    Axis { attr: String, fault: lifecycle::Fault },
    #[error("vestibuleState: {0}")]
    Refused(#[from] lifecycle::Refused),
    #[error("vestibuleLifecycle: {0}")]
    NotPermitted(#[from] lifecycle::NotPermitted),
    #[error("{attr}: {reason}")]
    NotAnIdentity { attr: String, reason: &'static str },
    #[error("userPassword: {0}")]
    Password(#[from] auth::Error),
    #[error("{what} (limit): more than the server allows")]
    TooLarge { what: &'static str },
    #[error("no right to {what}")]
    Access { what: String },
    #[error("the name is kept by another server; see the referral")]
    Referral { uris: Vec<String>, matched: String },
    #[error("the new name belongs to another server")]
    SeveralServers,
    #[error("alias: {reason}")]
    Alias { reason: &'static str, matched: Option<String> },
    #[error("the entry has changed since it was read; read it again")]
    Stale,
    #[error("the assertion is not true of the entry")]
    AssertionFailed,
    #[error("not possible: {0}")]
    Unwilling(&'static str),
    #[error("the directory cannot write at present; ask its operator")]
    Unavailable,
    #[error("the directory is short of disk space and takes no writes")]
    NoSpace,
    #[error("internal error; see the server's log")]
    Internal(String),
    #[error("{0}")]
    Store(#[from] store::Error),
}

fn no_such_object(matched: &Option<String>) -> &'static str {
    match matched {
        Some(_) => "no such entry; the nearest that exists is named as matched DN",
        None => "no such entry",
    }
}

fn held_by(holder: &Option<String>) -> String {
    match holder {
        Some(dn) => format!("{dn} holds this value"),
        None => "another entry holds this value".to_owned(),
    }
}

impl Place<'_, '_> {
    /// The refusal of a right. To someone without any right here the entry is not there at all,
    /// so that names cannot be found out by asking.
    pub fn denial(&self, what: String) -> Error {
        if self.is_blind() { Error::NoSuchObject { matched: None } } else { Error::Access { what } }
    }
}

impl Error {
    pub fn invalid(violation: crate::schema::Violation) -> Self {
        Error::Violations(Violations::new(vec![violation]))
    }
}
