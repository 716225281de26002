"""Bench of the packet FIFO: a queue is its model."""

from __future__ import annotations

from collections import deque

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held, transfers

from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.verilate import to_words

CONFIG = PacketFifoConfig(width=96, depth=8)
CYCLES = 600


def packets(rng: np.random.Generator, count: int) -> np.ndarray:
    return to_words([int.from_bytes(rng.bytes(12), "little") for _ in range(count)], CONFIG.width)


def check(found: Arrays, cover: Coverage) -> None:
    """Compare with a queue, cycle by cycle."""
    queue: deque[tuple[int, list[int]]] = deque()
    came, given = transfers(found, "input"), transfers(found, "output")
    arriving = dict(zip(came[0].tolist(), came[1].tolist(), strict=True))
    leaving = dict(zip(given[0].tolist(), given[1].tolist(), strict=True))
    free = 0  # the first cycle in which the head may be offered
    was_full = False
    for t in range(len(found["rst"])):
        level = int(found["level"][t])
        assert level == len(queue), t
        assert bool(found["input__ready"][t]) == (level < CONFIG.depth), t
        offered = bool(queue) and t >= max(queue[0][0] + PacketFifo.LATENCY, free)
        assert bool(found["output__valid"][t]) == offered, t
        cover.hit("full", level == CONFIG.depth)
        cover.hit("empty", level == 0 and t > 0)
        cover.hit("in and out at once", t in arriving and t in leaving)
        cover.hit("refused while one leaves", level == CONFIG.depth and t in leaving)
        cover.hit("empty after full", was_full and level == 0)
        was_full = (was_full and level > 0) or level == CONFIG.depth
        if t in leaving:
            assert queue.popleft()[1] == leaving[t], t
            free = t + 1
        if t in arriving:
            queue.append((t, arriving[t]))
        if found["rst"][t]:
            cover.hit("reset with packets inside", len(queue) > 1)
            queue.clear()
            was_full = False
    assert_held(found, "output")


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then single packets with long pauses."""
    ready = rng.random(100) < 0.5
    found = await dut.run({"output__ready": ready})
    assert not found["output__valid"].any()
    check(found, cover)
    valid = np.arange(CYCLES) % 17 == 0
    check(
        await dut.run({"input__valid": valid, "output__ready": 1}, {"input": packets(rng, 40)}),
        cover,
    )


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Full, then emptied, again and again."""
    ready = (np.arange(CYCLES) // 30 % 2 == 1) & (rng.random(CYCLES) < 0.8)
    found = await dut.run(
        {"input__valid": np.ones(CYCLES), "output__ready": ready}, {"input": packets(rng, CYCLES)}
    )
    check(found, cover)
    found = await dut.run({"output__ready": np.ones(30), "rst": np.arange(30) == 29})
    assert len(transfers(found, "output")[0]) == found["level"][0]


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets what is inside, whatever happens in its cycle."""
    check(
        await dut.run(
            {
                "input__valid": rng.random(CYCLES) < 0.7,
                "output__ready": rng.random(CYCLES) < 0.5,
                "rst": rng.random(CYCLES) < 0.05,
            },
            {"input": packets(rng, CYCLES)},
        ),
        cover,
    )


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Both sides busy at every rate."""
    for offers, takes in ((0.9, 0.3), (0.3, 0.9), (0.5, 0.5), (1.0, 1.0)):
        found = await dut.run(
            {
                "input__valid": rng.random(CYCLES) < offers,
                "output__ready": rng.random(CYCLES) < takes,
                "rst": np.arange(CYCLES) == CYCLES - 1,
            },
            {"input": packets(rng, CYCLES)},
        )
        check(found, cover)


BENCH = Bench(
    make=lambda: PacketFifo(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "full",
        "empty",
        "in and out at once",
        "refused while one leaves",
        "empty after full",
        "reset with packets inside",
    ),
    equivalent={
        "if: $signal => 1'h1": "a word may be written to a free place at any time",
    },
)
