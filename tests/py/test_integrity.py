"""Referential integrity: references follow deletes and renames, in the same commit."""

import itertools

import ldap
import pytest
from ldap.controls import RequestControl

from support import PEOPLE, SUFFIX, person

PLACEHOLDER = b"cn=empty-membership-placeholder"
TREE_DELETE = RequestControl("1.2.840.113556.1.4.805", True)
_numbers = itertools.count(1)


@pytest.fixture
def lab(server):
    """A branch of its own for each test."""
    base = f"ou=refs{next(_numbers)},{SUFFIX}"
    server.add(f"dn: {base}\nobjectClass: organizationalUnit\n").ok()
    fill(server, base)
    yield base
    server.connect().delete_ext_s(base, serverctrls=[TREE_DELETE])


def fill(server, base):
    """Two units of people; groups and people refer to them."""
    a, b = f"ou=a,{base}", f"ou=b,{base}"
    server.add("\n".join([
        f"dn: {a}\nobjectClass: organizationalUnit\nseeAlso: uid=anne,{a}\n",
        f"dn: {b}\nobjectClass: organizationalUnit\n",
        f"dn: ou=ab,{base}\nobjectClass: organizationalUnit\n",
        person("anne", a),
        person("bert", a, manager=f"uid=anne,{a}", secretary=f"UID=Anne, {a}"),
        person("other", f"ou=ab,{base}"),
        f"dn: cn=both,{base}\nobjectClass: groupOfNames\nmember: uid=anne,{a}\nmember: uid=bert,{a}\n"
        f"member: uid=other,ou=ab,{base}\nowner: uid=anne,{a}\n",
        f"dn: cn=one,{base}\nobjectClass: groupOfNames\nmember: uid=ANNE,{a}\n",
        f"dn: cn=unique,{base}\nobjectClass: groupOfUniqueNames\nuniqueMember: uid=anne,{a}#'01'B\n"
        f"uniqueMember: uid=anne,{a}\nuniqueMember: {a}\nuniqueMember: uid=bert,{a}\n",
    ])).ok()


def values(server, name, attr, base):
    entry = server.search("(objectClass=*)", attr, base=f"{name},{base}", scope="base").ok().entry
    return sorted(v.decode() for v in entry.get(attr, []))


def test_a_delete_takes_the_references_with_it(server, lab):
    a = f"ou=a,{lab}"
    server.delete(f"uid=anne,{a}").ok()
    assert values(server, "cn=both", "member", lab) == sorted([f"uid=bert,{a}", f"uid=other,ou=ab,{lab}"])
    assert values(server, "cn=both", "owner", lab) == []
    assert values(server, "cn=unique", "uniqueMember", lab) == sorted([a, f"uid=bert,{a}"])
    assert values(server, "uid=bert,ou=a", "manager", lab) == values(server, "uid=bert,ou=a", "secretary", lab) == []
    assert values(server, "ou=a", "seeAlso", lab) == []
    # The class asks for a member: a placeholder keeps the group valid.
    assert values(server, "cn=one", "member", lab) == [PLACEHOLDER.decode()]
    found = server.search(f"(|(member=uid=anne,{a})(owner=uid=anne,{a})(manager=*))", "1.1", base=lab).ok()
    assert found.entries == []


def test_a_rename_is_followed(server, lab):
    a = f"ou=a,{lab}"
    server.connect().rename_s(f"uid=anne,{a}", "uid=anna")
    assert f"uid=anna,{a}" in values(server, "cn=both", "member", lab)
    assert values(server, "cn=both", "owner", lab) == values(server, "cn=one", "member", lab) == [f"uid=anna,{a}"]
    assert values(server, "cn=unique", "uniqueMember", lab) == sorted(
        [a, f"uid=anna,{a}#'01'B", f"uid=anna,{a}", f"uid=bert,{a}"])
    assert values(server, "uid=bert,ou=a", "manager", lab) == [f"uid=anna,{a}"]
    assert server.search(f"(member=uid=anne,{a})", "1.1", base=lab).entries == []
    assert server.search(f"(memberOf=cn=one,{lab})", "1.1", base=lab).names == {"anna"}


@pytest.mark.parametrize("rdn, to_b, new", [("ou=c", False, "ou=c,{lab}"), ("ou=a", True, "ou=a,ou=b,{lab}"),
                                            ("ou=c", True, "ou=c,ou=b,{lab}")])
def test_a_moved_subtree_is_followed(server, lab, rdn, to_b, new):
    new = new.format(lab=lab)
    server.connect().rename_s(f"ou=a,{lab}", rdn, f"ou=b,{lab}" if to_b else None)
    assert values(server, "cn=both", "member", lab) == sorted(
        [f"uid=anne,{new}", f"uid=bert,{new}", f"uid=other,ou=ab,{lab}"])
    assert values(server, "cn=unique", "uniqueMember", lab) == sorted(
        [new, f"uid=anne,{new}#'01'B", f"uid=anne,{new}", f"uid=bert,{new}"])
    # References from inside of the subtree, too.
    bert = f"uid=bert,{new}"[: -len(lab) - 1]
    assert values(server, bert, "manager", lab) == [f"uid=anne,{new}"]
    assert values(server, new[: -len(lab) - 1], "seeAlso", lab) == [f"uid=anne,{new}"]
    assert server.search(f"(memberOf=cn=both,{lab})", "1.1", base=lab).names == {"anne", "bert", "other"}


def test_a_tree_delete_takes_the_references_with_it(server, lab):
    server.connect().delete_ext_s(f"ou=a,{lab}", serverctrls=[TREE_DELETE])
    assert values(server, "cn=both", "member", lab) == [f"uid=other,ou=ab,{lab}"]
    assert values(server, "cn=unique", "uniqueMember", lab) == [PLACEHOLDER.decode()]


def test_a_rename_onto_a_name_that_is_there_leaves_it_once(server, lab):
    a = f"ou=a,{lab}"
    server.modify(f"dn: cn=both,{lab}\nchangetype: modify\nadd: member\nmember: uid=anna,{a}\n").ok()
    server.connect().rename_s(f"uid=anne,{a}", "uid=anna")
    assert values(server, "cn=both", "member", lab) == sorted(
        [f"uid=anna,{a}", f"uid=bert,{a}", f"uid=other,ou=ab,{lab}"])


def test_a_respelling_leaves_the_references(server, lab):
    a = f"ou=a,{lab}"
    before = server.search("(cn=both)", "modifyTimestamp", base=lab).entry
    server.connect().rename_s(f"uid=anne,{a}", "uid=Anne")
    assert f"uid=anne,{a}" in values(server, "cn=both", "member", lab)
    assert server.search("(cn=both)", "modifyTimestamp", base=lab).entry == before
    assert server.search(f"(memberOf=cn=one,{lab})", "1.1", base=lab).names == {"Anne"}


def test_who_refers_is_changed_by_who_deletes(configured, tmp_path):
    access = tmp_path / "access.yml"
    access.write_text("rules:\n"
                      "  - {name: admin, who: [admin], rights: all}\n"
                      "  - {name: self, who: [self], attributes: [userPassword], rights: [write]}\n"
                      f"  - {{name: clerk, who: ['dn:uid=clerk,{PEOPLE}'], base: '{PEOPLE}', rights: [search, read, delete]}}\n")
    own = configured(access=access)
    own.add("\n".join([person("clerk", userPassword="clerk-password"), person("left", manager=f"uid=clerk,{PEOPLE}"),
                       person("boss", manager=f"uid=left,{PEOPLE}")])).ok()
    own.add(f"dn: cn=hidden,{SUFFIX}\nobjectClass: groupOfNames\nmember: uid=left,{PEOPLE}\n"
            f"member: uid=boss,{PEOPLE}\n").ok()
    # Without a right to the group itself.
    own.delete(f"uid=left,{PEOPLE}", who=f"uid=clerk,{PEOPLE}", password="clerk-password").ok()
    entry = own.search("(cn=hidden)", "member", "modifiersName", "modifyTimestamp").entry
    assert entry["member"] == [f"uid=boss,{PEOPLE}".encode()]
    assert entry["modifiersName"] == [f"uid=clerk,{PEOPLE}".encode()]
    # An identity that referred is exported again.
    boss = own.search("(uid=boss)", "manager", "modifiersName", "vestibuleState").entry
    assert "manager" not in boss and boss["modifiersName"] == [f"uid=clerk,{PEOPLE}".encode()]


def test_all_or_nothing_and_after_a_restart(configured):
    server = configured()
    fill_base = f"ou=refs,{SUFFIX}"
    server.add(f"dn: {fill_base}\nobjectClass: organizationalUnit\n").ok()
    fill(server, fill_base)
    connection = server.connect()
    # Refused: nothing follows.
    with pytest.raises(ldap.ALREADY_EXISTS):
        connection.rename_s(f"uid=anne,ou=a,{fill_base}", "uid=bert")
    assert f"uid=anne,ou=a,{fill_base}" in values(server, "cn=both", "member", fill_base)
    connection.rename_s(f"ou=a,{fill_base}", "ou=z")
    before = sorted(server.search("(objectClass=*)", "*", "+", base=fill_base).ok().entries)
    assert server.stop() == 0
    server.start()
    assert sorted(server.search("(objectClass=*)", "*", "+", base=fill_base).ok().entries) == before


def test_references_stay_without_the_switch(configured):
    server = configured("references: {follow: false}\n")
    base = f"ou=refs,{SUFFIX}"
    server.add(f"dn: {base}\nobjectClass: organizationalUnit\n").ok()
    fill(server, base)
    server.connect().rename_s(f"uid=bert,ou=a,{base}", "uid=berta")
    server.delete(f"uid=anne,ou=a,{base}").ok()
    assert values(server, "cn=one", "member", base) == [f"uid=ANNE,ou=a,{base}"]
    assert f"uid=bert,ou=a,{base}" in values(server, "cn=both", "member", base)


def test_only_the_attributes_of_the_configuration(configured):
    server = configured("references: {attributes: [owner], placeholder: 'cn=nobody,{suffix}'}\n")
    base = f"ou=refs,{SUFFIX}"
    server.add(f"dn: {base}\nobjectClass: organizationalUnit\n").ok()
    fill(server, base)
    server.delete(f"uid=anne,ou=a,{base}").ok()
    assert values(server, "cn=both", "owner", base) == []
    assert values(server, "cn=one", "member", base) == [f"uid=ANNE,ou=a,{base}"]


def group(name, *members):
    return f"dn: cn={name},{SUFFIX}\nobjectClass: groupOfNames\n" + "".join(f"member: {m}\n" for m in members)


def test_references_must_exist_where_that_is_asked(configured):
    server = configured("references: {check: refuse, tolerated: ['cn=dummy']}\n")
    boss, gone = f"uid=amartin,{PEOPLE}", f"uid=gone,{PEOPLE}"
    server.add(group("a", gone)).refused(19, "member (references): 1 of its values name no entry")
    server.add(group("a", boss, f"cn=a,{SUFFIX}", "cn=dummy", PLACEHOLDER.decode(), "cn=x,o=elsewhere")).ok()
    change = f"dn: cn=a,{SUFFIX}\nchangetype: modify\nadd: member\nmember: {gone}\n"
    server.modify(change).refused(19, "member (references)")
    server.add(person("fresh", manager=gone)).refused(19, "manager (references)")
    server.add(person("fresh", manager=boss)).ok()


def test_references_that_do_not_exist_are_told_of_or_left_alone(configured, new_server):
    gone = f"uid=gone,{PEOPLE}"
    warned = configured("references: {check: warn}\n").connect()
    warned.result(warned.add(f"cn=a,{SUFFIX}", [("objectClass", [b"groupOfNames"]), ("member", [gone.encode()])]))
    text = warned.get_option(ldap.OPT_DIAGNOSTIC_MESSAGE)
    assert text == "member (references): 1 of its values name no entry"
    quiet = new_server("quiet").start()
    assert "references" not in quiet.add(group("a", gone)).ok().out


def test_a_rehearsal_leaves_every_reference(server, lab):
    a = f"ou=a,{lab}"
    no_op = RequestControl("1.3.6.1.4.1.4203.1.10.2", True)
    with pytest.raises(ldap.LDAPError):
        server.connect().delete_ext_s(f"uid=anne,{a}", serverctrls=[no_op])
    assert f"uid=anne,{a}" in values(server, "cn=both", "member", lab)
    assert values(server, "cn=one", "member", lab) == [f"uid=ANNE,{a}"]


@pytest.mark.parametrize("extra, text", [
    ("references: {attributes: [cn]}\n", "references"),
    ("references: {placeholder: nonsense}\n", "references"),
    ("references: {check: maybe}\n", "check"),
    ("references: {other: 1}\n", "other"),
])
def test_the_configuration_names_its_fault(new_server, extra, text):
    server = new_server()
    server.config.write_text(server.config.read_text() + extra)
    answer = server.command("check")
    assert answer.returncode != 0 and text in answer.stderr, answer
