"""The description of the HTTP interface is true: schemathesis asks the running server."""

import pathlib
import re
import subprocess
import sys

import pytest

from contract import IDENTITIES, Call, identity
from support import REPO, TOKEN

CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "ignored_auth", "unsupported_method",
]


def paths(server):
    return Call(server, "GET", "/openapi.json", token=None).gives(200).body["paths"]


def test_it_is_open_to_all(server):
    assert paths(server)


def test_every_route_is_described(server):
    described = set(paths(server))
    sources = (REPO / "src" / "http").rglob("*.rs")
    routes = {m for source in sources for m in re.findall(r'\.route\(\s*"([^"]+)"', source.read_text())}
    assert len(routes) > 20
    for route in routes:
        assert any(path.endswith(route.rstrip("/") or IDENTITIES) for path in described), route


def test_everything_else_needs_the_token(server):
    for path, operations in paths(server).items():
        for method, operation in operations.items():
            for token in (None, "wrong"):
                real = path.replace("{id}", "6f1e4b0e-0000-4000-8000-000000000000").replace("{class}", "x")
                if "{" not in real and operation.get("security") != []:
                    Call(server, method.upper(), real, {}, token=token).gives(401)


@pytest.mark.timeout(180)
def test_schemathesis(new_server, tmp_path):
    server = new_server().start()
    # Something to find, beside what it makes itself.
    Call(server, "POST", IDENTITIES, identity("found", classes={"supannPerson": {"supannCivilite": "?"}})).gives(202)
    result = subprocess.run(
        [pathlib.Path(sys.executable).parent / "st", "--no-color", "run", f"http://{server.http}/openapi.json",
         "--header", f"Authorization: Bearer {TOKEN}", "--checks", ",".join(CHECKS), "--max-examples", "20",
         "--seed", "20261122", "--generation-database", "none", "--suppress-health-check", "all"],
        cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:] + server.log()[-2000:]
    assert server.stop() == 0
