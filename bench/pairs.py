"""The statistics of every benchmark: ratios from alternating pairs of runs.

Two things are compared by running them in turn, A B, B A, A B ..., so that a
machine that slows down or is shared hits both. Each pair gives one ratio; the
result is the median of the ratios with a bootstrap confidence interval, and
nothing is thrown away. All of it is on the logarithms, so that A against B is
exactly the reciprocal of B against A. Pairs that share something by chance, as
those of one start of the processes do, are resampled together, as a block.
"""

import itertools
import math
import random
import statistics
from dataclasses import dataclass

RESAMPLES = 5000
SEED = 20240229


@dataclass(frozen=True)
class Ratio:
    """A median ratio, the bounds of its confidence interval, its pairs."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self):
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def clears(self, aim):
        """Whether the whole interval is at the aim or above it."""
        return self.low >= aim


def alternate(first, second, pairs):
    """Calls first() and second() in turn, each pair in the other order than
    the one before; returns the list of (result of first, of second)."""
    results = []
    for index in range(pairs):
        if index % 2 == 0:
            a = first()
            b = second()
        else:
            b = second()
            a = first()
        results.append((a, b))
    return results


def bootstrap_interval(
    values, level=0.95, resamples=RESAMPLES, seed=SEED, block=1
):
    """The percentile bootstrap interval (low, high) of the median of values,
    each `block` of which, in their order, are resampled together.

    The seed is fixed: equal values give an equal interval."""
    if not values:
        raise ValueError("no values")
    if not 0 < level < 1:
        raise ValueError(f"confidence level {level} is not in (0, 1)")
    source = random.Random(seed)
    blocks = [values[i : i + block] for i in range(0, len(values), block)]
    medians = sorted(
        statistics.median(
            itertools.chain.from_iterable(source.choices(blocks, k=len(blocks)))
        )
        for _ in range(resamples)
    )
    tail = (1 - level) / 2
    low = math.floor(tail * (resamples - 1))
    return medians[low], medians[resamples - 1 - low]


def median_ratio(pairs, level=0.95, block=1):
    """The Ratio a/b of pairs (a, b) of positive figures; block: see
    bootstrap_interval()."""
    if any(a <= 0 or b <= 0 for a, b in pairs):
        raise ValueError("a ratio needs positive figures")
    logs = [math.log(a / b) for a, b in pairs]
    low, high = bootstrap_interval(logs, level, block=block)
    return Ratio(
        math.exp(statistics.median(logs)),
        math.exp(low),
        math.exp(high),
        len(pairs),
    )
