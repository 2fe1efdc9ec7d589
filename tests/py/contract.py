"""Calls over HTTP, and golden files of what is answered."""

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

from support import REPO, TOKEN

GOLDEN = REPO / "tests" / "golden" / "http"
IDENTITIES = "/management/identities"


class Call:
    """One request and its answer."""

    def __init__(self, server, method, path, body=None, token=TOKEN, headers=None):
        self.method, self.path, self.sent = method, path, body
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{server.http}{path}", data, method=method, headers=headers or {})
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                self.status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                self.status, raw = error.code, error.read()
        self.body = json.loads(raw) if raw else None

    def __repr__(self):
        return f"<{self.method} {self.path} {self.sent!r}: {self.status} {self.body!r}>"

    def gives(self, status):
        assert self.status == status, self
        if self.body is not None and "statusCode" in self.body:
            assert self.body["statusCode"] == status, self
        return self

    @property
    def data(self):
        return self.body["data"]

    @property
    def id(self):
        return self.data["_id"]

    def golden(self):
        return {"request": f"{self.method} {self.path}", "sent": self.sent, "status": self.status, "answer": self.body}


def query(**filters):
    """The path of an upsert with filters on inetOrgPerson."""
    pairs = [(f"filters[inetOrgPerson.{name}]", value) for name, value in filters.items()]
    return "?" + urllib.parse.urlencode(pairs)


def redacted(value):
    """Without what differs from run to run."""
    text = json.dumps(value, ensure_ascii=False)
    ids = {}
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda m: ids.setdefault(m[0], f"ID{len(ids) + 1}"), text)
    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text))


def check_golden(name, calls):
    """Compares with the golden file; UPDATE_GOLDEN=1 writes it."""
    found = redacted([call.golden() for call in calls])
    path = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(path.read_text()), name


def identity(name, state=-1, classes=None, **person):
    """The body of a creation; `classes` are the blocks by class."""
    blocks = classes or {}
    body = {
        "inetOrgPerson": {"cn": f"Person {name}", "sn": name.capitalize(), "uid": name, **person},
        "additionalFields": {"objectClasses": list(blocks), "attributes": blocks},
    }
    return body if state is None else {"state": state, **body}
