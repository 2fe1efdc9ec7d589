//! Limits that can differ from one identity to the next.

use crate::{
    access::{Identity, Who},
    limits::Limits,
};
use std::sync::Arc;

/// What one identity may ask for; see [`Limits`] for the meaning of each.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub identity_connections: usize,
    pub search_entries: usize,
    pub search_secs: u64,
    pub search_candidates: usize,
    pub page_entries: usize,
    pub in_flight: usize,
    pub idle_secs: u64,
}

/// The limits of some identities; what is not set is as for all.
#[derive(Clone, Debug, Default)]
pub struct BoundsRule {
    pub who: Vec<Who>,
    pub identity_connections: Option<usize>,
    pub search_entries: Option<usize>,
    pub search_secs: Option<u64>,
    pub search_candidates: Option<usize>,
    pub page_entries: Option<usize>,
    pub in_flight: Option<usize>,
    pub idle_secs: Option<u64>,
}

/// The bounds of this identity: those of the first rule that speaks of it.
pub fn of(identity: &Identity, limits: &Limits, rules: &[BoundsRule]) -> Arc<Bounds> {
    let none = BoundsRule::default();
    let rule = rules.iter().find(|rule| rule.who.iter().any(|w| w.speaks_of(identity))).unwrap_or(&none);
    Arc::new(Bounds {
        identity_connections: rule.identity_connections.unwrap_or(limits.identity_connections),
        search_entries: rule.search_entries.unwrap_or(limits.search_entries),
        search_secs: rule.search_secs.unwrap_or(limits.search_secs),
        search_candidates: rule.search_candidates.unwrap_or(limits.search_candidates),
        page_entries: rule.page_entries.unwrap_or(limits.page_entries),
        in_flight: rule.in_flight.unwrap_or(limits.in_flight).max(1),
        idle_secs: rule.idle_secs.unwrap_or(limits.idle_secs),
    })
}
