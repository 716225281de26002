"""Bench of the step timer: the lengths of all steps are its model."""

from __future__ import annotations

import numpy as np
from bench import Arrays, Bench, Coverage, Dut

from rtl.mesh.step_timer import StepTimer

CYCLES = 1500


def check(found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    began: int | None = None
    # The last one enters the extremes in the cycle after it is told.
    steps: list[int] = []
    last, is_new = 0, False
    for t in range(len(found["rst"])):
        assert found["last"][t] == last, t
        assert found["longest"][t] == max(steps, default=0), t
        assert found["shortest"][t] == min(steps, default=2**32 - 1), t
        limit = int(found["limit"][t])
        if began is not None:
            late = bool(limit) and t - began > limit
            assert found["expired"][t] == late, t
            cover.hit("late", late)
            cover.hit("just in time", limit == t - began)
            cover.hit("no limit", not limit)
        if is_new:
            cover.hit("longest yet", steps and last > max(steps))
            cover.hit("shortest yet", steps and last < min(steps))
            steps.append(last)
        is_new = False
        if found["ends"][t] and began is not None:
            last, is_new, began = t - began, True, None
        if found["begins"][t]:
            began = t
        if found["clear"][t]:
            cover.hit("cleared", steps)
            last, is_new, steps = 0, False, []
        if found["rst"][t]:
            cover.hit("reset within a step", began is not None)
            last, is_new, steps, began = 0, False, [], None


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, length: float, gap: float, resets: float = 0.0, clears: float = 0.003,
) -> None:  # fmt: skip
    begins, ends = np.zeros(CYCLES, bool), np.zeros(CYCLES, bool)
    clear = rng.random(CYCLES) < clears
    t = 0
    while True:
        # A step has two cycles at least, and the next one may begin in the cycle after it.
        end = t + 2 + int(rng.exponential(length))
        if end >= CYCLES - 1:
            break
        begins[t], ends[end] = True, True
        clear[t : end + 1] = False
        t = end + 1 + int(rng.exponential(gap))
    limits = rng.choice([0, 1, 2, 5, 9, 14, 20, 1 << 31], CYCLES // 25)
    resetting = rng.random(CYCLES) < resets
    # What is under way at a reset never ends.
    for place in np.flatnonzero(resetting).tolist():
        after = np.flatnonzero(begins[place + 1 :])
        ends[place : place + 1 + int(after[0]) if len(after) else CYCLES] = False
    resetting[-1] = True
    found = await dut.run(
        {
            "begins": begins,
            "ends": ends,
            "clear": clear,
            "limit": np.repeat(limits, 25),
            "rst": resetting,
        }
    )
    check(found, cover)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Few steps, and long pauses."""
    await drive(dut, rng, cover, length=200, gap=200)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """One step after the other, as short as they may be."""
    await drive(dut, rng, cover, length=0, gap=0, clears=0)
    await drive(dut, rng, cover, length=2, gap=0.5)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset forgets all steps."""
    await drive(dut, rng, cover, length=10, gap=2, resets=0.02)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps of every length."""
    for length in (3, 10, 40):
        await drive(dut, rng, cover, length=length, gap=5)


BENCH = Bench(
    make=StepTimer,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *("late", "just in time", "no limit", "longest yet", "shortest yet"),
        *("cleared", "reset within a step"),
    ),
    equivalent={
        "$: last > longest => last >= longest": "an extreme is replaced by its equal",
        "$: last < shortest => last <= shortest": "an extreme is replaced by its equal",
    },
)
