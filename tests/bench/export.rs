//! Measures the export: a first export against the bare rate of the same HTTP client, the latency of
//! writes beside ten targets, what a dead target costs, and the trim of a long journal.
//!
//!     cargo bench --bench export -- [PEOPLE] [RECORDS]
//!
//! The server is in this process and keeps nothing, so that ratios say what the exporter adds. Each
//! figure is taken beside its own yardstick, since times on shared machines mean little by themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::IntoResponse,
};
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vestibule::{
    access::{Access, Identity, RuleDef},
    clock,
    directory::{self, Directory, Identities, Op, Relations, Writer, default_indexes},
    dn::Dn,
    entry::ModKind,
    export::{
        self, Backoff, Connection, Exporters, GuardLimits, Kind, Leavers, Mapping, Match, Quarantine, Scope, Scopes,
        TargetOptions, scim,
    },
    filter::{self, Filter},
    lifecycle::Career,
    limits::Limits,
    provisioning::Provisioning,
    schema::{Schema, Sources},
    store::{self, RecordKey, SledDisk},
};

const SUFFIX: &str = "dc=example,dc=org";
const CONCURRENCY: usize = 16;
const TARGETS: usize = 10;
const WRITES: usize = 1000;
/// Writes come at this pace: the latency of a server that has nothing else to do is asked for.
const PACE: Duration = Duration::from_millis(10);
const DEAD_OBJECTS: usize = 1000;
/// Requests that the bare client repeats.
const RECORDED: usize = 3000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let people: usize = args.next().map_or(10_000, |a| a.parse().expect("PEOPLE is a number"));
    let records: usize = args.next().map_or(100_000, |a| a.parse().expect("RECORDS is a number"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{people} people, {records} journal records; exporter and server on the same 2 cores at most");
    for answer_ms in [0, 20] {
        first_export(people, Duration::from_millis(answer_ms)).await;
    }
    latency().await;
    dead_target(records).await;
    trim(records).await;
}

/// A server that takes everything, keeps nothing, and notes what it was asked.
#[derive(Clone, Default)]
struct Sink {
    noted: Arc<Noted>,
}

#[derive(Default)]
struct Noted {
    wait: Mutex<Duration>,
    ids: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    recorded: Mutex<Vec<(Method, String, Bytes)>>,
}

impl Sink {
    async fn start(wait: Duration) -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v2", listener.local_addr().unwrap());
        let sink = Sink::default();
        *sink.noted.wait.lock().unwrap() = wait;
        let router = Router::new().fallback(answer).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (sink, base_url)
    }
}

async fn answer(State(sink): State<Sink>, method: Method, uri: Uri, body: Bytes) -> impl IntoResponse {
    let noted = &sink.noted;
    noted.requests.fetch_add(1, Ordering::Relaxed);
    let now = noted.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    noted.most_in_flight.fetch_max(now, Ordering::Relaxed);
    let wait = {
        let mut recorded = noted.recorded.lock().unwrap();
        if recorded.len() < RECORDED {
            recorded.push((method.clone(), uri.to_string(), body));
        }
        *noted.wait.lock().unwrap()
    };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    noted.in_flight.fetch_sub(1, Ordering::Relaxed);
    let (status, body) = match method {
        Method::POST => (201, format!(r#"{{"id":"{}"}}"#, noted.ids.fetch_add(1, Ordering::Relaxed))),
        Method::GET => (200, r#"{"totalResults":0,"Resources":[]}"#.to_owned()),
        _ => (204, String::new()),
    };
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/scim+json")], body)
}

/// A directory on a disk of its own.
struct World {
    directory: Arc<Directory>,
    writer: Writer,
    folder: TempDir,
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::compile(&Sources::shipped()).unwrap())
}

impl World {
    async fn new(targets: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::write(folder.path().join("token"), "secret").unwrap();
        let schema = schema();
        let rule: RuleDef = serde_yaml::from_str("{name: all, who: [admin], rights: all}").unwrap();
        let options = directory::Options {
            suffix: Dn::parse(SUFFIX).unwrap(),
            access: Arc::new(Access::bind(&[rule], SUFFIX, &schema).unwrap()),
            career: Arc::new(Career::shipped(&schema).unwrap()),
            identities: Identities {
                bases: vec![schema.dn_key(&Dn::parse(&format!("ou=people,{SUFFIX}")).unwrap())],
                release: vestibule::lifecycle::Release::Automatic,
                ..Identities::default()
            },
            relations: Relations::default(),
            schema,
            indexes: default_indexes(),
            targets: targets.iter().map(|name| (*name).into()).collect(),
            limits: Arc::new(Limits { journal_keep: 100, ..Limits::default() }),
            clock: clock::system(),
        };
        let disk = SledDisk::open(&folder.path().join("data"), &store::Options::new(Uuid::from_u128(7))).unwrap();
        let (directory, writer) = Directory::start(disk, options).unwrap();
        let world = World { directory, writer, folder };
        world
            .submit(add(
                SUFFIX,
                &[("objectClass", "organization"), ("objectClass", "dcObject"), ("dc", "example"), ("o", "E")],
            ))
            .await;
        let people = format!("ou=people,{SUFFIX}");
        world.submit(add(&people, &[("objectClass", "organizationalUnit"), ("ou", "people")])).await;
        world
    }

    async fn submit(&self, op: Op) {
        submit(&self.directory, op).await;
    }

    /// With as many writes under way as one commit takes.
    async fn submit_all(&self, ops: impl Iterator<Item = Op>) {
        let mut under_way = JoinSet::new();
        for op in ops {
            if under_way.len() >= self.directory.limits.commit_batch {
                under_way.join_next().await.unwrap().unwrap();
            }
            let directory = Arc::clone(&self.directory);
            under_way.spawn(async move { submit(&directory, op).await });
        }
        while let Some(done) = under_way.join_next().await {
            done.unwrap();
        }
    }

    fn target(&self, name: &str, base_url: &str) -> TargetOptions {
        let schema = schema();
        let scope = |base: &str, text: &str| Scope {
            base: schema.dn_key(&Dn::parse(&format!("{base},{SUFFIX}")).unwrap()),
            filter: Filter::bind(&filter::parse(text).unwrap(), &schema),
        };
        let options = scim::Options {
            connection: Connection::new(base_url.parse().unwrap(), Duration::from_secs(30)),
            credentials: scim::Credentials::Token { file: self.folder.path().join("token") },
            profile: scim::Profile::of(scim::ProfileName::Rfc),
        };
        TargetOptions {
            name: name.into(),
            enabled: true,
            kind: Kind::Scim(Box::new(options)),
            scopes: Scopes {
                users: Some(scope("ou=people", "(objectClass=inetOrgPerson)")),
                groups: None,
                departments: None,
            },
            mapping: Arc::new(Mapping::default()),
            matching: Match::Verified,
            backoff: Backoff { min: Duration::from_millis(1000), max: Duration::from_secs(300) },
            concurrency: CONCURRENCY,
            rate_per_second: None,
            leavers: Leavers::default(),
            guard: GuardLimits::default(),
            quarantine: Quarantine::default(),
        }
    }

    fn export(&self, targets: Vec<TargetOptions>) -> Exporters {
        let stop = CancellationToken::new();
        export::start(Arc::clone(&self.directory), targets, None, clock::system(), stop)
    }

    async fn end(self, exporters: Option<Exporters>) {
        if let Some(exporters) = exporters {
            exporters.stop().await;
        }
        self.directory.close().await;
        let World { directory, writer, folder } = self;
        drop(directory);
        tokio::task::spawn_blocking(|| writer.join()).await.unwrap();
        drop(folder);
    }
}

async fn submit(directory: &Directory, op: Op) {
    directory.submit(&Identity::Admin { dn: "cn=admin".into() }, op).await.unwrap();
}

fn add(dn: &str, list: &[(&str, &str)]) -> Op {
    let mut attrs: Vec<(smol_str::SmolStr, Vec<Vec<u8>>)> = Vec::new();
    for (name, value) in list {
        match attrs.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.as_bytes().to_vec()),
            None => attrs.push(((*name).into(), vec![value.as_bytes().to_vec()])),
        }
    }
    Op::Add { dn: Dn::parse(dn).unwrap(), attrs }
}

fn uid(n: usize) -> String {
    format!("uid=p{n},ou=people,{SUFFIX}")
}

fn person(n: usize) -> Op {
    let (uid_value, cn, mail) = (format!("p{n}"), format!("Anne Martin {n}"), format!("anne.martin.{n}@example.org"));
    let list = [
        ("objectClass", "inetOrgPerson"),
        ("uid", uid_value.as_str()),
        ("cn", &cn),
        ("sn", "Martin"),
        ("givenName", "Anne"),
        ("displayName", &cn),
        ("mail", &mail),
        ("title", "Ingénieure"),
        ("telephoneNumber", "+33 3 53 01 10 00"),
        ("employeeNumber", &uid_value),
        ("departmentNumber", "D1"),
    ];
    add(&uid(n), &list)
}

fn retitle(n: usize, title: usize) -> Op {
    let changes = vec![(ModKind::Replace, "title".into(), vec![format!("Title {title}").into_bytes()])];
    Op::Modify { dn: Dn::parse(&uid(n)).unwrap(), changes }
}

async fn settled(exporters: &Exporters) {
    while !exporters.status().iter().all(|s| s.pending == 0 && s.lag == 0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn rss_mib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn folder_mib(folder: &Path) -> f64 {
    let sizes = std::fs::read_dir(folder).unwrap().flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_mib(&entry.path()),
        Ok(data) => data.len() as f64 / (1 << 20) as f64,
        Err(_) => 0.0,
    });
    sizes.sum()
}

async fn first_export(people: usize, wait: Duration) {
    let (sink, base_url) = Sink::start(wait).await;
    let world = World::new(&["t"]).await;
    world.submit_all((0..people).map(person)).await;
    let before = rss_mib();
    let began = Instant::now();
    let exporters = world.export(vec![world.target("t", &base_url)]);
    let mut peak = before;
    while !exporters.status().iter().all(|s| s.linked == people) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        peak = peak.max(rss_mib());
    }
    let secs = began.elapsed().as_secs_f64();
    settled(&exporters).await;
    let requests = sink.noted.requests.load(Ordering::Relaxed);
    let rate = requests as f64 / secs;
    let most = sink.noted.most_in_flight.load(Ordering::Relaxed);
    world.end(Some(exporters)).await;
    let bare = bare_rate(&sink, &base_url, requests.min(30_000)).await;
    println!("\nfirst export, a server that answers after {} ms", wait.as_millis());
    println!("  people a second                         {:12.1}", people as f64 / secs);
    println!("  requests a second                       {rate:12.1}");
    println!("  the bare client's requests a second     {bare:12.1}");
    println!("  ratio                                   {:12.2}", rate / bare);
    println!("  requests in flight at most (of {CONCURRENCY})       {most:12}");
    println!("  memory (RSS) before, at most, MiB       {before:12.1} {peak:.1}");
}

/// The same requests by the same client with the same concurrency, and nothing else.
async fn bare_rate(sink: &Sink, base_url: &str, requests: u64) -> f64 {
    let recorded = Arc::new(std::mem::take(&mut *sink.noted.recorded.lock().unwrap()));
    let origin = base_url.trim_end_matches("/v2").to_owned();
    let client = reqwest::Client::new();
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (recorded, client, next, origin) =
            (Arc::clone(&recorded), client.clone(), Arc::clone(&next), origin.clone());
        workers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= requests {
                    return;
                }
                let (method, uri, body) = &recorded[usize::try_from(n).unwrap() % recorded.len()];
                let request = client.request(method.clone(), format!("{origin}{uri}")).bearer_auth("secret");
                request.body(body.clone()).send().await.unwrap().bytes().await.unwrap();
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

/// Median and 99th percentile of writes at a steady pace, in ms.
async fn paced(world: &World, objects: usize) -> (f64, f64) {
    let mut took = Vec::with_capacity(WRITES);
    let mut ticks = tokio::time::interval(PACE);
    for n in 0..WRITES {
        ticks.tick().await;
        let began = Instant::now();
        world.submit(retitle(n % objects, n)).await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    (took[WRITES / 2], took[WRITES * 99 / 100])
}

async fn latency() {
    const OBJECTS: usize = 200;
    let (_sink, base_url) = Sink::start(Duration::from_millis(20)).await;
    let names: Vec<String> = (0..TARGETS).map(|n| format!("t{n}")).collect();
    let mut rows = Vec::new();
    for count in [0, TARGETS] {
        let named: Vec<&str> = names.iter().take(count).map(String::as_str).collect();
        let world = World::new(&named).await;
        world.submit_all((0..OBJECTS).map(person)).await;
        let exporters = world.export(named.iter().map(|name| world.target(name, &base_url)).collect());
        settled(&exporters).await;
        rows.push(paced(&world, OBJECTS).await);
        world.end(Some(exporters)).await;
    }
    println!("\nlatency of a durable write, {} a second", 1000 / PACE.as_millis());
    println!("  median, 99th percentile without targets, ms {:8.2} {:8.2}", rows[0].0, rows[0].1);
    println!("  with {TARGETS} targets                            {:8.2} {:8.2}", rows[1].0, rows[1].1);
    println!(
        "  ratio                                      {:8.2} {:8.2}",
        rows[1].0 / rows[0].0,
        rows[1].1 / rows[0].1
    );
}

async fn dead_target(changes: usize) {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut rows = Vec::new();
    for dead in [false, true] {
        let names: &[&str] = if dead { &["dead"] } else { &[] };
        let world = World::new(names).await;
        world.submit_all((0..DEAD_OBJECTS).map(person)).await;
        let base_url = format!("http://{gone}/v2");
        let exporters = world.export(names.iter().map(|name| world.target(name, &base_url)).collect());
        let began = Instant::now();
        world.submit_all((0..changes).map(|n| retitle(n % DEAD_OBJECTS, n))).await;
        let rate = changes as f64 / began.elapsed().as_secs_f64();
        let pending: usize = exporters.status().iter().map(|s| s.pending).sum();
        let head = *world.directory.head().borrow();
        let journal = head + 1 - world.directory.journal_start();
        let disk = folder_mib(&world.folder.path().join("data"));
        rows.push((rate, pending, journal, disk, rss_mib()));
        world.end(Some(exporters)).await;
    }
    println!("\n{changes} changes of {DEAD_OBJECTS} objects      without a target, with a dead one");
    println!("  writes a second                         {:12.1} {:12.1}", rows[0].0, rows[1].0);
    println!("  objects that wait                       {:12} {:12}", rows[0].1, rows[1].1);
    println!("  journal records kept                    {:12} {:12}", rows[0].2, rows[1].2);
    println!("  on disk, MiB                            {:12.1} {:12.1}", rows[0].3, rows[1].3);
    println!("  memory (RSS), MiB                       {:12.1} {:12.1}", rows[0].4, rows[1].4);
}

async fn trim(records: usize) {
    const OBJECTS: usize = 200;
    let world = World::new(&["t"]).await;
    world.submit_all((0..OBJECTS).map(person)).await;
    let quiet = paced(&world, OBJECTS).await;
    world.submit_all((0..records).map(|n| retitle(n % OBJECTS, n))).await;
    let head = *world.directory.head().borrow();
    let cursor = (RecordKey::Cursor("t".into()), Some(head.to_be_bytes().to_vec()));
    let began = Instant::now();
    world.directory.save_rows(vec![cursor]).await.unwrap();
    let start = world.directory.journal_start();
    let meanwhile = paced(&world, OBJECTS).await;
    while world.directory.journal_start() + 100 <= head {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let secs = began.elapsed().as_secs_f64();
    println!("\ntrim of {} journal records", head - start);
    println!("  seconds until the last was gone         {secs:12.1}");
    println!("  latency of writes before, ms            {:12.2} {:8.2}", quiet.0, quiet.1);
    println!("  latency of writes meanwhile, ms         {:12.2} {:8.2}", meanwhile.0, meanwhile.1);
    world.end(None).await;
}
