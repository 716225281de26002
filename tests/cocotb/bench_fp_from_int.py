"""Bench of the conversion of int32 to binary32: `csnn.binary32` is its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage
from binary32_words import numbers
from fp_vectors import integers
from pipelined import scenarios

from csnn import binary32
from csnn.neurons.operators import Operators
from rtl.fp.from_int import FromInt, FromIntConfig

LATENCY = Operators().itof
LENGTHS = range(1, 33)


def model(inputs: Arrays) -> Arrays:
    """Return the words of the numbers that integers are rounded to."""
    values = inputs["a"].astype(np.uint32).view(np.int32)
    return {"result": binary32.bits_of(binary32.from_int32(values)).astype(np.uint64)}


def boundaries() -> dict[str, np.ndarray]:
    """Return the integers around every power of two, and around halves of its last places."""
    powers = 2 ** np.arange(33)
    last = np.maximum(powers >> 24, 1)
    near = [powers + offset for offset in range(-3, 4)]
    near += [powers + k * last // 2 for k in range(-9, 10)]
    values = np.concatenate(near)
    return {"a": np.concatenate([values, -values]).astype(np.int64).astype(np.uint32)}


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of integers these were."""
    exact = found["a"].astype(np.uint32).view(np.int32).astype(np.float64)
    rounded = numbers(found["result"])
    ulp = np.spacing(np.abs(rounded).astype(np.float32)).astype(np.float64)
    rounding = (np.abs(exact) - np.abs(rounded)) / ulp
    cover.hit("zero", exact == 0)
    cover.hit("least integer", exact == -(2.0**31))
    cover.hit("greatest integer", exact == 2.0**31 - 1)
    cover.hit("minus one", exact == -1)
    cover.hit("tie rounded down", rounding == 0.5)
    cover.hit("tie rounded up", rounding == -0.5)
    cover.hit("just below a tie", (rounding > 0.4) & (rounding < 0.5))
    cover.hit("just above a tie", (rounding > -0.5) & (rounding < -0.4))
    cover.hit("rounding carries", np.frexp(exact)[1] < np.frexp(rounded)[1])
    for bits in LENGTHS:
        cover.hit(f"magnitude of {bits} bits", np.frexp(np.abs(exact))[1] == bits)


BENCH = Bench(
    make=lambda: FromInt(FromIntConfig(latency=LATENCY)),
    scenarios=scenarios(
        LATENCY, model, lambda n, rng: {"a": integers(n, rng)}, boundaries, 3_000, note
    ),
    bins=(
        "zero",
        "least integer",
        "greatest integer",
        "minus one",
        "tie rounded down",
        "tie rounded up",
        "just below a tie",
        "just above a tie",
        "rounding carries",
        *(f"magnitude of {bits} bits" for bits in LENGTHS),
    ),
)
