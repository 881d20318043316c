"""The profiler at 999 Hz in a worker that other code makes life hard in."""

import re
import threading
import time
from pathlib import Path

import pytest

from hostile_company import (ALTSTACK, ENDPOINT, LEAST_ALTSTACK, LOCK,
                             PROFILER, RESOLVE, SIGPROF, SPAWN, SWAP, THROW,
                             status, trouble)
from nginx_instance import PATIENCE, SAN_PRELOAD, Load, alive, wait_until
from pprof_profile import Profile

JEMALLOC = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")

# what a stack that has the first name must have above it, and in that order
BELONGS = {
    "swapped_a_leaf": ("swapped_a_middle", "swapped_a_burn"),
    "swapped_b_leaf": ("swapped_b_middle", "swapped_b_burn"),
    "crash_handler": ("raise",),
}

pytestmark = pytest.mark.skipif(
    bool(SAN_PRELOAD), reason="the plug-in is not built with a sanitizer")


@pytest.fixture
def hostile(nginx, hostile_plugin):
    """An nginx that is not started yet, with the hostile plug-in in the event
    loop (/hostile) and in a pool of three threads (/pool)."""
    nginx.write_conf(
        modules=PROFILER,
        main="profiler on; profiler_types cpu wall heap stall;"
        "profiler_rate 999; profiler_heap_interval 1k; thread_pool pool threads=3;",
        http=f"count_plugin hostile {hostile_plugin};",
        server=f"""{ENDPOINT}
        location /x {{ return 200 x; }}
        location /hostile {{ count; count_sort hostile; }}
        location /pool {{ count; count_sort hostile; count_threads pool; }}""")
    return nginx


def short_name(name):
    """The name of a function without namespaces and parameters."""
    return name.replace("(anonymous namespace)::", "").split("(")[0]


def stacks_of(profile):
    """(names leaf first, count) of each sample."""
    return [([short_name(name) for name in names], values[0])
            for names, _, values in profile.samples]


def check_frames(stacks):
    """No stack has frames that can't belong together."""
    for names, _ in stacks:
        swapped = {name[:len("swapped_x")] for name in names
                   if name.startswith("swapped_")}
        assert len(swapped) <= 1, names
        for leaf, callers in BELONGS.items():
            if leaf in names and "[truncated]" not in names:
                above = names[names.index(leaf) + 1:]
                assert [n for n in above if n in callers] == list(callers), \
                    names


def profile_during(nginx, action, seconds):
    """Stacks of the CPU profile of the time that action() takes, which must
    be less than those seconds by one."""
    answers = []
    reader = threading.Thread(target=lambda: answers.append(nginx.get(
        f"/debug/pprof/profile?seconds={seconds}",
        timeout=PATIENCE + 2 * seconds)))
    reader.start()
    time.sleep(0.2)
    action()
    reader.join()
    assert answers[0].status == 200
    return stacks_of(Profile(answers[0].body).check())


def in_threads(*actions):
    """Runs them all at once; the first failure of one is ours."""
    failures = []

    def run(action):
        try:
            action()
        except BaseException as failure:  # handed to the test's thread
            failures.append(failure)

    running = [threading.Thread(target=run, args=(a,)) for a in actions]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]


def count_with(stacks, *names):
    return sum(count for stack, count in stacks
               if all(name in stack for name in names))


def trouble_loop(nginx, seconds, *whats):
    """Troubles the event loop in turns: between them it takes requests."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for what in whats:
            trouble(nginx, what, 150)


def same_worker(nginx, worker):
    """The worker lives, and has lost no thread of ours to a lock."""
    assert nginx.worker == worker
    before = status(nginx)["cpu"]["samples"]
    trouble(nginx, THROW, 300)
    wait_until(lambda: status(nginx)["cpu"]["samples"] > before + 10,
               "samples afterwards")


def test_libraries_that_take_each_others_place(hostile, long_run):
    """In the event loop and in a pool's threads, with exceptions and the
    resolver in others; the loader's and the unwinder's locks are all busy."""
    seconds = 60 if long_run else 4
    hostile.start()
    worker = hostile.worker
    ms = (seconds - 1) * 1000

    stacks = profile_during(hostile, lambda: in_threads(
        lambda: trouble_loop(hostile, seconds - 1, SWAP),
        lambda: trouble(hostile, THROW, ms, "/pool"),
        lambda: trouble(hostile, RESOLVE, ms, "/pool"),
        lambda: trouble(hostile, RESOLVE, ms, "/pool")), seconds)

    check_frames(stacks)
    swaps = {name: count_with(stacks, f"swapped_{name}_leaf")
             for name in "ab"}
    assert min(swaps.values()) > 20, swaps
    rooted = {name: count_with(stacks, f"swapped_{name}_leaf", "_start")
              for name in "ab"}
    assert sum(rooted.values()) > 0.9 * sum(swaps.values()), (rooted, swaps)
    same_worker(hostile, worker)


@pytest.mark.parametrize("path", ["/hostile", "/pool"])
def test_exceptions_in_samples(hostile, path):
    hostile.start()
    worker = hostile.worker
    stacks = profile_during(
        hostile, lambda: trouble(hostile, THROW, 1500, path), 2)
    check_frames(stacks)
    root = "_start" if path == "/hostile" else "start_thread"
    thrown = count_with(stacks, "hostile_throw")
    assert thrown > 100
    assert count_with(stacks, "hostile_throw", root) > 0.99 * thrown
    same_worker(hostile, worker)


def test_children_know_nothing_of_the_profiler(hostile, long_run):
    """fork(), vfork(), system(), popen(), posix_spawn(): each child ends as it
    was told to, has no thread but its own, and no signal kills it."""
    hostile.start()
    worker = hostile.worker
    trouble(hostile, SPAWN, 60000 if long_run else 2500)
    same_worker(hostile, worker)


@pytest.mark.parametrize("what", [ALTSTACK, LEAST_ALTSTACK])
def test_small_alternate_stacks(hostile, what):
    """What of them can't be seen is cut, not guessed."""
    hostile.start()
    worker = hostile.worker
    stacks = profile_during(hostile, lambda: trouble(hostile, what, 1500), 2)
    check_frames(stacks)
    assert count_with(stacks, "burn_ms") > 100
    same_worker(hostile, worker)


def test_loader_that_is_locked(hostile):
    """Samples wait in the ring, as many as it holds, and no thread waits for
    ours."""
    hostile.start()
    worker = hostile.worker
    stacks = profile_during(hostile, lambda: in_threads(
        lambda: trouble(hostile, LOCK, 700, "/pool"),
        lambda: [hostile.get("/x") for _ in range(100)]), 2)
    assert count_with(stacks, "hold_ms", "start_thread") > 5
    same_worker(hostile, worker)


def test_handler_that_is_replaced(hostile):
    """Whoever takes the signal after us has it; status says so, and the
    timers that would flood the new handler are gone."""
    hostile.start()
    worker = hostile.worker
    trouble(hostile, SIGPROF, 300)
    degraded = wait_until(lambda: status(hostile)["cpu"]["degraded"],
                          "the loss is noticed")
    assert "signal 27" in degraded, degraded
    assert "notify:" not in Path(f"/proc/{worker}/timers").read_text()
    assert hostile.get("/debug/pprof/profile?seconds=1").status == 200
    assert hostile.worker == worker


def test_all_at_once(hostile, long_run):
    seconds = 120 if long_run else 4
    hostile.start()
    worker = hostile.worker
    stacks = profile_during(hostile, lambda: in_threads(
        lambda: trouble_loop(hostile, seconds - 1, SWAP, THROW, SPAWN, ALTSTACK,
                             LEAST_ALTSTACK),
        *(lambda what=what: trouble(hostile, what, (seconds - 1) * 1000,
                                    "/pool")
          for what in (THROW, RESOLVE, THROW))), seconds + 2)
    check_frames(stacks)
    same_worker(hostile, worker)


# modules of others

def test_cxx_module_keeps_its_unwinder(nginx, neighbour_module):
    """Loaded after ours, it is bound to libgcc, not to our libunwind."""
    nginx.write_conf(
        modules=(*PROFILER, neighbour_module), main="profiler on;",
        server=f"{ENDPOINT} location /neighbour {{ neighbour; }}")
    nginx.start()
    maps = Path(f"/proc/{nginx.worker}/maps").read_text()
    assert "libunwind" in maps
    with Load(nginx, "/neighbour", rate=50) as load:
        profile = Profile(nginx.get("/debug/pprof/profile?seconds=2").body)
    assert not load.failures and load.done > 20
    caught, resume, raised, _ = nginx.get("/neighbour").text.split()
    assert caught == "1000"
    assert "libgcc_s.so" in resume and "libgcc_s.so" in raised
    stacks = stacks_of(profile.check())
    assert count_with(stacks, "ngx_http_neighbour_handler", "_start") > 20


def test_sigprof_of_a_neighbour(nginx, neighbour_module):
    """It keeps its signals, and we take another one."""
    nginx.write_conf(
        modules=(*PROFILER, neighbour_module), main="profiler on;",
        http="neighbour_sigprof on;",
        server=f"{ENDPOINT} location /neighbour {{ neighbour; }}")
    nginx.start()
    with Load(nginx, "/neighbour", rate=50):
        profile = Profile(nginx.get("/debug/pprof/profile?seconds=2").body)
    signals = int(nginx.get("/neighbour").text.split()[3])
    assert signals > 20
    stacks = stacks_of(profile.check())
    assert count_with(stacks, "ngx_http_neighbour_handler") > 20
    timers = Path(f"/proc/{nginx.worker}/timers").read_text()
    assert re.findall(r"signal: (\d+)/", timers)
    assert "signal: 27/" not in timers


def test_preloaded_allocator(hostile):
    if not JEMALLOC.exists():
        pytest.skip("libjemalloc2 is not installed")
    hostile.start(environment={"LD_PRELOAD": str(JEMALLOC)})
    assert JEMALLOC.name in Path(f"/proc/{hostile.worker}/maps").read_text()
    worker = hostile.worker
    stacks = profile_during(
        hostile, lambda: trouble(hostile, THROW, 1500), 2)
    assert count_with(stacks, "hostile_throw", "_start") > 100
    cpu = status(hostile)["cpu"]
    assert cpu["complete"] > 0.99 * cpu["samples"], cpu
    same_worker(hostile, worker)
    assert alive(worker)
