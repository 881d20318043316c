"""Prints summary.json for people: at most 88 columns, plain ASCII.

Reads nothing but the summary, so that what is printed is what is stored.
"""

import textwrap

WIDTH = 80
NAME_WIDTH = 34


def render(summary):
    """The table, the sentence and the next commands, as text."""
    parts = [_header(summary), _figures(summary), _functions(summary),
             _sentence(summary), _commands(summary)]
    return "\n\n".join(parts) + "\n"


def _header(summary):
    load = summary["load"]
    return (f"{load['numbers']:,} numbers a request, "
            f"{load['requests_per_second']:.1f} requests/s by "
            f"{load['generator']};\nswapped by a reload after "
            f"{summary['swap']['after_requests']:,} of "
            f"{load['requests']:,} requests, "
            f"{summary['swap']['lost']} lost")


def _figures(summary):
    v1, v2 = summary["versions"]["v1"], summary["versions"]["v2"]
    lines = [_row("", _title("v1", v1), _title("v2", v2), "v2 : v1"),
             _rule()]
    for label, path, digits, compared in (
            ("window, s", ("window_seconds",), 1, False),
            ("requests", ("requests",), 0, False),
            ("errors", ("errors",), 0, False),
            ("requests/s", ("requests_per_second",), 1, True),
            ("p50, ms", ("latency_ms", "p50"), 2, True),
            ("p95, ms", ("latency_ms", "p95"), 2, True),
            ("p99, ms", ("latency_ms", "p99"), 2, True),
            ("CPU per request, ms", ("cpu_ms_per_request",), 3, True),
            ("CPU samples", ("samples",), 0, False)):
        a, b = _at(v1, path), _at(v2, path)
        lines.append(_row(label, _number(a, digits), _number(b, digits),
                          _ratio(a, b) if compared else ""))
    return "\n".join(lines)


def _functions(summary):
    lines = [f"{'':{NAME_WIDTH}}{'share of CPU':>17}{'us per request':>22}",
             f"{'top functions by self CPU':<{NAME_WIDTH}}"
             f"{'v1':>8} {'v2':>8}{'v1':>12}{'v2':>10}",
             _rule()]
    for row in summary["functions"]:
        lines.append(
            f"{_clipped(row['name']):<{NAME_WIDTH}}"
            f"{_share(row['v1']):>8} {_share(row['v2']):>8}"
            f"{_micros(row['v1']):>12}{_micros(row['v2']):>10}"
            f"  {row['change']}".rstrip())
    return "\n".join(lines)


def _sentence(summary):
    v1, v2 = summary["versions"]["v1"], summary["versions"]["v2"]
    most = max(summary["functions"], key=_moved)
    was, now = (f"{_micros(most[v])} us" if most[v]["us_per_request"] else
                "nothing" for v in ("v1", "v2"))
    return textwrap.fill(
        f"What changed most is {_clipped(most['name'])}: "
        f"{was} of CPU per request in v1, {now} in v2. "
        f"A request costs "
        f"{_times(v1['cpu_ms_per_request'], v2['cpu_ms_per_request'])} "
        f"CPU; its 99th percentile went from "
        f"{_number(v1['latency_ms']['p99'], 2)} ms to "
        f"{_number(v2['latency_ms']['p99'], 2)} ms.", WIDTH)


def _commands(summary):
    v1, v2 = (summary["versions"][v]["profile"] for v in ("v1", "v2"))
    return (f"Look further:\n"
            f"  go tool pprof -top {v1}\n"
            f"  go tool pprof -top -cum {v2}\n"
            f"  go tool pprof -top -diff_base={v1} {v2}\n"
            f"  go tool pprof -http=: {v2}")


def _title(name, version):
    return f"{name} {version['algorithm']} {version['version']}"


def _row(label, a, b, ratio):
    return f"{label:<22}{a:>20}{b:>20}{ratio:>12}".rstrip()


def _rule():
    return "-" * 74


def _at(version, path):
    for key in path:
        version = version[key]
    return version


def _number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(a, b):
    return f"{b / a:.3f}" if a and b is not None else "-"


def _share(cell):
    return f"{100 * cell['share']:.1f} %" if cell["share"] else "-"


def _micros(cell):
    micros = cell["us_per_request"]
    return f"{micros:,.1f}" if micros else "-"


def _moved(row):
    return abs(row["v1"]["us_per_request"] - row["v2"]["us_per_request"])


def _times(was, now):
    if not was or not now:
        return "no comparable"
    if now <= was:
        return f"{was / now:.1f} times less"
    return f"{now / was:.1f} times more"


def _clipped(name):
    room = NAME_WIDTH - 1
    return name if len(name) <= room else name[:room - 3] + "..."
