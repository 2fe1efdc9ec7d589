"""Web applications in PHP, by what they send: tests/clients/web.php says what and prints what it saw."""

import json

import pytest

from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import ADMIN, ADMIN_PASSWORD, AMARTIN, LBERNARD, PEOPLE, REPO, SUFFIX, person

EDITOR = f"uid=editor,{PEOPLE}"
RENAMED = f"uid=editor-renamed,{PEOPLE}"


@pytest.fixture(scope="module")
def seen(application, campus):
    campus.add(person("editor", cn="Editor", userPassword="editor-2026", mail="old@x.example")).ok()
    told = {
        "uri": campus.uri(), "ca": "/srv/ca.pem", "suffix": SUFFIX, "people": PEOPLE, "groups": GROUPS,
        "reader": READER, "reader_password": READER_PASSWORD, "user": "amartin", "password": PASSWORDS["amartin"],
        "editor": EDITOR, "editor_password": "editor-2026", "admin": ADMIN, "admin_password": ADMIN_PASSWORD,
    }
    application.write("/srv/web.php", (REPO / "tests" / "clients" / "web.php").read_text())
    extension = "-dextension=/usr/lib/php/20220829/ldap.so"
    said = application.must("php8.2", "-n", extension, "-ddisplay_errors=stderr", "/srv/web.php", stdin=json.dumps(told))
    yield json.loads(said)
    campus.delete(RENAMED).ok()


@pytest.mark.parametrize("case, expected", [
    ("moodle_login", ["in", 49, "no such user", "no such user"]),
    ("moodle_empty_password", [False, 53]),
    ("moodle_group", [1, 0]),
    # One entry and sizeLimitExceeded: there are more.
    ("nextcloud_probe", [1, 4]),
    ("nextcloud_uuid", [["entryuuid"], [AMARTIN]]),
    ("nextcloud_member_of", [[LBERNARD], True]),
    ("phpldapadmin_schema", {name: True for name in ("objectclasses", "attributetypes", "matchingrules",
                                                     "matchingruleuse", "ldapsyntaxes")}),
    ("password_own", [False, True, True, False]),
    ("password_made", [True, True, f"dn:{ADMIN}"]),
    ("password_replaced", [True, True, False]),
    ("batch", [True, {"mail": ["a@x.example", "b@x.example"], "title": ["Maître"]}, 1, 32]),
])
def test_case(seen, case, expected):
    assert seen[case] == expected


def test_pages(seen):
    found = seen["moodle_pages"]
    assert found["same"] and found["pages"] > 3 and found["largest"] == 7


def test_a_user_as_nextcloud_reads_one(seen, campus):
    [(dn, entry)] = seen["nextcloud_user"].items()
    groups = campus.search("(uid=amartin)", "memberOf", base=PEOPLE).ok().entry["memberOf"]
    assert dn == AMARTIN and set(entry) == {"uid", "mail", "displayname", "memberof"}
    assert entry["memberof"] == sorted(g.decode() for g in groups) and entry["mail"] == ["amartin@valmont.example"]


def test_the_tree_as_phpldapadmin_opens_it(seen):
    tree = seen["phpldapadmin_tree"]
    assert PEOPLE in tree["with"] and GROUPS in tree["with"] and not set(tree["with"]) & set(tree["without"])
