"""Controls and extended operations, with OpenLDAP's clients and python-ldap."""

import base64
import re

import ldap
import ldap.controls
import pytest
from ldap.controls import LDAPControl, RequestControl, SimplePagedResultsControl
from ldap.controls.readentry import PostReadControl, PreReadControl
from ldap.controls.sss import SSSRequestControl, SSSResponseControl
from ldap.controls.vlv import VLVRequestControl, VLVResponseControl

from support import ADMIN, ADMIN_PASSWORD, LBERNARD, PEOPLE, REPO, SUFFIX, person
from support import AMARTIN as ALICE

MANAGE = ("-M",)


@pytest.fixture
def lab(server, uid):
    """A container for entries of one test, gone afterwards with all below."""
    dn = f"ou={uid},{SUFFIX}"
    server.add(f"dn: {dn}\nobjectClass: organizationalUnit\nou: {uid}\n").ok()
    yield dn
    server.tool("ldapdelete", "-M", "-e", "1.2.840.113556.1.4.805", dn).ok()


def people(server, lab, count, **attrs):
    server.add("\n".join(person(f"p{n:03}", lab, sn=f"Name {count - n:03}", **attrs) for n in range(count))).ok()


# Paged results


def pages(connection, base, size, filter="(objectClass=person)", sizes=None, between=None):
    """The uids of each page."""
    cookie, found = b"", []
    while True:
        control = SimplePagedResultsControl(True, sizes[len(found)] if sizes else size, cookie)
        asked = connection.search_ext(base, ldap.SCOPE_SUBTREE, filter, ["uid"], serverctrls=[control])
        _, entries, _, controls = connection.result3(asked)
        found.append([e[1]["uid"][0].decode() for e in entries])
        (answer,) = [c for c in controls if c.controlType == SimplePagedResultsControl.controlType]
        cookie = answer.cookie
        if not cookie:
            return found
        if between:
            between(len(found))


def test_pages_hold_every_entry_once(server, lab):
    people(server, lab, 10)
    connection = server.connect()
    everyone = sorted(f"p{n:03}" for n in range(10))
    for size, counts in [(3, [3, 3, 3, 1]), (5, [5, 5]), (10, [10]), (100, [10])]:
        found = pages(connection, lab, size)
        assert [len(page) for page in found] == counts, size
        assert sorted(uid for page in found for uid in page) == everyone
    assert [len(p) for p in pages(connection, lab, 0, sizes=[2, 5, 1, 99])] == [2, 5, 1, 2]


def test_writes_between_pages_neither_lose_nor_repeat(server, lab):
    people(server, lab, 9)
    other = server.connect()

    def between(page):
        other.delete_s(f"uid=p{page:03},{lab}")
        other.add_s(f"uid=new{page},{lab}", [
            ("objectClass", [b"inetOrgPerson"]), ("cn", [b"n"]), ("sn", [b"n"]), ("uid", [f"new{page}".encode()])])

    found = pages(server.connect(), lab, 3, between=between)
    all_of_them = [uid for page in found for uid in page]
    assert len(all_of_them) == len(set(all_of_them))
    assert {f"p{n:03}" for n in range(9)} <= set(all_of_them) | {"p001", "p002"}


def test_a_page_of_size_0_ends_the_search(server, lab):
    people(server, lab, 5)
    connection = server.connect()
    control = SimplePagedResultsControl(True, 2, b"")

    def ask(control):
        asked = connection.search_ext(lab, ldap.SCOPE_SUBTREE, "(uid=*)", serverctrls=[control])
        _, entries, _, controls = connection.result3(asked)
        return entries, controls[0].cookie

    entries, cookie = ask(control)
    assert len(entries) == 2 and cookie
    assert ask(SimplePagedResultsControl(True, 0, cookie)) == ([], b"")
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        ask(SimplePagedResultsControl(True, 2, cookie))


def test_a_cookie_is_of_its_search_and_connection(server, lab):
    people(server, lab, 5)
    first, second = server.connect(), server.connect()

    def ask(connection, cookie, filter="(uid=*)"):
        control = SimplePagedResultsControl(True, 2, cookie)
        asked = connection.search_ext(lab, ldap.SCOPE_SUBTREE, filter, serverctrls=[control])
        return connection.result3(asked)[3][0].cookie

    cookie = ask(first, b"")
    for connection, filter in [(second, "(uid=*)"), (first, "(uid=p*)")]:
        with pytest.raises(ldap.UNWILLING_TO_PERFORM):
            ask(connection, cookie, filter)
    assert ask(first, cookie)


def test_a_bind_ends_the_pages(server, lab):
    people(server, lab, 3)
    connection = server.connect()
    control = SimplePagedResultsControl(True, 1, b"")
    cookie = connection.result3(connection.search_ext(lab, 2, "(uid=*)", serverctrls=[control]))[3][0].cookie
    connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        control = SimplePagedResultsControl(True, 1, cookie)
        connection.result3(connection.search_ext(lab, 2, "(uid=*)", serverctrls=[control]))


def test_the_size_limit_counts_over_pages(server, lab):
    people(server, lab, 9)
    found = server.search("(uid=p*)", "uid", base=lab, flags=("-E", "pr=3/noprompt", "-z", "5"))
    assert found.code == 4
    assert found.out.count("dn: uid=") == 5


# Sort and list views


def sorted_uids(server, lab, *keys, critical="!"):
    found = server.search("(objectClass=person)", "uid", base=lab, flags=("-E", f"{critical}sss={'/'.join(keys)}"))
    return found, re.findall(r"^uid: (.*)$", found.out, re.M)


def test_sorted_by_keys_with_rules_and_reversed(server, lab):
    server.add("\n".join([
        person("a", lab, sn="Zo", employeeNumber="9"),
        person("b", lab, sn="ab", employeeNumber="10"),
        person("c", lab, sn="Mi"),
        person("d", lab, sn="AB", employeeNumber="2"),
    ])).ok()
    for keys, expected in [
        (["uid"], "abcd"),
        (["-uid"], "dcba"),
        (["sn", "uid"], "bdca"),
        (["sn", "-uid"], "dbca"),
        (["uid:caseExactOrderingMatch"], "abcd"),
        (["employeeNumber", "uid"], "bdac"),  # c has none and comes last
    ]:
        found, uids = sorted_uids(server, lab, *keys)
        assert "".join(uids) == expected, keys
        assert "sortResult: (0)" in found.out


def test_a_list_that_cannot_be_sorted(server, lab):
    people(server, lab, 2)
    found, uids = sorted_uids(server, lab, "nosuch")
    assert found.code == 12 and uids == [] and "sortResult: (16)" in found.out
    found, uids = sorted_uids(server, lab, "nosuch", critical="")
    assert found.code == 0 and len(uids) == 2 and "sortResult: (16)" in found.out
    found, _ = sorted_uids(server, lab, "jpegPhoto")
    assert found.code == 12 and "sortResult: (18)" in found.out


def test_pages_of_a_sorted_list(server, lab):
    people(server, lab, 7)
    found = server.search("(uid=*)", "uid", base=lab, flags=("-E", "pr=3/noprompt", "-E", "sss=-uid")).ok()
    assert re.findall(r"^uid: (.*)$", found.out, re.M) == [f"p{n:03}" for n in range(6, -1, -1)]


def view(server, lab, keys=("uid",), **place):
    connection = server.connect()
    controls = [SSSRequestControl(True, list(keys)), VLVRequestControl(True, **place)]
    asked = connection.search_ext(lab, ldap.SCOPE_SUBTREE, "(uid=*)", ["uid"], serverctrls=controls)
    known = {c.controlType: c for c in (SSSResponseControl, VLVResponseControl)}
    _, entries, _, answers = connection.result3(asked, resp_ctrl_classes=known)
    (answer,) = [c for c in answers if c.controlType == VLVResponseControl.controlType]
    return [e[1]["uid"][0].decode() for e in entries], answer


def test_windows_of_a_list(server, lab):
    people(server, lab, 20)
    name = "p{:03}".format
    uids, answer = view(server, lab, before_count=2, after_count=3, offset=10, content_count=0)
    assert uids == [name(n) for n in range(7, 13)]
    assert (answer.targetPosition, answer.contentCount, answer.virtualListViewResult) == (10, 20, 0)
    uids, _ = view(server, lab, before_count=2, after_count=1, offset=1, content_count=20)
    assert uids == ["p000", "p001"]
    uids, answer = view(server, lab, before_count=1, after_count=5, offset=40, content_count=40)
    assert (uids, answer.targetPosition) == (["p018", "p019"], 20)
    uids, answer = view(server, lab, before_count=0, after_count=1, greater_than_or_equal=b"p0055")
    assert (uids, answer.targetPosition) == (["p006", "p007"], 7)
    uids, _ = view(server, lab, keys=("-uid",), before_count=0, after_count=1, greater_than_or_equal=b"p015")
    assert uids == ["p015", "p014"]


def test_a_list_view_wants_a_sorted_list(server, lab):
    connection = server.connect()
    control = VLVRequestControl(True, before_count=0, after_count=1, offset=1, content_count=0)
    with pytest.raises(ldap.LDAPError) as refused:
        connection.result3(connection.search_ext(lab, 2, "(uid=*)", serverctrls=[control]))
    assert refused.value.args[0]["result"] == 60
    with pytest.raises(ldap.VLV_ERROR):
        view(server, lab, before_count=0, after_count=1, offset=0, content_count=0)


# Values and named entries in answers


def test_matched_values(server, lab):
    server.add(person("v", lab, mail=["a@one.example", "b@two.example"], description=["x", "y"])).ok()

    def values(filter):
        return server.search("(uid=v)", "mail", "description", base=lab, flags=("-E", f"!mv={filter}")).ok().entry

    assert values("(mail=*@two.example)") == {"mail": [b"b@two.example"]}
    assert values("((mail=a@one.example)(description=*))") == {"mail": [b"a@one.example"], "description": [b"x", b"y"]}
    assert values("(mail=nobody@x)") == {}


def test_dereference_shows_members(server, lab):
    people(server, lab, 2)
    members = "".join(f"member: uid=p00{n},{lab}\n" for n in range(2)) + "member: cn=gone,dc=nowhere\n"
    server.add(f"dn: cn=g,{lab}\nobjectClass: groupOfNames\ncn: g\n{members}").ok()
    found = server.search("(cn=g)", "cn", base=lab, flags=("-E", "!deref=member:uid,sn")).ok()
    text = found.out.replace("\n ", "")
    assert f"# member: <sn=Name 002>;<uid=p000>;uid=p000,{lab}" in text
    assert f"# member: <sn=Name 001>;<uid=p001>;uid=p001,{lab}" in text
    assert "# member: cn=gone,dc=nowhere" in text


def test_dereference_keeps_to_access_rules(server):
    """Whoever may not read an attribute of a member does not get it through the group."""
    found = server.search("(cn=dsi)", "cn", flags=("-E", "deref=member:uid,homePhone,userPassword"), who=ALICE).ok()
    direct = server.search("(homePhone=*)", "homePhone", who=ALICE).ok()
    assert "uid=amartin" in found.out
    assert "userPassword" not in found.out and found.out.count("homePhone") <= direct.out.count("homePhone:")


# Conditions and sights


def test_assertion(server, lab):
    people(server, lab, 1)
    dn = f"uid=p000,{lab}"
    change = f"dn: {dn}\nchangetype: modify\nreplace: description\ndescription: changed\n"
    refused = server.tool("ldapmodify", "-e", "!assert=(sn=somebody else)", stdin=change)
    refused.refused(122)
    assert server.search("(description=changed)", base=lab).ok().entries == []
    server.tool("ldapmodify", "-e", "!assert=(sn=name 001)", stdin=change).ok()
    assert server.search("(description=changed)", base=lab).ok().dns == [dn]
    server.tool("ldapdelete", "-e", "!assert=(description=other)", dn).refused(122)
    server.tool("ldapcompare", "-e", "!assert=(description=other)", dn, "uid:p000").refused(122)
    assert server.search("(uid=*)", base=dn, flags=("-e", "!assert=(description=other)")).code == 122
    assert server.search("(uid=*)", base=dn, flags=("-e", "!assert=(description=changed)")).dns == [dn]
    new = person("asserted", lab)
    server.tool("ldapadd", "-e", "!assert=(sn=nobody)", stdin=new).refused(122)
    server.tool("ldapadd", "-e", "!assert=(sn=asserted)", stdin=new).ok()


def test_an_assertion_tells_nothing_that_may_not_be_searched(server, someone):
    dn = someone
    for who in [ALICE, None]:
        wrong = server.tool("ldapcompare", "-e", "!assert=(userPassword=first-password)", dn, "uid:x", who=who).code
        other = server.tool("ldapcompare", "-e", "!assert=(userPassword=second)", dn, "uid:x", who=who).code
        assert wrong == other


def test_the_entry_before_and_after(server, lab):
    people(server, lab, 1, mail="old@x.example")
    connection = server.connect()
    dn = f"uid=p000,{lab}"

    def sights(answer):
        return {type(c): (c.dn, {k: v for k, v in c.entry.items()}) for c in answer[3]}

    both = [PreReadControl(True, ["mail"]), PostReadControl(True, ["mail", "entryUUID"])]
    asked = connection.modify_ext(dn, [(ldap.MOD_REPLACE, "mail", [b"new@x.example"])], serverctrls=both)
    seen = sights(connection.result3(asked))
    uuid = connection.search_s(dn, ldap.SCOPE_BASE, attrlist=["entryUUID"])[0][1]["entryUUID"]
    assert seen[PreReadControl] == (dn, {"mail": [b"old@x.example"]})
    assert seen[PostReadControl] == (dn, {"mail": [b"new@x.example"], "entryUUID": uuid})

    asked = connection.rename("uid=p000," + lab, "uid=renamed", serverctrls=[PreReadControl(True, ["uid"]), PostReadControl(True, ["uid"])])
    seen = sights(connection.result3(asked))
    assert seen[PreReadControl] == (dn, {"uid": [b"p000"]})
    assert seen[PostReadControl] == (f"uid=renamed,{lab}", {"uid": [b"renamed"]})

    asked = connection.delete_ext(f"uid=renamed,{lab}", serverctrls=[PreReadControl(True, ["mail", "userPassword"])])
    assert sights(connection.result3(asked))[PreReadControl] == (f"uid=renamed,{lab}", {"mail": [b"new@x.example"]})


def test_no_op_checks_and_does_nothing(server, lab):
    people(server, lab, 1)
    dn = f"uid=p000,{lab}"
    assert "16654" in server.tool("ldapadd", "-e", "!noop", stdin=person("ghost", lab)).err
    assert "16654" in server.tool("ldapdelete", "-e", "!1.3.6.1.4.1.4203.666.5.2", dn).err
    assert "16654" in server.tool("ldapmodrdn", "-e", "!1.3.6.1.4.1.4203.666.5.2", "-r", dn, "uid=other").out
    assert server.search("(uid=*)", base=lab).dns == [dn]
    fault = f"dn: {dn}\nchangetype: modify\nadd: nosuch\nnosuch: x\n"
    server.tool("ldapmodify", "-e", "!noop", stdin=fault).refused(17)


def test_permissive_modify(server, lab):
    people(server, lab, 1, description=["one", "two"])
    dn = f"uid=p000,{lab}"
    change = f"""dn: {dn}
changetype: modify
add: description
description: two
description: three
-
delete: description
description: nine
-
delete: mail
"""
    server.modify(change).refused(20)
    server.tool("ldapmodify", "-e", "!1.2.840.113556.1.4.1413", stdin=change).ok()
    assert sorted(server.search("(uid=*)", "description", base=dn).entry["description"]) == [b"one", b"three", b"two"]


def test_tree_delete_is_all_or_nothing(server, lab):
    for ou in ["a", "b"]:
        server.add(f"dn: ou={ou},{lab}\nobjectClass: organizationalUnit\nou: {ou}\n").ok()
    people(server, f"ou=a,{lab}", 5)
    people(server, f"ou=b,{lab}", 1)
    server.delete(f"ou=a,{lab}").refused(66)
    tree = ("-e", "!1.2.840.113556.1.4.805")
    server.tool("ldapdelete", *tree, f"ou=a,{lab}", who=ALICE).refused(32)
    assert len(server.search("(uid=p*)", base=lab).dns) == 6
    server.tool("ldapdelete", *tree, f"ou=a,{lab}").ok()
    assert server.search("(objectClass=*)", base=lab, scope="children").dns == [f"ou=b,{lab}", f"uid=p000,ou=b,{lab}"]


def test_a_tree_larger_than_the_limit_stays(new_server):
    server = new_server(limits="{ tree_delete: 3 }").start()
    ou = f"ou=t,{SUFFIX}"
    server.add(f"dn: {ou}\nobjectClass: organizationalUnit\nou: t\n").ok()
    people(server, ou, 3)
    server.tool("ldapdelete", "-e", "!1.2.840.113556.1.4.805", ou).refused(11)
    assert len(server.search("(uid=*)", base=ou).dns) == 3


def test_relax_brings_entries_over_as_they_were(server, lab):
    uuid = "8d6b7d5e-0000-4000-8000-0123456789ab"
    entry = person("old", lab) + f"entryUUID: {uuid}\ncreateTimestamp: 20010203040506Z\ncreatorsName: cn=once\n"
    server.add(entry).refused(19, "entryUUID")
    server.tool("ldapadd", "-e", "!relax", stdin=entry).ok()
    found = server.search(f"(entryUUID={uuid})", "entryUUID", "createTimestamp", "creatorsName", base=lab).entry
    assert found == {"entryUUID": [uuid.encode()], "createTimestamp": [b"20010203040506Z"], "creatorsName": [b"cn=once"]}
    server.tool("ldapadd", "-e", "!relax", stdin=entry.replace("uid=old", "uid=twice")).refused(68)


# Acting as someone else


def test_proxied_authorization(server, lab):
    def as_whom(authzid, who=ADMIN):
        return server.tool("ldapwhoami", "-e", f"!authzid={authzid}", who=who)

    assert as_whom(f"dn:{ALICE}").ok().out.strip() == f"dn:{ALICE}"
    assert as_whom("u:amartin").ok().out.strip() == f"dn:{ALICE}"
    assert as_whom("dn:").ok().out.strip() == "anonymous"
    for authzid in ["u:nobody-here", "dn:uid=nobody,dc=example,dc=org", "dn:not a name"]:
        assert "(123)" in as_whom(authzid).err, authzid
    assert "(123)" in as_whom("u:bmuller", who=ALICE).err
    assert "(123)" in as_whom(f"dn:{ADMIN}", who=ALICE).err
    # Rights are those of the other identity.
    change = f"dn: {lab}\nchangetype: modify\nreplace: description\ndescription: x\n"
    server.tool("ldapmodify", "-e", f"!authzid=dn:{ALICE}", stdin=change).refused(32)
    server.tool("ldapmodify", stdin=change).ok()


def test_who_may_act_as_others_is_a_rule(new_server, tmp_path):
    access = tmp_path / "access.yml"
    rule = f"""rules:
  - name: alice acts as people
    who: ["dn:{ALICE}"]
    base: ou=people,{{suffix}}
    rights: [proxy, read, search]
"""
    shipped = (REPO / "config" / "access.yml").read_text()
    access.write_text(shipped.replace("rules:\n", rule, 1))
    server = new_server(access=access).start()
    answer = server.tool("ldapwhoami", "-e", "!authzid=u:bmuller", who=ALICE)
    assert answer.ok().out.strip() == f"dn:uid=bmuller,{PEOPLE}"


def test_the_authorization_identity_comes_with_the_bind(server):
    answer = server.tool("ldapwhoami", "-e", "bauthzid", who=ALICE).ok()
    value = re.search(r"2\.16\.840\.1\.113730\.3\.4\.15 false (\S+(?:\n \S+)*)", answer.out)
    shown = base64.b64decode(value.group(1).replace("\n ", "")).decode() if value else answer.out
    assert ALICE in shown


# Aliases, referral objects, subentries


@pytest.fixture
def maze(server, lab):
    server.add(f"""dn: ou=real,{lab}
objectClass: organizationalUnit
ou: real

{person("inside", f"ou=real,{lab}")}
dn: ou=shown,{lab}
objectClass: organizationalUnit
ou: shown

dn: cn=short,ou=shown,{lab}
objectClass: alias
objectClass: extensibleObject
cn: short
aliasedObjectName: ou=real,{lab}

dn: cn=nowhere,ou=shown,{lab}
objectClass: alias
objectClass: extensibleObject
cn: nowhere
aliasedObjectName: ou=gone,{lab}

dn: cn=circle,{lab}
objectClass: alias
objectClass: extensibleObject
cn: circle
aliasedObjectName: cn=circle,{lab}
""").ok()
    return lab


def test_aliases(server, maze):
    def dns(base, deref, scope="sub", filter="(objectClass=*)"):
        return server.search(filter, "1.1", base=base, scope=scope, flags=("-a", deref))

    shown, real = f"ou=shown,{maze}", f"ou=real,{maze}"
    names = [f"cn=nowhere,{shown}", f"cn=short,{shown}", shown]
    assert dns(shown, "never").ok().dns == names
    assert dns(shown, "find").ok().dns == names
    assert dns(shown, "search").ok().dns == [real, shown, f"uid=inside,{real}"]
    assert dns(shown, "search", scope="one").ok().dns == [real]
    assert dns(shown, "search", filter="(uid=inside)").ok().dns == [f"uid=inside,{real}"]
    assert dns(f"cn=short,{shown}", "find").ok().dns == [real, f"uid=inside,{real}"]
    assert dns(f"uid=inside,cn=short,{shown}", "always", scope="base").ok().dns == [f"uid=inside,{real}"]
    assert dns(f"cn=short,{shown}", "never", scope="base").ok().dns == [f"cn=short,{shown}"]
    assert dns(f"cn=nowhere,{shown}", "find").code == 33
    assert dns(f"cn=circle,{maze}", "always").code == 33
    # Every entry once, though the alias leads to a part of what is searched anyway.
    assert dns(maze, "always").ok().dns == sorted([maze, real, shown, f"uid=inside,{real}"])


def test_aliases_follow_what_they_stand_for(server, maze):
    shown, real = f"ou=shown,{maze}", f"ou=real,{maze}"
    server.tool("ldapmodrdn", "-r", "-s", shown, real, "ou=moved").ok()
    found = server.search("(objectClass=*)", "1.1", base=f"cn=short,{shown}", scope="base", flags=("-a", "find"))
    assert found.ok().dns == [f"ou=moved,{shown}"]
    # What is gone takes no alias with it: that one leads nowhere.
    server.tool("ldapdelete", "-e", "!1.2.840.113556.1.4.805", f"ou=moved,{shown}").ok()
    assert server.search("(objectClass=*)", base=f"cn=short,{shown}", scope="base", flags=("-a", "find")).code == 33
    assert server.search("(objectClass=alias)", "1.1", base=f"cn=short,{shown}", scope="base").ok().dns


def test_an_alias_has_nothing_below(server, maze):
    server.add(person("below", f"cn=short,ou=shown,{maze}")).refused(33)


def test_referral_objects(server, lab):
    server.add(f"""dn: ou=far,{lab}
objectClass: referral
objectClass: extensibleObject
ou: far
ref: ldap://far.example:1389/ou=far,dc=far
ref: ldaps://mirror.example/
""").ok()
    far = f"ou=far,{lab}"
    found = server.search("(objectClass=*)", "1.1", base=lab).ok()
    assert found.out.count("dn: ") == 1
    assert "ldap://far.example:1389/ou=far,dc=far??sub" in found.out
    assert f"ldaps://mirror.example/{far}??sub" in found.out.replace("\n ", "")
    assert "??base" in server.search("(objectClass=*)", "1.1", base=lab, scope="one").ok().out
    below = f"cn=a b,{far}"
    refused = server.search("(objectClass=*)", base=below)
    assert refused.code == 10 and "ldap://far.example:1389/cn=a%20b,ou=far,dc=far??sub" in refused.out + refused.err
    assert f"Matched DN: {far}" in refused.out + refused.err
    for answer in [
        server.delete(far),
        server.add(person("x", far)),
        server.modify(f"dn: {far}\nchangetype: modify\nreplace: description\ndescription: x\n"),
        server.tool("ldapcompare", far, "ou:far"),
        server.tool("ldapmodrdn", far, "ou=farther"),
    ]:
        assert answer.code == 10 and "ldap://far.example:1389/" in answer.err + answer.out, answer
    assert server.search("(objectClass=*)", "ref", base=far, scope="base", flags=MANAGE).ok().entry["ref"]
    server.tool("ldapmodify", "-M", stdin=f"dn: {far}\nchangetype: modify\nreplace: description\ndescription: x\n").ok()
    server.tool("ldapdelete", "-M", far).ok()


def test_referrals_are_not_told_to_those_without_rights(server, lab):
    server.add(f"dn: ou=far,{lab}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://far/\n").ok()
    answer = server.delete(f"cn=x,ou=far,{lab}", who=None)
    assert "ldap://far" not in answer.err and answer.code == server.delete(f"cn=x,ou=no,{lab}", who=None).code


def test_subentries_show_only_when_asked_for(server, lab):
    server.add(f"dn: cn=policy,{lab}\nobjectClass: subentry\ncn: policy\nsubtreeSpecification: {{}}\n").ok()
    policy = f"cn=policy,{lab}"
    assert server.search("(objectClass=*)", "1.1", base=lab).ok().dns == [lab]
    assert server.search("(objectClass=*)", "1.1", base=policy, scope="base").ok().dns == [policy]
    for wanted, dns in [("true", [policy]), ("false", [lab])]:
        assert server.search("(objectClass=*)", "1.1", base=lab, flags=("-E", f"!subentries={wanted}")).ok().dns == dns


# Transactions


def changes(*texts):
    return "\n".join(texts)


def test_a_transaction_is_all(server, lab):
    people(server, lab, 1)
    text = changes(
        f"dn: uid=p000,{lab}\nchangetype: modify\nreplace: sn\nsn: In Transaction\n",
        person("t1", lab).replace("\n", "\nchangetype: add\n", 1),
        f"dn: uid=t1,{lab}\nchangetype: modify\nreplace: mail\nmail: t1@x.example\n",
        f"dn: uid=p000,{lab}\nchangetype: modrdn\nnewrdn: uid=q000\ndeleteoldrdn: 1\n",
    )
    server.tool("ldapmodify", "-E", "txn=commit", stdin=text).ok()
    found = dict(server.search("(uid=*)", "sn", "mail", base=lab).entries)
    assert found == {
        f"uid=q000,{lab}": {"sn": [b"In Transaction"]},
        f"uid=t1,{lab}": {"sn": [b"T1"], "mail": [b"t1@x.example"]},
    }


def test_a_transaction_is_nothing(server, lab):
    people(server, lab, 1)
    good = f"dn: uid=p000,{lab}\nchangetype: modify\nreplace: sn\nsn: Changed\n"
    bad = f"dn: uid=nobody,{lab}\nchangetype: modify\nreplace: sn\nsn: Changed\n"
    server.tool("ldapmodify", "-E", "txn=commit", stdin=changes(good, bad)).refused(32)
    server.tool("ldapmodify", "-E", "txn=abort", stdin=good).ok()
    assert server.search("(sn=Changed)", base=lab).ok().entries == []


def test_nobody_sees_half_a_transaction(server, lab):
    """Before the end nothing of it is there."""
    connection, other = server.connect(), server.connect()
    _, identifier = connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None))
    control = LDAPControl("1.3.6.1.1.21.2", True, encodedControlValue=identifier)
    entry = [("objectClass", [b"organizationalUnit"]), ("ou", [b"half"])]
    connection.add_ext_s(f"ou=half,{lab}", entry, serverctrls=[control])
    assert len(other.search_s(lab, ldap.SCOPE_SUBTREE)) == 1
    value = b"\x30" + bytes([len(identifier) + 2]) + b"\x04" + bytes([len(identifier)]) + identifier
    connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.3", value))
    assert len(other.search_s(lab, ldap.SCOPE_SUBTREE)) == 2


def test_a_transaction_is_bounded_and_of_its_connection(new_server):
    server = new_server(limits="{ transaction_updates: 2, transactions: 1 }").start()
    connection = server.connect()
    start = ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None)
    _, identifier = connection.extop_s(start)
    with pytest.raises(ldap.BUSY):
        connection.extop_s(start)
    control = LDAPControl("1.3.6.1.1.21.2", True, encodedControlValue=identifier)

    def add(connection, ou):
        entry = [("objectClass", [b"organizationalUnit"]), ("ou", [ou.encode()])]
        connection.add_ext_s(f"ou={ou},{SUFFIX}", entry, serverctrls=[control])

    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        add(server.connect(), "other")
    add(connection, "a")
    add(connection, "b")
    with pytest.raises(ldap.ADMINLIMIT_EXCEEDED):
        add(connection, "c")
    value = b"\x30" + bytes([len(identifier) + 2]) + b"\x04" + bytes([len(identifier)]) + identifier
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.3", value))
    assert server.search("(|(ou=a)(ou=b))").ok().entries == []


# What holds for all of them


def offered(server):
    return server.search("(objectClass=*)", "supportedControl", base="", scope="base", who=None).entry["supportedControl"]


def test_every_control_can_be_switched_off(new_server, server):
    """Then it is not offered, and refused if it is critical."""
    oids = [oid.decode() for oid in offered(server)]
    names = ", ".join(f'"{oid}"' for oid in oids)
    off = new_server(extra=f"ldap: {{ controls_off: [{names}] }}\n").start()
    root = off.search("(objectClass=*)", "supportedControl", base="", scope="base", who=None).entry
    assert root == {}
    connection, plain = off.connect(), off.connect(who=None)
    for oid in oids:
        control = LDAPControl(oid, True, encodedControlValue=b"\x30\x00")
        with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
            connection.search_ext_s(SUFFIX, ldap.SCOPE_BASE, serverctrls=[control])
        with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
            connection.modify_ext_s(SUFFIX, [(ldap.MOD_REPLACE, "description", [b"x"])], serverctrls=[control])
        with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
            plain.simple_bind_s("", "", serverctrls=[control])


def test_a_control_name_that_there_is_not_is_a_config_error(new_server):
    server = new_server(extra="ldap: { controls_off: [no-such-control] }\n")
    answer = server.command("check")
    assert answer.returncode == 1 and "no-such-control" in answer.stdout + answer.stderr


def test_a_control_for_another_operation(server, lab):
    """Critical: refused. Not critical: ignored (RFC 4511 section 4.1.11)."""
    connection = server.connect()
    for critical in [True, False]:
        control = RequestControl("1.2.840.113556.1.4.805", critical)
        if critical:
            with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
                connection.search_ext_s(lab, ldap.SCOPE_BASE, serverctrls=[control])
        else:
            assert len(connection.search_ext_s(lab, ldap.SCOPE_BASE, serverctrls=[control])) == 1


def test_malformed_and_doubled_controls(server, lab):
    connection = server.connect()
    for controls in [
        [LDAPControl("1.2.840.113556.1.4.319", False, encodedControlValue=b"\x30\x01")],
        [LDAPControl("1.2.840.113556.1.4.319", False, encodedControlValue=None)],
        [SimplePagedResultsControl(True, 1, b"")] * 2,
    ]:
        with pytest.raises(ldap.PROTOCOL_ERROR):
            connection.search_ext_s(lab, ldap.SCOPE_BASE, serverctrls=controls)


def test_session_tracking_stands_in_the_log(new_server):
    server = new_server().start()
    server.tool("ldapsearch", "-e", "sessiontracking=portal-user", "-b", SUFFIX, "-s", "base").ok()
    assert "portal-user" in server.log()


def test_ldap_version_2(new_server, server):
    def bind(server):
        return server.tool("ldapsearch", "-P", "2", "-b", SUFFIX, "-s", "base", "1.1")

    bind(server).refused(2)
    bind(new_server(extra="ldap: { version_2: true }\n").start()).ok()


# Limits


def test_limits_of_some_identities(new_server):
    extra = f'limits_for:\n  - who: [admin]\n    search_entries: 0\n  - who: ["dn:{ALICE}"]\n    search_entries: 5\n'
    server = new_server(limits="{ search_entries: 3 }", extra=extra).start()
    for who, code, count in [(ADMIN, 0, 30), (ALICE, 4, 5), (LBERNARD, 4, 3)]:
        found = server.search("(uid=*)", "uid", base=PEOPLE, who=who)
        assert (found.code, found.out.count("dn: ")) == (code, count), who


def test_candidates_are_limited(new_server):
    server = new_server(limits="{ search_candidates: 8 }").start()
    found = server.search("(description=nothing-here)", "uid")
    found.refused(11, "indexed")
    assert server.search("(uid=amartin)", "uid").ok().names == {"amartin"}


def test_a_page_is_limited(new_server):
    server = new_server(limits="{ page_entries: 4 }").start()
    found = pages(server.connect(), PEOPLE, 100)
    assert {len(p) for p in found[:-1]} == {4} and sum(map(len, found)) == 30


def test_sorting_is_limited(new_server):
    server = new_server(limits="{ sorted_entries: 5 }").start()
    assert server.search("(uid=*)", base=PEOPLE, flags=("-E", "!sss=uid")).code == 11
