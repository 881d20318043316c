"""Datadog's own test double of its Agent, ddapm-test-agent from PyPI, in a
virtual environment below build/. TestAgent.install() says why where it can't be
had.
"""

import base64
import contextlib
import fcntl
import http.client
import json
import os
import shutil
import subprocess

from nginx_instance import BUILD, free_port, wait_until
from upload_receiver import Request

VERSION = "1.69.1"
FOLDER = BUILD / f"ddapm-{VERSION}"
PROGRAM = FOLDER / "bin" / "ddapm-test-agent"


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False,
                          text=True)
    if done.returncode:
        raise OSError((done.stdout.strip().splitlines() or ["no output"])[-1])


class TestAgent:
    """A running one. Its checks of traces are on."""

    __test__ = False  # it is no test
    CHECKS = ("trace_count_header,meta_tracer_version_header,"
              "trace_content_length,trace_stall")

    def __init__(self, folder):
        self.port = free_port()
        self._log = open(folder / "test-agent.log", "wb")
        self._process = subprocess.Popen(
            [PROGRAM, "--port", str(self.port), "--host", "127.0.0.1",
             "--otlp-http-port", str(free_port()),
             "--otlp-grpc-port", str(free_port())],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "ENABLED_CHECKS": self.CHECKS,
                 "SNAPSHOT_DIR": str(folder), "LANG": "C.UTF-8",
                 "DISABLE_LLMOBS_DATA_FORWARDING": "true"})

    @staticmethod
    def install():
        """Installs it, once; returns None, or why that can't be."""
        BUILD.mkdir(parents=True, exist_ok=True)
        with open(f"{FOLDER}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if PROGRAM.exists():
                return None
            try:
                run("/usr/bin/python3", "-m", "venv", FOLDER)
                run(FOLDER / "bin" / "pip", "install", "-q",
                    "--disable-pip-version-check", "--timeout", "20",
                    "--retries", "1", f"ddapm-test-agent=={VERSION}")
            except (OSError, subprocess.TimeoutExpired) as reason:
                shutil.rmtree(FOLDER, ignore_errors=True)
                return f"ddapm-test-agent can't be installed: {reason}"
        return None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        try:
            wait_until(self._is_up, "ddapm-test-agent starts", 120)
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(60)
        self._log.close()

    def _is_up(self):
        assert self._process.poll() is None, "ddapm-test-agent exited"
        with contextlib.suppress(OSError):
            return self.get("/info")[0] == 200
        return False

    def get(self, path):
        """(status, body) of a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def requests(self, path):
        """What was sent to that path so far, oldest first."""
        status, body = self.get("/test/session/requests")
        assert status == 200, body
        found = []
        for sent in json.loads(body):
            if sent["url"].endswith(path):
                request = Request(f"{sent['method']} {path} HTTP/1.1".encode(),
                                  base64.b64decode(sent["body"]))
                request.headers = {name.lower(): value for name, value
                                   in sent["headers"].items()}
                found.append(request)
        return found
