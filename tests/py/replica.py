"""A private slapd as a replica: it follows by syncrepl, or takes what a change log says."""

import shutil
import socket
import subprocess

import ldap

from support import LIMIT_SECS, SUFFIX, wait_for

ROOT = f"cn=root,{SUFFIX}"
ROOT_PASSWORD = "root-of-slapd-2026"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
{schema}
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 67108864
suffix "{suffix}"
rootdn "{root}"
rootpw {password}
directory {folder}/db
index entryUUID eq
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Replica:
    """One slapd process in a folder of its own."""

    def __init__(self, folder, schema="", syncrepl=""):
        self.folder = folder
        self.uri = f"ldap://127.0.0.1:{free_port()}"
        (folder / "db").mkdir(parents=True)
        self.config = folder / "slapd.conf"
        text = CONFIG.format(folder=folder, suffix=SUFFIX, root=ROOT, password=ROOT_PASSWORD, schema=schema)
        self.config.write_text(text + syncrepl)
        self.process = None

    def start(self):
        program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
        assert program, "slapd is missing; tests/run installs it"
        with open(self.folder / "slapd.log", "ab") as log:
            self.process = subprocess.Popen(
                [program, "-d", "sync,stats", "-f", self.config, "-h", self.uri], stdout=log, stderr=log
            )
        wait_for(self._answers, f"slapd at {self.uri}")
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log()
        try:
            return self.connect()
        except ldap.SERVER_DOWN:
            return None

    def log(self):
        return (self.folder / "slapd.log").read_text(errors="replace")

    def connect(self):
        connection = ldap.initialize(self.uri)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, LIMIT_SECS)
        connection.set_option(ldap.OPT_TIMEOUT, LIMIT_SECS)
        connection.simple_bind_s(ROOT, ROOT_PASSWORD)
        return connection

    def entries(self, *attrs):
        """Every entry with its user attributes, values sorted."""
        try:
            found = self.connect().search_s(SUFFIX, ldap.SCOPE_SUBTREE, attrlist=list(attrs) or ["*"])
        except ldap.NO_SUCH_OBJECT:
            return {}
        return {dn: {n: sorted(v) for n, v in entry.items()} for dn, entry in found}

    def modify(self, text):
        """Applies LDIF change records."""
        command = ["ldapmodify", "-x", "-H", self.uri, "-D", ROOT, "-w", ROOT_PASSWORD]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=LIMIT_SECS)
        assert done.returncode == 0, done

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(LIMIT_SECS)
            self.process = None
