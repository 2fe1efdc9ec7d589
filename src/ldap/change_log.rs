//! The journal as entries below `cn=changelog` (draft-good-ldap-changelog-04), for jobs that poll:
//! how a record becomes an entry, and which records a filter can mean.

use super::rootdse::MadeUp;
use crate::{
    access::CHANGE_LOG,
    directory::{Change, ChangeKind, Content, Snapshot},
    dn::{Dn, DnKey},
    entry::{ModKind, ber, ldif::push_line},
    filter::Ast,
};
use std::ops::RangeInclusive;

const NUMBER: [&str; 2] = ["changeNumber", "2.16.840.1.113730.3.1.5"];

/// Where a name is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Container,
    Record(u64),
    /// Below the container, but never the name of a record.
    Nowhere,
}

/// `None` for a name that is not in the log.
pub fn place(snapshot: &Snapshot, key: &DnKey, dn: &Dn) -> Option<Place> {
    let container = snapshot.schema.dn_value_key(CHANGE_LOG)?;
    if !key.is_within(&container) {
        return None;
    }
    if *key == container {
        return Some(Place::Container);
    }
    let number = || {
        let [ava] = dn.leaf()?.avas() else { return None };
        let named = is_number(&ava.attr) && key.parent().as_ref() == Some(&container);
        std::str::from_utf8(&ava.value).ok()?.parse().ok().filter(|_| named)
    };
    Some(number().map_or(Place::Nowhere, Place::Record))
}

pub fn container() -> MadeUp {
    let attributes = [("objectClass", "top"), ("objectClass", "extensibleObject"), ("cn", "changelog")];
    MadeUp {
        dn: CHANGE_LOG.to_owned(),
        class: "extensibleObject",
        attributes: attributes.map(|(name, value)| (name, value.to_owned())).to_vec(),
    }
}

pub fn record(number: u64, change: &Change) -> MadeUp {
    let old_dn = match &change.kind {
        ChangeKind::Rename { old_dn } => old_dn,
        _ => &change.dn,
    };
    let kind = match change.kind {
        ChangeKind::Add => "add",
        ChangeKind::Modify(_) | ChangeKind::State { .. } => "modify",
        ChangeKind::Delete => "delete",
        ChangeKind::Rename { .. } => "modrdn",
    };
    let mut attributes = vec![
        ("objectClass", "top".to_owned()),
        ("objectClass", "changeLogEntry".to_owned()),
        ("changeNumber", number.to_string()),
        ("targetDN", old_dn.clone()),
        ("changeType", kind.to_owned()),
        ("changeTime", change.time.generalized_time()),
        ("targetUniqueId", change.uuid.to_string()),
    ];
    match &change.content {
        Content::Entry { attributes: list } => attributes.push(("changes", entry_text(list))),
        // Without any: only secrets have changed.
        Content::Modifications(list) if !list.is_empty() => attributes.push(("changes", modify_text(list))),
        Content::Rename { delete_old } => {
            attributes.push(("deleteOldRDN", if *delete_old { "TRUE" } else { "FALSE" }.to_owned()));
        }
        Content::Modifications(_) | Content::Delete | Content::Unrecorded => {}
    }
    if let (ChangeKind::Rename { .. }, Ok(old), Ok(new)) = (&change.kind, Dn::parse(old_dn), Dn::parse(&change.dn)) {
        attributes.extend(new.leaf().map(|rdn| ("newRDN", rdn.text().to_owned())));
        let superior = new.parent().filter(|superior| old.parent().as_ref() != Some(superior));
        attributes.extend(superior.map(|superior| ("newSuperior", superior.to_string())));
    }
    MadeUp { dn: format!("changeNumber={number},{CHANGE_LOG}"), class: "changeLogEntry", attributes }
}

/// The content of a new entry as the lines of an LDIF record (RFC 2849).
fn entry_text(list: &[u8]) -> String {
    let mut text = String::new();
    let mut reader = ber::Reader::new(list);
    while let Some(Some(attribute)) = reader.next_element() {
        let mut parts = ber::Reader::at(list, attribute.content);
        let (Some(Some(name)), Some(Some(set))) = (parts.next_element(), parts.next_element()) else { break };
        let name = list.get(name.content).map(String::from_utf8_lossy).unwrap_or_default();
        ber::values(list.get(set.content).unwrap_or_default()).for_each(|value| push_line(&mut text, &name, value));
    }
    text
}

fn modify_text(list: &[(ModKind, smol_str::SmolStr, Vec<Vec<u8>>)]) -> String {
    let mut text = String::new();
    for (kind, name, values) in list {
        let word = match kind {
            ModKind::Add => "add",
            ModKind::Delete => "delete",
            ModKind::Replace => "replace",
            ModKind::Increment => "increment",
        };
        push_line(&mut text, word, name.as_bytes());
        values.iter().for_each(|value| push_line(&mut text, name, value));
        text.push_str("-\n");
    }
    text
}

/// The numbers that records must lie between for the filter to be true; everything where it does
/// not speak of numbers.
pub fn range(filter: &Ast) -> RangeInclusive<u64> {
    const ALL: RangeInclusive<u64> = 0..=u64::MAX;
    let number = |attr: &str, value: &[u8]| match is_number(attr) {
        true => std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok(),
        false => None,
    };
    match filter {
        Ast::Equal(attr, value) | Ast::Approx(attr, value) => number(attr, value).map_or(ALL, |n| n..=n),
        Ast::GreaterOrEqual(attr, value) => number(attr, value).map_or(ALL, |n| n..=u64::MAX),
        Ast::LessOrEqual(attr, value) => number(attr, value).map_or(ALL, |n| 0..=n),
        Ast::And(parts) => parts.iter().map(range).fold(ALL, |a, b| *a.start().max(b.start())..=*a.end().min(b.end())),
        Ast::Or(parts) => {
            let each = parts.iter().map(range);
            each.reduce(|a, b| *a.start().min(b.start())..=*a.end().max(b.end())).unwrap_or(ALL)
        }
        Ast::Not(_) | Ast::Present(_) | Ast::Substring { .. } | Ast::Extensible { .. } => ALL,
    }
}

fn is_number(attr: &str) -> bool {
    NUMBER.iter().any(|name| name.eq_ignore_ascii_case(attr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter;

    #[test]
    fn a_filter_says_which_numbers_it_can_mean() {
        for (text, expected) in [
            ("(changeNumber>=7)", 7..=u64::MAX),
            ("(changenumber<=9)", 0..=9),
            ("(2.16.840.1.113730.3.1.5=3)", 3..=3),
            ("(&(changeNumber>=5)(changeNumber<=10)(changeType=add))", 5..=10),
            ("(&(objectClass=changeLogEntry)(|(changeNumber=4)(changeNumber=8)))", 4..=8),
            ("(|(changeNumber=4)(changeType=add))", 0..=u64::MAX),
            ("(!(changeNumber>=5))", 0..=u64::MAX),
            ("(changeNumber=x)", 0..=u64::MAX),
            ("(objectClass=*)", 0..=u64::MAX),
        ] {
            assert_eq!(range(&filter::parse(text).unwrap()), expected, "{text}");
        }
        let none = range(&filter::parse("(&(changeNumber>=9)(changeNumber<=5))").unwrap());
        assert!(none.is_empty());
    }
}
