"""Where time goes: wall profiles, and what they cost an idle worker."""

import os
import time

import pytest

from nginx_instance import LONG, threads
from pprof_profile import Profile
from test_profiler_stall import (BURN, POLL, SLEEP, Capture, block, blocking,
                                 configure, status)

WALL = "profiler_types wall;"

__all__ = ["blocking"]  # a fixture


def cpu_ns(pid):
    """CPU time of all threads of a process so far."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def sleeps(pid):
    """How often the main thread of a process has gone to sleep so far."""
    with open(f"/proc/{pid}/task/{pid}/status", encoding="ascii") as text:
        return int([line for line in text
                    if line.startswith("voluntary_ctxt")][0].split()[1])


def by_thread(profile):
    found = {}
    for _, labels, values in profile.samples:
        name = labels["thread"]
        found[name] = found.get(name, 0) + values[1]
    return found


def test_sums_to_the_threads_times_the_window(nginx, blocking):
    """Of an idle worker with pool threads; each is seen where it waits."""
    configure(nginx, blocking, WALL)
    time.sleep(1.5)
    profile = Profile(
        nginx.get("/debug/pprof/wall?seconds=3").body).check()
    window = profile.proto.duration_nanos
    assert profile.types == [("samples", "count"), ("wall", "nanoseconds")]
    assert abs(window - 3e9) < 0.5e9
    spent = by_thread(profile)
    # main, two pool threads, and ours
    counts = {"main": 1, "nginx": 2, "nprof-profiler": 1, "nprof-export": 1}
    if "cpu" in status(nginx):
        counts |= {"nprof-looker": 1, "nprof-nudge": 1}
    assert set(spent) == set(counts)
    for name, count in counts.items():
        assert abs(spent[name] - count * window) < 0.01 * window, spent
    for stack, labels, _ in profile.samples:
        if labels["thread"] == "main":
            assert stack[-1] == "_start"
        else:
            assert stack[-1] == "start_thread", stack
    idle = profile.total(1, "epoll_wait", "ngx_process_events_and_timers")
    assert idle > 0.95 * window
    assert profile.total(1, "ngx_thread_cond_wait") > 1.95 * window
    waiting = [stack for stack, labels, _ in profile.samples
               if labels["thread"] == "nprof-profiler"]
    assert all("profiler_thread_main" in stack for stack in waiting)


def test_what_a_thread_waits_for(nginx, blocking):
    """A second in sleep and poll, and as long on the processor, without a
    thread pool: each has about that in the profile."""
    configure(nginx, blocking, WALL)
    time.sleep(1.5)
    with Capture(nginx, "wall", seconds=5) as capture:
        took = {how: sum(block(nginx, how, 100 + 37 * i) for i in range(6))
                for how in (SLEEP, POLL, BURN)}
    profile = capture.profile
    for how, name in ((SLEEP, "block_in_sleep"), (POLL, "block_in_poll"),
                      (BURN, "block_in_burn")):
        seen = profile.total(1, name, "count")
        # a gap of 100 ms at each of 12 edges, evenly distributed; and larger
        # ones while there is no processor to look with
        assert abs(seen - took[how]) < 0.1e9 + 0.6 * took[how], (
            name, seen, took)
    main = by_thread(profile)["main"]
    # the last gap of a window whose sample comes late is in the next one
    assert abs(main - profile.proto.duration_nanos) < 0.3e9
    for stack, labels, _ in profile.samples:
        if labels["thread"] == "main" and stack != ["[lost]"]:
            assert stack[-1] == "_start", stack
    lost = sum(values[1] for stack, _, values in profile.samples
               if stack == ["[lost]"])
    assert lost < 0.05 * main


def test_pool_threads_that_run(nginx, blocking):
    """nginx's pool threads, which block all signals."""
    configure(nginx, blocking, WALL)
    numbers = " ".join(str(i * 7919 % 100003) for i in range(20000))
    time.sleep(1.5)
    with Capture(nginx, "wall", seconds=4) as capture:
        took = sum(nginx.post("/pool", numbers).json()["sort_ns"]
                   for _ in range(3))
    seen = capture.profile.total(1, "bubble_sort", "start_thread")
    assert abs(seen - took) < 0.3e9, (seen, took)


def test_threads_that_come_and_go(nginx, blocking):
    """A reload's threads have slots of others; no time is anybody else's."""
    configure(nginx, blocking, WALL)
    for _ in range(3):
        nginx.reload(wait_for_old=True)
        time.sleep(1.2)
        profile = Profile(nginx.get("/debug/pprof/wall?seconds=1").body)
        window = profile.proto.duration_nanos
        assert profile.total(1) == pytest.approx(
            len(threads(nginx.worker)) * window, rel=0.02)


@pytest.mark.idle
@pytest.mark.parametrize("pool,limit", [(0, 0.001), (30, 0.002)])
def test_idle_worker_is_never_woken(nginx, blocking, pool, limit):
    """With all types: the main thread sleeps on, and a worker without a pool
    costs less than a thousandth of a core."""
    configure(nginx, blocking, "profiler_types cpu wall stall;", pool)
    # threads may name themselves in their first ten seconds
    time.sleep(12.5)
    seconds = 600 if LONG else 20
    worker = nginx.worker
    assert len(threads(worker)) == 5 + pool
    before = sleeps(worker), cpu_ns(worker)
    time.sleep(seconds)
    after = sleeps(worker), cpu_ns(worker)
    assert after[0] == before[0]
    # of 20 seconds the leader's work is a larger part, and so is what others do
    limit *= 1 if LONG else 1.5
    assert (after[1] - before[1]) / 1e9 < limit * seconds
    assert status(nginx)["wall"]["degraded"] is None


def test_sleeps_are_not_cut_short(nginx, blocking):
    """A hundred looks at a thread in poll(): no EINTR ends it early."""
    configure(nginx, blocking, "profiler_types cpu wall stall;")
    for _ in range(4):
        assert block(nginx, POLL, 1500) > 1.5e9


def test_off_is_empty_at_once(nginx, blocking):
    """By default there are no wall profiles: the answer says so, and does not
    wait for the window."""
    configure(nginx, blocking)
    start = time.monotonic()
    for path, types in (
            ("pprof/wall", [("samples", "count"), ("wall", "nanoseconds")]),
            ("fgprof", [("samples", "count"), ("wall", "nanoseconds")])):
        answer = nginx.get(f"/debug/{path}?seconds=10")
        assert answer.status == 200
        assert (answer.headers["Content-Disposition"]
                == 'attachment; filename="wall"')
        profile = Profile(answer.body).check()
        assert profile.samples == []
        assert profile.types == types
    assert time.monotonic() - start < 5
    assert status(nginx)["types"] == ["cpu", "stall", "heap"]
