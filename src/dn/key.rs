//! Keys that make two spellings of one name equal. Only the schema can make them, because the
//! equality rule of each attribute type decides what is the same.

use std::sync::Arc;

/// The normalised form of one RDN; equal for equal RDNs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RdnKey(Arc<[u8]>);

/// The normalised form of a whole name, leaf first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DnKey(Vec<RdnKey>);

impl RdnKey {
    /// From the normalised (type, value) pairs of an RDN, in any order.
    pub fn new(mut avas: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        avas.sort();
        let mut bytes = Vec::new();
        for (attr, value) in avas {
            // Lengths first, so that no value can imitate a separator.
            bytes.extend_from_slice(&(attr.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&attr);
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&value);
        }
        RdnKey(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl DnKey {
    pub fn new(rdns: Vec<RdnKey>) -> Self {
        DnKey(rdns)
    }

    pub fn rdns(&self) -> &[RdnKey] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True for the name itself and for every name below it.
    pub fn is_within(&self, base: &DnKey) -> bool {
        self.0.ends_with(&base.0)
    }

    /// True only for names below `base`.
    pub fn is_below(&self, base: &DnKey) -> bool {
        self.0.len() > base.0.len() && self.is_within(base)
    }

    /// What this name becomes when `from`, which it is within, is renamed to `to`.
    pub fn moved(&self, from: &DnKey, to: &DnKey) -> Option<DnKey> {
        let below = self.0.strip_suffix(from.0.as_slice())?;
        Some(DnKey(below.iter().chain(&to.0).cloned().collect()))
    }

    /// The key of the entry `rdn` below this name.
    pub fn child(&self, rdn: RdnKey) -> DnKey {
        DnKey(std::iter::once(rdn).chain(self.0.iter().cloned()).collect())
    }

    pub fn parent(&self) -> Option<DnKey> {
        self.0.get(1..).map(|rest| DnKey(rest.to_vec()))
    }

    /// The key that [`DnKey::to_bytes`] made these bytes of.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut rdns = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (rdn, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rdns.push(RdnKey(rdn.into()));
            bytes = rest;
        }
        rdns.reverse();
        bytes.is_empty().then_some(DnKey(rdns))
    }

    /// One string of bytes for the whole name, as an index key. The root comes first, so that the
    /// keys of all names below one name begin with its key and lie together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for rdn in self.0.iter().rev() {
            bytes.extend_from_slice(&(rdn.0.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&rdn.0);
        }
        bytes
    }
}

impl RdnKey {
    /// Sorts before every key of a real RDN.
    pub fn lowest() -> Self {
        RdnKey(Arc::from([]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_begin_with_those_of_the_superior() {
        let rdn = |value: &str| RdnKey::new(vec![(b"2.5.4.3".to_vec(), value.as_bytes().to_vec())]);
        let above = DnKey::default().child(rdn("org")).child(rdn("people"));
        let below = above.child(rdn("anne"));
        let beside = DnKey::default().child(rdn("org")).child(rdn("peoples")).child(rdn("anne"));
        for key in [&above, &below, &beside, &DnKey::default()] {
            assert_eq!(DnKey::from_bytes(&key.to_bytes()).as_ref(), Some(key));
        }
        assert!(below.to_bytes().starts_with(&above.to_bytes()));
        assert!(!beside.to_bytes().starts_with(&above.to_bytes()));
    }
}
