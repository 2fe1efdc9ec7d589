//! The `memberURL` of a dynamic group: `ldap:///base??scope?filter` (RFC 4516), which says who its
//! members are.

use super::Scope;
use crate::{
    dn::DnKey,
    filter::{self, Filter},
    schema::Schema,
};

#[derive(Clone, Debug)]
pub(super) struct MemberUrl {
    pub base: DnKey,
    pub scope: Scope,
    pub filter: Filter,
}

impl MemberUrl {
    /// `None` for what is no URL of this form, and for one that names another server.
    pub fn parse(text: &str, schema: &Schema) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (host, rest) = rest.split_once('/')?;
        if !scheme.eq_ignore_ascii_case("ldap") || !host.is_empty() {
            return None;
        }
        // What is left out at the end is empty.
        let mut parts = rest.split('?').map(unescape).chain(std::iter::repeat_with(|| Some(String::new())));
        let mut part = || parts.next().flatten();
        let (base, _attributes, scope, filter, extensions) = (part()?, part()?, part()?, part()?, part()?);
        let scope = match scope.as_str() {
            "" | "base" => Scope::Base,
            "one" => Scope::One,
            "sub" => Scope::Subtree,
            // draft-sermersheim-ldap-subordinate-scope
            "subordinates" | "subord" | "children" => Scope::Subordinates,
            _ => return None,
        };
        let filter = match filter.as_str() {
            "" => Filter::everything(),
            text => Filter::bind(&filter::parse(text).ok()?, schema),
        };
        // An extension may be left alone unless it is critical.
        if extensions.split(',').any(|e| e.starts_with('!')) {
            return None;
        }
        Some(MemberUrl { base: schema.dn_value_key(&base)?, scope, filter })
    }

    pub fn in_scope(&self, key: &DnKey) -> bool {
        match self.scope {
            Scope::Base => *key == self.base,
            Scope::One => key.is_below(&self.base) && key.rdns().len() == self.base.rdns().len() + 1,
            Scope::Subtree => key.is_within(&self.base),
            Scope::Subordinates => key.is_below(&self.base),
        }
    }
}

/// Undoes `%XX` (RFC 3986 section 2.1).
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;

    #[test]
    fn urls() {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        for (text, scope) in [
            ("ldap:///ou=people,dc=x??sub?(uid=a)", Some(Scope::Subtree)),
            ("LDAP:///ou=people,dc=x??one?(uid=a)", Some(Scope::One)),
            ("ldap:///ou=people,dc=x", Some(Scope::Base)),
            ("ldap:///ou=people,dc=x?cn,sn?sub", Some(Scope::Subtree)),
            ("ldap:///ou=people%2Cdc=x??sub?(cn=%c3%a9*)", Some(Scope::Subtree)),
            ("ldap:///ou=people,dc=x??sub?(a=b)?x-thing", Some(Scope::Subtree)),
            ("ldap:///ou=people,dc=x??sub?(a=b)?!x-thing", None),
            ("ldap://other.example/ou=people,dc=x??sub?(a=b)", None),
            ("ldap:///ou=people,dc=x??deep?(a=b)", None),
            ("ldap:///ou=people,dc=x??sub?(a=b", None),
            ("ldap:///no name??sub?(a=b)", None),
            ("ldap:///dc=x??sub?(a=%zz)", None),
            ("http:///dc=x", None),
            ("no url", None),
        ] {
            assert_eq!(MemberUrl::parse(text, &schema).map(|u| u.scope), scope, "{text}");
        }
    }
}
