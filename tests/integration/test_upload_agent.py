"""Profiles as Datadog's own double of its Agent takes them."""

import json

import pytest

from datadog_test_agent import TestAgent
from nginx_instance import wait_until
from pprof_decoders import decoders
from test_upload_nginx import configure, work
from upload_driver import Driver
from upload_receiver import DatadogUpload

PATH = "/profiling/v1/input"


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    missing = TestAgent.install()
    if missing:
        pytest.skip(f"SKIPPED: {missing}: uploads go to our own receiver only")
    with TestAgent(tmp_path_factory.mktemp("agent")) as running:
        yield running


def test_profiles_of_two_versions(agent):
    with Driver("datadog", DD_SERVICE="app", DD_ENV="test",
                DD_TRACE_AGENT_URL=agent.url) as driver:
        driver.period(2)
        driver.wait(lambda t: t["sent"] == 6, "all sent")
        assert [weight for weight, _ in driver.notices] == [0]
    found = {}
    for request in wait_until(
            lambda: (agent.requests(PATH) if len(agent.requests(PATH)) >= 6
                     else None), "uploads at the agent"):
        upload = DatadogUpload(request)
        upload.profile.check_any()
        assert upload.tags["service"] == "app"
        assert upload.tags["env"] == "test"
        found.setdefault(upload.tags.get("version"), []).append(upload)
    assert {v: len(u) for v, u in found.items()} == {
        "1.0.0": 2, "2.0.0": 2, None: 2}
    for same in found.values():
        assert [u.tags["profile_seq"] for u in same] == ["0", "1"]
    assert (found["1.0.0"][0].tags["runtime-id"]
            != found["2.0.0"][0].tags["runtime-id"])


def spans_of(agent, ids):
    """Those that are of runtimes with these ids."""
    status, body = agent.get("/test/session/traces")
    assert status == 200, body
    return [span for trace in json.loads(body) for span in trace
            if span["meta"]["runtime-id"] in ids]


def uploads_of(agent, nginx):
    """Of that nginx, by version."""
    found = {}
    for request in agent.requests(PATH):
        upload = DatadogUpload(request)
        if upload.tags["process_id"] == str(nginx.master):
            found.setdefault(upload.tags.get("version"), []).append(upload)
    return found


def test_a_real_nginx(nginx, agent):
    """v1 and v2 are versions 1.0.0 and 2.0.0 of service app, in profiles and in
    traces; and decoders that others wrote read in the profiles what ours
    does."""
    configure(nginx, f"profiler_upload datadog {agent.url};"
              "profiler_service app; profiler_env test;",
              http="profiler_trace on;").start()

    def both():
        work(nginx)
        found = uploads_of(agent, nginx)
        return (found if all(any(u.profile.samples for u in found.get(v, ()))
                             for v in ("1.0.0", "2.0.0")) else None)

    found = wait_until(both, "samples of both versions", 60)
    ids = {}
    for version, uploads in found.items():
        ids[version], = {u.tags["runtime-id"] for u in uploads}
        for upload in uploads:
            upload.profile.check()
            assert upload.tags["service"] == "app"
            assert upload.tags["env"] == "test"
            sorts = upload.profile.total(0, "bubble_sort")
            assert version == "1.0.0" or sorts == 0
    assert any(u.profile.total(0, "bubble_sort") for u in found["1.0.0"])

    def traced():
        return {(s["resource"], s["meta"].get("version"),
                 s["meta"]["runtime-id"])
                for s in spans_of(agent, ids.values())
                if s["resource"] in ("POST /v1", "POST /v2")}

    wait_until(lambda: traced() == {
        ("POST /v1", "1.0.0", ids["1.0.0"]),
        ("POST /v2", "2.0.0", ids["2.0.0"])}, "spans of both versions", 60)
    assert all(s["service"] == "app" and s["meta"]["env"] == "test"
               for s in spans_of(agent, ids.values()))

    others = decoders()
    if not others:
        pytest.skip("SKIPPED: neither pprof-format (node, npm) nor Go is here: "
                    "no decoder but ours has read the profiles")
    for version in ("1.0.0", "2.0.0"):
        for name, decode in others.items():
            check_decoded(name, decode, found[version])


def check_decoded(name, decode, uploads):
    for upload in uploads:
        ours = upload.profile
        theirs = decode(upload.request.parts()["profile.pprof"][2])
        assert theirs.types == ["/".join(t) for t in ours.types], name
        assert theirs.totals == [sum(values[i] for _, _, values in ours.samples)
                                 for i in range(len(ours.types))], name
        stacks = {function for stack, _, _ in ours.samples
                  for function in stack}
        # Go writes a name without what a space is in
        assert {n.split(" ")[0] for n in stacks} <= {
            n.split(" ")[0] for n in theirs.functions}, name
        labels = {key for _, keys, _ in ours.samples for key in keys}
        assert labels <= theirs.labels, name
        assert not labels or {"thread name", "location"} & labels, labels
