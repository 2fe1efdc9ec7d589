"""Careers: rules with writes and by time, transitions by hand, what letters mean, and the ways to work on them."""

import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

from support import PEOPLE, REPO, TOKEN, Server, person, wait_for

SHIPPED = REPO / "config" / "lifecycle"
RULES = """\
identities:
  - sources: [O]
    target: V
    rules: {inetOrgPerson.employeeType: gone}
    mutation:
      dataStatus: -3
      inetOrgPerson.description: "locked on {{ date.today }}"
  - sources: [O]
    target: P
    ldap: (title=leaving)
  - sources: [O]
    target: I
    rules: {inetOrgPerson.employeeType: broken}
    mutation: {inetOrgPerson.sn: null}
  - sources: [P]
    target: I
    trigger: 1s
    dateKey: lastLifecycleUpdate
    rules: {inetOrgPerson.employeeType: quick}
  - sources: [P]
    target: D
    trigger: 30d
    dateKey: lastLifecycleUpdate
    rules: {inetOrgPerson.employeeType: slow}
"""
TASKS = "identities:\n  - {sources: [M], target: O, trigger: -1, rules: {inetOrgPerson.employeeType: task}}\n"
TRANSITIONS = """\
manualTransitions:
  - {source: O, targets: [P, V, M]}
  - {source: O, targets: [D], filter: {inetOrgPerson.employeeType: temp}}
"""


@pytest.fixture(scope="module")
def careers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("careers")
    files = folder / "lifecycle"
    (files / "rules").mkdir(parents=True)
    (files / "rules" / "10-people.yml").write_text(RULES)
    (files / "rules" / "20-tasks.yml").write_text(TASKS)
    (files / "manual-transitions.yml").write_text(TRANSITIONS)
    (files / "states.yml").write_text((SHIPPED / "states.yml").read_text())
    table = (SHIPPED / "resource-states.yml").read_text()
    (files / "resource-states.yml").write_text(table)
    server = Server(folder, extra="lifecycle: {folder: lifecycle}\n").start()
    yield server
    assert server.stop() == 0



def ask(server, method, path, body=None):
    """The status and the body of an answer of the HTTP administration."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{server.http}{path}", data, method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def lifecycle(server, *args):
    return server.command("lifecycle", *args, f"--http={server.http}")


def letter(server, uid):
    found = server.search(f"(uid={uid})", "vestibuleLifecycle").ok().entry
    return found["vestibuleLifecycle"][0].decode()


def replace(server, uid, **attrs):
    lines = [f"dn: uid={uid},{PEOPLE}", "changetype: modify"]
    for name, value in attrs.items():
        lines += [f"replace: {name}", f"{name}: {value}", "-"]
    return server.modify("\n".join(lines) + "\n")


def test_an_immediate_rule_moves_with_the_write_and_sets_more(careers, uid):
    careers.add(person(uid, employeeType="student")).ok()
    assert letter(careers, uid) == "O"
    replace(careers, uid, employeeType="gone").ok()
    entry = careers.search(f"(uid={uid})", "*", "+").ok().entry
    assert entry["vestibuleLifecycle"] == [b"V"]
    assert entry["vestibuleDataStatus"] == [b"-3"]
    assert entry["description"][0].startswith(b"locked on 20")
    assert "vestibuleLastLifecycleUpdate" in entry
    assert any(b"#lifecycle#O#V#" in row and b"rule 10-people #1" in row for row in entry["vestibuleHistory"])


def test_an_ldap_filter_is_a_condition_and_the_first_match_is_the_only_one(careers, uid):
    careers.add(person(uid, title="leaving", employeeType="gone")).ok()
    assert letter(careers, uid) == "V"
    careers.add(person(uid + "b", title="leaving")).ok()
    assert letter(careers, uid + "b") == "P"


def test_a_rule_that_would_break_the_entry_is_left_out_and_the_write_stands(careers, uid):
    careers.add(person(uid)).ok()
    replace(careers, uid, employeeType="broken").ok()
    assert letter(careers, uid) == "O"
    assert careers.search(f"(uid={uid})", "employeeType").entry["employeeType"] == [b"broken"]
    wait_for(lambda: "a lifecycle rule was not carried out" in careers.log(), "the log names the rule")


def test_ignore_lifecycle_keeps_rules_away(careers, uid):
    careers.add(person(uid, vestibuleIgnoreLifecycle="TRUE", employeeType="gone")).ok()
    assert letter(careers, uid) == "O"
    replace(careers, uid, vestibuleIgnoreLifecycle="FALSE").ok()
    assert letter(careers, uid) == "V"


def test_the_timer_moves_who_is_due(careers, uid):
    careers.add(person(uid, title="leaving", employeeType="quick")).ok()
    wait_for(lambda: letter(careers, uid) == "I", "the timed rule has run")
    careers.add(person(uid + "s", title="leaving", employeeType="slow")).ok()
    assert letter(careers, uid + "s") == "P"


def test_moves_by_hand_are_held_against_the_transitions(careers, uid):
    careers.add(person(uid)).ok()
    replace(careers, uid, vestibuleLifecycle="D").refused(53, "lifecycle O cannot become D by hand; allowed: P, V, M")
    replace(careers, uid, vestibuleLifecycle="X").refused(21, "expected one of the letters O, I, M, A, P, D, V")
    replace(careers, uid, vestibuleLifecycle="O").ok()
    replace(careers, uid, vestibuleLifecycle="M").ok()
    replace(careers, uid, vestibuleLifecycle="D").ok()
    careers.add(person(uid + "t", employeeType="temp")).ok()
    replace(careers, uid + "t", vestibuleLifecycle="P").refused(53, "allowed: D")
    status, body = ask(careers, "GET", f"/lifecycle/identities/{uid}t")
    assert (status, body["data"]["allowedLifecycles"]) == (200, ["D"])
    path = f"/management/identities/{body['data']['_id']}/lifecycle"
    status, refused = ask(careers, "PATCH", path, {"lifecycle": "P"})
    assert status == 400 and "allowed: D" in refused["message"], refused
    assert ask(careers, "PATCH", path, {"lifecycle": "D"})[0] == 200


def test_letters_gate_binds_and_are_found_by_their_resource_state(careers, uid):
    dn = f"uid={uid},{PEOPLE}"
    careers.add(person(uid, classes=["supannPerson"], userPassword="a-good-password", employeeType="staff",
                       supannRessourceEtat="{MAIL}A", supannEtuDateFin="20270630220000Z")).ok()
    bind = lambda: careers.search("(objectClass=*)", "1.1", base=dn, scope="base", who=dn, password="a-good-password")  # noqa: E731
    found = lambda state: uid in careers.search(f"(supannRessourceEtat={state})", "uid").names  # noqa: E731
    assert bind().code == 0
    assert found("{COMPTE}A") and found("{COMPTE}A:SupannActif") and found("{MAIL}A")
    careers.search("(supannRessourceEtatDate={COMPTE}A:SupannActif:*:20270630)", "uid").ok()
    replace(careers, uid, vestibuleLifecycle="V").ok()
    assert bind().code == 49
    assert found("{COMPTE}S:SupannVerrouille") and found("{MAIL}A") and not found("{COMPTE}A")
    replace(careers, uid, vestibuleLifecycle="O").ok()
    assert bind().code == 0 and found("{COMPTE}A")


def test_what_is_derived_cannot_be_written_and_an_unchanged_write_is_none(careers, uid):
    careers.add(person(uid, classes=["supannPerson"])).ok()
    number = lambda: careers.search(f"(uid={uid})", "entryCSN").entry["entryCSN"]  # noqa: E731
    before = number()
    replace(careers, uid, supannRessourceEtat="{COMPTE}A:SupannActif").ok()
    replace(careers, uid, supannRessourceEtat="{COMPTE}I").ok()
    assert number() == before
    values = careers.search(f"(uid={uid})", "supannRessourceEtat").entry["supannRessourceEtat"]
    assert sorted(values) == [b"{COMPTE}A", b"{COMPTE}A:SupannActif"]


def test_the_command_line_shows_and_moves(careers, uid):
    careers.add(person(uid)).ok()
    done = lifecycle(careers, "set", uid, "M", "--why", "works by contract")
    assert done.returncode == 0, done.stderr
    shown = lifecycle(careers, "show", f"uid={uid},{PEOPLE}")
    assert shown.returncode == 0 and "lifecycle: M" in shown.stdout, shown
    assert "works by contract" in lifecycle(careers, "history", uid).stdout
    refused = lifecycle(careers, "state", uid, "99")
    assert refused.returncode != 0 and "allowed" in refused.stderr, refused
    assert lifecycle(careers, "state", uid, "1").returncode == 0
    released = lifecycle(careers, "release", "--filter", f"(uid={uid})")
    assert "1 released" in released.stdout, released
    assert lifecycle(careers, "delete", uid).returncode == 0
    assert careers.search(f"(uid={uid})", "1.1").entries == []
    undone = lifecycle(careers, "undelete", uid)
    assert undone.returncode == 0, undone.stderr
    assert letter(careers, uid) == "M"
    assert "Verrouillé" in lifecycle(careers, "states").stdout
    assert json.loads(lifecycle(careers, "stats").stdout)["lifecycle"]["M"] >= 1
    assert lifecycle(careers, "show", "nobody").returncode != 0


def test_the_command_line_closes_accounts_and_opens_them(careers, uid):
    careers.add(person(uid)).ok()
    never = lifecycle(careers, "deactivate", uid)
    assert never.returncode != 0 and "never synchronised" in never.stderr, never


def test_tasks_run_when_they_are_asked_for(careers, uid):
    careers.add(person(uid, employeeType="task", vestibuleLifecycle="M")).ok()
    assert letter(careers, uid) == "M"
    assert ask(careers, "POST", "/lifecycle/execute", {"source": "nothing"})[0] == 404
    assert ask(careers, "POST", "/lifecycle/execute", {"source": "10-people"})[0] == 409
    done = lifecycle(careers, "execute", "--source", "20-tasks")
    assert "M -> O" in done.stdout and uid in done.stdout, done
    assert letter(careers, uid) == "O"


def test_a_preview_names_who_would_move_and_moves_nobody(careers, uid):
    careers.add(person(uid, title="leaving", employeeType="slow")).ok()
    foretold = lifecycle(careers, "preview", "--at", "2099-01-01", "--json")
    assert foretold.returncode == 0, foretold.stderr
    moves = [m for m in json.loads(foretold.stdout) if m["dn"].startswith(f"uid={uid},")]
    assert [(m["from"], m["to"], m["rule"]) for m in moves] == [("P", "D", "10-people #5")]
    assert letter(careers, uid) == "P"
    assert lifecycle(careers, "preview", "--at", "soon").returncode != 0


def test_sesames_routes(careers, uid):
    careers.add(person(uid, employeeType="gone")).ok()
    _, states = ask(careers, "GET", "/management/lifecycle/states")
    assert [s["key"] for s in states["data"]] == ["O", "I", "M", "A", "P", "D", "V"]
    _, custom = ask(careers, "GET", "/management/lifecycle/states/custom")
    assert [s["key"] for s in custom["data"]] == ["A", "P", "D", "V"]
    _, stats = ask(careers, "GET", "/management/lifecycle/stats")
    assert {s["_id"] for s in stats["data"]} >= {"O", "V"}
    _, mine = ask(careers, "GET", f"/management/lifecycle/identity/{uid}")
    assert [c["lifecycle"] for c in mine["data"]] == ["V"] and mine["total"] == 1
    _, recent = ask(careers, "GET", "/management/lifecycle/recent?limit=1")
    assert recent["data"][0]["refId"] == mine["data"][0]["refId"]


def test_files_are_read_again_and_bad_ones_change_nothing(careers, uid):
    rules = careers.folder / "lifecycle" / "rules" / "10-people.yml"
    try:
        rules.write_text(RULES.replace("target: V", "target: Q"))
        refused = lifecycle(careers, "reload")
        assert refused.returncode != 0
        assert "10-people.yml:3: at identities.0.target: 'Q' is none of the letters" in refused.stderr, refused
        assert careers.command("check").returncode != 0
        careers.add(person(uid, employeeType="gone")).ok()
        assert letter(careers, uid) == "V"
        rules.write_text(RULES.replace("target: V", "target: A"))
        assert "6 rules" in lifecycle(careers, "reload").stdout
        careers.add(person(uid + "a", employeeType="gone")).ok()
        assert letter(careers, uid + "a") == "A"
    finally:
        rules.write_text(RULES)
    careers.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the lifecycle files were read again" in careers.log(), "the signal is heard")


def test_check_names_every_fault_of_the_files(new_server):
    server = new_server(extra="lifecycle: {folder: lifecycle}\n")
    files = server.folder / "lifecycle"
    files.mkdir()
    (files / "states.yml").write_text("states:\n  - {key: Q, label: Neuf}\n  - {key: OO, label: x}\n")
    (files / "rules.yml").write_text("identities:\n  - {sources: [O], target: Q, trigger: 0}\n")
    checked = server.command("check")
    assert checked.returncode != 0
    for text in ["states.yml:3: at states.1.key: expected one character", "letter Q (Neuf) has no row",
                 "rules.yml:2: at identities.0.trigger: expected a delay"]:
        assert text in checked.stderr, checked.stderr


CYCLE = """\
identities:
  - {sources: [O], target: P, trigger: 45s, dateKey: lastLifecycleUpdate}
  - {sources: [P], target: O, trigger: 45s, dateKey: lastLifecycleUpdate}
"""


def cycling(new_server, **options):
    """A server with one who goes to and fro, and changes about once a minute for ever."""
    server = new_server(extra="lifecycle: {folder: lifecycle}\n", **options)
    (server.folder / "lifecycle").mkdir(parents=True)
    (server.folder / "lifecycle" / "rules.yml").write_text(CYCLE)
    (server.folder / "lifecycle" / "states.yml").write_text((SHIPPED / "states.yml").read_text())
    server.start()
    server.add(person("tofro", vestibuleLifecycle="O")).ok()
    replace(server, "tofro", vestibuleLifecycle="P").ok()
    return server


@pytest.mark.parametrize(("limits", "named"), [
    ("{preview_moves: 50}", "limits.preview_moves"), ("{preview_looks: 50}", "limits.preview_looks")])
def test_a_preview_has_an_end(new_server, limits, named):
    server = cycling(new_server, limits=limits)
    assert ask(server, "GET", "/lifecycle/preview?at=2099-01-01")[0] == 400
    refused = lifecycle(server, "preview", "--at", "2099-01-01")
    assert refused.returncode != 0 and named in refused.stderr, refused
    assert server.stop() == 0


def test_a_stop_ends_a_preview(new_server):
    server = cycling(new_server, limits="{preview_moves: 1000000000, preview_looks: 1000000000, shutdown_secs: 2}")
    request = f"GET /lifecycle/preview?at=2999-01-01 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(server.http.rsplit(":", 1)[1])), timeout=0.5) as busy:
        busy.sendall(request.encode())
        with pytest.raises(TimeoutError):
            busy.recv(1)
        assert server.stop() == 0
        assert b" 503 " in busy.recv(100)
