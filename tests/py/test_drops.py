"""Files for everything else: lines of JSON, tables, LDIF."""

import csv
import io
import json
import signal

import pytest

from batch_target import Gateway, line_change
from support import PEOPLE, SUFFIX, person, wait_for


@pytest.fixture
def make_gateway(new_server):
    def make(kind, **keys):
        usual = {"kind": kind, "folder": "out", "gather_ms": 50, "users": {"filter": "(employeeType=drop)"},
                 "groups": {"enabled": False}}
        return Gateway(new_server(), **(usual | keys))

    return make


def files(gateway, ending):
    return sorted((gateway.folder / "out").glob(f"t-*{ending}"))


def joiner(gateway, uid, **attrs):
    usual = {"mail": [f"{uid}@a.example", f"{uid}@b.example"], "employeeType": "drop", "givenName": "Jo"}
    gateway.server.add(person(uid, **(usual | attrs))).ok()
    return gateway.uuid(uid)


def lines(gateway):
    return [json.loads(line) for file in files(gateway, ".jsonl") for line in file.read_text().splitlines()]


def state(found):
    """What a consumer holds who has read everything in order."""
    held = {}
    for line in found:
        if line["operation"] == "delete":
            held.pop(line["id"], None)
        else:
            held[line["id"]] = line["document"]
    return held


def test_lines_of_json(make_gateway):
    gateway = make_gateway("jsonl").start()
    uuid = joiner(gateway, "ann")
    wait_for(lambda: uuid in state(lines(gateway)), "ann is told of")
    gateway.server.modify(line_change(f"uid=ann,{PEOPLE}", "title", "Dean")).ok()
    wait_for(lambda: state(lines(gateway))[uuid].get("title") == "Dean", "the change is told of")
    gateway.server.delete(f"uid=ann,{PEOPLE}").ok()
    wait_for(lambda: uuid not in state(lines(gateway)), "the end is told of")
    gateway.settled()
    found = lines(gateway)
    assert [line["operation"] for line in found] == ["put", "put", "delete"]
    assert [line["sequence"] for line in found] == [1, 2, 3]
    assert found[0]["version"] < found[1]["version"]
    assert found[0]["document"]["mail"] == ["ann@a.example", "ann@b.example"]
    names = [file.name for file in files(gateway, ".jsonl")]
    assert names == ["t-0000000001.jsonl", "t-0000000002.jsonl", "t-0000000003.jsonl"]
    assert files(gateway, ".jsonl")[0].stat().st_mode & 0o777 == 0o640


def test_a_table_of_changes(make_gateway):
    gateway = make_gateway("csv", separator=";").start()
    uuid = joiner(gateway, "bob")
    wait_for(lambda: files(gateway, "-users.csv"), "a table")
    gateway.settled()
    gateway.server.delete(f"uid=bob,{PEOPLE}").ok()
    wait_for(lambda: len(files(gateway, "-users.csv")) == 2, "another table")
    first, second = [list(csv.DictReader(io.StringIO(f.read_text()))) for f in files(gateway, "-users.csv")]
    assert (first[0]["operation"], first[0]["id"], first[0]["mail"]) == ("put", uuid, "bob@a.example;bob@b.example")
    assert (second[0]["operation"], second[0]["id"]) == ("delete", uuid)
    assert list(first[0])[:4] == ["operation", "id", "uid", "active"]


def test_a_whole_table_and_its_retention(make_gateway):
    gateway = make_gateway("csv", content="full", keep=2).start()
    uuids = [joiner(gateway, f"c{n}") for n in range(4)]

    def newest():
        found = files(gateway, "-users.csv")
        return {r["id"]: r for r in csv.DictReader(io.StringIO(found[-1].read_text()))} if found else {}

    wait_for(lambda: set(newest()) == set(uuids), "all four")
    gateway.settled()
    assert gateway.server.stop() == 0
    gateway.start()
    gateway.server.delete(f"uid=c0,{PEOPLE}").ok()
    wait_for(lambda: set(newest()) == set(uuids[1:]), "three, though the server was started again")
    gateway.server.modify(line_change(f"uid=c1,{PEOPLE}", "title", "Dean")).ok()
    wait_for(lambda: newest()[uuids[1]]["title"] == "Dean", "the change")
    gateway.settled()
    assert len(files(gateway, "-users.csv")) == 2, "older tables go"


def test_killed_again_and_again_everything_is_told_once(make_gateway):
    gateway = make_gateway("jsonl", rows=3, gather_ms=1).start()
    uuids = set()
    for round_ in range(6):
        uuids |= {joiner(gateway, f"k{round_}x{n}") for n in range(8)}
        # Somewhere between the first file and the last.
        seen = len(files(gateway, ".jsonl"))
        wait_for(lambda: len(files(gateway, ".jsonl")) > seen or len(state(lines(gateway))) == len(uuids), "a file")
        gateway.kill()
        gateway.revive()
    gateway.settled()
    found = lines(gateway)
    assert set(state(found)) == uuids
    assert sorted(line["id"] for line in found) == sorted(uuids), "nobody is told of twice"
    assert not list((gateway.folder / "out").glob(".*part")), "no part is left"


def test_a_folder_that_cannot_be_written(make_gateway):
    gateway = make_gateway("jsonl")
    (gateway.folder / "out").write_text("in the way")
    gateway.start()
    uuid = joiner(gateway, "dan")
    wait_for(lambda: "the folder cannot be used" in str(gateway.status()["state"]), "the target is stopped")
    (gateway.folder / "out").unlink()
    wait_for(lambda: uuid in state(lines(gateway)), "dan is told of")
    gateway.settled()


def test_a_stop_in_between_is_no_loss(make_gateway):
    gateway = make_gateway("jsonl", gather_ms=100).start()
    uuid = joiner(gateway, "eve")
    assert gateway.server.stop(signal.SIGTERM) == 0
    gateway.start()
    wait_for(lambda: uuid in state(lines(gateway)), "eve is told of")
    gateway.settled()
    assert len(lines(gateway)) == 1


def test_change_records_of_ldif(make_gateway, new_server):
    """A directory that takes the files in their order, by a tool that we did not write, becomes equal."""
    gateway = make_gateway("ldif", users={"filter": "(employeeType=drop)"},
                           groups={"filter": "(cn=dropped)"}).start()
    server, consumer = gateway.server, new_server("consumer").start()
    taken = set()

    def follow():
        for file in files(gateway, ".ldif"):
            if file.name not in taken:
                consumer.modify(file.read_text()).ok()
                taken.add(file.name)
        wanted = "(|(employeeType=drop)(cn=dropped))"
        ours, theirs = [{dn: {k: sorted(v) for k, v in e.items()} for dn, e in s.search(wanted).entries}
                        for s in (server, consumer)]
        return ours == theirs and len(ours)

    for uid in ("fay", "gil"):
        joiner(gateway, uid, description="é", jpegPhoto=b"\xff\xd8\x00\x01")
    wait_for(lambda: follow() == 2, "both are there")
    server.add(f"dn: cn=dropped,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: dropped\n"
               f"member: uid=fay,{PEOPLE}\n").ok()
    server.modify(f"dn: uid=gil,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=guy\ndeleteoldrdn: 1\n").ok()
    server.modify(line_change(f"uid=fay,{PEOPLE}", "title", "Dean")).ok()
    server.modify(line_change(f"uid=fay,{PEOPLE}", "jpegPhoto")).ok()
    wait_for(lambda: follow() == 3, "changes, a rename and a group")
    server.modify(line_change(f"cn=dropped,ou=groups,{SUFFIX}", "member", f"uid=guy,{PEOPLE}")).ok()
    server.delete(f"uid=fay,{PEOPLE}").ok()
    wait_for(lambda: follow() == 2, "the end of one")
    gateway.settled()
    text = "".join(file.read_text() for file in files(gateway, ".ldif"))
    assert all(f"changetype: {kind}\n" in text for kind in ("add", "modify", "modrdn", "delete"))
