"""The shipped access rules, as each kind of client meets them."""

import pytest

from support import ADMIN, AMARTIN, LBERNARD, PEOPLE, SUFFIX, person

GROUPS = f"ou=groups,{SUFFIX}"
STRUCTURES = f"ou=structures,{SUFFIX}"


def test_anonymous_reads_the_root_dse_and_the_schema(server):
    assert server.search(base="", scope="base", who=None).ok().entries
    found = server.search("(objectClass=subschema)", "objectClasses", base="cn=Subschema", scope="base", who=None).ok()
    assert found.entry["objectClasses"]


@pytest.mark.parametrize("base, scope", [(SUFFIX, "sub"), (SUFFIX, "base"), (PEOPLE, "one"), (AMARTIN, "base"),
                                         ("", "sub"), (GROUPS, "sub")])
def test_anonymous_reads_nothing_else(server, base, scope):
    found = server.search("(|(objectClass=*)(!(cn=x)))", base=base, scope=scope, who=None)
    assert found.code in (0, 32, 50), found
    assert found.entries == []


def test_anonymous_learns_no_names_from_errors(server):
    for base in (f"uid=nobody,{PEOPLE}", f"uid=x,{AMARTIN}"):
        found = server.search(base=base, scope="base", who=None)
        assert "atched" not in found.out + found.err.replace("matched DN: \n", ""), found
    existing = server.tool("ldapcompare", AMARTIN, "sn:Martin", who=None)
    missing = server.tool("ldapcompare", f"uid=nobody,{PEOPLE}", "sn:Martin", who=None)
    assert existing.code == missing.code, (existing, missing)
    existing = server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: sn\nsn: x\n", who=None)
    missing = server.modify(f"dn: uid=nobody,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: x\n", who=None)
    assert existing.code == missing.code, (existing, missing)


def test_a_person_reads_people_groups_and_structures(server):
    for base in (PEOPLE, GROUPS, STRUCTURES, SUFFIX):
        assert base in server.search(base=base, scope="base", who=AMARTIN).ok().dns
    found = server.search("(uid=lbernard)", base=SUFFIX, who=AMARTIN).ok().entry
    assert {"cn", "sn", "mail", "supannEtablissement"} <= set(found)


PRIVATE = ["supannCodeINE", "supannMailPrive", "supannTelephonePrive", "supannOIDCDateDeNaissance",
           "supannNomDeNaissance", "supannPrenomsEtatCivil", "supannOIDCGenre"]


def test_private_attributes_of_others_are_closed(server):
    for attrs in ((), PRIVATE, ("*",)):
        found = server.search("(uid=lbernard)", *attrs, who=AMARTIN).ok().entry
        assert not set(PRIVATE) & set(found), found
    own = server.search("(uid=lbernard)", base=LBERNARD, who=LBERNARD).ok().entry
    assert set(PRIVATE) <= set(own)
    assert set(PRIVATE) <= set(server.search("(uid=lbernard)", who=ADMIN).ok().entry)


@pytest.mark.parametrize("filter", [
    "(supannCodeINE=710203344AH)", "(supannCodeINE=*)", "(supannCodeINE=71*)", "(supannCodeINE~=710203344AH)",
    "(supannCodeINE:caseIgnoreMatch:=710203344AH)", "(supannOIDCDateDeNaissance>=2000-01-01)",
    "(:caseIgnoreMatch:=710203344AH)", "(!(supannCodeINE=other))",
])
def test_what_may_not_be_read_may_not_be_searched(server, filter):
    found = server.search(f"(&(uid=lbernard){filter})", "1.1", who=AMARTIN).ok()
    assert found.entries == []


def test_what_may_not_be_read_may_not_be_compared(server):
    server.tool("ldapcompare", LBERNARD, "supannCodeINE:710203344AH", who=AMARTIN).refused(50)
    server.tool("ldapcompare", LBERNARD, "supannCodeINE:710203344AH", who=LBERNARD).refused(6)


def test_red_list(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, classes=["supannPerson"], supannListeRouge="TRUE", telephoneNumber="+33 1 02 03 04 05",
                      mobile="+33 6 02 03 04 05")).ok()
    found = server.search(base=dn, scope="base", who=AMARTIN).ok().entry
    assert "cn" in found and not {"telephoneNumber", "mobile"} & set(found)
    assert server.search(f"(&(uid={uid})(telephoneNumber=*))", who=AMARTIN).ok().entries == []
    server.delete(dn).ok()


def test_a_person_writes_the_own_password_only(server, someone):
    own = {"who": someone, "password": "first-password"}
    server.modify(f"dn: {someone}\nchangetype: modify\nreplace: mail\nmail: x@example.org\n", **own).refused(50)
    server.modify(f"dn: {someone}\nchangetype: modify\nreplace: userPassword\nuserPassword: n1-password\n-\n"
                  f"replace: mail\nmail: x@example.org\n", **own).refused(50)
    server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: userPassword\nuserPassword: x-password\n",
                  **own).refused(50)
    server.modify(f"dn: {someone}\nchangetype: modify\nreplace: vestibuleState\nvestibuleState: 1\n", **own).refused(50)
    server.add(person("made"), **own).refused(50)
    server.delete(someone, **own).refused(50)
    server.tool("ldapmodrdn", someone, "uid=renamed", **own).refused(50)
    server.modify(f"dn: {someone}\nchangetype: modify\nreplace: userPassword\nuserPassword: n1-password\n", **own).ok()


def test_a_rule_of_an_own_file(new_server, tmp_path):
    rules = tmp_path / "access.yml"
    rules.write_text("""\
rules:
  - name: the administrator does everything
    who: [admin]
    rights: all
  - name: help desk
    who: ["dn:uid=lbernard,ou=people,{suffix}"]
    base: ou=people,{suffix}
    attributes: [telephoneNumber]
    rights: [write]
  - name: mail is for all
    who: [anyone]
    base: ou=people,{suffix}
    attributes: [uid, mail]
    rights: [search, read]
  - name: entries of people can be seen
    who: [anyone]
    base: ou=people,{suffix}
    filter: (eduPersonAffiliation=staff)
    attributes: [objectClass]
    rights: none
  - name: the entry itself
    who: [anyone]
    base: uid=amartin,ou=people,{suffix}
    rights: [search, read]
""")
    server = new_server(access=rules).start()
    found = server.search("(mail=*)", base=PEOPLE, who=None).ok()
    assert found.dns == [AMARTIN]
    # The first rule that speaks of the attribute decides: objectClass is closed, cn falls to the last.
    assert "objectClass" not in found.entry and {"uid", "mail", "cn"} <= set(found.entry)
    change = f"dn: {AMARTIN}\nchangetype: modify\nreplace: telephoneNumber\ntelephoneNumber: +33 1\n"
    server.modify(change, who=LBERNARD).ok()
    server.modify(change.replace("telephoneNumber", "mobile"), who=LBERNARD).refused(50)
    server.modify(change, who=AMARTIN).refused(50)


def test_rules_for_the_own_entry_tell_nothing_of_other_names(server, uid):
    hidden = f"ou={uid},{SUFFIX}"
    server.add(f"dn: {hidden}\nobjectClass: organizationalUnit\nou: {uid}\n").ok()
    for scope in ["base", "one", "sub"]:
        there = server.search("(objectClass=*)", base=hidden, scope=scope, who=AMARTIN)
        not_there = server.search("(objectClass=*)", base=f"ou=no-{uid},{SUFFIX}", scope=scope, who=AMARTIN)
        assert (there.code, there.out) == (32, "") and not_there.code == 32
        assert server.search("(objectClass=*)", "1.1", base=AMARTIN, scope="base", who=AMARTIN).ok().dns == [AMARTIN]
    server.delete(hidden).ok()
