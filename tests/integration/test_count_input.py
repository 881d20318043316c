"""The input file of /count: when it is read again, and what may be wrong."""

import os
import threading
import time
from pathlib import Path

import pytest

from nginx_instance import ALGORITHMS, LONG

from test_count_requests import check_answer, check_error, short


@pytest.fixture(params=["off", "sorters"])
def served(request, nginx):
    """nginx that sorts the file input of its prefix; not written yet."""
    nginx.write_conf(
        main="thread_pool sorters threads=2;",
        http=f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;",
        server=f"""
            count_sort v2;
            count_threads {request.param};
            location = /static {{ return 200 static; }}
            location = /count {{ count; count_input {nginx.prefix}/input; }}
            location = /small {{ count; count_input {nginx.prefix}/input;
                                 count_max_values 3; }}""")
    nginx.start()
    worker = nginx.worker
    yield nginx
    assert nginx.get("/static").text == "static"
    assert nginx.worker == worker, "the worker was replaced"


def settle():
    """Waits until a file is old enough for its numbers to be kept."""
    time.sleep(0.15)


def test_text_and_json(served):
    served.write_file("input", " 3 1\n2,2")
    check_answer(served.get("/count"), [1, 2, 2, 3])
    served.write_file("input", "\n [3, 1]")
    check_answer(served.get("/count"), [1, 3])
    served.write_file("input", "[3, 1")
    check_error(served.get("/count"), 400, "JSON array", 5)


def test_change_by_rename(served):
    for i in range(20):
        served.write_file("input", f"{i} {i + 1}")
        check_answer(served.get("/count"), [i, i + 1])


def test_change_in_place(served):
    path = served.write_file("input", "1 1")
    for i in range(2, 10):
        settle()
        check_answer(served.get("/count"), [i - 1, i - 1])
        check_answer(served.get("/count"), [i - 1, i - 1])
        path.write_text(f"{i} {i}")
        check_answer(served.get("/count"), [i, i])


def test_change_within_one_tick_of_the_clock(served):
    path = served.write_file("input", "0 0")
    for i in range(200 if LONG else 50):
        path.write_text(f"{i % 10} 0")
        served.get("/count")
        path.write_text(f"{(i + 1) % 10} 0")
        assert served.get("/count").json()["max"] == (i + 1) % 10


def test_change_that_keeps_size_and_mtime(served):
    path = served.write_file("input", "1 1")
    settle()
    check_answer(served.get("/count"), [1, 1])
    before = path.stat()
    path.write_text("2 2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_answer(served.get("/count"), [2, 2])


def bytes_read(nginx):
    """What the worker has read so far, from files and sockets."""
    lines = Path(f"/proc/{nginx.worker}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_numbers_are_kept_while_the_file_stays(served):
    size = 600000
    served.write_file("input", "1 " * (size // 6) + " " * (size * 2 // 3))
    settle()
    check_answer(served.get("/count"), [1] * (size // 6))
    before = bytes_read(served)
    for _ in range(20):
        check_answer(served.get("/count"), [1] * (size // 6))
    assert bytes_read(served) - before < size


def test_sorting_leaves_the_kept_numbers_alone(served):
    served.write_file("input", "3 2 1")
    settle()
    for _ in range(5):
        check_answer(served.get("/count"), [1, 2, 3])


def test_one_number_too_many(served):
    served.write_file("input", "1 2 3 4")
    check_error(served.get("/small"), 413, "too many")
    served.write_file("input", "1 2 3")
    settle()
    check_answer(served.get("/small"), [1, 2, 3])


@pytest.mark.parametrize("text, error, position", [
    ("", "no numbers", None),
    (" \n", "no numbers", None),
    ("1 x", "not an integer", 2),
    (b"1\0", "not an integer", 1),
    ("9" * 30, "64 bits", 0),
    ("1\n" * 50000 + "x", "not an integer", 100000),
], ids=short)
def test_bad_contents(served, text, error, position):
    served.write_file("input", text)
    check_error(served.get("/count"), 400, error, position)
    served.wait_log(rf'count: input ".*/input": .*{error}')
    served.write_file("input", "1")
    check_answer(served.get("/count"), [1])


def test_missing_file(served):
    check_error(served.get("/count"), 500, "can't be read")
    served.wait_log(r'stat\(\) ".*/input" failed \(2: No such file')
    served.write_file("input", "1")
    check_answer(served.get("/count"), [1])
    (served.prefix / "input").unlink()
    check_error(served.get("/count"), 500)


def test_directory(served):
    (served.prefix / "input").mkdir()
    check_error(served.get("/count"), 500, "can't be read")
    served.wait_log(r'not a regular file: ".*/input"')


def test_fifo_does_not_block(served):
    os.mkfifo(served.prefix / "input")
    check_error(served.get("/count"), 500, "can't be read")
    served.wait_log(r'not a regular file: ".*/input"')


def test_device(served):
    (served.prefix / "input").symlink_to("/dev/zero")
    check_error(served.get("/count"), 500, "can't be read")


def test_unreadable_file(served):
    path = served.write_file("input", "1")
    path.chmod(0)
    if "root" in served.user_directive or (not served.user_directive
                                           and os.geteuid() == 0):
        pytest.skip("the workers run as root, who can read all files")
    check_error(served.get("/count"), 500, "can't be read")
    served.wait_log(r'open\(\) ".*/input" failed \(13: Permission denied\)')
    path.chmod(0o644)
    check_answer(served.get("/count"), [1])


class Writer(threading.Thread):
    """Calls write() again and again while the test reads."""

    def __init__(self, write):
        super().__init__()
        self._write = write
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            self._write()

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self._end.set()
        self.join()


def test_file_that_grows_while_it_is_read(served):
    path = served.write_file("input", "7\n" * 1000)
    with open(path, "ab", buffering=0) as file:

        def append():
            if file.tell() < 180000:
                file.write(b"7\n" * 50)
            else:
                file.truncate(2000)
                file.seek(2000)

        with Writer(append):
            for _ in range(300):
                response = served.get("/count")
                assert response.status == 200, response
                answer = response.json()
                assert answer["min"] == answer["max"] == 7


def test_file_that_is_replaced_while_it_is_read(served):
    texts = [f"{i}\n" * 20000 for i in range(3)]
    served.write_file("input", texts[0])
    turn = iter(range(10**9))

    with Writer(lambda: served.write_file("input", texts[next(turn) % 3])):
        for _ in range(200):
            answer = served.get("/count").json()
            assert answer["count"] == 20000
            assert answer["distinct"] == 1, "two versions in one answer"


def test_relative_path_is_that_of_the_configuration(nginx):
    nginx.write_file("conf/numbers", "4 5")
    nginx.write_conf(
        http=f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;",
        server="location / { count; count_sort v2; count_input numbers; }")
    nginx.start()
    check_answer(nginx.get("/"), [4, 5])


def test_inherited_and_overridden(nginx):
    nginx.write_file("conf/a", "1")
    nginx.write_file("conf/b", "2")
    nginx.write_conf(
        http=f"count_plugin v2 {ALGORITHMS}/libsort_v2.so; count_input a;"
             "count_sort v2;",
        server="location /a { count; location /a/b { count; count_input b; } }"
               "location /b { count; count_input b; count_max_values 1k; }")
    nginx.start()
    check_answer(nginx.get("/a"), [1])
    check_answer(nginx.get("/a/b"), [2])
    check_answer(nginx.get("/b"), [2])
