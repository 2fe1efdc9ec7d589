//! What the server knows of its own work, and the entries below `cn=monitor` that show it. Their
//! names and classes are OpenLDAP's, so that scripts that watch one server can watch the other.

use super::{message::Kind, ops::Call, rootdse::MadeUp};
use crate::{
    clock::{Clock, Timestamp},
    directory::Snapshot,
    dn::escape_value,
    provisioning::{State, TargetStatus},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub const MONITOR: &str = "cn=monitor";

/// Counts since the start, and the connections that are open.
pub struct Monitor {
    clock: Clock,
    started: Timestamp,
    connections: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    initiated: [AtomicU64; Kind::ALL.len()],
    completed: [AtomicU64; Kind::ALL.len()],
    entries: AtomicU64,
    /// Operations of each of the last seconds, by second.
    recent: Mutex<[(i64, u64); WINDOW]>,
}

/// Seconds that a rate is taken over.
const WINDOW: usize = 60;

/// One open connection.
pub struct Connection {
    number: u64,
    peer: String,
    since: Timestamp,
    received: AtomicU64,
    completed: AtomicU64,
    identity: Mutex<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor {
    pub fn new(clock: Clock) -> Self {
        Monitor {
            started: clock(),
            clock,
            connections: AtomicU64::new(0),
            open: Mutex::default(),
            initiated: Default::default(),
            completed: Default::default(),
            entries: AtomicU64::new(0),
            recent: Mutex::new([(0, 0); WINDOW]),
        }
    }

    pub fn connected(&self, peer: String) -> Arc<Connection> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            number,
            peer,
            since: (self.clock)(),
            received: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            identity: Mutex::default(),
        });
        lock(&self.open).insert(number, Arc::clone(&connection));
        connection
    }

    pub fn disconnected(&self, connection: &Connection) {
        lock(&self.open).remove(&connection.number);
    }

    /// Open connections that are bound under this name.
    pub fn bound_as(&self, dn: &str) -> usize {
        lock(&self.open).values().filter(|c| *lock(&c.identity) == *dn).count()
    }

    pub fn received(&self, connection: &Connection, kind: Kind) {
        connection.received.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.initiated.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn completed(&self, connection: &Connection, kind: Kind, entries: usize) {
        connection.completed.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        if let Some(count) = self.completed.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let now = (self.clock)().secs();
        if let Some((second, count)) = lock(&self.recent).get_mut(slot(now)) {
            *count = if *second == now { *count + 1 } else { 1 };
            *second = now;
        }
    }

    /// Operations of the last minute.
    fn in_last_minute(&self) -> u64 {
        let now = (self.clock)().secs();
        let fresh = |(second, _): &&(i64, u64)| now - *second < WINDOW as i64;
        lock(&self.recent).iter().filter(fresh).map(|(_, count)| count).sum()
    }
}

fn slot(second: i64) -> usize {
    second.rem_euclid(WINDOW as i64) as usize
}

impl Connection {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn bound_as(&self, dn: &str) {
        dn.clone_into(&mut lock(&self.identity));
    }
}

/// All entries of the monitor, superiors first.
pub fn entries(call: &Call, snapshot: &Snapshot) -> Vec<MadeUp> {
    let monitor = &call.shared.monitor;
    let mut tree = Tree { made: Vec::new() };
    let version = format!("Vestibule {}", env!("CARGO_PKG_VERSION"));
    tree.put(&[], "monitorServer", &[("monitoredInfo", version)]);
    tree.connections(monitor);
    tree.operations(monitor);
    tree.container("Statistics");
    tree.counter(&["Statistics", "Entries"], monitor.entries.load(Ordering::Relaxed));
    tree.container("Rates");
    let recent = monitor.in_last_minute();
    tree.counter(&["Rates", "Last Minute"], recent);
    let each = format!("{:.1} operations/s", recent as f64 / WINDOW as f64);
    tree.put(&["Rates", "Per Second"], "monitoredObject", &[("monitoredInfo", each)]);
    tree.container("Time");
    let now = (monitor.clock)();
    for (name, time) in [("Start", monitor.started), ("Current", now)] {
        tree.put(&["Time", name], "monitoredObject", &[("monitorTimestamp", time.generalized_time())]);
    }
    let uptime = (now.secs() - monitor.started.secs()).to_string();
    tree.put(&["Time", "Uptime"], "monitoredObject", &[("monitoredInfo", uptime)]);
    tree.store(call, snapshot);
    tree.container("Targets");
    for target in call.shared.options.provisioning.status() {
        let lines: Vec<(&str, String)> =
            target_lines(&target).into_iter().map(|line| ("monitoredInfo", line)).collect();
        tree.put(&["Targets", &target.name], "monitoredObject", &lines);
    }
    tree.made
}

/// The state of one export target, in lines of `name: value`.
fn target_lines(status: &TargetStatus) -> Vec<String> {
    let state = match &status.state {
        State::Running => "running",
        State::Stopped(why) => why,
    };
    let mut lines = vec![
        format!("kind: {}", status.kind),
        format!("state: {state}"),
        format!("cursor: {}", status.cursor),
        format!("lag: {}", status.lag),
        format!("pending: {}", status.pending),
        format!("failed: {}", status.failed),
        format!("quarantined: {}", status.quarantined),
        format!("staged: {}", status.staged),
        format!("linked: {}", status.linked),
    ];
    lines.extend(status.last_success.iter().map(|time| format!("last success: {time}")));
    lines
}

struct Tree {
    made: Vec<MadeUp>,
}

impl Tree {
    /// An entry by the values of `cn` on its way down from the monitor.
    fn put(&mut self, path: &[&str], class: &'static str, values: &[(&'static str, String)]) {
        let above: Vec<String> = path.iter().rev().map(|cn| format!("cn={},", escape_value(cn.as_bytes()))).collect();
        let cn = path.last().copied().unwrap_or("monitor").to_owned();
        let mut attributes = vec![("objectClass", class.to_owned()), ("cn", cn)];
        attributes.extend(values.iter().cloned());
        self.made.push(MadeUp { dn: format!("{}{MONITOR}", above.concat()), class, attributes });
    }

    fn container(&mut self, name: &str) {
        self.put(&[name], "monitorContainer", &[]);
    }

    fn counter(&mut self, path: &[&str], count: u64) {
        self.put(path, "monitorCounterObject", &[("monitorCounter", count.to_string())]);
    }

    fn connections(&mut self, monitor: &Monitor) {
        self.container("Connections");
        let open: Vec<Arc<Connection>> = lock(&monitor.open).values().cloned().collect();
        self.counter(&["Connections", "Total"], monitor.connections.load(Ordering::Relaxed));
        self.counter(&["Connections", "Current"], open.len() as u64);
        for one in open {
            let identity = lock(&one.identity).clone();
            let received = one.received.load(Ordering::Relaxed);
            let completed = one.completed.load(Ordering::Relaxed);
            let mut values = vec![
                ("monitorConnectionNumber", one.number.to_string()),
                ("monitorConnectionPeerAddress", one.peer.clone()),
                ("monitorConnectionStartTime", one.since.generalized_time()),
                ("monitorConnectionOpsReceived", received.to_string()),
                ("monitorConnectionOpsCompleted", completed.to_string()),
                ("monitorConnectionOpsExecuting", received.saturating_sub(completed).to_string()),
            ];
            if !identity.is_empty() {
                values.push(("monitorConnectionAuthzDN", identity));
            }
            self.put(&["Connections", &format!("Connection {}", one.number)], "monitorConnection", &values);
        }
    }

    fn operations(&mut self, monitor: &Monitor) {
        let sum = |counts: &[AtomicU64]| counts.iter().map(|c| c.load(Ordering::Relaxed)).sum::<u64>();
        let values = |initiated: u64, completed: u64| {
            [("monitorOpInitiated", initiated.to_string()), ("monitorOpCompleted", completed.to_string())]
        };
        self.put(&["Operations"], "monitorOperation", &values(sum(&monitor.initiated), sum(&monitor.completed)));
        for kind in Kind::ALL {
            let count = |counts: &[AtomicU64]| counts.get(kind as usize).map_or(0, |c| c.load(Ordering::Relaxed));
            let counts = values(count(&monitor.initiated), count(&monitor.completed));
            self.put(&["Operations", kind.title()], "monitorOperation", &counts);
        }
    }

    fn store(&mut self, call: &Call, snapshot: &Snapshot) {
        self.container("Store");
        self.counter(&["Store", "Entries"], snapshot.len() as u64);
        self.counter(&["Store", "Journal"], snapshot.head);
        let healthy = if call.shared.options.directory.is_healthy() { "TRUE" } else { "FALSE" };
        self.put(&["Store", "Healthy"], "monitoredObject", &[("monitoredInfo", healthy.to_owned())]);
    }
}
