"""Bench of the broadcast encoder: a place for one packet is its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held
from packet_streams import integers, moved

from csnn.packets import Kind
from rtl.mesh.broadcast_encoder import BroadcastEncoder

CYCLES = 500
# In the order in which they go.
SOURCES = {"spike": Kind.SPIKE, "sync": Kind.SYNC}


def check(found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    came = {name: dict(moved(found, name)) for name in SOURCES}
    payloads = integers(found["output__payload"])
    held: int | None = None
    for t in range(len(found["rst"])):
        assert found["output__valid"][t] == (held is not None), t
        if held is not None:
            assert payloads[t] == held, t
        free = held is None or bool(found["output__ready"][t])
        cover.hit("packet waits", not free)
        if found["output__ready"][t]:
            held = None
        goes_before = False
        for name, kind in SOURCES.items():
            assert found[f"{name}__ready"][t] == (free and not goes_before), (t, name)
            if name != "spike":
                cover.hit(f"{name} waits for another", goes_before and found[f"{name}__valid"][t])
            if t in came[name]:
                target = sum(
                    int(found[f"here_{axis}"][t]) << 8 * place for place, axis in enumerate("xyz")
                )
                held = target | kind << 24 | came[name][t] << 32
                cover.hit(f"{name} goes")
            goes_before = goes_before or bool(found[f"{name}__valid"][t])
        if found["rst"][t]:
            cover.hit("reset with a packet inside", held is not None)
            held = None
    assert_held(found, "output")


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: float, takes: float, resets: float = 0.0,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    rates = {"spike": offers / 2, "sync": offers}
    found = await dut.run(
        {
            **{f"{name}__valid": rng.random(CYCLES) < rate for name, rate in rates.items()},
            **{f"here_{axis}": rng.integers(0, 256, CYCLES) for axis in "xyz"},
            "output__ready": rng.random(CYCLES) < takes,
            "rst": resetting,
        },
        {name: rng.integers(0, 2**64, CYCLES, dtype=np.uint64) for name in SOURCES},
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then packets one by one."""
    found = await dut.run({"output__ready": rng.random(50) < 0.5})
    assert not found["output__valid"].any()
    check(found, cover)
    await drive(dut, rng, cover, offers=0.04, takes=1.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """All sources wait for a slow network; then a fast one."""
    await drive(dut, rng, cover, offers=1.0, takes=0.1)
    await drive(dut, rng, cover, offers=1.0, takes=1.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the packet."""
    await drive(dut, rng, cover, offers=0.6, takes=0.4, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Both sides busy at every rate."""
    for offers, takes in ((0.9, 0.3), (0.3, 0.9), (0.6, 0.6)):
        await drive(dut, rng, cover, offers=offers, takes=takes)


BENCH = Bench(
    make=BroadcastEncoder,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "packet waits",
        "sync waits for another",
        "spike goes",
        "sync goes",
        "reset with a packet inside",
    ),
)
