//! Entries that are not what they seem: aliases (RFC 4512 section 2.6) stand for another entry,
//! referral objects (RFC 3296) for a part of the tree on another server, and subentries
//! (RFC 3672) are seen by those only who ask for them.

use super::{EntryId, Error, Node, Snapshot, View};
use crate::{
    access::Grants,
    dn::{Dn, DnKey, Rdn},
    entry::Entry,
    schema::Schema,
    sesame,
};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Alias,
    Referral,
    Subentry,
    /// An identity whose document has values that the indexes do not know.
    SaysMore,
}

/// Which way a search reads a referral's address (RFC 3296 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriScope {
    /// Of an operation on the named entry.
    None,
    Base,
    One,
    Subtree,
}

impl Mark {
    pub fn of(entry: &Entry, schema: &Schema) -> Option<Mark> {
        let known = &schema.known;
        let marks = [(known.alias, Mark::Alias), (known.referral, Mark::Referral), (known.subentry, Mark::Subentry)];
        let classes = entry.values(known.object_class).filter_map(|v| schema.class_id(std::str::from_utf8(v).ok()?));
        // The structural class alone would miss a subclass.
        let mark = |class| {
            let is = |kind| class == kind || schema.class(class).superclasses.contains(&kind);
            marks.into_iter().find(|(kind, _)| is(*kind)).map(|(_, mark)| mark)
        };
        let more = || sesame::says_more(entry, schema).then_some(Mark::SaysMore);
        classes.filter_map(mark).min().or_else(more)
    }
}

impl Snapshot {
    /// Identities of which a search by index may miss what their documents say.
    pub fn saying_more(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.marked(Mark::SaysMore).filter_map(|id| self.node(id))
    }

    pub(super) fn is_marked(&self, id: EntryId, mark: Mark) -> bool {
        !self.marks.is_empty() && self.marks.contains(&(mark, id))
    }

    pub(super) fn marked(&self, mark: Mark) -> impl Iterator<Item = EntryId> + '_ {
        self.marks.range((mark, EntryId::LOWEST)..).take_while(move |(m, _)| *m == mark).map(|(_, id)| *id)
    }

    /// The highest entry of a kind that the name passes, itself included.
    fn highest(&self, mark: Mark, key: &DnKey) -> Option<&Arc<Node>> {
        self.marked(mark).next()?;
        let up = |node: &&Arc<Node>| node.parent.and_then(|p| self.node(p));
        std::iter::successors(self.nearest(key), up).filter(|node| self.is_marked(node.id, mark)).last()
    }

    /// Refuses with a referral if the name is another server's.
    /// To those without any right to the referral object it is not there.
    pub fn require_here(&self, dn: &Dn, key: &DnKey, scope: UriScope, grants: &Grants<'_>) -> Result<(), Error> {
        let Some(node) = self.highest(Mark::Referral, key) else { return Ok(()) };
        let view = View::unrestricted(self, node);
        if grants.at(&self.dn_key_of(node), node.entry.uuid, &view, &self.schema).is_blind() {
            return Err(Error::NoSuchObject { matched: None });
        }
        let above = self.dn_key_of(node).rdns().len();
        let below = dn.rdns().get(..key.rdns().len().saturating_sub(above)).unwrap_or_default();
        Err(Error::Referral { uris: self.uris(node, below, scope), matched: self.dn_text(node) })
    }

    /// Where the part of the tree that a referral object stands for is kept.
    pub fn uris(&self, node: &Node, below: &[Rdn], scope: UriScope) -> Vec<String> {
        let values = node.entry.values(self.schema.known.reference);
        let texts = values.filter_map(|v| std::str::from_utf8(v).ok());
        let own = self.dn_text(node);
        texts.map(|uri| address(uri, &own, below, scope)).collect()
    }

    /// The entry that a name leads to when every alias on the way is followed.
    pub fn dereference(&self, key: &DnKey, grants: &Grants<'_>) -> Result<DnKey, Error> {
        let mut key = key.clone();
        let mut last = None;
        for _ in 0..ALIAS_HOPS {
            match self.highest(Mark::Alias, &key) {
                None => return Ok(key),
                Some(alias) => key = self.behind(alias, &key, grants)?,
            }
            last = self.highest(Mark::Alias, &key);
        }
        Err(self.alias_problem("the aliases lead in a circle", last, grants))
    }

    /// Names the alias at fault, to who may read it (RFC 4511 section 4.1.9).
    fn alias_problem(&self, reason: &'static str, alias: Option<&Arc<Node>>, grants: &Grants<'_>) -> Error {
        Error::Alias { reason, matched: alias.filter(|n| self.may_read(n, grants)).map(|n| self.dn_text(n)) }
    }

    /// The name with the alias in it replaced by what it stands for.
    fn behind(&self, alias: &Arc<Node>, key: &DnKey, grants: &Grants<'_>) -> Result<DnKey, Error> {
        let problem = || self.alias_problem("an alias names no entry", Some(alias), grants);
        let target = self.alias_target(alias).ok_or_else(problem)?;
        let above = self.dn_key_of(alias).rdns().len();
        let below = key.rdns().get(..key.rdns().len().saturating_sub(above)).unwrap_or_default();
        let mut rdns = below.to_vec();
        rdns.extend_from_slice(target.rdns());
        let whole = DnKey::new(rdns);
        // A missing target is the alias's fault, a missing name below it the client's.
        match self.find(&target) {
            Some(_) => Ok(whole),
            None if self.highest(Mark::Alias, &target).is_some() => Ok(whole),
            None => Err(problem()),
        }
    }

    pub(super) fn alias_target(&self, alias: &Node) -> Option<DnKey> {
        let value = alias.entry.text(self.schema.known.aliased_object_name)?;
        self.schema.dn_value_key(value)
    }
}

/// Aliases that are followed one after the other.
const ALIAS_HOPS: usize = 16;

/// An LDAP URL that names the entry `below` the referral object, with a scope; other addresses
/// stay as they are (RFC 3296 section 5, RFC 4516).
fn address(uri: &str, own: &str, below: &[Rdn], scope: UriScope) -> String {
    let plain = uri.split_once(' ').map_or(uri, |(address, _label)| address);
    let Some(start) = plain.get(..8).and_then(|s| s.find("://")).map(|at| at + 3) else { return uri.to_owned() };
    if !plain.to_ascii_lowercase().starts_with("ldap") {
        return uri.to_owned();
    }
    let (scheme, rest) = plain.split_at(start);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = path.split('?').next().unwrap_or_default();
    let mut name: String = below.iter().flat_map(|rdn| [escape(rdn.text()), ",".to_owned()]).collect();
    match named {
        "" => name.push_str(&escape(own)),
        named => name.push_str(named),
    }
    let tail = match scope {
        UriScope::None => "",
        UriScope::Base => "??base",
        UriScope::One => "??one",
        UriScope::Subtree => "??sub",
    };
    format!("{scheme}{host}/{name}{tail}")
}

/// What a URL cannot hold, in percent form (RFC 3986 section 2.1).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b',' | b'=' | b'+' | b';' | b'@' | b':' | b'!' | b'$' | b'&' | b'\'' | b'('
            | b')' | b'*' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_what_is_asked_for() {
        let below = [Rdn::parse("cn=a b").unwrap()];
        for (uri, below, scope, expected) in [
            ("ldap://h/ou=x,o=y", &[][..], UriScope::Subtree, "ldap://h/ou=x,o=y??sub"),
            ("ldap://h:389", &[], UriScope::None, "ldap://h:389/ou=own"),
            ("ldaps://h/ou=x??sub", &below, UriScope::Base, "ldaps://h/cn=a%20b,ou=x??base"),
            ("http://h/x", &below, UriScope::Base, "http://h/x"),
        ] {
            assert_eq!(address(uri, "ou=own", below, scope), expected, "{uri}");
        }
    }
}
