"""The life of an nginx with the profiler: reloads, upgrades, exits, and the
processes and hosts that have no profiler.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hostile_company import ENDPOINT, PROFILER, status
from nginx_instance import (ALGORITHMS, BUILD, MODULES, PATIENCE, SAN_PRELOAD,
                            Load, alive, command_line, maps, processes,
                            steady, threads, wait_until)
from pprof_profile import Profile

SIGPROF = signal.SIGPROF
# the threads of a worker
OURS = ["nginx", "nprof-export", "nprof-looker", "nprof-nudge",
        "nprof-profiler"]
SERVER = ENDPOINT + " location /x { return 200 x; }"


def own_signs(pid):
    """What a process would have of ours: the names of its threads, its timers,
    and whether it handles SIGPROF."""
    caught = int(re.search(r"SigCgt:\s*(\w+)", Path(
        f"/proc/{pid}/status").read_text()).group(1), 16)
    timers = Path(f"/proc/{pid}/timers").read_text()
    return (sorted(threads(pid).values()), timers.count("notify:"),
            bool(caught >> (SIGPROF - 1) & 1))


def kinds(nginx):
    """The processes of nginx by what they are: {title: pid}."""
    return {command_line(pid): pid
            for pid in [nginx.master, *processes("ppid", nginx.master)]}


def worker_samples(nginx):
    """The worker is sampled: its samples rise under load."""
    before = status(nginx)["cpu"]["samples"]
    body = " ".join(str(i * 7919 % 3001) for i in range(3000))
    wait_until(lambda: nginx.post("/v1", body).status == 200
               and status(nginx)["cpu"]["samples"] > before + 5, "samples")


def configure(nginx, modules=PROFILER, main="profiler on;", **more):
    nginx.write_conf(
        modules=modules, main=main,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so; "
        + more.pop("http", ""),
        server=SERVER + " location /v1 { count; count_sort v1; }", **more)
    return nginx


# processes without a profiler

def test_only_workers_have_it(nginx):
    """The cache manager and loader, and the master: no thread, no timer, no
    signal; and they exit clean."""
    cache = nginx.prefix / "cache"
    configure(nginx, http=f"proxy_cache_path {cache} keys_zone=z:1m "
              "loader_files=1;").start()
    worker_samples(nginx)
    found = wait_until(
        lambda: kinds(nginx) if sum("cache" in k for k in kinds(nginx)) == 2
        else None, "both cache processes")
    for title, pid in found.items():
        names, timers, caught = own_signs(pid)
        if "worker process" in title:
            assert names == OURS
            assert timers == 1 and caught
        else:
            assert (names, timers, caught) == (["nginx"], 0, False), title


def test_configuration_test_leaves_no_side_effect(nginx):
    configure(nginx)
    status_, output = nginx.test_conf()
    assert status_ == 0 and "profiler" not in output


# without a master

def test_single_process(nginx):
    """It is profiled, and a reload neither ends nor doubles that."""
    configure(nginx, main="profiler on; master_process off;", workers=0)
    nginx.start()
    pid = nginx.master
    worker_samples(nginx)
    signs = own_signs(pid)
    assert signs == (OURS, 1, True)
    nginx.signal(signal.SIGHUP)
    nginx.wait_log(r"reconfiguring")
    time.sleep(1.2)
    assert alive(pid) and own_signs(pid) == signs


def test_single_process_without_profiler_reloads_as_with_it(nginx):
    """The profiler's module goes while its profiler runs."""
    configure(nginx, main="profiler on; master_process off;", workers=0)
    nginx.start()
    pid = nginx.master
    worker_samples(nginx)
    nginx.write_conf(modules=(), main="master_process off;", workers=0,
                     server="location /x { return 200 x; }")
    nginx.signal(signal.SIGHUP)
    nginx.wait_log(r"reconfiguring")
    time.sleep(1.2)
    assert alive(pid)


@contextlib.contextmanager
def daemon(nginx):
    """Runs nginx in the background: binaries are upgraded only there. Ends
    whichever master there is by then."""
    text = nginx.conf.read_text().replace("daemon off;", "daemon on;")
    nginx.write_file("conf/nginx.conf", text)
    subprocess.run(nginx._command(), check=True, timeout=PATIENCE,
                   env=nginx._environment())
    try:
        yield read_pid(nginx)
    finally:
        master = read_pid(nginx)
        os.kill(master, signal.SIGQUIT)
        wait_until(lambda: not alive(master), "the daemon exits")


def read_pid(nginx):
    return int((nginx.prefix / "nginx.pid").read_text())


def workers_of(master):
    return [pid for pid in processes("ppid", master)
            if "worker process" in command_line(pid)]


def test_daemon(nginx):
    """It forks between the master's preparations and its workers."""
    with daemon(configure(nginx)) as master:
        worker_samples(nginx)
        assert own_signs(master) == (["nginx"], 0, False)


# exits

def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p,
                            ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc.ptrace(request, tid, None, None)


@contextlib.contextmanager
def stopped_thread(pid, name):
    """Holds one thread of a process, as a debugger would."""
    tid = next(tid for tid, found in threads(pid).items() if found == name)
    if ptrace(0x4206, tid) != 0:  # PTRACE_SEIZE
        pytest.skip("ptrace is not permitted here")
    assert ptrace(0x4207, tid) == 0  # PTRACE_INTERRUPT
    wait_until(lambda: "\nState:\tt" in Path(
        f"/proc/{pid}/task/{tid}/status").read_text(), "the thread stops")
    try:
        yield
    finally:
        # else the process could not be reaped
        os.waitpid(tid, 0x40000000)  # __WALL


@pytest.mark.parametrize("name", OURS[1:])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_exit_does_not_wait_for_a_stuck_thread(nginx, name, number):
    configure(nginx).start()
    worker = nginx.worker
    worker_samples(nginx)
    with stopped_thread(worker, name):
        start = time.monotonic()
        os.kill(worker, number)
        nginx.wait_log(r"profiler did not stop in 200 ms")
        wait_until(lambda: not alive(worker), "the worker exits")
        took = time.monotonic() - start
    assert 0.15 < took < 2
    wait_until(nginx.workers, "the next worker")
    worker_samples(nginx)


def test_killed_worker_is_replaced(nginx):
    nginx.expect_log(r"exited on signal 9")
    configure(nginx).start()
    for _ in range(3):
        worker = nginx.worker
        worker_samples(nginx)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: nginx.workers() not in ([], [worker]),
                   "the next worker")
    worker_samples(nginx)


# upgrades

def upgrade(nginx, old):
    """The pid of the master that USR2 makes, once its worker runs."""
    def found():
        with contextlib.suppress(OSError, ValueError):
            new = read_pid(nginx)
            return new if new != old and workers_of(new) else None

    os.kill(old, signal.SIGUSR2)
    return wait_until(found, "the new master and its worker")


def end_workers(master):
    os.kill(master, signal.SIGWINCH)
    wait_until(lambda: not workers_of(master), "workers go")


def end_master(master):
    os.kill(master, signal.SIGQUIT)
    wait_until(lambda: not alive(master), "the master goes")


def test_binary_upgrade_and_back(nginx):
    with daemon(configure(nginx)) as old, Load(nginx, "/x", rate=50) as load:
        worker_samples(nginx)
        new = upgrade(nginx, old)
        end_workers(old)
        worker_samples(nginx)
        os.kill(old, signal.SIGHUP)
        wait_until(lambda: workers_of(old), "the old master's workers")
        end_master(new)
        worker_samples(nginx)
        assert own_signs(old) == (["nginx"], 0, False)
        wait_until(lambda: read_pid(nginx) == old, "the pid file")
    assert load.done > 5 and not load.failures, load.failures[:5]


def test_binary_upgrade(nginx):
    with daemon(configure(nginx)) as old, Load(nginx, "/x", rate=50) as load:
        worker_samples(nginx)
        new = upgrade(nginx, old)
        end_workers(old)
        end_master(old)
        worker_samples(nginx)
        assert own_signs(new) == (["nginx"], 0, False)
    assert load.done > 5 and not load.failures, load.failures[:5]


# reloads

class Folder:
    """Our modules in a folder of the test's own, to be replaced there."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        path.chmod(0o755)
        for name in (*PROFILER, "libnprof"):
            self.replace(name)

    def replace(self, name, edit=lambda data: data):
        """By rename, as a package's upgrade does."""
        new = self.path / f"{name}.so.new"
        new.write_bytes(edit((MODULES / f"{name}.so").read_bytes()))
        new.chmod(0o644)
        new.replace(self.path / f"{name}.so")

    def rebuild(self, *names):
        """Files of another build."""
        build_id = re.search(
            rb'"(\w+)"', (BUILD / "include" / "nprof_build_id.h").read_bytes())
        other = build_id.group(1)[::-1]
        for name in names:
            self.replace(name, lambda data: data.replace(
                build_id.group(1), other))

    def modules(self):
        return [self.path / f"{name}.so" for name in PROFILER]


class Torture:
    """Reloads of one nginx, under light load, by what they change."""

    def __init__(self, nginx, folder, neighbour):
        self.nginx = nginx
        self.folder = folder
        self.neighbour = neighbour
        self.old = []

    def write(self, ours, neighbour, main="profiler on;"):
        modules = (self.folder.modules() if ours else [])
        http = f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;" if ours else ""
        server = "location /x { return 200 x; }"
        if ours:
            server += ENDPOINT + "location /v1 { count; count_sort v1; }"
        if neighbour:
            modules = [self.neighbour, *modules]
            server += "location /neighbour { neighbour; }"
        self.nginx.write_conf(modules=modules, http=http, server=server,
                              main=main if ours else "")

    def reload(self, ours=True, neighbour=False):
        self.write(ours, neighbour)
        self.nginx.reload(wait_for_old=True)
        assert self.nginx.get("/x").text == "x"
        if neighbour:
            assert self.nginx.get("/neighbour").text.startswith("1000 ")
        if ours:
            answer = self.nginx.get("/debug/pprof/status")
            assert answer.status == 200 and "cpu" in answer.json(), answer

    def broken(self):
        """Loads our modules, then fails: the master keeps what it has."""
        self.write(ours=True, neighbour=True,
                   main="profiler on; profiler_rate 0;")
        seen = self.nginx.error_log().count("[emerg]")
        self.nginx.signal(signal.SIGHUP)
        wait_until(lambda: self.nginx.error_log().count("[emerg]") > seen,
                   "the broken configuration is refused")
        assert self.nginx.get("/x").text == "x"

    def round(self):
        self.reload()
        self.reload(ours=False, neighbour=True)
        self.broken()
        self.reload(neighbour=True)
        for name in (*PROFILER, "libnprof"):
            self.folder.replace(name)
        self.reload(ours=False)
        self.reload(neighbour=True)
        self.broken()


def sizes(nginx):
    """Of master and worker: threads, descriptors, mappings."""
    pids = (nginx.master, nginx.worker)
    return [len(os.listdir(f"/proc/{pid}/{what}"))
            for what in ("task", "fd") for pid in pids] + [
                len(maps(pid)) for pid in pids]


def test_reloads(nginx, neighbour_module, long_run):
    """With our modules, without them, with another one, which takes their
    indexes, with all, with files replaced by rename, and with configurations
    that are broken: nothing fails, and nothing grows."""
    nginx.expect_log(r"\[emerg\].*value must be")
    torture = Torture(nginx, Folder(nginx.prefix / "modules"), neighbour_module)
    torture.write(ours=True, neighbour=False)
    nginx.start()
    torture.round()
    before = steady(lambda: sizes(nginx))
    with Load(nginx, "/x", rate=20) as load:
        for _ in range(100 if long_run else 3):
            torture.round()
    assert load.done > 5 and not load.failures, load.failures[:5]
    # the last connection of the load may not be closed yet
    wait_until(lambda: sizes(nginx)[:4] == before[:4],
               f"threads and descriptors as before, {before}")
    # and what the work of the moment maps may be there yet
    wait_until(lambda: all(now <= then + 4 for now, then
                           in zip(sizes(nginx)[4:], before[4:])),
               f"mappings as before, {before}")
    worker_samples(nginx)


def test_upgrade_without_a_restart_keeps_the_profiler_off(
        nginx, neighbour_module):
    """The library stays as it was loaded; modules of another build leave it
    alone, say so once, and nginx goes on. A binary upgrade has all anew."""
    folder = Folder(nginx.prefix / "modules")
    torture = Torture(nginx, folder, neighbour_module)
    torture.write(ours=True, neighbour=False)
    with daemon(nginx) as master:
        wait_until(lambda: workers_of(master), "the worker")
        assert nginx.get("/debug/pprof/status").json()["cpu"]
        folder.rebuild("ngx_profiler_module", "libnprof")
        for ours in (False, True):
            old = workers_of(master)
            torture.write(ours=ours, neighbour=True)
            os.kill(master, signal.SIGHUP)
            wait_until(lambda: set(workers_of(master)) - set(old)
                       and not any(alive(pid) for pid in old), "the reload")
        assert nginx.get("/x").text == "x"
        assert nginx.get("/neighbour").text.startswith("1000 ")
        answer = nginx.get("/debug/pprof/profile?seconds=1")
        assert answer.status == 503 and "could not be loaded" in answer.text
        assert own_signs(workers_of(master)[0]) == (["nginx"], 0, False)
        assert nginx.error_log().count("profiler is off: ") == 1
        nginx.wait_log("of build .* upgrade its binary")
        upgrade(nginx, master)
        end_workers(master)
        end_master(master)
        worker_samples(nginx)


def test_modules_from_another_folder(nginx, neighbour_module):
    """Two copies of the library are loaded, one is active."""
    first = Folder(nginx.prefix / "first")
    second = Folder(nginx.prefix / "second")
    torture = Torture(nginx, first, neighbour_module)
    torture.write(ours=True, neighbour=False)
    nginx.start()
    worker_samples(nginx)
    signs = own_signs(nginx.worker)
    for folder in (second, first, second):
        torture.folder = folder
        torture.reload()
        worker_samples(nginx)
        assert own_signs(nginx.worker) == signs
        assert own_signs(nginx.master) == (["nginx"], 0, False)
    loaded = "".join(maps(nginx.worker))
    assert "first/libnprof.so" in loaded and "second/libnprof.so" in loaded


# hosts that hide something

@pytest.mark.skipif(bool(SAN_PRELOAD), reason="a sanitizer needs /proc")
@pytest.mark.parametrize("mount", [
    "mount -t tmpfs none /proc",
    "mount -t proc -o hidepid=2,subset=pid proc /proc"])
def test_hidden_proc(nginx, mount):
    """nginx serves, one warning says what is missing, and nothing crashes."""
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip(f"not permitted here: {mount}")
    configure(nginx, main="profiler on; profiler_types cpu wall stall;")
    plain = nginx._command
    nginx._command = lambda *extra: [
        "unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh",
        *plain(*extra)]
    nginx.start()
    found = status(nginx)
    if "tmpfs" in mount:
        assert "/proc/self/task" in found["cpu"]["degraded"]
        assert found["wall"]["degraded"] and found["stall"]["degraded"]
        assert nginx.error_log().count("no CPU samples") == 1
    else:
        assert found["cpu"]["degraded"] is None
        worker_samples(nginx)
    for kind in ("profile", "wall", "stall"):
        answer = nginx.get(f"/debug/pprof/{kind}?seconds=1")
        assert answer.status == 200
        Profile(answer.body)
    assert nginx.get("/x").text == "x"
