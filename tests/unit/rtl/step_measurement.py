"""Cycles of a node's step without spikes, measured in its simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from csnn.hardware.memory_map import EPOCH_WORD_BITS, Region, Words
from csnn.hardware.registers import CONTROL_BITS, OFFSETS
from csnn.packets import Kind, encode, packet_words
from rtl.node_simulation import NodeSimulation

_ONE = 0x3F800000
_NEVER = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class StepCycles:
    """Measured cycles of a step.

    Attributes
    ----------
    packets : int
        From the cycle in which the sync packet was taken to that in which the barrier packet was.
    computing : int
        Cycles in which the ODE unit was busy.
    spikes : int
        Spikes that the barrier message told of.
    """

    packets: int
    computing: int
    spikes: int


def prepare(node: NodeSimulation, n: int) -> None:
    """Load a node of `n` neurons that get no input and do not spike, and let it run."""
    node.reset()
    config = node.config
    _write(node, Region.REGISTERS, OFFSETS["n_neurons"], n)
    # Every constant is one: states stay at zero, below the threshold.
    model = config.neuron_model
    for offset in range(len(model.float_constants) + len(model.int_constants)):
        _write(node, Region.CONSTANTS, offset, _ONE)
    for epoch in range(config.epochs):
        _write(node, Region.SCHEDULE, epoch << EPOCH_WORD_BITS, _NEVER)
    bits = {bit.name: 1 << bit.position for bit in CONTROL_BITS}
    _write(node, Region.REGISTERS, OFFSETS["control"], bits["clear"])
    _write(node, Region.REGISTERS, OFFSETS["control"], bits["run"])
    node.exchange(np.empty((0, 3), np.uint32))
    node.read(Region.REGISTERS, OFFSETS["status"])


def step(node: NodeSimulation, number: int) -> tuple[int, int]:
    """Send the sync message of step `number`; return cycles to the barrier packet, and spikes."""
    sync = packet_words(encode(Kind.SYNC, count=0, step=number & 63, sum=0))[np.newaxis]
    done = node.exchange(sync, until=(Kind.BARRIER, 1), max_cycles=10_000)
    count = int(done.of_kind(Kind.BARRIER)[0, 1]) & 0x3FF
    return int(done.cycles[-1]) - int(done.taken[0]), count


def measure(node: NodeSimulation, n: int) -> StepCycles:
    """Measure a step of a node of `n` neurons."""
    prepare(node, n)
    register = OFFSETS["cycles_ode"]
    before = int(node.read(Region.REGISTERS, register)[0])
    cycles, spikes = step(node, 0)
    after = int(node.read(Region.REGISTERS, register)[0])
    return StepCycles(packets=cycles, computing=after - before, spikes=spikes)


def _write(node: NodeSimulation, region: Region, offset: int, value: int) -> None:
    node.write(Words(region, np.array([offset], np.uint32), np.array([value], np.uint32)))
