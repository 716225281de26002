"""Neurons whose equations run away to infinity: no step leaves words that are no numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from csnn.neurons.composed import composed
from csnn.neurons.evaluate import evaluate
from csnn.neurons.registry import DESCRIPTIONS, Combination

SOLVERS = ("euler", "rk2", "rk4", "ps1", "ps2", "ps6")
RUNAWAYS = [name for name, neuron in DESCRIPTIONS.items() if neuron.bounds]
# Currents in pA under which V passes its threshold within few steps.
CURRENTS = {"izhikevich": 1000.0, "adex": 1e5}


def course(neuron: str, solver: str, t_ref_ms: float) -> dict[str, Any]:
    """Return states (steps x 1), spikes and refractory counts of 60 steps of strong input."""
    parameters = DESCRIPTIONS[neuron].parameters(solver=solver, t_ref_ms=t_ref_ms)
    model = composed("probe", Combination.of(parameters).step)
    constants = model.constants(parameters, dt_ms=0.1, weight_grid=1.0, dc_pA=CURRENTS[neuron])
    state: dict[str, Any] = dict.fromkeys(model.float_states, np.float32(0.0))
    state |= {"V": np.float32(constants["theta"] - 40.0), "refractory": np.int32(0)}
    inputs = {"ss_ex": np.int32(5), "ss_in": np.int32(0)}
    steps = []
    for _ in range(60):
        state, outputs = evaluate(model.graph, state=state, inputs=inputs, constants=constants)
        steps.append({**state, **outputs})
    return {name: np.array([step[name] for step in steps]) for name in steps[0]}


def test_neurons_that_run_away_are_known() -> None:
    assert list(CURRENTS) == RUNAWAYS


@pytest.mark.parametrize("neuron", RUNAWAYS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_word_stays_a_number(neuron: str, solver: str) -> None:
    for t_ref_ms in (0.0, 1.5):
        found = course(neuron, solver, t_ref_ms)
        spikes = np.flatnonzero(found.pop("spike"))
        assert all(np.isfinite(values).all() for values in found.values())
        assert len(spikes) > 2
        assert np.diff(spikes).min() > t_ref_ms / 0.1 - 0.5


@pytest.mark.parametrize("neuron", RUNAWAYS)
def test_a_refractory_neuron_stands_still_and_its_recovery_goes_on(neuron: str) -> None:
    found = course(neuron, "rk4", 1.5)
    recovery = "u" if neuron == "izhikevich" else "w"
    spike = int(np.flatnonzero(found["spike"])[0])
    held = slice(spike, spike + 16)
    assert found["refractory"][held].tolist() == list(range(15, -1, -1))
    assert np.unique(found["V"][held]).size == 1
    assert np.unique(found[recovery][held]).size == 16


@pytest.mark.parametrize(
    ("neuron", "recovery", "name", "value"),
    [("izhikevich", "u", "is_held", False), ("adex", "w", "bounds", {})],
)
def test_without_either_there_would_be_such_words(
    neuron: str, recovery: str, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DESCRIPTIONS[neuron], name, value, raising=False)
    with np.errstate(all="ignore"):
        found = course(neuron, "rk4", 1.5)
    assert not np.isfinite(found[recovery]).all()
