//! From the store's records to the first snapshot.

use super::{
    Change, EntryId, Error, Node, Options, Relations, Row, Snapshot, bury, groups::Groups, index::Index, record,
};
use crate::{
    clock::Timestamp,
    dn::{Dn, Rdn},
    entry::{BadEntry, Entry},
    schema::Schema,
    store::{Disk, RecordKey},
};
use smol_str::SmolStr;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

pub(super) struct Opened {
    pub snapshot: Snapshot,
    /// Rows of exporters, by target.
    pub rows: HashMap<SmolStr, Vec<Row>>,
    /// How far each target has come in the journal.
    pub cursors: HashMap<SmolStr, u64>,
    /// The lowest journal number that is kept.
    pub journal_start: u64,
}

pub(super) fn open(disk: &mut impl Disk, options: &Options) -> Result<Opened, Error> {
    let mut records: Vec<(Uuid, record::Read)> = Vec::new();
    let mut rows: HashMap<SmolStr, Vec<Row>> = HashMap::new();
    let mut cursors = HashMap::new();
    let corrupt = |what: String| crate::store::Error::Corrupt { what };
    let info = disk.load(&mut |key, bytes| {
        match &key {
            RecordKey::Entry(uuid) => {
                let read = record::decode(bytes).map_err(|e| corrupt(format!("entry {uuid}: {e}")))?;
                records.push((*uuid, read));
            }
            RecordKey::Link { target, .. } => {
                rows.entry(target.clone()).or_default().push((key, Some(bytes.to_vec())));
            }
            RecordKey::Cursor(target) => {
                if let Ok(number) = bytes.try_into() {
                    cursors.insert(target.clone(), u64::from_be_bytes(number));
                }
                rows.entry(target.clone()).or_default().push((key, Some(bytes.to_vec())));
            }
            RecordKey::Setting(_) => {}
        }
        Ok(())
    })?;
    let groups = Groups::bind(&options.relations.groups, &options.schema)
        .map_err(|name| Error::Internal(format!("groups: '{name}' cannot name members")))?;
    let Relations { references, unique, structures, .. } = &options.relations;
    let mut needed = groups.looked_up(&options.schema);
    needed.extend(references.attributes.iter().chain(unique.iter().flat_map(|rule| &rule.attributes)));
    needed.extend(structures.looked_up());
    let index = Index::new(&options.indexes, needed, &options.schema)
        .map_err(|name| Error::Internal(format!("index on '{name}': not an attribute type with an equality rule")))?;
    let schema = Arc::clone(&options.schema);
    let mut snapshot =
        Snapshot::empty((schema, Arc::clone(&options.career)), options.suffix.clone(), groups, index, info.head);
    place(records, &mut snapshot)?;
    snapshot.head_time = head_time(disk, info.head)?;
    snapshot.store_id = info.store_id;
    Ok(Opened { snapshot, rows, cursors, journal_start: info.first_log })
}

/// The time of the last journal record.
fn head_time(disk: &impl Disk, head: u64) -> Result<Timestamp, Error> {
    match disk.read_log(head.saturating_sub(1), 1) {
        Ok(records) => {
            let last = records.last().and_then(|(_, bytes)| Change::decode(bytes));
            Ok(last.map(|change| change.time).unwrap_or_default())
        }
        // An earlier release may have trimmed it; then nobody can hold a cookie of it either.
        Err(crate::store::Error::Trimmed { .. }) => Ok(Timestamp::default()),
        Err(error) => Err(error.into()),
    }
}

/// Puts the records into the tree, superiors first.
fn place(records: Vec<(Uuid, record::Read)>, snapshot: &mut Snapshot) -> Result<(), Error> {
    let (buried, records): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, read)| is_deleted(read));
    for (uuid, read) in buried {
        let name = read.name.clone();
        let entry = entry(uuid, read, &snapshot.schema)?;
        snapshot.bury(Arc::new(bury::tomb(&name, entry)?));
    }
    let total = records.len();
    let mut below: HashMap<Option<Uuid>, Vec<(Uuid, record::Read)>> = HashMap::new();
    for (uuid, record) in records {
        below.entry(record.parent).or_default().push((uuid, record));
    }
    let mut next: Vec<(Option<EntryId>, Uuid, record::Read)> =
        below.remove(&None).unwrap_or_default().into_iter().map(|(u, r)| (None, u, r)).collect();
    if next.len() > 1 {
        return Err(Error::Internal("the store has more than one topmost entry".to_owned()));
    }
    while let Some((parent, uuid, read)) = next.pop() {
        let id = snapshot.next_id();
        let schema = Arc::clone(&snapshot.schema);
        let damaged = |why: String| Error::Store(crate::store::Error::Corrupt { what: format!("entry {uuid}: {why}") });
        let rdn = match parent {
            Some(_) => Rdn::parse(&read.name).map_err(|e| damaged(e.to_string()))?,
            None => root_rdn(&read.name, snapshot)?,
        };
        let entry = entry(uuid, read, &schema)?;
        snapshot.put(Arc::new(Node {
            id,
            parent,
            key: schema.rdn_key(&rdn),
            rdn,
            apart: None,
            entry: Arc::new(entry),
        }));
        next.extend(below.remove(&Some(uuid)).unwrap_or_default().into_iter().map(|(u, r)| (Some(id), u, r)));
    }
    if snapshot.len() != total {
        let what = format!("{} entries have no superior", total - snapshot.len());
        return Err(Error::Store(crate::store::Error::Corrupt { what }));
    }
    Ok(())
}

fn is_deleted(read: &record::Read) -> bool {
    read.operational.facts.as_ref().is_some_and(|facts| facts.deleted.is_some())
}

fn entry(uuid: Uuid, read: record::Read, schema: &Schema) -> Result<Entry, Error> {
    let record::Read { name, operational, secrets, body, .. } = read;
    Entry::from_parts(uuid, body.into(), secrets, operational, schema).map_err(|e| match e {
        BadEntry::Broken => Error::Store(crate::store::Error::Corrupt { what: format!("entry {uuid}: {e}") }),
        BadEntry::Unknown(_) => Error::Internal(format!("entry '{name}': {e}")),
    })
}

/// The topmost record names the suffix that the store was made for.
fn root_rdn(name: &str, snapshot: &Snapshot) -> Result<Rdn, Error> {
    let stored = Dn::parse(name)?;
    if snapshot.schema.dn_key(&stored) != snapshot.suffix_key {
        return Err(Error::Internal(format!(
            "the store holds suffix '{name}', the configuration says '{}'",
            snapshot.suffix
        )));
    }
    stored.leaf().cloned().ok_or_else(|| Error::Internal("the suffix is empty".to_owned()))
}
