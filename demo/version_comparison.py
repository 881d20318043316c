"""Turns what was measured of two versions into the figures of summary.json.

Pure arithmetic: no file, process or clock. CPU is always per request, so that
windows of different lengths compare.
"""

from dataclasses import dataclass

# How many functions of each version are compared.
TOP_FUNCTIONS = 8

# Share of a version's CPU below which a function is left out, even among those.
MIN_SHARE = 0.005

# A function without a sample in one version is called new or gone only if so
# many would have been expected there at the other version's CPU per request:
# with fewer, seeing none is chance (5 % at 3).
EXPECTED_SAMPLES = 3.0


@dataclass
class Measurement:
    """One version over one window.

    started, seconds   the window: Unix time and length
    requests           load_generators.Request that started in it
    served             requests that the worker answered in it, probes too
    cpu_seconds        CPU time of the worker in it, all threads
    profile            pprof_reader.CpuProfile of it
    algorithm, version as /count names itself
    """

    started: float
    seconds: float
    requests: list
    served: int
    cpu_seconds: float
    profile: object
    algorithm: str
    version: str


def percentile(values, percent):
    """The smallest value that at least `percent` % of all reach; None without
    values."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def figures(measured, profile_path):
    """The figures of one Measurement as a dict for JSON."""
    latencies = [r.seconds * 1e3 for r in measured.requests if r.ok]
    return {
        "algorithm": measured.algorithm,
        "version": measured.version,
        "window_seconds": round(measured.seconds, 3),
        "requests": len(measured.requests),
        "errors": sum(not r.ok for r in measured.requests),
        "requests_per_second":
            round(len(measured.requests) / measured.seconds, 2),
        "latency_ms": {f"p{p}": _rounded(percentile(latencies, p), 3)
                       for p in (50, 95, 99)},
        "served": measured.served,
        "cpu_seconds": round(measured.cpu_seconds, 4),
        "cpu_ms_per_request":
            round(1e3 * measured.cpu_seconds / max(measured.served, 1), 4),
        "samples": measured.profile.samples,
        "profile_cpu_seconds": round(measured.profile.cpu_ns / 1e9, 4),
        "profile": str(profile_path),
    }


def functions(v1, v2):
    """The top functions by self CPU of two Measurements: a list of dicts, the
    one with the largest share first."""
    names = {name for measured in (v1, v2) for name, _ in
             measured.profile.self_ns.most_common(TOP_FUNCTIONS)}
    rows = [_function(name, v1, v2) for name in names]
    return sorted((row for row in rows if _larger_share(row) >= MIN_SHARE),
                  key=lambda row: (-_larger_share(row), row["name"]))


def _larger_share(row):
    return max(row["v1"]["share"], row["v2"]["share"])


def _function(name, v1, v2):
    return {
        "name": name,
        "v1": _self_cpu(name, v1),
        "v2": _self_cpu(name, v2),
        "change": _change(name, v1, v2),
    }


def _self_cpu(name, measured):
    cpu_ns = measured.profile.self_ns[name]
    return {
        "share": round(cpu_ns / max(measured.profile.cpu_ns, 1), 4),
        "us_per_request":
            round(cpu_ns / 1e3 / max(measured.served, 1), 2),
    }


def _change(name, v1, v2):
    """"new", "gone" or "" where it is neither or can't be told."""
    if _vanished(name, v2, v1):
        return "new"
    if _vanished(name, v1, v2):
        return "gone"
    return ""


def _vanished(name, there, here):
    """Whether a function of `there` has no sample `here`, although it would
    have some if it still cost the same."""
    cpu_ns = there.profile.self_ns[name]
    if not cpu_ns or here.profile.self_ns[name] or not there.served:
        return False
    ns_per_sample = there.profile.cpu_ns / there.profile.samples
    expected = cpu_ns / there.served * here.served / ns_per_sample
    return expected >= EXPECTED_SAMPLES


def _rounded(value, digits):
    return None if value is None else round(value, digits)
