//! The one translation from domain errors to LDAP results. No wildcard arm: a new error does not
//! compile until its code is chosen here.

use crate::{
    auth,
    directory::Error,
    entry::ModError,
    schema::{Fault, Violations},
};

/// RFC 4511 section 4.1.9.
#[derive(Clone, Debug)]
pub struct LdapResult {
    pub code: Code,
    pub matched: String,
    pub message: String,
    pub referral: Vec<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Result codes (RFC 4511 appendix A, and where noted).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            pub fn number(self) -> u16 {
                match self { $(Code::$name => $number,)* }
            }
        }
    };
}

codes! {
    Success = 0,
    OperationsError = 1,
    ProtocolError = 2,
    TimeLimitExceeded = 3,
    SizeLimitExceeded = 4,
    CompareFalse = 5,
    CompareTrue = 6,
    AuthMethodNotSupported = 7,
    StrongerAuthRequired = 8,
    Referral = 10,
    AdminLimitExceeded = 11,
    UnavailableCriticalExtension = 12,
    ConfidentialityRequired = 13,
    SaslBindInProgress = 14,
    NoSuchAttribute = 16,
    UndefinedAttributeType = 17,
    InappropriateMatching = 18,
    ConstraintViolation = 19,
    AttributeOrValueExists = 20,
    InvalidAttributeSyntax = 21,
    NoSuchObject = 32,
    AliasProblem = 33,
    InvalidDnSyntax = 34,
    AliasDereferencingProblem = 36,
    InappropriateAuthentication = 48,
    InvalidCredentials = 49,
    InsufficientAccessRights = 50,
    Busy = 51,
    Unavailable = 52,
    UnwillingToPerform = 53,
    LoopDetect = 54,
    /// RFC 2891: an index is asked for by a list that is not sorted.
    SortControlMissing = 60,
    /// The window of a list is out of range (draft-ietf-ldapext-ldapv3-vlv-09).
    OffsetRangeError = 61,
    NamingViolation = 64,
    ObjectClassViolation = 65,
    NotAllowedOnNonLeaf = 66,
    NotAllowedOnRdn = 67,
    EntryAlreadyExists = 68,
    ObjectClassModsProhibited = 69,
    AffectsMultipleDsas = 71,
    /// draft-ietf-ldapext-ldapv3-vlv-09.
    VirtualListViewError = 76,
    Other = 80,
    /// RFC 3909.
    Canceled = 118,
    NoSuchOperation = 119,
    TooLate = 120,
    CannotCancel = 121,
    /// RFC 4528.
    AssertionFailed = 122,
    /// RFC 4370.
    AuthorizationDenied = 123,
    /// RFC 4533.
    SyncRefreshRequired = 4096,
    /// All is well, and nothing was done (draft-zeilenga-ldap-noop).
    NoOperation = 16654,
}

pub fn result(code: Code, message: impl Into<String>) -> LdapResult {
    LdapResult { code, matched: String::new(), message: message.into(), referral: Vec::new() }
}

pub fn success() -> LdapResult {
    result(Code::Success, "")
}

pub fn of(error: &Error) -> LdapResult {
    let matched = match error {
        Error::NoSuchObject { matched } | Error::Alias { matched, .. } => matched.clone().unwrap_or_default(),
        Error::Referral { matched, .. } => matched.clone(),
        _ => String::new(),
    };
    let referral = match error {
        Error::Referral { uris, .. } => uris.clone(),
        _ => Vec::new(),
    };
    LdapResult { matched, referral, ..result(code(error), error.to_string()) }
}

pub fn code(error: &Error) -> Code {
    match error {
        Error::NoSuchObject { .. } | Error::OutsideSuffix { .. } => Code::NoSuchObject,
        Error::AlreadyExists => Code::EntryAlreadyExists,
        Error::NotLeaf => Code::NotAllowedOnNonLeaf,
        Error::InvalidDn(_) | Error::NameSyntax { .. } => Code::InvalidDnSyntax,
        Error::Naming { .. } => Code::NamingViolation,
        Error::NotAllowedOnRdn { .. } => Code::NotAllowedOnRdn,
        Error::StructuralClassChange { .. } => Code::ObjectClassModsProhibited,
        Error::Violations(violations) => violations_code(violations),
        Error::Modification(error) => match error {
            ModError::ValueExists(_) | ModError::ValueTwice(_) => Code::AttributeOrValueExists,
            ModError::NoAttribute(_) | ModError::NoValue(_) => Code::NoSuchAttribute,
            ModError::NoValueGiven(_) | ModError::NotOneValue(_) => Code::ProtocolError,
            ModError::NoEquality(_) => Code::InappropriateMatching,
            ModError::NotInteger(_) => Code::ConstraintViolation,
        },
        Error::Axis { .. } => Code::InvalidAttributeSyntax,
        Error::Refused(_) | Error::NotPermitted(_) => Code::UnwillingToPerform,
        Error::NotUnique { .. } | Error::NoReferent { .. } => Code::ConstraintViolation,
        Error::NotAnIdentity { .. } => Code::ConstraintViolation,
        Error::Password(error) => match error {
            auth::Error::Empty | auth::Error::Malformed(_) => Code::ConstraintViolation,
            auth::Error::Scheme(_) => Code::UnwillingToPerform,
            auth::Error::Hashing => Code::Other,
        },
        Error::TooLarge { .. } => Code::AdminLimitExceeded,
        Error::Access { .. } => Code::InsufficientAccessRights,
        Error::Referral { .. } => Code::Referral,
        Error::SeveralServers => Code::AffectsMultipleDsas,
        Error::Alias { .. } => Code::AliasProblem,
        Error::AssertionFailed => Code::AssertionFailed,
        Error::Stale => Code::Busy,
        Error::Unwilling(_) => Code::UnwillingToPerform,
        Error::Unavailable | Error::NoSpace => Code::Unavailable,
        Error::Internal(_) | Error::Store(_) => Code::Other,
    }
}

/// The code of the gravest violation; all of them stand in the message.
fn violations_code(violations: &Violations) -> Code {
    match violations.gravest() {
        Some(Fault::UnknownClass | Fault::StructuralClass | Fault::MissingAttribute | Fault::NotAllowed) => {
            Code::ObjectClassViolation
        }
        Some(Fault::UnknownAttribute) => Code::UndefinedAttributeType,
        Some(Fault::InvalidSyntax) => Code::InvalidAttributeSyntax,
        Some(Fault::SingleValue | Fault::NoUserModification | Fault::ClassRule) | None => Code::ConstraintViolation,
    }
}
