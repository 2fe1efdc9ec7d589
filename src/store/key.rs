//! The layout of keys: one prefix byte for the kind, the name, the chunk number as u16 big endian.
//!
//! All chunks of a record lie side by side and in order, and so do the log records. Nothing here
//! may depend on what a value holds.

use std::fmt;

use smol_str::SmolStr;
use uuid::Uuid;

use super::{Error, RecordKey};

/// What a key points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Meta,
    Record(RecordKey),
    Log(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("the meta record"),
            Self::Record(key) => key.fmt(f),
            Self::Log(number) => write!(f, "log record {number}"),
        }
    }
}

/// The key of a record without its chunk number.
pub(super) fn base(key: &RecordKey) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(24);
    match key {
        RecordKey::Entry(id) => {
            out.push(ENTRY);
            out.extend_from_slice(id.as_bytes());
        }
        RecordKey::Link { target, object } => {
            out.push(LINK);
            push_name(&mut out, target, key)?;
            out.extend_from_slice(object.as_bytes());
        }
        RecordKey::Cursor(name) => {
            out.push(CURSOR);
            push_name(&mut out, name, key)?;
        }
        RecordKey::Setting(name) => {
            out.push(SETTING);
            push_name(&mut out, name, key)?;
        }
    }
    Ok(out)
}

/// The key of a log record without its chunk number.
pub(super) fn log_base(number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(11);
    out.push(LOG);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

pub(super) fn meta_base() -> Vec<u8> {
    vec![META]
}

/// The full key of one chunk.
pub(super) fn chunk(base: &[u8], number: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(base.len().saturating_add(2));
    out.extend_from_slice(base);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

/// Takes the chunk number off a full key.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u16)> {
    let (base, number) = key.split_last_chunk::<2>()?;
    Some((base, u16::from_be_bytes(*number)))
}

/// What a key without its chunk number points to; `None` if this release never writes such a key.
pub(super) fn parse(base: &[u8]) -> Option<Place> {
    let (kind, rest) = base.split_first()?;
    Some(match *kind {
        META if rest.is_empty() => Place::Meta,
        ENTRY => Place::Record(RecordKey::Entry(Uuid::from_slice(rest).ok()?)),
        LINK => {
            let (name, object) = rest.split_last_chunk::<16>()?;
            Place::Record(RecordKey::Link { target: take_name(name)?, object: Uuid::from_bytes(*object) })
        }
        CURSOR => Place::Record(RecordKey::Cursor(take_name(rest)?)),
        SETTING => Place::Record(RecordKey::Setting(take_name(rest)?)),
        LOG => Place::Log(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => return None,
    })
}

fn push_name(out: &mut Vec<u8>, name: &str, key: &RecordKey) -> Result<(), Error> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(Error::BadName { what: key.to_string() });
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    Ok(())
}

fn take_name(bytes: &[u8]) -> Option<SmolStr> {
    let (end, name) = bytes.split_last()?;
    if *end != 0 || name.is_empty() || name.contains(&0) {
        return None;
    }
    Some(SmolStr::new(std::str::from_utf8(name).ok()?))
}

/// The longest name of a target, a cursor or a setting.
pub(super) const MAX_NAME: usize = 255;

const CURSOR: u8 = b'c';
const ENTRY: u8 = b'e';
const LINK: u8 = b'l';
const LOG: u8 = b'j';
const META: u8 = b'm';
const SETTING: u8 = b's';

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: RecordKey) {
        let base = base(&key).unwrap();
        let full = chunk(&base, 513);
        assert_eq!(split(&full), Some((base.as_slice(), 513)));
        assert_eq!(parse(&base), Some(Place::Record(key)));
    }

    #[test]
    fn keys_come_back() {
        // An id of zero bytes must not be mistaken for the end of a name.
        for id in [Uuid::nil(), Uuid::max(), Uuid::from_u128(7 << 64)] {
            check(RecordKey::Entry(id));
            for name in ["a", "ab", "scim-é"] {
                check(RecordKey::Link { target: name.into(), object: id });
            }
        }
        check(RecordKey::Cursor("scim".into()));
        check(RecordKey::Setting("s".into()));
        assert_eq!(parse(&log_base(300)), Some(Place::Log(300)));
        assert_eq!(parse(&meta_base()), Some(Place::Meta));
    }

    #[test]
    fn names_that_cannot_be_keys_are_refused() {
        for name in [String::new(), "a\0b".to_owned(), "x".repeat(MAX_NAME + 1)] {
            for key in [
                RecordKey::Cursor(name.as_str().into()),
                RecordKey::Setting(name.as_str().into()),
                RecordKey::Link { target: name.as_str().into(), object: Uuid::nil() },
            ] {
                let error = base(&key).unwrap_err();
                assert!(matches!(error, Error::BadName { .. }), "{error}");
            }
        }
    }

    #[test]
    fn foreign_keys_are_not_parsed() {
        for bytes in [&b""[..], b"z", b"e123", b"m1", b"c\0", b"cab", b"j1", b"l", b"ca\0b\0"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn log_keys_sort_by_number() {
        let keys: Vec<_> = [1, 2, 255, 256, 65_536, u64::MAX].map(log_base).into();
        assert!(keys.is_sorted());
    }
}
