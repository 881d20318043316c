"""Spans of requests, as an agent gets them."""

import json
import os
import re
import time

import pytest

from nginx_instance import ALGORITHMS, wait_until
from trace_agent import TraceAgent

MODULES = ("ngx_http_count_module", "ngx_profiler_module")


@pytest.fixture
def agent():
    with TraceAgent() as made:
        yield made
        assert not made.errors, made.errors


def configure(nginx, server, http="", main="", **kwargs):
    nginx.write_file("html/1k", "x" * 1024)
    nginx.write_file("html/numbers", "3 1 2 3")
    nginx.write_conf(
        modules=MODULES, main="profiler on; thread_pool sorters threads=2;"
        + main,
        http=f"""count_plugin v1 {ALGORITHMS}/libsort_v1.so;
        count_plugin v2 {ALGORITHMS}/libsort_v2.so;
        log_format ids '$status $profiler_trace_id $profiler_span_id '
                       '$request_method $uri';
        {http}""",
        server=f"""
        profiler_trace on;
        access_log {nginx.prefix}/logs/access.log ids;
        root {nginx.prefix}/html;
        count_input {nginx.prefix}/html/numbers;
        location = /debug/status {{
            access_log off; profiler_trace off; profiler_endpoint; }}
        """ + server, **kwargs)


def access_log(nginx):
    return (nginx.prefix / "logs" / "access.log").read_text().splitlines()


def status(nginx):
    return nginx.get("/debug/status").json()["traces"]


def metrics(nginx):
    """{name and labels but the worker: sum over workers} of what Prometheus is
    told of traces."""
    text = nginx.get("/debug/status?format=prometheus").text
    found = {}
    for name, labels, value in re.findall(
            r'^nginx_profiler_((?:spans|trace)_\w+)\{worker="\d+",?(.*)\} '
            r'(\d+)$', text, re.M):
        assert f"# TYPE nginx_profiler_{name} counter\n" in text
        assert f"# HELP nginx_profiler_{name} " in text
        key = name + labels
        found[key] = found.get(key, 0) + int(value)
    return found


def test_metrics(nginx, agent):
    """What `status` counts, of all workers: what the Agent took, and what it
    did not."""
    configure(nginx, "", workers=2)
    nginx.start(agent.environment())
    for _ in range(20):
        assert nginx.get("/1k").status == 200
    agent.wait_spans(20)
    sent = wait_until(lambda: next((
        found for found in [metrics(nginx)]
        if found["spans_sent_total"] == 20), None), "spans are counted")
    payloads = sent.pop('trace_payloads_totalresult="sent"')
    assert payloads == len(agent.requests)
    assert sent == {
        "spans_total": 20, "spans_sent_total": 20,
        'spans_dropped_totalcause="ring_full"': 0,
        'spans_dropped_totalcause="not_taken"': 0,
        'trace_payloads_totalresult="failed"': 0}
    agent.answer = 500, b"{}"
    for _ in range(10):
        assert nginx.get("/1k").status == 200
    failed = wait_until(lambda: next((
        found for found in [metrics(nginx)]
        if found['spans_dropped_totalcause="not_taken"'] == 10), None),
        "spans that were not taken are counted")
    assert failed["spans_sent_total"] == 20
    assert failed['trace_payloads_totalresult="failed"'] >= 1
    assert failed['trace_payloads_totalresult="sent"'] == payloads


def test_a_span_says_what_the_request_was(nginx, agent):
    configure(nginx, "location /files/ { alias %s/html/; }" % nginx.prefix)
    nginx.start(agent.environment(DD_VERSION="7", DD_GIT_COMMIT_SHA="abc"))
    before = time.time_ns()
    assert nginx.get("/files/1k?secret=1", headers={
        "User-Agent": "test/1", "Host": "example.org"}).status == 200
    after = time.time_ns()
    span, = agent.wait_spans(1)
    assert span["service"] == "app" and span["resource"] == "GET /files/"
    assert span["parent_id"] == 0 and span["error"] == 0
    assert span["trace_id"] == span["span_id"]
    assert before - 10**9 < span["start"] < after
    assert span["duration"] <= after - before + 10**9
    assert span.meta.items() >= {
        "env": "prod", "version": "7", "component": "nginx",
        "http.method": "GET", "http.url": "http://example.org/files/1k",
        "http.status_code": "200", "http.useragent": "test/1",
        "http.host": "example.org", "_dd.git.commit.sha": "abc",
        "nginx.location": "/files/", "nginx.server": "localhost",
        "_dd.p.dm": "-0"}.items()
    assert "secret" not in json.dumps(span)
    assert span.metrics["_sampling_priority_v1"] == 1
    assert span.metrics["_dd.agent_psr"] == 1
    assert span.metrics["process_id"] == nginx.worker
    # no profile goes to Datadog
    assert "_dd.profiling.enabled" not in span.metrics
    log, = access_log(nginx)
    assert log == f"200 {span.trace_id} {span['span_id']:016x} GET /files/1k"
    high = int(span.meta["_dd.p.tid"], 16)
    assert abs((high >> 32) - before // 10**9) < 60 and high % 2**32 == 0


def test_versions_of_what_served(nginx, agent):
    """v1 and v2 are versions 1.0.0 and 2.0.0 of one service; a thread pool
    makes no difference."""
    configure(nginx, """
        location = /one { count; count_sort v1; }
        location = /two { count; count_sort v2; count_threads sorters; }
        location = /gone { error_page 418 = @other; return 418; }
        location @other { return 200 x; }""")
    nginx.start(agent.environment(DD_VERSION="7"))
    for path in ("/one", "/two", "/1k"):
        assert nginx.get(path).status == 200
    assert nginx.request("PUT", "/gone").status == 200
    spans = {s["resource"]: s for s in agent.wait_spans(4)}
    found = {name: (s.meta.get("algorithm"), s.meta["version"])
             for name, s in spans.items()}
    assert found == {"GET /one": ("bubble", "1.0.0"),
                     "GET /two": ("qsort", "2.0.0"),
                     "GET": (None, "7"), "PUT @other": (None, "7")}


def test_all_that_the_access_log_has(nginx, agent):
    """Errors, what nginx can't read, clients that go away: one span each."""
    configure(nginx, """
        location /moved { return 301 /1k; }
        location /broken { return 503; }
        location /slow { count; count_sort v1; limit_rate 1; }
        location /silent { proxy_pass http://127.0.0.1:1/; }""")
    nginx.start(agent.environment())
    assert nginx.get("/moved").status == 301
    assert nginx.get("/broken").status == 503
    assert nginx.get("/none").status == 404
    assert nginx.get("/silent").status == 502
    assert nginx.request("BREW", "/1k").status == 405
    assert b" 400 " in nginx.raw(b"G(T / HTTP/1.1\r\n\r\n")
    assert b" 400 " in nginx.raw(b"GET / HTTP/1.1\r\n\r\n")
    with nginx.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(1)
    wait_until(lambda: len(access_log(nginx)) == 8, "all are logged")
    spans = agent.wait_spans(8)
    logged = sorted(line.split()[:3] for line in access_log(nginx))
    assert logged == sorted([s.meta["http.status_code"], s.trace_id,
                             f"{s['span_id']:016x}"] for s in spans)
    resources = {s["resource"]: s["error"] for s in spans}
    assert resources == {"GET /moved": 0, "GET /broken": 1, "GET": 0,
                         "GET /silent": 1, "OTHER": 0, "GET /slow": 0}
    assert sorted(s.meta.get("http.method", "") for s in spans
                  if s["resource"] == "OTHER") == ["", "BREW"]


CALLER = {"x-datadog-trace-id": "1234567890123456789",
          "x-datadog-parent-id": "987654321",
          "x-datadog-sampling-priority": "2",
          "x-datadog-origin": "rum",
          "x-datadog-tags": "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,"
                            "_dd.p.usr=x=y"}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def upstream(new_nginx):
    """Another nginx, which answers with the headers that it got."""
    nginx = new_nginx()
    names = ("x_datadog_trace_id", "x_datadog_parent_id",
             "x_datadog_sampling_priority", "x_datadog_origin",
             "x_datadog_tags", "traceparent", "tracestate", "other")
    text = "\\n".join(f"{n.replace('_', '-')}=$http_{n}" for n in names)
    nginx.write_conf(
        http="large_client_header_buffers 8 32k;"
             "log_format seen '$http_traceparent'; ",
        server=f"""access_log {nginx.prefix}/logs/seen.log seen;
        location / {{ return 200 "{text}"; }}""")
    return nginx.start()


def passed(answer):
    """What the upstream got."""
    assert answer.status == 200, answer
    return dict(line.split("=", 1) for line in answer.text.split("\n"))


def test_a_datadog_trace_goes_on(nginx, agent, upstream):
    configure(nginx, f"location / {{ proxy_pass http://127.0.0.1:"
                     f"{upstream.port}; }}")
    nginx.start(agent.environment())
    got = passed(nginx.get("/", headers={**CALLER, "Other": "kept"}))
    span, = agent.wait_spans(1)
    me = span["span_id"]
    assert span["trace_id"] == 1234567890123456789
    assert span["parent_id"] == 987654321 and span["resource"] == "GET /"
    assert got["x-datadog-trace-id"] == "1234567890123456789"
    assert got["x-datadog-parent-id"] == str(me)
    assert got["x-datadog-sampling-priority"] == "2"
    assert got["x-datadog-origin"] == "rum" and got["other"] == "kept"
    assert got["x-datadog-tags"] == (
        "_dd.p.tid=640cfd8d00000000,_dd.p.dm=-4,_dd.p.usr=x=y")
    assert got["traceparent"] == (
        f"00-640cfd8d00000000112210f47de98115-{me:016x}-01")
    assert got["tracestate"] == (
        f"dd=s:2;p:{me:016x};o:rum;t.dm:-4;t.usr:x~y")
    assert span.meta.items() >= {
        "_dd.p.tid": "640cfd8d00000000", "_dd.p.dm": "-4",
        "_dd.p.usr": "x=y", "_dd.origin": "rum",
        "upstream.address": f"127.0.0.1:{upstream.port}"}.items()
    assert span.metrics["_sampling_priority_v1"] == 2
    assert "_dd.agent_psr" not in span.metrics
    assert 0 <= span.metrics["upstream.response_time"] < 60


def test_a_w3c_trace_goes_on(nginx, agent, upstream):
    configure(nginx, f"location / {{ proxy_pass http://127.0.0.1:"
                     f"{upstream.port}; }}")
    nginx.start(agent.environment())
    got = passed(nginx.get("/", headers={
        "Traceparent": TRACEPARENT,
        "tracestate": "a=1 , dd=s:2;o:x~y;t.usr:v;zz:w;p:00000000000000ab,"
                      "b=2"}))
    span, = agent.wait_spans(1)
    me = span["span_id"]
    assert span.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span["parent_id"] == 0x00f067aa0ba902b7
    assert got["traceparent"] == (
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{me:016x}-01")
    assert got["tracestate"] == (
        f"dd=s:2;p:{me:016x};o:x~y;t.usr:v;zz:w,a=1,b=2")
    assert got["x-datadog-trace-id"] == str(0xa3ce929d0e0e4736)
    assert got["x-datadog-sampling-priority"] == "2"
    assert got["x-datadog-origin"] == "x=y"
    assert got["x-datadog-tags"] == "_dd.p.tid=4bf92f3577b34da6,_dd.p.usr=v"
    assert span.meta["_dd.parent_id"] == "00000000000000ab"


def test_tracestate_in_many_headers(nginx, agent, upstream):
    """It is one list, of which what is too long is left out."""
    configure(nginx, f"location / {{ proxy_pass http://127.0.0.1:"
                     f"{upstream.port}; proxy_http_version 1.1; }}")
    nginx.start(agent.environment())
    long = b"tracestate: long=%s\r\n" % (b"x" * 2300)
    for lists in (b"tracestate: \r\ntracestate: a=1,b=2\r\n" + long
                  + b"Tracestate: dd=s:2;t.usr:v\r\ntracestate:c=3\r\n",
                  b"tracestate: dd=s:2;t.usr:v,a=1\r\ntracestate: b=2\r\n"
                  b"tracestate: c=3\r\n" + long * 8):
        answer = nginx.raw(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + b"traceparent: " + TRACEPARENT.encode() + b"\r\n" + lists
            + b"\r\n")
        got = dict(line.split("=", 1) for line in
                   answer.split(b"\r\n\r\n")[1].decode().split("\n"))
        me = got["traceparent"].split("-")[2]
        assert got["tracestate"] == f"dd=s:2;p:{me};t.usr:v,a=1,b=2,c=3"
    agent.wait_spans(2)


def test_a_caller_can_say_it_once(nginx, agent, upstream):
    """What a client sends of ours more than once, or that we do not send on,
    does not get through, wherever it stands among many headers."""
    configure(nginx, f"location / {{ proxy_pass http://127.0.0.1:"
                     f"{upstream.port}; proxy_http_version 1.1; }}")
    nginx.start(agent.environment())
    answers = []
    for n in range(40):
        filler = b"".join(b"x-filler-%d: %d\r\n" % (i, i) for i in range(n))
        answers.append(nginx.raw(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"X-Datadog-Tags: none\r\n" + filler
            + b"x-datadog-origin: synthetics\r\nOther: kept\r\n"
            b"traceparent: bad\r\nTraceparent: worse\r\n" + filler
            + b"TRACESTATE: dd=s:1\r\nx-datadog-trace-id: 7\r\n"
            b"x-datadog-tags: _dd.p.usr=me\r\n"
            b"x-datadog-trace-id: 8\r\n\r\n"))
    for answer, span in zip(answers, agent.wait_spans(40)):
        got = dict(line.split("=", 1) for line in
                   answer.split(b"\r\n\r\n")[1].decode().split("\n"))
        me = span["span_id"]
        # a trace that begins without a span, and has an origin
        assert span["trace_id"] == 7 and span["parent_id"] == 0
        assert got == {
            "x-datadog-trace-id": "7", "x-datadog-parent-id": str(me),
            "x-datadog-sampling-priority": "1",
            "x-datadog-origin": "synthetics", "x-datadog-tags": "_dd.p.dm=-0",
            "traceparent": f"00-{7:032x}-{me:016x}-01",
            "tracestate": f"dd=s:1;p:{me:016x};o:synthetics;t.dm:-0",
            "other": "kept"}
        assert span.meta["_dd.w3c_extraction_error"]
