//! Value syntaxes (RFC 4517 section 3.3): which byte strings are values at all.

use super::Schema;
use crate::{clock::Timestamp, dn::Dn};

macro_rules! syntaxes {
    ($($name:ident $oid:literal $desc:literal;)*) => {
        /// A syntax that this server knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Syntax { $($name),* }

        impl Syntax {
            pub const ALL: &[Syntax] = &[$(Syntax::$name),*];

            pub fn oid(self) -> &'static str {
                match self { $(Syntax::$name => $oid),* }
            }

            /// What a value must be, for `ldapSyntaxes` and for diagnostics.
            pub fn desc(self) -> &'static str {
                match self { $(Syntax::$name => $desc),* }
            }

            pub fn by_oid(oid: &str) -> Option<Self> {
                match oid { $($oid => Some(Syntax::$name),)* _ => None }
            }
        }
    };
}

syntaxes! {
    AttributeTypeDescription "1.3.6.1.4.1.1466.115.121.1.3" "Attribute Type Description";
    Audio "1.3.6.1.4.1.1466.115.121.1.4" "Audio";
    Binary "1.3.6.1.4.1.1466.115.121.1.5" "Binary";
    BitString "1.3.6.1.4.1.1466.115.121.1.6" "Bit String";
    Boolean "1.3.6.1.4.1.1466.115.121.1.7" "Boolean";
    Certificate "1.3.6.1.4.1.1466.115.121.1.8" "Certificate";
    CertificateList "1.3.6.1.4.1.1466.115.121.1.9" "Certificate List";
    CertificatePair "1.3.6.1.4.1.1466.115.121.1.10" "Certificate Pair";
    CountryString "1.3.6.1.4.1.1466.115.121.1.11" "Country String";
    Dn "1.3.6.1.4.1.1466.115.121.1.12" "DN";
    DeliveryMethod "1.3.6.1.4.1.1466.115.121.1.14" "Delivery Method";
    DirectoryString "1.3.6.1.4.1.1466.115.121.1.15" "Directory String";
    DitContentRule "1.3.6.1.4.1.1466.115.121.1.16" "DIT Content Rule Description";
    DitStructureRule "1.3.6.1.4.1.1466.115.121.1.17" "DIT Structure Rule Description";
    EnhancedGuide "1.3.6.1.4.1.1466.115.121.1.21" "Enhanced Guide";
    Fax "1.3.6.1.4.1.1466.115.121.1.22" "Facsimile Telephone Number";
    FaxImage "1.3.6.1.4.1.1466.115.121.1.23" "Fax";
    GeneralizedTime "1.3.6.1.4.1.1466.115.121.1.24" "Generalized Time";
    Guide "1.3.6.1.4.1.1466.115.121.1.25" "Guide";
    Ia5String "1.3.6.1.4.1.1466.115.121.1.26" "IA5 String";
    Integer "1.3.6.1.4.1.1466.115.121.1.27" "INTEGER";
    Jpeg "1.3.6.1.4.1.1466.115.121.1.28" "JPEG";
    MatchingRuleDescription "1.3.6.1.4.1.1466.115.121.1.30" "Matching Rule Description";
    MatchingRuleUse "1.3.6.1.4.1.1466.115.121.1.31" "Matching Rule Use Description";
    NameAndOptionalUid "1.3.6.1.4.1.1466.115.121.1.34" "Name And Optional UID";
    NameForm "1.3.6.1.4.1.1466.115.121.1.35" "Name Form Description";
    NumericString "1.3.6.1.4.1.1466.115.121.1.36" "Numeric String";
    ObjectClassDescription "1.3.6.1.4.1.1466.115.121.1.37" "Object Class Description";
    Oid "1.3.6.1.4.1.1466.115.121.1.38" "OID";
    OtherMailbox "1.3.6.1.4.1.1466.115.121.1.39" "Other Mailbox";
    OctetString "1.3.6.1.4.1.1466.115.121.1.40" "Octet String";
    PostalAddress "1.3.6.1.4.1.1466.115.121.1.41" "Postal Address";
    PrintableString "1.3.6.1.4.1.1466.115.121.1.44" "Printable String";
    SubtreeSpecification "1.3.6.1.4.1.1466.115.121.1.45" "Subtree Specification";
    SupportedAlgorithm "1.3.6.1.4.1.1466.115.121.1.49" "Supported Algorithm";
    TelephoneNumber "1.3.6.1.4.1.1466.115.121.1.50" "Telephone Number";
    TeletexTerminalIdentifier "1.3.6.1.4.1.1466.115.121.1.51" "Teletex Terminal Identifier";
    TelexNumber "1.3.6.1.4.1.1466.115.121.1.52" "Telex Number";
    UtcTime "1.3.6.1.4.1.1466.115.121.1.53" "UTC Time";
    LdapSyntaxDescription "1.3.6.1.4.1.1466.115.121.1.54" "LDAP Syntax Description";
    SubstringAssertion "1.3.6.1.4.1.1466.115.121.1.58" "Substring Assertion";
    Uuid "1.3.6.1.1.16.1" "UUID";
}

impl Syntax {
    /// True if the value is one of this syntax. Empty strings are none (RFC 4517 3.3).
    pub fn accepts(self, value: &[u8], schema: &Schema) -> bool {
        use Syntax::*;
        match self {
            Boolean => value == b"TRUE" || value == b"FALSE",
            Integer => is_integer(value),
            NumericString => !value.is_empty() && value.iter().all(|b| b.is_ascii_digit() || *b == b' '),
            Ia5String => !value.is_empty() && value.is_ascii(),
            PrintableString => !value.is_empty() && value.iter().all(|b| is_printable(*b)),
            TelephoneNumber => !value.is_empty() && value.iter().all(|b| is_printable(*b)),
            CountryString => value.len() == 2 && value.iter().all(|b| b.is_ascii_alphabetic()),
            DirectoryString | PostalAddress => !value.is_empty() && std::str::from_utf8(value).is_ok(),
            Fax | TelexNumber | TeletexTerminalIdentifier => !value.is_empty() && value.is_ascii(),
            GeneralizedTime => text(value).and_then(Timestamp::parse_generalized_time).is_some(),
            UtcTime => !value.is_empty() && value.is_ascii(),
            Dn => text(value).is_some_and(|t| crate::dn::Dn::parse(t).is_ok()),
            NameAndOptionalUid => text(value).is_some_and(|t| {
                let (name, bits) = split_uid(t);
                bits.is_none_or(|b| is_bit_string(b.as_bytes())) && self::Dn::parse(name).is_ok()
            }),
            BitString => is_bit_string(value),
            Oid => text(value).is_some_and(|t| is_oid(t) || is_descr(t) || schema.is_named(t)),
            Uuid => text(value).is_some_and(|t| t.len() == 36 && uuid::Uuid::try_parse(t).is_ok()),
            Audio | Binary | Certificate | CertificateList | CertificatePair | FaxImage | Jpeg | OctetString
            | SupportedAlgorithm => true,
            AttributeTypeDescription
            | DeliveryMethod
            | DitContentRule
            | DitStructureRule
            | EnhancedGuide
            | Guide
            | MatchingRuleDescription
            | MatchingRuleUse
            | NameForm
            | ObjectClassDescription
            | OtherMailbox
            | SubtreeSpecification
            | LdapSyntaxDescription
            | SubstringAssertion => !value.is_empty() && std::str::from_utf8(value).is_ok(),
        }
    }
}

impl Syntax {
    /// True if values are BER encodings (RFC 4523 section 2, and Binary for what came before it).
    pub fn is_ber(self) -> bool {
        use Syntax::*;
        matches!(self, Certificate | CertificateList | CertificatePair | SupportedAlgorithm | Binary)
    }
}

impl Schema {
    /// True if the text names a class, an attribute type or a rule.
    pub(super) fn is_named(&self, text: &str) -> bool {
        self.class_id(text).is_some() || self.attr_id(text).is_some() || super::rule(text).is_some()
    }
}

/// Splits `DN#'0101'B` (RFC 4517 section 3.3.21).
pub(super) fn split_uid(value: &str) -> (&str, Option<&str>) {
    match value.rsplit_once('#') {
        Some((name, bits)) if is_bit_string(bits.as_bytes()) => (name, Some(bits)),
        _ => (value, None),
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// RFC 4517 section 3.3.16: no leading zeros, no `-0`.
fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    match digits {
        [b'0'] => value.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_printable(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b" '()+,-./:?=".contains(&b)
}

fn is_bit_string(value: &[u8]) -> bool {
    value
        .strip_prefix(b"'")
        .and_then(|v| v.strip_suffix(b"'B"))
        .is_some_and(|bits| bits.iter().all(|b| matches!(b, b'0' | b'1')))
}

pub(super) fn is_oid(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|arc| {
            !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
        })
}

pub(super) fn is_descr(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
