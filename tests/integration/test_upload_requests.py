"""What is uploaded, to the byte: the requests of the uploader's driver as a
strict receiver sees them.
"""

import re
import urllib.parse

import pytest

from nginx_instance import fds
from pprof_profile import Profile
from upload_driver import Driver
from upload_receiver import DatadogUpload, Receiver, tls_context

KEY = "0123456789abcdef0123456789abcdef"
PERIOD_NS = 10_000_000
FULL = {
    "DD_SERVICE": "app", "DD_ENV": "prod", "DD_VERSION": "9.9",
    "DD_TAGS": "team:web,service:other,a:b:c",
    "DD_EXTERNAL_ENV": "it-false,cn-nginx,pu-1",
    "DD_PROFILING_ENABLED": "auto",
}


def by_version(uploads):
    return {u.tags.get("version"): u for u in uploads}


def test_datadog_upload():
    with Receiver() as receiver, Driver(f"datadog={receiver.url}",
                                        **FULL) as driver:
        assert driver.message == ""
        driver.period()
        uploads = receiver.uploads(3)
        for upload in uploads:
            request = upload.request
            assert request.path == "/profiling/v1/input"
            assert request.headers["dd-evp-origin"] == "nginx-profiler"
            assert request.headers["dd-evp-origin-version"]
            assert (request.headers["datadog-external-env"]
                    == "it-false,cn-nginx,pu-1")
            assert "dd-api-key" not in request.headers
            assert upload.tags["service"] == "app"
            assert upload.tags["env"] == "prod"
            assert upload.tags["team"] == "web"
            assert upload.tags["a"] == "b:c"
            assert upload.tags["process_id"] == str(driver.pid)
            assert upload.event["tags_profiler"].count("version:") == 2, \
                "its own, and that of the profiler"
            assert (upload.event["info"]["profiler"]["activation"] == "auto")
            assert 0.9e9 < upload.end - upload.start < 1.1e9
            profile = upload.profile.check_any()
            assert profile.types == [
                ("cpu-time", "nanoseconds"), ("cpu-samples", "count"),
                ("wall-time", "nanoseconds"), ("wall-samples", "count"),
                ("alloc-space", "bytes"), ("alloc-samples", "count"),
                ("inuse-space", "bytes"), ("inuse-objects", "count")]
            assert profile.strings[profile.proto.period_type.type] == "cpu-time"
            assert profile.proto.time_nanos == upload.start
            for _, labels, _ in profile.samples:
                assert "version" not in labels
                assert labels["trace endpoint"] == "GET /count"
                assert labels["thread name"] == "main"


def test_a_profile_for_each_version():
    """With ids and numbers of their own; what has no version label is of the
    configured version, or of none."""
    for version in (None, "3.0.0", "2.0.0"):
        environment = {"DD_VERSION": version} if version else {}
        with Receiver() as receiver, Driver(f"datadog={receiver.url}",
                                            **environment) as driver:
            periods = 3
            driver.period(periods)
            per_period = 2 if version == "2.0.0" else 3
            uploads = receiver.uploads(per_period * periods)
        found = {}
        for upload in uploads:
            found.setdefault(upload.tags.get("version"), []).append(upload)
        assert set(found) == {"1.0.0", "2.0.0", version}
        ids = {v: {u.tags["runtime-id"] for u in found[v]} for v in found}
        assert all(len(i) == 1 for i in ids.values())
        assert len(set.union(*ids.values())) == len(found)
        for same in found.values():
            assert ([int(u.tags["profile_seq"]) for u in same]
                    == list(range(periods)))
        cpu = {v: u[0].profile.total(0, "hot") for v, u in found.items()}
        unlabelled = PERIOD_NS
        assert cpu["1.0.0"] == 2 * PERIOD_NS
        assert cpu["2.0.0"] == PERIOD_NS + (unlabelled
                                            if version == "2.0.0" else 0)
        counts = {v: u[0].event.get("endpoint_counts")
                  for v, u in found.items()}
        assert counts["1.0.0"] == {"GET /count": 7, "GET /other": 3}
        assert counts["2.0.0"] == {"GET /count": 5}
        if version != "2.0.0":
            assert counts[version] is None


def test_destinations_get_the_same_numbers():
    """Each of them all: one that is missing is a profile that was dropped."""
    periods = 3
    with Receiver() as one, Receiver() as other, Receiver() as third, Driver(
            f"datadog={one.url}", f"pyroscope={third.url}",
            f"datadog={other.url}") as driver:
        driver.period(periods)
        for receiver in (one, other):
            found = {}
            for upload in receiver.uploads(3 * periods):
                found.setdefault(upload.tags.get("version"), []).append(
                    int(upload.tags["profile_seq"]))
            assert found == dict.fromkeys(("1.0.0", "2.0.0", None),
                                          list(range(periods)))


def test_pyroscope_push():
    """One type a push, names of labels that it takes, the version in the name
    of the application."""
    with Receiver() as receiver, Driver(
            f"pyroscope={receiver.url}/base/", **{
                **FULL, "DD_VERSION": "",
                "DD_TAGS": "we-b,9x:y{z}=,team:a b"}) as driver:
        driver.period()
        requests = receiver.wait(12)[:12]
    seen = []
    for request in requests:
        assert request.method == "POST" and request.path == "/base/ingest"
        assert request.headers["content-type"] == "application/octet-stream"
        query = dict(urllib.parse.parse_qsl(request.query,
                                            strict_parsing=True))
        assert query["format"] == "pprof"
        assert 0 <= int(query["until"]) - int(query["from"]) <= 2
        name, labels = re.fullmatch(r"app\{(.*)\}", query["name"])[0], {}
        for pair in name[4:-1].split(","):
            key, value = pair.split("=")
            assert re.fullmatch(r"[a-zA-Z_.][a-zA-Z0-9_.]*", key), key
            assert value and key not in labels
            labels[key] = value
        assert labels["env"] == "prod" and labels["team"] == "a b"
        assert labels["_9x"] == "y_z__"
        profile = Profile(request.body).check_any()
        assert len(profile.types) in (2, 4)
        seen.append((labels.get("version"), profile.types[1][0]))
        for _, sample_labels, _ in profile.samples:
            assert all(re.fullmatch(r"[a-zA-Z_.][a-zA-Z0-9_.]*", k)
                       for k in sample_labels), sample_labels
            assert sample_labels["x_kind"] == 'a,b "c"'
    assert sorted(seen, key=str) == sorted(
        ((v, t) for v in (None, "1.0.0", "2.0.0")
         for t in ("cpu", "wall", "delay", "alloc_space")), key=str)


def test_basic_authentication_of_pyroscope():
    """From the URL; it is shown nowhere."""
    with Receiver() as receiver:
        url = receiver.url.replace("//", "//user:secret@")
        with Driver(f"pyroscope={url}") as driver:
            driver.period()
            request = receiver.wait(1)[0]
            assert request.headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
            assert "secret" not in str(driver.status()) + str(driver.notices)


def test_unix_socket(tmp_path):
    with Receiver(path=tmp_path / "apm.socket") as receiver, \
            Driver("datadog", DD_TRACE_AGENT_URL=receiver.url) as driver:
        driver.period()
        receiver.uploads(3)
        assert driver.status()[0]["address"] == f"unix:{receiver.path}"


@pytest.fixture
def intake(tmp_path):
    """(Receiver with TLS, environment for uploads without an Agent to it)."""
    context, certificate = tls_context(tmp_path)
    with Receiver(202, tls=context) as receiver:
        yield receiver, {
            "DD_PROFILING_AGENTLESS": "true", "DD_API_KEY": KEY,
            "DD_PROFILING_URL": receiver.url + "/api/v2/profile",
            "SSL_CERT_FILE": str(certificate)}


def test_intake_over_tls(intake):
    receiver, environment = intake
    with Driver("datadog", **environment) as driver:
        driver.period()
        for upload in receiver.uploads(3):
            assert upload.request.path == "/api/v2/profile"
            assert upload.request.headers["dd-api-key"] == KEY
        text = str(driver.status()) + str(driver.notices) + driver.message
        assert KEY not in text


def test_last_profiles_are_sent_over_tls(intake):
    receiver, environment = intake
    with Driver("datadog", **environment) as driver:
        driver.period()
        stopped, _, dropped = driver.stop(20000)
        assert stopped and dropped == 0
        receiver.uploads(3)


def test_key_goes_to_nobody_who_is_not_trusted(intake):
    """A certificate that the system does not know, or of another name."""
    receiver, environment = intake
    del environment["SSL_CERT_FILE"]
    with Driver("datadog", **environment) as driver:
        driver.period()
        first = driver.wait(lambda t: t["retried"] >= 1, "a failure")
        assert first["state"] == "fails" and first["http_status"] == 0
        assert "certificate" in str(driver.notices)
        assert KEY not in str(driver.notices)
    assert not receiver.requests


def test_certificate_of_another_name(tmp_path):
    context, certificate = tls_context(tmp_path, "example.org")
    with Receiver(202, tls=context) as receiver:
        with Driver("datadog", DD_PROFILING_AGENTLESS="1", DD_API_KEY=KEY,
                    DD_PROFILING_URL=receiver.url,
                    SSL_CERT_FILE=str(certificate)) as driver:
            driver.period()
            driver.wait(lambda t: t["retried"] >= 1, "a failure")
        assert not receiver.requests


def test_proxies_of_the_environment_are_not_asked():
    with Receiver() as proxy, Receiver() as receiver:
        with Driver(f"datadog={receiver.url}", http_proxy=proxy.url,
                    ALL_PROXY=proxy.url) as driver:
            driver.period()
            receiver.uploads(3)
    assert proxy.connections == 0


def tcp_inodes(pid):
    """Inodes of the TCP sockets of a process's network that are connected."""
    with open(f"/proc/{pid}/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {row[9] for row in rows if row[3] == "01"}


def test_connections_are_not_inherited():
    """What a process of the worker executes gets no connection of ours."""
    with Receiver("hang") as receiver, Driver(
            f"datadog={receiver.url}") as driver:
        driver.period()
        receiver.wait(1)
        connected = tcp_inodes(driver.pid)
        flags = []
        for fd, target in fds(driver.pid).items():
            found = re.fullmatch(r"socket:\[(\d+)\]", target)
            if found and found[1] in connected:
                with open(f"/proc/{driver.pid}/fdinfo/{fd}") as info:
                    flags.append(int(re.search(r"flags:\s*(\d+)",
                                               info.read())[1], 8))
        assert flags
        assert all(f & 0o2000000 for f in flags), [oct(f) for f in flags]


def test_uploads_of_a_strict_receiver_are_refused_when_broken():
    """The receiver is worth something: it refuses what is not as it must be."""
    with Receiver() as receiver, Driver(f"datadog={receiver.url}") as driver:
        driver.period()
        request = receiver.wait(1)[0]
    DatadogUpload(request)
    for old, new in ((b'"native"', b'"go"'), (b"profile.pprof", b"auto.pprof"),
                     (b"runtime-id", b"runtime_id"), (b"Z\"", b"\"")):
        body = request.body
        assert old in body
        request.body = body.replace(old, new)
        with pytest.raises(Exception):
            DatadogUpload(request)
        request.body = body
