"""The journal below cn=changelog: what a job sees that polls it, and that its changes can be applied elsewhere."""

import re

import ldap
import pytest
from ldap.controls import SimplePagedResultsControl

from replica import Replica
from support import AMARTIN, PEOPLE, REPO, SUFFIX, person
from test_slapd_consumer import change_everything, entries, unit

LOG = "cn=changelog"
GROUPS = f"ou=groups,{SUFFIX}"


@pytest.fixture
def own(new_server):
    """A server of the test's own without any data but the suffix, and two units."""
    server = new_server(flags=["--no-demo"]).start()
    server.add(unit("people") + "\n" + unit("groups")).ok()
    return server


def poll(server, after=0, **how):
    """The changes after a number, oldest first."""
    found = server.search(f"(changeNumber>={after + 1})", base=LOG, scope="one", **how).ok().entries
    return [{n: v[0].decode() for n, v in entry.items()} | {"dn": dn} for dn, entry in found]


def head(server):
    entry = server.search("(objectClass=*)", "changeLog", "firstChangeNumber", "lastChangeNumber", base="", scope="base")
    return {n: v[0].decode() for n, v in entry.ok().entry.items()}


def test_each_kind_of_change_has_its_form(own):
    before = int(head(own)["lastChangeNumber"])
    dn = f"uid=one,{PEOPLE}"
    own.add(person("one", mail="one@x.example", description="é")).ok()
    own.modify(f"dn: {dn}\nchangetype: modify\nreplace: mail\nmail: two@x.example\n-\nadd: title\ntitle: a\n-\n"
               "delete: description\n").ok()
    own.add(unit("sub", PEOPLE)).ok()
    own.tool("ldapmodrdn", "-r", "-s", f"ou=sub,{PEOPLE}", dn, "uid=two").ok()
    own.tool("ldapmodrdn", f"uid=two,ou=sub,{PEOPLE}", "uid=three").ok()
    own.delete(f"uid=three,ou=sub,{PEOPLE}").ok()
    add, modify, _, move, rename, delete = poll(own, before)

    assert [c["changeNumber"] for c in (add, modify, move, rename, delete)] == [
        str(before + n) for n in (1, 2, 4, 5, 6)
    ]
    assert add["dn"] == f"changeNumber={before + 1},{LOG}"
    assert (add["changeType"], add["targetDN"]) == ("add", dn)
    assert sorted(add["changes"].splitlines()) == sorted([
        "objectClass: inetOrgPerson", "objectClass: organizationalPerson", "objectClass: person", "objectClass: top",
        "cn: Person one", "sn: One", "uid: one", "mail: one@x.example", "description:: w6k=",
    ])
    assert re.fullmatch(r"\d{14}Z", add["changeTime"])
    assert (modify["changeType"], modify["targetDN"]) == ("modify", dn)
    assert sorted(modify["changes"].split("-\n")) == [
        "", "add: title\ntitle: a\n", "delete: description\n", "replace: mail\nmail: two@x.example\n",
    ]
    assert {n: move[n] for n in ("changeType", "targetDN", "newRDN", "deleteOldRDN", "newSuperior")} == {
        "changeType": "modrdn", "targetDN": dn, "newRDN": "uid=two", "deleteOldRDN": "TRUE",
        "newSuperior": f"ou=sub,{PEOPLE}",
    }
    assert (rename["newRDN"], rename["deleteOldRDN"]) == ("uid=three", "FALSE")
    assert "newSuperior" not in rename
    assert (delete["changeType"], delete["targetDN"]) == ("delete", f"uid=three,ou=sub,{PEOPLE}")
    assert "changes" not in delete
    assert len({c["targetUniqueId"] for c in (add, modify, move, rename, delete)}) == 1


def test_the_root_dse_says_where_and_how_far(own):
    own.add(unit("more")).ok()
    said = head(own)
    numbers = [int(c["changeNumber"]) for c in poll(own)]
    assert said["changeLog"] == LOG
    assert numbers == list(range(int(said["firstChangeNumber"]), int(said["lastChangeNumber"]) + 1))


@pytest.mark.parametrize("text, expected", [
    ("(changeNumber=3)", [3]),
    ("(&(changeNumber>=2)(changeNumber<=4))", [2, 3, 4]),
    ("(changeNumber<=1)", [1]),
    ("(|(changeNumber=2)(changeNumber=5))", [2, 5]),
    ("(&(changeNumber>=2)(changeType=modify))", [5]),
    ("(&(objectClass=changeLogEntry)(targetDN=ou=u1,dc=example,dc=org))", [4, 5]),
    ("(!(changeNumber>=2))", [1]),
    ("(changeNumber>=99)", []),
    ("(&(changeNumber>=4)(changeNumber<=2))", []),
])
def test_ranges(own, text, expected):
    own.add(unit("u1")).ok()
    own.modify(f"dn: ou=u1,{SUFFIX}\nchangetype: modify\nadd: l\nl: x\n").ok()
    found = own.search(text, "changeNumber", base=LOG, scope="sub").ok().entries
    assert [int(e["changeNumber"][0]) for _, e in found if "changeNumber" in e] == expected


def test_scopes(own):
    one = f"changeNumber=2,{LOG}"
    assert own.search(base=LOG, scope="base").entry["objectClass"] == [b"top", b"extensibleObject"]
    assert LOG not in own.search(base=LOG, scope="one").ok().dns
    assert LOG in own.search(base=LOG, scope="sub").ok().dns
    assert own.search(base=one, scope="base").ok().dns == [one]
    assert own.search(base=one, scope="sub").ok().dns == [one]
    assert own.search(base=one, scope="one").ok().dns == []
    for missing in (f"changeNumber=99,{LOG}", f"changeNumber=0,{LOG}", f"cn=x,{LOG}", f"changeNumber=1,{one}"):
        own.search(base=missing, scope="base").refused(32)
    own.tool("ldapcompare", one, "changeType:add").refused(6)
    own.tool("ldapcompare", one, "changeType:delete").refused(5)


def test_pages_sorting_and_limits(own):
    for number in range(10):
        own.add(unit(f"n{number}")).ok()
    connection = own.connect()
    everything = [dn for dn, _ in connection.search_s(LOG, ldap.SCOPE_ONELEVEL, attrlist=["1.1"])]
    control, got = SimplePagedResultsControl(True, 4, ""), []
    while True:
        message = connection.search_ext(LOG, ldap.SCOPE_ONELEVEL, attrlist=["1.1"], serverctrls=[control])
        _, found, _, answers = connection.result3(message)
        got += [dn for dn, _ in found]
        control.cookie = answers[0].cookie
        if not control.cookie:
            break
        assert len(found) == 4
    assert got == everything and len(got) == 13
    back = own.search(base=LOG, scope="one", flags=["-E", "!sss=-changeNumber"]).ok().entries
    assert [dn for dn, _ in back] == everything[::-1]
    own.search(base=LOG, scope="one", flags=["-z", "3"]).refused(4)


def test_only_who_is_let_reads_it(new_server, tmp_path):
    rules = (REPO / "config" / "access.yml").read_text().replace("rules:\n", f"""rules:
  - name: one person polls
    who: ["dn:{AMARTIN}"]
    base: cn=changelog
    attributes: [changes]
    rights: none
  - name: one person polls, without what changed
    who: ["dn:{AMARTIN}"]
    base: cn=changelog
    rights: [search, compare, read]
""")
    (tmp_path / "access.yml").write_text(rules)
    server = new_server(access=tmp_path / "access.yml").start()
    seen = poll(server, who=AMARTIN)
    assert seen and all("changes" not in change for change in seen)
    for who in (None, f"uid=lbernard,{PEOPLE}"):
        server.search(base=LOG, who=who, scope="sub").refused(32)
    assert poll(server)[0]["changes"]


def test_a_rule_for_everything_else_does_not_open_it(new_server, tmp_path):
    """The record of a change shows values that the rule before keeps closed."""
    rules = (REPO / "config" / "access.yml").read_text().replace("rules:\n", f"""rules:
  - name: not the phones
    who: ["dn:{AMARTIN}"]
    attributes: [homePhone]
    rights: none
  - name: one person reads all there is
    who: ["dn:{AMARTIN}"]
    rights: [search, compare, read]
""")
    (tmp_path / "access.yml").write_text(rules)
    server = new_server(access=tmp_path / "access.yml").start()
    assert server.search(who=AMARTIN).ok().entries
    server.search(base=LOG, who=AMARTIN, scope="sub").refused(32)
    server.search(base=f"changeNumber=5,{LOG}", who=AMARTIN, scope="base").refused(32)
    server.tool("ldapcompare", f"changeNumber=5,{LOG}", "changeType:add", who=AMARTIN).refused(32)


def test_nobody_writes_to_it(own):
    own.add(f"dn: cn=x,{LOG}\nobjectClass: device\ncn: x\n").refused(53, "keeps the change log")
    own.modify(f"dn: changeNumber=1,{LOG}\nchangetype: modify\nreplace: targetDN\ntargetDN: cn=x\n").refused(53)
    own.delete(f"changeNumber=1,{LOG}").refused(53)
    own.tool("ldapmodrdn", f"changeNumber=1,{LOG}", "changeNumber=7").refused(53)


def test_passwords_are_not_in_it(own):
    own.add(person("secret", userPassword="a-first-secret")).ok()
    dn = f"uid=secret,{PEOPLE}"
    own.modify(f"dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: another-secret\n").ok()
    own.modify(f"dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: third-secret\n-\nadd: l\nl: x\n").ok()
    changes = poll(own)[-3:]
    assert "changes" not in changes[1]
    assert changes[2]["changes"] == "add: l\nl: x\n-\n"
    assert not any("assword" in c.get("changes", "") for c in changes)


def test_one_more_member_is_a_small_change(own):
    members = "".join(f"member: uid=m{n},{PEOPLE}\n" for n in range(5000))
    dn = f"cn=large,{GROUPS}"
    own.add(f"dn: {dn}\nobjectClass: groupOfNames\n{members}").ok()
    own.modify(f"dn: {dn}\nchangetype: modify\nadd: member\nmember: uid=new,{PEOPLE}\n").ok()
    own.modify(f"dn: {dn}\nchangetype: modify\ndelete: member\nmember: uid=m7,{PEOPLE}\n").ok()
    added, dropped = (c["changes"] for c in poll(own)[-2:])
    assert added == f"add: member\nmember: uid=new,{PEOPLE}\n-\n"
    assert dropped == f"delete: member\nmember: uid=m7,{PEOPLE}\n-\n"


def test_it_begins_where_the_trimming_ended(new_server):
    server = new_server(limits="{journal_keep: 10, recent_changes: 0}").start()
    for number in range(30):
        server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: title\ntitle: {number}\n").ok()
    said = head(server)
    first, last = int(said["firstChangeNumber"]), int(said["lastChangeNumber"])
    assert first > 1 and last - first + 1 >= 10
    assert [int(c["changeNumber"]) for c in poll(server)] == list(range(first, last + 1))
    server.search(base=f"changeNumber={first - 1},{LOG}", scope="base").refused(32)
    assert server.stop() == 0
    server.start()
    assert head(server) == said


def test_it_can_be_switched_off(new_server):
    server = new_server()
    server.config.write_text(server.config.read_text() + "ldap: {change_log: false}\n")
    server.start()
    assert head(server) == {}
    server.search(base=LOG, scope="sub").refused(32)


def ldif_of(change, skip=lambda name: False):
    """One change as an LDIF record for ldapmodify."""
    lines = [f"dn: {change['targetDN']}"]
    kind = change["changeType"]
    if kind == "modrdn":
        lines += ["changetype: modrdn", f"newrdn: {change['newRDN']}",
                  f"deleteoldrdn: {int(change['deleteOldRDN'] == 'TRUE')}"]
        if "newSuperior" in change:
            lines.append(f"newsuperior: {change['newSuperior']}")
    elif kind == "modify":
        parts = [p for p in change.get("changes", "").split("-\n") if p and not skip(p.split(": ")[1].split("\n")[0])]
        if not parts:
            return ""
        lines += ["changetype: modify", "-\n".join(parts) + "-"]
    else:
        lines.append(f"changetype: {kind}")
        if kind == "add":
            lines.append(change["changes"].rstrip("\n"))
    return "\n".join(lines) + "\n\n"


def everything(own):
    own.add(unit("guests", PEOPLE)).ok()
    change_everything(own, "a")
    change_everything(own, "b")
    own.modify(f"dn: uid=a0,{PEOPLE}\nchangetype: modify\nadd: jpegPhoto\njpegPhoto:: {'/9j/' * 400}\n").ok()
    return "".join(ldif_of(change, lambda name: name.startswith("vestibule")) for change in poll(own, after=1))


def test_applied_to_another_server_it_gives_the_same_entries(own, new_server):
    everything(own)
    second = new_server("second", flags=["--no-demo"]).start()
    # The state of an identity is each server's own business.
    text = "".join(ldif_of(c, lambda name: name == "vestibuleState") for c in poll(own, after=1))
    second.tool("ldapmodify", stdin=text).ok()
    assert entries(second, "*") == entries(own, "*")


def test_applied_to_slapd_it_gives_the_same_entries(own, tmp_path):
    text = f"dn: {SUFFIX}\nchangetype: add\nobjectClass: top\nobjectClass: organization\nobjectClass: dcObject\no: example\n" \
           "dc: example\n\n" + everything(own)
    slapd = Replica(tmp_path / "slapd").start()
    try:
        slapd.modify(text)
        assert slapd.entries() == entries(own, "*")
    finally:
        slapd.stop()
