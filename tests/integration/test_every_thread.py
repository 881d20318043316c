"""CPU profiles have the time of each thread, as that thread's clock has it."""

import math
import time

from nginx_instance import LONG, PATIENCE, threads, wait_until
from test_profiler_stall import BURN, Capture, blocking, configure, status
from test_profiler_wall import by_thread

RATE = 199
BURNT_MS = 20000 if LONG else 3000

# Seconds that it may begin and end later than asked for, and for its answer.
SLACK = 10 if LONG else 5
WAIT = BURNT_MS / 1000 + 5 * PATIENCE

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
    # all of it is in the window, whose ends are late on a busy machine
    with Capture(nginx, "profile", BURNT_MS // 1000 + SLACK) as capture:
        answer = nginx.post("/pool", f"{BURN} {BURNT_MS}", timeout=WAIT)
    assert answer.status == 200
    return clock_ns(nginx.worker, pool) - before, capture.profile


def tolerance(spent):
    """Nanoseconds: 5 %. Where the thread had a part of a processor only, it is
    chance which looks found it running; and while it had none for a while the
    process looked idle."""
    looks = RATE * BURNT_MS / 1000
    part = min(1, spent / BURNT_MS / 1e6)
    deviation = math.sqrt(looks * part * (1 - part)) / RATE * 1e9
    return (0.05 * spent + 4 * deviation
            + (2 * IDLE_GAP_NS if part < 0.9 else 0))


def looks_late(nginx):
    """Nanoseconds that looks stand for that came too late to see a stack."""
    cpu = status(nginx)["cpu"]
    return (cpu["late_looks"] + cpu["missed_looks"]) / RATE * 1e9


def start(nginx, blocking):
    configure(nginx, blocking, f"profiler_rate {RATE};", pool=1)
    nginx.conf.write_text(nginx.conf.read_text().replace(
        "location = /pool { count; count_sort v1;",
        "location = /pool { count; count_sort blocking;"))
    nginx.reload(wait_for_old=True)


def test_pool_thread_that_burns(nginx, blocking):
    """nginx's pool threads block all signals: the profile has their CPU time,
    within 5 % of their clock, and all of it is in the task. In the long tier
    that is without what is lost, but for looks that the machine made late."""
    start(nginx, blocking)
    wait_until(lambda: status(nginx)["threads"]["sampled"] == 6,
               "all threads are sampled")
    late = looks_late(nginx)
    spent, profile = burn_in_pool(nginx)
    late = looks_late(nginx) - late
    error = tolerance(spent)
    assert abs(by_thread(profile)["nginx"] - spent) < error
    seen = profile.total(1, "block_in_burn", "start_thread")
    assert 0 < seen < spent + error, (seen, spent)
    part = min(1, spent / BURNT_MS / 1e6)
    least = spent - late * part if LONG else 0.7 * spent
    assert seen > least - error, (seen, spent, late, error)


def test_thread_that_comes_later(nginx, blocking):
    """Of a worker's threads those that came after the profiler are found by
    its next look at the list of threads, and what they ran before is lost, but
    not forgotten."""
    start(nginx, blocking)
    time.sleep(0.1)
    spent, profile = burn_in_pool(nginx)
    seen = by_thread(profile)["nginx"]
    assert spent - tolerance(spent) - 2 * IDLE_GAP_NS < seen, (seen, spent)
    assert seen < 1.05 * spent + 4 * IDLE_GAP_NS, (seen, spent)
