"""Bench of the ODE unit: its own logic, with pipelines that neither add nor multiply.

That it computes LIF neurons is tested apart, in `test_ode_lif.py`.
"""

from __future__ import annotations

from ode_scenarios import ode_bench
from tiny_neuron import TinyConfig

CONFIG = TinyConfig(pipelines=2, neurons=32)

BENCH = ode_bench(
    CONFIG,
    {
        "$: { spiking_group, 1'h0 } < n_neurons => { 1'h0, spiking_group } < n_neurons": "the "
        "first neuron of a group exists",
        "$: start | (| { valid_7, valid_6, valid_5, valid_4, valid_3, valid_2, valid_1, $signal })"
        " => start ^ $": "a step begins while none is under way",
    },
)
