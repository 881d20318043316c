"""The profiler as a hostile client, host or neighbour would try it."""

import os
import signal
import subprocess
import threading
import time

import pytest

from nginx_instance import (ALGORITHMS, PATIENCE, SAN_PRELOAD, SOURCE, alive,
                            memory, threads, wait_until)
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"


@pytest.fixture
def profiled(nginx):
    """An nginx with the profiler on and its endpoint."""
    nginx.write_conf(modules=PROFILER, main="profiler on;", server=ENDPOINT)
    return nginx.start()


# clients

@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["", "nothing", "status", "symbol",
                                  "cmdline", "profile?seconds=1"])
def test_body_is_never_taken_for_a_request(profiled, method, path):
    inner = b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: inner\r\n\r\n"
    answer = profiled.raw(
        f"{method} /debug/pprof/{path} HTTP/1.1\r\nHost: x\r\n"
        f"Content-Length: {len(inner)}\r\n\r\n".encode() + inner
        + b"GET /last HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2, answer


@pytest.mark.parametrize("method,path,allowed", [
    ("POST", "", "GET, HEAD"), ("PUT", "profile", "GET, HEAD"),
    ("DELETE", "symbol", "GET, HEAD, POST"), ("POST", "status", "GET, HEAD")])
def test_other_methods_get_an_error_that_pprof_shows(profiled, method, path,
                                                     allowed):
    answer = profiled.request(method, f"/debug/pprof/{path}", b"x")
    assert answer.status == 405
    assert answer.headers["Allow"] == allowed
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "Method not allowed\n"


@pytest.mark.parametrize("location,path", [
    ("location = /x/y/status", "/x/y/status"),
    ("location ^~ /p/", "/p/status"),
    ("location /o/ { location /o/p/", "/o/p/status"),
])
def test_if_and_limit_except_are_of_the_endpoint(nginx, location, path):
    nginx.write_conf(
        modules=PROFILER, main="profiler on;",
        server=location + """ {
            profiler_endpoint;
            if ($args) { set $x 1; }
            limit_except GET { allow all; }
        }""" + "}" * (location.count("{")))
    nginx.start()
    assert "cpu" in nginx.get(path).json()
    assert "cpu" in nginx.get(path + "?a").json()
    for arguments in ("", "?a"):
        assert nginx.request("PUT", path + arguments).status == 405
        assert nginx.request("HEAD", path + arguments).status == 200


# workers that must go

def capture_cut(nginx, cut, seconds=60):
    """The answer to a capture under way, and how long it took from cut()."""
    answers = []
    reader = threading.Thread(target=lambda: answers.append(nginx.get(
        f"/debug/pprof/profile?seconds={seconds}", timeout=PATIENCE)))
    body = " ".join(str(i * 7919 % 4001) for i in range(4000))
    reader.start()
    for _ in range(30):
        assert nginx.post("/v1", body).status == 200
    start = time.monotonic()
    cut()
    reader.join()
    assert answers[0].status == 200
    profile = Profile(answers[0].body).check()
    assert profile.total(0, "bubble_sort") > 10
    assert profile.proto.duration_nanos < 20e9
    return time.monotonic() - start


def configure_v1(nginx, main="profiler on;"):
    nginx.write_conf(
        modules=PROFILER, main=main,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server=f"{ENDPOINT} location /v1 {{ count; count_sort v1; }}")
    return nginx


def test_term_sends_the_partial_profile(nginx):
    configure_v1(nginx).start()
    assert capture_cut(nginx, lambda: nginx.signal(signal.SIGTERM)) < 2
    assert nginx.process.wait(PATIENCE) == 0
    nginx.process = None
    assert "did not stop" not in nginx.error_log()


@pytest.mark.parametrize("timeout", [1, 3])
def test_shutdown_timeout_sends_the_partial_profile(nginx, timeout):
    configure_v1(nginx, main="profiler on; "
                 f"worker_shutdown_timeout {timeout}s;").start()
    old = nginx.worker
    took = capture_cut(nginx, lambda: nginx.signal(signal.SIGHUP))
    assert timeout / 2 - 0.2 < took < timeout + 1
    wait_until(lambda: not alive(old), "the old worker exits")


def test_draining_worker_without_a_timeout_finishes(nginx):
    configure_v1(nginx).start()
    took = capture_cut(nginx, lambda: nginx.signal(signal.SIGHUP), seconds=4)
    assert took > 1


# neighbours in the process

def cpu_status(nginx):
    return nginx.get("/debug/pprof/status").json()["cpu"]


@pytest.mark.parametrize("pool", ["", "count_threads sorters;"])
def test_fiber_whose_neighbour_is_unmapped(nginx, pool):
    """Code on a stack of its own, in a mapping that shrinks meanwhile: its
    samples hold one page, the worker lives, and what the thread does on its
    real stack is unwound whole afterwards. Samples of wall time alone are not
    among those of CPU time."""
    plugin = nginx.prefix / "fiber.so"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O1", "-g", "-shared",
         "-fPIC", f"-I{SOURCE / 'algorithms'}", "-o", plugin,
         SOURCE / "tests" / "plugins" / "fiber_plugin.c"], check=True)
    nginx.write_conf(
        modules=PROFILER, main="profiler on; profiler_types cpu wall;"
        "thread_pool sorters threads=1;",
        http=f"count_plugin fiber {plugin};"
        f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server=f"""{ENDPOINT}
        location /fiber {{ count; count_sort fiber; {pool} }}
        location /v1 {{ count; count_sort v1; {pool} }}""")
    nginx.start()
    time.sleep(1.2)
    for _ in range(4):
        assert nginx.post("/fiber", "3 1 2").json()["min"] == 1
    before = cpu_status(nginx)
    assert 50 < before["no_bounds"] <= before["samples"]

    body = " ".join(str(i * 7919 % 4001) for i in range(4000))
    wait_until(lambda: nginx.post("/v1", body).status == 200
               and cpu_status(nginx)["samples"] - before["samples"] > 60,
               "samples on the real stack")
    after = cpu_status(nginx)
    samples = after["samples"] - before["samples"]
    assert after["complete"] - before["complete"] > 0.9 * samples


# hosts that refuse something

def start_under(nginx, *command):
    """Starts nginx as the program of another command."""
    plain = nginx._command
    nginx._command = lambda *extra: [*command, *plain(*extra)]
    return nginx.start()


def test_no_timers_is_one_warning(nginx):
    nginx.write_conf(modules=PROFILER,
                     main="profiler on; profiler_cpu_engine timers;",
                     server=f"{ENDPOINT} location /x {{ return 200 x; }}")
    start_under(nginx, "prlimit", "--sigpending=0")
    status = nginx.get("/debug/pprof/status").json()
    if status["threads"]["sampled"]:
        pytest.skip("RLIMIT_SIGPENDING does not bind here")
    assert "no timer for the main thread (11: " in status["cpu"]["degraded"]
    assert nginx.error_log().count("no CPU samples") == 1
    assert nginx.get("/x").text == "x"
    answer = nginx.get("/debug/pprof/profile?seconds=1")
    assert Profile(answer.body).samples == []


def test_more_threads_than_slots(nginx):
    """They are counted, nginx works, and idle threads take no memory."""
    conf = {"modules": PROFILER, "server": ENDPOINT}
    pools = "thread_pool a threads=150; thread_pool b threads=150;"
    nginx.write_conf(main="profiler off;" + pools, **conf)
    nginx.start()
    wait_until(lambda: len(threads(nginx.worker)) == 301, "all threads")
    plain = memory(nginx.worker)["anonymous"]
    nginx.write_conf(main="profiler on;" + pools, **conf)
    nginx.reload(wait_for_old=True)
    found = wait_until(
        lambda: nginx.get("/debug/pprof/status").json()["threads"]["unsampled"],
        "more threads than slots")
    assert found == 305 - 256
    assert nginx.get("/debug/pprof/profile?seconds=1").status == 200
    if not SAN_PRELOAD:
        assert memory(nginx.worker)["anonymous"] - plain < 8 << 20
