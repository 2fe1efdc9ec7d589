"""ldapadd, ldapmodify, ldapdelete, ldapmodrdn, ldapcompare, ldapwhoami, ldapexop: what they do
and what they refuse."""

import pytest

from support import ADMIN, AMARTIN, PEOPLE, SUFFIX, TRANSPORTS, person

BENCH = f"ou=bench,{SUFFIX}"


@pytest.fixture(scope="module")
def bench(server):
    """A branch without identities: plain LDAP entries."""
    server.add(f"dn: {BENCH}\nobjectClass: organizationalUnit\nou: bench\n").ok()
    return BENCH


@pytest.fixture
def plain(server, bench, uid):
    """A plain person; gives the DN."""
    dn = f"uid={uid},{bench}"
    server.add(person(uid, bench, cn="Old Name", sn="Old", description=["red", "blue"], employeeNumber="7")).ok()
    return dn


def read(server, dn, *attrs):
    return server.search("(objectClass=*)", *attrs, base=dn, scope="base").ok().entry


def change(server, dn, *lines, **how):
    return server.modify("\n".join([f"dn: {dn}", "changetype: modify", *lines]) + "\n", **how)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_add_modify_delete_on_each_transport(server, bench, uid, transport):
    dn = f"uid={uid},{bench}"
    server.add(person(uid, bench), transport=transport).ok()
    change(server, dn, "replace: sn", "sn: Changed", transport=transport).ok()
    assert read(server, dn, "sn") == {"sn": [b"Changed"]}
    server.delete(dn, transport=transport).ok()
    server.search(base=dn, scope="base").refused(32)


def test_add_puts_the_rdn_value_in(server, bench, uid):
    dn = f"uid={uid},{bench}"
    server.add(f"dn: {dn}\nobjectClass: inetOrgPerson\ncn: A\nsn: B\n").ok()
    assert read(server, dn, "uid") == {"uid": [uid.encode()]}


def test_add_twice(server, plain):
    server.add(person(plain.split(",")[0][4:], BENCH)).refused(68)


def test_add_below_what_is_not_there(server, bench):
    found = server.add(person("x", f"ou=none,{bench}")).refused(32)
    assert f"matched DN: {bench}" in found.err.replace("Matched", "matched"), found


def test_add_outside_of_the_suffix(server):
    server.add(person("x", "dc=else")).refused(32)


def test_add_with_a_value_twice(server, bench, uid):
    server.add(person(uid, bench, description=["Same", "same"])).refused(20)


def test_several_changes_in_one_request(server, plain):
    change(server, plain, "add: mail", "mail: a@example.org", "-", "delete: description", "description: red", "-",
           "replace: employeeNumber", "employeeNumber: 8", "-", "add: description", "description: green", "-").ok()
    entry = read(server, plain)
    assert entry["mail"] == [b"a@example.org"]
    assert sorted(entry["description"]) == [b"blue", b"green"]
    assert entry["employeeNumber"] == [b"8"]


def test_all_changes_or_none(server, plain):
    before = read(server, plain, "*", "modifyTimestamp")
    change(server, plain, "replace: employeeNumber", "employeeNumber: 9", "-", "delete: description",
           "description: not there").refused(16)
    assert read(server, plain, "*", "modifyTimestamp") == before


def test_the_schema_is_checked_at_the_end(server, plain):
    change(server, plain, "delete: sn", "-", "add: sn", "sn: New").ok()
    assert read(server, plain, "sn") == {"sn": [b"New"]}


def test_the_class_can_come_after_its_attribute(server, plain):
    change(server, plain, "add: schacSn1", "schacSn1: X", "-", "add: objectClass",
           "objectClass: schacPersonalCharacteristics").ok()
    change(server, plain, "delete: objectClass", "objectClass: schacPersonalCharacteristics", "-",
           "delete: schacSn1").ok()
    assert "schacSn1" not in read(server, plain)


def test_a_required_attribute_cannot_go(server, plain):
    change(server, plain, "delete: sn").refused(65, "sn")


def test_replace_without_values_of_what_is_absent(server, plain):
    change(server, plain, "replace: mail").ok()


def test_replace_without_values_removes(server, plain):
    change(server, plain, "replace: description").ok()
    assert "description" not in read(server, plain)


def test_delete_of_an_absent_attribute(server, plain):
    change(server, plain, "delete: mail").refused(16)


def test_delete_of_a_value_by_its_matching_rule(server, plain):
    change(server, plain, "delete: description", "description: RED").ok()
    assert read(server, plain, "description") == {"description": [b"blue"]}


def test_add_of_a_value_that_is_there(server, plain):
    change(server, plain, "add: description", "description: RED").refused(20)


@pytest.mark.parametrize("by, result", [("5", b"7"), ("-10", b"-8"), ("999999999999999", b"1000000000000001")])
def test_increment(server, bench, uid, by, result):
    dn = f"uid={uid},{bench}"
    server.add(person(uid, bench, classes=["schacPersonalCharacteristics"], schacGender="2")).ok()
    change(server, dn, "increment: schacGender", f"schacGender: {by}").ok()
    assert read(server, dn, "schacGender") == {"schacGender": [result]}


def test_increment_of_what_is_no_integer_or_not_there(server, plain):
    change(server, plain, "increment: sn", "sn: 5").refused(19)
    change(server, plain, "increment: schacGender", "schacGender: 5").refused(16)


def test_modify_of_what_is_not_there(server, bench):
    found = change(server, f"uid=nobody,{bench}", "replace: sn", "sn: x").refused(32)
    assert bench in found.err, found


def test_modify_of_an_unknown_attribute(server, plain):
    change(server, plain, "replace: noSuchAttribute", "noSuchAttribute: x").refused(17, "noSuchAttribute")


def test_modify_of_what_the_server_keeps(server, plain):
    change(server, plain, "replace: entryUUID", "entryUUID: 00000000-0000-0000-0000-000000000000").refused(19, "entryUUID")


def test_modify_of_the_rdn_value(server, plain):
    change(server, plain, "replace: uid", "uid: other").refused(67)


def test_delete_and_add_of_the_rdn_value_in_one_request(server, plain):
    uid = plain.split(",")[0][4:]
    change(server, plain, "delete: uid", f"uid: {uid}", "-", "add: uid", f"uid: {uid}").ok()


def test_the_structural_class_stays(server, plain):
    change(server, plain, "replace: objectClass", "objectClass: organizationalUnit", "-", "add: ou", "ou: x", "-",
           "replace: cn", "-", "replace: sn", "-", "replace: employeeNumber").refused(65)


def test_timestamps_and_names_follow_a_change(server, plain):
    before = read(server, plain, "+")
    change(server, plain, "replace: sn", "sn: Newer").ok()
    after = read(server, plain, "+")
    assert after["createTimestamp"] == before["createTimestamp"]
    assert after["modifyTimestamp"] >= before["modifyTimestamp"]
    assert after["entryUUID"] == before["entryUUID"]
    assert after["modifiersName"] == [ADMIN.encode()]


def test_delete_of_a_non_leaf(server, bench):
    server.delete(bench).refused(66)


def test_delete_of_what_is_not_there(server, bench):
    found = server.delete(f"uid=nobody,{bench}").refused(32)
    assert bench in found.err, found


def rename(server, dn, rdn, *flags):
    return server.tool("ldapmodrdn", *flags, dn, rdn)


def test_rename_keeps_the_old_value(server, plain, bench):
    old = plain.split(",")[0][4:]
    rename(server, plain, f"uid={old}-new").ok()
    server.search(base=plain, scope="base").refused(32)
    assert sorted(read(server, f"uid={old}-new,{bench}", "uid")["uid"]) == [old.encode(), f"{old}-new".encode()]


def test_rename_deletes_the_old_value(server, plain, bench):
    old = plain.split(",")[0][4:]
    rename(server, plain, f"uid={old}-new", "-r").ok()
    assert read(server, f"uid={old}-new,{bench}", "uid")["uid"] == [f"{old}-new".encode()]


def test_rename_in_case_only(server, plain, bench):
    old = plain.split(",")[0][4:]
    rename(server, plain, f"uid={old.upper()}", "-r").ok()
    found = server.search("(objectClass=*)", "uid", base=plain, scope="base").ok()
    assert found.entries == [(f"uid={old.upper()},{bench}", {"uid": [old.upper().encode()]})]


def test_rename_to_another_attribute(server, plain, bench):
    rename(server, plain, "cn=Old Name").ok()
    assert "uid" in read(server, f"cn=Old Name,{bench}")


def test_rename_onto_another(server, plain, bench, uid):
    server.add(person(f"{uid}-other", bench)).ok()
    rename(server, plain, f"uid={uid}-other").refused(68)


def test_rename_of_what_is_not_there(server, bench):
    rename(server, f"uid=nobody,{bench}", "uid=somebody").refused(32)


def test_move(server, plain, bench, uid):
    server.add(f"dn: ou={uid},{bench}\nobjectClass: organizationalUnit\nou: {uid}\n").ok()
    rdn = plain.split(",")[0]
    uuid = read(server, plain, "entryUUID")
    rename(server, plain, rdn, "-s", f"ou={uid},{bench}").ok()
    assert read(server, f"{rdn},ou={uid},{bench}", "entryUUID") == uuid
    server.search(base=plain, scope="base").refused(32)


def test_move_below_what_is_not_there(server, plain, bench):
    rename(server, plain, plain.split(",")[0], "-s", f"ou=none,{bench}").refused(32)


def test_move_below_itself(server, bench, uid):
    server.add(f"dn: ou={uid},{bench}\nobjectClass: organizationalUnit\nou: {uid}\n").ok()
    server.add(f"dn: ou=inner,ou={uid},{bench}\nobjectClass: organizationalUnit\nou: inner\n").ok()
    rename(server, f"ou={uid},{bench}", f"ou={uid}", "-s", f"ou=inner,ou={uid},{bench}").refused(53)


def test_rename_of_a_subtree(server, bench, uid):
    server.add(f"dn: ou={uid},{bench}\nobjectClass: organizationalUnit\nou: {uid}\n").ok()
    server.add(person("inner", f"ou={uid},{bench}")).ok()
    rename(server, f"ou={uid},{bench}", f"ou={uid}-new", "-r").ok()
    assert read(server, f"uid=inner,ou={uid}-new,{bench}", "entryDN")["entryDN"] == [
        f"uid=inner,ou={uid}-new,{bench}".encode()]


def test_an_rdn_of_two_values_and_an_escaped_comma(server, bench, uid):
    dn = f"cn=Doe\\, John+uid={uid},{bench}"
    server.add(f"dn: {dn}\nobjectClass: inetOrgPerson\nsn: Doe\n").ok()
    for spelled in (dn, f"uid={uid.upper()} + CN=doe\\2c john,{bench}"):
        found = server.search("(objectClass=*)", "cn", base=spelled, scope="base").ok()
        assert found.entries == [(dn, {"cn": [b"Doe, John"]})]


@pytest.mark.parametrize("assertion, code", [
    ("sn:old", 6), ("sn:OLD", 6), ("2.5.4.4:Old", 6), ("sn:other", 5), ("mail:a@example.org", 16),
    ("description:blue", 6), ("noSuchAttribute:x", 17), ("objectClass:person", 6),
])
def test_compare(server, plain, assertion, code):
    server.tool("ldapcompare", plain, assertion).refused(code)


def test_compare_on_what_is_not_there(server, bench):
    server.tool("ldapcompare", f"uid=nobody,{bench}", "sn:x").refused(32)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_whoami(server, transport):
    assert server.tool("ldapwhoami", transport=transport).ok().out.strip() == f"dn:{ADMIN}"
    assert server.tool("ldapwhoami", who=AMARTIN, transport=transport).ok().out.strip() == f"dn:{AMARTIN}"
    assert server.tool("ldapwhoami", who=None, transport=transport).ok().out.strip() == "anonymous"


def test_bind_with_a_name_in_another_spelling(server):
    who = "UID = AMartin , OU=people, dc=example,dc=org"
    assert server.tool("ldapwhoami", who=who, password="demo-amartin-2026").ok().out.strip() == f"dn:{AMARTIN}"


def test_bind_with_a_name_and_no_password(server):
    server.tool("ldapwhoami", who=AMARTIN, password="").refused(53)


@pytest.mark.parametrize("who", [AMARTIN, ADMIN, f"uid=nobody,{PEOPLE}", PEOPLE])
def test_bind_with_a_wrong_password(server, who):
    found = server.tool("ldapwhoami", who=who, password="wrong").refused(49)
    assert "nobody" not in found.err


def test_bind_with_no_dn(server):
    server.tool("ldapwhoami", who="amartin", password="demo-amartin-2026").refused(34)


def test_unknown_critical_control(server):
    server.search("(uid=amartin)", flags=["-e", "!1.2.3.4"]).refused(12)
    assert server.search("(uid=amartin)", "1.1", flags=["-e", "1.2.3.4"]).ok().dns == [AMARTIN]
    server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: sn\nsn: X\n", who=ADMIN).ok()
    found = server.tool("ldapmodify", "-e", "!1.2.3.4", stdin=f"dn: {AMARTIN}\nchangetype: modify\nreplace: sn\nsn: Y\n")
    found.refused(12)
    assert read(server, AMARTIN, "sn") == {"sn": [b"X"]}
    server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: sn\nsn: Martin\n").ok()


def test_unknown_extended_operation(server):
    # This tool ends with 1 whatever the result is.
    server.tool("ldapexop", "1.2.3.4").refused(1, "Protocol error (2)")


def test_changetypes_of_ldapmodify(server, bench, uid):
    server.modify(f"""\
dn: uid={uid},{bench}
changetype: add
objectClass: inetOrgPerson
cn: x
sn: y

dn: uid={uid},{bench}
changetype: moddn
newrdn: uid={uid}b
deleteoldrdn: 1

dn: uid={uid}b,{bench}
changetype: delete
""").ok()
    server.search(base=f"uid={uid}b,{bench}", scope="base").refused(32)


def test_anonymous_writes_nothing(server, plain):
    """What may not be seen is answered as if it were not there; where something may be added is no
    secret."""
    for dn in (plain, f"uid=nobody,{BENCH}"):
        change(server, dn, "replace: sn", "sn: x", who=None).refused(32)
        server.delete(dn, who=None).refused(32)
        server.tool("ldapmodrdn", dn, "uid=z", who=None).refused(32)
    assert server.add(person("anon", BENCH), who=None).code in (32, 50)
    assert read(server, plain, "sn") == {"sn": [b"Old"]}
