"""Small programs that only ask: Squid's helpers for logins and groups, and Cyrus SASL's saslauthd."""

import pytest

from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE

BY_READER = ["-D", READER, "-w", READER_PASSWORD]
LOGINS = {
    "as the user": ["-b", PEOPLE, "-u", "uid"],
    "search and bind": ["-b", PEOPLE, "-f", "(&(objectClass=inetOrgPerson)(uid=%s))", *BY_READER],
    "search, bind on the same connection": ["-b", PEOPLE, "-f", "(uid=%s)", *BY_READER, "-P"],
}


def squid(application, helper, options, lines):
    """True for each line, as Squid would write it, that is answered with OK."""
    url = ["-H", application.server.uri(), "-v", "3"]
    said = application.must(f"/usr/lib/squid/{helper}", *options, *url, stdin="".join(f"{one}\n" for one in lines))
    words = [line.split()[0] for line in said.splitlines()]
    # BH: Squid looks for the reason on the connection that did not fail.
    assert set(words) <= {"OK", "ERR", "BH"} and len(words) == len(lines), said
    return [word == "OK" for word in words]


@pytest.mark.parametrize("way", LOGINS)
def test_squid_logins(application, way):
    right = [f"{user} {password}" for user, password in PASSWORDS.items()]
    wrong = ["amartin wrong", "nobody-here x", f"lbernard {PASSWORDS['amartin']}", "* x", "amartin)(uid=* x"]
    answers = squid(application, "basic_ldap_auth", LOGINS[way], [*right, *wrong, *right])
    assert answers == [True] * 3 + [False] * 5 + [True] * 3


def test_squid_groups(application):
    options = ["-b", GROUPS, "-B", PEOPLE, "-f", "(&(cn=%g)(member=%u))", "-F", "(uid=%s)", *BY_READER]
    answers = squid(application, "ext_ldap_group_acl", options, [
        "amartin app-team", "lbernard app-team", "clerk staff-unix", "amartin no-such-group", "nobody-here app-team",
        "amartin *", "amartin personnels",
    ])
    assert answers == [True, False, True, False, False, False, True]


SASLAUTHD = """\
ldap_servers: {uri}
ldap_version: 3
ldap_start_tls: yes
ldap_tls_check_peer: yes
ldap_tls_cacert_file: /srv/ca.pem
ldap_bind_dn: {reader}
ldap_bind_pw: {password}
ldap_search_base: {people}
ldap_filter: (&(objectClass=inetOrgPerson)(uid=%u))
ldap_auth_method: bind
{more}
"""
MORE = {
    "anyone": "",
    "members": f"ldap_group_attr: member\nldap_group_match_method: attr\nldap_group_dn: cn=staff-unix,{GROUPS}",
    "fast": f"ldap_auth_method: fastbind\nldap_filter: uid=%u,{PEOPLE}",
}
ADMITTED = {"anyone": {"amartin", "lbernard", "clerk"}, "members": {"amartin", "clerk"},
            "fast": {"amartin", "lbernard", "clerk"}}


@pytest.mark.parametrize("kind", MORE)
def test_saslauthd(make_application, campus, kind):
    one = make_application(f"sasl-{kind}")
    one.write("/srv/saslauthd.conf", SASLAUTHD.format(
        uri=campus.uri(), reader=READER, password=READER_PASSWORD, people=PEOPLE, more=MORE[kind],
    ))
    one.path("/run/saslauthd").mkdir()
    one.start("saslauthd", "-d", "-n", "1", "-a", "ldap", "-O", "/srv/saslauthd.conf", "-m", "/run/saslauthd")
    one.ready(lambda: one.path("/run/saslauthd/mux").exists(), "saslauthd")

    def test(user, password):
        said = one.run("testsaslauthd", "-u", user, "-p", password, "-f", "/run/saslauthd/mux").stdout
        assert said.startswith(('0: OK "Success."', '0: NO "authentication failed"')), (said, one.log())
        return said.startswith("0: OK")

    assert {user for user, password in PASSWORDS.items() if test(user, password)} == ADMITTED[kind]
    for user, password in [("amartin", "wrong"), ("nobody-here", "x"), ("*", PASSWORDS["amartin"]),
                           ("amartin)(uid=*", PASSWORDS["amartin"])]:
        assert not test(user, password), (user, password)
