"""Bench of the sum of spikes: the hashes of `csnn.packets` are its model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn.packets import spike_hash
from rtl.spike_sum import SpikeSum

CYCLES = 400
# A spike of cycle t is in the sum that stands in cycle t + LATENCY.
LATENCY = 3


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, rate: float, clears: float = 0.02, resets: float = 0.0,
) -> None:  # fmt: skip
    """Compare all outputs, cycle by cycle."""
    valid, clear = rng.random(CYCLES) < rate, rng.random(CYCLES) < clears
    resetting = rng.random(CYCLES) < resets
    resetting[-LATENCY:] = True
    source = rng.integers(0, 2**32, CYCLES)
    step = np.repeat(rng.integers(0, 2**32, CYCLES // 8), 8)
    found = await dut.run(
        {"valid": valid, "source": source, "step": step, "clear": clear, "rst": resetting}
    )
    hashes = [
        int(spike_hash(np.array([s], np.uint32), int(at))[0])
        for s, at in zip(source.tolist(), step.tolist(), strict=True)
    ]
    count = total = 0
    under_way: list[int] = []
    for t in range(CYCLES):
        assert found["count"][t] == count, t
        assert found["sum"][t] == total, t
        assert found["busy"][t] == bool(under_way), t
        arriving = t - LATENCY + 1
        arrives = arriving in under_way
        cover.hit("sum wraps", arrives and total + hashes[arriving] >= 1 << 32)
        cover.hit("cleared as a spike arrives", arrives and clear[t])
        if clear[t]:
            count = total = 0
        elif arrives:
            count, total = count + 1, (total + hashes[arriving]) % (1 << 32)
        under_way = [spike for spike in under_way if spike > arriving]
        cover.hit("spikes in a row", valid[t] and t - 1 in under_way)
        if valid[t]:
            under_way.append(t)
        if resetting[t]:
            cover.hit("reset with a spike under way", bool(under_way))
            count, total, under_way = 0, 0, []


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then single spikes."""
    await drive(dut, rng, cover, rate=0.0)
    await drive(dut, rng, cover, rate=0.03, clears=0.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A spike in every cycle: the sum never stalls."""
    await drive(dut, rng, cover, rate=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the sum and the spikes under way."""
    await drive(dut, rng, cover, rate=0.5, resets=0.05)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Spikes at every rate."""
    for rate in (0.2, 0.5, 0.9):
        await drive(dut, rng, cover, rate=rate)


BENCH = Bench(
    make=SpikeSum,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "sum wraps",
        "cleared as a spike arrives",
        "spikes in a row",
        "reset with a spike under way",
    ),
)
