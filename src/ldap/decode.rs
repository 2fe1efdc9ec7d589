//! Elements of requests, read through the wire crate's BER layer, which keeps bytes that are not
//! UTF-8.

use ldap3_lber::{common::TagClass, parse::Parser, structure::StructureTag, universal::Types};

/// One element that takes up all of the bytes, nested no deeper than `depth`.
pub fn whole(bytes: &[u8], depth: usize) -> Option<StructureTag> {
    // The parser takes its bound to be one more than the levels it enters.
    Parser::new(depth + 1).parse(bytes).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, tag)| tag)
}

/// The parts of a SEQUENCE.
pub fn sequence(tag: StructureTag) -> Option<Vec<StructureTag>> {
    if tag.class != TagClass::Universal || tag.id != Types::Sequence as u64 {
        return None;
    }
    tag.expect_constructed()
}

/// A SEQUENCE OF strings.
pub fn strings(tag: StructureTag) -> Option<Vec<String>> {
    sequence(tag)?.into_iter().map(utf8).collect()
}

/// The content of a primitive element of this universal type.
fn universal(tag: StructureTag, kind: Types) -> Option<Vec<u8>> {
    if tag.class != TagClass::Universal || tag.id != kind as u64 {
        return None;
    }
    tag.expect_primitive()
}

pub fn octets(tag: StructureTag) -> Option<Vec<u8>> {
    universal(tag, Types::OctetString)
}

pub fn utf8(tag: StructureTag) -> Option<String> {
    String::from_utf8(octets(tag)?).ok()
}

pub fn integer(tag: StructureTag) -> Option<i64> {
    number(&universal(tag, Types::Integer)?)
}

pub fn enumerated(tag: StructureTag) -> Option<i64> {
    number(&universal(tag, Types::Enumerated)?)
}

fn number(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    Some(bytes.iter().fold(if negative { -1 } else { 0 }, |n: i64, b| (n << 8) | i64::from(*b)))
}

pub fn boolean(tag: StructureTag) -> Option<bool> {
    truth(&universal(tag, Types::Boolean)?)
}

pub fn truth(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [byte] => Some(*byte != 0),
        _ => None,
    }
}
