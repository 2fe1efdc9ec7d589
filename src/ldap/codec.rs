//! From bytes to messages. A frame is awaited whole before it is parsed, so that nothing is
//! scanned twice; its message id is read first, so that a request with a bad value can still be
//! answered under its own id.

use super::{
    decode::{boolean, enumerated, integer, octets, utf8, whole},
    filter::filter,
    message::{Auth, Control, Kind, Message, Request, SearchRequest},
};
use crate::entry::ber;
use bytes::{Buf, BytesMut};
use ldap3_lber::{
    common::TagClass,
    structure::{PL, StructureTag},
};
use ldap3_proto::proto::LdapOp;
use tokio_util::codec::Decoder;

/// Reads LDAP messages of at most `limit` bytes.
pub struct Codec {
    pub limit: usize,
    pub filter_depth: usize,
}

/// A well-framed message: good, or with a fault that is answered under its id.
#[derive(Debug)]
pub enum Frame {
    Good(Box<Message>),
    Bad { id: i32, kind: Option<Kind>, reason: &'static str },
}

/// The stream is not LDAP any more: notice of disconnection, then the close.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the bytes received are not an LDAP message")]
    NotLdap,
    #[error("the message is larger than the {0} bytes allowed")]
    TooLarge(usize),
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = Broken;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Broken> {
        if buffer.first().is_some_and(|tag| *tag != ber::SEQUENCE) {
            return Err(Broken::NotLdap);
        }
        let Some((_, head, length)) = ber::header(buffer) else {
            // At most nine bytes are a header in the making.
            return if buffer.len() > 9 { Err(Broken::NotLdap) } else { Ok(None) };
        };
        let size = head.saturating_add(length);
        if size > self.limit {
            return Err(Broken::TooLarge(self.limit));
        }
        if buffer.len() < size {
            buffer.reserve(size - buffer.len());
            return Ok(None);
        }
        let frame = buffer.get(..size).and_then(|bytes| whole(bytes, self.filter_depth + OTHER_DEPTH));
        buffer.advance(size);
        message(frame.ok_or(Broken::NotLdap)?, size, self.filter_depth).map(Some)
    }
}

/// Levels of a message around its filter.
pub const OTHER_DEPTH: usize = 8;

fn message(tag: StructureTag, size: usize, filter_depth: usize) -> Result<Frame, Broken> {
    let mut parts = tag.expect_constructed().ok_or(Broken::NotLdap)?.into_iter();
    let id = parts.next().and_then(integer).and_then(|n| i32::try_from(n).ok());
    let id = id.filter(|n| *n > 0).ok_or(Broken::NotLdap)?;
    let op = parts.next().filter(|t| t.class == TagClass::Application).ok_or(Broken::NotLdap)?;
    let kind = Kind::by_tag(op.id);
    let bad = |reason| Ok(Frame::Bad { id, kind, reason });
    let controls = match parts.next() {
        None => Vec::new(),
        Some(tag) => match controls(tag) {
            Some(list) => list,
            None => return bad("malformed controls"),
        },
    };
    let request = match kind {
        None => return bad("unknown operation"),
        Some(Kind::Bind) => bind(op),
        Some(Kind::Search) => search(op, filter_depth),
        Some(Kind::Extended) => extended(op),
        Some(_) => other(op),
    };
    match request {
        Some(request) => Ok(Frame::Good(Box::new(Message { id, request, controls, size }))),
        None => bad("malformed request"),
    }
}

/// Operations whose types in the wire crate keep all bytes.
fn other(tag: StructureTag) -> Option<Request> {
    Some(match LdapOp::try_from(tag).ok()? {
        LdapOp::UnbindRequest => Request::Unbind,
        LdapOp::ModifyRequest(r) => Request::Modify(r),
        LdapOp::AddRequest(r) => Request::Add(r),
        LdapOp::DelRequest(dn) => Request::Delete(dn),
        LdapOp::ModifyDNRequest(r) => Request::ModifyDn(r),
        LdapOp::CompareRequest(r) => Request::Compare(r),
        LdapOp::AbandonRequest(id) => Request::Abandon(id),
        _ => return None,
    })
}

/// RFC 4511 section 4.2.
fn bind(tag: StructureTag) -> Option<Request> {
    let mut parts = tag.expect_constructed()?.into_iter();
    let version = parts.next().and_then(integer)?;
    let name = parts.next().and_then(utf8)?;
    let auth = parts.next().filter(|t| t.class == TagClass::Context)?;
    let auth = match (auth.id, auth.payload) {
        (0, PL::P(password)) => Auth::Simple(password),
        (3, PL::C(sasl)) => {
            let mut sasl = sasl.into_iter();
            let mechanism = sasl.next().and_then(utf8)?;
            let credentials = match sasl.next() {
                None => None,
                Some(tag) => Some(octets(tag)?),
            };
            Auth::Sasl { mechanism, credentials }
        }
        _ => Auth::Unknown,
    };
    Some(Request::Bind { version, name, auth })
}

/// RFC 4511 section 4.5.1.
fn search(tag: StructureTag, filter_depth: usize) -> Option<Request> {
    let mut parts = tag.expect_constructed()?.into_iter();
    let base = parts.next().and_then(utf8)?;
    let scope = parts.next().and_then(enumerated)?;
    let deref = parts.next().and_then(enumerated)?;
    let size_limit = parts.next().and_then(integer)?;
    let time_limit = parts.next().and_then(integer)?;
    let types_only = parts.next().and_then(boolean)?;
    let filter = filter(parts.next()?, filter_depth)?;
    let attrs = parts.next()?.expect_constructed()?.into_iter().map(utf8).collect::<Option<_>>()?;
    Some(Request::Search(Box::new(SearchRequest {
        base,
        scope,
        deref,
        size_limit,
        time_limit,
        types_only,
        filter,
        attrs,
    })))
}

/// RFC 4511 section 4.12.
fn extended(tag: StructureTag) -> Option<Request> {
    let mut name = None;
    let mut value = None;
    for part in tag.expect_constructed()? {
        match (part.class, part.id) {
            (TagClass::Context, 0) => name = String::from_utf8(part.expect_primitive()?).ok(),
            (TagClass::Context, 1) => value = part.expect_primitive(),
            _ => return None,
        }
    }
    Some(Request::Extended { name: name?, value })
}

fn controls(tag: StructureTag) -> Option<Vec<Control>> {
    if tag.class != TagClass::Context || tag.id != 0 {
        return None;
    }
    tag.expect_constructed()?.into_iter().map(control).collect()
}

fn control(tag: StructureTag) -> Option<Control> {
    let mut parts = tag.expect_constructed()?.into_iter();
    let mut control = Control { oid: parts.next().and_then(utf8)?, critical: false, value: None };
    for part in parts {
        match part.id {
            1 => control.critical = boolean(part)?,
            _ => control.value = Some(octets(part)?),
        }
    }
    Some(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Frame>, Broken> {
        Codec { limit: 1000, filter_depth: 4 }.decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_bind_with_a_password_that_is_not_utf8() {
        let bytes = b"\x30\x10\x02\x01\x01\x60\x0b\x02\x01\x03\x04\x01a\x80\x03\xff\xfe\xfd";
        match decode(bytes).unwrap() {
            Some(Frame::Good(message)) => match message.request {
                Request::Bind { version: 3, name, auth: Auth::Simple(password) } => {
                    assert_eq!((name.as_str(), password.as_slice()), ("a", &b"\xff\xfe\xfd"[..]));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sasl_credentials_may_be_absent_or_empty() {
        for (bytes, expected) in [
            (&b"\x30\x10\x02\x01\x01\x60\x0b\x02\x01\x03\x04\x00\xa3\x04\x04\x02AB"[..], None),
            (b"\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x00\xa3\x06\x04\x02AB\x04\x00", Some(&b""[..])),
            (b"\x30\x14\x02\x01\x01\x60\x0f\x02\x01\x03\x04\x00\xa3\x08\x04\x02AB\x04\x02\x00\xff", Some(b"\x00\xff")),
        ] {
            let Some(Frame::Good(message)) = decode(bytes).unwrap() else { panic!("{bytes:?}") };
            match message.request {
                Request::Bind { auth: Auth::Sasl { mechanism, credentials }, .. } => {
                    assert_eq!((mechanism.as_str(), credentials.as_deref()), ("AB", expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_bad_value_is_answered_under_its_id() {
        // A delete whose DN is not UTF-8.
        match decode(b"\x30\x06\x02\x01\x07\x4a\x01\xff").unwrap() {
            Some(Frame::Bad { id: 7, kind: Some(Kind::Delete), .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_are_awaited_whole_and_broken_ones_end_the_stream() {
        assert!(decode(b"").unwrap().is_none());
        assert!(decode(b"\x30").unwrap().is_none());
        assert!(decode(b"\x30\x05\x02").unwrap().is_none());
        assert!(matches!(decode(b"GET / HTTP/1.1"), Err(Broken::NotLdap)));
        assert!(matches!(decode(b"\x30\x03\x02\x01\x01"), Err(Broken::NotLdap)));
        assert!(matches!(decode(b"\x30\x84\x7f\xff\xff\xff"), Err(Broken::TooLarge(1000))));
    }

    #[test]
    fn a_filter_nested_too_deeply_is_refused() {
        let mut filter = b"\x87\x01a".to_vec();
        for _ in 0..6 {
            let mut outer = vec![0xa2, filter.len() as u8];
            outer.append(&mut filter);
            filter = outer;
        }
        let mut search = b"\x04\x00\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00".to_vec();
        search.extend(&filter);
        search.extend(b"\x30\x00");
        let mut bytes = vec![0x30, search.len() as u8 + 5, 2, 1, 9, 0x63, search.len() as u8];
        bytes.extend(search);
        assert!(matches!(decode(&bytes).unwrap(), Some(Frame::Bad { id: 9, kind: Some(Kind::Search), .. })));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn random_messages_never_panic(inner: Vec<u8>) {
            let mut bytes = vec![0x30, (inner.len() % 100) as u8];
            bytes.extend(inner);
            let _ = decode(&bytes);
        }
    }
}
