"""What the image is made of, without an image: its nginx.conf and the
sort.conf of each overlay on a local nginx, and the script that reloads."""

import os
import signal
import subprocess

import pytest

from nginx_instance import ALGORITHMS, MODULES, SOURCE, wait_until
from trace_agent import TraceAgent

CONTAINER = SOURCE / "container"
OVERLAYS = SOURCE / "k8s" / "overlays"


@pytest.fixture
def serve(nginx):
    """A function (sort.conf) that starts nginx with the image's nginx.conf,
    that sort.conf and the input of the manifests, in this test's folders."""

    def start(sort_conf, environment=None):
        (nginx.prefix / "sort.d").mkdir()
        (nginx.prefix / "sort.d" / "sort.conf").write_text(
            sort_conf.read_text())
        nginx.write_file("input/input.txt", (
            SOURCE / "k8s" / "input" / "input.txt").read_text())
        text = (CONTAINER / "nginx.conf").read_text()
        for shown, real in (
                ("/tmp/nginx.pid", "nginx.pid"),
                ("/tmp/", "temp/"),
                ("/usr/lib/nginx/modules", MODULES),
                ("/usr/lib/nginx/count-plugins", ALGORITHMS),
                ("/etc/nginx/input", nginx.prefix / "input"),
                ("/etc/nginx/sort.d", nginx.prefix / "sort.d"),
                ("/dev/stdout", nginx.prefix / "access.log"),
                ("stderr notice", f"{nginx.log} notice"),
                ("listen 8080;", f"listen 127.0.0.1:{nginx.port};"),
                ("daemon off;", f"daemon off; {nginx.user_directive}")):
            assert shown in text
            text = text.replace(shown, str(real))
        nginx.write_raw_conf(text)
        return nginx.start(environment)

    return start


def versions(nginx, requests=1):
    return {nginx.get("/count").json()["version"] for _ in range(requests)}


def test_image_as_it_comes(serve):
    nginx = serve(CONTAINER / "sort.conf")
    assert nginx.get("/healthz").text == "ok\n"
    assert nginx.get("/").json()["count"] == 3000
    assert versions(nginx) == {"1.0.0"}
    assert nginx.get("/debug/pprof/status").json()["cpu"]["degraded"] is None
    log = (nginx.prefix / "access.log").read_text()
    assert '"request":"GET /count HTTP/1.1","status":200' in log
    assert "healthz" not in log and "pprof" not in log


def test_what_is_served_is_traced(serve):
    """With the variables that the pods have; probes are no requests of APM."""
    with TraceAgent() as agent:
        nginx = serve(CONTAINER / "sort.conf", agent.environment())
        assert nginx.get("/healthz").status == 200
        assert nginx.get("/debug/pprof/status").status == 200
        assert nginx.get("/count").status == 200
        # Spans come in the order in which requests end.
        span, = agent.wait_spans(1)
    assert span["resource"] == "GET /count" and span["service"] == "app"
    assert span.meta["version"] == "1.0.0"


@pytest.mark.parametrize("overlay, requests, expected", [
    ("v1-v2/v1", 1, {"1.0.0"}),
    ("v1-v2/v2", 1, {"2.0.0"}),
    ("ab", 60, {"1.0.0", "2.0.0"}),
    ("reload", 1, {"1.0.0"}),
])
def test_overlays_choose(serve, overlay, requests, expected):
    nginx = serve(OVERLAYS / overlay / "sort.conf")
    assert versions(nginx, requests) == expected


class MountedMap:
    """A folder as the kubelet makes one of a ConfigMap: the files are links
    through ..data, which is swapped by rename."""

    def __init__(self, folder, text):
        self.folder = folder
        self._number = 0
        folder.mkdir()
        self.write(text)
        (folder / "sort.conf").symlink_to("..data/sort.conf")

    def write(self, text):
        self._number += 1
        data = self.folder / f"..{self._number}"
        data.mkdir()
        (data / "sort.conf").write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(self.folder / "..data")


def test_a_changed_map_reloads_nginx(nginx):
    """Without a restart; what nginx refuses changes nothing, and what comes
    after it does."""
    mounted = MountedMap(nginx.prefix / "sort.d", "count_sort v1;\n")
    nginx.write_file("conf/input.txt", "3 1 2\n")
    nginx.write_conf(
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so; "
             f"count_plugin v2 {ALGORITHMS}/libsort_v2.so; "
             f"include {mounted.folder}/*.conf;",
        server="location = /count { count; count_input input.txt; }")
    nginx.expect_log(r"\[emerg\].*count_sort")
    nginx.start()
    master = nginx.master
    reloader = subprocess.Popen(
        [CONTAINER / "reload_on_change.sh", mounted.folder,
         nginx.prefix / "nginx.pid", "0.1"], stdout=subprocess.PIPE,
        start_new_session=True)
    try:
        mounted.write("count_sort v2;\n")
        wait_until(lambda: versions(nginx) == {"2.0.0"}, "v2 after the swap")
        mounted.write("count_sort v3;\n")
        nginx.wait_log(r"\[emerg\].*count_sort")
        assert versions(nginx) == {"2.0.0"}
        mounted.write("count_sort v1;\n")
        wait_until(lambda: versions(nginx) == {"1.0.0"}, "v1 again")
        assert nginx.master == master
    finally:
        os.killpg(reloader.pid, signal.SIGTERM)
        output = reloader.communicate()[0].decode()
    assert output.count("has changed, nginx reloads") >= 3
