"""Scenarios of a whole node, of its core alone or with its packets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import numpy as np
from amaranth.lib.wiring import Component
from bench import Bench, Coverage, Dut, Scenario
from node_image import CONFIG
from node_links import Link
from node_model import DRAINED, ERRORS, HALTED, PATIENCE, WAITING, Model, spike
from tiny_neuron import TinyConfig

from csnn.hardware.registers import COUNTERS, SETTINGS


async def idle(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Loaded, and nothing comes; then steps with single spikes, or none."""
    model = Model(link, rng, cover)
    await model.load(5)
    await link.pause(DRAINED)
    for before in (0, 1, 0, 0, 3, 0, 1, 0):
        await model.advance(before=before)
    await model.compare(tables=True)


async def back_pressure(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Messages and records wait long; spikes come as fast as they can."""
    model = Model(link, rng, cover)
    await model.load(16)
    for ready in (0.1, 0.3, 0.5):
        await model.advance(14, ready=ready)
    for _ in range(12):
        await model.advance(10, ready=0.5, closed=True)
    # A node is halted when its records are written.
    await spikes(model, len(link.memory.records), closed=True)
    link.opens = 1 << 30
    await model.halt()
    (status,) = await model.get("status")
    assert not status & (HALTED | WAITING)
    await model.refuses_while_running()
    link.opens = 0
    await link.pause(DRAINED)
    await model.run()
    await model.compare()


async def reset_in_flight(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset within a step; loaded again, the node works as after power-up."""
    model = Model(link, rng, cover)
    for reset in (9, 30):
        await model.load(7)
        await model.advance(3)
        events = [model.sync(), *(spike(source, model.step + 1) for source in model.sources(3))]
        played = await link.play(events, cycles=PATIENCE, reset=reset)
        cover.hit("reset within a step", not played.barriers)
        link.coordinates = dict.fromkeys(link.coordinates, 0)
        assert (await model.get("status"))[0] & HALTED
        names = [*SETTINGS, *COUNTERS, "errors", "recorded"]
        assert not any(await model.get(*names))
    await model.load(8)
    for _ in range(3):
        await model.advance(4)
    await model.compare()


async def random(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps with spikes at every rate."""
    model = Model(link, rng, cover)
    for n in (13, 16):
        await model.load(n)
        for _ in range(8):
            early, late = rng.integers(0, 8, 2).tolist()
            await model.advance(late, before=early, ready=0.8, rate=0.3)
        await model.compare()


async def errors(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Every error stops the node; cleared, it goes on."""
    model = Model(link, rng, cover)
    await model.load(16)
    await model.refuses_while_running()
    await model.halt()
    await model.refuses()
    await model.run()
    for names, wrong in (
        (["count"], {"count": 1 << 25}),
        (["sum"], {"total": 1 << 31}),
        (["sync_step"], {"step": 32}),
        (["count", "sum", "sync_step"], {"count": 1, "total": 1, "step": 1}),
        (["spike_step"], None),
    ):
        await model.advance(3)
        event = spike(3, model.step ^ 1 << 31) if wrong is None else model.sync(**wrong)
        played = await link.play([event], cycles=DRAINED)
        assert not played.barriers
        await model.stopped(*names)
        await model.begin()
    for name in ("packet", "address"):
        await model.advance(1)
        await link.fault(name)
        await model.stopped(name)
        await model.begin()
    await full(model)
    await refused_by_the_memory(model)
    await model.begin()
    await model.advance(2)
    await model.compare()


async def spikes(model: Model, count: int, *, closed: bool = False) -> None:
    """Go on until there are more spikes than `count`."""
    for _ in range(20):
        if len(model.spikes) > count:
            return
        # Not after the sync message: a node that stops within the step would drop them.
        await model.advance(before=10, closed=closed)
    raise AssertionError("no neuron spikes")


async def full(model: Model) -> None:
    """There is room for three spikes."""
    await model.halt()
    await model.link.pause(DRAINED)
    await model.begin(room=3)
    await spikes(model, 3)
    await model.stopped("recorder")


async def refused_by_the_memory(model: Model) -> None:
    """The memory answers with an error."""
    model.link.answer = 2
    await model.begin()
    await spikes(model, 0)
    await model.stopped("recorder")
    model.link.answer = 0


def node_bench(
    make: Callable[[TinyConfig], Component],
    link: type[Link],
    equivalent: Mapping[str, str],
) -> Bench:
    """Return the bench of a node, with or without its packets."""

    def of(scenario: Callable[..., Awaitable[None]]) -> Scenario:
        async def run(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
            await scenario(link(dut, rng), rng, cover)

        run.__name__ = scenario.__name__
        return run

    counted = ("cycles of the router counted",) if link.is_exact else ()
    return Bench(
        make=lambda: make(CONFIG),
        scenarios=tuple(
            of(each) for each in (idle, back_pressure, reset_in_flight, random, errors)
        ),
        bins=(
            "several spikes of a step",
            "external input",
            "no external input",
            "saturated",
            "not saturated",
            "cycles of a step measured",
            "spikes wait for the recorder",
            "reset within a step",
            *(f"stopped by {name}" for name in ERRORS),
            *counted,
        ),
        equivalent=equivalent,
        mutated="top",
    )
