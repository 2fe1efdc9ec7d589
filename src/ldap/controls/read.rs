//! The values of controls, each as its specification writes it. `None` is a malformed value.

use super::{Asked, Controls};
use crate::ldap::{
    codec::OTHER_DEPTH,
    decode::{boolean, enumerated, integer, octets, sequence, strings, truth, utf8, whole},
    filter,
    ops::{PersistentSearch, SyncRequest},
};
use ldap3_lber::{common::TagClass, structure::StructureTag, universal::Types};

/// RFC 2696 section 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged {
    pub size: i64,
    pub cookie: Vec<u8>,
}

/// RFC 2891 section 1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    pub attribute: String,
    pub rule: Option<String>,
    pub reverse: bool,
}

/// draft-ietf-ldapext-ldapv3-vlv-09 section 6.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlv {
    pub before: i64,
    pub after: i64,
    pub place: Place,
}

/// Where in the sorted list the window is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A position, in a list that the client takes to have so many entries.
    Offset { offset: i64, count: i64 },
    /// The first entry whose first sort key is not below this value.
    Value(Vec<u8>),
}

/// One attribute with DNs, and what to read of the entries they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deref {
    pub attribute: String,
    pub wanted: Vec<String>,
}

impl Asked<'_> {
    fn element(&self) -> Option<StructureTag> {
        whole(self.value?, self.filter_depth + OTHER_DEPTH)
    }
}

pub fn manage_dsa_it(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.manage_dsa_it = true;
    Some(())
}

/// The value is the identity itself, not an element (RFC 4370 section 3).
pub fn proxied(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    // The client must not be taken for itself by a server that knows nothing of the control.
    if !asked.critical {
        return None;
    }
    let text = std::str::from_utf8(asked.value?).ok()?;
    controls.proxied = Some(text.to_owned());
    Some(())
}

pub fn assertion(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    controls.assertion = Some(filter::filter(asked.element()?, asked.filter_depth)?);
    Some(())
}

pub fn pre_read(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    controls.pre_read = Some(strings(asked.element()?)?);
    Some(())
}

pub fn post_read(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    controls.post_read = Some(strings(asked.element()?)?);
    Some(())
}

pub fn authorization_identity(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.authorization_identity = true;
    Some(())
}

pub fn permissive(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.permissive = true;
    Some(())
}

pub fn tree_delete(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.tree_delete = true;
    Some(())
}

pub fn no_op(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.no_op = true;
    Some(())
}

pub fn relax(controls: &mut Controls, _: Asked<'_>) -> Option<()> {
    controls.relax = true;
    Some(())
}

pub fn without_effect(_: &mut Controls, _: Asked<'_>) -> Option<()> {
    Some(())
}

/// Address, name, format and identifier of the session that the client serves.
pub fn session_tracking(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let parts = sequence(asked.element()?)?.into_iter().map(utf8).collect::<Option<Vec<_>>>()?;
    let [address, name, _format, identifier] = parts.as_slice() else { return None };
    // Escaped and cut: a client must not write lines of its own into the log.
    let text = format!("{address} {name} {identifier}");
    controls.session_tracking = Some(text.escape_debug().take(SESSION_TEXT).collect());
    Some(())
}

/// A longer list is refused for its length.
const MOST_COMPARED: usize = 64;
const SESSION_TEXT: usize = 200;

pub fn transaction(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    controls.transaction = Some(asked.value?.to_vec());
    Some(())
}

/// RFC 4533 section 2.2. What follows the mode is optional, each part told by its tag.
pub fn sync(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let mut parts = sequence(asked.element()?)?.into_iter().peekable();
    let persist = match parts.next().and_then(enumerated)? {
        1 => false,
        3 => true,
        _ => return None,
    };
    let cookie = parts.next_if(|tag| tag.id == Types::OctetString as u64).map(octets);
    let reload_hint = parts.next().map(boolean);
    // An empty cookie is none: that is how slapd asks for the first time.
    let cookie = match cookie {
        Some(bytes) => Some(bytes?).filter(|bytes| !bytes.is_empty()),
        None => None,
    };
    controls.sync = Some(SyncRequest { persist, cookie, reload_hint: reload_hint.unwrap_or(Some(false))? });
    parts.next().is_none().then_some(())
}

/// draft-ietf-ldapext-psearch-03 section 4.
pub fn persistent(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let mut parts = sequence(asked.element()?)?.into_iter();
    let change_types = parts.next().and_then(integer).filter(|kinds| (1..=15).contains(kinds))?;
    let changes_only = parts.next().and_then(boolean)?;
    let return_controls = parts.next().and_then(boolean)?;
    controls.persistent = Some(PersistentSearch { change_types, changes_only, return_controls });
    Some(())
}

pub fn subentries(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    controls.subentries = Some(boolean(asked.element()?)?);
    Some(())
}

pub fn paged(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let mut parts = sequence(asked.element()?)?.into_iter();
    let size = parts.next().and_then(integer).filter(|n| *n >= 0)?;
    let cookie = parts.next().and_then(octets)?;
    controls.paged = Some(Paged { size, cookie });
    Some(())
}

pub fn sort(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let keys = sequence(asked.element()?)?.into_iter().map(sort_key).collect::<Option<Vec<_>>>()?;
    controls.sort_critical = asked.critical;
    controls.sort = (!keys.is_empty()).then_some(keys);
    controls.sort.is_some().then_some(())
}

fn sort_key(tag: StructureTag) -> Option<SortKey> {
    let mut parts = sequence(tag)?.into_iter();
    let mut key = SortKey { attribute: parts.next().and_then(utf8)?, rule: None, reverse: false };
    for part in parts {
        match (part.class, part.id, part.expect_primitive()?) {
            (TagClass::Context, 0, rule) => key.rule = Some(String::from_utf8(rule).ok()?),
            (TagClass::Context, 1, reverse) => key.reverse = truth(&reverse)?,
            _ => return None,
        }
    }
    Some(key)
}

pub fn vlv(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let mut parts = sequence(asked.element()?)?.into_iter();
    let before = parts.next().and_then(integer).filter(|n| *n >= 0)?;
    let after = parts.next().and_then(integer).filter(|n| *n >= 0)?;
    let place = parts.next().filter(|t| t.class == TagClass::Context)?;
    let place = match place.id {
        0 => {
            let mut numbers = place.expect_constructed()?.into_iter().map(integer);
            Place::Offset { offset: numbers.next()??, count: numbers.next()?? }
        }
        1 => Place::Value(place.expect_primitive()?),
        _ => return None,
    };
    controls.vlv = Some(Vlv { before, after, place });
    Some(())
}

pub fn matched_values(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let items = sequence(asked.element()?)?.into_iter();
    // Simple items only: neither and, or, nor not (RFC 3876 section 3).
    let simple = |tag: StructureTag| if tag.id > 2 { filter::filter(tag, 1) } else { None };
    controls.matched_values = Some(items.map(simple).collect::<Option<_>>()?);
    Some(())
}

pub fn deref(controls: &mut Controls, asked: Asked<'_>) -> Option<()> {
    let one = |tag: StructureTag| {
        let mut parts = sequence(tag)?.into_iter();
        Some(Deref { attribute: parts.next().and_then(utf8)?, wanted: parts.next().and_then(strings)? })
    };
    let list = sequence(asked.element()?)?.into_iter().map(one).collect::<Option<Vec<Deref>>>()?;
    // Each attribute once: the draft gives a second one no meaning.
    let is_new =
        |(at, d): (usize, &Deref)| !list.iter().take(at).any(|e| e.attribute.eq_ignore_ascii_case(&d.attribute));
    if list.len() > 1 && list.len() < MOST_COMPARED && !list.iter().enumerate().all(is_new) {
        return None;
    }
    controls.deref = Some(list);
    Some(())
}
