"""What clients of Go's net/http/pprof get, path by path."""

import os
import re
import shutil
import subprocess

import pytest

import promtool
from nginx_instance import free_port, wait_until
from pprof_profile import Profile
from test_profiler_workers import PROFILER, Sorting, configure

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
CPU = [("samples", "count"), ("cpu", "nanoseconds")]
HEAP = [("alloc_objects", "count"), ("alloc_space", "bytes"),
        ("inuse_objects", "count"), ("inuse_space", "bytes")]
DELAY = [("contentions", "count"), ("delay", "nanoseconds")]

# path and query, content type, file name, sample types
PROFILES = [
    ("profile?seconds=1", OCTETS, "profile", CPU),
    ("profile?seconds=1&debug=1", OCTETS, "profile", CPU),
    ("wall?seconds=1", OCTETS, "wall",
     [("samples", "count"), ("wall", "nanoseconds")]),
    ("stall?seconds=1", OCTETS, "stall",
     [("stalls", "count"), ("delay", "nanoseconds")]),
    ("block", OCTETS, "block", DELAY),
    ("mutex", OCTETS, "mutex", DELAY),
    ("mutex?seconds=1", OCTETS, "mutex-delta", DELAY),
    ("goroutine", OCTETS, "goroutine", [("goroutine", "count")]),
    ("threadcreate", OCTETS, "threadcreate", [("threadcreate", "count")]),
    ("heap", OCTETS, "heap", HEAP),
    ("heap?gc=1", OCTETS, "heap", HEAP),
    ("heap?seconds=1", OCTETS, "heap-delta", HEAP),
    ("allocs", OCTETS, "allocs", HEAP),
]

# path and query, content type
OTHERS = [
    ("", "text/html; charset=utf-8"),
    ("goroutine?debug=1", TEXT),
    ("heap?debug=2", TEXT),
    ("heap?debug=-1", TEXT),
    ("cmdline", TEXT),
    ("symbol", TEXT),
    ("status", "application/json"),
    ("status?format=json", "application/json"),
    ("status?format=prometheus", "text/plain; version=0.0.4; charset=utf-8"),
]

# path and query, status
ERRORS = [
    ("nothing", 404), ("heap2", 404), ("store/", 404),
    ("profile?seconds=301", 400), ("heap?seconds=301", 400),
    ("heap?seconds=0", 400), ("heap?seconds=x", 400), ("block?seconds=-1", 400),
    ("heap?seconds=1&debug=1", 400), ("status?format=xml", 400),
    ("profile?worker=x", 400), ("profile?worker=1", 404),
    ("profile?last=x", 400), ("profile?from=1&to=2", 404),
    ("profile?last=60s&to=5", 400), ("heap?last=2d", 400),
    ("mutex?worker=x", 400), ("heap?seconds=1&debug=-1", 400),
    ("profile?label.=x", 400), ("wall?label.a=%00", 400),
    ("stall?label.a=%2", 400), ("heap?label.a%zz=b", 400),
    ("allocs?label.a=1&label.a=2", 400), ("block?label.=x", 400),
    (f"profile?label.{'a' * 64}=b", 400), (f"heap?label.a={'b' * 128}", 400),
    ("profile?" + "&".join(f"label.{i}=" for i in range(17)), 400),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One nginx for all: nothing here changes it."""
    from conftest import FOLDERS
    from nginx_instance import NginxInstance
    import tempfile

    FOLDERS.mkdir(parents=True, exist_ok=True)
    nginx = NginxInstance(tempfile.mkdtemp(prefix="contract-", dir=FOLDERS))
    configure(nginx, 2)
    nginx.start()
    yield nginx
    nginx.finish()
    shutil.rmtree(nginx.prefix)


@pytest.mark.parametrize("path,content_type,filename,types", PROFILES)
def test_profiles(served, path, content_type, filename, types):
    answer = served.get(f"/debug/pprof/{path}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type
    assert (answer.headers["Content-Disposition"]
            == f'attachment; filename="{filename}"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) == len(answer.body) > 0
    assert answer.headers["Content-Encoding"] is None
    profile = Profile(answer.body).check()
    assert profile.types == types
    head = served.request("HEAD", f"/debug/pprof/{path}")
    assert head.status == 200 and head.body == b""
    assert (head.headers["Content-Disposition"]
            == answer.headers["Content-Disposition"])


@pytest.mark.parametrize("path,content_type", OTHERS)
def test_others(served, path, content_type):
    answer = served.get(f"/debug/pprof/{path}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Content-Disposition"] is None
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body
    head = served.request("HEAD", f"/debug/pprof/{path}")
    assert head.headers["Content-Type"] == content_type


@pytest.mark.parametrize("path,status", ERRORS)
def test_errors(served, path, status):
    answer = served.get(f"/debug/pprof/{path}")
    assert answer.status == status
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.headers["Content-Type"] == TEXT
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.text.splitlines()) == 1


def test_a_symbol_request_that_is_too_long(served):
    """The limit of bodies is above ours there: the error is ours, too."""
    answer = served.post("/debug/pprof/symbol", b"+" * (2**20 + 1))
    assert answer.status == 413
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.headers["Content-Type"] == TEXT
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert served.post("/debug/pprof/symbol", b"+" * 2**20).status == 200


def test_the_index_counts_the_stacks_of_all_workers(served):
    def counts():
        page = served.get("/debug/pprof/").text
        return {name: number for number, name in re.findall(
            r'<tr><td>(\d*)</td><td><a href="(\w+)">', page)}

    assert {"profile", "wall", "stall", "heap", "allocs", "symbol", "cmdline",
            "status", "store", "ui"} == set(counts())
    wait_until(lambda: int(counts()["wall"]) > 0, "stacks are counted")
    # not collected there, and no profiles
    assert counts()["heap"] == counts()["allocs"] == "0"
    assert counts()["symbol"] == counts()["ui"] == ""


def test_prometheus_text(served):
    wait_until(lambda: served.get("/debug/pprof/status").json()
               ["instance"]["leader"] != 0, "there is a leader")
    text = served.get("/debug/pprof/status?format=prometheus").text
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    assert len(families) == len(set(families)) > 30
    sample = re.compile(r"^(\w+)(\{(\w+=\"[^\"]*\",?)*\})? \d+(\.\d+)?$")
    seen = set()
    for line in text.splitlines():
        if not line.startswith("#"):
            assert sample.match(line), line
            series = line.rsplit(" ", 1)[0]
            assert series not in seen
            seen.add(series)
    for pid in served.workers():
        for name in ("samples", "samples_dropped", "periods_lost"):
            assert f'nginx_profiler_cpu_{name}_total{{worker="{pid}"}}' in seen
    assert "nginx_profiler_up" in seen

    # buckets are cumulative, and end with all
    for pid in served.workers():
        buckets = [int(n) for n in re.findall(
            rf'loop_turn_seconds_bucket{{worker="{pid}",le="[^"]*"}} (\d+)',
            text)]
        assert buckets == sorted(buckets)
        assert (f'loop_turn_seconds_count{{worker="{pid}"}} {buckets[-1]}\n'
                in text)


def test_promtool_accepts_the_metrics(nginx):
    """Of everything that has metrics: all types, a store, uploads that fail."""
    try:
        path = promtool.find()
    except promtool.NoPromtool as reason:
        pytest.skip(str(reason))
    configure(nginx, 2, main="profiler on; profiler_period 1s;"
              "profiler_types cpu heap stall wall;"
              f"profiler_store {nginx.prefix}/store;"
              f"profiler_upload pyroscope http://127.0.0.1:{free_port()};")
    nginx.start()
    text = wait_until(
        lambda: re.search(rb"(?s).*nginx_profiler_uploads_total\{.*", nginx.get(
            "/debug/pprof/status?format=prometheus").body), "uploads")[0]
    done = subprocess.run([path, "check", "metrics"], input=text,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == b"", done.stderr


def test_status_of_the_instance(served):
    status = served.get("/debug/pprof/status").json()
    assert {w["pid"] for w in status["instance"]["workers"]} == set(
        served.workers())
    assert all(w["state"] == "current"
               for w in status["instance"]["workers"])
    assert status["worker"] in served.workers()
    assert re.fullmatch("[0-9a-f]{40}", status["build_id"])
    assert status["server"].startswith("nginx/")
    assert re.fullmatch(r"\d+\.\d+\.\d+", status["version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", status["libunwind"])
    text = served.get("/debug/pprof/status?format=prometheus").text
    for name in ("version", "build_id", "server", "libunwind"):
        assert f'{name}="{status[name]}"' in text


def test_memory_of_the_profiler(served):
    """By what holds it, as JSON and as metrics."""
    parts = ("rings", "tables", "symbols", "uploads")

    def own():
        # any worker answers; it has samples of its own work then
        assert served.get("/debug/pprof/profile?seconds=1").status == 200
        memory = served.get("/debug/pprof/status").json()["own_memory"]
        return all(memory[name] > 0 for name in parts[:3]) and memory

    memory = wait_until(own, "some of it is used")
    assert memory["uploads"] == 0
    assert memory["sum"] == sum(memory[name] for name in parts)
    instance = served.get("/debug/pprof/status").json()["instance"]
    assert instance["shared_memory"] >= instance["history"]["bytes"]
    text = served.get("/debug/pprof/status?format=prometheus").text
    for pid in served.workers():
        for name in parts:
            assert (f'nginx_profiler_memory_bytes{{worker="{pid}",of="{name}"}}'
                    in text)
    assert "nginx_profiler_shared_memory_bytes " in text
    assert "nginx_profiler_store_bytes 0\n" in text


def test_cpu_of_the_profiler_has_all_of_its_threads(nginx):
    """The one that uploads, too, whatever becomes of that."""
    configure(nginx, 1, main="profiler on; profiler_period 1s;"
              f"profiler_upload pyroscope http://127.0.0.1:{free_port()};")
    nginx.start()
    cost = wait_until(
        lambda: (lambda cost: cost["upload_thread_ns"] > 0 and cost)(
            nginx.get("/debug/pprof/status").json()["cost"]), "it uploads")
    threads = sum(cost[f"{name}_thread_ns"] for name in (
        "profiler", "export", "looker", "trace", "upload"))
    assert threads <= cost["own_cpu_ns"]
    assert (cost["own_cpu_ns"] - threads
            >= cost["handler_runs"] * cost["handler_ns"] * 0.9)
    wait_until(lambda: re.search(
        r'thread_cpu_seconds_total\{worker="\d+",thread="upload"\} 0?\.?\d*[1-9]',
        nginx.get("/debug/pprof/status?format=prometheus").text), "a metric")


def test_status_when_it_is_off(nginx):
    nginx.write_conf(modules=PROFILER,
                     server="location /p/ { profiler_endpoint; }")
    nginx.start()
    answer = nginx.get("/p/status?format=prometheus")
    assert answer.status == 200
    assert answer.text.endswith("nginx_profiler_up 0\n")


GO = shutil.which("go") or (
    "/usr/local/go/bin/go" if os.path.exists("/usr/local/go/bin/go") else None)


def pprof(nginx, *arguments):
    """What `go tool pprof` prints."""
    done = subprocess.run(
        [GO, "tool", "pprof", *arguments], capture_output=True, text=True,
        check=False, env={**os.environ, "PPROF_TMPDIR": str(nginx.prefix)})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(GO is None, reason="there is no Go toolchain")
def test_go_tool_pprof(served):
    base = f"http://127.0.0.1:{served.port}/debug/pprof"
    with Sorting(served, 2):
        raw = pprof(served, "-raw", "-seconds", "2", f"{base}/profile")
        assert "bubble_sort" in raw
        assert "samples/count cpu/nanoseconds" in raw
        old = served.prefix / "old.pb.gz"
        old.write_bytes(served.get("/debug/pprof/profile?seconds=1").body)
        diff = pprof(served, "-top", "-diff_base", str(old), "-seconds", "2",
                     f"{base}/profile")
        assert "bubble_sort" in diff
    for path in ("heap", "allocs", "goroutine", "mutex", "threadcreate"):
        # nothing in it, and no error
        pprof(served, "-raw", f"{base}/{path}")
