"""Dockerfile.nginx, built for real and run as it runs in a hardened pod."""

import json
import os
import re
import subprocess
import threading
from fnmatch import fnmatch

import pytest
import yaml

import container_engine
from container_engine import Container
from nginx_instance import LONG, SOURCE, wait_until
from pprof_profile import Profile
from shown_commands import shown

DOCKERFILE = SOURCE / "Dockerfile.nginx"
IMAGE = "nginx-count-profiler:1.0.0"
PORT = 8080
PAGE = SOURCE / "build" / "web" / "page.html"  # of the context

needs_engine = pytest.mark.skipif(
    not LONG or bool(container_engine.missing()),
    reason="LONG=1 only" if not LONG else
    f"not here: {', '.join(container_engine.missing())}")


@pytest.fixture(scope="module")
def image():
    """Built from a context that has what `make web` made, if it made any; not
    by npm."""
    subprocess.run([*shown("make", "web"), "BUILD=build"], cwd=SOURCE,
                   check=True)
    container_engine.make_base()
    output = container_engine.build_image(IMAGE, DOCKERFILE, SOURCE)
    assert not re.search(r"^Installing .* npm", output, re.MULTILINE)
    return IMAGE


def test_context_has_all_that_is_copied():
    """What the Dockerfile copies, and what `make deb` is made of, is let
    through by .dockerignore, and is there."""
    allowed = [line[1:] for line in
               (SOURCE / ".dockerignore").read_text().splitlines()
               if line.startswith("!")]
    copied = [source for words in re.findall(
        r"^COPY (?!--)(.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
        for source in words.split() if source != "."]
    makefile = (SOURCE / "Makefile").read_text()
    package = re.search(r"^DEB_SRC := ((?:.*\\\n)*.*)$", makefile,
                        re.MULTILINE)[1].replace("\\\n", " ").split()
    assert len(copied) > 4 and len(package) > 8
    for path in copied + package:
        assert (SOURCE / path).exists(), path
        assert any(path == a or path.startswith(f"{a}/")
                   for a in allowed), path
    for made in (".built", "page.html", "page.html.gz", "page.csp"):
        assert any(fnmatch(f"build/web/{made}", a) for a in allowed), made


def test_is_built_and_run_as_readme_has_it():
    """What is done here by buildah and podman."""
    assert shown("docker", "build")[2:] == ["-f", DOCKERFILE.name, "-t", IMAGE,
                                            "."]
    run = shown("docker", "run")
    assert run[-1] == IMAGE
    assert {"--read-only", "--tmpfs", "--cap-drop"} <= set(run)


@needs_engine
def test_is_small(image):
    """Megabytes on top of the base, as README has them: nginx, its libraries
    and ours."""
    added = (container_engine.image_size(image)
             - container_engine.image_size(container_engine.BASE)) / 1e6
    print(f"the image adds {added:.1f} MB to its base")
    said = re.search(r"adds (\d+) MB to its base",
                     (SOURCE / "README.md").read_text())[1]
    assert added < 45 and added == pytest.approx(int(said), rel=0.1)


@needs_engine
def test_node_stage_makes_the_same_page(image):
    """PAGE=node, by Debian's Node.js, with the registry that npm has here."""
    if not PAGE.exists():
        pytest.skip("npm makes no page here, so it makes none in a stage")
    trusted = os.environ.get("NODE_EXTRA_CA_CERTS")
    container_engine.build_image(
        f"{IMAGE}-page", DOCKERFILE, SOURCE, "--target=page",
        "--build-arg=PAGE=node",
        *([f"--secret=id=npm-ca,src={trusted}"] if trusted else []))
    assert container_engine.file_of_image(
        f"{IMAGE}-page", "src/build/web/page.html") == PAGE.read_bytes()


@needs_engine
def test_serves_and_profiles(image, tmp_path):
    """All of it with nothing but a /tmp to write to; the profile has names,
    files and lines; the stop signal drains."""
    with Container(image, PORT) as container:
        assert json.loads(container.curl("/count"))["version"] == "1.0.0"
        assert json.loads(container.curl("/"))["count"] == 3000
        status = json.loads(container.curl("/debug/pprof/status"))
        assert status["cpu"]["degraded"] is None
        if PAGE.exists():
            assert container.curl("/debug/pprof/ui") == PAGE.read_text()
        assert container.inside("id", "-u").strip() == "10001"
        assert re.search(r"CapEff:\s+0+$", container.inside(
            "cat", "/proc/1/status"), re.MULTILINE)
        profile = Profile(profile_under_load(container, tmp_path / "cpu"))
        assert container.stop() == 0
        # nobody takes its traces here
        assert not re.search(r"\[(warn|error|alert|emerg)\](?!.* traces )",
                             container.logs())
    leaves = {names[0] for names, _, _ in profile.samples}
    assert "bubble_sort" in leaves
    files = {profile.strings[f.filename]: profile.strings[f.name]
             for f in profile.functions.values()}
    assert any(file.endswith("bubble_plugin.c") for file in files)


def profile_under_load(container, path):
    """A CPU profile of some seconds of /count."""
    asking = threading.Thread(target=container.curl, args=(
        "/debug/pprof/profile?seconds=5", "--output", str(path)))
    asking.start()
    while asking.is_alive():
        container.curl("/count")
    asking.join()
    return path.read_bytes()


@needs_engine
def test_a_mounted_folder_chooses_the_plugin(image, tmp_path):
    """And the C library's sort is there by name."""
    tmp_path.chmod(0o755)
    (tmp_path / "sort.conf").write_text("count_sort v2;\n")
    with Container(image, PORT, [(tmp_path, "/etc/nginx/sort.d")]) as other:
        assert json.loads(other.curl("/count"))["version"] == "2.0.0"
        profile = Profile(profile_under_load(other, tmp_path / "cpu"))
    assert any("msort_with_tmp" in names for names, _, _ in profile.samples)


@needs_engine
def test_a_reloader_beside_it(image, tmp_path):
    """As overlay `reload` has it: another container with the same user, /tmp
    and processes, no capability, and the command of the manifest."""
    tmp_path.chmod(0o755)
    sort_d, tmp = tmp_path / "sort.d", tmp_path / "tmp"
    sort_d.mkdir()
    tmp.mkdir()
    tmp.chmod(0o1777)
    (sort_d / "sort.conf").write_text("count_sort v1;\n")
    patch = yaml.safe_load(
        (SOURCE / "k8s/overlays/reload/reloader.yaml").read_text())
    reloader = patch["spec"]["template"]["spec"]["containers"][1]
    with Container(image, PORT, [(sort_d, "/etc/nginx/sort.d")],
                   tmp) as container:
        assert json.loads(container.curl("/count"))["version"] == "1.0.0"
        name = container.beside(*reloader["command"])
        (sort_d / "sort.conf").write_text("count_sort v2;\n")
        wait_until(lambda: json.loads(container.curl("/count"))["version"]
                   == "2.0.0", "nginx has reloaded")
        assert "nginx reloads" in container.logs(name)
