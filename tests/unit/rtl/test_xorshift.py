"""Generators in hardware give the words of `csnn.prng`, held and restarted at any time."""

from __future__ import annotations

import numpy as np
import pytest

from csnn import prng
from rtl.verilate import Verilated
from rtl.xorshift import ExtGenerator, RowGenerator

CYCLES = 3_000


@pytest.fixture(scope="module")
def row_generator() -> Verilated:
    return Verilated(RowGenerator())


@pytest.fixture(scope="module")
def ext_generator() -> Verilated:
    return Verilated(ExtGenerator())


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("busy", [0.1, 0.9, 1.0])
def test_rows(row_generator: Verilated, share: float, busy: float) -> None:
    """Loads with probability `share`, draws with probability `busy`, each in any cycle."""
    rng = np.random.default_rng(1)
    inputs = {
        "load": rng.random(CYCLES) < share,
        "x": rng.integers(0, 2**32, CYCLES),
        "y": rng.integers(0, 2**32, CYCLES),
        "draw": rng.random(CYCLES) < busy,
    }
    inputs["load"][0] = True
    found = row_generator.run(inputs)
    x = y = np.zeros(1, np.uint32)
    drawn = 0
    for t in range(CYCLES):
        new_x, new_y, a, b = prng.row_draw(x, y)
        if t and inputs["draw"][t]:
            assert (found["a"][t], found["b"][t]) == (a[0], b[0]), t
            drawn += 1
        if inputs["load"][t]:
            x, y = (inputs[name][t : t + 1].astype(np.uint32) for name in "xy")
        elif inputs["draw"][t]:
            x, y = new_x, new_y
    assert drawn > 0.8 * busy * CYCLES


def test_a_row_from_its_seed(row_generator: Verilated) -> None:
    seed, source = np.array([0x12345678], np.uint32), np.array([77], np.uint32)
    x, y = prng.row_start(seed, source, prng.node_key(5))
    n = 300
    inputs = {name: np.zeros(n + 1, np.uint64) for name in ("load", "x", "y", "draw")}
    inputs["load"][0], inputs["x"][0], inputs["y"][0] = 1, x[0], y[0]
    inputs["draw"][1:] = 1
    found = row_generator.run(inputs)
    words = []
    for _ in range(n):
        x, y, a, b = prng.row_draw(x, y)
        words.append((int(a[0]), int(b[0])))
    assert list(zip(found["a"][1:].tolist(), found["b"][1:].tolist(), strict=True)) == words


@pytest.mark.parametrize("busy", [0.1, 1.0])
def test_external_input(ext_generator: Verilated, busy: float) -> None:
    rng = np.random.default_rng(2)
    state = rng.integers(1, 2**32, (1, 4)).astype(np.uint32)
    n = CYCLES
    write, word = np.zeros(n + 8, np.uint64), np.zeros(n + 8, np.uint64)
    address = rng.integers(0, 4, n + 8)
    draw = (rng.random(n + 8) < busy).astype(np.uint64)
    # The words may come in any order.
    address[:4], address[-4:] = rng.permutation(4), np.arange(4)
    write[:4], word[:4], draw[:4] = 1, state[0][address[:4]], 0
    draw[-4:] = 0
    inputs = {
        "draw": draw,
        "access__select": write,
        "access__write": write,
        "access__address": address,
        "access__write_data": word,
    }
    found = ext_generator.run(inputs)
    for t in range(4, n + 4):
        if draw[t]:
            assert found["value"][t] == prng.ext_draw(state)[0], t
    assert found["access__read_data"][-4:].tolist() == state[0].tolist()
