"""What both servers of the differential run hold: a small directory to search, and one branch for
each case that writes."""

from support import SUFFIX, line

DATA = f"ou=data,{SUFFIX}"
WORK = f"ou=work,{SUFFIX}"
MAZE = f"ou=maze,{SUFFIX}"

# RFC 2307bis, as far as it is used here: slapd comes with the older RFC 2307 only.
SLAPD_SCHEMA = """\
attributetype ( 1.3.6.1.1.1.1.12 NAME 'memberUid' EQUALITY caseExactMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' EQUALITY caseExactIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.4 NAME 'loginShell' EQUALITY caseExactIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
objectclass ( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY
  MUST ( cn $ uid $ uidNumber $ gidNumber $ homeDirectory ) MAY ( userPassword $ loginShell $ description ) )
objectclass ( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top AUXILIARY
  MUST gidNumber MAY ( userPassword $ memberUid $ description ) )
objectclass ( 1.3.6.1.4.1.5322.13.1.1 NAME 'namedObject' SUP top STRUCTURAL MAY cn )
"""

JPEG = bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46, 0, 0xC3, 0x28])


def record(dn, *classes, **values):
    """One entry; an option follows two underscores: cn__lang_fr stands for cn;lang-fr."""
    return dn, [("objectClass", list(classes)), *values.items()]


def ldif(records):
    blocks = []
    for dn, attributes in records:
        lines = [line("dn", dn)]
        for name, values in attributes:
            name = name.replace("__", ";").replace("_", "-")
            lines += [line(name, v) for v in (values if isinstance(values, list) else [values])]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def unit(ou, above):
    return record(f"ou={ou},{above}", "organizationalUnit", ou=ou)


def staff(uid, cn, sn, above=f"ou=staff,{DATA}", classes=(), **more):
    return record(f"uid={uid},{above}", "inetOrgPerson", *classes, uid=uid, cn=cn, sn=sn, **more)


def data():
    """Entries to search. Nobody writes here."""
    records = [record(DATA, "organizationalUnit", ou="data", description="The directory that is searched")]
    records += [unit(ou, DATA) for ou in ("staff", "groups", "odd", "deep")]
    records += [
        staff("alice", "Alice Martin", "Martin", givenName="Alice", mail="alice@example.org", telephoneNumber="+33 1 23 45 67 89",
              employeeNumber="1001", employeeType=["teacher", "Head of Unit"], title="Professor", l="Paris",
              preferredLanguage="fr", manager=f"uid=dora,ou=staff,{DATA}", userPassword="alice-secret"),
        staff("bob", "Bob  van   Dam", "van Dam", mail=["bob@example.org", "Bob.VanDam@Example.ORG"], employeeNumber="1002",
              telephoneNumber="+33-1-23-45-67-90", mobile="+33 6 00 00 00 01", roomNumber="A 12", description="Likes  double   spaces"),
        staff("chloe", ["Chloé Lefèvre", "Chloe Lefevre"], ["Lefèvre", "Lefevre"], cn__lang_fr="Chloé", cn__lang_en="Chloe",
              description__lang_fr="Décrit en français", description="Described in English", employeeNumber="1003", l="Lyon"),
        staff("dora", "Dora Müller", "Müller", classes=["posixAccount"], uidNumber="2001", gidNumber="3001",
              homeDirectory="/home/dora", loginShell="/bin/bash", title="Dr.", employeeNumber="0999", l="Köln"),
        staff("emil", "Emil (Test) * \\ Star", "Star", description=["a*b", "(parens)", "back\\slash", "comma, and + plus"]),
        staff("fritz", "Fritz", "Straße", description="STRASSE", jpegPhoto=JPEG, employeeNumber="12"),
        staff("gina", "Gina", "ΣΊΣΥΦΟΣ", description="日本語テスト", employeeNumber="x-7"),
        staff("hugo", "Hugo", "Oddman", postalAddress="1 rue A$75001 Paris$France", homePostalAddress="2 rue B$13001 Marseille",
              facsimileTelephoneNumber="+33 1 11 11 11 11", businessCategory="Research", departmentNumber=["D1", "D2"]),
        staff("ines", "Ines", "Last", classes=["posixAccount"], uidNumber="2002", gidNumber="3002", homeDirectory="/home/ines",
              labeledURI="https://example.org/~ines Home page", initials="IL", carLicense="AB-123-CD", secretary=f"uid=alice,ou=staff,{DATA}"),
        staff("jan", "Jan", "Number", classes=["posixAccount"], uidNumber="-5", gidNumber="10", homeDirectory="/", pager="1234"),
    ]
    records += [staff(f"extra{n:02}", f"Extra Person {n}", "Extra", employeeNumber=str(n), description=f"Number {n} of twenty",
                      l="Paris" if n % 2 else "Lyon") for n in range(1, 21)]
    groups = f"ou=groups,{DATA}"
    members = [f"uid=alice,ou=staff,{DATA}", f"uid=bob,ou=staff,{DATA}"]
    records += [
        record(f"cn=readers,{groups}", "groupOfNames", cn="readers", member=members, owner=members[0], description="Who reads"),
        record(f"cn=Spaced Member,{groups}", "groupOfNames", cn="Spaced Member", member=f"UID = Alice , OU = Staff , {DATA.upper()}"),
        record(f"cn=unique,{groups}", "groupOfUniqueNames", cn="unique", uniqueMember=members),
        record(f"cn=unix,{groups}", "namedObject", "posixGroup", cn="unix", gidNumber="3001", memberUid=["alice", "Bob"]),
        record(f"cn=dynamic,{groups}", "groupOfURLs", cn="dynamic", memberURL=f"ldap:///{DATA}??sub?(l=Paris)"),
        record(f"cn=role,{groups}", "organizationalRole", cn="role", roleOccupant=members[1]),
    ]
    odd = f"ou=odd,{DATA}"
    records += [
        record(f"cn=Two+sn=Values,{odd}", "person", cn="Two", sn="Values"),
        record(f"cn=with\\, comma,{odd}", "person", cn="with, comma", sn="Escaped"),
        record(f'cn=plus\\+quote\\"semi\\;back\\\\,{odd}', "person", cn='plus+quote"semi;back\\', sn="Escaped"),
        record(f"cn=\\#hash,{odd}", "person", cn="#hash", sn="Escaped"),
        record(f"cn=Élodie,{odd}", "person", cn="Élodie", sn="Accent"),
        record(f"c=FR,{odd}", "country", c="FR"),
        record(f"l=Paris,{odd}", "locality", l="Paris", st="Île-de-France", street="1 rue de la Paix"),
        record(f"dc=sub,{odd}", "domain", dc="sub", o="Sub domain"),
        record(f"o=Org,{odd}", "organization", o="Org", telephoneNumber="12 34", seeAlso=f"cn=Two+sn=Values,{odd}"),
        record(f"cn=device,{odd}", "device", cn="device", serialNumber="SN-1", owner=members[0]),
        record(f"cn=app,{odd}", "applicationProcess", cn="app", ou="Apps"),
        record(f"uid=account,{odd}", "account", uid="account", host=["h1", "h2"]),
        record(f"documentIdentifier=doc1,{odd}", "document", documentIdentifier="doc1", documentTitle="Title", documentVersion="1"),
        record(f"cn=room,{odd}", "room", cn="room", roomNumber="7"),
    ]
    above = f"ou=deep,{DATA}"
    for depth in range(1, 6):
        records.append(unit(f"level{depth}", above))
        above = f"ou=level{depth},{above}"
    records.append(staff("bottom", "Bottom Person", "Bottom", above=above))
    return records


def alias(cn, above, target):
    return record(f"cn={cn},{above}", "alias", "extensibleObject", cn=cn, aliasedObjectName=target)


def referral(ou, above, *uris):
    return record(f"ou={ou},{above}", "referral", "extensibleObject", ou=ou, ref=list(uris))


def maze():
    """Aliases and referrals. Entries of the second kind are added under ManageDsaIT (RFC 3296)."""
    rooms, far = f"ou=rooms,{MAZE}", f"ou=far,{MAZE}"
    return [
        unit("maze", MAZE.split(",", 1)[1]),
        unit("rooms", MAZE),
        staff("mona", "Mona", "Maze", above=rooms),
        staff("nils", "Nils", "Maze", above=rooms),
        unit("inner", rooms),
        staff("otto", "Otto", "Maze", above=f"ou=inner,{rooms}"),
        unit("doors", MAZE),
        alias("to mona", f"ou=doors,{MAZE}", f"uid=mona,{rooms}"),
        alias("to rooms", f"ou=doors,{MAZE}", rooms),
        alias("to data", f"ou=doors,{MAZE}", f"ou=groups,{DATA}"),
        alias("to an alias", f"ou=doors,{MAZE}", f"cn=to mona,ou=doors,{MAZE}"),
        alias("to nothing", f"ou=doors,{MAZE}", f"uid=nobody,{rooms}"),
        alias("to itself", f"ou=doors,{MAZE}", f"cn=to itself,ou=doors,{MAZE}"),
        unit("more doors", MAZE),
        alias("to mona", f"ou=more doors,{MAZE}", f"uid=mona,{rooms}"),
        alias("to inner", f"ou=more doors,{MAZE}", f"ou=inner,{rooms}"),
        unit("far", MAZE),
        referral("one", far, "ldap://one.example.org/ou=there,dc=one"),
        referral("two", far, "ldap://two.example.org/", "ldaps://three.example.org/dc=three"),
        referral("four", far, "ldap://four.example.org/dc=four??sub"),
        staff("pia", "Pia", "Near", above=far),
    ]


def work(names):
    """One branch for each case that writes: what it changes stays its own."""
    records = [unit("work", SUFFIX)]
    for name in names:
        here = f"ou={name},{WORK}"
        records += [
            unit(name, WORK),
            record(f"uid=one,{here}", "inetOrgPerson", uid="one", cn=["One", "Uno"], sn="First", description=["red", "Blue"],
                   mail="one@example.org", employeeNumber="7", telephoneNumber="+1 2 3",
                   manager=f"uid=two,{here}"),
            record(f"uid=two,{here}", "inetOrgPerson", uid="two", cn="Two", sn="Second"),
            record(f"cn=group,{here}", "groupOfNames", cn="group", member=f"uid=one,{here}"),
            record(f"cn=unix,{here}", "namedObject", "posixGroup", cn="unix", gidNumber="1000", memberUid="one"),
            unit("sub", here),
            record(f"uid=three,ou=sub,{here}", "inetOrgPerson", uid="three", cn="Three", sn="Third"),
        ]
    return records
