"""A gateway and a slapd behind it that is to be kept equal."""

import json
import urllib.request

import ldap

from slapd import Slapd
from support import SUFFIX, TOKEN, wait_for

DOWN = "dc=down,dc=test"
DOWN_ADMIN = f"cn=admin,{DOWN}"
DOWN_PASSWORD = "the other side"
GROUPS = f"ou=groups,{SUFFIX}"
NOBODY = f"cn=nobody,{DOWN}"

BASE = f"""\
dn: {DOWN}
objectClass: domain
dc: down
"""

TARGET = """\
kind: ldap
url: {uri}
bind_dn: {admin}
password_file: down.password
base: {base}
retry_min_ms: 50
retry_max_ms: 500
timeout_ms: 5000
concurrency: 8
guard: {{ enabled: false }}
users: {{ base: "ou=people,{{suffix}}", filter: "(objectClass=inetOrgPerson)" }}
groups: {{ base: "ou=groups,{{suffix}}", filter: "(objectClass=groupOfNames)" }}
departments: {{ base: "{{suffix}}", filter: "(objectClass=organizationalUnit)" }}
"""

CLASSES = {b"inetOrgPerson", b"groupOfNames", b"organizationalUnit"}
DN_VALUED = {"member", "manager", "seeAlso", "owner"}


def unit(name, parent=SUFFIX, **attrs):
    more = "".join(f"{name}: {value}\n" for name, value in attrs.items())
    return f"dn: ou={name},{parent}\nobjectClass: organizationalUnit\n{more}"


def group(name, *members):
    return f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\n" + "".join(f"member: {m}\n" for m in members)


def below(dn):
    """The name at the other side, without regard to case."""
    assert dn.lower().endswith(SUFFIX), dn
    return dn[: -len(SUFFIX)].lower() + DOWN


def attributes(here, there):
    """In which attributes two entries differ."""
    if here is None or there is None:
        return ["only there" if here is None else "only here"]
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


class Pair:
    """A gateway and the slapd behind it."""

    def __init__(self, new_server, folder, extra="", already="", tls=None, **options):
        self.server = new_server("gateway", flags=["--no-demo"], **options)
        self.slapd = Slapd(folder / "slapd", DOWN, DOWN_ADMIN, DOWN_PASSWORD)
        if tls:
            # Its certificate is the gateway's own, which the first start makes.
            self.server.start()
            self.server.stop()
            self.slapd.use_tls(self.server.folder / "certs", tls)
            extra += "start_tls: true\n" if tls == "starttls" else ""
        self.slapd.load(BASE + "\n" + already)
        self.slapd.start()
        targets = self.server.folder / "targets"
        (targets / "down.password").write_text(DOWN_PASSWORD + "\n")
        self.target = targets / "down.yml"
        self.target.write_text(TARGET.format(uri=self.slapd.uri, admin=DOWN_ADMIN, base=DOWN) + extra)
        self.server.start()

    def stop(self):
        self.slapd.stop()

    def expected(self):
        connection = self.server.connect()
        found = {}
        for dn, attrs in connection.search_ext_s(SUFFIX, ldap.SCOPE_SUBTREE, "(objectClass=*)", ["*"]):
            if CLASSES & set(attrs["objectClass"]):
                found[below(dn)] = {
                    name: {below(v.decode()).encode() for v in values} if name in DN_VALUED else set(values)
                    for name, values in attrs.items()
                    if name != "userPassword"
                }
        connection.unbind_s()
        return found

    def held(self):
        connection = self.slapd.connect()
        found = {
            dn.lower(): {
                name: {v.lower() for v in values} if name in DN_VALUED else set(values) for name, values in attrs.items()
            }
            for dn, attrs in connection.search_ext_s(DOWN, ldap.SCOPE_SUBTREE, "(objectClass=*)", ["*"])
            if dn.lower() != DOWN
        }
        connection.unbind_s()
        return found

    def differences(self):
        expected, held = self.expected(), self.held()
        return {dn: (expected.get(dn), held.get(dn)) for dn in expected.keys() | held.keys() if expected.get(dn) != held.get(dn)}

    def is_equal(self):
        try:
            return not self.differences()
        except ldap.SERVER_DOWN:
            return False

    def until_equal(self, secs=60):
        self.until(self.is_equal, self.differences, secs)

    def until_equal_without(self, *foreign):
        """All is equal but for entries that somebody else keeps."""

        def rest():
            return {dn: pair for dn, pair in self.differences().items() if dn not in foreign}

        self.until(lambda: not rest(), rest, 30)

    def until(self, check, differences, secs):
        try:
            wait_for(check, "both sides are equal", secs)
        except AssertionError:
            different = differences()
            shown = [f"{dn}: {', '.join(attributes(*pair))}" for dn, pair in list(different.items())[:8]]
            log = [line for line in self.server.log().splitlines() if "export=" in line and 'status="ok"' not in line]
            raise AssertionError("\n".join([f"{len(different)} differ", *shown, *log[-6:], str(status(self.server))])) from None

    def down_entry(self, dn, *attrs):
        return self.slapd.connect().search_ext_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", list(attrs) or ["*"])[0][1]


def status(server):
    request = urllib.request.Request(f"http://{server.http}/targets", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        data = json.load(answer)
    data = data.get("data", data) if isinstance(data, dict) else data
    return data[0] if isinstance(data, list) else data["targets"][0]
