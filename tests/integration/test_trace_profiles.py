"""Profiles that know requests: spans and endpoints of samples."""

import subprocess
import threading
import time

import pytest

from nginx_instance import (ALGORITHMS, LONG, SAN_PRELOAD, SOURCE,
                            wait_until)
from pprof_profile import Profile
from test_trace_spans import MODULES
from trace_agent import TraceAgent

SECONDS = 8 if LONG else 3


@pytest.fixture
def agent():
    with TraceAgent() as made:
        yield made
        assert not made.errors, made.errors


def configure(nginx, main="", workers=1, server=""):
    numbers = " ".join(str(i * 7919 % 100003) for i in range(9000))
    nginx.write_file("html/numbers", numbers)
    nginx.write_file("html/few", "3 1 2")
    nginx.write_conf(
        modules=MODULES, workers=workers,
        main="profiler on; profiler_types cpu wall stall;"
        "thread_pool sorters threads=2;" + main,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server=f"""
        {server}
        count_input {nginx.prefix}/html/numbers;
        location = /bubble {{ profiler_trace on; count; count_sort v1; }}
        location = /pooled {{ profiler_trace on; count; count_sort v1;
                              count_threads sorters; }}
        location = /quick {{ profiler_trace on; count; count_sort v1;
                             count_input {nginx.prefix}/html/few; }}
        location = /untraced {{ profiler_trace off; count; count_sort v1; }}
        location = /off {{ profiler_trace off; rewrite ^ /bubble last; }}
        location = /mirrored {{
            profiler_trace off; mirror /bubble; count; count_sort v1;
            count_input {nginx.prefix}/html/few; }}
        location /debug/pprof/ {{ profiler_endpoint; }}""")


def capture(nginx, path, what="profile"):
    """The profile of a window in which requests are served, and those."""
    profile = []
    reader = threading.Thread(target=lambda: profile.append(nginx.get(
        f"/debug/pprof/{what}?seconds={SECONDS}", timeout=60)))
    reader.start()
    time.sleep(0.3)
    served = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert nginx.get(path).status == 200
        served += 1
    reader.join()
    return Profile(profile[0].body).check(), served


def of_sort(profile):
    """(labels, values) of the samples that sort."""
    return [(labels, values) for stack, labels, values in profile.samples
            if "bubble_sort" in stack]


@pytest.mark.parametrize("path, asked", [
    ("/bubble", "/bubble"), ("/pooled", "/pooled"), ("/bubble", "/off")])
def test_samples_have_the_span_of_their_request(nginx, agent, path, asked):
    """Also where tracing is off on the way to its last location."""
    configure(nginx, server="profiler_trace on;")
    nginx.start(agent.environment())
    profile, served = capture(nginx, asked)
    spans = {s["span_id"]: s for s in agent.wait_spans(served)}
    samples = of_sort(profile)
    assert len(samples) > 10
    cpu = dict.fromkeys(spans, 0)
    total = unknown = 0
    for labels, values in samples:
        assert labels["trace_endpoint"] == f"GET {path}"
        assert labels["version"] == "1.0.0"
        total += values[1]
        if "span_id" not in labels:
            unknown += values[1]
            continue
        assert labels["local_root_span_id"] == labels["span_id"]
        cpu[labels["span_id"]] += values[1]
    assert unknown <= 0.02 * total
    assert total == profile.total(1, "bubble_sort")
    # no request has the CPU time of all
    for span, ns in cpu.items():
        assert ns <= spans[span]["duration"] * 2 + 200e6, spans[span]
    assert sum(ns > 0 for ns in cpu.values()) > 5


@pytest.mark.parametrize("path, what", [
    ("/bubble", "stall"), ("/bubble", "wall"), ("/pooled", "wall")])
def test_other_samples_have_it_too(nginx, agent, path, what):
    """A stall shows the request that was in the way, and wall time whose it
    was."""
    configure(nginx, "profiler_stall_threshold 1ms;")
    nginx.start(agent.environment())
    profile, served = capture(nginx, path, what)
    spans = {s["span_id"]: s for s in agent.wait_spans(served)}
    samples = of_sort(profile)
    assert samples
    ns, unknown = dict.fromkeys(spans, 0), 0
    for labels, values in samples:
        assert labels["trace_endpoint"] == f"GET {path}"
        if "span_id" in labels:
            ns[labels["span_id"]] += values[1]
        else:
            unknown += values[1]
    assert unknown <= 0.02 * sum(ns.values())
    assert sum(time_ns > 0 for time_ns in ns.values()) > 1
    if what == "stall":
        # each is known exactly, and is no longer than its request
        more = sum(max(0, ns[s] - spans[s]["duration"]) for s in spans)
        assert more <= 0.1 * sum(ns.values())


@pytest.mark.parametrize("server, path, location", [
    ("", "/untraced", "= /untraced"),
    ("profiler_trace on;", "/untraced", "= /untraced"),
    ("profiler_trace on;", "/mirrored", "= /bubble")])
def test_untraced_requests_have_none(nginx, agent, server, path, location):
    """Nor do their subrequests, and also where the server traces."""
    configure(nginx, server=server)
    nginx.start(agent.environment())
    profile, _ = capture(nginx, path)
    samples = of_sort(profile)
    assert any(labels["location"] == location for labels, _ in samples)
    for labels, _ in samples:
        assert not {"span_id", "local_root_span_id", "trace_endpoint"} & set(
            labels)


@pytest.mark.parametrize("variable, reason", [
    ({"DD_TRACE_ENABLED": "false"}, "DD_TRACE_ENABLED is false"),
    ({"DD_TRACE_AGENT_URL": "", "DD_TRACE_AGENT_PORT": "tcp://10.0.0.1:8126"},
     "the agent's address is not known")])
def test_without_a_tracer_samples_have_none(nginx, agent, variable, reason):
    """It is said why; the location is what says which request it was."""
    configure(nginx)
    nginx.start(agent.environment(**variable))
    assert f"profiler: no traces: {reason}" in nginx.error_log()
    assert nginx.get("/debug/pprof/status").json()["traces"] == {
        "degraded": f"no traces: {reason}"}
    profile, _ = capture(nginx, "/bubble")
    samples = of_sort(profile)
    assert samples
    for labels, _ in samples:
        assert labels["location"] == "= /bubble"
        assert not {"span_id", "local_root_span_id", "trace_endpoint"} & set(
            labels)


def test_requests_of_a_version_without_samples_are_counted(nginx, agent):
    """They are too short for samples, and each has a place in some upload."""
    configure(nginx, "profiler_period 1s; profiler_service app;"
              "profiler_upload datadog;")
    nginx.start(agent.environment())
    for _ in range(4):
        assert nginx.get("/quick").status == 200
        time.sleep(1)

    def counted():
        return sum((u.event.get("endpoint_counts") or {}).get("GET /quick", 0)
                   for u in agent.profiles if u.tags.get("version") == "1.0.0")

    wait_until(lambda: counted() >= 4, "all requests are counted")
    assert counted() == 4


def test_requests_before_there_were_uploads_are_not_counted(nginx, agent):
    """A reload turns uploads on."""
    configure(nginx, "profiler_period 1s; profiler_service app;")
    nginx.start(agent.environment())
    for _ in range(6):
        assert nginx.get("/quick").status == 200
    wait_until(lambda: nginx.get("/debug/pprof/status").json()["traces"]
               ["spans"] == 6, "their spans")
    configure(nginx, "profiler_period 1s; profiler_service app;"
              "profiler_upload datadog;")
    nginx.reload(wait_for_old=True)
    for _ in range(2):
        assert nginx.get("/quick").status == 200

    def counted():
        return sum((u.event.get("endpoint_counts") or {}).get("GET /quick", 0)
                   for u in agent.profiles)

    wait_until(lambda: counted() >= 2, "requests are counted")
    assert counted() == 2


@pytest.fixture
def container(tmp_path):
    """Variables that put an nginx into a container: (its id, they)."""
    library = tmp_path / "container_cgroup.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library,
         SOURCE / "tests" / "plugins" / "container_cgroup.c", "-ldl"],
        check=True)
    cgroup = tmp_path / "cgroup"
    name = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376"
    cgroup.write_text(f"0::/system.slice/docker-{name}.scope\n")
    preload = f"{SAN_PRELOAD}:{library}" if SAN_PRELOAD else str(library)
    return name, {"LD_PRELOAD": preload, "CGROUP_FILE": str(cgroup)}


def test_both_say_which_container_it_is(nginx, agent, container):
    """So that the Agent can add the container's tags."""
    name, variables = container
    configure(nginx, "profiler_period 1s; profiler_upload datadog;")
    nginx.start(agent.environment(DD_EXTERNAL_ENV="it-false,cn-nginx",
                                  **variables))
    assert nginx.get("/quick").status == 200
    agent.wait_spans(1)
    wait_until(lambda: agent.profiles, "an upload")
    assert not agent.errors, agent.errors
    traces, _ = agent.requests[0]
    profiles = agent.profiles[0].request.headers
    for header, value in (("Datadog-Container-ID", name),
                          ("Datadog-Entity-ID", f"ci-{name}"),
                          ("Datadog-External-Env", "it-false,cn-nginx")):
        assert traces[header] == value
        assert profiles[header.lower()] == value


def test_uploads_and_traces_say_the_same(nginx, agent):
    """Of two workers and through a reload: the ids of spans in uploads are
    those of traces, so are runtime ids, by version; and requests are counted
    as the access log has them. What a worker that ends has no time for on a busy
    machine is dropped, and said to be."""
    configure(nginx, "profiler_period 1s; profiler_service app;"
              "profiler_upload datadog;", workers=2)
    nginx.start(agent.environment())
    for _ in range(2):
        for _ in range(12):
            for path in ("/bubble", "/pooled", "/untraced"):
                assert nginx.get(path).status == 200
        nginx.reload(wait_for_old=True)
    spans = agent.wait_spans(48)

    def counted():
        assert not agent.errors, agent.errors
        found = {}
        for upload in agent.profiles:
            counts = upload.event.get("endpoint_counts") or {}
            for name, n in counts.items():
                found[name] = found.get(name, 0) + n
        return found

    def dropped():
        return nginx.get("/debug/pprof/status").json()["uploads"][0]["dropped"]

    wait_until(lambda: sum(counted().values()) >= 48 or dropped(),
               "all requests are counted")
    counts = {"GET /bubble": 24, "GET /pooled": 24}
    if dropped():
        assert all(n <= counts[name] for name, n in counted().items())
    else:
        assert counted() == counts
    uploads = [u for u in agent.profiles if u.tags.get("version") == "1.0.0"]
    ids = {s["span_id"]: s for s in spans}
    assert ({s.meta["runtime-id"] for s in spans}
            == {u.tags["runtime-id"] for u in uploads})
    assert {s.meta["version"] for s in spans} == {"1.0.0"}
    assert all(s.metrics["_dd.profiling.enabled"] for s in spans)
    samples = [labels for u in uploads for labels, _ in of_sort(u.profile)]
    of_spans = [labels for labels in samples if "span id" in labels]
    assert len(of_spans) > 20
    for labels in of_spans:
        span = ids[labels["span id"]]
        assert labels["local root span id"] == labels["span id"]
        assert labels["trace endpoint"] == span["resource"]
    assert not any("span_id" in labels for labels in samples)
