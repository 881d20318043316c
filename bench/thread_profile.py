"""What CPU profiles say of one thread: CPU time by innermost function."""

import gzip
import os
import sys
from collections import Counter

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "demo")
)

import pprof_reader  # noqa: E402
from machine import CannotMeasure  # noqa: E402


class ThreadProfiles:
    """Profiles of the thread of that label, added up.

    periods     Counter: innermost function -> sampling periods
    cpu_ns      Counter: innermost function -> CPU time, nanoseconds
    """

    def __init__(self, thread, decoder):
        self._thread = thread
        self._decoder = decoder
        self.periods = Counter()
        self.cpu_ns = Counter()

    def add(self, path):
        """Adds the profile in that file."""
        profile = self._decoder.Profile()
        with gzip.open(path) as file:
            profile.ParseFromString(file.read())
        strings = profile.string_table
        names = {f.id: strings[f.name] for f in profile.function}
        leaves = {
            location.id: names[location.line[0].function_id]
            for location in profile.location
            if location.line
        }
        for sample in profile.sample:
            if any(strings[x.str] == self._thread for x in sample.label):
                # a place without a name is none of the functions asked for
                leaf = leaves.get(sample.location_id[0], "")
                self.periods[leaf] += sample.value[0]
                self.cpu_ns[leaf] += sample.value[1]


def decoder_in(folder):
    """Generates the decoder of profiles there, and returns it."""
    try:
        return pprof_reader.generate_decoder(folder)
    except pprof_reader.ProfileError as error:
        raise CannotMeasure(str(error)) from error
