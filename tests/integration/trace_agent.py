"""A stand-in for Datadog's agent that takes traces, and profiles, and checks
them.

It decodes each payload with Debian's python3-msgpack, no code of the encoder,
and refuses what the agent's documents forbid. What it answers can be set.
"""

import http.server
import socketserver
import threading

import msgpack

from nginx_instance import wait_until
from upload_receiver import DatadogUpload, Request

KEYS = {"service": str, "name": str, "resource": str, "type": str,
        "trace_id": int, "span_id": int, "parent_id": int, "start": int,
        "duration": int, "error": int, "meta": dict, "metrics": dict}
YEAR_2020 = 1577836800 * 10**9


class Span(dict):
    """A span as it was sent; its tags are attributes meta and metrics."""

    @property
    def meta(self):
        return self["meta"]

    @property
    def metrics(self):
        return self["metrics"]

    @property
    def trace_id(self):
        """All 128 bits, in hex."""
        return self.meta.get("_dd.p.tid", "0" * 16) + f"{self['trace_id']:016x}"


def single_keys(pairs):
    """A map, none of whose keys comes twice: decoders differ in which wins."""
    found = dict(pairs)
    assert len(found) == len(pairs), pairs
    return found


def check_span(span):
    """What the agent demands of a span, and what we promise of ours."""
    assert set(span) == set(KEYS), span
    for key, kind in KEYS.items():
        assert isinstance(span[key], kind), (key, span)
    assert 0 < span["trace_id"] < 2**64 and 0 < span["span_id"] < 2**64
    assert span["name"] == "nginx.request" and span["type"] == "web"
    assert len(span["service"]) <= 100 and 0 < len(span["resource"]) <= 5000
    assert span["start"] > YEAR_2020 and span["duration"] >= 0
    assert span["error"] in (0, 1)
    for key, value in span["meta"].items():
        assert isinstance(key, str) and isinstance(value, str), span
        assert value, (key, span)
    for key, value in span["metrics"].items():
        assert isinstance(key, str) and isinstance(value, float), span
    status = span["meta"].get("http.status_code", "200")
    assert 100 <= int(status) <= 599
    assert span["metrics"].get("_dd.profiling.enabled", 1) == 1
    assert span["metrics"]["_sampling_priority_v1"] in (-1, 0, 1, 2)
    assert span["meta"]["span.kind"] == "server"


class TraceAgent:
    """Listens from its creation to close().

    spans     all that were taken
    profiles  the uploads of profiles: DatadogUpload
    requests  of each payload: (headers, number of traces)
    errors    what was wrong with the payloads that were refused
    answer    (status, body) of the next answers; or a function of the handler
              that answers itself
    """

    def __init__(self, path=None):
        self.spans, self.requests, self.errors = [], [], []
        self.profiles = []
        self.answer = 200, b'{"rate_by_service":{}}'
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self):
                agent._post(self)

            def address_string(self):
                return "client"

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn,
                     socketserver.UnixStreamServer if path
                     else socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self._server = Server(str(path) if path else ("127.0.0.1", 0), Handler)
        self.url = (f"unix://{path}" if path else
                    f"http://127.0.0.1:{self._server.server_address[1]}")
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def environment(self, **variables):
        """Variables of an nginx that sends its traces here."""
        return {"DD_TRACE_AGENT_URL": self.url, "DD_SERVICE": "app",
                "DD_ENV": "prod", **variables}

    def _post(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if callable(self.answer):
            self.answer(handler)
            return
        status, answer = self.answer
        if status == 200:
            try:
                self._take(handler, body)
            except Exception as reason:  # any of them is a bad payload
                self.errors.append(repr(reason))
                status, answer = 400, b"{}"
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _take(self, handler, body):
        headers = handler.headers
        if handler.path == "/profiling/v1/input":
            head = "".join(f"\r\n{name}: {value}"
                           for name, value in headers.items())
            self.profiles.append(DatadogUpload(Request(
                (handler.requestline + head).encode(), body)))
            return
        assert handler.path == "/v0.4/traces", handler.path
        assert headers["Content-Type"] == "application/msgpack"
        for name in ("Lang", "Lang-Version", "Tracer-Version"):
            assert headers[f"Datadog-Meta-{name}"], name
        assert "Datadog-Client-Computed-Stats" not in headers
        traces = msgpack.unpackb(body, raw=False, strict_map_key=True,
                                 object_pairs_hook=single_keys)
        assert int(headers["X-Datadog-Trace-Count"]) == len(traces)
        for spans in traces:
            assert len(spans) == 1
            check_span(spans[0])
        self.requests.append((headers, len(traces)))
        self.spans += [Span(spans[0]) for spans in traces]

    def wait_spans(self, n):
        """The first n spans, once they are there."""
        wait_until(lambda: self.errors or len(self.spans) >= n,
                   f"{n} spans of {len(self.spans)}")
        assert not self.errors, self.errors
        return self.spans[:n]
