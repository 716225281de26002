"""Bench of the master node: a whole machine of nodes and a host plays with it."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut
from master_machine import CLEAR, CONFIG, DRAINED, ERRORS, HALTED, NOWHERE, STARTED, Machine

from csnn.hardware.master_map import MasterRegion, bitmap_address, master_register_address
from csnn.hardware.master_registers import (
    MASTER_COUNTERS,
    MASTER_ID,
    MASTER_SETTINGS,
    MASTER_VERSION,
)
from csnn.hardware.mesh_latency import MASTER_REBROADCAST, MASTER_START_PER_NODE, MASTER_SYNC
from csnn.packets import Kind, encode
from rtl.mesh.master_node import MasterNode

FIVE = (0, 3, 31, 32, 63)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then steps whose every cycle is known."""
    machine = Machine(dut, rng, cover)
    await machine.play(cycles=50)
    assert not machine.broadcast
    assert await machine.get("id", "version", "capacity", "answers") == [
        *(MASTER_ID, MASTER_VERSION, CONFIG.nodes, CONFIG.answers)
    ]
    await machine.load(FIVE, step=61)
    await machine.set(stop_step=66, control=1)
    written = machine.taken[0]
    await machine.play(cycles=STARTED)
    synced = machine.broadcast[0][0]
    # FIFO, decoder, the write, the counting, the encoder.
    assert synced - written == MASTER_START_PER_NODE * CONFIG.nodes + 8
    machine.synced()
    lengths, waits = [], 0
    for late in (0, 7, 3, 40):
        first, *others = FIVE
        sources = rng.integers(0, 2**32, 3).tolist()
        await machine.play([machine.spike(source) for source in sources])
        echoes = machine.echoed(sources)
        assert np.all(np.subtract(echoes, machine.taken) == MASTER_REBROADCAST)
        await machine.play([machine.barrier(first, sources)])
        began = machine.taken[0]
        await machine.play(cycles=1 + late)
        await machine.play([machine.barrier(node) for node in others])
        ended = machine.taken[-1]
        lengths.append(ended + MASTER_SYNC - 1 - synced)
        waits += ended - began
        synced = machine.synced()
        assert synced - ended == MASTER_SYNC
    # One cycle more if a spike came just before the last barrier.
    packets = [machine.barrier(node) for node in FIVE[1:]]
    packets += [machine.spike(7), machine.barrier(FIVE[0], [7])]
    await machine.play(packets)
    lengths.append(machine.taken[-1] + MASTER_SYNC - synced)
    waits += machine.taken[-1] + 0 - machine.taken[0]
    machine.echoed([7])
    await machine.compare()
    cover.hit("cycles of a step measured")
    expected = {
        "last_step_cycles": lengths[-1],
        "longest_step_cycles": max(lengths),
        "shortest_step_cycles": min(lengths),
        "cycles": CONFIG.nodes + 1 + len(lengths) + sum(lengths),
        "cycles_wait": waits,
    }
    assert await machine.get(*expected) == [*expected.values()]
    assert await machine.bitmap(MasterRegion.MISSING) == []


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The network takes little; answers wait while spikes go on."""
    machine = Machine(dut, rng, cover)
    await machine.load(rng.choice(CONFIG.nodes, 9, replace=False).tolist(), step=5)
    await machine.begin(6)
    for rate in (0.2, 0.5, 0.8):
        await machine.advance(broadcast=rate)
        machine.synced()
    # As many requests as there may be block nothing though no answer is taken.
    step = master_register_address("step")
    packets, sources = machine.merged(machine.active, 2)
    asked = [step] * CONFIG.answers
    await machine.play([*(machine.request(address) for address in asked), *packets], output=0.0)
    machine.echoed(sources)
    machine.synced()
    assert not machine.answers
    cover.hit("answers wait")
    # One more blocks what is behind it.
    packets, sources = machine.merged(machine.active, 2)
    await machine.play([machine.request(step), *packets[:8]], output=0.0)
    assert not machine.broadcast
    cover.hit("a request too many waits")
    await machine.play(packets[8:], cycles=200)
    machine.echoed(sources)
    before = machine.step - 1
    assert machine.answered([*asked, step]) == [before] * CONFIG.answers + [before + 1]
    machine.synced()
    # The FIFO is full, and loses nothing.
    packets, sources = machine.merged(machine.active, 6)
    await machine.play(packets, broadcast=0.0, cycles=200)
    cover.hit("input waits", len(machine.taken) < len(packets))
    await machine.play(packets[len(machine.taken) :], cycles=300)
    machine.echoed(sources)
    await machine.compare()


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset within a step; loaded again, the master works as after power-up."""
    machine = Machine(dut, rng, cover)
    for cut in (1, 3):
        await machine.load(FIVE, step=9)
        await machine.begin()
        await machine.advance()
        machine.synced()
        packets, sources = machine.merged(FIVE[:cut], 3)
        packets = [*packets, *(machine.spike(source) for source in sources)]
        await machine.play(packets, broadcast=0.3, cycles=len(packets) + 5, reset=True)
        found = await machine.play(cycles=20)
        assert not found["broadcast__valid"].any()
        assert not found["output__valid"].any()
        cover.hit("reset within a step")
        machine.broadcast.clear()
        machine.host = (0, 0, 0)
        names = [*MASTER_SETTINGS, *MASTER_COUNTERS, "errors", "count", "sum", "barrier_count"]
        assert not any(await machine.get(*names))
        assert await machine.get("status", "shortest_step_cycles") == [HALTED, 2**32 - 1]
    await machine.load(FIVE, step=0)
    await machine.begin(2)
    await machine.advance()
    machine.synced()
    await machine.advance()
    await machine.compare()


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Machines of all sizes; halts, and runs that go on."""
    machine = Machine(dut, rng, cover)
    for size, step in ((1, 63), (CONFIG.nodes, 2**32 - 2), (12, 1000)):
        await machine.load(rng.choice(CONFIG.nodes, size, replace=False).tolist(), step=step)
        await machine.begin(4)
        for place in range(4):
            await machine.advance(looks=size > 1, offers=0.5, broadcast=0.7, most=2)
            if place < 3:
                machine.synced()
        cover.hit("step 0 follows the last", machine.step < step)
        await machine.compare()
        cover.hit("halted by stop_step")
        # It goes on with the count and the sum of the last step.
        cover.hit("count survives a halt", machine.spikes)
        await machine.begin()
        await machine.advance()
        machine.synced()
        # The host halts it within a step, which is completed.
        await machine.set(control=0)
        await machine.advance(looks=size > 1)
        await machine.play(cycles=DRAINED)
        await machine.compare()
        cover.hit("halted by the host")
        await machine.set(control=CLEAR)
        machine.spikes, machine.told = [], []
        machine.steps = machine.sent = machine.stalled = 0
        await machine.compare()
        assert await machine.bitmap(MasterRegion.MISSING) == machine.active
        assert await machine.get("last_step_cycles", "cycles", "cycles_wait") == [0, 0, 0]


async def stopped(machine: Machine, *errors: str) -> None:
    """Everything is dropped, requests are answered, no sync message comes; cleared, it goes on."""
    await machine.play(cycles=DRAINED)
    sources = machine.rng.integers(0, 2**32, 3 * CONFIG.fifo).tolist()
    packets = [machine.spike(source) for source in sources]
    missing = await machine.bitmap(MasterRegion.MISSING)
    told = list(machine.told)
    packets += [machine.barrier(node) for node in machine.active]
    machine.told = told
    await machine.play(packets, broadcast=0.0)
    assert len(machine.taken) == len(packets)
    machine.dropped += len(sources)
    await machine.play(cycles=STARTED)
    await machine.compare(*errors)
    assert await machine.bitmap(MasterRegion.MISSING) == missing
    # It cannot be started without being cleared.
    await machine.set(control=1)
    await machine.play(cycles=STARTED)
    await machine.compare(*errors)
    for name in errors:
        machine.cover.hit(f"stopped by {name}")


async def errors(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every error stops the machine."""
    machine = Machine(dut, rng, cover)

    async def begin(**settings: int) -> None:
        await machine.load(FIVE, step=int(rng.integers(2**32)), **settings)
        await machine.begin()
        await machine.advance(most=1)
        machine.synced()

    for names, wrong in (
        (("count",), {"count": 1 << 9}),
        (("sum",), {"sum": 1 << 31}),
        (("count", "sum"), {"count": 1, "sum": 1}),
    ):
        await begin()
        *others, last = FIVE
        packets = [machine.spike(5), *(machine.barrier(node) for node in others)]
        await machine.play([*packets, machine.barrier(last, [5], **wrong)])
        machine.echoed([5])
        await stopped(machine, *names)
    for name, packet in (
        ("spike_step", lambda: machine.spike(1, machine.step ^ 1 << 31)),
        ("barrier_step", lambda: machine.barrier(3, step=32)),
        ("unknown_node", lambda: machine.barrier(4)),
        ("unknown_node", lambda: machine.barrier(3 | 1 << 15)),
        ("duplicate", lambda: machine.barrier(0)),
        ("packet", lambda: encode(Kind.SYNC, machine.anywhere(), count=0, step=0, sum=0)),
        ("packet", lambda: 0xA5 << 24),
        ("address", lambda: machine.request(NOWHERE, 0)),
        ("address", lambda: machine.request(bitmap_address(MasterRegion.MISSING, 0), 0)),
        ("address", lambda: machine.request(bitmap_address(MasterRegion.ACTIVE, 0), 0)),
    ):
        await begin()
        await machine.play([machine.barrier(0, [9]), machine.spike(9)])
        machine.echoed([9])
        told = list(machine.told)
        await machine.play([packet()])
        machine.told = told
        machine.dropped += name == "spike_step"
        await stopped(machine, name)
    # A word that cannot be read is answered with zero.
    await begin()
    await machine.play([machine.request(bitmap_address(MasterRegion.ACTIVE, 0))])
    assert machine.answered([bitmap_address(MasterRegion.ACTIVE, 0)]) == [0]
    await stopped(machine, "address")
    # What comes between runs belongs to no step.
    for name, packet in (
        ("spike_step", lambda: machine.spike(1)),
        ("barrier_step", lambda: machine.barrier(3)),
    ):
        await machine.load(FIVE, step=3)
        told = list(machine.told)
        await machine.play([packet()])
        machine.told = told
        machine.dropped += name == "spike_step"
        await stopped(machine, name)
    await machine.load((), step=3)
    await machine.set(stop_step=4, control=1)
    await machine.play(cycles=STARTED)
    await stopped(machine, "empty")
    assert len(ERRORS) == 10


async def late(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A node does not arrive in time."""
    machine = Machine(dut, rng, cover)
    for limit in (100, 250):
        await machine.load(FIVE, step=77, timeout=limit)
        await machine.begin()
        await machine.advance()
        machine.synced()
        arrived = rng.permutation(FIVE)[:3].tolist()
        await machine.play([machine.barrier(node) for node in arrived], cycles=limit - 60)
        machine.told = [(0, 0)] * 3
        assert await machine.get("errors") == [0]
        await machine.play(cycles=60)
        missing = sorted(set(FIVE) - set(arrived))
        assert await machine.bitmap(MasterRegion.MISSING) == missing
        assert await machine.get("missing") == [len(missing)]
        await stopped(machine, "timeout")
    # Cleared, with a node less.
    await machine.load(arrived, step=78, timeout=1000)
    await machine.begin(1)
    await machine.advance(looks=True)
    await machine.compare()


BENCH = Bench(
    make=lambda: MasterNode(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random, errors, late),
    bins=(
        *(f"stopped by {name}" for name in ERRORS),
        *("cycles of a step measured", "answers wait", "a request too many waits", "input waits"),
        *("reset within a step", "missing ones are seen", "step 0 follows the last"),
        *("halted by stop_step", "halted by the host", "count survives a halt"),
    ),
    mutated="top",
    equivalent={
        f"control.{name}: {name} => {name} ^ {name}": why
        for name, why in (
            ("active__select", "the bitmap has a port of its own for the host"),
            ("missing_words__select", "the bitmap has a port of its own for the host"),
            ("missing_words__write", "nothing can be written there"),
        )
    },
)
