"""Constant load on one URL at a fixed rate, by k6 or h2load.

Both are driven as open models: a request starts when its time has come,
whether the ones before it were answered or not, so a slow version gets as
many as a fast one. Both use a connection per request: nginx closes idle
connections when it reloads, and a request that a client sends on one at that
very moment is lost to a race of HTTP itself.

A generator owns one child process and the files that it writes. The caller
starts it, waits for it, and gets every request that was made; or stops it.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

K6_SCRIPT = Path(__file__).resolve().parents[1] / "k6" / "count_load.js"

# Seconds that the last requests may take after the load's end.
GRACE = 20.0


class LoadError(Exception):
    """The load generator itself failed; the message names its log."""


@dataclass(frozen=True)
class Request:
    """start: Unix time, seconds; seconds: until the answer's end; ok: it was
    answered, with 200."""

    start: float
    seconds: float
    ok: bool


@dataclass(frozen=True)
class LoadResult:
    """requests: all that were answered or failed one by one; planned: how many
    there had to be; failed: how many of those did not end well, be it that
    they are in `requests` or that they were never made; complaint: what the
    generator found wrong with answers, or empty."""

    requests: tuple
    planned: int
    failed: int
    complaint: str


class _Generator:
    """What both have in common: the child and its log. `period_ms` is a whole
    number of milliseconds between requests."""

    name = ""

    def __init__(self, program, folder, url, period_ms, seconds, numbers):
        self.program = program
        self.url = url
        self.period_ms = period_ms
        self.seconds = seconds
        self.numbers = numbers
        self.planned = int(seconds * 1000 / period_ms)
        self.log = Path(folder) / f"{self.name}.log"
        self.records = Path(folder) / f"{self.name}.records"
        self._child = None

    def _command(self):
        raise NotImplementedError

    def _environment(self):
        return None

    def start(self):
        self.records.unlink(missing_ok=True)
        # A signal that came before the child is known would leave it behind.
        mask = signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            with open(self.log, "wb") as log:
                # In its own group, so that Ctrl-C reaches the demo only, which
                # then ends the load in order.
                self._child = subprocess.Popen(
                    self._command(), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, env=self._environment(),
                    start_new_session=True,
                    preexec_fn=lambda: signal.pthread_sigmask(
                        signal.SIG_SETMASK, mask))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def running(self):
        return self._child is not None and self._child.poll() is None

    def stop(self):
        if self.running():
            self._child.kill()
            self._child.wait()

    def finish(self):
        """Waits for the end of the load; returns a LoadResult."""
        try:
            status = self._child.wait(self.seconds + GRACE)
        except subprocess.TimeoutExpired:
            self.stop()
            raise LoadError(f"{self.name} did not end: {self.log}") from None
        return self._result(status)

    def _result(self, status):
        raise NotImplementedError


class H2load(_Generator):
    """nghttp2's h2load. Its --rps holds only as long as a connection lives
    and forgets about the requests of one that the server closed, so what is
    given a rate here is connections, each with one request. It does not look
    at bodies."""

    name = "h2load"

    def _command(self):
        return [self.program, "--h1", f"--clients={self.planned}",
                f"--requests={self.planned}", "--rate=1",
                f"--rate-period={self.period_ms}ms",
                f"--log-file={self.records}", self.url]

    def _result(self, status):
        if status != 0 or not self.records.exists():
            raise LoadError(
                f"h2load ended with {status}, see {self.log}")
        requests = []
        for line in self.records.read_text().splitlines():
            start, code, micros = (int(f) for f in line.split("\t")[:3])
            requests.append(Request(start / 1e6, micros / 1e6, code == 200))
        good = sum(r.ok for r in requests)
        return LoadResult(tuple(requests), self.planned, self.planned - good,
                          "")


class K6(_Generator):
    """Grafana k6 with k6/count_load.js, which looks at every answer."""

    name = "k6"
    FAILED_THRESHOLD = 99

    # Keeps k6, which is exact to the microsecond, from staying in step with
    # the kernel's ticks; h2load's own jitter does that.
    DRIFT = 1.0013

    def __init__(self, *args):
        super().__init__(*args)
        self.summary = self.records.with_name("k6-summary.json")

    def _command(self):
        return [self.program, "run", "--quiet", "--no-usage-report",
                "--address", "", "--out", f"csv={self.records}",
                str(K6_SCRIPT)]

    def _environment(self):
        # VERSION stays unset: the load runs through the swap. How fast answers
        # have to come is for the demo's table to show, not for k6 to judge.
        environment = {k: v for k, v in os.environ.items() if k != "VERSION"}
        environment.update(
            TARGET=self.url, RATE=repr(1000 / self.period_ms / self.DRIFT),
            DURATION=repr(self.seconds), COUNT=str(self.numbers),
            P95="60000", SUMMARY=str(self.summary),
            K6_CSV_TIME_FORMAT="unix_micro")
        return environment

    def start(self):
        self.summary.unlink(missing_ok=True)
        super().start()

    def _result(self, status):
        if (status not in (0, self.FAILED_THRESHOLD)
                or not self.summary.exists() or not self.records.exists()):
            raise LoadError(f"k6 ended with {status}, see {self.log}")
        metrics = json.loads(self.summary.read_text())["metrics"]
        dropped = _counter(metrics, "dropped_iterations")
        requests = tuple(self._requests())
        good = sum(r.ok for r in requests)
        # k6 may make one request more or less at the very end of its time.
        planned = len(requests) + dropped
        return LoadResult(requests, planned, planned - good,
                          self._complaint(status, metrics))

    def _requests(self):
        with open(self.records, newline="") as records:
            for row in csv.DictReader(records):
                if row["metric_name"] != "http_req_duration":
                    continue
                seconds = float(row["metric_value"]) / 1e3
                yield Request(int(row["timestamp"]) / 1e6 - seconds, seconds,
                              row["status"] == "200")

    @staticmethod
    def _complaint(status, metrics):
        wrong = int(metrics.get("checks", {}).get("values", {})
                    .get("fails", 0))
        if wrong:
            return f"k6: {wrong} checks of answers failed"
        return "" if status == 0 else "k6: a threshold was crossed"


def _counter(metrics, name):
    return int(metrics.get(name, {}).get("values", {}).get("count", 0))


def choose(wanted):
    """(class, program) for "k6", "h2load" or "auto", which is k6 where it is
    installed. k6 is taken from $K6, PATH or ~/go/bin."""
    k6 = (os.environ.get("K6") or shutil.which("k6")
          or shutil.which("k6", path=str(Path.home() / "go" / "bin")))
    h2load = shutil.which("h2load")
    if wanted in ("k6", "auto") and k6:
        return K6, k6
    if wanted in ("h2load", "auto") and h2load:
        return H2load, h2load
    if wanted not in ("k6", "h2load", "auto"):
        raise LoadError(f'LOAD must be k6, h2load or auto, not "{wanted}"')
    raise LoadError(f"no load generator: {wanted} is not installed")
