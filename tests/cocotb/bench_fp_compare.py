"""Bench of the binary32 comparator: `csnn.binary32` is its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage
from binary32_words import is_nan, is_subnormal, numbers, of_two
from fp_vectors import U32, corner_pairs, pairs
from pipelined import scenarios

from csnn import binary32
from csnn.neurons.operators import Operators
from rtl.fp.comparator import Comparator, ComparatorConfig

LATENCY = Operators().compare


def near_pairs(n: int, rng: np.random.Generator) -> tuple[U32, U32]:
    """Return pairs of every kind, half of them equal, or apart by one in some bit."""
    a, b = pairs(n, rng)
    kind = rng.integers(0, 6, n)
    bit = np.uint32(1) << rng.integers(0, 32, n).astype(np.uint32)
    b = np.where(kind == 0, a, b)
    b = np.where(kind == 1, a ^ bit, b)
    return a, np.where(kind == 2, a + np.uint32(1), b)


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of comparisons these were."""
    a, b = numbers(found["a"]), numbers(found["b"])
    nan_a, nan_b = is_nan(found["a"]), is_nan(found["b"])
    cover.hit("first operand NaN", nan_a & ~nan_b)
    cover.hit("second operand NaN", ~nan_a & nan_b)
    cover.hit("both operands NaN", nan_a & nan_b)
    cover.hit("equal numbers", (found["a"] == found["b"]) & ~nan_a)
    cover.hit("equal infinities", np.isinf(a) & (a == b))
    cover.hit("-0 and +0", (a == 0) & (b == 0) & np.signbit(a) & ~np.signbit(b))
    small_a, small_b = is_subnormal(found["a"]), is_subnormal(found["b"])
    cover.hit("two subnormals", small_a & small_b & (found["a"] != found["b"]))
    cover.hit("subnormals of unlike sign", small_a & small_b & np.signbit(a) & ~np.signbit(b))
    cover.hit("subnormal and number", small_a & (b != 0))
    adjacent = found["b"] - found["a"] == 1
    cover.hit("next number above", adjacent & (a > 0) & (b > a))
    cover.hit("next number below", adjacent & (b < 0) & (b < a))
    cover.hit("negative and positive", (a < 0) & (b > 0))
    cover.hit("positive and negative", (a > 0) & (b < 0))


BENCH = Bench(
    make=lambda: Comparator(ComparatorConfig(latency=LATENCY)),
    scenarios=scenarios(
        LATENCY,
        of_two(binary32.greater_equal),
        lambda n, rng: dict(zip("ab", near_pairs(n, rng), strict=True)),
        lambda: dict(zip("ab", corner_pairs(), strict=True)),
        2_000,
        note,
    ),
    bins=(
        "first operand NaN",
        "second operand NaN",
        "both operands NaN",
        "equal numbers",
        "equal infinities",
        "-0 and +0",
        "two subnormals",
        "subnormals of unlike sign",
        "subnormal and number",
        "next number above",
        "next number below",
        "negative and positive",
        "positive and negative",
    ),
)
