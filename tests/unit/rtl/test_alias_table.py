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
    "delay": AliasTableConfig(index_bits=6, fraction_bits=16, value_bits=6, selectors=8),
    "external": AliasTableConfig(index_bits=5, fraction_bits=27, value_bits=5),
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
    """Return the inputs that store a table, an entry per cycle."""
    n = len(table["H"])
    first = config.fraction_bits
    H, own, alias = (np.asarray(table[name], np.int64) for name in ("H", "own", "alias"))
    data = H | own << first | alias << (first + config.value_bits)
    idle = np.zeros(n, np.uint64)
    return {
        "selector": idle,
        "index": idle,
        "fraction": idle,
        "write": np.ones(n, np.uint64),
        "write_address": np.arange(n),
        "write_data": data,
    }


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
        # Entries of other addresses are written meanwhile, and do not disturb.
        inputs = {
            "selector": selector,
            "index": index,
            "fraction": fraction,
            "write": np.zeros(n),
            "write_address": rng.integers(0, len(table["H"]), n),
            "write_data": rng.integers(0, 2**config.word_bits, n, dtype=np.uint64),
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
        inputs = written(config, table)
        bench.run(inputs)
        found = bench.run({**inputs, "write": np.zeros(len(table["H"]))})["value"]
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
    idle = np.zeros(n + AliasTable.LATENCY, np.uint64)
    inputs = dict.fromkeys(("selector", "write", "write_address", "write_data"), idle)
    inputs["index"] = np.append(index.ravel(), [0] * AliasTable.LATENCY)
    inputs["fraction"] = np.append(fraction.ravel(), [0] * AliasTable.LATENCY)
    found = bench.run(inputs)["value"][AliasTable.LATENCY :]
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == outcomes.tolist()
    assert counts / n == pytest.approx(probabilities, abs=64 / 2**12)


@pytest.mark.parametrize(
    ("field", "value"),
    [("index_bits", 0), ("fraction_bits", 33), ("value_bits", 0), ("selectors", 0)],
)
def test_shapes_out_of_range_are_refused(field: str, value: int) -> None:
    shape = {"index_bits": 6, "fraction_bits": 16, "value_bits": 16, field: value}
    with pytest.raises(ValueError, match=rf"^{field} = {value}: must be from 1 to"):
        AliasTableConfig(**shape)
