//! Change sequence numbers in the form of OpenLDAP: a record of the journal as text that grows with
//! every change. slapd keeps them of what it follows, and compares them as text.
//!
//! `YYYYmmddHHMMSS.uuuuuuZ#CCCCCC#SSS#MMMMMM`: time comes first and never goes back, then the high
//! part of the number, a constant, and the low part of the number; the last twelve bits are those
//! of the store's id, so that another store is told from this one.

use crate::clock::Timestamp;
use uuid::Uuid;

/// A record of the journal, by its number and its time. Both must fit: after a restore of a backup
/// the same number can stand for another change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csn {
    pub number: u64,
    pub time: Timestamp,
}

const LOW_BITS: u32 = 12;
const LOW: u64 = (1 << LOW_BITS) - 1;

impl Csn {
    pub fn text(self, store: Uuid) -> String {
        let seconds = self.time.generalized_time();
        let micros = self.time.0.rem_euclid(1_000_000);
        let high = self.number >> LOW_BITS;
        let low = (self.number & LOW) << LOW_BITS | tag(store);
        format!("{}.{micros:06}Z#{high:06x}#000#{low:06x}", seconds.trim_end_matches('Z'))
    }

    /// `None` if it is not one, or one of another store.
    pub fn parse(text: &str, store: Uuid) -> Option<Self> {
        let mut parts = text.split('#');
        let time = Timestamp::parse_generalized_time(parts.next()?)?;
        let mut hex = || u64::from_str_radix(parts.next()?, 16).ok();
        let (high, _, low) = (hex()?, hex()?, hex()?);
        let number = high.checked_mul(1 << LOW_BITS)?.checked_add(low >> LOW_BITS)?;
        (low & LOW == tag(store)).then_some(Csn { number, time })
    }
}

fn tag(store: Uuid) -> u64 {
    u64::from(store.as_fields().0) & LOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: Uuid = Uuid::from_u128(0x1234_5678_0000_0000_0000_0000_0000_0000);

    fn csn(number: u64, micros: i64) -> Csn {
        Csn { number, time: Timestamp(1_700_000_000_000_000 + micros) }
    }

    #[test]
    fn later_ones_are_greater_as_text_and_read_back() {
        let in_order = [csn(1, 0), csn(2, 0), csn(4095, 0), csn(4096, 0), csn(4097, 1), csn(9_000_000, 2)];
        let texts: Vec<String> = in_order.iter().map(|c| c.text(STORE)).collect();
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
        assert!(texts.iter().all(|t| t.len() == 40), "{texts:?}");
        assert!(in_order.iter().zip(&texts).all(|(c, t)| Csn::parse(t, STORE) == Some(*c)));
        assert_eq!(texts[3], "20231114221320.000000Z#000001#000#000678");
    }

    #[test]
    fn strangers_are_told_from_ours() {
        let other = Uuid::from_u128(0x1234_5679_0000_0000_0000_0000_0000_0000);
        for text in [csn(5, 0).text(other).as_str(), "", "20231114221320.0Z#0#0#zzz", "20231114221320Z"] {
            assert_eq!(Csn::parse(text, STORE), None, "{text}");
        }
    }
}
