"""HTTP administration, and the log that says each operation once."""

import json
import re
import urllib.error
import urllib.request

import pytest

from support import ADMIN, ADMIN_PASSWORD, AMARTIN, LBERNARD, PASSWORDS, PEOPLE, TOKEN, person, wait_for


def get(server, path, token=None, method="GET"):
    request = urllib.request.Request(f"http://{server.http}{path}", method=method)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def test_health_needs_no_token(server):
    status, body, _ = get(server, "/health")
    assert status == 200
    assert json.loads(body)["status"] == "ok"


@pytest.mark.parametrize("path", ["/metrics", "/targets"])
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x"])
def test_the_rest_needs_the_token(server, path, token):
    status, body, _ = get(server, path, token)
    assert status == 401
    assert TOKEN not in body and "message" in json.loads(body)


def test_metrics(server):
    server.search("(uid=amartin)").ok()
    status, body, headers = get(server, "/metrics", TOKEN)
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    assert re.search(r'^\w+\{[^}]*op="search"[^}]*\} [1-9]', body, re.M), body
    for text in body.splitlines():
        assert re.fullmatch(r"#.*|\w+(\{.*\})? \S+|", text), text


def test_targets(server):
    status, body, _ = get(server, "/targets", TOKEN)
    assert status == 200
    json.loads(body)


def test_an_unknown_path_and_method(server):
    assert get(server, "/nothing")[0] == 404
    assert get(server, "/health", method="DELETE")[0] == 405


def test_target_status_of_a_running_server(server):
    result = server.command("target", "status", "--json", f"--http={server.http}")
    assert result.returncode == 0, result
    json.loads(result.stdout)
    assert server.command("target", "status", f"--http={server.http}").returncode == 0


def operations(server):
    lines = [json.loads(l) for l in server.log().splitlines() if l.strip()]
    assert all({"timestamp", "level"} <= set(l) for l in lines)
    return [l for l in lines if "op" in l and "msgid" in l]


def test_json_logs_have_one_line_for_each_operation(new_server):
    server = new_server(log_format="json").start()
    connection = server.connect()
    start = len(operations(server))
    dn = f"uid=logged,{PEOPLE}"
    password = "a-secret-for-the-log"
    connection.add_s(dn, [("objectClass", [b"inetOrgPerson"]), ("uid", [b"logged"]), ("cn", [b"Private Name"]),
                          ("sn", [b"x"]), ("userPassword", [password.encode()])])
    connection.search_s(PEOPLE, 1, "(cn=Private Name)")
    connection.modify_s(dn, [(2, "mail", [b"private@valmont.example"])])
    connection.compare_s(dn, "sn", b"x")
    connection.rename_s(dn, "uid=logged2")
    connection.whoami_s()
    connection.delete_s(f"uid=logged2,{PEOPLE}")
    connection.unbind_s()
    expected = ["add", "search", "modify", "compare", "modifydn", "extended", "delete"]
    wait_for(lambda: len(operations(server)) >= start + len(expected), "the log lines")
    found = operations(server)[start:]
    assert [o["op"] for o in found] == expected
    assert [o["code"] for o in found] == [0, 0, 0, 6, 0, 0, 0]
    assert len({o["msgid"] for o in found}) == len(found)
    assert len({o["conn"] for o in found}) == 1
    assert all(isinstance(o["elapsed_us"], int) for o in found)
    assert all(o["bind_dn"] == ADMIN for o in found)
    assert found[1]["entries"] == 1
    assert server.stop() == 0
    log = server.log()
    for secret in (password, "Private Name", "private@valmont", ADMIN_PASSWORD, PASSWORDS[AMARTIN], TOKEN):
        assert secret not in log, secret


def test_refusals_are_warnings(new_server):
    server = new_server(log_format="json").start()
    server.tool("ldapwhoami", who=AMARTIN, password="wrong-password-1").refused(49)
    server.delete(LBERNARD, who=AMARTIN).refused(50)
    wait_for(lambda: any(o["op"] == "delete" for o in operations(server)), "the log lines")
    codes = {(o["op"], o["code"]): o["level"] for o in operations(server)}
    assert codes[("bind", 49)] == "WARN" and codes[("delete", 50)] == "WARN"
    assert "wrong-password-1" not in server.log()


def test_a_text_log_is_quiet_on_stdout(new_server):
    server = new_server().start()
    server.add(person("x")).ok()
    process = server.process
    out = process.stdout
    server.process.terminate()
    assert process.wait(30) == 0
    assert out.read() == b"", "stdout holds the ready line only"
    out.close()
    server.process = None
