"""`vestibule import`: tables by a mapping, LDIF by difference, dry runs, rejects, going on after a cut."""

import json
import re
import shutil
import signal
import subprocess
import time

import pytest

from support import PEOPLE, REPO, SUFFIX, binary, person, wait_for

GOLDEN = REPO / "tests" / "golden" / "import"
PLACES = ["running", "stopped"]


def counts(result):
    return json.loads(result.stdout.splitlines()[-1].removeprefix("# "))


def tally(**some):
    return dict.fromkeys(["created", "updated", "deleted", "unchanged", "held", "refused"], 0) | some


class Place:
    """A directory that is imported into, over LDAP or with the server stopped."""

    def __init__(self, server, how):
        self.server, self.how = server, how
        server.start()
        if how == "stopped":
            assert server.stop() == 0

    def run(self, *args):
        where = [f"--server={self.server.uri()}"] if self.how == "running" else []
        return self.server.command("import", *map(str, args), "--json", *where)

    def search(self, *args, **how):
        if self.how == "running":
            return self.server.search(*args, **how)
        self.server.start()
        try:
            return self.server.search(*args, **how)
        finally:
            assert self.server.stop() == 0

    def csn(self):
        return self.search("(objectClass=*)", "contextCSN", base=SUFFIX, scope="base").ok().entry["contextCSN"]


@pytest.fixture(params=PLACES)
def place(request, new_server):
    return Place(new_server(), request.param)


@pytest.fixture
def running(new_server):
    return Place(new_server(), "running")


def golden(name, text):
    path = GOLDEN / name
    assert path.exists() and text == path.read_text(), f"{path}:\n{text}"


def students(folder):
    for name in ("students.csv", "students.yml"):
        shutil.copy(GOLDEN / name, folder / name)
    return folder / "students.csv", f"--mapping={folder / 'students.yml'}"


def test_a_table_is_imported_by_its_mapping(place, tmp_path):
    table, mapping = students(tmp_path)
    result = place.run(table, mapping)
    assert result.returncode == 1, result
    assert counts(result) == tally(created=2, updated=2, refused=4), result
    golden("students.rej.csv", (tmp_path / "students.rej.csv").read_bytes().decode("iso-8859-15"))
    attrs = ["objectClass", "uid", "sn", "givenName", "cn", "displayName", "employeeNumber", "employeeType", "mail",
             "telephoneNumber", "departmentNumber", "supannOIDCDateDeNaissance", "supannCivilite",
             "supannEtablissement", "preferredLanguage"]
    found = place.search("(employeeType=student)", *attrs).ok().entries
    mine = sorted((dn, sorted(entry.items())) for dn, entry in found if entry["employeeNumber"][0].startswith(b"100"))
    lines = [f"{dn}\n" + "".join(f"  {n}: {v.decode()}\n" for n, vs in entry for v in sorted(vs)) for dn, entry in mine]
    golden("students.txt", "\n".join(lines))


def test_an_unchanged_table_writes_nothing(place, tmp_path):
    table, mapping = students(tmp_path)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:3]))
    assert counts(place.run(table, mapping)) == tally(created=2)
    before = place.csn()
    again = place.run(table, mapping)
    assert again.returncode == 0 and counts(again) == tally(unchanged=2), again
    assert place.csn() == before
    # One cell changes: one entry is written.
    table.write_bytes(lines[0] + lines[1].replace(b"Vidal", b"Viral") + lines[2])
    assert counts(place.run(table, mapping)) == tally(updated=1, unchanged=1)


def test_a_cell_that_is_emptied(place, tmp_path):
    table, mapping = students(tmp_path)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(lines[0] + lines[1])
    place.run(table, mapping)
    table.write_bytes(lines[0] + lines[1].replace(b"+33 1 00 00 00 01", b"").replace(b"SCI|LET", b""))
    assert counts(place.run(table, mapping)) == tally(updated=1)
    entry = place.search("(uid=cvidal)").ok().entry
    # absent: delete for the one, keep for the other.
    assert "telephoneNumber" not in entry and sorted(entry["departmentNumber"]) == [b"LET", b"SCI"]


def test_what_is_written_once_is_not_written_again(running, tmp_path):
    table, mapping = students(tmp_path)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(lines[0] + lines[1])
    running.run(table, mapping)
    running.server.modify(f"dn: uid=cvidal,{PEOPLE}\nchangetype: modify\nreplace: mail\nmail: chosen@valmont.example\n").ok()
    table.write_bytes(lines[0] + lines[1].replace(b"CVIDAL", b"CVIDAL2"))
    assert counts(running.run(table, mapping)) == tally(unchanged=1)
    assert running.search("(employeeNumber=1001)", "uid", "mail").ok().entry == {
        "uid": [b"cvidal"], "mail": [b"chosen@valmont.example"]}


def test_a_dry_run_shows_the_difference_and_writes_nothing(place, tmp_path):
    table, mapping = students(tmp_path)
    before = place.csn()
    result = place.run(table, mapping, "--dry-run")
    assert counts(result) == tally(created=2, updated=2, refused=4), result
    golden("students.dry-run.ldif", result.stdout)
    assert place.csn() == before
    # To a file, the same; what it says can itself be imported.
    place.run(table, mapping, "--dry-run", f"--diff={tmp_path / 'diff.ldif'}")
    text = "".join(line + "\n" for line in result.stdout.splitlines()[:-1])
    assert (tmp_path / "diff.ldif").read_text() == text
    assert not (tmp_path / "students.csv.resume.json").exists()
    assert counts(place.run(tmp_path / "diff.ldif")) == tally(created=2, updated=2)
    assert counts(place.run(table, mapping)) == tally(updated=2, unchanged=2, refused=4)


def test_a_dry_run_checks_the_class_rules(running, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("uid,etab\nd1,0123456X\nd2,{UAI}0123456X\n")
    mapping = tmp_path / "m.yml"
    mapping.write_text(f"""
dn: "uid={{uid}},{PEOPLE}"
object_classes: [inetOrgPerson, supannPerson]
attributes:
  uid: {{ column: uid }}
  cn: {{ column: uid }}
  sn: {{ column: uid }}
  supannEtablissement: {{ column: etab }}
""")
    dry = running.run(table, f"--mapping={mapping}", "--dry-run")
    assert counts(dry) == tally(created=1, refused=1), dry
    assert "# record 1 would be refused: " in dry.stdout and "supannEtablissement" in dry.stdout
    assert "would be refused" in dry.stderr and not (tmp_path / "t.rej.csv").exists()
    refused = running.run(table, f"--mapping={mapping}")
    assert counts(refused) == tally(created=1, refused=1), refused
    assert "supannEtablissement" in (tmp_path / "t.rej.csv").read_text()
    dry = running.run(table, f"--mapping={mapping}", "--hold", "--dry-run")
    assert dry.returncode == 0 and counts(dry) == tally(held=1, unchanged=1), dry
    assert (tmp_path / "t.rej.csv").exists(), "a dry run leaves the file of the import before it"
    held = running.run(table, f"--mapping={mapping}", "--hold")
    assert held.returncode == 0 and counts(held) == tally(held=1, unchanged=1), held
    assert running.search("(uid=d1)", "vestibuleState").ok().entry["vestibuleState"] == [b"-2"]
    assert not (tmp_path / "t.rej.csv").exists(), "nothing was refused"


def test_a_dry_run_counts_what_the_import_will(place, tmp_path):
    file = tmp_path / "in.ldif"
    change = "changetype: modify\nreplace: description\ndescription: new\n"
    texts = [
        person("dry1"), f"dn: uid=dry1,{PEOPLE}\n{change}", person("dry1"), person("amartin"),
        person("dry2", f"ou=nowhere,{SUFFIX}"), f"dn: ou=new,{PEOPLE}\nobjectClass: organizationalUnit\nou: new\n",
        person("dry3", f"ou=new,{PEOPLE}"), f"dn: uid=nobody,{PEOPLE}\n{change}",
        person("dry4", classes=["supannPerson"], supannEtablissement="0123456X"),
        f"dn: uid=dry1,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=dry5\ndeleteoldrdn: 1\n",
        person("dry1"), f"dn: uid=dry5,{PEOPLE}\nchangetype: delete\n",
    ]
    file.write_text("\n".join(texts))
    expected = tally(created=4, updated=2, deleted=1, refused=5)
    dry = place.run(file, "--dry-run")
    assert counts(dry) == expected, dry
    assert counts(place.run(file)) == expected
    reasons = (tmp_path / "in.rej.ldif").read_text()
    for text in ["result 68", "result 32", "supannEtablissement"]:
        assert text in dry.stdout and (place.how == "stopped" or text in reasons), text


def test_an_identity_that_an_import_writes_is_seen_by_it(place, tmp_path):
    file = tmp_path / "in.ldif"
    file.write_text(person("seen1"))

    def seen():
        return place.search("(uid=seen1)", "vestibuleLastSync").ok().entry.get("vestibuleLastSync")

    assert counts(place.run(file)) == tally(created=1)
    first = seen()
    refused = place.run(file, "--mode=upsert", "--touch")
    if place.how == "running":
        # LDAP has no operation that is no change.
        assert first is None and refused.returncode == 2 and "--touch" in refused.stderr, refused
        return
    assert first is not None and counts(refused) == tally(unchanged=1), refused
    before = place.csn()
    wait_for(lambda: place.run(file, "--mode=upsert", "--touch").returncode == 0 and seen() > first, "seen again")
    touched = seen()
    assert counts(place.run(file, "--mode=upsert")) == tally(unchanged=1)
    assert seen() == touched and place.csn() == before, "neither is a change"


def test_refused_rows_can_be_mended_and_imported(place, tmp_path):
    table, mapping = students(tmp_path)
    place.run(table, mapping)
    rejects = tmp_path / "students.rej.csv"
    text = rejects.read_bytes().decode("iso-8859-15")
    text = (text.replace("1003;;", "1003;IRIS;").replace("2003-02-01", "01/02/2003").replace(";X;", ";F;")
            .replace("1006;COURT;Court;", "1006;COURT;Court;Max"))
    mended = tmp_path / "mended.csv"
    mended.write_bytes(text.encode("iso-8859-15"))
    result = place.run(mended, mapping)
    assert counts(result)["refused"] == 0 and counts(result)["created"] == 4, (result, text)


def test_an_ambiguous_match_is_refused_with_both_names(place, tmp_path):
    file = tmp_path / "two.ldif"
    file.write_text(person("two1", employeeNumber="77", title="x") + "\n"
                    + person("two2", employeeNumber="77", title="x"))
    assert counts(place.run(file)) == tally(created=2)
    file.write_text(person("two3", employeeNumber="77", title="x", description="new"))
    result = place.run(file, "--mode=upsert", "--match=employeeNumber,title")
    assert counts(result) == tally(refused=1)
    reason = (tmp_path / "two.rej.ldif").read_text().splitlines()[0]
    assert f"uid=two1,{PEOPLE}" in reason and f"uid=two2,{PEOPLE}" in reason


def test_ldif_by_difference(place, tmp_path):
    file = tmp_path / "in.ldif"
    text = person("diff1", mail="diff1@valmont.example", description=["a", "b", "c", "d"], telephoneNumber="+33 1")
    file.write_text(text)
    assert counts(place.run(file)) == tally(created=1)
    # Without upsert an entry that is there is refused.
    assert counts(place.run(file)) == tally(refused=1)
    before = place.csn()
    assert counts(place.run(file, "--mode=upsert")) == tally(unchanged=1)
    assert place.csn() == before
    file.write_text(text.replace("description: d", "description: e").replace("telephoneNumber: +33 1\n", ""))
    dry = place.run(file, "--mode=upsert", "--dry-run", "--absent=delete")
    golden("difference.ldif", dry.stdout)
    assert counts(place.run(file, "--mode=upsert", "--absent=delete")) == tally(updated=1)
    entry = place.search("(uid=diff1)").ok().entry
    assert sorted(entry["description"]) == [b"a", b"b", b"c", b"e"] and "telephoneNumber" not in entry


def test_what_the_server_derives_is_no_difference(new_server, tmp_path):
    folder = tmp_path / "lifecycle"
    shutil.copytree(REPO / "config" / "lifecycle", folder)
    table = folder / "resource-states.yml"
    table.write_text(table.read_text().replace("derive: false", "derive: true"))
    running = Place(new_server(extra=f"lifecycle: {{folder: {folder}}}\n"), "running")
    file = tmp_path / "in.ldif"
    text = person("derived", classes=["supannPerson"], vestibuleDataStatus="1", supannRessourceEtat="{MAIL}A")
    file.write_text(text)
    assert counts(running.run(file)) == tally(created=1)
    before = running.csn()
    assert counts(running.run(file, "--mode=upsert", "--absent=delete")) == tally(unchanged=1)
    # A source that has its own idea of the account is not asked again every night.
    own = "supannRessourceEtat: {COMPTE}I:SupannInactif\n"
    file.write_text(text + own)
    assert counts(running.run(file, "--mode=upsert")) == tally(unchanged=1)
    assert running.csn() == before
    # Of other resources the source does decide.
    file.write_text(text.replace("{MAIL}A", "{MAIL}I") + own)
    assert counts(running.run(file, "--mode=upsert")) == tally(updated=1)
    values = running.search("(uid=derived)", "supannRessourceEtat").ok().entry["supannRessourceEtat"]
    assert b"{MAIL}I" in values and b"{MAIL}A" not in values and b"{COMPTE}I:SupannInactif" not in values, values
    assert counts(running.run(file, "--mode=upsert")) == tally(unchanged=1)


def test_an_entry_found_by_its_keys_can_follow_the_name(running, tmp_path):
    table = tmp_path / "t.csv"
    mapping = tmp_path / "m.yml"
    mapping.write_text("""
dn: "uid={uid},ou=people,{suffix}"
object_classes: [inetOrgPerson]
match: [[employeeNumber]]
rename: true
format: { header: false }
attributes:
  employeeNumber: { column: 1 }
  uid: { column: 2 }
  cn: { column: 3 }
  sn: { column: 3 }
""")
    table.write_text("9001,before,Nom\n")
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(created=1)
    table.write_text("9001,after,Autre\n")
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(updated=1)
    found = running.search("(employeeNumber=9001)", "uid", "sn").ok()
    assert found.dns == [f"uid=after,{PEOPLE}"] and found.entry == {"uid": [b"after"], "sn": [b"Autre"]}
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(unchanged=1)


def test_a_row_of_another_width_stays_refused(running, tmp_path):
    """The reject file must not turn it into one that fits."""
    mapping = tmp_path / "wide.yml"
    mapping.write_text("""\
dn: "uid={uid},ou=people,{suffix}"
object_classes: [inetOrgPerson]
attributes:
  uid: { column: A, required: true }
  sn: { column: B }
  cn: { column: C }
""")
    table = tmp_path / "wide.csv"
    table.write_text("A,B,C\nwide1,S,C,surplus\nwide2,S,C,two,more\n")
    for number in range(2):
        found = counts(running.run(table, f"--mapping={mapping}"))
        assert found == tally(refused=2), (number, found)
        table = table.with_suffix(".rej.csv") if number == 0 else table
    assert "two,more" in table.read_text()


@pytest.mark.parametrize("text,where", [
    ("colour: red\n", "colour"),
    ("attributes: {uid: {column: NUM, then: [wash]}}\n", "attributes.uid"),
    ("attributes: {uid: {column: NONE}}\n", "no column 'NONE'"),
    ("attributes: {noSuchAttribute: {column: NUM}}\n", "noSuchAttribute"),
    ("attributes: {uid: {}}\n", "expected one of column"),
    ("attributes: {uid: {column: NUM}}\nmatch: [[mail]]\n", "match: 'mail'"),
    ("attributes: {sn: {column: NUM}}\n", "dn: 'uid'"),
    ("attributes: {uid: {column: NUM}}\nformat: {encoding: klingon}\n", "format.encoding"),
    ("attributes: {uid: {column: NUM}}\nobject_classes: [noClass]\n", "noClass"),
])
def test_a_broken_mapping_is_refused_with_file_and_place(running, tmp_path, text, where):
    table, _ = students(tmp_path)
    mapping = tmp_path / "broken.yml"
    head = 'dn: "uid={uid},{suffix}"\n' + ("" if "object_classes" in text else "object_classes: [inetOrgPerson]\n")
    mapping.write_text(head + ("" if "attributes" in text else "attributes: {}\n") + text)
    result = running.run(table, f"--mapping={mapping}")
    assert result.returncode == 1 and "broken.yml" in result.stderr and where in result.stderr, result


def test_a_table_with_tabs_and_its_rejects(running, tmp_path):
    table, mapping = tmp_path / "tabs.tsv", tmp_path / "m.yml"
    mapping.write_text(BIG)
    table.write_text('NUM\tLOGIN\tNOM\n1\ttab1\t"Nom, un"\n2\ttab2\t\n')
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(created=1, refused=1)
    rejects = tmp_path / "tabs.rej.tsv"
    lines = rejects.read_text().splitlines()
    assert lines[0] == "NUM\tLOGIN\tNOM\timport_reason" and "\tresult 65: " in lines[1] and "cn" in lines[1], lines
    rejects.write_text(rejects.read_text().replace("tab2\t\t", "tab2\tDeux\t"))
    assert counts(running.run(rejects, f"--mapping={mapping}")) == tally(created=1)
    assert running.search("(uid=tab1)", "sn").ok().entry["sn"] == [b"Nom, un"]


def big_table(path, rows):
    lines = ["NUM,LOGIN,NOM"] + [f"{n},big{n},Nom {n}" for n in range(rows)]
    path.write_text("\n".join(lines) + "\n")


BIG = """
dn: "uid={uid},ou=people,{suffix}"
object_classes: [inetOrgPerson]
match: [[employeeNumber, employeeType]]
attributes:
  employeeNumber: { column: NUM }
  employeeType: { constant: big }
  uid: { column: LOGIN }
  cn: { column: NOM }
  sn: { column: NOM }
"""


def test_ten_thousand_rows_go_in_seconds(running, tmp_path):
    table, mapping = tmp_path / "big.csv", tmp_path / "big.yml"
    big_table(table, 10_000)
    mapping.write_text(BIG)
    begun = time.monotonic()
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(created=10_000)
    assert counts(running.run(table, f"--mapping={mapping}")) == tally(unchanged=10_000)
    assert time.monotonic() - begun < 90, "built without optimisation"


@pytest.mark.parametrize("form", ["table", "ldif"])
def test_an_import_that_was_killed_goes_on(new_server, tmp_path, form):
    rows = 3000
    ends = {}
    for name in ("whole", "cut"):
        server = new_server(name, flags=["--no-demo"]).start()
        server.add(f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n")
        if form == "table":
            file, mapping = tmp_path / "big.csv", tmp_path / "big.yml"
            big_table(file, rows)
            # Some rows are refused, in both runs alike.
            file.write_text(re.sub(r"\n(\d*00),(big\d+),[^\n]*", r"\n\1,\2,", file.read_text()))
            mapping.write_text(BIG)
            args = [str(file), f"--mapping={mapping}"]
        else:
            file = tmp_path / "big.ldif"
            change = f"dn: uid=big7,{PEOPLE}\nchangetype: modify\nadd: description\ndescription: once\n\n"
            file.write_text("".join(person(f"big{n}") + "\n" for n in range(rows // 2)) + change
                            + "".join(person(f"big{n}") + "\n" for n in range(rows // 2 - 5, rows)))
            args = [str(file)]
        command = ["import", *args, f"--server={server.uri()}", "--json"]
        if name == "cut":
            state = tmp_path / f"{file.name}.resume.json"
            process = subprocess.Popen([binary(), *command, f"--config={server.config}"], env=server.env,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            wait_for(lambda: state.exists() and json.loads(state.read_text())["records"] >= 500, "under way")
            process.send_signal(signal.SIGKILL)
            process.communicate()
            command.append("--resume")
            before = json.loads(state.read_text())["records"]
            assert 500 <= before < rows
        result = server.command(*command)
        text = file.with_suffix(".rej.csv" if form == "table" else ".rej.ldif").read_text()
        got = counts(result)
        # What was written and not answered for is found unchanged; all else is counted once.
        total = {"done": got["created"] + got["unchanged"] + got["updated"], "refused": got["refused"]}
        found = server.search("(uid=big*)", "*").ok().entries
        ends[name] = (total, text, sorted((dn, sorted(e.items())) for dn, e in found))
        assert not (tmp_path / f"{file.name}.resume.json").exists()
    assert ends["cut"] == ends["whole"]
    assert len(ends["cut"][2]) > rows // 2


def test_an_import_does_not_go_on_with_another_file(running, tmp_path):
    table, mapping = students(tmp_path)
    state = tmp_path / "students.csv.resume.json"
    state.write_text(json.dumps({"input_bytes": 1, "input_sha256": "00", "records": 5, "counts": tally(), "rejects": 0}))
    result = running.run(table, mapping, "--resume")
    assert result.returncode == 1 and "another content" in result.stderr, result
    assert running.search("(employeeNumber=1001)", "1.1").ok().dns == []
