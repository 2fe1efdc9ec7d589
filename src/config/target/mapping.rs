//! The map of a target: the one that its kind is built with, what its keys change of that, and maps
//! of the operator's own, in a file beside it or in the target's file.

use super::super::load::{parse, read};
use crate::{
    export::{
        Kind,
        mapping::{ENTERPRISE, Form, Layer, Map, Mapping, PRIVATE, SUPANN, SUPANN_GROUP, is_private},
    },
    schema::Schema,
};
use serde::Deserialize;
use smol_str::SmolStr;
use std::path::Path;

/// When the extensions for supann are sent: most targets refuse or drop what they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extension {
    Always,
    #[default]
    Never,
}

/// What a target says of its map.
pub struct Keys<'a> {
    pub user_name: Option<&'a SmolStr>,
    pub enterprise: Option<bool>,
    pub supann: Option<Extension>,
    pub private: &'a [SmolStr],
    /// A file, and what goes over that.
    pub file: Option<&'a Path>,
    pub map: &'a Map,
}

impl Keys<'_> {
    /// Every fault, with its key.
    pub fn bind(&self, kind: &Kind, schema: &Schema) -> Result<Mapping, Vec<String>> {
        let Some((form, built_in)) = kind.map() else {
            let said = self.file.is_some() || !self.map.is_empty();
            let misplaced = said.then(|| "map: is not for targets that take entries as they are".to_owned());
            let faults: Vec<String> = misplaced.into_iter().chain(self.misplaced(Form::Flat)).collect();
            return if faults.is_empty() { Ok(Mapping::empty(Form::Flat)) } else { Err(faults) };
        };
        let mut faults = self.misplaced(form);
        let in_file = self.file.map(load).transpose().unwrap_or_else(|fault| {
            faults.push(format!("mapping: {fault:#}"));
            None
        });
        let user_name = self.user_name.map(|attr| user_name(attr));
        let own = [user_name.as_ref(), in_file.as_ref(), Some(self.map)].into_iter().flatten();
        let layers: Vec<Layer<'_>> = std::iter::once(Layer { map: &built_in, own: false })
            .chain(own.map(|map| Layer { map, own: true }))
            .collect();
        let bound = Mapping::layered(form, layers.iter()).and_then(|mapping| {
            let supann = self.supann == Some(Extension::Always);
            let mapping = mapping
                .with_private(self.private)
                .with_extension(ENTERPRISE, self.enterprise.unwrap_or(true))
                .with_extension(SUPANN, supann)
                .with_extension(SUPANN_GROUP, supann);
            let found = mapping.faults(schema);
            if found.is_empty() { Ok(mapping) } else { Err(found) }
        });
        match bound {
            Ok(mapping) if faults.is_empty() => Ok(mapping),
            Ok(_) => Err(faults),
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| format!("map.{fault}")));
                Err(faults)
            }
        }
    }

    fn misplaced(&self, form: Form) -> Vec<String> {
        let unknown = self.private.iter().filter(|attr| !is_private(attr));
        let mut faults: Vec<String> =
            unknown.map(|attr| format!("private_attributes: '{attr}' is none of {}", PRIVATE.join(", "))).collect();
        let said = [
            ("user_name", self.user_name.is_some()),
            ("enterprise", self.enterprise.is_some()),
            ("supann_extension", self.supann.is_some()),
        ];
        if form != Form::Scim {
            let said = said.into_iter().filter(|(_, said)| *said);
            faults.extend(said.map(|(key, _)| format!("{key}: is for targets of kind scim; expected a line in map")));
        }
        faults
    }
}

/// The map that `user_name` is short for.
fn user_name(attr: &str) -> Map {
    let text = serde_json::json!({"users": {"userName": {"named": attr, "required": true, "recon_key": true}}});
    serde_json::from_value(text).unwrap_or_default()
}

fn load(path: &Path) -> anyhow::Result<Map> {
    parse(path, &read(path)?)
}
