"""The numbers that benchmarks sort: int64, the same ones in every run."""

import array
import os
import random

SEED = 1946
SHAPES = ("random", "sorted", "reversed", "few")
FEW = 16


def values(shape, count, seed=SEED):
    """An array of count int64 values: over the whole range at random, such
    values sorted or reversed, or at random of few distinct ones."""
    source = random.Random(seed)
    if shape == "few":
        kinds = _random(source, FEW)
        return array.array("q", source.choices(kinds, k=count))
    numbers = _random(source, count)
    if shape == "random":
        return numbers
    if shape in ("sorted", "reversed"):
        ordered = sorted(numbers, reverse=shape == "reversed")
        return array.array("q", ordered)
    raise ValueError(f"no shape {shape!r}")


def write_text(path, numbers):
    """One number a line."""
    _write(path, b"\n".join(b"%d" % n for n in numbers) + b"\n")


def write_json(path, numbers):
    """An array without white space."""
    _write(path, b"[" + b",".join(b"%d" % n for n in numbers) + b"]")


def write_arrays(path, shape, size, arrays):
    """That many arrays, all different, of native int64 values: a CPU learns
    the branches of a small array that it sorts again and again."""
    each = (values(shape, size, SEED + i).tobytes() for i in range(arrays))
    _write(path, b"".join(each))


def _random(source, count):
    numbers = array.array("q")
    numbers.frombytes(source.randbytes(8 * count))
    return numbers


def _write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)
    os.chmod(path, 0o644)
