"""Version A and B of the service are swapped by reloads, 100 times, while the
load goes on: no request is lost, and nginx does not grow.

The load has one connection per request; see Load in nginx_instance.py.
"""

import pytest

from nginx_instance import (ALGORITHMS, Load, fds, maps, memory, threads,
                            wait_until)

SWAPS = 100
WARM_UP = 10


def write_conf(nginx, version, pool):
    nginx.write_conf(
        main="thread_pool sorters threads=2;",
        http=f"count_plugin sort {ALGORITHMS}/libsort_v{version}.so;"
             f"count_threads {pool};",
        server="location / { count; count_sort sort; count_input numbers; }",
        log_level="notice", workers=2)


def measure(nginx):
    return {"fds": len(fds(nginx.master)),
            "threads": len(threads(nginx.master)),
            "maps": len(maps(nginx.master))}


def swap(nginx, count, pool):
    for i in range(count):
        write_conf(nginx, 2 - i % 2, pool)
        nginx.reload()
    wait_until(lambda: len(nginx.workers(draining=True)) == 2,
               "old workers exit")


@pytest.mark.parametrize("pool, method", [("off", "GET"), ("sorters", "POST")])
def test_swaps_under_load(nginx, pool, method):
    numbers = " ".join(str(i * 7919 % 1000) for i in range(1000))
    nginx.write_file("conf/numbers", numbers)
    write_conf(nginx, 1, pool)
    nginx.start()

    with Load(nginx, "/", rate=150, method=method,
              body=numbers if method == "POST" else None,
              check=lambda r: r.json()["version"]) as load:
        swap(nginx, WARM_UP, pool)
        before, memory_before = measure(nginx), memory(nginx.master)["anonymous"]
        swap(nginx, SWAPS, pool)
        after, memory_after = measure(nginx), memory(nginx.master)["anonymous"]

    print(f"{load.done} requests, {load.seen}, {before} {after}, "
          f"master {memory_before} {memory_after}")
    assert load.failures == []
    assert load.done > 500
    assert min(load.seen.get(v, 0) for v in ("1.0.0", "2.0.0")) > 100
    assert after == before
    assert memory_after - memory_before < 128 * 1024
