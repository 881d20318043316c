"""Our uploads beside those of Datadog's own library, field by field.

A Go program with dd-trace-go and an nginx with the profiler get the same
variables, serve requests, and send to the same kind of receiver. What differs
has to be in the lists here, with the reason; anything else is a mistake of
ours, or news of theirs.
"""

import json
import re

import msgpack
import pytest

import datadog_go
from nginx_instance import ALGORITHMS, wait_until
from pprof_profile import Profile
from upload_receiver import Receiver

VARIABLES = {
    "DD_SERVICE": "app", "DD_ENV": "prod", "DD_VERSION": "1.0.0",
    "DD_TAGS": "team:web", "DD_EXTERNAL_ENV": "it-false,cn-x",
    "DD_GIT_REPOSITORY_URL": "https://user:secret@example.org/app.git",
    "DD_GIT_COMMIT_SHA": "0123456789abcdef0123456789abcdef01234567",
    "DD_PROFILING_ENABLED": "auto",
}

# What their upload has and ours does not, and the reverse: {what: why}.

THEIRS = {
    "headers": {
        "accept-encoding": "Go's HTTP client takes any answer; we read none",
    },
    "event": {},
    "tags": {
        "runtime_version": "of the Go runtime",
        "runtime_compiler": "of the Go runtime",
        "runtime_arch": "native profiles say cpu_arch",
        "pgo": "of the Go compiler",
        "_dd.profiler.go_execution_trace_enabled": "of the Go runtime",
    },
    "process tags": {
        "svc.user": "whether the service was given; profiles have service",
    },
    "labels": {
        "bytes": "the size of blocks, which Go has by class",
    },
    "parts": {
        "cpu.pprof": "Go has a file for each profile; native has one for all",
        "delta-heap.pprof": "the same",
        "metrics.json": "of the Go runtime",
    },
}
OURS = {
    "headers": {
        "accept": "libcurl says that it takes any answer",
        "connection": "a profile a minute is not worth an open connection",
        "datadog-external-env": "libdatadog sends it, for the Agent to know "
                                "the container; dd-trace-go with traces only",
    },
    "event": {
        "internal": "libdatadog sends it",
    },
    "tags": {
        "language": "ddprof's mark of native profiles",
        "cpu_arch": "ddprof's name of runtime_arch",
    },
    "process tags": {},
    "labels": {
        "local root span id": "of all libraries but dd-trace-go",
        "thread name": "Go has no threads to show",
        "location": "nginx's own",
        "server": "nginx's own",
        "algorithm": "the count module's own",
    },
    "parts": {
        "profile.pprof": "as libdatadog calls the file of native profiles",
    },
}

# Ours in the words of Go's files; units are the same.
MEANING = {
    "cpu-time": ("cpu.pprof", "cpu"),
    "cpu-samples": ("cpu.pprof", "samples"),
    "alloc-space": ("delta-heap.pprof", "alloc_space"),
    "alloc-samples": ("delta-heap.pprof", "alloc_objects"),
    "inuse-space": ("delta-heap.pprof", "inuse_space"),
    "inuse-objects": ("delta-heap.pprof", "inuse_objects"),
}

# Tags with values that each process has for itself.
OWN_TAGS = {"runtime", "runtime-id", "process_id", "profiler_version",
            "profile_seq"}


def pairs(text):
    found = [tag.split(":", 1) for tag in text.split(",")]
    assert all(len(p) == 2 and p[0] and p[1] for p in found), text
    assert len(dict(found)) == len(found), text
    return dict(found)


class Upload:
    """A request that was received, whoever sent it."""

    def __init__(self, request):
        self.request = request
        self.parts = request.parts()
        self.event = json.loads(self.parts["event"][2])
        self.tags = pairs(self.event["tags_profiler"])
        self.profiles = {name: Profile(content)
                         for name, (_, _, content) in self.parts.items()
                         if name.endswith(".pprof")}

    @property
    def types(self):
        """{(file, type): unit}."""
        return {(name, kind): unit for name, profile in self.profiles.items()
                for kind, unit in profile.types}

    @property
    def labels(self):
        """{label: set of its values}."""
        found = {}
        for profile in self.profiles.values():
            for _, labels, _ in profile.samples:
                for label, value in labels.items():
                    found.setdefault(label, set()).add(value)
        return found


def uploads(receiver):
    assert not receiver.problems, receiver.problems
    return [Upload(r) for r in list(receiver.requests)
            if r.path == "/profiling/v1/input"]


def complete(receiver):
    """The first upload with samples of requests and counts of them."""
    for upload in uploads(receiver):
        if ({"span id", "trace endpoint"} <= set(upload.labels)
                and upload.event.get("endpoint_counts")):
            return upload
    return None


def spans(receiver):
    """All spans that were received, as Datadog's msgpack has them."""
    return [span for request in list(receiver.requests)
            if request.path == "/v0.4/traces"
            for trace in msgpack.unpackb(request.body, raw=False)
            for span in trace]


def roots(receiver):
    return [s for s in spans(receiver) if not s.get("parent_id")]


@pytest.fixture(scope="module")
def theirs():
    """(Upload, root span) of the Go program."""
    missing = datadog_go.Program.build()
    if missing:
        pytest.skip(f"SKIPPED: {missing}: uploads are not compared with those "
                    "of Datadog's own library")
    with Receiver() as receiver, datadog_go.Program(
            receiver.url, DD_PROFILING_DEBUG_COMPRESSION_SETTINGS="legacy",
            DD_PROFILING_ENDPOINT_COUNT_ENABLED="true",
            DD_PROFILING_EXECUTION_TRACE_ENABLED="false",
            **VARIABLES):
        upload = wait_until(lambda: complete(receiver), "Go's upload", 120)
        wait_until(lambda: roots(receiver), "Go's traces", 120)
        return upload, roots(receiver)[0]


@pytest.fixture
def ours(nginx, theirs):
    """(Upload, root span) of nginx."""
    numbers = " ".join(str(i * 7919 % 100003) for i in range(4000))
    nginx.write_file("html/numbers", numbers)
    nginx.write_conf(
        modules=("ngx_http_count_module", "ngx_profiler_module"),
        main="profiler_types cpu heap; profiler_period 1s;",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;",
        server=f"""location = /count {{
            profiler_trace on; count; count_sort v1;
            count_input {nginx.prefix}/html/numbers;
        }}""")
    with Receiver() as receiver:
        nginx.start({**VARIABLES, "DD_TRACE_AGENT_URL": receiver.url})

        def sent():
            assert nginx.get("/count").status == 200
            return complete(receiver)

        upload = wait_until(sent, "our upload", 120)
        wait_until(lambda: roots(receiver), "our traces", 120)
        return upload, roots(receiver)[0]


def differ(what, theirs, ours):
    """Both have the same names but for those that are listed."""
    theirs, ours = set(theirs), set(ours)
    assert theirs - ours == set(THEIRS[what]), what
    assert ours - theirs == set(OURS[what]), what


def test_requests(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    assert theirs.request.method == ours.request.method
    assert theirs.request.path == ours.request.path
    differ("headers", theirs.request.headers, ours.request.headers)
    for header in ("dd-evp-origin", "dd-evp-origin-version", "user-agent"):
        assert theirs.request.headers[header] and ours.request.headers[header]


def test_parts(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    differ("parts", theirs.parts, ours.parts)
    for upload in (theirs, ours):
        assert (upload.parts["event"][:2]
                == theirs.parts["event"][:2]), "the same head"
        for name, (file, headers, content) in upload.parts.items():
            if name != "event":
                assert file == name
                assert headers["Content-Type"] == "application/octet-stream"
            if name.endswith(".pprof"):
                assert content.startswith(b"\x1f\x8b"), "gzip"
        assert sorted(upload.event["attachments"]) == sorted(
            set(upload.parts) - {"event"})


def test_event(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    differ("event", theirs.event, ours.event)
    for name in set(theirs.event) & set(ours.event):
        assert type(theirs.event[name]) is type(ours.event[name]), name
    # "go" is for Go's file names and sample types
    assert (theirs.event["family"], ours.event["family"]) == ("go", "native")
    assert theirs.event["version"] == ours.event["version"]
    for upload in (theirs, ours):
        for name in ("start", "end"):
            assert re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
                upload.event[name])
    assert (set(theirs.event["endpoint_counts"])
            == set(ours.event["endpoint_counts"]) == {"GET /count"})
    theirs, ours = (u.event["info"]["profiler"] for u in (theirs, ours))
    assert set(theirs) == set(ours)
    # the settings of the Go profiler are its own
    assert isinstance(theirs.pop("settings"), dict)
    assert isinstance(ours.pop("settings"), dict)
    assert theirs == ours


def test_tags(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    differ("tags", theirs.tags, ours.tags)
    for name in set(theirs.tags) & set(ours.tags) - OWN_TAGS:
        assert theirs.tags[name] == ours.tags[name], name
    assert (theirs.tags["runtime"], ours.tags["runtime"]) == ("go", "native")
    for upload in (theirs, ours):
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                            upload.tags["runtime-id"])
        assert upload.tags["process_id"].isdigit()
        assert upload.tags["profile_seq"].isdigit()
        assert upload.tags["git.repository_url"] == (
            "https://example.org/app.git")
    theirs, ours = (pairs(u.event["process_tags"]) for u in (theirs, ours))
    differ("process tags", theirs, ours)
    assert theirs["entrypoint.type"] == ours["entrypoint.type"]


def test_sample_types(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    assert {MEANING[kind]: unit
            for (_, kind), unit in ours.types.items()} == theirs.types
    go, native = theirs.profiles["cpu.pprof"], ours.profiles["profile.pprof"]
    for profile, name in ((go, "cpu"), (native, "cpu-time")):
        period = profile.proto.period_type
        assert (profile.strings[period.type],
                profile.strings[period.unit]) == (name, "nanoseconds")
        assert profile.proto.period > 0
        assert profile.proto.time_nanos > 0 and profile.proto.duration_nanos > 0
        mapping = profile.proto.mapping[0]
        assert profile.strings[mapping.filename]
        assert profile.strings[mapping.build_id]
        assert all(len(values) == len(profile.types)
                   for _, _, values in profile.samples)


def test_labels(theirs, ours):
    (theirs, _), (ours, _) = theirs, ours
    differ("labels", theirs.labels, ours.labels)
    assert theirs.labels["trace endpoint"] == {"GET /count"}
    assert ours.labels["trace endpoint"] == {"GET /count"}
    # Go's labels are text; libdatadog takes ids as numbers, and refuses text
    assert all(int(value) for value in theirs.labels["span id"])
    for name in ("span id", "local root span id"):
        assert all(isinstance(value, int) and value
                   for value in ours.labels[name])


def test_spans_lead_to_profiles(theirs, ours):
    """The fields of a span, the mark that there is a profile, and the id that
    both have."""
    (theirs, their_span), (ours, our_span) = theirs, ours
    assert set(their_span) - {"meta_struct", "span_links"} == set(our_span)
    for upload, span in ((theirs, their_span), (ours, our_span)):
        assert span["metrics"]["_dd.profiling.enabled"] == 1
        assert span["meta"]["runtime-id"] == upload.tags["runtime-id"]
        assert span["meta"]["version"] == upload.tags["version"]
        assert span["service"] == upload.tags["service"]
        assert span["type"] == "web"
        assert span["resource"] == "GET /count"
