"""Client libraries that we did not write: Perl's Net::LDAP, Java's JNDI, ldapts on Node, Python's
ldap3. Each driver in tests/clients runs the same named cases in one process and prints what it saw;
here stands what it must have seen."""

import pathlib
import subprocess
import sys

import pytest

from support import ADMIN, ADMIN_PASSWORD, REPO, SUFFIX, Server

DRIVERS = REPO / "tests" / "clients"

# tests/run puts them beside the Python environment that runs this.
NODE_MODULES = pathlib.Path(sys.prefix).parent / "js" / "node_modules"
BASE = "ou=clients," + SUFFIX
AS_ADMIN = f"dn:{ADMIN}"

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
    "net_ldap": lambda: ["perl", str(DRIVERS / "net_ldap.pl")],
    "ldapts": lambda: ["node", str(DRIVERS / "js" / "ldapts.mjs")],
    "ldap3": lambda: [sys.executable, str(DRIVERS / "python_ldap3.py")],
    # java compiles the one file itself; the truststore may be a PEM file since Java 18 only, so it is
    # made from one.
    "jndi": lambda: ["java", *JAVA_OPTIONS, str(DRIVERS / "Jndi.java")],
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
    "ldap3": {},
    # Neither do its errors; a compare is a search that finds.
    "jndi": {"add_without_parent": "32", "search_no_such_base": "32", "delete_no_entry": "0", "compare_true": "true",
             "compare_false": "false"},
}


class Run:
    """One run of a driver: what it printed for each case."""

    def __init__(self, client, server, folder):
        command = CLIENTS[client]()
        if client == "jndi":
            subprocess.run(
                ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", str(server.ca), "-keystore", "trust.jks",
                 "-storepass", "truststore"], cwd=folder, check=True, capture_output=True, timeout=110)
        env = dict(server.env, URI=server.uri(), LDAPS_URI=server.uri("ldaps"), CA=str(server.ca), BASE=BASE, ADMIN=ADMIN,
                   PASSWORD=ADMIN_PASSWORD, NODE_MODULES=str(NODE_MODULES))
        ended = subprocess.run(command, env=env, cwd=folder, capture_output=True, timeout=110)
        self.err = ended.stderr.decode(errors="replace")
        # A driver that breaks off shows up in the cases it has not come to.
        lines = ended.stdout.decode().splitlines()
        self.seen = dict(line.split("\t", 1) for line in lines if "\t" in line)
        self.ended = ended.returncode


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each client meets a server of its own, once."""
    done = {}

    def run(client):
        if client not in done:
            folder = tmp_path_factory.mktemp(client)
            server = Server(folder / "server").start()
            try:
                done[client] = Run(client, server, folder)
            finally:
                assert server.stop() == 0
        return done[client]

    return run


@pytest.mark.parametrize("client, name", [(c, n) for c in CLIENTS for n in CASES if n not in CANNOT[c]])
def test_case(runs, client, name):
    run = runs(client)
    expected = OTHERWISE[client].get(name, CASES[name])
    assert run.seen.get(name) == expected, f"{client} {name}; on its error stream: {run.err}"


@pytest.mark.parametrize("client", CLIENTS)
def test_every_case_is_asked_for(runs, client):
    run = runs(client)
    assert run.ended == 0, run.err
    assert set(run.seen) - {"client"} == set(CASES) - CANNOT[client]
