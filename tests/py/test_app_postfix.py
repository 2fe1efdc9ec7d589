"""Postfix looks up aliases, routes and groups: `postmap -q` with its ldap tables."""

import pytest

from campus import GROUPS, READER, READER_PASSWORD
from support import PEOPLE, SUFFIX, person

BASE = {"version": "3", "bind": "yes", "bind_dn": READER, "bind_pw": READER_PASSWORD, "search_base": SUFFIX}
TABLES = {
    # All as it comes: mailacceptinggeneralid is looked for, maildrop is the answer.
    "plain": {},
    "routes": {"query_filter": "(mailLocalAddress=%s)", "result_attribute": "mailRoutingAddress"},
    "formatted": {"query_filter": "(&(objectClass=inetOrgPerson)(mail=%s))", "result_attribute": "uid",
                  "result_format": "%s@imap.valmont.example"},
    "parts": {"query_filter": "(&(uid=%u)(objectClass=inetOrgPerson))", "result_attribute": "mail",
              "domain": "valmont.example"},
    # Members are DNs, which are read one by one.
    "members": {"query_filter": "(cn=%s)", "special_result_attribute": "member", "result_attribute": "",
                "leaf_result_attribute": "mail", "search_base": GROUPS},
    "one": {"query_filter": "(&(objectClass=inetOrgPerson)(departmentNumber=%s))", "result_attribute": "mail",
            "size_limit": "1"},
    "some": {"query_filter": "(&(objectClass=inetOrgPerson)(departmentNumber=%s))", "result_attribute": "mail"},
    "anonymous": {"bind": "no"},
    "wrong": {"bind_pw": "not this"},
    # The default of Postfix is LDAPv2, which the server refuses.
    "old": {"version": "2"},
    "starttls": {"start_tls": "yes", "tls_ca_cert_file": "/srv/ca.pem", "tls_require_cert": "yes"},
    "ldaps": {"scheme": "ldaps", "tls_ca_cert_file": "/srv/ca.pem", "tls_require_cert": "yes"},
    "nowhere": {"search_base": f"ou=nowhere,{SUFFIX}"},
}


@pytest.fixture(scope="module")
def postfix(application):
    application.users("postfix", "postdrop")
    application.write("/etc/postfix/dynamicmaps.cf", "ldap\tpostfix-ldap.so\tdict_ldap_open\n")
    application.write("/srv/postfix/main.cf", "compatibility_level = 3.6\nmyhostname = mx.valmont.example\n")
    ports = {"ldap": application.ldap_port, "ldaps": application.server.ldaps.rsplit(":", 1)[1]}
    for name, own in TABLES.items():
        settings = BASE | own
        scheme = settings.pop("scheme", "ldap")
        settings["server_host"] = f"{scheme}://127.0.0.1:{ports[scheme]}"
        application.write(f"/srv/postfix/{name}.cf", "".join(f"{k} = {v}\n" for k, v in settings.items()))
    return application


def test_version_2_where_it_is_allowed(postfix, new_server):
    """What Postfix speaks while nobody tells it `version = 3`."""
    own = new_server(extra="ldap: { version_2: true }\n").start()
    mail = {"mailacceptinggeneralid": "two@a.example", "maildrop": "two@b.example"}
    own.add(person("two", classes=["postfixUser"], userPassword="two-2026", **mail)).ok()
    settings = {"server_host": own.uri(), "search_base": SUFFIX, "bind_dn": f"uid=two,{PEOPLE}", "bind_pw": "two-2026"}
    postfix.write("/srv/postfix/two.cf", "".join(f"{k} = {v}\n" for k, v in settings.items()))
    assert answer(postfix, "two", "two@a.example") == ["two@b.example"]
    assert answer(postfix, "two", "three@a.example") is None


def look_up(postfix, table, key):
    return postfix.run("postmap", "-c", "/srv/postfix", "-q", key, f"ldap:/srv/postfix/{table}.cf")


def answer(postfix, table, key):
    """The values found, or None."""
    result = look_up(postfix, table, key)
    if result.returncode == 1 and not result.stderr:
        return None
    assert result.returncode == 0, result
    return sorted(result.stdout.strip().split(","))


@pytest.mark.parametrize("table", ["plain", "starttls", "ldaps"])
def test_what_postfix_asks_when_it_is_told_nothing(postfix, table):
    for address in ("office@valmont.example", "DESK@valmont.example"):
        assert answer(postfix, table, address) == ["clerk@box.valmont.example"]
    for address in ("clerk@valmont.example", "*", "office@valmont.example)(uid=*", "of*"):
        assert answer(postfix, table, address) is None


def test_routes_and_formats(postfix):
    assert answer(postfix, "routes", "alice@valmont.example") == ["amartin@imap.valmont.example"]
    assert answer(postfix, "routes", "bob@valmont.example") is None
    assert answer(postfix, "formatted", "lbernard@etu.valmont.example") == ["lbernard@imap.valmont.example"]
    assert answer(postfix, "parts", "amartin@valmont.example") == ["amartin@valmont.example"]
    assert answer(postfix, "parts", "amartin@elsewhere.example") is None


def test_members_are_followed_to_their_addresses(postfix, campus):
    assert answer(postfix, "members", "app-team") == ["amartin@valmont.example"]
    # A group in the group is followed too.
    assert answer(postfix, "members", "app-outer") == ["amartin@valmont.example", "clerk@valmont.example"]
    members = campus.search("(cn=personnels)", "member", base=GROUPS).ok().entry["member"]
    mails = [campus.search("(objectClass=*)", "mail", base=m.decode(), scope="base").ok().entry for m in members]
    assert answer(postfix, "members", "personnels") == sorted(e["mail"][0].decode() for e in mails) and len(mails) > 5
    assert answer(postfix, "members", "no-such-group") is None


def test_a_size_limit_is_an_error_and_no_short_answer(postfix):
    both = answer(postfix, "some", "DSI")
    assert len(both) > 1
    result = look_up(postfix, "one", "DSI")
    assert result.returncode == 1 and "limit" in result.stderr.lower(), result
    assert answer(postfix, "one", "no such department") is None


def test_a_change_is_seen_at_once(postfix, campus):
    dn = f"uid=movable,{PEOPLE}"
    mail = {"mailacceptinggeneralid": "movable@a.example", "maildrop": "one@b.example"}
    campus.add(person("movable", classes=["postfixUser"], **mail)).ok()
    try:
        assert answer(postfix, "plain", "movable@a.example") == ["one@b.example"]
        campus.modify(f"dn: {dn}\nchangetype: modify\nadd: maildrop\nmaildrop: two@b.example\n").ok()
        assert answer(postfix, "plain", "movable@a.example") == ["one@b.example", "two@b.example"]
    finally:
        campus.delete(dn).ok()
    assert answer(postfix, "plain", "movable@a.example") is None


@pytest.mark.parametrize("table, text", [
    ("wrong", "Invalid credentials"), ("old", "Protocol error"), ("nowhere", "No such object"),
    ("anonymous", "No such object"),
])
def test_what_is_refused_is_an_error_and_not_nothing_found(postfix, table, text):
    """Postfix keeps the mail and tries again; nothing found would send it back."""
    result = look_up(postfix, table, "office@valmont.example")
    assert result.returncode == 1 and result.stdout == "" and text in result.stderr, result
