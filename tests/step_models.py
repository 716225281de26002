"""Neuron models by the names of their parts, and constants to run them with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from csnn.neurons.composition import Step
from csnn.neurons.description import NeuronDescription
from csnn.neurons.model import NeuronModel
from csnn.neurons.models.adex import Adex
from csnn.neurons.models.amat2 import Amat2
from csnn.neurons.models.izhikevich import Izhikevich
from csnn.neurons.models.lif import Lif
from csnn.neurons.models.mat2 import Mat2
from csnn.neurons.solvers import SOLVERS
from csnn.neurons.synapses import COUPLINGS, KERNELS, SIDES, Synapses

DESCRIPTIONS: dict[str, NeuronDescription] = {
    description.name: description for description in (Lif(), Mat2(), Amat2(), Izhikevich(), Adex())
}


def _step(name: str) -> Step:
    neuron, kernel, coupling, solver = name.split("_")
    return Step(DESCRIPTIONS[neuron], Synapses(kernel=kernel, coupling=coupling), solver)


def names() -> Iterator[str]:
    """Yield the name of every combination that there is."""
    for parts in itertools.product(DESCRIPTIONS, KERNELS, COUPLINGS, SOLVERS):
        name = "_".join(parts)
        if _step(name).refusal() is None:
            yield name


def step_model(name: str) -> NeuronModel:
    """Return the model `<neuron>_<kernel>_<coupling>_<solver>`."""
    step = _step(name)

    def rule(neuron: Any, *, dt_ms: float, weight_grid_pA: float, dc_pA: float) -> dict[str, Any]:
        times, rises = dict.fromkeys(SIDES, 2.0), dict.fromkeys(SIDES, 0.5)
        base = step.neuron.constants(neuron, dt_ms)
        base |= step.synapses.constants(times, rises, dt_ms)
        base |= {"E_ex": 70.0, "E_in": -15.0}
        base["drive"] *= weight_grid_pA
        ref_steps = round(getattr(neuron, "t_ref_ms", 0.0) / dt_ms)
        return {**step.numbers(base), "ref_steps": ref_steps}

    return NeuronModel(name=name, neuron_type=step.neuron.parameters, graph=step.graph, rule=rule)
