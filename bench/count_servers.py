"""The two services of bench/count: stock nginx with the count module, one
worker, and its rival in Go with GOMAXPROCS=1. Both listen on 127.0.0.1 only
and are stopped by the object that started them."""

import os
import pwd
import signal
import socket
import subprocess
import time

from machine import CannotMeasure, nginx_program

START_SECONDS = 10

NGINX_CONF = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
load_module {modules}/ngx_http_count_module.so;

events {{
    worker_connections 64;
}}

http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_buffer_size 4m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

{plugins}

    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""

PLUGIN = "    count_plugin {name} {build}/algorithms/libsort_{name}.so;"

LOCATION = """
        location = /{name}/{size} {{
            count;
            count_sort {name};
            count_input {input};
        }}"""


class Server:
    """A child process, pinned to cores, and the process that serves."""

    def __init__(self, command, cores, log, environment=None):
        self._log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
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


class NginxCount(Server):
    """inputs: size to path of the text file that a GET of it sorts; plugins:
    the names v1, v2 ... Each pair is served at /NAME/SIZE."""

    def __init__(self, build, plugins, inputs, cores):
        folder = os.path.join(build, "bench", "nginx")
        os.makedirs(folder, exist_ok=True)
        self.port = _free_port()
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as out:
            out.write(self._configuration(build, folder, plugins, inputs))
        self._folder = folder
        log = os.path.join(folder, "error.log")
        command = [nginx_program(), "-p", folder, "-c", conf, "-e", log]
        super().__init__(command, cores, os.path.join(folder, "stderr.log"))
        self._wait()

    def _configuration(self, build, folder, plugins, inputs):
        user = pwd.getpwuid(os.geteuid()).pw_name
        locations = [
            LOCATION.format(name=name, size=size, input=path)
            for name in plugins
            for size, path in inputs.items()
        ]
        return NGINX_CONF.format(
            user=f"user {user};" if os.geteuid() == 0 else "",
            folder=folder,
            modules=os.path.join(build, "modules"),
            port=self.port,
            plugins="\n".join(
                PLUGIN.format(name=name, build=build) for name in plugins
            ),
            locations="\n".join(locations),
        )

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise self.failed("nginx did not start")
            if _listens(self.port) and _children(self.process.pid):
                return
            time.sleep(0.02)
        self.stop(signal.SIGKILL)
        raise self.failed("nginx does not listen")

    def url(self, name, size):
        """Where a plug-in serves an input."""
        return f"http://127.0.0.1:{self.port}/{name}/{size}"

    def pids(self):
        """The workers."""
        return _children(self.process.pid)


class GoCount(Server):
    """The Go service; a GET sorts the file input."""

    def __init__(self, build, input_path, cores):
        folder = os.path.join(build, "bench")
        super().__init__(
            [os.path.join(folder, "go-count"), "-input", input_path],
            cores,
            os.path.join(folder, "go-count.log"),
            {**os.environ, "GOMAXPROCS": "1"},
        )
        address = self.process.stdout.readline().strip()
        if not address:
            self.process.wait()
            raise self.failed("go-count did not start")
        self._address = address

    @staticmethod
    def built(build):
        """Whether the service was built: Go may be missing."""
        return os.path.exists(os.path.join(build, "bench", "go-count"))

    def url(self):
        """Where it serves."""
        return f"http://{self._address}/count"

    def pids(self):
        """The one process."""
        return [self.process.pid]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _children(pid):
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path, encoding="ascii") as children:
        return [int(child) for child in children.read().split()]
