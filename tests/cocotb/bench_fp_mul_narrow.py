"""Bench of the binary32 multiplier of narrow multipliers: four products of 12 by 12 bits."""

from __future__ import annotations

from bench_fp_mul import EQUIVALENT, multiplier_bench

from csnn.neurons.operators import ECP5_OPERATORS


def _two_steps_later(key: str) -> str:
    for name, later in (("product_2", "product_4"), ("grown_3", "grown_5"), ("tiny_4", "tiny_6")):
        key = key.replace(name, later)
    return key


BENCH = multiplier_bench(
    ECP5_OPERATORS, {_two_steps_later(key): why for key, why in EQUIVALENT.items()}
)
