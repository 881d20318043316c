"""Who uploads where: directives, DD_* variables, and what is refused."""

import os
import signal

import pytest

from hostile_company import status
from nginx_instance import alive, wait_until
from test_hostile_life import daemon, upgrade

ENDPOINT = "location /debug/pprof/ { profiler_endpoint; }"
PROFILER = ("ngx_profiler_module",)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Those of whoever runs the tests are not the tests'."""
    for name in [n for n in os.environ if n.startswith("DD_")]:
        monkeypatch.delenv(name)


def configure(nginx, main, **more):
    nginx.write_conf(modules=PROFILER, main=main, server=ENDPOINT, **more)
    return nginx


def uploads(nginx):
    """[(kind, address), ...] in `status`."""
    return [(u["to"], u["address"]) for u in status(nginx)["uploads"]]


@pytest.mark.parametrize("directives, reason", [
    ("profiler_upload;", "invalid number of arguments"),
    ("profiler_upload somewhere;", '"somewhere"'),
    ("profiler_upload pyroscope;", "needs the URL of Pyroscope"),
    ("profiler_upload datadog ftp://x;", "does not begin with http://"),
    ("profiler_upload pyroscope localhost:4040;",
     "does not begin with http://"),
    ("profiler_upload off; profiler_upload datadog;", "is duplicate"),
    ("profiler_upload datadog; profiler_upload off;", "is duplicate"),
    ("profiler_upload datadog; " * 2, "is duplicate"),
    ("profiler_upload pyroscope http://a; profiler_upload datadog http://a; "
     "profiler_upload pyroscope http://a;", "is duplicate"),
    ("".join(f"profiler_upload datadog http://{n};" for n in range(9)),
     "is given too often"),
    ("profiler_service a; profiler_service b;", "is duplicate"),
    ("profiler_env a; profiler_env b;", "is duplicate"),
    ("profiler_version a; profiler_version b;", "is duplicate"),
    ("profiler_tag a;", "invalid number of arguments"),
    ("profiler_tag a b; profiler_tag a c;", 'tag "a"'),
    ('profiler_tag a "";', "empty"),
    ("profiler_tag version 1;", '"profiler_version"'),
])
def test_refused(nginx, directives, reason):
    configure(nginx, directives)
    assert reason in nginx.refused_conf()


def test_refused_url_is_not_shown(nginx):
    """It may have a password."""
    configure(nginx, "profiler_upload pyroscope user:secret@host:4040;")
    assert "secret" not in nginx.refused_conf()


def test_off_by_default(nginx):
    configure(nginx, "profiler on;").start({"DD_SERVICE": "app"})
    assert uploads(nginx) == []


@pytest.mark.parametrize("value", ["true", "1", "auto"])
def test_variable_alone_turns_it_on(nginx, value):
    """The profiler, and uploads to the Agent."""
    configure(nginx, "").start({"DD_PROFILING_ENABLED": value,
                                "DD_AGENT_HOST": "127.0.0.1",
                                "DD_TRACE_AGENT_PORT": "9"})
    assert uploads(nginx) == [
        ("datadog", "http://127.0.0.1:9/profiling/v1/input")]


@pytest.mark.parametrize("main, value, wanted", [
    ("profiler off;", "true", None),
    ("", "false", None),
    ("profiler on;", "false", []),
    ("profiler on; profiler_upload off;", "true", []),
    ("profiler_upload pyroscope http://127.0.0.1:9;", "true",
     [("pyroscope", "http://127.0.0.1:9/ingest")]),
    ("profiler on; profiler_upload datadog http://127.0.0.1:7;", "false",
     [("datadog", "http://127.0.0.1:7/profiling/v1/input")]),
])
def test_directive_goes_before_variable(nginx, main, value, wanted):
    configure(nginx, main).start({"DD_PROFILING_ENABLED": value,
                                  "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"})
    if wanted is None:
        assert "uploads" not in nginx.get("/debug/pprof/status").text
    else:
        assert uploads(nginx) == wanted


def test_env_directive_counts_as_the_environment(nginx):
    configure(nginx, "env DD_PROFILING_ENABLED=true;"
              "env DD_TRACE_AGENT_URL=http://127.0.0.1:7;").start(
                  {"DD_TRACE_AGENT_URL": "http://127.0.0.1:9"})
    assert uploads(nginx)[0][1].startswith("http://127.0.0.1:7/")


def test_variables_outlive_a_binary_upgrade(nginx, monkeypatch):
    """All but the key: nginx gives a new binary what its `env` list has."""
    monkeypatch.setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DD_PROFILING_AGENTLESS", "true")
    monkeypatch.setenv("DD_PROFILING_URL", "https://127.0.0.1:8/intake")
    monkeypatch.setenv("DD_API_KEY", KEY)
    configure(nginx, "profiler on; profiler_upload datadog;")
    with daemon(nginx) as old:
        assert uploads(nginx) == [("datadog", "https://127.0.0.1:8/intake")]
        assert "DD_API_KEY" not in nginx.error_log()
        upgrade(nginx, old)
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not alive(old), "the old master leaves")
        assert uploads(nginx) == [
            ("datadog", "http://127.0.0.1:9/profiling/v1/input")]
        nginx.wait_log(r"DD_PROFILING_AGENTLESS needs a valid DD_API_KEY")


def test_variables_outlive_one_without_a_profiler(nginx, monkeypatch):
    """A configuration that comes later turns it on."""
    monkeypatch.setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:9")
    configure(nginx, "profiler off;")
    with daemon(nginx) as old:
        new = upgrade(nginx, old)
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not alive(old), "the old master leaves")
        configure(nginx, "profiler on; profiler_upload datadog;")
        os.kill(new, signal.SIGHUP)
        # workers without it may answer still
        found = wait_until(lambda: status(nginx).get("uploads"),
                           "the profiler runs")
        assert [(u["to"], u["address"]) for u in found] == [
            ("datadog", "http://127.0.0.1:9/profiling/v1/input")]


def test_what_can_not_be_used_is_said_once(nginx):
    configure(nginx, "profiler on; profiler_upload datadog;", workers=2).start(
        {"DD_TRACE_AGENT_URL": "ftp://x", "DD_PROFILING_AGENTLESS": "true",
         "DD_API_KEY": "wrong-key"})
    log = nginx.error_log()
    assert log.count("DD_TRACE_AGENT_URL can't be used") == 1
    assert log.count("needs a valid DD_API_KEY") == 1
    assert "wrong-key" not in log
