"""Bench of the binary32 exponential of narrow multipliers: two products of 17 by 12 bits."""

from __future__ import annotations

from bench_fp_exp import exponential_bench

from csnn.neurons.operators import ECP5_OPERATORS

BENCH = exponential_bench(ECP5_OPERATORS)
