"""Bench of the generator of rows: `csnn.prng` is its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn import prng
from rtl.xorshift import RowGenerator


class Model:
    """State of the generator, shape (1,) each."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.x = self.y = np.zeros(1, np.uint32)

    def starts(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return states of rows, or of a single bit, or of all."""
        seed = self.rng.integers(1, 2**32, n).astype(np.uint32)
        source = self.rng.integers(0, 2**32, n).astype(np.uint32)
        x, y = prng.row_start(seed, source, prng.node_key(int(self.rng.integers(4096))))
        kind, bit = self.rng.integers(0, 8, n), self.rng.integers(0, 32, n).astype(np.uint32)
        x, y = np.where(kind == 0, 1 << bit, x), np.where(kind == 1, 1 << bit, y)
        zero, full = np.uint32(0), np.uint32(0xFFFFFFFF)
        x, y = np.where(kind == 2, full, x), np.where(kind == 3, full, y)
        return np.where(kind == 1, zero, x), np.where(kind == 0, zero, y)

    async def run(
        self, load: np.ndarray, draw: np.ndarray, reset: np.ndarray | None = None
    ) -> None:
        """Compare the words of every cycle: they belong to the state, drawn or not."""
        n = len(load)
        resets = np.zeros(n, bool) if reset is None else reset
        x, y = self.starts(n)
        found = await self.dut.run({"load": load, "draw": draw, "x": x, "y": y, "rst": resets})
        for t in range(n):
            new_x, new_y, a, b = prng.row_draw(self.x, self.y)
            assert (found["a"][t], found["b"][t]) == (a[0], b[0]), t
            self.cover.hit("first word wraps", a < self.y)
            self.cover.hit("second word wraps", b < new_x)
            self.cover.hit("drawn while the next row is loaded", load[t] and draw[t])
            self.cover.hit("row loaded after row", t and load[t] and load[t - 1])
            self.cover.hit("drawn at once", t and draw[t] and load[t - 1])
            self.cover.hit("drawn after a pause", t and draw[t] and not (draw | load)[t - 1])
            self.cover.hit("reset within a row", resets[t] and self.x.any())
            self.cover.hit("reset and load at once", resets[t] and load[t])
            if load[t]:
                self.x, self.y = x[t : t + 1], y[t : t + 1]
            elif draw[t]:
                self.x, self.y = new_x, new_y
            if resets[t]:
                self.x = self.y = np.zeros(1, np.uint32)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is loaded nor drawn; then single draws with long pauses."""
    model = Model(dut, rng, cover)
    await model.run(np.zeros(40, bool), np.zeros(40, bool))
    cycles = np.arange(400)
    await model.run(cycles % 100 == 7, cycles % 13 == 0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A draw in every cycle, and the last of a row while the next one is loaded."""
    model = Model(dut, rng, cover)
    for row in (1, 2, 60):
        await model.run(np.arange(120) % row == 0, np.ones(120, bool))


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset leaves the state zero, from which no draw leads away."""
    model = Model(dut, rng, cover)
    await model.run(rng.random(300) < 0.2, rng.random(300) < 0.7, rng.random(300) < 0.1)
    await model.run(np.zeros(20, bool), np.ones(20, bool), np.arange(20) == 3)
    await model.run(np.arange(20) == 5, np.ones(20, bool))


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Loads and draws at every rate."""
    model = Model(dut, rng, cover)
    for loads, draws in ((0.02, 0.9), (0.3, 0.3), (0.7, 0.7)):
        await model.run(rng.random(250) < loads, rng.random(250) < draws)


BENCH = Bench(
    make=RowGenerator,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "first word wraps",
        "second word wraps",
        "drawn while the next row is loaded",
        "row loaded after row",
        "drawn at once",
        "drawn after a pause",
        "reset within a row",
        "reset and load at once",
    ),
)
