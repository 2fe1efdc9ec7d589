//! The one translation from domain errors to LDAP results. No wildcard arm: a new error does not
//! compile until its code is chosen here.

use super::message::Kind;
use crate::{
    auth,
    directory::Error,
    entry::ModError,
    schema::{Fault, Violations},
};
use ldap3_proto::proto::{LdapBindResponse, LdapExtendedResponse, LdapOp, LdapResult, LdapResultCode as Code};

pub fn result(code: Code, message: impl Into<String>) -> LdapResult {
    LdapResult { code, matcheddn: String::new(), message: message.into(), referral: Vec::new() }
}

pub fn success() -> LdapResult {
    result(Code::Success, "")
}

pub fn of(error: &Error) -> LdapResult {
    let matcheddn = match error {
        Error::NoSuchObject { matched } => matched.clone().unwrap_or_default(),
        _ => String::new(),
    };
    LdapResult { matcheddn, ..result(code(error), error.to_string()) }
}

pub fn code(error: &Error) -> Code {
    match error {
        Error::NoSuchObject { .. } | Error::OutsideSuffix { .. } => Code::NoSuchObject,
        Error::AlreadyExists => Code::EntryAlreadyExists,
        Error::NotLeaf => Code::NotAllowedOnNonLeaf,
        Error::InvalidDn(_) => Code::InvalidDNSyntax,
        Error::Naming { .. } => Code::NamingViolation,
        Error::NotAllowedOnRdn { .. } => Code::NotALlowedOnRDN,
        Error::StructuralClassChange { .. } => Code::ObjectClassModsProhibited,
        Error::Violations(violations) => violations_code(violations),
        Error::Modification(error) => match error {
            ModError::ValueExists(_) | ModError::ValueTwice(_) => Code::AttributeOrValueExists,
            ModError::NoAttribute(_) | ModError::NoValue(_) => Code::NoSuchAttribute,
            ModError::NoValueGiven(_) => Code::ProtocolError,
            ModError::NoEquality(_) => Code::InappropriateMatching,
            ModError::NotInteger(_) => Code::ConstraintViolation,
        },
        Error::Axis { .. } => Code::InvalidAttributeSyntax,
        Error::Refused(_) => Code::UnwillingToPerform,
        Error::NotAnIdentity { .. } => Code::ConstraintViolation,
        Error::Password(error) => match error {
            auth::Error::Empty | auth::Error::Malformed(_) => Code::ConstraintViolation,
            auth::Error::Scheme(_) => Code::UnwillingToPerform,
            auth::Error::Hashing => Code::Other,
        },
        Error::TooLarge { .. } => Code::AdminLimitExceeded,
        Error::Access { .. } => Code::InsufficentAccessRights,
        Error::AssertionFailed => Code::AssertionFailed,
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

/// The response that answers a request of this kind; none for unbind and abandon.
pub fn response(kind: Kind, result: LdapResult) -> Option<LdapOp> {
    Some(match kind {
        Kind::Bind => LdapOp::BindResponse(LdapBindResponse { res: result, saslcreds: None }),
        Kind::Search => LdapOp::SearchResultDone(result),
        Kind::Modify => LdapOp::ModifyResponse(result),
        Kind::Add => LdapOp::AddResponse(result),
        Kind::Delete => LdapOp::DelResponse(result),
        Kind::ModifyDn => LdapOp::ModifyDNResponse(result),
        Kind::Compare => LdapOp::CompareResult(result),
        Kind::Extended => LdapOp::ExtendedResponse(LdapExtendedResponse { res: result, name: None, value: None }),
        Kind::Unbind | Kind::Abandon => return None,
    })
}
