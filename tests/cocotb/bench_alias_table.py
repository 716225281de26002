"""Bench of the MTBRNG: several alias tables and the selector S."""

from __future__ import annotations

from alias_tables import bench

from rtl.alias_table import AliasTableConfig

BENCH = bench(
    AliasTableConfig(index_bits=2, fraction_bits=5, value_bits=4, field_bits=6, selectors=5)
)
