"""libnprof in a worker of our own: see tests/stress/worker_stress.c."""

import subprocess

import pytest

from nginx_instance import ALGORITHMS, BUILD, LONG, MODULES, SAN_PRELOAD


@pytest.mark.skipif(bool(SAN_PRELOAD), reason="tests/sanitize.sh runs it")
def test_workers_under_stress():
    done = subprocess.run(
        [BUILD / "stress" / "worker_stress", MODULES / "libnprof.so",
         ALGORITHMS / "libsort_v1.so", "300" if LONG else "5"],
        capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done
    assert done.stdout.endswith(" workers\n")
