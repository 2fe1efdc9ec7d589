"""What a feed keeps to: the controls beside it, aliases, who it runs as, and how much the journal keeps."""

import ldap
import pytest

from support import LBERNARD, PEOPLE, SUFFIX, person
from test_changelog import poll
from test_persistent_search import Watch
from test_sync import OU, Consumer, own, unit  # noqa: F401

SYNC = ("-E", "!sync=ro")
UNWILLING, PROTOCOL_ERROR, ASSERTION_FAILED = 53, 2, 122
ALIAS = f"ou=alias,{OU}"


@pytest.fixture
def filled(own):  # noqa: F811
    own.add(person("one", OU, mail=["a@one.example", "b@two.example"])).ok()
    return own


def test_an_assertion_about_the_base_holds_for_a_feed(filled):
    for flags in (SYNC, ("-E", "!ps=15/1/1")):
        found = filled.search(base=OU, flags=(*flags, "-e", "!assert=(ou=other)")).refused(ASSERTION_FAILED)
        assert found.entries == []
    assert len(filled.search(base=OU, flags=(*SYNC, "-e", "!assert=(ou=feed)")).ok().entries) == 2


def test_matched_values_hold_for_a_feed(filled):
    found = filled.search("(uid=one)", "mail", base=OU, flags=(*SYNC, "-E", "!mv=(mail=*@two.example)")).ok()
    assert found.entry == {"mail": [b"b@two.example"]}


@pytest.mark.parametrize("control", ["!deref=member:uid", "!subentries=true", "!sss=uid"])
def test_what_a_feed_cannot_keep_to_is_refused(filled, control):
    filled.search(base=OU, flags=(*SYNC, "-E", control)).refused(UNWILLING)


def test_a_feed_begins_at_an_alias_but_follows_none_below(filled):
    filled.add(f"dn: {ALIAS}\nobjectClass: alias\nobjectClass: extensibleObject\nou: alias\n"
               f"aliasedObjectName: {PEOPLE}\n").ok()
    for how in ("always", "search"):
        filled.search(base=OU, flags=(*SYNC, "-a", how)).refused(PROTOCOL_ERROR)
    found = filled.search(base=ALIAS, flags=(*SYNC, "-a", "find")).ok()
    assert sorted(found.dns) == sorted(filled.search(base=PEOPLE).ok().dns)

    consumer = Consumer(filled, base=ALIAS)
    consumer.set_option(ldap.OPT_DEREF, ldap.DEREF_FINDING)
    consumer.persist()
    filled.add(person("later")).ok()
    consumer.until(lambda: consumer.told)
    assert consumer.told == [("entry", f"uid=later,{PEOPLE}")]


def test_a_persistent_search_may_follow_aliases_where_there_are_none(filled):
    """JNDI asks for it by default."""
    always = ("-a", "always", "-E", "!ps=15/0/1")
    filled.add(f"dn: {ALIAS}\nobjectClass: alias\nobjectClass: extensibleObject\nou: alias\n"
               f"aliasedObjectName: {PEOPLE}\n").ok()
    filled.search(base=OU, flags=always).refused(UNWILLING)
    filled.delete(ALIAS).ok()
    connection = filled.connect()
    connection.set_option(ldap.OPT_DEREF, ldap.DEREF_ALWAYS)
    filled.connect = lambda *who: connection
    watch = Watch(filled)
    filled.add(person("later", OU)).ok()
    assert [dn for dn, _ in watch.until(1)] == [f"uid=later,{OU}"]


LOCK = f"dn: {LBERNARD}\nchangetype: modify\nreplace: vestibuleLifecycle\nvestibuleLifecycle: V\n"


@pytest.mark.parametrize("how", ["closed", "deleted"])
def test_a_feed_ends_with_the_account_that_it_runs_as(own, how):  # noqa: F811
    consumer, watch = Consumer(own, who=LBERNARD).persist(), Watch(own, who=LBERNARD, base=SUFFIX)
    if how == "closed":
        own.modify(LOCK).ok()
    else:
        own.delete(LBERNARD).ok()
    own.add(person("later")).ok()
    with pytest.raises(ldap.INSUFFICIENT_ACCESS, match=how):
        consumer.until(lambda: False)
    with pytest.raises(ldap.INSUFFICIENT_ACCESS, match=how):
        watch.until(99)
    assert (consumer.told, watch.told) == ([], [])


def test_nobody_is_told_of_entries_that_they_could_not_have_seen(own):  # noqa: F811
    """They may not read that unit: neither what is changed in it nor what is deleted is named to them."""
    class Listening(Consumer):
        def syncrepl_delete(self, uuids):
            self.told.extend(("gone", uuid) for uuid in uuids)

    for name in ("hidden", "gone"):
        own.add(person(name, OU)).ok()
    for name in ("open", "leaves"):
        own.add(person(name)).ok()
    consumer = Listening(own, who=LBERNARD).refresh()
    left = {dn: uuid for uuid, (dn, _) in consumer.copy.items()}
    assert f"uid=open,{PEOPLE}" in consumer.names and f"uid=hidden,{OU}" not in consumer.names
    own.modify(f"dn: uid=hidden,{OU}\nchangetype: modify\nreplace: title\ntitle: a\n").ok()
    own.delete(f"uid=gone,{OU}").ok()
    assert consumer.refresh().told == []
    own.delete(f"uid=open,{PEOPLE}").ok()
    own.tool("ldapmodrdn", "-s", OU, f"uid=leaves,{PEOPLE}", "uid=leaves").ok()
    assert sorted(consumer.refresh().told) == sorted(("gone", left[f"uid={n},{PEOPLE}"]) for n in ("open", "leaves"))


def test_a_large_change_is_in_the_log_without_its_values(new_server):
    server = new_server(limits="{journal_record_bytes: 2000, journal_page_bytes: 5000}").start()
    server.add(unit("feed")).ok()
    consumer = Consumer(server, base=OU).refresh()
    first = int(poll(server)[-1]["changeNumber"])
    server.add(person("one", OU)).ok()
    names, kept = [], lambda c: c.get("changes", "").replace("\n ", "").split("\n")[1:2]
    for number in range(20):
        size = 3000 if number == 10 else 1500
        text = f"{number} {'x' * size}"
        server.modify(f"dn: uid=one,{OU}\nchangetype: modify\nreplace: description\ndescription: {text}\n").ok()
        names.append(text)
    told = poll(server, first)
    assert [c["changeType"] for c in told] == ["add"] + ["modify"] * 20
    assert [kept(c) for c in told[1:]] == [[] if n == 10 else [f"description: {t}"] for n, t in enumerate(names)]
    assert "changes" not in told[11]
    assert consumer.refresh().told == [("entry", f"uid=one,{OU}")]
