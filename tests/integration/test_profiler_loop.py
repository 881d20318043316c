"""The event loop of the worker that answers for all is free meanwhile."""

import concurrent.futures
import itertools
import re

import pytest

from hostile_company import ENDPOINT, PROFILER, compile_c, status
from nginx_instance import LONG, PATIENCE, SAN_PRELOAD, wait_until
from test_profiler_workers import profile_of

# of branching_plugin.c
PATHS = 100

WORKERS = 8
STACKS = 6000 if LONG else 2000
THRESHOLD_MS = 20

# An answer takes longer than a stall, and that many of them are in a round; but
# a machine may hold a worker up, too. So some rounds may have stalls, not all.
ANSWERS = 3
ROUNDS = 8

OURS = re.compile(r"/(libnprof|ngx_profiler_module)\.so$")


def stacks(nginx):
    return len(profile_of(nginx.get("/debug/pprof/allocs")).samples)


def grow(nginx):
    """Lets the workers allocate until there are so many stacks: what finds no
    room when it is sampled is left out."""
    seeds = itertools.count(0, PATHS)

    def branch(seed):
        # for its status it takes in what was sampled before
        status(nginx)
        assert nginx.post("/branch", str(seed)).status == 200

    def more():
        list(clients.map(branch, itertools.islice(seeds, 5 * WORKERS)))
        return stacks(nginx) >= STACKS

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as clients:
        wait_until(more, f"{STACKS} stacks", timeout=3 * PATIENCE)


def frames_of_ours(profile):
    """The stacks with frames of the profiler."""
    ours = {m.id for m in profile.proto.mapping
            if OURS.search(profile.strings[m.filename])}
    return [names for sample, (names, _, _) in zip(profile.proto.sample,
                                                   profile.samples)
            if any(profile.locations[i].mapping_id in ours
                   for i in sample.location_id)]


def turns(nginx):
    """Turns of all event loops so far, by the seconds of their bucket's end."""
    text = nginx.get("/debug/pprof/status?format=prometheus").text
    total = {}
    for end, value in re.findall(
            r'loop_turn_seconds_bucket\{worker="\d+",le="([^"]+)"\} (\d+)',
            text):
        total[float(end)] = total.get(float(end), 0) + int(value)
    ends = sorted(total)
    return {end: total[end] - (total[ends[i - 1]] if i else 0)
            for i, end in enumerate(ends)}


def answers_made(nginx):
    """Merged profiles; what of the profiler is in the stalls meanwhile, and
    the end of the longest turn's bucket."""
    before = turns(nginx)
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        stalls = reader.submit(nginx.get, "/debug/pprof/stall?seconds=2")
        for _ in range(ANSWERS):
            assert stacks(nginx) >= STACKS
        stalls = profile_of(stalls.result())
    # counters are stored once in a second or so
    many = sum(before.values())
    after = wait_until(lambda: (now := turns(nginx))
                       and sum(now.values()) > many + ANSWERS and now,
                       "the turns are counted")
    return (frames_of_ours(stalls),
            max(end for end in after if after[end] > before[end]))


@pytest.mark.skipif(bool(SAN_PRELOAD), reason="a sanitizer has malloc() itself")
def test_answers_do_not_hold_the_event_loop(nginx):
    plugin = compile_c("branching_plugin.c", nginx.prefix / "branch.so")
    nginx.write_conf(
        modules=PROFILER, workers=WORKERS,
        main="profiler on; profiler_heap_interval 1k;"
             f"profiler_stall_threshold {THRESHOLD_MS}ms;",
        http=f"count_plugin branch {plugin};",
        server=f"""{ENDPOINT}
        location /branch {{ count; count_sort branch; }}""")
    nginx.start()
    grow(nginx)
    seen = []
    for _ in range(ROUNDS):
        ours, longest = answers_made(nginx)
        if not ours and longest < 2 * THRESHOLD_MS / 1e3:
            return
        seen.append((longest, ours[:3]))
    pytest.fail(f"stalls in each round: {seen}")
