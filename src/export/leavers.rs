//! What becomes, at a target, of those who should not be there (any more): who left the scope, whose
//! entry is gone, who is to be destroyed, and groups that have ended.

use super::mapping::end_of_group;
use crate::{
    clock::Timestamp,
    directory::{Node, Snapshot},
};

/// The `leavers` of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leavers {
    pub action: Action,
    /// How long after that a deactivated account is deleted; `None`: never. Also how long after its
    /// end a group is, and after its letter says so an account that is to be destroyed.
    pub delete_after_secs: Option<u64>,
    pub anticipated: Anticipated,
}

/// What is done at once about an account whose entry is gone or out of scope. What has no `active`,
/// as groups, is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    #[default]
    Delete,
    /// Its memberships stay.
    Deactivate,
    /// It stays as it is.
    Keep,
}

/// Those whose account is there ahead of their arrival (SupAnn: SupannAnticipe).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anticipated {
    /// Not exported before they arrive.
    #[default]
    Skip,
    /// Exported, and not active.
    Inactive,
}

/// How long a leaver stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    Over,
    /// To be looked at again then, if ever.
    Until(Option<Timestamp>),
}

impl Leavers {
    /// The grace of who is to leave since then.
    pub fn grace(&self, since: Timestamp, now: Timestamp) -> Grace {
        let end = self.delete_after_secs.map(|secs| since.plus_ms(secs.saturating_mul(1000)));
        match end {
            Some(end) if end <= now => Grace::Over,
            end => Grace::Until(end),
        }
    }

    /// That of a group; `None` if nothing is said of its end.
    pub fn grace_of_group(&self, snapshot: &Snapshot, node: &Node, now: Timestamp) -> Option<Grace> {
        let end = end_of_group(snapshot, node)?;
        Some(if end > now { Grace::Until(Some(end)) } else { self.grace(end, now) })
    }
}

/// When an account that is usable for a while yet ceases to be: the day after the end of
/// `{COMPTE}A:SupannSursis:start:end` (SupAnn: supannRessourceEtatDate).
pub fn reprieve_ends(snapshot: &Snapshot, node: &Node) -> Option<Timestamp> {
    let attr = snapshot.schema.attr_id("supannRessourceEtatDate")?;
    let texts = node.entry.values(attr).filter_map(|v| std::str::from_utf8(v).ok());
    texts.filter_map(reprieve_end).max()
}

fn reprieve_end(text: &str) -> Option<Timestamp> {
    let (head, rest) = text.split_at_checked(ACCOUNT.len())?;
    let mut parts = rest.split(':');
    let (state, sub, _start, end) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_reprieve = head.eq_ignore_ascii_case(ACCOUNT) && state == "A" && sub == "SupannSursis";
    let day = Timestamp::parse_generalized_time(&format!("{}000000Z", end.get(..DAY.len())?))?;
    is_reprieve.then(|| day.plus_ms(DAY_MS))
}

/// Whether time alone changes what is sent of an entry.
pub fn is_timed(snapshot: &Snapshot, node: &Node) -> bool {
    end_of_group(snapshot, node).is_some() || reprieve_ends(snapshot, node).is_some()
}

const ACCOUNT: &str = "{COMPTE}";

const DAY: &str = "YYYYMMDD";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_has_an_end_or_none() {
        let (since, now) = (Timestamp::from_secs(100), Timestamp::from_secs(150));
        for (secs, expected) in [
            (None, Grace::Until(None)),
            (Some(50), Grace::Over),
            (Some(60), Grace::Until(Some(Timestamp::from_secs(160)))),
        ] {
            let leavers = Leavers { delete_after_secs: secs, ..Leavers::default() };
            assert_eq!(leavers.grace(since, now), expected, "{secs:?}");
        }
    }

    #[test]
    fn a_reprieve_ends_with_its_day() {
        let day = |text| Timestamp::parse_generalized_time(text);
        for (text, expected) in [
            ("{COMPTE}A:SupannSursis:20260101:20260131", day("20260201000000Z")),
            ("{compte}A:SupannSursis::20260131220000Z", day("20260201000000Z")),
            ("{COMPTE}A:SupannSursis:20260101:", None),
            ("{COMPTE}A:SupannActif:20260101:20260131", None),
            ("{MAIL}A:SupannSursis:20260101:20260131", None),
            ("{COMPTE}A", None),
        ] {
            assert_eq!(reprieve_end(text), expected, "{text}");
        }
    }
}
