//! Values of the controls and messages that feeds send.

use crate::{
    entry::ber,
    ldap::{
        message::Control,
        reply::{self, Reply},
    },
};
use uuid::Uuid;

pub const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
pub const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";
const ENTRY_CHANGE: &str = "2.16.840.1.113730.3.4.7";

/// RFC 4533 section 2.3.
#[derive(Clone, Copy)]
pub enum State {
    Add = 1,
    Modify = 2,
    Delete = 3,
}

pub fn sync_state(state: State, uuid: Uuid, cookie: Option<&[u8]>) -> Control {
    let mut inner = Vec::new();
    reply::push_number(&mut inner, ber::ENUMERATED, state as i64);
    ber::push_element(&mut inner, ber::OCTET_STRING, uuid.as_bytes());
    push_cookie(&mut inner, cookie);
    control(SYNC_STATE, &inner)
}

/// RFC 4533 section 2.4.
pub fn sync_done(cookie: Option<&[u8]>, refresh_deletes: bool) -> Control {
    let mut inner = Vec::new();
    push_cookie(&mut inner, cookie);
    push_if_true(&mut inner, refresh_deletes);
    control(SYNC_DONE, &inner)
}

/// Sync Info (RFC 4533 section 2.5).
pub fn new_cookie(cookie: &[u8]) -> Reply {
    let mut value = Vec::new();
    ber::push_element(&mut value, 0x80, cookie);
    Reply::intermediate(SYNC_INFO, &value)
}

/// The end of a refresh in which deletes were told one by one, or of one in which what was not
/// mentioned is gone. refreshDone has the default TRUE.
pub fn refreshed(cookie: Option<&[u8]>, deletes_told: bool) -> Reply {
    let mut inner = Vec::new();
    push_cookie(&mut inner, cookie);
    let mut value = Vec::new();
    ber::push_element(&mut value, if deletes_told { 0xa1 } else { 0xa2 }, &inner);
    Reply::intermediate(SYNC_INFO, &value)
}

/// A set of entries that are gone.
pub fn deleted(uuids: &[Uuid]) -> Reply {
    let mut set = Vec::new();
    uuids.iter().for_each(|uuid| ber::push_element(&mut set, ber::OCTET_STRING, uuid.as_bytes()));
    let mut inner = Vec::new();
    push_if_true(&mut inner, true);
    ber::push_element(&mut inner, ber::SET, &set);
    let mut value = Vec::new();
    ber::push_element(&mut value, 0xa3, &inner);
    Reply::intermediate(SYNC_INFO, &value)
}

/// Entry change notification (draft-ietf-ldapext-psearch-03 section 5).
pub fn entry_change(kind: i64, previous: Option<&str>, number: u64) -> Control {
    let mut inner = Vec::new();
    reply::push_number(&mut inner, ber::ENUMERATED, kind);
    if let Some(dn) = previous {
        ber::push_element(&mut inner, ber::OCTET_STRING, dn.as_bytes());
    }
    reply::push_number(&mut inner, ber::INTEGER, i64::try_from(number).unwrap_or(i64::MAX));
    control(ENTRY_CHANGE, &inner)
}

fn control(oid: &str, inner: &[u8]) -> Control {
    let mut value = Vec::new();
    ber::push_element(&mut value, ber::SEQUENCE, inner);
    Control { oid: oid.to_owned(), critical: false, value: Some(value) }
}

fn push_cookie(out: &mut Vec<u8>, cookie: Option<&[u8]>) {
    if let Some(cookie) = cookie {
        ber::push_element(out, ber::OCTET_STRING, cookie);
    }
}

/// A BOOLEAN with the default FALSE.
fn push_if_true(out: &mut Vec<u8>, value: bool) {
    if value {
        ber::push_element(out, ber::BOOLEAN, &[0xff]);
    }
}
