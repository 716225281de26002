"""Replay of a network's traffic in one node of hardware, compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from csnn.errors import ToolFailedError
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import Region, Words, digests, node_words
from csnn.hardware.recorder import PAGE_BITS, RECORD, records
from csnn.hardware.registers import OFFSETS, STATUS_BITS
from csnn.image.store import Image
from csnn.neurons.registry import MODELS
from csnn.packets import Kind, encode, packet_words, spike_sum
from csnn.simulator.plain import Node
from csnn.simulator.state import MachineState, with_state
from csnn.spec.machine import SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]
_HALTED = next(1 << bit.position for bit in STATUS_BITS if bit.name == "halted")
# Where the device records its spikes.
_RECORDER_PAGE, _RECORDER_SIZE = 0x12345, 1 << 31
# Where the device's packets go: X, Y, Z of the master node.
_MASTER = (3, 5, 7)
# Polls of the status until the device must have halted.
_LONGEST_HALT = 100_000
# Cycles of a step without spikes, and cycles in which a packet waits to be offered, at the most.
_LONGEST_STEP, _LONGEST_GAP = 1_000_000, 1_000


class Exchanged(Protocol):
    """What a device sent: packets and the cycles in which they came and were taken."""

    packets: U32
    cycles: npt.NDArray[np.uint64]
    taken: npt.NDArray[np.uint64]


class Device(Protocol):
    """A node that is driven by packets."""

    def exchange(
        self,
        packets: U32,
        *,
        gaps: npt.ArrayLike = 0,
        until: tuple[Kind, int] | None = None,
        stall_rate: float = 0.0,
        max_cycles: int = ...,
    ) -> Exchanged:
        """Offer packets until all are taken and so many of a kind have come back."""

    def write(self, words: Words) -> None:
        """Write words of the configuration space."""

    def read(self, region: Region, offset: npt.ArrayLike) -> U32:
        """Read words of the configuration space."""

    def snapshot(self) -> dict[str, U32]:
        """Return the state words, `ss_ex`, `ss_in` and `es` of every neuron."""

    def memory(self, address: int, size: int) -> bytes:
        """Return bytes of the memory into which the node records its spikes."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference: step, global number of the neuron (None: none), signal, both values."""

    step: int
    neuron: int | None
    signal: str
    expected: int
    found: int

    def __str__(self) -> str:
        where = "" if self.neuron is None else f", neuron {self.neuron}"
        expected, found = (
            f"{value} (0x{value:08x})" if value >= 0 else str(value)
            for value in (self.expected, self.found)
        )
        return f"step {self.step}{where}, {self.signal}: expected {expected}, found {found}"


@dataclass(frozen=True)
class Replay:
    """Result of a replay.

    Attributes
    ----------
    mismatch : Mismatch or None
    steps : int
        Steps compared.
    cycles : ndarray of int64, shape (steps,)
        Clock cycles from the sync message to the barrier message of each step; 0 if none came.
    spikes, synapses : int
        Spikes of the node and synapses that it unrolls, by the definition; a node without a
        mismatch has counted as many.
    digests : dict of str to str
        Of what was read back at the end (`csnn.hardware.memory_map.digests`); empty after a
        mismatch.
    not_laid_down : str or None
        Why a mismatch could not be laid down.
    """

    mismatch: Mismatch | None
    steps: int
    cycles: npt.NDArray[np.int64]
    spikes: int
    synapses: int
    digests: dict[str, str]
    not_laid_down: str | None = None

    @property
    def answered(self) -> npt.NDArray[np.int64]:
        """The cycles of the steps that ended with a barrier message."""
        return self.cycles[self.cycles > 0]


class Replayer:
    """Steps a device and the definition side by side.

    Parameters
    ----------
    image : Image
    node : int
        Number of the node.
    config : NodeConfig
        Hardware of the device.
    device : Device
        Fresh from reset.
    state : MachineState
        Where to start.
    gaps : Generator, optional
        Draws the idle cycles between packets; none without it.
    stall_rate : float
        Share of cycles in which the device's packets are not taken.
    sum_limit : int
        Limit of the circular buffer; only tests change it.
    """

    def __init__(
        self,
        image: Image,
        node: int,
        config: NodeConfig,
        device: Device,
        state: MachineState,
        *,
        gaps: np.random.Generator | None = None,
        stall_rate: float = 0.0,
        sum_limit: int = SUM_LIMIT_UNITS,
    ) -> None:
        self.node = with_state(image.nodes[node], state)
        self.config, self.device = config, device
        self.step = state.step
        self._gaps, self._stall_rate = gaps, stall_rate
        self._reference = Node(image.nodes[node], MODELS[self.node.model], state, sum_limit)
        self._broadcast = np.empty(0, np.uint32)
        self._begun = state.step
        self._handled = 0
        self._longest_row = int(self.node.length.max(initial=0))
        self._spikes: list[tuple[int, U32]] = []
        self.digests: dict[str, str] = {}
        for words in node_words(config, self.node):
            device.write(words)
        self._set("recorder_page", _RECORDER_PAGE)
        self._set("recorder_size", _RECORDER_SIZE)
        self._set("master", int.from_bytes(_MASTER, "little"))
        self._set("step", state.step)
        self._set("control", 3)
        # All of it has been taken when the node answers: the first step is timed like the others.
        # That a node does not answer shows in its first step.
        with suppress(ToolFailedError):
            self.get("status")

    def _set(self, name: str, value: int) -> None:
        one = np.array([OFFSETS[name]], np.uint32), np.array([value], np.uint32)
        self.device.write(Words(Region.REGISTERS, *one))

    @property
    def spikes(self) -> int:
        """Spikes of the node so far."""
        return sum(len(sources) for _, sources in self._spikes)

    @property
    def synapses(self) -> int:
        """Synapses that the node has unrolled, or has to."""
        return self._reference.router.events

    def get(self, name: str) -> int:
        """Return a register of the device."""
        return int(self.device.read(Region.REGISTERS, OFFSETS[name])[0])

    def advance(self, sources: U32) -> tuple[Mismatch | None, int]:
        """Do one step in which the machine broadcasts `sources`.

        Returns
        -------
        Mismatch or None
        int
            Cycles from the sync message to the barrier message; 0 if none came.
        """
        before = self._broadcast
        sync = encode(
            Kind.SYNC, count=len(before), step=self.step & 63, sum=spike_sum(before, self.step)
        )
        self.step += 1
        packets = np.zeros((1 + len(sources), 3), dtype=np.uint32)
        packets[0] = packet_words(sync)
        packets[1:, 0], packets[1:, 1], packets[1:, 2] = Kind.SPIKE << 24, sources, self.step
        gaps: npt.ArrayLike = 0
        if self._gaps is not None:
            gaps = self._gaps.geometric(1 / 32, len(packets)) - 1
        # The spikes of this step and of the one before, each with the longest row.
        work = (len(packets) + len(before)) * (_LONGEST_GAP + 4 * self._longest_row)
        try:
            done = self.device.exchange(
                packets,
                gaps=gaps,
                until=(Kind.BARRIER, 1),
                stall_rate=self._stall_rate,
                max_cycles=_LONGEST_STEP + work,
            )
        except ToolFailedError:
            # A node that sees something wrong stops.
            return self._stopped("barrier message of the step"), 0
        self._broadcast = sources
        self._handled += len(sources)
        spikes = self._reference.compute(self.step)
        self._spikes.append((self.step, spikes))
        mismatch = next(self._differences(spikes, done), None)
        self._reference.receive(sources, self.step)
        return mismatch, int(done.cycles[-1] - done.taken[0])

    def _stopped(self, what: str) -> Mismatch:
        """Return what tells of a device that does not go on: one of `what` was expected of it."""
        try:
            errors, status = self.get("errors"), self.get("status")
        except ToolFailedError:
            # A packet that nobody takes blocks the requests behind it.
            return Mismatch(self.step, None, f"{what} (nor does it answer requests)", 1, 0)
        if errors:
            return Mismatch(self.step, None, f"register errors (no {what})", 0, errors)
        return Mismatch(self.step, None, f"{what} (register status: 0x{status:x})", 1, 0)

    def _differences(self, spikes: U32, done: Exchanged) -> Iterator[Mismatch]:
        step = self.step
        reference = self._reference
        words = dict(
            zip(reference.ode.model.float_states, reference.ode.state.astype(np.int64), strict=True)
        )
        if reference.ode.model.int_states:
            words["refractory"] = reference.ode.refractory.astype(np.int64)
        words["ss_ex"], words["ss_in"], words["es"] = *reference.ss, reference.es
        found = self.device.snapshot()
        # Input first: a wrong state follows from a wrong input.
        for name in ("ss_ex", "ss_in", "es", *reference.ode.model.float_states, "refractory"):
            if name in words:
                part = found[name][: self.node.n_neurons].astype(np.int64)
                for n in np.flatnonzero(part != words[name])[:1]:
                    neuron = self.node.first_neuron + int(n)
                    yield Mismatch(step, neuron, name, int(words[name][n]), int(part[n]))
        yield from self._differing_packets(spikes, done)

    def _differing_packets(self, spikes: U32, done: Exchanged) -> Iterator[Mismatch]:
        step = self.step
        kinds = done.packets[:, 0] >> np.uint32(24)
        sent = done.packets[kinds == Kind.AER]
        target = encode(Kind.AER, _MASTER, source=0, step=0) & 0xFFFFFFFF
        for n in range(max(len(spikes), len(sent))):
            expected = int(spikes[n]) if n < len(spikes) else -1
            got = int(sent[n, 1]) if n < len(sent) else -1
            if expected != got:
                yield Mismatch(step, None, f"spike {n} of the step (-1: none)", expected, got)
            elif sent[n, 2] != step:
                yield Mismatch(step, expected, "step in the packet", step, int(sent[n, 2]))
            elif sent[n, 0] != target:
                yield Mismatch(step, expected, "target of the packet", target, int(sent[n, 0]))
        barrier = encode(
            Kind.BARRIER,
            _MASTER,
            count=len(spikes),
            node=self.node.node,
            step=step & 63,
            sum=spike_sum(spikes, step),
        )
        for word, name in (
            (0, "target of the barrier"),
            (1, "count, node and step of the barrier"),
            (2, "sum of the barrier"),
        ):
            expected, got = barrier >> 32 * word & 0xFFFFFFFF, int(done.packets[-1, word])
            if expected != got:
                yield Mismatch(step, None, name, expected, got)
        for kind in kinds[:-1][kinds[:-1] != Kind.AER]:
            yield Mismatch(step, None, "kind of a packet before the barrier", Kind.AER, int(kind))

    def finish(self) -> Mismatch | None:
        """Halt the device and compare what is left: memories, counters, recorded spikes."""
        self._set("control", 0)
        for _ in range(_LONGEST_HALT):
            if self.get("status") & _HALTED:
                return next(self._remainders(), None)
        return self._stopped("halt at the end")

    def _remainders(self) -> Iterator[Mismatch]:
        reference = self._reference
        saturated = next(b.position for b in STATUS_BITS if b.name == "saturated")
        registers: dict[str, tuple[int, int]] = {
            "errors": (0, self.get("errors")),
            "synapses": (self.synapses, self.get("synapses")),
            "spikes_sent": (self.spikes, self.get("spikes_sent")),
            "spikes_handled": (self._handled, self.get("spikes_handled")),
            "steps": (self.step - self._begun, self.get("steps")),
            "step": (self.step, self.get("step")),
            "saturated": (reference.buffer.saturated, self.get("status") >> saturated & 1),
        }
        for name, (expected, found) in registers.items():
            if expected != found:
                yield Mismatch(self.step, None, f"register {name}", int(expected), found)
        yield from self._differing_records()
        now = replace(
            self.node,
            state=reference.ode.state,
            refractory=reference.ode.refractory,
            delay_buffer=reference.buffer.words.astype(np.uint32),
            ext_states=reference.external.state,
        )
        held = []
        for words in node_words(self.config, now):
            read = self.device.read(words.region, words.offset)
            held.append(replace(words, value=read))
            for n in np.flatnonzero(read != words.value)[:1]:
                signal = f"{words.region.name} word {int(words.offset[n])}"
                yield Mismatch(self.step, None, signal, int(words.value[n]), int(read[n]))
        self.digests = digests(held)

    def _differing_records(self) -> Iterator[Mismatch]:
        """Compare the records in the memory with the spikes."""
        steps, spikes = zip(*self._spikes, strict=True)
        counts = [len(sources) for sources in spikes]
        expected = np.zeros(sum(counts), dtype=RECORD)
        expected["step"] = np.repeat(steps, counts)
        expected["source"] = np.concatenate(spikes)
        memory = self.device.memory(_RECORDER_PAGE << PAGE_BITS, expected.nbytes)
        found = records(memory, len(expected))
        for n in np.flatnonzero(expected != found)[:1]:
            for name in ("step", "source"):
                values = int(expected[name][n]), int(found[name][n])
                if values[0] != values[1]:
                    yield Mismatch(self.step, None, f"{name} of record {n}", *values)
        if sum(counts) != self.get("recorded"):
            signal = "register recorded"
            yield Mismatch(self.step, None, signal, sum(counts), self.get("recorded"))
