//! What one target is known to hold: a row for each object, as kept in the store, and who refers
//! to whom.

use super::target::Resource;
use crate::{clock::Timestamp, directory::Row, dn::DnKey, store::RecordKey};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// What a target holds of one object, and what became of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    pub resource: Resource,
    /// `None` until the target has answered a create.
    pub remote_id: Option<String>,
    /// The canonical text of the document that the target has taken.
    pub sent: Option<String>,
    pub etag: Option<String>,
    /// The `active` that was sent last.
    pub active: Option<bool>,
    /// The version of the entry that this row speaks of: its `operational.changed`.
    pub as_of: u64,
    /// The last update may have been carried out, in part or whole: look before the next.
    pub unsure: bool,
    /// Failed attempts in a row.
    pub attempt: u32,
    pub next_attempt: Option<Timestamp>,
    pub last_error: Option<String>,
    /// The target has refused the document with this checksum for good.
    pub refused: Option<u32>,
    /// Entries that the document refers to, linked or not.
    pub refs: Vec<Uuid>,
    /// The entry names objects that do not exist; they may come.
    pub dangling: bool,
}

const VERSION: u8 = 1;

impl LinkRow {
    pub fn new(resource: Resource) -> Self {
        LinkRow {
            resource,
            remote_id: None,
            sent: None,
            etag: None,
            active: None,
            as_of: 0,
            unsure: false,
            attempt: 0,
            next_attempt: None,
            last_error: None,
            refused: None,
            refs: Vec::new(),
            dangling: false,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        versioned(self)
    }

    /// `None` if a later release wrote it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [VERSION, rest @ ..] => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

fn versioned(value: &impl Serialize) -> Vec<u8> {
    let mut out = vec![VERSION];
    if let Ok(bytes) = postcard::to_stdvec(value) {
        out.extend(bytes);
    }
    out
}

/// What is kept of the target as a whole, in the row of the nil UUID, which no entry has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Own {
    /// Under which settings every object was looked at last.
    settings: u32,
}

/// Whose the objects of the target are, by their ids; shared with the pushes under way.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<HashMap<(Resource, String), Uuid>>>);

impl Claims {
    pub fn owner(&self, resource: Resource, id: &str) -> Option<Uuid> {
        self.held().get(&(resource, id.to_owned())).copied()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<(Resource, String), Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All rows of one target.
#[derive(Default)]
pub struct Links {
    rows: HashMap<Uuid, LinkRow>,
    refs_of: HashMap<Uuid, Vec<Uuid>>,
    /// Referred to -> those that refer to it.
    referrers: HashMap<Uuid, HashSet<Uuid>>,
    /// Names that nobody has -> those that refer to them.
    absent: HashMap<DnKey, HashSet<Uuid>>,
    absent_of: HashMap<Uuid, Vec<DnKey>>,
    linked: usize,
    failed: usize,
    pub claims: Claims,
    pub settings: Option<u32>,
    pub cursor: Option<u64>,
}

impl Links {
    /// From the rows of the store. A row that cannot be read is looked up at the target again.
    pub fn load(target: &str, rows: Vec<Row>) -> Self {
        let mut links = Links::default();
        for (key, value) in rows {
            let Some(bytes) = value else { continue };
            match key {
                RecordKey::Cursor(_) => {
                    links.cursor = bytes.as_slice().try_into().ok().map(u64::from_be_bytes);
                }
                RecordKey::Link { object, .. } if object.is_nil() => {
                    links.settings = match bytes.as_slice() {
                        [VERSION, rest @ ..] => postcard::from_bytes(rest).ok().map(|own: Own| own.settings),
                        _ => None,
                    };
                }
                RecordKey::Link { object, .. } => match LinkRow::decode(&bytes) {
                    Some(row) => {
                        links.set_refs(object, row.refs.clone());
                        links.put(object, row);
                    }
                    None => {
                        tracing::warn!(export = target, %object, "unreadable link row: the object is matched again")
                    }
                },
                RecordKey::Entry(_) | RecordKey::Setting(_) => {}
            }
        }
        links
    }

    pub fn get(&self, object: Uuid) -> Option<&LinkRow> {
        self.rows.get(&object)
    }

    pub fn remote_id(&self, object: Uuid) -> Option<&str> {
        self.rows.get(&object)?.remote_id.as_deref()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &LinkRow)> {
        self.rows.iter().map(|(uuid, row)| (*uuid, row))
    }

    pub fn put(&mut self, object: Uuid, row: LinkRow) {
        let old = self.rows.remove(&object);
        self.discount(object, old);
        self.linked += usize::from(row.remote_id.is_some());
        self.failed += usize::from(row.last_error.is_some());
        if let Some(id) = &row.remote_id {
            self.claims.held().insert((row.resource, id.clone()), object);
        }
        self.rows.insert(object, row);
    }

    fn discount(&mut self, object: Uuid, old: Option<LinkRow>) {
        let Some(old) = old else { return };
        self.linked -= usize::from(old.remote_id.is_some());
        self.failed -= usize::from(old.last_error.is_some());
        if let Some(id) = old.remote_id {
            let mut held = self.claims.held();
            let claim = (old.resource, id);
            if held.get(&claim) == Some(&object) {
                held.remove(&claim);
            }
        }
    }

    pub fn remove(&mut self, object: Uuid) {
        self.set_refs(object, Vec::new());
        self.set_absent(object, Vec::new());
        let old = self.rows.remove(&object);
        self.discount(object, old);
    }

    /// Notes whom an object refers to: when its document is planned, not when it has arrived, so
    /// that no link made meanwhile is missed.
    pub fn set_refs(&mut self, object: Uuid, refs: Vec<Uuid>) {
        for to in self.refs_of.remove(&object).unwrap_or_default() {
            if let Some(from) = self.referrers.get_mut(&to) {
                from.remove(&object);
                if from.is_empty() {
                    self.referrers.remove(&to);
                }
            }
        }
        for to in &refs {
            self.referrers.entry(*to).or_default().insert(object);
        }
        if !refs.is_empty() {
            self.refs_of.insert(object, refs);
        }
    }

    /// Those whose documents refer to `object`.
    pub fn referrers(&self, object: Uuid) -> Vec<Uuid> {
        self.referrers.get(&object).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }

    /// Notes the names in an object that lead nowhere.
    pub fn set_absent(&mut self, object: Uuid, names: Vec<DnKey>) {
        for name in self.absent_of.remove(&object).unwrap_or_default() {
            if let Some(from) = self.absent.get_mut(&name) {
                from.remove(&object);
                if from.is_empty() {
                    self.absent.remove(&name);
                }
            }
        }
        for name in &names {
            self.absent.entry(name.clone()).or_default().insert(object);
        }
        if !names.is_empty() {
            self.absent_of.insert(object, names);
        }
    }

    /// Those that waited for an entry of this name, or for one below it.
    pub fn waiting_for(&self, name: &DnKey, with_below: bool) -> Vec<Uuid> {
        if !with_below {
            return self.absent.get(name).map(|set| set.iter().copied().collect()).unwrap_or_default();
        }
        self.absent.iter().filter(|(n, _)| n.is_within(name)).flat_map(|(_, set)| set.iter().copied()).collect()
    }

    /// How many objects are linked, and how many have failed.
    pub fn counts(&self) -> (usize, usize) {
        (self.linked, self.failed)
    }
}

/// The row of an object as the store takes it.
pub fn row(target: &SmolStr, object: Uuid, row: Option<&LinkRow>) -> Row {
    (RecordKey::Link { target: target.clone(), object }, row.map(LinkRow::encode))
}

pub fn settings_row(target: &SmolStr, settings: u32) -> Row {
    (RecordKey::Link { target: target.clone(), object: Uuid::nil() }, Some(versioned(&Own { settings })))
}

pub fn cursor_row(target: &SmolStr, cursor: u64) -> Row {
    (RecordKey::Cursor(target.clone()), Some(cursor.to_be_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> LinkRow {
        LinkRow {
            remote_id: Some("r1".into()),
            sent: Some("{}".into()),
            etag: Some("W/\"1\"".into()),
            active: Some(true),
            as_of: 7,
            unsure: true,
            attempt: 2,
            next_attempt: Some(Timestamp::from_secs(9)),
            last_error: Some("busy".into()),
            refused: Some(5),
            refs: vec![Uuid::from_u128(2)],
            dangling: true,
            ..LinkRow::new(Resource::Group)
        }
    }

    #[test]
    fn a_row_comes_back_and_a_later_version_does_not() {
        let mut bytes = full().encode();
        assert_eq!(LinkRow::decode(&bytes), Some(full()));
        bytes[0] = 2;
        assert_eq!(LinkRow::decode(&bytes), None);
        assert_eq!(LinkRow::decode(&[]), None);
    }

    #[test]
    fn all_rows_of_a_target_are_loaded() {
        let name = SmolStr::new("t");
        let object = Uuid::from_u128(1);
        let rows = vec![row(&name, object, Some(&full())), settings_row(&name, 77), cursor_row(&name, 12)];
        let links = Links::load("t", rows);
        assert_eq!((links.cursor, links.settings, links.counts()), (Some(12), Some(77), (1, 1)));
        assert_eq!(links.get(object), Some(&full()));
        assert_eq!(links.referrers(Uuid::from_u128(2)), [object]);
    }

    #[test]
    fn referrers_follow_their_rows() {
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let mut links = Links::default();
        links.set_refs(a, vec![b, c]);
        links.set_refs(a, vec![c]);
        assert_eq!((links.referrers(b), links.referrers(c)), (vec![], vec![a]));
        links.remove(a);
        assert!(links.referrers(c).is_empty());
    }
}
