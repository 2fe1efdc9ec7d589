"""Starts the real server and the real client tools, and reads what they say."""

import base64
import io
import os
import pathlib
import re
import select
import signal
import subprocess
import time

import ldap
import ldif

REPO = pathlib.Path(__file__).resolve().parents[2]
SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "admin-for-tests-2026"
TOKEN = "token-for-tests-2026"
AMARTIN = f"uid=amartin,{PEOPLE}"
LBERNARD = f"uid=lbernard,{PEOPLE}"
PASSWORDS = {ADMIN: ADMIN_PASSWORD, AMARTIN: "demo-amartin-2026", LBERNARD: "demo-lbernard-2026"}
TRANSPORTS = ["ldap", "starttls", "ldaps"]
LIMIT_SECS = 30


def binary():
    path = os.environ.get("VESTIBULE_BIN")
    assert path, "VESTIBULE_BIN names the program to test; tests/run sets it"
    return path


CONFIG = """\
suffix: dc=example,dc=org
data: data
tls:
  certificate: certs/server.pem
  key: certs/server.key
  development: true
schemas: {repo}/schemas
access: {access}
targets: targets
demo: true
identities:
  bases: ["ou=people,{{suffix}}"]
  release: {release}
limits: {limits}
"""


class Server:
    """One server process on free ports, with a folder of its own."""

    def __init__(self, folder, release="automatic", access=None, limits="{}", flags=(), log_format="text",
                 env=None, extra=""):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.config = self.folder / "vestibule.yml"
        self.log_path = self.folder / "server.log"
        self.flags = list(flags)
        self.log_format = log_format
        self.own_env = env or {}
        self.process = None
        (self.folder / "targets").mkdir(parents=True, exist_ok=True)
        (self.folder / "certs").mkdir(exist_ok=True)
        access = access or REPO / "config" / "access.yml"
        self.config.write_text(CONFIG.format(repo=REPO, access=access, release=release, limits=limits) + extra)

    @property
    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("VESTIBULE_", "LDAP"))}
        env.update(VESTIBULE_ADMIN_PASSWORD=ADMIN_PASSWORD, VESTIBULE_ADMIN_TOKEN=TOKEN)
        return env | self.own_env

    @property
    def serve_command(self):
        any_port = [f"--{p}=127.0.0.1:0" for p in ("ldap", "ldaps", "http")]
        log = f"--log-format={self.log_format}"
        return [binary(), "serve", f"--config={self.config}", log, *any_port, *self.flags]

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.serve_command, env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=log
            )
        line = self._line()
        found = re.fullmatch(r"ready ldap=(\S+) ldaps=(\S+) http=(\S+)\n", line)
        assert found, f"no ready line but {line!r}; log: {self.log()}"
        self.ldap, self.ldaps, self.http = found.groups()
        return self

    def _line(self):
        readable, _, _ = select.select([self.process.stdout], [], [], LIMIT_SECS)
        assert readable, f"not ready after {LIMIT_SECS} s; log: {self.log()}"
        return self.process.stdout.readline().decode()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        """Ends the server and returns its exit code."""
        if self.process is None:
            return None
        self.process.send_signal(how)
        try:
            code = self.process.wait(LIMIT_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.process.stdout.close()
        self.process = None
        return code

    def command(self, *args, **kwargs):
        """Another command of the program, with the same configuration."""
        return subprocess.run(
            [binary(), *args, f"--config={self.config}"],
            env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120, **kwargs,
        )

    @property
    def ca(self):
        return self.folder / "certs" / "ca.pem"

    def uri(self, transport="ldap"):
        return f"ldaps://{self.ldaps}" if transport == "ldaps" else f"ldap://{self.ldap}"

    def tool(self, name, *args, who=ADMIN, password=None, transport="ldap", stdin=None):
        """Runs one of ldap-utils."""
        command = [name, "-x", "-H", self.uri(transport)]
        if transport == "starttls":
            command.append("-ZZ")
        if who is not None:
            command += ["-D", who, "-w", PASSWORDS.get(who, "") if password is None else password]
        env = dict(self.env, LDAPTLS_CACERT=str(self.ca), LDAPTLS_REQCERT="demand", HOME=str(self.folder))
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        result = subprocess.run(
            [*command, *args], env=env, input=stdin if stdin is not None else b"", capture_output=True, timeout=60
        )
        return Answer(result)

    def search(self, filter="(objectClass=*)", *attrs, base=SUFFIX, scope="sub", flags=(), **how):
        return self.tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope, *flags, filter, *attrs, **how)

    def add(self, text, **how):
        return self.tool("ldapadd", stdin=text, **how)

    def modify(self, text, **how):
        return self.tool("ldapmodify", stdin=text, **how)

    def delete(self, dn, **how):
        return self.tool("ldapdelete", dn, **how)

    def connect(self, who=ADMIN, password=None, transport="ldap"):
        """A python-ldap connection."""
        connection = ldap.initialize(self.uri(transport))
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, LIMIT_SECS)
        connection.set_option(ldap.OPT_TIMEOUT, LIMIT_SECS)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        if transport != "ldap":
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(self.ca))
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if transport == "starttls":
            connection.start_tls_s()
        if who is not None:
            connection.simple_bind_s(who, PASSWORDS.get(who, "") if password is None else password)
        return connection


class Answer:
    """What a client tool printed, and the result code it ended with."""

    def __init__(self, result):
        self.code = result.returncode
        self.out = result.stdout.decode(errors="replace")
        self.err = result.stderr.decode(errors="replace")
        self._raw = result.stdout

    def __repr__(self):
        return f"<code {self.code}; out {self.out!r}; err {self.err!r}>"

    @property
    def entries(self):
        parser = ldif.LDIFRecordList(io.BytesIO(self._raw))
        parser.parse_entry_records()
        return parser.all_records

    @property
    def dns(self):
        return sorted(dn for dn, _ in self.entries)

    @property
    def entry(self):
        entries = self.entries
        assert len(entries) == 1, self
        return entries[0][1]

    @property
    def names(self):
        """The first value of each DN found."""
        return {dn.split(",")[0].split("=", 1)[1] for dn, _ in self.entries}

    def ok(self):
        assert self.code == 0, self
        return self

    def refused(self, code, *texts):
        assert self.code == code, self
        for text in texts:
            assert text in self.err + self.out, self
        return self


def person(uid, parent=PEOPLE, **attrs):
    """The LDIF of an inetOrgPerson."""
    values = {"cn": f"Person {uid}", "sn": uid.capitalize(), "uid": uid, **attrs}
    classes = ["inetOrgPerson", *values.pop("classes", [])]
    lines = [f"dn: uid={uid},{parent}"] + [f"objectClass: {c}" for c in classes]
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(line(name, one))
    return "\n".join(lines) + "\n"


def line(name, value):
    """One LDIF line; base64 where the value asks for it."""
    raw = value if isinstance(value, bytes) else value.encode()
    if re.fullmatch(rb"[!-9;=-~][ -~]*[!-~]|[!-9;=-~]", raw):
        return f"{name}: {raw.decode()}"
    return f"{name}:: {base64.b64encode(raw).decode()}"


def wait_for(check, what, secs=LIMIT_SECS):
    """Asks until it is so, within a limit."""
    until = time.monotonic() + secs
    while time.monotonic() < until:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not so after {secs} s")
