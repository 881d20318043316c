"""What the profiler adds to a worker's own memory."""

import concurrent.futures

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
    """Sorts of some 20 ms each, so that each thread of the pool has more than
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
    extra = 2 if profiler == "on" else 0
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
    assert status["threads"]["sampled"] == pool_threads + 3
    assert status["cpu"]["samples"] > 2 * pool_threads
    assert used - plain <= BOUND, (used, plain)
