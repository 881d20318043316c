"""What CPU profiles say: names, lines, threads, shares, and life cycle."""

import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import nginx_instance
from nginx_instance import (ALGORITHMS, LONG, MODULES, Load, alive,
                            fds, maps, memory, threads,
                            wait_until)
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"
PLUGINS = "".join(
    f"count_plugin v{n} {ALGORITHMS}/libsort_v{n}.so;\n" for n in (1, 2))

RANDOM = random.Random(1)
NUMBERS = " ".join(str(RANDOM.randint(-2**62, 2**62)) for _ in range(4000))


@pytest.fixture(params=["timers", "jitter"])
def engine(request):
    """Directives that switch the profiler on, with each CPU engine."""
    return f"profiler on; profiler_cpu_engine {request.param};"


def configure(nginx, server="", main="profiler on;", **kwargs):
    nginx.write_conf(
        modules=PROFILER, main=main,
        http=PLUGINS + "client_max_body_size 64m;\n"
        "client_body_buffer_size 1m;",
        server=f"""
        location /v1 {{ count; count_sort v1; }}
        location /v2 {{ count; count_sort v2; }}
        {server}
        {ENDPOINT}""", **kwargs)


class Sorting:
    """Posts to a path again and again, from one thread, while it lasts."""

    def __init__(self, nginx, path, body=NUMBERS):
        self._nginx, self._path, self._body = nginx, path, body
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failures = []
        self.done = 0

    def _run(self):
        while not self._stop.is_set():
            try:
                answer = self._nginx.post(self._path, self._body)
                if answer.status != 200:
                    self.failures.append(repr(answer))
                self.done += 1
            except OSError as reason:
                self.failures.append(repr(reason))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self.failures == []


def start_under(nginx, *command):
    """Starts nginx as the program of another command."""
    plain = nginx._command
    nginx._command = lambda *extra: [*command, *plain(*extra)]
    return nginx.start()


def capture(nginx, path, seconds=3, body=NUMBERS):
    """The profile of a window in which path is asked again and again."""
    with Sorting(nginx, path, body):
        answer = nginx.get(f"/debug/pprof/profile?seconds={seconds}")
    assert answer.status == 200
    return Profile(answer.body).check()


def observed(profile):
    """The CPU time that has a stack: of a busy machine some has none."""
    return profile.total(1) - profile.total(1, "[lost]")


def test_bubble_sort_tops_v1(nginx, engine):
    configure(nginx, main=engine)
    nginx.start()
    profile = capture(nginx, "/v1")
    top = sum(v[1] for names, _, v in profile.samples
              if names[0] == "bubble_sort")
    assert top > 0.8 * observed(profile)
    for names, labels, _ in profile.samples:
        if names[0] == "bubble_sort":
            # the plug-in is called by count(), and all ends at the root
            assert names[1] == "count" or names[2] == "count", names
            assert names[-1] == "_start", names
            assert labels["thread"] == "main"
    files = {(file.rsplit("/", 1)[-1], line > 0)
             for file, line in profile.lines("bubble_sort")}
    assert files == {("bubble_plugin.c", True)}


def test_qsort_is_on_the_stacks_of_v2(nginx, engine):
    configure(nginx, main=engine)
    nginx.start()
    big = " ".join(str(RANDOM.randint(-2**62, 2**62)) for _ in range(100000))
    profile = capture(nginx, "/v2", body=big)
    with_sort = sum(values[1] for names, _, values in profile.samples
                    if "count" in names
                    and ("qsort_r" in names or "qsort" in names))
    sorting = profile.total(1, "count")
    assert with_sort > 0.9 * sorting > 0
    assert with_sort > 0.5 * observed(profile)


def test_stacks_are_complete(nginx, engine):
    configure(nginx, main=engine)
    nginx.start()
    capture(nginx, "/v1")
    capture(nginx, "/v2")
    cpu = nginx.get("/debug/pprof/status").json()["cpu"]
    assert cpu["samples"] > 100
    assert cpu["completeness"] > 0.99, cpu
    # a ring is full where the profiler thread has to wait for a processor
    assert cpu["dropped"] <= 0.02 * cpu["samples"]


def test_cpu_of_the_main_thread(nginx, engine):
    """A thread that burns without pause: the profile has its CPU time."""
    configure(nginx, main=engine)
    nginx.start()
    nginx.post("/v1", NUMBERS)
    with Sorting(nginx, "/v1"), Sorting(nginx, "/v1"):
        time.sleep(1.5)
        with open(f"/proc/{nginx.worker}/schedstat", encoding="ascii") as f:
            before = int(f.read().split()[0])
        answer = nginx.get("/debug/pprof/profile?seconds=4")
        with open(f"/proc/{nginx.worker}/schedstat", encoding="ascii") as f:
            spent = int(f.read().split()[0]) - before
    profile = Profile(answer.body).check()
    main = sum(values[1] for _, labels, values in profile.samples
               if labels["thread"] == "main")
    # 400 samples: three standard deviations, and the window's two edges
    assert abs(main - spent) < 0.15 * spent + 2e7, (main, spent)


@pytest.mark.idle
def test_bursts_of_an_idle_worker_count_what_they_took(nginx):
    """Some milliseconds of work, half a second of sleep, again and again: what
    the worker does as it wakes up is neither missed nor blown up."""
    configure(nginx)
    nginx.start()
    nginx.post("/v1", NUMBERS)
    path = f"/proc/{nginx.worker}/schedstat"
    bursts = 100 if LONG else 16
    with concurrent.futures.ThreadPoolExecutor() as background:
        answer = background.submit(
            nginx.get, f"/debug/pprof/profile?seconds={bursts // 2 + 1}", timeout=100)
        time.sleep(0.5)
        spent = 0
        for _ in range(bursts):
            time.sleep(0.45)
            before = int(Path(path).read_text().split()[0])
            for _ in range(4):
                nginx.post("/v1", NUMBERS)
            spent += int(Path(path).read_text().split()[0]) - before
        profile = Profile(answer.result().body).check()
    seen = profile.total(1, "bubble_sort")
    # a few samples a burst
    assert abs(seen - spent) < (0.15 if LONG else 0.35) * spent, (seen, spent)


def test_pool_threads_are_seen(nginx, engine):
    """nginx's pool threads block all signals; they show all the same."""
    configure(nginx, main=engine + "thread_pool sorters threads=2;",
              server="location /pool { count; count_sort v1; "
              "count_threads sorters; }")
    nginx.start()
    time.sleep(1.2)
    profile = capture(nginx, "/pool")
    pool = [(names, values) for names, labels, values in profile.samples
            if labels["thread"] == "nginx"]
    assert (sum(values[1] for names, values in pool if names != ["[lost]"])
            > 0.8 * observed(profile))
    assert all(names[-1] == "start_thread" for names, _ in pool
               if names[0] == "bubble_sort")


def test_profilers_own_threads_are_seen(nginx):
    """The export thread symbolizes one capture in the window of another: its
    first work takes tens of milliseconds, which are many ticks."""
    configure(nginx, main="profiler on; profiler_rate 1000;")
    nginx.start()
    assert sorted(threads(nginx.worker).values()) == [
        "nginx", "nprof-export", "nprof-looker", "nprof-nudge",
        "nprof-profiler"]
    wait_until(lambda: nginx.get("/debug/pprof/status")
               .json()["threads"]["sampled"] == 5, "all threads are sampled")
    answers = []
    with Sorting(nginx, "/v1"):
        reader = threading.Thread(target=lambda: answers.append(
            nginx.get("/debug/pprof/profile?seconds=5")))
        reader.start()
        time.sleep(1)
        assert nginx.get("/debug/pprof/profile?seconds=1").status == 200
        reader.join()
    profile = Profile(answers[0].body).check()
    own = [names for names, labels, _ in profile.samples
           if labels["thread"] == "nprof-export"]
    # libdw's own frames may be larger than what is copied of a stack
    assert any(names[-1] == "start_thread" for names in own), own


def test_nothing_runs_in_the_master(nginx):
    configure(nginx)
    nginx.start()
    nginx.reload(wait_for_old=True)
    assert list(threads(nginx.master).values()) == ["nginx"]
    with open(f"/proc/{nginx.master}/status", encoding="ascii") as status:
        caught = [line for line in status if line.startswith("SigCgt")][0]
    assert not int(caught.split()[1], 16) >> (signal.SIGPROF - 1) & 1


def test_helpers_are_left_alone(nginx):
    """The cache manager and loader get no threads."""
    configure(nginx, server="", main="profiler on;")
    text = nginx.conf.read_text().replace(
        "access_log off;", "access_log off;\n    proxy_cache_path "
        f"{nginx.prefix}/temp/cache keys_zone=z:1m;", 1)
    nginx.write_raw_conf(text)
    nginx.start()
    helpers = [p for p in nginx_instance.processes("ppid", nginx.master)
               if "cache" in nginx_instance.command_line(p)]
    assert helpers
    for helper in helpers:
        assert list(threads(helper).values()) == ["nginx"]


def test_sampler_survives_a_foreign_sigprof(nginx):
    configure(nginx)
    nginx.start()
    with Sorting(nginx, "/v1"):
        for _ in range(200):
            os.kill(nginx.worker, signal.SIGPROF)
    assert nginx.get("/debug/pprof/status").status == 200


def test_reload_replaces_the_profiled_worker(nginx):
    """A capture that is under way ends in the old worker, with its samples."""
    configure(nginx)
    nginx.start()
    answers = []
    with Sorting(nginx, "/v1"):
        reader = threading.Thread(target=lambda: answers.append(
            nginx.get("/debug/pprof/profile?seconds=4")))
        reader.start()
        time.sleep(2)
        old = nginx.worker
        nginx.reload()
        reader.join()
    assert answers[0].status == 200
    assert Profile(answers[0].body).check().total(0, "bubble_sort") > 50
    wait_until(lambda: not alive(old), "the old worker exits")
    assert capture(nginx, "/v1", 1).total(0, "bubble_sort") > 20


def test_exit_is_quick_with_a_capture_under_way(nginx):
    configure(nginx)
    nginx.start()
    with nginx.connect() as sock:
        sock.sendall(b"GET /debug/pprof/profile?seconds=60 HTTP/1.0\r\n\r\n")
        wait_until(lambda: nginx.get("/debug/pprof/status").status == 200,
                   "the capture is under way")
        start = time.monotonic()
        assert nginx.terminate() == 0
        assert time.monotonic() - start < 3


def test_profiler_switched_off_and_on_by_reload(nginx):
    configure(nginx)
    nginx.start()
    for state in ("off", "on", "off", "on"):
        configure(nginx, main=f"profiler {state};")
        nginx.reload(wait_for_old=True)
        running = "nprof-profiler" in threads(nginx.worker).values()
        assert running == (state == "on")


def least_fds(pid):
    """The master closes the channel of a worker a little after its end."""
    def count():
        time.sleep(0.02)
        return len(fds(pid))
    return min(count() for _ in range(25))


def test_reload_under_load_leaks_nothing(nginx):
    """Ten (LONG: 500) reloads under load: fds, threads and memory stay, and
    no request is lost."""
    configure(nginx)
    nginx.start()
    with Load(nginx, "/v2", rate=50, method="POST", body="3 1 2") as load:
        for _ in range(3):
            nginx.reload(wait_for_old=True)
        before = (least_fds(nginx.master), len(threads(nginx.master)),
                  len(maps(nginx.master)))
        anonymous = memory(nginx.master)["anonymous"]
        for _ in range(500 if LONG else 10):
            nginx.reload(wait_for_old=True)
    assert load.failures == []
    assert load.done > 0
    assert (least_fds(nginx.master), len(threads(nginx.master)),
            len(maps(nginx.master))) == before
    assert memory(nginx.master)["anonymous"] - anonymous < 512 * 1024


def test_single_process(nginx):
    configure(nginx)
    text = nginx.conf.read_text().replace("daemon off;",
                                          "daemon off; master_process off;")
    nginx.write_raw_conf(text, workers=0)
    nginx.start()
    assert capture(nginx, "/v1", 2).total(0, "bubble_sort") > 20


def test_conf_test_starts_nothing(nginx):
    configure(nginx)
    status, output = nginx.test_conf()
    assert status == 0, output
    assert "profiler" not in output


def test_without_libnprof_requests_are_served(nginx, tmp_path):
    """A library that is not there, or of another build: one line, no harm."""
    module = tmp_path / "ngx_profiler_module.so"
    module.write_bytes((MODULES / "ngx_profiler_module.so").read_bytes())
    tmp_path.chmod(0o755)
    nginx.write_conf(modules=("ngx_http_count_module", str(module)),
                     main="profiler on;", server=ENDPOINT)
    nginx.start()
    assert "profiler is off: dlopen() failed" in nginx.error_log()
    assert nginx.get("/debug/pprof/status").json() == {
        "profiler": "off",
        "reason": "libnprof.so could not be loaded, see nginx's log"}
    answer = nginx.get("/debug/pprof/profile?seconds=1")
    assert answer.status == 503
    assert "could not be loaded" in answer.text

    library = bytearray((MODULES / "libnprof.so").read_bytes())
    build_id = subprocess.run(
        ["grep", "-oaE", "-m1", "[0-9a-f]{40}", module],
        capture_output=True, check=True).stdout.split()[0]
    at = library.index(build_id)
    library[at:at + 40] = b"0" * 40
    (tmp_path / "libnprof.so").write_bytes(library)
    nginx.reload(wait_for_old=True)
    assert "is of build 0000000000" in nginx.error_log()
    assert nginx.get("/debug/pprof/status").json() == {
        "profiler": "off",
        "reason": "libnprof.so could not be loaded, see nginx's log"}


def cpu_ns(pid):
    """CPU time of all threads of a process, exactly."""
    total = 0
    for thread in threads(pid):
        with open(f"/proc/{pid}/task/{thread}/schedstat",
                  encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


@pytest.mark.idle
def test_idle_worker_costs_nothing(nginx, engine):
    """An idle worker with 32 pool threads: the profiler's CPU is below a tenth of a
    percent of a core, and no sleep of the event loop is cut short."""
    configure(nginx, main=engine + "thread_pool idle threads=32;")
    nginx.start()
    wait_until(lambda: nginx.get("/debug/pprof/status").json()
               ["threads"]["sampled"] == len(threads(nginx.worker)),
               "all threads are sampled")
    # threads may name themselves in their first ten seconds
    time.sleep(11)
    seconds = 120 if LONG else 15
    before = cpu_ns(nginx.worker)
    time.sleep(seconds)
    spent = (cpu_ns(nginx.worker) - before) / 1e9
    assert spent < 0.001 * seconds, spent / seconds
    assert "Interrupted system call" not in nginx.error_log()


def test_event_loop_is_hardly_interrupted(nginx, engine):
    """The signal goes to threads that run. Of a worker that waits for its next
    request most of the time few are on their way into epoll_wait()."""
    configure(nginx, "location /x { return 200 x; }", main=engine)
    nginx.start()
    with Load(nginx, "/v2", rate=200, method="POST", body="3 1 2") as load:
        answer = nginx.get("/debug/pprof/profile?seconds=10")
    assert load.failures == []
    assert Profile(answer.body).check()
    interrupted = nginx.error_log().count("Interrupted system call")
    # of a thousand looks: three on the average, as many as signals to threads
    # that fall asleep within the microseconds which one takes
    assert interrupted <= 12


def test_no_signals_to_be_queued(nginx):
    """The jitter engine needs no place in the queue of signals, which others
    of the same user may have used up."""
    configure(nginx)
    start_under(nginx, "prlimit", "--sigpending=0")
    profile = capture(nginx, "/v1", 2)
    assert profile.total(0, "bubble_sort") > 20
    assert profile.total(1, "[lost]") < 0.5 * profile.total(1)
    status = nginx.get("/debug/pprof/status").json()
    assert status["cpu"]["degraded"] is None


def test_without_what_jitter_needs_timers_run(nginx):
    """Without /proc/.../syscall: one warning, and the other engine."""
    configure(nginx)
    text = nginx.conf.read_text().replace("daemon off;",
                                          "daemon off; master_process off;")
    nginx.write_raw_conf(text, workers=0)
    empty = nginx.write_file("empty", "")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("mount namespaces are not allowed here")
    start_under(nginx, "unshare", "-m", "sh", "-c",
                f'mount --bind {empty} /proc/$$/task/$$/syscall && exec "$@"',
                "sh")
    cpu = nginx.get("/debug/pprof/status").json()["cpu"]
    assert cpu["engine"] == "timers"
    assert "CPU engine timers instead of jitter" in cpu["degraded"]
    assert nginx.error_log().count("CPU engine timers instead of jitter") == 1
    assert capture(nginx, "/v1", 2).total(0, "bubble_sort") > 20


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], check=True,
                           capture_output=True, text=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


def test_nginx_that_was_replaced_on_disk(nginx, tmp_path, monkeypatch):
    """A package upgrade puts another file at nginx's path while the old one
    runs, and reloads it: profiles say which build runs, at its path, with the
    names of its own functions."""
    binary = tmp_path / "nginx"
    shutil.copy(nginx_instance.NGINX, binary)
    monkeypatch.setattr(nginx_instance, "NGINX", str(binary))
    ran = build_id(binary)
    configure(nginx)
    nginx.start()
    # any other program would do
    other = tmp_path / "other"
    shutil.copy(shutil.which("readelf"), other)
    os.rename(other, binary)
    assert build_id(binary) != ran
    old = nginx.worker
    os.kill(nginx.master, signal.SIGHUP)
    wait_until(lambda: not alive(old) and nginx.worker != old,
               "the new worker is alone")
    assert os.readlink(f"/proc/{nginx.worker}/exe") == f"{binary} (deleted)"
    profile = capture(nginx, "/v1")
    strings = profile.strings
    mappings = {strings[m.filename]: strings[m.build_id]
                for m in profile.proto.mapping}
    assert strings[profile.proto.mapping[0].filename] == str(binary)
    assert mappings[str(binary)] == ran
    assert not any("(deleted)" in text for text in strings)
    assert profile.total(1, "bubble_sort", "count", "_start") > 0
    assert profile.total(1, "ngx_http_core_run_phases") > 0
