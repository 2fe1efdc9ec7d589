//! Names here and there: what stands below our suffix stands below the base of the other directory.

use crate::{
    dn::{Dn, DnKey},
    schema::Schema,
};

/// How a name of ours becomes one of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Ours.
    local: DnKey,
    /// The target's.
    pub base: Dn,
}

impl Suffix {
    pub fn new(local: &Dn, base: Dn, schema: &Schema) -> Self {
        Suffix { local: schema.dn_key(local), base }
    }

    /// `None` for a name that is not below our suffix.
    pub fn there(&self, dn: &Dn, schema: &Schema) -> Option<Dn> {
        if !schema.dn_key(dn).is_within(&self.local) {
            return None;
        }
        let own = dn.rdns().len().checked_sub(self.local.rdns().len())?;
        // From the base down to the leaf.
        let rdns = dn.rdns().iter().take(own).rev().cloned();
        Some(rdns.fold(self.base.clone(), |above, rdn| above.child(rdn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;

    #[test]
    fn the_suffix_is_exchanged_and_the_rest_stays_as_written() {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        let dn = |text: &str| Dn::parse(text).unwrap();
        let suffix = Suffix::new(&dn("dc=example,dc=org"), dn("o=Down,c=fr"), &schema);
        for (ours, theirs) in [
            ("uid=a,ou=People,dc=example,dc=org", Some("uid=a,ou=People,o=Down,c=fr")),
            (r"cn=a\, b,ou=x,DC=Example,dc=org", Some(r"cn=a\, b,ou=x,o=Down,c=fr")),
            ("dc=example,dc=org", Some("o=Down,c=fr")),
            ("dc=org", None),
            ("uid=a,dc=other,dc=org", None),
        ] {
            let there = suffix.there(&dn(ours), &schema).map(|dn| dn.to_string());
            assert_eq!(there.as_deref(), theirs, "{ours}");
        }
    }
}
