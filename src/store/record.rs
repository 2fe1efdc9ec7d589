//! How one value lies on disk: chunks of at most 4 KiB, the first with a header and a checksum.
//!
//! The chunks keep every leaf of the tree below the size at which sled moves values to files that
//! it never syncs. The checksum covers key and value, because sled can open at a damaged state and
//! say nothing.

use super::Error;
use super::key::{self, Place};

/// What chunk 0 says about its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    len: u32,
    pub(super) crc: u32,
}

impl Header {
    /// Reads the header of a chunk 0 and answers the rest of that chunk too.
    pub(super) fn parse<'a>(place: &Place, chunk: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let Some((head, rest)) = chunk.split_first_chunk::<HEADER>() else {
            return Err(damaged(place, "its header is cut"));
        };
        let [version, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
        if version != VERSION {
            return Err(damaged(place, &format!("it has the unknown version {version}")));
        }
        let header = Self { len: u32::from_be_bytes([l0, l1, l2, l3]), crc: u32::from_be_bytes([c0, c1, c2, c3]) };
        Ok((header, rest))
    }

    pub(super) fn chunks(self) -> u32 {
        (self.len as usize).saturating_add(HEADER).div_ceil(CHUNK).try_into().unwrap_or(u32::MAX)
    }
}

/// One record cut into the pairs that go to disk, and its checksum.
pub(super) struct Cut {
    pub(super) header: Header,
    pub(super) pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Cuts a value into chunks.
pub(super) fn cut(base: &[u8], value: &[u8]) -> Result<Cut, Error> {
    let too_large = || Error::TooLarge {
        what: key::parse(base).map_or_else(|| "a record".to_owned(), |place| place.to_string()),
        bytes: value.len(),
    };
    if value.len() > MAX_VALUE {
        return Err(too_large());
    }
    let header = Header { len: u32::try_from(value.len()).map_err(|_| too_large())?, crc: checksum(base, value) };
    let (start, rest) = value.split_at(value.len().min(CHUNK - HEADER));
    let mut first = Vec::with_capacity(start.len().saturating_add(HEADER));
    first.push(VERSION);
    first.extend_from_slice(&header.len.to_be_bytes());
    first.extend_from_slice(&header.crc.to_be_bytes());
    first.extend_from_slice(start);
    let mut pairs = vec![(key::chunk(base, 0), first)];
    for (piece, number) in rest.chunks(CHUNK).zip(1_u16..) {
        pairs.push((key::chunk(base, number), piece.to_vec()));
    }
    Ok(Cut { header, pairs })
}

/// Puts chunks that come in the order of their keys together again.
#[derive(Default)]
pub(super) struct Joiner {
    open: Option<Open>,
}

/// A record of which not all chunks have come yet.
struct Open {
    base: Vec<u8>,
    place: Place,
    header: Header,
    value: Vec<u8>,
    next: u16,
}

/// Takes each whole record: its place, its checksum, its value.
pub(super) type Emit<'a> = &'a mut dyn FnMut(Place, u32, &[u8]) -> Result<(), Error>;

impl Joiner {
    pub(super) fn feed(&mut self, full: &[u8], chunk: &[u8], emit: Emit<'_>) -> Result<(), Error> {
        let (base, number) = key::split(full).ok_or_else(|| foreign(full))?;
        let Some(mut open) = self.open.take() else {
            return self.begin(base, number, chunk, emit);
        };
        if open.base != base {
            return Err(damaged(&open.place, "its end is missing"));
        }
        if open.next != number {
            return Err(damaged(&open.place, &format!("its chunk {} is missing", open.next)));
        }
        open.value.extend_from_slice(chunk);
        open.next = open.next.saturating_add(1);
        if u32::from(open.next) < open.header.chunks() {
            self.open = Some(open);
            return Ok(());
        }
        verify(&open.place, base, open.header, &open.value)?;
        emit(open.place, open.header.crc, &open.value)
    }

    /// Says whether the last record has come to its end.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.open {
            Some(open) => Err(damaged(&open.place, "its end is missing")),
            None => Ok(()),
        }
    }

    fn begin(&mut self, base: &[u8], number: u16, chunk: &[u8], emit: Emit<'_>) -> Result<(), Error> {
        let place = key::parse(base).ok_or_else(|| foreign(base))?;
        if number != 0 {
            return Err(damaged(&place, &format!("chunk {number} has no beginning before it")));
        }
        let (header, start) = Header::parse(&place, chunk)?;
        if header.chunks() == 1 {
            // Most records end here, and are handed on without a copy.
            verify(&place, base, header, start)?;
            return emit(place, header.crc, start);
        }
        // The length comes from the disk: a damaged one must not make us ask for gigabytes.
        let mut value = Vec::with_capacity((header.len as usize).min(CAREFUL_RESERVE));
        value.extend_from_slice(start);
        self.open = Some(Open { base: base.to_vec(), place, header, value, next: 1 });
        Ok(())
    }
}

/// The error for a record that is not what was written.
pub(super) fn damaged(place: &Place, why: &str) -> Error {
    Error::Corrupt { what: format!("{place}: {why}") }
}

fn verify(place: &Place, base: &[u8], header: Header, value: &[u8]) -> Result<(), Error> {
    if value.len() != header.len as usize {
        let why = format!("it should have {} bytes and has {}", header.len, value.len());
        return Err(damaged(place, &why));
    }
    if checksum(base, value) != header.crc {
        return Err(damaged(place, "its checksum does not fit"));
    }
    Ok(())
}

fn foreign(key: &[u8]) -> Error {
    let shown: String = key.iter().take(40).map(|b| format!("{b:02x}")).collect();
    Error::Corrupt { what: format!("it holds a key that this release never writes: {shown}") }
}

fn checksum(base: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(base);
    hasher.update(value);
    hasher.finalize()
}

/// The most that one chunk holds, the header included.
pub(super) const CHUNK: usize = 4096;
/// Version, length, checksum.
pub(super) const HEADER: usize = 9;
/// The longest value whose chunks a u16 can count.
pub(super) const MAX_VALUE: usize = CHUNK * u16::MAX as usize - HEADER;
const VERSION: u8 = 1;
const CAREFUL_RESERVE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RecordKey;
    use uuid::Uuid;

    fn sample() -> (Vec<u8>, String) {
        let key = RecordKey::Entry(Uuid::from_u128(42));
        (key::base(&key).unwrap(), key.to_string())
    }

    fn join(pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<Vec<u8>>, Error> {
        let mut out = Vec::new();
        let mut joiner = Joiner::default();
        for (key, chunk) in pairs {
            joiner.feed(key, chunk, &mut |_, _, value| {
                out.push(value.to_vec());
                Ok(())
            })?;
        }
        joiner.finish()?;
        Ok(out)
    }

    #[test]
    fn cut_and_join_at_every_edge() {
        let (base, _) = sample();
        let edge = CHUNK - HEADER;
        for (len, chunks) in [
            (0, 1),
            (1, 1),
            (edge, 1),
            (edge + 1, 2),
            (CHUNK, 2),
            (edge + CHUNK, 2),
            (edge + CHUNK + 1, 3),
            (300 * 1024, 76),
        ] {
            let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let cut = cut(&base, &value).unwrap();
            assert_eq!(cut.pairs.len(), chunks, "{len}");
            assert_eq!(cut.header.chunks() as usize, chunks, "{len}");
            assert!(cut.pairs.iter().all(|(_, chunk)| chunk.len() <= CHUNK));
            assert!(cut.pairs.is_sorted());
            assert_eq!(join(&cut.pairs).unwrap(), vec![value]);
        }
    }

    #[test]
    fn every_flipped_bit_is_found_and_named() {
        let (base, name) = sample();
        let cut = cut(&base, &[7; 5000]).unwrap();
        for pair in 0..cut.pairs.len() {
            for at in [0, 1, 4, 5, 8, 9, 100] {
                let mut pairs = cut.pairs.clone();
                pairs[pair].1[at] ^= 0x10;
                let error = join(&pairs).unwrap_err().to_string();
                assert!(error.contains(&name), "{pair} {at}: {error}");
            }
        }
    }

    #[test]
    fn missing_and_moved_chunks_are_found() {
        let (base, name) = sample();
        let pairs = cut(&base, &[7; 15_000]).unwrap().pairs;
        let other = key::base(&RecordKey::Entry(Uuid::from_u128(43))).unwrap();
        let mut followed = cut(&other, &[1]).unwrap().pairs;
        followed.insert(0, pairs[0].clone());
        let moved = vec![(key::chunk(&other, 0), cut(&base, &[1]).unwrap().pairs[0].1.clone())];
        for (what, damaged, names) in [
            ("first", pairs[1..].to_vec(), name.as_str()),
            ("middle", [&pairs[..1], &pairs[2..]].concat(), &name),
            ("last", pairs[..pairs.len() - 1].to_vec(), &name),
            ("followed by another", followed, &name),
            ("under another key", moved, "00002b"),
        ] {
            let error = join(&damaged).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }));
            assert!(error.to_string().contains(names), "{what}: {error}");
        }
    }

    #[test]
    fn a_value_beyond_the_chunk_numbers_is_refused() {
        let (base, _) = sample();
        let error = cut(&base, &vec![0; MAX_VALUE + 1]).err().unwrap();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}
