//! The keys of a target of kind `4me`.

use super::{Reading, address};
use crate::export::{Kind, four_me, http::Connection};
use serde::Deserialize;
use serde_yaml::Mapping;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FourMeFile {
    base_url: String,
    account: String,
    token_file: PathBuf,
    ca_file: Option<PathBuf>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "source")]
    source: String,
    organizations: Option<BTreeSet<String>>,
    organizations_file: Option<PathBuf>,
    #[serde(default)]
    limits: LimitsFile,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsFile {
    gather_ms: u64,
    rows: usize,
    poll_ms: u64,
    patience_secs: u64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        // An import is forgotten five minutes after its end.
        LimitsFile { gather_ms: 60_000, rows: 5_000, poll_ms: 60_000, patience_secs: 7_200 }
    }
}

fn timeout_ms() -> u64 {
    60_000
}

fn source() -> String {
    "Vestibule".to_owned()
}

/// Characters of a Source.
const LONGEST_SOURCE: usize = 30;

impl Reading<'_> {
    pub(super) fn four_me(&mut self, own: Mapping, every: &mut Mapping) -> Option<Kind> {
        self.usual(every, "groups", "{enabled: false}");
        self.usual(every, "concurrency", "1");
        let file: FourMeFile = self.read(own)?;
        let limits = file.limits;
        self.above_zero(&[
            ("timeout_ms", file.timeout_ms),
            ("limits.rows", limits.rows as u64),
            ("limits.poll_ms", limits.poll_ms),
            ("limits.patience_secs", limits.patience_secs),
        ]);
        if file.source.is_empty() || file.source.chars().count() > LONGEST_SOURCE {
            self.faults.push(format!("source: expected 1 to {LONGEST_SOURCE} characters"));
        }
        let base_url = self.note(address("base_url", &file.base_url, self.name))?;
        let ms = Duration::from_millis;
        Some(Kind::FourMe(four_me::Options {
            connection: Connection {
                ca_file: file.ca_file.map(|ca| self.path(&ca)),
                ..Connection::new(base_url, ms(file.timeout_ms))
            },
            account: file.account,
            token_file: self.path(&file.token_file),
            source: file.source,
            organizations: file.organizations,
            organizations_file: file.organizations_file.map(|list| self.path(&list)),
            gather: ms(limits.gather_ms),
            rows: limits.rows,
            poll: ms(limits.poll_ms),
            patience: Duration::from_secs(limits.patience_secs),
        }))
    }
}
