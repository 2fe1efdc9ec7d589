//! The keys of a target of kind `scim`.

use super::{Reading, address};
use crate::export::{Kind, scim};
use serde::Deserialize;
use serde_yaml::Mapping;
use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScimFile {
    base_url: String,
    token_file: PathBuf,
    ca_file: Option<PathBuf>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default)]
    update: scim::Update,
    #[serde(default = "member_chunk")]
    member_chunk: usize,
}

fn timeout_ms() -> u64 {
    30_000
}

fn member_chunk() -> usize {
    100
}

impl Reading<'_> {
    pub(super) fn scim(&mut self, own: Mapping) -> Option<Kind> {
        let file: ScimFile = self.read(own)?;
        self.above_zero(&[("timeout_ms", file.timeout_ms), ("member_chunk", file.member_chunk as u64)]);
        let base_url = self.note(address(&file.base_url, self.name))?;
        Some(Kind::Scim(scim::Options {
            base_url,
            token_file: self.path(&file.token_file),
            ca_file: file.ca_file.map(|ca| self.path(&ca)),
            timeout: Duration::from_millis(file.timeout_ms),
            update: file.update,
            chunk: file.member_chunk,
        }))
    }
}
