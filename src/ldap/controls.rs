//! Request controls (RFC 4511 section 4.1.11). None is supported yet; a critical one is refused,
//! others are ignored as the RFC asks.

use super::message::Control;

/// The OID of a critical control that is not supported.
pub fn unsupported(controls: &[Control]) -> Option<&str> {
    controls.iter().find(|c| c.critical).map(|c| c.oid.as_str())
}
