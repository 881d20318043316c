#!/usr/bin/python3
"""What a CPU timer that is served at ticks only does to shares: a model.

A thread works in bursts of random length with random pauses and spends known
shares of each burst in three functions, in their order. Its CPU timer expires
at even intervals of its CPU time, and is served at the first tick that finds
the thread running. Nothing else is in the model: no kernel, no profiler, no
noise. bench/accuracy measures the same with all of them.
"""

import random

TICK_MS = 4.0
BURST_MS = (0.05, 3.0)
PAUSE_MS = (0.0, 6.0)
CREDIT_MOST = 4


def seen_shares(shares, rate, bursts=400000, seed=1):
    """The shares of the functions that the served expiries show."""
    source = random.Random(seed)
    period = 1000 / rate
    ends = [sum(shares[: i + 1]) for i in range(len(shares))]
    seen = [0] * len(shares)
    wall = cpu = 0.0
    expiry = source.random() * period
    for _ in range(bursts):
        wall += source.uniform(*PAUSE_MS)
        length = source.uniform(*BURST_MS)
        tick = (wall // TICK_MS + 1) * TICK_MS
        while tick < wall + length:
            now = cpu + tick - wall
            if now >= expiry:
                expiries = int((now - expiry) / period) + 1
                expiry += expiries * period
                place = (tick - wall) / length
                function = next(
                    (i for i, end in enumerate(ends) if place < end),
                    len(ends) - 1,
                )
                seen[function] += min(expiries, CREDIT_MOST)
            tick += TICK_MS
        wall += length
        cpu += length
    return [count / sum(seen) for count in seen]


def main():
    truth = (0.5, 0.3, 0.2)
    errors = [
        100 * (seen - share)
        for seen, share in zip(seen_shares(truth, 199), truth)
    ]
    print("random, 50/30/20:", " ".join(f"{e:+.1f}" for e in errors), "pp")


if __name__ == "__main__":
    main()
