//! A directory on a disk in memory, its exporters, and how tests wait for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{Directory, Identities, Op, Options, Outcome, Relations, Writer, default_indexes},
    dn::{Dn, Rdn},
    entry::ModKind,
    export::{
        self, Backoff, Connection, Exporters, GuardLimits, Kind, Leavers, Mapping, Match, Quarantine, Scope, Scopes,
        TargetOptions, scim,
    },
    filter::{self, Filter},
    lifecycle::{Career, Release},
    limits::Limits,
    provisioning::{Provisioning, TargetStatus},
    schema::{Schema, Sources},
    store::{MemDisk, Platter},
};

pub const SUFFIX: &str = "dc=example,dc=org";
const STORE: Uuid = Uuid::from_u128(7);

pub struct World {
    pub directory: Arc<Directory>,
    pub exporters: Exporters,
    pub platter: Platter,
    writer: Writer,
}

pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::compile(&Sources::shipped()).unwrap())
}

pub fn dn(text: &str) -> Dn {
    Dn::parse(&format!("{text},{SUFFIX}")).unwrap()
}

pub fn person(uid: &str) -> Dn {
    dn(&format!("uid={uid},ou=people"))
}

fn attrs(list: &[(&str, &[&str])]) -> Vec<(smol_str::SmolStr, Vec<Vec<u8>>)> {
    list.iter().map(|(name, values)| ((*name).into(), values.iter().map(|v| v.as_bytes().to_vec()).collect())).collect()
}

impl World {
    /// An empty tree with places for people and groups.
    pub async fn new(targets: Vec<TargetOptions>) -> Self {
        Self::with_release(targets, Release::Automatic).await
    }

    pub async fn with_release(targets: Vec<TargetOptions>, release: Release) -> Self {
        let world = Self::open_with(Platter::new(), targets, release, Limits::default());
        world.plant().await;
        world
    }

    pub async fn with_limits(targets: Vec<TargetOptions>, limits: Limits) -> Self {
        let world = Self::open_with(Platter::new(), targets, Release::Automatic, limits);
        world.plant().await;
        world
    }

    async fn plant(&self) {
        let world = self;
        let top = Dn::parse(SUFFIX).unwrap();
        let class: &[&str] = &["organization", "dcObject"];
        world.add(top, &[("objectClass", class), ("dc", &["example"]), ("o", &["Example"])]).await;
        for ou in ["people", "groups", "elsewhere"] {
            world.add(dn(&format!("ou={ou}")), &[("objectClass", &["organizationalUnit"]), ("ou", &[ou])]).await;
        }
    }

    pub fn open(platter: Platter, targets: Vec<TargetOptions>) -> Self {
        Self::open_with(platter, targets, Release::Automatic, Limits::default())
    }

    fn open_with(platter: Platter, targets: Vec<TargetOptions>, release: Release, limits: Limits) -> Self {
        let schema = schema();
        let rule: RuleDef = serde_yaml::from_str("{name: all, who: [admin], rights: all}").unwrap();
        let suffix = Dn::parse(SUFFIX).unwrap();
        let options = Options {
            suffix: suffix.clone(),
            access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
            career: Arc::new(Career::shipped(&schema).unwrap()),
            identities: Identities {
                bases: ["ou=people", "ou=elsewhere"].map(|base| schema.dn_key(&dn(base))).to_vec(),
                release,
                ..Identities::default()
            },
            relations: Relations::default(),
            schema,
            indexes: default_indexes(),
            targets: targets.iter().map(|t| t.name.clone()).collect(),
            limits: Arc::new(Limits { shutdown_secs: 1, ..limits }),
            clock: clock::system(),
        };
        let disk = MemDisk::open(&platter, STORE).unwrap();
        let (directory, writer) = Directory::start(disk, options).unwrap();
        let stop = CancellationToken::new();
        let exporters = export::start(Arc::clone(&directory), targets, None, clock::system(), stop);
        World { directory, exporters, platter, writer }
    }

    /// Stops in good order; the platter is all that stays.
    pub async fn stop(self) -> Platter {
        self.exporters.stop().await;
        let World { directory, exporters, platter, writer } = self;
        drop((exporters, directory));
        tokio::task::spawn_blocking(|| writer.join()).await.unwrap();
        platter
    }

    pub async fn restart(self, targets: Vec<TargetOptions>) -> Self {
        let platter = self.stop().await;
        World::open(platter, targets)
    }

    async fn submit(&self, op: Op) -> Outcome {
        let admin = Identity::Admin { dn: "cn=admin".into() };
        self.directory.submit(&admin, op).await.unwrap()
    }

    pub async fn add(&self, dn: Dn, list: &[(&str, &[&str])]) -> Uuid {
        self.submit(Op::Add { dn, attrs: attrs(list) }).await.uuid
    }

    pub async fn add_person(&self, uid: &str, sn: &str) -> Uuid {
        let cn = format!("Anne {sn}");
        let class: &[&str] = &["inetOrgPerson"];
        self.add(person(uid), &[("objectClass", class), ("uid", &[uid]), ("cn", &[&cn]), ("sn", &[sn])]).await
    }

    pub async fn add_group(&self, cn: &str, members: &[&str]) -> Uuid {
        let names: Vec<String> = members.iter().map(|uid| person(uid).to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let class: &[&str] = &["groupOfNames"];
        self.add(dn(&format!("cn={cn},ou=groups")), &[("objectClass", class), ("cn", &[cn]), ("member", &names)]).await
    }

    pub async fn modify(&self, dn: Dn, kind: ModKind, attr: &str, values: &[&str]) -> Outcome {
        let values = values.iter().map(|v| v.as_bytes().to_vec()).collect();
        self.submit(Op::Modify { dn, changes: vec![(kind, attr.into(), values)] }).await
    }

    pub async fn replace(&self, dn: Dn, attr: &str, values: &[&str]) -> Outcome {
        self.modify(dn, ModKind::Replace, attr, values).await
    }

    pub async fn delete(&self, dn: Dn) {
        self.submit(Op::Delete { dn }).await;
    }

    pub async fn rename(&self, dn: Dn, new_rdn: &str, new_superior: Option<Dn>) {
        let new_rdn = Rdn::parse(new_rdn).unwrap();
        self.submit(Op::Rename { dn, new_rdn, delete_old: true, new_superior }).await;
    }

    pub fn status(&self) -> TargetStatus {
        self.exporters.status().remove(0)
    }

    /// The state of an identity, if it exists.
    pub fn state_of(&self, uuid: Uuid) -> Option<i32> {
        Some(self.directory.read().by_uuid(uuid)?.entry.operational.axes?.state)
    }

    /// Waits until every target has nothing left to do.
    pub async fn settled(&self) {
        self.until("all targets are settled", || {
            let all = self.exporters.status();
            all.iter().filter(|s| s.enabled).all(|s| s.pending == 0 && s.lag == 0)
        })
        .await;
    }

    pub async fn until(&self, what: &str, reached: impl Fn() -> bool) {
        wait_until(|| format!("{what}; status {:#?}", self.exporters.status()), reached).await;
    }

    /// People as (userName, familyName, active) by entryUUID, as the directory has them below ou=people.
    pub fn people(&self) -> BTreeMap<String, (String, String)> {
        let snapshot = self.directory.read();
        let known = &snapshot.schema.known;
        let people = snapshot.walk().filter(|n| n.entry.has_class(known.inet_org_person, &snapshot.schema));
        let text = |id, node: &vestibule::directory::Node| node.entry.text(id).unwrap_or_default().to_owned();
        people.map(|n| (n.entry.uuid.to_string(), (text(known.uid, n), text(known.sn, n)))).collect()
    }

    /// Groups as displayName and the entryUUIDs of their members, by entryUUID.
    pub fn groups(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let snapshot = self.directory.read();
        let member = snapshot.schema.attr_id("member").unwrap();
        let mut groups = BTreeMap::new();
        for node in snapshot.walk().filter(|n| n.entry.has(member)) {
            let uuid_of = |name: &[u8]| {
                let dn = Dn::parse(std::str::from_utf8(name).unwrap()).unwrap();
                Some(snapshot.find_dn(&dn)?.entry.uuid.to_string())
            };
            let members = node.entry.values(member).filter_map(uuid_of).collect();
            let cn = node.entry.text(snapshot.schema.known.cn).unwrap_or_default().to_owned();
            groups.insert(node.entry.uuid.to_string(), (cn, members));
        }
        groups
    }
}

/// Polls, within a limit.
pub async fn wait_until(what: impl Fn() -> String, reached: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < limit, "not within 20 s: {}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A target with short waits that wants everything.
pub fn target(name: &str, kind: Kind) -> TargetOptions {
    let schema = schema();
    let scope = |base: &str, text: &str| {
        Some(Scope { base: schema.dn_key(&dn(base)), filter: Filter::bind(&filter::parse(text).unwrap(), &schema) })
    };
    TargetOptions {
        name: name.into(),
        enabled: true,
        kind,
        scopes: Scopes {
            users: scope("ou=people", "(objectClass=inetOrgPerson)"),
            groups: scope("ou=groups", "(objectClass=groupOfNames)"),
            departments: None,
        },
        mapping: Arc::new(Mapping::default()),
        leavers: Leavers::default(),
        matching: Match::Verified,
        backoff: Backoff { min: Duration::from_millis(10), max: Duration::from_millis(50) },
        concurrency: 4,
        rate_per_second: None,
        guard: GuardLimits { removals: None, ..GuardLimits::default() },
        quarantine: Quarantine::default(),
    }
}

pub fn scim_target(base_url: &str, token_file: PathBuf) -> TargetOptions {
    let options = scim::Options {
        connection: Connection::new(Url::parse(base_url).unwrap(), Duration::from_secs(5)),
        credentials: scim::Credentials::Token { file: token_file },
        profile: scim::Profile { chunk: 2, ..scim::Profile::of(scim::ProfileName::Rfc) },
    };
    target("t", Kind::Scim(Box::new(options)))
}
