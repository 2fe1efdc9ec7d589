//! Sorted results (RFC 2891): the entries found are gathered and put in order before the first one
//! goes out.

use super::deliver::{End, Limits, Source, Turn, tell_reference};
use crate::{
    access::Right,
    directory::{Error, Node, Step, View},
    entry::ber,
    filter::Subject,
    ldap::{
        controls::{SORT_RESPONSE, SortKey},
        message::Control,
        ops::Call,
        reply,
        result::{self, Code, LdapResult},
    },
    schema::{AttrId, Rule, Schema, rule},
};
use std::{cmp::Ordering, sync::Arc};

/// By what a list is sorted.
pub struct Order(Vec<Key>);

struct Key {
    attrs: Vec<AttrId>,
    options: String,
    rule: &'static Rule,
    reverse: bool,
}

/// The sort value of one key. Entries without one count as larger than all others: they come last,
/// and in reverse order first (RFC 2891 section 2.2).
type Value = Option<Vec<u8>>;

pub enum Collected {
    List(Vec<Arc<Node>>),
    /// `None` if abandoned.
    Stopped(Option<LdapResult>),
}

impl Order {
    /// The error names the attribute that cannot be sorted by.
    pub fn new(keys: &[SortKey], schema: &Schema) -> Result<Self, (Code, String)> {
        let bind = |key: &SortKey| {
            let fail = |code| (code, key.attribute.clone());
            let desc = schema.describe(&key.attribute).ok_or_else(|| fail(Code::NoSuchAttribute))?;
            let attribute = schema.attribute(desc.id);
            let named = key.rule.as_deref().filter(|name| !name.is_empty());
            let rule = match named {
                Some(name) => rule(name).filter(|r| r.sorts()),
                // Normal forms sort well where no ordering rule is defined, as for names.
                None => attribute.ordering_rule().or(attribute.equality),
            };
            let rule = rule.filter(|_| !schema.is_secret(desc.id));
            let rule = rule.ok_or_else(|| fail(Code::InappropriateMatching))?;
            let attrs = schema.with_subtypes(desc.id).to_vec();
            Ok(Key { attrs, options: desc.options.to_string(), rule, reverse: key.reverse })
        };
        keys.iter().map(bind).collect::<Result<_, _>>().map(Order)
    }

    fn values(&self, view: &View<'_>) -> Vec<Value> {
        self.0.iter().map(|key| key.least(view)).collect()
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let each = self.0.iter().zip(a.iter().zip(b));
        each.map(|(key, (a, b))| key.compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// How many entries of a sorted list stand before the first that is not below this value of
    /// the first key; `None` if it is no value for it.
    pub fn position(
        &self,
        value: &[u8],
        nodes: &[Arc<Node>],
        view: impl Fn(&Node) -> Value,
        schema: &Schema,
    ) -> Option<usize> {
        let key = self.0.first()?;
        let wanted = Some(key.rule.normalize(value, schema)?.into_owned());
        Some(nodes.partition_point(|node| key.compare(&view(node), &wanted) == Ordering::Less))
    }

    /// The value of the first key.
    pub fn first_value(&self, view: &View<'_>) -> Value {
        self.0.first().and_then(|key| key.least(view))
    }
}

impl Key {
    /// Of several values the least (RFC 2891 section 2.2).
    fn least(&self, view: &View<'_>) -> Value {
        let schema = &view.snapshot.schema;
        let mut least: Value = None;
        for attr in self.attrs.iter().filter(|a| view.may(Some(**a), Right::Read)) {
            view.any_value(*attr, &self.options, &mut |value| {
                if let Some(normal) = self.rule.normalize(value, schema)
                    && least.as_deref().is_none_or(|l| *normal < *l)
                {
                    least = Some(normal.into_owned());
                }
                false
            });
        }
        least
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let order = match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if self.reverse { order.reverse() } else { order }
    }
}

/// Gathers and sorts what a search finds. References go out at once.
pub(super) async fn collect(
    call: &Call,
    mut source: Source,
    order: &Order,
    limits: &Limits,
) -> Result<Collected, Error> {
    let snapshot = Arc::clone(source.snapshot());
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let most = call.shared.options.limits.sorted_entries;
    let mut found: Vec<(Vec<Value>, Arc<Node>)> = Vec::new();
    let (mut seen, mut turn) = (0usize, Turn::begin());
    loop {
        match source.step(&grants) {
            Step::End => break,
            Step::Passed => {}
            Step::Reference(uris) => tell_reference(call, &uris),
            Step::Found(_) if found.len() >= most => {
                let text = "there are more entries than the server sorts";
                return Ok(Collected::Stopped(Some(result::result(Code::AdminLimitExceeded, text))));
            }
            Step::Found(node) => {
                let open = View::unrestricted(&snapshot, &node);
                let place = grants.at(&snapshot.dn_key_of(&node), node.entry.uuid, &open, &snapshot.schema);
                let values = order.values(&View::new(&snapshot, &node, &place));
                found.push((values, node));
            }
        }
        seen += 1;
        match limits.check(call, seen, &mut turn).await {
            None | Some(End::Full) => {}
            Some(End::Abandoned) => return Ok(Collected::Stopped(None)),
            Some(End::Over(result)) => return Ok(Collected::Stopped(Some(result))),
        }
    }
    found.sort_by(|(a, _), (b, _)| order.compare(a, b));
    Ok(Collected::List(found.into_iter().map(|(_, node)| node).collect()))
}

/// SortResult (RFC 2891 section 1.2).
pub fn response(code: Code, attribute: Option<&str>) -> Control {
    let mut inner = Vec::new();
    reply::push_number(&mut inner, ber::ENUMERATED, i64::from(code.number()));
    if let Some(attribute) = attribute {
        ber::push_element(&mut inner, 0x80, attribute.as_bytes());
    }
    let mut value = Vec::new();
    ber::push_element(&mut value, ber::SEQUENCE, &inner);
    Control { oid: SORT_RESPONSE.to_owned(), critical: false, value: Some(value) }
}
