//! What Sesame keeps of an identity beside the person's attributes and the four axes. What the facts
//! mean and who may change them is the business of `lifecycle` and `directory`.

use super::History;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

/// Facts of one identity, stored with it and shown as operational attributes. The names in
/// brackets are those of Sesame's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When an import last saw the identity (`lastSync`).
    pub seen: Option<Timestamp>,
    /// When the lifecycle letter last changed (`lastLifecycleUpdate`).
    pub lifecycle_changed: Option<Timestamp>,
    /// Lifecycle rules leave the identity alone (`ignoreLifecycle`).
    pub ignore_lifecycle: bool,
    /// When the invitation was sent (`initInfo.initDate`).
    pub init_date: Option<Timestamp>,
    /// When the person answered it (`initInfo.sentDate`); Sesame gives the two names this way round.
    pub sent_date: Option<Timestamp>,
    /// Of the survivor of a fusion (`primaryEmployeeNumber`).
    pub primary_employee_number: Option<SmolStr>,
    /// Of the survivor: whom it absorbed (`srcFusionId`).
    pub fused_from: Option<Uuid>,
    /// Of the absorbed one: the survivor (`destFusionId`).
    pub fused_into: Option<Uuid>,
    /// Identities that are known not to be the same person (`ignoreFusion`).
    pub ignore_fusion: Vec<Uuid>,
    /// A JSON object as text (`customFields`).
    pub custom_fields: Option<String>,
    /// A JSON object as text, attributes by block: what the identity's Sesame document has and the
    /// LDAP entry cannot hold or cannot tell apart. An LDAP write to an attribute drops its part.
    pub beside: Option<String>,
    /// Faults that a front found in what it could not store, until the attribute is written again.
    pub held: Vec<Held>,
    /// Present from a soft delete until the identity comes back (`deletedFlag`).
    pub deleted: Option<Deleted>,
    pub history: History,
}

/// One fault of an identity that is kept in spite of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub class: SmolStr,
    pub attr: SmolStr,
    pub rule: SmolStr,
    pub message: String,
}

/// When an identity was deleted, and the name it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    pub at: Timestamp,
    pub dn: String,
}

/// What a write of one of the server's own fronts does to the facts; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactsChange {
    pub seen: Option<Timestamp>,
    pub ignore_lifecycle: Option<bool>,
    pub init_date: Option<Option<Timestamp>>,
    pub sent_date: Option<Option<Timestamp>>,
    pub primary_employee_number: Option<Option<SmolStr>>,
    pub fused_from: Option<Option<Uuid>>,
    pub fused_into: Option<Option<Uuid>>,
    pub ignore_fusion: Option<Vec<Uuid>>,
    pub custom_fields: Option<Option<String>>,
    pub beside: Option<Option<String>>,
}

impl FactsChange {
    pub fn apply(self, facts: &mut Facts) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        let FactsChange {
            seen,
            ignore_lifecycle,
            init_date,
            sent_date,
            primary_employee_number,
            fused_from,
            fused_into,
            ignore_fusion,
            custom_fields,
            beside,
        } = self;
        set(&mut facts.seen, seen.map(Some));
        set(&mut facts.ignore_lifecycle, ignore_lifecycle);
        set(&mut facts.init_date, init_date);
        set(&mut facts.sent_date, sent_date);
        set(&mut facts.primary_employee_number, primary_employee_number);
        set(&mut facts.fused_from, fused_from);
        set(&mut facts.fused_into, fused_into);
        set(&mut facts.ignore_fusion, ignore_fusion);
        set(&mut facts.custom_fields, custom_fields);
        set(&mut facts.beside, beside);
    }
}
