//! The little BER that attribute lists need (RFC 4511 section 5.1): definite lengths, one-byte
//! tags. Everything else on the wire is the wire crate's work.

use std::ops::Range;

pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const OCTET_STRING: u8 = 0x04;
pub const ENUMERATED: u8 = 0x0a;

/// One element: its place with and without the header.
#[derive(Clone, Debug)]
pub struct Element {
    pub tag: u8,
    pub whole: Range<usize>,
    pub content: Range<usize>,
}

/// Walks over consecutive elements.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0, end: bytes.len() }
    }

    /// Over a part of `bytes`; places are counted from the start of `bytes`.
    pub fn at(bytes: &'a [u8], part: Range<usize>) -> Self {
        Reader { bytes, at: part.start, end: part.end.min(bytes.len()) }
    }

    /// `None` at the end, `Some(None)` if what follows is no element.
    pub fn next_element(&mut self) -> Option<Option<Element>> {
        if self.at >= self.end {
            return None;
        }
        let element = self.bytes.get(self.at..self.end).and_then(|rest| {
            let (tag, header, length) = header(rest)?;
            let start = self.at + header;
            let stop = start.checked_add(length)?;
            (stop <= self.end).then_some(Element { tag, whole: self.at..stop, content: start..stop })
        });
        match &element {
            Some(e) => self.at = e.whole.end,
            None => self.at = self.end,
        }
        Some(element)
    }
}

/// Tag, length of the header and length of the content. `None` if incomplete or not definite.
pub fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((tag, 2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 8 {
        return None;
    }
    let length = rest.get(..count)?.iter().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))?;
    Some((tag, 2 + count, length))
}

/// The contents of consecutive primitive elements, such as the values in a SET.
pub fn values(set: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let (_, head, length) = header(rest)?;
        let value = rest.get(head..head.checked_add(length)?)?;
        rest = rest.get(head + length..)?;
        Some(value)
    })
}

pub fn push_header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    out.push(0x80 | (bytes.len() - skip) as u8);
    out.extend(bytes.iter().skip(skip));
}

pub fn push_element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    push_header(out, tag, content.len());
    out.extend_from_slice(content);
}

/// Bytes that an element with this content takes, header included.
pub fn element_len(content: usize) -> usize {
    let header = match content {
        0..0x80 => 2,
        0x80..0x100 => 3,
        0x100..0x1_0000 => 4,
        0x1_0000..0x100_0000 => 5,
        _ => 6,
    };
    header + content
}

/// Appends one `PartialAttribute` (RFC 4511 4.1.7).
pub fn push_attribute<'v>(out: &mut Vec<u8>, name: &str, values: impl Iterator<Item = &'v [u8]> + Clone) {
    let set: usize = values.clone().map(|v| element_len(v.len())).sum();
    push_header(out, SEQUENCE, element_len(name.len()) + element_len(set));
    push_element(out, OCTET_STRING, name.as_bytes());
    push_header(out, SET, set);
    for value in values {
        push_element(out, OCTET_STRING, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_reads_back_whatever_its_size() {
        for size in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000] {
            let value = vec![7u8; size];
            let mut out = Vec::new();
            push_attribute(&mut out, "cn", [value.as_slice(), b"x"].into_iter());
            assert_eq!(out.len(), element_len(header(&out).unwrap().2));
            let mut reader = Reader::new(&out);
            let whole = reader.next_element().unwrap().unwrap();
            assert!(reader.next_element().is_none());
            let mut inner = Reader::at(&out, whole.content);
            let name = inner.next_element().unwrap().unwrap();
            assert_eq!(&out[name.content], b"cn");
            let set = inner.next_element().unwrap().unwrap();
            let read: Vec<&[u8]> = values(&out[set.content]).collect();
            assert_eq!(read, [value.as_slice(), b"x"]);
        }
    }

    #[test]
    fn broken_elements_are_told_from_the_end() {
        assert!(Reader::new(&[]).next_element().is_none());
        for bad in [&[0x30][..], &[0x30, 5, 1], &[0x30, 0x80, 0, 0], &[0x30, 0x89]] {
            assert!(Reader::new(bad).next_element().unwrap().is_none(), "{bad:?}");
        }
    }
}
