//! Chains: the entries from which one name is reached over the values of an attribute, at any
//! distance (the rule 1.2.840.113556.1.4.1941). Worked out once for a snapshot and kept with it,
//! because a filter asks for each candidate anew.

use super::{EntryId, Snapshot, groups::Membership};
use crate::{dn::DnKey, schema::AttrId};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

type Reaching = Arc<BTreeSet<EntryId>>;

/// Chains that one snapshot keeps.
const KEPT: usize = 64;

/// What was worked out for a snapshot; a copy, which is to be changed, begins with nothing.
#[derive(Default)]
pub(super) struct Chains(Mutex<Vec<Chain>>);

struct Chain {
    attrs: Vec<AttrId>,
    key: Vec<u8>,
    reaching: Reaching,
}

impl Clone for Chains {
    fn clone(&self) -> Self {
        Chains::default()
    }
}

/// Holders of each name by attributes that have no index.
type Scanned = HashMap<Vec<u8>, Vec<EntryId>>;

impl Membership<'_> {
    /// The entries from which `key` is reached over `attrs`.
    pub fn reaching(&self, attrs: &[AttrId], key: &[u8]) -> Reaching {
        // What a dynamic group holds depends on who asks.
        if self.follows_dynamic(attrs) {
            return Arc::new(self.work_out(attrs, key));
        }
        let kept = &self.snapshot.chains.0;
        if let Ok(list) = kept.lock()
            && let Some(chain) = list.iter().find(|c| c.attrs == attrs && c.key == key)
        {
            return Arc::clone(&chain.reaching);
        }
        let reaching = Arc::new(self.work_out(attrs, key));
        if let Ok(mut list) = kept.lock() {
            if list.len() >= KEPT {
                list.remove(0);
            }
            list.push(Chain { attrs: attrs.to_vec(), key: key.to_vec(), reaching: Arc::clone(&reaching) });
        }
        reaching
    }

    fn follows_dynamic(&self, attrs: &[AttrId]) -> bool {
        let shown = self.snapshot.groups.shown().is_some_and(|attr| attrs.contains(&attr));
        shown && self.dynamic && !self.snapshot.dynamic.is_empty()
    }

    fn work_out(&self, attrs: &[AttrId], key: &[u8]) -> BTreeSet<EntryId> {
        let snapshot = self.snapshot;
        let (indexed, bare): (Vec<AttrId>, Vec<AttrId>) = attrs.iter().partition(|a| snapshot.index.has(**a));
        let scanned = if bare.is_empty() { Scanned::new() } else { scan(snapshot, &bare) };
        let mut reaching = BTreeSet::new();
        let mut next = vec![key.to_vec()];
        while let Some(key) = next.pop() {
            let mut holders = Vec::new();
            indexed.iter().for_each(|attr| snapshot.index.names(*attr, &key, &mut holders));
            holders.extend(scanned.get(&key).into_iter().flatten());
            if self.follows_dynamic(attrs)
                && let Some(name) = DnKey::from_bytes(&key)
            {
                let groups = snapshot.dynamic.keys().filter_map(|id| snapshot.node(*id));
                holders.extend(groups.filter(|group| self.admits(group, &name)).map(|group| group.id));
            }
            for id in holders {
                if reaching.insert(id)
                    && let Some(node) = snapshot.node(id)
                {
                    next.push(snapshot.dn_key_of(node).to_bytes());
                }
            }
        }
        reaching
    }
}

fn scan(snapshot: &Snapshot, attrs: &[AttrId]) -> Scanned {
    let mut scanned = Scanned::new();
    for node in snapshot.walk() {
        for attr in attrs {
            for key in node.entry.values(*attr).filter_map(|v| snapshot.schema.named_by(*attr, v)) {
                scanned.entry(key.to_bytes()).or_default().push(node.id);
            }
        }
    }
    scanned
}
