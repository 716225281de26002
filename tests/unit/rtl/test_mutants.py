"""The stimuli of each component kill its mutants: automatic faults of its Verilog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.lib.wiring import Component
from fp_bench import UNITS
from fp_vectors import corner_pairs, exponents, integers, pairs
from mutation import Mutant, mutate

from csnn import prng
from rtl.alias_table import AliasTable, AliasTableConfig
from rtl.verilate import Verilated
from rtl.xorshift import ExtGenerator, RowGenerator


@pytest.fixture(params=[80, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "all"])
def count(request: pytest.FixtureRequest) -> int:
    """Largest number of mutants."""
    return int(request.param)


class Mutated:
    """A component with up to `count` mutants, one of which is in force."""

    def __init__(self, component: Component, count: int) -> None:
        self.count = count
        self.mutants: list[Mutant] = []
        self.number = 0
        self._bench = Verilated(component, change=self._change, added=("mutant",))

    def _change(self, verilog: str) -> str:
        text, self.mutants = mutate(verilog, self.count)
        return text

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Any]:
        cycles = len(np.asarray(next(iter(inputs.values()))))
        return self._bench.run({**inputs, "mutant": np.full(cycles, self.number)})


# Survivors that compute the same, and why.
EQUIVALENT = {
    "inf_0: is_inf | is_inf$ => is_inf ^ is_inf$": "two infinities overflow all the same",
    "is_zero_0: is_zero | is_zero$ => is_zero ^ is_zero$": "0 * 0 is a tiny product, too",
    "level$: (| level$ [27:12]) ? level$ [27:12]: { level$ [11:0], 4'hf } => $ ? level$ [27:12]: "
    "{ level$ [11:0], 4'd11 }": "below the sum; seen where it is zero, which is told apart",
    "$: product_2_q[47] ? product_2_q[22:0]: { 1'h0, product_2_q[21:0] } => product_2_q[47] ? "
    "product_2_q[22:0]: { product_2_q[21:0], 1'h0 }": "asked only whether any bit is set",
    "swap_0: b[30:0] > a[30:0] => b[30:0] >= a[30:0]": "of equal magnitudes either may be first",
    "$: | { small_1_q[13:0], 3'h0 } => | { 3'h0, small_1_q[13:0] }": "whether any is set",
    "if: go => 1'h1": "an alias table never stops its memories",
    "tiny_4$: $signed(grown_3_q) < $signed(1'h0) => $signed(grown_3_q) < $signed(1'd1)": "1'd1 is "
    "-1; a carry into the exponent 0 leaves the fraction 0, a zero by itself",
    "nan_0: (is_nan | is_nan$) | ($ & unlike_0) => $ ^ $": "two infinities are no NaN",
    "nan_0: (is_nan | is_nan$) | (inf_0 & is_zero_0) => $ ^ $": "infinity and zero are no NaN",
}


def survivors(component: Component, differs: Callable[[Mutated], bool], count: int) -> list[str]:
    """Return what the mutants are that no stimulus tells from the component."""
    bench = Mutated(component, count)
    assert not differs(bench), "the component without a mutant is wrong"
    assert len(bench.mutants) >= 20
    killed, left = [], []
    for number, mutant in enumerate(bench.mutants, 1):
        bench.number = number
        (killed if differs(bench) else left).append(mutant.key)
    # A key may speak of several places: what is said of it must hold at each.
    assert not set(killed) & set(EQUIVALENT)
    assert len(left) <= 0.05 * len(bench.mutants), left
    return left


@pytest.mark.parametrize("name", ["add_7", "sub_7", "mul_5", "ge_1", "lt_1", "itof_3", "exp_13"])
def test_binary32(name: str, count: int) -> None:
    unit = UNITS[name]
    rng = np.random.default_rng(5)
    a, b = (np.concatenate(parts) for parts in zip(corner_pairs(), pairs(60_000, rng), strict=True))
    if name.startswith("itof"):
        a = b = integers(60_000, rng)
    if name.startswith("exp"):
        a = b = exponents(60_000, rng)
    component = unit.make()
    expected = unit.model(a, b)[: -unit.latency]
    inputs = {"a": a, "b": b} if "b" in component.signature.members else {"a": a}

    def differs(bench: Mutated) -> bool:
        return not np.array_equal(bench.run(inputs)["result"][unit.latency :], expected)

    assert set(survivors(component, differs, count)) <= set(EQUIVALENT)


def test_row_generator(count: int) -> None:
    rng = np.random.default_rng(6)
    n = 400
    inputs = {
        "load": rng.random(n) < 0.2,
        "x": rng.integers(0, 2**32, n),
        "y": rng.integers(0, 2**32, n),
        "draw": rng.random(n) < 0.7,
    }
    inputs["load"][0] = True
    expected = []
    x = y = np.zeros(1, np.uint32)
    for t in range(n):
        new_x, new_y, a, b = prng.row_draw(x, y)
        expected.append((int(a[0]), int(b[0])))
        if inputs["load"][t]:
            x, y = (inputs[name][t : t + 1].astype(np.uint32) for name in "xy")
        elif inputs["draw"][t]:
            x, y = new_x, new_y

    def differs(bench: Mutated) -> bool:
        found = bench.run(inputs)
        words = list(zip(found["a"].tolist(), found["b"].tolist(), strict=True))
        return words[1:] != expected[1:]

    assert set(survivors(RowGenerator(), differs, count)) <= set(EQUIVALENT)


def test_external_generator(count: int) -> None:
    rng = np.random.default_rng(7)
    state = rng.integers(1, 2**32, (1, 4)).astype(np.uint32)
    n = 400
    address = rng.integers(0, 4, n)
    address[:4] = [2, 0, 3, 1]
    write, draw = rng.random(n) < 0.2, rng.random(n) < 0.6
    write[:4], draw[:4] = True, False
    word = rng.integers(0, 2**32, n)
    word[:4] = state[0][address[:4]]
    inputs = {
        "draw": draw,
        "access__select": write,
        "access__write": write,
        "access__address": address,
        "access__write_data": word,
    }
    expected = []
    for t in range(4, n):
        following = state.copy()
        expected.append((int(prng.ext_draw(following)[0]), int(state[0, address[t]])))
        if draw[t]:
            state = following
        elif write[t]:
            state[0, address[t]] = word[t]

    def differs(bench: Mutated) -> bool:
        found = bench.run(inputs)
        read = found["access__read_data"]
        return list(zip(found["value"].tolist(), read.tolist(), strict=True))[4:] != expected

    assert set(survivors(ExtGenerator(), differs, count)) <= set(EQUIVALENT)


def test_alias_table(count: int) -> None:
    config = AliasTableConfig(
        index_bits=3, fraction_bits=5, value_bits=4, field_bits=6, selectors=4
    )
    rng = np.random.default_rng(8)
    size = config.selectors << config.index_bits
    H, own, alias = (rng.integers(0, 2**bits, size) for bits in (5, 4, 4))
    n = 4000
    # Two words for each entry, in any order; then words that are not written, and reading.
    address = np.append(rng.permutation(2 * size), rng.integers(0, 2 * size, n - 2 * size))
    words = np.stack([H << 27, own | alias << 6], axis=1).ravel()
    write = np.arange(n) < 2 * size
    reading = np.arange(n) >= n - 1000
    inputs = {
        "selector": rng.integers(0, config.selectors, n),
        "index": rng.integers(0, 8, n),
        "fraction": rng.integers(0, 32, n),
        "access__select": write | reading,
        "access__write": write,
        "access__address": address,
        "access__write_data": np.where(write, words[address], rng.integers(0, 2**32, n)),
    }
    entry = inputs["selector"] << 3 | inputs["index"]
    expected = np.where(inputs["fraction"] < H[entry], own[entry], alias[entry])
    # The word whose address came two cycles ago, its half chosen by the address of now.
    entries = address[n - 1000 : -2] >> 1 << 1
    expected_words = words[entries | address[n - 998 :] & 1]
    drawn = slice(2 * size, n - 1000 - AliasTable.LATENCY)

    def differs(bench: Mutated) -> bool:
        found = bench.run(inputs)
        values = found["value"][2 * size + AliasTable.LATENCY : n - 1000]
        read = found["access__read_data"][n - 998 :]
        return not np.array_equal(values, expected[drawn]) or not np.array_equal(
            read, expected_words
        )

    assert set(survivors(AliasTable(config), differs, count)) <= set(EQUIVALENT)
