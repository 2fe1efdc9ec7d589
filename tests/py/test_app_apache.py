"""Apache httpd with mod_authnz_ldap: who logs in, and what the groups, attributes and filters let in."""

import base64
import urllib.error
import urllib.request

import pytest

from application import free_port, listens
from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import AMARTIN, PEOPLE, person

MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "ldap", "authnz_ldap", "headers", "alias"]
CONFIG = """\
ServerRoot /srv
ServerName localhost
Listen 127.0.0.1:{http}
PidFile /srv/run/httpd.pid
DefaultRuntimeDir /srv/run
ErrorLog /srv/run/error.log
LogLevel warn authnz_ldap:debug
# Each request asks the server; and what httpd remembers of ldap-dn, it remembers for all users.
LDAPCacheEntries 0
LDAPOpCacheEntries 0
LDAPTrustedGlobalCert CA_BASE64 /srv/ca.pem
"""
PLACE = """\
<Location /{place}>
    AuthType Basic
    AuthName "Directory"
    AuthBasicProvider ldap
    AuthLDAPURL "{scheme}://127.0.0.1:{port}/{base}?uid,mail,displayName?sub?(objectClass=inetOrgPerson)" {mode}
    AuthLDAPBindDN "{reader}"
    AuthLDAPBindPassword "{password}"
    {rules}
    Redirect 410 /{place}
    Header always set X-Mail "%{{AUTHENTICATE_MAIL}}e"
    Header always set X-Name "%{{AUTHENTICATE_DISPLAYNAME}}e"
</Location>
"""
# What each place asks for.
PLACES = {
    "user": "Require valid-user",
    "named": "Require ldap-user amartin clerk",
    "dntext": f"Require ldap-dn {AMARTIN}",
    "dn": "AuthLDAPCompareDNOnServer on\nRequire ldap-dn UID=Amartin, OU=People,  DC=example,DC=org",
    "group": f"Require ldap-group cn=app-team,{GROUPS}",
    "unique": f"AuthLDAPGroupAttribute uniqueMember\nRequire ldap-group cn=app-unique,{GROUPS}",
    "posix": f"AuthLDAPGroupAttribute memberUid\nAuthLDAPGroupAttributeIsDN off\n"
             f"Require ldap-group cn=students-unix,{GROUPS}",
    "nested": f"AuthLDAPMaxSubGroupDepth 2\nAuthLDAPSubGroupClass groupOfNames\nAuthLDAPSubGroupAttribute member\n"
              f"Require ldap-group cn=app-outer,{GROUPS}",
    "flat": f"AuthLDAPMaxSubGroupDepth 0\nRequire ldap-group cn=app-outer,{GROUPS}",
    "absent": f"Require ldap-group cn=no-such-group,{GROUPS}",
    "attribute": 'Require ldap-attribute employeeType="PERSONNEL"',
    "filter": "Require ldap-filter &(eduPersonAffiliation=student)(supannEntiteAffectation=INFO)",
    "starttls": "Require valid-user",
    "ldaps": "Require valid-user",
    "asuser": f"AuthLDAPInitialBindAsUser on\n"
              f'AuthLDAPInitialBindPattern "(.+)" "uid=$1,{PEOPLE}"\nAuthLDAPSearchAsUser on\n'
              f"AuthLDAPCompareAsUser on\nRequire ldap-group cn=app-team,{GROUPS}",
}
# A place that lets in answers 410, which no other part of the configuration does.
WELCOME, REFUSED = 410, 401


@pytest.fixture(scope="module")
def httpd(application):
    application.port = free_port()
    ports = {"ldap": application.ldap_port, "ldaps": application.server.ldaps.rsplit(":", 1)[1]}
    text = CONFIG.format(http=application.port)
    text += "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in MODULES)
    for place, rules in PLACES.items():
        scheme = "ldaps" if place == "ldaps" else "ldap"
        text += PLACE.format(place=place, scheme=scheme, port=ports[scheme], mode="STARTTLS" if place == "starttls" else "",
                             base=PEOPLE, reader=READER, password=READER_PASSWORD, rules=rules)
    application.write("/srv/httpd.conf", text)
    application.folder_for("nobody", "/srv/run")
    application.start("apache2", "-D", "FOREGROUND", "-f", "/srv/httpd.conf", user="nobody")
    application.ready(lambda: listens(application.port), "Apache")
    return application


def get(httpd, place, user=None, password=None):
    """The status and the headers of an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{httpd.port}/{place}")
    if user is not None:
        password = PASSWORDS.get(user, "") if password is None else password
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def admitted(httpd, place):
    """Who gets in of three people who all know their passwords."""
    answers = {user: get(httpd, place, user)[0] for user in ("amartin", "lbernard", "clerk")}
    log = (httpd.path("/srv/run/error.log")).read_text()
    assert set(answers.values()) <= {WELCOME, REFUSED}, (answers, log)
    return {user for user, status in answers.items() if status == WELCOME}


EVERYONE = {"amartin", "lbernard", "clerk"}


@pytest.mark.parametrize("place, expected", [
    ("user", EVERYONE), ("named", {"amartin", "clerk"}), ("dn", {"amartin"}), ("dntext", {"amartin"}),
    ("group", {"amartin"}), ("unique", {"lbernard"}), ("posix", {"lbernard", "clerk"}),
    ("nested", {"amartin", "clerk"}), ("flat", {"clerk"}), ("absent", set()),
    ("attribute", {"amartin"}), ("filter", {"lbernard"}),
    ("starttls", EVERYONE), ("ldaps", EVERYONE), ("asuser", {"amartin"}),
])
def test_who_gets_in(httpd, place, expected):
    assert admitted(httpd, place) == expected


@pytest.mark.parametrize("place", ["user", "starttls", "asuser"])
def test_nobody_gets_in_without_the_password(httpd, place):
    assert get(httpd, place)[0] == REFUSED
    for user, password in [("amartin", "wrong"), ("amartin", ""), ("amartin", PASSWORDS["lbernard"]),
                           ("nobody", "x"), ("", "x"), ("*", PASSWORDS["amartin"]), ("amartin)(uid=*", "x")]:
        assert get(httpd, place, user, password)[0] == REFUSED, (user, password)


def test_the_application_is_given_attributes(httpd):
    status, headers = get(httpd, "user", "clerk")
    assert status == WELCOME and headers["X-Mail"] == "clerk@valmont.example"
    status, headers = get(httpd, "user", "lbernard")
    assert status == WELCOME and headers["X-Name"] == "Lucas Bernard"


def test_a_member_added_gets_in(httpd, campus):
    """Compare answers compareTrue or compareFalse as the group is at that moment."""
    group = f"cn=app-late,{GROUPS}"
    campus.add(f"dn: {group}\nobjectClass: groupOfNames\ncn: app-late\nmember: {AMARTIN}\n").ok()
    campus.add(person("latecomer", userPassword="late-2026")).ok()
    dn = f"uid=latecomer,{PEOPLE}"
    try:
        assert campus.tool("ldapcompare", group, f"member:{dn}").code == 5
        campus.modify(f"dn: {group}\nchangetype: modify\nadd: member\nmember: {dn}\n").ok()
        assert campus.tool("ldapcompare", group, f"member:{dn}").code == 6
        assert get(httpd, "user", "latecomer", "late-2026")[0] == WELCOME
    finally:
        campus.delete(group).ok()
        campus.delete(dn).ok()
    assert campus.tool("ldapcompare", group, f"member:{dn}").code == 32
