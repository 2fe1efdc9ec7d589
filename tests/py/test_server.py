"""The program: start, stop, faults of its files, import and export."""

import re
import shutil
import signal
import subprocess

import ldap
import pytest

from support import ADMIN, ADMIN_PASSWORD, AMARTIN, PASSWORDS, PEOPLE, REPO, SUFFIX, binary, line, person, wait_for


def test_a_stop_loses_nothing(new_server):
    server = new_server().start()
    server.add(person("kept", userPassword="kept-password")).ok()
    server.modify(f"dn: {AMARTIN}\nchangetype: modify\nreplace: mail\nmail: new@valmont.example\n").ok()
    before = server.search("(objectClass=*)", "*", "+").ok().entries
    assert server.stop(signal.SIGTERM) == 0
    server.start()
    assert sorted(server.search("(objectClass=*)", "*", "+").ok().entries) == sorted(before)
    assert server.tool("ldapwhoami", who=f"uid=kept,{PEOPLE}", password="kept-password").ok()
    assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_right_after_the_start(new_server, how):
    for _ in range(5):
        assert new_server(flags=["--no-demo"]).start().stop(how) == 0


def test_a_stop_ends_open_connections(new_server):
    server = new_server().start()
    connection = server.connect()
    assert connection.whoami_s() == f"dn:{ADMIN}"
    assert server.stop() == 0
    with pytest.raises((ldap.SERVER_DOWN, ldap.UNAVAILABLE)):
        connection.whoami_s()


def test_a_kill_loses_nothing(new_server):
    server = new_server().start()
    server.add(person("kept")).ok()
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    assert server.search("(uid=kept)", "1.1").ok().dns == [f"uid=kept,{PEOPLE}"]
    assert len(server.search("(objectClass=inetOrgPerson)", "1.1", base=PEOPLE).ok().entries) > 20


def test_the_demonstration_is_loaded_once(new_server):
    server = new_server().start()
    server.delete(AMARTIN).ok()
    assert server.stop() == 0
    server.start()
    assert server.search("(uid=amartin)", "1.1").ok().entries == []


def test_without_the_demonstration(new_server):
    server = new_server(flags=["--no-demo"]).start()
    found = server.search("(objectClass=*)").ok()
    assert found.dns == [SUFFIX]
    assert b"dcObject" in found.entry["objectClass"]


def test_another_suffix(new_server):
    server = new_server(flags=["--suffix=dc=univ,dc=fr"]).start()
    found = server.search(base="dc=univ,dc=fr", who="cn=admin,dc=univ,dc=fr", password=ADMIN_PASSWORD).ok()
    assert found.dns == ["dc=univ,dc=fr"]


def test_a_second_process_on_the_same_data(new_server):
    server = new_server().start()
    second = subprocess.run(server.serve_command, env=server.env, cwd=server.folder, capture_output=True, text=True,
                            timeout=60)
    assert second.returncode not in (0, -signal.SIGABRT) and second.stdout == ""
    lines = [l for l in second.stderr.splitlines() if l.strip()]
    assert len(lines) == 1, lines
    assert str(server.data.name) in lines[0]
    assert server.tool("ldapwhoami").ok()


def test_a_port_that_is_taken(new_server):
    server = new_server().start()
    other = new_server("other", flags=[f"--ldap={server.ldap}"])
    command = [c for c in other.serve_command if c != "--ldap=127.0.0.1:0"]
    second = subprocess.run(command, env=other.env, cwd=other.folder, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and second.stdout == ""
    assert server.ldap in second.stderr and "panicked" not in second.stderr


def test_the_shipped_configuration_is_good():
    result = subprocess.run([binary(), "check", f"--config={REPO}/config/vestibule.yml"], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0, result
    assert "ok" in result.stdout


def test_help_reads_well():
    result = subprocess.run([binary(), "--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    for word in ("serve", "check", "import", "export", "target", "certs", "--config", "--data"):
        assert word in result.stdout


def test_an_unknown_command_and_flag():
    for arguments in (["dance"], ["serve", "--dance"], []):
        result = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=60)
        assert result.returncode == 2, arguments


def both_refuse(server, *texts):
    """`check` and `serve` name the same fault, and neither panics."""
    check = server.command("check")
    serve = subprocess.run(server.serve_command, env=server.env, cwd=server.folder, capture_output=True, text=True,
                           timeout=60)
    for result in (check, serve):
        assert result.returncode == 1, result
        assert result.stdout == "" and "panicked" not in result.stderr
        for text in texts:
            assert text in result.stderr, (text, result.stderr)
    assert not server.data.exists() or not (server.data / "db").exists(), "nothing is opened before all is checked"


def own_schemas(server):
    shutil.copytree(REPO / "schemas", server.folder / "schemas")
    text = server.config.read_text().replace(f"{REPO}/schemas", "schemas")
    server.config.write_text(text)
    return server.folder / "schemas"


BROKEN_RULES = {
    "a keyword with a wrong value": ("$schema: http://json-schema.org/draft-07/schema#\ntype: object\nproperties:\n"
                                     "  supannCivilite:\n    type: strange\n", ["supannCivilite.type", "expected string"]),
    "a pattern that is none": ("type: object\nproperties:\n  supannCivilite:\n    type: string\n    pattern: '(['\n",
                               ["supannCivilite", "pattern"]),
    "no YAML": ("type: [object\n", []),
}


@pytest.mark.parametrize("fault", BROKEN_RULES)
def test_a_broken_class_rule(new_server, fault):
    text, names = BROKEN_RULES[fault]
    server = new_server()
    (own_schemas(server) / "classes" / "supannPerson.yml").write_text(text)
    both_refuse(server, "supannPerson.yml", *names)


def test_a_class_rule_of_an_unknown_class_defines_it(new_server):
    server = new_server()
    rule = "type: object\nproperties:\n  noSuchAttribute:\n    type: string\n"
    (own_schemas(server) / "classes" / "noSuchClass.yml").write_text(rule)
    result = server.command("check")
    assert result.returncode == 0, result.stderr
    assert "noSuchClass" in result.stdout and "noSuchAttribute" in result.stdout


BROKEN_SCHEMA = {
    "an unknown key": ("attributes:\n  - { name: xOne, oid: 1.2.3.4.1, colour: red }\nclasses: []\n", ["colour"]),
    "a superior that is none": ("attributes:\n  - { name: xOne, oid: 1.2.3.4.1, sup: xNone }\nclasses: []\n",
                                ["xOne", "xNone"]),
    "a name twice": ("attributes:\n  - { name: cn, oid: 1.2.3.4.1, syntax: 1.3.6.1.4.1.1466.115.121.1.15 }\n"
                     "classes: []\n", ["cn"]),
    "an OID twice": ("attributes:\n  - { name: xOne, oid: 2.5.4.3, syntax: 1.3.6.1.4.1.1466.115.121.1.15 }\n"
                     "classes: []\n", ["2.5.4.3"]),
    "a matching rule that is none": ("attributes:\n  - { name: xOne, oid: 1.2.3.4.1, equality: xNone, "
                                     "syntax: 1.3.6.1.4.1.1466.115.121.1.15 }\nclasses: []\n", ["xOne", "xNone"]),
    "a class with an unknown attribute": ("attributes: []\nclasses:\n  - { name: xClass, oid: 1.2.3.4.2, sup: [top], "
                                          "kind: auxiliary, may: [xNone] }\n", ["xClass", "xNone"]),
}


@pytest.mark.parametrize("fault", BROKEN_SCHEMA)
def test_a_broken_schema_file(new_server, fault):
    text, names = BROKEN_SCHEMA[fault]
    server = new_server()
    (own_schemas(server) / "ldap" / "95-own.yml").write_text(text)
    both_refuse(server, "95-own.yml", *names)


BROKEN_CONFIG = {
    "an unknown key": (lambda t: t + "colour: red\n", ["colour"]),
    "an unknown key inside": (lambda t: t.replace("  development: true", "  development: true\n  colour: red"),
                              ["tls", "colour"]),
    "a limit of the wrong kind": (lambda t: t.replace("limits: {}", "limits: {connections: many}"),
                                  ["limits.connections"]),
    "a suffix that is no DN": (lambda t: t.replace("suffix: dc=example,dc=org", "suffix: nothing"), ["suffix"]),
    "an identities base that is no DN": (lambda t: t.replace('"ou=people,{suffix}"', '"people"'),
                                         ["identities.bases", "people"]),
    "a release that is none": (lambda t: t.replace("release: automatic", "release: perhaps"),
                               ["identities.release", "perhaps"]),
    "an index of no attribute": (lambda t: t + "indexes: [noSuchAttribute]\n", ["indexes", "noSuchAttribute"]),
    "no YAML": (lambda t: t + "a: [b\n", []),
}


@pytest.mark.parametrize("fault", BROKEN_CONFIG)
def test_a_broken_configuration(new_server, fault):
    change, names = BROKEN_CONFIG[fault]
    server = new_server()
    text = server.config.read_text()
    assert change(text) != text
    server.config.write_text(change(text))
    both_refuse(server, "vestibule.yml", *names)


RULE = "rules:\n  - name: my rule\n    who: [{who}]\n    rights: {rights}\n{more}"
BROKEN_ACCESS = {
    "an unknown who": (RULE.format(who="everybody", rights="all", more=""), ["my rule", "everybody"]),
    "an unknown right": (RULE.format(who="admin", rights="[fly]", more=""), ["rules[0]", "fly"]),
    "an unknown attribute": (RULE.format(who="admin", rights="all", more="    attributes: [noSuch]\n"),
                             ["my rule", "noSuch"]),
    "a filter that is none": (RULE.format(who="admin", rights="all", more="    filter: (uid=\n"), ["my rule", "filter"]),
    "a base that is no DN": (RULE.format(who="admin", rights="all", more="    base: nothing\n"), ["my rule", "nothing"]),
    "an unknown key": (RULE.format(who="admin", rights="all", more="    colour: red\n"), ["rules[0]", "colour"]),
}


@pytest.mark.parametrize("fault", BROKEN_ACCESS)
def test_a_broken_access_rule(new_server, tmp_path, fault):
    text, names = BROKEN_ACCESS[fault]
    rules = tmp_path / "own-access.yml"
    rules.write_text(text)
    both_refuse(new_server(access=rules), "own-access.yml", *names)


def test_an_access_file_that_is_not_there(new_server, tmp_path):
    both_refuse(new_server(access=tmp_path / "none.yml"), "none.yml")


def test_faults_of_several_files_come_together(new_server, tmp_path):
    text, names = BROKEN_ACCESS["an unknown who"]
    rules = tmp_path / "own-access.yml"
    rules.write_text(text)
    server = new_server(access=rules)
    server.config.write_text(server.config.read_text() + "indexes: [noSuchAttribute]\n")
    both_refuse(server, "own-access.yml", "indexes")


def test_a_broken_target(new_server):
    server = new_server()
    (server.folder / "targets" / "mine.yml").write_text("colour: red\n")
    both_refuse(server, "mine.yml")


LDIF = "\n".join([
    "version: 1\n",
    f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n",
    person("good", cn="Élodie", userPassword="good-password"),
    person("bad", classes=["supannPerson"], supannEtablissement="0123456X"),
    person("kept", classes=["supannPerson"], supannEtablissement="0123456X", vestibuleState="-1"),
    f"dn: uid=orphan,ou=none,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: orphan\ncn: x\nsn: y\n",
    f"dn: uid=broken,{PEOPLE}\nobjectClass inetOrgPerson\n",
    person("last", seeAlso=f"uid=good,{PEOPLE}"),
])


def check_import(result, server, rejects):
    assert result.returncode == 1, result
    assert re.search(r"\b3 created, 0 updated, 0 deleted, 0 unchanged, 1 kept incomplete, 3 refused", result.stdout), result
    text = rejects.read_text()
    assert text.count("dn: ") == 3
    for uid, reason in (("bad", "supannEtablissement"), ("orphan", "no such"), ("broken", "line")):
        record = [r for r in re.split(r"\n\n+", text) if f"uid={uid}," in r][0]
        reasons = [l for l in record.splitlines() if l.startswith("#")]
        assert any(reason in l for l in reasons), (uid, record)


def check_imported(server):
    assert server.search("(uid=*)", "1.1").ok().names == {"good", "kept", "last"}
    assert server.search("(uid=good)", "cn").ok().entry["cn"] == ["Élodie".encode()]
    assert server.tool("ldapwhoami", who=f"uid=good,{PEOPLE}", password="good-password").ok()


@pytest.mark.parametrize("named", [False, True])
def test_import_into_a_stopped_store(new_server, tmp_path, named):
    server = new_server(flags=["--no-demo"]).start()
    assert server.stop() == 0
    file = tmp_path / "in.ldif"
    file.write_text(LDIF)
    rejects = tmp_path / "refused.ldif" if named else tmp_path / "in.rej.ldif"
    flags = [f"--rejects={rejects}"] if named else []
    check_import(server.command("import", str(file), *flags), server, rejects)
    check_imported(server.start())


@pytest.mark.parametrize("transport", ["ldap", "ldaps"])
def test_import_into_a_running_server(new_server, tmp_path, transport):
    server = new_server(flags=["--no-demo"]).start()
    file = tmp_path / "in.ldif"
    file.write_text(LDIF)
    check_import(server.command("import", str(file), f"--server={server.uri(transport)}"), server,
                 tmp_path / "in.rej.ldif")
    check_imported(server)


def test_a_refused_record_can_be_mended_and_imported(new_server, tmp_path):
    server = new_server(flags=["--no-demo"]).start()
    file = tmp_path / "in.ldif"
    file.write_text(LDIF)
    server.command("import", str(file), f"--server={server.uri()}")
    rejects = tmp_path / "in.rej.ldif"
    text = rejects.read_text().replace("0123456X", "{UAI}0123456X").replace("ou=none,", "ou=people,")
    mended = tmp_path / "mended.ldif"
    mended.write_text(text.replace("objectClass inetOrgPerson", "objectClass: inetOrgPerson\ncn: x\nsn: y"))
    result = server.command("import", str(mended), f"--server={server.uri()}")
    assert result.returncode == 0 and "3 created" in result.stdout, (result, mended.read_text())


def test_import_of_change_records(new_server, tmp_path):
    server = new_server().start()
    file = tmp_path / "changes.ldif"
    file.write_text(f"""\
version: 1

dn: {AMARTIN}
changetype: modify
replace: mail
mail: changed@valmont.example
-
delete: mobile
-

dn: uid=lbernard,{PEOPLE}
changetype: modrdn
newrdn: uid=lucas
deleteoldrdn: 1

dn: uid=zpetit,{PEOPLE}
changetype: delete

dn: uid=new,{PEOPLE}
changetype: add
objectClass: inetOrgPerson
cn: New
sn: New
""")
    result = server.command("import", str(file), f"--server={server.uri()}")
    assert result.returncode == 0 and "1 created, 2 updated, 1 deleted" in result.stdout, result
    entry = server.search("(uid=amartin)").entry
    assert entry["mail"] == [b"changed@valmont.example"] and "mobile" not in entry
    assert server.search("(|(uid=lucas)(uid=lbernard)(uid=zpetit)(uid=new))", "1.1").ok().names == {"lucas", "new"}


def test_import_into_a_store_in_use(new_server, tmp_path):
    server = new_server().start()
    file = tmp_path / "in.ldif"
    file.write_text(LDIF)
    result = server.command("import", str(file))
    assert result.returncode == 1 and "--server" in result.stderr, result


def test_import_of_a_file_that_is_not_there(new_server, tmp_path):
    result = new_server().command("import", str(tmp_path / "none.ldif"))
    assert result.returncode == 1 and "none.ldif" in result.stderr


def content(server):
    """All entries, but for what a new store makes anew."""
    own = {"entryUUID", "createTimestamp", "modifyTimestamp", "creatorsName", "modifiersName", "entryCSN", "contextCSN",
           "vestibuleHistory", "vestibuleLastLifecycleUpdate", "vestibuleLastSync"}
    found = server.search("(objectClass=*)", "*", "+").ok().entries
    return sorted((dn, sorted((k, sorted(v)) for k, v in entry.items() if k not in own)) for dn, entry in found)


def test_export_and_import_are_inverse(new_server, tmp_path):
    first = new_server("first").start()
    first.add(person("bytes", cn="Éa", jpegPhoto=b"\xff\x00\x01", description=[" lead", "tail ", ":colon", "a\nb"])).ok()
    before = content(first)
    online = first.command("export", f"--server={first.uri()}")
    assert online.returncode == 0, online.stderr
    assert first.stop() == 0
    file = tmp_path / "out.ldif"
    offline = first.command("export", "--with-passwords", f"--output={file}")
    assert offline.returncode == 0, offline.stderr
    assert "userPassword" not in online.stdout and "argon2" not in online.stdout

    second = new_server("second", flags=["--no-demo"])
    # A store that is stopped and empty takes the export as a whole, the suffix entry included.
    result = second.command("import", str(file))
    assert result.returncode == 0 and " 0 refused" in result.stdout, result
    second.start()
    assert content(second) == before
    assert second.tool("ldapwhoami", who=AMARTIN, password=PASSWORDS[AMARTIN]).ok()


def test_export_without_passwords_by_default(new_server, tmp_path):
    server = new_server().start()
    assert server.stop() == 0
    result = server.command("export")
    assert result.returncode == 0
    assert "userPassword" not in result.stdout and "argon2" not in result.stdout
    assert f"dn: {AMARTIN}\n" in result.stdout
    assert line("title", "Directrice du système d'information") in result.stdout.replace("\n ", "")


def test_certs_dev(new_server, tmp_path):
    server = new_server()
    result = server.command("certs", "dev", f"--folder={tmp_path / 'made'}")
    assert result.returncode == 0, result
    made = {p.name: p for p in (tmp_path / "made").iterdir()}
    assert {"ca.pem", "server.pem", "server.key"} <= set(made)
    for name in made:
        if name.endswith(".key"):
            assert made[name].stat().st_mode & 0o077 == 0, f"{name} is readable by others"


def test_secrets_made_by_the_server_are_private(new_server):
    server = new_server().start()
    assert (server.folder / "certs" / "server.key").stat().st_mode & 0o077 == 0
    assert server.stop() == 0


def test_a_password_that_is_made_is_shown_once(new_server):
    server = new_server(flags=["--no-demo"], env={"VESTIBULE_ADMIN_PASSWORD": "", "VESTIBULE_ADMIN_TOKEN": ""}).start()
    shown = wait_for(lambda: re.search(r"password (\S+)  \(shown this once\)", server.log()), "the password")
    password = shown.group(1)
    assert server.tool("ldapwhoami", password=password).ok()
    assert server.stop() == 0
    server.start()
    assert server.tool("ldapwhoami", password=password).ok()
    assert server.stop() == 0
    assert server.log().count(password) == 1
    stored = b"".join(p.read_bytes() for p in server.data.rglob("*") if p.is_file())
    assert password.encode() not in stored
    assert (server.data / "admin.token").stat().st_mode & 0o077 == 0
