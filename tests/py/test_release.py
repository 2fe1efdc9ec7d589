"""Releasing those who wait: whom it is for is always said, and one who is refused holds up nobody."""

import shutil

import pytest

from support import REPO, Server, person
from test_lifecycle import ask, lifecycle

STRICTER = """\
type: object
properties:
  supannEmpId:
    type: array
    items: {type: string, minLength: 3}
"""


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("release")).start()
    yield server
    assert server.stop() == 0


def state(server, uid):
    return server.search(f"(uid={uid})", "vestibuleState").ok().entry["vestibuleState"][0].decode()


def hold(server, uid, **attrs):
    server.add(person(uid, **attrs)).ok()
    assert lifecycle(server, "state", uid, "1").returncode == 0
    assert state(server, uid) == "1"


@pytest.mark.parametrize(("body", "named"), [
    (None, "all: true"),
    ({}, "all: true"),
    ({"all": False}, "all: true"),
    ({"all": True, "ldap": "(uid=nobody)"}, "all: true"),
    ({"filters": {"inetOrgPerson.uid": "nobody"}}, "filters"),
    ({"ldap": ["(uid=nobody)"]}, "ldap"),
    ({"ldap": "(uidd=nobody)"}, "uidd"),
    ({"ldap": "(uid=nobody"}, "ldap"),
    ({"filter": {"inetOrgPerson.uidd": "nobody"}}, "uidd"),
    ({"filter": {"$or": [{"stat": 1}, {"state": 1}]}}, "stat"),
    ({"filter": {"additionalFields.attributes.nothing.uid": "x"}}, "nothing"),
    ({"filter": "x"}, "filter"),
    ({"all": "yes"}, "all"),
    ({"all": True, "why": "a\nb"}, "why"),
    ({"all": True, "why": "x" * 257}, "why"),
    ({"all": True, "why": 5}, "why"),
])
def test_a_body_that_is_not_understood_releases_nobody(waiting, uid, body, named):
    hold(waiting, uid)
    status, answer = ask(waiting, "POST", "/lifecycle/release", body)
    assert (status, named in answer["message"]) == (400, True), answer
    assert state(waiting, uid) == "1"


@pytest.mark.parametrize(("path", "body", "named"), [
    ("/lifecycle/execute", {"source": 5}, "source"),
    ("/lifecycle/execute", {"sources": "x"}, "sources"),
    ("/lifecycle/run", {"at": "2027-01-01"}, "at"),
    ("/lifecycle/reload", {"folder": "x"}, "folder"),
    ("/departments/INFO/deactivate", {"whi": "x"}, "whi"),
    ("/departments/INFO/deactivate", {"dryRun": True, "why": "x\ty"}, "why"),
    ("/departments/INFO/activate", {"dryRun": 1}, "dryRun"),
])
def test_bodies_are_read_strictly(waiting, path, body, named):
    status, answer = ask(waiting, "POST", path, body)
    assert (status, named in answer["message"]) == (400, True), answer


def test_a_reason_is_short_and_plain_on_every_route(waiting, uid):
    hold(waiting, uid)
    _, shown = ask(waiting, "GET", f"/lifecycle/identities/{uid}")
    one = f"/management/identities/{shown['data']['_id']}"
    bad = {"why": "x\n#y" * 100}
    for path, body in [
        (f"{one}/state", {"state": 2}),
        (f"{one}/lifecycle", {"lifecycle": "M"}),
        ("/management/identities/state", {"ids": [shown["data"]["_id"]], "state": 2}),
    ]:
        status, answer = ask(waiting, "PATCH", path, body | bad)
        assert (status, "why: expected at the most 256 bytes" in answer["message"]) == (400, True), (path, answer)
    assert state(waiting, uid) == "1"


def test_filters_find_whom_they_name(waiting, uid):
    for name in ["a", "b", "c"]:
        hold(waiting, uid + name)
    by_state = f"(&(vestibuleState=1)(uid={uid}a))"
    assert "1 released" in lifecycle(waiting, "release", "--filter", by_state).stdout
    status, answer = ask(waiting, "POST", "/lifecycle/release", {"filter": {"inetOrgPerson.uid": f"{uid}b"}})
    assert (status, answer["data"]) == (200, {"released": 1, "refused": []})
    assert [state(waiting, uid + name) for name in "abc"] == ["2", "2", "1"]
    assert lifecycle(waiting, "release", "--why", "the rest").returncode == 0
    assert state(waiting, uid + "c") == "2"


def test_one_who_is_refused_holds_up_nobody(new_server, uid):
    server = new_server()
    schemas = server.folder / "schemas"
    shutil.copytree(REPO / "schemas", schemas)
    server.config.write_text(server.config.read_text().replace(f"schemas: {REPO}/schemas", f"schemas: {schemas}"))
    server.start()
    hold(server, uid + "a", classes=["supannPerson"], supannEmpId="12345")
    hold(server, uid + "b", classes=["supannPerson"], supannEmpId="1")
    hold(server, uid + "c")
    (schemas / "classes" / "supannPerson.yml").write_text(STRICTER)
    assert ask(server, "POST", "/schema/reload", {})[0] == 200
    status, answer = ask(server, "POST", "/lifecycle/release", {"all": True})
    assert (status, answer["data"]["released"]) == (200, 2), answer
    [kept] = answer["data"]["refused"]
    assert kept["dn"].startswith(f"uid={uid}b,") and "supannEmpId" in kept["reason"], kept
    assert [state(server, uid + name) for name in "abc"] == ["2", "1", "2"]
    again = lifecycle(server, "release")
    assert "0 released" in again.stdout and f"refused: uid={uid}b," in again.stdout, again
    assert server.stop() == 0
