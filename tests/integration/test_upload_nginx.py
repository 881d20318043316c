"""Uploads of a real nginx: one for all workers and each version, through
reloads and to the end, and nothing that requests would notice.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from statistics import median

import pytest

from nginx_instance import (ALGORITHMS, SAN_PRELOAD, Load, alive, free_port,
                            memory, threads, wait_until)
from test_hostile_life import daemon, end_master, end_workers, upgrade
from test_profiler_library import burner, run  # noqa: F401
from upload_receiver import Receiver, tls_context

KEY = "0123456789abcdef0123456789abcdef"
BODY = " ".join(str(i * 7919 % 2003) for i in range(2000))
SERVER = """
location /debug/pprof/ { profiler_endpoint; }
location /v1 { count; count_sort v1; }
location /v2 { count; count_sort v2; }
location /x { return 200 x; }
"""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Those of whoever runs the tests are not the tests'."""
    for name in [n for n in os.environ if n.startswith("DD_")]:
        monkeypatch.delenv(name)


def configure(nginx, main, workers=2, period="1s", log_level="info", http=""):
    nginx.write_conf(
        modules=("ngx_http_count_module", "ngx_profiler_module"),
        main=f"profiler on; profiler_types cpu; profiler_period {period};"
        + main,
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
        f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;" + http,
        server=SERVER, workers=workers, log_level=log_level)
    return nginx


def versions(uploads):
    found = {}
    for upload in uploads:
        found.setdefault(upload.tags.get("version"), []).append(upload)
    return found


def received(receiver):
    assert not receiver.problems, receiver.problems
    return receiver.uploads(len(receiver.requests))


def work(nginx):
    """Requests of both versions on new connections: on all workers."""
    for _ in range(8):
        assert nginx.post("/v1", BODY).status == 200
        assert nginx.post("/v2", BODY).status == 200


def has_both(receiver, n=1):
    found = versions(received(receiver))
    return all(len(found.get(v, ())) >= n for v in ("1.0.0", "2.0.0"))


def overlaps_and_gaps(uploads):
    """Nanoseconds between the windows of one after the other; negative where
    they overlap."""
    windows = sorted({(u.start, u.end) for u in uploads})
    return [second[0] - first[1]
            for first, second in zip(windows, windows[1:])]


def test_both_versions_of_one_instance(nginx):
    """Service app: CPU of v1 and v2 in profiles of their own, of all workers,
    numbered, and only one worker sends."""
    with Receiver() as receiver:
        configure(nginx, f"profiler_upload datadog {receiver.url};"
                  "profiler_service app; profiler_env test;"
                  "profiler_tag team web;").start()
        wait_until(lambda: work(nginx) or has_both(receiver, 2), "uploads",
                   timeout=60)
        senders = [pid for pid in nginx.workers()
                   if "nprof-upload" in threads(pid).values()]
        assert len(senders) == 1
        found = versions(received(receiver))
        for uploads in found.values():
            assert len({u.tags["runtime-id"] for u in uploads}) == 1
            assert ([int(u.tags["profile_seq"]) for u in uploads]
                    == list(range(len(uploads))))
            for upload in uploads:
                upload.profile.check()
                assert upload.tags["service"] == "app"
                assert upload.tags["env"] == "test"
                assert upload.tags["team"] == "web"
                assert upload.tags["process_id"] == str(nginx.master)
                assert ("entrypoint.name:nginx"
                        in upload.event["process_tags"].split(","))
                assert upload.profile.types == [
                    ("cpu-time", "nanoseconds"), ("cpu-samples", "count")]
        for version, name in (("1.0.0", "bubble_sort"), ("2.0.0", None)):
            stacks = [(stack, labels) for u in found[version]
                      for stack, labels, _ in u.profile.samples]
            assert all(labels["location"] in ("/v1", "/v2")
                       for _, labels in stacks)
            if name:
                assert any(name in stack for stack, _ in stacks)
            else:
                assert not any("bubble_sort" in stack for stack, _ in stacks)
        nginx.wait_log(r"\[notice\] .*profiles are uploaded to")
        assert nginx.error_log().count("profiles are uploaded to") == 1


def says_that_it_lost_some(nginx):
    """A machine that others keep busy may give an exit too little time."""
    return re.search("could not be uploaded before|did not stop in",
                     nginx.error_log())


def leader(nginx):
    """Its pid; 0 is nobody, for a moment."""
    return wait_until(lambda: nginx.get("/debug/pprof/status").json()
                      ["instance"]["leader"], "a leader")


def uploads_of(nginx, receiver, periods):
    """Of so many periods more, while there is work of both versions."""
    def ends():
        return len({u.end for u in received(receiver)})
    before = ends()
    wait_until(lambda: work(nginx) or ends() >= before + periods, "uploads",
               timeout=60)


def check_numbers_and_windows(nginx, uploads):
    """Of one instance: they go on, and no time is missing or twice."""
    lost = says_that_it_lost_some(nginx)
    for same in versions(uploads).values():
        assert len({u.tags["runtime-id"] for u in same}) == 1
        numbers = sorted(int(u.tags["profile_seq"]) for u in same)
        assert len(set(numbers)) == len(numbers)
        assert lost or numbers == list(range(len(numbers)))
    between = overlaps_and_gaps(uploads)
    assert all(ns >= 0 if lost else ns == 0 for ns in between), between


def test_windows_join_through_reloads(nginx):
    """Leaders change, by a reload and because one is told to go; ids and numbers
    go on, no time is missing or twice."""
    with Receiver() as receiver:
        configure(nginx, f"profiler_upload datadog {receiver.url};",
                  period="2s").start()
        uploads_of(nginx, receiver, 1)
        leaders = {leader(nginx)}
        nginx.reload(wait_for_old=True)
        uploads_of(nginx, receiver, 1)
        leaders.add(leader(nginx))
        # the master starts another one in its place
        os.kill(leader(nginx), signal.SIGTERM)
        uploads_of(nginx, receiver, 2)
        leaders.add(leader(nginx))
        assert len(leaders) == 3
        check_numbers_and_windows(nginx, received(receiver))
        # not again for each leader
        assert nginx.error_log().count("profiles are uploaded to") == 1


def test_binary_upgrade_begins_new_ids(nginx):
    """While both binaries have workers each has windows of its own: there they
    overlap, and nowhere else. No time is missing."""
    with Receiver() as receiver, daemon(configure(
            nginx, f"profiler_upload datadog {receiver.url};",
            period="2s")) as old:
        uploads_of(nginx, receiver, 1)
        new = upgrade(nginx, old)
        uploads_of(nginx, receiver, 2)
        end_workers(old)
        end_master(old)
        uploads_of(nginx, receiver, 2)
        by_master = {old: [], new: []}
        for upload in received(receiver):
            by_master[int(upload.tags["process_id"])].append(upload)
    for uploads in by_master.values():
        check_numbers_and_windows(nginx, uploads)
    ids = [{u.tags["runtime-id"] for u in uploads}
           for uploads in by_master.values()]
    assert ids[0] and ids[1] and not ids[0] & ids[1]
    assert (min(u.start for u in by_master[new])
            < max(u.end for u in by_master[old]))


def test_first_period_is_shorter(nginx):
    """By up to a tenth, as the instance's id says; those after it are not."""
    with Receiver() as receiver:
        configure(nginx, f"profiler_upload datadog {receiver.url};",
                  period="2s").start()
        wait_until(lambda: work(nginx) or len(
            {u.start for u in received(receiver)}) >= 3, "periods", timeout=60)
        windows = sorted({(u.start, u.end) for u in received(receiver)})
    lengths = [(end - start) / 1e9 for start, end in windows]
    # a busy machine makes any of them longer; clocks differ by little
    assert lengths[0] > 1.75 and min(lengths[1:]) > 1.95, lengths


def young_clock():
    """A command that runs another one where CLOCK_MONOTONIC is at a few
    seconds, as on a machine that has just begun."""
    prefix = ("unshare", "--time", "--monotonic", str(3 - int(time.monotonic())))
    try:
        subprocess.run((*prefix, "true"), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no time namespaces here")
    return prefix


@pytest.mark.parametrize("prefix", [tuple, young_clock])
def test_last_period_is_sent_at_exit(burner, prefix):
    """The period is an hour. It is sent if the time is enough; a worker's exit
    has 0.2 s, which are less where others work too: so here is the library
    alone, with more of it."""
    with Receiver() as receiver:
        stopping = int(run("""
import sys, time
assert library.prepare() == 0
assert upload_to(sys.argv[1].encode()) == b""
rc, handle = start(types=(CPU,), period_ms=3600000)
assert rc == 0
burner = ctypes.CDLL(sys.argv[2])
end = time.monotonic() + 3
while time.monotonic() < end:
    burner.fiber_burn()
print(time.time_ns())
assert profiler_stop(handle, 30000) == 0
""", receiver.url, burner, prefix=prefix()))
        uploads = received(receiver)
    assert len(uploads) == 1
    assert uploads[0].start < stopping <= uploads[0].end
    assert uploads[0].profile.total(1, "fiber_burn") > 10


def exit_seconds(nginx):
    """How long all workers take from TERM to their end."""
    workers = nginx.workers()
    start = time.monotonic()
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(alive(pid) for pid in workers), "workers exit")
    return time.monotonic() - start


@pytest.mark.parametrize("behave", ["hang", "drip", 500, "absent"])
def test_requests_and_exit_do_not_notice(nginx, behave):
    """A back end that fails: no request fails, and workers leave at once."""
    with Receiver(behave if behave != "absent" else 200) as receiver:
        url = (receiver.url if behave != "absent"
               else f"http://127.0.0.1:{free_port()}")
        configure(nginx, f"profiler_upload datadog {url};"
                  f"profiler_upload pyroscope {url};").start()
        with Load(nginx, "/x", rate=100) as load:
            wait_until(lambda: work(nginx) or any(
                u["queued"] + u["dropped"] + u["retried"] > 2
                for u in nginx.get("/debug/pprof/status").json()["uploads"]),
                "uploads that fail", timeout=60)
        assert not load.failures and load.done > 0
        # 200 ms are the bound; the rest is what else the machine does
        assert exit_seconds(nginx) < 5
        assert says_that_it_lost_some(nginx)
        assert nginx.error_log().count("can't be uploaded to") <= 2


def exits(nginx, main, http, environment):
    """Seconds that each of some workers took to exit with a period to close."""
    configure(nginx, main, workers=1, period="1h", http=http).start(environment)
    found = []
    for _ in range(7):
        work(nginx)
        found.append(exit_seconds(nginx))
        wait_until(nginx.workers, "another worker")
    return found


def test_exit_is_bounded(new_nginx):
    """By 200 ms, with a profile and spans for somebody who never answers. What a
    busy machine adds to both is taken off, and the median leaves out what it adds
    to one; the limit is far from the bound, and nearer than any time-out."""
    plain = exits(new_nginx(), "", "", {})
    with Receiver("hang") as receiver:
        nginx = new_nginx()
        hanging = exits(nginx, f"profiler_upload datadog {receiver.url};",
                        "profiler_trace on;",
                        {"DD_TRACE_AGENT_URL": receiver.url})
        assert says_that_it_lost_some(nginx)
    assert median(hanging) - median(plain) < 1.5, (hanging, plain)


@pytest.mark.skipif(bool(SAN_PRELOAD), reason="a sanitizer has its own memory")
def test_memory_of_the_leader(nginx):
    """After uploads it is bounded as any worker's, history aside: what the
    leader merges, symbolizes and encodes with is given back."""
    def start(main):
        nginx.write_conf(
            modules=("ngx_http_count_module", "ngx_profiler_module"),
            main=main, server=SERVER, workers=1,
            http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
            f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;")
        nginx.start()

    start("profiler off;")
    work(nginx)
    plain = memory(nginx.worker)["private"]
    nginx.stop()
    with Receiver() as receiver:
        start("profiler on; profiler_history 0; profiler_period 1s;"
              f"profiler_upload datadog {receiver.url};")
        wait_until(lambda: work(nginx) or len(receiver.requests) >= 12,
                   "uploads", timeout=120)
        wait_until(lambda: memory(nginx.worker)["private"] - plain <= 8 << 20,
                   "no more than 8 MB", timeout=60)


def test_metrics(nginx):
    """Of Prometheus, over all workers; destinations that differ in what is not
    shown are one."""
    with Receiver() as receiver:
        other = receiver.url.replace("//", "//user:password@")
        configure(nginx, f"profiler_upload datadog {receiver.url};"
                  f"profiler_upload datadog {other};"
                  f"profiler_upload pyroscope {receiver.url};").start()
        wait_until(lambda: work(nginx) or nginx.get(
            "/debug/pprof/status").json()["uploads"][0]["sent"] > 1,
            "uploads", timeout=60)
        text = nginx.get("/debug/pprof/status?format=prometheus").text
    found = re.findall(r"^nginx_profiler_(upload\w+)\{(.*)\} (\d+)$", text,
                       re.M)
    labels = [(name, label) for name, label, _ in found]
    assert len(set(labels)) == len(labels) == 12
    assert all(f'address="{receiver.url}/' in label for _, label in labels)
    sent = [int(value) for name, label, value in found
            if 'to="datadog"' in label and 'result="sent"' in label]
    assert len(sent) == 1 and sent[0] > 1


def test_one_line_when_it_fails_and_one_when_it_works_again(nginx):
    port = free_port()
    configure(nginx,
              f"profiler_upload datadog http://127.0.0.1:{port};").start()
    nginx.wait_log(r"\[warn\] .*profiles can't be uploaded to http", 60)
    with Receiver(port=port) as receiver:
        receiver.uploads(2)
        nginx.wait_log(r"\[notice\] .*profiles are uploaded again", 60)
    log = nginx.error_log()
    assert log.count("can't be uploaded to") == 1
    assert log.count("uploaded again") == 1


def test_a_failure_that_an_exit_hides_is_said_later(nginx):
    """Nobody hears what a worker finds while it stops: the next leader says it."""
    with Receiver() as receiver:
        configure(nginx, f"profiler_upload datadog {receiver.url};", workers=1,
                  period="2s").start()
        nginx.wait_log("profiles are uploaded to", 60)
        receiver.behave = 404
        work(nginx)
        old = nginx.worker
        os.kill(old, signal.SIGTERM)
        wait_until(lambda: not alive(old) and nginx.workers(), "another worker")
        nginx.wait_log("profiles can't be uploaded to", 60)


def test_key_is_nowhere_but_in_the_request(nginx, tmp_path):
    """Not in the log at level debug, in `status`, or in the title or the
    arguments of a process; also where it is refused."""
    context, certificate = tls_context(tmp_path)
    trusted = nginx.write_file("certificate.pem", certificate.read_bytes())
    with Receiver(403, tls=context) as receiver:
        configure(nginx, "profiler_upload datadog;", log_level="debug").start({
            "DD_API_KEY": KEY, "DD_PROFILING_AGENTLESS": "true",
            "DD_PROFILING_URL": receiver.url + "/api/v2/profile",
            "SSL_CERT_FILE": str(trusted)})
        receiver.uploads(1)
        wait_until(lambda: nginx.get("/debug/pprof/status").json()
                   ["uploads"][0]["refused"] >= 1, "a refused upload")
        assert receiver.requests[0].headers["dd-api-key"] == KEY
        nginx.wait_log(r"can't be uploaded to https://.*HTTP status 403")
        seen = [nginx.error_log(), nginx.output()]
        for path in ("status", "status?format=prometheus", "cmdline", ""):
            seen.append(nginx.get(f"/debug/pprof/{path}").text)
        for pid in [nginx.master, *nginx.workers()]:
            seen.append(Path(f"/proc/{pid}/cmdline").read_text())
        assert not any(KEY in text for text in seen)
    assert KEY not in nginx.error_log()
