"""Traces to Datadog's own test double of its Agent, with its checks on."""

import json

import pytest

from datadog_test_agent import TestAgent
from nginx_instance import wait_until
from test_trace_spans import configure, status


@pytest.fixture(scope="module")
def test_agent(tmp_path_factory):
    reason = TestAgent.install()
    if reason:
        pytest.skip(reason)
    with TestAgent(tmp_path_factory.mktemp("agent")) as made:
        yield made


def test_it_takes_our_traces(nginx, test_agent):
    """A payload that fails one of its checks is answered with 400."""
    configure(nginx, """
        location = /one { count; count_sort v1; }
        location = /two { count; count_sort v2; }
        location /broken { return 500; }""")
    nginx.start({"DD_TRACE_AGENT_URL": test_agent.url, "DD_SERVICE": "app",
                 "DD_ENV": "prod"})
    for path in ("/one", "/two", "/broken"):
        nginx.get(path, headers={"User-Agent": "a\xe4b",
                                 "x-datadog-trace-id": "77",
                                 "x-datadog-parent-id": "78",
                                 "x-datadog-tags": "_dd.p.usr=me"})
    wait_until(lambda: status(nginx)["sent"] == 3, "all are taken")
    assert status(nginx)["failed"] == 0
    code, body = test_agent.get("/test/session/traces")
    assert code == 200, body
    spans = {span["resource"]: span for trace in json.loads(body)
             for span in trace}
    assert set(spans) == {"GET /one", "GET /two", "GET /broken"}
    assert {s["trace_id"] for s in spans.values()} == {77}
    assert {s["parent_id"] for s in spans.values()} == {78}
    assert {s["service"] for s in spans.values()} == {"app"}
    assert [spans[f"GET {p}"]["meta"].get("version")
            for p in ("/one", "/two", "/broken")] == ["1.0.0", "2.0.0", None]
    assert spans["GET /broken"]["error"] == 1
    assert spans["GET /one"]["meta"]["http.status_code"] == "200"
    assert spans["GET /one"]["meta"]["_dd.p.usr"] == "me"
    # a byte that is no UTF-8 is replaced
    assert spans["GET /one"]["meta"]["http.useragent"] == "a\ufffdb"
    for span in spans.values():
        assert span["name"] == "nginx.request" and span["type"] == "web"
        assert span["metrics"]["_sampling_priority_v1"] == 1
