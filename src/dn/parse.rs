//! Reading names (RFC 4514 section 3), tolerant of spaces around `,`, `+` and `=`.

use super::{Ava, Rdn};
use smol_str::SmolStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("expected an attribute type at byte {0} of the name")]
    Type(usize),
    #[error("expected '=' after the attribute type at byte {0} of the name")]
    Equals(usize),
    #[error("broken escape at byte {0} of the name")]
    Escape(usize),
    #[error("broken hexadecimal value at byte {0} of the name")]
    Hex(usize),
    #[error("the character at byte {0} of the name must be escaped")]
    Special(usize),
    #[error("an RDN names the attribute type at byte {0} of the name twice")]
    Twice(usize),
    #[error("one RDN was expected, found a longer name")]
    NotOneRdn,
}

pub(super) fn dn(text: &str) -> Result<Vec<Rdn>, ParseError> {
    let mut reader = Reader { text, at: 0 };
    reader.spaces();
    if reader.peek().is_none() {
        return Ok(Vec::new());
    }
    let mut rdns = vec![reader.rdn()?];
    while reader.peek().is_some() {
        // rdn() stops only at a separator or at the end.
        reader.at += 1;
        rdns.push(reader.rdn()?);
    }
    Ok(rdns)
}

pub(super) fn rdn(text: &str) -> Result<Rdn, ParseError> {
    let mut reader = Reader { text, at: 0 };
    let rdn = reader.rdn()?;
    if reader.peek().is_some() {
        return Err(ParseError::NotOneRdn);
    }
    Ok(rdn)
}

/// Undoes the escapes of one value; the value ends at the end of `text`.
pub fn unescape(text: &str) -> Result<Box<[u8]>, ParseError> {
    let mut reader = Reader { text, at: 0 };
    reader.value()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn rdn(&mut self) -> Result<Rdn, ParseError> {
        self.spaces();
        let start = self.at;
        let mut avas = Vec::with_capacity(1);
        loop {
            self.spaces();
            let at = self.at;
            let attr = self.attribute_type()?;
            if avas.iter().any(|a: &Ava| a.attr.eq_ignore_ascii_case(&attr)) {
                return Err(ParseError::Twice(at));
            }
            self.spaces();
            if self.peek() != Some(b'=') {
                return Err(ParseError::Equals(self.at));
            }
            self.at += 1;
            self.spaces();
            let value = self.value()?;
            avas.push(Ava { attr, value });
            match self.peek() {
                Some(b'+') => self.at += 1,
                _ => break,
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        Ok(Rdn { avas: avas.into(), text: SmolStr::new(trim_end(raw)) })
    }

    /// descr or numericoid (RFC 4512 section 1.4); options are not part of a name.
    fn attribute_type(&mut self) -> Result<SmolStr, ParseError> {
        let start = self.at;
        while let Some(b) = self.peek() {
            if b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_' {
                self.at += 1;
            } else {
                break;
            }
        }
        let name = self.text.get(start..self.at).unwrap_or_default();
        let ok = match name.as_bytes().first() {
            Some(b) if b.is_ascii_alphabetic() => true,
            Some(b) if b.is_ascii_digit() => name.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            _ => false,
        };
        if ok { Ok(SmolStr::new(name)) } else { Err(ParseError::Type(start)) }
    }

    fn value(&mut self) -> Result<Box<[u8]>, ParseError> {
        if self.peek() == Some(b'#') {
            return self.hex_value();
        }
        let mut out = Vec::new();
        let mut kept = 0; // length up to the last byte that is not an unescaped space
        while let Some(b) = self.peek() {
            match b {
                b',' | b'+' | b';' => break,
                b'\\' => {
                    out.push(self.escape()?);
                    kept = out.len();
                    continue;
                }
                b'"' | b'<' | b'>' | 0 => return Err(ParseError::Special(self.at)),
                b' ' => out.push(b),
                _ => {
                    out.push(b);
                    kept = out.len();
                }
            }
            self.at += 1;
        }
        out.truncate(kept);
        Ok(out.into())
    }

    fn escape(&mut self) -> Result<u8, ParseError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let first = *bytes.get(start + 1).ok_or(ParseError::Escape(start))?;
        if let Some(high) = hex(first) {
            let low = bytes.get(start + 2).copied().and_then(hex).ok_or(ParseError::Escape(start))?;
            self.at += 3;
            return Ok(high << 4 | low);
        }
        if b" \"#+,;<=>\\".contains(&first) {
            self.at += 2;
            return Ok(first);
        }
        Err(ParseError::Escape(start))
    }

    /// `#` and the hexadecimal BER encoding of the value; a primitive string is unwrapped.
    fn hex_value(&mut self) -> Result<Box<[u8]>, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut ber = Vec::new();
        while let Some(high) = self.peek().and_then(hex) {
            self.at += 1;
            let low = self.peek().and_then(hex).ok_or(ParseError::Hex(start))?;
            self.at += 1;
            ber.push(high << 4 | low);
        }
        self.spaces();
        match ber.as_slice() {
            [_tag, length, content @ ..] if *length < 128 && content.len() == *length as usize => Ok(content.into()),
            _ => Err(ParseError::Hex(start)),
        }
    }
}

/// Cuts spaces off the end, but not one that an escape belongs to.
fn trim_end(raw: &str) -> &str {
    let trimmed = raw.trim_end_matches(' ');
    let slashes = trimmed.bytes().rev().take_while(|b| *b == b'\\').count();
    if slashes % 2 == 1 { raw.get(..trimmed.len() + 1).unwrap_or(raw) } else { trimmed }
}

fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}
