//! Which entries a target wants, and as what.

use super::target::Resource;
use crate::{
    directory::{Node, Snapshot, View},
    dn::DnKey,
    filter::Filter,
};

/// Entries below a name that match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub base: DnKey,
    pub filter: Filter,
}

impl Scope {
    fn holds(&self, snapshot: &Snapshot, node: &Node) -> bool {
        let below = snapshot.find(&self.base).is_some_and(|base| snapshot.is_within(node, base.id));
        below && self.filter.matches(&View::unrestricted(snapshot, node), &snapshot.schema)
    }
}

/// What a target wants of each kind; `None` is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    pub departments: Option<Scope>,
    pub users: Option<Scope>,
    pub groups: Option<Scope>,
}

impl Scopes {
    fn each(&self) -> [(Resource, &Option<Scope>); 3] {
        [(Resource::User, &self.users), (Resource::Group, &self.groups), (Resource::Department, &self.departments)]
    }

    /// The kinds that the target wants at all.
    pub fn resources(&self) -> impl Iterator<Item = Resource> {
        self.each().into_iter().filter(|(_, scope)| scope.is_some()).map(|(resource, _)| resource)
    }

    /// As what the target wants this entry.
    pub fn resource(&self, snapshot: &Snapshot, node: &Node) -> Option<Resource> {
        let wants = |scope: &Option<Scope>| scope.as_ref().is_some_and(|s| s.holds(snapshot, node));
        self.each().into_iter().find(|(_, scope)| wants(scope)).map(|(resource, _)| resource)
    }
}
