"""Entries of the classes that applications bring: what each needs, and how its values compare."""

import re

import ldap
import ldap.schema
import pytest

from support import REPO, SUFFIX, line

BRANCH = f"ou=classes,{SUFFIX}"
SYNTAX = "1.3.6.1.4.1.1466.115.121.1."
# A value for each syntax.
VALUES = {
    "8": b"\x30\x03\x02\x01\x01", "9": b"\x30\x03\x02\x01\x01", "11": "FR", "12": BRANCH, "15": "some value",
    "26": "some-value", "27": "7", "40": b"\x00\xff",
}
MORE = ["dNSDomain", "pkiCA", "cRLDistributionPoint", "deltaCRL", "strongAuthenticationUser",
        "certificationAuthority", "country"]


def classes_of(file):
    text = (REPO / "schemas" / "ldap" / file).read_text().partition("classes:")[2]
    return re.findall(r"name: ([A-Za-z0-9-]+), oid", text)


NAMES = [*classes_of("70-nis.yml"), *classes_of("72-applications.yml"), *MORE]


@pytest.fixture(scope="module")
def schema(server):
    return ldap.schema.subentry.urlfetch(f"{server.uri()}/")[1]


@pytest.fixture(scope="module")
def branch(server):
    server.add(f"dn: {BRANCH}\nobjectClass: organizationalUnit\nou: classes\n").ok()
    return BRANCH


def sample(schema, name):
    one = schema.get_obj(ldap.schema.AttributeType, name)
    while one.syntax is None:
        one = schema.get_obj(ldap.schema.AttributeType, one.sup[0])
    return VALUES[one.syntax.removeprefix(SYNTAX)]


def needs(schema, name):
    """What an entry of the class must have, and the class it stands on."""
    one = schema.get_obj(ldap.schema.ObjectClass, name)
    structural = name if one.kind == 0 else "device"
    must, _ = schema.attribute_types([structural, name])
    return structural, sorted(a.names[0] for a in must.values() if a.names[0] != "objectClass")


def entry(schema, name, number, without=None):
    """The name and the LDIF of an entry of the class with all that it must have, or all but one."""
    structural, must = needs(schema, name)
    _, may = schema.attribute_types([structural, name])
    naming = must[0] if must else "cn"
    values = {attr: sample(schema, attr) for attr in must}
    if isinstance(values.get(naming), bytes):
        naming = next(attr for attr in must if isinstance(values[attr], str))
    known = values.setdefault(naming, "some value")
    values[naming] = known if naming == "c" or known == "7" else f"{known}{number}"
    dn = f"{naming}={values[naming]},ou=classes,{SUFFIX}"
    values.pop(without, None)
    lines = [line("dn", dn), f"objectClass: {structural}"] + ([f"objectClass: {name}"] if name != structural else [])
    lines += [line(attr, value) for attr, value in values.items()]
    lines += [line(attr, value) for attr, value in (("cn", "named"),) if "cn" not in values and structural == "device"]
    return dn, naming, "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_has_all_that_its_class_must_have(server, branch, schema, name):
    dn, naming, whole = entry(schema, name, NAMES.index(name))
    server.add(whole).ok()
    server.delete(dn).ok()
    for attr in needs(schema, name)[1]:
        if attr != naming:
            dn, _, less = entry(schema, name, 1000, without=attr)
            server.add(less).refused(65, attr)
    server.search(base=BRANCH, scope="one").ok()


def test_the_files_are_all_tried():
    wanted = {"posixAccount", "sudoRole", "groupOfURLs", "qmailUser", "automount"}
    assert len(NAMES) == len(set(NAMES)) and wanted <= set(NAMES)


@pytest.fixture(scope="module")
def machines(server, branch):
    """Three accounts whose numbers sort otherwise as text, and a group of two."""
    for n, number in enumerate(["5", "40", "300"]):
        server.add(f"""\
dn: uid=m{n},{branch}
objectClass: account
objectClass: posixAccount
objectClass: ldapPublicKey
uid: m{n}
cn: Machine {n}
uidNumber: {number}
gidNumber: 40
homeDirectory: /Home/m{n}
sshPublicKey: ssh-ed25519 AAAA{n} m{n}@host
""").ok()
    server.add(f"""\
dn: cn=machines,{branch}
objectClass: namedObject
objectClass: posixGroup
cn: machines
gidNumber: 40
memberUid: m0
memberUid: m1

dn: automountKey=Key,{branch}
objectClass: automount
automountKey: Key
automountInformation: host:/x

dn: cn=rule,{branch}
objectClass: sudoRole
cn: rule
sudoHost: Db-7.valmont.example
sudoUser: m0
sudoNotAfter: 20270101000000.5+0100
sudoOrder: 12

dn: cn=netgroup,{branch}
objectClass: nisNetgroup
cn: netgroup
nisNetgroupTriple: (Host,m0,example)
""").ok()


@pytest.mark.parametrize("filter, names", [
    # Numbers compare as numbers; 040 is not one (RFC 4517 3.3.16).
    ("(uidNumber=40)", {"m1"}), ("(uidNumber=040)", set()), ("(uidNumber=x)", set()),
    ("(uidNumber>=40)", {"m1", "m2"}), ("(uidNumber<=40)", {"m0", "m1"}), ("(&(uidNumber>=6)(uidNumber<=299))", {"m1"}),
    ("(&(uidNumber=*)(!(uidNumber=5)))", {"m1", "m2"}),
    ("(gidNumber=40)", {"m0", "m1", "m2", "machines"}), ("(&(objectClass=posixGroup)(gidNumber=40))", {"machines"}),
    # Logins of members, keys and paths keep their case; uid does not.
    ("(memberUid=m1)", {"machines"}), ("(memberUid=M1)", set()), ("(uid=M1)", {"m1"}),
    ("(homeDirectory=/Home/m1)", {"m1"}), ("(homeDirectory=/home/m1)", set()),
    ("(automountKey=Key)", {"Key"}), ("(automountKey=key)", set()),
    (r"(sshPublicKey=ssh-ed25519 AAAA1 m1@host)", {"m1"}), ("(sshPublicKey=ssh-ed25519 aaaa1 m1@host)", set()),
    ("(sudoHost=Db-*)", {"rule"}), ("(sudoHost=db-*)", set()), ("(sudoHost=*.valmont.*)", {"rule"}),
    (r"(nisNetgroupTriple=\28host,m0,EXAMPLE\29)", {"netgroup"}), (r"(nisNetgroupTriple=*,M0,*)", {"netgroup"}),
    # Times with fractions and offsets.
    ("(sudoNotAfter>=20261231230000Z)", {"rule"}), ("(sudoNotAfter<=20261231230000Z)", set()),
    ("(sudoNotAfter=20261231230000.50Z)", {"rule"}), ("(sudoOrder>=9)", {"rule"}), ("(sudoOrder>=13)", set()),
])
def test_values_compare_by_the_rules_of_the_schema(server, machines, filter, names):
    found = server.search(filter, "1.1", base=BRANCH, scope="one").ok()
    assert found.names == names


@pytest.mark.parametrize("change, code", [
    (["replace: uidNumber", "uidNumber: forty"], 21), (["add: uidNumber", "uidNumber: 41"], 19),
    (["replace: homeDirectory", line("homeDirectory", "/é")], 21), (["delete: gidNumber"], 65),
    (["add: shadowLastChange", "shadowLastChange: 1"], 65), (["add: gecos", line("gecos", "Zoé")], 0),
])
def test_changes_keep_to_the_schema(server, machines, change, code):
    dn = f"uid=m2,{BRANCH}"
    answer = server.modify("\n".join([f"dn: {dn}", "changetype: modify", *change]) + "\n")
    assert answer.code == code, answer
