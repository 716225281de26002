"""Bench of the binary32 adder: `csnn.binary32` is its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage
from binary32_words import exponents, is_nan, is_subnormal, numbers, of_two
from fp_vectors import corner_pairs, pairs
from pipelined import scenarios

from csnn import binary32
from csnn.neurons.operators import Operators
from rtl.fp.adder import Adder, AdderConfig

LATENCY = Operators().fadd
ALIGNED = range(33)
# Places by which the leading one of the sum is below that of the larger operand.
LOST = range(-1, 24)


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of sums these were."""
    a, b, total = (numbers(found[name]) for name in ("a", "b", "result"))
    finite = np.isfinite(a) & np.isfinite(b)
    both = finite & (a != 0) & (b != 0)
    cover.hit("NaN operand", is_nan(found["a"]) | is_nan(found["b"]))
    cover.hit("subnormal operand", is_subnormal(found["a"]) | is_subnormal(found["b"]))
    cover.hit("infinities of unlike sign", np.isinf(a) & np.isinf(b) & (a != b))
    cover.hit("infinity and number", np.isinf(a) & np.isfinite(b) | np.isfinite(a) & np.isinf(b))
    cover.hit("equal magnitudes cancel", both & (a == -b))
    cover.hit("negative zeros", (a == 0) & (b == 0) & np.signbit(a) & np.signbit(b))
    cover.hit("zeros of unlike sign", (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b)))
    cover.hit("overflow", finite & np.isinf(total))
    cover.hit("tiny sum becomes zero", both & (a != -b) & (total == 0))
    distance = np.abs(exponents(found["a"]) - exponents(found["b"]))
    for places in ALIGNED:
        cover.hit(f"aligned by {places}", both & (distance == places))
    larger = np.maximum(exponents(found["a"]), exponents(found["b"]))
    moved = larger - exponents(found["result"])
    for places in LOST:
        cover.hit(f"leading one {places} below", both & (total != 0) & (moved == places))
    # Sums that float64 holds.
    exact = both & np.isfinite(total) & (total != 0) & (distance < 28)
    with np.errstate(all="ignore"):
        rounding = (a + b - total) / np.spacing(np.abs(total).astype(np.float32))
        carries = np.frexp(a + b)[1] < np.frexp(total)[1]
    cover.hit("tie rounded down", exact & (rounding * np.sign(total) == 0.5))
    cover.hit("tie rounded up", exact & (rounding * np.sign(total) == -0.5))
    cover.hit("rounding carries", exact & carries)


BENCH = Bench(
    make=lambda: Adder(AdderConfig(latency=LATENCY)),
    scenarios=scenarios(
        LATENCY,
        of_two(binary32.add),
        lambda n, rng: dict(zip("ab", pairs(n, rng), strict=True)),
        lambda: dict(zip("ab", corner_pairs(), strict=True)),
        5_000,
        note,
    ),
    bins=(
        "NaN operand",
        "subnormal operand",
        "infinities of unlike sign",
        "infinity and number",
        "equal magnitudes cancel",
        "negative zeros",
        "zeros of unlike sign",
        "overflow",
        "tiny sum becomes zero",
        *(f"aligned by {places}" for places in ALIGNED),
        *(f"leading one {places} below" for places in LOST),
        "tie rounded down",
        "tie rounded up",
        "rounding carries",
    ),
    equivalent={
        "swap_0: b[30:0] > a[30:0] => b[30:0] >= a[30:0]": "of equal magnitudes either may be "
        "first: they cancel, or have one sign",
        "inf_0: is_inf | is_inf$ => is_inf ^ is_inf$": "the sum of two infinities of one sign "
        "overflows all the same",
        "nan_0: (is_nan | is_nan$) | ($ & unlike_0) => $ ^ $": "two infinities are no NaN",
        "level$: (| level$ [27:12]) ? level$ [27:12]: { level$ [11:0], 4'hf } => $ ? level$ "
        "[27:12]: { level$ [11:0], 4'd11 }": "bits below the sum: the highest of them ends the "
        "count, and a sum of zero is told apart",
        "$: | { small_1_q[13:0], 3'h0 } => | { 3'h0, small_1_q[13:0] }": "whether any is set",
    },
)
