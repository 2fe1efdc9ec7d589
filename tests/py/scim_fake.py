"""A SCIM server of our own for what no real one lets a test do: objects put in behind its back, names
that are there twice, answers that wait for the test, and every request counted."""

import http.server
import json
import re
import threading
import urllib.parse
import uuid

TOKEN = "token-of-the-fake-0123456789"


class Fake:
    def __init__(self):
        self.objects = {"Users": {}, "Groups": {}}
        self.requests = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        self.gated = lambda request: False
        self.waiting = threading.Event()
        self.refuse = None
        handler = type("Handler", (Handler,), {"fake": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v2"

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

    def put(self, kind, **members):
        """An object that somebody else has made."""
        with self.lock:
            one = {"id": str(uuid.uuid4()), "schemas": [], **members}
            self.objects[kind][one["id"]] = one
            return one

    def named(self, name, kind="Users"):
        key = "userName" if kind == "Users" else "displayName"
        with self.lock:
            return [json.loads(json.dumps(o)) for o in self.objects[kind].values() if o.get(key) == name]

    def all(self, kind="Users"):
        with self.lock:
            return json.loads(json.dumps(self.objects[kind]))

    def change(self, kind, id, **members):
        with self.lock:
            self.objects[kind][id].update(members)

    def drop(self, kind, id):
        with self.lock:
            del self.objects[kind][id]

    def asked(self, text):
        """The requests that hold this text, as `METHOD path?query`."""
        with self.lock:
            return [request for request in self.requests if text in request]

    def hold(self, which):
        """Requests of which `which` is true wait until `release`."""
        self.waiting.clear()
        self.gated = which
        self.gate.clear()

    def release(self):
        self.gated = lambda request: False
        self.gate.set()


class Handler(http.server.BaseHTTPRequestHandler):
    fake = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/scim+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except ConnectionError:
            self.close_connection = True

    def take(self):
        """The collection, the id, the query and the body; None once it was answered already."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        request = f"{self.command} {self.path}"
        with self.fake.lock:
            self.fake.requests.append(request)
        if self.fake.gated(request):
            self.fake.waiting.set()
            self.fake.gate.wait()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"detail": "who are you"})
        if self.fake.refuse and (status := self.fake.refuse(self.command, self.path, body)):
            return self.answer(status, {"detail": "the test says so"})
        address = urllib.parse.urlsplit(self.path)
        parts = address.path.split("/")[2:]
        if parts[0] not in self.fake.objects:
            return self.answer(404, {"detail": "no such resource"})
        query = {name: values[0] for name, values in urllib.parse.parse_qs(address.query).items()}
        return parts[0], parts[1] if len(parts) > 1 else None, query, body

    def do_GET(self):
        if not (taken := self.take()):
            return
        kind, id, query, _ = taken
        with self.fake.lock:
            objects = self.fake.objects[kind]
            if id:
                found = objects.get(id)
            else:
                found = list(objects.values())
                if "filter" in query:
                    name, value = re.fullmatch(r'(\S+) eq (".*")', query["filter"]).groups()
                    value = json.loads(value)
                    found = [o for o in found if o.get(name) == value]
                start, count = int(query.get("startIndex", 1)), int(query.get("count", 100))
                total = len(found)
                found = {"totalResults": total, "startIndex": start, "Resources": found[start - 1:start - 1 + count]}
            found = json.loads(json.dumps(found))
        self.answer(404, {"detail": "no such object"}) if found is None else self.answer(200, found)

    def do_POST(self):
        if not (taken := self.take()):
            return
        kind, _, _, body = taken
        key = "userName" if kind == "Users" else "displayName"
        with self.fake.lock:
            if any(o.get(key) == body[key] for o in self.fake.objects[kind].values()):
                return self.answer(409, {"scimType": "uniqueness", "detail": "in use"})
            one = {**body, "id": str(uuid.uuid4())}
            self.fake.objects[kind][one["id"]] = one
        self.answer(201, one)

    def do_PUT(self):
        if not (taken := self.take()):
            return
        kind, id, _, body = taken
        with self.fake.lock:
            known = id in self.fake.objects[kind]
            if known:
                self.fake.objects[kind][id] = {**body, "id": id}
        self.answer(200, {**body, "id": id}) if known else self.answer(404, {"detail": "no such object"})

    def do_PATCH(self):
        if self.take():
            self.answer(501, {"detail": "PUT, please"})

    def do_DELETE(self):
        if not (taken := self.take()):
            return
        kind, id, _, _ = taken
        with self.fake.lock:
            known = self.fake.objects[kind].pop(id, None)
        self.answer(204) if known else self.answer(404, {"detail": "no such object"})


def target(server, name="hr", url=None, token=TOKEN, **keys):
    """The file of a target, for a server that has not started yet."""
    folder = server.folder / "targets"
    (folder / f"{name}.token").write_text(token)
    keys = {"retry_min_ms": 50, "retry_max_ms": 400, "update": "put", **keys}
    lines = [f"kind: scim\nbase_url: {url}\ntoken_file: {name}.token\n"]
    (folder / f"{name}.yml").write_text("".join(lines + [f"{key}: {json.dumps(value)}\n" for key, value in keys.items()]))
