//! The cookie of content synchronisation (RFC 4533 section 2.1.2): a point of the journal in the
//! form of a change sequence number, which is what slapd as a consumer keeps of a cookie.
//!
//! `YYYYmmddHHMMSS.uuuuuuZ#CCCCCC#SSS#MMMMMM` is compared as text. Time comes first and never goes
//! back, then the high part of the number, a constant, and the low part of the number; the last
//! twelve bits are those of the store's id, so that the cookie of another store is told from ours.

use crate::clock::Timestamp;
use uuid::Uuid;

/// A record of the journal, by its number and its time. Both must fit: after a restore of a backup
/// the same number can stand for another change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub number: u64,
    pub time: Timestamp,
}

/// A cookie that a client sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// How the client numbers its own feeds; answers repeat it.
    rid: Option<String>,
    /// The point that it holds of this store.
    pub point: Option<Point>,
}

impl Cookie {
    /// What is not understood is a point that nobody knows.
    pub fn parse(bytes: &[u8], store: Uuid) -> Self {
        let mut cookie = Cookie::default();
        let text = String::from_utf8_lossy(bytes);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("rid", rid)) if rid.len() <= RID_DIGITS && rid.bytes().all(|b| b.is_ascii_digit()) => {
                    cookie.rid = Some(rid.to_owned());
                }
                // A consumer that has followed others before us holds a point of each.
                Some(("csn", list)) => cookie.point = list.split(';').find_map(|csn| parse_csn(csn, store)),
                _ => {}
            }
        }
        cookie
    }

    /// The cookie of another point, for the same client.
    pub fn at(&self, point: Point, store: Uuid) -> Vec<u8> {
        let rid = self.rid.as_deref().unwrap_or("000");
        format!("rid={rid},csn={}", csn(point, store)).into_bytes()
    }
}

const RID_DIGITS: usize = 3;
const LOW_BITS: u32 = 12;
const LOW: u64 = (1 << LOW_BITS) - 1;

fn csn(point: Point, store: Uuid) -> String {
    let seconds = point.time.generalized_time();
    let micros = point.time.0.rem_euclid(1_000_000);
    let high = point.number >> LOW_BITS;
    let low = (point.number & LOW) << LOW_BITS | tag(store);
    format!("{}.{micros:06}Z#{high:06x}#000#{low:06x}", seconds.trim_end_matches('Z'))
}

fn parse_csn(text: &str, store: Uuid) -> Option<Point> {
    let mut parts = text.split('#');
    let time = Timestamp::parse_generalized_time(parts.next()?)?;
    let mut hex = || u64::from_str_radix(parts.next()?, 16).ok();
    let (high, _, low) = (hex()?, hex()?, hex()?);
    let number = high.checked_mul(1 << LOW_BITS)?.checked_add(low >> LOW_BITS)?;
    (low & LOW == tag(store)).then_some(Point { number, time })
}

fn tag(store: Uuid) -> u64 {
    u64::from(store.as_fields().0) & LOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: Uuid = Uuid::from_u128(0x1234_5678_0000_0000_0000_0000_0000_0000);

    fn point(number: u64, micros: i64) -> Point {
        Point { number, time: Timestamp(1_700_000_000_000_000 + micros) }
    }

    #[test]
    fn a_cookie_reads_back() {
        for number in [1, 4095, 4096, 70_000, 1 << 30] {
            let ours = Cookie::default().at(point(number, 42), STORE);
            let read = Cookie::parse(&ours, STORE);
            assert_eq!(read.point, Some(point(number, 42)));
            assert_eq!(read.at(point(2, 1), STORE).get(..8), Some(&b"rid=000,"[..]));
        }
        let slapd =
            b"rid=007,sid=001,csn=20200101000000.000000Z#000000#001#000000;20231114221320.000042Z#000001#000#002678";
        assert_eq!(Cookie::parse(slapd, STORE).point, Some(point(4098, 42)));
        assert!(Cookie::parse(slapd, STORE).at(point(1, 0), STORE).starts_with(b"rid=007,csn=2023"));
    }

    #[test]
    fn later_points_are_greater_as_text() {
        let in_order = [point(1, 0), point(2, 0), point(4095, 0), point(4096, 0), point(4097, 1), point(9_000_000, 2)];
        let texts: Vec<String> = in_order.iter().map(|p| csn(*p, STORE)).collect();
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
        assert!(texts.iter().all(|t| t.len() == 40), "{texts:?}");
    }

    #[test]
    fn strangers_are_told_from_ours() {
        let other = Uuid::from_u128(0x1234_5679_0000_0000_0000_0000_0000_0000);
        let theirs = Cookie::default().at(point(5, 0), other);
        for bytes in [theirs.as_slice(), b"", b"csn=", b"rid=001", b"\xff\xfe", b"csn=20231114221320.0Z#0#0#zzz"] {
            assert_eq!(Cookie::parse(bytes, STORE).point, None);
        }
    }
}
