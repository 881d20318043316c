"""`count_threads`: the event loop stays free, and nothing that happens to the
client or to the worker while a pool thread sorts does any harm."""

import contextlib
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from http2_frames import PREFACE, RST_STREAM, frame, request
from nginx_instance import (ALGORITHMS, alive, fds, free_port, threads,
                            wait_until)

from test_count_requests import check_answer, check_error


def start(nginx, threads_wanted=2, queue=65536, main="", v1="v1", more=""):
    nginx.write_conf(
        main=f"thread_pool sorters threads={threads_wanted} "
             f"max_queue={queue}; {main}",
        http=f"""count_plugin v1 {ALGORITHMS}/libsort_v1.so;
                 count_plugin v2 {ALGORITHMS}/libsort_v2.so;""",
        server=f"""
            client_max_body_size 64m;
            count_threads sorters;
            count_input {nginx.prefix}/input;
            location = /static {{ return 200 static; }}
            location = /v1 {{ count; count_sort {v1}; }}
            location = /v2 {{ count; count_sort v2; }}
            location = /loop {{ count; count_sort v1; count_threads off; }}
            {more}""")
    return nginx.start()


def numbers(count):
    """Text that bubble sort has much work with: descending numbers."""
    return " ".join(map(str, range(count, 0, -1))).encode()


def post(path, body, more=b""):
    return (b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n%s\r\n"
            % (path.encode(), len(body), more)) + body


def busy(nginx, count=1):
    """Waits until so many pool threads of the worker run."""
    def running():
        found = 0
        for tid in threads(nginx.worker):
            with contextlib.suppress(OSError):
                stat = open(f"/proc/{nginx.worker}/task/{tid}/stat",
                            encoding="ascii").read()
                found += (stat[stat.rindex(")") + 2] == "R"
                          and tid != nginx.worker)
        return found >= count

    wait_until(running, "pool threads run", interval=0.005)


def test_static_request_is_not_delayed(nginx):
    start(nginx)
    body = numbers(20000)
    answers = []
    sorter = threading.Thread(
        target=lambda: answers.append(nginx.post("/v1", body)))
    sorter.start()
    busy(nginx)

    slowest = 0.0
    while sorter.is_alive():
        begin = time.monotonic()
        assert nginx.get("/static").text == "static"
        if sorter.is_alive():
            slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.005)
    sorter.join()

    answer = check_answer(answers[0], range(1, 20001))
    seconds = answer["sort_ns"] / 1e9
    print(f"sort {seconds:.3f} s, slowest static request {slowest:.4f} s")
    assert 0 < slowest < seconds / 4

    # it is the pool that makes the difference
    sorter = threading.Thread(target=lambda: nginx.post("/loop", body))
    sorter.start()
    time.sleep(seconds / 4)
    begin = time.monotonic()
    nginx.get("/static")
    blocked = time.monotonic() - begin
    sorter.join()
    assert blocked > seconds / 4


def test_many_requests_at_once(nginx):
    start(nginx, threads_wanted=4)
    failures = []

    def client(seed):
        rng = random.Random(seed)
        for _ in range(15):
            values = [rng.randint(-1000, 1000)
                      for _ in range(rng.randint(1, 3000))]
            text = ",".join(map(str, values))
            try:
                check_answer(nginx.post(rng.choice(["/v1", "/v2"]), text),
                             values)
            except AssertionError as failure:
                failures.append(failure)

    clients = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert not failures


def test_input_that_changes_under_many_readers(nginx):
    nginx.write_file("input", "0\n" * 1000)
    start(nginx, threads_wanted=4)
    end = threading.Event()
    failures = []

    def client():
        while not end.is_set():
            answer = nginx.get("/v2").json()
            if answer.get("distinct") != 1:
                failures.append(answer)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for i in range(40):
        nginx.write_file("input", f"{i}\n" * 1000)
        time.sleep(0.001 if i % 4 else 0.15)
    end.set()
    for thread in clients:
        thread.join()
    assert not failures


def test_queue_without_room(nginx):
    start(nginx, threads_wanted=1, queue=1)
    body = numbers(15000)
    with contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(2):
            sock = stack.enter_context(nginx.connect())
            sock.sendall(post("/v1", body, b"Connection: close\r\n"))
            waiting.append(sock)
            busy(nginx)
        time.sleep(0.05)
        check_error(nginx.post("/v2", "1"), 503, "waiting")
        check_error(nginx.request("GET", "/v2"), 503, "waiting")
        nginx.wait_log("thread pool \"sorters\" queue overflow")
        for sock in waiting:
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200")
    check_answer(nginx.post("/v2", "1"), [1])


def reset(sock):
    """Closes a connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset],
                         ids=["close", "reset"])
def test_client_that_leaves_while_it_is_sorted(nginx, leave):
    start(nginx)
    nginx.write_file("input", numbers(10000))
    worker = nginx.worker
    before = len(fds(worker))
    body = numbers(10000)
    for request in (post("/v1", body),
                    b"GET /v1 HTTP/1.1\r\nHost: t\r\n\r\n") * 3:
        sock = nginx.connect()
        sock.sendall(request)
        busy(nginx)
        leave(sock)
    check_answer(nginx.post("/v2", "1 2"), [1, 2])
    assert nginx.worker == worker
    wait_until(lambda: len(fds(worker)) <= before, "connections are closed")


def test_requests_of_clients_that_left_are_not_sorted(nginx):
    start(nginx, threads_wanted=1)
    body = numbers(20000)
    seconds = check_answer(nginx.post("/v1", body),
                           range(1, 20001))["sort_ns"] / 1e9
    for _ in range(12):
        sock = nginx.connect()
        sock.sendall(post("/v1", body))
        busy(nginx)
        time.sleep(0.02)
        sock.close()
    begin = time.monotonic()
    check_answer(nginx.post("/v2", "1 2"), [1, 2])
    assert time.monotonic() - begin < 6 * seconds


@pytest.mark.parametrize("waiting", [True, False],
                         ids=["in_the_queue", "at_work"])
def test_client_that_leaves_while_a_subrequest_sorts(nginx, waiting):
    """The request is terminated, not the subrequest that the pool has."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream = silent.getsockname()[1]
        start(nginx, threads_wanted=1, more=f"""
            location = /mirrored {{ mirror /v1;
                                    proxy_pass http://127.0.0.1:{upstream};
                                 }}""")
        worker = nginx.worker
        before = len(fds(worker))
        sorter = None
        if waiting:
            sorter = nginx.connect()
            sorter.sendall(post("/v1", numbers(10000)))
            busy(nginx)
        sock = nginx.connect()
        sock.sendall(post("/mirrored", numbers(10000)))
        peer, _ = silent.accept()
        busy(nginx)
        sock.close()
        if sorter is not None:
            sorter.recv(1)
            sorter.close()
        check_answer(nginx.post("/v2", "1 2"), [1, 2])
        assert nginx.worker == worker, "the worker was replaced"
        wait_until(lambda: len(fds(worker)) <= before, "all is closed")
        peer.close()


def test_pipelined_request_behind_a_sort(nginx):
    start(nginx)
    answer = nginx.raw(
        post("/v1", numbers(3000)) + post("/v2", b"1 2")
        + b"GET /static HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.index(b'"count":3000,') < answer.index(b'"count":2,')
    assert answer.endswith(b"static")


@pytest.mark.parametrize("kind", ["quit", "reload"])
def test_worker_that_drains_answers_first(nginx, kind):
    start(nginx)
    worker = nginx.worker
    with nginx.connect() as sock:
        sock.sendall(post("/v1", numbers(20000)))
        busy(nginx)
        if kind == "quit":
            nginx.signal(signal.SIGQUIT)
        else:
            nginx.reload()
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        while b"sort_ns" not in answer:
            answer += sock.recv(65536)
        assert b'"count":20000,' in answer
    if kind == "reload":
        wait_until(lambda: not alive(worker), "the old worker exits")
        check_answer(nginx.post("/v2", "1 2"), [1, 2])
    else:
        assert nginx.process.wait(20) == 0
        nginx.process = None


def test_terminated_while_it_sorts(nginx):
    """One sort is finished, those that wait are not begun: nginx gives its
    workers a second before it kills them, which would be an alert."""
    start(nginx, threads_wanted=1)
    body = numbers(6000)
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            sock = stack.enter_context(nginx.connect())
            sock.sendall(post("/v1", body))
        busy(nginx)
        assert nginx.terminate() == 0


def test_terminated_with_a_full_queue(nginx):
    """nginx can't tell the threads of such a pool to end, and goes on."""
    start(nginx, threads_wanted=1, queue=1)
    with contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(nginx.connect())
                          for _ in range(3)]
        first.sendall(post("/v1", numbers(9000)))
        busy(nginx)
        for sock in others:
            sock.sendall(post("/v1", numbers(9000)))
        refused, _, _ = select.select(others, [], [], 20)
        assert b" 503 " in refused[0].recv(4096)
        assert nginx.terminate() == 0


def test_terminated_before_a_completion_is_seen(nginx):
    """In one turn of the event loop come TERM, a request that is sorted here,
    and completions, one of a sort that was not begun for the TERM."""
    start(nginx, threads_wanted=1)
    seconds = check_answer(nginx.post("/loop", numbers(8000)),
                           range(1, 8001))["sort_ns"] / 1e9

    def lasting(wanted):
        return numbers(int(8000 * (wanted / seconds) ** 0.5))

    nginx.write_file("input", lasting(0.4))
    with contextlib.ExitStack() as stack:
        first, second, *others = [stack.enter_context(nginx.connect())
                                  for _ in range(5)]
        second.sendall(b"G")
        for sock, wanted in zip(others, (0.2, 0.4, 0.01)):
            sock.sendall(post("/v1", lasting(wanted)))
        busy(nginx)
        first.sendall(b"GET /loop HTTP/1.1\r\nHost: t\r\n\r\n")
        time.sleep(0.05)
        nginx.signal(signal.SIGTERM)
        time.sleep(0.05)
        second.sendall(b"ET /loop HTTP/1.1\r\nHost: t\r\n\r\n")
        assert nginx.process.wait(20) == 0
    nginx.process = None


def test_worker_that_is_to_shut_down_in_time(nginx):
    start(nginx, main="worker_shutdown_timeout 100ms;")
    worker = nginx.worker
    with nginx.connect() as sock:
        sock.sendall(post("/v1", numbers(20000)))
        busy(nginx)
        nginx.reload()
        wait_until(lambda: not alive(worker), "the old worker exits")
    check_answer(nginx.post("/v2", "1 2"), [1, 2])


def start_http2(nginx):
    """Serves HTTP/2 at a port of its own, which is returned."""
    port = free_port()
    nginx.write_conf(
        main="thread_pool sorters threads=1;",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
             "count_threads sorters;",
        server=f"listen 127.0.0.1:{port} http2;"
               f"location / {{ count; count_sort v1; "
               f"count_input {nginx.prefix}/input; }}")
    nginx.start()
    return port


def test_http2_streams_that_are_reset(nginx):
    """One is sorted when its reset comes, the others wait for their turn."""
    nginx.write_file("input", numbers(8000))
    port = start_http2(nginx)
    worker = nginx.worker
    with nginx.connect(port=port) as sock:
        sock.sendall(PREFACE)
        sock.sendall(b"".join(request(stream, "/")
                              for stream in (1, 3, 5, 7)))
        busy(nginx)
        cancel = (8).to_bytes(4, "big")
        sock.sendall(b"".join(frame(RST_STREAM, stream, cancel)
                              for stream in (1, 3, 5)))
        answer = b""
        while b'"count":8000,' not in answer:
            answer += sock.recv(65536)
        assert answer.count(b'"count":8000,') == 1
    check_answer(nginx.post("/", "1 2"), [1, 2])
    assert nginx.worker == worker, "the worker was replaced"


def test_http2(nginx):
    nginx.write_file("input", "3 1 2")
    port = start_http2(nginx)
    h2load = shutil.which("h2load")
    if h2load is None:
        pytest.skip("no h2load")
    done = subprocess.run(
        [h2load, "-n", "500", "-c", "5", "-m", "20",
         f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, timeout=60, check=True)
    assert "500 succeeded, 0 failed" in done.stdout, done.stdout
    assert "status codes: 500 2xx" in done.stdout, done.stdout
