"""Heap profiles: what is allocated, and what is still there."""

import concurrent.futures
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from hostile_company import ENDPOINT, PLUGINS, PROFILER, compile_c, status
from import_slots import import_slots
from nginx_instance import (ALGORITHMS, BUILD, LONG, MODULES, SAN_PRELOAD,
                            alive, maps, wait_until)
from pprof_profile import Profile

ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE = range(4)
TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"),
         ("inuse_objects", "count"), ("inuse_space", "bytes")]

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
ALLOCATORS = ("libjemalloc.so.2", "libtcmalloc_minimal.so.4",
              "libtcmalloc.so.4")

# glibc's qsort() takes no more than 1 KB from the stack. Blocks like its buffer
# are 29 times as long as the interval: one of 10^12 is not sampled, and each
# stands for itself.
INTERVAL = "8k"
COUNT = 30000
BUFFER = COUNT * 8


def numbers(count):
    return " ".join(str(i * 7919 % 10007) for i in range(count))


no_sanitizer = pytest.mark.skipif(
    bool(SAN_PRELOAD), reason="a sanitizer has malloc() itself")


def configure(nginx, interval=INTERVAL, main="", http="", server=""):
    nginx.write_file("html/few", numbers(300))
    nginx.write_file("html/numbers", numbers(COUNT))
    nginx.write_conf(
        modules=PROFILER,
        main=f"profiler on; profiler_heap_interval {interval}; {main}",
        http=f"""
        count_plugin v1 {ALGORITHMS}/libsort_v1.so;
        count_plugin v2 {ALGORITHMS}/libsort_v2.so;
        {http}""",
        server=f"""{ENDPOINT}
        location /1k {{ return 200 {'x' * 1024}; }}
        location /v1 {{ count; count_sort v1;
                       count_input {nginx.prefix}/html/few; }}
        location /v2 {{ count; count_sort v2;
                       count_input {nginx.prefix}/html/numbers; }}
        {server}""")
    return nginx


def fetch(nginx, path="heap", **options):
    answer = nginx.get(f"/debug/pprof/{path}", **options)
    assert answer.status == 200, answer
    profile = Profile(answer.body).check()
    assert profile.types == TYPES
    return profile


def sorts(profile):
    """Labels and values of v2's buffers. Our own threads sort, too."""
    return [(labels, values) for names, labels, values in profile.samples
            if "qsort_r" in names and labels["thread"] == "main"]


def sort_total(profile, value):
    return sum(values[value] for _, values in sorts(profile))


def ask(nginx, path, times):
    """To answer for its status the worker takes in all that was sampled: so
    nothing is dropped, however slow the machine is."""
    for i in range(times):
        if i % 10 == 0:
            status(nginx)
        assert nginx.get(path).status == 200


# against a ledger, without nginx

def ledger(*arguments):
    done = subprocess.run(
        [BUILD / "stress" / "heap_ledger", MODULES / "libnprof.so",
         *map(str, arguments)],
        capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done
    return done.stdout


@no_sanitizer
def test_profile_is_the_ledger(tmp_path):
    """All values of all functions are exact, with eight threads that free
    each other's blocks and with calls that fail; of what was freed past the
    hooks exactly that is in use still."""
    path = tmp_path / "heap.pb.gz"
    output = ledger("exact", 1000 if LONG else 60, path)
    lines, text = output.split("{", 1)
    heap = json.loads("{" + text)["heap"]
    assert heap["dropped"] == heap["table_full"] == heap["missed_free"] == 0
    assert heap["complete"] == heap["samples"] > 4000

    profile = Profile(path.read_bytes())
    accounts = [line.split() for line in lines.splitlines()]
    assert len(accounts) == 12
    for name, *values in accounts:
        found = [profile.total(value, name) for value in range(4)]
        assert found == list(map(int, values)), name


@no_sanitizer
def test_a_million_sampled_blocks():
    """Bounded, counted, and no crash, while signals hit the hooks and children
    are forked that allocate."""
    output = ledger("crowd", 1000000)
    full, empty = (json.loads("{" + part)["heap"]
                   for part in output.split("{", 1)[1].split("\n{"))
    assert full["table_full"] > 0 and full["dropped"] > 0
    assert full["live_limit"] * 0.99 < full["live"] <= full["live_limit"]
    assert empty["live"] < 100 and empty["missed_free"] < 100


# the endpoint

def test_replies_are_those_of_go(nginx):
    configure(nginx).start()
    for path, filename in (
            ("heap", "heap"), ("allocs", "allocs"), ("heap?gc=1", "heap"),
            ("heap?debug=0", "heap"), ("heap?seconds=1", "heap-delta"),
            ("allocs?seconds=1", "allocs-delta")):
        for method in ("HEAD", "GET"):
            answer = nginx.request(method, f"/debug/pprof/{path}")
            assert answer.status == 200
            assert (answer.headers["Content-Type"]
                    == "application/octet-stream")
            assert (answer.headers["Content-Disposition"]
                    == f'attachment; filename="{filename}"')
        profile = Profile(answer.body).check()
        assert profile.types == TYPES
        shown = profile.strings[profile.proto.default_sample_type]
        assert shown == ("alloc_space" if path.startswith("allocs")
                         else "inuse_space")
        assert profile.proto.period == 8 << 10
        period = profile.proto.period_type
        assert (profile.strings[period.type],
                profile.strings[period.unit]) == ("space", "bytes")


@pytest.mark.parametrize("query,reason", [
    ("seconds=x", 'invalid value for "seconds" - must be a positive integer'),
    ("seconds=0", 'invalid value for "seconds" - must be a positive integer'),
    ("seconds=-1", 'invalid value for "seconds" - must be a positive integer'),
    ("seconds=301", "seconds is larger than profiler_max_seconds"),
    ("seconds=1&debug=1", "seconds and debug params are incompatible"),
])
def test_arguments_that_are_refused(nginx, query, reason):
    configure(nginx).start()
    for path in ("heap", "allocs"):
        answer = nginx.get(f"/debug/pprof/{path}?{query}")
        assert answer.status == 400
        assert answer.text == reason + "\n"
        assert answer.headers["X-Go-Pprof"] == "1"


@no_sanitizer
def test_text_has_the_same_numbers(nginx):
    configure(nginx).start()
    ask(nginx, "/v2", 5)
    answer = nginx.get("/debug/pprof/heap?debug=1")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] is None
    lines = answer.text.splitlines()
    assert lines[0].startswith("heap profile: ")
    assert lines[0].endswith("] @ heap/1")
    at = next(i for i, line in enumerate(lines)
              if line.startswith(f"0: 0 [5: {5 * BUFFER}] @ 0x"))
    assert "\tqsort_r\t" in lines[at + 1]


# the hooks

HOOKED = {"malloc", "calloc", "realloc", "reallocarray", "free",
          "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc"}
CPU_ONLY = "profiler_types cpu stall;"


def hooked(pid):
    """The modules of a process that import functions of the allocator:
    {path: which of these lead into libnprof, "all", "none" or "some"}."""
    found = {}
    for slot in import_slots(pid, HOOKED):
        found.setdefault(slot.module, set()).add(
            "all" if slot.target.endswith("/libnprof.so") else "none")
    return {module: leads.pop() if len(leads) == 1 else "some"
            for module, leads in found.items()}


# nginx, the C library, libraries, modules, and what modules open
LOOKED_AT = ("/nginx", "/libc.so.6", "/libcrypto.so.3",
             "/ngx_http_count_module.so", "/libnprof.so")


def assert_hooked(pid, which, names=LOOKED_AT):
    """For "none", once the process has served a request."""
    wait_until(lambda: set(hooked(pid).values()) == {which},
               f"{which} of the imports lead into libnprof")
    found = hooked(pid)
    for name in names:
        assert any(module.endswith(name) for module in found), (name, found)


@no_sanitizer
def test_hooks_are_in_all_modules_of_a_worker(nginx):
    configure(nginx).start()
    assert_hooked(nginx.worker, "all")
    assert_hooked(nginx.master, "none")


# tests/plugins/loading_plugin.c, enum loading
OPEN, KEEP, DROP, CLOSE = range(4)
# 30 intervals: each is sampled
KEPT = 2000000


def loading(nginx, what):
    answer = nginx.post("/loading", f"{what} {KEPT}")
    assert answer.status == 200 and answer.json()["min"] == what, answer


@no_sanitizer
def test_library_that_comes_and_goes(nginx):
    """It is hooked soon after it came, each time. What it allocated keeps its
    name when it is gone, and is in use until it is freed."""
    compile_c("keeping_library.c", nginx.prefix / "libkeeping.so")
    plugin = compile_c("loading_plugin.c", nginx.prefix / "loading.so",
                       "-Wl,-rpath,$ORIGIN")
    configure(nginx, "64k", http=f"count_plugin loading {plugin};",
              server="location /loading { count; count_sort loading; }")
    nginx.start()
    worker = nginx.worker

    def kept(value):
        return fetch(nginx).total(value, "keeping_allocates")

    def is_hooked():
        return hooked(worker).get(f"{nginx.prefix}/libkeeping.so") == "all"

    for turn in range(1, 6 if LONG else 3):
        loading(nginx, OPEN)
        wait_until(is_hooked, "the library is hooked")
        loading(nginx, DROP)
        assert kept(INUSE_SPACE) == 0
        for _ in range(5):
            loading(nginx, KEEP)
        loading(nginx, CLOSE)
        assert not any("libkeeping" in line for line in maps(worker))
        assert kept(INUSE_SPACE) == 5 * KEPT
        assert kept(ALLOC_SPACE) == turn * 5 * KEPT
    assert_hooked(worker, "all")
    assert nginx.worker == worker
    assert status(nginx)["heap"]["missed_free"] == 0


def test_off_is_empty_and_not_hooked(nginx):
    configure(nginx, main=CPU_ONLY).start()
    ask(nginx, "/v2", 20)
    assert not fetch(nginx, "heap").samples
    assert not fetch(nginx, "allocs").samples
    assert "heap profile: 0: 0 [0: 0]" in nginx.get(
        "/debug/pprof/allocs?debug=1").text
    assert "heap" not in status(nginx)
    assert_hooked(nginx.worker, "none")


@no_sanitizer
def test_heap_alone_times_no_turns(nginx):
    """Nobody asks how long they take; where requests end is seen still."""
    configure(nginx, main="profiler_types heap;").start()
    ask(nginx, "/v2", 5)
    assert {labels.get("location")
            for labels, _ in sorts(fetch(nginx, "allocs"))} == {"/v2"}
    metrics = nginx.get("/debug/pprof/status?format=prometheus").text
    assert f'loop_turn_seconds_count{{worker="{nginx.worker}"}} 0\n' in metrics


@no_sanitizer
def test_switched_by_a_reload(nginx):
    """The workers of a configuration without heap profiles are as if there
    had never been one with them; and the other way round."""
    configure(nginx).start()
    assert_hooked(nginx.worker, "all")
    configure(nginx, main=CPU_ONLY)
    nginx.reload(wait_for_old=True)
    ask(nginx, "/v2", 5)
    assert_hooked(nginx.worker, "none")
    configure(nginx)
    nginx.reload(wait_for_old=True)
    assert_hooked(nginx.worker, "all")


# what it shows

@no_sanitizer
def test_merge_buffer_of_the_second_version(nginx):
    """v2's qsort() allocates, v1 does not: by name, and exactly."""
    configure(nginx).start()
    ask(nginx, "/v1", 20)
    assert fetch(nginx, "allocs").total(ALLOC_SPACE, "bubble_sort") == 0
    ask(nginx, "/v2", 20)
    profile = fetch(nginx, "allocs")
    assert profile.total(ALLOC_SPACE, "bubble_sort") == 0
    assert sort_total(profile, ALLOC_OBJECTS) == 20
    assert sort_total(profile, ALLOC_SPACE) == 20 * BUFFER
    for labels, values in sorts(profile):
        assert labels["location"] == "/v2"
        assert labels["version"] == "2.0.0"
        assert values[INUSE_SPACE] == 0


@no_sanitizer
def test_estimate_of_a_coarse_interval(nginx):
    """300 buffers of 240 KB, one sample in 512 KB: a standard deviation of
    7.5 %, and five of them are allowed."""
    configure(nginx, interval="512k").start()
    ask(nginx, "/v2", 300)
    profile = fetch(nginx, "allocs")
    assert sort_total(profile, ALLOC_SPACE) == pytest.approx(
        300 * BUFFER, rel=0.38)
    assert sort_total(profile, ALLOC_OBJECTS) == pytest.approx(
        300, rel=0.38)


LEAK = 300000


@pytest.fixture
def leaking(nginx):
    plugin = compile_c("leaking_plugin.c", nginx.prefix / "leak.so")
    return configure(
        nginx, http=f"count_plugin leak {plugin};",
        server="location /leak { count; count_sort leak; }")


def leak(nginx, size, times):
    for i in range(times):
        if i % 10 == 0:
            status(nginx)
        assert nginx.post("/leak", f"{size} {size}").status == 200


@no_sanitizer
def test_leak_grows_at_its_line_and_nowhere_else(leaking):
    leaking.start()
    leak(leaking, LEAK, 5)
    # what is allocated once is there by now
    ask(leaking, "/1k", 5)
    before = fetch(leaking)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        delta = pool.submit(fetch, leaking, "heap?seconds=2")
        leak(leaking, LEAK, 40)
        delta = delta.result()
    after = fetch(leaking)

    assert (after.total(INUSE_SPACE, "leak_forgets")
            == after.total(ALLOC_SPACE, "leak_forgets") == 45 * LEAK)
    assert (after.total(INUSE_SPACE, "leak_forgets")
            - before.total(INUSE_SPACE, "leak_forgets")) == 40 * LEAK
    assert after.total(INUSE_SPACE, "leak_returns") == 0
    assert after.total(ALLOC_SPACE, "leak_returns") == 45 * LEAK

    source = (PLUGINS / "leaking_plugin.c").read_text().splitlines()
    line = next(i for i, text in enumerate(source, 1)
                if "the line of the leak" in text)
    assert {number for _, number in after.lines("leak_forgets")} == {line}

    # of the worker's own thread nothing else stays
    for names, labels, values in delta.samples:
        if labels.get("thread") == "main" and "leak_forgets" not in names:
            assert values[INUSE_SPACE] < 5 * LEAK, (names, values)


def slow_client(nginx):
    """Has a worker with a request that it can't end."""
    client = nginx.connect()
    client.sendall(b"POST /leak HTTP/1.0\r\nContent-Length: 9\r\n\r\n1")
    return client


def added_once(profile, before):
    """The leaked bytes that a client which subtracts scrapes sees added."""
    stacks = {tuple(profile.locations[i].address for i in s.location_id)
              for s, (names, _, _) in zip(profile.proto.sample, profile.samples)
              if "leak_forgets" in names}
    return sum(delta for (stack, _), delta
               in profile.added(before, ALLOC_SPACE).items() if stack in stacks)


@no_sanitizer
def test_reload_with_a_leak(leaking):
    """What the worker that drains has in use is there until that exits; what it
    allocated stays."""
    leaking.start()
    old = leaking.worker
    leak(leaking, LEAK, 10)
    with slow_client(leaking):
        status(leaking)
        before = fetch(leaking)
        leaking.reload()
        assert leaking.worker != old
        leak(leaking, LEAK, 3)
        profile = fetch(leaking)
        assert profile.total(INUSE_SPACE, "leak_forgets") == 13 * LEAK
        draining = [values for names, labels, values in profile.samples
                    if "leak_forgets" in names
                    and labels.get("state") == "draining"]
        assert sum(values[INUSE_SPACE] for values in draining) == 10 * LEAK
        # a scrape sees what is new, and not again what the old worker did
        assert added_once(profile, before) == 3 * LEAK
        before = profile
    wait_until(lambda: not alive(old), "the old worker exits")
    profile = fetch(leaking)
    assert added_once(profile, before) == 0
    assert profile.total(INUSE_SPACE, "leak_forgets") == 3 * LEAK
    assert profile.total(INUSE_OBJECTS, "leak_forgets") == 3
    assert profile.total(ALLOC_SPACE, "leak_forgets") == 13 * LEAK
    assert profile.total(ALLOC_OBJECTS, "leak_forgets") == 13


@no_sanitizer
def test_reload_that_unloads_the_module(leaking):
    """The worker that drains goes on with it, the new one has nothing of
    it."""
    leaking.start()
    old = leaking.worker
    leak(leaking, LEAK, 5)
    with slow_client(leaking) as client:
        status(leaking)
        leaking.write_conf(modules=(), server="location /x { return 204; }")
        leaking.reload()
        assert leaking.get("/x").status == 204
        assert_hooked(leaking.worker, "none", ("/nginx", "/libc.so.6"))
        assert_hooked(old, "all")
        client.sendall(b"00 10000")
        assert b"200 OK" in client.recv(1000)
    wait_until(lambda: not alive(old), "the old worker exits")


@no_sanitizer
def test_allocations_of_two_workers_never_fall(leaking):
    """Over reloads, whoever is asked, and while workers exit: what was allocated
    only grows, and is all there in the end."""
    conf = leaking.conf.read_text()
    assert "worker_processes 1;" in conf
    leaking.conf.write_text(conf.replace("worker_processes 1;",
                                         "worker_processes 2;"))
    leaking.start()
    seen = []

    def look():
        profile = fetch(leaking, "allocs")
        seen.append((profile.total(ALLOC_OBJECTS, "leak_forgets"),
                     profile.total(ALLOC_SPACE, "leak_forgets")))

    for _ in range(4 if LONG else 2):
        leak(leaking, LEAK, 10)
        look()
        old = leaking.workers()
        leaking.signal(signal.SIGHUP)
        wait_until(lambda: look() or not any(map(alive, old)),
                   "the old workers exit")
        look()
    assert seen == sorted(seen)
    rounds = 4 if LONG else 2
    assert seen[-1] == (10 * rounds, 10 * rounds * LEAK)
    assert fetch(leaking).total(INUSE_SPACE, "leak_forgets") == 0


@no_sanitizer
def test_periods_have_what_is_in_use_at_their_end(leaking):
    """Of what is kept on disk allocations are those of the period."""
    store = leaking.prefix / "store"
    conf = leaking.conf.read_text()
    leaking.conf.write_text(conf.replace(
        "profiler on;", f"profiler on; profiler_period 1s;"
        f"profiler_store {store};", 1))
    leaking.start()

    def stored():
        return [Profile(path.read_bytes()).check()
                for path in sorted(store.glob("heap-*.pb.gz"))]

    def in_use():
        return [p.total(INUSE_SPACE, "leak_forgets") for p in stored()]

    wait_until(stored, "a period")
    leak(leaking, LEAK, 5)
    # one that has all of them, and one after it
    wait_until(lambda: in_use().count(5 * LEAK) >= 2, "two periods")
    allocated = [p.total(ALLOC_SPACE, "leak_forgets") for p in stored()]
    assert sum(allocated) == 5 * LEAK
    assert allocated[-1] == 0


# whose allocator it is

@no_sanitizer
@pytest.mark.parametrize("name", ALLOCATORS)
def test_preloaded_allocator_serves(nginx, name):
    if not (LIBRARIES / name).exists():
        pytest.skip(f"no {name}")
    configure(nginx).start(
        environment={"LD_PRELOAD": str(LIBRARIES / name)})
    ask(nginx, "/v2", 20)
    profile = fetch(nginx)
    assert sort_total(profile, ALLOC_SPACE) == 20 * BUFFER
    assert sort_total(profile, INUSE_SPACE) == 0
    assert profile.total(ALLOC_SPACE, "ngx_create_pool") > 0
    assert status(nginx)["heap"]["missed_free"] == 0
    assert any(name.split(".")[0] in line for line in maps(nginx.worker))


@no_sanitizer
def test_sanitizer_has_the_allocator(nginx):
    """Off, with one warning, and a status that says why."""
    library = nginx.prefix / "sanitizer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library],
                   input="void __asan_init(void) {}", text=True, check=True)
    configure(nginx).start(environment={"LD_PRELOAD": str(library)})
    ask(nginx, "/v2", 20)
    assert not fetch(nginx).samples
    reason = "no heap samples: a sanitizer has malloc()"
    assert status(nginx)["heap"]["degraded"] == reason
    assert nginx.error_log().count("[warn]") == 1
    assert reason in nginx.error_log()


# nginx's pools

POOL = 256 << 10


@no_sanitizer
def test_pools_are_their_creators(nginx):
    """The block of a pool has on its stack who made the pool, and is in use
    as long as what it is of."""
    configure(nginx, http="connection_pool_size 256k; request_pool_size 256k; "
                          "large_client_header_buffers 4 256k;").start()

    def of_creators(profile, value):
        return [profile.total(value, "ngx_create_pool", creator)
                for creator in ("ngx_event_accept", "ngx_http_create_request")]

    before = fetch(nginx)
    for _ in range(5):
        nginx.get("/1k")
    with nginx.connect():
        after = fetch(nginx)
        for value, each in ((ALLOC_OBJECTS, 1), (ALLOC_SPACE, POOL)):
            made = [now - then for now, then in zip(
                of_creators(after, value), of_creators(before, value))]
            assert made == [7 * each, 6 * each]
        # that connection, and who asks
        wait_until(lambda: of_creators(fetch(nginx), INUSE_SPACE)
                   == [2 * POOL, POOL], "the pools of what is over are gone")


@no_sanitizer
def test_large_block_of_a_pool_is_its_callers(nginx):
    """What is larger than the pool's blocks has a block of its own."""
    configure(nginx, server="location /body { count; count_sort v1; "
                            "client_body_buffer_size 1m; }")
    nginx.start()
    assert nginx.post("/body", "2 1".ljust(300000)).status == 200
    caller = ("ngx_create_temp_buf", "ngx_http_read_client_request_body")
    buffers = [(labels, values) for names, labels, values
               in fetch(nginx, "allocs").samples
               if caller in zip(names, names[1:])]
    assert [labels["location"] for labels, _ in buffers] == ["/body"]
    objects, space, *in_use = buffers[0][1]
    # without what came along with the header
    assert objects == 1 and 298000 < space <= 300000
    assert in_use == [0, 0]


# memory that malloc() does not see

def metrics(nginx):
    """{(resident or mapped, of what): bytes} of the one worker."""
    text = nginx.get("/debug/pprof/status?format=prometheus").text
    return {(what, of): int(value) for what, pid, of, value in re.findall(
        r'nginx_profiler_process_(resident|mapped)_bytes'
        r'{worker="(\d+)",of="(\w+)"} (\d+)', text)
            if int(pid) == nginx.worker}


def test_status_has_what_malloc_does_not_see(nginx):
    configure(nginx, http="limit_req_zone $uri zone=a:11m rate=1r/s;").start()
    memory = status(nginx)["memory"]
    # and what workers share of ours
    assert 11 << 20 <= memory["mapped_zones"] < 15 << 20
    assert memory["resident"] > memory["anonymous"] > 1 << 20
    assert memory["mapped_private"] > memory["anonymous"] / 2
    # and as metrics, which are older
    found = metrics(nginx)
    assert found["mapped", "zones"] == memory["mapped_zones"]
    assert found["mapped", "private"] > 1 << 20
    assert found["mapped", "code"] == 0
    resident = sum(found["resident", of]
                   for of in ("anonymous", "shared", "files"))
    assert memory["resident"] / 2 < resident < 2 * memory["resident"]


def code_without_file(pid):
    """Bytes of a process's private mappings with code that is in no file."""
    mappings = [line.split() for line in maps(pid)]
    return sum(end - start for start, end in (
        (int(part, 16) for part in mapping[0].split("-"))
        for mapping in mappings
        if mapping[1].endswith("xp") and mapping[4] == "0"
        and not mapping[-1].startswith("[v")))


@pytest.mark.parametrize("jit", ["on", "off"])
def test_status_has_the_code_of_jit_compilers(nginx, jit):
    """A location's expression is compiled by the master, and its code is the
    workers' memory."""
    configure(nginx, main=f"pcre_jit {jit};",
              server="location ~ ^/(a|b)+c$ { return 204; }").start()
    assert nginx.get("/abc").status == 204
    code = status(nginx)["memory"]["mapped_code"]
    assert code == code_without_file(nginx.worker)
    assert (code > 0) == (jit == "on")
