"""Every neuron model runs in a network, and the fast simulator equals the plain one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from combination_cases import Case, legal
from model_networks import build

from csnn.neurons.registry import Combination
from csnn.simulator.fast import FastSimulator
from csnn.simulator.plain import PlainSimulator

STEPS = 150


def combination(neuron: str, kernel: str, coupling: str, solver: str, substeps: int) -> Combination:
    return Combination(
        neuron=neuron, kernel=kernel, coupling=coupling, solver=solver, substeps=substeps
    )


# Each neuron, kernel, coupling and family of solvers.
FEW = [
    combination("lif", "beta", "coba", "rk4", 1),
    combination("mat2", "alpha", "cuba", "exact", 1),
    combination("amat2", "delta", "cuba", "rk2", 1),
    combination("izhikevich", "exp", "coba", "euler", 2),
    combination("adex", "delta", "coba", "ps4", 1),
]
OTHERS = [c for c in legal() if c not in FEW]


def check(chosen: Combination, folder: Path) -> None:
    image = build(Case(chosen), folder / "image")
    # The first model of the machine keeps its own name.
    name = "lif" if chosen.name == "lif_exp_cuba_exact" else chosen.name
    assert image.nodes[0].model == name
    record = [0, 7, image.n_neurons - 1]
    plain = PlainSimulator(image, record=record)
    fast = FastSimulator(image, record=record, threads=2)
    expected, found = plain.run(STEPS), fast.run(STEPS)
    assert len(expected.step) > 20
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_array_equal(found.source, expected.source)
    np.testing.assert_array_equal(found.traces, expected.traces)
    assert found.events == expected.events > 0
    assert fast.state().first_difference(plain.state()) is None


@pytest.mark.parametrize("chosen", FEW, ids=lambda c: c.name)
def test_few_networks(chosen: Combination, tmp_path: Path) -> None:
    check(chosen, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", OTHERS, ids=lambda c: c.name)
def test_all_other_networks(chosen: Combination, tmp_path: Path) -> None:
    check(chosen, tmp_path)
