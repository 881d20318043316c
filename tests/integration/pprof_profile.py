"""A decoded profile for tests: stacks by name, mappings, labels, and the rules
that every profile has to obey.

The decoder is Google's protobuf over our own schema: no code of the encoder.
"""

import collections
import gzip
import re
import sys

from nginx_instance import BUILD, SOURCE

sys.path.insert(0, str(SOURCE / "demo"))

import pprof_reader  # noqa: E402


class Profile:
    """samples: list of (names leaf first, {label: value}, [values])."""

    def __init__(self, data):
        decoder = pprof_reader.generate_decoder(BUILD / "gen" / "python")
        self.proto = decoder.Profile()
        self.proto.ParseFromString(gzip.decompress(data))
        self.strings = self.proto.string_table
        self.functions = {f.id: f for f in self.proto.function}
        self.locations = {x.id: x for x in self.proto.location}
        self.mappings = {m.id: m for m in self.proto.mapping}
        self.types = [(self.strings[t.type], self.strings[t.unit])
                      for t in self.proto.sample_type]
        self.samples = [self._sample(s) for s in self.proto.sample]

    def _sample(self, sample):
        names = [self.name(line.function_id)
                 for i in sample.location_id
                 for line in self.locations[i].line]
        labels = {self.strings[x.key]: self.strings[x.str] or x.num
                  for x in sample.label}
        return names, labels, list(sample.value)

    def name(self, function):
        return self.strings[self.functions[function].name]

    def total(self, value, *names):
        """The sum of one value over the samples whose stack has all names."""
        return sum(values[value] for stack, _, values in self.samples
                   if all(n in stack for n in names))

    def series(self, value):
        """One value by what a client that takes one scrape off the next tells
        samples apart: the addresses of the stack, and all labels."""
        found = collections.Counter()
        for sample in self.proto.sample:
            stack = tuple(self.locations[i].address for i in sample.location_id)
            labels = sorted((self.strings[x.key], self.strings[x.str], x.num)
                            for x in sample.label)
            found[stack, tuple(labels)] += sample.value[value]
        return found

    def added(self, before, value):
        """What such a client sees added since another profile; nothing may
        have become less."""
        old, new = before.series(value), self.series(value)
        deltas = {key: new[key] - old[key] for key in {**old, **new}}
        assert min(deltas.values(), default=0) >= 0, deltas
        return deltas

    def comments(self):
        return [self.strings[i] for i in self.proto.comment]

    def requests(self):
        """How many were served, by labels: {((name, value), ...): number},
        and {None: number} of all."""
        found = {}
        for comment in self.comments():
            labels, number = re.fullmatch(
                r"requests(\{.*\})?=(\d+)", comment, re.S).groups()
            found[labels and tuple(sorted(
                re.findall(r'([\w.-]+)="((?:[^"\\]|\\.)*)"', labels)))
            ] = int(number)
        return found

    def lines(self, name):
        """(file, line) of each place of a function in the profile."""
        found = set()
        for location in self.proto.location:
            for line in location.line:
                if self.name(line.function_id) == name:
                    function = self.functions[line.function_id]
                    found.add((self.strings[function.filename], line.line))
        return found

    def check(self):
        """check_any(), and that it is nginx's."""
        self.check_any()
        if self.proto.mapping:
            name = self.strings[self.proto.mapping[0].filename]
            assert name.endswith("nginx")
        return self

    def check_any(self):
        """What profile.proto and pprof's own checks demand of a profile."""
        proto = self.proto
        assert proto.string_table[0] == ""
        for things in (proto.mapping, proto.location, proto.function):
            ids = [t.id for t in things]
            assert 0 not in ids and len(set(ids)) == len(ids)
        for sample in proto.sample:
            assert len(sample.value) == len(proto.sample_type)
            assert sample.location_id, "a sample without a stack"
            assert all(i in self.locations for i in sample.location_id)
            keys = [x.key for x in sample.label]
            assert len(set(keys)) == len(keys)
        for location in proto.location:
            assert location.mapping_id in self.mappings
            assert all(line.function_id in self.functions
                       for line in location.line)
            mapping = self.mappings[location.mapping_id]
            if location.address:
                assert (mapping.memory_start <= location.address
                        < mapping.memory_limit)
        assert proto.period > 0 and proto.time_nanos > 0
        return self
