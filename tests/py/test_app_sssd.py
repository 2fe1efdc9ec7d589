"""SSSD: users, groups and logins through its cache, with the control that reads members in one go."""

import pytest

from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE, SUFFIX, person

SSSD = """\
[sssd]
services = nss, pam, ssh
domains = campus

[nss]
filter_users = root

[pam]
pam_verbosity = 1

[domain/campus]
id_provider = ldap
auth_provider = ldap
chpass_provider = ldap
access_provider = ldap
ldap_access_order = filter
ldap_access_filter = (|(employeeType=PERSONNEL)(uid=clerk)(uid=sss-*))
ldap_schema = rfc2307bis
ldap_uri = {uri}
ldap_search_base = {suffix}
ldap_user_search_base = {people}
ldap_group_search_base = {groups}
ldap_default_bind_dn = {reader}
ldap_default_authtok = {password}
ldap_id_use_start_tls = true
ldap_tls_cacert = /srv/ca.pem
ldap_tls_reqcert = demand
ldap_group_nesting_level = 2
cache_credentials = false
enumerate = false
min_id = 10000
"""
NSSWITCH = "passwd: files sss\ngroup: files sss\nshadow: files sss\nhosts: files\n"
PAM = "".join(f"{kind} required pam_sss.so\n" for kind in ("auth", "account", "password", "session"))


@pytest.fixture(scope="module")
def machine(application, campus):
    application.keep("sss", "/var/lib/sss")
    application.keep("log", "/var/log/sssd")
    text = SSSD.format(uri=campus.uri(), suffix=SUFFIX, people=PEOPLE, groups=GROUPS, reader=READER,
                       password=READER_PASSWORD)
    application.write("/etc/sssd/sssd.conf", text, mode=0o600)
    application.write("/etc/nsswitch.conf", NSSWITCH)
    application.write("/etc/pam.d/vestibule", PAM)
    application.start("sssd", "-i", "--logger=stderr")
    application.ready(lambda: application.run("getent", "passwd", "amartin").returncode == 0, "SSSD")
    return application


def test_users(machine):
    assert machine.must("getent", "passwd", "amartin") == "amartin:*:20001:20100:Alice Martin:/home/amartin:/bin/bash\n"
    assert machine.must("getent", "passwd", "20003") == "clerk:*:20003:20100:Zoë Clerk,desk 3:/home/clerk:/bin/dash\n"
    for absent in ("hlefevre", "nobody-here", "20099", "*"):
        assert machine.run("getent", "passwd", absent).returncode == 2, absent


def test_groups(machine):
    name, _, number, members = machine.must("getent", "group", "staff-unix").strip().split(":")
    assert (name, number, set(members.split(","))) == ("staff-unix", "20100", {"amartin", "clerk"})
    assert machine.must("id", "-Gn", "amartin").split() == ["staff-unix"]
    assert machine.run("getent", "group", "no-such-group").returncode == 2


def test_groups_in_groups(machine, campus):
    """A member of the inner group is in the outer one too."""
    inner, outer = f"cn=sss-inner,{GROUPS}", f"cn=sss-outer,{GROUPS}"
    campus.add(person("sss-deep", classes=["posixAccount"], uidNumber="20020", gidNumber="20100", homeDirectory="/h")).ok()
    for number, (dn, member) in enumerate([(inner, f"uid=sss-deep,{PEOPLE}"), (outer, inner)], 20300):
        cn = dn.split(",")[0].split("=")[1]
        campus.add(f"dn: {dn}\nobjectClass: groupOfNames\nobjectClass: posixGroup\n"
                   f"cn: {cn}\ngidNumber: {number}\nmember: {member}\n").ok()
    try:
        assert set(machine.must("id", "-Gn", "sss-deep").split()) == {"staff-unix", "sss-inner", "sss-outer"}
        assert machine.must("getent", "group", "sss-outer").strip().split(":")[3] == "sss-deep"
    finally:
        for dn in (outer, inner, f"uid=sss-deep,{PEOPLE}"):
            campus.delete(dn).ok()


def test_a_larger_group_is_read_in_one_search(machine, campus):
    """From ten members on SSSD has them dereferenced with the group, where the server offers it."""
    logins = [f"sss-many{n:02}" for n in range(25)]
    group = f"cn=sss-many,{GROUPS}"
    numbers = {"gidNumber": "20100", "homeDirectory": "/h", "classes": ["posixAccount"]}
    people = [person(login, uidNumber=str(20030 + n), **numbers) for n, login in enumerate(logins)]
    members = "".join(f"member: uid={login},{PEOPLE}\n" for login in logins)
    campus.add("\n".join(people)).ok()
    campus.add(f"dn: {group}\nobjectClass: groupOfNames\nobjectClass: posixGroup\n"
               f"cn: sss-many\ngidNumber: 20310\n{members}").ok()
    try:
        before = campus.log().count('op="search"')
        line = machine.must("getent", "group", "sss-many")
        assert sorted(line.strip().split(":")[3].split(",")) == logins
        assert campus.log().count('op="search"') - before < len(logins)
    finally:
        for dn in [group, *(f"uid={login},{PEOPLE}" for login in logins)]:
            campus.delete(dn).ok()


def test_ssh_keys(machine, campus):
    """sshd asks for the keys of a user by AuthorizedKeysCommand."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA0vP8RbOyZIHbVOcYpYvSUHWRqCNkJwJq3iYh0kGqbK deep@key"
    campus.add(person("sss-keys", classes=["posixAccount", "ldapPublicKey"], uidNumber="20022", gidNumber="20100",
                      homeDirectory="/h", sshPublicKey=key)).ok()
    try:
        assert machine.must("sss_ssh_authorizedkeys", "sss-keys").split()[:2] == key.split()[:2]
        assert machine.must("sss_ssh_authorizedkeys", "clerk") == ""
    finally:
        campus.delete(f"uid=sss-keys,{PEOPLE}").ok()


def login(machine, user, password):
    return machine.run("pamtester", "vestibule", user, "authenticate", "acct_mgmt", stdin=f"{password}\n")


def test_login(machine):
    for user in ("amartin", "clerk"):
        good = login(machine, user, PASSWORDS[user])
        assert good.returncode == 0 and "successfully authenticated" in good.stdout, (good, machine.log())
        for wrong in ("wrong", PASSWORDS["lbernard"]):
            bad = login(machine, user, wrong)
            assert bad.returncode == 1 and "successfully" not in bad.stdout, bad
    assert login(machine, "nobody-here", "x").returncode == 1


def test_the_right_password_is_not_enough_where_a_filter_says_who(machine):
    student = login(machine, "lbernard", PASSWORDS["lbernard"])
    assert student.returncode == 1 and "successfully authenticated" in student.stdout, student
    assert "Permission denied" in student.stderr, student


def test_a_person_changes_the_own_password(machine, campus):
    dn = f"uid=sss-changer,{PEOPLE}"
    campus.add(person("sss-changer", classes=["posixAccount"], userPassword="first-2026", uidNumber="20021",
                      gidNumber="20100", homeDirectory="/h")).ok()
    try:
        changed = machine.run("pamtester", "vestibule", "sss-changer", "chauthtok", user="20021",
                              stdin="first-2026\nsecond-2026\nsecond-2026\n")
        assert changed.returncode == 0, (changed, machine.log())
        assert login(machine, "sss-changer", "second-2026").returncode == 0
        assert login(machine, "sss-changer", "first-2026").returncode == 1
    finally:
        campus.delete(dn).ok()
