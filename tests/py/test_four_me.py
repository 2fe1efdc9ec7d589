"""4me as a target: people, then their contact details, as imports that are watched to their end."""

import pytest

from batch_target import Gateway, line_change
from four_me_server import FourMe
from support import PEOPLE, person, wait_for


@pytest.fixture
def make_service():
    made = []

    def make(**options):
        usual = {"organizations": ("Valmont", "Elsewhere"), "queue_secs": 0.05, "work_secs": 0.05, "burst": 1000}
        made.append(FourMe(**(usual | options)))
        return made[-1].start()

    yield make
    for service in made:
        service.stop()


@pytest.fixture
def make_gateway(new_server):
    def make(service, **keys):
        usual = {"kind": "4me", "base_url": service.url, "account": "valmont", "token_file": "t.token",
                 "source": "Vestibule", "limits": {"gather_ms": 150, "poll_ms": 40},
                 "users": {"filter": "(employeeType=four)"}}
        gateway = Gateway(new_server(), **(usual | keys))
        gateway.token("four-token")
        return gateway

    return make


@pytest.fixture
def running(make_service, make_gateway):
    service = make_service()
    return service, make_gateway(service).start()


def joiner(gateway, uid, **attrs):
    usual = {"mail": f"{uid}@valmont.example", "employeeType": "four", "o": "Valmont", "title": "Clerk",
             "telephoneNumber": ["+1 1", "+1 2"]}
    gateway.server.add(person(uid, **(usual | attrs))).ok()
    return gateway.uuid(uid)


def test_people_and_then_their_contact_details(running):
    service, gateway = running
    uuid = joiner(gateway, "ann", mobile="+33 6", postalAddress="1 rue Neuve$99000 Valmont", l="Valmont",
                  preferredLanguage="fr-FR, en;q=0.5", employeeNumber="77", roomNumber="B1")
    wait_for(lambda: uuid in service.people and len(service.contacts("ann@valmont.example")) >= 4, "all rows")
    gateway.settled()
    ann = service.people[uuid]
    assert {k: ann[k] for k in ("Name", "Primary Email", "Source", "Job Title", "Organization", "Locale", "Employee ID",
                                "Location", "Disabled")} == {
        "Name": "Person ann", "Primary Email": "ann@valmont.example", "Source": "Vestibule", "Job Title": "Clerk",
        "Organization": "Valmont", "Locale": "fr-FR", "Employee ID": "77", "Location": "B1", "Disabled": "0"}
    rows = service.contacts("ann@valmont.example")
    assert [(r["Contact Protocol"], r["Contact Label"], r["Contact URI"]) for r in rows if r["Contact URI"]] == [
        ("telephone", "mobile", "+33 6"), ("telephone", "work", "+1 1"), ("telephone", "work", "+1 2")]
    address = next(r for r in rows if r["Address Label"])
    assert (address["Address Address"], address["Address City"]) == ("1 rue Neuve\n99000 Valmont", "Valmont")
    assert all(r["Integration"] == "true" for r in rows)


def test_changes_cleared_values_and_leavers(running):
    service, gateway = running
    dn = f"uid=bob,{PEOPLE}"
    uuid = joiner(gateway, "bob")
    wait_for(lambda: uuid in service.people, "bob is there")
    gateway.settled()
    imports = service.count("POST", "/v1/import")
    gateway.server.modify(line_change(dn, "title")).ok()
    wait_for(lambda: service.people[uuid]["Job Title"] == "", "a value that is gone is cleared")
    gateway.settled()
    assert service.count("POST", "/v1/import") == imports + 1, "contact details that did not change are not sent"
    gateway.server.modify(line_change(dn, "telephoneNumber", "+1 3")).ok()
    wait_for(lambda: [r["Contact URI"] for r in service.contacts("bob@valmont.example")] == ["+1 3"], "the new number")
    gateway.settled()
    gateway.server.delete(dn).ok()
    wait_for(lambda: service.people[uuid]["Disabled"] == "1", "a leaver is disabled")
    gateway.settled()
    assert service.people[uuid]["Name"] == "Person bob", "and not emptied"


def test_a_new_address_does_not_make_a_second_person(running):
    service, gateway = running
    uuid = joiner(gateway, "cleo")
    wait_for(lambda: uuid in service.people, "cleo is there")
    gateway.server.modify(line_change(f"uid=cleo,{PEOPLE}", "mail", "cleo.new@valmont.example")).ok()
    wait_for(lambda: service.people[uuid]["Primary Email"] == "cleo.new@valmont.example", "the new address")
    assert len(service.people) == 1


def test_someone_who_is_there_is_found_by_address(running):
    service, gateway = running
    number = service.add_person(**{"Primary Email": "dora@valmont.example", "Name": "D."})
    uuid = joiner(gateway, "dora")
    wait_for(lambda: uuid in service.people, "dora has our Source ID")
    assert service.people[uuid]["ID"] == number


def test_rows_that_fail_are_those_objects_errors_and_no_others(running):
    service, gateway = running
    with service.lock:
        service.organizations.discard("Elsewhere")
    good = joiner(gateway, "eve")
    bad = joiner(gateway, "fay", o="Elsewhere")
    gateway.settled(failed=1)
    assert good in service.people and bad not in service.people
    assert "refused: Organization could not be found" in gateway.errors(bad)
    assert not gateway.errors(good)
    gateway.server.modify(line_change(f"uid=fay,{PEOPLE}", "o", "Valmont")).ok()
    wait_for(lambda: bad in service.people, "taken after the change")
    gateway.settled()


@pytest.mark.parametrize("log", ["none", "useless"])
def test_without_a_log_the_rows_that_fail_are_found_by_halves(make_service, make_gateway, log):
    service = make_service()
    row_fails = service.work

    def work(job):
        state = row_fails(job)
        job["log"] = "" if log == "none" else "something went wrong\n"
        return state

    service.work = work
    gateway = make_gateway(service).start()
    with service.lock:
        good = [joiner(gateway, f"g{n}") for n in range(5)]
        bad = joiner(gateway, "bad", o="Nowhere")
    gateway.settled(failed=1)
    assert set(service.people) == set(good) and len(gateway.errors(bad)) > 0


def test_what_the_import_would_refuse_is_reported_before_it_is_sent(make_service, make_gateway):
    service = make_service()
    gateway = make_gateway(service, organizations=["Valmont"], organizations_file="known.txt")
    (gateway.folder / "known.txt").write_text("Elsewhere\n")
    gateway.start()
    unknown = joiner(gateway, "gus", o="Unheard Of")
    long = joiner(gateway, "hal", title="x" * 81)
    fine = joiner(gateway, "ida", o="Elsewhere")
    gateway.settled(failed=2)
    assert set(service.people) == {fine}
    assert gateway.errors(unknown) == [
        "refused: Organization is none of those that the configuration lists"]
    assert gateway.errors(long) == ["refused: Job Title has more than 80 characters"]


def test_managers_come_before_those_they_manage(running):
    service, gateway = running
    with service.lock:
        boss = f"uid=zboss,{PEOPLE}"
        gateway.server.add(person("zboss", employeeType="four", o="Valmont", mail="zboss@valmont.example")).ok()
        minion = joiner(gateway, "aminion", manager=boss)
    wait_for(lambda: minion in service.people, "both are there")
    gateway.settled()
    assert service.people[minion]["Manager"] == "zboss@valmont.example"


@pytest.mark.parametrize("method,moment", [("POST", "/v1/import"), ("GET", "/v1/import/")])
def test_killed_between_upload_and_outcome(make_service, make_gateway, method, moment):
    service = make_service(work_secs=0.3)
    gateway = make_gateway(service).start()
    fault = service.fail(method, moment, call=gateway.kill)
    # Nothing is answered before all are there.
    with service.lock:
        uuids = [joiner(gateway, f"k{n}") for n in range(3)]
    wait_for(lambda: fault.met, "the moment has come")
    gateway.revive().settled()
    assert set(service.people) == set(uuids)
    for n in range(3):
        assert len(service.contacts(f"k{n}@valmont.example")) == 2


def test_an_import_that_is_forgotten_is_made_again(make_service, make_gateway):
    service = make_service()
    gateway = make_gateway(service).start()
    # The service forgets it before we ask: it was done long ago.
    fault = service.fail("GET", "/v1/import/", status=404)
    uuid = joiner(gateway, "jon")
    wait_for(lambda: uuid in service.people and len(service.contacts("jon@valmont.example")) == 2, "jon is there")
    gateway.settled()
    assert fault.met and service.count("POST", "/v1/import") >= 3
    assert len(service.people) == 1


def test_a_target_that_is_busy_away_or_cut_off(make_service, make_gateway):
    service = make_service(burst=6)
    gateway = make_gateway(service).start()
    service.fail("POST", "/v1/import", status=503)
    service.fail("POST", "/v1/import", drop="after")
    service.fail("GET", "/v1/import/", times=2, status=502)
    first = joiner(gateway, "kim")
    wait_for(lambda: first in service.people, "kim is there")
    service.stop()
    second = joiner(gateway, "lou")
    wait_for(lambda: gateway.status()["state"] != "running", "the target is found away")
    service.start()
    wait_for(lambda: second in service.people, "lou is there")
    gateway.settled()
    assert len(service.people) == 2


def test_an_import_that_is_broken_off(make_service, make_gateway):
    service = make_service(most_failures=0)
    gateway = make_gateway(service).start()
    with service.lock:
        good = [joiner(gateway, f"m{n}") for n in range(4)]
        bad = joiner(gateway, "aaa", o="Nowhere")
    gateway.settled(failed=1)
    assert set(service.people) == set(good)
    assert gateway.errors(bad)
