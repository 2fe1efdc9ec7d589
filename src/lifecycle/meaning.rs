//! What the axes mean to the rest of the server: may the account log in, is it exported, and as
//! active or not; and the values that the axes can have.

use super::State;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Whether a bind may succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    Usable,
    /// Why not, for the log; the client learns nothing of it.
    Closed(Cow<'static, str>),
}

/// How a target should see the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Export {
    /// Not to be sent now; what a target holds already stays as it is.
    Wait,
    Active,
    Inactive,
    /// Attributes are sent, `active` stays as it was sent last.
    #[serde(rename = "keep")]
    KeepActive,
}

/// A value that is none of its axis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("expected one of -99, -3, -2, -1, 0, 1, 2, 50, 99")]
    State,
    #[error("expected one of the letters {0}")]
    Lifecycle(String),
    #[error("expected 1 ACTIVE, 0 NOTINITIALIZED, -1 DELETED, -2 PASSWORDNEEDTOBECHANGED or -3 INACTIVE")]
    DataStatus,
    #[error("expected 0 not sent, 1 sent or 2 initialised")]
    InitState,
    #[error("expected TRUE or FALSE")]
    Boolean,
    #[error("expected at the most {REASON} bytes of text without control characters")]
    Reason,
}

/// Bytes of a reason for the history.
const REASON: usize = 256;

/// Reading of values that clients write to the axes.
pub mod parse_axis {
    use super::{super::Stages, Fault, REASON, State};
    use smol_str::SmolStr;

    fn number(value: &[u8]) -> Option<i32> {
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    pub fn state(value: &[u8]) -> Result<State, Fault> {
        number(value).and_then(State::from_number).ok_or(Fault::State)
    }

    pub fn lifecycle(value: &[u8], stages: &Stages) -> Result<char, Fault> {
        let text = std::str::from_utf8(value).ok();
        text.and_then(|text| stages.named(text).ok()).ok_or_else(|| Fault::Lifecycle(stages.letters()))
    }

    pub fn data_status(value: &[u8]) -> Result<i32, Fault> {
        number(value).filter(|n| (-3..=1).contains(n)).ok_or(Fault::DataStatus)
    }

    pub fn init_state(value: &[u8]) -> Result<i32, Fault> {
        number(value).filter(|n| (0..=2).contains(n)).ok_or(Fault::InitState)
    }

    pub fn boolean(value: &[u8]) -> Result<bool, Fault> {
        match value {
            b"TRUE" => Ok(true),
            b"FALSE" => Ok(false),
            _ => Err(Fault::Boolean),
        }
    }

    pub fn reason(value: &[u8]) -> Result<SmolStr, Fault> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= REASON);
        text.filter(|text| !text.chars().any(char::is_control)).map(SmolStr::new).ok_or(Fault::Reason)
    }
}
