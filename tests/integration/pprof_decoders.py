"""Decoders of profiles that others wrote: Datadog's pprof-format of npm, which
the page is built with, and `go tool pprof`. Each is where it can be had.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

from nginx_instance import SOURCE

WEB = SOURCE / "web"
FORMAT = WEB / "node_modules" / "pprof-format"
NODE = shutil.which("node")
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")

DECODE = """
import {readFileSync} from "node:fs";
import {gunzipSync} from "node:zlib";
import {Profile} from "pprof-format";
const p = Profile.decode(gunzipSync(readFileSync(0)));
const text = i => p.stringTable.strings[Number(i)];
const totals = p.sampleType.map((_, i) => p.sample.reduce(
    (sum, s) => sum + Number(s.value[i]), 0));
console.log(JSON.stringify({
    types: p.sampleType.map(t => `${text(t.type)}/${text(t.unit)}`), totals,
    functions: p.function.map(f => text(f.name)),
    labels: p.sample.flatMap(s => s.label.map(l => text(l.key)))}));
"""


class Decoded:
    """types ("cpu-time/nanoseconds"), totals (of each), functions and labels
    (sets of names)."""

    def __init__(self, types, totals, functions, labels):
        self.types = types
        self.totals = totals
        self.functions = set(functions)
        self.labels = set(labels)


def run(command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False,
                          **kwargs)
    assert done.returncode == 0, done
    return done.stdout.decode()


def by_pprof_format(data):
    return Decoded(**json.loads(run(
        [NODE, "--input-type=module", "-e", DECODE], input=data, cwd=WEB)))


def by_go(data):
    with tempfile.NamedTemporaryFile(suffix=".pb.gz") as file:
        file.write(data)
        file.flush()
        raw = run([GO, "tool", "pprof", "-raw", "-symbolize=none", file.name],
                  env={**os.environ, "HOME": tempfile.gettempdir(),
                       "GOTOOLCHAIN": "local"})
    samples, rest = raw.split("\nSamples:\n", 1)[1].split("\nLocations\n", 1)
    types, *lines = samples.split("\n")
    values = [[int(n) for n in found[1].split()] for found in (
        re.match(r" *(-?\d+(?: +-?\d+)*): \d", line) for line in lines)
        if found]
    names = [re.sub(r"\[dflt\]$", "", name) for name in types.split()]
    return Decoded(
        names, [sum(column) for column in zip(*values)] or [0] * len(names),
        # lines of inlined calls have no number
        re.findall(r"^(?: *\d+: 0x[0-9a-f]+ (?:M=\d+ )?(?:\[F\] )?| {13})(\S+)",
                   rest, re.M),
        re.findall(r"(?:^ {16}|\] )([^:\[\]\n]+):\[", samples, re.M))


def decoders():
    """{name: function of the bytes of a profile that returns Decoded}."""
    found = {}
    if NODE and FORMAT.is_dir():
        found["pprof-format"] = by_pprof_format
    if GO:
        found["go tool pprof"] = by_go
    return found
