"""Which result code answers which fault (RFC 4511 appendix A), with matchedDN and a text that names
attribute and rule and carries no value."""

import ldap
import pytest

from support import ADMIN, AMARTIN, LBERNARD, PEOPLE, SUFFIX

BASE = f"ou=codes,{SUFFIX}"


@pytest.fixture(scope="module")
def admin(server):
    connection = server.connect()
    connection.add_s(BASE, [("objectClass", [b"organizationalUnit"]), ("ou", [b"codes"])])
    for uid in ("leaf", "other"):
        connection.add_s(f"uid={uid},{BASE}", person(uid))
    yield connection
    connection.unbind_s()


def person(uid, **more):
    attrs = {"objectClass": [b"inetOrgPerson"], "uid": [uid.encode()], "cn": [b"C"], "sn": [b"S"], **more}
    return list(attrs.items())


LEAF = f"uid=leaf,{BASE}"
NEW = f"uid=new,{BASE}"


def add(**more):
    return lambda c: c.add_s(NEW, person("new", **more))


def modify(*changes, dn=LEAF):
    return lambda c: c.modify_s(dn, list(changes))


ADD, DELETE, REPLACE, INCREMENT = ldap.MOD_ADD, ldap.MOD_DELETE, ldap.MOD_REPLACE, ldap.MOD_INCREMENT

TABLE = {
    "unknown extended operation": (2, lambda c: c.extop_s(ldap.extop.ExtendedRequest("1.2.3.4", None))),
    "unknown critical control on search": (12, lambda c: c.search_ext_s(
        SUFFIX, ldap.SCOPE_BASE, serverctrls=[ldap.controls.RequestControl("1.2.3.4", True, None)])),
    "unknown critical control on add": (12, lambda c: c.add_ext_s(
        NEW, person("new"), serverctrls=[ldap.controls.RequestControl("1.2.3.4", True, None)])),
    "unknown critical control on delete": (12, lambda c: c.delete_ext_s(
        LEAF, serverctrls=[ldap.controls.RequestControl("1.2.3.4", True, None)])),
    "unknown critical control on compare": (12, lambda c: c.compare_ext_s(
        LEAF, "sn", b"S", serverctrls=[ldap.controls.RequestControl("1.2.3.4", True, None)])),
    "unknown critical control on rename": (12, lambda c: c.rename_s(
        LEAF, "uid=leaf2", serverctrls=[ldap.controls.RequestControl("1.2.3.4", True, None)])),
    "delete of an absent attribute": (16, modify((DELETE, "mail", None))),
    "delete of an absent value": (16, modify((DELETE, "sn", [b"T"]))),
    "compare of an absent attribute": (16, lambda c: c.compare_s(LEAF, "mail", b"x")),
    "add with an unknown attribute": (17, add(noSuchAttribute=[b"x"])),
    "modify of an unknown attribute": (17, modify((ADD, "noSuchAttribute", [b"x"]))),
    "compare of an unknown attribute": (17, lambda c: c.compare_s(LEAF, "noSuchAttribute", b"x")),
    "two values of a single-valued attribute": (19, add(displayName=[b"a", b"b"])),
    "a second value of a single-valued attribute": (19, modify((ADD, "displayName", [b"a", b"b"]))),
    "add of an operational attribute": (19, add(createTimestamp=[b"20200101000000Z"])),
    "modify of an operational attribute": (19, modify((REPLACE, "creatorsName", [ADMIN.encode()]))),
    "increment of a text": (19, modify((INCREMENT, "sn", [b"1"]))),
    "a value twice in one add": (20, add(description=[b"a", b"A"])),
    "a value twice in one modify": (20, modify((ADD, "description", [b"a", b"A"]))),
    "a value twice in one replace": (20, modify((REPLACE, "description", [b"a", b"A"]))),
    "a value that is there": (20, modify((ADD, "sn", [b"s"]))),
    "a DN that is none": (21, add(manager=[b"no dn"])),
    "an IA5 text with accents": (21, add(mail=["é@example.org".encode()])),
    "text that is not UTF-8": (21, add(description=[b"\xff\xfe"])),
    "an empty text": (21, add(description=[b""])),
    "a telephone number of other characters": (21, modify((REPLACE, "telephoneNumber", ["é".encode()]))),
    "an integer that is none": (21, add(objectClass=[b"inetOrgPerson", b"schacPersonalCharacteristics"],
                                        schacGender=[b"x"])),
    "an unknown object class": (65, add(objectClass=[b"inetOrgPerson", b"noSuchClass"])),
    "no object class": (65, lambda c: c.add_s(NEW, [("cn", [b"x"])])),
    "no structural class": (65, lambda c: c.add_s(NEW, [("objectClass", [b"top"]), ("uid", [b"new"])])),
    "an abstract class alone": (65, lambda c: c.add_s(NEW, [("objectClass", [b"top", b"uidObject"]), ("uid", [b"new"])])),
    "two structural classes": (65, add(objectClass=[b"inetOrgPerson", b"organizationalUnit"], ou=[b"x"])),
    "a missing attribute": (65, lambda c: c.add_s(NEW, [("objectClass", [b"inetOrgPerson"]), ("cn", [b"x"])])),
    "an attribute that no class allows": (65, add(schacGender=[b"2"])),
    "removal of a required attribute": (65, modify((DELETE, "sn", None))),
    "delete with subordinates": (66, lambda c: c.delete_s(BASE)),
    "removal of the RDN value": (67, modify((DELETE, "uid", None))),
    "replacement of the RDN value": (67, modify((REPLACE, "uid", [b"x"]))),
    "add of what is there": (68, lambda c: c.add_s(LEAF, person("leaf"))),
    "add of what is there in another case": (68, lambda c: c.add_s(LEAF.upper(), person("leaf"))),
    "rename onto another": (68, lambda c: c.rename_s(LEAF, "uid=other")),
    "change of the structural class": (69, lambda c: c.modify_s(LEAF, [
        (REPLACE, "objectClass", [b"account"]), (DELETE, "cn", None), (DELETE, "sn", None)])),
    "a name that is no DN": (34, lambda c: c.delete_s("no dn at all")),
    "a search base that is no DN": (34, lambda c: c.search_s("a=b,,c", ldap.SCOPE_BASE)),
    "an RDN that is none": (34, lambda c: c.rename_s(LEAF, "nothing")),
    "an RDN of two levels": (34, lambda c: c.rename_s(LEAF, "uid=a,uid=b")),
    "rename of the suffix": (53, lambda c: c.rename_s(SUFFIX, "dc=other")),
    "the password of the administrator": (53, lambda c: c.passwd_s(ADMIN, None, "x-new-password")),
    "add of the root": (68, lambda c: c.add_s("", person("x"))),
}


@pytest.mark.parametrize("fault", TABLE)
def test_code(admin, fault):
    code, attempt = TABLE[fault]
    with pytest.raises(ldap.LDAPError) as raised:
        attempt(admin)
    result = raised.value.args[0]
    assert result.get("result") == code, result
    assert result.get("info"), "a refusal says why"
    assert "no dn at all" not in result["info"]


@pytest.mark.parametrize("what, attempt", [
    ("search", lambda c, dn: c.search_s(dn, ldap.SCOPE_BASE)),
    ("add", lambda c, dn: c.add_s(f"uid=below,{dn}", person("below"))),
    ("modify", lambda c, dn: c.modify_s(dn, [(REPLACE, "sn", [b"x"])])),
    ("delete", lambda c, dn: c.delete_s(dn)),
    ("rename", lambda c, dn: c.rename_s(dn, "uid=x")),
    ("compare", lambda c, dn: c.compare_s(dn, "sn", b"x")),
    ("new superior", lambda c, dn: c.rename_s(LEAF, "uid=leaf", dn)),
])
def test_no_such_object_names_the_nearest(admin, what, attempt):
    with pytest.raises(ldap.NO_SUCH_OBJECT) as raised:
        attempt(admin, f"uid=none,ou=none,{BASE}")
    assert raised.value.args[0].get("matched") == BASE


def test_insufficient_access(server):
    connection = server.connect(AMARTIN)
    for attempt in (
        lambda: connection.modify_s(LBERNARD, [(REPLACE, "sn", [b"x"])]),
        lambda: connection.add_s(f"uid=new,{PEOPLE}", person("new")),
        lambda: connection.delete_s(LBERNARD),
        lambda: connection.rename_s(LBERNARD, "uid=x"),
        lambda: connection.passwd_s(LBERNARD, None, "x-new-password"),
        lambda: connection.compare_s(LBERNARD, "supannCodeINE", b"710203344AH"),
    ):
        with pytest.raises(ldap.INSUFFICIENT_ACCESS):
            attempt()
    connection.unbind_s()


def test_binds(server):
    connection = server.connect(None)
    for code, attempt in (
        (ldap.UNWILLING_TO_PERFORM, lambda: connection.simple_bind_s(AMARTIN, "")),
        (ldap.INVALID_CREDENTIALS, lambda: connection.simple_bind_s(AMARTIN, "x")),
        (ldap.INVALID_CREDENTIALS, lambda: connection.simple_bind_s(f"uid=none,{PEOPLE}", "x")),
        (ldap.INVALID_DN_SYNTAX, lambda: connection.simple_bind_s("amartin", "x")),
        (ldap.CONFIDENTIALITY_REQUIRED, lambda: connection.sasl_bind_s("", "PLAIN", b"\0a\0b")),
        (ldap.STRONG_AUTH_NOT_SUPPORTED, lambda: connection.sasl_bind_s("", "CRAM-MD5", b"a b")),
    ):
        with pytest.raises(code):
            attempt()
    connection.protocol_version = 2
    with pytest.raises(ldap.PROTOCOL_ERROR):
        connection.simple_bind_s(AMARTIN, "demo-amartin-2026")
    connection.unbind_s()


def test_compare_answers(admin):
    assert admin.compare_s(LEAF, "sn", b"s") is True
    assert admin.compare_s(LEAF, "sn", b"t") is False
    assert admin.compare_s("cn=Subschema", "cn", b"subschema") is True
    assert admin.compare_s("", "objectClass", b"top") is True
    # RFC 4512 gives this attribute no equality rule.
    with pytest.raises(ldap.INAPPROPRIATE_MATCHING):
        admin.compare_s("", "supportedLDAPVersion", b"3")
