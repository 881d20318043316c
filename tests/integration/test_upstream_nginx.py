"""The modules in an nginx of upstream's own source, built as its users build
theirs. LONG=1 only. The source is what Debian's next release is made of, which
apt fetches into the build folder."""

import os
import shutil
import subprocess

import pytest

import nginx_instance
from container_engine import command
from nginx_instance import ALGORITHMS, BUILD, LONG, MODULES, SOURCE
from pprof_profile import Profile

FOLDER = BUILD / "upstream"
SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONFIGURE = ("--with-compat", "--with-threads", "--with-http_ssl_module",
             "--with-http_v2_module", "--http-log-path=/dev/null",
             f"--add-dynamic-module={SOURCE}")

pytestmark = pytest.mark.skipif(not LONG, reason="LONG=1 only")


def fetch_source():
    """The path of upstream's archive; skips where apt can't get it."""
    found = list(FOLDER.glob("nginx_*.orig.tar.gz"))
    if found:
        return found[0]
    mirror = command("apt-get", "indextargets", "--format", "$(REPO_URI)",
                     "Identifier: Packages", "Label: Debian").splitlines()[0]
    for name in ("lists/partial", "cache/archives/partial", "tmp"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    sources = FOLDER / "sources.list"
    sources.write_text(
        f"deb-src [signed-by={KEYRING}] {mirror} {SUITE} main\n")
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::SourceList={sources}",
           "-o", "Dir::Etc::SourceParts=/dev/null",
           "-o", f"Dir::State::Lists={FOLDER}/lists",
           "-o", f"Dir::Cache={FOLDER}/cache",
           "-o", "APT::Sandbox::User=root"]
    for verb in (["update"], ["source", "--download-only", "nginx"]):
        done = subprocess.run(
            [*apt, *verb], cwd=FOLDER, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
            env={**os.environ, "TMPDIR": str(FOLDER / "tmp")}, check=False)
        if done.returncode != 0:
            pytest.skip(f"no source of nginx: {done.stdout.decode()[-300:]}")
    return next(FOLDER.glob("nginx_*.orig.tar.gz"))


@pytest.fixture(scope="module")
def upstream():
    """The folder in which nginx and our modules were built."""
    archive = fetch_source()
    tree = FOLDER / "nginx"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    command("tar", "-xf", archive, "-C", tree, "--strip-components=1")
    command("sh", "-c", f"cd {tree} && ./configure {' '.join(CONFIGURE)} && "
                        "make && make modules", timeout=900)
    # libnprof.so and the plug-ins know nothing of nginx.
    shutil.copy(MODULES / "libnprof.so", tree / "objs")
    return tree / "objs"


def test_modules_work_in_upstream_nginx(upstream, nginx, monkeypatch):
    monkeypatch.setattr(nginx_instance, "NGINX", str(upstream / "nginx"))
    nginx.write_file("conf/input.txt", " ".join(map(str, range(3000, 0, -1))))
    nginx.write_conf(
        modules=(upstream / "ngx_http_count_module",
                 upstream / "ngx_profiler_module"),
        main="profiler on; profiler_rate 999;",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server="location = /count { count; count_sort v1; "
               "count_input input.txt; } "
               "location /debug/pprof/ { profiler_endpoint; }")
    nginx.start()
    assert nginx.get("/debug/pprof/status").json()["cpu"]["degraded"] is None

    with nginx_instance.Load(nginx, "/count", rate=50) as load:
        profile = Profile(nginx.get("/debug/pprof/profile?seconds=3").body)
    assert load.failures == []
    assert "bubble_sort" in {names[0] for names, _, _ in profile.samples}
