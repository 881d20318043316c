"""The servers of a benchmark: child processes, pinned to cores, that listen on
127.0.0.1 only and are stopped by the object that started them."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import time

from machine import CannotMeasure, nginx_program

START_SECONDS = 10

TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

NGINX_CONF = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{main}

events {{
    worker_connections 256;
}}

http {{
    access_log off;
    keepalive_requests 1000000000;
{temp_paths}
{http}
}}
"""


class Server:
    """A child process, pinned to cores, that writes its errors to a log."""

    def __init__(
        self, command, cores, log, environment=None, stdin=subprocess.DEVNULL
    ):
        self._log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGTERM)

    def stop(self, signo):
        """Ends the process, gently first."""
        if self.process.poll() is None:
            self.process.send_signal(signo)
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def failed(self, what):
        """The error to raise when the server did not do its part."""
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return CannotMeasure(f"{what}:\n{log.read().strip()}")


class NginxServer(Server):
    """Stock nginx with one worker. main and http: text for those contexts."""

    def __init__(self, folder, port, cores, main, http, environment=None):
        self.port = port
        os.makedirs(folder, exist_ok=True)
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as out:
            out.write(_nginx_conf(folder, main, http))
        log = os.path.join(folder, "error.log")
        command = [nginx_program(), "-p", folder, "-c", conf, "-e", log]
        stderr = os.path.join(folder, "stderr.log")
        super().__init__(command, cores, stderr, environment)
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise self.failed("nginx did not start")
            if _listens(self.port) and self.pids():
                return
            time.sleep(0.02)
        self.stop(signal.SIGKILL)
        raise self.failed("nginx does not listen")

    def pids(self):
        """The workers."""
        pid = self.process.pid
        path = f"/proc/{pid}/task/{pid}/children"
        with open(path, encoding="ascii") as children:
            return [int(child) for child in children.read().split()]


def _nginx_conf(folder, main, http):
    user = pwd.getpwuid(os.geteuid()).pw_name
    return NGINX_CONF.format(
        user=f"user {user};" if os.geteuid() == 0 else "",
        folder=folder,
        main=main,
        temp_paths="\n".join(
            f"    {name}_temp_path {folder}/{name};" for name in TEMP_PATHS
        ),
        http=http,
    )


def free_ports(count):
    """So many different ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [
            stack.enter_context(socket.socket()) for _ in range(count)
        ]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port():
    return free_ports(1)[0]


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
