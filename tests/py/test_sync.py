"""Content synchronisation (RFC 4533) with python-ldap's consumer and with ldapsearch."""

import re
import subprocess

import ldap
import pytest
from ldap.ldapobject import ReconnectLDAPObject
from ldap.syncrepl import SyncreplConsumer

from support import ADMIN, AMARTIN, PASSWORDS, PEOPLE, SUFFIX, person, wait_for

SYNC = "1.3.6.1.4.1.4203.1.9.1.1"
OU = f"ou=feed,{SUFFIX}"


class Consumer(ReconnectLDAPObject, SyncreplConsumer):
    """Keeps a copy, as RFC 4533 section 3 tells a client to."""

    def __init__(self, server, who=ADMIN, base=SUFFIX, filter="(objectClass=*)", attrs=None, cookie=None):
        super().__init__(server.uri())
        self.set_option(ldap.OPT_NETWORK_TIMEOUT, 20)
        self.search = dict(base=base, scope=ldap.SCOPE_SUBTREE, filterstr=filter, attrlist=attrs)
        self.cookie, self.copy, self.present, self.told = cookie, {}, set(), []
        self.deletes_told = self.done = False
        self.simple_bind_s(who, PASSWORDS[who])

    def syncrepl_get_cookie(self):
        return self.cookie

    def syncrepl_set_cookie(self, cookie):
        self.cookie = cookie

    def syncrepl_entry(self, dn, attrs, uuid):
        self.told.append(("entry", dn))
        self.copy[uuid] = (dn, attrs)

    def syncrepl_delete(self, uuids):
        for uuid in uuids:
            self.told.append(("delete", self.copy.pop(uuid, ("?", {}))[0]))

    def syncrepl_present(self, uuids, refreshDeletes=False):
        if uuids is not None:
            self.present.update(uuids)
            return
        self.deletes_told = refreshDeletes
        if not refreshDeletes:
            for uuid in set(self.copy) - self.present:
                del self.copy[uuid]
        self.present = set()

    def syncrepl_refreshdone(self):
        self.done = True

    def refresh(self):
        """One refreshOnly round."""
        self.told = []
        message = self.syncrepl_search(mode="refreshOnly", **self.search)
        self.syncrepl_poll(message, all=1, timeout=20)
        return self

    def persist(self):
        self.message = self.syncrepl_search(mode="refreshAndPersist", **self.search)
        self.until(lambda: self.done)
        self.told = []
        return self

    def poll(self):
        try:
            self.syncrepl_poll(self.message, timeout=0.05)
        except ldap.TIMEOUT:
            pass

    def until(self, so):
        wait_for(lambda: self.poll() or so(), f"{self.told}, {self.names}")

    @property
    def names(self):
        return {dn for dn, _ in self.copy.values()}

    @property
    def entries(self):
        return {dn: {n: sorted(v) for n, v in attrs.items()} for dn, attrs in self.copy.values()}


def truth(server, who=ADMIN, base=SUFFIX, filter="(objectClass=*)"):
    found = server.search(filter, base=base, who=who).ok().entries
    return {dn: {n: sorted(v) for n, v in attrs.items()} for dn, attrs in found}


def unit(name, parent=SUFFIX):
    return f"dn: ou={name},{parent}\nobjectClass: organizationalUnit\n"


@pytest.fixture
def own(new_server):
    """A server of the test's own with a unit to work in."""
    server = new_server().start()
    server.add(unit("feed")).ok()
    return server


def test_refresh_only_sends_everything_then_only_what_changed(own):
    consumer = Consumer(own).refresh()
    assert consumer.entries == truth(own)
    assert not consumer.deletes_told
    assert re.fullmatch(r"rid=000,csn=\d{14}\.\d{6}Z#[0-9a-f]{6}#000#[0-9a-f]{6}", consumer.cookie)

    assert consumer.refresh().told == []
    assert consumer.deletes_told

    own.add(person("one", OU) + "\n" + person("two", OU)).ok()
    own.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: title\ntitle: feed\n").ok()
    consumer.refresh()
    assert sorted(consumer.told) == sorted([("entry", f"uid=one,{OU}"), ("entry", f"uid=two,{OU}"), ("entry", AMARTIN)])
    own.delete(f"uid=one,{OU}").ok()
    consumer.refresh()
    assert consumer.told == [("delete", f"uid=one,{OU}")]
    assert consumer.entries == truth(own)


def test_a_renamed_subtree_is_told_whole(own):
    own.add(unit("a", OU) + "\n" + person("one", f"ou=a,{OU}") + "\n" + unit("b", OU)).ok()
    consumer = Consumer(own).refresh()
    own.tool("ldapmodrdn", "-r", "-s", f"ou=b,{OU}", f"ou=a,{OU}", "ou=c").ok()
    consumer.refresh()
    assert consumer.told == [("entry", f"ou=c,ou=b,{OU}"), ("entry", f"uid=one,ou=c,ou=b,{OU}")]
    assert consumer.entries == truth(own)


def test_what_leaves_the_filter_or_the_scope_is_deleted(own):
    own.add(person("in", OU, title="yes") + "\n" + person("moves", OU, title="yes")).ok()
    consumer = Consumer(own, base=OU, filter="(title=yes)").refresh()
    assert consumer.names == {f"uid=in,{OU}", f"uid=moves,{OU}"}
    own.modify(f"dn: uid=in,{OU}\nchangetype: modify\nreplace: title\ntitle: no\n").ok()
    own.tool("ldapmodrdn", "-s", SUFFIX, f"uid=moves,{OU}", "uid=moves").ok()
    consumer.refresh()
    assert consumer.names == set()
    # What happens elsewhere is not told.
    own.add(person("elsewhere", PEOPLE, title="no")).ok()
    own.delete(f"uid=elsewhere,{PEOPLE}").ok()
    assert consumer.refresh().told == []


def test_persist_delivers_each_change_once_and_in_order(own):
    consumer = Consumer(own).persist()
    assert consumer.entries == truth(own)
    own.add(unit("a", OU)).ok()
    for number in range(20):
        own.add(person(f"n{number}", f"ou=a,{OU}")).ok()
    consumer.until(lambda: len(consumer.told) >= 21)
    assert consumer.told == [("entry", f"ou=a,{OU}")] + [("entry", f"uid=n{n},ou=a,{OU}") for n in range(20)]
    consumer.told = []
    own.modify(f"dn: uid=n3,ou=a,{OU}\nchangetype: modify\nadd: mail\nmail: n3@x.example\n").ok()
    own.delete(f"uid=n4,ou=a,{OU}").ok()
    own.tool("ldapmodrdn", "-r", f"uid=n5,ou=a,{OU}", "uid=m5").ok()
    consumer.until(lambda: len(consumer.told) >= 3)
    assert consumer.told == [
        ("entry", f"uid=n3,ou=a,{OU}"), ("delete", f"uid=n4,ou=a,{OU}"), ("entry", f"uid=m5,ou=a,{OU}"),
    ]
    assert consumer.entries == truth(own)


def test_the_connection_serves_other_requests_while_a_search_persists(new_server):
    server = new_server(limits="{in_flight: 1, search_secs: 1, search_entries: 500, standing_searches: 2}").start()
    consumer = Consumer(server).persist()
    assert consumer.whoami_s() == f"dn:{ADMIN}"
    second = consumer.syncrepl_search(SUFFIX, ldap.SCOPE_BASE, mode="refreshAndPersist")
    assert consumer.whoami_s() == f"dn:{ADMIN}"
    third = consumer.syncrepl_search(SUFFIX, ldap.SCOPE_BASE, mode="refreshAndPersist", cookie="")
    with pytest.raises(ldap.ADMINLIMIT_EXCEEDED):
        consumer.syncrepl_poll(third, all=1, timeout=20)
    consumer.abandon(second)
    # Far longer than search_secs would allow is not needed: the limit is looked at with each change.
    server.add(unit("late")).ok()
    consumer.until(lambda: f"ou=late,{SUFFIX}" in consumer.names)


def test_bind_and_cancel_end_a_persistent_search(own):
    consumer = Consumer(own).persist()
    consumer.cancel(consumer.message)
    with pytest.raises(ldap.CANCELLED):
        consumer.syncrepl_poll(consumer.message, all=1, timeout=20)
    consumer.persist()
    consumer.simple_bind_s(AMARTIN, PASSWORDS[AMARTIN])
    own.add(unit("unheard", OU)).ok()
    assert consumer.whoami_s().lower() == f"dn:{AMARTIN}".lower()
    consumer.poll()
    assert consumer.told == []
    assert own.stop() == 0


def test_the_cookie_outlives_the_server(own):
    consumer = Consumer(own).refresh()
    assert own.stop() == 0
    own.start()
    again = Consumer(own, cookie=consumer.cookie).refresh()
    assert (again.told, again.deletes_told) == ([], True)
    own.add(person("after", OU)).ok()
    own.stop()
    own.start()
    third = Consumer(own, cookie=again.cookie).refresh()
    assert third.told == [("entry", f"uid=after,{OU}")]


def test_a_persistent_search_ends_with_the_server(own):
    consumer = Consumer(own).persist()
    assert own.stop() == 0
    # A notice of disconnection, then the end.
    with pytest.raises((ldap.UNAVAILABLE, ldap.SERVER_DOWN)):
        while True:
            consumer.syncrepl_poll(consumer.message, timeout=20)


REFRESH_REQUIRED = 4096


def refused(consumer):
    with pytest.raises(ldap.LDAPError) as refusal:
        consumer.refresh()
    return refusal.value.args[0]["result"]


def test_a_cookie_that_was_trimmed_away_asks_for_a_refresh(new_server):
    server = new_server(limits="{journal_keep: 10, recent_changes: 0}").start()
    consumer = Consumer(server).refresh()
    for number in range(30):
        server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: title\ntitle: {number}\n").ok()
    fresh = Consumer(server).refresh()
    assert refused(consumer) == REFRESH_REQUIRED
    assert Consumer(server, cookie=fresh.cookie).refresh().told == []


def test_the_cookie_of_another_store_asks_for_a_refresh(new_server):
    cookies = [Consumer(new_server(name).start()).refresh().cookie for name in ("first", "second")]
    assert cookies[0] != cookies[1]
    third = new_server("third").start()
    for cookie in [*cookies, "nonsense", "rid=001,csn=20200101000000.000000Z#000000#000#000000"]:
        assert refused(Consumer(third, cookie=cookie)) == REFRESH_REQUIRED, cookie


def test_a_reader_is_told_only_what_it_may_read(own):
    consumer = Consumer(own, who=AMARTIN).persist()
    assert consumer.entries == truth(own, who=AMARTIN)
    assert not any("userPassword" in attrs for _, attrs in consumer.copy.values())
    own.add(person("hidden", OU)).ok()
    own.add(person("seen", PEOPLE, homePhone="1")).ok()
    consumer.until(lambda: consumer.told)
    assert consumer.told == [("entry", f"uid=seen,{PEOPLE}")]
    assert "homePhone" not in consumer.entries[f"uid=seen,{PEOPLE}"]
    # Out of sight it is gone.
    own.tool("ldapmodrdn", "-s", OU, f"uid=seen,{PEOPLE}", "uid=seen").ok()
    consumer.until(lambda: len(consumer.told) > 1)
    assert consumer.told[1:] == [("delete", f"uid=seen,{PEOPLE}")]


def test_ldapsearch_syncs(own):
    first = own.search(base=OU, flags=["-E", "sync=ro"]).ok()
    assert first.names == {"feed"}
    run = subprocess.Popen(
        ["ldapsearch", "-x", "-H", own.uri(), "-D", ADMIN, "-w", PASSWORDS[ADMIN], "-b", OU, "-E", "!sync=rp"],
        stdout=subprocess.PIPE, text=True, env=own.env,
    )
    with run:
        assert any("SyncInfo Received" in line for line in run.stdout)
        own.add(person("live", OU)).ok()
        assert any(line.startswith(f"dn: uid=live,{OU}") for line in run.stdout)
        run.kill()


def test_a_malformed_request_is_a_protocol_error(own):
    connection = own.connect()
    for value in [None, b"", b"\x30\x03\x0a\x01\x02", b"\x30\x00", b"\x30\x05\x0a\x01\x01\x02\x00"]:
        control = ldap.controls.RequestControl(SYNC, True, value)
        with pytest.raises(ldap.PROTOCOL_ERROR):
            connection.search_ext_s(SUFFIX, ldap.SCOPE_BASE, serverctrls=[control])


def test_without_the_control_there_is_no_sync(new_server):
    """The same request where the control is switched off, and that it is advertised where it works."""
    on = new_server("on").start()
    off = new_server("off")
    off.config.write_text(off.config.read_text() + "ldap: {controls_off: [sync]}\n")
    off.start()
    supported = [s.search("(objectClass=*)", "supportedControl", base="", scope="base").entry for s in (on, off)]
    assert [SYNC.encode() in entry["supportedControl"] for entry in supported] == [True, False]
    with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
        Consumer(off).refresh()


def test_who_joins_or_leaves_a_group_comes_and_goes(own):
    """The people do not change themselves: their memberOf does."""
    one, two = f"uid=one,{OU}", f"uid=two,{OU}"
    own.add(person("one", OU) + "\n" + person("two", OU)).ok()
    own.add(f"dn: cn=team,{OU}\nobjectClass: groupOfNames\nmember: {one}\n").ok()
    wanted = dict(base=OU, filter=f"(memberOf=cn=team,{OU})")
    polls, persists = Consumer(own, **wanted).refresh(), Consumer(own, **wanted).persist()
    assert polls.names == persists.names == {one}
    own.modify(f"dn: cn=team,{OU}\nchangetype: modify\nadd: member\nmember: {two}\n").ok()
    persists.until(lambda: persists.told)
    assert persists.told == [("entry", two)]
    assert polls.refresh().names == persists.names == {one, two}
    own.modify(f"dn: cn=team,{OU}\nchangetype: modify\ndelete: member\nmember: {one}\n").ok()
    persists.until(lambda: len(persists.told) > 1)
    assert persists.told[1:] == [("delete", one)]
    assert polls.refresh().names == persists.names == {two}


@pytest.mark.parametrize("limits, error", [
    ("{search_entries: 3}", ldap.SIZELIMIT_EXCEEDED), ("{search_candidates: 3}", ldap.ADMINLIMIT_EXCEEDED),
])
@pytest.mark.parametrize("mode", ["refreshOnly", "refreshAndPersist"])
def test_the_refresh_is_a_search_within_limits(new_server, limits, error, mode):
    server = new_server(limits=limits).start()
    consumer = Consumer(server)
    message = consumer.syncrepl_search(mode=mode, **consumer.search)
    with pytest.raises(error):
        consumer.syncrepl_poll(message, all=1, timeout=20)
    assert consumer.cookie is None
