//! Responses as bytes (RFC 4511 section 4). Put together here and not by the wire crate, which
//! knows neither every result code nor controls of every kind.

use super::{
    message::{Control, Kind},
    result::{Code, LdapResult},
};
use crate::entry::ber;

pub const SEARCH_RESULT_ENTRY: u8 = 0x64;
pub const SEARCH_RESULT_REFERENCE: u8 = 0x73;
const INTERMEDIATE_RESPONSE: u8 = 0x79;
const EXTENDED_RESPONSE: u8 = 0x78;
const SERVER_SASL_CREDS: u8 = 0x87;

/// One response: its protocol op in encoded parts, and its controls.
pub struct Reply {
    tag: u8,
    content: Vec<u8>,
    controls: Vec<Control>,
}

impl Reply {
    /// What answers a request of this kind; nothing answers unbind and abandon.
    pub fn to(kind: Kind, result: &LdapResult) -> Option<Self> {
        let tag = match kind {
            Kind::Bind => 0x61,
            Kind::Search => 0x65,
            Kind::Modify => 0x67,
            Kind::Add => 0x69,
            Kind::Delete => 0x6b,
            Kind::ModifyDn => 0x6d,
            Kind::Compare => 0x6f,
            Kind::Extended => EXTENDED_RESPONSE,
            Kind::Unbind | Kind::Abandon => return None,
        };
        let mut content = components(result);
        if result.code == Code::SaslBindInProgress {
            // The one challenge there is: the client has not spoken yet (RFC 4422 section 5).
            ber::push_element(&mut content, SERVER_SASL_CREDS, b"");
        }
        Some(Reply { tag, content, controls: Vec::new() })
    }

    /// RFC 4511 section 4.12.
    pub fn extended(result: &LdapResult, name: Option<&str>, value: Option<&[u8]>) -> Self {
        let mut content = components(result);
        if let Some(name) = name {
            ber::push_element(&mut content, 0x8a, name.as_bytes());
        }
        if let Some(value) = value {
            ber::push_element(&mut content, 0x8b, value);
        }
        Reply { tag: EXTENDED_RESPONSE, content, controls: Vec::new() }
    }

    /// RFC 4511 section 4.13.
    pub fn intermediate(name: &str, value: &[u8]) -> Self {
        let mut content = Vec::new();
        ber::push_element(&mut content, 0x80, name.as_bytes());
        ber::push_element(&mut content, 0x81, value);
        Reply { tag: INTERMEDIATE_RESPONSE, content, controls: Vec::new() }
    }

    /// RFC 4511 section 4.5.3.
    pub fn reference<'u>(uris: impl Iterator<Item = &'u str>) -> Self {
        let mut content = Vec::new();
        uris.for_each(|uri| ber::push_element(&mut content, ber::OCTET_STRING, uri.as_bytes()));
        Reply { tag: SEARCH_RESULT_REFERENCE, content, controls: Vec::new() }
    }

    pub fn with(mut self, controls: Vec<Control>) -> Self {
        self.controls = controls;
        self
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut Vec<u8>, id: i32) {
        message(out, id, self.tag, &[&self.content], &self.controls);
    }
}

/// LDAPResult without its own header (RFC 4511 section 4.1.9).
fn components(result: &LdapResult) -> Vec<u8> {
    let mut out = Vec::new();
    push_number(&mut out, ber::ENUMERATED, i64::from(result.code.number()));
    ber::push_element(&mut out, ber::OCTET_STRING, result.matched.as_bytes());
    ber::push_element(&mut out, ber::OCTET_STRING, result.message.as_bytes());
    if !result.referral.is_empty() {
        let mut uris = Vec::new();
        result.referral.iter().for_each(|uri| ber::push_element(&mut uris, ber::OCTET_STRING, uri.as_bytes()));
        ber::push_element(&mut out, 0xa3, &uris);
    }
    out
}

/// Appends LDAPMessage { messageID, protocolOp, controls } (RFC 4511 section 4.1.1).
pub fn message(out: &mut Vec<u8>, id: i32, tag: u8, parts: &[&[u8]], controls: &[Control]) {
    let op: usize = parts.iter().map(|p| p.len()).sum();
    let mut number = Vec::with_capacity(6);
    push_number(&mut number, ber::INTEGER, i64::from(id));
    let tail = encoded_controls(controls);
    ber::push_header(out, ber::SEQUENCE, number.len() + ber::element_len(op) + tail.len());
    out.extend_from_slice(&number);
    ber::push_header(out, tag, op);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(&tail);
}

/// RFC 4511 section 4.1.11; empty for no controls.
pub fn encoded_controls(controls: &[Control]) -> Vec<u8> {
    let mut out = Vec::new();
    if controls.is_empty() {
        return out;
    }
    ber::push_element(&mut out, 0xa0, &control_list(controls));
    out
}

/// Controls one after the other, without a tag around them.
pub fn control_list(controls: &[Control]) -> Vec<u8> {
    let mut list = Vec::new();
    for control in controls {
        let mut one = Vec::new();
        ber::push_element(&mut one, ber::OCTET_STRING, control.oid.as_bytes());
        if control.critical {
            ber::push_element(&mut one, ber::BOOLEAN, &[0xff]);
        }
        if let Some(value) = &control.value {
            ber::push_element(&mut one, ber::OCTET_STRING, value);
        }
        ber::push_element(&mut list, ber::SEQUENCE, &one);
    }
    list
}

/// A whole number in the fewest bytes (X.690 section 8.3).
pub fn push_number(out: &mut Vec<u8>, tag: u8, number: i64) {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let mut rest = bytes.as_slice();
    // A leading byte is left out as long as the next one keeps the sign.
    while let [first, next, ..] = rest
        && *first == sign
        && (next & 0x80 != 0) == (number < 0)
    {
        rest = rest.get(1..).unwrap_or_default();
    }
    ber::push_element(out, tag, rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_fewest_bytes() {
        for (number, bytes) in [
            (0i64, &[2u8, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
            (-1, &[2, 1, 255]),
            (-128, &[2, 1, 128]),
            (-129, &[2, 2, 255, 127]),
            (16654, &[2, 2, 0x41, 0x0e]),
        ] {
            let mut out = Vec::new();
            push_number(&mut out, ber::INTEGER, number);
            assert_eq!(out, bytes, "{number}");
        }
    }
}
