"""Bench of the TBRNG: one alias table, with fractions as wide as those of external input."""

from __future__ import annotations

from alias_tables import bench

from rtl.alias_table import AliasTableConfig

BENCH = bench(AliasTableConfig(index_bits=3, fraction_bits=27, value_bits=5, field_bits=8))
