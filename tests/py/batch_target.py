"""A gateway with one target that takes many changes in one delivery."""

import json
import urllib.request

from support import LIMIT_SECS, SUFFIX, TOKEN, wait_for

STRUCTURES = f"ou=structures,{SUFFIX}"


class Gateway:
    """Target `t` of a server that is not started yet."""

    def __init__(self, server, **keys):
        self.server = server
        self.folder = server.folder / "targets"
        self.keys = {"retry_min_ms": 50, "retry_max_ms": 200, "guard": {"enabled": False}} | keys
        self.write()

    def write(self, **keys):
        self.keys |= keys
        (self.folder / "t.yml").write_text(json.dumps(self.keys))

    def token(self, text):
        (self.folder / "t.token").write_text(text + "\n")

    def start(self):
        self.server.start()
        return self

    def kill(self):
        """As by kill -9, from whatever thread; the process is waited for by `revive`."""
        self.server.process.kill()

    def revive(self):
        process = self.server.process
        process.wait(LIMIT_SECS)
        process.stdout.close()
        self.server.process = None
        return self.start()

    def status(self):
        request = urllib.request.Request(f"http://{self.server.http}/targets",
                                         headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=LIMIT_SECS) as answer:
            body = json.load(answer)
        targets = body if isinstance(body, list) else body["data"]
        return next(target for target in targets if target["name"] == "t")

    def settled(self, failed=0):
        """Waits until all that changed is told, but for so many objects that failed."""

        def check():
            status = self.status()
            waiting = status["lag"] == 0 and status["failed"] == failed and status["pending"] <= failed
            return waiting and status["state"] == "running" and status

        try:
            return wait_for(check, f"settled with {failed} failed")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.status()}; {self.server.log()[-3000:]}") from None

    def log(self):
        """The lines of the provisioning log."""
        path = self.server.data / "provisioning" / "t.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def errors(self, uuid):
        return [line["error"] for line in self.log() if line["object"] == uuid and line["error"]]

    def uuid(self, uid):
        return self.server.search(f"(uid={uid})", "entryUUID").entry["entryUUID"][0].decode()

    def people(self):
        """Everybody in the directory: first values by entryUUID."""
        found = self.server.search("(objectClass=inetOrgPerson)", "*", "entryUUID", base=f"ou=people,{SUFFIX}").entries
        return {e["entryUUID"][0].decode(): {k: [v.decode(errors="replace") for v in vs] for k, vs in e.items()}
                for _, e in found}


def line_change(dn, attribute, value=None):
    """The LDIF that puts one attribute to a value, or takes it away."""
    text = f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n"
    return text + (f"{attribute}: {value}\n" if value is not None else "")


def structure(code, parent=None, name=None):
    text = (f"dn: supannCodeEntite={code},{STRUCTURES}\nobjectClass: organizationalUnit\nobjectClass: supannEntite\n"
            f"ou: {name or code}\nsupannCodeEntite: {code}\n")
    return text + (f"supannCodeEntiteParent: {parent}\n" if parent else "")
