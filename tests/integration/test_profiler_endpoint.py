"""/debug/pprof/ as HTTP: paths, headers, errors, clients that go away."""

import http.client
import os
import shutil
import subprocess
import time

import pytest

from nginx_instance import ALGORITHMS, fds, wait_until
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"


@pytest.fixture
def profiled(nginx):
    """An nginx with the profiler on and its endpoint."""
    nginx.write_conf(modules=PROFILER, main="profiler on;", server=ENDPOINT)
    return nginx.start()


def test_status_says_what_runs(profiled):
    status = profiled.get("/debug/pprof/status").json()
    assert status["cpu"]["engine"] == "jitter"
    assert status["cpu"]["rate"] == 99
    assert status["cpu"]["degraded"] is None
    assert status["threads"]["unsampled"] == 0
    # main, profiler, looker, nudge, export
    wait_until(lambda: profiled.get("/debug/pprof/status")
               .json()["threads"]["sampled"] == 5, "five threads are sampled")


def test_no_samples_are_no_incomplete_ones(nginx):
    nginx.write_conf(modules=PROFILER, server=ENDPOINT, main="""profiler on;
        profiler_cpu_engine timers; profiler_rate 1;""")
    cpu = nginx.start().get("/debug/pprof/status").json()["cpu"]
    # a thread has its first after a second of CPU time at most
    assert (cpu["completeness"] is None) == (cpu["samples"] == 0), cpu


def test_profile_headers(profiled):
    answer = profiled.get("/debug/pprof/profile?seconds=1")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (answer.headers["Content-Disposition"]
            == 'attachment; filename="profile"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answer.headers["Content-Encoding"] is None


def test_profile_is_not_compressed_twice(nginx):
    nginx.write_conf(modules=PROFILER, main="profiler on;", server=ENDPOINT,
                     http="gzip on; gzip_types *; gzip_min_length 1;")
    nginx.start()
    for path in ("profile?seconds=1", "status", ""):
        answer = nginx.get(f"/debug/pprof/{path}",
                           headers={"Accept-Encoding": "gzip"})
        assert answer.status == 200
        assert answer.headers["Content-Encoding"] is None


@pytest.mark.parametrize("path", ["", "profile", "profile?seconds=20",
                                  "wall", "stall?seconds=20", "symbol",
                                  "cmdline", "status"])
def test_head_answers_at_once(profiled, path):
    def took():
        start = time.monotonic()
        answer = profiled.request("HEAD", f"/debug/pprof/{path}")
        elapsed = time.monotonic() - start
        assert answer.status == 200
        assert answer.body == b""
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return elapsed

    # the best of many: a machine that is busy is late now and then
    wait_until(lambda: took() < 0.05, "an answer within 50 ms")


@pytest.mark.parametrize("path", ["nothing", "profile/", "profile2", "prof",
                                  "profile%20", "%ff", "Profile"])
def test_unknown_profile(profiled, path):
    answer = profiled.get(f"/debug/pprof/{path}")
    assert answer.status == 404
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "Unknown profile\n"


def test_window_over_the_limit(nginx):
    nginx.write_conf(modules=PROFILER, server=ENDPOINT,
                     main="profiler on; profiler_max_seconds 5;")
    nginx.start()
    for seconds in ("6", "99999999999999999"):
        answer = nginx.get(f"/debug/pprof/profile?seconds={seconds}")
        assert answer.status == 400
        assert answer.headers["X-Go-Pprof"] == "1"
        assert "profiler_max_seconds" in answer.text


@pytest.mark.parametrize("seconds", ["", "0", "-1", "abc", "1.5", "1e1",
                                     "99999999999999999999"])
def test_bad_seconds_mean_thirty(profiled, seconds):
    """As in Go: the request waits, and is not refused."""
    with profiled.connect() as sock:
        sock.sendall(f"GET /debug/pprof/profile?seconds={seconds} HTTP/1.1\r\n"
                     "Host: x\r\n\r\n".encode())
        sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert profiled.get("/debug/pprof/status").status == 200


def test_redirect_to_the_slash(profiled):
    answer = profiled.get("/debug/pprof?a=b")
    assert answer.status == 301
    assert answer.headers["Location"].endswith("/debug/pprof/?a=b")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_index_lists_the_paths(profiled):
    answer = profiled.get("/debug/pprof/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for name in ("profile", "wall", "stall", "symbol", "cmdline", "status"):
        assert f'href="{name}"' in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_other_methods(profiled, method):
    assert profiled.request(method, "/debug/pprof/profile",
                            b"x").status == 405
    assert profiled.get("/debug/pprof/status").status == 200


def test_cmdline(profiled):
    arguments = profiled.get("/debug/pprof/cmdline").body.split(b"\0")
    assert arguments[0].endswith(b"nginx")
    assert arguments[1] == b"-p"
    assert str(profiled.conf).encode() in arguments


def test_symbol_names_addresses(profiled):
    """The addresses of a profile's own locations get its own names."""
    assert profiled.get("/debug/pprof/symbol").body == b"num_symbols: 1\n"
    with open(f"/proc/{profiled.worker}/maps", encoding="ascii") as maps:
        text = [line for line in maps if "ngx_http_count_module" in line
                and "r-xp" in line][0]
    base = int(text.split("-")[0], 16) - int(text.split()[2], 16)
    symbols = subprocess.run(
        ["nm", "-C", text.split()[-1]], capture_output=True, check=True,
        text=True).stdout
    address = base + int([line.split()[0] for line in symbols.splitlines()
                          if line.endswith(" count")][0], 16)
    answer = profiled.post("/debug/pprof/symbol",
                           f"{address:#x}+0x1+junk+{address + 1:#x}")
    assert answer.status == 200
    assert answer.text.splitlines() == [
        "num_symbols: 1", f"{address:#x} count", f"{address + 1:#x} count"]


@pytest.mark.parametrize("body,status", [
    (b"", 200), (b"+" * 100000, 200), (b"0x" + b"f" * 5000, 200),
    (b"\0\xff0x12", 200), (b"0x1+" * 250000, 200), (b"x" * 1048577, 413)],
    ids=["empty", "separators", "digits", "binary", "many", "too long"])
def test_symbol_bad_input(profiled, body, status):
    answer = profiled.post("/debug/pprof/symbol", body,
                           content_type="whatever")
    assert answer.status == status
    assert profiled.get("/debug/pprof/status").status == 200


def test_symbol_body_in_a_file(nginx):
    nginx.write_conf(modules=PROFILER, main="profiler on;", server=ENDPOINT,
                     http="client_body_in_file_only clean;")
    nginx.start()
    assert nginx.post("/debug/pprof/symbol", "0x1").body.startswith(
        b"num_symbols: 1\n")


def test_off_is_an_empty_profile(nginx):
    nginx.write_conf(modules=PROFILER, server=ENDPOINT)
    nginx.start()
    start = time.monotonic()
    answer = nginx.get("/debug/pprof/profile?seconds=20")
    assert time.monotonic() - start < 5
    assert answer.status == 200
    profile = Profile(answer.body)
    assert profile.samples == []
    assert profile.types == [("samples", "count"), ("cpu", "nanoseconds")]
    for path, types in (
            ("stall", [("stalls", "count"), ("delay", "nanoseconds")]),
            ("wall", [("samples", "count"), ("wall", "nanoseconds")])):
        answer = nginx.get(f"/debug/pprof/{path}")
        assert (answer.headers["Content-Disposition"]
                == f'attachment; filename="{path}"')
        profile = Profile(answer.body).check()
        assert profile.samples == []
        assert profile.types == types
    assert nginx.get("/debug/pprof/status").json() == {
        "profiler": "off", "reason": "profiler is off in the configuration"}
    assert nginx.get("/debug/pprof/symbol").status == 200


def test_without_the_endpoint_nothing_is_served(nginx):
    nginx.write_conf(modules=PROFILER, main="profiler on;")
    nginx.start()
    assert nginx.get("/debug/pprof/profile?seconds=1").status == 404


def test_exact_location_takes_the_last_component(nginx):
    nginx.write_conf(modules=PROFILER, main="profiler on;",
                     server="location = /x/y/status { profiler_endpoint; }")
    nginx.start()
    assert "cpu" in nginx.get("/x/y/status").json()


def test_client_that_goes_away_frees_its_capture(profiled):
    """More captures than there are places, one after the other."""
    # once the profiler's threads have opened what they keep open
    assert profiled.get("/debug/pprof/profile?seconds=1").status == 200
    before = len(fds(profiled.worker))
    for _ in range(100):
        with profiled.connect() as sock:
            sock.sendall(b"GET /debug/pprof/profile?seconds=60 HTTP/1.0\r\n\r\n")
    wait_until(lambda: len(fds(profiled.worker)) <= before + 2,
               "connections are closed")
    # the profiler's threads still have to give the places back
    wait_until(lambda: profiled.get("/debug/pprof/profile?seconds=1").status
               == 200, "there is a place")


def test_captures_at_once(profiled):
    """Sixteen readers with windows of their own; none is told to wait."""
    readers = []
    for seconds in (1, 2, 3, 1) * 4:
        connection = http.client.HTTPConnection("127.0.0.1", profiled.port,
                                                timeout=20)
        connection.request("GET",
                           f"/debug/pprof/profile?seconds={seconds}")
        readers.append((seconds, connection))
    for seconds, connection in readers:
        answer = connection.getresponse()
        assert answer.status == 200
        profile = Profile(answer.read()).check()
        assert abs(profile.proto.duration_nanos / 1e9 - seconds) < 1
        connection.close()


def test_too_many_captures_are_refused(profiled):
    sockets = []
    for _ in range(70):
        sock = profiled.connect()
        sock.sendall(b"GET /debug/pprof/profile?seconds=60 HTTP/1.0\r\n\r\n")
        sockets.append(sock)
    wait_until(
        lambda: profiled.error_log().count("could not start a job") >= 6,
        "six captures are refused")
    for sock in sockets:
        sock.close()
    wait_until(lambda: profiled.get("/debug/pprof/status").status == 200,
               "places are free again")


@pytest.mark.parametrize("conf,reason", [
    ("location /a/ { profiler_endpoint; profiler_endpoint; }",
     '"profiler_endpoint" directive is duplicate'),
    ("location @a { profiler_endpoint; }",
     '"profiler_endpoint" directive is not allowed in a named location'),
    ("location ~ /a { profiler_endpoint; }",
     '"profiler_endpoint" directive is not allowed in a location given by a'),
    ("location /a/ { if ($args) { profiler_endpoint; } }",
     '"profiler_endpoint" directive is not allowed here'),
])
def test_refused_locations(nginx, conf, reason):
    nginx.write_conf(modules=PROFILER, server=conf)
    assert reason in nginx.refused_conf()


@pytest.mark.parametrize("directive,reason", [
    ("profiler maybe;", 'invalid value "maybe" in "profiler" directive'),
    ("profiler on; profiler on;", '"profiler" directive is duplicate'),
    ("profiler_rate 0;", "value must be between 1 and 1000"),
    ("profiler_rate 1001;", "value must be between 1 and 1000"),
    ("profiler_rate x;", "invalid number"),
    ("profiler_rate 9; profiler_rate 9;",
     '"profiler_rate" directive is duplicate'),
    ("profiler_max_seconds 0;", "value must be between 1 and 3600"),
    ("profiler_types;", "invalid number of arguments"),
    ("profiler_types cpu cpus;", 'type "cpus" in "profiler_types" directive '
     "is none of cpu, heap, stall and wall"),
    ('profiler_types "";', 'type "" in "profiler_types" directive is none of'),
    ("profiler_types wall cpu wall;",
     'type "wall" in "profiler_types" directive is given twice'),
    ("profiler_types cpu; profiler_types wall;",
     '"profiler_types" directive is duplicate'),
    ("profiler_heap_interval 0;", "value must be 1 or between 1k and 1024m"),
    ("profiler_heap_interval 2;", "value must be 1 or between 1k and 1024m"),
    ("profiler_heap_interval 1025m;",
     "value must be 1 or between 1k and 1024m"),
    ("profiler_heap_interval x;", "invalid value"),
    ("profiler_heap_interval 1m; profiler_heap_interval 2m;",
     '"profiler_heap_interval" directive is duplicate'),
    ("profiler_stall_threshold 0;", "value must be between 1ms and 60s"),
    ("profiler_stall_threshold 61s;", "value must be between 1ms and 60s"),
    ("profiler_stall_threshold x;", "invalid value"),
    ("profiler_stall_threshold 1s; profiler_stall_threshold 1s;",
     '"profiler_stall_threshold" directive is duplicate'),
    ("profiler_cpu_engine perf;",
     'invalid value "perf" in "profiler_cpu_engine" directive, it must be '
     '"timers" or "jitter"'),
    ("profiler_cpu_engine timers; profiler_cpu_engine jitter;",
     '"profiler_cpu_engine" directive is duplicate'),
    ("profiler_cpu_engine;",
     'invalid number of arguments in "profiler_cpu_engine" directive'),
    ("events { profiler_cpu_engine timers; }",
     '"profiler_cpu_engine" directive is not allowed here'),
])
def test_refused_directives(nginx, directive, reason):
    nginx.write_conf(modules=PROFILER, main=directive)
    assert reason in nginx.refused_conf()


GO = shutil.which("go") or (
    "/usr/local/go/bin/go" if os.path.exists("/usr/local/go/bin/go") else None)


@pytest.mark.skipif(GO is None, reason="there is no Go toolchain")
def test_go_tool_pprof_reads_the_url(nginx):
    nginx.write_conf(
        modules=PROFILER, main="profiler on;",
        server=ENDPOINT + "location = /count { count; count_sort v1; }",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;")
    nginx.start()
    base = f"http://127.0.0.1:{nginx.port}/debug/pprof/profile"
    top = subprocess.Popen([GO, "tool", "pprof", "-top", "-seconds", "3",
                            base], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True,
                           env={**os.environ,
                                "PPROF_TMPDIR": str(nginx.prefix)})
    numbers = " ".join(str(i * 7919 % 4001) for i in range(4000))
    while top.poll() is None:
        assert nginx.post("/count", numbers).status == 200
    output = top.stdout.read()
    assert top.returncode == 0, output
    assert "File: nginx" in output
    assert "bubble_sort" in output.split("cum%")[1].splitlines()[1], output
