//! What an administrator may set though the server keeps it, to bring entries over from another
//! directory as they were (draft-zeilenga-ldap-relax).

use super::{Error, plan::Context};
use crate::{
    clock::Timestamp,
    entry::{Draft, Operational},
    schema::{AttrId, Fault, Violation},
};
use smol_str::SmolStr;
use uuid::Uuid;

/// Values that were given for attributes that the server keeps.
#[derive(Default)]
pub(super) struct Given {
    pub uuid: Option<Uuid>,
    created: Option<Timestamp>,
    modified: Option<Timestamp>,
    creator: Option<SmolStr>,
    modifier: Option<SmolStr>,
}

/// Takes them out of the draft; nothing unless the identity may do everything and asks for it.
pub(super) fn take(context: &Context<'_>, draft: &mut Draft) -> Result<Given, Error> {
    let mut given = Given::default();
    if !context.terms.relax || !context.grants().everything() {
        return Ok(given);
    }
    let schema = &context.base.schema;
    let known = &schema.known;
    let mut text = |attr: AttrId| -> Option<String> {
        let value = draft.take(attr)?.into_iter().next()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    };
    let wrong = |attr: AttrId| {
        let attribute = schema.attribute(attr);
        let message = format!("expected {}", attribute.syntax.desc());
        Error::invalid(Violation::new(Fault::InvalidSyntax, "", &attribute.name, "syntax", message))
    };
    if let Some(value) = text(known.entry_uuid) {
        let uuid = Uuid::try_parse(&value).map_err(|_| wrong(known.entry_uuid))?;
        if context.base.by_uuid(uuid).is_some() {
            return Err(Error::AlreadyExists);
        }
        given.uuid = Some(uuid);
    }
    for (attr, place) in [(known.create_timestamp, &mut given.created), (known.modify_timestamp, &mut given.modified)] {
        if let Some(value) = text(attr) {
            *place = Some(Timestamp::parse_generalized_time(&value).ok_or_else(|| wrong(attr))?);
        }
    }
    for (attr, place) in [(known.creators_name, &mut given.creator), (known.modifiers_name, &mut given.modifier)] {
        if let Some(value) = text(attr) {
            schema.dn_value_key(&value).ok_or_else(|| wrong(attr))?;
            *place = Some(SmolStr::new(value));
        }
    }
    Ok(given)
}

impl Given {
    /// What was given in the place of what the server would have set.
    pub fn over(self, operational: Operational) -> Operational {
        Operational {
            created: self.created.unwrap_or(operational.created),
            modified: self.modified.unwrap_or(operational.modified),
            creator: self.creator.unwrap_or(operational.creator),
            modifier: self.modifier.unwrap_or(operational.modifier),
            ..operational
        }
    }
}
