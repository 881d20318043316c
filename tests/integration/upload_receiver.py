"""A receiver of profiles that is strict, or hostile.

It speaks HTTP by itself, so that it sees every byte of a request and can answer
with anything. A request that breaks a rule is in `problems`; a good one is in
`requests`.
"""

import contextlib
import json
import os
import re
import socket
import ssl
import threading
import time
from datetime import datetime, timezone

from nginx_instance import wait_until
from pprof_profile import Profile

REPLY = (b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n"
         b"Connection: close\r\n\r\n{}")


class Refused(Exception):
    """The request is not as it has to be."""


def demand(condition, what):
    if not condition:
        raise Refused(what)


class Request:
    """method, path, query (text), headers (lower case names), body (bytes)."""

    def __init__(self, head, body):
        line, *lines = head.decode("ascii").split("\r\n")
        found = re.fullmatch(r"(\S+) (/[^ ?]*)(?:\?(\S*))? HTTP/1\.1", line)
        demand(found, f"request line {line!r}")
        self.method, self.path, self.query = found.groups()
        self.headers = {}
        for header in lines:
            found = re.fullmatch(r"([A-Za-z0-9-]+): ([!-~]?[ -~]*)", header)
            demand(found, f"header {header!r}")
            name = found[1].lower()
            demand(name not in self.headers, f"header {name} twice")
            self.headers[name] = found[2]
        self.body = body

    def parts(self):
        """The parts of a multipart body: {name: (headers, content)}."""
        found = re.fullmatch(r"multipart/form-data; boundary=(\S{1,70})",
                             self.headers.get("content-type", ""))
        demand(found, "Content-Type " + self.headers.get("content-type", "-"))
        boundary = b"--" + found[1].encode()
        demand(self.body.startswith(boundary + b"\r\n"), "first boundary")
        demand(self.body.endswith(b"\r\n" + boundary + b"--\r\n"),
               "last boundary")
        inner = self.body[len(boundary) + 2:-len(boundary) - 6]
        parts = {}
        for part in inner.split(b"\r\n" + boundary + b"\r\n"):
            head, content = part.split(b"\r\n\r\n", 1)
            headers = dict(line.split(": ", 1)
                           for line in head.decode("ascii").split("\r\n"))
            found = re.fullmatch(
                r'form-data; name="([^"]+)"; filename="([^"]+)"',
                headers["Content-Disposition"])
            demand(found, f"part {headers}")
            demand(found[1] not in parts, f"part {found[1]} twice")
            parts[found[1]] = (found[2], headers, content)
        return parts


class DatadogUpload:
    """An upload as Datadog's Agent gets it: event (dict), tags (dict), profile
    (Profile); Refused if it is not one."""

    FIELDS = {"attachments", "tags_profiler", "start", "end", "family",
              "version", "info", "internal", "process_tags"}

    def __init__(self, request):
        self.request = request
        demand(request.method == "POST", "method")
        parts = request.parts()
        demand(set(parts) == {"event", "profile.pprof"}, f"parts {set(parts)}")
        name, headers, content = parts["event"]
        demand(name == "event.json", f"file of the event: {name}")
        demand(headers["Content-Type"] == "application/json", str(headers))
        self.event = json.loads(content)
        demand(set(self.event) - {"endpoint_counts"} == self.FIELDS,
               f"fields {sorted(self.event)}")
        demand(self.event["attachments"] == ["profile.pprof"], "attachments")
        demand(self.event["family"] == "native", "family")
        demand(self.event["version"] == "4", "version of the format")
        self.start, self.end = (self._time(self.event[n])
                                for n in ("start", "end"))
        demand(self.start < self.end, "window")
        pairs = [t.split(":", 1) for t in self.event["tags_profiler"].split(",")]
        demand(all(len(p) == 2 and p[0] and p[1] for p in pairs),
               self.event["tags_profiler"])
        self.tags = dict(pairs)
        demand(len(self.tags) == len(pairs), f"a tag twice: {pairs}")
        for tag in ("service", "language", "runtime-id", "process_id",
                    "profiler_version", "profile_seq", "host"):
            demand(tag in self.tags, f"no tag {tag}")
        demand(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                            self.tags["runtime-id"]), "runtime-id")
        name, headers, content = parts["profile.pprof"]
        demand(name == "profile.pprof", f"file of the profile: {name}")
        self.profile = Profile(content)

    @staticmethod
    def _time(text):
        """Nanoseconds since 1970 of RFC 3339 with nine digits, UTC."""
        found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z", text)
        demand(found, f"time {text}")
        seconds = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(
            tzinfo=timezone.utc).timestamp()
        return int(seconds) * 10**9 + int(found[2])


class Receiver:
    """Listens, and treats every request in the same way:

    behave  an HTTP status to answer with; or "hang" (never answers), "drip"
            (one byte each tenth of a second), "slow" (the same, but for the
            status line), "late" (a good answer after a tenth of a second),
            "together" (good answers once three requests wait for theirs), "huge" (an answer without end),
            "headers" (headers without end), "early" (413, before it reads the
            body, which it never does), "close" (after the headers of the
            request), "redirect" (to itself, /elsewhere)
    path    of a unix socket; else
    port    of 127.0.0.1, 0 for any
    tls     an ssl.SSLContext
    """

    def __init__(self, behave=200, path=None, port=0, tls=None):
        self.behave = behave
        self.path = path
        self.tls = tls
        self.requests = []
        self.problems = []
        self.connections = 0
        self._three = threading.Barrier(3)
        self._closing = threading.Event()
        self._open = []
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            os.chmod(path, 0o722)
        else:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port))
        self._listener.listen(64)
        self.port = None if path else self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self):
        if self.path:
            return f"unix://{self.path}"
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        # a thread in accept() does not see close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()
        self._thread.join()

    def wait(self, n, what="requests", timeout=60):
        wait_until(lambda: len(self.requests) >= n, f"{n} {what}", timeout)
        assert not self.problems, self.problems
        return self.requests

    def uploads(self, n):
        """The first n requests, each of which has to be one for Datadog."""
        return [DatadogUpload(r) for r in self.wait(n)[:n]]

    def _accept(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,),
                             daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            connection.settimeout(60)
            self._one(connection)
        except Refused as problem:
            self.problems.append(str(problem))
        except OSError:
            pass  # the client left, or the test is over
        finally:
            connection.close()

    def _one(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        if self.behave == "close":
            return
        if self.behave == "early":
            connection.sendall(REPLY % 413)
            connection.shutdown(socket.SHUT_WR)
            self._closing.wait(60)
            return
        request = Request(head, b"")
        demand("transfer-encoding" not in request.headers, "chunked")
        demand("expect" not in request.headers, "Expect")
        length = int(request.headers["content-length"]
                     if request.method != "GET" else 0)
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                return
            body += more
        demand(len(body) == length, "more than Content-Length says")
        request.body = body
        self.requests.append(request)
        self._answer(connection)

    def _answer(self, connection):
        if isinstance(self.behave, int):
            connection.sendall(REPLY % self.behave)
        elif self.behave == "hang":
            connection.recv(1)
        elif self.behave == "late":
            time.sleep(0.1)
            connection.sendall(REPLY % 200)
        elif self.behave == "together":
            with contextlib.suppress(threading.BrokenBarrierError):
                self._three.wait(60)
                connection.sendall(REPLY % 200)
        elif self.behave in ("slow", "drip"):
            reply = b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 1000
            if self.behave == "slow":
                connection.sendall(reply[:20])
                reply = reply[20:]
            for byte in reply:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        elif self.behave == "huge":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)
        elif self.behave == "headers":
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(b"X-A: " + b"x" * 1000 + b"\r\n")
        elif self.behave == "redirect":
            connection.sendall(
                b"HTTP/1.1 307 X\r\nLocation: " + self.url.encode()
                + b"/elsewhere\r\nContent-Length: 0\r\n\r\n")


def tls_context(folder, name="127.0.0.1"):
    """An ssl.SSLContext with a new certificate that nobody trusts, and the
    path of that."""
    import subprocess
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-keyout", key, "-out", certificate, "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=IP:{name}"
         if name[0].isdigit() else f"subjectAltName=DNS:{name}"],
        check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    certificate.chmod(0o644)
    return context, certificate
