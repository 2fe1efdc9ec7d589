//! The keys of the targets that get files: `ldif`, `jsonl` and `csv`.

use super::{Reading, ldap::name};
use crate::export::{
    Kind,
    drop::{self, Content, Form},
    ldap::{self, BY_DN, Choice, Filters, Names, References, Suffix},
};
use serde::Deserialize;
use serde_yaml::Mapping;
use smol_str::SmolStr;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DropFile {
    folder: PathBuf,
    /// Of LDIF only: what stands there for our suffix.
    base: Option<String>,
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
        if file.base.is_some() && form != Form::Ldif {
            self.faults.push("base: is for targets of kind ldif".to_owned());
        }
        let entries = match form {
            Form::Ldif => Some(self.entries(file.base.as_deref().unwrap_or("{suffix}"))?),
            Form::Jsonl | Form::Csv => None,
        };
        let mode = u32::from_str_radix(&file.mode, OCTAL).ok().filter(|mode| *mode <= MOST_MODE);
        if mode.is_none() {
            self.faults.push("mode: expected the digits of chmod in quotes, such as \"0640\"".to_owned());
        }
        Some(Kind::Drop(Box::new(drop::Options {
            name: self.name.to_owned(),
            folder: self.path(&file.folder),
            form,
            entries,
            content: file.content.unwrap_or_default(),
            separator: file.separator.unwrap_or_else(|| "|".to_owned()),
            gather: Duration::from_millis(file.gather_ms),
            rows: file.rows,
            keep: file.keep,
            mode: mode?,
        })))
    }
}

impl Reading<'_> {
    /// All user attributes of an entry, below `base`. Whom a value names is not asked: a file cannot tell
    /// who is there.
    fn entries(&mut self, base: &str) -> Option<ldap::Form> {
        let local = self.note(name("suffix", self.suffix, self.suffix))?;
        let base = self.note(name("base", base, self.suffix))?;
        let none = SmolStr::default();
        Some(ldap::Form {
            suffix: Suffix::new(&local, base.clone(), self.schema),
            attributes: Choice::default(),
            classes: Choice::default(),
            renamed_classes: BTreeMap::new(),
            names: Names { users: BY_DN.into(), groups: BY_DN.into(), departments: BY_DN.into() },
            filters: Filters { users: none.clone(), groups: none.clone(), departments: none },
            key: None,
            placeholder: base,
            references: References::All,
            inactive: BTreeMap::new(),
        })
    }
}

const OCTAL: u32 = 8;
const MOST_MODE: u32 = 0o777;
