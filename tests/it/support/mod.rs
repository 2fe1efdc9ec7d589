//! The real program as a child process, and the ways to talk to it.

pub mod wire;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub const SUFFIX: &str = "dc=example,dc=org";
pub const ADMIN: &str = "cn=admin,dc=example,dc=org";
pub const PASSWORD: &str = "admin-for-tests-2026";

/// A server process. Dropping it kills it.
pub struct Server {
    child: Child,
    pub ldap: String,
    pub ldaps: String,
}

/// Where a server keeps its things.
pub struct Home {
    pub folder: PathBuf,
    pub data: PathBuf,
    pub limits: &'static str,
}

impl Home {
    pub fn new(folder: &Path) -> Self {
        Home { folder: folder.to_owned(), data: folder.join("data"), limits: "{}" }
    }

    fn config(&self) -> PathBuf {
        fs::create_dir_all(self.folder.join("targets")).unwrap();
        let path = self.folder.join("vestibule.yml");
        let (data, limits) = (self.data.display(), self.limits);
        let tls = "{certificate: certs/server.pem, key: certs/server.key, development: true}";
        let text =
            format!("suffix: {SUFFIX}\ndata: {data}\ntls: {tls}\ntargets: targets\ndemo: true\nlimits: {limits}\n");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts a server and waits for its ready line. The log goes to `server.log`.
    pub fn start(&self, flags: &[&str]) -> Server {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("server.log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .args(["--ldap=127.0.0.1:0", "--ldaps=127.0.0.1:0", "--http=127.0.0.1:0", "--log-level=warn"])
            .args(flags)
            .env("VESTIBULE_ADMIN_PASSWORD", PASSWORD)
            .env("VESTIBULE_ADMIN_TOKEN", "token-for-tests-2026")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // A server that fails closes its end, so this wait has an end.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let part = |name: &str| line.split_whitespace().find_map(|w| w.strip_prefix(name)).map(str::to_owned);
        match (part("ldap="), part("ldaps=")) {
            (Some(ldap), Some(ldaps)) => Server { child, ldap, ldaps },
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("no ready line but {line:?}; log:\n{}", self.log())
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }
}

impl Server {
    /// SIGKILL, and the wait until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn connect(&self) -> Ldap {
        let settings = LdapConnSettings::new().set_conn_timeout(Duration::from_secs(20));
        let url = format!("ldap://{}", self.ldap);
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &url).await.unwrap();
        ldap3::drive!(connection);
        ldap
    }

    pub async fn admin(&self) -> Ldap {
        let mut ldap = self.connect().await;
        ldap.simple_bind(ADMIN, PASSWORD).await.unwrap().success().unwrap();
        ldap
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shows a line although the test passes, and keeps it beside the build.
pub fn report(name: &str, line: &str) {
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt")), format!("{line}\n")).unwrap();
    // Unlike println this is not captured.
    std::io::stderr().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}
