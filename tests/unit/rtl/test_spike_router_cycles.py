"""Cycles of the spike router: when it takes spikes, and when it is at rest, beside the model's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.sim import Simulator

from csnn.hardware import latency
from csnn.hardware.config import NodeConfig
from csnn.image import layout
from csnn.perf.engine.nodes import _route_spike
from csnn.perf.parameters import Clocks, Machine
from csnn.perf.rows import ABSENT_ROW, EMPTY_ROW, KIND_BITS, KIND_MASK, NO_ROW, ROW
from csnn.perf.setup import prepare
from csnn.perf.topology import tree_topology
from csnn.perf.workload import Workload
from rtl.spike_router import SpikeRouter

I64 = npt.NDArray[np.int64]
U16 = npt.NDArray[np.uint16]
SOURCES, BLOCKS = 16, 3
DENSE = NodeConfig(blocks=4, rows=64)
SPARSE = replace(DENSE, presence_words=8)
# Sources of the three blocks; 14 and 15 are in none.
SPANS = ((0, 14), (0, 10), (4, 14))
Burst = list[tuple[int, int]]


def make_rows(is_sparse: bool) -> U16:
    """Return rows of all kinds, shape (blocks, sources, 1); the second one may lack some."""
    rng = np.random.default_rng(7)
    rows = np.full((BLOCKS, SOURCES, 1), NO_ROW, np.uint16)
    for block, (first, last) in enumerate(SPANS):
        for source in range(first, last):
            kinds = (ROW, ROW, EMPTY_ROW, ABSENT_ROW if is_sparse and block == 1 else EMPTY_ROW)
            kind = int(rng.choice(kinds))
            length = int(rng.integers(1, 9)) if kind == ROW else 0
            rows[block, source, 0] = length << KIND_BITS | kind
    return rows


def make_bursts(seed: int = 1) -> list[Burst]:
    """Return bursts of spikes: each spike's source, and the cycles after which it is offered."""
    rng = np.random.default_rng(seed)
    alone: list[Burst] = [[(0, source)] for source in range(SOURCES)]
    return alone + [
        [(int(rng.choice((0, 0, 1, 5))), int(rng.integers(SOURCES))) for _ in range(n)]
        for n in rng.integers(2, 8, 24)
    ]


@dataclass
class Cycles:
    """Cycles in which spikes were taken, and by burst that from which all was at rest."""

    taken: list[int] = field(default_factory=list)
    rests: list[int] = field(default_factory=list)


def measure(config: NodeConfig, rows: U16, bursts: list[Burst]) -> tuple[Cycles, list[int]]:
    """Return what the hardware does, and the cycles in which bursts began."""
    unit = SpikeRouter(config)
    found, begins = Cycles(), []
    cycle = 0

    async def write(context, access, address: int, value: int) -> None:  # type: ignore[no-untyped-def]
        nonlocal cycle
        for port, word in (("address", address), ("write_data", value), ("select", 1)):
            context.set(getattr(access, port), word)
        context.set(access.write, 1)
        await context.tick()
        context.set(access.write, 0)
        context.set(access.select, 0)
        cycle += 1

    async def load(context) -> None:  # type: ignore[no-untyped-def]
        row = 0
        for block, (first, last) in enumerate(SPANS):
            words = rows[block, first:last, 0]
            kinds = words & KIND_MASK
            is_sparse = bool((kinds == ABSENT_ROW).any())
            flags = layout.SPARSE_FLAG << 24 if is_sparse else 0
            values = (first, last - first, row, last - first, 0, 0, 0, flags)
            for number, value in enumerate(values):
                await write(context, unit.blocks, block << 3 | number, value)
            if is_sparse:
                bits = sum(1 << k for k, kind in enumerate(kinds.tolist()) if kind != ABSENT_ROW)
                await write(context, unit.presence, 0, bits)
                words = words[kinds != ABSENT_ROW]
            for word in words.tolist():
                await write(context, unit.length, row, word >> KIND_BITS)
                await write(context, unit.seed, row, 1234 + row)
                row += 1

    async def drive(context) -> None:  # type: ignore[no-untyped-def]
        nonlocal cycle
        context.set(unit.n_neurons, 64)
        await load(context)
        for burst in bursts:
            begins.append(cycle)
            rest = cycle
            waits = [wait for wait, _ in burst]
            pending = [source for _, source in burst]
            idle = 0
            while pending or idle < 60:
                offers = bool(pending) and waits[0] == 0
                context.set(unit.source.valid, offers)
                if offers:
                    context.set(unit.source.payload, pending[0])
                _, _, ready, valid, busy = await context.tick().sample(
                    unit.source.ready, unit.valid, unit.busy
                )
                if offers and ready:
                    found.taken.append(cycle)
                    rest = max(rest, cycle + latency.SPIKE_SUM)
                    pending.pop(0)
                    waits.pop(0)
                elif waits and waits[0]:
                    waits[0] -= 1
                if valid:
                    rest = max(rest, cycle + latency.STORE)
                if busy:
                    rest = max(rest, cycle + 1)
                idle = 0 if busy or pending else idle + 1
                cycle += 1
            found.rests.append(rest)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return found, begins


def model(config: NodeConfig, rows: U16, bursts: list[Burst], begins: list[int]) -> Cycles:
    """Return the same of the performance model's node."""
    sources = np.array([source for burst in bursts for _, source in burst], np.int64)
    work = Workload(
        steps=2,
        sizes=np.array([64], np.int64),
        source=sources,
        local=np.zeros(len(sources), np.int64),
        first=np.array([0, len(sources), len(sources)], np.int64),
        rows=rows,
    )
    machine = Machine(node=config, clocks=Clocks(seed=1))
    memory = prepare(machine, tree_topology(1, 1), work, first_sync_ns=0.0, echo=False)
    found, code = Cycles(), 0
    for burst, begin in zip(bursts, begins, strict=True):
        due = begin
        for wait, _ in burst:
            due = _route_spike(memory.words, rows, 0, code, due + wait) + 1
            found.taken.append(due - 1)
            code += 1
        found.rests.append(int(memory.nodes["QUIET"][0]))
    return found


Measured = tuple[NodeConfig, U16, list[Burst], Cycles, list[int]]


@pytest.fixture(scope="module", params=[DENSE, SPARSE], ids=["dense", "sparse"])
def measured(request: pytest.FixtureRequest) -> Measured:
    rows, bursts = make_rows(bool(request.param.presence_words)), make_bursts()
    return request.param, rows, bursts, *measure(request.param, rows, bursts)


def test_spikes_are_taken_and_done_with_when_the_model_says(measured: Measured) -> None:
    config, rows, bursts, found, begins = measured
    expected = model(config, rows, bursts, begins)
    assert found.taken == expected.taken
    assert found.rests == expected.rests
    kinds = {int(word) & KIND_MASK for word in rows.ravel()}
    assert kinds >= {NO_ROW, ROW, EMPTY_ROW}
    assert (ABSENT_ROW in kinds) == bool(config.presence_words)


def test_another_row_is_seen(measured: Measured) -> None:
    config, rows, bursts, found, begins = measured
    kind = ABSENT_ROW if config.presence_words else EMPTY_ROW
    block, source, _ = np.argwhere(rows == kind)[0]
    for other, length in ((ROW, 1), (NO_ROW, 0)):
        changed = rows.copy()
        changed[block, source, 0] = length << KIND_BITS | other
        expected = model(config, changed, bursts, begins)
        assert (found.taken, found.rests) != (expected.taken, expected.rests)
