"""The model of ticks: what docs/accuracy.md says that it says."""

import os
import sys

ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
sys.path.insert(0, os.path.join(ROOT, "bench"))

import tick_model  # noqa: E402


def errors(shares, rate, **settings):
    seen = tick_model.seen_shares(shares, rate, bursts=100000, **settings)
    assert abs(sum(seen) - 1) < 1e-9
    return [100 * (s - t) for s, t in zip(seen, shares)]


def test_the_first_function_of_a_burst_is_seen_too_little():
    first, _, last = errors((0.5, 0.3, 0.2), 199)
    assert -5 < first < -3
    assert 2 < last < 4


def test_without_ticks_shares_are_right(monkeypatch):
    monkeypatch.setattr(tick_model, "TICK_MS", 0.02)
    found = errors((0.5, 0.3, 0.2), 199)
    assert max(abs(error) for error in found) < 1


def test_one_function_has_all():
    assert tick_model.seen_shares((1.0,), 99, bursts=1000) == [1.0]
