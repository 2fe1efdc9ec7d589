"""PostgreSQL asks the server who logs in: simple bind, search and bind, StartTLS."""

import pytest

from application import free_port, listens
from campus import PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE, person

SETUP = """\
create role amartin login;
create role lbernard login;
create role ghost login;
create role twin login;
"""

# Each database asks in its own way.
WAYS = {
    "simple": f'ldapserver=127.0.0.1 ldapport={{port}} ldapprefix="uid=" ldapsuffix=",{PEOPLE}"',
    "search": 'ldapserver=127.0.0.1 ldapport={port} ldapbasedn="' + PEOPLE + '" ldapsearchattribute=uid'
              f' ldapbinddn="{READER}" ldapbindpasswd="{READER_PASSWORD}"',
    "filter": 'ldapserver=127.0.0.1 ldapport={port} ldapbasedn="' + PEOPLE + '"'
              ' ldapsearchfilter="(&(objectClass=inetOrgPerson)(|(uid=$username)(title=$username)))"'
              f' ldapbinddn="{READER}" ldapbindpasswd="{READER_PASSWORD}"',
    "url": f'ldapurl="ldap://127.0.0.1:{{port}}/{PEOPLE}?uid?sub"'
           f' ldapbinddn="{READER}" ldapbindpasswd="{READER_PASSWORD}"',
    "tls": f'ldapserver=127.0.0.1 ldapport={{port}} ldaptls=1 ldapprefix="uid=" ldapsuffix=",{PEOPLE}"',
    "ldaps": f'ldapserver=127.0.0.1 ldapport={{secure}} ldapscheme=ldaps ldapprefix="uid=" ldapsuffix=",{PEOPLE}"',
    "wrong_reader": f'ldapserver=127.0.0.1 ldapport={{port}} ldapbasedn="{PEOPLE}" ldapbinddn="{READER}"'
                    ' ldapbindpasswd="not this"',
    "anonymous": f'ldapserver=127.0.0.1 ldapport={{port}} ldapbasedn="{PEOPLE}"',
}


@pytest.fixture(scope="module")
def postgres(application):
    application.port = free_port()
    data = "/srv/data"
    application.folder_for("nobody", data, mode=0o700)
    application.must("initdb", "-D", data, "-A", "reject", "--no-sync", "-U", "postgres", user="nobody")
    databases = "".join(f"create database {name};\n" for name in WAYS)
    result = application.run("postgres", "--single", "-D", data, "postgres", user="nobody", stdin=SETUP + databases)
    assert "ERROR" not in result.stderr and result.returncode == 0, result.stderr
    fields = dict(port=application.ldap_port, secure=application.server.ldaps.rsplit(":", 1)[1])
    lines = [f"host {name} all 127.0.0.1/32 ldap {how.format(**fields)}\n" for name, how in WAYS.items()]
    application.write("/srv/data/pg_hba.conf", "".join(lines))
    options = {"listen_addresses": "127.0.0.1", "port": application.port, "unix_socket_directories": "", "fsync": "off"}
    application.start(
        "postgres", "-D", data, *(f"--{k}={v}" for k, v in options.items()), user="nobody",
        env={"LDAPTLS_CACERT": "/srv/ca.pem"},
    )
    application.ready(lambda: listens(application.port), "PostgreSQL")
    return application


def login(postgres, database, user, password):
    return postgres.run(
        "psql", "-h", "127.0.0.1", "-p", postgres.port, "-U", user, "-d", database, "-Atc", "select current_user",
        env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "20"},
    )


def admitted(postgres, database, user, password):
    result = login(postgres, database, user, password)
    assert (result.returncode, result.stdout) == (0, f"{user}\n"), result.stderr + postgres.log()


def turned_away(postgres, database, user, password, *reasons):
    result = login(postgres, database, user, password)
    assert result.returncode == 2 and "LDAP authentication failed" in result.stderr, result
    for reason in reasons:
        assert reason in postgres.log()


@pytest.mark.parametrize("database", ["simple", "search", "filter", "url", "tls", "ldaps"])
def test_the_right_password_and_no_other(postgres, database):
    for user in ("amartin", "lbernard"):
        admitted(postgres, database, user, PASSWORDS[user])
    turned_away(postgres, database, "amartin", PASSWORDS["lbernard"])
    turned_away(postgres, database, "lbernard", PASSWORDS["lbernard"].upper())
    turned_away(postgres, database, "ghost", "whatever")


def test_an_empty_password_is_no_login(postgres):
    result = login(postgres, "simple", "amartin", "")
    assert result.returncode == 2 and "current_user" not in result.stdout, result


def test_the_user_is_found_once_or_not_at_all(postgres, campus):
    turned_away(postgres, "filter", "ghost", "x", 'LDAP user "ghost" does not exist')
    both = [person(uid, title="twin", userPassword="the-same-2026") for uid in ("twin1", "twin2")]
    campus.add("\n".join(both)).ok()
    turned_away(postgres, "filter", "twin", "the-same-2026", 'LDAP user "twin" is not unique')
    campus.delete(f"uid=twin2,{PEOPLE}").ok()
    admitted(postgres, "filter", "twin", "the-same-2026")
    campus.delete(f"uid=twin1,{PEOPLE}").ok()
    turned_away(postgres, "filter", "twin", "the-same-2026")


def test_a_name_is_data_and_no_filter(postgres):
    result = login(postgres, "search", "*", PASSWORDS["amartin"])
    assert result.returncode == 2 and "authentication failed" in result.stderr, result


def test_who_may_not_search_finds_nobody(postgres):
    turned_away(postgres, "wrong_reader", "amartin", PASSWORDS["amartin"], "Invalid credentials")
    turned_away(postgres, "anonymous", "amartin", PASSWORDS["amartin"], "could not search LDAP")


def test_a_changed_password_counts_at_once(postgres, campus):
    campus.add(person("ghost", userPassword="before-2026")).ok()
    try:
        admitted(postgres, "simple", "ghost", "before-2026")
        campus.tool("ldappasswd", "-s", "after-2026", f"uid=ghost,{PEOPLE}").ok()
        turned_away(postgres, "simple", "ghost", "before-2026")
        admitted(postgres, "simple", "ghost", "after-2026")
    finally:
        campus.delete(f"uid=ghost,{PEOPLE}").ok()
    turned_away(postgres, "simple", "ghost", "after-2026")
