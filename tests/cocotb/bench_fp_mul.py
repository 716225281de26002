"""Bench of the binary32 multiplier: `csnn.binary32` is its model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bench import Arrays, Bench, Coverage
from binary32_words import exponents, is_nan, is_subnormal, numbers, of_two
from fp_vectors import corner_pairs, pairs
from pipelined import scenarios

from csnn import binary32
from csnn.neurons.operators import Operators
from rtl.fp.multiplier import Multiplier, MultiplierConfig

SMALLEST = 2.0**-126


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of products these were."""
    a, b, product = (numbers(found[name]) for name in ("a", "b", "result"))
    finite = np.isfinite(a) & np.isfinite(b)
    both = finite & (a != 0) & (b != 0)
    with np.errstate(invalid="ignore"):
        exact = np.abs(a * b)
    cover.hit("NaN operand", is_nan(found["a"]) | is_nan(found["b"]))
    cover.hit("subnormal operand", is_subnormal(found["a"]) | is_subnormal(found["b"]))
    cover.hit("infinity by zero", np.isinf(a) & (b == 0) | np.isinf(b) & (a == 0))
    cover.hit("infinity by number", np.isinf(a) & np.isfinite(b) & (b != 0))
    cover.hit("two infinities", np.isinf(a) & np.isinf(b))
    cover.hit("negative zero", finite & (product == 0) & np.signbit(product))
    cover.hit("largest exponent", exponents(found["result"]) == 254)
    cover.hit("overflow", finite & np.isinf(product))
    cover.hit("overflow by rounding", np.isinf(product) & (exact < 2.0**128))
    cover.hit("exponent overflows far", finite & (exact > 2.0**200))
    cover.hit("tiny product becomes zero", both & (product == 0))
    cover.hit("exponent underflows far", both & (exact < 2.0**-200))
    cover.hit("smallest product", both & (np.abs(product) == SMALLEST))
    cover.hit("rounded up to the smallest", (exact < SMALLEST) & (np.abs(product) == SMALLEST))
    just_tiny = both & (exact < SMALLEST) & (exact >= SMALLEST * (1 - 2.0**-24))
    cover.hit("lifted by gradual underflow only", just_tiny & (product == 0))
    normal = both & np.isfinite(product) & (product != 0)
    with np.errstate(all="ignore"):
        rounding = (exact - np.abs(product)) / np.spacing(np.abs(product).astype(np.float32))
        fraction = np.frexp(exact)[0] * 2
        product_of_fractions = np.abs(np.frexp(a)[0] * np.frexp(b)[0]) * 4
    cover.hit("product of fractions below 2", normal & (product_of_fractions < 2))
    cover.hit("product of fractions from 2 on", normal & (product_of_fractions >= 2))
    cover.hit("tie rounded down", normal & (rounding == 0.5))
    cover.hit("tie rounded up", normal & (rounding == -0.5))
    cover.hit("exact", normal & (rounding == 0))
    cover.hit("rounding carries", normal & (np.frexp(np.abs(product))[0] * 2 < fraction))


EQUIVALENT = {
    "inf_0: is_inf | is_inf$ => is_inf ^ is_inf$": "two infinities overflow all the same",
    "is_zero_0: is_zero | is_zero$ => is_zero ^ is_zero$": "0 * 0 is a tiny product, too",
    "nan_0: (is_nan | is_nan$) | (inf_0 & is_zero_0) => $ ^ $": "infinity and zero are no NaN",
    "tiny_4$: $signed(grown_3_q) < $signed(1'h0) => $signed(grown_3_q) < $signed(1'd1)": "1'd1 "
    "is -1; a carry into the exponent 0 leaves the fraction 0, a zero by itself",
    "$: product_2_q[47] ? product_2_q[22:0]: { 1'h0, product_2_q[21:0] } => product_2_q[47] ? "
    "product_2_q[22:0]: { product_2_q[21:0], 1'h0 }": "asked only whether any bit is set",
}


def multiplier_bench(operators: Operators, equivalent: Mapping[str, str]) -> Bench:
    """Return the bench of a device's multiplier."""
    config = MultiplierConfig(latency=operators.fmul, quarters=operators.narrow_multipliers)
    return Bench(
        make=lambda: Multiplier(config),
        scenarios=scenarios(
            config.latency,
            of_two(binary32.mul),
            lambda n, rng: dict(zip("ab", pairs(n, rng), strict=True)),
            lambda: dict(zip("ab", corner_pairs(), strict=True)),
            5_000,
            note,
        ),
        bins=(
            "NaN operand",
            "subnormal operand",
            "infinity by zero",
            "infinity by number",
            "two infinities",
            "negative zero",
            "largest exponent",
            "overflow",
            "overflow by rounding",
            "exponent overflows far",
            "tiny product becomes zero",
            "exponent underflows far",
            "smallest product",
            "rounded up to the smallest",
            "lifted by gradual underflow only",
            "product of fractions below 2",
            "product of fractions from 2 on",
            "tie rounded down",
            "tie rounded up",
            "exact",
            "rounding carries",
        ),
        equivalent=equivalent,
    )


BENCH = multiplier_bench(Operators(), EQUIVALENT)
