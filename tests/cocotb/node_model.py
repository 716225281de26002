"""What a node must say and hold: `csnn.simulator.plain.Node`, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from bench import Coverage
from node_image import CONFIG, FIRST_STEPS, SOURCES, image
from node_links import MISSING, Event, Link, Played
from tiny_neuron import TINY

from csnn.hardware.latency import EXTERNAL, SYNC_TO_START, neuron_groups, ode_cycles, step_cycles
from csnn.hardware.memory_map import Region, Words, node_words, register_address
from csnn.hardware.recorder import FIFO_RECORDS, PAGE_BITS, RECORD_BYTES
from csnn.hardware.registers import (
    COUNTERS,
    ERROR_BITS,
    INTERFACE_VERSION,
    NODE_ID,
    REGISTERS,
    STATUS_BITS,
)
from csnn.image.node import NodeImage
from csnn.packets import Kind, spike_sum
from csnn.simulator.plain import Node
from csnn.simulator.state import MachineState

U32 = npt.NDArray[np.uint32]

RUN, CLEAR = 1, 2
HALTED, WAITING, ROUTER_IDLE, SATURATED = (1 << bit.position for bit in STATUS_BITS)
ERRORS = {bit.name: 1 << bit.position for bit in ERROR_BITS}
# What never changes in a run and takes most words.
TABLES = "weight_tables", "delay_tables", "ext_tables", "seed", "length"
TABLE_REGIONS = {Region[name.upper()] for name in TABLES}
# A barrier message comes within so many cycles.
PATIENCE = 320
# What is queued in the recorder is written within so many.
DRAINED = 120
ROOM = 1 << 20


class Model:
    """A node, loaded with an image of its own."""

    def __init__(self, link: Link, rng: np.random.Generator, cover: Coverage) -> None:
        self.link, self.rng, self.cover = link, rng, cover

    async def load(self, n: int) -> None:
        """Write every memory and setting, the tables the first time only, and begin."""
        await self.set("control", 0)
        # Large enough that every bit of a step enters the hashes of spikes.
        self.start = self.step = int(self.rng.integers(1 << 28, 1 << 31))
        node = image(self.rng, n, self.start)
        before: NodeImage | None = getattr(self, "image", None)
        if before is not None:
            node = replace(node, **{name: getattr(before, name) for name in TABLES})
        self.image = node
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
            if before is None or words.region not in TABLE_REGIONS:
                await self.link.write(words.address, words.value)
        others = ("master", "host", "recorder_page")
        self.settings = {name: int(self.rng.integers(2**32)) for name in others}
        self.settings |= {"step": self.step, "recorder_size": ROOM}
        self.settings |= {
            name: getattr(node, name)
            for name in ("node", "n_neurons", "first_neuron", "node_key", "ext_weight")
        }
        for name, value in self.settings.items():
            await self.set(name, value)
        for name in self.link.coordinates:
            self.link.coordinates[name] = self.settings[name] & 0xFFFFFF
        await self.begin()

    async def begin(self, room: int = ROOM) -> None:
        """Clear errors, counters and records; run."""
        if room != self.settings["recorder_size"]:
            await self.set("recorder_size", room)
            self.settings["recorder_size"] = room
        self.broadcast = np.empty(0, np.uint32)
        self.node.buffer.saturated = False
        self.spikes: list[int] = []
        self.link.memory.records.clear()
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.unknown = set() if self.link.is_exact else {"cycles_wait", "cycles_rtr"}
        self.unrolled_before = self.node.router.events
        self.began = await self.set("control", RUN | CLEAR)
        assert await self.get("status") == [WAITING | ROUTER_IDLE]

    async def set(self, name: str, value: int) -> int:
        """Set a register; return when."""
        address = np.array([register_address(name)], np.uint32)
        return await self.link.write(address, np.array([value], np.uint32))

    async def get(self, *names: str) -> list[int]:
        """Return registers."""
        return await self.link.read(np.array([register_address(name) for name in names], np.uint32))

    def sources(self, count: int) -> U32:
        """Return sources of spikes; some are not among those of the node."""
        first = int(self.image.blocks[0]["source_first"])
        return (first - 2 + self.rng.integers(0, SOURCES + 4, count)).astype(np.uint32)

    def sync(self, count: int = 0, total: int = 0, step: int = 0) -> Event:
        """Return the sync message, or one that differs."""
        right = spike_sum(self.broadcast, self.step)
        return Kind.SYNC, {
            "count": len(self.broadcast) ^ count,
            "sum": right ^ total,
            "step": self.step & 63 ^ step,
        }

    async def advance(
        self, spikes: int = 0, *, before: int = 0, ready: float = 1.0, rate: float = 1.0,
        closed: bool = False,
    ) -> None:  # fmt: skip
        """Make a step in which spikes are broadcast, some `before` the sync message.

        The memory may be closed until the spikes would wait for ever.
        """
        early, late = self.sources(before), self.sources(spikes)
        events: list[Event] = [spike(source, self.step) for source in early]
        self.node.receive(early, self.step)
        self.broadcast = np.concatenate([self.broadcast, early])
        events += [self.sync(), *(spike(source, self.step + 1) for source in late)]
        self.step += 1
        expected = self.node.compute(self.step)
        waiting = len(self.spikes) - len(self.link.memory.records) + len(expected)
        if closed:
            stalls = waiting > FIFO_RECORDS
            self.link.opens = PATIENCE // 2 if stalls else PATIENCE
            self.cover.hit("spikes wait for the recorder", stalls)
        played = await self.link.play(events, cycles=PATIENCE, ready=ready, rate=rate)
        self.link.opens = 0
        assert len(played.taken) == len(events)
        assert played.spikes == [(int(source), self.step) for source in expected]
        fits = len(self.spikes) + len(expected) <= self.settings["recorder_size"]
        hashed = spike_sum(expected, self.step)
        barrier = (len(expected), self.image.node, self.step & 63, hashed)
        assert played.barriers == [barrier] * fits
        self.node.receive(late, self.step)
        self.broadcast = late
        self.count(played, expected, before, spikes)
        settled = self.step - self.start not in FIRST_STEPS
        if ready == 1.0 and not before and not len(expected) and settled:
            cycles = step_cycles(CONFIG, self.image.n_neurons) + self.link.overhead
            assert played.ended - played.taken[before] == cycles
            self.cover.hit("cycles of a step measured")
        self.cover.hit("several spikes of a step", len(expected) > 2)
        self.cover.hit("external input", self.node.es.any())
        self.cover.hit("no external input", not self.node.es.any())

    def count(self, played: Played, expected: U32, before: int, late: int) -> None:
        """Go on with the expected counters."""
        n = self.image.n_neurons
        loading = neuron_groups(CONFIG, n) + EXTERNAL - 1
        self.spikes += [self.step | int(source) << 32 for source in expected]
        self.counts["steps"] += 1
        self.counts["spikes_sent"] += len(expected)
        self.counts["spikes_handled"] += before + late
        self.counts["cycles_load"] += loading
        self.counts["cycles_ode"] += ode_cycles(CONFIG, n) - 1
        self.counts["cycles_wait"] -= played.ended - played.taken[before]
        if before:
            # The sync message is taken as soon as the router is idle.
            self.counts["cycles_rtr"] += played.taken[before] - played.taken[0] - 1
        if late:
            # Nothing outside tells for how long the router is busy with them.
            self.unknown.add("cycles_rtr")
            if self.link.is_exact:
                # They wait until the slot has been moved.
                waited = played.taken[before + 1] - played.taken[before]
                assert waited > SYNC_TO_START + loading

    async def halt(self) -> None:
        """Halt the node."""
        cycles = await self.set("control", 0) - self.began
        self.counts["cycles"] += cycles
        self.counts["cycles_wait"] += cycles

    async def run(self) -> None:
        """Go on after `halt`."""
        self.began = await self.set("control", RUN)

    async def compare(self, *, tables: bool = False) -> None:
        """Halt the node and compare all that it holds, perhaps tables as well; go on."""
        saturated = SATURATED * self.node.buffer.saturated
        assert await self.get("status") == [WAITING | ROUTER_IDLE | saturated]
        await self.halt()
        await self.link.pause(DRAINED)
        self.cover.hit("saturated", saturated)
        self.cover.hit("not saturated", not saturated)
        await self.compare_registers(HALTED | ROUTER_IDLE | saturated)
        self.compare_records()
        now = replace(
            self.image,
            state=self.node.ode.state,
            refractory=self.node.ode.refractory,
            delay_buffer=self.node.buffer.words.astype(np.uint32),
            ext_states=self.node.external.state,
        )
        for words in node_words(CONFIG, now):
            if words.region in TABLE_REGIONS and not tables:
                continue
            assert await self.link.read(words.address) == words.value.tolist(), words.region
        n = self.image.n_neurons
        for region, values in (
            (Region.SYNAPTIC_INPUT, self.node.ss),
            (Region.EXTERNAL_INPUT, self.node.es[np.newaxis]),
        ):
            if self.step > self.start:
                kind, neuron = np.indices((len(values), n))
                offset = (kind << 8 | neuron).ravel().astype(np.uint32)
                words = Words(region, offset, values.ravel().astype(np.uint32))
                assert await self.link.read(words.address) == words.value.tolist(), region
        await self.run()

    async def compare_registers(self, status: int) -> None:
        """Compare all registers of a node that is halted."""
        self.counts["synapses"] = self.node.router.events - self.unrolled_before
        expected = {
            "id": NODE_ID,
            "version": INTERFACE_VERSION,
            "pipelines": CONFIG.pipelines,
            "capacity": CONFIG.neurons,
            "slots": CONFIG.delay_slots,
            "rows": CONFIG.rows,
            "status": status,
            "errors": 0,
            "recorded": len(self.spikes),
            "control": 0,
            **self.settings,
            "step": self.step,
            **self.counts,
        }
        names = [register.name for register in REGISTERS]
        found = dict(zip(names, await self.get(*names), strict=True))
        if self.link.is_exact:
            self.cover.hit("cycles of the router counted", "cycles_rtr" not in self.unknown)
        wrong = {
            name: (found[name], expected[name])
            for name in names
            if name not in self.unknown and found[name] != expected[name]
        }
        assert not wrong, wrong

    def compare_records(self) -> None:
        """Demand that the memory holds the first spikes, and nothing else."""
        base = self.settings["recorder_page"] << PAGE_BITS
        records = self.link.memory.records
        expected = self.spikes[: len(records)]
        assert records == {base + RECORD_BYTES * k: word for k, word in enumerate(expected)}
        if self.settings["recorder_size"] == ROOM and not self.link.answer:
            assert len(records) == len(self.spikes)

    async def refuses(self) -> None:
        """Demand that what is not there, or not to be written, is refused."""
        readable = [Region.SYNAPTIC_INPUT << 20, Region.EXTERNAL_INPUT << 20]
        far = Region.STATE << 20 | 1 << 19
        await self.link.refused(
            [(False, MISSING), (True, far), (False, far), *((True, each) for each in readable)]
        )
        assert await self.get("errors") == [0]

    async def refuses_while_running(self) -> None:
        """Demand that memories and settings are not there."""
        places = [region << 20 for region in Region if region is not Region.REGISTERS]
        await self.link.refused([(k % 2 == 0, place) for k, place in enumerate(places)])
        await self.set("node_key", ~self.settings["node_key"] & 0xFFFFFFFF)
        assert await self.get("node_key", "errors") == [self.settings["node_key"], 0]

    async def stopped(self, *errors: str) -> None:
        """Demand that a node stopped with errors, that it drops spikes and cannot go on."""
        bits = sum(ERRORS[name] for name in errors)
        await self.link.pause(DRAINED)
        for _ in range(2):
            status, sticky, control = await self.get("status", "errors", "control")
            assert status & (HALTED | WAITING | ROUTER_IDLE) == HALTED | ROUTER_IDLE
            assert (sticky, control) == (bits, 0)
            await self.set("control", RUN)
        played = await self.link.play([spike(7, self.step)], cycles=DRAINED)
        assert len(played.taken) == 1
        assert not played.barriers
        recorded, handled = await self.get("recorded", "spikes_handled")
        assert recorded == len(self.link.memory.records)
        assert handled == self.counts["spikes_handled"]
        self.compare_records()
        for name in errors:
            self.cover.hit(f"stopped by {name}")


def spike(source: int, step: int) -> Event:
    """Return the message of a spike."""
    return Kind.SPIKE, {"source": int(source), "step": step}
