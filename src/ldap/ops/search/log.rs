//! Searches of the change log. Only the records that the filter can mean are read, page by page.

use super::{
    Ended,
    deliver::{CLOCK_STRIDE, Delivery, End, Source, Turn},
};
use crate::{
    access::Right,
    directory::{Error, Node, Scope, Snapshot, View},
    dn::Dn,
    filter::Filter,
    ldap::{
        Shared,
        change_log::{self, Place},
        message::SearchRequest,
        ops::Call,
        result::{self, Code},
    },
    store,
};
use std::sync::Arc;

/// What is asked of the log.
pub struct Asked<'a> {
    pub snapshot: &'a Arc<Snapshot>,
    filter: &'a Filter,
    /// The container, or the one record that the base names.
    base: Option<Arc<Node>>,
    /// Records that are still to be looked at: after the first number, up to the last.
    rest: (u64, u64),
    /// Whether it asks for records at all, and the highest number that the filter can mean.
    below: bool,
    highest: u64,
}

/// `None` if the search does not begin in the log.
pub async fn asked<'a>(
    call: &Call,
    request: &SearchRequest,
    snapshot: &'a Arc<Snapshot>,
    (base, scope): (&Dn, Scope),
    filter: &'a Filter,
) -> Result<Option<Asked<'a>>, Error> {
    let Some(place) = offered_place(&call.shared, snapshot, base) else { return Ok(None) };
    let node = entry(call, snapshot, place).await?;
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let key = snapshot.schema.dn_key(base);
    let open = View::unrestricted(snapshot, &node);
    let at = grants.at(&key, node.entry.uuid, &open, &snapshot.schema);
    if at.is_blind() {
        return Err(Error::NoSuchObject { matched: None });
    }
    if let Some(ast) = &call.controls.assertion
        && !Filter::bind(ast, &snapshot.schema).matches(&View::new(snapshot, &node, &at), &snapshot.schema)
    {
        return Err(Error::AssertionFailed);
    }
    let below = place == Place::Container && scope != Scope::Base;
    let range = change_log::range(&request.filter);
    let first = (*range.start()).max(call.shared.options.directory.journal_start());
    let last = (*range.end()).min(snapshot.head);
    let rest = if below && first <= last { (first.saturating_sub(1), last) } else { (0, 0) };
    let itself = matches!(scope, Scope::Base | Scope::Subtree);
    Ok(Some(Asked { snapshot, filter, base: itself.then_some(node), rest, below, highest: *range.end() }))
}

/// The place of a name in the log, if there is one.
pub fn offered_place(shared: &Shared, snapshot: &Snapshot, dn: &Dn) -> Option<Place> {
    let key = snapshot.schema.dn_key(dn);
    if snapshot.covers(&key) || !shared.options.change_log {
        return None;
    }
    change_log::place(snapshot, &key, dn)
}

/// The entry of one name in the log.
pub async fn entry(call: &Call, snapshot: &Snapshot, place: Place) -> Result<Arc<Node>, Error> {
    let missing = || Error::NoSuchObject { matched: None };
    let made = match place {
        Place::Container => change_log::container(),
        Place::Nowhere | Place::Record(0) => return Err(missing()),
        Place::Record(number) => {
            let read = call.shared.options.directory.read_log(number - 1, 1).await;
            let found = match read {
                Err(Error::Store(store::Error::Trimmed { .. })) => None,
                read => read?.into_iter().next(),
            };
            let (number, change) = found.ok_or_else(missing)?;
            change_log::record(number, &change)
        }
    };
    made.into_node(&snapshot.schema).map(Arc::new).ok_or_else(missing)
}

impl Asked<'_> {
    /// Leaves out what is there now.
    pub fn skip(&mut self) {
        self.base = None;
        self.rest.0 = self.rest.0.max(self.snapshot.head);
    }

    /// Takes in the records of a later state.
    pub fn go_on(&mut self, head: u64) {
        if self.below {
            self.rest = (self.rest.0.max(self.rest.1), head.min(self.highest));
        }
    }

    /// The next entries that match and may be seen; `None` at the end.
    pub async fn next(&mut self, call: &Call) -> Result<Option<Vec<Arc<Node>>>, Error> {
        let directory = &call.shared.options.directory;
        if let Some(base) = self.base.take() {
            return Ok(Some(self.kept(call, [base])));
        }
        let (after, last) = self.rest;
        if after >= last {
            return Ok(None);
        }
        let left = usize::try_from(last - after).unwrap_or(usize::MAX);
        let page = match directory.read_log(after, left.min(directory.limits.journal_page)).await {
            // Trimmed since; what is left comes next.
            Err(Error::Store(store::Error::Trimmed { first_log, .. })) => {
                self.rest.0 = first_log.saturating_sub(1);
                return Ok(Some(Vec::new()));
            }
            page => page?,
        };
        self.rest.0 = page.last().map_or(last, |(number, _)| *number);
        let made =
            page.iter().filter_map(|(n, change)| change_log::record(*n, change).into_node(&self.snapshot.schema));
        Ok(Some(self.kept(call, made.map(Arc::new))))
    }

    fn kept(&self, call: &Call, nodes: impl IntoIterator<Item = Arc<Node>>) -> Vec<Arc<Node>> {
        let Snapshot { schema, .. } = &**self.snapshot;
        let grants = call.shared.options.directory.access.grants(&call.identity);
        let seen = |node: &Arc<Node>| {
            let open = View::unrestricted(self.snapshot, node);
            let at = grants.at(&self.snapshot.dn_key_of(node), node.entry.uuid, &open, schema);
            at.allows(None, Right::Read) && self.filter.matches(&View::new(self.snapshot, node, &at), schema)
        };
        nodes.into_iter().filter(seen).collect()
    }

    /// Sends the records as they are read.
    pub(super) async fn send(
        mut self,
        call: &Call,
        delivery: &Delivery,
        sent: &mut usize,
    ) -> Result<Option<Ended>, Error> {
        let (mut seen, mut turn) = (0, Turn::begin());
        while let Some(nodes) = self.next(call).await? {
            let mut source = Source::list(Arc::clone(self.snapshot), nodes);
            match delivery.send(call, &mut source, None, sent).await {
                End::Abandoned => return Ok(None),
                End::Over(result) if result.code != Code::Success => return Ok(Some(result.into())),
                End::Over(_) | End::Full => {}
            }
            // A whole page has been looked at, however few of it matched.
            seen += CLOCK_STRIDE;
            match delivery.limits().check(call, seen, &mut turn).await {
                Some(End::Abandoned) => return Ok(None),
                Some(End::Over(result)) => return Ok(Some(result.into())),
                Some(End::Full) | None => {}
            }
        }
        Ok(Some(result::success().into()))
    }

    /// All of them at once, to be sorted or sent in pages; too many are refused.
    pub(super) async fn collect(mut self, call: &Call) -> Result<Source, Error> {
        let most = call.shared.options.directory.limits.message_bytes;
        let (mut all, mut bytes) = (Vec::new(), 0usize);
        while let Some(nodes) = self.next(call).await? {
            bytes += nodes.iter().map(|node| node.entry.body().len()).sum::<usize>();
            if bytes > most {
                return Err(Error::TooLarge { what: "bytes of changes at a time; ask for a range of changeNumber" });
            }
            all.extend(nodes);
        }
        Ok(Source::list(Arc::clone(self.snapshot), all))
    }
}
