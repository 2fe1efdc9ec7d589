//! Distinguished names as text and parts (RFC 4514), without knowledge of the schema.
//!
//! An RDN keeps the very text it was given, so that a name comes back byte for byte; two names
//! are compared by the keys that `schema::Schema::rdn_key` makes, never by text.

mod key;
mod parse;
mod print;

pub use key::{DnKey, RdnKey};
pub use parse::{ParseError, unescape};
pub use print::escape_value;

use smol_str::SmolStr;
use std::fmt;

/// One attribute type and value of an RDN, unescaped (RFC 4514 section 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ava {
    pub attr: SmolStr,
    pub value: Box<[u8]>,
}

/// One relative distinguished name: its parts, and its text as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rdn {
    avas: Box<[Ava]>,
    text: SmolStr,
}

/// A distinguished name, leaf first. The empty name is the root DSE.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Dn(Vec<Rdn>);

impl Rdn {
    /// The RDN `attr=value`, escaped as RFC 4514 section 2.4 asks.
    pub fn single(attr: &str, value: &[u8]) -> Self {
        Rdn {
            text: SmolStr::new(format!("{attr}={}", escape_value(value))),
            avas: Box::new([Ava { attr: SmolStr::new(attr), value: value.into() }]),
        }
    }

    /// Parses exactly one RDN.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::rdn(text)
    }

    pub fn avas(&self) -> &[Ava] {
        &self.avas
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Dn {
    pub const ROOT: Dn = Dn(Vec::new());

    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::dn(text).map(Dn)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The RDNs, leaf first.
    pub fn rdns(&self) -> &[Rdn] {
        &self.0
    }

    pub fn leaf(&self) -> Option<&Rdn> {
        self.0.first()
    }

    /// The name of the superior; `None` for the root.
    pub fn parent(&self) -> Option<Dn> {
        self.0.get(1..).map(|rest| Dn(rest.to_vec()))
    }

    /// This name with `rdn` put below it.
    pub fn child(&self, rdn: Rdn) -> Dn {
        let mut rdns = Vec::with_capacity(self.0.len() + 1);
        rdns.push(rdn);
        rdns.extend_from_slice(&self.0);
        Dn(rdns)
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rdn) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(&rdn.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_written_without_outer_spaces() {
        for (given, printed) in [
            ("uid=a,ou=people,dc=example,dc=org", "uid=a,ou=people,dc=example,dc=org"),
            ("uid = a , ou=people", "uid = a,ou=people"),
            (r"cn=Martin\, Anne,ou=x", r"cn=Martin\, Anne,ou=x"),
            (r"cn=Martin\2C Anne,ou=x", r"cn=Martin\2C Anne,ou=x"),
            (r"cn=a+sn=b\+c,ou=x", r"cn=a+sn=b\+c,ou=x"),
            ("cn=Zoé,ou=été", "cn=Zoé,ou=été"),
            ("", ""),
        ] {
            assert_eq!(Dn::parse(given).unwrap().to_string(), printed, "{given}");
        }
    }

    #[test]
    fn values_are_unescaped() {
        let value = |text: &str| {
            let dn = Dn::parse(text).unwrap();
            String::from_utf8(dn.leaf().unwrap().avas()[0].value.to_vec()).unwrap()
        };
        for (given, expected) in [
            (r"cn=Martin\, Anne", "Martin, Anne"),
            (r"cn=Martin\2C Anne", "Martin, Anne"),
            (r"cn=\20lead", " lead"),
            (r"cn=\ lead\ ", " lead "),
            (r"cn=trail\ ,o=x", "trail "),
            (r"cn=\C3\A9t\C3\A9", "été"),
            (r"cn=\#1", "#1"),
            ("cn=#04024869", "Hi"),
            ("cn=a=b", "a=b"),
            ("cn=", ""),
        ] {
            assert_eq!(value(given), expected, "{given}");
        }
    }

    #[test]
    fn broken_names_say_what_is_wrong() {
        for (given, needle) in [
            ("uid", "'='"),
            ("=x", "attribute type"),
            ("uid=a,,ou=b", "attribute type"),
            ("uid=a,", "attribute type"),
            (r"cn=a\", "escape"),
            (r"cn=a\zz", "escape"),
            ("cn=#0", "hexadecimal"),
            ("1a=b", "attribute type"),
            ("cn=a\"b", "escaped"),
            ("cn=a+CN=b", "twice"),
        ] {
            let error = Dn::parse(given).unwrap_err().to_string();
            assert!(error.contains(needle), "{given}: {error}");
        }
    }

    #[test]
    fn a_made_rdn_parses_to_the_same_value() {
        for value in ["a,b", " a ", "#x", "a+b=c", "é\u{0}z", "a\\b\"c<d>;e"] {
            let rdn = Rdn::single("cn", value.as_bytes());
            let again = Rdn::parse(rdn.text()).unwrap();
            assert_eq!(&*again.avas()[0].value, value.as_bytes(), "{}", rdn.text());
        }
    }
}
