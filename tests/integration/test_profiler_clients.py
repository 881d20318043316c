"""Clients that know Go's /debug/pprof/ and not us: scrapers that subtract what
they fetch, and Perl's pprof with its questions about addresses."""

import os
import re
import shutil
import struct
import subprocess
import time

import pytest

from nginx_instance import SAN_PRELOAD, wait_until
from pprof_profile import Profile
from test_profiler_heap import (ALLOC_OBJECTS, ALLOC_SPACE, BUFFER, ask,
                                configure)

OCTETS = "application/octet-stream"

no_sanitizer = pytest.mark.skipif(
    bool(SAN_PRELOAD), reason="a sanitizer has malloc() itself")


def scrape(nginx, path):
    """2xx, octets, not empty: all that a scraper looks at."""
    answer = nginx.get(f"/debug/pprof/{path}")
    assert 200 <= answer.status < 300
    assert answer.headers["Content-Type"].startswith(OCTETS)
    assert answer.body
    return Profile(answer.body).check()


def sorted_bytes(deltas, profile):
    """Of what was added, that of the sorts of v2."""
    stacks = {tuple(profile.locations[i].address for i in s.location_id)
              for s, (names, _, _) in zip(profile.proto.sample, profile.samples)
              if "qsort_values" in names}
    return sum(value for (stack, _), value in deltas.items()
               if stack in stacks)


@no_sanitizer
def test_scrapes_as_alloy_does_them(nginx):
    """Every one of its paths, again and again; it takes one `allocs` off the
    next by addresses and labels: so it sees each sort once, through a reload
    too, and never less than there was."""
    configure(nginx).start()
    before = None
    for sorts in (4, 7, 0, 5):
        ask(nginx, "/v2", sorts)
        allocs = scrape(nginx, "allocs")
        for path in ("block", "goroutine", "mutex"):
            assert scrape(nginx, path).samples == []
        assert scrape(nginx, "profile?seconds=1").types[1] == (
            "cpu", "nanoseconds")
        if before is not None:
            added = allocs.added(before, ALLOC_SPACE)
            assert sorted_bytes(added, allocs) == sorts * BUFFER
            assert sum(added.values()) >= sorts * BUFFER
            allocs.added(before, ALLOC_OBJECTS)
        before = allocs
        if sorts == 7:
            nginx.reload(wait_for_old=True)


@no_sanitizer
def test_scrapes_as_parca_does_them(nginx):
    """Profiles over the time from one scrape to the next, which it gives up on
    three seconds after the window's end; `allocs` since the start."""
    configure(nginx, main="profiler_types cpu heap wall;").start()
    before = scrape(nginx, "allocs")
    in_time = 0
    for sorts in (3, 5, 2):
        ask(nginx, "/v2", sorts)
        begin = time.monotonic()
        profile = scrape(nginx, "profile?seconds=2")
        took = time.monotonic() - begin
        assert took >= 2
        in_time += took < 5
        assert profile.proto.duration_nanos >= 2e9
        allocs = scrape(nginx, "allocs")
        added = allocs.added(before, ALLOC_SPACE)
        assert sorted_bytes(added, allocs) == sorts * BUFFER
        before = allocs
    # one of them, however busy the machine is
    assert in_time > 0


GOOGLE_PPROF = shutil.which("google-pprof")


def places(profile):
    """{address: name} of functions of nginx itself, those that have one."""
    main = profile.proto.mapping[0].id
    found = {location.address: profile.name(location.line[0].function_id)
             for location in profile.proto.location
             if location.mapping_id == main and location.line}
    return {address: name for address, name in found.items()
            if name.startswith("ngx_")}


def legacy_profile(addresses, maps):
    """gperftools' CPU profile: a sample at each address."""
    words = [0, 3, 0, 10000, 0]
    for address in addresses:
        words += [1, 1, address]
    words += [0, 1, 0]
    return struct.pack(f"<{len(words)}Q", *words) + maps


@pytest.mark.skipif(GOOGLE_PPROF is None, reason="there is no google-pprof")
def test_symbol_and_cmdline_as_google_pprof_asks(nginx):
    """It can't read profile.proto: so it gets a profile that it can, from
    another location, and asks us for the command line and for the names of
    what is in it."""
    configure(nginx, server=f"""
        access_log {nginx.prefix}/access.log;
        location = /debug/pprof/profile {{ root {nginx.prefix}/html; }}
        location = /debug/fgprof {{ profiler_endpoint; }}""",
        main="profiler_types wall;")
    nginx.start()
    names = wait_until(lambda: places(Profile(nginx.get(
        "/debug/fgprof?seconds=1").body)), "nginx was seen somewhere")
    with open(f"/proc/{nginx.worker}/maps", "rb") as maps:
        nginx.write_file("html/debug/pprof/profile",
                         legacy_profile(names, maps.read()))
    done = subprocess.run(
        [GOOGLE_PPROF, "--raw", "--seconds=1",
         f"http://127.0.0.1:{nginx.port}/debug/pprof/profile"],
        capture_output=True, check=False, timeout=120, cwd=nginx.prefix,
        env={**os.environ, "HOME": str(nginx.prefix)})
    assert done.returncode == 0, done
    # what it was told: a line for each address
    for address, name in names.items():
        assert re.search(rb"(?m)^0x0*%x %s$" % (address, name.encode()),
                         done.stdout), (name, done.stdout)
    asked = (nginx.prefix / "access.log").read_text()
    for request in ("GET /debug/pprof/symbol", "GET /debug/pprof/cmdline",
                    "POST /debug/pprof/symbol"):
        assert re.search(rf'"{request} HTTP/1\.1" 200 ', asked), asked
