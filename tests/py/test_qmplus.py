"""QMPlus as a target: transactions of departments and users, read to their outcome."""

import pytest

from batch_target import STRUCTURES, Gateway, line_change, structure
from qmplus_server import QmPlus
from support import PEOPLE, person, wait_for


@pytest.fixture
def make_service():
    made = []

    def make(**options):
        made.append(QmPlus(**({"checkpoints": 1000, "calls": 1000, "lists": 100_000, "work_secs": 0.05} | options)))
        return made[-1].start()

    yield make
    for service in made:
        service.stop()


@pytest.fixture
def make_gateway(new_server):
    def make(service, limits=None, **keys):
        limits = {"gather_ms": 150, "poll_ms": 30, "checkpoints_per_minute": 1000, "calls_per_minute": 1000,
                  "lists_per_minute": 100_000} | (limits or {})
        usual = {"kind": "qmplus", "base_url": f"{service.url}/api", "tenant": "valmont", "token_file": "t.token",
                 "created_by": "gateway", "limits": limits, "map": {"users": {"userTypeName": {"constant": "Employee"}}}}
        gateway = Gateway(new_server(), **(usual | keys))
        gateway.token("qm-token")
        return gateway

    return make


@pytest.fixture
def exported(make_service, make_gateway):
    """A target that has everything."""
    service = make_service()
    gateway = make_gateway(service).start()
    gateway.settled()
    return service, gateway


def joiner(gateway, uid, department="INFO", **attrs):
    attrs = {"givenName": "Joan", "mail": f"{uid}@valmont.example", "supannEntiteAffectation": department} | attrs
    gateway.server.add(person(uid, classes=["supannPerson"], **attrs)).ok()
    return gateway.uuid(uid)


def check_equal(service, gateway):
    """Users and departments there are those of the directory."""
    users, departments = service.users, service.departments
    for uuid, entry in gateway.people().items():
        user = users[uuid]
        assert (user["firstName"], user["lastName"], user["email"]) == tuple(
            entry[name][0] for name in ("givenName", "sn", "mail"))
        assert sorted(k["departmentExternalId"] for k in user["userTypes"]) == sorted(entry["supannEntiteAffectation"])
    wanted = {e["supannCodeEntite"][0].decode(): e.get("supannCodeEntiteParent", [b""])[0].decode() or None
              for _, e in gateway.server.search("(objectClass=supannEntite)", base=STRUCTURES).entries}
    assert {k: d["parentExternalId"] for k, d in departments.items() if d["active"]} == wanted


def test_the_first_export_is_one_transaction_in_order_of_dependency(exported):
    service, gateway = exported
    check_equal(service, gateway)
    assert service.states() == ["COMPLETED"]
    entities = [entity for _, entity, _ in service.effects]
    assert entities == sorted(entities), "departments come before users"
    order = [key for _, entity, key in service.effects if entity == "department"]
    for code, department in service.departments.items():
        parent = department["parentExternalId"]
        assert parent is None or order.index(parent) < order.index(code)
    # Whoever waits for validation, or was told apart by the lifecycle, is another matter: these are usable.
    assert service.users[gateway.uuid("amartin")]["active"] is True


def test_changes_joiners_and_new_departments(exported):
    service, gateway = exported
    server = gateway.server
    server.add(structure("NEWCHILD", "NEWTOP")).ok()
    uuid = joiner(gateway, "joan", "NEWCHILD")
    server.add(structure("NEWTOP")).ok()
    server.modify(line_change(f"uid=amartin,{PEOPLE}", "telephoneNumber", "+33 1 00 00 00 00")).ok()
    wait_for(lambda: uuid in service.users and service.users[gateway.uuid("amartin")].get("phoneNumber")
             == "+33 1 00 00 00 00", "the changes are there")
    gateway.settled()
    check_equal(service, gateway)
    assert service.departments["NEWCHILD"]["parentExternalId"] == "NEWTOP"
    # A value that is taken away is taken away there: what is sent is the whole user.
    server.modify(line_change(f"uid=joan,{PEOPLE}", "supannEntiteAffectation", "INFO")).ok()
    wait_for(lambda: service.users[uuid]["userTypes"][0]["departmentExternalId"] == "INFO", "the move")


def test_leavers_are_closed_and_not_deleted(exported):
    service, gateway = exported
    uuid = joiner(gateway, "leo")
    gateway.server.add(structure("SOON")).ok()
    wait_for(lambda: uuid in service.users and "SOON" in service.departments, "they are there")
    gateway.server.delete(f"uid=leo,{PEOPLE}").ok()
    gateway.server.delete(f"supannCodeEntite=SOON,{STRUCTURES}").ok()
    wait_for(lambda: not service.users[uuid]["active"] and not service.departments["SOON"]["active"], "both closed")
    assert service.users[uuid]["email"] == "leo@valmont.example"
    gateway.settled()


def test_one_refused_user_does_not_hold_the_others_and_is_tried_when_it_changes(exported):
    service, gateway = exported
    with service.lock:
        service._users["another's"] = {"externalId": "another's", "email": "Bad@valmont.example", "active": True}
    good = joiner(gateway, "good")
    bad = joiner(gateway, "bad")
    gateway.settled(failed=1)
    assert good in service.users and bad not in service.users
    status = gateway.status()
    assert status["last_error"] == "refused: DUPLICATE Email already registered"
    assert "refused: DUPLICATE Email already registered" in gateway.errors(bad)
    assert not any("@" in error for error in gateway.errors(bad)), "no values in errors"
    calls = service.count("POST", "/commit")
    gateway.server.modify(line_change(f"uid=bad,{PEOPLE}", "mail", "bad.new@valmont.example")).ok()
    wait_for(lambda: bad in service.users, "taken after its change")
    gateway.settled()
    assert service.count("POST", "/commit") == calls + 1, "what is refused for good is not sent again and again"


def test_what_is_missing_there_may_come(exported):
    service, gateway = exported
    uuid = joiner(gateway, "early", "LATER")
    wait_for(lambda: any("NOT_FOUND" in e for e in gateway.errors(uuid)), "the department is missing")
    gateway.server.add(structure("LATER", "UVAL")).ok()
    wait_for(lambda: uuid in service.users, "the user came after the department")
    gateway.settled()


def test_what_the_target_needs_is_looked_at_before_it_is_sent(exported):
    service, gateway = exported
    uuid = joiner(gateway, "alone", department=[])
    gateway.settled(failed=1)
    assert uuid not in service.users
    assert "userTypes: at least one department with a type is required" in gateway.status()["last_error"]


@pytest.mark.parametrize("moment", ["/checkpoint", "/department", "/user", "/commit", "/status"])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_done_twice(make_service, make_gateway, moment):
    service = make_service(work_secs=0.3)
    gateway = make_gateway(service)
    fault = service.fail("GET" if moment == "/status" else "POST", moment, call=gateway.kill)
    gateway.start()
    wait_for(lambda: fault.met, "the moment has come")
    gateway.revive().settled()
    check_equal(service, gateway)
    done = [(entity, key) for _, entity, key in service.effects]
    assert len(done) == len(set(done)), "an operation took effect twice"
    if moment in ("/commit", "/status"):
        assert service.count("POST", "/checkpoint") == 1, "the outcome of the first transaction was read"


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_commit_whose_answer_is_lost(make_service, make_gateway, side):
    service = make_service()
    gateway = make_gateway(service)
    service.fail("POST", "/commit", drop=side)
    gateway.start().settled()
    check_equal(service, gateway)
    done = [(entity, key) for _, entity, key in service.effects]
    assert len(done) == len(set(done))


def test_a_target_that_is_away_and_one_that_is_busy(exported):
    service, gateway = exported
    service.stop()
    uuid = joiner(gateway, "patient")
    wait_for(lambda: gateway.status()["state"] != "running", "the target is found away")
    service.fail("POST", "/checkpoint", times=2, status=503)
    service.fail("POST", "/user", times=1, status=500)
    service.fail("GET", "/status", times=1, status=502)
    service.start()
    wait_for(lambda: uuid in service.users, "the user is there")
    gateway.settled()
    check_equal(service, gateway)


def test_transactions_are_no_larger_than_the_target_takes(make_service, make_gateway):
    service = make_service(operations=20)
    gateway = make_gateway(service, limits={"operations": 20, "operations_per_call": 7}).start()
    gateway.settled()
    check_equal(service, gateway)
    sizes = [len(t["operations"]) for t in service.transactions.values()]
    assert len(sizes) > 1 and max(sizes) <= 20
    assert set(service.states()) == {"COMPLETED"}


def test_a_page_that_is_refused_as_a_whole_is_halved(make_service, make_gateway):
    service = make_service(operations=5)
    gateway = make_gateway(service, limits={"operations_per_call": 40})
    gateway.write(users={"filter": "(uid=none)"})
    gateway.start()
    # Eight departments: calls of more than five operations are refused by this server, as are those that
    # come after five; what is not taken is said of each and left to an operator.
    wait_for(lambda: len(service.departments) == 5, "as many as the transaction takes")
    assert gateway.settled(failed=3)["last_error"].startswith("refused: 400")


def test_a_wrong_token_stops_the_target_until_it_is_right(make_service, make_gateway):
    service = make_service()
    gateway = make_gateway(service)
    gateway.token("wrong")
    gateway.start()
    state = wait_for(lambda: gateway.status()["state"] != "running" and gateway.status()["state"], "stopped")
    assert "refuses our token (401)" in str(state)
    gateway.token("qm-token")
    gateway.settled()
    check_equal(service, gateway)
