//! `targets/NAME.yml`: one system that changes are exported to. The name of the file names the
//! target in logs, in the status and in the store.
//!
//! The keys that every target has are read here; all others are those of its kind, which has a file of
//! its own beside this one.

mod drop;
mod four_me;
mod ldap;
mod mapping;
mod qmplus;
mod scim;

use super::load::{parse, read};
use crate::{
    dn::Dn,
    export::{
        Action, Anticipated, Backoff, GuardLimits, Kind, Leavers, Match, Quarantine, Scope, Scopes, TargetOptions,
        drop::Form, mapping::Map,
    },
    filter::{self, Filter},
    schema::Schema,
};
use anyhow::anyhow;
use serde::{Deserialize, de::DeserializeOwned};
use serde_yaml::{Mapping, Value};
use smol_str::SmolStr;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use url::Url;

/// The keys of every target. Relative paths start at the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TargetFile {
    enabled: bool,
    retry_min_ms: u64,
    retry_max_ms: u64,
    concurrency: usize,
    rate_per_second: Option<f64>,
    #[serde(rename = "match")]
    matching: Match,
    users: ScopeFile,
    groups: ScopeFile,
    departments: ScopeFile,
    user_name: Option<SmolStr>,
    enterprise: Option<bool>,
    supann_extension: Option<mapping::Extension>,
    private_attributes: Vec<SmolStr>,
    /// A file with a map; what stands under `map` goes over it.
    mapping: Option<PathBuf>,
    map: Map,
    leavers: LeaversFile,
    guard: GuardFile,
    quarantine: QuarantineFile,
}

/// The same, to tell them from those of the kind.
const EVERY: [&str; 18] = [
    "enabled",
    "retry_min_ms",
    "retry_max_ms",
    "concurrency",
    "rate_per_second",
    "match",
    "users",
    "groups",
    "departments",
    "user_name",
    "enterprise",
    "supann_extension",
    "private_attributes",
    "mapping",
    "map",
    "leavers",
    "guard",
    "quarantine",
];

impl Default for TargetFile {
    fn default() -> Self {
        TargetFile {
            enabled: true,
            retry_min_ms: 1_000,
            retry_max_ms: 300_000,
            concurrency: 4,
            rate_per_second: None,
            matching: Match::default(),
            users: ScopeFile::default(),
            groups: ScopeFile::default(),
            departments: ScopeFile::default(),
            user_name: None,
            enterprise: None,
            supann_extension: None,
            private_attributes: Vec::new(),
            mapping: None,
            map: Map::default(),
            leavers: LeaversFile::default(),
            guard: GuardFile::default(),
            quarantine: QuarantineFile::default(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScopeFile {
    /// Absent: as is usual for the kind.
    enabled: Option<bool>,
    /// Absent: the base of the resource.
    base: Option<String>,
    /// Absent: the class of the resource.
    filter: Option<String>,
}

/// What becomes of those who should not be there any more.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LeaversFile {
    action: Action,
    delete_after_days: Option<u64>,
    anticipated: Anticipated,
}

impl Default for LeaversFile {
    fn default() -> Self {
        LeaversFile {
            action: Action::default(),
            delete_after_days: Some(GRACE_DAYS),
            anticipated: Anticipated::default(),
        }
    }
}

/// As Entra has it.
const GRACE_DAYS: u64 = 30;

/// When removals wait for an approval.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GuardFile {
    enabled: bool,
    removals: usize,
    percent: usize,
    window_secs: u64,
}

impl Default for GuardFile {
    fn default() -> Self {
        let GuardLimits { removals, percent, window_secs } = GuardLimits::default();
        GuardFile { enabled: true, removals: removals.unwrap_or_default(), percent, window_secs }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuarantineFile {
    object_attempts: u32,
    object_wait_secs: u64,
    failures: u32,
    percent: u32,
    window_secs: u64,
    target_wait_secs: u64,
}

impl Default for QuarantineFile {
    fn default() -> Self {
        let usual = Quarantine::default();
        QuarantineFile {
            object_attempts: usual.object_attempts,
            object_wait_secs: usual.object_wait.as_secs(),
            failures: usual.failures,
            percent: usual.percent,
            window_secs: usual.window.as_secs(),
            target_wait_secs: usual.target_wait.as_secs(),
        }
    }
}

/// What a scope is without a word about it.
struct Standard {
    key: &'static str,
    base: &'static str,
    filter: &'static str,
    enabled: bool,
}

const USERS: Standard =
    Standard { key: "users", base: "ou=people,{suffix}", filter: "(objectClass=inetOrgPerson)", enabled: true };
const GROUPS: Standard =
    Standard { key: "groups", base: "ou=groups,{suffix}", filter: "(objectClass=groupOfNames)", enabled: true };
const DEPARTMENTS: Standard = Standard {
    key: "departments",
    base: "ou=structures,{suffix}",
    filter: "(objectClass=supannEntite)",
    enabled: false,
};

/// What the files of the kinds are read with.
struct Reading<'a> {
    name: &'a str,
    folder: &'a Path,
    suffix: &'a str,
    schema: &'a Schema,
    faults: Vec<String>,
}

/// Reads one file. Secrets are not read here: they may come, and change, while the server runs.
pub fn load(path: &Path, suffix: &str, schema: &Schema) -> anyhow::Result<TargetOptions> {
    let text = read(path)?;
    build(path, &text, suffix, schema).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("{}: at {fault}", path.display())).collect();
        anyhow!(lines.join("\n"))
    })
}

fn build(path: &Path, text: &str, suffix: &str, schema: &Schema) -> Result<TargetOptions, Vec<String>> {
    let keys: Mapping = parse(path, text).map_err(|fault| vec![format!("{fault:#}")])?;
    let (mut every, mut own): (Mapping, Mapping) =
        keys.into_iter().partition(|(key, _)| key.as_str().is_some_and(|key| EVERY.contains(&key)));
    let name = SmolStr::new(path.file_stem().map(|s| s.to_string_lossy()).unwrap_or_default());
    let mut reading =
        Reading { name: &name, folder: path.parent().unwrap_or(Path::new(".")), suffix, schema, faults: Vec::new() };
    let kind = reading.kind(&mut own, &mut every);
    let file: Option<TargetFile> = reading.read(every);
    let Some(file) = file else { return Err(reading.faults) };
    if name.is_empty() {
        reading.faults.push("file name: it names the target and may not be empty".to_owned());
    }
    let users = reading.note(scope(&file.users, &USERS, suffix, schema));
    let groups = reading.note(scope(&file.groups, &GROUPS, suffix, schema));
    let departments = reading.note(scope(&file.departments, &DEPARTMENTS, suffix, schema));
    check_bounds(&file, &mut reading.faults);
    let mapping = kind.as_ref().and_then(|kind| reading.mapping(&file, kind, schema));
    let (Some(kind), Some(users), Some(groups), Some(departments), Some(mapping), true) =
        (kind, users, groups, departments, mapping, reading.faults.is_empty())
    else {
        return Err(reading.faults);
    };
    let secs = Duration::from_secs;
    Ok(TargetOptions {
        enabled: file.enabled,
        kind,
        scopes: Scopes { users, groups, departments },
        mapping: Arc::new(mapping),
        matching: file.matching,
        backoff: Backoff {
            min: Duration::from_millis(file.retry_min_ms),
            max: Duration::from_millis(file.retry_max_ms),
        },
        concurrency: file.concurrency,
        rate_per_second: file.rate_per_second,
        leavers: Leavers {
            action: file.leavers.action,
            delete_after_secs: file.leavers.delete_after_days.map(|days| days.saturating_mul(DAY_SECS)),
            anticipated: file.leavers.anticipated,
        },
        guard: GuardLimits {
            removals: file.guard.enabled.then_some(file.guard.removals),
            percent: file.guard.percent,
            window_secs: file.guard.window_secs,
        },
        quarantine: Quarantine {
            object_attempts: file.quarantine.object_attempts,
            object_wait: secs(file.quarantine.object_wait_secs),
            failures: file.quarantine.failures,
            percent: file.quarantine.percent,
            window: secs(file.quarantine.window_secs),
            target_wait: secs(file.quarantine.target_wait_secs),
        },
        name,
    })
}

impl Reading<'_> {
    /// The options of the kind that the file names. `every` may be given what is usual for the kind.
    fn kind(&mut self, own: &mut Mapping, every: &mut Mapping) -> Option<Kind> {
        let kind = own.remove("kind");
        let own = std::mem::take(own);
        match kind.as_ref().and_then(Value::as_str) {
            Some("scim") => self.scim(own),
            Some("qmplus") => self.qmplus(own, every),
            Some("4me") => self.four_me(own, every),
            Some("ldif") => self.drop(own, Form::Ldif, every),
            Some("jsonl") => self.drop(own, Form::Jsonl, every),
            Some("csv") => self.drop(own, Form::Csv, every),
            Some("ldap") => self.ldap(own),
            Some(other) => {
                self.faults.push(format!("kind: unknown kind '{other}', expected one of: {}", KINDS.join(", ")));
                None
            }
            None => {
                self.faults.push(format!("kind: missing; expected one of: {}", KINDS.join(", ")));
                None
            }
        }
    }

    /// Puts a key that every target has to what is usual for the kind, unless the file says otherwise.
    fn usual(&self, every: &mut Mapping, key: &str, yaml: &str) {
        let Ok(usual) = serde_yaml::from_str::<Value>(yaml) else { return };
        match every.get_mut(key) {
            None => drop(every.insert(key.into(), usual)),
            // Of a scope, each part for itself.
            Some(Value::Mapping(said)) => {
                for (part, value) in usual.as_mapping().into_iter().flatten() {
                    if !said.contains_key(part) {
                        said.insert(part.clone(), value.clone());
                    }
                }
            }
            Some(_) => {}
        }
    }

    /// Some of the keys, strictly.
    fn read<T: DeserializeOwned>(&mut self, keys: Mapping) -> Option<T> {
        let read = serde_path_to_error::deserialize(Value::Mapping(keys));
        read.map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { String::new() } else { format!("{path}: ") };
            self.faults.push(format!("{place}{}", error.into_inner()));
        })
        .ok()
    }

    fn mapping(&mut self, file: &TargetFile, kind: &Kind, schema: &Schema) -> Option<crate::export::Mapping> {
        let path = file.mapping.as_deref().map(|path| self.path(path));
        let keys = mapping::Keys {
            user_name: file.user_name.as_ref(),
            enterprise: file.enterprise,
            supann: file.supann_extension,
            private: &file.private_attributes,
            file: path.as_deref(),
            map: &file.map,
        };
        keys.bind(kind, schema).map_err(|faults| self.faults.extend(faults)).ok()
    }

    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// Numbers that make no sense as 0.
    fn above_zero(&mut self, keys: &[(&str, u64)]) {
        for (key, _) in keys.iter().filter(|(_, value)| *value == 0) {
            self.faults.push(format!("{key}: must be above 0"));
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

const DAY_SECS: u64 = 24 * 60 * 60;

const KINDS: [&str; 7] = ["scim", "ldap", "qmplus", "4me", "ldif", "jsonl", "csv"];

fn check_bounds(file: &TargetFile, faults: &mut Vec<String>) {
    for (key, value) in [
        ("retry_min_ms", file.retry_min_ms),
        ("concurrency", file.concurrency as u64),
        ("guard.window_secs", file.guard.window_secs),
        ("quarantine.object_attempts", u64::from(file.quarantine.object_attempts)),
        ("quarantine.failures", u64::from(file.quarantine.failures)),
        ("quarantine.window_secs", file.quarantine.window_secs),
    ] {
        if value == 0 {
            faults.push(format!("{key}: must be above 0"));
        }
    }
    if file.rate_per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        faults.push("rate_per_second: must be above 0".to_owned());
    }
    if file.retry_max_ms < file.retry_min_ms {
        faults.push("retry_max_ms: is below retry_min_ms".to_owned());
    }
}

fn address(key: &str, text: &str, name: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{key}: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{key}: expected an http or https address"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{key}: no query and no fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{key}: no user and no password; secrets have files of their own"));
    }
    if url.scheme() == "http" && !is_local(&url) {
        tracing::warn!(export = name, key, "plain http: secrets and personal data can be read on the way");
    }
    Ok(url)
}

/// Whether nothing that is sent there leaves this machine.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn scope(file: &ScopeFile, standard: &Standard, suffix: &str, schema: &Schema) -> Result<Option<Scope>, String> {
    // Whoever says where departments are wants them.
    let is_said = file.base.is_some() || file.filter.is_some();
    if !file.enabled.unwrap_or(standard.enabled || is_said) {
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
    use crate::{export::scim, schema::Sources};

    pub fn built(text: &str) -> Result<TargetOptions, String> {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        let path = Path::new("/etc/v/targets/hr.yml");
        build(path, text, "dc=example,dc=org", &schema).map_err(|faults| faults.join("\n"))
    }

    #[test]
    fn the_least_form_has_the_defaults() {
        let options = built("{kind: scim, base_url: 'https://h/scim/v2', token_file: hr.token}").unwrap();
        assert_eq!((options.name.as_str(), options.enabled, options.concurrency), ("hr", true, 4));
        assert_eq!(options.matching, Match::Verified);
        assert!(options.scopes.users.is_some() && options.scopes.groups.is_some());
        let Kind::Scim(scim) = options.kind else { panic!("scim was asked for") };
        assert_eq!(scim.credentials, scim::Credentials::Token { file: "/etc/v/targets/hr.token".into() });
        assert_eq!((scim.profile.update, scim.connection.timeout), (scim::Update::Patch, Duration::from_secs(30)));
    }

    #[test]
    fn the_shipped_examples_of_other_kinds_read_and_are_off() {
        for (text, kind) in [
            (include_str!("../../../config/targets/example-qmplus.yml"), "qmplus"),
            (include_str!("../../../config/targets/example-4me.yml"), "4me"),
            (include_str!("../../../config/targets/example-files.yml"), "jsonl"),
        ] {
            let options = built(text).unwrap();
            assert!(!options.enabled, "{kind}");
            assert_eq!(options.concurrency, 1, "{kind}");
        }
    }

    #[test]
    fn faults_of_other_kinds_name_their_key() {
        let (qmplus, four_me) = (
            "kind: qmplus\nbase_url: https://h\ntenant: t\ntoken_file: t\n",
            "kind: 4me\nbase_url: https://h\naccount: a\ntoken_file: t\n",
        );
        for (text, expected) in [
            (format!("{qmplus}limits: {{operations: 10001}}"), "limits.operations"),
            (format!("{qmplus}limits: {{poll: 1}}"), "limits.poll: unknown field"),
            (format!("{qmplus}match_on_field: name"), "match_on_field: unknown variant"),
            (format!("{four_me}source: {}", "x".repeat(31)), "source"),
            ("kind: csv".to_owned(), "missing field `folder`"),
            ("kind: jsonl\nfolder: f\ncontent: full".to_owned(), "content: is for targets of kind csv"),
            ("kind: csv\nfolder: f\nmode: rw".to_owned(), "mode: expected"),
            ("kind: csv\nfolder: f\nbase: dc=x".to_owned(), "base: is for targets of kind ldif"),
        ] {
            let fault = built(&text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    #[test]
    fn the_shipped_example_reads_and_is_off() {
        let options = built(include_str!("../../../config/targets/example.yml")).unwrap();
        assert!(!options.enabled);
    }

    #[test]
    fn each_known_server_has_an_example() {
        use scim::{PatchForm, Profile, ProfileName, Removal, Remove};
        let examples = [
            (ProfileName::Qualytics, include_str!("../../../config/targets/examples/qualytics.yml")),
            (ProfileName::Entra, include_str!("../../../config/targets/examples/entra.yml")),
            (ProfileName::Aws, include_str!("../../../config/targets/examples/aws.yml")),
            (ProfileName::Slack, include_str!("../../../config/targets/examples/slack.yml")),
            (ProfileName::PutOnly, include_str!("../../../config/targets/examples/put-only.yml")),
        ];
        for (name, text) in examples {
            let options = built(text).unwrap_or_else(|fault| panic!("{name:?}: {fault}"));
            let Kind::Scim(scim) = options.kind else { panic!("scim was asked for") };
            assert_eq!(scim.profile, Profile::of(name));
        }
        let own = "kind: scim\nbase_url: https://h\ntoken_file: t\nprofile: aws\npatch: whole\nremove: deactivate\n";
        let Kind::Scim(scim) = built(own).unwrap().kind else { panic!("scim was asked for") };
        let expected = Profile { patch: PatchForm::Whole, remove: Remove::Deactivate, ..Profile::of(ProfileName::Aws) };
        assert_eq!((scim.profile.members, scim.profile), (Removal::Entra, expected));
    }

    #[test]
    fn faults_name_their_key() {
        let least = "kind: scim\nbase_url: https://h\ntoken_file: t\n";
        for (more, expected) in [
            ("tokn: x", "unknown field `tokn`"),
            ("users: {bas: x}", "users.bas: unknown field"),
            ("users: {filter: '(cn='}", "users.filter"),
            ("groups: {base: 'x'}", "groups.base"),
            ("retry_min_ms: 10\nretry_max_ms: 5", "retry_max_ms"),
            ("concurrency: 0", "concurrency"),
            ("timeout_ms: 0", "timeout_ms"),
            ("member_chunk: 0", "member_chunk"),
            ("profile: okta", "profile: unknown variant"),
            ("cert_file: a.pem", "cert_file and key_file belong together"),
            ("proxy: 'http://u:p@h'", "proxy: no user"),
            ("oauth: {token_url: 'https://h', client_id: c, client_secret_file: s}", "either token_file or oauth"),
            ("rate_per_second: 0", "rate_per_second"),
            ("guard: {removals: many}", "guard.removals"),
            ("quarantine: {failures: 0}", "quarantine.failures"),
            ("match: sometimes", "match: unknown variant"),
            ("user_name: userPassword", "map.users.userName: 'userPassword' is secret"),
            ("private_attributes: [mail]", "private_attributes"),
            ("leavers: {action: shoot}", "leavers.action: unknown variant"),
            ("mapping: none.map.yml", "mapping: /etc/v/targets/none.map.yml"),
            ("map: {users: {title: {frist_of: [cn]}}}", "map.users.title.frist_of: unknown field"),
            ("map: {users: {title: nosuch}}", "map.users.title: 'nosuch' is not an attribute type"),
        ] {
            let fault = built(&format!("{least}{more}")).unwrap_err();
            assert!(fault.contains(expected), "{more}: {fault}");
        }
        for url in ["ldap://h", "https://u:p@h", "https://h?x=1", "nothing"] {
            let fault = built(&format!("kind: scim\nbase_url: '{url}'\ntoken_file: t\n")).unwrap_err();
            assert!(fault.contains("base_url"), "{url}: {fault}");
        }
        assert!(built("kind: fax\nbase_url: https://h\ntoken_file: t\n").unwrap_err().contains("kind: unknown kind"));
    }
}
