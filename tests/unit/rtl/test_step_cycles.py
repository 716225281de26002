"""Cycles of a node's step: what the latencies of its units promise is what is measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from step_measurement import StepCycles, measure

from csnn.hardware.config import NodeConfig
from csnn.hardware.latency import ode_cycles, ode_latency, packet_cycles
from csnn.hardware.memory_map import OFFSET_BITS, Region
from csnn.neurons.operators import ECP5_OPERATORS
from csnn.packets import Kind
from rtl.emit import packet_read
from rtl.node_simulation import NodeSimulation

TWO = NodeConfig(pipelines=2, neurons=32, delay_slots=4, rows=16, event_fifo=16)
ONE = dataclasses.replace(TWO, pipelines=1, neurons=8, operators=ECP5_OPERATORS)
SIZES = (1, 2, 3, 7, 8)


@pytest.fixture(scope="module", params=[TWO, ONE], ids=["two-pipelines", "one-ecp5"])
def measured(request: pytest.FixtureRequest) -> tuple[NodeConfig, dict[int, StepCycles]]:
    node = NodeSimulation(request.param)
    return request.param, {n: measure(node, n) for n in SIZES}


Measured = tuple[NodeConfig, dict[int, StepCycles]]


def promised(config: NodeConfig) -> dict[int, StepCycles]:
    """Return the same from the latencies; the cycle of `start` is not one of `computing`."""
    return {
        n: StepCycles(
            packets=packet_cycles(config, n), computing=ode_cycles(config, n) - 1, spikes=0
        )
        for n in SIZES
    }


def test_step_takes_what_the_latencies_say(measured: Measured) -> None:
    config, steps = measured
    assert steps == promised(config)


def test_ode_unit_takes_il_and_one_cycle_per_group(measured: Measured) -> None:
    config, steps = measured
    for n, step in steps.items():
        assert step.computing + 1 == ode_latency(config) + -(-n // config.pipelines)


@pytest.mark.parametrize("region", [Region.REGISTERS, Region.SEED])
def test_read_takes_what_the_table_says(region: Region) -> None:
    node = NodeSimulation(TWO)
    node.reset()
    request = np.array([[Kind.MONITOR << 24, region << OFFSET_BITS, 0]], np.uint32)
    done = node.exchange(request, until=(Kind.MONITOR, 1))
    assert done.cycles[0] - done.taken[0] == packet_read()


def test_wrong_latency_is_caught(measured: Measured) -> None:
    config, steps = measured
    slower = dataclasses.replace(config.operators, fadd=config.operators.fadd + 1)
    assert steps != promised(dataclasses.replace(config, operators=slower))


def test_wrong_sync_latency_is_caught(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    config, steps = measured
    monkeypatch.setattr("csnn.hardware.latency.SYNC_TO_START", 4)
    assert steps != promised(config)


@pytest.mark.parametrize("n", [0, 33])
def test_neurons_that_do_not_fit_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 32"):
        ode_cycles(TWO, n)
