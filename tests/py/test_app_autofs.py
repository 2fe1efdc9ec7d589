"""autofs reads its master map and the maps it names, and asks for single keys."""

import pytest

import campus as university
from application import Application
from campus import READER, READER_PASSWORD
from support import SUFFIX

AUTOMOUNT = f"ou=automount,{SUFFIX}"
HOMES = f"automountMapName=auto.home,{AUTOMOUNT}"
MAPS = f"""\
dn: {AUTOMOUNT}
objectClass: organizationalUnit
ou: automount

dn: automountMapName=auto.master,{AUTOMOUNT}
objectClass: automountMap
automountMapName: auto.master

dn: automountKey=/net/home,automountMapName=auto.master,{AUTOMOUNT}
objectClass: automount
automountKey: /net/home
automountInformation: ldap:{HOMES} --timeout=60

dn: {HOMES}
objectClass: automountMap
automountMapName: auto.home

dn: automountKey=amartin,{HOMES}
objectClass: automount
automountKey: amartin
automountInformation: -rw,soft nfs.valmont.example:/export/alice

dn: automountKey=/,{HOMES}
objectClass: automount
automountKey: /
automountInformation: -ro nfs.valmont.example:/export/&
"""
CONFIG = f"""\
[ autofs ]
timeout = 300
master_map_name = auto.master
ldap_uri = {{uri}}
search_base = {AUTOMOUNT}
map_object_class = automountMap
entry_object_class = automount
map_attribute = automountMapName
entry_attribute = automountKey
value_attribute = automountInformation
auth_conf_file = /etc/autofs_ldap_auth.conf
"""
AUTH = f"""\
<?xml version="1.0" ?>
<autofs_ldap_sasl_conf usetls="no" tlsrequired="no" authrequired="simple" user="{READER}" secret="{READER_PASSWORD}" />
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    server = university.start(tmp_path_factory.mktemp("maps"), branch=AUTOMOUNT)
    server.add(MAPS).ok()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def machine(office, tmp_path_factory):
    one = Application(tmp_path_factory.mktemp("autofs"), office)
    one.write("/etc/autofs.conf", CONFIG.format(uri=office.uri()))
    one.write("/etc/autofs_ldap_auth.conf", AUTH, mode=0o600)
    one.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nautomount: ldap\n")
    return one


def test_maps(machine):
    said = machine.must("automount", "-m")
    assert "Mount point: /net/home" in said
    assert "amartin | -rw,soft nfs.valmont.example:/export/alice" in said
    assert "* | -ro nfs.valmont.example:/export/&" in said


@pytest.mark.parametrize("filter, keys", [
    ("(objectclass=automountMap)", set()),
    ("(&(objectclass=automount)(automountKey=amartin))", {"amartin"}),
    ("(&(objectclass=automount)(automountKey=AMARTIN))", set()),
    (r"(&(objectclass=automount)(|(automountKey=nobody)(automountKey=/)(automountKey=\2A)))", {"/"}),
    (r"(&(objectclass=automount)(|(automountKey=amartin)(automountKey=/)(automountKey=\2A)))", {"amartin", "/"}),
    (r"(automountKey=\2A)", set()),
    ("(automountKey=*)", {"amartin", "/"}),
])
def test_its_searches(office, filter, keys):
    found = office.search(filter, "automountKey", "automountInformation", base=HOMES, scope="one",
                          who=READER, password=READER_PASSWORD).ok()
    assert {entry["automountKey"][0].decode() for _, entry in found.entries} == keys
