//! The meta record: what every commit notes about the whole, and what a load compares with it.
//!
//! sled can open at an earlier or a damaged state without a word; counts and sums of our own are
//! what finds it. This file must not read or write a disk.

use uuid::Uuid;

use super::key::{self, Place};
use super::record::{self, Joiner, damaged};
use super::{Error, FORMAT, Info, RecordKey, Visit};

/// The totals of a store after one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) format: u16,
    pub(super) store_id: Uuid,
    /// Batches written, trims included: moves even where the log does not.
    pub(super) commits: u64,
    pub(super) head: u64,
    pub(super) first_log: u64,
    pub(super) entries: u64,
    /// Records of every kind but the log and this one.
    pub(super) records: u64,
    /// The xor of the checksums of all records that `records` counts.
    pub(super) sum: u32,
}

impl Meta {
    pub(super) fn new(store_id: Uuid) -> Self {
        Self { format: FORMAT, store_id, commits: 0, head: 0, first_log: 1, entries: 0, records: 0, sum: 0 }
    }

    pub(super) fn info(&self, bytes_on_disk: u64) -> Info {
        Info {
            head: self.head,
            first_log: self.first_log,
            entries: self.entries,
            store_id: self.store_id,
            format: self.format,
            bytes_on_disk,
        }
    }

    /// The one pair that every batch carries.
    pub(super) fn pair(&self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let mut value = Vec::with_capacity(64);
        value.extend_from_slice(&self.format.to_be_bytes());
        value.extend_from_slice(self.store_id.as_bytes());
        for number in [self.commits, self.head, self.first_log, self.entries, self.records] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value.extend_from_slice(&self.sum.to_be_bytes());
        let mut cut = record::cut(&key::meta_base(), &value)?;
        cut.pairs.pop().ok_or_else(|| damaged(&Place::Meta, "it has no chunk"))
    }

    pub(super) fn key() -> Vec<u8> {
        key::chunk(&key::meta_base(), 0)
    }

    /// Reads the pair that [`Self::pair`] made.
    pub(super) fn parse(chunk: &[u8]) -> Result<Self, Error> {
        let mut meta = None;
        let mut joiner = Joiner::default();
        joiner.feed(&Self::key(), chunk, &mut |_, _, value| {
            meta = Some(Self::decode(value)?);
            Ok(())
        })?;
        joiner.finish()?;
        meta.ok_or_else(|| damaged(&Place::Meta, "it is empty"))
    }

    /// The error for a store that has records but none of these.
    pub(super) fn missing() -> Error {
        Error::Corrupt { what: "there are records, but the meta record is missing".to_owned() }
    }

    fn decode(value: &[u8]) -> Result<Self, Error> {
        let cut = || damaged(&Place::Meta, "it has the wrong length");
        let (format, mut rest) = value.split_first_chunk::<2>().ok_or_else(cut)?;
        let format = u16::from_be_bytes(*format);
        if format > FORMAT {
            // Before the length is judged: a later format may well be longer.
            return Err(Error::FutureFormat { found: format, supported: FORMAT });
        }
        let id = take::<16>(&mut rest).ok_or_else(cut)?;
        let mut number = || take::<8>(&mut rest).map(u64::from_be_bytes).ok_or_else(cut);
        let meta = Self {
            format,
            store_id: Uuid::from_bytes(id),
            commits: number()?,
            head: number()?,
            first_log: number()?,
            entries: number()?,
            records: number()?,
            sum: take::<4>(&mut rest).map(u32::from_be_bytes).ok_or_else(cut)?,
        };
        if rest.is_empty() { Ok(meta) } else { Err(cut()) }
    }
}

/// What a load has counted so far.
pub(super) struct Tally {
    entries: u64,
    records: u64,
    sum: u32,
    next_log: u64,
}

impl Tally {
    pub(super) fn new(meta: &Meta) -> Self {
        Self { entries: 0, records: 0, sum: 0, next_log: meta.first_log }
    }

    /// Counts one record of a scan, and shows it to the visitor if it is one for him.
    pub(super) fn take(&mut self, place: Place, crc: u32, value: &[u8], visit: Visit<'_>) -> Result<(), Error> {
        match place {
            Place::Meta => Ok(()),
            Place::Log(number) => self.log(number),
            Place::Record(key) => {
                self.record(&key, crc);
                visit(key, value)
            }
        }
    }

    fn record(&mut self, key: &RecordKey, crc: u32) {
        self.records = self.records.saturating_add(1);
        self.sum ^= crc;
        if let RecordKey::Entry(_) = key {
            self.entries = self.entries.saturating_add(1);
        }
    }

    fn log(&mut self, number: u64) -> Result<(), Error> {
        if number != self.next_log {
            let missing = Place::Log(self.next_log.min(number));
            return Err(damaged(&missing, &format!("it is missing or out of place beside {number}")));
        }
        self.next_log = number.saturating_add(1);
        Ok(())
    }

    /// Compares the counts with those of the last commit.
    pub(super) fn check(&self, meta: &Meta) -> Result<(), Error> {
        for (what, noted, found) in [
            ("log records up to", meta.head, self.next_log.saturating_sub(1)),
            ("entries", meta.entries, self.entries),
            ("records", meta.records, self.records),
            ("a sum of checksums of", meta.sum.into(), self.sum.into()),
        ] {
            if noted != found {
                return Err(Error::Corrupt {
                    what: format!("the last commit noted {what} {noted}, found were {found}"),
                });
            }
        }
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Meta {
        Meta {
            format: FORMAT,
            store_id: Uuid::from_u128(9),
            commits: 12,
            head: 8,
            first_log: 3,
            entries: 5,
            records: 6,
            sum: 0xdead_beef,
        }
    }

    #[test]
    fn comes_back() {
        let (key, chunk) = sample().pair().unwrap();
        assert_eq!(key, Meta::key());
        assert_eq!(Meta::parse(&chunk).unwrap(), sample());
    }

    #[test]
    fn damage_is_found() {
        let (_, chunk) = sample().pair().unwrap();
        for at in 0..chunk.len() {
            let mut damaged = chunk.clone();
            damaged[at] ^= 1;
            let error = Meta::parse(&damaged).unwrap_err().to_string();
            assert!(error.contains("meta record"), "{at}: {error}");
        }
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let later = Meta { format: FORMAT + 1, ..sample() };
        let error = Meta::parse(&later.pair().unwrap().1).unwrap_err();
        assert!(
            matches!(error, Error::FutureFormat { found, supported } if found == FORMAT + 1 && supported == FORMAT),
            "{error}"
        );
    }

    #[test]
    fn a_tally_finds_what_is_missing() {
        let meta = Meta { head: 4, first_log: 3, entries: 1, records: 1, sum: 77, ..sample() };
        let full = || {
            let mut tally = Tally::new(&meta);
            tally.record(&RecordKey::Entry(Uuid::nil()), 77);
            tally.log(3).unwrap();
            tally
        };
        let short = full().check(&meta).unwrap_err().to_string();
        assert!(short.contains("log records up to 4, found were 3"), "{short}");
        assert!(full().log(5).unwrap_err().to_string().contains("log record 4"));
        let mut whole = full();
        whole.log(4).unwrap();
        whole.check(&meta).unwrap();
        whole.record(&RecordKey::Cursor("c".into()), 1);
        assert!(whole.check(&meta).unwrap_err().to_string().contains("records 1, found were 2"));
    }
}
