"""The searches, compares and binds of the differential run. None of them changes anything."""

from ldap.controls import AssertionControl, LDAPControl, MatchedValuesControl, ProxyAuthzControl, SimplePagedResultsControl
from ldap.controls.sss import SSSRequestControl

from differential_content import DATA, MAZE
from support import ADMIN, ADMIN_PASSWORD, SUFFIX

STAFF, GROUPS, ODD, DEEP = (f"ou={ou},{DATA}" for ou in ("staff", "groups", "odd", "deep"))
ALICE, BOB = f"uid=alice,{STAFF}", f"uid=bob,{STAFF}"

MANAGE_DSA_IT = "2.16.840.1.113730.3.4.2"

# Each is asked for below ou=data, for the names alone.
FILTERS = """
(objectClass=*) (objectClass=person) (objectclass=INETORGPERSON) (objectClass=2.5.6.6) (objectClass=top)
(objectClass=noSuchClass) (!(objectClass=noSuchClass)) (!(objectClass=person)) (structuralObjectClass=inetOrgPerson) (objectClass=pers*)
(uid=alice) (UID=ALICE) (userid=alice) (0.9.2342.19200300.100.1.1=alice) (uid=\\61lice) (uid= alice ) (uid=al ice)
(cn=bob van dam) (cn=Bob  van   Dam) (cn=Bob   van Dam  ) (cn=bobvandam) (commonName=alice martin) (2.5.4.3=Alice Martin)
(cn=CHLOÉ LEFÈVRE) (cn=Chloe\\cc\\81 Lefe\\cc\\80vre) (cn=chloe lefevre) (sn=müller) (sn=MÜLLER) (sn=mu\\cc\\88ller) (sn=muller)
(sn=straße) (sn=strasse) (sn=STRASSE) (description=straße) (sn=σίσυφος) (sn=ΣΊΣΥΦΟΣ) (sn=σίσυφοσ) (description=日本語テスト)
(description=*本語*) (cn=emil \\28test\\29 \\2a \\5c star) (description=a\\2ab) (description=a*b) (description=\\28parens\\29)
(description=back\\5cslash) (description=comma, and + plus) (description=likes double spaces) (description=likes  double spaces)
(description=likes*double*spaces) (description=likes double*) (description=*  spaces) (description=*double  spaces) (description=likes*spaces)
(description=* *) (description=*e  s*) (description=likes *) (description=* spaces) (description=*  *) (description=*)
(sn=martin\\ff) (cn=\\ff\\fe) (cn=*\\ff*) (jpegPhoto=\\ff\\d8\\ff\\e0\\00\\10JFIF\\00\\c3\\28) (jpegPhoto=*) (jpegPhoto=\\ff) (jpegPhoto=\\ff*)
(description;lang-fr=décrit en français) (description;lang-en=*) (description=décrit en français) (description;LANG-FR=*) (cn;lang-fr=*)
(cn;lang-fr;lang-en=*) (cn;lang-en;lang-fr=chloe) (cn;x-none=*) (cn;binary=*) 
(name=alice martin) (name=paris) (name=*martin*) (name=*) (name;lang-fr=chloé) (2.5.4.41=Martin) (distinguishedName=*) (sup=*)
(l=paris) (l=köln) (l=Ko\\cc\\88ln) (l=P*s) (l=*) (!(l=*)) (&(l=paris)(uid=extra*)) (l~=paris) (cn~=alice martin) (cn~=alise marten)
(mail=alice@example.org) (mail=ALICE@EXAMPLE.ORG) (mail=bob.vandam@example.org) (mail=*@example.org) (mail=*@EXAMPLE.org) (mail=bob*org)
(mail=é@example.org) (mail=) (cn=) (mail~=alice@example.org)
(telephoneNumber=+33123456789) (telephoneNumber=+33 1 23-45-67-89) (telephoneNumber=+33 1 23 45 67 90) (telephoneNumber=*6789)
(telephoneNumber=+33*45*89) (telephoneNumber=+33 1*67 89) (telephoneNumber=*2345*) (telephoneNumber=abc) (pager=12-34) (telephoneNumber=1234)
(uidNumber=2001) (uidNumber=02001) (uidNumber=+2001) (uidNumber=2001.0) (uidNumber=-5) (uidNumber=-05) (uidNumber=abc) (uidNumber=)
(uidNumber>=2001) (uidNumber<=2001) (uidNumber>=-10) (uidNumber<=-5) (uidNumber>=2002) (uidNumber>=9999999999999999999999) (uidNumber<=9999999999999999999999)
(uidNumber>=abc) (!(uidNumber>=abc)) (uidNumber=20*) (gidNumber=3001) (gidNumber>=3001) (!(gidNumber>=3001)) (gidNumber~=3001)
(employeeNumber>=1002) (employeeNumber<=1002) (cn>=m) (cn<=b) (sn>=straße) (description>=z) (!(cn>=m)) (mail>=a) (uid>=a) (postalAddress>=a)
(createTimestamp>=20000101000000Z) (createTimestamp<=20000101000000Z) (!(createTimestamp>=20000101000000Z)) (createTimestamp=*)
(modifyTimestamp>=yesterday) (createTimestamp>=200001010000Z) (createTimestamp>=20000101000000.5Z) (createTimestamp>=20000101000000+0100) (createTimestamp=20*)
(entryDN=uid=alice,ou=staff,ou=data,dc=example,dc=org) (entryDN=UID=Alice, ou=staff, ou=data, dc=example, dc=org) (entryDN=*) (entryUUID=*) (entryUUID=xyz) (!(entryUUID=xyz)) (entryUUID=00000000-0000-0000-0000-000000000000) (creatorsName=cn=admin,dc=example,dc=org) (hasSubordinates=TRUE)
(hasSubordinates=FALSE) (hasSubordinates=true) (hasSubordinates=maybe) (!(hasSubordinates=TRUE)) (subschemaSubentry=cn=subschema) (subschemaSubentry=*)
(noSuchAttribute=x) (!(noSuchAttribute=x)) (noSuchAttribute=*) (!(noSuchAttribute=*)) (|(noSuchAttribute=x)(uid=alice)) (&(noSuchAttribute=x)(uid=alice))
(!(&(noSuchAttribute=x)(uid=alice))) (!(|(noSuchAttribute=x)(uid=alice))) (|(!(noSuchAttribute=x))(uid=bob)) (&(!(noSuchAttribute=x))(uid=bob))
(!(!(noSuchAttribute=x))) (!(!(uid=alice))) (noSuchAttribute>=1) (noSuchAttribute=a*b) (noSuchAttribute:=x) (1.2.3.4.5=x) (!(1.2.3.4.5=*)) (9.9.9=x)
(&) (|) (!(&)) (!(|)) (&(&)(uid=alice)) (|(|)(uid=alice)) (&(|)(uid=alice)) (|(&)(noSuchAttribute=x)) (!(&(|)(noSuchAttribute=x))) (&(&(&(&(uid=alice)))))
(&(objectClass=person)(|(uid=alice)(uid=bob))(!(uid=bob))) (|(&(uid=alice)(l=paris))(&(uid=bob)(l=lyon))) (!(|(objectClass=person)(objectClass=organizationalUnit)))
(&(uid=alice)(uid=alice)) (&(uid=alice)(uid=bob)) (|(uid=alice)(uid=alice)) (&(objectClass=inetOrgPerson)(!(mail=*))(!(l=*)))
(manager=uid=dora,ou=staff,ou=data,dc=example,dc=org) (manager=UID=Dora, OU=Staff, ou=data, dc=example, dc=ORG) (manager=userid=dora,ou=staff,ou=data,dc=example,dc=org)
(manager=uid=none) (manager=not a name) (!(manager=not a name)) (manager=*) (manager=uid=*) (seeAlso=sn=values+cn=TWO,ou=odd,ou=data,dc=example,dc=org)
(member=uid=alice,ou=staff,ou=data,dc=example,dc=org) (uniqueMember=uid=alice,ou=staff,ou=data,dc=example,dc=org) (memberUid=bob) (memberUid=Bob) (memberUid=b*) (memberUid=B*)
(postalAddress=1 rue a$75001 paris$france) (postalAddress=1 RUE A$75001  PARIS$FRANCE) (postalAddress=*paris*) (postalAddress=1 rue*) (homePostalAddress=*rue B*)
(serialNumber=sn-1) (c=fr) (c=FR) (c=france) (dc=SUB) (dc=sub*) (o=org) (host=H1) (documentIdentifier=DOC1) (preferredLanguage=FR) (initials=il) (carLicense=ab-123-*)
(loginShell=/bin/bash) (loginShell=/BIN/BASH) (homeDirectory=/home/*) (homeDirectory=/HOME/*) (labeledURI=https://example.org/~ines Home page) (labeledURI=https://EXAMPLE.org/*)
(userPassword=*) (userPassword=wrong) (memberURL=*) (memberURL=ldap:///*) (title=dr.) (title=*r*) (title=p*o*r) (title=*p*) (title=*f*f*) (title=pro*fessor) (title=prof*ssor*)
(employeeType=head of unit) (employeeType=head*unit) (employeeType=*of*) (employeeType=*head*) (employeeType=h*d*f*u*t)
(cn:=alice martin) (cn:=ALICE MARTIN) (cn:caseExactMatch:=Alice Martin) (cn:caseExactMatch:=alice martin) (cn:2.5.13.5:=Alice Martin) (cn:2.5.13.2:=alice MARTIN)
(:caseExactMatch:=Martin) (:caseIgnoreMatch:=martin) (:2.5.13.2:=martin) (:dn:caseIgnoreMatch:=staff) (:dn:2.5.13.2:=groups) (ou:dn:=staff) (ou:dn:=STAFF) (ou:=staff)
(ou:dn:caseExactMatch:=staff) (ou:dn:caseExactMatch:=STAFF) (dc:dn:=example) (cn:dn:=two) (sn:dn:=values) (&(ou:dn:=staff)(uid=al*)) (!(ou:dn:=staff)) (ou:dn:noSuchRule:=x)
(cn:noSuchRule:=x) (!(cn:noSuchRule:=x)) (:noSuchRule:=x) (noSuchAttribute:caseExactMatch:=x) (name:=paris) (name:dn:=staff) (uidNumber:integerMatch:=2001)
(uidNumber:caseIgnoreMatch:=2001) (cn:integerMatch:=1) (uidNumber:2.5.13.14:=2001) (uidNumber:integerOrderingMatch:=2002) (mail:caseExactIA5Match:=alice@example.org)
(mail:caseExactIA5Match:=Alice@example.org) (manager:distinguishedNameMatch:=uid=DORA,ou=staff,ou=data,dc=example,dc=org) (cn:caseIgnoreOrderingMatch:=m)
(uidNumber:1.2.840.113556.1.4.803:=1) (uidNumber:1.2.840.113556.1.4.803:=2000) (uidNumber:1.2.840.113556.1.4.804:=4) (gidNumber:1.2.840.113556.1.4.804:=1)
(objectClass:=person) (objectClass:dn:=person) (objectClass:objectIdentifierMatch:=2.5.6.6) (objectClass:caseIgnoreMatch:=person)
"""

# Filters with blanks inside stand on lines with others: a filter ends where its brackets close.
def _split(text):
    found, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char == "(":
            start = at if depth == 0 else start
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                found.append(text[start : at + 1])
    return found


NAMES_ONLY = ["1.1"]
OPERATIONAL = ["creatorsName", "modifiersName", "structuralObjectClass", "entryDN", "subschemaSubentry", "hasSubordinates"]

# Name, base, scope, filter, attributes, and what else is special.
SEARCHES = [(f"filter {text}", DATA, "sub", text, NAMES_ONLY, {}) for text in _split(FILTERS)]


def search(name, base=DATA, scope="sub", filter="(objectClass=*)", attrs=NAMES_ONLY, **more):
    SEARCHES.append((name, base, scope, filter, attrs, more))


for _scope in ("base", "one", "sub", "children"):
    search(f"scope {_scope} of the branch", DATA, _scope)
    search(f"scope {_scope} of a leaf", ALICE, _scope)
    search(f"scope {_scope} five deep", DEEP, _scope)
    search(f"scope {_scope} with a filter", DATA, _scope, "(ou=*)")
    search(f"scope {_scope} of nothing", f"cn=none,{DATA}", _scope)

for _what, _base in {
    "two missing levels": f"cn=a,cn=b,{STAFF}",
    "missing below a leaf": f"cn=a,{ALICE}",
    "missing top": "dc=nowhere",
    "missing beside the suffix": "dc=other,dc=org",
    "above the suffix": "dc=org",
    "in capitals": DATA.upper(),
    "with blanks": f"uid = alice , ou = staff,{DATA}",
    "with another name of the type": f"userid=alice,organizationalUnitName=staff,{DATA}",
    "with numbers for types": f"0.9.2342.19200300.100.1.1=alice,2.5.4.11=staff,{DATA}",
    "with escapes": f"uid=\\61lice,ou=\\73taff,{DATA}",
    "with a hex string": f"uid=#0405616c696365,{STAFF}",
    "with two values in order": f"cn=two+sn=values,{ODD}",
    "with two values the other way": f"SN=Values+CN=Two,{ODD}",
    "with one of two values": f"cn=two,{ODD}",
    "with a comma": f"cn=with\\2c comma,{ODD}",
    "with specials": f'cn=plus\\2bquote\\22semi\\3bback\\5c,{ODD}',
    "with a hash": f"cn=\\23hash,{ODD}",
    "with an accent": f"cn=élodie,{ODD}",
    "with a combined accent": f"cn=e\u0301lodie,{ODD}",
    "quoted as in LDAPv2": f'uid="alice",{STAFF}',
    "with semicolons as in LDAPv2": f"uid=alice;ou=staff;{DATA}",
    "with an unknown type": f"noSuchAttribute=x,{DATA}",
    "with an unknown type among known": f"uid=alice,noSuchAttribute=x,{DATA}",
    "no name": "nonsense",
    "empty part": f"uid=alice,,{STAFF}",
    "trailing comma": f"{STAFF},",
    "no value": f"uid=,{STAFF}",
    "bad escape": f"uid=\\zz,{STAFF}",
    "bad hex string": f"uid=#zz,{STAFF}",
    "plain plus": f"cn=two+,{ODD}",
    "type with a blank": f"ui d=alice,{STAFF}",
    "tabs around": f"uid=\talice\t,{STAFF}",
}.items():
    search(f"base {_what}", _base, "base")
search("root base", "", "base", attrs=["supportedLDAPVersion"])
search("root base with a filter that is not so", "", "base", "(objectClass=person)")
search("root children", "", "one")

for _what, _attrs in {
    "all": ["*"],
    "default": None,
    "listed": ["cn", "SN", "mail"],
    "none": ["1.1"],
    "none and one": ["1.1", "cn"],
    "unknown": ["noSuchAttribute"],
    "unknown and known": ["noSuchAttribute", "uid"],
    "supertype": ["name"],
    "by number": ["2.5.4.3"],
    "by other name": ["commonName", "surname"],
    "twice": ["cn", "CN", "commonName"],
    "operational": OPERATIONAL,
    "all and operational": ["*", "structuralObjectClass"],
    "class": ["@person"],
    "class with superclasses": ["@inetOrgPerson"],
    "unknown class": ["@noSuchClass"],
    "class and attribute": ["@posixAccount", "title"],
    "abstract class": ["@top"],
    "option": ["cn;lang-fr"],
    "two options": ["cn;lang-fr", "cn;lang-en"],
    "option in capitals": ["CN;LANG-FR"],
    "unknown option": ["cn;x-none"],
    "binary option": ["jpegPhoto;binary"],
    "plain where options are": ["description"],
    "distinct types": ["telephoneNumber", "manager", "uidNumber", "jpegPhoto", "postalAddress"],
    "empty string": [""],
    "nonsense": ["c n", "?"],
    "objectClass": ["objectclass"],
}.items():
    for _entry in ("alice", "chloe", "dora"):
        search(f"attributes {_what} of {_entry}", f"uid={_entry},{STAFF}", "base", attrs=_attrs)
for _group in ("readers", "Spaced Member", "unique", "unix", "dynamic", "role"):
    search(f"group {_group}", f"cn={_group},{GROUPS}", "base", attrs=["*"])
search("everything odd", ODD, "sub", attrs=["*"])
search("types only", ALICE, "base", attrs=["*"], typesonly=1)
search("types only of some", STAFF, "one", "(uid=extra*)", attrs=["cn", "description", "entryDN"], typesonly=1)
search("password is asked for", ALICE, "base", attrs=["userPassword"])
for _limit in (1, 3, 19, 20, 21):
    search(f"size limit {_limit}", STAFF, "one", "(uid=extra*)", sizelimit=_limit)
search("size limit on nothing", STAFF, "one", "(uid=none)", sizelimit=1)
search("size limit of the base", STAFF, "base", sizelimit=1)
search("negative size limit", STAFF, "one", "(uid=extra*)", sizelimit=-1)
search("time limit", STAFF, "one", "(uid=extra*)", timelimit=30)
search("unknown scope", STAFF, 7)
search("unknown critical control", STAFF, "base", controls=[LDAPControl("1.2.3.4.5.6", True)])
search("unknown control", STAFF, "base", controls=[LDAPControl("1.2.3.4.5.6", False)])
search("the same control twice", STAFF, "base", controls=[LDAPControl(MANAGE_DSA_IT, True), LDAPControl(MANAGE_DSA_IT, True)])
search("a control of another operation", STAFF, "base", controls=[LDAPControl("1.3.6.1.1.13.1", True, b"\x30\x00")])

# Aliases, by what is to be followed: 0 nothing, 1 below the base, 2 to the base, 3 both.
for _deref in range(4):
    search(f"aliases {_deref} of all", MAZE, filter="(!(objectClass=referral))", deref=_deref, controls=[LDAPControl(MANAGE_DSA_IT, True)])
    for _base in ("doors", "more doors", "rooms"):
        for _scope in ("base", "one", "sub"):
            search(f"aliases {_deref} {_scope} {_base}", f"ou={_base},{MAZE}", _scope, deref=_deref)
    for _door in ("to mona", "to rooms", "to data", "to an alias", "to nothing", "to itself"):
        for _scope in ("base", "sub"):
            search(f"aliases {_deref} {_scope} from {_door}", f"cn={_door},ou=doors,{MAZE}", _scope, deref=_deref)
    search(f"aliases {_deref} through a door", f"uid=nils,cn=to rooms,ou=doors,{MAZE}", "base", deref=_deref)
search("aliases as entries", f"ou=doors,{MAZE}", filter="(aliasedObjectName=*)", attrs=["*"])

FAR = f"ou=far,{MAZE}"
for _scope in ("base", "one", "sub", "children"):
    for _how, _controls in {"": [], ", managed": [LDAPControl(MANAGE_DSA_IT, True)]}.items():
        search(f"referrals {_scope} above{_how}", FAR, _scope, controls=_controls)
        search(f"referrals {_scope} at{_how}", f"ou=one,{FAR}", _scope, controls=_controls)
        search(f"referrals {_scope} at two{_how}", f"ou=two,{FAR}", _scope, controls=_controls)
        search(f"referrals {_scope} at a search{_how}", f"ou=four,{FAR}", _scope, controls=_controls)
        search(f"referrals {_scope} below{_how}", f"uid=x,ou=y,ou=one,{FAR}", _scope, controls=_controls)
search("referrals under a filter", FAR, "sub", "(uid=none)")
search("referrals as entries", FAR, "sub", "(objectClass=referral)", ["*"], controls=[LDAPControl(MANAGE_DSA_IT, True)])

# In order.
_RULE = ":caseIgnoreOrderingMatch"
for _keys in ([f"employeeNumber{_RULE}"], [f"-employeeNumber{_RULE}"], [f"uid{_RULE}"], [f"-uid{_RULE}"], [f"l{_RULE}", f"-uid{_RULE}"],
              [f"-l{_RULE}", f"uid{_RULE}"], ["uidNumber", f"uid{_RULE}"], ["-uidNumber", f"uid{_RULE}"], ["cn:caseExactOrderingMatch"],
              ["employeeNumber"], ["-uid"], ["noSuchAttribute"], ["uid:noSuchRule"], ["jpegPhoto"]):
    for _critical in (True, False):
        search(f"sorted by {_keys}, {'' if _critical else 'not '}critical", STAFF, "one", "(&(uid=*)(employeeNumber=*))",
               controls=[SSSRequestControl(_critical, _keys)], ordered=True)
for _size in (1, 7, 100):
    search(f"paged by {_size}", STAFF, "one", controls=[SimplePagedResultsControl(True, _size, "")], counted=True)
search("paged with a cookie of nowhere", STAFF, "one", controls=[SimplePagedResultsControl(True, 5, "nonsense")])
for _wanted in ("((description=a\\2ab))", "((cn=*)(sn=none))", "((noSuchAttribute=x))"):
    search(f"matched values {_wanted}", f"uid=emil,{STAFF}", "base", attrs=["*"], controls=[MatchedValuesControl(True, _wanted)])
for _filter in ("(cn=Alice Martin)", "(cn=other)", "(noSuchAttribute=x)", "(objectClass=*)"):
    search(f"asserted {_filter}", ALICE, "base", controls=[AssertionControl(True, _filter)])
for _who in (f"dn:{ADMIN}", "dn:nonsense"):
    search(f"proxied by {_who}", ALICE, "base", controls=[ProxyAuthzControl(True, _who.encode())])

COMPARES = {
    "true": (ALICE, "sn", b"martin"),
    "false": (ALICE, "sn", b"other"),
    "no such attribute": (ALICE, "pager", b"1"),
    "unknown attribute": (ALICE, "noSuchAttribute", b"1"),
    "no such entry": (f"uid=none,{STAFF}", "sn", b"x"),
    "bad name": ("nonsense", "sn", b"x"),
    "supertype": (ALICE, "name", b"martin"),
    "by number": (ALICE, "2.5.4.4", b"MARTIN"),
    "with blanks": (BOB, "cn", b"bob van dam"),
    "option": (f"uid=chloe,{STAFF}", "cn;lang-fr", "chloé".encode()),
    "other option": (f"uid=chloe,{STAFF}", "cn;lang-de", b"x"),
    "plain where options are": (f"uid=chloe,{STAFF}", "description", "décrit en français".encode()),
    "name": (ALICE, "manager", f"UID=Dora,{STAFF}".encode()),
    "invalid name as value": (ALICE, "manager", b"nonsense"),
    "number": (f"uid=dora,{STAFF}", "uidNumber", b"2001"),
    "number with zeros": (f"uid=dora,{STAFF}", "uidNumber", b"02001"),
    "invalid number": (f"uid=dora,{STAFF}", "uidNumber", b"x"),
    "not UTF-8": (ALICE, "sn", b"\xff"),
    "empty value": (ALICE, "sn", b""),
    "no equality rule": (f"uid=fritz,{STAFF}", "jpegPhoto", b"x"),
    "object class": (ALICE, "objectClass", b"person"),
    "superclass not written down": (ALICE, "objectClass", b"top"),
    "object class by number": (ALICE, "objectClass", b"2.5.6.6"),
    "unknown object class": (ALICE, "objectClass", b"noSuchClass"),
    "operational": (ALICE, "structuralObjectClass", b"inetorgperson"),
    "has subordinates": (STAFF, "hasSubordinates", b"TRUE"),
    "entry name": (ALICE, "entryDN", ALICE.encode()),
    "bad attribute": (ALICE, "s n", b"x"),
    "root DSE": ("", "supportedLDAPVersion", b"3"),
    "root DSE false": ("", "supportedLDAPVersion", b"2"),
}

BINDS = {
    "right": (ADMIN, ADMIN_PASSWORD),
    "anonymous": ("", ""),
    "wrong password": (ADMIN, "wrong"),
    "entry": (ALICE, "alice-secret"),
    "entry in capitals": (ALICE.upper(), "alice-secret"),
    "entry, wrong password": (ALICE, "ALICE-SECRET"),
    "entry without password": (BOB, "x"),
    "no such entry": (f"uid=none,{STAFF}", "x"),
    "outside": ("dc=nowhere", "x"),
    "no name": ("nonsense", "x"),
    "no password": (ALICE, ""),
    "no name but a password": ("", "x"),
    "password too long": (ALICE, "x" * 300),
    "base": (SUFFIX, "x"),
}
