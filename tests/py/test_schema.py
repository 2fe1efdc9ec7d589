"""The subschema entry as python-ldap reads it."""

import re

import ldap
import ldap.schema
import pytest

from support import REPO

KINDS = {
    "attributeTypes": ldap.schema.AttributeType,
    "objectClasses": ldap.schema.ObjectClass,
    "matchingRules": ldap.schema.MatchingRule,
    "matchingRuleUse": ldap.schema.MatchingRuleUse,
    "ldapSyntaxes": ldap.schema.LDAPSyntax,
}


@pytest.fixture(scope="module")
def published(server):
    """Raw values by attribute, as anonymous."""
    connection = server.connect(None)
    [(_, entry)] = connection.search_s("cn=Subschema", ldap.SCOPE_BASE, "(objectClass=subschema)", ["+", "*"])
    connection.unbind_s()
    return entry


@pytest.fixture(scope="module")
def parsed(server):
    dn, schema = ldap.schema.subentry.urlfetch(f"{server.uri()}/")
    assert dn == "cn=Subschema"
    return schema


@pytest.mark.parametrize("kind", KINDS)
def test_no_element_is_lost(published, parsed, kind):
    assert len(parsed.listall(KINDS[kind])) == len(published[kind]) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_parses_to_the_same_fields(published, kind):
    for value in published[kind]:
        text = value.decode()
        one = KINDS[kind](text)
        again = KINDS[kind](str(one))
        assert vars(again) == vars(one), text
        if kind == "ldapSyntaxes":
            # python-ldap writes X-NOT-HUMAN-READABLE to all of them.
            assert re.fullmatch(rf"\( {re.escape(one.oid)} DESC '{re.escape(one.desc)}'( X-NOT-HUMAN-READABLE 'TRUE')? \)", text)
            continue
        # Every word of the published text is known to the parser.
        assert normal(str(one)) == normal(text), text


def attribute(parsed, name):
    return parsed.get_obj(ldap.schema.AttributeType, name)


def normal(text):
    """The tokens of a definition, in any order; python-ldap writes all keywords in upper case."""
    tokens = re.findall(r"'[^']*'|[^\s()$]+", text)
    return sorted(t for t in tokens if t not in ("(", ")", "$"))


def test_no_oid_and_no_name_twice(published):
    for kind in ("attributeTypes", "objectClasses"):
        oids, names = [], []
        for value in published[kind]:
            one = KINDS[kind](value.decode())
            oids.append(one.oid)
            names += [n.lower() for n in one.names]
        assert len(set(oids)) == len(oids) and len(set(names)) == len(names)


def test_supann_is_whole(parsed):
    attributes = {a.oid: a for a in (attribute(parsed, o) for o in parsed.listall(ldap.schema.AttributeType))}
    supann = [a for oid, a in attributes.items() if oid.startswith("1.3.6.1.4.1.7135.1.2.1.")]
    assert len(supann) == 65
    assert all(a.names and a.names[0].startswith("supann") for a in supann)
    classes = {n: parsed.get_obj(ldap.schema.ObjectClass, f"1.3.6.1.4.1.7135.1.2.2.{n}").names[0] for n in range(1, 7)}
    assert classes == {1: "supannPerson", 2: "supannOrg", 3: "supannEntite", 4: "supannFCPerson", 5: "supannCMS",
                       6: "supannGroupe"}


# Identifiers that clients are known to rely on (RFC 4519, RFC 2798, supann 2021, eduPerson, SCHAC).
OIDS = {
    "cn": "2.5.4.3", "sn": "2.5.4.4", "member": "2.5.4.31", "userPassword": "2.5.4.35", "uid": "0.9.2342.19200300.100.1.1",
    "mail": "0.9.2342.19200300.100.1.3", "displayName": "2.16.840.1.113730.3.1.241",
    "employeeNumber": "2.16.840.1.113730.3.1.3", "jpegPhoto": "0.9.2342.19200300.100.1.60",
    "entryUUID": "1.3.6.1.1.16.4", "entryDN": "1.3.6.1.1.20", "hasSubordinates": "2.5.18.9",
    "eduPersonAffiliation": "1.3.6.1.4.1.5923.1.1.1.1", "eduPersonPrincipalName": "1.3.6.1.4.1.5923.1.1.1.6",
    "supannEtablissement": "1.3.6.1.4.1.7135.1.2.1.14", "schacGender": "1.3.6.1.4.1.25178.1.2.2",
}


@pytest.mark.parametrize("name", OIDS)
def test_known_identifiers(parsed, name):
    assert attribute(parsed, name).oid == OIDS[name]


CLASS_OIDS = {
    "person": "2.5.6.6", "organizationalPerson": "2.5.6.7", "inetOrgPerson": "2.16.840.1.113730.3.2.2",
    "groupOfNames": "2.5.6.9", "organizationalUnit": "2.5.6.5", "dcObject": "1.3.6.1.4.1.1466.344",
    "eduPerson": "1.3.6.1.4.1.5923.1.1.2",
}


@pytest.mark.parametrize("name", CLASS_OIDS)
def test_known_classes(parsed, name):
    assert parsed.get_obj(ldap.schema.ObjectClass, name).oid == CLASS_OIDS[name]


def test_inheritance_resolves(parsed):
    must, may = parsed.attribute_types(["inetOrgPerson", "supannPerson"])
    names = {n.lower() for a in [*must.values(), *may.values()] for n in a.names}
    assert {"cn", "sn", "jpegphoto", "supannetuid", "mail"} <= names
    for oid in parsed.listall(ldap.schema.AttributeType):
        one = attribute(parsed, oid)
        for superior in one.sup:
            assert attribute(parsed, superior) is not None, (one, superior)
        assert one.syntax is None or parsed.get_obj(ldap.schema.LDAPSyntax, one.syntax) is not None, str(one)
        for rule in filter(None, (one.equality, one.ordering, one.substr)):
            assert parsed.get_obj(ldap.schema.MatchingRule, rule) is not None, (str(one), rule)


def test_all_that_a_schema_file_says_is_published(parsed):
    """The name and OID of each definition in schemas/ldap, read from the files without the server."""
    for file in sorted((REPO / "schemas" / "ldap").glob("*.yml")):
        for name, oid in re.findall(r"\bname: ([A-Za-z0-9-]+), oid: ([0-9.]+)", file.read_text()):
            found = parsed.getoid(ldap.schema.AttributeType, name), parsed.getoid(ldap.schema.ObjectClass, name)
            assert oid in found, (file.name, name, oid)


def test_single_value_and_usage_flags(parsed):
    assert attribute(parsed, "displayName").single_value
    assert not attribute(parsed, "cn").single_value
    uuid = attribute(parsed, "entryUUID")
    assert uuid.no_user_mod and uuid.single_value and uuid.usage == 1
    assert attribute(parsed, "namingContexts").usage == 3


def test_schema_of_an_entry(server):
    connection = server.connect()
    dn = connection.search_subschemasubentry_s("ou=people,dc=example,dc=org")
    entry = connection.read_subschemasubentry_s(dn)
    assert entry and entry["objectClasses"]
    connection.unbind_s()
