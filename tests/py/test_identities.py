"""Identities: class rules, states, passwords."""

import pytest

from support import ADMIN, AMARTIN, PASSWORDS, PEOPLE, SUFFIX, TRANSPORTS, person, wait_for

SUPANN = ["supannPerson"]


def state(server, dn):
    return int(server.search("(objectClass=*)", "vestibuleState", base=dn, scope="base").ok().entry["vestibuleState"][0])


def change(server, dn, *lines, **how):
    return server.modify("\n".join([f"dn: {dn}", "changetype: modify", *lines]) + "\n", **how)


def can_bind(server, dn, password):
    code = server.tool("ldapwhoami", who=dn, password=password).code
    assert code in (0, 49), code
    return code == 0


def test_three_faults_in_one_diagnostic(server, uid):
    text = person(uid, classes=["supannPerson", "supannFCPerson"], supannEtablissement="0123456X",
                  displayName=["One", "Two"], supannOIDCDateDeNaissance="31/12/1999")
    found = server.add(text)
    assert found.code in (19, 65, 21), found
    lines = [l for l in found.err.splitlines() if "supannEtablissement" in l]
    assert len(lines) == 1, found
    for part in ("supannEtablissement", "displayName", "supannOIDCDateDeNaissance", "supannPerson",
                 "SINGLE-VALUE", "format"):
        assert part in lines[0], (part, found)
    assert "31/12/1999" not in lines[0] and "0123456X" not in lines[0], "a diagnostic carries no value"
    server.search(base=f"uid={uid},{PEOPLE}", scope="base").refused(32)


def test_three_faults_with_the_birth_date_alone_in_supann_person(server, uid):
    """As a client would send it that knows supannPerson only."""
    text = person(uid, classes=SUPANN, supannEtablissement="0123456X", displayName=["One", "Two"],
                  supannOIDCDateDeNaissance="31/12/1999")
    found = server.add(text)
    assert found.code != 0
    for part in ("supannEtablissement", "displayName", "supannOIDCDateDeNaissance"):
        assert part in found.err, found


def test_an_ordinary_person_is_welcome(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    found = server.add(person(uid)).ok()
    assert "additional info" not in found.err
    assert state(server, dn) == 2
    entry = server.search("(objectClass=*)", "+", base=dn, scope="base").entry
    assert (entry["vestibuleLifecycle"], entry["vestibuleDataStatus"], entry["vestibuleInitState"]) == (
        [b"O"], [b"0"], [b"0"])
    assert "vestibuleState" not in server.search(base=dn, scope="base").entry


@pytest.mark.parametrize("missing", ["cn", "sn"])
def test_what_inet_org_person_requires(server, uid, missing):
    text = "".join(l + "\n" for l in person(uid).splitlines() if not l.startswith(missing + ":"))
    server.add(text).refused(65, missing)


def test_an_identity_needs_a_uid(server, uid):
    found = server.add(f"dn: cn={uid},{PEOPLE}\nobjectClass: inetOrgPerson\nsn: x\n")
    assert found.code != 0 and "uid" in found.err, found


def test_rules_hold_for_modify(server, someone):
    change(server, someone, "add: objectClass", "objectClass: supannPerson", "-", "add: supannEtablissement",
           "supannEtablissement: 0123456X").refused(19, "supannEtablissement", "supannPerson")
    change(server, someone, "add: objectClass", "objectClass: supannPerson", "-", "add: supannEtablissement",
           "supannEtablissement: {UAI}0123456X").ok()


def test_states_are_for_identities_and_rules_for_all(server, uid):
    server.add(person(uid, SUFFIX, classes=SUPANN, supannEtablissement="0123456X")).refused(19)
    server.add(person(uid, SUFFIX, classes=SUPANN)).ok()
    entry = server.search("(objectClass=*)", "+", base=f"uid={uid},{SUFFIX}", scope="base").entry
    assert "vestibuleState" not in entry
    server.delete(f"uid={uid},{SUFFIX}").ok()


def test_composite_values_come_back(server, uid):
    value = ("[etab={UAI}0123456X][anneeinsc=2025][regimeinsc={SISE}10][sectdisc={SISE}27][typedip={SISE}AC]"
             "[cursusann={SUPANN}L3][affect=INFO][diplome={SISE}2300427]")
    server.add(person(uid, classes=SUPANN, supannEtuInscription=value)).ok()
    found = server.search("(objectClass=*)", "supannEtuInscription", base=f"uid={uid},{PEOPLE}", scope="base").entry
    assert found == {"supannEtuInscription": [value.encode()]}


def test_incomplete_is_kept_when_asked_and_completed_later(server, uid):
    dn = f"uid={uid},{PEOPLE}"
    text = person(uid, classes=SUPANN, supannEtablissement="0123456X", userPassword="early-password",
                  vestibuleState="-1")
    connection = server.connect()
    server.add(text).ok()
    assert state(server, dn) == -2
    missing = server.search("(objectClass=*)", "vestibuleMissing", base=dn, scope="base").entry["vestibuleMissing"]
    assert len(missing) == 1 and b"supannEtablissement" in missing[0]
    assert not can_bind(server, dn, "early-password")
    # Work on it goes on while it is incomplete.
    change(server, dn, "replace: mail", "mail: a@valmont.example").ok()
    assert state(server, dn) == -2
    change(server, dn, "replace: supannEtablissement", "supannEtablissement: {UAI}0123456X").ok()
    assert state(server, dn) == 2
    assert can_bind(server, dn, "early-password")
    assert "vestibuleMissing" not in server.search("(objectClass=*)", "+", base=dn, scope="base").entry
    connection.unbind_s()


def test_keeping_incomplete_says_what_is_missing(server, uid):
    import ldap

    connection = server.connect()
    number = connection.add(f"uid={uid},{PEOPLE}", [
        ("objectClass", [b"inetOrgPerson", b"supannPerson"]), ("cn", [b"x"]), ("sn", [b"y"]),
        ("supannEtablissement", [b"0123456X"]), ("vestibuleState", [b"-1"])])
    connection.result(number)
    # python-ldap hides the diagnostic of a success in an option.
    text = connection.get_option(ldap.OPT_DIAGNOSTIC_MESSAGE)
    assert "supannEtablissement" in text and "-2" in text
    connection.unbind_s()


def test_state_minus_one_does_not_excuse_ldap_schema(server, uid):
    server.add(person(uid, vestibuleState="-1", displayName=["a", "b"])).refused(19, "displayName")


def test_a_complete_identity_sent_with_minus_one_goes_on(server, uid):
    server.add(person(uid, vestibuleState="-1")).ok()
    assert state(server, f"uid={uid},{PEOPLE}") == 2


def test_a_move_that_the_table_does_not_have(server, someone):
    change(server, someone, "replace: vestibuleState", "vestibuleState: 99").refused(53, "99 SYNCED")
    change(server, someone, "replace: vestibuleState", "vestibuleState: 7").refused(21, "vestibuleState")
    assert state(server, someone) == 2


def test_manual_release(new_server):
    server = new_server(release="manual", flags=["--no-demo"]).start()
    server.add(f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n").ok()
    dn = f"uid=held,{PEOPLE}"
    server.add(person("held")).ok()
    assert state(server, dn) == 1
    change(server, dn, "replace: vestibuleState", "vestibuleState: 2").ok()
    assert state(server, dn) == 2
    change(server, dn, "replace: sn", "sn: Again").ok()
    assert state(server, dn) == 1


def test_a_demo_person_has_a_state(server):
    assert state(server, AMARTIN) == 2


# Passwords.


@pytest.mark.parametrize("who", [ADMIN, "self"])
def test_passwords_are_never_returned(server, someone, who):
    how = {} if who == ADMIN else {"who": someone, "password": "first-password"}
    for attrs in ((), ("userPassword",), ("*", "+"), ("2.5.4.35",)):
        found = server.search("(objectClass=*)", *attrs, base=someone, scope="base", **how).ok()
        assert "userPassword" not in found.entry
        assert "argon2" not in found.out and "first-password" not in found.out


@pytest.mark.parametrize("filter", ["(userPassword=first-password)", "(userPassword=*argon2*)", "(userPassword>=a)",
                                    "(userPassword:2.5.13.17:=first-password)", "(:2.5.13.17:=first-password)"])
def test_passwords_cannot_be_searched(server, someone, filter):
    assert server.search(filter, "1.1").ok().entries == []


def test_passwords_are_hashed_at_rest(new_server):
    server = new_server().start()
    server.add(person("secret", userPassword="a-password-in-clear-91")).ok()
    assert server.tool("ldappasswd", "-s", "another-in-clear-92", f"uid=secret,{PEOPLE}").code == 0
    assert can_bind(server, f"uid=secret,{PEOPLE}", "another-in-clear-92")
    assert server.stop() == 0
    stored = b"".join(p.read_bytes() for p in server.data.rglob("*") if p.is_file())
    for clear in (b"a-password-in-clear-91", b"another-in-clear-92", b"demo-amartin-2026"):
        assert clear not in stored
    assert b"a-password-in" not in server.log().encode()


def test_an_own_password_by_ldappasswd(server, someone):
    found = server.tool("ldappasswd", "-a", "first-password", "-s", "second-password", who=someone,
                        password="first-password")
    assert found.code == 0, found
    assert not can_bind(server, someone, "first-password")
    assert can_bind(server, someone, "second-password")


def test_an_own_password_with_a_wrong_old_one(server, someone):
    found = server.tool("ldappasswd", "-a", "wrong", "-s", "second-password", who=someone, password="first-password")
    assert found.code != 0
    assert can_bind(server, someone, "first-password")


def test_a_generated_password(server, someone):
    found = server.tool("ldappasswd", who=someone, password="first-password").ok()
    new = found.out.split("New password:")[1].strip()
    assert len(new) >= 12
    assert can_bind(server, someone, new) and not can_bind(server, someone, "first-password")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_password_by_the_administrator(server, someone, transport):
    assert server.tool("ldappasswd", "-s", "set-by-admin", someone, transport=transport).code == 0
    assert can_bind(server, someone, "set-by-admin") and not can_bind(server, someone, "first-password")


def test_another_password_by_a_person(server, someone):
    found = server.tool("ldappasswd", "-s", "stolen", someone, who=AMARTIN)
    assert "(50)" in found.err + found.out, found
    assert can_bind(server, someone, "first-password")


def test_a_password_by_modify(server, someone):
    change(server, someone, "replace: userPassword", "userPassword: by-modify", who=someone,
           password="first-password").ok()
    assert can_bind(server, someone, "by-modify") and not can_bind(server, someone, "first-password")


def test_an_own_password_replaced_by_delete_and_add(server, someone):
    change(server, someone, "delete: userPassword", "userPassword: first-password", "-", "add: userPassword",
           "userPassword: second-password", who=someone, password="first-password").ok()
    assert can_bind(server, someone, "second-password") and not can_bind(server, someone, "first-password")


def test_a_hash_that_is_imported_verifies(server, uid):
    # {SSHA} of "imported" with salt "abcd".
    import base64
    import hashlib

    hashed = b"{SSHA}" + base64.b64encode(hashlib.sha1(b"imported" + b"abcd").digest() + b"abcd")
    server.add(person(uid, userPassword=hashed.decode())).ok()
    assert can_bind(server, f"uid={uid},{PEOPLE}", "imported")


def test_compare_of_a_password_needs_the_right(server, someone):
    found = server.tool("ldapcompare", someone, "userPassword:first-password", who=AMARTIN)
    assert found.code == 50, found


def test_a_wrong_password_then_the_right_one(server):
    assert not can_bind(server, AMARTIN, "wrong")
    wait_for(lambda: can_bind(server, AMARTIN, PASSWORDS[AMARTIN]), "the right password")
