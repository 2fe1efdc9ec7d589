//! Following the journal on behalf of one search: which entries a stretch of it has touched, and
//! what became of each for someone who has seen the state before. Knows no protocol.
//!
//! A follower keeps the state that its client has seen. That costs little, since states share what
//! has not changed between them, and it tells without any list of what was sent which entries the
//! client holds: those that the search would have found there.

use super::{
    Change, ChangeKind, Content, Directory, Error, Node, Scope, Search, Snapshot, Step, View, Visit, past::Past,
};
use crate::{
    access::{Grants, Right},
    dn::{Dn, DnKey},
    filter::Filter,
    schema::{AttrId, Schema},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use uuid::Uuid;

/// What a follower wants to hear of.
pub struct Interest {
    dn: Dn,
    base: DnKey,
    scope: Scope,
    filter: Arc<Filter>,
}

/// What became of one entry, from one state to a later one.
#[derive(Debug)]
pub enum News {
    /// It is there. `is_new` tells that the client does not hold it yet.
    Put { node: Arc<Node>, is_new: bool },
    /// It is deleted, or not to be seen any more. The name is the one under which the client holds
    /// it, where that is known.
    Gone { uuid: Uuid, dn: Option<String> },
}

impl Interest {
    pub fn new(base: &Dn, scope: Scope, filter: Arc<Filter>, schema: &Schema) -> Self {
        Interest { dn: base.clone(), base: schema.dn_key(base), scope, filter }
    }

    /// Whether an entry can come and go without a change to itself, as under a filter on memberOf:
    /// then its changes alone do not tell what became of it.
    pub fn looks_around(&self, snapshot: &Snapshot) -> bool {
        let known = &snapshot.schema.known;
        let gathered = snapshot.groups.shown().filter(|_| !snapshot.dynamic.is_empty());
        let around = [known.member_of, known.has_subordinates, known.num_subordinates, known.context_csn];
        looks_at(&self.filter, &|attr| around.contains(&attr) || gathered == Some(attr))
    }

    /// All that the search finds.
    fn all(&self, snapshot: &Arc<Snapshot>, grants: &Grants<'_>) -> Vec<Uuid> {
        let (base, scope, filter) = (self.dn.clone(), self.scope, Arc::clone(&self.filter));
        let search = Search { base, scope, filter, visit: Visit::default() };
        let Ok(mut hits) = search.begin(Arc::clone(snapshot), grants) else { return Vec::new() };
        let mut all = Vec::new();
        loop {
            match hits.step(grants) {
                Step::Found(node) => all.push(node.entry.uuid),
                Step::End => return all,
                Step::Passed | Step::Reference(_) => {}
            }
        }
    }

    /// Whether the search finds this entry in this state.
    pub fn sees(&self, snapshot: &Snapshot, node: &Node, grants: &Grants<'_>) -> bool {
        let key = snapshot.dn_key_of(node);
        if !self.covers(&key) {
            return false;
        }
        let open = View::unrestricted(snapshot, node);
        if grants.everything() {
            return self.filter.matches(&open, &snapshot.schema);
        }
        let place = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
        place.allows(None, Right::Read) && self.filter.matches(&View::new(snapshot, node, &place), &snapshot.schema)
    }

    fn covers(&self, key: &DnKey) -> bool {
        match self.scope {
            Scope::Base => *key == self.base,
            Scope::One => key.is_below(&self.base) && key.rdns().len() == self.base.rdns().len() + 1,
            Scope::Subtree => key.is_within(&self.base),
            Scope::Subordinates => key.is_below(&self.base),
        }
    }
}

impl Directory {
    /// The journal after `after` up to `upto`, without what each change did to the values.
    pub async fn changes(&self, after: u64, upto: u64) -> Result<Vec<(u64, Change)>, Error> {
        let snapshot = self.read();
        if let Some(recent) = snapshot.recent(after).filter(|_| snapshot.head >= upto) {
            return Ok(recent.take_while(|(n, _)| *n <= upto).map(|(n, c)| (n, Change::clone(c))).collect());
        }
        let mut changes: Vec<(u64, Change)> = Vec::new();
        let mut read = after;
        while read < upto {
            let left = usize::try_from(upto - read).unwrap_or(usize::MAX);
            let page = self.read_log(read, left.min(self.limits.journal_page)).await?;
            let Some((last, _)) = page.last() else { break };
            read = *last;
            changes.extend(page.into_iter().map(|(n, change)| (n, Change { content: Content::Unrecorded, ..change })));
        }
        Ok(changes)
    }
}

fn looks_at(filter: &Filter, around: &dyn Fn(AttrId) -> bool) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(|part| looks_at(part, around)),
        Filter::Not(part) => looks_at(part, around),
        Filter::Undefined => false,
        Filter::Present(target)
        | Filter::Equal(target, _)
        | Filter::GreaterOrEqual(target, _)
        | Filter::LessOrEqual(target, _)
        | Filter::Substring(target, _) => target.attrs.iter().any(|attr| around(*attr)),
        Filter::InChain(..) => true,
        Filter::Extensible { target, .. } => target.iter().any(|t| t.attrs.iter().any(|attr| around(*attr))),
    }
}

/// What is known of one touched entry.
#[derive(Default)]
struct Touched {
    /// The first record that gave it a name.
    named: Option<u64>,
    /// Under one of the names that it had the search may have found it.
    near: bool,
    /// Its name when it was deleted.
    last: Option<DnKey>,
}

/// What the changes from one state to the next come to, in an order in which a client can apply
/// it one by one: superiors before their subordinates, names given up before they are taken.
///
/// Without the state `before`, every touched entry that is not to be seen now counts as gone.
pub fn news(
    changes: &[(u64, Change)],
    before: Option<&Arc<Snapshot>>,
    now: &Arc<Snapshot>,
    interest: &Interest,
    grants: &Grants<'_>,
) -> Vec<News> {
    let mut puts = Vec::new();
    let mut gone = Vec::new();
    let mut touched = touched(changes, before.is_none(), now, interest, grants);
    if let Some(before) = before
        && (interest.looks_around(now) || interest.looks_around(before))
    {
        let old: HashSet<Uuid> = interest.all(before, grants).into_iter().collect();
        let new: HashSet<Uuid> = interest.all(now, grants).into_iter().collect();
        for uuid in old.symmetric_difference(&new) {
            touched.entry(*uuid).or_default();
        }
    }
    for (uuid, touched) in touched {
        let held = before.and_then(|b| b.by_uuid(uuid).filter(|n| interest.sees(b, n, grants)).map(|n| (b, n)));
        let node = now.by_uuid(uuid).filter(|n| interest.sees(now, n, grants));
        match (node, held, before) {
            (Some(node), held, _) => {
                let key = now.dn_key_of(node);
                let rank = (key.rdns().len(), touched.named.unwrap_or(u64::MAX));
                puts.push((rank, key, Arc::clone(node), before.is_none() || held.is_none()));
            }
            (None, Some((state, node)), _) => {
                gone.push((uuid, Some(state.dn_key_of(node)), Some(state.dn_text(node))));
            }
            // Added in this stretch or not: a client that was cut off may hold more than its cookie says.
            (None, None, None) if touched.near => gone.push((uuid, touched.last, None)),
            (None, None, _) => {}
        }
    }
    puts.sort_by_key(|(rank, ..)| *rank);
    gone.sort_by_key(|(_, key, _)| std::cmp::Reverse(key.as_ref().map_or(0, |k| k.rdns().len())));
    in_order(puts, gone, before.map(Arc::as_ref))
}

type Put = ((usize, u64), DnKey, Arc<Node>, bool);
type Lost = (Uuid, Option<DnKey>, Option<String>);

/// Whoever still stands where an entry is to be put goes first.
fn in_order(puts: Vec<Put>, gone: Vec<Lost>, before: Option<&Snapshot>) -> Vec<News> {
    let mut news = Vec::with_capacity(puts.len() + gone.len());
    let by_name: HashMap<DnKey, Uuid> = gone.iter().filter_map(|(u, key, _)| Some((key.clone()?, *u))).collect();
    let mut waiting: HashMap<Uuid, bool> = puts.iter().map(|(.., node, is_new)| (node.entry.uuid, *is_new)).collect();
    let mut lost: HashMap<Uuid, Option<String>> = gone.iter().map(|(u, _, dn)| (*u, dn.clone())).collect();
    for (_, key, node, _) in puts {
        let uuid = node.entry.uuid;
        let is_new = waiting.remove(&uuid).unwrap_or(true);
        if let Some(uuid) = by_name.get(&key)
            && let Some(dn) = lost.remove(uuid)
        {
            news.push(News::Gone { uuid: *uuid, dn });
        }
        // Two entries that changed places: one of them is taken away and put back.
        if let Some(before) = before
            && let Some(holder) = before.find(&key)
            && let Some(holder_is_new) = waiting.get_mut(&holder.entry.uuid)
            && !*holder_is_new
        {
            *holder_is_new = true;
            news.push(News::Gone { uuid: holder.entry.uuid, dn: Some(before.dn_text(holder)) });
        }
        news.push(News::Put { node, is_new });
    }
    let left = gone.into_iter().filter_map(|(uuid, ..)| lost.remove(&uuid).map(|dn| News::Gone { uuid, dn }));
    news.extend(left);
    news
}

/// `seeks_near` is whether it is of interest where an entry was.
fn touched(
    changes: &[(u64, Change)],
    seeks_near: bool,
    now: &Snapshot,
    interest: &Interest,
    grants: &Grants<'_>,
) -> HashMap<Uuid, Touched> {
    let mut touched: HashMap<Uuid, Touched> = HashMap::new();
    let mut past = Past::new(&interest.base);
    let mut renamed = Vec::new();
    let key = |dn: &str| Dn::parse(dn).map(|dn| now.schema.dn_key(&dn)).unwrap_or_default();
    let was_near = |uuid: Uuid, key: &DnKey, past: &Past<'_>| {
        let found = |name: &DnKey| interest.covers(name) && grants.might_read(name, uuid);
        seeks_near && (found(key) || past.of(key).iter().any(found))
    };
    for (number, change) in changes {
        let name = key(&change.dn);
        match &change.kind {
            ChangeKind::Add => past.add(&name),
            ChangeKind::Rename { old_dn } => {
                let old = key(old_dn);
                let one = touched.entry(change.uuid).or_default();
                one.near |= was_near(change.uuid, &old, &past);
                past.rename(&old, &name);
                renamed.push(change.uuid);
            }
            ChangeKind::Delete | ChangeKind::Modify(_) | ChangeKind::State { .. } => {}
        }
        let one = touched.entry(change.uuid).or_default();
        one.near = one.near || was_near(change.uuid, &name, &past);
        match &change.kind {
            ChangeKind::Add | ChangeKind::Rename { .. } => drop(one.named.get_or_insert(*number)),
            ChangeKind::Delete => {
                past.delete(&name);
                one.last = Some(name);
            }
            ChangeKind::Modify(_) | ChangeKind::State { .. } => {}
        }
    }
    // Everything below has had other names, too; what has left since has a record of its own.
    for node in below(now, &renamed) {
        let one = touched.entry(node.entry.uuid).or_default();
        one.near = one.near || was_near(node.entry.uuid, &now.dn_key_of(node), &past);
    }
    touched
}

/// The subordinates of these entries, to any depth, each once.
fn below<'s>(snapshot: &'s Snapshot, tops: &[Uuid]) -> Vec<&'s Arc<Node>> {
    let tops = tops.iter().filter_map(|uuid| snapshot.by_uuid(*uuid));
    let mut open: Vec<_> = tops.map(|top| top.id).collect::<HashSet<_>>().into_iter().collect();
    let (mut opened, mut all) = (HashSet::new(), HashMap::new());
    while let Some(id) = open.pop() {
        if opened.insert(id) {
            for node in snapshot.children(id).filter_map(|id| snapshot.node(id)) {
                open.push(node.id);
                all.insert(node.id, node);
            }
        }
    }
    all.into_values().collect()
}

/// The entry that one change speaks of, to be shown to whoever waits for changes.
pub struct Notice {
    pub node: Arc<Node>,
    /// It is shown as it was before.
    pub deleted: bool,
}

/// An entry that the search finds after the change, or before it if it was deleted.
pub fn notice(
    change: &Change,
    before: &Snapshot,
    now: &Snapshot,
    interest: &Interest,
    grants: &Grants<'_>,
) -> Option<Notice> {
    let deleted = change.kind == ChangeKind::Delete;
    let state = if deleted { before } else { now };
    let node = state.by_uuid(change.uuid).filter(|n| interest.sees(state, n, grants))?;
    Some(Notice { node: Arc::clone(node), deleted })
}
