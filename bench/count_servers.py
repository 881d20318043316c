"""The two services of bench/count: stock nginx with the count module, one
worker, and its rival in Go with GOMAXPROCS=1."""

import os

from server_process import NginxServer, Server, free_port

HTTP = """
    client_max_body_size 64m;
    client_body_buffer_size 4m;

{plugins}

    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
"""

PLUGIN = "    count_plugin {name} {build}/algorithms/libsort_{name}.so;"

LOCATION = """
        location = /{name}/{size} {{
            count;
            count_sort {name};
            count_input {input};
        }}"""


class NginxCount(NginxServer):
    """inputs: size to path of the text file that a GET of it sorts; plugins:
    the names v1, v2 ... Each pair is served at /NAME/SIZE."""

    def __init__(self, build, plugins, inputs, cores):
        port = free_port()
        module = os.path.join(build, "modules", "ngx_http_count_module.so")
        super().__init__(
            os.path.join(build, "bench", "nginx"),
            port,
            cores,
            f"load_module {module};",
            _http(build, port, plugins, inputs),
        )

    def url(self, name, size):
        """Where a plug-in serves an input."""
        return f"http://127.0.0.1:{self.port}/{name}/{size}"


def _http(build, port, plugins, inputs):
    return HTTP.format(
        port=port,
        plugins="\n".join(
            PLUGIN.format(name=name, build=build) for name in plugins
        ),
        locations="\n".join(
            LOCATION.format(name=name, size=size, input=path)
            for name in plugins
            for size, path in inputs.items()
        ),
    )


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
