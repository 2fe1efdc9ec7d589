//! Fills a directory and measures it from outside, as clients see it: durable adds, indexed
//! searches and binds per second, CPU time of the server per operation, memory.
//!
//!     cargo bench --bench load -- [ENTRIES] [CONNECTIONS] [SEARCHES]
//!
//! Where `slapd` is installed the same load goes to it in the same run, and each figure is also
//! given as a ratio: times on shared machines mean little by themselves. Neither server writes a
//! line for each operation; `VESTIBULE_LOG=info` measures ours as it runs by default.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use bytes::BytesMut;
use ldap3_proto::{LdapCodec, proto::*};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::codec::{Decoder, Encoder};

const SUFFIX: &str = "dc=example,dc=org";
const PASSWORD: &str = "bench-secret";
const USERS_WITH_PASSWORD: usize = 32;

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let entries: usize = args.next().map_or(100_000, |a| a.parse().expect("ENTRIES is a number"));
    let connections: usize = args.next().map_or(64, |a| a.parse().expect("CONNECTIONS is a number"));
    let searches: usize = args.next().map_or(100_000, |a| a.parse().expect("SEARCHES is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("{entries} entries, {connections} connections, server and client on the same {} cores", cores());
    let ours = runtime.block_on(measure(Server::vestibule(), entries, connections, searches));
    ours.print("vestibule", None);
    if Path::new("/usr/sbin/slapd").exists() {
        let peer = runtime.block_on(measure(Server::slapd(), entries, connections, searches));
        peer.print("slapd (mdb)", None);
        ours.print("ratio vestibule / slapd", Some(&peer));
    } else {
        println!("slapd is not installed: no ratios");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[derive(Default)]
struct Figures {
    adds: f64,
    add_cpu_us: f64,
    searches: f64,
    search_cpu_us: f64,
    binds: f64,
    bind_cpu_us: f64,
    rss_mib: f64,
}

impl Figures {
    fn print(&self, title: &str, peer: Option<&Figures>) {
        println!("\n{title}");
        let row = |name: &str, ours: f64, theirs: f64| match peer {
            None => println!("  {name:44} {ours:12.1}"),
            Some(_) => println!("  {name:44} {:12.2}", ours / theirs),
        };
        let p = peer.unwrap_or(self);
        row("durable adds a second", self.adds, p.adds);
        row("  CPU of the server, us an add", self.add_cpu_us, p.add_cpu_us);
        row("indexed searches a second", self.searches, p.searches);
        row("  CPU of the server, us a search", self.search_cpu_us, p.search_cpu_us);
        row("binds a second (argon2id here, SSHA in slapd)", self.binds, p.binds);
        row("  CPU of the server, us a bind", self.bind_cpu_us, p.bind_cpu_us);
        row("memory (RSS), MiB", self.rss_mib, p.rss_mib);
    }
}

struct Server {
    child: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn vestibule() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let data = folder.path().join("data");
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "--no-demo", "--ldap", any, "--ldaps", any, "--http", any])
            .arg("--data")
            .arg(&data)
            .arg("--targets")
            .arg(folder.path().join("targets"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("VESTIBULE_ADMIN_PASSWORD", PASSWORD)
            .env("VESTIBULE_LOG", std::env::var("VESTIBULE_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.split("ldap=").nth(1).and_then(|r| r.split(' ').next()).expect("the ready line");
        Server { addr: addr.parse().unwrap(), child, _folder: folder }
    }

    fn slapd() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().display();
        std::fs::create_dir(folder.path().join("db")).unwrap();
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             pidfile {path}/pid\nloglevel 0\ndatabase mdb\nmaxsize 4294967296\nsuffix {SUFFIX}\nrootdn cn=admin,{SUFFIX}\n\
             rootpw {PASSWORD}\ndirectory {path}/db\nindex objectClass,uid,cn,sn,mail,givenName,employeeNumber eq\n"
        );
        let file = folder.path().join("slapd.conf");
        std::fs::write(&file, config).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let addr: SocketAddr = ([127, 0, 0, 1], port).into();
        let child = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-h", &format!("ldap://{addr}"), "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < until, "slapd did not start");
            std::thread::yield_now();
        }
        Server { child, addr, _folder: folder }
    }

    /// User and system time so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn rss_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

async fn measure(server: Server, entries: usize, connections: usize, searches: usize) -> Figures {
    let mut figures = Figures::default();
    let mut admin = Connection::open(server.addr).await;
    admin.bind(&format!("cn=admin,{SUFFIX}"), PASSWORD).await;
    // slapd starts without its suffix entry.
    admin
        .call(add(
            SUFFIX.to_owned(),
            &[("objectClass", "organization"), ("objectClass", "dcObject"), ("o", "x"), ("dc", "example")],
        ))
        .await;
    admin.call(add(format!("ou=people,{SUFFIX}"), &[("objectClass", "organizationalUnit"), ("ou", "people")])).await;

    let (count, wall, cpu) = phase(&server, connections, entries, |mut connection, numbers| async move {
        connection.bind(&format!("cn=admin,{SUFFIX}"), PASSWORD).await;
        for n in numbers {
            assert_eq!(connection.call(person(n)).await, 0, "add {n}");
        }
    })
    .await;
    figures.adds = count / wall;
    figures.add_cpu_us = cpu / count;
    figures.rss_mib = server.rss_mib();

    let (count, wall, cpu) = phase(&server, 16, searches, move |mut connection, numbers| async move {
        connection.bind(&format!("cn=admin,{SUFFIX}"), PASSWORD).await;
        for n in numbers {
            // A stride that is prime to the number of entries visits them all in no order.
            assert_eq!(connection.call(search(n.wrapping_mul(7919) % entries)).await, 0);
        }
    })
    .await;
    figures.searches = count / wall;
    figures.search_cpu_us = cpu / count;

    for n in 0..USERS_WITH_PASSWORD {
        assert_eq!(admin.call(user(n)).await, 0);
    }
    let (count, wall, cpu) = phase(&server, 4, 400, |mut connection, numbers| async move {
        for n in numbers {
            let n = n % USERS_WITH_PASSWORD;
            connection.bind(&format!("uid=user{n},ou=people,{SUFFIX}"), &format!("password-{n}")).await;
        }
    })
    .await;
    figures.binds = count / wall;
    figures.bind_cpu_us = cpu / count;
    figures
}

/// Splits `total` operations over connections; gives count, seconds, and CPU microseconds.
async fn phase<F, R>(server: &Server, connections: usize, total: usize, work: F) -> (f64, f64, f64)
where
    F: Fn(Connection, std::iter::StepBy<std::ops::Range<usize>>) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(server.addr).await);
    }
    let (cpu, start) = (server.cpu(), Instant::now());
    let tasks: Vec<_> = open
        .into_iter()
        .enumerate()
        .map(|(i, connection)| tokio::spawn(work(connection, (i..total).step_by(connections))))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let wall = start.elapsed().as_secs_f64();
    (total as f64, wall, (server.cpu() - cpu).as_secs_f64() * 1e6)
}

struct Connection {
    socket: TcpStream,
    codec: LdapCodec,
    input: BytesMut,
    output: BytesMut,
    id: i32,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let codec = LdapCodec::new(Some(1 << 20), None);
        Connection { socket, codec, input: BytesMut::new(), output: BytesMut::new(), id: 0 }
    }

    /// Sends one request and waits for its result.
    async fn call(&mut self, op: LdapOp) -> i64 {
        self.id += 1;
        self.codec.encode(LdapMsg { msgid: self.id, op, ctrl: vec![] }, &mut self.output).unwrap();
        self.socket.write_all(&self.output).await.unwrap();
        self.output.clear();
        loop {
            match self.codec.decode(&mut self.input).unwrap() {
                Some(LdapMsg { op: LdapOp::SearchResultEntry(_), .. }) => {}
                Some(LdapMsg { op: LdapOp::BindResponse(r), .. }) => return r.res.code as i64,
                Some(LdapMsg { op: LdapOp::AddResponse(r) | LdapOp::SearchResultDone(r), .. }) => return r.code as i64,
                Some(other) => panic!("{other:?}"),
                None => assert!(
                    self.socket.read_buf(&mut self.input).await.unwrap() > 0,
                    "the server closed the connection"
                ),
            }
        }
    }

    async fn bind(&mut self, dn: &str, password: &str) {
        let cred = LdapBindCred::Simple(password.to_owned());
        let op = LdapOp::BindRequest(LdapBindRequest { version: 3, dn: dn.to_owned(), cred });
        assert_eq!(self.call(op).await, 0, "bind {dn}");
    }
}

fn add(dn: String, values: &[(&str, &str)]) -> LdapOp {
    let mut attributes: Vec<LdapAttribute> = Vec::new();
    for (name, value) in values {
        match attributes.iter_mut().find(|a| a.atype == *name) {
            Some(held) => held.vals.push(value.as_bytes().to_vec()),
            None => attributes.push(LdapAttribute { atype: (*name).to_owned(), vals: vec![value.as_bytes().to_vec()] }),
        }
    }
    LdapOp::AddRequest(LdapAddRequest { dn, attributes })
}

fn person(n: usize) -> LdapOp {
    let (cn, mail) = (format!("Person Number {n}"), format!("person.{n}@univ.example"));
    let (sn, given) = (format!("Surname{}", n % 5000), format!("Given{}", n % 700));
    let (number, phone) = (format!("{n:08}"), format!("+33 1 23 45 {:02} {:02}", n % 100, n / 100 % 100));
    let uid = format!("p{n}");
    add(
        format!("uid={uid},ou=people,{SUFFIX}"),
        &[
            ("objectClass", "inetOrgPerson"),
            ("uid", &uid),
            ("cn", &cn),
            ("sn", &sn),
            ("givenName", &given),
            ("displayName", &cn),
            ("mail", &mail),
            ("employeeNumber", &number),
            ("employeeType", "ETUDIANT"),
            ("telephoneNumber", &phone),
            ("departmentNumber", "UFR-SCI"),
            ("preferredLanguage", "fr"),
            ("title", "Student of the sciences"),
            ("description", "An entry of about the size that a person has in a university directory"),
        ],
    )
}

fn user(n: usize) -> LdapOp {
    let (uid, password) = (format!("user{n}"), format!("password-{n}"));
    let values =
        [("objectClass", "inetOrgPerson"), ("uid", &*uid), ("cn", &uid), ("sn", &uid), ("userPassword", &password)];
    add(format!("uid={uid},ou=people,{SUFFIX}"), &values)
}

fn search(n: usize) -> LdapOp {
    LdapOp::SearchRequest(LdapSearchRequest {
        base: SUFFIX.to_owned(),
        scope: LdapSearchScope::Subtree,
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter: LdapFilter::And(vec![
            LdapFilter::Equality("objectClass".to_owned(), "inetOrgPerson".to_owned()),
            LdapFilter::Equality("uid".to_owned(), format!("p{n}")),
        ]),
        attrs: vec![],
    })
}
