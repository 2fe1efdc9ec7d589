"""Soft delete, the way back, purging; the history of moves; states by ldapmodify."""

import re
import shutil

import pytest

from support import ADMIN, AMARTIN, PEOPLE, REPO, SUFFIX, person

DELETED = "cn=deleted"


def change(server, dn, *lines, **how):
    return server.modify("\n".join([f"dn: {dn}", "changetype: modify", *lines]) + "\n", **how)


def operational(server, dn, *attrs):
    return server.search("(objectClass=*)", *(attrs or ("+",)), base=dn, scope="base").ok().entry


def uuid_of(server, dn):
    return operational(server, dn, "entryUUID")["entryUUID"][0].decode()


def moves(server, dn):
    """(axis, from, to, actor, why) of each move."""
    values = operational(server, dn, "vestibuleHistory").get("vestibuleHistory", [])
    rows = [v.decode().split("#", 5) for v in values]
    assert all(re.fullmatch(r"\d{14}Z", row[0]) for row in rows), rows
    return [tuple(row[1:]) for row in rows]


def delete(server, dn):
    return server.delete(dn)


def test_a_deleted_identity_is_gone_and_comes_back(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, mail=f"{uid}@example.org", userPassword="a long pass phrase")).ok()
    uuid = uuid_of(server, dn)
    group = f"cn=g-{uid},ou=groups,{SUFFIX}"
    server.add(f"dn: {group}\nobjectClass: groupOfNames\ncn: g-{uid}\nmember: {dn}\nmember: {AMARTIN}\n").ok()
    before = int(operational(server, PEOPLE, "numSubordinates")["numSubordinates"][0])
    delete(server, dn).ok()

    server.search(base=dn, scope="base").refused(32)
    assert server.search(f"(mail={uid}@example.org)").ok().entries == []
    assert int(operational(server, PEOPLE, "numSubordinates")["numSubordinates"][0]) == before - 1
    assert operational(server, group, "member")["member"] == [AMARTIN.encode()]
    assert server.tool("ldapwhoami", who=dn, password="a long pass phrase").code == 49

    grave = f"entryUUID={uuid},{DELETED}"
    shown = operational(server, grave, "*", "+")
    assert shown["uid"] == [uid.encode()]
    assert shown["vestibuleState"] == [b"-99"] and shown["vestibuleDeleted"] == [b"TRUE"]
    assert shown["vestibuleFormerName"] == [dn.encode()]
    assert "userPassword" not in shown
    found = server.search(f"(uid={uid})", "1.1", base=DELETED).ok().entries
    assert [name for name, _ in found] == [grave]

    change(server, grave, "replace: vestibuleDeleted", "vestibuleDeleted: FALSE", "-",
           "replace: vestibuleReason", "vestibuleReason: came back").ok()
    assert uuid_of(server, dn) == uuid
    back = operational(server, dn)
    # Never synced: Sesame gives it state -1 and an account that is not initialised.
    assert back["vestibuleState"] == [b"-1"] and back["vestibuleDataStatus"] == [b"0"]
    assert back["vestibuleDeleted"] == [b"FALSE"]
    assert server.tool("ldapwhoami", who=dn, password="a long pass phrase").code == 0
    server.search(base=grave, scope="base").refused(32)
    assert ("state", "2", "-99", ADMIN, "deleted") in moves(server, dn)
    assert ("state", "-99", "-1", ADMIN, "came back") in moves(server, dn)
    change(server, dn, "replace: vestibuleState", "vestibuleState: 2").ok()


def test_the_name_of_a_deleted_identity_is_free(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, mail=f"{uid}@example.org")).ok()
    old = uuid_of(server, dn)
    delete(server, dn).ok()
    server.add(person(uid, mail=f"{uid}@example.org")).ok()
    assert uuid_of(server, dn) != old
    found = change(server, f"entryUUID={old},{DELETED}", "replace: vestibuleDeleted", "vestibuleDeleted: FALSE")
    found.refused(68)
    delete(server, dn).ok()
    # Purging is a delete of what is below cn=deleted, and final.
    delete(server, f"entryUUID={old},{DELETED}").ok()
    change(server, f"entryUUID={old},{DELETED}", "replace: vestibuleDeleted", "vestibuleDeleted: FALSE").refused(32)


def test_a_deleted_identity_takes_no_other_write(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    uuid = uuid_of(server, dn)
    delete(server, dn).ok()
    grave = f"entryUUID={uuid},{DELETED}"
    found = change(server, grave, "replace: sn", "sn: Other").refused(53)
    assert "vestibuleDeleted: FALSE" in found.err
    server.add(person("x").replace(PEOPLE, grave)).refused(53)


def test_delete_by_the_attribute_with_a_reason(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    uuid = uuid_of(server, dn)
    mixed = change(server, dn, "replace: vestibuleDeleted", "vestibuleDeleted: TRUE", "-", "replace: sn", "sn: X")
    mixed.refused(53)
    change(server, dn, "replace: vestibuleDeleted", "vestibuleDeleted: TRUE", "-",
           "replace: vestibuleReason", "vestibuleReason: left the #house").ok()
    server.search(base=dn, scope="base").refused(32)
    grave = f"entryUUID={uuid},{DELETED}"
    assert moves(server, grave)[-1] == ("state", "2", "-99", ADMIN, "left the #house")


def test_an_identity_with_subordinates_is_not_deleted_by_its_attribute(new_server):
    server = new_server().start()
    dn = f"uid=above,{PEOPLE}"
    server.add(person("above")).ok()
    server.add(f"dn: cn=below,{dn}\nobjectClass: device\ncn: below\n").ok()
    change(server, dn, "replace: vestibuleDeleted", "vestibuleDeleted: TRUE").refused(66)
    delete(server, dn).refused(66)
    server.tool("ldapdelete", "-r", dn).ok()
    server.stop()
    server.start()
    assert len(server.search(base=DELETED).ok().entries) == 2, "the container and the one identity"


def test_only_those_with_all_rights_see_the_deleted(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    uuid = uuid_of(server, dn)
    delete(server, dn).ok()
    grave = f"entryUUID={uuid},{DELETED}"
    for base in (DELETED, grave):
        server.search(base=base, scope="base", who=AMARTIN).refused(32)
        server.search(base=base, scope="base", who=None).refused(32)
    change(server, grave, "replace: vestibuleDeleted", "vestibuleDeleted: FALSE", who=AMARTIN).refused(32)
    server.delete(grave, who=AMARTIN).refused(32)
    assert uuid in str(server.search(base=DELETED).ok().entries)


def test_the_deleted_outlive_a_restart(new_server):
    server = new_server().start()
    dn = f"uid=gone,{PEOPLE}"
    server.add(person("gone")).ok()
    uuid = uuid_of(server, dn)
    history = moves(server, dn)
    delete(server, dn).ok()
    server.stop()
    server.start()
    grave = f"entryUUID={uuid},{DELETED}"
    assert operational(server, grave, "vestibuleDeleted")["vestibuleDeleted"] == [b"TRUE"]
    change(server, grave, "replace: vestibuleDeleted", "vestibuleDeleted: FALSE").ok()
    assert moves(server, dn)[: len(history)] == history


def test_deletes_can_be_final(configured):
    server = configured(extra="")
    server.stop()
    text = server.config.read_text()
    server.config.write_text(text.replace("identities:\n", "identities:\n  delete: hard\n"))
    server.start()
    dn = f"uid=gone,{PEOPLE}"
    server.add(person("gone")).ok()
    found = change(server, dn, "replace: vestibuleDeleted", "vestibuleDeleted: TRUE").refused(53)
    assert "identities.delete" in found.err
    delete(server, dn).ok()
    assert len(server.search(base=DELETED).ok().entries) == 1, "only the container"


def test_moves_by_ldapmodify_are_in_the_history(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    assert moves(server, dn) == [("state", "", "2", ADMIN, "")]
    change(server, dn, "replace: vestibuleState", "vestibuleState: -99", "-",
           "replace: vestibuleReason", "vestibuleReason: under inquiry").ok()
    assert moves(server, dn)[-1] == ("state", "2", "-99", ADMIN, "under inquiry")
    assert "vestibuleReason" not in operational(server, dn, "+")
    # A frozen identity stays frozen whatever is written to it.
    change(server, dn, "replace: title", "title: Doctor").ok()
    assert operational(server, dn)["vestibuleState"] == [b"-99"]
    change(server, dn, "replace: vestibuleState", "vestibuleState: 1").ok()
    found = change(server, dn, "replace: vestibuleState", "vestibuleState: 99").refused(53)
    assert "allowed: -99 DONT_SYNC, 2 TO_SYNC" in found.err
    change(server, dn, "replace: vestibuleLifecycle", "vestibuleLifecycle: P").ok()
    axes = {(axis, old, new) for axis, old, new, *_ in moves(server, dn)}
    assert ("lifecycle", "O", "P") in axes
    shown = operational(server, dn)
    assert re.fullmatch(rb"\d{14}Z", shown["vestibuleLastLifecycleUpdate"][0])


def test_an_invitation_has_its_dates(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    change(server, dn, "replace: vestibuleInitState", "vestibuleInitState: 1").ok()
    shown = operational(server, dn)
    assert "vestibuleInitDate" in shown and "vestibuleSentDate" not in shown
    assert shown["vestibuleDataStatus"] == [b"1"], "who is invited can use the account"
    change(server, dn, "replace: vestibuleInitState", "vestibuleInitState: 2").ok()
    assert "vestibuleSentDate" in operational(server, dn)


@pytest.mark.parametrize("value", ["yes", "true", "1"])
def test_ignore_lifecycle_is_a_boolean(server, uid, value):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    found = change(server, dn, "replace: vestibuleIgnoreLifecycle", f"vestibuleIgnoreLifecycle: {value}").refused(21)
    assert "expected TRUE or FALSE" in found.err
    change(server, dn, "replace: vestibuleIgnoreLifecycle", "vestibuleIgnoreLifecycle: TRUE").ok()
    assert operational(server, dn)["vestibuleIgnoreLifecycle"] == [b"TRUE"]


def test_a_history_line_can_be_searched(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    change(server, dn, "replace: vestibuleState", "vestibuleState: -99", "-",
           "replace: vestibuleReason", f"vestibuleReason: case {uid}").ok()
    found = server.search(f"(vestibuleHistory=*#state#2#-99#*#case {uid})", "1.1").ok().entries
    assert [name for name, _ in found] == [dn]


def test_writes_to_the_axes_that_mean_nothing_are_refused(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    found = change(server, dn, "replace: vestibuleState", "vestibuleState: -1").refused(53)
    assert "allowed: -99 DONT_SYNC, 1 TO_VALIDATE" in found.err
    change(server, dn, "delete: vestibuleState").refused(19)
    change(server, dn, "delete: vestibuleLifecycle").refused(19)
    change(server, dn, "replace: vestibuleReason", "vestibuleReason: for nothing").refused(53)
    server.add(person(uid + "x", vestibuleDeleted="TRUE")).refused(53)


def test_what_waits_for_a_human_is_not_released_by_other_writes(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, vestibuleState="1", userPassword="first pass phrase")).ok()
    server.tool("ldappasswd", "-s", "second pass phrase", who=dn, password="first pass phrase").ok()
    change(server, dn, "replace: title", "title: Doctor").ok()
    assert operational(server, dn)["vestibuleState"] == [b"1"]
    change(server, dn, "replace: vestibuleState", "vestibuleState: 2").ok()


def test_an_identity_stays_one_wherever_it_goes(server, uid):
    dn, away = f"uid={uid},{PEOPLE}", f"uid={uid},ou=groups,{SUFFIX}"
    server.add(person(uid, vestibuleLifecycle="V", userPassword="a long pass phrase")).ok()
    before = moves(server, dn)
    server.tool("ldapmodrdn", "-s", f"ou=groups,{SUFFIX}", dn, f"uid={uid}").ok()
    assert server.tool("ldapwhoami", who=away, password="a long pass phrase").code == 49
    change(server, away, "replace: title", "title: Doctor").ok()
    assert operational(server, away)["vestibuleLifecycle"] == [b"V"]
    server.tool("ldapmodrdn", "-s", PEOPLE, away, f"uid={uid}").ok()
    assert moves(server, dn)[: len(before)] == before
    assert server.tool("ldapwhoami", who=dn, password="a long pass phrase").code == 49


def test_who_breaks_a_newer_rule_can_still_be_locked(new_server, tmp_path):
    schemas = tmp_path / "schemas"
    shutil.copytree(REPO / "schemas", schemas)
    server = new_server()
    server.config.write_text(server.config.read_text().replace(f"{REPO}/schemas", str(schemas)))
    server.start()
    dn = f"uid=old,{PEOPLE}"
    server.add(person("old", userPassword="a long pass phrase")).ok()
    rules = "type: object\nproperties:\n  title: {type: array}\nrequired: [title]\n"
    (schemas / "classes" / "inetOrgPerson.yml").write_text(rules)
    server.stop()
    server.start()
    change(server, dn, "replace: sn", "sn: Other").refused(19)
    server.tool("ldappasswd", "-s", "another pass phrase", dn).ok()
    change(server, dn, "replace: vestibuleLifecycle", "vestibuleLifecycle: V").ok()
    assert server.tool("ldapwhoami", who=dn, password="another pass phrase").code == 49


def test_others_do_not_read_what_is_noted_of_a_person(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, userPassword="a long pass phrase")).ok()
    change(server, dn, "replace: vestibuleState", "vestibuleState: -99", "-",
           "replace: vestibuleReason", "vestibuleReason: under inquiry").ok()
    change(server, dn, "replace: vestibuleState", "vestibuleState: 2").ok()
    shown = server.search(f"(uid={uid})", "*", "+", base=PEOPLE, who=AMARTIN).ok().entry
    assert shown["cn"] and not [name for name in shown if name.startswith("vestibuleH")], shown
    assert "vestibuleState" not in shown and "vestibuleDataStatus" not in shown
    found = server.search("(vestibuleState=2)", "1.1", base=PEOPLE, who=AMARTIN).ok().entries
    assert [name for name, _ in found if name != AMARTIN] == []
    own = server.tool("ldapsearch", "-LLL", "-b", dn, "-s", "base", "(objectClass=*)", "+",
                      who=dn, password="a long pass phrase").ok().entry
    assert "vestibuleState" in own and "vestibuleHistory" not in own


def test_an_assertion_holds_below_deleted_as_well(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid)).ok()
    uuid = uuid_of(server, dn)
    delete(server, dn).ok()
    grave = f"entryUUID={uuid},{DELETED}"
    server.tool("ldapdelete", "-e", "!assert=(uid=nobody)", grave).refused(122)
    wish = f"dn: {grave}\nchangetype: modify\nreplace: vestibuleDeleted\nvestibuleDeleted: FALSE\n"
    server.tool("ldapmodify", "-e", "!assert=(uid=nobody)", stdin=wish).refused(122)
    long = "x" * 300
    change(server, grave, "replace: vestibuleDeleted", "vestibuleDeleted: FALSE", "-",
           "replace: vestibuleReason", f"vestibuleReason: {long}").refused(53)
    server.tool("ldapdelete", "-e", f"!assert=(uid={uid})", grave).ok()
    server.search(base=grave, scope="base").refused(32)


def test_an_export_leaves_closed_accounts_closed(new_server):
    old = new_server("old").start()
    closed, waiting = f"uid=closed,{PEOPLE}", f"uid=waiting,{PEOPLE}"
    old.add(person("closed", userPassword="a long pass phrase")).ok()
    old.add(person("waiting", vestibuleState="1")).ok()
    change(old, closed, "replace: vestibuleDataStatus", "vestibuleDataStatus: -3").ok()
    old.stop()
    for over in ("store", "ldap"):
        output = old.folder / f"{over}.ldif"
        if over == "ldap":
            old.start()
            done = old.command("export", "--output", str(output), "--server", old.uri())
        else:
            done = old.command("export", "--with-passwords", "--output", str(output))
        assert done.returncode == 0, done.stderr
        lines = [line for line in output.read_text().splitlines() if line.startswith("vestibule")]
        assert "vestibuleDataStatus: -3" in lines and "vestibuleState: 1" in lines, (over, lines)
        assert "vestibuleState: 2" not in lines and "vestibuleLifecycle: O" not in lines, (over, lines)
    new = new_server("new", flags=["--no-demo"])
    done = new.command("import", str(old.folder / "store.ldif"))
    assert done.returncode == 0, done.stdout + done.stderr
    new.start()
    assert operational(new, closed)["vestibuleDataStatus"] == [b"-3"]
    assert operational(new, waiting)["vestibuleState"] == [b"1"]
    assert new.tool("ldapwhoami", who=closed, password="a long pass phrase").code == 49
