//! The date of an identity that the delay of a timed rule counts from.

use crate::{
    clock::Timestamp,
    entry::Entry,
    filter::query::{instant, values},
    schema::{AttrId, Schema},
};
use serde_json::Value;

/// Where the date stands, by its path in the identity's Sesame document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DateKey {
    LastSync,
    LastBackendSync,
    LastLifecycleUpdate,
    InitDate,
    SentDate,
    CreatedAt,
    LastUpdatedAt,
    /// An attribute of the entry; the earliest of several values counts.
    Attribute(AttrId),
    /// Below customFields.
    Custom(String),
}

impl DateKey {
    pub(super) fn parse(path: &str, schema: &Schema) -> Result<Self, String> {
        Ok(match path {
            "lastSync" => DateKey::LastSync,
            "lastBackendSync" => DateKey::LastBackendSync,
            "lastLifecycleUpdate" => DateKey::LastLifecycleUpdate,
            "initInfo.initDate" => DateKey::InitDate,
            "initInfo.sentDate" => DateKey::SentDate,
            "metadata.createdAt" | "createdAt" => DateKey::CreatedAt,
            "metadata.lastUpdatedAt" | "updatedAt" => DateKey::LastUpdatedAt,
            _ => return DateKey::parse_path(path, schema),
        })
    }

    fn parse_path(path: &str, schema: &Schema) -> Result<Self, String> {
        if let Some(rest) = path.strip_prefix("customFields.") {
            return Ok(DateKey::Custom(rest.to_owned()));
        }
        let name = path.strip_prefix("inetOrgPerson.").or_else(|| {
            let (class, attr) = path.strip_prefix("additionalFields.attributes.")?.split_once('.')?;
            schema.class_id(class).map(|_| attr)
        });
        let id = name.and_then(|name| schema.attr_id(name)).filter(|id| !schema.attribute(*id).is_operational());
        id.filter(|id| !schema.is_secret(*id)).map(DateKey::Attribute).ok_or_else(|| {
            "expected lastSync, lastBackendSync, lastLifecycleUpdate, initInfo.initDate, initInfo.sentDate, metadata.createdAt, metadata.lastUpdatedAt, or an attribute below inetOrgPerson, additionalFields.attributes.<class> or customFields".to_owned()
        })
    }

    /// The date of an identity, if it has one.
    pub fn of(&self, entry: &Entry) -> Option<Timestamp> {
        let operational = &entry.operational;
        let facts = operational.facts.as_deref();
        match self {
            DateKey::LastSync => facts?.seen,
            DateKey::LastBackendSync => operational.synced,
            DateKey::LastLifecycleUpdate => facts?.lifecycle_changed,
            DateKey::InitDate => facts?.init_date,
            DateKey::SentDate => facts?.sent_date,
            DateKey::CreatedAt => Some(operational.created),
            DateKey::LastUpdatedAt => Some(operational.modified),
            DateKey::Attribute(attr) => {
                entry.values(*attr).filter_map(|v| std::str::from_utf8(v).ok().and_then(date)).min()
            }
            DateKey::Custom(path) => {
                let fields: Value = serde_json::from_str(facts?.custom_fields.as_deref()?).ok()?;
                let found = values(&fields, path);
                let items = found.iter().flat_map(|v| v.as_array().map_or(std::slice::from_ref(*v), Vec::as_slice));
                items.filter_map(|v| v.as_str().and_then(date)).min()
            }
        }
    }
}

/// Beside the forms of an instant, `YYYYMMDD` as supann writes days.
fn date(text: &str) -> Option<Timestamp> {
    let day = || {
        let (year, rest) = text.split_at_checked(4)?;
        let (month, day) = rest.split_at_checked(2)?;
        (text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| instant(&format!("{year}-{month}-{day}")))?
    };
    instant(text).or_else(day)
}
