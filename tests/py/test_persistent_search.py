"""Persistent search with python-ldap: which changes are told, and how."""

import ldap
import pytest
from ldap.controls import RequestControl
from ldap.controls.psearch import EntryChangeNotificationControl, PersistentSearchControl

from support import AMARTIN, PEOPLE, SUFFIX, person, wait_for
from test_sync import OU, own, unit  # noqa: F401

PSEARCH = "2.16.840.1.113730.3.4.3"
ADD, DELETE, MODIFY, MOD_DN = 1, 2, 4, 8


class Watch:
    """One persistent search; collects what it is told."""

    def __init__(self, server, base=OU, who=None, filter="(objectClass=*)", attrs=None, **asked):
        self.connection = server.connect(*([who] if who else []))
        control = PersistentSearchControl(**{"changesOnly": True, **asked})
        self.message = self.connection.search_ext(base, ldap.SCOPE_SUBTREE, filter, attrs, serverctrls=[control])
        self.told, self.entries = [], {}
        # A request that is answered after the search has begun.
        self.connection.whoami_s()

    def poll(self):
        try:
            _, found, _, _, _, _ = self.connection.result4(self.message, all=0, timeout=0.05, add_ctrls=1)
        except ldap.TIMEOUT:
            return
        for dn, attrs, controls in found:
            change = [c for c in controls if isinstance(c, EntryChangeNotificationControl)]
            notice = [(c.changeType, c.previousDN, c.changeNumber) for c in change]
            self.told.append((dn, notice[0] if notice else None))
            self.entries[dn] = attrs

    def until(self, count):
        wait_for(lambda: self.poll() or len(self.told) >= count, f"{count} notices, told: {self.told}")
        return self.told

    def nothing(self, server):
        """Nothing is told up to a change that is."""
        server.add(unit("fence", OU)).ok()
        self.until(1)
        return [dn for dn, _ in self.told] == [f"ou=fence,{OU}"]


def number(server):
    entry = server.search("(objectClass=*)", "lastChangeNumber", base="", scope="base").entry
    return int(entry["lastChangeNumber"][0])


def test_each_change_is_told_with_its_kind_and_number(own):
    watch = Watch(own)
    first = number(own) + 1
    dn = f"uid=one,{OU}"
    own.add(person("one", OU)).ok()
    own.modify(f"dn: {dn}\nchangetype: modify\nadd: title\ntitle: a\n").ok()
    own.tool("ldapmodrdn", "-r", dn, "uid=two").ok()
    own.delete(f"uid=two,{OU}").ok()
    assert watch.until(4) == [
        (dn, (ADD, None, first)),
        (dn, (MODIFY, None, first + 1)),
        (f"uid=two,{OU}", (MOD_DN, dn, first + 2)),
        (f"uid=two,{OU}", (DELETE, None, first + 3)),
    ]
    # A deleted entry is shown as it was.
    assert watch.entries[f"uid=two,{OU}"]["title"] == [b"a"]


@pytest.mark.parametrize("kind", [ADD, DELETE, MODIFY, MOD_DN])
def test_only_the_kinds_asked_for(own, kind):
    name = {ADD: "add", DELETE: "delete", MODIFY: "modify", MOD_DN: "modDN"}[kind]
    watch = Watch(own, changeTypes=[name])
    for round in range(2):
        own.add(person("one", OU)).ok()
        own.modify(f"dn: uid=one,{OU}\nchangetype: modify\nadd: title\ntitle: a\n").ok()
        own.tool("ldapmodrdn", "-r", f"uid=one,{OU}", "uid=two").ok()
        own.delete(f"uid=two,{OU}").ok()
    told = watch.until(2)
    assert [notice[0] for _, notice in told] == [kind, kind]


def test_with_what_is_there_already_and_without_notices(own):
    own.add(person("there", OU)).ok()
    watch = Watch(own, changesOnly=False, returnECs=False)
    assert watch.until(2) == [(OU, None), (f"uid=there,{OU}", None)]
    own.modify(f"dn: uid=there,{OU}\nchangetype: modify\nadd: title\ntitle: a\n").ok()
    assert watch.until(3)[2] == (f"uid=there,{OU}", None)


def test_filter_scope_and_attributes_hold(own):
    watch = Watch(own, filter="(|(title=yes)(ou=fence))", attrs=["title"])
    own.add(person("no", OU)).ok()
    own.add(person("elsewhere", PEOPLE, title="yes")).ok()
    assert watch.nothing(own)
    own.modify(f"dn: uid=no,{OU}\nchangetype: modify\nadd: title\ntitle: yes\n").ok()
    assert watch.until(2)[1][0] == f"uid=no,{OU}"
    assert watch.entries[f"uid=no,{OU}"] == {"title": [b"yes"]}


def test_a_reader_is_told_only_what_it_may_read(own):
    watch = Watch(own, base=SUFFIX, who=AMARTIN)
    own.add(person("hidden", OU)).ok()
    own.add(person("seen", PEOPLE, homePhone="1")).ok()
    assert [dn for dn, _ in watch.until(1)] == [f"uid=seen,{PEOPLE}"]
    assert "homePhone" not in watch.entries[f"uid=seen,{PEOPLE}"]


def test_an_abandoned_search_ends(own):
    watch = Watch(own)
    watch.connection.abandon(watch.message)
    assert watch.connection.whoami_s()
    assert own.stop() == 0
    assert 'op="abandon"' in own.log()


def test_a_malformed_control_is_a_protocol_error(own):
    for value in [None, b"", b"\x30\x00", b"\x30\x09\x02\x01\x00\x01\x01\xff\x01\x01\xff", b"\x30\x03\x02\x01\x0f"]:
        with pytest.raises(ldap.PROTOCOL_ERROR):
            own.connect().search_ext_s(OU, ldap.SCOPE_BASE, serverctrls=[RequestControl(PSEARCH, True, value)])


def test_without_the_control_there_is_no_persistent_search(new_server):
    off = new_server()
    off.config.write_text(off.config.read_text() + "ldap: {controls_off: [persistent-search]}\n")
    off.start()
    entry = off.search("(objectClass=*)", "supportedControl", base="", scope="base").entry
    assert PSEARCH.encode() not in entry["supportedControl"]
    with pytest.raises(ldap.UNAVAILABLE_CRITICAL_EXTENSION):
        off.connect().search_ext_s(SUFFIX, ldap.SCOPE_BASE, serverctrls=[PersistentSearchControl()])


def test_the_change_log_is_followed_as_it_grows(own):
    last = number(own)
    watch = Watch(own, base="cn=changelog", attrs=["changeType", "targetDN"])
    everything = Watch(own, base="cn=changelog", changesOnly=False, filter="(changeNumber>=2)", attrs=["1.1"])
    own.add(person("one", OU)).ok()
    own.delete(f"uid=one,{OU}").ok()
    names = [f"changeNumber={last + n},cn=changelog" for n in (1, 2)]
    assert watch.until(2) == [(names[0], (ADD, None, last + 1)), (names[1], (ADD, None, last + 2))]
    assert watch.entries[names[1]] == {"changeType": [b"delete"], "targetDN": [f"uid=one,{OU}".encode()]}
    # What was there comes without a notice.
    told = everything.until(last + 1)
    assert [dn for dn, _ in told] == [f"changeNumber={n},cn=changelog" for n in range(2, last + 3)]
    assert [notice for _, notice in told[:-2]] == [None] * (last - 1)
    assert [dn for dn, notice in told if notice] == names
