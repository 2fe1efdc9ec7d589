"""Change feeds under load: nothing is lost or told twice, a slow client costs no memory, a crash or a restored
backup leads no consumer astray."""

import base64
import pathlib
import re
import shutil
import signal
import socket
import threading

import pytest

from support import ADMIN, ADMIN_PASSWORD, PEOPLE, SUFFIX, person, wait_for
from test_sync import OU, REFRESH_REQUIRED, Consumer, own, refused, truth, unit  # noqa: F401


def write(server, names):
    connection = server.connect()
    for name in names:
        attrs = [("objectClass", [b"inetOrgPerson"]), ("cn", [b"x"]), ("sn", [b"x"])]
        connection.add_s(f"uid={name},{OU}", attrs)


def test_nothing_is_lost_or_told_twice_while_others_write(own):
    """Consumers begin in the midst of it; each entry reaches each of them exactly once."""
    writers = [threading.Thread(target=write, args=(own, [f"w{w}n{n}" for n in range(100)])) for w in range(4)]
    for one in writers:
        one.start()
    consumers = []
    while any(one.is_alive() for one in writers):
        if len(consumers) < 6:
            consumers.append(Consumer(own, base=OU))
            consumers[-1].message = consumers[-1].syncrepl_search(mode="refreshAndPersist", **consumers[-1].search)
        for one in consumers:
            one.poll()
    for one in writers:
        one.join()
    wanted = {f"uid=w{w}n{n},{OU}" for w in range(4) for n in range(100)} | {OU}
    assert consumers
    for one in consumers:
        one.until(lambda: one.names == wanted)
        told = [dn for _, dn in one.told]
        assert sorted(told) == sorted(wanted)
        assert Consumer(own, base=OU, cookie=one.cookie).refresh().told == []


def ber(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def text(value):
    return ber(4, value.encode())


def memory(server):
    """MiB that the server holds."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10


def watch_without_reading(server):
    """A connection with a persistent search of which only the answer to the bind is read."""
    host, port = server.ldap.rsplit(":", 1)
    lazy = socket.create_connection((host, int(port)))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bind = ber(0x60, ber(2, b"\x03"), text(ADMIN), ber(0x80, ADMIN_PASSWORD.encode()))
    psearch = ber(0x30, ber(2, b"\x0f"), ber(1, b"\xff"), ber(1, b"\xff"))
    control = ber(0xA0, ber(0x30, text("2.16.840.1.113730.3.4.3"), ber(1, b"\xff"), ber(4, psearch)))
    zero = ber(2, b"\x00")
    search = ber(0x63, text(OU), ber(10, b"\x02"), ber(10, b"\x00"), zero, zero, ber(1, b"\x00"),
                 ber(0x87, b"objectClass"), ber(0x30))
    lazy.sendall(ber(0x30, ber(2, b"\x01"), bind) + ber(0x30, ber(2, b"\x02"), search, control))
    assert lazy.recv(4096)
    return lazy


CLIENTS, PHOTOS = 10, 40


def test_clients_that_do_not_read_cost_no_memory(new_server):
    server = new_server(limits="{write_secs: 10}").start()
    server.add(unit("feed")).ok()
    server.add(person("photo", OU)).ok()
    lazy = [watch_without_reading(server) for _ in range(CLIENTS)]
    before = memory(server)
    for number in range(PHOTOS):
        photo = base64.b64encode(bytes([number]) * (1 << 20)).decode()
        server.modify(f"dn: uid=photo,{OU}\nchangetype: modify\nreplace: jpegPhoto\njpegPhoto:: {photo}\n").ok()
    grown = memory(server) - before
    # The store's cache takes most of it. All that these clients have not read would be twice as much.
    assert grown < CLIENTS * PHOTOS // 2, f"{grown} MiB for clients that read nothing"
    assert server.search("(objectClass=*)", "ou", base=OU).ok().names == {"feed", "photo"}
    wait_for(lambda: server.log().count('op="abandon"') == CLIENTS, "the server has given them up")
    for one in lazy:
        one.close()


def test_a_cookie_is_good_after_a_crash(own):
    consumer = Consumer(own).persist()
    own.add(person("before", OU)).ok()
    consumer.until(lambda: consumer.told)
    cookie = consumer.cookie
    own.stop(signal.SIGKILL)
    own.start()
    own.add(person("after", OU)).ok()
    again = Consumer(own, cookie=cookie).refresh()
    assert again.told == [("entry", f"uid=after,{OU}")]


@pytest.mark.parametrize("more", [0, 5])
def test_a_cookie_from_after_the_backup_asks_for_a_refresh(own, more):
    """What it stands for is not in the restored store, even when as many changes have been made since."""
    assert own.stop() == 0
    backup = own.folder / "backup"
    shutil.copytree(own.data, backup)
    own.start()
    old = Consumer(own).refresh()
    for number in range(2):
        own.add(person(f"lost{number}", OU)).ok()
    lost = Consumer(own, cookie=old.cookie).refresh()
    assert len(lost.told) == 2
    assert own.stop() == 0
    shutil.rmtree(own.data)
    shutil.copytree(backup, own.data)
    own.start()
    for number in range(more):
        own.add(person(f"new{number}", OU)).ok()
    assert refused(Consumer(own, cookie=lost.cookie)) == REFRESH_REQUIRED
    known = Consumer(own, cookie=old.cookie).refresh()
    assert len(known.told) == more
    assert Consumer(own).refresh().entries == truth(own)
