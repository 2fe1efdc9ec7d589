//! Names that entries have had, though it was a superior that was renamed and not they.

use crate::dn::DnKey;
use std::collections::HashMap;

/// By the name that a superior has now, the names that it has had. The nearest superior in it
/// speaks for all below.
pub(super) struct Past<'a> {
    names: HashMap<DnKey, Vec<DnKey>>,
    /// Only names from here on upwards and downwards count.
    base: &'a DnKey,
}

impl<'a> Past<'a> {
    pub fn new(base: &'a DnKey) -> Self {
        Past { names: HashMap::new(), base }
    }

    /// The names that an entry of this name has had.
    pub fn of(&self, key: &DnKey) -> Vec<DnKey> {
        let mut superior = Some(key.clone()).filter(|_| !self.names.is_empty());
        while let Some(present) = superior {
            if let Some(names) = self.names.get(&present) {
                return names.iter().filter_map(|name| key.moved(&present, name)).collect();
            }
            superior = present.parent();
        }
        Vec::new()
    }

    pub fn rename(&mut self, old: &DnKey, new: &DnKey) {
        if old == new {
            return;
        }
        let mut names = self.of(old);
        names.push(old.clone());
        let mut below: Vec<DnKey> = self.names.keys().filter(|key| key.is_below(old)).cloned().collect();
        below.sort_by_key(|key| key.rdns().len());
        self.names.remove(old);
        self.keep(new.clone(), names);
        for key in below {
            let Some((mut names, moved)) = self.names.remove(&key).zip(key.moved(old, new)) else { continue };
            names.push(key);
            self.keep(moved, names);
        }
    }

    /// A new entry has had no names, whatever has become of its superiors.
    pub fn add(&mut self, key: &DnKey) {
        self.keep(key.clone(), Vec::new());
    }

    pub fn delete(&mut self, key: &DnKey) {
        self.names.remove(key);
    }

    fn keep(&mut self, key: DnKey, mut names: Vec<DnKey>) {
        names.retain(|name| name.is_within(self.base) || self.base.is_within(name));
        names.sort();
        names.dedup();
        if !names.is_empty() || !self.of(&key).is_empty() {
            self.names.insert(key, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dn::RdnKey;

    /// `"x/a"` is a below x.
    fn key(path: &str) -> DnKey {
        let rdn = |name: &str| RdnKey::new(vec![(b"ou".to_vec(), name.as_bytes().to_vec())]);
        path.split('/').fold(DnKey::default(), |above, name| above.child(rdn(name)))
    }

    #[test]
    fn the_names_of_superiors_are_followed_back() {
        let base = key("in");
        let mut past = Past::new(&base);
        past.rename(&key("in/x"), &key("out/x"));
        assert_eq!(past.of(&key("out/x/a")), [key("in/x/a")]);
        assert_eq!(past.of(&key("out/y")), []);
        past.rename(&key("out/x/a"), &key("out/b"));
        assert_eq!(past.of(&key("out/b/c")), [key("in/x/a/c")]);
        past.add(&key("out/x/n"));
        assert_eq!(past.of(&key("out/x/n")), []);
        assert_eq!(past.of(&key("out/x/n/m")), []);
        past.rename(&key("out"), &key("far"));
        assert_eq!(past.of(&key("far/b")), [key("in/x/a")]);
        assert_eq!(past.of(&key("far/x/n")), []);
        past.delete(&key("far/b"));
        assert_eq!(past.of(&key("far/b")), []);
        assert_eq!(past.of(&key("far/x/a")), [key("in/x/a")]);
        past.rename(&key("far/x"), &key("in/z"));
        past.rename(&key("in/z"), &key("far/z"));
        assert_eq!(past.of(&key("far/z/a")), [key("in/x/a"), key("in/z/a")]);
    }
}
