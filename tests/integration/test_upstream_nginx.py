"""The modules in nginx of upstream's own sources, each built as its users build
theirs. LONG=1 only. Sources are those that Debian's later releases are made of,
by apt, and those in releases of crate nginx-src, by cargo; what was fetched stays
in the build folder."""

import os
import shutil
import subprocess

import pytest

import nginx_instance
from container_engine import command
from nginx_instance import ALGORITHMS, BUILD, LONG, MODULES, SOURCE
from pprof_profile import Profile
from shown_commands import shown

FOLDER = BUILD / "upstream"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# As README has it, and more of what users have.
CONFIGURE = (*(word.replace("/path/to/this", str(SOURCE))
               for word in shown("./configure")[1:]),
             "--with-file-aio", "--with-http_ssl_module",
             "--with-http_v2_module", "--with-http_v3_module", "--with-stream",
             "--http-log-path=/dev/null")

pytestmark = pytest.mark.skipif(not LONG, reason="LONG=1 only")


def fetch(arguments, folder, **environment):
    """Runs a client of a package registry; skips where it can't get what it
    should."""
    done = subprocess.run(
        arguments, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        pytest.skip(f"no source of nginx from {folder.name}: "
                    f"{done.stdout.decode()[-300:]}")


def source_of_debian(suite, folder):
    """A new tree of the nginx that a suite of Debian has."""
    for name in ("lists/partial", "cache/archives/partial", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("nginx_*.orig.tar.gz")):
        mirror = command(
            "apt-get", "indextargets", "--format", "$(REPO_URI)",
            "Identifier: Packages", "Label: Debian").splitlines()[0]
        sources = folder / "sources.list"
        sources.write_text(
            f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n")
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::SourceList={sources}",
               "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State::Lists={folder}/lists",
               "-o", f"Dir::Cache={folder}/cache",
               "-o", "APT::Sandbox::User=root"]
        for verb in (["update"],
                     ["source", "--download-only", "--tar-only", "nginx"]):
            fetch([*apt, *verb], folder, TMPDIR=str(folder / "tmp"))
    tree = folder / "nginx"
    tree.mkdir()
    command("tar", "-xf", next(folder.glob("nginx_*.orig.tar.gz")),
            "-C", tree, "--strip-components=1")
    return tree


def source_of_crate(release, folder):
    """A new tree of the nginx in a release of nginx-src."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo, which gets crate nginx-src")
    crates = folder / "registry" / "src"
    pattern = f"*/nginx-src-{release}/nginx"
    if not list(crates.glob(pattern)):
        fetch(["cargo", "info", f"nginx-src@{release}"], folder,
              CARGO_HOME=str(folder))
    return shutil.copytree(next(crates.glob(pattern)), folder / "nginx")


@pytest.fixture(scope="module", params=[
    pytest.param((source_of_debian, "trixie"), id="1.26-of-trixie"),
    pytest.param((source_of_crate, "1.28.1+1.28.0"), id="1.28.0"),
    pytest.param((source_of_crate, "1.28.5+1.28.3"), id="1.28.3"),
    pytest.param((source_of_debian, "sid"), id="latest-of-sid")])
def upstream(request):
    """The folder in which nginx and our modules were built."""
    get_source, release = request.param
    folder = FOLDER / release
    shutil.rmtree(folder / "nginx", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    tree = get_source(release, folder)
    # A release has configure where the repository has auto/configure.
    modules = " ".join(shown("make", "modules"))
    script = "." if (tree / "configure").exists() else "auto"
    command("sh", "-c", f"cd {tree} && {script}/configure "
                        f"{' '.join(CONFIGURE)} && "
                        f"make -j2 && {modules}", timeout=1200)
    # libnprof.so and the plug-ins know nothing of nginx.
    shutil.copy(MODULES / "libnprof.so", tree / "objs")
    return tree / "objs"


def test_modules_work_in_upstream_nginx(upstream, nginx, monkeypatch):
    print(command(upstream / "nginx", "-v"))
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
    sorting = [labels for names, labels, _ in profile.samples
               if names[0] == "bubble_sort"]
    assert sorting
    assert {labels.get("location") for labels in sorting} == {"= /count"}
