"""cn=monitor: what the server tells of its own work."""

from support import ADMIN, AMARTIN, PEOPLE, SUFFIX, wait_for

MONITOR = "cn=monitor"


def read(server, name, *attrs, who=ADMIN):
    return server.search("(objectClass=*)", *(attrs or ("*", "+")), base=f"{name},{MONITOR}" if name else MONITOR, scope="base", who=who)


def counter(server, name, attr="monitorCounter"):
    return int(read(server, name).ok().entry[attr][0])


def test_it_is_found_by_the_root_dse(server):
    root = server.search("(objectClass=*)", "monitorContext", base="", scope="base", who=None).ok().entry
    assert root == {"monitorContext": [MONITOR.encode()]}
    assert b"monitorServer" in read(server, "").ok().entry["objectClass"]


def test_scopes_and_filters_hold(server):
    def dns(scope, filter="(objectClass=*)"):
        return server.search(filter, "1.1", base=MONITOR, scope=scope).ok().dns

    containers = {f"cn={name},{MONITOR}" for name in ["Connections", "Operations", "Rates", "Statistics", "Store", "Targets", "Time"]}
    assert set(dns("one")) == containers
    assert MONITOR in dns("sub") and MONITOR not in dns("children") and len(dns("sub")) == len(dns("children")) + 1
    assert dns("sub", "(&(objectClass=monitorOperation)(cn=search))") == [f"cn=Search,cn=Operations,{MONITOR}"]
    assert server.search("(objectClass=*)", base=f"cn=no,{MONITOR}").code == 32


def test_operations_are_counted(server):
    name = "cn=Compare,cn=Operations"
    before = counter(server, name, "monitorOpCompleted")
    for _ in range(3):
        server.tool("ldapcompare", AMARTIN, "sn:Martin")
    assert counter(server, name, "monitorOpCompleted") == before + 3
    assert counter(server, name, "monitorOpInitiated") == before + 3
    assert counter(server, "cn=Last Minute,cn=Rates") >= 3


def test_entries_sent_are_counted(server):
    before = counter(server, "cn=Entries,cn=Statistics")
    found = len(server.search("(uid=*)", "1.1", base=PEOPLE).ok().dns)
    assert counter(server, "cn=Entries,cn=Statistics") - before in (found, found + 1)


def test_connections_come_and_go(server):
    connection = server.connect(AMARTIN)
    connection.search_s(SUFFIX, 0)

    def mine():
        found = server.search(f"(monitorConnectionAuthzDN={AMARTIN})", "+", base=f"cn=Connections,{MONITOR}").ok()
        return found.entries

    ((_, entry),) = mine()
    assert entry["monitorConnectionPeerAddress"][0].startswith(b"127.0.0.1:")
    assert entry["monitorConnectionOpsReceived"] == [b"2"] and entry["monitorConnectionOpsCompleted"] == [b"2"]
    assert counter(server, "cn=Current,cn=Connections") >= 2
    connection.unbind_s()
    wait_for(lambda: not mine(), "the connection is gone")


def test_the_store_and_targets(server, someone):
    entries = len(server.search("(objectClass=*)", "1.1").ok().dns)
    assert counter(server, "cn=Entries,cn=Store") == entries
    assert counter(server, "cn=Journal,cn=Store") > 0
    assert read(server, "cn=Healthy,cn=Store").entry["monitoredInfo"] == [b"TRUE"]


def test_targets_show_their_state(new_server):
    server = new_server()
    (server.folder / "targets" / "down.yml").write_text("kind: scim\nbase_url: http://127.0.0.1:9/\ntoken_file: token\n")
    (server.folder / "targets" / "token").write_text("secret\n")
    server.start()
    lines = read(server, "cn=down,cn=Targets").ok().entry["monitoredInfo"]
    assert b"kind: scim" in lines and any(line.startswith(b"pending: ") for line in lines)


def test_only_the_administrator_sees_it(server):
    for who in [AMARTIN, None]:
        assert server.search("(objectClass=*)", base=MONITOR, who=who).code in (0, 32)
        assert server.search("(objectClass=*)", base=MONITOR, who=who).out == ""


def test_compare_and_writes(server):
    server.tool("ldapcompare", f"cn=Healthy,cn=Store,{MONITOR}", "monitoredInfo:TRUE").refused(6)
    assert server.delete(MONITOR).code == 32
