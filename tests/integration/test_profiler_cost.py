"""What the profiler costs a worker: its memory, and its own account of it."""

import concurrent.futures
import math

import pytest

from nginx_instance import (
    ALGORITHMS,
    LONG,
    SAN_PRELOAD,
    memory,
    threads,
    wait_until,
)

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
BOUND = 8 << 20
NUMBERS = " ".join(str(i * 7919 % 10007) for i in range(3000))


def configure(nginx, profiler, pool_threads):
    nginx.write_file("html/numbers", NUMBERS)
    nginx.write_conf(
        modules=PROFILER,
        main=f"profiler {profiler};"
             f"thread_pool sorters threads={pool_threads};",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server=f"""
        location /count {{
            count; count_sort v1; count_threads sorters;
            count_input {nginx.prefix}/html/numbers;
        }}
        location /1k {{ return 200 {'x' * 1024}; }}
        location /debug/pprof/ {{ profiler_endpoint; }}""")


def load(nginx, pool_threads):
    """Sorts of some 10 ms each, so that each thread of the pool has more than
    one sample, and the event loop some."""
    sorts = pool_threads * (40 if LONG else 8)
    paths = ["/count"] * sorts + ["/1k"] * sorts
    with concurrent.futures.ThreadPoolExecutor(2 * pool_threads) as clients:
        for answer in clients.map(nginx.get, paths):
            assert answer.status == 200


def private_bytes(nginx, profiler, pool_threads):
    """Of the worker after load; no capture was taken."""
    configure(nginx, profiler, pool_threads)
    nginx.start()
    extra = 4 if profiler == "on" else 0
    wait_until(lambda: len(threads(nginx.worker)) == 1 + extra + pool_threads,
               "all threads")
    load(nginx, pool_threads)
    used = memory(nginx.worker)["private"]
    status = nginx.get("/debug/pprof/status").json()
    nginx.stop()
    return used, status


@pytest.mark.skipif(bool(SAN_PRELOAD), reason="a sanitizer has its own memory")
@pytest.mark.parametrize("pool_threads", [32, 120])
def test_private_memory_is_bounded(nginx, pool_threads):
    """With every thread of a pool at work, be there few or many."""
    plain, _ = private_bytes(nginx, "off", pool_threads)
    used, status = private_bytes(nginx, "on", pool_threads)
    assert status["threads"]["sampled"] == pool_threads + 5
    assert status["cpu"]["samples"] > pool_threads
    assert used - plain <= BOUND, (used, plain)


def thread_cpu_ns(nginx, name):
    """CPU time of the worker's thread of that name."""
    for tid, found in threads(nginx.worker).items():
        if found == name:
            path = f"/proc/{nginx.worker}/task/{tid}/schedstat"
            with open(path, encoding="ascii") as stat:
                return int(stat.read().split()[0])
    raise AssertionError(f"no thread {name}")


def looker_cpu_ns(nginx):
    return (thread_cpu_ns(nginx, "nprof-looker")
            + thread_cpu_ns(nginx, "nprof-nudge"))


def test_status_tells_what_it_costs(nginx):
    """The handler's distribution adds up, and the threads' CPU time is what
    the kernel says."""
    configure(nginx, "on", 4)
    nginx.start()
    for _ in range(3):
        load(nginx, 4)
    assert nginx.get("/debug/pprof/profile?seconds=1").status == 200
    before = thread_cpu_ns(nginx, "nprof-profiler")
    looked = looker_cpu_ns(nginx)
    cost = nginx.get("/debug/pprof/status").json()["cost"]
    after = thread_cpu_ns(nginx, "nprof-profiler")
    exported = thread_cpu_ns(nginx, "nprof-export")

    # the last bucket, of runs that were preempted, has no bound
    handler = {bucket["under_ns"] or math.inf: bucket["runs"]
               for bucket in cost["handler"]}
    runs = sum(handler.values())
    # a sample may come while the status is written
    assert 0 <= cost["handler_runs"] - runs <= 2
    assert cost["handler_ns"] > 0
    slower = sum(n for bound, n in handler.items()
                 if bound > cost["handler_p99_ns"])
    assert math.inf in handler or (cost["handler_p99_ns"] in handler
                                   and slower <= 0.01 * runs)

    assert before <= cost["profiler_thread_ns"] <= after
    assert cost["samples"] > 10
    assert cost["sample_ns"] == cost["profiler_thread_ns"] // cost["samples"]
    assert 0 < cost["export_thread_ns"] <= exported
    assert (0 < looked <= cost["looker_thread_ns"]
            <= looker_cpu_ns(nginx))
