"""Bench of the circular buffer: an array of sums is its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from csnn.rows import INHIBITORY, MAGNITUDE_MASK
from rtl.circular_buffer import SUM_BITS, CircularBuffer

CONFIG = NodeConfig(neurons=8, pipelines=2, delay_slots=4)
KINDS = 2
# A synapse is in the memory after so many cycles, and counts as under way for one less.
STORED = 6
# Largest distance, in cycles, of two synapses of which the first must be forwarded.
FORWARDED = 5
PER_READ = 5


class Model:
    """What the buffer holds, shape (slots, kinds, neurons), and the sticky flag."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.words = np.zeros((CONFIG.delay_slots, KINDS, CONFIG.neurons), np.int64)
        self.saturated = False

    async def load(self, smallest: int, largest: int) -> None:
        """Write every word, in random order."""
        self.words = self.rng.integers(smallest, largest, self.words.shape)
        order = self.rng.permutation(self.words.size)
        slot, kind, neuron = np.unravel_index(order, self.words.shape)
        noise = self.rng.integers(0, 1 << 32 - SUM_BITS, len(order)) << SUM_BITS
        await self.dut.run(
            {
                "access__select": 1,
                "access__write": np.ones(len(order)),
                "access__address": (slot << 1 | kind) << NEURON_BITS | neuron,
                "access__write_data": self.words.ravel()[order] | noise,
                # Nothing of this may matter while the configuration space has the memory.
                "neuron": self.rng.integers(0, 256, len(order)),
            }
        )

    async def read(self) -> None:
        """Read every word back."""
        slot, kind, neuron = np.unravel_index(np.arange(self.words.size), self.words.shape)
        address = np.repeat((slot << 1 | kind) << NEURON_BITS | neuron, PER_READ)
        found = await self.dut.run(
            {
                "access__select": 1,
                "access__address": address,
                "access__write_data": self.rng.integers(0, 2**32, len(address)),
                "neuron": self.rng.integers(0, 256, len(address)),
            }
        )
        words = found["access__read_data"][PER_READ - 1 :: PER_READ]
        assert np.array_equal(words, self.words.ravel())

    async def add(
        self, cycles: int, rate: float, *, slot: int, spread: int = 8, largest: int = 99,
        clears: float = 0.0, reset: int | None = None,
    ) -> None:  # fmt: skip
        """Add synapses at a rate to `spread` neurons, then wait until all are stored."""
        rng = self.rng
        valid = np.append(rng.random(cycles) < rate, np.zeros(STORED + 2, bool))
        n = len(valid)
        neuron, delay = rng.integers(0, spread, n), rng.integers(0, CONFIG.delay_slots, n)
        if spread == 1:
            delay[:] = delay[0]
        magnitude = rng.integers(0, largest, n)
        kind = rng.integers(0, KINDS, n) if spread > 1 else np.zeros(n, np.int64)
        clear = rng.random(n) < clears
        resetting = np.arange(n) == reset
        found = await self.dut.run(
            {
                "valid": valid,
                "neuron": neuron,
                "delay": delay,
                "code": magnitude | np.where(kind == 1, INHIBITORY, 0),
                "slot": slot,
                "clear": clear,
                "rst": resetting,
            }
        )
        if reset is not None:
            # What had not reached the memory is lost.
            lost = valid & (np.arange(n) > reset - STORED + 1) & (np.arange(n) <= reset)
            self.cover.hit("reset with synapses under way", lost)
            kept = valid & ~lost
        else:
            lost, kept = np.zeros(n, bool), valid
        over = np.zeros(n + STORED, bool)
        last: dict[tuple[int, int, int], int] = {}
        for t in np.flatnonzero(kept).tolist():
            place = (slot + 1 + int(delay[t])) % CONFIG.delay_slots, int(kind[t]), int(neuron[t])
            total = int(self.words[place] + magnitude[t])
            over[t + 4] = total >= CONFIG.sum_limit
            self.words[place] = min(total, CONFIG.sum_limit - 1)
            if place in last:
                distance = t - last[place]
                if distance <= FORWARDED:
                    self.cover.hit(f"same word again after {distance}")
            last[place] = t
            self.cover.hit("just below the limit", total == CONFIG.sum_limit - 1)
        for t in np.flatnonzero(lost).tolist():
            # The flag sees a sum two cycles before the memory does.
            if reset is not None and t + 4 < reset:
                place = (
                    (slot + 1 + int(delay[t])) % CONFIG.delay_slots,
                    int(kind[t]),
                    int(neuron[t]),
                )
                assert self.words[place] + magnitude[t] < CONFIG.sum_limit, "choose smaller weights"
        flag = self.saturated
        for t in range(n):
            assert found["saturated"][t] == flag, t
            since_reset = t if reset is None or t <= reset else t - reset - 1
            under_way = valid[max(0, t - min(since_reset, STORED - 1)) : t].any()
            assert found["busy"][t] == under_way, t
            self.cover.hit("cleared while a sum is too large", clear[t] and over[t])
            flag = not clear[t] and (bool(over[t]) or flag)
            if resetting[t]:
                flag = False
            self.cover.hit("saturated", flag)
        self.saturated = flag
        assert not found["taken"].any()
        assert not found["taking"].any()

    async def take(self, slot: int, last_group: int, *, reset: int | None = None) -> None:
        """Take a slot and compare its groups."""
        lead = int(self.rng.integers(1, 4))
        n = lead + last_group + 7
        found = await self.dut.run(
            {
                "take": np.arange(n) == lead,
                "slot": slot,
                "last_group": last_group,
                # Of a synapse that does not come.
                "neuron": self.rng.integers(0, 256, n),
                "rst": np.arange(n) == reset,
            }
        )
        for t in range(n):
            group = t - lead - CircularBuffer.TAKE_LATENCY
            over = reset is not None and t > reset
            assert found["taking"][t] == (lead < t <= lead + last_group + 3 and not over), t
            assert found["taken"][t] == (0 <= group <= last_group and not over), t
            if not found["taken"][t]:
                continue
            assert found["group"][t] == group, t
            for kind, name in enumerate(("input_ex", "input_in")):
                sums = self.words[slot, kind, group * CONFIG.pipelines :][: CONFIG.pipelines]
                packed = sum(int(word) << SUM_BITS * lane for lane, word in enumerate(sums))
                assert int(found[name][t]) == packed, (t, name)
                sums[:] = 0
        self.cover.hit("reset within a transfer", reset is not None and lead < reset < n - 3)
        self.cover.hit("part of a slot taken", last_group < CONFIG.groups - 1)
        assert not found["busy"].any()


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes and nothing changes; then single synapses."""
    model = Model(dut, rng, cover)
    await model.load(0, 1 << 16)
    await model.add(40, 0.0, slot=1)
    await model.read()
    await model.add(200, 0.05, slot=3)
    await model.read()


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A synapse in every cycle, to one word and to few: the buffer never stalls."""
    model = Model(dut, rng, cover)
    await model.load(0, 1 << 10)
    for spread, rate in ((1, 1.0), (1, 0.5), (2, 1.0), (3, 0.7)):
        await model.add(200, rate, slot=int(rng.integers(CONFIG.delay_slots)), spread=spread)
        await model.read()


async def saturation(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Sums that reach the limit stay below it; the flag sticks until it is cleared."""
    model = Model(dut, rng, cover)
    await model.load(CONFIG.sum_limit - 1_000_000, CONFIG.sum_limit)
    largest = MAGNITUDE_MASK + 1
    for clears in (0.0, 0.1):
        for spread in (1, 4):
            await model.add(150, 0.9, slot=2, spread=spread, largest=largest, clears=clears)
            await model.read()
            await model.take(int(rng.integers(CONFIG.delay_slots)), CONFIG.groups - 1)
    await model.add(1, 0.0, slot=0, clears=1.0)
    await model.load(CONFIG.sum_limit - 16, CONFIG.sum_limit - 8)
    await model.add(200, 0.7, slot=0, largest=10)
    await model.read()


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset drops what is under way; memories keep what they hold."""
    model = Model(dut, rng, cover)
    await model.load(0, 1 << 12)
    for reset in (11, 20, 37):
        await model.add(60, 0.8, slot=1, spread=4, reset=reset)
        await model.read()
    for reset in (3, 5, 6):
        await model.take(2, CONFIG.groups - 1, reset=reset)
        await model.read()


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps as the node makes them."""
    model = Model(dut, rng, cover)
    await model.load(0, 1 << 16)
    for step in range(12):
        slot = step % CONFIG.delay_slots
        await model.take(slot, int(rng.integers(CONFIG.groups)))
        await model.add(60, float(rng.random()), slot=slot)
    await model.read()


BENCH = Bench(
    make=lambda: CircularBuffer(CONFIG),
    scenarios=(idle, back_pressure, saturation, reset_in_flight, random),
    bins=(
        *(f"same word again after {distance}" for distance in range(1, FORWARDED + 1)),
        "just below the limit",
        "saturated",
        "cleared while a sum is too large",
        "part of a slot taken",
        "reset with synapses under way",
        "reset within a transfer",
    ),
    equivalent={
        f"write__en{other}: (stores & $) | taken => $ ^ taken": "the ports demand that in a "
        "transfer no synapse comes and nothing is configured"
        for other in ("", "$")
    },
)
