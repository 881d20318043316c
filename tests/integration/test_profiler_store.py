"""profiler_store: profiles of each period on disk."""

import os
import re
import stat
import subprocess
import time

import pytest

from nginx_instance import wait_until
from pprof_profile import Profile
from test_profiler_workers import PROFILER, Sorting, configure

NAME = re.compile(r"^(cpu|wall|stall)-\d{8}T\d{6}Z-\d+-[0-9a-f]{8}\.pb\.gz$")


def stored(nginx):
    return sorted(p for p in (nginx.prefix / "store").iterdir()
                  if not p.name.startswith("."))


def test_periods_are_kept_and_listed(nginx):
    configure(nginx, 2, main="profiler on; profiler_period 1s; "
              "profiler_types cpu wall;"
              f"profiler_store {nginx.prefix}/store;")
    nginx.start()
    with Sorting(nginx, 2):
        wait_until(lambda: sum(p.name.startswith("cpu")
                               for p in stored(nginx)) >= 3, "three periods")
    files = stored(nginx)
    assert all(NAME.match(p.name) for p in files), files
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in files)
    sorts = 0
    for path in files:
        profile = Profile(path.read_bytes()).check()
        assert profile.proto.duration_nanos > 0.5e9
        if path.name.startswith("cpu"):
            sorts += profile.total(0, "bubble_sort")
            assert all("thread" in labels or names == ["[other]"]
                       for names, labels, _ in profile.samples)
    assert sorts > 50

    page = nginx.get("/debug/pprof/store/")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'href="{files[0].name}"' in page.text
    answer = nginx.get(f"/debug/pprof/store/{files[0].name}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (answer.headers["Content-Disposition"]
            == f'attachment; filename="{files[0].name}"')
    assert answer.body == files[0].read_bytes()
    head = nginx.request("HEAD", f"/debug/pprof/store/{files[0].name}")
    assert head.status == 200
    assert int(head.headers["Content-Length"]) == len(answer.body)
    assert (head.headers["Content-Disposition"]
            == answer.headers["Content-Disposition"])
    moved = nginx.get("/debug/pprof/store")
    assert moved.status == 301
    assert moved.headers["X-Content-Type-Options"] == "nosniff"
    assert nginx.request("HEAD", "/debug/pprof/store/").status == 200
    status = nginx.get("/debug/pprof/status").json()
    assert status["instance"]["store"]["stored"] >= len(files)
    assert status["instance"]["store"]["errors"] == 0
    assert status["instance"]["store"]["bytes"] >= files[0].stat().st_size


@pytest.mark.parametrize("name", [
    "nothing.pb.gz", "cpu-x.pb.gz", "..%2fnginx.pid", ".part.pb.gz", "a/b",
    "%00", "cpu-1.pb.gz%00", "nginx.conf", "x" * 300 + "-1.pb.gz",
    "x%0d%0aX-Injected:%201"])
def test_other_files_are_not_served(nginx, name):
    configure(nginx, 1,
              main=f"profiler on; profiler_store {nginx.prefix}/store;")
    nginx.start()
    # what is no profile's name, and what is a link out of the folder
    (nginx.prefix / "store" / "cpu-x.pb.gz").symlink_to("/etc/passwd")
    answer = nginx.get(f"/debug/pprof/store/{name}")
    assert answer.status in (400, 404), answer
    assert "root:" not in answer.text
    head = nginx.request("HEAD", f"/debug/pprof/store/{name}")
    assert head.status == answer.status
    assert head.headers["Content-Disposition"] is None
    assert head.headers["X-Injected"] is None


def test_a_damaged_file_is_refused_and_counted(nginx):
    configure(nginx, 1,
              main=f"profiler on; profiler_store {nginx.prefix}/store;")
    nginx.start()
    nginx.expect_log("profiler job failed")
    path = nginx.prefix / "store" / "cpu-20260101T000000Z-60-0.pb.gz"
    path.write_bytes(b"\x1f\x8b\x08\0junk")
    path.chmod(0o644)
    answer = nginx.get(f"/debug/pprof/store/{path.name}")
    assert answer.status == 500
    assert answer.headers["X-Go-Pprof"] == "1"
    assert "damaged" in answer.text
    # which reads nothing
    head = nginx.request("HEAD", f"/debug/pprof/store/{path.name}")
    assert head.status == 200
    assert head.headers["Content-Length"] == "8"
    status = nginx.get("/debug/pprof/status").json()
    assert status["instance"]["messages_malformed"] == 1


def test_old_and_many_files_go(nginx):
    configure(nginx, 1, main="profiler on; profiler_period 1s;"
              f"profiler_store {nginx.prefix}/store max_size=20k keep=1h;")
    nginx.start()
    store = nginx.prefix / "store"
    other = store / "notes.txt"
    other.write_bytes(b"x" * 50000)
    old = store / "cpu-20200101T000000Z-60-0.pb.gz"
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    large = store / "cpu-20200102T000000Z-60-0.pb.gz"
    large.write_bytes(b"x" * 30000)
    with Sorting(nginx, 1):
        wait_until(lambda: not old.exists() and not large.exists(),
                   "both are gone")
    assert other.exists()
    wait_until(lambda: any(NAME.match(p.name) for p in stored(nginx)),
               "new ones")


def test_a_folder_that_is_gone_is_told_once(nginx):
    configure(nginx, 1, main="profiler on; profiler_period 1s;"
              f"profiler_store {nginx.prefix}/store;")
    nginx.start()
    (nginx.prefix / "store").rename(nginx.prefix / "elsewhere")
    nginx.wait_log(r"\[warn\].*profiles can't be stored in .*No such file")
    wait_until(lambda: nginx.get("/debug/pprof/status").json()
               ["instance"]["store"]["errors"] >= 3, "it is counted")
    assert nginx.error_log().count("profiles can't be stored") == 1
    (nginx.prefix / "elsewhere").rename(nginx.prefix / "store")
    wait_until(lambda: stored(nginx), "it goes on")


def test_a_full_disk(nginx):
    """Nothing is left of what found no room, and nginx goes on."""
    store = nginx.prefix / "store"
    store.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k,mode=777", "none", store],
        capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        (store / "filler").write_bytes(b"x" * 8192)
        configure(nginx, 1, main="profiler on; profiler_period 1s;"
                  f"profiler_store {store};")
        nginx.start()
        nginx.wait_log(
            r"\[warn\].*profiles can't be stored in .*No space left")
        assert [p.name for p in store.iterdir()] == ["filler"]
        assert nginx.get("/debug/pprof/status").status == 200
        (store / "filler").unlink()
        wait_until(lambda: stored(nginx), "it goes on")
        nginx.finish()
    finally:
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.parametrize("directive,reason", [
    ("profiler_store;", "invalid number of arguments"),
    ('profiler_store "";', '"profiler_store" directive needs a path'),
    ("profiler_store a; profiler_store b;",
     '"profiler_store" directive is duplicate'),
    ("profiler_store a max_size=0;", 'invalid parameter "max_size=0"'),
    ("profiler_store a keep=x;", 'invalid parameter "keep=x"'),
    ("profiler_store a size=1;", 'invalid parameter "size=1"'),
    ("profiler_period 999ms;", "value must be between 1s and 3600s"),
    ("profiler_history x;", '"profiler_history" directive invalid value'),
    ("profiler_history on;", '"profiler_history" directive invalid value'),
    ("profiler_history;", "invalid number of arguments"),
    ("profiler_history off; profiler_history 1m;",
     '"profiler_history" directive is duplicate'),
    ("profiler_history 1m; profiler_history off;",
     '"profiler_history" directive is duplicate'),
])
def test_refused_directives(nginx, directive, reason):
    nginx.write_conf(modules=PROFILER, main=directive)
    assert reason in nginx.refused_conf()


def test_without_a_store(nginx):
    configure(nginx, 1)
    nginx.start()
    answer = nginx.get("/debug/pprof/store/")
    assert answer.status == 404
    assert answer.headers["X-Go-Pprof"] == "1"
