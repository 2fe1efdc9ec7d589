//! Dereferencing of DNs in answers (draft-masarati-ldap-deref): beside an entry, attributes of the
//! entries that it names, so that a client that lists a group need not ask for each member.

use crate::{
    access::{Grants, Right},
    directory::View,
    dn::DnKey,
    entry::ber,
    ldap::{
        controls::{DEREF, Deref},
        encode::{self, Selection},
        message::Control,
    },
    schema::{AttrId, Schema},
};

/// One attribute with DNs, and what to read of the entries that they name.
pub struct Asked {
    attr: AttrId,
    selection: Selection,
}

/// What an entry names is more than one answer may carry.
pub struct TooLarge;

/// Attributes that the schema does not know name nothing.
pub fn bind(asked: &[Deref], schema: &Schema) -> Vec<Asked> {
    let known = asked.iter().filter_map(|d| {
        Some(Asked { attr: schema.attr_id(&d.attribute)?, selection: Selection::new(&d.wanted, false, schema) })
    });
    known.collect()
}

/// The response control of one entry; none if nothing is named, `Err` if it were larger than
/// `most` bytes.
pub fn response(asked: &[Asked], view: &View<'_>, grants: &Grants<'_>, most: usize) -> Result<Vec<Control>, TooLarge> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = Vec::new();
    for one in asked.iter().filter(|a| view.may(Some(a.attr), Right::Read)) {
        let name = &view.snapshot.schema.attribute(one.attr).name;
        for value in view.node.entry.values(one.attr) {
            let mut inner = Vec::new();
            ber::push_element(&mut inner, ber::OCTET_STRING, name.as_bytes());
            ber::push_element(&mut inner, ber::OCTET_STRING, value);
            let attributes = named(value, &one.selection, view, grants);
            if !attributes.is_empty() {
                ber::push_element(&mut inner, 0xa0, &attributes);
            }
            ber::push_element(&mut list, ber::SEQUENCE, &inner);
            if list.len() > most {
                return Err(TooLarge);
            }
        }
    }
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut value = Vec::new();
    ber::push_element(&mut value, ber::SEQUENCE, &list);
    Ok(vec![Control { oid: DEREF.to_owned(), critical: false, value: Some(value) }])
}

/// The attributes of the entry that a value names, as far as they may be read.
fn named(value: &[u8], selection: &Selection, view: &View<'_>, grants: &Grants<'_>) -> Vec<u8> {
    let snapshot = view.snapshot;
    let mut out = Vec::new();
    let key: Option<DnKey> = std::str::from_utf8(value).ok().and_then(|text| snapshot.schema.dn_value_key(text));
    if let Some((key, node)) = key.and_then(|key| snapshot.find(&key).map(|node| (key, node))) {
        let open = View::unrestricted(snapshot, node);
        let place = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
        if place.allows(None, Right::Read) {
            encode::selected(&mut out, &View::new(snapshot, node, &place), selection);
        }
    }
    out
}
