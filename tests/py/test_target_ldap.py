"""A real slapd is kept equal by add, modify, delete and rename, whatever happens meanwhile."""

import json
import random
import signal

import ldap
import pytest

from downstream import DOWN, GROUPS, below, group, status, unit
from support import PEOPLE, person, wait_for


def change(server, dn, *lines):
    server.modify("\n".join([f"dn: {dn}", "changetype: modify", *lines]) + "\n").ok()


def test_each_kind_of_change_arrives(pair):
    pair = pair()
    server = pair.server
    boss, anne = f"uid=boss,{PEOPLE}", f"uid=anne,{PEOPLE}"
    server.add("\n".join([
        unit("people"), unit("groups"), unit("staff", PEOPLE, description="who works here"),
        person("anne", manager=boss, mail="anne@x.test", jpegPhoto=b"\xff\xd8\xff\x00\xfe"),
        person("boss", **{"cn;lang-fr": "La cheffe", "seeAlso": anne}),
        group("all", boss, anne), group("some", f"cn=all,{GROUPS}", anne),
    ])).ok()
    pair.until_equal()
    uuid = pair.down_entry(below(anne), "entryUUID")["entryUUID"]

    # Values come, change and go; two spellings of one value.
    change(server, anne, "replace: mail", "mail: Anne@x.test", "-", "add: title", "title: Dr", "-", "delete: jpegPhoto")
    change(server, f"cn=all,{GROUPS}", "delete: member", f"member: {anne}")
    pair.until_equal()

    # Renamed and moved it stays the same entry, and whoever names it follows.
    server.modify(f"dn: {anne}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\nnewsuperior: ou=staff,{PEOPLE}\n").ok()
    anna = f"uid=anna,ou=staff,{PEOPLE}"
    pair.until_equal()
    assert pair.down_entry(below(anna), "entryUUID")["entryUUID"] == uuid

    # A subtree moves with all that is in it.
    server.modify(f"dn: ou=staff,{PEOPLE}\nchangetype: modrdn\nnewrdn: ou=team\ndeleteoldrdn: 1\n").ok()
    pair.until_equal()
    assert pair.down_entry(below(f"uid=anna,ou=team,{PEOPLE}"), "entryUUID")["entryUUID"] == uuid

    # Subordinates go before their superior.
    server.delete(f"uid=anna,ou=team,{PEOPLE}").ok()
    server.delete(f"ou=team,{PEOPLE}").ok()
    pair.until_equal()
    assert below(f"ou=team,{PEOPLE}") not in pair.held()


def test_what_is_done_over_there_is_seen(pair):
    """Renamed, changed and removed behind our back: the next change of an entry puts it right."""
    pair = pair()
    server, slapd = pair.server, pair.slapd.connect()
    server.add("\n".join([unit("people"), unit("groups"), *[person(f"p{n}") for n in range(4)]])).ok()
    pair.until_equal()
    uuid = pair.down_entry(f"uid=p0,ou=people,{DOWN}", "entryUUID")["entryUUID"]
    slapd.rename_s(f"uid=p0,ou=people,{DOWN}", "uid=moved")
    slapd.delete_s(f"uid=p1,ou=people,{DOWN}")
    slapd.modify_s(f"uid=p2,ou=people,{DOWN}", [(ldap.MOD_ADD, "title", b"Dr")])
    # The name of one who went is another's now, who must be left alone.
    slapd.rename_s(f"uid=p3,ou=people,{DOWN}", "uid=elsewhere")
    slapd.add_s(f"uid=p3,ou=people,{DOWN}", [("objectClass", [b"inetOrgPerson"]), ("sn", [b"X"]), ("cn", [b"Other"])])

    for n in range(3):
        change(server, f"uid=p{n},{PEOPLE}", "replace: description", "description: changed", "-", "add: title", "title: Dr")
    foreign = f"uid=p3,ou=people,{DOWN}", f"uid=elsewhere,ou=people,{DOWN}"
    pair.until_equal_without(*foreign)
    assert pair.down_entry(f"uid=p0,ou=people,{DOWN}", "entryUUID")["entryUUID"] == uuid

    change(server, f"uid=p3,{PEOPLE}", "add: title", "title: Dr")
    wait_for(lambda: "68 entryAlreadyExists" in str(status(server)["last_error"]), "the conflict is told")
    assert pair.down_entry(foreign[0]) == {"objectClass": [b"inetOrgPerson"], "uid": [b"p3"], "sn": [b"X"], "cn": [b"Other"]}


def test_who_is_there_already_is_adopted(pair):
    already = "\n".join([
        f"dn: ou=old,{DOWN}\nobjectClass: organizationalUnit\nou: old\n",
        f"dn: uid=anne,ou=old,{DOWN}\nobjectClass: inetOrgPerson\nuid: anne\ncn: Old\nsn: Old\ndescription: of before\n",
        # The same name twice: nobody can say which.
        f"dn: uid=twin,ou=old,{DOWN}\nobjectClass: inetOrgPerson\nuid: twin\ncn: One\nsn: One\n",
        f"dn: cn=twin,ou=old,{DOWN}\nobjectClass: inetOrgPerson\nuid: twin\ncn: twin\nsn: Two\n",
        # A person is not a group, though both are called so.
        f"dn: cn=readers,ou=old,{DOWN}\nobjectClass: inetOrgPerson\ncn: readers\nsn: Readers\n",
    ])
    pair = pair(already=already)
    uuid = pair.down_entry(f"uid=anne,ou=old,{DOWN}", "entryUUID")["entryUUID"]
    server = pair.server
    anne = f"uid=anne,{PEOPLE}"
    server.add("\n".join([unit("people"), unit("groups"), person("anne"), person("twin"), group("readers", anne)])).ok()
    wait_for(lambda: below(anne) in pair.held(), "anne is where she belongs")
    wait_for(lambda: f"cn=readers,ou=groups,{DOWN}" in pair.held(), "the group is there")
    wait_for(lambda: "several" in str(status(server)["last_error"]), "the ambiguity is told")
    entry = pair.down_entry(below(anne), "*", "entryUUID")
    assert entry["entryUUID"] == uuid and entry["cn"] == [b"Person anne"] and "description" not in entry
    assert {f"uid=twin,ou=old,{DOWN}", f"cn=twin,ou=old,{DOWN}"} <= pair.held().keys()
    assert below(f"uid=twin,{PEOPLE}") not in pair.held()


def test_a_reconciliation_finds_drift_and_repairs_it(pair):
    pair = pair()
    server, slapd = pair.server, pair.slapd.connect()
    server.add("\n".join([
        unit("people"), unit("groups"), *[person(f"p{n}") for n in range(9)],
        group("all", *[f"uid=p{n},{PEOPLE}" for n in range(9)]),
    ])).ok()
    pair.until_equal()
    wait_for(lambda: status(server)["pending"] == 0, "all is settled")
    quiet = reconcile(server)
    assert set(quiet["batch"]["counts"]) == {
        "EXISTING_USER_ACCOUNT_RECONCILED_NO_CHANGE", "EXISTING_RESOURCE_RECONCILED_NO_CHANGE"
    }, quiet["batch"]

    slapd.modify_s(f"uid=p1,ou=people,{DOWN}", [(ldap.MOD_ADD, "title", b"Dr")])
    slapd.delete_s(f"uid=p2,ou=people,{DOWN}")
    slapd.rename_s(f"uid=p3,ou=people,{DOWN}", "uid=moved")
    slapd.modify_s(f"cn=all,ou=groups,{DOWN}", [(ldap.MOD_DELETE, "member", f"uid=p4,ou=people,{DOWN}".encode())])
    found = {event["status"]: event for event in reconcile(server, "--dry-run")["events"]}
    assert {"EXISTING_USER_ACCOUNT_RECONCILED", "EXISTING_RESOURCE_RECONCILED", "STALE"} <= found.keys()
    assert not pair.is_equal()
    reconcile(server, "--repair")
    pair.until_equal()


def test_a_dry_run_shows_the_requests(pair):
    pair = pair()
    server = pair.server
    server.add("\n".join([unit("people"), unit("groups"), person("anne")])).ok()
    pair.until_equal()
    target(server, "pause", "down")
    server.modify(f"dn: uid=anne,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\n").ok()
    change(server, f"uid=anna,{PEOPLE}", "add: title", "title: Dr")
    requests = target(server, "push", "down", "anna", "--dry-run")["requests"]
    assert [(one["method"], one["path"]) for one in requests] == [
        ("modrdn", f"uid=anne,ou=people,{DOWN}"), ("modify", f"uid=anna,ou=people,{DOWN}")
    ], requests
    assert requests[1]["body"] == [{"op": "add", "attribute": "title", "values": ["Dr"]}]
    assert f"uid=anne,ou=people,{DOWN}" in pair.held()
    target(server, "resume", "down")
    pair.until_equal()


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
def test_tls_holds_to_the_authority_and_the_password_is_read_again(pair, how):
    pair = pair(tls=how)
    server, targets = pair.server, pair.target.parent
    wait_for(lambda: "certificate" in str(status(server)), "the certificate of a stranger is refused")
    server.stop()
    pair.target.write_text(pair.target.read_text() + f"ca_file: {server.ca}\n")
    (targets / "down.password").write_text("not this one\n")
    server.start()
    server.add("\n".join([unit("people"), unit("groups"), person("anne")])).ok()
    wait_for(lambda: "49 invalidCredentials" in str(status(server)), "the password is refused")
    assert pair.held() == {}
    (targets / "down.password").write_text("the other side\n")
    pair.until_equal()


def target(server, *args):
    """What `vestibule target` says as JSON."""
    answer = server.command("target", *args, f"--http={server.http}", "--json")
    assert answer.returncode == 0, answer
    said = json.loads(answer.stdout) if answer.stdout.strip() else {}
    return said.get("data", said)


def reconcile(server, *flags):
    return target(server, "reconcile", "down", *flags)


def storm(pair, chance):
    """Changes of every kind; gives them in portions, so that something can happen between them."""
    server = pair.server
    people = {n: PEOPLE for n in range(500)}
    name = {n: f"u{n}" for n in people}

    def dn(n):
        return f"uid={name[n]},{people[n]}"

    units = ["a", "b", "c"]
    yield "\n".join(
        [unit("people"), unit("groups")] + [unit(u, PEOPLE) for u in units]
        + [person(name[n], mail=f"u{n}@x.test") for n in people]
        + [group(f"g{g}", *[dn(n) for n in chance.sample(sorted(people), 1 + 4 * g)]) for g in range(30)]
    ), "ldapadd"
    for _ in range(6):
        lines = []
        for n in chance.sample(sorted(people), 60):
            kind = chance.choice(["modify", "rename", "move", "delete", "modify"])
            if kind == "modify":
                lines.append(f"dn: {dn(n)}\nchangetype: modify\nreplace: title\ntitle: T{chance.random()}\n")
            elif kind == "rename":
                old, name[n] = dn(n), f"r{n}x{chance.randrange(1000)}"
                lines.append(f"dn: {old}\nchangetype: modrdn\nnewrdn: uid={name[n]}\ndeleteoldrdn: 1\n")
            elif kind == "move":
                old, people[n] = dn(n), f"ou={chance.choice(units)},{PEOPLE}"
                if old != dn(n):
                    lines.append(f"dn: {old}\nchangetype: modrdn\nnewrdn: uid={name[n]}\ndeleteoldrdn: 1\nnewsuperior: {people[n]}\n")
            else:
                lines.append(f"dn: {dn(n)}\nchangetype: delete\n")
                del people[n]
        unit_index = chance.randrange(3)
        old, units[unit_index] = units[unit_index], f"s{chance.randrange(10**6)}"
        lines.append(f"dn: ou={old},{PEOPLE}\nchangetype: modrdn\nnewrdn: ou={units[unit_index]}\ndeleteoldrdn: 1\n")
        for n in people:
            people[n] = people[n].replace(f"ou={old},", f"ou={units[unit_index]},")
        for g in chance.sample(range(30), 5):
            members = "".join(f"member: {dn(n)}\n" for n in chance.sample(sorted(people), 20))
            lines.append(f"dn: cn=g{g},{GROUPS}\nchangetype: modify\nreplace: member\n{members}")
        yield "\n".join(lines), "ldapmodify"


def test_a_storm_with_restarts_of_both_sides_ends_equal(pair):
    pair = pair()
    for round_, (text, tool) in enumerate(storm(pair, random.Random(5))):
        pair.server.tool(tool, stdin=text).ok()
        if round_ == 2:
            pair.slapd.process.kill()
            pair.slapd.process.wait()
        if round_ == 3:
            pair.slapd.start()
        if round_ in (1, 4):
            pair.server.stop(signal.SIGKILL)
            pair.server.start()
    pair.until_equal(90)
    held = pair.held()
    uids = [uid for attrs in held.values() for uid in attrs.get("uid", ())]
    assert len(uids) == len(set(uids)) and len(held) > 350
