"""libnprof alone: its life cycle, in processes that are not nginx."""

import os
import shutil
import subprocess
import sys

import pytest

from nginx_instance import (ALGORITHMS, BUILD, MODULES, PATIENCE, SAN_PRELOAD,
                            SOURCE)

pytestmark = pytest.mark.skipif(
    bool(SAN_PRELOAD), reason="a sanitizer's run-time is nginx's here")


def run(script, *arguments, prefix=()):
    """Runs Python code that has nprof_library's names; what it prints. `prefix`
    is a command that runs another one."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", "from nprof_library import *\n" + script,
         *map(str, arguments)],
        capture_output=True, text=True, timeout=60 + 2 * PATIENCE, check=False,
        cwd=SOURCE / "tests" / "integration",
        # fixed: what is freed goes back to the kernel, whatever was before
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"})
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture
def burner(tmp_path):
    """A shared object with fiber_burn(), half a second of CPU time."""
    path = tmp_path / "burner.so"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O1", "-g", "-shared",
         "-fPIC", f"-I{SOURCE / 'algorithms'}", "-o", path,
         SOURCE / "tests" / "plugins" / "fiber_plugin.c"], check=True)
    return path


def test_prepare_leaves_a_running_profiler_alone(burner):
    """As in a single process that reloads: the modules that frames name stay
    the same ones when another module goes."""
    run("""
import sys, _ctypes
from pprof_profile import Profile
first = _ctypes.dlopen(sys.argv[1], os.RTLD_NOW)
burner = ctypes.CDLL(sys.argv[2])
assert library.prepare() == 0
rc, handle = start()
assert rc == 0
rc, job = job_start(handle, CPU)
for _ in range(4):
    burner.fiber_burn()
_ctypes.dlclose(first)
assert library.prepare() == 0
burner.fiber_burn()
library.job_finish(job)
profile = Profile(job_wait(handle))
assert profile.total(0, "fiber_burn") > 50, profile.samples
assert profiler_stop(handle, 2000) == 0
""", ALGORITHMS / "libsort_v1.so", burner)


@pytest.mark.parametrize("name, who", [
    ("sample/sample_ring", "the signal handler"),
    ("heap/live_set", "the allocation hooks")])
@pytest.mark.parametrize("call", ["malloc", "pthread_mutex_lock", "usleep"])
def test_build_refuses_what_hooks_may_not_call(tmp_path, name, who, call):
    for folder in ("sample", "heap"):
        shutil.copytree(BUILD / "obj" / "profiler" / folder, tmp_path / folder)

    def check():
        done = subprocess.run(
            [SOURCE / "profiler" / "check_symbols.sh",
             MODULES / "libnprof.so", tmp_path], capture_output=True,
            text=True, check=False)
        return done.returncode, done.stderr

    assert check() == (0, "")
    more = tmp_path / "more.o"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-c", "-x", "c", "-", "-o", more],
        input=f"void {call}(void); void more(void) {{ {call}(); }}",
        text=True, check=True)
    subprocess.run(["ld", "-r", "-o", tmp_path / f"{name}.o", more,
                    BUILD / "obj" / "profiler" / f"{name}.o"], check=True)
    assert check() == (1, f"{who} may not use: {call}\n")


def test_one_profiler_a_process():
    run("""
import errno
assert library.prepare() == 0
rc, handle = start()
assert rc == 0
assert start()[0] == -errno.EBUSY
assert profiler_stop(handle, 2000) == 0
rc, handle = start()
assert rc == 0
assert profiler_stop(handle, 2000) == 0
""")


def test_one_copy_of_the_library_a_process(tmp_path):
    """A second one, from another path, has other variables, and leaves the
    process alone while the first one runs."""
    copy = tmp_path / "libnprof.so"
    shutil.copy(MODULES / "libnprof.so", copy)
    run("""
import errno, sys
first = library
second = Descriptor.in_dll(ctypes.CDLL(sys.argv[1], os.RTLD_NOW),
                           "nprof_library")
for one, other in ((first, second), (second, first)) * 3:
    assert one.prepare() == other.prepare() == 0
    start.__globals__["library"] = one
    rc, handle = start()
    assert rc == 0
    start.__globals__["library"] = other
    assert start()[0] == -errno.EBUSY
    assert len(os.listdir("/proc/self/task")) == 5
    assert profiler_stop(handle, 2000, one) == 0
""", copy)


def test_start_that_fails_anywhere_leaves_nothing():
    """Ever more memory, then descriptors: start() fails at one step after the
    other, says so, and gives back threads and descriptors."""
    run("""
import errno, resource
def taken():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
def used():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * 4096
def attempt(limit, value):
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value, hard))
    rc, handle = start()
    resource.setrlimit(limit, (soft, hard))
    if rc == 0:
        assert profiler_stop(handle, 2000) == 0
    return rc
assert library.prepare() == 0
def grow():
    return {attempt(resource.RLIMIT_AS, used() + kb * 1024)
            for kb in range(0, 8192, 128)}
# a new thread's stack is mapped in the first round only, and libunwind opens
# a pipe for the life of the process
assert grow() == {0, -errno.ENOMEM, -errno.EAGAIN}
before = taken()
assert grow() == {0, -errno.ENOMEM}
assert {attempt(resource.RLIMIT_NOFILE, n)
        for n in (0, *range(before[0] - 2, before[0] + 8))} == {
            0, -errno.EMFILE}
assert taken() == before, (taken(), before)
""")


def test_stop_frees_jobs_of_every_state():
    run("""
assert library.prepare() == 0
for _ in range(20):
    rc, handle = start()
    assert rc == 0
    for kind in (CPU, STATUS, SYMBOL, CPU):
        rc, job = job_start(handle, kind, b"0x1" if kind == SYMBOL else None)
        assert rc == 0
    library.job_abandon(job)
    assert profiler_stop(handle, 2000) == 0
""")


def test_threads_and_forks_that_come_and_go(burner, long_run):
    """Slots and timers of threads that are gone are given back, whatever else
    happens: forks, execs, and modules that come and go."""
    run("""
import subprocess, sys, threading, time, _ctypes
from pprof_profile import Profile
assert library.prepare() == 0
rc, handle = start(1000)
assert rc == 0
rc, job = job_start(handle, CPU)
def work():
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        sum(range(1000))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    crowd = [threading.Thread(target=work) for _ in range(8)]
    for thread in crowd:
        thread.start()
    _ctypes.dlclose(_ctypes.dlopen(sys.argv[1], os.RTLD_NOW))
    child = os.fork()
    if child == 0:
        work()
        os._exit(7)
    assert os.waitpid(child, 0)[1] == 7 << 8
    subprocess.run(["true"], check=True)
    for thread in crowd:
        thread.join()
library.job_finish(job)
profile = Profile(job_wait(handle))
spent = time.process_time()
assert profile.total(1) < 1.2e9 * spent, (profile.total(1), spent)
time.sleep(2.5)  # two looks for threads
watched = [name for name in os.listdir("/proc/self/fd")
           if os.path.islink("/proc/self/fd/" + name)
           and "/task/" in os.readlink("/proc/self/fd/" + name)]
# the profiler thread's one; two of the main, the export and the looking thread,
# and of its nudge
assert len(watched) <= 9, watched
with open("/proc/self/timers") as timers:
    text = timers.read()
assert text.count("notify:") <= 3, text
assert profiler_stop(handle, 2000) == 0
""", burner, 60 if long_run else 3)


@pytest.mark.parametrize("handler", ["SIG_DFL", "lambda *_: taken.append(1)"])
def test_start_after_other_code_took_the_signal(handler):
    """Between two starts: nothing is sent to a handler that is not ours, nor to
    the default action, which would end the process."""
    run(f"""
import signal, time
from signal import SIG_DFL
from pprof_profile import Profile
taken = []
assert library.prepare() == 0
for again in (False, True):
    rc, handle = start(types=(CPU,), engine=TIMERS)
    assert rc == 0 and library.warning(handle) is None
    if again:
        rc, job = job_start(handle, CPU)
        assert rc == 0
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            sum(range(1000))
        library.job_finish(job)
        profile = Profile(job_wait(handle))
        assert profile.total(0) - profile.total(0, "[lost]") > 10
    assert profiler_stop(handle, 2000) == 0
    if not again:
        signal.signal(signal.SIGPROF, {handler})
assert not taken
""")


@pytest.mark.parametrize("method", ["epoll", "poll", "select"])
def test_turns_of_any_event_loop(method):
    """The main program's waits are a loop's, by any of the three calls; those
    of other threads, and what a library waits for, are not."""
    run("""
import json, select, sys, threading, time
from pprof_profile import Profile
waits = {"epoll": lambda: select.epoll().poll(0.01),
         "poll": lambda: select.poll().poll(10),
         "select": lambda: select.select([], [], [], 0.01)}
wait = waits[sys.argv[1]]
def status():
    assert job_start(handle, STATUS)[0] == 0
    return json.loads(job_wait(handle))
assert library.prepare() == 0
rc, handle = start(types=(STALL,), threshold=50)
assert rc == 0 and library.warning(handle) is None
stop = threading.Event()
def other():
    while not stop.is_set():
        wait()
thread = threading.Thread(target=other)
thread.start()
wait()
wait()
before = status()["loop"]["turns"]
rc, job = job_start(handle, STALL)
assert rc == 0
for _ in range(20):
    wait()
start_ns = time.monotonic_ns()
time.sleep(0.2)
took = time.monotonic_ns() - start_ns
wait()
library.job_finish(job)
stop.set()
thread.join()
profile = Profile(job_wait(handle))
turns = status()["loop"]["turns"] - before
assert 21 <= turns <= 25, turns
assert profile.total(0) == 1, profile.samples
assert took <= profile.total(1) < took + 20e6, (profile.total(1), took)
assert profile.total(1, "clock_nanosleep") == profile.total(1)
assert job_start(handle, CPU)[0] == job_start(handle, WALL)[0]
assert job_start(handle, WALL)[0] < 0
assert profiler_stop(handle, 2000) == 0
""", method)


@pytest.mark.parametrize("types", ["CPU", "WALL", "CPU, WALL, STALL"])
def test_threads_that_come_in_a_window(types):
    """Threads that appear while nobody asks for anything have a slot within
    two looks for threads, and lose it as fast once they are gone."""
    run(f"""
import threading, time
assert library.prepare() == 0
rc, handle = start(types=({types},))
assert rc == 0
def slots():
    links = [os.readlink("/proc/self/fd/" + name)
             for name in os.listdir("/proc/self/fd")
             if os.path.islink("/proc/self/fd/" + name)]
    return sum("/task/" in link and not link.endswith("/schedstat")
               for link in links)
time.sleep(1.5)
before = slots()
stop = threading.Event()
crowd = [threading.Thread(target=stop.wait) for _ in range(5)]
for thread in crowd:
    thread.start()
time.sleep(2.5)
during = slots() - before
stop.set()
for thread in crowd:
    thread.join()
time.sleep(2.5)
assert during == 5, during
assert slots() == before
assert profiler_stop(handle, 2000) == 0
""")


def test_thread_that_is_named_while_it_waits():
    """Its wall time goes to the name that it has by now."""
    run("""
import threading, time
from pprof_profile import Profile
assert library.prepare() == 0
rc, handle = start(types=(WALL,))
assert rc == 0
stop = threading.Event()
thread = threading.Thread(target=stop.wait, daemon=True)
thread.start()
time.sleep(2)
with open(f"/proc/self/task/{thread.native_id}/comm", "w") as comm:
    comm.write("renamed")
time.sleep(2)
rc, job = job_start(handle, WALL)
assert rc == 0
time.sleep(1)
library.job_finish(job)
profile = Profile(job_wait(handle))
named = sum(values[1] for _, labels, values in profile.samples
            if labels["thread"] == "renamed")
window = profile.proto.duration_nanos
assert abs(named - window) < 0.01 * window, profile.samples
stop.set()
thread.join()
assert profiler_stop(handle, 2000) == 0
""")
