"""What one client may not do to the others: take the server's time and memory, find out names,
keep a second password, move entries past the rules."""

import shutil
import socket
import time

import ldap
import pytest
from ldap.controls import LDAPControl

from support import ADMIN, ADMIN_PASSWORD, AMARTIN, LBERNARD, PASSWORDS, PEOPLE, REPO, SUFFIX, person, wait_for

DEAR = [
    "{ARGON2}$argon2id$v=19$m=4294967295,t=1,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA",
    "{ARGON2}$argon2id$v=19$m=64,t=4294967295,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA",
    "{CRYPT}$6$rounds=999999999$saltsalt$" + "a" * 86,
]


@pytest.mark.parametrize("value", DEAR)
def test_a_hash_that_costs_too_much_is_refused(server, someone, value):
    changed = server.modify(f"dn: {someone}\nchangetype: modify\nreplace: userPassword\nuserPassword: {value}\n")
    assert changed.code == 19 and "costs more" in changed.err, changed
    assert server.tool("ldapwhoami", who=someone, password="first-password").ok()


def test_only_a_few_passwords_fit(server, someone):
    many = "".join(f"userPassword: password-{n}\n" for n in range(6))
    changed = server.modify(f"dn: {someone}\nchangetype: modify\nreplace: userPassword\n{many}")
    assert changed.code == 11 and "userPassword" in changed.err, changed


def test_hashing_is_for_those_who_may_write(server, uid):
    refused = server.add(person(uid, userPassword="x"), who=AMARTIN)
    assert refused.code == 50 and "add this entry" in refused.err, refused


def test_no_password_hides_behind_an_option(server, someone):
    changed = server.modify(f"dn: {someone}\nchangetype: modify\nadd: userPassword;x-a\nuserPassword;x-a: back\n")
    assert changed.code == 17, changed
    assert server.tool("ldapwhoami", who=someone, password="back").code == 49


def test_the_old_password_of_others_cannot_be_tried(server):
    for guess in (PASSWORDS[LBERNARD], "wrong"):
        tried = server.tool("ldappasswd", "-a", guess, "-s", "new-password", LBERNARD, who=AMARTIN)
        assert "(50)" in tried.out + tried.err, tried


@pytest.mark.parametrize("ask", [
    lambda s, dn: s.search(base=dn, scope="base", who=None).code,
    lambda s, dn: s.tool("ldapcompare", dn, "sn:x", who=None).code,
    lambda s, dn: s.delete(dn, who=None).code,
    lambda s, dn: s.modify(f"dn: {dn}\nchangetype: modify\nreplace: nope\nnope: x\n", who=None).code,
    lambda s, dn: s.add(f"dn: {dn}\nobjectClass: person\ncn: x\nsn: x\n", who=None).code,
    lambda s, dn: s.tool("ldapmodrdn", dn, "uid=other", who=None).code,
], ids=["search", "compare", "delete", "modify", "add", "rename"])
def test_whoever_has_no_right_learns_no_name(server, ask):
    assert ask(server, AMARTIN) == ask(server, f"uid=nobody,{PEOPLE}") == 32


def test_an_empty_modify_tells_nothing_either(server):
    connection = server.connect(who=None)
    for dn in (AMARTIN, f"uid=nobody,{PEOPLE}"):
        with pytest.raises(ldap.NO_SUCH_OBJECT):
            connection.modify_s(dn, [])


def test_a_name_of_thousands_of_parts_is_answered(server):
    deep = "o=x," * 9000 + SUFFIX
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        server.connect(who=None).search_s(deep, ldap.SCOPE_BASE)
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        server.connect().delete_s(deep)


def test_an_address_book_filter_of_five_substrings(server):
    parts = "".join(f"({name}=*amart*)" for name in ("cn", "sn", "mail", "uid", "givenName"))
    found = server.search(f"(&(objectClass=person)(|{parts}))", "1.1").ok()
    assert found.dns == [AMARTIN]


def test_a_filter_over_very_many_keys_is_still_right(server):
    parts = "".join("(cn=*martin*)" for _ in range(2000))
    found = server.connect().search_s(SUFFIX, ldap.SCOPE_SUBTREE, f"(|{parts})", ["1.1"])
    assert AMARTIN in [dn for dn, _ in found]


def test_compare_keeps_to_the_rights_of_subtypes(new_server, tmp_path):
    access = tmp_path / "access.yml"
    access.write_text(
        "rules:\n"
        "  - {name: admin, who: [admin], rights: all}\n"
        "  - {name: no surname, who: [authenticated], attributes: [sn], rights: none}\n"
        "  - {name: the rest, who: [authenticated], rights: [read, search, compare]}\n"
    )
    server = new_server(access=access).start()
    compare = lambda attr: server.tool("ldapcompare", LBERNARD, attr, who=AMARTIN).code
    surname = server.search("(uid=lbernard)", "sn").ok().entry["sn"][0].decode()
    assert compare(f"sn:{surname}") == 50
    assert compare(f"name:{surname}") == 5
    assert server.stop() == 0


def test_an_rdn_completes_the_classes(server, uid):
    dn = f"objectClass=inetOrgPerson+cn={uid},{PEOPLE}"
    server.add(f"dn: {dn}\nsn: x\nuid: {uid}\nobjectClass: inetOrgPerson\n").ok()
    assert server.search(f"(&(cn={uid})(objectClass=person))", "1.1").ok().dns == [dn]
    server.delete(dn).ok()


def test_a_container_does_not_cross_the_border_of_identities(server, uid):
    container, inside = f"ou={uid},{PEOPLE}", f"uid={uid},ou={uid},{PEOPLE}"
    server.add(f"dn: {container}\nobjectClass: organizationalUnit\n").ok()
    server.add(person(uid).replace(f"uid={uid},{PEOPLE}", inside)).ok()
    moved = server.tool("ldapmodrdn", "-s", SUFFIX, container, f"ou={uid}")
    assert moved.code == 53 and "identities base" in moved.out + moved.err, moved
    server.modify(f"dn: {inside}\nchangetype: modify\nreplace: sn\nsn: New\n").ok()
    server.delete(inside).ok()
    server.delete(container).ok()


def test_a_move_needs_the_right_to_add_where_it_goes(new_server, tmp_path):
    access = tmp_path / "access.yml"
    access.write_text(
        "rules:\n"
        "  - {name: admin, who: [admin], rights: all}\n"
        "  - {name: no new groups, who: [authenticated], base: 'ou=groups,{suffix}', scope: children, rights: [read]}\n"
        "  - {name: the rest, who: [authenticated], rights: all}\n"
    )
    server = new_server(access=access).start()
    person_here = f"dn: cn=p,{SUFFIX}\nobjectClass: person\nsn: x\n"
    server.add(person_here, who=AMARTIN).ok()
    groups = f"ou=groups,{SUFFIX}"
    assert server.add(person_here.replace(f"cn=p,{SUFFIX}", f"cn=p,{groups}"), who=AMARTIN).code == 50
    moved = server.tool("ldapmodrdn", "-s", groups, f"cn=p,{SUFFIX}", "cn=p", who=AMARTIN)
    assert moved.code == 50, moved
    assert server.stop() == 0


def test_an_index_on_a_computed_attribute_is_refused(new_server):
    server = new_server()
    server.config.write_text(server.config.read_text() + "indexes: [uid, modifyTimestamp]\n")
    checked = server.command("check")
    assert checked.returncode == 1 and "'modifyTimestamp'" in checked.stderr, checked.stderr


def test_a_type_that_the_schema_lost_stops_the_start(new_server, tmp_path):
    schemas = tmp_path / "schemas"
    shutil.copytree(REPO / "schemas", schemas)
    own = schemas / "ldap" / "95-own.yml"
    own.write_text(
        "attributes: [{name: ownNote, oid: 1.3.6.1.4.1.32473.9.1, sup: name}]\n"
        "classes: [{name: ownThing, oid: 1.3.6.1.4.1.32473.9.2, kind: auxiliary, may: [ownNote]}]\n"
    )
    server = new_server()
    server.config.write_text(server.config.read_text().replace(f"{REPO}/schemas", str(schemas)))
    server.start()
    server.modify(
        f"dn: {AMARTIN}\nchangetype: modify\nadd: objectClass\nobjectClass: ownThing\n-\nadd: ownNote\nownNote: x\n"
    ).ok()
    assert server.stop() == 0
    own.write_text(own.read_text().replace("attributes: [{name: ownNote, oid: 1.3.6.1.4.1.32473.9.1, sup: name}]\n", "")
                   .replace("may: [ownNote]", "may: []"))
    refused = server.command("serve", "--ldap=127.0.0.1:0", "--ldaps=127.0.0.1:0", "--http=127.0.0.1:0")
    assert refused.returncode == 1 and "ownNote" in refused.stderr and "put the definition back" in refused.stderr
    own.write_text(own.read_text().replace("classes:", "attributes: [{name: ownNote, oid: 1.3.6.1.4.1.32473.9.1, sup: name}]\nclasses:"))
    assert server.start().search("(ownNote=x)", "ownNote").ok().dns == [AMARTIN]
    assert server.stop() == 0


# What one request may cost through its controls


def raw_control(oid, value, critical=True):
    return LDAPControl(oid, critical, encodedControlValue=value)


def ber(tag, *parts):
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x84" + len(body).to_bytes(4, "big")
    return bytes([tag]) + length + body


def refused_for_its_size(connection, control=None, filter="(uid=amartin)"):
    with pytest.raises(ldap.ADMINLIMIT_EXCEEDED):
        connection.search_ext_s(SUFFIX, ldap.SCOPE_SUBTREE, filter, serverctrls=[control] if control else [])


def test_sort_keys_are_few(server):
    key = ber(0x30, ber(4, b"sn"))
    refused_for_its_size(server.connect(AMARTIN), raw_control("1.2.840.113556.1.4.473", ber(0x30, key * 9)))


def test_dereferenced_attributes_are_few_and_different(server):
    def control(*names):
        return raw_control("1.3.6.1.4.1.4203.666.5.16", ber(0x30, *[
            ber(0x30, ber(4, name), ber(0x30, ber(4, b"*"))) for name in names]))

    connection = server.connect(AMARTIN)
    refused_for_its_size(connection, control(*[b"a%d" % n for n in range(9)]))
    with pytest.raises(ldap.PROTOCOL_ERROR):
        connection.search_ext_s(SUFFIX, ldap.SCOPE_SUBTREE, serverctrls=[control(b"member", b"Member")])


def test_what_is_dereferenced_beside_one_entry_is_bounded(new_server):
    server = new_server(limits="{ dereference_bytes: 2000 }").start()
    found = server.search("(cn=*)", "cn", base=f"ou=groups,{SUFFIX}", flags=("-E", "deref=member:*"))
    found.refused(11)


def test_filters_have_a_bound_of_assertions_and_chains(new_server, server):
    connection = server.connect(AMARTIN)
    refused_for_its_size(connection, filter="(|" + "(uid=x)" * 10_001 + ")")
    chain = "(member:1.2.840.113556.1.4.1941:=cn=x)"
    refused_for_its_size(connection, filter="(|" + chain * 17 + ")")
    assert connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(|" + "(uid=x)" * 500 + "(uid=amartin))")
    assert connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(|" + chain * 16 + ")") == []


def test_an_assertion_is_short(server):
    connection = server.connect(AMARTIN)
    term = ber(0xa3, ber(4, b"uid"), ber(4, b"x"))
    many = raw_control("1.3.6.1.1.12", ber(0xa1, term * 101))
    refused_for_its_size(connection, many)
    with pytest.raises(ldap.ADMINLIMIT_EXCEEDED):
        connection.modify_ext_s(AMARTIN, [(ldap.MOD_REPLACE, "userPassword", [b"x"])], serverctrls=[many])


def test_a_message_id_is_used_once_at_a_time(server):
    """A second request with the id of one under way is refused; else nobody could abandon the first."""
    host, port = server.ldap.rsplit(":", 1)
    persistent = ber(0xa0, ber(0x30, ber(4, b"2.16.840.1.113730.3.4.3"), ber(1, b"\xff"), ber(
        4, ber(0x30, ber(2, b"\x0f"), ber(1, b"\xff"), ber(1, b"\x00")))))
    search = ber(0x63, ber(4, SUFFIX.encode()), ber(10, b"\x02"), ber(10, b"\x00"), ber(2, b"\x00"), ber(2, b"\x00"),
                 ber(1, b"\x00"), ber(0x87, b"objectClass"), ber(0x30))
    bind = ber(0x60, ber(2, b"\x03"), ber(4, AMARTIN.encode()), ber(0x80, b"demo-amartin-2026"))
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(ber(0x30, ber(2, b"\x01"), bind))
        assert sock.recv(1000)[5:7] == b"\x61\x07"
        sock.sendall(ber(0x30, ber(2, b"\x07"), search, persistent) * 2)
        answer = sock.recv(1000)
        assert b"\x02\x01\x07\x65" in answer and b"\x0a\x01\x02" in answer, answer


def test_searches_that_wait_end_with_their_connection(server):
    def open_now():
        return int(server.search("(objectClass=*)", "monitorCounter", base="cn=Current,cn=Connections,cn=monitor",
                                 scope="base").entry["monitorCounter"][0])

    before = open_now()
    host, port = server.ldap.rsplit(":", 1)
    bind = ber(0x60, ber(2, b"\x03"), ber(4, ADMIN.encode()), ber(0x80, ADMIN_PASSWORD.encode()))
    persistent = ber(0xa0, ber(0x30, ber(4, b"2.16.840.1.113730.3.4.3"), ber(1, b"\xff"), ber(
        4, ber(0x30, ber(2, b"\x0f"), ber(1, b"\xff"), ber(1, b"\x00")))))
    search = ber(0x63, ber(4, SUFFIX.encode()), ber(10, b"\x02"), ber(10, b"\x00"), ber(2, b"\x00"), ber(2, b"\x00"),
                 ber(1, b"\x00"), ber(0x87, b"objectClass"), ber(0x30))
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(ber(0x30, ber(2, b"\x01"), bind) + ber(0x30, ber(2, b"\x02"), search, persistent))
    wait_for(lambda: open_now() <= before, "the connections are gone")
    # A bind behind such a search is answered.
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        first = ber(0x30, ber(2, b"\x01"), bind)
        sock.sendall(first + ber(0x30, ber(2, b"\x02"), search, persistent) + ber(0x30, ber(2, b"\x03"), bind))
        data = b""
        while b"\x02\x01\x03\x61" not in data:
            data += sock.recv(1000)


def test_transactions_hold_no_memory_after_their_connection(server):
    """Nobody without a name starts one, and what is kept counts by the bytes of its messages."""
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        server.connect(who=None).extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None))


def test_all_transactions_share_a_bound(new_server):
    server = new_server(limits="{ transactions_bytes: 3000 }").start()
    first, second = server.connect(), server.connect()

    def start(connection):
        _, identifier = connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None))
        return raw_control("1.3.6.1.1.21.2", identifier)

    def change(connection, control, size):
        connection.modify_ext_s(SUFFIX, [(ldap.MOD_REPLACE, "description", [b"x" * size])], serverctrls=[control])

    one, two = start(first), start(second)
    change(first, one, 2000)
    with pytest.raises(ldap.BUSY):
        change(second, two, 2000)
    first.unbind_s()
    three = start(second)
    wait_for(lambda: try_change(change, second, three), "the room of a closed connection is free")


def try_change(change, connection, control):
    try:
        change(connection, control, 500)
        return True
    except ldap.BUSY:
        return False


def test_response_controls_of_a_transaction_keep_their_message_ids(server, uid):
    """160 is 0x00a0: the tag of a list of controls, and also a part of this id."""
    connection = server.connect()
    while connection.search_ext(SUFFIX, ldap.SCOPE_BASE, attrlist=["1.1"]) < 158:
        pass
    connection.result(all=1)
    _, identifier = connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None))
    controls = [raw_control("1.3.6.1.1.21.2", identifier), raw_control("1.3.6.1.1.13.2", ber(0x30, ber(4, b"ou")))]
    entry = [("objectClass", [b"organizationalUnit"]), ("ou", [uid.encode()])]
    message = connection.add_ext(f"ou={uid},{SUFFIX}", entry, serverctrls=controls)
    assert message == 160
    connection.result3(message)
    _, value = connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.3", ber(0x30, ber(4, identifier))))
    assert value[:2] == b"\x30\x81" or value[0] == 0x30
    assert b"\x02\x02\x00\xa0\x30" in value and b"1.3.6.1.1.13.2" in value
    connection.delete_s(f"ou={uid},{SUFFIX}")


def test_a_commit_keeps_one_version_of_an_entry(new_server, uid):
    """Many small changes of a large entry in one transaction: bounded work, and all or nothing."""
    server = new_server(limits="{ update_bytes: 3000000 }").start()
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, jpegPhoto=b"\xff\xd8" + b"x" * 500_000)).ok()
    change = f"dn: {dn}\nchangetype: modify\nreplace: description\ndescription: {{}}\n\n"
    few, many = ("".join(change.format(n) for n in range(count)) for count in (4, 8))
    server.tool("ldapmodify", "-E", "txn=commit", stdin=few).ok()
    server.tool("ldapmodify", "-E", "txn=commit", stdin=many).refused(11)
    assert server.search(f"(uid={uid})", "description").entry["description"] == [b"3"]


def test_unique_values_are_looked_at_once(server, uid):
    """A change of something else costs an entry with many addresses nothing."""
    server.add(person(uid, mail=[f"{uid}-{n}@valmont.example" for n in range(3000)])).ok()
    change = f"dn: uid={uid},{PEOPLE}\nchangetype: modify\nadd: mail\nmail: more-{uid}@valmont.example\n"
    server.modify(change).ok()
    server.add(person(uid + "b", mail=f"{uid}-7@valmont.example")).refused(19, "mail")
    server.delete(f"uid={uid},{PEOPLE}").ok()


def test_proxied_authorization_must_be_critical_and_name_someone(server):
    connection = server.connect()
    for control in [raw_control("2.16.840.1.113730.3.4.18", b"dn:", critical=False),
                    raw_control("2.16.840.1.113730.3.4.18", None)]:
        with pytest.raises(ldap.PROTOCOL_ERROR):
            connection.search_ext_s(SUFFIX, ldap.SCOPE_BASE, serverctrls=[control])


def test_made_up_entries_come_in_pages_and_sorted(server):
    found = server.search("(objectClass=monitorOperation)", "cn", base="cn=Operations,cn=monitor",
                          flags=("-E", "pr=4/noprompt", "-E", "!sss=-cn")).ok()
    names = [line[4:] for line in found.out.splitlines() if line.startswith("cn: ")]
    assert names == sorted(names, reverse=True) and len(names) == 11
    assert found.out.count("pagedresults: cookie=") == 3


def test_attributes_asked_for_are_bounded_and_taken_once(server):
    connection = server.connect(AMARTIN)
    with pytest.raises(ldap.ADMINLIMIT_EXCEEDED):
        connection.search_s(AMARTIN, ldap.SCOPE_BASE, attrlist=["cn"] * 1001)
    ((_, entry),) = connection.search_s(AMARTIN, ldap.SCOPE_BASE, attrlist=["@inetOrgPerson"] * 300 + ["cn"] * 300)
    assert len(entry["cn"]) == 1


def test_a_password_for_nobody_is_refused_without_a_hash(server):
    """Whether a name is there must not show by the time that a refusal takes."""
    def code(dn):
        with pytest.raises(ldap.NO_SUCH_OBJECT) as refusal:
            server.connect(who=None).modify_s(dn, [(ldap.MOD_REPLACE, "userPassword", [b"x"])])
        return refusal.value.args[0]["result"]

    times = {}
    for dn in [AMARTIN, f"uid=nobody-at-all,{PEOPLE}"]:
        start = time.monotonic()
        for _ in range(10):
            assert code(dn) == 32
        times[dn] = time.monotonic() - start
    # Ten hashes would take a good part of a second.
    assert max(times.values()) < 10 * max(min(times.values()), 0.02), times


def test_no_op_has_no_place_in_a_transaction(server):
    connection = server.connect()
    _, identifier = connection.extop_s(ldap.extop.ExtendedRequest("1.3.6.1.1.21.1", None))
    controls = [raw_control("1.3.6.1.1.21.2", identifier), raw_control("1.3.6.1.4.1.4203.666.5.2", None)]
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        connection.modify_ext_s(SUFFIX, [(ldap.MOD_REPLACE, "description", [b"x"])], serverctrls=controls)
