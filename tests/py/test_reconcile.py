"""Reconciliation: drift made at the target by hand is found, left alone, and repaired when told."""

import collections
import json
import signal
import uuid

import pytest

import scim_servers
from contract import Call
from scim_fake import Fake, target
from scim_servers import ScimServer
from support import PEOPLE, SUFFIX, person, wait_for
from test_target_command import answered, done, refused, run, settled, status

NO_CHANGE = "EXISTING_USER_ACCOUNT_RECONCILED_NO_CHANGE"


@pytest.fixture
def fake():
    fake = Fake()
    yield fake
    fake.stop()


FIRST = f"""\
dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

{person("first")}
dn: cn=all,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: all
member: uid=first,{PEOPLE}
"""


@pytest.fixture
def small(new_server, fake):
    """Starts a server with one person and one group, and a target that has both."""
    def start(**keys):
        server = new_server(flags=["--no-demo"])
        target(server, url=fake.url, **keys)
        server.start()
        server.add(FIRST).ok()
        wait_for(lambda: status(server)["linked"] == 2, "both arrive")
        settled(server)
        return server
    return start


@pytest.fixture
def hr(small):
    server = small()
    yield server
    assert server.stop() == 0


def events(said, status):
    return [event for event in said["events"] if event["status"] == status]


def one(said, status):
    found = events(said, status)
    assert len(found) == 1, (status, found)
    return found[0]


def drift(server, fake):
    """Each kind of difference once; the ids at the target by what was done."""
    for name in ("changed", "deleted", "same"):
        server.add(person(name, title="ours")).ok()
    wait_for(lambda: fake.named("same"), "they arrive")
    settled(server)
    ids = {name: fake.named(name)[0] for name in ("changed", "deleted", "same")}
    fake.change("Users", ids["changed"]["id"], title="theirs")
    fake.drop("Users", ids["deleted"]["id"])
    ids["twin"] = fake.put("Users", userName="twin", externalId=ids["same"]["externalId"])
    ids["again"] = fake.put("Users", userName="same")
    ids["orphan"] = fake.put("Users", userName="orphan", externalId=str(uuid.uuid4()))
    ids["foreign"] = fake.put("Users", userName="foreign", externalId="their-own-id")
    done(server, "pause", "hr")
    server.add(person("found")).ok()
    wait_for(lambda: status(server)["pending"] == 1, "the new one waits")
    ids["found"] = fake.put("Users", userName="found", nickName="theirs")
    return ids


def test_a_dry_run_finds_everything_and_changes_nothing(hr, fake):
    ids = drift(hr, fake)
    before, writes = fake.all(), len(fake.asked("P")) - len(fake.asked("GET"))
    said = answered(hr, "reconcile", "hr", "--dry-run", "--repair", "--repair-orphans")
    assert fake.all() == before
    assert said["batch"]["status"] == "Completed" and said["batch"]["repairs"] == 0
    assert said["batch"]["resourceTypes"] == ["User", "Group"] and said["batch"]["asked"]["dryRun"] is True

    changed = one(said, "EXISTING_USER_ACCOUNT_RECONCILED")
    assert changed["resourceId"] == ids["changed"]["id"] and changed["changed"] == ["title"]
    assert (changed["before"]["title"], changed["after"]["title"]) == ("theirs", "ours")
    assert changed["object"] == ids["changed"]["externalId"] and changed["resourceDisplayName"] == "changed"

    stale = one(said, "STALE")
    assert stale["resourceId"] == ids["deleted"]["id"] and stale["after"]["userName"] == "deleted"

    new = one(said, "NEW_USER_ACCOUNT_CREATED")
    assert new["resourceId"] == ids["found"]["id"] and new["matchedBy"] == "userName"

    orphan = one(said, "ORPHAN")
    assert orphan["resourceId"] == ids["orphan"]["id"]
    foreign = one(said, "RESOURCE_VALIDATION_FAILED")
    assert foreign["resourceId"] == ids["foreign"]["id"] and foreign["why"] == "no entry matches it"
    assert {e["resourceId"] for e in events(said, "AMBIGUOUS")} == {ids["twin"]["id"], ids["again"]["id"]}

    same = next(e for e in events(said, NO_CHANGE) if e["resourceId"] == ids["same"]["id"])
    assert same["before"] is None and same["matchedBy"] == "id"
    assert events(said, "EXISTING_RESOURCE_RECONCILED_NO_CHANGE")
    counts = collections.Counter(event["status"] for event in said["events"])
    assert counts == said["batch"]["counts"]
    assert [event["rowNumber"] for event in said["events"]] == list(range(1, len(said["events"]) + 1))

    # Personal data: for the server's account only.
    for file in (hr.data / "reconcile" / "hr").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    [header] = answered(hr, "reconciliations", "hr")
    assert header["id"] == said["batch"]["id"]
    text = done(hr, "reconciliations", "hr", header["id"])
    assert "1  ORPHAN" in text and NO_CHANGE in text and "title" in text
    done(hr, "resume", "hr")
    settled(hr)


def test_a_repair_restores_equality_and_only_a_told_one_removes_orphans(hr, fake):
    ids = drift(hr, fake)
    done(hr, "resume", "hr")
    settled(hr)
    for name in ("twin", "again"):
        fake.drop("Users", ids[name]["id"])
    first = answered(hr, "reconcile", "hr")
    assert fake.named("changed")[0]["title"] == "theirs" and not fake.named("deleted")
    assert first["batch"]["counts"]["STALE"] == 1
    said = answered(hr, "reconcile", "hr", "--repair")
    assert said["batch"]["repairs"] == 2
    wait_for(lambda: fake.named("deleted") and fake.named("changed")[0]["title"] == "ours", "both are repaired")
    settled(hr)
    assert fake.named("orphan") and fake.named("foreign")
    assert fake.named("deleted")[0]["externalId"] == ids["deleted"]["externalId"]
    answered(hr, "reconcile", "hr", "--repair-orphans")
    wait_for(lambda: not fake.named("orphan"), "the orphan is gone")
    settled(hr)
    last = answered(hr, "reconcile", "hr")["batch"]["counts"]
    assert set(last) == {NO_CHANGE, "EXISTING_RESOURCE_RECONCILED_NO_CHANGE", "RESOURCE_VALIDATION_FAILED"}
    assert last["RESOURCE_VALIDATION_FAILED"] == 1 and fake.named("foreign") == [ids["foreign"]]


def test_what_was_found_is_linked_by_a_repair(hr, fake):
    drift(hr, fake)
    said = answered(hr, "reconcile", "hr", "--repair", "--scope", "(uid=found)")
    assert [event["status"] for event in said["events"]] == ["NEW_USER_ACCOUNT_CREATED"]
    done(hr, "resume", "hr")
    wait_for(lambda: fake.named("found")[0].get("externalId"), "it is ours")
    settled(hr)
    [account] = answered(hr, "accounts", "found")["accounts"]
    assert account["mechanism"] == "Connected Reconciliation" and account["status"] == "Provisioned"
    # Nothing else was touched.
    assert fake.named("changed")[0]["title"] == "theirs" and not fake.named("deleted")


def test_orders_that_make_no_sense_are_refused(hr, fake):
    assert "scope" in refused(hr, "reconcile", "hr", "--scope", "(uid=")
    assert "no such target" in refused(hr, "reconcile", "nobody")
    Call(hr, "GET", f"/targets/hr/reconcile/{uuid.uuid4()}").gives(404)
    Call(hr, "GET", "/targets/hr/reconcile/x").gives(404)
    Call(hr, "POST", "/targets/hr/reconcile", {"dryrun": True}).gives(400)
    # One at a time.
    fake.hold(lambda request: request.startswith("GET /v2/Users?count"))
    begun = Call(hr, "POST", "/targets/hr/reconcile", {"dryRun": True}).gives(200).data
    assert fake.waiting.wait(30)
    Call(hr, "POST", "/targets/hr/reconcile", {"dryRun": True}).gives(409)
    fake.release()
    at = f"/targets/hr/reconcile/{begun['id']}"
    wait_for(lambda: Call(hr, "GET", at).data["batch"]["status"] == "Completed", "it ends")


def test_a_target_that_refuses_fails_the_batch_and_nothing_else(hr, fake):
    # Whether with a count or without: some servers refuse any.
    fake.refuse = lambda method, path, body: 400 if method == "GET" and "filter=" not in path else None
    result = run(hr, "reconcile", "hr")
    assert result.returncode == 1 and "Failed" in result.stderr
    fake.refuse = None
    [header] = answered(hr, "reconciliations", "hr")
    assert header["status"] == "Failed" and "400" in header["why"]
    assert answered(hr, "reconcile", "hr")["batch"]["status"] == "Completed"


def test_a_killed_server_goes_on_at_the_last_page_without_double_events(hr, fake):
    people = [f"many{number:03}" for number in range(200)]
    hr.add("\n".join(person(name) for name in people)).ok()
    wait_for(lambda: len(fake.all()) > len(people), "all arrive", secs=60)
    settled(hr)
    for number in range(2000 - len(fake.all())):
        fake.put("Users", userName=f"theirs{number}")
    there = fake.all()

    fake.hold(lambda request: "startIndex=1001" in request)
    begun = Call(hr, "POST", "/targets/hr/reconcile", {}).gives(200).data
    assert fake.waiting.wait(30)
    at = f"/targets/hr/reconcile/{begun['id']}"
    assert Call(hr, "GET", at + "?limit=0").data["batch"]["cursor"]["rowNumber"] == 1000
    hr.stop(signal.SIGKILL)
    with fake.lock:
        fake.requests.clear()
    fake.release()
    hr.start()
    wait_for(lambda: Call(hr, "GET", at + "?limit=0").data["batch"]["status"] == "Completed", "it ends")
    assert fake.asked("/v2/Users?count=")[0].endswith("startIndex=1001")
    said = answered(hr, "reconciliations", "hr", begun["id"])
    ids = collections.Counter(event["resourceId"] for event in said["events"] if event["resourceType"] == "User")
    assert set(ids) == set(there) and set(ids.values()) == {1} and len(ids) == 2000
    counts = said["batch"]["counts"]
    assert counts[NO_CHANGE] > len(people) and counts["RESOURCE_VALIDATION_FAILED"] == 2000 - counts[NO_CHANGE]
    assert set(counts) == {NO_CHANGE, "EXISTING_RESOURCE_RECONCILED_NO_CHANGE", "RESOURCE_VALIDATION_FAILED"}
    assert fake.all() == there


def test_a_server_that_we_did_not_write_is_made_equal_again(new_server, tmp_path):
    there = ScimServer("scim2-server", tmp_path / "scim2-server")
    server = new_server()
    target(server, url=there.url, token=scim_servers.TOKEN, update="patch")
    server.start()
    settled(server)
    before, groups = there.users(), there.groups()
    changed, deleted = before["amartin"], before["lbernard"]
    assert changed["externalId"]
    patch = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
             "Operations": [{"op": "replace", "path": "displayName", "value": "by hand"}]}
    assert there.ask("PATCH", f"Users/{changed['id']}", patch)[0] in (200, 204)
    assert there.ask("DELETE", f"Users/{deleted['id']}")[0] == 204
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}
    orphan = {**user, "userName": "orphan", "externalId": str(uuid.uuid4())}
    assert there.ask("POST", "Users", orphan)[0] == 201
    assert there.ask("POST", "Users", {**user, "userName": "foreign"})[0] == 201

    said = answered(server, "reconcile", "hr", "--repair", "--repair-orphans")
    assert one(said, "EXISTING_USER_ACCOUNT_RECONCILED")["changed"] == ["displayName"]
    assert one(said, "STALE")["resourceId"] == deleted["id"]
    assert one(said, "ORPHAN")["resourceDisplayName"] == "orphan"
    assert one(said, "RESOURCE_VALIDATION_FAILED")["resourceDisplayName"] == "foreign"

    def plain(users):
        return {name: {k: v for k, v in user.items() if k not in ("id", "meta", "groups")} for name, user in users.items()}
    wait_for(lambda: plain(there.users()).keys() == before.keys() | {"foreign"}, "the accounts are those of before")
    settled(server)
    after = plain(there.users())
    del after["foreign"]
    assert after == plain(before) and there.groups() == groups
    last = answered(server, "reconcile", "hr")["batch"]["counts"]
    assert set(last) == {NO_CHANGE, "EXISTING_RESOURCE_RECONCILED_NO_CHANGE", "RESOURCE_VALIDATION_FAILED"}
    assert server.stop() == 0
    there.stop()
def test_a_repair_takes_from_the_target_what_its_direction_says(small, fake):
    maps = {"users": {"title": {"attribute": "title", "direction": "pull"},
                      "nickName": {"attribute": "eduPersonNickname", "direction": "both"}}}
    server = small(map=maps)
    server.add(person("pulled", title="ours", classes=["eduPerson"])).ok()
    server.add(person("kept", eduPersonNickname="ours", classes=["eduPerson"])).ok()
    wait_for(lambda: fake.named("pulled") and fake.named("kept"), "they arrive")
    settled(server)
    [pulled], [kept] = fake.named("pulled"), fake.named("kept")
    assert "title" not in pulled and kept["nickName"] == "ours"
    fake.change("Users", pulled["id"], title="theirs", nickName="theirs", displayName="theirs")
    fake.change("Users", kept["id"], nickName="theirs")

    said = answered(server, "reconcile", "hr", "--scope", "(|(uid=pulled)(uid=kept))")
    by_name = {event["resourceDisplayName"]: event for event in said["events"]}
    assert by_name["pulled"]["pulled"] == {"title": ["theirs"], "eduPersonNickname": ["theirs"]}
    assert "pulled" not in by_name["kept"] and by_name["kept"]["changed"] == ["nickName"]
    before = server.search("(uid=pulled)", "title").ok().entry
    assert before["title"] == [b"ours"]

    answered(server, "reconcile", "hr", "--repair")
    wait_for(lambda: fake.named("kept")[0]["nickName"] == "ours", "ours is sent again where we had one")
    entry = server.search("(uid=pulled)", "title", "eduPersonNickname").ok().entry
    assert entry["title"] == entry["eduPersonNickname"] == [b"theirs"]
    settled(server)
    [pulled] = fake.named("pulled")
    assert pulled["nickName"] == "theirs" and pulled["displayName"] != "theirs"
    last = answered(server, "reconcile", "hr")["batch"]["counts"]
    assert set(last) == {NO_CHANGE, "EXISTING_RESOURCE_RECONCILED_NO_CHANGE"}
    assert server.stop() == 0
