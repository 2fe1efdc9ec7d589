//! What one target is known to hold: a row for each object, as kept in the store, and who refers
//! to whom.

use super::{
    guard::Guard,
    notes,
    row::{self, LinkRow},
    target::{Document, Resource, read_document},
};
use crate::{directory::Row, dn::DnKey, provisioning::Wish, store::RecordKey};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use uuid::Uuid;

/// What is kept of the target as a whole, in the row of the nil UUID, which no entry has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Under which settings every object was looked at last.
    pub settings: Option<u32>,
    pub wish: Wish,
    /// Why it is paused or disabled, in the operator's words.
    pub why: String,
    pub guard: Guard,
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

/// The rows of one target by object. The worker writes, whoever shows them reads.
pub type Table = Arc<RwLock<HashMap<Uuid, LinkRow>>>;

/// All rows of one target.
#[derive(Default)]
pub struct Links {
    rows: Table,
    refs_of: HashMap<Uuid, Vec<Uuid>>,
    /// Referred to -> those that refer to it.
    referrers: HashMap<Uuid, HashSet<Uuid>>,
    /// Names that nobody has -> those that refer to them.
    absent: HashMap<DnKey, HashSet<Uuid>>,
    absent_of: HashMap<Uuid, Vec<DnKey>>,
    counts: Counts,
    pub claims: Claims,
    pub own: Own,
    pub cursor: Option<u64>,
    /// What a carrier has noted: see [`notes`].
    pub note: Option<Vec<u8>>,
}

/// How many rows are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub linked: usize,
    pub failed: usize,
    pub quarantined: usize,
    pub staged: usize,
}

impl Counts {
    fn of(row: &LinkRow) -> [bool; 4] {
        [
            row.remote_id.is_some(),
            row.last_error.is_some(),
            row.quarantined,
            row.staged.is_some_and(|staged| !staged.approved),
        ]
    }

    fn places(&mut self) -> [&mut usize; 4] {
        [&mut self.linked, &mut self.failed, &mut self.quarantined, &mut self.staged]
    }

    fn add(&mut self, row: &LinkRow) {
        self.places().into_iter().zip(Self::of(row)).for_each(|(place, is)| *place += usize::from(is));
    }

    fn take(&mut self, row: &LinkRow) {
        self.places().into_iter().zip(Self::of(row)).for_each(|(place, is)| *place -= usize::from(is));
    }
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
                RecordKey::Link { object, .. } if object.is_nil() => links.own = row::decode_own(&bytes),
                RecordKey::Link { object, .. } if object == notes::PLACE => links.note = Some(bytes),
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

    /// A look at the rows, as they are at any time, for whoever plans beside the worker.
    pub fn view(&self) -> Links {
        Links { rows: Arc::clone(&self.rows), claims: self.claims.clone(), ..Links::default() }
    }

    /// A look at the rows for others.
    pub fn table(&self) -> Table {
        Arc::clone(&self.rows)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Uuid, LinkRow>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Uuid, LinkRow>> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, object: Uuid) -> Option<LinkRow> {
        self.read().get(&object).cloned()
    }

    pub fn contains(&self, object: Uuid) -> bool {
        self.read().contains_key(&object)
    }

    /// The document that the target has taken last.
    pub fn sent(&self, object: Uuid) -> Option<Document> {
        self.get(object)?.sent.as_deref().map(read_document)
    }

    pub fn remote_id(&self, object: Uuid) -> Option<String> {
        self.read().get(&object)?.remote_id.clone()
    }

    /// What an object is at the target, and its id there.
    pub fn at_target(&self, object: Uuid) -> Option<(Resource, String)> {
        let rows = self.read();
        let row = rows.get(&object)?;
        Some((row.resource, row.remote_id.clone()?))
    }

    pub fn resource(&self, object: Uuid) -> Option<Resource> {
        self.read().get(&object).map(|row| row.resource)
    }

    /// Notes in the row of an object that it must be looked at after a restart; true if it said otherwise.
    pub fn leave_open(&mut self, object: Uuid) -> bool {
        self.write().get_mut(&object).is_some_and(|row| !std::mem::replace(&mut row.dangling, true))
    }

    /// What `pick` makes of each row.
    pub fn collect<R>(&self, pick: impl Fn(Uuid, &LinkRow) -> Option<R>) -> Vec<R> {
        self.read().iter().filter_map(|(uuid, row)| pick(*uuid, row)).collect()
    }

    pub fn put(&mut self, object: Uuid, row: LinkRow) {
        let old = self.write().remove(&object);
        self.discount(object, old);
        self.counts.add(&row);
        if let Some(id) = &row.remote_id {
            self.claims.held().insert((row.resource, id.clone()), object);
        }
        self.write().insert(object, row);
    }

    fn discount(&mut self, object: Uuid, old: Option<LinkRow>) {
        let Some(old) = old else { return };
        self.counts.take(&old);
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
        let old = self.write().remove(&object);
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

    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// The row of an object as the store takes it.
pub fn link_row(target: &SmolStr, object: Uuid, row: Option<&LinkRow>) -> Row {
    (RecordKey::Link { target: target.clone(), object }, row.map(LinkRow::encode))
}

pub fn own_row(target: &SmolStr, own: &Own) -> Row {
    (RecordKey::Link { target: target.clone(), object: Uuid::nil() }, Some(row::encode_own(own)))
}

pub fn cursor_row(target: &SmolStr, cursor: u64) -> Row {
    (RecordKey::Cursor(target.clone()), Some(cursor.to_be_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_of_a_target_are_loaded() {
        let name = SmolStr::new("t");
        let object = Uuid::from_u128(1);
        let full = LinkRow {
            remote_id: Some("r1".into()),
            last_error: Some("busy".into()),
            refs: vec![Uuid::from_u128(2)],
            ..LinkRow::new(Resource::Group)
        };
        let own = Own { settings: Some(77), wish: Wish::Pause, why: "maintenance".into(), ..Own::default() };
        let note = (RecordKey::Link { target: name.clone(), object: notes::PLACE }, Some(vec![1, 2]));
        let rows = vec![link_row(&name, object, Some(&full)), own_row(&name, &own), cursor_row(&name, 12), note];
        let mut links = Links::load("t", rows);
        let counts = Counts { linked: 1, failed: 1, ..Counts::default() };
        assert_eq!((links.cursor, &links.own, links.counts()), (Some(12), &own, counts));
        assert_eq!((links.get(object), links.note.take()), (Some(full), Some(vec![1, 2])));
        assert_eq!(links.referrers(Uuid::from_u128(2)), [object]);
        links.remove(object);
        assert_eq!(links.counts(), Counts::default());
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
