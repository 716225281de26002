"""Alias tables in hardware draw the outcomes of the reference, for every shape that is used."""

from __future__ import annotations

import numpy as np
import pytest

from csnn import rows
from netgen import alias as walker
from rtl.alias_table import AliasTable, AliasTableConfig
from rtl.verilate import Verilated

# Weights and delays of the spike router, counts of external spikes, a single small table.
SHAPES = {
    "weight": AliasTableConfig(index_bits=6, fraction_bits=16, value_bits=16, selectors=8),
    "delay": AliasTableConfig(
        index_bits=6, fraction_bits=16, value_bits=6, field_bits=8, selectors=8
    ),
    "external": AliasTableConfig(index_bits=5, fraction_bits=27, value_bits=5, field_bits=8),
    "small": AliasTableConfig(index_bits=2, fraction_bits=4, value_bits=3, selectors=3),
}


def filled(config: AliasTableConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random tables, with the extreme values of H among them."""
    size = config.selectors << config.index_bits
    H = rng.integers(0, 2**config.fraction_bits, size)
    H[rng.random(size) < 0.1] = 0
    H[rng.random(size) < 0.1] = 2**config.fraction_bits - 1
    values = (rng.integers(0, 2**config.value_bits, size) for _ in range(2))
    return dict(zip(("H", "own", "alias"), (H, *values), strict=True))


def written(config: AliasTableConfig, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the inputs that store a table, a word per cycle."""
    H, own, alias = (np.asarray(table[name], np.uint64) for name in ("H", "own", "alias"))
    shift, field = np.uint64(32 - config.fraction_bits), np.uint64(config.field_bits)
    words = np.stack([H << shift, own | alias << field], axis=1).ravel()
    n = len(words)
    return {
        **idle(n),
        "access__select": np.ones(n, np.uint64),
        "access__write": np.ones(n, np.uint64),
        "access__address": np.arange(n),
        "access__write_data": words,
    }


def idle(cycles: int) -> dict[str, np.ndarray]:
    """Return inputs that do nothing: fraction 0 of entry 0."""
    names = ("select", "write", "address", "write_data")
    ports = ("selector", "index", "fraction", *(f"access__{name}" for name in names))
    return {port: np.zeros(cycles, np.uint64) for port in ports}


@pytest.mark.parametrize("name", SHAPES)
def test_draws_are_those_of_the_table(name: str) -> None:
    config = SHAPES[name]
    rng = np.random.default_rng(3)
    bench = Verilated(AliasTable(config))
    for _ in range(3):
        table = filled(config, rng)
        bench.run(written(config, table))
        n = 30_000
        selector = rng.integers(0, config.selectors, n)
        index = rng.integers(0, 2**config.index_bits, n)
        entry = selector << config.index_bits | index
        # Half of the fractions lie next to the threshold.
        near = table["H"][entry] + rng.integers(-1, 2, n)
        fraction = np.where(rng.random(n) < 0.5, near, rng.integers(0, 2**63, n))
        fraction = fraction & (2**config.fraction_bits - 1)
        # What stands on the access port without `select` and `write` does not disturb.
        inputs = {
            **idle(n),
            "selector": selector,
            "index": index,
            "fraction": fraction,
            "access__address": rng.integers(0, 2 * len(table["H"]), n),
            "access__write_data": rng.integers(0, 2**32, n),
        }
        found = bench.run(inputs)["value"][AliasTable.LATENCY :]
        own = fraction < table["H"][entry]
        expected = np.where(own, table["own"][entry], table["alias"][entry])[: -AliasTable.LATENCY]
        assert np.array_equal(found, expected)
        assert {True, False} == set(own.tolist())


def test_a_table_that_is_changed_between_draws() -> None:
    config = SHAPES["small"]
    rng = np.random.default_rng(4)
    bench = Verilated(AliasTable(config))
    tables = [filled(config, rng) for _ in range(2)]
    for table in (*tables, tables[0]):
        bench.run(written(config, table))
        found = bench.run(idle(20))["value"]
        # Entry 0 of table 0, fraction 0, in every cycle.
        expected = table["own"][0] if table["H"][0] else table["alias"][0]
        assert set(found[AliasTable.LATENCY :].tolist()) == {expected}


def test_a_distribution_comes_out_as_it_went_in() -> None:
    """Every 16th of all draws of a table hits each outcome as often as its probability says."""
    config = AliasTableConfig(index_bits=6, fraction_bits=16, value_bits=16)
    outcomes, probabilities = np.array([3, 7, 500, 30000]), np.array([0.125, 0.5, 0.25, 0.125])
    table = walker.build(outcomes, probabilities, 64, walker.RTR_COMPARE_BITS)
    bench = Verilated(AliasTable(config))
    H = (np.asarray(table.H) >> np.uint32(rows.FRACTION_BITS)).astype(np.int64)
    bench.run(written(config, {"H": H, "own": table.own, "alias": table.alias}))
    index, fraction = np.meshgrid(np.arange(64), np.arange(0, 2**16, 16))
    n = index.size
    inputs = idle(n + AliasTable.LATENCY)
    inputs["index"][:n], inputs["fraction"][:n] = index.ravel(), fraction.ravel()
    found = bench.run(inputs)["value"][AliasTable.LATENCY :]
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == outcomes.tolist()
    assert counts / n == pytest.approx(probabilities, abs=64 / 2**12)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("index_bits", 0),
        ("fraction_bits", 33),
        ("value_bits", 17),
        ("field_bits", 0),
        ("selectors", 0),
    ],
)
def test_shapes_out_of_range_are_refused(field: str, value: int) -> None:
    shape = {"index_bits": 6, "fraction_bits": 16, "value_bits": 16, field: value}
    with pytest.raises(ValueError, match=rf"^{field} = {value}: must be from 1 to"):
        AliasTableConfig(**shape)
