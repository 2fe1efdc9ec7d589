//! From settings to the options of the modules: schema, access rules, identities, targets.
//! `vestibule check` runs the same code as `serve`.

use super::{
    LimitsFor, SHIPPED_ACCESS, Settings,
    load::{parse, read},
};
use crate::{
    access::{Access, RuleDef, Who},
    auth,
    directory::{self, Groups, References, Relations, Structures, Unique, can_index, default_indexes},
    dn::{Dn, DnKey},
    export::TargetOptions,
    http,
    ldap::{Admin, AdminPassword, BoundsRule, Offered, Proxies, Sasl, tls},
    lifecycle::{self, Career},
    limits::Limits,
    schema::{LoadError, Schema, Sources},
};
use anyhow::{Context, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use smol_str::SmolStr;
use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Everything that the files say, checked and bound.
pub struct Built {
    pub suffix: Dn,
    pub schema: Arc<Schema>,
    pub access: Arc<Access>,
    pub identities: directory::Identities,
    pub career: Arc<Career>,
    pub relations: Relations,
    pub indexes: Vec<SmolStr>,
    pub targets: Vec<TargetOptions>,
    pub limits: Arc<Limits>,
    pub bounds: Vec<BoundsRule>,
    pub controls: Offered,
    pub version_2: bool,
    pub change_log: bool,
    pub anonymous: bool,
    pub require_tls_for_bind: bool,
    pub sasl: Sasl,
    pub sesame: http::Sesame,
    pub proxies: Proxies,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessFile {
    rules: Vec<RuleDef>,
}

impl Settings {
    /// Loads all files; every fault is reported, each with its file.
    pub fn build(&self) -> anyhow::Result<Built> {
        let file = &self.file;
        let suffix = Dn::parse(&file.suffix)
            .map_err(|e| anyhow!("{}: at suffix: '{}': {e}", self.origin.display(), file.suffix))?;
        if suffix.is_root() {
            bail!("{}: at suffix: it must not be empty", self.origin.display());
        }
        let schema = Arc::new(Schema::compile(&self.sources()?)?);
        let mut faults = Vec::new();
        let access = keep(self.access(&schema), &mut faults);
        let identities = keep(self.identities(&schema), &mut faults);
        let career = keep(self.career(&schema), &mut faults);
        let targets = keep(self.targets(&schema), &mut faults);
        let indexes = file.indexes.clone().unwrap_or_else(default_indexes);
        for name in &indexes {
            if !schema.attr_id(name).is_some_and(|id| can_index(id, &schema)) {
                let what = "is not a stored attribute type with an equality rule";
                faults.push(format!("{}: at indexes: '{name}' {what}", self.origin.display()));
            }
        }
        let bases = identities.as_ref().map_or(&[][..], |i| &i.bases);
        let relations = keep(self.relations(bases, &schema), &mut faults);
        let sesame = keep(self.sesame(bases, &schema), &mut faults);
        let controls = Offered::without(&file.ldap.controls_off).map_err(|name| {
            let what = "is not a control that this server knows";
            anyhow!("{}: at ldap.controls_off: '{name}' {what}", self.origin.display())
        });
        let controls = keep(controls, &mut faults);
        let bounds = keep(self.bounds(&schema), &mut faults);
        let sasl = Sasl::bind(&file.ldap.sasl, &file.suffix, &self.admin_dn(), &schema)
            .map_err(|what| anyhow!("{}: at ldap.sasl.{what}", self.origin.display()));
        let sasl = keep(sasl, &mut faults);
        let proxies = Proxies::parse(&file.listen.proxy_from).unwrap_or_else(|text| {
            let what = "is neither an address nor a network such as 10.0.0.0/8";
            faults.push(format!("{}: at listen.proxy_from: '{text}' {what}", self.origin.display()));
            Proxies::default()
        });
        if file.tls.client_required && file.tls.client_ca.is_none() {
            faults.push(format!("{}: at tls.client_required: it needs tls.client_ca", self.origin.display()));
        }
        match (access, identities, career, targets, controls, bounds, relations, sasl, sesame) {
            (
                Some(access),
                Some(identities),
                Some(career),
                Some(targets),
                Some(controls),
                Some(bounds),
                Some(relations),
                Some(sasl),
                Some(sesame),
            ) if faults.is_empty() => Ok(Built {
                suffix,
                schema,
                access: Arc::new(access),
                identities,
                career: Arc::new(career),
                relations,
                indexes,
                targets,
                limits: Arc::new(file.limits.clone()),
                bounds,
                controls,
                version_2: file.ldap.version_2,
                change_log: file.ldap.change_log,
                anonymous: file.ldap.anonymous,
                require_tls_for_bind: file.ldap.require_tls_for_bind,
                sasl,
                sesame,
                proxies,
            }),
            _ => Err(anyhow!(faults.join("\n"))),
        }
    }

    /// The texts of the schema and of the class rules, as they stand now.
    pub fn sources(&self) -> Result<Sources, LoadError> {
        self.sources_of(self.file.schemas.as_deref())
    }

    /// The same of another folder; none: those that the program was built with.
    pub fn sources_of(&self, folder: Option<&Path>) -> Result<Sources, LoadError> {
        let texts = folder.map_or_else(|| Ok(Sources::shipped()), Sources::folder)?;
        let identities = &self.file.identities;
        Ok(Sources { language: identities.language, cross_modes: identities.cross.clone(), ..texts })
    }

    fn access(&self, schema: &Schema) -> anyhow::Result<Access> {
        let (path, text) = match &self.file.access {
            Some(path) => (path.clone(), read(path)?),
            None => (PathBuf::from("access.yml"), SHIPPED_ACCESS.to_owned()),
        };
        let file: AccessFile = parse(&path, &text)?;
        Access::bind(&file.rules, &self.file.suffix, schema).map_err(|errors| {
            let lines = errors.iter().map(|e| format!("{}: {e}", path.display()));
            anyhow!(lines.collect::<Vec<_>>().join("\n"))
        })
    }

    /// The lifecycle files, read and bound.
    pub fn career(&self, schema: &Schema) -> anyhow::Result<Career> {
        let sources = match &self.file.lifecycle.folder {
            Some(folder) => lifecycle::Sources::folder(folder)?,
            None => lifecycle::Sources::shipped(),
        };
        Ok(Career::compile(&sources, schema)?)
    }

    /// How the HTTP front writes identities.
    fn sesame(&self, bases: &[DnKey], schema: &Schema) -> anyhow::Result<http::Sesame> {
        let file = &self.file;
        let fault = |key: &str, what: String| anyhow!("{}: at {key}: {what}", self.origin.display());
        let first = file.identities.bases.first().map(String::as_str).unwrap_or("{suffix}");
        let dn = file.http.dn.clone().unwrap_or_else(|| format!("uid={{uid}},{first}"));
        let dn = dn.replace("{suffix}", &file.suffix);
        let example = Dn::parse(&dn.replace("{uid}", "x")).map_err(|e| fault("http.dn", format!("'{dn}': {e}")))?;
        let key = schema.dn_key(&example);
        if !dn.contains("{uid}") || !(bases.is_empty() || bases.iter().any(|base| key.is_below(base))) {
            return Err(fault("http.dn", format!("'{dn}': expected a name with {{uid}} below identities.bases")));
        }
        let duplicates = http::Duplicates::bind(&file.identities.duplicates, schema).map_err(|name| {
            fault("identities.duplicates", format!("'{name}' is not an attribute that can be compared"))
        })?;
        Ok(http::Sesame { contract: file.http.contract, release: file.http.release, dn, duplicates })
    }

    fn bounds(&self, schema: &Schema) -> anyhow::Result<Vec<BoundsRule>> {
        let rule = |(at, def): (usize, &LimitsFor)| {
            let who = def.who.iter().map(|word| Who::parse(word, &self.file.suffix, schema)).collect::<Result<_, _>>();
            Ok(BoundsRule {
                who: who.map_err(|e| anyhow!("{}: at limits_for[{at}].who: {e}", self.origin.display()))?,
                identity_connections: def.identity_connections,
                search_entries: def.search_entries,
                search_secs: def.search_secs,
                search_candidates: def.search_candidates,
                page_entries: def.page_entries,
                in_flight: def.in_flight,
                idle_secs: def.idle_secs,
            })
        };
        self.file.limits_for.iter().enumerate().map(rule).collect()
    }

    fn identities(&self, schema: &Schema) -> anyhow::Result<directory::Identities> {
        let base = |text: &String| {
            let text = text.replace("{suffix}", &self.file.suffix);
            let dn = Dn::parse(&text)
                .map_err(|e| anyhow!("{}: at identities.bases: '{text}': {e}", self.origin.display()))?;
            Ok(schema.dn_key(&dn))
        };
        let bases = self.file.identities.bases.iter().map(base).collect::<anyhow::Result<_>>()?;
        Ok(directory::Identities { bases, release: self.file.identities.release, delete: self.file.identities.delete })
    }

    /// `bases` are those of the identities.
    fn relations(&self, bases: &[DnKey], schema: &Schema) -> anyhow::Result<Relations> {
        let file = &self.file;
        let fault = |key: &str, what: String| anyhow!("{}: at {key}: {what}", self.origin.display());
        Groups::bind(&file.groups, schema)
            .map_err(|name| fault("groups", format!("'{name}' is not an attribute type that names members")))?;
        Ok(Relations {
            groups: file.groups.clone(),
            references: References::bind(&file.references, &file.suffix, schema)
                .map_err(|what| fault("references", what))?,
            unique: Unique::bind(&file.unique, bases, &file.suffix, schema).map_err(|what| fault("unique", what))?,
            structures: Structures::bind(&file.structures, schema),
        })
    }

    /// One file `NAME.yml` each; a folder that is not there holds none.
    fn targets(&self, schema: &Schema) -> anyhow::Result<Vec<TargetOptions>> {
        let folder = &self.file.targets;
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut paths = Vec::new();
        for item in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = item.with_context(|| folder.display().to_string())?.path();
            // Maps of targets stand beside them.
            let is_map = path.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|e| e == "map"));
            if path.extension().is_some_and(|e| e == "yml") && !is_map {
                paths.push(path);
            }
        }
        paths.sort();
        let mut targets = Vec::new();
        let mut faults = Vec::new();
        for path in paths {
            let built = super::target::load(&path, &self.file.suffix, schema);
            if let Some(target) = keep(built, &mut faults) {
                targets.push(target);
            }
        }
        if faults.is_empty() { Ok(targets) } else { Err(anyhow!(faults.join("\n"))) }
    }

    fn admin_dn(&self) -> String {
        format!("cn=admin,{}", self.file.suffix)
    }

    /// Where TLS finds its certificates.
    pub fn tls_files(&self) -> tls::Files {
        let tls = &self.file.tls;
        tls::Files {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            client_ca: tls.client_ca.clone(),
            client_required: tls.client_required,
        }
    }

    /// The administrator: password from environment or file, else one that is made once and kept
    /// as a hash in the data folder. The second value is a password that was just made.
    pub fn admin(&self, schema: &Schema) -> anyhow::Result<(Admin, Option<SecretString>)> {
        let dn = self.admin_dn();
        let key = schema.dn_value_key(&dn).ok_or_else(|| anyhow!("'{dn}' is not a DN"))?;
        let given = match std::env::var("VESTIBULE_ADMIN_PASSWORD") {
            Ok(password) if !password.is_empty() => Some(SecretString::from(password)),
            _ => self.file.admin.password_file.as_deref().map(secret_file).transpose()?,
        };
        let (password, made) = match given {
            Some(password) => (AdminPassword::Given(password), None),
            None => {
                let kept = self.file.data.join("admin.hash");
                if kept.exists() {
                    (AdminPassword::Made(std::fs::read(&kept).with_context(|| kept.display().to_string())?), None)
                } else {
                    let password = auth::generate();
                    let hash = auth::hash(password.expose_secret().as_bytes())?;
                    write_private(&kept, &hash)?;
                    (AdminPassword::Made(hash), Some(password))
                }
            }
        };
        Ok((Admin { dn: SmolStr::new(dn), key, password }, made))
    }

    /// The token of the HTTP administration, made once into the data folder if none is given.
    pub fn token(&self) -> anyhow::Result<Token> {
        if let Ok(token) = std::env::var("VESTIBULE_ADMIN_TOKEN")
            && !token.is_empty()
        {
            return Ok(Token(SecretString::from(token)));
        }
        if let Some(path) = &self.file.admin.token_file {
            return secret_file(path).map(Token);
        }
        let path = self.file.data.join("admin.token");
        if !path.exists() {
            write_private(&path, auth::generate().expose_secret().as_bytes())?;
        }
        secret_file(&path).map(Token)
    }
}

/// A bearer token.
#[derive(Clone)]
pub struct Token(pub SecretString);

fn keep<T>(result: anyhow::Result<T>, faults: &mut Vec<String>) -> Option<T> {
    result.map_err(|e| faults.push(format!("{e:#}"))).ok()
}

/// The first line of a file.
pub fn secret_file(path: &Path) -> anyhow::Result<SecretString> {
    let text = read(path)?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => bail!("{}: expected a secret on the first line", path.display()),
    }
}

/// A new file that only its owner reads.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let create = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    create().with_context(|| path.display().to_string())
}
