//! Time as the directory writes it. Nothing here reads a clock: callers hand in a `Timestamp`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Timestamp(pub i64);

/// Where the present time comes from: the system's clock in `main`, anything in tests.
pub type Clock = std::sync::Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine. Only `server`, `cli` and tests call it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn system() -> Clock {
    std::sync::Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    })
}

impl Timestamp {
    pub fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    pub fn plus_ms(self, ms: u64) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000)))
    }

    /// `YYYYmmddHHMMSSZ`, the form of the operational attributes (RFC 4517 3.3.13).
    pub fn generalized_time(self) -> String {
        match jiff::Timestamp::from_second(self.secs()) {
            Ok(t) => t.strftime("%Y%m%d%H%M%SZ").to_string(),
            Err(_) => "19700101000000Z".to_owned(),
        }
    }

    /// `YYYY-mm-ddTHH:MM:SS.mmmZ`, the form of dates in JSON (RFC 3339, and what JavaScript writes).
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
        }
    }

    /// Reads generalizedTime: minutes, seconds and fraction optional, zone required
    /// (RFC 4517 3.3.13).
    pub fn parse_generalized_time(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (head, mut rest) = text.split_at_checked(digits)?;
        if !matches!(digits, 10 | 12 | 14) {
            return None;
        }
        let field = |from: usize, to: usize| head.get(from..to)?.parse::<i64>().ok();
        let (year, month, day, hour) = (field(0, 4)?, field(4, 6)?, field(6, 8)?, field(8, 10)?);
        let minute = if digits >= 12 { field(10, 12)? } else { 0 };
        let second = if digits == 14 { field(12, 14)? } else { 0 };
        let unit: i64 = match digits {
            10 => 3_600_000_000,
            12 => 60_000_000,
            _ => 1_000_000,
        };
        let mut micros = 0;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let n = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let (decimals, tail) = fraction.split_at_checked(n)?;
            if n == 0 || n > 30 {
                return None;
            }
            // Nine decimals are finer than any value we keep.
            let kept = decimals.get(..n.min(9))?;
            let scale = 10i128.pow(u32::try_from(kept.len()).ok()?);
            micros = i64::try_from(kept.parse::<i128>().ok()? * i128::from(unit) / scale).ok()?;
            rest = tail;
        }
        let offset_minutes = match rest.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), zone @ ..] if matches!(zone.len(), 2 | 4) => {
                let zone = std::str::from_utf8(zone).ok()?;
                if !zone.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let hours = zone.get(..2)?.parse::<i64>().ok()?;
                let minutes = zone.get(2..4).map_or(Ok(0), str::parse::<i64>).ok()?;
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let total = hours * 60 + minutes;
                if *sign == b'+' { total } else { -total }
            }
            _ => return None,
        };
        // A leap second counts as the second after it.
        let leap = i64::from(second == 60);
        let date = jiff::civil::DateTime::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
            i8::try_from(hour).ok()?,
            i8::try_from(minute).ok()?,
            i8::try_from(second - leap).ok()?,
            0,
        )
        .ok()?;
        // By calendar arithmetic: an instant of jiff's ends a day before the year 9999 does, and its
        // last second is what many write for "never".
        let utc =
            date.duration_since(jiff::civil::date(1970, 1, 1).to_datetime(jiff::civil::Time::midnight())).as_secs();
        let secs = utc + leap - offset_minutes * 60;
        Some(Timestamp(secs.checked_mul(1_000_000)?.checked_add(micros)?))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, for logs and status tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.0}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generalized_time_reads_every_legal_form() {
        let base = Timestamp::parse_generalized_time("20240229123000Z").unwrap();
        assert_eq!(base.generalized_time(), "20240229123000Z");
        for same in [
            "202402291230Z",
            "2024022912.5Z",
            "2024022912,5Z",
            "20240229143000+0200",
            "20240229143000+02",
            "20240229123000.000Z",
            "20240229070000-0530",
        ] {
            assert_eq!(Timestamp::parse_generalized_time(same), Some(base), "{same}");
        }
    }

    #[test]
    fn generalized_time_reads_every_year() {
        let never = Timestamp::parse_generalized_time("99991231235959Z").unwrap();
        assert_eq!(never.secs(), 253_402_300_799);
        assert!(Timestamp::parse_generalized_time("00000101000000Z").unwrap() < Timestamp::default());
    }

    #[test]
    fn generalized_time_refuses_what_is_not_a_time() {
        for bad in [
            "",
            "2024",
            "20240229123000",
            "20230229123000Z",
            "20240229253000Z",
            "20240229123000+2",
            "20240229123000.Z",
            "31/12/1999",
            "20240229123000ZZ",
        ] {
            assert_eq!(Timestamp::parse_generalized_time(bad), None, "{bad}");
        }
    }
}
