"""A real slapd follows this server by syncrepl and ends up with the same entries."""

import re

import pytest

from replica import Replica
from support import ADMIN, ADMIN_PASSWORD, SUFFIX, Server, person, wait_for

SYNCREPL = """\
syncrepl rid=001 provider=ldap://127.0.0.1:{port} type={kind} interval=00:00:00:01 retry="1 +"
  searchbase="{suffix}" schemachecking=off bindmethod=simple binddn="{admin}" credentials={password}
"""


class Provider(Server):
    """Keeps its port over restarts, as a consumer needs it."""

    port = None

    @property
    def serve_command(self):
        command = super().serve_command
        return [f"--ldap=127.0.0.1:{self.port}" if self.port and a == "--ldap=127.0.0.1:0" else a for a in command]

    def start(self):
        super().start()
        self.port = self.ldap.rsplit(":", 1)[1]
        return self


def own_attributes(provider):
    """The attributes that only this server has, as it publishes them, for slapd.conf: slapd cannot
    store what it does not know."""
    entry = provider.search("(objectClass=*)", "attributeTypes", base="cn=Subschema", scope="base").ok().entry
    own = [v.decode() for v in entry["attributeTypes"] if b"NAME 'vestibule" in v]
    assert own
    # Its configuration file defines user attributes only.
    return "\n".join("attributetype " + re.sub(r" (NO-USER-MODIFICATION|USAGE \w+)", "", one) for one in own)


def unit(name, parent=SUFFIX):
    return f"dn: ou={name},{parent}\nobjectClass: organizationalUnit\n"


def group(name, *members):
    lines = "".join(f"member: {m}\n" for m in members)
    return f"dn: cn={name},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\n{lines}"


@pytest.fixture
def pair(tmp_path):
    """Makes a provider with a consumer behind it."""
    started = []

    def make(kind="refreshAndPersist", limits="{}"):
        provider = Provider(tmp_path / "provider", limits=limits, flags=["--no-demo"]).start()
        started.append(provider)
        provider.add(unit("people") + "\n" + unit("groups") + "\n" + unit("guests", f"ou=people,{SUFFIX}")).ok()
        syncrepl = SYNCREPL.format(
            port=provider.port, kind=kind, suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD
        )
        consumer = Replica(tmp_path / "consumer", own_attributes(provider), syncrepl)
        started.append(consumer)
        return provider, consumer

    yield make
    for one in started:
        one.stop()


def entries(provider, *attrs):
    found = provider.search("(objectClass=*)", *attrs).ok().entries
    return {dn: {n: sorted(v) for n, v in entry.items()} for dn, entry in found}


MARKS = ("entryUUID", "entryCSN", "createTimestamp", "creatorsName", "modifyTimestamp", "modifiersName")


def until_equal(provider, consumer):
    wanted = entries(provider, "*")

    def held():
        found = consumer.entries()
        return {dn: {n: v for n, v in e.items() if not n.startswith("vestibule")} for dn, e in found.items()}

    try:
        wait_for(lambda: held() == wanted, "slapd holds the same entries")
    except AssertionError:
        assert held() == wanted, [line for line in consumer.log().splitlines() if "rid=" in line][-40:]
        raise
    assert consumer.entries(*MARKS) == entries(provider, *MARKS)


def change_everything(provider, tag):
    """Adds, modifies, deletes, renames and moves of leaves and of a subtree."""
    people = f"ou=people,{SUFFIX}"
    new = "\n".join(person(f"{tag}{n}", people, mail=f"{tag}{n}@x.example") for n in range(6))
    provider.add(new + "\n" + group(f"{tag}staff", f"uid={tag}0,{people}", f"uid={tag}1,{people}")).ok()
    provider.modify(
        f"dn: uid={tag}0,{people}\nchangetype: modify\nreplace: mail\nmail: {tag}-other@x.example\n-\n"
        "add: description\ndescription:: w6l0w6k=\n-\nadd: telephoneNumber\ntelephoneNumber: +33 1\n"
    ).ok()
    provider.modify(
        f"dn: cn={tag}staff,ou=groups,{SUFFIX}\nchangetype: modify\nadd: member\nmember: uid={tag}2,{people}\n-\n"
        f"delete: member\nmember: uid={tag}1,{people}\n"
    ).ok()
    provider.delete(f"uid={tag}3,{people}").ok()
    # A name given up is taken by another entry.
    provider.tool("ldapmodrdn", "-r", f"uid={tag}4,{people}", f"uid={tag}four").ok()
    provider.tool("ldapmodrdn", "-r", f"uid={tag}5,{people}", f"uid={tag}4").ok()
    # A unit with people in it moves below another one, under another name.
    provider.add(unit(f"{tag}unit", people) + "\n" + unit("deep", f"ou={tag}unit,{people}")).ok()
    provider.add(person(f"{tag}in", f"ou=deep,ou={tag}unit,{people}")).ok()
    provider.tool("ldapmodrdn", "-r", "-s", f"ou=guests,{people}", f"ou={tag}unit,{people}", f"ou={tag}moved").ok()
    provider.tool("ldapmodrdn", "-s", people, f"uid={tag}in,ou=deep,ou={tag}moved,ou=guests,{people}",
                  f"uid={tag}in").ok()


def test_slapd_follows_over_restarts_of_either_side(pair):
    provider, consumer = pair()
    change_everything(provider, "a")
    consumer.start()
    until_equal(provider, consumer)
    change_everything(provider, "b")
    until_equal(provider, consumer)

    consumer.stop()
    change_everything(provider, "c")
    provider.delete(f"uid=a0,ou=people,{SUFFIX}").ok()
    consumer.start()
    until_equal(provider, consumer)
    # It took up where it had stopped, and did not begin anew.
    assert "starting refresh (sending cookie=rid=001,csn=" in consumer.log()

    provider.stop()
    provider.start()
    change_everything(provider, "d")
    until_equal(provider, consumer)
    assert "CSN too old" not in consumer.log()
    assert all("userPassword" not in entry for entry in consumer.entries().values())


def test_slapd_polls(pair):
    provider, consumer = pair(kind="refreshOnly")
    change_everything(provider, "a")
    consumer.start()
    until_equal(provider, consumer)
    change_everything(provider, "b")
    provider.delete(f"uid=a0,ou=people,{SUFFIX}").ok()
    until_equal(provider, consumer)


def test_slapd_left_behind_by_the_trimming_loads_anew(pair):
    provider, consumer = pair(limits="{journal_keep: 5, recent_changes: 0}")
    change_everything(provider, "a")
    consumer.start()
    until_equal(provider, consumer)
    consumer.stop()
    provider.delete(f"uid=a0,ou=people,{SUFFIX}").ok()
    change_everything(provider, "b")
    consumer.start()
    until_equal(provider, consumer)
