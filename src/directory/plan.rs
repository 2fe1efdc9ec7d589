//! What a change comes to, worked out before anything is touched: a plan either refuses or names
//! the one node to put or remove. Applying a plan cannot fail.

use super::{
    Change, ChangeKind, Content, Error, Node, Options, Outcome, Snapshot, Terms, UriScope, View, advance::Moved,
};
use crate::{
    access::{Grants, Identity, Place, Right},
    clock::Timestamp,
    dn::{Dn, DnKey},
    entry::Operational,
    filter::Filter,
    schema::AttrId,
};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// All that a plan may look at.
pub(super) struct Context<'a> {
    pub base: &'a Snapshot,
    pub identity: &'a Identity,
    pub terms: &'a Terms,
    pub options: &'a Options,
    pub now: Timestamp,
    /// The number that this change will have in the journal.
    pub number: u64,
}

pub(super) struct Plan {
    pub effect: Effect,
    pub outcome: Outcome,
}

pub(super) enum Effect {
    /// The entry is as asked already.
    Nothing,
    Put {
        node: Arc<Node>,
        change: Change,
    },
    Remove {
        node: Arc<Node>,
        change: Change,
    },
    /// A soft delete: out of the tree, and kept apart.
    Bury {
        node: Arc<Node>,
        tomb: Arc<Node>,
        change: Change,
    },
    /// The record of a deleted identity goes.
    Forget {
        uuid: Uuid,
    },
    /// The record changes, and the journal knows nothing of it.
    Note {
        node: Arc<Node>,
    },
}

impl<'a> Context<'a> {
    pub fn grants(&self) -> Grants<'a> {
        self.options.access.grants(self.identity)
    }

    /// The entry of this name, or the error that names the nearest superior.
    pub fn target(&self, dn: &Dn) -> Result<&'a Arc<Node>, Error> {
        let key = self.base.schema.dn_key(dn);
        if !self.terms.manage_dsa_it {
            self.base.require_here(dn, &key, UriScope::None, &self.grants())?;
        }
        self.base.find(&key).ok_or_else(|| self.no_such_object(&key))
    }

    pub fn no_such_object(&self, key: &DnKey) -> Error {
        self.base.no_such_object(key, &self.grants())
    }

    pub fn place<'g>(&self, grants: &'g Grants<'a>, node: &Node) -> Place<'a, 'g> {
        let view = View::unrestricted(self.base, node);
        grants.at(&self.base.dn_key_of(node), node.entry.uuid, &view, &self.base.schema)
    }

    /// Refuses unless the identity has the right to the entry.
    pub fn require(&self, node: &Node, right: Right) -> Result<(), Error> {
        let grants = self.grants();
        let place = self.place(&grants, node);
        if place.allows(None, right) {
            return Ok(());
        }
        Err(place.denial(format!("{} this entry", verb(right))))
    }

    /// Refuses as if the entry were not there, if the identity has no right to it at all.
    pub fn require_sight(&self, node: &Node) -> Result<(), Error> {
        let grants = self.grants();
        if self.place(&grants, node).is_blind() { Err(Error::NoSuchObject { matched: None }) } else { Ok(()) }
    }

    /// Refuses unless the filter is true of the entry, as far as the identity may search it.
    pub fn require_assertion(&self, node: &Node, filter: &Filter) -> Result<(), Error> {
        let grants = self.grants();
        let place = self.place(&grants, node);
        let holds = filter.matches(&View::new(self.base, node, &place), &self.base.schema);
        if holds { Ok(()) } else { Err(Error::AssertionFailed) }
    }

    /// Refuses unless the identity may write every one of the attributes.
    pub fn require_write(&self, node: &Node, attrs: impl Iterator<Item = AttrId>) -> Result<(), Error> {
        let grants = self.grants();
        let place = self.place(&grants, node);
        for attr in attrs {
            if !place.allows(Some(attr), Right::Write) {
                return Err(place.denial(format!("write {}", self.base.schema.attribute(attr).name)));
            }
        }
        Ok(())
    }

    pub fn actor(&self) -> SmolStr {
        SmolStr::new(self.identity.dn())
    }

    /// The operational data of an entry after this write.
    pub fn written(&self, before: &Operational, moved: Moved) -> Operational {
        Operational {
            modified: self.now,
            modifier: self.actor(),
            changed: self.number,
            axes: moved.axes,
            missing: moved.missing,
            facts: moved.facts,
            ..before.clone()
        }
    }

    pub fn change(&self, uuid: Uuid, dn: String, kind: ChangeKind) -> Change {
        // The content is worked out when the change is logged, from what it does to the entry.
        Change { time: self.now, actor: self.actor(), uuid, dn, kind, content: Content::default() }
    }
}

impl Plan {
    pub fn unchanged(uuid: Uuid) -> Self {
        Plan { effect: Effect::Nothing, outcome: Outcome::unchanged(uuid) }
    }

    pub fn put(node: Node, change: Change, diagnostic: Option<String>) -> Self {
        let outcome = Outcome::changed(node.entry.uuid, diagnostic);
        Plan { effect: Effect::Put { node: Arc::new(node), change }, outcome }
    }
}

fn verb(right: Right) -> &'static str {
    match right {
        Right::Search => "search",
        Right::Compare => "compare",
        Right::Read => "read",
        Right::Write => "write",
        Right::Add => "add",
        Right::Delete => "delete",
        Right::Rename => "rename",
        Right::Proxy => "act as",
    }
}
