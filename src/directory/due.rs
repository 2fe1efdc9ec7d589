//! When timed rules are due for whom: one ordered set, kept up with each change, so that a look at
//! the clock costs nothing where nobody is due.

use super::EntryId;
use crate::{
    clock::Timestamp,
    entry::Entry,
    lifecycle::{Career, Rule},
    schema::Schema,
    sesame,
};
use std::sync::Arc;

/// A rule by its number in the career.
type RuleNumber = u32;

#[derive(Clone, Default)]
pub(super) struct Due {
    by_time: imbl::OrdSet<(RuleNumber, Timestamp, EntryId)>,
    /// What the set holds of an entry.
    of: imbl::OrdMap<EntryId, Arc<[(RuleNumber, Timestamp)]>>,
}

impl Due {
    /// Takes note of an entry as it is now; `None` if it is gone.
    pub fn note(&mut self, id: EntryId, entry: Option<&Entry>, career: &Career, schema: &Schema) {
        let now = entry.map(|entry| times(entry, career, schema)).unwrap_or_default();
        let before = self.of.get(&id).cloned().unwrap_or_default();
        if *before == *now {
            return;
        }
        for (rule, time) in before.iter() {
            self.by_time.remove(&(*rule, *time, id));
        }
        self.by_time.extend(now.iter().map(|(rule, time)| (*rule, *time, id)));
        match now.is_empty() {
            true => self.of.remove(&id),
            false => self.of.insert(id, now.into()),
        };
    }

    /// Those for whom a rule is due, in the order of their times.
    pub fn overdue(&self, rule: usize, now: Timestamp) -> impl Iterator<Item = EntryId> {
        let rule = number(rule);
        let first = (rule, Timestamp(i64::MIN), EntryId::LOWEST);
        self.by_time.range(first..).take_while(move |(r, time, _)| *r == rule && *time <= now).map(|(_, _, id)| *id)
    }

    /// The next time after this one at which any rule becomes due for anyone.
    pub fn next(&self, career: &Career, after: Timestamp) -> Option<Timestamp> {
        let next = |(rule, _): (usize, &_)| {
            let rule = number(rule);
            let first = (rule, Timestamp(after.0.saturating_add(1)), EntryId::LOWEST);
            self.by_time.range(first..).next().filter(|(r, ..)| *r == rule).map(|(_, time, _)| *time)
        };
        career.timed().filter_map(next).min()
    }
}

fn number(rule: usize) -> RuleNumber {
    RuleNumber::try_from(rule).unwrap_or(RuleNumber::MAX)
}

/// The rules that an identity waits for, and until when. A condition that time alone cannot change
/// is looked at here, once for each change: whom a rule is not for never comes up.
fn times(entry: &Entry, career: &Career, schema: &Schema) -> Vec<(RuleNumber, Timestamp)> {
    if entry.operational.axes.is_none() {
        return Vec::new();
    }
    let document = std::cell::OnceCell::new();
    let document = || document.get_or_init(|| sesame::document(entry, schema));
    let fits = |rule: &Rule| {
        rule.condition.depends_on_time() || rule.condition.holds(entry, document, schema, Timestamp::default())
    };
    let time = |(at, rule): (usize, &Arc<Rule>)| {
        let due = rule.takes(entry).then(|| rule.due(entry)).flatten()?;
        fits(rule).then_some((number(at), due))
    };
    career.timed().filter_map(time).collect()
}
