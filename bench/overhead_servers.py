"""What bench/overhead compares: an nginx that is not profiled and one that is,
by whatever profiler, with the same load.

A Side is one nginx with one worker, its profiler, and the processes whose CPU
time counts: the worker and, where the profiler is a process of its own, that.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import inputs
from machine import CannotMeasure, program_named
from server_process import NginxServer, Server, free_port, free_ports

RATE = 99
NUMBERS = 10000
BULK_BYTES = 256 * 1024

MAIN = """
load_module {build}/modules/ngx_http_count_module.so;
load_module {build}/modules/ngx_profiler_module.so;
profiler {profiler};
"""

HTTP = """
    {http}
    sendfile on;
    count_plugin v2 {build}/algorithms/libsort_v2.so;

    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 32;
    }}

    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/html;

        location = /proxy {{
            proxy_pass http://backend/1k;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}

        location = /count {{
            count;
            count_sort v2;
            count_input {folder}/numbers.txt;
        }}

        location /debug/pprof/ {{
            profiler_endpoint;
        }}
    }}
"""

BACKEND_HTTP = """
    server {{
        listen 127.0.0.1:{port};
        root {folder}/html;
    }}
"""

# Name of a load: scheme and path.
LOADS = {
    "static": ("http", "/1k"),
    "proxy": ("http", "/proxy"),
    "tls-bulk": ("https", "/bulk"),
    "count": ("http", "/count"),
}


class Site:
    """The files that are served, and the server behind the proxy."""

    def __init__(self, build, cores):
        self.build = build
        self.folder = os.path.join(build, "bench", "overhead")
        self._write_files()
        port = free_port()
        self.backend = NginxServer(
            os.path.join(self.folder, "backend"),
            port,
            cores,
            "",
            BACKEND_HTTP.format(port=port, folder=self.folder),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.backend.stop(signal.SIGTERM)

    def _write_files(self):
        html = os.path.join(self.folder, "html")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(html)
        for name, size in (("1k", 1024), ("bulk", BULK_BYTES)):
            with open(os.path.join(html, name), "wb") as out:
                out.write(b"x" * size)
        inputs.write_text(
            os.path.join(self.folder, "numbers.txt"),
            inputs.values("random", NUMBERS),
        )
        subprocess.run(
            [program_named("openssl", "openssl"), "req", "-x509", "-nodes"]
            + ["-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost"]
            + ["-keyout", f"{self.folder}/key.pem"]
            + ["-out", f"{self.folder}/cert.pem"],
            check=True,
            capture_output=True,
        )


class Side:
    """One nginx without a profiler; the other kinds of side extend it."""

    profiler = "off"
    http = ""

    def __init__(self, site, name, cores):
        self._site = site
        self._folder = os.path.join(site.folder, name)
        port, self._tls_port = free_ports(2)
        self._nginx = NginxServer(
            self._folder,
            port,
            cores,
            MAIN.format(build=site.build, profiler=self.profiler),
            HTTP.format(
                http=self.http,
                build=site.build,
                folder=site.folder,
                backend=site.backend.port,
                port=port,
                tls_port=self._tls_port,
            ),
            self._environment(),
        )
        self.worker = self._nginx.pids()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _environment(self):
        return None

    def stop(self):
        """Ends all processes."""
        self._nginx.stop(signal.SIGTERM)

    def url(self, load):
        """Where the load goes."""
        scheme, path = LOADS[load]
        port = self._nginx.port if scheme == "http" else self._tls_port
        return f"{scheme}://127.0.0.1:{port}{path}"

    def pids(self):
        """The processes whose CPU time counts."""
        return [self.worker]

    def private_bytes(self):
        """Memory that the worker has for itself."""
        path = f"/proc/{self.worker}/smaps_rollup"
        with open(path, encoding="ascii") as rollup:
            sizes = re.findall(
                r"^Private_(?:Clean|Dirty): +(\d+)", rollup.read(), re.M
            )
        return 1024 * sum(int(size) for size in sizes)

    def check(self):
        """Raises CannotMeasure if the profiler took no samples. The side must
        have been stopped."""


class Profiled(Side):
    """With this project's profiler, all default types, default rate."""

    profiler = "on"

    def status(self):
        """The profiler's own account."""
        url = f"http://127.0.0.1:{self._nginx.port}/debug/pprof/status"
        with urllib.request.urlopen(url, timeout=60) as reply:
            return json.load(reply)


class HeapAlone(Side):
    """With nothing but the heap profile."""

    profiler = "on; profiler_types heap"


class WithoutHeap(Side):
    """With the other default types."""

    profiler = "on; profiler_types cpu stall"


class Gperftools(Side):
    """With gperftools' CPU profiler in the worker."""

    def __init__(self, site, name, cores):
        self._preload = f"{site.build}/bench/gperftools_preload.so"
        if not os.path.exists(self._preload):
            raise CannotMeasure("apt-get install libgoogle-perftools-dev")
        super().__init__(site, name, cores)

    def _environment(self):
        return {
            **os.environ,
            "LD_PRELOAD": self._preload,
            "GPERFTOOLS_PROFILE": f"{self._folder}/gperftools",
            "CPUPROFILE_FREQUENCY": str(RATE),
        }

    def check(self):
        path = f"{self._folder}/gperftools.{self.worker}"
        # a header and a trailer, and the list of mappings, have less
        with contextlib.suppress(OSError):
            with open(path, "rb") as profile:
                if profile.read().index(b"/nginx") > 256:
                    return
        raise CannotMeasure("gperftools took no samples")


class Perf(Side):
    """With perf record attached to the worker; perf's own CPU counts, too."""

    call_graph = "fp"

    def __init__(self, site, name, cores):
        self._perf = None
        program = program_named("perf", "linux-perf")
        super().__init__(site, name, cores)
        self._log = f"{self._folder}/perf.log"
        self._perf = Server(
            [program, "record", "-F", str(RATE), "-p", str(self.worker)]
            + ["--call-graph", self.call_graph]
            + ["-o", f"{self._folder}/perf.data"],
            os.sched_getaffinity(0),
            self._log,
        )
        # perf says nothing once it is attached, and exits if it may not
        time.sleep(0.5)
        if self._perf.process.poll() is not None:
            self._nginx.stop(signal.SIGTERM)
            raise self._perf.failed("perf record")

    def stop(self):
        self._perf.stop(signal.SIGINT)
        super().stop()

    def pids(self):
        return [self.worker, self._perf.process.pid]

    def check(self):
        with open(self._log, encoding="utf-8") as log:
            if re.search(r"\([1-9]\d* samples\)", log.read()) is None:
                raise self._perf.failed("perf record took no samples")


class PerfDwarf(Perf):
    """The same with copies of the stack, as stacks of nginx need."""

    call_graph = "dwarf"


# Name of what is compared with an nginx without a profiler: kind of side. The
# last one is a control: what the method shows where there is no difference.
RIVALS = {
    "profiler": Profiled,
    "heap-alone": HeapAlone,
    "without-heap": WithoutHeap,
    "gperftools": Gperftools,
    "perf-fp": Perf,
    "perf-dwarf": PerfDwarf,
    "nothing": Side,
}
