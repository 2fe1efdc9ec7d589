//! The moves of an identity along its axes, oldest first, in few bytes: there may be a hundred
//! thousand identities in memory, each with years of them.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// One move: when, of which axis, between which values, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub time: Timestamp,
    pub axis: Axis,
    /// `None` for the first value that the axis had.
    pub from: Option<i32>,
    pub to: i32,
    /// A DN; empty for the server itself.
    pub actor: SmolStr,
    /// In free words; may be empty.
    pub why: SmolStr,
}

/// The axes of an identity (Sesame). A lifecycle letter counts as the number of its character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Axis {
    State,
    Lifecycle,
    DataStatus,
    InitState,
}

impl Axis {
    pub fn name(self) -> &'static str {
        match self {
            Axis::State => "state",
            Axis::Lifecycle => "lifecycle",
            Axis::DataStatus => "dataStatus",
            Axis::InitState => "initState",
        }
    }

    /// A value of this axis as people write it.
    pub fn text(self, value: i32) -> String {
        match self {
            Axis::Lifecycle => u32::try_from(value).ok().and_then(char::from_u32).map(String::from).unwrap_or_default(),
            Axis::State | Axis::DataStatus | Axis::InitState => value.to_string(),
        }
    }
}

/// Time, axis, from, to, actor and why, divided by `#`. One inside the actor's name is written as
/// `\23`, as names allow (RFC 4514 section 2.4); why is the rest.
impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.map(|value| self.axis.text(value)).unwrap_or_default();
        let actor = self.actor.replace("\\#", "\\23").replace('#', "\\23");
        let (time, axis, to) = (self.time.generalized_time(), self.axis.name(), self.axis.text(self.to));
        write!(f, "{time}#{axis}#{from}#{to}#{actor}#{}", self.why)
    }
}

/// All moves that are kept of one identity.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    count: u32,
    /// The moves one after the other, each in postcard form.
    bytes: Box<[u8]>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl History {
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Move> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            let (one, after) = postcard::take_from_bytes(rest).ok()?;
            rest = after;
            Some(one)
        })
    }

    /// Puts moves behind the last one, and forgets the oldest above `most`.
    pub fn extend(&mut self, moves: impl IntoIterator<Item = Move>, most: usize) {
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        for one in moves {
            if let Ok(encoded) = postcard::to_stdvec(&one) {
                bytes.extend(encoded);
                self.count += 1;
            }
        }
        let mut start = 0;
        while self.count as usize > most
            && let Some(Ok((_, after))) = bytes.get(start..).map(postcard::take_from_bytes::<Move>)
        {
            start = bytes.len() - after.len();
            self.count -= 1;
        }
        bytes.drain(..start);
        self.bytes = bytes.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(secs: i64, from: Option<i32>, to: i32) -> Move {
        let actor = "cn=a\\#b,dc=example,dc=org".into();
        Move { time: Timestamp::from_secs(secs), axis: Axis::State, from, to, actor, why: "asked #1".into() }
    }

    #[test]
    fn moves_come_back_and_the_oldest_fall_off() {
        let mut history = History::default();
        let all: Vec<Move> = (0..5).map(|n| state(n, Some(n as i32), 2)).collect();
        history.extend(all.clone(), 3);
        assert_eq!(history.iter().collect::<Vec<_>>(), all[2..].to_vec());
        history.extend([state(9, None, -3)], 3);
        assert_eq!(history.len(), 3);
        assert_eq!(history.iter().map(|m| m.time.secs()).collect::<Vec<_>>(), [3, 4, 9]);
    }

    #[test]
    fn a_move_reads_as_one_line() {
        let mut one = state(1_700_000_000, Some(1), 2);
        assert_eq!(one.to_string(), "20231114221320Z#state#1#2#cn=a\\23b,dc=example,dc=org#asked #1");
        one = Move { axis: Axis::Lifecycle, from: None, to: 'O' as i32, ..one };
        assert_eq!(one.to_string(), "20231114221320Z#lifecycle##O#cn=a\\23b,dc=example,dc=org#asked #1");
    }
}
