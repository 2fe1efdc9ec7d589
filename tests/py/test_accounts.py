"""Accounts at targets as entries below their people, for those who ask for them and may see them."""

import re

import pytest

from downstream import below, group, unit
from support import PEOPLE, REPO, SUFFIX, person, wait_for

ANNE, BOB = f"uid=anne,{PEOPLE}", f"uid=bob,{PEOPLE}"
READERS = f"cn=readers,ou=groups,{SUFFIX}"
DEAD = "kind: scim\nbase_url: http://127.0.0.1:1/\ntoken_file: dead.token\nretry_min_ms: 50\nretry_max_ms: 200\n"


@pytest.fixture
def accounts(pair, tmp_path):
    """A gateway with one target that works and one that nobody answers for."""

    def make(access=None):
        one = pair(access=access)
        one.server.stop()
        targets = one.server.folder / "targets"
        (targets / "dead.yml").write_text(DEAD)
        (targets / "dead.token").write_text("token")
        one.server.start()
        one.server.add("\n".join([
            unit("people"), unit("groups"), person("anne", userPassword="a pass phrase"), person("bob"),
            group("readers", ANNE),
        ])).ok()
        one.until_equal()
        wait_for(lambda: account(one.server, "dead", ANNE).get("vestibuleAccountReason"), "the dead target is noticed")
        return one

    return make


def name(target, dn):
    return f"vestibuleTarget={target},{dn}"


def account(server, target, dn, **how):
    return server.search(base=name(target, dn), scope="base", **how).ok().entry


def test_an_account_says_since_when_and_why(accounts):
    pair = accounts()
    server = pair.server
    entry = account(server, "down", ANNE)
    assert set(entry["objectClass"]) == {b"top", b"vestibuleAccount"}
    assert entry["vestibuleTarget"] == [b"down"]
    assert entry["vestibuleAccountStatus"] == [b"Provisioned"]
    assert entry["vestibuleAccountMechanism"] == [b"Provisioning"]
    assert re.fullmatch(rb"\d{14}Z", entry["vestibuleAccountSince"][0]) and entry["vestibuleAccountUpdated"]
    assert entry["vestibuleAccountId"] == pair.down_entry(below(ANNE), "entryUUID")["entryUUID"]
    dead = account(server, "dead", ANNE)
    assert dead["vestibuleAccountStatus"][0] in (b"Pending", b"Failed") and b"no answer" in dead["vestibuleAccountReason"][0]
    assert "vestibuleAccountId" not in dead
    # Groups have theirs, too; names are compared without case.
    assert account(server, "DOWN", READERS)["vestibuleAccountStatus"] == [b"Provisioned"]
    compared = server.tool("ldapcompare", name("down", ANNE), "vestibuleAccountStatus:provisioned")
    assert compared.code == 6, compared
    server.search(base=name("other", ANNE), scope="base").refused(32)
    server.search(base=name("down", f"uid=nobody,{PEOPLE}"), scope="base").refused(32)


def test_accounts_are_found_by_those_who_ask_for_them(accounts):
    server = accounts().server
    # The container is an object of one of the targets.
    both = sorted([name(target, dn) for target in ("dead", "down") for dn in (ANNE, BOB)] + [name("down", PEOPLE)])
    for filter, expected in [
        ("(objectClass=vestibuleAccount)", both),
        ("(&(objectClass=vestibuleAccount)(vestibuleTarget=down))", [n for n in both if "down" in n]),
        ("(vestibuleAccountStatus=Provisioned)", [n for n in both if "down" in n]),
        ("(|(uid=anne)(vestibuleTarget=dea*))", [ANNE, *[n for n in both if "dead" in n]]),
        ("(vestibuleAccountId=*)", [n for n in both if "down" in n]),
        ("(&(uid=anne)(!(objectClass=vestibuleAccount)))", [ANNE]),
    ]:
        assert server.search(filter, "1.1", base=PEOPLE).ok().dns == sorted(expected), filter
    below_anne = [n for n in both if ANNE in n]
    assert server.search("(objectClass=vestibuleAccount)", "1.1", base=ANNE, scope="one").ok().dns == below_anne
    assert server.search("(objectClass=vestibuleAccount)", "1.1", base=PEOPLE, scope="one").ok().dns == [name("down", PEOPLE)]
    paged = server.search("(objectClass=vestibuleAccount)", "1.1", base=PEOPLE, flags=["-E", "pr=1/noprompt"])
    assert paged.ok().dns == both
    assert server.search("(objectClass=*)", "1.1", base=PEOPLE, flags=["-E", "!subentries=true"]).ok().dns == both
    # All others see people.
    assert server.search("(objectClass=*)", "1.1", base=ANNE).ok().dns == [ANNE]
    assert server.search("(objectClass=*)", "1.1", base=ANNE, scope="one").ok().dns == []
    assert server.search("(uid=*)", "1.1", base=PEOPLE).ok().dns == [ANNE, BOB]


def test_who_may_see_them_is_for_the_access_rules_to_say(accounts, tmp_path):
    shipped = (REPO / "config" / "access.yml").read_text()
    server = accounts().server
    me = {"who": ANNE, "password": "a pass phrase"}
    server.search(base=name("down", ANNE), scope="base", **me).refused(32)
    assert server.search("(objectClass=vestibuleAccount)", base=PEOPLE, **me).ok().entries == []
    assert server.search("(objectClass=vestibuleAccount)", base=PEOPLE, who=None).code in (0, 32, 50)

    own = tmp_path / "access.yml"
    own.write_text(shipped.replace("  - name: accounts at targets", """\
  - name: the own accounts
    who: [self]
    filter: (objectClass=vestibuleAccount)
    rights: [search, compare, read]

  - name: accounts at targets""", 1))
    server.config.write_text(re.sub(r"access: .*", f"access: {own}", server.config.read_text()))
    server.stop()
    server.start()
    assert account(server, "down", ANNE, **me)["vestibuleAccountStatus"] == [b"Provisioned"]
    found = server.search("(objectClass=vestibuleAccount)", "1.1", base=PEOPLE, **me).ok().dns
    assert found == [name("dead", ANNE), name("down", ANNE)]


def test_accounts_are_not_written(accounts):
    server = accounts().server
    dn = name("down", ANNE)
    change = f"dn: {dn}\nchangetype: modify\nreplace: vestibuleAccountStatus\nvestibuleAccountStatus: Failed\n"
    server.modify(change).refused(53, "an account is what a target holds")
    server.delete(dn).refused(53, "an account is what a target holds")
    server.add(f"dn: {name('mine', ANNE)}\nobjectClass: vestibuleAccount\nvestibuleTarget: mine\n").refused(53)
    server.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: vestibuleTarget=x\ndeleteoldrdn: 1\n").refused(53)
    assert account(server, "down", ANNE)["vestibuleAccountStatus"] == [b"Provisioned"]
    # The person goes, and the accounts with the person.
    server.delete(ANNE).ok()
    server.search(base=dn, scope="base").refused(32)
