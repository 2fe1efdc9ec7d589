"""A small HTTP service with a state, for targets that no package offers; and ways to break it."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status, body=None, **headers):
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Request:
    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method, self.path, self.headers, self.body = method, unquote(parts.path), headers, body
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, {"status": False, "message": "not JSON"}) from None


class Fault:
    """What happens to the next requests of this kind instead of, or beside, their answer."""

    def __init__(self, method, path_part, times, status=None, headers=None, drop=None, call=None, secs=0):
        self.method, self.path_part, self.times = method, path_part, times
        self.status, self.headers, self.drop, self.call, self.secs = status, headers or {}, drop, call, secs
        self.met = 0

    def is_for(self, request):
        return self.times > 0 and request.method == self.method and self.path_part in request.path


class Windows:
    """How many calls of a sort came in the last seconds."""

    def __init__(self, now):
        self.now, self.calls = now, {}

    def count(self, sort, most, secs):
        """Seconds to wait if this call is one too many, else None."""
        calls, now = self.calls.setdefault(sort, deque()), self.now()
        while calls and calls[0] <= now - secs:
            calls.popleft()
        if len(calls) >= most:
            return max(1, int(calls[0] + secs - now) + 1)
        calls.append(now)
        return None


class Service:
    """Holds its state in memory; stop and start keep it, as a service that is restarted does."""

    def __init__(self):
        self.lock = threading.RLock()
        self.faults, self.requests = [], []
        self.port, self.server, self.ahead = 0, None, 0.0
        self.connections = set()
        self.windows = Windows(self.now)

    def now(self):
        return time.monotonic() + self.ahead

    def advance(self, secs):
        """Lets time pass for the service alone."""
        with self.lock:
            self.ahead += secs

    def answer(self, request):
        """Gives (status, JSON or bytes, headers). Called under the lock."""
        raise NotImplementedError

    # What tests do to it.

    def start(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                service.handle(self)

            def setup(self):
                super().setup()
                with service.lock:
                    service.connections.add(self.connection)

            def finish(self):
                with service.lock:
                    service.connections.discard(self.connection)
                super().finish()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that was killed is part of the tests."""

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            # Connections that are kept open end as well.
            with self.lock:
                for connection in self.connections:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def fail(self, method, path_part, times=1, **how):
        """status=503 answers so; drop="before" or "after" resets the connection on that side of the
        effect; call=f calls after the effect and before the answer; secs stalls the answer."""
        fault = Fault(method, path_part, times, **how)
        with self.lock:
            self.faults.append(fault)
        return fault

    def count(self, method, path_part):
        with self.lock:
            return sum(1 for m, p in self.requests if m == method and path_part in p)

    # How a request is served.

    def handle(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        request = Request(handler.command, handler.path, handler.headers, body)
        with self.lock:
            self.requests.append((request.method, request.path))
            fault = next((f for f in self.faults if f.is_for(request)), None)
            if fault:
                fault.times -= 1
                fault.met += 1
        if fault and fault.drop == "before":
            return reset(handler)
        if fault and fault.status:
            return send(handler, fault.status, None, fault.headers)
        with self.lock:
            try:
                status, answer, headers = self.answer(request)
            except Refusal as refusal:
                status, answer, headers = refusal.status, refusal.body, refusal.headers
        if fault and fault.call:
            fault.call()
        if fault and fault.secs:
            time.sleep(fault.secs)
        if fault and fault.drop == "after":
            return reset(handler)
        send(handler, status, answer, headers)


def reset(handler):
    """Closes so that the client sees a reset, not an end."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def send(handler, status, answer, headers):
    raw = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "text/plain" if isinstance(answer, bytes) else "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(raw)
    except OSError:
        handler.close_connection = True
