//! Matching rules (RFC 4517 section 4.2): every rule brings a value to a normal form, and two
//! values match if their normal forms are the same bytes. Normal forms also sort as the
//! ordering rule says, so one sorted index serves equality, ordering and initial substrings.

use super::{
    AttrId, Attribute, Schema, names,
    prepare::{self, Part},
    syntax::{self, Syntax},
};
use crate::{
    clock::Timestamp,
    dn::{Dn, DnKey, Rdn, RdnKey},
};
use std::borrow::Cow;

/// A value in normal form.
pub type Normal<'a> = Cow<'a, [u8]>;

/// The parts of a substring assertion in normal form (RFC 4517 section 4.2.6 and others).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SubParts {
    pub initial: Option<Vec<u8>>,
    pub any: Vec<Vec<u8>>,
    pub last: Option<Vec<u8>>,
}

/// How values of a rule are brought to normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    CaseIgnore,
    CaseExact,
    Numeric,
    Telephone,
    List,
    Boolean,
    Integer,
    Bits,
    Octets,
    Time,
    Name,
    NameAndUid,
    Oid,
    Uuid,
    /// Matches the first component of a schema definition; never used on stored values.
    FirstComponent,
    /// All bits of the assertion are set in the value.
    BitAnd,
    /// One bit of the assertion is set in the value at least.
    BitOr,
    /// The entry named by the assertion is reached from the value, from one entry to the next.
    InChain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Equality,
    Ordering,
    Substrings,
    /// Only in extensible matches.
    Extensible,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    pub oid: &'static str,
    pub usage: Use,
    pub form: Form,
    /// Syntax of the assertion value.
    pub syntax: Syntax,
}

/// All rules that this server applies (RFC 4517 section 4.2, RFC 4530, and three of Active Directory).
/// No RFC has caseExactIA5SubstringsMatch; OpenLDAP made it, and sudo's schema asks for it.
pub static RULES: &[Rule] = &{
    use self::Use::*;
    use Form::*;
    use Syntax as S;
    const fn rule(name: &'static str, oid: &'static str, usage: self::Use, form: Form, syntax: Syntax) -> Rule {
        Rule { name, oid, usage, form, syntax }
    }
    [
        rule("objectIdentifierMatch", "2.5.13.0", Equality, Oid, S::Oid),
        rule("distinguishedNameMatch", "2.5.13.1", Equality, Name, S::Dn),
        rule("caseIgnoreMatch", "2.5.13.2", Equality, CaseIgnore, S::DirectoryString),
        rule("caseIgnoreOrderingMatch", "2.5.13.3", Ordering, CaseIgnore, S::DirectoryString),
        rule("caseIgnoreSubstringsMatch", "2.5.13.4", Substrings, CaseIgnore, S::SubstringAssertion),
        rule("caseExactMatch", "2.5.13.5", Equality, CaseExact, S::DirectoryString),
        rule("caseExactOrderingMatch", "2.5.13.6", Ordering, CaseExact, S::DirectoryString),
        rule("caseExactSubstringsMatch", "2.5.13.7", Substrings, CaseExact, S::SubstringAssertion),
        rule("numericStringMatch", "2.5.13.8", Equality, Numeric, S::NumericString),
        rule("numericStringOrderingMatch", "2.5.13.9", Ordering, Numeric, S::NumericString),
        rule("numericStringSubstringsMatch", "2.5.13.10", Substrings, Numeric, S::SubstringAssertion),
        rule("caseIgnoreListMatch", "2.5.13.11", Equality, List, S::PostalAddress),
        rule("caseIgnoreListSubstringsMatch", "2.5.13.12", Substrings, List, S::SubstringAssertion),
        rule("booleanMatch", "2.5.13.13", Equality, Boolean, S::Boolean),
        rule("integerMatch", "2.5.13.14", Equality, Integer, S::Integer),
        rule("integerOrderingMatch", "2.5.13.15", Ordering, Integer, S::Integer),
        rule("bitStringMatch", "2.5.13.16", Equality, Bits, S::BitString),
        rule("octetStringMatch", "2.5.13.17", Equality, Octets, S::OctetString),
        rule("octetStringOrderingMatch", "2.5.13.18", Ordering, Octets, S::OctetString),
        rule("telephoneNumberMatch", "2.5.13.20", Equality, Telephone, S::TelephoneNumber),
        rule("telephoneNumberSubstringsMatch", "2.5.13.21", Substrings, Telephone, S::SubstringAssertion),
        rule("uniqueMemberMatch", "2.5.13.23", Equality, NameAndUid, S::NameAndOptionalUid),
        rule("generalizedTimeMatch", "2.5.13.27", Equality, Time, S::GeneralizedTime),
        rule("generalizedTimeOrderingMatch", "2.5.13.28", Ordering, Time, S::GeneralizedTime),
        rule("integerFirstComponentMatch", "2.5.13.29", Equality, FirstComponent, S::Integer),
        rule("objectIdentifierFirstComponentMatch", "2.5.13.30", Equality, FirstComponent, S::Oid),
        rule("directoryStringFirstComponentMatch", "2.5.13.31", Equality, FirstComponent, S::DirectoryString),
        rule("caseExactIA5Match", "1.3.6.1.4.1.1466.109.114.1", Equality, CaseExact, S::Ia5String),
        rule("caseExactIA5SubstringsMatch", "1.3.6.1.4.1.4203.1.2.1", Substrings, CaseExact, S::SubstringAssertion),
        rule("caseIgnoreIA5Match", "1.3.6.1.4.1.1466.109.114.2", Equality, CaseIgnore, S::Ia5String),
        rule(
            "caseIgnoreIA5SubstringsMatch",
            "1.3.6.1.4.1.1466.109.114.3",
            Substrings,
            CaseIgnore,
            S::SubstringAssertion,
        ),
        rule("UUIDMatch", "1.3.6.1.1.16.2", Equality, Uuid, S::Uuid),
        rule("UUIDOrderingMatch", "1.3.6.1.1.16.3", Ordering, Uuid, S::Uuid),
        // Of Active Directory ([MS-ADTS] 3.1.1.3.4.4), where many clients have learnt them.
        rule("integerBitAndMatch", "1.2.840.113556.1.4.803", Extensible, BitAnd, S::Integer),
        rule("integerBitOrMatch", "1.2.840.113556.1.4.804", Extensible, BitOr, S::Integer),
        rule("distinguishedNameInChainMatch", "1.2.840.113556.1.4.1941", Extensible, InChain, S::Dn),
    ]
};

/// A rule by name or OID.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.oid == name || r.name.eq_ignore_ascii_case(name))
}

impl Rule {
    /// True if an extensible match may name the rule.
    pub fn is_for_values(&self) -> bool {
        self.usage != Use::Substrings && self.form != Form::FirstComponent
    }

    /// True if the rule can be used with values of the attribute type (RFC 4512 4.1.4).
    pub fn applies_to(&self, attribute: &Attribute) -> bool {
        match self.form {
            Form::BitAnd | Form::BitOr => attribute.syntax == Syntax::Integer,
            Form::InChain => matches!(attribute.syntax, Syntax::Dn | Syntax::NameAndOptionalUid),
            _ if [attribute.equality, attribute.ordering, attribute.substr].contains(&Some(self)) => true,
            _ => self.fits(attribute.syntax),
        }
    }

    /// True if values of the syntax are of the rule's own kind of value; strings of letters are of
    /// one kind (RFC 4517 4.2.11).
    fn fits(&self, syntax: Syntax) -> bool {
        use Syntax::*;
        match self.syntax {
            DirectoryString => matches!(syntax, DirectoryString | PrintableString | CountryString | TelephoneNumber),
            SubstringAssertion => false,
            own => own == syntax,
        }
    }

    /// True if the value matches an assertion in normal form.
    pub fn matches(&self, value: &[u8], assertion: &[u8], schema: &Schema) -> bool {
        let bits = || Some((bits(value)?, i64::from_be_bytes(assertion.try_into().ok()?)));
        match self.form {
            Form::BitAnd => bits().is_some_and(|(value, mask)| value & mask == mask),
            Form::BitOr => bits().is_some_and(|(value, mask)| value & mask != 0),
            // An ordering rule asks whether the value comes before (RFC 4517 4.2.3 and others).
            _ if self.usage == Use::Ordering => self.normalize(value, schema).is_some_and(|n| *n < *assertion),
            _ => self.normalize(value, schema).is_some_and(|normal| *normal == *assertion),
        }
    }

    /// True if an assertion of the rule follows references from entry to entry.
    pub fn is_chain(&self) -> bool {
        self.form == Form::InChain
    }

    /// True if normal forms of the rule have an order that means something.
    pub fn sorts(&self) -> bool {
        matches!(self.usage, Use::Equality | Use::Ordering) && self.form != Form::FirstComponent
    }

    /// The normal form of a value, or `None` if it is no value for this rule, in which case an
    /// assertion with it is Undefined.
    pub fn normalize<'a>(&self, value: &'a [u8], schema: &Schema) -> Option<Normal<'a>> {
        self.form.normalize(value, Part::Whole, schema)
    }

    /// The normal form of what a client asserts: `None`, and the assertion Undefined, if it is not of
    /// the rule's syntax (RFC 4511 4.5.1.7) or names a class or type that the schema does not have
    /// (RFC 4517 4.2.26).
    pub fn assertion<'a>(&self, value: &'a [u8], schema: &Schema) -> Option<Normal<'a>> {
        let unknown = |text| syntax::is_descr(text) && !schema.is_named(text);
        if !self.syntax.accepts(value, schema) || (self.form == Form::Oid && unknown(text(value)?)) {
            return None;
        }
        self.normalize(value, schema)
    }

    /// The normal form of a substring assertion.
    pub fn normalize_parts(
        &self,
        initial: Option<&[u8]>,
        any: &[Vec<u8>],
        last: Option<&[u8]>,
        schema: &Schema,
    ) -> Option<SubParts> {
        let part = |value: &[u8], part| Some(self.form.normalize(value, part, schema)?.into_owned());
        Some(SubParts {
            initial: match initial {
                Some(v) => Some(part(v, Part::Initial)?),
                None => None,
            },
            any: any.iter().map(|v| part(v, Part::Any)).collect::<Option<_>>()?,
            last: match last {
                Some(v) => Some(part(v, Part::Final)?),
                None => None,
            },
        })
    }
}

impl SubParts {
    /// True if a normalised value has all parts, in order and without overlap.
    pub fn matches(&self, value: &[u8]) -> bool {
        let mut rest = value;
        if let Some(initial) = &self.initial {
            match rest.strip_prefix(initial.as_slice()) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
        if let Some(last) = &self.last {
            match rest.strip_suffix(last.as_slice()) {
                Some(head) => rest = head,
                None => return false,
            }
        }
        for any in &self.any {
            match find(rest, any) {
                Some(end) => rest = rest.get(end..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }
}

/// Where the first occurrence of `needle` ends.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|w| w == needle).map(|at| at + needle.len())
}

impl Form {
    fn normalize<'a>(self, value: &'a [u8], part: Part, schema: &Schema) -> Option<Normal<'a>> {
        match self {
            Form::CaseIgnore => Some(bytes(prepare::string(text(value)?, true, part))),
            Form::CaseExact => Some(bytes(prepare::string(text(value)?, false, part))),
            Form::Numeric => Some(without(value, |b| b == b' ')),
            // Case does not count and neither do spaces and hyphens (RFC 4517 4.2.29).
            Form::Telephone => {
                text(value)?;
                let kept = value.iter().filter(|b| !matches!(b, b' ' | b'-'));
                Some(Cow::Owned(kept.map(u8::to_ascii_lowercase).collect()))
            }
            Form::List => {
                let lines = text(value)?.split('$').map(|line| prepare::string(line, true, part));
                Some(Cow::Owned(lines.collect::<Vec<_>>().join("$").into_bytes()))
            }
            Form::Boolean => match value {
                v if v.eq_ignore_ascii_case(b"TRUE") => Some(Cow::Borrowed(b"TRUE")),
                v if v.eq_ignore_ascii_case(b"FALSE") => Some(Cow::Borrowed(b"FALSE")),
                _ => None,
            },
            Form::Integer => integer(value),
            Form::Bits | Form::Octets => Some(Cow::Borrowed(value)),
            Form::Time => {
                let Timestamp(micros) = Timestamp::parse_generalized_time(text(value)?)?;
                Some(Cow::Owned(((micros as u64) ^ (1 << 63)).to_be_bytes().to_vec()))
            }
            Form::Name | Form::InChain => schema.dn_value_key(text(value)?).map(|k| Cow::Owned(k.to_bytes())),
            Form::NameAndUid => {
                let (name, bits) = syntax::split_uid(text(value)?);
                let mut key = schema.dn_value_key(name)?.to_bytes();
                key.extend_from_slice(bits.unwrap_or_default().as_bytes());
                Some(Cow::Owned(key))
            }
            Form::Oid => Some(Cow::Owned(schema.canonical_oid(text(value)?).into_bytes())),
            Form::Uuid => {
                let id = uuid::Uuid::try_parse(text(value)?).ok()?;
                Some(Cow::Owned(id.as_bytes().to_vec()))
            }
            Form::BitAnd | Form::BitOr => Some(Cow::Owned(bits(value)?.to_be_bytes().to_vec())),
            Form::FirstComponent => None,
        }
    }
}

/// The bits of an integer, in two's complement as Active Directory has them.
fn bits(value: &[u8]) -> Option<i64> {
    text(value)?.parse().ok()
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

fn bytes(text: Cow<'_, str>) -> Normal<'_> {
    match text {
        Cow::Borrowed(t) => Cow::Borrowed(t.as_bytes()),
        Cow::Owned(t) => Cow::Owned(t.into_bytes()),
    }
}

fn without(value: &[u8], drop: impl Fn(u8) -> bool) -> Normal<'_> {
    if value.iter().any(|b| drop(*b)) {
        Cow::Owned(value.iter().copied().filter(|b| !drop(*b)).collect())
    } else {
        Cow::Borrowed(value)
    }
}

/// Sign, number of digits, digits: byte order is number order, for integers of any length.
fn integer(value: &[u8]) -> Option<Normal<'_>> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    let digits = digits.get(zeros..)?;
    let negative = negative && !digits.is_empty();
    let mut out = Vec::with_capacity(digits.len() + 5);
    out.push(1);
    out.extend_from_slice(&u32::try_from(digits.len()).ok()?.to_be_bytes());
    out.extend_from_slice(digits);
    if negative {
        out.iter_mut().for_each(|b| *b = !*b);
        if let Some(sign) = out.first_mut() {
            *sign = 0;
        }
    }
    Some(Cow::Owned(out))
}

impl Schema {
    /// The equality form of a value of this attribute; `None` without an equality rule or if the
    /// value does not fit it.
    pub fn normalize<'a>(&self, attr: AttrId, value: &'a [u8]) -> Option<Normal<'a>> {
        self.attribute(attr).equality?.normalize(value, self)
    }

    /// A key under which equal values of any attribute fall together, for finding duplicates;
    /// without an equality rule the bytes themselves.
    pub fn identity<'a>(&self, attr: AttrId, value: &'a [u8]) -> Normal<'a> {
        self.normalize(attr, value).unwrap_or(Cow::Borrowed(value))
    }

    /// The key of one RDN. Types that the schema does not know compare as caseIgnore strings.
    pub fn rdn_key(&self, rdn: &Rdn) -> RdnKey {
        let key = |ava: &crate::dn::Ava| match self.attr_id(&ava.attr) {
            Some(id) => (self.attribute(id).oid.as_bytes().to_vec(), self.identity(id, &ava.value).into_owned()),
            None => (
                ava.attr.to_ascii_lowercase().into_bytes(),
                String::from_utf8_lossy(&ava.value).to_lowercase().into_bytes(),
            ),
        };
        RdnKey::new(rdn.avas().iter().map(key).collect())
    }

    pub fn dn_key(&self, dn: &Dn) -> DnKey {
        DnKey::new(dn.rdns().iter().map(|rdn| self.rdn_key(rdn)).collect())
    }

    /// The key of a name given as text; `None` if it is no name.
    pub fn dn_value_key(&self, text: &str) -> Option<DnKey> {
        Dn::parse(text).ok().map(|dn| self.dn_key(&dn))
    }

    /// The name in a value of an attribute that names entries, with a unique identifier or without.
    pub fn named_by(&self, attr: AttrId, value: &[u8]) -> Option<DnKey> {
        self.dn_value_key(self.split_name(attr, value)?.0)
    }

    /// The name and the unique identifier in such a value, as they are written.
    pub fn split_name<'v>(&self, attr: AttrId, value: &'v [u8]) -> Option<(&'v str, Option<&'v str>)> {
        match self.attribute(attr).syntax {
            Syntax::Dn => Some((text(value)?, None)),
            Syntax::NameAndOptionalUid => Some(syntax::split_uid(text(value)?)),
            _ => None,
        }
    }

    /// The OID that a class, attribute or rule name stands for; other text in lower case.
    fn canonical_oid(&self, text: &str) -> String {
        let text = text.trim();
        if let Some(class) = self.class_id(text) {
            return self.class(class).oid.to_string();
        }
        match self.attr_id(text) {
            Some(attr) => self.attribute(attr).oid.to_string(),
            None => names::key(text).to_string(),
        }
    }
}

impl Attribute {
    /// The rule that `>=` and `<=` use: an ordering rule must be named (RFC 4517 4.2).
    pub fn ordering_rule(&self) -> Option<&'static Rule> {
        self.ordering
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_sort_as_numbers() {
        let numbers = ["-100", "-99", "-9", "-1", "0", "1", "7", "10", "99", "100", "123456789012345678901234567890"];
        let keys: Vec<_> = numbers.iter().map(|n| integer(n.as_bytes()).unwrap().into_owned()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(integer(b"007"), integer(b"7"));
        assert_eq!(integer(b"-0"), integer(b"0"));
        for bad in ["", "-", "1a", "1.0", "+1"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn substrings_match_in_order_and_without_overlap() {
        let parts = |i: &str, a: &[&str], f: &str| SubParts {
            initial: (!i.is_empty()).then(|| i.into()),
            any: a.iter().map(|x| x.as_bytes().to_vec()).collect(),
            last: (!f.is_empty()).then(|| f.into()),
        };
        for (p, value, expected) in [
            (parts("ab", &[], ""), "abc", true),
            (parts("ab", &[], "bc"), "abc", false),
            (parts("", &["b", "b"], ""), "abcb", true),
            (parts("", &["b", "b"], ""), "abc", false),
            (parts("a", &["c"], "e"), "abcde", true),
            (parts("a", &["e"], "e"), "abcde", false),
            (parts("", &[], "e"), "abcde", true),
        ] {
            assert_eq!(p.matches(value.as_bytes()), expected, "{p:?} {value}");
        }
    }
}
