"""The exporter against SCIM servers that we did not write. What each holds in the end is read from it
by its own API. The servers differ where the standard leaves room and where they leave the standard;
each such habit is a case of its own."""

import json
import urllib.request

import pytest

from scim_servers import ENTERPRISE, PATHS, Liar, ScimServer, TokenServer
from scim_servers import TOKEN as TARGET_TOKEN
from support import PEOPLE, SUFFIX, TOKEN, Server, person, wait_for

GROUPS = f"ou=groups,{SUFFIX}"
BASES = "".join(f"dn: ou={ou},{SUFFIX}\nobjectClass: organizationalUnit\nou: {ou}\n\n" for ou in ("people", "groups"))
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


class Export:
    """A gateway whose people and groups go to one SCIM server."""

    def __init__(self, server, target, **keys):
        self.server = server
        self.target = target
        self.keys = keys
        (server.folder / "targets" / "t.token").write_text(TARGET_TOKEN)
        (server.folder / "targets" / "t.secret").write_text("se/cret\n")
        self.write()
        server.start()
        server.add(BASES).ok()

    def write(self):
        keys = {
            "kind": "scim", "base_url": self.target.url, "token_file": "t.token", "user_name": "mail",
            "retry_min_ms": 20, "retry_max_ms": 200,
        }
        keys = {key: value for key, value in (keys | self.keys).items() if value is not None}
        (self.server.folder / "targets" / "t.yml").write_text(json.dumps(keys))

    def status(self):
        request = urllib.request.Request(
            f"http://{self.server.http}/targets", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)[0]

    def requests(self, *, method, collection):
        """The statuses of the requests of one kind, from the provisioning log."""
        lines = (self.server.data / "provisioning" / "t.jsonl").read_text().splitlines()
        lines = [json.loads(line) for line in lines]
        path = f"/{collection}"
        return [line["status"] for line in lines if line["action"] == method and path in line["path"]]

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
        self.server.add(person(uid, parent=PEOPLE, **values)).ok()

    def old_account(self, name):
        """An account that was there before the person was."""
        status, answer = self.target.ask("POST", "Users", {
            "schemas": [USER], "userName": name, "name": {"givenName": "Old", "familyName": "Account"},
            "emails": [{"value": name, "type": "work", "primary": True}], "active": True,
        })
        assert status == 201, answer

    def group(self, cn, *members, base=GROUPS):
        lines = [f"dn: cn={cn},{base}", "objectClass: groupOfNames", f"cn: {cn}"]
        lines += [f"member: uid={uid},{PEOPLE}" for uid in members]
        self.server.add("\n".join(lines) + "\n").ok()

    def change(self, rdn, base, *lines):
        self.server.modify("\n".join([f"dn: {rdn},{base}", "changetype: modify", *lines]) + "\n").ok()

    def set(self, uid, name, *values):
        self.change(f"uid={uid}", PEOPLE, f"replace: {name}", *[f"{name}: {value}" for value in values])

    def members(self, cn, how, *uids):
        self.change(f"cn={cn}", GROUPS, f"{how}: member", *[f"member: uid={uid},{PEOPLE}" for uid in uids])


def mail(*uids):
    return sorted(f"{uid}@valmont.example" for uid in uids)


@pytest.fixture
def export(new_server, tmp_path):
    """Makes a target and a gateway that exports to it, for one test."""
    made = []

    def make(name, before=None, **keys):
        target = ScimServer(name, tmp_path / name)
        made.append(target)
        if before:
            made.append(before(target))
            keys["base_url"] = made[-1].url
        return Export(new_server(name=f"gateway-{name}", flags=["--no-demo"]), target, **keys)

    yield make
    for target in made:
        target.stop()


@pytest.fixture(scope="module")
def gates(tmp_path_factory):
    """One target and one gateway of each name, for tests that keep to people and groups of their own."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            target = ScimServer(name, folder / "target")
            made[name] = Export(Server(folder / "gateway", flags=["--no-demo"]), target)
        return made[name]

    yield get
    for gate in made.values():
        gate.target.stop()
        gate.server.stop()


# What a server cannot hold is not asked of it.
KEEPS_EXTENSION = {"scim2-server", "scimmy", "better-auth"}
KEEPS_TITLE = {"scim2-server", "scimmy"}
KEEPS_DELETED = {"django-scim2-server"}
# Where userNames that differ in case are two.
KEEPS_CASE = {"django-scim2", "django-scim2-server"}


@pytest.mark.parametrize("name", PATHS)
def test_people_and_groups_come_change_and_go(gates, name):
    gate = gates(name)
    target = gate.target
    gate.add("ada", title="Ingénieure", employeeNumber="42", cn="Ada \"Lou\" Martin")
    for uid in ("ben", "cleo", "dan"):
        gate.add(uid)
    gate.group("equipe", "ada", "ben", "cleo")
    gate.settled()
    users = target.users()
    assert set(mail("ada", "ben", "cleo", "dan")) <= set(users)
    assert target.groups()["equipe"] == mail("ada", "ben", "cleo")
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
    now = target.users()["ada.durand@valmont.example"]
    assert (now["id"], now["name"]["familyName"], now.get("title")) == (ada["id"], "Durand", None)
    assert target.groups()["equipe"] == mail("ada.durand", "cleo", "dan")

    # Someone goes, a group goes.
    gate.server.delete(f"uid=ben,{PEOPLE}").ok()
    gate.group("autre", "cleo")
    gate.settled()
    assert target.groups()["autre"] == mail("cleo")
    gate.server.delete(f"cn=equipe,{GROUPS}").ok()
    gate.settled()
    assert "equipe" not in target.groups()
    left = target.users()
    if name in KEEPS_DELETED:
        assert left.pop("ben@valmont.example")["active"] is False
    assert set(left) & set(mail("ada", "ada.durand", "ben", "cleo", "dan")) == set(mail("ada.durand", "cleo", "dan"))


@pytest.mark.parametrize("name", PATHS)
def test_an_account_is_closed_and_opened_again(gates, name):
    gate = gates(name)
    gate.add("gil")
    gate.group("fermee", "gil")
    gate.settled()
    for lifecycle, active in (("I", False), ("O", True)):
        gate.set("gil", "vestibuleLifecycle", lifecycle)
        gate.settled()
        assert gate.target.users()["gil@valmont.example"]["active"] is active
        # A closed account keeps its groups.
        assert gate.target.groups()["fermee"] == mail("gil")


@pytest.mark.parametrize("name", PATHS)
def test_an_account_that_was_there_becomes_ours(gates, name):
    gate = gates(name)
    gate.old_account("hugo@valmont.example")
    old = gate.target.users()["hugo@valmont.example"]
    gate.add("hugo")
    gate.settled()
    now = gate.target.users()["hugo@valmont.example"]
    assert (now["id"], now["name"]["givenName"]) == (old["id"], "Hugo")
    assert now["externalId"]


@pytest.mark.parametrize("name", sorted(set(PATHS) - KEEPS_CASE))
def test_an_account_in_other_letters_becomes_ours(gates, name):
    """userName has no case (RFC 7643 section 4.1.1); SCIMMY refuses a second one and finds no first."""
    gate = gates(name)
    gate.old_account("INES@valmont.example")
    old = {u["id"] for u in gate.target.users().values() if u["userName"].lower() == "ines@valmont.example"}
    gate.add("ines")
    gate.settled()
    (now,) = [u for u in gate.target.users().values() if u["userName"].lower() == "ines@valmont.example"]
    assert ({now["id"]}, now["name"]["givenName"], bool(now["externalId"])) == (old, "Ines", True)


def test_two_accounts_of_one_name_are_left_alone(gates):
    """Both are hits, and neither is picked."""
    gate = gates("django-scim2-server")
    for one in ("JADE@valmont.example", "Jade@valmont.example"):
        gate.old_account(one)
    old = gate.target.users()
    gate.add("jade")
    gate.add("karl")
    assert "several objects" in gate.settled(failed=1)["last_error"]
    now = gate.target.users()
    assert set(now) == {*old, "karl@valmont.example"}
    assert all(now[one] == old[one] for one in old)
    gate.server.delete(f"uid=jade,{PEOPLE}").ok()
    gate.settled()
    assert set(gate.target.users()) == set(now)


def test_nobody_is_adopted_where_the_file_says_never(export):
    gate = export("scim2-server", match="never")
    gate.old_account("ada@valmont.example")
    gate.add("ada")
    gate.settled(failed=1)
    assert gate.target.users()["ada@valmont.example"]["name"]["givenName"] == "Old"


@pytest.mark.parametrize("name", sorted(set(PATHS) - KEEPS_DELETED))
def test_what_someone_deleted_there_comes_back(gates, name):
    gate = gates(name)
    gate.add("lea")
    gate.add("max")
    gate.group("retour", "lea", "max")
    gate.settled()
    old = gate.target.users()["lea@valmont.example"]["id"]
    assert gate.target.ask("DELETE", f"Users/{old}")[0] == 204
    gate.set("lea", "givenName", "Lena")
    gate.settled()
    now = gate.target.users()["lea@valmont.example"]
    assert (now["id"] == old, now["name"]["givenName"]) == (False, "Lena")
    assert "lea@valmont.example" in gate.target.groups()["retour"]


def test_a_form_that_is_not_known_is_asked_for_once(export):
    """django-scim2 answers 501 to most PATCH forms, to members in a create by leaving them out, and to
    the removal of a member by a path."""
    gate = export("django-scim2")
    uids = ["ada", "ben", "cleo", "dan"]
    for uid in uids:
        gate.add(uid)
    gate.group("equipe", *uids)
    gate.settled()
    for uid in uids[:3]:
        gate.set(uid, "sn", "Durand")
        gate.members("equipe", "delete", uid)
        gate.settled()
    assert gate.target.groups() == {"equipe": mail("dan")}
    assert {u["name"]["familyName"] for u in gate.target.users().values()} == {"Durand", "Martin"}
    assert gate.requests(method="PATCH", collection="Groups").count(501) == 1
    assert gate.requests(method="PATCH", collection="Users").count(501) <= 1


@pytest.mark.parametrize(("name", "most"), [("scim2-server", 2), ("scimmy", 0)])
def test_members_go_though_the_configured_form_is_refused(export, name, most):
    """scim2-server refuses a list of values, SCIMMY takes both forms."""
    gate = export(name, member_removal="entra")
    for uid in ("ada", "ben", "cleo"):
        gate.add(uid)
    gate.group("equipe", "ada", "ben", "cleo")
    gate.settled()
    for uid in ("ada", "ben"):
        gate.members("equipe", "delete", uid)
        gate.settled()
    assert gate.target.groups() == {"equipe": mail("cleo")}
    assert gate.requests(method="PATCH", collection="Groups").count(400) <= most


def test_large_groups_come_and_go_in_parts(export):
    gate = export("scim2-server", member_chunk=10)
    uids = [f"p{n}" for n in range(35)]
    for uid in uids:
        gate.add(uid)
    gate.group("equipe", *uids)
    gate.settled()
    assert gate.target.groups() == {"equipe": mail(*uids)}
    gate.members("equipe", "delete", *uids[:25])
    gate.settled()
    assert gate.target.groups() == {"equipe": mail(*uids[25:])}
    # Whatever could still come of the create, then three for those who go.
    assert gate.requests(method="PATCH", collection="Groups").count(204) >= 6
    assert gate.requests(method="PUT", collection="Groups") == []


@pytest.mark.parametrize("name", ["better-auth", "django-scim2", "django-scim2-server"])
def test_two_groups_of_one_name(gates, name):
    """409, 409 without a word of what, and 500 with a page of HTML: the second group fails, and says why."""
    gate = gates(name)
    gate.add("noe")
    gate.add("olga")
    gate.group("double", "noe")
    gate.settled()
    gate.server.add(f"dn: ou=more,{GROUPS}\nobjectClass: organizationalUnit\nou: more\n").ok()
    gate.group("double", "olga", base=f"ou=more,{GROUPS}")
    assert "name" in gate.settled(failed=1)["last_error"]
    assert gate.target.groups()["double"] == mail("noe")
    # As soon as the name is free it is taken.
    gate.server.delete(f"cn=double,{GROUPS}").ok()
    gate.settled()
    assert gate.target.groups()["double"] == mail("olga")


@pytest.mark.parametrize("name", sorted(KEEPS_EXTENSION))
def test_a_manager_is_named_by_the_id_there(gates, name):
    gate = gates(name)
    gate.add("paul", manager=f"uid=rose,{PEOPLE}")
    gate.add("rose")
    gate.settled()
    users = gate.target.users()
    manager = users["paul@valmont.example"][ENTERPRISE]["manager"]["value"]
    assert manager == users["rose@valmont.example"]["id"]


def test_a_token_that_changes_is_read_again(export):
    gate = export("scim2-server")
    gate.add("ada")
    gate.settled()
    token = gate.server.folder / "targets" / "t.token"
    token.write_text("wrong")
    gate.add("ben")
    wait_for(lambda: "401" in (gate.status()["last_error"] or ""), "the token is refused")
    token.write_text(TARGET_TOKEN)
    gate.settled()
    assert sorted(gate.target.users()) == mail("ada", "ben")


def test_a_token_from_an_authorisation_server(export):
    """Asked for once, and once more when the first token is refused."""
    tokens = TokenServer("stale", TARGET_TOKEN)
    oauth = {"token_url": f"{tokens.url}/token", "client_id": "gate way", "client_secret_file": "t.secret", "scope": "scim"}
    gate = export("scim2-server", token_file=None, oauth=oauth)
    for uid in ("ada", "ben", "cleo"):
        gate.add(uid)
    gate.settled()
    assert sorted(gate.target.users()) == mail("ada", "ben", "cleo")
    # RFC 6749 section 2.3.1: id and secret are encoded as in a form.
    asked = ("POST", "Basic", "gate+way:se%2Fcret", "grant_type=client_credentials&scope=scim")
    assert tokens.asked == [asked, asked]
    assert "se/cret" not in gate.server.log()
    tokens.stop()


def test_an_account_that_was_to_be_closed_and_was_not_is_an_error(export):
    gate = export("scim2-server", before=Liar)
    gate.add("ada")
    gate.settled()
    gate.set("ada", "vestibuleLifecycle", "I")
    assert "left the account active" in gate.settled(failed=1)["last_error"]


def test_a_server_without_patch(export):
    gate = export("scim2-server", profile="put-only")
    for uid in ("ada", "ben", "cleo"):
        gate.add(uid, title="Titre")
    gate.group("equipe", "ada", "ben")
    gate.settled()
    # Something of the target's own stays (RFC 7644 section 3.5.1).
    ada = gate.target.users()["ada@valmont.example"]
    own = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
           "Operations": [{"op": "add", "path": "locale", "value": "fr-FR"}]}
    assert gate.target.ask("PATCH", f"Users/{ada['id']}", own)[0] in (200, 204)
    gate.set("ada", "title")
    gate.members("equipe", "add", "cleo")
    gate.members("equipe", "delete", "ben")
    gate.settled()
    ada = gate.target.users()["ada@valmont.example"]
    assert (ada.get("title"), ada["locale"]) == (None, "fr-FR")
    assert gate.target.groups() == {"equipe": mail("ada", "cleo")}
    assert gate.requests(method="PATCH", collection="") == []
