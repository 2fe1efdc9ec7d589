"""SCIM servers that we did not write, each on a free port with an empty store of its own."""

import base64
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

from support import LIMIT_SECS, REPO, wait_for

PROGRAMS = REPO / "tests" / "clients" / "scim"
NODE_MODULES = pathlib.Path(sys.prefix).parent / "js" / "node_modules"
TOKEN = "token-of-a-target-0123456789abcdef"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

# Where each has its Users and Groups.
PATHS = {
    "scim2-server": "/v2",
    "scimmy": "/scim/v2",
    "better-auth": "/api/auth/scim/v2",
    "django-scim2": "/scim/v2",
    "django-scim2-server": "/scim/v2",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ScimServer:
    """One of them, asked by its own protocol and nothing of ours."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{PATHS[name]}"
        env = dict(os.environ, PORT=str(self.port), TOKEN=TOKEN, PYTHONDONTWRITEBYTECODE="1")
        with open(self.folder / "server.log", "wb") as log:
            self.process = subprocess.Popen(self._command(), cwd=self.folder, env=env, stdout=log, stderr=log)
        wait_for(self._answers, f"{name} answers; log: {self.log()}")

    def _command(self):
        module = self.name.replace("-", "_")
        if self.name == "scim2-server":
            program = pathlib.Path(sys.executable).parent / "scim2-server"
            return [str(program), "--hostname", "127.0.0.1", "--port", str(self.port), "--bearer-token", TOKEN]
        if self.name.startswith("django"):
            return [sys.executable, str(PROGRAMS / f"run_{module}.py")]
        # Node looks for packages beside the program, and they are elsewhere.
        program = shutil.copy(PROGRAMS / f"run_{module}.mjs", self.folder)
        (self.folder / "node_modules").symlink_to(NODE_MODULES)
        return ["node", str(program)]

    def _answers(self):
        assert self.process.poll() is None, f"{self.name} has ended: {self.log()}"
        try:
            return self.ask("GET", "Users")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def log(self):
        return (self.folder / "server.log").read_text(errors="replace")[-2000:]

    def ask(self, method, path, body=None, query=None, token=TOKEN):
        """One request: the status, and the body if it is JSON."""
        url = f"{self.url}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = {"Content-Type": "application/scim+json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_SECS) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None

    def all(self, collection):
        """Every object that it lists."""
        found, start = [], 1
        while True:
            status, page = self.ask("GET", collection, query={"startIndex": start, "count": 50})
            assert status == 200, (status, page)
            found += page["Resources"]
            if not page["Resources"] or page["totalResults"] <= len(found):
                return found
            start = len(found) + 1

    def users(self):
        """Users by userName."""
        users = self.all("Users")
        named = {user["userName"]: user for user in users}
        assert len(named) == len(users), f"a userName twice: {sorted(u['userName'] for u in users)}"
        return named

    def groups(self):
        """The userNames of the members, sorted, by displayName; an id that nobody has stays an id."""
        names = {user["id"]: user["userName"] for user in self.all("Users")}
        listed = self.all("Groups")
        groups = {}
        for group in listed:
            # Some leave the members out of lists.
            _, group = self.ask("GET", f"Groups/{group['id']}")
            ids = [member["value"] for member in group.get("members") or []]
            groups[group["displayName"]] = sorted(names.get(one, one) for one in ids)
        assert len(groups) == len(listed), "a displayName twice"
        return groups

    def stop(self):
        self.process.kill()
        self.process.wait()


class Answering:
    """An HTTP server in this process that asks `answer(method, path, headers, body)` for status and body."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, document = answer(self.command, self.path, self.headers, body)
                text = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/scim+json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class TokenServer(Answering):
    """An authorisation server that gives one token after the other, the last one again and again."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.asked = []
        super().__init__(self._answer)

    def _answer(self, method, path, headers, body):
        scheme, _, pair = headers["Authorization"].partition(" ")
        self.asked.append((method, scheme, base64.b64decode(pair).decode(), body.decode()))
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return 200, {"access_token": token, "token_type": "bearer", "expires_in": 3600}


class Liar(Answering):
    """Before a SCIM server: says yes to every change of a user, and changes nothing."""

    def __init__(self, target):
        self.target = target
        super().__init__(self._answer)

    def _answer(self, method, path, headers, body):
        path = path.removeprefix("/")
        if method in ("PATCH", "PUT") and path.startswith("Users/"):
            method, body = "GET", b""
        return self.target.ask(method, path, json.loads(body) if body else None)
