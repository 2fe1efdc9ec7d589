"""What Python's ldap3 sees: one line "case<TAB>result" for each case of tests/py/test_clients.py."""

import os
import re
import ssl
import struct
import sys
import traceback

import ldap3
from ldap3 import ALL, ASYNC, ASYNC_STREAM, BASE, LEVEL, MODIFY_ADD, MODIFY_DELETE, MODIFY_INCREMENT, MODIFY_REPLACE, RESTARTABLE, SAFE_SYNC, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.protocol.rfc4527 import post_read_control, pre_read_control

URI, LDAPS_URI, CA, SUB, ADMIN, PASSWORD = (os.environ[n] for n in ("URI", "LDAPS_URI", "CA", "BASE", "ADMIN", "PASSWORD"))
ONE = f"uid=one,{SUB}"
CASES = {}


def server(uri=URI, ca=CA, info=ALL):
    tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=ca, version=ssl.PROTOCOL_TLS_CLIENT)
    return Server(uri, get_info=info, tls=tls, connect_timeout=30)


# With the schema read, ldap3 checks names and converts values by it.
PLAIN = server()
conn = Connection(PLAIN, ADMIN, PASSWORD, check_names=True, receive_timeout=30)


def case(function):
    CASES[function.__name__] = function


def code(connection=None):
    return str((connection or conn).result["result"])


def joined(values):
    return "|".join(sorted(values))


def first(dn):
    return dn.split(",")[0].split("=", 1)[1]


def entries():
    return [e for e in conn.response or [] if e["type"] == "searchResEntry"]


def names(base=SUB, filter="(objectClass=*)", scope=SUBTREE, **how):
    conn.search(base, filter, scope, **how)
    return joined(first(e["dn"]) for e in entries())


def entry(dn, *attributes, **how):
    conn.search(dn, "(objectClass=*)", BASE, attributes=list(attributes), **how)
    return entries()[0]


def values_of(dn, attribute):
    found = entry(dn, attribute)["attributes"].get(attribute, [])
    return joined(found if isinstance(found, list) else [str(found)])


def attributes_of(dn, *asked):
    """ldap3 adds what was asked for and is not there, with no value."""
    return joined(name.lower() for name, values in entry(dn, *asked)["raw_attributes"].items() if values)


def bound(dn, password):
    connection = Connection(server(info=None), dn, password, check_names=False)
    connection.bind()
    seen = code(connection)
    connection.unbind()
    return seen


def person(uid, dn=None, **more):
    conn.add(dn or f"uid={uid},{SUB}", "inetOrgPerson", {"uid": uid, "cn": f"Person {uid}", "sn": uid, **more})
    return code()


@case
def bind_simple():
    conn.bind()
    return code()


@case
def bind_wrong_password():
    return bound(ADMIN, "wrong")


@case
def bind_unknown_name():
    return bound(f"cn=nobody,{SUB}", "wrong")


@case
def bind_invalid_name():
    return bound("no name", "wrong")


@case
def bind_anonymous():
    with Connection(server()) as connection:
        return f"{code(connection)} {connection.extend.standard.who_am_i() or ''}"


@case
def failed_bind_is_anonymous():
    with Connection(server(), ADMIN, PASSWORD) as connection:
        connection.rebind(ADMIN, "wrong")
        return connection.extend.standard.who_am_i() or ""


@case
def starttls():
    connection = Connection(server(), ADMIN, PASSWORD)
    connection.open()
    connection.start_tls()
    connection.bind()
    return connection.extend.standard.who_am_i()


@case
def starttls_other_authority():
    connection = Connection(server(ca="/etc/ssl/certs/ca-certificates.crt"), ADMIN, PASSWORD)
    try:
        connection.open()
        connection.start_tls()
    except LDAPException:
        return "refused"
    return "accepted"


@case
def ldaps():
    with Connection(server(LDAPS_URI), ADMIN, PASSWORD) as connection:
        return connection.extend.standard.who_am_i()


@case
def add():
    conn.add(SUB, "organizationalUnit", {"ou": "clients"})
    seen = [code()]
    seen.append(person("one", mail=["one@example.org", "first@example.org"], employeeNumber="7", userPassword="first-password"))
    seen.append(person("two", description="(a*b)\\c"))
    seen.append(person("three", manager=ONE))
    conn.add(f"ou=below,{SUB}", "organizationalUnit", {"ou": "below"})
    seen.append(code())
    seen.append(person("four", f"uid=four,ou=below,{SUB}"))
    return " ".join(seen)


@case
def add_existing():
    return person("one")


@case
def add_without_parent():
    return person("x", f"uid=x,ou=none,{SUB}") + f" {conn.result['dn']}"


@case
def add_without_must():
    conn.add(f"uid=x,{SUB}", "inetOrgPerson", {"uid": "x", "cn": "x"})
    return code()


@case
def add_unknown_attribute():
    with Connection(server(info=None), ADMIN, PASSWORD, check_names=False) as connection:
        connection.add(f"uid=x,{SUB}", "inetOrgPerson", {"uid": "x", "cn": "x", "sn": "x", "noSuchAttribute": "x"})
        return code(connection)


@case
def add_invalid_name():
    with Connection(server(info=None), ADMIN, PASSWORD, check_names=False) as connection:
        connection.add("uid=x,,", "inetOrgPerson", {"uid": "x", "cn": "x", "sn": "x"})
        return code(connection)


@case
def search_base():
    return names(scope=BASE)


@case
def search_one():
    return names(scope=LEVEL)


@case
def search_sub():
    return names()


@case
def search_no_such_base():
    names(base=f"ou=none,ou=below,{SUB}")
    return f"{code()} {conn.result['dn']}"


FILTERS = {
    "equality": "(UID=One)",
    "and_or_not": "(&(objectClass=person)(|(uid=one)(uid=two)(uid=three))(!(uid=two)))",
    "substring": "(cn=per*n t*)",
    "present": "(mail=*)",
    "order": "(&(uid=*)(createTimestamp>=20200101000000Z)(createTimestamp<=99991231235959Z))",
    "approx": "(cn~=person ONE)",
    "extensible": "(sn:caseExactMatch:=one)",
    "extensible_dn": "(ou:dn:=below)",
    "escapes": "(description=\\28a\\2ab\\29\\5cc)",
    "supertype": "(name=person one)",
}
for _name, _filter in FILTERS.items():
    CASES[f"filter_{_name}"] = lambda asked=_filter: names(filter=asked)


def unchecked(filter):
    """ldap3 refuses a name which the schema does not have, unless it is told not to look."""
    with Connection(server(info=None), ADMIN, PASSWORD, check_names=False) as connection:
        connection.search(SUB, filter, SUBTREE)
        return joined(first(e["dn"]) for e in connection.response)


@case
def filter_unknown():
    return unchecked("(|(noSuchAttribute=x)(uid=one))")


@case
def filter_not_unknown():
    return unchecked("(!(noSuchAttribute=x))")


@case
def attributes_listed():
    return attributes_of(ONE, "cn", "MAIL")


@case
def attributes_none():
    return attributes_of(ONE, "1.1")


@case
def attributes_operational():
    seen = attributes_of(ONE, "+").split("|")
    return joined({"cn", "entryuuid", "creatorsname", "structuralobjectclass"}.intersection(seen))


@case
def attributes_of_class():
    with Connection(server(info=None), ADMIN, PASSWORD, check_names=False) as connection:
        connection.search(ONE, "(objectClass=*)", BASE, attributes=["@person"])
        return joined(name.lower() for name, values in connection.response[0]["raw_attributes"].items() if values)


@case
def types_only():
    raw = entry(ONE, "cn", "sn", types_only=True)["raw_attributes"]
    return joined(f"{name}={len(values or [])}" for name, values in raw.items())


@case
def size_limit():
    names(filter="(objectClass=person)", size_limit=2)
    return f"{code()} {len(entries())}"


@case
def root_dse():
    info = conn.server.info
    return f"{joined(info.naming_contexts)} {joined(str(v) for v in info.supported_ldap_versions)}"


@case
def schema():
    known = conn.server.schema
    cn = known.attribute_types["cn"]
    here = "class" if "inetOrgPerson" in known.object_classes else "none"
    must = {*known.object_classes["person"].must_contain, *known.object_classes["top"].must_contain}
    return f"{joined(must)} {known.attribute_types['uid'].oid} {cn.superior[0]} {here}"


@case
def binary():
    value = bytes([0xFF, 0xD8, 0, 10, 13, 255, 0, 128])
    conn.modify(ONE, {"jpegPhoto": [(MODIFY_ADD, [value])]})
    done = code()
    return f"{done} {entry(ONE, 'jpegPhoto')['raw_attributes']['jpegPhoto'][0].hex()}"


@case
def large_value():
    two, value = f"uid=two,{SUB}", b"".join(struct.pack(">I", n) for n in range(1, 250_001))
    conn.modify(two, {"jpegPhoto": [(MODIFY_REPLACE, [value])]})
    done = code()
    return f"{done} {'same' if entry(two, 'jpegPhoto')['raw_attributes']['jpegPhoto'] == [value] else 'different'}"


@case
def non_ascii():
    cn = "Élodie Œuvre 日本"
    conn.add(f"cn={cn},{SUB}", "person", {"cn": cn, "sn": "Ça"})
    done = code()
    found = names(filter="(sn=ça)")
    conn.delete(f"cn={cn},{SUB}")
    return f"{done} {found} {code()}"


@case
def escapes_in_names():
    dn = f'cn=\\20a\\,b\\+c\\"d\\;e\\\\f\\3d\\20,{SUB}'
    conn.add(dn, "person", {"cn": ' a,b+c"d;e\\f= ', "sn": "x"})
    done = code()
    sn = values_of(dn, "sn")
    conn.delete(f"CN=a\\2cb\\2Bc\\22d\\3be\\5cf\\=,{SUB}")
    return f"{done} {sn} {code()}"


@case
def two_values_in_rdn():
    conn.add(f"cn=Two+sn=Values,{SUB}", "person", {"cn": "Two", "sn": "Values"})
    done = code()
    conn.delete(f"sn=VALUES+cn=two,{SUB}")
    return f"{done} {code()}"


def compared(dn, value):
    conn.compare(dn, "mail", value)
    return code()


@case
def compare_true():
    return compared(ONE, "ONE@example.org")


@case
def compare_false():
    return compared(ONE, "other@example.org")


@case
def compare_no_attribute():
    return compared(f"uid=two,{SUB}", "x")


@case
def compare_no_entry():
    return compared(f"uid=none,{SUB}", "x")


def modified(dn, **changes):
    conn.modify(dn, changes)
    return code()


@case
def modify():
    done = modified(
        ONE,
        mail=[(MODIFY_DELETE, ["first@example.org"]), (MODIFY_ADD, ["second@example.org"])],
        sn=[(MODIFY_REPLACE, ["Changed"])],
        title=[(MODIFY_REPLACE, [])],
        description=[(MODIFY_ADD, ["red", "blue"])],
    )
    return " ".join([done, values_of(ONE, "mail"), values_of(ONE, "sn"), values_of(ONE, "description")])


@case
def modify_all_or_nothing():
    done = modified(ONE, sn=[(MODIFY_REPLACE, ["Half"])], mail=[(MODIFY_DELETE, ["none@example.org"])])
    return f"{done} {values_of(ONE, 'sn')}"


@case
def modify_add_existing():
    return modified(ONE, description=[(MODIFY_ADD, ["RED"])])


@case
def modify_delete_whole():
    return modified(ONE, description=[(MODIFY_DELETE, [])])


@case
def modify_rdn():
    return modified(ONE, uid=[(MODIFY_REPLACE, ["other"])])


@case
def modify_no_entry():
    return modified(f"uid=none,{SUB}", sn=[(MODIFY_REPLACE, ["x"])])


@case
def modify_increment():
    dn = f"cn=counter,{SUB}"
    conn.add(dn, ["namedObject", "posixGroup"], {"cn": "counter", "gidNumber": 1000})
    done = modified(dn, gidNumber=[(MODIFY_INCREMENT, [5])])
    return f"{done} {values_of(dn, 'gidNumber')}"


def renamed(old, rdn, **how):
    conn.modify_dn(f"{old},{SUB}", rdn, **how)
    return code()


@case
def rename_keeps_old():
    done = renamed("uid=two", "uid=zwei", delete_old_dn=False)
    return f"{done} {values_of(f'uid=zwei,{SUB}', 'uid')}"


@case
def rename_deletes_old():
    done = renamed("uid=zwei", "uid=deux")
    return f"{done} {values_of(f'uid=deux,{SUB}', 'uid')}"


@case
def rename_case_only():
    done = renamed("uid=deux", "uid=Deux")
    return f"{done} {values_of(f'uid=deux,{SUB}', 'uid')}"


@case
def rename_existing():
    return renamed("uid=deux", "uid=one")


@case
def move():
    done = renamed("uid=deux", "uid=deux", new_superior=f"ou=below,{SUB}")
    return f"{done} {names(base=f'ou=below,{SUB}', scope=LEVEL)}"


@case
def move_subtree():
    done = renamed("ou=below", "ou=moved")
    return f"{done} {names(base=f'ou=moved,{SUB}')}"


@case
def move_below_itself():
    return "moved" if renamed("ou=moved", "ou=moved", new_superior=f"uid=deux,ou=moved,{SUB}") == "0" else "refused"


@case
def move_to_nowhere():
    return renamed("uid=one", "uid=one", new_superior=f"ou=none,{SUB}")


@case
def who_am_i():
    return conn.extend.standard.who_am_i()


@case
def password_modify():
    with Connection(server(), ONE, "first-password") as own:
        own.extend.standard.modify_password(old_password="first-password", new_password="second-password")
        done = code(own)
    return f"{done} {bound(ONE, 'first-password')} {bound(ONE, 'second-password')}"


@case
def password_modify_other():
    conn.extend.standard.modify_password(user=ONE, new_password="third-password")
    return f"{code()} {bound(ONE, 'third-password')}"


@case
def password_modify_generated():
    fresh = conn.extend.standard.modify_password(user=ONE)
    return f"{code()} {bound(ONE, fresh)}"


@case
def unknown_extended():
    conn.extended("1.3.6.1.4.1.4203.666.99.1", "x")
    return code()


@case
def unknown_critical_control():
    names(scope=BASE, controls=[("1.3.6.1.4.1.4203.666.99.2", True, b"x")])
    return code()


@case
def unknown_control():
    names(scope=BASE, controls=[("1.3.6.1.4.1.4203.666.99.2", False, None)])
    return code()


# Controls, on a branch of their own.
LAB = f"ou=controls,{SUB}"


@case
def controls_add():
    conn.add(LAB, "organizationalUnit", {"ou": "controls"})
    seen = [code()]
    for n in range(1, 6):
        values = {"uid": f"p{n}", "cn": f"P {n}", "sn": f"Name {6 - n}", "description": ["red", "blue"]}
        conn.add(f"uid=p{n},{LAB}", "inetOrgPerson", values)
        seen.append(code())
    return " ".join(seen)


@case
def paged():
    sizes, seen, cookie = [], [], None
    while cookie != b"":
        conn.search(LAB, "(objectClass=person)", LEVEL, attributes=["uid"], paged_size=2, paged_cookie=cookie, paged_criticality=True)
        cookie = conn.result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
        sizes.append(str(len(entries())))
        seen += [first(e["dn"]) for e in entries()]
    every = conn.extend.standard.paged_search(LAB, "(objectClass=person)", LEVEL, paged_size=2, generator=True)
    together = "same" if joined(first(e["dn"]) for e in every) == joined(seen) else "different"
    return f"{' '.join(sizes)} {joined(seen)} {together}"


@case
def permissive_modify():
    permissive = [("1.2.840.113556.1.4.1413", True, None)]
    conn.modify(f"uid=p2,{LAB}", {"description": [(MODIFY_ADD, ["RED"])]}, controls=permissive)
    done = code()
    conn.modify(f"uid=p2,{LAB}", {"title": [(MODIFY_DELETE, ["none"])]}, controls=permissive)
    return f"{done} {code()}"


@case
def pre_and_post_read():
    one = f"uid=p1,{LAB}"
    conn.modify(one, {"title": [(MODIFY_REPLACE, ["x"])]})
    controls = [pre_read_control(["title"], criticality=True), post_read_control(["title", "sn"], criticality=True)]
    conn.modify(one, {"title": [(MODIFY_REPLACE, ["y"])]}, controls=controls)
    before, after = (conn.result["controls"][oid]["value"]["result"] for oid in ("1.3.6.1.1.13.1", "1.3.6.1.1.13.2"))
    return f"{code()} {before['title'][0]} {after['title'][0]} {after['sn'][0]}"


@case
def tree_delete():
    tree = f"ou=tree,{LAB}"
    conn.add(tree, "organizationalUnit", {"ou": "tree"})
    person("leaf", f"uid=leaf,{tree}")
    conn.delete(tree)
    seen = [code()]
    conn.delete(tree, controls=[("1.2.840.113556.1.4.805", True, None)])
    seen.append(code())
    names(base=tree)
    return " ".join([*seen, code()])


@case
def persistent_search():
    watcher = Connection(server(info=None), ADMIN, PASSWORD, client_strategy=ASYNC_STREAM, check_names=False, auto_bind=True)
    watch = watcher.extend.standard.persistent_search(LAB, "(objectClass=person)", LEVEL, attributes=["uid"], streaming=False)
    # The search has begun once it tells of a change; until then the change is made again.
    for title in range(300):
        conn.modify(f"uid=p1,{LAB}", {"title": [(MODIFY_REPLACE, [f"watched {title}"])]})
        if seen := watch.next(block=True, timeout=0.1):
            break
    watch.stop()
    return f"{first(seen['dn'])}={seen['changeType']}"


@case
def strategies():
    """The other ways that ldap3 has to send and to wait."""
    safe = Connection(server(), ADMIN, PASSWORD, client_strategy=SAFE_SYNC, auto_bind=True)
    ok, result, response, _ = safe.search(LAB, "(uid=p1)")
    seen = [first(response[0]["dn"]) if ok else str(result)]
    waiting = Connection(server(), ADMIN, PASSWORD, client_strategy=ASYNC, auto_bind=True)
    numbers = [waiting.search(LAB, f"(uid=p{n})", attributes=["cn"]) for n in (2, 3, 4)]
    seen += [first(waiting.get_response(number)[0][0]["dn"]) for number in reversed(numbers)]
    restarted = Connection(server(), ADMIN, PASSWORD, client_strategy=RESTARTABLE, auto_bind=True)
    restarted.search(LAB, "(uid=p5)")
    seen.append(first(restarted.response[0]["dn"]))
    for connection in (safe, waiting, restarted):
        connection.unbind()
    return " ".join(seen)


@case
def delete_non_leaf():
    conn.delete(f"ou=moved,{SUB}")
    return code()


@case
def delete():
    conn.delete(ONE)
    done = code()
    names(base=ONE, scope=BASE)
    return f"{done} {code()}"


@case
def delete_no_entry():
    conn.delete(f"uid=none,{SUB}")
    return f"{code()} {conn.result['dn']}"


@case
def unbind():
    return "0" if conn.unbind() else "1"


for name, run in CASES.items():
    try:
        result = run()
    except Exception:
        result = f"error: {traceback.format_exc()}"
    print(name, re.sub(r"\s+", " ", str(result)), sep="\t", flush=True)
print("client", f"ldap3 {ldap3.__version__} on Python {sys.version.split()[0]}", sep="\t")
