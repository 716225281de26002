"""Bench of the stream arbiter: turns, cycle by cycle, are its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held
from packet_streams import integers

from rtl.mesh.arbiter import StreamArbiter, StreamArbiterConfig
from rtl.verilate import to_words

CONFIG = StreamArbiterConfig(inputs=5, width=96)
CYCLES = 400
NAMES = [f"inputs__{place}" for place in range(CONFIG.inputs)]


def check(found: Arrays, cover: Coverage) -> None:
    """Compare with: a place for one payload, and whoever comes after the last goes first."""
    offered = {name: integers(found[f"{name}__payload"]) for name in NAMES}
    output = integers(found["output__payload"])
    held: int | None = None
    last = CONFIG.inputs - 1
    for t in range(len(found["rst"])):
        assert found["output__valid"][t] == (held is not None), t
        assert held is None or output[t] == held, t
        leaves = held is not None and bool(found["output__ready"][t])
        free = held is None or leaves
        turns = [(last + 1 + k) % CONFIG.inputs for k in range(CONFIG.inputs)]
        waiting = [place for place in turns if found[f"{NAMES[place]}__valid"][t]]
        for place, name in enumerate(NAMES):
            taken = free and waiting[:1] == [place]
            assert found[f"{name}__ready"][t] == taken, (t, name)
        cover.hit("all wait", len(waiting) == CONFIG.inputs)
        cover.hit("a new round begins", free and waiting and waiting[0] <= last)
        cover.hit("one alone, again", free and waiting == [last])
        cover.hit("output waits", not free and waiting)
        cover.hit("next one follows at once", leaves and waiting)
        cover.hit("none follows", leaves and not waiting)
        if free:
            held = offered[NAMES[waiting[0]]][t] if waiting else None
            last = waiting[0] if waiting else last
        if found["rst"][t]:
            cover.hit("reset with a payload inside", held is not None)
            held, last = None, CONFIG.inputs - 1
    assert_held(found, "output")


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: tuple[float, ...], takes: float, resets: float = 0.0,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    payloads = {
        name: to_words([int.from_bytes(rng.bytes(12), "little") for _ in range(CYCLES)], 96)
        for name in NAMES
    }
    found = await dut.run(
        {
            **{
                f"{name}__valid": rng.random(CYCLES) < rate
                for name, rate in zip(NAMES, offers, strict=True)
            },
            "output__ready": rng.random(CYCLES) < takes,
            "rst": resetting,
        },
        payloads,
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then each stream alone, seldom or always."""
    await drive(dut, rng, cover, offers=(0.0,) * 5, takes=0.5)
    for place in range(CONFIG.inputs):
        for rate in (0.1, 1.0):
            offers = tuple(rate * (place == other) for other in range(CONFIG.inputs))
            await drive(dut, rng, cover, offers=offers, takes=0.9)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """All streams always wait; each gets its turn."""
    await drive(dut, rng, cover, offers=(1.0,) * 5, takes=0.2)
    await drive(dut, rng, cover, offers=(1.0,) * 5, takes=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the payload and whose turn it is."""
    await drive(dut, rng, cover, offers=(0.3,) * 5, takes=0.5, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate."""
    for offers in ((0.1,) * 5, (0.3,) * 5, (0.9, 0.0, 0.5, 0.0, 0.9), (0.0, 0.6, 0.6, 0.05, 0.0)):
        await drive(dut, rng, cover, offers=offers, takes=0.7)


BENCH = Bench(
    make=lambda: StreamArbiter(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "all wait",
        "a new round begins",
        "one alone, again",
        "output waits",
        "next one follows at once",
        "none follows",
        "reset with a payload inside",
    ),
    equivalent={
        "$: | { grant[3], grant[1] } => | { grant[1], grant[3] }": "an OR has no order",
        "$: | { inputs__1__valid, inputs__0__valid } => | { inputs__0__valid, inputs__1__valid }": (
            "an OR has no order"
        ),
    },
)
