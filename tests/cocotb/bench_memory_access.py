"""Bench of the memories of the configuration space: a table and a state behind one access."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from bench import Bench, Coverage, Dut

from rtl.memory_access import MemoryAccess, StateMemory, TableMemory, connect_parts

# Depths and widths; the access goes to the table, and above it to the state.
BITS = 4
TABLE, TABLE_WIDTH = 12, 20
STATE, STATE_WIDTH = 16, 32
WORDS = [*range(TABLE), *range(1 << BITS, (1 << BITS) + STATE)]


class Memories(wiring.Component):
    """A table and a state."""

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "table_address": In(BITS),
                "table_data": Out(TABLE_WIDTH),
                "state_address": In(BITS),
                "state_data": Out(STATE_WIDTH),
                "write": In(1),
                "write_address": In(BITS),
                "write_data": In(STATE_WIDTH),
                "access": In(MemoryAccess(BITS + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the memories to the ports."""
        m = Module()
        m.submodules.table = table = TableMemory(depth=TABLE, width=TABLE_WIDTH)
        m.submodules.state = state = StateMemory(depth=STATE, width=STATE_WIDTH)
        m.d.comb += [
            table.enable.eq(self.enable),
            table.address.eq(self.table_address),
            self.table_data.eq(table.data),
            state.address.eq(self.state_address),
            self.state_data.eq(state.data),
            state.write.eq(self.write),
            state.write_address.eq(self.write_address),
            state.write_data.eq(self.write_data),
        ]
        connect_parts(m, self.access, [table.access, state.access], BITS)
        return m


class ReadPath:
    """Words of a memory, the word that was read last, and the output; None is any."""

    def __init__(self, depth: int) -> None:
        self.words: list[int | None] = [None] * depth
        self.read: int | None = None
        self.data: int | None = None

    def step(self, go: bool, address: int, written: int | None, reset: bool) -> None:
        """Go on by a cycle; a word is not read in the cycle in which it is written."""
        if go:
            self.data, self.read = self.read, None if written == address else self.words[address]
        if reset:
            self.data = 0


class Model:
    """Both memories."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.table, self.state = ReadPath(TABLE), ReadPath(STATE)

    async def load(self) -> None:
        """Write every word by the configuration space."""
        order = self.rng.permutation(WORDS)
        n = len(order)
        await self.run(np.ones(n, bool), np.ones(n, bool), order)

    async def read(self, cycles: int) -> None:
        """Read every word by the configuration space, for some cycles each."""
        order = np.repeat(self.rng.permutation(WORDS), cycles)
        n = len(order)
        await self.run(np.ones(n, bool), np.zeros(n, bool), order)

    async def use(
        self, n: int, enable: float, write: float, reset: np.ndarray | None = None, hold: int = 1
    ) -> None:
        """Read, and write the state, as a unit does; addresses stay for some cycles."""
        none = np.zeros(n, bool)
        await self.run(none, none, self.rng.choice(WORDS, n), enable, write, reset, hold)

    async def run(
        self,
        select: np.ndarray,
        store: np.ndarray,
        where: np.ndarray,
        enable: float = 0.5,
        write: float = 0.5,
        reset: np.ndarray | None = None,
        hold: int = 1,
    ) -> None:
        """Compare all outputs in every cycle."""
        rng, n = self.rng, len(select)
        resets = np.zeros(n, bool) if reset is None else reset
        # A unit is halted while the configuration space has the memories.
        writes = (rng.random(n) < write) & ~select & ~resets
        table_address, state_address, write_address = (
            np.repeat(rng.integers(0, depth, n), hold)[:n] for depth in (TABLE, STATE, STATE)
        )
        data = rng.integers(0, 2**32, (2, n))
        enables = rng.random(n) < enable
        found = await self.dut.run(
            {
                "enable": enables,
                "table_address": table_address,
                "state_address": state_address,
                "write": writes,
                "write_address": write_address,
                "write_data": data[0],
                "access__select": select,
                "access__write": store,
                "access__address": where,
                "access__write_data": data[1],
                "rst": resets,
            }
        )
        for t in range(n):
            part, place = divmod(int(where[t]), 1 << BITS)
            known = self.state.data if part else self.table.data
            for name, word in (
                ("table_data", self.table.data),
                ("state_data", self.state.data),
                ("access__read_data", known),
            ):
                assert word is None or found[name][t] == word, (name, t)
            self.note(t, select, enables, writes, write_address, state_address)
            stored = [place if store[t] and part == k else None for k in (0, 1)]
            if writes[t]:
                stored[1] = int(write_address[t])
            self.cover.hit("reset with a word under way", resets[t] and self.table.read)
            address = place if select[t] else int(table_address[t])
            # What stands at the table's port while the state is addressed counts for nothing.
            go = bool(enables[t] or select[t])
            self.table.step(go, min(address, TABLE - 1), stored[0], bool(resets[t]))
            if select[t] and part == 1 and place >= TABLE:
                self.table.read = None
            address = place if select[t] else int(state_address[t])
            self.state.step(True, address, stored[1], bool(resets[t]))
            if stored[0] is not None:
                self.table.words[stored[0]] = int(data[1][t]) % (1 << TABLE_WIDTH)
            if stored[1] is not None:
                self.state.words[stored[1]] = int(data[1 if store[t] else 0][t])
            last = stored[1] == STATE - 1
            self.cover.hit("last word of the state configured", last and store[t])
            self.cover.hit("last word of the state written by its unit", last and writes[t])
            self.cover.hit("last word of the table configured", stored[0] == TABLE - 1)

    def note(
        self,
        t: int,
        select: np.ndarray,
        enables: np.ndarray,
        writes: np.ndarray,
        write_address: np.ndarray,
        state_address: np.ndarray,
    ) -> None:
        """Tell what this cycle is."""
        go = enables | select
        self.cover.hit("table held", t and not go[t] and go[t - 1])
        self.cover.hit("table goes on", t and go[t] and not go[t - 1])
        self.cover.hit("configured while the table is held", select[t] and not enables[t])
        self.cover.hit("used right after it was configured", t and select[t - 1] and not select[t])
        self.cover.hit("configured right after use", t and select[t] and not select[t - 1])
        again = t and writes[t - 1] and not select[t] and write_address[t - 1] == state_address[t]
        self.cover.hit("state read right after it was written", again)
        both = writes[t] and write_address[t] != state_address[t]
        self.cover.hit("state read while another word is written", both)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The table is held, nothing is written; then single reads with long pauses."""
    model = Model(dut, rng, cover)
    await model.load()
    await model.use(60, enable=0.0, write=0.0)
    await model.use(200, enable=0.1, write=0.05, hold=20)
    await model.read(5)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A read of each, and a write, in every cycle."""
    model = Model(dut, rng, cover)
    await model.load()
    await model.use(300, enable=1.0, write=1.0)
    await model.read(1)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset clears the outputs; the memories stay."""
    model = Model(dut, rng, cover)
    await model.load()
    for share in (0.03, 0.3):
        await model.use(150, enable=0.7, write=0.5, reset=rng.random(150) < share)
    await model.read(4)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Use between accesses of the configuration space."""
    model = Model(dut, rng, cover)
    await model.load()
    for enable, write in ((0.2, 0.8), (0.8, 0.3)):
        select = np.repeat(rng.random(80) < 0.5, rng.integers(1, 8, 80))
        n = len(select)
        where = np.repeat(rng.choice(WORDS, n), 2)[:n]
        await model.run(select, select & (rng.random(n) < 0.5), where, enable, write)
    await model.read(3)


BENCH = Bench(
    make=Memories,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "table held",
        "table goes on",
        "configured while the table is held",
        "used right after it was configured",
        "configured right after use",
        "state read right after it was written",
        "state read while another word is written",
        "last word of the table configured",
        "last word of the state configured",
        "last word of the state written by its unit",
        "reset with a word under way",
    ),
    equivalent={},
)
