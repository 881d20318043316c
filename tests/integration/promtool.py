"""promtool, Prometheus' judge of what is exposed to it.

Debian has it in a package of 100 MB, with a server that would run: where it is
not installed, CI and the long tier unpack that package's promtool below the
build folder, once.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from nginx_instance import BUILD, LONG

KEPT = BUILD / "promtool"


class NoPromtool(Exception):
    """There is none here; the message says why."""


def find():
    """The path of promtool. NoPromtool: there is none."""
    installed = shutil.which("promtool")
    if installed:
        return installed
    if KEPT.exists():
        return str(KEPT)
    if not LONG and os.environ.get("CI") != "true":
        raise NoPromtool("no promtool: CI=true and LONG=1 download it")
    _unpack()
    return str(KEPT)


def _run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                          timeout=180, check=False)
    if done.returncode != 0:
        raise NoPromtool(f"no promtool: {command[0]} says "
                         f"{done.stderr.strip().splitlines()[-1:]}")


def _unpack():
    """All or nothing is kept, whoever else does the same."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as folder:
        try:
            _run("apt-get", "-q", "download", "prometheus", folder=folder)
            package = next(Path(folder).glob("prometheus_*.deb"))
            _run("dpkg-deb", "--extract", package.name, ".", folder=folder)
            (Path(folder) / "usr" / "bin" / "promtool").replace(KEPT)
        except (OSError, StopIteration, subprocess.TimeoutExpired) as reason:
            raise NoPromtool(f"no promtool: {reason!r}") from reason
