"""The writes of the differential run. Each case has a branch of its own, filled by
differential_content.work: uid=one, uid=two, cn=group, cn=unix, ou=sub and uid=three below it."""

from ldap import MOD_ADD, MOD_DELETE, MOD_INCREMENT, MOD_REPLACE

from ldap.controls import AssertionControl, LDAPControl, ProxyAuthzControl
from ldap.controls.readentry import PostReadControl, PreReadControl

from differential_content import JPEG
from support import ADMIN

# A case: a list of steps on names relative to the branch, which HERE stands for in values.
WRITES = {}
HERE = "{here}"
PERSON = [("objectClass", ["inetOrgPerson"]), ("uid", ["new"]), ("cn", ["New"]), ("sn", ["Person"])]


def case(name, *steps):
    assert name not in WRITES, name
    WRITES[name] = steps


def add(name, attributes, rdn="uid=new"):
    case(f"add {name}", ("add", rdn, attributes))


def person(**more):
    """A person, with other or more values; an empty list leaves an attribute out."""
    values = dict(PERSON) | {k.replace("_", "-"): v for k, v in more.items()}
    return [(k, v) for k, v in values.items() if v]


def modify(name, *changes, rdn="uid=one"):
    case(f"modify {name}", ("modify", rdn, list(changes)))


def rename(name, rdn, new, delete_old=True, above=None):
    case(f"rename {name}", ("rename", rdn, new, above, delete_old))


add("a person", PERSON)
add("with all superclasses", person(objectClass=["top", "person", "organizationalPerson", "inetOrgPerson"]))
add("class in capitals", person(objectClass=["INETORGPERSON"]))
add("class by number", person(objectClass=["2.16.840.1.113730.3.2.2"]))
add("without sn", person(sn=[]))
add("without cn and sn", person(cn=[], sn=[]))
add("without object class", person(objectClass=[]))
add("unknown class", person(objectClass=["inetOrgPerson", "noSuchClass"]))
add("only an unknown class", person(objectClass=["noSuchClass"]))
add("only top", person(objectClass=["top"]))
add("only an abstract class", [("objectClass", ["top"]), ("cn", ["new"])], "cn=new")
add("only an auxiliary class", [("objectClass", ["posixGroup"]), ("cn", ["new"]), ("gidNumber", ["1"])], "cn=new")
add("two structural classes", person(objectClass=["inetOrgPerson", "organizationalUnit"], ou=["x"]))
add("two structural classes of one chain", person(objectClass=["person", "inetOrgPerson"]))
add("class twice", person(objectClass=["inetOrgPerson", "inetorgperson"]))
add("class by name and number", person(objectClass=["inetOrgPerson", "2.16.840.1.113730.3.2.2"]))
add("class that is not a name", person(objectClass=["inet org person"]))
add("alias class alone", [("objectClass", ["alias"]), ("cn", ["new"])], "cn=new")
add("unknown attribute", person(noSuchAttribute=["x"]))
add("attribute not allowed", person(member=[HERE]))
add("attribute of an absent auxiliary class", person(loginShell=["/bin/sh"]))
add("attribute by number", person() + [("2.5.4.12", [b"Title"])])
add("attribute by two names", person(surname=["Other"]))
add("same attribute twice", person() + [("title", ["a"]), ("title", ["b"])])
add("same attribute and value twice", person() + [("title", ["a"]), ("title", ["A"])])
add("value twice", person(title=["same", "Same"]))
add("value twice but for blanks", person(title=["a b", "a  b"]))
add("value twice by matching rule", person(telephoneNumber=["+1 23", "+1-23"]))
add("single-valued twice", person(employeeNumber=["1", "2"]))
add("single-valued with two options", person() + [("displayName;lang-fr", ["a"]), ("displayName;lang-en", ["b"])])
add("empty value", person(title=[""]))
add("blank value", person(title=[" "]))
add("attribute without values", person() + [("title", [])])
add("not UTF-8", person(title=[b"\xff\xfe"]))
add("not IA5", person(mail=["é@example.org"]))
add("not a number", person(objectClass=["inetOrgPerson", "posixAccount"], uidNumber=["x"], gidNumber=["1"], homeDirectory=["/"]))
add("number with zeros", person(objectClass=["inetOrgPerson", "posixAccount"], uidNumber=["007"], gidNumber=["1"], homeDirectory=["/"]))
add("negative number", person(objectClass=["inetOrgPerson", "posixAccount"], uidNumber=["-1"], gidNumber=["-0"], homeDirectory=["/"]))
add("not a name", person(manager=["nonsense"]))
add("name with odd writing", person(manager=["UID = two , OU=Sub,dc=Example,DC=org"]))
add("manager with an unknown type", person(manager=["noSuchAttribute=x,dc=org"]))
add("not a telephone number", person(telephoneNumber=["call me?!"]))
add("empty telephone number", person(telephoneNumber=[" "]))
add("picture", person(jpegPhoto=[JPEG]))
add("not a picture", person(jpegPhoto=[b"plain"]))
add("postal address", person(postalAddress=["a$b\\24c$"]))
add("preferred language", person(preferredLanguage=["fr, en;q=0.5"]))
add("long description", person(description=["x" * 2000]))
add("long country", [("objectClass", ["country"]), ("c", ["FRA"])], "c=FRA")
add("country in small letters", [("objectClass", ["country"]), ("c", ["fr"])], "c=fr")
add("language option", person() + [("cn;lang-fr", ["Nouveau"]), ("cn;LANG-EN", ["New one"])])
add("binary option on text", person() + [("cn;binary", [b"x"])])
add("unknown option", person() + [("cn;x-private", ["x"])])
add("option on the object class", person() + [("objectClass;lang-fr", ["person"])])
add("bad attribute name", person() + [("c n", ["x"])])
add("bad option", person() + [("cn;", ["x"])])
add("without the value of the name", person(uid=[]))
add("another value than that of the name", person(uid=["other"]))
add("value of the name in other case", person(uid=["NEW"]))
add("name of two values", person(), "uid=new+cn=New")
add("name of two values, one absent", person(cn=["Other"]), "uid=new+cn=New")
add("name with the same type twice", person(uid=["a", "b"]), "uid=a+uid=b")
add("name with the same value twice", person(uid=["a"]), "uid=a+uid=a")
add("name with an unknown type", person(), "noSuchAttribute=new")
add("name with a type not allowed", person(), "member=new")
add("name with a value of wrong syntax", [("objectClass", ["namedObject", "posixGroup"]), ("gidNumber", ["1"])], "gidNumber=x")
add("name by number", person(), "0.9.2342.19200300.100.1.1=new")
add("name with an option", person(), "uid;lang-fr=new")
add("name of an operational type", person(), "entryUUID=7b2e2bcd-5d1c-4a7a-b6c9-51d5a5d5a5d5")
add("existing", PERSON, "uid=one")
add("existing in other case", PERSON, "UID=ONE")
add("existing by another value", person(uid=["one"], cn=["Uno"]), "cn=Uno")
add("below a leaf", PERSON, "uid=new,uid=one")
add("below nothing", PERSON, "uid=new,ou=none,ou=sub")
add("bad name", PERSON, "nonsense")
add("empty name", PERSON, "uid=")
add("special characters in the name", person(uid=["a,b+c\"d\\e<f>g;h=i #"]), 'uid=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i \\#')
add("leading blank in the name", person(uid=[" new "]), "uid=\\ new\\ ")
add("blanks in the name", person(uid=["a   b"]), "uid=a b")
add("accent in the name", person(uid=["é"]), "uid=e\u0301")
add("group without member", [("objectClass", ["groupOfNames"]), ("cn", ["new"])], "cn=new")
add("group with an absent member", [("objectClass", ["groupOfNames"]), ("cn", ["new"]), ("member", ["uid=none," + HERE])], "cn=new")
add("group with an empty member", [("objectClass", ["groupOfNames"]), ("cn", ["new"]), ("member", [""])], "cn=new")
add("group with a member twice", [("objectClass", ["groupOfNames"]), ("cn", ["new"]), ("member", ["uid=one," + HERE, "UID=ONE," + HERE])], "cn=new")
add("unique group with an identifier", [("objectClass", ["groupOfUniqueNames"]), ("cn", ["new"]), ("uniqueMember", ["uid=one," + HERE + "#'0101'B"])], "cn=new")
add("entryUUID given", person(entryUUID=["7b2e2bcd-5d1c-4a7a-b6c9-51d5a5d5a5d5"]))
add("createTimestamp given", person(createTimestamp=["20200101000000Z"]))
add("creatorsName given", person(creatorsName=["cn=me"]))
add("structuralObjectClass given", person(structuralObjectClass=["inetOrgPerson"]))
add("hasSubordinates given", person(hasSubordinates=["TRUE"]))
add("extensibleObject", person(objectClass=["inetOrgPerson", "extensibleObject"], member=[HERE], serialNumber=["1"]))
add("outside of the suffix", PERSON, "uid=new,dc=nowhere|")
add("the root", PERSON, "|")
add("beside the suffix", PERSON, "dc=org|")

modify("add a value", (MOD_ADD, "title", ["Dr."]))
modify("add values", (MOD_ADD, "title", ["Dr.", "Prof."]))
modify("add existing", (MOD_ADD, "description", ["RED"]))
modify("add one existing of two", (MOD_ADD, "description", ["green", "red"]))
modify("add twice the same", (MOD_ADD, "title", ["x", "X"]))
modify("add twice the same in two changes", (MOD_ADD, "title", ["x"]), (MOD_ADD, "title", ["X"]))
modify("add nothing", (MOD_ADD, "title", None))
modify("add to single-valued", (MOD_ADD, "employeeNumber", ["8"]))
modify("add single-valued twice", (MOD_ADD, "displayName", ["a", "b"]))
modify("add then delete", (MOD_ADD, "employeeNumber", ["8"]), (MOD_DELETE, "employeeNumber", ["7"]))
modify("delete then add", (MOD_DELETE, "employeeNumber", ["7"]), (MOD_ADD, "employeeNumber", ["8"]))
modify("delete a value", (MOD_DELETE, "description", ["RED"]))
modify("delete all values", (MOD_DELETE, "description", ["red", "blue"]))
modify("delete a value twice", (MOD_DELETE, "description", ["red", "RED"]))
modify("delete the attribute", (MOD_DELETE, "description", None))
modify("delete absent value", (MOD_DELETE, "description", ["green"]))
modify("delete absent attribute", (MOD_DELETE, "title", None))
modify("delete absent attribute by value", (MOD_DELETE, "title", ["x"]))
modify("delete unknown attribute", (MOD_DELETE, "noSuchAttribute", None))
modify("delete by other name", (MOD_DELETE, "2.5.4.13", ["red"]))
modify("delete what must be", (MOD_DELETE, "sn", None))
modify("delete what must be, add again", (MOD_DELETE, "sn", None), (MOD_ADD, "sn", ["Again"]))
modify("delete one of two names", (MOD_DELETE, "cn", ["Uno"]))
modify("delete with invalid value", (MOD_DELETE, "manager", ["nonsense"]))
modify("replace", (MOD_REPLACE, "description", ["new"]))
modify("replace by two", (MOD_REPLACE, "description", ["new", "newer"]))
modify("replace by the same", (MOD_REPLACE, "description", ["red", "Blue"]))
modify("replace in other case", (MOD_REPLACE, "sn", ["FIRST"]))
modify("replace by twice the same", (MOD_REPLACE, "description", ["x", "X"]))
modify("replace by nothing", (MOD_REPLACE, "description", None))
modify("replace absent by nothing", (MOD_REPLACE, "title", None))
modify("replace unknown by nothing", (MOD_REPLACE, "noSuchAttribute", None))
modify("replace what must be by nothing", (MOD_REPLACE, "sn", None))
modify("replace single-valued by two", (MOD_REPLACE, "employeeNumber", ["1", "2"]))
modify("replace then add", (MOD_REPLACE, "title", ["a"]), (MOD_ADD, "title", ["b"]))
modify("replace with an option", (MOD_REPLACE, "description;lang-fr", ["rouge"]), (MOD_DELETE, "description", ["red"]))
modify("delete with an option", (MOD_ADD, "description;lang-fr", ["rouge"]), (MOD_DELETE, "description", None))
modify("unknown attribute", (MOD_ADD, "noSuchAttribute", ["x"]))
modify("attribute not allowed", (MOD_ADD, "memberUid", ["x"]))
modify("wrong syntax", (MOD_ADD, "manager", ["nonsense"]))
modify("wrong syntax, not UTF-8", (MOD_ADD, "title", [b"\xff"]))
modify("empty value", (MOD_ADD, "title", [""]))
modify("bad attribute name", (MOD_ADD, "t itle", ["x"]))
modify("no change", )
modify("several", (MOD_ADD, "title", ["a"]), (MOD_DELETE, "mail", None), (MOD_REPLACE, "sn", ["Changed"]), (MOD_ADD, "mail", ["b@example.org"]))
modify("the last of several fails", (MOD_ADD, "title", ["a"]), (MOD_REPLACE, "sn", ["Changed"]), (MOD_DELETE, "pager", None))
modify("rdn value deleted", (MOD_DELETE, "uid", ["one"]))
modify("rdn attribute deleted", (MOD_DELETE, "uid", None))
modify("rdn value replaced", (MOD_REPLACE, "uid", ["other"]))
modify("rdn value replaced by more", (MOD_REPLACE, "uid", ["other", "one"]))
modify("rdn value replaced in other case", (MOD_REPLACE, "uid", ["ONE"]))
modify("rdn value deleted and added", (MOD_DELETE, "uid", ["one"]), (MOD_ADD, "uid", ["one"]))
modify("rdn second value added", (MOD_ADD, "uid", ["uno"]))
modify("class added", (MOD_ADD, "objectClass", ["posixGroup"]), (MOD_ADD, "gidNumber", ["1"]))
modify("class added without its must", (MOD_ADD, "objectClass", ["posixGroup"]))
modify("class added by number", (MOD_ADD, "objectClass", ["1.3.6.1.1.1.2.2"]), (MOD_ADD, "gidNumber", ["1"]))
modify("superclass added", (MOD_ADD, "objectClass", ["person"]))
modify("existing class added", (MOD_ADD, "objectClass", ["INETORGPERSON"]))
modify("unknown class added", (MOD_ADD, "objectClass", ["noSuchClass"]))
modify("structural class added", (MOD_ADD, "objectClass", ["organizationalUnit"]), (MOD_ADD, "ou", ["x"]))
modify("structural class changed", (MOD_REPLACE, "objectClass", ["account"]))
modify("structural class changed, attributes and all", (MOD_REPLACE, "objectClass", ["organizationalRole"]), (MOD_DELETE, "member", None),
       rdn="cn=group")
modify("structural class changed in its chain", (MOD_REPLACE, "objectClass", ["person"]), (MOD_ADD, "sn", ["x"]), (MOD_DELETE, "member", None),
       rdn="cn=group")
modify("structural class changed to a subclass", (MOD_ADD, "objectClass", ["pilotPerson"]))
modify("classes deleted", (MOD_DELETE, "objectClass", None))
modify("classes replaced by all of the chain", (MOD_REPLACE, "objectClass", ["top", "person", "organizationalPerson", "inetOrgPerson"]))
modify("classes replaced by top", (MOD_REPLACE, "objectClass", ["top"]))
modify("auxiliary class deleted", (MOD_DELETE, "objectClass", ["posixGroup"]), rdn="cn=unix")
modify("auxiliary class deleted with its attributes", (MOD_DELETE, "objectClass", ["posixGroup"]), (MOD_DELETE, "gidNumber", None),
       (MOD_DELETE, "memberUid", None), rdn="cn=unix")
modify("increment", (MOD_INCREMENT, "gidNumber", ["5"]), rdn="cn=unix")
modify("increment by minus", (MOD_INCREMENT, "gidNumber", ["-2000"]), rdn="cn=unix")
modify("increment by two values", (MOD_INCREMENT, "gidNumber", ["5", "6"]), rdn="cn=unix")
modify("increment by nothing", (MOD_INCREMENT, "gidNumber", None), rdn="cn=unix")
modify("increment by no number", (MOD_INCREMENT, "gidNumber", ["x"]), rdn="cn=unix")
modify("increment absent", (MOD_INCREMENT, "uidNumber", ["1"]), rdn="cn=unix")
modify("increment text", (MOD_INCREMENT, "cn", ["1"]), rdn="cn=unix")
modify("increment text that is a number", (MOD_INCREMENT, "employeeNumber", ["1"]))
modify("increment and read in one", (MOD_REPLACE, "gidNumber", ["1"]), (MOD_INCREMENT, "gidNumber", ["1"]), rdn="cn=unix")
modify("last member", (MOD_DELETE, "member", None), rdn="cn=group")
modify("member replaced", (MOD_REPLACE, "member", ["uid=two," + HERE]), rdn="cn=group")
modify("member in other writing", (MOD_ADD, "member", ["UID=One, " + HERE]), rdn="cn=group")
modify("member deleted in other writing", (MOD_ADD, "member", ["uid=two," + HERE]), (MOD_DELETE, "member", ["UID=One, " + HERE]), rdn="cn=group")
for _operational, _value in {
    "entryUUID": "7b2e2bcd-5d1c-4a7a-b6c9-51d5a5d5a5d5", "createTimestamp": "20200101000000Z", "creatorsName": "cn=me",
    "modifyTimestamp": "20200101000000Z", "hasSubordinates": "TRUE", "subschemaSubentry": "cn=Subschema",
    "structuralObjectClass": "inetOrgPerson", "entryDN": "uid=one," + HERE,
}.items():
    modify(f"{_operational} replaced", (MOD_REPLACE, _operational, [_value]))
    modify(f"{_operational} deleted", (MOD_DELETE, _operational, None))
modify("no such entry", (MOD_REPLACE, "sn", ["x"]), rdn="uid=none")
modify("no such entry below two missing", (MOD_REPLACE, "sn", ["x"]), rdn="uid=none,ou=none,ou=sub")
modify("bad name", (MOD_REPLACE, "sn", ["x"]), rdn="nonsense")
modify("the root", (MOD_REPLACE, "sn", ["x"]), rdn="|")
modify("picture", (MOD_REPLACE, "jpegPhoto", [JPEG, JPEG + b"x"]))
modify("same picture twice", (MOD_ADD, "jpegPhoto", [JPEG, JPEG]))
modify("picture deleted by value", (MOD_ADD, "jpegPhoto", [JPEG]), (MOD_DELETE, "jpegPhoto", [JPEG]))
case("modify unknown operation", ("modify", "uid=one", [(7, "title", ["x"])]))

rename("plain", "uid=one", "uid=new")
rename("keeps the old value", "uid=one", "uid=new", False)
rename("case only", "uid=one", "uid=ONE")
rename("case only, keeps the old value", "uid=one", "uid=One", False)
rename("to itself", "uid=one", "uid=one")
rename("to itself, keeps the old value", "uid=one", "uid=one", False)
rename("to another type", "uid=one", "cn=One")
rename("to another type, keeps the old value", "uid=one", "cn=Neu", False)
rename("to two values", "uid=one", "uid=one+cn=Uno")
rename("from a type that must be", "uid=one", "sn=First")
rename("deletes what must be", "cn=unix", "gidNumber=1000")
rename("deletes what must be of a group", "cn=group", "description=x")
rename("to an existing name", "uid=one", "uid=two")
rename("to an existing name elsewhere", "uid=one", "uid=three", True, "ou=sub")
rename("to a type not allowed", "uid=one", "memberUid=x")
rename("to an unknown type", "uid=one", "noSuchAttribute=x")
rename("to a value of wrong syntax", "cn=unix", "gidNumber=x")
rename("to a second value of a single-valued type", "uid=one", "employeeNumber=9")
rename("to its single value", "uid=one", "employeeNumber=7")
rename("to no name", "uid=one", "nonsense")
rename("to an empty name", "uid=one", "")
rename("to two levels", "uid=one", "uid=a,uid=b")
rename("of nothing", "uid=none", "uid=new")
rename("of nothing below nothing", "uid=none,ou=none,ou=sub", "uid=new")
rename("bad old name", "nonsense", "uid=new")
rename("move", "uid=one", "uid=one", True, "ou=sub")
rename("move and rename", "uid=one", "uid=new", True, "ou=sub")
rename("move and keep", "uid=one", "uid=new", False, "ou=sub")
rename("move to where it is", "uid=one", "uid=one", True, "")
rename("move below nothing", "uid=one", "uid=one", True, "ou=none,ou=sub")
rename("move below a bad name", "uid=one", "uid=one", True, "nonsense|")
rename("move below a leaf", "uid=one", "uid=one", True, "uid=two")
rename("move below itself", "uid=one", "uid=one", True, "uid=one")
rename("move subtree", "ou=sub", "ou=moved", True, "uid=two")
rename("move subtree below itself", "ou=sub", "ou=sub", True, "uid=three,ou=sub")
rename("move subtree below itself and rename", "ou=sub", "ou=new", True, "ou=sub")
rename("subtree", "ou=sub", "ou=renamed")
rename("move outside", "uid=one", "uid=one", True, "dc=nowhere|")
rename("special characters", "uid=one", "uid=a\\2cb\\+c")

case("delete a leaf", ("delete", "uid=one"))
case("delete in other case", ("delete", "UID=One"))
case("delete a branch", ("delete", "ou=sub"))
case("delete from below", ("delete", "uid=three,ou=sub"), ("delete", "ou=sub"))
case("delete nothing", ("delete", "uid=none"))
case("delete nothing below nothing", ("delete", "uid=none,ou=none,ou=sub"))
case("delete twice", ("delete", "uid=one"), ("delete", "uid=one"))
case("delete bad name", ("delete", "nonsense"))
case("delete the root", ("delete", "|"))
case("delete outside", ("delete", "dc=nowhere|"))
case("delete and add again", ("delete", "uid=two"), ("add", "uid=two", person(uid=["two"])))
case("delete with unknown critical control", ("delete", "uid=two", [LDAPControl("1.2.3.4.5.6", True)]))
case("delete with unknown control", ("delete", "uid=two", [LDAPControl("1.2.3.4.5.6", False)]))
case("add, rename, delete", ("add", "uid=new", PERSON), ("rename", "uid=new", "uid=newer", None, True), ("delete", "uid=newer"), ("delete", "uid=new"))
case("unknown extended operation", ("extended", "1.2.3.4.5.6", b"x"))
case("unknown extended operation without value", ("extended", "1.2.3.4.5.6", None))
case("password modify without a request", ("extended", "1.3.6.1.4.1.4203.1.11.1", b"\x01\x02"))
case("who am I with a value", ("extended", "1.3.6.1.4.1.4203.1.11.3", b"x"))
case("password of another", ("passwd", "uid=one", None, "fresh-password"), ("bind", "uid=one", "fresh-password"), ("bind", "uid=one", "stale-password"))
case("password, wrong old one", ("modify", "uid=one", [(MOD_ADD, "userPassword", ["old-password"])]), ("passwd", "uid=one", "wrong", "fresh-password"),
     ("bind", "uid=one", "old-password"))
case("password of nobody", ("passwd", "uid=none", None, "fresh-password"))
case("password of what has none", ("passwd", "cn=group", None, "fresh-password"))

PERMISSIVE, NO_OP, MANAGE_DSA_IT, RELAX = (
    [LDAPControl(oid, True)] for oid in ("1.2.840.113556.1.4.1413", "1.3.6.1.4.1.4203.666.5.2", "2.16.840.1.113730.3.4.2",
                                         "1.3.6.1.4.1.4203.666.5.12"))
for _what, _change in {
    "add existing": (MOD_ADD, "description", ["RED"]),
    "add one of two": (MOD_ADD, "description", ["red", "green"]),
    "delete absent value": (MOD_DELETE, "description", ["green"]),
    "delete absent attribute": (MOD_DELETE, "title", None),
    "delete of the name": (MOD_DELETE, "uid", None),
    "add to single-valued": (MOD_ADD, "employeeNumber", ["8"]),
    "unknown attribute": (MOD_ADD, "noSuchAttribute", ["8"]),
}.items():
    case(f"permissive {_what}", ("modify", "uid=one", [_change], PERMISSIVE))
for _what, _step in {
    "add": ("add", "uid=new", PERSON),
    "refused add": ("add", "uid=one", PERSON),
    "modify": ("modify", "uid=one", [(MOD_REPLACE, "sn", ["Changed"])]),
    "refused modify": ("modify", "uid=one", [(MOD_DELETE, "sn", None)]),
    "rename": ("rename", "uid=one", "uid=new", None, True),
    "delete": ("delete", "uid=one"),
    "refused delete": ("delete", "ou=sub"),
}.items():
    case(f"no-op {_what}", (*_step, NO_OP))
    case(f"managed {_what}", (*_step, MANAGE_DSA_IT))
    for _filter in ("(description=red)", "(description=none)", "(!(noSuchAttribute=x))"):
        case(f"asserted {_filter} {_what}", (*_step, [AssertionControl(True, _filter)]))
    case(f"read before, {_what}", (*_step, [PreReadControl(True, ["sn", "uid", "1.1"])]))
    case(f"read after, {_what}", (*_step, [PostReadControl(True, ["sn", "uid"])]))
    case(f"proxied {_what}", (*_step, [ProxyAuthzControl(True, f"dn:{ADMIN}".encode())]))
case("read all before and after", ("modify", "uid=one", [(MOD_REPLACE, "sn", ["Changed"])], [PreReadControl(True, ["*"]), PostReadControl(True, ["*", "entryDN"])]))
for _name, _value in {"entryUUID": "7b2e2bcd-5d1c-4a7a-b6c9-51d5a5d5a5d5", "createTimestamp": "20200101000000Z", "creatorsName": "cn=me"}.items():
    case(f"relaxed add {_name}", ("add", "uid=new", [*PERSON, (_name, [_value])], RELAX))
case("referral, add", ("add", "ou=far", [("objectClass", ["referral", "extensibleObject"]), ("ou", ["far"]), ("ref", ["ldap://far.example.org/dc=far"])]))
for _what, _step in {
    "modify": ("modify", "ou=far", [(MOD_ADD, "description", ["x"])]),
    "modify below": ("modify", "uid=x,ou=far", [(MOD_ADD, "description", ["x"])]),
    "add below": ("add", "uid=x,ou=far", PERSON),
    "delete": ("delete", "ou=far"),
    "delete below": ("delete", "uid=x,ou=far"),
    "rename": ("rename", "ou=far", "ou=away", None, True),
    "move below": ("rename", "uid=two", "uid=two", "ou=far", True),
    "rename to": ("rename", "ou=sub", "ou=far", None, True),
    "compare": ("compare", "ou=far", "ou", b"far"),
}.items():
    _far = ("add", "ou=far", [("objectClass", ["referral", "extensibleObject"]), ("ou", ["far"]), ("ref", ["ldap://far.example.org/dc=far"])], MANAGE_DSA_IT)
    case(f"referral, {_what}", _far, _step)
    case(f"referral, managed {_what}", _far, (*_step, MANAGE_DSA_IT))
case("alias, add", ("add", "cn=new", [("objectClass", ["alias", "extensibleObject"]), ("cn", ["new"]), ("aliasedObjectName", ["uid=one," + HERE])]))
case("alias, add below", ("add", "cn=new", [("objectClass", ["alias", "extensibleObject"]), ("cn", ["new"]), ("aliasedObjectName", ["uid=one," + HERE])]),
     ("add", "uid=x,cn=new", PERSON))
