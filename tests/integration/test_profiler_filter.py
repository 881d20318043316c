"""label.NAME=VALUE: the samples of a profile that have a label, of all types
and all workers."""

import math

import pytest

from nginx_instance import ALGORITHMS, SAN_PRELOAD, Load, wait_until
from pprof_profile import Profile

PROFILER = ("ngx_http_count_module", "ngx_profiler_module")
# a bubble sort that no look at stalls misses, and that wall looks often see
NUMBERS = " ".join(str(i * 7919 % 20011) for i in range(10000))

# of all that was counted: two that are asked for one after the other are the
# same, once there is no more load
WHOLE = ["profile?last=10m", "wall?last=10m", "stall?last=10m"]
# a sanitizer has the allocator
if not SAN_PRELOAD:
    WHOLE += ["heap?last=10m", "allocs?last=10m", "heap", "allocs"]


def profile_of(nginx, path, label=""):
    separator = "&" if "?" in path else "?"
    answer = nginx.get(f"/debug/pprof/{path}" + (separator + label) * bool(label))
    assert answer.status == 200, answer
    return Profile(answer.body).check()


def sums(samples):
    """{(stack, labels): values} of samples, whatever their order."""
    found = {}
    for names, labels, values in samples:
        key = tuple(names), tuple(sorted(labels.items()))
        found[key] = [a + b for a, b in zip(
            found.get(key, [0] * len(values)), values)]
    return found


class Mixed:
    """Sorts of both plug-ins at once, each in a location of its own."""

    def __init__(self, nginx):
        self.loads = [Load(nginx, path, rate=math.inf, method="POST",
                           body=NUMBERS, clients=2) for path in ("/v1", "/v2")]

    def __enter__(self):
        for load in self.loads:
            load.__enter__()
        return self

    def __exit__(self, *what):
        for load in self.loads:
            load.__exit__(*what)
        assert all(load.failures == [] for load in self.loads)


@pytest.fixture
def sorting(nginx):
    """Two workers that collect everything."""
    nginx.write_conf(
        modules=PROFILER, workers=2,
        main="profiler on; profiler_types cpu wall stall heap;"
             "profiler_period 1s; profiler_heap_interval 1k;",
        http=f"count_plugin v1 {ALGORITHMS}/libsort_v1.so;"
             f"count_plugin v2 {ALGORITHMS}/libsort_v2.so;"
             "client_max_body_size 64m; client_body_buffer_size 4m;",
        server="location /v1 { count; count_sort v1; }"
               "location /v2 { count; count_sort v2; }"
               "location /debug/pprof/ { profiler_endpoint; }")
    nginx.start()
    wait_until(lambda: nginx.get("/debug/pprof/profile?last=1m").status == 200,
               "the history begins")
    return nginx


def test_samples_with_a_label_of_all_types_and_workers(sorting):
    wanted = "label.location=/v1"
    single = [f"allocs?worker={pid}" for pid in sorting.workers()
              if not SAN_PRELOAD]
    with Mixed(sorting):
        for path in WHOLE + single:
            wait_until(lambda: profile_of(sorting, path, wanted).samples, path)

    def same(path):
        whole = [s for s in profile_of(sorting, path).samples
                 if s[1].get("location") == "/v1"]
        return sums(whole) == sums(profile_of(sorting, path, wanted).samples)

    for path in WHOLE:
        wait_until(lambda: same(path), f"{path} has what is labelled")

    def adds_up():
        each = [s for path in single
                for s in profile_of(sorting, path, wanted).samples]
        merged = profile_of(sorting, "allocs", wanted).samples
        objects = [sum(values[0] for _, _, values in samples)
                   for samples in (each, merged)]
        # each profile is rounded on its own
        return not single or abs(objects[0] - objects[1]) <= len(each)

    wait_until(adds_up, "the workers' profiles add up to the merged one")


def test_several_labels_and_none(sorting):
    with Mixed(sorting):
        wait_until(lambda: profile_of(sorting, "profile?last=10m",
                                      "label.version=1.0.0").samples, "samples")
    path = "profile?last=10m"
    both = profile_of(sorting, path,
                      "label.version=1.0.0&label.location=%2Fv1").samples
    assert both
    assert all((labels["version"], labels["location"]) == ("1.0.0", "/v1")
               for _, labels, _ in both)
    assert not profile_of(sorting, path,
                          "label.version=1.0.0&label.location=/v2").samples
    assert not profile_of(sorting, path, "label.version=1.0").samples
    without = profile_of(sorting, path, "label.location=").samples
    assert without
    assert all("location" not in labels for _, labels, _ in without)
    threads = profile_of(sorting, path, "label.thread=main").samples
    assert {labels["thread"] for _, labels, _ in threads} == {"main"}

    assert sorting.get("/debug/pprof/heap?debug=1&label.location=/v1"
                       ).text.startswith("heap profile: ")
    assert (sorting.get("/debug/pprof/heap?debug=1&label.location=/none").text
            == "heap profile: 0: 0 [0: 0] @ heap/1\n")


def test_a_window_that_begins_now(sorting):
    """Its requests are those with the label, too."""
    with Mixed(sorting):
        profile = wait_until(
            lambda: (lambda p: p.total(0, "bubble_sort") and p)(profile_of(
                sorting, "profile?seconds=2", "label.location=/v1")), "sorts")
        counts = wait_until(
            lambda: (lambda r: r[None] and r)(profile_of(
                sorting, "profile?seconds=2", "label.location=/v1"
            ).requests()), "requests")
    assert all(labels["location"] == "/v1" for _, labels, _ in profile.samples)
    assert all(("location", "/v1") in labels
               for labels in counts if labels is not None)
    assert counts[None] == sum(n for labels, n in counts.items()
                               if labels is not None)
