"""Bench of the binary32 exponential: `csnn.exponential` is its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage
from binary32_words import exponents as fields
from binary32_words import is_nan, is_subnormal, numbers
from fp_vectors import CORNERS, exponents
from pipelined import scenarios

from csnn import binary32, exponential
from csnn.neurons.operators import Operators
from rtl.fp.exponential import Exponential, ExponentialConfig

# Exponent fields of arguments whose fixed-point number may be other than zero, and fits.
FIELDS = range(95, exponential.LARGEST_FIELD + 1)
# Entries of the table in groups; the rest never reaches those from 393 on.
GROUP = 8
GROUPS = range(0, 393, GROUP)


def model(inputs: Arrays) -> Arrays:
    """Return the words of the exponentials."""
    x = binary32.from_bits(inputs["a"].astype(np.uint32))
    return {"result": binary32.bits_of(exponential.exp(x)).astype(np.uint64)}


def boundaries() -> dict[str, np.ndarray]:
    """Return corners and neighbours of others: multiples of ln 2, entries of the table, steps of k.

    The number k of logarithms is that of the leading bits, so it steps at multiples of 1/16.
    """
    multiples = np.arange(-130, 130) * np.log(2.0)
    entries = np.arange(-400, 400) / 2**exponential.INDEX_BITS
    steps = np.arange(-2048, 2048) / 2**exponential.TOP_BITS
    near = np.concatenate([multiples, entries, steps]).astype(np.float32).view(np.uint32)
    values = [near + np.uint32(offset) for offset in (0, 1, 2**32 - 1)]
    return {"a": np.concatenate([CORNERS, *values])}


def reduced(x: np.ndarray) -> np.ndarray:
    """Return what the definition leaves of finite arguments below 128, less k ln 2."""
    top = np.floor(x * 2**exponential.TOP_BITS)
    scaled = top * exponential.INVERSE_LN2 - exponential.MARGIN
    k = np.floor(scaled / 2 ** (exponential.TOP_BITS + exponential.INVERSE_BITS))
    return np.asarray(x - k * np.log(2.0))


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of arguments and results these were."""
    x, y = numbers(found["a"]), numbers(found["result"])
    finite = np.isfinite(x)
    field = fields(found["a"])
    cover.hit("zero", x == 0)
    cover.hit("subnormal", is_subnormal(found["a"]))
    cover.hit("NaN", is_nan(found["a"]))
    cover.hit("infinity", x == np.inf)
    cover.hit("minus infinity", x == -np.inf)
    cover.hit("one, though not of zero", (y == 1) & (x != 0))
    cover.hit("overflow", finite & (y == np.inf) & (field <= exponential.LARGEST_FIELD))
    cover.hit("overflow of a large one", finite & (y == np.inf) & (x >= 128))
    cover.hit("underflow", finite & (y == 0) & (field <= exponential.LARGEST_FIELD))
    cover.hit("underflow of a large one", finite & (y == 0) & (x <= -128))
    cover.hit("largest exponent", fields(found["result"]) == 254)
    cover.hit("smallest exponent", fields(found["result"]) == 1)
    cover.hit("power of two", np.isfinite(y) & (y != 1) & (np.frexp(y)[0] == 0.5) & (y != 0))
    for bits in FIELDS:
        cover.hit(f"exponent field {bits}", field == bits)
    rest = reduced(np.where(np.abs(x) < 128, x, 0.0))
    cover.hit("growth beyond two", (np.abs(x) < 87) & (rest > np.log(2.0)))
    entry = np.where(field <= exponential.LARGEST_FIELD, rest * 2**exponential.INDEX_BITS, -1)
    for first in GROUPS:
        cover.hit(f"entries from {first}", (entry >= first) & (entry < first + GROUP))


def exponential_bench(operators: Operators) -> Bench:
    """Return the bench of a device's exponential."""
    config = ExponentialConfig(latency=operators.fexp, halves=operators.narrow_multipliers)
    return Bench(
        make=lambda: Exponential(config),
        scenarios=scenarios(
            config.latency, model, lambda n, rng: {"a": exponents(n, rng)}, boundaries, 20_000, note
        ),
        bins=(
            "zero",
            "subnormal",
            "NaN",
            "infinity",
            "minus infinity",
            "one, though not of zero",
            "overflow",
            "overflow of a large one",
            "underflow",
            "underflow of a large one",
            "largest exponent",
            "smallest exponent",
            "power of two",
            "growth beyond two",
            *(f"exponent field {bits}" for bits in FIELDS),
            *(f"entries from {first}" for first in GROUPS),
        ),
    )


BENCH = exponential_bench(Operators())
