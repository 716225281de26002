"""Bench of the arbiter of the configuration space: turns, cycle by cycle, are its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut, assert_held

from rtl.config_arbiter import ConfigArbiter
from rtl.packet_decoder import ACCESS
from rtl.verilate import to_words

CYCLES = 500
SIDES = ("packet", "window")


def accesses(rng: np.random.Generator, count: int) -> np.ndarray:
    size = ACCESS.size
    return to_words(
        [int.from_bytes(rng.bytes(9), "little") >> 72 - size for _ in range(count)], size
    )


def check(found: Arrays, cover: Coverage) -> None:
    """Compare with: one at a time, and whoever was not last goes first."""
    last, serving, offering = "packet", False, None
    for t in range(len(found["rst"])):
        waiting = [side for side in SIDES if found[f"{side}__valid"][t]]
        other = SIDES[1 - SIDES.index(last)]
        chosen = offering or (other if other in waiting else last)
        offers = not serving and chosen in waiting
        assert found["request__valid"][t] == offers, t
        taken = bool(offers and found["request__ready"][t])
        if offers:
            assert np.array_equal(found["request__payload"][t], found[f"{chosen}__payload"][t]), t
        for side in SIDES:
            if side in waiting:
                assert found[f"{side}__ready"][t] == (taken and side == chosen), t
            answered = serving and side == last and bool(found["answered"][t])
            assert found[f"{side}_answered"][t] == answered, t
        cover.hit("both wait", offers and len(waiting) == 2)
        cover.hit("the other came while one is offered", offering == last and other in waiting)
        cover.hit("answer and request at once", serving and found["answered"][t] and waiting != [])
        for side in SIDES:
            cover.hit(f"{side} twice in a row", taken and chosen == last == side)
        if offers:
            last = chosen
        offering = chosen if offers and not taken else None
        serving = taken or (serving and not found["answered"][t])
        if found["rst"][t]:
            cover.hit("reset before the answer", serving)
            last, serving, offering = "packet", False, None
    assert_held(found, "request")


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, offers: tuple[float, float], takes: float, answers: float, resets: float = 0.0,
) -> None:  # fmt: skip
    resetting = rng.random(CYCLES) < resets
    resetting[-1] = True
    found = await dut.run(
        {
            "packet__valid": rng.random(CYCLES) < offers[0],
            "window__valid": rng.random(CYCLES) < offers[1],
            "request__ready": rng.random(CYCLES) < takes,
            "answered": rng.random(CYCLES) < answers,
            "rst": resetting,
        },
        {side: accesses(rng, CYCLES) for side in SIDES},
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing is asked; then one side alone."""
    await drive(dut, rng, cover, offers=(0, 0), takes=0.5, answers=0.5)
    for offers in ((0.1, 0.0), (0.0, 0.1), (1.0, 0.0), (0.0, 1.0)):
        await drive(dut, rng, cover, offers=offers, takes=0.8, answers=0.3)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Both sides always ask; the space is slow to take, or to answer."""
    await drive(dut, rng, cover, offers=(1, 1), takes=0.1, answers=0.5)
    await drive(dut, rng, cover, offers=(1, 1), takes=1.0, answers=0.1)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets the request under way."""
    await drive(dut, rng, cover, offers=(0.4, 0.4), takes=0.5, answers=0.2, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Every rate of both sides."""
    for offers in ((0.2, 0.2), (0.05, 0.9), (0.9, 0.05), (0.5, 0.5)):
        await drive(dut, rng, cover, offers=offers, takes=0.5, answers=0.4)


BENCH = Bench(
    make=ConfigArbiter,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "both wait",
        "the other came while one is offered",
        "answer and request at once",
        "packet twice in a row",
        "window twice in a row",
        "reset before the answer",
    ),
)
