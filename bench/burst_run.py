"""Bursts of load on servers that run side by side, and their CPU time."""

import subprocess
import time

from load_run import cpu_ns
from machine import CannotMeasure
from server_process import Server

CONNECTIONS = 8

# After a burst, before the clock is read: the profiler's thread takes samples
# in ten times a second, and that work belongs to the burst.
SETTLE_SECONDS = 0.12


class BurstClient(Server):
    """Holds connections to all URLs and sends bursts of requests to each."""

    def __init__(self, build, urls, cores, log):
        super().__init__(
            [f"{build}/bench/burst_client", str(CONNECTIONS), *urls],
            cores,
            log,
            stdin=subprocess.PIPE,
        )
        self._answer("ready")

    def stop(self, signo):
        self.process.stdin.close()
        super().stop(signo)

    def _answer(self, expected):
        line = self.process.stdout.readline().strip()
        if not line.startswith(expected):
            raise CannotMeasure(f"burst_client: {line or 'it exited'}")
        return line

    def burst(self, index, requests):
        """Sends the requests to the URL of that index; (its wall time, the
        99th percentile of the requests' times), ns."""
        self.process.stdin.write(f"{index} {requests}\n")
        self.process.stdin.flush()
        wall, p99 = self._answer("ok").split()[1:]
        return int(wall), int(p99)


def cpu_of_burst(client, index, requests, pids):
    """CPU nanoseconds per request that a burst took of the processes."""
    return cost_of_burst(client, index, requests, pids)[0]


def cost_of_burst(client, index, requests, pids):
    """CPU nanoseconds per request, as above, and the 99th percentile of the requests' times, ns."""
    before = cpu_ns(pids)
    p99 = client.burst(index, requests)[1]
    time.sleep(SETTLE_SECONDS)
    return (cpu_ns(pids) - before) / requests, p99


def requests_for(client, index, seconds, pids):
    """How many requests take about that much CPU time."""
    requests = CONNECTIONS
    while True:
        cpu = cpu_of_burst(client, index, requests, pids) * requests
        if cpu >= seconds * 1e8 or requests >= 1 << 20:
            return max(CONNECTIONS, round(requests * seconds * 1e9 / cpu))
        requests *= 4
