"""./demo.sh as a newcomer runs it: the script, its files, its failures.

Each run has its own port and its own folder for what it writes, and uses the
build of the test run.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from nginx_instance import BUILD, SOURCE, free_port, wait_until

sys.path.insert(0, str(SOURCE / "demo"))

import load_generators  # noqa: E402
import pprof_reader  # noqa: E402

# Seconds that a whole demo may take, compiling aside, and any run with it.
WHOLE = 85
RUN_LIMIT = 400

FILES = ("v1.cpu.pb.gz", "v2.cpu.pb.gz", "summary.json")


def has_k6():
    try:
        load_generators.choose("k6")
    except load_generators.LoadError:
        return False
    return True


class DemoRun:
    """./demo.sh with a folder and a port of its own; variables: more of the
    environment."""

    def __init__(self, folder, port=None, **variables):
        self.folder = folder
        self.port = port or free_port()
        self.environment = {
            **os.environ, "BUILD": str(BUILD.relative_to(SOURCE)),
            "OUT": str(folder), "PORT": str(self.port), "LOAD": "h2load",
            **variables}
        self.output = ""

    def start(self, *arguments):
        # a shell's background jobs ignore SIGINT, and so would this
        return subprocess.Popen(
            [SOURCE / "demo.sh", *arguments], env=self.environment,
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *arguments):
        """Runs it to its end; returns the exit status."""
        process = self.start(*arguments)
        try:
            self.output, _ = process.communicate(timeout=RUN_LIMIT)
        except subprocess.TimeoutExpired:
            process.terminate()
            self.output, _ = process.communicate()
            pytest.fail(f"did not end:\n{self.output}")
        return process.returncode

    def last_stamp(self):
        """Seconds from the end of the build to the last line of progress."""
        return float(re.findall(r"^\[ *([0-9.]+) s\]", self.output, re.M)[-1])

    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    def left_over(self):
        """Processes that have the folder in their command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if str(self.folder).encode() in line:
                found[int(entry.name)] = line.decode(errors="replace")
        return found


@pytest.fixture
def demo(tmp_path):
    """A function that makes a DemoRun; whatever it left is stopped."""
    made = []

    def make(**keywords):
        # nginx's workers, as www-data, have to reach the input file.
        folder = BUILD / "it" / f"demo-{os.getpid()}-{tmp_path.name}"
        run = DemoRun(folder, **keywords)
        made.append(run)
        return run

    yield make
    for run in made:
        run.run("--stop")
        left = run.left_over()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left
        shutil.rmtree(run.folder, ignore_errors=True)


def check_versions(summary):
    v1, v2 = summary["versions"]["v1"], summary["versions"]["v2"]
    assert (v1["algorithm"], v1["version"]) == ("bubble", "1.0.0")
    assert (v2["algorithm"], v2["version"]) == ("qsort", "2.0.0")
    rate = summary["load"]["requests_per_second"]
    for version in (v1, v2):
        assert version["samples"] >= 200
        assert version["errors"] == 0
        assert version["requests"] > 0
        assert version["requests_per_second"] == pytest.approx(rate, rel=0.1)
        latency = version["latency_ms"]
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
        # What was sampled is what the kernel counted, as far as that many
        # samples can say.
        assert version["profile_cpu_seconds"] == pytest.approx(
            version["cpu_seconds"], rel=0.4)
        # The probe's requests are served too; and where other work takes the
        # cores, v1 may be behind when its window ends.
        probes = 5 * version["window_seconds"] + 5
        assert 0.5 < version["served"] / version["requests"]
        assert version["served"] <= version["requests"] + probes
    assert v1["cpu_ms_per_request"] > 3 * v2["cpu_ms_per_request"]
    # Sorting was most of what v1 did, so it is most of what a request took.
    assert v1["latency_ms"]["p50"] > v2["latency_ms"]["p50"]


def check_functions(summary):
    rows = {row["name"]: row for row in summary["functions"]}
    first = summary["functions"][0]
    assert first["name"] == "bubble_sort"
    assert first["change"] == "gone"
    assert first["v1"]["share"] > 0.5
    assert first["v2"]["share"] == 0
    # By name, though the C library has no symbol for it.
    assert rows["msort_with_tmp"]["change"] == "new"
    per_request = first["v1"]["us_per_request"] / 1e3
    assert per_request == pytest.approx(
        summary["versions"]["v1"]["cpu_ms_per_request"], rel=0.5)


def check_profiles(demo_run):
    decoder = pprof_reader.generate_decoder(demo_run.folder / "decoder")
    v1, v2 = (pprof_reader.CpuProfile(
        decoder, (demo_run.folder / name).read_bytes()) for name in FILES[:2])
    assert v1.self_ns.most_common(1)[0][0] == "bubble_sort"
    assert v1.total_ns["count"] >= v1.self_ns["bubble_sort"]
    sort = max(v2.total_ns["qsort"], v2.total_ns["qsort_r"])
    # A request of v2 is as much nginx's work as it is sorting; what sorts is
    # most of what `count` takes.
    assert sort > v2.cpu_ns / 4
    assert sort > 0.9 * v2.total_ns["count"]
    assert "bubble_sort" not in v2.total_ns


def check_report(demo_run):
    report = demo_run.folder / "report.html"
    if not (BUILD / "web" / "page.html").exists():
        assert "NOTE: no report.html" in demo_run.output
        assert not report.exists()
        return
    text = report.read_text()
    inside = json.loads(re.search(
        r'<script type="application/json" id="profiles">(.*?)</script>',
        text, re.S).group(1))
    assert [base64.b64decode(profile["data"]) for profile in inside] == [
        (demo_run.folder / name).read_bytes() for name in FILES[:2]]
    served = [version["served"]
              for version in demo_run.summary()["versions"].values()]
    assert [profile["requests"] for profile in inside] == served
    assert f"file://{report}\n" in demo_run.output


def check_output(demo_run):
    for name in FILES:
        path = demo_run.folder / name
        assert path.stat().st_size > 0
        assert f"{path.name}\n" in demo_run.output
    for text in ("requests/s", "p99, ms", "CPU per request", "bubble_sort",
                 "gone", "new", " 0 lost", "go tool pprof -top"):
        assert text in demo_run.output


@pytest.mark.parametrize("load", ["h2load", "k6"])
def test_demo_compares_both_versions(demo, load):
    if load == "k6" and not has_k6():
        pytest.skip("no k6")
    run = demo(LOAD=load)
    assert run.run(*(["--serve"] if load == "h2load" else [])) == 0, run.output
    summary = run.summary()
    assert summary["load"]["generator"] == load
    assert summary["load"]["failed"] == 0
    assert summary["swap"]["lost"] == 0
    assert 0 < summary["swap"]["after_requests"] < summary["load"]["requests"]
    check_versions(summary)
    check_functions(summary)
    check_profiles(run)
    check_output(run)
    check_report(run)
    assert run.last_stamp() < WHOLE
    if load == "h2load":
        check_it_serves_until_stopped(run)
    assert not run.left_over()


def check_it_serves_until_stopped(run):
    assert "./demo.sh --stop" in run.output
    assert ("/debug/pprof/ui\n" in run.output) == (
        BUILD / "web" / "page.html").exists()
    url = f"http://127.0.0.1:{run.port}/count"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert json.load(answer)["version"] == "2.0.0"
    before = run.output
    assert run.run() == 1
    assert "earlier run" in run.output
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
    assert run.run("--stop") == 0
    run.output = before


def test_a_profile_with_too_few_samples_fails(demo):
    run = demo(WINDOW_V1="2", WINDOW_V2="1")
    assert run.run() == 1
    assert "the profile of v2 has" in run.output
    assert "fewer than 200" in run.output
    assert run.summary()["versions"]["v2"]["samples"] < 200
    assert not run.left_over()


def test_a_port_that_is_taken_is_said(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = demo(port=taken.getsockname()[1])
        assert run.run() == 1
    assert f"port {run.port} of 127.0.0.1 can't be used" in run.output
    assert "PORT=" in run.output
    assert not run.left_over()


def test_a_lost_request_fails(demo, tmp_path):
    """A load generator that saw one connection die."""
    wrapper = tmp_path / "h2load"
    wrapper.write_text(f"""#!/bin/sh
{shutil.which("h2load")} "$@" || exit
for argument; do
    case $argument in --log-file=*) log=${{argument#*=}} ;; esac
done
sed -i '$s/\\t200\\t/\\t-1\\t/' "$log"
""")
    wrapper.chmod(0o755)
    run = demo(WINDOW_V1="2", WINDOW_V2="1",
               PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert run.run() == 1
    assert "1 of " in run.output and "requests failed" in run.output
    assert run.summary()["load"]["failed"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(demo, number):
    run = demo()
    process = run.start()
    records = run.folder / "h2load.records"
    wait_until(records.exists, "the load", timeout=60)
    process.send_signal(number)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 1, output
    assert "interrupted" in output
    assert not run.left_over()
    assert not (run.folder / "summary.json").exists()


def test_a_stale_pid_file_is_not_trusted(demo):
    """Its number is another process's: ours, which must survive."""
    run = demo()
    logs = run.folder / "nginx" / "logs"
    logs.mkdir(parents=True)
    (logs / "nginx.pid").write_text(f"{os.getpid()}\n")
    assert run.run("--stop") == 0
    assert "no nginx of the demo runs" in run.output


@pytest.mark.parametrize("arguments, variables, message", [
    (["--nonsense"], {}, "Usage"),
    ([], {"PORT": "http"}, "PORT must be a number"),
])
def test_wrong_usage(demo, arguments, variables, message):
    run = demo(**variables)
    assert run.run(*arguments) == 2
    assert message in run.output
    run.environment["PORT"] = str(run.port)


@pytest.mark.parametrize("variables, message", [
    ({"LOAD": "siege"}, "LOAD must be k6, h2load or auto"),
    ({"WINDOW_V1": "soon"}, "WINDOW_V1 must be"),
])
def test_wrong_variables(demo, variables, message):
    run = demo(**variables)
    assert run.run() == 1
    assert message in run.output
    assert not run.left_over()
