"""Scenarios of a whole node: `csnn.simulator.plain.Node` is its model, packet by packet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from amaranth.lib.wiring import Component
from bench import Bench, Coverage, Dut, Scenario
from tiny_neuron import TINY, TinyConfig

from csnn.hardware.latency import step_cycles
from csnn.hardware.memory_map import Region, Words, node_words
from csnn.hardware.registers import OFFSETS
from csnn.image import layout
from csnn.image.layout import NO_EXT_TABLE
from csnn.image.node import NodeImage
from csnn.packets import spike_sum
from csnn.rows import Sampler, synapse_word
from csnn.simulator.plain import Node
from csnn.simulator.state import MachineState

U32 = npt.NDArray[np.uint32]

CONFIG = TinyConfig(
    pipelines=2,
    neurons=16,
    delay_slots=4,
    samplers=(Sampler.INDEPENDENT, Sampler.STORED),
    blocks=2,
    selectors=2,
    ext_tables=2,
    epochs=3,
    rows=64,
    synapses=64,
    event_fifo=16,
)
SOURCES = 24
FIRST_STEPS = 1, 4, 7
RUN, CLEAR = 1, 2
HALTED, ROUTER_IDLE = 1, 4
# A barrier message or an answer comes within so many cycles.
PATIENCE = 400
PER_REQUEST = 12


class Link(Protocol):
    """How messages reach a node, and what it says."""

    overhead: int

    async def steps(
        self,
        count: int,
        total: int,
        step: int,
        sources: Iterable[int],
        *,
        cycles: int,
        ready: float,
        rate: float,
        reset: int | None,
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]], int]:
        """Send a sync message, then spikes; return spikes, barriers and cycles between."""
        ...

    async def write(self, addresses: U32, values: U32) -> None:
        """Write words."""
        ...

    async def read(self, addresses: U32) -> list[int]:
        """Return words."""
        ...


def image(rng: np.random.Generator, n: int, start: int) -> NodeImage:
    """Return a lively node, every word of it random; steps are counted from `start`."""
    blocks = np.zeros(CONFIG.blocks, layout.BLOCK)
    first = int(rng.integers(1000))
    for k, sampler in enumerate(CONFIG.samplers):
        blocks[k]["source_first"], blocks[k]["source_count"] = first + 4 * k, SOURCES - 4
        blocks[k]["row_first"], blocks[k]["row_count"] = k * SOURCES, SOURCES - 4
        blocks[k]["sampler"], blocks[k]["selector"] = sampler, rng.integers(2)
        blocks[k]["in_degree"], blocks[k]["stub_key"] = 0, 0
    blocks[0]["flags"] = layout.SKIP_SELF_FLAG
    length = rng.integers(0, 7, 2 * SOURCES).astype(np.uint8)
    seed = rng.integers(1, 2**32, 2 * SOURCES).astype(np.uint32)
    seed[SOURCES:] = rng.integers(0, CONFIG.synapses - 7, SOURCES)

    def table(kind: np.dtype, shape: tuple[int, int], largest: int) -> npt.NDArray[np.void]:
        made = np.zeros(shape, kind)
        made["H"] = rng.integers(0, 2**32, shape)
        made["own"], made["alias"] = rng.integers(0, largest, (2, *shape))
        return made

    schedule = np.zeros(CONFIG.epochs, layout.EPOCH)
    schedule["first_step"] = [start + first for first in FIRST_STEPS]
    schedule["ext_table"] = [1, NO_EXT_TABLE, 0]
    schedule["dc"] = rng.normal(size=CONFIG.epochs)
    synapses = synapse_word(
        rng.integers(0, n, CONFIG.synapses),
        rng.integers(0, CONFIG.delay_slots, CONFIG.synapses),
        rng.integers(0, 1 << 16, CONFIG.synapses),
    )
    constants = np.array([0.0, 60_000.0, -1.0], np.float32).view(np.uint32)
    return NodeImage(
        node=int(rng.integers(1 << 16)),
        population=0,
        first_neuron=first + 6,
        n_neurons=n,
        n_sources=first + SOURCES,
        node_key=int(rng.integers(2**32)),
        ext_lanes=CONFIG.pipelines,
        ext_weight=int(rng.integers(1, 1 << 15)),
        delay_slots=CONFIG.delay_slots,
        grid_exponent=0,
        dt_ms=0.1,
        model="lif",
        blocks=blocks,
        weight_tables=table(layout.WEIGHT_TABLE, (2, 64), 1 << 16),
        delay_tables=table(layout.DELAY_TABLE, (2, 64), CONFIG.delay_slots),
        ext_tables=table(layout.EXT_TABLE, (2, 32), 32),
        ext_states=rng.integers(0, 2**32, (CONFIG.pipelines, 4)).astype(np.uint32),
        schedule=schedule,
        constants=np.append(constants, np.uint32(2)),
        state=rng.normal(60_000.0, 60_000.0, (3, n)).astype(np.float32).view(np.uint32),
        refractory=rng.integers(0, 3, n).astype(np.uint32),
        source_ids=rng.integers(0, 2**32, n).astype(np.uint32),
        seed=seed,
        length=length,
        presence=np.zeros(0, np.uint32),
        rank=np.zeros(0, np.uint32),
        synapses=synapses,
        delay_buffer=rng.integers(0, 60_000, (CONFIG.delay_slots, 2, n)).astype(np.uint32),
    )


class Model:
    """A node and what it must say and hold."""

    def __init__(self, link: Link, rng: np.random.Generator, cover: Coverage) -> None:
        self.link, self.rng, self.cover = link, rng, cover

    async def load(self, n: int) -> None:
        """Write every memory and begin."""
        await self.set("control", 0)
        # Large enough that every bit of a step enters the hashes of spikes.
        self.start = self.step = int(self.rng.integers(1 << 28, 1 << 31))
        self.image = node = image(self.rng, n, self.start)
        self.broadcast = np.empty(0, np.uint32)
        state = MachineState(
            step=self.step,
            state=np.zeros((3, node.first_neuron + n), np.uint32),
            refractory=np.zeros(node.first_neuron + n, np.uint32),
            delay_buffer=np.zeros((CONFIG.delay_slots, 2, node.first_neuron + n), np.uint32),
            ext_states=np.zeros((node.node + 1, CONFIG.pipelines, 4), np.uint32),
            saturated=np.zeros(node.node + 1, bool),
        )
        part = slice(node.first_neuron, node.first_neuron + n)
        state.state[:, part], state.refractory[part] = node.state, node.refractory
        state.delay_buffer[:, :, part] = node.delay_buffer
        state.ext_states[node.node] = node.ext_states
        self.node = Node(node, TINY, state, CONFIG.sum_limit)
        for words in node_words(CONFIG, node):
            await self.link.write(words.address, words.value)
        await self.set("step", self.step)
        self.spikes = self.steps = self.handled = 0
        await self.set("control", CLEAR)
        await self.set("control", RUN)

    async def set(self, name: str, value: int) -> None:
        words = Words(
            Region.REGISTERS, np.array([OFFSETS[name]], np.uint32), np.array([value], np.uint32)
        )
        await self.link.write(words.address, words.value)

    async def get(self, *names: str) -> list[int]:
        return await self.link.read(np.array([OFFSETS[name] for name in names], np.uint32))

    async def advance(
        self, spikes: int, *, ready: float = 1.0, rate: float = 1.0, reset: int | None = None
    ) -> None:
        """Make a step in which some spikes are broadcast."""
        total = spike_sum(self.broadcast, self.step)
        count = len(self.broadcast)
        first = int(self.image.blocks[0]["source_first"])
        sources = (first - 2 + self.rng.integers(0, SOURCES + 4, spikes)).astype(np.uint32)
        sent, barriers, cycles = await self.link.steps(
            count, total, self.step, sources.tolist(),
            cycles=PATIENCE, ready=ready, rate=rate, reset=reset,
        )  # fmt: skip
        if reset is not None:
            self.cover.hit("reset within a step", not barriers)
            return
        self.step += 1
        self.broadcast = sources
        expected = self.node.compute(self.step)
        assert sent == [(int(source), self.step) for source in expected]
        hashed = spike_sum(expected, self.step)
        assert barriers == [(len(expected), self.image.node, self.step & 63, hashed)]
        if ready == 1.0 and not len(expected) and self.step - self.start not in FIRST_STEPS:
            n = self.image.n_neurons
            assert cycles == step_cycles(CONFIG, n) + self.link.overhead
            self.cover.hit("cycles of a step measured")
        self.node.receive(sources, self.step)
        self.spikes += len(expected)
        self.steps, self.handled = self.steps + 1, self.handled + spikes
        self.cover.hit("spikes sent", len(expected))
        self.cover.hit("several spikes of a step", len(expected) > 2)
        self.cover.hit("spikes unrolled", spikes)
        self.cover.hit("external input", self.node.es.any())
        self.cover.hit("no external input", not self.node.es.any())

    async def compare(self) -> None:
        """Halt the node and compare all that it holds; go on."""
        await self.set("control", 0)
        (status,) = await self.get("status")
        assert status & (HALTED | ROUTER_IDLE) == HALTED | ROUTER_IDLE
        counters = await self.get(
            "errors", "steps", "spikes_sent", "spikes_handled", "synapses", "step"
        )
        synapses = self.node.router.events
        assert counters == [0, self.steps, self.spikes, self.handled, synapses, self.step]
        now = replace(
            self.image,
            state=self.node.ode.state,
            refractory=self.node.ode.refractory,
            delay_buffer=self.node.buffer.words.astype(np.uint32),
            ext_states=self.node.external.state,
        )
        for words in node_words(CONFIG, now):
            assert await self.link.read(words.address) == words.value.tolist(), words.region
        n = self.image.n_neurons
        for region, values in (
            (Region.SYNAPTIC_INPUT, self.node.ss),
            (Region.EXTERNAL_INPUT, self.node.es[np.newaxis]),
        ):
            if self.steps:
                kind, neuron = np.indices((len(values), n))
                offset = (kind << 8 | neuron).ravel().astype(np.uint32)
                words = Words(region, offset, values.ravel().astype(np.uint32))
                assert await self.link.read(words.address) == words.value.tolist(), region
        await self.set("control", RUN)


async def idle(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Loaded, and nothing comes; then steps without spikes."""
    model = Model(link, rng, cover)
    await model.load(5)
    await model.compare()
    for _ in range(8):
        await model.advance(0)
    await model.compare()


async def back_pressure(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Messages of the node wait long; spikes come as fast as they can."""
    model = Model(link, rng, cover)
    await model.load(16)
    for ready in (0.1, 0.3, 0.1, 0.5):
        await model.advance(14, ready=ready)
    await model.compare()


async def reset_in_flight(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset within a step; loaded again, the node works as after power-up."""
    model = Model(link, rng, cover)
    for reset in (9, 30):
        await model.load(7)
        await model.advance(3)
        await model.advance(3, reset=reset)
        assert (await model.get("status"))[0] & HALTED
        assert await model.get("steps", "step", "errors") == [0, 0, 0]
    await model.load(8)
    for _ in range(3):
        await model.advance(4)
    await model.compare()


async def random(link: Link, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps with spikes at every rate."""
    model = Model(link, rng, cover)
    for n in (13, 16):
        await model.load(n)
        for _ in range(10):
            await model.advance(int(rng.integers(12)), ready=0.8, rate=0.3)
        await model.compare()


def node_bench(
    make: Callable[[TinyConfig], Component],
    link: Callable[[Dut, np.random.Generator], Link],
    equivalent: Mapping[str, str],
) -> Bench:
    """Return the bench of a node, with or without its packets."""

    def of(scenario: Callable[..., Awaitable[None]]) -> Scenario:
        async def run(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
            await scenario(link(dut, rng), rng, cover)

        run.__name__ = scenario.__name__
        return run

    return Bench(
        make=lambda: make(CONFIG),
        scenarios=tuple(of(each) for each in (idle, back_pressure, reset_in_flight, random)),
        bins=(
            "spikes sent",
            "several spikes of a step",
            "spikes unrolled",
            "external input",
            "no external input",
            "cycles of a step measured",
            "reset within a step",
        ),
        equivalent=equivalent,
    )
