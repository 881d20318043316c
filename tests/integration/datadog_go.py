"""A Go program with Datadog's own library, dd-trace-go: tests/datadog_go, built
below build/. Program.build() says why where it can't be had.

Its modules are fetched where the full numbers are wanted or CI runs; elsewhere
what was built earlier is used.
"""

import fcntl
import os
import shutil
import subprocess

from nginx_instance import BUILD, LONG, SOURCE

FOLDER = SOURCE / "tests" / "datadog_go"
OUTPUT = BUILD / "datadog_go"
PROGRAM = OUTPUT / "datadog_go"
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def go(*arguments, timeout=900):
    """Runs go in the program's module; returns what it prints."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "",
                   "GOWORK": "off", "CGO_ENABLED": "0"}
    environment.setdefault("HOME", str(OUTPUT))
    return subprocess.run(
        ["nice", GO, *arguments], cwd=FOLDER, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        env=environment)


class Program:
    """A running one, which sends profiles and traces to the Agent at that URL
    and has those variables."""

    def __init__(self, url, **variables):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("DD_")}
        self._log = open(OUTPUT / "log", "wb")
        self._process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=self._log,
            stderr=self._log, cwd=OUTPUT,
            env={**clean, "DD_TRACE_AGENT_URL": url,
                 "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                 "DD_REMOTE_CONFIGURATION_ENABLED": "false", **variables})

    @staticmethod
    def build():
        """Builds it, once; returns None, or why that can't be. One that does
        not compile is an AssertionError."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        with open(OUTPUT / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if PROGRAM.exists() and all(
                    PROGRAM.stat().st_mtime > source.stat().st_mtime
                    for source in FOLDER.iterdir()):
                return None
            if not GO:
                return "there is no Go"
            if not LONG and os.environ.get("CI") != "true":
                return "dd-trace-go is built with LONG=1 only"
            try:
                # fetches what is needed, and compiles nothing
                listed = go("list", "-deps", ".")
            except subprocess.TimeoutExpired:
                return "dd-trace-go can't be fetched in time"
            if listed.returncode:
                return "dd-trace-go can't be had: " + (
                    listed.stdout.strip().splitlines() or ["no output"])[-1]
            built = go("build", "-trimpath", "-buildvcs=false", "-o", PROGRAM,
                       ".")
            assert built.returncode == 0, built.stdout
        return None

    @property
    def pid(self):
        return self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()
