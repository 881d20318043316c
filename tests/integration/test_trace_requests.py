"""Which requests have spans: subrequests, redirects, connections with many
requests, reloads; which traces are kept; and who they are sent to."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from http2_frames import PREFACE, body, request, settle
from nginx_instance import alive, wait_until
from test_trace_spans import (TRACEPARENT, access_log, agent,  # noqa: F401
                              configure, passed, status, upstream)
from trace_agent import TraceAgent

H2LOAD = shutil.which("h2load")


def test_a_subrequest_is_of_its_request(nginx, agent, upstream):
    configure(nginx, f"""
        location /main {{
            auth_request /auth;
            mirror /mirror;
            proxy_pass http://127.0.0.1:{upstream.port};
        }}
        location = /auth {{ proxy_pass http://127.0.0.1:{upstream.port}; }}
        location = /mirror {{ internal; profiler_trace off;
            proxy_pass http://127.0.0.1:{upstream.port}; }}""")
    nginx.start(agent.environment())
    got = passed(nginx.get("/main"))
    span, = agent.wait_spans(1)
    assert span["resource"] == "GET /main"
    seen = upstream.prefix / "logs" / "seen.log"
    wait_until(lambda: seen.read_text().count("\n") == 3, "three requests")
    assert set(seen.read_text().split()) == {got["traceparent"]}
    assert int(got["x-datadog-parent-id"]) == span["span_id"]


def test_without_a_tracer_the_clients_trace_goes_on(nginx, upstream):
    """A Kubernetes service link is no port: requests keep what they came
    with."""
    configure(nginx, f"""
        location / {{ proxy_pass http://127.0.0.1:{upstream.port}; }}""")
    nginx.start({"DD_TRACE_AGENT_PORT": "tcp://10.0.0.1:8126"})
    assert "no traces: " in nginx.error_log()
    sent = {"traceparent": TRACEPARENT, "tracestate": "other=1",
            "x-datadog-trace-id": "7", "x-datadog-parent-id": "8"}
    got = passed(nginx.get("/", headers=sent))
    assert {name: got.get(name) for name in sent} == sent


def test_variables_say_what_spans_are(nginx, agent, upstream):
    configure(nginx, f"""
        location / {{ proxy_pass http://127.0.0.1:{upstream.port}; }}""")
    nginx.start(agent.environment(
        DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED="false",
        DD_TRACE_SOURCE_HOSTNAME="front-1"))
    got = passed(nginx.get("/"))
    span, = agent.wait_spans(1)
    assert span.meta["_dd.hostname"] == "front-1"
    assert "_dd.p.tid" not in span.meta
    assert "_dd.p.tid" not in got["x-datadog-tags"]
    assert got["traceparent"].split("-")[1] == f"{span['trace_id']:032x}"


@pytest.mark.parametrize("said,reported", [("true", True), ("no", False)])
def test_the_hosts_name_where_it_is_asked_for(nginx, agent, said, reported):
    configure(nginx, "")
    nginx.start(agent.environment(DD_TRACE_REPORT_HOSTNAME=said))
    keep(nginx, 1)
    span, = agent.wait_spans(1)
    assert span.meta.get("_dd.hostname") == (
        socket.gethostname() if reported else None)
    assert len(span.meta["_dd.p.tid"]) == 16


def test_a_variable_turns_traces_off(nginx, agent, upstream):
    configure(nginx, f"""
        location / {{ proxy_pass http://127.0.0.1:{upstream.port}; }}""")
    nginx.start(agent.environment(DD_TRACE_ENABLED="false"))
    got = passed(nginx.get("/", headers={"traceparent": TRACEPARENT}))
    assert {k: v for k, v in got.items() if v} == {"traceparent": TRACEPARENT}
    nginx.stop()
    assert not agent.spans


def test_a_redirect_keeps_the_span(nginx, agent, upstream):
    """The resource is that of where the request ends; a location that is not
    traced does not end the trace of what was passed on."""
    configure(nginx, f"""
        location /from {{ rewrite ^ /to last; }}
        location /to {{ return 200 $profiler_span_id; }}
        location /fail {{ error_page 404 = @saved; }}
        location @saved {{ return 200 $profiler_span_id; }}
        location /passed {{
            proxy_pass http://127.0.0.1:1/; error_page 502 = @untraced; }}
        location @untraced {{ profiler_trace off; return 200 x; }}
        location /off {{ profiler_trace off; return 200 x; }}""")
    nginx.start(agent.environment())
    ids = {}
    for path in ("/from", "/fail"):
        ids[path] = nginx.get(path).text
    assert nginx.get("/passed").status == 200
    assert nginx.get("/off").status == 200
    assert nginx.get("/to").status == 200
    spans = agent.wait_spans(4)
    assert sorted(s["resource"] for s in spans) == [
        "GET /to", "GET /to", "GET @saved", "GET @untraced"]
    found = {f"{s['span_id']:016x}" for s in spans}
    assert set(ids.values()) <= found


def test_what_its_resource_is(nginx, agent):
    configure(nginx, """
        location /named { profiler_trace_resource $arg_name; return 200 x; }
        location ~ ^/re { try_files /1k =404; }
        location ^~ /pre { try_files /1k =404; }
        location /api {
            profiler_trace_resource "api $request_method";
            location = /api/v1 { try_files /1k =404; }
        }""")
    nginx.start(agent.environment())
    for path in ("/named?name=mine", "/re", "/pre", "/api/v1", "/1k"):
        assert nginx.get(path).status == 200
    assert sorted(s["resource"] for s in agent.wait_spans(5)) == [
        "GET", "GET /pre", "GET ~ ^/re", "api GET", "mine"]


def test_resources_without_end(nginx, agent):
    """There are few resources, whatever clients send."""
    configure(nginx, """
        location / {
            profiler_trace_resource $request_uri; try_files /1k =404; }""",
              http="keepalive_requests 100000;")
    nginx.start(agent.environment())
    with nginx.connect() as sock:
        answers = sock.makefile("rb")
        for n in range(400):
            sock.sendall(b"".join(
                b"HEAD /%d HTTP/1.1\r\nHost: x\r\n\r\n" % (10 * n + i)
                for i in range(10)))
            for _ in range(10):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                while answers.readline() != b"\r\n":
                    pass
    spans = agent.wait_spans(4000)
    resources = {s["resource"] for s in spans}
    assert "[other]" in resources and len(resources) < 3100
    assert len({s["span_id"] for s in spans}) == 4000
    assert status(nginx)["dropped"] == 0


@pytest.mark.skipif(H2LOAD is None, reason="there is no h2load")
def test_streams_of_http2(nginx, agent):
    configure(nginx, f"""
        listen 127.0.0.1:{nginx.port + 1} http2;
        location /one {{ try_files /1k =404; }}
        location /two {{ count; count_sort v2; count_threads sorters; }}""")
    nginx.start(agent.environment())
    base = f"http://127.0.0.1:{nginx.port + 1}"
    subprocess.run([H2LOAD, "-n", "60", "-c", "2", "-m", "8", f"{base}/one",
                    f"{base}/two"], check=True, capture_output=True)
    spans = agent.wait_spans(60)
    assert len({s["span_id"] for s in spans}) == 60
    found = {(s["resource"], s.meta.get("algorithm")) for s in spans}
    assert found == {("GET /one", None), ("GET /two", "qsort")}
    wait_until(lambda: len(access_log(nginx)) == 60, "all are logged")
    assert ({f"{s['span_id']:016x}" for s in spans}
            == {line.split()[2] for line in access_log(nginx)})


def test_bodies_of_http2_streams(nginx, agent, upstream):
    """One that comes after its headers, and one that is read together with
    another stream's headers: what follows is the work of its own request."""
    configure(nginx, f"""
        listen 127.0.0.1:{nginx.port + 1} http2;
        location /sorted {{ count; count_sort v2; count_threads sorters; }}
        location /other {{ proxy_pass http://127.0.0.1:{upstream.port}; }}""")
    nginx.start(agent.environment())
    with nginx.connect(port=nginx.port + 1) as sock:
        sock.sendall(PREFACE + request(1, "/sorted", "POST")
                     + request(3, "/sorted", "POST"))
        settle(sock)
        sock.sendall(body(1, b"3 1 2"))
        settle(sock)
        sock.sendall(request(5, "/other") + body(3, b"2 1"))
        spans = agent.wait_spans(3)
    assert sorted((s["resource"], s.meta.get("algorithm", ""))
                  for s in spans) == [
        ("GET /other", ""), ("POST /sorted", "qsort"),
        ("POST /sorted", "qsort")]


def test_requests_that_a_reload_finds(nginx, agent):
    """The old worker sends the spans of requests that it finishes."""
    nginx.write_file("html/large", "x" * 30_000_000)
    configure(nginx, "")
    nginx.start(agent.environment())
    with nginx.connect() as sock:
        sock.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        assert sock.recv(100)
        old = nginx.worker
        nginx.reload()
        assert nginx.get("/1k").status == 200
        while sock.recv(1 << 20):
            pass
    spans = agent.wait_spans(2)
    assert (sorted(s.metrics["process_id"] for s in spans)
            == sorted([old, nginx.worker]))


def test_the_last_spans_are_sent(nginx, agent):
    """A worker that exits sends what it has."""
    configure(nginx, "")
    nginx.start(agent.environment())
    for _ in range(5):
        assert nginx.get("/1k").status == 200
    nginx.stop()
    assert len(agent.spans) == 5


def keep(nginx, n=200):
    for _ in range(n):
        assert nginx.get("/1k").status == 200


def test_the_agent_says_how_many_are_kept(nginx, agent):
    configure(nginx, "")
    agent.answer = 200, json.dumps({"rate_by_service": {
        "service:app,env:prod": 0.0, "service:,env:": 1}}).encode()
    nginx.start(agent.environment())
    keep(nginx, 1)
    first, = agent.wait_spans(1)
    assert first.metrics["_sampling_priority_v1"] == 1
    wait_until(lambda: status(nginx)["sent"] == 1, "the answer is there")
    keep(nginx, 10)
    for span in agent.wait_spans(11)[1:]:
        assert span.metrics["_sampling_priority_v1"] == 0
        assert span.metrics["_dd.agent_psr"] == 0
        assert "_dd.p.dm" not in span.meta


def test_rules_say_how_many_are_kept(nginx, agent):
    configure(nginx, """
        location /all { try_files /1k =404; }
        location /none { try_files /1k =404; }""")
    nginx.start(agent.environment(
        DD_TRACE_SAMPLE_RATE="0.5", DD_TRACE_RATE_LIMIT="100000",
        DD_TRACE_SAMPLING_RULES=json.dumps([
            {"resource": "* /all", "sample_rate": 1},
            {"resource": "* /none", "sample_rate": 0}])))
    for path in ("/all", "/none"):
        for _ in range(5):
            assert nginx.get(path).status == 200
    keep(nginx)
    assert nginx.get("/none", headers={"traceparent": TRACEPARENT}).status
    kept = {}
    for span in agent.wait_spans(211):
        if "_dd.rule_psr" in span.metrics:
            kept.setdefault(span["resource"], []).append(
                span.metrics["_sampling_priority_v1"])
            if kept[span["resource"]][-1] > 0:
                assert span.meta["_dd.p.dm"] == "-3"
        else:
            # the caller has decided
            assert span.metrics["_sampling_priority_v1"] == 1
    assert kept["GET /all"] == [2] * 5 and kept["GET /none"] == [-1] * 5
    assert 60 < kept["GET"].count(2) < 140
    assert all(s.meta["_dd.p.ksr"] == "0.5" for s in agent.spans
               if s["resource"] == "GET" and "_dd.p.dm" in s.meta)


def test_what_can_not_be_used_is_said(nginx, agent):
    configure(nginx, "")
    nginx.start(agent.environment(DD_TRACE_SAMPLING_RULES="nonsense"))
    nginx.wait_log("DD_TRACE_SAMPLING_RULES is no JSON array")
    keep(nginx, 1)
    agent.wait_spans(1)


def test_an_agent_at_a_socket(nginx):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "apm.socket")
        with TraceAgent(path) as agent:
            path.chmod(0o777)
            configure(nginx, "")
            nginx.start(agent.environment())
            keep(nginx, 3)
            agent.wait_spans(3)


def test_tags_and_ids_of_the_instance(nginx, agent):
    """No tag comes twice, whoever gives it."""
    configure(nginx, "profiler_label env label;", workers=2,
              main="profiler_service web; profiler_tag team core;")
    nginx.start(agent.environment(
        DD_TAGS="a:1,version:3,env:other,service:other,runtime-id:other"))
    keep(nginx, 20)
    spans = agent.wait_spans(20)
    assert {s["service"] for s in spans} == {"web"}
    assert {(s.meta["team"], s.meta["a"], s.meta["version"], s.meta["env"])
            for s in spans} == {("core", "1", "3", "prod")}
    assert all("service" not in s.meta for s in spans)
    runtime, = {s.meta["runtime-id"] for s in spans}
    assert runtime != "other"
    nginx.reload(wait_for_old=True)
    keep(nginx, 1)
    assert agent.wait_spans(21)[-1].meta["runtime-id"] == runtime


def test_off_is_off(nginx, agent):
    """Without the profiler, and without the directive, nothing is traced."""
    configure(nginx, "location /ids { profiler_trace off; "
                     "return 200 '<$profiler_trace_id$profiler_span_id>'; }")
    nginx.start(agent.environment())
    assert nginx.get("/ids").text == "<>"
    nginx.conf.write_text(nginx.conf.read_text().replace(
        "profiler on;", "profiler off;"))
    nginx.reload(wait_for_old=True)
    assert nginx.get("/1k", headers={"traceparent": TRACEPARENT}).status == 200
    assert "traces" not in nginx.get("/debug/status").json()
    nginx.stop()
    assert agent.spans == []


# an agent that does not work


def hang(handler):
    time.sleep(30)


def drip(handler):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n":
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(1)


def close(handler):
    handler.close_connection = True


def flood(handler):
    handler.send_response(500)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"x" * 65536)
    handler.close_connection = True


@pytest.mark.parametrize("answer", [
    (500, b"{}"), (413, b""), (404, b"no"), (302, b""), hang, drip, close,
    flood, None], ids=lambda a: getattr(a, "__name__", str(a)[1:4]))
def test_an_agent_that_fails(nginx, agent, answer):
    """No request notices, it is said once and counted, and nginx ends in
    time."""
    configure(nginx, "")
    if answer is None:
        agent.close()
    else:
        agent.answer = answer
    nginx.start(agent.environment())
    keep(nginx, 50)
    nginx.wait_log(r"profiler: traces can't be sent to \S+ \(.+\)")
    wait_until(lambda: status(nginx)["failed"] >= 50, "they are counted")
    keep(nginx, 50)
    found = status(nginx)
    assert found["sent"] == 0 and found["errors"] >= 1
    begin = time.monotonic()
    nginx.stop()
    # the bound is 0.2 s; the rest is nginx's and the machine's
    assert time.monotonic() - begin < 10
    assert nginx.error_log().count("traces can't be sent") == 1
    if answer is None:
        agent.close = lambda: None


def test_an_answer_that_is_too_long(nginx, agent):
    """The spans were taken; rates that are not read whole do not count."""
    configure(nginx, "")
    rates = {"service:app,env:prod": 0.0}
    rates.update((f"service:{n},env:prod", 1.0) for n in range(4000))
    agent.answer = 200, json.dumps({"rate_by_service": rates}).encode()
    assert len(agent.answer[1]) > 1 << 16
    nginx.start(agent.environment())
    for n in (1, 2):
        keep(nginx, 5)
        wait_until(lambda: status(nginx)["sent"] == 5 * n, "they are counted")
    found = status(nginx)
    assert found["failed"] == found["errors"] == 0
    assert found["http_status"] == 200
    assert {s.metrics["_sampling_priority_v1"] for s in agent.spans} == {1}
    assert "traces can't be sent" not in nginx.error_log()


def test_an_agent_that_comes_back(nginx, agent):
    configure(nginx, "")
    agent.answer = 503, b""
    nginx.start(agent.environment())
    keep(nginx, 1)
    nginx.wait_log("traces can't be sent to .* \\(HTTP status 503\\)")
    agent.answer = 200, b"{}"
    keep(nginx, 5)
    agent.wait_spans(5)
    nginx.wait_log("traces are sent again to")


def spans_of_workers(nginx):
    """{worker: {what became of its spans: how many}}, of those that serve."""
    found = {}
    for name, pid, value in re.findall(
            r'^nginx_profiler_spans_(\w+)\{worker="(\d+)"[^}]*\} '
            r'(\d+)$', nginx.get("/debug/status?format=prometheus").text, re.M):
        found.setdefault(int(pid), {}).setdefault(name, 0)
        found[int(pid)][name] += int(value)
    return {pid: found.get(pid, {}) for pid in nginx.workers()}


def all_workers(nginx):
    """Requests until each worker has had some more, and the agent has answered
    for all of them. None is on its way before."""
    before = spans_of_workers(nginx)
    wanted = sum(w.get("total", 0) for w in before.values())

    def settled():
        nonlocal wanted
        now = spans_of_workers(nginx)
        if any(w.get("total", 0) == before.get(pid, {}).get("total", 0)
               for pid, w in now.items()):
            keep(nginx, 20)
            wanted += 20
            return False
        return wanted == sum(w["total"] for w in now.values()) == sum(
            w["sent_total"] + w["dropped_total"] for w in now.values())
    wait_until(settled, "all workers have sent spans", timeout=120)


def test_it_is_said_once_for_all_workers(nginx, agent):
    """Also by those of a reload; and again only after it has worked."""
    configure(nginx, "", workers=2)
    agent.answer = 503, b""
    nginx.start(agent.environment())
    all_workers(nginx)
    nginx.reload(wait_for_old=True)
    all_workers(nginx)
    agent.answer = 200, b"{}"
    all_workers(nginx)
    nginx.reload(wait_for_old=True)
    all_workers(nginx)
    log = nginx.error_log()
    assert log.count("traces can't be sent to") == 1
    assert log.count("traces are sent again to") == 1
    assert log.count("traces are sent ") == 1


def test_a_failure_that_an_exit_hides_is_said_later(nginx, agent):
    """Nobody hears what a worker finds while it stops: the next one says it."""
    configure(nginx, "")
    nginx.start(agent.environment())
    keep(nginx, 1)
    nginx.wait_log("traces are sent to")
    agent.answer = 503, b""
    keep(nginx, 1)
    old = nginx.worker
    os.kill(old, signal.SIGTERM)
    wait_until(lambda: not alive(old) and nginx.workers(), "another worker")
    keep(nginx, 1)
    nginx.wait_log("traces can't be sent to", 60)


def test_a_full_ring_drops(nginx, agent):
    """An agent that hangs: memory stays bounded, spans are dropped and
    counted, requests are served."""
    configure(nginx, "", http="keepalive_requests 100000;")
    agent.answer = hang
    nginx.start(agent.environment())
    request = (b"HEAD /1k HTTP/1.1\r\nHost: x\r\nUser-Agent: "
               + b"u" * 500 + b"\r\n\r\n")
    with nginx.connect() as sock:
        answers = sock.makefile("rb")
        for _ in range(100):
            sock.sendall(request * 50)
            for _ in range(50):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                while answers.readline() != b"\r\n":
                    pass
    # the agent's time is 5 s, the ring has room for 2,000
    found = status(nginx)
    assert found["spans"] == 5000
    assert found["dropped"] > 0
