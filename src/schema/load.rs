//! Reads the schema files: `ldap/*.yml` and `classes/*.yml`. The shipped files are compiled into
//! the program, so that it runs without them beside it; a folder on disk takes their place.

use super::{Language, Mode, Usage, class::Kind};
use serde::Deserialize;
use smol_str::SmolStr;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Yaml { path: PathBuf, message: String },
    #[error("{}: no *.yml file in this folder", path.display())]
    Empty { path: PathBuf },
}

/// The text of all schema files, with the path each came from, in file name order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub ldap: Vec<(PathBuf, String)>,
    pub classes: Vec<(PathBuf, String)>,
    /// Rules between attributes; absent: those that the program was built with.
    pub cross: Option<(PathBuf, String)>,
    /// Modes of such rules in place of their own.
    pub cross_modes: BTreeMap<SmolStr, Mode>,
    /// The language of messages where the client has none.
    pub language: Language,
}

pub(super) const SHIPPED_CROSS: &str = include_str!("../../schemas/cross.yml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LdapFile {
    #[serde(default)]
    pub attributes: Vec<AttributeDef>,
    #[serde(default)]
    pub classes: Vec<ClassDef>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeDef {
    pub name: SmolStr,
    #[serde(default)]
    pub aliases: Vec<SmolStr>,
    pub oid: SmolStr,
    #[serde(default)]
    pub desc: String,
    pub sup: Option<SmolStr>,
    pub equality: Option<SmolStr>,
    pub ordering: Option<SmolStr>,
    pub substr: Option<SmolStr>,
    pub syntax: Option<SmolStr>,
    pub length: Option<u32>,
    #[serde(default)]
    pub single_value: bool,
    #[serde(default)]
    pub no_user_modification: bool,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub obsolete: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassDef {
    pub name: SmolStr,
    #[serde(default)]
    pub aliases: Vec<SmolStr>,
    pub oid: SmolStr,
    #[serde(default)]
    pub desc: String,
    #[serde(default)]
    pub sup: Vec<SmolStr>,
    pub kind: Kind,
    #[serde(default)]
    pub must: Vec<SmolStr>,
    #[serde(default)]
    pub may: Vec<SmolStr>,
    #[serde(default)]
    pub obsolete: bool,
}

macro_rules! shipped {
    ($($file:literal),* $(,)?) => {
        vec![$((PathBuf::from(concat!("schemas/", $file)), include_str!(concat!("../../schemas/", $file)).to_owned())),*]
    };
}

impl Sources {
    /// The files that this program was built with.
    pub fn shipped() -> Self {
        Sources {
            ldap: shipped![
                "ldap/00-system.yml",
                "ldap/10-core.yml",
                "ldap/20-cosine.yml",
                "ldap/30-inetorgperson.yml",
                "ldap/40-eduperson.yml",
                "ldap/50-supann.yml",
                "ldap/60-schac.yml",
                "ldap/70-nis.yml",
                "ldap/72-applications.yml",
                "ldap/80-changelog.yml",
                "ldap/81-monitor.yml",
                "ldap/90-vestibule.yml",
                "ldap/92-sesame.yml",
                "ldap/94-accounts.yml",
            ],
            classes: shipped![
                "classes/eduPerson.yml",
                "classes/supann.yml",
                "classes/supannCMS.yml",
                "classes/supannEntite.yml",
                "classes/supannFCPerson.yml",
                "classes/supannGroupe.yml",
                "classes/supannOrg.yml",
                "classes/supannPerson.yml",
            ],
            ..Sources::default()
        }
    }

    /// The files of a folder with `ldap/` and `classes/` in it, and perhaps `cross.yml`.
    pub fn folder(folder: &Path) -> Result<Self, LoadError> {
        let ldap = yaml_files(&folder.join("ldap"))?;
        let (classes, cross) = (yaml_files(&folder.join("classes"))?, cross(folder)?);
        Ok(Sources { ldap, classes, cross, ..Sources::default() })
    }

    /// The rule files of a folder, which stand in it or in `classes/`, and its `cross.yml`.
    pub fn rules(folder: &Path) -> Result<(Vec<Text>, Option<Text>), LoadError> {
        let inner = folder.join("classes");
        let mut classes = yaml_files(if inner.is_dir() { &inner } else { folder })?;
        classes.retain(|(path, _)| path.file_name().is_none_or(|name| name != CROSS));
        Ok((classes, cross(folder)?))
    }
}

/// A file, and what is in it.
pub type Text = (PathBuf, String);

const CROSS: &str = "cross.yml";

fn cross(folder: &Path) -> Result<Option<Text>, LoadError> {
    let path = folder.join(CROSS);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Io { path, source }),
    }
}

fn yaml_files(folder: &Path) -> Result<Vec<(PathBuf, String)>, LoadError> {
    let io = |path: &Path, source| LoadError::Io { path: path.to_owned(), source };
    let mut paths = Vec::new();
    for item in std::fs::read_dir(folder).map_err(|e| io(folder, e))? {
        let path = item.map_err(|e| io(folder, e))?.path();
        if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(LoadError::Empty { path: folder.to_owned() });
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(e) => Err(io(&path, e)),
        })
        .collect()
}

/// Parses YAML into `T`; the error names the file and the path inside it.
pub(super) fn yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, LoadError> {
    serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|e| {
        let place = e.path().to_string();
        let message = match place.as_str() {
            "." => e.inner().to_string(),
            _ => format!("at {place}: {}", e.inner()),
        };
        LoadError::Yaml { path: path.to_owned(), message }
    })
}
