"""Wall and stall profiles where something stands in their way: a host that
refuses a system call, a tracer, a worker that is stopped, a loop that a timer
wakes all the time."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from nginx_instance import SAN_PRELOAD, SOURCE, threads, wait_until
from pprof_profile import Profile
from test_profiler_hostile import start_under
from test_profiler_stall import (BURN, SLEEP, Capture, block, blocking,
                                 configure, status)
from test_profiler_wall import by_thread, cpu_ns

ALL = "profiler_types cpu wall stall;"

__all__ = ["blocking"]  # a fixture


@pytest.fixture
def refuse(tmp_path):
    """tests/plugins/refuse_syscall.c"""
    path = tmp_path / "refuse_syscall"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-o", path,
         SOURCE / "tests" / "plugins" / "refuse_syscall.c"], check=True)
    return path


def test_no_look_into_memory(nginx, blocking, refuse):
    """As in a container whose seccomp profile has no process_vm_readv():
    running threads are seen, blocked ones are "[lost]", and status says so."""
    configure(nginx, blocking, "profiler_types cpu wall heap stall;")
    nginx.stop()
    start_under(nginx, refuse, "process_vm_readv")
    degraded = status(nginx)
    heap = [] if SAN_PRELOAD else ["heap"]
    for kind in ["wall", "stall"] + heap:
        assert "process_vm_readv() is forbidden" in degraded[kind]["degraded"]
    assert (nginx.error_log().count("process_vm_readv() is forbidden")
            == 2 + len(heap))
    with Capture(nginx, seconds=3) as capture:
        took = block(nginx, SLEEP, 300) + block(nginx, BURN, 300)
    assert capture.profile.total(0) == 2
    assert took <= capture.profile.total(1) < 1.05 * took
    assert capture.profile.total(0, "block_in_burn") == 1
    profile = Profile(nginx.get("/debug/pprof/wall?seconds=2").body).check()
    window = profile.proto.duration_nanos
    assert profile.total(1, "[lost]") > 0.9 * by_thread(profile)["main"]
    assert abs(by_thread(profile)["main"] - window) < 0.01 * window


def test_no_signals_to_threads(nginx, blocking, refuse):
    """Where none can be sent: blocked threads are seen, running ones are
    "[lost]", CPU time is sampled by timers, and status says so."""
    configure(nginx, blocking, ALL)
    nginx.stop()
    start_under(nginx, refuse, "rt_tgsigqueueinfo")
    degraded = status(nginx)
    for kind in ("wall", "stall"):
        assert ("rt_tgsigqueueinfo() is forbidden"
                in degraded[kind]["degraded"])
    assert degraded["cpu"]["engine"] == "timers"
    assert (degraded["cpu"]["degraded"] == "CPU engine timers instead of "
            "jitter: rt_tgsigqueueinfo() is forbidden")
    with Capture(nginx, "wall", seconds=3) as capture:
        block(nginx, SLEEP, 600)
        block(nginx, BURN, 1000)
    assert capture.profile.total(1, "block_in_sleep") > 0.3e9
    assert capture.profile.total(1, "block_in_burn") == 0
    with Capture(nginx, "profile", seconds=3) as cpu:
        block(nginx, BURN, 1000)
    assert cpu.profile.total(0, "block_in_burn") > 50
    main = by_thread(capture.profile)["main"]
    assert abs(main - capture.profile.proto.duration_nanos) < 0.01 * main


def test_stopped_worker(nginx, blocking):
    """The time in which a worker was stopped is in the window, once; it is no
    stall of a loop that waited."""
    configure(nginx, blocking, ALL)
    time.sleep(1.5)
    with Capture(nginx, "wall", seconds=3) as capture:
        # the loop ends its turn after the client has the answer
        time.sleep(0.2)
        os.kill(nginx.worker, signal.SIGSTOP)
        time.sleep(1)
        os.kill(nginx.worker, signal.SIGCONT)
    window = capture.profile.proto.duration_nanos
    assert window > 2.9e9
    spent = by_thread(capture.profile)
    assert abs(spent["main"] - window) < 0.02 * window, spent
    assert status(nginx)["stall"]["stalls"] == 0


def test_timer_resolution(nginx, blocking):
    """SIGALRM ends the loop's waits: those are turns, short ones, and cost
    what a hundred turns a second cost."""
    configure(nginx, blocking, ALL + "timer_resolution 10ms;")
    time.sleep(1.5)
    before, spent = status(nginx), cpu_ns(nginx.worker)
    time.sleep(5)
    spent = cpu_ns(nginx.worker) - spent
    after = status(nginx)
    turns = after["loop"]["turns"] - before["loop"]["turns"]
    assert 350 < turns < 600, turns
    assert after["stall"]["stalls"] == 0
    assert spent < 0.03 * 5e9
    with Capture(nginx) as capture:
        took = block(nginx, SLEEP, 200)
    assert capture.profile.total(0) == 1
    assert took <= capture.profile.total(1) < 1.05 * took
    assert capture.profile.total(0, "block_in_sleep") == 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_traced_worker(nginx, blocking, tmp_path):
    """Under a tracer, and after it: stalls are exact, and nothing hangs."""
    configure(nginx, blocking, ALL)
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", tmp_path / "trace", "-e", "trace=epoll_wait",
         "-p", str(nginx.worker)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / "trace").exists(), "strace starts")
        for _ in range(2):
            with Capture(nginx) as capture:
                took = block(nginx, SLEEP, 200) + block(nginx, BURN, 200)
            assert capture.profile.total(0) == 2
            assert took <= capture.profile.total(1) < 1.2 * took
            assert capture.profile.total(1, "block_sort") > 0.9 * took
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
                tracer.wait()
    finally:
        tracer.kill()
        tracer.wait()


def test_wall_of_more_threads_than_slots(nginx, blocking):
    """Those with a slot have all of their time, and the others none."""
    configure(nginx, blocking, ALL + "thread_pool many threads=300;")
    wait_until(lambda: len(threads(nginx.worker)) == 307, "all threads")
    time.sleep(2.5)
    profile = Profile(nginx.get("/debug/pprof/wall?seconds=2").body).check()
    window = profile.proto.duration_nanos
    assert profile.total(1) == pytest.approx(256 * window, rel=0.01)
    assert status(nginx)["threads"]["unsampled"] == 307 - 256
    with Capture(nginx) as capture:
        block(nginx, SLEEP, 200)
    assert capture.profile.total(0, "block_in_sleep") == 1
