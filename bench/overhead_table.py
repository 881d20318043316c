"""The result of bench/overhead as text, for the terminal and the READMEs."""

import report

AIM = 1.01

PROFILERS = {
    "profiler": "this profiler",
    "heap-alone": "this profiler, heap alone",
    "without-heap": "this profiler, no heap",
    "gperftools": "gperftools",
    "perf-fp": "perf record, frame pointers",
    "perf-dwarf": "perf record, DWARF",
    "nothing": "none (control)",
}

# What the aim is for.
WITH_AIM = ("profiler", "heap-alone")

LOADS = {
    "static": "static, 1 KB",
    "proxy": "proxy, 1 KB",
    "tls-bulk": "TLS, 256 KB",
    "count": "/count v2",
}


def render(summary):
    """The whole text."""
    rows = [_row(comparison) for comparison in summary["comparisons"]]
    headings = ["load", "profiler", "us", "ratio", "95 %", "pairs", "aim"]
    text = (
        report.table(headings, rows)
        + "\nus: CPU time of a request without a profiler; ratio: with it, by "
        "that;\nmedian of all pairs of bursts and its 95 % interval; "
        f"aim: up to {AIM}, met by the\nwhole interval, missed by the whole "
        "of it, or open\n"
    )
    if summary["cost"] is not None:
        text += "\n" + _cost(summary["cost"])
    return text + _machine(summary["machine"], summary["calibration"])


def _row(comparison):
    ratio = comparison["ratio"]
    return [
        LOADS[comparison["load"]],
        PROFILERS[comparison["rival"]],
        f'{comparison["us_without"]:.2f}',
        f'{ratio["median"]:.4f}',
        f'{ratio["low"]:.4f} to {ratio["high"]:.4f}',
        ratio["pairs"],
        _verdict(comparison["rival"], ratio),
    ]


def _verdict(rival, ratio):
    if rival not in WITH_AIM:
        return ""
    if ratio["high"] <= AIM:
        return "met"
    return "missed" if ratio["low"] > AIM else "open"


def _cost(cost):
    core = cost["sample_ns"] * 100 / 1e9
    return "\n".join(
        [
            f'signal handler: {cost["handler_ns"] / 1e3:.2f} us in the mean '
            f'(aim: 2), 99 of 100 below {cost["handler_p99_ns"] / 1e3:.2f} us '
            "(aim: 10)",
            f'its sampling threads: {cost["sample_ns"] / 1e3:.1f} us a sample, '
            f"{core:.2%} of a core at 100 samples/s (aim: 0.5%)",
            f'private memory: {cost["private_bytes"] / 2**20:.1f} MB more '
            "than without it (aim: 8)",
            "",
        ]
    )


def _machine(machine, calibration):
    before, after = calibration["before"], calibration["after"]
    virtual = "virtual" if machine["virtual"] else "bare"
    # the benchmark itself keeps one core and half of another busy
    busy = (
        before["load_average"] > 0.5 * machine["cores"]
        or after["load_average"] > 1.5 * machine["cores"]
    )
    return (
        "The machine had other work to do, too: the control shows how far off "
        "ratios are.\n"
        if busy
        else ""
    ) + (
        f'machine: {machine["cpu"]}, {machine["cores"]} cores, {virtual}; '
        f'calibration loop {before["best_ns"]:.3f} ns before,\n'
        f'{after["best_ns"]:.3f} ns after; load average '
        f'{before["load_average"]:.2f} before, '
        f'{after["load_average"]:.2f} after'
    )
