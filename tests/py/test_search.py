"""ldapsearch: scopes, filters with three-valued logic, selection, limits (RFC 4511 section 4.5)."""

import pytest

from support import ADMIN, AMARTIN, PEOPLE, SUFFIX, TRANSPORTS, line, person

LAB = f"ou=lab,{SUFFIX}"
SCHAC = ["schacPersonalCharacteristics"]


@pytest.fixture(scope="module")
def lab(server):
    """A small branch whose content these tests know by heart."""
    text = [f"dn: {LAB}\nobjectClass: organizationalUnit\nou: lab\n"]
    text.append(person("one", LAB, cn="Élodie Durand", sn="Durand", employeeNumber="1", telephoneNumber="+33 1 02 03",
                       description="alpha beta gamma", schacSn1="b10", classes=SCHAC, mail="One@Example.org"))
    text.append(person("two", LAB, cn="Paul  Petit", sn="Petit", employeeNumber="2", description=["red", "green blue"],
                       schacSn1="b20", classes=SCHAC, manager=f"uid=one,{LAB}", preferredLanguage="fr"))
    text.append(person("three", LAB, cn=r"Star * and (paren) \ back", sn="Star", schacSn1="b30", classes=SCHAC,
                       description="alphabet", jpegPhoto=b"\xff\xd8\x00\x01"))
    text.append(f"dn: ou=sub,{LAB}\nobjectClass: organizationalUnit\nou: sub\n")
    text.append(person("four", f"ou=sub,{LAB}", cn="Deep", sn="Deep"))
    server.add("\n".join(text)).ok()
    return LAB


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_transports(server, transport):
    found = server.search("(uid=amartin)", "cn", transport=transport).ok()
    assert found.entries == [(AMARTIN, {"cn": [b"Alice Martin"]})]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_password_on_each_transport(server, transport):
    server.search(who=AMARTIN, password="wrong", transport=transport).refused(49)


@pytest.mark.parametrize("scope, expected", [
    ("base", {"lab"}),
    ("one", {"one", "two", "three", "sub"}),
    ("sub", {"lab", "one", "two", "three", "sub", "four"}),
    ("children", {"one", "two", "three", "sub", "four"}),
])
def test_scopes(server, lab, scope, expected):
    assert server.search(base=lab, scope=scope).ok().names == expected


FILTERS = [
    # Equality by the rule of the attribute (RFC 4517, RFC 4518).
    ("(cn=élodie durand)", {"one"}),
    ("(cn=ÉLODIE DURAND)", {"one"}),
    ("(cn=  Élodie   Durand )", {"one"}),
    ("(CN=paul petit)", {"two"}),
    ("(2.5.4.3=Paul Petit)", {"two"}),
    ("(commonName=Paul Petit)", {"two"}),
    ("(name=Petit)", {"two"}),
    ("(telephoneNumber=+331-0203)", {"one"}),
    ("(mail=one@example.org)", {"one"}),
    ("(manager=UID=One, OU=LAB,DC=Example,DC=org)", {"two"}),
    ("(objectClass=organizationalPerson)", {"one", "two", "three", "four"}),
    ("(objectClass=2.16.840.1.113730.3.2.2)", {"one", "two", "three", "four"}),
    # Presence.
    ("(manager=*)", {"two"}),
    ("(jpegPhoto=*)", {"three"}),
    # Substrings.
    ("(description=alpha*)", {"one", "three"}),
    ("(description=*gamma)", {"one"}),
    ("(description=*BETA*)", {"one"}),
    ("(description=al*be*ma)", {"one"}),
    ("(description=al*gamma*beta*)", set()),
    ("(cn=élo*)", {"one"}),
    ("(telephoneNumber=+33102*)", {"one"}),
    # Ordering.
    ("(schacSn1>=b20)", {"two", "three"}),
    ("(schacSn1<=B20)", {"one", "two"}),
    ("(createTimestamp>=20200101000000Z)", {"lab", "one", "two", "three", "sub", "four"}),
    ("(createTimestamp>=20200101000000.0Z)", {"lab", "one", "two", "three", "sub", "four"}),
    ("(createTimestamp<=20200101000000Z)", set()),
    # Approximate match is at least equality.
    ("(sn~=durand)", {"one"}),
    # Boolean combinations.
    ("(&(sn=*)(employeeNumber=*))", {"one", "two"}),
    ("(|(sn=Durand)(sn=Petit))", {"one", "two"}),
    ("(!(sn=*))", {"lab", "sub"}),
    ("(&(sn=*)(!(|(sn=Durand)(sn=Petit))))", {"three", "four"}),
    # Absolute true and false (RFC 4526).
    ("(&)", {"lab", "one", "two", "three", "sub", "four"}),
    ("(|)", set()),
    ("(!(|))", {"lab", "one", "two", "three", "sub", "four"}),
    # Undefined stays Undefined under a negation (RFC 4511 4.5.1.7).
    ("(unknownAttr=x)", set()),
    ("(!(unknownAttr=x))", set()),
    ("(!(unknownAttr=*))", set()),
    ("(|(unknownAttr=x)(sn=Durand))", {"one"}),
    ("(&(!(unknownAttr=x))(sn=Durand))", set()),
    ("(createTimestamp=no time)", set()),
    ("(!(createTimestamp=no time))", set()),
    ("(jpegPhoto>=a)", set()),
    ("(!(jpegPhoto>=a))", set()),
    # Escapes (RFC 4515).
    (r"(cn=Star \2a and \28paren\29 \5c back)", {"three"}),
    (r"(cn=*\2a*)", {"three"}),
    (r"(cn=\c3\89lodie Durand)", {"one"}),
    (r"(cn=\ff\fe)", set()),
    # Extensible matches.
    ("(cn:caseExactMatch:=Paul Petit)", {"two"}),
    ("(cn:caseExactMatch:=paul petit)", set()),
    ("(cn:2.5.13.2:=paul petit)", {"two"}),
    ("(sn:=petit)", {"two"}),
    ("(:caseIgnoreMatch:=petit)", {"two"}),
    ("(ou:dn:=sub)", {"sub", "four"}),
    ("(:dn:caseIgnoreMatch:=sub)", {"sub", "four"}),
    ("(ou:dn:caseExactMatch:=SUB)", set()),
    ("(cn:1.2.3.4.5:=x)", set()),
    ("(!(cn:1.2.3.4.5:=x))", set()),
    # Operational attributes.
    ("(hasSubordinates=TRUE)", {"lab", "sub"}),
    ("(hassubordinates=FALSE)", {"one", "two", "three", "four"}),
    (f"(entryDN=uid=TWO,{LAB})", {"two"}),
    ("(structuralObjectClass=organizationalUnit)", {"lab", "sub"}),
]


@pytest.mark.parametrize("filter, expected", FILTERS, ids=[f for f, _ in FILTERS])
def test_filters(server, lab, filter, expected):
    assert server.search(filter, "1.1", base=lab).ok().names == expected


def test_entry_uuid_with_and_without_case(server, lab):
    uuid = server.search("(uid=two)", "entryUUID", base=lab).entry["entryUUID"][0].decode()
    assert server.search(f"(entryUUID={uuid.upper()})", "1.1", base=lab).ok().names == {"two"}


def test_user_attributes_by_default(server, lab):
    entry = server.search("(uid=two)", base=lab).entry
    assert set(entry) == {"objectClass", "uid", "cn", "sn", "employeeNumber", "description", "schacSn1", "manager",
                          "preferredLanguage"}
    assert entry["description"] == [b"red", b"green blue"]
    assert entry["cn"] == [b"Paul  Petit"], "a value comes back as it was sent"


def test_selection_of_operational_attributes(server, lab):
    entry = server.search("(uid=two)", "+", base=lab).entry
    assert {"entryUUID", "entryDN", "createTimestamp", "modifyTimestamp", "creatorsName", "modifiersName",
            "structuralObjectClass", "subschemaSubentry", "hasSubordinates"} <= set(entry)
    assert entry["creatorsName"] == [ADMIN.encode()]
    assert entry["entryDN"] == [f"uid=two,{LAB}".encode()]
    assert entry["structuralObjectClass"] == [b"inetOrgPerson"]
    assert entry["hasSubordinates"] == [b"FALSE"]
    assert "cn" not in entry


def test_selection_of_all(server, lab):
    entry = server.search("(uid=two)", "*", "+", base=lab).entry
    assert {"cn", "entryUUID"} <= set(entry)


@pytest.mark.parametrize("attrs, expected", [
    (["1.1"], set()),
    (["1.1", "cn"], {"cn"}),
    (["cn", "SN"], {"cn", "sn"}),
    (["2.5.4.4"], {"sn"}),
    (["dn", "noSuchName", "cn"], {"cn"}),
    (["name"], {"cn", "sn"}),
    (["surname"], {"sn"}),
    (["*", "entryUUID"], {"objectClass", "uid", "cn", "sn", "employeeNumber", "description", "schacSn1", "mail",
                          "telephoneNumber", "entryUUID"}),
])
def test_selection(server, lab, attrs, expected):
    entry = server.search("(uid=one)", *attrs, base=lab).ok().entries[0][1]
    assert set(entry) == expected


def test_an_oid_alone_is_spelled_the_same_in_every_entry(server, lab):
    found = server.search("(sn=*)", "2.5.4.4", base=lab).ok().entries
    assert len({name for _, entry in found for name in entry}) == 1


def test_types_only(server, lab):
    found = server.search("(uid=two)", "cn", "description", "entryUUID", base=lab, flags=["-A"]).ok()
    lines = [l for l in found.out.splitlines() if l]
    assert sorted(lines) == sorted([f"dn: uid=two,{LAB}", "cn:", "description:", "entryUUID:"])


def test_size_limit_gives_one_entry_and_code_4(server, lab):
    found = server.search("(sn=*)", base=lab, flags=["-z", "1"])
    assert (found.code, len(found.entries)) == (4, 1), found


def test_size_limit_that_fits_is_a_success(server, lab):
    assert len(server.search("(sn=*)", base=lab, flags=["-z", "4"]).ok().entries) == 4


def test_time_limit_is_accepted(server, lab):
    assert len(server.search("(sn=*)", base=lab, flags=["-l", "30"]).ok().entries) == 4


def test_base_with_a_false_filter(server, lab):
    assert server.search("(sn=none)", base=f"uid=one,{lab}", scope="base").ok().entries == []


def test_base_that_does_not_exist(server, lab):
    found = server.search(base=f"uid=x,ou=none,{lab}").refused(32)
    assert f"Matched DN: {lab}" in found.err + found.out, found


def test_base_outside_of_the_suffix(server):
    server.search(base="dc=else,dc=where").refused(32)


def test_base_that_is_no_dn(server):
    server.search(base="no dn at all").refused(34)


def test_base_in_another_spelling(server, lab):
    spelled = "OU = Lab , dc=EXAMPLE+dc=example".replace("+dc=example", "") + ",DC=org"
    assert server.search(base=spelled, scope="base").ok().dns == [lab]


def test_a_search_below_the_empty_base_finds_the_suffix(server):
    assert AMARTIN in server.search("(uid=amartin)", base="").ok().dns


@pytest.mark.parametrize("attrs, has", [
    ([], {"objectClass"}),
    (["*", "+"], {"objectClass", "namingContexts", "supportedLDAPVersion", "supportedExtension", "supportedFeatures",
                  "subschemaSubentry", "vendorName"}),
    (["+"], {"namingContexts", "supportedLDAPVersion", "subschemaSubentry"}),
    (["namingContexts", "subschemaSubentry"], {"namingContexts", "subschemaSubentry"}),
    (["1.1"], set()),
])
def test_root_dse(server, attrs, has):
    for filter in ("(objectClass=*)", "(objectClass=top)", "(&)"):
        found = server.search(filter, *attrs, base="", scope="base", who=None).ok()
        assert len(found.entries) == 1, (filter, found)
        assert has <= set(found.entry), (filter, found)
        assert not {"isGlobalCatalogReady"} & set(found.entry)
        if attrs == ["1.1"]:
            assert found.entry == {}


def test_root_dse_says_what_works(server):
    entry = server.search("(objectClass=*)", "*", "+", base="", scope="base", who=None).entry
    assert entry["namingContexts"] == [SUFFIX.encode()]
    assert entry["supportedLDAPVersion"] == [b"3"]
    assert {b"1.3.6.1.4.1.1466.20037", b"1.3.6.1.4.1.4203.1.11.1", b"1.3.6.1.4.1.4203.1.11.3"} <= set(
        entry["supportedExtension"])


def test_values_with_accents_and_bytes_come_back(server, lab):
    assert server.search("(uid=one)", "cn", base=lab).entry["cn"] == ["Élodie Durand".encode()]
    assert server.search("(uid=three)", "jpegPhoto", base=lab).entry["jpegPhoto"] == [b"\xff\xd8\x00\x01"]


def test_ldif_line_of_the_tests_itself():
    assert line("cn", "Élodie") == "cn:: w4lsb2RpZQ=="
    assert line("cn", " x") == "cn:: IHg="
    assert line("cn", "a") == "cn: a"


def test_people_are_there(server):
    assert len(server.search("(objectClass=inetOrgPerson)", "1.1", base=PEOPLE).ok().entries) >= 20
