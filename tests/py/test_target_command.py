"""`vestibule target`: what operators see of targets and order of them, as the target itself notices."""

import json

import pytest

from contract import Call
from scim_fake import Fake, target
from support import AMARTIN, PEOPLE, person, wait_for


@pytest.fixture(scope="module")
def fake():
    fake = Fake()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def hr(tmp_path_factory, fake):
    """A server with one target that holds the demonstration data."""
    from support import Server

    server = Server(tmp_path_factory.mktemp("hr"))
    target(server, url=fake.url)
    server.start()
    settled(server)
    yield server
    assert server.stop() == 0


def run(server, *args):
    return server.command("target", *args, f"--http={server.http}")


def done(server, *args):
    result = run(server, *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def answered(server, *args):
    return json.loads(done(server, *args, "--json"))


def refused(server, *args):
    result = run(server, *args)
    assert result.returncode == 1, result
    return result.stderr


def status(server, name="hr"):
    return Call(server, "GET", f"/targets/{name}").gives(200).data


def settled(server, name="hr"):
    """Everything that was written has been pushed, or was refused for good."""
    def is_settled():
        now = status(server, name)
        return now["lag"] == 0 and now["pending"] == 0 and now["linked"] > 0 and now
    return wait_for(is_settled, "the target is settled")


def title(server, uid, value):
    server.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\nreplace: title\ntitle: {value}\n").ok()


def test_list_and_status(hr):
    assert done(hr, "list").splitlines() == ["name  kind  state", "hr    scim  running"]
    one = answered(hr, "status", "hr")
    assert one["linked"] > 5 and one["lag"] == 0 and one["state"] == "running"
    assert [row["name"] for row in answered(hr, "status")] == ["hr"]
    assert f"linked        {one['linked']}" in done(hr, "status", "hr")
    assert "no such target" in refused(hr, "status", "nobody")


def test_show_by_uid_uuid_and_dn(hr, fake):
    [there] = fake.named("amartin")
    by_uid = answered(hr, "show", "hr", "amartin")
    assert by_uid["object"] == there["externalId"] and by_uid["link"]["remoteId"] == there["id"]
    assert by_uid["link"]["mechanism"] == "Provisioning" and by_uid["link"]["sent"]["userName"] == "amartin"
    assert answered(hr, "show", "hr", AMARTIN) == by_uid == answered(hr, "show", "hr", there["externalId"])
    assert f"remoteId: {there['id']}" in done(hr, "show", "hr", "amartin")
    assert "no such entry" in refused(hr, "show", "hr", "nobody-of-this-uid")


def test_a_rehearsed_push_sends_nothing_and_a_push_sends(hr, fake, uid):
    done(hr, "pause", "hr", "--why", "maintenance")
    hr.add(person(uid, title="new")).ok()
    wait_for(lambda: status(hr)["pending"] == 1, "the new one waits")
    assert fake.named(uid) == []
    said = answered(hr, "push", "hr", uid, "--dry-run")
    assert (said["scope"], said["plan"], said["action"]) == ("User", "create", "create")
    assert said["after"]["title"] == "new" and fake.named(uid) == []
    text = done(hr, "push", "hr", uid, "--dry-run")
    assert "scope: User\nplan: create\nmatch: none\naction: create" in text and '+ title: "new"' in text
    # Paused is paused.
    assert "does not run" in refused(hr, "push", "hr", uid)
    state = status(hr)["state"]["stopped"]
    assert "paused" in state and "maintenance" in state
    done(hr, "resume", "hr")
    wait_for(lambda: fake.named(uid), "it arrives")
    settled(hr)
    # A change made at the target is not seen by a push that has no doubt; one of ours is.
    title(hr, uid, "newer")
    wait_for(lambda: fake.named(uid)[0].get("title") == "newer", "the change arrives")
    settled(hr)
    assert answered(hr, "push", "hr", uid) == {"action": "none", "outcome": "the target has it as it is"}


def test_failures_are_shown_and_retried(hr, fake, uid):
    fake.refuse = lambda method, path, body: 400 if method == "POST" and body["userName"] == uid else None
    hr.add(person(uid)).ok()
    wait_for(lambda: status(hr)["failed"] == 1, "it has failed")
    link = answered(hr, "show", "hr", uid)["link"]
    assert link["status"] == "Failed" and "400" in link["lastError"] and link["remoteId"] is None
    account = answered(hr, "accounts", uid)["accounts"][0]
    assert account["status"] == "Failed" and "400" in account["why"]
    assert "has not taken it" in refused(hr, "push", "hr", uid)
    fake.refuse = None
    assert "1 to be tried again" in done(hr, "retry", "hr", uid)
    wait_for(lambda: fake.named(uid), "it arrives after all")
    settled(hr)
    assert answered(hr, "retry", "hr", "--all") == {"retried": 0}
    assert "required" in run(hr, "retry", "hr").stderr


def test_accounts_say_since_when_and_why(hr, fake, uid):
    hr.add(person(uid)).ok()
    wait_for(lambda: fake.named(uid), "it arrives")
    settled(hr)
    said = answered(hr, "accounts", uid)
    [account] = said["accounts"]
    assert said["dn"] == f"uid={uid},{PEOPLE}"
    assert (account["target"], account["resource"], account["status"]) == ("hr", "User", "Provisioned")
    assert account["mechanism"] == "Provisioning" and account["since"] and account["updated"]
    text = done(hr, "accounts", f"uid={uid},{PEOPLE}")
    assert "Provisioned" in text and fake.named(uid)[0]["id"] in text
    assert "no accounts" in done(hr, "accounts", "dc=example,dc=org")
    assert "no such entry" in refused(hr, "accounts", "nobody-of-this-uid")


def test_the_log_names_requests_and_attributes_but_no_values(hr, fake, uid):
    hr.add(person(uid, title="secretive")).ok()
    wait_for(lambda: fake.named(uid), "it arrives")
    settled(hr)
    [there] = fake.named(uid)
    lines = answered(hr, "log", "hr", "--object", uid)
    post = next(line for line in lines if line["action"] == "POST")
    assert post["status"] == 201 and post["object"] == there["externalId"] and "title" in post["attributes"]
    assert "secretive" not in json.dumps(lines)
    assert "POST" in done(hr, "log", "hr", "--object", uid)
    assert len(answered(hr, "log", "hr", "--limit", "1")) == 1
    file = (hr.data / "provisioning" / "hr.jsonl").read_text()
    assert there["externalId"] in file and "secretive" not in file


def test_replay_looks_again_since_a_number_a_time_and_everything(hr, fake, uid):
    hr.add(person(uid)).ok()
    wait_for(lambda: fake.named(uid), "it arrives")
    now = settled(hr)
    # By a number: the last record, and what the server has written of it. The target has it already.
    assert answered(hr, "replay", "hr", "--since", str(now["head"] - 1))["records"] >= 1
    assert "expected a change sequence number" in refused(hr, "replay", "hr", "--since", "yesterday")
    assert answered(hr, "replay", "hr", "--since", "2999-01-01")["records"] == 0
    csn = hr.search("(objectClass=*)", "contextCSN", scope="base").ok().entry["contextCSN"][0].decode()
    assert answered(hr, "replay", "hr", "--since", csn)["records"] == 0
    settled(hr)
    # Everything, in doubt: what was removed there by hand comes back.
    fake.drop("Users", fake.named(uid)[0]["id"])
    assert "objects looked at again" in done(hr, "replay", "hr", "--wait")
    wait_for(lambda: fake.named(uid), "it is back")
    settled(hr)


def test_a_disabled_target_is_not_followed_and_an_enabled_one_is_whole(hr, fake, uid):
    done(hr, "disable", "hr", "--why", "contract ended")
    hr.add(person(uid)).ok()
    state = status(hr)
    assert state["enabled"] is False and "contract ended" in state["state"]["stopped"]
    assert "stopped" in done(hr, "list") and fake.named(uid) == []
    done(hr, "enable", "hr")
    wait_for(lambda: fake.named(uid), "it arrives")
    settled(hr)


@pytest.fixture
def guarded(new_server):
    fake = Fake()
    server = new_server()
    target(server, url=fake.url, guard={"removals": 2})
    server.start()
    settled(server)
    yield server, fake
    assert server.stop() == 0
    fake.stop()


def test_staged_removals_wait_for_approve_or_reject(guarded):
    server, fake = guarded
    names = [f"guard{number}" for number in range(6)]
    for name in names:
        server.add(person(name)).ok()
    wait_for(lambda: all(fake.named(name) for name in names), "all arrive")
    settled(server)
    for name in names[:4]:
        server.delete(f"uid={name},{PEOPLE}").ok()
    wait_for(lambda: status(server)["staged"] == 2, "two wait")
    left = [name for name in names if fake.named(name)]
    assert len(left) == 4
    assert answered(server, "approve", "hr") == {"approved": 2}
    wait_for(lambda: not any(fake.named(name) for name in names[:4]), "they go")
    for name in names[4:]:
        server.delete(f"uid={name},{PEOPLE}").ok()
    settled(server)


def test_a_retired_target_forgets_its_links_and_keeps_its_objects(guarded):
    server, fake = guarded
    there = fake.all()
    done(server, "retire", "hr")
    assert status(server)["linked"] == 0 and fake.all() == there
    assert answered(server, "accounts", "amartin")["accounts"] == []
