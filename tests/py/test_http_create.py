"""Creation as Sesame documents it, row by row, and the seed's curl line typed by hand."""

import json
import subprocess

import pytest

from contract import IDENTITIES, Call, check_golden, identity
from support import PEOPLE, TOKEN

SUPANN = {"supannPerson": {"supannCivilite": "Mme", "supannRefId": ["{HARPEGE}12"]}}
BROKEN = {"supannPerson": {"supannCivilite": "Madame"}}


def create(server, body, path=IDENTITIES):
    return Call(server, "POST", path, body)


ROWS = {
    "class-without-block": (400, lambda u: {**identity(u), "additionalFields": {"objectClasses": ["supannPerson"], "attributes": {}}}),
    "block-not-listed": (400, lambda u: {**identity(u), "additionalFields": {"objectClasses": [], "attributes": SUPANN}}),
    "class-without-file": (400, lambda u: identity(u, classes={"nothing": {}})),
    "all-config-faults": (400, lambda u: {**identity(u), "additionalFields": {
        "objectClasses": ["supannPerson", "nothing"], "attributes": {"eduPerson": {}}}}),
    "config-fault-and-state-1": (400, lambda u: identity(u, state=1, classes={"nothing": {}})),
    "broken-values-state-1": (400, lambda u: identity(u, state=1, classes=BROKEN)),
    "broken-values": (202, lambda u: identity(u, classes=BROKEN)),
    "value-that-ldap-cannot-hold": (202, lambda u: identity(u, mail="né@valmont.example")),
    "missing-uid": (406, lambda u: {"state": -1, "inetOrgPerson": {"cn": "C", "sn": "N"}}),
    "missing-all": (406, lambda u: {"state": -1, "inetOrgPerson": {}}),
    "unknown-state": (406, lambda u: identity(u, state=7)),
    "valid": (201, lambda u: identity(u, classes=SUPANN, mail=f"{u}@valmont.example")),
    "valid-without-state": (201, lambda u: identity(u, state=None)),
    "valid-state-2": (201, lambda u: identity(u, state=2)),
    "state-that-nobody-asks-for": (400, lambda u: identity(u, state=99)),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_row(server, name):
    status, body = ROWS[name]
    uid = f"row-{name}"
    call = create(server, body(uid)).gives(status)
    check_golden(f"create-{name}", [call])
    found = server.search(f"(uid={uid})", "*", "+").entries
    assert bool(found) == (status in (201, 202))
    if found:
        state = int(found[0][1]["vestibuleState"][0])
        assert state == {"valid-state-2": 2}.get(name, 1 if status == 201 else -2) == call.data["state"]


def test_a_uid_or_mail_in_use_is_a_conflict(server):
    create(server, identity("taken", mail="taken@valmont.example")).gives(201)
    create(server, identity("taken")).gives(409)
    create(server, identity("taken2", mail="TAKEN@valmont.example")).gives(409)
    assert server.search("(uid=taken2)").entries == []


def test_the_same_entry_over_ldap(server):
    call = create(server, identity("seen", classes=SUPANN, employeeNumber=["7", "8"])).gives(201)
    entry = server.search("(uid=seen)", "*", "+").entry
    assert entry["entryUUID"] == [call.id.encode()]
    assert entry["supannCivilite"] == [b"Mme"] and entry["employeeNumber"] == [b"7"]
    assert set(entry["objectClass"]) >= {b"inetOrgPerson", b"supannPerson", b"person"}
    assert call.data["inetOrgPerson"]["employeeNumber"] == ["7", "8"]
    dn = f"uid=seen,{PEOPLE}"
    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 9\n").ok()
    assert Call(server, "GET", f"{IDENTITIES}/{call.id}").gives(200).data["inetOrgPerson"]["employeeNumber"] == ["9"]
    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: supannCivilite\nsupannCivilite: Madame\n").refused(19)
    body = identity("seen", classes=BROKEN)
    Call(server, "PATCH", f"{IDENTITIES}/{call.id}", {**body, "state": 1}).gives(400)


def test_a_held_identity_is_completed_over_ldap(server):
    call = create(server, identity("held1", classes=BROKEN)).gives(202)
    assert call.data["additionalFields"]["validations"] == {"supannPerson": {"supannCivilite": "expected M. or Mme"}}
    entry = server.search("(uid=held1)", "*", "+").entry
    assert entry["supannCivilite"] == [b"Madame"] and b"supannCivilite" in entry["vestibuleMissing"][0]
    server.modify(f"dn: uid=held1,{PEOPLE}\nchangetype: modify\nreplace: supannCivilite\nsupannCivilite: Mme\n").ok()
    after = Call(server, "GET", f"{IDENTITIES}/{call.id}").data
    assert after["state"] in (2, 99) and "validations" not in after["additionalFields"]


def test_a_value_that_ldap_cannot_hold_is_completed_over_ldap(server):
    call = create(server, identity("held2", mail="né@valmont.example")).gives(202)
    assert call.data["inetOrgPerson"]["mail"] == "né@valmont.example"
    dn = f"uid=held2,{PEOPLE}"
    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: title\ntitle: x\n").ok()
    assert Call(server, "GET", f"{IDENTITIES}/{call.id}").data["state"] == -2
    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: mail\nmail: ne@valmont.example\n").ok()
    after = Call(server, "GET", f"{IDENTITIES}/{call.id}").data
    assert after["state"] in (2, 99) and after["inetOrgPerson"]["mail"] == "ne@valmont.example"


def test_a_held_identity_is_completed_over_http(server):
    call = create(server, identity("held3", classes=BROKEN)).gives(202)
    path = f"{IDENTITIES}/{call.id}"
    Call(server, "PATCH", path, identity("held3", classes=BROKEN, title="x")).gives(202)
    done = Call(server, "PATCH", path, identity("held3", classes=SUPANN)).gives(200)
    assert done.data["state"] == 1 and "title" not in done.data["inetOrgPerson"]


def curl(server, body, path="/identities"):
    """As on the seed's page."""
    result = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", "-X", "POST", f"http://{server.http}{path}",
         "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {TOKEN}", "-d", json.dumps(body)],
        capture_output=True, text=True, timeout=30, check=True)
    answer, status = result.stdout.rsplit("\n", 1)
    return int(status), json.loads(answer)


@pytest.mark.parametrize("name, status, classes, person", [
    ("curl1", 201, SUPANN, {}),
    ("curl2", 202, BROKEN, {}),
    ("curl3", 400, {"unlisted": {"a": "b"}}, {}),
    ("curl4", 406, SUPANN, {"uid": ""}),
])
def test_the_request_of_the_seed_by_curl(server, name, status, classes, person):
    assert curl(server, identity(name, classes=classes, **person))[0] == status
    kept = server.search(f"(uid={name})", "+").entries
    assert len(kept) == (1 if status in (201, 202) else 0)
    if status == 202:
        assert kept[0][1]["vestibuleState"] == [b"-2"]


def test_bodies_that_are_none(server):
    for raw in ([], "x", 1, None):
        Call(server, "POST", IDENTITIES, raw).gives(400)
    Call(server, "POST", IDENTITIES, {"inetOrgPerson": [], "additionalFields": {}}).gives(400)
    Call(server, "POST", IDENTITIES, identity("x", userPassword="secret")).gives(400)
    Call(server, "POST", IDENTITIES, identity("x"), token="wrong").gives(401)


def test_validation_is_a_dry_run(server):
    before = server.search("(objectClass=*)", "contextCSN", scope="base").entry["contextCSN"]
    path = f"{IDENTITIES}/validation"
    blocks = lambda block: {"objectClasses": list(block), "attributes": block}
    Call(server, "POST", path, {"additionalFields": blocks(SUPANN)}).gives(201)
    Call(server, "POST", path, blocks(SUPANN)).gives(201)
    refused = Call(server, "POST", path, {"additionalFields": blocks(BROKEN)}).gives(400)
    assert refused.body["validations"] == {"supannPerson": {"supannCivilite": "expected M. or Mme"}}
    Call(server, "POST", path, {"additionalFields": blocks({"nothing": {}})}).gives(400)
    assert server.search("(objectClass=*)", "contextCSN", scope="base").entry["contextCSN"] == before
    assert "supannPerson" in Call(server, "GET", path).gives(200).data
    names = [p["name"] for p in Call(server, "GET", f"{path}/supannperson").gives(200).data["properties"]]
    assert "supannCivilite" in names
    Call(server, "GET", f"{path}/nothing").gives(404)


@pytest.mark.parametrize("value", [["a", "b"], {"x": 1}, True, 12])
def test_a_value_of_another_type_is_broken(server, value):
    """Nothing is coerced (Sesame of the documented contract); the value is kept as it was sent."""
    uid = f"typed-{type(value).__name__}"
    broken = {"supann": {"supannBirthName": value}}
    call = create(server, identity(uid, classes=broken)).gives(202)
    assert "string" in call.data["additionalFields"]["validations"]["supann"]["supannBirthName"]
    assert call.data["additionalFields"]["attributes"] == broken
    create(server, identity(uid + "1", state=1, classes=broken)).gives(400)
    mended = {"supann": {"supannBirthName": "Martin"}}
    Call(server, "PATCH", f"{IDENTITIES}/{call.data['_id']}", identity(uid, classes=mended)).gives(200)
    assert server.search(f"(uid={uid})", "+").entry["vestibuleState"] == [b"1"]
