"""Dovecot checks passwords and finds mailboxes by the server, and a mail client logs in over IMAP."""

import imaplib
import shutil

import pytest

from application import free_port, listens
from campus import PASSWORDS, READER, READER_PASSWORD
from support import PEOPLE, person, wait_for

CONFIG = """\
protocols = imap
listen = 127.0.0.1
base_dir = /run/dovecot
state_dir = /run/state
log_path = /dev/stderr
auth_verbose = yes
auth_failure_delay = 0 secs
ssl = no
disable_plaintext_auth = no
first_valid_uid = 20000
mail_location = maildir:/srv/mail/%u
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
# Who fails often is not made to wait.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = ldap
  args = /srv/{way}.conf
}}
userdb {{
  driver = ldap
  args = /srv/{way}.conf
}}
"""
LDAP = """\
hosts = 127.0.0.1:{port}
ldap_version = 3
base = {base}
auth_bind = yes
user_attrs = homeDirectory=home,uidNumber=uid,gidNumber=gid,=mail=maildir:/srv/mail/%u
user_filter = (&(objectClass=posixAccount)(uid=%u))
"""
WAYS = {
    # The user's DN is made of the name; the reader finds the mailbox.
    "template": f"auth_bind_userdn = uid=%u,{PEOPLE}\ndn = {READER}\ndnpass = {READER_PASSWORD}\n",
    # The reader finds the user, then Dovecot binds as the user.
    "search": f"dn = {READER}\ndnpass = {READER_PASSWORD}\npass_attrs = uid=user\n"
              "pass_filter = (&(objectClass=posixAccount)(|(uid=%u)(mail=%u)))\n",
    "starttls": f"dn = {READER}\ndnpass = {READER_PASSWORD}\npass_attrs = uid=user\n"
                "pass_filter = (&(objectClass=posixAccount)(uid=%u))\n"
                "tls = yes\ntls_ca_cert_file = /srv/ca.pem\ntls_require_cert = demand\n",
}
IDS = {"amartin": (20001, 20100), "lbernard": (20002, 20200), "clerk": (20003, 20100)}


@pytest.fixture(scope="module", params=WAYS)
def dovecot(request, tmp_path_factory, campus, make_application):
    application = make_application(f"dovecot-{request.param}")
    application.users("dovecot", "dovenull", "dovenull2")
    application.way, application.port = request.param, free_port()
    application.write("/srv/dovecot.conf", CONFIG.format(port=application.port, way=request.param))
    text = LDAP.format(port=application.ldap_port, base=PEOPLE) + WAYS[request.param]
    application.write(f"/srv/{request.param}.conf", text)
    mail = application.path("/srv/mail")
    mail.mkdir()
    for user, (uid, gid) in IDS.items():
        (mail / user).mkdir()
        shutil.chown(mail / user, uid, gid)
    application.start("dovecot", "-F", "-c", "/srv/dovecot.conf")
    application.ready(lambda: listens(application.port), "Dovecot")
    return application


def doveadm(dovecot, *args):
    return dovecot.run("doveadm", "-c", "/srv/dovecot.conf", *args)


def test_passwords(dovecot):
    for user in IDS:
        good = doveadm(dovecot, "auth", "test", user, PASSWORDS[user])
        assert good.returncode == 0 and "auth succeeded" in good.stdout, (good, dovecot.log())
    right = PASSWORDS["amartin"]
    for name, password in [("amartin", "wrong"), ("amartin", right + " "), ("nobody-here", right),
                           ("amartin)(uid=*", right)]:
        bad = doveadm(dovecot, "auth", "test", name, password)
        assert bad.returncode == 77 and "auth failed" in bad.stdout, bad


def test_mailboxes(dovecot):
    for user, (uid, gid) in IDS.items():
        found = doveadm(dovecot, "user", user)
        fields = dict(line.split("\t", 1) for line in found.stdout.splitlines()[1:] if "\t" in line)
        assert (fields["uid"], fields["gid"], fields["home"]) == (str(uid), str(gid), f"/home/{user}"), found
    absent = doveadm(dovecot, "user", "hlefevre")
    assert absent.returncode == 67 and "doesn't exist" in absent.stdout, absent


def test_imap(dovecot):
    """A login, a message in and out again, as the user whose numbers the server told."""
    name = "amartin@valmont.example" if dovecot.way == "search" else "amartin"
    with imaplib.IMAP4("127.0.0.1", dovecot.port, timeout=30) as imap:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.login(name, "wrong")
        imap.login(name, PASSWORDS["amartin"])
        imap.append("INBOX", None, None, b"Subject: hello\r\n\r\nFrom the directory.\r\n")
        assert imap.select("INBOX")[1] == [b"1"]
        assert b"From the directory." in imap.fetch("1", "(BODY[TEXT])")[1][0][1]
    [message] = wait_for(lambda: list(dovecot.path("/srv/mail/amartin").rglob("cur/*")), "the message on disk")
    assert (message.stat().st_uid, message.stat().st_gid) == IDS["amartin"]


def test_many_logins_at_once(dovecot):
    """Dovecot asks for all of them on one connection, before the first is answered."""
    clients = [imaplib.IMAP4("127.0.0.1", dovecot.port, timeout=30) for _ in range(12)]
    users = ["amartin", "lbernard", "clerk"] * 4
    try:
        tags = []
        for i, (imap, user) in enumerate(zip(clients, users)):
            password = PASSWORDS[user] if i % 2 else "wrong"
            tag = imap._new_tag()
            imap.send(tag + f" LOGIN {user} {password}\r\n".encode())
            tags.append(tag)
        for i, (imap, tag) in enumerate(zip(clients, tags)):
            line = imap.readline()
            while not line.startswith(tag):
                assert line, "closed"
                line = imap.readline()
            assert line.split()[1] == (b"OK" if i % 2 else b"NO"), line
    finally:
        for imap in clients:
            imap.shutdown()


def test_who_leaves_cannot_log_in(dovecot, campus):
    uid = f"leaver-{dovecot.way}"
    numbers = {"uidNumber": "20009", "gidNumber": "20100", "homeDirectory": f"/home/{uid}"}
    campus.add(person(uid, classes=["posixAccount"], userPassword="leaver-2026", **numbers)).ok()
    assert doveadm(dovecot, "auth", "test", uid, "leaver-2026").returncode == 0
    campus.delete(f"uid={uid},{PEOPLE}").ok()
    assert doveadm(dovecot, "auth", "test", uid, "leaver-2026").returncode == 77
