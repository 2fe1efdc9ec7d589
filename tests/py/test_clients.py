"""Client libraries that we did not write: Perl's Net::LDAP, Java's JNDI, ldapts on Node, Python's
ldap3. Each driver in tests/clients runs the same named cases in one process and prints what it saw;
here stands what it must have seen."""

import pathlib
import re
import subprocess
import sys

import pytest

from support import ADMIN, ADMIN_PASSWORD, REPO, SUFFIX, Server

HERE = pathlib.Path(__file__).parent
DRIVERS = REPO / "tests" / "clients"

# tests/run puts them beside the Python environment that runs this.
NODE_MODULES = pathlib.Path(sys.prefix).parent / "js" / "node_modules"
BASE = "ou=clients," + SUFFIX
AS_ADMIN = f"dn:{ADMIN}"

# Controls and what is not for every library: what is seen, and by whom.
ALL = {"net_ldap", "jndi", "ldapts", "ldap3"}
SOME = {
    "controls_add": ("0 0 0 0 0 0", ALL),
    "paged": ("2 2 1 p1|p2|p3|p4|p5", ALL),
    "sorted": ("p5 p4 p3 p2 p1 0", {"net_ldap", "jndi"}),
    "sorted_reversed": ("p1 p2 p3 p4 p5", {"net_ldap", "jndi", "ldapts"}),
    "vlv": ("p4 p3 p2 3/5, p3 p2 p1", {"net_ldap"}),
    "manage_dsa_it": ("0 1 10 ldap://far.example.org/uid=x,ou=far,dc=org??base 1 0", {"net_ldap"}),
    "assertion": ("122 0", {"net_ldap"}),
    "pre_and_post_read": ("0 x y Name 5", {"net_ldap", "ldap3"}),
    "matched_values": ("red", {"net_ldap"}),
    "dereference": ("0 1 0", {"net_ldap"}),
    "proxied": ("1 hidden hidden denied", {"net_ldap"}),
    "permissive_modify": ("0 0", {"net_ldap", "jndi", "ldapts", "ldap3"}),
    "tree_delete": ("66 0 32", ALL),
    "no_op": ("16654 p3", {"net_ldap"}),
    "relax": ("19 0 20010101000000Z 0", {"net_ldap"}),
    "subentries": ("0 [] hidden 0", {"net_ldap"}),
    "dont_use_copy": ("0", {"net_ldap"}),
    "authorization_identity": (f"0 {AS_ADMIN}", {"net_ldap"}),
    "session_tracking": ("0", {"net_ldap"}),
    "transaction": ("0 0 0 kept kept, 0 0 0 kept kept", {"net_ldap"}),
    "sync": ("0 p1=1|p2=1|p3=1|p4=1|p5=1, 0 p2=1", {"net_ldap"}),
    "referral": ("0 ldap://far.example.org/uid=x,ou=far,dc=org??base far 0", {"jndi"}),
    "persistent_search": ("p1=modify", {"ldap3"}),
    "strategies": ("p1 p4 p3 p2 p5", {"ldap3"}),
    # NamingEvent.OBJECT_CHANGED.
    "events": ("p1=3", {"jndi"}),
    "persistent_search_and_cancel": ("p1=4 0 118", {"net_ldap"}),
}
CASES = {
    "bind_simple": "0",
    "bind_wrong_password": "49",
    "bind_unknown_name": "49",
    "bind_invalid_name": "34",
    "bind_without_password": "53",
    "bind_anonymous": "0 ",
    "failed_bind_is_anonymous": "",
    "starttls": AS_ADMIN,
    "starttls_twice": "1",
    "starttls_other_authority": "refused",
    "ldaps": AS_ADMIN,
    "add": "0 0 0 0 0 0",
    "add_existing": "68",
    "add_without_parent": f"32 {BASE}",
    "add_without_must": "65",
    "add_unknown_attribute": "17",
    "add_invalid_name": "34",
    "search_base": "clients",
    "search_one": "below|one|three|two",
    "search_sub": "below|clients|four|one|three|two",
    "search_no_such_base": f"32 ou=below,{BASE}",
    "filter_equality": "one",
    "filter_and_or_not": "one|three",
    "filter_substring": "three|two",
    "filter_present": "one",
    "filter_order": "four|one|three|two",
    "filter_approx": "one",
    "filter_extensible": "one",
    "filter_extensible_dn": "below|four",
    "filter_escapes": "two",
    "filter_supertype": "one",
    "filter_unknown": "one",
    "filter_not_unknown": "",
    "filter_absolute": "below|clients|four|one|three|two ",
    "attributes_listed": "cn|mail",
    "attributes_none": "",
    "attributes_operational": "creatorsname|entryuuid|structuralobjectclass",
    "attributes_of_class": "cn|objectclass|sn",
    "types_only": "cn=0|sn=0",
    "size_limit": "4 2",
    "root_dse": f"{SUFFIX} 3",
    "schema": "cn|objectClass|sn 0.9.2342.19200300.100.1.1 name class",
    "binary": "0 ffd8000a0dff0080",
    "large_value": "0 same",
    "non_ascii": "0 Élodie Œuvre 日本 0",
    "escapes_in_names": "0 x 0",
    "two_values_in_rdn": "0 0",
    "compare_true": "6",
    "compare_false": "5",
    "compare_no_attribute": "16",
    "compare_no_entry": "32",
    "modify": "0 one@example.org|second@example.org Changed blue|red",
    "modify_all_or_nothing": "16 Changed",
    "modify_add_existing": "20",
    "modify_delete_whole": "0",
    "modify_rdn": "67",
    "modify_no_entry": "32",
    "modify_increment": "0 1005",
    "rename_keeps_old": "0 two|zwei",
    "rename_deletes_old": "0 deux|two",
    "rename_case_only": "0 Deux|two",
    "rename_existing": "68",
    "move": "0 deux|four",
    "move_subtree": "0 deux|four|moved",
    "move_below_itself": "refused",
    "move_to_nowhere": "32",
    "who_am_i": AS_ADMIN,
    "password_modify": "0 49 0",
    "password_modify_other": "0 0",
    "password_modify_generated": "0 0",
    "unknown_extended": "2",
    "unknown_critical_control": "12",
    "unknown_control": "0",
    "delete_non_leaf": "66",
    "delete": "0 32",
    "delete_no_entry": f"32 {BASE}",
    "unbind": "0",
}


# Little heap and no second compiler: the program runs for a second.
JAVA_OPTIONS = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-Djavax.net.ssl.trustStore=trust.jks",
                "-Djavax.net.ssl.trustStorePassword=truststore"]
CLIENTS = {
    "net_ldap": ["perl", str(DRIVERS / "net_ldap.pl")],
    "ldapts": ["node", str(DRIVERS / "js" / "ldapts.mjs")],
    "ldap3": [sys.executable, str(DRIVERS / "python_ldap3.py")],
    # java compiles the one file itself; the truststore may be a PEM file since Java 18 only, so it is
    # made from one.
    "jndi": ["java", *JAVA_OPTIONS, str(DRIVERS / "Jndi.java")],
}
# Each control, and the case of Net::LDAP that needs it.
NET_LDAP_CONTROLS = {
    "1.2.826.0.1.3344810.2.3": "matched_values",
    "1.2.840.113556.1.4.1413": "permissive_modify",
    "1.2.840.113556.1.4.319": "paged",
    "1.2.840.113556.1.4.473": "sorted",
    "1.2.840.113556.1.4.805": "tree_delete",
    "1.3.6.1.1.12": "assertion",
    "1.3.6.1.1.13.1": "pre_and_post_read",
    "1.3.6.1.1.13.2": "pre_and_post_read",
    "1.3.6.1.1.21.2": "transaction",
    "1.3.6.1.1.22": "dont_use_copy",
    "1.3.6.1.4.1.21008.108.63.1": "session_tracking",
    "1.3.6.1.4.1.4203.1.10.1": "subentries",
    "1.3.6.1.4.1.4203.1.9.1.1": "sync",
    "1.3.6.1.4.1.4203.666.5.12": "relax",
    "1.3.6.1.4.1.4203.666.5.16": "dereference",
    "1.3.6.1.4.1.4203.666.5.2": "no_op",
    "2.16.840.1.113730.3.4.16": "authorization_identity",
    "2.16.840.1.113730.3.4.18": "proxied",
    "2.16.840.1.113730.3.4.2": "manage_dsa_it",
    "2.16.840.1.113730.3.4.3": "persistent_search_and_cancel",
    "2.16.840.1.113730.3.4.9": "vlv",
}
# All that the root DSE may advertise, and where it is used.
EXERCISED = {oid: f"test_clients::{name}" for oid, name in NET_LDAP_CONTROLS.items()} | {
    "1.3.6.1.4.1.4203.666.5.16": "test_clients::dereference test_controls::test_dereference_shows_members",
    # Who am I, password modify, StartTLS, cancel, start and end of a transaction.
    "1.3.6.1.4.1.4203.1.11.3": "test_clients::who_am_i",
    "1.3.6.1.4.1.4203.1.11.1": "test_clients::password_modify test_clients::password_modify_generated",
    "1.3.6.1.4.1.1466.20037": "test_clients::starttls",
    "1.3.6.1.1.8": "test_clients::persistent_search_and_cancel",
    "1.3.6.1.1.21.1": "test_clients::transaction",
    "1.3.6.1.1.21.3": "test_clients::transaction",
    # All operational attributes, attributes of a class, absolute filters, language tags and ranges,
    # increment.
    "1.3.6.1.4.1.4203.1.5.1": "test_clients::attributes_operational",
    "1.3.6.1.4.1.4203.1.5.2": "test_clients::attributes_of_class",
    "1.3.6.1.4.1.4203.1.5.3": "test_clients::filter_absolute",
    "1.3.6.1.4.1.4203.1.5.4": "test_options::test_options_and_subtypes_in_filters",
    "1.3.6.1.4.1.4203.1.5.5": "test_options::test_options_select",
    "1.3.6.1.1.14": "test_clients::modify_increment",
}
# What a library has no call for.
CANNOT = {
    "net_ldap": set(),
    # Refuses a second StartTLS and both absolute filters itself, shows no generated password as bytes,
    # parses no schema, knows no increment.
    "ldapts": {"starttls_twice", "filter_absolute", "schema", "modify_increment", "password_modify_generated"},
    # Refuses a name without password, a second StartTLS and both absolute filters itself.
    "ldap3": {"bind_without_password", "starttls_twice", "filter_absolute"},
    # Its context is one name for its life; it drops what came before a refused bind, takes the trust of
    # the whole program, refuses wrong names and both absolute filters itself, has no increment, and
    # shows no attribute without values.
    "jndi": {"bind_without_password", "failed_bind_is_anonymous", "starttls_twice", "starttls_other_authority", "add_invalid_name",
             "filter_absolute", "types_only", "modify_increment"},
}
# What a library shows in its own way.
OTHERWISE = {
    "net_ldap": {},
    # Its errors carry no matchedDN; it takes sizeLimitExceeded for success; compare is a boolean.
    "ldapts": {"add_without_parent": "32", "search_no_such_base": "32", "delete_no_entry": "32", "size_limit": "2",
               "compare_true": "true", "compare_false": "false"},
    "ldap3": {"paged": "2 2 1 p1|p2|p3|p4|p5 same"},
    # Neither do its errors; a compare is a search that finds.
    "jndi": {"add_without_parent": "32", "search_no_such_base": "32", "delete_no_entry": "0", "compare_true": "true",
             "compare_false": "false"},
}


class Run:
    """One run of a driver: what it printed for each case."""

    def __init__(self, client, folder, **options):
        server = Server(folder / "server", **options).start()
        try:
            self._run(client, server, folder)
        finally:
            assert server.stop() == 0

    def _run(self, client, server, folder):
        if client == "jndi":
            subprocess.run(
                ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", str(server.ca), "-keystore", "trust.jks",
                 "-storepass", "truststore"], cwd=folder, check=True, capture_output=True, timeout=110)
        env = dict(server.env, URI=server.uri(), LDAPS_URI=server.uri("ldaps"), CA=str(server.ca), BASE=BASE, ADMIN=ADMIN,
                   PASSWORD=ADMIN_PASSWORD, NODE_MODULES=str(NODE_MODULES))
        ended = subprocess.run(CLIENTS[client], env=env, cwd=folder, capture_output=True, timeout=110)
        self.err = ended.stderr.decode(errors="replace")
        # A driver that breaks off shows up in the cases it has not come to.
        lines = ended.stdout.decode().splitlines()
        self.seen = dict(line.split("\t", 1) for line in lines if "\t" in line)
        self.ended = ended.returncode


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each client meets a server of its own, once."""
    done = {}

    def run(client, **options):
        key = client, *options.items()
        if key not in done:
            done[key] = Run(client, tmp_path_factory.mktemp(client), **options)
        return done[key]

    return run


def cases(client):
    """What the client must have seen, by case."""
    some = {name: seen for name, (seen, who) in SOME.items() if client in who}
    return {n: OTHERWISE[client].get(n, seen) for n, seen in (CASES | some).items() if n not in CANNOT[client]}


@pytest.mark.parametrize("client, name", [(c, n) for c in CLIENTS for n in cases(c)])
def test_case(runs, client, name):
    run = runs(client)
    assert run.seen.get(name) == cases(client)[name], f"{client} {name}; on its error stream: {run.err}"


@pytest.mark.parametrize("client", CLIENTS)
def test_every_case_is_asked_for(runs, client):
    run = runs(client)
    assert run.ended == 0, run.err
    assert set(run.seen) - {"client"} == set(cases(client))


@pytest.mark.parametrize("oid, name", [(oid, name) for oid, name in NET_LDAP_CONTROLS.items()])
def test_each_case_of_a_control_fails_without_it(runs, oid, name):
    """On a server that has all controls switched off."""
    off = runs("net_ldap", extra=f"ldap: {{ controls_off: [{', '.join(repr(oid) for oid in NET_LDAP_CONTROLS)}] }}\n")
    assert name in off.seen, off.err
    assert off.seen[name] != SOME[name][0]
    # The rest does not need it.
    assert all(off.seen.get(n) == seen for n, seen in CASES.items())


def test_every_oid_that_is_advertised_is_exercised(server):
    """The root DSE names nothing that no client was seen to use, and the table nothing that is gone."""
    dse = server.search("(objectClass=*)", "supportedControl", "supportedExtension", "supportedFeatures", base="", scope="base", who=None).entry
    advertised = {oid.decode() for values in dse.values() for oid in values}
    assert advertised == set(EXERCISED)
    for oid, tests in EXERCISED.items():
        assert tests, oid
        for test in tests.split():
            file, name = test.split("::")
            known = CASES | SOME if file == "test_clients" else re.findall(r"^def (test_\w+)", (HERE / f"{file}.py").read_text(), re.M)
            assert name in known, f"{oid}: there is no {test}"
