"""Bench of the output of spikes: the list of spiking neurons, translated, is its model."""

from __future__ import annotations

from collections import deque

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held, transfers

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from rtl.spike_output import SpikeOutput

CONFIG = NodeConfig(neurons=16, pipelines=4)
PER_READ = 5
# From a group to its first spike, if none is before it.
LATENCY = 5


async def load(dut: Dut, rng: np.random.Generator) -> np.ndarray:
    """Write the ID of every neuron and read it back; return the IDs."""
    n = 1 << NEURON_BITS
    ids = rng.integers(0, 2**32, n)
    order = rng.permutation(n)
    await dut.run(
        {
            "source_ids__select": 1,
            "source_ids__write": np.ones(n),
            "source_ids__address": order,
            "source_ids__write_data": ids[order],
        }
    )
    found = await dut.run(
        {
            "source_ids__select": 1,
            "source_ids__address": np.repeat(np.arange(n), PER_READ),
            "source_ids__write_data": rng.integers(0, 2**32, n * PER_READ),
        }
    )
    assert np.array_equal(found["source_ids__read_data"][PER_READ - 1 :: PER_READ], ids)
    return ids


def check(found: Arrays, ids: np.ndarray, cover: Coverage) -> None:
    """Compare spikes with those of the groups, and `busy` with what is left of them."""
    waiting: deque[tuple[int, int]] = deque()
    cycles, payloads = transfers(found, "source")
    leaving = dict(zip(cycles.tolist(), payloads.tolist(), strict=True))
    stands = found["source__valid"] & ~found["source__ready"] & np.uint64(1)
    moves = np.concatenate([[0], np.cumsum(1 - stands.astype(np.int64))])
    for t in range(len(found["rst"])):
        assert found["busy"][t] == bool(waiting), t
        if found["source__valid"][t]:
            assert waiting, t
            came, neuron = waiting[0]
            assert t >= came + LATENCY, t
            assert found["source__payload"][t] == ids[neuron], t
            cover.hit("spike waits", not found["source__ready"][t])
        # Nothing holds the oldest spike up but its way, in cycles in which the output moves.
        if waiting and not found["source__valid"][t]:
            assert moves[t] - moves[waiting[0][0]] < LATENCY, t
        if t in leaving:
            waiting.popleft()
            cover.hit("spike after spike", t - 1 in leaving)
        if found["valid"][t]:
            spikes = int(found["spikes"][t])
            first = int(found["group"][t]) * CONFIG.pipelines
            waiting.extend(
                (t, first + lane) for lane in range(CONFIG.pipelines) if spikes >> lane & 1
            )
            cover.hit("group without a spike", spikes == 0)
            cover.hit("all neurons of a group", spikes == (1 << CONFIG.pipelines) - 1)
        cover.hit("all groups wait", len({came for came, _ in waiting}) == CONFIG.groups)
        if found["rst"][t]:
            cover.hit("reset with spikes inside", len(waiting) > 1)
            waiting.clear()
    assert_held(found, "source")


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, rate: float, takes: float, empty: float = 0.0, steps: int = 12, resets: float = 0.0,
) -> None:  # fmt: skip
    """Make steps: all groups one after the other, then time for their spikes to leave."""
    ids = await load(dut, rng)
    groups = CONFIG.groups
    pause = int(20 + CONFIG.neurons / takes * 2)
    length = groups + pause
    n = steps * length
    place = np.arange(n) % length
    spikes = (rng.random((n, CONFIG.pipelines)) < rate) @ (1 << np.arange(CONFIG.pipelines))
    # Groups without spikes leave gaps in the FIFO.
    spikes = np.where(rng.random(n) < empty, 0, spikes)
    resetting = rng.random(n) < resets
    resetting[-1] = True
    found = await dut.run(
        {
            "valid": place < groups,
            "group": np.where(place < groups, place, rng.integers(0, groups, n)),
            "spikes": spikes,
            "source__ready": rng.random(n) < takes,
            "source_ids__address": rng.integers(0, 1 << NEURON_BITS, n),
            "rst": resetting,
        }
    )
    check(found, ids, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Groups without spikes; then a spike now and then."""
    await drive(dut, rng, cover, rate=0.0, takes=1.0, steps=3)
    await drive(dut, rng, cover, rate=0.03, takes=1.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """All neurons spike, into a slow network and a fast one."""
    await drive(dut, rng, cover, rate=1.0, takes=0.15, steps=5)
    await drive(dut, rng, cover, rate=1.0, takes=1.0, steps=5)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets all spikes."""
    await drive(dut, rng, cover, rate=0.5, takes=0.4, resets=0.03)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate of spikes and of the network."""
    for rate, takes in ((0.2, 0.9), (0.5, 0.5), (0.8, 0.3)):
        for empty in (0.0, 0.4):
            await drive(dut, rng, cover, rate=rate, takes=takes, empty=empty)


BENCH = Bench(
    make=lambda: SpikeOutput(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "spike waits",
        "spike after spike",
        "group without a spike",
        "all neurons of a group",
        "all groups wait",
        "reset with spikes inside",
    ),
    equivalent={
        "if: w_port__en => 1'h1": "a free place of the FIFO may be written at any time",
        "w_port__en: w_rdy & w_en => w_rdy | w_en": "the FIFO is never full: it holds all groups",
        "w_level: inner_level + r_rdy => inner_level | r_rdy": "asked only whether it is zero",
        "if: spikes[3] => 1'h1": "which lane, without a spike, nobody asks",
        "$: go$ ? write__en: 1'h0 => write__en": "IDs are written while no spike waits",
        "source_ids: if: go => 1'h1": "the memory of the IDs never stops of its own",
    },
)
