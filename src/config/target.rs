//! `targets/NAME.yml`: one system that changes are exported to. The name of the file names the
//! target in logs, in the status and in the store.

use super::load::{parse, read};
use crate::{
    dn::Dn,
    export::{Backoff, Kind, Match, PRIVATE, Rules, Scope, Scopes, TargetOptions, scim},
    filter::{self, Filter},
    schema::Schema,
};
use anyhow::anyhow;
use serde::Deserialize;
use smol_str::SmolStr;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use url::{Host, Url};

/// The file of a target. Relative paths start at its folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFile {
    /// Chooses the protocol.
    #[expect(dead_code, reason = "there is one kind so far; reading it checks the word")]
    kind: KindName,
    #[serde(default = "yes")]
    enabled: bool,
    base_url: String,
    token_file: PathBuf,
    ca_file: Option<PathBuf>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "retry_min_ms")]
    retry_min_ms: u64,
    #[serde(default = "retry_max_ms")]
    retry_max_ms: u64,
    #[serde(default = "concurrency")]
    concurrency: usize,
    #[serde(default)]
    update: scim::Update,
    #[serde(default = "member_chunk")]
    member_chunk: usize,
    #[serde(default, rename = "match")]
    matching: Match,
    #[serde(default = "users")]
    users: ScopeFile,
    #[serde(default = "groups")]
    groups: ScopeFile,
    #[serde(default = "user_name")]
    user_name: SmolStr,
    #[serde(default = "yes")]
    enterprise: bool,
    #[serde(default)]
    private_attributes: Vec<SmolStr>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Scim,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    #[serde(default = "yes")]
    enabled: bool,
    /// Absent: the base of the kind.
    base: Option<String>,
    /// Absent: the class of the kind.
    filter: Option<String>,
}

fn yes() -> bool {
    true
}

fn timeout_ms() -> u64 {
    30_000
}

fn retry_min_ms() -> u64 {
    1_000
}

fn retry_max_ms() -> u64 {
    300_000
}

fn concurrency() -> usize {
    4
}

fn member_chunk() -> usize {
    100
}

fn user_name() -> SmolStr {
    SmolStr::new_static("uid")
}

fn users() -> ScopeFile {
    ScopeFile { enabled: true, base: None, filter: None }
}

fn groups() -> ScopeFile {
    users()
}

/// What a scope is without a word about it.
struct Standard {
    key: &'static str,
    base: &'static str,
    filter: &'static str,
}

const USERS: Standard = Standard { key: "users", base: "ou=people,{suffix}", filter: "(objectClass=inetOrgPerson)" };
const GROUPS: Standard = Standard { key: "groups", base: "ou=groups,{suffix}", filter: "(objectClass=groupOfNames)" };

/// Reads one file. The token is not read here: it may come, and change, while the server runs.
pub fn load(path: &Path, suffix: &str, schema: &Schema) -> anyhow::Result<TargetOptions> {
    let text = read(path)?;
    build(path, parse(path, &text)?, suffix, schema).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("{}: at {fault}", path.display())).collect();
        anyhow!(lines.join("\n"))
    })
}

fn build(path: &Path, file: TargetFile, suffix: &str, schema: &Schema) -> Result<TargetOptions, Vec<String>> {
    let mut faults = Vec::new();
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = SmolStr::new(path.file_stem().map(|s| s.to_string_lossy()).unwrap_or_default());
    if name.is_empty() {
        faults.push("file name: it names the target and may not be empty".to_owned());
    }
    let base_url = note(address(&file.base_url, &name), &mut faults);
    let users = note(scope(&file.users, &USERS, suffix, schema), &mut faults);
    let groups = note(scope(&file.groups, &GROUPS, suffix, schema), &mut faults);
    check_bounds(&file, &mut faults);
    if schema.attr_id(&file.user_name).is_none_or(|id| schema.is_secret(id)) {
        faults.push(format!("user_name: '{}' is not an attribute type of the schema", file.user_name));
    }
    for attr in &file.private_attributes {
        if !PRIVATE.iter().any(|known| known.eq_ignore_ascii_case(attr)) {
            faults.push(format!("private_attributes: '{attr}' is none of {}", PRIVATE.join(", ")));
        }
    }
    let (Some(base_url), Some(users), Some(groups), true) = (base_url, users, groups, faults.is_empty()) else {
        return Err(faults);
    };
    Ok(TargetOptions {
        name,
        enabled: file.enabled,
        kind: Kind::Scim(scim::Options {
            base_url,
            token_file: folder.join(&file.token_file),
            ca_file: file.ca_file.map(|ca| folder.join(ca)),
            timeout: Duration::from_millis(file.timeout_ms),
            update: file.update,
            chunk: file.member_chunk,
        }),
        scopes: Scopes { users, groups },
        rules: Rules {
            user_name: file.user_name,
            enterprise: file.enterprise,
            private: file.private_attributes.iter().map(|a| SmolStr::new(a.to_ascii_lowercase())).collect(),
        },
        matching: file.matching,
        backoff: Backoff {
            min: Duration::from_millis(file.retry_min_ms),
            max: Duration::from_millis(file.retry_max_ms),
        },
        concurrency: file.concurrency,
    })
}

fn note<T>(result: Result<T, String>, faults: &mut Vec<String>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn check_bounds(file: &TargetFile, faults: &mut Vec<String>) {
    for (key, value) in [
        ("timeout_ms", file.timeout_ms),
        ("retry_min_ms", file.retry_min_ms),
        ("concurrency", file.concurrency as u64),
        ("member_chunk", file.member_chunk as u64),
    ] {
        if value == 0 {
            faults.push(format!("{key}: must be above 0"));
        }
    }
    if file.retry_max_ms < file.retry_min_ms {
        faults.push("retry_max_ms: is below retry_min_ms".to_owned());
    }
}

fn address(text: &str, name: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("base_url: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("base_url: expected an http or https address".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("base_url: no query and no fragment".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url: no user and no password; the token goes into token_file".to_owned());
    }
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !local {
        tracing::warn!(export = name, "base_url is plain http: token and personal data can be read on the way");
    }
    Ok(url)
}

fn scope(file: &ScopeFile, standard: &Standard, suffix: &str, schema: &Schema) -> Result<Option<Scope>, String> {
    if !file.enabled {
        return Ok(None);
    }
    let key = standard.key;
    let base = file.base.as_deref().unwrap_or(standard.base).replace("{suffix}", suffix);
    let base = Dn::parse(&base).map_err(|e| format!("{key}.base: '{base}': {e}"))?;
    let text = file.filter.as_deref().unwrap_or(standard.filter);
    let ast = filter::parse(text).map_err(|e| format!("{key}.filter: {e}"))?;
    Ok(Some(Scope { base: schema.dn_key(&base), filter: Filter::bind(&ast, schema) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;

    fn built(text: &str) -> Result<TargetOptions, String> {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        let path = Path::new("/etc/v/targets/hr.yml");
        let file = parse(path, text).map_err(|e| e.to_string())?;
        build(path, file, "dc=example,dc=org", &schema).map_err(|faults| faults.join("\n"))
    }

    #[test]
    fn the_least_form_has_the_defaults() {
        let options = built("{kind: scim, base_url: 'https://h/scim/v2', token_file: hr.token}").unwrap();
        assert_eq!((options.name.as_str(), options.enabled, options.concurrency), ("hr", true, 4));
        assert_eq!(options.matching, Match::Verified);
        assert!(options.scopes.users.is_some() && options.scopes.groups.is_some());
        let Kind::Scim(scim) = options.kind else { panic!("scim was asked for") };
        assert_eq!(scim.token_file, Path::new("/etc/v/targets/hr.token"));
        assert_eq!((scim.update, scim.timeout), (scim::Update::Patch, Duration::from_secs(30)));
    }

    #[test]
    fn the_shipped_example_reads_and_is_off() {
        let options = built(include_str!("../../config/targets/example.yml")).unwrap();
        assert!(!options.enabled);
    }

    #[test]
    fn faults_name_their_key() {
        let least = "kind: scim\nbase_url: https://h\ntoken_file: t\n";
        for (more, expected) in [
            ("tokn: x", "unknown field `tokn`"),
            ("users: {bas: x}", "at users"),
            ("users: {filter: '(cn='}", "users.filter"),
            ("groups: {base: 'x'}", "groups.base"),
            ("retry_min_ms: 10\nretry_max_ms: 5", "retry_max_ms"),
            ("concurrency: 0", "concurrency"),
            ("match: sometimes", "at match"),
            ("user_name: userPassword", "user_name"),
            ("private_attributes: [mail]", "private_attributes"),
        ] {
            let fault = built(&format!("{least}{more}")).unwrap_err();
            assert!(fault.contains(expected), "{more}: {fault}");
        }
        for url in ["ldap://h", "https://u:p@h", "https://h?x=1", "nothing"] {
            let fault = built(&format!("kind: scim\nbase_url: '{url}'\ntoken_file: t\n")).unwrap_err();
            assert!(fault.contains("base_url"), "{url}: {fault}");
        }
        assert!(built("kind: csv\nbase_url: https://h\ntoken_file: t\n").unwrap_err().contains("at kind"));
    }
}
