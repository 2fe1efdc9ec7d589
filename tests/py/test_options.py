"""Attribute options, subtypes and classes as selectors (RFC 4512 2.5, RFC 3866, RFC 4529), and the
rules that Active Directory has taught clients."""

import pytest

from support import SUFFIX, person

LAB = f"ou=options,{SUFFIX}"
SCHAC = "schacPersonalCharacteristics"


@pytest.fixture(scope="module")
def lab(server):
    text = [f"dn: {LAB}\nobjectClass: organizationalUnit\nou: options\ndescription: d\ndescription;lang-fr: f\n"]
    text.append(person("tagged", LAB, cn="Physics", **{"cn;lang-fr": "Physique", "cn;lang-fr-CA": "La physique",
                                                       "cn;lang-en;x-b;x-a": "Physics course"}))
    text.append(person("cert", LAB, **{"userCertificate;binary": b"\x30\x03\x02\x01\x01"}))
    text.append(person("post", LAB, mail="post@x.example", classes=["supannPerson"],
                       supannAutreMail="postmaster@x.example", supannCivilite="M."))
    for number in (0, 1, 2, 9):
        text.append(person(f"g{number}", LAB, classes=[SCHAC], schacGender=str(number)))
    server.add("\n".join(text)).ok()
    return LAB


@pytest.mark.parametrize("attrs, expected", [
    (["cn"], {"cn", "cn;lang-fr", "cn;lang-fr-ca", "cn;lang-en;x-a;x-b"}),
    (["cn;lang-fr"], {"cn;lang-fr"}),
    (["CN;LANG-FR"], {"cn;lang-fr"}),
    (["cn;lang-fr-"], {"cn;lang-fr", "cn;lang-fr-ca"}),
    (["cn;lang-f-"], set()),
    (["cn;lang-"], {"cn;lang-fr", "cn;lang-fr-ca", "cn;lang-en;x-a;x-b"}),
    (["cn;x-b"], {"cn;lang-en;x-a;x-b"}),
    (["cn;x-b;x-a"], {"cn;lang-en;x-a;x-b"}),
    (["cn;x-a;lang-EN;x-b"], {"cn;lang-en;x-a;x-b"}),
    (["cn;x-a;lang-fr"], set()),
    (["name;lang-fr"], {"cn;lang-fr"}),
    (["cn;"], set()),
])
def test_options_select(server, lab, attrs, expected):
    assert set(server.search("(uid=tagged)", *attrs, base=lab).ok().entry) == expected


@pytest.mark.parametrize("filter, expected", [
    ("(cn=Physique)", {"tagged"}),
    ("(cn;lang-fr=physique)", {"tagged"}),
    ("(cn;lang-en=physique)", set()),
    ("(cn;lang-fr-=la physique)", {"tagged"}),
    ("(cn;lang-fr=la physique)", set()),
    ("(cn;lang-fr-ca=la physique)", {"tagged"}),
    ("(cn;lang-=physics course)", {"tagged"}),
    ("(cn;lang-=physics)", set()),
    ("(cn;x-a;x-b=physics course)", {"tagged"}),
    ("(cn;x-b;lang-en=*)", {"tagged"}),
    ("(description;lang-=*)", {"options"}),
    ("(userCertificate=*)", {"cert"}),
    ("(userCertificate;binary=*)", {"cert"}),
    ("(mail=postmaster@x.example)", {"post"}),
    ("(mail=POST*)", {"post"}),
    ("(supannAutreMail=post@x.example)", set()),
])
def test_options_and_subtypes_in_filters(server, lab, filter, expected):
    assert server.search(filter, "1.1", base=lab).ok().names == expected


@pytest.mark.parametrize("asked", ["userCertificate", "userCertificate;binary", "usercertificate;BINARY"])
def test_binary_comes_back_as_it_was_sent(server, lab, asked):
    entry = server.search("(uid=cert)", asked, base=lab).ok().entry
    assert entry == {"userCertificate;binary": [b"\x30\x03\x02\x01\x01"]}


@pytest.mark.parametrize("attrs, expected", [
    (["mail"], {"mail", "supannAutreMail"}),
    (["supannAutreMail"], {"supannAutreMail"}),
    (["@person"], {"objectClass", "cn", "sn"}),
    (["@PERSON", "uid"], {"objectClass", "cn", "sn", "uid"}),
    (["@2.5.6.6"], {"objectClass", "cn", "sn"}),
    (["@inetOrgPerson"], {"objectClass", "cn", "sn", "uid", "mail", "supannAutreMail"}),
    (["@supannPerson"], {"objectClass", "supannAutreMail", "supannCivilite"}),
    (["@noSuchClass"], set()),
    (["@noSuchClass", "cn"], {"cn"}),
    (["@extensibleObject"], {"objectClass", "cn", "sn", "uid", "mail", "supannAutreMail", "supannCivilite"}),
])
def test_subtypes_and_classes_select(server, lab, attrs, expected):
    assert set(server.search("(uid=post)", *attrs, base=lab).ok().entry) == expected


def test_a_class_selects_with_options(server, lab):
    entry = server.search("(uid=tagged)", "@person;lang-fr", base=lab).ok().entry
    assert entry == {"cn;lang-fr": [b"Physique"]}


def test_features_are_advertised(server):
    entry = server.search("(objectClass=*)", "supportedFeatures", base="", scope="base", who=None).entry
    oids = {v.decode() for v in entry["supportedFeatures"]}
    assert {f"1.3.6.1.4.1.4203.1.5.{n}" for n in (1, 2, 3, 4, 5)} <= oids


def test_a_range_names_no_value(server, lab):
    change = f"dn: uid=tagged,{lab}\nchangetype: modify\nadd: cn;lang-de-\ncn;lang-de-: Physik\n"
    server.modify(change).refused(17, "cn;lang-de-", "language range")


def test_deleting_one_option_leaves_the_others(server, lab):
    dn = f"uid=gone,{lab}"
    server.add(person("gone", lab, **{"cn;lang-fr": "Un", "cn;lang-en": "One"})).ok()
    server.modify(f"dn: {dn}\nchangetype: modify\ndelete: cn;lang-fr\n").ok()
    assert set(server.search("(uid=gone)", "cn", base=lab).entry) == {"cn", "cn;lang-en"}
    assert server.search("(cn=Un)", "1.1", base=lab).names == set()
    server.delete(dn).ok()


AND, OR = "1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804"


@pytest.mark.parametrize("filter, expected", [
    (f"(schacGender:{AND}:=1)", {"g1", "g9"}),
    (f"(schacGender:{AND}:=9)", {"g9"}),
    (f"(schacGender:{AND}:=0)", {"g0", "g1", "g2", "g9"}),
    (f"(schacGender:{OR}:=3)", {"g1", "g2", "g9"}),
    (f"(schacGender:{OR}:=0)", set()),
    (f"(schacGender:integerBitAndMatch:=8)", {"g9"}),
    (f"(:{AND}:=8)", {"g9"}),
    (f"(&(schacGender=*)(!(schacGender:{AND}:=1)))", {"g0", "g2"}),
    (f"(numSubordinates:{OR}:=4)", {"options"}),
    # Not for this type, or no integer: Undefined.
    (f"(!(cn:{AND}:=1))", set()),
    (f"(!(schacGender:{AND}:=x))", set()),
])
def test_bitwise_rules(server, lab, filter, expected):
    assert server.search(filter, "1.1", base=lab).ok().names == expected


def test_foreign_rules_are_published(server):
    entry = server.search("(objectClass=subschema)", "matchingRules", "matchingRuleUse", base="cn=Subschema",
                          scope="base", who=None).entry
    for attr in ("matchingRules", "matchingRuleUse"):
        text = b"\n".join(entry[attr]).decode()
        assert all(f"( {oid} NAME" in text for oid in (AND, OR, "1.2.840.113556.1.4.1941")), attr
    uses = {v.split()[1].decode(): v.decode() for v in entry["matchingRuleUse"]}
    assert "schacGender" in uses[AND] and "member" in uses["1.2.840.113556.1.4.1941"].split()
