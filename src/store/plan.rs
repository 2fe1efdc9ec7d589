//! Turns a group, or a trim, into the one raw batch that a disk writes.
//!
//! Both disks share this, so that the tests with faults in memory prove the same layout that sled
//! stores. Nothing is written here.

use std::collections::HashMap;

use super::key::{self, Place};
use super::meta::Meta;
use super::record::{self, Header, Joiner, damaged};
use super::{Error, Group, RecordKey};

/// What goes to disk in one atomic step, the new meta record included.
#[derive(Clone, Debug, Default)]
pub(super) struct RawBatch {
    pub(super) puts: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) removes: Vec<Vec<u8>>,
}

impl RawBatch {
    pub(super) fn bytes(&self) -> u64 {
        let puts = self.puts.iter().map(|(key, value)| key.len().saturating_add(value.len()));
        let bytes: usize = puts.chain(self.removes.iter().map(Vec::len)).sum();
        bytes as u64
    }
}

/// Reads the header of what is stored under the base of a key.
///
/// The header is read from the disk rather than kept in a map beside it: the leaf has to be fetched
/// for the write anyway, a map would cost some 60 bytes for each record, and it could drift.
pub(super) type Stored<'a> = &'a mut dyn FnMut(&[u8], &RecordKey) -> Result<Option<Header>, Error>;

/// Plans one commit on top of `meta`.
pub(super) fn commit(
    meta: &Meta,
    expected_head: u64,
    group: &Group,
    stored: Stored<'_>,
) -> Result<(RawBatch, Meta), Error> {
    if expected_head != meta.head {
        return Err(Error::Conflict { expected: expected_head, head: meta.head });
    }
    let mut next = *meta;
    next.commits = next.commits.saturating_add(1);
    let mut batch = RawBatch::default();
    for (key, value) in merged(group) {
        change(&mut batch, &mut next, key, value, stored)?;
    }
    for value in &group.log {
        next.head = next.head.saturating_add(1);
        let cut = record::cut(&key::log_base(next.head), value)?;
        batch.puts.extend(cut.pairs);
    }
    batch.puts.push(next.pair()?);
    Ok((batch, next))
}

/// The log numbers that a trim takes away; `None` if there is nothing to do.
pub(super) fn trim_range(meta: &Meta, upto: u64, max: usize) -> Option<(u64, u64)> {
    let most = meta.first_log.saturating_add(max as u64).saturating_sub(1);
    let last = upto.min(meta.head).min(most);
    (max > 0 && last >= meta.first_log).then_some((meta.first_log, last))
}

/// Plans a trim of the log up to `last`, whose chunk keys the disk has listed.
pub(super) fn trim(meta: &Meta, last: u64, keys: Vec<Vec<u8>>) -> Result<(RawBatch, Meta), Error> {
    let next = Meta { commits: meta.commits.saturating_add(1), first_log: last.saturating_add(1), ..*meta };
    let batch = RawBatch { puts: vec![next.pair()?], removes: keys };
    Ok((batch, next))
}

/// The log numbers that a reader gets; `None` if it has read all.
pub(super) fn read_range(meta: &Meta, after: u64, max: usize) -> Result<Option<(u64, u64)>, Error> {
    let from = after.saturating_add(1);
    if from < meta.first_log {
        return Err(Error::Trimmed { after, first_log: meta.first_log });
    }
    let last = meta.head.min(after.saturating_add(max as u64));
    Ok((max > 0 && from <= last).then_some((from, last)))
}

/// The keys of the first and the last possible chunk of these log records.
pub(super) fn log_bounds(from: u64, last: u64) -> (Vec<u8>, Vec<u8>) {
    let first = key::chunk(&key::log_base(from), 0);
    (first, key::chunk(&key::log_base(last), u16::MAX))
}

/// How many log records lie between two numbers, both included.
pub(super) fn count(from: u64, last: u64) -> usize {
    let count = last.saturating_sub(from).saturating_add(1);
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Joins a stretch of the log, and finds any gap in it.
pub(super) struct LogReader {
    joiner: Joiner,
    out: Vec<(u64, Vec<u8>)>,
    next: u64,
}

impl LogReader {
    pub(super) fn new(from: u64) -> Self {
        Self { joiner: Joiner::default(), out: Vec::new(), next: from }
    }

    pub(super) fn feed(&mut self, key: &[u8], chunk: &[u8]) -> Result<(), Error> {
        let Self { joiner, out, next } = self;
        joiner.feed(key, chunk, &mut |place, _, value| match place {
            Place::Log(number) if number == *next => {
                out.push((number, value.to_vec()));
                *next = number.saturating_add(1);
                Ok(())
            }
            _ => Err(damaged(&Place::Log(*next), "it is missing")),
        })
    }

    pub(super) fn finish(self, last: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        self.joiner.finish()?;
        if self.next != last.saturating_add(1) {
            return Err(damaged(&Place::Log(self.next), "it is missing"));
        }
        Ok(self.out)
    }
}

/// The last word of the group on each key, `None` for a delete.
fn merged(group: &Group) -> HashMap<&RecordKey, Option<&[u8]>> {
    let deletes = group.deletes.iter().map(|key| (key, None));
    let puts = group.puts.iter().map(|(key, value)| (key, Some(value.as_slice())));
    deletes.chain(puts).collect()
}

fn change(
    batch: &mut RawBatch,
    next: &mut Meta,
    key: &RecordKey,
    value: Option<&[u8]>,
    stored: Stored<'_>,
) -> Result<(), Error> {
    let base = key::base(key)?;
    let old = stored(&base, key)?;
    let cut = value.map(|value| record::cut(&base, value)).transpose()?;
    let new = cut.as_ref().map(|cut| cut.header);
    next.sum ^= old.map_or(0, |header| header.crc) ^ new.map_or(0, |header| header.crc);
    let one_entry = u64::from(matches!(key, RecordKey::Entry(_)));
    match (old, new) {
        (None, Some(_)) => {
            next.records = next.records.saturating_add(1);
            next.entries = next.entries.saturating_add(one_entry);
        }
        (Some(_), None) => {
            next.records = next.records.saturating_sub(1);
            next.entries = next.entries.saturating_sub(one_entry);
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    // A shorter replacement leaves chunks behind it, which go in the same batch.
    let kept = new.map_or(0, Header::chunks);
    let left = kept..old.map_or(0, Header::chunks);
    for number in left.filter_map(|number| u16::try_from(number).ok()) {
        batch.removes.push(key::chunk(&base, number));
    }
    batch.puts.extend(cut.into_iter().flat_map(|cut| cut.pairs));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn meta(first_log: u64, head: u64) -> Meta {
        Meta { first_log, head, ..Meta::new(Uuid::nil()) }
    }

    #[test]
    fn trim_ranges() {
        for (first, head, upto, max, want) in [
            (1, 0, 9, 9, None),
            (1, 5, 0, 9, None),
            (1, 5, 3, 9, Some((1, 3))),
            (1, 5, 3, 2, Some((1, 2))),
            (1, 5, 3, 0, None),
            (4, 5, 3, 9, None),
            (4, 5, u64::MAX, usize::MAX, Some((4, 5))),
            (6, 5, 9, 9, None),
        ] {
            let got = trim_range(&meta(first, head), upto, max);
            assert_eq!(got, want, "{first} {head} {upto} {max}");
        }
    }

    #[test]
    fn read_ranges() {
        for (first, head, after, max, want) in [
            (1, 0, 0, 9, None),
            (1, 5, 0, 9, Some((1, 5))),
            (1, 5, 2, 2, Some((3, 4))),
            (1, 5, 5, 2, None),
            (3, 5, 2, usize::MAX, Some((3, 5))),
            (6, 5, 5, 9, None),
            (1, 5, u64::MAX, 9, None),
            (1, 5, 0, 0, None),
        ] {
            let got = read_range(&meta(first, head), after, max).unwrap();
            assert_eq!(got, want, "{first} {head} {after} {max}");
        }
        let error = read_range(&meta(3, 5), 1, 9).unwrap_err();
        assert!(matches!(error, Error::Trimmed { after: 1, first_log: 3 }), "{error}");
    }

    #[test]
    fn a_put_after_a_delete_counts_and_a_delete_after_a_put_too() {
        let key = |n| RecordKey::Entry(Uuid::from_u128(n));
        let mut group = Group::default();
        group.delete(key(1));
        group.put(key(1), vec![1]);
        group.put(key(2), vec![2]);
        group.delete(key(2));
        group.put(key(3), vec![3]);
        group.put(key(3), vec![4]);
        let merged = merged(&group);
        assert_eq!(merged[&key(1)], Some(&[1][..]));
        assert_eq!(merged[&key(2)], None);
        assert_eq!(merged[&key(3)], Some(&[4][..]));
    }
}
