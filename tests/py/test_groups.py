"""Groups: memberOf as value and filter, nested and dynamic groups, chains; each with its switch."""

import ldap
import pytest

from support import AMARTIN, PEOPLE, SUFFIX, person

LAB = f"ou=clubs,{SUFFIX}"
IN_CHAIN = "1.2.840.113556.1.4.1941"


def dn(name):
    return f"cn={name},{LAB}"


def who(name):
    return f"uid={name},{LAB}"


def group(name, *members, parent=LAB):
    return f"dn: cn={name},{parent}\nobjectClass: groupOfNames\ncn: {name}\n" + "".join(f"member: {m}\n" for m in members)


def unique(name, *members):
    lines = "".join(f"uniqueMember: {m}\n" for m in members)
    return f"dn: {dn(name)}\nobjectClass: groupOfUniqueNames\ncn: {name}\n{lines}"


def dynamic(name, *urls):
    return f"dn: {dn(name)}\nobjectClass: groupOfURLs\ncn: {name}\n" + "".join(f"memberURL: {u}\n" for u in urls)


def posix(name, number, *uids):
    lines = "".join(f"memberUid: {u}\n" for u in uids)
    return f"dn: {dn(name)}\nobjectClass: organizationalRole\nobjectClass: posixGroup\ncn: {name}\ngidNumber: {number}\n{lines}"


# anne is in "direct"; "outer" has "direct" and bert; "top" has "outer". "east" and "west" hold
# each other. "shift" is a search, "week" has it for a member.
DATA = [
    f"dn: {LAB}\nobjectClass: organizationalUnit\nou: clubs\n",
    person("anne", LAB, employeeType="day", manager=who("bert")),
    person("bert", LAB, employeeType="night", manager=who("carl")),
    person("carl", LAB, employeeType="day"),
    person("dora", LAB),
    group("direct", who("anne")),
    group("outer", dn("direct"), f"UID=Bert, {LAB}"),
    unique("top", dn("outer"), f"{who('dora')}#'0101'B"),
    group("east", dn("west"), who("carl")),
    group("west", dn("east")),
    dynamic("shift", f"ldap:///{LAB}??one?(employeeType=day)"),
    group("week", dn("shift"), dn("gone")),
    posix("unix", 500, "dora"),
]

MEMBER_OF = {
    "anne": {"direct", "outer", "top", "shift", "week"},
    "bert": {"outer", "top"},
    "carl": {"east", "west", "shift", "week"},
    "dora": {"top"},
    "direct": {"outer", "top"},
    "outer": {"top"},
    "top": set(),
    "east": {"west"},
    "west": {"east"},
    "shift": {"week"},
    "week": set(),
    "unix": set(),
    "clubs": set(),
}
GROUPS = ["direct", "outer", "top", "east", "west", "shift", "week", "unix"]


@pytest.fixture(scope="module")
def lab(server):
    server.add("\n".join(DATA)).ok()
    return LAB


@pytest.fixture
def own(configured):
    """A server with the same data and a configuration of its own."""
    def make(extra, **options):
        server = configured(extra, **options)
        server.add("\n".join(DATA)).ok()
        return server
    return make


def member_of(server, **how):
    found = server.search("(objectClass=*)", "memberOf", base=LAB, **how).ok().entries
    name = lambda text: text.split(",")[0].split("=", 1)[1]
    return {name(d): {name(v.decode()) for v in attrs.get("memberOf", [])} for d, attrs in found}


def test_values(server, lab):
    assert member_of(server) == MEMBER_OF


def members_by_filter(server, name, **how):
    found = server.search(f"(memberOf={dn(name)})", "1.1", base=LAB, **how).ok().names
    rest = server.search(f"(!(memberOf={dn(name)}))", "1.1", base=LAB, **how).ok().names
    assert not found & rest and found | rest == set(MEMBER_OF)
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_filter_agrees_with_values(server, lab, name):
    assert members_by_filter(server, name) == {who for who, groups in MEMBER_OF.items() if name in groups}


@pytest.mark.parametrize("filter, expected", [
    ("(memberOf=*)", {w for w, g in MEMBER_OF.items() if g}),
    ("(!(memberOf=*))", {w for w, g in MEMBER_OF.items() if not g}),
    (f"(memberof=CN=Outer , {LAB.upper()})", {"anne", "bert", "direct"}),
    (f"(&(objectClass=inetOrgPerson)(memberOf={dn('outer')}))", {"anne", "bert"}),
    (f"(&(uid=anne)(memberOf={dn('outer')}))", {"anne"}),
    (f"(|(uid=carl)(memberOf={dn('outer')}))", {"anne", "bert", "carl", "direct"}),
    (f"(&(objectClass=inetOrgPerson)(!(memberOf={dn('outer')})))", {"carl", "dora"}),
    (f"(memberOf={dn('gone')})", set()),
    (f"(memberOf={who('anne')})", set()),
    ("(memberOf=no name)", set()),
    ("(!(memberOf=no name))", set()),
    (f"(memberOf:={dn('top')})", {"anne", "bert", "dora", "direct", "outer"}),
    (f"(memberOf:distinguishedNameMatch:={dn('week')})", {"anne", "carl", "shift"}),
    # Chains.
    (f"(memberOf:{IN_CHAIN}:={dn('top')})", {"anne", "bert", "dora", "direct", "outer"}),
    (f"(member:{IN_CHAIN}:={who('anne')})", {"direct", "outer", "shift", "week"}),
    (f"(|(member:{IN_CHAIN}:={who('anne')})(uniqueMember:{IN_CHAIN}:={dn('outer')}))",
     {"direct", "outer", "shift", "week", "top"}),
    (f"(uniqueMember:{IN_CHAIN}:={who('dora')})", {"top"}),
    (f"(member:{IN_CHAIN}:={who('carl')})", {"east", "west", "shift", "week"}),
    (f"(member:{IN_CHAIN}:={dn('gone')})", {"week"}),
    (f"(manager:{IN_CHAIN}:={who('carl')})", {"anne", "bert"}),
    (f"(manager:{IN_CHAIN}:={who('anne')})", set()),
    (f"(&(objectClass=person)(!(manager:{IN_CHAIN}:={who('carl')})))", {"carl", "dora"}),
    (f"(manager:distinguishedNameInChainMatch:={who('carl')})", {"anne", "bert"}),
    (f"(!(cn:{IN_CHAIN}:={who('carl')}))", set()),
    # Members of dynamic groups are members.
    (f"(member={who('anne')})", {"direct", "shift"}),
    (f"(&(objectClass=groupOfURLs)(member={who('bert')}))", set()),
    (f"(&(objectClass=groupOfURLs)(!(member={who('bert')})))", {"shift"}),
    ("(&(objectClass=groupOfURLs)(member=*))", {"shift"}),
])
def test_filters(server, lab, filter, expected):
    assert server.search(filter, "1.1", base=lab).ok().names == expected


def test_member_of_is_operational(server, lab):
    by = lambda *attrs: set(server.search("(uid=anne)", *attrs, base=lab).ok().entry)
    assert "memberOf" not in by() and "memberOf" not in by("*")
    assert "memberOf" in by("+") and by("memberOf") == {"memberOf"}
    assert "memberOf" not in set(server.search("(uid=dora)", "mail", base=lab).entry)


@pytest.mark.parametrize("attrs", [(), ("*",), ("member",), ("MEMBER", "cn")])
def test_a_dynamic_group_shows_its_members(server, lab, attrs):
    entry = server.search("(cn=shift)", *attrs, base=lab).ok().entry
    assert sorted(entry["member"]) == [who("anne").encode(), who("carl").encode()]


def test_a_dynamic_group_keeps_the_members_that_it_names(server, lab):
    text = dynamic("both", f"ldap:///{LAB}??sub?(employeeType=day)").replace(
        "groupOfURLs", "groupOfNames\nobjectClass: extensibleObject")
    server.add(text + f"member: {who('dora')}\nmember: {who('anne')}\n").ok()
    try:
        found = [v.decode() for v in server.search("(cn=both)", "member", base=lab).entry["member"]]
        assert sorted(found) == [who("anne"), who("carl"), who("dora")]
        assert server.search(f"(memberOf={dn('both')})", "1.1", base=lab).names == {"anne", "carl", "dora"}
    finally:
        server.delete(dn("both")).ok()


@pytest.mark.parametrize("name, attr, value, expected", [
    ("shift", "member", who("anne"), True),
    ("shift", "member", f"UID=ANNE,{LAB}", True),
    ("shift", "member", who("bert"), False),
    ("direct", "member", who("anne"), True),
    ("outer", "member", who("anne"), False),
    ("top", "uniqueMember", f"{who('dora')}#'0101'B", True),
])
def test_compare_on_groups(server, lab, name, attr, value, expected):
    assert server.connect().compare_s(dn(name), attr, value.encode()) is expected


@pytest.mark.parametrize("value, expected", [("outer", True), ("east", False)])
def test_compare_on_member_of(server, lab, value, expected):
    assert server.connect().compare_s(who("anne"), "memberOf", dn(value).encode()) is expected


def test_membership_follows_every_write(server, lab):
    flock = [group("flock", who("dora"))]
    server.add("\n".join(flock)).ok()
    try:
        assert "flock" in member_of(server)["dora"]
        server.modify(f"dn: {dn('flock')}\nchangetype: modify\nadd: member\nmember: {dn('direct')}\n-\n"
                      f"delete: member\nmember: {who('dora')}\n").ok()
        assert "flock" not in member_of(server)["dora"] and "flock" in member_of(server)["anne"]
        server.modify(f"dn: {who('anne')}\nchangetype: modify\nreplace: employeeType\nemployeeType: night\n").ok()
        assert {"shift", "week"} & member_of(server)["anne"] == set()
        server.modify(f"dn: {who('anne')}\nchangetype: modify\nreplace: employeeType\nemployeeType: day\n").ok()
        assert {"shift", "week"} <= member_of(server)["anne"]
    finally:
        server.delete(dn("flock")).ok()
    assert member_of(server) == MEMBER_OF


@pytest.mark.parametrize("url", [
    "ldap://elsewhere.example/??sub?(uid=*)",
    f"ldap:///{LAB}??sub?(uid=*",
    f"ldap:///ou=nowhere,{SUFFIX}??sub?(uid=*)",
    f"ldap:///{LAB}??sub?(memberOf=cn=circle,{LAB})",
    f"ldap:///{LAB}??sub?(member={who('anne')})?!critical",
])
def test_urls_without_members(server, lab, url):
    server.add(dynamic("circle", url)).ok()
    try:
        assert "member" not in server.search("(cn=circle)", base=lab).ok().entry
        assert server.search(f"(memberOf={dn('circle')})", "1.1", base=lab).ok().names == set()
        assert member_of(server) == MEMBER_OF | {"circle": set()}
    finally:
        server.delete(dn("circle")).ok()


def test_a_url_may_ask_for_static_groups(server, lab):
    server.add(dynamic("cast", f"ldap:///{LAB}??sub?(&(uid=*)(memberOf={dn('outer')}))")).ok()
    try:
        assert server.search(f"(memberOf={dn('cast')})", "1.1", base=lab).ok().names == {"anne", "bert"}
    finally:
        server.delete(dn("cast")).ok()


def test_only_direct_groups_without_nesting(own):
    server = own("groups: {nested: false}\n")
    found = member_of(server)
    assert found["anne"] == {"direct", "shift"} and found["dora"] == {"top"} and found["direct"] == {"outer"}
    for name in GROUPS:
        assert members_by_filter(server, name) == {w for w, groups in found.items() if name in groups}
    # The chain goes all the way whatever memberOf shows.
    chain = server.search(f"(memberOf:{IN_CHAIN}:={dn('top')})", "1.1", base=LAB).ok().names
    assert chain == {"anne", "bert", "dora", "direct", "outer"}


def test_no_dynamic_groups_without_the_switch(own):
    server = own("groups: {dynamic: false}\n")
    assert member_of(server)["anne"] == {"direct", "outer", "top"}
    assert "member" not in server.search("(cn=shift)", base=LAB).entry
    assert server.search(f"(member={who('anne')})", "1.1", base=LAB).names == {"direct"}


def test_posix_groups_with_the_switch(own):
    server = own("groups: {posix: true}\n")
    assert member_of(server)["dora"] == {"top", "unix"}
    assert members_by_filter(server, "unix") == {"dora"}


def test_other_attributes_that_name_members(own):
    server = own("groups: {attributes: [uniqueMember]}\n")
    assert member_of(server)["anne"] == {"shift"} and member_of(server)["outer"] == {"top"}


def test_the_configuration_names_its_fault(new_server):
    server = new_server()
    server.config.write_text(server.config.read_text() + "groups: {attributes: [cn]}\n")
    answer = server.command("check")
    assert answer.returncode != 0 and "groups" in answer.stderr and "'cn'" in answer.stderr, answer


def test_membership_works_without_the_usual_indexes(own):
    server = own("indexes: [uid]\n")
    assert member_of(server) == MEMBER_OF
    assert members_by_filter(server, "outer") == {"anne", "bert", "direct"}
    assert server.search(f"(manager:{IN_CHAIN}:={who('carl')})", "1.1", base=LAB).ok().names == {"anne", "bert"}


ACCESS = """\
rules:
  - {{name: admin, who: [admin], rights: all}}
  - {{name: passwords, who: [anyone], attributes: [userPassword], rights: none}}
  - {{name: secret group, who: [authenticated], base: "{outer}", scope: base, rights: none}}
  - {{name: secret attribute, who: [authenticated], attributes: [employeeType], rights: none}}
  - {{name: rest, who: [authenticated], rights: [search, compare, read]}}
"""


def test_groups_that_may_not_be_read_are_not_named(own, tmp_path):
    access = tmp_path / "access.yml"
    access.write_text(ACCESS.format(outer=dn("outer")))
    server = own("", access=access)
    # Nor does a search show who is in by an attribute that may not be searched.
    expected = {w: groups - {"outer", "shift"} for w, groups in MEMBER_OF.items() if w != "outer"}
    expected["anne"] -= {"week"}
    expected["carl"] -= {"week"}
    expected["shift"] = {"week"}
    assert member_of(server, who=AMARTIN) == expected
    for name in GROUPS:
        found = server.search(f"(memberOf={dn(name)})", "1.1", base=LAB, who=AMARTIN).ok().names
        assert found == {w for w, groups in expected.items() if name in groups}, name
    assert "member" not in server.search("(cn=shift)", base=LAB, who=AMARTIN).entry
    assert server.search(f"(member={who('anne')})", "1.1", base=LAB, who=AMARTIN).names == {"direct"}
    connection = server.connect(AMARTIN)
    assert connection.compare_s(who("anne"), "memberOf", dn("outer").encode()) is False
    assert connection.compare_s(who("anne"), "memberOf", dn("top").encode()) is True
    assert member_of(server) == MEMBER_OF


def test_subordinates_are_counted(server, lab):
    rows = [f"dn: ou=count,{LAB}\nobjectClass: organizationalUnit\nou: count\n"]
    rows += [person(f"count{n}", f"ou=count,{LAB}") for n in range(3)]
    server.add("\n".join(rows)).ok()
    base = f"ou=count,{LAB}"
    names = lambda filter: server.search(filter, "1.1", base=base).ok().names
    count = lambda: server.search("(ou=count)", "numSubordinates", base=base).entry["numSubordinates"]
    assert count() == [b"3"]
    assert names("(numSubordinates=3)") == names("(numSubordinates>=1)") == names("(hasSubordinates=TRUE)") == {"count"}
    assert names("(numSubordinates<=2)") == names("(numSubordinates=0)") == {"count0", "count1", "count2"}
    assert names("(numSubordinates>=0)") == {"count", "count0", "count1", "count2"}
    assert names("(!(hasSubordinates=TRUE))") == {"count0", "count1", "count2"}
    server.connect().rename_s(f"uid=count0,{base}", "uid=count0", f"uid=count1,{base}")
    assert count() == [b"2"] and names("(numSubordinates>=1)") == {"count", "count1"}
    server.delete(f"uid=count0,uid=count1,{base}").ok()
    assert names("(hasSubordinates=TRUE)") == {"count"}
    for n in (1, 2):
        server.delete(f"uid=count{n},{base}").ok()
    assert count() == [b"0"] and names("(hasSubordinates=FALSE)") == {"count"}
    server.delete(base).ok()


@pytest.mark.parametrize("form", ["({}={})", "({}:={})", "(&(objectClass=*)({}={}))", "(|({}={})(uid=nobody))",
                                  "(!(!({}={})))"])
@pytest.mark.parametrize("attr", ["entryDN", "entryUUID"])
def test_names_and_ids_in_every_form(server, lab, form, attr):
    value = server.search("(uid=anne)", attr, base=lab).entry[attr][0].decode()
    for spelled in (value, value.upper()):
        assert server.search(form.format(attr, spelled), "1.1", base=lab).ok().names == {"anne"}
    assert server.search(f"({attr}=*)", "1.1", base=lab).ok().names == set(MEMBER_OF)


@pytest.mark.parametrize("value, attr", [("direct", "member"), ("top", "uniqueMember"), ("gone", "member")])
def test_writing_member_of_says_what_to_write_instead(server, lab, value, attr):
    text = f"'{attr}' of {dn(value)} instead"
    change = f"dn: {who('dora')}\nchangetype: modify\nadd: memberOf\nmemberOf: {dn(value)}\n"
    server.modify(change).refused(19, "memberOf (NO-USER-MODIFICATION)", text)
    server.add(person("ernst", lab, memberOf=dn(value))).refused(19, text)


def test_deleting_member_of_says_what_to_write_instead(server, lab):
    change = f"dn: {who('anne')}\nchangetype: modify\ndelete: memberOf\n"
    server.modify(change).refused(19, "change 'member' of the groups instead")


MANY = 50_000


def test_a_group_of_fifty_thousand(server, lab):
    """One message of 3 MB; then one member more, and one less."""
    connection, group_dn = server.connect(), dn("everyone")
    names = [f"uid=person{n},{PEOPLE}".encode() for n in range(MANY)] + [who("dora").encode()]
    connection.add_s(group_dn, [("objectClass", [b"groupOfNames"]), ("member", names)])
    try:
        read = lambda: connection.search_s(group_dn, ldap.SCOPE_BASE, "(objectClass=*)", ["member"])[0][1]["member"]
        assert read() == names
        assert server.search(f"(memberOf={group_dn})", "1.1", base=lab).names == {"dora"}
        connection.modify_s(group_dn, [(ldap.MOD_ADD, "member", [who("anne").encode()])])
        assert connection.compare_s(group_dn, "member", who("anne").encode()) is True
        assert connection.compare_s(group_dn, "member", f"UID=person7, {PEOPLE}".encode()) is True
        assert server.search(f"(memberOf={group_dn})", "1.1", base=lab).names == {"anne", "dora"}
        connection.modify_s(group_dn, [(ldap.MOD_DELETE, "member", [who("dora").encode()])])
        assert connection.compare_s(group_dn, "member", who("dora").encode()) is False
        assert server.search(f"(memberOf={group_dn})", "1.1", base=lab).names == {"anne"}
        assert read() == names[:-1] + [who("anne").encode()]
    finally:
        connection.delete_s(group_dn)
