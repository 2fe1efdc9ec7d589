"""sudo with the rules of the directory, and its searches word for word."""

import re

import pytest

import campus as university
from application import Application
from campus import READER, READER_PASSWORD
from support import AMARTIN, SUFFIX

SUDOERS = f"ou=sudoers,{SUFFIX}"
RULES = f"""\
dn: {SUDOERS}
objectClass: organizationalUnit
ou: sudoers

dn: cn=defaults,{SUDOERS}
objectClass: sudoRole
cn: defaults
sudoOption: !requiretty

dn: cn=alice,{SUDOERS}
objectClass: sudoRole
cn: alice
sudoUser: amartin
sudoHost: ALL
sudoCommand: /usr/bin/systemctl restart apache2
sudoOrder: 10

dn: cn=staff,{SUDOERS}
objectClass: sudoRole
cn: staff
sudoUser: %staff-unix
sudoHost: ALL
sudoCommand: /usr/bin/journalctl
sudoRunAsUser: nobody
sudoOption: !authenticate
sudoOrder: 20

dn: cn=number,{SUDOERS}
objectClass: sudoRole
cn: number
sudoUser: #20002
sudoHost: ALL
sudoCommand: /usr/bin/lpq

dn: cn=past,{SUDOERS}
objectClass: sudoRole
cn: past
sudoUser: amartin
sudoHost: ALL
sudoCommand: /usr/bin/past
sudoNotAfter: 20200101000000Z

dn: cn=future,{SUDOERS}
objectClass: sudoRole
cn: future
sudoUser: amartin
sudoHost: ALL
sudoCommand: /usr/bin/future
sudoNotBefore: 20990101000000Z

dn: cn=now,{SUDOERS}
objectClass: sudoRole
cn: now
sudoUser: amartin
sudoHost: ALL
sudoCommand: /usr/bin/now
sudoNotBefore: 20200101000000.0Z
sudoNotAfter: 20990101010000+0100

dn: cn=elsewhere,{SUDOERS}
objectClass: sudoRole
cn: elsewhere
sudoUser: ALL
sudoHost: no-such-host
sudoCommand: /usr/bin/elsewhere

dn: cn=netgroup,{SUDOERS}
objectClass: sudoRole
cn: netgroup
sudoUser: +operators
sudoHost: ALL
sudoCommand: /usr/bin/netgroup
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    server = university.start(tmp_path_factory.mktemp("office"), branch=SUDOERS)
    server.add(RULES).ok()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def machine(office, tmp_path_factory):
    one = Application(tmp_path_factory.mktemp("sudo"), office)
    one.users()
    passwd, group = one.path("/etc/passwd"), one.path("/etc/group")
    passwd.write_text(passwd.read_text() + "amartin:x:20001:20100::/:/bin/sh\nlbernard:x:20002:20200::/:/bin/sh\n"
                      "stranger:x:20077:20077::/:/bin/sh\n")
    group.write_text(group.read_text() + "staff-unix:x:20100:\nstudents-unix:x:20200:\nstranger:x:20077:\n")
    one.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nsudoers: ldap\n")
    one.write("/etc/sudoers", "", mode=0o440)
    one.write("/etc/sudo-ldap.conf", f"""\
uri {office.uri()}
binddn {READER}
bindpw {READER_PASSWORD}
sudoers_base {SUDOERS}
sudoers_timed yes
ssl start_tls
tls_checkpeer yes
tls_cacert /srv/ca.pem
""", mode=0o600)
    rest = "".join(f"{kind} required pam_permit.so\n" for kind in ("account", "session"))
    one.write("/etc/pam.d/sudo", "auth required pam_deny.so\n" + rest)
    yield one
    one.stop()


def commands(machine, user):
    """What sudo says a user may do."""
    said = machine.run("sudo", "-l", "-U", user)
    assert said.returncode == 0, said
    return sorted(re.findall(r"(/usr/bin/\S.*)$", said.stdout, re.MULTILINE))


def test_each_user_has_the_own_rules(machine):
    assert commands(machine, "amartin") == ["/usr/bin/journalctl", "/usr/bin/now", "/usr/bin/systemctl restart apache2"]
    assert commands(machine, "lbernard") == ["/usr/bin/lpq"]
    assert commands(machine, "stranger") == []


def test_a_command_is_run_or_not(machine):
    """As the user, without a password where the rule says so."""
    def sudo(user, *args):
        return machine.run("sudo", "-n", *args, user=str(user))
    allowed = sudo(20001, "-u", "nobody", "/usr/bin/journalctl", "--version")
    assert allowed.returncode == 0 and "systemd" in allowed.stdout, allowed
    for user, args in [(20001, ["/usr/bin/journalctl", "--version"]), (20001, ["/usr/bin/id"]),
                       (20001, ["/usr/bin/systemctl", "restart", "apache2"]),
                       (20002, ["-u", "nobody", "/usr/bin/journalctl"]),
                       (20077, ["-u", "nobody", "/usr/bin/journalctl"])]:
        refused = sudo(user, *args)
        assert refused.returncode == 1 and "password is required" in refused.stderr, (user, args, refused)


TIME = "20261121120000.0Z"
TIMED = f"(&(|(!(sudoNotAfter=*))(sudoNotAfter>={TIME}))(|(!(sudoNotBefore=*))(sudoNotBefore<={TIME})))"


USERS = "(|(sudoUser=amartin)(sudoUser=#20001)(sudoUser=%staff-unix)(sudoUser=%#20100)(sudoUser=ALL))"
# SSSD's, with # and * escaped, and with a star as a value and as a wildcard.
SSSD_USERS = (r"(|(cn=defaults)(sudoUser=ALL)(sudoUser=amartin)(sudoUser=\2320001)"
              r"(sudoUser=%staff-unix)(sudoUser=+*))")
SSSD_HOSTS = (r"(|(!(sudoHost=*))(sudoHost=ALL)(sudoHost=mx)(sudoHost=127.0.0.1)(sudoHost=+*)"
              r"(|(sudoHost=*\5C*)(sudoHost=*?*)(sudoHost=*\2A*)(sudoHost=*[*]*)))")
OF_ALICE = {"alice", "staff", "past", "future", "now", "elsewhere"}


@pytest.mark.parametrize("filter, expected", [
    ("(cn=defaults)", {"defaults"}),
    (USERS, OF_ALICE),
    (f"(&(objectClass=sudoRole){USERS}{TIMED})", OF_ALICE - {"past", "future"}),
    ("(&(objectClass=sudoRole)(&(sudoUser=*)(sudoUser=+*))" + TIMED + ")", {"netgroup"}),
    ("(sudoUser=+*)", {"netgroup"}),
    (f"(&(objectclass=sudoRole){SSSD_USERS})", OF_ALICE | {"defaults", "netgroup"}),
    (f"(&(&(objectclass=sudoRole)(entryUUID=*)){SSSD_HOSTS})",
     {"defaults", "alice", "staff", "number", "past", "future", "now", "netgroup"}),
    ("(&(sudoUser=AMARTIN)(objectClass=sudoRole))", set()),
])
def test_its_searches(office, filter, expected):
    found = office.search(filter, "cn", base=SUDOERS, who=READER, password=READER_PASSWORD).ok()
    assert found.names == expected


def test_a_person_does_not_see_the_rules(office):
    answer = office.search("(objectClass=sudoRole)", base=SUDOERS, who=AMARTIN)
    assert answer.code in (0, 32) and answer.entries == [], answer
    assert office.search("(objectClass=sudoRole)", base=SUDOERS).ok().entries
