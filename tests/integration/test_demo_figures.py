"""The arithmetic and the table of the demo, on made-up measurements."""

import gzip
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from nginx_instance import BUILD, SOURCE

sys.path.insert(0, str(SOURCE / "demo"))

import comparison_table  # noqa: E402
import load_generators  # noqa: E402
import pprof_reader  # noqa: E402
import run_demo  # noqa: E402
import version_comparison  # noqa: E402
from load_generators import Request  # noqa: E402
from version_comparison import Measurement, percentile  # noqa: E402

SAMPLE_NS = 5_000_000


@pytest.mark.parametrize("built", [True, False])
def test_the_page_is_named_where_there_is_one(tmp_path, capsys, built):
    page = tmp_path / "page.html"
    if built:
        page.touch()
    nginx = SimpleNamespace(url="http://127.0.0.1:1", master=lambda: 2)
    run_demo._keep(SimpleNamespace(nginx=nginx, page=page))
    output = capsys.readouterr().out
    assert ("/debug/pprof/ui\n" in output) == built
    assert output.endswith("\nStop it with: ./demo.sh --stop\n")


def measurement(self_samples, served, latencies=(0.001,), failed=0):
    samples = sum(self_samples.values())
    profile = SimpleNamespace(
        samples=samples, cpu_ns=samples * SAMPLE_NS,
        self_ns=Counter({name: n * SAMPLE_NS
                         for name, n in self_samples.items()}))
    requests = [Request(float(i), s, True) for i, s in enumerate(latencies)]
    requests += [Request(0.0, 0.0, False)] * failed
    return Measurement(
        started=0.0, seconds=10.0, requests=requests, served=served,
        cpu_seconds=samples * SAMPLE_NS / 1e9, profile=profile,
        algorithm="bubble", version="1.0.0")


@pytest.mark.parametrize("values, percent, expected", [
    ([], 50, None),
    ([7], 50, 7),
    ([7], 99, 7),
    ([1, 2, 3, 4], 50, 2),
    (list(range(1, 101)), 95, 95),
    (list(range(1, 101)), 99, 99),
    (list(range(1, 202)), 99, 199),
    ([3, 1, 2], 99, 3),
])
def test_percentile_is_the_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


def test_figures_are_per_request():
    measured = measurement({"bubble_sort": 100}, served=50,
                           latencies=[0.002] * 99 + [0.010], failed=1)
    figures = version_comparison.figures(measured, "v1.cpu.pb.gz")
    assert figures["requests"] == 101
    assert figures["errors"] == 1
    assert figures["requests_per_second"] == 10.1
    assert figures["latency_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert figures["cpu_ms_per_request"] == 10.0
    assert figures["samples"] == 100


def test_functions_are_marked_new_and_gone():
    v1 = measurement({"bubble_sort": 90, "epoll": 50, "rare": 1}, 100)
    v2 = measurement({"qsort_r": 200, "epoll": 20, "cheap": 2}, 1000)
    rows = {row["name"]: row for row in version_comparison.functions(v1, v2)}
    assert rows["bubble_sort"]["change"] == "gone"
    assert rows["qsort_r"]["change"] == "new"
    assert rows["epoll"]["change"] == ""
    # At v2's cost it would have had 0.2 samples in v1's shorter window: that
    # it has none says nothing.
    assert rows["cheap"]["change"] == ""
    # Its one sample in 100 requests would be 10 in 1,000.
    assert rows["rare"]["change"] == "gone"
    assert rows["bubble_sort"]["v1"]["us_per_request"] == 4500.0
    assert rows["bubble_sort"]["v2"] == {"share": 0.0, "us_per_request": 0.0}


def test_functions_come_by_their_larger_share():
    v1 = measurement({"a": 90, "b": 10}, 100)
    v2 = measurement({"c": 60, "b": 40}, 100)
    names = [row["name"] for row in version_comparison.functions(v1, v2)]
    assert names == ["a", "c", "b"]


def test_functions_with_next_to_no_cpu_are_left_out():
    v1 = measurement({"bubble_sort": 1000, "once": 1}, 100)
    v2 = measurement({"qsort_r": 990, "compare": 10}, 100)
    names = [row["name"] for row in version_comparison.functions(v1, v2)]
    assert names == ["bubble_sort", "qsort_r", "compare"]


def summary_of(v1, v2):
    return {
        "load": {"generator": "h2load", "numbers": 3000, "requests": 1234567,
                 "requests_per_second": 123.4, "failed": 0},
        "swap": {"after_requests": 1234567, "lost": 0},
        "versions": {
            "v1": version_comparison.figures(v1, "build/demo/v1.cpu.pb.gz"),
            "v2": version_comparison.figures(v2, "build/demo/v2.cpu.pb.gz")},
        "functions": version_comparison.functions(v1, v2),
    }


def test_table_fits_88_columns_and_shows_the_figures():
    v1 = measurement({"bubble_sort": 9_876_543, "n" * 300: 5_000_000}, 100,
                     latencies=[12.345] * 100)
    v2 = measurement({"qsort_r": 250}, 1000)
    text = comparison_table.render(summary_of(v1, v2))
    assert max(map(len, text.splitlines())) <= 88
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert "bubble_sort" in text and "gone" in text and "new" in text
    assert "12,345.00" in text


def test_table_of_an_empty_profile():
    nothing = measurement({}, 0, latencies=(), failed=3)
    text = comparison_table.render(
        summary_of(measurement({"bubble_sort": 10}, 10), nothing))
    assert "errors                                   0                   3" \
        in text


def h2load(tmp_path, lines, planned=4, status=0):
    load = load_generators.H2load("h2load", tmp_path, "http://x/", 10,
                                  planned / 100, 3000)
    load.records.write_text("".join(lines))
    return load._result(status)


def test_h2load_records(tmp_path):
    """The columns of --log-file as nghttp2 1.52 writes them."""
    result = h2load(tmp_path, ["1700000000000000\t200\t1500\n",
                               "1700000000010000\t200\t2500\n",
                               "1700000000020000\t500\t100\n"])
    assert result.planned == 4
    assert result.failed == 2  # one by its status, one was never made
    assert [r.ok for r in result.requests] == [True, True, False]
    assert result.requests[0].seconds == 0.0015


def test_requests_are_not_in_step_with_the_tick():
    periods = [run_demo._out_of_step(p) for p in range(4, 40)]
    assert all(p % 2 and p % 5 for p in periods)
    assert all(0 <= p - wanted <= 4
               for wanted, p in zip(range(4, 40), periods))


def test_unknown_load_generator_is_refused():
    with pytest.raises(load_generators.LoadError, match="k6, h2load or auto"):
        load_generators.choose("ab")


@pytest.fixture(scope="module")
def decoder():
    return pprof_reader.generate_decoder(BUILD / "it" / "decoder")


def encoded(decoder, kinds=(("samples", "count"), ("cpu", "nanoseconds"))):
    """main > count > inner, which is inlined into outer; 3 samples, and one
    of count alone."""
    profile = decoder.Profile()
    strings = [""]

    def string(text):
        if text not in strings:
            strings.append(text)
        return strings.index(text)

    for kind, unit in kinds:
        profile.sample_type.add(type=string(kind), unit=string(unit))
    for i, name in enumerate(("main", "count", "outer", "inner"), start=1):
        profile.function.add(id=i, name=string(name))
    for i, functions in enumerate(((1,), (2,), (4, 3)), start=1):
        location = profile.location.add(id=i)
        for function in functions:
            location.line.add(function_id=function)
    profile.sample.add(location_id=[3, 2, 1], value=[3, 30])
    profile.sample.add(location_id=[2, 1], value=[1, 10])
    profile.string_table.extend(strings)
    return gzip.compress(profile.SerializeToString())


def test_self_cpu_is_that_of_the_innermost_inlined_function(decoder):
    profile = pprof_reader.CpuProfile(decoder, encoded(decoder))
    assert (profile.samples, profile.cpu_ns) == (4, 40)
    assert profile.self_ns == {"inner": 30, "count": 10}
    assert profile.total_ns == {"inner": 30, "outer": 30, "count": 40,
                                "main": 40}


@pytest.mark.parametrize(
    "data", [b"", b"not gzip", gzip.compress(b"\xff\xff", mtime=0)])
def test_what_is_no_profile_is_refused(decoder, data):
    with pytest.raises(pprof_reader.ProfileError, match="not a gzipped"):
        pprof_reader.CpuProfile(decoder, data)


def test_a_profile_of_something_else_is_refused(decoder):
    heap = encoded(decoder, (("inuse_objects", "count"),
                             ("inuse_space", "bytes")))
    with pytest.raises(pprof_reader.ProfileError, match="samples/count"):
        pprof_reader.CpuProfile(decoder, heap)
