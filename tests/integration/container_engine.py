"""Containers for tests, without a daemon and without a registry: buildah
builds, podman runs, debootstrap makes the base image from this machine's own
apt sources. All of it is kept below build/containers; nothing of the user's is
seen or changed. Needs root.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from nginx_instance import BUILD, wait_until

FOLDER = BUILD / "containers"
BASE = "docker.io/library/debian:bookworm-slim"
SUITE = "bookworm"
NEEDED = ("buildah", "podman", "runc", "debootstrap", "ip", "curl")

# What Debian's own slim images leave out.
NOT_IN_SLIM = ("usr/share/doc", "usr/share/man", "usr/share/info",
               "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")


def missing():
    """What is not here of what this needs; empty if nothing is."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


def command(*arguments, timeout=600):
    """Runs it; returns its output. CalledProcessError has it, too."""
    done = subprocess.run(
        [str(a) for a in arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
        check=False)
    output = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, (f"{arguments} ended with {done.returncode}:"
                                  f"\n{output[-8000:]}")
    return output


def _storage():
    return [f"--root={FOLDER}/storage", f"--runroot={FOLDER}/run"]


def buildah(verb, *arguments, **kwargs):
    return command("buildah", *_storage(), verb, *arguments, **kwargs)


def podman(*arguments, **kwargs):
    return command("podman", *_storage(), f"--tmpdir={FOLDER}/tmp",
                   "--cgroup-manager=cgroupfs", *arguments, **kwargs)


def _mirror():
    found = command("apt-get", "indextargets", "--format", "$(REPO_URI)",
                    "Identifier: Packages", f"Codename: {SUITE}")
    return found.splitlines()[0].rstrip("/")


def have_image(name):
    return subprocess.run(
        ["buildah", *_storage(), "inspect", "--type=image", name],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False).returncode == 0


def make_base():
    """Makes the base image under the name that Debian's has, unless it is
    there."""
    if have_image(BASE):
        return
    root = FOLDER / "base"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    command("debootstrap", "--variant=minbase", SUITE, root, _mirror())
    for path in NOT_IN_SLIM:
        shutil.rmtree(root / path, ignore_errors=True)
        (root / path).mkdir()
    container = buildah("from", "scratch").strip()
    try:
        mounted = buildah("mount", container).strip()
        command("cp", "-a", f"{root}/.", mounted)
        buildah("umount", container)
        buildah("commit", container, BASE)
    finally:
        buildah("rm", container)
        shutil.rmtree(root)


def build_image(name, dockerfile, context, *options):
    """Returns what the build printed."""
    return buildah("bud", "--isolation=chroot", "--pull-never", "--layers",
                   "--force-rm", *options, "-f", dockerfile, "-t", name,
                   context, timeout=1200)


def file_of_image(name, path):
    """The bytes of a file in an image."""
    container = buildah("from", "--pull-never", name).strip()
    try:
        mounted = Path(buildah("mount", container).strip())
        return (mounted / path).read_bytes()
    finally:
        buildah("rm", container)


def image_size(name):
    """Bytes of an image, that of its base included."""
    return int(podman("image", "inspect", "--format={{.Size}}", name))


class RootFilesystem:
    """A container of the base image in which a test runs commands as root in
    a chroot; a context manager."""

    def __enter__(self):
        make_base()
        self._name = buildah("from", "--pull-never", BASE).strip()
        self.path = Path(buildah("mount", self._name).strip())
        # No service is started in a chroot.
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        return self

    def __exit__(self, *_):
        buildah("umount", self._name)
        buildah("rm", self._name)

    def run(self, script, timeout=600):
        """Runs a shell script; returns its output."""
        return buildah("run", "--isolation=chroot", self._name, "--",
                       "sh", "-euc", script, timeout=timeout)

    def files(self):
        """Paths of all that is there, links and folders included."""
        found = set()
        for folder, folders, names in os.walk(self.path):
            inside = Path(folder).relative_to(self.path)
            found.update(str(inside / name) for name in folders + names)
        return found


class Container:
    """An image that runs as Pod Security `restricted` has it: read-only, no
    capability, no new privileges, the default seccomp profile; in a network
    of its own that has loopback only. A context manager."""

    def __init__(self, image, port, mounts=(), tmp=None):
        """mounts: (folder, path in the container), read-only. tmp: a folder
        to have as /tmp, for what shares it; any user has to be able to write
        there."""
        self._image = image
        self._port = port
        self._mounts = [f"--volume={source}:{target}:ro"
                        for source, target in mounts]
        self._mounts.append(f"--volume={tmp}:/tmp" if tmp else "--tmpfs=/tmp")
        self.name = f"nginx-{secrets.token_hex(4)}"
        self._names = []

    def __enter__(self):
        command("ip", "netns", "add", self.name)
        try:
            command("ip", "-n", self.name, "link", "set", "lo", "up")
            self._run(self.name, [
                f"--network=ns:/var/run/netns/{self.name}"])
            wait_until(self._answers, "the container serves")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _run(self, name, options, *arguments):
        self._names.append(name)
        podman("run", "--detach", f"--name={name}", "--pull=never",
               "--read-only", "--cap-drop=ALL",
               "--security-opt=no-new-privileges",
               "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
               *options, *self._mounts, self._image, *arguments)

    def beside(self, *arguments):
        """Runs a command in a second container of the same image and mounts
        that sees the processes of the first, as shareProcessNamespace has it;
        returns its name."""
        name = f"{self.name}-beside"
        self._run(name, ["--network=none", f"--pid=container:{self.name}"],
                  *arguments)
        return name

    def __exit__(self, *_):
        for name in reversed(self._names):
            with contextlib.suppress(AssertionError):
                podman("rm", "--force", "--time=0", name)
        command("ip", "netns", "del", self.name)

    def _answers(self):
        with contextlib.suppress(AssertionError):
            return self.curl("/healthz") == "ok\n"
        return False

    def curl(self, path, *options):
        """The body of a GET from within the container's network."""
        return command(
            "ip", "netns", "exec", self.name, "curl", "--silent", "--fail",
            "--max-time", "60", *options,
            f"http://127.0.0.1:{self._port}{path}")

    def logs(self, name=None):
        return podman("logs", name or self.name)

    def inside(self, *arguments):
        """Runs a command in the container, as its user."""
        return podman("exec", self.name, *arguments)

    def stop(self):
        """Stops it as Kubernetes does; the exit status of its nginx."""
        podman("stop", "--time=20", self.name)
        return int(podman("inspect", "--format={{.State.ExitCode}}",
                          self.name))
