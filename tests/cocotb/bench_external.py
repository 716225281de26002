"""Bench of EXT: generators of `csnn.prng` and alias tables of 32 outcomes are its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn.hardware.config import NodeConfig
from csnn.prng import ext_draw
from csnn.spec.machine import EXT_FRACTION_BITS, EXT_OUTCOMES
from rtl.external import UNITS_BITS, WEIGHT_BITS, External

CONFIG = NodeConfig(neurons=16, pipelines=2, ext_tables=2)
LANES, GROUPS = CONFIG.pipelines, CONFIG.groups
PER_READ = 5
UNUSED = 32 - EXT_FRACTION_BITS
# Words of an entry: the fraction H, then own outcome and alias.
ALIAS_SHIFT = 8


class Model:
    """Tables, shape (tables, lanes, 32), and states, shape (lanes, 4)."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        shape = CONFIG.ext_tables, LANES, EXT_OUTCOMES
        self.H = rng.integers(0, 1 << EXT_FRACTION_BITS, shape)
        self.own, self.alias = rng.integers(0, EXT_OUTCOMES, (2, *shape))
        # Entries that are always their own, and never.
        self.H[:, :, ::7], self.H[:, :, 3::7] = (1 << EXT_FRACTION_BITS) - 1, 0
        self.state = np.zeros((LANES, 4), np.uint32)

    async def write(self, port: str, address: np.ndarray, words: np.ndarray) -> None:
        order = self.rng.permutation(len(address))
        await self.dut.run(
            {
                f"{port}__select": 1,
                f"{port}__write": np.ones(len(order)),
                f"{port}__address": address[order],
                f"{port}__write_data": words[order],
            }
        )

    async def load(self) -> None:
        """Write tables and states, read both back."""
        self.state = self.rng.integers(0, 2**32, (LANES, 4)).astype(np.uint32)
        # Fractions that equal H, where "less" and "at most" part, are too rare to be met.
        coming = self.state.copy()
        for _ in range(GROUPS):
            word = ext_draw(coming).astype(np.int64)
            for lane in range(LANES):
                self.H[:, lane, word[lane] & EXT_OUTCOMES - 1] = word[lane] >> UNUSED
        first = self.H.ravel() << UNUSED
        second = self.own.ravel() | self.alias.ravel() << ALIAS_SHIFT
        words = np.stack([first, second], axis=1).ravel()
        await self.write("tables", np.arange(len(words)), words)
        found = await self.dut.run(
            {
                "tables__select": 1,
                "tables__address": np.repeat(np.arange(len(words)), PER_READ),
                "tables__write_data": self.rng.integers(0, 2**32, len(words) * PER_READ),
            }
        )
        assert np.array_equal(found["tables__read_data"][PER_READ - 1 :: PER_READ], words)
        await self.write("states", np.arange(self.state.size), self.state.ravel())
        await self.compare_states()

    async def compare_states(self) -> None:
        """Read the states back."""
        n = self.state.size
        found = await self.dut.run(
            {
                "states__select": 1,
                "states__address": np.repeat(np.arange(n), PER_READ),
                "states__write_data": self.rng.integers(0, 2**32, n * PER_READ),
            }
        )
        assert np.array_equal(
            found["states__read_data"][PER_READ - 1 :: PER_READ], self.state.ravel()
        )

    async def step(
        self, *, enabled: bool, table: int, last_group: int, reset: int | None = None, lead: int = 0
    ) -> None:
        """Make a step and compare every output in every cycle."""
        weight = int(
            self.rng.choice([1, (1 << WEIGHT_BITS) - 1, self.rng.integers(1 << WEIGHT_BITS)])
        )
        n = lead + last_group + 8 if reset is None else lead + reset + 8
        found = await self.dut.run(
            {
                "start": np.arange(n) == lead,
                "enabled": int(enabled),
                "table": table,
                "last_group": last_group,
                "weight": weight,
                "tables__address": self.rng.integers(0, 4, n),
                "states__address": self.rng.integers(0, 4, n),
                "rst": np.arange(n) == (None if reset is None else lead + reset),
            }
        )
        end = n if reset is None else lead + reset
        for t in range(n):
            group = t - lead - External.LATENCY
            alive = t <= end
            begun = lead < t <= lead + last_group + External.LATENCY
            assert found["drawing"][t] == (begun and alive), t
            assert found["valid"][t] == (0 <= group <= last_group and alive), t
            # A group is drawn when it enters, `LATENCY` - 1 cycles before it leaves.
            if not found["valid"][t]:
                continue
            assert found["group"][t] == group, t
            counts = self.counts(table) if enabled else np.zeros(LANES, np.int64)
            packed = sum(int(count) * weight << UNITS_BITS * k for k, count in enumerate(counts))
            assert int(found["units"][t]) == packed, t
        self.cover.hit("step without input", not enabled)
        self.cover.hit("second table", enabled and table == 1)
        self.cover.hit("part of the groups", last_group < GROUPS - 1)
        self.cover.hit("reset within a step", reset is not None)
        if reset is not None:
            self.state[:] = 0

    def counts(self, table: int) -> np.ndarray:
        """Return the number of spikes of the next neuron of each lane."""
        word = ext_draw(self.state).astype(np.int64)
        place = table, np.arange(LANES), word & EXT_OUTCOMES - 1
        own = word >> UNUSED < self.H[place]
        self.cover.hit("fraction equals H", word >> UNUSED == self.H[place])
        self.cover.hit("own outcome", own)
        self.cover.hit("alias", ~own)
        return np.where(own, self.own[place], self.alias[place])


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """No step begins: nothing is drawn. Then steps without input: neither."""
    model = Model(dut, rng, cover)
    await model.load()
    found = await dut.run({"enabled": np.ones(30), "last_group": GROUPS - 1})
    assert not found["drawing"].any()
    await model.step(enabled=False, table=0, last_group=GROUPS - 1)
    await model.compare_states()
    for lead in (5, 9):
        await model.step(enabled=True, table=1, last_group=0, lead=lead)
        await model.compare_states()


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A group in every cycle, step after step: EXT never stalls."""
    model = Model(dut, rng, cover)
    await model.load()
    for step in range(30):
        await model.step(enabled=True, table=step % 2, last_group=GROUPS - 1)
    await model.compare_states()


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset ends the step and clears the states; tables stay."""
    model = Model(dut, rng, cover)
    await model.load()
    for reset in (1, 4, 9):
        await model.step(enabled=True, table=0, last_group=GROUPS - 1, reset=reset)
        await model.compare_states()
    await model.load()
    await model.step(enabled=True, table=1, last_group=GROUPS - 1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps of every kind."""
    model = Model(dut, rng, cover)
    await model.load()
    for _ in range(30):
        await model.step(
            enabled=bool(rng.random() < 0.8),
            table=int(rng.integers(2)),
            last_group=int(rng.integers(GROUPS)),
            lead=int(rng.integers(4)),
        )
    await model.compare_states()


BENCH = Bench(
    make=lambda: External(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "step without input",
        "second table",
        "part of the groups",
        "reset within a step",
        "fraction equals H",
        "own outcome",
        "alias",
    ),
    equivalent={
        "if: go => 1'h1": "an alias table never stops its memories",
    },
)
