"""Who a client is by what lies below LDAP, SASL PLAIN, certificates that change, and what an admin may
forbid before and about a bind."""

import os
import signal
import socket
import ssl
import subprocess

import ldap
import ldap.sasl
import ldap3
import pytest

from support import (
    ADMIN, ADMIN_PASSWORD, AMARTIN, LBERNARD, LIMIT_SECS, PASSWORDS, PEOPLE, SUFFIX, Answer, person, wait_for,
)

OWN = f"gidNumber={os.getegid()}+uidNumber={os.geteuid()},cn=peercred,cn=external,cn=auth"
PASSWORD = PASSWORDS[AMARTIN]


class Authority:
    """A certificate authority of the test's own, made with openssl."""

    def __init__(self, folder, name="Client CA"):
        folder.mkdir()
        self.folder = folder
        self.pem = folder / "ca.pem"
        self.key = folder / "ca.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.pem,
                      "-addext", "basicConstraints=critical,CA:TRUE")

    def _openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60)

    def issue(self, name, subject, usage="clientAuth", **names):
        """A certificate for a subject as openssl writes it, with alternative names. Gives file and key."""
        key, request, pem, extensions = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        lines = [f"extendedKeyUsage={usage}", "basicConstraints=CA:FALSE"]
        if names:
            lines.append("subjectAltName=" + ",".join(f"{kind}:{value}" for kind, value in names.items()))
        extensions.write_text("\n".join(lines) + "\n")
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8",
                      "-subj", subject, "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial",
                      "-days", "2", "-extfile", extensions, "-out", pem)
        return pem, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture
def start(new_server, authority):
    """Starts servers by what is below `ldap:` and `ldap.sasl:`, that know the authority of the test."""

    def make(sasl="{}", more="", tls=(), **options):
        server = new_server(flags=["--ldapi=s"], **options)
        lines = [f"client_ca: {authority.pem}", *tls]
        config = server.config.read_text().replace("  development: true\n", "".join(
            f"  {one}\n" for one in ["development: true", *lines]))
        server.config.write_text(config + f"ldap:\n  sasl: {sasl}\n{more}")
        return server.start()

    return make


def uri(server, transport):
    if transport == "ldapi":
        return "ldapi://" + str(server.folder / "s").replace("/", "%2F")
    return server.uri(transport)


def tool(server, name, *args, transport="ldapi", certificate=None):
    """A client tool, with SASL as its arguments say, and a certificate."""
    command = [name, "-H", uri(server, transport)] + (["-ZZ"] if transport == "starttls" else [])
    if "-x" not in args:
        command.append("-Q")
    env = dict(server.env, LDAPTLS_CACERT=str(server.ca), LDAPTLS_REQCERT="demand", HOME=str(server.folder))
    if certificate:
        env.update(LDAPTLS_CERT=str(certificate[0]), LDAPTLS_KEY=str(certificate[1]))
    return Answer(subprocess.run([*command, *args], env=env, input=b"", capture_output=True, timeout=60))


def whoami(server, *args, **how):
    answer = tool(server, "ldapwhoami", *args, **how)
    return answer.out.strip() if answer.code == 0 else answer.code


def external(server, *args, **how):
    return whoami(server, "-Y", "EXTERNAL", *args, **how)


def plain(server, user, password, *args, transport="ldaps"):
    # In clear the library itself would refuse, but for -O none.
    return whoami(server, "-Y", "PLAIN", "-U", user, "-w", password, "-O", "none", *args, transport=transport)


def sasl_bind(server, mechanism, credentials=None, transport="ldap"):
    """The code and the end of the answer to one bind, byte by byte: libraries refuse some by themselves."""
    sasl = b"\x04" + bytes([len(mechanism)]) + mechanism
    if credentials is not None:
        sasl += b"\x04" + bytes([len(credentials)]) + credentials
    op = b"\x02\x01\x03\x04\x00\xa3" + bytes([len(sasl)]) + sasl
    message = b"\x02\x01\x01\x60" + bytes([len(op)]) + op
    host, port = (server.ldaps if transport == "ldaps" else server.ldap).split(":")
    with socket.create_connection((host, int(port)), LIMIT_SECS) as stream:
        if transport == "ldaps":
            stream = ssl.create_default_context(cafile=str(server.ca)).wrap_socket(stream, server_hostname="localhost")
        stream.sendall(b"\x30" + bytes([len(message)]) + message)
        answer = stream.recv(4096)
        stream.close()
    assert answer[5] == 0x61, answer
    return answer[9], answer[10:]


def mechanisms(server, transport, **how):
    answer = tool(server, "ldapsearch", "-x", "-LLL", "-b", "", "-s", "base", "supportedSASLMechanisms",
                  transport=transport, **how).ok()
    return answer.entry.get("supportedSASLMechanisms", [])


# --- Processes of this machine ---------------------------------------------------------------------


def test_who_runs_the_server_is_the_administrator_on_the_local_socket(start):
    server = start()
    assert external(server) == f"dn:{ADMIN}"
    tool(server, "ldapsearch", "-Y", "EXTERNAL", "-b", SUFFIX, "-s", "base").ok()
    connection = ldap.initialize(uri(server, "ldapi"))
    connection.sasl_external_bind_s()
    assert connection.whoami_s() == f"dn:{ADMIN}"
    connection.unbind_s()
    assert OWN in server.log()


def test_processes_are_who_the_configuration_says(start):
    own = os.geteuid()
    mapped = start(f'{{peers: [{{uid: {own}, dn: "uid=amartin,ou=people,{{suffix}}"}}]}}', name="mapped")
    assert external(mapped) == f"dn:{AMARTIN}"
    nobody = start("{peers: []}", name="nobody")
    assert external(nobody) == 49
    assert "this is nobody's identity here" in nobody.log() and OWN in nobody.log()
    gone = start(f'{{peers: [{{uid: {own}, dn: "uid=gone,ou=people,{{suffix}}"}}]}}', name="gone")
    assert external(gone) == 49


@pytest.mark.parametrize("mode", ["0666", "0600", "0777"])
def test_others_can_be_let_to_the_local_socket(start, mode):
    server = start(extra=f'listen: {{ldapi_mode: "{mode}"}}\n')
    assert (server.folder / "s").stat().st_mode & 0o777 == int(mode, 8)
    assert external(server) == f"dn:{ADMIN}"


@pytest.mark.parametrize("mode", ["rw", "0999", "7777", "666"])
def test_a_mode_is_octal(new_server, mode):
    answer = new_server(extra=f'listen: {{ldapi_mode: "{mode}"}}\n').command("check")
    assert (answer.returncode == 0) == (mode == "666"), answer
    assert mode == "666" or "at listen.ldapi_mode" in answer.stderr


def test_processes_are_found_by_their_numbers(start):
    server = start('{peers: [], peer_filter: "(&(objectClass=posixAccount)(uidNumber={uid}))"}')
    assert external(server) == 49
    posix = {"classes": ["posixAccount"], "gidNumber": "1", "homeDirectory": "/", "uidNumber": str(os.geteuid())}
    server.add(person("one", **posix)).ok()
    assert external(server) == f"dn:uid=one,{PEOPLE}"
    # Two are nobody.
    server.add(person("two", **posix)).ok()
    assert external(server) == 49


def test_the_identity_to_act_as_follows_the_rule_of_proxied_authorization(start):
    server = start(f'{{peers: [{{uid: {os.geteuid()}, dn: "{AMARTIN}"}}]}}', name="person")
    assert external(server, "-X", f"dn:{AMARTIN}") == f"dn:{AMARTIN}"
    assert external(server, "-X", f"dn:{LBERNARD}") == 50
    assert external(server, "-X", "u:lbernard") == 50
    server = start(name="admin")
    assert external(server, "-X", "u:lbernard") == f"dn:{LBERNARD}"
    assert external(server, "-X", "u:nobody-at-all") == 50


def test_mechanisms_are_told_where_they_can_be_used(start, authority):
    server = start()
    certificate = authority.issue("any", "/CN=any")
    assert mechanisms(server, "ldapi") == [b"EXTERNAL", b"PLAIN"]
    assert mechanisms(server, "ldap") == []
    assert mechanisms(server, "ldaps") == [b"PLAIN"]
    assert mechanisms(server, "ldaps", certificate=certificate) == [b"EXTERNAL", b"PLAIN"]
    assert mechanisms(server, "starttls", certificate=certificate) == [b"EXTERNAL", b"PLAIN"]


# --- Client certificates ---------------------------------------------------------------------------

SUBJECT = "/DC=org/DC=example/OU=people/UID=amartin"


@pytest.mark.parametrize("transport", ["ldaps", "starttls"])
def test_the_subject_of_a_certificate_names_the_entry(start, authority, transport):
    server = start()
    good = authority.issue("amartin", SUBJECT)
    assert external(server, transport=transport, certificate=good) == f"dn:{AMARTIN}"
    other = authority.issue("other", "/DC=org/DC=example/OU=people/UID=nobody")
    assert external(server, transport=transport, certificate=other) == 49
    assert "uid=nobody,ou=people,dc=example,dc=org" in server.log().lower()
    # The administrator has no entry, and is not made by a certificate.
    admin = authority.issue("admin", "/DC=org/DC=example/CN=admin")
    assert external(server, transport=transport, certificate=admin) == 49
    # A certificate says nothing until it is used, and does not hinder a password.
    assert whoami(server, "-x", transport=transport, certificate=good) == "anonymous"
    assert whoami(server, "-x", "-D", LBERNARD, "-w", PASSWORDS[LBERNARD], transport=transport,
                  certificate=good) == f"dn:{LBERNARD}"
    assert server.stop() == 0


def test_external_without_a_certificate_is_refused(start):
    server = start()
    for transport in ["ldap", "ldaps"]:
        for credentials in [None, b"", b"u:amartin"]:
            assert sasl_bind(server, b"EXTERNAL", credentials, transport)[0] == 48


def test_certificates_of_others_do_not_get_past_tls(start, authority, tmp_path):
    server = start()
    stranger = Authority(tmp_path / "stranger", name="Another CA").issue("amartin", SUBJECT)
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(*map(str, stranger))
    assert not speaks(server, context)
    # Nor does one that was made for servers.
    wrong = authority.issue("server", SUBJECT, usage="serverAuth")
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(*map(str, wrong))
    assert not speaks(server, context)
    assert speaks(server, ssl.create_default_context(cafile=str(server.ca)))


def speaks(server, context):
    """True if a whoami over ldaps is answered."""
    host, port = server.ldaps.split(":")
    try:
        with socket.create_connection((host, int(port)), LIMIT_SECS) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as tls:
                tls.sendall(b"\x30\x1e\x02\x01\x01\x77\x19\x80\x171.3.6.1.4.1.4203.1.11.3")
                return tls.recv(100)[:1] == b"\x30"
    except (ssl.SSLError, ConnectionError):
        return False


def test_a_certificate_can_be_required(start, authority):
    server = start(tls=["client_required: true"])
    context = ssl.create_default_context(cafile=str(server.ca))
    assert not speaks(server, context)
    context.load_cert_chain(*map(str, authority.issue("any", "/CN=any")))
    assert speaks(server, context)


def test_values_of_a_certificate_find_the_entry(start, authority):
    server = start('{certificates: [subject, "(mail={email})", "(&(uid={cn})(objectClass=person))"]}')
    server.add(person("carol", mail="carol@valmont.example")).ok()
    carol = f"dn:uid=carol,{PEOPLE}"

    def bind(name, subject, **names):
        return external(server, transport="ldaps", certificate=authority.issue(name, subject, **names))

    assert bind("by-mail", "/CN=Carol", email="carol@valmont.example") == carol
    assert bind("by-subject-mail", "/CN=x/emailAddress=CAROL@valmont.example") == carol
    assert bind("by-cn", "/CN=carol") == carol
    assert bind("subject-first", SUBJECT, email="carol@valmont.example") == f"dn:{AMARTIN}"
    # Values do not reach into the filter, and an empty one is none.
    assert bind("wild", "/CN=*") == 49
    assert bind("nobody", "/CN=no such person", email="no@valmont.example") == 49
    # Two entries are nobody.
    server.add(person("carol2", cn="x", mail="carol2@valmont.example")).ok()
    both = authority.issue("both", "/CN=x/emailAddress=carol2@valmont.example", email="carol@valmont.example")
    assert external(server, transport="ldaps", certificate=both) == 49


def test_the_entry_can_have_to_hold_the_certificate(start, authority):
    server = start("{certificate_stored: true}")
    certificate = authority.issue("stored", SUBJECT)
    assert external(server, transport="ldaps", certificate=certificate) == 49
    assert "does not hold the certificate" in server.log()
    der = ssl.PEM_cert_to_DER_cert(certificate[0].read_text())
    admin = server.connect()
    admin.modify_s(AMARTIN, [(ldap.MOD_ADD, "userCertificate;binary", [der])])
    assert external(server, transport="ldaps", certificate=certificate) == f"dn:{AMARTIN}"
    another = authority.issue("another", SUBJECT)
    assert external(server, transport="ldaps", certificate=another) == 49


def test_a_closed_account_is_closed_to_certificates_too(start, authority):
    server = start(release="manual")
    server.add(person("early", classes=["supannPerson"], supannEtablissement="0123456X", vestibuleState="-1",
                      userPassword="early-password")).ok()
    certificate = authority.issue("early", "/DC=org/DC=example/OU=people/UID=early")

    def logins():
        return plain(server, "early", "early-password"), external(server, transport="ldaps", certificate=certificate)

    assert logins() == (49, 49)
    assert server.log().count("the account is closed") == 2
    server.modify(f"dn: uid=early,{PEOPLE}\nchangetype: modify\nreplace: supannEtablissement\n"
                  "supannEtablissement: {UAI}0123456X\n").ok()
    assert logins() == (f"dn:uid=early,{PEOPLE}",) * 2


# --- SASL PLAIN ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["ldaps", "starttls", "ldapi"])
def test_plain(start, transport):
    server = start()
    for user in ["amartin", "u:amartin", f"dn:{AMARTIN}", AMARTIN, "AMartin"]:
        assert plain(server, user, PASSWORD, transport=transport) == f"dn:{AMARTIN}", user
    assert plain(server, ADMIN, ADMIN_PASSWORD, transport=transport) == f"dn:{ADMIN}"
    for user, password in [("amartin", "wrong"), ("nobody", PASSWORD), ("dn:no name", PASSWORD), ("*", PASSWORD),
                           ("u:", PASSWORD), ("u:" + AMARTIN, PASSWORD)]:
        assert plain(server, user, password, transport=transport) == 49, user
    assert plain(server, ADMIN, ADMIN_PASSWORD, "-X", "u:amartin", transport=transport) == f"dn:{AMARTIN}"
    assert plain(server, "amartin", PASSWORD, "-X", "u:lbernard", transport=transport) == 50
    assert PASSWORD not in server.log()


def test_plain_needs_tls_unless_it_is_allowed_in_clear(start):
    server = start(name="strict")
    assert plain(server, "amartin", PASSWORD, transport="ldap") == 13
    server = start("{plain_without_tls: true}", name="open")
    assert plain(server, "amartin", PASSWORD, transport="ldap") == f"dn:{AMARTIN}"
    assert mechanisms(server, "ldap") == [b"PLAIN"]


def test_login_names_are_looked_up_as_configured(start):
    server = start(f'{{users: "(mail={{user}}@valmont.example)", base: "ou=people,{SUFFIX}"}}')
    server.add(person("dora", mail="dora.mail@valmont.example", userPassword="dora-pass-2026")).ok()
    assert plain(server, "dora.mail", "dora-pass-2026") == f"dn:uid=dora,{PEOPLE}"
    assert plain(server, "dora", "dora-pass-2026") == 49


def test_plain_from_other_libraries(start):
    server = start("{plain_without_tls: true}")
    host, port = server.ldap.split(":")
    remote = ldap3.Server(host, int(port), get_info=ldap3.NONE)
    connection = ldap3.Connection(remote, authentication=ldap3.SASL, sasl_mechanism="PLAIN",
                                  sasl_credentials=(None, "amartin", PASSWORD))
    assert connection.bind() and connection.extend.standard.who_am_i() == f"dn:{AMARTIN}"
    connection.unbind()
    connection = server.connect(who=None)
    auth = ldap.sasl.sasl({ldap.sasl.CB_AUTHNAME: "lbernard", ldap.sasl.CB_PASS: PASSWORDS[LBERNARD]}, "PLAIN")
    connection.set_option(ldap.OPT_X_SASL_SECPROPS, "none")
    connection.sasl_interactive_bind_s("", auth)
    assert connection.whoami_s() == f"dn:{LBERNARD}"


def test_the_exchange_of_plain(start):
    server = start("{plain_without_tls: true}")
    good = f"\0amartin\0{PASSWORD}".encode()
    assert sasl_bind(server, b"PLAIN", good)[0] == 0
    # Who says nothing at first is asked (RFC 4422 section 5).
    code, rest = sasl_bind(server, b"PLAIN")
    assert code == 14 and rest.endswith(b"\x87\x00")
    for broken in [b"", b"amartin", b"\0amartin", b"\0a\0b\0c", b"\0\xff\0x"]:
        assert sasl_bind(server, b"PLAIN", broken)[0] == 2, broken
    for refused in [b"\0\0x", b"\0amartin\0", b"\0\0"]:
        assert sasl_bind(server, b"PLAIN", refused)[0] == 49, refused
    # RFC 4511 section 4.2.1: an empty mechanism ends an exchange.
    for unknown in [b"", b"CRAM-MD5", b"DIGEST-MD5", b"SCRAM-SHA-256", b"GSSAPI"]:
        assert sasl_bind(server, unknown)[0] == 7, unknown


def test_a_failed_sasl_bind_leaves_the_connection_anonymous(start):
    server = start()
    connection = server.connect(transport="ldaps")
    assert connection.whoami_s() == f"dn:{ADMIN}"
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        auth = ldap.sasl.sasl({ldap.sasl.CB_AUTHNAME: "lbernard", ldap.sasl.CB_PASS: "wrong"}, "PLAIN")
        connection.sasl_interactive_bind_s("", auth)
    assert connection.whoami_s() == ""


# --- What an admin may forbid ----------------------------------------------------------------------


def test_passwords_can_be_kept_off_connections_in_clear(start):
    server = start("{plain_without_tls: true}", more="  require_tls_for_bind: true\n")
    server.search("(uid=amartin)", who=AMARTIN).refused(13, "needs TLS")
    # Right or wrong, and whoever it is.
    server.search("(uid=amartin)", who=AMARTIN, password="wrong").refused(13)
    server.search("(uid=amartin)", who="no name", password="x").refused(13)
    assert plain(server, "amartin", PASSWORD, transport="ldap") == 13
    assert mechanisms(server, "ldap") == []
    for transport in ["starttls", "ldaps"]:
        server.search("(uid=amartin)", who=AMARTIN, transport=transport).ok()
    assert whoami(server, "-x", "-D", AMARTIN, "-w", PASSWORD) == f"dn:{AMARTIN}"
    # What carries no password goes on.
    assert whoami(server, "-x", transport="ldap") == "anonymous"


def test_the_anonymous_can_be_kept_out(start):
    server = start(more="  anonymous: false\n")
    assert whoami(server, "-x", transport="ldap") == 48
    connection = server.connect(who=None)
    root = connection.search_s("", ldap.SCOPE_BASE, attrlist=["namingContexts"])
    assert root == [("", {"namingContexts": [SUFFIX.encode()]})]
    assert connection.whoami_s() == ""
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        connection.search_s(SUFFIX, ldap.SCOPE_BASE)
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        connection.search_s("cn=Subschema", ldap.SCOPE_BASE)
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        connection.search_s("", ldap.SCOPE_SUBTREE)
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        connection.compare_s(AMARTIN, "sn", "x")
    with pytest.raises(ldap.STRONG_AUTH_REQUIRED):
        connection.delete_s(AMARTIN)
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        connection.simple_bind_s(AMARTIN, "wrong")
    connection.simple_bind_s(AMARTIN, PASSWORD)
    assert connection.search_s(SUFFIX, ldap.SCOPE_BASE)
    for transport in ["starttls", "ldaps"]:
        server.search("(uid=amartin)", who=AMARTIN, transport=transport).ok()


@pytest.mark.parametrize("sasl, more, tls, fault", [
    ('{users: "(uid={login})"}', "", "", "ldap.sasl.users: '(uid={login})': there is no value '{login}' here"),
    ('{users: "(uid=all)"}', "", "", "no place for a value"),
    ("{certificates: [subjects]}", "", "", "ldap.sasl.certificates: 'subjects'"),
    ('{peer_filter: "(uidNumber={cn})"}', "", "", "ldap.sasl.peer_filter"),
    ("{peers: [{uid: 1, dn: no}]}", "", "", "ldap.sasl.peers: 'no'"),
    ("{peers: [{user: root, dn: no}]}", "", "", "ldap.sasl.peers[0]"),
    ("{}", "", "  client_required: true\n", "tls.client_required: it needs tls.client_ca"),
])
def test_faults_of_the_configuration_are_told(new_server, sasl, more, tls, fault):
    server = new_server()
    text = server.config.read_text().replace("  development: true\n", f"  development: true\n{tls}")
    server.config.write_text(f"{text}ldap:\n  sasl: {sasl}\n{more}")
    answer = server.command("check")
    assert answer.returncode != 0 and fault in answer.stderr, answer


# --- Certificates that change ----------------------------------------------------------------------


def serial(server):
    """The serial number of the certificate that a new connection gets."""
    host, port = server.ldaps.split(":")
    context = ssl._create_unverified_context()
    with socket.create_connection((host, int(port)), LIMIT_SECS) as raw, context.wrap_socket(raw) as tls:
        der = tls.getpeercert(binary_form=True)
    pem = subprocess.run(["openssl", "x509", "-inform", "der", "-serial", "-noout"], input=der, capture_output=True,
                         check=True, timeout=60)
    return pem.stdout


def test_a_new_certificate_is_taken_without_a_restart(start, authority):
    server = start()
    before = serial(server)
    old = server.connect(transport="ldaps")
    pem, key = authority.issue("renewed", "/CN=localhost", usage="serverAuth", DNS="localhost", IP="127.0.0.1")
    (server.folder / "certs" / "server.pem").write_bytes(pem.read_bytes())
    # The new certificate with the old key: whoever renews is here for a moment.
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "were not read again" in server.log(), "the fault in the log")
    assert "server.pem with" in server.log()
    assert serial(server) == before
    (server.folder / "certs" / "server.key").write_bytes(key.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the certificates were read again" in server.log(), "the new certificate")
    assert serial(server) != before
    # Who came before goes on, and clients that trust the new authority find it good.
    assert old.whoami_s() == f"dn:{ADMIN}"
    server.ca.write_bytes(authority.pem.read_bytes())
    for transport in ["ldaps", "starttls"]:
        server.search("(uid=amartin)", transport=transport).ok()
    # A broken file leaves what is there.
    after = serial(server)
    (server.folder / "certs" / "server.key").write_text("nothing\n")
    faults = server.log().count("were not read again")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.log().count("were not read again") > faults, "the second fault in the log")
    assert serial(server) == after
    assert server.stop() == 0


def test_authorities_of_clients_are_read_again_too(start, authority, tmp_path):
    server = start()
    other = Authority(tmp_path / "other", name="Another CA")
    certificate = other.issue("amartin", SUBJECT)
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(*map(str, certificate))
    assert not speaks(server, context)
    kept = authority.pem.read_text()
    try:
        authority.pem.write_text(kept + other.pem.read_text())
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the certificates were read again" in server.log(), "the new authority")
        assert speaks(server, context)
        assert external(server, transport="ldaps", certificate=certificate) == f"dn:{AMARTIN}"
    finally:
        authority.pem.write_text(kept)
