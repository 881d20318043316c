"""Profiles say how many requests they are of: in all, and by labels."""

import concurrent.futures
import re
import shutil
import subprocess
import time

import pytest

from nginx_instance import ALGORITHMS, NginxError, wait_until
from pprof_profile import Profile

MODULES = ("ngx_http_count_module", "ngx_profiler_module")
NUMBERS = "3 1 2"

# Seconds at both ends of a window in which nothing is asked for: a request is
# counted once it is logged, a moment after its answer.
IDLE = 0.3
TRIES = 5


def configure(nginx, main="", server="", workers=2):
    nginx.write_conf(
        modules=MODULES, workers=workers, main="profiler on;" + main,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
             f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;",
        server="location /v1 { count; count_sort v1; }"
               "location /v2 { count; count_sort v2; }"
               "location /debug/pprof/ { profiler_endpoint; }" + server)


def ask(nginx, path, n):
    for _ in range(n):
        assert nginx.post(path, NUMBERS).status == 200


def profile(nginx, path):
    answer = nginx.get(f"/debug/pprof/{path}", timeout=120)
    assert answer.status == 200, answer
    return Profile(answer.body).check()


def since_start(nginx):
    return profile(nginx, "allocs").requests()


def by_version(requests):
    """{version: number}, of the comments that name one."""
    found = {}
    for labels, number in requests.items():
        version = dict(labels or ()).get("version")
        if version:
            found[version] = found.get(version, 0) + number
    return found


def window(nginx, path, seconds, work):
    """The profile of a window that work() lies in, with time to spare."""
    for _ in range(TRIES):
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            answer = reader.submit(
                profile, nginx, f"{path}?seconds={seconds}")
            time.sleep(2 * IDLE)
            start = time.time()
            work()
            end = time.time()
            found = answer.result()
        opened = found.proto.time_nanos / 1e9
        closed = opened + found.proto.duration_nanos / 1e9
        if opened + IDLE < start and end + IDLE < closed:
            return found
    raise NginxError(f"too slow for a window of {seconds} s")


def test_a_window_says_how_many_requests_it_is_of(nginx):
    """Those of both workers in it, and none from before or after it."""
    configure(nginx)
    nginx.start()
    ask(nginx, "/v1", 7)
    wait_until(lambda: since_start(nginx)[None] == 7, "7 requests are counted")

    def work():
        ask(nginx, "/v1", 12)
        ask(nginx, "/v2", 5)
        assert nginx.post("/v1", "x").status == 400

    found = window(nginx, "profile", 4, work).requests()
    assert found[None] == 18
    assert by_version(found) == {"1.0.0": 13, "2.0.0": 5}
    assert {dict(labels)["location"]: n for labels, n in found.items()
            if labels} == {"/v1": 13, "/v2": 5}
    assert sum(n for labels, n in found.items() if labels) == 18


def test_requests_through_reloads(nginx):
    """Workers that left in the window are counted, once."""
    configure(nginx)
    nginx.start()

    def work():
        ask(nginx, "/v1", 9)
        nginx.reload()
        ask(nginx, "/v1", 6)
        nginx.reload()
        ask(nginx, "/v2", 4)

    found = window(nginx, "profile", 8, work).requests()
    assert found[None] == 19
    assert by_version(found) == {"1.0.0": 15, "2.0.0": 4}
    wait_until(lambda: len(nginx.workers(draining=True)) == 2,
               "old workers exit")
    # a window that was too short was tried again
    assert since_start(nginx)[None] % 19 == 0


def test_every_kind_of_profile_says_it(nginx, tmp_path):
    """Of a window, of the last minute, of one worker, and on disk."""
    store = nginx.prefix / "store"
    configure(nginx, "profiler_types cpu wall heap stall; profiler_period 1s;"
                     f"profiler_store {store};")
    nginx.start()
    # the past begins with the leader's first turn
    wait_until(lambda: nginx.get("/debug/pprof/profile?last=60s").status == 200,
               "there is a past")
    ask(nginx, "/v1", 11)
    for path in ("profile?last=60s", "wall?last=60s", "stall?last=60s",
                 "allocs?last=60s", "heap"):
        wait_until(lambda p=path: profile(nginx, p).requests()[None] == 11,
                   f"{path} is of 11 requests")
    assert sum(profile(nginx, f"allocs?worker={pid}").requests()[None]
               for pid in nginx.workers()) == 11
    for kind in ("cpu", "wall", "heap", "stall"):
        wait_until(
            lambda k=kind: sum(Profile(file.read_bytes()).requests()[None]
                               for file in store.glob(f"{k}-*.pb.gz")) == 11,
            f"the files of {kind} are of 11 requests")


def test_requests_of_the_profiler_are_not_counted(nginx):
    configure(nginx)
    nginx.start()
    for path in ("status", "store/", "block", "", "nothing"):
        nginx.get(f"/debug/pprof/{path}")
    nginx.raw(b"no request\r\n\r\n")
    nginx.get("/missing")
    wait_until(lambda: since_start(nginx)[None] == 2,
               "two requests are counted")


def test_subrequests_and_redirects_are_one_request(nginx):
    nginx.write_file("html/page.html", "page")
    configure(nginx, server="""
        location /page.html { add_after_body /v1-body; }
        location /v1-body { return 200 body; }
        location /old { error_page 404 = /page.html; return 404; }
    """, workers=1)
    nginx.start()
    assert nginx.get("/page.html").status == 200
    assert nginx.get("/old").status == 200
    wait_until(lambda: since_start(nginx)[None] == 2,
               "two requests are counted")


def test_values_are_quoted(nginx):
    """Whatever a label has in it, a comment is read as it was meant; too many
    of them are not listed."""
    configure(nginx, server='profiler_label key "$arg_key"; root html;')
    nginx.start()
    for value in ('a"b', "back\\slash", "x=1,y={2}"):
        nginx.get("/missing?key=" + value.replace('"', "%22"))
    nginx.get('/missing?key=a"b')
    wait_until(lambda: since_start(nginx)[None] == 4,
               "the requests are counted")
    keys = {dict(labels).get("key"): n
            for labels, n in since_start(nginx).items() if labels}
    assert keys['a\\"b'] == 1 and keys["back\\\\slash"] == 1
    assert keys["x=1,y={2}"] == 1
    for i in range(260):
        nginx.get(f"/missing?key={i}")
    wait_until(lambda: since_start(nginx) == {None: 264},
               "the number of all alone")


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go")
def test_pprof_shows_the_comments(nginx, tmp_path):
    configure(nginx)
    nginx.start()
    ask(nginx, "/v2", 3)
    wait_until(lambda: since_start(nginx)[None] == 3, "3 requests are counted")
    file = tmp_path / "allocs.pb.gz"
    file.write_bytes(nginx.get("/debug/pprof/allocs").body)
    done = subprocess.run(["go", "tool", "pprof", "-comments", file],
                          capture_output=True, text=True, check=True)
    assert "requests=3\n" in done.stdout, done.stdout
    assert re.search(r'requests\{.*version="2.0.0".*\}=3', done.stdout)
    subprocess.run(["go", "tool", "pprof", "-top", file],
                   capture_output=True, check=True)
