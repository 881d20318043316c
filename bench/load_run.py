"""One run of load on one server: h2load on keepalive HTTP/1.1 connections,
and the CPU time that the server's processes took for it, to the nanosecond."""

import json
import os
import re
import subprocess
import time
import urllib.request
from dataclasses import dataclass

from machine import CannotMeasure, program_named

CONNECTIONS = 4
CPUCLOCK_SCHED = 2


@dataclass(frozen=True)
class Request:
    """A GET where body is None, else a POST of the file body."""

    url: str
    body: str | None = None
    content_type: str = "text/plain"


@dataclass(frozen=True)
class Load:
    """What a run did and took; times in nanoseconds."""

    requests: int
    cpu_ns: int
    wall_ns: int

    @property
    def per_cpu_second(self):
        """Requests per second of the server's CPU time."""
        return self.requests * 1e9 / self.cpu_ns


def cpu_ns(pids):
    """CPU time of whole processes, all threads that they ever had."""
    return sum(
        time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids
    )


def answer(request):
    """The JSON that the server answers to one request."""
    data = None
    if request.body is not None:
        with open(request.body, "rb") as body:
            data = body.read()
    asked = urllib.request.Request(
        request.url,
        data=data,
        headers={"Content-Type": request.content_type},
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return json.load(reply)
    except OSError as error:
        raise CannotMeasure(f"{request.url}: {error}") from error


class Client:
    """h2load, kept on its own cores."""

    def __init__(self, cores):
        self._program = program_named("h2load", "nghttp2-client")
        self._cores = cores

    def run(self, request, count, pids):
        """Sends count requests; every one must be answered with 200."""
        command = [
            self._program,
            "--h1",
            f"--requests={count}",
            f"--clients={min(CONNECTIONS, count)}",
            f"--header=content-type: {request.content_type}",
        ]
        if request.body is not None:
            command.append(f"--data={request.body}")
        cpu = cpu_ns(pids)
        start = time.monotonic_ns()
        done = subprocess.run(
            [*command, request.url],
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, self._cores),
        )
        load = Load(
            count, cpu_ns(pids) - cpu, time.monotonic_ns() - start
        )
        if not re.search(rf"^status codes: {count} 2xx", done.stdout, re.M):
            raise CannotMeasure(f"{request.url}: {done.stdout.strip()}")
        return load

    def requests_for(self, seconds, request, pids):
        """How many requests take about that long; warms the server up."""
        count = CONNECTIONS
        while True:
            load = self.run(request, count, pids)
            enough = load.cpu_ns >= seconds * 1e9 / 10
            if enough or count >= 1 << 20:
                return max(
                    CONNECTIONS,
                    round(count * seconds * 1e9 / load.cpu_ns),
                )
            count *= 4
