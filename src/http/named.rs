//! Entries by what people call them: uuid, uid or DN.

use super::problem::Problem;
use crate::{
    directory::{Error, Node, Snapshot},
    dn::Dn,
};
use axum::http::StatusCode;
use std::sync::Arc;

/// The one entry of this name that is `wanted`, deleted ones as well. A uid that two of them have names
/// neither.
pub fn named(snapshot: &Snapshot, id: &str, wanted: impl Fn(&Node) -> bool) -> Result<Arc<Node>, Problem> {
    let wanted = |node: &&Arc<Node>| wanted(node);
    if let Ok(uuid) = id.parse() {
        let found = snapshot.by_uuid(uuid).or_else(|| snapshot.deleted_by_uuid(uuid));
        return found.filter(wanted).cloned().ok_or_else(Problem::not_found);
    }
    if id.contains('=') {
        let dn = Dn::parse(id).map_err(Error::from)?;
        let key = snapshot.schema.dn_key(&dn);
        let buried = || snapshot.deleted().find(|node| snapshot.dn_key_of(node) == key);
        return snapshot.find(&key).or_else(buried).filter(wanted).cloned().ok_or_else(Problem::not_found);
    }
    let uid = snapshot.schema.known.uid;
    let has = |node: &&Arc<Node>| wanted(node) && node.entry.values(uid).any(|v| v.eq_ignore_ascii_case(id.as_bytes()));
    let mut found: Vec<&Arc<Node>> = snapshot.walk().filter(has).collect();
    if found.is_empty() {
        found = snapshot.deleted().filter(has).collect();
    }
    match found.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => Err(Problem::not_found()),
        _ => Err(Problem::new(StatusCode::CONFLICT, "several entries have this uid; name one by its uuid")),
    }
}
