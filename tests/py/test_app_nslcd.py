"""nslcd, libnss-ldapd and libpam-ldapd: users and groups of a Unix machine, logins and a new password."""

import pytest

from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE, SUFFIX, person

NSLCD = """\
uid root
gid root
uri {uri}
base {suffix}
base passwd {people}
base shadow {people}
base group {groups}
binddn {reader}
bindpw {password}
ssl start_tls
tls_reqcert demand
tls_cacertfile /srv/ca.pem
"""
NSSWITCH = "passwd: files ldap\ngroup: files ldap\nshadow: files ldap\nhosts: files\nnetgroup: ldap\n"
PAM = "".join(f"{kind} required pam_ldap.so\n" for kind in ("auth", "account", "password", "session"))


@pytest.fixture(scope="module")
def machine(application, campus):
    text = NSLCD.format(uri=campus.uri(), suffix=SUFFIX, people=PEOPLE, groups=GROUPS, reader=READER,
                        password=READER_PASSWORD)
    application.write("/etc/nslcd.conf", text, mode=0o600)
    application.write("/etc/nsswitch.conf", NSSWITCH)
    application.write("/etc/pam.d/vestibule", PAM)
    application.path("/run/nslcd").mkdir()
    application.start("nslcd", "-n")
    application.ready(lambda: application.path("/run/nslcd/socket").exists(), "nslcd")
    return application


def test_users(machine):
    assert machine.must("getent", "passwd", "amartin") == "amartin:x:20001:20100:Alice Martin:/home/amartin:/bin/bash\n"
    assert machine.must("getent", "passwd", "20003") == "clerk:x:20003:20100:Zoë Clerk,desk 3:/home/clerk:/bin/dash\n"
    for absent in ("hlefevre", "nobody-here", "20099", "*", "amartin)(uid=*"):
        assert machine.run("getent", "passwd", absent).returncode == 2, absent
    everyone = machine.must("getent", "passwd").splitlines()
    assert {line.split(":")[0] for line in everyone} >= {"root", "amartin", "lbernard", "clerk"}
    assert machine.must("getent", "shadow", "clerk").startswith("clerk:*:19000::99999:")


def test_groups(machine):
    """By member, which are names of entries, and by memberUid, which are logins."""
    name, _, number, members = machine.must("getent", "group", "staff-unix").strip().split(":")
    assert (name, number, set(members.split(","))) == ("staff-unix", "20100", {"amartin", "clerk"})
    assert machine.must("getent", "group", "20200").strip().split(":")[3].split(",") == ["clerk", "lbernard"]
    assert machine.run("getent", "group", "no-such-group").returncode == 2
    assert machine.must("id", "-Gn", "clerk").split() == ["staff-unix", "students-unix"]
    assert machine.must("id", "-u", "lbernard").strip() == "20002"
    assert machine.must("id", "-G", "amartin").split() == ["20100"]


def test_a_new_member_is_in_the_group(machine, campus):
    change = f"dn: cn=staff-unix,{GROUPS}\nchangetype: modify\n{{}}: member\nmember: uid=lbernard,{PEOPLE}\n"
    campus.modify(change.format("add")).ok()
    try:
        assert machine.must("id", "-Gn", "lbernard").split() == ["students-unix", "staff-unix"]
        assert "lbernard" in machine.must("getent", "group", "staff-unix")
    finally:
        campus.modify(change.format("delete")).ok()
    assert machine.must("id", "-Gn", "lbernard").split() == ["students-unix"]


def login(machine, user, password):
    steps = ["authenticate", "acct_mgmt", "open_session"]
    return machine.run("pamtester", "vestibule", user, *steps, stdin=f"{password}\n")


def change_password(machine, user, number, old, new):
    """As the user, who knows the old one."""
    return machine.run("pamtester", "vestibule", user, "chauthtok", stdin=f"{old}\n{new}\n{new}\n", user=number)


def test_login(machine):
    for user, password in PASSWORDS.items():
        good = login(machine, user, password)
        assert good.returncode == 0 and "successfully authenticated" in good.stdout, (good, machine.log())
        for wrong in ("wrong", "", password[:-1], PASSWORDS["amartin" if user != "amartin" else "clerk"]):
            bad = login(machine, user, wrong)
            assert bad.returncode == 1 and "Authentication failure" in bad.stderr, (user, wrong, bad)
    for user in ("hlefevre", "nobody-here", "*"):
        bad = login(machine, user, PASSWORDS["amartin"])
        assert bad.returncode == 1 and "successfully" not in bad.stdout, bad


def test_a_person_changes_the_own_password(machine, campus):
    numbers = {"uidNumber": "20010", "gidNumber": "20100", "homeDirectory": "/home/changer"}
    dn = f"uid=changer,{PEOPLE}"
    campus.add(person("changer", classes=["posixAccount", "shadowAccount"], userPassword="first-2026", **numbers)).ok()
    try:
        wrong = change_password(machine, "changer", "20010", "not-first", "second-2026")
        assert wrong.returncode == 1, wrong
        assert login(machine, "changer", "first-2026").returncode == 0
        changed = change_password(machine, "changer", "20010", "first-2026", "second-2026")
        assert changed.returncode == 0 and "successfully" in changed.stdout, (changed, machine.log())
        assert login(machine, "changer", "first-2026").returncode == 1
        assert login(machine, "changer", "second-2026").returncode == 0
    finally:
        campus.delete(dn).ok()

