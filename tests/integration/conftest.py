"""Fixtures of the integration tests.

`nginx` is an NginxInstance with a fresh folder under build/; `new_nginx` makes
more of them. Each is stopped gracefully when its test ends, and the test fails
if nginx left an [alert], an [emerg], a sanitizer's report, a worker that a
signal killed, or a process. The folder of a test that failed is kept.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import hostile_company
import nginx_instance
from nginx_instance import BUILD, SOURCE, NginxInstance

FOLDERS = BUILD / "it"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "idle: measures what next to nothing costs")


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.has_failed = True


@pytest.fixture
def long_run():
    """Whether the full numbers are wanted (LONG=1)."""
    return nginx_instance.LONG


@pytest.fixture
def new_nginx(request):
    """A function that makes an NginxInstance of this test."""
    FOLDERS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", request.node.name)[:32]
    made = []

    def make():
        instance = NginxInstance(
            tempfile.mkdtemp(prefix=f"{name}-", dir=FOLDERS))
        made.append(instance)
        return instance

    yield make

    failures = []
    for instance in made:
        try:
            instance.finish()
        except nginx_instance.NginxError as failure:
            failures.append(f"{failure}\nkept: {instance.prefix}")
            continue
        if not getattr(request.node, "has_failed", False):
            shutil.rmtree(instance.prefix)
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def nginx(new_nginx):
    """The NginxInstance of this test."""
    return new_nginx()


@pytest.fixture(scope="session")
def hostile_plugin():
    """The path of hostile_plugin.so, in a folder that workers may read."""
    FOLDERS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="plugin-", dir=FOLDERS))
    folder.chmod(0o755)
    yield hostile_company.build_hostile_plugin(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def neighbour_module():
    """The path of a C++ module of nginx."""
    FOLDERS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="module-", dir=FOLDERS))
    folder.chmod(0o755)
    yield hostile_company.build_neighbour_module(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def compile_plugin():
    """A function (path, **macros) that compiles tests/plugins/version_plugin.c
    with those macros and puts the plug-in at path by rename."""

    def compile_to(path, **macros):
        new = f"{path}.new"
        subprocess.run(
            [os.environ.get("CC", "gcc"), "-std=c11", "-O1", "-g", "-shared",
             "-fPIC", f"-I{SOURCE / 'algorithms'}",
             *(f"-D{name}={value}" for name, value in macros.items()),
             "-o", new, SOURCE / "tests" / "plugins" / "version_plugin.c"],
            check=True)
        os.replace(new, path)
        return path

    return compile_to
