"""`vestibule identity`: duplicates found and fused by the command, as seen over LDAP."""

import json

from contract import IDENTITIES, Call, identity
from support import ADMIN, PEOPLE


def run(server, *args):
    return server.command("identity", *args, f"--http={server.http}")


def done(server, *args):
    result = run(server, *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(server, *args):
    result = run(server, *args)
    assert result.returncode == 1 and result.stdout == "", result
    return result.stderr


def twins(server, name, born):
    made = []
    for number, given in (("1", "Zoé"), ("2", "ZOÉ")):
        supann = {"supannPerson": {"supannOIDCDateDeNaissance": born, "supannRefId": [f"{{X}}{name}{number}"]}}
        body = identity(name + number, classes=supann, givenName=given, employeeType="T",
                        employeeNumber=[name + number])
        made.append(Call(server, "POST", IDENTITIES, body).gives(201).id)
    return made


def ldap(server, uid):
    entry = server.search(f"(uid={uid})", "*", "+").ok().entry
    return {name: sorted(v.decode() for v in values) for name, values in entry.items() if name != "objectClass"}


def pairs(server, *flags):
    groups = json.loads(done(server, "duplicates", "--json", *flags))["data"]
    return [sorted(i["inetOrgPerson"]["uid"] for i in group["identities"]) for group in groups]


def test_two_are_one_and_two_again(server):
    first, second = twins(server, "both", "1988-02-03")
    text = done(server, "duplicates")
    assert "the same supannOIDCDateDeNaissance, givenName\n  both1" in text and "1 TO_VALIDATE" in text
    before = ldap(server, "both1")
    # By uid and by DN.
    assert "the identities are one\nboth1" in done(server, "fuse", "both1", f"uid=both2,{PEOPLE}")
    survivor, absorbed = ldap(server, "both1"), ldap(server, "both2")
    assert survivor["supannRefId"] == ["{X}both1", "{X}both2"] and survivor["vestibuleFusedFrom"] == [second]
    assert absorbed["vestibuleFusedInto"] == [first] and absorbed["vestibuleState"] == ["-99"]
    assert absorbed["employeeNumber"] == ["Fboth2"]
    assert absorbed["vestibuleHistory"][-1].endswith(f"#state#1#-99#{ADMIN}#fusion: absorbed by {first}")
    assert ["both1", "both2"] not in pairs(server)
    assert "absorbed" in refused(server, "fuse", "both1", "both2")
    assert "the first has not absorbed the second" in refused(server, "unfuse", "both2", "both1")
    # By uuid.
    assert "the identities are two again" in done(server, "unfuse", first, second)
    after = ldap(server, "both1")
    assert after["supannRefId"] == before["supannRefId"] and "vestibuleFusedFrom" not in after
    assert ldap(server, "both2")["employeeNumber"] == ["both2"] and ["both1", "both2"] in pairs(server)


def test_two_that_are_not_the_same_person(server):
    first, second = twins(server, "apart", "1988-02-04")
    done(server, "ignore", "apart1", "apart2")
    assert ldap(server, "apart1")["vestibuleIgnoreFusion"] == [second]
    assert ldap(server, "apart2")["vestibuleIgnoreFusion"] == [first]
    assert ["apart1", "apart2"] not in pairs(server) and ["apart1", "apart2"] in pairs(server, "--ignored")
    assert "[not the same person]\n  apart1" in done(server, "duplicates", "--ignored")
    done(server, "unignore", "apart1", "apart2")
    assert ["apart1", "apart2"] in pairs(server)
    assert "two different identities" in refused(server, "ignore", "apart1", first)
    assert "nobody-here" in (fault := refused(server, "fuse", "apart1", "nobody-here")) and "no such identity" in fault


def test_what_is_there(server):
    for number in range(3):
        body = identity(f"seen {number}", employeeType="SEEN", employeeNumber=[f"S{number}", f"S{number}b"])
        Call(server, "POST", IDENTITIES, body).gives(201)
    of_type = "inetOrgPerson.employeeType=SEEN"
    lines = done(server, "list", of_type).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["uid", "seen 0", "seen 1", "seen 2", "3 of 3"]
    assert done(server, "list", of_type, "#state=2").splitlines()[-1] == "0 of 0"
    found = json.loads(done(server, "list", of_type, "^inetOrgPerson.uid=/[12]$/", "--limit=1", "--json"))
    assert (found["total"], [row["inetOrgPerson"]["uid"] for row in found["data"]]) == (2, ["seen 1"])
    assert "expected PATH=VALUE" in refused(server, "list", "state")
    assert "expected a number" in refused(server, "list", "#state=x")
    lines = done(server, "show", "seen 1").splitlines()
    assert {"state: 1", "inetOrgPerson.employeeNumber: S1b", f"dn: uid=seen 1,{PEOPLE}"} <= set(lines)
    shown = json.loads(done(server, "show", f"uid=seen 1,{PEOPLE}", "--json"))
    assert shown["inetOrgPerson"]["employeeNumber"] == ["S1", "S1b"]
    server.tool("ldapdelete", f"uid=seen 1,{PEOPLE}").ok()
    assert shown["_id"] in done(server, "deleted")
    assert "no such identity" in refused(server, "show", "seen nobody")


def test_a_fusion_completes_nobody(server):
    broken = identity("frail1", classes={"supannPerson": {"supannCivilite": "Madame"}})
    Call(server, "POST", IDENTITIES, broken).gives(202)
    Call(server, "POST", IDENTITIES, identity("frail2")).gives(201)
    done(server, "fuse", "frail1", "frail2")
    assert ldap(server, "frail1")["vestibuleState"] == ["-2"] and ldap(server, "frail2")["vestibuleState"] == ["-99"]
    done(server, "unfuse", "frail1", "frail2")
    assert ldap(server, "frail1")["vestibuleState"] == ["-2"] and ldap(server, "frail2")["vestibuleState"] == ["1"]
