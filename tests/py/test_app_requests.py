"""What applications send that are not run here, request by request, as their sources have it."""

import ldap
import ldap.controls
import pytest
from ldap.controls.libldap import SimplePagedResultsControl
from ldap.controls.simple import ManageDSAITControl, RequestControl
from ldap.filter import filter_format

from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import ADMIN, AMARTIN, LBERNARD, PEOPLE, SUFFIX

SUBENTRIES = "1.3.6.1.4.1.4203.1.10.1"


@pytest.fixture
def reader(campus):
    connection = campus.connect(READER, READER_PASSWORD)
    yield connection
    connection.unbind_s()


@pytest.fixture
def admin(campus):
    connection = campus.connect(ADMIN)
    yield connection
    connection.unbind_s()


def names(found):
    return {dn for dn, _ in found if dn is not None}


def root_dse(connection, *attrs):
    [(dn, entry)] = connection.search_s("", ldap.SCOPE_BASE, "(objectClass=*)", list(attrs) or None)
    assert dn == ""
    return {name.lower(): values for name, values in entry.items()}


def pages(connection, size, base, filter, attrs, critical=False):
    """The entries page by page."""
    control, found = SimplePagedResultsControl(critical, size=size, cookie=""), []
    while True:
        sent = connection.search_ext(base, ldap.SCOPE_SUBTREE, filter, attrs, serverctrls=[control])
        _, data, _, answered = connection.result3(sent)
        found.append(data)
        [control.cookie] = [c.cookie for c in answered if c.controlType == control.controlType]
        if not control.cookie:
            return found


def test_sssd_looks_at_the_server_first(campus):
    anonymous = campus.connect(None)
    asked = ["*", "altServer", "namingContexts", "supportedControl", "supportedExtension", "supportedFeatures",
             "supportedLDAPVersion", "supportedSASLMechanisms", "domainControllerFunctionality", "defaultNamingContext",
             "lastUSN", "highestCommittedUSN"]
    found = root_dse(anonymous, *asked)
    assert found["namingcontexts"] == [SUFFIX.encode()] and found["supportedldapversion"][-1] == b"3"
    assert "domaincontrollerfunctionality" not in found and "lastusn" not in found
    anonymous.unbind_s()


def test_freeradius_takes_it_for_no_other_product(reader):
    found = root_dse(reader, "vendorname", "vendorversion", "objectClass", "isGlobalCatalogReady",
                     "supportedControl", "namingContexts")
    assert "isglobalcatalogready" not in found and b"OpenLDAProotDSE" not in found["objectclass"]
    assert len(found["vendorname"]) == len(found["vendorversion"]) == 1
    # Version 4 looks for several names in one search.
    some = f"(|(entryDN={AMARTIN})(entryDN={LBERNARD.upper()})(entryDN=uid=nobody,{PEOPLE}))"
    assert names(reader.search_s(SUFFIX, ldap.SCOPE_SUBTREE, some, ["1.1"])) == {AMARTIN, LBERNARD}


def test_proxmox_stops_its_pages_with_a_size_of_zero(reader):
    filter = "(&(|(objectClass=inetorgperson)(objectclass=posixaccount)(objectclass=person)(objectclass=user))(|(uid=*)))"
    [everyone] = pages(reader, 900, "", filter, ["uid", "mail", "memberOf"])
    assert len(names(everyone)) > 20
    control = SimplePagedResultsControl(False, size=5, cookie="")
    sent = reader.search_ext(PEOPLE, ldap.SCOPE_SUBTREE, filter, ["uid"], serverctrls=[control])
    _, first, _, [answered] = reader.result3(sent)
    control.size, control.cookie = 0, answered.cookie
    sent = reader.search_ext(PEOPLE, ldap.SCOPE_SUBTREE, filter, ["uid"], serverctrls=[control])
    _, last, _, [answered] = reader.result3(sent)
    assert len(names(first)) == 5 and last == [] and not answered.cookie


def test_grafana_asks_for_five_hundred_at_once(reader, campus):
    many = "(|" + "".join(f"(cn=person {n})" for n in range(498)) + "(cn=Alice Martin)(cn=Lucas Bernard))"
    assert names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, many, ["dn", "uid", "memberOf"])) == {AMARTIN, LBERNARD}
    # And binds without a password, which would let in anybody (RFC 4513 5.1.2).
    with pytest.raises(ldap.UNWILLING_TO_PERFORM):
        campus.connect(AMARTIN, "")


def test_nginx_looks_one_level_below_the_parent_of_the_group(reader):
    for member, count in [(AMARTIN, 1), (LBERNARD, 0)]:
        found = reader.search_s(GROUPS, ldap.SCOPE_ONELEVEL, f"(&(cn=app-team)(member={member}))", ["1.1"])
        assert len(names(found)) == count and all(entry == {} for _, entry in found)
    assert not names(reader.search_s(SUFFIX, ldap.SCOPE_ONELEVEL, "(cn=app-team)", ["1.1"]))


def test_jenkins_looks_for_the_groups_of_a_user(reader):
    assert root_dse(reader)["objectclass"]
    filter = f"(| (member={AMARTIN}) (uniqueMember={AMARTIN}) (memberUid=amartin))"
    own = names(reader.search_s(SUFFIX, ldap.SCOPE_SUBTREE, filter))
    assert {f"cn=app-team,{GROUPS}", f"cn=staff-unix,{GROUPS}"} <= own and f"cn=app-unique,{GROUPS}" not in own
    classes = "(objectclass=groupOfNames) (objectclass=groupOfUniqueNames) (objectclass=posixGroup)"
    found = reader.search_s(SUFFIX, ldap.SCOPE_SUBTREE, f"(& (cn=app-unique) (| {classes}))")
    assert names(found) == {f"cn=app-unique,{GROUPS}"}


def test_shibboleth_and_cas_find_one_and_check_the_connection(reader):
    sent = reader.search_ext(PEOPLE, ldap.SCOPE_SUBTREE, "(uid=amartin)", ["1.1"], timeout=3, sizelimit=1)
    assert names(reader.result(sent)[1]) == {AMARTIN}
    # The pool asks this of each connection before it lends it.
    assert root_dse(reader, "1.1") == {}


def test_gitlab_reads_the_user_with_the_filter(reader):
    asked = ["dn", "uid", "cn", "mail", "email", "userPrincipalName", "sshPublicKey", "memberOf"]
    [(dn, entry)] = reader.search_s(AMARTIN, ldap.SCOPE_BASE, "(employeeType=PERSONNEL)", asked)
    assert dn == AMARTIN and {"uid", "cn", "mail", "memberOf"} == set(entry)
    assert reader.search_s(LBERNARD, ldap.SCOPE_BASE, "(employeeType=PERSONNEL)", asked) == []


def test_keycloak_imports_and_follows(reader, admin):
    filter = "(&(objectclass=inetOrgPerson)(objectclass=organizationalPerson))"
    asked = ["uid", "sn", "cn", "mail", "entryUUID", "createTimestamp", "modifyTimestamp", "objectclass"]
    found = [one for page in pages(reader, 9, PEOPLE, filter, asked, critical=True) for one in page]
    assert len(found) == len(names(found)) > 20
    [uuid] = dict(found)[AMARTIN]["entryUUID"]
    for spelled in (uuid.decode(), uuid.decode().upper()):
        by_id = f"(&(objectclass=inetOrgPerson)(entryUUID={spelled}))"
        assert names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, by_id, asked)) == {AMARTIN}
    since = "(&(|(createTimestamp>={0})(modifyTimestamp>={0}))(objectclass=inetOrgPerson))"
    assert AMARTIN in names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, since.format("20200101000000.0Z")))
    assert not names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, since.format("20991231235959.0Z")))


def test_keycloak_writes(admin):
    """A required name that is not known yet is one space; an empty group has a member that is not there."""
    user, group = f"uid=keycloak,{PEOPLE}", f"cn=keycloak,{GROUPS}"
    placeholder = b"cn=empty-membership-placeholder"
    classes = [b"inetOrgPerson", b"organizationalPerson"]
    admin.add_s(user, [("objectClass", classes), ("uid", [b"keycloak"]), ("sn", [b" "]), ("cn", [b" "])])
    try:
        [(_, entry)] = admin.search_s(user, ldap.SCOPE_BASE, attrlist=["sn", "cn"])
        assert entry == {"sn": [b" "], "cn": [b" "]}
        admin.modify_s(user, [(ldap.MOD_REPLACE, "sn", [b"Cloak"]), (ldap.MOD_REPLACE, "cn", [b"Key Cloak"]),
                              (ldap.MOD_REPLACE, "mail", [b"key@valmont.example"]), (ldap.MOD_REPLACE, "title", None)])
        admin.add_s(group, [("objectClass", [b"groupOfNames"]), ("cn", [b"keycloak"]), ("member", [placeholder])])
        admin.modify_s(group, [(ldap.MOD_REPLACE, "member", [user.encode()])])
        admin.modify_s(group, [(ldap.MOD_REPLACE, "member", [placeholder])])
        with pytest.raises(ldap.ALREADY_EXISTS):
            admin.rename_s(user, "uid=amartin", None, 1)
        admin.rename_s(user, "uid=keycloak0", None, 1)
        user = f"uid=keycloak0,{PEOPLE}"
    finally:
        for dn in (user, group):
            try:
                admin.delete_s(dn)
            except ldap.NO_SUCH_OBJECT:
                pass


def test_directory_studio_opens_the_tree(admin):
    assert root_dse(admin, "+")["namingcontexts"] == [SUFFIX.encode()]
    assert root_dse(admin, "*")["objectclass"]
    asked = ["hasSubordinates", "numSubordinates", "subordinateCount", "objectClass"]
    children = dict(admin.search_s(SUFFIX, ldap.SCOPE_ONELEVEL, "(objectClass=*)", asked))
    assert children[PEOPLE]["hasSubordinates"] == [b"TRUE"] and int(children[PEOPLE]["numSubordinates"][0]) > 20
    # Subentries, aliases and referrals, each by a search of its own.
    subentries = RequestControl(SUBENTRIES, True, b"\x01\x01\xff")
    for filter, control in [("(|(objectClass=subentry)(objectClass=ldapSubentry))", subentries),
                            ("(|(objectClass=alias)(objectClass=referral))", ManageDSAITControl(True))]:
        sent = admin.search_ext(SUFFIX, ldap.SCOPE_ONELEVEL, filter, ["1.1"], serverctrls=[control])
        assert admin.result(sent)[1] == []


def test_clients_of_active_directory_get_an_answer(reader):
    """Attributes that are not here match nothing and fail nothing; the rules are known."""
    for filter in ("(&(objectCategory=person)(objectClass=user)(sAMAccountName=amartin))",
                   "(userAccountControl:1.2.840.113556.1.4.803:=2)", r"(objectGUID=\01\ff\80\00)",
                   "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"):
        assert reader.search_s(SUFFIX, ldap.SCOPE_SUBTREE, filter, ["1.1"]) == []
    chain = f"(memberOf:1.2.840.113556.1.4.1941:=cn=app-outer,{GROUPS})"
    inside = names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, chain, ["1.1"]))
    assert inside == {AMARTIN, f"uid=clerk,{PEOPLE}"}
    # Odd numbers of users: the lowest bit.
    odd = "(uidNumber:1.2.840.113556.1.4.803:=1)"
    assert names(reader.search_s(PEOPLE, ldap.SCOPE_SUBTREE, odd, ["1.1"])) == {AMARTIN, f"uid=clerk,{PEOPLE}"}


def test_moodle_writes_names_in_numbers(campus):
    """PHP escapes each byte of a name that is no letter, and may escape any (RFC 4514 2.4)."""
    escaped = "".join(f"\\{byte:02x}" for byte in b"amartin")
    connection = campus.connect(f"uid={escaped},{PEOPLE}", PASSWORDS["amartin"])
    assert connection.whoami_s() == f"dn:{AMARTIN}"
    connection.unbind_s()


def test_django_compares_and_searches_for_groups(reader):
    assert reader.compare_s(f"cn=app-team,{GROUPS}", "member", AMARTIN.encode())
    assert not reader.compare_s(f"cn=app-team,{GROUPS}", "member", LBERNARD.encode())
    filter = filter_format("(&(objectClass=groupOfNames)(member=%s))", [AMARTIN])
    found = reader.search_s(GROUPS, ldap.SCOPE_SUBTREE, filter)
    assert f"cn=app-team,{GROUPS}" in names(found) and f"cn=app-unique,{GROUPS}" not in names(found)


def test_midpoint_and_lsc_choose_by_what_is_listed(reader):
    """A control that is listed is used, so each must work; one that works and is not listed is lost."""
    listed = {value.decode() for value in root_dse(reader, "supportedControl")["supportedcontrol"]}
    wanted = {
        "1.2.840.113556.1.4.319": "pages", "1.2.840.113556.1.4.473": "sorting", "2.16.840.1.113730.3.4.9": "windows",
        "2.16.840.1.113730.3.4.2": "ManageDsaIT", "1.2.840.113556.1.4.1413": "permissive modify",
        "1.2.840.113556.1.4.805": "tree delete",
    }
    assert set(wanted) <= listed
    since = "(&(objectClass=*)(modifyTimestamp>=20200101000000Z))"
    assert len(names(reader.search_s(SUFFIX, ldap.SCOPE_SUBTREE, since, ["1.1"]))) > 20
