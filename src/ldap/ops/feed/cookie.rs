//! The cookie of content synchronisation (RFC 4533 section 2.1.2) in the form that slapd as a
//! consumer understands: of a cookie it keeps the change sequence numbers and nothing else.

use crate::directory::Csn;
use uuid::Uuid;

/// A cookie that a client sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// How the client numbers its own feeds; answers repeat it.
    rid: Option<String>,
    /// The point of this store's journal that it stands for.
    pub point: Option<Csn>,
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
                // A consumer that has followed others before us holds one of each.
                Some(("csn", list)) => cookie.point = list.split(';').find_map(|csn| Csn::parse(csn, store)),
                _ => {}
            }
        }
        cookie
    }

    /// The cookie of another point, for the same client.
    pub fn at(&self, point: Csn, store: Uuid) -> Vec<u8> {
        let rid = self.rid.as_deref().unwrap_or("000");
        format!("rid={rid},csn={}", point.text(store)).into_bytes()
    }
}

const RID_DIGITS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const STORE: Uuid = Uuid::from_u128(0x1234_5678_0000_0000_0000_0000_0000_0000);

    #[test]
    fn the_cookie_of_slapd_is_understood() {
        let slapd =
            b"rid=007,sid=001,csn=20200101000000.000000Z#000000#001#000000;20231114221320.000042Z#000001#000#002678";
        let cookie = Cookie::parse(slapd, STORE);
        let point = Csn { number: 4098, time: Timestamp(1_700_000_000_000_042) };
        assert_eq!(cookie.point, Some(point));
        assert_eq!(cookie.at(point, STORE), b"rid=007,csn=20231114221320.000042Z#000001#000#002678");
    }

    #[test]
    fn what_is_not_ours_is_no_point() {
        for bytes in [&b""[..], b"csn=", b"rid=001", b"\xff\xfe", b"csn=20231114221320.000042Z#000001#000#002679"] {
            assert_eq!(Cookie::parse(bytes, STORE).point, None);
        }
    }
}
