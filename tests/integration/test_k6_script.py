"""k6/count_load.js with a real k6 on a real nginx: both scenarios, what it
refuses, and what it says."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from nginx_instance import ALGORITHMS, SOURCE

K6 = (os.environ.get("K6") or shutil.which("k6")
      or shutil.which("k6", path=str(Path.home() / "go" / "bin")))
SCRIPT = SOURCE / "k6" / "count_load.js"
THRESHOLD_CROSSED = 99

pytestmark = pytest.mark.skipif(K6 is None, reason="no k6")


@pytest.fixture
def target(nginx):
    """The URL of a /count that is sorted by qsort."""
    nginx.write_file("conf/input.txt", "3 1 2\n")
    nginx.write_conf(
        http=f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;",
        server="location = /count { count; count_sort v2; "
               "count_input input.txt; }")
    nginx.start()
    return f"http://127.0.0.1:{nginx.port}/count"


def run_k6(target, **environment):
    """k6 on the target; (exit status, what it wrote to stdout)."""
    done = subprocess.run(
        [K6, "run", "--quiet", "--no-usage-report", "--address", "", SCRIPT],
        env={**os.environ, "TARGET": target, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=120, check=False)
    return done.returncode, done.stdout.decode()


def test_constant_rate(target, tmp_path):
    """No more requests than planned, a text on stdout, JSON in a file, and the
    version as a tag of what is measured."""
    summary = tmp_path / "summary.json"
    points = tmp_path / "points.json"
    status, text = run_k6(
        target, RATE="20", DURATION="2", VERSION="2.0.0", COUNT="3",
        P95="60000", SUMMARY=str(summary), K6_OUT=f"json={points}")
    assert status == 0, text
    assert "version 2.0.0" in text and "thresholds  all kept" in text
    assert "capacity" not in text
    metrics = json.loads(summary.read_text())["metrics"]
    assert metrics["dropped_iterations"]["values"]["count"] == 0
    # One more may be made at the very end of the time; a machine that stands
    # still makes fewer.
    assert 0 < metrics["http_reqs"]["values"]["count"] <= 41
    for line in points.read_text().splitlines():
        point = json.loads(line)
        if point["type"] == "Point" and point["metric"] == "http_reqs":
            assert point["data"]["tags"]["version"] == "2.0.0"


@pytest.mark.parametrize("environment, crossed", [
    ({"VERSION": "1.0.0"}, "checks"),
    ({"COUNT": "4"}, "checks"),
    ({"P95": "0.001"}, "http_req_duration"),
])
def test_what_is_wrong_is_said(target, environment, crossed):
    status, text = run_k6(target, RATE="20", DURATION="1", **environment)
    assert status == THRESHOLD_CROSSED, text
    assert f"crossed: {crossed}" in text


def test_failed_requests_are_said(target):
    status, text = run_k6(f"{target}-not", RATE="20", DURATION="1")
    assert status == THRESHOLD_CROSSED, text
    assert "http_req_failed" in text


def test_server_that_does_not_keep_up_is_said():
    """One that takes connections and never answers: all users wait, the next
    iteration is dropped, and that alone ends the ramp."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        status, text = run_k6(
            f"http://127.0.0.1:{server.getsockname()[1]}/count",
            SCENARIO="ramp", RATE="20", MAX_RATE="21", DURATION="1m",
            P95="60000")
    assert status == THRESHOLD_CROSSED, text
    assert "crossed: dropped_iterations\n" in text


def test_ramp_ends_at_its_capacity(target):
    """A percentile that no server keeps ends the ramp at its first look, long
    before its time, and the rate of that moment is what it says."""
    status, text = run_k6(target, SCENARIO="ramp", RATE="20", MAX_RATE="40",
                          DURATION="5m", P95="0.001")
    assert status == THRESHOLD_CROSSED, text
    reached = [line.split() for line in text.splitlines()
               if line.startswith("capacity")]
    assert 20 <= float(reached[0][1]) < 40


def test_ramp_that_meets_no_limit(target):
    status, text = run_k6(target, SCENARIO="ramp", RATE="5", MAX_RATE="10",
                          DURATION="2s", P95="60000")
    assert status == 0, text
    assert "capacity    more than 10 requests/s" in text


@pytest.mark.parametrize("environment, complaint", [
    ({"SCENARIO": "spike"}, "SCENARIO must be constant or ramp"),
    ({"RATE": "-1"}, "RATE must be a positive number"),
])
def test_refuses(environment, complaint):
    done = subprocess.run(
        [K6, "run", "--quiet", "--no-usage-report", "--address", "", SCRIPT],
        env={**os.environ, **environment}, capture_output=True, timeout=60,
        check=False)
    assert done.returncode not in (0, THRESHOLD_CROSSED)
    assert complaint in done.stderr.decode()
