//! Search answers from the entry's own bytes (RFC 4511 section 4.5.2): the attribute list is
//! copied as it is stored, or attribute by attribute where the client or the access rules want
//! less.

use super::{
    message::Control,
    reply::{self, SEARCH_RESULT_ENTRY},
};
use crate::{
    access::Right,
    directory::View,
    entry::ber,
    filter::{Ast, Filter},
    schema::{AttrDesc, AttrId, Schema},
};
use std::collections::HashSet;

/// Which attributes a search returns (RFC 4511 4.5.1.8, RFC 3673).
#[derive(Debug, Default)]
pub struct Selection {
    user: bool,
    operational: bool,
    named: Vec<AttrDesc>,
    types_only: bool,
    /// Only values that one of these selects (RFC 3876).
    values: Vec<Filter>,
    own_content: bool,
}

impl Selection {
    pub fn new(attrs: &[String], types_only: bool, schema: &Schema) -> Self {
        let mut selection = Selection { types_only, user: attrs.is_empty(), ..Selection::default() };
        for attr in attrs {
            match attr.as_str() {
                "*" => selection.user = true,
                "+" => selection.operational = true,
                // "1.1" asks for none; names that the schema does not know are skipped.
                _ => match attr.strip_prefix('@') {
                    Some(class) => selection.add_class(class, schema),
                    None => selection.named.extend(schema.describe(attr)),
                },
            }
        }
        // Classes have much in common, and a name may come twice.
        let mut seen = HashSet::new();
        selection.named.retain(|desc| seen.insert(desc.clone()));
        selection
    }

    /// `@class` asks for all that the class and its superclasses require or allow, with the
    /// options that follow (RFC 4529). extensibleObject allows every user attribute.
    fn add_class(&mut self, description: &str, schema: &Schema) {
        let (name, options) = description.split_once(';').unwrap_or((description, ""));
        match schema.class_id(name) {
            None => {}
            Some(class) if class == schema.known.extensible_object && options.is_empty() => self.user = true,
            Some(class) => {
                let allowed = schema.class(class).all_allowed.iter();
                self.named.extend(allowed.filter_map(|id| schema.describe_with(*id, options)));
            }
        }
    }

    /// Leaves out the values that no item of the list selects; an attribute without any goes, too.
    pub fn keep_values(&mut self, items: &[Ast], schema: &Schema) {
        self.values = items.iter().map(|item| Filter::bind(item, schema)).collect();
    }

    fn keeps(&self, desc: &AttrDesc, value: &[u8], schema: &Schema) -> bool {
        self.values.is_empty() || self.values.iter().any(|item| item.selects_value(desc, value, schema))
    }

    /// For a feed: all operational attributes, but for those that change without a change to the
    /// entry. Nobody would tell the client that they did.
    pub fn of_own_content(self) -> Self {
        Selection { own_content: true, ..self }
    }

    fn wants(&self, desc: &AttrDesc, schema: &Schema) -> bool {
        let known = &schema.known;
        let group = match schema.attribute(desc.id).is_operational() {
            true if [known.has_subordinates, known.num_subordinates, known.member_of, known.context_csn]
                .contains(&desc.id) =>
            {
                self.operational && !self.own_content
            }
            true => self.operational,
            false => self.user,
        };
        group || self.named.iter().any(|n| schema.is_subtype(desc.id, n.id) && n.options_cover(&desc.options))
    }

    /// True if a stored attribute goes out as it is to who asked for all.
    fn goes_out_whole(&self, desc: &AttrDesc, view: &View<'_>) -> bool {
        let operational = view.snapshot.schema.attribute(desc.id).is_operational();
        !operational && view.may(Some(desc.id), Right::Read) && !view.gathers(desc.id)
    }

    /// True if the stored attribute list can go out as it is.
    fn takes_all_of(&self, view: &View<'_>) -> bool {
        let as_stored = self.user && !self.types_only && self.values.is_empty();
        as_stored && view.node.entry.slots().iter().all(|s| self.goes_out_whole(&s.desc, view))
    }
}

/// Appends one SearchResultEntry message.
pub fn entry(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    id: i32,
    view: &View<'_>,
    selection: &Selection,
    controls: &[Control],
) {
    let dn = view.snapshot.dn_text(view.node);
    scratch.clear();
    if selection.takes_all_of(view) {
        attributes(scratch, &computed(view, selection), view, selection.types_only);
        message(out, id, &dn, &[view.node.entry.body(), scratch], controls);
    } else {
        selected(scratch, view, selection);
        message(out, id, &dn, &[scratch], controls);
    }
}

/// A SearchResultEntry that is not a message of its own, as controls carry it (RFC 4527).
pub fn alone(view: &View<'_>, selection: &Selection) -> Vec<u8> {
    let mut list = Vec::new();
    selected(&mut list, view, selection);
    let mut inner = Vec::new();
    ber::push_element(&mut inner, ber::OCTET_STRING, view.snapshot.dn_text(view.node).as_bytes());
    ber::push_element(&mut inner, ber::SEQUENCE, &list);
    let mut out = Vec::new();
    ber::push_element(&mut out, SEARCH_RESULT_ENTRY, &inner);
    out
}

/// Appends the attributes that are asked for and may be read.
pub fn selected(scratch: &mut Vec<u8>, view: &View<'_>, selection: &Selection) {
    let schema = &view.snapshot.schema;
    let entry = &view.node.entry;
    for slot in entry.slots() {
        // What the server gathers goes out with the rest of its values below.
        let gathered = slot.desc.options.is_empty() && view.gathers(slot.desc.id);
        if gathered || !selection.wants(&slot.desc, schema) || !view.may(Some(slot.desc.id), Right::Read) {
            continue;
        }
        let kept = |value: &&[u8]| selection.keeps(&slot.desc, value, schema);
        match (selection.values.is_empty(), selection.types_only) {
            (true, false) => scratch.extend_from_slice(entry.element(slot)),
            (true, true) => ber::push_attribute(scratch, &schema.spell(&slot.desc), std::iter::empty()),
            (false, types_only) => {
                let values: Vec<&[u8]> = entry.slot_values(slot).filter(kept).collect();
                if !values.is_empty() {
                    let shown = if types_only { &[] } else { values.as_slice() };
                    ber::push_attribute(scratch, &schema.spell(&slot.desc), shown.iter().copied());
                }
            }
        }
    }
    attributes(scratch, &computed(view, selection), view, selection.types_only);
}

type Computed = Vec<(AttrId, Vec<Vec<u8>>)>;

/// The values of computed attributes that are asked for and may be read.
fn computed(view: &View<'_>, selection: &Selection) -> Computed {
    if !selection.operational && selection.named.is_empty() && !view.gathers_members() {
        return Vec::new();
    }
    let schema = &view.snapshot.schema;
    let is_new = |id| !view.node.entry.has(id) || view.gathers(id);
    let wanted =
        |id: &AttrId| selection.wants(&AttrDesc::plain(*id), schema) && view.may(Some(*id), Right::Read) && is_new(*id);
    let list = view.computed_attributes().into_iter().filter(wanted);
    let kept = |id: AttrId| {
        let mut values = view.computed(id);
        values.retain(|v| selection.keeps(&AttrDesc::plain(id), v, schema));
        (id, values)
    };
    list.map(kept).filter(|(_, values)| !values.is_empty()).collect()
}

fn attributes(out: &mut Vec<u8>, computed: &Computed, view: &View<'_>, types_only: bool) {
    for (id, values) in computed {
        let values = if types_only { &[] } else { values.as_slice() };
        ber::push_attribute(out, &view.snapshot.schema.attribute(*id).name, values.iter().map(Vec::as_slice));
    }
}

/// SearchResultEntry { objectName, attributes }
fn message(out: &mut Vec<u8>, id: i32, dn: &str, parts: &[&[u8]], controls: &[Control]) {
    let attributes: usize = parts.iter().map(|p| p.len()).sum();
    let mut head = Vec::with_capacity(dn.len() + 10);
    ber::push_element(&mut head, ber::OCTET_STRING, dn.as_bytes());
    ber::push_header(&mut head, ber::SEQUENCE, attributes);
    match parts {
        [one] => reply::message(out, id, SEARCH_RESULT_ENTRY, &[&head, one], controls),
        [one, two] => reply::message(out, id, SEARCH_RESULT_ENTRY, &[&head, one, two], controls),
        _ => reply::message(out, id, SEARCH_RESULT_ENTRY, &[&head, &parts.concat()], controls),
    }
}
