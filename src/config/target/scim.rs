//! The keys of a target of kind `scim`.

use super::{Reading, address};
use crate::export::{
    ClientCertificate, Connection, Kind,
    scim::{self, ClientCredentials, Credentials, PatchForm, Profile, ProfileName, Removal, Remove, Update},
};
use serde::Deserialize;
use serde_yaml::Mapping;
use std::{path::PathBuf, time::Duration};
use url::Url;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScimFile {
    base_url: String,
    token_file: Option<PathBuf>,
    oauth: Option<OauthFile>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    proxy: Option<String>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default)]
    profile: ProfileName,
    // What follows overrides the profile.
    update: Option<Update>,
    patch: Option<PatchForm>,
    member_removal: Option<Removal>,
    member_chunk: Option<usize>,
    remove: Option<Remove>,
    put: Option<bool>,
    etag: Option<bool>,
    verify: Option<bool>,
    one_of_each: Option<bool>,
}

/// OAuth 2.0 client credentials (RFC 6749 section 4.4).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OauthFile {
    token_url: String,
    client_id: String,
    client_secret_file: PathBuf,
    scope: Option<String>,
}

fn timeout_ms() -> u64 {
    30_000
}

impl Reading<'_> {
    pub(super) fn scim(&mut self, own: Mapping) -> Option<Kind> {
        let file: ScimFile = self.read(own)?;
        let chunk = file.member_chunk.unwrap_or(1);
        self.above_zero(&[("timeout_ms", file.timeout_ms), ("member_chunk", chunk as u64)]);
        let connection = self.connection(&file);
        let credentials = self.credentials(&file);
        let profile = file.profile();
        let options = scim::Options { connection: connection?, credentials: credentials?, profile };
        Some(Kind::Scim(Box::new(options)))
    }

    fn connection(&mut self, file: &ScimFile) -> Option<Connection> {
        let base_url = self.note(address("base_url", &file.base_url, self.name));
        let client_certificate = match (&file.cert_file, &file.key_file) {
            (Some(cert), Some(key)) => Some(ClientCertificate { cert_file: self.path(cert), key_file: self.path(key) }),
            (None, None) => None,
            _ => {
                self.faults.push("cert_file: cert_file and key_file belong together".to_owned());
                None
            }
        };
        let proxy = file.proxy.as_ref().and_then(|text| self.note(proxy(text)));
        let ca_file = file.ca_file.as_ref().map(|ca| self.path(ca));
        let timeout = Duration::from_millis(file.timeout_ms);
        Some(Connection { base_url: base_url?, ca_file, client_certificate, proxy, timeout })
    }

    fn credentials(&mut self, file: &ScimFile) -> Option<Credentials> {
        match (&file.token_file, &file.oauth) {
            (Some(token), None) => Some(Credentials::Token { file: self.path(token) }),
            (None, Some(oauth)) => Some(Credentials::Client(ClientCredentials {
                token_url: self.note(address("oauth.token_url", &oauth.token_url, self.name))?,
                client_id: oauth.client_id.clone(),
                secret_file: self.path(&oauth.client_secret_file),
                scope: oauth.scope.clone(),
            })),
            _ => {
                self.faults.push("token_file: expected either token_file or oauth".to_owned());
                None
            }
        }
    }
}

impl ScimFile {
    fn profile(&self) -> Profile {
        let named = Profile::of(self.profile);
        Profile {
            update: self.update.unwrap_or(named.update),
            patch: self.patch.unwrap_or(named.patch),
            // Whoever wants PUT wants it for members, too.
            members: self.member_removal.unwrap_or(match self.update {
                Some(Update::Put) => Removal::Put,
                _ => named.members,
            }),
            remove: self.remove.unwrap_or(named.remove),
            chunk: self.member_chunk.unwrap_or(named.chunk),
            put: self.put.unwrap_or(named.put),
            etag: self.etag.unwrap_or(named.etag),
            verify: self.verify.unwrap_or(named.verify),
            one_of_each: self.one_of_each.unwrap_or(named.one_of_each),
            ..named
        }
    }
}

fn proxy(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("proxy: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("proxy: expected an http or https address".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("proxy: no user and no password".to_owned());
    }
    Ok(url)
}
