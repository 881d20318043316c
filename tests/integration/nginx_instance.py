"""A real nginx for a test: stock binary, own prefix, own port, own processes.

An NginxInstance owns one folder and one nginx (master, workers) that runs in
the foreground in its own session. It starts, reloads and stops that nginx as
an administrator would, by signals, and looks at it from outside: HTTP, raw
sockets, error log, /proc. It knows nothing of what a module does.

Environment:
  NGINX        the binary, default /usr/sbin/nginx
  BUILD        the build folder, below the source tree, default build/
  LONG=1       the full numbers instead of the short tier's
  SAN_PRELOAD  libraries to LD_PRELOAD into nginx: the run-time of a sanitizer,
               for modules that were built with `make SAN=... BUILD=...`
"""

import contextlib
import http.client
import json
import os
import pwd
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = (SOURCE / (os.environ.get("BUILD") or "build")).resolve()
MODULES = BUILD / "modules"
ALGORITHMS = BUILD / "algorithms"
NGINX = os.environ.get("NGINX", "/usr/sbin/nginx")
SAN_PRELOAD = os.environ.get("SAN_PRELOAD", "")
LONG = os.environ.get("LONG", "") not in ("", "0")

# Seconds that anything that must happen may take before the test fails. Far
# longer than it takes on a quiet machine: a slow one is no failure.
PATIENCE = 60.0 if SAN_PRELOAD else 20.0

TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

FATAL = re.compile(
    r"\[alert\]|\[emerg\]|exited on signal|exited with fatal code"
    r"|AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:"
)


class NginxError(Exception):
    """nginx did not do what it was asked for; the message has its log."""


class Response:
    """status (int), reason, headers (case-insensitive), body (bytes); made of
    http.client's, which is read to its end."""

    def __init__(self, answer):
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


def wait_until(condition, what, timeout=PATIENCE, interval=0.01):
    """Polls condition() until it is true and returns its value; NginxError
    naming `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NginxError(f"not within {timeout:g} s: {what}")
        time.sleep(interval)


def steady(measure):
    """What measure() returns, once it is the same for half a second: when the
    last connection is closed, and nginx's channels to workers that are gone."""
    def again():
        found = measure()
        time.sleep(0.5)
        return found == measure() and found
    return wait_until(again, "the same for half a second")


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on, below the range that
    the kernel gives to clients, so that none of them takes it meanwhile."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NginxError("no free port")


def processes(field, value):
    """Pids of the processes whose /proc stat has `value` as its ppid, pgrp or
    session; zombies are left out."""
    index = {"ppid": 1, "pgrp": 2, "session": 3}[field]
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2:].split()
        if int(fields[index]) == value and fields[0] != "Z":
            found.append(int(entry))
    return sorted(found)


def command_line(pid):
    """The title of a process; empty if it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()


def alive(pid):
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] != "Z"


def fds(pid):
    """What each descriptor of the process points to: {number: target}."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
    return found


def threads(pid):
    """The names of the threads of a process: {tid: name}."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            path = Path(f"/proc/{pid}/task/{entry}/comm")
            found[int(entry)] = path.read_text().strip()
    return found


def maps(pid):
    """The lines of /proc/PID/maps."""
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


def memory(pid):
    """Bytes of a process, from /proc/PID/smaps_rollup: {"rss", "private",
    "anonymous"}. Private goes away with it; anonymous is what it wrote to, and
    unlike private does not depend on what it still shares with its forks."""
    total = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        total[name] = int(value.split()[0]) * 1024
    return {
        "rss": total["Rss"],
        "private": total["Private_Clean"] + total["Private_Dirty"],
        "anonymous": total["Anonymous"],
    }


def cpu_seconds(pid):
    """User plus system CPU time of all threads of a process so far."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _others_may_enter(path):
    return all(p.stat().st_mode & 0o001 for p in [path, *path.parents])


class NginxInstance:
    """One nginx. Call write_conf() or write_raw_conf(), then start().

    prefix  its folder: conf/nginx.conf, logs/, temp/; also the prefix that
            relative paths of the configuration are taken from
    port    the port of the server that write_conf() makes
    """

    def __init__(self, prefix):
        self.prefix = Path(prefix).resolve()
        self.conf = self.prefix / "conf" / "nginx.conf"
        self.log = self.prefix / "logs" / "error.log"
        self.stderr = self.prefix / "logs" / "stderr.log"
        self.port = free_port()
        self.process = None
        self.workers_wanted = 1
        self.ports = []
        self._expected = []
        for folder in ("conf", "logs", "temp", "html"):
            (self.prefix / folder).mkdir(parents=True, exist_ok=True)
            (self.prefix / folder).chmod(0o755)
        self.prefix.chmod(0o755)
        self.user_directive = self._user_directive()

    def _user_directive(self):
        """As root, workers run as www-data or nobody, which is what they are
        in production, unless those can't reach our folder at all."""
        if os.geteuid() != 0:
            return ""
        if _others_may_enter(self.prefix):
            for name, group in (("www-data", "www-data"),
                                ("nobody", "nogroup")):
                with contextlib.suppress(KeyError):
                    pwd.getpwnam(name)
                    return f"user {name} {group};"
        return "user root;"

    # configuration

    def write_conf(self, server="", http="", main="", events="",
                   modules=("ngx_http_count_module",), workers=1,
                   log_level="info"):
        """Writes a configuration with one server on self.port. `server`,
        `http`, `main` and `events` are text for those blocks; `modules` are
        names from build/modules, or absolute paths."""
        load = "".join(
            f"load_module {m if str(m).startswith('/') else MODULES / m}"
            f"{'' if str(m).endswith('.so') else '.so'};\n" for m in modules)
        temp = "".join(f"    {t}_temp_path {self.prefix}/temp/{t};\n"
                       for t in TEMP_PATHS)
        self.write_raw_conf(f"""\
{load}{self.user_directive}
daemon off;
worker_processes {workers};
pid {self.prefix}/nginx.pid;
error_log {self.log} {log_level};
{main}
events {{
    worker_connections 1024;
    {events}
}}
http {{
    access_log off;
{temp}
    {http}
    server {{
        listen 127.0.0.1:{self.port};
        server_name localhost;
        {server}
    }}
}}
""", workers=workers)

    def write_raw_conf(self, text, workers=1, ports=None):
        """Writes the configuration as it is, by rename. It has to say `daemon
        off` and the pid and error log of this object; `ports` are those that
        start() waits for."""
        self.workers_wanted = workers
        self.ports = [self.port] if ports is None else list(ports)
        self.write_file("conf/nginx.conf", text)

    def write_file(self, name, data):
        """Replaces a file below the prefix by rename, readable by all;
        returns its path. data: str or bytes."""
        path = self.prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_bytes(data.encode() if isinstance(data, str) else data)
        new.chmod(0o644)
        new.replace(path)
        return path

    # life cycle

    def _environment(self):
        environment = dict(os.environ)
        environment.pop("PYTEST_CURRENT_TEST", None)  # may be very long
        environment.pop("NGINX", None)  # nginx's own: sockets to inherit
        if SAN_PRELOAD:
            environment["LD_PRELOAD"] = SAN_PRELOAD
            environment.setdefault("ASAN_OPTIONS", "detect_leaks=0")
        return environment

    def _command(self, *extra):
        return [NGINX, "-p", f"{self.prefix}/", "-c", str(self.conf),
                "-e", str(self.log), *extra]

    def test_conf(self, *extra):
        """nginx -t: (exit status, all that it printed)."""
        done = subprocess.run(
            self._command("-t", *extra), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=self._environment(),
            timeout=PATIENCE, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def refused_conf(self):
        """What nginx -t prints of a configuration that it refuses."""
        self.expect_log(r"\[emerg\]")
        status, output = self.test_conf()
        assert status != 0, output
        return output

    def start(self, environment=None):
        """Starts nginx and returns self once all workers run and all ports
        answer. `environment`: variables to add."""
        assert self.process is None, "nginx runs already"
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=stderr,
                stderr=stderr, start_new_session=True,
                env={**self._environment(), **(environment or {})})
        wait_until(self._is_up, "nginx starts")
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            status = self.process.returncode
            self.process = None
            raise NginxError(f"nginx exited with {status}:\n{self.output()}")
        return (len(self.workers()) >= self.workers_wanted
                and all(self._listening(port) for port in self.ports))

    @staticmethod
    def _listening(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def reload(self, wait_for_old=False):
        """Sends HUP; returns the pids of the new workers once they serve and
        the old ones accept nothing more. With wait_for_old, once those are
        gone, too. NginxError if the configuration was refused."""
        old = set(self.workers())
        seen = len(self.error_log())
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._has_reloaded(old, seen), "workers after HUP")
        if wait_for_old:
            wait_until(lambda: not any(alive(p) for p in old),
                       "old workers exit")
        return [p for p in self.workers() if p not in old]

    def _has_reloaded(self, old, seen):
        if self.process.poll() is not None:
            raise NginxError(f"the master exited:\n{self.output()}")
        if "[emerg]" in self.error_log()[seen:]:
            raise NginxError(f"not reloaded:\n{self.error_log()[seen:]}")
        new = [p for p in self.workers() if p not in old]
        return (len(new) >= self.workers_wanted
                and all("shutting down" in command_line(p) or not alive(p)
                        for p in old))

    def signal(self, number):
        """Sends a signal to the master."""
        self.process.send_signal(number)

    def stop(self, timeout=PATIENCE):
        """QUIT: graceful. Returns the exit status of the master."""
        return self._end(signal.SIGQUIT, timeout)

    def terminate(self, timeout=PATIENCE):
        """TERM: fast. Returns the exit status of the master."""
        return self._end(signal.SIGTERM, timeout)

    def _end(self, number, timeout):
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            status = process.wait(timeout)
            wait_until(lambda: not processes("session", process.pid),
                       "all processes of nginx exit")
        except (subprocess.TimeoutExpired, NginxError) as reason:
            left = {p: command_line(p)
                    for p in processes("session", process.pid)}
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            raise NginxError(f"nginx did not stop: {reason}; left: {left}\n"
                             f"{self.output()}") from reason
        return status

    # what it looks like from outside

    @property
    def master(self):
        """Pid of the master."""
        return self.process.pid

    def workers(self, draining=False):
        """Pids of the worker processes; those that shut down only if
        `draining`."""
        found = []
        for pid in processes("ppid", self.master):
            title = command_line(pid)
            if "nginx: worker process" not in title:
                continue
            if draining or "shutting down" not in title:
                found.append(pid)
        return found

    @property
    def worker(self):
        """Pid of the only worker."""
        found = self.workers()
        assert len(found) == 1, f"workers: {found}"
        return found[0]

    def error_log(self):
        """The whole error log; empty if there is none."""
        if not self.log.exists():
            return ""
        return self.log.read_text(errors="replace")

    def output(self):
        """What nginx wrote to its log and to stderr, the last 200 lines."""
        text = self.error_log()
        if self.stderr.exists():
            text += self.stderr.read_text(errors="replace")
        return "\n".join(text.splitlines()[-200:])

    def wait_log(self, pattern, timeout=PATIENCE):
        """Waits for a line of the error log that matches; returns the
        match."""
        return wait_until(lambda: re.search(pattern, self.error_log()),
                          f"a log line that matches {pattern!r}", timeout)

    def expect_log(self, pattern):
        """Declares that lines that match may be [alert] or the like."""
        self._expected.append(re.compile(pattern))

    def fatal_lines(self):
        """Lines of log and stderr that no test may leave behind."""
        text = self.error_log()
        if self.stderr.exists():
            text += self.stderr.read_text(errors="replace")
        return [line for line in text.splitlines()
                if FATAL.search(line)
                and not any(e.search(line) for e in self._expected)]

    def finish(self):
        """Ends the instance, whatever its state: nginx stops gracefully in
        bounded time, has exited with 0, left no process, and nothing fatal in
        its log. Raises NginxError otherwise."""
        status = 0
        if self.process is not None:
            status = self.stop()
        fatal = self.fatal_lines()
        if fatal:
            raise NginxError("in the log:\n" + "\n".join(fatal[:50]))
        if status != 0:
            raise NginxError(f"nginx exited with {status}:\n{self.output()}")

    # requests

    def send(self, method, path, body=None, headers=None, port=None,
             timeout=PATIENCE):
        """Sends one request on its own connection, which is returned: of
        http.client, for getresponse() and close(). `body`: bytes, str, or an
        iterable of bytes, which is sent chunked."""
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection(
            "127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
        except BaseException:
            connection.close()
            raise
        return connection

    def request(self, method, path, body=None, **kwargs):
        """As send(), and the Response."""
        with contextlib.closing(
                self.send(method, path, body, **kwargs)) as connection:
            return Response(connection.getresponse())

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body, content_type="text/plain", headers=None,
             **kwargs):
        headers = dict(headers or {})
        if content_type is not None:
            headers["Content-Type"] = content_type
        return self.request("POST", path, body, headers=headers, **kwargs)

    def connect(self, timeout=PATIENCE, port=None):
        """A connected socket, for what no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", port or self.port),
                                        timeout)

    def raw(self, data, half_close=False, timeout=PATIENCE):
        """Sends bytes; returns all that comes until nginx closes. With
        half_close it hears the end of our side first."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            answer = []
            with contextlib.suppress(ConnectionResetError):
                while True:
                    piece = sock.recv(65536)
                    if not piece:
                        break
                    answer.append(piece)
            return b"".join(answer)


class Load:
    """Constant load from threads, as a context manager; rate: requests a second,
    of all clients, or math.inf for as many as are answered.

    Every request has its own connection: with keep-alive, a request that is
    sent at the very moment when nginx closes an idle connection is lost to a
    race of HTTP itself, which would hide the losses that are looked for.

    done      requests that were answered with `status`
    failures  what happened to the others: a list of str
    seen      how often check(response) returned each value that is not None
    """

    def __init__(self, nginx, path, rate, method="GET", body=None, clients=4,
                 status=200, check=None):
        self._nginx = nginx
        self._what = (method, path, body)
        self._status = status
        self._check = check
        self._period = clients / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.done = 0
        self.failures = []
        self.seen = {}
        self._threads = [threading.Thread(target=self._run, args=(i / rate,))
                         for i in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, delay):
        due = time.monotonic() + delay
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._one()
            due = max(due + self._period, time.monotonic() - 1.0)

    def _one(self):
        method, path, body = self._what
        try:
            response = self._nginx.request(method, path, body)
            failure = (None if response.status == self._status
                       else repr(response))
            value = (self._check(response)
                     if self._check and failure is None else None)
        except Exception as reason:  # any of them is a failed request
            failure, value = repr(reason), None
        with self._lock:
            if failure is not None:
                self.failures.append(failure)
                return
            self.done += 1
            if value is not None:
                self.seen[value] = self.seen.get(value, 0) + 1
