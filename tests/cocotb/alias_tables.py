"""Scenarios of alias tables of any shape; arrays of words are the model."""

from __future__ import annotations

from collections import deque

import numpy as np
from bench import Bench, Coverage, Dut

from rtl.alias_table import AliasTable, AliasTableConfig
from rtl.memory_access import READ_LATENCY

DRAW, WRITE, READ = range(3)
PER_READ = READ_LATENCY + 2


class Model:
    """The words of the tables, two per entry, and the outcomes under way; None is any."""

    def __init__(
        self, config: AliasTableConfig, dut: Dut, rng: np.random.Generator, cover: Coverage
    ) -> None:
        self.config = config
        self.dut, self.rng, self.cover = dut, rng, cover
        self.n_words = 2 * config.selectors << config.index_bits
        self.words = [0] * self.n_words
        self.coming: deque[int | None] = deque([None] * AliasTable.LATENCY)

    def entry(self, number: int) -> tuple[int, int, int]:
        """Return H, own outcome and alias of an entry."""
        config, mask = self.config, (1 << self.config.value_bits) - 1
        first, second = self.words[2 * number : 2 * number + 2]
        H = first >> 32 - config.fraction_bits
        return H, second & mask, second >> config.field_bits & mask

    def stored(self, address: int) -> int:
        """Return a word as it is read back: bits that have no use are zeros."""
        H, own, alias = self.entry(address // 2)
        if address % 2 == 0:
            return H << 32 - self.config.fraction_bits
        return own | alias << self.config.field_bits

    def new_words(self, address: np.ndarray) -> np.ndarray:
        """Return words to be written; fractions that are never, or all but never, below H."""
        words = self.rng.integers(0, 2**32, len(address))
        extreme = self.rng.random(len(address))
        words = np.where((address % 2 == 0) & (extreme < 0.1), 0, words)
        return np.where((address % 2 == 0) & (extreme > 0.9), 2**32 - 1, words)

    async def load(self) -> None:
        """Write every word, in any order."""
        await self.run(np.full(self.n_words, WRITE), self.rng.permutation(self.n_words))

    async def read(self) -> None:
        """Read every word back."""
        order = np.repeat(self.rng.permutation(self.n_words), PER_READ)
        await self.run(np.full(len(order), READ), order)

    async def run(
        self,
        kind: np.ndarray,
        address: np.ndarray,
        reset: np.ndarray | None = None,
        hold: int = 1,
    ) -> None:
        """Draw, write or read in each cycle; operands of draws stay for some cycles."""
        config, rng, n = self.config, self.rng, len(kind)
        resets = np.zeros(n, bool) if reset is None else reset
        written = self.new_words(address)
        operands = -(-n // hold)
        index = rng.integers(0, 1 << config.index_bits, operands)
        selector = rng.integers(0, config.selectors, operands)
        # Half of the fractions lie next to H.
        entry = selector << config.index_bits | index
        near = np.array(self.words[::2])[entry] >> 32 - config.fraction_bits
        near += rng.integers(-1, 2, operands)
        anywhere = rng.integers(0, 1 << config.fraction_bits, operands)
        fraction = np.where(rng.random(operands) < 0.5, near, anywhere)
        fraction %= 1 << config.fraction_bits
        index, selector, fraction = (np.repeat(x, hold)[:n] for x in (index, selector, fraction))
        found = await self.dut.run(
            {
                "selector": selector,
                "index": index,
                "fraction": fraction,
                "access__select": kind != DRAW,
                "access__write": kind == WRITE,
                "access__address": address,
                "access__write_data": written,
                "rst": resets,
            }
        )
        steady = 0
        for t in range(n):
            value = self.coming.popleft()
            assert value is None or found["value"][t] == value, t
            same = t and kind[t - 1] == READ and address[t - 1] == address[t] and not resets[t - 1]
            steady = steady + 1 if kind[t] == READ and same else 0
            if steady >= READ_LATENCY:
                assert found["access__read_data"][t] == self.stored(int(address[t])), t
                self.cover.hit("read back")
            self.coming.append(None)
            if kind[t] == DRAW:
                number = int(selector[t]) << config.index_bits | int(index[t])
                self.coming[-1] = self.draw(int(selector[t]), number, int(fraction[t]))
                last_written = address[t - 1] // 2 if t and kind[t - 1] == WRITE else None
                self.cover.hit("drawn right after its entry was written", last_written == number)
                self.cover.hit("drawn right after a read", t and kind[t - 1] == READ)
            elif kind[t] == WRITE:
                self.words[address[t]] = int(written[t])
            if resets[t]:
                # The memories' output registers and the outcome become zero.
                self.cover.hit("reset with draws under way", any(self.coming))
                self.coming[0] = self.coming[1] = 0

    def draw(self, selector: int, number: int, fraction: int) -> int:
        """Return the outcome of an entry."""
        H, own, alias = self.entry(number)
        self.cover.hit(f"table {selector}")
        self.cover.hit("fraction just below H", fraction == H - 1)
        self.cover.hit("fraction equals H", fraction == H)
        self.cover.hit("never its own", H == 0)
        top = (1 << self.config.fraction_bits) - 1
        self.cover.hit("alias of the greatest fraction", fraction == top == H)
        self.cover.hit("own outcome", fraction < H and own != alias)
        self.cover.hit("alias", fraction >= H and own != alias)
        return own if fraction < H else alias


def bench(config: AliasTableConfig) -> Bench:
    """Return the bench of a shape."""

    def anywhere(model: Model, n: int) -> np.ndarray:
        return model.rng.integers(0, model.n_words, n)

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Nothing but the tables is written; then operands that stay for long."""
        model = Model(config, dut, rng, cover)
        await model.load()
        await model.read()
        await model.run(np.full(300, DRAW), anywhere(model, 300), hold=15)
        await model.read()

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A draw of any table in every cycle, whatever stands on the access port."""
        model = Model(config, dut, rng, cover)
        await model.load()
        await model.run(np.full(600, DRAW), anywhere(model, 600))

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A reset drops the draws under way; tables stay."""
        model = Model(config, dut, rng, cover)
        await model.load()
        for share in (0.02, 0.3):
            n = 200
            await model.run(np.full(n, DRAW), anywhere(model, n), rng.random(n) < share)
        await model.read()

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Draws between changes of the tables."""
        model = Model(config, dut, rng, cover)
        await model.load()
        for _ in range(4):
            kind = np.repeat(rng.choice([DRAW, DRAW, WRITE, READ], 60), rng.integers(1, 9, 60))
            kept = kind == READ
            address = anywhere(model, len(kind))
            for t in range(1, len(kind)):
                if kept[t] and kept[t - 1]:
                    address[t] = address[t - 1]
            await model.run(kind, address, hold=int(rng.integers(1, 3)))
        await model.read()

    return Bench(
        make=lambda: AliasTable(config),
        scenarios=(idle, back_pressure, reset_in_flight, random),
        bins=(
            *(f"table {selector}" for selector in range(config.selectors)),
            "own outcome",
            "alias",
            "fraction just below H",
            "fraction equals H",
            "never its own",
            "alias of the greatest fraction",
            "read back",
            "drawn right after its entry was written",
            "drawn right after a read",
            "reset with draws under way",
        ),
        equivalent={"if: go => 1'h1": "an alias table never stops its memories"},
    )
