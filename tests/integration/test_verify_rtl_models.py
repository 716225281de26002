"""Nodes in RTL whose ODE unit is of another neuron model replay their traffic bit-exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from combination_cases import Case
from model_networks import build

from csnn.hardware.config import NodeConfig
from csnn.neurons.registry import parse
from csnn.verify import record_traffic, verify_node
from rtl.node_simulation import NodeSimulation

pytestmark = pytest.mark.slow
STEPS, WARMUP_MS = 500, 50.0


def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
    return NodeSimulation(config, waveforms=waveforms)


# One of each neuron; kernels, couplings and families of solvers in turn. One pipeline: what is
# around it does not depend on the model.
@pytest.mark.parametrize(
    "name",
    [
        "lif_exp_coba_euler",
        "mat2_alpha_cuba_exact",
        "amat2_delta_coba_ps2",
        "izhikevich_exp_coba_rk2",
        "adex_beta_cuba_euler",
        "adex_delta_coba_ps2",
    ],
)
def test_node_with_the_model(name: str, tmp_path: Path) -> None:
    combination = parse(name)
    assert combination is not None
    image = build(Case(combination), tmp_path / "image", ext_lanes=1)
    traffic = record_traffic(image, warmup_ms=WARMUP_MS, steps=STEPS, threads=2)
    result = verify_node(image, 0, traffic, make)
    assert result.mismatch is None, str(result.mismatch)
    assert result.steps == STEPS
    assert result.spikes > 10
    assert result.synapses > 100
