//! The keys of a target of kind `qmplus`.

use super::{Reading, address};
use crate::export::{
    Kind,
    http::Connection,
    qmplus::{
        self,
        operations::{Form, MatchOn},
    },
};
use serde::Deserialize;
use serde_yaml::Mapping;
use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QmPlusFile {
    /// With `/api` at its end.
    base_url: String,
    tenant: String,
    token_file: PathBuf,
    created_by: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default)]
    match_on_field: MatchOn,
    #[serde(default)]
    cascade_to_children: bool,
    #[serde(default)]
    limits: LimitsFile,
}

/// How much at one time. What the target documents, unless it allows another customer other numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsFile {
    gather_ms: u64,
    operations: usize,
    operations_per_call: usize,
    checkpoints_per_minute: usize,
    calls_per_minute: usize,
    lists_per_minute: usize,
    poll_ms: u64,
    patience_secs: u64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        LimitsFile {
            gather_ms: 5_000,
            operations: 2_000,
            operations_per_call: 500,
            checkpoints_per_minute: 10,
            calls_per_minute: 50,
            lists_per_minute: 100,
            poll_ms: 1_500,
            patience_secs: 3_600,
        }
    }
}

/// Operations that one transaction takes.
const MOST_OPERATIONS: usize = 10_000;

fn timeout_ms() -> u64 {
    30_000
}

impl Reading<'_> {
    pub(super) fn qmplus(&mut self, own: Mapping, every: &mut Mapping) -> Option<Kind> {
        self.usual(every, "groups", "{enabled: false}");
        self.usual(every, "departments", "{enabled: true}");
        self.usual(every, "concurrency", "1");
        let file: QmPlusFile = self.read(own)?;
        let limits = file.limits;
        self.above_zero(&[
            ("timeout_ms", file.timeout_ms),
            ("limits.operations", limits.operations as u64),
            ("limits.operations_per_call", limits.operations_per_call as u64),
            ("limits.checkpoints_per_minute", limits.checkpoints_per_minute as u64),
            ("limits.calls_per_minute", limits.calls_per_minute as u64),
            ("limits.lists_per_minute", limits.lists_per_minute as u64),
            ("limits.poll_ms", limits.poll_ms),
            ("limits.patience_secs", limits.patience_secs),
        ]);
        if limits.operations > MOST_OPERATIONS {
            self.faults.push(format!("limits.operations: a transaction takes at most {MOST_OPERATIONS}"));
        }
        let base_url = self.note(address("base_url", &file.base_url, self.name))?;
        let ms = Duration::from_millis;
        Some(Kind::QmPlus(qmplus::Options {
            connection: Connection {
                ca_file: file.ca_file.map(|ca| self.path(&ca)),
                ..Connection::new(base_url, ms(file.timeout_ms))
            },
            tenant: file.tenant,
            token_file: self.path(&file.token_file),
            form: Form { cascade: file.cascade_to_children, match_on: file.match_on_field },
            created_by: file.created_by,
            gather: ms(limits.gather_ms),
            operations: limits.operations,
            page: limits.operations_per_call,
            checkpoints_per_minute: limits.checkpoints_per_minute,
            calls_per_minute: limits.calls_per_minute,
            lists_per_minute: limits.lists_per_minute,
            poll: ms(limits.poll_ms),
            patience: Duration::from_secs(limits.patience_secs),
        }))
    }
}
