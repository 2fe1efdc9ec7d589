"""Upsert row by row, fingerprints computed independently, and an importer that runs twice."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract import IDENTITIES, Call, check_golden, identity, query
from support import PEOPLE

UPSERT = f"{IDENTITIES}/upsert"
FIELDS = """cn sn uid employeeType displayName facsimileTelephoneNumber givenName labeledURI mail mobile
    postalAddress preferredLanguage telephoneNumber title userCertificate jpegPhoto""".split()


def fingerprint(document):
    """As Sesame's facts have it, by another hand than the server's."""
    gone = object()

    def strip(value):
        if isinstance(value, dict):
            kept = {k: s for k, v in value.items() if (s := strip(v)) is not gone}
            return kept or gone
        if isinstance(value, list):
            return [s for v in value if (s := strip(v)) is not gone] or gone
        return value

    person = {**dict.fromkeys(FIELDS), **document["inetOrgPerson"]}
    additional = {k: v for k, v in document["additionalFields"].items() if k != "validations"}
    canonical = strip({"inetOrgPerson": person, "additionalFields": additional})
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def upsert(server, body, flags="", **filters):
    return Call(server, "POST", UPSERT + query(**filters) + flags, body)


def record(name, classes=None, **person):
    """An identity as an importer sends it, found by its number and type."""
    body = identity(name, None, classes, employeeType="TAIGA", **{"employeeNumber": [name], **person})
    return body, {"employeeNumber": name, "employeeType": "TAIGA"}


def csn(server):
    return server.search("(objectClass=*)", "contextCSN", scope="base").entry["contextCSN"]


def put(server, name, status, flags="", classes=None, **person):
    body, filters = record(name, classes, **person)
    return upsert(server, body, flags, **filters).gives(status)


def test_no_filters(server):
    check_golden("upsert-no-filters", [Call(server, "POST", UPSERT, record("u1")[0]).gives(400)])


@pytest.mark.parametrize("name", ["employeeNumber", "employeeType"])
def test_number_and_type_are_needed(server, name):
    body, filters = record("u2")
    del body["inetOrgPerson"][name]
    check_golden(f"upsert-without-{name}", [upsert(server, body, **filters).gives(400)])


def test_new_unchanged_changed(server):
    new = put(server, "u3", 201, mail="u3@valmont.example")
    assert new.data["state"] == 1 and new.data["lastSync"]
    before = csn(server)
    unchanged = put(server, "u3", 304, mail="u3@valmont.example")
    assert unchanged.body is None
    assert csn(server) == before, "an unchanged record makes no journal entry"
    seen = Call(server, "GET", f"{IDENTITIES}/{new.id}").data
    assert seen["lastSync"] > new.data["lastSync"]
    changed = put(server, "u3", 200, mail="other@valmont.example")
    forced = put(server, "u3", 200, "&force=on", mail="other@valmont.example")
    check_golden("upsert-new-unchanged-changed-forced", [new, unchanged, changed, forced])


def test_a_config_fault(server):
    body, filters = record("u4", classes={"nothing": {}})
    check_golden("upsert-config-fault", [upsert(server, body, **filters).gives(400)])


def test_broken_values_are_kept(server):
    broken = {"supannPerson": {"supannCivilite": "Madame"}}
    calls = [put(server, "u5", 202, classes=broken), put(server, "u5", 304, classes=broken)]
    calls += [put(server, "u5", 200, classes={"supannPerson": {"supannCivilite": "Mme"}})]
    calls += [put(server, "u5", 202, classes=broken)]
    assert [c.data["state"] for c in calls if c.body] == [-2, 1, -2]
    check_golden("upsert-broken-values", calls)


def test_a_mail_in_use_is_kept_back(server):
    put(server, "u6", 201, mail="u6@valmont.example")
    held = put(server, "u7", 202, mail="U6@valmont.example")
    assert held.data["state"] == -2 and held.data["inetOrgPerson"]["mail"] == "U6@valmont.example"
    assert "mail" not in server.search("(uid=u7)", "mail").entry
    again = put(server, "u7", 304, mail="U6@valmont.example")
    free = put(server, "u7", 200, mail="u7@valmont.example")
    assert free.data["state"] == 1 and server.search("(uid=u7)", "mail").entry["mail"] == [b"u7@valmont.example"]
    check_golden("upsert-mail-in-use", [held, again, free])


def test_a_uid_in_use_is_a_conflict(server):
    put(server, "u8", 201)
    put(server, "u9", 409, uid="u8")


def test_set_on_insert_and_merge(server):
    body, filters = record("u10", classes={"supannPerson": {"supannCivilite": "Mme"}})
    body["$setOnInsert"] = {"inetOrgPerson": {"mail": "first@valmont.example", "uid": "other"}}
    new = upsert(server, body, **filters).gives(201)
    assert new.data["inetOrgPerson"]["mail"] == "first@valmont.example" and new.data["inetOrgPerson"]["uid"] == "u10"
    body["$setOnInsert"]["inetOrgPerson"]["mail"] = "second@valmont.example"
    body["additionalFields"] = {"objectClasses": ["eduPerson"], "attributes": {
        "eduPerson": {"eduPersonAffiliation": ["staff"]}}}
    merged = upsert(server, body, **filters).gives(200)
    assert merged.data["inetOrgPerson"]["mail"] == "first@valmont.example"
    assert merged.data["additionalFields"]["objectClasses"] == ["supannPerson", "eduPerson"]
    assert merged.data["additionalFields"]["attributes"]["supannPerson"] == {"supannCivilite": "Mme"}
    check_golden("upsert-set-on-insert", [new, merged])


def test_not_found(server):
    body, filters = record("u11")
    for flags in ("&errorOnNotFound=1", "&upsert=no"):
        upsert(server, body, flags, **filters).gives(404)
    upsert(server, body, "&errorOnNotFound=perhaps", **filters).gives(400)
    assert server.search("(uid=u11)").entries == []


def test_a_deleted_identity(server):
    new = put(server, "u12", 201)
    Call(server, "DELETE", f"{IDENTITIES}/{new.id}").gives(200)
    check_golden("upsert-deleted", [put(server, "u12", 303)])


def test_a_secondary_number(server):
    one, other = put(server, "u13", 201), put(server, "u14", 201)
    Call(server, "POST", f"{IDENTITIES}/fusion", {"id1": one.id, "id2": other.id}).gives(200)
    body = record("u14")[0]
    secondary = upsert(server, body, employeeNumber="u14", employeeType="TAIGA").gives(303)
    put(server, "u13", 304)
    check_golden("upsert-secondary", [secondary])


def at_once(calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def test_one_record_sent_by_many_at_once_is_one_identity(server, uid):
    for n in range(4):
        body, filters = record(f"{uid}-{n}")
        sent = [lambda: upsert(server, body, **filters)] * 8
        assert sorted(call.status for call in at_once(sent)) == [201] + [304] * 7
    # So it is for those who call the same person by another name.
    others = [record(f"{uid}-new{m}", employeeNumber=[f"{uid}-new"])[0] for m in range(8)]
    filters = {"employeeNumber": f"{uid}-new", "employeeType": "TAIGA"}
    statuses = [call.status for call in at_once([lambda b=b: upsert(server, b, **filters) for b in others])]
    assert statuses.count(201) == 1 and set(statuses) <= {200, 201, 409}, statuses
    assert upsert(server, others[0], **filters).status in (200, 304)
    Call(server, "POST", IDENTITIES, identity(f"{uid}-x", employeeNumber=[f"{uid}-new"], employeeType="taiga")).gives(409)


MADE = {"supannRessourceEtat": "{COMPTE}A:SupannActif"}


@pytest.mark.parametrize("listed, block", [
    (["top", "inetOrgPerson", "supannPerson"], {"supannPerson": {"supannCivilite": "Mme"}}),
    (["supannPerson"], {"supannPerson": None}),
    (["supannperson"], {"SUPANNPERSON": {"supanncivilite": "Mme"}}),
    (["TOP", "supannPerson", "supannperson"], {"supannPerson": {}}),
    (["supannPerson"], {"supannPerson": MADE}),
    (["eduPerson", "person", "SupannPerson"], {"supannPerson": MADE, "eduPerson": None}),
], ids=["structural classes", "null block", "other case", "twice", "made by the server", "several"])
def test_unchanged_however_it_is_put(server, uid, listed, block):
    body, filters = record(uid, mail=f"{uid}@valmont.example")
    body["additionalFields"] = {"objectClasses": listed, "attributes": block}
    new = upsert(server, body, **filters).gives(201)
    Call(server, "PATCH", f"{IDENTITIES}/{new.id}/state", {"state": 2}).gives(200)
    upsert(server, body, **filters).gives(304)
    upsert(server, body, **filters).gives(304)
    assert Call(server, "GET", f"{IDENTITIES}/{new.id}").data["state"] in (2, 99), "it stays released"
    # An address in use is held back, and the record known again all the same.
    held = record(f"{uid}b", mail=f"{uid}@valmont.example")
    held[0]["additionalFields"] = body["additionalFields"]
    upsert(server, held[0], **held[1]).gives(202)
    upsert(server, held[0], **held[1]).gives(304)


BODIES = [
    {"mobile": "", "title": None, "departmentNumber": []},
    {"employeeNumber": "one-text"},
    {"employeeNumber": ["b", "a"], "givenname": "Zoé", "unknownField": {"deep": [1, 2.5, {"x": []}]}},
    {"telephoneNumber": ["+33 1", "+33 2"], "labeledURI": ["http://a", "http://a"], "jpegPhoto": "local:/a.jpg"},
]
CLASSES = [
    {},
    {"supannPerson": {"supannListeRouge": True, "supannRefId": "{X}é", "supannEmpId": 12, "note": "\u2028\"\\"}},
    {"supannPerson": {"supannListeRouge": "true", "SUPANNCIVILITE": "M.", "supannRefId": []}, "eduPerson": {}},
]


@pytest.mark.parametrize("person", range(len(BODIES)))
@pytest.mark.parametrize("classes", range(len(CLASSES)))
def test_fingerprints(server, person, classes):
    name = f"print{person}{classes}"
    body = identity(name, None, CLASSES[classes], **{"employeeType": name, "employeeNumber": [name], **BODIES[person]})
    filters = {"uid": name}
    new = upsert(server, body, **filters)
    assert new.status in (201, 202), new
    assert new.data["fingerprint"] == fingerprint(body) == fingerprint(new.data)
    upsert(server, body, **filters).gives(304)


class Importer:
    """What crawlers of school systems do, reduced to its requests."""

    def __init__(self, server):
        self.server = server

    def send(self, row):
        number = row["number"]
        body = {
            "$setOnInsert": {
                "inetOrgPerson": {"uid": row["login"], "mail": f"{row['login']}@valmont.example",
                                  "employeeNumber": [number]},
                "customFields": {"quota": 5},
            },
            "inetOrgPerson": {"cn": f"{row['last']} {row['first']}", "sn": row["last"], "givenName": row["first"],
                              "displayName": f"{row['first']} {row['last']}", "employeeType": "TAIGA",
                              "departmentNumber": [row["department"]], "mobile": row.get("mobile", "")},
            "additionalFields": {"objectClasses": ["supannPerson"], "attributes": {"supannPerson": {
                "supannCivilite": row["title"], "supannOIDCDateDeNaissance": row["birth"]}}},
        }
        call = upsert(self.server, body, employeeNumber=number, employeeType="TAIGA")
        return {304: "unmodified", 200: "modified", 201: "added", 202: "added with warning"}[call.status]

    def run(self, rows):
        answers = [self.send(row) for row in rows]
        return {answer: answers.count(answer) for answer in set(answers)}


def test_an_importer_that_runs_twice(server):
    rows = [
        {"number": f"7{n:04}", "login": f"imported{n}", "last": f"Nom-{n}", "first": "Zoé" if n % 2 else "Élie",
         "department": "art", "title": "Mme" if n % 7 else "?", "birth": f"200{n % 10}-01-{n % 28 + 1:02}"}
        for n in range(70)
    ]
    importer = Importer(server)
    assert importer.run(rows) == {"added": 60, "added with warning": 10}
    before = csn(server)
    # Somebody changes what importers set on insert only.
    assert importer.run(rows) == {"unmodified": 70}
    assert csn(server) == before
    server.modify(f"dn: uid=imported1,{PEOPLE}\nchangetype: modify\nreplace: mail\nmail: chosen@valmont.example\n").ok()
    rows[2]["mobile"] = "+33 6"
    assert importer.run(rows) == {"unmodified": 69, "modified": 1}
    assert server.search("(uid=imported1)", "mail").entry["mail"] == [b"chosen@valmont.example"]
