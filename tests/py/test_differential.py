"""The same searches and writes to OpenLDAP's slapd and to this server. Every difference is listed
here with the clause that says who is right; one that no longer occurs must leave the list."""

import dataclasses
import re

import ldap
import pytest
from ldap.controls import LDAPControl
from ldap.controls.readentry import PostReadControl, PreReadControl
from ldap.controls.sss import SSSResponseControl
from ldap.extop import ExtendedRequest

from differential_accepted import ACCEPTED
from differential_content import SLAPD_SCHEMA, WORK, data, ldif, maze, record, work
from differential_searches import BINDS, COMPARES, MANAGE_DSA_IT, SEARCHES
from differential_writes import HERE, WRITES
from slapd import Slapd
from support import ADMIN, ADMIN_PASSWORD, LIMIT_SECS, SUFFIX, Server

SCOPES = {"base": 0, "one": 1, "sub": 2, "children": 3}
# Values that differ from server to server by their nature; that they are there is compared.
OWN_VALUES = {"subschemasubentry"}
SUPERCLASSES = {
    "inetorgperson": "organizationalperson person", "organizationalperson": "person", "groupofurls": "", "extensibleobject": "",
    "2.16.840.1.113730.3.2.2": "organizationalperson person",
}
# Never shown by this server (RFC 4519 2.41 asks for protection); test_access.py has its cases.
SECRET = "userpassword"


@dataclasses.dataclass(frozen=True)
class Seen:
    """One answer, as far as it can be compared."""

    type: int
    code: int
    matched: object
    entries: frozenset = frozenset()
    more: object = None

    def __str__(self):
        return f"{self.code}/{len(self.entries)}" if self.entries else str(self.code)


def dn_form(text):
    """One writing for names that differ only in how they escape or order what is in an RDN."""
    try:
        return ",".join("+".join(sorted(f"{t.lower()}={v!r}" for t, v, _ in rdn)) for rdn in ldap.dn.str2dn(text))
    except ldap.DECODING_ERROR:
        return text


def superclasses_too(classes):
    """slapd keeps the classes as they were sent, and this server adds their superclasses at once
    (RFC 4512 3.3). The cases that ask for nothing else are in the list; elsewhere it would hide
    what else may differ."""
    classes = {c.decode().lower() for c in classes}
    for above in [c for c in classes for c in SUPERCLASSES.get(c, "").split()]:
        classes.add(above)
    return classes | {"top"}


def entry_form(dn, attributes):
    values = []
    for name, found in attributes.items():
        name = name.lower()
        if name == SECRET:
            continue
        if name in OWN_VALUES:
            found = [b"of its own"]
        if name in {"manager", "member", "owner", "seealso", "entrydn", "creatorsname", "modifiersname", "roleoccupant", "secretary"}:
            found = [dn_form(v.decode()) for v in found]
        if name == "objectclass" and len(attributes) > 1:
            found = superclasses_too(found)
        values.append((name, frozenset(found), len(found)))
    return dn_form(dn), frozenset(values)


def control_form(control):
    """What a control of the answer says, as far as it is no server's own business."""
    if isinstance(control, PreReadControl | PostReadControl):
        return control.controlType, sorted((name, sorted(map(str, values))) for name, values, _ in entry_form(control.dn, control.entry)[1])
    if control.controlType == SSSResponseControl.controlType:
        return control.controlType, control.result
    return (control.controlType,)


class Side:
    """One of the two servers."""

    def __init__(self, connect):
        self._connect = connect
        self.connection = connect()

    def answer(self, send, *args, ordered=False, counted=False):
        """Sends one request and reads all of its answer."""
        entries, more, order = set(), [], []
        try:
            number = send(*args)
            while True:
                kind, found, _, controls = self.connection.result3(number, all=0, timeout=LIMIT_SECS)
                for dn, attributes in found or []:
                    if dn is None:
                        more += attributes
                    else:
                        entries.add(entry_form(dn, attributes))
                        order.append(dn_form(dn))
                if kind not in (ldap.RES_SEARCH_ENTRY, ldap.RES_SEARCH_REFERENCE):
                    break
            told = {"result": 0, "msgtype": kind, "ctrls": ()}
            more += [control_form(c) for c in controls]
        except ldap.LDAPError as error:
            told = error.args[0]
            assert told["result"] > 0, f"refused by the client itself: {error}"
            more += [oid for oid, _, _ in told.get("ctrls", ())]
        if told["result"] == ldap.REFERRAL.errnum:
            more.append(told["info"])
        if counted or told["result"] == ldap.SIZELIMIT_EXCEEDED.errnum:
            # Which ones come is free.
            entries = range(len(entries))
        more = tuple(sorted(map(str, more))) + (tuple(order) if ordered else ())
        return Seen(told["msgtype"], told["result"], dn_form(told.get("matched", "")), frozenset(entries), more)

    def search(self, base, scope, filter, attrs, sizelimit=0, timelimit=-1, typesonly=0, controls=None, deref=0, ordered=False, counted=False):
        self.connection.set_option(ldap.OPT_DEREF, deref)
        return self.answer(
            self.connection.search_ext, base, SCOPES.get(scope, scope), filter, attrs, typesonly, controls, None, timelimit, sizelimit,
            ordered=ordered, counted=counted)

    def compare(self, dn, attribute, value):
        return self.answer(self.connection.compare_ext, dn, attribute, value)

    def bind(self, dn, password):
        """On a connection of its own; what the bind made of it is asked for too."""
        other = Side(self._connect)
        other.connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
        seen = other.answer(other.connection.simple_bind, dn, password)
        who = other.connection.whoami_s()
        return dataclasses.replace(seen, more=dn_form(who.removeprefix("dn:")))

    def step(self, here, kind, name, *rest):
        full = name[:-1] if name.endswith("|") else f"{name},{here}" if name else here
        fill = lambda values: None if values is None else [v if isinstance(v, bytes) else v.replace(HERE, here).encode() for v in values]
        c = self.connection
        if kind == "add":
            return self.answer(c.add_ext, full, [(n, fill(v)) for n, v in rest[0]], *rest[1:])
        if kind == "modify":
            return self.answer(c.modify_ext, full, [(op, n, fill(v)) for op, n, v in rest[0]], *rest[1:])
        if kind == "compare":
            return self.answer(c.compare_ext, full, *rest)
        if kind == "rename":
            new, above, delete_old, *controls = rest
            above = above and (above[:-1] if above.endswith("|") else f"{above},{here}") if above != "" else here
            return self.answer(c.rename, full, new, above, int(delete_old), *controls)
        if kind == "delete":
            return self.answer(c.delete_ext, full, *rest)
        if kind == "extended":
            return self.answer(c.extop, ExtendedRequest(name, rest[0]))
        if kind == "passwd":
            return self.answer(c.passwd, full, *rest)
        assert kind == "bind", kind
        return self.bind(full, *rest)

    def write(self, branch, steps):
        here = f"ou={branch},{WORK}"
        seen = [self.step(here, *step) for step in steps]
        left = self.search(here, "sub", "(objectClass=*)", ["*", "structuralObjectClass"], controls=[LDAPControl(MANAGE_DSA_IT, True)])
        return *seen, left


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Both servers with the same content."""
    folder = tmp_path_factory.mktemp("differential")
    top = record(SUFFIX, "organization", "dcObject", o="Example", dc="example")
    content = [*data(), *maze(), *work(branch(n) for n in WRITES)]
    theirs = Slapd(folder / "slapd", SUFFIX, ADMIN, ADMIN_PASSWORD, SLAPD_SCHEMA)
    theirs.load(ldif([top, *content]))
    # slapd leaves references as they are: its overlay follows them after the answer, at some time.
    ours = Server(folder / "ours", flags=["--no-demo"], extra="references: { follow: false }\n")
    theirs.start()
    try:
        ours.start()
        # Over LDAP, so that the entries have a creator.
        ours.tool("ldapadd", "-M", stdin=ldif(content)).ok()
        yield Side(ours.connect), Side(theirs.connect)
        assert ours.stop() == 0
    finally:
        theirs.stop()


def branch(name):
    """A write case's name as the value of an ou."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def cases():
    for name, *rest in SEARCHES:
        base, scope, filter, attrs, more = rest
        yield name, lambda side, a=(base, scope, filter, attrs), m=more: (side.search(*a, **m),)
    for name, asked in COMPARES.items():
        yield f"compare {name}", lambda side, a=asked: (side.compare(*a),)
    for name, asked in BINDS.items():
        yield f"bind {name}", lambda side, a=asked: (side.bind(*a),)
    for name, steps in WRITES.items():
        yield name, lambda side, a=(branch(name), steps): side.write(*a)


CASES = dict(cases())
OPERATIONS = len(SEARCHES) + len(COMPARES) + len(BINDS) + sum(map(len, WRITES.values()))


def told(seen):
    return " ".join(map(str, seen))


def difference(ours, theirs):
    """The first that is not the same, in full."""
    for one, other in zip(ours, theirs, strict=True):
        if one != other:
            return dataclasses.replace(one, entries=one.entries - other.entries), dataclasses.replace(other, entries=other.entries - one.entries)
    return None


@pytest.mark.parametrize("name", CASES)
def test_same_answer(sides, name):
    ours, theirs = (CASES[name](side) for side in sides)
    if name in ACCEPTED:
        listed = ACCEPTED[name]
        assert ours != theirs, "no difference any more: strike it from the list"
        assert (told(ours), told(theirs)) == (listed.ours, listed.theirs)
    else:
        assert ours == theirs, f"ours {told(ours)}, slapd's {told(theirs)}: {difference(ours, theirs)}"


def test_the_list_names_cases_and_clauses():
    assert set(ACCEPTED) <= set(CASES)
    for name, listed in ACCEPTED.items():
        assert re.search(r"(RFC \d{4}|MS-ADTS) \S*\d", listed.clause), f"{name}: no clause"


def test_the_count(capsys):
    assert len(CASES) == len(SEARCHES) + len(COMPARES) + len(BINDS) + len(WRITES), "a name stands for two cases"
    assert OPERATIONS >= 300
    with capsys.disabled():
        print(f"\ndifferential: {OPERATIONS} operations in {len(CASES)} cases, {len(CASES) - len(ACCEPTED)} equal, {len(ACCEPTED)} listed")
