"""FreeRADIUS: who may use the network, in which group, told by the directory."""

import pytest

from application import free_port
from campus import GROUPS, PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE, person

SECRET = "shared-for-tests"
CONFIG = """\
name = radiusd
raddbdir = /srv/raddb
run_dir = /run
libdir = /usr/lib/freeradius
max_request_time = 30
security {{
    allow_vulnerable_openssl = yes
}}
modules {{
    always reject {{
        rcode = reject
    }}
    ldap {{
        server = "ldap://127.0.0.1:{ldap}"
        identity = "{reader}"
        password = "{password}"
        base_dn = "{people}"
        update {{
            control:Password-With-Header += "userPassword"
            reply:Filter-Id := "departmentNumber"
            reply:Reply-Message += "eduPersonAffiliation"
        }}
        user {{
            base_dn = "{people}"
            filter = "(|(uid=%{{User-Name}})(mail=%{{User-Name}}))"
        }}
        group {{
            base_dn = "{groups}"
            filter = "(|(objectClass=groupOfNames)(objectClass=posixGroup))"
            name_attribute = cn
            membership_filter = "(|(member=%{{control:Ldap-UserDn}})(memberUid=%{{User-Name}}))"
        }}
        options {{
            res_timeout = 10
            srv_timelimit = 3
        }}
        tls {{
            start_tls = yes
            ca_file = /srv/ca.pem
            require_cert = "demand"
        }}
        pool {{
            start = 2
            min = 1
            max = 4
            spare = 1
        }}
    }}
}}
server default {{
    listen {{
        type = auth
        proto = udp
        ipaddr = 127.0.0.1
        port = {radius}
    }}
    client localhost {{
        ipaddr = 127.0.0.1
        secret = {secret}
        require_message_authenticator = yes
    }}
    authorize {{
        ldap
        if (ok || updated) {{
            update control {{
                Auth-Type := LDAP
            }}
        }}
    }}
    authenticate {{
        Auth-Type LDAP {{
            ldap
        }}
    }}
    post-auth {{
        if (LDAP-Group == "staff-unix") {{
            update reply {{
                Class := "staff"
            }}
        }}
        if (LDAP-Group == "students-unix") {{
            update reply {{
                Class += "student"
            }}
        }}
        if (LDAP-Group == "no-such-group") {{
            reject
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def radius(application):
    application.port = free_port()
    application.write("/srv/raddb/dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n")
    application.write("/srv/raddb/radiusd.conf", CONFIG.format(
        ldap=application.ldap_port, radius=application.port, reader=READER, password=READER_PASSWORD, people=PEOPLE,
        groups=GROUPS, secret=SECRET,
    ))
    application.start("freeradius", "-f", "-l", "stdout", "-n", "radiusd", "-d", "/srv/raddb")
    application.ready(lambda: "Ready to process requests" in application.log(), "FreeRADIUS")
    return application


def ask(radius, user, password):
    """What the access point is told, and the attributes with it."""
    question = f'User-Name = "{user}", User-Password = "{password}", Message-Authenticator = 0x00\n'
    server = f"127.0.0.1:{radius.port}"
    result = radius.run("radclient", "-x", "-r", "1", "-t", "20", server, "auth", SECRET, stdin=question)
    answer = result.stdout.partition("Received ")[2]
    assert answer, (result, radius.log())
    lines = [line.split("=", 1) for line in answer.splitlines() if " = " in line]
    return answer.split()[0], [(name.strip(), value.strip().strip('"')) for name, value in lines]


def test_who_gets_in(radius):
    for user, password in PASSWORDS.items():
        assert ask(radius, user, password)[0] == "Access-Accept", (user, radius.log())
    assert ask(radius, "amartin@valmont.example", PASSWORDS["amartin"])[0] == "Access-Accept"
    for user, password in [("amartin", "wrong"), ("amartin", PASSWORDS["clerk"]), ("nobody-here", "x"),
                           ("*", PASSWORDS["amartin"]), ("amartin)(uid=*", PASSWORDS["amartin"])]:
        assert ask(radius, user, password)[0] == "Access-Reject", (user, radius.log())


def test_attributes_and_groups(radius):
    _, told = ask(radius, "amartin", PASSWORDS["amartin"])
    assert ("Filter-Id", "DSI") in told
    assert {value for name, value in told if name == "Reply-Message"} == {"staff", "employee", "member"}
    # "staff" and "student" in hexadecimal.
    classes = {user: {bytes.fromhex(v[2:]).decode() for n, v in ask(radius, user, PASSWORDS[user])[1] if n == "Class"}
               for user in PASSWORDS}
    assert classes == {"amartin": {"staff"}, "lbernard": {"student"}, "clerk": {"staff", "student"}}


def test_a_hash_is_not_given_away(radius):
    """The password is checked by a bind: the reader asks for userPassword and is given none."""
    assert ask(radius, "clerk", PASSWORDS["clerk"])[0] == "Access-Accept"
    found = radius.server.search("(uid=clerk)", "userPassword", who=READER, password=READER_PASSWORD).ok()
    assert found.entry == {}


def test_who_is_new_gets_in_and_who_left_does_not(radius, campus):
    campus.add(person("visitor", userPassword="visitor-2026")).ok()
    assert ask(radius, "visitor", "visitor-2026")[0] == "Access-Accept"
    campus.delete(f"uid=visitor,{PEOPLE}").ok()
    assert ask(radius, "visitor", "visitor-2026")[0] == "Access-Reject"
