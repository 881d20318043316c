"""What is told of the cost of profiling follows from what was measured."""

import json
import os
import random
import sys
from collections import Counter

import pytest

ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
sys.path.insert(0, os.path.join(ROOT, "bench"))

import overhead_cost  # noqa: E402
import overhead_figures  # noqa: E402
import overhead_servers  # noqa: E402
import overhead_table  # noqa: E402
import readme_figures  # noqa: E402
from test_bench_smoke import load_program  # noqa: E402


def comparison(low, high, rival="profiler"):
    return {
        "load": "static",
        "rival": rival,
        "us_without": 30.0,
        "ratio": {
            "median": (low + high) / 2,
            "low": low,
            "high": high,
            "pairs": 100,
        },
    }


def summary(comparisons):
    calibration = {"best_ns": 1.5, "load_average": 0.25}
    return {
        "machine": {"cpu": "a CPU", "cores": 2, "virtual": True},
        "calibration": {"before": calibration, "after": calibration},
        "comparisons": comparisons,
        "cost": {
            "handler_ns": 1234.0,
            "handler_p99_ns": 3072,
            "sample_ns": 45000.0,
            "private_bytes": 3 << 20,
        },
    }


@pytest.mark.parametrize(
    "low, high, told",
    [(0.999, 1.01, "met"), (1.0, 1.0101, "open"), (1.011, 1.02, "missed")],
)
def test_an_aim_is_met_by_the_whole_interval(low, high, told):
    text = overhead_table.render(summary([comparison(low, high)]))
    assert text.splitlines()[2].split()[-1] == told


def test_others_have_no_aim():
    text = overhead_table.render(summary([comparison(1.5, 1.6, "gperftools")]))
    assert text.splitlines()[2].split()[-1] == "100"


def test_the_table_has_all_figures():
    text = overhead_table.render(summary([comparison(0.999, 1.005)]))
    assert max(map(len, text.splitlines())) <= 88
    for figure in ("30.00", "1.0020", "0.9990 to 1.0050", "1.23 us",
                   "below 3.07 us", "45.0 us", "0.45%", "3.0 MB"):
        assert figure in text


@pytest.mark.parametrize("before, after, busy",
                         [(0.2, 1.8, False), (1.1, 1.8, True),
                          (0.2, 3.1, True)])
def test_a_busy_machine_is_told(before, after, busy):
    result = summary([comparison(0.999, 1.005)])
    result["calibration"] = {
        "before": {"best_ns": 1.5, "load_average": before},
        "after": {"best_ns": 1.5, "load_average": after},
    }
    assert ("had other work to do" in overhead_table.render(result)) == busy


def test_an_interval_of_one_start_has_a_width():
    """Its pairs are all there is to resample."""
    source = random.Random(5)
    module = load_program("overhead")
    figures = module.Comparison("static", "profiler", pairs_per_start=10)
    figures.pairs = [(source.gauss(100, 5), 100) for _ in range(10)]
    ratio = figures.ratio()
    assert ratio.low < ratio.median < ratio.high


def test_every_name_has_a_text():
    assert set(overhead_table.LOADS) == set(overhead_servers.LOADS)
    assert set(overhead_table.PROFILERS) == set(overhead_servers.RIVALS)


@pytest.mark.parametrize("share, bound", [(0.5, 10), (0.99, 20), (1, 40)])
def test_percentiles_of_a_distribution(share, bound):
    buckets = Counter({40: 1, 10: 60, 20: 39})
    assert overhead_cost.percentile(buckets, share) == bound


class Account:
    """A profiled side that says what it is told to."""

    def __init__(self, runs, mean, samples, threads_ns, handler, private):
        self._private = private
        self._cost = {
            "handler_runs": runs,
            "handler_ns": mean,
            "samples": samples,
            "profiler_thread_ns": threads_ns // 4 * 3,
            "looker_thread_ns": threads_ns // 4,
            "export_thread_ns": 0,
            "handler": [
                {"under_ns": bound, "runs": n} for bound, n in handler.items()
            ],
        }

    def status(self):
        return {"cost": self._cost}

    def private_bytes(self):
        return self._private


def test_cost_is_that_of_the_time_measured(monkeypatch):
    monkeypatch.setattr(overhead_cost, "Profiled", Account)
    cost = overhead_cost.Cost()
    assert cost.summary() is None
    none = Account(0, 0, 0, 0, {}, 1000)
    cost.begin(Account(10, 5000, 10, 10**6, {8000: 10}, 0))
    cost.end(
        Account(30, 3000, 30, 2 * 10**6, {2048: 20, 8000: 10}, 5000), none
    )
    cost.begin(object())
    cost.end(object(), none)
    told = cost.summary()
    assert told["samples"] == 20
    assert told["handler_ns"] == (30 * 3000 - 10 * 5000) / 20
    assert told["handler_p99_ns"] == 2048
    assert told["sample_ns"] == 50000
    assert told["private_bytes"] == 4000


@pytest.mark.parametrize("readme", readme_figures.READMES,
                         ids=lambda path: path.name)
def test_figures_are_ones_that_the_benchmark_printed(readme):
    kept = json.loads(overhead_figures.KEPT.read_text())
    shown = readme_figures.shown(readme, overhead_figures.MARK)
    assert shown == overhead_figures.block(kept)
