//! Filters as they come over the wire (RFC 4511 section 4.5.1.7).

use super::decode::{octets, truth, utf8};
use crate::filter::Ast;
use ldap3_lber::{
    common::TagClass,
    structure::{PL, StructureTag},
};
use smol_str::SmolStr;

/// RFC 4511 section 4.5.1.7.
pub fn filter(tag: StructureTag, depth: usize) -> Option<Ast> {
    let depth = depth.checked_sub(1)?;
    if tag.class != TagClass::Context {
        return None;
    }
    let list = |parts: Vec<StructureTag>| parts.into_iter().map(|t| filter(t, depth)).collect::<Option<Vec<_>>>();
    Some(match (tag.id, tag.payload) {
        (0, PL::C(parts)) => Ast::And(list(parts)?),
        (1, PL::C(parts)) => Ast::Or(list(parts)?),
        (2, PL::C(mut parts)) if parts.len() == 1 => Ast::Not(Box::new(filter(parts.pop()?, depth)?)),
        (3, PL::C(parts)) => assertion(parts, Ast::Equal)?,
        (4, PL::C(parts)) => substring(parts)?,
        (5, PL::C(parts)) => assertion(parts, Ast::GreaterOrEqual)?,
        (6, PL::C(parts)) => assertion(parts, Ast::LessOrEqual)?,
        (7, PL::P(name)) => Ast::Present(SmolStr::new(String::from_utf8(name).ok()?)),
        (8, PL::C(parts)) => assertion(parts, Ast::Approx)?,
        (9, PL::C(parts)) => extensible(parts)?,
        _ => return None,
    })
}

fn assertion(parts: Vec<StructureTag>, make: fn(SmolStr, Vec<u8>) -> Ast) -> Option<Ast> {
    let mut parts = parts.into_iter();
    let attr = parts.next().and_then(utf8)?;
    let value = parts.next().and_then(octets)?;
    Some(make(SmolStr::new(attr), value))
}

fn substring(parts: Vec<StructureTag>) -> Option<Ast> {
    let mut parts = parts.into_iter();
    let attr = SmolStr::new(parts.next().and_then(utf8)?);
    let (mut initial, mut any, mut last) = (None, Vec::new(), None);
    for part in parts.next()?.expect_constructed()? {
        match (part.id, part.expect_primitive()?) {
            (0, value) if initial.is_none() && any.is_empty() && last.is_none() => initial = Some(value),
            (1, value) if last.is_none() => any.push(value),
            (2, value) if last.is_none() => last = Some(value),
            _ => return None,
        }
    }
    // At least one part (RFC 4511 section 4.5.1).
    let some = initial.is_some() || last.is_some() || !any.is_empty();
    some.then_some(Ast::Substring { attr, initial, any, last })
}

fn extensible(parts: Vec<StructureTag>) -> Option<Ast> {
    let (mut rule, mut attr, mut value, mut dn) = (None, None, None, false);
    for part in parts {
        let name = |bytes: Vec<u8>| String::from_utf8(bytes).ok().map(SmolStr::new);
        match (part.class, part.id, part.expect_primitive()?) {
            (TagClass::Context, 1, bytes) => rule = Some(name(bytes)?),
            (TagClass::Context, 2, bytes) => attr = Some(name(bytes)?),
            (TagClass::Context, 3, bytes) => value = Some(bytes),
            (TagClass::Context, 4, bytes) => dn = truth(&bytes)?,
            _ => return None,
        }
    }
    Some(Ast::Extensible { rule, attr, value: value?, dn })
}
