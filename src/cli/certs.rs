//! `vestibule certs dev`.

use super::connect::say;
use crate::{certs, config::Settings};
use std::path::PathBuf;

pub fn dev(settings: &Settings, folder: Option<PathBuf>) -> anyhow::Result<()> {
    let tls = &settings.file.tls;
    let (certificate, key) = match folder {
        Some(folder) => (folder.join("server.pem"), folder.join("server.key")),
        None => (tls.certificate.clone(), tls.key.clone()),
    };
    certs::make(&certificate, &key)?;
    say(&format!("wrote {} and {}, signed by ca.pem beside them", certificate.display(), key.display()))
}
