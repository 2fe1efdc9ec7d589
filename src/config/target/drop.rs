//! The keys of the targets that get files: `ldif`, `jsonl` and `csv`.

use super::Reading;
use crate::export::{
    Kind,
    drop::{self, Content, Form},
};
use serde::Deserialize;
use serde_yaml::Mapping;
use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DropFile {
    folder: PathBuf,
    /// Of tables only.
    content: Option<Content>,
    separator: Option<String>,
    #[serde(default = "gather_ms")]
    gather_ms: u64,
    #[serde(default = "rows")]
    rows: usize,
    keep: Option<usize>,
    /// As of chmod.
    #[serde(default = "mode")]
    mode: String,
}

fn gather_ms() -> u64 {
    10_000
}

fn rows() -> usize {
    10_000
}

fn mode() -> String {
    "0640".to_owned()
}

impl Reading<'_> {
    pub(super) fn drop(&mut self, own: Mapping, form: Form, every: &mut Mapping) -> Option<Kind> {
        self.usual(every, "concurrency", "1");
        let file: DropFile = self.read(own)?;
        self.above_zero(&[("rows", file.rows as u64), ("keep", file.keep.unwrap_or(1) as u64)]);
        for (key, said) in [("content", file.content.is_some()), ("separator", file.separator.is_some())] {
            if said && form != Form::Csv {
                self.faults.push(format!("{key}: is for targets of kind csv"));
            }
        }
        let mode = u32::from_str_radix(&file.mode, OCTAL).ok().filter(|mode| *mode <= MOST_MODE);
        if mode.is_none() {
            self.faults.push("mode: expected the digits of chmod in quotes, such as \"0640\"".to_owned());
        }
        Some(Kind::Drop(drop::Options {
            name: self.name.to_owned(),
            folder: self.path(&file.folder),
            form,
            content: file.content.unwrap_or_default(),
            separator: file.separator.unwrap_or_else(|| "|".to_owned()),
            gather: Duration::from_millis(file.gather_ms),
            rows: file.rows,
            keep: file.keep,
            mode: mode?,
        }))
    }
}

const OCTAL: u32 = 8;
const MOST_MODE: u32 = 0o777;
