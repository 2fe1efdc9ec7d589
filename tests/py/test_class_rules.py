"""Class rules: other files taken while the server runs, trials of them, and what is said of values."""

import json
import shutil
import signal
import threading

import ldap
import pytest

from contract import IDENTITIES, Call, identity
from support import ADMIN, PEOPLE, REPO, SUFFIX, person, wait_for

STRICT = """\
type: object
properties:
  supannEmpId:
    type: array
    items: {type: string, minLength: 3}
"""
BROKEN = "type: object\nproperties:\n  supannEmpId: {type: array, round: true}\n"
SESAME = REPO / "tests" / "fixtures" / "sesame-rules"


@pytest.fixture
def own(new_server):
    """A server with schema files of its own, not started yet, and the folder of its rules."""

    def make(extra="", **options):
        server = new_server(**options)
        schemas = server.folder / "schemas"
        shutil.copytree(REPO / "schemas", schemas)
        text = server.config.read_text().replace(f"schemas: {REPO}/schemas", f"schemas: {schemas}")
        server.config.write_text(text.replace("identities:\n", "identities:\n" + extra))
        return server, schemas / "classes"

    return make


def employee(uid, number):
    return person(uid, classes=["supannPerson"], supannEmpId=number)


def reload(server):
    return Call(server, "POST", "/schema/reload", {})


def test_other_rules_are_taken_without_a_pause(own):
    server, rules = own()
    server.start()
    connection = server.connect()
    server.add(employee("r1", "12")).ok()
    stop, faults = threading.Event(), []

    def search():
        client = server.connect()
        while not stop.is_set():
            try:
                if not client.search_s(PEOPLE, ldap.SCOPE_SUBTREE, "(uid=r1)"):
                    faults.append("not found")
            except ldap.LDAPError as error:
                faults.append(error)

    readers = [threading.Thread(target=search) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        (rules / "supannPerson.yml").write_text(STRICT)
        for _ in range(10):
            assert reload(server).gives(200).body["classes"] == len(list(rules.glob("*.yml")))
        server.add(employee("r2", "13")).refused(19, "supannPerson.supannEmpId (minLength)")
        # A bad file changes nothing, and the answer and the log say why.
        (rules / "supannPerson.yml").write_text(BROKEN)
        message = reload(server).gives(400).body["message"]
        assert "supannPerson.yml:3: at properties.supannEmpId.round: it would change the value" in message
        server.add(employee("r3", "14")).refused(19, "minLength")
        shutil.copy(REPO / "schemas" / "classes" / "supannPerson.yml", rules)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.add(employee("r4", "15")).code == 0, "the former rules hold again")
        (rules / "supannPerson.yml").write_text(BROKEN)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "round: it would change the value" in server.log().split("those in use stay")[-1]
                 or server.log().count("those in use stay") >= 2, "the log says why")
        server.add(employee("r5", "16")).ok()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert connection.whoami_s() != ""
    assert server.stop() == 0


def test_what_is_new_in_the_schema_waits_for_a_restart(own):
    server, rules = own()
    server.start()
    (rules / "campusBadge.yml").write_text("type: object\n")
    found = reload(server).gives(409).body["message"]
    assert "a new class 'campusbadge'" in found and "restart" in found
    (rules / "campusBadge.yml").unlink()
    core = rules.parent / "ldap" / "10-core.yml"
    core.write_text(core.read_text() + "# changed\n")
    assert "ldap/*.yml" in reload(server).gives(409).body["message"]
    assert Call(server, "POST", "/schema/reload", {}, token=None).status == 401
    server.add(employee("n1", "1")).ok()
    assert server.stop() == 0


def test_files_in_sesames_form_serve_unchanged(own):
    server, rules = own()
    for name in ("sesameLocal.yml", "supannPerson.yml", "inetorgperson.yml"):
        shutil.copy(SESAME / name, rules)
    checked = server.command("check")
    assert checked.returncode == 0, checked.stderr
    assert "no class 'sesameLocal'" in checked.stdout and "sesameLocal.yml:5: at properties.localBirthName" in checked.stdout
    server.flags.append("--no-demo")
    server.start()
    server.add(f"dn: {PEOPLE}\nobjectClass: organizationalUnit\n").ok()
    entry = person("s1", sn="MARTIN", classes=["sesameLocal"], localBirthName="Martin", supannScores=["12", "7"],
                   employeeNumber="1", employeeType="LOCAL", departmentNumber="DSI")
    server.add(entry).ok()
    found = server.search("(localbirthname=MARTIN)", "supannScores", base=PEOPLE).ok()
    assert found.entry["supannScores"] == [b"12", b"7"]
    server.add(entry.replace("s1", "s2").replace("supannScores: 7", "supannScores: 21")).refused(
        19, "sesameLocal.supannScores (exclusiveMaximum)")
    types = server.search("(objectClass=*)", "attributeTypes", base="cn=subschema", scope="base").ok()
    assert "localBirthName" in types.out and "2.25." in types.out
    assert server.stop() == 0
    # The entries are there again, and the generated definitions are the same.
    server.start()
    server.search("(localBirthName=martin)", base=PEOPLE).ok().entry
    assert server.stop() == 0


def test_messages_are_told_in_the_language_asked_for(own):
    server, _ = own(extra="  language: fr\n")
    server.start()
    server.add(person("f1", classes=["eduPerson"], eduPersonPrimaryAffiliation="staff")).refused(
        19, "doit être une des valeurs de eduPersonAffiliation")
    body = identity("f2", classes={"supannPerson": {"supannRessourceEtat": ["{COMPTE}O"]}})

    def told(language):
        headers = {"Accept-Language": language} if language else {}
        call = Call(server, "POST", f"{IDENTITIES}/validation", body, headers=headers)
        assert call.status == 400, call
        return call.body["validations"]["supannPerson"]["supannRessourceEtat"]

    assert told("en-GB").startswith("the state is A, I or S")
    assert told("fr").startswith("l'état est A, I ou S")
    assert told("de") == told(None) == told("fr")
    assert server.stop() == 0


def test_elementary_values_are_derived_on_request(own):
    server, _ = own(extra="  cross: {role-codes: derive, primary-affiliation: \"off\"}\n")
    server.start()
    role = "[role={SUPANN}D30][type={SUPANN}S231][code=DSI]"
    server.add(person("d1", classes=["supannPerson", "eduPerson"], supannRoleEntite=role,
                      eduPersonPrimaryAffiliation="staff")).ok()

    def values():
        names = ["supannRoleGenerique", "supannTypeEntiteAffectation", "supannEntiteAffectation"]
        entry = server.search("(uid=d1)", *names, base=PEOPLE).ok().entry
        return {name: sorted(values) for name, values in entry.items()}

    assert values() == {"supannRoleGenerique": [b"{SUPANN}D30"], "supannTypeEntiteAffectation": [b"{SUPANN}S231"],
                        "supannEntiteAffectation": [b"DSI"]}
    other = role.replace("DSI", "UFR")
    server.modify(f"dn: uid=d1,{PEOPLE}\nchangetype: modify\nreplace: supannRoleEntite\nsupannRoleEntite: {other}\n").ok()
    assert values()["supannEntiteAffectation"] == [b"DSI", b"UFR"], "what is there is never taken away"
    assert server.stop() == 0


def test_rules_are_tried_before_they_go_live(own, tmp_path):
    server, rules = own()
    lint = server.command("schema", "lint", "--json")
    assert lint.returncode == 0 and json.loads(lint.stdout)["faults"] == [], lint
    new = tmp_path / "new"
    shutil.copytree(rules, new)
    (new / "supannPerson.yml").write_text(STRICT)
    server.start()
    server.add(employee("t1", "12")).ok()
    server.add(employee("t2", "1234")).ok()
    http = f"--http={server.http}"
    found = server.command("schema", "diff", "--rules", str(new), "--json", http)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    broken = {entry["dn"]: entry["violations"] for entry in report["broken"]["first"]}
    assert broken[f"uid=t1,{PEOPLE}"][0]["rule"] == "minLength" and f"uid=t2,{PEOPLE}" not in broken
    text = server.command("schema", "diff", "--rules", str(new), http).stdout
    assert f"breaks: uid=t1,{PEOPLE}: supannPerson.supannEmpId (minLength): expected at least 3 characters" in text
    (new / "supannPerson.yml").write_text(BROKEN)
    refused = server.command("schema", "diff", "--rules", str(new), http)
    assert refused.returncode == 1 and "supannPerson.yml:3: at properties.supannEmpId.round" in refused.stderr
    server.add(employee("t3", "13")).ok()
    assert server.stop() == 0
    # The same of a stopped store; what the new rules allow is mended.
    shutil.copy(rules / "supannPerson.yml", new)
    (rules / "supannPerson.yml").write_text(STRICT)
    report = json.loads(server.command("schema", "diff", "--rules", str(new), "--store", "--json").stdout)
    mended = [entry["dn"] for entry in report["mended"]["first"]]
    assert sorted(mended) == [f"uid=t1,{PEOPLE}", f"uid=t3,{PEOPLE}"] and report["broken"]["entries"] == 0, report


def test_the_commands_on_files(own, tmp_path):
    server, rules = own()
    shown = server.command("schema", "show", "SUPANNGROUPE")
    assert shown.returncode == 0 and "supannGroupeDateFin" in shown.stdout, shown
    assert "a Generalized Time such as" in shown.stdout and "one Generalized Time" in shown.stdout
    form = json.loads(server.command("schema", "show", "supannPerson", "--json").stdout)["rules"]
    assert form["supannOIDCDateDeNaissance"]["form"] == {"type": "string", "format": "date"}
    assert server.command("schema", "show", "nope").returncode == 1

    ldif = tmp_path / "entries.ldif"
    ldif.write_text(employee("a", "12") + "\n" + person("b", nope="x", mail="é"))
    tested = server.command("schema", "test", str(ldif))
    lines = tested.stdout.splitlines()
    assert tested.returncode == 1 and "1 entries break a rule" in tested.stderr
    assert lines[0] == f"uid=a,{PEOPLE}: ok"
    assert any("nope (attribute type)" in l for l in lines) and any("mail (syntax)" in l for l in lines), lines
    ldif.write_text(employee("a", "12"))
    assert server.command("schema", "test", str(ldif)).returncode == 0

    (rules / "supannPerson.yml").write_text(BROKEN)
    (rules / "supannGroupe.yml").write_text("type: object\nallOf: []\n")
    lint = server.command("schema", "lint", "--json")
    assert lint.returncode == 1
    places = {(fault["place"], fault["line"]) for fault in json.loads(lint.stdout)["faults"]}
    assert places == {("properties.supannEmpId.round", 3), ("allOf", 2)}


def entry(dn, *lines):
    return "\n".join([f"dn: {dn}", *lines]) + "\n"


def test_entries_that_are_no_identities_are_held_to_their_rules_as_well(server, uid):
    code = uid.upper()
    structure = f"supannCodeEntite={code},ou=structures,{SUFFIX}"
    classes = ["objectClass: organizationalUnit", "objectClass: supannEntite"]
    body = [*classes, f"supannCodeEntite: {code}", f"ou: {code}"]
    said = "supannEntite.supannTypeEntite (format)"
    server.add(entry(structure, *body, "supannTypeEntite: S302")).refused(19, said)
    # What cannot be kept until it is complete is refused by whoever asks to keep it, too.
    assert server.search(f"(supannCodeEntite={code})", "1.1", base=SUFFIX).ok().dns == []
    server.add(entry(structure, *body, "supannTypeEntite: {SUPANN}S302")).ok()
    change = entry(structure, "changetype: modify", "replace: supannTypeEntite", "supannTypeEntite: S302")
    server.modify(change).refused(19, said)

    group = f"cn=g{uid},ou=groups,{SUFFIX}"
    body = ["objectClass: groupOfNames", "objectClass: supannGroupe", f"cn: g{uid}", f"member: {ADMIN}"]
    said = "supannGroupe.supannRefId (format)"
    server.add(entry(group, *body, "supannRefId: no tag")).refused(19, said)
    server.add(entry(group, *body, "supannRefId: {GEFI}G1")).ok()
    server.modify(entry(group, "changetype: modify", "add: supannRefId", "supannRefId: no tag")).refused(19, said)

    # A person outside of the identities has no state to be held in.
    outside = f"ou=structures,{SUFFIX}"
    server.add(person(uid, outside, classes=["supannPerson"], supannEtablissement="0123456X")).refused(
        19, "supannPerson.supannEtablissement")
