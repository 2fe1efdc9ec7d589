"""The subschema entry as python-ldap and ldap3 read it."""

import re

import ldap
import ldap.schema
import ldap3
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


# Identifiers that clients are known to rely on (RFC 4519, RFC 2798, supann 2021, eduPerson, SCHAC, RFC 2307,
# RFC 3296, RFC 4523, sudo, OpenSSH-LPK, the Netscape directory, OpenLDAP's monitor).
OIDS = {
    "cn": "2.5.4.3", "sn": "2.5.4.4", "member": "2.5.4.31", "userPassword": "2.5.4.35", "uid": "0.9.2342.19200300.100.1.1",
    "mail": "0.9.2342.19200300.100.1.3", "displayName": "2.16.840.1.113730.3.1.241",
    "employeeNumber": "2.16.840.1.113730.3.1.3", "jpegPhoto": "0.9.2342.19200300.100.1.60",
    "entryUUID": "1.3.6.1.1.16.4", "entryDN": "1.3.6.1.1.20", "hasSubordinates": "2.5.18.9",
    "eduPersonAffiliation": "1.3.6.1.4.1.5923.1.1.1.1", "eduPersonPrincipalName": "1.3.6.1.4.1.5923.1.1.1.6",
    "supannEtablissement": "1.3.6.1.4.1.7135.1.2.1.14", "schacGender": "1.3.6.1.4.1.25178.1.2.2",
    "uidNumber": "1.3.6.1.1.1.1.0", "memberUid": "1.3.6.1.1.1.1.12", "automountKey": "1.3.6.1.1.1.1.32",
    "sudoUser": "1.3.6.1.4.1.15953.9.1.1", "sshPublicKey": "1.3.6.1.4.1.24552.500.1.1.1.13",
    "memberURL": "2.16.840.1.113730.3.1.198", "mailAlternateAddress": "2.16.840.1.113730.3.1.13",
    "ref": "2.16.840.1.113730.3.1.34", "changeNumber": "2.16.840.1.113730.3.1.5",
    "monitorCounter": "1.3.6.1.4.1.4203.666.1.55.3", "cACertificate": "2.5.4.37",
}


@pytest.mark.parametrize("name", OIDS)
def test_known_identifiers(parsed, name):
    assert attribute(parsed, name).oid == OIDS[name]


CLASS_OIDS = {
    "person": "2.5.6.6", "organizationalPerson": "2.5.6.7", "inetOrgPerson": "2.16.840.1.113730.3.2.2",
    "groupOfNames": "2.5.6.9", "organizationalUnit": "2.5.6.5", "dcObject": "1.3.6.1.4.1.1466.344",
    "eduPerson": "1.3.6.1.4.1.5923.1.1.2", "posixAccount": "1.3.6.1.1.1.2.0", "posixGroup": "1.3.6.1.1.1.2.2",
    "automount": "1.3.6.1.1.1.2.17", "nisNetgroup": "1.3.6.1.1.1.2.8", "groupOfURLs": "2.16.840.1.113730.3.2.33",
    "sudoRole": "1.3.6.1.4.1.15953.9.2.1", "ldapPublicKey": "1.3.6.1.4.1.24552.500.1.1.2.0",
    "inetLocalMailRecipient": "2.16.840.1.113730.3.2.147", "referral": "2.16.840.1.113730.3.2.6",
    "changeLogEntry": "2.16.840.1.113730.3.2.1", "domain": "0.9.2342.19200300.100.4.13", "pkiCA": "2.5.6.22",
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


def test_every_class_stands_on_what_is_published(parsed):
    for oid in parsed.listall(ldap.schema.ObjectClass):
        one = parsed.get_obj(ldap.schema.ObjectClass, oid)
        for superior in one.sup:
            assert parsed.get_obj(ldap.schema.ObjectClass, superior) is not None, (str(one), superior)
        for name in [*one.must, *one.may]:
            assert attribute(parsed, name) is not None, (str(one), name)
        assert one.names[0] == "top" or one.sup, str(one)


def test_each_rule_says_which_attributes_it_applies_to(parsed):
    """RFC 4512 4.1.4: with a rule in use stands every attribute type that has it, inherited or not."""
    uses = {rule: set() for rule in parsed.listall(ldap.schema.MatchingRule)}
    for oid in parsed.listall(ldap.schema.AttributeType):
        one = whole = attribute(parsed, oid)
        while whole.sup and not whole.equality:
            whole = attribute(parsed, whole.sup[0])
        for name in filter(None, (whole.equality, whole.ordering, whole.substr)):
            uses[parsed.getoid(ldap.schema.MatchingRule, name)].add(one.oid)
    published = {}
    for oid in parsed.listall(ldap.schema.MatchingRuleUse):
        use = parsed.get_obj(ldap.schema.MatchingRuleUse, oid)
        published[oid] = {parsed.getoid(ldap.schema.AttributeType, name) for name in use.applies}
    wanted = {rule: names for rule, names in uses.items() if names}
    assert {r: sorted(wanted[r] - published.get(r, set())) for r in wanted if wanted[r] - published.get(r, set())} == {}
    assert len(wanted) > 20


def test_ldap3_reads_all_of_it(server, published):
    """ldap3 checks names of attributes and classes against the schema before it sends anything."""
    host, port = server.ldap.rsplit(":", 1)
    other = ldap3.Server(host, int(port), get_info=ldap3.ALL)
    with ldap3.Connection(other, auto_bind=True) as connection:
        schema, socket = other.schema, connection.socket
    # ldap3 forgets it where the server was quicker to close.
    socket.close()
    assert schema.is_valid()
    for kind, found in [("attributeTypes", schema.attribute_types), ("objectClasses", schema.object_classes),
                        ("matchingRules", schema.matching_rules), ("matchingRuleUse", schema.matching_rule_uses),
                        ("ldapSyntaxes", schema.ldap_syntaxes)]:
        oids = {v.decode().split()[1] for v in published[kind]}
        assert {one.oid for one in found.values()} == oids, kind
    for name in [*OIDS, "gecos", "shadowLastChange", "automountInformation", "sudoOrder", "maildrop"]:
        assert schema.attribute_types[name].oid == attribute_oid(published, name), name
    posix = schema.object_classes["posixAccount"]
    assert posix.kind == "AUXILIARY" or posix.kind == "Auxiliary"
    assert {"uidNumber", "gidNumber", "homeDirectory"} <= set(posix.must_contain)


def attribute_oid(published, name):
    all_of_them = (ldap.schema.AttributeType(v.decode()) for v in published["attributeTypes"])
    return next(a.oid for a in all_of_them if name in a.names)


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
