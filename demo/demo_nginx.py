"""The demo's own nginx: Debian's binary with a prefix under the build folder.

Owns the folder `prefix` (configuration, logs, temporary files) and the
processes whose pid is in its pid file, and no other nginx. It does what an
administrator would: writes the configuration, `nginx -t`, `nginx`,
`nginx -s reload`, and signals the master by its pid.
"""

import math
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

TEMPLATE = Path(__file__).resolve().with_name("nginx.conf.in")

# CPU samples per second of CPU time: twice the default, so that v2's window is
# short. Timers, which take over where the engine jitter can't be had, can have it,
# too: they fire on the kernel's tick, 250 a second on Debian.
PROFILER_RATE = 199

# Seconds that nginx may take to start, reload or stop.
PATIENCE = 20.0


class NginxError(Exception):
    """nginx did not do what it was asked for; the message names its log."""


class DemoNginx:
    """One nginx on 127.0.0.1:port. `build` has modules/ and algorithms/."""

    def __init__(self, build, folder, port):
        self.build = Path(build)
        self.prefix = Path(folder) / "nginx"
        self.conf = self.prefix / "conf" / "nginx.conf"
        self.input = self.prefix / "input.txt"
        self.error_log = self.prefix / "logs" / "error.log"
        self.access_log = self.prefix / "logs" / "access.log"
        self.pid_file = self.prefix / "logs" / "nginx.pid"
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.program = os.environ.get("NGINX", "/usr/sbin/nginx")

    # processes

    def master(self):
        """Pid of our master if it runs, else None. A pid file alone proves
        nothing: the number may be another process's by now."""
        try:
            pid = int(self.pid_file.read_text())
            title = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except (OSError, ValueError):
            return None
        ours = "nginx: master" in title and str(self.prefix) in title
        return pid if ours else None

    def workers(self):
        """Pids of the workers that accept connections. One that shuts down
        says so in its title, and one that is just dying has none."""
        master = self.master()
        if master is None:
            return []
        return [pid for pid in _children(master)
                if _title(pid).strip("\0 ") == "nginx: worker process"]

    def worker(self):
        workers = self.workers()
        if len(workers) != 1:
            raise NginxError(f"one worker expected, found {workers}; see "
                             f"{self.error_log}")
        return workers[0]

    # life cycle

    def prepare(self, numbers):
        """Writes the input and the configuration for v1 afresh, with empty
        logs. numbers: what /count sorts."""
        shutil.rmtree(self.prefix, ignore_errors=True)
        for folder in ("conf", "logs", "temp"):
            (self.prefix / folder).mkdir(parents=True)
        self.input.write_text("".join(f"{n}\n" for n in numbers))
        text = TEMPLATE.read_text()
        for name, value in (("USER", self._user_directive()),
                            ("MODULES", self.build / "modules"),
                            ("ALGORITHMS", self.build / "algorithms"),
                            ("INPUT", self.input), ("PORT", self.port),
                            ("PROFILER_RATE", PROFILER_RATE)):
            text = text.replace(f"@{name}@", str(value))
        self.conf.write_text(text)

    def start(self):
        self._check_port()
        self._run("-t")
        self._run()
        _wait_until(lambda: self.workers(), f"nginx to start, see "
                    f"{self.error_log}")

    def swap(self, old, new):
        """Edits count_sort in the configuration and reloads nginx. Returns
        once the new worker accepts and the old one accepts nothing more."""
        text = self.conf.read_text()
        edited = text.replace(f"count_sort {old};", f"count_sort {new};")
        if edited == text:
            raise NginxError(f"no `count_sort {old};` in {self.conf}")
        self.conf.write_text(edited)
        before = set(self.workers())
        self._run("-s", "reload")
        _wait_until(lambda: self._swapped(before),
                    f"the reload, see {self.error_log}")

    def wait_for_old(self):
        """Waits until only the workers of the newest configuration exist."""
        _wait_until(
            lambda: len(_children(self.master())) == len(self.workers()),
            "the old worker to exit")

    def stop(self):
        """QUIT, graceful; KILL for a master that does not go in time."""
        master = self.master()
        if master is None:
            return
        workers = _children(master)
        os.kill(master, signal.SIGQUIT)
        try:
            _wait_until(lambda: not any(map(_alive, [master, *workers])),
                        "nginx to stop")
        except NginxError:
            for pid in [master, *workers]:
                if _alive(pid):
                    os.kill(pid, signal.SIGKILL)
            raise

    def trouble(self):
        """Lines of the error log that no demo may leave."""
        if not self.error_log.exists():
            return []
        bad = re.compile(r"\[(alert|emerg|crit|error)\]|exited on signal")
        return [line for line in
                self.error_log.read_text(errors="replace").splitlines()
                if bad.search(line)]

    def answered(self, since=0.0, until=math.inf, worker=None):
        """How many requests for /count ended between two Unix times, of one
        worker or of all, by the access log."""
        found = 0
        for line in self.access_log.read_text().splitlines():
            ended, pid, _, uri = line.split(" ", 3)
            found += (since <= float(ended) < until and uri == "/count"
                      and worker in (None, int(pid)))
        return found

    def _swapped(self, before):
        now = self.workers()
        return len(now) == 1 and not before & set(now)

    def _run(self, *arguments):
        command = [self.program, "-p", f"{self.prefix}/", "-c",
                   str(self.conf), "-e", str(self.error_log), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise NginxError(f"`{' '.join(command)}` failed:\n"
                             f"{done.stdout.decode(errors='replace')}")

    def _check_port(self):
        """nginx would try for seconds, and say so in its log only."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as reason:
                raise NginxError(
                    f"port {self.port} of 127.0.0.1 can't be used "
                    f"({reason.strerror}); choose another: "
                    f"PORT=8081 ./demo.sh") from None

    def _user_directive(self):
        """As root, workers are Debian's www-data as they would be in
        production, unless that user can't reach the input file because the
        source tree is in a private folder."""
        if os.geteuid() != 0:
            return ""
        try:
            pwd.getpwnam("www-data")
        except KeyError:
            return "user root;"
        reachable = all(p.stat().st_mode & 0o001 for p in
                        self.input.resolve().parents)
        return "user www-data;" if reachable else "user root;"


def cpu_seconds(pid):
    """CPU time that all threads of a process had so far, exact to the
    nanosecond: the process's CPU-time clock, which the kernel names by the
    inverted pid (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def _wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise NginxError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.01)


def _children(pid):
    """Pids of the children of a process that still run."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split() if _alive(int(child))]


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def _alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] != "Z"
