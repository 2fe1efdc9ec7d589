"""python-ldap: values byte for byte, many requests on one connection, modlist."""

import ldap
import ldap.filter
import ldap.modlist
import ldapurl
import pytest

from support import ADMIN, AMARTIN, PEOPLE, SUFFIX, TRANSPORTS

BASE = f"ou=python,{SUFFIX}"
PERSON = [b"inetOrgPerson", b"organizationalPerson", b"person", b"top"]


@pytest.fixture(scope="module")
def admin(server):
    connection = server.connect()
    connection.add_s(BASE, [("objectClass", [b"organizationalUnit"]), ("ou", [b"python"])])
    yield connection
    connection.unbind_s()


def attributes(uid, **more):
    entry = {"objectClass": PERSON, "uid": [uid.encode()], "cn": [b"C"], "sn": [b"S"]}
    entry.update({k: [v] if isinstance(v, bytes) else v for k, v in more.items()})
    return entry


def add(admin, dn, **more):
    uid = ldap.dn.str2dn(dn)[0][0][1]
    admin.add_s(dn, list(attributes(uid, **more).items()))
    return dn


def read(connection, dn, attrs=None):
    [(found, entry)] = connection.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", attrs)
    return entry


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bind_and_search(server, transport):
    connection = server.connect(AMARTIN, transport=transport)
    assert connection.whoami_s() == f"dn:{AMARTIN}"
    assert read(connection, AMARTIN, ["cn"]) == {"cn": [b"Alice Martin"]}
    connection.unbind_s()


def test_root_dse(server):
    connection = server.connect(None)
    dse = connection.read_rootdse_s()
    assert dse["namingContexts"] == [SUFFIX.encode()] and dse["supportedLDAPVersion"] == [b"3"]
    assert connection.get_naming_contexts() == [SUFFIX.encode()]
    assert connection.search_subschemasubentry_s("") == "cn=Subschema"
    connection.unbind_s()


@pytest.mark.parametrize("name, value", [
    ("cn", "Élodie Ça Œuvre ﬁn 日本 🙂".encode()),
    ("cn", b"  blanks   within  "),
    ("description", "e\u0301 is not \u00e9".encode()),
    ("description", b"[etab={UAI}0123456X][anneeinsc=2025][affect=A,B;C\\2c]"),
    ("description", b"x" * 4096),
    ("jpegPhoto", bytes(range(256))),
    ("userSMIMECertificate", b"\x00"),
    ("telephoneNumber", b"+33 1 02-03 04"),
    ("manager", b"UID=Some One\\, Else,  OU=People,dc=example,DC=org"),
    ("labeledURI", "https://www.valmont.example/é Accueil".encode()),
])
def test_values_come_back_byte_for_byte(admin, uid, name, value):
    dn = add(admin, f"uid={uid},{BASE}", **{name: value})
    assert read(admin, dn, [name]) == {name: [value]}


@pytest.mark.parametrize("rdn, value", [
    (r"cn=Dupont\, Jean", b"Dupont, Jean"),
    (r"cn=\C3\89lodie", "Élodie".encode()),
    ("cn=Élodie2", "Élodie2".encode()),
    (r"cn=a\+b\=c\;d\<e\>f\"g\\h", b'a+b=c;d<e>f"g\\h'),
    (r"cn=\#start", b"#start"),
    (r"cn=\ space\ ", b" space "),
    (r"cn=a\00b", b"a\x00b"),
    ("cn=#0403666F6F", b"foo"),
])
def test_names_of_every_kind(admin, rdn, value):
    dn = f"{rdn},{BASE}"
    admin.add_s(dn, [("objectClass", [b"inetOrgPerson"]), ("sn", [b"S"])])
    [(found, entry)] = admin.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", ["cn", "entryDN"])
    assert entry["cn"] == [value]
    # libldap leaves the BER header of a hexadecimal value in place.
    if "=#" not in rdn:
        assert ldap.dn.str2dn(found)[0][0][1].encode() == value
    # The name that is given back can be used again, and so can entryDN.
    assert read(admin, found, ["cn"])["cn"] == [value]
    assert admin.search_s(BASE, ldap.SCOPE_ONELEVEL, f"(entryDN={ldap.filter.escape_filter_chars(found)})", ["1.1"])
    admin.delete_s(found)


def test_a_photo_of_one_megabyte(admin, uid):
    photo = bytes(range(256)) * 4096
    dn = add(admin, f"uid={uid},{BASE}", jpegPhoto=photo)
    assert read(admin, dn) == attributes(uid, jpegPhoto=photo)
    admin.modify_s(dn, [(ldap.MOD_REPLACE, "jpegPhoto", [photo[::-1], b"small"])])
    assert sorted(read(admin, dn)["jpegPhoto"]) == sorted([photo[::-1], b"small"])


def test_a_group_of_many_members(admin, uid):
    members = [f"uid=m{n},{PEOPLE}".encode() for n in range(3000)]
    dn = f"cn={uid},{BASE}"
    admin.add_s(dn, [("objectClass", [b"groupOfNames"]), ("cn", [uid.encode()]), ("member", members)])
    assert read(admin, dn)["member"] == members
    admin.modify_s(dn, [(ldap.MOD_DELETE, "member", members[:10]), (ldap.MOD_ADD, "member", [b"uid=new," + PEOPLE.encode()])])
    assert len(read(admin, dn)["member"]) == 2991
    found = admin.search_s(SUFFIX, ldap.SCOPE_SUBTREE, f"(member=UID=m2999,{PEOPLE})", ["1.1"])
    assert [d for d, _ in found] == [dn]


def test_many_requests_in_flight_on_one_connection(server, admin):
    dns = [add(admin, f"uid=flight{n},{BASE}", description=str(n).encode()) for n in range(40)]
    connection = server.connect()
    searches = {connection.search_ext(dn, ldap.SCOPE_BASE, "(objectClass=*)", ["description"]): n
                for n, dn in enumerate(dns)}
    writes = [connection.modify_ext(dn, [(ldap.MOD_REPLACE, "sn", [b"W"])]) for dn in dns]
    # Answers are asked for in the opposite order of the questions.
    for number in reversed(writes):
        assert connection.result(number)[0] == ldap.RES_MODIFY
    for number, n in reversed(list(searches.items())):
        _, found = connection.result(number)
        assert found == [(dns[n], {"description": [str(n).encode()]})]
    connection.unbind_s()


def test_abandon(server):
    connection = server.connect()
    for _ in range(20):
        number = connection.search_ext(SUFFIX, ldap.SCOPE_SUBTREE, "(description=*no such thing*)")
        connection.abandon(number)
    # An unknown number is ignored, and the connection goes on.
    assert read(connection, AMARTIN, ["uid"]) == {"uid": [b"amartin"]}
    connection.unbind_s()


def test_superior_classes_are_added(admin, uid):
    """RFC 4512 section 3.3."""
    dn = f"uid={uid},{BASE}"
    admin.add_s(dn, [("objectClass", [b"inetOrgPerson"]), ("cn", [b"C"]), ("sn", [b"S"])])
    assert sorted(read(admin, dn, ["objectClass"])["objectClass"]) == sorted(PERSON)


def test_a_search_read_one_by_one(server):
    connection = server.connect()
    number = connection.search_ext(PEOPLE, ldap.SCOPE_ONELEVEL, "(objectClass=inetOrgPerson)", ["1.1"])
    seen = 0
    while True:
        kind, data = connection.result(number, all=0)
        if kind == ldap.RES_SEARCH_RESULT:
            break
        seen += len(data)
    assert seen >= 20
    connection.unbind_s()


def test_modlist_round_trip(admin, uid):
    old = attributes(uid, description=[b"a", b"b"], mail=b"x@example.org", sn=b"Old")
    dn = f"uid={uid},{BASE}"
    admin.add_s(dn, ldap.modlist.addModlist(old))
    new = attributes(uid, description=[b"b", b"c"], sn=b"New", telephoneNumber=b"+33 1",
                     objectClass=[*PERSON, b"schacPersonalCharacteristics"], schacGender=b"2")
    admin.modify_s(dn, ldap.modlist.modifyModlist(read(admin, dn), new))
    stored = read(admin, dn)
    assert {k: sorted(v) for k, v in stored.items()} == {k: sorted(v) for k, v in new.items()}
    assert ldap.modlist.modifyModlist(stored, new) == []


def test_modlist_round_trip_of_an_identity(admin, uid):
    dn = f"uid={uid},{PEOPLE}"
    old = attributes(uid, objectClass=[*PERSON, b"supannPerson"], supannEtablissement=b"{UAI}0123456X")
    admin.add_s(dn, ldap.modlist.addModlist(old))
    new = dict(old, supannEtablissement=[b"{UAI}0123456X", b"{UAI}0123457Y"], sn=[b"Other"], cn=[b"Other name"])
    admin.modify_s(dn, ldap.modlist.modifyModlist(read(admin, dn), new))
    found = read(admin, dn)
    # Derived, and not taken away by a client that does not know of it.
    assert found.pop("supannRessourceEtat") == [b"{COMPTE}A", b"{COMPTE}A:SupannActif"]
    assert len(found.pop("supannRessourceEtatDate")) == 1
    assert {k: sorted(v) for k, v in found.items()} == {k: sorted(v) for k, v in new.items()}
    admin.delete_s(dn)


def test_what_the_sesame_back_end_sends(admin, uid):
    """Delete and add of each attribute in one request, names in lower case, objectClass included;
    then a rename with a new superior."""
    dn = f"uid={uid},{PEOPLE}"
    add(admin, dn, employeeNumber=b"42", employeeType=b"PERSONNEL")
    found = admin.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(&(employeeNumber=42)(employeeType=PERSONNEL))", ["1.1"])
    assert [d for d, _ in found] == [dn]
    changes = []
    for name, value in [("objectclass", b"inetOrgPerson"), ("cn", b"New"), ("sn", b"New"), ("employeetype", b"LOCAL")]:
        changes += [(ldap.MOD_DELETE, name, None), (ldap.MOD_ADD, name, [value])]
    admin.modify_s(dn, changes)
    assert read(admin, dn, ["cn", "employeeType"]) == {"cn": [b"New"], "employeeType": [b"LOCAL"]}
    admin.rename_s(dn, f"uid={uid}", BASE)
    assert read(admin, f"uid={uid},{BASE}", ["uid"]) == {"uid": [uid.encode()]}
    admin.rename_s(f"uid={uid},{BASE}", f"uid={uid}", PEOPLE, delold=0)
    admin.delete_s(dn)


def test_a_failed_bind_leaves_the_connection_anonymous(server):
    connection = server.connect()
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        connection.simple_bind_s(ADMIN, "wrong")
    assert connection.whoami_s() == ""
    assert connection.search_s("", ldap.SCOPE_BASE)
    with pytest.raises((ldap.NO_SUCH_OBJECT, ldap.INSUFFICIENT_ACCESS)):
        connection.delete_s(AMARTIN)
    connection.unbind_s()


def test_rebinding_one_connection(server):
    connection = server.connect()
    connection.simple_bind_s(AMARTIN, "demo-amartin-2026")
    assert connection.whoami_s() == f"dn:{AMARTIN}"
    connection.simple_bind_s("", "")
    assert connection.whoami_s() == ""
    connection.unbind_s()


def test_a_password_of_bytes(server, admin, uid):
    dn = f"uid={uid},{PEOPLE}"
    add(admin, dn)
    admin.modify_s(dn, [(ldap.MOD_REPLACE, "userPassword", [b"caf\xe9 \xff\xfe"])])
    connection = ldap.initialize(server.uri())
    connection.simple_bind_s(dn, b"caf\xe9 \xff\xfe")
    assert connection.whoami_s() == f"dn:{dn}"
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        connection.simple_bind_s(dn, b"caf\xe9 \xff\xfd")
    connection.unbind_s()
    admin.delete_s(dn)


def test_an_ldap_url(server):
    url = ldapurl.LDAPUrl(f"{server.uri()}/{PEOPLE}?uid?one?(uid=amartin)")
    connection = server.connect()
    assert connection.search_s(url.dn, url.scope, url.filterstr, url.attrs) == [(AMARTIN, {"uid": [b"amartin"]})]
    connection.unbind_s()


def test_start_tls_twice(server):
    connection = server.connect(None, transport="starttls")
    # libldap itself refuses the second one, so it is sent as a plain extended operation.
    with pytest.raises(ldap.LDAPError):
        connection.start_tls_s()
    with pytest.raises(ldap.OPERATIONS_ERROR):
        connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.4.1.1466.20037", None))
    connection.unbind_s()
