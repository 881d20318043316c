"""The benchmarks run, for seconds only, and tell the truth of what they saw:
their figures are not looked at, their form and their refusals are."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import inputs  # noqa: E402
from count_servers import GoCount, NginxCount  # noqa: E402
from machine import CannotMeasure  # noqa: E402


def make(*arguments):
    build = f"BUILD={os.path.relpath(BUILD, ROOT)}"
    done = subprocess.run(
        ["make", "-C", ROOT, build, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def result_of(name):
    with open(os.path.join(BUILD, "bench", f"{name}.json")) as result:
        return json.load(result)


def plugin_is_built(name):
    return os.path.exists(f"{BUILD}/algorithms/libsort_{name}.so")


def go_is_built():
    return os.path.exists(os.path.join(BUILD, "bench", "go-count"))


@pytest.fixture(scope="module")
def built():
    make("modules", "plugins", "bench-programs")


def check_ratio(ratio, pairs):
    assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert ratio["pairs"] == pairs


def test_count(built):
    output = make("bench", "BENCH=count", "QUICK=1")
    result = result_of("count")
    assert result["quick"] and result["machine"]["nginx"]
    assert result["calibration"]["before"]["best_ns"] > 0
    seen = {(c["plugin"], c["kind"], c["size"]) for c in result["cells"]}
    expected = set()
    for size in (1000, 10000, 100000):
        for plugin in filter(plugin_is_built, ("v1", "v2", "v3")):
            if plugin == "v1" and size == 100000:
                continue
            expected |= {(plugin, k, size) for k in ("GET", "POST text")}
            if size == 10000:
                expected.add((plugin, "POST JSON", size))
    assert seen == expected
    rival = "go" if go_is_built() else "v2"
    for cell in result["cells"]:
        assert cell["rival"] == rival
        assert cell["rate"] > 0 and cell["rival_rate"] > 0
        check_ratio(cell["ratio"], len(cell["pairs"]))
    assert "v1 is quadratic: over 10,000 numbers left out" in output
    assert f"nginx/{rival}" in output


def test_plugins(built):
    make("bench", "BENCH=plugins", "QUICK=1")
    cells = result_of("plugins")["cells"]
    algorithms = {c["algorithm"] for c in cells}
    assert algorithms >= {"v1", "v2"}
    assert ("go" in algorithms) == go_is_built()
    assert {c["shape"] for c in cells} == set(inputs.SHAPES)
    for cell in cells:
        assert cell["ns"] > 0 and cell["std_ns"] > 0
        check_ratio(cell["times_faster"], len(cell["pairs"]))


def test_heap(built):
    output = make("bench", "BENCH=heap", "QUICK=1")
    result = result_of("heap")
    assert result["quick"]
    cells = {(c["sampler"], c["size"]): c for c in result["cells"]}
    for size in (64, 4096):
        cell = cells["libnprof", size]
        assert cell["off_ns"] > 0 and cell["on_ns"] > 0
        check_ratio(cell["ratio"], len(cell["pairs"]))
    for rival in ("tcmalloc", "jemalloc"):
        assert (rival, 64) in cells or "not measured" in output


def overhead(options):
    output = make("bench", "BENCH=overhead", "QUICK=1",
                  f"BENCH_OPTIONS={options}")
    result = result_of("overhead")
    assert result["quick"]
    with open(os.path.join(BUILD, "bench", "overhead-pairs.json")) as kept:
        for comparison, pairs in zip(
            result["comparisons"], json.load(kept), strict=True
        ):
            assert comparison["us_without"] > 0
            check_ratio(comparison["ratio"], len(pairs))
    return output, result


@pytest.mark.skipif(
    not (
        os.path.exists(os.path.join(BUILD, "web", "page.html"))
        and shutil.which("chromium")
    ),
    reason="no page or no Chromium: bench/page is not run",
)
def test_page(built):
    output = make("bench", "BENCH=page", "QUICK=1")
    result = result_of("page")
    assert result["quick"]
    assert [(c["shows"], c["stacks"]) for c in result["cells"]] == [
        ("flame graph", 2500),
        ("comparison", 2500),
    ]
    for cell in result["cells"]:
        assert len(cell["draw_ms"]) == len(cell["zoom_ms"]) == 1
        assert len(cell["search_ms"]) == 1 and cell["search_ms"][0] > 0
        assert cell["draw_ms"][0] > 0
    assert "us/stack" in output


def test_overhead_of_each_load(built):
    _, result = overhead("--rivals profiler")
    assert [c["load"] for c in result["comparisons"]] == [
        "static", "proxy", "tls-bulk", "count"
    ]
    cost = result["cost"]
    assert cost["samples"] > 0 and cost["sample_ns"] > 0
    assert 0 < cost["handler_ns"] <= cost["handler_p99_ns"] * 10


def test_overhead_of_each_profiler(built):
    """Those that are not there, or may not, are said in a line."""
    output, result = overhead("--loads static")
    measured = {c["rival"] for c in result["comparisons"]}
    assert measured >= {"profiler", "heap-alone", "without-heap", "nothing"}
    for name in ("gperftools", "perf-fp", "perf-dwarf"):
        assert (name in measured) != (f"SKIPPED: {name}: " in output)


def test_export(built):
    """Requests are answered whatever the destination does; the client stops at
    the first that is not."""
    output = make("bench", "BENCH=export", "QUICK=1")
    result = result_of("export")
    assert result["quick"]
    assert [s["side"] for s in result["sides"]] == [
        "upload", "upload-hangs", "upload-refused", "trace", "trace-hangs",
        "nothing"
    ]
    for side in result["sides"]:
        for figure in (side["cpu"], side["p99"]):
            assert figure["us"] > 0 and figure["us_quiet"] > 0
            check_ratio(figure["ratio"], 2 * side["starts"])
        assert f"{side['side']:>14}  " in output


def test_accuracy(built):
    output = make("bench", "BENCH=accuracy", "QUICK=1")
    result = result_of("accuracy")
    assert result["quick"] and result["rate"] == 199
    cells = result["cells"]
    assert [c["engine"] for c in cells] == ["timers", "jitter"] * 2
    for cell in cells:
        assert len(cell["seen"]) == len(cell["truth"]) == 3
        assert abs(sum(cell["truth"]) - 1) < 1e-6
        assert cell["cpu_seconds"] > 1
        # nothing is seen that was not there
        assert 0 < cell["observed_ratio"] <= cell["total_ratio"] < 1.6
    assert "of 2 cases have every share within 3 pp" in output
    for cell in (c for c in cells if c["engine"] == "jitter"):
        assert cell["samples"] > 100
        # a smoke test of a busy machine: no leaf is invented or hidden
        assert max(abs(e) for e in cell["errors"]) < 20


def sorters():
    programs = [["sort_driver", f"v2={BUILD}/algorithms/libsort_v2.so"]]
    return programs + ([["sortrounds"]] if go_is_built() else [])


@pytest.mark.parametrize(
    "asked, refusal",
    [
        ("nope {path} 10 1", "no "),
        ("{name} /nonexistent 10 1", "o such file"),
        ("{name} {path} 10 11", "not in the file"),
        ("{name} {path} 0 1", "not in the file"),
        ("{name} {path}", "error"),
    ],
)
def test_sorters_refuse_what_they_cannot_time(built, tmp_path, asked, refusal):
    path = tmp_path / "numbers"
    inputs.write_arrays(str(path), "random", 10, 10)
    for program, *plugins in sorters():
        name = "go" if program == "sortrounds" else "v2"
        good = f"{name} {path} 10 10\n"
        done = subprocess.run(
            [os.path.join(BUILD, "bench", program), *plugins],
            input=asked.format(name=name, path=path) + "\n" + good,
            capture_output=True,
            text=True,
            timeout=60,
        )
        first, second = done.stdout.splitlines()
        assert first.startswith("error:") and refusal in first
        assert int(second) > 0


BODIES = [
    ("POST", b"1", "text/plain"),
    ("POST", b" 3,1\n2 2\t", "text/plain; charset=utf-8"),
    ("POST", b"-9223372036854775808 9223372036854775807", "text/plain"),
    ("POST", b"9223372036854775808", "text/plain"),
    ("POST", b"-9223372036854775809", "text/plain"),
    ("POST", b"99999999999999999999", "text/plain"),
    ("POST", b"", "text/plain"),
    ("POST", b" , ", "text/plain"),
    ("POST", b"1e3", "text/plain"),
    ("POST", b"0x10", "text/plain"),
    ("POST", b"+5", "text/plain"),
    ("POST", b"1 - 2", "text/plain"),
    ("POST", b"1 " * 102400, "text/plain"),
    ("POST", b"1 " * 102401, "text/plain"),
    ("POST", b"[3, 1, 2]", "application/json"),
    ("POST", b"[]", "application/json"),
    ("POST", b"[1.0]", "application/json"),
    ("POST", b"[1", "application/json"),
    ("POST", b"[01]", "application/json"),
    ("POST", b"[1]", "application/xml"),
    ("PUT", b"1", "text/plain"),
    ("GET", None, "text/plain"),
]


def ask(url, method, body, content_type):
    """The status and the JSON of an answer, less what may differ."""
    asked = urllib.request.Request(
        url, body, {"Content-Type": content_type}, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            answer = json.load(reply)
    except urllib.error.HTTPError as error:
        assert "error" in json.load(error)
        return error.code, None
    return 200, {
        key: value
        for key, value in answer.items()
        if key not in ("algorithm", "version", "sort_ns")
    }


def test_the_rival_is_the_same_service(built):
    """What is compared has to do the same work, refusals included."""
    if not go_is_built():
        pytest.skip("the rival needs Go")
    path = os.path.join(BUILD, "bench", "inputs", "same.txt")
    inputs.write_text(path, inputs.values("few", 1000))
    cores = os.sched_getaffinity(0)
    with NginxCount(BUILD, ["v2"], {1000: path}, cores) as nginx:
        with GoCount(BUILD, path, cores) as go:
            for request in BODIES:
                ours = ask(nginx.url("v2", 1000), *request)
                theirs = ask(go.url(), *request)
                assert ours == theirs, request[1][:60]


def test_shapes_are_what_they_say():
    for shape in inputs.SHAPES:
        assert inputs.values(shape, 500) == inputs.values(shape, 500)
        assert len(inputs.values(shape, 500)) == 500
    ordered = list(inputs.values("sorted", 500))
    assert ordered == sorted(inputs.values("random", 500))
    assert list(inputs.values("reversed", 500)) == ordered[::-1]
    assert len(set(inputs.values("few", 500))) == inputs.FEW
    assert inputs.values("random", 5, seed=1) != inputs.values("random", 5)


def test_differing_answers_are_not_measured():
    module = load_program("count")
    right = dict(count=3, distinct=3, min=1, max=3, median=2)
    module.check_answers(3, {**right, "sort_ns": 1}, {**right, "sort_ns": 2})
    for wrong in ({**right, "median": 3}, {}, {**right, "distinct": 2}):
        with pytest.raises(CannotMeasure):
            module.check_answers(3, right, wrong)
    with pytest.raises(CannotMeasure):
        module.check_answers(4, right, right)


@pytest.mark.parametrize(
    "bounds, sort_ns, told",
    [
        ((8.1, 9.0), 10_000, "8: met"),
        ((7.9, 8.1), 10_000, "8: open"),
        ((6.0, 7.0), 100_000, "8: MISSED"),
        ((6.0, 7.0), 200_000, "8: MISSED, the sort allows 5"),
    ],
)
def test_verdicts(bounds, sort_ns, told):
    module = load_program("count")
    cell = module.Cell(
        plugin="v3",
        kind="GET",
        size=10000,
        rate=6500.0,
        rival="go",
        rival_rate=1000.0,
        ratio=module.Ratio(sum(bounds) / 2, *bounds, pairs=10),
        sort_ns=sort_ns,
        rival_sort_ns=700_000,
        aim=8.0,
        pairs=[],
    )
    assert module.verdict(cell) == told


def load_program(name):
    """The program of that name as a module; it has no .py."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    loader = SourceFileLoader(
        f"bench_{name}", os.path.join(ROOT, "bench", name)
    )
    module = module_from_spec(spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def test_merge(built):
    make("bench", "BENCH=merge", "QUICK=1")
    cells = result_of("merge")["cells"]
    assert {(cell["same"], cell["leader"]) for cell in cells} == {
        (True, True), (True, False), (False, True), (False, False)}
    # that is of another size
    assert {cell["aim"] for cell in cells} == {""}
    for cell in cells:
        assert cell["begin_ms"] > 0 and cell["end_ms"] > 0
        # what is the same is one sample; "[other]" may be one more
        assert cell["samples"] >= cell["stacks"]
        assert cell["memory_mb"] < 64
