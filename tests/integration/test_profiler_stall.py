"""What held the event loop up: stall profiles and the histogram of turns."""

import contextlib
import os
import select
import signal
import statistics
import subprocess
import time

import pytest

from hostile_company import compile_c
from nginx_instance import (ALGORITHMS, PATIENCE, SAN_PRELOAD, SOURCE,
                            Response, alive, wait_until)
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
SLEEP, POLL, FRAME, BURN, BOTH = range(5)

# What of a stall is in the function that blocks, at least, and how much longer
# than that function it is, at most. On a quiet machine 0.99 and 1.01; on a busy
# one looks are rare, and the loop waits for a processor before it goes on.
MOST = 0.7
LONGER = 1.5


@pytest.fixture(scope="module")
def blocking(tmp_path_factory):
    """tests/plugins/blocking_plugin.c"""
    folder = tmp_path_factory.mktemp("blocking")
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o755)
    path = folder / "blocking.so"
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-g", "-shared",
         "-fPIC", f"-I{SOURCE / 'algorithms'}", "-o", path,
         SOURCE / "tests" / "plugins" / "blocking_plugin.c"], check=True)
    return path


def configure(nginx, blocking, main="", pool=2, workers=1):
    """Starts nginx; /pool, and its threads, are there if pool is not 0. Several
    workers have as many new connections each."""
    thread_pool = f"thread_pool sorters threads={pool};" if pool else ""
    pooled = ("location = /pool { count; count_sort v1; "
              "count_threads sorters; }" if pool else "")
    nginx.write_conf(
        modules=PROFILER, main="profiler on;" + thread_pool + main,
        workers=workers,
        http=f"""count_plugin v1 {ALGORITHMS}/libsort_v1.so;
        count_plugin blocking {blocking};
        client_max_body_size 64m; client_body_buffer_size 1m;""",
        server=pooled + """
        location = /v1 { count; count_sort v1; }
        location = /block { count; count_sort blocking; }
        location = /x { return 200 x; }
        location = /debug/fgprof { profiler_endpoint; }
        location /debug/pprof/ { profiler_endpoint; }""")
    if workers > 1:
        nginx.conf.write_text(nginx.conf.read_text().replace(
            f"listen 127.0.0.1:{nginx.port};",
            f"listen 127.0.0.1:{nginx.port} reuseport;"))
    return nginx.start()


def block(nginx, how, ms):
    answer = nginx.post("/block", f"{how} {ms}")
    assert answer.status == 200, answer
    return answer.json()["sort_ns"]


class Capture:
    """A profile of the time that it is entered for, and of what is left of the
    seconds. The work must end within them."""

    def __init__(self, nginx, path="stall", seconds=3):
        self._nginx, self._path = nginx, f"{path}?seconds={seconds}"
        self._seconds = seconds
        self._connection = None
        self._end = None
        self.answer = None
        self.profile = None

    def __enter__(self):
        self._connection = self._nginx.send(
            "GET", f"/debug/pprof/{self._path}")
        self._end = time.monotonic() + self._seconds
        # a job that comes after, so the window has begun
        status(self._nginx)
        return self

    def __exit__(self, kind, *_):
        late = time.monotonic() - self._end
        with contextlib.closing(self._connection) as connection:
            self.answer = Response(connection.getresponse())
        if kind is not None:
            return
        assert late < 0, f"{late:.2f} s too long for {self._path}"
        assert self.answer.status == 200
        self.profile = Profile(self.answer.body).check()


def status(nginx):
    return nginx.get("/debug/pprof/status").json()


def test_bubble_sort_is_named_with_its_duration(nginx, blocking):
    """200 ms of bubble sort in the event loop: the stall's time is the turn's
    (not a multiple of anything), and all of it is under the sort."""
    configure(nginx, blocking)
    numbers = " ".join(str(i * 7919 % 100003) for i in range(6000))
    spent = []
    while not spent or spent[-1] < 200e6:
        numbers += " " + numbers[:len(numbers) // 4]
        spent.append(nginx.post("/v1", numbers).json()["sort_ns"])
    before = status(nginx)["stall"]
    with Capture(nginx, seconds=5) as capture:
        took = [nginx.post("/v1", numbers).json()["sort_ns"]
                for _ in range(3)]
    profile = capture.profile
    assert profile.types == [("stalls", "count"), ("delay", "nanoseconds")]
    assert profile.total(0, "bubble_sort") == 3
    assert sum(took) <= profile.total(1) < LONGER * sum(took)
    assert profile.total(1, "bubble_sort", "count") > MOST * profile.total(1)
    for names, labels, _ in profile.samples:
        assert names[-1] == "_start"
        assert labels["thread"] == "main"
    after = status(nginx)["stall"]
    # a busy machine may hold up what asks for the profile and the status, too
    assert after["stalls"] - before["stalls"] >= profile.total(0)
    assert after["ns"] - before["ns"] >= profile.total(1)
    named = profile.total(0, "bubble_sort")
    assert (after["stalls"] - after["lost"]
            >= before["stalls"] - before["lost"] + named)


def test_no_stall_with_a_thread_pool(nginx, blocking):
    configure(nginx, blocking, "profiler_stall_threshold 50ms;")
    numbers = " ".join(str(i * 7919 % 100003) for i in range(20000))
    with Capture(nginx, seconds=3) as capture:
        assert nginx.post("/pool", numbers).json()["sort_ns"] > 100e6
    assert capture.profile.samples == []
    assert status(nginx)["stall"]["stalls"] == 0


@pytest.mark.parametrize("how,names", [
    (SLEEP, ("clock_nanosleep", "block_in_sleep")),
    (POLL, ("poll", "block_in_poll")),
    (FRAME, ("clock_nanosleep", "block_in_sleep", "block_in_frame")),
    (BURN, ("block_in_burn",)),
])
def test_what_blocks_is_named(nginx, blocking, how, names):
    """Blocked threads are seen without a signal: not one sleep is cut short,
    and the stack is whole."""
    configure(nginx, blocking)
    with Capture(nginx) as capture:
        took = [block(nginx, how, 200) for _ in range(4)]
    profile = capture.profile
    assert profile.total(0) == 4
    assert sum(took) <= profile.total(1) < LONGER * sum(took)
    assert (profile.total(1, *names, "block_sort", "count")
            > MOST * profile.total(1)), profile.samples
    for stack, _, _ in profile.samples:
        assert stack[-1] == "_start", stack
    if how != BURN:
        # what follows, an answer that is written, may be seen as well
        leaf = sum(values[1] for stack, _, values in profile.samples
                   if stack[0] == names[0])
        assert leaf > MOST * profile.total(1), profile.samples


@pytest.mark.skipif(bool(SAN_PRELOAD),
                    reason="a sanitizer's dlopen() knows no run-path")
def test_a_library_that_the_turn_has_just_loaded_is_named(nginx):
    """And unloads before it ends, each time."""
    compile_c("keeping_library.c", nginx.prefix / "libkeeping.so")
    plugin = compile_c("loading_plugin.c", nginx.prefix / "loading.so",
                       "-Wl,-rpath,$ORIGIN")
    nginx.write_conf(
        modules=PROFILER, main="profiler on; profiler_types stall;",
        http=f"count_plugin loading {plugin};",
        server="""location = /loading { count; count_sort loading; }
        location /debug/pprof/ { profiler_endpoint; }""")
    nginx.start()
    stay = 4  # LOADING_STAY
    with Capture(nginx) as capture:
        for _ in range(5):
            # the profiler sees that it is gone
            status(nginx)
            answer = nginx.post("/loading", f"{stay} 200").json()
            assert answer["min"] == stay, answer
    assert (capture.profile.total(0, "keeping_sleeps", "loading_sort") == 5
            ), capture.profile.samples


@pytest.mark.parametrize("times,ms", [(3, 600), (1, 4000)])
def test_the_time_of_a_stall_is_divided(nginx, blocking, times, ms):
    """By time, not by stacks: of a long one they are taken ever less often."""
    configure(nginx, blocking)
    with Capture(nginx, seconds=6) as capture:
        took = sum(block(nginx, BOTH, ms) for _ in range(times))
    profile = capture.profile
    assert profile.total(0) == times
    assert took <= profile.total(1) < LONGER * took
    burnt = profile.total(1, "block_in_burn") / profile.total(1)
    assert 0.3 < burnt < 0.7
    assert profile.total(1, "block_in_sleep") > 0.3 * profile.total(1)


def test_short_stalls_have_stacks(nginx, blocking):
    """Of half as long again as the threshold, each; below it there is none."""
    configure(nginx, blocking, "profiler_stall_threshold 300ms;")
    with Capture(nginx, seconds=6) as capture:
        for _ in range(5):
            block(nginx, SLEEP, 100)
        took = sum(block(nginx, SLEEP, 450) for _ in range(5))
    # and others, where a busy machine leaves the loop without a processor
    assert capture.profile.total(0, "block_in_sleep") == 5
    assert took <= capture.profile.total(1, "block_in_sleep") < LONGER * took
    assert status(nginx)["stall"]["threshold_ms"] == 300


def test_only_stalls(nginx, blocking):
    """Without CPU profiles no thread has a timer, and stalls are seen."""
    configure(nginx, blocking, "profiler_types stall;")
    with open(f"/proc/{nginx.worker}/timers", encoding="ascii") as timers:
        assert timers.read() == ""
    with Capture(nginx) as capture:
        block(nginx, BURN, 300)
    assert capture.profile.total(0, "block_in_burn") == 1
    assert status(nginx)["types"] == ["stall"]
    assert "cpu" not in status(nginx)
    assert status(nginx)["threads"]["sampled"] == 1


class Blocked:
    """A worker whose loop burns, while it is entered; others answer. The work
    must end before the exit."""

    def __init__(self, nginx, how, ms):
        self._nginx = nginx
        self._block = f"{how} {ms}"
        self._pid, self.other = nginx.workers()
        self._connection = self.connect(self._pid)
        self._start = 0
        self.elapsed_ns = 0

    def connect(self, pid):
        """A connection to that worker, which is kept."""
        def attempt():
            connection = self._nginx.send("GET", "/debug/pprof/status",
                                          timeout=2 * PATIENCE)
            if Response(connection.getresponse()).json()["worker"] == pid:
                return connection
            connection.close()
            return None
        return wait_until(attempt, f"a connection to worker {pid}")

    def __enter__(self):
        before = self._cpu_ns()
        self._start = time.monotonic_ns()
        self._connection.request("POST", "/block", self._block)
        wait_until(lambda: self._cpu_ns() - before > 1e8, "it burns")
        return self

    def __exit__(self, *_):
        self.elapsed_ns = time.monotonic_ns() - self._start
        self._connection.close()

    def _cpu_ns(self):
        with open(f"/proc/{self._pid}/schedstat", encoding="ascii") as text:
            return int(text.read().split()[0])

    def is_over(self):
        return bool(select.select([self._connection.sock], [], [], 0)[0])

    def wait(self):
        answer = Response(self._connection.getresponse())
        assert answer.status == 200
        return answer.json()["sort_ns"]

    def end(self, number):
        os.kill(self._pid, number)
        wait_until(lambda: not alive(self._pid), "the worker exits")


def around(nginx, how, ms, run):
    """A worker is blocked while run(blocked, other connection) is called: what
    that returns, and the profile of a window, of another worker, around all of
    it."""
    for seconds in (5, 15, 45):
        wait_until(lambda: len(nginx.workers()) == 2, "two workers")
        blocked = Blocked(nginx, how, ms)
        window, other = (blocked.connect(blocked.other) for _ in range(2))
        end = time.monotonic() + seconds
        ask(window, f"stall?seconds={seconds}")
        # a job that comes after, so the window has begun
        ask(other, "status")
        Response(other.getresponse())
        with blocked, contextlib.closing(other):
            result = run(blocked, other)
        in_time = time.monotonic() < end
        profile = answered(window)
        if in_time:
            return result, blocked.elapsed_ns, profile
    raise AssertionError(f"more than {seconds} s for a stall of {ms} ms")


def ask(connection, path):
    connection.request("GET", f"/debug/pprof/{path}")


def answered(connection):
    with contextlib.closing(connection):
        answer = Response(connection.getresponse())
    assert answer.status == 200
    return Profile(answer.body).check()


def test_a_stall_that_goes_on(nginx, blocking):
    """Windows within it have their part of it, and one around it has all of
    it, and counts it once."""
    def look(blocked, other):
        ask(other, "stall?seconds=1")
        part = answered(other)
        goes_on = not blocked.is_over()
        return part, goes_on, blocked.wait()

    configure(nginx, blocking, workers=2)
    (part, goes_on, took), _, whole = around(nginx, BOTH, 3000, look)
    assert whole.total(0, "block_sort") == 1
    assert MOST * took < whole.total(1, "block_sort") < LONGER * took
    # a machine that takes longer for a second than for three has no part
    if goes_on:
        assert (0 < part.total(1, "block_sort")
                < whole.total(1, "block_sort"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stall_that_the_worker_exits_after(nginx, blocking, number):
    """The loop never waits again, so the stall's turn ends with it."""
    configure(nginx, blocking, workers=2)
    _, elapsed_ns, profile = around(nginx, BURN, 1000,
                                    lambda blocked, _: blocked.end(number))
    assert profile.total(0, "block_sort") == 1
    assert MOST * 1e9 < profile.total(1, "block_sort") < elapsed_ns


def test_histogram_counts_the_turns(nginx, blocking):
    """A request on its own connection takes a few turns; each is counted, and
    one of 200 ms is where it belongs."""
    configure(nginx, blocking)
    wait_until(lambda: status(nginx)["loop"]["turns"] > 0, "the loop turns")
    before = status(nginx)["loop"]
    for _ in range(200):
        assert nginx.get("/x").status == 200
    block(nginx, SLEEP, 200)
    after = status(nginx)["loop"]
    turns = after["turns"] - before["turns"]
    assert 200 <= turns <= 202 * 6 + 20
    assert sum(b["turns"] for b in after["histogram"]) == after["turns"]
    bounds = [b["under_us"] for b in after["histogram"]]
    assert bounds == sorted(bounds)
    assert all(b & (b - 1) == 0 for b in bounds)
    slow = [b["turns"] for b in after["histogram"] if b["under_us"] == 262144]
    assert slow == [1]
    assert 200e6 < after["turns_ns"] - before["turns_ns"] < 2e9


def test_idle_loop_is_left_alone(nginx, blocking):
    """The profiler thread of an idle worker wakes up ten times a second, with
    stalls watched and without."""
    def wakes(types):
        configure(nginx, blocking, f"profiler_types {types};")
        time.sleep(1.5)
        tid = [int(t) for t in os.listdir(f"/proc/{nginx.worker}/task")
               if open(f"/proc/{nginx.worker}/task/{t}/comm",
                       encoding="ascii").read() == "nprof-profiler\n"][0]

        def switches():
            with open(f"/proc/{nginx.worker}/task/{tid}/status",
                      encoding="ascii") as text:
                return int([line for line in text if line.startswith(
                    "voluntary")][0].split()[1])
        before = switches()
        time.sleep(5)
        count = switches() - before
        nginx.stop()
        return count
    assert wakes("cpu") <= 60
    assert wakes("cpu stall") <= 60


def test_fgprof_serves_wall(nginx, blocking):
    configure(nginx, blocking, "profiler_types wall;")
    answer = nginx.get("/debug/fgprof?seconds=1")
    assert answer.status == 200
    profile = Profile(answer.body).check()
    assert profile.types == [("samples", "count"), ("wall", "nanoseconds")]
    assert profile.total(1, "epoll_wait") > 0


def test_durations_are_exact(nginx, blocking):
    """The stalls of sleeps of many lengths sum to the sleeps' own time."""
    configure(nginx, blocking)
    over = []
    for ms in (100, 123, 177):
        before = status(nginx)["stall"]["ns"]
        took = block(nginx, SLEEP, ms)
        over.append(status(nginx)["stall"]["ns"] - before - took)
    # what the request does besides; far below a millisecond, preemption aside
    assert min(over) >= 0
    assert statistics.median(over) < 20e6
