"""The profiler as a hostile client, host or neighbour would try it."""

import pytest

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"


@pytest.fixture
def profiled(nginx):
    """An nginx with the profiler on and its endpoint."""
    nginx.write_conf(modules=PROFILER, main="profiler on;", server=ENDPOINT)
    return nginx.start()


# clients

@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["", "nothing", "status", "symbol",
                                  "cmdline", "profile?seconds=1"])
def test_body_is_never_taken_for_a_request(profiled, method, path):
    inner = b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: inner\r\n\r\n"
    answer = profiled.raw(
        f"{method} /debug/pprof/{path} HTTP/1.1\r\nHost: x\r\n"
        f"Content-Length: {len(inner)}\r\n\r\n".encode() + inner
        + b"GET /last HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2, answer


@pytest.mark.parametrize("method,path", [
    ("POST", ""), ("PUT", "profile"), ("DELETE", "symbol"),
    ("POST", "status")])
def test_other_methods_get_an_error_that_pprof_shows(profiled, method, path):
    answer = profiled.request(method, f"/debug/pprof/{path}", b"x")
    assert answer.status == 405
    assert answer.headers["X-Go-Pprof"] == "1"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "Method not allowed\n"
