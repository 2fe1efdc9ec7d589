"""A private slapd in a folder of its own, on a free port of the loopback."""

import socket
import subprocess

import ldap

from support import LIMIT_SECS, wait_for

SLAPD = "/usr/sbin/slapd"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/dyngroup.schema
include {folder}/own.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload sssvlv
moduleload dynlist
pidfile {folder}/slapd.pid
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw "{password}"
directory {folder}/data
maxsize 268435456
dbnosync
overlay sssvlv
overlay dynlist
dynlist-attrset groupOfURLs memberURL member
"""


class Slapd:
    """The reference server: OpenLDAP of the distribution, without any rule of its own."""

    scheme, ca = "ldap", None

    def __init__(self, folder, suffix, admin, password, schema=""):
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "own.schema").write_text(schema)
        self.config = folder / "slapd.conf"
        self.config.write_text(CONFIG.format(folder=folder, suffix=suffix, admin=admin, password=password))
        self.admin, self.password = admin, password
        self.process = self.uri = None

    def use_tls(self, certs, how):
        """ldaps, or StartTLS on its plain port."""
        self.scheme = "ldaps" if how == "ldaps" else "ldap"
        self.ca = certs / "ca.pem"
        first, rest = self.config.read_text().split("database mdb", 1)
        keys = f"TLSCertificateFile {certs / 'server.pem'}\nTLSCertificateKeyFile {certs / 'server.key'}\n"
        self.config.write_text(first + keys + "database mdb" + rest)

    def load(self, text):
        subprocess.run(["/usr/sbin/slapadd", "-q", "-f", self.config], input=text.encode(), check=True, timeout=LIMIT_SECS)

    def start(self):
        if self.uri is None:
            # slapd cannot choose a port and tell it: this one was free a moment ago. It keeps it.
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.uri = f"{self.scheme}://127.0.0.1:{free.getsockname()[1]}"
        log = open(self.folder / "slapd.log", "ab")
        # With a debug level it stays in the foreground.
        self.process = subprocess.Popen([SLAPD, "-f", self.config, "-h", self.uri, "-d", "0"], stdout=log, stderr=log)
        log.close()
        wait_for(self._answers, "slapd answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "slapd.log").read_text()
        try:
            self._open().simple_bind_s()
        except ldap.SERVER_DOWN:
            return False
        return True

    def _open(self):
        connection = ldap.initialize(self.uri)
        if self.ca is not None:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(self.ca))
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        return connection

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT_SECS)

    def connect(self, who=None, password=None):
        connection = self._open()
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, LIMIT_SECS)
        connection.set_option(ldap.OPT_TIMEOUT, LIMIT_SECS)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.simple_bind_s(who or self.admin, password or self.password)
        return connection
