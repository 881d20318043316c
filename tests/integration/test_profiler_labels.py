"""Whose work a sample is: labels of server, location, plug-in, and what
profiler_label says.

A location's own work is known by a function that no other location runs, and
every sample with it on its stack must have that location's label. All locations
are under load at the same time, on a few busy connections each.
"""

import contextlib
import http.client
import shutil
import subprocess
import threading
import time

import pytest

from nginx_instance import ALGORITHMS, LONG
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
SECONDS = 10 if LONG else 2
LEAST = 200 if LONG else 20
# Seconds until there are so many samples of the rarest work: a machine that is
# busy with other things has few. No load ends before.
ENOUGH = 400
WRK = shutil.which("wrk")
H2LOAD = shutil.which("h2load")

needs_wrk = pytest.mark.skipif(WRK is None, reason="there is no wrk")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key), for which a handshake is cheap."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", folder / "key.pem", "-out",
         folder / "cert.pem"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def backend(new_nginx):
    """Another nginx, which has what is proxied."""
    nginx = new_nginx()
    nginx.write_file("html/text", "the quick brown fox, the lazy dog; " * 4000)
    nginx.write_conf(http="keepalive_requests 1000000;",
                     server=f"root {nginx.prefix}/html;")
    return nginx.start()


def configure(nginx, server, http="", main="", tls=None):
    """Starts nginx; `tls`: (certificate, key) of a server on the next port."""
    nginx.write_file("html/1k", "x" * 1024)
    nginx.write_file("html/text", "the quick brown fox, the lazy dog; " * 4000)
    nginx.write_file("html/numbers",
                     " ".join(str(i * 7919 % 10007) for i in range(3000)))
    nginx.write_file("html/many",
                     " ".join(str(i * 7919 % 100003) for i in range(40000)))
    listen = "" if tls is None else f"""
        listen 127.0.0.1:{nginx.port + 1} ssl http2;
        ssl_certificate {tls[0]};
        ssl_certificate_key {tls[1]};"""
    nginx.write_conf(
        modules=PROFILER, main="profiler on; thread_pool sorters threads=2;"
        + main,
        http=f"""count_plugin v1 {ALGORITHMS}/libsort_v1.so;
        count_plugin v2 {ALGORITHMS}/libsort_v2.so;
        keepalive_requests 1000000;
        {http}""",
        server=listen + f"""
        root {nginx.prefix}/html;
        count_input {nginx.prefix}/html/numbers;
        location /debug/pprof/ {{ profiler_endpoint; }}
        """ + server)
    return nginx.start()


@contextlib.contextmanager
def load(*commands):
    running = [subprocess.Popen(c, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for c in commands]
    try:
        yield
        assert all(r.poll() is None for r in running), "a load has ended"
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def wrk(url, *options, connections=3):
    return [WRK, "-t1", f"-c{connections}", f"-d{2 * ENOUGH}", *options, url]


def capture(nginx, what="profile", seconds=SECONDS):
    answer = nginx.get(f"/debug/pprof/{what}?seconds={seconds}",
                       timeout=seconds + 30)
    assert answer.status == 200
    return Profile(answer.body).check()


def owners(samples, *names, label="location", value=0):
    """What the samples whose stack has all names are labelled with:
    {value of the label: sum}."""
    found = {}
    for stack, labels, values in samples:
        if all(n in stack for n in names):
            key = labels.get(label)
            found[key] = found.get(key, 0) + values[value]
    return found


def collect(nginx, *work, least=LEAST):
    """The samples of CPU time of a load, until each of `work`, a tuple of
    functions, is in at least so many."""
    samples = []
    deadline = time.monotonic() + ENOUGH
    while any(sum(owners(samples, *names).values()) < least
              for names in work):
        assert time.monotonic() < deadline, [
            (names, owners(samples, *names)) for names in work]
        samples += capture(nginx).samples
    return samples


def assert_owned(samples, location, *names):
    """The samples with these functions are the location's: 95 % at least, and
    next to none is another location's."""
    found = owners(samples, *names)
    total = sum(found.values())
    own = found.pop(location, 0)
    none = found.pop(None, 0)
    assert own >= 0.95 * total > 0, (location, names, own, none, found)
    assert sum(found.values()) <= 0.01 * total, (location, names, own, found)


MIXED = """
        location /gzip/ {
            alias %(html)s/;
            gzip on; gzip_types *; gzip_comp_level 6;
        }
        location ~ ^/p[a-z]+/ {
            rewrite ^/[a-z]+(/.*) $1 break;
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        location = /bubble { count; count_sort v1; }
        location = /pooled {
            count; count_sort v2; count_threads sorters;
            count_input %(html)s/many;
        }
"""


@needs_wrk
def test_locations_under_mixed_load(nginx, backend, certificate):
    """gzip, a proxy with kept connections, a sort in the event loop and one in
    a thread pool, and TLS, all at once in one worker."""
    work = {"/gzip/": ["deflate"], "~ ^/p[a-z]+/": ["ngx_event_pipe"],
            "/tls/": ["SSL_write"], "= /bubble": ["bubble_sort"],
            "= /pooled": ["count", "start_thread"]}
    base = f"http://127.0.0.1:{nginx.port}"
    configure(
        nginx, MIXED % {"html": nginx.prefix / "html"}
        + "location /tls/ { alias " + f"{nginx.prefix}/html/; }}",
        http=f"""upstream backend {{
            server 127.0.0.1:{backend.port}; keepalive 8;
        }}""", tls=certificate)
    with load(wrk(f"{base}/gzip/text", "-H", "Accept-Encoding: gzip"),
              wrk(f"{base}/proxy/text", connections=6),
              wrk(f"{base}/bubble", connections=2), wrk(f"{base}/pooled"),
              wrk(f"https://127.0.0.1:{nginx.port + 1}/tls/text")):
        samples = collect(nginx, *work.values())
    for location, names in work.items():
        assert_owned(samples, location, *names)
    for stack, labels, _ in samples:
        if "bubble_sort" in stack:
            assert labels["algorithm"] == "bubble", labels
            assert labels["version"] == "1.0.0", labels
            assert labels["server"] == "localhost", labels
        if "start_thread" in stack and "count" in stack:
            assert labels["algorithm"] == "qsort", labels
            assert labels["version"] == "2.0.0", labels
            assert labels["thread"] == "nginx", labels
        # the last call of each is one of the next
        if not {"ngx_http_count_run", "ngx_profiler_apply", "work_apply",
                "thread_label_apply"} & set(stack):
            assert "algorithm" not in labels, (stack, labels)
        if labels["thread"].startswith("nprof-"):
            assert set(labels) == {"thread"}, labels
    status = nginx.get("/debug/pprof/status").json()["labels"]
    assert 0 < status["sets"] < 20 and status["dropped"] == 0


@needs_wrk
def test_work_that_begins_with_io(nginx, backend):
    """What no phase and no filter comes before: a large answer of an upstream
    that is read, part by part."""
    backend.write_file("html/large", "x" * 30000000)
    configure(
        nginx, """
        location /a/ { alias %(html)s/; }
        location /down/ {
            proxy_pass http://backend/; proxy_max_temp_file_size 0;
        }""" % {"html": nginx.prefix / "html"},
        http=f"upstream backend {{ server 127.0.0.1:{backend.port}; }}")
    base = f"http://127.0.0.1:{nginx.port}"
    with load(wrk(f"{base}/a/text"), wrk(f"{base}/down/large")):
        samples = collect(nginx, ["readv"], least=5 * LEAST)
    found = owners(samples, "readv")
    assert found["/down/"] >= 0.99 * sum(found.values()), found


# A regular expression that takes its time to find that it does not match.
SLOW_HEADER = """
        map $arg_text $slow { "~^(a+)+$" 1; default 0; }
        add_header X-Slow $slow;
"""


@needs_wrk
def test_header_of_an_answer_that_was_waited_for(nginx):
    """A request goes on with its header after a thread pool, whoever was
    worked for meanwhile."""
    configure(nginx, """
        location = /pooled { count; count_sort v2; count_threads sorters; }
        location /a/ { alias %(html)s/; add_header X-Fast 1; }"""
              % {"html": nginx.prefix / "html"}, http=SLOW_HEADER)
    base = f"http://127.0.0.1:{nginx.port}"
    with load(wrk(f"{base}/a/text"),
              wrk(f"{base}/pooled?text={'a' * 14}b", connections=2)):
        samples = collect(nginx, ["ngx_http_regex_exec"])
    assert_owned(samples, "= /pooled", "ngx_http_regex_exec")


@needs_wrk
def test_wait_of_the_loop_is_nobodys(nginx):
    """While a request waits for a thread pool, the loop works for nobody."""
    configure(nginx, """
        location = /pooled { count; count_sort v1; count_threads sorters; }""",
              main="profiler_types wall;")
    base = f"http://127.0.0.1:{nginx.port}"
    with load(wrk(f"{base}/pooled", connections=1)):
        profile = capture(nginx, "wall")
    waits = owners(profile.samples, "epoll_wait", "_start", value=1)
    assert waits[None] > 0.99 * sum(waits.values())
    sorts = owners(profile.samples, "bubble_sort", value=1)
    assert sorts["= /pooled"] > 0.95 * sum(sorts.values())
    idle = owners(profile.samples, "pthread_cond_wait", value=1)
    assert list(idle) == [None], idle


def test_connection_that_alternates(nginx):
    """Requests of two locations on one kept connection: what is read before a
    request's location is known is not the former's."""
    configure(nginx, """
        location /gzip/ {
            alias %s/html/;
            gzip on; gzip_types *; gzip_comp_level 9;
        }
        location = /bubble { count; count_sort v1; }""" % nginx.prefix)
    stop = threading.Event()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port)
        while not stop.is_set():
            for path in ("/gzip/text", "/bubble"):
                connection.request("GET", path, None,
                                   {"Accept-Encoding": "gzip"})
                connection.getresponse().read()
        connection.close()
    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    try:
        samples = collect(nginx, ["deflate"], ["bubble_sort"])
    finally:
        stop.set()
        for thread in clients:
            thread.join()
    assert_owned(samples, "/gzip/", "deflate")
    assert_owned(samples, "= /bubble", "bubble_sort")
    # where the request line is read nobody knows yet whose it is
    for stack, labels, _ in samples:
        if "ngx_http_parse_request_line" in stack:
            assert "location" not in labels, (stack, labels)


@pytest.mark.skipif(H2LOAD is None, reason="there is no h2load")
def test_streams_of_one_connection(nginx, certificate):
    """HTTP/2: locations at once on the same connections, over TLS."""
    work = {"/gzip/": ["deflate"], "= /bubble": ["bubble_sort"],
            "= /pooled": ["count", "start_thread"]}
    configure(nginx, """
        location /gzip/ {
            alias %s/html/;
            gzip on; gzip_types *; gzip_comp_level 6;
        }
        location = /bubble { count; count_sort v1; }
        location = /pooled {
            count; count_sort v2; count_threads sorters;
            count_input %s/html/many;
        }""" % (nginx.prefix, nginx.prefix), tls=certificate)
    base = f"https://127.0.0.1:{nginx.port + 1}"
    with load([H2LOAD, "-D", str(2 * ENOUGH), "-c", "2", "-m", "6", "-H",
               "accept-encoding: gzip", f"{base}/gzip/text", f"{base}/bubble",
               f"{base}/pooled"]):
        samples = collect(nginx, *work.values())
    for location, names in work.items():
        assert_owned(samples, location, *names)


def burn(nginx, path, seconds, **kwargs):
    """Requests, one after another."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = nginx.get(path, **kwargs)
        assert answer.status == 200, answer


class Captured:
    """A profile of the time that it is entered for."""

    def __init__(self, nginx, what="profile", seconds=3):
        self._run = threading.Thread(target=self._capture)
        self._args = (nginx, what, seconds)
        self.profile = None

    def _capture(self):
        self.profile = capture(*self._args)

    def __enter__(self):
        self._run.start()
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self._run.join()


def test_stall_names_its_location(nginx):
    configure(nginx, """
        location /slow/ {
            location /slow/er { count; count_sort v1; }
        }""")
    numbers = " ".join(str(i * 7919 % 100003) for i in range(12000))
    with Captured(nginx, "stall") as captured:
        assert nginx.post("/slow/er", numbers).json()["sort_ns"] > 50e6
    found = owners(captured.profile.samples, "bubble_sort", value=1)
    assert list(found) == ["/slow/er"]
    total = captured.profile.total(1)
    assert found["/slow/er"] > 0.95 * total
    for stack, labels, _ in captured.profile.samples:
        if "bubble_sort" in stack:
            assert labels == {
                "thread": "main", "server": "localhost",
                "location": "/slow/er", "algorithm": "bubble",
                "version": "1.0.0"}


def test_values_of_variables(nginx):
    """Inherited from the level above where a level has none of its own; taken
    when the location is known; an empty value is no label."""
    configure(nginx, """
        profiler_label tenant $arg_tenant;
        profiler_label tier gold-$http_x_tier;
        location /v/ { count; count_sort v1; }
        location /own/ {
            profiler_label who $arg_who;
            if ($arg_if) { set $unused 1; }
            count; count_sort v1;
        }
        location /moved/ { rewrite ^ /v/x last; }
        location /away/ { error_page 418 = @named; return 418; }
        location @named { count; count_sort v1; }
    """)
    wanted = {
        "/v/x?tenant=t1": {"tenant": "t1", "tier": "gold-",
                           "location": "/v/"},
        "/v/x": {"tier": "gold-", "location": "/v/"},
        "/own/x?who=me&tenant=t2": {"who": "me", "location": "/own/"},
        "/own/x?who=me2&if=1": {"who": "me2", "location": "/own/"},
        "/moved/x?tenant=t3": {"tenant": "t3", "tier": "gold-",
                               "location": "/v/"},
        "/away/x?tenant=t4": {"tenant": "t4", "tier": "gold-",
                              "location": "@named"},
    }
    with Captured(nginx, seconds=5) as captured:
        for path in wanted:
            burn(nginx, path, 0.6)
    built_in = {"server": "localhost", "thread": "main",
                "algorithm": "bubble", "version": "1.0.0"}
    seen = [labels for stack, labels, _ in captured.profile.samples
            if "bubble_sort" in stack]
    for path, labels in wanted.items():
        assert {**built_in, **labels} in seen, (path, seen)
    assert all({k: v for k, v in labels.items() if k not in built_in}
               in wanted.values() for labels in seen), seen


def test_values_without_end(nginx):
    """A label whose value is different in each request fills its share; then it
    is left out, counted, and the others stay."""
    configure(nginx, """
        profiler_label id $request_id$request_id$request_id$request_id;
        location = /bubble { count; count_sort v1; }""")
    with nginx.connect() as sock:
        answers = sock.makefile("rb")
        for _ in range(400):
            sock.sendall(b"HEAD /1k HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            for _ in range(10):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                while answers.readline() != b"\r\n":
                    pass
    status = nginx.get("/debug/pprof/status").json()["labels"]
    assert 3000 < status["sets"] < status["limit"]
    assert status["dropped"] >= 900
    with Captured(nginx, seconds=2) as captured:
        burn(nginx, "/bubble", 1)
    for stack, labels, _ in captured.profile.samples:
        if "bubble_sort" in stack:
            assert labels["location"] == "= /bubble", labels
            assert labels["algorithm"] == "bubble", labels
            assert "id" not in labels


def test_labels_survive_reloads(nginx):
    server = "location {} {{ count; count_sort v1; }}"
    configure(nginx, server.format("= /bubble"))
    for name in ("= /bubble", "~* ^/BUB", "/bub"):
        nginx.conf.write_text(nginx.conf.read_text().replace(
            "location = /bubble", f"location {name}"))
        nginx.reload(wait_for_old=True)
        with Captured(nginx, seconds=2) as captured:
            burn(nginx, "/bubble", 1)
        assert list(owners(captured.profile.samples, "bubble_sort")) == [name]
        nginx.conf.write_text(nginx.conf.read_text().replace(
            f"location {name}", "location = /bubble"))


def test_subrequests_and_redirects(nginx):
    """A subrequest works under its own location, and the main request under
    its own before and after."""
    configure(nginx, """
        location = /auth { count; count_sort v1; }
        location /main/ {
            auth_request /auth;
            alias %s/html/;
            gzip on; gzip_types *; gzip_comp_level 9;
        }""" % nginx.prefix)
    with Captured(nginx, seconds=4) as captured:
        burn(nginx, "/main/text", 3, headers={"Accept-Encoding": "gzip"})
    assert_owned(captured.profile.samples, "= /auth", "bubble_sort")
    assert_owned(captured.profile.samples, "/main/", "deflate")


@pytest.mark.parametrize("directive,reason", [
    ("profiler_label thread $arg_x;", "label name \"thread\" is built in"),
    ("profiler_label location $arg_x;", "label name \"location\" is built in"),
    ("profiler_label trace_endpoint $uri;", "is built in"),
    ("profiler_label state $arg_x;", "is built in"),
    ("profiler_label span_id $arg_x;", "is built in"),
    ("profiler_label local_root_span_id $arg_x;", "is built in"),
    ("profiler_label 1a $arg_x;", "the first a letter"),
    ("profiler_label a:b $arg_x;", "letters, digits"),
    ("profiler_label a $arg_x; profiler_label a $arg_y;",
     "gives a label twice"),
    ("profiler_label a $no_such_variable;", "unknown \"no_such_variable\""),
    ("profiler_label a;", "invalid number of arguments"),
    ("profiler_label " + "n" * 64 + " x;", "1 to 63 characters"),
])
def test_what_is_refused(nginx, directive, reason):
    nginx.write_conf(modules=PROFILER, server=directive)
    assert reason in nginx.refused_conf()


def test_off_is_off(nginx):
    """Without the profiler the directives are read, and nothing happens."""
    nginx.write_file("html/1k", "x" * 1024)
    nginx.write_conf(modules=PROFILER, server=f"""
        root {nginx.prefix}/html; profiler_label a $arg_a;""")
    nginx.start()
    assert nginx.get("/1k?a=b").status == 200
