"""`make install`, and the Debian package: what is in it, what it asks for, and
that it works on a stock nginx and leaves nothing behind."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import container_engine
from nginx_instance import BUILD, LONG, SOURCE
from shown_commands import shown

PACKAGE = "libnginx-mod-http-count-profiler"
DEBIAN = SOURCE / "debian"


def missing_tools():
    return [*container_engine.missing(),
            *(name for name in ("dpkg-buildpackage", "lintian")
              if shutil.which(name) is None)]


needs_tools = pytest.mark.skipif(
    not LONG or bool(missing_tools()),
    reason="LONG=1 only" if not LONG else
    f"not here: {', '.join(missing_tools())}")


def make(*arguments):
    """make in the source tree, with the build folder of these tests."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-C", SOURCE, f"BUILD={BUILD.relative_to(SOURCE)}",
         *map(str, arguments)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout.decode()[-8000:]


def test_what_make_install_installs_works(nginx):
    """From its own folders, by the paths that it was given."""
    root = nginx.prefix / "root"
    make(*shown("make", "install")[1:], f"DESTDIR={root}", "PREFIX=/opt/x",
         "MODULES_DIR=/opt/x/modules")
    folder = root / "opt" / "x"
    assert (folder / "include/nginx-count-profiler/sort_plugin.h").exists()
    plugins = folder / "lib" / "nginx" / "count-plugins"
    nginx.write_file("conf/input.txt", "3 1 2\n")
    nginx.write_conf(
        modules=(folder / "modules" / "ngx_http_count_module",
                 folder / "modules" / "ngx_profiler_module"),
        main="profiler on;",
        http=f"count_plugin v2 {plugins}/libsort_v2.so;",
        server="location = /count { count; count_sort v2; "
               "count_input input.txt; } "
               "location /debug/pprof/ { profiler_endpoint; }")
    nginx.start()
    assert nginx.get("/count").json()["version"] == "2.0.0"
    status = nginx.get("/debug/pprof/status").json()
    assert status["cpu"]["degraded"] is None


def declared_packages():
    """Set: names, of demo/packages.txt."""
    sets = {}
    for line in (SOURCE / "demo" / "packages.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, name = line.split()
            sets.setdefault(kind, set()).add(name)
    return sets


def test_package_builds_with_what_make_needs():
    """Build-Depends is the set `build`, less what every Debian build has, and
    with debhelper's sequence for what nginx-dev is."""
    text = (DEBIAN / "control").read_text()
    field = re.search(r"^Build-Depends: ((?:.*,\n)*.*)$", text, re.MULTILINE)
    asked = set(re.findall(r"[a-z0-9][a-z0-9+.-]+(?=,| \(|$)",
                           field[1], re.MULTILINE))
    essential = {"binutils", "g++", "gcc", "libc6-dev", "make"}
    assert asked == (declared_packages()["build"] - essential - {"nginx-dev"}
                     | {"debhelper-compat", "dh-sequence-nginx"})


def test_versions_agree():
    """Of the package, of CHANGES.md, of the image that the manifests name, and
    what libnprof says of itself."""
    version = re.match(r"\S+ \(([0-9.]+)\)",
                       (DEBIAN / "changelog").read_text())[1]
    changes = (SOURCE / "CHANGES.md").read_text()
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == version
    deployment = (SOURCE / "k8s" / "base" / "deployment.yaml").read_text()
    assert f"image: nginx-count-profiler:{version}\n" in deployment
    header = (SOURCE / "profiler" / "nprof.h").read_text()
    assert f'#define NPROF_VERSION "{version}"\n' in header


def test_modules_are_not_linked_into_nginx(tmp_path):
    source = tmp_path / "nginx"
    shutil.copytree(os.environ.get("NGINX_SRC", "/usr/share/nginx/src"),
                    source)
    done = subprocess.run(
        ["./configure", "--without-http_rewrite_module",
         "--without-http_gzip_module", f"--add-module={SOURCE}"],
        cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "use --add-dynamic-module" in done.stderr


@pytest.fixture(scope="module")
def package():
    """The path of the package, built."""
    make(*shown("make", "deb")[1:])
    found = list((BUILD / "deb").glob(f"{PACKAGE}_*.deb"))
    assert [path.name for path in found] == [
        Path(shown("apt-get", "install")[-1]).name]
    return found[0]


@needs_tools
def test_lintian_has_nothing_to_say(package):
    changes = next(package.parent.glob("*.changes"))
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", changes],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


@needs_tools
def test_depends_on_the_abi_of_nginx(package):
    depends = container_engine.command(
        "dpkg-deb", "--field", package, "Depends")
    assert re.search(r"\bnginx-abi-[0-9.]+-[0-9]+\b", depends)


# Where apt, dpkg and a server that runs leave their own traces.
KEPT_BY_APT = ("var/cache/", "var/log/", "var/lib/apt/", "var/lib/dpkg/",
               "var/lib/nginx/", "etc/ld.so.cache", "run/nginx.pid")

# In a chroot whose nginx is Debian's, with one line in its nginx.conf. The
# port is one that stock configurations don't have.
USE = """
sed -i 's|include /etc/nginx/sites-enabled/\\*;|include snippets/\
count-profiler.conf;|' /etc/nginx/nginx.conf
sed -i 's/127.0.0.1:8080/127.0.0.1:PORT/' \
    /etc/nginx/snippets/count-profiler.conf
nginx -t
nginx
trap 'nginx -s stop' EXIT
fetch() {
    perl -MIO::Socket::INET -e '
        $s = IO::Socket::INET->new("127.0.0.1:PORT") or die "connect: $!";
        print $s "$ARGV[0] HTTP/1.0\\r\\nContent-Type: text/plain\\r\\n" .
            "Content-Length: " . length($ARGV[1]) . "\\r\\n\\r\\n$ARGV[1]";
        print <$s>' "$@"
}
fetch 'POST /count' '3 1 2'
fetch 'GET /debug/pprof/status' ''
"""


@needs_tools
def test_works_after_one_line_and_leaves_nothing(package, nginx):
    """Installed on a stock nginx, used, purged: the same files as before."""
    with container_engine.RootFilesystem() as root:
        root.run("apt-get update; apt-get install -y --no-install-recommends "
                 "nginx")
        shutil.copy(package, root.path / "package.deb")
        stock = root.files()
        conf = (root.path / "etc/nginx/nginx.conf").read_text()
        root.run("apt-get install -y --no-install-recommends /package.deb")
        output = root.run(USE.replace("PORT", str(nginx.port)))
        (root.path / "etc/nginx/nginx.conf").write_text(conf)
        root.run(f"apt-get purge -y --autoremove {PACKAGE}; nginx -t")
        left = root.files() - stock
    assert '"algorithm":"bubble","version":"1.0.0","count":3' in output
    status = re.search(r'"cpu": (\{[^}]*\})', output)[1]
    assert json.loads(status)["degraded"] is None
    assert [path for path in sorted(left)
            if not path.startswith(KEPT_BY_APT)] == []
