"""GET, HEAD and POST of /count, and what it does with bad requests."""

import json
import random
import re
import socket

import pytest

from nginx_instance import ALGORITHMS, wait_until

VERSIONS = {1: ("bubble", "1.0.0"), 2: ("qsort", "2.0.0"),
            3: ("vqsort", "3.0.0")}
BUILT = [v for v in VERSIONS if (ALGORITHMS / f"libsort_v{v}.so").exists()]
PLUGINS = "".join(f"count_plugin v{v} {ALGORITHMS}/libsort_v{v}.so;"
                  for v in BUILT)
POOLS = ("off", "sorters")
INT64_MIN, INT64_MAX = -2**63, 2**63 - 1


def short(value):
    """The name of a parameter in the names of tests."""
    return repr(value)[:24]


def start(nginx, pool="off", more="", http=""):
    """A location per plug-in, with an input file; and /static."""
    nginx.write_file("input.txt", "5 3 9\n3 -1\n")
    locations = "".join(
        f"location = /v{v} {{ count; count_sort v{v}; }}" for v in BUILT)
    nginx.write_conf(
        main="thread_pool sorters threads=2;",
        http=PLUGINS + http + f"count_threads {pool};",
        server=f"""
            client_max_body_size 64m;
            location = /static {{ return 200 static; }}
            location = /none {{ count; count_sort v2; }}
            location = /small {{ count; count_sort v2; count_max_values 3;
                                 count_input {nginx.prefix}/input.txt; }}
            location = /count {{ count; count_sort v2;
                                 count_input {nginx.prefix}/input.txt; }}
            {more} {locations}""")
    return nginx.start()


@pytest.fixture(params=POOLS)
def served(request, nginx):
    """nginx with the work on the event loop, and in a pool."""
    start(nginx, request.param)
    worker = nginx.worker
    yield nginx
    assert nginx.get("/static").text == "static"
    assert nginx.worker == worker, "the worker was replaced"


def check_answer(response, numbers):
    """The answer is right for the numbers; returns it."""
    assert response.status == 200, response
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    numbers = sorted(numbers)
    assert {k: answer[k] for k in ("count", "distinct", "min", "max",
                                   "median")} == {
        "count": len(numbers), "distinct": len(set(numbers)),
        "min": numbers[0], "max": numbers[-1],
        "median": numbers[(len(numbers) - 1) // 2]}
    assert answer["sort_ns"] >= 0
    return answer


def check_error(response, status, error=None, position=None):
    assert response.status == status, response
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    if error is not None:
        assert error in answer["error"]
    assert answer.get("position") == position


# what is asked for

def test_get(served):
    answer = check_answer(served.get("/count"), [5, 3, 9, 3, -1])
    assert list(answer) == ["algorithm", "version", "count", "distinct", "min",
                            "max", "median", "sort_ns"]


def test_head_has_the_headers_of_get(served):
    response = served.request("HEAD", "/count")
    assert response.status == 200
    assert response.body == b""
    assert response.headers["Content-Type"] == "application/json"
    assert abs(int(response.headers["Content-Length"])
               - len(served.get("/count").body)) <= 6  # digits of sort_ns


@pytest.mark.parametrize("version", BUILT)
def test_every_plugin(served, version):
    numbers = [random.randint(INT64_MIN, INT64_MAX) for _ in range(500)]
    numbers += numbers[:100] + [INT64_MIN, INT64_MAX]
    answer = check_answer(
        served.post(f"/v{version}", " ".join(map(str, numbers))), numbers)
    assert (answer["algorithm"], answer["version"]) == VERSIONS[version]


@pytest.mark.parametrize("body, numbers", [
    ("1", [1]),
    ("1,2 3\n4\t5\r\n", [1, 2, 3, 4, 5]),
    (",, -7 ,", [-7]),
    (f"{INT64_MIN} {INT64_MAX}", [INT64_MIN, INT64_MAX]),
    ("0000000000000000000000042", [42]),
], ids=short)
def test_post_text(served, body, numbers):
    check_answer(served.post("/count", body), numbers)
    check_answer(served.post("/count", body, None), numbers)
    check_answer(served.post("/count", body, "TEXT/Plain ; charset=utf-8"),
                 numbers)


@pytest.mark.parametrize("kind", ["application/json",
                                  "Application/JSON;charset=UTF-8"])
def test_post_json(served, kind):
    for numbers in [1], [3, 1, -2], [INT64_MIN, INT64_MAX]:
        check_answer(served.post("/count", json.dumps(numbers), kind), numbers)


def test_bodies_in_memory_in_files_and_in_chunks(served):
    rng = random.Random(1)
    for size in 10, 1000, 5000, 100000:
        numbers = [rng.randint(INT64_MIN, INT64_MAX) for _ in range(size)]
        body = "\n".join(map(str, numbers)).encode()
        check_answer(served.post("/count", body), numbers)
        step = 1 + len(body) // 7
        pieces = [body[i:i + step] for i in range(0, len(body), step)]
        check_answer(served.post("/count", iter(pieces)), numbers)


def test_body_that_comes_byte_by_byte(served):
    body = b"12 34, -56"
    with served.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"POST /count HTTP/1.1\r\nHost: t\r\nContent-Length: "
                     b"%d\r\nConnection: close\r\n\r\n" % len(body))
        for i in range(len(body)):
            sock.sendall(body[i:i + 1])
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert b"200 OK" in answer and b'"count":3,' in answer


def test_body_in_a_file_only(nginx):
    start(nginx, more="location = /file { count; count_sort v2;"
                      " client_body_in_file_only clean; }")
    check_answer(nginx.post("/file", "3 1 2"), [1, 2, 3])
    check_error(nginx.post("/file", ""), 400, "no numbers")


def test_requests_on_one_connection(served):
    request = (b"POST /count HTTP/1.1\r\nHost: t\r\n"
               b"Content-Length: 3\r\n\r\n1 2")
    last = b"GET /count HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    answer = served.raw(request * 20 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert answer.count(b'"count":2,') == 20


def test_get_with_a_body(served):
    check_answer(served.request("GET", "/count", "7 7 x"), [5, 3, 9, 3, -1])
    check_answer(served.request("GET", "/count", b"x" * 500000),
                 [5, 3, 9, 3, -1])


def test_subrequests(nginx):
    start(nginx, "sorters", more="""
        location = /auth { auth_request /count; auth_request_set $a 1;
                           error_page 404 = @static; }
        location @static { return 200 let_in; }
        location = /ssi { ssi on; ssi_types *; default_type text/html; }""")
    (nginx.prefix / "html" / "ssi").write_text(
        '[<!--# include virtual="/count" -->'
        ',<!--# include virtual="/v1" -->,<!--# include virtual="/none" -->]')
    assert nginx.get("/auth").text == "let_in"
    response = nginx.get("/ssi")
    first, _, third = json.loads(response.text)
    assert first["count"] == 5
    assert "error" in third


def test_canary(nginx):
    start(nginx, more="""
        location = /canary { count; count_sort $canary; }
        location = /wanted { count; count_sort v$arg_v; }
        """, http='split_clients "$arg_id" $canary { 30% v2; * v1; }')
    seen = [nginx.post(f"/canary?id={i}", "2 1").json()["version"]
            for i in range(200)]
    assert 20 < seen.count("2.0.0") < 100
    assert seen.count("1.0.0") == 200 - seen.count("2.0.0")
    assert nginx.post("/wanted?v=1", "1").json()["algorithm"] == "bubble"
    check_error(nginx.post("/wanted?v=9", "1"), 500, "no such plug-in")
    check_error(nginx.post("/wanted", b"1 " * 100000), 500)
    check_error(nginx.get("/wanted?v=9"), 404)
    nginx.wait_log(r'no plug-in has the name "v9" that "count_sort" has in')


def test_blocks_within_the_location(nginx):
    start(nginx, more="""
        location = /read { count; count_sort v2;
                           limit_except POST { deny all; } }
        location = /limited { count; count_sort v2; count_max_values 2;
                              limit_except GET { allow 127.0.0.1; deny all; }
                              if ($arg_big) { set $x 1; }
                              if ($arg_v) { return 200 ours; } }""")
    check_answer(nginx.post("/limited", "2 1"), [1, 2])
    check_error(nginx.post("/limited", "3 2 1"), 413)
    check_answer(nginx.post("/limited?big=1", "2 1"), [1, 2])
    check_error(nginx.post("/limited?big=1", "3 2 1"), 413)
    assert nginx.get("/limited?v=1").text == "ours"
    assert nginx.get("/read").status == 403
    check_answer(nginx.post("/read", "2 1"), [1, 2])


def test_redirected_by_error_page(nginx):
    """Our answer to a request that another location has failed to answer."""
    start(nginx, "sorters", more="""
        location = /missing { error_page 404 /count; return 404; }
        location = /teapot { error_page 418 = /count; return 418; }
        location = /large { count; count_sort v2; client_max_body_size 10;
                            error_page 413 /count; }
        location = /down { proxy_pass http://127.0.0.1:1;
                           error_page 502 = @body; }
        location = /unbuffered { proxy_pass http://127.0.0.1:1;
                                 proxy_http_version 1.1;
                                 proxy_request_buffering off;
                                 error_page 502 = @body; }
        location @body { count; count_sort v2; }""")
    check_answer(nginx.post("/teapot", "1 2"), [5, 3, 9, 3, -1])
    for response in (nginx.get("/missing"), nginx.post("/missing", "1 2")):
        assert response.status == 404
        assert response.json()["count"] == 5
    for body in b"1 " * 6, iter([b"1 " * 6]):
        response = nginx.post("/large", body)
        assert response.status == 413
        assert response.json()["count"] == 5
    for size in 2, 50000:
        body = b"1 " * size
        check_answer(nginx.post("/down", body), [1] * size)
    # a body that came with its header is there whatever was asked
    check_error(nginx.post("/unbuffered", body), 500, "not kept")
    nginx.wait_log("count: the body was sent to an upstream unbuffered")


# what is not accepted

@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(served, method):
    response = served.request(method, "/count", b"1 " * 1000)
    check_error(response, 405, "method")
    assert response.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("kind", [
    "application/x-www-form-urlencoded", "text/plainer", "text", "text/html",
    "application/jsonx", "application/json5; a=b", ";", "text/plain/x"])
def test_other_types(served, kind):
    check_error(served.post("/count", "1 2", kind), 415, "text/plain")
    check_error(served.post("/count", b"1 " * 100000, kind), 415)


def test_get_without_input(served):
    check_error(served.get("/none"), 404)
    assert served.request("HEAD", "/none").status == 404
    check_answer(served.post("/none", "1"), [1])


@pytest.mark.parametrize("body, error, position", [
    ("", "no numbers", None),
    (" \n,", "no numbers", None),
    ("1e3", "not an integer", 1),
    ("0x10", "not an integer", 1),
    ("1 2 three", "not an integer", 4),
    ("1.0", "not an integer", 1),
    ("+5", "not an integer", 0),
    ("-", "not an integer", 1),
    (b"1 2\0 3", "not an integer", 3),
    (b"\0", "not an integer", 0),
    (b"\xff\xfe1", "not an integer", 0),
    ("1 9223372036854775808", "64 bits", 2),
    ("-9223372036854775809", "64 bits", 0),
    ("12345678901234567890", "64 bits", 0),
    ("1 " + "9" * 100000, "64 bits", 2),
    ("1 2;", "not an integer", 3),
], ids=short)
def test_bad_text(served, body, error, position):
    check_error(served.post("/count", body), 400, error, position)


@pytest.mark.parametrize("body, error, position", [
    ("", "no numbers", None),
    ("[]", "no numbers", None),
    ("[" * 10000, "not an integer", 1),
    ("[" * 10000 + "]" * 10000, "not an integer", 1),
    ("[1, 2", "JSON array", 5),
    ("[1] x", "JSON array", 4),
    ("[1 2]", "JSON array", 3),
    ("1 2", "JSON array", 0),
    ('{"a": 1}', "JSON array", 0),
    ("[1,]", "not an integer", 3),
    ("[1.0]", "not an integer", 2),
    ("[1e3]", "not an integer", 2),
    ("[0x10]", "not an integer", 2),
    ("[01]", "not an integer", 2),
    ('["1"]', "not an integer", 1),
    ("[null]", "not an integer", 1),
    (b"[1\0]", "not an integer", 2),
    ("[9223372036854775808]", "64 bits", 1),
], ids=short)
def test_bad_json(served, body, error, position):
    check_error(served.post("/count", body, "application/json"), 400, error,
                position)


def test_bad_number_late_in_a_file(served):
    body = b"1 " * 50000 + b"x"
    check_error(served.post("/count", body), 400, "not an integer", 100000)
    check_error(served.post("/count", iter([body])), 400, "not an integer",
                100000)


def test_one_number_too_many(served):
    check_answer(served.post("/small", "1 2 3"), [1, 2, 3])
    check_error(served.post("/small", "1 2 3 4"), 413, "too many")
    check_error(served.post("/small", "[1,2,3,4]", "application/json"), 413)
    check_error(served.get("/small"), 413, "too many")
    served.wait_log(r'input ".*/input.txt": too many numbers')
    check_answer(served.post("/count", b"1 " * 102400), [1] * 102400)
    check_error(served.post("/count", b"1 " * 102401), 413, "too many")


def test_content_length_too_short(served):
    answer = served.raw(b"POST /count HTTP/1.1\r\nHost: t\r\n"
                        b"Content-Length: 3\r\n\r\n1 2 3 4 5 6\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK") and b'"count":2,' in answer
    assert b"400 Bad Request" in answer


def test_content_length_too_long(served):
    answer = served.raw(b"POST /count HTTP/1.1\r\nHost: t\r\n"
                        b"Content-Length: 30\r\n\r\n1 2 3", half_close=True)
    assert answer == b"" or b"400" in answer


@pytest.mark.parametrize("chunks", [
    b"zz\r\n1 2\r\n0\r\n\r\n", b"3\r\n1 2 3 4\r\n0\r\n\r\n",
    b"ffffffffffffffffffff\r\n1"])
def test_broken_chunks(served, chunks):
    answer = served.raw(b"POST /count HTTP/1.1\r\nHost: t\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_body_larger_than_nginx_allows(nginx):
    start(nginx, more="location = /tiny { count; count_sort v2;"
                      " client_max_body_size 100; }")
    assert nginx.post("/tiny", b"1 " * 51).status == 413
    check_answer(nginx.post("/tiny", b"1 " * 50), [1] * 50)


def test_client_that_leaves_while_it_sends(served):
    before = len(wait_until(lambda: served.workers(), "workers"))
    for _ in range(20):
        with served.connect() as sock:
            sock.sendall(b"POST /count HTTP/1.1\r\nHost: t\r\n"
                         b"Content-Length: 100000\r\n\r\n1 2 3")
    check_answer(served.get("/count"), [5, 3, 9, 3, -1])
    assert len(served.workers()) == before


# configurations that are refused

@pytest.mark.parametrize("http, location, error", [
    ("", "count;", '"count" needs a "count_sort" in .*nginx.conf:'),
    ("", "count; count_sort v9;", '"count_sort" names "v9"'),
    ("count_sort v9;", "", '"count_sort" names "v9"'),
    ("", "count; count_sort $nonesuch;", 'unknown "nonesuch" variable'),
    ("", "count; count; count_sort v1;", '"count" directive is duplicate'),
    ("", "count_sort v1; count_sort v1;", '"count_sort" directive is dup'),
    ("", "count_input a; count_input b;", '"count_input" directive is dup'),
    ("", "count_threads off; count_threads off;", '"count_threads" .*is dup'),
    ("", "count_threads a; count_threads a;", '"count_threads" .*is dup'),
    ("", "count_max_values 1; count_max_values 1;", "count_max_.* duplicate"),
    ("", "count_max_values 0;", "value must be equal to or greater than 1"),
    ("", "count_max_values x;", "count_max_values"),
    ("", "count_threads nonesuch;", 'unknown thread pool "nonesuch"'),
    (f"count_plugin v1 {ALGORITHMS}/libsort_v2.so;", "", 'duplicate plug-in'),
    ("count;", "", '"count" directive is not allowed here'),
])
def test_refused_configurations(nginx, http, location, error):
    nginx.write_conf(http=PLUGINS + http,
                     server=f"location / {{ {location} }}")
    output = nginx.refused_conf()
    assert re.search(error, output), output
