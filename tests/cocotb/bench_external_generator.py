"""Bench of the generator of external input: `csnn.prng` is its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn import prng
from rtl.xorshift import ExtGenerator

WORDS = 4


class Model:
    """State of the generator, shape (1, 4)."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.state = np.zeros((1, WORDS), np.uint32)

    async def run(
        self, draw: np.ndarray, write: np.ndarray, reset: np.ndarray | None = None
    ) -> None:
        """Compare both words of every cycle; nothing is written where something is drawn."""
        n = len(draw)
        resets = np.zeros(n, bool) if reset is None else reset
        write = write & ~draw
        address = self.rng.integers(0, WORDS, n)
        word = self.rng.integers(0, 2**32, n).astype(np.uint32)
        word = np.where(self.rng.random(n) < 0.2, 1 << word % 32, word)
        found = await self.dut.run(
            {
                "draw": draw,
                "access__select": write | (self.rng.random(n) < 0.3),
                "access__write": write,
                "access__address": address,
                "access__write_data": word,
                "rst": resets,
            }
        )
        for t in range(n):
            following = self.state.copy()
            drawn = prng.ext_draw(following)[0]
            assert found["value"][t] == drawn, t
            assert found["access__read_data"][t] == self.state[0, address[t]], t
            self.cover.hit("drawn right after a write", t and draw[t] and write[t - 1])
            self.cover.hit("drawn after a pause", t and draw[t] and not (draw | write)[t - 1])
            self.cover.hit("written after a draw", t and write[t] and draw[t - 1])
            self.cover.hit("reset of a state", resets[t] and self.state.any())
            self.cover.hit("reset and write at once", resets[t] and write[t])
            if draw[t]:
                self.state = following
            elif write[t]:
                self.cover.hit(f"word {address[t]} written")
                self.state[0, address[t]] = word[t]
            if resets[t]:
                self.state[:] = 0


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is drawn nor written; then single draws with long pauses."""
    model = Model(dut, rng, cover)
    cycles = np.arange(200)
    await model.run(np.zeros(40, bool), np.zeros(40, bool))
    await model.run(np.zeros(40, bool), cycles[:40] % 3 == 0)
    await model.run(cycles % 17 == 0, np.zeros(200, bool))


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A draw in every cycle: the words of one stream, from its state on."""
    model = Model(dut, rng, cover)
    for _ in range(2):
        await model.run(np.zeros(40, bool), np.ones(40, bool))
        await model.run(np.ones(200, bool), np.zeros(200, bool))


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset leaves the state zero, from which no draw leads away."""
    model = Model(dut, rng, cover)
    await model.run(rng.random(300) < 0.4, rng.random(300) < 0.5, rng.random(300) < 0.1)
    await model.run(np.ones(20, bool), np.zeros(20, bool), np.arange(20) == 3)
    await model.run(rng.random(100) < 0.4, rng.random(100) < 0.5)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Draws and writes at every rate."""
    model = Model(dut, rng, cover)
    for draws, writes in ((0.9, 0.9), (0.3, 0.3), (0.5, 0.1)):
        await model.run(rng.random(250) < draws, rng.random(250) < writes)


BENCH = Bench(
    make=ExtGenerator,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *(f"word {place} written" for place in range(WORDS)),
        "drawn right after a write",
        "drawn after a pause",
        "written after a draw",
        "reset of a state",
        "reset and write at once",
    ),
)
