//! What is kept of an identity, as operational attributes.

use crate::{
    clock::Timestamp,
    entry::{Facts, Operational},
    schema::{AttrId, Known},
};
use uuid::Uuid;

/// The attributes that [`values`] may have values for.
pub(super) fn attributes(k: &Known) -> [AttrId; 20] {
    [
        k.state,
        k.lifecycle,
        k.data_status,
        k.init_state,
        k.missing,
        k.last_sync,
        k.last_backend_sync,
        k.last_lifecycle_update,
        k.ignore_lifecycle,
        k.deleted,
        k.former_name,
        k.deleted_time,
        k.init_date,
        k.sent_date,
        k.primary_employee_number,
        k.fused_from,
        k.fused_into,
        k.ignore_fusion,
        k.history,
        k.custom_fields,
    ]
}

/// The values of one of them; none for all other attributes.
pub(super) fn values(operational: &Operational, attr: AttrId, k: &Known) -> Vec<Vec<u8>> {
    let Some(axes) = &operational.axes else { return Vec::new() };
    let none = Facts::default();
    let facts = operational.facts.as_deref().unwrap_or(&none);
    let one = |text: String| vec![text.into_bytes()];
    let time = |time: Option<Timestamp>| time.map(|t| one(t.generalized_time())).unwrap_or_default();
    let uuid = |uuid: Option<Uuid>| uuid.map(|u| one(u.to_string())).unwrap_or_default();
    let text = |text: Option<&str>| text.map(|t| one(t.to_owned())).unwrap_or_default();
    let boolean = |value: bool| one(if value { "TRUE" } else { "FALSE" }.to_owned());
    if attr == k.state {
        one(axes.state.to_string())
    } else if attr == k.lifecycle {
        one(axes.lifecycle.to_string())
    } else if attr == k.data_status {
        one(axes.data_status.to_string())
    } else if attr == k.init_state {
        one(axes.init_state.to_string())
    } else if attr == k.missing {
        operational.missing.iter().map(|m| m.clone().into_bytes()).collect()
    } else if attr == k.last_sync {
        time(facts.seen)
    } else if attr == k.last_backend_sync {
        time(operational.synced)
    } else if attr == k.last_lifecycle_update {
        time(facts.lifecycle_changed)
    } else if attr == k.ignore_lifecycle {
        boolean(facts.ignore_lifecycle)
    } else if attr == k.deleted {
        boolean(facts.deleted.is_some())
    } else if attr == k.former_name {
        text(facts.deleted.as_ref().map(|d| d.dn.as_str()))
    } else if attr == k.deleted_time {
        time(facts.deleted.as_ref().map(|d| d.at))
    } else if attr == k.init_date {
        time(facts.init_date)
    } else if attr == k.sent_date {
        time(facts.sent_date)
    } else if attr == k.primary_employee_number {
        text(facts.primary_employee_number.as_deref())
    } else if attr == k.fused_from {
        uuid(facts.fused_from)
    } else if attr == k.fused_into {
        uuid(facts.fused_into)
    } else if attr == k.ignore_fusion {
        facts.ignore_fusion.iter().map(|u| u.to_string().into_bytes()).collect()
    } else if attr == k.history {
        facts.history.iter().map(|m| m.to_string().into_bytes()).collect()
    } else if attr == k.custom_fields {
        text(facts.custom_fields.as_deref())
    } else {
        Vec::new()
    }
}
