"""A university with Unix accounts, mail and groups of each kind, for the applications."""

from support import AMARTIN, LBERNARD, PEOPLE, REPO, SUFFIX, Server

GROUPS = f"ou=groups,{SUFFIX}"
READER = f"uid=reader,ou=services,{SUFFIX}"
READER_PASSWORD = "reader-for-tests-2026"
CLERK = f"uid=clerk,{PEOPLE}"
CLERK_PASSWORD = "clerk-for-tests-2026"
PASSWORDS = {"amartin": "demo-amartin-2026", "lbernard": "demo-lbernard-2026", "clerk": CLERK_PASSWORD}

ENTRIES = f"""\
dn: ou=services,{SUFFIX}
objectClass: organizationalUnit
ou: services

dn: {READER}
objectClass: account
objectClass: simpleSecurityObject
uid: reader
description: Reads for the applications
userPassword: {READER_PASSWORD}

dn: {CLERK}
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: shadowAccount
objectClass: postfixUser
uid: clerk
cn: Zoë Clerk
sn: Clerk
mail: clerk@valmont.example
mailacceptinggeneralid: office@valmont.example
mailacceptinggeneralid: desk@valmont.example
maildrop: clerk@box.valmont.example
uidNumber: 20003
gidNumber: 20100
homeDirectory: /home/clerk
loginShell: /bin/dash
gecos: Zoë Clerk,desk 3
shadowLastChange: 19000
shadowMax: 99999
userPassword: {CLERK_PASSWORD}

dn: cn=staff-unix,{GROUPS}
objectClass: groupOfNames
objectClass: posixGroup
cn: staff-unix
gidNumber: 20100
member: {AMARTIN}
member: {CLERK}

dn: cn=students-unix,{GROUPS}
objectClass: namedObject
objectClass: posixGroup
cn: students-unix
gidNumber: 20200
memberUid: lbernard
memberUid: clerk

dn: cn=app-team,{GROUPS}
objectClass: groupOfNames
cn: app-team
member: {AMARTIN}

dn: cn=app-unique,{GROUPS}
objectClass: groupOfUniqueNames
cn: app-unique
uniqueMember: {LBERNARD}

dn: cn=app-outer,{GROUPS}
objectClass: groupOfNames
cn: app-outer
member: cn=app-team,{GROUPS}
member: {CLERK}
"""

CHANGES = f"""\
dn: {AMARTIN}
changetype: modify
add: objectClass
objectClass: posixAccount
objectClass: shadowAccount
objectClass: inetLocalMailRecipient
-
add: uidNumber
uidNumber: 20001
-
add: gidNumber
gidNumber: 20100
-
add: homeDirectory
homeDirectory: /home/amartin
-
add: loginShell
loginShell: /bin/bash
-
add: mailLocalAddress
mailLocalAddress: alice@valmont.example
-
add: mailRoutingAddress
mailRoutingAddress: amartin@imap.valmont.example

dn: {LBERNARD}
changetype: modify
add: objectClass
objectClass: posixAccount
-
add: uidNumber
uidNumber: 20002
-
add: gidNumber
gidNumber: 20200
-
add: homeDirectory
homeDirectory: /home/lbernard
-
add: loginShell
loginShell: /bin/sh
"""


OPEN = f"""

  - name: the reader of the applications sees one branch more
    who: ["dn:{READER}"]
    base: {{base}}
    rights: [search, compare, read]
"""


def start(folder, branch=None):
    """A server with the university. The reader may read one branch more than the shipped access rules say."""
    access = None
    if branch is not None:
        folder.mkdir(exist_ok=True)
        access = folder / "access.yml"
        access.write_text((REPO / "config" / "access.yml").read_text().rstrip() + OPEN.format(base=branch))
    server = Server(folder / "server", access=access).start()
    server.add(ENTRIES).ok()
    server.modify(CHANGES).ok()
    return server
