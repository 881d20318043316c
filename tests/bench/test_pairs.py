"""The statistics that every benchmark's figures go through."""

import math
import os
import random
import statistics
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
sys.path.insert(0, os.path.join(os.path.abspath(ROOT), "bench"))

import pairs  # noqa: E402


def lognormal_pairs(source, count, ratio, noise):
    """Pairs whose ratio is off by noise, under a drift that both share."""
    result = []
    for index in range(count):
        drift = math.exp(index / count)
        result.append(
            (
                drift * ratio * math.exp(source.gauss(0, noise)),
                drift * math.exp(source.gauss(0, noise)),
            )
        )
    return result


def test_alternates_the_order():
    calls = []

    def run(name):
        calls.append(name)
        return len(calls)

    result = pairs.alternate(lambda: run("a"), lambda: run("b"), 3)
    assert "".join(calls) == "abbaab"
    assert result == [(1, 2), (4, 3), (5, 6)]


def test_median_is_that_of_the_ratios_not_of_the_figures():
    result = pairs.median_ratio([(2, 1), (30, 10), (400, 100)])
    assert result.median == pytest.approx(3)
    assert result.pairs == 3
    assert result.low == pytest.approx(2)
    assert result.high == pytest.approx(4)


def test_swapped_sides_give_the_reciprocal():
    source = random.Random(7)
    figures = lognormal_pairs(source, 10, 1.4, 0.2)
    ab = pairs.median_ratio(figures)
    ba = pairs.median_ratio([(b, a) for a, b in figures])
    assert ab.median == pytest.approx(1 / ba.median)
    assert ab.low == pytest.approx(1 / ba.high, rel=0.02)


def test_equal_input_gives_an_equal_interval():
    figures = lognormal_pairs(random.Random(3), 9, 2, 0.3)
    assert pairs.median_ratio(figures) == pairs.median_ratio(list(figures))


def test_exact_ratios_have_no_width():
    result = pairs.median_ratio([(3, 2), (6, 4), (9, 6)])
    assert result.low == result.median == result.high == pytest.approx(1.5)


def test_one_wild_pair_does_not_move_the_median():
    figures = [(2, 1)] * 8 + [(1000, 1)]
    assert pairs.median_ratio(figures).median == pytest.approx(2)


@pytest.mark.parametrize("count", [9, 10, 21])
def test_interval_covers_the_truth(count):
    source = random.Random(count)
    truth, trials = 1.5, 200
    covered = 0
    for _ in range(trials):
        figures = lognormal_pairs(source, count, truth, 0.1)
        logs = [math.log(a / b) for a, b in figures]
        low, high = pairs.bootstrap_interval(logs, resamples=400)
        covered += low <= math.log(truth) <= high
    assert 0.88 <= covered / trials <= 0.995


def test_blocks_are_resampled_together():
    """What the pairs of a block have in common does not average out."""
    source = random.Random(11)
    figures = []
    for _ in range(30):
        shared = 1.5 * math.exp(source.gauss(0, 0.1))
        figures += lognormal_pairs(source, 10, shared, 0.01)
    alone = pairs.median_ratio(figures)
    blocks = pairs.median_ratio(figures, block=10)
    assert blocks.median == alone.median
    assert blocks.high - blocks.low > 2 * (alone.high - alone.low)
    assert blocks.low < 1.5 < blocks.high


def test_an_incomplete_block_counts_too():
    low, high = pairs.bootstrap_interval([1, 1, 1, 9], block=3)
    assert (low, high) == (1, 9)


def test_a_higher_level_is_wider():
    source = random.Random(5)
    values = [source.gauss(0, 1) for _ in range(30)]
    low, high = pairs.bootstrap_interval(values, level=0.5)
    wide_low, wide_high = pairs.bootstrap_interval(values, level=0.99)
    assert wide_low < low <= statistics.median(values) <= high < wide_high


def test_an_aim_is_cleared_by_the_whole_interval_only():
    assert pairs.Ratio(2.0, 1.5, 2.5, 9).clears(1.5)
    assert not pairs.Ratio(2.0, 1.49, 2.5, 9).clears(1.5)


@pytest.mark.parametrize("figures", [[], [(1, 0)], [(0, 1)], [(1, -1)]])
def test_refuses_what_has_no_ratio(figures):
    with pytest.raises(ValueError):
        pairs.median_ratio(figures)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_refuses_a_level_that_is_no_probability(level):
    with pytest.raises(ValueError):
        pairs.bootstrap_interval([1, 2, 3], level=level)
