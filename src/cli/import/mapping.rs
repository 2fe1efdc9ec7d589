//! The mapping file: which columns of a table make which attributes, how entries are named, and
//! by what a row finds the entry that it speaks of. Read strictly.

use super::expression::{Columns, Expression, encoding, filled_template};
use super::wish::{Upsert, Wanted};
use crate::{
    dn::{Dn, escape_value},
    expression::Step,
    schema::Schema,
};
use anyhow::{Context, anyhow, bail};
use encoding_rs::Encoding;
use serde::Deserialize;
use smol_str::SmolStr;
use std::{collections::BTreeMap, path::Path};

/// As the file writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingFile {
    #[serde(default)]
    pub format: Format,
    /// Name of a new entry; `{attribute}` stands for its first value, `{suffix}` for the suffix.
    dn: String,
    object_classes: Vec<SmolStr>,
    /// Sets of attributes that tell an entry, tried in this order. None: the name tells it.
    #[serde(rename = "match", default)]
    keys: Vec<Vec<SmolStr>>,
    /// Where entries are looked for; absent: everywhere below the suffix.
    base: Option<String>,
    /// Whether an entry that was found under another name gets the name of the row.
    #[serde(default)]
    rename: bool,
    /// What an attribute without a value in the row does to the one of the entry.
    #[serde(default)]
    absent: Absent,
    attributes: BTreeMap<SmolStr, AttributeDef>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Format {
    /// One character; absent: a tab in `.tsv` files, else a comma.
    pub delimiter: Option<char>,
    pub quote: char,
    pub encoding: String,
    /// Whether the first row names the columns; if not, columns are numbers from 1.
    pub header: bool,
    /// Whether blanks around a cell are taken away.
    pub trim: bool,
}

impl Default for Format {
    fn default() -> Self {
        Format { delimiter: None, quote: '"', encoding: "utf-8".to_owned(), header: true, trim: true }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Delete,
}

/// An expression as the file writes it: one of the first four, and what becomes of its values.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// By name, or by number from 1 where there is no header.
    #[serde(default, deserialize_with = "column")]
    pub column: Option<SmolStr>,
    pub constant: Option<SmolStr>,
    /// The first of them that has a value.
    pub first_of: Option<Vec<Source>>,
    pub concat: Option<Vec<Source>>,
    #[serde(default, deserialize_with = "serde_yaml::with::singleton_map_recursive::deserialize")]
    pub then: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeDef {
    #[serde(default, deserialize_with = "column")]
    column: Option<SmolStr>,
    constant: Option<SmolStr>,
    first_of: Option<Vec<Source>>,
    concat: Option<Vec<Source>>,
    #[serde(default, deserialize_with = "serde_yaml::with::singleton_map_recursive::deserialize")]
    then: Vec<Step>,
    /// A row without a value is refused.
    #[serde(default)]
    required: bool,
    /// Written with a new entry, and never again.
    #[serde(default)]
    on_create: bool,
    absent: Option<Absent>,
}

fn column<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SmolStr>, D::Error> {
    struct Name;
    impl serde::de::Visitor<'_> for Name {
        type Value = Option<SmolStr>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the name or the number of a column")
        }
        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(Some(SmolStr::new(name)))
        }
        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(SmolStr::new(number.to_string())))
        }
    }
    deserializer.deserialize_any(Name)
}

impl MappingFile {
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(&text)).map_err(|e| {
            let place = e.path().to_string();
            anyhow!("{}: at {place}: {}", path.display(), e.inner())
        })
    }

    pub fn encoding(&self, path: &Path) -> anyhow::Result<&'static Encoding> {
        encoding(&self.format.encoding).map_err(|e| anyhow!("{}: at format.encoding: {e}", path.display()))
    }

    pub fn delimiter(&self, path: &Path, table: &Path) -> anyhow::Result<u8> {
        let is_tsv = table.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
        let default = if is_tsv { '\t' } else { ',' };
        one_byte(self.format.delimiter.unwrap_or(default))
            .ok_or_else(|| anyhow!("{}: at format.delimiter: expected one ASCII character", path.display()))
    }

    pub fn quote(&self, path: &Path) -> anyhow::Result<u8> {
        one_byte(self.format.quote)
            .ok_or_else(|| anyhow!("{}: at format.quote: expected one ASCII character", path.display()))
    }
}

fn one_byte(c: char) -> Option<u8> {
    u8::try_from(c).ok().filter(u8::is_ascii)
}

/// A mapping bound to a schema and to the columns of one table.
pub struct Mapping {
    dn: String,
    suffix: SmolStr,
    classes: Vec<Vec<u8>>,
    keys: Vec<Vec<SmolStr>>,
    base: SmolStr,
    rename: bool,
    trim: bool,
    attributes: Vec<Column>,
}

struct Column {
    name: SmolStr,
    expression: Expression,
    required: bool,
    on_create: bool,
    absent: Absent,
}

impl Mapping {
    /// Every fault, with file and path.
    pub fn bind(
        file: &MappingFile,
        path: &Path,
        suffix: &str,
        columns: &Columns,
        schema: &Schema,
    ) -> anyhow::Result<Self> {
        let mut faults = Vec::new();
        let mut attributes = Vec::new();
        for (name, def) in &file.attributes {
            if schema.describe(name).is_none() {
                faults.push(format!("attributes.{name}: the schema has no such attribute type"));
            }
            match bind_attribute(name, def, file.absent, columns) {
                Ok(column) => attributes.push(column),
                Err(fault) => faults.push(format!("attributes.{name}: {fault}")),
            }
        }
        for class in file.object_classes.iter().filter(|c| schema.class_id(c).is_none()) {
            faults.push(format!("object_classes: the schema has no class '{class}'"));
        }
        let is_mapped = |name: &str| file.attributes.keys().any(|n| n.eq_ignore_ascii_case(name));
        for name in file.keys.iter().flatten().filter(|name| !is_mapped(name)) {
            faults.push(format!("match: '{name}' is not under attributes"));
        }
        if file.keys.iter().any(Vec::is_empty) {
            faults.push("match: a set without an attribute".to_owned());
        }
        for name in placeholders(&file.dn).filter(|name| *name != "suffix" && !is_mapped(name)) {
            faults.push(format!("dn: '{name}' is not under attributes"));
        }
        let base = file.base.as_deref().unwrap_or("{suffix}").replace("{suffix}", suffix);
        if let Err(error) = Dn::parse(&base) {
            faults.push(format!("base: {error}"));
        }
        if !faults.is_empty() {
            let lines: Vec<_> = faults.iter().map(|f| format!("{}: at {f}", path.display())).collect();
            bail!(lines.join("\n"));
        }
        Ok(Mapping {
            dn: file.dn.clone(),
            suffix: SmolStr::new(suffix),
            classes: file.object_classes.iter().map(|c| c.as_bytes().to_vec()).collect(),
            keys: file.keys.clone(),
            base: SmolStr::new(base),
            rename: file.rename,
            trim: file.format.trim,
            attributes,
        })
    }

    /// What a row asks for, or why it asks for nothing.
    pub fn upsert(&self, row: &[String]) -> Result<Upsert, String> {
        let mut wanted = vec![Wanted {
            name: SmolStr::new_static("objectClass"),
            values: self.classes.clone(),
            on_create: false,
            absent: Absent::Keep,
        }];
        for column in &self.attributes {
            let values = column.expression.values(row, self.trim).map_err(|e| format!("{}: {e}", column.name))?;
            if values.is_empty() && column.required {
                return Err(format!("{} (required): the row has no value for it", column.name));
            }
            wanted.push(Wanted {
                name: column.name.clone(),
                values: distinct(values),
                on_create: column.on_create,
                absent: column.absent,
            });
        }
        let first = |name: &str| {
            let found = wanted.iter().find(|w| w.name.eq_ignore_ascii_case(name))?;
            found.values.first().cloned()
        };
        let named = |name: &str| match name {
            "suffix" => Some(self.suffix.clone()),
            name => first(name).map(|value| SmolStr::new(escape_value(&value))),
        };
        let dn = filled_template(&self.dn, named);
        let with_values = |set: &Vec<SmolStr>| {
            let pairs = set.iter().map(|name| Some((name.clone(), String::from_utf8(first(name)?).ok()?)));
            pairs.collect::<Option<Vec<_>>>()
        };
        let keys: Vec<_> = self.keys.iter().filter_map(with_values).collect();
        if keys.is_empty() && !self.keys.is_empty() {
            return Err("match: the row has no value for any of the sets".to_owned());
        }
        Ok(Upsert { dn, base: self.base.clone(), keys, wanted, rename: self.rename })
    }
}

fn bind_attribute(name: &str, def: &AttributeDef, absent: Absent, columns: &Columns) -> Result<Column, String> {
    let source = Source {
        column: def.column.clone(),
        constant: def.constant.clone(),
        first_of: def.first_of.clone(),
        concat: def.concat.clone(),
        then: def.then.clone(),
    };
    Ok(Column {
        name: SmolStr::new(name),
        expression: Expression::bind(&source, columns)?,
        required: def.required,
        on_create: def.on_create,
        absent: def.absent.unwrap_or(absent),
    })
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

fn distinct(values: Vec<String>) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::with_capacity(values.len());
    for value in values {
        if !out.iter().any(|v| v == value.as_bytes()) {
            out.push(value.into_bytes());
        }
    }
    out
}
