"""The scenarios of the ODE unit with LIF neurons, with the latencies of both devices."""

from __future__ import annotations

import numpy as np
import pytest
from bench import Coverage, VerilatedDut, run_now
from ode_scenarios import ode_bench

from csnn.hardware.config import NodeConfig
from csnn.neurons.operators import ECP5_OPERATORS

CONFIGS = {
    "two pipelines": NodeConfig(pipelines=2, neurons=64),
    "one pipeline": NodeConfig(pipelines=1, neurons=32, operators=ECP5_OPERATORS),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_lif_neurons(name: str) -> None:
    bench = ode_bench(CONFIGS[name], {})
    dut, cover = VerilatedDut(bench.make()), Coverage(bench.bins)
    for place, scenario in enumerate(bench.scenarios):
        run_now(dut.run({"rst": [1]}))
        run_now(scenario(dut, np.random.default_rng(place), cover))
    assert set(cover.missed) <= {"part of a group"}
