//! Flags over environment over file over defaults.

use super::{File, SHIPPED};
use crate::telemetry::LogFormat;
use anyhow::{Context, anyhow};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What the command line or the environment says in place of the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// Configuration file [default: config/vestibule.yml, or the built-in one if that is absent]
    #[arg(long, env = "VESTIBULE_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Folder of the store
    #[arg(long, env = "VESTIBULE_DATA", value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// Suffix of the directory, such as dc=univ,dc=fr
    #[arg(long, env = "VESTIBULE_SUFFIX", value_name = "DN", global = true)]
    pub suffix: Option<String>,
    /// Address for ldap
    #[arg(long, env = "VESTIBULE_LDAP", value_name = "ADDR", global = true)]
    pub ldap: Option<SocketAddr>,
    /// Address for ldaps
    #[arg(long, env = "VESTIBULE_LDAPS", value_name = "ADDR", global = true)]
    pub ldaps: Option<SocketAddr>,
    /// Path of a local socket for ldapi
    #[arg(long, env = "VESTIBULE_LDAPI", value_name = "PATH", global = true)]
    pub ldapi: Option<PathBuf>,
    /// Address for HTTP administration
    #[arg(long, env = "VESTIBULE_HTTP", value_name = "ADDR", global = true)]
    pub http: Option<SocketAddr>,
    /// Folder of export targets
    #[arg(long, env = "VESTIBULE_TARGETS", value_name = "DIR", global = true)]
    pub targets: Option<PathBuf>,
    /// File with the administrator's password; VESTIBULE_ADMIN_PASSWORD holds the password itself
    #[arg(long, env = "VESTIBULE_ADMIN_PASSWORD_FILE", value_name = "FILE", global = true)]
    pub admin_password_file: Option<PathBuf>,
    /// File with the token of the HTTP administration; VESTIBULE_ADMIN_TOKEN holds the token itself
    #[arg(long, env = "VESTIBULE_ADMIN_TOKEN_FILE", value_name = "FILE", global = true)]
    pub admin_token_file: Option<PathBuf>,
    /// Form of the log
    #[arg(long, env = "VESTIBULE_LOG_FORMAT", value_enum, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
    /// Level of the log, or a filter
    #[arg(long, env = "VESTIBULE_LOG", value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
}

/// The configuration with all overrides in it, and where it came from.
#[derive(Clone, Debug)]
pub struct Settings {
    pub file: File,
    pub origin: PathBuf,
}

const DEFAULT_FILE: &str = "config/vestibule.yml";

pub fn load(overrides: &Overrides) -> anyhow::Result<Settings> {
    let default = Path::new(DEFAULT_FILE);
    let (origin, text) = match &overrides.config {
        Some(path) => (path.clone(), read(path)?),
        None if default.exists() => (default.to_owned(), read(default)?),
        None => (default.to_owned(), SHIPPED.to_owned()),
    };
    let mut file: File = parse(&origin, &text)?;
    let folder = origin.parent().unwrap_or(Path::new("")).to_owned();
    let from_folder = |path: &mut PathBuf| *path = folder.join(&path);
    from_folder(&mut file.data);
    from_folder(&mut file.targets);
    from_folder(&mut file.tls.certificate);
    from_folder(&mut file.tls.key);
    let optional = [
        &mut file.schemas,
        &mut file.access,
        &mut file.lifecycle.folder,
        &mut file.admin.password_file,
        &mut file.admin.token_file,
        &mut file.listen.ldapi,
        &mut file.tls.client_ca,
    ];
    optional.into_iter().flatten().for_each(from_folder);
    // The built-in configuration names the files it was shipped with; they need not be there.
    if overrides.config.is_none() && !default.exists() {
        file.schemas = file.schemas.filter(|p| p.exists());
        file.access = file.access.filter(|p| p.exists());
        file.lifecycle.folder = file.lifecycle.folder.filter(|p| p.exists());
    }
    apply(&mut file, overrides);
    Ok(Settings { file, origin })
}

fn apply(file: &mut File, overrides: &Overrides) {
    fn set<T: Clone>(place: &mut T, value: &Option<T>) {
        if let Some(value) = value {
            place.clone_from(value);
        }
    }
    set(&mut file.data, &overrides.data);
    set(&mut file.suffix, &overrides.suffix);
    set(&mut file.listen.ldap, &overrides.ldap);
    set(&mut file.listen.ldaps, &overrides.ldaps);
    set(&mut file.listen.http, &overrides.http);
    set(&mut file.targets, &overrides.targets);
    set(&mut file.log.format, &overrides.log_format);
    set(&mut file.log.level, &overrides.log_level);
    file.listen.ldapi = overrides.ldapi.clone().or(file.listen.ldapi.take());
    file.admin.password_file = overrides.admin_password_file.clone().or(file.admin.password_file.take());
    file.admin.token_file = overrides.admin_token_file.clone().or(file.admin.token_file.take());
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Parses YAML; the error names file and path.
pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|e| {
        let place = e.path().to_string();
        match place.as_str() {
            "." => anyhow!("{}: {}", path.display(), e.inner()),
            _ => anyhow!("{}: at {place}: {}", path.display(), e.inner()),
        }
    })
}
