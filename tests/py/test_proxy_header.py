"""Load balancers that say whose a connection is (the PROXY protocol)."""

import socket
import ssl
import struct

import pytest

from support import ADMIN, ADMIN_PASSWORD, LIMIT_SECS

WHO_AM_I = b"\x30\x1e\x02\x01\x01\x77\x19\x80\x171.3.6.1.4.1.4203.1.11.3"
VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 389\r\n"
V2 = VERSION_2 + b"\x21\x11" + struct.pack(">H", 12) + bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 4660, 389)


@pytest.fixture
def start(new_server):
    def make(networks, **options):
        server = new_server(**options)
        server.config.write_text(server.config.read_text() + f"listen: {{proxy_from: {networks}}}\n")
        return server.start()

    return make


def connect(server, header, transport="ldap"):
    host, port = (server.ldaps if transport == "ldaps" else server.ldap).split(":")
    stream = socket.create_connection((host, int(port)), LIMIT_SECS)
    stream.sendall(header)
    if transport == "ldaps":
        stream = ssl.create_default_context(cafile=str(server.ca)).wrap_socket(stream, server_hostname="localhost")
    return stream


def tlv(tag, *parts):
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body if len(body) < 128 else bytes([tag, 0x81, len(body)]) + body


def peers(stream):
    """The addresses of all connections, as the monitor tells them to the administrator."""
    bind = tlv(0x60, b"\x02\x01\x03", tlv(4, ADMIN.encode()), tlv(0x80, ADMIN_PASSWORD.encode()))
    stream.sendall(tlv(0x30, b"\x02\x01\x01", bind))
    assert b"\x61\x07\x0a\x01\x00" in stream.recv(1000)
    name = b"monitorConnectionPeerAddress"
    search = tlv(0x63, tlv(4, b"cn=Connections,cn=monitor"), b"\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00",
                 tlv(0x87, name), tlv(0x30, tlv(4, name)))
    stream.sendall(tlv(0x30, b"\x02\x01\x02", search))
    got = b""
    while b"\x65\x07\x0a\x01\x00" not in got:
        more = stream.recv(10000)
        assert more, got
        got += more
    return got


@pytest.mark.parametrize("transport", ["ldap", "ldaps"])
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_the_client_is_who_the_balancer_says(start, header, transport):
    server = start('["127.0.0.0/8"]', flags=["--log-level=debug"])
    with connect(server, header, transport) as stream:
        found = peers(stream)
    assert b"192.0.2.7:4660" in found and b"127.0.0.1:" not in found
    assert "192.0.2.7:4660" in server.log()


def test_a_balancer_may_speak_for_itself(start):
    server = start("[127.0.0.1]")
    for header in [b"PROXY UNKNOWN\r\n", VERSION_2 + b"\x20\x00\x00\x00"]:
        with connect(server, header) as stream:
            assert b"127.0.0.1:" in peers(stream)


def test_a_balancer_has_to_send_the_header(start):
    server = start("[127.0.0.1]")
    for first in [WHO_AM_I, b"PROXY NONSENSE\r\n" + WHO_AM_I, VERSION_2 + b"\x41\x11\x00\x00" + WHO_AM_I]:
        with connect(server, first) as stream:
            try:
                assert stream.recv(1000) == b"", first
            except ConnectionResetError:
                pass
    assert server.log().count("load balancer refused") == 3


def test_nobody_else_may_send_one(start, server):
    for one in [server, start('["192.0.2.0/24"]')]:
        for header in [V1, V2]:
            with connect(one, header + WHO_AM_I) as stream:
                # Notice of disconnection, under message id 0.
                assert stream.recv(1000)[2:5] == b"\x02\x01\x00"
        with connect(one, WHO_AM_I) as stream:
            assert stream.recv(1000)[2:6] == b"\x02\x01\x01\x78"


def test_a_fault_of_the_configuration_is_told(new_server):
    server = new_server()
    server.config.write_text(server.config.read_text() + "listen: {proxy_from: [10.0.0.0/33]}\n")
    answer = server.command("check")
    assert answer.returncode != 0 and "listen.proxy_from: '10.0.0.0/33' is neither" in answer.stderr
