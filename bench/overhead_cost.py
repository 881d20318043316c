"""What the profiler says of its own cost while bench/overhead measures."""

from collections import Counter

from overhead_servers import Profiled

SUMS = (
    "handler_runs",
    "samples",
    "profiler_thread_ns",
    "looker_thread_ns",
    "export_thread_ns",
)


class Cost:
    """Adds up the accounts of all profiled workers, from begin() to end() of
    each; other sides have none and are passed over."""

    def __init__(self):
        self._sums = Counter()
        self._handler = Counter()
        self._private = []
        self._before = None

    def begin(self, side):
        """The side is about to be measured."""
        if isinstance(side, Profiled):
            self._before = _account(side)

    def end(self, side, without):
        """The side was measured, and so was the one without a profiler."""
        if not isinstance(side, Profiled):
            return
        sums, handler = _account(side)
        self._sums += sums - self._before[0]
        self._handler += handler - self._before[1]
        self._private.append(side.private_bytes() - without.private_bytes())

    def summary(self):
        """None if nothing was profiled."""
        if not self._sums["samples"]:
            return None
        samples = self._sums["samples"]
        return {
            "handler_runs": self._sums["handler_runs"],
            "handler_ns": self._sums["handler_ns"] / self._sums["handler_runs"],
            "handler_p99_ns": percentile(self._handler, 0.99),
            "samples": samples,
            "sample_ns": (
                self._sums["profiler_thread_ns"]
                + self._sums["looker_thread_ns"]
            )
            / samples,
            "export_thread_ns": self._sums["export_thread_ns"] / samples,
            "private_bytes": max(self._private),
        }


def _account(side):
    """The counters of a worker: sums, and runs of the handler by the bound
    that they are below."""
    cost = side.status()["cost"]
    sums = Counter({name: cost[name] for name in SUMS})
    sums["handler_ns"] = cost["handler_ns"] * cost["handler_runs"]
    handler = Counter(
        {
            bucket["under_ns"] or float("inf"): bucket["runs"]
            for bucket in cost["handler"]
        }
    )
    return sums, handler


def percentile(buckets, share):
    """The bound below which that share of the values of {bound: count} is."""
    wanted = share * buckets.total()
    seen = 0
    for bound in sorted(buckets):
        seen += buckets[bound]
        if seen >= wanted:
            return bound
    return None
