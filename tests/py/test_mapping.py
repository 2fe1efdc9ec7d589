"""Maps of targets, the extension for supann, and leavers, at a SCIM server that we did not write and that
refuses what is in none of its schemas."""

import json
import pathlib
import sys

import pytest

from scim_servers import TOKEN, ScimServer
from support import PEOPLE, REPO, wait_for
from test_scim_targets import Export

SUPANN = "urn:vestibule:params:scim:schemas:extension:supann:1.0:User"
SUPANN_GROUP = "urn:vestibule:params:scim:schemas:extension:supann:1.0:Group"
CLASSES = ["supannPerson", "eduPerson"]


class WithSupann(ScimServer):
    """scim2-server with the schemas that `schemas/scim/supann.json` describes."""

    def _command(self):
        import scim2_server

        resources = pathlib.Path(scim2_server.__file__).parent / "resources"
        schemas = json.loads((resources / "default-schemas.json").read_text())
        types = json.loads((resources / "default-resource-types.json").read_text())
        schemas += json.loads((REPO / "schemas" / "scim" / "supann.json").read_text())
        for kind, urn in (("User", SUPANN), ("Group", SUPANN_GROUP)):
            [one] = [t for t in types if t["id"] == kind]
            one.setdefault("schemaExtensions", []).append({"schema": urn, "required": False})
        files = {"--schema": schemas, "--resource-type": types}
        command = super()._command()
        for option, value in files.items():
            path = self.folder / f"{option.strip('-')}.json"
            path.write_text(json.dumps(value))
            command += [option, str(path)]
        return command


@pytest.fixture
def target(tmp_path):
    target = WithSupann("scim2-server", tmp_path / "target")
    yield target
    target.stop()


def test_the_extension_for_supann_comes_changes_and_goes(target, new_server):
    gate = Export(new_server(name="gateway", flags=["--no-demo"]), target, supann_extension="always", private_attributes=["supannCodeINE"])
    gate.add("ada", classes=CLASSES, supannEtuId="E42", supannEntiteAffectation=["DSI", "DRH"],
             supannCodeINE="1234567890A", supannNomDeNaissance="Petit", supannEmpDateFin="20300831220000Z")
    gate.settled()
    held = target.users()["ada@valmont.example"][SUPANN]
    assert held["supannEtuId"] == "E42" and sorted(held["supannEntiteAffectation"]) == ["DRH", "DSI"]
    assert held["supannCodeINE"] == "1234567890A" and "supannNomDeNaissance" not in held
    assert held["supannEmpDateFin"].startswith("2030-08-31T22:00:00")
    gate.set("ada", "supannEntiteAffectation", "DAF")
    gate.set("ada", "supannEtuId")
    gate.settled()
    held = target.users()["ada@valmont.example"][SUPANN]
    assert held["supannEntiteAffectation"] == ["DAF"] and "supannEtuId" not in held


def test_a_map_file_and_what_stands_over_it(target, new_server):
    server = new_server(name="gateway", flags=["--no-demo"])
    (server.folder / "targets" / "staff.map.yml").write_text(
        "users:\n"
        "  title: {attribute: employeeType, then: [{lookup: {table: {prof: Enseignant}, otherwise: keep}}]}\n"
        "  locale: {constant: fr-FR}\n"
        "  name.formatted: {concat: [sn, {constant: ', '}, givenName], then: [upper]}\n"
    )
    gate = Export(server, target, mapping="staff.map.yml", map={"users": {"locale": {"constant": "fr-CH"}, "nickName": None}})
    gate.add("ada", classes=CLASSES, employeeType="prof", eduPersonNickname="Dada")
    gate.settled()
    held = target.users()["ada@valmont.example"]
    assert (held["title"], held["locale"], held["name"]["formatted"]) == ("Enseignant", "fr-CH", "MARTIN, ADA")
    assert "nickName" not in held


def test_check_names_every_fault_of_a_map(new_server):
    server = new_server(name="gateway", flags=["--no-demo"])
    folder = server.folder / "targets"
    (folder / "t.token").write_text(TOKEN)
    keys = {"kind": "scim", "base_url": "http://127.0.0.1:1/v2", "token_file": "t.token"}
    (folder / "bad.map.yml").write_text("users:\n  title: {frist_of: [cn]}\n")
    (folder / "t.yml").write_text(json.dumps(keys | {"mapping": "bad.map.yml", "map": {
        "users": {"nickName": "nosuch", "locale": "supannCodeINE", "title": {"attribute": "cn", "then": [{"capture": "("}]}}
    }}))
    faults = server.command("check").stderr
    for fault in ("bad.map.yml: at users.title.frist_of: users.title: unknown field `frist_of`", "map.users.title: capture:"):
        assert fault in faults, faults
    (folder / "bad.map.yml").write_text("users: {}\n")
    (folder / "t.yml").write_text(json.dumps(keys | {"map": {"users": {"nickName": "nosuch", "locale": "supannCodeINE"}}}))
    faults = server.command("check").stderr
    for fault in ("map.users.nickName: 'nosuch' is not", "map.users.locale: 'supannCodeINE' is private"):
        assert fault in faults, faults


def test_leavers_are_deactivated_and_deleted_after_their_grace(target, new_server):
    gate = Export(new_server(name="gateway", flags=["--no-demo"]), target, leavers={"action": "deactivate", "delete_after_days": 30})
    gate.add("ada", cn="Ada")
    gate.add("ben", cn="Ben")
    gate.group("dev", "ada", "ben")
    gate.settled()
    gate.server.delete(f"uid=ada,{PEOPLE}").ok()
    gate.settled()
    assert {name: user["active"] for name, user in target.users().items()} == {
        "ada@valmont.example": False, "ben@valmont.example": True,
    }
    # Another grace, and a restart: who left before is long gone.
    gate.server.stop()
    gate.keys["leavers"] = {"action": "deactivate", "delete_after_days": 0}
    gate.write()
    gate.server.start()
    wait_for(lambda: list(target.users()) == ["ben@valmont.example"], "the account is deleted")
    gate.settled()
