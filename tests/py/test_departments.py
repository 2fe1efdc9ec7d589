"""Structures (supannEntite): the tree is held together, branches go out of use and come back with their people."""

import json
import pathlib
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from support import PEOPLE, SUFFIX, TOKEN, person, wait_for

STRUCTURES = f"ou=structures,{SUFFIX}"


def structure(code, parent=None, name=None, under=STRUCTURES):
    lines = [f"dn: supannCodeEntite={code},{under}", "objectClass: organizationalUnit", "objectClass: supannEntite",
             f"supannCodeEntite: {code}", f"ou: {name or 'Structure ' + code}"]
    return "\n".join(lines + [f"supannCodeEntiteParent: {p}" for p in ([parent] if parent else [])]) + "\n"


def member(uid, *codes, principal=None, **more):
    return person(uid, classes=["supannPerson"], supannEntiteAffectation=list(codes),
                  supannEntiteAffectationPrincipale=principal or codes[0], **more)


def set_parent(server, code, *parents):
    return server.modify(f"dn: supannCodeEntite={code},{STRUCTURES}\nchangetype: modify\nreplace: supannCodeEntiteParent\n"
                         + "".join(f"supannCodeEntiteParent: {p}\n" for p in parents))


def department(server, *args):
    return server.command("department", *args, f"--http={server.http}")


def told(server, *args):
    result = department(server, *args, "--json")
    assert result.returncode == 0, result
    return json.loads(result.stdout)


def statuses(server, filter="(supannEntiteAffectation=*)"):
    found = server.search(filter, "uid", "vestibuleDataStatus").ok().entries
    return {e["uid"][0].decode(): int(e["vestibuleDataStatus"][0]) for _, e in found}


def test_no_structure_lies_below_itself(server):
    for code, parent in (("CYA", None), ("CYB", "CYA"), ("CYC", "CYB")):
        server.add(structure(code, parent)).ok()
    set_parent(server, "CYA", "CYC").refused(19, "below itself", "CYA < CYC < CYB < CYA")
    set_parent(server, "CYA", "cya").refused(19, "below itself")
    set_parent(server, "CYC", "CYA", "CYB").ok()
    set_parent(server, "CYA", "CYC").refused(19, "below itself")
    server.add(structure("CYD", "CYD")).refused(19, "below itself")
    result = department(server, "move", "CYA", "--under", "CYC")
    assert result.returncode == 1 and "below itself" in result.stderr, result


def test_a_code_belongs_to_one_structure(server):
    server.add(structure("UNI")).ok()
    server.add(f"dn: ou=uni2,{SUFFIX}\nobjectClass: organizationalUnit\nobjectClass: supannEntite\nou: uni2\n"
               "supannCodeEntite: uni\n").refused(19, "supannCodeEntite", "unique")


def test_parents_that_are_not_there(new_server, tmp_path):
    warn = new_server("warn").start()
    connection = warn.connect()
    warn.add(structure("CHILD", "LATER")).ok()
    # Children may come before their parents; an import does not count them as incomplete.
    file = tmp_path / "in.ldif"
    file.write_text(structure("C2", "P2") + "\n" + structure("P2"))
    result = warn.command("import", str(file), f"--server={warn.uri()}", "--json")
    assert json.loads(result.stdout)["created"] == 2, result
    connection.unbind_s()
    strict = new_server("strict", extra="structures: {check: refuse, affectations: refuse}\n").start()
    strict.add(structure("CHILD", "LATER")).refused(19, "supannCodeEntiteParent", "name no structure")
    strict.add(structure("TOP")).ok()
    strict.add(structure("CHILD", "TOP")).ok()
    strict.delete(f"supannCodeEntite=TOP,{STRUCTURES}").refused(19, "1 structures and 0 people")
    strict.add(member("lost", "NOWHERE")).refused(19, "supannEntiteAffectation", "name no structure")
    strict.add(member("found", "CHILD", "TOP")).ok()
    strict.delete(f"supannCodeEntite=CHILD,{STRUCTURES}").refused(19, "0 structures and 1 people")
    # What was there before is not held against a write of something else.
    strict.modify(f"dn: uid=found,{PEOPLE}\nchangetype: modify\nreplace: description\ndescription: x\n").ok()


def test_several_structures_and_one_principal(server, uid):
    server.add(structure(f"{uid}A")).ok()
    server.add(structure(f"{uid}B")).ok()
    server.add(member(uid, f"{uid}A", f"{uid}B", principal=f"{uid}B")).ok()
    shown = told(server, "show", f"{uid}B")
    assert (shown["people"], shown["principal"]) == (1, 1)
    assert told(server, "show", f"{uid}A")["principal"] == 0
    # The principal one is one of them.
    moved = "replace: supannEntiteAffectationPrincipale\nsupannEntiteAffectationPrincipale: "
    server.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\n{moved}{uid}A\n").ok()
    server.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\n{moved}UVAL\n").refused(
        19, "supannEntiteAffectationPrincipale")


def test_a_broken_file_is_refused(new_server):
    server = new_server(extra="structures: {check: maybe}\n")
    result = server.command("check")
    assert result.returncode == 1 and "structures.check" in result.stderr, result


def grown(server):
    """T with A and B below it, A1 and A2 below A; people in each way of belonging."""
    for code, parent in (("T", None), ("A", "T"), ("B", "T"), ("A1", "A"), ("A2", "A")):
        server.add(structure(code, parent)).ok()
    people = {
        "only": member("only", "A1", userPassword="only-password"), "deep": member("deep", "A1", "A2"),
        "both": member("both", "A1", "B"), "guest": member("guest", "A2", "B", principal="B"),
        "other": member("other", "B"), "byhand": member("byhand", "A"), "raw": member("raw", "A2"),
    }
    for text in people.values():
        server.add(text).ok()
    for name, status in {"byhand": "-3", "only": "1", "both": "1"}.items():
        server.modify(f"dn: uid={name},{PEOPLE}\nchangetype: modify\nreplace: vestibuleDataStatus\nvestibuleDataStatus: {status}\n").ok()


def test_a_branch_goes_out_of_use_and_comes_back(new_server):
    server = new_server().start()
    grown(server)
    mine = "(|(supannEntiteAffectation=A*)(supannEntiteAffectation=B))"
    before = statuses(server, mine)
    dry = told(server, "deactivate", "A", "--dry-run")
    assert statuses(server, mine) == before
    done = told(server, "deactivate", "A", "--why", "moved to another campus")
    assert {k: v for k, v in dry.items() if k != "dryRun"} == {k: v for k, v in done.items() if k != "dryRun"}
    assert done["departments"] == ["A", "A1", "A2"] and done["refused"] == []
    assert done["people"] == [f"uid={u},{PEOPLE}" for u in ("deep", "only", "raw")]
    assert {k["dn"].split(",")[0]: k["reason"] for k in done["kept"]} == {
        "uid=both": "B is active, too; the principal one is not any more", "uid=guest": "B is active, too"}
    assert statuses(server, mine) == before | {"deep": -3, "only": -3, "raw": -3}
    server.tool("ldapwhoami", who=f"uid=only,{PEOPLE}", password="only-password").refused(49)
    # Clients of LDAP see it, and why.
    entry = server.search("(supannCodeEntite=A1)").ok().entry
    assert entry["vestibuleActive"] == [b"FALSE"] and entry["vestibuleDeactivatedBy"] == [b"A"]
    history = server.search("(uid=only)", "vestibuleHistory").ok().entry["vestibuleHistory"]
    assert any(b"#dataStatus#1#-3#" in line and line.endswith(b"department A deactivated: moved to another campus")
               for line in history), history
    assert "out of use with A" in department(server, "tree", "T").stdout
    # Again: nothing is left to do.
    again = told(server, "deactivate", "A")
    assert again["departments"] == [] and again["people"] == []
    # Someone put back by hand, and out again, is no business of the cascade any more.
    for status in ("1", "-3"):
        server.modify(f"dn: uid=raw,{PEOPLE}\nchangetype: modify\nreplace: vestibuleDataStatus\nvestibuleDataStatus: {status}\n").ok()
    back = told(server, "activate", "A")
    assert back["departments"] == ["A", "A1", "A2"] and [p.split(",")[0] for p in back["people"]] == ["uid=deep", "uid=only"]
    assert statuses(server, mine) == before | {"raw": -3}
    server.tool("ldapwhoami", who=f"uid=only,{PEOPLE}", password="only-password").ok()
    entry = server.search("(supannCodeEntite=A1)").ok().entry
    assert "vestibuleActive" not in entry and b"vestibuleStructure" not in entry["objectClass"]


def test_what_was_out_of_use_before_stays_so(new_server):
    server = new_server().start()
    grown(server)
    told(server, "deactivate", "A1")
    told(server, "deactivate", "T")
    assert statuses(server, "(uid=both)") == {"both": -3}
    back = told(server, "activate", "T")
    assert back["departments"] == ["T", "A", "B", "A2"]
    # The one of A1 alone stays; the one of A1 and A2 left with A2 and is back with it.
    assert statuses(server, "(|(uid=only)(uid=deep)(uid=both)(uid=other))")["only"] == -3
    assert statuses(server, "(uid=other)") == {"other": statuses(server, "(uid=raw)")["raw"]}
    told(server, "activate", "A1")
    assert statuses(server, "(uid=only)") == {"only": 1}


def test_move_of_a_branch(new_server):
    server = new_server().start()
    grown(server)
    told(server, "move", "A", "--under", "B")
    assert [d["code"] for d in told(server, "tree", "B")["departments"]] == ["B", "A", "A1", "A2"]
    # Where names follow the tree, they follow the move.
    server.add(structure("M", None)).ok()
    server.add(structure("M1", "M", under=f"supannCodeEntite=M,{STRUCTURES}")).ok()
    server.add(structure("M2", "M1", under=f"supannCodeEntite=M1,supannCodeEntite=M,{STRUCTURES}")).ok()
    told(server, "move", "M1", "--under", "T")
    assert server.search("(supannCodeEntite=M2)", "1.1").ok().dns == [
        f"supannCodeEntite=M2,supannCodeEntite=M1,supannCodeEntite=T,{STRUCTURES}"]
    # Of several parents none is taken away unasked.
    server.add(structure("TWO", "A") + "supannCodeEntiteParent: B\n").ok()
    found = department(server, "move", "TWO", "--under", "T")
    assert found.returncode == 1 and "several parents" in found.stderr


def test_unknown_codes_and_bodies(server):
    assert department(server, "show", "NO/SUCH").returncode == 1
    for body, status in ((b"{}", 400), (b'{"colour": 1}', 400), (b'{"under": "NONE"}', 404)):
        request = urllib.request.Request(f"http://{server.http}/departments/UVAL/move", data=body, method="POST", headers={
            "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        refused.value.close()
        assert refused.value.code == status
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{server.http}/departments", timeout=10)
    refused.value.close()
    assert refused.value.code == 401


def test_names_that_are_alike(new_server):
    server = new_server(extra="structures: {abbreviations: {cri: [Centre de ressources informatiques]}}\n").start()
    for code, name in (("N1", "UFR Sciences"), ("N2", "Unité de formation et de recherche de sciences"), ("N3", "ufr  SCIENCES"),
                       ("N4", "CRI"), ("N5", "Centre de ressources informatiques"), ("N6", "Salle 12"), ("N7", "Salle 13")):
        server.add(structure(code, name=name)).ok()
    server.add(person("namer", o="C.R.I.")).ok()
    groups = [{n["text"] for n in g["names"]} for g in told(server, "near-duplicates")["groups"]]
    assert {"UFR Sciences", "Unité de formation et de recherche de sciences", "ufr  SCIENCES"} in groups
    assert any({"CRI", "Centre de ressources informatiques"} <= g for g in groups)
    assert not any("Salle 12" in g for g in groups)
    assert "UFR Sciences" in department(server, "near-duplicates").stdout


@pytest.fixture
def scim(tmp_path):
    """A SCIM server that we did not write. Gives its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(sys.executable).parent / "scim2-server"
    with open(tmp_path / "scim.log", "wb") as log:
        process = subprocess.Popen([program, "--hostname=127.0.0.1", f"--port={port}"], stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}/v2"

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, "the SCIM server")
    yield base
    process.kill()
    process.wait()


def test_a_branch_of_three_levels_and_five_hundred_people(new_server, scim, tmp_path):
    server = new_server(flags=["--no-demo"])
    token = server.folder / "scim.token"
    token.write_text("any")
    (server.folder / "targets" / "hr.yml").write_text(f"kind: scim\nbase_url: {scim}\ntoken_file: {token}\ngroups: {{enabled: false}}\n"
        # A whole faculty is meant here.
        "guard: {enabled: false}\n")
    server.start()
    entries = [f"dn: ou={ou},{SUFFIX}\nobjectClass: organizationalUnit\nou: {ou}\n" for ou in ("people", "structures")]
    codes = ["L"] + [f"L{i}" for i in range(3)] + [f"L{i}{j}" for i in range(3) for j in range(4)]
    entries += [structure(code, code[:-1] or None) for code in codes]
    entries += [structure("R")]
    entries += [member(f"p{n}", codes[n % len(codes)], vestibuleDataStatus="1") for n in range(500)]
    entries += [member(f"q{n}", "L11", "R", vestibuleDataStatus="1") for n in range(5)]
    file = tmp_path / "people.ldif"
    file.write_text("\n".join(entries))
    assert server.command("import", str(file), f"--server={server.uri()}").returncode == 0

    def active():
        users, start = {}, 1
        while True:
            with urllib.request.urlopen(f"{scim}/Users?startIndex={start}&count=200", timeout=30) as answer:
                page = json.load(answer)
            users.update((u["userName"], u.get("active")) for u in page.get("Resources", []))
            start += len(page.get("Resources", []))
            if start > page["totalResults"]:
                return users

    def exported():
        """What the target holds once it has all."""
        def has_all():
            states = server.search("(supannEntiteAffectation=*)", "vestibuleState").ok().entries
            return all(e["vestibuleState"] == [b"99"] for _, e in states)

        wait_for(has_all, "all is exported", 240)
        return active()

    everyone = {f"p{n}" for n in range(500)} | {f"q{n}" for n in range(5)}
    assert exported() == dict.fromkeys(everyone, True)
    done = told(server, "deactivate", "L", "--why", "closed")
    assert len(done["departments"]) == 16 and len(done["people"]) == 500 and len(done["kept"]) == 5
    expected = {u: u.startswith("q") for u in everyone}
    assert exported() == expected
    back = told(server, "activate", "L")
    assert len(back["departments"]) == 16 and len(back["people"]) == 500
    assert exported() == dict.fromkeys(everyone, True)
    assert set(statuses(server).values()) == {1}
