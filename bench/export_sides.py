"""What bench/export compares: profiled nginx that export nothing, and such that
do, to destinations that work or do not."""

import contextlib
import os
import socket
import threading

from overhead_servers import Profiled
from server_process import free_port

# Shorter than anybody's, so that each burst meets some uploads.
PERIOD = "1s"

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Destination:
    """Takes connections of exporters, and answers all requests or none."""

    def __init__(self, answers):
        self._answers = answers
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._connections.append(connection)
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            while self._answers:
                if not self._take(connection):
                    return
                connection.sendall(ANSWER)
            while connection.recv(65536):
                pass

    @staticmethod
    def _take(connection):
        """One request; False if there is none."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        left = length - len(body)
        while left > 0:
            left -= len(connection.recv(65536))
        return True


class Quiet(Profiled):
    """Profiled, and nothing is sent: what the others are compared with."""


class Uploading(Profiled):
    """Uploads profiles."""

    answers = True

    def __init__(self, site, name, cores):
        self._destination = Destination(self.answers)
        self.profiler = (
            f"on; profiler_period {PERIOD};"
            f"profiler_upload datadog {self._address()}"
        )
        super().__init__(site, name, cores)

    def _address(self):
        return self._destination.url

    def stop(self):
        super().stop()
        self._destination.close()


class UploadHangs(Uploading):
    """The destination takes connections and never answers."""

    answers = False


class UploadRefused(Uploading):
    """Nobody listens."""

    def _address(self):
        return f"http://127.0.0.1:{free_port()}"


class Tracing(Profiled):
    """Each request is a span, which the Agent takes."""

    http = "profiler_trace on;"
    answers = True

    def __init__(self, site, name, cores):
        self._destination = Destination(self.answers)
        super().__init__(site, name, cores)

    def _environment(self):
        return {**os.environ, "DD_TRACE_AGENT_URL": self._destination.url}

    def stop(self):
        super().stop()
        self._destination.close()


class TraceHangs(Tracing):
    """The Agent never answers."""

    answers = False


# Name of what is compared with Quiet: kind of side. The last one is a control:
# what the method shows where there is no difference.
SIDES = {
    "upload": Uploading,
    "upload-hangs": UploadHangs,
    "upload-refused": UploadRefused,
    "trace": Tracing,
    "trace-hangs": TraceHangs,
    "nothing": Quiet,
}
