"""A thousand changes to a SCIM server that we did not write, behind a proxy that fails, while the
program is killed again and again: in the end the server holds what the directory holds."""

import json
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import ldap
import ldap.modlist
import pytest

from fault_proxy import FaultProxy
from support import PEOPLE, SUFFIX, TOKEN, wait_for

CHANGES = 1000
WRITERS = 3
LIVES = 4
NAMES = 120
GROUPS = 8
RATE = 0.08
SCIM_TOKEN = "tok1"
LIMIT_SECS = 60

TARGET = """\
kind: scim
base_url: http://127.0.0.1:{port}/v2
token_file: {token}
timeout_ms: 1000
retry_min_ms: 20
retry_max_ms: 200
concurrency: 4
member_chunk: 5
guard: {{enabled: false}}
quarantine: {{object_attempts: 1000000, failures: 1000000}}
"""


@pytest.fixture
def scim(tmp_path):
    """The port of a server that has nobody yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(sys.executable).parent / "scim2-server"
    command = [program, "--hostname=127.0.0.1", f"--port={port}", f"--bearer-token={SCIM_TOKEN}"]
    with open(tmp_path / "scim.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, "the SCIM server")
    yield port
    process.kill()
    process.wait()


class Writer(threading.Thread):
    """Changes people and groups until all writers together have made their share."""

    def __init__(self, server, seed, made, share):
        super().__init__(daemon=True)
        self.server, self.dice, self.made, self.share = server, random.Random(seed), made, share

    def run(self):
        try:
            connection = self.server.connect()
            while self.made.value < self.share:
                try:
                    self.change(connection)
                    self.made.up()
                except (ldap.NO_SUCH_OBJECT, ldap.ALREADY_EXISTS, ldap.TYPE_OR_VALUE_EXISTS, ldap.NO_SUCH_ATTRIBUTE,
                        ldap.OBJECT_CLASS_VIOLATION):
                    pass
        except (ldap.SERVER_DOWN, ldap.UNAVAILABLE, ldap.CONNECT_ERROR):
            # Killed: what became of the last change, the directory will tell.
            pass

    def person(self):
        return f"uid=p{self.dice.randrange(NAMES)},{PEOPLE}"

    def change(self, connection):
        choice, dn = self.dice.randrange(10), self.person()
        rdn = dn.split(",")[0]
        text = f"Name {self.dice.randrange(10_000)}".encode()
        if choice < 4:
            uid = rdn.removeprefix("uid=").encode()
            entry = {"objectClass": [b"inetOrgPerson"], "uid": [uid], "cn": [text], "sn": [text]}
            connection.add_s(dn, ldap.modlist.addModlist(entry))
        elif choice < 6:
            attribute = self.dice.choice(["sn", "title", "displayName"])
            connection.modify_s(dn, [(ldap.MOD_REPLACE, attribute, [text])])
        elif choice == 6:
            connection.delete_s(dn)
        elif choice == 7:
            connection.rename_s(dn, self.person().split(",")[0], None, True)
        elif choice == 8:
            away = f"ou=elsewhere,{SUFFIX}"
            if self.dice.randrange(2):
                connection.rename_s(dn, rdn, away, True)
            else:
                connection.rename_s(f"{rdn},{away}", rdn, PEOPLE, True)
        else:
            group = f"cn=g{self.dice.randrange(GROUPS)},ou=groups,{SUFFIX}"
            kind = self.dice.choice([ldap.MOD_ADD, ldap.MOD_ADD, ldap.MOD_DELETE])
            connection.modify_s(group, [(kind, "member", [dn.encode()])])


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def up(self):
        with self.lock:
            self.value += 1


def fill(server):
    entries = [f"dn: ou={ou},{SUFFIX}\nobjectClass: organizationalUnit\nou: {ou}\n" for ou in ("people", "groups", "elsewhere")]
    entries += [
        f"dn: cn=g{n},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: g{n}\nmember: uid=p{n},{PEOPLE}\n"
        for n in range(GROUPS)
    ]
    added = server.add("\n".join(entries))
    assert added.code == 0, added


def expected(server):
    """externalId to what the target should show of it."""
    people = server.search("(objectClass=inetOrgPerson)", "uid", "sn", "cn", "title", "entryUUID", base=PEOPLE, scope="one").entries
    uuids = {dn: entry["entryUUID"][0].decode() for dn, entry in people}
    first = lambda entry, name: entry[name][0].decode() if name in entry else None
    found = {
        uuids[dn]: (first(entry, "uid"), first(entry, "sn"), first(entry, "cn"), first(entry, "title"))
        for dn, entry in people
    }
    groups = server.search("(objectClass=groupOfNames)", "cn", "member", "entryUUID", base=f"ou=groups,{SUFFIX}").entries
    for _, entry in groups:
        members = {uuids[m.decode()] for m in entry["member"] if m.decode() in uuids}
        found[entry["entryUUID"][0].decode()] = (first(entry, "cn"), members)
    return found


def held(port):
    """The same as the server shows it, in a list: an externalId may be there twice."""
    def all_of(collection):
        address = f"http://127.0.0.1:{port}/v2/{collection}?count=1000"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {SCIM_TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer).get("Resources", [])

    users = all_of("Users")
    ids = {user["id"]: user["externalId"] for user in users}
    found = [
        (u["externalId"], (u["userName"], u["name"]["familyName"], u["name"]["formatted"], u.get("title")))
        for u in users
    ]
    for group in all_of("Groups"):
        members = [ids.get(m["value"], "unknown") for m in group.get("members", [])]
        assert len(members) == len(set(members)), "a member twice"
        found.append((group["externalId"], (group["displayName"], set(members))))
    return found


def is_settled(server):
    request = urllib.request.Request(f"http://{server.http}/targets", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = json.load(answer)
    targets = body["targets"] if isinstance(body, dict) else body
    return all(target["pending"] == 0 and target["lag"] == 0 for target in targets)


def test_kills_and_faults_neither_lose_nor_double_anything(new_server, scim):
    proxy = FaultProxy(scim, seed=7)
    server = new_server(flags=["--no-demo"])
    token = server.folder / "scim.token"
    token.write_text(SCIM_TOKEN)
    (server.folder / "targets" / "hr.yml").write_text(TARGET.format(port=proxy.port, token=token))
    server.start()
    fill(server)
    proxy.rate = RATE
    made = Counter()
    for life in range(LIVES):
        share = CHANGES * (life + 1) // LIVES
        writers = [Writer(server, life * 10 + n, made, share) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        if life % 2 == 0:
            # In the middle of it; who writes then is told nothing.
            half = CHANGES * life // LIVES + CHANGES // LIVES // 2
            wait_for(lambda: made.value >= half, "half of the changes", LIMIT_SECS)
            server.stop(signal.SIGKILL)
        for writer in writers:
            writer.join(LIMIT_SECS)
            assert not writer.is_alive()
        if server.process is not None:
            server.stop(signal.SIGKILL)
        server.start()
    proxy.rate = 0.0
    wait_for(lambda: is_settled(server), "the target to be settled", LIMIT_SECS)
    wanted, there = expected(server), held(scim)
    ids = [external_id for external_id, _ in there]
    duplicated = len(ids) - len(set(ids)) + len(set(ids) - set(wanted))
    there = dict(there)
    lost = [external_id for external_id, what in wanted.items() if there.get(external_id) != what]
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(proxy.faults.items()))
    print(
        f"{made.value} changes, {proxy.requests} requests, {sum(proxy.faults.values())} faults injected ({kinds}), "
        f"lost {len(lost)}, duplicated {duplicated}"
    )
    assert not lost, [(wanted[one], there.get(one)) for one in lost]
    assert duplicated == 0
    assert server.stop() == 0
    proxy.close()
