"""Figures of the performance model that the hardware must have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator

from csnn.hardware import latency, mesh_latency
from csnn.hardware.config import MICROCIRCUIT, SMALL, NodeConfig
from csnn.rows import Sampler
from rtl.mesh import crossing
from rtl.mesh.crossing import Crossing
from rtl.row_lookup import RowLookup
from rtl.stub_permutation import StubPermutation
from rtl.unroller import Unroller

CONFIGS = [
    MICROCIRCUIT,
    SMALL,
    NodeConfig(),
    NodeConfig(samplers=(Sampler.DISTINCT,)),
    NodeConfig(samplers=tuple(Sampler), synapses=64),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_units_take_what_is_declared(config: NodeConfig) -> None:
    assert latency.row_lookup_latency(config) == RowLookup.latency(config)
    assert latency.unroller_latency(config) == Unroller.latency(config)
    assert latency.STUB_PERMUTATION == StubPermutation.LATENCY
    sparse = dataclasses.replace(config, presence_words=8)
    assert latency.row_lookup_latency(sparse) == RowLookup.latency(sparse)


def crossing_edges(write_ns: float, read_ns: float, phase_ns: float) -> int:
    """Return the edges of the reader from the writer's edge to the one that offers the packet."""
    unit = Crossing("write", "read")
    simulator = Simulator(unit)
    idle, ticks, offered = 20, 0, False

    async def send(context) -> None:  # type: ignore[no-untyped-def]
        for _ in range(idle):
            await context.tick("write")
        context.set(unit.input.payload, 77)
        context.set(unit.input.valid, 1)
        await context.tick("write")
        context.set(unit.input.valid, 0)

    async def receive(context) -> None:  # type: ignore[no-untyped-def]
        nonlocal ticks, offered
        while not offered:
            await context.tick("read")
            ticks += 1
            offered = bool(context.get(unit.output.valid))
        assert context.get(unit.output.payload) == 77

    simulator.add_clock(write_ns * 1e-9, phase=0.0, domain="write")
    simulator.add_clock(read_ns * 1e-9, phase=phase_ns * 1e-9, domain="read")
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    written_ns = idle * write_ns
    before = int((written_ns - phase_ns) // read_ns) + 1
    return ticks - before


def test_crossing_takes_what_is_declared() -> None:
    assert crossing.DEPTH == mesh_latency.CROSSING_DEPTH
    rng = np.random.default_rng(2)
    for write_ns, read_ns in ((10.0, 6.66), (6.66, 10.0)):
        for _ in range(4):
            phase_ns = round(float(rng.uniform(0.01, read_ns)), 3)
            assert crossing_edges(write_ns, read_ns, phase_ns) == mesh_latency.CROSSING_SINK
