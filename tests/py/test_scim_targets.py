"""The exporter against SCIM servers that we did not write. What each holds in the end is read from it
by its own API. The servers differ where the standard leaves room and where they leave the standard;
each such habit is a case of its own."""

import json
import urllib.request

import pytest

from scim_servers import ENTERPRISE, ScimServer
from scim_servers import TOKEN as TARGET_TOKEN
from support import SUFFIX, TOKEN, person, wait_for

STAFF = f"ou=staff,{SUFFIX}"
TEAMS = f"ou=teams,{SUFFIX}"
BASES = "\n".join(f"dn: {base}\nobjectClass: organizationalUnit\nou: {base[3:8]}\n" for base in (STAFF, TEAMS))


class Export:
    """A gateway whose staff and teams go to one SCIM server."""

    def __init__(self, server, target, **keys):
        self.server = server
        self.target = target
        self.keys = keys
        (server.folder / "targets" / "t.token").write_text(TARGET_TOKEN)
        self.write()
        server.start()
        server.add(BASES).ok()

    def write(self):
        keys = {
            "kind": "scim", "base_url": self.target.url, "token_file": "t.token", "user_name": "mail",
            "retry_min_ms": 20, "retry_max_ms": 200,
            "users": {"base": STAFF}, "groups": {"base": TEAMS},
        }
        (self.server.folder / "targets" / "t.yml").write_text(json.dumps(keys | self.keys))

    def status(self):
        request = urllib.request.Request(
            f"http://{self.server.http}/targets", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)[0]

    def settled(self, failed=0):
        """Waits until nothing is left to do; `failed` objects stay undone."""
        def done():
            self.last = self.status()
            return self.last["pending"] == 0 and self.last["lag"] == 0

        try:
            wait_for(done, "the target has everything")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.last}") from None
        assert self.last["failed"] == failed, self.last
        return self.last

    def add(self, uid, **attrs):
        values = {"mail": f"{uid}@valmont.example", "givenName": uid.capitalize(), "sn": "Martin"} | attrs
        self.server.add(person(uid, parent=STAFF, **values)).ok()

    def team(self, cn, *members):
        lines = [f"dn: cn={cn},{TEAMS}", "objectClass: groupOfNames", f"cn: {cn}"]
        lines += [f"member: uid={uid},{STAFF}" for uid in members]
        self.server.add("\n".join(lines) + "\n").ok()

    def change(self, rdn, base, *lines):
        self.server.modify("\n".join([f"dn: {rdn},{base}", "changetype: modify", *lines]) + "\n").ok()

    def set(self, uid, name, *values):
        self.change(f"uid={uid}", STAFF, f"replace: {name}", *[f"{name}: {value}" for value in values])

    def members(self, cn, how, *uids):
        self.change(f"cn={cn}", TEAMS, f"{how}: member", *[f"member: uid={uid},{STAFF}" for uid in uids])


def mail(*uids):
    return sorted(f"{uid}@valmont.example" for uid in uids)


@pytest.fixture
def export(new_server, tmp_path):
    """Makes a target and a gateway that exports to it."""
    made = []

    def make(name, before=None, **keys):
        target = ScimServer(name, tmp_path / name)
        made.append(target)
        if before:
            before(target)
        return Export(new_server(name="gateway"), target, **keys)

    yield make
    for target in made:
        target.stop()


# What a server cannot hold is not asked of it.
KEEPS_EXTENSION = {"scim2-server", "scimmy", "better-auth"}
KEEPS_TITLE = {"scim2-server", "scimmy"}
KEEPS_DELETED = {"django-scim2-server"}


@pytest.mark.parametrize("name", ["scim2-server", "scimmy", "better-auth"])
def test_people_and_teams_come_change_and_go(export, name):
    gate = export(name)
    target = gate.target
    gate.add("ada", title="Ingénieure", employeeNumber="42", cn="Ada \"Lou\" Martin")
    for uid in ("ben", "cleo", "dan"):
        gate.add(uid)
    gate.team("equipe", "ada", "ben", "cleo")
    gate.settled()
    users = target.users()
    assert sorted(users) == mail("ada", "ben", "cleo", "dan")
    assert target.groups() == {"equipe": mail("ada", "ben", "cleo")}
    ada = users["ada@valmont.example"]
    assert (ada["name"]["familyName"], ada["active"]) == ("Martin", True)
    assert ada["externalId"]
    if name in KEEPS_TITLE:
        assert ada["title"] == "Ingénieure"
    if name in KEEPS_EXTENSION:
        assert ada[ENTERPRISE]["employeeNumber"] == "42"

    # A value changes, one is cleared, the name at the target too; the id stays.
    gate.set("ada", "sn", "Durand")
    gate.set("ada", "title")
    gate.set("ada", "mail", "ada.durand@valmont.example")
    gate.members("equipe", "add", "dan")
    gate.members("equipe", "delete", "ben")
    gate.settled()
    users = target.users()
    now = users["ada.durand@valmont.example"]
    assert (now["id"], now["name"]["familyName"], now.get("title")) == (ada["id"], "Durand", None)
    assert target.groups() == {"equipe": sorted(["ada.durand@valmont.example", *mail("cleo", "dan")])}

    # Someone goes, a team goes.
    gate.server.delete(f"uid=ben,{STAFF}").ok()
    gate.team("autre", "cleo")
    gate.settled()
    assert target.groups()["autre"] == mail("cleo")
    gate.server.delete(f"cn=equipe,{TEAMS}").ok()
    gate.settled()
    assert list(target.groups()) == ["autre"]
    left = target.users()
    if name in KEEPS_DELETED:
        assert left.pop("ben@valmont.example")["active"] is False
    assert sorted(left) == sorted(["ada.durand@valmont.example", *mail("cleo", "dan")])
