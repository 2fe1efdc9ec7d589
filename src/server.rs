//! Wires the modules together, fills an empty store, waits for the signal, and stops in order:
//! listeners and sessions, exporters, the writer, the store.

use crate::{
    access::Identity,
    certs, clock,
    config::{Built, SHIPPED_DEMO, Settings},
    directory::{self, Directory, Op, Writer},
    dn::Dn,
    entry::ldif,
    export, http, ldap,
    provisioning::Provisioning,
    reload::Reload,
    store::{self, SledDisk},
    telemetry, timer,
};
use anyhow::{Context, anyhow, bail};
use secrecy::ExposeSecret;
use smol_str::SmolStr;
use std::{
    io::{IsTerminal, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs until SIGTERM or SIGINT; SIGHUP has files read again.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    // First of all: a stop that comes while we start must be an orderly one, too.
    let mut stopped = Signals::listen()?;
    raise_file_limit();
    let metrics = telemetry::metrics()?;
    let built = settings.build()?;
    let clock = clock::system();
    let (directory, writer) = open_directory(&settings, &built)?;
    let (admin, made) = settings.admin(&built.schema)?;
    let admin_dn = admin.dn.clone();
    let token = settings.token()?;
    certs::ensure(&settings.file.tls)?;
    let tls = Arc::new(ldap::tls::Tls::load(settings.tls_files())?);
    if directory.read().is_empty() {
        fill(&directory, &settings).await?;
    }

    let listen = &settings.file.listen;
    let ldap_socket = bind(listen.ldap, "ldap").await?;
    let ldaps_socket = bind(listen.ldaps, "ldaps").await?;
    let http_socket = bind(listen.http, "http").await?;
    let ldapi = listen.ldapi.as_deref().map(|path| bind_local(path, listen.ldapi_mode)).transpose()?;
    let (ldap_addr, ldaps_addr, http_addr) =
        (ldap_socket.local_addr()?, ldaps_socket.local_addr()?, http_socket.local_addr()?);

    let stop = CancellationToken::new();
    let exporters = Arc::new(export::start(
        Arc::clone(&directory),
        built.targets,
        Some(settings.file.data.clone()),
        Arc::clone(&clock),
        stop.child_token(),
    ));
    let provisioning: Arc<dyn Provisioning> = Arc::<export::Exporters>::clone(&exporters);
    let fronts = TaskTracker::new();
    let listeners = ldap::Listeners { ldap: Some(ldap_socket), ldaps: Some(ldaps_socket), ldapi };
    let options = ldap::Options {
        directory: Arc::clone(&directory),
        admin,
        tls: Some(Arc::clone(&tls)),
        limits: Arc::clone(&built.limits),
        clock: Arc::clone(&clock),
        provisioning: Arc::clone(&provisioning),
        bounds: built.bounds,
        controls: built.controls,
        version_2: built.version_2,
        change_log: built.change_log,
        anonymous: built.anonymous,
        require_tls_for_bind: built.require_tls_for_bind,
        sasl: built.sasl,
        proxies: built.proxies,
    };
    fronts.spawn(ldap::run(listeners, options, stop.clone()));
    fronts.spawn(telemetry::keep_metrics_small(metrics.clone(), stop.clone()));
    let reload =
        Arc::new(Reload { settings: settings.clone(), directory: Arc::clone(&directory), tls: Arc::clone(&tls) });
    let options = http::Options {
        directory: Arc::clone(&directory),
        stop: stop.clone(),
        clock: Arc::clone(&clock),
        token: token.0,
        actor: Identity::Admin { dn: admin_dn },
        sesame: built.sesame,
        numbering: Default::default(),
        sources: {
            let settings = settings.clone();
            Arc::new(move || settings.sources())
        },
        render_metrics: Arc::new(move || {
            metrics.run_upkeep();
            metrics.render()
        }),
        reload_lifecycle: {
            let reload = Arc::clone(&reload);
            Arc::new(move || {
                let reload = Arc::clone(&reload);
                Box::pin(async move { reload.lifecycle().await })
            })
        },
        provisioning,
    };
    fronts.spawn(timer::run(Arc::clone(&directory), settings.file.lifecycle.tick_secs, clock, stop.clone()));
    fronts.spawn(http::run(http_socket, options));
    fronts.close();

    announce(&format!("ready ldap={ldap_addr} ldaps={ldaps_addr} http={http_addr}"))?;
    if let Some(password) = made {
        eprintln_once(&format!(
            "administrator cn=admin,{}: password {}  (shown this once)",
            settings.file.suffix,
            password.expose_secret()
        ));
    }
    hint(&settings, ldap_addr);

    while let Wish::Reload = stopped.wait().await {
        reload.all().await;
    }
    tracing::info!("stopping");
    stop.cancel();
    // Twice the time that sessions get: what is still there then must not keep us from closing.
    let limit = std::time::Duration::from_secs(built.limits.shutdown_secs.saturating_mul(2));
    if tokio::time::timeout(limit, fronts.wait()).await.is_err() {
        tracing::warn!("a listener did not end in time");
    }
    exporters.stop().await;
    directory.close().await;
    tokio::task::spawn_blocking(move || writer.join()).await?;
    if let Some(path) = &settings.file.listen.ldapi {
        // A leftover socket is removed at the next start as well.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Opens the store of the settings and starts the writer.
pub fn open_directory(settings: &Settings, built: &Built) -> anyhow::Result<(Arc<Directory>, Writer)> {
    let folder = &settings.file.data;
    let disk = SledDisk::open(folder, &store::Options::new(uuid::Uuid::new_v4()))?;
    let options = directory::Options {
        suffix: built.suffix.clone(),
        schema: Arc::clone(&built.schema),
        access: Arc::clone(&built.access),
        identities: built.identities.clone(),
        career: Arc::clone(&built.career),
        relations: built.relations.clone(),
        indexes: built.indexes.clone(),
        targets: built.targets.iter().filter(|t| t.enabled).map(|t| t.name.clone()).collect(),
        limits: Arc::clone(&built.limits),
        clock: clock::system(),
    };
    match Directory::start(disk, options) {
        Ok(started) => Ok(started),
        // The operator, unlike a client, is told the cause.
        Err(directory::Error::Internal(cause)) => Err(anyhow!("{}: {cause}", folder.display())),
        Err(error) => Err(anyhow!("{}: {error}", folder.display())),
    }
}

/// The suffix entry, or the demonstration university in its place.
async fn fill(directory: &Directory, settings: &Settings) -> anyhow::Result<()> {
    let default_suffix = settings.file.suffix.eq_ignore_ascii_case(DEMO_SUFFIX);
    if settings.file.demo && default_suffix {
        return load_demo(directory).await;
    }
    if settings.file.demo {
        tracing::info!(suffix = settings.file.suffix, "the demonstration data is for {DEMO_SUFFIX}: starting empty");
    }
    add_suffix(directory).await
}

const DEMO_SUFFIX: &str = "dc=example,dc=org";

async fn load_demo(directory: &Directory) -> anyhow::Result<()> {
    let mut reader = ldif::Reader::new(SHIPPED_DEMO.as_bytes());
    let mut submitted = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.context("config/demo.ldif")?;
        let ldif::RecordKind::Add(attrs) = record.kind else { bail!("config/demo.ldif holds entries only") };
        let mut op = Op::Add { dn: Dn::parse(&record.dn)?, attrs };
        op.hash_secrets(&directory.read(), &directory.limits)?;
        submitted.push(async move {
            let outcome = directory.submit(&Identity::Server, op).await;
            outcome.with_context(|| format!("config/demo.ldif, {}", record.dn))
        });
    }
    let count = submitted.len();
    // All at once: the writer takes them in this order and commits them together.
    futures_util::future::try_join_all(submitted).await?;
    tracing::info!(entries = count, "loaded the demonstration data");
    Ok(())
}

/// An entry for the suffix, of the class that its RDN suggests.
pub async fn add_suffix(directory: &Directory) -> anyhow::Result<()> {
    let dn = directory.read().suffix.clone();
    let ava = dn.leaf().and_then(|rdn| rdn.avas().first().cloned()).ok_or_else(|| anyhow!("the suffix is empty"))?;
    let value = ava.value.to_vec();
    let classes: &[&str] = match ava.attr.to_ascii_lowercase().as_str() {
        "dc" => &["organization", "dcObject"],
        "o" => &["organization"],
        "ou" => &["organizationalUnit"],
        "c" => &["country"],
        "l" | "st" => &["locality"],
        other => bail!("a suffix that begins with '{other}' is not supported; expected dc, o, ou, c, l or st"),
    };
    let mut attrs =
        vec![(SmolStr::new_static("objectClass"), classes.iter().map(|c| c.as_bytes().to_vec()).collect::<Vec<_>>())];
    if classes.contains(&"dcObject") {
        attrs.push((SmolStr::new_static("o"), vec![value]));
    }
    directory.submit(&Identity::Server, Op::Add { dn, attrs }).await?;
    Ok(())
}

/// A connection is a file; the soft limit is often far below what the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

async fn bind(addr: std::net::SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr} for {what}"))
}

fn bind_local(path: &Path, mode: Option<u32>) -> anyhow::Result<UnixListener> {
    // The lock on the data folder says that no other server of ours uses it.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    if let Some(mode) = mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).with_context(|| path.display().to_string())?;
    }
    Ok(listener)
}

/// The contract's one line on stdout.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("stdout")
}

fn eprintln_once(line: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What to type next, for a person at a terminal.
fn hint(settings: &Settings, ldap: std::net::SocketAddr) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let suffix = &settings.file.suffix;
    let who = if settings.file.demo && suffix.eq_ignore_ascii_case(DEMO_SUFFIX) {
        format!("-D uid=amartin,ou=people,{suffix} -w demo-amartin-2026")
    } else {
        format!("-D cn=admin,{suffix} -W")
    };
    eprintln_once(&format!("try: ldapsearch -x -H ldap://{ldap} {who} -b {suffix} '(sn=martin)'"));
}

/// What a signal asks for.
enum Wish {
    Stop,
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP, caught from the moment this is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
