//! Virtual list views (draft-ietf-ldapext-ldapv3-vlv-09): of a sorted list the part around one
//! place.

use super::{
    Ended,
    deliver::{Delivery, End, Source},
    pages,
    sort::Order,
};
use crate::{
    directory::{Error, Node, Snapshot, View},
    entry::ber,
    ldap::{
        controls::{Place, VLV_RESPONSE, Vlv},
        message::{Control, SearchRequest},
        ops::Call,
        reply,
        result::{self, Code},
    },
};
use std::sync::Arc;

/// The sorted list that the last window was shown of, if it is still what the search finds.
pub(super) fn kept(call: &Call, request: &SearchRequest, snapshot: &Snapshot) -> Option<Arc<[Arc<Node>]>> {
    call.controls.vlv.as_ref()?;
    call.state.pages().list(pages::fingerprint(call, request), snapshot.head)
}

/// Keeps a list for the next window: who scrolls asks again and again.
pub(super) fn keep(call: &Call, request: &SearchRequest, snapshot: &Snapshot, nodes: &Arc<[Arc<Node>]>) {
    call.state.pages().keep_list(pages::fingerprint(call, request), snapshot.head, Arc::clone(nodes));
}

pub(super) async fn send(
    call: &Call,
    vlv: &Vlv,
    order: &Order,
    (snapshot, nodes): (Arc<Snapshot>, Arc<[Arc<Node>]>),
    delivery: Delivery,
    mut answers: Vec<Control>,
    sent: &mut usize,
) -> Result<Option<Ended>, Error> {
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let value_of = |node: &Node| {
        let open = View::unrestricted(&snapshot, node);
        let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
        order.first_value(&View::new(&snapshot, node, &place))
    };
    let target = match &vlv.place {
        Place::Offset { offset, count } => by_offset(*offset, *count, nodes.len()),
        Place::Value(value) => order.position(value, &nodes, value_of, &snapshot.schema).map(|before| before + 1),
    };
    let Some(target) = target else {
        answers.push(response(0, nodes.len(), Code::OffsetRangeError));
        let result = result::result(Code::VirtualListViewError, "the place is not one of the list");
        return Ok(Some(Ended { result, controls: answers }));
    };
    let number = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    let first = target.saturating_sub(1).saturating_sub(number(vlv.before));
    let end = target.saturating_add(number(vlv.after)).min(nodes.len());
    let window = nodes.get(first.min(end)..end).unwrap_or_default().to_vec();
    answers.push(response(target, nodes.len(), Code::Success));
    let mut source = Source::list(snapshot.clone(), window);
    Ok(match delivery.send(call, &mut source, None, sent).await {
        End::Abandoned => None,
        End::Full => Some(Ended { result: result::success(), controls: answers }),
        End::Over(result) => Some(Ended { result, controls: answers }),
    })
}

/// The place in a list of `real` entries, counted from 1, of an offset in one that the client
/// takes to have `count` (section 6.1 of the draft).
fn by_offset(offset: i64, count: i64, real: usize) -> Option<usize> {
    let real = i64::try_from(real).ok()?;
    if offset < 1 || count < 0 {
        return None;
    }
    let place = match count {
        0 => offset,
        _ if offset == 1 => 1,
        _ if offset >= count => real,
        _ => i64::try_from(i128::from(real) * i128::from(offset) / i128::from(count)).ok()?.max(1),
    };
    usize::try_from(place.min(real.saturating_add(1))).ok()
}

/// VirtualListViewResponse; no context is kept, so none is named.
fn response(target: usize, count: usize, code: Code) -> Control {
    let mut inner = Vec::new();
    reply::push_number(&mut inner, ber::INTEGER, target as i64);
    reply::push_number(&mut inner, ber::INTEGER, count as i64);
    reply::push_number(&mut inner, ber::ENUMERATED, i64::from(code.number()));
    let mut value = Vec::new();
    ber::push_element(&mut value, ber::SEQUENCE, &inner);
    Control { oid: VLV_RESPONSE.to_owned(), critical: false, value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_scaled_to_the_real_list() {
        for (offset, count, real, expected) in [
            (1, 0, 10, Some(1)),
            (5, 0, 10, Some(5)),
            (99, 0, 10, Some(11)),
            (1, 100, 10, Some(1)),
            (100, 100, 10, Some(10)),
            (50, 100, 10, Some(5)),
            (0, 0, 10, None),
            (-1, 0, 10, None),
        ] {
            assert_eq!(by_offset(offset, count, real), expected, "{offset} of {count}");
        }
    }
}
