"""State, lifecycle, activation, lists, deletes, duplicates and fusion over HTTP."""

import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract import IDENTITIES, Call, identity, query
from support import PEOPLE, person


def create(server, name, **more):
    return Call(server, "POST", IDENTITIES, identity(name, **more)).gives(201)


def get(server, id, rest=""):
    return Call(server, "GET", f"{IDENTITIES}/{id}{rest}").gives(200).data


def found(server, **parameters):
    return Call(server, "GET", f"{IDENTITIES}?{urllib.parse.urlencode(parameters)}").gives(200).body


def names(body):
    return [row["inetOrgPerson"]["uid"] for row in body["data"]]


def test_a_full_update(server):
    call = create(server, "full", title="first", classes={"supannPerson": {"supannCivilite": "Mme"}})
    path = f"{IDENTITIES}/{call.id}"
    Call(server, "PATCH", path, {"inetOrgPerson": {}}).gives(400)
    Call(server, "PATCH", path, {"inetOrgPerson": {"cn": "x"}, "additionalFields": {}}).gives(406)
    done = Call(server, "PATCH", path, identity("full", None, sn="Second")).gives(200)
    assert done.data["state"] == 1 and done.data["inetOrgPerson"]["sn"] == "Second"
    entry = server.search("(uid=full)").entry
    assert "title" not in entry and b"supannPerson" not in entry["objectClass"]
    renamed = Call(server, "PATCH", path, identity("full-renamed", None)).gives(200)
    assert renamed.data["dn"] == f"uid=full-renamed,{PEOPLE}" and renamed.id == call.id
    assert server.search("(uid=full)").entries == []
    Call(server, "PATCH", path, identity("amartin", None)).gives(409)
    Call(server, "PATCH", f"{IDENTITIES}/nobody", identity("x")).gives(404)


def test_moves_of_the_state(server):
    call = create(server, "moved")
    path = f"{IDENTITIES}/{call.id}/state"
    refused = Call(server, "PATCH", path, {"state": 99}).gives(400)
    assert "2 TO_SYNC" in refused.body["message"]
    assert Call(server, "PATCH", path, {"state": 2, "why": "looks good"}).gives(200).data["state"] == 2
    back = Call(server, "PATCH", path, {"state": 1}).gives(400)
    assert "2 TO_SYNC cannot become 1 TO_VALIDATE here" in back.body["message"]
    assert back.body["message"].endswith("allowed: none")
    Call(server, "PATCH", path, {"state": "two"}).gives(400)
    moves = get(server, call.id, "/history")
    assert [(m["axis"], m["from"], m["to"]) for m in moves][:2] == [("state", None, "1"), ("state", "1", "2")]
    assert moves[1]["why"] == "looks good" and moves[1]["actor"].startswith("cn=admin")


def test_moves_of_many(server):
    ids = [create(server, f"many{n}").id for n in range(3)]
    moved = Call(server, "PATCH", f"{IDENTITIES}/state", {"ids": ids, "state": 2}).gives(200)
    assert [d["state"] for d in moved.data] == [2, 2, 2]
    held = Call(server, "POST", IDENTITIES, identity("many-held", classes={"supannPerson": {"supannCivilite": "?"}}))
    ready = create(server, "many-ready").id
    refused = Call(server, "PATCH", f"{IDENTITIES}/state", {"ids": [ready, held.id], "state": 2}).gives(400)
    assert "-2 TO_COMPLETE" in refused.body["message"]
    assert get(server, ready)["state"] == 1, "all or none"
    Call(server, "PATCH", f"{IDENTITIES}/state", {"ids": "x", "state": 2}).gives(400)


def test_lifecycle(server):
    call = create(server, "career")
    path = f"{IDENTITIES}/{call.id}/lifecycle"
    done = Call(server, "PATCH", path, {"lifecycle": "I"}).gives(200)
    assert done.data["lifecycle"] == "I" and done.data["lastLifecycleUpdate"]
    assert done.data["state"] == 1
    Call(server, "PATCH", path, {"lifecycle": "II"}).gives(400)
    Call(server, "PATCH", path, {}).gives(400)


def test_activation_needs_a_synchronised_identity(server):
    call = create(server, "active")
    path = f"{IDENTITIES}/{call.id}/activation"
    Call(server, "PATCH", path, {"status": True}).gives(400)
    assert get(server, call.id)["dataStatus"] == 0
    Call(server, "PATCH", path, {}).gives(400)


def test_delete_and_undelete(server):
    call = create(server, "gone", mail="gone@valmont.example")
    assert Call(server, "DELETE", f"{IDENTITIES}/{call.id}").gives(200).data["deletedFlag"] is True
    assert server.search("(uid=gone)").entries == []
    assert "gone" in names(Call(server, "GET", f"{IDENTITIES}/getdeleted").gives(200).body)
    assert get(server, call.id)["state"] == -99
    assert "gone" not in names(found(server, limit=1000)) and "gone" in names(found(server, **{"filters[#state]": -99}))
    Call(server, "DELETE", f"{IDENTITIES}/{call.id}").gives(404)
    back = Call(server, "POST", "/core/backends/undelete", {"payload": [call.id]}).gives(202)
    restored = back.body["data"][call.id]
    assert (restored["state"], restored["dataStatus"], restored["deletedFlag"]) == (-1, 0, False)
    assert Call(server, "PATCH", f"{IDENTITIES}/{call.id}/state", {"state": 2}).gives(200).data["state"] == 2
    Call(server, "POST", "/core/backends/delete", {"payload": [call.id]}).gives(202)
    Call(server, "POST", f"{IDENTITIES}/{call.id}/undelete").gives(200)
    Call(server, "POST", f"{IDENTITIES}/{call.id}/undelete").gives(404)


def test_lists(server):
    for n in range(5):
        create(server, f"listed{n}", employeeNumber=[f"L{n}", f"second-L{n}"], employeeType="LISTED", title=f"t{n % 2}")
    of_type = {"filters[:inetOrgPerson.employeeType]": "LISTED"}
    for parameters, expected in [
        ({"sort[inetOrgPerson.uid]": "asc"}, ["listed0", "listed1", "listed2", "listed3", "listed4"]),
        ({"sort[inetOrgPerson.uid]": "desc", "limit": 2}, ["listed4", "listed3"]),
        ({"sort[inetOrgPerson.uid]": "asc", "limit": 2, "skip": 1}, ["listed1", "listed2"]),
        ({"sort[inetOrgPerson.uid]": "asc", "limit": 2, "page": 3}, ["listed4"]),
        ({"filters[:inetOrgPerson.employeeNumber]": "L3"}, ["listed3"]),
        ({"filters[:inetOrgPerson.employeeNumber]": "second-L3"}, ["listed3"]),
        ({"filters[!:inetOrgPerson.title]": "t0", "sort[inetOrgPerson.uid]": 1}, ["listed1", "listed3"]),
        ({"filters[^inetOrgPerson.uid]": "/^LISTED[12]$/i", "sort[inetOrgPerson.uid]": 1}, ["listed1", "listed2"]),
        ({"filters[#state]": 1, "filters[>inetOrgPerson.uid]": "listed3"}, ["listed4"]),
        ({"filters[#state]": 2}, []),
    ]:
        body = found(server, **of_type, **parameters)
        assert names(body) == expected, parameters
    several = [*of_type.items(), ("filters[@inetOrgPerson.uid][]", "listed1"), ("filters[@inetOrgPerson.uid][]", "listed2")]
    assert len(Call(server, "GET", f"{IDENTITIES}?{urllib.parse.urlencode(several)}").gives(200).data) == 2
    assert Call(server, "GET", f"{IDENTITIES}/count?{urllib.parse.urlencode(of_type)}").gives(200).data == 5
    assert found(server, **of_type, limit=1)["total"] == 5
    for wrong in ("filters[?uid]=x", "filters[#state]=x", "limit=x", "sort[state]=up", "filters[^cn]=("):
        Call(server, "GET", f"{IDENTITIES}?{wrong}").gives(400)


def test_identities_made_over_ldap_are_listed(server):
    server.add(person("by-ldap", mail=["by-ldap-b@valmont.example", "by-ldap-a@valmont.example"], employeeNumber="77")).ok()
    body = found(server, **{"filters[:inetOrgPerson.uid]": "by-ldap"})
    assert body["data"][0]["inetOrgPerson"] | {"cn": 0} == {
        "cn": 0, "sn": "By-ldap", "uid": "by-ldap", "mail": ["by-ldap-b@valmont.example", "by-ldap-a@valmont.example"],
        "employeeNumber": ["77"]}
    assert "userPassword" not in str(found(server, **{"filters[:inetOrgPerson.uid]": "amartin"}))


BIRTH = {"supannPerson": {"supannOIDCDateDeNaissance": "1999-12-31"}}


def twins(server, name):
    ref = lambda n: {"supannPerson": {**BIRTH["supannPerson"], "supannOIDCDateDeNaissance": f"1999-12-{10 + len(name)}",
                                      "supannRefId": [f"{{X}}{name}{n}"]}}
    make = lambda n, given: create(server, f"{name}{n}", classes=ref(n), givenName=given, employeeType="T",
                                   employeeNumber=[f"{name}{n}"], departmentNumber=[f"d{n}", "both"])
    return make(1, "Zoé"), make(2, "ZOÉ")


def groups(server, flags=""):
    rows = Call(server, "GET", f"{IDENTITIES}/duplicates{flags}").gives(200).data
    return [sorted(names({"data": row["identities"]})) for row in rows]


def test_duplicates_and_marks(server):
    one, other = twins(server, "twin")
    assert ["twin1", "twin2"] in groups(server)
    pair = {"ids": [one.id, other.id]}
    Call(server, "POST", f"{IDENTITIES}/ignore-fusion", pair).gives(200)
    assert get(server, one.id)["ignoreFusion"] == [other.id] and get(server, other.id)["ignoreFusion"] == [one.id]
    assert ["twin1", "twin2"] not in groups(server)
    assert ["twin1", "twin2"] in groups(server, "?includeIgnored=true")
    Call(server, "POST", f"{IDENTITIES}/unignore-fusion", pair).gives(200)
    assert ["twin1", "twin2"] in groups(server) and get(server, one.id)["ignoreFusion"] == []
    Call(server, "POST", f"{IDENTITIES}/ignore-fusion", {"ids": [one.id]}).gives(400)
    Call(server, "POST", f"{IDENTITIES}/ignore-fusion", {"ids": [one.id, one.id]}).gives(400)


def test_fusion_and_back(server):
    one, other = twins(server, "fused")
    pair = {"id1": one.id, "id2": other.id}
    survivor, absorbed = Call(server, "POST", f"{IDENTITIES}/fusion", pair).gives(200).data
    assert survivor["inetOrgPerson"]["employeeNumber"] == ["fused1", "fused2"]
    assert survivor["inetOrgPerson"]["departmentNumber"] == ["d1", "both", "d2"]
    assert survivor["additionalFields"]["attributes"]["supannPerson"]["supannRefId"] == ["{X}fused1", "{X}fused2"]
    assert (survivor["state"], survivor["primaryEmployeeNumber"], survivor["srcFusionId"]) == (1, "fused1", other.id)
    assert absorbed["inetOrgPerson"]["employeeNumber"] == ["Ffused2"]
    assert (absorbed["state"], absorbed["destFusionId"]) == (-99, one.id)
    entry = server.search("(uid=fused1)", "*", "+").entry
    assert entry["vestibuleFusedFrom"] == [other.id.encode()] and entry["vestibulePrimaryEmployeeNumber"] == [b"fused1"]
    assert "fused2" not in names(found(server, limit=1000))
    assert not any("fused2" in group for group in groups(server))
    Call(server, "POST", f"{IDENTITIES}/fusion", pair).gives(400)
    Call(server, "POST", f"{IDENTITIES}/unfusion", {"id1": other.id, "id2": one.id}).gives(400)
    first, second = Call(server, "POST", f"{IDENTITIES}/unfusion", pair).gives(200).data
    for before, after in ((one.data, first), (other.data, second)):
        assert after["fingerprint"] == before["fingerprint"] and after["state"] == 1
        assert not {"srcFusionId", "destFusionId", "primaryEmployeeNumber"} & set(after)
    Call(server, "POST", f"{IDENTITIES}/fusion", {"id1": one.id, "id2": "x"}).gives(400)


@pytest.mark.parametrize("put", [lambda n: [n], lambda n: n, lambda n: [str(n)]], ids=["numbers", "number", "texts"])
def test_fusion_of_identities_with_numbers(server, uid, put):
    base = 10 + abs(hash(uid)) % 10**9
    make = lambda n: create(server, f"{uid}{n}", employeeType="N", employeeNumber=put(base + n)).id
    one, other = make(1), make(2)
    survivor, absorbed = Call(server, "POST", f"{IDENTITIES}/fusion", {"id1": one, "id2": other}).gives(200).data
    assert survivor["primaryEmployeeNumber"] == str(base + 1)
    number = absorbed["inetOrgPerson"]["employeeNumber"]
    assert (number[0] if isinstance(number, list) else number) == f"F{base + 2}"
    send = lambda n: Call(server, "POST", f"{IDENTITIES}/upsert" + query(employeeNumber=base + n, employeeType="N"),
                          identity(f"{uid}{n}", None, employeeType="N", employeeNumber=put(base + n)))
    send(2).gives(303)
    send(1).gives(304)


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    from support import Server
    server = Server(tmp_path_factory.mktemp("later"), extra='http: {contract: "2025", release: automatic}\n').start()
    yield server
    assert server.stop() == 0


def test_the_later_contract(later):
    post = lambda body: Call(later, "POST", IDENTITIES, body)
    bare = post({"inetOrgPerson": {"sn": "Noir", "givenName": "Zoé", "uid": "later1", "title": None}}).gives(201).data
    assert bare["inetOrgPerson"] == {"sn": "Noir", "givenName": "Zoé", "uid": "later1", "cn": "NOIR Zoé", "title": "",
                                     "displayName": "Zoé NOIR", "employeeType": "LOCAL", "employeeNumber": ["1"]}
    assert bare["state"] in (2, 99), "http.release: automatic"
    assert post(identity("later2")).gives(201).data["inetOrgPerson"]["employeeNumber"] == ["2"]
    broken = {"supannPerson": {"supannCivilite": "Madame"}}
    post(identity("later3", classes=broken)).gives(400)
    post(identity("later3", state=-2, classes=broken)).gives(202)
    post(identity("later1")).gives(400)
    listed = identity("later4")
    listed["additionalFields"] = {"objectClasses": ["supannPerson"], "attributes": {}}
    assert post(listed).gives(201).data["additionalFields"]["attributes"] == {"supannPerson": {}}
    unlisted = identity("later5")
    unlisted["additionalFields"] = {"objectClasses": [], "attributes": {"supannPerson": {}}}
    post(unlisted).gives(400)
    typed = post(identity("later6", classes={"supannPerson": {"supannRefId": "{X}1", "supannCivilite": "Mme"}})).gives(201)
    assert typed.data["additionalFields"]["attributes"]["supannPerson"]["supannRefId"] == ["{X}1"]
    post(identity("later7", classes={"supannPerson": {f"k{n}": "" for n in range(501)}})).gives(400)


def test_local_numbers_given_at_once(later):
    make = lambda n: Call(later, "POST", IDENTITIES, identity(f"at-once{n}")).gives(201)
    with ThreadPoolExecutor(8) as pool:
        numbers = [call.data["inetOrgPerson"]["employeeNumber"][0] for call in pool.map(make, range(16))]
    assert len(set(numbers)) == 16, numbers
