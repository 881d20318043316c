"""The endpoint speaks for all workers of an instance, through reloads."""

import concurrent.futures
import math
import os
import pwd
import random
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nginx_instance import (ALGORITHMS, LONG, Load, alive, maps,
                            wait_until)
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
RANDOM = random.Random(5)
NUMBERS = " ".join(str(RANDOM.randint(-2**62, 2**62)) for _ in range(3000))
# a bubble sort that outlasts the windows of a test by far
MANY = " ".join(str(RANDOM.randint(-2**62, 2**62)) for _ in range(100000))


def configure(nginx, workers, main="profiler on; profiler_types cpu wall stall;",
              server=""):
    nginx.write_conf(
        modules=PROFILER, main=main, workers=workers,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
             "client_max_body_size 64m; client_body_buffer_size 4m;",
        server="location /v1 { count; count_sort v1; }"
               "location /debug/pprof/ { profiler_endpoint; }" + server)


class Sorting(Load):
    """Sorts without pause from so many clients, while it lasts."""

    def __init__(self, nginx, clients):
        super().__init__(nginx, "/v1", rate=math.inf, method="POST",
                         body=NUMBERS, clients=clients)

    def __exit__(self, *what):
        super().__exit__(*what)
        assert self.failures == []


def profile_of(answer):
    assert answer.status == 200, answer
    return Profile(answer.body).check()


def main_cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0])


@pytest.mark.parametrize("workers", [2, 8])
def test_a_profile_is_of_all_workers(nginx, workers):
    """What the event loops burned is in it, whichever worker answers; and the
    profiles of single workers add up to it."""
    configure(nginx, workers)
    nginx.start()
    pids = nginx.workers()
    with Sorting(nginx, workers), \
            concurrent.futures.ThreadPoolExecutor(workers + 1) as readers:
        time.sleep(1.5)
        before = sum(map(main_cpu_ns, pids))
        # the loops that take these have sorts to do, maybe on one processor
        whole = readers.submit(nginx.get, "/debug/pprof/profile?seconds=4",
                               timeout=120)
        single = [readers.submit(
            nginx.get, f"/debug/pprof/profile?seconds=4&worker={pid}",
            timeout=120) for pid in pids]
        merged = profile_of(whole.result())
        spent = sum(map(main_cpu_ns, pids)) - before
        each = [profile_of(answer.result()) for answer in single]
    seen = sum(v[1] for _, labels, v in merged.samples
               if labels.get("thread") == "main")
    # a worker that gets no processor answers late: its window is another one
    assert 0.3 * spent < seen < 1.5 * spent, (seen, spent)
    assert all(p.total(1) > 0 for p in each)
    # of one worker alone it would be a half, or an eighth
    total = sum(p.total(1, "bubble_sort") for p in each)
    assert merged.total(1, "bubble_sort") > 0.6 * total


def test_a_stuck_worker_answers(nginx):
    """Its profiler thread does, while its event loop sorts for seconds."""
    configure(nginx, 2)
    nginx.start()
    with concurrent.futures.ThreadPoolExecutor(1) as client:
        sorting = client.submit(nginx.post, "/v1", MANY, timeout=300)
        before = {pid: main_cpu_ns(pid) for pid in nginx.workers()}
        stuck = wait_until(
            lambda: [pid for pid in before
                     if main_cpu_ns(pid) - before[pid] > 2e8],
            "one sorts")[0]
        merged = profile_of(nginx.get("/debug/pprof/profile?seconds=1"))
        alone = profile_of(nginx.get(
            f"/debug/pprof/profile?seconds=1&worker={stuck}"))
        answering = next(pid for pid in before if pid != stuck)
        other = profile_of(nginx.get(
            f"/debug/pprof/profile?seconds=1&worker={answering}"))
        assert sorting.result().status == 200
    assert merged.total(0, "bubble_sort") > 0
    assert alone.total(0, "bubble_sort") > 0
    assert other.total(0, "bubble_sort") == 0


def test_one_worker_by_its_pid(nginx):
    configure(nginx, 2)
    nginx.start()
    answer = nginx.get("/debug/pprof/profile?seconds=1&worker=1")
    assert answer.status == 404
    assert answer.headers["X-Go-Pprof"] == "1"
    for wrong in ("0", "-1", "x", "99999999999"):
        answer = nginx.get(f"/debug/pprof/profile?seconds=1&worker={wrong}")
        assert answer.status == 400
        assert answer.headers["X-Go-Pprof"] == "1"


def instance_of(nginx):
    return nginx.get("/debug/pprof/status").json()["instance"]


def wall_of_the_others(nginx):
    """While workers are stopped: it is asked again where the kernel woke one of
    them for the connection, which would wait for it."""
    answer = None
    for _ in range(20):
        try:
            answer = nginx.get("/debug/pprof/wall?seconds=1", timeout=15)
            break
        except OSError:
            continue
    return profile_of(answer)


def test_a_stopped_worker_is_left_out(nginx):
    configure(nginx, 2)
    nginx.start()
    stopped, other = nginx.workers()
    assert instance_of(nginx)["answers_missing"] == 0
    os.kill(stopped, signal.SIGSTOP)
    try:
        profile = wall_of_the_others(nginx)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert profile.total(1) > 0
    alone = profile_of(nginx.get(
        f"/debug/pprof/wall?seconds=1&worker={stopped}"))
    assert alone.total(1) > 0
    assert alive(other)
    missing = instance_of(nginx)["answers_missing"]
    assert missing > 0
    found = re.search(r"^nginx_profiler_answers_missing_total (\d+)$", nginx.get(
        "/debug/pprof/status?format=prometheus").text, re.M)
    assert int(found.group(1)) >= missing
    assert instance_of(nginx)["workers_lost"] == 0


def test_stopped_workers_take_no_more_time_than_one(nginx):
    configure(nginx, 6)
    nginx.start()
    stopped = nginx.workers()[1:]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        # four seconds, and not for each of them
        assert wall_of_the_others(nginx).total(1) > 0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_capture_through_reloads(nginx):
    """Two reloads within a window: nothing that was counted is missing, of
    workers that left meanwhile either."""
    configure(nginx, 2)
    nginx.start()
    cpu = {}
    stop = threading.Event()

    def watch():
        while not stop.wait(0.02):
            for pid in nginx.workers(draining=True):
                try:
                    now = main_cpu_ns(pid)
                except OSError:
                    continue
                first = cpu.get(pid, (now if not cpu_started else 0, now))[0]
                cpu[pid] = (first, now)

    cpu_started = []
    seconds = 20 if LONG else 8
    with concurrent.futures.ThreadPoolExecutor(1) as reader, \
            Sorting(nginx, 2):
        for pid in nginx.workers():
            now = main_cpu_ns(pid)
            cpu[pid] = (now, now)
        cpu_started.append(True)
        watcher = threading.Thread(target=watch)
        watcher.start()
        answer = reader.submit(nginx.get,
                               f"/debug/pprof/profile?seconds={seconds}",
                               timeout=seconds + 60)
        for _ in range(2):
            time.sleep(0.42 * seconds)
            nginx.reload()
        profile = profile_of(answer.result())
        stop.set()
        watcher.join()
    assert len(cpu) == 6, cpu
    spent = sum(last - first for first, last in cpu.values())
    seen = sum(v[1] for _, labels, v in profile.samples
               if labels.get("thread") == "main")
    assert 0.4 * spent < seen < 1.5 * spent, (seen, spent)
    assert all(value >= 0 for _, _, values in profile.samples
               for value in values)


def test_a_draining_worker_is_labelled(nginx):
    """It works on after a reload, for the request that it has."""
    configure(nginx, 1)
    nginx.start()
    old = nginx.worker
    with concurrent.futures.ThreadPoolExecutor(1) as client:
        sorting = client.submit(nginx.post, "/v1", MANY, timeout=300)
        before = main_cpu_ns(old)
        wait_until(lambda: main_cpu_ns(old) - before > 2e8, "it sorts")
        nginx.signal(signal.SIGHUP)
        wait_until(lambda: len(nginx.workers(draining=True)) == 2,
                   "a new worker")
        profile = profile_of(nginx.get("/debug/pprof/profile?seconds=2"))
        assert sorting.result().status == 200
    sorts = [labels for names, labels, _ in profile.samples
             if "bubble_sort" in names]
    assert sorts
    assert all(labels["state"] == "draining" for labels in sorts)
    wait_until(lambda: not alive(old), "the old worker leaves")
    later = profile_of(nginx.get("/debug/pprof/profile?seconds=1"))
    assert all("state" not in labels for _, labels, _ in later.samples)


def test_a_killed_worker_is_logged_and_nothing_goes_down(nginx):
    """What it had counted is lost, and nothing is taken off for it."""
    configure(nginx, 2)
    nginx.expect_log("exited on signal 9")
    nginx.start()
    with Sorting(nginx, 2):
        time.sleep(1)
    victim = nginx.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(nginx.workers()) == 2
               and victim not in nginx.workers(), "a new worker")
    nginx.wait_log(f"worker {victim} ended without leaving what it had counted")
    assert instance_of(nginx)["workers_lost"] == 1
    assert ("nginx_profiler_workers_lost_total 1\n" in nginx.get(
        "/debug/pprof/status?format=prometheus").text)
    for query in ("seconds=1", "last=1m"):
        profile = profile_of(nginx.get(f"/debug/pprof/profile?{query}"))
        assert all(value >= 0 for _, _, values in profile.samples
                   for value in values)


def test_two_instances_do_not_mix(new_nginx):
    one, two = new_nginx(), new_nginx()
    for nginx in (one, two):
        configure(nginx, 2)
        nginx.start()
    with Sorting(two, 2):
        profile = profile_of(one.get("/debug/pprof/profile?seconds=2"))
        other = profile_of(two.get("/debug/pprof/profile?seconds=2"))
    assert profile.total(0, "bubble_sort") == 0
    assert other.total(0, "bubble_sort") > 0


def test_many_readers_of_many_workers(nginx):
    configure(nginx, 8)
    nginx.start()
    with concurrent.futures.ThreadPoolExecutor(16) as readers:
        answers = [(seconds, readers.submit(
            nginx.get, f"/debug/pprof/wall?seconds={seconds}"))
            for seconds in (1, 2, 3, 1) * 4]
        for seconds, answer in answers:
            profile = profile_of(answer.result())
            assert profile.proto.duration_nanos / 1e9 >= 0.9 * seconds
            # the event loops of all, all the time
            main = sum(v[1] for _, labels, v in profile.samples
                       if labels.get("thread") == "main")
            assert main > 4 * 1e9 * seconds, (main, seconds)


def test_the_past_is_answered_at_once(nginx):
    configure(nginx, 2, main="profiler on; profiler_period 2s;")
    nginx.start()
    with Sorting(nginx, 2):
        time.sleep(7)
    begin = time.monotonic()
    profile = profile_of(nginx.get("/debug/pprof/profile?last=1m"))
    assert time.monotonic() - begin < 5
    assert profile.total(0, "bubble_sort") > 100
    assert profile.proto.duration_nanos > 4e9
    now = time.time()
    middle = profile_of(nginx.get(
        f"/debug/pprof/profile?from={now - 6:.0f}&to={now - 2:.0f}"))
    assert 0 < middle.total(0, "bubble_sort") < profile.total(0, "bubble_sort")
    start = middle.proto.time_nanos / 1e9
    assert now - 9 < start < now - 3
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 6))
    again = profile_of(nginx.get(f"/debug/pprof/profile?from={text}"))
    assert again.total(0, "bubble_sort") > 0
    # a reload takes the history with it
    nginx.reload(wait_for_old=True)
    later = profile_of(nginx.get("/debug/pprof/profile?last=1m"))
    assert later.total(0, "bubble_sort") >= profile.total(0, "bubble_sort")
    answer = nginx.get("/debug/pprof/profile?from=1000&to=2000")
    assert answer.status == 404
    assert answer.headers["X-Go-Pprof"] == "1"


def test_history_that_is_turned_off_keeps_nothing(nginx):
    configure(nginx, 2, main="profiler on; profiler_period 1s;")
    nginx.start()

    def last_minute():
        return nginx.get("/debug/pprof/profile?last=1m")

    wait_until(lambda: last_minute().status == 200, "something is kept")
    configure(nginx, 2, main="profiler on; profiler_history off;")
    nginx.reload(wait_for_old=True)
    wait_until(lambda: last_minute().status == 404, "it goes")
    assert last_minute().headers["X-Go-Pprof"] == "1"
    history = nginx.get("/debug/pprof/status").json()["instance"]["history"]
    assert history == {"steps": 0, "bytes": 0, "dropped": 0}
    assert profile_of(nginx.get("/debug/pprof/stall?seconds=1"))


@pytest.mark.parametrize("query", [
    "last=0", "last=-1", "last=x", "last=", "from=x", "from=", "to=1",
    "from=2000&to=1000", "last=60s&from=1000", "last=60s&worker=1",
    "from=2026-01-31T25:00:00Z", "from=2026-01-31T12:00:00",
    "from=2026-01-31T12:00:00%2B99:00"])
def test_a_past_that_makes_no_sense(nginx, query):
    configure(nginx, 1)
    nginx.start()
    answer = nginx.get(f"/debug/pprof/profile?{query}")
    assert answer.status == 400, query
    assert answer.headers["X-Go-Pprof"] == "1"


# Opens what it is given, to read or to write; prints what it could open.
OPENER = """
import os, sys
for path in sys.argv[1:]:
    for flags in (os.O_RDONLY, os.O_RDWR):
        try:
            os.close(os.open(path, flags))
            print(path)
        except PermissionError:
            pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users")
def test_what_workers_share_is_out_of_reach_of_other_users(nginx):
    """The memory file and the directory, by the processes that have them; no
    file system has them."""
    configure(nginx, 2)
    nginx.start()
    paths = []
    for pid in (nginx.master, *nginx.workers()):
        shared = [entry for entry in Path(f"/proc/{pid}/fd").iterdir()
                  if os.readlink(entry).startswith("/memfd:nprof-instance")]
        assert len(shared) == 1
        status = shared[0].stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        # in no folder: a file that only these descriptors have
        assert status.st_nlink == 0
        directory = [line.split()[0] for line in maps(pid)
                     if " rw-s " in line and "/dev/zero (deleted)" in line]
        assert directory
        paths += [str(shared[0]), f"/proc/{pid}/mem",
                  *(f"/proc/{pid}/map_files/{range}" for range in directory)]

    def opened(uid):
        return subprocess.run(
            [sys.executable, "-c", OPENER, *paths], user=uid, group=uid,
            extra_groups=[], cwd="/", check=True, capture_output=True,
            text=True).stdout.split()

    # the master's user can, so the paths are right
    assert paths[0] in opened(0)
    # neither that nor the workers' user
    assert opened(pwd.getpwnam("daemon").pw_uid) == []
