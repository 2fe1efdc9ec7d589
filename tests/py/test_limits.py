"""Limits: each with its code, what was found so far, and a key in the configuration."""

import socket
import struct

import ldap
import pytest

from support import ADMIN, AMARTIN, LBERNARD, PEOPLE, SUFFIX, person, wait_for

LIMITS_FOR = "limits_for:\n"


def for_some(who, **values):
    lines = [f'  - who: ["{who}"]'] + [f"    {name}: {value}" for name, value in values.items()]
    return LIMITS_FOR + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def many():
    """LDIF of enough people for a search to take its time."""
    ou = f"dn: ou=many,{SUFFIX}\nobjectClass: organizationalUnit\nou: many\n\n"
    return ou + "\n".join(person(f"m{n:04}", f"ou=many,{SUFFIX}", description="d" * 200) for n in range(400))


def slow_filter():
    return "(|" + "".join(f"(description=*{n}x*)" for n in range(4000)) + ")"


def test_a_search_that_takes_too_long(new_server, many):
    server = new_server(limits="{ search_secs: 1 }", extra=for_some("admin", search_secs=0)).start()
    server.add(many).ok()
    ok = server.search("(uid=m0001)", "1.1", base=f"ou=many,{SUFFIX}")
    assert ok.code == 0
    found = server.search(slow_filter(), "1.1", base=f"ou=many,{SUFFIX}", flags=("-l", "1"))
    found.refused(3, "longer than the limit")


def test_the_time_limit_of_the_server_holds_for_others(new_server, many):
    extra = for_some(f"dn:{AMARTIN}", search_secs=1)
    rules = (server_access := new_server("rules")).folder / "open.yml"
    rules.write_text("rules:\n  - name: all\n    who: [anyone]\n    rights: all\n")
    assert server_access.process is None
    server = new_server(access=rules, extra=extra).start()
    server.add(many).ok()
    with pytest.raises(ldap.TIMELIMIT_EXCEEDED):
        server.connect(AMARTIN).search_s(f"ou=many,{SUFFIX}", ldap.SCOPE_SUBTREE, slow_filter(), ["1.1"])


def test_connections_of_one_identity(new_server):
    server = new_server(extra=for_some(f"dn:{AMARTIN}", identity_connections=2)).start()
    first, second = server.connect(AMARTIN), server.connect(AMARTIN)
    with pytest.raises(ldap.BUSY):
        server.connect(AMARTIN)
    server.connect(LBERNARD), server.connect(ADMIN)
    # To bind anew is not one more.
    first.simple_bind_s(AMARTIN, "demo-amartin-2026")
    second.unbind_s()
    wait_for(lambda: can_bind(server), "a place is free")


def can_bind(server):
    try:
        return server.connect(AMARTIN).whoami_s() == f"dn:{AMARTIN}"
    except ldap.BUSY:
        return False


def notice(sock):
    """The result code of a notice of disconnection, after which the server closes."""
    data = b""
    while chunk := sock.recv(4096):
        data += chunk
    assert data[0] == 0x30 and b"\x02\x01\x00\x78" in data[:10] and b"1.3.6.1.4.1.1466.20036" in data, data
    return data[data.index(b"\x0a\x01") + 2]


def open_socket(server):
    host, port = server.ldap.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=20)
    return sock


def test_an_idle_connection_is_told_and_closed(new_server):
    server = new_server(limits="{ idle_secs: 1 }").start()
    with open_socket(server) as sock:
        assert notice(sock) == 52


def test_a_message_larger_than_allowed(new_server):
    server = new_server(limits="{ message_bytes_anonymous: 1000, message_bytes: 5000 }").start()
    with open_socket(server) as sock:
        sock.sendall(b"\x30\x84" + struct.pack(">I", 1001))
        assert notice(sock) == 2
    connection = server.connect()
    connection.modify_s(SUFFIX, [(ldap.MOD_REPLACE, "description", [b"x" * 4000])])
    with pytest.raises(ldap.LDAPError):
        connection.modify_s(SUFFIX, [(ldap.MOD_REPLACE, "description", [b"x" * 6000])])
    assert server.search("(objectClass=*)", "description", base=SUFFIX, scope="base").entry["description"] == [b"x" * 4000]


def test_more_connections_than_allowed_wait(new_server):
    server = new_server(limits="{ connections: 2 }").start()
    first, second = server.connect(), server.connect()
    with open_socket(server) as third:
        third.sendall(b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00")
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.unbind_s()
        third.settimeout(20)
        assert third.recv(100)[5:7] == b"\x61\x07"
    second.unbind_s()


def test_partial_results_come_before_the_refusal(new_server):
    server = new_server(limits="{ search_candidates: 20 }").start()
    found = server.search("(!(description=nothing))", "1.1", base=PEOPLE)
    found.refused(11)
    assert 0 < found.out.count("dn: ") <= 20
