"""Uniqueness by rule, area and filter: enforced at every way in, and switched off rule by rule."""

import threading

import ldap
import pytest

from support import AMARTIN, PEOPLE, SUFFIX, person


@pytest.fixture
def held(server, uid):
    """A person who holds a value of each rule."""
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, mail=f"{uid}@x.example", supannAutreMail=f"{uid}.alias@x.example", supannEmpId=f"E{uid}",
                      supannAliasLogin=f"alias{uid}", eduPersonPrincipalName=f"{uid}@x.example",
                      supannEtuId=f"S{uid}", classes=["supannPerson", "eduPerson"])).ok()
    yield uid
    server.delete(dn)
    server.delete(f"uid=x{uid},{PEOPLE}")


CASES = [
    ("mail", "{0}@x.example", "mail"),
    ("mail", "{0}@X.EXAMPLE", "mail"),
    ("mail", "{0}.alias@x.example", "mail"),
    ("supannAutreMail", "{0}@x.example", "mail"),
    ("supannAliasLogin", "{0}", "uid"),
    ("supannEmpId", "E{0}", "supannEmpId"),
    ("supannEtuId", "S{0}", "supannEtuId"),
    ("eduPersonPrincipalName", "{0}@x.example", "eduPersonPrincipalName"),
]


@pytest.mark.parametrize("attr, value, rule", CASES)
def test_add_and_modify(server, held, attr, value, rule):
    value, dn = value.format(held), f"uid=x{held},{PEOPLE}"
    classes = ["supannPerson", "eduPerson"]
    text = f"{attr} (unique, rule '{rule}')"
    server.add(person(f"x{held}", **{attr: value}, classes=classes)).refused(19, text, f"uid={held},{PEOPLE} holds")
    server.add(person(f"x{held}", classes=classes)).ok()
    for change in ("add", "replace"):
        server.modify(f"dn: {dn}\nchangetype: modify\n{change}: {attr}\n{attr}: {value}\n").refused(19, text)
    # A free value passes, and its holder may write it again.
    free = f"free{held}@x.example"
    for _ in range(2):
        server.modify(f"dn: {dn}\nchangetype: modify\nreplace: {attr}\n{attr}: {free}\n").ok()


def test_a_login_may_be_no_alias_of_another(server, held):
    server.add(person(f"alias{held}")).refused(19, "uid (unique, rule 'uid')")


def test_number_and_type_together(server, uid):
    dn = lambda n: f"uid={uid}{n},{PEOPLE}"
    server.add(person(f"{uid}1", employeeNumber=uid, employeeType=["staff", "student"])).ok()
    held = ("employeeNumber (unique, rule 'employeeNumber')", f"{dn(1)} holds")
    server.add(person(f"{uid}2", employeeNumber=uid.upper(), employeeType="STUDENT")).refused(19, *held)
    server.add(person(f"{uid}2", employeeNumber=uid, employeeType="guest")).ok()
    server.add(person(f"{uid}3", employeeNumber=uid)).ok()
    for n in (2, 3):
        server.modify(f"dn: {dn(n)}\nchangetype: modify\nadd: employeeType\nemployeeType: staff\n").refused(19, *held)
    server.modify(f"dn: {dn(2)}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: {uid}x\n"
                  "-\nadd: employeeType\nemployeeType: staff\n").ok()
    server.modify(f"dn: {dn(2)}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: {uid}\n").refused(19, *held)


def test_rename(server, held):
    server.add(person(f"x{held}")).ok()
    with pytest.raises(ldap.CONSTRAINT_VIOLATION):
        server.connect().rename_s(f"uid=x{held},{PEOPLE}", f"uid=alias{held}")
    server.connect().rename_s(f"uid={held},{PEOPLE}", f"uid=alias{held}", delold=0)
    server.connect().rename_s(f"uid=alias{held},{PEOPLE}", f"uid={held}")


def test_the_own_values_are_no_hindrance(server, held):
    change = f"dn: uid={held},{PEOPLE}\nchangetype: modify\nreplace: supannAutreMail\nsupannAutreMail: {held}@x.example\n"
    server.modify(change).ok()


def test_a_value_that_is_given_up_is_free(server, held):
    server.modify(f"dn: uid={held},{PEOPLE}\nchangetype: modify\ndelete: mail\n-\ndelete: supannAutreMail\n").ok()
    server.add(person(f"x{held}", mail=f"{held}@x.example")).ok()


def test_outside_of_the_area_and_of_the_filter(server, held):
    base = f"ou=accounts{held},{SUFFIX}"
    server.add(f"dn: {base}\nobjectClass: organizationalUnit\n").ok()
    server.add(person("x", base, mail=f"{held}@x.example") + f"uid: {held}\n").ok()
    # Nor is a shared mailbox a person.
    shared = f"cn=shared{held},{PEOPLE}"
    server.add(f"dn: {shared}\nobjectClass: organizationalRole\nobjectClass: extensibleObject\nmail: {held}@x.example\n").ok()
    # What comes into the area is looked at.
    with pytest.raises(ldap.CONSTRAINT_VIOLATION):
        server.connect().rename_s(f"uid=x,{base}", f"uid=x{held}", PEOPLE)
    for dn in (shared, f"uid=x,{base}", base):
        server.delete(dn).ok()


def test_who_may_not_read_the_holder_is_not_told(configured, tmp_path):
    access = tmp_path / "access.yml"
    access.write_text("rules:\n  - {name: admin, who: [admin], rights: all}\n"
                      f"  - {{name: secret, who: [authenticated], base: 'uid=secret,{PEOPLE}', rights: none}}\n"
                      f"  - {{name: mails, who: [authenticated], base: 'uid=half,{PEOPLE}', attributes: [mail], rights: none}}\n"
                      "  - {name: rest, who: [authenticated], rights: all}\n")
    server = configured(access=access)
    server.add("\n".join(person(n, mail=f"{n}@x.example") for n in ("secret", "half", "open"))).ok()
    for holder, told in (("secret", False), ("half", False), ("open", True)):
        answer = server.add(person("new", mail=f"{holder}@x.example"), who=AMARTIN).refused(19, "mail (unique")
        assert (f"uid={holder}" in answer.err) is told, answer
        assert ("another entry holds this value" in answer.err) is not told, answer


def test_of_many_at_once_one_wins(server, uid):
    """Writes of one commit see each other."""
    connections = [server.connect() for _ in range(8)]
    start, results = threading.Barrier(len(connections)), []

    def add(n, connection):
        entry = [("objectClass", [b"inetOrgPerson"]), ("cn", [b"x"]), ("sn", [b"x"]), ("mail", [f"{uid}@one.example".encode()])]
        start.wait()
        try:
            connection.add_s(f"uid={uid}n{n},{PEOPLE}", entry)
            results.append("won")
        except ldap.CONSTRAINT_VIOLATION:
            results.append("lost")

    threads = [threading.Thread(target=add, args=item) for item in enumerate(connections)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(results) == ["lost"] * 7 + ["won"]
    found = server.search(f"(mail={uid}@one.example)", "1.1").dns
    assert len(found) == 1
    server.delete(found[0]).ok()


def test_a_rule_is_switched_off_alone(configured):
    server = configured("unique: [{name: mail, enabled: false}]\n")
    server.add(person("a", mail="same@x.example") + "uid: b\n").ok()
    server.add(person("c", mail="same@x.example")).ok()
    server.add(person("b")).refused(19, "rule 'uid'")


def test_a_rule_is_changed(configured):
    server = configured("unique:\n- name: mail\n  filter: (&(objectClass=inetOrgPerson)(!(employeeType=shared)))\n")
    server.add(person("a", mail="same@x.example")).ok()
    server.add(person("b", mail="same@x.example", employeeType="shared")).ok()
    server.add(person("c", mail="same@x.example")).refused(19, "rule 'mail'")
    # Whoever comes under the rule again is looked at.
    server.modify(f"dn: uid=b,{PEOPLE}\nchangetype: modify\ndelete: employeeType\n").refused(19, "mail (unique")


def test_a_rule_of_the_own_and_a_subtree_that_comes_under_it(configured):
    server = configured("unique:\n- {name: rooms, attributes: [roomNumber], bases: ['ou=site,{suffix}']}\n"
                        "indexes: [uid]\n")
    server.add("\n".join([
        f"dn: ou=site,{SUFFIX}\nobjectClass: organizationalUnit\n",
        f"dn: ou=out,{SUFFIX}\nobjectClass: organizationalUnit\n",
        person("a", f"ou=site,{SUFFIX}", roomNumber="1"),
        person("b", f"ou=out,{SUFFIX}", roomNumber="1"),
    ])).ok()
    server.add(person("c", f"ou=site,{SUFFIX}", roomNumber="1")).refused(19, "roomNumber (unique, rule 'rooms')")
    with pytest.raises(ldap.CONSTRAINT_VIOLATION):
        server.connect().rename_s(f"ou=out,{SUFFIX}", "ou=out", f"ou=site,{SUFFIX}")
    assert server.search("(uid=b)", "1.1").dns == [f"uid=b,ou=out,{SUFFIX}"], "the move is undone"
    server.delete(f"uid=b,ou=out,{SUFFIX}").ok()
    server.connect().rename_s(f"ou=out,{SUFFIX}", "ou=out", f"ou=site,{SUFFIX}")


@pytest.mark.parametrize("extra, text", [
    ("unique: [{name: mine}]\n", "rule 'mine': attributes"),
    ("unique: [{name: mine, attributes: [nothing]}]\n", "'nothing'"),
    ("unique: [{name: mine, attributes: [jpegPhoto]}]\n", "'jpegPhoto'"),
    ("unique: [{name: mine, attributes: [cn], filter: '(cn='}]\n", "filter"),
    ("unique: [{name: mine, attributes: [cn], bases: [x]}]\n", "bases"),
    ("unique: [{name: mine, atributes: [cn]}]\n", "atributes"),
])
def test_the_configuration_names_its_fault(new_server, extra, text):
    server = new_server()
    server.config.write_text(server.config.read_text() + extra)
    answer = server.command("check")
    assert answer.returncode != 0 and text in answer.stderr, answer
