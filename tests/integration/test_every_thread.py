"""CPU profiles have the time of each thread, as that thread's clock has it."""

import threading
import time

from nginx_instance import LONG, threads, wait_until
from pprof_profile import Profile
from test_profiler_stall import BURN, Capture, blocking, configure, status
from test_profiler_wall import by_thread

BURNT_MS = 20000 if LONG else 4000

__all__ = ["blocking"]  # a fixture


def clock_ns(pid, tid):
    """CPU time of a thread so far."""
    with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as text:
        return int(text.read().split()[0])


# An idle process is looked at so seldom: what its first sample stands for.
IDLE_GAP_NS = 500e6


def pool_thread(nginx):
    pool, = (tid for tid, name in threads(nginx.worker).items()
             if name == "nginx" and tid != nginx.worker)
    return pool


def burn_in_pool(nginx):
    """(CPU time of the only pool thread, the profile of it)"""
    pool = pool_thread(nginx)
    before = clock_ns(nginx.worker, pool)
    with Capture(nginx, "profile", BURNT_MS // 1000 + 3) as capture:
        answer = nginx.post("/pool", f"{BURN} {BURNT_MS}", timeout=100)
    assert answer.status == 200
    return clock_ns(nginx.worker, pool) - before, capture.profile


def look_at_burning_pool(nginx):
    """The same in the middle of a task: the process is not idle when the
    profile begins. A look into each 5 ms of work without a pause is exact, and
    one that comes some milliseconds late is as good."""
    burning = threading.Thread(
        target=nginx.post, args=("/pool", f"{BURN} {BURNT_MS + 4000}"),
        kwargs={"timeout": 100})
    burning.start()
    time.sleep(2)
    before = clock_ns(nginx.worker, pool_thread(nginx))
    answer = nginx.get(f"/debug/pprof/profile?seconds={BURNT_MS // 1000}")
    spent = clock_ns(nginx.worker, pool_thread(nginx)) - before
    burning.join()
    return spent, Profile(answer.body).check()


def start(nginx, blocking):
    configure(nginx, blocking, "profiler_rate 199;", pool=1)
    nginx.conf.write_text(nginx.conf.read_text().replace(
        "location = /pool { count; count_sort v1;",
        "location = /pool { count; count_sort blocking;"))
    nginx.reload(wait_for_old=True)


def test_pool_thread_that_burns(nginx, blocking):
    """nginx's pool threads block all signals: the profile has their CPU time,
    within 5 % of their clock, and what of it is not lost is in the task."""
    start(nginx, blocking)
    wait_until(lambda: status(nginx)["threads"]["sampled"] == 6,
               "all threads are sampled")
    spent, profile = look_at_burning_pool(nginx)
    assert spent > 0.1 * BURNT_MS * 1e6
    assert abs(by_thread(profile)["nginx"] - spent) < 0.05 * spent
    seen = profile.total(1, "block_in_burn", "start_thread")
    assert 0.7 * spent < seen < 1.05 * spent, (seen, spent)


def test_thread_that_comes_later(nginx, blocking):
    """Of a worker's threads those that came after the profiler are found by
    its next look at the list of threads."""
    start(nginx, blocking)
    time.sleep(0.1)
    spent, profile = burn_in_pool(nginx)
    seen = by_thread(profile)["nginx"]
    assert spent - 1.2e9 - 2 * IDLE_GAP_NS < seen, (seen, spent)
    assert seen < 1.05 * spent + 4 * IDLE_GAP_NS, (seen, spent)
