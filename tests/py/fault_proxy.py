"""A reverse proxy that does to requests and answers what networks and busy servers do to them."""

import collections
import email.utils
import http.client
import random
import socket
import socketserver
import struct
import threading
import time

PAGE = b"<html>not now</html>"
SLOW_SECS = 0.1
STALL_SECS = 5

REFUSALS = {
    "429 in seconds": (429, lambda: "0"),
    "429 by date": (429, lambda: email.utils.formatdate(time.time(), usegmt=True)),
    "429": (429, None),
    "503": (503, None),
    "500": (500, None),
    "408": (408, None),
    "425": (425, None),
}
BEFORE = ["reset before", "stall before"]
AFTER = ["reset after", "stall after", "truncated", "slow"]
KINDS = [*REFUSALS, *BEFORE * 2, *AFTER * 2]


class FaultProxy(socketserver.ThreadingTCPServer):
    """Listens on a free port; `rate` of all requests meets a fault."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstream_port, seed):
        super().__init__(("127.0.0.1", 0), Connection)
        self.upstream_port = upstream_port
        self.port = self.server_address[1]
        self.dice = random.Random(seed)
        self.rate = 0.0
        self.requests = 0
        self.faults = collections.Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def fault(self):
        with self.lock:
            self.requests += 1
            if self.dice.random() >= self.rate:
                return None
            kind = self.dice.choice(KINDS)
            self.faults[kind] += 1
            return kind

    def handle_error(self, request, client_address):
        """A peer that goes away is no news here."""


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while self.one():
            pass

    def one(self):
        line = self.rfile.readline()
        if not line.strip():
            return False
        method, path, _ = line.decode().split()
        headers = http.client.parse_headers(self.rfile)
        body = self.rfile.read(int(headers.get("Content-Length", 0)))
        kind = self.server.fault()
        if kind in REFUSALS:
            status, retry_after = REFUSALS[kind]
            extra = [("Retry-After", retry_after())] if retry_after else []
            return self.answer(status, [("Content-Type", "text/html"), *extra], PAGE)
        if kind == "reset before":
            return self.reset()
        if kind == "stall before":
            return self.stall()
        status, answer_headers, answer = self.forward(method, path, headers, body)
        if kind == "reset after":
            return self.reset()
        if kind == "stall after":
            return self.stall()
        if kind == "slow":
            time.sleep(SLOW_SECS)
        if kind == "truncated":
            self.answer(status, answer_headers, answer, cut=True)
            return False
        return self.answer(status, answer_headers, answer)

    def forward(self, method, path, headers, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=30)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        upstream.request(method, path, body=body or None, headers=kept)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        dropped = ("content-length", "connection", "transfer-encoding", "date", "server")
        return answer.status, [(n, v) for n, v in answer.getheaders() if n.lower() not in dropped], content

    def answer(self, status, headers, body, cut=False):
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        message = "\r\n".join([*lines, "", ""]).encode() + body
        self.wfile.write(message[: len(message) // 2] if cut else message)
        return True

    def reset(self):
        # A linger of nothing makes the close an RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        return False

    def stall(self):
        """Until the client gives up."""
        self.connection.settimeout(STALL_SECS)
        self.connection.recv(1)
        return False
