//! The keys of a target of kind `ldap`.

use super::{Reading, is_local};
use crate::{
    dn::Dn,
    export::{
        Kind,
        ldap::{Access, BY_DN, Choice, Filters, Form, Login, Names, Options, References, Suffix},
    },
    filter,
};
use serde::Deserialize;
use serde_yaml::Mapping;
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};
use url::Url;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LdapFile {
    url: String,
    #[serde(default)]
    start_tls: bool,
    bind_dn: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    base: String,
    #[serde(default)]
    attributes: ChoiceFile,
    #[serde(default)]
    classes: ClassesFile,
    #[serde(default)]
    match_by: MatchByFile,
    #[serde(default)]
    filters: FiltersFile,
    key_attribute: Option<SmolStr>,
    #[serde(default = "id_attribute")]
    id_attribute: SmolStr,
    placeholder_member: Option<String>,
    #[serde(default)]
    references: References,
    #[serde(default = "yes")]
    create_parents: bool,
    /// Attributes with their values.
    #[serde(default)]
    inactive: BTreeMap<SmolStr, BTreeSet<String>>,
    #[serde(default = "value_chunk")]
    value_chunk: usize,
    #[serde(default = "page_size")]
    page_size: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChoiceFile {
    include: Option<BTreeSet<SmolStr>>,
    exclude: BTreeSet<SmolStr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClassesFile {
    include: Option<BTreeSet<SmolStr>>,
    exclude: BTreeSet<SmolStr>,
    rename: BTreeMap<SmolStr, SmolStr>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MatchByFile {
    users: SmolStr,
    groups: SmolStr,
    departments: SmolStr,
}

impl Default for MatchByFile {
    fn default() -> Self {
        let [users, groups, departments] = ["uid", "cn", BY_DN].map(SmolStr::new_static);
        MatchByFile { users, groups, departments }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FiltersFile {
    users: SmolStr,
    groups: SmolStr,
    departments: SmolStr,
}

impl Default for FiltersFile {
    fn default() -> Self {
        FiltersFile {
            users: SmolStr::new_static("(objectClass=person)"),
            groups: SmolStr::new_static("(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))"),
            departments: SmolStr::new_static("(objectClass=organizationalUnit)"),
        }
    }
}

fn yes() -> bool {
    true
}

fn timeout_ms() -> u64 {
    30_000
}

fn id_attribute() -> SmolStr {
    SmolStr::new_static("entryUUID")
}

fn value_chunk() -> usize {
    1_000
}

fn page_size() -> usize {
    500
}

impl Reading<'_> {
    pub(super) fn ldap(&mut self, own: Mapping) -> Option<Kind> {
        let file: LdapFile = self.read(own)?;
        self.above_zero(&[
            ("timeout_ms", file.timeout_ms),
            ("value_chunk", file.value_chunk as u64),
            ("page_size", file.page_size as u64),
        ]);
        let access = self.access(&file);
        let base = self.note(name("base", &file.base, self.suffix));
        // Nobody can be called so who would mind.
        let placeholder = file.placeholder_member.as_deref().unwrap_or("cn=nobody,{base}");
        let placeholder =
            self.note(name("placeholder_member", &placeholder.replace("{base}", &file.base), self.suffix));
        let local = self.note(name("suffix", self.suffix, self.suffix));
        for (key, attribute) in [("users", &file.match_by.users), ("groups", &file.match_by.groups)] {
            if attribute != BY_DN && self.schema.attr_id(attribute).is_none() {
                self.faults.push(format!("match_by.{key}: '{attribute}' is neither an attribute type nor dn"));
            }
        }
        if file.match_by.departments != BY_DN && self.schema.attr_id(&file.match_by.departments).is_none() {
            self.faults.push("match_by.departments: is neither an attribute type nor dn".to_owned());
        }
        let FiltersFile { users, groups, departments } = file.filters;
        for (key, text) in [("users", &users), ("groups", &groups), ("departments", &departments)] {
            if let Err(fault) = filter::parse(text) {
                self.faults.push(format!("filters.{key}: {fault}"));
            }
        }
        for attribute in file.inactive.iter().filter(|(_, values)| values.is_empty()).map(|(name, _)| name) {
            self.faults.push(format!("inactive.{attribute}: expected a list of values"));
        }
        let (access, base, placeholder, local) = (access?, base?, placeholder?, local?);
        Some(Kind::Ldap(Box::new(Options {
            access,
            form: Form {
                suffix: Suffix::new(&local, base, self.schema),
                attributes: choice(file.attributes.include, file.attributes.exclude),
                classes: choice(file.classes.include, file.classes.exclude),
                renamed_classes: file.classes.rename.into_iter().map(|(from, to)| (small(&from), to)).collect(),
                names: Names {
                    users: file.match_by.users,
                    groups: file.match_by.groups,
                    departments: file.match_by.departments,
                },
                filters: Filters { users, groups, departments },
                key: file.key_attribute,
                placeholder,
                references: file.references,
                inactive: file.inactive,
            },
            id_attribute: file.id_attribute,
            create_parents: file.create_parents,
            chunk: file.value_chunk,
            page: file.page_size,
        })))
    }

    fn access(&mut self, file: &LdapFile) -> Option<Access> {
        let url = self.note(server(&file.url))?;
        let secure = url.scheme() == "ldaps" || file.start_tls;
        if url.scheme() == "ldaps" && file.start_tls {
            self.faults.push("start_tls: is for ldap:// addresses; ldaps:// is TLS from the start".to_owned());
        }
        let client = match (&file.client_certificate, &file.client_key) {
            (Some(certificate), Some(key)) => Some((self.path(certificate), self.path(key))),
            (None, None) => None,
            _ => {
                self.faults.push("client_certificate: comes together with client_key".to_owned());
                return None;
            }
        };
        if client.is_some() && file.ca_file.is_none() {
            self.faults.push("ca_file: is needed with a client_certificate".to_owned());
        }
        let login = match (&file.bind_dn, &file.password_file) {
            (Some(dn), Some(password)) => {
                let dn = self.note(name("bind_dn", dn, self.suffix))?.to_string();
                if !secure && !is_local(&url) {
                    tracing::warn!(
                        export = self.name,
                        "url is plain ldap: password and personal data can be read on the way"
                    );
                }
                Login::Simple { dn, password_file: self.path(password) }
            }
            (None, None) if client.is_some() => Login::External,
            _ => {
                self.faults.push("bind_dn: expected bind_dn with password_file, or a client_certificate".to_owned());
                return None;
            }
        };
        Some(Access {
            url: url.to_string(),
            start_tls: file.start_tls,
            login,
            ca_file: file.ca_file.as_ref().map(|file| self.path(file)),
            client,
            timeout: Duration::from_millis(file.timeout_ms),
        })
    }
}

fn server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("url: {e}"))?;
    let plain = url.host().is_some() && matches!(url.path(), "" | "/") && url.query().is_none();
    if !matches!(url.scheme(), "ldap" | "ldaps") || !plain || !url.username().is_empty() {
        return Err("url: expected ldap://host:port or ldaps://host:port".to_owned());
    }
    Ok(url)
}

/// A name in the file, in which `{suffix}` is ours.
pub(super) fn name(key: &str, text: &str, suffix: &str) -> Result<Dn, String> {
    let text = text.replace("{suffix}", suffix);
    match Dn::parse(&text) {
        Ok(dn) if !dn.is_root() => Ok(dn),
        Ok(_) => Err(format!("{key}: expected a name, not the empty one")),
        Err(fault) => Err(format!("{key}: '{text}': {fault}")),
    }
}

fn choice(include: Option<BTreeSet<SmolStr>>, exclude: BTreeSet<SmolStr>) -> Choice {
    let lower = |names: BTreeSet<SmolStr>| names.iter().map(|name| small(name)).collect();
    Choice { include: include.map(lower), exclude: lower(exclude) }
}

fn small(name: &str) -> SmolStr {
    SmolStr::new(name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::tests::built;
    use super::*;

    const LEAST: &str =
        "kind: ldap\nurl: ldap://127.0.0.1\nbind_dn: cn=v,dc=down\npassword_file: v.password\nbase: dc=down\n";

    fn options(text: &str) -> Options {
        let Kind::Ldap(options) = built(text).unwrap().kind else { panic!("ldap was asked for") };
        *options
    }

    #[test]
    fn the_least_form_has_the_defaults() {
        let Options { access, form, id_attribute, create_parents, .. } = options(LEAST);
        assert_eq!(form.placeholder.to_string(), "cn=nobody,dc=down");
        assert_eq!((form.names.users.as_str(), form.names.departments.as_str()), ("uid", "dn"));
        assert_eq!((id_attribute.as_str(), create_parents), ("entryUUID", true));
        assert!(form.attributes.takes("cn;lang-fr") && form.key.is_none());
        let Login::Simple { password_file, .. } = access.login else { panic!("a simple bind was asked for") };
        assert_eq!(password_file, std::path::Path::new("/etc/v/targets/v.password"));
    }

    #[test]
    fn choices_are_without_case() {
        let Options { form, .. } = options(&format!(
            "{LEAST}attributes: {{exclude: [jpegPhoto]}}\nclasses: {{include: [Person], rename: {{Person: account}}}}\n"
        ));
        assert!(!form.attributes.takes("JPEGPHOTO") && form.attributes.takes("cn"));
        assert!(form.classes.takes("person") && !form.classes.takes("inetOrgPerson"));
        assert_eq!(form.renamed_classes.get("person").map(SmolStr::as_str), Some("account"));
    }

    #[test]
    fn faults_name_their_key() {
        for (more, expected) in [
            ("url: http://h", "url"),
            ("url: ldap://h/dc=x", "url"),
            ("url: ldaps://h\nstart_tls: true", "start_tls"),
            ("base: nothing", "base"),
            ("base: ''", "base"),
            ("bind_dn: x", "bind_dn"),
            ("client_key: k", "client_certificate"),
            ("match_by: {users: nothing}", "match_by.users"),
            ("filters: {users: '(cn='}", "filters.users"),
            ("inactive: {description: []}", "inactive.description"),
            ("value_chunk: 0", "value_chunk"),
            ("references: some", "references"),
            ("pasword_file: x", "unknown field `pasword_file`"),
        ] {
            let mut keys: Mapping = serde_yaml::from_str(LEAST).unwrap();
            keys.extend(serde_yaml::from_str::<Mapping>(more).unwrap());
            let fault = built(&serde_yaml::to_string(&keys).unwrap()).unwrap_err();
            assert!(fault.contains(expected), "{more}: {fault}");
        }
    }

    #[test]
    fn the_shipped_example_reads_and_is_off() {
        assert!(!built(include_str!("../../../config/targets/example-ldap.yml")).unwrap().enabled);
    }
}
