"""The page at <endpoint>/ui: as nginx serves it, its own unit tests, and in
Debian's Chromium with profiles of a real run.

What needs Node.js or Chromium is skipped where that is missing.
"""

import base64
import concurrent.futures
import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from nginx_instance import ALGORITHMS, BUILD, SOURCE, wait_until
from pprof_profile import Profile

sys.path.insert(0, str(SOURCE / "demo"))

import report_page  # noqa: E402

WEB = SOURCE / "web"
BROWSER_TESTS = WEB / "tests" / "browser"
PAGE = BUILD / "web" / "page.html"
CHROMIUM = "/usr/bin/chromium"

# Samples of the sort that a comparison must have, and seconds that a run of
# Node may take.
ENOUGH = 30
RUN_LIMIT = 600

MODULES = ("ngx_http_count_module.so", "ngx_profiler_module.so")

# All but wall: the page says how to have it. The sort of v1 is a stall.
MAIN = """
profiler on;
profiler_rate 200;
profiler_heap_interval 4k;
profiler_stall_threshold 1ms;
profiler_period 2s;
profiler_store "{store}";
"""

HTTP = f"""
count_plugin v1 "{ALGORITHMS}/libsort_v1.so";
count_plugin v2 "{ALGORITHMS}/libsort_v2.so";
"""

SERVER = """
count_input "{input}";
location /v1 {{ count; count_sort v1; }}
location /v2 {{ count; count_sort v2; }}
location /debug/pprof/ {{ profiler_endpoint; }}
"""

needs_page = pytest.mark.skipif(
    not PAGE.exists(),
    reason="no Node.js, npm or npm packages: the page is not built")
needs_chromium = pytest.mark.skipif(
    not os.path.exists(CHROMIUM),
    reason="no Chromium: the page is not tested in a browser")
# What drives the browser, not the page.
NODE_OF_PLAYWRIGHT = 20


def node_version():
    """The major number; 0 where there is no Node.js."""
    if shutil.which("node") is None:
        return 0
    return int(re.match(r"v(\d+)", subprocess.run(
        ["node", "--version"], stdout=subprocess.PIPE, text=True,
        check=True).stdout)[1])


needs_playwright = pytest.mark.skipif(
    node_version() < NODE_OF_PLAYWRIGHT,
    reason=f"Node.js is older than {NODE_OF_PLAYWRIGHT}, which playwright "
           "wants: the page is not tested in a browser")


@pytest.fixture
def server(nginx):
    numbers = nginx.write_file("input.txt", "\n".join(
        str(i * 7919 % 3001) for i in range(3000)))
    nginx.write_conf(SERVER.format(input=numbers), HTTP,
                     MAIN.format(store=nginx.prefix / "store"),
                     modules=MODULES, workers=2)
    nginx.start()
    return nginx


def run_node(*arguments, **environment):
    done = subprocess.run(
        ["node", *arguments], cwd=WEB, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=RUN_LIMIT, check=False)
    assert done.returncode == 0, done.stdout
    # All ran: a runner that finds no test succeeds, too.
    passed = re.search(r"^. pass (\d+)$", done.stdout, re.M)
    assert passed and int(passed.group(1)) > 0, done.stdout


# as nginx serves it


def hashes(policy, directive):
    return re.findall(r"'sha256-([^']+)'",
                      re.search(rf"{directive} ([^;]*)", policy).group(1))


def sha256(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@needs_page
def test_the_page_is_served_plain_and_gzipped(server):
    plain = server.get("/debug/pprof/ui")
    assert plain.status == 200
    assert plain.body == PAGE.read_bytes()
    assert "Content-Encoding" not in plain.headers
    packed = server.get("/debug/pprof/ui",
                        headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for reply in (plain, packed):
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-cache"
        assert reply.headers["Vary"] == "Accept-Encoding"
        assert int(reply.headers["Content-Length"]) == len(reply.body)


@needs_page
def test_a_client_that_has_the_page_gets_304(server):
    etag = server.get("/debug/pprof/ui").headers["ETag"]
    again = server.get("/debug/pprof/ui", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    other = server.get("/debug/pprof/ui", headers={"If-None-Match": '"x"'})
    assert other.status == 200


@needs_page
def test_the_page_answers_get_and_head_alone(server):
    head = server.request("HEAD", "/debug/pprof/ui")
    assert head.status == 200 and head.body == b""
    assert int(head.headers["Content-Length"]) == PAGE.stat().st_size
    assert server.request("POST", "/debug/pprof/ui", b"x").status == 405
    assert 'href="ui"' in server.get("/debug/pprof/").text


@needs_page
def test_the_policy_allows_the_one_script_and_style(server):
    reply = server.get("/debug/pprof/ui")
    policy = reply.headers["Content-Security-Policy"]
    script = re.search(r"<script>(.*?)</script>", reply.text, re.S).group(1)
    style = re.search(r"<style>(.*?)</style>", reply.text, re.S).group(1)
    assert hashes(policy, "script-src") == [sha256(script)]
    assert hashes(policy, "style-src") == [sha256(style)]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    # Nothing in the page is loaded from anywhere.
    assert re.findall(r'(?:src|href)="(.{5})',
                      reply.text.replace(script, "")) == ["data:"]


@needs_page
def test_the_page_holds_the_licences_of_what_is_in_it():
    page = PAGE.read_text()
    notices = page[page.rindex("<!--"):]
    assert notices.count("--") == 2, "no comment ends before its end"
    dependencies = json.loads((WEB / "package.json").read_text())
    packaged = (SOURCE / "debian" / "copyright").read_text()
    for name in dependencies["dependencies"]:
        text = (WEB / "node_modules" / name / "LICENSE").read_text().strip()
        assert f"{name}\n\n{re.sub('-(?=-)', '- ', text)}" in notices
    # What is bundled, not only what is asked for.
    names = re.findall(r"(?:contains\n\n|\n{3})(\S+)\n\n", notices)
    assert set(names) >= set(dependencies["dependencies"])
    for name in names:
        assert f"Files: web/node_modules/{name}/*" in packaged, name


def module_without_page(folder):
    """The profiler's module as a build without Node.js has it: all of this
    build's, with the one file of the page compiled anew."""
    subprocess.run(["cp", "-a", BUILD / "nginx", folder / "nginx"], check=True)
    objects = folder / "nginx" / "objs"
    header = objects / "nprof_page.h"
    old = header.stat()
    header.write_text("#define NGX_HTTP_PROFILER_PAGE 0\n")
    os.utime(header, ns=(old.st_atime_ns, old.st_mtime_ns))
    (objects / "addon" / "nginx" / "ngx_http_profiler_page.o").unlink()
    subprocess.run(
        ["make", "-C", folder / "nginx", "-f", "objs/Makefile", "modules"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    shutil.copy(BUILD / "modules" / "libnprof.so", objects)
    return objects / "ngx_profiler_module.so"


def test_a_module_without_the_page_says_so(nginx):
    module = module_without_page(nginx.prefix)
    nginx.write_conf("location /debug/pprof/ { profiler_endpoint; }",
                     main="profiler on;", modules=(module,))
    nginx.start()
    reply = nginx.get("/debug/pprof/ui")
    assert reply.status == 404
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Go-Pprof"] == "1"
    assert reply.text == ("no page: this was built without it, which takes "
                          "`make web`\n")
    assert nginx.request("HEAD", "/debug/pprof/ui").status == 404
    # all else works
    assert nginx.get("/debug/pprof/heap").status == 200


PAGE_FILES = ("page.html", "page.html.gz", "page.csp")


class PageMaker:
    """A copy of web/, with no program but those of a shell and what `programs`
    gets."""

    def __init__(self, folder):
        self.web = folder / "web"
        self.out = folder / "out"
        self.header = folder / "page.h"
        self.programs = folder / "bin"
        shutil.copytree(WEB, self.web,
                        ignore=shutil.ignore_patterns("node_modules"))
        self.out.mkdir()
        self.programs.mkdir()
        for name in ("bash", "sh", "dirname", "mkdir", "rm", "cmp", "mv",
                     "cat", "sha256sum", "touch"):
            (self.programs / name).symlink_to(shutil.which(name))

    def put(self, name, script):
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def run(self):
        """What it says."""
        return subprocess.run(
            ["bash", self.web / "make_page.sh", self.out, self.header],
            env={"PATH": str(self.programs)}, capture_output=True, text=True,
            check=True).stderr


@pytest.fixture
def page_maker(tmp_path):
    return PageMaker(tmp_path)


@pytest.mark.parametrize("missing", ["node", "packages"])
def test_make_goes_on_without_node_or_packages(page_maker, missing):
    """make_page.sh where there is no Node.js, and where npm fails."""
    if missing == "packages":
        page_maker.put("node", "exit 0")
        page_maker.put("npm", "exit 1")
    assert page_maker.run().count("NOTE: no page at <endpoint>/ui: ") == 1
    assert page_maker.header.read_text() \
        == "#define NGX_HTTP_PROFILER_PAGE 0\n"
    assert not (page_maker.out / "page.html").exists()


def test_a_page_that_can_not_be_made_anew_stays(page_maker):
    for name in PAGE_FILES:
        (page_maker.out / name).write_text("old")
    for _ in range(2):
        assert "NOTE: an old page at <endpoint>/ui" in page_maker.run()
        assert [(page_maker.out / name).read_text()
                for name in PAGE_FILES] == ["old"] * 3
        assert (page_maker.out / "page.stale").exists()
        assert "_PAGE 1\n" in page_maker.header.read_text()
    page_maker.put("npm", "mkdir -p node_modules")
    page_maker.put("node", f'cd "$2" && for file in {" ".join(PAGE_FILES)}; '
                           'do printf new > "$file"; done')
    assert page_maker.run() == ""
    assert {path.name: path.read_text() for path in page_maker.out.iterdir()
            if path.name != "npm.log"} == dict.fromkeys(PAGE_FILES, "new")
    # Half a page is none.
    (page_maker.programs / "node").unlink()
    (page_maker.out / "page.csp").unlink()
    assert "NOTE: no page at" in page_maker.run()


# the report


def test_a_report_keeps_profiles_inside_their_element(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f"<body>{report_page.PLACE}<script>1</script>")
    report_page.write(page, tmp_path / "report.html", [
        {"title": "</script><img src=x>", "file": "a", "data": b"\x1f\x8b"}])
    text = (tmp_path / "report.html").read_text()
    assert text.count("</script>") == 2
    assert "<img" not in text


def test_a_report_wants_a_page(tmp_path):
    with pytest.raises(report_page.NoPage, match="Node.js"):
        report_page.write(tmp_path / "none.html", tmp_path / "report.html", [])


# in Node and in the browser


@needs_page
def test_unit_tests_of_the_page():
    run_node("run_unit_tests.mjs")


@needs_page
def test_types_of_the_page():
    done = subprocess.run(
        ["node_modules/.bin/tsc", "--noEmit"], cwd=WEB, text=True,
        capture_output=True, timeout=RUN_LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def requests_to(server, *paths, pause=0.0):
    """Requests, one after another, while the block runs; yields a function
    that says how many were answered. pause: seconds after each."""
    done = threading.Event()
    answered = []

    def ask():
        while not done.is_set():
            for path in paths:
                answered.append(server.get(path).status)
                done.wait(pause)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield lambda: len(answered)
    finally:
        done.set()
        thread.join()
    assert set(answered) == {200}


def recorded(server, path, function):
    """(bytes, requests) of a profile with enough samples of a function."""

    def record():
        with requests_to(server, path) as answered:
            data = server.get("/debug/pprof/profile?seconds=3").body
            return (data, answered()) if Profile(data).total(
                0, function) >= ENOUGH else None

    return wait_until(record, f"{ENOUGH} samples of {function}", timeout=120)


@needs_page
@needs_chromium
@needs_playwright
def test_the_page_in_a_browser(server, tmp_path):
    v1, v1_requests = recorded(server, "/v1", "bubble_sort")
    v2, v2_requests = recorded(server, "/v2", "qsort_values")
    for name, data in (("v1", v1), ("v2", v2)):
        (tmp_path / f"{name}.pb.gz").write_bytes(data)
    report_page.write(PAGE, tmp_path / "report.html", [
        {"title": "v1", "file": "v1.pb.gz", "data": v1,
         "requests": v1_requests},
        {"title": "v2", "file": "v2.pb.gz", "data": v2,
         "requests": v2_requests}])
    with requests_to(server, "/v1", "/v2", pause=0.01):
        wait_until(lambda: list((server.prefix / "store").glob("cpu-*")),
                   "a profile is stored")
        environment = {
            "PAGE_URL": f"http://127.0.0.1:{server.port}/debug/pprof/ui",
            "REPORT": str(tmp_path / "report.html"), "WORK": str(tmp_path),
            "V1": str(tmp_path / "v1.pb.gz"), "V2": str(tmp_path / "v2.pb.gz"),
            "CHROMIUM": CHROMIUM}
        files = sorted(BROWSER_TESTS.glob("*.test.mjs"))
        # Two at a time: they wait for windows to pass, mostly.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda file: run_node("--test", str(file),
                                                **environment), files))
